//! Money under random sequences of calls on the real runtime, sent as extrinsics as they come over the wire: no money
//! appears, vanishes or is stuck, and independent calls may come in any order.
#![cfg(feature = "fast-runtime")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "money/world.rs"]
mod world;

use gonka_load::chain::{Chain, Gonka, general};
use gonka_primitives::{Balance, GNK, check::Offence};
use gonka_runtime::{AccountId, BlockNumber, RuntimeCall, System};
use gonka_runtime_common::Time;
use pallet_balances::Call as Money;
use pallet_collateral::Call as Pledge;
use pallet_inference_market::Call as Market;
use polkadot_sdk::{frame_support::traits::Get, sp_core::storage::Storage, *};
use proptest::prelude::*;
use std::sync::LazyLock;
use world::{BANK, DEVELOPERS, HOSTS, World};

#[derive(Clone, Debug)]
enum Step {
	Register(usize),
	Deposit(usize, Balance),
	Unbond(usize, Balance),
	Release(usize),
	Offend(usize, bool),
	Claim(usize),
	Open { developer: usize, host: usize, deposit: Balance },
	TopUp { developer: usize, channel: u64, amount: Balance },
	Close { by_host: bool, channel: u64 },
	Withdraw(u64),
	Settle { host: usize, parts: Vec<u8> },
	Refund(usize),
	Transfer { from: usize, to: usize, amount: Balance, all: bool },
	Blocks(BlockNumber),
	Epoch,
}

fn step() -> impl Strategy<Value = Step> {
	let (host, developer, channel, party) = (0..HOSTS, 0..DEVELOPERS, 0..8u64, 0..HOSTS + DEVELOPERS);
	let amount = prop_oneof![Just(0), 1..2_000_000u128, GNK..900_000 * GNK, Just(Balance::MAX)];
	let deposit = prop_oneof![1 => 0..GNK, 4 => GNK..50 * GNK];
	prop_oneof![
		1 => host.clone().prop_map(Step::Register),
		3 => (host.clone(), amount.clone()).prop_map(|(host, amount)| Step::Deposit(host, amount)),
		2 => (host.clone(), amount.clone()).prop_map(|(host, amount)| Step::Unbond(host, amount)),
		1 => host.clone().prop_map(Step::Release),
		1 => (host.clone(), any::<bool>()).prop_map(|(host, grave)| Step::Offend(host, grave)),
		1 => host.clone().prop_map(Step::Claim),
		5 => (developer.clone(), host.clone(), deposit.clone())
			.prop_map(|(developer, host, deposit)| Step::Open { developer, host, deposit }),
		1 => (developer, channel.clone(), amount.clone())
			.prop_map(|(developer, channel, amount)| Step::TopUp { developer, channel, amount }),
		1 => (any::<bool>(), channel.clone()).prop_map(|(by_host, channel)| Step::Close { by_host, channel }),
		1 => channel.prop_map(Step::Withdraw),
		6 => (host.clone(), prop::collection::vec(any::<u8>(), 4)).prop_map(|(host, parts)| Step::Settle { host, parts }),
		1 => host.prop_map(Step::Refund),
		3 => (party.clone(), party, amount, prop::bool::weighted(0.1))
			.prop_map(|(from, to, amount, all)| Step::Transfer { from, to, amount, all }),
		4 => (1..25u32).prop_map(Step::Blocks),
		2 => Just(Step::Epoch),
	]
}

/// Takes a step, and returns whether the runtime accepted it.
fn take(world: &mut World, step: Step) -> bool {
	match step {
		Step::Register(host) => world.register(host),
		Step::Deposit(host, amount) => world.sign(host, Pledge::deposit { amount }),
		Step::Unbond(host, amount) => world.sign(host, Pledge::withdraw { amount }),
		Step::Release(host) => world.sign(host, Pledge::release {}),
		Step::Offend(host, grave) => {
			world.offend(host, if grave { Offence::Fabrication } else { Offence::FalseDigest });
			true
		},
		Step::Claim(host) => {
			let host = world.hosts[host].account.clone();
			world.send(&general(pallet_emission::Call::claim { host }))
		},
		Step::Open { developer, host, deposit } => world.open(developer, host, deposit).is_some(),
		Step::TopUp { developer, channel, amount } => {
			let amounts = vec![(channel, amount)].try_into().unwrap();
			world.sign(HOSTS + developer, Market::top_up { amounts })
		},
		Step::Close { by_host, channel } => world.close(channel, by_host),
		Step::Withdraw(id) => world.sign(0, Market::withdraw { id }),
		Step::Settle { host, parts } => world.settle(host, &parts),
		Step::Refund(host) => world.refund(host),
		Step::Transfer { from, to, amount, all } => {
			let dest = world.party(to).0.into();
			let call: RuntimeCall = if all {
				Money::transfer_all { dest, keep_alive: false }.into()
			} else {
				Money::transfer_allow_death { dest, value: amount }.into()
			};
			world.sign(from, call)
		},
		Step::Blocks(count) => {
			world.blocks(count);
			true
		},
		Step::Epoch => {
			world.epochs(1);
			true
		},
	}
}

