//! Fees between settlement and payment.

use super::mock::*;
use crate::{DueFees, Error, Event, HeldFees, OldestDue, ValidityError, WeightInfo, weights::SubstrateWeight};
use gonka_primitives::{ChannelId, GNK, traits::FeeDecision};
use polkadot_sdk::{
	frame_support::{
		assert_noop, assert_ok,
		traits::fungible::{Inspect, Mutate},
	},
	sp_core::Pair,
};

fn decide(window: u32, decision: Option<FeeDecision>) {
	Decisions::mutate(|decisions| decisions.insert((host(0), window), decision));
}

/// A channel with 3 GNK settled for window 0, in window 1.
fn settled() -> ChannelId {
	let id = open(&[(host(0), MIN_DEPOSIT)]);
	submit(settlement(0, &[voucher(&gateway(0), id, totals(3 * GNK, 10, 2))]));
	id
}

fn waiting() -> bool {
	HeldFees::<Test>::contains_key(host(0), 0)
}

#[test]
fn a_refund_decision_returns_held_fees_to_the_developers() {
	build_and_execute(|| {
		let id = settled();
		decide(0, Some(FeeDecision::Refund));
		run_to_release();
		assert_eq!(last_event(), Event::FeesRefunded { host: host(0), window: 0, amount: 3 * GNK });
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (0, MIN_DEPOSIT - 3 * GNK));
		assert_eq!(Balances::balance(&developer(0)), FUNDS - MIN_DEPOSIT + 3 * GNK);
		// The voucher stays used: the next one must be above it.
		run_to(4 * WINDOW);
		submit(settlement(3, &[voucher(&gateway(0), id, totals(4 * GNK, 11, 3))]));
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), GNK);
	});
}

#[test]
fn held_fees_can_be_refunded_before_they_are_due_and_only_once() {
	build_and_execute(|| {
		settled();
		assert_ok!(Market::refund(&host(0), 0));
		assert_eq!((held(&developer(0)), waiting()), (MIN_DEPOSIT - 3 * GNK, false));
		assert_eq!(DueFees::<Test>::iter().count(), 0);
		assert_noop!(Market::refund(&host(0), 0), Error::<Test>::NotFound);
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), 0);
	});
}

#[test]
fn released_fees_cannot_be_refunded() {
	build_and_execute(|| {
		settled();
		run_to_release();
		assert_noop!(Market::refund(&host(0), 0), Error::<Test>::NotFound);
		assert_noop!(Market::refund(&host(1), 0), Error::<Test>::NotFound);
	});
}

#[test]
fn a_refund_reaches_developers_whose_channel_is_gone() {
	build_and_execute(|| {
		let id = settled();
		decide(0, None);
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(developer(0)), id));
		run_to(WINDOW + CHALLENGE);
		assert_ok!(Market::withdraw(RuntimeOrigin::signed(developer(0)), id));
		assert_eq!(held(&developer(0)), 3 * GNK);
		assert_eq!(Balances::balance(&developer(0)), FUNDS - 3 * GNK);
		assert_ok!(Market::refund(&host(0), 0));
		assert_eq!((held(&developer(0)), Balances::balance(&developer(0))), (0, FUNDS));
	});
}

#[test]
fn fees_without_a_decision_are_released_after_max_hold_windows() {
	build_and_execute(|| {
		settled();
		decide(0, None);
		run_to((1 + MAX_HOLD) * WINDOW - 1);
		assert!(waiting());
		Market::do_try_state().unwrap();
		run_to((1 + MAX_HOLD) * WINDOW);
		assert_eq!(Balances::balance(&host(0)), 3 * GNK);
	});
}

#[test]
fn a_late_decision_takes_effect_when_the_next_window_begins() {
	build_and_execute(|| {
		settled();
		decide(0, None);
		run_to(3 * WINDOW);
		decide(0, Some(FeeDecision::Refund));
		run_to(4 * WINDOW - 1);
		assert!(waiting());
		run_to(4 * WINDOW);
		assert_eq!((waiting(), Balances::balance(&host(0))), (false, 0));
	});
}

#[test]
fn hosts_that_are_no_longer_registered_are_paid() {
	build_and_execute(|| {
		settled();
		Workers::mutate(|workers| workers.remove(&host(0)));
		run_to_release();
		assert_eq!(Balances::balance(&host(0)), 3 * GNK);
	});
}

#[test]
fn fees_below_the_existential_deposit_of_a_host_without_account_are_refunded() {
	build_and_execute(|| {
		assert_ok!(Balances::transfer(&developer(2), &host(0), EXISTENTIAL_DEPOSIT, keep_alive()));
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		submit(settlement(0, &[voucher(&gateway(0), id, totals(5, 1, 1))]));
		assert_ok!(Balances::transfer_all(RuntimeOrigin::signed(host(0)), developer(2), false));
		run_to_release();
		assert_eq!(last_event(), Event::FeesRefunded { host: host(0), window: 0, amount: 5 });
		assert_eq!(Balances::balance(&developer(0)), FUNDS - MIN_DEPOSIT + 5);
	});
}

/// A channel of host 1, which has money, and its voucher of 3 GNK for window 0.
fn of_a_rich_host() -> gonka_primitives::market::Settlement {
	let id = open(&[(host(1), MIN_DEPOSIT)]);
	let mut claim = settlement(0, &[voucher(&gateway(0), id, totals(3 * GNK, 10, 2))]);
	claim.host = host(1).into();
	claim
}

