//! The models that a worker serves, each with an engine of its own.

use crate::chain::Snapshot;
use gonka_engine::Engine;
use gonka_primitives::{ModelId, views::ModelView};
use std::sync::Arc;

/// A model in the registry on chain, with the engine that computes it.
#[derive(Clone)]
pub struct ServedModel {
	/// Its name in the registry.
	pub name: String,
	/// The engine.
	pub engine: Arc<dyn Engine>,
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
		Some((self.0.iter().find(|model| model.name.as_bytes() == registered.name)?, registered))
	}

	/// Returns the ids of those that are registered, ascending.
	pub fn ids(&self, snapshot: &Snapshot) -> Vec<ModelId> {
		let mut ids: Vec<_> = self.0.iter().filter_map(|model| Some(snapshot.model(&model.name)?.id)).collect();
		ids.sort_unstable();
		ids
	}
}
