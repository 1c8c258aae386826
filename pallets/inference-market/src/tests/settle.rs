use super::mock::*;
use crate::{
	Call, Channels, DueFees, Event, HeldFee, HeldFees, SettledWindows, Settlements, WeightInfo,
	weights::SubstrateWeight,
};
use gonka_primitives::{GNK, hashing::domain, market::Price};
use polkadot_sdk::{
	frame_support::{
		assert_ok,
		dispatch::{GetDispatchInfo, Pays},
		pallet_prelude::{Authorize, TransactionSource},
		traits::fungible::Inspect,
	},
	sp_runtime::DispatchError,
};

#[test]
fn fees_are_released_to_the_host_after_a_whole_window() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let first = totals(3 * GNK, 100, 5);
		submit(settlement(0, &[voucher(&gateway(0), id, first)]));
		assert_eq!(last_event(), Event::Settled { host: host(0), window: 0, totals: first });
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (0, MIN_DEPOSIT));
		let fee = HeldFee { channel: id, developer: developer(0), amount: 3 * GNK };
		let waiting = HeldFees::<Test>::get(host(0), 0).unwrap();
		assert_eq!((waiting.since, waiting.due, waiting.fees.to_vec()), (1, 3, vec![fee]));
		assert_eq!(Channels::<Test>::get(id).unwrap().settled, first);
		assert_eq!(Settlements::<Test>::get(0, host(0)).unwrap().sum, first);
		assert_eq!(Work::get(), [(host(0), 100)].into(), "the work is reported");

		// Vouchers are cumulative: the second one pays the difference, down to the last unit.
		run_to(3 * WINDOW - 1);
		assert_eq!(Balances::balance(&host(0)), 0);
		run_to(3 * WINDOW);
		assert_eq!(last_event(), Event::FeesReleased { host: host(0), window: 0, amount: 3 * GNK });
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (3 * GNK, MIN_DEPOSIT - 3 * GNK));
		submit(settlement(2, &[voucher(&gateway(0), id, totals(MIN_DEPOSIT, 150, 6))]));
		assert_eq!(last_event(), Event::Settled { host: host(0), window: 2, totals: totals(7 * GNK, 50, 1) });
		assert_eq!(Work::get(), [(host(0), 150)].into());
		run_to_release();
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (MIN_DEPOSIT, 0));
	});
}

#[test]
fn one_settlement_carries_vouchers_of_many_channels() {
	build_and_execute(|| {
		let mut vouchers = Vec::new();
		for index in 0..MAX_VOUCHERS {
			let (by, key) = ((index % 3) as u8, (index / 3) as u8);
			let gateway = gateway(key);
			let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
			let public = polkadot_sdk::sp_core::Pair::public(&gateway).0;
			assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(by)), public, list));
			vouchers.push(voucher(&gateway, index.into(), totals(u128::from(index) * 1_000, 1, 1)));
		}
		submit(settlement(0, &vouchers));
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), 28_000);
	});
}

#[test]
fn fees_too_small_for_an_account_each_are_enough_together() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		let key = polkadot_sdk::sp_core::Pair::public(&gateway(1)).0;
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(1)), key, list));
		let half = totals(EXISTENTIAL_DEPOSIT / 2, 1, 1);
		submit(settlement(0, &[voucher(&gateway(0), id, half), voucher(&gateway(1), id + 1, half)]));
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), EXISTENTIAL_DEPOSIT);
	});
}

#[test]
fn a_settlement_without_fees_holds_no_money() {
	build_and_execute(|| {
		Epoch::set(0);
		assert_eq!(Market::models()[0].price, Price::default());
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		submit(settlement(0, &[voucher(&gateway(0), id, totals(0, 70, 1))]));
		assert_eq!(Channels::<Test>::get(id).unwrap().settled, totals(0, 70, 1));
		assert_eq!((HeldFees::<Test>::iter().count(), DueFees::<Test>::iter().count()), (0, 0));
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), 0);
		assert_eq!(held(&developer(0)), MIN_DEPOSIT);
	});
}

