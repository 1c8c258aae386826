//! Models of several families with random weights, on the llama.cpp backend; files that make no sense.

mod common;

use std::{path::PathBuf, process::Command};

use common::{
	collect_all, completion, generates_or_is_refused,
	gguf::{FAMILIES, File, Value, family},
	greedy, malformed_files,
};
use gonka_engine::{
	ChatMessage, ChatOptions, CheckRequest, Engine, EngineError, FinishReason, GenerateRequest, LocalConfig,
	LocalEngine,
};
use gonka_primitives::{fingerprint::distance, tape::seed_key};
use proptest::prelude::*;

/// A file that is removed when it is dropped.
struct Written(PathBuf);

impl Written {
	fn new(name: &str, bytes: &[u8]) -> Self {
		let path = std::env::temp_dir().join(format!("gonka-{}-{name}.gguf", std::process::id()));
		std::fs::write(&path, bytes).unwrap();
		Self(path)
	}

	fn load(&self) -> Result<LocalEngine, EngineError> {
		LocalEngine::load(&config(&self.0))
	}
}

impl Drop for Written {
	fn drop(&mut self) {
		let _ = std::fs::remove_file(&self.0);
	}
}

fn config(path: &std::path::Path) -> LocalConfig {
	LocalConfig { context_length: 256, slots: 2, trial: Some(trial), ..LocalConfig::llama(path) }
}

/// The environment variable with the file that [`the_trial_of_a_file`] tries.
const TRIED: &str = "GONKA_TRIED_FILE";

/// Returns the command that tries a file: this program, with the test below.
fn trial(config: &LocalConfig) -> Command {
	let mut command = Command::new(std::env::current_exe().unwrap());
	command.args(["--exact", "the_trial_of_a_file", "--ignored", "--nocapture"]).env(TRIED, &config.model);
	command
}

#[test]
#[ignore = "other tests start it for a file"]
fn the_trial_of_a_file() {
	let path = std::env::var_os(TRIED).expect("the path of a file");
	if let Err(error) = gonka_engine::try_model(&config(path.as_ref())) {
		println!("{error}");
		std::process::exit(1);
	}
}

fn load(name: &str, file: &File) -> Result<LocalEngine, EngineError> {
	Written::new(name, &file.bytes()).load()
}

