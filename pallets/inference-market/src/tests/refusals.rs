//! What the transaction pool refuses: one test for each row of the table.

use super::mock::*;
use crate::Refusal;
use gonka_primitives::{GNK, market::Totals};
use polkadot_sdk::frame_support::assert_ok;

/// A channel of host 0 with a voucher that is good in window 0.
fn good() -> (u64, gonka_primitives::market::Settlement) {
	let id = open(&[(host(0), MIN_DEPOSIT)]);
	(id, settlement(0, &[voucher(&gateway(0), id, totals(GNK, 10, 2))]))
}

#[test]
fn zero_vouchers() {
	build_and_execute(|| assert_refused(settlement(0, &[]), Refusal::NoVouchers));
}

#[test]
fn too_many_vouchers() {
	build_and_execute(|| {
		let one = voucher(&gateway(0), 0, totals(1, 1, 1));
		assert_refused(settlement(0, &vec![one; MAX_VOUCHERS as usize + 1]), Refusal::TooManyVouchers);
	});
}

#[test]
fn a_window_that_has_not_ended() {
	build_and_execute(|| {
		let (_, mut good) = good();
		System::set_block_number(WINDOW - 1);
		assert_refused(good.clone(), Refusal::WindowNotEnded);
		System::set_block_number(WINDOW);
		good.window = 1;
		assert_refused(good.clone(), Refusal::WindowNotEnded);
		good.window = u32::MAX;
		assert_refused(good.clone(), Refusal::WindowNotEnded);
		good.window = 0;
		submit(good);
	});
}

#[test]
fn a_window_twice_or_a_stale_one() {
	build_and_execute(|| {
		let (id, good) = good();
		System::set_block_number(5 * WINDOW);
		let next = |window| settlement(window, &[voucher(&gateway(0), id, totals(2 * GNK, 20, 3))]);
		let mut second = good.clone();
		second.window = 2;
		submit(second.clone());
		assert_refused(second, Refusal::WindowSettled);
		assert_refused(good, Refusal::WindowSettled);
		assert_refused(next(2), Refusal::WindowSettled);
		assert_refused(next(1), Refusal::WindowSettled);
		submit(next(3));
	});
}

#[test]
fn vouchers_unsorted_or_doubled() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)]);
		let [a, b] = [id, id + 1].map(|id| voucher(&gateway(0), id, totals(GNK, 1, 1)));
		assert_refused(settlement(0, &[b, a]), Refusal::VouchersNotAscending);
		assert_refused(settlement(0, &[a, a]), Refusal::VouchersNotAscending);
	});
}

#[test]
fn an_unregistered_host() {
	build_and_execute(|| {
		let (_, good) = good();
		Workers::mutate(|workers| workers.remove(&host(0)));
		assert_refused(good, Refusal::HostNotRegistered);
	});
}

#[test]
fn the_wrong_worker() {
	build_and_execute(|| {
		let (_, good) = good();
		assert_refused_as(&worker(1), good.clone(), Refusal::BadWorkerSignature);
		// The host's own key is not its worker's.
		assert_refused_as(&pair("host", 0), good.clone(), Refusal::BadWorkerSignature);
		// A key that was replaced is worth nothing.
		Workers::mutate(|workers| workers.insert(host(0), [1; 32]));
		assert_refused(good, Refusal::BadWorkerSignature);
	});
}

#[test]
fn a_signature_over_something_else() {
	use polkadot_sdk::{
		frame_support::pallet_prelude::{Authorize, TransactionSource},
		sp_runtime::transaction_validity::InvalidTransaction,
	};
	build_and_execute(|| {
		let (_, good) = good();
		let signature = sign(&worker(0), gonka_primitives::hashing::domain::RECEIPT, &good);
		let call = crate::Call::<Test>::settle { settlement: good, signature };
		let refused = call.authorize(TransactionSource::External).unwrap().unwrap_err();
		assert_eq!(refused, InvalidTransaction::Custom(Refusal::BadWorkerSignature as u8).into());
	});
}

#[test]
fn an_unknown_channel() {
	build_and_execute(|| {
		let unknown = voucher(&gateway(0), 99, totals(GNK, 1, 1));
		assert_refused(settlement(0, &[unknown]), Refusal::ChannelNotFound);
	});
}

#[test]
fn a_channel_that_was_withdrawn() {
	build_and_execute(|| {
		let (id, good) = good();
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(developer(0)), id));
		System::set_block_number(WINDOW + CHALLENGE);
		assert_ok!(Market::withdraw(RuntimeOrigin::signed(developer(0)), id));
		assert_refused(good, Refusal::ChannelNotFound);
	});
}

#[test]
fn a_channel_of_another_host() {
	build_and_execute(|| {
		let id = open(&[(host(1), MIN_DEPOSIT)]);
		let foreign = voucher(&gateway(0), id, totals(GNK, 1, 1));
		assert_refused(settlement(0, &[foreign]), Refusal::ForeignChannel);
	});
}

