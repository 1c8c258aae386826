//! The models that a worker serves, each with an engine of its own.

use crate::chain::{Follower, Snapshot};
use bytes::Bytes;
use gonka_engine::Engine;
use gonka_primitives::{Hash, ModelId, audit::CalibrationProfile, views::ModelView};
use std::sync::{
	Arc,
	atomic::{AtomicBool, Ordering::Relaxed},
};

/// The profiles by which an engine's completions can be audited under a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audits {
	/// Any: the registration is for this kind of engine, or this class.
	ByAny,
	/// Those that leave fingerprints out, because the engine has none.
	ByTape,
	/// None: all were made with engines that round otherwise.
	ByNone,
}

impl Audits {
	/// Returns whether audits by a profile find honest completions right.
	pub fn allow(self, profile: &CalibrationProfile) -> bool {
		match self {
			Self::ByAny => true,
			Self::ByTape => profile.fingerprint.iter().all(|ratio| *ratio == 0),
			Self::ByNone => false,
		}
	}
}

/// A model in the registry on chain, with the engine that computes it.
#[derive(Clone)]
pub struct ServedModel {
	/// Its name in the registry.
	pub name: String,
	/// The hash of its files in the registry. Another registration of the name may be of other files.
	pub weights_hash: Hash,
	/// The engine.
	pub engine: Arc<dyn Engine>,
	/// The profiles that may be set for it.
	pub audits: Audits,
	/// The tokenizer file with its hash, if the worker has it.
	pub tokenizer: Option<(Hash, Bytes)>,
	/// Whether a profile was set that may not.
	withdrawn: Arc<AtomicBool>,
}

impl ServedModel {
	/// Makes a model that is served until [`Models::watch`] withdraws it.
	pub fn new(name: String, weights_hash: Hash, engine: Arc<dyn Engine>, audits: Audits) -> Self {
		Self { name, weights_hash, engine, audits, tokenizer: None, withdrawn: Arc::default() }
	}

	/// Adds the tokenizer file with its hash.
	pub fn with_tokenizer(self, tokenizer: Option<(Hash, Bytes)>) -> Self {
		Self { tokenizer, ..self }
	}

	fn is_registered_as(&self, model: &ModelView) -> bool {
		let is_same = model.name == self.name.as_bytes() && model.weights_hash == self.weights_hash;
		is_same && !self.withdrawn.load(Relaxed)
	}

	/// Returns its registration, if it has one under which it may be served.
	pub fn registration<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a ModelView> {
		snapshot.models.iter().find(|model| self.is_registered_as(model))
	}
}

/// All models of a worker.
#[derive(Clone)]
pub struct Models(Arc<[ServedModel]>);

impl Models {
	/// Takes models with different names.
	pub fn new(models: Vec<ServedModel>) -> Self {
		Self(models.into())
	}

	/// Returns all of them.
	pub fn iter(&self) -> impl Iterator<Item = &ServedModel> {
		self.0.iter()
	}

	/// Returns their names, with commas.
	pub fn names(&self) -> String {
		self.0.iter().map(|model| &*model.name).collect::<Vec<_>>().join(", ")
	}

	/// Returns the model with this id, and its registration, if it is served and registered.
	pub fn find<'a>(&'a self, snapshot: &'a Snapshot, id: ModelId) -> Option<(&'a ServedModel, &'a ModelView)> {
		let registered = snapshot.models.iter().find(|model| model.id == id)?;
		Some((self.0.iter().find(|model| model.is_registered_as(registered))?, registered))
	}

	/// Returns the ids of those that are registered, ascending.
	pub fn ids(&self, snapshot: &Snapshot) -> Vec<ModelId> {
		let mut ids: Vec<_> = self.0.iter().filter_map(|model| Some(model.registration(snapshot)?.id)).collect();
		ids.sort_unstable();
		ids
	}

	/// Withdraws models for which governance sets a profile that their engines' completions do not fit, until the worker is
	/// started again. Runs until the chain is no longer followed.
	pub async fn watch(self, follower: Follower) {
		if self.0.iter().all(|model| model.audits == Audits::ByAny) {
			return;
		}
		let mut snapshots = follower.subscribe();
		while snapshots.changed().await.is_ok() {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { continue };
			for model in self.0.iter().filter(|model| model.audits != Audits::ByAny) {
				let Some(id) = model.registration(&snapshot).map(|registered| registered.id) else { continue };
				// A node that does not respond is asked again with the next block.
				let Ok(Some(profile)) = follower.chain().calibration_profile(id).await else { continue };
				if !model.audits.allow(&profile) {
					tracing::error!(
						model = model.name,
						"this model is no longer served: its new calibration profile was made with other engines, and audits \
						 would find honest completions wrong. Start the worker with another --engine or --model-name"
					);
					model.withdrawn.store(true, Relaxed);
				}
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_profile_is_allowed_by_what_the_engine_has() {
		let profile = |fingerprint| CalibrationProfile {
			margins: [1, 2, 3, 4, 5, 6],
			tape: [1; 8],
			distances: [1, 2, 3, 4, 5, 6, 7],
			fingerprint,
			alarm: 1,
			clamp: 1,
			min_worker_version: 0,
		};
		let (tape, both) = (profile([0; 8]), profile([0, 0, 0, 0, 0, 0, 0, 1]));
		assert!(Audits::ByAny.allow(&tape) && Audits::ByAny.allow(&both));
		assert!(Audits::ByTape.allow(&tape) && !Audits::ByTape.allow(&both));
		assert!(!Audits::ByNone.allow(&tape) && !Audits::ByNone.allow(&both));
	}
}
