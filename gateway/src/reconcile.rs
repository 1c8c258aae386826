//! How a channel comes in step with its worker again, after a crash of either side: nothing lost, nothing paid twice.

use crate::{
	ledger::{Ledger, Outstanding},
	receipts,
	store::{StoreError, Write},
};
use gonka_client::wire::{Acknowledgement, ChannelQuery, ChannelState, Scale, UnacknowledgedReceipt};
use gonka_primitives::{
	ChannelId, Hash, PublicKey,
	hashing::{domain, signing_payload},
	market::{SignedVoucher, Totals, Voucher},
};
use std::{
	collections::HashSet,
	time::{Duration, Instant},
};
use subxt_signer::sr25519;

/// A worker that knows of no receipt this long after the gateway hung up will not have one any more.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Why a channel cannot be brought in step.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
	/// The books cannot be written.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// The worker shows a voucher that the gateway key did not sign.
	#[error("the worker shows a voucher that this gateway did not sign")]
	ForgedVoucher,
	/// The worker has a smaller voucher than it confirmed, and its receipts do not make up the difference.
	#[error("the worker has lost a voucher that it had confirmed")]
	LostVoucher,
}

impl Ledger {
	/// The question for [`gonka_client::wire::CHANNEL_PATH`].
	pub fn query(&self, channel: ChannelId) -> ChannelQuery {
		let payload = signing_payload(domain::CHANNEL_QUERY, &self.genesis, &channel);
		ChannelQuery { channel, signature: Scale(self.key.sign(&payload).0) }
	}

	/// Envelopes whose stream has ended without a receipt.
	pub fn has_loose_ends(&self, channel: ChannelId) -> bool {
		self.with(channel, |book| book.outstanding.values().any(|entry| entry.ended.is_some()))
	}

	/// Receipts held when a question is sent, to be compared with its answer.
	pub fn held(&self, channel: ChannelId) -> Vec<Hash> {
		self.with(channel, |book| book.receipts.keys().copied().collect())
	}

	/// Compares the worker's side of a channel with ours. `held` is [`Ledger::held`] from before the question.
	/// Returns the number of receipts refused, and an acknowledgement to send first if the worker fell back behind
	/// a voucher that it had confirmed.
	pub async fn reconcile(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		worker: &PublicKey,
		held: &[Hash],
	) -> Result<(u64, Option<Acknowledgement>), ReconcileError> {
		let was_synced = self.with(channel, |book| book.synced);
		self.take_sequence(channel, state.sequence).await?;
		let listed: HashSet<Hash> = state.unacknowledged.iter().map(|entry| entry.receipt.0.receipt.envelope).collect();
		let again = if was_synced { None } else { self.compare(channel, state, held, &listed).await? };
		let refused = self.take_receipts(channel, state, worker, again.is_some()).await?;
		self.give_up(channel, &listed).await?;
		self.with(channel, |book| book.synced = true);
		Ok((refused, again))
	}

	async fn take_sequence(&self, channel: ChannelId, highest: u64) -> Result<(), StoreError> {
		let write = self.with(channel, |book| {
			let next = highest.saturating_add(1);
			if book.numbered && next <= book.next {
				return None;
			}
			if !book.numbered {
				book.first = next;
			}
			book.numbered = true;
			book.next = book.next.max(next);
			Some(Write::Sequences { channel, first: book.first, next: book.next })
		});
		match write {
			Some(write) => self.store.write(vec![write]).await,
			None => Ok(()),
		}
	}

	/// Makes our vouchers and receipts equal to what the worker can prove.
	async fn compare(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		held: &[Hash],
		listed: &HashSet<Hash>,
	) -> Result<Option<Acknowledgement>, ReconcileError> {
		let theirs = match &state.voucher {
			Some(Scale(signed)) if !self.is_own_voucher(channel, signed) => return Err(ReconcileError::ForgedVoucher),
			Some(Scale(signed)) => signed.voucher.totals,
			None => Totals::default(),
		};
		let ours = self.with(channel, |book| book.vouchers.clone());
		// Receipts that the worker neither lists nor was paid for are ones it has lost: it could not settle them.
		let gone: Vec<Hash> = held.iter().copied().filter(|hash| !listed.contains(hash)).collect();
		if theirs == ours.confirmed {
			let sendable =
				ours.pending.as_ref().is_none_or(|(_, hashes)| hashes.iter().all(|hash| listed.contains(hash)));
			if !gone.is_empty() || !sendable {
				self.settle(channel, theirs, gone).await?;
			}
			return Ok(None);
		}
		if let Some((signed, hashes)) = &ours.pending
			&& signed.voucher.totals == theirs
		{
			let covered = hashes.iter().chain(&gone).copied().collect();
			self.settle(channel, theirs, covered).await?;
			return Ok(None);
		}
		if theirs.checked_sub(&ours.confirmed).is_some() {
			// Signed by us in a time that our books do not remember.
			self.settle(channel, theirs, gone).await?;
			return Ok(None);
		}
		self.repeat(channel, theirs, ours.confirmed, &state.unacknowledged).map(Some).ok_or(ReconcileError::LostVoucher)
	}

