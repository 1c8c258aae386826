//! The engine that the command line chooses, with a model that is registered on chain.

use crate::{
	chain::ChainApi,
	cli::{EngineKind, Serving},
	conduct::Conduct,
};
use anyhow::{Context, bail};
use gonka_engine::{ApiKey, Engine, EngineError, TorchConfig, TorchEngine, UpstreamConfig, UpstreamEngine};
use gonka_primitives::views::ModelView;
use sha2::{Digest, Sha256};
use std::{fs::File, io, path::Path, sync::Arc, time::Duration};

/// Pause between two attempts to reach the upstream server.
const PAUSE: Duration = Duration::from_secs(2);
/// Context length of the torch engine by default, in tokens.
const DEFAULT_CONTEXT: usize = 2048;

/// Loads the engine that `options` choose.
pub async fn load(
	options: &Serving,
	chain: &dyn ChainApi,
	conduct: &Arc<dyn Conduct>,
) -> anyhow::Result<Arc<dyn Engine>> {
	let registered = registered(&options.model_name, chain).await?;
	match options.engine {
		EngineKind::Torch => torch(options, &registered, conduct.clone()).await,
		EngineKind::Upstream => upstream(options, &registered, conduct).await,
		#[cfg(feature = "mock")]
		EngineKind::Mock => {
			let config = gonka_engine::MockConfig {
				name: options.model_name.clone(),
				context_length: registered.context_length as usize,
				tokens_per_second: options.mock_speed,
				..Default::default()
			};
			Ok(conduct.engine(Arc::new(gonka_engine::MockEngine::new(config)), None)?)
		},
	}
}

/// Reads the model of this name from the chain.
async fn registered(name: &str, chain: &dyn ChainApi) -> anyhow::Result<ModelView> {
	let models = chain.models().await?;
	if let Some(model) = models.iter().find(|model| model.name == name.as_bytes()) {
		return Ok(model.clone());
	}
	let names: Vec<_> = models.iter().map(|model| String::from_utf8_lossy(&model.name)).collect();
	bail!("the chain has no model {name}; --model-name must be one of: {}", names.join(", "))
}

async fn torch(
	options: &Serving,
	registered: &ModelView,
	conduct: Arc<dyn Conduct>,
) -> anyhow::Result<Arc<dyn Engine>> {
	let path = options.model.clone().context("--model is missing")?;
	check_weights(&path, registered).await?;
	let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
	let config = TorchConfig {
		name: Some(options.model_name.clone()),
		context_length: options.context.unwrap_or(DEFAULT_CONTEXT).min(registered.context_length as usize),
		slots: options.slots,
		waiting_limit: options.capacity as usize,
		threads: options.threads.unwrap_or(cores.saturating_sub(1).max(1)),
		..TorchConfig::new(path)
	};
	let load = move || conduct.engine(Arc::new(TorchEngine::load(&config)?), Some(&config));
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
		name: Some(options.model_name.clone()),
		context_length: options.context.unwrap_or(usize::MAX).min(registered.context_length as usize),
		vocab_size: server.upstream_vocab,
		eos: server.upstream_eos.clone(),
		max_running: options.capacity as usize,
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
