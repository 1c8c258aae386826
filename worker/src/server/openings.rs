//! Openings of this host's leaves, for its checkers.

use super::{Rejection, Service, turns::Turns, vouchers::Parsed};
use axum::{extract::State, http::header, response::IntoResponse};
use gonka_client::worker_api::{ErrorCode, MAX_POSITIONS, OpeningQuery, Openings, Scale};
use gonka_primitives::{AccountId, EpochIndex};
use std::{
	collections::{BTreeSet, HashMap},
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};

/// Maximum number of queries at the same time, of checkers with weight and of others.
const MAX_QUERIES: usize = 16;
/// Maximum time for which a query waits for its turn: a checker's patience is a second longer.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Maximum number of different positions of a segment that a checker is shown.
const MAX_SHOWN: usize = 256;
/// Maximum number of pairs of checker and segment that are remembered.
const MAX_REMEMBERED: usize = 8192;

/// The positions that each checker was shown, by segment.
pub struct ShownPositions {
	/// Turns of checkers with weight, which others do not take.
	turns: Turns,
	/// Turns of the others.
	weightless: Turns,
	shown: Mutex<HashMap<(AccountId, EpochIndex, u8), BTreeSet<u64>>>,
}

impl Default for ShownPositions {
	fn default() -> Self {
		let turns = || Turns::new(MAX_QUERIES, MAX_WAIT);
		Self { turns: turns(), weightless: turns(), shown: Mutex::default() }
	}
}

/// `POST /v1/openings`.
pub async fn openings(
	State(service): State<Arc<Service>>,
	Parsed(query): Parsed<OpeningQuery>,
) -> Result<impl IntoResponse + use<>, Rejection> {
	let count = query.positions.len();
	if count == 0 || count > MAX_POSITIONS || !query.positions.is_sorted_by(|a, b| a < b) {
		let message = format!("positions must be 1 to {MAX_POSITIONS}, ascending");
		return Err(Rejection::new(ErrorCode::BadRequest, message));
	}
	let snapshot = service.parts.follower.snapshot().ok_or_else(Rejection::no_snapshot)?;
	let running = snapshot.epoch.index;
	if query.epoch > running || query.epoch < running.saturating_sub(1) {
		let message = format!("openings of epoch {running} and the one before are served");
		return Err(Rejection::new(ErrorCode::NoSuchLeaf, message));
	}
	let payload = query.payload(&service.genesis, service.parts.follower.host());
	let has_weight = service.authenticate(&query.checker.0, &payload, &query.signature.0, &snapshot).await?;
	if !service.parts.conduct.serves_checkers() {
		return Err(Rejection::new(ErrorCode::Busy, "not now"));
	}
	// Positions of other segments are not remembered: a query can name any of them.
	if !service.openings.has(query.epoch, query.segment).map_err(Rejection::internal)? {
		return Err(no_such_leaf(query.segment));
	}
	service.shown.add(&query, running)?;
	let turns = if has_weight { &service.shown.turns } else { &service.shown.weightless };
	let turn = turns.wait(query.checker.0).await?;
	let opened = service.openings.open(query.epoch, query.segment, &query.positions).await;
	let Some(opened) = opened.map_err(Rejection::internal)? else {
		return Err(no_such_leaf(query.segment));
	};
	let openings = Openings { openings: opened.into_iter().map(Scale).collect() };
	let json = serde_json::to_vec(&openings).map_err(Rejection::internal)?;
	Ok(([(header::CONTENT_TYPE, "application/json")], turn.respond(json)))
}

fn no_such_leaf(segment: u8) -> Rejection {
	let message = format!("the host did not commit to one of these leaves in segment {segment}");
	Rejection::new(ErrorCode::NoSuchLeaf, message)
}

impl ShownPositions {
	/// Adds the positions of a query, or rejects it if the checker would be shown too many.
	fn add(&self, query: &OpeningQuery, running: EpochIndex) -> Result<(), Rejection> {
		let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
		let key = (query.checker.0, query.epoch, query.segment);
		if !shown.contains_key(&key) && shown.len() >= MAX_REMEMBERED {
			shown.retain(|(_, epoch, _), _| epoch.saturating_add(1) >= running);
			// Identities that fill the table must not keep checkers out: some pair is forgotten.
			let other = shown.keys().next().filter(|_| shown.len() >= MAX_REMEMBERED).copied();
			other.and_then(|other| shown.remove(&other));
		}
		let positions = shown.entry(key).or_default();
		let new = query.positions.iter().filter(|position| !positions.contains(position)).count();
		if positions.len().saturating_add(new) > MAX_SHOWN {
			let message = format!("a checker is shown at most {MAX_SHOWN} leaves of a segment");
			return Err(Rejection::new(ErrorCode::Busy, message));
		}
		positions.extend(&query.positions);
		Ok(())
	}
}
