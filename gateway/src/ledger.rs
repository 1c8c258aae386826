//! The ledger in memory: for every channel, envelopes, receipts and vouchers.
//!
//! A voucher is on disk ([`crate::store`]) before it is sent. Envelopes and receipts are written without waiting for the disk,
//! before the voucher that pays for them: those that a crash loses are recovered from the workers' records ([`crate::numbers`]).
//! A channel is in use once it is reconciled with its worker ([`Ledger::reconcile`]).

use crate::{
	metering::Tab,
	numbers::{Numbers, WINDOW},
	receipts::{self, ReceiptError, Seen},
	store::{Saved, Store, StoreError, Vouchers, Write, Written},
};
use gonka_client::worker_api::{Acknowledgement, Scale};
use gonka_primitives::{
	Balance, BlockNumber, ChannelId, Hash, ModelId, PublicKey,
	hashing::{domain, signing_payload},
	market::{Envelope, Price, SignedEnvelope, SignedReceipt, SignedVoucher, Totals, Voucher},
	views::ChannelView,
};
use std::{
	collections::{BTreeMap, HashMap},
	sync::{Arc, Mutex, MutexGuard},
	time::Instant,
};
use subxt_signer::sr25519::Keypair;
use tokio::sync::Notify;

/// The record of all channels of one gateway key.
pub struct Ledger {
	pub(crate) genesis: Hash,
	pub(crate) key: Keypair,
	pub(crate) store: Store,
	channels: Mutex<HashMap<ChannelId, ChannelRecord>>,
}

/// The record of one channel.
#[derive(Default)]
pub(crate) struct ChannelRecord {
	pub numbers: Numbers,
	pub vouchers: Vouchers,
	/// Correct receipts that `vouchers.confirmed` does not cover.
	pub receipts: BTreeMap<Hash, SignedReceipt>,
	pub outstanding: HashMap<Hash, Outstanding>,
	/// Whether the channel was reconciled with its worker since the start, and no contradiction came up since.
	pub in_step: bool,
	/// Wakes the task that acknowledges the channel's receipts.
	pub wake: Arc<Notify>,
}

/// An envelope without a receipt.
pub(crate) struct Outstanding {
	pub signed: SignedEnvelope,
	/// When reading of the response ended; `None` while it goes on.
	pub ended: Option<Instant>,
	/// The part of the response that this process read.
	pub seen: Option<Seen>,
	/// The id of the API key to which a receipt is to be charged that comes after the request has ended, or without it.
	pub debtor: Option<Arc<str>>,
	/// The tab of a client that hung up.
	pub tab: Option<Arc<Tab>>,
}

/// The tab of a client that hung up, and the id of the API key to which a receipt is to be charged whose request has no end that has the
/// cost.
type Charged = (Option<Arc<Tab>>, Option<Arc<str>>);

/// The end of reading a response before its receipt.
pub enum End {
	/// The client hung up: the receipt says what it is charged.
	HungUp(Arc<Tab>),
	/// The API key is charged for the tokens that arrived.
	Charged,
	/// Nothing arrived.
	Silent,
}

/// The terms of an envelope, all but its channel and sequence number.
#[derive(Clone, Debug)]
pub struct Terms {
	/// The model.
	pub model: ModelId,
	/// The hash of the request's body.
	pub body: Hash,
	/// The sampling seed.
	pub seed: u64,
	/// The price on chain.
	pub price: Price,
	/// Maximum number of completion tokens.
	pub max_tokens: u32,
	/// Maximum fee, in base units.
	pub max_fee: Balance,
	/// The last block at which the host may start.
	pub expires: BlockNumber,
	/// The id of the API key that pays.
	pub key: Arc<str>,
}

/// Why no envelope can be issued on a channel.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
	/// The channel is not reconciled with its worker yet.
	#[error("the channel is not in step with its worker yet")]
	NotInStep,
	/// The deposit does not cover the maximum fee.
	#[error("the channel's deposit does not cover the request")]
	Funds,
	/// The ledger cannot be written.
	#[error(transparent)]
	Store(#[from] StoreError),
}

impl ChannelRecord {
	fn from_saved(mut saved: Saved) -> Self {
		let now = Instant::now();
		let outstanding = saved.envelopes.into_iter().map(|(hash, signed)| {
			(hash, Outstanding { signed, ended: Some(now), seen: None, debtor: saved.debtors.remove(&hash), tab: None })
		});
		Self {
			numbers: Numbers::after_start(saved.reserved, saved.recorded),
			vouchers: saved.vouchers,
			receipts: saved.receipts,
			outstanding: outstanding.collect(),
			..Self::default()
		}
	}

