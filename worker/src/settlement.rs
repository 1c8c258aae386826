//! Settlements: the task that turns acknowledged receipts into one settlement each window.
//!
//! When a window has ended, every channel whose last voucher exceeds its settled totals gives that voucher and the
//! receipts in between; one signed settlement holds them all. It is stored before it is sent, and the same bytes are sent
//! until they are on chain or cannot be included any more. Whether they are included follows from the settled totals of
//! the channels, so a crash at any moment loses nothing and settles nothing twice.

mod batch;

use crate::{
	chain::{Follower, Snapshot},
	store::{
		Durability, Result, Store,
		evidence::{self, StoredTree},
		market::{self, Due},
		seen,
		settlements::{self, SettlementState, StoredSettlement},
	},
};
use batch::Batch;
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	ChannelId, EpochIndex,
	hashing::{domain, signing_payload},
	market::{Settlement, Totals, settling_offset},
	validity::InferenceMarket as ValidityError,
	views::ChannelView,
};
use std::collections::{BTreeSet, HashMap};
use tracing::Instrument;

/// Number of epochs for which settled receipts and leaves stay in the store, for the hosts that check them.
pub const KEPT_EPOCHS: EpochIndex = 2;

/// The task that settles.
pub struct SettlementTask {
	follower: Follower,
	store: Store,
	key: Keypair,
	/// The last window for which a settlement was considered.
	considered: Option<u32>,
	/// Settled totals by channel, as they were seen last.
	seen: HashMap<ChannelId, Totals>,
	/// The last window whose settlement costs more than host and fees can pay; it is not sent again.
	unpaid: Option<u32>,
	/// Channels whose totals on chain this host did not sign; an error was logged for each.
	unknown: BTreeSet<ChannelId>,
}

impl SettlementTask {
	/// Makes the task for the follower's host. `key` is the worker key.
	pub fn new(follower: Follower, store: Store, key: Keypair) -> Self {
		Self { follower, store, key, considered: None, unpaid: None, seen: HashMap::new(), unknown: BTreeSet::new() }
	}

