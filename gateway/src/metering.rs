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
	receipts::IN_FLIGHT_TOKENS,
	relay::{self, Piece, Sent},
};
use gonka_client::request_id::RequestId;
use gonka_primitives::{Balance, market::Price};
use std::sync::Arc;
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
		let key = self.reservation.key().clone();
		let messages = relay::start(self.gateway, self.id, self.prompt, self.reading, key);
		Pieces { messages, bounds: self.bounds, reservation: Some(self.reservation), arrived: 0, spent: (0, 0) }
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
/// the last host is paid for the tokens that it generated until it noticed; the receipt comes later, so the maximum counts: the
/// tokens that arrived and those that can be on their way.
pub struct Pieces {
	messages: mpsc::UnboundedReceiver<Sent>,
	bounds: Bounds,
	/// `None` once it is settled.
	reservation: Option<Reservation>,
	/// Number of tokens that arrived.
	arrived: u32,
	/// Base units that are due to hosts that broke off, and the number of tokens that had arrived when the last one did.
	spent: (Balance, u32),
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
			Some(Sent::Piece(Piece::Failed(_))) | None => self.settle_broken(hung_up),
		}
	}

	/// Settles the reservation of a completion without an end.
	fn settle_broken(&mut self, hung_up: bool) {
		let Some(reservation) = self.reservation.take() else { return };
		let (bounds, (spent, before)) = (&self.bounds, self.spent);
		let on_their_way = if hung_up { IN_FLIGHT_TOKENS as u32 } else { 0 };
		let tokens = self.arrived.saturating_add(on_their_way).min(bounds.completion);
		let made = tokens.saturating_sub(before);
		// A host that was at an embedding may have sent it already.
		let is_last_due = made > 0 || (bounds.completion == 0 && hung_up);
		let last = if is_last_due { bounds.fee(bounds.prompt.saturating_add(before), made) } else { 0 };
		if is_last_due || spent > 0 {
			reservation.settle(spent.saturating_add(last), bounds.prompt, tokens);
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
