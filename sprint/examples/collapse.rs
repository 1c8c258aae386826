//! Do outputs collapse? Prints the statistics by which the constants were frozen.
//!
//! `cargo run --release --example collapse [-- <nano leaves> <p400 leaves>]`, 1,000,000 and 16 if not given.

#![allow(clippy::expect_used, reason = "a report may stop")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Collapse, Spread, inputs, measure, seeds};
use gonka_sprint::{Model, Profile};
use std::time::Instant;

fn main() {
	let mut arguments = std::env::args().skip(1).map(|n| n.parse().expect("a number of leaves"));
	report(Profile::Nano, arguments.next().unwrap_or(1_000_000));
	report(Profile::P400, arguments.next().unwrap_or(16));
}

fn report(profile: Profile, leaves: u64) {
	if leaves < 2 {
		return;
	}
	println!("== {profile:?}");
	let start = Instant::now();
	let model = Model::new_parallel(&seeds(profile).0, profile, 2);
	println!("weights                        {:.3} s", start.elapsed().as_secs_f64());

	let (mut spread, mut residual) = (Spread::default(), (0.0, 0i32));
	for tokens in inputs(profile, 0, leaves.min(if profile == Profile::Nano { 200 } else { 2 })) {
		let shown = model.forward_with(&tokens, |_, x, activations| {
			spread.add(activations);
			residual.0 = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
			residual.1 = x.iter().fold(residual.1, |most, x| most.max(x.abs()));
		});
		shown.expect("inputs fit the profile");
	}
	spread.print();
	println!("residual                       deviation {:.0}, largest {}", residual.0.sqrt(), residual.1);

	let start = Instant::now();
	let (mut collapse, mut from) = (Collapse::default(), 0);
	while from < leaves {
		let count = (leaves - from).min(100_000);
		let inputs = inputs(profile, from, count);
		measure(&mut collapse, &model, &inputs);
		from += count;
	}
	println!("time per leaf, two threads     {:.6} s", start.elapsed().as_secs_f64() / leaves as f64);
	collapse.print();
}
