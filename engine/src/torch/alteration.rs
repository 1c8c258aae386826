//! Changes to the model's computation, for measurements and tests of checks.

/// A change to the model's computation, such as coarser weights: what a dishonest host might compute in the model's
/// place. Each method leaves the computation as it is by default.
pub trait Alteration: Send + Sync {
	/// Returns whether to leave out the layer with this number.
	fn skips(&self, _layer: usize) -> bool {
		false
	}

	/// Changes weights of a matrix: whole rows of `columns` weights each. Norms are not passed to it.
	fn weights(&self, _weights: &mut [f32], _columns: usize) {}

	/// Changes keys or values before the engine caches them: one vector of `head` numbers for each head of each token.
	fn cached(&self, _vectors: &mut [f32], _head: usize) {}
}
