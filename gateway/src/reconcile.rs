//! Reconciles a channel with its worker at the start and after a crash of either: nothing is lost or paid twice.

use crate::{
	ledger::{Ledger, Outstanding},
	numbers::MAX_AHEAD,
	receipts,
	store::StoreError,
};
use gonka_client::worker_api::{Acknowledgement, ChannelQuery, ChannelState, Scale, UnacknowledgedReceipt};
use gonka_primitives::{
	Balance, ChannelId, Hash, PublicKey,
	hashing::{domain, signing_payload},
	market::{SignedVoucher, Totals, Voucher},
};
use std::{
	collections::HashSet,
	sync::Arc,
	time::{Duration, Instant},
};
use subxt_signer::sr25519;

/// How long after the end of reading an envelope is given up, if the worker lists no receipt for it.
const GIVE_UP: Duration = Duration::from_secs(60);
/// The same for an envelope of whose response nothing had arrived when the gateway hung up: nothing is due then, but for what was
/// on its way.
const GIVE_UP_SOON: Duration = Duration::from_secs(10);

/// Maximum number of receipts that a worker may list. It serves far fewer requests on credit.
const MAX_LISTED: usize = 1024;
/// Maximum number of sequence numbers that are left out where another gateway uses the same key.
const MAX_GAP: u64 = 32;

/// Why a channel cannot be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
	/// The ledger cannot be written.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// The worker presents a voucher that the gateway key did not sign.
	#[error("the worker presents a voucher that this gateway did not sign")]
	ForgedVoucher,
	/// The worker presents a voucher below the one that it confirmed, and its receipts do not make up the difference.
	#[error("the worker has lost a voucher that it had confirmed")]
	LostVoucher,
	/// The worker lists more receipts than it can have.
	#[error("the worker lists {0} receipts that are not paid, more than it would serve on credit")]
	TooMany(usize),
	/// The worker says that it has seen a sequence number that nobody can have reached.
	#[error("the worker says that it has seen sequence number {0}")]
	Sequence(u64),
}

/// The result of comparing a channel's records.
#[derive(Clone, Debug)]
pub struct Reconciled {
	/// Number of receipts that were rejected.
	pub rejected: u64,
	/// Fees that are to be charged to API keys, in base units, with the keys' ids.
	pub charges: Vec<(Arc<str>, Balance)>,
	/// An acknowledgement to send first: the worker lost a voucher that it had confirmed.
	pub again: Option<Acknowledgement>,
	/// Whether the worker has seen envelopes of this channel that this ledger did not issue.
	pub is_shared: bool,
}

impl Ledger {
	/// Makes the body of a request to [`gonka_client::worker_api::CHANNEL_PATH`].
	pub fn query(&self, channel: ChannelId) -> ChannelQuery {
		let payload = signing_payload(domain::CHANNEL_QUERY, &self.genesis, &channel);
		ChannelQuery { channel, signature: Scale(self.key.sign(&payload).0) }
	}

	/// Whether there are envelopes whose stream ended without a receipt.
	pub fn has_loose_ends(&self, channel: ChannelId) -> bool {
		self.with(channel, |record| record.outstanding.values().any(|entry| entry.ended.is_some()))
	}

	/// The receipts that are due now. Take them before a query, for comparison with its response.
	pub fn held(&self, channel: ChannelId) -> Vec<Hash> {
		self.with(channel, |record| record.receipts.keys().copied().collect())
	}

	/// Compares the worker's record of a channel with ours; `held` is [`Ledger::held`] from before the query.
	pub async fn reconcile(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		worker: &PublicKey,
		held: &[Hash],
	) -> Result<Reconciled, ReconcileError> {
		if state.unacknowledged.len() > MAX_LISTED {
			return Err(ReconcileError::TooMany(state.unacknowledged.len()));
		}
		let was_in_step = self.with(channel, |record| record.in_step);
		let is_shared = self.take_sequence(channel, state.sequence).await?;
		let listed: HashSet<Hash> = state.unacknowledged.iter().map(|entry| entry.receipt.0.receipt.envelope).collect();
		let again = if was_in_step { None } else { self.compare(channel, state, held, &listed).await? };
		let (rejected, charges) = self.take_receipts(channel, state, worker, again.is_some()).await?;
		self.give_up(channel, &listed)?;
		self.with(channel, |record| record.in_step = true);
		Ok(Reconciled { rejected, charges, again, is_shared })
	}

