//! The books in memory: for every channel what was asked, what was answered, and what was promised.
//!
//! Everything that binds is on disk first ([`crate::store`]); what is here can be rebuilt from there and from what
//! the workers know. A channel is used once its worker has told its side ([`Ledger::reconcile`]).

use crate::{
	receipts::{self, Refusal, Seen},
	store::{Saved, Store, StoreError, Vouchers, Write},
};
use gonka_client::wire::{Acknowledgement, Scale};
use gonka_primitives::{
	Balance, BlockNumber, ChannelId, Hash, ModelId, PublicKey,
	hashing::{domain, signing_payload},
	market::{Envelope, Price, SignedEnvelope, SignedReceipt, SignedVoucher, Totals, Voucher},
	views::ChannelView,
};
use std::{
	collections::{BTreeMap, HashMap, HashSet},
	sync::{Arc, Mutex, MutexGuard},
	time::Instant,
};
use subxt_signer::sr25519::Keypair;
use tokio::sync::Notify;

/// The books of all channels of one gateway key.
pub struct Ledger {
	pub(crate) genesis: Hash,
	pub(crate) key: Keypair,
	pub(crate) store: Store,
	pub(crate) books: Mutex<HashMap<ChannelId, Book>>,
}

/// The book of one channel.
#[derive(Default)]
pub(crate) struct Book {
	/// Numbers below were given out by a store that is lost.
	pub first: u64,
	/// The next free number.
	pub next: u64,
	/// Whether `first` and `next` are known.
	pub numbered: bool,
	pub vouchers: Vouchers,
	/// Good receipts that `vouchers.confirmed` does not cover.
	pub receipts: BTreeMap<Hash, SignedReceipt>,
	pub outstanding: HashMap<Hash, Outstanding>,
	pub closed: HashSet<Hash>,
	/// Whether the worker has told its side since the start, and nothing was amiss since.
	pub synced: bool,
	pub wake: Arc<Notify>,
}

/// An envelope without a receipt.
pub(crate) struct Outstanding {
	pub signed: SignedEnvelope,
	/// `None` while the answer is being read; then when reading ended.
	pub ended: Option<Instant>,
	/// What was read of the answer by this process.
	pub seen: Option<Seen>,
}

/// What is to be asked.
#[derive(Clone, Debug)]
pub struct Ask {
	/// The model.
	pub model: ModelId,
	/// Hash of the body.
	pub body: Hash,
	/// The sampling seed.
	pub seed: u64,
	/// The price on chain.
	pub price: Price,
	/// Most completion tokens.
	pub max_tokens: u32,
	/// Most to pay, in base units.
	pub max_fee: Balance,
	/// The last block at which to start.
	pub expires: BlockNumber,
}

/// Why a request cannot be asked on a channel.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
	/// The worker has not told its side of the channel yet.
	#[error("the channel is not in step with its worker yet")]
	NotReady,
	/// The deposit does not cover it.
	#[error("the channel's deposit does not cover the request")]
	Funds,
	/// The books cannot be written.
	#[error(transparent)]
	Store(#[from] StoreError),
}

