//! A model as its makers publish it: a folder with `config.json`, `tokenizer.json` and `*.safetensors`.
//!
//! Weights are mapped, not read. All numbers are checked before anything is computed with them.

use std::{collections::HashMap, fs::File, ops::Range, path::Path};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tokenizers::DecoderWrapper;

use super::{
	bpe::{Bpe, byte_decoder},
	checkpoint::{Checkpoint, Dimensions, Matrix, Part, Stored},
};
use crate::EngineError;
use gonka_tokenizer::{
	gguf::Format,
	tokenizer::{Tokenizer, Vocabulary},
};

/// Maximum number of bytes of a JSON file: tokenizers with a quarter of a million tokens take a tenth of it.
const MAX_JSON: u64 = 256 << 20;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
	/// A file is missing or cannot be read.
	#[error("{0}: {1}")]
	File(String, std::io::Error),
	/// A file is no JSON, or another one.
	#[error("{0} is malformed: {1}")]
	Json(&'static str, serde_json::Error),
	/// A file is larger than such files are.
	#[error("{0} has {1} bytes, which is too much")]
	Size(&'static str, u64),
	/// A key of the configuration makes no sense, or asks for what this backend lacks.
	#[error("config.json: {key} is {value}, but {must}")]
	Key {
		/// The key.
		key: String,
		/// Its value.
		value: Value,
		/// What it must be.
		must: &'static str,
	},
	/// A file of weights is malformed.
	#[error("{0} is no file of safetensors: {1}")]
	Weights(String, safetensors::SafeTensorError),
	/// Two files have a tensor of the same name.
	#[error("tensor {0} stands twice in the folder")]
	Twice(String),
	/// The folder has no weights.
	#[error("there is no file *.safetensors")]
	Empty,
	/// A tensor is missing.
	#[error("there is no tensor {0}")]
	NoTensor(String),
	/// A tensor's shape or numbers are of another kind.
	#[error(
		"tensor {name} has the type {dtype:?} and the shape {shape:?}: it must have one or two dimensions, of F32, F16 or BF16"
	)]
	Tensor {
		/// Its name.
		name: String,
		/// The type of its numbers.
		dtype: Dtype,
		/// Its dimensions.
		shape: Vec<usize>,
	},
	/// The tokenizer cannot be used.
	#[error("tokenizer.json: {0}")]
	Tokenizer(String),
}

fn refused(error: FolderError) -> EngineError {
	EngineError::Model(error.to_string())
}

/// An open folder.
pub struct Folder {
	name: Option<String>,
	config: Config,
	generation: Option<Value>,
	tokenizer: Value,
	tokenizer_config: Option<Value>,
	template: Option<String>,
	files: Vec<Mmap>,
	tensors: HashMap<String, Place>,
}

/// A tensor in the files.
struct Place {
	file: usize,
	dtype: Dtype,
	shape: Vec<usize>,
	bytes: Range<usize>,
}

impl Folder {
	/// Reads the configuration and the headers of all files with weights.
	///
	/// # Errors
	/// [`EngineError::Model`] when a file is missing or malformed.
	pub fn open(path: &Path) -> Result<Self, EngineError> {
		let named = |error: FolderError| EngineError::Model(format!("{}: {error}", path.display()));
		Self::read(path).map_err(named)
	}

	fn read(path: &Path) -> Result<Self, FolderError> {
		let config = Config(json(path, "config.json")?);
		let optional = |name| if path.join(name).exists() { json(path, name).map(Some) } else { Ok(None) };
		let template = path.join("chat_template.jinja");
		let mut folder = Self {
			name: path.file_name().map(|name| name.to_string_lossy().into_owned()),
			generation: optional("generation_config.json")?,
			tokenizer: json(path, "tokenizer.json")?,
			tokenizer_config: optional("tokenizer_config.json")?,
			template: match template.exists() {
				true => Some(std::fs::read_to_string(&template).map_err(|error| file_error(&template, error))?),
				false => None,
			},
			config,
			files: Vec::new(),
			tensors: HashMap::new(),
		};
		let entries = std::fs::read_dir(path).map_err(|error| file_error(path, error))?;
		let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
		files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
		files.sort();
		for file in files {
			folder.add(&file)?;
		}
		if folder.tensors.is_empty() { Err(FolderError::Empty) } else { Ok(folder) }
	}

