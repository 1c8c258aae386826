//! `gonka key`.

use anyhow::Result;
use clap::Subcommand;
use gonka_client::keys::{self, Keypair};
use std::path::PathBuf;

/// Arguments of `gonka key`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Create a random key in a new file that only you can read.
	#[command(after_help = "\
Example:
  gonka key generate developer.key")]
	Generate {
		/// File to create. It must not exist.
		path: PathBuf,
	},
	/// Show the address and the public key of a key file.
	#[command(after_help = "\
Example:
  gonka key show developer.key")]
	Show {
		/// Key file.
		path: PathBuf,
	},
}

/// Runs `gonka key`.
pub fn run(arguments: Arguments) -> Result<()> {
	match arguments.command {
		Command::Generate { path } => {
			let pair = keys::generate_to(&path)?;
			println!("created {}: keep it secret, and keep a backup", path.display());
			show(&pair);
		},
		Command::Show { path } => show(&keys::load(&path)?),
	}
	Ok(())
}

fn show(pair: &Keypair) {
	let public = keys::public(pair);
	println!("address     {}", keys::ss58(&public));
	println!("public key  0x{}", hex::encode(public));
}
