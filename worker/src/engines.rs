//! The engine that the command line chooses, with a model that is registered on chain.

use crate::{
	chain::ChainApi,
	cli::{EngineKind, Serving},
	conduct::Conduct,
	model_hash::model_hash,
	models::{Audits, Models, ServedModel},
	tokenizer,
};
use anyhow::{Context, bail};
use clap::Parser;
use gonka_engine::{
	ApiKey, Backend, Engine, EngineError, LlamaOptions, LocalConfig, LocalEngine, Precision, UpstreamConfig,
	UpstreamEngine, free_memory,
};
use gonka_primitives::views::ModelView;
use std::{
	path::{Path, PathBuf},
	process::Command,
	sync::Arc,
	time::Duration,
};

/// Pause between two attempts to reach the upstream server.
const PAUSE: Duration = Duration::from_secs(2);
/// Context length of a local engine by default, in tokens.
const DEFAULT_CONTEXT: usize = 2048;

/// The character between a model's name and a class of engines in the name of a registration.
const CLASS: char = '@';

/// The subcommand that tries a model: the worker runs itself with it before it loads one with llama.cpp, and the devnet
/// before it starts a network.
pub const TRY_MODEL: &str = "try-model";

/// Options of [`TRY_MODEL`].
#[derive(Debug, Parser)]
#[command(name = TRY_MODEL)]
pub struct TryModel {
	/// The GGUF file, or a folder.
	model: PathBuf,
	#[arg(long)]
	context: usize,
	#[arg(long)]
	slots: usize,
	#[arg(long)]
	threads: usize,
	/// With libtorch instead of llama.cpp.
	#[arg(long)]
	torch: bool,
}

impl TryModel {
	/// Returns the configuration to try.
	pub fn config(&self) -> LocalConfig {
		let Self { model, context, slots, threads, torch } = self;
		let config = if *torch { LocalConfig::torch(model) } else { LocalConfig::llama(model) };
		LocalConfig { context_length: *context, slots: *slots, threads: *threads, ..config }
	}

	/// Returns the command that tries this configuration.
	fn command(config: &LocalConfig) -> Command {
		let program = std::env::current_exe().unwrap_or_else(|_| "gonka-worker".into());
		let mut command = Command::new(program);
		command.arg(TRY_MODEL).arg(&config.model);
		for (option, value) in
			[("--context", config.context_length), ("--slots", config.slots), ("--threads", config.threads)]
		{
			command.arg(option).arg(value.to_string());
		}
		command
	}
}

/// Loads the engines of the models that `options` choose, one after the other.
pub async fn load(options: &Serving, chain: &dyn ChainApi, conduct: &Arc<dyn Conduct>) -> anyhow::Result<Models> {
	let registry = chain.models().await?;
	let mut memory = free_memory();
	let mut models = Vec::new();
	for (place, name) in options.model_name.iter().enumerate() {
		let wanted = Wanted { name, file: options.model.get(place), memory };
		let (served, needed) = load_one(options, &wanted, &registry, chain, conduct).await?;
		if models.iter().any(|other: &ServedModel| other.name == served.name) {
			bail!("--model-name stands twice for the registration {}", served.name);
		}
		memory = memory.map(|free| free.saturating_sub(needed));
		models.push(served);
	}
	Ok(Models::new(models))
}

/// A model to load.
struct Wanted<'a> {
	name: &'a str,
	file: Option<&'a PathBuf>,
	/// Bytes of memory that other models leave, if they are known.
	memory: Option<u64>,
}

