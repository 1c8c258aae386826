//! The SDK's `benchmark pallet` command by itself. `scripts/weights` calls it.
//!
//! The SDK's own program for this, `frame-omni-bencher`, takes three times as long to compile, most of it for RocksDB,
//! which measuring does not use.

use clap::Parser;
use polkadot_sdk::{frame_benchmarking_cli::PalletCmd, sc_cli, sp_runtime::traits::BlakeTwo256};
use tracing_subscriber::EnvFilter;

fn main() -> sc_cli::Result<()> {
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,wasmtime_cranelift=off"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	// No host functions beside the SDK's.
	PalletCmd::parse().run_with_spec::<BlakeTwo256, ()>(None)
}
