use super::{mock::*, players::*, world::*};
use crate::{Event, ValidityError};
use gonka_primitives::check::{Offence, Stage, Turn};
use gonka_sprint::Tensor;
use polkadot_sdk::frame_support::assert_ok;

/// A computation with a wrong output of host 1, and nothing else wrong.
pub fn lie() -> Box<Mind> {
	wrong_at(1, &[output()], 0)
}

/// The position of leaf 1 of lane 0.
const POSITION: u64 = 1;

fn wait() {
	pass(2 * SCHEDULE.turn + 1);
}

fn weight(name: u8) -> u64 {
	Poc::weight(0, &account(name))
}

#[test]
fn a_false_accusation_is_refuted_by_the_accused() {
	run(|| {
		let world = World::new(3, &[]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 3, POSITION, &*lie())));
		let view = claim(0);
		assert_eq!((view.claimant, view.host, view.games.len()), (raw(2), raw(1), 0));
		assert_eq!(view.appointed, Some(vec![raw(3)]));
		assert_eq!(view.leaf.unwrap().0.segment, 3);
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert!(!is_open(0));
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		let events = events();
		assert!(events.contains(&Event::ClaimLost { claim: 0 }));
		go_to_offset(0, SCHEDULE.work_start());
		assert_eq!((weight(1), weight(2)), (35, 0));
	});
}

#[test]
fn a_false_accusation_is_refuted_by_any_participant() {
	run(|| {
		let world = World::new(3, &[]);
		register(9, 0);
		assert_ok!(accuse(world.accusation(2, 1, 0, POSITION, &*lie())));
		pass(1);
		assert_eq!(claim(0).appointed, None);
		for refuter in [1, 3] {
			assert_eq!(play(refuter, 0, refuter, 0, Turn::Pick(0)), rejected(ValidityError::TooEarly));
		}
		pass(1);
		assert_eq!(play(9, 0, 9, 0, Turn::Pick(0)), rejected(ValidityError::NotAParticipant));
		assert_eq!(play(2, 0, 2, 0, Turn::Pick(0)), rejected(ValidityError::NothingToDispute));
		assert_eq!(play(3, 0, 3, 1, Turn::Pick(0)), rejected(ValidityError::WrongTurn));
		assert_eq!(play(1, 0, 3, 0, Turn::Pick(0)), rejected(ValidityError::WrongTurn));
		// 497 blocks in pairs: the last has number 248.
		assert_eq!(play(3, 0, 3, 0, Turn::Pick(249)), rejected(ValidityError::Malformed));
		assert_eq!(play(3, 0, 3, 0, Turn::Children(vec![])), rejected(ValidityError::UnknownClaim));
		play_out(&world, 0, 3, &*lie(), &*honest());
		assert!(!is_open(0));
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
	});
}

#[test]
fn a_lie_in_any_kind_of_block_is_found() {
	let embedded = 7;
	let rows = [
		row(Tensor::AttentionInput, 0),
		row(Tensor::Q, 15),
		row(Tensor::K, 1),
		row(Tensor::V, 63),
		row(Tensor::Scores, 2),
		row(Tensor::Attended, 3),
		row(Tensor::Middle, 4),
		row(Tensor::FfnInput, 5),
		row(Tensor::Gate, 6),
		row(Tensor::Up, 7),
		row(Tensor::Hidden, 8),
		row(Tensor::Output, 9),
	];
	for (byte, index) in [embedded].into_iter().chain(rows).enumerate() {
		run(|| {
			let world = World::new(2, &[]);
			let lie = wrong_at(1, &[index, output()], 2 * byte);
			assert_ok!(accuse_and_draw(world.accusation(2, 1, (byte % 5) as u8, POSITION, &*lie)));
			play_out(&world, 0, 1, &*lie, &*honest());
			assert!(!is_open(0), "{index}");
			assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)], "{index}");
		});
	}
}

