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
	/// Make a new random key in a new file that only you can read.
	Generate {
		/// The file to write; it must not exist.
		path: PathBuf,
	},
	/// Show the address and the public key of a key file.
	Show {
		/// The key file.
		path: PathBuf,
	},
}

/// Runs `gonka key`.
pub fn run(arguments: Arguments) -> Result<()> {
	match arguments.command {
		Command::Generate { path } => {
			let pair = keys::generate_to(&path)?;
			println!("wrote {}: keep it secret, and keep a copy where it cannot be lost", path.display());
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
