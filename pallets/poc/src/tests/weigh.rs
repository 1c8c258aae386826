use super::mock::*;
use crate::{
	AllowUnchecked, Candidates, CurrentEpoch, Guardians, LastWeighed, Maturity, Power, PowerChanged, QueuedPower,
	Standings, WeighedEpochs, math::POWER_BUDGET,
};
use gonka_primitives::{
	check::Offence,
	traits::{EffectiveWeights, PaidWeights},
	views::StandingView,
};
use polkadot_sdk::frame_support::BoundedVec;

/// Runs an epoch to its work phase, in which all hosts check what they have to.
fn weigh(epoch: u32, counts: &[u64]) {
	sprint(epoch, counts);
	check(epoch, counts.len() as u8);
	go_to_offset(epoch, SCHEDULE.work_start());
}

fn paid(epoch: u32, name: u8) -> u64 {
	let all = <Poc as PaidWeights<_>>::page(epoch, None, 100);
	all.into_iter().find(|(who, _)| *who == account(name)).unwrap().1
}

/// Lets no confirmation be called.
fn without_confirmations() {
	NO_CONFIRMATIONS.with_borrow_mut(|none| *none = true);
	CurrentEpoch::<Test>::mutate(|epoch| epoch.as_mut().unwrap().schedule.confirmations = 0);
}

/// Goes through the epoch's confirmation, if one is called, with these counts of hosts 1, 2, … Returns whether one was.
pub fn confirm(epoch: u32, counts: &[u64]) -> bool {
	for offset in SCHEDULE.work_start()..SCHEDULE.length {
		go_to_offset(epoch, offset);
		let now = CurrentEpoch::<Test>::get().unwrap();
		if now.confirmations.first().is_some_and(|start| start + SCHEDULE.segment == offset) {
			for (name, count) in (1..).zip(counts).filter(|(_, count)| **count > 0) {
				commit(commitment(name, epoch, SCHEDULE.segments, *count), &worker_key(name)).unwrap();
			}
		}
	}
	CurrentEpoch::<Test>::get().unwrap().rounds() > 0
}

fn standing(epoch: u32, name: u8) -> StandingView {
	Poc::standing_view(epoch, &account(name)).unwrap()
}

/// Runs epochs from `first` on with these counts until a confirmation is called, which hosts commit to with `confirmations`.
/// Returns that epoch.
fn confirmed_from(first: u32, counts: &[u64], confirmations: &[u64]) -> u32 {
	let is_confirmed = |epoch: &u32| {
		weigh(*epoch, counts);
		confirm(*epoch, confirmations)
	};
	(first..).find(is_confirmed).unwrap()
}

/// Runs epochs with these counts until the one whose confirmation is called. Returns it.
fn confirmed_epoch(counts: &[u64], confirmations: &[u64]) -> u32 {
	for epoch in 0.. {
		(1..=counts.len() as u8).for_each(|name| {
			let _ = register(registration(name, epoch), &host_key(name));
		});
		weigh(epoch, counts);
		if confirm(epoch, confirmations) {
			return epoch;
		}
	}
	unreachable!()
}

#[test]
fn weight_is_proven_by_the_confirmations_of_the_epoch_before() {
	run(|| {
		let epoch = confirmed_epoch(&[100, 100, 100], &[100, 50, 0]);
		assert_eq!(standing(epoch, 3).confirmed, 0);
		weigh(epoch + 1, &[100, 100, 100]);
		let views = [1, 2, 3].map(|name| standing(epoch + 1, name));
		assert_eq!(views.each_ref().map(|view| view.effective_weight.unwrap()), [500; 3]);
		assert_eq!(views.each_ref().map(|view| view.proven_weight.unwrap()), [500, 250, 0]);
		assert_eq!(views.each_ref().map(|view| view.vote_weight.unwrap()), [500, 250, 0]);
		let power = Power::<Test>::get();
		assert_eq!(power.to_vec(), [(account(1), 666_666), (account(2), 333_333)]);
		assert!(Candidates::<Test>::get().iter().all(|(who, _)| *who != account(3)));
		assert_eq!(<Poc as EffectiveWeights<_>>::last_weighed(), Some((epoch + 1, 750)));
		assert_eq!(<Poc as EffectiveWeights<_>>::weight(epoch + 1, &account(2)), 250);
	});
}

