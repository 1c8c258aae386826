//! An engine without a model, for tests of the programs that use engines.

use std::{
	sync::{
		Arc,
		atomic::{AtomicUsize, Ordering},
	},
	time::Duration,
};

use gonka_primitives::{fingerprint::Fingerprint, tape::NAT};
use tokio::{
	runtime::Handle,
	sync::{mpsc, oneshot},
};

use crate::{
	CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, Health, ModelInfo,
	TokenCheck, TokenEvent, TokenLogprobs, stop::StopChecker,
};

/// Words of completions. They follow the 256 bytes in the vocabulary.
pub const MOCK_WORDS: [&str; 16] = [
	" amber", " birch", " cedar", " delta", " ember", " fjord", " grove", " heron", " inlet", " jetty", " knoll",
	" larch", " maple", " north", " ochre", " piñon",
];
const FIRST_WORD: u32 = 256;
const EOS: u32 = FIRST_WORD + MOCK_WORDS.len() as u32;

/// Behaviour of the mock.
#[derive(Clone, Debug)]
pub struct MockConfig {
	/// Name of the model.
	pub name: String,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: usize,
	/// Speed of each completion, in tokens a second; `None` generates at once.
	pub tokens_per_second: Option<f64>,
	/// Number of words after which a completion ends by itself.
	pub completion_words: usize,
	/// Maximum number of completions at the same time; more are rejected with [`EngineError::Busy`].
	pub max_running: usize,
	/// Number of token ids. A tokenizer file with more than the mock's own tokens gives other texts to them.
	pub vocab_size: usize,
	/// Id that ends a completion.
	pub eos: u32,
}

impl Default for MockConfig {
	/// `mock`, 8192 tokens, at once, 64 words, 256 completions.
	fn default() -> Self {
		Self {
			name: "mock".into(),
			context_length: 8192,
			tokens_per_second: None,
			completion_words: 64,
			max_running: 256,
			vocab_size: EOS as usize + 1,
			eos: EOS,
		}
	}
}

/// Generates words that follow from prompt, key and position.
///
/// A text's tokens are its bytes; a completion's are words. Words at a prompt's end count as the beginning of the
/// completion, so that a continued completion is the same as an uninterrupted one. Sampling parameters, biases and a minimum
/// length have no effect, and every token is certain: its log probability is 0. Grammars are not supported.
/// A check finds a margin of 0 at every word that this mock would have generated, and of one nat at others.
#[derive(Debug)]
pub struct MockEngine {
	config: MockConfig,
	running: Arc<AtomicUsize>,
}

impl MockEngine {
	/// Makes a mock with this behaviour.
	pub fn new(config: MockConfig) -> Self {
		Self { config, running: Arc::default() }
	}

	/// Returns the next token after `given` words of the completion of the prompt that hashes to `start`, and its
	/// fingerprint.
	fn token(&self, start: u64, given: usize, ignore_eos: bool) -> (u32, Fingerprint) {
		let bits = mix(start.wrapping_add(given as u64));
		let [a, b] = [bits, mix(bits)].map(u64::to_le_bytes);
		let fingerprint = std::array::from_fn(|at| if at < 8 { a[at] as i8 } else { b[at - 8] as i8 });
		let last = given >= self.config.completion_words && !ignore_eos;
		(if last { self.config.eos } else { FIRST_WORD + (bits % MOCK_WORDS.len() as u64) as u32 }, fingerprint)
	}

	/// Returns all tokens of a completion, with the text that each makes certain, and the finish reason.
	fn complete(&self, request: &GenerateRequest) -> (Vec<TokenEvent>, FinishReason) {
		let (start, given) = split_prompt(request);
		let mut stop = StopChecker::new(request, &[self.config.eos], bytes);
		let mut events = Vec::new();
		loop {
			let (id, fingerprint) = self.token(start, given + events.len(), request.ignore_eos);
			let (text, reason) = stop.push(id, bytes(id));
			let logprobs = request
				.logprobs
				.map(|top| TokenLogprobs { chosen: 0.0, top: (top > 0).then_some((id, 0.0)).into_iter().collect() });
			events.push(TokenEvent::Token { id, text, fingerprint, logprobs });
			if let Some(reason) = reason {
				return (events, reason);
			}
		}
	}
}

/// Refuses grammars.
fn without_grammar(request: &GenerateRequest) -> Result<(), EngineError> {
	match request.grammar {
		Some(_) => Err(EngineError::Unsupported("grammars by the mock engine".into())),
		None => Ok(()),
	}
}

