//! Small models with random weights, written as GGUF files.

use std::io::Write;

/// A metadata value.
#[derive(Clone, Debug)]
pub enum Value {
	U32(u32),
	F32(f32),
	Bool(bool),
	Text(String),
	Texts(Vec<String>),
	Integers(Vec<i32>),
}

/// A file's metadata and tensors. All weights are 32-bit floats.
#[derive(Clone, Debug, Default)]
pub struct File {
	pub metadata: Vec<(String, Value)>,
	/// Name, and dimensions with the innermost first.
	pub tensors: Vec<(String, Vec<u64>)>,
}

/// Shape of the models.
const WIDTH: u64 = 64;
const HEADS: u64 = 4;
const KV_HEADS: u64 = 2;
const HEAD: u64 = 16;
const FEED_FORWARD: u64 = 96;
const LAYERS: u64 = 2;
const EXPERTS: u64 = 4;
const CONTEXT: u32 = 256;

/// Families of models, by what distinguishes them from the llama family.
pub const FAMILIES: [&str; 6] = ["llama", "llama-3-scaled", "qwen3", "gemma3", "qwen3moe", "gpt-oss"];

/// Returns a model of the family.
pub fn family(name: &str) -> File {
	let architecture = match name {
		"llama-3-scaled" => "llama",
		other => other,
	};
	let mut file = File::default();
	let mut own = |key: &str, value: Value| file.metadata.push((format!("{architecture}.{key}"), value));
	own("block_count", Value::U32(LAYERS as u32));
	own("context_length", Value::U32(CONTEXT));
	own("embedding_length", Value::U32(WIDTH as u32));
	own("feed_forward_length", Value::U32(FEED_FORWARD as u32));
	own("attention.head_count", Value::U32(HEADS as u32));
	own("attention.head_count_kv", Value::U32(KV_HEADS as u32));
	own("attention.layer_norm_rms_epsilon", Value::F32(1e-5));
	own("rope.freq_base", Value::F32(10_000.0));
	own("rope.dimension_count", Value::U32(HEAD as u32));
	own("attention.key_length", Value::U32(HEAD as u32));
	own("attention.value_length", Value::U32(HEAD as u32));
	if matches!(name, "gemma3" | "gpt-oss") {
		own("attention.sliding_window", Value::U32(32));
	}
	if matches!(name, "qwen3moe" | "gpt-oss") {
		own("expert_count", Value::U32(EXPERTS as u32));
		own("expert_used_count", Value::U32(2));
		own("expert_feed_forward_length", Value::U32(FEED_FORWARD as u32));
	}
	vocabulary(&mut file, architecture);

	let tokens = 256 + SPECIAL.len() as u64;
	let mut tensor = |name: String, shape: &[u64]| file.tensors.push((name, shape.to_vec()));
	tensor("token_embd.weight".into(), &[WIDTH, tokens]);
	tensor("output_norm.weight".into(), &[WIDTH]);
	if name != "gemma3" {
		tensor("output.weight".into(), &[WIDTH, tokens]);
	}
	if name == "llama-3-scaled" {
		tensor("rope_freqs.weight".into(), &[HEAD / 2]);
	}
	for layer in 0..LAYERS {
		let mut block = |part: &str, shape: &[u64]| tensor(format!("blk.{layer}.{part}"), shape);
		block("attn_norm.weight", &[WIDTH]);
		block("attn_q.weight", &[WIDTH, HEADS * HEAD]);
		block("attn_k.weight", &[WIDTH, KV_HEADS * HEAD]);
		block("attn_v.weight", &[WIDTH, KV_HEADS * HEAD]);
		block("attn_output.weight", &[HEADS * HEAD, WIDTH]);
		if matches!(name, "qwen3" | "qwen3moe" | "gemma3") {
			block("attn_q_norm.weight", &[HEAD]);
			block("attn_k_norm.weight", &[HEAD]);
		}
		match name {
			"gemma3" => {
				block("post_attention_norm.weight", &[WIDTH]);
				block("post_ffw_norm.weight", &[WIDTH]);
			},
			"gpt-oss" => {
				block("post_attention_norm.weight", &[WIDTH]);
				block("attn_sinks.weight", &[HEADS]);
				block("attn_q.bias", &[HEADS * HEAD]);
				block("attn_k.bias", &[KV_HEADS * HEAD]);
				block("attn_v.bias", &[KV_HEADS * HEAD]);
				block("attn_output.bias", &[WIDTH]);
				block("ffn_gate_inp.bias", &[EXPERTS]);
				block("ffn_gate_exps.bias", &[FEED_FORWARD, EXPERTS]);
				block("ffn_down_exps.bias", &[WIDTH, EXPERTS]);
				block("ffn_up_exps.bias", &[FEED_FORWARD, EXPERTS]);
			},
			_ => (),
		}
		if name != "gpt-oss" {
			block("ffn_norm.weight", &[WIDTH]);
		}
		if matches!(name, "qwen3moe" | "gpt-oss") {
			block("ffn_gate_inp.weight", &[WIDTH, EXPERTS]);
			block("ffn_gate_exps.weight", &[WIDTH, FEED_FORWARD, EXPERTS]);
			block("ffn_down_exps.weight", &[FEED_FORWARD, WIDTH, EXPERTS]);
			block("ffn_up_exps.weight", &[WIDTH, FEED_FORWARD, EXPERTS]);
		} else {
			block("ffn_gate.weight", &[WIDTH, FEED_FORWARD]);
			block("ffn_up.weight", &[WIDTH, FEED_FORWARD]);
			block("ffn_down.weight", &[FEED_FORWARD, WIDTH]);
		}
	}
	file
}

