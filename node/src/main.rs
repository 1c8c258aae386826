//! The Gonka node.
//!
//! [`cli`] defines the command line, [`command`] runs its commands, [`chain_spec`] names the chains, [`service`]
//! builds a running node, [`finality`] tells the chain what is final, [`rpc`] lists the RPC methods, [`network`] makes the
//! specifications of released networks.

#![allow(clippy::result_large_err, reason = "sc-cli defines these errors")]

mod chain_spec;
mod cli;
mod command;
mod finality;
mod network;
mod rpc;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
	match command::run() {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("Error: {error}");
			ExitCode::FAILURE
		},
	}
}
