//! The command line. Its flags are those of `sc-cli`, which other Substrate nodes use, too.

use crate::network::NetworkCommand;
use clap::{Parser, Subcommand};
use polkadot_sdk::sc_cli::{
	BuildSpecCmd, ChainInfoCmd, CheckBlockCmd, ExportBlocksCmd, ExportChainSpecCmd, ExportStateCmd, ImportBlocksCmd,
	KeySubcommand, PurgeChainCmd, RevertCmd, RunCmd, SignCmd, VanityCmd, VerifyCmd,
};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  A chain with one validator, deleted on exit:
    gonka-node --dev

  One of three validators on this machine (the others with --bob and --charlie, each with its own ports):
    gonka-node --chain local --alice --tmp --unsafe-force-node-key-generation

  A full node that downloads proofs of finality and the newest state instead of every block:
    gonka-node --chain gonka.json --base-path /var/lib/gonka --sync warp

  A validator. Create a network key once, start the node, and have it make session keys.
  The last command prints another one, which sets them where the host's key is:
    gonka-node key generate-node-key --chain gonka.json --base-path /var/lib/gonka
    gonka-node --chain gonka.json --base-path /var/lib/gonka --validator
    gonka session-keys rotate <ADDRESS>

  On a small machine:
    gonka-node … --trie-cache-size 67108864 --max-runtime-instances 4 --runtime-cache-size 1";

#[derive(Debug, Parser)]
#[command(after_long_help = EXAMPLES)]
pub struct Cli {
	#[command(subcommand)]
	pub subcommand: Option<Command>,

	#[command(flatten)]
	pub run: RunCmd,

	/// Folder for compiled runtimes, which several nodes may share. It is trusted like the database.
	///
	/// `wasm-cache` in the base path by default.
	#[arg(long, value_name = "PATH", env = "GONKA_WASM_CACHE")]
	pub wasm_cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
	/// Create, show and store keys.
	#[command(subcommand)]
	Key(KeySubcommand),

	/// Sign a message with a given secret key.
	Sign(SignCmd),

	/// Check a message's signature.
	Verify(VerifyCmd),

	/// Search for an account whose address contains a pattern.
	Vanity(VanityCmd),

	/// Check the file of a network to be released, and make its specification.
	#[command(subcommand)]
	Network(NetworkCommand),

	/// Write a chain's specification as JSON.
	///
	/// With `--raw` it contains the genesis state itself. Release a chain in this form, which does not
	/// depend on the runtime's presets.
	ExportChainSpec(ExportChainSpecCmd),

	/// Write a chain's specification as JSON (older form of `export-chain-spec`; adds this node as boot node).
	BuildSpec(BuildSpecCmd),

	/// Execute a block again and verify it.
	CheckBlock(CheckBlockCmd),

	/// Write blocks to a file.
	ExportBlocks(ExportBlocksCmd),

	/// Write the state after a block as a chain specification.
	ExportState(ExportStateCmd),

	/// Import blocks from a file and verify each.
	ImportBlocks(ImportBlocksCmd),

	/// Revert the newest blocks that are not finalised.
	Revert(RevertCmd),

	/// Delete a chain's database, but not its keys.
	PurgeChain(PurgeChainCmd),

	/// Print the best and the finalised block of the database.
	ChainInfo(ChainInfoCmd),
}
