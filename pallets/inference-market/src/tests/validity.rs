//! Settlements that the transaction pool rejects: one test for each validity error.

use super::mock::*;
use crate::ValidityError;
use gonka_primitives::{GNK, market::Totals};
use polkadot_sdk::frame_support::assert_ok;

/// A channel of host 0 with a voucher that is good in window 0.
fn good() -> (u64, gonka_primitives::market::Settlement) {
	let id = open(&[(host(0), MIN_DEPOSIT)]);
	(id, settlement(0, &[voucher(&gateway(0), id, totals(GNK, 10, 2))]))
}

#[test]
fn a_settlement_without_vouchers_is_rejected() {
	build_and_execute(|| assert_rejected(settlement(0, &[]), ValidityError::NoVouchers));
}

#[test]
fn too_many_vouchers_are_rejected() {
	build_and_execute(|| {
		let one = voucher(&gateway(0), 0, totals(1, 1, 1));
		assert_rejected(settlement(0, &vec![one; MAX_VOUCHERS as usize + 1]), ValidityError::TooManyVouchers);
	});
}

#[test]
fn a_window_that_has_not_ended_is_rejected() {
	build_and_execute(|| {
		let (_, mut good) = good();
		System::set_block_number(WINDOW - 1);
		assert_rejected(good.clone(), ValidityError::WindowNotEnded);
		System::set_block_number(WINDOW);
		good.window = 1;
		assert_rejected(good.clone(), ValidityError::WindowNotEnded);
		good.window = u32::MAX;
		assert_rejected(good.clone(), ValidityError::WindowNotEnded);
		good.window = 0;
		submit(good);
	});
}

#[test]
fn a_window_is_settled_once_and_after_earlier_ones() {
	build_and_execute(|| {
		let (id, good) = good();
		System::set_block_number(4 * WINDOW);
		let next = |window| settlement(window, &[voucher(&gateway(0), id, totals(2 * GNK, 20, 3))]);
		let mut second = good.clone();
		second.window = 2;
		submit(second.clone());
		assert_rejected(second, ValidityError::WindowSettled);
		assert_rejected(next(2), ValidityError::WindowSettled);
		submit(next(3));
		assert_rejected(next(2), ValidityError::WindowSettled);
	});
}

#[test]
fn a_window_before_the_last_two_is_rejected() {
	build_and_execute(|| {
		let (_, mut good) = good();
		System::set_block_number(5 * WINDOW);
		for old in [0, 1, 2] {
			good.window = old;
			assert_rejected(good.clone(), ValidityError::WindowTooOld);
		}
		good.window = 3;
		submit(good);
	});
}

#[test]
fn vouchers_must_ascend_by_channel() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)]);
		let [a, b] = [id, id + 1].map(|id| voucher(&gateway(0), id, totals(GNK, 1, 1)));
		assert_rejected(settlement(0, &[b, a]), ValidityError::VouchersNotAscending);
		assert_rejected(settlement(0, &[a, a]), ValidityError::VouchersNotAscending);
	});
}

#[test]
fn an_unregistered_host_is_rejected() {
	build_and_execute(|| {
		let (_, good) = good();
		Workers::mutate(|workers| workers.remove(&host(0)));
		assert_rejected(good, ValidityError::HostNotRegistered);
	});
}

#[test]
fn a_signature_of_another_worker_is_rejected() {
	build_and_execute(|| {
		let (_, good) = good();
		assert_rejected_as(&worker(1), good.clone(), ValidityError::BadWorkerSignature);
		// The host key is not the worker key.
		assert_rejected_as(&pair("host", 0), good.clone(), ValidityError::BadWorkerSignature);
		// A replaced worker key is not valid.
		Workers::mutate(|workers| workers.insert(host(0), [1; 32]));
		assert_rejected(good, ValidityError::BadWorkerSignature);
	});
}

