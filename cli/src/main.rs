//! `gonka`: a local network, status, hosts, channels, governance, keys.

use clap::{Parser, Subcommand};
use gonka::commands::{channel, devnet, gov, host, key, status, supply};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(
	name = "gonka",
	version,
	about = "The Gonka network on the command line",
	after_help = "Begin with `gonka devnet`: a whole network on this machine. Then `gonka status` shows it."
)]
struct Arguments {
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Run a whole network on this machine: three hosts and a gateway.
	Devnet(devnet::Arguments),
	/// Show epoch, hosts, validators, finality, prices and supply.
	Status(status::Arguments),
	/// Show where all GNK are.
	Supply(supply::Arguments),
	/// Show and register hosts, their earnings and their collateral.
	Host(host::Arguments),
	/// Show, open, fund and close payment channels.
	Channel(channel::Arguments),
	/// Show referenda, vote and propose.
	Gov(gov::Arguments),
	/// Make and show keys.
	Key(key::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	let done = match Arguments::parse().command {
		Command::Devnet(arguments) => devnet::run(arguments).await,
		Command::Status(arguments) => status::run(arguments).await,
		Command::Supply(arguments) => supply::run(arguments).await,
		Command::Host(arguments) => host::run(arguments).await,
		Command::Channel(arguments) => channel::run(arguments).await,
		Command::Gov(arguments) => gov::run(arguments).await,
		Command::Key(arguments) => key::run(arguments),
	};
	match done {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("gonka: {error:#}");
			ExitCode::FAILURE
		},
	}
}