#[test]
fn totals_below_what_is_settled() {
	build_and_execute(|| {
		let (id, good) = good();
		submit(good);
		System::set_block_number(2 * WINDOW);
		for lower in [totals(GNK - 1, 11, 3), totals(GNK + 1, 9, 3), totals(GNK + 1, 11, 1)] {
			let lower = settlement(1, &[voucher(&gateway(0), id, lower)]);
			assert_refused(lower, Refusal::TotalsBelowSettled);
		}
	});
}

#[test]
fn a_voucher_that_says_nothing_new() {
	build_and_execute(|| {
		let (id, good) = good();
		submit(good);
		System::set_block_number(2 * WINDOW);
		let same = voucher(&gateway(0), id, totals(GNK, 10, 2));
		assert_refused(settlement(1, &[same]), Refusal::NothingNew);
	});
}

#[test]
fn more_than_the_deposit() {
	build_and_execute(|| {
		let (id, good) = good();
		let over = voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 10, 2));
		assert_refused(settlement(0, &[over]), Refusal::DepositExceeded);
		submit(good);
		System::set_block_number(2 * WINDOW);
		assert_refused(settlement(1, &[over]), Refusal::DepositExceeded);
		// A top-up makes it good.
		let amounts = vec![(id, 1)].try_into().unwrap();
		assert_ok!(Market::top_up(RuntimeOrigin::signed(developer(0)), amounts));
		System::set_block_number(2 * WINDOW);
		submit(settlement(1, &[voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 11, 2))]));
	});
}

#[test]
fn sums_that_do_not_agree() {
	build_and_execute(|| {
		let (_, good) = good();
		for sum in [totals(GNK + 1, 10, 2), totals(GNK, 9, 2), totals(GNK, 10, 3), Totals::default()] {
			let mut wrong = good.clone();
			wrong.root.sum = sum;
			wrong.work = if sum.work > 0 { vec![(0, sum.work)] } else { vec![] };
			assert_refused(wrong, Refusal::SumMismatch);
		}
	});
}

#[test]
fn sums_that_overflow() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), [3; 32], list));
		let huge = |id| voucher(&gateway(0), id, totals(1, u64::MAX, 1));
		assert_refused(settlement(0, &[huge(id), huge(id + 1)]), Refusal::SumMismatch);
	});
}

#[test]
fn fees_that_the_host_cannot_receive() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let dust = totals(EXISTENTIAL_DEPOSIT - 1, 1, 1);
		assert_refused(settlement(0, &[voucher(&gateway(0), id, dust)]), Refusal::HostCannotReceive);
		let enough = totals(EXISTENTIAL_DEPOSIT, 1, 1);
		submit(settlement(0, &[voucher(&gateway(0), id, enough)]));
		// With an account, a single unit will do.
		run_to_release();
		submit(settlement(2, &[voucher(&gateway(0), id, totals(EXISTENTIAL_DEPOSIT + 1, 2, 2))]));
	});
}

#[test]
fn the_wrong_gateway() {
	build_and_execute(|| {
		let (id, good) = good();
		let forged = voucher(&gateway(1), id, totals(GNK, 10, 2));
		assert_refused(settlement(0, &[forged]), Refusal::BadGatewaySignature);
		// A good signature does not cover other totals.
		let mut changed = good.vouchers[0];
		changed.voucher.totals.fee += 1;
		assert_refused(settlement(0, &[changed]), Refusal::BadGatewaySignature);
		// The last of several is looked at too.
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), [3; 32], list));
		let second = voucher(&gateway(0), id + 1, totals(GNK, 1, 1));
		assert_refused(settlement(0, &[good.vouchers[0], second]), Refusal::BadGatewaySignature);
	});
}

/// The good settlement with other work of models.
fn with_work(work: &[(u32, u64)]) -> gonka_primitives::market::Settlement {
	let mut changed = good().1;
	changed.work = work.to_vec();
	changed
}

#[test]
fn work_of_too_many_models() {
	build_and_execute(|| {
		let work: Vec<_> = (0..17).map(|model| (model, 1)).collect();
		assert_refused(with_work(&work), Refusal::TooManyModels);
	});
}

#[test]
fn work_out_of_order_doubled_or_of_nothing() {
	build_and_execute(|| {
		let mut wrong = good().1;
		for work in [vec![(1, 4), (0, 6)], vec![(0, 4), (0, 6)], vec![(0, 10), (1, 0)], vec![(0, 0)]] {
			wrong.work = work;
			assert_refused(wrong.clone(), Refusal::WorkNotAscending);
		}
	});
}

#[test]
fn work_that_is_not_the_roots() {
	build_and_execute(|| {
		let mut wrong = good().1;
		for work in [vec![], vec![(0, 9)], vec![(0, 11)], vec![(0, u64::MAX), (1, 11)]] {
			wrong.work = work;
			assert_refused(wrong.clone(), Refusal::WorkMismatch);
		}
	});
}

#[test]
fn work_of_a_model_that_never_was() {
	build_and_execute(|| {
		assert_refused(with_work(&[(0, 9), (1, 1)]), Refusal::UnknownModel);
	});
}

#[test]
fn work_of_a_retired_model_can_be_settled() {
	build_and_execute(|| {
		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 0));
		submit(good().1);
		assert_eq!(crate::Work::<Test>::iter().count(), 0);
	});
}
