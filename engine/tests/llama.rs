//! Tests of the llama.cpp backend with the demo model, against the torch backend.

mod common;

use std::sync::LazyLock;

use common::{ENGINE, STORY, collect_all, completion, greedy, model};
use gonka_engine::{
	Backend, CachePrecision, ChatMessage, ChatOptions, CheckRequest, CheckResult, Engine, EngineError, GenerateRequest,
	LlamaOptions, LocalConfig, LocalEngine,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::{NAT, seed_key},
};

static LLAMA: LazyLock<LocalEngine> = LazyLock::new(|| load(LlamaOptions::default()));

fn load(options: LlamaOptions) -> LocalEngine {
	let config = LocalConfig { backend: Backend::Llama(options), finds_class: true, ..LocalConfig::llama(model()) };
	LocalEngine::load(&config).expect("the model loads")
}

/// A completion with its request and its fingerprints.
type Generated = (GenerateRequest, Vec<u32>, Vec<Fingerprint>);

/// Generates completions of all prompts at the same time.
fn generate(engine: &LocalEngine, prompts: &[&str], max_tokens: usize) -> Vec<Generated> {
	let requests = prompts.iter().zip(0..).map(|(prompt, seed)| GenerateRequest {
		prompt: engine.tokenizer().encode(prompt),
		max_tokens,
		key: seed_key(seed),
		ignore_eos: true,
		..Default::default()
	});
	let running: Vec<_> = requests.map(|request| (engine.generate(request.clone()).unwrap(), request)).collect();
	let collect = |(events, request): (_, GenerateRequest)| {
		let (completion, fingerprints) = collect_all(events, request.prompt.len());
		(request, completion.ids, fingerprints)
	};
	running.into_iter().map(collect).collect()
}

fn check(engine: &LocalEngine, (request, output, _): &Generated) -> CheckResult {
	let check = CheckRequest {
		request: request.clone(),
		output: output.clone(),
		finish_reason: gonka_engine::FinishReason::Length,
	};
	engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
}

/// Returns the largest margin, in nats, and the mean squared distance of fingerprints.
fn differences(check: &CheckResult, (.., fingerprints): &Generated) -> (f64, f64) {
	assert_eq!(check.tokens.len(), fingerprints.len());
	let margin = check.tokens.iter().map(|token| token.margin).max().unwrap_or_default();
	let total: u32 = check.tokens.iter().zip(fingerprints).map(|(token, own)| distance(&token.fingerprint, own)).sum();
	(f64::from(margin) / f64::from(NAT), f64::from(total) / fingerprints.len() as f64)
}

const PROMPTS: [&str; 4] = [STORY, "The capital of France is", "def fibonacci(n):\n", "1 2 3 4 5"];

/// A token gives the same in every bit, whatever else is computed with it and by however many threads. So any difference between
/// hosts with this engine says something about the weights.
#[test]
fn a_check_finds_exactly_what_was_generated() {
	let config = |slots, threads| LocalConfig {
		slots,
		threads,
		context_length: 1_024,
		finds_class: true,
		..LocalConfig::llama(model())
	};
	let [host, checker] = [config(5, 1), config(1, 2)].map(|config| LocalEngine::load(&config).unwrap());
	assert!(host.class().is_some_and(|class| class.starts_with("llama.cpp-")), "{:?}", host.class());
	assert_eq!(host.class(), checker.class());
	let long = [STORY, " a fox and a crow."].concat().repeat(50);
	let prompts: Vec<&str> = PROMPTS.into_iter().chain([&*long]).collect();
	for generated in generate(&host, &prompts, 80) {
		let (request, output, fingerprints) = &generated;
		let found = check(&checker, &generated);
		assert!(found.tokens.iter().all(|token| token.margin == 0), "{} tokens", request.prompt.len());
		assert!(
			found.tokens.iter().map(|token| &token.fingerprint).eq(fingerprints),
			"{} tokens",
			request.prompt.len()
		);
		assert_eq!(output.len(), 80);
	}
	let last = generate(&host, &[&long], 1);
	assert!(last[0].0.prompt.len() > 512, "the kernel for long contexts is used");
	assert!(host.usage().reused_tokens > 500, "and what a slot kept is no different");
}

/// Local networks register the demo model for this class. Another compiler or version of llama.cpp may make another one: then
/// calibrate the model again (`docs/calibration.md`).
#[test]
#[cfg(target_arch = "x86_64")]
fn the_demo_model_is_registered_for_this_class() {
	let class = LLAMA.class().expect("a class");
	let profiles = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../chain-spec/profiles");
	let profile = profiles.join(format!("SmolLM2-135M-Instruct@{class}.json"));
	assert!(profile.is_file(), "{} is missing", profile.display());
}

#[test]
fn a_greedy_completion_is_that_of_llama_cpp() {
	let prompt = LLAMA.tokenizer().encode(STORY);
	let text = completion(&LLAMA, greedy(prompt, 16)).text;
	assert_eq!(text, " a small town nestled between two mountains. The town was named after a famous mountain");
}

