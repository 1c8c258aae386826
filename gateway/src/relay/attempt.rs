//! One dispatch: the envelope, the stream of tokens, the receipt.

use super::{Failure, Relay, Sent};
use crate::{
	gateway::Gateway,
	ledger::{End, Terms},
	metering::Tab,
	receipts::Seen,
	router::Route,
	snapshot::Model,
	worker_client::{CallError, EventStream},
};
use bytes::Bytes;
use futures::FutureExt;
use gonka_client::{
	keys,
	request_id::RequestId,
	worker_api::{ErrorCode, Event, Scale, Vector},
};
use gonka_primitives::{
	AccountId, Balance, ChannelId, Hash,
	market::{Receipt, SignedReceipt, body_hash},
};
use gonka_tokenizer::embedding::{bits, is_embedding};
use std::{
	collections::HashSet,
	future::pending,
	pin::pin,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{
	sync::mpsc,
	time::{sleep, timeout},
};
use tracing::{Instrument, Span, field, info_span};

/// Number of blocks within which a host must have started.
const EXPIRY: u32 = 50;

/// An envelope whose response is being read. Dropping it tells the ledger that reading has ended, also when the whole
/// task is dropped at a time limit.
struct Reading {
	gateway: Arc<Gateway>,
	channel: ChannelId,
	hash: Hash,
	seen: Option<Seen>,
	/// Whether the host owes an embedding that it has not sent: a receipt for that is due only if the gateway does not wait.
	owes_embedding: bool,
	/// Whether the host has ended the response.
	has_failed: bool,
	client: mpsc::UnboundedSender<Sent>,
	tab: Arc<Tab>,
	host: AccountId,
	/// When the first token came.
	begun: Option<Instant>,
}

impl Drop for Reading {
	fn drop(&mut self) {
		if let Some(mut seen) = self.seen.take() {
			// Clients leave slow hosts, and time limits end them, but they are none the faster for it.
			if let Some(begun) = self.begun.filter(|_| !self.owes_embedding)
				&& let Some(pace) = begun.elapsed().checked_div(seen.tokens.len() as u32)
			{
				self.gateway.router.paced(&self.host, pace);
			}
			seen.hung_up = !(self.owes_embedding && self.has_failed);
			let end = match (self.client.is_closed(), seen.tokens.is_empty()) {
				(true, _) => End::HungUp(self.tab.clone()),
				// The request's cost has what was delivered.
				(false, false) => End::Charged,
				(false, true) => End::Silent,
			};
			self.gateway.ledger.hang_up(self.channel, self.hash, seen, end);
		}
	}
}

impl Reading {
	fn push(&mut self, id: u32) {
		if let Some(seen) = &mut self.seen {
			seen.tokens.push(id);
		}
	}

	/// Removes the envelope from the ledger: nothing can be due for it.
	fn forget(mut self) -> Result<(), Failure> {
		self.seen = None;
		self.gateway.ledger.forget(self.channel, self.hash)?;
		Ok(())
	}

	/// Does the same for one whose sequence number another gateway used before.
	fn disown(mut self) -> Result<(), Failure> {
		self.seen = None;
		Ok(self.gateway.ledger.disown(self.channel, self.hash)?)
	}
}

/// The rest of a completion, as it is dispatched to one host or two.
pub(super) struct Order {
	gateway: Arc<Gateway>,
	id: RequestId,
	model: Arc<Model>,
	body: Bytes,
	seed: u64,
	prompt_tokens: u32,
	max_tokens: u32,
	key: Arc<str>,
	client: mpsc::UnboundedSender<Sent>,
	tab: Arc<Tab>,
}

/// A response whose first event has come.
struct Opened {
	route: Route,
	reading: Reading,
	stream: EventStream,
	first: Event,
	started: Instant,
	span: Span,
}

/// A host that did not send a first event.
struct Lost {
	host: AccountId,
	span: Span,
	failure: Failure,
}

/// The end of an attempt.
pub(super) struct Attempt {
	/// The host whose result it is.
	pub host: AccountId,
	/// The span of its log lines.
	pub span: Span,
	/// The receipt, or why there is none.
	pub result: Result<Receipt, Failure>,
}

impl Order {
	/// Dispatches to a host and waits for its first event.
	async fn open(self: Arc<Self>, route: Route) -> Result<Opened, Lost> {
		let host = route.host.account;
		let span = info_span!("dispatch", host = keys::ss58(&host), envelope = field::Empty);
		self.dispatch(route).instrument(span.clone()).await.map_err(|failure| Lost { host, span, failure })
	}

	async fn dispatch(&self, route: Route) -> Result<Opened, Failure> {
		let (gateway, started) = (&self.gateway, Instant::now());
		// It is gone if governance removed it since the host was picked.
		let model = self.model.variant(&route.host).ok_or(Failure::Stale)?;
		let terms = Terms {
			model: model.id,
			body: body_hash(&self.body),
			seed: self.seed,
			price: model.price,
			max_tokens: self.max_tokens,
			max_fee: model.price.fee(self.prompt_tokens, self.max_tokens).unwrap_or(Balance::MAX),
			expires: gateway.snapshots.load().block.saturating_add(EXPIRY),
			key: self.key.clone(),
		};
		let channel = route.channel.id;
		let (hash, envelope) = gateway.ledger.issue(&route.channel, terms).await?;
		Span::current().record("envelope", hex::encode(hash));
		tracing::debug!(channel, url = route.host.url, "dispatching");
		let seen = Seen {
			tokens: Vec::new(),
			prompt_tokens: self.prompt_tokens,
			context_length: model.context_length,
			stopped: false,
			hung_up: false,
		};
		let mut reading = Reading {
			gateway: gateway.clone(),
			channel,
			hash,
			seen: Some(seen),
			owes_embedding: self.max_tokens == 0,
			has_failed: false,
			client: self.client.clone(),
			tab: self.tab.clone(),
			host: route.host.account,
			begun: None,
		};
		let limit = gateway.options.timeouts.first_token;
		let sent = gateway.workers.inference(&route.host.url, &self.id, &envelope, self.body.clone(), limit).await;
		let mut stream = match sent {
			Ok(stream) => stream,
			Err(error) => {
				reading.has_failed = true;
				match error {
					CallError::Refused { code: ErrorCode::Replayed, .. } => reading.disown()?,
					// It may be at work, and tokens on their way.
					CallError::Silent(_) | CallError::Broken(_) => {},
					_ => reading.forget()?,
				}
				return Err(explain(gateway, channel, error));
			},
		};
		let first = timeout(limit, stream.next()).await;
		reading.has_failed = true;
		let Some(first) = first.map_err(|_| Failure::Silent(limit))?.map_err(Failure::Call)? else {
			// Nothing arrived, and neither the gateway nor the connection is why.
			reading.forget()?;
			return Err(Failure::NoReceipt);
		};
		reading.has_failed = false;
		if let Event::Error(error) = first {
			reading.forget()?;
			return Err(explain(gateway, channel, CallError::refused(error)));
		}
		gateway.router.note_served(channel);
		Ok(Opened { route, reading, stream, first, started, span: Span::current() })
	}
}

impl Relay {
	/// Dispatches the rest of the completion to one host and sends its tokens to the client. If the first token is late, a second
	/// host gets the same; the one that sends a token first goes on, and the other is cancelled. A host that failed while another
	/// went on is added to `tried`.
	pub(super) async fn attempt(&mut self, route: Route, tried: &mut HashSet<AccountId>) -> Attempt {
		let body = match serde_json::to_vec(&self.prompt.body) {
			Ok(body) => Bytes::from(body),
			Err(error) => {
				return Attempt { host: route.host.account, span: Span::current(), result: Err(error.into()) };
			},
		};
		let order = Arc::new(Order {
			gateway: self.gateway.clone(),
			id: self.id.clone(),
			model: self.model(),
			body,
			seed: self.prompt.seed,
			prompt_tokens: self.prompt_tokens(),
			max_tokens: self.tokens_left(),
			key: self.key.clone(),
			client: self.client.clone(),
			tab: self.tab.clone(),
		});
		let model = order.model.clone();
		match self.first(order, route, tried).await {
			Ok(Opened { route, reading, stream, first, started, span }) => {
				let host = route.host.account;
				self.price = model.variant(&route.host).map_or(self.price, |model| model.price);
				let result = self.read(&route, reading, stream, first, started).instrument(span.clone()).await;
				Attempt { host, span, result }
			},
			Err(Lost { host, span, failure }) => Attempt { host, span, result: Err(failure) },
		}
	}

	/// Waits for the first event of a host, or of a second one that is dispatched to if it is late.
	async fn first(&self, order: Arc<Order>, route: Route, tried: &mut HashSet<AccountId>) -> Result<Opened, Lost> {
		let (host, started) = (route.host.account, Instant::now());
		let gone = |host| Lost { host, span: Span::current(), failure: Failure::ClientGone };
		let mut opening = pin!(order.clone().open(route));
		let late = self.gateway.router.late(&order.model, order.prompt_tokens);
		let second = tokio::select! {
			biased;
			opened = &mut opening => return opened,
			() = self.client.closed() => return Err(gone(host)),
			second = self.second(&host, late, tried) => second,
		};
		tracing::info!(
			late_ms = started.elapsed().as_millis(),
			second = keys::ss58(&second.host.account),
			"the first token is late; dispatching to a second host"
		);
		self.gateway.metrics.hedges.inc();
		let other = second.host.account;
		let mut hedge = pin!(order.clone().open(second));
		let (result, is_hedge) = tokio::select! {
			biased;
			opened = &mut opening => (opened, false),
			opened = &mut hedge => (opened, true),
			() = self.client.closed() => return Err(gone(host)),
		};
		match result {
			Ok(opened) => {
				if is_hedge {
					self.gateway.router.lagged(&host, order.prompt_tokens, started.elapsed());
				}
				Ok(opened)
			},
			// The other one is still at work.
			Err(Lost { host: lost, span, failure }) => {
				span.in_scope(|| self.note_failure(&lost, &failure));
				tried.insert(lost);
				tokio::select! {
					opened = async { if is_hedge { opening.await } else { hedge.await } } => opened,
					() = self.client.closed() => Err(gone(other)),
				}
			},
		}
	}

	/// Picks a second host once the first token is late. Never returns if there is none, or hedging is off.
	async fn second(&self, first: &AccountId, late: Option<Duration>, tried: &HashSet<AccountId>) -> Route {
		if let Some(late) = late.filter(|_| self.gateway.options.hedge) {
			sleep(late).await;
			let mut tried = tried.clone();
			tried.insert(*first);
			if let Ok(route) = self.route(&tried)
				&& self.gateway.router.may_hedge()
			{
				return route;
			}
		}
		pending().await
	}

	async fn read(
		&mut self,
		route: &Route,
		mut reading: Reading,
		mut stream: EventStream,
		first: Event,
		started: Instant,
	) -> Result<Receipt, Failure> {
		let limit = self.gateway.options.timeouts.token;
		let mut event = first;
		reading.has_failed = true;
		loop {
			if reading.begun.is_none() && matches!(event, Event::Token { .. } | Event::Embedding { .. }) {
				reading.begun = Some(Instant::now());
				self.gateway.queue.began();
				self.place = None;
				let model = self.model();
				self.gateway.router.began(&model, &route.host.account, self.need(&model), started.elapsed());
			}
			match event {
				Event::Token { .. } if self.tokens_left() == 0 => {
					self.is_forgotten = true;
					reading.forget()?;
					return Err(Failure::Call(CallError::TooLong));
				},
				Event::Token { id, logprob, top_logprobs } => {
					if self.delivered() == 0 {
						self.gateway.metrics.first_token.observe(self.started.elapsed().as_secs_f64());
					}
					let Some(has_room) = self.deliver(id, logprob, top_logprobs) else {
						// Nothing is due for a token that the request forbids. A host does not know stop texts, so it may go on after one.
						if !self.stopped {
							self.is_forgotten = true;
							reading.forget()?;
						}
						return Err(Failure::Token(id));
					};
					reading.push(id);
					if !has_room {
						return Err(Failure::Unread);
					}
				},
				Event::Embedding { vector: Vector(vector) } => {
					let is_wide = self.prompt.tokenizer.width() == Some(vector.len());
					if self.stopped || !self.prompt.is_embedding() || !is_wide || !is_embedding(&vector) {
						return Err(Failure::Embedding);
					}
					bits(&vector).into_iter().for_each(|bits| reading.push(bits));
					(self.stopped, self.embedding) = (true, Some(vector));
				},
				Event::Receipt { receipt: Scale(receipt) } => {
					let intervals = receipt.receipt.completion_tokens.saturating_sub(1);
					let pace = reading.begun.and_then(|begun| begun.elapsed().checked_div(intervals));
					let receipt = self.accept(route, reading, receipt).await?;
					self.gateway.router.succeeded(&route.host.account, pace);
					return Ok(receipt);
				},
				Event::Error(error) => {
					let channel = reading.channel;
					self.is_forgotten = true;
					reading.forget()?;
					let error = CallError::refused(error);
					return Err(explain(&self.gateway, channel, error));
				},
			}
			let next = tokio::select! {
				biased;
				() = self.client.closed() => {
					drain(&mut stream, &mut reading);
					if reading.begun.is_some() {
						self.gateway.router.succeeded(&route.host.account, None);
					}
					reading.has_failed = false;
					return Err(Failure::ClientGone);
				},
				next = timeout(limit, stream.next()) => next.map_err(|_| Failure::Silent(limit))?,
			};
			event = next.map_err(Failure::Call)?.ok_or(Failure::NoReceipt)?;
		}
	}

	async fn accept(&self, route: &Route, mut reading: Reading, signed: SignedReceipt) -> Result<Receipt, Failure> {
		let seen = reading.seen.take().ok_or(Failure::Stale)?;
		let seen = Seen { stopped: self.stopped, ..seen };
		let receipt = signed.receipt.clone();
		let ledger = &self.gateway.ledger;
		let checked = ledger.receive(reading.channel, reading.hash, signed, &route.host.worker, &seen).await?;
		if let Err(reason) = checked {
			self.gateway.reject_receipt(&route.host.account, reason);
		}
		checked?;
		Ok(receipt)
	}
}

/// Counts the tokens that have already arrived, so that the receipt can be compared with them.
fn drain(stream: &mut EventStream, reading: &mut Reading) {
	while let Some(Ok(Some(Event::Token { id, .. }))) = stream.next().now_or_never() {
		reading.push(id);
	}
}

/// Turns an error of a call into a failure, and has the ledger or the snapshot updated where they caused it.
fn explain(gateway: &Gateway, channel: ChannelId, error: CallError) -> Failure {
	let (code, message) = match error {
		CallError::Silent(limit) => return Failure::Silent(limit),
		CallError::Refused { code, message } => (code, message),
		error => return Failure::Call(error),
	};
	match code {
		ErrorCode::Busy => Failure::Busy,
		ErrorCode::Unacknowledged => {
			if gateway.ledger.open_items(channel) == (0, 0) {
				gateway.router.note_refused(channel);
			}
			gateway.ledger.wake(channel).notify_one();
			Failure::Busy
		},
		ErrorCode::ContextTooLong => Failure::ContextTooLong(message),
		ErrorCode::BadRequest => Failure::BadRequest(message),
		ErrorCode::Unsupported => Failure::Unsupported(message),
		ErrorCode::InsufficientFunds => {
			gateway.snapshots.refresh.notify_one();
			Failure::Funds
		},
		ErrorCode::Replayed | ErrorCode::Expired | ErrorCode::WrongPrice | ErrorCode::UnknownChannel => Failure::Stale,
		ErrorCode::UnknownModel
		| ErrorCode::UnknownTokenizer
		| ErrorCode::BadSignature
		| ErrorCode::WrongTotals
		| ErrorCode::NotAHost
		| ErrorCode::NoSuchLeaf
		| ErrorCode::NotAssigned
		| ErrorCode::NoSuchReceipt
		| ErrorCode::Internal
		| ErrorCode::Outdated => Failure::Call(CallError::Refused { code, message }),
	}
}
