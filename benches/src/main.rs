//! `gonka-benches`: measures the real runtime under load.

use clap::{Parser, Subcommand};
use gonka_benches::{
	epoch::{self, Size},
	throughput::{self, Traffic},
};
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
	/// A million requests: bytes, weight and time, beside those of two extrinsics a request. Fails above 1 byte a request.
	Throughput {
		/// Requests that are settled.
		#[arg(long, default_value_t = 1_000_000)]
		requests: u64,
		/// Requests with two extrinsics each, of the same parties.
		#[arg(long, default_value_t = 1_000_000)]
		per_request: u64,
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
		What::Throughput { requests, per_request } => {
			let traffic = Traffic { developers: 100, hosts: 100, batch: 150, requests };
			eprintln!("settling {requests} requests");
			let ours = throughput::settle(&traffic);
			let others = throughput::per_request(&Traffic { requests: per_request, ..traffic.clone() }, |done| {
				if done % 100_000 == 0 {
					eprintln!("{done} requests with two extrinsics each");
				}
			});
			print!("{}", throughput::report(&traffic, &ours, &others, per_request));
			ours.settling.bytes_each(requests) <= 1.0
		},
	};
	Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
