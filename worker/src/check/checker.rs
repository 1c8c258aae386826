//! The epoch's duties, from the draw on.
//!
//! Leaf sets are stored as soon as they are recomputed, and tags before the worker commits to them: there is one
//! commitment for a beacon, whatever happens. A set that is not recomputed in time counts as not checkable.

use super::{CheckContext, CheckError, Result, duty, outbox::Delivery};
use crate::{
	chain::{CheckMessage, Snapshot},
	store::{
		Durability,
		check::{self, StoredTags, Suspect},
	},
	tasks::{Step, TaskError, Tasks, slot},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use gonka_primitives::{
	AccountId, EpochIndex, Hash,
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, Offence, digest_hash},
	views::{CheckView, DutyView, EpochView},
};
use gonka_sprint::{LeafId, Tag, Trace, committee::tag, sample};
use std::{
	sync::Arc,
	time::{Duration, Instant},
};

/// Maximum number of hosts that are checked at the same time.
const MAX_HOSTS: usize = 32;
/// Number that stands for the leaf set in draws of a confirmation segment.
const CONFIRMATION: u32 = 0xc0;
/// Number of leaves checked of a confirmation segment.
const CONFIRMATION_LEAVES: u32 = 8;
/// Pause after a failed check of a host.
const PAUSE: Duration = Duration::from_secs(2);
/// Tag of a set that could not be checked.
const NONE: Tag = [0; 4];

/// Does the checking duties of each epoch.
pub struct LeafChecker {
	context: Arc<CheckContext>,
	tasks: Tasks,
	/// The duties, as they were read last.
	view: Option<Arc<CheckView>>,
	/// Epoch and beacon for which the duties were read last.
	read_for: Option<(EpochIndex, Hash)>,
	/// Epoch, and number of its confirmation segments that were checked.
	confirmed: (EpochIndex, u8),
}

impl LeafChecker {
	/// Makes the part.
	pub fn new(context: Arc<CheckContext>) -> Self {
		Self { context, tasks: Tasks::default(), view: None, read_for: None, confirmed: (0, 0) }
	}

	async fn check(&mut self, snapshot: &Snapshot) -> Result<()> {
		let Some(view) = self.duties(snapshot).await? else { return Ok(()) };
		let (epoch, next) = (&snapshot.epoch, snapshot.next_offset());
		let tags = self.context.store.read(|tx| check::tags(tx, epoch.index, &view.beacon))?;
		let slot = slot("commit", &(epoch.index, view.beacon));
		match tags {
			None if epoch.schedule.takes_digest(next) && !snapshot.is_outdated() => {
				let task = compute(self.context.clone(), epoch.clone(), view.clone(), slot);
				self.tasks.start(slot, span(epoch.index), "checking leaf sets", task);
			},
			Some(tags) if epoch.schedule.takes_digest(next) && view.committed.is_none() => {
				let task = commit(self.context.clone(), epoch.index, slot, tags);
				self.tasks.start(slot, span(epoch.index), "committing to tags", task);
			},
			Some(tags) if epoch.schedule.takes_reveal(next) && !view.revealed => self.reveal(&view, tags),
			_ => {},
		}
		self.accuse(epoch)?;
		self.challenge(&view)?;
		if !snapshot.is_outdated() {
			self.confirm(snapshot, view);
		}
		Ok(())
	}

	/// Returns the duties of the running epoch. They are read with every block while tags may still be revealed, and once
	/// after that.
	async fn duties(&mut self, snapshot: &Snapshot) -> Result<Option<Arc<CheckView>>> {
		let epoch = &snapshot.epoch;
		let Some(beacon) = epoch.beacon else { return Ok(None) };
		let may_change = snapshot.next_offset() <= epoch.schedule.weigh_start().saturating_add(1);
		if may_change || self.read_for != Some((epoch.index, beacon)) {
			let view = self.context.follower.chain().check(self.context.follower.host()).await?;
			self.view = view.filter(|view| view.epoch == epoch.index && view.beacon == beacon).map(Arc::new);
			self.read_for = Some((epoch.index, beacon));
		}
		Ok(self.view.clone())
	}

	fn reveal(&mut self, view: &CheckView, tags: Vec<Tag>) {
		let (epoch, checker) = (view.epoch, *self.context.follower.host());
		if view.committed != Some(digest_hash(&checker, epoch, &tags)) {
			tracing::debug!(epoch, "the stored tags are not those of the commitment; they are not revealed");
			return;
		}
		let message = DigestReveal { checker, epoch, tags };
		let slot = slot("reveal", &(epoch, view.beacon));
		self.send(epoch, slot, Delivery::Repeated, CheckMessage::Reveal(message));
	}

