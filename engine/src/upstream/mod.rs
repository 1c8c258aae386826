//! Models that another program serves, over HTTP.
//!
//! Two kinds of servers are told apart by what they answer: those that sample by themselves and say which token ids came
//! of it ([`completions`]: vLLM, SGLang), and those that show the likeliest tokens after a prompt ([`rows`]: llama.cpp),
//! from which this engine chooses. Strings are never compared with tokens: a server that gives no ids is refused.

mod completions;
mod http;
mod rows;

use std::{
	fmt,
	sync::{Arc, Mutex, PoisonError, atomic::Ordering},
	thread,
	time::Duration,
};

use gonka_primitives::fingerprint::Fingerprint;
use serde_json::{Value, json};
use tokio::{
	runtime::{Builder, Handle},
	sync::{mpsc, oneshot, watch},
	time::sleep,
};

use self::http::{Http, broken};
use crate::{
	ChatMessage, ChatOptions, CheckReceiver, CheckRequest, Engine, EngineError, FinishReason, GenerateRequest, Health,
	ModelInfo, TokenEvent, ending::END_TOKENS,
};

/// Of every token: nobody shows hidden states over HTTP.
const FINGERPRINT: Fingerprint = [0; 16];
/// Events that wait for their reader before the server waits.
const EVENTS: usize = 64;

/// Where a model is served, and how patient to be.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
	/// The server: `http://host:port`, or `https://…`, with or without `/v1`.
	pub url: String,
	/// What the server wants as `Authorization: Bearer …`.
	pub key: Option<ApiKey>,
	/// The model's name at the server; not needed where it serves one.
	pub model: Option<String>,
	/// The model's name to the outside; by default the server's.
	pub name: Option<String>,
	/// The most tokens of prompt and answer together. The server's own limit caps it.
	pub context_length: usize,
	/// The number of the model's token ids, where the server does not tell.
	pub vocab_size: Option<usize>,
	/// The ids that end an answer; if empty, those that the server's tokenizer has of the usual names. Who answers and
	/// who checks must have the same.
	pub eos: Vec<u32>,
	/// Answers and checks under way at the same time; more are refused. A server's own number of slots caps it.
	pub max_running: usize,
	/// For a connection.
	pub connect: Duration,
	/// For an answer's first token, and for all that is asked but tokens.
	pub first_token: Duration,
	/// Between two tokens.
	pub between_tokens: Duration,
	/// Between two looks at whether the server is there.
	pub probe: Duration,
}

impl UpstreamConfig {
	/// For a server at `url` that serves one model: as many tokens as it allows, 64 at a time; 2 s for a connection, 120 s
	/// for a first token, 30 s for each other one, a look every 5 s.
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

/// A server's key. Not shown in logs.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
	/// Of this text, without spaces and line ends around it.
	pub fn new(text: &str) -> Self {
		Self(text.trim().to_owned())
	}
}

impl fmt::Debug for ApiKey {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("ApiKey")
	}
}

/// What a server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
	/// It samples; and reads answers, if it gives `prompt_logprobs`.
	Completions { reads: bool },
	/// It shows the likeliest tokens after a prompt.
	Rows,
}

/// The server, as it was found.
struct Upstream {
	http: Http,
	config: UpstreamConfig,
	/// The model's name there.
	model: String,
	kind: Kind,
	info: ModelInfo,
	/// Slots of the server that are free; of one without, just numbers.
	free: Mutex<Vec<usize>>,
}

