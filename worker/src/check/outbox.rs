//! Messages: on disk before they are sent, and saying the same whenever they are sent again.

use crate::{
	chain::{CheckMessage, Follower},
	store::{Durability, Store, check},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{EpochIndex, Hash};

/// Tries of a message that is sent once.
const TRIES: u8 = 32;

/// Codes of `pallet_sprint_check` with which the pool refuses what can never be taken: the slot is used, the duty is not
/// there, one of the two is convicted, there is nothing to dispute.
const FOR_GOOD: [u8; 4] = [52, 55, 63, 64];

/// How often a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
	/// Until the chain took it, but not for ever.
	Once,
	/// Whenever the chain's state asks for it.
	Asked,
}

/// Sends messages in the host's name.
pub struct Outbox {
	follower: Follower,
	store: Store,
	key: Keypair,
}

impl Outbox {
	/// `key` is the worker key.
	pub fn new(follower: Follower, store: Store, key: Keypair) -> Self {
		Self { follower, store, key }
	}

	/// Whether there is nothing more to send for a slot.
	pub fn is_settled(&self, epoch: EpochIndex, slot: &Hash) -> Result<bool, String> {
		let known = self.store.read(|tx| check::message(tx, epoch, slot)).map_err(|error| error.to_string())?;
		Ok(known.is_some_and(|known| known.taken || known.failures >= TRIES))
	}

	/// Sends a message; returns once it is in a best block. A slot's first message is the one that is sent: others are
	/// not even signed.
	pub async fn send(&self, epoch: EpochIndex, slot: Hash, times: Times, message: CheckMessage) -> Result<(), String> {
		if times == Times::Once && self.is_settled(epoch, &slot)? {
			return Ok(());
		}
		let chain = self.follower.chain();
		let known = self.store.read(|tx| check::message(tx, epoch, &slot)).map_err(|error| error.to_string())?;
		let stored = match known {
			Some(known) if known.failures == 0 => known,
			// Pools ban for a while what they have refused once, so it gets another signature; what it says stays.
			known => {
				let message = known.map_or(message, |known| known.message);
				let signature = keys::sign(&self.key, &message.payload(&chain.genesis()));
				let put = move |tx: &_| check::put_message(tx, epoch, &slot, message, signature);
				self.store.write(Durability::Now, put).await.map_err(|error| error.to_string())?
			},
		};
		let what = stored.message.name();
		let sent = chain.submit_check(stored.message, stored.signature).await;
		let taken = sent.is_ok();
		let code = sent.as_ref().err().and_then(|error| error.1);
		let failures = if code.is_some_and(|code| FOR_GOOD.contains(&code)) { TRIES } else { 1 };
		let noted = self.store.write(Durability::Later, move |tx| check::note_sent(tx, epoch, &slot, taken, failures));
		noted.await.map_err(|error| error.to_string())?;
		sent.map_err(|error| format!("{what} was not taken: {error}"))?;
		metrics::counter!("gonka_worker_check_messages_total").increment(1);
		tracing::info!(epoch, "{what} is on chain");
		Ok(())
	}
}
