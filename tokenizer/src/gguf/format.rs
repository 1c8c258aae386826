//! Storage formats of weights in GGUF files.

/// Storage format of a tensor's weights, by its number in GGUF files. Names and sizes are ggml's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Format(u32);

/// Number, name, weights in a block, bytes of a block.
const FORMATS: [(u32, &str, usize, usize); 35] = [
	(0, "F32", 1, 4),
	(1, "F16", 1, 2),
	(2, "Q4_0", 32, 18),
	(3, "Q4_1", 32, 20),
	(6, "Q5_0", 32, 22),
	(7, "Q5_1", 32, 24),
	(8, "Q8_0", 32, 34),
	(9, "Q8_1", 32, 36),
	(10, "Q2_K", 256, 84),
	(11, "Q3_K", 256, 110),
	(12, "Q4_K", 256, 144),
	(13, "Q5_K", 256, 176),
	(14, "Q6_K", 256, 210),
	(15, "Q8_K", 256, 292),
	(16, "IQ2_XXS", 256, 66),
	(17, "IQ2_XS", 256, 74),
	(18, "IQ3_XXS", 256, 98),
	(19, "IQ1_S", 256, 50),
	(20, "IQ4_NL", 32, 18),
	(21, "IQ3_S", 256, 110),
	(22, "IQ2_S", 256, 82),
	(23, "IQ4_XS", 256, 136),
	(24, "I8", 1, 1),
	(25, "I16", 1, 2),
	(26, "I32", 1, 4),
	(27, "I64", 1, 8),
	(28, "F64", 1, 8),
	(29, "IQ1_M", 256, 56),
	(30, "BF16", 1, 2),
	(34, "TQ1_0", 256, 54),
	(35, "TQ2_0", 256, 66),
	(39, "MXFP4", 32, 17),
	(40, "NVFP4", 64, 36),
	(41, "Q1_0", 128, 18),
	(42, "Q2_0", 64, 18),
];

/// Rows of weights that are not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
	/// ggml has no format of this number.
	#[error("weight format {0} is unknown")]
	Unknown(u32),
	/// The weights do not make whole blocks.
	#[error("rows of {columns} weights are not whole blocks of {block}, as {format} has them")]
	Blocks {
		/// The format.
		format: Format,
		/// Number of weights in a row.
		columns: usize,
		/// Number of weights in a block.
		block: usize,
	},
	/// The number of bytes overflows.
	#[error("a row of {0} weights is too large")]
	TooLarge(usize),
}

/// Formats in which llama.cpp gives a row the same product, whether its weights are rearranged or not and whatever other rows are
/// multiplied with it (`engine/examples/matrix.rs`).
const ORDERLY: [&str; 7] = ["F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"];

impl Format {
	/// 32-bit floating point.
	pub const F32: Self = Self(0);
	/// 16-bit floating point.
	pub const F16: Self = Self(1);
	/// Blocks of 32 weights: scale and minimum as f16, then 4 bits for each weight.
	pub const Q4_1: Self = Self(3);
	/// Blocks of 32 weights: scale as f16, then 8 signed bits for each weight.
	pub const Q8_0: Self = Self(8);
	/// 16 bits of a 32-bit floating-point number.
	pub const BF16: Self = Self(30);

	/// Returns whether weights of this format may be rearranged without a change of rounding.
	pub fn is_orderly(self) -> bool {
		FORMATS.iter().any(|(number, name, ..)| *number == self.0 && ORDERLY.contains(name))
	}

	/// Returns the format that has this number in GGUF files.
	///
	/// # Errors
	/// [`FormatError::Unknown`], if there is none.
	pub fn from_ggml(number: u32) -> Result<Self, FormatError> {
		let is_known = FORMATS.iter().any(|(known, ..)| *known == number);
		is_known.then_some(Self(number)).ok_or(FormatError::Unknown(number))
	}

	/// Returns the number of bytes of a row with this number of weights.
	///
	/// # Errors
	/// [`FormatError::Blocks`] or [`FormatError::TooLarge`].
	pub fn row_bytes(self, columns: usize) -> Result<usize, FormatError> {
		let (_, block, bytes) = self.row();
		if !columns.is_multiple_of(block) {
			return Err(FormatError::Blocks { format: self, columns, block });
		}
		(columns / block).checked_mul(bytes).ok_or(FormatError::TooLarge(columns))
	}

	fn row(self) -> (&'static str, usize, usize) {
		let known = FORMATS.iter().find(|(number, ..)| *number == self.0);
		known.map_or(("unknown", 1, 1), |&(_, name, weights, bytes)| (name, weights, bytes))
	}
}

impl std::fmt::Display for Format {
	fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		out.write_str(self.row().0)
	}
}

impl std::fmt::Debug for Format {
	fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		std::fmt::Display::fmt(self, out)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn rows_are_whole_blocks() {
		assert_eq!(Format::Q4_1.row_bytes(576), Ok(360));
		let error = FormatError::Blocks { format: Format::Q4_1, columns: 33, block: 32 };
		assert_eq!(Format::Q4_1.row_bytes(33), Err(error));
		assert_eq!(Format::F32.row_bytes(usize::MAX), Err(FormatError::TooLarge(usize::MAX)));
		assert_eq!(Format::from_ggml(4), Err(FormatError::Unknown(4)));
	}

	#[cfg(feature = "llama")]
	#[test]
	fn names_and_sizes_are_those_of_ggml() {
		use llama_cpp_sys_2 as sys;
		for (number, name, weights, bytes) in FORMATS {
			// SAFETY: the functions read constant tables at a number that ggml knows.
			let theirs = unsafe {
				assert!(number < sys::GGML_TYPE_COUNT);
				let name = std::ffi::CStr::from_ptr(sys::ggml_type_name(number as _)).to_str().unwrap();
				(name.to_uppercase(), sys::ggml_blck_size(number as _), sys::ggml_type_size(number as _))
			};
			assert_eq!(theirs, (name.to_uppercase(), weights as i64, bytes), "{name}");
		}
	}
}