#[test]
fn a_new_host_is_paid_from_its_second_day_on_and_one_that_missed_a_sprint_at_once() {
	run(|| {
		without_confirmations();
		register_hosts(2, 0);
		weigh(0, &[100, 100]);
		assert_eq!(paid(0, 1), 500, "the first hosts of a network");
		register(registration(3, 0), &host_key(3)).unwrap();
		weigh(1, &[100, 100, 100]);
		assert_eq!((standing(1, 3).effective_weight, paid(1, 3), paid(1, 1)), (Some(500), 0, 500));
		NO_CONFIRMATIONS.with_borrow_mut(|none| *none = false);
		let mut epoch = 2;
		weigh(epoch, &[100, 100, 100]);
		while !confirm(epoch, &[100, 100, 100]) {
			epoch += 1;
			weigh(epoch, &[100, 100, 100]);
		}
		without_confirmations();
		weigh(epoch + 1, &[100, 100, 0]);
		weigh(epoch + 2, &[100, 100, 100]);
		assert_eq!([1, 3].map(|name| paid(epoch + 2, name)), [500; 2]);
		weigh(epoch + 3, &[100, 100, 0]);
		weigh(epoch + 4, &[100, 100, 0]);
		weigh(epoch + 5, &[100, 100, 100]);
		assert_eq!([1, 3].map(|name| paid(epoch + 5, name)), [500, 0], "after two days it is a new host");
	});
}

#[test]
fn a_new_host_cuts_nobodys_pay() {
	run(|| {
		without_confirmations();
		register_hosts(3, 0);
		weigh(0, &[400, 200, 100]);
		register(registration(4, 0), &host_key(4)).unwrap();
		weigh(1, &[400, 200, 100, 100]);
		assert!(standing(1, 1).effective_weight < Some(2_000), "four hosts have a cap");
		assert_eq!([1, 2, 3, 4].map(|name| paid(1, name)), [2_000, 1_000, 500, 0]);
	});
}

#[test]
fn a_host_that_skips_a_sprint_does_not_escape_what_it_did_before() {
	run(|| {
		without_confirmations();
		register_hosts(4, 0);
		weigh(0, &[100; 4]);
		weigh(1, &[100]);
		// Reported after the epoch without them is weighed.
		Poc::note_equivocation(&account(2));
		Poc::convict_of_inference(&account(3));
		weigh(2, &[100; 4]);
		assert_eq!([1, 2, 3, 4].map(|name| standing(2, name).proven_weight), [Some(500), Some(0), Some(0), Some(500)]);
	});
}

#[test]
fn a_host_that_missed_a_sprint_is_no_new_host_in_the_next() {
	run(|| {
		without_confirmations();
		register_hosts(4, 0);
		let known = || [1, 2, 3, 4].map(|name| Poc::is_known(&account(name)));
		weigh(0, &[100; 3]);
		assert_eq!(known(), [true, true, true, false]);
		weigh(1, &[100, 100, 0, 100]);
		assert_eq!(known(), [true, true, true, false], "4 has shown nothing before");
		weigh(2, &[100, 100]);
		assert_eq!(known(), [true, true, false, false]);
		Poc::convict(2, &account(1), Offence::Fabrication);
		assert_eq!(known(), [false, true, false, false]);
	});
}

/// Checkers of a large network cannot request the openings of all known hosts, should these fall silent together.
#[test]
fn a_known_host_shows_at_most_twice_what_was_proven() {
	run(|| {
		let first = confirmed_epoch(&[10, 10, 10], &[10, 10, 10]);
		register(registration(4, first), &host_key(4)).unwrap();
		let epoch = confirmed_from(first + 1, &[1_000, 10, 10, 1_000], &[1_000, 10, 10, 1_000]);
		weigh(epoch + 1, &[1_000, 10, 10, 1_000]);
		// Before the cap.
		let proven = [1, 2, 4].map(|name| Standings::<Test>::get(epoch + 1, account(name)).unwrap().proven);
		assert_eq!(proven, [100, 50, 5_000], "4 was new");
	});
}