impl Upstream {
	/// Finds out what is served.
	async fn find(config: UpstreamConfig) -> Result<Self, EngineError> {
		let http = Http::new(&config)?;
		let served = http.ask("/v1/models", None, config.first_token).await?;
		let served = served["data"].as_array().ok_or_else(|| broken("it lists no models"))?;
		let name_of = |model: &Value| model["id"].as_str().unwrap_or_default().to_owned();
		let wanted = match (&config.model, served.as_slice()) {
			(Some(name), _) => served.iter().find(|model| model["id"].as_str() == Some(name)),
			(None, [only]) => Some(only),
			(None, _) => None,
		};
		let wanted = wanted.ok_or_else(|| {
			let names: Vec<_> = served.iter().map(name_of).collect();
			EngineError::Model(format!("choose the model that the upstream is to answer with: {}", names.join(", ")))
		})?;
		let number = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
		let limit = number(&wanted["max_model_len"]).or(number(&wanted["meta"]["n_ctx"]));
		let vocab_size = number(&wanted["meta"]["n_vocab"]).or(config.vocab_size);
		let model = name_of(wanted);
		let info = ModelInfo {
			name: config.name.clone().unwrap_or_else(|| model.clone()),
			context_length: limit.unwrap_or(usize::MAX).min(config.context_length),
			vocab_size: vocab_size.unwrap_or_default(),
			eos: config.eos.clone(),
			max_running: config.max_running.max(1),
		};
		let mut found =
			Self { http, config, model, kind: Kind::Completions { reads: false }, info, free: Mutex::default() };
		found.kind = match completions::probe(&found).await? {
			Some(reads) => Kind::Completions { reads },
			None if rows::probe(&found).await? => Kind::Rows,
			None => {
				let message = "the upstream says no token ids: neither as token_ids on /v1/completions with \
				               return_token_ids, nor by n_probs on /completion";
				return Err(EngineError::Model(message.into()));
			},
		};
		found.complete().await?;
		Ok(found)
	}

	/// What follows from the kind.
	async fn complete(&mut self) -> Result<(), EngineError> {
		let missing = |what: &str| Err(EngineError::Model(format!("the upstream does not say {what}; give it")));
		if self.info.vocab_size == 0 {
			return missing("how many token ids the model has (vocab_size in its config.json)");
		}
		if self.info.context_length == usize::MAX {
			return missing("how many tokens fit");
		}
		if self.kind == Kind::Rows {
			let props = self.http.ask("/props", None, self.config.first_token).await?;
			let slots = props["total_slots"].as_u64().and_then(|slots| usize::try_from(slots).ok()).unwrap_or(1);
			self.info.max_running = self.info.max_running.min(slots.max(1));
		}
		self.free = Mutex::new((0..self.info.max_running).rev().collect());
		if self.info.eos.is_empty() {
			for name in END_TOKENS {
				let ids = match self.kind {
					Kind::Completions { .. } => self.tokenize(name, false).await?,
					Kind::Rows => rows::tokenize(self, name, false, true).await?,
				};
				if let [id] = ids[..] {
					self.info.eos.push(id);
				}
			}
		}
		if self.info.eos.is_empty() {
			missing("which ids end an answer (eos_token_id in its generation_config.json)")
		} else {
			Ok(())
		}
	}

	async fn ask(&self, path: &str, body: &Value) -> Result<Value, EngineError> {
		self.http.ask(path, Some(body), self.config.first_token).await
	}

	/// `leading`: whether to put before the text what the model wants before every text.
	async fn tokenize(&self, text: &str, leading: bool) -> Result<Vec<u32>, EngineError> {
		match self.kind {
			Kind::Completions { .. } => {
				let ask = json!({ "model": self.model, "prompt": text, "add_special_tokens": leading });
				ids(&self.ask("/tokenize", &ask).await?)
			},
			Kind::Rows => rows::tokenize(self, text, leading, false).await,
		}
	}

