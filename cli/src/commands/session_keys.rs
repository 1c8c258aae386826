//! `gonka session-keys`.

use super::{NodeArgument, checked, emit, emit_json, enough, standing::percent, with_fees};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use gonka_client::{
	chain::{Chain, Error, RotatedKeys},
	keys::{self, Address, Keypair},
};
use gonka_primitives::AccountId;
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write, path::PathBuf, str::FromStr};

/// Arguments of `gonka session-keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Print JSON.
	#[arg(long, global = true)]
	json: bool,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// Have the validator's node make new session keys, and set them if the host's secret is at hand.
	///
	/// Run it on the node's own machine: nodes make keys for no other. Without the host's secret, it prints the command that
	/// sets the keys from the machine where that is.
	#[command(after_help = "\
Examples:
  gonka session-keys rotate 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
  gonka session-keys rotate --host-key host.key")]
	Rotate {
		/// Address of the host.
		#[arg(required_unless_present = "host_key", conflicts_with = "host_key")]
		host: Option<Address>,
		/// File with the host's secret, instead of the address: sets the keys, too.
		#[arg(long, value_name = "FILE")]
		host_key: Option<PathBuf>,
	},
	/// Set the session keys of a host, as `gonka session-keys rotate` printed them.
	#[command(after_help = "\
Example:
  gonka session-keys set 0x0123 0x4567 --host-key host.key # with the whole texts")]
	Set {
		/// Public session keys.
		keys: Hex,
		/// Proof that the node holds their secrets.
		proof: Hex,
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
	/// Show a host's session keys, whether the node holds them, and whether the host is a validator.
	#[command(after_help = "\
Example:
  gonka session-keys show 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
	Show {
		/// Address of the host.
		host: Address,
	},
	/// Remove the session keys of a host. They stay in use until the validators next change.
	#[command(after_help = "\
Example:
  gonka session-keys purge --host-key host.key")]
	Purge {
		/// File with the host's secret.
		#[arg(long, value_name = "FILE")]
		host_key: PathBuf,
	},
}

/// A text is no hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write 0x and hex digits, as `gonka session-keys rotate` prints them")]
struct NotHex;

/// Bytes as `0x` and hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl FromStr for Hex {
	type Err = NotHex;

	fn from_str(text: &str) -> Result<Self, NotHex> {
		let digits = text.strip_prefix("0x").unwrap_or(text);
		let bytes = hex::decode(digits).ok().filter(|bytes| !bytes.is_empty());
		bytes.map(Self).ok_or(NotHex)
	}
}

/// Session keys of a host, and what they are good for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionKeys {
	/// Address of the host.
	pub host: String,
	/// Public keys by name, in hex; none if it has set none.
	pub keys: Option<BTreeMap<String, String>>,
	/// Whether the node holds their secrets; none if the node does not tell it, or if there are no keys.
	pub held_by_node: Option<bool>,
	/// Power as a validator; none if it is no validator.
	pub power: Option<u64>,
	/// Share of all power, 0 to 1.
	pub share: f64,
}

/// Runs `gonka session-keys`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, command(&chain, arguments.command, arguments.json)).await
}

async fn command(chain: &Chain, command: Command, json: bool) -> Result<()> {
	match command {
		Command::Rotate { host, host_key } => {
			let key = host_key.map(keys::load).transpose()?;
			let host = match (&key, host) {
				(Some(key), _) => keys::public(key),
				(_, host) => host.context("give the host's address, or --host-key <FILE>")?.account()?,
			};
			if let Some(key) = &key {
				can_pay(chain, key).await?;
			}
			let rotated = chain.rotate_session_keys(&host).await?;
			if let Some(key) = &key {
				chain.set_session_keys(key, &rotated.keys, &rotated.proof).await?;
			}
			if json {
				emit_json(&as_json(&host, &rotated, key.is_some()))
			} else {
				emit(&text(&rotated, key.is_some()))
			}
		},
		Command::Set { keys, proof, host_key } => {
			let key = keys::load(host_key)?;
			can_pay(chain, &key).await?;
			chain.set_session_keys(&key, &keys.0, &proof.0).await?;
			let host = keys::public(&key);
			let set = RotatedKeys { keys: keys.0, proof: proof.0 };
			if json { emit_json(&as_json(&host, &set, true)) } else { emit(SET) }
		},
		Command::Show { host } => {
			let shown = SessionKeys::query(chain, &host.account()?).await?;
			if json { emit_json(&shown) } else { emit(&shown.text()?) }
		},
		Command::Purge { host_key } => {
			let key = keys::load(host_key)?;
			let host = keys::public(&key);
			let has_keys = async || {
				let keys = chain.session_keys(&host).await?;
				ensure!(keys.is_some(), "nothing was sent: {} has no session keys", keys::ss58(&host));
				Ok(())
			};
			checked(chain, has_keys).await?;
			can_pay(chain, &key).await?;
			chain.purge_session_keys(&key).await?;
			if json {
				return emit_json(&json!({ "host": keys::ss58(&host), "purged": true }));
			}
			emit(
				"removed the session keys. They are in use until the validators next change: leave the node running until then\n",
			)
		},
	}
}

/// Checks that an account can pay the fee.
async fn can_pay(chain: &Chain, key: &Keypair) -> Result<()> {
	checked(chain, async || enough(chain, key, 0).await).await
}