#[test]
fn a_known_host_with_an_unanswered_request_grows_by_nothing() {
	run(|| {
		without_confirmations();
		register_hosts(8, 0);
		weigh(0, &[100; 8]);
		sprint(1, &[&[1_000; 2][..], &[100; 6]].concat());
		go_to_offset(1, SCHEDULE.draw());
		Poc::note_request(1, 0, &account(1), &account(3));
		go_to_offset(1, SCHEDULE.work_start());
		let backed = [1, 2, 3].map(|name| Standings::<Test>::get(1, account(name)).unwrap().backed);
		assert_eq!(backed, [285, 5_000, 500], "one of seven requests: a part of the 500 that it showed before");
	});
}

/// Nobody's weight is proven then, so that nobody could grow.
#[test]
fn a_network_whose_hosts_miss_two_confirmations_in_a_row_recovers() {
	run(|| {
		let proven = |epoch| Standings::<Test>::get(epoch, account(1)).unwrap().proven;
		let mut epoch = confirmed_epoch(&[10, 10, 10], &[10, 10, 10]);
		for confirmations in [[0; 3], [0; 3], [10; 3], [10; 3]] {
			epoch = confirmed_from(epoch + 1, &[10; 3], &confirmations);
		}
		weigh(epoch + 1, &[10, 10, 10]);
		assert_eq!(proven(epoch + 1), 50);
	});
}

#[test]
fn a_host_that_loses_a_sprint_halfway_is_as_one_that_misses_it() {
	run(|| {
		without_confirmations();
		register_hosts(3, 0);
		weigh(0, &[100; 3]);
		for segment in 0..SCHEDULE.segments {
			go_to_offset(1, SCHEDULE.segment_end(segment));
			for name in if segment < 2 { 1..=3 } else { 1..=2 } {
				commit(commitment(name, 1, segment, 100), &worker_key(name)).unwrap();
			}
		}
		go_to_offset(1, SCHEDULE.work_start());
		assert_eq!(standing(1, 3).effective_weight, Some(0));
		weigh(2, &[100; 3]);
		assert_eq!([1, 3].map(|name| paid(2, name)), [500; 2]);
	});
}

#[test]
fn a_late_commitment_counts_as_if_its_segment_had_been_longer() {
	run(|| {
		CurrentEpoch::<Test>::mutate(|epoch| epoch.as_mut().unwrap().schedule.prompt = 1);
		register_hosts(2, 0);
		for segment in 0..SCHEDULE.segments {
			for (name, waited) in [(1, 0), (2, SCHEDULE.grace - 1)] {
				go_to_offset(0, SCHEDULE.segment_end(segment) + waited);
				commit(commitment(name, 0, segment, 300), &worker_key(name)).unwrap();
			}
		}
		go_to_offset(0, SCHEDULE.work_start());
		let late = 300 * u64::from(SCHEDULE.segment) / u64::from(SCHEDULE.segment + SCHEDULE.grace - 1);
		assert_eq!([1, 2].map(|name| standing(0, name).compute_weight), [Some(1_500), Some(5 * late)]);
		assert!(
			standing(0, 2).commitments.iter().all(|(_, commitment)| commitment.count == 300),
			"the leaves are there"
		);
	});
}

#[test]
fn votes_weigh_the_least_of_two_epochs() {
	run(|| {
		without_confirmations();
		register_hosts(2, 0);
		weigh(0, &[100, 60]);
		weigh(1, &[100, 100]);
		assert_eq!((standing(1, 2).proven_weight, standing(1, 2).vote_weight), (Some(300), Some(300)));
		NO_CONFIRMATIONS.with_borrow_mut(|none| *none = false);
		let epoch = confirmed_from(2, &[100, 100], &[100, 100]);
		assert_eq!(standing(epoch, 2).proven_weight, Some(300), "an epoch without a confirmation proves nothing new");
		weigh(epoch + 1, &[100, 100]);
		assert_eq!((standing(epoch + 1, 2).proven_weight, standing(epoch + 1, 2).vote_weight), (Some(500), Some(300)));
	});
}