	/// Goes on after the highest number that the worker has seen. Returns whether it has seen numbers that this ledger, which has
	/// others, did not give out.
	async fn take_sequence(&self, channel: ChannelId, highest: u64) -> Result<bool, ReconcileError> {
		let next = highest.saturating_add(1);
		if highest > self.with(channel, |record| record.numbers.next()).saturating_add(MAX_AHEAD) {
			return Err(ReconcileError::Sequence(highest));
		}
		let (is_ahead, is_behind, is_known) = self.with(channel, |record| {
			let numbers = &record.numbers;
			(next <= numbers.next() && !numbers.is_low(), next > numbers.next(), numbers.is_known())
		});
		let is_shared = is_behind && is_known;
		if !is_ahead {
			// Two gateways that went on at the same number would meet again.
			let gap = if is_shared { fastrand::u64(..MAX_GAP) } else { 0 };
			self.reserve(channel, next.saturating_add(gap)).await?;
		}
		Ok(is_shared)
	}

	/// Makes our vouchers and receipts equal to those that the worker can prove.
	async fn compare(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		held: &[Hash],
		listed: &HashSet<Hash>,
	) -> Result<Option<Acknowledgement>, ReconcileError> {
		let voucher = state.voucher.as_ref().map(|Scale(signed)| signed);
		if voucher.is_some_and(|signed| !self.is_own_voucher(channel, signed)) {
			return Err(ReconcileError::ForgedVoucher);
		}
		let theirs = voucher.map(|signed| signed.voucher.totals).unwrap_or_default();
		let ours = self.with(channel, |record| record.vouchers.clone());
		// The worker neither lists these receipts nor was paid for them, so it has lost them and could not settle them.
		let gone: Vec<Hash> = held.iter().copied().filter(|hash| !listed.contains(hash)).collect();
		if theirs == ours.confirmed {
			let sendable =
				ours.pending.as_ref().is_none_or(|(_, hashes)| hashes.iter().all(|hash| listed.contains(hash)));
			if !gone.is_empty() || !sendable {
				self.cover(channel, theirs, gone).await?;
			}
			return Ok(None);
		}
		// One of another gateway may have the same totals, for other receipts, but not the same signature.
		if let Some((signed, hashes)) = &ours.pending
			&& Some(signed) == voucher
		{
			let covered = hashes.iter().chain(&gone).copied().collect();
			self.cover(channel, theirs, covered).await?;
			return Ok(None);
		}
		if theirs.checked_sub(&ours.confirmed).is_some() {
			// Our key signed it, but our ledger has been lost since, or another gateway did.
			self.cover(channel, theirs, gone).await?;
			return Ok(None);
		}
		self.repeat(channel, theirs, ours.confirmed, &state.unacknowledged).map(Some).ok_or(ReconcileError::LostVoucher)
	}

	/// Makes a confirmed voucher again for a worker that lost it, if the listed receipts that we no longer hold make up
	/// the difference exactly. That costs nothing, because the total was promised before.
	fn repeat(
		&self,
		channel: ChannelId,
		theirs: Totals,
		ours: Totals,
		listed: &[UnacknowledgedReceipt],
	) -> Option<Acknowledgement> {
		let (mut sum, mut hashes) = (theirs, Vec::new());
		let channels = self.lock();
		let record = channels.get(&channel)?;
		for entry in listed {
			let receipt = &entry.receipt.0.receipt;
			let hash = receipt.envelope;
			if record.receipts.contains_key(&hash) || record.outstanding.contains_key(&hash) {
				continue;
			}
			sum = sum.checked_add(&Totals { fee: receipt.fee, work: receipt.work(), receipts: 1 })?;
			hashes.push(Scale(hash));
		}
		let voucher = Scale(self.sign(Voucher { channel, totals: ours }));
		(sum == ours).then_some(Acknowledgement { voucher, receipts: hashes })
	}

