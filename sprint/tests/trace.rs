//! Traces: their layout, their values, and proofs against their roots.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{inputs, seeds};
use gonka_sprint::{
	Activations, Error, Hash, Layout, Model, Place, SprintFormat, Tensor, Trace, layer_digest,
	trace::{MAX_BLOCK, bind_digest, bind_output, block_hash, fold, verify_block, verify_path},
};
use proptest::prelude::*;
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::new(&seeds(SprintFormat::Nano).0, SprintFormat::Nano));
static TOKENS: LazyLock<Vec<u16>> = LazyLock::new(|| inputs(SprintFormat::Nano, 0, 1).remove(0));
static TRACE: LazyLock<Trace> = LazyLock::new(|| Trace::new(&MODEL, &TOKENS).unwrap());

#[test]
fn layouts_map_places_and_indices_to_each_other() {
	for (format, blocks, depth, lens) in
		[(SprintFormat::Nano, 497, 9, [256, 2, 0]), (SprintFormat::P400, 58_497, 16, [256, 256, 0])]
	{
		let (layout, params) = (Layout::new(format), format.params());
		assert_eq!((layout.blocks(), layout.depth(), layout.steps()), (blocks, depth, 2));
		assert_eq!([0, 1, 2].map(|step| layout.children_len(step)), lens);
		for index in 0..blocks {
			let place = layout.place(index).unwrap();
			assert_eq!(layout.index(place), Some(index));
			assert!(layout.block_len(place) <= MAX_BLOCK);
			let (node, child) = layout.picks(index).unwrap();
			assert_eq!(layout.child_index(0, 0, node), Some(node));
			assert_eq!(layout.child_index(1, node, child), Some(index));
		}
		assert_eq!((layout.place(blocks), layout.picks(blocks)), (None, None));
		assert_eq!(layout.place(u32::MAX), None);
		let (node, child) = layout.picks(blocks - 1).unwrap();
		assert_eq!(layout.child_index(0, 0, node + 1), None);
		assert_eq!(layout.child_index(0, 1, 0), None);
		assert_eq!(layout.child_index(1, node, child + 1), None);
		assert_eq!(layout.child_index(2, 0, 0), None);
		for row in [params.tokens as u32, params.width as u32, u32::MAX] {
			for (layer, tensor) in [(0, Tensor::V), (params.layers, Tensor::Q), (u16::MAX, Tensor::Output)] {
				let place = layout.index(Place::Row { layer, tensor, row });
				assert_eq!(place.is_some(), layer == 0 && row < params.width as u32);
			}
		}
		let output = |layer| layout.index(Place::Row { layer, tensor: Tensor::Output, row: 0 }).unwrap();
		assert!((0..params.layers).all(|layer| output(layer).is_multiple_of(params.tokens as u32)));
	}
}

#[test]
fn a_trace_holds_the_forward_pass() {
	let output = MODEL.forward(&TOKENS).unwrap();
	assert_eq!(TRACE.output(), &output[..]);
	let (layout, params) = (TRACE.layout(), SprintFormat::Nano.params());
	let row = |layer, tensor, row| TRACE.block(layout.index(Place::Row { layer, tensor, row }).unwrap()).unwrap();
	let shown = MODEL.forward_with(&TOKENS, |layer, residual, a| {
		let narrow = |x: &[i8]| x.iter().map(|x| *x as u8).collect::<Vec<_>>();
		let wide = |x: &[i32]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
		for t in 0..params.tokens {
			let (at, far) = (t * params.width..(t + 1) * params.width, t * params.ffn..(t + 1) * params.ffn);
			for (tensor, values) in [
				(Tensor::AttentionInput, narrow(&a.attention_input[at.clone()])),
				(Tensor::Q, narrow(&a.q[at.clone()])),
				(Tensor::K, narrow(&a.k[at.clone()])),
				(Tensor::Attended, narrow(&a.attended[at.clone()])),
				(Tensor::Middle, wide(&a.middle[at.clone()])),
				(Tensor::FfnInput, narrow(&a.ffn_input[at.clone()])),
				(Tensor::Gate, narrow(&a.gate[far.clone()])),
				(Tensor::Up, narrow(&a.up[far.clone()])),
				(Tensor::Hidden, narrow(&a.hidden[far])),
				(Tensor::Output, wide(&residual[at])),
			] {
				assert_eq!(row(layer, tensor, t as u32), values);
			}
			for c in 0..params.width {
				assert_eq!(row(layer, Tensor::V, c as u32)[t] as i8, a.v[t * params.width + c]);
			}
		}
		assert_eq!(TRACE.digest(layer), layer_digest(SprintFormat::Nano, layer, residual));
		assert_eq!(MODEL.digest_at(&TOKENS, layer).ok(), TRACE.digest(layer));
	});
	assert_eq!(shown, Ok(output));
	assert_eq!(MODEL.digest_at(&TOKENS, 2), Err(Error::NoSuchLayer));
	assert_eq!(MODEL.digest_at(&[0; 3], 0), Err(Error::TokenCount));
	assert_eq!(Trace::new(&MODEL, &[256; 16]).err(), Some(Error::TokenRange));
	assert_eq!(layer_digest(SprintFormat::Nano, 2, &[0; 16 * 64]), None);
	assert_eq!(layer_digest(SprintFormat::Nano, 0, &[0; 16 * 64 + 1]), None);
	assert!(Trace::from_blocks(SprintFormat::Nano, vec![vec![]; 496]).is_none());
	let again = Trace::from_blocks(SprintFormat::Nano, TRACE.blocks().to_vec()).unwrap();
	assert_eq!((again.root(), again.output()), (TRACE.root(), TRACE.output()));
}

