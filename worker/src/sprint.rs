//! The sprint: computes leaves and commits to them.
//!
//! - [`runner`]: the thread that follows the epoch and computes;
//! - [`torch`]: the prover on libtorch, bit-identical to `gonka_sprint`;
//! - [`pace`]: the limit on leaves per second;
//! - [`queue`]: leaves of other hosts that the sprint's thread recomputes when it has nothing else to compute;
//! - [`committer`]: the task that gets signed commitments onto the chain.

pub mod committer;
pub mod pace;
pub mod queue;
pub mod runner;
pub mod torch;

use gonka_primitives::Hash;
use gonka_sprint::{LeafId, Model, ModelSeed, SegmentSeed, SprintFormat, layer_digest};

/// What a checker computes of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
	/// The leaf's hash.
	pub leaf: Hash,
	/// Digest of the residual after the requested layer.
	pub digest: Hash,
}

/// Why leaves were not computed.
#[derive(Debug, thiserror::Error)]
pub enum ProverError {
	/// libtorch failed.
	#[error("libtorch failed: {0}; if memory is short, free some or give a smaller --sprint-threads")]
	Torch(#[from] tch::TchError),
	/// The reference rejected its input.
	#[error("the sprint's reference model rejected its input: {0}")]
	Reference(#[from] gonka_sprint::Error),
	/// The format has no such layer.
	#[error("the sprint's model has no layer {0}")]
	NoSuchLayer(u16),
	/// libtorch returned another number of results than it was given inputs.
	#[error("libtorch returned {results} results for {inputs} inputs")]
	WrongCount {
		/// Number of results.
		results: usize,
		/// Number of inputs.
		inputs: usize,
	},
	/// A computing thread panicked.
	#[error("a computing thread panicked; this is a bug: report it with the log")]
	Panicked,
	/// The sprint's thread has the model of another epoch.
	#[error("the sprint's thread has the model of another epoch")]
	OtherModel,
	/// The sprint's thread did not get to the job in time.
	#[error("the sprint's thread was busy for too long")]
	Busy,
	/// The sprint's thread ended.
	#[error("the sprint's thread has stopped")]
	Stopped,
}

impl ProverError {
	/// Returns whether the same leaves may be computed later.
	pub fn is_temporary(&self) -> bool {
		matches!(self, Self::Torch(_) | Self::Panicked | Self::OtherModel | Self::Busy)
	}
}

/// Result of a prover.
pub type Result<T> = std::result::Result<T, ProverError>;

/// Computes leaves with the model of one epoch.
pub trait Prover: Send {
	/// Returns the best number of leaves to compute at once: at most about a second's worth.
	fn batch(&self) -> usize;

	/// Computes the hashes of the leaves `ids`, in their order. `seed` is the seed of their segment.
	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>>;

	/// Computes the hashes of the leaves `ids`, with the digests after `layer`.
	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>>;
}

/// Makes a prover by expanding an epoch's model.
pub trait Expand: Send {
	/// Expands the weights of `seed` in `format`. It is called on the sprint's thread.
	fn expand(&mut self, seed: &ModelSeed, format: SprintFormat) -> Result<Box<dyn Prover>>;
}

/// The reference implementation, for tests and for machines without libtorch.
pub struct Reference {
	/// Number of computing threads.
	pub threads: usize,
}

impl Expand for Reference {
	fn expand(&mut self, seed: &ModelSeed, format: SprintFormat) -> Result<Box<dyn Prover>> {
		let model = Model::new_parallel(seed, format, self.threads);
		Ok(Box::new(ReferenceProver { model, threads: self.threads.max(1) }))
	}
}

struct ReferenceProver {
	model: Model,
	threads: usize,
}

impl Prover for ReferenceProver {
	fn batch(&self) -> usize {
		match self.model.format() {
			SprintFormat::Nano => self.threads.saturating_mul(32),
			SprintFormat::P400 => self.threads,
		}
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> Result<Vec<Hash>> {
		let inputs: Vec<_> = ids.iter().map(|id| id.tokens(seed, self.model.format())).collect();
		let outputs = self.model.forward_batch(&inputs, self.threads)?;
		Ok(ids.iter().zip(&outputs).map(|(id, output)| id.hash(output)).collect())
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> Result<Vec<Checked>> {
		check(&self.model, seed, ids, layer, self.threads)
	}
}

/// [`Prover::check`] by the reference, on several threads.
pub fn check(model: &Model, seed: &SegmentSeed, ids: &[LeafId], layer: u16, threads: usize) -> Result<Vec<Checked>> {
	let one = |id: &LeafId| {
		let mut digest = None;
		let output = model.forward_with(&id.tokens(seed, model.format()), |at, residual, _| {
			if at == layer {
				digest = layer_digest(model.format(), layer, residual);
			}
		})?;
		let digest = digest.ok_or(ProverError::NoSuchLayer(layer))?;
		Ok(Checked { leaf: id.hash(&output), digest })
	};
	let part = ids.len().div_ceil(threads.max(1)).max(1);
	std::thread::scope(|scope| {
		let run = |ids: &[LeafId]| ids.iter().map(one).collect::<Result<Vec<_>>>();
		let parts: Vec<_> = ids.chunks(part).map(|ids| scope.spawn(move || run(ids))).collect();
		let mut checked = Vec::with_capacity(ids.len());
		for part in parts {
			checked.extend(part.join().map_err(|_| ProverError::Panicked)??);
		}
		Ok(checked)
	})
}
