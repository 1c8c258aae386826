//! `gonka account`.

use super::{emit, emit_json};
use anyhow::{Context, Result};
use clap::Subcommand;
use gonka_client::keys::{self, Keypair};
use serde_json::{Value, json};
use std::{
	io::{self, BufRead, IsTerminal},
	path::{Path, PathBuf},
};

/// Arguments of `gonka account`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Create an account: a random mnemonic of 24 words in a new file that only you can read.
	///
	/// Shows the words once. Write them down: they restore the account. All programs of the network read the file.
	#[command(after_help = "\
Example:
  gonka account create developer.key")]
	Create {
		/// File to create. It must not exist.
		path: PathBuf,
	},
	/// Import an account from its mnemonic, typed without being shown, or from standard input.
	#[command(after_help = "\
Examples:
  gonka account import developer.key                # asks for the words
  gonka account import developer.key < words.txt    # for scripts")]
	Import {
		/// File to create. It must not exist.
		path: PathBuf,
	},
	/// Show the address and the public key of an account.
	#[command(after_help = "\
Example:
  gonka account show developer.key")]
	Show {
		/// File with the account's secret.
		path: PathBuf,
		/// Print JSON.
		#[arg(long)]
		json: bool,
	},
}

/// Runs `gonka account`.
pub fn run(arguments: Arguments) -> Result<()> {
	match arguments.command {
		Command::Create { path } => {
			let (pair, words) = keys::create(&path)?;
			emit(&created(&path, &words, &pair))
		},
		Command::Import { path } => {
			let pair = keys::import(&path, &secret()?)?;
			emit(&format!("created {}: keep it secret\n{}", path.display(), text(&pair)))
		},
		Command::Show { path, json } => {
			let pair = keys::load(&path)?;
			if json { emit_json(&as_json(&pair)) } else { emit(&text(&pair)) }
		},
	}
}

/// Reads a secret from the terminal, without an echo, or a line of standard input.
fn secret() -> Result<String> {
	if io::stdin().is_terminal() {
		return rpassword::prompt_password("Mnemonic (not shown): ").context("cannot read from the terminal");
	}
	let mut line = String::new();
	io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
	Ok(line)
}

fn created(path: &Path, words: &str, pair: &Keypair) -> String {
	let words: Vec<&str> = words.split(' ').collect();
	let numbered = words.chunks(6).zip(0_usize..).map(|(row, line)| {
		let first = line.saturating_mul(6).saturating_add(1);
		let cells = row.iter().zip(first..).map(|(word, number)| format!("{number:>2} {word:<9}"));
		format!("  {}", cells.collect::<String>().trim_end())
	});
	let numbered = numbered.collect::<Vec<_>>().join("\n");
	format!(
		"{numbered}\n\nThese words are shown once. Write them down and keep them secret: they give access to the account.\n\
		 created {} with them\n{}",
		path.display(),
		text(pair)
	)
}

fn text(pair: &Keypair) -> String {
	let public = keys::public(pair);
	format!("address     {}\npublic key  0x{}\n", keys::ss58(&public), hex::encode(public))
}

fn as_json(pair: &Keypair) -> Value {
	let public = keys::public(pair);
	json!({ "address": keys::ss58(&public), "public_key": format!("0x{}", hex::encode(public)) })
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_words_that_are_shown_restore_the_account() {
		let directory = tempfile::tempdir().unwrap();
		let (first, second) = (directory.path().join("first"), directory.path().join("second"));
		let (pair, words) = keys::create(&first).unwrap();
		let shown = created(&first, &words, &pair);
		// A number precedes each word.
		let read = shown.lines().take_while(|line| !line.is_empty()).flat_map(str::split_whitespace);
		let read: Vec<&str> = read.filter(|word| word.parse::<u8>().is_err()).collect();
		assert_eq!(read.len(), 24);
		let restored = keys::import(&second, &read.join(" ")).unwrap();
		assert_eq!(keys::public(&restored), keys::public(&pair));
		assert_eq!(text(&keys::load(&second).unwrap()), text(&pair));
		assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
		let address = as_json(&pair)["address"].as_str().unwrap().to_owned();
		assert!(shown.contains(&address) && !text(&pair).contains(&words));
	}
}
