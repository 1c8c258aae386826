//! The worker's HTTP API (`gonka_client::worker_api`, docs/worker-api.md): HTTP/1.1 and HTTP/2 without TLS on one port.
//!
//! - [`inference`]: verifies a request and streams its completion;
//! - [`permits`]: permits for these requests, and what a developer may hold of them;
//! - [`bodies`]: bodies of these requests;
//! - [`reservations`]: deposits and credit that running requests use;
//! - [`vouchers`]: vouchers, and the state of a channel;
//! - [`tokenizers`]: tokenizer files, for gateways;
//! - [`openings`]: openings of this host's leaves, for checkers;
//! - [`evidence`]: evidence of receipts, for auditors;
//! - [`authentication`]: who may have either;
//! - [`turns`]: turns of all queries.
//!
//! [`gonka_client::listen`] bounds the connections.

pub mod authentication;
pub mod bodies;
pub mod evidence;
pub mod inference;
pub mod openings;
pub mod permits;
pub mod reservations;
pub mod tokenizers;
pub mod turns;
pub mod vouchers;

use crate::{
	chain::Follower,
	conduct::Conduct,
	models::{Models, ServedModel},
	openings::Openings,
	prometheus,
	store::Store,
};
use authentication::Hosts;
use axum::{
	Json, Router,
	extract::{DefaultBodyLimit, Request, State},
	http::{HeaderValue, StatusCode, header},
	middleware::{Next, from_fn},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use bodies::Bodies;
use evidence::Assignments;
use gonka_client::{
	keys::{self, Keypair},
	request_id::{REQUEST_ID_HEADER, RequestId},
	worker_api::{
		CHANNEL_PATH, EVIDENCE_PATH, Error, ErrorBody, ErrorCode, HEALTH_PATH, Health, HealthModel, INFERENCE_PATH,
		OPENINGS_PATH, TOKENIZER_PATH, VOUCHERS_PATH,
	},
};
use gonka_primitives::Hash;
use openings::ShownPositions;
use permits::Permits;
use reservations::Reservations;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tracing::{Instrument, field::Empty};
use turns::Turns;

/// Maximum size of a query of another host, in bytes.
const MAX_QUERY: usize = 16 << 10;
/// Maximum time from a request's headers to the beginning of its response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds on requests.
#[derive(Clone, Debug)]
pub struct Limits {
	/// Maximum number of running requests and receipts without a voucher together, of a channel that has paid for nothing yet.
	pub credit: u64,
	/// Maximum number of running and waiting requests over all channels. Those of a developer are three quarters of it at most.
	pub capacity: u32,
	/// Maximum size of a request's body, in bytes.
	pub body: usize,
	/// Maximum number of blocks that an envelope's expiry may lie ahead.
	pub expiry: u32,
	/// Maximum size of the stored evidence, in bytes. Beyond it, requests are rejected; those of a developer when its own is a
	/// quarter of it, or as much as is left.
	pub evidence: u64,
	/// Maximum time that a completion waits for a client that does not read.
	pub stalled: Duration,
	/// Maximum time that a client has for the rest of a completion, when the engine is done with it.
	pub rest: Duration,
	/// Time for which a request counts against its channel's credit after its end, if it cost work and nothing is due for it.
	pub unpaid: Duration,
}

impl Default for Limits {
	fn default() -> Self {
		let (stalled, rest, unpaid) = (Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(10));
		Self { credit: 8, capacity: 64, body: 4 << 20, expiry: 100, evidence: 64 << 30, stalled, rest, unpaid }
	}
}

/// The parts from which a [`Service`] is made.
pub struct ServiceParts {
	/// The chain.
	pub follower: Follower,
	/// The store.
	pub store: Store,
	/// The models.
	pub models: Models,
	/// The worker key.
	pub key: Keypair,
	/// Bounds on requests.
	pub limits: Limits,
	/// Deviations from the protocol, in tests.
	pub conduct: Arc<dyn Conduct>,
}

/// State that all handlers share.
pub struct Service {
	parts: ServiceParts,
	/// The chain's genesis hash.
	genesis: Hash,
	reservations: Reservations,
	bodies: Bodies,
	openings: Arc<Openings>,
	shown: ShownPositions,
	tokenizers: Turns,
	hosts: Hosts,
	assignments: Assignments,
	/// One permit for each request that may run or wait.
	permits: Permits,
	/// Has a receiver for each completion until its receipt is stored. Its permit ends before, with the engine's work.
	completions: watch::Sender<()>,
}

impl Service {
	/// Makes a service without running requests.
	pub fn new(parts: ServiceParts) -> Arc<Self> {
		Arc::new(Self {
			genesis: parts.follower.chain().genesis(),
			reservations: Reservations::new(parts.store.clone(), parts.limits.unpaid),
			bodies: Bodies::new(parts.limits.body),
			openings: Openings::new(parts.store.clone()),
			shown: ShownPositions::default(),
			tokenizers: Turns::new(tokenizers::MAX_QUERIES, tokenizers::MAX_WAIT),
			hosts: Hosts::default(),
			assignments: Assignments::default(),
			permits: Permits::new(parts.limits.capacity),
			completions: watch::Sender::new(()),
			parts,
		})
	}

	/// Returns the openings of this host's leaves.
	pub fn openings(&self) -> Arc<Openings> {
		self.openings.clone()
	}

	/// Returns the number of running and waiting requests.
	pub fn load(&self) -> u32 {
		self.permits.taken()
	}

	/// Rejects when governance requires a newer worker.
	fn check_version(&self) -> Result<(), Rejection> {
		let outdated = self.parts.follower.snapshot().filter(|snapshot| snapshot.is_outdated());
		match outdated.and_then(|snapshot| snapshot.required.warning(snapshot.block)) {
			Some(warning) => Err(Rejection::new(ErrorCode::Outdated, warning)),
			None => Ok(()),
		}
	}

	/// Takes no new requests, and waits at most `limit` for the running ones. Returns whether all of them ended.
	pub async fn drain(&self, limit: Duration) -> bool {
		self.permits.free.close();
		tokio::time::timeout(limit, self.completions.closed()).await.is_ok()
	}
}

/// Returns all routes of a service.
pub fn router(service: Arc<Service>) -> Router {
	Router::new()
		.route(INFERENCE_PATH, post(inference::inference))
		.route(VOUCHERS_PATH, post(vouchers::acknowledge))
		.route(CHANNEL_PATH, post(vouchers::channel))
		.route(TOKENIZER_PATH, post(tokenizers::tokenizer))
		.route(OPENINGS_PATH, post(openings::openings).layer(DefaultBodyLimit::max(MAX_QUERY)))
		.route(EVIDENCE_PATH, post(evidence::evidence).layer(DefaultBodyLimit::max(MAX_QUERY)))
		.route(HEALTH_PATH, get(health))
		.route("/metrics", get(metrics))
		.layer(DefaultBodyLimit::max(1 << 20))
		.layer(from_fn(within_time))
		.layer(from_fn(in_span))
		.with_state(service)
}

/// Runs a request in a span with its id, which the gateway made. The response has the same id.
async fn in_span(request: Request, next: Next) -> Response {
	let id = RequestId::from_header(request.headers().get(REQUEST_ID_HEADER).map(HeaderValue::as_bytes));
	let path = request.uri().path();
	let span = tracing::info_span!("request", request_id = %id, path, envelope = Empty, model = Empty);
	let mut response = next.run(request).instrument(span).await;
	if let Ok(id) = HeaderValue::from_str(id.as_str()) {
		response.headers_mut().insert(REQUEST_ID_HEADER, id);
	}
	response
}

/// Bounds the time until a response begins, and so the time to read the body.
async fn within_time(request: Request, next: Next) -> Response {
	let response = tokio::time::timeout(RESPONSE_TIMEOUT, next.run(request)).await;
	response.unwrap_or_else(|_| {
		let message = format!("the request was not complete within {} s", RESPONSE_TIMEOUT.as_secs());
		Rejection::new(ErrorCode::BadRequest, message).into_response()
	})
}

async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
	let ServiceParts { follower, models, limits, .. } = &service.parts;
	let snapshot = follower.snapshot();
	let outdated = service.check_version().err().map(|rejection| rejection.0.message);
	let is_served = |model: &&ServedModel| {
		let is_registered = snapshot.as_ref().is_some_and(|snapshot| model.registration(snapshot).is_some());
		is_registered && outdated.is_none() && model.engine.health().healthy
	};
	let shown = |model: &ServedModel| {
		let registered = snapshot.as_ref().and_then(|snapshot| model.registration(snapshot));
		let (own, registered) =
			(model.engine.info().context_length, registered.map_or(0, |model| model.context_length));
		let context_length = u32::try_from(own).unwrap_or(u32::MAX).min(registered);
		HealthModel { name: model.name.clone(), context_length }
	};
	Json(Health {
		version: env!("CARGO_PKG_VERSION").into(),
		host: keys::ss58(follower.host()),
		models: models.iter().filter(is_served).map(shown).collect(),
		block: snapshot.map_or(0, |snapshot| snapshot.block),
		load: service.load(),
		capacity: limits.capacity,
		outdated,
	})
}

