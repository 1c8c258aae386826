//! Hostile workers: one process is of one kind, so what differs by kind stands in a file of its own.
#![cfg(feature = "hostile")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::{
	check::{Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{LeafId, ModelSeed, Profile, SegmentSeed, Trace, Verdict, dispute::judge};
use gonka_worker::{
	check::disputes::{claimants_turn, refuters_turn},
	hostile::{self, Kind},
	sprint::{Expand, Reference},
};

#[test]
fn a_fabricator_makes_up_leaves_and_loses_in_their_defence() {
	hostile::set(Kind::Fabricate);
	let (seed, id) = (seed_of(2), |index| LeafId { host: host(), epoch: 5, segment: 2, lane: 0, index });
	let ids: Vec<_> = (0..200).map(id).collect();
	let mut racer =
		hostile::expand(Box::new(Reference { threads: 2 })).expand(&ModelSeed([1; 32]), Profile::Nano).unwrap();
	let mut honest = Reference { threads: 2 }.expand(&ModelSeed([1; 32]), Profile::Nano).unwrap();
	let (made, right) = (racer.leaves(&seed, &ids).unwrap(), honest.leaves(&seed, &ids).unwrap());
	let wrong: Vec<usize> = (0..200).filter(|index| made[*index] != right[*index]).collect();
	assert_eq!(wrong, [49, 99, 149, 199]);
	assert_eq!(racer.check(&seed, &ids[49..50], 1).unwrap()[0].leaf, right[49]);

	let trace = Trace::new(&model(), &id(49).tokens(&SegmentSeed(seed.0), Profile::Nano)).unwrap();
	let mut claim = ClaimView {
		id: 1,
		epoch: 5,
		profile: Profile::Nano,
		model_seed: [1; 32],
		claimant: [7; 32],
		host: host(),
		subject: SubjectView::Accusation { output: trace.output().iter().map(|value| *value as u8).collect() },
		leaf: Some((id(49), seed.0)),
		frontier: trace.frontier().to_vec(),
		until: 0,
		games: Vec::new(),
	};
	let (children, bytes) = (Vec::new(), Vec::new());
	let mut game = GameView {
		refuter: host(),
		stage: Stage::Children,
		number: 1,
		deadline: 0,
		picked: Some(0),
		children,
		block: None,
		bytes,
	};
	let Some(Turn::Children(children)) = claimants_turn(&trace, &claim, &game) else { panic!() };
	(game.children, game.stage) = (children, Stage::Block);
	assert_eq!(refuters_turn(&trace, &claim, &game), Some(Turn::Pick(0)));
	(game.block, game.stage) = (Some(0), Stage::Bytes);
	let Some(Turn::Block(bytes)) = claimants_turn(&trace, &claim, &game) else { panic!() };
	(game.bytes, game.stage) = (bytes, Stage::Value);
	let Some(Turn::Value { coordinate, inputs }) = refuters_turn(&trace, &claim, &game) else { panic!() };
	let (tokens, seed) = (id(49).tokens(&seed, Profile::Nano), ModelSeed([1; 32]));
	let frontier = std::mem::take(&mut claim.frontier);
	let verdict =
		judge(&seed, Profile::Nano, &tokens, &frontier, 0, &game.children, 0, &game.bytes, coordinate, &inputs);
	assert_eq!(verdict, Some(Verdict::RefuterLied));
}
