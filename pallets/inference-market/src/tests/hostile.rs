//! Attempts of hostile developers and hosts. Each is rejected and changes nothing.

use super::mock::*;
use crate::{Channels, Error, ValidityError};
use gonka_primitives::{ChannelId, GNK};
use polkadot_sdk::{
	frame_support::{
		assert_noop, assert_ok,
		traits::fungible::{Inspect, Mutate},
	},
	sp_core::Pair,
	sp_runtime::{DispatchResult, TokenError},
};

/// A channel of host 0 with 6 GNK settled for window 0, and its voucher.
fn settled() -> (ChannelId, gonka_primitives::market::SignedVoucher) {
	let id = open(&[(host(0), MIN_DEPOSIT)]);
	let first = voucher(&gateway(0), id, totals(6 * GNK, 60, 6));
	submit(settlement(0, &[first]));
	(id, first)
}

fn close(by: polkadot_sdk::sp_runtime::AccountId32, id: ChannelId) {
	assert_ok!(Market::close_channel(RuntimeOrigin::signed(by), id));
}

fn withdraw(id: ChannelId) -> DispatchResult {
	Market::withdraw(RuntimeOrigin::signed(developer(0)), id)
}

fn open_as_developer(amount: u128, key: u8) -> DispatchResult {
	let list = vec![(host(1), amount)].try_into().unwrap();
	Market::open_channels(RuntimeOrigin::signed(developer(0)), [key; 32], list)
}

#[test]
fn a_stale_voucher_of_a_closing_channel_is_rejected() {
	build_and_execute(|| {
		let (id, newest) = settled();
		close(developer(0), id);
		run_to(2 * WINDOW);
		let stale = voucher(&gateway(0), id, totals(5 * GNK, 50, 5));
		assert_rejected(settlement(1, &[stale]), ValidityError::TotalsBelowSettled);
		assert_rejected(settlement(1, &[newest]), ValidityError::NothingNew);
		// A newer voucher counts during the challenge period, and the withdrawal leaves both fees on hold.
		submit(settlement(1, &[voucher(&gateway(0), id, totals(7 * GNK, 70, 7))]));
		run_to(WINDOW + CHALLENGE);
		assert_ok!(withdraw(id));
		assert_eq!(held(&developer(0)), GNK);
		assert_rejected(
			settlement(2, &[voucher(&gateway(0), id, totals(8 * GNK, 80, 8))]),
			ValidityError::ChannelNotFound,
		);
		run_to(5 * WINDOW);
		assert_eq!((held(&developer(0)), Balances::balance(&host(0))), (0, 7 * GNK));
	});
}

#[test]
fn a_host_can_settle_after_the_developer_closed_the_channel() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		close(developer(0), id);
		assert_noop!(withdraw(id), Error::<Test>::NotClosed);
		// The window that is running at the closing can be settled before the withdrawal.
		run_to(2 * WINDOW);
		assert_noop!(withdraw(id), Error::<Test>::NotClosed);
		submit(settlement(1, &[voucher(&gateway(0), id, totals(MIN_DEPOSIT, 9, 1))]));
		run_to(WINDOW + CHALLENGE);
		assert_ok!(withdraw(id));
		assert_eq!(Balances::balance(&developer(0)), FUNDS - MIN_DEPOSIT);
	});
}

#[test]
fn a_withdrawal_leaves_held_fees_on_hold() {
	build_and_execute(|| {
		let (id, _) = settled();
		Decisions::mutate(|decisions| decisions.insert((host(0), 0), None));
		close(developer(0), id);
		run_to(WINDOW + CHALLENGE);
		assert_ok!(withdraw(id));
		assert_noop!(withdraw(id), Error::<Test>::NotFound);
		assert_eq!((held(&developer(0)), Balances::balance(&developer(0))), (6 * GNK, FUNDS - 6 * GNK));
		run_to((1 + MAX_HOLD) * WINDOW);
		assert_eq!((held(&developer(0)), Balances::balance(&host(0))), (0, 6 * GNK));
	});
}

#[test]
fn the_same_money_does_not_fund_two_channels() {
	build_and_execute(|| {
		// The same parties, then the same money for two channels.
		open(&[(host(0), MIN_DEPOSIT)]);
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		let again = Market::open_channels(RuntimeOrigin::signed(developer(0)), gateway(0).public().0, list);
		assert_noop!(again, Error::<Test>::AlreadyExists);
		let list = vec![(host(0), FUNDS / 2), (host(1), FUNDS / 2)].try_into().unwrap();
		let twice = Market::open_channels(RuntimeOrigin::signed(developer(0)), [5; 32], list);
		assert_noop!(twice, TokenError::FundsUnavailable);
		let amounts = vec![(0, FUNDS / 2), (0, FUNDS / 2)].try_into().unwrap();
		let top_up = Market::top_up(RuntimeOrigin::signed(developer(0)), amounts);
		assert_noop!(top_up, TokenError::FundsUnavailable);
	});
}