#[test]
fn a_signature_for_another_purpose_is_rejected() {
	use polkadot_sdk::{
		frame_support::pallet_prelude::{Authorize, TransactionSource},
		sp_runtime::transaction_validity::InvalidTransaction,
	};
	build_and_execute(|| {
		let (_, good) = good();
		let signature = sign(&worker(0), gonka_primitives::hashing::domain::RECEIPT, &good);
		let call = crate::Call::<Test>::settle { settlement: good, signature };
		let refused = call.authorize(TransactionSource::External).unwrap().unwrap_err();
		assert_eq!(refused, InvalidTransaction::Custom(ValidityError::BadWorkerSignature as u8).into());
	});
}

#[test]
fn an_unknown_channel_is_rejected() {
	build_and_execute(|| {
		let unknown = voucher(&gateway(0), 99, totals(GNK, 1, 1));
		assert_rejected(settlement(0, &[unknown]), ValidityError::ChannelNotFound);
	});
}

#[test]
fn a_withdrawn_channel_is_rejected() {
	build_and_execute(|| {
		let (id, mut good) = good();
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(developer(0)), id));
		System::set_block_number(WINDOW + CHALLENGE);
		assert_ok!(Market::withdraw(RuntimeOrigin::signed(developer(0)), id));
		good.window = 2;
		assert_rejected(good, ValidityError::ChannelNotFound);
	});
}

#[test]
fn a_channel_of_another_host_is_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(1), MIN_DEPOSIT)]);
		let foreign = voucher(&gateway(0), id, totals(GNK, 1, 1));
		assert_rejected(settlement(0, &[foreign]), ValidityError::ForeignChannel);
	});
}

#[test]
fn totals_below_the_settled_ones_are_rejected() {
	build_and_execute(|| {
		let (id, good) = good();
		submit(good);
		System::set_block_number(2 * WINDOW);
		for lower in [totals(GNK - 1, 11, 3), totals(GNK + 1, 9, 3), totals(GNK + 1, 11, 1)] {
			let lower = settlement(1, &[voucher(&gateway(0), id, lower)]);
			assert_rejected(lower, ValidityError::TotalsBelowSettled);
		}
	});
}

#[test]
fn a_voucher_without_growth_is_rejected() {
	build_and_execute(|| {
		let (id, good) = good();
		submit(good);
		System::set_block_number(2 * WINDOW);
		let same = voucher(&gateway(0), id, totals(GNK, 10, 2));
		assert_rejected(settlement(1, &[same]), ValidityError::NothingNew);
	});
}

#[test]
fn a_voucher_without_a_receipt_is_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		for empty in [totals(GNK, 1, 0), totals(0, 1, 0), totals(GNK, 0, 0)] {
			assert_rejected(settlement(0, &[voucher(&gateway(0), id, empty)]), ValidityError::NothingNew);
		}
	});
}

#[test]
fn a_settlement_that_neither_account_nor_fees_pay_for_is_rejected() {
	build_and_execute(|| {
		let (id, good) = good();
		Price::set(GNK + 1);
		assert_rejected(good.clone(), ValidityError::FeeNotCovered);
		// The rest of the fees must be enough for an account, too.
		Price::set(GNK - EXISTENTIAL_DEPOSIT + 1);
		assert_rejected(good, ValidityError::HostCannotReceive);
		Price::set(GNK);
		submit(settlement(0, &[voucher(&gateway(0), id, totals(GNK, 10, 2))]));
		Price::set(0);
		Market::refund(&host(0), 0).unwrap();
	});
}

#[test]
fn a_fee_above_the_deposit_is_rejected_until_a_top_up() {
	build_and_execute(|| {
		let (id, good) = good();
		let over = voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 11, 3));
		assert_rejected(settlement(0, &[over]), ValidityError::DepositExceeded);
		submit(good);
		System::set_block_number(2 * WINDOW);
		assert_rejected(settlement(1, &[over]), ValidityError::DepositExceeded);
		// A top-up makes it valid.
		let amounts = vec![(id, 1)].try_into().unwrap();
		assert_ok!(Market::top_up(RuntimeOrigin::signed(developer(0)), amounts));
		System::set_block_number(2 * WINDOW);
		submit(settlement(1, &[voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 11, 3))]));
	});
}

