//! Turning acknowledged receipts into a claim on chain, once a window.
//!
//! When a window has ended, every channel whose last voucher goes beyond what is settled on chain gives that voucher
//! and the receipts in between; one signed settlement holds them all. It is on disk before it is sent, and the same
//! bytes are sent until the chain has taken them or cannot any more. Whether it has is read off the channels' settled
//! totals, so a crash at any moment loses nothing and claims nothing twice.

use crate::{
	chain::{Follower, Snapshot},
	store::{
		Durability, Store, StoreError, check,
		evidence::{self, StoredTree},
		findings,
		market::{self, Due, DueReceipt},
		race,
		settlements::{self, SettlementState, StoredSettlement},
	},
};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	ChannelId, EpochIndex, Hash, MAX_MODELS_PER_HOST, ModelId,
	hashing::{domain, signing_payload},
	market::{Settlement, Totals, settling_offset},
	merkle_sum::{self, SumNode},
	views::ChannelView,
};
use std::{
	cmp::Reverse,
	collections::{BTreeMap, BTreeSet, HashMap},
};

/// Epochs for which settled receipts and leaves stay on disk, for whoever checks them.
pub const KEPT_EPOCHS: EpochIndex = 2;
/// Windows for which settlements stay on disk.
const KEPT_WINDOWS: u32 = 1000;

/// The worker's claims.
pub struct Settler {
	follower: Follower,
	store: Store,
	key: Keypair,
	/// The last window for which there was a look at what is due.
	considered: Option<u32>,
	/// Settled totals by channel, as last seen.
	seen: HashMap<ChannelId, Totals>,
	/// The last epoch in which old entries were removed.
	pruned: Option<EpochIndex>,
	/// Channels whose totals on chain are unknown here, and were complained about.
	strange: BTreeSet<ChannelId>,
}

impl Settler {
	/// Over a store whose host is the follower's; `key` is the worker key.
	pub fn new(follower: Follower, store: Store, key: Keypair) -> Self {
		Self { follower, store, key, considered: None, seen: HashMap::new(), pruned: None, strange: BTreeSet::new() }
	}

