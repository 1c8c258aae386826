//! A model of the llama family as its files describe it, in either of two forms: a GGUF file, or a
//! [folder](super::folder).

use crate::EngineError;
use gonka_tokenizer::{
	Tokenizer,
	gguf::{Format, Gguf, Value},
};

/// The numbers that define a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dimensions {
	/// Number of token ids.
	pub vocabulary: usize,
	/// Width of a hidden state.
	pub width: usize,
	/// Number of heads.
	pub heads: usize,
	/// Number of heads of keys and values.
	pub kv_heads: usize,
	/// Width of the feed-forward layers.
	pub feed_forward: usize,
	/// Maximum number of tokens of a sequence.
	pub context: usize,
	/// Number of layers.
	pub layers: usize,
	/// The number that norms add to a mean square.
	pub epsilon: f64,
	/// The base of the rotations' frequencies.
	pub theta: f64,
	/// Whether the output matrix is another one than the embedding.
	pub has_output: bool,
}

/// One of a model's matrices. A norm has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
	/// Token embedding, `[vocabulary, width]`.
	Embedding,
	/// Output matrix, `[vocabulary, width]`.
	Output,
	/// The last norm.
	OutputNorm,
	/// A matrix of a layer.
	Layer(usize, Part),
}

/// A matrix of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the architecture's")]
pub enum Part {
	AttentionNorm,
	Query,
	Key,
	Value,
	AttentionOutput,
	FeedForwardNorm,
	Gate,
	Up,
	Down,
}

/// A matrix in a file.
pub struct Stored<'a> {
	/// Its name in the file, for errors.
	pub name: String,
	/// Rows and columns.
	pub shape: [usize; 2],
	/// Storage format of its weights.
	pub format: Format,
	/// Its bytes, row by row.
	pub bytes: &'a [u8],
	/// Whether it makes queries or keys whose rotated pairs are half a head apart. Otherwise they are neighbours.
	pub has_halves: bool,
}

/// A model's files.
pub trait Checkpoint: Send {
	/// Returns the model's own name, if it has one.
	fn name(&self) -> Option<String>;

	/// Makes the tokenizer.
	///
	/// # Errors
	/// [`EngineError::Model`] or [`EngineError::Template`] when this backend cannot use it.
	fn tokenizer(&self) -> Result<Tokenizer, EngineError>;

	/// Returns the model's numbers.
	///
	/// # Errors
	/// [`EngineError::Model`] with the key and the value that make no sense or are not supported.
	fn dimensions(&self) -> Result<Dimensions, EngineError>;

	/// Returns a matrix.
	///
	/// # Errors
	/// [`EngineError::Model`] when it is missing.
	fn matrix(&self, matrix: Matrix) -> Result<Stored<'_>, EngineError>;

	/// Returns the number of weights in all matrices.
	fn weights(&self) -> u64;
}

impl Checkpoint for Gguf {
	fn name(&self) -> Option<String> {
		self.header().text("general.name").ok().map(str::to_owned)
	}

	fn tokenizer(&self) -> Result<Tokenizer, EngineError> {
		super::bpe::tokenizer(self.header())
	}

	fn dimensions(&self) -> Result<Dimensions, EngineError> {
		let header = self.header();
		let unsupported = |what: &str| Err(EngineError::Model(what.into()));
		let architecture = header.text("general.architecture")?;
		if architecture != "llama" {
			return unsupported(&format!("architecture {architecture} is not supported, only llama"));
		}
		let scaled = header.text("llama.rope.scaling.type").is_ok_and(|kind| kind != "none");
		if scaled || header.tensors.contains_key("rope_freqs.weight") {
			return unsupported("scaled rotations are not supported");
		}
		if header.metadata.get("llama.attention.causal") == Some(&Value::Bool(false)) {
			return unsupported("attention to later tokens is not supported");
		}
		let integer = |key: &str| header.integer(&format!("llama.{key}"));
		let (width, heads) = (integer("embedding_length")?, integer("attention.head_count")?);
		if integer("rope.dimension_count")?.checked_mul(heads) != Some(width) {
			return unsupported("partial rotations are not supported");
		}
		Ok(Dimensions {
			vocabulary: header.texts("tokenizer.ggml.tokens")?.len(),
			width,
			heads,
			kv_heads: integer("attention.head_count_kv")?,
			feed_forward: integer("feed_forward_length")?,
			context: integer("context_length")?,
			layers: integer("block_count")?,
			epsilon: header.float("llama.attention.layer_norm_rms_epsilon")?,
			theta: header.float("llama.rope.freq_base").unwrap_or(10_000.0),
			has_output: header.tensors.contains_key("output.weight"),
		})
	}

	fn matrix(&self, matrix: Matrix) -> Result<Stored<'_>, EngineError> {
		let name = match matrix {
			Matrix::Embedding => "token_embd.weight".into(),
			Matrix::Output => "output.weight".into(),
			Matrix::OutputNorm => "output_norm.weight".into(),
			Matrix::Layer(layer, part) => {
				let part = match part {
					Part::AttentionNorm => "attn_norm",
					Part::Query => "attn_q",
					Part::Key => "attn_k",
					Part::Value => "attn_v",
					Part::AttentionOutput => "attn_output",
					Part::FeedForwardNorm => "ffn_norm",
					Part::Gate => "ffn_gate",
					Part::Up => "ffn_up",
					Part::Down => "ffn_down",
				};
				format!("blk.{layer}.{part}.weight")
			},
		};
		let (info, bytes) = self.tensor(&name)?;
		Ok(Stored { name, shape: info.shape, format: info.format, bytes, has_halves: false })
	}

	fn weights(&self) -> u64 {
		let numbers = self.header().tensors.values().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
		numbers.fold(0, u64::saturating_add)
	}
}