/// Loads a model. Returns it with the bytes of memory that it needs.
async fn load_one(
	options: &Serving,
	wanted: &Wanted<'_>,
	registry: &[ModelView],
	chain: &dyn ChainApi,
	conduct: &Arc<dyn Conduct>,
) -> anyhow::Result<(ServedModel, u64)> {
	let registered = Registered::new(registry, wanted.name)?;
	let (engine, chosen, audits, needed) = match options.engine {
		EngineKind::Llama => {
			let backend = Backend::Llama(LlamaOptions::default());
			let (engine, chosen, needed) = local(options, wanted, backend, registered, conduct).await?;
			let audits = if text(chosen).contains(CLASS) { Audits::ByAny } else { Audits::ByNone };
			(engine, chosen, audits, needed)
		},
		EngineKind::Torch => {
			let backend = Backend::Torch(Precision::F32);
			let (engine, chosen, needed) = local(options, wanted, backend, registered, conduct).await?;
			(engine, chosen, Audits::ByAny, needed)
		},
		EngineKind::Upstream => {
			let server = upstream(options, &registered).await?;
			let chosen = registered.of_class(server.class())?;
			let audits = match server.class() {
				Some(_) if text(chosen).contains(CLASS) => Audits::ByAny,
				Some(_) => Audits::ByNone,
				None => Audits::ByTape,
			};
			(conduct.engine(Arc::new(server), None)?, chosen, audits, 0)
		},
		#[cfg(feature = "mock")]
		EngineKind::Mock => {
			let chosen = registered.of_class(None)?;
			let config = gonka_engine::MockConfig {
				name: text(chosen),
				context_length: chosen.context_length as usize,
				tokens_per_second: options.mock_speed,
				..Default::default()
			};
			// A devnet's mock stands in for the demo model.
			let config = match wanted.file {
				Some(path) => {
					let (vocab_size, eos) = tokenizer::vocabulary(path)?;
					gonka_engine::MockConfig { vocab_size, eos, ..config }
				},
				None => config,
			};
			let engine = conduct.engine(Arc::new(gonka_engine::MockEngine::new(config)), None)?;
			(engine, chosen, Audits::ByAny, 0)
		},
	};
	let name = text(chosen);
	if let Some(profile) = chain.calibration_profile(chosen.id).await?
		&& !audits.allow(&profile)
	{
		bail!(
			"{name} is audited by a profile that was made with other engines, which round otherwise or have fingerprints: audits \
			 would find honest completions of this one wrong. Serve it with --engine torch, or propose a registration for this \
			 class of engines (docs/governance.md)"
		);
	}
	let wanted_hash = chosen.tokenizer_hash;
	let (given, file) = (options.tokenizer.clone(), wanted.file.cloned());
	let found = tokio::task::spawn_blocking(move || tokenizer::find(&given, file.as_deref(), &wanted_hash)).await??;
	if found.is_none() {
		tracing::warn!(
			model = name,
			"this worker has no tokenizer file 0x{}: gateways need one other host that has it. Give it with --tokenizer",
			hex::encode(wanted_hash)
		);
	}
	let tokenizer = found.map(|file| (wanted_hash, file));
	Ok((ServedModel::new(name, chosen.weights_hash, engine, audits).with_tokenizer(tokenizer), needed))
}

fn text(model: &ModelView) -> String {
	String::from_utf8_lossy(&model.name).into_owned()
}

/// The registrations of a model: one for all engines, and one for each class of engines that agree in every bit.
struct Registered<'a> {
	name: &'a str,
	models: Vec<&'a ModelView>,
}

impl<'a> Registered<'a> {
	/// Finds those of `name`: a model's name, or that of one registration.
	fn new(models: &'a [ModelView], name: &'a str) -> anyhow::Result<Self> {
		let is_of = |model: &&ModelView| {
			let full = text(model);
			full == name || full.split_once(CLASS).is_some_and(|(model, _)| model == name)
		};
		let found: Vec<_> = models.iter().filter(is_of).collect();
		if found.is_empty() {
			let names: Vec<_> = models.iter().map(text).collect();
			bail!("the chain has no model {name}; --model-name must be one of: {}", names.join(", "));
		}
		Ok(Self { name, models: found })
	}