impl Book {
	fn from_saved(saved: Saved) -> Self {
		let now = Instant::now();
		let outstanding = saved
			.envelopes
			.into_iter()
			.map(|(hash, signed)| (hash, Outstanding { signed, ended: Some(now), seen: None }));
		let (first, next) = saved.sequences.unwrap_or_default();
		Self {
			first,
			next,
			numbered: saved.sequences.is_some(),
			vouchers: saved.vouchers,
			receipts: saved.receipts,
			outstanding: outstanding.collect(),
			closed: saved.closed,
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
	/// The books as the store holds them.
	pub fn new(genesis: Hash, key: Keypair, store: Store, saved: HashMap<ChannelId, Saved>) -> Self {
		let books = saved.into_iter().map(|(channel, saved)| (channel, Book::from_saved(saved))).collect();
		Self { genesis, key, store, books: Mutex::new(books) }
	}

	/// The chain's genesis hash, part of every signed payload.
	pub fn genesis(&self) -> &Hash {
		&self.genesis
	}

	/// The gateway key's public half.
	pub fn public_key(&self) -> PublicKey {
		self.key.public_key().0
	}

	pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Book>> {
		// A panic while the lock was held cannot leave a half-made change that matters: the disk decides.
		self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
	}

	/// What wakes the task that settles a channel.
	pub fn wake(&self, channel: ChannelId) -> Arc<Notify> {
		self.lock().entry(channel).or_default().wake.clone()
	}

	/// Base units of a channel's deposit that are free; `None` while it is not in step with its worker.
	pub fn available(&self, channel: &ChannelView) -> Option<Balance> {
		let books = self.lock();
		let book = books.get(&channel.id).filter(|book| book.synced)?;
		Some(channel.deposit.saturating_sub(book.owed(channel.settled.fee)))
	}

	/// Base units of a channel's deposit that are left when all that is owed is settled.
	pub fn remaining(&self, channel: &ChannelView) -> Balance {
		let owed = self.lock().get(&channel.id).map_or(channel.settled.fee, |book| book.owed(channel.settled.fee));
		channel.deposit.saturating_sub(owed)
	}

	/// Totals that the worker of a channel has on its disk.
	pub fn confirmed(&self, channel: ChannelId) -> Totals {
		self.lock().get(&channel).map(|book| book.vouchers.confirmed).unwrap_or_default()
	}

	/// Receipts due and envelopes open on a channel.
	pub fn open_items(&self, channel: ChannelId) -> (usize, usize) {
		self.lock().get(&channel).map_or((0, 0), |book| (book.receipts.len(), book.outstanding.len()))
	}

	/// Reserves the fee and a sequence number, signs the envelope, and returns it once it is on disk.
	pub async fn ask(&self, channel: &ChannelView, ask: Ask) -> Result<(Hash, SignedEnvelope), AskError> {
		let (hash, signed, writes) = {
			let mut books = self.lock();
			let book = books.get_mut(&channel.id).filter(|book| book.synced).ok_or(AskError::NotReady)?;
			let owed = book.owed(channel.settled.fee).saturating_add(ask.max_fee);
			if owed > channel.deposit {
				return Err(AskError::Funds);
			}
			let sequence = book.next;
			book.next = sequence.checked_add(1).ok_or(AskError::NotReady)?;
			let envelope = Envelope {
				channel: channel.id,
				model: ask.model,
				sequence,
				body: ask.body,
				seed: ask.seed,
				price: ask.price,
				max_tokens: ask.max_tokens,
				max_fee: ask.max_fee,
				expires: ask.expires,
			};
			let hash = envelope.hash(&self.genesis);
			let signed = SignedEnvelope { envelope, signature: self.key.sign(&hash).0 };
			let entry = Outstanding { signed: signed.clone(), ended: None, seen: None };
			book.outstanding.insert(hash, entry);
			let writes = vec![
				Write::Sequences { channel: channel.id, first: book.first, next: book.next },
				Write::Envelope(hash, signed.clone()),
			];
			(hash, signed, writes)
		};
		if let Err(error) = self.store.write(writes).await {
			self.with(channel.id, |book| book.outstanding.remove(&hash));
			return Err(error.into());
		}
		Ok((hash, signed))
	}

	/// Nothing is due for an envelope: the worker refused it or never got it.
	pub async fn forget(&self, channel: ChannelId, hash: Hash) -> Result<(), StoreError> {
		self.store.write(vec![Write::Forget(channel, hash)]).await?;
		self.with(channel, |book| book.outstanding.remove(&hash));
		Ok(())
	}

	/// The gateway stopped reading; the worker may have signed a receipt, to be asked for.
	pub fn hang_up(&self, channel: ChannelId, hash: Hash, mut seen: Seen) {
		seen.hung_up = true;
		self.with(channel, |book| {
			if let Some(entry) = book.outstanding.get_mut(&hash) {
				entry.ended = Some(Instant::now());
				entry.seen = Some(seen);
			}
			book.wake.notify_one();
		});
	}

	/// Checks a receipt that ended a stream. A good one is on disk when this returns and will be acknowledged; a bad
	/// one will never be.
	pub async fn receive(
		&self,
		channel: ChannelId,
		hash: Hash,
		receipt: SignedReceipt,
		worker: &PublicKey,
		seen: &Seen,
	) -> Result<Result<(), Refusal>, StoreError> {
		let envelope =
			self.with(channel, |book| book.outstanding.get(&hash).map(|entry| entry.signed.envelope.clone()));
		let Some(envelope) = envelope else { return Ok(Err(Refusal::Envelope)) };
		let verdict = receipts::check(&receipt, &envelope, worker, &self.genesis, Some(seen));
		match verdict {
			Ok(()) => self.accept(channel, receipt, false).await?,
			Err(_) => self.close(channel, hash).await?,
		}
		Ok(verdict)
	}

	pub(crate) async fn accept(
		&self,
		channel: ChannelId,
		receipt: SignedReceipt,
		foreign: bool,
	) -> Result<(), StoreError> {
		let hash = receipt.receipt.envelope;
		let mut writes = vec![Write::Receipt(channel, receipt.clone())];
		if foreign {
			// Its number says nothing about whether it was paid, so that must be remembered.
			writes.push(Write::Close(channel, hash));
		}
		self.store.write(writes).await?;
		self.with(channel, |book| {
			book.outstanding.remove(&hash);
			if foreign {
				book.closed.insert(hash);
			}
			book.receipts.insert(hash, receipt);
			book.wake.notify_one();
		});
		Ok(())
	}

	pub(crate) async fn close(&self, channel: ChannelId, hash: Hash) -> Result<(), StoreError> {
		self.store.write(vec![Write::Close(channel, hash)]).await?;
		self.with(channel, |book| {
			book.outstanding.remove(&hash);
			book.closed.insert(hash);
		});
		Ok(())
	}

	/// The voucher to send next, on disk when this returns; `None` if nothing is due. One task per channel calls
	/// this and [`Ledger::confirm`]. What was not confirmed is returned again, byte for byte.
	pub async fn promise(&self, channel: ChannelId) -> Result<Option<Acknowledgement>, StoreError> {
		let (vouchers, fresh) = self.with(channel, |book| {
			if book.vouchers.pending.is_some() || book.receipts.is_empty() {
				return (book.vouchers.clone(), false);
			}
			let mut totals = book.vouchers.confirmed;
			let mut hashes = Vec::new();
			for (hash, signed) in &book.receipts {
				let receipt = &signed.receipt;
				let one = Totals { fee: receipt.fee, work: receipt.work(), receipts: 1 };
				let Some(sum) = totals.checked_add(&one) else { break };
				totals = sum;
				hashes.push(*hash);
			}
			let signed = self.sign(Voucher { channel, totals });
			(Vouchers { pending: Some((signed, hashes)), ..book.vouchers.clone() }, true)
		});
		if fresh {
			self.store.write(vec![Write::Vouchers(channel, vouchers.clone(), Vec::new())]).await?;
			self.with(channel, |book| book.vouchers = vouchers.clone());
		}
		Ok(vouchers.pending.map(|(signed, hashes)| Acknowledgement {
			voucher: Scale(signed),
			receipts: hashes.into_iter().map(Scale).collect(),
		}))
	}

	/// The worker has the pending voucher on its disk.
	pub async fn confirm(&self, channel: ChannelId) -> Result<(), StoreError> {
		let pending = self.with(channel, |book| book.vouchers.pending.clone());
		let Some((signed, hashes)) = pending else { return Ok(()) };
		self.settle(channel, signed.voucher.totals, hashes).await
	}

	/// Takes `totals` as what the worker has, with nothing pending and `hashes` covered.
	pub(crate) async fn settle(&self, channel: ChannelId, totals: Totals, hashes: Vec<Hash>) -> Result<(), StoreError> {
		let vouchers = Vouchers { confirmed: totals, pending: None };
		self.store.write(vec![Write::Vouchers(channel, vouchers.clone(), hashes.clone())]).await?;
		self.with(channel, |book| {
			book.vouchers = vouchers;
			for hash in &hashes {
				book.receipts.remove(hash);
			}
		});
		Ok(())
	}

	/// Takes the channel out of use until its worker has told its side again.
	pub fn unsync(&self, channel: ChannelId) {
		self.with(channel, |book| {
			book.synced = false;
			book.wake.notify_one();
		});
	}

	pub(crate) fn sign(&self, voucher: Voucher) -> SignedVoucher {
		let payload = signing_payload(domain::VOUCHER, &self.genesis, &voucher);
		SignedVoucher { voucher, signature: self.key.sign(&payload).0 }
	}

	pub(crate) fn with<T>(&self, channel: ChannelId, change: impl FnOnce(&mut Book) -> T) -> T {
		change(self.lock().entry(channel).or_default())
	}
}
