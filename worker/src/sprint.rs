//! The sprint: computing leaves, and committing to them.
//!
//! - [`torch`]: the libtorch implementation, bit-identical to `gonka_sprint`;
//! - [`pace`]: the limit on leaves per second;
//! - [`desk`]: other work for the thread that races;
//! - [`runner`]: the thread that follows the epoch and computes;
//! - [`committer`]: the task that gets signed commitments onto the chain.

pub mod committer;
pub mod desk;
pub mod pace;
pub mod runner;
pub mod torch;

use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Model, ModelSeed, Profile, SegmentSeed, layer_digest};

/// What a checker computes of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
	/// Its hash.
	pub leaf: Hash,
	/// The digest of the residual after the layer that was asked for.
	pub digest: Hash,
}

/// Computes leaves of one epoch's model.
pub trait Racer: Send {
	/// How many leaves are best computed at once: about a second's worth, at most.
	fn batch(&self) -> usize;

	/// The hashes of the leaves `ids`, in their order. `seed` is that of their segment.
	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>, String>;

	/// The hashes of the leaves `ids`, with the digests after `layer`.
	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>, String>;
}

/// Makes a racer by expanding an epoch's model.
pub trait Expand: Send {
	/// Expands the weights of `seed` in `profile`'s format. It is called on the thread that will race.
	fn expand(&mut self, seed: &ModelSeed, profile: Profile) -> Result<Box<dyn Racer>, String>;
}

/// The reference, for tests and for machines without libtorch.
pub struct Reference {
	/// Threads to compute with.
	pub threads: usize,
}

impl Expand for Reference {
	fn expand(&mut self, seed: &ModelSeed, profile: Profile) -> Result<Box<dyn Racer>, String> {
		let model = Model::new_parallel(seed, profile, self.threads);
		Ok(Box::new(ReferenceRacer { model, threads: self.threads.max(1) }))
	}
}

struct ReferenceRacer {
	model: Model,
	threads: usize,
}

impl Racer for ReferenceRacer {
	fn batch(&self) -> usize {
		match self.model.profile() {
			Profile::Nano => self.threads.saturating_mul(32),
			Profile::P400 => self.threads,
		}
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>, String> {
		let inputs: Vec<_> = ids.iter().map(|id| id.tokens(seed, self.model.profile())).collect();
		let outputs = self.model.forward_batch(&inputs, self.threads).map_err(|error| error.to_string())?;
		Ok(ids.iter().zip(&outputs).map(|(id, output)| id.hash(output)).collect())
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>, String> {
		check(&self.model, seed, ids, layer, self.threads)
	}
}

/// [`Racer::check`] by the reference, on several threads.
pub fn check(
	model: &Model,
	seed: &SegmentSeed,
	ids: &[LeafId],
	layer: u16,
	threads: usize,
) -> Result<Vec<Checked>, String> {
	let one = |id: &LeafId| {
		let mut digest = None;
		let output = model.forward_with(&id.tokens(seed, model.profile()), |at, residual, _| {
			if at == layer {
				digest = layer_digest(model.profile(), layer, residual);
			}
		});
		let output = output.map_err(|error| error.to_string())?;
		let digest = digest.ok_or_else(|| format!("there is no layer {layer}"))?;
		Ok(Checked { leaf: id.hash(&output), digest })
	};
	let part = ids.len().div_ceil(threads.max(1)).max(1);
	std::thread::scope(|scope| {
		let run = |ids: &[LeafId]| ids.iter().map(one).collect::<Result<Vec<_>, String>>();
		let parts: Vec<_> = ids.chunks(part).map(|ids| scope.spawn(move || run(ids))).collect();
		let mut checked = Vec::with_capacity(ids.len());
		for part in parts {
			checked.extend(part.join().map_err(|_| "a thread that checks panicked".to_owned())??);
		}
		Ok(checked)
	})
}
