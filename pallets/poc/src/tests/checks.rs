//! Committees, and the effects of checks and disputes on weight and pay.

use super::mock::*;
use crate::{
	CandidateCount, Checkers, Duty, Epoch, LastWeighed, NewCount, Power, SetDuties, Standing, Standings, math,
	types::{GROWTH, Weighing},
};
use gonka_primitives::{
	check::{Offence, requests_per_kind},
	hashing::blake2_256,
	traits::PaidWeights,
};
use gonka_sprint::{Draw, priority};
use polkadot_sdk::{
	frame_support::{self, traits::ConstU32},
	sp_runtime::AccountId32,
};
use std::{cmp::Reverse, collections::BTreeMap};

fn running() -> Epoch {
	Poc::running_epoch().unwrap()
}

fn pay(epoch: u32) -> BTreeMap<AccountId32, u64> {
	Poc::page(epoch, None, 100).into_iter().collect()
}

/// All hosts reveal all their tags.
fn all_check(epoch: u32, last: u8) {
	go_to_offset(epoch, SCHEDULE.reveal_start());
	for name in 1..=last {
		let sets = Poc::duties(&running(), &account(name)).iter().map(|duty| duty.sets.len() as u32).sum();
		Poc::note_digests(epoch, &account(name), sets, sets);
	}
}

/// Hosts 1, 2, … commit `counts` in every confirmation of the rest of the epoch.
fn confirm(epoch: u32, counts: &[u64]) {
	for offset in SCHEDULE.work_start()..SCHEDULE.length {
		go_to_offset(epoch, offset);
		let now = running();
		for number in 0..now.confirmations.len() as u8 {
			let segment = SCHEDULE.segments + number;
			let end = SCHEDULE.start_of(segment, &now.confirmations).unwrap() + SCHEDULE.segment;
			if offset == end {
				for (name, count) in (1..).zip(counts).filter(|(_, count)| **count > 0) {
					commit(commitment(name, epoch, segment, *count), &worker_key(name)).unwrap();
				}
			}
		}
	}
}

