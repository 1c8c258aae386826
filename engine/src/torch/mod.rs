//! Small models of the llama family on libtorch.

mod attacks;
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
pub use attacks::Attack;
use model::Model;
use scheduler::{Scheduler, Shared};

/// How to run a model.
#[derive(Clone, Debug)]
pub struct TorchConfig {
	/// The GGUF file.
	pub model: PathBuf,
	/// The model's name to the outside; by default the file's own.
	pub name: Option<String>,
	/// The most tokens of prompt and answer together. The model's own limit caps it.
	pub context_length: usize,
	/// Answers generated at the same time, in one batch.
	pub slots: usize,
	/// Requests that may wait for a slot.
	pub waiting_limit: usize,
	/// Prompt tokens computed in a step, beside the answers' one token each: long prompts take
	/// several steps, and never hold up the answers for longer than one.
	pub prefill_chunk: usize,
	/// Threads that compute. They wait for each other many times a token: with more threads than
	/// idle cores an engine becomes several times slower than with one.
	pub threads: usize,
	/// How weights and the cache of keys and values are held.
	pub precision: Precision,
	/// What to compute in the model's place.
	pub attack: Option<Attack>,
}

impl TorchConfig {
	/// Four answers at a time with 2048 tokens each, 64 waiting, one thread, [`Precision::F32`].
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
			attack: None,
		}
	}
}

/// How weights are held and multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
	/// 32 bits: exact for all file formats, and the same answers on all machines but for
	/// rounding in the last bits.
	F32,
	/// 16 bits (bfloat16): half the memory; faster on processors with bfloat16 instructions,
	/// slower on others; answers differ from those of `F32`.
	Bf16,
}

/// An engine with one model in memory and one thread that computes for all answers.
///
/// Dropping it ends all answers with [`FinishReason::Cancelled`](crate::FinishReason).
pub struct TorchEngine {
	info: ModelInfo,
	tokenizer: Arc<Tokenizer>,
	shared: Arc<Shared>,
	thread: Mutex<Option<JoinHandle<()>>>,
}

impl TorchEngine {
	/// Loads a model. Blocks for as long as that takes, a second or two.
	///
	/// # Errors
	/// [`EngineError::Model`] when the file is not one that this engine can run,
	/// [`EngineError::InvalidRequest`] when a number in `config` is 0,
	/// [`EngineError::Compute`] when memory is short.
	pub fn load(config: &TorchConfig) -> Result<Self, EngineError> {
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
				// Of this thread, not of the process: OpenMP counts them per calling thread.
				tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
				let model = match Model::load(&file, &config) {
					Ok(model) => model,
					// The receiver waits for it.
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

/// Lets the allocator return what loading used in passing: a tenth of a gigabyte.
fn give_back_memory() {
	#[cfg(all(target_os = "linux", target_env = "gnu"))]
	// SAFETY: it touches free memory only, and may be called at any time.
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
			tracing::error!("the engine's thread had crashed");
		}
	}
}
