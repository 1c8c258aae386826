//! `gonka send`.

use super::{NodeArgument, above_zero, checked, confirmed, emit, emit_json, with_fees};
use crate::amount::{Amount, gnk, parse_gnk};
use anyhow::{Result, bail, ensure};
use gonka_client::{
	chain::{AccountBalance, Chain},
	keys::{self, Address, Keypair},
};
use gonka_primitives::{AccountId, Balance};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `gonka send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gonka send 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY 12.5 --key developer.key
  gonka send 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --all --key old.key --yes --json")]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Address of the account that receives it.
	to: Address,
	/// Amount in GNK. The sender keeps the minimum balance.
	#[arg(value_parser = parse_gnk, required_unless_present = "all", conflicts_with = "all")]
	amount: Option<Balance>,
	/// Send all that can be sent. The account ceases to exist if nothing is left.
	#[arg(long)]
	all: bool,
	/// File with the sender's secret.
	#[arg(long, value_name = "FILE")]
	key: PathBuf,
	/// Send without asking.
	#[arg(long)]
	yes: bool,
	/// Print JSON. Amounts are decimal strings: `amount` in base units, `amount_gnk` in GNK.
	#[arg(long)]
	json: bool,
}

/// A transfer that can be sent. Amounts are in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
	amount: Balance,
	fee: Balance,
	/// Base units that the sender can still send afterwards.
	left: Balance,
}

/// Runs `gonka send`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, send(&chain, arguments)).await
}

async fn send(chain: &Chain, arguments: Arguments) -> Result<()> {
	let Arguments { to, amount, key, yes, json, .. } = arguments;
	let (key, to) = (keys::load(key)?, to.account()?);
	let from = keys::public(&key);
	ensure!(from != to, "nothing was sent: {} is the sending account itself", keys::ss58(&from));
	if let Some(amount) = amount {
		above_zero(amount)?;
	}
	let plan = checked(chain, async || plan(chain, &key, &to, amount).await).await?;
	// Standard output carries the result alone.
	eprint!("{}", preview(&from, &to, &plan));
	if !yes && !confirmed("Send it?")? {
		bail!("nothing was sent");
	}
	let before = (chain.free_balance(&from).await?, chain.fees_paid());
	match amount {
		Some(amount) => chain.transfer(&key, &to, amount).await?,
		None => chain.transfer_all(&key, &to).await?,
	}
	let fee = chain.fees_paid().saturating_sub(before.1);
	let sent = match amount {
		Some(amount) => amount,
		None => before.0.saturating_sub(chain.free_balance(&from).await?).saturating_sub(fee),
	};
	if json {
		let (from, to) = (keys::ss58(&from), keys::ss58(&to));
		return emit_json(&json!({ "from": from, "to": to, "amount": Amount(sent), "fee": Amount(fee) }));
	}
	emit(&format!("sent {} GNK to {}\n", gnk(sent), keys::ss58(&to)))
}

async fn plan(chain: &Chain, key: &Keypair, to: &AccountId, amount: Option<Balance>) -> Result<Plan> {
	let from = keys::public(key);
	let (own, theirs, types) = tokio::try_join!(chain.balance(&from), chain.balance(to), chain.types())?;
	let fee = chain.transfer_fee(key, to, amount).await?;
	Plan::new(&keys::ss58(&from), own, theirs, types.existential_deposit(), fee, amount)
}

impl Plan {
	/// Checks a transfer of `amount`, or of all, from an account `from` that has `own` to one that has `theirs`.
	fn new(
		from: &str,
		own: AccountBalance,
		theirs: AccountBalance,
		minimum: Balance,
		fee: Balance,
		amount: Option<Balance>,
	) -> Result<Self> {
		let spendable = own.transferable(minimum).saturating_sub(fee);
		// An account with deposits stays.
		let is_emptied = own.reserved == 0 && own.frozen == 0 && spendable > 0;
		let everything = if is_emptied { spendable.saturating_add(minimum) } else { spendable };
		let amount = match amount {
			Some(amount) if amount > spendable => bail!(
				"nothing was sent: {from} can send {} GNK after the fee of {} GNK, and {} GNK stay in the account. Send it {} \
				 GNK more, send less, or send all of it with --all",
				gnk(spendable),
				gnk(fee),
				gnk(minimum),
				gnk(amount.saturating_sub(spendable))
			),
			Some(amount) => amount,
			None if everything == 0 => {
				bail!(
					"nothing was sent: {from} can send nothing after the fee of {} GNK. Send it some GNK first",
					gnk(fee)
				)
			},
			None => everything,
		};
		if !theirs.exists() && amount < minimum {
			bail!(
				"nothing was sent: the receiving account does not exist yet and needs at least {} GNK: send that much, or \
				 check the address",
				gnk(minimum)
			);
		}
		Ok(Self { amount, fee, left: spendable.saturating_sub(amount) })
	}
}

fn preview(from: &AccountId, to: &AccountId, plan: &Plan) -> String {
	format!(
		"from    {}\nto      {}\namount  {} GNK\nfee     {} GNK\nleft    {} GNK\n",
		keys::ss58(from),
		keys::ss58(to),
		gnk(plan.amount),
		gnk(plan.fee),
		gnk(plan.left)
	)
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::GNK;

	const MINIMUM: Balance = GNK / 1_000;
	const FEE: Balance = 200_000;

	fn plan(own: AccountBalance, theirs: Balance, amount: Option<Balance>) -> Result<Plan> {
		let theirs = AccountBalance { free: theirs, ..AccountBalance::default() };
		Plan::new("5G", own, theirs, MINIMUM, FEE, amount)
	}

	fn all(own: AccountBalance) -> Balance {
		plan(own, 0, None).unwrap().amount
	}

	fn free(free: Balance) -> AccountBalance {
		AccountBalance { free, ..AccountBalance::default() }
	}

	#[test]
	fn a_transfer_keeps_the_minimum_and_the_fee() {
		let most = 10 * GNK - MINIMUM - FEE;
		assert_eq!(plan(free(10 * GNK), 0, Some(most)).unwrap(), Plan { amount: most, fee: FEE, left: 0 });
		let error = plan(free(10 * GNK), 0, Some(most + 1)).unwrap_err().to_string();
		for part in ["5G can send 9.9988 GNK after the fee of 0.0002 GNK", "0.000000001 GNK more", "--all"] {
			assert!(error.contains(part), "no `{part}` in {error}");
		}
	}

	#[test]
	fn all_of_an_account_without_deposits_leaves_nothing() {
		assert_eq!(all(free(10 * GNK)), 10 * GNK - FEE);
		let holds = AccountBalance { reserved: GNK, ..free(10 * GNK) };
		assert_eq!(all(holds), 10 * GNK - FEE - MINIMUM);
		let frozen = AccountBalance { frozen: 4 * GNK, ..free(10 * GNK) };
		assert_eq!(all(frozen), 6 * GNK - FEE);
		for poor in [0, MINIMUM, MINIMUM + FEE] {
			assert!(plan(free(poor), GNK, None).unwrap_err().to_string().contains("can send nothing"), "{poor}");
		}
	}

	#[test]
	fn a_new_account_needs_the_minimum() {
		assert!(plan(free(GNK), 0, Some(MINIMUM - 1)).unwrap_err().to_string().contains("needs at least 0.001 GNK"));
		assert!(plan(free(GNK), 0, Some(MINIMUM)).is_ok());
		assert!(plan(free(GNK), MINIMUM, Some(1)).is_ok());
	}

	#[test]
	fn the_fee_is_shown_before_it_is_paid() {
		let text = preview(&[1; 32], &[2; 32], &Plan { amount: GNK, fee: FEE, left: 5 });
		assert!(text.contains("amount  1 GNK\nfee     0.0002 GNK\n"), "{text}");
	}
}
