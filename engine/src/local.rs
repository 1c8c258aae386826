//! Engines that compute in this process: one thread owns the model and computes all completions in one batch.

mod class;
mod logprobs;
mod memory;
mod model;
mod pool;
mod scheduler;

use std::{
	path::PathBuf,
	sync::{Arc, Mutex},
	thread::JoinHandle,
	time::Duration,
};

use tokio::sync::mpsc;

#[cfg(feature = "llama")]
use crate::llama::{self, LlamaOptions};
#[cfg(feature = "torch")]
use crate::torch::{self, Alteration, Precision};
use crate::{
	CheckReceiver, CheckRequest, Engine, EngineError, GenerateRequest, Health, ModelInfo, TokenEvent, Usage,
	grammar::{Grammars, Masks},
};
use gonka_tokenizer::Tokenizer;
pub use memory::{Sizes, free_memory};
pub use model::{EachRow, LOGIT_ROWS, Model, Span};
use scheduler::{Scheduler, Shared};

/// Configuration of an engine.
#[derive(Clone, Debug)]
pub struct LocalConfig {
	/// The GGUF file, or for libtorch a folder with safetensors, configuration and tokenizer.
	pub model: PathBuf,
	/// The library that computes.
	pub backend: Backend,
	/// Device on which libtorch computes: `cpu`, or `cuda:0` and so on; by default the CPU.
	pub device: Option<String>,
	/// Whether to compute a few tokens for [`LocalEngine::class`] when the model is loaded.
	pub finds_class: bool,
	/// Bytes of memory that the model may take; by default those that are free.
	pub memory: Option<u64>,
	/// The model's name in [`ModelInfo`]; by default the file's own.
	pub name: Option<String>,
	/// Maximum number of tokens of prompt and completion together. The model's own limit caps it.
	pub context_length: usize,
	/// Number of completions generated at the same time, in one batch.
	pub slots: usize,
	/// Maximum number of requests that wait for a slot.
	pub waiting_limit: usize,
	/// Maximum number of prompt tokens computed in a step, beside one token of each completion. A long prompt takes several
	/// steps.
	pub prefill_chunk: usize,
	/// Time that prompts may take in a step while completions wait for their next token. The engine measures its steps
	/// and reads fewer prompt tokens where they take longer, 16 at least.
	pub prefill_time: Duration,
	/// Makes the command that tries a file of llama.cpp's before this process loads it: it calls [`try_model`](crate::try_model)
	/// with a configuration like this one, writes an error to standard output, and ends with another code than 0 then.
	pub trial: Option<fn(&Self) -> std::process::Command>,
	/// Number of computing threads. They wait for each other many times a token: with more threads than idle cores an
	/// engine becomes several times slower than with one.
	pub threads: usize,
}

/// A library that computes models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
	/// llama.cpp: all models that it reads.
	#[cfg(feature = "llama")]
	Llama(LlamaOptions),
	/// libtorch: models of the llama family, exactly in the precision that is asked for.
	#[cfg(feature = "torch")]
	Torch(Precision),
}

impl Backend {
	/// Returns the library's name.
	pub fn name(self) -> &'static str {
		match self {
			#[cfg(feature = "llama")]
			Self::Llama(_) => "llama.cpp",
			#[cfg(feature = "torch")]
			Self::Torch(_) => "torch",
		}
	}
}

impl LocalConfig {
	/// Returns the configuration of a llama.cpp engine, with the defaults of [`Self::new`].
	#[cfg(feature = "llama")]
	pub fn llama(model: impl Into<PathBuf>) -> Self {
		Self::new(model, Backend::Llama(LlamaOptions::default()))
	}

	/// Returns the configuration of a libtorch engine with [`Precision::F32`], and the defaults of [`Self::new`].
	#[cfg(feature = "torch")]
	pub fn torch(model: impl Into<PathBuf>) -> Self {
		Self::new(model, Backend::Torch(Precision::F32))
	}

	/// Four completions at a time with 2048 tokens each, 64 waiting requests, one thread.
	pub fn new(model: impl Into<PathBuf>, backend: Backend) -> Self {
		Self {
			model: model.into(),
			backend,
			device: None,
			finds_class: false,
			memory: None,
			name: None,
			context_length: 2048,
			slots: 4,
			waiting_limit: 64,
			prefill_chunk: 256,
			prefill_time: Duration::from_millis(100),
			trial: None,
			threads: 1,
		}
	}
}

/// A file that a backend opened: its tokenizer is read, and the engine's thread reads the weights later.
pub struct Opened {
	/// The file's tokenizer and chat template.
	pub tokenizer: Tokenizer,
	/// The model's own name, if it has one.
	pub name: Option<String>,
	/// Bytes of memory that the model needs; 0 on another device.
	pub memory: u64,
	/// Reads the weights.
	pub load: Box<dyn FnOnce() -> Result<Box<dyn Model>, EngineError> + Send>,
}

/// An engine with one model in memory and one thread that computes all completions.
///
/// Dropping it ends all completions with [`FinishReason::Cancelled`](crate::FinishReason).
pub struct LocalEngine {
	info: ModelInfo,
	class: Option<String>,
	memory: u64,
	tokenizer: Arc<Tokenizer>,
	grammars: Arc<Grammars>,
	shared: Arc<Shared>,
	thread: Mutex<Option<JoinHandle<()>>>,
}