	/// Accepts receipts that we did not read from a stream, if our own signed envelope proves the request. Returns the number of those
	/// that were rejected, and the fees that are to be charged to API keys.
	async fn take_receipts(
		&self,
		channel: ChannelId,
		state: &ChannelState,
		worker: &PublicKey,
		repeated: bool,
	) -> Result<(u64, Vec<(Arc<str>, Balance)>), StoreError> {
		let (mut rejected, mut foreign, mut charges) = (0u64, 0u64, Vec::new());
		for UnacknowledgedReceipt { envelope: Scale(signed), receipt: Scale(receipt) } in &state.unacknowledged {
			let hash = receipt.receipt.envelope;
			let (seen, lost) = {
				let channels = self.lock();
				let Some(record) = channels.get(&channel) else { continue };
				let number = signed.envelope.sequence;
				match record.outstanding.get(&hash) {
					Some(Outstanding { ended: None, .. }) => continue,
					Some(entry) => (entry.seen.clone(), None),
					// There is a record of its number, and it is no longer open, so it was covered, or is wrong.
					None if repeated || !record.numbers.may_owe(number, &hash) => continue,
					None => (None, Some(number)),
				}
			};
			let ours =
				signed.envelope.channel == channel && receipts::is_ours(signed, &self.public_key(), &self.genesis);
			if !ours {
				tracing::debug!(channel, "the worker lists a receipt for an envelope that this gateway did not sign");
				foreign = foreign.saturating_add(1);
				continue;
			}
			match receipts::check(receipt, &signed.envelope, worker, &self.genesis, seen.as_ref()) {
				Ok(()) => {
					let (fee, tokens) = (receipt.receipt.fee, receipt.receipt.completion_tokens);
					let (tab, debtor) = self.accept(channel, receipt.clone(), lost)?;
					if !tab.is_some_and(|tab| tab.bill(fee, tokens)) {
						charges.extend(debtor.map(|key| (key, fee)));
					}
				},
				Err(reason) => {
					tracing::warn!(channel, envelope = hex::encode(hash), %reason, "rejected a receipt");
					rejected = rejected.saturating_add(1);
					self.close(channel, hash, lost).await?;
				},
			}
		}
		if foreign > 0 {
			tracing::warn!(channel, foreign, "the worker lists receipts for envelopes that this gateway did not sign");
		}
		Ok((rejected.saturating_add(foreign), charges))
	}

