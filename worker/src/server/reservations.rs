//! Reservations: what running requests may still cost, until their receipts are stored.

use super::Rejection;
use crate::store::{
	Durability, Store,
	evidence::{self, StoredEvidence},
	market::{self, StoredReceipt, Terms},
};
use gonka_client::worker_api;
use gonka_primitives::{Balance, ChannelId, Hash, market::Envelope, views::ChannelView};
use std::{
	collections::{BTreeMap, HashMap},
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use tokio::runtime::Handle;

/// Maximum fees of running requests, by channel and sequence number.
type Running = Arc<Mutex<HashMap<ChannelId, BTreeMap<u64, Balance>>>>;

/// The reservations of all channels.
pub struct Reservations {
	store: Store,
	running: Running,
	unpaid: Duration,
}

/// A running request's share of its channel's deposit and credit, until it is [released](Self::release) or its receipt is
/// [stored](Reservations::finish).
///
/// A dropped one lasts a while longer. Such a request has cost work, and nothing is due for it: so a channel's credit bounds the
/// rate of these, too.
pub struct Reservation {
	share: Option<Share>,
	unpaid: Duration,
}

/// A request's part in the sums of its channel. Dropping it takes it out.
struct Share {
	running: Running,
	channel: ChannelId,
	sequence: u64,
}

impl Reservation {
	/// Ends the reservation at once.
	pub fn release(mut self) {
		self.share = None;
	}
}

impl Drop for Reservation {
	fn drop(&mut self) {
		// Outside the async runtime, the request was not begun.
		if let (Some(share), Ok(runtime)) = (self.share.take(), Handle::try_current()) {
			let unpaid = self.unpaid;
			runtime.spawn(async move {
				tokio::time::sleep(unpaid).await;
				drop(share);
			});
		}
	}
}

impl Drop for Share {
	fn drop(&mut self) {
		let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
		if let Some(requests) = running.get_mut(&self.channel) {
			requests.remove(&self.sequence);
			if requests.is_empty() {
				running.remove(&self.channel);
			}
		}
	}
}

impl Reservations {
	/// Makes an empty set of reservations. Those of requests for which nothing is due last for `unpaid` after their end.
	pub fn new(store: Store, unpaid: Duration) -> Self {
		Self { store, running: Running::default(), unpaid }
	}

	/// Takes the envelope's sequence number, and reserves its maximum fee. The number is durable with the next durable
	/// write. That suffices: a replay can only lead to a receipt, and storing a receipt stores the number, too.
	pub async fn reserve(
		&self,
		channel: ChannelView,
		envelope: &Envelope,
		credit: u64,
	) -> Result<Reservation, Rejection> {
		let (sequence, max_fee) = (envelope.sequence, envelope.max_fee);
		let (running, unpaid) = (self.running.clone(), self.unpaid);
		let admitted = self.store.write(Durability::Later, move |tx| {
			let id = channel.id;
			let mut all = running.lock().unwrap_or_else(PoisonError::into_inner);
			let requests = all.entry(id).or_default();
			let running_fees = requests.values().fold(0u128, |sum, fee| sum.saturating_add(*fee));
			let count = requests.len() as u64;
			let terms = Terms { channel, running_fees, running: count, credit, sequence, max_fee };
			let admitted = market::admit(tx, &terms)?;
			if admitted.is_ok() {
				requests.insert(sequence, max_fee);
			}
			drop(all);
			Ok(admitted.map(|()| Reservation { share: Some(Share { running, channel: id, sequence }), unpaid }))
		});
		Ok(admitted.await.map_err(Rejection::internal)??)
	}

	/// Stores a receipt with its evidence, and ends its reservation after that.
	pub async fn finish(
		&self,
		reservation: Reservation,
		channel: ChannelView,
		envelope: Hash,
		evidence: StoredEvidence,
	) -> Result<(), worker_api::Error> {
		let written = self.store.write(Durability::Now, move |tx| {
			let stored = StoredReceipt { envelope: evidence.envelope.clone(), receipt: evidence.receipt.clone() };
			market::finish(tx, &channel, &envelope, &stored)?;
			evidence::put(tx, &envelope, &channel.developer, &evidence)
		});
		let written = written.await;
		reservation.release();
		written.map_err(|error| Rejection::internal(error).0)
	}
}
