//! `gonka-load`: measures the real runtime under load.

use clap::{Parser, Subcommand};
use gonka_load::{
	audit::AuditPlan,
	epoch::{self, Size},
	report,
	throughput::{self, Traffic},
};
use gonka_primitives::audit::MAX_FINDINGS;
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
	/// Run an epoch of ten thousand hosts, and measure what hooks and settlements take of each block. Fails if a block
	/// takes over 25 %.
	Epoch {
		/// Number of hosts; all take part in the sprint.
		#[arg(long, default_value_t = 10_000)]
		hosts: usize,
		/// Number of hosts with session keys.
		#[arg(long, default_value_t = 300)]
		validators: usize,
		/// Number of open channels of each host.
		#[arg(long, default_value_t = 10)]
		channels: usize,
		/// Number of windows in which all hosts settle.
		#[arg(long, default_value_t = 2)]
		windows: u32,
		/// File for the plot; without it none is drawn.
		#[arg(long, value_name = "FILE")]
		plot: Option<PathBuf>,
		/// Measure the proofs that blocks need on the parachain instead. Fails if a block's is too large.
		#[arg(long, conflicts_with = "plot")]
		proofs: bool,
	},
	/// Settle a million requests and audit them, and compare bytes, dispatch weight and time with a chain that has
	/// extrinsics for each request and validation. Fails if settlements take more than 1 byte a request, or audits half
	/// a byte.
	Throughput {
		/// Number of requests that are settled.
		#[arg(long, default_value_t = 1_000_000)]
		requests: u64,
		/// Number of requests with two extrinsics each, between the same parties.
		#[arg(long, default_value_t = 1_000_000)]
		per_request: u64,
		/// Number of findings with which a checker sends a message before the window of the draw is over. The default
		/// is that of workers.
		#[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_FINDINGS)))]
		findings: u16,
	},
}

fn main() -> io::Result<ExitCode> {
	let args = Args::parse();
	let good = match args.what {
		What::Epoch { hosts, validators, channels, windows, plot, proofs } => {
			let size = Size { hosts, validators, channels, developers: 1_000, windows, proofs };
			let blocks = epoch::run(&size, |step| eprintln!("{step}"));
			if proofs {
				print!("{}", epoch::proofs(&size, &blocks));
				let greatest = epoch::share_of_proof(&blocks, |block| block.proof);
				return Ok(if greatest <= 1.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
			}
			print!("{}", epoch::report(&size, &blocks));
			if let Some(file) = plot {
				fs::write(file, epoch::plot(&size, &blocks).svg())?;
			}
			epoch::greatest(&blocks) <= 25.0
		},
		What::Throughput { requests, per_request, findings } => {
			// With more hosts in a window, a settlement would have so many receipts that 1 % of them exceeds the
			// maximum number of its audits.
			let traffic = Traffic { developers: 100, hosts: 100, contacted: 40, batch: 150, requests };
			let plan = AuditPlan::new(findings.into());
			eprintln!("settling {requests} requests");
			let without = throughput::settle(&traffic, None);
			eprintln!("settling and auditing {requests} requests");
			let with = throughput::settle(&traffic, Some(&plan));
			let others = throughput::per_request(&Traffic { requests: per_request, ..traffic.clone() }, |done| {
				if done % 100_000 == 0 {
					eprintln!("{done} requests with two extrinsics each done");
				}
			});
			print!("{}", report::report(&traffic, &plan, (&without, &with), &others));
			without.settling.bytes_each(requests) <= 1.0 && with.audited.report.bytes_each(requests) <= 0.5
		},
	};
	Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
