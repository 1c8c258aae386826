//! Models in folders with safetensors, on the torch backend.

mod common;

use std::path::Path;

use common::{
	completion, generates_or_is_refused,
	gguf::{File, Value as Stored, family},
	greedy, malformed_files,
};
use gonka_engine::{Backend, ChatMessage, ChatOptions, Engine, EngineError, LocalConfig, LocalEngine, Precision};
use half::bf16;
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tokenizers::{
	AddedToken, Tokenizer,
	models::bpe::{BPE, Vocab},
	pre_tokenizers::byte_level::ByteLevel,
};

/// Width of a head of the test model.
const HEAD: usize = 16;

fn config(path: &Path, precision: Precision) -> LocalConfig {
	LocalConfig { context_length: 256, slots: 2, backend: Backend::Torch(precision), ..LocalConfig::torch(path) }
}

fn load(path: &Path) -> Result<LocalEngine, EngineError> {
	LocalEngine::load(&config(path, Precision::F32))
}

/// Returns the name of a GGUF tensor in a folder.
fn name_in_folder(name: &str) -> String {
	let whole = match name {
		"token_embd.weight" => "model.embed_tokens",
		"output_norm.weight" => "model.norm",
		"output.weight" => "lm_head",
		_ => "",
	};
	if !whole.is_empty() {
		return format!("{whole}.weight");
	}
	let (_, layer_and_part) = name.split_once('.').unwrap();
	let (layer, part) = layer_and_part.split_once('.').unwrap();
	let part = match part.trim_end_matches(".weight") {
		"attn_norm" => "input_layernorm",
		"attn_q" => "self_attn.q_proj",
		"attn_k" => "self_attn.k_proj",
		"attn_v" => "self_attn.v_proj",
		"attn_output" => "self_attn.o_proj",
		"ffn_norm" => "post_attention_layernorm",
		"ffn_gate" => "mlp.gate_proj",
		"ffn_up" => "mlp.up_proj",
		"ffn_down" => "mlp.down_proj",
		other => panic!("{other}"),
	};
	format!("model.layers.{layer}.{part}.weight")
}

/// Puts the numbers of a rotated pair half a head apart, as folders have them: in GGUF files they are neighbours.
fn halves(weights: &[f32], columns: usize) -> Vec<f32> {
	let rows: Vec<&[f32]> = weights.chunks(columns).collect();
	let half = HEAD / 2;
	let order = |row: usize| {
		let (head, place) = (row / HEAD * HEAD, row % HEAD);
		head + if place < half { 2 * place } else { 2 * (place - half) + 1 }
	};
	(0..rows.len()).flat_map(|row| rows[order(row)].iter().copied()).collect()
}

/// The tensors of a folder: names, shapes with the outermost dimension first, and bytes.
fn tensors(file: &File, dtype: Dtype) -> Vec<(String, Vec<usize>, Vec<u8>)> {
	let bytes = |weights: Vec<f32>| match dtype {
		Dtype::BF16 => weights.iter().flat_map(|weight| bf16::from_f32(*weight).to_le_bytes()).collect(),
		_ => weights.iter().flat_map(|weight| weight.to_le_bytes()).collect::<Vec<u8>>(),
	};
	let convert = |((name, shape), weights): (&(String, Vec<u64>), Vec<f32>)| {
		let is_rotated = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
		let weights = if is_rotated { halves(&weights, shape[0] as usize) } else { weights };
		(name_in_folder(name), shape.iter().rev().map(|n| *n as usize).collect(), bytes(weights))
	};
	file.tensors.iter().zip(file.weights()).map(convert).collect()
}

fn weights_file(tensors: &[(String, Vec<usize>, Vec<u8>)], dtype: Dtype) -> Vec<u8> {
	let views = tensors
		.iter()
		.map(|(name, shape, bytes)| (name.as_str(), TensorView::new(dtype, shape.clone(), bytes).unwrap()));
	safetensors::serialize(views, None).unwrap()
}

fn configuration() -> Value {
	json!({
		"model_type": "llama", "vocab_size": 259, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
		"intermediate_size": 96, "max_position_embeddings": 256, "num_hidden_layers": 2, "rms_norm_eps": 1e-5,
		"rope_theta": 10_000.0, "hidden_act": "silu", "tie_word_embeddings": false, "eos_token_id": 258,
	})
}

/// Makes `tokenizer.json` of a GGUF file's vocabulary.
fn tokenizer(file: &File) -> String {
	let texts = |key: &str| match file.metadata.iter().find(|(known, _)| known == key) {
		Some((_, Stored::Texts(list))) => list.clone(),
		other => panic!("{other:?}"),
	};
	let tokens = texts("tokenizer.ggml.tokens");
	let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
	let merges = texts("tokenizer.ggml.merges");
	let merges = merges.iter().map(|merge| merge.split_once(' ').map(|(a, b)| (a.into(), b.into())).unwrap()).collect();
	let mut tokenizer = Tokenizer::new(BPE::builder().vocab_and_merges(vocabulary, merges).build().unwrap());
	let byte_level = ByteLevel::new(false, true, true);
	tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
	tokenizer.add_special_tokens(tokens[256..].iter().map(|text| AddedToken::from(text.as_str(), true))).unwrap();
	tokenizer.to_string(false).unwrap()
}

