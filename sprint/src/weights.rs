//! The expansion of weights from a seed. Each row of each matrix can be expanded alone.

use crate::{
	Params, SprintFormat,
	hash::{Stream, blake2_256},
	seed::ModelSeed,
};
use alloc::{vec, vec::Vec};

/// A seeded matrix. Its number is part of the seed of each row.
///
/// Shapes are `[rows × columns]`. A product `y = x·W` of a matrix with `columns` inputs and `rows` outputs is stored
/// output by output: `y[r] = Σ_c W[r][c]·x[c]`, so one row and one activation vector are one dot product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Matrix {
	/// Token embedding, `[vocab × width]`; in layer 0 only.
	Embed = 0,
	/// Added to the queries by position, `[tokens × width]`.
	PosQ = 1,
	/// Added to the keys by position, `[tokens × width]`. It differs from the queries' table: with one table for both, a
	/// position would score itself far above all others, and attention would cover one token only.
	PosK = 2,
	/// Queries, `[width × width]`.
	Q = 3,
	/// Keys, `[width × width]`.
	K = 4,
	/// Values, `[width × width]`.
	V = 5,
	/// Attention's output, `[width × width]`.
	O = 6,
	/// Gate, `[ffn × width]`.
	Gate = 7,
	/// Up, `[ffn × width]`.
	Up = 8,
	/// Down, `[width × ffn]`.
	Down = 9,
}

impl Matrix {
	/// Every matrix, by number. A decoder block has all but [`Matrix::Embed`].
	pub const ALL: [Self; 10] =
		[Self::Embed, Self::PosQ, Self::PosK, Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

	/// `(rows, columns)` in a format.
	pub const fn shape(self, params: &Params) -> (usize, usize) {
		match self {
			Self::Embed => (params.vocab, params.width),
			Self::PosQ | Self::PosK => (params.tokens, params.width),
			Self::Q | Self::K | Self::V | Self::O => (params.width, params.width),
			Self::Gate | Self::Up => (params.ffn, params.width),
			Self::Down => (params.width, params.ffn),
		}
	}

	/// Whether `layer` of a format with `params` has this matrix.
	pub const fn exists(self, params: &Params, layer: u16) -> bool {
		match self {
			Self::Embed => layer == 0,
			_ => layer < params.layers,
		}
	}
}

/// One row: `columns` weights in [-31, 31]; `None` if the format has no such layer, matrix or row.
///
/// `ChaCha8(H(seed1 ‖ layer:u16 ‖ matrix:u8 ‖ row:u32))`, each byte b mapped to `((63·b) >> 8) − 31`.
pub fn expand_row(seed: &ModelSeed, format: SprintFormat, layer: u16, matrix: Matrix, row: u32) -> Option<Vec<i8>> {
	let params = format.params();
	let (rows, columns) = matrix.shape(&params);
	if !matrix.exists(&params, layer) || row as usize >= rows {
		return None;
	}
	let mut out = vec![0; columns];
	fill_row(seed, layer, matrix, row, &mut out);
	Some(out)
}

/// A whole matrix, row-major `[rows × columns]`; empty if the format has no such layer or matrix.
pub fn expand_matrix(seed: &ModelSeed, format: SprintFormat, layer: u16, matrix: Matrix) -> Vec<i8> {
	let params = format.params();
	if !matrix.exists(&params, layer) {
		return Vec::new();
	}
	let (rows, columns) = matrix.shape(&params);
	let mut out = vec![0; rows.saturating_mul(columns)];
	for (row, weights) in (0u32..).zip(out.chunks_exact_mut(columns)) {
		fill_row(seed, layer, matrix, row, weights);
	}
	out
}

/// Number of bytes expanded at a time: a few ChaCha blocks in parallel, and small on the stack.
const CHUNK: usize = 1024;

#[allow(clippy::arithmetic_side_effects, reason = "63·255 fits u16 and the result lies in [-31, 31]")]
fn fill_row(seed: &ModelSeed, layer: u16, matrix: Matrix, row: u32, out: &mut [i8]) {
	let key = blake2_256(&[&seed.0, &layer.to_le_bytes(), &[matrix as u8], &row.to_le_bytes()]);
	let mut stream = Stream::new(&key);
	let mut bytes = [0u8; CHUNK];
	for weights in out.chunks_mut(CHUNK) {
		let Some(bytes) = bytes.get_mut(..weights.len()) else { return };
		stream.fill(bytes);
		for (weight, byte) in weights.iter_mut().zip(bytes) {
			*weight = ((63 * u16::from(*byte)) >> 8) as i8 - 31;
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn matrices_are_listed_by_number() {
		for (number, matrix) in Matrix::ALL.into_iter().enumerate() {
			assert_eq!(matrix as usize, number);
		}
	}

	#[test]
	fn each_row_can_be_expanded_alone() {
		let seed = ModelSeed([7; 32]);
		let params = SprintFormat::Nano.params();
		for matrix in Matrix::ALL {
			let (rows, columns) = matrix.shape(&params);
			let whole = expand_matrix(&seed, SprintFormat::Nano, 0, matrix);
			assert_eq!(whole.len(), rows * columns);
			for (row, weights) in whole.chunks(columns).enumerate() {
				assert_eq!(expand_row(&seed, SprintFormat::Nano, 0, matrix, row as u32).as_deref(), Some(weights));
			}
			assert_eq!(expand_row(&seed, SprintFormat::Nano, 0, matrix, rows as u32), None);
			assert_eq!(expand_row(&seed, SprintFormat::Nano, params.layers, matrix, 0), None);
		}
		assert!(expand_matrix(&seed, SprintFormat::Nano, 1, Matrix::Embed).is_empty());
	}

	#[test]
	fn weights_cover_their_range() {
		let weights = expand_matrix(&ModelSeed([1; 32]), SprintFormat::Nano, 0, Matrix::Embed);
		for value in -31..=31 {
			assert!(weights.contains(&value));
		}
		assert!(weights.iter().all(|weight| (-31..=31).contains(weight)));
	}
}
