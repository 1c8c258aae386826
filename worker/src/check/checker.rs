//! The epoch's duties, from the draw on.
//!
//! Leaf sets are on disk as soon as they are recomputed, tags before they are committed to: there is one commitment
//! for a beacon, whatever happens. What is not recomputed in time counts as not checkable.

use super::{Context, Step, Tasks, duty, next_offset, outbox::Times, slot};
use crate::{
	chain::{CheckMessage, Snapshot},
	store::{
		Durability, StoreError,
		check::{self, StoredTags, Suspect},
	},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use gonka_primitives::{
	AccountId, EpochIndex, Hash,
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, Offence, digest_hash},
	views::{CheckView, EpochView},
};
use gonka_sprint::{LeafId, Tag, Trace, committee::tag, sample};
use std::{sync::Arc, time::Duration};

/// Hosts that are checked at the same time.
const HOSTS: usize = 32;
/// What stands for a set in samples of a confirmation segment.
const CONFIRMATION: u32 = 0xc0;
/// Leaves of a confirmation segment that are checked.
const CONFIRMATION_LEAVES: u32 = 8;
/// After a fault, before the next try.
const PAUSE: Duration = Duration::from_secs(2);
/// The tag of a set that could not be checked.
const NONE: Tag = [0; 4];

/// Does the epoch's duties.
pub struct Checker {
	context: Arc<Context>,
	tasks: Tasks,
	/// The duties, as last seen, and for which epoch and beacon they were asked for.
	view: Option<Arc<CheckView>>,
	asked: Option<(EpochIndex, Hash)>,
	/// Confirmation segments that were checked, and of which epoch.
	confirmed: (EpochIndex, u8),
}

impl Checker {
	/// With nothing done yet.
	pub fn new(context: Arc<Context>) -> Self {
		Self { context, tasks: Tasks::default(), view: None, asked: None, confirmed: (0, 0) }
	}

	async fn check(&mut self, snapshot: &Snapshot) -> Result<(), String> {
		let Some(view) = self.duties(snapshot).await? else { return Ok(()) };
		let (epoch, next) = (&snapshot.epoch, next_offset(snapshot));
		let read = |tx: &_| check::tags(tx, epoch.index, &view.beacon);
		let tags = self.context.store.read(read).map_err(text)?;
		let slot = slot("commit", &(epoch.index, view.beacon));
		match tags {
			None if epoch.schedule.takes_digest(next) && !snapshot.is_outdated() => {
				self.tasks.start(slot, compute(self.context.clone(), epoch.clone(), view.clone(), slot));
			},
			Some(tags) if epoch.schedule.takes_digest(next) && view.committed.is_none() => {
				self.tasks.start(slot, commit(self.context.clone(), epoch.index, slot, tags));
			},
			Some(tags) if epoch.schedule.takes_reveal(next) && !view.revealed => self.reveal(&view, tags),
			_ => {},
		}
		self.accuse(epoch)?;
		self.challenge(&view)?;
		if !snapshot.is_outdated() {
			self.confirm(snapshot, view);
		}
		#[cfg(feature = "hostile")]
		if let Some(view) = &self.view
			&& crate::hostile::is(crate::hostile::Kind::Accuse)
		{
			let slot = super::slot("lie", &(epoch.index, view.beacon));
			self.tasks.start(slot, crate::hostile::accuse(self.context.clone(), epoch.clone(), view.clone()));
		}
		Ok(())
	}

	/// The running epoch's duties. They are asked for while tags may still come in, and once after that.
	async fn duties(&mut self, snapshot: &Snapshot) -> Result<Option<Arc<CheckView>>, String> {
		let epoch = &snapshot.epoch;
		let Some(beacon) = epoch.beacon else { return Ok(None) };
		let moves = next_offset(snapshot) <= epoch.schedule.settle_start().saturating_add(1);
		if moves || self.asked != Some((epoch.index, beacon)) {
			let host = self.context.follower.host();
			let view = self.context.follower.chain().check(host).await.map_err(|error| error.to_string())?;
			self.view = view.filter(|view| view.epoch == epoch.index && view.beacon == beacon).map(Arc::new);
			self.asked = Some((epoch.index, beacon));
		}
		Ok(self.view.clone())
	}

	fn reveal(&mut self, view: &CheckView, tags: Vec<Tag>) {
		let (epoch, checker) = (view.epoch, *self.context.follower.host());
		if view.committed != Some(digest_hash(&checker, epoch, &tags)) {
			tracing::debug!(epoch, "these tags were not committed to: they are not revealed");
			return;
		}
		let message = DigestReveal { checker, epoch, tags };
		self.send(epoch, slot("reveal", &(epoch, view.beacon)), Times::Asked, CheckMessage::Reveal(message));
	}