/// Writes a folder with the weights of a GGUF file's model.
fn write(folder: &Path, file: &File, dtype: Dtype) {
	let tensors = tensors(file, dtype);
	// In two files, as large models are.
	let (first, second) = tensors.split_at(tensors.len() / 2);
	std::fs::write(folder.join("model-00001-of-00002.safetensors"), weights_file(first, dtype)).unwrap();
	std::fs::write(folder.join("model-00002-of-00002.safetensors"), weights_file(second, dtype)).unwrap();
	std::fs::write(folder.join("config.json"), configuration().to_string()).unwrap();
	std::fs::write(folder.join("tokenizer.json"), tokenizer(file)).unwrap();
	let template = file.metadata.iter().find(|(key, _)| key == "tokenizer.chat_template");
	let Some((_, Stored::Text(template))) = template else { panic!("no template") };
	std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
}

#[test]
fn a_folder_gives_what_a_gguf_file_with_the_same_weights_gives() {
	let (file, folder) = (family("llama"), tempfile::tempdir().unwrap());
	let path = folder.path().join("model.gguf");
	std::fs::write(&path, file.bytes()).unwrap();
	write(folder.path(), &file, Dtype::F32);
	let (gguf, own) = (load(&path).unwrap(), load(folder.path()).unwrap());
	assert_eq!((own.info().vocab_size, own.info().eos, own.info().context_length), (259, vec![258], 256));
	for text in ["the fox", "", "naïve 漢字 🦀", "<|im_end|> is plain text", "a\n\n\tb  c"] {
		assert_eq!(own.tokenizer().encode(text), gguf.tokenizer().encode(text), "{text:?}");
	}
	let messages = [ChatMessage::new("user", "Say <|im_end|> twice."), ChatMessage::new("assistant", "No.")];
	let prompt = own.tokenizer().encode_chat(&messages, &ChatOptions::default()).unwrap();
	assert_eq!(prompt, gguf.tokenizer().encode_chat(&messages, &ChatOptions::default()).unwrap());
	assert_eq!(own.tokenizer().decode(&prompt), gguf.tokenizer().decode(&prompt));
	assert_eq!(completion(&own, greedy(prompt.clone(), 64)), completion(&gguf, greedy(prompt, 64)));
}

#[test]
fn weights_in_bfloat16_are_computed_in_both_precisions() {
	let (file, folder) = (family("llama"), tempfile::tempdir().unwrap());
	write(folder.path(), &file, Dtype::BF16);
	for precision in [Precision::F32, Precision::Bf16] {
		let engine = LocalEngine::load(&config(folder.path(), precision)).unwrap();
		let prompt = engine.tokenizer().encode("the fox");
		assert_eq!(completion(&engine, greedy(prompt.clone(), 8)), completion(&engine, greedy(prompt, 8)));
	}
}

#[test]
fn values_that_make_no_sense_are_refused_with_key_and_value() {
	let (file, folder) = (family("llama"), tempfile::tempdir().unwrap());
	write(folder.path(), &file, Dtype::F32);
	for (key, value, shown) in [
		("rms_norm_eps", json!(-1.0), "rms_norm_eps is -1.0"),
		("rms_norm_eps", json!("small"), "rms_norm_eps is \"small\""),
		("num_hidden_layers", json!(0), "num_hidden_layers is 0"),
		("num_hidden_layers", json!(4_000_000), "num_hidden_layers is 4000000"),
		("num_hidden_layers", json!(3), "no tensor model.layers.2"),
		("rope_theta", json!(0), "rope_theta is 0"),
		("rope_scaling", json!({ "rope_type": "llama3" }), "rope_scaling is"),
		("vocab_size", json!(10), "more tokens than vocab_size, 10"),
		("vocab_size", json!(300), "embed_tokens.weight is [259, 64], not 300 x 64"),
		("hidden_size", json!(u64::MAX), "hidden_size is 18446744073709551615"),
		("num_attention_heads", json!(7), "num_attention_heads is 7"),
		("head_dim", json!(32), "head_dim is 32"),
		("model_type", json!("gpt2"), "model_type is \"gpt2\""),
		("sliding_window", json!(4_096), "sliding_window is 4096"),
	] {
		let mut changed = configuration();
		changed[key] = value;
		std::fs::write(folder.path().join("config.json"), changed.to_string()).unwrap();
		let error = load(folder.path()).err().expect("it is refused").to_string();
		assert!(error.contains(shown), "{key}: {error}");
	}
}

