//! An engine for models that another program serves, over HTTP.
//!
//! `UpstreamEngine` tells two protocols apart by what the server returns: servers that sample on the tape and return
//! fingerprints ([`verified`]: vLLM with this project's plug-in), and servers that sample themselves and return token ids
//! ([`completions`]: vLLM, SGLang). Text is never compared with tokens: a server that returns no ids is rejected.

mod completions;
mod http;
mod verified;

use std::{
	fmt,
	sync::{
		Arc,
		atomic::{AtomicBool, Ordering},
	},
	thread,
	time::Duration,
};

use gonka_primitives::fingerprint::Fingerprint;
use serde_json::{Value, json};
use tokio::{
	runtime::{Builder, Handle},
	sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
	time::sleep,
};
use tracing::Instrument;

use self::{
	http::{Http, broken},
	verified::Vocabulary,
};
use crate::{
	CheckReceiver, CheckRequest, Engine, EngineError, FinishReason, GenerateRequest, Health, ModelInfo, TokenEvent,
};
use gonka_tokenizer::{CHANNEL_END_TOKENS, END_TOKENS};

/// Fingerprint of every token of a server that returns none.
const FINGERPRINT: Fingerprint = [0; 16];
/// Number of events that may wait for their reader; beyond it the engine stops reading from the server.
const EVENTS: usize = 64;

/// Address of a server, the model on it, and timeouts.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
	/// URL of the server: `http://host:port` or `https://…`, with or without `/v1`.
	pub url: String,
	/// Key sent as `Authorization: Bearer …`.
	pub key: Option<ApiKey>,
	/// The model's name at the server; not needed if the server has only one.
	pub model: Option<String>,
	/// The model's name in [`ModelInfo`]; by default the server's.
	pub name: Option<String>,
	/// Maximum number of tokens of prompt and completion together. The server's own limit caps it.
	pub context_length: usize,
	/// Number of the model's token ids, for servers that do not report it.
	pub vocab_size: Option<usize>,
	/// Ids that end a completion; if empty, those that the server's tokenizer has of the usual names. All hosts of a
	/// model must use the same ids.
	pub eos: Vec<u32>,
	/// Maximum number of completions and checks at the same time; more are rejected. What the server allows caps it.
	pub max_running: usize,
	/// Timeout for a connection.
	pub connect: Duration,
	/// Timeout for a completion's first token, and for every request that generates none.
	pub first_token: Duration,
	/// Timeout between two tokens.
	pub between_tokens: Duration,
	/// Interval at which the engine checks that the server is reachable.
	pub probe: Duration,
}

impl UpstreamConfig {
	/// Configures a server at `url` that serves one model: no limit on tokens beyond the server's, 64 completions at a
	/// time, 2 s for a connection, 120 s for a first token, 30 s for each other one, a probe every 5 s.
	pub fn new(url: impl Into<String>) -> Self {
		Self {
			url: url.into(),
			key: None,
			model: None,
			name: None,
			context_length: usize::MAX,
			vocab_size: None,
			eos: Vec::new(),
			max_running: 64,
			connect: Duration::from_secs(2),
			first_token: Duration::from_secs(120),
			between_tokens: Duration::from_secs(30),
			probe: Duration::from_secs(5),
		}
	}
}

/// A server's key. Its `Debug` form hides it.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
	/// Takes the key from `text`, without spaces and line ends around it.
	pub fn new(text: &str) -> Self {
		Self(text.trim().to_owned())
	}
}

impl fmt::Debug for ApiKey {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("ApiKey")
	}
}

/// Protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
	/// The server samples on the tape, returns fingerprints and checks completions.
	Verified,
	/// The server samples. `reads`: it also returns `prompt_logprobs`, so completions can be checked.
	Completions { reads: bool },
}

/// A server and what was found out about it.
struct Upstream {
	http: Http,
	config: UpstreamConfig,
	/// The model's name at the server.
	model: String,
	protocol: Protocol,
	info: ModelInfo,
	/// Bytes of the tokens; empty for servers that return text.
	vocabulary: Vocabulary,
	/// One permit for each completion or check that may run.
	permits: Arc<Semaphore>,
	/// Whether the server served the model by the protocol when it was probed last. Each response shows only that it is reachable.
	serves: AtomicBool,
}

impl Upstream {
	fn is_healthy(&self) -> bool {
		self.http.is_reachable.load(Ordering::Relaxed) && self.serves.load(Ordering::Relaxed)
	}

