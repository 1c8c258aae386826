//! Files with a model's weights in another format.

use std::{
	ffi::CString,
	path::{Path, PathBuf},
};

use llama_cpp_sys_2 as sys;

use crate::EngineError;
use gonka_tokenizer::llama as file;

/// A format for all matrices of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
	/// 16-bit floating point.
	F16,
	/// 8 bits, with a scale for every 32 weights.
	Q8_0,
	/// 4 bits, with a scale for every 32 weights.
	Q4_0,
}

impl WeightFormat {
	/// Returns llama.cpp's name of the format.
	pub fn name(self) -> &'static str {
		match self {
			Self::F16 => "F16",
			Self::Q8_0 => "Q8_0",
			Self::Q4_0 => "Q4_0",
		}
	}
}

/// Writes a model in another format into a folder, unless it is there. Returns the file's path: of `Small.Q4_1.gguf` it is
/// `Small.Q8_0.gguf`.
///
/// # Errors
/// [`EngineError::Model`] when llama.cpp cannot read the file, [`EngineError::Compute`] when the new one cannot be written.
pub fn convert(original: &Path, format: WeightFormat, folder: &Path) -> Result<PathBuf, EngineError> {
	let failed = |error: std::io::Error| EngineError::Compute(format!("{}: {error}", folder.display()));
	std::fs::create_dir_all(folder).map_err(failed)?;
	let name = original.file_stem().unwrap_or_default().to_string_lossy();
	let name = name.rsplit_once('.').map_or(&*name, |(model, _)| model);
	let target = folder.join(format!("{name}.{}.gguf", format.name()));
	if target.exists() {
		return Ok(target);
	}

	file::start();
	// Of this process alone, since several may write at the same time.
	let part = folder.join(format!("{name}.{}.{}.part", format.name(), std::process::id()));
	let text = |path: &Path| {
		let with_zero = |_| EngineError::Model(format!("{}: no file has this name", path.display()));
		CString::new(path.as_os_str().as_encoded_bytes()).map_err(with_zero)
	};
	let (from, to) = (text(original)?, text(&part)?);
	// SAFETY: both texts outlive the call, and the parameters are the library's own.
	let error = unsafe {
		let mut params = sys::llama_model_quantize_default_params();
		(params.allow_requantize, params.nthread) = (true, 1);
		params.ftype = match format {
			WeightFormat::F16 => sys::LLAMA_FTYPE_MOSTLY_F16,
			WeightFormat::Q8_0 => sys::LLAMA_FTYPE_MOSTLY_Q8_0,
			WeightFormat::Q4_0 => sys::LLAMA_FTYPE_MOSTLY_Q4_0,
		};
		sys::llama_model_quantize(from.as_ptr(), to.as_ptr(), &params)
	};
	if error != 0 {
		let reason = std::mem::take(&mut *file::last_error());
		return Err(EngineError::Model(format!("{}: llama.cpp: {}", original.display(), reason.trim())));
	}
	std::fs::rename(part, &target).map_err(failed)?;
	Ok(target)
}