	/// Sends a confirmed voucher again to a worker that lost it, if the receipts it lists that we no longer hold
	/// make up the difference exactly. That costs nothing: the total was promised before.
	fn repeat(
		&self,
		channel: ChannelId,
		theirs: Totals,
		ours: Totals,
		listed: &[UnacknowledgedReceipt],
	) -> Option<Acknowledgement> {
		let (mut sum, mut hashes) = (theirs, Vec::new());
		let books = self.lock();
		let book = books.get(&channel)?;
		for entry in listed {
			let receipt = &entry.receipt.0.receipt;
			let hash = receipt.envelope;
			if book.receipts.contains_key(&hash) || book.outstanding.contains_key(&hash) {
				continue;
			}
			sum = sum.checked_add(&Totals { fee: receipt.fee, work: receipt.work(), receipts: 1 })?;
			hashes.push(Scale(hash));
		}
		let voucher = Scale(self.sign(Voucher { channel, totals: ours }));
		(sum == ours).then_some(Acknowledgement { voucher, receipts: hashes })
	}

	/// Takes receipts that we did not read from a stream, where our own envelope proves that we asked.
	async fn take_receipts(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		worker: &PublicKey,
		repeated: bool,
	) -> Result<u64, StoreError> {
		let mut refused = 0u64;
		for UnacknowledgedReceipt { envelope: Scale(signed), receipt: Scale(receipt) } in &state.unacknowledged {
			let hash = receipt.receipt.envelope;
			let (seen, foreign) = {
				let books = self.lock();
				let Some(book) = books.get(&channel) else { continue };
				if book.closed.contains(&hash) || book.receipts.contains_key(&hash) {
					continue;
				}
				match book.outstanding.get(&hash) {
					Some(Outstanding { ended: None, .. }) => continue,
					Some(entry) => (entry.seen.clone(), false),
					// Not open and given out by this store: it was settled. Older ones went with a lost store.
					None if repeated || signed.envelope.sequence >= book.first => continue,
					None => (None, true),
				}
			};
			let ours =
				signed.envelope.channel == channel && receipts::is_ours(signed, &self.public_key(), &self.genesis);
			if !ours {
				tracing::warn!(channel, "the worker lists a receipt for an envelope that this gateway did not sign");
				continue;
			}
			match receipts::check(receipt, &signed.envelope, worker, &self.genesis, seen.as_ref()) {
				Ok(()) => self.accept(channel, receipt.clone(), foreign).await?,
				Err(reason) => {
					tracing::warn!(channel, envelope = hex::encode(hash), %reason, "refused a receipt");
					refused = refused.saturating_add(1);
					self.close(channel, hash).await?;
				},
			}
		}
		Ok(refused)
	}

	async fn give_up(&self, channel: ChannelId, listed: &HashSet<Hash>) -> Result<(), StoreError> {
		let now = Instant::now();
		let lapsed: Vec<Hash> = self.with(channel, |book| {
			let ended = |entry: &Outstanding| entry.ended.is_some_and(|ended| now.duration_since(ended) > GIVE_UP);
			let entries = book.outstanding.iter();
			entries.filter(|(hash, entry)| ended(entry) && !listed.contains(*hash)).map(|(hash, _)| *hash).collect()
		});
		for hash in lapsed {
			self.forget(channel, hash).await?;
		}
		Ok(())
	}

	fn is_own_voucher(&self, channel: ChannelId, signed: &SignedVoucher) -> bool {
		let payload = signing_payload(domain::VOUCHER, &self.genesis, &signed.voucher);
		let signature = sr25519::Signature(signed.signature);
		signed.voucher.channel == channel
			&& sr25519::verify(&signature, payload, &sr25519::PublicKey(self.public_key()))
	}
}