/// The random test below relies on steps that succeed: this one takes each kind of step once.
#[test]
fn each_step_can_be_taken() {
	let mut world = World::new();
	let steps = [
		Step::Deposit(0, 500 * GNK),
		Step::Open { developer: 0, host: 1, deposit: 10 * GNK },
		Step::Open { developer: 1, host: 1, deposit: 10 * GNK },
		Step::Open { developer: 0, host: 2, deposit: 10 * GNK },
		Step::TopUp { developer: 0, channel: 0, amount: GNK },
		Step::Offend(0, true),
		Step::Unbond(0, 100 * GNK),
		Step::Blocks(Time::THIS.window),
		Step::Settle { host: 1, parts: vec![250, 100] },
		Step::Settle { host: 2, parts: vec![1] },
		Step::Refund(2),
		Step::Close { by_host: true, channel: 0 },
		Step::Transfer { from: HOSTS, to: 0, amount: GNK, all: true },
		Step::Epoch,
		Step::Withdraw(0),
		Step::Register(0),
		Step::Epoch,
		Step::Epoch,
		Step::Epoch,
		Step::Release(0),
		Step::Epoch,
		// Just before the block's end would pay it.
		Step::Claim(0),
	];
	for step in steps {
		assert!(take(&mut world, step.clone()), "{step:?}");
		world.check();
	}
	assert!(world.vesting() > 0, "hosts have earned");
	world.wind_down();
}

proptest! {
	// A case is about a thousand blocks.
	#![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(cases(3)) })]

	/// After any calls in any order, every base unit is issued, unmined or burnt for a known reason, and when
	/// all parties have left, all of it is in free balances again.
	#[test]
	fn money_is_conserved_and_never_stuck(steps in prop::collection::vec(step(), 20..60)) {
		let mut world = World::new();
		for step in steps {
			take(&mut world, step);
			world.check();
		}
		world.wind_down();
	}
}

/// Returns the number of cases that `PROPTEST_CASES` requests, or the default.
fn cases(default: u32) -> u32 {
	std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

/// A chain on which each call of [`independent`] has an effect: rewards vest, channels are open or closed, collateral
/// is about to be released, a window can be settled.
static READY: LazyLock<(Storage, BlockNumber, gonka_primitives::Hash)> = LazyLock::new(|| {
	let mut world = World::new();
	world.epochs(2);
	for host in 0..HOSTS {
		assert!(world.sign(host, Pledge::deposit { amount: 1_000 * GNK }));
		assert!((0..DEVELOPERS).all(|developer| world.open(developer, host, 20 * GNK).is_some()));
	}
	assert!(world.sign(2, Pledge::withdraw { amount: 100 * GNK }));
	let closed = world.channel(2, 0);
	assert!(world.close(closed, false));
	// Until no report about power that the collateral backed is possible.
	world.epochs(3);
	// To the epoch's last block: the first block of the next epoch has something to claim.
	world.blocks(Time::THIS.schedule.length - 1);
	let number = world.chain.with(System::block_number);
	world.chain.end();
	(world.chain.storage(), number, world.genesis)
});

/// Returns calls of different parties, none of which depends on another. It leaves out opening channels and first
/// commitments: these assign numbers in the order in which they come.
fn independent(world: &mut World) -> Vec<Vec<u8>> {
	let treasury = || <gonka_runtime::genesis::Treasury as Get<AccountId>>::get().into();
	let (id, closed) = (world.channel(1, 1), world.channel(2, 0));
	let amounts = vec![(world.channel(0, 0), GNK)].try_into().unwrap();
	let mut calls = vec![
		world.signed(HOSTS, Market::top_up { amounts }),
		world.signed(HOSTS + 1, Market::close_channel { id }),
		world.signed(HOSTS + 2, Money::transfer_allow_death { dest: treasury(), value: GNK }),
		world.signed(0, Money::transfer_allow_death { dest: treasury(), value: 2 * GNK }),
		world.signed(1, Pledge::deposit { amount: 7 * GNK }),
		world.signed(2, Pledge::release {}),
		world.signed(BANK, Market::withdraw { id: closed }),
		world.registration(HOSTS),
	];
	for host in 0..HOSTS {
		calls.push(general(pallet_emission::Call::claim { host: world.hosts[host].account.clone() }));
		calls.push(world.settlement(host, &[100, 200, 0]).unwrap());
	}
	calls
}

proptest! {
	#![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(cases(12)) })]

	/// Two orders of the same independent calls leave the same state, except for the log of events.
	#[test]
	fn the_order_of_independent_calls_does_not_matter(
		one in Just((0..14usize).collect::<Vec<_>>()).prop_shuffle(),
		other in Just((0..14usize).collect::<Vec<_>>()).prop_shuffle(),
		used in prop::collection::vec(any::<bool>(), 14),
	) {
		let (storage, number, genesis) = &*READY;
		let calls = independent(&mut World::from(Chain::new(storage.clone(), *number), *genesis));
		prop_assert_eq!(calls.len(), used.len());
		let after = |order: &[usize]| {
			let mut chain = Chain::<Gonka>::new(storage.clone(), *number);
			chain.begin();
			for number in order.iter().filter(|number| used[**number]) {
				chain.apply(&calls[*number]).expect("valid").expect("successful");
			}
			chain.end();
			let mut top = chain.storage().top;
			let events = frame_support::storage::storage_prefix(b"System", b"Events");
			top.remove(&events[..]).expect("there are events");
			top
		};
		let (one, other) = (after(&one), after(&other));
		let differ: Vec<_> = one.iter().filter(|(key, value)| other.get(*key) != Some(value)).map(|(key, _)| key).collect();
		prop_assert!(differ.is_empty() && one.len() == other.len(), "{differ:x?}");
	}
}
