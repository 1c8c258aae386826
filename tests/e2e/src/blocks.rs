//! The contents of blocks: free transactions with their size, and events.

use crate::node::Node;
use anyhow::{Context, Result};
use codec::{Compact, Decode};
use gonka_primitives::{AccountId, Balance, EpochIndex, check::Offence, epoch::Schedule, market::Settlement};
use std::{collections::BTreeMap, sync::Arc};
use subxt::{OnlineClient, SubstrateConfig, backend::LegacyBackend, utils::H256};

/// First bytes of a general transaction: version, extension version, era, nonce, tip, mode of the metadata's hash.
const GENERAL: [u8; 6] = [0b0100_0101, 0, 0, 0, 0, 0];
/// `InferenceMarket.settle`.
const SETTLE: [u8; 2] = [61, 7];
/// Calls of a participant that also checks: `Poc.commit`, `SprintCheck.commit_digest`, `SprintCheck.reveal`. Their
/// messages begin with host and epoch.
const DUTIES: [[u8; 2]; 3] = [[21, 1], [26, 0], [26, 1]];

/// A transaction of a host's sprint or confirmations: a segment's commitment, a commitment to digests, or their reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
	/// The sender.
	pub host: AccountId,
	/// The epoch.
	pub epoch: EpochIndex,
	/// The round of checks that it belongs to: 0 for the sprint.
	pub round: u8,
	/// Size on chain, in bytes.
	pub bytes: usize,
}

/// Events that tests look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
	/// `host` was accused.
	Accused { claim: u32, epoch: EpochIndex, accuser: AccountId, host: AccountId },
	/// The tag of `checker` was challenged.
	Challenged { claim: u32, epoch: EpochIndex, challenger: AccountId, checker: AccountId, host: AccountId, set: u8 },
	/// A host was convicted.
	Convicted { host: AccountId, epoch: EpochIndex, offence: Offence },
	/// A host missed a turn of a dispute and is not paid.
	Forfeited { host: AccountId, epoch: EpochIndex },
	/// A host was paid.
	Paid { epoch: EpochIndex, host: AccountId, amount: Balance },
}

impl Event {
	/// The epoch that the event is about.
	pub fn epoch(&self) -> EpochIndex {
		match self {
			Self::Accused { epoch, .. }
			| Self::Challenged { epoch, .. }
			| Self::Convicted { epoch, .. }
			| Self::Forfeited { epoch, .. }
			| Self::Paid { epoch, .. } => *epoch,
		}
	}
}

/// The settlements in blocks `from..=to`, each with its size on chain in bytes.
pub async fn settlements(node: &Node, from: u32, to: u32) -> Result<Vec<(Settlement, usize)>> {
	let mut all = Vec::new();
	for (call, message, bytes) in general(node, from, to).await? {
		if call == SETTLE {
			all.push((Settlement::decode(&mut message.as_slice())?, bytes));
		}
	}
	Ok(all)
}

/// The [`Sent`] transactions in blocks `from..=to`.
pub async fn sent(node: &Node, from: u32, to: u32) -> Result<Vec<Sent>> {
	let mut all = Vec::new();
	for (call, message, bytes) in general(node, from, to).await? {
		if DUTIES.contains(&call) {
			// A commitment names its segment, the others name their round.
			let (host, epoch, number): (_, _, u8) = Decode::decode(&mut message.as_slice())?;
			let is_commitment = call == DUTIES[0];
			let round = if is_commitment { (number + 1).saturating_sub(Schedule::FAST.segments) } else { number };
			all.push(Sent { host, epoch, round, bytes });
		}
	}
	Ok(all)
}

/// The [`Event`]s of blocks `from..=to`.
pub async fn events(node: &Node, from: u32, to: u32) -> Result<Vec<Event>> {
	Ok(collect(node, from, to, decode).await?.into_iter().map(|(_, event)| event).collect())
}

