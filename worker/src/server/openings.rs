//! Openings, for whoever checks this host.

use super::{Refusal, Service, vouchers::parse};
use axum::{Json, body::Bytes, extract::State};
use gonka_client::{
	keys,
	wire::{ErrorCode, MAX_POSITIONS, OpeningQuery, Openings, Scale},
};
use gonka_primitives::{AccountId, BlockNumber, EpochIndex, Hash, PublicKey, Signature};
use std::{
	collections::{BTreeSet, HashMap},
	sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// Queries answered at a time; others are told to come again.
const AT_ONCE: usize = 16;
/// Different positions that a checker is shown of one segment.
const POSITIONS: usize = 256;
/// Checkers and segments of which that is remembered.
const REMEMBERED: usize = 8192;
/// Accounts looked up on chain within one block.
const LOOK_UPS: u32 = 256;
/// Hosts whose keys are remembered.
const KEYS: usize = 4096;

type Shown = HashMap<(AccountId, EpochIndex, u8), BTreeSet<u64>>;

/// Who asks, and what was shown to whom.
pub struct Doorman {
	places: Semaphore,
	keys: tokio::sync::Mutex<Keys>,
	shown: Mutex<Shown>,
}

/// Worker keys of hosts, as the chain had them in the block in which they were looked up.
#[derive(Default)]
struct Keys {
	block: BlockNumber,
	look_ups: u32,
	known: HashMap<AccountId, (BlockNumber, PublicKey)>,
}

impl Default for Doorman {
	fn default() -> Self {
		Self { places: Semaphore::new(AT_ONCE), keys: Default::default(), shown: Default::default() }
	}
}

/// `POST /v1/openings`.
pub async fn openings(State(service): State<Arc<Service>>, body: Bytes) -> Result<Json<Openings>, Refusal> {
	let busy = |why: &str| Refusal::new(ErrorCode::Busy, why);
	let _place = service.doorman.places.try_acquire().map_err(|_| busy("too many checkers ask at once: try again"))?;
	let query: OpeningQuery = parse(&body)?;
	let count = query.positions.len();
	if count == 0 || count > MAX_POSITIONS || !query.positions.is_sorted_by(|a, b| a < b) {
		let message = format!("positions must be 1 to {MAX_POSITIONS}, ascending");
		return Err(Refusal::new(ErrorCode::BadRequest, message));
	}
	let snapshot = service.follower.snapshot();
	let snapshot = snapshot.ok_or_else(|| busy("the worker has not seen the chain yet: try again in a moment"))?;
	let running = snapshot.epoch.index;
	if query.epoch > running || query.epoch < running.saturating_sub(1) {
		let message = format!("openings of epoch {running} and the one before are served");
		return Err(Refusal::new(ErrorCode::NoSuchLeaf, message));
	}
	let payload = query.payload(&service.genesis, service.follower.host());
	authenticate(&service, &query.checker.0, &payload, &query.signature.0, snapshot.block).await?;
	#[cfg(feature = "hostile")]
	if crate::hostile::is(crate::hostile::Kind::Withhold) {
		return Err(busy("not now"));
	}
	let found = service.openings.open(query.epoch, query.segment, &query.positions).await.map_err(Refusal::internal)?;
	let Some(found) = found else {
		let message = format!("the host committed to no such leaf in segment {}", query.segment);
		return Err(Refusal::new(ErrorCode::NoSuchLeaf, message));
	};
	service.doorman.show(&query, running)?;
	Ok(Json(Openings { openings: found.into_iter().map(Scale).collect() }))
}

/// Whether a registered host asks: its worker key signed `payload`.
pub(super) async fn authenticate(
	service: &Service,
	checker: &AccountId,
	payload: &Hash,
	signature: &Signature,
	block: BlockNumber,
) -> Result<(), Refusal> {
	let (checker, chain) = (*checker, service.follower.chain());
	let signed_by = |key: &PublicKey| keys::verify(signature, payload, key);
	let mut all = service.doorman.keys.lock().await;
	if all.block != block {
		(all.block, all.look_ups) = (block, 0);
	}
	let known = all.known.get(&checker).copied();
	match known {
		Some((_, key)) if signed_by(&key) => return Ok(()),
		Some((looked_up, _)) if looked_up == block => return Err(unsigned()),
		_ => {},
	}
	if all.look_ups >= LOOK_UPS {
		return Err(Refusal::new(ErrorCode::Busy, "too many unknown checkers: try again with the next block"));
	}
	all.look_ups = all.look_ups.saturating_add(1);
	let Some(host) = chain.host(&checker).await.map_err(Refusal::internal)? else {
		let message = format!("{} is not a registered host: only hosts are shown that", keys::ss58(&checker));
		return Err(Refusal::new(ErrorCode::NotAHost, message));
	};
	if all.known.len() >= KEYS {
		all.known.clear();
	}
	all.known.insert(checker, (block, host.worker));
	if signed_by(&host.worker) { Ok(()) } else { Err(unsigned()) }
}

fn unsigned() -> Refusal {
	Refusal::new(ErrorCode::BadSignature, "not signed by the checker's worker key for this chain and host")
}

impl Doorman {
	/// Notes what a checker is shown; refused beyond the bound.
	fn show(&self, query: &OpeningQuery, running: EpochIndex) -> Result<(), Refusal> {
		let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
		let slot = (query.checker.0, query.epoch, query.segment);
		if !shown.contains_key(&slot) && shown.len() >= REMEMBERED {
			shown.retain(|(_, epoch, _), _| epoch.saturating_add(1) >= running);
			if shown.len() >= REMEMBERED {
				return Err(Refusal::new(ErrorCode::Busy, "too many checkers: try again in the next epoch"));
			}
		}
		let positions = shown.entry(slot).or_default();
		let new = query.positions.iter().filter(|position| !positions.contains(position)).count();
		if positions.len().saturating_add(new) > POSITIONS {
			let message = format!("a checker is shown {POSITIONS} leaves of a segment");
			return Err(Refusal::new(ErrorCode::Busy, message));
		}
		positions.extend(&query.positions);
		Ok(())
	}
}
