//! The mainnet profile: a known answer, and that its outputs differ. One test, so that the weights are held once.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

mod common;

use common::{Collapse, Spread, inputs, leaf_id, seeds};
use gonka_sprint::{Activations, Matrix, Model, Profile, expand_row};

#[test]
fn p400() {
	let (seed, segment) = seeds(Profile::P400);
	let model = Model::new_parallel(&seed, Profile::P400, 2);
	let params = Profile::P400.params();

	let inputs = inputs(Profile::P400, 0, 4);
	assert_eq!(inputs[0], leaf_id(0).tokens(&segment, Profile::P400));
	let outputs = model.forward_batch(&inputs, 2).unwrap();
	assert_eq!(
		hex::encode(leaf_id(0).hash(&outputs[0])),
		"1fb4ef54f72d30edbfb3b10aac6be0fb7a03c3f1a834c485337a7a3846f509cc"
	);

	// A value in the middle, as the runtime would decide it: one row, one dot product.
	let (mut x, mut a) = (model.embed(&inputs[0]).unwrap(), Activations::new(&params));
	model.run_layer(0, &mut x, &mut a).unwrap();
	model.run_layer(1, &mut x, &mut a).unwrap();
	let row = expand_row(&seed, Profile::P400, 1, Matrix::Up, 4000).unwrap();
	let input = &a.ffn_input[127 * params.width..];
	let value = gonka_sprint::arith::requant(gonka_sprint::arith::dot(&row, input), params.shifts.up);
	assert_eq!(value, a.up[127 * params.ffn + 4000]);

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