	/// Accuses the hosts with a wrong leaf, each once.
	fn accuse(&mut self, epoch: &EpochView) -> Result<(), String> {
		for (host, suspect) in self.context.store.read(|tx| check::suspects(tx, epoch.index)).map_err(text)? {
			let slot = slot("accuse", &(epoch.index, host));
			if !self.context.outbox.is_settled(epoch.index, &slot)? {
				self.tasks.start(slot, accuse(self.context.clone(), epoch.clone(), slot, host, suspect));
			}
		}
		Ok(())
	}

	/// Challenges partners whose tag is another, each set once.
	fn challenge(&mut self, view: &CheckView) -> Result<(), String> {
		let (epoch, challenger) = (view.epoch, *self.context.follower.host());
		for duty in &view.duties {
			for set in &duty.sets {
				let (Some(mine), Some((checker, Some(theirs)))) = (set.tag, set.partner) else { continue };
				if mine == theirs || mine == NONE || theirs == NONE {
					continue;
				}
				let message = Challenge { challenger, epoch, checker, host: duty.host, set: set.number };
				let slot = slot("challenge", &message);
				if !self.context.outbox.is_settled(epoch, &slot)? {
					self.send(epoch, slot, Times::Once, CheckMessage::Challenge(message));
				}
			}
		}
		Ok(())
	}

	/// Looks at confirmation segments whose commitments are in.
	fn confirm(&mut self, snapshot: &Snapshot, view: Arc<CheckView>) {
		let (epoch, next) = (&snapshot.epoch, next_offset(snapshot));
		if self.confirmed.0 != epoch.index {
			self.confirmed = (epoch.index, 0);
		}
		let schedule = &epoch.schedule;
		let from = schedule.segments.saturating_add(self.confirmed.1);
		let (Some(start), Some(seed)) = (epoch.start_of(from), epoch.segment_seeds.get(usize::from(from))) else {
			return;
		};
		if next < start.saturating_add(schedule.segment).saturating_add(schedule.grace) {
			return;
		}
		self.confirmed.1 = self.confirmed.1.saturating_add(1);
		let slot = slot("confirm", &(epoch.index, seed));
		self.tasks.start(slot, confirm(self.context.clone(), epoch.clone(), view, from, *seed));
	}

	fn send(&mut self, epoch: EpochIndex, slot: Hash, times: Times, message: CheckMessage) {
		let context = self.context.clone();
		self.tasks.start(slot, async move { context.outbox.send(epoch, slot, times, message).await });
	}
}

impl Step for Checker {
	const NAME: &'static str = "checking";

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
		self.check(snapshot).boxed()
	}
}

/// Checks everything, or as much as there is time for, and puts the tags on disk.
async fn compute(context: Arc<Context>, epoch: EpochView, view: Arc<CheckView>, slot: Hash) -> Result<(), String> {
	let begun = std::time::Instant::now();
	let one = |number: usize| {
		let (context, epoch, view) = (&context, &epoch, &view);
		async move {
			let Some(duty) = view.duties.get(number) else { return };
			while let Err(error) = duty::check(context, epoch, view, duty).await {
				tracing::warn!(host = hex::encode(duty.host), error, "a host could not be checked; trying again");
				tokio::time::sleep(PAUSE).await;
			}
		}
	};
	let hosts = 0..view.duties.len();
	#[cfg(feature = "hostile")]
	let hosts = if crate::hostile::is(crate::hostile::Kind::Copy) { 0..0 } else { hosts };
	let all = stream::iter(hosts.map(one)).buffer_unordered(HOSTS).collect::<Vec<()>>();
	tokio::select! {
		_ = all => {},
		() = closing(&context, &epoch) => tracing::warn!(epoch = epoch.index, "no more time for checking"),
	}
	let mut tags = Vec::new();
	for (host, set) in view.duties.iter().flat_map(|duty| duty.sets.iter().map(|set| (duty.host, set.number))) {
		let stored = context.store.read(|tx| check::set(tx, epoch.index, &host, set)).map_err(text)?;
		let stored = stored.filter(|stored| stored.beacon == view.beacon);
		tags.push(stored.map_or(NONE, |stored| tag(&stored.digests())));
	}
	#[cfg(feature = "hostile")]
	crate::hostile::make_up(&mut tags);
	let (index, checked) = (epoch.index, tags.iter().filter(|tag| **tag != NONE).count());
	let (sets, seconds) = (tags.len(), begun.elapsed().as_secs_f64());
	let stored = StoredTags { beacon: view.beacon, tags };
	let put = context.store.write(Durability::Now, move |tx| check::put_tags(tx, index, &stored));
	let tags = put.await.map_err(text)?;
	tracing::info!(epoch = index, sets, checked, seconds, "leaf sets checked");
	commit(context, index, slot, tags).await
}

