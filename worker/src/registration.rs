//! The task that keeps the host's registration on chain up to date.

use crate::{
	chain::{self, Follower, Snapshot},
	models::Models,
};
use gonka_client::{
	keys::{self, Keypair},
	worker_api::to_hex,
};
use gonka_primitives::{
	Hash, ModelId, PublicKey, Signature,
	hashing::{domain, signing_payload},
	host::Registration,
	views::{HostView, RegistrationTerms},
};

/// Number of hashes of a proof of work after which the worker may be stopped.
const SLICE: u32 = 1 << 20;

/// The contents that the host's registration should have.
#[derive(Clone)]
pub struct Declaration {
	/// Public key of the worker.
	pub worker: PublicKey,
	/// Signature of the worker key over the host's account.
	pub consent: Signature,
	/// URL at which gateways reach the worker.
	pub url: String,
	/// The models that it serves.
	pub models: Models,
}

impl Declaration {
	/// Returns the ids of the models to declare; `None` while none is registered.
	fn models(&self, snapshot: &Snapshot) -> Option<Vec<ModelId>> {
		Some(self.models.ids(snapshot)).filter(|ids| !ids.is_empty())
	}

	/// Returns whether the registration on chain says the same.
	fn is_registered(&self, host: Option<&HostView>, snapshot: &Snapshot) -> bool {
		host.is_some_and(|host| {
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
	/// The registration that was signed last.
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
		let is_registered = self.declaration.is_registered(snapshot.host.as_ref(), snapshot);
		self.log(is_registered);
		let (false, Some(key)) = (is_registered, self.key.clone()) else { return };
		if let Err(error) = self.register(&key, snapshot).await {
			let epoch = snapshot.epoch.index;
			tracing::warn!(epoch, %error, "cannot register; trying again with the next block");
		}
	}

	async fn register(&mut self, key: &Keypair, snapshot: &Snapshot) -> chain::Result<()> {
		let chain = self.follower.chain().clone();
		let (host, terms) =
			futures::try_join!(chain.host(self.follower.host()), chain.registration_terms(self.follower.host()),)?;
		// The snapshot may be older than the last registration. After the epoch's last one, a change waits for the next.
		let Some(terms) = terms.filter(|_| !self.declaration.is_registered(host.as_ref(), snapshot)) else {
			return Ok(());
		};
		let Some((registration, signature)) = self.sign(key, snapshot, terms).await else { return Ok(()) };
		chain.submit_registration(registration, signature, self.declaration.consent).await?;
		tracing::info!(epoch = terms.epoch, url = self.declaration.url, "registered");
		Ok(())
	}

	/// Returns the registration for these terms. If they demand more work than the last one has, the search continues.
	async fn sign(
		&mut self,
		key: &Keypair,
		snapshot: &Snapshot,
		terms: RegistrationTerms,
	) -> Option<(Registration, Signature)> {
		let RegistrationTerms { epoch, revision, bits } = terms;
		let models = self.declaration.models(snapshot)?;
		let url = self.declaration.url.clone().into_bytes();
		let (host, worker) = (*self.follower.host(), self.declaration.worker);
		let mut registration = Registration { host, worker, url, models, epoch, revision, work: 0 };
		if !registration.is_well_formed() {
			let url = &self.declaration.url;
			tracing::error!(url, "this URL cannot be registered: give --public-url a shorter http:// or https:// URL");
			return None;
		}
		let genesis = self.follower.chain().genesis();
		if let Some((signed, signature)) = &self.signed {
			registration.work = signed.work;
			if *signed == registration && signed.work_bits(&genesis) >= bits {
				return Some((registration, *signature));
			}
			registration.work = if *signed == registration { signed.work } else { 0 };
		}
		tracing::info!(epoch, revision, bits, "solving the registration's proof of work");
		let solved = solve(registration, genesis, bits).await?;
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
			let (worker, consent) = (keys::ss58(&self.declaration.worker), to_hex(&self.declaration.consent));
			let models: String =
				self.declaration.models.iter().map(|model| format!(" --model {}", model.name)).collect();
			tracing::warn!(
				"host {host} is not registered with this worker; run this where the host key is: gonka host register \
				 --host-key <FILE> --worker {worker} --worker-signature {consent} --url {url}{models}"
			);
		}
	}
}

/// Solves a proof of work on another thread, in slices, so that the worker can be stopped meanwhile.
async fn solve(mut registration: Registration, genesis: Hash, bits: u32) -> Option<Registration> {
	loop {
		let slice = tokio::task::spawn_blocking(move || {
			let is_solved = registration.search(&genesis, bits, SLICE);
			(is_solved, registration)
		});
		let is_solved;
		(is_solved, registration) = slice.await.ok()?;
		if is_solved {
			return Some(registration);
		}
	}
}
