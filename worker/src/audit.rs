//! Audits of other hosts' settled receipts (`gonka_primitives::audit`).
//!
//! - [`run`]: one audit: evidence fetched, verified and replayed;
//! - [`running`]: audits that are under way;
//! - [`checker`]: the audits that the chain assigns to this host;
//! - [`arbiter`]: cases and appeals in which this host rules;
//! - [`accused`]: cases about this host.
//!
//! Findings are stored before they are sent, so that a restart continues where it was. Prompts and completions of others
//! are only in memory, and only while they are audited.

pub mod accused;
pub mod arbiter;
pub mod checker;
pub mod run;
pub mod running;

use crate::{
	chain::{ChainError, Follower},
	conduct::Conduct,
	models::Models,
	peer::{PeerClient, PeerError},
	store::{self, Store, StoreError, findings},
	tasks::{TaskError, follow},
};
use findings::StoredFinding;
use gonka_client::keys::{self, Keypair};
use gonka_engine::EngineError;
use gonka_primitives::{Hash, Signature};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Why there is no finding, or no report of it, yet.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
	/// The audited host does not show the evidence.
	#[error("the audited host does not show the evidence: {0}")]
	Peer(#[from] PeerError),
	/// The audited host is no longer registered.
	#[error("the audited host is no longer registered")]
	NotRegistered,
	/// The chain failed.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The store failed.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// The engine failed.
	#[error("the engine cannot replay the completion: {0}")]
	Engine(#[from] EngineError),
	/// The engine took too long.
	#[error("the engine did not replay the completion in time")]
	Slow,
	/// The worker is stopping.
	#[error("the worker is stopping")]
	Stopped,
}

impl AuditError {
	/// Returns whether the audited host is to blame, and not this worker, its node or its engine.
	pub fn blames_host(&self) -> bool {
		matches!(self, Self::Peer(_) | Self::NotRegistered)
	}
}

impl TaskError for AuditError {
	fn is_temporary(&self) -> bool {
		match self {
			Self::Peer(_) | Self::NotRegistered | Self::Engine(_) | Self::Slow => true,
			Self::Chain(error) => error.is_temporary(),
			Self::Store(error) => error.is_temporary(),
			Self::Stopped => false,
		}
	}
}

/// Result of an audit.
pub type Result<T> = std::result::Result<T, AuditError>;

/// State that checker and arbiter share.
pub struct AuditContext {
	/// The chain.
	pub follower: Follower,
	/// The store.
	pub store: Store,
	/// The models, whose engines replay completions.
	pub models: Models,
	/// The worker key.
	pub key: Keypair,
	/// Fetches evidence from other hosts.
	pub peers: Arc<PeerClient>,
	/// Deviations from the protocol, in tests.
	pub conduct: Arc<dyn Conduct>,
}

impl AuditContext {
	/// Starts all parts.
	pub fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
		tasks.spawn(follow(self.follower.clone(), checker::AuditChecker::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), arbiter::Arbiter::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), accused::Accused::new(self.clone())));
	}

	/// Returns the stored finding of a slot.
	fn finding(&self, slot: &Hash) -> store::Result<Option<StoredFinding>> {
		self.store.read(|tx| findings::get(tx, slot))
	}

	fn sign(&self, payload: &Hash) -> Signature {
		keys::sign(&self.key, payload)
	}
}