	/// Base units that are settled, promised, due, or at stake in running requests.
	fn owed(&self, settled: Balance) -> Balance {
		let due = self.receipts.values().map(|signed| signed.receipt.fee);
		let at_stake = self.outstanding.values().map(|entry| entry.signed.envelope.max_fee);
		due.chain(at_stake).fold(self.vouchers.confirmed.fee.max(settled), Balance::saturating_add)
	}
}

impl Ledger {
	/// The store. Once it is closed, no request can be served.
	pub fn store(&self) -> &Store {
		&self.store
	}

	/// Builds the ledger from the contents of its store.
	pub fn new(genesis: Hash, key: Keypair, store: Store, saved: HashMap<ChannelId, Saved>) -> Self {
		let channels = saved.into_iter().map(|(channel, saved)| (channel, ChannelRecord::from_saved(saved))).collect();
		Self { genesis, key, store, channels: Mutex::new(channels) }
	}

	/// The chain's genesis hash, which every signed payload contains.
	pub fn genesis(&self) -> &Hash {
		&self.genesis
	}

	/// The gateway key's public half.
	pub fn public_key(&self) -> PublicKey {
		self.key.public_key().0
	}

	pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, ChannelRecord>> {
		// A panic under the lock can leave no half-made change that matters: the disk decides.
		self.channels.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
	}

	/// The notification that wakes the task of a channel ([`crate::vouchers`]).
	pub fn wake(&self, channel: ChannelId) -> Arc<Notify> {
		self.lock().entry(channel).or_default().wake.clone()
	}

	/// Base units of a channel's deposit that are free; `None` while the channel is not in step with its worker.
	pub fn available(&self, channel: &ChannelView) -> Option<Balance> {
		let channels = self.lock();
		let record = channels.get(&channel.id).filter(|record| record.in_step)?;
		Some(channel.deposit.saturating_sub(record.owed(channel.settled.fee)))
	}

	/// Base units of a channel's deposit that remain when everything owed is settled.
	pub fn remaining(&self, channel: &ChannelView) -> Balance {
		let owed = self.lock().get(&channel.id).map_or(channel.settled.fee, |record| record.owed(channel.settled.fee));
		channel.deposit.saturating_sub(owed)
	}

	/// The totals of the last voucher that the channel's worker has on its disk.
	pub fn confirmed(&self, channel: ChannelId) -> Totals {
		self.lock().get(&channel).map(|record| record.vouchers.confirmed).unwrap_or_default()
	}

	/// The numbers of receipts that are due and of envelopes without a receipt.
	pub fn open_items(&self, channel: ChannelId) -> (usize, usize) {
		self.lock().get(&channel).map_or((0, 0), |record| (record.receipts.len(), record.outstanding.len()))
	}

	/// Issues an envelope: reserves the maximum fee and a sequence number, and signs.
	pub async fn issue(&self, channel: &ChannelView, terms: Terms) -> Result<(Hash, SignedEnvelope), IssueError> {
		self.store.keep_up().await;
		loop {
			if let Some(issued) = self.try_issue(channel, &terms)? {
				return Ok(issued);
			}
			// All reserved numbers are used, and the disk is slower than the requests.
			self.reserve(channel.id, 0).await?;
		}
	}

	/// Issues an envelope if there is a sequence number that is reserved on disk.
	fn try_issue(&self, channel: &ChannelView, terms: &Terms) -> Result<Option<(Hash, SignedEnvelope)>, IssueError> {
		let mut channels = self.lock();
		let record = channels.get_mut(&channel.id).filter(|record| record.in_step).ok_or(IssueError::NotInStep)?;
		if record.owed(channel.settled.fee).saturating_add(terms.max_fee) > channel.deposit {
			return Err(IssueError::Funds);
		}
		let Some(sequence) = record.numbers.take() else { return Ok(None) };
		let envelope = Envelope {
			channel: channel.id,
			model: terms.model,
			sequence,
			body: terms.body,
			seed: terms.seed,
			price: terms.price,
			max_tokens: terms.max_tokens,
			max_fee: terms.max_fee,
			expires: terms.expires,
		};
		let hash = envelope.hash(&self.genesis);
		let signed = SignedEnvelope { envelope, signature: self.key.sign(&hash).0 };
		let debtor = Some(terms.key.clone());
		let writes = vec![Write::Envelope(hash, signed.clone()), Write::Debtor(channel.id, hash, debtor.clone())];
		self.store.submit(writes)?;
		if record.numbers.is_low() {
			let (end, written) = self.submit_reservation(channel.id, record, 0)?;
			record.numbers.expect(end, written);
		}
		record
			.outstanding
			.insert(hash, Outstanding { signed: signed.clone(), ended: None, seen: None, debtor, tab: None });
		Ok(Some((hash, signed)))
	}

