//! Tests of the mock engine.

use gonka_engine::{
	CheckRequest, Engine, EngineError, FinishReason, GenerateRequest, Grammar, MOCK_WORDS, MockConfig, MockEngine,
	TokenEvent, TokenLogprobs,
};
use gonka_primitives::tape::seed_key;
use tokio::sync::mpsc::Receiver;

async fn collect(mut events: Receiver<TokenEvent>) -> (Vec<u32>, String, FinishReason) {
	let (mut ids, mut all) = (Vec::new(), String::new());
	loop {
		match events.recv().await.expect("a completion ends with an event") {
			TokenEvent::Token { id, text, .. } => {
				ids.push(id);
				all.push_str(&text);
			},
			TokenEvent::Done { finish_reason, completion_tokens, .. } => {
				assert_eq!(completion_tokens, ids.len());
				return (ids, all, finish_reason);
			},
			other => panic!("{other:?}"),
		}
	}
}

fn request(max_tokens: usize) -> GenerateRequest {
	GenerateRequest { prompt: b"hello".map(u32::from).into(), max_tokens, ..Default::default() }
}

#[tokio::test]
async fn the_same_prompt_and_key_give_the_same_completion() {
	let engine = MockEngine::new(MockConfig { completion_words: 20, ..Default::default() });
	let request = request(100);
	let (ids, text, reason) = collect(engine.generate(request.clone()).unwrap()).await;
	assert_eq!((ids.len(), reason), (21, FinishReason::Stop));
	assert_eq!(ids.iter().filter_map(|id| MOCK_WORDS.get(*id as usize - 256)).copied().collect::<String>(), text);
	assert_eq!(collect(engine.generate(request.clone()).unwrap()).await.0, ids);
	let other = GenerateRequest { key: seed_key(1), ..request.clone() };
	assert_ne!(collect(engine.generate(other).unwrap()).await.0, ids);

	let continued = GenerateRequest { prompt: [&request.prompt, &ids[..7]].concat(), ..request };
	assert_eq!(collect(engine.generate(continued).unwrap()).await.0, ids[7..]);
}

/// Returns the ids and texts of a completion, token by token.
async fn pieces(engine: &MockEngine, request: GenerateRequest) -> Vec<(u32, String)> {
	let mut events = engine.generate(request).unwrap();
	let mut pieces = Vec::new();
	while let Some(TokenEvent::Token { id, text, .. }) = events.recv().await {
		pieces.push((id, text));
	}
	pieces
}

#[tokio::test]
async fn held_back_text_survives_a_change_of_host() {
	let engine = MockEngine::new(MockConfig::default());
	let text = |pieces: &[(u32, String)]| pieces.iter().map(|(_, text)| text.as_str()).collect::<String>();
	let plain = text(&pieces(&engine, request(8)).await);
	// These stop texts begin in one word and would end in a later one, so words are held back.
	let words: Vec<_> = plain.split_inclusive(' ').collect();
	let stop = vec![format!("{}{}#", words[3], words[4]), format!("{}!", words[5])];
	let whole = pieces(&engine, GenerateRequest { stop: stop.clone(), ..request(8) }).await;
	assert_eq!(text(&whole), plain);
	for cut in 1..whole.len() {
		let (before, after) = whole.split_at(cut);
		let mut rest = GenerateRequest { stop: stop.clone(), delivered: cut, ..request(after.len()) };
		rest.prompt.extend(before.iter().map(|(id, _)| *id));
		assert_eq!(text(before) + &text(&pieces(&engine, rest).await), plain, "cut at {cut}");
	}
}

#[tokio::test]
async fn a_completion_ends_at_its_limit_or_before_a_stop_text() {
	let engine = MockEngine::new(MockConfig::default());
	let (ids, text, reason) = collect(engine.generate(request(5)).unwrap()).await;
	assert_eq!((ids.len(), reason), (5, FinishReason::Length));
	let second = text.split(' ').nth(2).unwrap();
	let stopped = GenerateRequest { stop: vec![second.into()], ..request(5) };
	let (_, before, reason) = collect(engine.generate(stopped).unwrap()).await;
	assert_eq!(reason, FinishReason::Stop);
	assert_eq!(before, text.split(second).next().unwrap());
	let too_long = engine.generate(request(8192)).unwrap_err();
	assert!(matches!(too_long, EngineError::ContextTooLong { .. }));
}