/// Returns a model that makes embeddings, with llama.cpp's number of a kind of pooling: of a family above, or of the family `bert`.
pub fn embedding_model(name: &str, pooling: u32) -> File {
	let mut file = if name == "bert" { bert() } else { family(name) };
	file.set(&format!("{name}.pooling_type"), Value::U32(pooling));
	file
}

fn bert() -> File {
	let mut file = File::default();
	let mut key = |key: &str, value: Value| file.metadata.push((key.into(), value));
	key("general.architecture", Value::Text("bert".into()));
	key("bert.block_count", Value::U32(LAYERS as u32));
	key("bert.context_length", Value::U32(CONTEXT));
	key("bert.embedding_length", Value::U32(WIDTH as u32));
	key("bert.feed_forward_length", Value::U32(FEED_FORWARD as u32));
	key("bert.attention.head_count", Value::U32(HEADS as u32));
	key("bert.attention.layer_norm_epsilon", Value::F32(1e-5));
	key("bert.attention.causal", Value::Bool(false));
	let special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"];
	let words = ["the", "fox", "quick", "brown", "a", ".", "#"].map(|word| format!("▁{word}"));
	let tokens: Vec<String> = special.map(String::from).into_iter().chain(words).collect();
	let types = (0..tokens.len()).map(|id| if id < special.len() { 3 } else { 1 }).collect();
	let count = tokens.len() as u64;
	key("tokenizer.ggml.model", Value::Text("bert".into()));
	key("tokenizer.ggml.tokens", Value::Texts(tokens));
	key("tokenizer.ggml.token_type", Value::Integers(types));
	key("tokenizer.ggml.token_type_count", Value::U32(2));
	for (name, id) in
		[("padding", 0), ("bos", 1), ("cls", 1), ("eos", 2), ("seperator", 2), ("unknown", 3), ("mask", 3)]
	{
		key(&format!("tokenizer.ggml.{name}_token_id"), Value::U32(id));
	}

	let mut tensor = |name: String, shape: &[u64]| file.tensors.push((name, shape.to_vec()));
	tensor("token_embd.weight".into(), &[WIDTH, count]);
	tensor("token_types.weight".into(), &[WIDTH, 2]);
	tensor("position_embd.weight".into(), &[WIDTH, CONTEXT.into()]);
	for part in ["weight", "bias"] {
		tensor(format!("token_embd_norm.{part}"), &[WIDTH]);
	}
	for layer in 0..LAYERS {
		for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
			tensor(format!("blk.{layer}.{part}.weight"), &[WIDTH, WIDTH]);
		}
		tensor(format!("blk.{layer}.ffn_up.weight"), &[WIDTH, FEED_FORWARD]);
		tensor(format!("blk.{layer}.ffn_down.weight"), &[FEED_FORWARD, WIDTH]);
		for part in
			["attn_output_norm.weight", "attn_output_norm.bias", "layer_output_norm.weight", "layer_output_norm.bias"]
		{
			tensor(format!("blk.{layer}.{part}"), &[WIDTH]);
		}
	}
	file
}

