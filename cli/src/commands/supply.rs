//! `gonka supply`: how much GNK exists, and where it is.

use super::{NodeArgument, emit, emit_json};
use crate::amount::{gnk, units};
use anyhow::Result;
use gonka_primitives::{Balance, TOTAL_SUPPLY, views::SupplyView};
use serde::Serialize;
use std::fmt::Write;

/// Arguments of `gonka supply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  gonka supply --json")]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Print JSON. Amounts are decimal strings: `total` in base units, `total_gnk` in GNK.
	#[arg(long)]
	json: bool,
}

/// The supply of GNK, in base units, 10⁻⁹ GNK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Supply {
	/// Maximum supply: `issued + unmined + burnt`.
	#[serde(serialize_with = "units")]
	pub total: Balance,
	/// Existing now.
	#[serde(serialize_with = "units")]
	pub issued: Balance,
	/// Part of `issued`: rewards of hosts that have not been paid out.
	#[serde(serialize_with = "units")]
	pub vesting: Balance,
	/// Part of `issued`: the community fund.
	#[serde(serialize_with = "units")]
	pub treasury: Balance,
	/// Not minted yet.
	#[serde(serialize_with = "units")]
	pub unmined: Balance,
	/// Destroyed: transaction fees and slashed collateral.
	#[serde(serialize_with = "units")]
	pub burnt: Balance,
	/// Maximum amount that the epoch closed last may mint.
	#[serde(serialize_with = "units")]
	pub last_emission: Balance,
}

impl From<SupplyView> for Supply {
	fn from(view: SupplyView) -> Self {
		Self {
			total: TOTAL_SUPPLY,
			issued: view.issued,
			vesting: view.vesting,
			treasury: view.treasury,
			unmined: view.unmined,
			burnt: TOTAL_SUPPLY.saturating_sub(view.issued).saturating_sub(view.unmined),
			last_emission: view.last_emission,
		}
	}
}

/// Runs `gonka supply`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let supply = Supply::from(arguments.node.connect().await?.supply().await?);
	if arguments.json {
		return emit_json(&supply);
	}
	let mut out = String::new();
	for (name, amount) in [
		("total", supply.total),
		("issued", supply.issued),
		("  vesting", supply.vesting),
		("  treasury", supply.treasury),
		("unmined", supply.unmined),
		("burnt", supply.burnt),
		("last emission", supply.last_emission),
	] {
		writeln!(out, "{name:<14} {:>30} GNK", gnk(amount))?;
	}
	emit(&out)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_supply_that_is_neither_issued_nor_unmined_was_burnt() {
		let view = SupplyView { issued: 300, unmined: TOTAL_SUPPLY - 310, last_emission: 1, vesting: 2, treasury: 3 };
		assert_eq!(Supply::from(view).burnt, 10);
	}
}
