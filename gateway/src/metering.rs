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
		let messages = relay::start(self.gateway, self.id, self.prompt, self.reading, key, tab.clone());
		Pieces { messages, bounds: self.bounds, reservation: Some(self.reservation), arrived: 0, spent: (0, 0), tab }
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
			Some(Sent::Piece(Piece::Token(_))) => self.arrived = self.arrived.saturating_add(1),
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
