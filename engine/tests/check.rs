//! Checks of answers with the demo model: honest ones pass, others are seen.

mod common;

use common::{Answer, ENGINE, STORY, answer, collect_all, greedy, load, wait_until};
use gonka_engine::{
	Attack, CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, TokenEvent, TorchEngine,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::{NAT, seed_key, tape_key},
};

const PROMPTS: [&str; 4] = [STORY, "The capital of France is", "def fibonacci(n):\n", "1 2 3 4 5"];

/// One request of each kind, with 24 tokens.
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
	let prompts = PROMPTS.iter().map(|prompt| ENGINE.tokenize(prompt).unwrap());
	let request = |(kind, prompt)| GenerateRequest { prompt, max_tokens: 24, ignore_eos: true, ..kind };
	kinds.into_iter().zip(prompts).map(request).collect()
}

/// The answers of `engine`, all at the same time.
fn together(engine: &TorchEngine, requests: &[GenerateRequest]) -> Vec<(Answer, Vec<Fingerprint>)> {
	let running: Vec<_> = requests.iter().map(|request| engine.generate(request.clone()).unwrap()).collect();
	running.into_iter().zip(requests).map(|(events, request)| collect_all(events, request.prompt.len())).collect()
}

fn check(engine: &TorchEngine, request: &GenerateRequest, answer: &Answer) -> CheckResult {
	let (request, output) = (request.clone(), answer.ids.clone());
	let check = CheckRequest { request, output, finish_reason: answer.reason };
	engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
}

/// The mean distance between the fingerprints of an answer and those of its check.
fn mean_distance(check: &CheckResult, fingerprints: &[Fingerprint]) -> f64 {
	assert_eq!(check.tokens.len(), fingerprints.len());
	let distances = check.tokens.iter().zip(fingerprints).map(|(token, other)| distance(&token.fingerprint, other));
	f64::from(distances.sum::<u32>()) / fingerprints.len() as f64
}

/// Nothing but the rounding of logits at the edge between two units may differ: 2⁻⁶ nats, twice, and times what a penalty
/// makes of it.
fn assert_clean(request: &GenerateRequest, check: &CheckResult, fingerprints: &[Fingerprint]) {
	let most = NAT.unsigned_abs() / 16;
	for (at, token) in check.tokens.iter().enumerate() {
		assert!(token.margin <= most, "token {at} of {request:?}: margin {} of {most}", token.margin);
	}
	let moved = check.tokens.iter().filter(|token| token.margin > 0).count();
	assert!(moved <= 1, "{moved} margins above 0: {request:?}");
	let mean = mean_distance(check, fingerprints);
	assert!(mean < 1.0, "fingerprints are {mean} apart: {request:?}");
	assert!(check.ends_rightly);
}

#[test]
fn honest_answers_check_clean_however_they_were_batched() {
	let requests = requests();
	let batched = together(&ENGINE, &requests);
	for (request, (answer, fingerprints)) in requests.iter().zip(&batched) {
		assert_clean(request, &check(&ENGINE, request, answer), fingerprints);
		let alone = together(&ENGINE, std::slice::from_ref(request));
		assert_clean(request, &check(&ENGINE, request, &alone[0].0), &alone[0].1);
	}
}

#[test]
fn a_check_in_parts_finds_what_one_in_a_piece_finds() {
	let parts = load(|config| config.prefill_chunk = 5);
	for request in requests() {
		let (answer, fingerprints) = together(&parts, std::slice::from_ref(&request)).remove(0);
		assert_clean(&request, &check(&parts, &request, &answer), &fingerprints);
		assert_clean(&request, &check(&ENGINE, &request, &answer), &fingerprints);
	}
}

#[test]
fn a_continued_answer_checks_clean() {
	let request = requests().remove(3);
	let whole = answer(&ENGINE, request.clone());
	let (before, after) = whole.ids.split_at(9);
	let prompt = [&request.prompt, before].concat();
	let rest = GenerateRequest { prompt, delivered: 9, max_tokens: after.len(), ..request };
	let (answer, fingerprints) = together(&ENGINE, std::slice::from_ref(&rest)).remove(0);
	assert_eq!(answer.ids, after);
	assert_clean(&rest, &check(&ENGINE, &rest, &answer), &fingerprints);
}

