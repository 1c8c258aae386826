//! Leaves per second of this machine: `cargo run --release -p gonka-worker --example sprint_speed -- [device] [threads]`.

use gonka_sprint::{LeafId, ModelSeed, Profile, SegmentSeed};
use gonka_worker::sprint::{
	Expand, Racer, Reference,
	torch::{Products, Torch, TorchModel, device},
};
use std::time::{Duration, Instant};

fn measure(what: &str, racer: &mut dyn Racer) -> Result<(), String> {
	let seed = SegmentSeed([1; 32]);
	let (mut done, mut measured, mut start) = (0u64, 0u64, Instant::now());
	while start.elapsed() < Duration::from_secs(5) {
		let end = done + racer.batch() as u64;
		let id = |index| LeafId { host: [2; 32], epoch: 0, segment: 0, lane: 0, index };
		racer.leaves(&seed, &(done..end).map(id).collect::<Vec<_>>())?;
		if done == 0 {
			// The first batch warms up.
			start = Instant::now();
		} else {
			measured += end - done;
		}
		done = end;
	}
	println!(
		"{what:32} {:10.2} leaves/s, {} at a time",
		measured as f64 / start.elapsed().as_secs_f64(),
		racer.batch()
	);
	Ok(())
}

fn main() -> Result<(), String> {
	let mut arguments = std::env::args().skip(1);
	let device = device(&arguments.next().unwrap_or("cpu".into()))?;
	let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(1);
	let seed = ModelSeed([0; 32]);
	for profile in Profile::ALL {
		let start = Instant::now();
		let mut racer = Torch { device, threads }.expand(&seed, profile)?;
		println!("{profile:?} expanded in {:.2} s", start.elapsed().as_secs_f64());
		measure(&format!("{profile:?} as the worker does"), &mut *racer)?;
		drop(racer);
		for products in [Products::Int8, Products::Float32] {
			match TorchModel::with_products(&seed, profile, device, products) {
				Ok(mut model) => {
					let what = format!("{profile:?} {products:?} {device:?}, one thread");
					measure(&what, &mut model).unwrap_or_else(|error| println!("{what}: {error}"));
				},
				Err(error) => println!("{profile:?} {products:?}: {error}"),
			}
		}
		if device == tch::Device::Cpu {
			let mut reference = Reference { threads: threads.into() }.expand(&seed, profile)?;
			measure(&format!("{profile:?} reference"), &mut *reference)?;
		}
	}
	Ok(())
}