	/// Connects, and finds out which model is served by which protocol.
	async fn find(config: UpstreamConfig) -> Result<Self, EngineError> {
		let http = Http::new(&config)?;
		let served = http.request("/v1/models", None, config.first_token).await?;
		let served = served["data"].as_array().ok_or_else(|| broken("it lists no models"))?;
		let name_of = |model: &Value| model["id"].as_str().unwrap_or_default().to_owned();
		let wanted = match (&config.model, served.as_slice()) {
			(Some(name), _) => served.iter().find(|model| model["id"].as_str() == Some(name)),
			(None, [only]) => Some(only),
			(None, _) => None,
		};
		let wanted = wanted.ok_or_else(|| {
			let names: Vec<_> = served.iter().map(name_of).collect();
			EngineError::Model(format!(
				"the upstream serves several models or another one; name one of these: {}",
				names.join(", ")
			))
		})?;
		let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
		let limit = number(&wanted["max_model_len"]).or(number(&wanted["meta"]["n_ctx"]));
		let vocab_size = number(&wanted["meta"]["n_vocab"]).or(config.vocab_size);
		let model = name_of(wanted);
		// vLLM lists adapters beside the model that they change.
		let is_adapter = wanted["parent"].is_string();
		let info = ModelInfo {
			name: config.name.clone().unwrap_or_else(|| model.clone()),
			context_length: limit.unwrap_or(usize::MAX).min(config.context_length),
			vocab_size: vocab_size.unwrap_or_default(),
			eos: config.eos.clone(),
			max_running: config.max_running.max(1),
			embeds: false,
		};
		let mut found = Self {
			http,
			config,
			model,
			protocol: Protocol::Completions { reads: false },
			info,
			vocabulary: Vocabulary::default(),
			permits: Arc::new(Semaphore::new(0)),
			serves: AtomicBool::new(true),
		};
		if let Some(server) = verified::probe(&found.http, &found.config).await? {
			if is_adapter {
				return Err(EngineError::Model(
					"the upstream's plug-in does not check adapters: name the model".into(),
				));
			}
			server.apply(&mut found.info);
			found.vocabulary = verified::vocabulary(&found.http, &found.config, found.info.vocab_size).await?;
			found.protocol = Protocol::Verified;
		} else if found.info.name.split_once('@').is_some_and(|(_, class)| class == UpstreamEngine::VERIFIED_CLASS) {
			return Err(EngineError::Model(format!(
				"{} is for hosts whose vLLM has this project's plug-in: install it, and start vLLM with VLLM_PLUGINS=gonka",
				found.info.name
			)));
		} else {
			found.protocol = found.unverified().await?;
		}
		found.complete().await?;
		Ok(found)
	}

	/// Finds out the protocol of a server without the plug-in.
	async fn unverified(&self) -> Result<Protocol, EngineError> {
		match completions::probe(self).await? {
			Some(reads) => Ok(Protocol::Completions { reads }),
			None => {
				let message = "the upstream returns no token_ids on /v1/completions with return_token_ids, as vLLM and SGLang do; \
				               GGUF models are computed without a server by --engine llama";
				Err(EngineError::Model(message.into()))
			},
		}
	}

	/// Returns whether the server still has the plug-in, if it had it: it may have been started without.
	async fn keeps_protocol(&self) -> bool {
		self.protocol != Protocol::Verified
			|| verified::probe(&self.http, &self.config).await.is_ok_and(|server| server.is_some())
	}

	/// Fills in what depends on the protocol.
	async fn complete(&mut self) -> Result<(), EngineError> {
		let missing =
			|what: &str| Err(EngineError::Model(format!("the upstream does not report {what}: configure it")));
		if self.info.vocab_size == 0 {
			return missing("the number of the model's token ids (vocab_size in its config.json)");
		}
		if self.info.context_length == usize::MAX {
			return missing("the length of the model's context");
		}
		self.permits = Arc::new(Semaphore::new(self.info.max_running.min(Semaphore::MAX_PERMITS)));
		if self.config.eos.is_empty() {
			let has_channels = self.tokenize(CHANNEL_END_TOKENS[0]).await?.len() == 1;
			for name in if has_channels { &CHANNEL_END_TOKENS[..] } else { &END_TOKENS[..] } {
				if let [id] = self.tokenize(name).await?[..]
					&& !self.info.eos.contains(&id)
				{
					self.info.eos.push(id);
				}
			}
		}
		if self.info.eos.is_empty() {
			missing("the ids that end a completion (eos_token_id in its generation_config.json)")
		} else {
			Ok(())
		}
	}

	async fn post(&self, path: &str, body: &Value) -> Result<Value, EngineError> {
		self.http.request(path, Some(body), self.config.first_token).await
	}

