//! Keeping what the chain says of this host up to date.

use crate::chain::{Follower, Snapshot};
use gonka_client::keys::{self, Keypair};
use gonka_primitives::{
	EpochIndex, ModelId, PublicKey, Signature,
	hashing::{domain, signing_payload},
	host::Registration,
};

/// What the chain should say of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
	/// The worker's public key.
	pub worker: PublicKey,
	/// Where gateways reach the worker.
	pub url: String,
	/// The name of the model that it serves, if it serves one.
	pub model: Option<String>,
}

impl Wanted {
	/// The ids of the models to declare; `None` while the model is not registered.
	fn models(&self, snapshot: &Snapshot) -> Option<Vec<ModelId>> {
		let Some(name) = &self.model else { return Some(Vec::new()) };
		let model = snapshot.models.iter().find(|model| model.name == name.as_bytes())?;
		Some(vec![model.id])
	}

	/// Whether the chain says so already.
	fn is_met(&self, snapshot: &Snapshot) -> bool {
		snapshot.host.as_ref().is_some_and(|host| {
			host.worker == self.worker
				&& host.url == self.url.as_bytes()
				&& Some(&host.models) == self.models(snapshot).as_ref()
		})
	}
}

/// Registers the host, if it has the host key; otherwise says what to do.
pub struct Registrar {
	follower: Follower,
	wanted: Wanted,
	/// The host key, if it is here.
	key: Option<Keypair>,
	/// What was signed for an epoch: there is one registration an epoch at most.
	signed: Option<(Registration, Signature)>,
	/// Whether it was said that the chain says what is wanted, or not.
	told: Option<bool>,
}

impl Registrar {
	/// For the follower's host, whose key is `key`.
	pub fn new(follower: Follower, wanted: Wanted, key: Option<Keypair>) -> Self {
		Self { follower, wanted, key, signed: None, told: None }
	}

	/// Keeps the registration up to date for ever.
	pub async fn run(mut self) {
		let mut snapshots = self.follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			self.step(&snapshot).await;
		}
	}

	/// Does what there is to do at a block.
	pub async fn step(&mut self, snapshot: &Snapshot) {
		if snapshot.is_outdated() {
			// What it declared expires by itself.
			return;
		}
		let met = self.wanted.is_met(snapshot);
		self.tell(met);
		let (false, Some(key)) = (met, self.key.clone()) else { return };
		let epoch = snapshot.epoch.index;
		if snapshot.host.as_ref().is_some_and(|host| host.registered >= epoch) {
			// One registration an epoch; the next epoch takes the change.
			return;
		}
		let Some((registration, signature)) = self.sign(&key, snapshot, epoch).await else { return };
		match self.follower.chain().submit_registration(registration, signature).await {
			Ok(()) => tracing::info!(epoch, url = self.wanted.url, "registered"),
			Err(error) => tracing::warn!(epoch, %error, "the registration was not taken; trying with the next block"),
		}
	}

	/// The epoch's registration, solved and signed once.
	async fn sign(
		&mut self,
		key: &Keypair,
		snapshot: &Snapshot,
		epoch: EpochIndex,
	) -> Option<(Registration, Signature)> {
		if let Some(signed) = self.signed.as_ref().filter(|(registration, _)| registration.epoch == epoch) {
			return Some(signed.clone());
		}
		let models = self.wanted.models(snapshot)?;
		let url = self.wanted.url.clone().into_bytes();
		let (host, worker) = (*self.follower.host(), self.wanted.worker);
		let registration = Registration { host, worker, url, models, epoch, work: 0 };
		if !registration.is_well_formed() {
			tracing::error!(
				url = self.wanted.url,
				"this URL cannot be registered: give a shorter http:// or https:// one"
			);
			return None;
		}
		let (genesis, bits) = (self.follower.chain().genesis(), snapshot.epoch.registration_bits);
		tracing::info!(epoch, bits, "solving the registration's proof of work");
		let solved = tokio::task::spawn_blocking(move || registration.solve(&genesis, bits)).await.ok()?;
		let signature = keys::sign(key, &signing_payload(domain::REGISTRATION, &genesis, &solved));
		self.signed = Some((solved, signature));
		self.signed.clone()
	}

	/// Says once how the registration stands.
	fn tell(&mut self, met: bool) {
		if self.told.replace(met) == Some(met) {
			return;
		}
		let host = keys::ss58(self.follower.host());
		if met {
			tracing::info!(host, url = self.wanted.url, "the chain knows this worker");
		} else if self.key.is_none() {
			let worker = keys::ss58(&self.wanted.worker);
			let model = self.wanted.model.as_ref().map(|name| format!(" --model {name}")).unwrap_or_default();
			let url = &self.wanted.url;
			tracing::warn!(
				"host {host} is not registered with this worker; where the host key is, run: gonka host register \
				 --host-key <FILE> --worker {worker} --url {url}{model}"
			);
		}
	}
}
