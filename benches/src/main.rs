//! `gonka-benches`: measures the real runtime under load.

use clap::{Parser, Subcommand};
use gonka_benches::{
	epoch::{self, Size},
	report,
	sampling::Sampling,
	throughput::{self, Traffic},
};
use gonka_primitives::sampling::MAX_FINDINGS;
use std::{fs, io, path::PathBuf, process::ExitCode};

/// Measures the real runtime under load, natively and with its state in memory.
#[derive(Parser)]
#[command(version)]
struct Args {
	#[command(subcommand)]
	what: What,
}

#[derive(Subcommand)]
enum What {
	/// An epoch of ten thousand hosts: what hooks and settlements take of each block. Fails if one takes over 25 %.
	Epoch {
		/// Hosts; all of them race.
		#[arg(long, default_value_t = 10_000)]
		hosts: usize,
		/// Hosts with session keys.
		#[arg(long, default_value_t = 300)]
		validators: usize,
		/// Open channels of each host.
		#[arg(long, default_value_t = 10)]
		channels: usize,
		/// Windows in which all hosts settle.
		#[arg(long, default_value_t = 2)]
		windows: u32,
		/// Where the plot goes; none is drawn if left out.
		#[arg(long, value_name = "FILE")]
		plot: Option<PathBuf>,
	},
	/// A million requests, and samples of them: bytes, weight and time, beside those of extrinsics for each request and
	/// validation. Fails if settlements take more than 1 byte a request, or samples half a byte.
	Throughput {
		/// Requests that are settled.
		#[arg(long, default_value_t = 1_000_000)]
		requests: u64,
		/// Requests with two extrinsics each, of the same parties.
		#[arg(long, default_value_t = 1_000_000)]
		per_request: u64,
		/// Findings with which a checker sends a message before the window of the draw is over: what workers do.
		#[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_FINDINGS)))]
		findings: u16,
	},
}

fn main() -> io::Result<ExitCode> {
	let args = Args::parse();
	let good = match args.what {
		What::Epoch { hosts, validators, channels, windows, plot } => {
			let size = Size { hosts, validators, channels, developers: 1_000, windows };
			let blocks = epoch::run(&size, |step| eprintln!("{step}"));
			print!("{}", epoch::report(&size, &blocks));
			if let Some(file) = plot {
				fs::write(file, epoch::plot(&size, &blocks).svg())?;
			}
			epoch::greatest(&blocks) <= 25.0
		},
		What::Throughput { requests, per_request, findings } => {
			// With more in a window a settlement would have so many receipts that 1 % of them are more than its most samples.
			let traffic = Traffic { developers: 100, hosts: 100, asked: 40, batch: 150, requests };
			let sampling = Sampling::new(findings.into());
			eprintln!("settling {requests} requests");
			let without = throughput::settle(&traffic, None);
			eprintln!("settling and sampling {requests} requests");
			let with = throughput::settle(&traffic, Some(&sampling));
			let others = throughput::per_request(&Traffic { requests: per_request, ..traffic.clone() }, |done| {
				if done % 100_000 == 0 {
					eprintln!("{done} requests with two extrinsics each");
				}
			});
			print!("{}", report::report(&traffic, &sampling, (&without, &with), &others));
			without.settling.bytes_each(requests) <= 1.0 && with.sampled.verdicts.bytes_each(requests) <= 0.5
		},
	};
	Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