	/// Adds the tensors of a file.
	fn add(&mut self, path: &Path) -> Result<(), FolderError> {
		let failed = |error| file_error(path, error);
		let file = File::open(path).map_err(failed)?;
		// SAFETY: the map is read-only, and bytes are copied out of it before they are interpreted. Truncating the file
		// meanwhile kills the process by SIGBUS, as with any mapped file; model files are replaced by renaming.
		let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
		let malformed = |error| FolderError::Weights(path.display().to_string(), error);
		let (length, header) = SafeTensors::read_metadata(&map).map_err(malformed)?;
		let first = length + size_of::<u64>();
		for (name, tensor) in header.tensors() {
			let (begin, end) = tensor.data_offsets;
			let place = Place {
				file: self.files.len(),
				dtype: tensor.dtype,
				shape: tensor.shape.clone(),
				bytes: first + begin..first + end,
			};
			if self.tensors.insert(name.clone(), place).is_some() {
				return Err(FolderError::Twice(name));
			}
		}
		self.files.push(map);
		Ok(())
	}

	fn tensor(&self, name: String, has_halves: bool) -> Result<Stored<'_>, FolderError> {
		let Some(place) = self.tensors.get(&name) else { return Err(FolderError::NoTensor(name)) };
		let bytes = self.files.get(place.file).and_then(|file| file.get(place.bytes.clone()));
		let format = match place.dtype {
			Dtype::F32 => Some(Format::F32),
			Dtype::F16 => Some(Format::F16),
			Dtype::BF16 => Some(Format::BF16),
			_ => None,
		};
		let shape = match place.shape[..] {
			[columns] => Some([1, columns]),
			[rows, columns] => Some([rows, columns]),
			_ => None,
		};
		match (bytes, format, shape) {
			(Some(bytes), Some(format), Some(shape)) => Ok(Stored { name, shape, format, bytes, has_halves }),
			_ => Err(FolderError::Tensor { name, dtype: place.dtype, shape: place.shape.clone() }),
		}
	}

	fn read_dimensions(&self) -> Result<Dimensions, FolderError> {
		let config = &self.config;
		if !["llama", "mistral"].contains(&config.value("model_type").as_str().unwrap_or_default()) {
			return Err(config.bad("model_type", "libtorch computes llama and mistral only"));
		}
		let no = [Value::Bool(false)];
		config.only("attention_bias", &no, "biases are not supported")?;
		config.only("mlp_bias", &no, "biases are not supported")?;
		config.only("hidden_act", &["silu".into(), "swish".into()], "only silu is supported")?;
		config.only("sliding_window", &[], "sliding windows are not supported")?;
		config.only("rope_scaling", &[], "scaled rotations are not supported")?;
		// Where newer files keep what concerns rotations.
		let rotations = Config(config.value("rope_parameters"));
		rotations.only("rope_type", &["default".into()], "scaled rotations are not supported")?;

		let heads = config.size("num_attention_heads", None, 1 << 12)?;
		let width = config.size("hidden_size", None, 1 << 17)?;
		if width % heads != 0 {
			return Err(config.bad("num_attention_heads", "hidden_size must be a multiple of it"));
		}
		if config.size("head_dim", Some(width / heads), 1 << 12)?.checked_mul(heads) != Some(width) {
			return Err(config.bad("head_dim", "it must be hidden_size / num_attention_heads"));
		}
		let theta = config.number("rope_theta", rotations.number("rope_theta", 10_000.0, 1e12)?, 1e12)?;
		Ok(Dimensions {
			vocabulary: config.size("vocab_size", None, 1 << 24)?,
			width,
			heads,
			kv_heads: config.size("num_key_value_heads", Some(heads), 1 << 12)?,
			feed_forward: config.size("intermediate_size", None, 1 << 20)?,
			context: config.size("max_position_embeddings", None, 1 << 24)?,
			layers: config.size("num_hidden_layers", None, 1 << 10)?,
			epsilon: config.number("rms_norm_eps", 1e-6, 1.0)?,
			theta,
			// Newer files leave the key out where both are one.
			has_output: match config.value("tie_word_embeddings") {
				Value::Bool(are_tied) => !are_tied,
				_ => self.tensors.contains_key("lm_head.weight"),
			},
		})
	}

	fn read_tokenizer(&self) -> Result<(Vocabulary, Bpe), FolderError> {
		let vocabulary = self.read_dimensions()?.vocabulary;
		let malformed = |error: &dyn std::fmt::Display| FolderError::Tokenizer(error.to_string());
		let mut tokenizer: tokenizers::Tokenizer =
			serde_json::from_value(self.tokenizer.clone()).map_err(|error| malformed(&error))?;
		if !matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
			return Err(malformed(&"only byte-level tokens are supported"));
		}
		if tokenizer.get_vocab_size(true) > vocabulary {
			return Err(malformed(&format!("it has more tokens than vocab_size, {vocabulary}")));
		}
		// Names of special tokens in a text are plain text. Truncation and padding are not for prompts.
		tokenizer.set_encode_special_tokens(true);
		tokenizer.with_truncation(None).map_err(|error| malformed(&error))?.with_padding(None);

		let mut special: Vec<(String, u32)> = tokenizer
			.get_added_tokens_decoder()
			.iter()
			.filter(|(_, token)| token.special)
			.map(|(id, token)| (token.content.clone(), *id))
			.collect();
		special.sort_by_key(|(_, id)| *id);
		let bytes_of = byte_decoder();
		// Added tokens have their text as it is, and all others in GPT-2's alphabet. Special ones stand for no text.
		let added = tokenizer.get_added_tokens_decoder();
		let bytes = |id: u32| match (added.get(&id), tokenizer.id_to_token(id)) {
			(Some(token), _) if token.special => Box::default(),
			(Some(token), _) => token.content.as_bytes().into(),
			(None, Some(text)) => bytes_of(&text),
			(None, None) => Box::default(),
		};
		// Some tokenizers begin a text with a token.
		let leading = tokenizer.encode_fast("", true).map_err(|error| malformed(&error))?.get_ids().first().copied();
		let bos = self.config.value("bos_token_id").as_u64().filter(|id| *id < vocabulary as u64);
		let bos = bos.and_then(|id| u32::try_from(id).ok());
		let template = self.tokenizer_config.as_ref().and_then(|config| config.get("chat_template")?.as_str());
		let vocabulary = Vocabulary {
			bytes: (0..u32::try_from(vocabulary).unwrap_or(0)).map(bytes).collect(),
			bos: leading.or(bos),
			adds_bos: leading.is_some(),
			eos: self.ends(vocabulary),
			template: self.template.clone().or_else(|| template.map(str::to_owned)),
			embedding: None,
			special,
		};
		Ok((vocabulary, Bpe(tokenizer)))
	}

	/// Returns the ids that end a completion.
	fn ends(&self, vocabulary: usize) -> Vec<u32> {
		let key = "eos_token_id";
		let given = |values: &'_ Value| values.get(key).filter(|value| !value.is_null()).cloned();
		let own = self.generation.as_ref().and_then(given).or_else(|| given(&self.config.0));
		let ids = match own {
			Some(Value::Array(list)) => list.iter().filter_map(Value::as_u64).collect(),
			Some(value) => value.as_u64().into_iter().collect(),
			None => Vec::new(),
		};
		ids.into_iter().filter(|id| *id < vocabulary as u64).filter_map(|id| u32::try_from(id).ok()).collect()
	}
}

