//! Players, who know only the runtime API and the leaves that they compute.

use super::{
	mock::*,
	world::{self, Mind, World, claim, is_open, name_of},
};
use gonka_primitives::{
	check::{Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{
	Layout, SprintFormat, Trace,
	committee::middle_layer,
	dispute::{evidence, find_coordinate, first_difference},
};
use std::sync::Arc;

const LAYOUT: Layout = Layout::new(SprintFormat::Nano);

/// The block that a game is about.
pub fn block_of(game: &GameView) -> u32 {
	LAYOUT.child_index(1, game.picked.unwrap().into(), game.block.unwrap().into()).unwrap()
}

fn trace_of(claim: &ClaimView, mind: &Mind) -> Arc<Trace> {
	mind(claim.leaf.unwrap().0)
}

/// The claimant's turn.
pub fn claimant(world: &World, claim: &ClaimView, game: &GameView, mind: &Mind) -> Turn {
	match game.stage {
		Stage::Digests => {
			let SubjectView::Challenge { set, .. } = claim.subject else { panic!() };
			Turn::Digests(world.digests(claim.epoch, name_of(&claim.host), set, mind))
		},
		Stage::Trace => {
			let trace = trace_of(claim, mind);
			let beacon = Poc::epoch_of(claim.epoch).unwrap().beacon.unwrap();
			let path = trace.digest_path(middle_layer(&beacon, SprintFormat::Nano)).unwrap();
			Turn::Trace { frontier: trace.frontier().to_vec(), path }
		},
		Stage::Children => {
			let trace = trace_of(claim, mind);
			Turn::Children(trace.children(1, game.picked.unwrap().into()).unwrap().to_vec())
		},
		Stage::Bytes => Turn::Block(trace_of(claim, mind).block(block_of(game)).unwrap().to_vec()),
		stage => panic!("{stage:?}"),
	}
}

/// The refuter's turn: `None` if there is nothing to refute.
pub fn refuter(world: &World, claim: &ClaimView, game: Option<&GameView>, mind: &Mind) -> Option<Turn> {
	let picked = game.and_then(|game| game.picked);
	match game.map_or(Stage::Node, |game| game.stage) {
		Stage::Leaf => {
			let SubjectView::Challenge { set, digests, .. } = &claim.subject else { panic!() };
			let host = name_of(&claim.host);
			let mine = world.digests(claim.epoch, host, *set, mind);
			let number = mine.iter().zip(digests).position(|(mine, theirs)| mine != theirs)?;
			let (leaf, position) = world.leaves(claim.epoch, host, *set)[number];
			let opening = world.segment(claim.epoch, host, leaf.segment).opening(position);
			Some(Turn::Leaf { number: number as u8, lane: opening.lane })
		},
		Stage::Node => {
			let child = first_difference(&trace_of(claim, mind), &claim.frontier, 0, 0)?;
			LAYOUT.child_index(0, 0, child).map(|_| Turn::Pick(child as u8))
		},
		Stage::Block => {
			let child = first_difference(&trace_of(claim, mind), &game?.children, 1, picked?.into())?;
			Some(Turn::Pick(child as u8))
		},
		Stage::Value => {
			let (trace, index) = (trace_of(claim, mind), block_of(game?));
			let coordinate = find_coordinate(&trace, index, &game?.bytes)?;
			Some(Turn::Value { coordinate, inputs: evidence(&trace, index, coordinate).unwrap() })
		},
		stage => panic!("{stage:?}"),
	}
}

/// Takes the next turn of the game of refuter `by`, with its player's computation. Returns whether there was one.
pub fn step(world: &World, id: u32, by: u8, claimants: &Mind, refuters: &Mind) -> bool {
	let claim = claim(id);
	let game = claim.games.iter().find(|game| game.refuter == raw(by));
	let number = game.map_or(0, |game| game.number);
	let (player, turn) = match game {
		Some(game) if game.stage.is_claimants() => {
			(name_of(&claim.claimant), Some(claimant(world, &claim, game, claimants)))
		},
		game => (by, refuter(world, &claim, game, refuters)),
	};
	turn.map(|turn| world::play(player, id, by, number, turn).unwrap()).is_some()
}

/// Plays a game to its end, a turn in each block.
pub fn play_out(world: &World, id: u32, by: u8, claimants: &Mind, refuters: &Mind) {
	let mut turns = 0;
	while is_open(id) && step(world, id, by, claimants, refuters) {
		pass(1);
		turns += 1;
		let claim = Check::claim_views().into_iter().find(|claim| claim.id == id);
		if claim.is_none_or(|claim| claim.games.iter().all(|game| game.refuter != raw(by))) {
			break;
		}
	}
	assert!(turns <= 8);
}