#[test]
fn a_true_accusation_convicts_because_nobody_can_refute_it() {
	run(|| {
		let world = World::new(3, &[(1, 2, 0, 1)]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 2, POSITION, &*honest())));
		assert!(!step(&world, 0, 1, &*honest(), &*honest()), "the accused finds no difference");
		assert_eq!(close(0, None), rejected(ValidityError::TooEarly));
		pass(2 * SCHEDULE.turn);
		assert_eq!(close(0, None), rejected(ValidityError::TooEarly));
		pass(1);
		assert_eq!(play(3, 0, 3, 0, Turn::Pick(0)), rejected(ValidityError::TooLate));
		assert_ok!(close(0, None));
		assert_eq!(close(0, None), rejected(ValidityError::UnknownClaim));
		assert_eq!(offences(), [(account(1), 0, Offence::Fabrication)]);
		let events = events();
		assert!(events.contains(&Event::ClaimWon { claim: 0 }));
		let convicted = Event::Convicted { host: account(1), epoch: 0, offence: Offence::Fabrication };
		assert!(events.contains(&convicted));
		// The host is convicted once.
		let again = world.accusation(3, 1, 2, POSITION, &*honest());
		assert_eq!(accuse(again), rejected(ValidityError::Convicted));
		go_to_offset(0, SCHEDULE.work_start());
		assert_eq!((weight(1), weight(2)), (0, 35));
	});
}

#[test]
fn a_right_leaf_cannot_be_accused_with_its_own_output() {
	run(|| {
		let world = World::new(2, &[]);
		let accusation = world.accusation(2, 1, 2, POSITION, &*honest());
		assert_eq!(accuse(accusation), rejected(ValidityError::NothingToDispute));
	});
}

#[test]
fn a_fabricator_that_lies_in_its_defence_is_convicted_at_once() {
	run(|| {
		let world = World::new(3, &[(1, 2, 0, 1)]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 2, POSITION, &*honest())));
		let mind = wrong_at(1, &[row(Tensor::Gate, 2)], 9);
		play_out(&world, 0, 1, &*honest(), &*mind);
		assert_eq!(offences(), [(account(1), 0, Offence::Fabrication)]);
		let events = events();
		assert!(events.contains(&Event::RefutationLost { claim: 0, refuter: account(1) }));
		assert!(events.contains(&Event::ClaimWon { claim: 0 }));
		assert!(!is_open(0), "a lie in its own defence decides the accusation");
	});
}

#[test]
fn a_host_that_defends_a_fabricator_is_convicted_too() {
	run(|| {
		let world = World::new(4, &[(1, 2, 0, 1)]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 2, POSITION, &*honest())));
		let mind = wrong_at(1, &[row(Tensor::V, 2)], 3);
		// One refuter stops in the middle of its game; another plays to the end.
		assert!(step(&world, 0, 4, &*honest(), &*mind) && step(&world, 0, 4, &*honest(), &*mind));
		play_out(&world, 0, 3, &*honest(), &*mind);
		assert_eq!(offences(), [(account(3), 0, Offence::FalseAccusation)]);
		wait();
		assert_eq!(close(0, None), rejected(ValidityError::TooEarly), "host 4 is still playing");
		assert_ok!(close(0, Some(4)));
		assert_eq!(close(0, Some(4)), rejected(ValidityError::UnknownClaim));
		assert_ok!(close(0, None));
		assert_eq!(offences()[1..], [(account(1), 0, Offence::Fabrication)]);
		assert!(events().contains(&Event::Forfeited { host: account(4), epoch: 0 }));
	});
}

#[test]
fn open_places_are_limited_but_the_accused_and_the_appointed_can_always_play() {
	run(|| {
		let world = World::new(6, &[]);
		elect(&[6]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, POSITION, &*lie())));
		let silly = wrong_at(1, &[row(Tensor::Q, 1)], 1);
		for refuter in [3, 4] {
			assert!(step(&world, 0, refuter, &*lie(), &*silly));
		}
		assert_eq!(play(5, 0, 5, 0, Turn::Pick(0)), rejected(ValidityError::TooManyGames));
		assert!(step(&world, 0, 1, &*lie(), &*honest()));
		assert_eq!(claim(0).appointed, Some(vec![raw(6)]));
		assert!(step(&world, 0, 6, &*lie(), &*honest()));
		assert_eq!(claim(0).games.len(), 4);
		// The accuser plays all games and the accused wins. The other games are removed with the claim.
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert!(!is_open(0));
		assert_eq!(crate::Games::<Test>::iter().count(), 0);
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
	});
}

