//! The task that keeps the host's registration on chain up to date.

use crate::chain::{Follower, Snapshot};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	EpochIndex, ModelId, PublicKey, Signature,
	hashing::{domain, signing_payload},
	host::Registration,
};

/// The contents that the host's registration should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
	/// Public key of the worker.
	pub worker: PublicKey,
	/// URL at which gateways reach the worker.
	pub url: String,
	/// Name of the model that it serves, if it serves one.
	pub model: Option<String>,
}

impl Declaration {
	/// Returns the ids of the models to declare; `None` while the model is not registered.
	fn models(&self, snapshot: &Snapshot) -> Option<Vec<ModelId>> {
		let Some(name) = &self.model else { return Some(Vec::new()) };
		Some(vec![snapshot.model(name)?.id])
	}

	/// Returns whether the registration on chain says the same.
	fn is_registered(&self, snapshot: &Snapshot) -> bool {
		snapshot.host.as_ref().is_some_and(|host| {
			host.worker == self.worker
				&& host.url == self.url.as_bytes()
				&& Some(&host.models) == self.models(snapshot).as_ref()
		})
	}
}

/// Registers the host if the worker has the host key; otherwise it logs the command that does.
pub struct Registrar {
	follower: Follower,
	declaration: Declaration,
	/// The host key, if the worker has it.
	key: Option<Keypair>,
	/// The registration that was signed last. An epoch takes at most one.
	signed: Option<(Registration, Signature)>,
	/// State of the registration that was logged last.
	logged: Option<bool>,
}

impl Registrar {
	/// Makes the task for the follower's host, whose key is `key`.
	pub fn new(follower: Follower, declaration: Declaration, key: Option<Keypair>) -> Self {
		Self { follower, declaration, key, signed: None, logged: None }
	}

	/// Runs until the chain is no longer followed.
	pub async fn run(mut self) {
		let mut snapshots = self.follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			self.step(&snapshot).await;
		}
	}

	/// Does what is due at a block.
	async fn step(&mut self, snapshot: &Snapshot) {
		if snapshot.is_outdated() {
			// The registration expires by itself.
			return;
		}
		let is_registered = self.declaration.is_registered(snapshot);
		self.log(is_registered);
		let (false, Some(key)) = (is_registered, self.key.clone()) else { return };
		let epoch = snapshot.epoch.index;
		if snapshot.host.as_ref().is_some_and(|host| host.registered >= epoch) {
			// An epoch takes one registration of a host. The change waits for the next epoch.
			return;
		}
		let Some((registration, signature)) = self.sign(&key, snapshot, epoch).await else { return };
		match self.follower.chain().submit_registration(registration, signature).await {
			Ok(()) => tracing::info!(epoch, url = self.declaration.url, "registered"),
			Err(error) => tracing::warn!(epoch, %error, "cannot register; trying again with the next block"),
		}
	}

	/// Returns the epoch's registration. Its proof of work is solved once.
	async fn sign(
		&mut self,
		key: &Keypair,
		snapshot: &Snapshot,
		epoch: EpochIndex,
	) -> Option<(Registration, Signature)> {
		if let Some(signed) = self.signed.as_ref().filter(|(registration, _)| registration.epoch == epoch) {
			return Some(signed.clone());
		}
		let models = self.declaration.models(snapshot)?;
		let url = self.declaration.url.clone().into_bytes();
		let (host, worker) = (*self.follower.host(), self.declaration.worker);
		let registration = Registration { host, worker, url, models, epoch, work: 0 };
		if !registration.is_well_formed() {
			let url = &self.declaration.url;
			tracing::error!(url, "this URL cannot be registered: give --public-url a shorter http:// or https:// URL");
			return None;
		}
		let (genesis, bits) = (self.follower.chain().genesis(), snapshot.epoch.registration_bits);
		tracing::info!(epoch, bits, "solving the registration's proof of work");
		let solved = tokio::task::spawn_blocking(move || registration.solve(&genesis, bits)).await.ok()?;
		let signature = keys::sign(key, &signing_payload(domain::REGISTRATION, &genesis, &solved));
		self.signed = Some((solved, signature));
		self.signed.clone()
	}

	/// Logs the state of the registration when it changes.
	fn log(&mut self, is_registered: bool) {
		if self.logged.replace(is_registered) == Some(is_registered) {
			return;
		}
		let (host, url) = (keys::ss58(self.follower.host()), &self.declaration.url);
		if is_registered {
			tracing::info!(host, url, "this worker is registered");
		} else if self.key.is_none() {
			let worker = keys::ss58(&self.declaration.worker);
			let model = self.declaration.model.as_ref().map(|name| format!(" --model {name}")).unwrap_or_default();
			tracing::warn!(
				"host {host} is not registered with this worker; run this where the host key is: gonka host register \
				 --host-key <FILE> --worker {worker} --url {url}{model}"
			);
		}
	}
}
