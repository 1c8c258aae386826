//! Tests of the torch engine with the demo model.

mod common;

use common::{ENGINE, STORY, collect, completion, greedy, load, wait_until};
use gonka_engine::{
	Backend, ChatMessage, ChatOptions, Engine, EngineError, FinishReason, GenerateRequest, LocalConfig, LocalEngine,
	Precision, TokenEvent,
};
use gonka_primitives::tape::seed_key;
use proptest::prelude::*;

#[test]
fn a_greedy_completion_is_that_of_other_implementations() {
	let completion = completion(&ENGINE, greedy(ENGINE.tokenizer().encode(STORY), 16));
	assert!(completion.text.starts_with(" a small town nestled between two"), "{completion:?}");
	assert_eq!(completion.reason, FinishReason::Length);
	assert_eq!(ENGINE.tokenizer().decode(&completion.ids), completion.text);
}

#[test]
fn bfloat16_gives_a_sensible_completion() {
	let engine = load(|config| config.backend = Backend::Torch(Precision::Bf16));
	let completion = completion(&engine, greedy(engine.tokenizer().encode(STORY), 6));
	assert!(completion.text.starts_with(" a small town"), "{completion:?}");
}

#[test]
fn a_batch_gives_the_same_completions_as_each_request_alone() {
	let prompts = [STORY, "The capital of France is", "def fibonacci(n):\n", "1 2 3 4 5"];
	let requests: Vec<_> = prompts.iter().map(|prompt| greedy(ENGINE.tokenizer().encode(prompt), 24)).collect();
	let alone: Vec<_> = requests.iter().map(|request| completion(&ENGINE, request.clone())).collect();
	let running: Vec<_> = requests.iter().map(|request| ENGINE.generate(request.clone()).unwrap()).collect();
	for ((events, alone), request) in running.into_iter().zip(alone).zip(requests) {
		assert_eq!(collect(events, request.prompt.len()), alone);
	}
}

#[test]
fn a_prompt_read_in_parts_gives_the_same_completion() {
	let engine = load(|config| {
		config.prefill_chunk = 7;
		config.slots = 2;
	});
	let prompt = engine.tokenizer().encode(&"The town was named after a famous mountain. ".repeat(4));
	assert!(prompt.len() > 30);
	let whole = completion(&ENGINE, greedy(prompt.clone(), 12));
	assert_eq!(completion(&engine, greedy(prompt, 12)), whole);
}

#[test]
fn a_completion_cut_off_can_be_continued() {
	let request = GenerateRequest {
		prompt: ENGINE.tokenizer().encode(STORY),
		max_tokens: 20,
		temperature: 0.9,
		top_p: 0.95,
		top_k: 50,
		key: seed_key(1234),
		..Default::default()
	};
	let whole = completion(&ENGINE, request.clone());
	assert_eq!(completion(&ENGINE, request.clone()), whole);
	assert_ne!(completion(&ENGINE, GenerateRequest { key: seed_key(5), ..request.clone() }), whole);

	let (before, after) = whole.ids.split_at(8);
	let prompt = [&request.prompt, before].concat();
	let rest = GenerateRequest { prompt, delivered: 8, max_tokens: after.len(), ..request };
	let rest = completion(&ENGINE, rest);
	assert_eq!(rest.ids, after);
	assert!(whole.text.ends_with(&rest.text), "{:?} does not end {:?}", rest.text, whole.text);
}

#[test]
fn stop_texts_and_stop_ids_end_a_completion() {
	let prompt = ENGINE.tokenizer().encode(STORY);
	let stop = vec!["nestled bet".into(), "never".into()];
	let by_text = completion(&ENGINE, GenerateRequest { stop, ..greedy(prompt.clone(), 16) });
	assert_eq!(by_text.text, " a small town ");
	assert_eq!(by_text.reason, FinishReason::Stop);

	let town = ENGINE.tokenizer().encode(" town");
	let by_id = completion(&ENGINE, GenerateRequest { stop_token_ids: town.clone(), ..greedy(prompt, 16) });
	assert_eq!(by_id.ids.last(), town.first());
	assert_eq!((by_id.text.as_str(), by_id.reason), (" a small town", FinishReason::Stop));
}

#[test]
fn a_completion_ends_with_one_of_the_models_end_ids() {
	let message = ChatMessage::new("user", "Say only the word yes.");
	let prompt = ENGINE.tokenizer().encode_chat(&[message], &ChatOptions::default()).unwrap();
	let ended = completion(&ENGINE, greedy(prompt.clone(), 200));
	assert_eq!(ended.reason, FinishReason::Stop, "{ended:?}");
	assert!(ENGINE.info().eos.contains(ended.ids.last().unwrap()));
	assert!(!ended.text.contains("<|im_end|>"));

	let longer = ended.ids.len() + 2;
	let ignored = completion(&ENGINE, GenerateRequest { ignore_eos: true, ..greedy(prompt, longer) });
	assert_eq!((ignored.ids.len(), ignored.reason), (longer, FinishReason::Length));
}

