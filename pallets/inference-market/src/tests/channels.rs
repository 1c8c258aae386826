use super::mock::*;
use crate::{Channel, Channels, DeveloperChannels, Error, Event, NextChannelId, OpenChannels};
use gonka_primitives::{Balance, ChannelId};
use polkadot_sdk::{
	frame_support::{
		BoundedVec, assert_noop, assert_ok,
		traits::{Hooks, fungible::Inspect},
	},
	sp_runtime::{AccountId32, DispatchResult, TokenError},
};

fn try_open(channels: &[(AccountId32, Balance)]) -> DispatchResult {
	let channels = BoundedVec::try_from(channels.to_vec()).unwrap();
	Market::open_channels(RuntimeOrigin::signed(developer(0)), gateway(0).public_key(), channels)
}

fn try_top_up(by: u8, amounts: &[(ChannelId, Balance)]) -> DispatchResult {
	Market::top_up(RuntimeOrigin::signed(developer(by)), BoundedVec::try_from(amounts.to_vec()).unwrap())
}

trait PublicKeyOf {
	fn public_key(&self) -> [u8; 32];
}
impl PublicKeyOf for polkadot_sdk::sp_core::sr25519::Pair {
	fn public_key(&self) -> [u8; 32] {
		polkadot_sdk::sp_core::Pair::public(self).0
	}
}

#[test]
fn the_test_configuration_passes_the_integrity_test() {
	build_and_execute(Market::integrity_test);
}

#[test]
fn several_channels_open_with_one_hold() {
	build_and_execute(|| {
		let first = open(&[(host(0), MIN_DEPOSIT), (host(1), 2 * MIN_DEPOSIT)]);
		assert_eq!(held(&developer(0)), 3 * MIN_DEPOSIT);
		assert_eq!(Balances::balance(&developer(0)), FUNDS - 3 * MIN_DEPOSIT);
		let expected = Channel {
			developer: developer(0),
			host: host(1),
			gateway: gateway(0).public_key(),
			deposit: 2 * MIN_DEPOSIT,
			settled: totals(0, 0, 0),
			closes: None,
		};
		assert_eq!(Channels::<Test>::get(first + 1), Some(expected));
		// Another gateway key may have its own.
		let list = vec![(host(0), MIN_DEPOSIT)].try_into().unwrap();
		assert_ok!(Market::open_channels(RuntimeOrigin::signed(developer(0)), [9; 32], list));
		assert_eq!(DeveloperChannels::<Test>::iter_key_prefix(developer(0)).count(), 3);
	});
}

#[test]
fn invalid_openings_are_rejected() {
	build_and_execute(|| {
		assert_noop!(try_open(&[(host(0), MIN_DEPOSIT - 1)]), Error::<Test>::AmountTooLow);
		assert_noop!(try_open(&[(host(9), MIN_DEPOSIT)]), Error::<Test>::NotFound);
		assert_noop!(try_open(&[(host(0), FUNDS)]), TokenError::FundsUnavailable);
		assert_noop!(try_open(&[(host(0), Balance::MAX), (host(1), Balance::MAX)]), Error::<Test>::Overflow);
		let twice = [(host(0), MIN_DEPOSIT), (host(0), MIN_DEPOSIT)];
		assert_noop!(try_open(&twice), Error::<Test>::AlreadyExists);
		open(&twice[..1]);
		assert_noop!(try_open(&twice[..1]), Error::<Test>::AlreadyExists);
		NextChannelId::<Test>::put(u64::MAX);
		assert_noop!(try_open(&[(host(1), MIN_DEPOSIT)]), Error::<Test>::Overflow);
	});
}

#[test]
fn top_ups_raise_deposits_and_invalid_ones_are_rejected() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT), (host(1), MIN_DEPOSIT)]);
		assert_ok!(try_top_up(0, &[(id, 1), (id + 1, 2), (id, 3)]));
		assert_eq!(last_event_of_market(), Event::ChannelToppedUp { channel: id, amount: 3 });
		assert_eq!(Channels::<Test>::get(id).unwrap().deposit, MIN_DEPOSIT + 4);
		assert_eq!(held(&developer(0)), 2 * MIN_DEPOSIT + 6);

		assert_noop!(try_top_up(0, &[(id, 0)]), Error::<Test>::AmountTooLow);
		assert_noop!(try_top_up(0, &[(id, 1), (99, 1)]), Error::<Test>::NotFound);
		assert_noop!(try_top_up(1, &[(id, 1)]), Error::<Test>::NotAuthorized);
		assert_noop!(try_top_up(0, &[(id, FUNDS)]), TokenError::FundsUnavailable);
		assert_noop!(try_top_up(0, &[(id, Balance::MAX)]), Error::<Test>::Overflow);
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(developer(0)), id));
		assert_noop!(try_top_up(0, &[(id, 1)]), Error::<Test>::AlreadyClosing);
	});
}

fn last_event_of_market() -> Event<Test> {
	let mut events = System::events();
	while let Some(record) = events.pop() {
		if let RuntimeEvent::Market(event) = record.event {
			return event;
		}
	}
	panic!("no event of the market")
}

#[test]
fn a_channel_is_withdrawn_after_the_challenge_period() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		let close = |who| Market::close_channel(RuntimeOrigin::signed(who), id);
		let withdraw = || Market::withdraw(RuntimeOrigin::signed(developer(2)), id);
		assert_noop!(withdraw(), Error::<Test>::NotClosed);
		assert_noop!(close(developer(1)), Error::<Test>::NotAuthorized);
		assert_noop!(close(host(1)), Error::<Test>::NotAuthorized);

		assert_ok!(close(developer(0)));
		let closes = WINDOW + CHALLENGE;
		assert_eq!(last_event(), Event::ChannelClosing { channel: id, closes });
		assert_noop!(close(host(0)), Error::<Test>::AlreadyClosing);
		System::set_block_number(closes - 1);
		assert_noop!(withdraw(), Error::<Test>::NotClosed);
		System::set_block_number(closes);
		assert_ok!(withdraw());
		assert_eq!(last_event(), Event::ChannelWithdrawn { channel: id, amount: MIN_DEPOSIT });
		assert_eq!((held(&developer(0)), Balances::balance(&developer(0))), (0, FUNDS));
		assert_noop!(withdraw(), Error::<Test>::NotFound);
		assert_noop!(close(developer(0)), Error::<Test>::NotFound);
	});
}

#[test]
fn a_host_can_close_and_the_parties_can_open_again_at_once() {
	build_and_execute(|| {
		let id = open(&[(host(0), MIN_DEPOSIT)]);
		assert_ok!(Market::close_channel(RuntimeOrigin::signed(host(0)), id));
		assert_eq!(OpenChannels::<Test>::iter().count(), 0);
		assert_eq!(open(&[(host(0), MIN_DEPOSIT)]), id + 1);
		assert_eq!(held(&developer(0)), 2 * MIN_DEPOSIT);
	});
}