	/// Runs until the chain is no longer followed.
	pub async fn run(mut self) {
		let mut snapshots = self.follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			if let Err(error) = self.step(&snapshot).await {
				tracing::error!(%error, "cannot settle; trying again with the next block");
			}
		}
	}

	/// Does what is due at a block.
	async fn step(&mut self, snapshot: &Snapshot) -> Result<()> {
		// A node that is still syncing lacks channels and settlements that the chain has.
		if self.store.read(|tx| seen::is_behind(tx, snapshot.epoch.block))? {
			return Ok(());
		}
		self.note_settled(snapshot).await?;
		let length = snapshot.market.window;
		let Some(ended) = snapshot.block.checked_div(length).and_then(|window| window.checked_sub(1)) else {
			return Ok(());
		};
		let latest = self.store.read(settlements::latest)?;
		if let Some(pending) = latest.as_ref().filter(|latest| latest.state == SettlementState::Pending) {
			let span = tracing::info_span!("settlement", window = pending.settlement.window);
			return self.pursue(snapshot, pending.clone(), ended).instrument(span).await;
		}
		let is_settled = latest.is_some_and(|latest| latest.settlement.window >= ended);
		let is_early = snapshot.block.checked_rem(length) < Some(settling_offset(self.follower.host(), length));
		if is_settled || is_early || self.considered == Some(ended) {
			return Ok(());
		}
		self.considered = Some(ended);
		self.settle(snapshot, ended).instrument(tracing::info_span!("settlement", window = ended)).await
	}

	/// Signs, stores and sends the settlement of a window, if anything is due.
	async fn settle(&mut self, snapshot: &Snapshot, window: u32) -> Result<()> {
		// The next settlement is sent in the window after the running one; a quarter of that is time to include it.
		let length = snapshot.market.window;
		let next = window.saturating_add(2).saturating_mul(length);
		let next = next.saturating_add(settling_offset(self.follower.host(), length)).saturating_add(length / 4);
		let batch = Batch::new(self.due(snapshot)?, snapshot.market.max_vouchers, next)?;
		let Some(batch) = batch else { return Ok(()) };
		let Batch { leaves, root, work, vouchers } = batch;
		let settlement = Settlement { host: *self.follower.host(), window, root, work, vouchers };
		let genesis = self.follower.chain().genesis();
		let signature = keys::sign(&self.key, &signing_payload(domain::SETTLEMENT, &genesis, &settlement));
		let (epoch, state) = (snapshot.epoch.index, SettlementState::Pending);
		let stored = StoredSettlement { settlement, signature, epoch, state };
		let (kept, tree) = (stored.clone(), StoredTree { epoch, leaves });
		let put = self.store.write(Durability::Now, move |tx| {
			settlements::put(tx, &kept)?;
			evidence::put_tree(tx, window, &tree)
		});
		put.await?;
		self.send(&stored).await;
		Ok(())
	}

	/// Returns what each channel has to settle.
	fn due(&mut self, snapshot: &Snapshot) -> Result<Vec<(ChannelView, Due)>> {
		let known = self.store.read(market::channels)?;
		let mut all = Vec::new();
		for channel in known.iter().filter_map(|id| snapshot.channels.get(id)) {
			match self.store.read(|tx| market::due(tx, channel))? {
				Ok(Some(due)) => all.push((channel.clone(), due)),
				Ok(None) => {},
				Err(error) => {
					if self.unknown.insert(channel.id) {
						tracing::error!(%error, "cannot settle a channel");
					}
				},
			}
		}
		Ok(all)
	}

	/// Continues with a signed settlement.
	async fn pursue(&mut self, snapshot: &Snapshot, stored: StoredSettlement, ended: u32) -> Result<()> {
		match inclusion(snapshot, &stored.settlement, &self.store)? {
			Inclusion::Included => {
				let sum = stored.settlement.root.sum;
				tracing::info!(receipts = sum.receipts, work = sum.work, fee = sum.fee, "settlement included");
				metrics::counter!("gonka_worker_settlements_total").increment(1);
				self.put(StoredSettlement { state: SettlementState::Included, ..stored }).await
			},
			Inclusion::Impossible => self.replace(snapshot, stored, ended).await,
			Inclusion::Unknown => {
				tracing::warn!("all channels of the settlement are withdrawn, so nothing tells whether it is included");
				self.put(StoredSettlement { state: SettlementState::Abandoned, ..stored }).await
			},
			Inclusion::Possible => {
				let window = stored.settlement.window;
				if self.unpaid == Some(window) && window >= ended {
					// Receipts of the next window may pay for it; until then nothing changes.
					return Ok(());
				}
				if !self.send(&stored).await && window < ended {
					// The settlement of a later window replaces it; only one of the two can be included.
					return self.replace(snapshot, stored, ended).await;
				}
				Ok(())
			},
		}
	}

	/// Abandons a settlement, and makes another one of its receipts. Its tree stays unless the other one is of the same
	/// window: if that is a later one, this one may be in the transaction pool and be included nevertheless.
	async fn replace(&mut self, snapshot: &Snapshot, stored: StoredSettlement, ended: u32) -> Result<()> {
		let window = stored.settlement.window;
		tracing::warn!("the settlement can no longer be included; making another one");
		self.put(StoredSettlement { state: SettlementState::Abandoned, ..stored }).await?;
		self.considered = Some(ended);
		self.settle(snapshot, ended.max(window)).await
	}

	/// Sends a settlement. Returns whether the chain confirmed that it is included.
	async fn send(&mut self, stored: &StoredSettlement) -> bool {
		let StoredSettlement { settlement, signature, .. } = stored;
		let (vouchers, sum) = (settlement.vouchers.len(), settlement.root.sum);
		tracing::info!(vouchers, receipts = sum.receipts, fee = sum.fee, "sending a settlement");
		let chain = self.follower.chain();
		// The worker key may have changed since.
		let payload = signing_payload(domain::SETTLEMENT, &chain.genesis(), settlement);
		let signature = keys::renew(&self.key, &payload, *signature);
		let sent = chain.submit_settlement(settlement.clone(), signature).await;
		match &sent {
			Err(error) if error.validity_code() == Some(ValidityError::FeeNotCovered.into()) => {
				self.unpaid = Some(settlement.window);
				tracing::warn!(%error, "the settlement waits for the receipts of the next window");
			},
			Err(error) => {
				tracing::warn!(%error, "the settlement was not confirmed; reading the chain again with the next block");
			},
			Ok(()) => {},
		}
		sent.is_ok()
	}

	async fn put(&self, stored: StoredSettlement) -> Result<()> {
		self.store.write(Durability::Now, move |tx| settlements::put(tx, &stored)).await
	}

	/// Notes how far channels are settled, so that their receipts can be deleted in time.
	async fn note_settled(&mut self, snapshot: &Snapshot) -> Result<()> {
		self.seen.retain(|id, _| snapshot.channels.contains_key(id));
		let changed = snapshot.channels.values().filter(|channel| self.seen.get(&channel.id) != Some(&channel.settled));
		let changed: Vec<ChannelView> = changed.cloned().collect();
		if changed.is_empty() {
			return Ok(());
		}
		let seen: Vec<_> = changed.iter().map(|channel| (channel.id, channel.settled)).collect();
		let epoch = snapshot.epoch.index;
		let noted = self.store.write(Durability::Later, move |tx| {
			changed
				.iter()
				.try_fold(0u64, |sum, channel| Ok(sum.saturating_add(market::note_settled(tx, channel, epoch)?)))
		});
		let receipts = noted.await?;
		self.seen.extend(seen);
		if receipts > 0 {
			metrics::counter!("gonka_worker_receipts_settled_total").increment(receipts);
			tracing::info!(receipts, "receipts settled");
		}
		Ok(())
	}
}

/// The state of a signed settlement on chain.
enum Inclusion {
	/// It is included.
	Included,
	/// It cannot be included: another one replaced it, or one of its channels was closed.
	Impossible,
	/// It may still be included.
	Possible,
	/// None of its channels is left to tell.
	Unknown,
}

/// Returns whether a settlement is, or can be, included. It is included as a whole, and withdrawn channels do not return,
/// so the channels that are left decide together.
fn inclusion(snapshot: &Snapshot, settlement: &Settlement, store: &Store) -> Result<Inclusion> {
	let vouchers = settlement.vouchers.iter().map(|signed| &signed.voucher);
	let left = vouchers.filter_map(|voucher| Some((snapshot.channels.get(&voucher.channel)?, voucher)));
	let left: Vec<_> = left.collect();
	if left.is_empty() {
		return Ok(Inclusion::Unknown);
	}
	if left.iter().all(|(channel, voucher)| channel.settled.checked_sub(&voucher.totals).is_some()) {
		return Ok(Inclusion::Included);
	}
	if left.len() < settlement.vouchers.len() {
		return Ok(Inclusion::Impossible);
	}
	let mut growth = Totals::default();
	for (channel, voucher) in left {
		let due = store.read(|tx| market::due(tx, channel))?;
		let rest = voucher.totals.checked_sub(&channel.settled).filter(|_| matches!(due, Ok(Some(_))));
		let Some(sum) = rest.and_then(|rest| growth.checked_add(&rest)) else { return Ok(Inclusion::Impossible) };
		growth = sum;
	}
	Ok(if growth == settlement.root.sum { Inclusion::Possible } else { Inclusion::Impossible })
}
