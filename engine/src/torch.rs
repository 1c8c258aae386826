//! The backend for small models of the llama family, on libtorch.

mod alteration;
mod bpe;
pub mod checkpoint;
mod dequant;
mod device;
mod folder;
mod model;

use std::sync::Arc;

use tch::Device;

use crate::{
	EngineError,
	local::{LocalConfig, Model, Opened, Sizes},
};
pub use alteration::Alteration;
use checkpoint::{Checkpoint, Dimensions};
pub use device::{DeviceError, torch_device};
use folder::Folder;
use gonka_tokenizer::gguf::Gguf;
use model::TorchModel;

/// Precision in which weights are held and multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
	/// 32 bits: exact for all file formats, and the same completions on all machines except for rounding in the last
	/// bits.
	F32,
	/// 16 bits (bfloat16): half the memory. It is faster on processors with bfloat16 instructions and slower on others;
	/// completions differ from those of `F32`.
	Bf16,
}

/// Opens a GGUF file, or a folder with safetensors, and reads the tokenizer.
///
/// # Errors
/// [`EngineError::Model`] or [`EngineError::Template`] when this backend cannot use the file.
pub fn open(
	config: &LocalConfig,
	precision: Precision,
	alteration: Option<Arc<dyn Alteration>>,
) -> Result<Opened, EngineError> {
	let name = config.device.as_deref().unwrap_or("cpu");
	let device = torch_device(name).map_err(|error| EngineError::Unsupported(error.to_string()))?;
	let file: Box<dyn Checkpoint> = match config.model.is_dir() {
		true => Box::new(Folder::open(&config.model)?),
		false => Box::new(Gguf::open(&config.model)?),
	};
	let tokenizer = file.tokenizer()?;
	let Dimensions { width, heads, kv_heads, layers, context, .. } = file.dimensions()?;
	let bytes = if precision == Precision::F32 { 4 } else { 2 };
	let numbers = [layers, kv_heads, 2, width / heads.max(1)];
	let sizes = Sizes {
		weights: file.weights().saturating_mul(bytes),
		cached: 32 * bytes,
		outputs: 0,
		numbers: numbers.into_iter().fold(1, |product: u64, n| product.saturating_mul(n as u64)),
		context: context as u64,
	};
	// A GPU refuses what does not fit its memory, which libtorch does not report.
	let memory = if device == Device::Cpu { sizes.check(config)? } else { 0 };
	let (name, config) = (file.name(), config.clone());
	let load = move || {
		// The setting is this thread's, not the process's: OpenMP keeps the number for each calling thread.
		tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
		let model: Box<dyn Model> = Box::new(TorchModel::load(&*file, &config, (precision, device), alteration)?);
		Ok(model)
	};
	Ok(Opened { tokenizer, name, memory, load: Box::new(load) })
}
