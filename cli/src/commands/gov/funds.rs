//! `gonka gov spends` and `gonka gov payout`: the approved spends of the community fund.

use super::{
	super::{checked, emit, emit_json, short, table},
	done,
};
use crate::amount::{Amount, gnk};
use anyhow::{Context, Result, bail, ensure};
use gonka_client::{
	chain::{Chain, Spend},
	keys,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `gonka gov payout`.
#[derive(Debug, clap::Args)]
pub struct Payout {
	/// Indices of the spends.
	#[arg(required_unless_present = "all", conflicts_with = "all")]
	spends: Vec<u32>,
	/// All spends that can be paid out now.
	#[arg(long)]
	all: bool,
	/// File with the secret of the account that pays the fee.
	#[arg(long, value_name = "FILE")]
	key: PathBuf,
}

/// Runs `gonka gov spends`.
pub async fn list(chain: &Chain, json: bool) -> Result<()> {
	let (spends, best) = tokio::try_join!(chain.spends(), chain.best())?;
	if json {
		return emit_json(&spends.iter().map(|spend| as_json(spend, best.number)).collect::<Vec<_>>());
	}
	let mut table = table(&["spend", "amount", "to", "state"]);
	for spend in &spends {
		let to = short(&keys::ss58(&spend.beneficiary));
		table.add_row([spend.index.to_string(), format!("{} GNK", gnk(spend.amount)), to, state(spend, best.number)]);
	}
	let none = if spends.is_empty() { "No spend was approved.\n" } else { "" };
	emit(&format!("{table}\n{none}"))
}

/// Whether a spend can be paid out in the block after `best`.
fn is_due(spend: &Spend, best: u32) -> bool {
	!spend.is_paid && (spend.from..spend.until).contains(&best.saturating_add(1))
}

fn state(spend: &Spend, best: u32) -> String {
	match () {
		() if spend.is_paid => "paid out".into(),
		() if is_due(spend, best) => format!("`gonka gov payout {}` until block {}", spend.index, spend.until),
		() if best < spend.from => format!("can be paid out from block {} on", spend.from),
		() => format!("expired at block {}", spend.until),
	}
}

fn as_json(spend: &Spend, best: u32) -> Value {
	json!({
		"spend": spend.index, "amount": Amount(spend.amount), "beneficiary": keys::ss58(&spend.beneficiary),
		"from": spend.from, "until": spend.until, "paid": spend.is_paid, "due": is_due(spend, best),
	})
}

/// Runs `gonka gov payout`.
pub async fn pay_out(chain: &Chain, arguments: Payout, json: bool) -> Result<()> {
	let key = keys::load(&arguments.key)?;
	let query = async || {
		let (spends, best) = tokio::try_join!(chain.spends(), chain.best())?;
		chosen(&spends, best.number, (!arguments.all).then_some(arguments.spends.as_slice()))
	};
	let due = checked(chain, query).await?;
	let indices: Vec<u32> = due.iter().map(|spend| spend.index).collect();
	chain.pay_out(&key, &indices).await?;
	let line = |spend: &Spend| format!("paid {} GNK to {}", gnk(spend.amount), keys::ss58(&spend.beneficiary));
	let one = |spend: &Spend| json!({ "spend": spend.index, "amount": Amount(spend.amount), "to": keys::ss58(&spend.beneficiary) });
	done(
		json,
		json!({ "paid": due.iter().map(one).collect::<Vec<_>>() }),
		due.iter().map(line).collect::<Vec<_>>().join("\n"),
	)
}

/// The spends that were named, all of which have to be due, or all that are due.
fn chosen(spends: &[Spend], best: u32, named: Option<&[u32]>) -> Result<Vec<Spend>> {
	let Some(named) = named else {
		let due: Vec<Spend> = spends.iter().copied().filter(|spend| is_due(spend, best)).collect();
		ensure!(!due.is_empty(), "nothing was sent: no spend is due. `gonka gov spends` lists them");
		return Ok(due);
	};
	let mut due: Vec<Spend> = Vec::new();
	for index in named {
		let spend = spends.iter().find(|spend| spend.index == *index);
		let spend = spend
			.with_context(|| format!("nothing was sent: there is no spend {index}. `gonka gov spends` lists them"))?;
		if !is_due(spend, best) {
			bail!("nothing was sent: spend {index} is not due: {}", state(spend, best));
		}
		if !due.contains(spend) {
			due.push(*spend);
		}
	}
	Ok(due)
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::GNK;

	fn spend(index: u32, is_paid: bool) -> Spend {
		Spend { index, amount: 5 * GNK, beneficiary: [1; 32], from: 100, until: 200, is_paid }
	}

	#[test]
	fn a_spend_is_due_between_its_blocks_and_once() {
		for (best, is_paid, expected) in [
			(98, false, "can be paid out from block 100 on"),
			(99, false, "`gonka gov payout 7` until block 200"),
			(198, false, "`gonka gov payout 7` until block 200"),
			(199, false, "expired at block 200"),
			(150, true, "paid out"),
		] {
			assert_eq!(state(&spend(7, is_paid), best), expected, "{best}");
		}
	}

	#[test]
	fn spends_are_named_or_all_that_are_due() {
		let spends = [spend(0, true), spend(1, false), spend(2, false)];
		let all = |named: Option<&[u32]>| {
			chosen(&spends, 150, named).map(|due| due.iter().map(|spend| spend.index).collect::<Vec<_>>())
		};
		assert_eq!(all(None).unwrap(), [1, 2]);
		assert_eq!(all(Some(&[2, 2])).unwrap(), [2]);
		assert!(all(Some(&[0])).unwrap_err().to_string().contains("spend 0 is not due: paid out"));
		assert!(all(Some(&[9])).unwrap_err().to_string().contains("no spend 9"));
		assert!(chosen(&spends, 300, None).unwrap_err().to_string().contains("no spend is due"));
	}
}
