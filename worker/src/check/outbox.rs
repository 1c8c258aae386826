//! Messages of checks and disputes. They are stored before they are sent, and say the same whenever they are sent again.

use super::{CheckError, Result};
use crate::{
	chain::{CheckMessage, Follower},
	store::{self, Durability, Store, check},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{EpochIndex, Hash, validity::SprintCheck};

/// Maximum number of attempts to send a [`Delivery::Once`] message. Attempts while the chain has no room for a claim do
/// not count: an adversary may fill it for hours.
const MAX_ATTEMPTS: u8 = 32;

/// Validity errors of messages that can never be included.
const FINAL: [SprintCheck; 5] = [
	SprintCheck::SlotUsed,
	SprintCheck::NotAssigned,
	SprintCheck::Convicted,
	SprintCheck::NothingToDispute,
	SprintCheck::NoStake,
];

/// Number of times that a message may be sent successfully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
	/// Once. It is sent until it was included, up to `MAX_ATTEMPTS` times.
	Once,
	/// Again whenever the chain's state needs it, as after a change of forks.
	Repeated,
}

/// Sends messages in the name of the host.
pub struct Outbox {
	follower: Follower,
	store: Store,
	key: Keypair,
}

impl Outbox {
	/// Makes the outbox of the follower's host. `key` is the worker key.
	pub fn new(follower: Follower, store: Store, key: Keypair) -> Self {
		Self { follower, store, key }
	}

	/// Returns whether a slot's [`Delivery::Once`] message needs no further attempt.
	pub fn is_done(&self, epoch: EpochIndex, slot: &Hash) -> store::Result<bool> {
		let known = self.store.read(|tx| check::message(tx, epoch, slot))?;
		Ok(known.is_some_and(|known| known.taken || known.failures >= MAX_ATTEMPTS))
	}

	/// Makes the message of a claim be sent again: the claim is no longer open. It may have given way to a heavier
	/// host's. If it was decided, the chain rejects the message for good.
	pub async fn reopen(&self, epoch: EpochIndex, slot: Hash) -> store::Result<()> {
		self.store.write(Durability::Later, move |tx: &_| check::note_dropped(tx, epoch, &slot)).await
	}

	/// Sends a message, and returns once it is in a best block, or known to have been in one. The first message of a slot is
	/// the one that is sent; others are not even signed.
	pub async fn send(&self, epoch: EpochIndex, slot: Hash, delivery: Delivery, message: CheckMessage) -> Result<()> {
		if delivery == Delivery::Once && self.is_done(epoch, &slot)? {
			return Ok(());
		}
		let chain = self.follower.chain();
		let stored = match self.store.read(|tx| check::message(tx, epoch, &slot))? {
			Some(known) if known.failures == 0 => known,
			// A pool bans for a while what it rejected, so the message is signed again. Its content stays.
			known => {
				let message = known.map_or(message, |known| known.message);
				let signature = keys::sign(&self.key, &message.payload(&chain.genesis()));
				let put = move |tx: &_| check::put_message(tx, epoch, &slot, message, signature);
				self.store.write(Durability::Now, put).await?
			},
		};
		let (name, attempts) = (stored.message.name(), stored.failures);
		let sent = chain.submit_check(stored.message, stored.signature).await;
		let included = sent.is_ok();
		let code = sent.as_ref().err().and_then(|error| error.validity_code());
		let failures = if FINAL.iter().any(|error| code == Some((*error).into())) {
			MAX_ATTEMPTS
		} else {
			// The first failure counts in any case: from then on, the message is signed again.
			u8::from(attempts == 0 || code != Some(SprintCheck::TooManyClaims.into()))
		};
		let note = move |tx: &_| check::note_sent(tx, epoch, &slot, included, failures);
		self.store.write(Durability::Later, note).await?;
		if code == Some(SprintCheck::SlotUsed.into()) {
			// From before a crash, or its claim is decided.
			tracing::debug!(epoch, "the chain has {name} already");
			return Ok(());
		}
		sent.map_err(|source| CheckError::NotIncluded { message: name, source })?;
		metrics::counter!("gonka_worker_check_messages_total").increment(1);
		tracing::info!(epoch, "{name} included");
		Ok(())
	}
}