#[test]
fn every_family_generates_on_the_tape_and_confirms_itself() {
	for name in FAMILIES {
		let engine = load(name, &family(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
		let prompt =
			engine.tokenizer().encode_chat(&[ChatMessage::new("user", "the fox")], &ChatOptions::default()).unwrap();
		let request =
			GenerateRequest { prompt, max_tokens: 64, key: seed_key(5), ignore_eos: true, ..Default::default() };
		let events = engine.generate(request.clone()).unwrap();
		let (generated, fingerprints) = collect_all(events, request.prompt.len());
		assert_eq!(generated.ids.len(), 64, "{name}");
		let check = CheckRequest { request, output: generated.ids, finish_reason: FinishReason::Length };
		let found = engine.check(check).unwrap().blocking_recv().unwrap().unwrap();
		for (at, (token, own)) in found.tokens.iter().zip(&fingerprints).enumerate() {
			let far = distance(&token.fingerprint, own);
			assert!(token.margin < 4_000 && far < 60, "{name}, token {at}: margin {}, distance {far}", token.margin);
		}
		assert!(found.ends_rightly && fingerprints.iter().all(|print| *print != [0; 16]), "{name}");
	}
}

#[test]
fn the_torch_backend_computes_the_same_of_the_llama_family() {
	let written = Written::new("both", &family("llama").bytes());
	let llama = written.load().unwrap();
	let torch =
		LocalEngine::load(&LocalConfig { context_length: 256, slots: 2, ..LocalConfig::torch(&written.0) }).unwrap();
	let prompt = torch.tokenizer().encode("the quick brown fox");
	assert_eq!(llama.tokenizer().encode("the quick brown fox"), prompt);
	assert_eq!(completion(&llama, greedy(prompt.clone(), 48)), completion(&torch, greedy(prompt, 48)));
}

#[test]
fn numbers_that_make_no_sense_are_refused_with_key_and_value() {
	for (key, value, shown) in [
		("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), "NaN"),
		("llama.attention.layer_norm_rms_epsilon", Value::F32(-1.0), "-1"),
		("llama.block_count", Value::U32(0), "0"),
		("llama.block_count", Value::U32(4_000_000), "4000000"),
		("llama.rope.freq_base", Value::F32(0.0), "0"),
		("llama.rope.freq_base", Value::F32(f32::INFINITY), "inf"),
		("llama.context_length", Value::U32(0), "0"),
		("llama.embedding_length", Value::U32(u32::MAX), "4294967295"),
		("llama.attention.head_count", Value::U32(0), "0"),
		("tokenizer.ggml.eos_token_id", Value::U32(4_000_000_000), "4000000000"),
		("tokenizer.ggml.token_type", Value::Integers(vec![1]), "a list of 1 integers"),
		("general.architecture", Value::U32(3), "3"),
	] {
		let mut file = family("llama");
		file.set(key, value);
		let error = load("senseless", &file).err().expect("it is refused").to_string();
		assert!(error.contains(&format!("{key} is {shown}")), "{error}");
	}
}

/// A change to a header.
#[derive(Clone, Debug)]
enum Change {
	/// Another number for one of the metadata's numbers.
	Number(prop::sample::Index, u32),
	Float(prop::sample::Index, f32),
	/// Another dimension of a tensor.
	Dimension(prop::sample::Index, u64),
	/// Without a tensor, or without a key.
	NoTensor(prop::sample::Index),
	NoKey(prop::sample::Index),
	/// Other bytes at some place.
	Bytes(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
	let number = prop_oneof![Just(0), Just(1), Just(3), Just(u32::MAX), Just(1 << 31), 0..300u32, any::<u32>()];
	let float = prop_oneof![Just(0.0), Just(-1.0), Just(f32::NAN), Just(f32::INFINITY), any::<f32>()];
	let long = prop_oneof![Just(0), Just(u64::MAX), Just(1 << 40), 1..300u64];
	let any_index = any::<prop::sample::Index>;
	prop_oneof![
		(any_index(), number).prop_map(|(at, n)| Change::Number(at, n)),
		(any_index(), float).prop_map(|(at, n)| Change::Float(at, n)),
		(any_index(), long).prop_map(|(at, n)| Change::Dimension(at, n)),
		any_index().prop_map(Change::NoTensor),
		any_index().prop_map(Change::NoKey),
		(any_index(), any::<u8>()).prop_map(|(at, byte)| Change::Bytes(at, byte)),
	]
}

/// Returns the bytes of a model after the changes.
fn changed(name: &str, changes: &[Change]) -> Vec<u8> {
	let mut file = family(name);
	for change in changes {
		let length = file.metadata.len();
		match change {
			Change::Number(at, n) => file.metadata[at.index(length)].1 = Value::U32(*n),
			Change::Float(at, n) => file.metadata[at.index(length)].1 = Value::F32(*n),
			Change::NoKey(at) => drop(file.metadata.remove(at.index(length))),
			Change::NoTensor(at) => drop(file.tensors.remove(at.index(file.tensors.len()))),
			Change::Dimension(at, n) => {
				let at = at.index(file.tensors.len());
				file.tensors[at].1[0] = *n;
			},
			Change::Bytes(..) => (),
		}
	}
	let mut bytes = family(name).bytes();
	let header = file.header();
	let old = family(name).header().len();
	bytes.splice(..old, header.iter().copied());
	for change in changes {
		if let Change::Bytes(at, byte) = change {
			bytes[at.index(header.len())] = *byte;
		}
	}
	bytes
}

proptest! {
	#![proptest_config(malformed_files())]

	/// A file either loads and generates, or is refused with a reason: the process goes on.
	#[test]
	fn no_malformed_file_ends_the_process(
		name in prop::sample::select(&FAMILIES[..]),
		changes in prop::collection::vec(change(), 1..4),
	) {
		generates_or_is_refused(Written::new("malformed", &changed(name, &changes)).load());
	}
}
