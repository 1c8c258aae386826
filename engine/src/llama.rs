//! The backend for all models that llama.cpp reads, in this process.

mod context;
mod convert;
mod trial;

use std::sync::Arc;

use crate::{
	EngineError,
	local::{LocalConfig, Model, Opened, Sizes},
};
use context::LlamaModel;
pub use convert::{WeightFormat, convert};
use gonka_tokenizer::{
	gguf::Gguf,
	llama::{self as file, File},
};
pub use trial::try_model;

/// Settings of llama.cpp that change its rounding: two hosts with different ones are honest, but differ in fingerprints
/// as different machines do.
///
/// With the default ones, and after [`round_alike`], what a token gives is the same in every bit, whatever other tokens are computed
/// with it and by however many threads. Three kernels would sum otherwise for one token or for many, and quantised
/// activations make much of that: tinyBLAS, which `.cargo/config.toml` leaves out of the build; tiles of attention,
/// which caches of two types prevent; and tiles of formats with 256 weights a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlamaOptions {
	/// Precision of cached keys and values.
	pub cache: CachePrecision,
	/// Whether attention is computed in one kernel, without a matrix of scores: less memory, and faster in long
	/// contexts.
	pub flash_attention: bool,
	/// Whether weights are rearranged for the processor's instructions when the model is loaded, if all of them have formats in
	/// which that changes no rounding.
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
	/// 16 bits: keys as f16, values as bf16.
	F16,
	/// 8 bits in blocks of 32.
	Q8_0,
}

impl CachePrecision {
	/// Returns the number of bytes of 32 numbers.
	const fn bytes(self) -> u64 {
		match self {
			Self::F32 => 128,
			Self::F16 => 64,
			Self::Q8_0 => 34,
		}
	}
}

/// Has llama.cpp multiply weights in one way, whatever the number of rows: otherwise a token of a model in a format of 256 weights
/// a block, such as Q4_K, has another fingerprint when it is generated than when it is checked. llama.cpp has the other way to
/// read prompts of such models faster.
///
/// # Safety
/// The process must have one thread: call it first in `main`.
pub unsafe fn round_alike() {
	// SAFETY: no other thread reads the environment meanwhile.
	unsafe { std::env::set_var("GGML_CPU_TILED_MM", "0") }
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
	if config.model.is_dir() {
		let what =
			"it is a folder: llama.cpp reads a GGUF file, and only libtorch (--engine torch) a folder with safetensors";
		return Err(EngineError::Model(format!("{}: {what}", config.model.display())));
	}
	let header = Gguf::open(&config.model)?;
	let name = header.header().text("general.name").ok().map(str::to_owned);
	let all_orderly = header.header().tensors.values().all(|tensor| tensor.format.is_orderly());
	let options = LlamaOptions { repack: options.repack && all_orderly, ..options };
	let weights = header.header().tensors.values().map(|tensor| tensor.size as u64).sum();
	let memory = Sizes::of(header.header(), weights, options.cache.bytes()).check(config)?;
	if let Some(trial) = config.trial {
		trial::run(trial(config), &config.model)?;
	}
	let file = Arc::new(File::open(&config.model, |params| params.use_extra_bufts = options.repack)?);
	let tokenizer = file::tokenizer(&file, header.header())?;
	let (config, embeds) = (config.clone(), tokenizer.pooling().is_some());
	let load = move || {
		let model: Box<dyn Model> = Box::new(LlamaModel::new(file, &config, options, embeds)?);
		Ok(model)
	};
	Ok(Opened { tokenizer, name, memory, load: Box::new(load) })
}

/// Checks that the processor has the instructions for which llama.cpp's build script compiles by default, and that the build is one
/// that rounds alike.
fn processor() -> Result<(), EngineError> {
	if file::SYSTEM_INFO.contains("LLAMAFILE = 1") {
		let what = "this build of llama.cpp: it rounds by the size of a batch. Build it in this repository, or with GGML_LLAMAFILE=OFF in the environment";
		return Err(EngineError::Unsupported(what.into()));
	}

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
