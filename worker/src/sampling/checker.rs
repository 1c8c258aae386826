//! The samples that the chain gives this host.
//!
//! What is found is sent in messages of several findings, each finding once. A host that does not show a sample has time
//! almost until the end.

use super::{Context, Looks, Time, look::Sample};
use crate::{
	chain::Snapshot,
	check::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::{
	BlockNumber, Hash, ModelId,
	hashing::{domain, signing_payload},
	sampling::{Finding, MAX_FINDINGS, Profile, Verdicts},
	views::{SampleView, SamplesView},
};
use std::{
	collections::{BTreeMap, btree_map::Entry},
	sync::Arc,
};

/// Findings that are worth a message of their own before all are there.
const BATCH: usize = 8;

/// By model.
type Profiles = BTreeMap<ModelId, Option<Profile>>;

/// Checks samples.
pub struct Checker {
	context: Arc<Context>,
	looks: Looks,
	messages: Tasks,
}

impl Checker {
	/// With nothing under way.
	pub fn new(context: Arc<Context>) -> Self {
		Self { context, looks: Looks::default(), messages: Tasks::default() }
	}

	async fn check(&mut self, snapshot: &Snapshot) -> Result<(), String> {
		let chain = self.context.follower.chain().clone();
		let lists = chain.samples(self.context.follower.host()).await.map_err(|error| error.to_string())?;
		let mut profiles = BTreeMap::new();
		for sample in lists.iter().flat_map(|list| &list.samples).filter(|sample| !sample.done) {
			if let Entry::Vacant(unknown) = profiles.entry(sample.model) {
				let profile = chain.sampling_profile(sample.model).await;
				unknown.insert(profile.map_err(|error| error.to_string())?);
			}
		}
		for list in lists {
			self.list(snapshot, list, &profiles)?;
		}
		self.looks.keep(snapshot.block);
		Ok(())
	}

	fn list(&mut self, snapshot: &Snapshot, list: SamplesView, profiles: &Profiles) -> Result<(), String> {
		let length = snapshot.market.window;
		let (now, drawn) = (snapshot.block, list.window.saturating_add(1).saturating_mul(length));
		let begun: BlockNumber = list.window.saturating_mul(length);
		let time = Time { now, deadline: list.deadline, length: list.deadline.saturating_sub(begun) };
		let (mut found, mut open) = (Vec::new(), 0u32);
		for sample in list.samples.iter().filter(|sample| !sample.done) {
			let slot = name(list.window, sample);
			match self.context.found(&slot)? {
				Some(stored) => found.push((sample.index, stored.finding)),
				None => {
					open = open.saturating_add(1);
					let profile = profiles.get(&sample.model).copied().flatten();
					self.looks.start(&self.context, slot, target(sample), profile, time);
				},
			}
		}
		let all = open == 0 && now >= drawn;
		if !found.is_empty() && (all || found.len() >= BATCH || time.is_closing()) {
			self.send(list.window, found);
		}
		Ok(())
	}

	/// Sends findings of a window; one message of it is under way at a time.
	fn send(&mut self, window: u32, mut findings: Vec<(u16, Finding)>) {
		findings.sort_by_key(|(index, _)| *index);
		findings.truncate(MAX_FINDINGS as usize);
		let context = self.context.clone();
		self.messages.start(slot("verdicts", &window), async move {
			let chain = context.follower.chain();
			let (count, verdicts) = (findings.len(), Verdicts { checker: *context.follower.host(), window, findings });
			let signature = context.sign(&signing_payload(domain::VERDICTS, &chain.genesis(), &verdicts));
			chain.submit_verdicts(verdicts, signature).await.map_err(|error| error.to_string())?;
			metrics::counter!("gonka_worker_findings_total").increment(count as u64);
			tracing::info!(window, count, "findings about samples are on chain");
			Ok(())
		});
	}
}

impl Step for Checker {
	const NAME: &'static str = "checking samples";

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
		self.check(snapshot).boxed()
	}
}

/// The name of a sample: with all that makes it this one, as another fork may have another in its place.
fn name(window: u32, sample: &SampleView) -> Hash {
	slot("sample", &(window, sample.index, sample.host, sample.window, sample.root, sample.pick))
}

fn target(sample: &SampleView) -> Sample {
	Sample { host: sample.host, model: sample.model, window: sample.window, root: sample.root, pick: sample.pick }
}