impl LocalEngine {
	/// Loads a model. Blocks until it is loaded.
	///
	/// # Errors
	/// [`EngineError::Model`] when the backend cannot run the file, [`EngineError::InvalidRequest`] when a number in
	/// `config` is 0, [`EngineError::Memory`] or [`EngineError::Compute`] when memory is short.
	pub fn load(config: &LocalConfig) -> Result<Self, EngineError> {
		let opened = match config.backend {
			#[cfg(feature = "llama")]
			Backend::Llama(options) => llama::open(config, options),
			#[cfg(feature = "torch")]
			Backend::Torch(precision) => torch::open(config, precision, None),
		};
		Self::start(config, opened?)
	}

	/// Loads a model whose computation is altered, for measurements and tests. Only libtorch's can be.
	///
	/// # Errors
	/// As [`Self::load`]; [`EngineError::Unsupported`] for another backend.
	#[cfg(feature = "torch")]
	pub fn load_altered(config: &LocalConfig, alteration: Arc<dyn Alteration>) -> Result<Self, EngineError> {
		match config.backend {
			Backend::Torch(precision) => Self::start(config, torch::open(config, precision, Some(alteration))?),
			#[cfg(feature = "llama")]
			Backend::Llama(_) => Err(EngineError::Unsupported("alterations of llama.cpp's computation".into())),
		}
	}

	/// Returns the engine's class for this model, such as `llama.cpp-1a2b3c4d`: engines of one class give each token the same
	/// logits and the same fingerprint in every bit, however they batch. `None` if what a token gives depends on what is
	/// computed with it, and without [`LocalConfig::finds_class`].
	///
	/// The name has a hash of what the engine computed of a few tokens when it was loaded. So processors, compilers or versions
	/// of a library that round otherwise make another class.
	pub fn class(&self) -> Option<&str> {
		self.class.as_deref()
	}

	/// Returns the model's tokenizer.
	pub fn tokenizer(&self) -> &Tokenizer {
		&self.tokenizer
	}

	/// Returns the bytes of this machine's memory that the model needs, with the keys and values of all slots.
	pub fn memory(&self) -> u64 {
		self.memory
	}

	fn start(config: &LocalConfig, opened: Opened) -> Result<Self, EngineError> {
		let LocalConfig { context_length, slots, prefill_chunk, prefill_time, threads, .. } = *config;
		if [context_length, slots, prefill_chunk, threads].contains(&0) {
			return Err(EngineError::InvalidRequest(
				"context length, slots, prefill chunk and threads must be at least 1".into(),
			));
		}
		let (tokenizer, memory) = (Arc::new(opened.tokenizer), opened.memory);
		let mut info = ModelInfo {
			name: config.name.clone().or(opened.name).unwrap_or_else(|| "unnamed".into()),
			context_length,
			vocab_size: tokenizer.vocab_size(),
			eos: tokenizer.eos().to_vec(),
			max_running: slots,
			embeds: tokenizer.pooling().is_some(),
		};

		let shared = Arc::new(Shared::new(config.waiting_limit));
		let (loaded, is_loaded) = std::sync::mpsc::sync_channel(1);
		let work = {
			let (tokenizer, shared, vocab_size) = (tokenizer.clone(), shared.clone(), info.vocab_size);
			let finds_class = config.finds_class;
			let load = move || -> Result<_, EngineError> {
				let mut model = (opened.load)()?;
				let class = if finds_class { class::class(&mut *model, vocab_size)? } else { None };
				give_back_memory();
				Ok((model, class))
			};
			move || {
				let model = match load() {
					Ok((model, class)) => {
						let _ = loaded.send(Ok((model.context_length(), class)));
						model
					},
					// `start` still waits for it.
					Err(error) => return drop(loaded.send(Err(error))),
				};
				Scheduler::new(model, tokenizer, shared, slots, prefill_chunk, prefill_time).run();
			}
		};
		let thread = std::thread::Builder::new()
			.name("engine".into())
			.spawn(work)
			.map_err(|error| EngineError::Compute(error.to_string()))?;
		let (context_length, class) = is_loaded.recv().map_err(|_| EngineError::Stopped)??;
		info.context_length = context_length;
		let class = class.map(|hash| format!("{}-{hash}", config.backend.name()));
		let grammars = Arc::new(Grammars::new(tokenizer.clone()));
		Ok(Self { info, class, memory, tokenizer, grammars, shared, thread: Mutex::new(Some(thread)) })
	}

	/// Compiles a request's grammar. `output` is its completion, if that is to be checked.
	fn masks(&self, request: &GenerateRequest, output: Option<&[u32]>) -> Result<Option<Masks>, EngineError> {
		let Some(grammar) = &request.grammar else { return Ok(None) };
		self.shared.has_room()?;
		let begun = request.prompt.len().saturating_sub(request.delivered);
		let delivered = request.prompt.get(begun..).unwrap_or_default();
		self.grammars.start(grammar, delivered, output).map(Some)
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

impl Engine for LocalEngine {
	fn info(&self) -> ModelInfo {
		self.info.clone()
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		request.check(&self.info)?;
		let masks = self.masks(&request, None)?;
		self.shared.submit(request, masks)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		request.check(&self.info)?;
		let masks = self.masks(&request.request, Some(&request.output))?;
		self.shared.submit_check(request, masks)
	}

	fn health(&self) -> Health {
		self.shared.health()
	}

	fn usage(&self) -> Usage {
		self.shared.usage()
	}
}

impl Drop for LocalEngine {
	fn drop(&mut self) {
		self.shared.stop();
		let thread = self.thread.get_mut().map_or(None, Option::take);
		if thread.is_some_and(|thread| thread.join().is_err()) {
			tracing::error!("the engine's thread panicked");
		}
	}
}
