//! Slashes of hosts, which the chain tells by events.

use super::{BlockRef, Chain, Error, Result};
use codec::Decode;
use futures::{StreamExt, stream};
use gonka_primitives::{AccountId, Balance, BlockNumber, check::Offence};
use subxt::rpcs::methods::legacy::NumberOrHex;

/// Maximum number of blocks that are read at the same time.
const MAX_QUERIES: usize = 16;

/// An amount that a host lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slash {
	/// The block.
	pub block: BlockNumber,
	/// The offence for which collateral was burnt; `None` of burnt pay that had not vested.
	pub offence: Option<Offence>,
	/// The amount, in base units.
	pub amount: Balance,
}

impl Chain {
	/// The slashes of `host` in the last `blocks` blocks, the newest first, with the first block that could be read: a node keeps
	/// the events of some hundred blocks, or of all.
	pub async fn slashes(&self, host: &AccountId, blocks: u32) -> Result<(Vec<Slash>, BlockNumber)> {
		let best = self.best().await?.number;
		let first = best.saturating_add(1).saturating_sub(blocks).max(1);
		let queries: Vec<_> = (first..=best).rev().map(|number| self.slashes_in(number, host)).collect();
		let mut read = stream::iter(queries).buffered(MAX_QUERIES);
		let (mut slashes, mut since) = (Vec::new(), best.saturating_add(1));
		while let Some(of_block) = read.next().await {
			let Some(of_block) = of_block? else { break };
			slashes.extend(of_block);
			since = since.saturating_sub(1);
		}
		Ok((slashes, since))
	}

	/// The slashes of `host` in a block of the best chain; `None` if the node has not kept its events.
	async fn slashes_in(&self, number: BlockNumber, host: &AccountId) -> Result<Option<Vec<Slash>>> {
		let of_number = Some(NumberOrHex::Number(number.into()));
		let hash = self.rpc("chain_getBlockHash", || self.inner.methods.chain_get_block_hash(of_number)).await?;
		let Some(hash) = hash else { return Ok(None) };
		let block = BlockRef { number, hash: hash.0 };
		let events = self.patient(async {
			let at = self.at(&block).await?;
			let failed = |cause: String| Error::Rpc { method: "state_getStorage".into(), cause };
			let events = at.events().fetch().await.map_err(|error| failed(error.to_string()))?;
			let mut slashes = Vec::new();
			for event in events.iter() {
				let event = event.map_err(|error| failed(error.to_string()))?;
				slashes.extend(slash(number, host, event.pallet_name(), event.event_name(), event.field_bytes()));
			}
			Ok(slashes)
		});
		match events.await {
			Ok(slashes) => Ok(Some(slashes)),
			Err(Error::Rpc { .. }) => Ok(None),
			Err(error) => Err(error),
		}
	}
}

/// Reads an event; `None` if it is no slash of `host`.
fn slash(block: BlockNumber, host: &AccountId, pallet: &str, event: &str, mut fields: &[u8]) -> Option<Slash> {
	let (who, offence, amount) = match (pallet, event) {
		("Collateral", "Slashed") => {
			let (who, offence, amount) = <(AccountId, Offence, Balance)>::decode(&mut fields).ok()?;
			(who, Some(offence), amount)
		},
		("Emission", "Burnt") => {
			let (who, amount) = <(AccountId, Balance)>::decode(&mut fields).ok()?;
			(who, None, amount)
		},
		_ => return None,
	};
	(who == *host).then_some(Slash { block, offence, amount })
}

#[cfg(test)]
mod tests {
	use super::*;
	use codec::Encode;

	#[test]
	fn slashes_of_one_host_are_read_from_events() {
		let host = [7; 32];
		let read = |pallet, event, fields: Vec<u8>| slash(9, &host, pallet, event, &fields);
		let slashed = Slash { block: 9, offence: Some(Offence::MissedDuties), amount: 5 };
		assert_eq!(read("Collateral", "Slashed", (host, Offence::MissedDuties, 5_u128).encode()), Some(slashed));
		let burnt = Slash { block: 9, offence: None, amount: 6 };
		assert_eq!(read("Emission", "Burnt", (host, 6_u128).encode()), Some(burnt));
		assert_eq!(read("Emission", "Burnt", ([8; 32], 6_u128).encode()), None);
		assert_eq!(read("Emission", "Claimed", (host, 6_u128).encode()), None);
		assert_eq!(read("Collateral", "Slashed", vec![1, 2]), None);
	}
}
