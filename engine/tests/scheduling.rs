//! The promises of the scheduler, with both backends and a small model.

mod common;

use std::path::PathBuf;

use common::{completion, gguf::family, greedy, wait_until};
use gonka_engine::{CheckRequest, Engine, FinishReason, GenerateRequest, LocalConfig, LocalEngine};

/// A file with a model of random weights, which is removed when it is dropped.
struct Model(PathBuf);

impl Model {
	fn new(name: &str) -> Self {
		let path = std::env::temp_dir().join(format!("gonka-{}-{name}.gguf", std::process::id()));
		std::fs::write(&path, family("llama").bytes()).unwrap();
		Self(path)
	}

	/// Loads it with each backend.
	fn engines(&self, slots: usize) -> [LocalEngine; 2] {
		[LocalConfig::llama(&self.0), LocalConfig::torch(&self.0)].map(|config| {
			LocalEngine::load(&LocalConfig { context_length: 256, slots, waiting_limit: 8, ..config }).unwrap()
		})
	}
}

impl Drop for Model {
	fn drop(&mut self) {
		let _ = std::fs::remove_file(&self.0);
	}
}

/// A prompt of `length` tokens.
fn prompt(length: u32, seed: u32) -> Vec<u32> {
	(0..length).map(|at| 5 + (at * 7 + seed) % 90).collect()
}

fn reused(engine: &LocalEngine) -> u64 {
	engine.usage().reused_tokens
}

#[test]
fn a_conversation_that_goes_on_is_not_read_again() {
	let model = Model::new("conversation");
	for (engine, fresh) in model.engines(4).into_iter().zip(model.engines(4)) {
		let (first, other) = (prompt(60, 0), prompt(50, 3));
		let request = |prompt: Vec<u32>| GenerateRequest { ignore_eos: true, ..greedy(prompt, 8) };
		let answer = completion(&engine, request(first.clone()));
		completion(&engine, request(other));
		assert_eq!(reused(&engine), 0, "another conversation has a slot of its own");
		let second = [first, answer.ids, prompt(9, 5)].concat();
		let answer = completion(&engine, request(second.clone()));
		// The last token of the answer was not read: nothing came after it.
		assert_eq!(reused(&engine), 60 + 7);
		assert_eq!(answer, completion(&fresh, request(second.clone())), "and the answer is the same");
		assert_eq!(completion(&engine, request(second.clone())), answer);
		let before = reused(&engine);
		assert_eq!(before, 67 + second.len() as u64 - 1, "the last token of a prompt is read in any case");

		let check = CheckRequest { request: request(second), output: answer.ids, finish_reason: FinishReason::Length };
		let result = engine.check(check).unwrap().blocking_recv().unwrap().unwrap();
		assert!(result.ends_rightly);
		assert_eq!(reused(&engine), before, "a check reads everything");
	}
}

#[test]
fn the_batch_and_the_cache_are_counted() {
	let model = Model::new("usage");
	for engine in model.engines(4) {
		let request = GenerateRequest { ignore_eos: true, ..greedy(prompt(20, 0), 16) };
		completion(&engine, request);
		// The last step is noted after the end was sent.
		wait_until("the last step is not counted", || engine.usage().steps == 16);
		let usage = engine.usage();
		assert_eq!((usage.rows, usage.prompt_tokens, usage.cached_tokens), (16, 20, 35), "{usage:?}");
	}
}
