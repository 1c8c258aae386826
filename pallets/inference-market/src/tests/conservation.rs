//! Random sequences of all calls that move money: none appears, none vanishes, and each party has what a plain model says.

use super::mock::*;
use crate::{Channels, Event, HeldFees, NextChannelId, SettledWindows};
use gonka_primitives::{Balance, ChannelId, GNK, market::Settlement, traits::FeeDecision};
use polkadot_sdk::{
	frame_support::{BoundedVec, traits::fungible::Inspect},
	sp_core::Pair,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const PARTIES: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
	Open {
		developer: u8,
		gateway: u8,
		host: u8,
		deposit: Balance,
	},
	TopUp {
		developer: u8,
		channel: ChannelId,
		amount: Balance,
	},
	Close {
		by_host: bool,
		channel: ChannelId,
	},
	Withdraw {
		channel: ChannelId,
	},
	/// The vouchers of the channels grow by these fees and numbers of receipts.
	Settle {
		host: u8,
		channels: Vec<(ChannelId, Balance, u64)>,
	},
	/// The voucher of each channel of the host grows by a part of the channel's rest, in 1/255.
	SettleRight {
		host: u8,
		parts: Vec<u8>,
	},
	/// Sends the last accepted settlement again.
	SettleAgain,
	/// Sets the decision about a waiting settlement.
	Judge {
		which: usize,
		decision: Option<FeeDecision>,
	},
	/// Refunds a waiting settlement before its fees are due.
	Refund {
		which: usize,
	},
	/// Runs blocks.
	Blocks(u32),
}

fn step() -> impl Strategy<Value = Step> {
	let channel = 0..10u64;
	let amount = prop_oneof![Just(0), 1..3_000u128, GNK..40 * GNK, Just(Balance::MAX)];
	let growth = prop_oneof![Just(0), 1..3_000u128, GNK..12 * GNK, Just(Balance::MAX)];
	let claim = (channel.clone(), growth, 0..3u64);
	prop_oneof![
		6 => (0..PARTIES, 0..2u8, 0..3u8, amount.clone()).prop_map(|(developer, gateway, host, amount)| {
			Step::Open { developer, gateway, host, deposit: amount.saturating_add(MIN_DEPOSIT - GNK) }
		}),
		1 => (0..PARTIES, channel.clone(), amount)
			.prop_map(|(developer, channel, amount)| Step::TopUp { developer, channel, amount }),
		1 => (any::<bool>(), channel.clone()).prop_map(|(by_host, channel)| Step::Close { by_host, channel }),
		2 => channel.prop_map(|channel| Step::Withdraw { channel }),
		8 => (0..2u8, prop::collection::vec(any::<u8>(), 1..9))
			.prop_map(|(host, parts)| Step::SettleRight { host, parts }),
		3 => (0..2u8, prop::collection::vec(claim, 0..5))
			.prop_map(|(host, channels)| Step::Settle { host, channels }),
		1 => Just(Step::SettleAgain),
		2 => (0..8usize, prop_oneof![Just(None), Just(Some(FeeDecision::Refund)), Just(Some(FeeDecision::Release))])
			.prop_map(|(which, decision)| Step::Judge { which, decision }),
		1 => (0..8usize).prop_map(|which| Step::Refund { which }),
		6 => (1..2 * WINDOW).prop_map(Step::Blocks),
	]
}

/// The first block in which fees may be released, the developers that owe them, and what is burnt out of them.
type Waiting = (u32, Vec<(u8, Balance)>, Balance);

/// The balances of all parties, from the successful calls alone.
#[derive(Default)]
struct Model {
	free: BTreeMap<u8, Balance>,
	hosts: BTreeMap<u8, Balance>,
	/// Developer and rest by channel.
	channels: BTreeMap<ChannelId, (u8, Balance)>,
	/// Fees by host and window.
	waiting: BTreeMap<(u8, u32), Waiting>,
	last: Option<(u8, Settlement)>,
	burnt: Balance,
}

impl Model {
	fn check(&self) {
		for index in 0..PARTIES {
			let fees = self.waiting.values().flat_map(|(_, fees, _)| fees);
			let held_for = self.channels.values().chain(fees).filter(|(by, _)| *by == index);
			assert_eq!(held(&developer(index)), held_for.map(|(_, amount)| amount).sum());
			assert_eq!(Balances::balance(&developer(index)), self.free[&index]);
		}
		for index in 0..2 {
			assert_eq!(Balances::balance(&host(index)), self.hosts[&index]);
		}
		assert_eq!(HeldFees::<Test>::iter().count(), self.waiting.len());
		Market::do_try_state().unwrap();
	}

