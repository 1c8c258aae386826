use super::{mock::*, players::*, world::*};
use crate::{Event, ValidityError};
use gonka_primitives::{
	check::{Offence, Stage, Turn},
	views::SubjectView,
};
use gonka_sprint::Tensor;
use polkadot_sdk::frame_support::assert_ok;

/// A wrong residual after the middle layer of the leaves of host 1.
pub fn wrong() -> Box<Mind> {
	wrong_at(1, &[row(Tensor::Output, 3)], 5)
}

/// Four hosts that have all revealed; `liar` has wrong digests of host 1.
pub fn world_with_liar(liar: u8) -> World {
	let world = World::new(4, &[]);
	world.check_all(0, 4, |name| if name == liar { wrong() } else { honest() });
	world
}

/// A leaf set of host 1 that these two check.
pub fn shared(one: u8, other: u8) -> u8 {
	let view = Check::check_view(&account(one)).unwrap();
	let duty = view.duties.iter().find(|duty| duty.host == raw(1)).unwrap();
	let with = |set: &&gonka_primitives::views::SetView| set.partner.is_some_and(|(who, _)| who == raw(other));
	duty.sets.iter().find(with).unwrap().number
}

#[test]
fn a_checker_with_a_false_digest_is_convicted() {
	run(|| {
		let world = world_with_liar(3);
		assert_ok!(challenge(2, 3, 1, shared(2, 3)));
		let view = claim(0);
		assert!(is_challenge(&view) && view.leaf.is_none());
		assert_eq!((view.claimant, view.host, view.games[0].stage), (raw(3), raw(1), Stage::Digests));
		// The other partner challenges the same liar for the other set.
		assert_ok!(challenge(4, 3, 1, shared(4, 3)));
		events();
		for _ in 0..4 {
			assert!(step(&world, 0, 2, &*wrong(), &*honest()));
			pass(1);
		}
		assert!((0..3).all(|_| step(&world, 1, 4, &*wrong(), &*honest())));
		assert_eq!(events().len(), 7, "turns played");
		play_out(&world, 0, 2, &*wrong(), &*honest());
		assert!(!is_open(0) && is_open(1));
		assert_eq!(offences(), [(account(3), 0, Offence::FalseDigest)]);
		let stages: Vec<_> = events()
			.into_iter()
			.filter_map(|event| if let Event::Played { stage, .. } = event { Some(stage) } else { None })
			.collect();
		assert_eq!(stages, [Stage::Children, Stage::Block, Stage::Bytes, Stage::Value]);
		// The second conviction is the same one.
		play_out(&world, 1, 4, &*wrong(), &*honest());
		assert!(!is_open(1));
		assert_eq!(offences().len(), 1);
		assert!(!Poc::is_convicted(0, &account(3)), "its weight remains");
		assert_eq!(Poc::standing_view(0, &account(3)).unwrap().performance, 0);
		assert_eq!(challenge(2, 3, 1, shared(2, 3)), rejected(ValidityError::Convicted));
		assert_eq!(challenge(3, 2, 1, shared(2, 3)), rejected(ValidityError::Convicted));
	});
}

#[test]
fn wrong_values_of_every_kind_are_found_before_the_digest() {
	for (tensor, number) in [
		(Tensor::AttentionInput, 3),
		(Tensor::Q, 2),
		(Tensor::K, 0),
		(Tensor::V, 40),
		(Tensor::Scores, 9),
		(Tensor::Attended, 15),
		(Tensor::Middle, 1),
		(Tensor::FfnInput, 4),
		(Tensor::Gate, 5),
		(Tensor::Up, 6),
		(Tensor::Hidden, 7),
	] {
		run(|| {
			let lie = || wrong_at(1, &[row(tensor, number), row(Tensor::Output, 0)], 1);
			let world = World::new(3, &[]);
			world.check_all(0, 3, |name| if name == 3 { lie() } else { honest() });
			let set = shared(2, 3);
			assert_ok!(challenge(2, 3, 1, set));
			play_out(&world, 0, 2, &*lie(), &*honest());
			assert_eq!(offences(), [(account(3), 0, Offence::FalseDigest)], "{tensor:?}");
		});
	}
}

#[test]
fn the_challenger_of_a_right_digest_is_convicted() {
	run(|| {
		let world = world_with_liar(2);
		let set = shared(2, 3);
		assert_ok!(challenge(2, 3, 1, set));
		play_out(&world, 0, 2, &*honest(), &*wrong());
		assert!(!is_open(0));
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		assert!(Poc::is_convicted(0, &account(2)));
		assert!(events().contains(&Event::ClaimWon { claim: 0 }));
		assert_eq!(challenge(3, 2, 1, set), rejected(ValidityError::Convicted));
	});
}

