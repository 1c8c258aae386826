//! Produces one completion, from as many hosts as it takes.
//!
//! A host that fails before its first token is replaced silently. A host that fails later is replaced by one that gets
//! the token ids delivered so far and continues after them: the client sees neither an error nor a repeated token.

mod attempt;

use crate::{
	bound::{Bound, Form},
	gateway::Gateway,
	ledger::IssueError,
	metering::Tab,
	openai::{
		errors::ApiError,
		reading::Reading,
		request::{MIN_COMPLETION, Prompt},
	},
	queue::Place,
	receipts::ReceiptError,
	room::Backlog,
	router::{Beginnings, Need, NoRoute, Route},
	snapshot::Model,
	store::StoreError,
	worker_client::CallError,
};
use attempt::Attempt;
use gonka_client::{keys, request_id::RequestId};
use gonka_primitives::{
	AccountId, Balance,
	market::{FinishReason, Price, Receipt},
};
use gonka_tokenizer::CompletionText;
use std::{
	collections::{HashMap, HashSet},
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::{
	sync::mpsc,
	time::{sleep, timeout},
};
use tracing::{Instrument, Span};

/// How long a request waits while all hosts are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Average pause after the first round over all hosts. It doubles with each round, and a permit that becomes free ends it early.
const ROUND_PAUSE: Duration = Duration::from_millis(250);
/// Maximum number of doublings, for an average pause of 2 s.
const MAX_DOUBLINGS: u32 = 3;
/// Maximum number of rounds over hosts that fail for other reasons than being busy.
const MAX_ROUNDS: u32 = 3;
/// Number of hosts whose word it takes that a request is wrong. One could be alone with that.
const MAX_REJECTIONS: usize = 2;
/// Number of times that a host may break off a completion: each of them may be paid for the prompt.
const MAX_BREAKS: u32 = 3;

/// A token of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
	/// The token's id.
	pub id: u32,
	/// The text that became certain with it; it may be empty.
	pub text: String,
	/// Its log probability by the host's word, if the request asks for it.
	pub logprob: Option<f32>,
	/// The likeliest tokens in its place, by the host's word.
	pub top_logprobs: Vec<(u32, f32)>,
}

impl Token {
	/// Number of bytes that it takes until it is read.
	pub fn bytes(&self) -> usize {
		let texts = self.text.len().saturating_add(size_of_val(self.top_logprobs.as_slice()));
		size_of::<Sent>().saturating_add(texts)
	}
}

/// A piece of a completion: any number of tokens, then one of the others.
#[derive(Clone, Debug)]
pub enum Piece {
	/// The next token.
	Token(Token),
	/// The completion has ended.
	Done(Summary),
	/// The completion cannot be produced.
	Failed(ApiError),
}

/// A message of a relay.
#[derive(Clone, Debug)]
pub enum Sent {
	/// A piece of the completion.
	Piece(Piece),
	/// A host has broken off, to which so many base units are due. Another one may go on.
	Spent(Balance),
}

/// The facts about a completion that are known at its end.
#[derive(Clone, Debug)]
pub struct Summary {
	/// Why the completion ended.
	pub finish: FinishReason,
	/// The text that was held back until the end.
	pub rest: String,
	/// The stop text that ended it, if one did.
	pub stop_text: Option<String>,
	/// Tokens of the prompt.
	pub prompt_tokens: u32,
	/// Tokens of the completion, from all hosts.
	pub completion_tokens: u32,
	/// The fees of all hosts, in base units.
	pub fee: Balance,
	/// The host that generated the last token.
	pub host: AccountId,
	/// The embedding, if that was wanted.
	pub embedding: Option<Vec<f32>>,
}

