//! The commands of `gonka`. Each module holds the arguments of one command and its `run`.

pub mod account;
pub mod balance;
pub mod channel;
pub mod completions;
pub mod devnet;
pub mod dispute;
pub mod gov;
pub mod host;
pub mod names;
pub mod send;
pub mod session_keys;
pub mod standing;
pub mod status;
pub mod supply;

use crate::amount::{self, gnk};
use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use futures::StreamExt;
use gonka_client::{
	chain::Chain,
	keys::{self, Keypair},
};
use gonka_primitives::{Balance, GNK};
use serde::Serialize;
use std::{
	io::{self, BufRead, IsTerminal, Write},
	time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// Maximum time to connect to a node that listens and to fetch the chain's metadata.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum time for which a check that fails waits for finality.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// The Gonka network on the command line.
#[derive(Debug, Parser)]
#[command(
	name = "gonka",
	version,
	max_term_width = 100,
	after_help = "\
Examples:
  gonka devnet                                  # start a network on this machine
  gonka status                                  # in another terminal: show the network
  gonka status --node ws://203.0.113.7:9944     # ask a node elsewhere"
)]
pub struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Run a network on this machine: three hosts and a gateway.
	Devnet(devnet::Arguments),
	/// Show the epoch, hosts, validators, finality, prices and supply.
	Status(status::Arguments),
	/// Show how much GNK exists, and where it is.
	Supply(supply::Arguments),
	/// Show an account's balance, and the reasons for its reserves.
	Balance(balance::Arguments),
	/// Send GNK to another account.
	Send(send::Arguments),
	/// Show and register hosts; manage their earnings and collateral.
	Host(host::Arguments),
	/// Make, set, show and remove the session keys of a validator.
	SessionKeys(session_keys::Arguments),
	/// Show, open, fund and close payment channels.
	Channel(channel::Arguments),
	/// Show referenda, vote and propose.
	Gov(gov::Arguments),
	/// Create, import and show accounts: the key files that all programs read.
	Account(account::Arguments),
	/// Print a script by which a shell completes commands and options.
	Completions(completions::Arguments),
}

impl Cli {
	/// Runs the command.
	pub async fn run(self) -> Result<()> {
		match self.command {
			Command::Devnet(arguments) => devnet::run(arguments).await,
			Command::Status(arguments) => status::run(arguments).await,
			Command::Supply(arguments) => supply::run(arguments).await,
			Command::Balance(arguments) => balance::run(arguments).await,
			Command::Send(arguments) => send::run(arguments).await,
			Command::Host(arguments) => host::run(arguments).await,
			Command::SessionKeys(arguments) => session_keys::run(arguments).await,
			Command::Channel(arguments) => channel::run(arguments).await,
			Command::Gov(arguments) => gov::run(arguments).await,
			Command::Account(arguments) => account::run(arguments),
			Command::Completions(arguments) => completions::run(&arguments),
		}
	}
}

/// The node that a command queries.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgument {
	/// WebSocket RPC address of a node.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL", global = true)]
	pub node: String,
}

impl NodeArgument {
	async fn connect(&self) -> Result<Chain> {
		let url = &self.node;
		let advice =
			|| format!("cannot reach a node at {url}: start a network with `gonka devnet`, or pass --node <URL>");
		port_is_open(url).await.with_context(advice)?;
		Ok(timeout(CONNECT_TIMEOUT, Chain::connect(url)).await.with_context(advice)??)
	}
}

/// Fails at once if nothing listens at a URL that names its port. The chain client would try again for a long time.
pub(crate) async fn port_is_open(url: &str) -> io::Result<()> {
	let address = url.split_once("://").map_or(url, |(_, address)| address);
	let authority = address.split('/').next().unwrap_or_default();
	if authority.contains(':') {
		TcpStream::connect(authority).await?;
	}
	Ok(())
}

/// Base units that a transaction needs beside its amount: its fee, and the minimum that stays in the account.
const FEES: Balance = GNK / 100;

/// Checks the chain's state before a transaction, so that no fee is paid for one that fails. A failure counts once the
/// height of the block that caused it is final, or after [`CHECK_LIMIT`]: an earlier transaction may have been in a block
/// that another one has replaced, and come again in the next.
async fn checked<T>(chain: &Chain, check: impl AsyncFn() -> Result<T>) -> Result<T> {
	let failed = chain.best().await?.number;
	let mut outcome = check().await;
	if outcome.is_ok() {
		return outcome;
	}
	eprintln!("block {failed} does not allow it; looking again until it is final");
	let final_outcome = timeout(CHECK_LIMIT, async {
		let mut blocks = chain.best_blocks().await;
		while outcome.is_err() && chain.finalized().await?.number < failed {
			blocks.next().await;
			outcome = check().await;
		}
		anyhow::Ok(())
	});
	// Where finality stands still, the last outcome counts.
	final_outcome.await.unwrap_or(Ok(()))?;
	outcome
}

/// Checks that an account can spend an amount and the fees.
async fn can_spend(chain: &Chain, key: &Keypair, amount: Balance) -> Result<()> {
	above_zero(amount)?;
	checked(chain, async || enough(chain, key, amount).await).await
}

