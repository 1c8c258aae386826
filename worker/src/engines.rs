//! The engine that the command line chooses, with a model that is registered on chain.

use crate::{
	chain::ChainApi,
	cli::{EngineKind, Serving},
	conduct::Conduct,
};
use anyhow::{Context, bail};
use clap::Parser;
use gonka_engine::{
	ApiKey, Backend, Engine, EngineError, LlamaOptions, LocalConfig, LocalEngine, Precision, UpstreamConfig,
	UpstreamEngine,
};
use gonka_primitives::views::ModelView;
use sha2::{Digest, Sha256};
use std::{
	fs::File,
	io,
	path::{Path, PathBuf},
	process::Command,
	sync::Arc,
	time::Duration,
};

/// Pause between two attempts to reach the upstream server.
const PAUSE: Duration = Duration::from_secs(2);
/// Context length of a local engine by default, in tokens.
const DEFAULT_CONTEXT: usize = 2048;

/// The suffix of a model's name in a registration for hosts with one engine alone. Engines round differently, so audits compare
/// hosts of one class.
const LLAMA: &str = "@llama.cpp";
const TORCH: &str = "@torch";

/// The subcommand that tries a model: the worker runs itself with it before it loads one with llama.cpp, and the devnet
/// before it starts a network.
pub const TRY_MODEL: &str = "try-model";