/// The outcome of setting keys.
const SET: &str = "\
set the session keys. If the host has weight, it becomes a validator after the next weigh phase: keep the node running
with --validator. Run no second node with these keys: two nodes that sign with the same keys equivocate, which costs
collateral
";

fn text(rotated: &RotatedKeys, is_set: bool) -> String {
	let (keys, proof) = (hex::encode(&rotated.keys), hex::encode(&rotated.proof));
	if is_set {
		return format!("keys   0x{keys}\n{SET}");
	}
	format!(
		"keys   0x{keys}\nproof  0x{proof}\nThe node holds them. Set them where the host's secret is:\n\
		 gonka session-keys set 0x{keys} 0x{proof} --host-key FILE\n"
	)
}

fn as_json(host: &AccountId, rotated: &RotatedKeys, is_set: bool) -> serde_json::Value {
	json!({
		"host": keys::ss58(host), "keys": format!("0x{}", hex::encode(&rotated.keys)),
		"proof": format!("0x{}", hex::encode(&rotated.proof)), "set": is_set,
	})
}

impl SessionKeys {
	/// Queries the chain and the node.
	pub async fn query(chain: &Chain, host: &AccountId) -> Result<Self> {
		let (keys, validators, types) = tokio::try_join!(chain.session_keys(host), chain.validators(), chain.types())?;
		let named = keys.as_deref().map(|keys| types.named_session_keys(keys)).transpose()?;
		let held_by_node = match &keys {
			Some(keys) => match chain.holds_session_keys(keys).await {
				Ok(held) => Some(held),
				Err(Error::Unsafe { .. } | Error::Rpc { .. }) => None,
				Err(error) => return Err(error.into()),
			},
			None => None,
		};
		let power = validators.iter().find(|(account, _)| account == host).map(|(_, power)| *power);
		let total = validators.iter().map(|(_, power)| *power).fold(0, u64::saturating_add);
		let share = power.filter(|_| total > 0).map_or(0.0, |power| power as f64 / total as f64);
		let keys = named.map(|keys| keys.into_iter().collect());
		Ok(Self { host: keys::ss58(host), keys, held_by_node, power, share })
	}

	/// The state as a validator, in words.
	pub fn validator(&self) -> String {
		match (self.power, &self.keys) {
			(Some(power), Some(_)) => format!("yes, with a power of {power}: {} of all", percent(self.share)),
			(Some(power), None) => format!("until the validators next change, with a power of {power}"),
			(None, Some(_)) => "no: it becomes one after the next weigh phase that gives it weight".into(),
			(None, None) => "no: it has no session keys, `gonka session-keys rotate` makes some".into(),
		}
	}

	fn text(&self) -> Result<String, std::fmt::Error> {
		let mut out = String::new();
		writeln!(out, "host          {}", self.host)?;
		for (name, key) in self.keys.iter().flatten() {
			writeln!(out, "session key   {key} {name}")?;
		}
		let held = match (self.held_by_node, &self.keys) {
			(_, None) => "nothing, since the host has set no keys",
			(Some(true), _) => "these keys",
			(Some(false), _) => "other keys: on the validator's machine, run `gonka session-keys rotate`",
			(None, _) => "unknown: it tells that to programs on its own machine only",
		};
		writeln!(out, "node holds    {held}")?;
		writeln!(out, "validator     {}", self.validator())?;
		Ok(out)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn keys(held_by_node: Option<bool>, power: Option<u64>) -> SessionKeys {
		let keys = BTreeMap::from([("babe".into(), "0x01".into()), ("grandpa".into(), "0x02".into())]);
		SessionKeys { host: "5G".into(), keys: Some(keys), held_by_node, power, share: 0.25 }
	}

	#[test]
	fn hex_is_read_with_and_without_its_prefix() {
		assert_eq!("0x01ff".parse::<Hex>(), Ok(Hex(vec![1, 255])));
		assert_eq!("01ff".parse::<Hex>(), Ok(Hex(vec![1, 255])));
		for bad in ["", "0x", "0x1", "0xzz"] {
			assert_eq!(bad.parse::<Hex>(), Err(NotHex), "{bad}");
		}
		assert!(NotHex.to_string().contains("rotate"));
	}

	#[test]
	fn rotation_prints_the_command_that_sets_the_keys() {
		let rotated = RotatedKeys { keys: vec![1, 2], proof: vec![3] };
		assert!(text(&rotated, false).ends_with("\ngonka session-keys set 0x0102 0x03 --host-key FILE\n"));
		let set = text(&rotated, true);
		assert!(set.contains("0x0102") && set.contains("no second node") && !set.contains("proof"), "{set}");
		assert!(SET.lines().all(|line| line.chars().count() <= 120));
	}

	#[test]
	fn the_state_of_keys_and_validator_says_what_to_do() {
		let text = keys(Some(true), Some(250)).text().unwrap();
		for part in ["session key   0x01 babe\n", "node holds    these keys\n", "a power of 250: 25.0 % of all\n"] {
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		assert!(keys(Some(false), None).text().unwrap().contains("other keys: on the validator's machine"));
		assert!(keys(None, None).text().unwrap().contains("its own machine only"));
		let none = SessionKeys { keys: None, ..keys(None, None) };
		assert!(none.text().unwrap().contains("`gonka session-keys rotate` makes some"));
		let purged = SessionKeys { power: Some(1), ..none };
		assert!(purged.validator().starts_with("until the validators next change"));
	}
}
