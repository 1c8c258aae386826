//! Embeddings, on models with random weights: against llama.cpp's own, against themselves in other batches, and checked.

mod common;

use std::path::PathBuf;

use common::gguf::{Value, embedding_model, family};
use gonka_engine::{
	CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, LocalConfig, LocalEngine, TokenEvent,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::seed_key,
};
use gonka_tokenizer::{
	Pooling,
	embedding::{are_alike, bits, is_embedding},
	gguf::tokenizer_file,
	llama::File,
	open_tokenizer,
};
use llama_cpp_sys_2 as sys;

/// The models: one that reads a text from left to right, with each kind of pooling, and one that reads it at once.
const MODELS: [(&str, u32); 4] = [("qwen3", 1), ("qwen3", 3), ("bert", 1), ("bert", 2)];
const TEXTS: [&str; 4] = ["the fox", "a", "The quick brown fox jumps over the lazy dog.", "#####"];

fn config(path: PathBuf, slots: usize) -> LocalConfig {
	LocalConfig { context_length: 256, slots, prefill_chunk: 16, finds_class: true, ..LocalConfig::llama(path) }
}

/// A folder with a model's file.
struct Model {
	folder: tempfile::TempDir,
	pooling: u32,
}

impl Model {
	fn new((name, pooling): (&str, u32)) -> Self {
		let folder = tempfile::tempdir().unwrap();
		std::fs::write(folder.path().join("model.gguf"), embedding_model(name, pooling).bytes()).unwrap();
		Self { folder, pooling }
	}

	fn path(&self) -> PathBuf {
		self.folder.path().join("model.gguf")
	}

	fn engine(&self, slots: usize) -> LocalEngine {
		LocalEngine::load(&config(self.path(), slots)).unwrap()
	}

	/// Returns llama.cpp's own embedding of a text, normalised.
	fn own_embedding(&self, tokens: &[u32]) -> Vec<f32> {
		let file = File::open(&self.path(), |_| ()).unwrap();
		// SAFETY: the model is loaded, the batch has as many tokens as are written, and all of them belong to sequence 0.
		unsafe {
			let mut params = sys::llama_context_default_params();
			(params.n_ctx, params.n_batch, params.n_ubatch) = (256, 256, 256);
			(params.n_threads, params.n_threads_batch) = (1, 1);
			params.embeddings = true;
			params.pooling_type = self.pooling as _;
			let context = sys::llama_init_from_model(file.model(), params);
			let mut batch = sys::llama_batch_init(256, 0, 1);
			batch.n_tokens = tokens.len() as i32;
			for (at, token) in tokens.iter().enumerate() {
				*batch.token.add(at) = token.cast_signed();
				*batch.pos.add(at) = at as i32;
				*batch.n_seq_id.add(at) = 1;
				**batch.seq_id.add(at) = 0;
				*batch.logits.add(at) = 1;
			}
			assert_eq!(sys::llama_decode(context, batch), 0);
			let width = sys::llama_model_n_embd_out(file.model()) as usize;
			let vector = std::slice::from_raw_parts(sys::llama_get_embeddings_seq(context, 0), width).to_vec();
			sys::llama_batch_free(batch);
			sys::llama_free(context);
			let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
			vector.into_iter().map(|number| number / length).collect()
		}
	}
}

fn request(prompt: Vec<u32>) -> GenerateRequest {
	GenerateRequest { prompt, max_tokens: 0, key: seed_key(4), ..Default::default() }
}

/// Returns the embeddings of texts that are computed at the same time.
fn embed(engine: &LocalEngine, texts: &[&str]) -> Vec<(Vec<f32>, Fingerprint)> {
	let running: Vec<_> =
		texts.iter().map(|text| engine.generate(request(engine.tokenizer().encode(text))).unwrap()).collect();
	let embedding = |(mut events, text): (tokio::sync::mpsc::Receiver<_>, &&str)| {
		let Some(TokenEvent::Embedding { vector, fingerprint }) = events.blocking_recv() else { panic!("{text}") };
		let prompt_tokens = engine.tokenizer().encode(text).len();
		let done = TokenEvent::Done { finish_reason: FinishReason::Stop, prompt_tokens, completion_tokens: 0 };
		assert_eq!(events.blocking_recv(), Some(done));
		(vector, fingerprint)
	};
	running.into_iter().zip(texts).map(embedding).collect()
}

fn check(engine: &LocalEngine, text: &str, output: Vec<u32>) -> CheckResult {
	let request = request(engine.tokenizer().encode(text));
	let check = CheckRequest { request, output, finish_reason: FinishReason::Stop };
	engine.check(check).unwrap().blocking_recv().unwrap().unwrap()
}