#[test]
fn duties_and_committees_describe_the_same_draw() {
	run(|| {
		register_hosts(12, 0);
		sprint(0, &[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
		assert!(Poc::committee(&running(), &account(1)).is_empty(), "there is no committee before the draw");
		go_to_offset(0, SCHEDULE.draw());
		let epoch = running();
		assert!(epoch.beacon.is_some());
		assert_eq!(Checkers::<Test>::get(0).len(), 8, "MaxCheckers");
		for name in 1..=12 {
			let committee = Poc::committee(&epoch, &account(name));
			assert!(committee.len() >= 7 && !committee.contains(&account(name)));
			for checker in &committee {
				let duties = Poc::duties(&epoch, checker);
				let Duty { sets, .. } = duties.iter().find(|duty| duty.host == account(name)).unwrap();
				assert_eq!(sets.len(), 2);
				for (set, partner) in sets {
					let partner = partner.clone().unwrap();
					let theirs = Poc::duties(&epoch, &partner);
					let theirs = theirs.iter().find(|duty| duty.host == account(name)).unwrap();
					assert!(theirs.sets.contains(&(*set, Some(checker.clone()))));
				}
			}
		}
	});
}

#[test]
fn hosts_with_weight_check_the_next_sprint_if_they_take_part() {
	run(|| {
		register_hosts(4, 0);
		sprint(0, &[10, 20, 30, 0]);
		go_to_offset(0, SCHEDULE.work_start());
		sprint(1, &[10, 20, 0, 1_000]);
		go_to_offset(1, SCHEDULE.draw());
		let checkers: Vec<_> = Checkers::<Test>::get(1).into_iter().map(|(who, _)| who).collect();
		assert_eq!(checkers, [account(2), account(1)], "3 does not take part, 4 has no weight yet");
		assert_eq!((CandidateCount::<Test>::get(1), NewCount::<Test>::get(1)), (2, 1));
		assert_eq!(Poc::committee(&running(), &account(4)), checkers);
		assert_eq!(Poc::committee(&running(), &account(1)), [account(2)]);
	});
}

/// The share of the candidates' weights, in per mille and over many draws, of the hosts that are the adversary's.
fn drawn_share(hosts: &[(u64, bool)]) -> u64 {
	let (mut theirs, mut all) = (0, 0);
	for beacon in 0..200 {
		let mut weighing = Weighing::<u32, ConstU32<1>, ConstU32<64>>::new([beacon; 32]);
		for (who, (weight, _)) in (0..).zip(hosts) {
			weighing.add(who, &Standing::of_weight(who, *weight), false);
		}
		let candidates = weighing.into_candidates(u64::MAX);
		assert_eq!(candidates.len(), hosts.len().min(64));
		assert!(candidates.is_sorted_by(|(_, a), (_, b)| a >= b));
		for (who, weight) in candidates {
			all += weight;
			theirs += if hosts[who as usize].1 { weight } else { 0 };
		}
	}
	theirs * 1_000 / all
}

/// In a network with more hosts than there are places for candidates, an adversary's share of these is that of the weight.
#[test]
fn hosts_a_leaf_heavier_than_the_others_are_not_all_of_the_checkers() {
	let hosts = |theirs: usize, weight, others: usize| {
		let all = core::iter::repeat_n((weight, true), theirs).chain(core::iter::repeat_n((1_000, false), others));
		drawn_share(&all.collect::<Vec<_>>())
	};
	// The heaviest 64 were all theirs.
	let share = hosts(64, 1_001, 576);
	assert!((85..115).contains(&share), "64 of 640: {share}");
	let share = hosts(320, 200, 576);
	assert!((85..115).contains(&share), "a tenth of the weight in a third of the hosts: {share}");
	let share = hosts(1, 64_000, 576);
	assert!((85..115).contains(&share), "a tenth of the weight in one host: {share}");
	assert_eq!(hosts(16, 3_000, 48), 500, "all are candidates");
}

/// The weight that known hosts with these weights show on the next day, of what they showed before, in per mille of the sum of
/// all that are heavy. They claim [`GROWTH`] times that and answer nothing. Of the checkers, `honest` request openings as
/// workers do, by [`priority`].
fn left_of_silent_hosts(checkers: u32, honest: u32, weights: &[u64]) -> u64 {
	let silent = weights.len() as u32;
	let draw = Draw::new([7; 32], &vec![1; checkers as usize], checkers + silent);
	assert_eq!(draw.checkable(), checkers + silent);
	let committees: Vec<_> = (checkers..checkers + silent).map(|host| draw.committee(host, None)).collect();
	let mut duties = vec![Vec::new(); checkers as usize];
	for (host, committee) in committees.iter().enumerate() {
		committee.iter().for_each(|checker| duties[*checker as usize].push(host));
	}
	let unanswered = |round: u32| {
		let mut unanswered = vec![0; silent as usize];
		for (checker, duties) in (0..honest).zip(&duties) {
			let of = |host: usize| {
				let order = [host as u32, checker, round].map(u32::to_le_bytes);
				priority(GROWTH * weights[host], &blake2_256(&[order.as_flattened()]))
			};
			let mut hosts = duties.clone();
			hosts.sort_by_cached_key(|host| Reverse(of(*host)));
			hosts.truncate(requests_per_kind(checkers).into());
			hosts.into_iter().for_each(|host| unanswered[host] += 1);
		}
		unanswered
	};
	let rounds = [0, 1, 2, 3].map(unanswered);
	let shown = |(host, weight): (usize, &u64)| {
		let size = committees[host].len() as u32;
		let [sprint, confirmations @ ..] = rounds.each_ref().map(|unanswered| unanswered[host]);
		let claimed = if sprint == 0 { GROWTH * weight } else { *weight };
		let confirmed =
			confirmations.map(|requests| math::answered(math::MILLION, requests, size)).iter().sum::<u64>() / 3;
		math::scale(math::answered(claimed, sprint, size), confirmed)
	};
	let heavy = |weight: &u64| *weight > 2;
	let left: u64 = weights.iter().enumerate().filter(|(_, weight)| heavy(weight)).map(shown).sum();
	left * 1_000 / weights.iter().filter(|weight| heavy(weight)).sum::<u64>()
}

/// Where more hosts fall silent than checkers can request openings of, they lose more than those gain that nobody asks,
/// whatever each of them has, and whatever light ones claim.
#[test]
fn silent_hosts_lose_weight_on_the_whole_however_many_they_are() {
	let equal = |count: usize| vec![1_000_000; count];
	let different = |count: u64| (0..count).map(|host| 1_000_000 + host).collect::<Vec<_>>();
	let uneven = |count: u64| (1..=count).map(|rank| 1_000_000_000 / rank).collect::<Vec<_>>();
	let decoys = |heavy: usize, light: usize| [equal(heavy), vec![1; light]].concat();
	for (checkers, silent, all, some) in [
		(20, equal(1_200), 0..20, 50..150),
		(100, equal(5_000), 80..140, 350..480),
		(150, equal(9_000), 400..520, 800..920),
		(150, different(9_000), 400..520, 800..920),
		(150, uneven(9_000), 0..300, 0..700),
		(150, decoys(50, 2_000), 0..1, 0..80),
		(1_024, decoys(200, 2_200), 0..1, 0..80),
	] {
		let name = format!("{} silent hosts of {checkers} checkers", silent.len());
		for (honest, expected) in [(checkers, all), (checkers * 6 / 10, some)] {
			let left = left_of_silent_hosts(checkers, honest, &silent);
			assert!(expected.contains(&left), "{name}, {honest} of them honest: {left}");
		}
	}
}

#[test]
fn candidates_come_before_new_hosts_and_these_in_an_order_of_their_own() {
	run(|| {
		register_hosts(12, 0);
		sprint(0, &[1_000, 1_000, 1_000, 1_000]);
		go_to_offset(0, SCHEDULE.work_start());
		assert_eq!(crate::Candidates::<Test>::get().len(), 4);
		sprint(1, &[0, 1_000, 1_000, 1_000, 5, 5, 5, 5, 5, 5, 5, 5]);
		go_to_offset(1, SCHEDULE.draw());
		let (epoch, committees) = (running(), Poc::committees(&running()).unwrap());
		let known = [2, 3, 4].map(account);
		assert!(Checkers::<Test>::get(1).iter().all(|(who, weight)| known.contains(who) && *weight > 0));
		let order = gonka_sprint::committee::Order::new(&epoch.beacon.unwrap(), 8);
		assert!((0..8).any(|number| order.place(number) != number));
		for name in 2..=12 {
			let standing = Standings::<Test>::get(1, account(name)).unwrap();
			assert!(committees.of(&account(name), standing.participant).iter().all(|checker| known.contains(checker)));
		}
	});
}

/// Otherwise an honest host would lose its weight because others were away: one in this epoch, one in the epoch before.
#[test]
fn a_candidate_alone_is_checked_by_known_hosts() {
	run(|| {
		register_hosts(4, 0);
		sprint(0, &[100, 100, 100]);
		confirm(0, &[100, 100, 100]);
		sprint(1, &[100, 0, 100]);
		confirm(1, &[100, 0, 100]);
		sprint(2, &[100, 100, 0, 100]);
		go_to_offset(2, SCHEDULE.draw());
		let candidates: Vec<_> = crate::Candidates::<Test>::get().into_iter().map(|(who, _)| who).collect();
		assert!(candidates.contains(&account(1)) && !candidates.contains(&account(2)), "{candidates:?}");
		assert_eq!(Poc::committee(&running(), &account(1)), [account(2)]);
		assert_eq!(Poc::committee(&running(), &account(2)), [account(1)]);
		assert_eq!(Poc::committee(&running(), &account(4)).len(), 2, "a new host checks nobody");
		go_to_offset(3, 0);
		let proven = |name| Standings::<Test>::get(2, account(name)).unwrap().proven;
		assert!(proven(1) > 0 && proven(2) > 0, "{} {}", proven(1), proven(2));
	});
}

#[test]
fn a_candidate_that_is_too_light_to_check_keeps_its_place() {
	run(|| {
		register_hosts(2, 0);
		sprint(0, &[9, 9]);
		let checkers: Vec<_> = (1..=2).map(|name| (account(name), u64::from(name == 1))).collect();
		go_to_offset(0, SCHEDULE.draw());
		Checkers::<Test>::insert(0, frame_support::BoundedVec::truncate_from(checkers));
		assert_eq!(Poc::committee(&running(), &account(2)), [account(1)]);
		assert!(Poc::committee(&running(), &account(1)).is_empty(), "the light one checks nobody");
		assert!(!Poc::has_duty(&running(), &account(2)) && Poc::has_duty(&running(), &account(1)));
	});
}

#[test]
fn paid_weight_is_effective_weight_times_confirmations_times_duties() {
	run(|| {
		register_hosts(4, 0);
		// Try epochs until one has a confirmation segment.
		let mut epoch = 0;
		loop {
			for name in 1..=4 {
				let _ = register(registration(name, epoch), &host_key(name));
			}
			sprint(epoch, &[100, 100, 100, 100]);
			all_check(epoch, 3);
			confirm(epoch, &[100, 50, 0, 100]);
			if !running().confirmations.is_empty() {
				break;
			}
			epoch += 1;
		}
		let called = running().confirmations.len() as u64;
		// The first three check the confirmations, too.
		for name in 1..=3 {
			let sets = Standings::<Test>::get(epoch, account(name)).unwrap().duties.due;
			(0..called).for_each(|_| Poc::note_digests(epoch, &account(name), sets, sets));
		}
		let pay = pay(epoch);
		assert_eq!(pay[&account(1)], 500);
		assert_eq!(pay[&account(2)], 250, "half its speed");
		assert_eq!(pay[&account(3)], 0, "it left after the sprint");
		assert_eq!(pay[&account(4)], 500 * called / (called + 1), "it did not check");
		let view = Poc::standing_view(epoch, &account(4)).unwrap();
		assert_eq!((view.confirmed, view.duties.1, view.effective_weight), (1_000_000, 0, Some(500)));
		assert!(view.duties.0 > 0);
		for name in 1..=4 {
			Poc::on_turn(epoch, &account(name));
		}
		assert_eq!(offences(), [], "with six duties each, none costs collateral");
	});
}

#[test]
fn collateral_is_lost_for_duties_without_a_tag_or_report_from_twenty_on() {
	run(|| {
		register_hosts(4, 0);
		sprint(0, &[100; 4]);
		let with = |name, due, revealed, met, audits| {
			Standings::<Test>::mutate(0, account(name), |standing| {
				let standing = standing.as_mut().unwrap();
				standing.duties = SetDuties { due, revealed, met };
				standing.audits = audits;
			});
		};
		with(1, 18, 18, 0, (2, 2));
		with(2, 18, 18, 18, (1, 0));
		with(3, 18, 18, 18, (4, 2));
		with(4, 40, 0, 0, (0, 0));
		for name in 1..=4 {
			Poc::on_turn(0, &account(name));
		}
		let missed = |name| (account(name), 0, Offence::MissedDuties);
		assert_eq!(offences(), [missed(3), missed(4)], "tags of zeros, or one audit of nineteen duties, cost nothing");
	});
}

#[test]
fn unanswered_requests_cost_a_third_of_the_weight_or_more() {
	run(|| {
		register_hosts(4, 0);
		sprint(0, &[100; 4]);
		go_to_offset(0, SCHEDULE.draw());
		for (host, checker) in [(1, 2), (2, 1), (3, 1), (3, 2)] {
			Poc::note_request(0, 0, &account(host), &account(checker));
		}
		Poc::note_answer(0, 0, &account(2));
		Poc::note_request(0, 0, &account(9), &account(8));
		assert_eq!(Standings::<Test>::iter_prefix(0).count(), 4, "hosts that take no part have no standing");
		go_to_offset(0, SCHEDULE.work_start());
		let weights = [1, 2, 3, 4].map(|name| Poc::weight(0, &account(name)));
		assert_eq!(weights, [0, 500, 0, 500], "one of three checkers without an answer");
		assert_eq!(Poc::offence(0, &account(3)), None, "being unavailable is no offence");
	});
}

#[test]
fn one_unanswered_request_leaves_a_new_host_nothing() {
	run(|| {
		register_hosts(8, 0);
		let weighed = |epoch, last: u8| {
			sprint(epoch, &vec![100; last.into()]);
			go_to_offset(epoch, SCHEDULE.draw());
			for host in [1, last] {
				Poc::note_request(epoch, 0, &account(host), &account(2));
			}
			go_to_offset(epoch, SCHEDULE.work_start());
			[1, last].map(|name| Poc::weight(epoch, &account(name)))
		};
		assert_eq!(weighed(0, 7), [250, 250], "six checkers each; a network's first hosts are not new");
		let [old, new] = weighed(1, 8);
		assert!(old > 0 && new == 0, "{old} {new}");
	});
}

#[test]
fn convictions_take_weight_power_and_pay() {
	run(|| {
		register_hosts(4, 0);
		sprint(0, &[100, 100, 100, 100]);
		all_check(0, 4);
		Poc::convict(0, &account(1), Offence::Fabrication);
		go_to_offset(0, SCHEDULE.work_start());
		assert_eq!(LastWeighed::<Test>::get(), Some(0));
		let has_power = |name| Power::<Test>::get().iter().any(|(who, _)| *who == account(name));
		assert_eq!([1, 2, 3, 4].map(has_power), [false, true, true, true]);
		// Convictions later in the epoch have the same effect.
		Poc::queue_power();
		Poc::convict(0, &account(2), Offence::FalseAccusation);
		Poc::convict(0, &account(3), Offence::FalseDigest);
		assert_eq!([1, 2, 3, 4].map(has_power), [false, false, true, true]);
		assert!(Poc::queue_power().is_some_and(|validators| !validators.contains(&account(2))));
		assert_eq!([1, 2, 3, 4].map(|name| Poc::weight(0, &account(name))), [0, 0, 500, 500]);
		Poc::forfeit(0, &account(4));
		let pay = pay(0);
		assert_eq!([1, 2, 3, 4].map(|name| pay[&account(name)]), [0; 4]);
		// The graver offence remains.
		Poc::convict(0, &account(3), Offence::Fabrication);
		Poc::convict(0, &account(1), Offence::FalseDigest);
		assert_eq!([1, 3].map(|name| Poc::offence(0, &account(name))), [Some(Offence::Fabrication); 2]);
		Poc::convict(0, &account(9), Offence::Fabrication);
		assert_eq!(Standings::<Test>::iter_prefix(0).count(), 4);
		for name in 1..=4 {
			Poc::on_turn(0, &account(name));
		}
		assert_eq!(offences(), [], "convictions are told elsewhere");
	});
}

#[test]
fn a_conviction_never_removes_the_last_validator() {
	run(|| {
		register_hosts(2, 0);
		sprint(0, &[100, 100]);
		go_to_offset(0, SCHEDULE.work_start());
		Poc::convict(0, &account(1), Offence::Fabrication);
		Poc::convict(0, &account(2), Offence::Fabrication);
		assert_eq!(Power::<Test>::get().len(), 1);
	});
}
