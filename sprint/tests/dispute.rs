//! Disputes from the claim to the outcome: for every layer, tensor and value, the liar loses, whether claimant or refuter.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{inputs as leaf_inputs, seeds};
use gonka_sprint::{
	DisputeVerdict, Hash, InputBlock, Layout, Model, ModelSeed, Place, SprintFormat, Tensor, Trace,
	dispute::{evidence, find_coordinate, first_difference, inputs, is_child, judge, shown, value},
};
use proptest::prelude::*;
use std::sync::LazyLock;

const NANO: SprintFormat = SprintFormat::Nano;
static SEED: LazyLock<ModelSeed> = LazyLock::new(|| seeds(NANO).0);
static TOKENS: LazyLock<Vec<u16>> = LazyLock::new(|| leaf_inputs(NANO, 0, 1).remove(0));
static HONEST: LazyLock<Trace> = LazyLock::new(|| Trace::new(&Model::new(&SEED, NANO), &TOKENS).unwrap());
static LAYOUT: LazyLock<Layout> = LazyLock::new(|| Layout::new(NANO));

/// Plays a dispute with the checks of the chain. `None` if the refuter finds no difference.
fn play(claimant: &Trace, refuter: &Trace) -> Option<DisputeVerdict> {
	let frontier = claimant.frontier();
	assert!(LAYOUT.verify_children(0, 0, &claimant.root(), frontier));
	let picked = LAYOUT.child_index(0, 0, first_difference(refuter, frontier, 0, 0)?).unwrap();
	let children = claimant.children(1, picked).unwrap();
	assert!(LAYOUT.verify_children(1, picked, &frontier[picked as usize], children));
	let index = LAYOUT.child_index(1, picked, first_difference(refuter, children, 1, picked)?).unwrap();
	let block = claimant.block(index).unwrap();
	assert!(is_child(&LAYOUT, children, index, block));
	let coordinate = find_coordinate(refuter, index, block).unwrap();
	rule(claimant, index, coordinate, &evidence(refuter, index, coordinate).unwrap())
}

/// The outcome of any last turn about the block that the claimant shows at `index`.
fn rule(claimant: &Trace, index: u32, coordinate: u32, given: &[InputBlock]) -> Option<DisputeVerdict> {
	let (picked, _) = LAYOUT.picks(index)?;
	let (frontier, children, block) = (claimant.frontier(), claimant.children(1, picked)?, claimant.block(index)?);
	judge(&SEED, NANO, &TOKENS, frontier, picked, children, index, block, coordinate, given)
}

fn number(index: u32, coordinate: u32) -> (u32, u32) {
	let place = LAYOUT.place(index).unwrap();
	(coordinate % LAYOUT.values(place), LAYOUT.value_len(place) as u32)
}

/// The honest blocks with one byte of one value changed.
fn flipped(index: u32, coordinate: u32, byte: u32, flip: u8) -> Vec<Vec<u8>> {
	let (mut blocks, (coordinate, len)) = (HONEST.blocks().to_vec(), number(index, coordinate));
	blocks[index as usize][(coordinate * len + byte % len) as usize] ^= flip;
	blocks
}

/// Computes all blocks from `from` on from those before. A value that cannot be computed after a lie is 0.
fn follow(blocks: &mut [Vec<u8>], from: u32) {
	for index in from..LAYOUT.blocks() {
		let place = LAYOUT.place(index).unwrap();
		let len = LAYOUT.value_len(place);
		let values = (0..LAYOUT.values(place)).flat_map(|coordinate| {
			let inputs = inputs(NANO, index, coordinate).unwrap();
			let inputs: Vec<&[u8]> = inputs.iter().map(|input| blocks[*input as usize].as_slice()).collect();
			let value = value(&SEED, NANO, &TOKENS, index, coordinate, &inputs).unwrap_or(0);
			value.to_le_bytes().into_iter().take(len)
		});
		blocks[index as usize] = values.collect();
	}
}

fn trace(blocks: Vec<Vec<u8>>) -> Trace {
	Trace::from_blocks(NANO, blocks).unwrap()
}

/// The first, a middle and the last row of each tensor of each layer, and the blocks around the layers.
fn some_blocks() -> Vec<u32> {
	let mut blocks = vec![0, 7, 15, LAYOUT.blocks() - 1];
	for layer in 0..2 {
		for tensor in Tensor::ALL {
			let last = if tensor == Tensor::V { 63 } else { 15 };
			let index = |row| LAYOUT.index(Place::Row { layer, tensor, row }).unwrap();
			blocks.extend([0, 6, last].map(index));
		}
	}
	blocks
}

