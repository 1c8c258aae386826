//! The llama architecture: weights, the cache of keys and values, and the forward pass.
//!
//! In shapes, `n` is the number of tokens in a step, `d` the model's width, `h` its heads, `k` its heads of keys and
//! values, `g = h / k` the heads that share one, `e` a head's width, `f` the feed-forward width, `t` the context
//! length.

use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::{Alteration, Precision, dequant::dequantize};
use crate::{
	EngineError,
	gguf::Gguf,
	local::{EachRow, LOGIT_ROWS, LocalConfig, Model, Span},
};

/// Number of weights that are converted to floating-point numbers at a time.
const PART: i64 = 1 << 18;

/// A model and its cache of keys and values.
pub struct TorchModel {
	shape: Shape,
	/// Token embedding and output matrix, `[vocabulary, d]`.
	embedding: Tensor,
	output: Tensor,
	output_norm: Tensor,
	layers: Vec<Layer>,
	/// `cos + i sin` of each position's rotation, `[t, 1, e / 2]`, complex.
	rotations: Tensor,
	alteration: Option<Arc<dyn Alteration>>,
}

#[derive(Clone, Copy)]
struct Shape {
	vocabulary: i64,
	width: i64,
	heads: i64,
	kv_heads: i64,
	head: i64,
	feed_forward: i64,
	context: i64,
	epsilon: f64,
	kind: Kind,
}

struct Layer {
	attention_norm: Tensor,
	/// Rows for queries, keys, values: `[(h + 2k) e, d]`.
	query_key_value: Tensor,
	attention_output: Tensor,
	feed_forward_norm: Tensor,
	/// Rows for gate, up: `[2f, d]`.
	gate_up: Tensor,
	down: Tensor,
	/// Keys and values of the tokens that were read, `[slots, k, t, e]` each.
	keys: Tensor,
	values: Tensor,
}

impl TorchModel {
	/// Reads the weights, and reserves memory for the slots that `config` asks for. The reserved pages count as used
	/// once a sequence has reached them.
	///
	/// # Errors
	/// [`EngineError::Model`] for an unknown architecture or inconsistent shapes, [`EngineError::Compute`] when memory
	/// is short.
	pub fn load(
		file: &Gguf,
		config: &LocalConfig,
		precision: Precision,
		alteration: Option<Arc<dyn Alteration>>,
	) -> Result<Self, EngineError> {
		let _no_grad = tch::no_grad_guard();
		let slots = config.slots;
		let (shape, layer_count, theta) = Shape::read(file, precision, config.context_length)?;
		let Shape { vocabulary, width, heads, kv_heads, head, feed_forward, .. } = shape;
		let weights = Weights { file, kind: shape.kind, alteration: alteration.as_deref() };
		let read = |names: &[(&str, i64)], columns| weights.read(names, columns);

		let mut layers = Vec::new();
		for layer in
			(0..layer_count).filter(|layer| !alteration.as_ref().is_some_and(|alteration| alteration.skips(*layer)))
		{
			let name = |part: &str| format!("blk.{layer}.{part}.weight");
			let cache = || {
				Tensor::f_empty([size(slots)?, kv_heads, shape.context, head], (shape.kind, Device::Cpu))
					.map_err(compute)
			};
			layers.push(Layer {
				attention_norm: read(&[(&name("attn_norm"), 1)], width)?.squeeze(),
				query_key_value: read(
					&[
						(&name("attn_q"), heads * head),
						(&name("attn_k"), kv_heads * head),
						(&name("attn_v"), kv_heads * head),
					],
					width,
				)?,
				attention_output: read(&[(&name("attn_output"), width)], heads * head)?,
				feed_forward_norm: read(&[(&name("ffn_norm"), 1)], width)?.squeeze(),
				gate_up: read(&[(&name("ffn_gate"), feed_forward), (&name("ffn_up"), feed_forward)], width)?,
				down: read(&[(&name("ffn_down"), width)], feed_forward)?,
				keys: cache()?,
				values: cache()?,
			});
		}
		let embedding = read(&[("token_embd.weight", vocabulary)], width)?;
		let output = if file.header().tensors.contains_key("output.weight") {
			read(&[("output.weight", vocabulary)], width)?
		} else {
			embedding.shallow_clone()
		};
		Ok(Self {
			shape,
			embedding,
			output,
			output_norm: read(&[("output_norm.weight", 1)], width)?.squeeze(),
			layers,
			rotations: rotations(shape.context, head, theta).map_err(compute)?,
			alteration,
		})
	}