	/// Keeps those of the file with this SHA-256.
	fn of_file(mut self, path: &Path, hash: &[u8]) -> anyhow::Result<Self> {
		let hashes: Vec<_> = self.models.iter().map(|model| hex::encode(model.weights_hash)).collect();
		self.models.retain(|model| model.weights_hash == hash);
		if self.models.is_empty() {
			bail!(
				"{} is not the file registered as {}: its SHA-256 is {}, and the chain has {}; fetch the registered file, or give \
				 another --model-name",
				path.display(),
				self.name,
				hex::encode(hash),
				hashes.join(", ")
			);
		}
		Ok(self)
	}

	/// Returns the maximum number of tokens that all of them allow.
	fn context_length(&self) -> usize {
		self.models.iter().map(|model| model.context_length as usize).min().unwrap_or(0)
	}

	/// Returns the one for this class of engines, or else the one for all.
	fn of_class(&self, class: Option<&str>) -> anyhow::Result<&'a ModelView> {
		let named = |name: &str| self.models.iter().find(|model| model.name == name.as_bytes()).copied();
		let own = class.and_then(|class| named(&format!("{}{CLASS}{class}", self.name)));
		// A class that is named must be this engine's, unless it is one that no engine finds out for itself.
		let is_wrong = self.name.split_once(CLASS).is_some_and(|(_, named)| {
			Some(named) != class && (class.is_some() || is_exact(named) || named == UpstreamEngine::VERIFIED_CLASS)
		});
		own.or_else(|| named(self.name)).filter(|_| !is_wrong).with_context(|| {
			let names: Vec<_> = self.models.iter().map(|model| text(model)).collect();
			format!(
				"the chain has {} for other engines only: {}. The class of this engine is {}; propose a registration for it \
				 (docs/governance.md), or choose another --engine",
				self.name,
				names.join(", "),
				class.unwrap_or("unknown: it rounds by what is computed together")
			)
		})
	}
}

/// Returns whether hosts of a class agree in every bit: its name ends with a hash of what they compute.
fn is_exact(class: &str) -> bool {
	class
		.rsplit_once('-')
		.is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Loads an engine of this process. Returns it with the registration for its class, and the bytes of memory that it needs.
async fn local<'a>(
	options: &Serving,
	wanted: &Wanted<'_>,
	backend: Backend,
	registered: Registered<'a>,
	conduct: &Arc<dyn Conduct>,
) -> anyhow::Result<(Arc<dyn Engine>, &'a ModelView, u64)> {
	let path = wanted.file.context("--model is missing")?.clone();
	let hash = tokio::task::spawn_blocking({
		let path = path.clone();
		move || model_hash(&path)
	});
	let hash = hash.await?.with_context(|| format!("cannot read the model {}", path.display()))?;
	let registered = registered.of_file(&path, &hash)?;
	let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
	let config = LocalConfig {
		device: options.engine_device.clone(),
		// With libtorch a token's bits depend on its batch.
		finds_class: matches!(backend, Backend::Llama(_)),
		memory: wanted.memory,
		name: Some(wanted.name.to_owned()),
		context_length: options.context.unwrap_or(DEFAULT_CONTEXT).min(registered.context_length()),
		slots: options.slots,
		waiting_limit: options.capacity_of_one() as usize,
		threads: options.threads.unwrap_or(cores.saturating_sub(1).max(1)),
		trial: Some(TryModel::command),
		..LocalConfig::new(path, backend)
	};
	let conduct = conduct.clone();
	let load = move || -> anyhow::Result<_> {
		let engine = LocalEngine::load(&config)?;
		let (class, memory) = (engine.class().map(str::to_owned), engine.memory());
		Ok((conduct.engine(Arc::new(engine), Some(&config))?, class, memory))
	};
	let (engine, class, memory) = tokio::task::spawn_blocking(load).await??;
	let chosen = registered.of_class(class.as_deref())?;
	tracing::info!(class, model = text(chosen), "the engine is loaded");
	Ok((engine, chosen, memory))
}