#[test]
fn power_follows_the_confirmations_of_the_day() {
	run(|| {
		KEYLESS.with_borrow_mut(|keyless| keyless.push(account(4)));
		let epoch = confirmed_epoch(&[100, 100, 100, 100], &[100, 100, 0, 100]);
		let power = Power::<Test>::get();
		assert_eq!([1, 2, 3].map(|name| Poc::power_of(&power, &account(name))), [500_000, 500_000, 1]);
		assert!(Poc::queue_power().is_some_and(|validators| validators.len() == 3));
		let now = CurrentEpoch::<Test>::get().unwrap();
		Poc::follow_confirmations(&now);
		assert!(!PowerChanged::<Test>::get(), "nothing moved");
		assert_eq!(standing(epoch, 3).effective_weight, Some(500), "the pay is another matter");
	});
}

#[test]
fn power_stays_if_nobody_confirms() {
	run(|| {
		let epoch = confirmed_epoch(&[100, 300], &[0, 0]);
		let power = Power::<Test>::get();
		assert_eq!(power.to_vec(), [(account(2), 750_000), (account(1), 250_000)]);
		weigh(epoch + 1, &[100, 100]);
		assert_eq!(Power::<Test>::get(), power);
		assert_eq!(Candidates::<Test>::get().len(), 2);
	});
}

#[test]
fn weights_are_proportional_to_leaves() {
	run(|| {
		register_hosts(3, 0);
		weigh(0, &[400, 200, 100]);
		assert_eq!(LastWeighed::<Test>::get(), Some(0));
		assert_eq!([1, 2, 3].map(|name| Poc::weight(0, &account(name))), [2000, 1000, 500]);
		CLOSED.with_borrow(|closed| assert!(closed.is_empty(), "disputes may still follow"));
		let power = Power::<Test>::get();
		let of = |name| Poc::power_of(&power, &account(name));
		assert_eq!([1, 2, 3].map(of), [571_428, 285_714, 142_857]);
		assert_eq!(Poc::host_view(&account(2), |_| false).unwrap().effective_weight, 1000);
		go_to_offset(1, SCHEDULE.weigh_start());
		CLOSED.with_borrow(|closed| assert_eq!(*closed, [(0, 3500)]));
	});
}

#[test]
fn a_burst_in_a_minority_of_segments_adds_no_weight() {
	run(|| {
		register_hosts(2, 0);
		for segment in 0..5 {
			go_to_offset(0, SCHEDULE.segment_end(segment));
			let burst = if segment == 3 { 1_000_000 } else { 100 };
			commit(commitment(1, 0, segment, burst), &worker_key(1)).unwrap();
			if segment != 3 {
				commit(commitment(2, 0, segment, 100), &worker_key(2)).unwrap();
			}
		}
		go_to_offset(0, SCHEDULE.work_start());
		assert_eq!(Poc::weight(0, &account(1)), 500);
		assert_eq!(Poc::weight(0, &account(2)), 500, "a missed segment in the minority costs nothing");
	});
}

#[test]
fn many_hosts_are_weighed_over_several_blocks_and_capped() {
	run(|| {
		register_hosts(9, 0);
		sprint(0, &[1000, 10, 10, 10, 10, 10, 10, 10, 10]);
		go_to_offset(0, SCHEDULE.weigh_start());
		assert!(WeighedEpochs::<Test>::get(0).is_none(), "two hosts are weighed in a block");
		go_to_offset(0, SCHEDULE.work_start());
		let weights = WeighedEpochs::<Test>::get(0).unwrap();
		assert_eq!(weights.hosts, 9);
		assert_eq!(weights.cap, 3 * 400 / 7);
		assert_eq!(weights.total, 400 + weights.cap);
		let (mut all, mut after) = (Vec::new(), None);
		loop {
			let page = <Poc as PaidWeights<_>>::page(0, after.as_ref(), 2);
			let Some((last, _)) = page.last() else { break };
			after = Some(last.clone());
			all.extend(page);
		}
		assert_eq!(all.len(), 9);
		assert_eq!(all.iter().map(|(host, _)| Poc::weight(0, host)).sum::<u64>(), weights.total);
		assert_eq!(Power::<Test>::get().len(), 6, "MaxValidators");
	});
}

