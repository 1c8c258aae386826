//! Cheaper computations that a dishonest host may run in the model's place.

use gonka_engine::Alteration;

/// A cheaper computation in the model's place.
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

impl Alteration for Attack {
	fn skips(&self, layer: usize) -> bool {
		*self == Self::HalfTheLayers && layer % 2 == 1
	}

	fn weights(&self, weights: &mut [f32], columns: usize) {
		match self {
			Self::Int8Weights => round(weights, columns, 127.0),
			Self::Int4Weights => round(weights, 32, 7.0),
			Self::Int4Cache | Self::HalfTheLayers => {},
		}
	}

	fn cached(&self, vectors: &mut [f32], head: usize) {
		if *self == Self::Int4Cache {
			round(vectors, head, 7.0);
		}
	}
}

/// Rounds each group of numbers to multiples of a step that makes `steps` of the largest.
fn round(numbers: &mut [f32], group: usize, steps: f32) {
	for group in numbers.chunks_mut(group) {
		let step = group.iter().fold(f32::MIN_POSITIVE, |largest, number| largest.max(number.abs())) / steps;
		group.iter_mut().for_each(|number| *number = (*number / step).round_ties_even() * step);
	}
}