	/// Reserves sequence numbers from `next` on, or from the next free one if that is higher. Returns once that is on disk.
	pub(crate) async fn reserve(&self, channel: ChannelId, next: u64) -> Result<(), StoreError> {
		let (end, written) = self.with(channel, |record| self.submit_reservation(channel, record, next))?;
		self.store.write_now();
		written.await.map_err(|_| StoreError::Stopped)?;
		self.with(channel, |record| record.numbers.reserved(end));
		Ok(())
	}

	fn submit_reservation(
		&self,
		channel: ChannelId,
		record: &mut ChannelRecord,
		next: u64,
	) -> Result<(u64, Written), StoreError> {
		let reservation = record.numbers.reserve(next);
		let end = reservation.end;
		Ok((end, self.store.submit(vec![Write::Reserve(channel, reservation, record.numbers.next())])?))
	}

	/// Gives back the sequence numbers that were not used, so that the next start knows that no envelope was lost.
	pub async fn rest(&self) -> Result<(), StoreError> {
		let writes = {
			let mut channels = self.lock();
			let known = channels.iter_mut().filter(|(_, record)| record.numbers.is_known());
			known.map(|(id, record)| Write::Reserve(*id, record.numbers.rest(), record.numbers.next())).collect()
		};
		self.store.write(writes).await
	}

	/// Removes an envelope for which nothing is due, because the worker rejected it or never got it. Returns its sequence number,
	/// which another gateway with the same key may have used.
	pub fn forget(&self, channel: ChannelId, hash: Hash) -> Result<Option<u64>, StoreError> {
		self.with(channel, |record| {
			let Some(entry) = record.outstanding.remove(&hash) else { return Ok(None) };
			let sequence = entry.signed.envelope.sequence;
			let reservation = record.numbers.void(sequence, hash);
			let writes =
				vec![Write::Forget(channel, hash), Write::Reserve(channel, reservation, record.numbers.next())];
			self.store.submit(writes)?;
			Ok(Some(sequence))
		})
	}

	/// Does the same for an envelope that the worker rejected because it has seen its sequence number: another gateway uses the same
	/// key, so the channel is reconciled.
	pub fn disown(&self, channel: ChannelId, hash: Hash) -> Result<(), StoreError> {
		let sequence = self.forget(channel, hash)?;
		let next = self.with(channel, |record| record.numbers.next());
		if sequence.is_some_and(|sequence| next.saturating_sub(sequence) < WINDOW) {
			self.unsync(channel);
		}
		Ok(())
	}

	/// Notes that reading ended before the receipt. The worker may have signed one, so it is queried.
	pub fn hang_up(&self, channel: ChannelId, hash: Hash, seen: Seen, end: End) {
		self.with(channel, |record| {
			if let Some(entry) = record.outstanding.get_mut(&hash) {
				entry.ended = Some(Instant::now());
				entry.seen = Some(seen);
				match end {
					End::HungUp(tab) => entry.tab = Some(tab),
					End::Charged => {
						entry.debtor = None;
						// The next write notices a store that is closed.
						let _ = self.store.submit(vec![Write::Debtor(channel, hash, None)]);
					},
					End::Silent => {},
				}
			}
			record.wake.notify_one();
		});
	}

	/// Checks a receipt that ended a stream. A correct one will be acknowledged, once it is on disk. A wrong one never is.
	pub async fn receive(
		&self,
		channel: ChannelId,
		hash: Hash,
		receipt: SignedReceipt,
		worker: &PublicKey,
		seen: &Seen,
	) -> Result<Result<(), ReceiptError>, StoreError> {
		let envelope =
			self.with(channel, |record| record.outstanding.get(&hash).map(|entry| entry.signed.envelope.clone()));
		let Some(envelope) = envelope else { return Ok(Err(ReceiptError::Envelope)) };
		let checked = receipts::check(&receipt, &envelope, worker, &self.genesis, Some(seen));
		match checked {
			// The request's end has its cost.
			Ok(()) => drop(self.accept(channel, receipt, None)?),
			Err(_) => self.close(channel, hash, None).await?,
		}
		Ok(checked)
	}

