//! The points at which a worker may deviate from the protocol. The worker itself is honest; tests inject hosts that
//! cheat, to show that the network notices.

use crate::sprint::{Expand, pace::Pace};
use gonka_engine::{Engine, EngineError, LocalConfig};
use gonka_primitives::{
	EpochIndex, Hash,
	audit::Finding,
	views::{CheckView, EpochView},
};
use gonka_sprint::{LeafId, Tag, Trace};
use std::sync::Arc;

/// The behaviour of a worker. The default of every method follows the protocol.
pub trait Conduct: Send + Sync + 'static {
	/// Wraps the prover that computes the sprint.
	fn prover(&self, honest: Box<dyn Expand>) -> Box<dyn Expand> {
		honest
	}

	/// Wraps the engine that serves requests and audits. `config` is its configuration, if it computes in this process.
	fn engine(&self, honest: Arc<dyn Engine>, _config: Option<&LocalConfig>) -> Result<Arc<dyn Engine>, EngineError> {
		Ok(honest)
	}

	/// Returns whether to compute a segment.
	fn computes(&self, _epoch: &EpochView, _segment: u8) -> bool {
		true
	}

	/// Returns the pace of a segment.
	fn pace(&self, configured: Pace) -> Pace {
		configured
	}

	/// Returns whether to serve openings and evidence to entitled hosts.
	fn serves_checkers(&self) -> bool {
		true
	}

	/// Returns tags to commit to without computing them.
	fn invented_tags(&self, _view: &CheckView) -> Option<Vec<Tag>> {
		None
	}

	/// Returns whether to accuse the host of a leaf that was recomputed.
	fn accuses(&self, _leaf: &LeafId, computed: &Hash, committed: &Hash) -> bool {
		computed != committed
	}

	/// Returns the trace to show as a claimant.
	fn claimed_trace(&self, computed: Arc<Trace>) -> Arc<Trace> {
		computed
	}

	/// Returns whether to refute where the trace shows no difference.
	fn refutes_blindly(&self, _epoch: EpochIndex) -> bool {
		false
	}

	/// Returns a finding to report without an audit.
	fn invented_finding(&self) -> Option<Finding> {
		None
	}
}

/// The conduct of an honest worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Conduct for Honest {}