#[tokio::test]
async fn a_mock_with_a_speed_streams_and_can_be_cancelled() {
	let mock = |tokens_per_second| {
		MockEngine::new(MockConfig { tokens_per_second: Some(tokens_per_second), max_running: 1, ..Default::default() })
	};
	let fast = mock(1000.0);
	assert_eq!(collect(fast.generate(request(5)).unwrap()).await.0.len(), 5);

	// Its first token would come after a day.
	let engine = mock(1.0 / 86_400.0);
	let events = engine.generate(request(60)).unwrap();
	assert!(matches!(engine.generate(request(5)), Err(EngineError::Busy { .. })));
	drop(events);
	while engine.health().running > 0 {
		tokio::task::yield_now().await;
	}
	assert!(engine.generate(request(5)).is_ok());
}

#[tokio::test]
async fn a_check_passes_the_mocks_own_completions_and_finds_forged_ones() {
	let engine = MockEngine::new(MockConfig::default());
	let request = request(20);
	let mut events = engine.generate(request.clone()).unwrap();
	let (mut output, mut fingerprints) = (Vec::new(), Vec::new());
	while let Some(TokenEvent::Token { id, fingerprint, .. }) = events.recv().await {
		output.push(id);
		fingerprints.push(fingerprint);
	}
	let check = CheckRequest { request, output, finish_reason: FinishReason::Length };
	let found = engine.check(check.clone()).unwrap().await.unwrap().unwrap();
	assert!(found.ends_rightly && found.tokens.iter().all(|token| token.margin == 0));
	assert_eq!(found.tokens.iter().map(|token| token.fingerprint).collect::<Vec<_>>(), fingerprints);

	let mut forged = check.clone();
	forged.output[3] = 65;
	forged.finish_reason = FinishReason::Stop;
	let found = engine.check(forged).unwrap().await.unwrap().unwrap();
	let wrong: Vec<_> = (0..20).filter(|&at| found.tokens[at].margin > 0).collect();
	assert_eq!((wrong, found.ends_rightly), (vec![3], false));

	let request = GenerateRequest { key: seed_key(1), ..check.request.clone() };
	let found = engine.check(CheckRequest { request, ..check }).unwrap().await.unwrap().unwrap();
	assert!(found.tokens.iter().any(|token| token.margin > 0));
}

#[tokio::test]
async fn stop_ids_end_a_completion_and_grammars_are_not_supported() {
	let engine = MockEngine::new(MockConfig::default());
	let request = GenerateRequest { logprobs: Some(3), ..request(40) };
	let (ids, ..) = collect(engine.generate(request.clone()).unwrap()).await;
	let stopped = GenerateRequest { stop_token_ids: vec![ids[6]], ..request.clone() };
	let first = ids.iter().position(|id| *id == ids[6]).unwrap();
	let (stopped, _, reason) = collect(engine.generate(stopped).unwrap()).await;
	assert_eq!((stopped.as_slice(), reason), (&ids[..=first], FinishReason::Stop));

	let event = engine.generate(request.clone()).unwrap().recv().await;
	let certain = TokenLogprobs { chosen: 0.0, top: vec![(ids[0], 0.0)] };
	assert!(matches!(event, Some(TokenEvent::Token { logprobs: Some(found), .. }) if found == certain));

	let request = GenerateRequest { grammar: Some(Grammar::Regex("a".into())), ..request };
	assert!(matches!(engine.generate(request.clone()), Err(EngineError::Unsupported(_))));
	let check = CheckRequest { request, output: ids, finish_reason: FinishReason::Length };
	assert!(matches!(engine.check(check), Err(EngineError::Unsupported(_))));
}