#[test]
fn dropping_the_receiver_frees_the_slot() {
	let engine = load(|config| {
		config.slots = 1;
		config.waiting_limit = 1;
	});
	let long = GenerateRequest { ignore_eos: true, ..greedy(engine.tokenizer().encode(STORY), 2000) };
	let mut first = engine.generate(long.clone()).unwrap();
	assert!(matches!(first.blocking_recv(), Some(TokenEvent::Token { .. })));
	let second = engine.generate(long.clone()).unwrap();
	assert_eq!(engine.generate(long.clone()).unwrap_err(), EngineError::Busy { waiting: 1 });
	assert_eq!((engine.health().running, engine.health().waiting), (1, 1));

	drop(second);
	let third =
		engine.generate(greedy(long.prompt.clone(), 2)).expect("the cancelled request freed its slot in the queue");
	drop(first);
	assert_eq!(collect(third, long.prompt.len()).ids.len(), 2);
	wait_until("the slot stays in use", || engine.health().running == 0);

	let mut last = engine.generate(long).unwrap();
	assert!(matches!(last.blocking_recv(), Some(TokenEvent::Token { .. })));
	drop(engine);
	let mut end = None;
	while let Some(event) = last.blocking_recv() {
		end = Some(event);
	}
	let cancelled = FinishReason::Cancelled;
	assert!(matches!(end, Some(TokenEvent::Done { finish_reason, .. }) if finish_reason == cancelled));
}

#[test]
fn invalid_requests_are_rejected() {
	let rejected = |request| ENGINE.generate(request).unwrap_err();
	assert_eq!(
		rejected(greedy(vec![1; 2000], 49)),
		EngineError::ContextTooLong { prompt_tokens: 2000, max_tokens: 49, context_length: 2048 }
	);
	for request in [
		greedy(vec![], 1),
		greedy(vec![1], 0),
		greedy(vec![49152], 1),
		GenerateRequest { temperature: f32::NAN, ..greedy(vec![1], 1) },
		GenerateRequest { top_p: 0.0, ..greedy(vec![1], 1) },
		GenerateRequest { stop: vec![String::new()], ..greedy(vec![1], 1) },
	] {
		assert!(matches!(rejected(request), EngineError::InvalidRequest(_)));
	}
}

#[test]
fn a_context_can_be_filled_to_its_end() {
	let engine = load(|config| config.context_length = 16);
	let prompt = engine.tokenizer().encode(STORY);
	let room = 16 - prompt.len();
	assert_eq!(completion(&engine, greedy(prompt, room)).ids.len(), room);
}

#[test]
fn files_that_are_not_models_are_rejected() {
	// Read at run time: the compiled test may serve another checkout.
	let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
	let config = LocalConfig::torch(format!("{folder}/Cargo.toml"));
	let error = LocalEngine::load(&config).err().expect("the file is rejected").to_string();
	assert!(error.contains("not a GGUF file"), "{error}");
	let config = LocalConfig::torch("/nowhere");
	assert!(matches!(LocalEngine::load(&config).err(), Some(EngineError::Model(_))));
}

#[test]
fn conversations_are_rendered_as_the_model_was_trained() {
	let options = ChatOptions::default();
	let chat = |messages: &[(&str, &str)]| {
		let messages: Vec<_> = messages.iter().map(|(role, content)| ChatMessage::new(*role, *content)).collect();
		ENGINE.tokenizer().encode_chat(&messages, &options).unwrap()
	};
	let expected = |parts: &[&str]| {
		let mut ids = Vec::new();
		for part in parts {
			match *part {
				"<|im_start|>" => ids.push(1),
				"<|im_end|>" => ids.push(2),
				text => ids.extend(ENGINE.tokenizer().encode(text)),
			}
		}
		ids
	};
	assert_eq!(
		chat(&[("system", "Be brief."), ("user", "2+2?")]),
		expected(&[
			"<|im_start|>",
			"system\nBe brief.",
			"<|im_end|>",
			"\n",
			"<|im_start|>",
			"user\n2+2?",
			"<|im_end|>",
			"\n",
			"<|im_start|>",
			"assistant\n",
		])
	);
	let default = chat(&[("user", "<|im_end|>")]);
	assert!(ENGINE.tokenizer().decode(&default).starts_with("system\nYou are a helpful AI assistant"));
	assert_eq!(default.iter().filter(|&&id| id == 2).count(), 2, "a message cannot end itself");
}

#[test]
fn texts_are_tokenized_as_by_the_models_own_tokenizer() {
	// Expected values are those of the model's own tokenizer: each digit is a token, a space belongs to the word after
	// it.
	assert_eq!(ENGINE.tokenizer().encode("Hello world"), [19556, 905]);
	assert_eq!(ENGINE.tokenizer().encode("2024").len(), 4);
	assert!(ENGINE.tokenizer().encode("").is_empty());
	assert!(!ENGINE.tokenizer().encode("<|im_start|>").contains(&1));
}

/// Characters all of whose bytes the vocabulary has. It lacks some control characters and unassigned planes.
fn known_text() -> impl Strategy<Value = String> {
	proptest::collection::vec(
		prop_oneof![
			4 => proptest::char::range(' ', '~'),
			1 => prop_oneof![Just('\n'), Just('\t'), Just('\r')],
			1 => proptest::char::range('\u{a0}', '\u{24f}'),
			1 => proptest::char::range('\u{4e00}', '\u{9fff}'),
			1 => proptest::char::range('\u{1f300}', '\u{1f6ff}'),
		],
		0..60,
	)
	.prop_map(String::from_iter)
}

proptest! {
	#[test]
	fn detokenizing_returns_the_text(text in known_text()) {
		let ids = ENGINE.tokenizer().encode(&text);
		prop_assert_eq!(ENGINE.tokenizer().decode(&ids), text);
	}

	#[test]
	fn no_text_is_tokenized_to_special_tokens(text in any::<String>()) {
		prop_assert!(ENGINE.tokenizer().encode(&text).iter().all(|&id| id > 16));
	}
}
