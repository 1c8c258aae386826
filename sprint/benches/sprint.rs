//! Benchmarks of the sprint: `cargo bench -p gonka-sprint`.

#![allow(clippy::expect_used, missing_docs, reason = "a benchmark may panic")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{inputs, leaf_id, seeds};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonka_sprint::{
	DisputeVerdict, Draw, LaneCommitment, Lanes, Layout, LeafOpening, Matrix, MerkleTree, Model, Place, SprintFormat,
	Tensor, Trace,
	dispute::{evidence, judge},
	expand_matrix, expand_row, layer_digest, sample,
};
use std::{hint::black_box, time::Duration};

fn expansion(c: &mut Criterion) {
	let (seed, _) = seeds(SprintFormat::P400);
	let mut group = c.benchmark_group("expansion");
	group.throughput(Throughput::Bytes(4096 * 1024));
	group.bench_function("P400 gate, one thread", |b| {
		b.iter(|| expand_matrix(black_box(&seed), SprintFormat::P400, 3, Matrix::Gate));
	});
	group.throughput(Throughput::Bytes(4096));
	group.bench_function("P400 row of down", |b| {
		b.iter(|| expand_row(black_box(&seed), SprintFormat::P400, 3, Matrix::Down, 7));
	});
}

fn leaves(c: &mut Criterion) {
	let (seed, segment) = seeds(SprintFormat::Nano);
	let nano = Model::new(&seed, SprintFormat::Nano);
	let mut group = c.benchmark_group("leaf");
	group.throughput(Throughput::Elements(1));
	group.bench_function("Nano, one thread", |b| b.iter(|| nano.leaf(black_box(&segment), &leaf_id(0))));
	let batch = inputs(SprintFormat::Nano, 0, 1024);
	group.throughput(Throughput::Elements(1024));
	group.bench_function("Nano, batch of 1024, two threads", |b| b.iter(|| nano.forward_batch(black_box(&batch), 2)));

	let (seed, segment) = seeds(SprintFormat::P400);
	let p400 = Model::new_parallel(&seed, SprintFormat::P400, 2);
	group.sample_size(10).measurement_time(Duration::from_secs(15)).throughput(Throughput::Elements(1));
	group.bench_function("P400, one thread", |b| b.iter(|| p400.leaf(black_box(&segment), &leaf_id(0))));
	let batch = inputs(SprintFormat::P400, 0, 2);
	group.throughput(Throughput::Elements(2));
	group.bench_function("P400, batch of 2, two threads", |b| b.iter(|| p400.forward_batch(black_box(&batch), 2)));
	group.throughput(Throughput::Elements(1));
	let residual = p400.embed(&batch[0]).expect("the input fits");
	group
		.bench_function("P400 layer digest", |b| b.iter(|| layer_digest(SprintFormat::P400, 12, black_box(&residual))));
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
		b.iter(|| sample(black_box(&[1; 32]), &[2; 32], 0, 0, commitment.count, 32));
	});
}

fn committees(c: &mut Criterion) {
	let weights: Vec<u64> = (0..1024).map(|checker| 100 + checker % 7).collect();
	let draw = Draw::new([1; 32], &weights, 10_000);
	let mut group = c.benchmark_group("committee, 1024 checkers, 10000 participants");
	group.bench_function("draw", |b| b.iter(|| Draw::new(black_box([1; 32]), &weights, 10_000)));
	group.bench_function("committee", |b| b.iter(|| draw.committee(black_box(777), None)));
	group.bench_function("duties", |b| b.iter(|| draw.duties(black_box(333))));
}

fn disputes(c: &mut Criterion) {
	let mut group = c.benchmark_group("dispute");
	let nano = Model::new(&seeds(SprintFormat::Nano).0, SprintFormat::Nano);
	let tokens = &inputs(SprintFormat::Nano, 0, 1)[0];
	group.bench_function("Nano trace", |b| b.iter(|| Trace::new(&nano, black_box(tokens))));

	// The cost does not depend on the values, and a computation on zeros gives zeros.
	let (seed, layout) = (seeds(SprintFormat::P400).0, Layout::new(SprintFormat::P400));
	let len = |index| layout.place(index).map_or(0, |place| layout.block_len(place));
	let blocks = (0..layout.blocks()).map(|index| vec![0; len(index)]).collect();
	let trace = Trace::from_blocks(SprintFormat::P400, blocks).expect("as many as the format has");
	for (name, tensor) in [
		("a value of down", Tensor::Output),
		("a value of q", Tensor::Q),
		("a value of attention", Tensor::Attended),
		("a value of hidden", Tensor::Hidden),
	] {
		let judged = || {
			let index = layout.index(Place::Row { layer: 23, tensor, row: 127 })?;
			let (picked, _) = layout.picks(index)?;
			Some((index, picked, trace.block(index)?, trace.children(1, picked)?, evidence(&trace, index, 1023)?))
		};
		let (index, picked, block, children, given) = judged().expect("the block exists");
		let judged = || {
			let (tokens, frontier) = (&[], trace.frontier());
			judge(&seed, SprintFormat::P400, tokens, frontier, picked, children, index, block, 1023, black_box(&given))
		};
		assert!(tensor == Tensor::Q || judged() == Some(DisputeVerdict::RefuterLied));
		group.bench_function(format!("P400 judge, {name}"), |b| b.iter(judged));
	}
	group.bench_function("P400 children", |b| {
		b.iter(|| layout.verify_children(0, 0, &trace.root(), black_box(trace.frontier())));
	});
}

criterion_group!(benches, expansion, leaves, commitments, committees, disputes);
criterion_main!(benches);
