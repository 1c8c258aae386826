//! What sampled validation did, and what followed from it, as blocks tell.

use crate::{blocks::collect, node::Node};
use anyhow::Result;
use codec::Decode;
use gonka_primitives::{AccountId, Balance, ModelId, check::Offence, sampling::Outcome};

/// An event about samples, cases, collateral or held fees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
	/// Findings about `host` add up to a case.
	Opened { case: u32, host: AccountId },
	/// An arbiter ruled.
	Ruled { case: u32, arbiter: AccountId, outcome: Outcome },
	/// A case is over.
	Closed { case: u32, host: AccountId, outcome: Outcome },
	/// `host` said the opposite of what arbiters found.
	Struck { host: AccountId, case: u32 },
	/// A host lost collateral.
	Slashed { host: AccountId, offence: Offence, amount: Balance },
	/// The fees of a host's window went back to developers.
	Refunded { host: AccountId, window: u32, amount: Balance },
	/// The fees of a host's window were paid.
	Released { host: AccountId, window: u32, amount: Balance },
}

/// The [`Judgement`]s of blocks `from..=to`, each with its block.
pub async fn judgements(node: &Node, from: u32, to: u32) -> Result<Vec<(u32, Judgement)>> {
	collect(node, from, to, known).await
}

fn known(pallet: &str, name: &str, fields: &mut &[u8]) -> Result<Option<Judgement>, codec::Error> {
	Ok(Some(match (pallet, name) {
		("SamplingValidation", "CaseOpened") => {
			let (case, host, _) = <(u32, AccountId, ModelId)>::decode(fields)?;
			Judgement::Opened { case, host }
		},
		("SamplingValidation", "Ruled") => {
			let (case, arbiter, outcome) = Decode::decode(fields)?;
			Judgement::Ruled { case, arbiter, outcome }
		},
		("SamplingValidation", "CaseClosed") => {
			let (case, host, outcome) = Decode::decode(fields)?;
			Judgement::Closed { case, host, outcome }
		},
		("SamplingValidation", "Struck") => {
			let (host, case) = Decode::decode(fields)?;
			Judgement::Struck { host, case }
		},
		("Collateral", "Slashed") => {
			let (host, offence, amount) = Decode::decode(fields)?;
			Judgement::Slashed { host, offence, amount }
		},
		("InferenceMarket", "FeesRefunded") => {
			let (host, window, amount) = Decode::decode(fields)?;
			Judgement::Refunded { host, window, amount }
		},
		("InferenceMarket", "FeesReleased") => {
			let (host, window, amount) = Decode::decode(fields)?;
			Judgement::Released { host, window, amount }
		},
		_ => return Ok(None),
	}))
}
