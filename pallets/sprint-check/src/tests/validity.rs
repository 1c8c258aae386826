use super::{
	accusations::lie,
	challenges::{shared, world_with_liar, wrong},
	checks::{honest_answer, honest_request},
	mock::*,
	players::*,
	world::*,
};
use crate::ValidityError;
use gonka_primitives::{
	check::{Accusation, DigestCommitment, OpeningRequest, Play, Turn},
	hashing::domain,
};
use polkadot_sdk::frame_support::assert_ok;

#[test]
fn digests_are_accepted_once_from_checkers_in_their_window() {
	run(|| {
		let world = World::new(3, &[]);
		register(9, 0);
		let tags = world.tags(2, &*honest());
		assert_eq!(commit_digest(8, 0, &tags), rejected(ValidityError::UnknownHost));
		assert_eq!(commit_digest(9, 0, &tags), rejected(ValidityError::NotAssigned));
		assert_eq!(commit_digest(2, 1, &tags), rejected(ValidityError::OutOfPhase));
		let commitment = DigestCommitment { checker: raw(2), epoch: 0, round: 0, hash: [1; 32] };
		let signature = sign(3, domain::DIGEST, &commitment);
		let call = crate::Call::<Test>::commit_digest { commitment, signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		assert_eq!(reveal(2, 0, &tags), rejected(ValidityError::OutOfPhase));
		assert_ok!(commit_digest(2, 0, &tags));
		assert_eq!(commit_digest(2, 0, &tags), rejected(ValidityError::SlotUsed));
		assert_ok!(commit_digest(3, 0, &tags[..3]));

		go_to_offset(0, SCHEDULE.reveal_start());
		assert_eq!(commit_digest(1, 0, &tags), rejected(ValidityError::OutOfPhase));
		assert_eq!(reveal(1, 0, &tags), rejected(ValidityError::NotCommitted));
		assert_eq!(reveal(8, 0, &tags), rejected(ValidityError::UnknownHost));
		let mut others = tags.clone();
		others[0] = [9; 4];
		assert_eq!(reveal(2, 0, &others), rejected(ValidityError::BadProof));
		assert_eq!(reveal(2, 0, &[[9; 4]; 65]), rejected(ValidityError::Malformed));
		assert_eq!(reveal(3, 0, &tags[..3]), rejected(ValidityError::Malformed));
		assert_ok!(reveal(2, 0, &tags));
		assert_eq!(reveal(2, 0, &tags), rejected(ValidityError::SlotUsed));
		go_to_offset(0, SCHEDULE.weigh_start());
		assert_eq!(reveal(3, 0, &tags[..3]), rejected(ValidityError::OutOfPhase));
	});
}

#[test]
fn checkers_request_only_leaves_of_their_own_sets() {
	run(|| {
		let world = World::new(4, &[]);
		let good = honest_request(&world, 2, 1);
		let with = |change: fn(&mut OpeningRequest)| {
			let mut request = honest_request(&world, 2, 1);
			change(&mut request);
			request
		};
		assert_eq!(request(with(|r| r.positions.clear())), rejected(ValidityError::Malformed));
		assert_eq!(request(with(|r| r.positions.reverse())), rejected(ValidityError::Malformed));
		assert_eq!(
			request(with(|r| r.positions = (0..9).map(|at| (0, at)).collect())),
			rejected(ValidityError::Malformed)
		);
		assert_eq!(request(with(|r| r.positions = vec![(0, 7)])), rejected(ValidityError::NotAssigned));
		assert_eq!(request(with(|r| r.host = r.checker)), rejected(ValidityError::NotAssigned));
		assert_eq!(request(with(|r| r.host = raw(9))), rejected(ValidityError::NotCommitted));
		assert_eq!(request(with(|r| r.positions = vec![(5, 0)])), rejected(ValidityError::NotAssigned));
		assert_eq!(request(with(|r| r.epoch = 1)), rejected(ValidityError::OutOfPhase));
		assert_eq!(request(with(|r| r.checker = raw(9))), rejected(ValidityError::UnknownHost));
		let body = good.clone();
		let signature = sign(1, domain::OPENING_REQUEST, &body);
		let call = crate::Call::<Test>::request_openings { request: body, signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		let mut answered = honest_answer(&world, &good);
		assert_eq!(answer(answered.clone()), rejected(ValidityError::NotCommitted));
		assert_ok!(request(good.clone()));
		assert_eq!(request(good.clone()), rejected(ValidityError::SlotUsed));

		answered.openings.pop();
		assert_eq!(answer(answered.clone()), rejected(ValidityError::Malformed));
		let mut answered = honest_answer(&world, &good);
		answered.openings[0].leaf = [1; 32];
		assert_eq!(answer(answered.clone()), rejected(ValidityError::BadProof));
		answered.openings[0].path = vec![[0; 32]; 500];
		assert_eq!(answer(answered), rejected(ValidityError::Malformed));
		let body = honest_answer(&world, &good);
		let signature = sign(2, domain::OPENING_ANSWER, &body);
		let call = crate::Call::<Test>::answer_openings { answer: body.clone(), signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		assert_ok!(answer(body.clone()));
		assert_eq!(answer(body), rejected(ValidityError::SlotUsed));

		let late = honest_request(&world, 3, 1);
		assert_ok!(request(late.clone()));
		pass(SCHEDULE.answer + 1);
		assert_eq!(answer(honest_answer(&world, &late)), rejected(ValidityError::TooLate));
		assert_eq!(request(honest_request(&world, 3, 2)), rejected(ValidityError::OutOfPhase));
	});
}

#[test]
fn accusations_need_valid_proofs() {
	run(|| {
		let world = World::new(3, &[]);
		register(9, 0);
		let with = |change: fn(&mut Accusation)| {
			let mut accusation = world.accusation(2, 1, 0, 1, &*lie());
			change(&mut accusation);
			accuse(accusation)
		};
		assert_eq!(with(|a| a.accuser = raw(8)), rejected(ValidityError::UnknownHost));
		assert_eq!(with(|a| a.accuser = raw(9)), rejected(ValidityError::NotAParticipant));
		assert_eq!(with(|a| a.accuser = a.host), rejected(ValidityError::NothingToDispute));
		assert_eq!(with(|a| a.epoch = 1), rejected(ValidityError::OutOfPhase));
		assert_eq!(with(|a| a.segment = 9), rejected(ValidityError::NotCommitted));
		assert_eq!(with(|a| a.host = raw(9)), rejected(ValidityError::NotCommitted));
		assert_eq!(with(|a| a.position = 2), rejected(ValidityError::BadProof));
		assert_eq!(with(|a| a.opening.leaf = [0; 32]), rejected(ValidityError::BadProof));
		assert_eq!(with(|a| a.output[1] = 32), rejected(ValidityError::Malformed));
		assert_eq!(with(|a| a.output[1] = 128), rejected(ValidityError::Malformed));
		assert_eq!(with(|a| a.output.push(0)), rejected(ValidityError::Malformed));
		assert_eq!(with(|a| a.output[5] = u8::from(a.output[5] == 0)), rejected(ValidityError::BadProof));
		assert_eq!(with(|a| a.frontier.push([0; 32])), rejected(ValidityError::Malformed));
		assert_eq!(with(|a| a.frontier[248] = [0; 32]), rejected(ValidityError::BadProof));
		assert_eq!(with(|a| a.path.clear()), rejected(ValidityError::BadProof));
		let accusation = world.accusation(2, 1, 0, 1, &*lie());
		let signature = sign(1, domain::ACCUSATION, &accusation);
		let call = crate::Call::<Test>::accuse { accusation, signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		assert_ok!(with(|_| ()));
		assert_eq!(with(|_| ()), rejected(ValidityError::SlotUsed));
	});
}

/// The pool rejects each wrong turn without an effect and accepts the right one after it.
#[test]
fn the_pool_rejects_wrong_turns() {
	run(|| {
		let world = world_with_liar(3);
		let set = shared(2, 3);
		assert_ok!(challenge(2, 3, 1, set));
		let wrong_turns = |number| {
			vec![
				Turn::Digests(vec![]),
				Turn::Digests(vec![[1; 32]; 32]),
				Turn::Leaf { number: 200, lane: world.segment(0, 1, 0).opening(0).lane },
				Turn::Leaf { number: 31, lane: world.segment(0, 1, 0).opening(0).lane },
				Turn::Trace { frontier: vec![], path: vec![] },
				Turn::Trace { frontier: vec![[number; 32]; 256], path: vec![] },
				Turn::Pick(255),
				Turn::Children(vec![]),
				Turn::Children(vec![[5; 32]; 2]),
				Turn::Block(vec![]),
				Turn::Block(vec![0; 64]),
				Turn::Block(vec![0; 5000]),
				Turn::Value { coordinate: u32::MAX, inputs: vec![] },
				Turn::Value { coordinate: 0, inputs: vec![] },
			]
		};
		let mut number = 0;
		while is_open(0) {
			let view = claim(0);
			let game = &view.games[0];
			assert_eq!(game.number, number);
			let (player, other) = if game.stage.is_claimants() { (3, 2) } else { (2, 3) };
			for turn in wrong_turns(number) {
				assert!(play(player, 0, 2, number, turn).is_err());
			}
			let right = if player == 3 {
				claimant(&world, &view, game, &*wrong())
			} else {
				refuter(&world, &view, Some(game), &*honest()).unwrap()
			};
			assert_eq!(play(other, 0, 2, number, right.clone()), rejected(ValidityError::WrongTurn));
			assert_eq!(play(player, 0, 2, number + 1, right.clone()), rejected(ValidityError::WrongTurn));
			assert_eq!(play(player, 1, 2, number, right.clone()), rejected(ValidityError::UnknownClaim));
			assert_eq!(play(player, 0, 4, number, right.clone()), rejected(ValidityError::UnknownClaim));
			let body = Play { player: raw(player), claim: 0, refuter: raw(2), number, turn: right.clone() };
			let signature = sign(other, domain::PLAY, &body);
			let call = crate::Call::<Test>::play { play: body, signature };
			assert_eq!(submit(call), rejected(ValidityError::BadSignature));
			assert_eq!(close(0, None), rejected(ValidityError::UnknownClaim), "a challenge is closed through its game");
			assert_ok!(play(player, 0, 2, number, right));
			number += 1;
		}
		assert_eq!(number, 8);
	});
}
