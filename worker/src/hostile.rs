//! Hosts that cheat, for tests of networks: built only with the feature `hostile`.
//! `gonka-worker` has no option for it; the end-to-end tests bring a program of their own.
//!
//! A process is hostile or not, so what kind it is stands in one place for all.

use crate::{
	chain::CheckMessage,
	check::{Context, checker::accusation, fetch::Target, outbox::Times, slot},
	sprint::{Checked, Expand, Racer, pace::Pace},
};
use clap::ValueEnum;
use gonka_engine::{
	Attack, ChatMessage, ChatOptions, CheckReceiver, CheckRequest, Engine, EngineError, GenerateRequest, Health,
	ModelInfo, TokenEvent,
};
use gonka_primitives::{
	EpochIndex, Hash,
	hashing::blake2_256,
	sampling::{Breach, Counts, Finding},
	views::{CheckView, EpochView},
};
use gonka_sprint::{
	LeafId, ModelSeed, Profile, SegmentSeed, Tag, Trace,
	committee::{LEAVES_PER_SET, locate_segment},
	sample,
};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// Every so many leaves one is made up.
const FABRICATED: u64 = 50;
/// The segment in which a burst comes, and how much faster it is.
const BURST: (u8, f64) = (2, 5.0);

/// Ways to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
	/// Makes every 50th leaf up; in odd epochs it defends that when accused, in others it is silent.
	Fabricate,
	/// Shows no openings.
	Withhold,
	/// Checks nothing, and makes its tags up.
	Copy,
	/// Accuses an honest host.
	Accuse,
	/// Computes in one segment only, with five times its speed.
	Burst,
	/// Leaves after the sprint.
	Leave,
	/// Answers with the model's weights in 4 bits, and checks with the right ones, lest it be struck; the mock, which has
	/// none, answers from a tape of its own choice.
	Cheapen,
	/// Finds nothing wrong with any sample, unseen.
	Approve,
	/// Finds something wrong with every sample, unseen.
	Condemn,
}

static KIND: OnceLock<Kind> = OnceLock::new();

/// From now on this process cheats.
pub fn set(kind: Kind) {
	tracing::warn!(?kind, "this worker cheats");
	let _ = KIND.set(kind);
}

/// Whether this process cheats in that way.
pub fn is(kind: Kind) -> bool {
	KIND.get() == Some(&kind)
}

/// Whether a segment is left out.
pub fn skips(epoch: &EpochView, segment: u8) -> bool {
	is(Kind::Burst) && segment != BURST.0 || is(Kind::Leave) && segment >= epoch.schedule.segments
}

/// The pace of a segment that is raced.
pub fn pace(pace: Pace) -> Pace {
	if is(Kind::Burst) { pace.times(BURST.1) } else { pace }
}

/// The pick of a refuter that has nothing to refute.
pub fn bluff(epoch: EpochIndex) -> Option<u32> {
	(is(Kind::Fabricate) && epoch % 2 == 1).then_some(0)
}

/// Tags that look like any others.
pub fn make_up(tags: &mut [Tag]) {
	if is(Kind::Copy) {
		for (number, tag) in (1u8..).zip(tags) {
			*tag = [0xc0, 0xff, 0xee, number];
		}
	}
}

/// What is done to the model's weights.
pub fn attack() -> Option<Attack> {
	is(Kind::Cheapen).then_some(Attack::Int4Weights)
}

/// Wraps the engine of a worker that answers by a cheaper one, if it has one.
pub fn engine(right: Arc<dyn Engine>, cheap: Option<Arc<dyn Engine>>) -> Arc<dyn Engine> {
	if is(Kind::Cheapen) { Arc::new(Cheap { right, cheap }) } else { right }
}

struct Cheap {
	right: Arc<dyn Engine>,
	cheap: Option<Arc<dyn Engine>>,
}

impl Engine for Cheap {
	fn info(&self) -> ModelInfo {
		self.right.info()
	}

	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		self.right.tokenize(text)
	}

	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		self.right.tokenize_chat(messages, options)
	}

	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError> {
		self.right.detokenize(ids)
	}

	fn generate(&self, mut request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		if let Some(cheap) = &self.cheap {
			return cheap.generate(request);
		}
		request.key = blake2_256(&[b"made up", &request.key]);
		self.right.generate(request)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		self.right.check(request)
	}

	fn health(&self) -> Health {
		self.right.health()
	}
}

