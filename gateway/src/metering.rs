//! Completions at the expense of an API key: its limits are checked and the maximum cost reserved before a request is
//! dispatched, and the true cost is recorded when a completion ends.

use crate::{
	api_keys::ring::{Reservation, Spender},
	gateway::Gateway,
	openai::{
		errors::ApiError,
		reading::Reading,
		request::{Prompt, ValidRequest},
	},
	relay::{self, Piece, Sent},
	room::Backlog,
};
use gonka_client::request_id::RequestId;
use gonka_primitives::{Balance, market::Price};
use std::{
	mem,
	sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// Starts the completions of a request, or none of them. The pieces of each arrive as they are generated; dropping a receiver
/// cancels its completion.
pub fn start(
	gateway: &Arc<Gateway>,
	id: &RequestId,
	spender: &Spender,
	request: &ValidRequest,
) -> Result<Vec<Pieces>, ApiError> {
	let admitted = admit(gateway, id, spender, &request.prompts, &request.reading)?;
	Ok(admitted.into_iter().map(Admitted::start).collect())
}

/// A completion or an embedding that the API key may pay, and whose maximum cost is reserved.
pub struct Admitted {
	gateway: Arc<Gateway>,
	id: RequestId,
	prompt: Prompt,
	reading: Arc<Reading>,
	bounds: Bounds,
	reservation: Reservation,
}

impl Admitted {
	/// Starts it: see [`start`].
	pub fn start(self) -> Pieces {
		let (key, tab) = (self.reservation.key().clone(), Arc::new(Tab::default()));
		let backlog = Arc::new(Backlog::of(&key));
		let messages =
			relay::start(self.gateway, self.id, self.prompt, self.reading, key, tab.clone(), backlog.clone());
		let (bounds, reservation) = (self.bounds, Some(self.reservation));
		Pieces { messages, bounds, reservation, arrived: 0, spent: (0, 0), tab, backlog }
	}
}

/// Admits all prompts of a request, or none of them.
pub fn admit(
	gateway: &Arc<Gateway>,
	id: &RequestId,
	spender: &Spender,
	prompts: &[Prompt],
	reading: &Arc<Reading>,
) -> Result<Vec<Admitted>, ApiError> {
	let bounds: Vec<Bounds> = prompts.iter().map(Bounds::of).collect();
	let reserve = |bounds: &Bounds| spender.reserve(bounds.max_fee(), bounds.max_tokens());
	let reservations = bounds.iter().map(reserve).collect::<Result<Vec<_>, _>>()?;
	if let Some(prompt) = prompts.first() {
		gateway.router.demand(&prompt.model);
	}
	let charges = bounds.into_iter().zip(reservations);
	let admitted = prompts.iter().zip(charges).map(|(prompt, (bounds, reservation))| {
		let (gateway, id, prompt, reading) = (gateway.clone(), id.clone(), prompt.clone(), reading.clone());
		Admitted { gateway, id, prompt, reading, bounds, reservation }
	});
	Ok(admitted.collect())
}

/// The numbers that bound the cost of a completion.
#[derive(Clone, Copy, Debug)]
struct Bounds {
	price: Price,
	prompt: u32,
	completion: u32,
}

impl Bounds {
	fn of(prompt: &Prompt) -> Self {
		Self { price: prompt.model.price(), prompt: prompt.tokens(), completion: prompt.max_tokens }
	}

	fn fee(&self, prompt: u32, completion: u32) -> Balance {
		self.price.fee(prompt, completion).unwrap_or(Balance::MAX)
	}

	/// The maximum fee. A host that continues after others reads their tokens as part of its prompt.
	fn max_fee(&self) -> Balance {
		let all = self.prompt.saturating_add(self.completion);
		self.fee(self.prompt, self.completion).max(self.fee(all, 0))
	}

	/// The maximum number of tokens.
	fn max_tokens(&self) -> u64 {
		u64::from(self.prompt).saturating_add(self.completion.into())
	}
}

/// The pieces of a completion, whose reservation they settle. Dropping them cancels the completion.
///
/// A completion that ends costs the fees of all its hosts. If it fails, those that broke off are due theirs. If the client hangs up,
/// the last host is paid for the tokens that it generated until it noticed: the receipt comes later, and until then the
/// reservation stays, on a [`Tab`].
pub struct Pieces {
	messages: mpsc::UnboundedReceiver<Sent>,
	bounds: Bounds,
	/// `None` once it is settled.
	reservation: Option<Reservation>,
	/// Number of tokens that arrived.
	arrived: u32,
	/// Base units that are due to hosts that broke off, and the number of tokens that had arrived when the last one did.
	spent: (Balance, u32),
	tab: Arc<Tab>,
	/// The pieces that were sent and not read.
	backlog: Arc<Backlog>,
}

impl Pieces {
	/// Waits for the next piece. Returns `None` after the last one, or if the completion broke off.
	pub async fn recv(&mut self) -> Option<Piece> {
		loop {
			let message = self.messages.recv().await;
			self.note(message.as_ref(), false);
			match message {
				Some(Sent::Piece(piece)) => return Some(piece),
				Some(Sent::Spent(_)) => {},
				None => return None,
			}
		}
	}

	/// Counts what was sent, or settles with the last piece.
	fn note(&mut self, message: Option<&Sent>, hung_up: bool) {
		match message {
			Some(Sent::Piece(Piece::Token(token))) => {
				self.arrived = self.arrived.saturating_add(1);
				self.backlog.remove(token.bytes());
			},
			Some(Sent::Spent(fee)) => self.spent = (self.spent.0.saturating_add(*fee), self.arrived),
			Some(Sent::Piece(Piece::Done(summary))) => {
				if let Some(reservation) = self.reservation.take() {
					reservation.settle(summary.fee, summary.prompt_tokens, summary.completion_tokens);
				}
			},
			None if hung_up => self.hold(),
			Some(Sent::Piece(Piece::Failed(_))) | None => self.settle_broken(),
		}
	}

	/// Settles the reservation of a completion that failed.
	fn settle_broken(&mut self) {
		let Some(reservation) = self.reservation.take() else { return };
		let (bounds, (spent, before)) = (&self.bounds, self.spent);
		let made = self.arrived.saturating_sub(before);
		let last = if made > 0 { bounds.fee(bounds.prompt.saturating_add(before), made) } else { 0 };
		let cost = spent.saturating_add(last);
		if made > 0 || cost > 0 {
			reservation.settle(cost, bounds.prompt, self.arrived);
		}
	}

	/// Leaves the reservation to the last host's receipt.
	fn hold(&mut self) {
		if let Some(reservation) = self.reservation.take() {
			let (spent, before) = self.spent;
			self.tab.hold(Hold { reservation, spent, before, prompt: self.bounds.prompt });
		}
	}
}

/// The reservation of a completion whose client hung up, until the last host's receipt shows its fee. If that never comes, nothing is
/// due to the last host: dropping the tab releases the reservation.
#[derive(Default)]
pub struct Tab(Mutex<TabState>);

#[derive(Default)]
enum TabState {
	/// The client is there.
	#[default]
	Open,
	/// The client is gone.
	Held(Hold),
	/// The bill came before the client's end was noticed: the fee, in base units, and the tokens of the last host.
	Billed(Balance, u32),
	/// All is settled.
	Settled,
}

struct Hold {
	reservation: Reservation,
	/// Base units that are due to hosts that broke off, and the number of tokens that had arrived when the last one did.
	spent: Balance,
	before: u32,
	/// Tokens of the prompt.
	prompt: u32,
}

impl Hold {
	fn settle(self, fee: Balance, tokens: u32) {
		self.reservation.settle(self.spent.saturating_add(fee), self.prompt, self.before.saturating_add(tokens));
	}
}

impl Tab {
	fn hold(&self, hold: Hold) {
		let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		match mem::replace(&mut *state, TabState::Settled) {
			TabState::Billed(fee, tokens) => hold.settle(fee, tokens),
			_ => *state = TabState::Held(hold),
		}
	}

	/// Settles the reservation by the last host's fee, in base units, and number of tokens. Returns false if another receipt did.
	pub fn bill(&self, fee: Balance, tokens: u32) -> bool {
		let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
		match mem::replace(&mut *state, TabState::Settled) {
			TabState::Held(hold) => hold.settle(fee, tokens),
			TabState::Open => *state = TabState::Billed(fee, tokens),
			TabState::Billed(..) | TabState::Settled => return false,
		}
		true
	}
}

impl Drop for Tab {
	fn drop(&mut self) {
		let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
		if let TabState::Held(hold) = mem::take(state)
			&& hold.spent > 0
		{
			hold.settle(0, 0);
		}
	}
}

impl Drop for Pieces {
	fn drop(&mut self) {
		// The relay notices, and ends after the pieces that it has sent.
		self.messages.close();
		while self.reservation.is_some() {
			let message = self.messages.try_recv().ok();
			self.note(message.as_ref(), true);
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		api_keys::{
			calendar::{Clock, Day},
			ring::KeyRing,
			usage::Counts,
		},
		auth::ApiKeys,
		metrics::Metrics,
	};
	use gonka_primitives::market::FinishReason;

	/// When all of this happens.
	const NOW: u64 = 1_800_000_000;
	const PRICE: Price = Price { input: 2, output: 5 };
	const BOUNDS: Bounds = Bounds { price: PRICE, prompt: 10, completion: 100 };

	/// The keys of a gateway in `folder`, and the only one that has used something.
	fn keys(folder: &std::path::Path) -> (KeyRing, Spender) {
		let (settings, clock) = (ApiKeys::parse("app:sk-app").unwrap(), Clock::new(|| NOW));
		let metrics = Metrics::new().unwrap().keys;
		let ring = KeyRing::open(folder, folder.join("usage.jsonl"), settings, metrics, clock).unwrap();
		let spender = ring.authorise(Some("Bearer sk-app")).unwrap();
		(ring, spender)
	}

	/// The reservation of a completion of which hosts that broke off made the first 7 tokens, for 55.
	fn hold(spender: &Spender) -> Hold {
		let reservation = spender.reserve(BOUNDS.max_fee(), BOUNDS.max_tokens()).unwrap();
		Hold { reservation, spent: 55, before: 7, prompt: 10 }
	}

	/// Cost, tokens of prompts, and tokens of completions.
	fn used(spender: &Spender) -> (Balance, u64, u64) {
		let Counts { cost, prompt_tokens, completion_tokens, .. } = spender.standings().0.day(Day::of(NOW));
		(cost, prompt_tokens, completion_tokens)
	}

	#[test]
	fn the_receipt_takes_the_place_of_the_reservation_once_whenever_it_comes() {
		for is_early in [false, true] {
			let folder = tempfile::tempdir().unwrap();
			let (ring, spender) = keys(folder.path());
			let (tab, hold) = (Tab::default(), hold(&spender));
			if is_early {
				// Before the client's end is noticed.
				assert!(tab.bill(30, 3));
				assert_eq!((ring.running(), used(&spender)), (1, (0, 0, 0)));
				tab.hold(hold);
			} else {
				tab.hold(hold);
				assert_eq!((ring.running(), used(&spender)), (1, (0, 0, 0)), "it is reserved until then");
				assert!(tab.bill(30, 3));
			}
			assert_eq!((ring.running(), used(&spender)), (0, (85, 10, 10)), "far less than was reserved");
			assert!(!tab.bill(30, 3), "another receipt is charged by itself");
			drop(tab);
			assert_eq!(used(&spender), (85, 10, 10));
		}
	}

	#[test]
	fn without_a_receipt_only_the_hosts_that_broke_off_are_due() {
		let folder = tempfile::tempdir().unwrap();
		let (ring, spender) = keys(folder.path());
		let tab = Tab::default();
		tab.hold(Hold { spent: 0, before: 0, ..hold(&spender) });
		drop(tab);
		assert_eq!((ring.running(), used(&spender)), (0, (0, 0, 0)));
		let tab = Tab::default();
		tab.hold(hold(&spender));
		drop(tab);
		assert_eq!((ring.running(), used(&spender)), (0, (55, 10, 7)));
		// A tab of a client that stayed holds nothing.
		drop(Tab::default());
		assert_eq!(used(&spender), (55, 10, 7));
	}

	#[test]
	fn after_a_crash_nothing_is_reserved_and_a_late_receipt_is_charged_by_itself() {
		let folder = tempfile::tempdir().unwrap();
		let (before, spender) = keys(folder.path());
		let tab = Tab::default();
		tab.hold(hold(&spender));
		before.flush().unwrap();
		let (after, spender) = keys(folder.path());
		assert_eq!((after.running(), used(&spender)), (0, (0, 0, 0)));
		after.charge(spender.id(), 30);
		assert_eq!(used(&spender), (30, 0, 0));
		assert_eq!(before.running(), 1, "the process that crashed had it");
	}

	fn token(id: u32) -> Sent {
		Sent::Piece(Piece::Token(relay::Token { id, text: String::new(), logprob: None, top_logprobs: Vec::new() }))
	}

	/// Pieces of a completion of which this was sent, and their tab.
	fn pieces(spender: &Spender, sent: Vec<Sent>) -> (Pieces, mpsc::UnboundedSender<Sent>, Arc<Tab>) {
		let (sender, messages) = mpsc::unbounded_channel();
		sent.into_iter().for_each(|message| sender.send(message).unwrap());
		let (tab, backlog) = (Arc::new(Tab::default()), Arc::new(Backlog::of("app")));
		let reservation = Some(spender.reserve(BOUNDS.max_fee(), BOUNDS.max_tokens()).unwrap());
		(
			Pieces { messages, bounds: BOUNDS, reservation, arrived: 0, spent: (0, 0), tab: tab.clone(), backlog },
			sender,
			tab,
		)
	}

	#[test]
	fn a_client_that_hangs_up_is_charged_for_all_hosts_and_all_that_they_made() {
		let folder = tempfile::tempdir().unwrap();
		let (ring, spender) = keys(folder.path());
		// A host made a token and broke off, and the next one two when the client hung up.
		let (first, _relay, tab) = pieces(&spender, vec![token(1), Sent::Spent(25), token(2), token(3)]);
		drop(first);
		assert_eq!((ring.running(), used(&spender)), (1, (0, 0, 0)), "it is reserved until the receipt");
		assert!(tab.bill(40, 4));
		assert_eq!((ring.running(), used(&spender)), (0, (65, 10, 5)));
		// The end was sent, and the client did not read it.
		let summary = relay::Summary {
			finish: FinishReason::Stop,
			rest: String::new(),
			stop_text: None,
			prompt_tokens: 10,
			completion_tokens: 1,
			fee: 25,
			host: [0; 32],
			embedding: None,
		};
		let (ended, _relay, tab) = pieces(&spender, vec![token(1), Sent::Piece(Piece::Done(summary))]);
		drop(ended);
		assert_eq!((ring.running(), used(&spender)), (0, (90, 20, 6)));
		drop(tab);
		assert_eq!(used(&spender), (90, 20, 6));
	}
}