/// Special tokens, after a token for each byte.
const SPECIAL: [&str; 3] = ["<|begin|>", "<|im_start|>", "<|im_end|>"];
const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                        {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

fn vocabulary(file: &mut File, architecture: &str) {
	let tokens: Vec<String> = byte_alphabet().into_iter().chain(SPECIAL.map(String::from)).collect();
	let types = (0..tokens.len()).map(|id| if id < 256 { 1 } else { 3 }).collect();
	for (key, value) in [
		("general.architecture", Value::Text(architecture.into())),
		("tokenizer.ggml.model", Value::Text("gpt2".into())),
		("tokenizer.ggml.pre", Value::Text("gpt-2".into())),
		("tokenizer.ggml.tokens", Value::Texts(tokens)),
		("tokenizer.ggml.token_type", Value::Integers(types)),
		("tokenizer.ggml.merges", Value::Texts(vec!["t h".into()])),
		("tokenizer.ggml.bos_token_id", Value::U32(256)),
		("tokenizer.ggml.eos_token_id", Value::U32(258)),
		("tokenizer.ggml.add_bos_token", Value::Bool(false)),
		("tokenizer.chat_template", Value::Text(TEMPLATE.into())),
	] {
		file.metadata.push((key.into(), value));
	}
}

/// GPT-2's characters for the 256 bytes, in the order of the bytes. The first merge's token takes the place of byte 0,
/// which no test needs.
fn byte_alphabet() -> Vec<String> {
	let mut next = 256;
	(0..=u8::MAX)
		.map(|byte| match byte {
			0 => {
				next += 1;
				"th".into()
			},
			b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte).to_string(),
			_ => {
				next += 1;
				char::from_u32(next - 1).expect("a code point").to_string()
			},
		})
		.collect()
}

impl File {
	/// Changes the value of a key, or adds it.
	pub fn set(&mut self, key: &str, value: Value) {
		match self.metadata.iter_mut().find(|(known, _)| known == key) {
			Some((_, old)) => *old = value,
			None => self.metadata.push((key.into(), value)),
		}
	}

	/// Returns the weights of all tensors. Norms and scales are 1; all other weights are drawn from a generator with a fixed
	/// seed.
	pub fn weights(&self) -> Vec<Vec<f32>> {
		let mut state = 1u64;
		let mut draw = || {
			state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
			((state >> 40) as f32 / (1u32 << 24) as f32 - 0.5) * 0.6
		};
		let mut weights = |(name, shape): &(String, Vec<u64>)| {
			let is_scale = name.contains("norm") || name.starts_with("rope_freqs");
			let count = shape.iter().product::<u64>();
			(0..count).map(|_| draw()).map(|drawn| if is_scale { 1.0 } else { drawn }).collect()
		};
		self.tensors.iter().map(&mut weights).collect()
	}

	/// Returns the file's bytes.
	pub fn bytes(&self) -> Vec<u8> {
		let mut out = self.header();
		for weights in self.weights() {
			out.resize(out.len().next_multiple_of(32), 0);
			for weight in weights {
				out.write_all(&weight.to_le_bytes()).expect("a vector takes all bytes");
			}
		}
		out.resize(out.len().next_multiple_of(32), 0);
		out
	}

	/// Returns the bytes before the tensors' data.
	pub fn header(&self) -> Vec<u8> {
		let mut out = b"GGUF\x03\0\0\0".to_vec();
		out.extend((self.tensors.len() as u64).to_le_bytes());
		out.extend((self.metadata.len() as u64).to_le_bytes());
		for (key, value) in &self.metadata {
			text(&mut out, key);
			match value {
				Value::U32(n) => (out.extend(4u32.to_le_bytes()), out.extend(n.to_le_bytes())).1,
				Value::F32(n) => (out.extend(6u32.to_le_bytes()), out.extend(n.to_le_bytes())).1,
				Value::Bool(flag) => (out.extend(7u32.to_le_bytes()), out.push((*flag).into())).1,
				Value::Text(value) => (out.extend(8u32.to_le_bytes()), text(&mut out, value)).1,
				Value::Texts(list) => {
					list_of(&mut out, 8, list.len());
					list.iter().for_each(|value| text(&mut out, value));
				},
				Value::Integers(list) => {
					list_of(&mut out, 5, list.len());
					list.iter().for_each(|n| out.extend(n.to_le_bytes()));
				},
			}
		}
		let mut offset = 0u64;
		for (name, shape) in &self.tensors {
			text(&mut out, name);
			out.extend((shape.len() as u32).to_le_bytes());
			shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
			out.extend(0u32.to_le_bytes());
			out.extend(offset.to_le_bytes());
			// Tests write shapes that make no sense.
			let numbers = shape.iter().fold(1u64, |product, n| product.wrapping_mul(*n));
			offset = offset.wrapping_add(numbers.wrapping_mul(4)).checked_next_multiple_of(32).unwrap_or_default();
		}
		out.resize(out.len().next_multiple_of(32), 0);
		out
	}
}

fn text(out: &mut Vec<u8>, text: &str) {
	out.extend((text.len() as u64).to_le_bytes());
	out.extend(text.as_bytes());
}

fn list_of(out: &mut Vec<u8>, kind: u32, length: usize) {
	out.extend(9u32.to_le_bytes());
	out.extend(kind.to_le_bytes());
	out.extend((length as u64).to_le_bytes());
}