#[test]
fn each_value_computed_alone_equals_the_models() {
	let mut blocks = vec![vec![]; LAYOUT.blocks() as usize];
	follow(&mut blocks, 0);
	assert_eq!(blocks, HONEST.blocks());
}

#[test]
fn every_kind_of_lie_loses() {
	assert_eq!(play(&HONEST, &HONEST), None);
	for index in some_blocks() {
		let last = LAYOUT.values(LAYOUT.place(index).unwrap()) - 1;
		for coordinate in [0, last / 2, last] {
			let liar = trace(flipped(index, coordinate, 0, 1));
			assert_eq!(play(&liar, &HONEST), Some(DisputeVerdict::ClaimantLied), "{:?}", LAYOUT.place(index));
			assert_eq!(play(&HONEST, &liar), Some(DisputeVerdict::RefuterLied), "{:?}", LAYOUT.place(index));
			let honest = evidence(&HONEST, index, coordinate).unwrap();
			assert!(honest.len() <= 2 && honest.iter().all(|input| input.path.len() <= 8));
			assert_eq!(rule(&HONEST, index, coordinate, &honest), Some(DisputeVerdict::RefuterLied));
			let block = HONEST.block(index).unwrap();
			assert_eq!(shown(NANO, index, &block[1..], coordinate), None);
			assert_eq!(shown(NANO, index, block, last + 1), None);
			assert_eq!(rule(&HONEST, index, last + 1, &honest), None);
		}
	}
}

#[test]
fn blocks_of_a_wrong_length_lose() {
	for index in some_blocks() {
		for len in [0, 1, 63, 1000] {
			let mut blocks = HONEST.blocks().to_vec();
			blocks[index as usize].resize(len, 0);
			assert_eq!(play(&trace(blocks), &HONEST), Some(DisputeVerdict::ClaimantLied));
		}
	}
}

/// Unequal frontiers, lists of other nodes and blocks that were not shown.
#[test]
fn malformed_positions_are_rejected() {
	let (index, frontier) = (200, HONEST.frontier());
	let (given, block) = (evidence(&HONEST, index, 3).unwrap(), HONEST.block(index).unwrap());
	let (picked, _) = LAYOUT.picks(index).unwrap();
	let children = HONEST.children(1, picked).unwrap();
	let judge = |frontier: &[Hash], picked, children: &[Hash], index, block: &[u8], given: &[InputBlock]| {
		judge(&SEED, NANO, &TOKENS, frontier, picked, children, index, block, 3, given)
	};
	assert_eq!(judge(frontier, picked, children, index, block, &given), Some(DisputeVerdict::RefuterLied));
	assert_eq!(judge(&frontier[1..], picked, children, index, block, &given), None);
	assert_eq!(judge(frontier, picked + 1, children, index, block, &given), None);
	assert_eq!(judge(frontier, picked, &children[1..], index, block, &given), None);
	assert_eq!(judge(frontier, picked, children, index ^ 1, block, &given), None);
	assert_eq!(judge(frontier, picked, children, 497, block, &given), None);
	assert_eq!(judge(frontier, picked, children, index, &block[1..], &given), None);
	assert_eq!(judge(frontier, picked, children, index, block, &given[1..]), None);
	let mut longer = given.clone();
	longer.extend(given.clone());
	assert_eq!(judge(frontier, picked, children, index, block, &longer), None);
}