	/// Accuses each host that has a wrong leaf, once.
	fn accuse(&mut self, epoch: &EpochView) -> Result<()> {
		for (host, suspect) in self.context.store.read(|tx| check::suspects(tx, epoch.index))? {
			let slot = slot("accuse", &(epoch.index, host));
			if !self.context.outbox.is_done(epoch.index, &slot)? {
				let task = accuse(self.context.clone(), epoch.clone(), slot, host, suspect);
				self.tasks.start(slot, span(epoch.index), "accusing a host", task);
			}
		}
		Ok(())
	}

	/// Challenges partners with a different tag, once for each set.
	fn challenge(&mut self, view: &CheckView) -> Result<()> {
		let (epoch, challenger) = (view.epoch, *self.context.follower.host());
		for duty in &view.duties {
			for set in &duty.sets {
				let (Some(mine), Some((checker, Some(theirs)))) = (set.tag, set.partner) else { continue };
				if mine == theirs || mine == NONE || theirs == NONE {
					continue;
				}
				let message = Challenge { challenger, epoch, checker, host: duty.host, set: set.number };
				let slot = slot("challenge", &message);
				if !self.context.outbox.is_done(epoch, &slot)? {
					self.send(epoch, slot, Delivery::Once, CheckMessage::Challenge(message));
				}
			}
		}
		Ok(())
	}

	/// Checks the next confirmation segment whose commitments are on chain.
	fn confirm(&mut self, snapshot: &Snapshot, view: Arc<CheckView>) {
		let (epoch, next) = (&snapshot.epoch, snapshot.next_offset());
		if self.confirmed.0 != epoch.index {
			self.confirmed = (epoch.index, 0);
		}
		let schedule = &epoch.schedule;
		let segment = schedule.segments.saturating_add(self.confirmed.1);
		let (Some(start), Some(seed)) = (epoch.start_of(segment), epoch.segment_seeds.get(usize::from(segment))) else {
			return;
		};
		if next < start.saturating_add(schedule.segment).saturating_add(schedule.grace) {
			return;
		}
		self.confirmed.1 = self.confirmed.1.saturating_add(1);
		let slot = slot("confirm", &(epoch.index, seed));
		let task = confirm(self.context.clone(), epoch.clone(), view, segment, *seed);
		self.tasks.start(slot, span(epoch.index), "checking a confirmation segment", task);
	}

	fn send(&mut self, epoch: EpochIndex, slot: Hash, delivery: Delivery, message: CheckMessage) {
		let context = self.context.clone();
		let task = async move { context.outbox.send(epoch, slot, delivery, message).await };
		self.tasks.start(slot, span(epoch), "sending a message of the check", task);
	}
}

/// The span of an epoch's duties.
fn span(epoch: EpochIndex) -> tracing::Span {
	tracing::info_span!("check", epoch)
}

impl Step for LeafChecker {
	const NAME: &'static str = "checking leaves";
	type Error = CheckError;

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.check(snapshot).boxed()
	}
}

/// Checks as many hosts as there is time for, stores the tags, and commits to them.
async fn compute(context: Arc<CheckContext>, epoch: EpochView, view: Arc<CheckView>, slot: Hash) -> Result<()> {
	let begun = Instant::now();
	let tags = match context.conduct.invented_tags(&view) {
		Some(tags) => tags,
		None => {
			let check_duty = |number: usize| {
				let (context, epoch, view) = (&context, &epoch, &view);
				async move {
					if let Some(duty) = view.duties.get(number) {
						check_host(context, epoch, view, duty).await;
					}
				}
			};
			let duties = (0..view.duties.len()).map(check_duty);
			let all = stream::iter(duties).buffer_unordered(MAX_HOSTS).collect::<Vec<()>>();
			tokio::select! {
				_ = all => {},
				() = closing(&context, &epoch) => tracing::warn!("no time is left for checking; the rest is not checked"),
			}
			stored_tags(&context, epoch.index, &view)?
		},
	};
	let (sets, checked) = (tags.len(), tags.iter().filter(|tag| **tag != NONE).count());
	let (index, stored) = (epoch.index, StoredTags { beacon: view.beacon, tags });
	let tags = context.store.write(Durability::Now, move |tx| check::put_tags(tx, index, &stored)).await?;
	tracing::info!(sets, checked, seconds = begun.elapsed().as_secs_f64(), "leaf sets checked");
	commit(context, index, slot, tags).await
}

/// Checks one host, again and again while the errors are temporary.
async fn check_host(context: &CheckContext, epoch: &EpochView, view: &CheckView, duty: &DutyView) {
	let host = hex::encode(duty.host);
	while let Err(error) = duty::check(context, epoch, view, duty).await {
		if !error.is_temporary() {
			tracing::error!(host, %error, "cannot check a host");
			return;
		}
		tracing::warn!(host, %error, "cannot check a host; trying again");
		tokio::time::sleep(PAUSE).await;
	}
}

