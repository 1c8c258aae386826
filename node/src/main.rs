//! The Gonka node.
//!
//! The way through: [`cli`] says what may be asked, [`command`] sends each request to its place,
//! [`chain_spec`] names the chains, [`service`] puts a running node together, [`rpc`] says what it
//! answers.

#![allow(clippy::result_large_err, reason = "the errors of sc-cli are what they are")]

mod chain_spec;
mod cli;
mod command;
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
