//! Authentication of queries from other hosts: they must be signed by a registered host's worker key.

use super::{Rejection, Service};
use gonka_client::{keys, worker_api::ErrorCode};
use gonka_primitives::{AccountId, BlockNumber, Hash, PublicKey, Signature};
use std::collections::HashMap;
use tokio::sync::{Mutex, Semaphore};

/// Maximum number of accounts looked up on chain within one block.
const MAX_LOOK_UPS: u32 = 256;
/// Maximum number of remembered keys.
const MAX_KEYS: usize = 4096;

/// Maximum number of queries that are authenticated at the same time. Anybody can send them.
const MAX_UNKNOWN: usize = 256;

/// Worker keys of hosts, as they were looked up on chain.
pub struct WorkerKeys {
	permits: Semaphore,
	known: Mutex<Known>,
}

impl Default for WorkerKeys {
	fn default() -> Self {
		Self { permits: Semaphore::new(MAX_UNKNOWN), known: Mutex::default() }
	}
}

#[derive(Default)]
struct Known {
	/// The block of the latest look-ups, and their number.
	block: BlockNumber,
	look_ups: u32,
	/// Key of each host, and the block in which it was looked up.
	keys: HashMap<AccountId, (BlockNumber, PublicKey)>,
}

impl Service {
	/// Rejects a query unless the worker key of the registered host `checker` signed `payload`. `block` is the best block.
	pub(super) async fn authenticate(
		&self,
		checker: &AccountId,
		payload: &Hash,
		signature: &Signature,
		block: BlockNumber,
	) -> Result<(), Rejection> {
		let is_signed_by = |key: &PublicKey| keys::verify(signature, payload, key);
		let busy = |why: &str| Rejection::new(ErrorCode::Busy, why);
		let permit = self.worker_keys.permits.try_acquire();
		let _permit = permit.map_err(|_| busy("too many queries at once: try again"))?;
		let mut known = self.worker_keys.known.lock().await;
		if known.block != block {
			(known.block, known.look_ups) = (block, 0);
		}
		match known.keys.get(checker) {
			Some((_, key)) if is_signed_by(key) => return Ok(()),
			Some((looked_up, _)) if *looked_up == block => return Err(bad_signature()),
			// The host may have replaced its key since.
			_ => {},
		}
		if known.look_ups >= MAX_LOOK_UPS {
			return Err(busy("too many queries of unknown hosts: try again with the next block"));
		}
		known.look_ups = known.look_ups.saturating_add(1);
		let Some(host) = self.parts.follower.chain().host(checker).await.map_err(Rejection::internal)? else {
			let message = format!("{} is not a registered host; only hosts are served", keys::ss58(checker));
			return Err(Rejection::new(ErrorCode::NotAHost, message));
		};
		if !is_signed_by(&host.worker) {
			return Err(bad_signature());
		}
		if known.keys.len() >= MAX_KEYS {
			let other = known.keys.keys().next().copied();
			other.and_then(|other| known.keys.remove(&other));
		}
		known.keys.insert(*checker, (block, host.worker));
		Ok(())
	}
}

fn bad_signature() -> Rejection {
	Rejection::new(ErrorCode::BadSignature, "not signed by the checker's worker key for this chain and host")
}
