//! What a host might run in the place of the registered model, so that checks can be calibrated and tried against it.

use tch::{TchError, Tensor};

/// A cheaper computation that pretends to be the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
	/// Matrices in 8 bits, with a scale for each row.
	Int8Weights,
	/// Matrices in 4 bits, with a scale for every 32 weights.
	Int4Weights,
	/// Keys and values in 4 bits, with a scale for each head of each token.
	Int4Cache,
	/// A smaller model: every other layer left out.
	HalfTheLayers,
}

impl Attack {
	/// Whether a layer is left out.
	pub(super) fn skips(self, layer: usize) -> bool {
		self == Self::HalfTheLayers && layer % 2 == 1
	}

	/// Rounds a matrix with rows of `columns` weights.
	pub(super) fn round_weights(self, weights: &mut [f32], columns: usize) {
		let (group, largest) = match self {
			Self::Int8Weights => (columns, 127.0),
			Self::Int4Weights => (32, 7.0),
			Self::Int4Cache | Self::HalfTheLayers => return,
		};
		for group in weights.chunks_mut(group) {
			let step = group.iter().fold(f32::MIN_POSITIVE, |most, weight| most.max(weight.abs())) / largest;
			group.iter_mut().for_each(|weight| *weight = (*weight / step).round_ties_even() * step);
		}
	}

	/// What is kept of keys or values, `[.., head]`.
	pub(super) fn round_cache(self, kept: &Tensor) -> Result<Tensor, TchError> {
		if self != Self::Int4Cache {
			return Ok(kept.shallow_clone());
		}
		let step = kept.f_abs()?.f_amax([-1], true)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?.f_div_scalar(7.0)?;
		kept.f_div(&step)?.f_round()?.f_mul(&step)
	}
}
