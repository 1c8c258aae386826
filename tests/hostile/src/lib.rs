//! Workers that cheat, each in its own way. Tests inject them through `gonka_worker::conduct`.

#![deny(missing_docs)]

mod engine;
mod prover;

use clap::ValueEnum;
use engine::CheapEngine;
use gonka_calibration::attack::Attack;
use gonka_engine::{Backend, Engine, EngineError, LocalConfig, LocalEngine, WeightFormat, convert};
use gonka_primitives::{
	EpochIndex, Hash,
	audit::{Breach, Counts, Finding},
	views::{CheckView, EpochView},
};
use gonka_sprint::{LeafId, Tag, Trace};
use gonka_worker::{
	conduct::Conduct,
	sprint::{Expand, pace::Pace},
};
use prover::Fabricator;
use std::sync::{Arc, Mutex, PoisonError};

/// The only segment that [`Kind::Burst`] computes.
const BURST_SEGMENT: u8 = 2;
/// Factor by which [`Kind::Burst`] exceeds its rate.
const BURST_FACTOR: f64 = 5.0;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
	/// Invents every 50th leaf. When accused, it defends the leaf in odd epochs, and is silent in even ones.
	Fabricate,
	/// Serves neither openings nor evidence.
	Withhold,
	/// Checks nothing, and invents its tags.
	Copy,
	/// Accuses a host of a right leaf, once an epoch.
	Accuse,
	/// Computes one segment only, with five times its rate.
	Burst,
	/// Computes no confirmation segments.
	Leave,
	/// Generates with the model's weights in 4 bits, but audits with the right ones. The mock engine, which has no
	/// weights, generates from a tape of its own choice.
	Cheapen,
	/// Reports every audit as clean, without doing it.
	Approve,
	/// Reports every audit as a breach, without doing it.
	Condemn,
}

/// A host that cheats in one way.
pub struct Cheat {
	kind: Kind,
	/// The last epoch in which [`Kind::Accuse`] accused.
	accused: Mutex<Option<EpochIndex>>,
}

impl Cheat {
	/// Makes a host that cheats in the given way.
	pub fn new(kind: Kind) -> Self {
		Self { kind, accused: Mutex::new(None) }
	}

	fn is(&self, kind: Kind) -> bool {
		self.kind == kind
	}
}

/// Loads a model with weights in 4 bits.
fn in_4_bits(config: &LocalConfig) -> Result<LocalEngine, EngineError> {
	let Backend::Llama(_) = config.backend else {
		return LocalEngine::load_altered(config, Arc::new(Attack::Int4Weights));
	};
	let folder = std::env::temp_dir().join("gonka-hostile");
	let model = convert(&config.model, WeightFormat::Q4_0, &folder)?;
	LocalEngine::load(&LocalConfig { model, trial: None, ..config.clone() })
}

impl Conduct for Cheat {
	fn prover(&self, honest: Box<dyn Expand>) -> Box<dyn Expand> {
		if self.is(Kind::Fabricate) { Box::new(Fabricator(honest)) } else { honest }
	}

	fn engine(&self, honest: Arc<dyn Engine>, config: Option<&LocalConfig>) -> Result<Arc<dyn Engine>, EngineError> {
		if !self.is(Kind::Cheapen) {
			return Ok(honest);
		}
		Ok(Arc::new(CheapEngine { honest, cheap: config.map(in_4_bits).transpose()? }))
	}

	fn computes(&self, epoch: &EpochView, segment: u8) -> bool {
		match self.kind {
			Kind::Burst => segment == BURST_SEGMENT,
			Kind::Leave => segment < epoch.schedule.segments,
			_ => true,
		}
	}

	fn pace(&self, configured: Pace) -> Pace {
		if self.is(Kind::Burst) { configured.times(BURST_FACTOR) } else { configured }
	}

	fn serves_checkers(&self) -> bool {
		!self.is(Kind::Withhold)
	}

	fn invented_tags(&self, view: &CheckView) -> Option<Vec<Tag>> {
		let sets = view.duties.iter().map(|duty| duty.sets.len()).sum();
		self.is(Kind::Copy).then(|| (1u8..).map(|number| [0xc0, 0xff, 0xee, number]).take(sets).collect())
	}

	fn accuses(&self, leaf: &LeafId, computed: &Hash, committed: &Hash) -> bool {
		if !self.is(Kind::Accuse) {
			return computed != committed;
		}
		let mut accused = self.accused.lock().unwrap_or_else(PoisonError::into_inner);
		computed == committed && accused.replace(leaf.epoch) != Some(leaf.epoch)
	}

	fn claimed_trace(&self, computed: Arc<Trace>) -> Arc<Trace> {
		if self.is(Kind::Accuse) { bend(&computed).map_or(computed, Arc::new) } else { computed }
	}

	fn refutes_blindly(&self, epoch: EpochIndex) -> bool {
		self.is(Kind::Fabricate) && epoch % 2 == 1
	}

	fn invented_finding(&self) -> Option<Finding> {
		let all = [1_000, 0, 0, 0, 0, 0, 0, 0];
		match self.kind {
			Kind::Approve => Some(Finding::Checked(Counts::new(all, all))),
			Kind::Condemn => Some(Finding::Broken(Breach::Output)),
			_ => None,
		}
	}
}

/// Returns a trace with a false value in the middle and in the output, and nothing in between that would follow from it.
pub fn bend(trace: &Trace) -> Option<Trace> {
	let mut blocks = trace.blocks().to_vec();
	let (middle, last) = (blocks.len() / 2, blocks.len().checked_sub(1)?);
	for at in [middle, last] {
		let value = blocks.get_mut(at)?.first_mut()?;
		*value = if *value == 1 { 2 } else { 1 };
	}
	Trace::from_blocks(trace.layout().format(), blocks)
}
