use super::mock::*;
use crate::CurrentEpoch;
use gonka_primitives::epoch::{Phase, Schedule};
use polkadot_sdk::frame_support::assert_ok;

#[test]
fn epochs_follow_one_another() {
	run(|| {
		let first = CurrentEpoch::<Test>::get().unwrap();
		assert_eq!((first.index, first.start), (0, 1));
		go_to(SCHEDULE.length.into());
		assert_eq!(CurrentEpoch::<Test>::get().unwrap().index, 0);
		go_to(u64::from(SCHEDULE.length) + 1);
		let second = CurrentEpoch::<Test>::get().unwrap();
		assert_eq!((second.index, second.start), (1, SCHEDULE.length + 1));
		assert_ne!(first.model_seed, second.model_seed);
		assert!(second.segment_seeds.is_empty());
	});
}

#[test]
fn segment_seeds_appear_when_the_segment_starts() {
	run(|| {
		for segment in 0..SCHEDULE.segments {
			go_to_offset(0, SCHEDULE.segment_start(segment) - 1);
			assert_eq!(CurrentEpoch::<Test>::get().unwrap().segment_seeds.len(), segment as usize);
			go_to_offset(0, SCHEDULE.segment_start(segment));
			assert_eq!(CurrentEpoch::<Test>::get().unwrap().segment_seeds.len(), segment as usize + 1);
		}
		let mut seeds = CurrentEpoch::<Test>::get().unwrap().segment_seeds.into_inner();
		seeds.sort();
		seeds.dedup();
		assert_eq!(seeds.len(), SCHEDULE.segments as usize);
	});
}

#[test]
fn the_epoch_view_has_the_phase() {
	run(|| {
		go_to_offset(0, SCHEDULE.segment_start(2));
		let view = Poc::epoch_view().unwrap();
		assert_eq!(view.phase, Phase::Sprint(2));
		assert_eq!(view.segment_seeds.len(), 3);
		assert_eq!(view.block, view.start + SCHEDULE.segment_start(2));
	});
}

#[test]
fn phases_cover_the_epoch_in_order() {
	for schedule in [Schedule::FAST, Schedule::MAINNET] {
		assert!(schedule.is_valid());
		let phases: Vec<Phase> = (0..schedule.length).map(|offset| schedule.phase(offset)).collect();
		let mut order = phases.clone();
		order.dedup();
		let mut expected = vec![Phase::Init];
		expected.extend((0..schedule.segments).map(Phase::Sprint));
		expected.extend([Phase::Check, Phase::Weigh, Phase::Work]);
		assert_eq!(order, expected);
		let starts = (0..schedule.length).filter_map(|offset| schedule.segment_starting_at(offset));
		assert!(starts.eq(0..schedule.segments));
		for segment in 0..schedule.segments {
			let open = (0..schedule.length).filter(|offset| schedule.takes_commitment(segment, &[], *offset)).count();
			assert_eq!(open, schedule.grace as usize);
			let delays =
				(0..schedule.grace).map(|waited| schedule.delay(segment, &[], schedule.segment_end(segment) + waited));
			assert!(delays.eq((0..schedule.grace).map(|waited| (waited + 1).saturating_sub(schedule.prompt))));
			assert!(!schedule.takes_commitment(segment, &[], schedule.segment_end(segment) - 1));
			assert!(!schedule.takes_commitment(segment, &[], schedule.weigh_start()));
		}
		assert!(!schedule.takes_commitment(schedule.segments, &[], schedule.check_start() + 1));
	}
}

