//! The worker's HTTP interface (`gonka_client::wire`): HTTP/1.1 and HTTP/2 without TLS on one port.
//!
//! - [`inference`]: checks a request and streams its answer;
//! - [`evidence`]: what shows that answers are the model's, for who samples them;
//! - [`openings`]: what this host committed to, for checkers;
//! - [`vouchers`]: vouchers, and what is known of a channel;
//! - [`ledger`]: who has how much running;
//! - [`listen`]: connections and their bounds.

pub mod evidence;
pub mod inference;
pub mod ledger;
pub mod listen;
pub mod openings;
pub mod vouchers;

use crate::{chain::Follower, openings::Openings, store::Store, telemetry};
use axum::{
	Json, Router,
	extract::{DefaultBodyLimit, Request, State},
	http::{HeaderValue, StatusCode, header},
	middleware::Next,
	response::{IntoResponse, Response},
	routing::{get, post},
};
use evidence::Assignments;
use gonka_client::{
	keys::{self, Keypair},
	wire::{
		CHANNEL_PATH, EVIDENCE_PATH, Error, ErrorBody, ErrorCode, HEALTH_PATH, Health, INFERENCE_PATH, OPENINGS_PATH,
		VOUCHERS_PATH,
	},
};
use gonka_engine::Engine;
use gonka_primitives::{Hash, views::ModelView};
use ledger::Ledger;
use openings::Doorman;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// From a request's headers to the beginning of its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bounds on what a gateway may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
	/// Receipts without a voucher and running requests, together, that one channel may have.
	pub credit: u64,
	/// Requests running and queued, over all channels.
	pub capacity: u32,
	/// Bytes of a request's body.
	pub body: usize,
	/// Blocks that an envelope's expiry may lie ahead.
	pub expiry: u32,
	/// Bytes on disk that may be kept for whoever samples this host; beyond it requests are refused.
	pub evidence: u64,
	/// How long an answer waits for a client that does not read.
	pub stalled: Duration,
}

impl Default for Limits {
	fn default() -> Self {
		let stalled = Duration::from_secs(30);
		Self { credit: 8, capacity: 64, body: 4 << 20, expiry: 100, evidence: 64 << 30, stalled }
	}
}

/// What all handlers share.
pub struct Service {
	/// The chain.
	pub follower: Follower,
	/// The disk.
	pub store: Store,
	/// What is reserved.
	pub ledger: Ledger,
	/// What this host committed to.
	pub openings: Arc<Openings>,
	/// Who is shown it.
	pub doorman: Doorman,
	/// Who is shown evidence.
	pub assignments: Assignments,
	/// The model.
	pub engine: Arc<dyn Engine>,
	/// The model's name in the registry on chain.
	pub model: String,
	/// The worker key.
	pub key: Keypair,
	/// The chain's genesis hash.
	pub genesis: Hash,
	/// Bounds.
	pub limits: Limits,
	/// A permit for each request that may run or wait.
	pub places: Arc<Semaphore>,
}

impl Service {
	/// A service over its parts, with nothing running.
	pub fn new(
		follower: Follower,
		store: Store,
		engine: Arc<dyn Engine>,
		model: String,
		key: Keypair,
		limits: Limits,
	) -> Arc<Self> {
		let genesis = follower.chain().genesis();
		let places = Arc::new(Semaphore::new(limits.capacity as usize));
		Arc::new(Self {
			ledger: Ledger::new(store.clone()),
			openings: Openings::new(store.clone()),
			doorman: Doorman::default(),
			assignments: Assignments::default(),
			follower,
			store,
			engine,
			model,
			key,
			genesis,
			limits,
			places,
		})
	}

	/// Requests running and queued.
	pub fn load(&self) -> u32 {
		self.limits.capacity.saturating_sub(self.places.available_permits() as u32)
	}

	/// The model's entry in the registry.
	fn registered<'a>(&self, models: &'a [ModelView]) -> Option<&'a ModelView> {
		models.iter().find(|model| model.name == self.model.as_bytes())
	}

	/// Refuses when governance asks for a newer worker.
	fn is_new_enough(&self) -> Result<(), Refusal> {
		let outdated = self.follower.snapshot().filter(|snapshot| snapshot.is_outdated());
		match outdated.and_then(|snapshot| snapshot.required.complaint(snapshot.block)) {
			Some(complaint) => Err(Refusal::new(ErrorCode::Outdated, complaint)),
			None => Ok(()),
		}
	}

	/// Takes no new requests and waits until those that run have ended, but no longer than `bound`. True if all have.
	pub async fn drain(&self, bound: Duration) -> bool {
		let ended = tokio::time::timeout(bound, self.places.acquire_many(self.limits.capacity)).await;
		self.places.close();
		matches!(ended, Ok(Ok(_)))
	}
}

/// All routes over `service`.
pub fn router(service: Arc<Service>) -> Router {
	Router::new()
		.route(INFERENCE_PATH, post(inference::inference))
		.route(VOUCHERS_PATH, post(vouchers::acknowledge))
		.route(CHANNEL_PATH, post(vouchers::channel))
		.route(OPENINGS_PATH, post(openings::openings))
		.route(EVIDENCE_PATH, post(evidence::evidence))
		.route(HEALTH_PATH, get(health))
		.route("/metrics", get(metrics))
		.layer(DefaultBodyLimit::max(1 << 20))
		.layer(axum::middleware::from_fn(within_time))
		.with_state(service)
}

/// Bounds the time until an answer begins: reading the body, above all.
async fn within_time(request: Request, next: Next) -> Response {
	let answer = tokio::time::timeout(PATIENCE, next.run(request)).await;
	answer.unwrap_or_else(|_| {
		let message = format!("the request was not complete within {} s", PATIENCE.as_secs());
		Refusal::new(ErrorCode::BadRequest, message).into_response()
	})
}

async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
	let snapshot = service.follower.snapshot();
	let registered = snapshot.as_ref().is_some_and(|snapshot| service.registered(&snapshot.models).is_some());
	let outdated = service.is_new_enough().err().map(|refusal| refusal.0.message);
	let serves = registered && outdated.is_none() && service.engine.health().healthy;
	Json(Health {
		version: env!("CARGO_PKG_VERSION").into(),
		host: keys::ss58(service.follower.host()),
		models: if serves { vec![service.model.clone()] } else { Vec::new() },
		block: snapshot.map_or(0, |snapshot| snapshot.block),
		load: service.load(),
		capacity: service.limits.capacity,
		outdated,
	})
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
	::metrics::gauge!("gonka_worker_load").set(f64::from(service.load()));
	([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render())
}

/// An answer that is not 200.
pub struct Refusal(pub Error);

impl Refusal {
	/// Says why.
	pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
		Self(Error { code, message: message.into() })
	}

	/// A fault of this worker or its node; the log has it, too.
	pub fn internal(fault: impl std::fmt::Display) -> Self {
		tracing::error!(%fault, "a request failed");
		Self::new(ErrorCode::Internal, fault.to_string())
	}
}

impl From<Error> for Refusal {
	fn from(error: Error) -> Self {
		Self(error)
	}
}

impl IntoResponse for Refusal {
	fn into_response(self) -> Response {
		let code = self.0.code;
		let label = serde_json::to_value(code).ok().and_then(|name| name.as_str().map(str::to_owned));
		::metrics::counter!("gonka_worker_refusals_total", "code" => label.unwrap_or_default()).increment(1);
		let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
		let mut response = (status, Json(ErrorBody { error: self.0 })).into_response();
		if code == ErrorCode::Busy {
			response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
		}
		response
	}
}
