//! Disputes on traces of real `Nano` leaves, played to the end with the runtime's own judge.
//!
//! [`crate::epoch`] assumes that an honest player never loses a game that it plays; this module tests the assumption.

use crate::population::{below, rng};
use gonka_sprint::{
	DisputeVerdict, LeafId, Model, ModelSeed, SprintFormat, Trace,
	dispute::{evidence, find_coordinate, first_difference, judge},
};
use rand_chacha::ChaCha8Rng;

/// Results of the games.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Games {
	/// Number of games in which one player lied and the other did not.
	pub played: u64,
	/// Number of games decided against the liar by the value that the judge computed.
	pub judged: u64,
	/// Number of games decided against the liar because it had no legal move.
	pub no_move: u64,
	/// Number of games decided against the honest player.
	pub lost: u64,
}

const NANO: SprintFormat = SprintFormat::Nano;
/// Number of leaves whose traces are used.
const LEAVES: u64 = 8;

/// Plays `number` games of each kind: a lying claimant against an honest refuter, and the other way round. Returns
/// `None` if the model rejects its own input.
pub fn play(seed: u64, number: u64) -> Option<Games> {
	let mut rng = rng(seed, b"games", 0);
	let model_seed = ModelSeed::derive(&[1; 32], 1, NANO, &[2; 32]);
	let segment = model_seed.segment(0, &[3; 32]);
	let model = Model::new(&model_seed, NANO);
	let mut leaves = Vec::new();
	for index in 0..LEAVES {
		let tokens = LeafId { host: [4; 32], epoch: 1, segment: 0, lane: 0, index }.tokens(&segment, NANO);
		leaves.push((Trace::new(&model, &tokens).ok()?, tokens));
	}
	let mut games = Games::default();
	for game in 0..number {
		let (honest, tokens) = &leaves[(game % LEAVES) as usize];
		let liar = lie(&mut rng, honest)?;
		games.count(game_of(&model_seed, tokens, &liar, honest), DisputeVerdict::RefuterLied);
		games.count(game_of(&model_seed, tokens, honest, &liar), DisputeVerdict::ClaimantLied);
	}
	Some(games)
}

impl Games {
	fn count(&mut self, verdict: Option<DisputeVerdict>, wrong: DisputeVerdict) {
		self.played += 1;
		match verdict {
			Some(verdict) if verdict == wrong => self.lost += 1,
			Some(_) => self.judged += 1,
			None => self.no_move += 1,
		}
	}
}

/// Returns a trace with one to eight wrong bytes anywhere.
fn lie(rng: &mut ChaCha8Rng, honest: &Trace) -> Option<Trace> {
	let mut blocks = honest.blocks().to_vec();
	for _ in 0..=below(rng, 8) {
		let block = below(rng, blocks.len());
		let at = below(rng, blocks[block].len());
		blocks[block][at] = honest.blocks()[block][at] ^ (1 + below(rng, 255) as u8);
	}
	Trace::from_blocks(NANO, blocks)
}

/// Plays the turns from the first pick on; both players follow their own trace. Returns `None` if a turn is rejected:
/// its player loses.
fn game_of(seed: &ModelSeed, tokens: &[u16], claimant: &Trace, refuter: &Trace) -> Option<DisputeVerdict> {
	let layout = claimant.layout();
	let frontier = claimant.frontier();
	let node = layout.child_index(0, 0, first_difference(refuter, frontier, 0, 0)?)?;
	let children = claimant.children(1, node)?;
	let index = layout.child_index(1, node, first_difference(refuter, children, 1, node)?)?;
	let block = claimant.block(index)?;
	let coordinate = find_coordinate(refuter, index, block)?;
	let inputs = evidence(refuter, index, coordinate)?;
	judge(seed, NANO, tokens, frontier, node, children, index, block, coordinate, &inputs)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_liar_always_loses() {
		let games = play(7, 100).unwrap();
		assert_eq!((games.played, games.lost, games.judged + games.no_move), (200, 0, 200));
		assert!(games.judged >= 190, "{games:?}");
	}
}