	/// Settles for ever.
	pub async fn run(mut self) {
		let mut snapshots = self.follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			if let Err(error) = self.step(&snapshot).await {
				tracing::error!(%error, "settling failed; trying again with the next block");
			}
		}
	}

	/// Does what there is to do at a block.
	pub async fn step(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
		self.note_settled(snapshot).await?;
		self.prune(snapshot).await?;
		let length = snapshot.market.window;
		let Some(ended) = snapshot.block.checked_div(length).and_then(|window| window.checked_sub(1)) else {
			return Ok(());
		};
		let latest = self.store.read(settlements::latest)?;
		if let Some(pending) = latest.as_ref().filter(|latest| latest.state == SettlementState::Pending) {
			return self.pursue(snapshot, pending.clone(), ended).await;
		}
		let settled = latest.is_some_and(|latest| latest.settlement.window >= ended);
		let early = snapshot.block.checked_rem(length) < Some(settling_offset(self.follower.host(), length));
		if settled || early || self.considered == Some(ended) {
			return Ok(());
		}
		self.considered = Some(ended);
		self.claim(snapshot, ended).await
	}

	/// Builds, keeps and sends the settlement of a window, if anything is due.
	async fn claim(&mut self, snapshot: &Snapshot, window: u32) -> Result<(), StoreError> {
		let mut due = self.due(snapshot)?;
		if due.is_empty() {
			return Ok(());
		}
		// What could be lost first, then what is worth most; the rest waits for the next window.
		due.sort_by_key(|(channel, due)| {
			(channel.closes.unwrap_or(u32::MAX), Reverse(due.growth.fee), Reverse(due.growth.work), channel.id)
		});
		due.truncate(snapshot.market.max_vouchers as usize);
		let mut work = BTreeMap::<ModelId, u64>::new();
		due.retain(|(_, due)| {
			let mut with = work.clone();
			for (model, more) in &due.work {
				let sum = with.entry(*model).or_default();
				*sum = sum.saturating_add(*more);
			}
			let fits = with.len() <= MAX_MODELS_PER_HOST as usize;
			if fits {
				work = with;
			}
			fits
		});
		due.sort_by_key(|(channel, _)| channel.id);
		let leaves = by_model(due.iter().flat_map(|(_, due)| due.receipts.iter().copied()));
		let nodes: Vec<_> = leaves.iter().map(|(_, leaf)| *leaf).collect();
		let growth = due.iter().try_fold(Totals::default(), |sum, (_, due)| sum.checked_add(&due.growth));
		let (Some(root), Some(growth)) = (merkle_sum::root(&nodes), growth) else {
			return Err(StoreError::Failed("the sums of a settlement overflow".into()));
		};
		if root.sum != growth {
			return Err(StoreError::Failed(format!("receipts sum to {:?}, vouchers to {growth:?}", root.sum)));
		}
		let vouchers = due.into_iter().map(|(_, due)| due.voucher).collect();
		let work = work.into_iter().collect();
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

	/// What every channel has to settle.
	fn due(&mut self, snapshot: &Snapshot) -> Result<Vec<(ChannelView, Due)>, StoreError> {
		let known = self.store.read(market::channels)?;
		let mut all = Vec::new();
		for channel in known.iter().filter_map(|id| snapshot.channels.get(id)) {
			match self.store.read(|tx| market::due(tx, channel))? {
				Ok(Some(due)) => all.push((channel.clone(), due)),
				Ok(None) => {},
				Err(why) => {
					if self.strange.insert(channel.id) {
						tracing::error!(channel = channel.id, why, "a channel cannot be settled");
					}
				},
			}
		}
		Ok(all)
	}

	/// Goes on with a settlement that was signed.
	async fn pursue(&mut self, snapshot: &Snapshot, stored: StoredSettlement, ended: u32) -> Result<(), StoreError> {
		match fate(snapshot, &stored.settlement, &self.store)? {
			Fate::Included => {
				let (window, sum) = (stored.settlement.window, stored.settlement.root.sum);
				tracing::info!(window, receipts = sum.receipts, work = sum.work, fee = sum.fee, "settlement included");
				metrics::counter!("gonka_worker_settlements_total").increment(1);
				self.put(StoredSettlement { state: SettlementState::Included, ..stored }).await
			},
			Fate::Impossible => self.abandon(snapshot, stored, ended).await,
			Fate::Open => {
				if !self.send(&stored).await && stored.settlement.window < ended {
					// A later window's settlement takes its place; only one of the two can be included.
					return self.abandon(snapshot, stored, ended).await;
				}
				Ok(())
			},
		}
	}

	async fn abandon(&mut self, snapshot: &Snapshot, stored: StoredSettlement, ended: u32) -> Result<(), StoreError> {
		let window = stored.settlement.window;
		tracing::warn!(window, "a settlement can no longer be included; making another");
		self.put(StoredSettlement { state: SettlementState::Abandoned, ..stored }).await?;
		self.store.write(Durability::Later, move |tx| evidence::drop_tree(tx, window)).await?;
		self.considered = Some(ended);
		self.claim(snapshot, ended.max(window)).await
	}

	/// True if the chain says it has taken it.
	async fn send(&self, stored: &StoredSettlement) -> bool {
		let StoredSettlement { settlement, signature, .. } = stored;
		let (window, vouchers, sum) = (settlement.window, settlement.vouchers.len(), settlement.root.sum);
		tracing::info!(window, vouchers, receipts = sum.receipts, fee = sum.fee, "sending a settlement");
		let sent = self.follower.chain().submit_settlement(settlement.clone(), *signature).await;
		if let Err(error) = &sent {
			tracing::warn!(window, %error, "the settlement was not taken; looking again with the next block");
		}
		sent.is_ok()
	}

	async fn put(&self, stored: StoredSettlement) -> Result<(), StoreError> {
		self.store.write(Durability::Now, move |tx| settlements::put(tx, &stored)).await
	}

	/// Notes how far channels are settled, so that receipts can be forgotten in time.
	async fn note_settled(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
		let grown: Vec<ChannelView> = snapshot
			.channels
			.values()
			.filter(|channel| self.seen.get(&channel.id) != Some(&channel.settled))
			.cloned()
			.collect();
		if grown.is_empty() {
			return Ok(());
		}
		let seen: Vec<_> = grown.iter().map(|channel| (channel.id, channel.settled)).collect();
		let epoch = snapshot.epoch.index;
		let new = self.store.write(Durability::Later, move |tx| {
			grown
				.iter()
				.try_fold(0u64, |sum, channel| Ok(sum.saturating_add(market::note_settled(tx, channel, epoch)?)))
		});
		let new = new.await?;
		self.seen.extend(seen);
		if new > 0 {
			metrics::counter!("gonka_worker_receipts_settled_total").increment(new);
			tracing::info!(receipts = new, "receipts settled");
		}
		Ok(())
	}

	/// Once an epoch: forgets what nobody can ask for any more.
	async fn prune(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
		let epoch = snapshot.epoch.index;
		if self.pruned == Some(epoch) {
			return Ok(());
		}
		self.pruned = Some(epoch);
		let mut gone = Vec::new();
		for id in self.store.read(market::channels)? {
			if !snapshot.channels.contains_key(&id) && matches!(self.follower.fresh_channel(id).await, Ok(None)) {
				gone.push(id);
			}
		}
		self.seen.retain(|id, _| snapshot.channels.contains_key(id));
		let oldest = epoch.saturating_sub(KEPT_EPOCHS);
		let window = snapshot.block.checked_div(snapshot.market.window).unwrap_or(0).saturating_sub(KEPT_WINDOWS);
		let forgotten = self.store.write(Durability::Later, move |tx| {
			let mut receipts = Vec::new();
			for id in gone {
				receipts.append(&mut market::forget(tx, id)?);
			}
			if !receipts.is_empty() {
				evidence::forget(tx, &receipts)?;
			}
			race::prune(tx, oldest)?;
			check::prune(tx, oldest)?;
			evidence::prune(tx, oldest)?;
			findings::prune(tx, oldest)?;
			settlements::prune(tx, window)?;
			market::prune_settled(tx, oldest)
		});
		let forgotten = forgotten.await?;
		if forgotten > 0 {
			tracing::debug!(receipts = forgotten, "forgot settled receipts of old epochs");
		}
		Ok(())
	}
}