/// What a checker says that looks at nothing.
pub fn finding() -> Option<Finding> {
	let all = [1_000, 0, 0, 0, 0, 0, 0, 0];
	if is(Kind::Approve) {
		Some(Finding::Checked(Counts::new(all, all)))
	} else {
		is(Kind::Condemn).then_some(Finding::Broken(Breach::Output))
	}
}

/// The trace of an accuser: false in the middle and at the end, with nothing in between that would follow from it.
pub fn bent(trace: Arc<Trace>) -> Arc<Trace> {
	if is(Kind::Accuse) { bend(&trace).map_or(trace, Arc::new) } else { trace }
}

/// A trace with another block in the middle and another output.
pub fn bend(trace: &Trace) -> Option<Trace> {
	let mut blocks = trace.blocks().to_vec();
	let (middle, last) = (blocks.len() / 2, blocks.len().checked_sub(1)?);
	for at in [middle, last] {
		let value = blocks.get_mut(at)?.first_mut()?;
		*value = if *value == 1 { 2 } else { 1 };
	}
	Trace::from_blocks(trace.layout().profile(), blocks)
}

/// Accuses the first host that there is to check of its first leaf.
pub async fn accuse(context: Arc<Context>, epoch: EpochView, view: Arc<CheckView>) -> Result<(), String> {
	let Some((duty, set)) = view.duties.iter().find_map(|duty| Some((duty, duty.sets.first()?))) else { return Ok(()) };
	let slot = slot("lie", &(epoch.index, view.beacon));
	if context.outbox.is_settled(epoch.index, &slot)? {
		return Ok(());
	}
	let counts: Vec<(u8, u64)> = duty.commitments.iter().map(|(segment, made)| (*segment, made.count)).collect();
	let total = counts.iter().map(|(_, count)| count).sum();
	let positions = sample(&view.beacon, &duty.host, set.number.into(), total, LEAVES_PER_SET);
	let place = positions.first().and_then(|first| locate_segment(&counts, *first));
	let (segment, position) = place.ok_or("nothing to accuse of")?;
	let target = Target { host: &duty.host, url: &duty.url, epoch: epoch.index };
	let opening = context.fetcher.openings(target, segment, &[position]).await?.pop().ok_or("no opening")?;
	let made = duty.commitments.iter().find(|(of, _)| *of == segment).map(|(_, made)| made);
	let (lane, index) = made.and_then(|made| made.verify(position, &opening)).ok_or("a wrong opening")?;
	let id = LeafId { host: duty.host, epoch: epoch.index, segment, lane, index };
	let seed = *epoch.segment_seeds.get(usize::from(segment)).ok_or("no seed")?;
	let trace = bent(context.oracle.trace((epoch.model_seed, epoch.profile), seed, id).await?);
	let message = accusation(*context.follower.host(), id, position, opening, &trace);
	context.outbox.send(epoch.index, slot, Times::Once, CheckMessage::Accuse(message)).await
}

/// Wraps what computes sprints.
pub fn expand(inner: Box<dyn Expand>) -> Box<dyn Expand> {
	if is(Kind::Fabricate) { Box::new(Fabricator(inner)) } else { inner }
}

struct Fabricator<T>(T);

impl Expand for Fabricator<Box<dyn Expand>> {
	fn expand(&mut self, seed: &ModelSeed, profile: Profile) -> Result<Box<dyn Racer>, String> {
		Ok(Box::new(Fabricator(self.0.expand(seed, profile)?)))
	}
}

impl Racer for Fabricator<Box<dyn Racer>> {
	fn batch(&self) -> usize {
		self.0.batch()
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>, String> {
		let mut leaves = self.0.leaves(seed, ids)?;
		for (id, leaf) in ids.iter().zip(&mut leaves) {
			if id.index % FABRICATED == FABRICATED - 1 {
				*leaf = blake2_256(&[b"made up", leaf]);
			}
		}
		Ok(leaves)
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>, String> {
		self.0.check(seed, ids, layer)
	}
}