#[test]
fn power_stays_if_nobody_takes_part() {
	run(|| {
		register_hosts(2, 0);
		weigh(0, &[10, 30]);
		let power = Power::<Test>::get();
		assert!(Poc::queue_power().is_some());
		weigh(1, &[]);
		assert_eq!(WeighedEpochs::<Test>::get(1).unwrap().total, 0);
		assert_eq!(Power::<Test>::get(), power);
		assert_eq!(Poc::queue_power(), None);
	});
}

#[test]
fn hosts_without_session_keys_have_weight_but_no_power() {
	run(|| {
		KEYLESS.with_borrow_mut(|keyless| keyless.push(account(1)));
		register_hosts(2, 0);
		weigh(0, &[30, 10]);
		assert_eq!(Poc::weight(0, &account(1)), 150);
		assert_eq!(Power::<Test>::get().to_vec(), [(account(2), POWER_BUDGET)]);
	});
}

#[test]
fn the_next_set_of_validators_is_never_empty() {
	run(|| {
		AllowUnchecked::<Test>::put(true);
		register_hosts(1, 0);
		weigh(0, &[10]);
		let queued = QueuedPower::<Test>::get();
		// The only validator removed its keys between the weigh phase and the session.
		KEYLESS.with_borrow_mut(|keyless| keyless.push(account(1)));
		assert_eq!(Poc::queue_power(), None);
		assert_eq!(QueuedPower::<Test>::get(), queued);
		assert!(!PowerChanged::<Test>::get());
	});
}

#[test]
fn a_host_without_a_committee_has_no_weight_unless_genesis_allows_it() {
	run(|| {
		register_hosts(1, 0);
		weigh(0, &[10]);
		assert_eq!(Poc::weight(0, &account(1)), 0);
		assert_eq!(Poc::standing_view(0, &account(1)).unwrap().checked, Some(false));
		AllowUnchecked::<Test>::put(true);
		weigh(1, &[10]);
		assert_eq!(Poc::weight(1, &account(1)), 50);
	});
}

#[test]
fn guardians_keep_a_third_until_the_network_is_mature() {
	run(|| {
		without_confirmations();
		Guardians::<Test>::put(BoundedVec::truncate_from(vec![account(3), account(9)]));
		Maturity::<Test>::put(1_000);
		KEYLESS.with_borrow_mut(|keyless| keyless.push(account(9)));
		register_hosts(3, 0);
		weigh(0, &[60, 60, 1]);
		let of = |name| Poc::power_of(&Power::<Test>::get(), &account(name));
		assert_eq!([1, 2, 3].map(of), [330_000, 330_000, 340_000]);
		assert!(Power::<Test>::get().iter().all(|(who, _)| *who != account(9)), "no keys, no power");
		// Rented compute that proved nothing does not make the network mature.
		weigh(1, &[100, 100, 1]);
		assert_eq!([1, 2, 3].map(of), [330_000, 330_000, 340_000]);
		Maturity::<Test>::put(600);
		weigh(2, &[60, 60, 1]);
		assert_eq!([1, 2, 3].map(of), [495_867, 495_867, 8_264], "mature");
	});
}

#[test]
fn weight_without_backing_does_not_count() {
	run(|| {
		BACKED.with_borrow_mut(|backed| backed.extend([(account(1), 20), (account(2), 0)]));
		register_hosts(3, 0);
		weigh(0, &[100, 100, 100]);
		assert_eq!([1, 2, 3].map(|name| Poc::weight(0, &account(name))), [100, 0, 500]);
		assert_eq!(WeighedEpochs::<Test>::get(0).unwrap().total, 600);
		let view = Poc::standing_view(0, &account(1)).unwrap();
		assert_eq!((view.compute_weight, view.backed_weight, view.effective_weight), (Some(500), Some(100), Some(100)));
		assert_eq!(Poc::power_of(&Power::<Test>::get(), &account(1)), 166_666);
	});
}