#[test]
fn a_closing_channel_can_be_settled_until_it_is_withdrawn() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(developer(0)), id));
		submit(settlement(0, &[voucher(&gateway(0), id, totals(4 * GNK, 1, 1))]));
		System::set_block_number(WINDOW + CHALLENGE);
		submit(settlement(2, &[voucher(&gateway(0), id, totals(5 * GNK, 2, 2))]));
		assert_ok!(Market::withdraw(RuntimeOrigin::signed(developer(1)), id));
		assert_eq!(Balances::balance(&developer(0)), FUNDS - 5 * GNK);
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (0, 5 * GNK));
		run_to_release();
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (5 * GNK, 0));
	});
}

#[test]
fn a_host_can_be_its_own_developer() {
	build_and_execute(|| {
		let (id, key) = (crate::NextChannelId::<Test>::get(), gateway(0));
		let list = vec![(host(1), MIN_DEPOSIT)].try_into().unwrap();
		let public = polkadot_sdk::sp_core::Pair::public(&key).0;
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(host(1)), public, list));
		let mut own = settlement(0, &[voucher(&key, id, totals(GNK, 1, 1))]);
		own.host = host(1).into();
		assert_ok!(submit_as(&worker(1), own).unwrap());
		run_to_release();
		assert_eq!(Balances::balance(&host(1)), FUNDS - MIN_DEPOSIT + GNK);
	});
}

#[test]
fn the_oldest_roots_of_a_host_are_removed() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		for window in 0..5u32 {
			System::set_block_number((window + 1) * WINDOW);
			submit(settlement(
				window,
				&[voucher(&gateway(0), id, totals(0, u64::from(window) + 1, u64::from(window) + 1))],
			));
			Market::do_try_state().unwrap();
		}
		assert_eq!(SettledWindows::<Test>::get(host(0)).to_vec(), [2, 3, 4]);
		assert_eq!(Settlements::<Test>::iter().count(), 3);
	});
}

#[test]
fn a_settlement_is_free_and_unique_by_host_and_window() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let settlement = settlement(0, &[voucher(&gateway(0), id, totals(GNK, 1, 1))]);
		let signature = sign(&worker(0), domain::SETTLEMENT, &settlement);
		let call = RuntimeCall::Market(Call::settle { settlement: settlement.clone(), signature });
		let info = call.get_dispatch_info();
		assert_eq!((info.pays_fee, info.call_weight), (Pays::No, SubstrateWeight::<Test>::settle(1, 1)));
		assert_eq!(call.weight_of_authorize(), SubstrateWeight::<Test>::authorize_settle(1, 1));

		let (valid, _) = call.authorize(TransactionSource::External).unwrap().unwrap();
		let mut other = settlement;
		other.root.hash = [8; 32];
		let signature = sign(&worker(0), domain::SETTLEMENT, &other);
		let other = RuntimeCall::Market(Call::settle { settlement: other, signature });
		let (same_slot, _) = other.authorize(TransactionSource::External).unwrap().unwrap();
		assert_eq!(valid.provides, same_slot.provides);
		assert_eq!((valid.longevity, valid.propagate), (WINDOW.into(), true));
	});
}

#[test]
fn settle_rejects_every_origin_that_is_not_authorised() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let settlement = settlement(0, &[voucher(&gateway(0), id, totals(GNK, 1, 1))]);
		let signature = sign(&worker(0), domain::SETTLEMENT, &settlement);
		for origin in [RuntimeOrigin::signed(host(0)), RuntimeOrigin::root(), RuntimeOrigin::none()] {
			let result = Market::settle(origin, settlement.clone(), signature);
			assert_eq!(result, Err(DispatchError::BadOrigin));
		}
	});
}