	fn give_up(&self, channel: ChannelId, listed: &HashSet<Hash>) -> Result<(), StoreError> {
		let now = Instant::now();
		let lapsed: Vec<Hash> = self.with(channel, |record| {
			let patience = |entry: &Outstanding| match &entry.seen {
				Some(seen) if seen.hung_up && seen.tokens.is_empty() => GIVE_UP_SOON,
				_ => GIVE_UP,
			};
			let ended =
				|entry: &Outstanding| entry.ended.is_some_and(|ended| now.duration_since(ended) > patience(entry));
			let entries = record.outstanding.iter();
			entries.filter(|(hash, entry)| ended(entry) && !listed.contains(*hash)).map(|(hash, _)| *hash).collect()
		});
		for hash in lapsed {
			self.forget(channel, hash)?;
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

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{
		ledger::{End, Terms},
		receipts::Seen,
		store::Store,
	};
	use gonka_primitives::{
		market::{Envelope, FinishReason, Price, Receipt, SignedEnvelope, SignedReceipt},
		views::ChannelView,
	};
	use std::path::Path;
	use subxt_signer::sr25519::dev;

	/// Opens a ledger. That of an earlier process may still be closing.
	async fn open(path: &Path) -> Ledger {
		for _ in 0..6_000 {
			match Store::open(path) {
				Ok((store, saved)) => return Ledger::new([0; 32], dev::alice(), store, saved),
				Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
			}
		}
		panic!("the store stays locked");
	}

	/// A receipt that nobody signed.
	fn unsigned() -> UnacknowledgedReceipt {
		let (model, sequence, price) = (0, 0, Price::default());
		let (body, seed, max_tokens, max_fee, expires) = ([0; 32], 0, 1, 0, 0);
		let envelope = Envelope { channel: 7, model, sequence, body, seed, price, max_tokens, max_fee, expires };
		let (output, fingerprint, finish) = ([0; 32], [0; 32], FinishReason::Stop);
		let (prompt_tokens, completion_tokens, fee) = (1, 1, 0);
		let envelope_hash = envelope.hash(&[0; 32]);
		let receipt =
			Receipt { envelope: envelope_hash, output, fingerprint, prompt_tokens, completion_tokens, finish, fee };
		UnacknowledgedReceipt {
			envelope: Scale(SignedEnvelope { envelope, signature: [0; 64] }),
			receipt: Scale(SignedReceipt { receipt, signature: [0; 64] }),
		}
	}

	#[tokio::test]
	async fn a_worker_that_lists_more_receipts_than_it_can_have_stays_out_of_step() {
		let dir = tempfile::tempdir().unwrap();
		let ledger = open(&dir.path().join("ledger")).await;
		let worker = dev::bob().public_key().0;
		let state = |count| ChannelState { sequence: 0, voucher: None, unacknowledged: vec![unsigned(); count] };
		let error = ledger.reconcile(7, &state(MAX_LISTED + 1), &worker, &[]).await.unwrap_err();
		assert!(matches!(error, ReconcileError::TooMany(1025)), "{error}");
		assert!(!ledger.with(7, |record| record.in_step));
		ledger.reconcile(7, &state(MAX_LISTED), &worker, &[]).await.unwrap();
		assert!(ledger.with(7, |record| record.in_step));
	}

	#[tokio::test]
	async fn a_receipt_after_a_crash_is_charged_to_the_key_of_its_request_once() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("ledger");
		let ledger = open(&path).await;
		ledger.with(7, |record| record.in_step = true);
		let (gateway, settled, closes) = (ledger.public_key(), Totals::default(), None);
		let channel =
			ChannelView { id: 7, developer: [0; 32], host: [1; 32], gateway, deposit: 1_000, settled, closes };
		let terms = |key: &str| Terms {
			model: 0,
			body: [0; 32],
			seed: 0,
			price: Price { input: 2, output: 5 },
			max_tokens: 9,
			max_fee: 100,
			expires: 9,
			key: key.into(),
		};
		let mut unacknowledged = Vec::new();
		for key in ["running", "hung up"] {
			let (hash, signed) = ledger.issue(&channel, terms(key)).await.unwrap();
			let (output, fingerprint, finish) = ([0; 32], [0; 32], FinishReason::Cancelled);
			let (prompt_tokens, completion_tokens, fee) = (3, 1, 11);
			let receipt =
				Receipt { envelope: hash, output, fingerprint, prompt_tokens, completion_tokens, finish, fee };
			let signature = dev::bob().sign(&signing_payload(domain::RECEIPT, &[0; 32], &receipt)).0;
			let receipt = Scale(SignedReceipt { receipt, signature });
			unacknowledged.push(UnacknowledgedReceipt { envelope: Scale(signed), receipt });
			if key == "hung up" {
				let (tokens, prompt_tokens, context_length, stopped, hung_up) = (Vec::new(), 3, 100, false, true);
				let seen = Seen { tokens, prompt_tokens, context_length, stopped, hung_up };
				ledger.hang_up(7, hash, seen, End::Charged);
			}
		}
		ledger.rest().await.unwrap();
		drop(ledger);
		let ledger = open(&path).await;
		let state = ChannelState { sequence: 1, voucher: None, unacknowledged };
		let worker = dev::bob().public_key().0;
		let reconciled = ledger.reconcile(7, &state, &worker, &[]).await.unwrap();
		assert_eq!((reconciled.rejected, ledger.open_items(7)), (0, (2, 0)));
		assert_eq!(reconciled.charges, vec![(Arc::<str>::from("running"), 11)]);
		assert!(ledger.reconcile(7, &state, &worker, &[]).await.unwrap().charges.is_empty());
	}
}
