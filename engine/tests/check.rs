//! Tests of checks with the demo model: honest completions pass, dishonest ones are found.

mod common;

use std::sync::Arc;

use common::{Completion, ENGINE, STORY, collect_all, completion, config, greedy, load, wait_until};
use gonka_calibration::attack::Attack;
use gonka_engine::{
	CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, LocalEngine, TokenEvent,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::{NAT, seed_key, tape_key},
};

const PROMPTS: [&str; 4] = [STORY, "The capital of France is", "def fibonacci(n):\n", "1 2 3 4 5"];

/// Returns one request with each kind of sampling parameters, for 24 tokens.
fn requests() -> Vec<GenerateRequest> {
	let key = |host| tape_key(&[7; 32], &[host; 32]);
	let kinds = [
		GenerateRequest { temperature: 0.0, key: key(0), ..Default::default() },
		GenerateRequest { key: key(1), ..Default::default() },
		GenerateRequest { temperature: 0.7, top_p: 0.9, key: key(2), ..Default::default() },
		GenerateRequest {
			top_k: 40,
			min_p: 0.05,
			repetition_penalty: 1.1,
			presence_penalty: 0.3,
			frequency_penalty: 0.2,
			key: key(3),
			..Default::default()
		},
	];
	let prompts = PROMPTS.iter().map(|prompt| ENGINE.tokenizer().encode(prompt));
	let request = |(kind, prompt)| GenerateRequest { prompt, max_tokens: 24, ignore_eos: true, ..kind };
	kinds.into_iter().zip(prompts).map(request).collect()
}

/// Generates the completions of all requests at the same time.
fn together(engine: &LocalEngine, requests: &[GenerateRequest]) -> Vec<(Completion, Vec<Fingerprint>)> {
	let running: Vec<_> = requests.iter().map(|request| engine.generate(request.clone()).unwrap()).collect();
	running.into_iter().zip(requests).map(|(events, request)| collect_all(events, request.prompt.len())).collect()
}

fn check(engine: &LocalEngine, request: &GenerateRequest, completion: &Completion) -> CheckResult {
	let (request, output) = (request.clone(), completion.ids.clone());
	let check = CheckRequest { request, output, finish_reason: completion.reason };
	engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
}

/// Returns the mean distance between the fingerprints of a completion and those of its check.
fn mean_distance(check: &CheckResult, fingerprints: &[Fingerprint]) -> f64 {
	assert_eq!(check.tokens.len(), fingerprints.len());
	let distances = check.tokens.iter().zip(fingerprints).map(|(token, other)| distance(&token.fingerprint, other));
	f64::from(distances.sum::<u32>()) / fingerprints.len() as f64
}

/// Asserts that nothing differs but the rounding of logits at the edge between two units: 2⁻⁶ nats, twice, and
/// multiplied by a penalty.
fn assert_clean(request: &GenerateRequest, check: &CheckResult, fingerprints: &[Fingerprint]) {
	let max = NAT.unsigned_abs() / 16;
	for (at, token) in check.tokens.iter().enumerate() {
		assert!(token.margin <= max, "token {at} of {request:?}: margin {} of {max}", token.margin);
	}
	let moved = check.tokens.iter().filter(|token| token.margin > 0).count();
	assert!(moved <= 1, "{moved} margins above 0: {request:?}");
	let mean = mean_distance(check, fingerprints);
	assert!(mean < 1.0, "fingerprints are {mean} apart: {request:?}");
	assert!(check.ends_rightly);
}

#[test]
fn honest_completions_pass_however_they_were_batched() {
	let requests = requests();
	let batched = together(&ENGINE, &requests);
	for (request, (completion, fingerprints)) in requests.iter().zip(&batched) {
		assert_clean(request, &check(&ENGINE, request, completion), fingerprints);
		let alone = together(&ENGINE, std::slice::from_ref(request));
		assert_clean(request, &check(&ENGINE, request, &alone[0].0), &alone[0].1);
	}
}

#[test]
fn a_check_in_parts_has_the_same_result_as_one_in_a_piece() {
	let parts = load(|config| config.prefill_chunk = 5);
	for request in requests() {
		let (completion, fingerprints) = together(&parts, std::slice::from_ref(&request)).remove(0);
		assert_clean(&request, &check(&parts, &request, &completion), &fingerprints);
		assert_clean(&request, &check(&ENGINE, &request, &completion), &fingerprints);
	}
}

#[test]
fn a_continued_completion_passes() {
	let request = requests().remove(3);
	let whole = completion(&ENGINE, request.clone());
	let (before, after) = whole.ids.split_at(9);
	let prompt = [&request.prompt, before].concat();
	let rest = GenerateRequest { prompt, delivered: 9, max_tokens: after.len(), ..request };
	let (completion, fingerprints) = together(&ENGINE, std::slice::from_ref(&rest)).remove(0);
	assert_eq!(completion.ids, after);
	assert_clean(&rest, &check(&ENGINE, &rest, &completion), &fingerprints);
}

#[test]
fn cheaper_computations_are_found_by_fingerprints_and_margins() {
	let requests = requests();
	for (attack, apart) in [(Attack::Int4Weights, 500.0), (Attack::Int4Cache, 300.0), (Attack::Int8Weights, 5.0)] {
		let cheap = LocalEngine::load_altered(&config(), Arc::new(attack)).unwrap();
		let completions = together(&cheap, &requests);
		let (mut sum, mut moved) = (0.0, 0);
		for (request, (completion, fingerprints)) in requests.iter().zip(&completions) {
			let check = check(&ENGINE, request, completion);
			sum += mean_distance(&check, fingerprints);
			moved += check.tokens.iter().filter(|token| token.margin > NAT.unsigned_abs() / 16).count();
		}
		let mean = sum / requests.len() as f64;
		println!("{attack:?}: fingerprints {mean:.1} apart, {moved} of 96 margins above 1/16 nat");
		assert!(mean > apart, "{attack:?}: fingerprints are only {mean} apart");
		assert!(moved > 10 || attack == Attack::Int8Weights, "{attack:?}: only {moved} margins");
	}
}