	async fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		if self.kind == Kind::Rows {
			return rows::tokenize_chat(self, messages, options).await;
		}
		let ask = json!({
			"model": self.model, "messages": messages, "add_generation_prompt": options.add_generation_prompt,
			"add_special_tokens": false, "chat_template_kwargs": options.variables,
		});
		let answer = self.ask("/tokenize", &ask).await.map_err(|error| match error {
			EngineError::InvalidRequest(why) => EngineError::Template(why),
			other => other,
		});
		ids(&answer?)
	}

	async fn detokenize(&self, tokens: &[u32]) -> Result<String, EngineError> {
		let answer = self.ask("/detokenize", &json!({ "model": self.model, "tokens": tokens })).await?;
		// llama.cpp, SGLang and vLLM have a name of their own for it.
		let text = ["content", "text", "prompt"].iter().find_map(|key| answer[key].as_str());
		text.map(str::to_owned).ok_or_else(|| broken("it has no text"))
	}

	fn free(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
		self.free.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// The token ids in an answer of `/tokenize`.
fn ids(answer: &Value) -> Result<Vec<u32>, EngineError> {
	serde_json::from_value(answer["tokens"].clone()).map_err(|error| broken(&format!("tokens: {error}")))
}

/// One of the answers or checks under way.
struct Place {
	upstream: Arc<Upstream>,
	slot: usize,
	/// Keeps the engine's thread.
	_thread: mpsc::Sender<()>,
}

impl Drop for Place {
	fn drop(&mut self) {
		self.upstream.free().push(self.slot);
	}
}

/// Where an answer's tokens go.
struct Out {
	events: mpsc::Sender<TokenEvent>,
	/// The tokens sent.
	made: usize,
}

impl Out {
	async fn token(&mut self, id: u32, text: String) -> Result<(), EngineError> {
		let event = TokenEvent::Token { id, text, fingerprint: FINGERPRINT };
		// Without a reader the answer is given up from outside.
		self.events.send(event).await.map_err(|_| EngineError::Stopped)?;
		self.made += 1;
		Ok(())
	}
}

/// An engine whose model another program serves.
///
/// A thread of its own speaks to the server. Fingerprints are all zero. Dropping it ends all answers with
/// [`FinishReason::Cancelled`].
pub struct UpstreamEngine {
	upstream: Arc<Upstream>,
	runtime: Handle,
	/// Dropped with the engine, which tells all that is under way.
	alive: watch::Receiver<()>,
	_alive: watch::Sender<()>,
	thread: mpsc::Sender<()>,
}

impl UpstreamEngine {
	/// Connects to a server and finds out what it can do. Blocks for as long as that takes.
	///
	/// # Errors
	/// [`EngineError::Compute`] or [`EngineError::Busy`] while there is no server that answers;
	/// [`EngineError::Model`] when it does not serve the model, or says no token ids, or does not say what the
	/// configuration leaves open; [`EngineError::InvalidRequest`] when the URL or the key is none.
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
		handle.spawn(look_after(upstream.clone(), alive.clone()));
		Ok(Self { upstream, runtime: handle, alive, _alive: sender, thread })
	}

	/// The server, unless it is known not to answer: then nobody waits for it.
	fn reachable(&self) -> Result<Arc<Upstream>, EngineError> {
		if self.upstream.http.is_there.load(Ordering::Relaxed) {
			return Ok(self.upstream.clone());
		}
		Err(EngineError::Compute("the upstream does not answer".into()))
	}

	fn place(&self) -> Result<Place, EngineError> {
		let upstream = self.reachable()?;
		let slot = upstream.free().pop().ok_or(EngineError::Busy { waiting: 0 })?;
		Ok(Place { upstream, slot, _thread: self.thread.clone() })
	}
}

/// Asks now and then whether the server is there, so that an engine recovers without requests.
async fn look_after(upstream: Arc<Upstream>, mut alive: watch::Receiver<()>) {
	let looks = async {
		let mut was_served = true;
		loop {
			sleep(upstream.config.probe).await;
			let served = upstream.http.ask("/v1/models", None, upstream.config.first_token).await;
			let models = served.as_ref().ok().and_then(|served| served["data"].as_array());
			let is_served =
				models.is_some_and(|models| models.iter().any(|model| model["id"] == upstream.model.as_str()));
			upstream.http.is_there.store(is_served, Ordering::Relaxed);
			match served {
				Err(error) if was_served => tracing::warn!(%error, "waiting for the upstream"),
				Ok(_) if was_served && !is_served => tracing::warn!("the upstream does not serve the model any more"),
				_ if is_served && !was_served => tracing::info!("the upstream is back"),
				_ => {},
			}
			was_served = is_served;
		}
	};
	tokio::select! {
		() = looks => {},
		_ = alive.changed() => {},
	}
}

