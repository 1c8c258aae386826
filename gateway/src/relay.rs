//! One answer, from as many hosts as it takes.
//!
//! A host that fails before its first token is replaced silently. After that the next host gets the token ids that
//! were delivered and goes on after them: the client sees neither an error nor a repeated token.

use crate::{
	gateway::Gateway,
	ledger::{Ask, AskError},
	openai::{errors::ApiError, params::Sampling},
	receipts::Seen,
	router::{NoRoute, Route},
	worker_client::{CallError, EventStream},
};
use bytes::Bytes;
use futures::FutureExt;
use gonka_client::wire::{ErrorCode, Event, InferenceRequest, Input, Scale};
use gonka_primitives::{
	AccountId, Balance, Hash,
	market::{FinishReason, Receipt, SignedReceipt, body_hash},
	views::ModelView,
};
use std::{
	collections::HashSet,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{
	sync::mpsc,
	time::{sleep, timeout},
};

/// Blocks within which a host must have started.
const EXPIRY: u32 = 50;
/// How long a request waits for a place while all hosts are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two rounds over all hosts; shorter when a place becomes free.
const ROUND: Duration = Duration::from_millis(250);
/// Rounds over all hosts that failed for other reasons than being busy.
const MAX_ROUNDS: u32 = 3;

/// What is to be answered.
#[derive(Clone, Debug)]
pub struct Job {
	/// The model on chain.
	pub model: Arc<ModelView>,
	/// The prompt.
	pub input: Input,
	/// Most tokens the prompt can have.
	pub prompt_bound: u32,
	/// How tokens are drawn.
	pub sampling: Sampling,
	/// Most completion tokens.
	pub max_tokens: u32,
	/// Whether `max_tokens` is the gateway's own choice, so that it may be lowered.
	pub flexible: bool,
}

/// A piece of an answer. Any number of texts, then one of the others.
#[derive(Clone, Debug)]
pub enum Piece {
	/// A token, with the text that became certain with it (perhaps none).
	Text(String),
	/// The answer is complete and paid for.
	Done(Summary),
	/// It cannot be given.
	Failed(ApiError),
}

/// What is known at the end.
#[derive(Clone, Debug)]
pub struct Summary {
	/// Why it ended.
	pub finish: FinishReason,
	/// Tokens of the prompt.
	pub prompt_tokens: u32,
	/// Tokens made, by all hosts.
	pub completion_tokens: u32,
	/// What it cost, in base units.
	pub fee: Balance,
	/// The host that ended it.
	pub host: AccountId,
}

/// How an attempt ended.
enum Outcome {
	Done(Receipt),
	/// The host failed; it may have delivered tokens.
	Failed(Failure),
	/// The client is gone.
	Gone,
}

#[derive(Clone, Debug)]
enum Failure {
	Busy,
	Stale,
	ContextTooLong(String),
	BadRequest(String),
	Funds,
	Silent(Duration),
	Broken(String),
	Gateway(String),
}

/// Starts to answer. The pieces come as they are made; dropping the receiver cancels.
pub fn start(gateway: Arc<Gateway>, job: Job) -> mpsc::UnboundedReceiver<Piece> {
	// Unbounded, so that a slow client never holds a worker up; `max_tokens` bounds it.
	let (sender, receiver) = mpsc::unbounded_channel();
	tokio::spawn(async move {
		let started = Instant::now();
		let limit = gateway.options.timeouts.request;
		let mut relay = Relay { gateway, job, client: sender, delivered: Vec::new(), started };
		let last = match timeout(limit, relay.run()).await {
			Ok(Some(Ok(summary))) => Piece::Done(summary),
			Ok(Some(Err(error))) => Piece::Failed(error),
			Ok(None) => return,
			Err(_) => {
				let message = format!("The answer was not complete after {} s.", limit.as_secs());
				Piece::Failed(ApiError::timeout(message))
			},
		};
		let _ = relay.client.send(last);
	});
	receiver
}

struct Relay {
	gateway: Arc<Gateway>,
	job: Job,
	client: mpsc::UnboundedSender<Piece>,
	/// Token ids the client has.
	delivered: Vec<u32>,
	started: Instant,
}

/// Tells the books that reading has ended, however it ends: also when the task is dropped at a time limit.
struct Reading {
	gateway: Arc<Gateway>,
	channel: u64,
	hash: Hash,
	seen: Option<Seen>,
}

impl Drop for Reading {
	fn drop(&mut self) {
		if let Some(seen) = self.seen.take() {
			self.gateway.ledger.hang_up(self.channel, self.hash, seen);
		}
	}
}

impl Relay {
	/// `None` if the client is gone.
	async fn run(&mut self) -> Option<Result<Summary, ApiError>> {
		let mut tried = HashSet::new();
		let (mut rounds, mut last, mut waiting_since) = (0u32, None, Instant::now());
		loop {
			if self.client.is_closed() {
				return None;
			}
			let made = self.delivered.len();
			let left = self.job.max_tokens.saturating_sub(made as u32);
			if left == 0 {
				// The host was lost between its last token and its receipt: nothing is missing, nothing is paid.
				return Some(Ok(self.summary(FinishReason::Length, None, AccountId::default())));
			}
			let route = match self.route(left, &tried) {
				Ok(route) => route,
				Err(reason) => {
					match self.another_round(reason, &last, &mut rounds, waiting_since).await {
						Ok(()) => tried.clear(),
						Err(error) => return Some(Err(error)),
					}
					continue;
				},
			};
			let host = route.host.account;
			match self.attempt(&route, left).await {
				Outcome::Done(receipt) => {
					self.gateway.router.succeeded(&host);
					return Some(Ok(self.summary(receipt.finish, Some(&receipt), host)));
				},
				Outcome::Gone => return None,
				Outcome::Failed(Failure::ContextTooLong(_)) if self.job.flexible && left > 16 => {
					self.job.max_tokens = (left / 4).saturating_add(made as u32);
				},
				Outcome::Failed(Failure::Gateway(message)) => return Some(Err(ApiError::internal(message))),
				Outcome::Failed(failure) => {
					if self.delivered.len() > made {
						// Whatever it is now, it is progress: hosts tried before may have another chance.
						(rounds, waiting_since) = (0, Instant::now());
						tried.clear();
					}
					tried.insert(host);
					self.note(&host, &failure);
					last = Some(failure);
				},
			}
		}
	}

	fn route(&self, left: u32, tried: &HashSet<AccountId>) -> Result<Route, NoRoute> {
		let snapshot = self.gateway.snapshots.load();
		let max_fee = self.max_fee(&self.gateway.price(&snapshot, &self.job.model), left);
		self.gateway.router.pick(&snapshot, &self.gateway.ledger, self.job.model.id, max_fee, tried)
	}

	fn max_fee(&self, price: &gonka_primitives::market::Price, left: u32) -> Balance {
		price.fee(self.prompt_bound(), left).unwrap_or(Balance::MAX)
	}

	fn prompt_bound(&self) -> u32 {
		let bound = self.job.prompt_bound.saturating_add(self.delivered.len() as u32);
		bound.min(self.job.model.context_length)
	}

	/// Waits before the hosts are tried again; the error if there is no point in it.
	async fn another_round(
		&self,
		reason: NoRoute,
		last: &Option<Failure>,
		rounds: &mut u32,
		waiting_since: Instant,
	) -> Result<(), ApiError> {
		let funds = || {
			let message = "No channel holds enough for this request: fund the gateway's account or raise its spending \
			               limit.";
			ApiError::no_funds(message)
		};
		let patient = waiting_since.elapsed() < PATIENCE.min(self.gateway.options.timeouts.first_token);
		let again = match last {
			None | Some(Failure::Funds) if reason == NoRoute::NoFunds => {
				if self.gateway.shortage().is_some() {
					return Err(funds());
				}
				// The account can pay: the channel is filled within a block or two.
				let snapshot = self.gateway.snapshots.load();
				let left = self.job.max_tokens.saturating_sub(self.delivered.len() as u32);
				let fee = self.max_fee(&self.gateway.price(&snapshot, &self.job.model), left);
				self.gateway.want(&snapshot, self.job.model.id, fee);
				if !patient {
					return Err(funds());
				}
				true
			},
			None => return Err(self.gateway.no_host(&self.job.model)),
			Some(Failure::Busy) => patient,
			Some(Failure::ContextTooLong(message)) => return Err(ApiError::context_length(message)),
			Some(Failure::BadRequest(message)) => return Err(ApiError::invalid(message)),
			Some(_) => *rounds < MAX_ROUNDS && patient,
		};
		*rounds = rounds.saturating_add(1);
		if again {
			let pause = ROUND.mul_f64(0.5 + fastrand::f64());
			tokio::select! {
				() = sleep(pause) => {},
				() = self.gateway.freed.notified() => {},
				() = self.client.closed() => {},
			}
			return Ok(());
		}
		Err(match last {
			Some(Failure::Busy) => ApiError::busy(),
			Some(Failure::Funds) => funds(),
			Some(Failure::Silent(limit)) => {
				ApiError::timeout(format!("The last host sent nothing for {} s.", limit.as_secs()))
			},
			Some(Failure::Broken(message)) => ApiError::bad_worker(format!("The last host failed: {message}")),
			_ => self.gateway.no_host(&self.job.model),
		})
	}

	fn note(&self, host: &AccountId, failure: &Failure) {
		let when = if self.delivered.is_empty() { "before" } else { "during" };
		self.gateway.metrics.failovers.with_label_values(&[when]).inc();
		tracing::info!(host = hex::encode(host), ?failure, delivered = self.delivered.len(), "trying another host");
		if matches!(failure, Failure::Silent(_) | Failure::Broken(_)) {
			self.gateway.router.failed(host);
		}
	}

	fn summary(&self, finish: FinishReason, receipt: Option<&Receipt>, host: AccountId) -> Summary {
		let completion_tokens = self.delivered.len() as u32;
		// A host that goes on after others reads what they made as part of its prompt.
		let before = receipt.map_or(0, |receipt| completion_tokens.saturating_sub(receipt.completion_tokens));
		let prompt_tokens = receipt.map_or(0, |receipt| receipt.prompt_tokens.saturating_sub(before));
		let fee = receipt.map_or(0, |receipt| receipt.fee);
		Summary { finish, prompt_tokens, completion_tokens, fee, host }
	}

	async fn attempt(&mut self, route: &Route, left: u32) -> Outcome {
		let gateway = self.gateway.clone();
		let snapshot = gateway.snapshots.load();
		let price = gateway.price(&snapshot, &self.job.model);
		let sampling = &self.job.sampling;
		let request = InferenceRequest {
			input: self.job.input.clone(),
			delivered: self.delivered.clone(),
			temperature: sampling.temperature,
			top_p: sampling.top_p,
			top_k: sampling.top_k,
			stop: sampling.stop.clone(),
			ignore_eos: sampling.ignore_eos,
		};
		let body = match serde_json::to_vec(&request) {
			Ok(body) => Bytes::from(body),
			Err(error) => return Outcome::Failed(Failure::Gateway(error.to_string())),
		};
		let ask = Ask {
			model: self.job.model.id,
			body: body_hash(&body),
			seed: sampling.seed,
			price,
			max_tokens: left,
			max_fee: self.max_fee(&price, left),
			expires: snapshot.block.saturating_add(EXPIRY),
		};
		let channel = route.channel.id;
		let (hash, envelope) = match gateway.ledger.ask(&route.channel, ask).await {
			Ok(asked) => asked,
			Err(AskError::NotReady) => return Outcome::Failed(Failure::Stale),
			Err(AskError::Funds) => return Outcome::Failed(Failure::Funds),
			Err(AskError::Store(error)) => return Outcome::Failed(Failure::Gateway(error.to_string())),
		};
		let seen = Seen {
			tokens: Vec::new(),
			prompt_bound: self.prompt_bound(),
			context_length: self.job.model.context_length,
			hung_up: false,
		};
		let mut reading = Reading { gateway: gateway.clone(), channel, hash, seen: Some(seen) };
		let first = gateway.options.timeouts.first_token;
		let sent = tokio::select! {
			sent = gateway.workers.inference(&route.host.url, &envelope, body, first) => sent,
			() = self.client.closed() => return Outcome::Gone,
		};
		match sent {
			Ok(stream) => self.read(route, reading, stream).await,
			Err(error) => {
				if matches!(error, CallError::NotSent(_) | CallError::Refused { .. }) {
					// Nothing can be due.
					reading.seen = None;
					if let Err(error) = gateway.ledger.forget(channel, hash).await {
						return Outcome::Failed(Failure::Gateway(error.to_string()));
					}
				}
				Outcome::Failed(self.explain(channel, error))
			},
		}
	}

	fn explain(&self, channel: u64, error: CallError) -> Failure {
		let (code, message) = match error {
			CallError::Silent(limit) => return Failure::Silent(limit),
			CallError::NotSent(message) | CallError::Broken(message) => return Failure::Broken(message),
			CallError::Refused { code, message } => (code, message),
		};
		match code {
			ErrorCode::Busy => Failure::Busy,
			ErrorCode::Unacknowledged => {
				self.gateway.ledger.wake(channel).notify_one();
				Failure::Busy
			},
			ErrorCode::ContextTooLong => Failure::ContextTooLong(message),
			ErrorCode::BadRequest => Failure::BadRequest(message),
			ErrorCode::InsufficientFunds => {
				self.gateway.snapshots.refresh.notify_one();
				Failure::Funds
			},
			ErrorCode::Replayed => {
				// Another gateway with this key, or an older copy of the books: ask where the numbers are.
				self.gateway.ledger.unsync(channel);
				Failure::Stale
			},
			ErrorCode::Expired | ErrorCode::WrongPrice | ErrorCode::UnknownChannel => Failure::Stale,
			ErrorCode::UnknownModel
			| ErrorCode::BadSignature
			| ErrorCode::WrongTotals
			| ErrorCode::NotAHost
			| ErrorCode::NoSuchLeaf
			| ErrorCode::NotAssigned
			| ErrorCode::NoSuchReceipt
			| ErrorCode::Internal
			| ErrorCode::Outdated => Failure::Broken(message),
		}
	}

	async fn read(&mut self, route: &Route, mut reading: Reading, mut stream: EventStream) -> Outcome {
		let timeouts = self.gateway.options.timeouts;
		let mut limit = timeouts.first_token;
		loop {
			let event = tokio::select! {
				biased;
				() = self.client.closed() => {
					drain(&mut stream, &mut reading);
					return Outcome::Gone;
				},
				event = timeout(limit, stream.next()) => event,
			};
			match event {
				Ok(Ok(Some(Event::Token { id, text }))) => {
					if self.delivered.is_empty() {
						self.gateway.metrics.first_token.observe(self.started.elapsed().as_secs_f64());
					}
					if let Some(seen) = &mut reading.seen {
						seen.tokens.push(id);
					}
					self.delivered.push(id);
					let _ = self.client.send(Piece::Text(text));
					limit = timeouts.token;
				},
				Ok(Ok(Some(Event::Receipt { receipt: Scale(receipt) }))) => {
					return self.settle(route, reading, receipt).await;
				},
				Ok(Ok(Some(Event::Error(error)))) => {
					// "Nothing is due."
					reading.seen = None;
					if let Err(error) = self.gateway.ledger.forget(reading.channel, reading.hash).await {
						return Outcome::Failed(Failure::Gateway(error.to_string()));
					}
					let error = CallError::Refused { code: error.code, message: error.message };
					return Outcome::Failed(self.explain(reading.channel, error));
				},
				Ok(Ok(None)) => {
					return Outcome::Failed(Failure::Broken("the answer ended without a receipt".to_owned()));
				},
				Ok(Err(error)) => return Outcome::Failed(Failure::Broken(error.to_string())),
				Err(_) => return Outcome::Failed(Failure::Silent(limit)),
			}
		}
	}

	async fn settle(&self, route: &Route, mut reading: Reading, signed: SignedReceipt) -> Outcome {
		let Some(seen) = reading.seen.take() else { return Outcome::Failed(Failure::Stale) };
		let receipt = signed.receipt.clone();
		let ledger = &self.gateway.ledger;
		match ledger.receive(reading.channel, reading.hash, signed, &route.host.worker, &seen).await {
			Ok(Ok(())) => Outcome::Done(receipt),
			Ok(Err(reason)) => {
				self.gateway.refuse(&route.host.account, &reading.hash, &reason.to_string());
				Outcome::Failed(Failure::Broken(format!("its receipt is wrong: {reason}")))
			},
			Err(error) => Outcome::Failed(Failure::Gateway(error.to_string())),
		}
	}
}

/// Counts the tokens that have already arrived, so that the receipt can be compared with them.
fn drain(stream: &mut EventStream, reading: &mut Reading) {
	while let Some(Ok(Some(Event::Token { id, .. }))) = stream.next().now_or_never() {
		if let Some(seen) = &mut reading.seen {
			seen.tokens.push(id);
		}
	}
}