#[test]
fn fabricated_tags_cannot_be_defended() {
	run(|| {
		let world = World::new(4, &[]);
		let mut tags = world.tags(3, &*honest());
		tags.fill([1, 2, 3, 4]);
		world.check(0, &[(2, world.tags(2, &*honest())), (3, tags)]);
		assert_ok!(challenge(2, 3, 1, shared(2, 3)));
		let digests = world.digests(0, 1, shared(2, 3), &*honest());
		assert_eq!(play(3, 0, 2, 0, Turn::Digests(digests)), rejected(ValidityError::BadProof));
		pass(SCHEDULE.turn + 1);
		assert_ok!(close(0, Some(2)));
		assert!(!is_open(0));
		let standing = Poc::standing_view(0, &account(3)).unwrap();
		assert_eq!(standing.duties, (6, 5), "only the challenged set is not met");
		assert!(events().contains(&Event::DigestMissed { checker: account(3), epoch: 0 }));
		assert!(offences().is_empty());
	});
}

#[test]
fn a_challenger_that_misses_its_turn_forfeits() {
	run(|| {
		let world = world_with_liar(2);
		assert_ok!(challenge(2, 3, 1, shared(2, 3)));
		assert!(step(&world, 0, 2, &*honest(), &*wrong()));
		let SubjectView::Challenge { digests, leaves, .. } = claim(0).subject else { panic!() };
		assert_eq!((digests.len(), leaves.len()), (32, 32));
		pass(SCHEDULE.turn + 1);
		assert_ok!(close(0, Some(2)));
		assert!(!is_open(0) && offences().is_empty());
		let events = events();
		assert!(events.contains(&Event::Forfeited { host: account(2), epoch: 0 }));
		assert!(events.contains(&Event::ClaimWon { claim: 0 }));
	});
}

#[test]
fn the_pool_rejects_challenges_without_a_subject() {
	run(|| {
		let world = World::new(5, &[]);
		let lie: Vec<_> = world.tags(3, &*wrong());
		let mut none = world.tags(4, &*honest());
		none.fill([0; 4]);
		let sets = |one, other| shared(one, other);
		let (two_three, three_four, two_five) = (sets(2, 3), sets(3, 4), sets(2, 5));
		for (name, tags) in [(2, world.tags(2, &*honest())), (3, lie), (4, none)] {
			commit_digest(name, 0, &tags).unwrap();
			if name == 2 {
				assert_eq!(challenge(2, 3, 1, two_three), rejected(ValidityError::NotCommitted));
			}
		}
		go_to_offset(0, SCHEDULE.reveal_start());
		reveal(2, 0, &world.tags(2, &*honest())).unwrap();
		assert_eq!(challenge(2, 3, 1, two_three), rejected(ValidityError::NotCommitted));
		reveal(3, 0, &world.tags(3, &*wrong())).unwrap();
		reveal(4, 0, &[[0; 4]; 8]).unwrap();
		assert_eq!(challenge(9, 3, 1, two_three), rejected(ValidityError::UnknownHost));
		assert_eq!(challenge(4, 3, 1, three_four), rejected(ValidityError::NothingToDispute));
		assert_eq!(challenge(3, 4, 1, three_four), rejected(ValidityError::NothingToDispute));
		assert_eq!(challenge(2, 2, 1, two_three), rejected(ValidityError::NothingToDispute));
		assert_eq!(challenge(2, 5, 1, two_five), rejected(ValidityError::NotCommitted));
		assert_eq!(challenge(2, 3, 1, two_five), rejected(ValidityError::NotCommitted));
		// Both have right tags of host 4's set.
		let view = Check::check_view(&account(3)).unwrap();
		let duty = view.duties.iter().find(|duty| duty.host == raw(4)).unwrap();
		let with_two = duty.sets.iter().find(|set| set.partner.is_some_and(|(who, _)| who == raw(2))).unwrap();
		assert_eq!(challenge(2, 3, 4, with_two.number), rejected(ValidityError::NothingToDispute));
		assert_ok!(challenge(2, 3, 1, two_three));
		assert_eq!(challenge(2, 3, 1, two_three), rejected(ValidityError::SlotUsed));
		// A challenge in the other direction is another claim.
		assert_ok!(challenge(3, 2, 1, two_three));
	});
}