/// A claimant whose first lie is a value out of range, and who then uses it, cannot make its use unjudgeable: the
/// refuter stops at the first.
#[test]
fn a_claimant_with_values_out_of_range_loses() {
	for index in some_blocks() {
		let mut blocks = flipped(index, 5, 0, 0);
		let (coordinate, len) = number(index, 5);
		let at = (coordinate * len) as usize;
		blocks[index as usize][at..at + len as usize].copy_from_slice(&[0x7f; 4][..len as usize]);
		follow(&mut blocks, index + 1);
		assert_eq!(play(&trace(blocks), &HONEST), Some(DisputeVerdict::ClaimantLied));
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(128))]

	/// A claimant changes one value and may compute the rest from it.
	#[test]
	fn a_lying_claimant_loses(index in 0u32..497, coordinate: u32, byte: u32, flip in 1u8.., follows: bool) {
		let mut blocks = flipped(index, coordinate, byte, flip);
		if follows {
			follow(&mut blocks, index + 1);
		}
		let liar = trace(blocks);
		prop_assert_eq!(play(&liar, &HONEST), Some(DisputeVerdict::ClaimantLied));
		// As a refuter of the truth it loses, too, or has no turn.
		prop_assert_ne!(play(&HONEST, &liar), Some(DisputeVerdict::ClaimantLied));
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(512))]

	/// Several lies at once, anywhere.
	#[test]
	fn many_lies_lose(lies in prop::collection::vec((0u32..497, any::<prop::sample::Index>(), 1u8..), 1..20)) {
		let mut blocks = HONEST.blocks().to_vec();
		for (index, byte, flip) in &lies {
			let block = &mut blocks[*index as usize];
			let at = byte.index(block.len());
			block[at] = HONEST.block(*index).unwrap()[at] ^ flip;
		}
		prop_assert_eq!(play(&trace(blocks), &HONEST), Some(DisputeVerdict::ClaimantLied));
	}

	/// An honest claimant, and a refuter that picks any block and coordinate with any inputs: those of another
	/// place, of a tree of its own, or changed in a byte.
	#[test]
	fn a_lying_refuter_loses(
		index in 0u32..497, coordinate: u32, other in 0u32..497, lie in 0u32..497, flip in 1u8..,
		byte: prop::sample::Index, kind in 0u32..5,
	) {
		let (coordinate, _) = number(index, coordinate);
		let own = trace(flipped(lie, coordinate, 0, flip));
		let mut given = match kind {
			0 => evidence(&own, index, coordinate).unwrap(),
			1 => evidence(&HONEST, other, number(other, coordinate).0).unwrap(),
			2 => vec![],
			_ => evidence(&HONEST, index, coordinate).unwrap(),
		};
		if let (3, Some(input)) = (kind, given.first_mut()) {
			let place = byte.index(input.bytes.len());
			input.bytes[place] ^= flip;
			prop_assert_eq!(rule(&HONEST, index, coordinate, &given), None);
		} else if kind == 4 {
			prop_assert_eq!(rule(&HONEST, index, coordinate, &given), Some(DisputeVerdict::RefuterLied));
			if given.len() == 2 {
				given.reverse();
				prop_assert_eq!(rule(&HONEST, index, coordinate, &given), None);
			}
		}
		prop_assert_ne!(rule(&HONEST, index, coordinate, &given), Some(DisputeVerdict::ClaimantLied));
	}

	#[test]
	fn hostile_arguments_do_not_panic(
		index in prop_oneof![0u32..60_000, any::<u32>()], coordinate in prop_oneof![0u32..4096, any::<u32>()],
		bytes in prop::collection::vec(any::<u8>(), 0..5000), small in 0u8..=31, lens: [prop::sample::Index; 2],
		tokens in prop::collection::vec(any::<u16>(), 0..130), hash: Hash,
	) {
		for format in SprintFormat::ALL {
			let layout = Layout::new(format);
			if let Some(wanted) = inputs(format, index, coordinate) {
				prop_assert!(wanted.len() <= 2 && wanted.iter().all(|input| *input < index));
				// Inputs of the right lengths, with legal and with any values.
				for legal in [true, false] {
					let fill = |input: &u32| -> Vec<u8> {
						let place = layout.place(*input).unwrap();
						let (len, value) = (layout.block_len(place), layout.value_len(place));
						let repeated: Vec<u8> = if legal { [small, 0, 0, 0][..value].to_vec() } else { bytes.clone() };
						repeated.into_iter().cycle().take(len).collect()
					};
					let blocks: Vec<Vec<u8>> = wanted.iter().map(fill).collect();
					let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
					let right = value(&SEED, format, &tokens, index, coordinate, &blocks);
					// The embedded rows come first and need legal tokens.
					let embedded = index < format.params().tokens as u32;
					prop_assert!(right.is_some() || !legal || embedded);
				}
			}
			let parts = lens.map(|len| &bytes[..len.index(bytes.len() + 1)]);
			value(&SEED, format, &tokens, index, coordinate, &parts);
			shown(format, index, &bytes, coordinate);
			let given = InputBlock { bytes: bytes.clone(), path: vec![hash; 9] };
			let nodes = vec![hash; 256];
			let picked = index >> 8;
			let verdict =
				judge(&SEED, format, &tokens, &nodes, picked, &nodes, index, &bytes, coordinate, &[given]);
			prop_assert_eq!(verdict, None);
		}
	}
}
