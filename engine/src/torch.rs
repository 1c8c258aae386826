//! An engine for small models of the llama family, on libtorch.

mod alteration;
mod model;
mod scheduler;

use std::{
	path::PathBuf,
	sync::{Arc, Mutex},
	thread::JoinHandle,
};

use tokio::sync::mpsc;

use crate::{
	ChatMessage, ChatOptions, CheckReceiver, CheckRequest, Engine, EngineError, GenerateRequest, Health, ModelInfo,
	TokenEvent, gguf::Gguf, tokenizer::Tokenizer,
};
pub use alteration::Alteration;
use model::Model;
use scheduler::{Scheduler, Shared};

/// Configuration of an engine.
#[derive(Clone, Debug)]
pub struct TorchConfig {
	/// The GGUF file.
	pub model: PathBuf,
	/// The model's name in [`ModelInfo`]; by default the file's own.
	pub name: Option<String>,
	/// Maximum number of tokens of prompt and completion together. The model's own limit caps it.
	pub context_length: usize,
	/// Number of completions generated at the same time, in one batch.
	pub slots: usize,
	/// Maximum number of requests that wait for a slot.
	pub waiting_limit: usize,
	/// Number of prompt tokens computed in a step, beside one token of each completion. A long prompt takes several
	/// steps, and delays the completions by one step at most.
	pub prefill_chunk: usize,
	/// Number of computing threads. They wait for each other many times a token: with more threads than idle cores an
	/// engine becomes several times slower than with one.
	pub threads: usize,
	/// Precision of the weights and of the cache of keys and values.
	pub precision: Precision,
}

impl TorchConfig {
	/// Four completions at a time with 2048 tokens each, 64 waiting requests, one thread, [`Precision::F32`].
	pub fn new(model: impl Into<PathBuf>) -> Self {
		Self {
			model: model.into(),
			name: None,
			context_length: 2048,
			slots: 4,
			waiting_limit: 64,
			prefill_chunk: 256,
			threads: 1,
			precision: Precision::F32,
		}
	}
}

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

/// An engine with one model in memory and one thread that computes all completions.
///
/// Dropping it ends all completions with [`FinishReason::Cancelled`](crate::FinishReason).
pub struct TorchEngine {
	info: ModelInfo,
	tokenizer: Arc<Tokenizer>,
	shared: Arc<Shared>,
	thread: Mutex<Option<JoinHandle<()>>>,
}

impl TorchEngine {
	/// Loads a model. Blocks until it is loaded, a second or two.
	///
	/// # Errors
	/// [`EngineError::Model`] when this engine cannot run the file, [`EngineError::InvalidRequest`] when a number in
	/// `config` is 0, [`EngineError::Compute`] when memory is short.
	pub fn load(config: &TorchConfig) -> Result<Self, EngineError> {
		Self::load_with(config, None)
	}

	/// Loads a model whose computation is altered, for measurements and tests.
	///
	/// # Errors
	/// As [`Self::load`].
	pub fn load_altered(config: &TorchConfig, alteration: Arc<dyn Alteration>) -> Result<Self, EngineError> {
		Self::load_with(config, Some(alteration))
	}

	fn load_with(config: &TorchConfig, alteration: Option<Arc<dyn Alteration>>) -> Result<Self, EngineError> {
		let TorchConfig { context_length, slots, prefill_chunk, threads, .. } = *config;
		if [context_length, slots, prefill_chunk, threads].contains(&0) {
			return Err(EngineError::InvalidRequest(
				"context length, slots, prefill chunk and threads must be at least 1".into(),
			));
		}
		let file = Gguf::open(&config.model)?;
		let tokenizer = Arc::new(Tokenizer::new(file.header())?);
		let own_name = || file.header().text("general.name").unwrap_or("unnamed").to_owned();
		let mut info = ModelInfo {
			name: config.name.clone().unwrap_or_else(own_name),
			context_length,
			vocab_size: tokenizer.vocab_size(),
			eos: tokenizer.eos().to_vec(),
			max_running: slots,
		};

		let shared = Arc::new(Shared::new(config.waiting_limit));
		let (loaded, is_loaded) = std::sync::mpsc::sync_channel(1);
		let work = {
			let (tokenizer, shared, config) = (tokenizer.clone(), shared.clone(), config.clone());
			move || {
				// The setting is this thread's, not the process's: OpenMP keeps the number for each calling thread.
				tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
				let model = match Model::load(&file, &config, alteration) {
					Ok(model) => model,
					// `load` still waits for it.
					Err(error) => return drop(loaded.send(Err(error))),
				};
				drop(file);
				give_back_memory();
				let _ = loaded.send(Ok(model.context_length()));
				Scheduler::new(model, tokenizer, shared, slots, prefill_chunk).run();
			}
		};
		let thread = std::thread::Builder::new()
			.name("torch-engine".into())
			.spawn(work)
			.map_err(|error| EngineError::Compute(error.to_string()))?;
		info.context_length = is_loaded.recv().map_err(|_| EngineError::Stopped)??;
		Ok(Self { info, tokenizer, shared, thread: Mutex::new(Some(thread)) })
	}
}

/// Returns the memory that loading used in passing, a tenth of a gigabyte, to the operating system.
fn give_back_memory() {
	#[cfg(all(target_os = "linux", target_env = "gnu"))]
	// SAFETY: the function touches free memory only, and may be called at any time.
	unsafe {
		libc::malloc_trim(0);
	}
}

impl Engine for TorchEngine {
	fn info(&self) -> ModelInfo {
		self.info.clone()
	}

	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		Ok(self.tokenizer.encode(text))
	}

	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		self.tokenizer.encode_chat(messages, options)
	}

	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError> {
		Ok(self.tokenizer.decode(ids))
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		request.check(&self.info)?;
		self.shared.submit(request)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		request.check(&self.info)?;
		self.shared.submit_check(request)
	}

	fn health(&self) -> Health {
		self.shared.health()
	}
}

impl Drop for TorchEngine {
	fn drop(&mut self) {
		self.shared.stop();
		let thread = self.thread.get_mut().map_or(None, Option::take);
		if thread.is_some_and(|thread| thread.join().is_err()) {
			tracing::error!("the engine's thread panicked");
		}
	}
}