/// Connects to the upstream server. Waits for it to start.
async fn upstream(options: &Serving, registered: &Registered<'_>) -> anyhow::Result<UpstreamEngine> {
	let server = &options.upstream;
	let key = server.upstream_key_file.as_ref().map(|path| {
		std::fs::read_to_string(path).with_context(|| format!("cannot read the upstream's key {}", path.display()))
	});
	let config = UpstreamConfig {
		key: key.transpose()?.as_deref().map(ApiKey::new),
		model: server.upstream_model.clone(),
		name: Some(registered.name.to_owned()),
		context_length: options.context.unwrap_or(usize::MAX).min(registered.context_length()),
		vocab_size: server.upstream_vocab,
		eos: server.upstream_eos.clone(),
		max_running: options.capacity_of_one() as usize,
		..UpstreamConfig::new(server.upstream_url.clone().context("--upstream-url is missing")?)
	};
	loop {
		let config = config.clone();
		match tokio::task::spawn_blocking(move || UpstreamEngine::connect(config)).await? {
			Ok(engine) => return Ok(engine),
			Err(error @ (EngineError::Compute(_) | EngineError::Busy { .. })) => {
				tracing::warn!(%error, "waiting for the upstream server: is it running, and is --upstream-url right?");
			},
			Err(error) => {
				bail!("{error}; correct the --upstream-… options (docs/worker.md tells how to start the server)")
			},
		}
		tokio::time::sleep(PAUSE).await;
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_registration_for_the_engines_class_comes_first() {
		let names = ["small", "small@llama.cpp-00aa11bb", "small@vllm", "large", "only@torch-2b"];
		let model = |(id, name): (u32, &&str)| ModelView {
			id,
			name: name.as_bytes().into(),
			weights_hash: [id as u8 / 3; 32],
			tokenizer_hash: [0; 32],
			context_length: 10 + id,
			price: Default::default(),
		};
		let models: Vec<_> = (0..).zip(&names).map(model).collect();
		let id = |name, class| Some(Registered::new(&models, name).ok()?.of_class(class).ok()?.id);
		assert_eq!(id("small", Some("llama.cpp-00aa11bb")), Some(1));
		assert_eq!(id("small@llama.cpp-00aa11bb", Some("llama.cpp-00aa11bb")), Some(1));
		assert_eq!(id("small@llama.cpp-00aa11bb", Some("llama.cpp-00aa11bc")), None, "it would be convicted");
		assert_eq!(id("small@llama.cpp-00aa11bb", None), None);
		assert_eq!(id("small", Some("llama.cpp-1b")), Some(0), "the one for all");
		assert_eq!(id("small", None), Some(0));
		assert_eq!(id("small@vllm", Some("vllm")), Some(2));
		assert_eq!(id("small@vllm", None), None, "a server without the plug-in");
		assert_eq!(id("small@vllm", Some("llama.cpp-00aa11bb")), None);
		assert_eq!(id("small", Some("vllm")), Some(2), "the class is found");
		assert_eq!(id("large", Some("llama.cpp-1a")), Some(3), "there is none for its class");
		assert_eq!(id("only", Some("torch-2b")), Some(4));
		assert_eq!(id("only", Some("llama.cpp-1a")), None);
		assert_eq!(id("unknown", None), None);

		let error = |result: anyhow::Result<&ModelView>| result.err().unwrap().to_string();
		let only = error(Registered::new(&models, "only").unwrap().of_class(Some("llama.cpp-1a")));
		assert!(only.contains("only@torch-2b") && only.contains("llama.cpp-1a"), "{only}");
		let none = Registered::new(&models, "none").err().unwrap().to_string();
		assert!(none.contains("small, small@llama.cpp-00aa11bb, small@vllm, large, only@torch-2b"), "{none}");

		let small = || Registered::new(&models, "small").unwrap();
		assert_eq!(small().of_file("f".as_ref(), &[0; 32]).unwrap().context_length(), 10);
		let other = small().of_file("f".as_ref(), &[9; 32]).err().unwrap().to_string();
		assert!(other.contains("f is not the file registered as small") && other.contains("0909"), "{other}");
	}
}
