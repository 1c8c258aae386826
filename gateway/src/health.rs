//! Each host announces the models that it serves, with the length of context of each, and its load.
//!
//! A host may serve a shorter context than the registry allows. Knowing it, the gateway asks no host for what that host would
//! reject, and announces the context that is served.

use crate::{gateway::Gateway, snapshot::Host, worker_client::CallError};
use futures::future::join_all;
use gonka_client::keys;
use gonka_primitives::AccountId;
use std::{
	collections::{HashMap, hash_map::Entry},
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::time::timeout;

/// Pause between two queries of a host.
const PAUSE: Duration = Duration::from_secs(15);
/// Maximum pause between two looks for hosts to query.
const LOOK: Duration = Duration::from_secs(1);

/// Queries a host, to which so many requests are in flight. One that does not respond is queried again later.
pub async fn query(gateway: &Gateway, host: &Host, in_flight: u64) -> Result<(), CallError> {
	match gateway.workers.health(&host.url).await {
		Ok(health) => {
			gateway.router.learn(&host.account, health, in_flight);
			Ok(())
		},
		Err(error) => {
			let trouble = format!("{}, at {}, {error}", keys::ss58(&host.account), host.url);
			gateway.router.not_told(&host.account, trouble);
			Err(error)
		},
	}
}

/// Queries all hosts with a channel from time to time. Never returns.
pub async fn watch(gateway: Arc<Gateway>) {
	let mut snapshots = gateway.snapshots.subscribe();
	let mut asked: HashMap<AccountId, Instant> = HashMap::new();
	loop {
		asked.retain(|_, at| at.elapsed() < PAUSE);
		let snapshot = gateway.snapshots.load();
		let mut due: Vec<_> = snapshot.open_channels().map(|(_, host)| host).collect();
		due.retain(|host| match asked.entry(host.account) {
			Entry::Occupied(_) => false,
			Entry::Vacant(entry) => {
				entry.insert(Instant::now());
				true
			},
		});
		join_all(due.into_iter().map(async |host| {
			let before = gateway.router.expect(&host.account);
			let _ = query(&gateway, host, before).await;
		}))
		.await;
		let _ = timeout(LOOK, snapshots.changed()).await;
	}
}
