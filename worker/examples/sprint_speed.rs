//! Measures leaves per second on this machine: `cargo run --release -p gonka-worker --example sprint_speed -- [device]
//! [threads]`.

use gonka_sprint::{LeafId, ModelSeed, SegmentSeed, SprintFormat};
use gonka_worker::sprint::{
	Expand, Prover, Reference,
	torch::{Products, Torch, TorchModel},
};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn measure(what: &str, prover: &mut dyn Prover) -> Result<()> {
	let seed = SegmentSeed([1; 32]);
	let (mut done, mut measured, mut start) = (0u64, 0u64, Instant::now());
	while start.elapsed() < Duration::from_secs(5) {
		let end = done + prover.batch() as u64;
		let id = |index| LeafId { host: [2; 32], epoch: 0, segment: 0, lane: 0, index };
		prover.leaves(&seed, &(done..end).map(id).collect::<Vec<_>>())?;
		if done == 0 {
			// The first batch only warms up.
			start = Instant::now();
		} else {
			measured += end - done;
		}
		done = end;
	}
	println!(
		"{what:32} {:10.2} leaves/s, {} at a time",
		measured as f64 / start.elapsed().as_secs_f64(),
		prover.batch()
	);
	Ok(())
}

fn main() -> Result<()> {
	let mut arguments = std::env::args().skip(1);
	let device = gonka_engine::torch_device(&arguments.next().unwrap_or("cpu".into()))?;
	let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(1);
	let seed = ModelSeed([0; 32]);
	for format in SprintFormat::ALL {
		let start = Instant::now();
		let mut prover = Torch { device, threads }.expand(&seed, format)?;
		println!("{format:?} expanded in {:.2} s", start.elapsed().as_secs_f64());
		measure(&format!("{format:?} as in the worker"), &mut *prover)?;
		drop(prover);
		for products in [Products::Int8, Products::Float32] {
			match TorchModel::with_products(&seed, format, device, products) {
				Ok(mut model) => {
					let what = format!("{format:?} {products:?} {device:?}, one thread");
					measure(&what, &mut model).unwrap_or_else(|error| println!("{what}: {error}"));
				},
				Err(error) => println!("{format:?} {products:?}: {error}"),
			}
		}
		if device == tch::Device::Cpu {
			let mut reference = Reference { threads: threads.into() }.expand(&seed, format)?;
			measure(&format!("{format:?} reference"), &mut *reference)?;
		}
	}
	Ok(())
}