	/// Returns the hidden states of the tokens whose logits are wanted, `[.., d]`; `None` if there are none.
	fn forward(&mut self, tokens: &[u32], spans: &[Span]) -> Result<Option<Tensor>, TchError> {
		let Shape { heads, kv_heads, head, epsilon, kind, width, .. } = self.shape;
		let tokens: Vec<i64> = tokens.iter().map(|&id| id.into()).collect();
		let positions: Vec<i64> =
			spans.iter().flat_map(|span| span.start as i64..(span.start + span.length) as i64).collect();
		let count = positions.len() as i64;
		let rotations = self.rotations.f_index_select(0, &Tensor::from_slice(&positions))?;
		let masks = spans.iter().map(|span| mask(span, kind)).collect::<Result<Vec<_>, _>>()?;

		let mut x = self.embedding.f_index_select(0, &Tensor::from_slice(&tokens))?;
		for layer in &mut self.layers {
			let normed = x.f_rms_norm([width], Some(&layer.attention_norm), epsilon)?;
			let projected = linear(&normed, &layer.query_key_value)?;
			let rotated_heads = heads + kv_heads;
			let rotated =
				rotate(&projected.f_narrow(1, 0, rotated_heads * head)?, &rotations, [count, rotated_heads, head])?;
			let values =
				projected.f_narrow(1, rotated_heads * head, kv_heads * head)?.f_view([count, kv_heads, head])?;
			let (rotated, values) = match &self.alteration {
				Some(alteration) => {
					let (queries, keys) = (rotated.f_narrow(1, 0, heads)?, rotated.f_narrow(1, heads, kv_heads)?);
					let keys = altered(&**alteration, &keys, head)?;
					(Tensor::f_cat(&[queries, keys], 1)?, altered(&**alteration, &values, head)?)
				},
				None => (rotated, values),
			};

			let mut attended = Vec::with_capacity(spans.len());
			let mut first = 0;
			for (span, mask) in spans.iter().zip(&masks) {
				let length = span.length as i64;
				let rotated = rotated.f_narrow(0, first, length)?;
				let values = values.f_narrow(0, first, length)?;
				attended.push(layer.attend(&self.shape, span, &rotated, &values, mask.as_ref())?);
				first += length;
			}
			let attended = match attended.as_slice() {
				[one] => one.shallow_clone(),
				many => Tensor::f_cat(many, 0)?,
			};
			x = x.f_add(&linear(&attended, &layer.attention_output)?)?;

			let normed = x.f_rms_norm([width], Some(&layer.feed_forward_norm), epsilon)?;
			let gate_up = linear(&normed, &layer.gate_up)?.f_chunk(2, 1)?;
			if let [gate, up] = gate_up.as_slice() {
				x = x.f_add(&linear(&gate.f_silu()?.f_mul(up)?, &layer.down)?)?;
			}
		}

		let mut rows = Vec::new();
		let mut end = 0;
		for span in spans {
			end += span.length as i64;
			rows.extend(end - span.wanted as i64..end);
		}
		if rows.is_empty() {
			return Ok(None);
		}
		let wanted = x.f_index_select(0, &Tensor::from_slice(&rows))?;
		wanted.f_rms_norm([width], Some(&self.output_norm), epsilon).map(Some)
	}

	/// Calls `each` for every state in `states`, with its logits.
	fn logits(&self, states: &Tensor, mut each: impl FnMut(&[f32], &[f32])) -> Result<(), TchError> {
		for part in states.f_split(LOGIT_ROWS as i64, 0)? {
			let (hidden, logits) = (floats(&part)?, floats(&linear(&part, &self.output)?)?);
			hidden
				.chunks_exact(self.shape.width as usize)
				.zip(logits.chunks_exact(self.shape.vocabulary as usize))
				.for_each(|(hidden, logits)| each(hidden, logits));
		}
		Ok(())
	}
}

impl Model for TorchModel {
	fn context_length(&self) -> usize {
		self.shape.context as usize
	}

	fn width(&self) -> usize {
		self.shape.width as usize
	}

	fn can_rewind(&self) -> bool {
		true
	}

	fn step(&mut self, tokens: &[u32], spans: &[Span], each: &mut EachRow<'_>) -> Result<(), EngineError> {
		let mut wanted = spans.iter().flat_map(|span| {
			let end = span.start + span.length;
			(end - span.wanted..end).map(|position| (span.slot, position))
		});
		no_grad(|| {
			let states = self.forward(tokens, spans)?;
			let mut next = |hidden: &[f32], logits: &[f32]| {
				if let Some((slot, position)) = wanted.next() {
					each(slot, position, hidden, logits);
				}
			};
			states.map_or(Ok(()), |states| self.logits(&states, &mut next))
		})
		.map_err(compute)
	}
}