async fn enough(chain: &Chain, key: &Keypair, amount: Balance) -> Result<()> {
	let account = keys::public(key);
	match shortage(&keys::ss58(&account), amount, chain.spendable(&account).await?) {
		Some(shortage) => bail!("nothing was sent: {shortage}"),
		None => Ok(()),
	}
}

/// The words for what the account `address` lacks for an amount and the fees; `None` if it can pay.
fn shortage(address: &str, amount: Balance, spendable: Balance) -> Option<String> {
	let missing = amount.saturating_add(FEES).checked_sub(spendable).filter(|missing| *missing > 0)?;
	Some(format!(
		"{address} can spend {} GNK, and {} GNK are missing, with {} GNK for fees. `gonka send` sends it some from another \
		 account",
		gnk(spendable),
		gnk(missing),
		gnk(FEES)
	))
}

fn above_zero(amount: Balance) -> Result<()> {
	ensure!(amount > 0, "nothing was sent: the amount must be above 0");
	Ok(())
}

/// Runs a command and shows the fees that its transactions cost, failed ones included.
async fn with_fees<T>(chain: &Chain, command: impl Future<Output = Result<T>>) -> Result<T> {
	let outcome = command.await;
	let fees = chain.fees_paid();
	if fees > 0 {
		eprintln!("fees: {} GNK", gnk(fees));
	}
	outcome
}

/// Asks for confirmation at the terminal.
fn confirmed(question: &str) -> Result<bool> {
	if !io::stdin().is_terminal() {
		bail!("nothing was sent: no terminal to ask for confirmation. --yes sends without asking");
	}
	eprint!("{question} [y/N] ");
	io::stderr().flush()?;
	let mut reply = String::new();
	io::stdin().lock().read_line(&mut reply)?;
	Ok(matches!(reply.trim(), "y" | "Y" | "yes"))
}

/// Prints JSON: see [`amount::json`].
fn emit_json(value: &impl Serialize) -> Result<()> {
	emit(&format!("{}\n", amount::json(value)?))
}

/// Prints to standard output. A reader that closes the pipe early, such as `head`, causes no error.
fn emit(text: &str) -> Result<()> {
	match io::stdout().lock().write_all(text.as_bytes()) {
		Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
		_ => Ok(()),
	}
}

/// Shortens an address to its first and last six characters.
fn short(address: &str) -> String {
	match (address.get(..6), address.get(address.len().saturating_sub(6)..)) {
		(Some(first), Some(last)) if address.len() > 12 => format!("{first}…{last}"),
		_ => address.into(),
	}
}

fn table(header: &[&str]) -> Table {
	let mut table = Table::new();
	table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
	table.set_header(header.iter().copied());
	table
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::CommandFactory;

	/// Calls `check` with every command that has no sub-commands.
	fn each_leaf(command: &clap::Command, check: &impl Fn(&clap::Command)) {
		match command.has_subcommands() {
			true => command.get_subcommands().for_each(|command| each_leaf(command, check)),
			false => check(command),
		}
	}

	#[test]
	fn the_help_of_every_command_has_an_example_that_parses() {
		let mut program = Cli::command().disable_help_subcommand(true);
		program.build();
		program.clone().debug_assert();
		each_leaf(&program, &|command| {
			let name = command.get_bin_name().unwrap();
			let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
			let help = help.replace("\\\n", "");
			let lines: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  gonka ")).collect();
			assert!(!lines.is_empty(), "no example in `{name} --help`");
			for line in lines {
				// Comments and redirections are the shell's.
				let end = [" #", " > ", " < "].iter().filter_map(|mark| line.find(mark)).min();
				let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default().trim();
				assert!(format!("gonka {line}").starts_with(name), "`gonka {line}` is no example of `{name}`");
				let words = std::iter::once("gonka").chain(line.split_whitespace());
				let words = words.map(|word| word.trim_matches('\''));
				if let Err(error) = Cli::try_parse_from(words) {
					panic!("`gonka {line}`: {error}");
				}
			}
		});
	}

	#[tokio::test]
	async fn a_closed_port_is_an_error_and_a_url_without_a_port_is_not_tried() {
		let free = crate::devnet::free_ports(1).unwrap()[0];
		assert!(port_is_open(&format!("ws://127.0.0.1:{free}/")).await.is_err());
		assert!(port_is_open("wss://rpc.example.org/gonka").await.is_ok());
	}

	#[test]
	fn a_shortage_names_the_account_and_what_is_missing() {
		assert_eq!(shortage("5G", 5, FEES + 5), None);
		let text = shortage("5G", GNK, GNK).unwrap();
		assert!(text.starts_with("5G can spend 1 GNK, and 0.01 GNK are missing, with 0.01 GNK for fees."), "{text}");
	}

	#[test]
	fn a_shortened_address_keeps_both_ends() {
		assert_eq!(short("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"), "5Grwva…GKutQY");
		assert_eq!(short("Alice"), "Alice");
	}
}
