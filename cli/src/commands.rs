//! The commands: each has its arguments and a `run`.

pub mod channel;
pub mod devnet;
pub mod dispute;
pub mod gov;
pub mod host;
pub mod key;
pub mod standing;
pub mod status;
pub mod supply;

use anyhow::{Result, bail};
use comfy_table::{ContentArrangement, Table, presets};
use gonka_client::{chain::Chain, keys};
use gonka_primitives::AccountId;
use std::{
	io::{self, Write},
	time::Duration,
};

/// How long somebody at a terminal waits for a node.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Where the node is.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgument {
	/// RPC address of a node.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL", global = true)]
	pub node: String,
}

impl NodeArgument {
	async fn connect(&self) -> Result<Chain> {
		let Ok(connected) = tokio::time::timeout(CONNECT_PATIENCE, Chain::connect(&self.node)).await else {
			bail!("no node answers at {}: start a network with `gonka devnet`, or name a node with --node", self.node);
		};
		Ok(connected?)
	}
}

/// An account by its address, or by `0x` and 64 hex digits.
fn account(text: &str) -> Result<AccountId, String> {
	if let Some(digits) = text.strip_prefix("0x") {
		let bytes = hex::decode(digits).map_err(|error| format!("`{text}` is not hex: {error}"))?;
		return bytes.try_into().map_err(|_| format!("`{text}` is not 32 bytes long"));
	}
	keys::from_ss58(text).map_err(|error| error.to_string())
}

/// Prints what may be long. A reader that has seen enough, such as `head`, is no fault.
fn emit(text: &str) -> Result<()> {
	match io::stdout().lock().write_all(text.as_bytes()) {
		Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
		_ => Ok(()),
	}
}

/// Beginning and end of an address: enough to tell those on one screen apart.
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

	#[test]
	fn short_addresses_keep_both_ends() {
		assert_eq!(short("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"), "5Grwva…GKutQY");
		assert_eq!(short("Alice"), "Alice");
	}

	#[test]
	fn accounts_come_as_address_or_hex() {
		let alice = account("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY").unwrap();
		assert_eq!(account(&format!("0x{}", hex::encode(alice))), Ok(alice));
		assert!(account("0x12").is_err());
		assert!(account("//Alice").is_err());
	}
}
