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
};

/// Maximum fees of running requests, by channel and sequence number.
type Running = Arc<Mutex<HashMap<ChannelId, BTreeMap<u64, Balance>>>>;

/// The reservations of all channels.
pub struct Reservations {
	store: Store,
	running: Running,
}

/// A running request's share of its channel's deposit and credit. Dropping it ends the reservation.
pub struct Reservation {
	running: Running,
	channel: ChannelId,
	sequence: u64,
}

impl Drop for Reservation {
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
	/// Makes an empty set of reservations.
	pub fn new(store: Store) -> Self {
		Self { store, running: Running::default() }
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
		let running = self.running.clone();
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
			Ok(admitted.map(|()| Reservation { running, channel: id, sequence }))
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
			evidence::put(tx, &envelope, &evidence)
		});
		let written = written.await;
		drop(reservation);
		written.map_err(|error| Rejection::internal(error).0)
	}
}