/// Returns the hash of a request's prompt without the words at its end, and the number of these words.
fn split_prompt(request: &GenerateRequest) -> (u64, usize) {
	let is_word = |id: &&u32| (FIRST_WORD..EOS).contains(*id);
	let given = request.prompt.iter().rev().take_while(is_word).count();
	let prompt = &request.prompt[..request.prompt.len() - given];
	let [a, b, c, d, e, f, g, h, ..] = request.key;
	let key = mix(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
	(prompt.iter().fold(key, |hash, &id| mix(hash ^ u64::from(id))), given)
}

impl Engine for MockEngine {
	fn info(&self) -> ModelInfo {
		ModelInfo {
			name: self.config.name.clone(),
			context_length: self.config.context_length,
			vocab_size: self.config.vocab_size,
			eos: vec![self.config.eos],
			max_running: self.config.max_running,
			embeds: false,
		}
	}

	/// Needs a tokio runtime around it if completions take time; without one it returns [`EngineError::Stopped`].
	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		request.check(&self.info())?;
		without_grammar(&request)?;
		let permit = Permit::take(&self.running, self.config.max_running)?;
		let prompt_tokens = request.prompt.len();
		let (mut events, finish_reason) = self.complete(&request);
		let completion_tokens = events.len();
		events.push(TokenEvent::Done { finish_reason, prompt_tokens, completion_tokens });

		let (sender, receiver) = mpsc::channel(events.len());
		match self.config.tokens_per_second {
			None => {
				for event in events {
					// The channel has room for all events, and its receiver is still here.
					let _ = sender.try_send(event);
				}
			},
			Some(rate) => {
				let pause = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
				let runtime = Handle::try_current().map_err(|_| EngineError::Stopped)?;
				runtime.spawn(async move {
					let _permit = permit;
					for event in events {
						if matches!(event, TokenEvent::Token { .. }) {
							tokio::select! {
								() = tokio::time::sleep(pause) => {}
								() = sender.closed() => return,
							}
						}
						if sender.send(event).await.is_err() {
							return;
						}
					}
				});
			},
		}
		Ok(receiver)
	}

	fn check(&self, check: CheckRequest) -> Result<CheckReceiver, EngineError> {
		check.check(&self.info())?;
		without_grammar(&check.request)?;
		let CheckRequest { request, output, finish_reason } = check;
		let (start, given) = split_prompt(&request);
		let tokens = output.iter().enumerate().map(|(at, &id)| {
			let (due, fingerprint) = self.token(start, given + at, request.ignore_eos);
			TokenCheck { margin: if id == due { 0 } else { NAT.unsigned_abs() }, fingerprint }
		});
		let tokens = tokens.collect();
		let ends_rightly =
			StopChecker::new(&request, &[self.config.eos], bytes).confirms(&output, finish_reason, bytes);
		let (sender, receiver) = oneshot::channel();
		// The receiver is still here.
		let _ = sender.send(Ok(CheckResult { tokens, ends_rightly, is_permitted: true }));
		Ok(receiver)
	}

	fn health(&self) -> Health {
		Health { healthy: true, running: self.running.load(Ordering::Relaxed), waiting: 0, waiting_limit: 0 }
	}
}

/// The right to run one of a bounded number of completions.
struct Permit(Arc<AtomicUsize>);

impl Permit {
	fn take(running: &Arc<AtomicUsize>, limit: usize) -> Result<Self, EngineError> {
		running
			.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < limit).then_some(n + 1))
			.map_err(|_| EngineError::Busy { waiting: 0 })?;
		Ok(Self(running.clone()))
	}
}

impl Drop for Permit {
	fn drop(&mut self) {
		self.0.fetch_sub(1, Ordering::Relaxed);
	}
}

/// Returns the bytes that an id stands for.
fn bytes(id: u32) -> &'static [u8] {
	const BYTES: [u8; 256] = {
		let mut bytes = [0; 256];
		let mut at = 0;
		while at < bytes.len() {
			bytes[at] = at as u8;
			at += 1;
		}
		bytes
	};
	let at = id as usize;
	match BYTES.get(at..=at) {
		Some(byte) => byte,
		None => MOCK_WORDS.get(at - BYTES.len()).map_or(&[], |word| word.as_bytes()),
	}
}

/// Spreads a number's bits over all 64: the finaliser of SplitMix64.
fn mix(n: u64) -> u64 {
	let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
	let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
	let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
	n ^ (n >> 31)
}