/// Leaves ascending by model, so that a position in the tree tells the model; of one model by channel, then as they were
/// acknowledged.
fn by_model(receipts: impl Iterator<Item = DueReceipt>) -> Vec<(Hash, SumNode<Totals>)> {
	let mut receipts: Vec<_> = receipts.collect();
	receipts.sort_by_key(|due| due.model);
	receipts.into_iter().map(|due| (due.envelope, due.leaf)).collect()
}

/// What the chain's state says about a signed settlement.
enum Fate {
	Included,
	/// Another one took its place, or a channel was closed meanwhile.
	Impossible,
	Open,
}

/// A settlement is taken as a whole, so its first channel that is still there tells.
fn fate(snapshot: &Snapshot, settlement: &Settlement, store: &Store) -> Result<Fate, StoreError> {
	let mut growth = Totals::default();
	for signed in &settlement.vouchers {
		let voucher = &signed.voucher;
		let Some(channel) = snapshot.channels.get(&voucher.channel) else { return Ok(Fate::Impossible) };
		if channel.settled.checked_sub(&voucher.totals).is_some() {
			return Ok(Fate::Included);
		}
		let due = store.read(|tx| market::due(tx, channel))?;
		let left = voucher.totals.checked_sub(&channel.settled).filter(|_| matches!(due, Ok(Some(_))));
		let Some(sum) = left.and_then(|left| growth.checked_add(&left)) else { return Ok(Fate::Impossible) };
		growth = sum;
	}
	Ok(if growth == settlement.root.sum { Fate::Open } else { Fate::Impossible })
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn leaves_ascend_by_model_and_keep_their_order_within() {
		let leaf = |work| SumNode { hash: [0; 32], sum: Totals { fee: 0, work, receipts: 1 } };
		let due = |(model, work)| DueReceipt { model, envelope: [work as u8; 32], leaf: leaf(work) };
		let given = [(2, 1), (0, 2), (2, 3), (1, 4), (0, 5)].map(due);
		assert_eq!(by_model(given.into_iter()), [2, 5, 4, 1, 3].map(|work| ([work as u8; 32], leaf(work))));
	}
}
