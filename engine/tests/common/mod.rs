//! Helpers for the tests with the demo model. Each test file uses some of them.
#![allow(dead_code)]

pub mod gguf;

use std::{
	path::PathBuf,
	sync::LazyLock,
	time::{Duration, Instant},
};

use gonka_engine::{Engine, EngineError, FinishReason, GenerateRequest, LocalConfig, LocalEngine, TokenEvent};
use gonka_primitives::fingerprint::Fingerprint;
use proptest::prelude::ProptestConfig;
use tokio::sync::mpsc::Receiver;

pub const STORY: &str = "Once upon a time there was";

/// The engine that most tests share, so that the model is in memory once.
pub static ENGINE: LazyLock<LocalEngine> = LazyLock::new(|| load(|_| {}));

/// Folder into which `scripts/setup` puts what it downloads.
pub fn home() -> PathBuf {
	std::env::var_os("GONKA_HOME").map_or_else(
		|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/gonka"),
		PathBuf::from,
	)
}

/// Path of the demo model.
pub fn model() -> PathBuf {
	let model = home().join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
	assert!(model.exists(), "{} is missing: run scripts/setup", model.display());
	model
}

pub fn config() -> LocalConfig {
	LocalConfig::torch(model())
}

pub fn load(change: impl FnOnce(&mut LocalConfig)) -> LocalEngine {
	let mut config = config();
	change(&mut config);
	LocalEngine::load(&config).expect("the model loads")
}

pub fn greedy(prompt: Vec<u32>, max_tokens: usize) -> GenerateRequest {
	GenerateRequest { prompt, max_tokens, temperature: 0.0, ..Default::default() }
}

/// A whole completion.
#[derive(Debug, PartialEq)]
pub struct Completion {
	pub ids: Vec<u32>,
	pub text: String,
	pub reason: FinishReason,
}

pub fn collect(events: Receiver<TokenEvent>, prompt: usize) -> Completion {
	collect_all(events, prompt).0
}

pub fn collect_all(mut events: Receiver<TokenEvent>, prompt: usize) -> (Completion, Vec<Fingerprint>) {
	let (mut ids, mut all, mut fingerprints) = (Vec::new(), String::new(), Vec::new());
	loop {
		match events.blocking_recv().expect("a completion ends with an event") {
			TokenEvent::Token { id, text, fingerprint, .. } => {
				ids.push(id);
				fingerprints.push(fingerprint);
				all.push_str(&text);
			},
			TokenEvent::Done { finish_reason, prompt_tokens, completion_tokens } => {
				assert_eq!((prompt_tokens, completion_tokens), (prompt, ids.len()));
				assert_eq!(events.blocking_recv(), None);
				return (Completion { ids, text: all, reason: finish_reason }, fingerprints);
			},
			other => panic!("{other:?}"),
		}
	}
}

pub fn completion(engine: &LocalEngine, request: GenerateRequest) -> Completion {
	completion_of(engine, request)
}

pub fn completion_of(engine: &dyn Engine, request: GenerateRequest) -> Completion {
	let prompt = request.prompt.len();
	collect(engine.generate(request).expect("the request is accepted"), prompt)
}

/// The number of malformed files that a property is tried with: 200, or as the environment says.
pub fn malformed_files() -> ProptestConfig {
	ProptestConfig {
		cases: std::env::var("GONKA_MALFORMED_FILES").map_or(200, |cases| cases.parse().expect("a number")),
		failure_persistence: None,
		..ProptestConfig::default()
	}
}

/// Checks that a file of any kind gives an engine that goes on, or an error with a reason.
pub fn generates_or_is_refused(loaded: Result<LocalEngine, EngineError>) {
	match loaded {
		Ok(engine) => {
			let prompt = engine.tokenizer().encode("fox");
			// The changed context may be shorter than the prompt, and a changed tokenizer may give none.
			if let Ok(events) = engine.generate(greedy(prompt.clone(), 2)) {
				let _ = collect(events, prompt.len());
			}
		},
		Err(error) => assert!(error.to_string().len() > 20, "{error}"),
	}
}

/// Waits for a condition, for minutes if it must: the machine may be slow or busy.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
	let start = Instant::now();
	while !condition() {
		assert!(start.elapsed() < Duration::from_secs(300), "{what}");
		std::thread::sleep(Duration::from_millis(5));
	}
}
