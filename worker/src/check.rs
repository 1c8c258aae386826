//! Checks of other hosts' leaves, requests to this host, and disputes (`gonka_primitives::check`).
//!
//! - [`checker`]: the epoch's duties: tags, accusations, challenges;
//! - [`duty`]: one host's leaves, fetched and recomputed;
//! - [`disputes`]: turns in the games about claims;
//! - [`silent`]: the hosts of which openings are requested on chain;
//! - [`requests`]: openings that checkers request of this host;
//! - [`oracle`]: recomputed leaves and traces;
//! - [`outbox`]: messages, which are stored before they are sent.

pub mod checker;
pub mod disputes;
pub mod duty;
pub mod oracle;
pub mod outbox;
pub mod requests;
pub mod silent;

use crate::{
	chain::{ChainError, Follower},
	conduct::Conduct,
	openings::Openings,
	peer::PeerClient,
	sprint::{ProverError, queue::JobQueue},
	store::{Store, StoreError},
	tasks::{TaskError, follow},
};
use gonka_client::keys::Keypair;
use oracle::Oracle;
use outbox::Outbox;
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

/// Maximum number of hosts whose openings are fetched at the same time: more than a checker of a large network has, since each
/// may keep it waiting for some seconds.
const MAX_FETCHES: usize = 128;
/// Maximum number of hosts whose leaves are recomputed at the same time.
const MAX_CHECKS: usize = 32;

/// Why a check, or a turn in a dispute, was not completed. No variant speaks against another host: a host that shows
/// nothing is an outcome of a check, not an error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
	/// The chain failed.
	#[error(transparent)]
	Chain(#[from] ChainError),
	/// The store failed.
	#[error(transparent)]
	Store(#[from] StoreError),
	/// Leaves were not recomputed.
	#[error(transparent)]
	Prover(#[from] ProverError),
	/// A message was not included.
	#[error("{message} was not included: {source}")]
	NotIncluded {
		/// Name of the message.
		message: &'static str,
		/// Error of the chain.
		source: ChainError,
	},
	/// A leaf that one implementation of the sprint finds wrong is right by the other one.
	#[error("leaf {leaf} of segment {segment} is right by the reference: this machine computes wrong leaves; test it")]
	WrongMachine {
		/// Segment of the leaf.
		segment: u8,
		/// Index of the leaf.
		leaf: u64,
	},
	/// The chain's view of a claim or of the epoch lacks what it should have.
	#[error("the chain's view has no {0}")]
	Missing(&'static str),
	/// A request names leaves that this host did not commit to.
	#[error("a request names leaves that this host did not commit to")]
	NotCommitted,
}

impl TaskError for CheckError {
	fn is_temporary(&self) -> bool {
		match self {
			Self::Chain(error) | Self::NotIncluded { source: error, .. } => error.is_temporary(),
			Self::Store(error) => error.is_temporary(),
			Self::Prover(error) => error.is_temporary(),
			Self::Missing(_) => true,
			Self::WrongMachine { .. } | Self::NotCommitted => false,
		}
	}
}

/// Result of a check.
pub type Result<T> = std::result::Result<T, CheckError>;

/// State that the parts share.
pub struct CheckContext {
	/// The chain.
	pub follower: Follower,
	/// The store.
	pub store: Store,
	/// Sends messages.
	pub outbox: Outbox,
	/// Recomputes leaves and traces.
	pub oracle: Oracle,
	/// Openings of this host's leaves.
	pub openings: Arc<Openings>,
	/// Fetches openings from other hosts.
	pub peers: Arc<PeerClient>,
	/// One permit for each host whose openings are being fetched.
	pub fetches: Semaphore,
	/// One permit for each host whose leaves are being recomputed.
	pub checks: Semaphore,
	/// One permit for each new refutation whose trace is computed: turns of games that have begun wait behind few of them.
	pub refutations: Semaphore,
	/// Deviations from the protocol, in tests.
	pub conduct: Arc<dyn Conduct>,
}

impl CheckContext {
	/// Makes the context of the follower's host, whose worker key is `key`. Without `queue`, the reference recomputes
	/// all leaves.
	pub fn new(
		follower: Follower,
		store: Store,
		key: Keypair,
		openings: Arc<Openings>,
		peers: Arc<PeerClient>,
		queue: Option<JobQueue>,
		conduct: Arc<dyn Conduct>,
	) -> Arc<Self> {
		let outbox = Outbox::new(follower.clone(), store.clone(), key);
		let (fetches, checks) = (Semaphore::new(MAX_FETCHES), Semaphore::new(MAX_CHECKS));
		let oracle = Oracle::new(queue);
		let refutations = Semaphore::new(oracle.parallel());
		Arc::new(Self { follower, store, outbox, oracle, openings, peers, fetches, checks, refutations, conduct })
	}

	/// Starts all parts.
	pub fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
		tasks.spawn(follow(self.follower.clone(), checker::LeafChecker::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), disputes::Disputes::new(self.clone())));
		tasks.spawn(follow(self.follower.clone(), requests::OpeningRequests::new(self.clone())));
	}
}