#[test]
fn texts_conversations_and_ends_are_those_of_the_torch_backend() {
	let (llama, torch) = (LLAMA.info(), ENGINE.info());
	assert_eq!((llama.vocab_size, llama.eos), (torch.vocab_size, torch.eos));
	for text in [STORY, "", " ", "naïve 漢字 🦀 123 4567", "<|im_end|> is plain text", "a\n\n\tb  c", "\u{fffd}é"]
	{
		let ids = LLAMA.tokenizer().encode(text);
		assert_eq!(ids, ENGINE.tokenizer().encode(text), "{text:?}");
		assert_eq!(LLAMA.tokenizer().decode(&ids), text);
	}
	let messages = [ChatMessage::new("user", "Say <|im_end|> twice."), ChatMessage::new("assistant", "No.")];
	let ids = |engine: &LocalEngine| engine.tokenizer().encode_chat(&messages, &ChatOptions::default()).unwrap();
	assert_eq!(ids(&LLAMA), ids(&ENGINE));
	let all: Vec<u32> = (0..llama.vocab_size as u32).collect();
	for id in all {
		assert_eq!(LLAMA.tokenizer().decode(&[id]), ENGINE.tokenizer().decode(&[id]), "token {id}");
	}
}

#[test]
fn its_own_check_finds_no_difference_however_completions_were_batched() {
	for generated in generate(&LLAMA, &PROMPTS, 24) {
		let (margin, distance) = differences(&check(&LLAMA, &generated), &generated);
		assert!(margin < 0.05 && distance < 15.0, "margin {margin}, distance {distance}");
		let alone = generate(&LLAMA, &[STORY], 24);
		assert_eq!(alone[0].0.prompt, LLAMA.tokenizer().encode(STORY));
	}
}

#[test]
fn the_torch_backend_confirms_its_completions_and_it_confirms_torchs() {
	for (host, checker) in [(&*LLAMA, &*ENGINE), (&*ENGINE, &*LLAMA)] {
		for generated in generate(host, &PROMPTS, 24) {
			let (margin, distance) = differences(&check(checker, &generated), &generated);
			// Weights in 4 bits have distances of over 2000.
			assert!(margin < 1.0 && distance < 60.0, "margin {margin}, distance {distance}");
		}
	}
}

#[test]
fn another_tape_is_far_off() {
	for mut generated in generate(&LLAMA, &PROMPTS[..1], 24) {
		generated.0.key = seed_key(77);
		let (margin, distance) = differences(&check(&LLAMA, &generated), &generated);
		assert!(margin > 1.0 && distance > 5_000.0, "margin {margin}, distance {distance}");
	}
}

#[test]
fn a_cancelled_request_frees_its_slot() {
	let engine = LocalEngine::load(&LocalConfig { slots: 1, ..LocalConfig::llama(model()) }).unwrap();
	let prompt = engine.tokenizer().encode(STORY);
	let request = GenerateRequest { prompt: prompt.clone(), max_tokens: 1_500, ignore_eos: true, ..Default::default() };
	let events = engine.generate(request).unwrap();
	drop(events);
	// The slot's sequence is forgotten: the same prompt gives the same completion.
	assert_eq!(completion(&engine, greedy(prompt.clone(), 8)), completion(&LLAMA, greedy(prompt, 8)));
}

#[test]
fn options_that_change_rounding_are_honest() {
	let options = LlamaOptions { cache: CachePrecision::F32, flash_attention: false, repack: false };
	let other = load(options);
	assert_ne!(other.class(), LLAMA.class());
	for generated in generate(&LLAMA, &PROMPTS, 24) {
		let (margin, distance) = differences(&check(&other, &generated), &generated);
		assert!(margin < 1.0 && distance < 60.0, "margin {margin}, distance {distance}");
	}
}

#[test]
fn files_that_are_no_models_are_named() {
	let folder = std::env::temp_dir().join(format!("gonka-llama-{}", std::process::id()));
	std::fs::create_dir_all(&folder).unwrap();
	let header = std::fs::read(model()).unwrap();
	for (name, bytes, expected) in [
		("empty", Vec::new(), "is empty"),
		("pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec(), "Git LFS pointer"),
		("page", b"<!DOCTYPE html><html>Sign in</html>".to_vec(), "web page of 35 bytes"),
		("cut", header[..header.len() / 2].to_vec(), "it is cut"),
		("noise", vec![7; 64], "do not begin with"),
	] {
		let path = folder.join(name);
		std::fs::write(&path, bytes).unwrap();
		let error = LocalEngine::load(&LocalConfig::llama(&path)).err().expect("it is rejected");
		assert!(matches!(&error, EngineError::Model(text) if text.contains(expected)), "{name}: {error}");
	}
	std::fs::remove_dir_all(folder).unwrap();
}