/// The fees that blocks `from..=to` paid to hosts, by host and window.
pub async fn released(node: &Node, from: u32, to: u32) -> Result<BTreeMap<(AccountId, u32), Balance>> {
	let decode = |pallet: &str, name: &str, fields: &mut &[u8]| match (pallet, name) {
		("InferenceMarket", "FeesReleased") => Decode::decode(fields).map(Some),
		_ => Ok(None),
	};
	let all = collect(node, from, to, decode).await?;
	Ok(all.into_iter().map(|(_, (host, window, amount))| ((host, window), amount)).collect())
}

/// The vested rewards that blocks `from..=to` paid to hosts.
pub async fn claimed(node: &Node, from: u32, to: u32) -> Result<BTreeMap<AccountId, Balance>> {
	let decode = |pallet: &str, name: &str, fields: &mut &[u8]| match (pallet, name) {
		("Emission", "Claimed") => <(AccountId, Balance)>::decode(fields).map(Some),
		_ => Ok(None),
	};
	let mut sums = BTreeMap::<_, Balance>::new();
	for (_, (host, amount)) in collect(node, from, to, decode).await? {
		*sums.entry(host).or_default() += amount;
	}
	Ok(sums)
}

/// Passes pallet, name and fields of each event of blocks `from..=to` to `pick`; returns the picked values with their
/// blocks' numbers.
pub(crate) async fn collect<T>(
	node: &Node,
	from: u32,
	to: u32,
	pick: impl Fn(&str, &str, &mut &[u8]) -> Result<Option<T>, codec::Error>,
) -> Result<Vec<(u32, T)>> {
	let backend = LegacyBackend::builder().build(node.rpc().clone());
	let client = OnlineClient::from_backend_with_config(SubstrateConfig::new(), Arc::new(backend)).await?;
	let mut all = Vec::new();
	for number in from..=to {
		let hash: H256 = node.request("chain_getBlockHash", serde_json::json!([number])).await?;
		let events = client.at_block_hash_and_number(hash, number.into()).await?.events().fetch().await?;
		for event in events.iter() {
			let event = event?;
			let picked = pick(event.pallet_name(), event.event_name(), &mut event.field_bytes())?;
			all.extend(picked.map(|picked| (number, picked)));
		}
	}
	Ok(all)
}

fn decode(pallet: &str, name: &str, fields: &mut &[u8]) -> Result<Option<Event>, codec::Error> {
	Ok(Some(match (pallet, name) {
		("SprintCheck", "Accused") => {
			let (claim, epoch, accuser, host) = Decode::decode(fields)?;
			Event::Accused { claim, epoch, accuser, host }
		},
		("SprintCheck", "Challenged") => {
			let (claim, epoch, challenger, checker, host, set) = Decode::decode(fields)?;
			Event::Challenged { claim, epoch, challenger, checker, host, set }
		},
		("SprintCheck", "Convicted") => {
			let (host, epoch, offence) = Decode::decode(fields)?;
			Event::Convicted { host, epoch, offence }
		},
		("SprintCheck", "Forfeited") => {
			let (host, epoch) = Decode::decode(fields)?;
			Event::Forfeited { host, epoch }
		},
		("Emission", "Paid") => {
			let (epoch, host, amount) = Decode::decode(fields)?;
			Event::Paid { epoch, host, amount }
		},
		_ => return Ok(None),
	}))
}

/// The general transactions in blocks `from..=to`: call, arguments, size on chain in bytes.
async fn general(node: &Node, from: u32, to: u32) -> Result<Vec<([u8; 2], Vec<u8>, usize)>> {
	let mut all = Vec::new();
	for number in from..=to {
		let hash: serde_json::Value = node.request("chain_getBlockHash", serde_json::json!([number])).await?;
		let block: serde_json::Value = node.request("chain_getBlock", serde_json::json!([hash])).await?;
		for extrinsic in block["block"]["extrinsics"].as_array().context("no extrinsics")? {
			let bytes = hex::decode(extrinsic.as_str().unwrap_or_default().trim_start_matches("0x"))?;
			let mut rest = bytes.as_slice();
			Compact::<u32>::decode(&mut rest)?;
			if let Some((call, arguments)) = rest.strip_prefix(&GENERAL).and_then(|rest| rest.split_first_chunk()) {
				all.push((*call, arguments.to_vec(), bytes.len()));
			}
		}
	}
	Ok(all)
}
