//! Requests for completions: envelope → verification, cheapest first → reservation → tokens → receipt stored → receipt
//! sent.

use super::{Limits, Rejection, Service, permits::Permit, reservations::Reservation, vouchers::check_signature};
use crate::{
	prompt::generate_request,
	store::{
		evidence::{self, StoredEvidence},
		market,
	},
};
use axum::{
	body::Body,
	extract::State,
	http::{HeaderMap, HeaderValue, header},
	response::{
		IntoResponse, Response, Sse,
		sse::{Event as SseEvent, KeepAlive},
	},
};
use futures::stream;
use gonka_client::{
	keys,
	worker_api::{ENVELOPE_HEADER, Error, ErrorCode, Event, Scale, Vector, from_hex},
};
use gonka_engine::{Engine, EngineError, FinishReason as EngineFinish, GenerateRequest, TokenEvent};
use gonka_primitives::{
	AccountId, Hash,
	fingerprint::{self, Fingerprint},
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, Receipt, SignedEnvelope, SignedReceipt, output_hash},
	tape::tape_key,
	views::ChannelView,
};
use gonka_tokenizer::embedding;
use std::{
	convert::Infallible,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tracing::{Instrument, Span};

/// Maximum number of events that wait for the connection. Beyond it, the completion waits.
const MAX_EVENTS: usize = 64;
/// Number of parts of the space for evidence, of which a developer may use one at most.
const EVIDENCE_SHARE: u64 = 4;
/// Time between comments that keep proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// `POST /v1/inference`.
pub async fn inference(
	State(service): State<Arc<Service>>,
	headers: HeaderMap,
	body: Body,
) -> Result<Response, Rejection> {
	service.check_version()?;
	let signed = read_envelope(&headers)?;
	let (channel, hash, engine) = service.check_envelope(&signed).await?;
	service.check_sequence(&signed.envelope)?;
	let (body, request) = service.bodies.read(body, signed.envelope.body, channel.developer).await?;
	let running = service.completions.subscribe();
	let permit = service.permits.take(channel.developer)?;
	service.check_space(&channel.developer)?;
	let key = tape_key(&hash, service.parts.follower.host());
	let generate = generate_request(request, &signed.envelope, key).map_err(engine_rejection)?;
	let generate = GenerateRequest { owner: channel.developer, ..generate };
	engine.check_size(&generate, &signed.envelope)?;
	let reservation = service.reserve(channel.clone(), &signed.envelope).await?;
	let prompt_tokens = generate.prompt.len() as u32;
	let (tokens, permit, reservation) = engine.generate(generate, permit, reservation).await?;
	let (events, connection) = mpsc::channel(MAX_EVENTS);
	let (output, fingerprints) = (Vec::new(), Vec::new());
	let completion =
		Completion { channel, signed, hash, body, prompt_tokens, output, fingerprints, events, _running: running };
	tokio::spawn(completion.run(service, tokens, reservation, permit).instrument(Span::current()));
	Ok(respond(connection))
}

fn read_envelope(headers: &HeaderMap) -> Result<SignedEnvelope, Rejection> {
	let bad = |why: &str| Rejection::new(ErrorCode::BadRequest, format!("header {ENVELOPE_HEADER}: {why}"));
	let header = headers.get(ENVELOPE_HEADER).ok_or_else(|| bad("missing"))?;
	let text = header.to_str().map_err(|_| bad("not hex"))?;
	from_hex(text).map_err(|error| bad(&error.to_string()))
}

/// An engine, with what the chain knows of its model.
struct RegisteredEngine {
	engine: Arc<dyn Engine>,
	/// The model's context length in tokens, as it is registered.
	context_length: usize,
}

impl RegisteredEngine {
	/// Starts a completion, on a thread that may be blocked: a grammar takes a while to compile. That work holds `permit`
	/// and `reservation` to its end, also if the client hangs up, and returns them with the completion.
	async fn generate(
		&self,
		generate: GenerateRequest,
		permit: Permit,
		reservation: Reservation,
	) -> Result<(mpsc::Receiver<TokenEvent>, Permit, Reservation), Rejection> {
		let (engine, span) = (self.engine.clone(), Span::current());
		let start = move || match span.in_scope(|| engine.generate(generate)) {
			Ok(tokens) => Ok((tokens, permit, reservation)),
			// The rest of the request is right: it is the grammar, which took work. So the reservation lasts longer.
			Err(error @ EngineError::InvalidRequest(_)) => Err(error),
			Err(error) => {
				reservation.release();
				Err(error)
			},
		};
		tokio::task::spawn_blocking(start).await.map_err(Rejection::internal)?.map_err(engine_rejection)
	}

	fn check_size(&self, generate: &GenerateRequest, envelope: &Envelope) -> Result<(), Rejection> {
		let mut model = self.engine.info();
		model.context_length = model.context_length.min(self.context_length);
		generate.check(&model).map_err(engine_rejection)?;
		let needed = envelope.price.fee(generate.prompt.len() as u32, envelope.max_tokens);
		if needed.is_some_and(|needed| needed <= envelope.max_fee) {
			return Ok(());
		}
		let message = format!(
			"{} prompt tokens and up to {} completion tokens cost up to {}, but max_fee is {}",
			generate.prompt.len(),
			envelope.max_tokens,
			needed.map_or("more than there is".into(), |needed| needed.to_string()),
			envelope.max_fee
		);
		Err(Rejection::new(ErrorCode::BadRequest, message))
	}
}

impl Service {
	/// Verifies all that does not need the body. Returns the channel, the envelope's hash, and the engine of its model.
	async fn check_envelope(
		&self,
		signed: &SignedEnvelope,
	) -> Result<(ChannelView, Hash, RegisteredEngine), Rejection> {
		let envelope = &signed.envelope;
		let channel = self.channel(envelope.channel).await?;
		let hash = envelope.hash(&self.genesis);
		Span::current().record("envelope", hex::encode(hash));
		check_signature(&signed.signature, &hash, &channel)?;
		if channel.closes.is_some() {
			return Err(Rejection::new(ErrorCode::UnknownChannel, format!("channel {} is closing", channel.id)));
		}
		let snapshot = self.parts.follower.snapshot().ok_or_else(Rejection::no_snapshot)?;
		let Some((served, model)) = self.parts.models.find(&snapshot, envelope.model) else {
			let (wanted, served) = (envelope.model, self.parts.models.names());
			let message = format!("this worker does not serve model {wanted}; it serves {served}");
			return Err(Rejection::new(ErrorCode::UnknownModel, message));
		};
		Span::current().record("model", &served.name);
		let latest = snapshot.block.saturating_add(self.parts.limits.expiry);
		if envelope.expires < snapshot.block || envelope.expires > latest {
			let message = format!(
				"the envelope expires at block {}; this worker sees block {} and takes expiries up to {latest}",
				envelope.expires, snapshot.block
			);
			return Err(Rejection::new(ErrorCode::Expired, message));
		}
		if !snapshot.is_price(model.id, &envelope.price) {
			let now = snapshot.price(model.id).unwrap_or_default();
			let message = format!(
				"the price is {} base units per prompt token and {} per completion token; the envelope has {} and {}",
				now.input, now.output, envelope.price.input, envelope.price.output
			);
			return Err(Rejection::new(ErrorCode::WrongPrice, message));
		}
		let (engine, context_length) = (served.engine.clone(), model.context_length as usize);
		Ok((channel, hash, RegisteredEngine { engine, context_length }))
	}

	/// Rejects an envelope whose sequence number was used, before its body is read. Its reservation takes the number.
	fn check_sequence(&self, envelope: &Envelope) -> Result<(), Rejection> {
		let record = self.parts.store.read(|tx| market::channel(tx, envelope.channel));
		let mut used = record.map_err(Rejection::internal)?.unwrap_or_default().sequences;
		let (sequence, highest) = (envelope.sequence, used.highest);
		if used.take(sequence) {
			return Ok(());
		}
		let message = format!("sequence number {sequence} was used before; the highest so far is {highest}");
		Err(Rejection::new(ErrorCode::Replayed, message))
	}

	/// Rejects when the store has no space for more evidence, or a developer has used its share: a quarter, or as much as is
	/// left, so that others have some.
	fn check_space(&self, developer: &AccountId) -> Result<(), Rejection> {
		let read = self.parts.store.read(|tx| Ok((evidence::bytes(tx)?, evidence::share(tx, developer)?)));
		let ((stored, share), max) = (read.map_err(Rejection::internal)?, self.parts.limits.evidence);
		let message = if stored >= max {
			format!("the store has {stored} bytes of evidence, which is the maximum here: try another host")
		} else if share >= max.div_ceil(EVIDENCE_SHARE).min(max.saturating_sub(stored)) {
			format!(
				"{share} bytes of evidence here are this developer's, a quarter of the maximum or as much as is left: try \
				 another host"
			)
		} else {
			return Ok(());
		};
		Err(Rejection::new(ErrorCode::Busy, message))
	}

	async fn reserve(&self, channel: ChannelView, envelope: &Envelope) -> Result<Reservation, Rejection> {
		let credit = self.parts.limits.credit;
		match self.reservations.reserve(channel.clone(), envelope, credit).await {
			Err(Rejection(error)) if error.code == ErrorCode::InsufficientFunds => {
				// The channel may have been topped up in the latest block.
				let known = channel.deposit;
				let channel = self.current_channel(channel).await;
				if channel.deposit == known {
					return Err(Rejection(error));
				}
				self.reservations.reserve(channel, envelope, credit).await
			},
			other => other,
		}
	}
}

fn engine_rejection(error: EngineError) -> Rejection {
	let code = match &error {
		EngineError::Busy { .. } => ErrorCode::Busy,
		EngineError::ContextTooLong { .. } => ErrorCode::ContextTooLong,
		EngineError::InvalidRequest(_) | EngineError::Template(_) => ErrorCode::BadRequest,
		EngineError::Unsupported(_) => ErrorCode::Unsupported,
		EngineError::Model(_) | EngineError::Memory { .. } | EngineError::Compute(_) | EngineError::Stopped => {
			return Rejection::internal(error);
		},
	};
	Rejection::new(code, error.to_string())
}

fn respond(connection: mpsc::Receiver<Event>) -> Response {
	let events = stream::unfold(connection, |mut connection| async move {
		let event = connection.recv().await?;
		let data = serde_json::to_string(&event).unwrap_or_default();
		Some((Ok::<_, Infallible>(SseEvent::default().data(data)), connection))
	});
	let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
	let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
	let headers = response.headers_mut();
	headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
	headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
	response
}

/// A completion that is being generated. It goes on without its connection until its receipt is stored.
struct Completion {
	channel: ChannelView,
	signed: SignedEnvelope,
	hash: Hash,
	body: bytes::Bytes,
	prompt_tokens: u32,
	/// Tokens that were handed to the connection, or the bits of the embedding that was.
	output: Vec<u32>,
	/// Fingerprint of each of these tokens, or of the embedding.
	fingerprints: Vec<Fingerprint>,
	events: mpsc::Sender<Event>,
	/// Makes [`Service::drain`] wait.
	_running: watch::Receiver<()>,
}

/// Takes the engine's events as they come, so that it never waits for a client, and frees its permit at its end. The queue has
/// room for all tokens.
async fn drain_engine(
	mut tokens: mpsc::Receiver<TokenEvent>,
	queue: mpsc::UnboundedSender<TokenEvent>,
	permit: Permit,
) {
	let mut permit = Some(permit);
	while let Some(event) = tokens.recv().await {
		if !matches!(event, TokenEvent::Token { .. }) {
			drop(permit.take());
		}
		// The completion reads the queue as long as this runs.
		let _ = queue.send(event);
	}
}

impl Completion {
	async fn run(
		mut self,
		service: Arc<Service>,
		tokens: mpsc::Receiver<TokenEvent>,
		reservation: Reservation,
		permit: Permit,
	) {
		let started = Instant::now();
		let Limits { stalled, rest, .. } = service.parts.limits;
		let (queue, events) = mpsc::unbounded_channel();
		let time_is_over = async {
			drain_engine(tokens, queue, permit).await;
			tokio::time::sleep(rest).await;
		};
		let (forwarded, is_cut) = tokio::select! {
			forwarded = self.forward(stalled, events, started) => (forwarded, false),
			() = time_is_over => (Ok(self.cancelled()), true),
		};
		let last = match forwarded {
			Ok(Some(finish)) => self.sign(&service, finish, reservation).await,
			// The prompt may have been read. Gateways hang up for good reasons, and the engine, fair to all, bounds what that costs.
			Ok(None) => return reservation.release(),
			Err(error) => {
				reservation.release();
				Event::Error(error)
			},
		};
		metrics::histogram!("gonka_worker_completion_seconds").record(started.elapsed().as_secs_f64());
		// If the connection is gone or was too slow, the gateway finds the receipt by `POST /v1/channel`.
		if !is_cut {
			let _ = tokio::time::timeout(stalled, self.events.send(last)).await;
		}
	}

	/// Hands tokens to the connection. Returns `None` if the gateway hung up before the first token: then nothing is due.
	async fn forward(
		&mut self,
		stalled: Duration,
		mut tokens: mpsc::UnboundedReceiver<TokenEvent>,
		started: Instant,
	) -> Result<Option<FinishReason>, Error> {
		let failed = |message: String| Error { code: ErrorCode::Internal, message };
		let mut first = started;
		loop {
			let event = tokio::select! {
				event = tokens.recv() => event,
				() = self.events.closed() => return Ok(self.cancelled()),
			};
			match event {
				Some(TokenEvent::Token { id, fingerprint, logprobs, .. }) => {
					if self.output.is_empty() {
						first = Instant::now();
						metrics::histogram!("gonka_worker_first_token_seconds").record((first - started).as_secs_f64());
					}
					let (logprob, top_logprobs) = logprobs.map(|all| (all.chosen, all.top)).unzip();
					let event = Event::Token { id, logprob, top_logprobs: top_logprobs.unwrap_or_default() };
					let sent = tokio::time::timeout(stalled, self.events.send(event)).await;
					if !matches!(sent, Ok(Ok(()))) {
						return Ok(self.cancelled());
					}
					self.output.push(id);
					self.fingerprints.push(fingerprint);
				},
				Some(TokenEvent::Embedding { vector, fingerprint }) => {
					let output = embedding::bits(&vector);
					let sent =
						tokio::time::timeout(stalled, self.events.send(Event::Embedding { vector: Vector(vector) }))
							.await;
					if !matches!(sent, Ok(Ok(()))) {
						return Ok(self.cancelled());
					}
					(self.output, self.fingerprints) = (output, vec![fingerprint]);
					// It is whole, whether the gateway hangs up now or not.
					return Ok(Some(FinishReason::Stop));
				},
				Some(TokenEvent::Done { finish_reason, .. }) => {
					if let Some(mean) = first.elapsed().checked_div(self.output.len().saturating_sub(1) as u32) {
						metrics::histogram!("gonka_worker_token_seconds").record(mean.as_secs_f64());
					}
					return match finish_reason {
						EngineFinish::Stop => Ok(Some(FinishReason::Stop)),
						EngineFinish::Length => Ok(Some(FinishReason::Length)),
						EngineFinish::Cancelled => Err(failed("the worker is stopping".into())),
					};
				},
				Some(TokenEvent::Error { message }) => {
					tracing::error!(message, "the engine failed during a completion");
					return Err(failed(message));
				},
				None => return Err(failed("the engine has stopped".into())),
			}
		}
	}

	fn cancelled(&self) -> Option<FinishReason> {
		metrics::counter!("gonka_worker_completions_cancelled_total").increment(1);
		(!self.output.is_empty()).then_some(FinishReason::Cancelled)
	}

	/// Signs the receipt and stores it.
	async fn sign(&mut self, service: &Service, finish: FinishReason, reservation: Reservation) -> Event {
		// An embedding is no token.
		let completion_tokens = (self.output.len() as u32).min(self.signed.envelope.max_tokens);
		// The fee does not overflow: the maximum fee did not, and is at least as large.
		let fee = self.signed.envelope.price.fee(self.prompt_tokens, completion_tokens).unwrap_or(0);
		let receipt = Receipt {
			envelope: self.hash,
			output: output_hash(&self.output),
			fingerprint: fingerprint::root(&self.fingerprints),
			prompt_tokens: self.prompt_tokens,
			completion_tokens,
			finish,
			fee: fee.min(self.signed.envelope.max_fee),
		};
		let payload = signing_payload(domain::RECEIPT, &service.genesis, &receipt);
		let signature = keys::sign(&service.parts.key, &payload);
		let receipt = SignedReceipt { receipt, signature };
		let evidence = StoredEvidence {
			envelope: self.signed.clone(),
			receipt: receipt.clone(),
			body: self.body.to_vec(),
			output: std::mem::take(&mut self.output),
			fingerprints: std::mem::take(&mut self.fingerprints),
		};
		let finished = service.reservations.finish(reservation, self.channel.clone(), self.hash, evidence).await;
		if let Err(error) = finished {
			return Event::Error(error);
		}
		metrics::counter!("gonka_worker_receipts_total").increment(1);
		metrics::counter!("gonka_worker_prompt_tokens_total").increment(self.prompt_tokens.into());
		metrics::counter!("gonka_worker_completion_tokens_total").increment(completion_tokens.into());
		tracing::debug!(
			channel = self.channel.id,
			sequence = self.signed.envelope.sequence,
			prompt_tokens = self.prompt_tokens,
			completion_tokens,
			?finish,
			fee = receipt.receipt.fee,
			"receipt stored"
		);
		Event::Receipt { receipt: Scale(receipt) }
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		server::{permits::Permits, reservations::Reservations},
		store::Store,
	};
	use futures::FutureExt;
	use gonka_engine::{CheckReceiver, CheckRequest, Health, MockConfig, MockEngine, ModelInfo};
	use gonka_primitives::market::{Price, Totals};
	use std::sync::{Mutex, mpsc as std_mpsc};
	use tempfile::TempDir;

	/// The end of waits that only a failed test reaches.
	const PATIENCE: Duration = Duration::from_secs(900);

	/// An engine that works on each request until the test says how that ends.
	struct Working {
		inner: MockEngine,
		ends: Mutex<std_mpsc::Receiver<Result<(), EngineError>>>,
	}

	impl Engine for Working {
		fn info(&self) -> ModelInfo {
			self.inner.info()
		}

		fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
			self.ends.lock().unwrap().recv().unwrap_or(Err(EngineError::Stopped))?;
			self.inner.generate(request)
		}

		fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
			self.inner.check(request)
		}

		fn health(&self) -> Health {
			self.inner.health()
		}
	}

	/// A worker with one permit, and a channel that may have one request on credit.
	struct Setup {
		engine: RegisteredEngine,
		end: std_mpsc::Sender<Result<(), EngineError>>,
		permits: Permits,
		reservations: Reservations,
		_directory: TempDir,
	}

	impl Setup {
		fn new(unpaid: Duration) -> Self {
			let directory = tempfile::tempdir().unwrap();
			let store = Store::open(&directory.path().join("worker.redb"), &[0; 32], &[1; 32]).unwrap();
			let (end, ends) = std_mpsc::channel();
			let engine = Arc::new(Working { inner: MockEngine::new(MockConfig::default()), ends: Mutex::new(ends) });
			Self {
				engine: RegisteredEngine { engine, context_length: 100 },
				end,
				permits: Permits::new(1),
				reservations: Reservations::new(store, unpaid),
				_directory: directory,
			}
		}

		async fn reserve(&self, sequence: u64) -> Result<Reservation, ErrorCode> {
			let (id, settled, price) = (1, Totals::default(), Price { input: 1, output: 1 });
			let (developer, host, gateway) = ([2; 32], [1; 32], [3; 32]);
			let channel = ChannelView { id, developer, host, gateway, deposit: 1_000, settled, closes: None };
			let envelope = Envelope {
				channel: id,
				model: 3,
				sequence,
				body: [0; 32],
				seed: 0,
				price,
				max_tokens: 16,
				max_fee: 17,
				expires: 0,
			};
			self.reservations.reserve(channel, &envelope, 1).await.map_err(|rejection| rejection.0.code)
		}

		/// Starts a completion. Returns whether the engine took it.
		async fn generate(&self, reservation: Reservation) -> bool {
			let Ok(permit) = self.permits.take([2; 32]) else { return false };
			let request = GenerateRequest { prompt: vec![97], ..Default::default() };
			self.engine.generate(request, permit, reservation).await.is_ok()
		}
	}

	#[tokio::test]
	async fn work_holds_its_permit_to_its_end_and_its_credit_longer_if_the_client_hangs_up() {
		let setup = Setup::new(PATIENCE);
		let mut starting = Box::pin(setup.generate(setup.reserve(1).await.unwrap()));
		assert!(starting.as_mut().now_or_never().is_none());
		// The client hangs up.
		drop(starting);
		assert_eq!(setup.permits.taken(), 1, "the work goes on");
		assert_eq!(setup.reserve(2).await.err(), Some(ErrorCode::Unacknowledged));
		setup.end.send(Ok(())).unwrap();
		assert!(setup.permits.free.acquire().await.is_ok());
		assert_eq!(setup.reserve(2).await.err(), Some(ErrorCode::Unacknowledged));
	}

	#[tokio::test]
	async fn a_request_that_is_rejected_after_work_stays_on_credit_for_a_while() {
		let refused = async |unpaid: Duration, error: EngineError| {
			let setup = Setup::new(unpaid);
			setup.end.send(Err(error)).unwrap();
			assert!(!setup.generate(setup.reserve(1).await.unwrap()).await);
			assert_eq!(setup.permits.taken(), 0);
			setup
		};
		let bad_grammar = || EngineError::InvalidRequest("a bad grammar".into());
		let setup = refused(PATIENCE, bad_grammar()).await;
		assert_eq!(setup.reserve(2).await.err(), Some(ErrorCode::Unacknowledged));
		let setup = refused(PATIENCE, EngineError::Busy { waiting: 1 }).await;
		assert!(setup.reserve(2).await.is_ok(), "it is not the request's fault");
		let setup = refused(Duration::ZERO, bad_grammar()).await;
		let free = async {
			while setup.reserve(2).await.is_err() {
				tokio::time::sleep(Duration::from_millis(10)).await;
			}
		};
		assert!(tokio::time::timeout(PATIENCE, free).await.is_ok());
	}
}
