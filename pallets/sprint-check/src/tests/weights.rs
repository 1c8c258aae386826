use super::mock::*;
use crate::{
	types::{MAX_ANSWER, MAX_OWN},
	weights::*,
};
use codec::Encode;
use gonka_primitives::check::{Accusation, MAX_BLOCK, MAX_REQUESTED, OpeningAnswer, Play, Turn};
use gonka_sprint::{InputBlock, LaneCommitment, LaneProof, LeafOpening, Place, SprintFormat, Tensor, trace::Layout};
use polkadot_sdk::frame_support::{
	traits::Get,
	weights::{RuntimeDbWeight, Weight},
};

const MILLISECOND: u64 = 1_000_000_000;
/// The size that a transaction adds to its message.
const ENVELOPE: usize = 256;

/// Dispatch weights without the cost of the database.
type W = SubstrateWeight<Test>;

#[test]
fn without_the_database_no_call_costs_more_than_a_millisecond() {
	let db: RuntimeDbWeight = <Test as polkadot_sdk::frame_system::Config>::DbWeight::get();
	assert_eq!(db, RuntimeDbWeight { read: 0, write: 0 });
	let (tags, games) = (2_304, 16 + MAX_OWN);
	let sums: [(&str, Weight); 8] = [
		("commit_digest", W::authorize_commit_digest() + W::commit_digest()),
		("reveal", W::authorize_reveal(64) + W::reveal(64)),
		("request_openings", W::authorize_request_openings() + W::request_openings()),
		("answer_openings", W::authorize_answer_openings() + W::answer_openings()),
		("accuse", W::authorize_accuse() + W::accuse(games)),
		("challenge", W::authorize_challenge(tags) + W::challenge(games)),
		("play", W::authorize_play() + W::play(games)),
		("close", W::authorize_close() + W::close(games)),
	];
	for (name, weight) in sums {
		assert!(weight.ref_time() <= MILLISECOND, "{name}: {weight:?}");
	}
}

fn lane(levels: usize) -> LaneProof {
	let lane = LaneCommitment { lane: u16::MAX, count: 1 << 40, root: [1; 32] };
	LaneProof { lanes: 1 << 16, lane, path: vec![(1 << 40, [2; 32]); levels] }
}

/// The largest legal messages of the large format: 2^16 lanes, 2^40 leaves.
#[test]
fn messages_fit_16_kilobytes() {
	let layout = Layout::new(SprintFormat::P400);
	let path = vec![[3; 32]; 8];
	let longest = layout.block_len(Place::Row { layer: 0, tensor: Tensor::Hidden, row: 0 });
	let block = |tensor| layout.block_len(Place::Row { layer: 23, tensor, row: 127 });
	let all: Vec<usize> = Tensor::ALL.into_iter().map(block).collect();
	assert_eq!((longest, all.iter().max()), (MAX_BLOCK as usize, Some(&longest)));
	let input = InputBlock { bytes: vec![1; longest], path: path.clone() };
	let turns = [
		Turn::Digests(vec![[1; 32]; 32]),
		Turn::Leaf { number: 31, lane: lane(16) },
		Turn::Trace { frontier: vec![[1; 32]; layout.children_len(0)], path: path.clone() },
		Turn::Pick(255),
		Turn::Children(vec![[1; 32]; layout.children_len(1)]),
		Turn::Block(vec![1; longest]),
		Turn::Value { coordinate: 4_095, inputs: vec![input.clone(), input] },
	];
	for turn in turns {
		let play = Play { player: [1; 32], claim: u32::MAX, refuter: [2; 32], number: 7, turn };
		assert!(play.encoded_size() + ENVELOPE <= 16_000, "{}", play.encoded_size());
	}
	let opening = LeafOpening { lane: lane(16), leaf: [1; 32], path: vec![[2; 32]; 40] };
	let accusation = Accusation {
		accuser: [1; 32],
		epoch: 1,
		host: [2; 32],
		segment: 1,
		position: 1,
		opening: opening.clone(),
		output: vec![1; layout.block_len(Place::Output)],
		frontier: vec![[1; 32]; layout.children_len(0)],
		path,
	};
	assert!(accusation.encoded_size() + ENVELOPE <= 16_000);
	let openings = vec![opening; MAX_REQUESTED as usize];
	let bytes = openings.encoded_size();
	assert!(bytes <= MAX_ANSWER as usize, "{bytes}");
	let answer = OpeningAnswer { host: [1; 32], epoch: 1, round: 0, checker: [2; 32], openings };
	assert!(answer.encoded_size() + ENVELOPE <= MAX_ANSWER as usize + 2 * ENVELOPE);
}
