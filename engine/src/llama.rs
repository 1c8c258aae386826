//! The backend for all models that llama.cpp reads, in this process.

mod context;
mod file;
mod trial;

use std::sync::Arc;

use crate::{
	EngineError,
	gguf::Gguf,
	local::{LocalConfig, Model, Opened},
};
use context::LlamaModel;
use file::File;
pub use trial::try_model;

/// Settings of llama.cpp that change its rounding: two hosts with different ones are honest, but differ in fingerprints
/// as different machines do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlamaOptions {
	/// Precision of cached keys and values.
	pub cache: CachePrecision,
	/// Whether attention is computed in one kernel, without a matrix of scores: less memory, and faster in long
	/// contexts.
	pub flash_attention: bool,
	/// Whether weights are rearranged for the processor's instructions when the model is loaded.
	pub repack: bool,
}

impl Default for LlamaOptions {
	/// A cache in 16 bits, flash attention, rearranged weights.
	fn default() -> Self {
		Self { cache: CachePrecision::F16, flash_attention: true, repack: true }
	}
}

/// Precision of cached keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachePrecision {
	/// 32 bits.
	F32,
	/// 16 bits.
	F16,
	/// 8 bits in blocks of 32.
	Q8_0,
}

/// Opens a file and reads its tokenizer.
///
/// llama.cpp ends the process at some values that make no sense. The header is checked before it sees the file, and the file
/// is tried in another process, if [`LocalConfig::trial`] names a program for that.
///
/// # Errors
/// [`EngineError::Model`] or [`EngineError::Template`] when this backend cannot use the file,
/// [`EngineError::Unsupported`] when the processor lacks what llama.cpp was built for.
pub fn open(config: &LocalConfig, options: LlamaOptions) -> Result<Opened, EngineError> {
	processor()?;
	let header = Gguf::open(&config.model)?;
	let name = header.header().text("general.name").ok().map(str::to_owned);
	drop(header);
	if let Some(trial) = config.trial {
		trial::run(trial(config), &config.model)?;
	}
	let file = Arc::new(File::open(&config.model, options)?);
	let tokenizer = file::tokenizer(&file)?;
	let config = config.clone();
	let load = move || {
		let model: Box<dyn Model> = Box::new(LlamaModel::new(file, &config, options)?);
		Ok(model)
	};
	Ok(Opened { tokenizer, name, load: Box::new(load) })
}

/// Checks that the processor has the instructions for which llama.cpp's build script compiles by default.
fn processor() -> Result<(), EngineError> {
	#[cfg(target_arch = "x86_64")]
	{
		use std::arch::is_x86_feature_detected as has;
		if !(has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2")) {
			let what = "llama.cpp on a processor without AVX2, FMA, F16C and BMI2";
			return Err(EngineError::Unsupported(what.into()));
		}
	}
	Ok(())
}