#[test]
fn files_that_are_missing_or_broken_are_named() {
	let file = family("llama");
	for (name, bytes, shown) in [
		("config.json", None, "config.json"),
		("config.json", Some(&b"<html>"[..]), "config.json is malformed"),
		("tokenizer.json", None, "tokenizer.json"),
		("tokenizer.json", Some(b"{}"), "tokenizer.json"),
		("model-00002-of-00002.safetensors", None, "no tensor"),
		("model-00002-of-00002.safetensors", Some(b"version https://git-lfs"), "is no file of safetensors"),
		("model-00003-of-00003.safetensors", Some(b""), "safetensors"),
	] {
		let folder = tempfile::tempdir().unwrap();
		write(folder.path(), &file, Dtype::F32);
		let path = folder.path().join(name);
		match bytes {
			Some(bytes) => std::fs::write(&path, bytes).unwrap(),
			None => std::fs::remove_file(&path).unwrap(),
		}
		let error = load(folder.path()).err().expect("it is refused").to_string();
		assert!(error.contains(shown), "{name}: {error}");
	}
	let error = LocalEngine::load(&LocalConfig::torch("/nowhere")).err().expect("it is refused").to_string();
	assert!(error.contains("/nowhere"), "{error}");
}

/// A change to the files of a folder.
#[derive(Clone, Debug)]
enum Change {
	/// Another value of a key of the configuration.
	Value(prop::sample::Index, Value),
	/// Another byte in the header of the weights.
	Byte(prop::sample::Index, u8),
	/// Fewer bytes of the weights.
	Cut(prop::sample::Index),
	/// Another number in place of one in the header.
	Number(prop::sample::Index, u64),
}

fn change() -> impl Strategy<Value = Change> {
	let any_index = any::<prop::sample::Index>;
	let value = prop_oneof![
		Just(Value::Null),
		Just(json!("text")),
		Just(json!([1, 2])),
		any::<f64>().prop_map(|number| json!(number)),
		prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 31), 0..300u64].prop_map(|number| json!(number)),
		any::<i64>().prop_map(|number| json!(number)),
	];
	let number = prop_oneof![Just(0), Just(u64::MAX), Just(1 << 40), 1..300u64];
	prop_oneof![
		(any_index(), value).prop_map(|(at, value)| Change::Value(at, value)),
		(any_index(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
		any_index().prop_map(Change::Cut),
		(any_index(), number).prop_map(|(at, number)| Change::Number(at, number)),
	]
}

/// Returns the configuration and the weights after the changes.
fn changed(weights: &[u8], changes: &[Change]) -> (String, Vec<u8>) {
	let (mut config, mut weights) = (configuration(), weights.to_vec());
	for change in changes {
		let header = 8 + usize::from_le_bytes(weights[..8].try_into().unwrap());
		match change {
			Change::Value(at, value) => {
				let keys = config.as_object_mut().unwrap();
				let key = keys.keys().nth(at.index(keys.len())).unwrap().clone();
				keys.insert(key, value.clone());
			},
			Change::Byte(at, byte) => {
				let at = at.index(header.min(weights.len()));
				weights[at] = *byte;
			},
			Change::Cut(at) => weights.truncate(8 + at.index(weights.len() - 8)),
			Change::Number(at, number) => {
				let Ok(text) = std::str::from_utf8(&weights[8..header.clamp(8, weights.len())]) else { continue };
				// Where numbers begin, and where they end.
				let is_number = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
				let begins = |at: &usize| is_number(*at) && (*at == 0 || !is_number(*at - 1));
				let places: Vec<usize> = (0..text.len()).filter(begins).collect();
				let Some(begin) = (!places.is_empty()).then(|| places[at.index(places.len())]) else { continue };
				let end = (begin..=text.len()).find(|at| !is_number(*at)).unwrap_or(text.len());
				let text = format!("{}{number}{}", &text[..begin], &text[end..]);
				let data = weights[header.clamp(8, weights.len())..].to_vec();
				weights = [&text.len().to_le_bytes()[..], text.as_bytes(), &data].concat();
			},
		}
		if weights.len() < 8 {
			break;
		}
	}
	(config.to_string(), weights)
}

proptest! {
	#![proptest_config(malformed_files())]

	/// A folder either loads and generates, or is refused with a reason: the process goes on.
	#[test]
	fn no_malformed_folder_ends_the_process(changes in prop::collection::vec(change(), 1..4)) {
		let (file, folder) = (family("llama"), tempfile::tempdir().unwrap());
		write(folder.path(), &file, Dtype::F32);
		let path = folder.path().join("model-00001-of-00002.safetensors");
		let (config, weights) = changed(&std::fs::read(&path).unwrap(), &changes);
		std::fs::write(folder.path().join("config.json"), config).unwrap();
		std::fs::write(path, weights).unwrap();
		generates_or_is_refused(load(folder.path()));
	}
}