#[test]
fn a_root_with_another_sum_than_the_vouchers_is_rejected() {
	build_and_execute(|| {
		let (_, good) = good();
		for sum in [totals(GNK + 1, 10, 2), totals(GNK, 9, 2), totals(GNK, 10, 3), Totals::default()] {
			let mut wrong = good.clone();
			wrong.root.sum = sum;
			wrong.work = if sum.work > 0 { vec![(0, sum.work)] } else { vec![] };
			assert_rejected(wrong, ValidityError::SumMismatch);
		}
	});
}

#[test]
fn sums_that_overflow_are_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), [3; 32], list));
		let huge = |id| voucher(&gateway(0), id, totals(1, u64::MAX, 1));
		assert_rejected(settlement(0, &[huge(id), huge(id + 1)]), ValidityError::SumMismatch);
	});
}

#[test]
fn fees_that_the_host_cannot_receive_are_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let dust = totals(EXISTENTIAL_DEPOSIT - 1, 1, 1);
		assert_rejected(settlement(0, &[voucher(&gateway(0), id, dust)]), ValidityError::HostCannotReceive);
		let enough = totals(EXISTENTIAL_DEPOSIT, 1, 1);
		submit(settlement(0, &[voucher(&gateway(0), id, enough)]));
		// A host with an account can receive a single base unit.
		run_to_release();
		submit(settlement(2, &[voucher(&gateway(0), id, totals(EXISTENTIAL_DEPOSIT + 1, 2, 2))]));
	});
}

#[test]
fn a_signature_of_another_gateway_is_rejected() {
	build_and_execute(|| {
		let (id, good) = good();
		let forged = voucher(&gateway(1), id, totals(GNK, 10, 2));
		assert_rejected(settlement(0, &[forged]), ValidityError::BadGatewaySignature);
		// A signature does not cover other totals.
		let mut changed = good.vouchers[0];
		changed.voucher.totals.fee += 1;
		assert_rejected(settlement(0, &[changed]), ValidityError::BadGatewaySignature);
		// The signature of the last voucher is checked, too.
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), [3; 32], list));
		let second = voucher(&gateway(0), id + 1, totals(GNK, 1, 1));
		assert_rejected(settlement(0, &[good.vouchers[0], second]), ValidityError::BadGatewaySignature);
	});
}

/// The good settlement with other work of models.
fn with_work(work: &[(u32, u64)]) -> gonka_primitives::market::Settlement {
	let mut changed = good().1;
	changed.work = work.to_vec();
	changed
}

#[test]
fn work_of_too_many_models_is_rejected() {
	build_and_execute(|| {
		let work: Vec<_> = (0..17).map(|model| (model, 1)).collect();
		assert_rejected(with_work(&work), ValidityError::TooManyModels);
	});
}

#[test]
fn work_must_ascend_by_model_and_not_be_zero() {
	build_and_execute(|| {
		let mut wrong = good().1;
		for work in [vec![(1, 4), (0, 6)], vec![(0, 4), (0, 6)], vec![(0, 10), (1, 0)], vec![(0, 0)]] {
			wrong.work = work;
			assert_rejected(wrong.clone(), ValidityError::WorkNotAscending);
		}
	});
}

#[test]
fn work_that_does_not_sum_to_the_root_is_rejected() {
	build_and_execute(|| {
		let mut wrong = good().1;
		for work in [vec![], vec![(0, 9)], vec![(0, 11)], vec![(0, u64::MAX), (1, 11)]] {
			wrong.work = work;
			assert_rejected(wrong.clone(), ValidityError::WorkMismatch);
		}
	});
}

#[test]
fn work_of_an_unknown_model_is_rejected() {
	build_and_execute(|| {
		assert_rejected(with_work(&[(0, 9), (1, 1)]), ValidityError::UnknownModel);
	});
}

#[test]
fn work_of_a_retired_model_can_be_settled() {
	build_and_execute(|| {
		assert_ok!(Market::retire_model(RuntimeOrigin::root(), 0));
		submit(good().1);
		assert_eq!(crate::WindowWork::<Test>::iter().count(), 0);
	});
}