#[test]
fn another_tape_and_replaced_tokens_are_found() {
	let request = requests().remove(1);
	let completion = completion(&ENGINE, request.clone());
	let far = |check: &CheckResult| check.tokens.iter().filter(|token| token.margin > NAT.unsigned_abs()).count();

	let other = GenerateRequest { key: tape_key(&[7; 32], &[9; 32]), ..request.clone() };
	let result = check(&ENGINE, &other, &completion);
	assert!(far(&result) >= 8, "only {} of 24 margins above a nat", far(&result));

	// Replace one token of an honest completion by an unlikely one: only its own position shows it.
	let mut forged = completion.ids.clone();
	forged[10] = ENGINE.tokenizer().encode("zebra")[0];
	let result = check(&ENGINE, &request, &Completion { ids: forged, ..completion });
	assert!(result.tokens[..10].iter().all(|token| token.margin < NAT.unsigned_abs() / 8));
	assert!(result.tokens[10].margin > NAT.unsigned_abs());
}

#[test]
fn tokens_that_the_filters_exclude_have_large_margins() {
	let request = GenerateRequest { top_k: 2, ..requests().remove(1) };
	let completion = completion(&ENGINE, GenerateRequest { top_k: 0, temperature: 3.0, ..request.clone() });
	let result = check(&ENGINE, &request, &completion);
	let far = result.tokens.iter().filter(|token| token.margin > NAT.unsigned_abs()).count();
	assert!(far > 12, "{result:?}");
}

#[test]
fn fingerprints_of_two_tapes_are_unrelated() {
	let request = requests().remove(0);
	let other = GenerateRequest { key: seed_key(1), ..request.clone() };
	let completions = together(&ENGINE, &[request.clone(), other]);
	assert_eq!(completions[0].0, completions[1].0, "greedy completions do not depend on the tape");
	let mean = mean_distance(&check(&ENGINE, &request, &completions[0].0), &completions[1].1);
	// Unrelated fingerprints: 16 numbers with a variance of 2 · 32² each, less what the states have in common.
	assert!(mean > 10_000.0, "{mean}");
}

#[test]
fn a_false_end_is_found() {
	let request = requests().remove(1);
	let completion = completion(&ENGINE, request.clone());
	let ends = |ids: &[u32], reason| {
		check(&ENGINE, &request, &Completion { ids: ids.to_vec(), text: String::new(), reason }).ends_rightly
	};
	assert!(ends(&completion.ids, FinishReason::Length));
	assert!(!ends(&completion.ids, FinishReason::Stop));
	assert!(!ends(&completion.ids[..20], FinishReason::Length));
	assert!(!ends(&completion.ids[..20], FinishReason::Stop));
	assert!(ends(&completion.ids[..20], FinishReason::Cancelled));
}

#[test]
fn a_check_runs_beside_a_completion_and_not_beside_another_check() {
	let engine = load(|config| {
		config.slots = 3;
		config.waiting_limit = 2;
		config.prefill_chunk = 16;
	});
	let request = requests().remove(0);
	let given = completion(&engine, request.clone());
	let claim = |output: &[u32]| CheckRequest {
		request: GenerateRequest { max_tokens: 1000, ..request.clone() },
		output: output.to_vec(),
		finish_reason: FinishReason::Cancelled,
	};
	let mut long = engine.generate(GenerateRequest { max_tokens: 1500, ..request.clone() }).unwrap();
	assert!(matches!(long.blocking_recv(), Some(TokenEvent::Token { .. })));

	let mut slow = engine.check(claim(&given.ids.repeat(40))).unwrap();
	wait_until("the first check begins", || engine.health().running == 2);
	let mut quick = engine.check(claim(&given.ids)).unwrap();
	// The third slot is free, but for completions only.
	assert_eq!(completion(&engine, greedy(request.prompt.clone(), 2)).ids.len(), 2);
	let early = quick.try_recv();
	assert!(early.is_err() || slow.try_recv().is_ok(), "the second check ran beside the first");
	drop(slow);
	let result = early.unwrap_or_else(|_| quick.blocking_recv().unwrap()).unwrap();
	assert!(result.tokens.iter().all(|token| token.margin < NAT.unsigned_abs() / 16));
	assert!(matches!(long.try_recv(), Ok(TokenEvent::Token { .. })), "the completion stopped during the check");

	let last = engine.check(claim(&given.ids.repeat(40))).unwrap();
	drop(engine);
	assert_eq!(last.blocking_recv().unwrap(), Err(EngineError::Stopped));
}

#[test]
fn invalid_checks_are_rejected() {
	let request = requests().remove(0);
	for output in [vec![], vec![1; 25], vec![49_152]] {
		let check = CheckRequest { request: request.clone(), output, finish_reason: FinishReason::Length };
		assert!(matches!(ENGINE.check(check), Err(EngineError::InvalidRequest(_))));
	}
	let request = GenerateRequest { min_p: 2.0, ..request };
	let check = CheckRequest { request, output: vec![1], finish_reason: FinishReason::Length };
	assert!(matches!(ENGINE.check(check), Err(EngineError::InvalidRequest(_))));
}