impl Layer {
	/// Stores a span's keys and values, and lets its queries attend to all that its slot keeps. `rotated` is `[n, h +
	/// k, e]`, queries then keys; `values` is `[n, k, e]`; the result is `[n, h e]`.
	fn attend(
		&mut self,
		shape: &Shape,
		span: &Span,
		rotated: &Tensor,
		values: &Tensor,
		mask: Option<&Tensor>,
	) -> Result<Tensor, TchError> {
		let Shape { heads, kv_heads, head, .. } = *shape;
		let (slot, start, length) = (span.slot as i64, span.start as i64, span.length as i64);
		let groups = heads / kv_heads;
		let all_keys = self.keys.f_select(0, slot)?;
		let all_values = self.values.f_select(0, slot)?;
		all_keys.f_narrow(1, start, length)?.f_copy_(&rotated.f_narrow(1, heads, kv_heads)?.f_transpose(0, 1)?)?;
		all_values.f_narrow(1, start, length)?.f_copy_(&values.f_transpose(0, 1)?)?;

		// The k heads are the batch. The g query heads of each share its keys and values by a stride of 0.
		let shared = |kept: &Tensor| {
			let read = start + length;
			kept.f_narrow(1, 0, read)?.f_unsqueeze(1)?.f_expand([kv_heads, groups, read, head], false)
		};
		let queries =
			rotated.f_narrow(1, 0, heads)?.f_view([length, kv_heads, groups, head])?.f_permute([1, 2, 0, 3])?;
		Tensor::f_scaled_dot_product_attention(
			&queries,
			&shared(&all_keys)?,
			&shared(&all_values)?,
			mask,
			0.0,
			false,
			None,
			false,
		)?
		.f_permute([2, 0, 1, 3])?
		.f_reshape([length, heads * head])
	}
}

impl Shape {
	/// Reads the shape, the number of layers, and the base of the rotations' frequencies.
	fn read(file: &Gguf, precision: Precision, context: usize) -> Result<(Self, usize, f64), EngineError> {
		let header = file.header();
		let architecture = header.text("general.architecture")?;
		if architecture != "llama" {
			return Err(model(format!("architecture {architecture} is not supported, only llama")));
		}
		let scaled = header.text("llama.rope.scaling.type").is_ok_and(|kind| kind != "none");
		if scaled || header.tensors.contains_key("rope_freqs.weight") {
			return Err(model("scaled rotations are not supported".into()));
		}
		let integer = |key: &str| header.integer(&format!("llama.{key}")).and_then(size);
		let width = integer("embedding_length")?;
		let heads = integer("attention.head_count")?;
		let kv_heads = integer("attention.head_count_kv")?;
		if width == 0 || heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0 || width % (2 * heads) != 0 {
			return Err(model(format!(
				"{heads} heads and {kv_heads} heads of keys and values do not fit a width of {width}"
			)));
		}
		let head = width / heads;
		if integer("rope.dimension_count")? != head {
			return Err(model("partial rotations are not supported".into()));
		}
		let feed_forward = integer("feed_forward_length")?;
		let shape = Self {
			vocabulary: size(header.texts("tokenizer.ggml.tokens")?.len())?,
			width,
			heads,
			kv_heads,
			head,
			feed_forward,
			context: integer("context_length")?.min(size(context)?),
			epsilon: header.float("llama.attention.layer_norm_rms_epsilon")?,
			kind: match precision {
				Precision::F32 => Kind::Float,
				Precision::Bf16 => Kind::BFloat16,
			},
		};
		if shape.vocabulary == 0 || feed_forward == 0 || shape.context == 0 {
			return Err(model("the vocabulary, the feed-forward width or the context is empty".into()));
		}
		let layers = header.integer("llama.block_count")?;
		Ok((shape, layers, header.float("llama.rope.freq_base").unwrap_or(10_000.0)))
	}
}

/// Makes tensors of a file's weights.
struct Weights<'a> {
	file: &'a Gguf,
	kind: Kind,
	alteration: Option<&'a dyn Alteration>,
}

