//! Outputs do not collapse. `examples/collapse.rs` prints more statistics.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Collapse, Spread, inputs, measure, seeds};
use gonka_sprint::{Model, SprintFormat};

#[test]
fn nano_outputs_do_not_collapse() {
	let model = Model::new(&seeds(SprintFormat::Nano).0, SprintFormat::Nano);
	let mut collapse = Collapse::default();
	measure(&mut collapse, &model, &inputs(SprintFormat::Nano, 0, 20_000));
	assert_eq!(collapse.equal, 0);
	assert!(collapse.pair_entropy().0 >= 6.0);
	assert!(collapse.mean_cosine().abs() < 0.06, "{}", collapse.mean_cosine());
	// Independent directions in 64 dimensions have a mean |cosine| of 0.1.
	let (absolute, largest) = collapse.absolute_and_largest_cosine();
	assert!(absolute < 0.15 && largest < 0.9, "{absolute}, {largest}");
	assert!(collapse.mean_cosine_of_one_last_token() < 0.5);
	// In a normal distribution with deviation 16, 5 % are beyond 31.
	assert!(collapse.saturation() < 0.07, "{}", collapse.saturation());
}

#[test]
fn nano_activations_use_their_range() {
	let (seed, segment) = seeds(SprintFormat::Nano);
	let model = Model::new(&seed, SprintFormat::Nano);
	let mut spread = Spread::default();
	for index in 0..100 {
		let tokens = common::leaf_id(index).tokens(&segment, SprintFormat::Nano);
		model.forward_with(&tokens, |_, _, activations| spread.add(activations)).unwrap();
	}
	assert!(spread.saturation() < 0.03, "{}", spread.saturation());
	for (name, deviation, saturated) in spread.rows() {
		assert!((4.0..18.0).contains(&deviation) && saturated < 0.1, "{name}: {deviation}, {saturated}");
	}
}

/// Each epoch has other weights, and none may collapse.
#[test]
fn no_seed_collapses() {
	for byte in 0..20 {
		let model = Model::new(&gonka_sprint::ModelSeed([byte; 32]), SprintFormat::Nano);
		let mut collapse = Collapse::default();
		measure(&mut collapse, &model, &inputs(SprintFormat::Nano, 0, 500));
		assert_eq!(collapse.equal, 0);
		assert!(collapse.mean_cosine() < 0.1, "{byte}: {}", collapse.mean_cosine());
	}
}
