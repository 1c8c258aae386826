//! Checking other hosts' answers (`gonka_primitives::sampling`).
//!
//! - [`look`]: one sample: fetched, verified, replayed;
//! - [`checker`]: the samples that the chain gives this host;
//! - [`arbiter`]: cases in which it rules.
//!
//! Findings are on disk before they are sent, so that a restart goes on where it was; prompts and answers are in memory
//! only, as long as they are looked at.

pub mod arbiter;
pub mod checker;
pub mod look;

use crate::{
	chain::{Follower, Snapshot},
	check::{Tasks, fetch::Fetcher, follow},
	store::{Durability, Store, findings},
};
use findings::StoredFinding;
use gonka_client::keys::{self, Keypair};
use gonka_engine::Engine;
use gonka_primitives::{
	BlockNumber, Hash, ModelId,
	sampling::{Finding, Profile},
};
use look::{Sample, Trouble};
use std::{collections::HashMap, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// Samples that are fetched and held at the same time, of a list or of cases: no more than a host shows at once.
const LOOKS: usize = 8;
/// Answers that the engine replays at the same time, beside those that it makes.
const REPLAYS: usize = 2;

/// What checkers and arbiters share.
pub struct Context {
	/// The chain.
	pub follower: Follower,
	/// The disk.
	pub store: Store,
	/// What replays answers.
	pub engine: Arc<dyn Engine>,
	/// Its model's name in the registry on chain.
	pub model: String,
	/// The worker key.
	pub key: Keypair,
	/// What asks other hosts.
	pub fetcher: Fetcher,
}

impl Context {
	/// For the follower's host, whose worker key is `key`.
	pub fn new(
		follower: Follower,
		store: Store,
		engine: Arc<dyn Engine>,
		model: String,
		key: Keypair,
	) -> Result<Arc<Self>, String> {
		let fetcher = Fetcher::new(follower.chain().genesis(), *follower.host(), key.clone())?;
		Ok(Arc::new(Self { follower, store, engine, model, key, fetcher }))
	}

	/// Starts everything.
	pub fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
		tasks.spawn(follow(self.follower.clone(), checker::Checker::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), arbiter::Arbiter::new(self.clone())));
	}

	/// The model that this worker serves.
	fn served(&self, snapshot: &Snapshot) -> Option<ModelId> {
		snapshot.models.iter().find(|model| model.name == self.model.as_bytes()).map(|model| model.id)
	}

	fn found(&self, slot: &Hash) -> Result<Option<StoredFinding>, String> {
		self.store.read(|tx| findings::get(tx, slot)).map_err(|error| error.to_string())
	}

	fn sign(&self, payload: &Hash) -> gonka_primitives::Signature {
		keys::sign(&self.key, payload)
	}
}

/// How many samples are looked at together.
pub struct Places {
	/// A permit for each that may be in memory.
	pub looks: Semaphore,
	/// A permit for each answer that may be replayed.
	pub replays: Semaphore,
}

impl Default for Places {
	fn default() -> Self {
		Self { looks: Semaphore::new(LOOKS), replays: Semaphore::new(REPLAYS) }
	}
}

/// Samples that are being looked at. The checker and the arbiter each have theirs: a case has less time than a list, and must
/// not wait behind it.
#[derive(Default)]
struct Looks {
	tasks: Tasks,
	places: Arc<Places>,
	/// How often each was tried, and the block from which on it is tried again.
	waits: HashMap<Hash, (u32, BlockNumber)>,
}

/// When a sample is looked at.
#[derive(Clone, Copy, Debug)]
struct Time {
	/// The best block.
	now: BlockNumber,
	/// The last block that may carry the finding.
	deadline: BlockNumber,
	/// The blocks that there were in all.
	length: BlockNumber,
}

impl Time {
	/// Whether what is not known now is not waited for: an eighth of the time is left, but four blocks at least.
	fn is_closing(&self) -> bool {
		self.now.saturating_add((self.length / 8).max(4)) >= self.deadline
	}
}

impl Looks {
	/// Looks at a sample, unless that is under way or was tried a moment ago. What it finds is on disk afterwards.
	fn start(&mut self, context: &Arc<Context>, slot: Hash, sample: Sample, profile: Option<Profile>, time: Time) {
		let closing = time.is_closing();
		let (tries, next) = self.waits.get(&slot).copied().unwrap_or_default();
		if time.now < next && !closing {
			return;
		}
		let pause = 1u32.checked_shl(tries).unwrap_or(u32::MAX).min((time.length / 16).max(1));
		self.waits.insert(slot, (tries.saturating_add(1), time.now.saturating_add(pause)));
		let (context, places) = (context.clone(), self.places.clone());
		self.tasks.start(slot, async move {
			let looked = look::look(&context, &places, &sample, profile.as_ref()).await;
			let (finding, receipt) = match looked {
				Ok((finding, receipt)) => (finding, receipt),
				Err(Trouble::Hidden(why)) if closing => {
					tracing::warn!(host = hex::encode(sample.host), why, "a host did not show a sample");
					(Finding::Unavailable, None)
				},
				Err(Trouble::Own(why)) if closing => {
					tracing::warn!(why, "a sample could not be checked here");
					(Finding::Inconclusive, None)
				},
				Err(Trouble::Hidden(why) | Trouble::Own(why)) => return Err(why),
			};
			let snapshot = context.follower.snapshot();
			let epoch = snapshot.map_or(0, |snapshot| snapshot.epoch.index);
			let stored = StoredFinding { epoch, finding, receipt };
			let put = context.store.write(Durability::Now, move |tx| findings::put(tx, &slot, &stored));
			put.await.map_err(|error| error.to_string())?;
			metrics::counter!("gonka_worker_samples_checked_total").increment(1);
			tracing::info!(host = hex::encode(sample.host), window = sample.window, ?finding, "a sample was checked");
			Ok(())
		});
	}

	/// Forgets the tries of samples that are not open any more.
	fn keep(&mut self, now: BlockNumber) {
		self.waits.retain(|_, (_, next)| next.saturating_add(KEPT) > now);
	}
}

/// Blocks after which a sample's tries are forgotten: more than any pause between two of them.
const KEPT: BlockNumber = 1000;
