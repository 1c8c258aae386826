//! One dispatch: the envelope, the stream of tokens, the receipt.

use super::{Failure, Relay};
use crate::{
	gateway::Gateway,
	ledger::Terms,
	receipts::Seen,
	router::Route,
	worker_client::{CallError, EventStream},
};
use bytes::Bytes;
use futures::FutureExt;
use gonka_client::worker_api::{ErrorCode, Event, Scale};
use gonka_primitives::{
	ChannelId, Hash,
	market::{Receipt, SignedReceipt, body_hash},
};
use std::sync::Arc;
use tokio::time::timeout;
use tracing::Span;

/// Number of blocks within which a host must have started.
const EXPIRY: u32 = 50;

/// An envelope whose response is being read. Dropping it tells the ledger that reading has ended, also when the whole
/// task is dropped at a time limit.
struct Reading {
	gateway: Arc<Gateway>,
	channel: ChannelId,
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

impl Reading {
	fn push(&mut self, id: u32) {
		if let Some(seen) = &mut self.seen {
			seen.tokens.push(id);
		}
	}

	/// Removes the envelope from the ledger: nothing can be due for it.
	async fn forget(mut self) -> Result<(), Failure> {
		self.seen = None;
		Ok(self.gateway.ledger.forget(self.channel, self.hash).await?)
	}
}

impl Relay {
	/// Dispatches the rest of the completion to one host and sends its tokens to the client.
	pub(super) async fn attempt(&mut self, route: &Route) -> Result<Receipt, Failure> {
		let gateway = self.gateway.clone();
		let snapshot = gateway.snapshots.load();
		// It is gone if governance removed it since the host was picked.
		let model = self.model().variant(&route.host).cloned().ok_or(Failure::Stale)?;
		let body = Bytes::from(serde_json::to_vec(&self.prompt.body)?);
		let terms = Terms {
			model: model.id,
			body: body_hash(&body),
			seed: self.prompt.seed,
			price: model.price,
			max_tokens: self.tokens_left(),
			max_fee: self.max_fee(&model.price),
			expires: snapshot.block.saturating_add(EXPIRY),
		};
		let channel = route.channel.id;
		let (hash, envelope) = gateway.ledger.issue(&route.channel, terms).await?;
		Span::current().record("envelope", hex::encode(hash));
		tracing::debug!(channel, url = route.host.url, "dispatching");
		let seen = Seen {
			tokens: Vec::new(),
			prompt_tokens: self.prompt_tokens(),
			context_length: model.context_length,
			stopped: false,
			hung_up: false,
		};
		let reading = Reading { gateway: gateway.clone(), channel, hash, seen: Some(seen) };
		let limit = gateway.options.timeouts.first_token;
		let sent = tokio::select! {
			sent = gateway.workers.inference(&route.host.url, &self.id, &envelope, body, limit) => sent,
			() = self.client.closed() => return Err(Failure::ClientGone),
		};
		match sent {
			Ok(stream) => self.read(route, reading, stream).await,
			Err(error) => {
				if matches!(error, CallError::Unreachable(_) | CallError::Refused { .. }) {
					reading.forget().await?;
				}
				Err(self.explain(channel, error))
			},
		}
	}

	async fn read(&mut self, route: &Route, mut reading: Reading, mut stream: EventStream) -> Result<Receipt, Failure> {
		let timeouts = self.gateway.options.timeouts;
		let mut limit = timeouts.first_token;
		loop {
			let event = tokio::select! {
				biased;
				() = self.client.closed() => {
					drain(&mut stream, &mut reading);
					return Err(Failure::ClientGone);
				},
				event = timeout(limit, stream.next()) => event.map_err(|_| Failure::Silent(limit))?,
			};
			match event.map_err(Failure::Call)?.ok_or(Failure::NoReceipt)? {
				Event::Token { .. } if self.tokens_left() == 0 => return Err(Failure::Call(CallError::TooLong)),
				Event::Token { id, logprob, top_logprobs } => {
					if self.delivered() == 0 {
						self.gateway.metrics.first_token.observe(self.started.elapsed().as_secs_f64());
					}
					if !self.deliver(id, logprob, top_logprobs) {
						return Err(Failure::Token(id));
					}
					reading.push(id);
					limit = timeouts.token;
				},
				Event::Receipt { receipt: Scale(receipt) } => return self.accept(route, reading, receipt).await,
				Event::Error(error) => {
					let channel = reading.channel;
					reading.forget().await?;
					let error = CallError::Refused { code: error.code, message: error.message };
					return Err(self.explain(channel, error));
				},
			}
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

	/// Turns an error of a call into a failure, and has the ledger or the snapshot updated where they caused it.
	fn explain(&self, channel: ChannelId, error: CallError) -> Failure {
		let (code, message) = match error {
			CallError::Silent(limit) => return Failure::Silent(limit),
			CallError::Refused { code, message } => (code, message),
			error => return Failure::Call(error),
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
				// Another gateway uses this key, or the ledger is an old copy: the worker knows the next free number.
				self.gateway.ledger.unsync(channel);
				Failure::Stale
			},
			ErrorCode::Expired | ErrorCode::WrongPrice | ErrorCode::UnknownChannel => Failure::Stale,
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
}

/// Counts the tokens that have already arrived, so that the receipt can be compared with them.
fn drain(stream: &mut EventStream, reading: &mut Reading) {
	while let Some(Ok(Some(Event::Token { id, .. }))) = stream.next().now_or_never() {
		reading.push(id);
	}
}