	/// Takes a correct receipt. `lost` is the sequence number of an envelope that is not in this ledger. Returns what it is charged to.
	pub(crate) fn accept(
		&self,
		channel: ChannelId,
		receipt: SignedReceipt,
		lost: Option<u64>,
	) -> Result<Charged, StoreError> {
		let hash = receipt.receipt.envelope;
		self.with(channel, |record| {
			let charged = record.outstanding.remove(&hash).map(|entry| (entry.tab, entry.debtor)).unwrap_or_default();
			let mut writes = vec![Write::Receipt(channel, receipt.clone())];
			writes.extend(lost.map(|number| settle(channel, record, number)));
			record.receipts.insert(hash, receipt);
			record.wake.notify_one();
			// Under the lock, so that no voucher that pays for it is written before.
			self.store.submit(writes)?;
			Ok(charged)
		})
	}

	/// Notes that an envelope is never paid for. `lost` is the sequence number of one that is not in this ledger.
	pub(crate) async fn close(&self, channel: ChannelId, hash: Hash, lost: Option<u64>) -> Result<(), StoreError> {
		let written = self.with(channel, |record| {
			record.outstanding.remove(&hash);
			let mut writes = vec![Write::Forget(channel, hash)];
			writes.extend(lost.map(|number| settle(channel, record, number)));
			self.store.submit(writes)
		})?;
		self.store.write_now();
		written.await.map_err(|_| StoreError::Stopped)
	}

	/// Returns the voucher to send next, which is on disk then, or `None` if nothing is due. A voucher that is not
	/// confirmed yet is returned again, byte for byte. Only one task per channel may call this and [`Ledger::confirm`].
	pub async fn promise(&self, channel: ChannelId) -> Result<Option<Acknowledgement>, StoreError> {
		let (vouchers, fresh) = self.with(channel, |record| {
			if record.vouchers.pending.is_some() || record.receipts.is_empty() {
				return (record.vouchers.clone(), false);
			}
			let mut totals = record.vouchers.confirmed;
			let mut hashes = Vec::new();
			for (hash, signed) in &record.receipts {
				let receipt = &signed.receipt;
				let one = Totals { fee: receipt.fee, work: receipt.work(), receipts: 1 };
				let Some(sum) = totals.checked_add(&one) else { break };
				totals = sum;
				hashes.push(*hash);
			}
			let signed = self.sign(Voucher { channel, totals });
			(Vouchers { pending: Some((signed, hashes)), ..record.vouchers.clone() }, true)
		});
		if fresh {
			self.store.write(vec![Write::Vouchers(channel, vouchers.clone(), Vec::new())]).await?;
			self.with(channel, |record| record.vouchers = vouchers.clone());
		}
		Ok(vouchers.pending.map(|(signed, hashes)| Acknowledgement {
			voucher: Scale(signed),
			receipts: hashes.into_iter().map(Scale).collect(),
		}))
	}

	/// Notes that the worker has the pending voucher on its disk.
	pub async fn confirm(&self, channel: ChannelId) -> Result<(), StoreError> {
		let pending = self.with(channel, |record| record.vouchers.pending.clone());
		let Some((signed, hashes)) = pending else { return Ok(()) };
		self.cover(channel, signed.voucher.totals, hashes).await
	}

	/// Records that the worker has a voucher of `totals`, that none is pending, and that the receipts `hashes` are
	/// covered.
	pub(crate) async fn cover(&self, channel: ChannelId, totals: Totals, hashes: Vec<Hash>) -> Result<(), StoreError> {
		let vouchers = Vouchers { confirmed: totals, pending: None };
		self.store.write(vec![Write::Vouchers(channel, vouchers.clone(), hashes.clone())]).await?;
		self.with(channel, |record| {
			record.vouchers = vouchers;
			for hash in &hashes {
				record.receipts.remove(hash);
			}
		});
		Ok(())
	}

	/// Takes the channel out of use until it is reconciled with its worker again.
	pub fn unsync(&self, channel: ChannelId) {
		self.with(channel, |record| {
			record.in_step = false;
			record.wake.notify_one();
		});
	}

	pub(crate) fn sign(&self, voucher: Voucher) -> SignedVoucher {
		let payload = signing_payload(domain::VOUCHER, &self.genesis, &voucher);
		SignedVoucher { voucher, signature: self.key.sign(&payload).0 }
	}

	pub(crate) fn with<T>(&self, channel: ChannelId, change: impl FnOnce(&mut ChannelRecord) -> T) -> T {
		change(self.lock().entry(channel).or_default())
	}
}

/// Notes that nothing more is due for a sequence number of which there was no record.
fn settle(channel: ChannelId, record: &mut ChannelRecord, number: u64) -> Write {
	let reservation = record.numbers.settle(number);
	Write::Reserve(channel, reservation, record.numbers.next())
}