fn file_error(path: &Path, error: std::io::Error) -> FolderError {
	FolderError::File(path.display().to_string(), error)
}

fn json(folder: &Path, name: &'static str) -> Result<Value, FolderError> {
	let path = folder.join(name);
	let failed = |error| file_error(&path, error);
	let size = std::fs::metadata(&path).map_err(failed)?.len();
	if size > MAX_JSON {
		return Err(FolderError::Size(name, size));
	}
	let bytes = std::fs::read(&path).map_err(failed)?;
	serde_json::from_slice(&bytes).map_err(|error| FolderError::Json(name, error))
}

/// The values of `config.json`.
struct Config(Value);

impl Config {
	fn value(&self, key: &str) -> Value {
		self.0.get(key).cloned().unwrap_or(Value::Null)
	}

	fn bad(&self, key: &str, must: &'static str) -> FolderError {
		FolderError::Key { key: key.into(), value: self.value(key), must }
	}

	/// Returns a size; `default`, if it is missing.
	fn size(&self, key: &str, default: Option<usize>, max: usize) -> Result<usize, FolderError> {
		let found = match self.0.get(key) {
			None | Some(Value::Null) => default,
			Some(value) => value.as_u64().and_then(|number| usize::try_from(number).ok()),
		};
		found.filter(|size| (1..=max).contains(size)).ok_or_else(|| self.bad(key, "it must be a size that models have"))
	}