#[test]
fn held_fees_do_not_fund_a_channel() {
	build_and_execute(|| {
		let (id, _) = settled();
		Decisions::mutate(|decisions| decisions.insert((host(0), 0), None));
		close(developer(0), id);
		run_to(WINDOW + CHALLENGE);
		assert_ok!(withdraw(id));
		// 6 GNK are held until the decision.
		let free = FUNDS - 6 * GNK;
		assert_noop!(open_as_developer(free + 1, 5), TokenError::FundsUnavailable);
		assert_ok!(open_as_developer(free - EXISTENTIAL_DEPOSIT, 5));
		let away = Balances::transfer(
			&developer(0),
			&developer(1),
			EXISTENTIAL_DEPOSIT,
			polkadot_sdk::frame_support::traits::tokens::Preservation::Expendable,
		);
		assert!(away.is_err(), "held fees keep the account alive");
		run_to((1 + MAX_HOLD) * WINDOW);
		assert_eq!(Balances::balance(&host(0)), 6 * GNK);
	});
}

#[test]
fn a_channel_spends_its_own_deposit_only() {
	build_and_execute(|| {
		let (id, _) = settled();
		open(&[(host(1), MIN_DEPOSIT)]);
		run_to(4 * WINDOW);
		// The fees are paid, so the hold has 4 GNK of this channel and 10 GNK of another one.
		let over = voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 61, 7));
		assert_rejected(settlement(3, &[over]), ValidityError::DepositExceeded);
		assert_eq!(Channels::<Test>::get(id).unwrap().rest(), 4 * GNK);
		submit(settlement(3, &[voucher(&gateway(0), id, totals(MIN_DEPOSIT, 61, 7))]));
		assert_rejected(settlement(2, &[over]), ValidityError::WindowSettled);
		assert_rejected(settlement(1, &[over]), ValidityError::WindowTooOld);
	});
}

#[test]
fn a_refund_does_not_raise_the_deposit_of_a_channel() {
	build_and_execute(|| {
		let (id, _) = settled();
		assert_ok!(Market::refund(&host(0), 0));
		run_to(2 * WINDOW);
		let over = voucher(&gateway(0), id, totals(MIN_DEPOSIT + 1, 61, 7));
		assert_rejected(settlement(1, &[over]), ValidityError::DepositExceeded);
		let used = voucher(&gateway(0), id, totals(6 * GNK, 60, 6));
		assert_rejected(settlement(1, &[used]), ValidityError::NothingNew);
	});
}

#[test]
fn fees_above_the_deposit_are_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		for fee in [MIN_DEPOSIT + 1, u128::MAX] {
			assert_rejected(
				settlement(0, &[voucher(&gateway(0), id, totals(fee, 1, 1))]),
				ValidityError::DepositExceeded,
			);
		}
	});
}

#[test]
fn receipts_cannot_be_settled_twice() {
	build_and_execute(|| {
		let (_, first) = settled();
		let mut again = settlement(0, &[first]);
		again.root.sum = first.voucher.totals;
		again.work = vec![(0, 60)];
		assert_rejected(again.clone(), ValidityError::WindowSettled);
		run_to(2 * WINDOW);
		again.window = 1;
		assert_rejected(again.clone(), ValidityError::NothingNew);
		// The receipts cannot be settled after they were paid either.
		run_to(4 * WINDOW);
		again.window = 3;
		assert_rejected(again, ValidityError::NothingNew);
	});
}

#[test]
fn sums_that_differ_from_the_vouchers_are_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)]);
		let good = settlement(0, &[voucher(&gateway(0), id, totals(GNK, 10, 2))]);
		let mut higher = good.clone();
		higher.root.sum.fee += 1;
		assert_rejected(higher, ValidityError::SumMismatch);
		let mut more = good.clone();
		(more.root.sum.work, more.work) = (11, vec![(0, 11)]);
		assert_rejected(more, ValidityError::SumMismatch);
		let mut inflated = good.clone();
		inflated.work = vec![(0, u64::MAX)];
		assert_rejected(inflated, ValidityError::WorkMismatch);
		submit(good);
	});
}
