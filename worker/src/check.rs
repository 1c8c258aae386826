//! Checking others, being checked, and disputes (`gonka_primitives::check`).
//!
//! - [`checker`]: the epoch's duties: tags, accusations, challenges;
//! - [`duty`]: one host's leaves, fetched and recomputed;
//! - [`disputes`]: turns in games about claims;
//! - [`answers`]: openings that are asked for on chain;
//! - [`fetch`]: openings over HTTP;
//! - [`oracle`]: leaves and traces recomputed;
//! - [`outbox`]: messages, on disk before they are sent.

pub mod answers;
pub mod checker;
pub mod disputes;
pub mod duty;
pub mod fetch;
pub mod oracle;
pub mod outbox;

use crate::{
	chain::{Follower, Snapshot},
	openings::Openings,
	sprint::desk::Desk,
	store::Store,
};
use fetch::Fetcher;
use futures::future::BoxFuture;
use gonka_client::keys::Keypair;
use gonka_primitives::{BlockNumber, Hash, hashing::blake2_256};
use oracle::Oracle;
use outbox::Outbox;
use std::{collections::HashMap, sync::Arc};
use tokio::task::{AbortHandle, JoinSet};

/// What all parts share.
pub struct Context {
	/// The chain.
	pub follower: Follower,
	/// The disk.
	pub store: Store,
	/// Where messages are sent.
	pub outbox: Outbox,
	/// What recomputes.
	pub oracle: Oracle,
	/// What this host committed to.
	pub openings: Arc<Openings>,
	/// What asks other hosts for openings.
	pub fetcher: Fetcher,
}

impl Context {
	/// For the follower's host, whose worker key is `key`. Without a desk everything is recomputed by the reference.
	pub fn new(
		follower: Follower,
		store: Store,
		key: Keypair,
		openings: Arc<Openings>,
		desk: Option<Desk>,
	) -> Result<Arc<Self>, String> {
		let genesis = follower.chain().genesis();
		let fetcher = Fetcher::new(genesis, *follower.host(), key.clone())?;
		let outbox = Outbox::new(follower.clone(), store.clone(), key);
		Ok(Arc::new(Self { follower, store, outbox, oracle: Oracle::new(desk), openings, fetcher }))
	}

	/// Starts everything.
	pub fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
		tasks.spawn(follow(self.follower.clone(), checker::Checker::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), disputes::Disputes::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), answers::Answers::new(self.clone())));
	}
}

/// What does something with every block.
pub trait Step: Send + 'static {
	/// What it does, for logs.
	const NAME: &'static str;

	/// Does what there is to do; the rest of it comes with the next block.
	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>>;
}

/// Has a part do what there is to do, block by block.
pub(crate) async fn follow<S: Step>(follower: Follower, mut part: S) {
	let mut snapshots = follower.subscribe();
	drop(follower);
	while snapshots.changed().await.is_ok() {
		let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
		if let Err(error) = part.step(&snapshot).await {
			tracing::warn!(error, "{} failed; trying again with the next block", S::NAME);
		}
	}
}

/// The offset of the block after the best one.
pub fn next_offset(snapshot: &Snapshot) -> BlockNumber {
	snapshot.block.saturating_sub(snapshot.epoch.start).saturating_add(1)
}

/// A name for something that happens once.
pub fn slot(what: &str, of: &impl codec::Encode) -> Hash {
	of.using_encoded(|of| blake2_256(&[b"worker/slot/", what.as_bytes(), of]))
}

/// Tasks at the same time, in one [`Tasks`].
const TASKS: usize = 64;

/// Tasks, of which there is one at a time for each slot. They end with this.
#[derive(Default)]
pub struct Tasks {
	running: HashMap<Hash, AbortHandle>,
	set: JoinSet<()>,
}

impl Tasks {
	/// Starts a task, unless there is one for the slot, or there are too many: then it is tried again with the next
	/// block.
	pub fn start(&mut self, slot: Hash, task: impl Future<Output = Result<(), String>> + Send + 'static) {
		while self.set.try_join_next().is_some() {}
		self.running.retain(|_, task| !task.is_finished());
		if self.running.len() >= TASKS || self.running.contains_key(&slot) {
			return;
		}
		let task = self.set.spawn(async move {
			if let Err(error) = task.await {
				tracing::warn!(error, "a check or a dispute was held up; trying again with the next block");
			}
		});
		self.running.insert(slot, task);
	}
}