#[test]
fn old_epochs_are_pruned() {
	run(|| {
		register_hosts(3, 0);
		sprint(0, &[5, 6, 7]);
		go_to_offset(2, 0);
		assert_eq!(crate::Commitments::<Test>::iter_prefix(0).count(), 3);
		assert_ok!(register(registration(1, 2), &host_key(1)));
		go_to_offset(3, 10);
		assert_eq!(crate::Commitments::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(crate::Standings::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(crate::Participants::<Test>::iter_prefix(0).count(), 0);
		assert!(crate::Checkers::<Test>::get(0).is_empty());
		assert!(crate::PastEpochs::<Test>::get(0).is_none());
		assert!(crate::WeighedEpochs::<Test>::get(0).is_none());
	});
}

#[test]
fn confirmations_are_called_at_random_in_the_work_phase() {
	run(|| {
		let mut called = Vec::new();
		for epoch in 0..40u32 {
			go_to_offset(epoch, SCHEDULE.length - 1);
			let epoch = CurrentEpoch::<Test>::get().unwrap();
			assert_eq!(epoch.segment_seeds.len(), usize::from(SCHEDULE.segments) + epoch.confirmations.len());
			assert_eq!(usize::from(epoch.rounds()), epoch.confirmations.len(), "each one is checked");
			for offset in &epoch.confirmations {
				assert!(*offset >= SCHEDULE.work_start());
				assert!(offset + SCHEDULE.round() + SCHEDULE.turn <= SCHEDULE.length, "it can be disputed, too");
			}
			assert!(epoch.confirmations.windows(2).all(|pair| pair[0] + SCHEDULE.round() <= pair[1]));
			called.extend(epoch.confirmations);
		}
		// Three in an epoch if none excluded others. One fits, and 3 % of the epochs have none.
		assert!((32..=40).contains(&called.len()), "{}", called.len());
		called.sort_unstable();
		called.dedup();
		assert!(called.len() >= 4, "offsets vary");
	});
}

#[test]
fn windows_of_checking_and_disputes_follow_each_other() {
	for schedule in [Schedule::FAST, Schedule::MAINNET] {
		let all = 0..schedule.length;
		let last_commitment = schedule.check_start() + schedule.grace - 1;
		assert_eq!(
			schedule.draw(),
			last_commitment + 2,
			"the block before the draw, which fixes it, takes no commitment"
		);
		for round in 0..3 {
			let draw = schedule.draw_of(round, &[300, 400]).unwrap();
			assert_eq!(schedule.draw_of(3, &[300, 400]), None);
			let takes = |what: &dyn Fn(u32) -> bool| (0..1_000).filter(|offset| what(*offset)).collect::<Vec<_>>();
			let digests = takes(&|offset| schedule.takes_digest(draw, offset));
			let reveals = takes(&|offset| schedule.takes_reveal(draw, offset));
			let requests = takes(&|offset| schedule.takes_request(draw, offset));
			assert_eq!(digests.len() as u32, schedule.digest);
			assert_eq!((digests[0], digests.last().unwrap() + 1), (draw, reveals[0]));
			assert!(
				requests.last().unwrap() + 2 * schedule.answer < reveals[0],
				"a checker has as much time after the last answer as the host had"
			);
			let begin =
				if round == 0 { schedule.weigh_start() } else { 200 + 100 * u32::from(round) + schedule.round() };
			assert_eq!(reveals.last().unwrap() + 1, begin, "then the weigh phase begins, or another round may");
			let segments: Vec<u8> = schedule.segments_of(round).collect();
			assert!(if round == 0 { segments == [0, 1, 2, 3, 4] } else { segments == [4 + round] });
		}
		assert!(!Schedule { answer: schedule.answer + 2, ..schedule }.is_valid());
		for prompt in [0, schedule.grace + 1] {
			assert!(!Schedule { prompt, ..schedule }.is_valid());
		}
		let confirmable = all.filter(|offset| schedule.may_confirm(&[], *offset)).count() as u32;
		assert_eq!(confirmable, schedule.confirmation_blocks());
		assert!(
			!Schedule { turn: schedule.turn * 3, ..schedule }.is_valid(),
			"disputes would not be over when the epoch is paid"
		);
	}
}