	fn take(&mut self, step: Step) {
		match step {
			Step::Open { developer: by, gateway: key, host: to, deposit } => {
				let list = BoundedVec::try_from(vec![(host(to), deposit)]).unwrap();
				let id = NextChannelId::<Test>::get();
				let key = gateway(key).public().0;
				if transactional(|| Market::open_channels(RuntimeOrigin::signed(developer(by)), key, list)) {
					*self.free.get_mut(&by).unwrap() -= deposit;
					self.channels.insert(id, (by, deposit));
				}
			},
			Step::TopUp { developer: by, channel, amount } => {
				let list = BoundedVec::try_from(vec![(channel, amount)]).unwrap();
				if transactional(|| Market::top_up(RuntimeOrigin::signed(developer(by)), list)) {
					*self.free.get_mut(&by).unwrap() -= amount;
					self.channels.get_mut(&channel).unwrap().1 += amount;
				}
			},
			Step::Close { by_host, channel } => {
				let Some(parties) = Channels::<Test>::get(channel) else { return };
				let who = if by_host { parties.host } else { parties.developer };
				transactional(|| Market::close_channel(RuntimeOrigin::signed(who), channel));
			},
			Step::Withdraw { channel } => {
				if transactional(|| Market::withdraw(RuntimeOrigin::signed(developer(0)), channel)) {
					let (by, rest) = self.channels.remove(&channel).unwrap();
					*self.free.get_mut(&by).unwrap() += rest;
				}
			},
			Step::Settle { host: by, channels } => {
				self.settle(by, channels);
			},
			Step::SettleRight { host: by, parts } => self.settle_right(by, &parts),
			Step::SettleAgain => {
				if let Some((by, again)) = self.last.clone() {
					assert!(submit_as(&worker(by), again).is_err());
				}
			},
			Step::Judge { which, decision } => {
				if let Some((by, window)) = self.waiting.keys().nth(which) {
					Decisions::mutate(|decisions| decisions.insert((host(*by), *window), decision));
				}
			},
			Step::Refund { which } => {
				if let Some((by, window)) = self.waiting.keys().nth(which).copied() {
					System::reset_events();
					assert!(transactional(|| Market::refund(&host(by), window)));
					self.follow(true);
				}
			},
			Step::Blocks(blocks) => (0..blocks).for_each(|_| self.block()),
		}
	}

	fn block(&mut self) {
		System::reset_events();
		run_block();
		self.follow(false);
	}

	/// Follows the events about fees and checks that each was due.
	fn follow(&mut self, at_once: bool) {
		for record in System::events() {
			let RuntimeEvent::Market(event) = record.event else { continue };
			let (to, window, amount, paid) = match event {
				Event::FeesReleased { host, window, amount } => (host, window, amount, true),
				Event::FeesRefunded { host, window, amount } => (host, window, amount, false),
				_ => continue,
			};
			let by = (0..2).find(|by| host(*by) == to).unwrap();
			let (due, fees, charge) = self.waiting.remove(&(by, window)).unwrap();
			let now = System::block_number();
			assert!(at_once || due <= now, "released too early");
			let sum = fees.iter().map(|(_, fee)| fee).sum::<Balance>();
			assert_eq!(amount, if paid { sum - charge } else { sum });
			let decision = Decisions::get().get(&(to, window)).copied().unwrap_or(Some(FeeDecision::Release));
			if paid {
				let late = due + (MAX_HOLD - 2) * WINDOW <= now;
				assert!(decision == Some(FeeDecision::Release) || (decision.is_none() && late));
				*self.hosts.get_mut(&by).unwrap() += amount;
				self.burnt += charge;
				continue;
			}
			// Without a decision against the host, only a sum that it cannot receive is refunded.
			let dust = !self.can_receive(by, sum - charge);
			assert!(at_once || decision == Some(FeeDecision::Refund) || dust);
			for (developer, fee) in fees {
				*self.free.get_mut(&developer).unwrap() += fee;
			}
		}
	}

	/// Runs blocks until all fees are paid or refunded.
	fn finish(&mut self) {
		for _ in 0..(MAX_HOLD + 2) * WINDOW {
			self.block();
		}
		assert!(self.waiting.is_empty());
		self.check();
		let everybody = self.free.values().chain(self.hosts.values()).sum::<Balance>();
		let rests = self.channels.values().map(|(_, rest)| rest).sum::<Balance>();
		assert_eq!(everybody + rests, Balances::total_issuance());
	}

