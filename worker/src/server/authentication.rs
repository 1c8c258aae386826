//! Authentication of queries from other hosts: they must be signed by a registered host's worker key.

use super::{Rejection, Service};
use crate::chain::{ChainApi, ChainError, Snapshot};
use gonka_client::{keys, worker_api::ErrorCode};
use gonka_primitives::{AccountId, BlockNumber, EpochIndex, Hash, PublicKey, Signature, views::HostView};
use std::{
	collections::HashMap,
	sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Mutex;

/// All hosts, as the chain had them in a block. Queries of hosts with weight cause no reads in the course of an epoch.
#[derive(Default)]
pub struct Hosts {
	known: Arc<RwLock<Arc<Known>>>,
	/// The block of the last attempt to read them. Locked while they are read.
	attempt: Arc<Mutex<Option<BlockNumber>>>,
}

#[derive(Default)]
struct Known {
	/// Epoch in which the hosts were read.
	epoch: Option<EpochIndex>,
	hosts: HashMap<AccountId, Host>,
}

#[derive(Clone, Copy)]
struct Host {
	worker: PublicKey,
	has_weight: bool,
}

impl Hosts {
	fn known(&self) -> Arc<Known> {
		self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
	}

	/// Returns the hosts as of this block. They are read at most once a block.
	async fn refreshed(&self, chain: &Arc<dyn ChainApi>, snapshot: &Snapshot) -> Result<Arc<Known>, Rejection> {
		let mut attempt = self.attempt.clone().lock_owned().await;
		if attempt.is_none_or(|block| block < snapshot.block) {
			*attempt = Some(snapshot.block);
			let (chain, known, epoch) = (chain.clone(), self.known.clone(), Some(snapshot.epoch.index));
			// It goes on if the client hangs up.
			let read = tokio::spawn(async move {
				let host = |host: HostView| {
					(host.account, Host { worker: host.worker, has_weight: host.effective_weight > 0 })
				};
				let hosts = chain.hosts().await?.into_iter().map(host).collect();
				*known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known { epoch, hosts });
				drop(attempt);
				Ok::<_, ChainError>(())
			});
			read.await.map_err(Rejection::internal)?.map_err(Rejection::internal)?;
		}
		Ok(self.known())
	}
}

impl Service {
	/// Rejects a query unless the worker key of the registered host `checker` signed `payload`. Returns whether the host has
	/// weight: others must not take its place.
	pub(super) async fn authenticate(
		&self,
		checker: &AccountId,
		payload: &Hash,
		signature: &Signature,
		snapshot: &Snapshot,
	) -> Result<bool, Rejection> {
		let signer = |known: &Known| {
			known.hosts.get(checker).copied().filter(|host| keys::verify(signature, payload, &host.worker))
		};
		let known = self.hosts.known();
		if known.epoch == Some(snapshot.epoch.index) && signer(&known).is_some_and(|host| host.has_weight) {
			return Ok(true);
		}
		// The host may be new, have another key, or have weight since.
		let known = self.hosts.refreshed(self.parts.follower.chain(), snapshot).await?;
		match signer(&known) {
			Some(host) => Ok(host.has_weight),
			None if known.hosts.contains_key(checker) => Err(Rejection::new(
				ErrorCode::BadSignature,
				"not signed by the checker's worker key for this chain and host",
			)),
			None => {
				let message = format!("{} is not a registered host; only hosts are served", keys::ss58(checker));
				Err(Rejection::new(ErrorCode::NotAHost, message))
			},
		}
	}
}
