//! Prints the statistics of outputs and activations by which the constants were chosen.
//!
//! `cargo run --release --example collapse [-- <nano leaves> <p400 leaves>]`, 1,000,000 and 16 if not given.

#![allow(clippy::expect_used, reason = "a report may panic")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Collapse, Spread, inputs, measure, seeds};
use gonka_sprint::{Model, SprintFormat};
use std::time::Instant;

fn main() {
	let mut arguments = std::env::args().skip(1).map(|n| n.parse().expect("a number of leaves"));
	report(SprintFormat::Nano, arguments.next().unwrap_or(1_000_000));
	report(SprintFormat::P400, arguments.next().unwrap_or(16));
}

fn report(format: SprintFormat, leaves: u64) {
	if leaves < 2 {
		return;
	}
	println!("== {format:?}");
	let start = Instant::now();
	let model = Model::new_parallel(&seeds(format).0, format, 2);
	println!("weights                        {:.3} s", start.elapsed().as_secs_f64());

	let (mut spread, mut residual) = (Spread::default(), (0.0, 0i32));
	for tokens in inputs(format, 0, leaves.min(if format == SprintFormat::Nano { 200 } else { 2 })) {
		let shown = model.forward_with(&tokens, |_, x, activations| {
			spread.add(activations);
			residual.0 = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
			residual.1 = x.iter().fold(residual.1, |largest, x| largest.max(x.abs()));
		});
		shown.expect("inputs fit the format");
	}
	spread.print();
	println!("residual                       deviation {:.0}, largest {}", residual.0.sqrt(), residual.1);

	let start = Instant::now();
	let (mut collapse, mut from) = (Collapse::default(), 0);
	while from < leaves {
		let count = (leaves - from).min(100_000);
		let inputs = inputs(format, from, count);
		measure(&mut collapse, &model, &inputs);
		from += count;
	}
	println!("time per leaf, two threads     {:.6} s", start.elapsed().as_secs_f64() / leaves as f64);
	collapse.print();
}
