//! Weight formats of GGUF files, and their conversion to floating-point numbers.

use half::f16;

/// Number of weights in a quantised block.
const BLOCK: usize = 32;

/// Storage format of a tensor's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
	/// 32-bit floating point.
	F32,
	/// 16-bit floating point.
	F16,
	/// Blocks of 32 weights: scale and minimum as f16, then 4 bits for each weight. The low halves of the 16 bytes are
	/// the first 16 weights.
	Q4_1,
	/// Blocks of 32 weights: scale as f16, then 8 signed bits for each weight.
	Q8_0,
}

impl Format {
	/// Returns the format that has this number in GGUF files.
	///
	/// # Errors
	/// A message, if the format is not supported.
	pub fn from_ggml(number: u32) -> Result<Self, String> {
		Ok(match number {
			0 => Self::F32,
			1 => Self::F16,
			3 => Self::Q4_1,
			8 => Self::Q8_0,
			_ => return Err(format!("weight format {number} is not supported")),
		})
	}

	/// Returns the number of bytes of a row with this number of weights.
	///
	/// # Errors
	/// A message, if the weights do not make whole blocks or the bytes overflow.
	pub fn row_bytes(self, columns: usize) -> Result<usize, String> {
		let (weights, bytes) = self.block();
		if !columns.is_multiple_of(weights) {
			return Err(format!("rows of {columns} are not whole blocks"));
		}
		(columns / weights).checked_mul(bytes).ok_or_else(|| "too large".into())
	}

	/// Appends the weights in `bytes`, which are whole blocks, to `out`.
	pub fn dequantize(self, bytes: &[u8], out: &mut Vec<f32>) {
		let (weights, block_bytes) = self.block();
		out.reserve(bytes.len() / block_bytes * weights);
		match self {
			Self::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
			Self::F16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|bytes| float(*bytes))),
			Self::Q4_1 => {
				for [d0, d1, m0, m1, nibbles @ ..] in bytes.as_chunks::<20>().0 {
					let (scale, minimum) = (float([*d0, *d1]), float([*m0, *m1]));
					out.extend(nibbles.map(|byte| f32::from(byte & 15) * scale + minimum));
					out.extend(nibbles.map(|byte| f32::from(byte >> 4) * scale + minimum));
				}
			},
			Self::Q8_0 => {
				for [d0, d1, weights @ ..] in bytes.as_chunks::<34>().0 {
					let scale = float([*d0, *d1]);
					out.extend(weights.map(|weight| f32::from(weight.cast_signed()) * scale));
				}
			},
		}
	}

	/// Returns the number of weights and of bytes in a block.
	fn block(self) -> (usize, usize) {
		match self {
			Self::F32 => (1, 4),
			Self::F16 => (1, 2),
			Self::Q4_1 => (BLOCK, 20),
			Self::Q8_0 => (BLOCK, 34),
		}
	}
}

fn float(bytes: [u8; 2]) -> f32 {
	f16::from_le_bytes(bytes).to_f32()
}

#[cfg(test)]
mod tests {
	use super::*;

	fn weights(format: Format, bytes: &[u8]) -> Vec<f32> {
		let mut out = Vec::new();
		format.dequantize(bytes, &mut out);
		out
	}

	#[test]
	fn f32_and_f16_are_read_as_they_are() {
		let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
		assert_eq!(weights(Format::F32, &bytes), [1.5, -2.0]);
		let bytes: Vec<u8> = [1.5, -2.0].iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect();
		assert_eq!(weights(Format::F16, &bytes), [1.5, -2.0]);
	}

	#[test]
	fn four_bits_have_the_first_half_in_the_low_nibbles() {
		let mut block = Vec::new();
		block.extend(f16::from_f32(0.5).to_le_bytes());
		block.extend(f16::from_f32(-1.0).to_le_bytes());
		block.extend((0..16).map(|n| n | (15 - n) << 4));
		let expected: Vec<f32> = (0..16).chain((0..16).rev()).map(|n: i8| f32::from(n) * 0.5 - 1.0).collect();
		assert_eq!(weights(Format::Q4_1, &block), expected);
	}

	#[test]
	fn eight_bits_have_a_sign() {
		let mut block = f16::from_f32(0.25).to_le_bytes().to_vec();
		block.extend((-16i8..16).map(i8::cast_unsigned));
		let expected: Vec<f32> = (-16i8..16).map(|n| f32::from(n) * 0.25).collect();
		assert_eq!(weights(Format::Q8_0, &block), expected);
	}

	#[test]
	fn rows_are_whole_blocks() {
		assert_eq!(Format::Q4_1.row_bytes(576), Ok(360));
		assert!(Format::Q4_1.row_bytes(33).is_err());
		assert!(Format::F32.row_bytes(usize::MAX).is_err());
		assert!(Format::from_ggml(2).is_err());
	}
}
