//! Random votes, delegations and convictions, compared with a model that counts naively.

use super::mock::*;
use crate::{Ballot, types::split};
use gonka_primitives::{check::Offence, traits::OnOffence};
use polkadot_sdk::pallet_conviction_voting::AccountVote;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const HOSTS: u64 = 7;

#[derive(Clone, Debug)]
enum Step {
	Vote(u64, usize, u8),
	Remove(u64, usize),
	Delegate(u64, u16, u64),
	Undelegate(u64, u16),
	Convict(u64),
	Open(u16),
	Weigh(Vec<u64>),
	Blocks(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
	let host = || 1..=HOSTS;
	let step = prop_oneof![
		8 => (host(), 0..6usize, 0..4u8).prop_map(|(who, poll, ballot)| Step::Vote(who, poll, ballot)),
		2 => (host(), 0..6usize).prop_map(|(who, poll)| Step::Remove(who, poll)),
		6 => (host(), 0..2u16, host()).prop_map(|(who, class, to)| Step::Delegate(who, class, to)),
		2 => (host(), 0..2u16).prop_map(|(who, class)| Step::Undelegate(who, class)),
		1 => host().prop_map(Step::Convict),
		2 => (0..2u16).prop_map(Step::Open),
		1 => prop::collection::vec(0..50u64, HOSTS as usize).prop_map(Step::Weigh),
		1 => (1..8u64).prop_map(Step::Blocks),
	];
	prop::collection::vec(step, 1..60)
}

/// Weights, votes and delegations, without anything computed from them.
#[derive(Default)]
struct Model {
	/// Weights and class by poll, as of its opening.
	polls: Vec<(u16, BTreeMap<u64, u64>)>,
	ballots: BTreeMap<(u64, usize), Ballot>,
	delegates: BTreeMap<(u64, u16), u64>,
	convicted: BTreeMap<u64, usize>,
}

impl Model {
	fn voted(&self, who: u64, class: u16) -> bool {
		self.ballots.keys().any(|(voter, poll)| *voter == who && self.polls[*poll].0 == class)
	}

	fn tally(&self, poll: usize) -> (u128, u128, u128) {
		let (class, weights) = &self.polls[poll];
		let mut sum = (0, 0, 0);
		for who in 1..=HOSTS {
			let voter = self.delegates.get(&(who, *class)).copied().unwrap_or(who);
			// A convicted host votes again in polls opened afterwards with the weights of a newer epoch.
			let barred = self.convicted.get(&who).is_some_and(|until| poll < *until);
			if let Some(ballot) = self.ballots.get(&(voter, poll)).filter(|_| !barred) {
				let (ayes, nays, abstained) = split(ballot, weights.get(&who).copied().unwrap_or(0).into());
				sum = (sum.0 + ayes, sum.1 + nays, sum.2 + ayes + abstained);
			}
		}
		sum
	}

	fn convict(&mut self, who: u64) {
		self.convicted.insert(who, self.polls.len());
		self.ballots.retain(|(voter, _), _| *voter != who);
		self.delegates.retain(|(delegator, _), to| *delegator != who && *to != who);
	}
}

fn ballot(kind: u8) -> Ballot {
	match kind {
		0 => aye(),
		1 => nay(),
		2 => AccountVote::Split { aye: 2, nay: 3 },
		_ => AccountVote::SplitAbstain { aye: 1, nay: 1, abstain: 5 },
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(192))]
	#[test]
	fn tallies_equal_a_naive_count(steps in steps()) {
		run(|| {
			let mut model = Model::default();
			let mut epoch = 0;
			let mut weights: Vec<_> = (1..=HOSTS).map(|host| (host, host * 10)).collect();
			weigh(epoch, &weights);
			for step in steps {
				match step {
					Step::Open(class) => {
						if model.polls.len() < 6 {
							submit(if class == 0 { root() } else { emergency() });
							model.polls.push((class, weights.iter().copied().collect()));
						}
					},
					Step::Weigh(new) => {
						// Not before the weights of open polls are copied, as on the chain.
						blocks(6);
						epoch += 1;
						weights = (1..=HOSTS).zip(new).collect();
						weigh(epoch, &weights);
					},
					Step::Convict(who) => {
						ConvictionVoting::on_offence(&who, epoch, Offence::Fabrication);
						model.convict(who);
						// The conviction takes its weight of the epoch, too.
						weights.iter_mut().filter(|(host, _)| *host == who).for_each(|(_, weight)| *weight = 0);
						weigh(epoch, &weights);
					},
					Step::Blocks(count) => blocks(count),
					Step::Vote(who, poll, kind) => {
						if ConvictionVoting::vote(by(who), poll as u32, ballot(kind)).is_ok() {
							model.ballots.insert((who, poll), ballot(kind));
						}
					},
					Step::Remove(who, poll) => {
						if ConvictionVoting::remove_vote(by(who), None, poll as u32).is_ok() {
							prop_assert!(model.ballots.remove(&(who, poll)).is_some());
						}
					},
					Step::Delegate(who, class, to) => {
						let followers: BTreeSet<_> =
							model.delegates.iter().filter(|((_, at), of)| *at == class && **of == to).map(|((host, _), _)| *host).collect();
						if delegate(who, class, to).is_ok() {
							prop_assert!(who != to && !model.voted(who, class));
							prop_assert!(!model.delegates.contains_key(&(to, class)), "a chain");
							model.delegates.retain(|(_, at), of| *at != class || *of != who);
							if followers.len() == MAX_DELEGATORS as usize {
								let stays = |host: &u64| crate::Stances::<Test>::get(host, class) == crate::Stance::Delegating(to);
								model.delegates.retain(|(host, at), of| *at != class || *of != to || stays(host));
							}
							model.delegates.insert((who, class), to);
						}
					},
					Step::Undelegate(who, class) => {
						let ended = ConvictionVoting::undelegate(by(who), class).is_ok();
						prop_assert_eq!(ended, model.delegates.remove(&(who, class)).is_some());
					},
				}
				for poll in 0..model.polls.len() {
					if let Ok(status) = Referenda::ensure_ongoing(poll as u32) {
						prop_assert_eq!(tally(poll as u32), model.tally(poll), "poll {}", poll);
						prop_assert!(status.tally.ayes + status.tally.nays <= status.tally.electorate);
						prop_assert!(status.tally.support <= status.tally.electorate);
					} else {
						model.ballots.retain(|(_, at), _| *at != poll);
					}
				}
			}
			crate::Pallet::<Test>::do_try_state().unwrap();
			Ok(())
		})?;
	}
}