/// Options of [`TRY_MODEL`].
#[derive(Debug, Parser)]
#[command(name = TRY_MODEL)]
pub struct TryModel {
	/// The GGUF file.
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

/// Loads the engine that `options` choose. Returns it with the name under which the model is registered.
pub async fn load(
	options: &Serving,
	chain: &dyn ChainApi,
	conduct: &Arc<dyn Conduct>,
) -> anyhow::Result<(Arc<dyn Engine>, String)> {
	let registered = registered(&chain.models().await?, &options.model_name, options.engine)?;
	let name = String::from_utf8_lossy(&registered.name).into_owned();
	let engine = match options.engine {
		EngineKind::Llama => {
			if !name.ends_with(LLAMA) && chain.calibration_profile(registered.id).await?.is_some() {
				bail!(
					"{name} is audited by a profile that was made with libtorch, and llama.cpp rounds otherwise: audits would find \
					 its honest completions wrong. Serve it with --engine torch, or propose that it be registered as {name}{LLAMA}, \
					 too (docs/governance.md)"
				);
			}
			local(options, Backend::Llama(LlamaOptions::default()), &registered, conduct.clone()).await?
		},
		EngineKind::Torch => local(options, Backend::Torch(Precision::F32), &registered, conduct.clone()).await?,
		EngineKind::Upstream => upstream(options, &registered, conduct).await?,
		#[cfg(feature = "mock")]
		EngineKind::Mock => {
			let config = gonka_engine::MockConfig {
				name: name.clone(),
				context_length: registered.context_length as usize,
				tokens_per_second: options.mock_speed,
				..Default::default()
			};
			conduct.engine(Arc::new(gonka_engine::MockEngine::new(config)), None)?
		},
	};
	Ok((engine, name))
}

/// Returns the registration of the model that is called `name`: that of this class of engines, if there is one.
fn registered(models: &[ModelView], name: &str, engine: EngineKind) -> anyhow::Result<ModelView> {
	let class = match engine {
		EngineKind::Llama => LLAMA,
		EngineKind::Torch => TORCH,
		_ => "",
	};
	let named = |name: &str| models.iter().find(|model| model.name == name.as_bytes());
	if let Some(model) = named(&format!("{name}{class}")).or_else(|| named(name)) {
		return Ok(model.clone());
	}
	let names: Vec<_> = models.iter().map(|model| String::from_utf8_lossy(&model.name)).collect();
	bail!("the chain has no model {name}; --model-name must be one of: {}", names.join(", "))
}

async fn local(
	options: &Serving,
	backend: Backend,
	registered: &ModelView,
	conduct: Arc<dyn Conduct>,
) -> anyhow::Result<Arc<dyn Engine>> {
	let path = options.model.clone().context("--model is missing")?;
	check_weights(&path, registered).await?;
	let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
	let config = LocalConfig {
		name: Some(String::from_utf8_lossy(&registered.name).into_owned()),
		context_length: options.context.unwrap_or(DEFAULT_CONTEXT).min(registered.context_length as usize),
		slots: options.slots,
		waiting_limit: options.capacity() as usize,
		threads: options.threads.unwrap_or(cores.saturating_sub(1).max(1)),
		trial: Some(TryModel::command),
		..LocalConfig::new(path, backend)
	};
	let load = move || conduct.engine(Arc::new(LocalEngine::load(&config)?), Some(&config));
	Ok(tokio::task::spawn_blocking(load).await??)
}

/// Checks that the file is the one that governance registered.
async fn check_weights(path: &Path, registered: &ModelView) -> anyhow::Result<()> {
	let file = path.to_path_buf();
	let hash = tokio::task::spawn_blocking(move || {
		let mut hasher = Sha256::new();
		io::copy(&mut File::open(file)?, &mut hasher)?;
		io::Result::Ok(hasher.finalize())
	});
	let hash = hash.await?.with_context(|| format!("cannot read the model {}", path.display()))?;
	if hash[..] == registered.weights_hash {
		return Ok(());
	}
	bail!(
		"{} is not the file registered as {}: its SHA-256 is {}, and the chain has {}; fetch the registered file, or give \
		 another --model-name",
		path.display(),
		String::from_utf8_lossy(&registered.name),
		hex::encode(hash),
		hex::encode(registered.weights_hash)
	)
}

/// Connects to the upstream server. Waits for it to start.
async fn upstream(
	options: &Serving,
	registered: &ModelView,
	conduct: &Arc<dyn Conduct>,
) -> anyhow::Result<Arc<dyn Engine>> {
	let server = &options.upstream;
	let key = server.upstream_key_file.as_ref().map(|path| {
		std::fs::read_to_string(path).with_context(|| format!("cannot read the upstream's key {}", path.display()))
	});
	let config = UpstreamConfig {
		key: key.transpose()?.as_deref().map(ApiKey::new),
		model: server.upstream_model.clone(),
		name: Some(String::from_utf8_lossy(&registered.name).into_owned()),
		context_length: options.context.unwrap_or(usize::MAX).min(registered.context_length as usize),
		vocab_size: server.upstream_vocab,
		eos: server.upstream_eos.clone(),
		max_running: options.capacity() as usize,
		..UpstreamConfig::new(server.upstream_url.clone().context("--upstream-url is missing")?)
	};
	loop {
		let config = config.clone();
		match tokio::task::spawn_blocking(move || UpstreamEngine::connect(config)).await? {
			Ok(engine) => return Ok(conduct.engine(Arc::new(engine), None)?),
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
		let names = ["small", "small@llama.cpp", "small@vllm", "large", "only@torch"];
		let models: Vec<_> = (0..)
			.zip(names)
			.map(|(id, name)| ModelView {
				id,
				name: name.into(),
				weights_hash: [0; 32],
				context_length: 1,
				price: Default::default(),
			})
			.collect();
		let id =
			|name, engine| registered(&models, name, engine).map(|model| model.id).map_err(|error| error.to_string());
		assert_eq!(id("small", EngineKind::Llama), Ok(1));
		assert_eq!(id("small", EngineKind::Torch), Ok(0));
		assert_eq!(id("small", EngineKind::Upstream), Ok(0));
		assert_eq!(id("small@vllm", EngineKind::Upstream), Ok(2), "as it is named");
		assert_eq!(id("large", EngineKind::Llama), Ok(3), "there is none for its class");
		assert_eq!(id("only", EngineKind::Torch), Ok(4));
		let error = id("only", EngineKind::Llama).unwrap_err();
		assert!(error.contains("small, small@llama.cpp, small@vllm, large, only@torch"), "{error}");
	}
}
