//! `gonka host earnings`, `claim`, and the commands about collateral.

use crate::{
	amount::{Amount, gnk, units},
	commands::{above_zero, can_spend, checked, emit, emit_json, table},
};
use anyhow::{Result, ensure};
use gonka_client::{
	chain::Chain,
	keys::{self, Keypair},
};
use gonka_primitives::{AccountId, Balance, views::CollateralView};
use serde::Serialize;
use std::fmt::Write;

/// Earnings of a host. Amounts are in base units, 10⁻⁹ GNK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earnings {
	/// Address of the host.
	pub account: String,
	/// Free balance of its account.
	#[serde(serialize_with = "units")]
	pub balance: Balance,
	/// Rewards that have not vested.
	#[serde(serialize_with = "units")]
	pub locked: Balance,
	/// Rewards that have vested and have not been paid out.
	#[serde(serialize_with = "units")]
	pub vested: Balance,
	/// Amount that vests in an epoch at the present rate.
	#[serde(serialize_with = "units")]
	pub per_epoch: Balance,
	/// Amount that was burnt for offences and that the parts that vest next do not pay.
	#[serde(serialize_with = "units")]
	pub burnt: Balance,
	/// Rewards that are still vesting, by epoch.
	pub epochs: Vec<Earned>,
}

/// Reward of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earned {
	/// Epoch in which the reward was granted: the one after the epoch that earned it.
	pub granted: u32,
	/// Amount in base units.
	#[serde(serialize_with = "units")]
	pub amount: Balance,
}

/// Output format of earnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
	/// Text for people.
	#[default]
	Text,
	/// JSON for programs. Amounts are decimal strings: `vested` in base units, `vested_gnk` in GNK.
	Json,
	/// Table of epochs for spreadsheets, in base units.
	Csv,
}

/// Runs `gonka host earnings`.
pub async fn earnings(chain: &Chain, host: &AccountId, format: Format) -> Result<()> {
	let (view, balance) = tokio::try_join!(chain.earnings(host), chain.free_balance(host))?;
	let earned = |(granted, amount)| Earned { granted, amount };
	let earnings = Earnings {
		account: keys::ss58(host),
		balance,
		locked: view.locked,
		vested: view.vested,
		per_epoch: view.per_epoch,
		burnt: view.burnt,
		epochs: view.grants.into_iter().map(earned).collect(),
	};
	match format {
		Format::Text => emit(&text(&earnings)?),
		Format::Json => emit_json(&earnings),
		Format::Csv => emit(&csv(&earnings)),
	}
}

fn text(earnings: &Earnings) -> Result<String> {
	let mut out = String::new();
	writeln!(out, "host       {}", earnings.account)?;
	writeln!(out, "free       {} GNK", gnk(earnings.balance))?;
	writeln!(out, "vesting    {} GNK, {} GNK an epoch", gnk(earnings.locked), gnk(earnings.per_epoch))?;
	if earnings.burnt > 0 {
		writeln!(out, "burnt      {} GNK for offences, which the next parts do not pay", gnk(earnings.burnt))?;
	}
	writeln!(out, "vested     {} GNK: `gonka host claim` or a block with room pays it out", gnk(earnings.vested))?;
	let mut table = table(&["granted in epoch", "GNK"]);
	for earned in &earnings.epochs {
		table.add_row([earned.granted.to_string(), gnk(earned.amount)]);
	}
	writeln!(out, "{table}")?;
	Ok(out)
}

fn csv(earnings: &Earnings) -> String {
	let row = |earned: &Earned| format!("{},{}\n", earned.granted, earned.amount);
	std::iter::once("granted_in_epoch,base_units\n".into()).chain(earnings.epochs.iter().map(row)).collect()
}

/// Runs `gonka host claim`.
pub async fn claim(chain: &Chain, host: &AccountId) -> Result<()> {
	let before = chain.free_balance(host).await?;
	chain.submit_claim(host).await?;
	let paid = chain.free_balance(host).await?.saturating_sub(before);
	println!("paid out {} GNK", gnk(paid));
	Ok(())
}

/// Runs `gonka host collateral`.
pub async fn collateral(chain: &Chain, host: &AccountId, json: bool) -> Result<()> {
	let view = chain.collateral(host).await?;
	let weight = chain.host(host).await?.map_or(0, |host| host.effective_weight);
	if json {
		let unbonding: Vec<_> = view.unbonding.iter().map(|(epoch, amount)| (epoch, Amount(*amount))).collect();
		let value = serde_json::json!({
			"account": keys::ss58(host), "active": Amount(view.active), "unbonding": unbonding,
			"released_before_epoch": view.released_before, "unvested": Amount(view.unvested),
			"per_weight": Amount(view.per_weight), "needed_from_epoch": view.needed_from, "effective_weight": weight,
		});
		return emit_json(&value);
	}
	let mut out = String::new();
	out.push_str(&stake(&view));
	writeln!(out, "needed     from epoch {} on: {} GNK per leaf of weight", view.needed_from, gnk(view.per_weight))?;
	emit(&out)
}

