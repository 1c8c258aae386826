//! The backend for small models of the llama family, on libtorch.

mod alteration;
mod bpe;
mod dequant;
mod model;

use std::sync::Arc;

use crate::{
	EngineError,
	gguf::Gguf,
	local::{LocalConfig, Model, Opened, Sizes, check_memory},
};
pub use alteration::Alteration;
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

/// Reads the file's tokenizer.
///
/// # Errors
/// [`EngineError::Model`] or [`EngineError::Template`] when this backend cannot use the file.
pub fn open(
	config: &LocalConfig,
	precision: Precision,
	alteration: Option<Arc<dyn Alteration>>,
) -> Result<Opened, EngineError> {
	let file = Gguf::open(&config.model)?;
	let tokenizer = bpe::tokenizer(file.header())?;
	let name = file.header().text("general.name").ok().map(str::to_owned);
	let bytes = if precision == Precision::F32 { 4 } else { 2 };
	let numbers = file.header().tensors.values().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
	let weights = numbers.fold(0, u64::saturating_add).saturating_mul(bytes);
	check_memory(file.header(), config, Sizes { weights, cached: 32 * bytes })?;
	let config = config.clone();
	let load = move || {
		// The setting is this thread's, not the process's: OpenMP keeps the number for each calling thread.
		tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
		let model: Box<dyn Model> = Box::new(TorchModel::load(&file, &config, precision, alteration)?);
		Ok(model)
	};
	Ok(Opened { tokenizer, name, load: Box::new(load) })
}