	/// Tokenizes a text, in which names of special tokens become these tokens.
	async fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		let body = json!({ "model": self.model, "prompt": text, "add_special_tokens": false });
		let response = self.post("/tokenize", &body).await?;
		serde_json::from_value(response["tokens"].clone()).map_err(|error| broken(&format!("tokens: {error}")))
	}

	async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
		let response = self.post("/detokenize", &json!({ "model": self.model, "tokens": tokens })).await?;
		// SGLang and vLLM name the field differently.
		let text = ["text", "prompt"].iter().find_map(|key| response[key].as_str());
		text.map(str::to_owned).ok_or_else(|| broken("/detokenize returned no text"))
	}
}

/// The right to run one of a bounded number of completions and checks.
struct Permit {
	upstream: Arc<Upstream>,
	_permit: OwnedSemaphorePermit,
	/// Keeps the engine's thread running.
	_thread: mpsc::Sender<()>,
}

/// The destination of a completion's tokens.
struct TokenSink {
	events: mpsc::Sender<TokenEvent>,
	/// Number of tokens sent.
	sent: usize,
}

impl TokenSink {
	async fn token(&mut self, id: u32, text: String, fingerprint: Fingerprint) -> Result<(), EngineError> {
		let event = TokenEvent::Token { id, text, fingerprint, logprobs: None };
		// Without a reader the completion is cancelled from outside.
		self.events.send(event).await.map_err(|_| EngineError::Stopped)?;
		self.sent += 1;
		Ok(())
	}
}

/// An engine whose model another program serves.
///
/// A thread of its own talks to the server. Fingerprints are all zero unless the server has this project's plug-in.
/// Dropping the engine ends all completions with [`FinishReason::Cancelled`].
pub struct UpstreamEngine {
	upstream: Arc<Upstream>,
	runtime: Handle,
	/// Closed when the engine is dropped, which ends everything that runs.
	alive: watch::Receiver<()>,
	_alive: watch::Sender<()>,
	thread: mpsc::Sender<()>,
}

impl UpstreamEngine {
	/// Connects to a server and finds out its protocol. Blocks until that is done.
	///
	/// # Errors
	/// [`EngineError::Compute`] or [`EngineError::Busy`] while no server responds; [`EngineError::Model`] when the
	/// server does not serve the model, returns no token ids, or does not report what the configuration leaves open;
	/// [`EngineError::InvalidRequest`] when the URL or the key is malformed.
	pub fn connect(config: UpstreamConfig) -> Result<Self, EngineError> {
		let failed = |error: std::io::Error| EngineError::Compute(error.to_string());
		let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
		let handle = runtime.handle().clone();
		let (thread, mut ended) = mpsc::channel(1);
		thread::Builder::new()
			.name("upstream-engine".into())
			.spawn(move || runtime.block_on(ended.recv()))
			.map_err(failed)?;
		let upstream = Arc::new(wait(&handle, Upstream::find(config))??);
		let (sender, alive) = watch::channel(());
		handle.spawn(watch_health(upstream.clone(), alive.clone()));
		Ok(Self { upstream, runtime: handle, alive, _alive: sender, thread })
	}

	/// The class of servers with this project's plug-in.
	pub const VERIFIED_CLASS: &str = "vllm";

	/// Returns the engine class of the server, if it has the plug-in.
	pub fn class(&self) -> Option<&'static str> {
		(self.upstream.protocol == Protocol::Verified).then_some(Self::VERIFIED_CLASS)
	}

	/// Returns an error if the server is known to be unreachable, so that nothing waits for it.
	fn permit(&self) -> Result<Permit, EngineError> {
		let upstream = self.upstream.clone();
		if !upstream.is_healthy() {
			return Err(EngineError::Compute(
				"the upstream does not respond, or does not serve the model any more".into(),
			));
		}
		let permit = upstream.permits.clone().try_acquire_owned().map_err(|_| EngineError::Busy { waiting: 0 })?;
		Ok(Permit { upstream, _permit: permit, _thread: self.thread.clone() })
	}
}

/// Probes the server at intervals, so that the engine becomes healthy again without requests.
async fn watch_health(upstream: Arc<Upstream>, mut alive: watch::Receiver<()>) {
	let watch = async {
		let mut was_served = true;
		loop {
			sleep(upstream.config.probe).await;
			let served = upstream.http.request("/v1/models", None, upstream.config.first_token).await;
			let models = served.as_ref().ok().and_then(|served| served["data"].as_array());
			let is_served = models
				.is_some_and(|models| models.iter().any(|model| model["id"] == upstream.model.as_str()))
				&& upstream.keeps_protocol().await;
			upstream.serves.store(is_served, Ordering::Relaxed);
			match served {
				Err(error) if was_served => {
					tracing::warn!(%error, "the upstream is not reachable; probing until it is")
				},
				Ok(_) if was_served && !is_served => {
					tracing::warn!(
						"the upstream no longer serves the model, or lacks the plug-in; probing until it does"
					)
				},
				_ if is_served && !was_served => tracing::info!("the upstream is reachable again"),
				_ => {},
			}
			was_served = is_served;
		}
	};
	tokio::select! {
		() = watch => {},
		_ = alive.changed() => {},
	}
}