/// Describes what backs a host's weight, and what waits.
fn stake(view: &CollateralView) -> String {
	let backed = view.active.saturating_add(view.unvested).checked_div(view.per_weight).unwrap_or(0);
	let mut out = format!("active     {} GNK\n", gnk(view.active));
	let _ = writeln!(out, "unvested   {} GNK of pay; both together back a weight of {backed}", gnk(view.unvested));
	for (epoch, amount) in &view.unbonding {
		let when = if *epoch < view.released_before {
			"now: `gonka host release`".into()
		} else {
			format!("about three epochs later, when no offence of epoch {epoch} can be reported any more")
		};
		let _ = writeln!(out, "withdrawn  {} GNK in epoch {epoch}, can be released {when}", gnk(*amount));
	}
	out
}

/// Runs `gonka host deposit`.
pub async fn deposit(chain: &Chain, key: &Keypair, amount: Balance) -> Result<()> {
	can_spend(chain, key, amount).await?;
	chain.deposit_collateral(key, amount).await?;
	println!("deposited {} GNK; it backs weight from the next time that an epoch is weighed", gnk(amount));
	Ok(())
}

/// Runs `gonka host withdraw`.
pub async fn withdraw(chain: &Chain, key: &Keypair, amount: Balance) -> Result<()> {
	above_zero(amount)?;
	let enough = async || {
		let active = chain.collateral(&keys::public(key)).await?.active;
		ensure!(amount <= active, "nothing was sent: the host has {} GNK of collateral", gnk(active));
		Ok(())
	};
	checked(chain, enough).await?;
	chain.withdraw_collateral(key, amount).await?;
	println!("withdrew {} GNK; it backs no weight any more and can be released about three epochs later", gnk(amount));
	Ok(())
}

/// Runs `gonka host release`.
pub async fn release(chain: &Chain, key: &Keypair) -> Result<()> {
	let host = keys::public(key);
	let before = chain.collateral(&host).await?;
	chain.release_collateral(key).await?;
	println!("released {} GNK", gnk(released(&before, &chain.collateral(&host).await?)));
	Ok(())
}

/// Withdrawn base units that are in `before` and not in `after`.
fn released(before: &CollateralView, after: &CollateralView) -> Balance {
	let sum = |view: &CollateralView| view.unbonding.iter().map(|(_, amount)| *amount).fold(0, Balance::saturating_add);
	sum(before).saturating_sub(sum(after))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn earnings_are_printed_as_text_and_as_csv() {
		let epochs = vec![Earned { granted: 3, amount: 1_500_000_000 }, Earned { granted: 4, amount: 7 }];
		let earnings = Earnings {
			account: "5G".into(),
			balance: 0,
			locked: 1_500_000_007,
			vested: 1,
			per_epoch: 2,
			burnt: 0,
			epochs,
		};
		assert_eq!(csv(&earnings), "granted_in_epoch,base_units\n3,1500000000\n4,7\n");
		let text = text(&earnings).unwrap();
		assert!(text.contains("1.500000007 GNK, 0.000000002 GNK an epoch") && text.contains("1.5"), "{text}");
		assert!(!text.contains("burnt"), "{text}");
	}

	#[test]
	fn collateral_shows_what_backs_weight_and_what_waits() {
		let view = CollateralView {
			active: 60_000_000_000,
			unbonding: vec![(3, 1_000_000_000), (5, 2_000_000_000)],
			released_before: 4,
			unvested: 40_000_000_000,
			per_weight: 1_000_000_000,
			needed_from: 180,
		};
		let text = stake(&view);
		for part in [
			"unvested   40 GNK of pay; both together back a weight of 100",
			"withdrawn  1 GNK in epoch 3, can be released now",
			"withdrawn  2 GNK in epoch 5, can be released about three epochs later",
		] {
			assert!(text.contains(part), "{part} in {text}");
		}
	}

	#[test]
	fn a_release_tells_how_much_came_back() {
		let view = |unbonding| CollateralView { unbonding, ..CollateralView::default() };
		assert_eq!(released(&view(vec![(3, 45), (5, 7)]), &view(vec![(5, 7)])), 45);
	}
}