impl Weights<'_> {
	/// Reads the named matrices, of the given numbers of rows, one below the other.
	fn read(&self, names: &[(&str, i64)], columns: i64) -> Result<Tensor, EngineError> {
		let all_rows: i64 = names.iter().map(|(_, rows)| rows).sum();
		let options = (self.kind, Device::Cpu);
		// Chosen by measurement: these memory orders are the fastest to multiply by few rows.
		let tensor = match self.kind {
			Kind::Float => Tensor::f_empty([columns, all_rows], options).and_then(|t| t.f_tr()),
			_ => Tensor::f_empty([all_rows, columns], options),
		}
		.map_err(compute)?;
		let mut first_row = 0;
		for &(name, rows) in names {
			let (info, bytes) = self.file.tensor(name)?;
			if info.shape.map(|n| n as i64) != [rows, columns] {
				return Err(model(format!("{name} is {:?}, not {rows} x {columns}", info.shape)));
			}
			// The weights are converted a part at a time, so that they are never in memory twice.
			let part_rows = (PART / columns).clamp(1, rows);
			let mut weights = Vec::new();
			for part in bytes.chunks(bytes.len() / rows as usize * part_rows as usize) {
				weights.clear();
				dequantize(info.format, part, &mut weights)?;
				// Not the norms, which are single rows.
				if let Some(alteration) = self.alteration.filter(|_| all_rows > 1) {
					alteration.weights(&mut weights, columns as usize);
				}
				let rows = weights.len() as i64 / columns;
				Tensor::f_from_slice(&weights)
					.and_then(|part| tensor.f_narrow(0, first_row, rows)?.f_copy_(&part.f_view([rows, columns])?))
					.map_err(compute)?;
				first_row += rows;
			}
		}
		Ok(tensor)
	}
}

/// Returns `x` times the transpose of `weight`.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
	x.f_linear(weight, None::<&Tensor>)
}

/// Returns the keys or values `[.., head]` as the alteration changes them.
fn altered(alteration: &dyn Alteration, vectors: &Tensor, head: i64) -> Result<Tensor, TchError> {
	let mut numbers = floats(vectors)?;
	alteration.cached(&mut numbers, head as usize);
	Tensor::f_from_slice(&numbers)?.f_view_as(vectors)?.f_to_kind(vectors.f_kind()?)
}

/// Returns the numbers of a tensor, row by row.
fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
	let mut numbers = vec![0.0; tensor.numel()];
	let length = numbers.len();
	tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_copy_data(&mut numbers, length)?;
	Ok(numbers)
}

/// Rotates each pair of neighbours in `x`, `[n, .. e]`, by its position's angles; the result has `shape`. GGUF files of
/// this architecture order the rows of queries and keys so that the two numbers of a pair are neighbours.
fn rotate(x: &Tensor, rotations: &Tensor, shape: [i64; 3]) -> Result<Tensor, TchError> {
	let [count, heads, head] = shape;
	x.f_to_kind(Kind::Float)?
		.f_view([count, heads, head / 2, 2])?
		.f_view_as_complex()?
		.f_mul(rotations)?
		.f_view_as_real()?
		.f_view(shape)?
		.f_to_kind(x.f_kind()?)
}

/// Returns `exp(i position theta^(-2 j / e))` for every position and pair `j`.
fn rotations(context: i64, head: i64, theta: f64) -> Result<Tensor, TchError> {
	let options = (Kind::Double, Device::Cpu);
	let frequencies = Tensor::f_arange(head / 2, options)?.f_mul_scalar(-2.0 * theta.ln() / head as f64)?.f_exp()?;
	let angles = Tensor::f_arange(context, options)?.f_outer(&frequencies)?;
	Tensor::f_polar(&angles.f_ones_like()?, &angles)?.f_to_kind(Kind::ComplexFloat)?.f_unsqueeze(1)
}

/// Returns the mask that hides a span's later tokens from its earlier ones, `[n, all tokens]`: 0 where a token may
/// attend, minus infinity where not. A single token needs no mask.
fn mask(span: &Span, kind: Kind) -> Result<Option<Tensor>, TchError> {
	if span.length == 1 {
		return Ok(None);
	}
	let size = [span.length as i64, (span.start + span.length) as i64];
	Tensor::f_full(size, f64::NEG_INFINITY, (kind, Device::Cpu))?.f_triu(span.start as i64 + 1).map(Some)
}

fn size(n: usize) -> Result<i64, EngineError> {
	// Small enough that products of two do not overflow.
	i32::try_from(n).map(i64::from).map_err(|_| model(format!("{n} is too large")))
}

fn model(what: String) -> EngineError {
	EngineError::Model(what)
}

fn compute(error: TchError) -> EngineError {
	EngineError::Compute(error.to_string())
}