#[test]
fn a_confirmation_segments_leaf_can_be_accused() {
	run(|| {
		let mut world = World::new(3, &[]);
		go_to_offset(0, SCHEDULE.work_start());
		while Poc::running_epoch().unwrap().confirmations.is_empty() {
			pass(1);
			assert_eq!(Poc::running_epoch().unwrap().index, 0, "the mock beacon calls a confirmation segment");
		}
		let segment = SCHEDULE.segments;
		let early = world.accusation(2, 1, 0, POSITION, &*lie());
		let early = gonka_primitives::check::Accusation { segment, ..early };
		assert_eq!(accuse(early), rejected(ValidityError::NotCommitted));
		pass(SCHEDULE.segment);
		world.commit(0, 1, segment, &[(1, segment, 1, 2)]);
		let position = 6;
		assert_ok!(accuse_and_draw(world.accusation(2, 1, segment, position, &*honest())));
		assert_eq!(claim(0).leaf.unwrap().0.lane, 1);
		wait();
		assert_ok!(close(0, None));
		assert_eq!(offences(), [(account(1), 0, Offence::Fabrication)]);
	});
}

#[test]
fn the_conviction_of_an_accuser_ends_its_accusations() {
	run(|| {
		let world = World::new(4, &[(3, 0, 0, 1)]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, POSITION, &*lie())));
		assert_ok!(accuse_and_draw(world.accusation(2, 3, 0, POSITION, &*honest())));
		play_out(&world, 0, 1, &*lie(), &*honest());
		wait();
		assert_ok!(close(1, None));
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		// Another host has to accuse again.
		assert_ok!(accuse_and_draw(world.accusation(4, 3, 0, POSITION, &*honest())));
	});
}

#[test]
fn a_missed_turn_forfeits_on_either_side() {
	run(|| {
		let world = World::new(4, &[]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, POSITION, &*lie())));
		assert!(step(&world, 0, 3, &*lie(), &*honest()));
		assert!(step(&world, 0, 3, &*lie(), &*honest()));
		assert_eq!(claim(0).games[0].stage, Stage::Block);
		assert_eq!(close(0, Some(3)), rejected(ValidityError::TooEarly));
		pass(SCHEDULE.turn);
		assert_eq!(close(0, Some(3)), rejected(ValidityError::TooEarly));
		pass(1);
		assert_eq!(play(3, 0, 3, 2, Turn::Pick(0)), rejected(ValidityError::TooLate));
		assert_ok!(close(0, Some(3)));
		assert!(events().contains(&Event::Forfeited { host: account(3), epoch: 0 }));
		assert!(is_open(0));
		assert_eq!(play(3, 0, 3, 0, Turn::Pick(0)), rejected(ValidityError::SlotUsed), "one refutation for each");
		// Now the accused plays, and the accuser misses its turn.
		assert!(pick_in_time(&world));
		pass(SCHEDULE.turn + 1);
		assert_eq!(play(2, 0, 1, 1, Turn::Children(vec![[0; 32]; 2])), rejected(ValidityError::TooLate));
		assert_ok!(close(0, Some(1)));
		assert!(!is_open(0));
		let events = events();
		assert!(events.contains(&Event::ClaimLost { claim: 0 }));
		assert!(events.contains(&Event::Forfeited { host: account(2), epoch: 0 }));
		assert!(offences().is_empty());
		assert!(!Poc::is_convicted(0, &account(2)), "its weight remains");
	});
}

fn pick_in_time(world: &World) -> bool {
	step(world, 0, 1, &*lie(), &*honest())
}
