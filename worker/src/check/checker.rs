//! The duties of an epoch's rounds, from each draw on: round 0 checks the sprint, the others a confirmation segment each.
//!
//! Leaf sets are stored as soon as they are recomputed, and tags before the worker commits to them: there is one
//! commitment for a beacon, whatever happens. A set that is not recomputed in time counts as not checkable.

use super::{
	CheckContext, CheckError, Result, duty,
	outbox::Delivery,
	silent::{Rank, Silent},
};
use crate::{
	chain::{CheckMessage, Snapshot},
	store::{
		Durability,
		check::{self, Round, StoredTags, Suspect},
	},
	tasks::{Step, TaskError, Tasks, slot},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use gonka_client::keys;
use gonka_primitives::{
	AccountId, BlockNumber, EpochIndex, Hash,
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, Offence, digest_hash},
	views::{CheckView, DutyView, EpochView},
};
use gonka_sprint::{LeafId, Tag, Trace, committee::tag};
use std::{
	cmp::Reverse,
	sync::Arc,
	time::{Duration, Instant},
};

/// Maximum number of hosts whose checks run or wait for openings at the same time.
const MAX_HOSTS: usize = 1_024;
/// Pause after a failed check of a host.
const PAUSE: Duration = Duration::from_secs(2);
/// Tag of a set that could not be checked.
const NONE: Tag = [0; 4];

/// Does the checking duties of each round.
pub struct LeafChecker {
	context: Arc<CheckContext>,
	tasks: Tasks,
	/// The duties, as they were read last.
	view: Option<Arc<CheckView>>,
	/// Epoch and beacon for which the duties were read last.
	read_for: Option<(EpochIndex, Hash)>,
}

impl LeafChecker {
	/// Makes the part.
	pub fn new(context: Arc<CheckContext>) -> Self {
		Self { context, tasks: Tasks::default(), view: None, read_for: None }
	}

	async fn check(&mut self, snapshot: &Snapshot) -> Result<()> {
		let (epoch, next) = (&snapshot.epoch, snapshot.next_offset());
		let (Some(view), Some((round, _, draw))) = (self.duties(snapshot).await?, epoch.round()) else { return Ok(()) };
		let tags = self.context.store.read(|tx| check::tags(tx, (epoch.index, round), &view.beacon))?;
		let slot = slot("commit", &(epoch.index, view.beacon));
		match tags {
			None if epoch.schedule.takes_digest(draw, next) && !snapshot.is_outdated() => {
				let task = compute(self.context.clone(), epoch.clone(), view.clone(), draw, slot);
				self.tasks.start(slot, span(epoch.index), "checking leaf sets", task);
			},
			Some(tags) if epoch.schedule.takes_digest(draw, next) && view.committed.is_none() => {
				let task = commit(self.context.clone(), (epoch.index, round), slot, tags);
				self.tasks.start(slot, span(epoch.index), "committing to tags", task);
			},
			Some(tags) if epoch.schedule.takes_reveal(draw, next) && !view.revealed => self.reveal(&view, tags),
			_ => {},
		}
		self.accuse(epoch)?;
		self.challenge(&view)
	}

	/// Returns the duties of the round drawn last. They are read with every block while tags may still be revealed, and
	/// once after that.
	async fn duties(&mut self, snapshot: &Snapshot) -> Result<Option<Arc<CheckView>>> {
		let epoch = &snapshot.epoch;
		let Some((_, beacon, draw)) = epoch.round() else { return Ok(None) };
		let end = draw.saturating_add(epoch.schedule.checking());
		let may_change = snapshot.next_offset() <= end.saturating_add(1);
		if may_change || self.read_for != Some((epoch.index, beacon)) {
			let view = self.context.follower.chain().check(self.context.follower.host()).await?;
			self.view = view.filter(|view| view.epoch == epoch.index && view.beacon == beacon).map(Arc::new);
			self.read_for = Some((epoch.index, beacon));
		}
		Ok(self.view.clone())
	}

	fn reveal(&mut self, view: &CheckView, tags: Vec<Tag>) {
		let (epoch, round, checker) = (view.epoch, view.round, *self.context.follower.host());
		if view.committed != Some(digest_hash(&checker, epoch, round, &tags)) {
			tracing::debug!(epoch, round, "the stored tags are not those of the commitment; they are not revealed");
			return;
		}
		let message = DigestReveal { checker, epoch, round, tags };
		let slot = slot("reveal", &(epoch, view.beacon));
		self.send(epoch, slot, Delivery::Repeated, CheckMessage::Reveal(message));
	}