#[test]
fn an_embedding_is_llama_cpps_own() {
	for model in MODELS {
		let (model, name) = (Model::new(model), format!("{model:?}"));
		let engine = model.engine(4);
		assert!(engine.info().embeds && engine.class().is_some(), "{name}");
		for (text, (vector, _)) in TEXTS.iter().zip(embed(&engine, &TEXTS)) {
			assert!(is_embedding(&vector), "{name}");
			let own = model.own_embedding(&engine.tokenizer().encode(text));
			let far = vector.iter().zip(&own).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
			assert!(vector.len() == own.len() && far < 2e-3, "{name}, {text}: {far}");
		}
	}
}

#[test]
fn the_torch_backend_makes_the_same_embeddings_of_the_llama_family() {
	let model = Model::new(("llama", 1));
	let torch = LocalConfig { context_length: 256, ..LocalConfig::torch(model.path()) };
	let [of_torch, of_llama] =
		[LocalEngine::load(&torch).unwrap(), model.engine(4)].map(|engine| embed(&engine, &TEXTS));
	for ((_, torch), (_, llama)) in of_torch.iter().zip(&of_llama) {
		assert!(distance(torch, llama) < 60, "{torch:?} {llama:?}");
	}
}

#[test]
fn an_embedding_does_not_depend_on_what_is_computed_with_it() {
	for model in MODELS {
		let (model, name) = (Model::new(model), format!("{model:?}"));
		let together = embed(&model.engine(4), &TEXTS);
		let one = model.engine(1);
		let alone: Vec<_> = TEXTS.iter().flat_map(|text| embed(&one, &[text])).collect();
		assert_eq!(together, alone, "{name}");
		assert_eq!(embed(&one, &TEXTS[..1])[0], alone[0], "{name}: a slot that was used before makes no difference");
	}
}

#[test]
fn a_check_finds_other_vectors() {
	for model in MODELS {
		let (model, name) = (Model::new(model), format!("{model:?}"));
		let (host, checker) = (model.engine(2), model.engine(1));
		let [(vector, fingerprint), (other, of_other)] = embed(&host, &TEXTS[1..3]).try_into().unwrap();
		let found = check(&checker, TEXTS[1], bits(&vector));
		assert!(found.is_permitted && found.ends_rightly, "{name}");
		assert_eq!((found.tokens.len(), found.tokens[0].margin), (1, 0), "{name}");
		assert_eq!(found.tokens[0].fingerprint, fingerprint, "{name}");
		// Its own fingerprint says that it is another text's, and so do its numbers if they are far away.
		let found = check(&checker, TEXTS[1], bits(&other));
		assert_eq!(found.is_permitted, are_alike(&vector, &other), "{name}");
		assert_ne!(found.tokens[0].fingerprint, of_other, "{name}");
		let longer: Vec<f32> = vector.iter().map(|number| number * 1.01).collect();
		for wrong in [vec![], bits(&longer), bits(&vector[1..]), vec![f32::NAN.to_bits(); vector.len()]] {
			assert!(!check(&checker, TEXTS[1], wrong).is_permitted, "{name}");
		}
	}
}

#[test]
fn a_model_makes_completions_or_embeddings() {
	let invalid = |engine: &LocalEngine, max_tokens| {
		let request = GenerateRequest { max_tokens, ..request(vec![1]) };
		matches!(engine.generate(request), Err(EngineError::InvalidRequest(_)))
	};
	assert!(invalid(&Model::new(MODELS[0]).engine(1), 1));
	let folder = tempfile::tempdir().unwrap();
	let write = |file: common::gguf::File| {
		let path = folder.path().join("model.gguf");
		std::fs::write(&path, file.bytes()).unwrap();
		LocalEngine::load(&config(path, 1))
	};
	assert!(invalid(&write(family("qwen3")).unwrap(), 0));
	// It ranks texts.
	let error = write(embedding_model("qwen3", 4)).err().unwrap().to_string();
	assert!(error.contains("qwen3.pooling_type is 4"), "{error}");
}

#[test]
fn the_tokenizer_file_says_how_texts_become_vectors() {
	let folder = tempfile::tempdir().unwrap();
	let path = folder.path().join("tokenizer.gguf");
	let tokenizer = |file: &common::gguf::File| {
		std::fs::write(&path, file.bytes()).unwrap();
		let cut = tokenizer_file(&path).unwrap();
		std::fs::write(&path, cut).unwrap();
		open_tokenizer(&path).unwrap()
	};
	let mut file = embedding_model("qwen3", 3);
	assert_eq!((tokenizer(&file).pooling(), tokenizer(&file).encode("a")), (Some(Pooling::Last), vec![97]));
	file.set("tokenizer.ggml.add_eos_token", Value::Bool(true));
	assert_eq!(tokenizer(&file).encode("a"), [97, 258], "its end");
	let bert = tokenizer(&embedding_model("bert", 1));
	assert_eq!((bert.pooling(), bert.encode("the fox")), (Some(Pooling::Mean), vec![1, 4, 5, 2]));
	assert_eq!(tokenizer(&family("qwen3")).pooling(), None);
}
