//! Events of sampled validation and of its consequences.

use crate::{blocks::collect, node::Node};
use anyhow::Result;
use codec::Decode;
use gonka_primitives::{AccountId, Balance, ModelId, audit::Outcome, check::Offence};

/// An event about cases, collateral or held fees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
	/// The findings about `host` reached the alarm.
	Opened { case: u32, host: AccountId },
	/// An arbiter ruled.
	Ruled { case: u32, arbiter: AccountId, outcome: Outcome },
	/// A case was closed.
	Closed { case: u32, host: AccountId, outcome: Outcome },
	/// The findings of `host`, a checker, contradict the rulings of a case.
	Discredited { host: AccountId, case: u32 },
	/// A host lost collateral.
	Slashed { host: AccountId, offence: Offence, amount: Balance },
	/// The fees of a host's window went back to developers.
	Refunded { host: AccountId, window: u32, amount: Balance },
	/// The fees of a host's window were paid to it.
	Released { host: AccountId, window: u32, amount: Balance },
}

/// The [`AuditEvent`]s of blocks `from..=to`, each with its block's number.
pub async fn audit_events(node: &Node, from: u32, to: u32) -> Result<Vec<(u32, AuditEvent)>> {
	collect(node, from, to, decode).await
}

fn decode(pallet: &str, name: &str, fields: &mut &[u8]) -> Result<Option<AuditEvent>, codec::Error> {
	Ok(Some(match (pallet, name) {
		("SamplingValidation", "CaseOpened") => {
			let (case, host, _) = <(u32, AccountId, ModelId)>::decode(fields)?;
			AuditEvent::Opened { case, host }
		},
		("SamplingValidation", "Ruled") => {
			let (case, arbiter, outcome) = Decode::decode(fields)?;
			AuditEvent::Ruled { case, arbiter, outcome }
		},
		("SamplingValidation", "CaseClosed") => {
			let (case, host, outcome) = Decode::decode(fields)?;
			AuditEvent::Closed { case, host, outcome }
		},
		("SamplingValidation", "Discredited") => {
			let (host, case) = Decode::decode(fields)?;
			AuditEvent::Discredited { host, case }
		},
		("Collateral", "Slashed") => {
			let (host, offence, amount) = Decode::decode(fields)?;
			AuditEvent::Slashed { host, offence, amount }
		},
		("InferenceMarket", "FeesRefunded") => {
			let (host, window, amount) = Decode::decode(fields)?;
			AuditEvent::Refunded { host, window, amount }
		},
		("InferenceMarket", "FeesReleased") => {
			let (host, window, amount) = Decode::decode(fields)?;
			AuditEvent::Released { host, window, amount }
		},
		_ => return Ok(None),
	}))
}
