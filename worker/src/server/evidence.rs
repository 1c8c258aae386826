//! Evidence of single answers, for whoever the chain names to check them.

use super::{Refusal, Service, openings::authenticate, vouchers::parse};
use crate::{
	chain::{ChainApi, ChainError},
	store::{Store, StoreError, evidence},
};
use axum::{body::Bytes, extract::State, response::IntoResponse};
use codec::Encode;
use gonka_client::{
	evidence::{Evidence, query_payload, seal},
	wire::{ErrorCode, EvidenceQuery},
};
use gonka_primitives::{
	AccountId, BlockNumber, merkle_sum,
	sampling::{FRESH, Pick, SampleQuery, fresh_draw},
	views::{SamplesView, SamplingCaseView},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Mutex, Semaphore};

/// Queries answered at a time; others are told to come again.
const AT_ONCE: usize = 8;
/// Queries of a checker within one block.
const A_BLOCK: u32 = 192;
/// Checkers whose samples are looked up within one block.
const LOOK_UPS: usize = 256;

/// Who may ask for what, as of a block.
pub struct Assignments {
	places: Semaphore,
	known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
	block: BlockNumber,
	/// A checker's samples, and how often it asked.
	samples: HashMap<AccountId, (Arc<Vec<SamplesView>>, u32)>,
	cases: Option<Arc<Vec<SamplingCaseView>>>,
}

impl Default for Assignments {
	fn default() -> Self {
		Self { places: Semaphore::new(AT_ONCE), known: Mutex::default() }
	}
}

/// `POST /v1/evidence`.
pub async fn evidence(State(service): State<Arc<Service>>, body: Bytes) -> Result<impl IntoResponse + use<>, Refusal> {
	let busy = |why: &str| Refusal::new(ErrorCode::Busy, why);
	let _place = service.assignments.places.try_acquire().map_err(|_| busy("too many ask at once: try again"))?;
	let EvidenceQuery { query, key, signature } = parse(&body)?;
	let (query, key) = (query.0, key.0);
	let snapshot = service.follower.snapshot();
	let snapshot = snapshot.ok_or_else(|| busy("the worker has not seen the chain yet: try again in a moment"))?;
	let asked = query_payload(&query, &key, &service.genesis);
	authenticate(&service, &query.checker, &asked, &signature.0, snapshot.block).await?;
	if query.host != *service.follower.host() {
		return Err(Refusal::new(ErrorCode::NotAssigned, "this worker is another host's"));
	}
	service.assignments.check(&**service.follower.chain(), snapshot.block, &query).await?;
	#[cfg(feature = "hostile")]
	if crate::hostile::is(crate::hostile::Kind::Withhold) {
		return Err(busy("not now"));
	}
	let (store, worker, genesis) = (service.store.clone(), service.key.clone(), service.genesis);
	let sealed = tokio::task::spawn_blocking(move || {
		let Some(shown) = find(&store, &query).map_err(Refusal::internal)? else {
			let message = format!("this host keeps nothing of window {} there", query.window);
			return Err(Refusal::new(ErrorCode::NoSuchReceipt, message));
		};
		seal(&shown, &key, &asked, &worker, &genesis).ok_or_else(|| Refusal::internal("no randomness for a box"))
	});
	let sealed = sealed.await.map_err(Refusal::internal)??;
	metrics::counter!("gonka_worker_evidence_shown_total").increment(1);
	Ok(sealed.encode())
}

/// What shows the receipt that is asked for.
fn find(store: &Store, query: &SampleQuery) -> Result<Option<Evidence>, StoreError> {
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
	/// Whether the chain names who asks for that sample, and it is open. Each checker's samples are looked up once a block.
	async fn check(&self, chain: &dyn ChainApi, block: BlockNumber, query: &SampleQuery) -> Result<(), Refusal> {
		let busy = |why: &str| Refusal::new(ErrorCode::Busy, why);
		let failed = |error: ChainError| Refusal::internal(error);
		let mut known = self.known.lock().await;
		if known.block != block {
			*known = Known { block, ..Default::default() };
		}
		if !known.samples.contains_key(&query.checker) {
			if known.samples.len() >= LOOK_UPS {
				return Err(busy("too many checkers: try again with the next block"));
			}
			let samples = chain.samples(&query.checker).await.map_err(failed)?;
			known.samples.insert(query.checker, (Arc::new(samples), 0));
		}
		let Some((samples, asked)) = known.samples.get_mut(&query.checker) else {
			return Err(busy("try again with the next block"));
		};
		*asked = asked.saturating_add(1);
		if *asked > A_BLOCK {
			return Err(busy("a checker may ask so often within a block: try again with the next one"));
		}
		let mut all = samples.iter().flat_map(|list| &list.samples);
		let is_it = |host: &AccountId, window: u32, pick: &Pick| {
			*host == query.host && window == query.window && *pick == query.pick
		};
		if all.any(|sample| !sample.done && is_it(&sample.host, sample.window, &sample.pick)) {
			return Ok(());
		}
		let cases = match &known.cases {
			Some(cases) => cases.clone(),
			None => known.cases.insert(Arc::new(chain.sampling_cases().await.map_err(failed)?)).clone(),
		};
		drop(known);
		if cases.iter().any(|case| is_for_arbiter(case, query)) {
			return Ok(());
		}
		Err(Refusal::new(ErrorCode::NotAssigned, "the chain names another for this sample, or it is answered for"))
	}
}

/// Whether an arbiter of the case may see the receipt: it is on the audit list, or one of its own draws.
fn is_for_arbiter(case: &SamplingCaseView, query: &SampleQuery) -> bool {
	let seat = (0u32..).zip(&case.arbiters).find(|(_, (who, ruled))| *who == query.checker && ruled.is_none());
	let Some((number, _)) = seat.filter(|_| case.host == query.host) else { return false };
	let mut audit = case.audit.iter();
	if audit.any(|audit| audit.window == query.window && audit.pick == query.pick) {
		return true;
	}
	let Some(seed) = &case.seed else { return false };
	(0..FRESH)
		.filter_map(|k| fresh_draw(seed, number, k, &case.scope))
		.any(|(part, pick)| pick == query.pick && case.scope.get(part).is_some_and(|part| part.window == query.window))
}