/// What `future` becomes on the engine's thread.
fn wait<T: Send + 'static>(
	runtime: &Handle,
	future: impl Future<Output = T> + Send + 'static,
) -> Result<T, EngineError> {
	let (sender, receiver) = std::sync::mpsc::sync_channel(1);
	runtime.spawn(async move {
		// Its receiver waits.
		let _ = sender.send(future.await);
	});
	receiver.recv().map_err(|_| EngineError::Stopped)
}

/// Makes an answer, and says how it ended.
async fn answer(
	place: Place,
	request: GenerateRequest,
	events: mpsc::Sender<TokenEvent>,
	mut alive: watch::Receiver<()>,
) {
	let upstream = &place.upstream;
	let mut out = Out { events: events.clone(), made: 0 };
	let made = async {
		match upstream.kind {
			Kind::Completions { .. } => completions::generate(upstream, &request, &mut out).await,
			Kind::Rows => rows::generate(upstream, &request, place.slot, &mut out).await,
		}
	};
	let reason = tokio::select! {
		reason = made => reason,
		() = events.closed() => return,
		_ = alive.changed() => Ok(FinishReason::Cancelled),
	};
	let last = match reason {
		Ok(finish_reason) => {
			TokenEvent::Done { finish_reason, prompt_tokens: request.prompt.len(), completion_tokens: out.made }
		},
		Err(error) => TokenEvent::Error { message: error.to_string() },
	};
	drop(place);
	if alive.has_changed().is_ok() {
		let _ = events.send(last).await;
	} else {
		// Nobody is waited for when the engine is gone.
		let _ = events.try_send(last);
	}
}

impl Engine for UpstreamEngine {
	fn info(&self) -> ModelInfo {
		self.upstream.info.clone()
	}

	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		let (upstream, text) = (self.reachable()?, text.to_owned());
		wait(&self.runtime, async move { upstream.tokenize(&text, true).await })?
	}

	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		let (upstream, messages, options) = (self.reachable()?, messages.to_vec(), options.clone());
		wait(&self.runtime, async move { upstream.tokenize_chat(&messages, &options).await })?
	}

	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError> {
		let (upstream, ids) = (self.reachable()?, ids.to_vec());
		wait(&self.runtime, async move { upstream.detokenize(&ids).await })?
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		request.check(&self.upstream.info)?;
		let (sender, receiver) = mpsc::channel(EVENTS);
		self.runtime.spawn(answer(self.place()?, request, sender, self.alive.clone()));
		Ok(receiver)
	}

	fn check(&self, check: CheckRequest) -> Result<CheckReceiver, EngineError> {
		check.check(&self.upstream.info)?;
		let kind = self.upstream.kind;
		if kind == (Kind::Completions { reads: false }) {
			return Err(EngineError::Unsupported("the upstream gives no prompt_logprobs".into()));
		}
		if kind != Kind::Rows && check.request.sampling().penalises() {
			return Err(EngineError::Unsupported("the upstream's prompt_logprobs know no penalties".into()));
		}
		let (place, mut alive) = (self.place()?, self.alive.clone());
		let (mut sender, receiver) = oneshot::channel();
		self.runtime.spawn(async move {
			let upstream = &place.upstream;
			let made = async {
				match kind {
					Kind::Completions { .. } => completions::check(upstream, &check).await,
					Kind::Rows => rows::check(upstream, &check, place.slot).await,
				}
			};
			let result = tokio::select! {
				result = made => result,
				() = sender.closed() => return,
				_ = alive.changed() => Err(EngineError::Stopped),
			};
			drop(place);
			let _ = sender.send(result);
		});
		Ok(receiver)
	}

	fn health(&self) -> Health {
		let running = self.upstream.info.max_running.saturating_sub(self.upstream.free().len());
		let healthy = self.upstream.http.is_there.load(Ordering::Relaxed);
		Health { healthy, running, waiting: 0, waiting_limit: 0 }
	}
}