/// Commits to the tags on disk.
async fn commit(context: Arc<Context>, epoch: EpochIndex, slot: Hash, tags: Vec<Tag>) -> Result<(), String> {
	let checker = *context.follower.host();
	let message = DigestCommitment { checker, epoch, hash: digest_hash(&checker, epoch, &tags) };
	context.outbox.send(epoch, slot, Times::Asked, CheckMessage::Commit(message)).await
}

/// Resolves when the tags must be committed to, or the chain has left the epoch's draw.
async fn closing(context: &Context, epoch: &EpochView) {
	let mut snapshots = context.follower.subscribe();
	let over = |snapshot: &Snapshot| {
		let current = snapshot.epoch.index == epoch.index && snapshot.epoch.beacon == epoch.beacon;
		!current || next_offset(snapshot) >= duty::closing(epoch)
	};
	// When following has ended, this task will, too.
	let _ = snapshots.wait_for(|snapshot| snapshot.as_deref().is_some_and(over)).await;
}

/// Accuses a host, if the chain still says that it committed to the wrong leaf, and it is not convicted yet.
async fn accuse(
	context: Arc<Context>,
	epoch: EpochView,
	slot: Hash,
	host: AccountId,
	suspect: Suspect,
) -> Result<(), String> {
	let Suspect { segment, position, opening } = suspect;
	let standing = context.follower.chain().standing(epoch.index, &host).await.map_err(|error| error.to_string())?;
	let convicted = [Offence::Fabrication, Offence::FalseAccusation].map(Some);
	if standing.is_some_and(|standing| convicted.contains(&standing.offence)) {
		let dropped = context.store.write(Durability::Now, move |tx| check::drop_suspect(tx, epoch.index, &host));
		return dropped.await.map_err(text);
	}
	let made = context.follower.chain().commitments(epoch.index, &host).await.map_err(|error| error.to_string())?;
	let made = made.into_iter().find(|(of, _)| *of == segment);
	let Some((lane, index)) = made.and_then(|(_, made)| made.verify(position, &opening)) else {
		tracing::warn!(host = hex::encode(host), "the wrong leaf was of a fork that was left");
		let dropped = context.store.write(Durability::Now, move |tx| check::drop_suspect(tx, epoch.index, &host));
		return dropped.await.map_err(text);
	};
	let id = LeafId { host, epoch: epoch.index, segment, lane, index };
	let seed = *epoch.segment_seeds.get(usize::from(segment)).ok_or("the segment has not begun")?;
	let trace = context.oracle.trace((epoch.model_seed, epoch.profile), seed, id).await?;
	if id.hash(trace.output()) == opening.leaf {
		return Err(format!("leaf {index} of segment {segment} is right after all: this machine computes wrongly"));
	}
	let message = accusation(*context.follower.host(), id, position, opening, &trace);
	context.outbox.send(epoch.index, slot, Times::Once, CheckMessage::Accuse(message)).await
}

/// The accusation that a leaf is not what `trace` shows.
pub fn accusation(
	accuser: AccountId,
	id: LeafId,
	position: u64,
	opening: gonka_sprint::LeafOpening,
	trace: &Trace,
) -> Accusation {
	Accusation {
		accuser,
		epoch: id.epoch,
		host: id.host,
		segment: id.segment,
		position,
		opening,
		output: trace.output().iter().map(|value| *value as u8).collect(),
		frontier: trace.frontier().to_vec(),
		path: trace.output_path(),
	}
}

/// Checks some leaves of a confirmation segment of each host.
async fn confirm(
	context: Arc<Context>,
	epoch: EpochView,
	view: Arc<CheckView>,
	segment: u8,
	seed: Hash,
) -> Result<(), String> {
	for duty in &view.duties {
		let made = context.follower.chain().commitments(epoch.index, &duty.host).await;
		let made = made.map_err(|error| error.to_string())?;
		let Some((_, made)) = made.into_iter().find(|(of, _)| *of == segment) else { continue };
		let positions = sample(&seed, &duty.host, CONFIRMATION, made.count, CONFIRMATION_LEAVES);
		if let Err(error) = duty::check_segment(&context, &epoch, &view, duty, (segment, made), &positions).await {
			tracing::warn!(host = hex::encode(duty.host), segment, error, "a host could not be checked");
		}
	}
	Ok(())
}

fn text(error: StoreError) -> String {
	error.to_string()
}
