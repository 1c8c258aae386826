//! The format `P400`: a known answer, disputes and statistics. One test, so that the weights are in memory once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Collapse, Spread, inputs, leaf_id, seeds};
use gonka_sprint::{
	Activations, DisputeVerdict, Model, ModelSeed, Place, SprintFormat, Tensor, Trace,
	dispute::{evidence, find_coordinate, first_difference, judge},
	trace::{bind_digest, bind_output},
};

#[test]
fn p400_has_the_known_answer_and_its_outputs_do_not_collapse() {
	let (seed, segment) = seeds(SprintFormat::P400);
	let model = Model::new_parallel(&seed, SprintFormat::P400, 2);
	let params = SprintFormat::P400.params();

	let inputs = inputs(SprintFormat::P400, 0, 4);
	assert_eq!(inputs[0], leaf_id(0).tokens(&segment, SprintFormat::P400));
	let outputs = model.forward_batch(&inputs, 2).unwrap();
	assert_eq!(
		hex::encode(leaf_id(0).hash(&outputs[0])),
		"1fb4ef54f72d30edbfb3b10aac6be0fb7a03c3f1a834c485337a7a3846f509cc"
	);

	let trace = Trace::new(&model, &inputs[0]).unwrap();
	assert_eq!(trace.output(), outputs[0]);
	disputes(&seed, &inputs[0], &trace);
	drop(trace);

	let (mut x, mut a) = (model.embed(&inputs[0]).unwrap(), Activations::new(&params));
	model.run_layer(0, &mut x, &mut a).unwrap();
	model.run_layer(1, &mut x, &mut a).unwrap();

	let mut spread = Spread::default();
	spread.add(&a);
	assert!(spread.saturation() < 0.03, "{}", spread.saturation());
	for (name, deviation, saturated) in spread.rows() {
		assert!((4.0..18.0).contains(&deviation) && saturated < 0.1, "{name}: {deviation}, {saturated}");
	}
	let mut collapse = Collapse::default();
	for (tokens, output) in inputs.iter().zip(&outputs) {
		collapse.add(tokens, output);
	}
	let (absolute, largest) = collapse.absolute_and_largest_cosine();
	assert_eq!(collapse.equal, 0);
	// Independent directions in 1,024 dimensions have a mean |cosine| of 0.025, and 0.15 is 5 deviations.
	assert!(absolute < 0.08 && largest < 0.15, "{absolute}, {largest}");
}

/// Digests and outputs are bound to the trace, and lies lose in each tensor of two layers, as the runtime decides.
fn disputes(seed: &ModelSeed, tokens: &[u16], trace: &Trace) {
	let (layout, frontier) = (trace.layout(), trace.frontier());
	for layer in 0..24 {
		let (digest, path) = (trace.digest(layer).unwrap(), trace.digest_path(layer).unwrap());
		assert_eq!(path.len(), 1);
		assert!(bind_digest(&layout, frontier, layer, &digest, &path));
		assert!(!bind_digest(&layout, frontier, layer, &digest, &[[0; 32]]));
		assert!(!bind_digest(&layout, frontier, layer, &digest, &[]));
	}
	let output: Vec<u8> = trace.output().iter().map(|x| *x as u8).collect();
	assert!(bind_output(&layout, frontier, &output, &trace.output_path()));
	assert!(!bind_output(&layout, frontier, &output, &trace.output_path()[1..]));

	let rows = |layer| Tensor::ALL.map(|tensor| [0, 77, 127].map(|row| Place::Row { layer, tensor, row }));
	let places = [0, 13].map(rows).into_iter().flatten().flatten();
	for place in places.chain([Place::Embedded { token: 5 }, Place::Output]) {
		let (index, values) = (layout.index(place).unwrap(), layout.values(place));
		let (picked, _) = layout.picks(index).unwrap();
		let (block, children) = (trace.block(index).unwrap(), trace.children(1, picked).unwrap());
		assert_eq!(first_difference(trace, children, 1, picked), None);
		for coordinate in [0, values / 2 + 5, values - 1] {
			let given = evidence(trace, index, coordinate).unwrap();
			let bytes: usize = given.iter().map(|input| input.bytes.len() + 32 * input.path.len()).sum();
			assert!(bytes <= 9000 && given.iter().all(|input| input.path.len() <= 8));
			let judge = |children: &[_], block: &[u8]| {
				judge(seed, SprintFormat::P400, tokens, frontier, picked, children, index, block, coordinate, &given)
			};
			assert_eq!(judge(children, block), Some(DisputeVerdict::RefuterLied), "{place:?} {coordinate}");

			let mut lie = block.to_vec();
			lie[coordinate as usize * layout.value_len(place)] ^= 1;
			assert_eq!(judge(children, &lie), None);
			let mut shown = children.to_vec();
			let child = layout.picks(index).unwrap().1;
			shown[child as usize] = gonka_sprint::trace::block_hash(index, &lie);
			assert_eq!(first_difference(trace, &shown, 1, picked), Some(child));
			assert_eq!(find_coordinate(trace, index, &lie), Some(coordinate));
			assert_eq!(judge(&shown, &lie), Some(DisputeVerdict::ClaimantLied), "{place:?} {coordinate}");
		}
	}
}