/// Returns the tags of the leaf sets that are stored, in the order of the duties.
fn stored_tags(context: &CheckContext, epoch: EpochIndex, view: &CheckView) -> Result<Vec<Tag>> {
	let sets = view.duties.iter().flat_map(|duty| duty.sets.iter().map(|set| (duty.host, set.number)));
	let tag_of = |(host, set)| -> Result<Tag> {
		let stored = context.store.read(|tx| check::set(tx, epoch, &host, set))?;
		let stored = stored.filter(|stored| stored.beacon == view.beacon);
		Ok(stored.map_or(NONE, |stored| tag(&stored.digests())))
	};
	sets.map(tag_of).collect()
}

/// Commits to the stored tags.
async fn commit(context: Arc<CheckContext>, epoch: EpochIndex, slot: Hash, tags: Vec<Tag>) -> Result<()> {
	let checker = *context.follower.host();
	let message = DigestCommitment { checker, epoch, hash: digest_hash(&checker, epoch, &tags) };
	context.outbox.send(epoch, slot, Delivery::Repeated, CheckMessage::Commit(message)).await
}

/// Resolves when the worker must commit to its tags, or the chain abandoned the epoch's draw.
async fn closing(context: &CheckContext, epoch: &EpochView) {
	let mut snapshots = context.follower.subscribe();
	let is_over = |snapshot: &Snapshot| {
		let is_current = snapshot.epoch.index == epoch.index && snapshot.epoch.beacon == epoch.beacon;
		!is_current || snapshot.next_offset() >= duty::closing(epoch)
	};
	// An error means that the chain is no longer followed: then this task ends, too.
	let _ = snapshots.wait_for(|snapshot| snapshot.as_deref().is_some_and(is_over)).await;
}

/// Accuses a host of a wrong leaf, if the host is committed to it on chain and not convicted yet.
async fn accuse(
	context: Arc<CheckContext>,
	epoch: EpochView,
	slot: Hash,
	host: AccountId,
	suspect: Suspect,
) -> Result<()> {
	let Suspect { segment, position, opening } = suspect;
	let chain = context.follower.chain();
	let drop_suspect = || context.store.write(Durability::Now, move |tx| check::drop_suspect(tx, epoch.index, &host));
	let standing = chain.standing(epoch.index, &host).await?;
	let convicted = [Offence::Fabrication, Offence::FalseAccusation].map(Some);
	if standing.is_some_and(|standing| convicted.contains(&standing.offence)) {
		return Ok(drop_suspect().await?);
	}
	let commitments = chain.commitments(epoch.index, &host).await?;
	let commitment = commitments.into_iter().find(|(of, _)| *of == segment);
	let Some((lane, index)) = commitment.and_then(|(_, commitment)| commitment.verify(position, &opening)) else {
		tracing::warn!(host = hex::encode(host), "a wrong leaf belongs to an abandoned fork; its host is not accused");
		return Ok(drop_suspect().await?);
	};
	let id = LeafId { host, epoch: epoch.index, segment, lane, index };
	let seed = *epoch.segment_seeds.get(usize::from(segment)).ok_or(CheckError::Missing("seed of the segment"))?;
	let trace = context.conduct.claimed_trace(context.oracle.trace((epoch.model_seed, epoch.format), seed, id).await?);
	if id.hash(trace.output()) == opening.leaf {
		return Err(CheckError::WrongMachine { segment, leaf: index });
	}
	let message = accusation(*context.follower.host(), id, position, opening, &trace);
	context.outbox.send(epoch.index, slot, Delivery::Once, CheckMessage::Accuse(message)).await
}

/// Returns the accusation that a leaf differs from the output of `trace`.
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
	context: Arc<CheckContext>,
	epoch: EpochView,
	view: Arc<CheckView>,
	segment: u8,
	seed: Hash,
) -> Result<()> {
	for duty in &view.duties {
		let commitments = context.follower.chain().commitments(epoch.index, &duty.host).await?;
		let Some((_, commitment)) = commitments.into_iter().find(|(of, _)| *of == segment) else { continue };
		let positions = sample(&seed, &duty.host, CONFIRMATION, commitment.count, CONFIRMATION_LEAVES);
		let checked = duty::check_segment(&context, &epoch, &view, duty, (segment, commitment), &positions).await;
		if let Err(error) = checked {
			tracing::warn!(host = hex::encode(duty.host), segment, %error, "cannot check a confirmation segment");
		}
	}
	Ok(())
}