async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
	::metrics::gauge!("gonka_worker_load").set(f64::from(service.load()));
	for ServedModel { name, engine, .. } in service.parts.models.iter() {
		let (health, usage) = (engine.health(), engine.usage());
		let gauge = |metric: &'static str, value: f64| ::metrics::gauge!(metric, "model" => name.clone()).set(value);
		let counter =
			|metric: &'static str, value: u64| ::metrics::counter!(metric, "model" => name.clone()).absolute(value);
		gauge("gonka_worker_engine_running", health.running as f64);
		gauge("gonka_worker_engine_waiting", health.waiting as f64);
		gauge("gonka_worker_engine_cached_tokens", usage.cached_tokens as f64);
		counter("gonka_worker_engine_steps_total", usage.steps);
		counter("gonka_worker_engine_rows_total", usage.rows);
		counter("gonka_worker_engine_prompt_tokens_total", usage.prompt_tokens);
		counter("gonka_worker_engine_reused_tokens_total", usage.reused_tokens);
	}
	([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prometheus::render())
}

/// A response that is not 200.
pub struct Rejection(pub Error);

impl Rejection {
	/// Makes a rejection with a message for people.
	pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
		Self(Error { code, message: message.into() })
	}

	/// Makes the rejection for a fault of this worker or its node, and logs the fault.
	pub fn internal(fault: impl std::fmt::Display) -> Self {
		tracing::error!(%fault, "a request failed");
		Self::new(ErrorCode::Internal, fault.to_string())
	}

	/// Makes the rejection for a worker without a snapshot of the chain.
	fn no_snapshot() -> Self {
		Self::new(ErrorCode::Busy, "the worker has not seen the chain yet: try again in a moment")
	}
}

impl From<Error> for Rejection {
	fn from(error: Error) -> Self {
		Self(error)
	}
}

impl IntoResponse for Rejection {
	fn into_response(self) -> Response {
		let code = self.0.code;
		let label = serde_json::to_value(code).ok().and_then(|name| name.as_str().map(str::to_owned));
		::metrics::counter!("gonka_worker_rejections_total", "code" => label.unwrap_or_default()).increment(1);
		let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
		let mut response = (status, Json(ErrorBody { error: self.0 })).into_response();
		if code == ErrorCode::Busy {
			response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
		}
		response
	}
}