#[test]
fn cheaper_computations_show_in_fingerprints_and_margins() {
	let requests = requests();
	for (attack, apart) in [(Attack::Int4Weights, 500.0), (Attack::Int4Cache, 300.0), (Attack::Int8Weights, 5.0)] {
		let cheap = load(|config| config.attack = Some(attack));
		let answers = together(&cheap, &requests);
		let (mut sum, mut moved) = (0.0, 0);
		for (request, (answer, fingerprints)) in requests.iter().zip(&answers) {
			let check = check(&ENGINE, request, answer);
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
fn another_tape_and_other_tokens_are_seen() {
	let request = requests().remove(1);
	let answer = answer(&ENGINE, request.clone());
	let far = |check: &CheckResult| check.tokens.iter().filter(|token| token.margin > NAT.unsigned_abs()).count();

	let other = GenerateRequest { key: tape_key(&[7; 32], &[9; 32]), ..request.clone() };
	let result = check(&ENGINE, &other, &answer);
	assert!(far(&result) >= 8, "only {} of 24 margins above a nat", far(&result));

	// One token of an honest answer replaced: by an unlikely one, which only its own place shows.
	let mut forged = answer.ids.clone();
	forged[10] = ENGINE.tokenize("zebra").unwrap()[0];
	let result = check(&ENGINE, &request, &Answer { ids: forged, ..answer });
	assert!(result.tokens[..10].iter().all(|token| token.margin < NAT.unsigned_abs() / 8));
	assert!(result.tokens[10].margin > NAT.unsigned_abs());
}

#[test]
fn tokens_that_the_filters_leave_out_have_margins_as_large_as_the_way_to_get_in() {
	let request = GenerateRequest { top_k: 2, ..requests().remove(1) };
	let answer = answer(&ENGINE, GenerateRequest { top_k: 0, temperature: 3.0, ..request.clone() });
	let result = check(&ENGINE, &request, &answer);
	let far = result.tokens.iter().filter(|token| token.margin > NAT.unsigned_abs()).count();
	assert!(far > 12, "{result:?}");
}

#[test]
fn fingerprints_of_two_tapes_have_nothing_in_common() {
	let request = requests().remove(0);
	let other = GenerateRequest { key: seed_key(1), ..request.clone() };
	let answers = together(&ENGINE, &[request.clone(), other]);
	assert_eq!(answers[0].0, answers[1].0, "greedy answers do not depend on the tape");
	let mean = mean_distance(&check(&ENGINE, &request, &answers[0].0), &answers[1].1);
	// 16 numbers with a variance of 2 · 32² each, but for what the states have in common.
	assert!(mean > 10_000.0, "{mean}");
}

#[test]
fn an_end_that_is_none_is_seen() {
	let request = requests().remove(1);
	let answer = answer(&ENGINE, request.clone());
	let ends = |ids: &[u32], reason| {
		check(&ENGINE, &request, &Answer { ids: ids.to_vec(), text: String::new(), reason }).ends_rightly
	};
	assert!(ends(&answer.ids, FinishReason::Length));
	assert!(!ends(&answer.ids, FinishReason::Stop));
	assert!(!ends(&answer.ids[..20], FinishReason::Length));
	assert!(!ends(&answer.ids[..20], FinishReason::Stop));
	assert!(ends(&answer.ids[..20], FinishReason::Cancelled));
}

#[test]
fn a_check_runs_beside_an_answer_and_not_beside_another_check() {
	let engine = load(|config| {
		config.slots = 3;
		config.waiting_limit = 2;
		config.prefill_chunk = 16;
	});
	let request = requests().remove(0);
	let given = answer(&engine, request.clone());
	let claim = |output: &[u32]| CheckRequest {
		request: GenerateRequest { max_tokens: 1000, ..request.clone() },
		output: output.to_vec(),
		finish_reason: FinishReason::Cancelled,
	};
	let mut long = engine.generate(GenerateRequest { max_tokens: 1500, ..request.clone() }).unwrap();
	assert!(matches!(long.blocking_recv(), Some(TokenEvent::Token { .. })));

	let slow = engine.check(claim(&given.ids.repeat(40))).unwrap();
	wait_until("the check does not begin", || engine.health().running == 2);
	let quick = engine.check(claim(&given.ids)).unwrap();
	// A third slot is free, for answers only.
	assert_eq!(answer(&engine, greedy(request.prompt.clone(), 2)).ids.len(), 2);
	wait_until("the second check begins", || (engine.health().running, engine.health().waiting) == (2, 1));
	drop(slow);
	let result = quick.blocking_recv().unwrap().unwrap();
	assert!(result.tokens.iter().all(|token| token.margin < NAT.unsigned_abs() / 16));
	assert!(matches!(long.try_recv(), Ok(TokenEvent::Token { .. })), "the answer goes on meanwhile");

	let last = engine.check(claim(&given.ids.repeat(40))).unwrap();
	drop(engine);
	assert_eq!(last.blocking_recv().unwrap(), Err(EngineError::Stopped));
}

#[test]
fn impossible_checks_are_refused() {
	let request = requests().remove(0);
	for output in [vec![], vec![1; 25], vec![49_152]] {
		let check = CheckRequest { request: request.clone(), output, finish_reason: FinishReason::Length };
		assert!(matches!(ENGINE.check(check), Err(EngineError::InvalidRequest(_))));
	}
	let request = GenerateRequest { min_p: 2.0, ..request };
	let check = CheckRequest { request, output: vec![1], finish_reason: FinishReason::Length };
	assert!(matches!(ENGINE.check(check), Err(EngineError::InvalidRequest(_))));
}
