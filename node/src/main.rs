//! The Gonka node.
//!
//! [`cli`] defines the command line, [`command`] runs its commands, [`chain_spec`] names the chains, [`checkpoint`]
//! binds a chain to a published block, [`service`] builds a running node, [`finality`] tells the chain what is final,
//! [`rpc`] lists the RPC methods, [`network`] makes the specifications of released networks.

#![allow(clippy::result_large_err, reason = "sc-cli defines these errors")]

mod chain_spec;
mod checkpoint;
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