	fn can_receive(&self, by: u8, amount: Balance) -> bool {
		amount == 0 || self.hosts[&by] + amount >= EXISTENTIAL_DEPOSIT
	}

	/// Whether the host's account can pay for a settlement.
	fn can_pay(&self, by: u8) -> bool {
		Price::get() == 0 || self.hosts[&by] >= EXISTENTIAL_DEPOSIT + Price::get()
	}

	/// Sends a settlement with these vouchers, right or wrong. Returns whether it was accepted.
	fn settle(&mut self, by: u8, channels: Vec<(ChannelId, Balance, u64)>) -> bool {
		let (mut vouchers, mut fees) = (Vec::new(), BTreeMap::new());
		for (id, fee, receipts) in channels {
			let Some(channel) = Channels::<Test>::get(id) else { continue };
			let key = (0..2).map(gateway).find(|key| key.public().0 == channel.gateway).unwrap();
			let settled = channel.settled;
			let grown = totals(settled.fee.saturating_add(fee), settled.work + receipts, settled.receipts + receipts);
			vouchers.push(voucher(&key, id, grown));
			fees.insert(id, fee);
		}
		vouchers.sort_by_key(|signed| signed.voucher.channel);
		let window = System::block_number() / WINDOW - 1;
		let mut claim = settlement(window, &vouchers);
		claim.host = host(by).into();
		let Ok(result) = submit_as(&worker(by), claim.clone()) else { return false };
		assert!(result.is_ok(), "a settlement that the pool accepts succeeds");
		let mut charge = Price::get();
		if self.can_pay(by) {
			*self.hosts.get_mut(&by).unwrap() -= charge;
			(self.burnt, charge) = (self.burnt + charge, 0);
		}
		let mut waiting = Vec::new();
		for (id, fee) in fees {
			let channel = self.channels.get_mut(&id).unwrap();
			channel.1 -= fee;
			if fee > 0 {
				waiting.push((channel.0, fee));
			}
		}
		if !waiting.is_empty() {
			let due = (System::block_number() / WINDOW + 2) * WINDOW;
			self.waiting.insert((by, window), (due, waiting, charge));
		}
		self.last = Some((by, claim));
		true
	}

	/// Sends a settlement that must be accepted, if there is anything to settle.
	fn settle_right(&mut self, by: u8, parts: &[u8]) {
		let last = SettledWindows::<Test>::get(host(by)).last().copied();
		let mut channels: Vec<_> = Channels::<Test>::iter().filter(|(_, channel)| channel.host == host(by)).collect();
		if channels.is_empty() || last >= Some(System::block_number() / WINDOW - 1) {
			return;
		}
		channels.sort_by_key(|(id, _)| *id);
		channels.truncate(MAX_VOUCHERS as usize);
		let parts = parts.iter().cycle();
		let claims: Vec<_> = channels
			.iter()
			.zip(parts)
			.map(|((id, channel), part)| (*id, channel.rest() * Balance::from(*part) / 255, 1))
			.collect();
		let fees: Balance = claims.iter().map(|(_, fee, _)| fee).sum();
		let charge = if self.can_pay(by) { 0 } else { Price::get() };
		let paid = fees >= charge && self.can_receive(by, fees) && self.can_receive(by, fees - charge);
		assert_eq!(self.settle(by, claims), paid);
	}
}

/// Executes a call as a block does, all or nothing. Returns whether it succeeded.
fn transactional<E: From<polkadot_sdk::sp_runtime::DispatchError>>(call: impl FnOnce() -> Result<(), E>) -> bool {
	polkadot_sdk::frame_support::storage::with_storage_layer(call).is_ok()
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(192))]

	#[test]
	fn money_is_conserved_to_the_base_unit(
		steps in prop::collection::vec(step(), 20..120),
		price in prop_oneof![Just(0), 1..3_000u128, GNK..4 * GNK],
	) {
		new_test_ext().execute_with(|| {
			let before = Balances::total_issuance();
			Price::set(price);
			let mut model = Model {
				free: (0..PARTIES).map(|index| (index, FUNDS)).collect(),
				hosts: [(0, 0), (1, FUNDS)].into(),
				..Default::default()
			};
			for step in steps {
				model.take(step);
				model.check();
			}
			model.finish();
			assert_eq!(Balances::total_issuance() + model.burnt, before);
		});
	}
}
