//! Evidence of receipts, for the auditors that the chain names.

use super::{Rejection, Service, turns::Turns, vouchers::Parsed};
use crate::{
	chain::ChainApi,
	store::{self, Store, evidence},
};
use axum::{extract::State, http::header, response::IntoResponse};
use codec::Encode;
use gonka_client::{
	evidence::{Evidence, query_payload, seal},
	worker_api::{ErrorCode, EvidenceQuery},
};
use gonka_primitives::{
	AccountId, BlockNumber,
	audit::{AuditQuery, FRESH, Pick, fresh_draw},
	merkle_sum,
	views::{AssignedAuditsView, CaseView},
};
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use tokio::sync::OnceCell;

/// Maximum number of queries at the same time.
const MAX_QUERIES: usize = 8;
/// Maximum time for which a query waits for its turn: half of a checker's patience.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Maximum number of queries of a checker within one block.
const MAX_QUERIES_PER_BLOCK: u32 = 192;
/// Maximum number of checkers without weight whose audits are looked up within one block.
const MAX_LOOK_UPS: usize = 256;

/// The audits and cases that the chain assigned, as of a block.
pub struct Assignments {
	turns: Turns,
	known: Mutex<Known>,
}

/// A list that is looked up once, by the first query that needs it.
type Once<T> = Arc<OnceCell<Vec<T>>>;

#[derive(Default)]
struct Known {
	block: BlockNumber,
	/// Audits of a checker, and the number of its queries.
	audits: HashMap<AccountId, (Once<AssignedAuditsView>, u32)>,
	/// Number of these checkers that have no weight.
	weightless: usize,
	cases: Once<CaseView>,
}

impl Default for Assignments {
	fn default() -> Self {
		Self { turns: Turns::new(MAX_QUERIES, MAX_WAIT), known: Mutex::default() }
	}
}

/// `POST /v1/evidence`.
pub async fn evidence(
	State(service): State<Arc<Service>>,
	Parsed(EvidenceQuery { query, key, signature }): Parsed<EvidenceQuery>,
) -> Result<impl IntoResponse + use<>, Rejection> {
	let (query, key) = (query.0, key.0);
	let follower = &service.parts.follower;
	let snapshot = follower.snapshot().ok_or_else(Rejection::no_snapshot)?;
	let payload = query_payload(&query, &key, &service.genesis);
	let has_weight = service.authenticate(&query.checker, &payload, &signature.0, &snapshot).await?;
	if query.host != *follower.host() {
		return Err(Rejection::new(ErrorCode::NotAssigned, "this worker belongs to another host"));
	}
	service.assignments.check(&**follower.chain(), snapshot.block, &query, has_weight).await?;
	if !service.parts.conduct.serves_checkers() {
		return Err(Rejection::new(ErrorCode::Busy, "not now"));
	}
	let turn = service.assignments.turns.wait(query.checker).await?;
	let (store, worker, genesis) = (service.parts.store.clone(), service.parts.key.clone(), service.genesis);
	let sealed = tokio::task::spawn_blocking(move || {
		let Some(shown) = find(&store, &query).map_err(Rejection::internal)? else {
			let message = format!("this host has no evidence of that receipt of window {}", query.window);
			return Err(Rejection::new(ErrorCode::NoSuchReceipt, message));
		};
		let sealed = seal(&shown, &key, &payload, &worker, &genesis);
		sealed.ok_or_else(|| Rejection::internal("cannot seal evidence: the system gave no randomness"))
	});
	let sealed = sealed.await.map_err(Rejection::internal)??;
	metrics::counter!("gonka_worker_evidence_served_total").increment(1);
	Ok(([(header::CONTENT_TYPE, "application/octet-stream")], turn.respond(sealed.encode())))
}