#[test]
fn used_buffers_give_the_same_scores() {
	let run = |mut a: Activations| {
		MODEL.run_layer(0, &mut MODEL.embed(&TOKENS).unwrap(), &mut a).unwrap();
		a
	};
	let mut used = Activations::new(&SprintFormat::P400.params());
	used.scores.fill(77);
	assert_eq!(run(used).scores, run(Activations::new(&SprintFormat::Nano.params())).scores);
}

#[test]
fn only_children_that_fold_and_are_padded_are_accepted() {
	let (layout, root, frontier) = (TRACE.layout(), TRACE.root(), TRACE.frontier());
	assert!(layout.verify_children(0, 0, &root, frontier));
	assert!(!layout.verify_children(0, 0, &root, &frontier[1..]));
	assert!(!layout.verify_children(0, 1, &root, frontier));
	assert!(!layout.verify_children(1, 0, &root, frontier));
	assert!(!layout.verify_children(2, 0, &root, &[]));
	for node in 0..256u32 {
		let (hash, children) = (frontier[node as usize], TRACE.children(1, node).unwrap());
		assert!(layout.verify_children(1, node, &hash, children));
		assert!(!layout.verify_children(1, node, &root, children));
		assert!(!layout.verify_children(1, node + 256, &hash, children));
	}
	assert_eq!((TRACE.children(1, 256), TRACE.children(2, 0), TRACE.children(0, 1)), (None, None, None));
	assert_eq!(TRACE.children(u32::MAX, u32::MAX), None);
	// Block 497 does not exist: nothing but zeros may stand there, although another tree would fold as well.
	let last = [block_hash(496, TRACE.block(496).unwrap()), [0; 32]];
	assert_eq!(TRACE.children(1, 248), Some(&last[..]));
	let filled = [last[0], [1; 32]];
	assert!(!layout.verify_children(1, 248, &fold(&filled).unwrap(), &filled));
	let mut filled = frontier.to_vec();
	filled[249] = [1; 32];
	assert!(!layout.verify_children(0, 0, &fold(&filled).unwrap(), &filled));
	assert_eq!((fold(&[]), fold(&[[0; 32]; 3]), fold(&[[7; 32]])), (None, None, Some([7; 32])));
}

#[test]
fn digests_and_outputs_are_bound_to_the_frontier() {
	let (layout, frontier) = (TRACE.layout(), TRACE.frontier());
	let digests = [0, 1].map(|layer| TRACE.digest(layer).unwrap());
	for (layer, digest) in (0..).zip(&digests) {
		let path = TRACE.digest_path(layer).unwrap();
		assert!(bind_digest(&layout, frontier, layer, digest, &path));
		assert!(!bind_digest(&layout, frontier, 1 - layer, digest, &path));
		assert!(!bind_digest(&layout, frontier, layer + 2, digest, &path));
		assert!(!bind_digest(&layout, frontier, layer, &[1; 32], &path));
		assert!(!bind_digest(&layout, frontier, layer, digest, &[[0; 32]]));
		assert!(!bind_digest(&layout, &frontier[..128], layer, digest, &path));
	}
	let output: Vec<u8> = TRACE.output().iter().map(|x| *x as u8).collect();
	let path = TRACE.output_path();
	assert!(bind_output(&layout, frontier, &output, &path));
	assert!(!bind_output(&layout, frontier, &output[1..], &path));
	assert!(!bind_output(&layout, frontier, &output, &[]));
	assert!(!bind_output(&layout, &[], &output, &path));
	let mut other = output.clone();
	other[63] ^= 1;
	assert!(!bind_output(&layout, frontier, &other, &path));
}

proptest! {
	#[test]
	fn blocks_are_proven_at_their_place_only(
		index in 0u32..497, other in 0u32..600, byte: prop::sample::Index, flip in 1u8..,
	) {
		let (layout, root) = (TRACE.layout(), TRACE.root());
		let (mut bytes, path) = (TRACE.block(index).unwrap().to_vec(), TRACE.proof(index).unwrap());
		prop_assert_eq!(verify_block(&layout, &root, other, &bytes, &path), other == index);
		prop_assert!(verify_block(&layout, &root, index, &bytes, &path));
		prop_assert!(!verify_block(&layout, &root, index, &bytes, &path[1..]));
		let place = byte.index(bytes.len());
		bytes[place] ^= flip;
		prop_assert!(!verify_block(&layout, &root, index, &bytes, &path));
	}

	#[test]
	fn hostile_arguments_do_not_panic(
		number: u32, parent: u32, step: u32, layer: u16, hash: Hash,
		path in prop::collection::vec(any::<Hash>(), 0..70),
	) {
		for layout in SprintFormat::ALL.map(Layout::new) {
			for step in [step, step % 3] {
				layout.child_index(step, parent, number);
				prop_assert!(!layout.verify_children(step, parent, &hash, &path));
			}
			prop_assert!(!bind_digest(&layout, &path, layer, &hash, &path));
			prop_assert!(!bind_output(&layout, &path, &hash, &path));
			prop_assert!(!verify_block(&layout, &hash, number, &hash, &path));
		}
		verify_path(&hash, number, &path);
	}
}
