//! Conversion of weights to floating-point numbers.

use half::{bf16, f16};

use gonka_tokenizer::gguf::Format;

use crate::EngineError;

/// Appends the weights in `bytes`, which are whole blocks, to `out`.
///
/// # Errors
/// [`EngineError::Model`] for a format that this backend cannot convert.
pub fn dequantize(format: Format, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), EngineError> {
	match format {
		Format::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
		Format::F16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|bytes| float(*bytes))),
		Format::BF16 => {
			out.extend(bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()));
		},
		// The low halves of the 16 bytes are the first 16 weights.
		Format::Q4_1 => {
			for [d0, d1, m0, m1, nibbles @ ..] in bytes.as_chunks::<20>().0 {
				let (scale, minimum) = (float([*d0, *d1]), float([*m0, *m1]));
				out.extend(nibbles.map(|byte| f32::from(byte & 15) * scale + minimum));
				out.extend(nibbles.map(|byte| f32::from(byte >> 4) * scale + minimum));
			}
		},
		Format::Q8_0 => {
			for [d0, d1, weights @ ..] in bytes.as_chunks::<34>().0 {
				let scale = float([*d0, *d1]);
				out.extend(weights.map(|weight| f32::from(weight.cast_signed()) * scale));
			}
		},
		_ => {
			return Err(EngineError::Model(format!(
				"libtorch cannot compute with weights in {format}, only in F32, F16, BF16, Q4_1 and Q8_0: take --engine llama"
			)));
		},
	}
	Ok(())
}

fn float(bytes: [u8; 2]) -> f32 {
	f16::from_le_bytes(bytes).to_f32()
}

#[cfg(test)]
mod tests {
	use super::*;

	fn weights(format: Format, bytes: &[u8]) -> Vec<f32> {
		let mut out = Vec::new();
		dequantize(format, bytes, &mut out).unwrap();
		out
	}

	#[test]
	fn floating_point_numbers_are_read_as_they_are() {
		let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
		assert_eq!(weights(Format::F32, &bytes), [1.5, -2.0]);
		let bytes: Vec<u8> = [1.5, -2.0].iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect();
		assert_eq!(weights(Format::F16, &bytes), [1.5, -2.0]);
		let bytes: Vec<u8> = [1.5, -2.0].iter().flat_map(|&n| bf16::from_f32(n).to_le_bytes()).collect();
		assert_eq!(weights(Format::BF16, &bytes), [1.5, -2.0]);
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
	fn other_formats_are_named() {
		let format = Format::from_ggml(12).unwrap();
		let error = dequantize(format, &[0; 144], &mut Vec::new()).unwrap_err().to_string();
		assert!(error.contains("Q4_K"), "{error}");
	}
}