/// Returns the evidence of the queried receipt, if it is stored.
fn find(store: &Store, query: &AuditQuery) -> store::Result<Option<Evidence>> {
	let Some(tree) = store.read(|tx| evidence::tree(tx, query.window))? else { return Ok(None) };
	let nodes: Vec<_> = tree.leaves.iter().map(|(_, leaf)| *leaf).collect();
	let index = query.pick.find(&nodes);
	let leaf = index.and_then(|index| Some((tree.leaves.get(index)?.0, merkle_sum::prove(&nodes, index)?)));
	let Some((envelope, path)) = leaf else { return Ok(None) };
	let stored = store.read(|tx| evidence::get(tx, &envelope))?;
	Ok(stored.map(|stored| Evidence {
		envelope: stored.envelope,
		receipt: stored.receipt.receipt,
		path,
		body: stored.body,
		output: stored.output,
		fingerprints: stored.fingerprints,
	}))
}

impl Assignments {
	/// Counts a query. Returns what is looked up for it. Checkers without weight do not keep those with weight out.
	fn count(
		&self,
		block: BlockNumber,
		checker: AccountId,
		has_weight: bool,
	) -> Result<(Once<AssignedAuditsView>, Once<CaseView>), Rejection> {
		let busy = |why: &str| Err(Rejection::new(ErrorCode::Busy, why));
		let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
		if known.block != block {
			*known = Known { block, ..Default::default() };
		}
		if !has_weight && !known.audits.contains_key(&checker) {
			if known.weightless >= MAX_LOOK_UPS {
				return busy("too many checkers without weight: try again with the next block");
			}
			known.weightless = known.weightless.saturating_add(1);
		}
		let cases = known.cases.clone();
		let (audits, queries) = known.audits.entry(checker).or_default();
		*queries = queries.saturating_add(1);
		if *queries > MAX_QUERIES_PER_BLOCK {
			let message = format!("a checker has {MAX_QUERIES_PER_BLOCK} queries a block: try again with the next one");
			return busy(&message);
		}
		Ok((audits.clone(), cases))
	}

	/// Rejects a query unless the chain assigned that audit to the checker and the audit is open. The audits of each
	/// checker are looked up once a block.
	async fn check(
		&self,
		chain: &dyn ChainApi,
		block: BlockNumber,
		query: &AuditQuery,
		has_weight: bool,
	) -> Result<(), Rejection> {
		let (audits, cases) = self.count(block, query.checker, has_weight)?;
		let audits = audits.get_or_try_init(|| chain.audits(&query.checker)).await.map_err(Rejection::internal)?;
		let mut all = audits.iter().flat_map(|list| &list.audits);
		let is_queried = |host: &AccountId, window: u32, pick: &Pick| {
			*host == query.host && window == query.window && *pick == query.pick
		};
		if all.any(|audit| !audit.done && is_queried(&audit.host, audit.window, &audit.pick)) {
			return Ok(());
		}
		let cases = cases.get_or_try_init(|| chain.cases()).await.map_err(Rejection::internal)?;
		if cases.iter().any(|case| is_for_arbiter(case, query)) {
			return Ok(());
		}
		let message = "the chain did not assign this audit to the checker, or the checker has reported it already";
		Err(Rejection::new(ErrorCode::NotAssigned, message))
	}
}

/// Returns whether an arbiter of the case may see the receipt: it is a reviewed one, or one of the arbiter's own draws.
fn is_for_arbiter(case: &CaseView, query: &AuditQuery) -> bool {
	let seat = (0u32..).zip(&case.arbiters).find(|(_, seat)| seat.who == query.checker && seat.ruled.is_none());
	let Some((number, _)) = seat.filter(|_| case.host == query.host) else { return false };
	let mut reviewed = case.reviewed.iter();
	if reviewed.any(|reviewed| reviewed.window == query.window && reviewed.pick == query.pick) {
		return true;
	}
	let Some(seed) = &case.seed else { return false };
	(0..FRESH)
		.filter_map(|k| fresh_draw(seed, number, k, &case.scope))
		.any(|(part, pick)| pick == query.pick && case.scope.get(part).is_some_and(|part| part.window == query.window))
}
