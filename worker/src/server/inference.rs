//! A request's way: envelope → checks, cheapest first → reservation → tokens → receipt on disk → receipt sent.

use super::{
	Refusal, Service,
	ledger::Reservation,
	vouchers::{check_signature, fresh, known_channel, parse},
};
use crate::{
	question::question,
	store::evidence::{self, StoredEvidence},
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
	wire::{ENVELOPE_HEADER, Error, ErrorCode, Event, InferenceRequest, Scale, from_hex},
};
use gonka_engine::{EngineError, GenerateRequest, TokenEvent};
use gonka_primitives::{
	Hash,
	fingerprint::{self, Fingerprint},
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, Receipt, SignedEnvelope, SignedReceipt, body_hash, output_hash},
	tape::tape_key,
	views::ChannelView,
};
use std::{
	convert::Infallible,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Events that wait for the connection before the answer waits.
const EVENTS: usize = 64;
/// Between comments that keep proxies from closing a silent stream.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// `POST /v1/inference`.
pub async fn inference(
	State(service): State<Arc<Service>>,
	headers: HeaderMap,
	body: Body,
) -> Result<Response, Refusal> {
	service.is_new_enough()?;
	let signed = read_envelope(&headers)?;
	let (channel, hash, context) = check_envelope(&service, &signed).await?;
	let body = read_body(&service, body, &signed.envelope).await?;
	let request: InferenceRequest = parse(&body)?;
	let place = service.places.clone().try_acquire_owned();
	let place = place.map_err(|_| Refusal::new(ErrorCode::Busy, "all places are taken: try later or elsewhere"))?;
	check_space(&service)?;
	let generate = read_prompt(&service, request, &signed.envelope, hash).await?;
	check_size(&service, &generate, &signed.envelope, context)?;
	let reservation = reserve(&service, channel.clone(), &signed.envelope).await?;
	let prompt_tokens = generate.prompt.len() as u32;
	let tokens = service.engine.generate(generate).map_err(refuse)?;
	let (events, connection) = mpsc::channel(EVENTS);
	let (output, fingerprints) = (Vec::new(), Vec::new());
	let answer = Answer { channel, signed, hash, body, prompt_tokens, output, fingerprints, events };
	tokio::spawn(answer.run(service, tokens, reservation, place));
	Ok(respond(connection))
}

fn read_envelope(headers: &HeaderMap) -> Result<SignedEnvelope, Refusal> {
	let bad = |why: String| Refusal::new(ErrorCode::BadRequest, format!("header {ENVELOPE_HEADER}: {why}"));
	let header = headers.get(ENVELOPE_HEADER).ok_or_else(|| bad("missing".into()))?;
	let text = header.to_str().map_err(|_| bad("not hex".into()))?;
	from_hex(text).map_err(bad)
}

/// Everything that can be said without the body. Returns the channel, the envelope's hash and the registry's context
/// length, in tokens.
async fn check_envelope(service: &Service, signed: &SignedEnvelope) -> Result<(ChannelView, Hash, usize), Refusal> {
	let envelope = &signed.envelope;
	let channel = known_channel(service, envelope.channel).await?;
	let hash = envelope.hash(&service.genesis);
	check_signature(&signed.signature, &hash, &channel)?;
	if channel.closes.is_some() {
		return Err(Refusal::new(ErrorCode::UnknownChannel, format!("channel {} is closing", channel.id)));
	}
	let Some(snapshot) = service.follower.snapshot() else {
		return Err(Refusal::new(ErrorCode::Busy, "the worker has not seen the chain yet"));
	};
	let model = service.registered(&snapshot.models).filter(|model| model.id == envelope.model);
	let Some(model) = model else {
		let message = format!("this worker does not serve model {}; it serves {}", envelope.model, service.model);
		return Err(Refusal::new(ErrorCode::UnknownModel, message));
	};
	let latest = snapshot.block.saturating_add(service.limits.expiry);
	if envelope.expires < snapshot.block || envelope.expires > latest {
		let message = format!(
			"the envelope expires at block {}; this worker sees block {} and takes expiries up to {latest}",
			envelope.expires, snapshot.block
		);
		return Err(Refusal::new(ErrorCode::Expired, message));
	}
	if !snapshot.is_price(model.id, &envelope.price) {
		let now = snapshot.price(model.id).unwrap_or_default();
		let message = format!(
			"the price is {} base units per prompt token and {} per completion token, the envelope says {} and {}",
			now.input, now.output, envelope.price.input, envelope.price.output
		);
		return Err(Refusal::new(ErrorCode::WrongPrice, message));
	}
	Ok((channel, hash, model.context_length as usize))
}

async fn read_body(service: &Service, body: Body, envelope: &Envelope) -> Result<bytes::Bytes, Refusal> {
	let limit = service.limits.body;
	let body = axum::body::to_bytes(body, limit).await.map_err(|error| {
		Refusal::new(ErrorCode::BadRequest, format!("the body cannot be read, or has over {limit} bytes: {error}"))
	})?;
	if body_hash(&body) == envelope.body {
		Ok(body)
	} else {
		Err(Refusal::new(ErrorCode::BadRequest, "the body's hash is not the envelope's"))
	}
}

async fn read_prompt(
	service: &Arc<Service>,
	request: InferenceRequest,
	envelope: &Envelope,
	hash: Hash,
) -> Result<GenerateRequest, Refusal> {
	let (engine, envelope) = (service.engine.clone(), envelope.clone());
	let key = tape_key(&hash, service.follower.host());
	let read = move || question(&*engine, request, &envelope, key);
	tokio::task::spawn_blocking(read).await.map_err(Refusal::internal)?.map_err(refuse)
}

fn check_size(
	service: &Service,
	generate: &GenerateRequest,
	envelope: &Envelope,
	context: usize,
) -> Result<(), Refusal> {
	let mut model = service.engine.info();
	model.context_length = model.context_length.min(context);
	generate.check(&model).map_err(refuse)?;
	let needed = envelope.price.fee(generate.prompt.len() as u32, envelope.max_tokens);
	if needed.is_some_and(|needed| needed <= envelope.max_fee) {
		return Ok(());
	}
	let message = format!(
		"{} prompt tokens and up to {} more cost up to {}, but max_fee is {}",
		generate.prompt.len(),
		envelope.max_tokens,
		needed.map_or("more than there is".into(), |needed| needed.to_string()),
		envelope.max_fee
	);
	Err(Refusal::new(ErrorCode::BadRequest, message))
}

async fn reserve(service: &Service, channel: ChannelView, envelope: &Envelope) -> Result<Reservation, Refusal> {
	let credit = service.limits.credit;
	match service.ledger.admit(channel.clone(), envelope, credit).await {
		// The deposit may have been topped up in this very block.
		Err(Refusal(error)) if error.code == ErrorCode::InsufficientFunds => {
			let known = channel.deposit;
			let channel = fresh(service, channel).await?;
			if channel.deposit == known {
				return Err(Refusal(error));
			}
			service.ledger.admit(channel, envelope, credit).await
		},
		other => other,
	}
}

fn refuse(error: EngineError) -> Refusal {
	let code = match &error {
		EngineError::Busy { .. } => ErrorCode::Busy,
		EngineError::ContextTooLong { .. } => ErrorCode::ContextTooLong,
		EngineError::InvalidRequest(_) | EngineError::Template(_) | EngineError::Unsupported(_) => {
			ErrorCode::BadRequest
		},
		EngineError::Model(_) | EngineError::Compute(_) | EngineError::Stopped => return Refusal::internal(error),
	};
	Refusal::new(code, error.to_string())
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

/// Whether there is room for what checkers may ask for.
fn check_space(service: &Service) -> Result<(), Refusal> {
	let kept = service.store.read(evidence::bytes).map_err(Refusal::internal)?;
	if kept < service.limits.evidence {
		return Ok(());
	}
	let message = format!("{kept} bytes are kept for checkers, which is all that this worker may use: try elsewhere");
	Err(Refusal::new(ErrorCode::Busy, message))
}

/// An answer being made. It goes on without its connection until its receipt is on disk.
struct Answer {
	channel: ChannelView,
	signed: SignedEnvelope,
	hash: Hash,
	body: bytes::Bytes,
	prompt_tokens: u32,
	/// Tokens handed to the connection.
	output: Vec<u32>,
	/// One for each of them.
	fingerprints: Vec<Fingerprint>,
	events: mpsc::Sender<Event>,
}

impl Answer {
	async fn run(
		mut self,
		service: Arc<Service>,
		tokens: mpsc::Receiver<TokenEvent>,
		reservation: Reservation,
		place: OwnedSemaphorePermit,
	) {
		let started = Instant::now();
		let last = match self.forward(&service, tokens, started).await {
			Ok(Some(finish)) => self.sign(&service, finish, reservation).await,
			Ok(None) => return,
			Err(error) => Event::Error(error),
		};
		metrics::histogram!("gonka_worker_answer_seconds").record(started.elapsed().as_secs_f64());
		drop(place);
		// The connection may be gone; the receipt waits for the gateway's question about the channel.
		let _ = tokio::time::timeout(service.limits.stalled, self.events.send(last)).await;
	}

	/// Hands tokens to the connection. `None` if the gateway hung up before the first: then nothing is due.
	async fn forward(
		&mut self,
		service: &Service,
		mut tokens: mpsc::Receiver<TokenEvent>,
		started: Instant,
	) -> Result<Option<FinishReason>, Error> {
		let broken = |message: String| Error { code: ErrorCode::Internal, message };
		loop {
			let event = tokio::select! {
				event = tokens.recv() => event,
				() = self.events.closed() => return Ok(self.cancelled()),
			};
			match event {
				Some(TokenEvent::Token { id, text, fingerprint }) => {
					if self.output.is_empty() {
						metrics::histogram!("gonka_worker_first_token_seconds").record(started.elapsed().as_secs_f64());
					}
					let sent = self.events.send(Event::Token { id, text });
					let sent = tokio::time::timeout(service.limits.stalled, sent).await;
					if !matches!(sent, Ok(Ok(()))) {
						return Ok(self.cancelled());
					}
					self.output.push(id);
					self.fingerprints.push(fingerprint);
				},
				Some(TokenEvent::Done { finish_reason, .. }) => match finish_reason {
					gonka_engine::FinishReason::Stop => return Ok(Some(FinishReason::Stop)),
					gonka_engine::FinishReason::Length => return Ok(Some(FinishReason::Length)),
					gonka_engine::FinishReason::Cancelled => return Err(broken("the worker is stopping".into())),
				},
				Some(TokenEvent::Error { message }) => {
					tracing::error!(message, "the engine broke an answer off");
					return Err(broken(message));
				},
				None => return Err(broken("the engine has stopped".into())),
			}
		}
	}

	fn cancelled(&self) -> Option<FinishReason> {
		metrics::counter!("gonka_worker_cancelled_total").increment(1);
		(!self.output.is_empty()).then_some(FinishReason::Cancelled)
	}

	/// Signs the receipt and puts it on disk.
	async fn sign(&mut self, service: &Service, finish: FinishReason, reservation: Reservation) -> Event {
		let completion_tokens = self.output.len() as u32;
		// It fits: the largest fee did, and is not smaller.
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
		let signature = keys::sign(&service.key, &signing_payload(domain::RECEIPT, &service.genesis, &receipt));
		let receipt = SignedReceipt { receipt, signature };
		let evidence = StoredEvidence {
			envelope: self.signed.clone(),
			receipt: receipt.clone(),
			body: self.body.to_vec(),
			output: std::mem::take(&mut self.output),
			fingerprints: std::mem::take(&mut self.fingerprints),
		};
		if let Err(error) = service.ledger.finish(reservation, self.channel.clone(), self.hash, evidence).await {
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
			"receipt"
		);
		Event::Receipt { receipt: Scale(receipt) }
	}
}
