//! `gonka balance`.

use super::{NodeArgument, emit, emit_json};
use crate::amount::{Amount, gnk};
use anyhow::{Result, bail};
use gonka_client::{
	chain::AccountBalance,
	keys::{self, Address},
};
use gonka_primitives::Balance;
use serde_json::{Value, json};
use std::{fmt::Write, path::PathBuf};

/// Arguments of `gonka balance`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gonka balance 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
  gonka balance --key developer.key --json")]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Address of the account.
	#[arg(required_unless_present = "key", conflicts_with = "key")]
	account: Option<Address>,
	/// File with the account's secret, instead of the address.
	#[arg(long, value_name = "FILE")]
	key: Option<PathBuf>,
	/// Print JSON. Amounts are decimal strings: `spendable` in base units, `spendable_gnk` in GNK.
	#[arg(long)]
	json: bool,
}

/// Funds of an account.
struct Funds {
	account: String,
	balance: AccountBalance,
	/// Reserved parts: a reason in words, and base units.
	reserved: Vec<(String, Balance)>,
}

/// Runs `gonka balance`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	let account = match (arguments.account, arguments.key) {
		(Some(account), _) => account.account()?,
		(_, Some(key)) => keys::public(&keys::load(key)?),
		_ => bail!("give an address, or --key <FILE>"),
	};
	let (balance, holds) = tokio::try_join!(chain.balance(&account), chain.holds(&account))?;
	let funds = Funds { account: keys::ss58(&account), balance, reserved: reserved(balance.reserved, holds) };
	if arguments.json { emit_json(&funds.json()) } else { emit(&funds.text()?) }
}

/// Reasons for reserves, with base units. Deposits of referenda, and others, are no holds.
fn reserved(total: Balance, holds: Vec<(String, Balance)>) -> Vec<(String, Balance)> {
	let held = holds.iter().map(|(_, amount)| *amount).fold(0, Balance::saturating_add);
	let words = |reason: String| match reason.as_str() {
		"Collateral.Collateral" => "collateral, active or withdrawn".into(),
		"InferenceMarket.ChannelDeposit" => "deposits of channels, and fees that are held".into(),
		"SamplingValidation.Appeal" => "the deposit of an appeal".into(),
		"Preimage.Preimage" => "deposits of preimages".into(),
		_ => reason,
	};
	let holds = holds.into_iter().map(|(reason, amount)| (words(reason), amount));
	let others = ("deposits of referenda, and others".into(), total.saturating_sub(held));
	holds.chain([others]).filter(|(_, amount)| *amount > 0).collect()
}

impl Funds {
	fn text(&self) -> Result<String, std::fmt::Error> {
		let mut out = String::new();
		writeln!(out, "account    {}", self.account)?;
		if !self.balance.exists() {
			writeln!(out, "It has nothing, and exists once it receives the minimum balance.")?;
			return Ok(out);
		}
		writeln!(out, "spendable  {} GNK", gnk(self.balance.spendable()))?;
		writeln!(out, "free       {} GNK", gnk(self.balance.free))?;
		for (reason, amount) in &self.reserved {
			writeln!(out, "reserved   {} GNK: {reason}", gnk(*amount))?;
		}
		if self.balance.frozen > 0 {
			writeln!(out, "frozen     {} GNK that have not vested", gnk(self.balance.frozen))?;
		}
		Ok(out)
	}

	fn json(&self) -> Value {
		let AccountBalance { free, reserved, frozen } = self.balance;
		let part = |(reason, amount): &(String, Balance)| json!({ "reason": reason, "amount": Amount(*amount) });
		json!({
			"account": self.account, "spendable": Amount(self.balance.spendable()), "free": Amount(free),
			"reserved": Amount(reserved), "frozen": Amount(frozen),
			"reserved_for": self.reserved.iter().map(part).collect::<Vec<_>>(),
		})
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::amount;
	use gonka_primitives::GNK;

	#[test]
	fn a_balance_says_what_is_reserved_and_what_for() {
		let balance = AccountBalance { free: 900 * GNK, reserved: 110 * GNK, frozen: 50 * GNK };
		let holds =
			vec![("Collateral.Collateral".into(), 60 * GNK), ("InferenceMarket.ChannelDeposit".into(), 40 * GNK)];
		let funds = Funds { account: "5G".into(), balance, reserved: reserved(balance.reserved, holds) };
		let expected = "\
account    5G
spendable  850 GNK
free       900 GNK
reserved   60 GNK: collateral, active or withdrawn
reserved   40 GNK: deposits of channels, and fees that are held
reserved   10 GNK: deposits of referenda, and others
frozen     50 GNK that have not vested
";
		assert_eq!(funds.text().unwrap(), expected);
		let json: Value = serde_json::from_str(&amount::json(&funds.json()).unwrap()).unwrap();
		assert_eq!(
			(&json["spendable"], &json["spendable_gnk"], &json["reserved_for"][0]["amount_gnk"]),
			(&"850000000000".into(), &"850".into(), &"60".into())
		);
		let empty = Funds { balance: AccountBalance::default(), reserved: Vec::new(), ..funds };
		assert!(empty.text().unwrap().contains("It has nothing"));
	}
}
