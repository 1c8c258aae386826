//! The race's hot code: `cargo bench -p gonka-sprint`.

#![allow(clippy::expect_used, missing_docs, reason = "a bench may stop")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{inputs, leaf_id, seeds};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonka_sprint::{
	LaneCommitment, Lanes, LayerDigest, LeafOpening, Matrix, MerkleTree, Model, Profile, expand_matrix, expand_row,
	sample,
};
use std::{hint::black_box, time::Duration};

fn expansion(c: &mut Criterion) {
	let (seed, _) = seeds(Profile::P400);
	let mut group = c.benchmark_group("expansion");
	group.throughput(Throughput::Bytes(4096 * 1024));
	group.bench_function("P400 gate, one thread", |b| {
		b.iter(|| expand_matrix(black_box(&seed), Profile::P400, 3, Matrix::Gate));
	});
	group.throughput(Throughput::Bytes(4096));
	group.bench_function("P400 row of down", |b| {
		b.iter(|| expand_row(black_box(&seed), Profile::P400, 3, Matrix::Down, 7));
	});
}

fn leaves(c: &mut Criterion) {
	let (seed, segment) = seeds(Profile::Nano);
	let nano = Model::new(&seed, Profile::Nano);
	let mut group = c.benchmark_group("leaf");
	group.throughput(Throughput::Elements(1));
	group.bench_function("Nano, one thread", |b| b.iter(|| nano.leaf(black_box(&segment), &leaf_id(0))));
	let batch = inputs(Profile::Nano, 0, 1024);
	group.throughput(Throughput::Elements(1024));
	group.bench_function("Nano, batch of 1024, two threads", |b| b.iter(|| nano.forward_batch(black_box(&batch), 2)));

	let (seed, segment) = seeds(Profile::P400);
	let p400 = Model::new_parallel(&seed, Profile::P400, 2);
	group.sample_size(10).measurement_time(Duration::from_secs(15)).throughput(Throughput::Elements(1));
	group.bench_function("P400, one thread", |b| b.iter(|| p400.leaf(black_box(&segment), &leaf_id(0))));
	let batch = inputs(Profile::P400, 0, 2);
	group.throughput(Throughput::Elements(2));
	group.bench_function("P400, batch of 2, two threads", |b| b.iter(|| p400.forward_batch(black_box(&batch), 2)));
	group.throughput(Throughput::Elements(1));
	let residual = p400.embed(&batch[0]).expect("the input fits");
	group.bench_function("P400 layer digest", |b| b.iter(|| LayerDigest::new(12, black_box(&residual), 1024).root()));
}

fn commitments(c: &mut Criterion) {
	const COUNT: u64 = 1 << 20;
	let leaves: Vec<_> = (0..COUNT).map(|index| leaf_id(index).hash(&[])).collect();
	let tree = MerkleTree::new(leaves.clone());
	let lanes: Vec<_> = (0..8).map(|lane| LaneCommitment { lane, count: COUNT, root: tree.root() }).collect();
	let lanes = Lanes::new(&lanes).expect("lanes are distinct");
	let (commitment, position) = (lanes.commitment(), 5 * COUNT + 12_345);
	let open = || {
		let (lane, index) = lanes.locate(position)?;
		Some(LeafOpening { lane: lanes.proof(lane)?, leaf: leaves[index as usize], path: tree.proof(index)? })
	};
	let opening = open().expect("the position is below the total");

	let mut group = c.benchmark_group("commitment");
	group.sample_size(20);
	group.bench_function("tree over 2^20 leaves", |b| {
		b.iter_batched(|| leaves.clone(), MerkleTree::new, criterion::BatchSize::LargeInput);
	});
	group.bench_function("open, 8 lanes of 2^20", |b| b.iter(open));
	group.bench_function("verify, 8 lanes of 2^20", |b| b.iter(|| commitment.verify(position, black_box(&opening))));
	group.bench_function("sample 32 of 2^23", |b| {
		b.iter(|| sample(black_box(&[1; 32]), &[2; 32], 0, commitment.count, 32));
	});
}

criterion_group!(benches, expansion, leaves, commitments);
criterion_main!(benches);