/// Why a host did not finish a completion. The texts continue a sentence that begins with the host.
#[derive(Debug, thiserror::Error)]
enum Failure {
	#[error("is busy")]
	Busy,
	#[error("sees another state of the channel or the chain")]
	Stale,
	#[error("has too short a context window: {0}")]
	ContextTooLong(String),
	#[error("rejected the request: {0}")]
	BadRequest(String),
	#[error("cannot do what the request needs: {0}")]
	Unsupported(String),
	#[error("has a channel whose deposit does not cover the request")]
	Funds,
	#[error("sent nothing for {} s", .0.as_secs())]
	Silent(Duration),
	#[error(transparent)]
	Call(CallError),
	#[error("ended the stream without a receipt")]
	NoReceipt,
	#[error(
		"sent token {0}, which the model does not have, the grammar forbids, or which comes after the completion's end"
	)]
	Token(u32),
	#[error("sent an embedding that was not asked for, a second one, or no vector of length 1")]
	Embedding,
	#[error("signed a wrong receipt: {0}")]
	Receipt(#[from] ReceiptError),
	#[error(transparent)]
	Store(#[from] StoreError),
	#[error("cannot get the request: {0}")]
	Encode(#[from] serde_json::Error),
	#[error("is not needed: the client is gone")]
	ClientGone,
	#[error("is not needed: the client reads too slowly")]
	Unread,
}

impl From<IssueError> for Failure {
	fn from(error: IssueError) -> Self {
		match error {
			IssueError::NotInStep => Self::Stale,
			IssueError::Funds => Self::Funds,
			IssueError::Store(error) => Self::Store(error),
		}
	}
}

/// Starts to produce a completion for an API key. Its pieces arrive as they are generated; dropping the receiver cancels. Those that
/// the client has not read have room in the backlog: beyond it, the completion fails.
pub fn start(
	gateway: Arc<Gateway>,
	id: RequestId,
	prompt: Prompt,
	reading: Arc<Reading>,
	key: Arc<str>,
	tab: Arc<Tab>,
	backlog: Arc<Backlog>,
) -> mpsc::UnboundedReceiver<Sent> {
	// The backlog is its bound: a slow client must not hold up a worker, nor others on the connection to it.
	let (client, receiver) = mpsc::unbounded_channel();
	let task = async move {
		let limit = gateway.options.timeouts.request;
		let text = CompletionText::new(prompt.body.stop.clone());
		let beginnings = gateway.router.beginnings(&prompt.model, &prompt.body.prompt);
		let (bound, price) = (prompt.form.as_ref().map(Form::begin), prompt.model.price());
		let (place, stopped, embedding, is_unpaid, started) = (None, false, None, false, Instant::now());
		let mut relay = Relay {
			gateway,
			id,
			prompt,
			reading,
			key,
			tab,
			backlog,
			beginnings,
			place,
			client,
			text,
			bound,
			stopped,
			embedding,
			is_unpaid,
			is_forgotten: false,
			price,
			spent: 0,
			before: 0,
			broken: HashMap::new(),
			rejected: HashSet::new(),
			started,
		};
		let last = match timeout(limit, relay.run()).await {
			Ok(Some(Ok(summary))) => {
				let Summary { finish, completion_tokens, fee, .. } = &summary;
				tracing::debug!(?finish, completion_tokens, fee, "the completion has ended");
				let (last, tokens) = (fee.saturating_sub(relay.spent), completion_tokens.saturating_sub(relay.before));
				if relay.client.send(Sent::Piece(Piece::Done(summary))).is_err() {
					relay.tab.bill(last, tokens);
				}
				return;
			},
			Ok(Some(Err(error))) => Piece::Failed(error),
			Ok(None) => return,
			Err(_) => {
				let message = format!("The completion was not finished after {} s.", limit.as_secs());
				Piece::Failed(ApiError::timeout(message))
			},
		};
		let _ = relay.client.send(Sent::Piece(last));
	};
	tokio::spawn(task.instrument(Span::current()));
	receiver
}

struct Relay {
	gateway: Arc<Gateway>,
	id: RequestId,
	/// The prompt. `body.delivered` grows with each token that the client gets.
	prompt: Prompt,
	reading: Arc<Reading>,
	/// The id of the API key.
	key: Arc<str>,
	tab: Arc<Tab>,
	backlog: Arc<Backlog>,
	/// The beginnings of the prompt.
	beginnings: Beginnings,
	/// The place in the queue while all hosts are busy.
	place: Option<Place>,
	client: mpsc::UnboundedSender<Sent>,
	/// The text of the tokens that were delivered.
	text: CompletionText,
	/// The place of the completion in its grammar, if it has one.
	bound: Option<Bound>,
	/// Whether the last one ends the completion, or the embedding has arrived.
	stopped: bool,
	embedding: Option<Vec<f32>>,
	/// Whether nothing is due to the last host, since its receipt or what it sent was wrong.
	is_unpaid: bool,
	/// Whether nothing is due to the last host, though it sent tokens.
	is_forgotten: bool,
	/// The price of the last host.
	price: Price,
	/// Base units that are due to hosts that did not end the completion, as far as it is known.
	spent: Balance,
	/// Number of tokens that the client had when the last of them broke off.
	before: u32,
	/// Number of times that a host broke off.
	broken: HashMap<AccountId, u32>,
	/// The hosts that rejected the request as it is.
	rejected: HashSet<AccountId>,
	started: Instant,
}

impl Relay {
	/// Returns `None` if the client is gone.
	async fn run(&mut self) -> Option<Result<Summary, ApiError>> {
		let mut tried = HashSet::new();
		let (mut rounds, mut last, mut waiting_since) = (0u32, None, Instant::now());
		let mut last_host = AccountId::default();
		loop {
			if self.client.is_closed() {
				return None;
			}
			let delivered = self.delivered();
			if self.is_finished() {
				// The host was lost between its last token and its receipt: nothing is missing. It may show the receipt later.
				let finish = if self.stopped { FinishReason::Stop } else { FinishReason::Length };
				return Some(self.end(finish, None, last_host));
			}
			let route = match self.route(&tried) {
				Ok(route) => route,
				Err(NoRoute::TooLong(longest)) if self.prompt.is_adjustable && longest > self.prompt_tokens() => {
					self.prompt.max_tokens = longest.saturating_sub(self.prompt.tokens());
					self.rejected.clear();
					continue;
				},
				Err(reason) => {
					let patience = PATIENCE.min(self.gateway.options.timeouts.first_token);
					self.place = self.place.take().or_else(|| self.gateway.queue.enter(&self.key, patience));
					let patient = self.place.is_some() && waiting_since.elapsed() < patience;
					match self.next_round(reason, last.as_ref(), rounds, patient).await {
						Ok(()) => tried = self.given_up(),
						Err(_) if self.shorten(last.as_ref()) => {
							last = None;
							tried = self.given_up();
						},
						Err(error) => return Some(Err(error)),
					}
					rounds = rounds.saturating_add(1);
					continue;
				},
			};
			let Attempt { host, span, result } = self.attempt(route, &mut tried).await;
			last_host = host;
			match result {
				Ok(receipt) => {
					self.rejected.iter().for_each(|host| self.gateway.router.rejected_alone(host));
					return Some(self.end(receipt.finish, Some(&receipt), host));
				},
				Err(Failure::ClientGone) => return None,
				Err(Failure::Unread) => return Some(Err(ApiError::unread())),
				Err(failure @ (Failure::Store(_) | Failure::Encode(_))) => {
					return Some(Err(ApiError::internal(failure.to_string())));
				},
				Err(failure) => {
					self.note_spent(delivered, &failure);
					if self.delivered() > delivered {
						// The host made progress: hosts that were tried before get another chance.
						(rounds, waiting_since) = (0, Instant::now());
						if !self.is_finished() {
							self.resume().await;
						}
						let broken = self.broken.entry(host).or_default();
						*broken = broken.saturating_add(1);
						tried = self.given_up();
					}
					tried.insert(host);
					span.in_scope(|| self.note_failure(&host, &failure));
					let is_rejection = matches!(failure, Failure::ContextTooLong(_) | Failure::BadRequest(_));
					if is_rejection {
						self.rejected.insert(host);
						if self.rejected.len() >= MAX_REJECTIONS {
							if self.shorten(Some(&failure)) {
								last = None;
								tried = self.given_up();
								continue;
							}
							return Some(Err(self.final_error(NoRoute::NoHost, Some(&failure))));
						}
					}
					// A host that could serve the request later counts for more than one that cannot.
					if last.is_none() || !is_rejection && !matches!(failure, Failure::Unsupported(_)) {
						last = Some(failure);
					}
				},
			}
		}
	}

	/// The hosts that are not tried again: they broke off too often, or rejected the request.
	fn given_up(&self) -> HashSet<AccountId> {
		let broken = self.broken.iter().filter(|(_, times)| **times >= MAX_BREAKS).map(|(host, _)| host);
		broken.chain(&self.rejected).copied().collect()
	}

	/// Lowers the maximum number of completion tokens, if that is why hosts reject the request, and the gateway chose it. Returns
	/// whether it did.
	fn shorten(&mut self, last: Option<&Failure>) -> bool {
		let (left, delivered) = (self.tokens_left(), self.delivered());
		let may =
			matches!(last, Some(Failure::ContextTooLong(_))) && self.prompt.is_adjustable && left > MIN_COMPLETION;
		if may {
			self.prompt.max_tokens = (left / 4).saturating_add(delivered);
			self.rejected.clear();
		}
		may
	}

	/// Reads the delivered tokens in the grammar again, as the next host does: one that was asked for the mask of each may give up
	/// sooner.
	async fn resume(&mut self) {
		let Some(form) = self.prompt.form.clone() else { return };
		let delivered = self.prompt.body.delivered.clone();
		let resumed = tokio::task::spawn_blocking(move || form.resume(&delivered)).await;
		if let Ok(Some(bound)) = resumed {
			self.bound = Some(bound);
		}
	}

	/// Notes what is due to a host that failed, and may show a receipt later, after `before` tokens of others.
	fn note_spent(&mut self, before: u32, failure: &Failure) {
		let made = self.delivered().saturating_sub(before);
		self.is_unpaid = std::mem::take(&mut self.is_forgotten) || matches!(failure, Failure::Receipt(_));
		if made > 0 {
			let fee = self.price.fee(self.prompt.tokens().saturating_add(before), made).unwrap_or(Balance::MAX);
			let fee = if self.is_unpaid { 0 } else { fee };
			self.spent = self.spent.saturating_add(fee);
			self.before = self.delivered();
			let _ = self.client.send(Sent::Spent(fee));
		}
	}

	/// Whether the client has all of the completion.
	fn is_finished(&self) -> bool {
		self.stopped || (self.tokens_left() == 0 && !self.prompt.is_embedding())
	}

	/// Number of tokens that the client has.
	fn delivered(&self) -> u32 {
		self.prompt.body.delivered.len() as u32
	}

	/// Maximum number of tokens that are still to be generated.
	fn tokens_left(&self) -> u32 {
		self.prompt.max_tokens.saturating_sub(self.delivered())
	}

	/// Number of tokens that the next host reads: the prompt and what was delivered.
	fn prompt_tokens(&self) -> u32 {
		self.prompt.tokens().saturating_add(self.delivered())
	}

	/// Takes a token for the client. Returns `None` if there can be no such token, and else whether there is room for the next one.
	fn deliver(&mut self, id: u32, mut logprob: Option<f32>, mut top_logprobs: Vec<(u32, f32)>) -> Option<bool> {
		if self.stopped || id as usize >= self.prompt.tokenizer.vocab_size() {
			return None;
		}
		let ends = self.prompt.ends(id);
		if self.bound.as_mut().is_some_and(|bound| !bound.accepts(id, ends)) {
			return None;
		}
		// No more than was asked for.
		logprob = logprob.filter(|_| self.prompt.body.logprobs.is_some());
		top_logprobs.truncate(self.prompt.body.logprobs.map_or(0, usize::from));
		top_logprobs.retain(|(id, _)| (*id as usize) < self.prompt.tokenizer.vocab_size());
		top_logprobs.shrink_to_fit();
		let bytes = if ends { &[] } else { self.prompt.tokenizer.bytes(id) };
		let (mut text, is_stop_text) = self.text.push(bytes);
		if let Some(name) = self.reading.shown.get(&id) {
			text.push_str(name);
		}
		self.stopped = is_stop_text || ends;
		self.prompt.body.delivered.push(id);
		let token = Token { id, text, logprob, top_logprobs };
		let has_room = self.backlog.add(token.bytes());
		let _ = self.client.send(Sent::Piece(Piece::Token(token)));
		Some(has_room)
	}

	/// Maximum fee of the next host, in base units.
	fn max_fee(&self, price: &Price) -> Balance {
		price.fee(self.prompt_tokens(), self.tokens_left()).unwrap_or(Balance::MAX)
	}

	/// The needs of the next host.
	fn need(&self, model: &Model) -> Need<'_> {
		Need {
			prompt: self.prompt_tokens(),
			completion: self.tokens_left(),
			max_fee: self.max_fee(&model.price()),
			beginnings: &self.beginnings,
		}
	}

	fn route(&self, tried: &HashSet<AccountId>) -> Result<Route, NoRoute> {
		let (gateway, snapshot, model) = (&self.gateway, self.gateway.snapshots.load(), self.model());
		gateway.router.pick(&snapshot, &gateway.ledger, &model, self.need(&model), tried)
	}

	/// The model with its prices as of now.
	fn model(&self) -> Arc<Model> {
		let known = &self.prompt.model;
		self.gateway.snapshots.load().models.get(&known.name).unwrap_or(known).clone()
	}

	/// Waits until the hosts should be tried again, or returns the error that ends the request.
	async fn next_round(
		&self,
		reason: NoRoute,
		last: Option<&Failure>,
		rounds: u32,
		patient: bool,
	) -> Result<(), ApiError> {
		let is_worthwhile = match last {
			None | Some(Failure::Funds) if reason == NoRoute::NoFunds => self.demand_funds() && patient,
			None => reason == NoRoute::NotInStep && patient && rounds < MAX_ROUNDS,
			Some(Failure::Busy) => patient,
			Some(Failure::ContextTooLong(_) | Failure::BadRequest(_) | Failure::Unsupported(_)) => false,
			Some(_) => patient && rounds < MAX_ROUNDS,
		};
		if !is_worthwhile {
			return Err(self.final_error(reason, last));
		}
		let pause = ROUND_PAUSE.saturating_mul(1 << rounds.min(MAX_DOUBLINGS));
		tokio::select! {
			() = sleep(pause.mul_f64(0.5 + fastrand::f64())) => {},
			() = self.gateway.freed.notified() => {},
			() = self.client.closed() => {},
		}
		Ok(())
	}

	/// Demands that a channel be topped up for this request. Returns whether the account can pay for that; it takes a
	/// block or two.
	fn demand_funds(&self) -> bool {
		if self.gateway.shortage().is_some() {
			return false;
		}
		let model = self.model();
		self.gateway.demand(&self.gateway.snapshots.load(), &model, self.max_fee(&model.price()));
		true
	}

	fn final_error(&self, reason: NoRoute, last: Option<&Failure>) -> ApiError {
		match last {
			None if reason == NoRoute::NoFunds => no_funds(),
			Some(Failure::Funds) => no_funds(),
			None => match reason {
				NoRoute::TooLong(longest) => self.too_long(longest),
				_ => self.gateway.no_host(&self.prompt.model),
			},
			Some(Failure::Busy) => ApiError::busy(),
			// Whose words follow is said: a host may write anything.
			Some(Failure::ContextTooLong(message)) => ApiError::context_length(format!("A host says: {message}")),
			Some(Failure::BadRequest(message) | Failure::Unsupported(message)) => {
				ApiError::invalid(format!("A host says: {message}"))
			},
			Some(failure @ Failure::Silent(_)) => ApiError::timeout(format!("The last host {failure}.")),
			Some(
				failure @ (Failure::Call(_)
				| Failure::NoReceipt
				| Failure::Token(_)
				| Failure::Embedding
				| Failure::Receipt(_)),
			) => ApiError::bad_worker(format!("The last host {failure}.")),
			_ => self.gateway.no_host(&self.prompt.model),
		}
	}

	fn too_long(&self, longest: u32) -> ApiError {
		ApiError::context_length(format!(
			"The hosts that can be reached serve up to {longest} tokens of prompt and completion together, but the request needs {} for \
			 the prompt and {} for the completion: shorten the prompt, or ask for fewer tokens.",
			self.prompt_tokens(),
			self.tokens_left()
		))
	}

	fn note_failure(&self, host: &AccountId, failure: &Failure) {
		if matches!(failure, Failure::Busy) {
			// It is tried again, with other hosts, until it has room.
			tracing::debug!("the host is busy");
			return;
		}
		let when = if self.delivered() == 0 { "before" } else { "during" };
		self.gateway.metrics.failovers.with_label_values(&[when]).inc();
		tracing::info!(%failure, delivered = self.delivered(), "trying another host");
		let is_fault = matches!(
			failure,
			Failure::Silent(_)
				| Failure::Call(_)
				| Failure::NoReceipt
				| Failure::Token(_)
				| Failure::Embedding
				| Failure::Receipt(_)
		);
		if is_fault {
			self.gateway.router.failed(host, format!("{} {failure}", keys::ss58(host)));
		}
	}

	/// The end of the completion: an error if its grammar could not be followed to the end of the form.
	fn end(&mut self, finish: FinishReason, receipt: Option<&Receipt>, host: AccountId) -> Result<Summary, ApiError> {
		if self.bound.as_ref().is_some_and(Bound::has_given_up) {
			return Err(ApiError::invalid(
				"The demanded form is too complex to be followed to its end, so the completion broke off within it: simplify it.",
			));
		}
		Ok(self.summary(finish, receipt, host))
	}

	fn summary(&mut self, finish: FinishReason, receipt: Option<&Receipt>, host: AccountId) -> Summary {
		let completion_tokens = self.delivered();
		let (mut prompt_tokens, mut fee) = (self.prompt.tokens(), receipt.map_or(0, |receipt| receipt.fee));
		if self.embedding.is_some() && receipt.is_none() {
			// An embedding that arrived is due, whether its receipt did or not.
			prompt_tokens = if self.is_unpaid { 0 } else { prompt_tokens };
			fee = self.prompt.model.price().fee(prompt_tokens, 0).unwrap_or(Balance::MAX);
		}
		fee = fee.saturating_add(self.spent);
		let stop_text = self.text.found().map(str::to_owned);
		let (rest, embedding) = (self.text.finish(), self.embedding.take());
		Summary { finish, rest, stop_text, prompt_tokens, completion_tokens, fee, host, embedding }
	}
}

fn no_funds() -> ApiError {
	ApiError::no_funds(
		"No channel holds enough for this request: fund the gateway's account or raise its spending limit.",
	)
}
