//! A running worker: all parts put together.

use crate::{
	audit::AuditContext,
	chain::{ChainApi, Follower},
	check::CheckContext,
	conduct::Conduct,
	models::Models,
	peer::{PeerClient, Timeouts},
	pruning::Pruner,
	registration::{Declaration, Registrar},
	server::{self, Limits, Service, ServiceParts},
	settlement::SettlementTask,
	sprint::{
		Expand,
		committer::Committer,
		pace::Pace,
		queue::queue,
		runner::{Runner, RunnerParts, Running},
	},
	store::Store,
	version_watch::VersionWatch,
};
use gonka_client::{
	keys::{self, Keypair},
	listen,
	peer_http::Addresses,
};
use gonka_primitives::{
	AccountId,
	hashing::{domain, signing_payload},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

/// Maximum time for the receipts of completions whose gateways hung up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The parts from which a worker is made.
pub struct Parts {
	/// The chain.
	pub chain: Arc<dyn ChainApi>,
	/// Account of the host.
	pub host: AccountId,
	/// The worker key.
	pub key: Keypair,
	/// The host key, if the worker registers the host itself.
	pub host_key: Option<Keypair>,
	/// The store of this host.
	pub store: Store,
	/// The models that it serves.
	pub models: Models,
	/// URL at which gateways reach the worker.
	pub url: String,
	/// Bounds on requests.
	pub limits: Limits,
	/// Bounds on the time that other hosts' workers have.
	pub timeouts: Timeouts,
	/// The addresses of other hosts to which the worker connects.
	pub addresses: Addresses,
	/// Implementation and pace of the sprint, if the worker takes part in it.
	pub sprint: Option<(Box<dyn Expand>, Pace)>,
	/// Deviations from the protocol, in tests.
	pub conduct: Arc<dyn Conduct>,
}

/// A running worker.
pub struct Worker {
	service: Arc<Service>,
	tasks: JoinSet<()>,
	sprint: Option<Running>,
}

impl Worker {
	/// Starts all parts except the server, which [`Worker::serve`] runs.
	pub fn start(parts: Parts) -> io::Result<Self> {
		let Parts { chain, host, key, host_key, store, models, url, limits, timeouts, addresses, sprint, conduct } =
			parts;
		let follower = Follower::start(chain, host);
		let genesis = follower.chain().genesis();
		let peers = PeerClient::new(genesis, host, key.clone(), timeouts, addresses).map_err(io::Error::other)?;
		let peers = Arc::new(peers);
		let consent = keys::sign(&key, &signing_payload(domain::WORKER, &genesis, &host));
		let declaration = Declaration { worker: keys::public(&key), consent, url, models: models.clone() };
		let signed = Arc::new(Notify::new());

		let mut tasks = JoinSet::new();
		tasks.spawn(VersionWatch::default().run(follower.clone()));
		tasks.spawn(models.clone().watch(follower.clone()));
		tasks.spawn(Registrar::new(follower.clone(), declaration, host_key).run());
		tasks.spawn(Committer::new(follower.clone(), store.clone(), key.clone(), signed.clone()).run());
		tasks.spawn(SettlementTask::new(follower.clone(), store.clone(), key.clone()).run());
		tasks.spawn(Pruner::new(follower.clone(), store.clone()).run());

		let (queue, jobs) = queue();
		let queue = sprint.is_some().then_some(queue);
		let sprint = sprint.map(|(expand, pace)| {
			let (follower, store, key, conduct) = (follower.clone(), store.clone(), key.clone(), conduct.clone());
			Runner::new(RunnerParts { follower, store, key, expand, pace, conduct, signed, jobs }).start()
		});
		let sprint = sprint.transpose()?;

		let service = Service::new(ServiceParts {
			follower: follower.clone(),
			store: store.clone(),
			models: models.clone(),
			key: key.clone(),
			limits,
			conduct: conduct.clone(),
		});
		let audit = AuditContext {
			follower: follower.clone(),
			store: store.clone(),
			models,
			key: key.clone(),
			peers: peers.clone(),
			conduct: conduct.clone(),
		};
		Arc::new(audit).start(&mut tasks);
		CheckContext::new(follower, store, key, service.openings(), peers, queue, conduct).start(&mut tasks);
		Ok(Self { service, tasks, sprint })
	}

	/// Serves until `stop` resolves. Then running completions have `grace` to end.
	pub async fn serve(mut self, listener: TcpListener, stop: impl Future<Output = ()>, grace: Duration) {
		listen::serve(listener, server::router(self.service.clone()), stop, grace).await;
		// Completions whose gateways hung up still store their receipts.
		if !self.service.drain(DRAIN_TIMEOUT).await {
			tracing::warn!("some completions were broken off; nothing is due for them");
		}
		if let Some(sprint) = self.sprint.take() {
			// The sprint's thread stores its last leaves before it ends. One that expands a model on a busy machine is cut off.
			let end = tokio::task::spawn_blocking(move || drop(sprint));
			if tokio::time::timeout(DRAIN_TIMEOUT, end).await.is_err() {
				tracing::warn!("the sprint's thread is cut off");
			}
		}
		self.tasks.shutdown().await;
	}
}