	/// Returns a number above 0.
	fn number(&self, key: &str, default: f64, max: f64) -> Result<f64, FolderError> {
		let found = match self.0.get(key) {
			None | Some(Value::Null) => Some(default),
			Some(value) => value.as_f64(),
		};
		found
			.filter(|number| *number > 0.0 && *number <= max)
			.ok_or_else(|| self.bad(key, "it must be a small number above 0"))
	}

	/// Checks that a key is missing, null, or one of these values.
	fn only(&self, key: &str, allowed: &[Value], must: &'static str) -> Result<(), FolderError> {
		let value = self.value(key);
		if value.is_null() || allowed.contains(&value) { Ok(()) } else { Err(self.bad(key, must)) }
	}
}

impl Checkpoint for Folder {
	fn name(&self) -> Option<String> {
		self.name.clone()
	}

	fn dimensions(&self) -> Result<Dimensions, EngineError> {
		self.read_dimensions().map_err(refused)
	}

	fn tokenizer(&self) -> Result<Tokenizer, EngineError> {
		let (vocabulary, encoder) = self.read_tokenizer().map_err(refused)?;
		Ok(Tokenizer::new(vocabulary, Box::new(encoder))?)
	}

	fn matrix(&self, matrix: Matrix) -> Result<Stored<'_>, EngineError> {
		let (name, has_halves) = match matrix {
			Matrix::Embedding => ("model.embed_tokens.weight".into(), false),
			Matrix::Output => ("lm_head.weight".into(), false),
			Matrix::OutputNorm => ("model.norm.weight".into(), false),
			Matrix::Layer(layer, part) => {
				let name = match part {
					Part::AttentionNorm => "input_layernorm",
					Part::Query => "self_attn.q_proj",
					Part::Key => "self_attn.k_proj",
					Part::Value => "self_attn.v_proj",
					Part::AttentionOutput => "self_attn.o_proj",
					Part::FeedForwardNorm => "post_attention_layernorm",
					Part::Gate => "mlp.gate_proj",
					Part::Up => "mlp.up_proj",
					Part::Down => "mlp.down_proj",
				};
				(format!("model.layers.{layer}.{name}.weight"), matches!(part, Part::Query | Part::Key))
			},
		};
		self.tensor(name, has_halves).map_err(refused)
	}

	fn weights(&self) -> u64 {
		let numbers = self.tensors.values().map(|place| place.shape.iter().product::<usize>() as u64);
		numbers.fold(0, u64::saturating_add)
	}
}