#[test]
fn the_account_of_a_host_pays_for_block_space() {
	new_test_ext().execute_with(|| {
		let issued = Balances::total_issuance();
		Price::set(GNK);
		let claim = of_a_rich_host();
		assert_ok!(submit_as(&worker(1), claim).unwrap());
		let charged = Event::Charged { host: host(1), window: 0, amount: GNK };
		assert!(System::events().iter().any(|record| record.event == charged.clone().into()));
		assert_eq!((Balances::balance(&host(1)), Balances::total_issuance()), (FUNDS - GNK, issued - GNK));
		run_to_release();
		assert_eq!(last_event(), Event::FeesReleased { host: host(1), window: 0, amount: 3 * GNK });
		assert_eq!(Balances::balance(&host(1)), FUNDS + 2 * GNK);
		Market::do_try_state().unwrap();
	});
}

#[test]
fn the_fees_pay_for_block_space_if_the_account_cannot() {
	new_test_ext().execute_with(|| {
		let issued = Balances::total_issuance();
		Price::set(GNK);
		settled();
		assert_eq!((held(&developer(0)), Balances::total_issuance()), (MIN_DEPOSIT, issued));
		Market::do_try_state().unwrap();
		run_to_release();
		assert_eq!(last_event(), Event::FeesReleased { host: host(0), window: 0, amount: 2 * GNK });
		assert_eq!((Balances::balance(&host(0)), held(&developer(0))), (2 * GNK, MIN_DEPOSIT - 3 * GNK));
		assert_eq!(Balances::total_issuance(), issued - GNK);
	});
}

#[test]
fn refunded_fees_pay_for_nothing() {
	build_and_execute(|| {
		Price::set(GNK);
		settled();
		assert_ok!(Market::refund(&host(0), 0));
		assert_eq!(Balances::balance(&developer(0)), FUNDS - MIN_DEPOSIT + 3 * GNK);
	});
}

#[test]
fn audited_work_of_a_host_with_weight_is_settled_free_of_charge_in_the_free_period() {
	build_and_execute(|| {
		Price::set(GNK);
		Epoch::set(FREE_EPOCHS - 1);
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let claim = settlement(0, &[voucher(&gateway(0), id, totals(0, 10, 2))]);
		assert_rejected(claim.clone(), ValidityError::FeeNotCovered);
		Ranks::set([(host(0), 1)].into());
		Unaudited::set(vec![0]);
		assert_rejected(claim.clone(), ValidityError::FeeNotCovered);
		Unaudited::take();
		Epoch::set(FREE_EPOCHS);
		assert_rejected(claim.clone(), ValidityError::FeeNotCovered);
		Epoch::set(FREE_EPOCHS - 1);
		submit(claim);
	});
}

fn keep_alive() -> polkadot_sdk::frame_support::traits::tokens::Preservation {
	polkadot_sdk::frame_support::traits::tokens::Preservation::Preserve
}

/// Settles window 0 of both hosts with a fee of 1 GNK in each of `MAX_VOUCHERS` channels.
fn settle_much() {
	for by in 0..2 {
		let mut vouchers = Vec::new();
		for key in 0..MAX_VOUCHERS as u8 {
			let gateway = gateway(key);
			let list = vec![(host(by), MIN_DEPOSIT)].try_into().unwrap();
			let id = crate::NextChannelId::<Test>::get();
			assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(key % 3)), gateway.public().0, list));
			vouchers.push(voucher(&gateway, id, totals(GNK, 1, 1)));
		}
		let mut claim = settlement(0, &vouchers);
		claim.host = host(by).into();
		assert_ok!(submit_as(&worker(by), claim).unwrap());
	}
}

fn held_settlements() -> usize {
	HeldFees::<Test>::iter().count()
}

#[test]
fn each_block_releases_a_bounded_number_of_fees_however_full_it_is() {
	build_and_execute(|| {
		settle_much();
		run_to(3 * WINDOW - 1);
		assert_eq!(held_settlements(), 2);
		// The blocks before passed the empty windows. Two settlements with 8 fees each exceed the 12 of a block.
		run_to(3 * WINDOW);
		assert_eq!(held_settlements(), 1);
		Market::do_try_state().unwrap();
		run_to(3 * WINDOW + 1);
		assert_eq!(held_settlements(), 0);
		assert_eq!(Balances::balance(&host(0)), Balances::balance(&host(1)) - FUNDS);
		run_to(3 * WINDOW + 2);
		assert_eq!(OldestDue::<Test>::get(), 4);
	});
}

#[test]
fn hooks_return_their_dispatch_weight() {
	use polkadot_sdk::frame_support::traits::Hooks;
	build_and_execute(|| {
		settle_much();
		run_to(3 * WINDOW - 1);
		System::set_block_number(3 * WINDOW);
		type Weights = SubstrateWeight<Test>;
		let expected = Weights::release_fees(8).saturating_add(Weights::move_prices(1));
		assert_eq!(Market::on_initialize(3 * WINDOW), expected);
		System::set_block_number(3 * WINDOW + 1);
		// The other settlement, and the window that is then empty.
		assert_eq!(Market::on_initialize(3 * WINDOW + 1), Weights::release_fees(9));
		System::set_block_number(3 * WINDOW + 2);
		assert_eq!(Market::on_initialize(3 * WINDOW + 2), Weights::release_fees(0));
	});
}
