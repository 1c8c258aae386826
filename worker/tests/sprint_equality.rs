//! The prover on libtorch equals the reference bit for bit, with both ways of computing products.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use gonka_engine::torch_device;
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, SprintFormat};
use gonka_worker::sprint::{
	Checked, Expand, Prover, Reference,
	torch::{Products, Torch, TorchModel},
};
use tch::Device;

const MODEL: ModelSeed = ModelSeed([3; 32]);
const SEGMENT: SegmentSeed = SegmentSeed([4; 32]);

/// The device that `GONKA_TEST_DEVICE` names, or the CPU.
fn on() -> Device {
	torch_device(&std::env::var("GONKA_TEST_DEVICE").unwrap_or("cpu".into())).unwrap()
}

fn ids(count: u64) -> Vec<LeafId> {
	(0..count).map(|index| LeafId { host: [5; 32], epoch: 6, segment: 2, lane: (index % 3) as u16, index }).collect()
}

#[test]
fn a_thousand_nano_leaves_equal_the_reference() {
	let reference = Model::new(&MODEL, SprintFormat::Nano);
	let ids = ids(1000);
	let expected: Vec<_> = ids.iter().map(|id| reference.leaf(&SEGMENT, id).1).collect();
	for products in [Products::Float32, Products::Int8] {
		let mut model = TorchModel::with_products(&MODEL, SprintFormat::Nano, on(), products).unwrap();
		// Batches of all sizes that a rate limit can make.
		let mut leaves = Vec::new();
		let (mut rest, mut size) = (ids.as_slice(), 1);
		while !rest.is_empty() {
			let (batch, more) = rest.split_at(size.min(rest.len()));
			leaves.extend(model.leaves(&SEGMENT, batch).unwrap());
			(rest, size) = (more, size * 2);
		}
		assert_eq!(leaves, expected, "{products:?}");
	}
}

#[test]
fn two_leaves_of_p400_equal_the_reference() {
	let ids = ids(2);
	// Other tests use the cores, too.
	tch::set_num_threads(1);
	let reference = Model::new_parallel(&MODEL, SprintFormat::P400, 2);
	let inputs: Vec<_> = ids.iter().map(|id| id.tokens(&SEGMENT, SprintFormat::P400)).collect();
	let expected = reference.forward_batch(&inputs, 2).unwrap();
	let layer = 13;
	let digests: Vec<_> = inputs.iter().map(|tokens| reference.digest_at(tokens, layer).unwrap()).collect();
	drop(reference);
	for products in [Products::Int8, Products::Float32] {
		let mut model = TorchModel::with_products(&MODEL, SprintFormat::P400, on(), products).unwrap();
		let outputs = model.forward(&inputs.concat()).unwrap();
		assert!(outputs == expected, "{products:?}");
		let checked = model.check(&SEGMENT, &ids, layer).unwrap();
		let right =
			|((id, output), digest): ((&LeafId, &Vec<i8>), &_)| Checked { leaf: id.hash(output), digest: *digest };
		assert_eq!(checked, ids.iter().zip(&expected).zip(&digests).map(right).collect::<Vec<_>>(), "{products:?}");
	}
}

#[test]
fn digests_equal_the_reference() {
	let reference = Model::new(&MODEL, SprintFormat::Nano);
	let ids = ids(50);
	for layer in 0..2 {
		let right = |id: &LeafId| Checked {
			leaf: reference.leaf(&SEGMENT, id).1,
			digest: reference.digest_at(&id.tokens(&SEGMENT, SprintFormat::Nano), layer).unwrap(),
		};
		let expected: Vec<_> = ids.iter().map(right).collect();
		for products in [Products::Float32, Products::Int8] {
			let mut model = TorchModel::with_products(&MODEL, SprintFormat::Nano, on(), products).unwrap();
			assert_eq!(model.check(&SEGMENT, &ids, layer).unwrap(), expected, "{products:?}");
			// A single leaf is computed together with a copy of itself.
			assert_eq!(model.check(&SEGMENT, &ids[7..8], layer).unwrap(), expected[7..8], "{products:?}");
		}
		let mut team = Torch { device: on(), threads: 3 }.expand(&MODEL, SprintFormat::Nano).unwrap();
		assert_eq!(team.check(&SEGMENT, &ids, layer).unwrap(), expected);
		let mut reference = Reference { threads: 3 }.expand(&MODEL, SprintFormat::Nano).unwrap();
		assert_eq!(reference.check(&SEGMENT, &ids, layer).unwrap(), expected);
	}
}

#[test]
fn a_team_of_threads_gives_the_same_leaves_in_order() {
	let ids = ids(100);
	let expected = Reference { threads: 1 }.expand(&MODEL, SprintFormat::Nano).unwrap().leaves(&SEGMENT, &ids).unwrap();
	for threads in [1, 3] {
		let mut team = Torch { device: on(), threads }.expand(&MODEL, SprintFormat::Nano).unwrap();
		for count in [100, 2, 4] {
			assert_eq!(team.leaves(&SEGMENT, &ids[..count]).unwrap(), expected[..count]);
		}
	}
}

#[test]
fn the_faster_products_are_found_by_a_trial() {
	let model = TorchModel::new(&MODEL, SprintFormat::Nano, on()).unwrap();
	assert!(matches!(model.products(), Products::Int8 | Products::Float32));
	assert!(model.batch() >= 1);
}