/// Rejects what neither kind of server does as the checkers of a completion would, so that no completion is called wrong for
/// it.
fn check_bounds(request: &GenerateRequest) -> Result<(), EngineError> {
	let unsupported = |what: &str| {
		let message =
			format!("{what} by a host whose model a server computes: leave it out, or take a host with another engine");
		Err(EngineError::Unsupported(message))
	};
	match request {
		GenerateRequest { grammar: Some(_), .. } => unsupported("a grammar"),
		GenerateRequest { logit_bias, .. } if !logit_bias.is_empty() => unsupported("logit_bias"),
		GenerateRequest { min_tokens: 1.., .. } => unsupported("min_tokens"),
		_ => Ok(()),
	}
}

/// Runs `future` on the engine's thread and returns its result.
fn wait<T: Send + 'static>(
	runtime: &Handle,
	future: impl Future<Output = T> + Send + 'static,
) -> Result<T, EngineError> {
	let (sender, receiver) = std::sync::mpsc::sync_channel(1);
	let task = async move {
		// The receiver is waiting.
		let _ = sender.send(future.await);
	};
	runtime.spawn(task.in_current_span());
	receiver.recv().map_err(|_| EngineError::Stopped)
}

/// Generates a completion and sends its end.
async fn generate(
	permit: Permit,
	request: GenerateRequest,
	events: mpsc::Sender<TokenEvent>,
	mut alive: watch::Receiver<()>,
) {
	let upstream = &permit.upstream;
	let mut out = TokenSink { events: events.clone(), sent: 0 };
	let generation = async {
		match upstream.protocol {
			Protocol::Verified => verified::generate(upstream, &request, &mut out).await,
			Protocol::Completions { .. } => completions::generate(upstream, &request, &mut out).await,
		}
	};
	let reason = tokio::select! {
		reason = generation => reason,
		() = events.closed() => return,
		_ = alive.changed() => Ok(FinishReason::Cancelled),
	};
	let last = match reason {
		Ok(finish_reason) => {
			TokenEvent::Done { finish_reason, prompt_tokens: request.prompt.len(), completion_tokens: out.sent }
		},
		Err(error) => TokenEvent::Error { message: error.to_string() },
	};
	drop(permit);
	if alive.has_changed().is_ok() {
		let _ = events.send(last).await;
	} else {
		// The engine is gone: do not wait for a reader.
		let _ = events.try_send(last);
	}
}

impl Engine for UpstreamEngine {
	fn info(&self) -> ModelInfo {
		self.upstream.info.clone()
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		request.check(&self.upstream.info)?;
		check_bounds(&request)?;
		if request.logprobs.is_some() {
			return Err(EngineError::Unsupported("log probabilities by a host whose model a server computes".into()));
		}
		let (sender, receiver) = mpsc::channel(EVENTS);
		let task = generate(self.permit()?, request, sender, self.alive.clone());
		self.runtime.spawn(task.in_current_span());
		Ok(receiver)
	}

	fn check(&self, check: CheckRequest) -> Result<CheckReceiver, EngineError> {
		check.check(&self.upstream.info)?;
		check_bounds(&check.request)?;
		let protocol = self.upstream.protocol;
		if protocol == (Protocol::Completions { reads: false }) {
			return Err(EngineError::Unsupported(
				"the upstream returns no prompt_logprobs, so its completions cannot be checked".into(),
			));
		}
		if matches!(protocol, Protocol::Completions { .. }) && check.request.sampling().penalises() {
			return Err(EngineError::Unsupported(
				"the upstream's prompt_logprobs leave penalties out, so this completion cannot be checked".into(),
			));
		}
		let (permit, mut alive) = (self.permit()?, self.alive.clone());
		let (mut sender, receiver) = oneshot::channel();
		let task = async move {
			let upstream = &permit.upstream;
			let check = async {
				match protocol {
					Protocol::Verified => verified::check(upstream, &check).await,
					Protocol::Completions { .. } => completions::check(upstream, &check).await,
				}
			};
			let result = tokio::select! {
				result = check => result,
				() = sender.closed() => return,
				_ = alive.changed() => Err(EngineError::Stopped),
			};
			drop(permit);
			let _ = sender.send(result);
		};
		self.runtime.spawn(task.in_current_span());
		Ok(receiver)
	}

	fn health(&self) -> Health {
		let running = self.upstream.info.max_running.saturating_sub(self.upstream.permits.available_permits());
		Health { healthy: self.upstream.is_healthy(), running, waiting: 0, waiting_limit: 0 }
	}
}