	/// Accuses each host that has a wrong leaf, once.
	fn accuse(&mut self, epoch: &EpochView) -> Result<()> {
		for (host, suspect) in self.context.store.read(|tx| check::suspects(tx, epoch.index))? {
			let slot = accusation_slot(epoch.index, &host);
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
				let message =
					Challenge { challenger, epoch, round: view.round, checker, host: duty.host, set: set.number };
				let slot = challenge_slot(&message);
				if !self.context.outbox.is_done(epoch, &slot)? {
					self.send(epoch, slot, Delivery::Once, CheckMessage::Challenge(message));
				}
			}
		}
		Ok(())
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
async fn compute(
	context: Arc<CheckContext>,
	epoch: EpochView,
	view: Arc<CheckView>,
	draw: BlockNumber,
	slot: Hash,
) -> Result<()> {
	let begun = Instant::now();
	let tags = match context.conduct.invented_tags(&view) {
		Some(tags) => tags,
		None => {
			let silent = Silent::new(&view);
			let mut numbers: Vec<usize> = (0..view.duties.len()).collect();
			numbers.sort_by_cached_key(|number| {
				let duty = view.duties.get(*number)?;
				Some(Reverse(Rank::of(&view, duty, context.follower.host()).priority))
			});
			let check_duty = |number: usize| {
				let (context, epoch, view, silent) = (&context, &epoch, &view, &silent);
				async move {
					if let Some(duty) = view.duties.get(number) {
						check_host(context, epoch, view, silent, duty).await;
					}
				}
			};
			let duties = numbers.into_iter().map(check_duty);
			let all = stream::iter(duties).buffer_unordered(MAX_HOSTS).collect::<Vec<()>>();
			tokio::select! {
				_ = all => {},
				() = closing(&context, &view, &epoch, draw) => tracing::warn!("no time is left for checking; the rest is not checked"),
			}
			stored_tags(&context, &view)?
		},
	};
	let (sets, checked) = (tags.len(), tags.iter().filter(|tag| **tag != NONE).count());
	let (round, stored) = ((epoch.index, view.round), StoredTags { beacon: view.beacon, tags });
	let tags = context.store.write(Durability::Now, move |tx| check::put_tags(tx, round, &stored)).await?;
	tracing::info!(round = view.round, sets, checked, seconds = begun.elapsed().as_secs_f64(), "leaf sets checked");
	commit(context, round, slot, tags).await
}

/// Checks one host, again and again while the errors are temporary.
async fn check_host(context: &CheckContext, epoch: &EpochView, view: &CheckView, silent: &Silent, duty: &DutyView) {
	let host = keys::ss58(&duty.host);
	while let Err(error) = duty::check(context, epoch, view, silent, duty).await {
		if !error.is_temporary() {
			tracing::error!(host, %error, "cannot check a host");
			return;
		}
		tracing::warn!(host, %error, "cannot check a host; trying again");
		tokio::time::sleep(PAUSE).await;
	}
}

/// Returns the tags of the leaf sets that are stored, in the order of the duties.
fn stored_tags(context: &CheckContext, view: &CheckView) -> Result<Vec<Tag>> {
	let sets = view.duties.iter().flat_map(|duty| duty.sets.iter().map(|set| (duty.host, set.number)));
	let tag_of = |(host, set)| -> Result<Tag> {
		let stored = context.store.read(|tx| check::set(tx, (view.epoch, view.round), &host, set))?;
		let stored = stored.filter(|stored| stored.beacon == view.beacon);
		Ok(stored.map_or(NONE, |stored| tag(&stored.digests())))
	};
	sets.map(tag_of).collect()
}

/// Commits to the stored tags.
async fn commit(context: Arc<CheckContext>, (epoch, round): Round, slot: Hash, tags: Vec<Tag>) -> Result<()> {
	let checker = *context.follower.host();
	let message = DigestCommitment { checker, epoch, round, hash: digest_hash(&checker, epoch, round, &tags) };
	context.outbox.send(epoch, slot, Delivery::Repeated, CheckMessage::Commit(message)).await
}

/// Resolves when the worker must commit to its tags, or the chain abandoned the round's draw.
async fn closing(context: &CheckContext, view: &CheckView, epoch: &EpochView, draw: BlockNumber) {
	let mut snapshots = context.follower.subscribe();
	let is_over = |snapshot: &Snapshot| {
		let beacon = snapshot.epoch.round().map(|(_, beacon, _)| beacon);
		let is_current = snapshot.epoch.index == epoch.index && beacon == Some(view.beacon);
		!is_current || snapshot.next_offset() >= duty::closing(epoch, draw)
	};
	// An error means that the chain is no longer followed: then this task ends, too.
	let _ = snapshots.wait_for(|snapshot| snapshot.as_deref().is_some_and(is_over)).await;
}

/// Returns the slot of an accusation.
pub fn accusation_slot(epoch: EpochIndex, host: &AccountId) -> Hash {
	slot("accuse", &(epoch, host))
}

/// Returns the slot of a challenge.
pub fn challenge_slot(challenge: &Challenge) -> Hash {
	slot("challenge", challenge)
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
		tracing::warn!(host = keys::ss58(&host), "a wrong leaf belongs to an abandoned fork; its host is not accused");
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
