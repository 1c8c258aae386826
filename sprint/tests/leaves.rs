//! The dependencies of a leaf.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{inputs, leaf_id, seeds};
use gonka_sprint::{Activations, Error, Hash, LeafId, Model, ModelSeed, SprintFormat};
use proptest::prelude::*;
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::new(&seeds(SprintFormat::Nano).0, SprintFormat::Nano));

/// Everything that determines a leaf.
#[derive(Clone, Debug)]
struct Place {
	genesis: Hash,
	epoch_randomness: Hash,
	segment_randomness: Hash,
	id: LeafId,
}

impl Place {
	fn leaf(&self) -> Hash {
		let seed = ModelSeed::derive(&self.genesis, self.id.epoch, SprintFormat::Nano, &self.epoch_randomness);
		let segment = seed.segment(self.id.segment, &self.segment_randomness);
		Model::new(&seed, SprintFormat::Nano).leaf(&segment, &self.id).1
	}
}

prop_compose! {
	fn places()(
		genesis: Hash, epoch_randomness: Hash, segment_randomness: Hash,
		host: [u8; 32], epoch: u32, segment: u8, lane: u16, index: u64,
	) -> Place {
		let id = LeafId { host, epoch, segment, lane, index };
		Place { genesis, epoch_randomness, segment_randomness, id }
	}
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(24))]

	#[test]
	fn any_bit_of_any_field_changes_the_leaf(place in places(), bit in 0usize..256) {
		let (byte, flip) = (bit / 8, 1u8 << (bit % 8));
		let changes: [fn(&mut Place, usize, u8, usize); 8] = [
			|p, byte, flip, _| p.genesis[byte] ^= flip,
			|p, byte, flip, _| p.epoch_randomness[byte] ^= flip,
			|p, byte, flip, _| p.segment_randomness[byte] ^= flip,
			|p, byte, flip, _| p.id.host[byte] ^= flip,
			|p, _, _, bit| p.id.epoch ^= 1 << (bit % 32),
			|p, _, _, bit| p.id.segment ^= 1 << (bit % 8),
			|p, _, _, bit| p.id.lane ^= 1 << (bit % 16),
			|p, _, _, bit| p.id.index ^= 1 << (bit % 64),
		];
		let leaf = place.leaf();
		prop_assert_eq!(leaf, place.leaf());
		for change in changes {
			let mut other = place.clone();
			change(&mut other, byte, flip, bit);
			prop_assert_ne!(leaf, other.leaf());
		}
	}

	#[test]
	fn batches_and_threads_do_not_change_outputs(from in 0u64..1 << 40, count in 0u64..40, threads in 0usize..9, batch in 1usize..20) {
		let inputs = inputs(SprintFormat::Nano, from, count);
		let alone: Vec<_> = inputs.iter().map(|tokens| MODEL.forward(tokens).unwrap()).collect();
		prop_assert_eq!(&MODEL.forward_batch(&inputs, threads).unwrap(), &alone);
		let batches: Vec<_> = inputs.chunks(batch).flat_map(|b| MODEL.forward_batch(b, threads).unwrap()).collect();
		prop_assert_eq!(batches, alone);
	}

	#[test]
	fn layers_can_run_alone(index: u64) {
		let tokens = leaf_id(index).tokens(&seeds(SprintFormat::Nano).1, SprintFormat::Nano);
		let mut shown = vec![];
		let output = MODEL.forward_with(&tokens, |_, x, a| shown.push((x.to_vec(), a.clone()))).unwrap();
		let mut x = MODEL.embed(&tokens).unwrap();
		for (layer, (after, computed)) in (0..).zip(&shown) {
			// A new buffer gives the same values as a used one.
			let mut activations = Activations::new(&SprintFormat::Nano.params());
			MODEL.run_layer(layer, &mut x, &mut activations).unwrap();
			prop_assert_eq!((&x, &activations), (after, computed));
		}
		prop_assert_eq!(MODEL.output(&x), Ok(output));
	}

	/// A token changes no position before it, and changes the last token's output.
	#[test]
	fn attention_is_causal(index: u64, at in 0usize..16, new in 0u16..256) {
		let mut tokens = leaf_id(index).tokens(&seeds(SprintFormat::Nano).1, SprintFormat::Nano);
		prop_assume!(tokens[at] != new);
		let run = |tokens: &[u16]| {
			let mut last = vec![];
			let output = MODEL.forward_with(tokens, |_, x, _| last = x.to_vec()).unwrap();
			(last, output)
		};
		let (before, output) = run(&tokens);
		tokens[at] = new;
		let (after, changed) = run(&tokens);
		prop_assert_eq!(&before[..at * 64], &after[..at * 64]);
		prop_assert_ne!(output, changed);
	}

	#[test]
	fn the_residual_is_bounded_and_any_legal_one_is_accepted(values in prop::collection::vec(-32_768i32..=32_768, 16 * 64)) {
		let (mut x, mut activations) = (values, Activations::new(&SprintFormat::Nano.params()));
		prop_assert_eq!(MODEL.run_layer(1, &mut x, &mut activations), Ok(()));
		prop_assert!(x.iter().all(|x| x.abs() <= 32_768));
		prop_assert!(MODEL.output(&x).unwrap().iter().all(|x| x.abs() <= 31));
	}
}

#[test]
fn wrong_shapes_are_rejected() {
	let mut activations = Activations::new(&SprintFormat::Nano.params());
	assert_eq!(MODEL.forward(&[0; 15]), Err(Error::TokenCount));
	assert_eq!(MODEL.forward(&[256; 16]), Err(Error::TokenRange));
	assert_eq!(MODEL.run_layer(2, &mut vec![0; 16 * 64], &mut activations), Err(Error::NoSuchLayer));
	assert_eq!(MODEL.run_layer(0, &mut vec![0; 64], &mut activations), Err(Error::Residual));
	assert_eq!(MODEL.output(&[32_769; 16 * 64]), Err(Error::Residual));
	assert_eq!(MODEL.forward_batch(&[vec![0; 16], vec![0; 3]], 2), Err(Error::TokenCount));
	// All-equal and all-zero inputs are legal.
	assert_eq!(MODEL.forward(&[0; 16]).map(|output| output.len()), Ok(64));
	assert_eq!(MODEL.output(&[0; 16 * 64]), Ok(vec![0; 64]));
}

#[test]
fn threads_expand_the_same_weights() {
	let (seed, segment) = seeds(SprintFormat::Nano);
	for threads in 0..4 {
		let model = Model::new_parallel(&seed, SprintFormat::Nano, threads);
		assert_eq!(model.leaf(&segment, &leaf_id(1)), MODEL.leaf(&segment, &leaf_id(1)));
	}
}

#[test]
fn the_format_changes_the_seed() {
	let seed = |format| ModelSeed::derive(&[0; 32], 0, format, &[0; 32]);
	assert_ne!(seed(SprintFormat::Nano), seed(SprintFormat::P400));
}
