//! The llama architecture: weights, the cache of keys and values, and the forward pass.
//!
//! In shapes, `n` is the number of tokens in a step, `d` the model's width, `h` its heads, `k` its heads of keys and
//! values, `g = h / k` the heads that share one, `e` a head's width, `f` the feed-forward width, `t` the context
//! length.

use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::{
	Alteration, Precision,
	checkpoint::{Checkpoint, Dimensions, Matrix, Part},
	dequant::dequantize,
};
use crate::{
	EngineError,
	local::{EachRow, LOGIT_ROWS, LocalConfig, Model, Span},
};
use gonka_tokenizer::gguf::Format;

/// Number of weights that are converted to floating-point numbers at a time.
const CHUNK: i64 = 1 << 18;

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
	device: Device,
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
		file: &dyn Checkpoint,
		config: &LocalConfig,
		(precision, device): (Precision, Device),
		alteration: Option<Arc<dyn Alteration>>,
	) -> Result<Self, EngineError> {
		let _no_grad = tch::no_grad_guard();
		let slots = config.slots;
		let dimensions = file.dimensions()?;
		let shape = Shape::new(&dimensions, precision, device, config.context_length)?;
		let Shape { vocabulary, width, heads, kv_heads, head, feed_forward, .. } = shape;
		let weights = Weights { file, kind: shape.kind, device, head, alteration: alteration.as_deref() };
		let read = |matrices: &[(Matrix, i64)], columns| weights.read(matrices, columns);

		let mut layers = Vec::new();
		let is_left_out = |layer: usize| alteration.as_ref().is_some_and(|alteration| alteration.skips(layer));
		for layer in (0..dimensions.layers).filter(|layer| !is_left_out(*layer)) {
			let part = |part: Part| Matrix::Layer(layer, part);
			let cache = || {
				Tensor::f_empty([size(slots)?, kv_heads, shape.context, head], (shape.kind, device)).map_err(compute)
			};
			layers.push(Layer {
				attention_norm: read(&[(part(Part::AttentionNorm), 1)], width)?.squeeze(),
				query_key_value: read(
					&[
						(part(Part::Query), heads * head),
						(part(Part::Key), kv_heads * head),
						(part(Part::Value), kv_heads * head),
					],
					width,
				)?,
				attention_output: read(&[(part(Part::AttentionOutput), width)], heads * head)?,
				feed_forward_norm: read(&[(part(Part::FeedForwardNorm), 1)], width)?.squeeze(),
				gate_up: read(&[(part(Part::Gate), feed_forward), (part(Part::Up), feed_forward)], width)?,
				down: read(&[(part(Part::Down), width)], feed_forward)?,
				keys: cache()?,
				values: cache()?,
			});
		}
		let embedding = read(&[(Matrix::Embedding, vocabulary)], width)?;
		let output = if dimensions.has_output {
			read(&[(Matrix::Output, vocabulary)], width)?
		} else {
			embedding.shallow_clone()
		};
		Ok(Self {
			shape,
			embedding,
			output,
			output_norm: read(&[(Matrix::OutputNorm, 1)], width)?.squeeze(),
			layers,
			rotations: rotations(shape.context, head, dimensions.theta)
				.and_then(|rotations| rotations.f_to(device))
				.map_err(compute)?,
			alteration,
		})
	}

	/// Returns the hidden states of the tokens whose logits are wanted, `[.., d]`; `None` if there are none.
	fn forward(&mut self, tokens: &[u32], spans: &[Span]) -> Result<Option<Tensor>, TchError> {
		let Shape { heads, kv_heads, head, epsilon, kind, device, width, .. } = self.shape;
		let indices = |list: &[i64]| Tensor::from_slice(list).f_to(device);
		let tokens: Vec<i64> = tokens.iter().map(|&id| id.into()).collect();
		let positions: Vec<i64> =
			spans.iter().flat_map(|span| span.start as i64..(span.start + span.length) as i64).collect();
		let count = positions.len() as i64;
		let rotations = self.rotations.f_index_select(0, &indices(&positions)?)?;
		let masks = spans.iter().map(|span| mask(span, kind, device)).collect::<Result<Vec<_>, _>>()?;

		let mut x = self.embedding.f_index_select(0, &indices(&tokens)?)?;
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
		let wanted = x.f_index_select(0, &indices(&rows)?)?;
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
	fn new(dimensions: &Dimensions, precision: Precision, device: Device, context: usize) -> Result<Self, EngineError> {
		let Dimensions { vocabulary, width, heads, kv_heads, feed_forward, .. } = *dimensions;
		let [vocabulary, width, heads, kv_heads, feed_forward] =
			[size(vocabulary)?, size(width)?, size(heads)?, size(kv_heads)?, size(feed_forward)?];
		if width == 0 || heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0 || width % (2 * heads) != 0 {
			return Err(model(format!(
				"{heads} heads and {kv_heads} heads of keys and values do not fit a width of {width}"
			)));
		}
		let shape = Self {
			vocabulary,
			width,
			heads,
			kv_heads,
			head: width / heads,
			feed_forward,
			context: size(dimensions.context.min(context))?,
			epsilon: dimensions.epsilon,
			kind: match precision {
				Precision::F32 => Kind::Float,
				Precision::Bf16 => Kind::BFloat16,
			},
			device,
		};
		if shape.vocabulary == 0 || feed_forward == 0 || shape.context == 0 {
			return Err(model("the vocabulary, the feed-forward width or the context is empty".into()));
		}
		Ok(shape)
	}
}

/// Makes tensors of a model's weights.
struct Weights<'a> {
	file: &'a dyn Checkpoint,
	kind: Kind,
	device: Device,
	head: i64,
	alteration: Option<&'a dyn Alteration>,
}

impl Weights<'_> {
	/// Reads the matrices, of the given numbers of rows, one below the other.
	fn read(&self, matrices: &[(Matrix, i64)], columns: i64) -> Result<Tensor, EngineError> {
		let all_rows: i64 = matrices.iter().map(|(_, rows)| rows).sum();
		let options = (self.kind, self.device);
		// Chosen by measurement: these memory orders are the fastest to multiply by few rows.
		let tensor = match self.kind {
			Kind::Float => Tensor::f_empty([columns, all_rows], options).and_then(|t| t.f_tr()),
			_ => Tensor::f_empty([all_rows, columns], options),
		}
		.map_err(compute)?;
		let mut first_row = 0;
		for &(matrix, rows) in matrices {
			let stored = self.file.matrix(matrix)?;
			if stored.shape.map(|n| n as i64) != [rows, columns] {
				return Err(model(format!("{} is {:?}, not {rows} x {columns}", stored.name, stored.shape)));
			}
			let mut part = tensor.f_narrow(0, first_row, rows).map_err(compute)?;
			self.fill(&mut part, stored.format, stored.bytes, all_rows > 1)?;
			if stored.has_halves {
				pair_up(&mut part, self.head).map_err(compute)?;
			}
			first_row += rows;
		}
		Ok(tensor)
	}

	/// Converts `bytes` to the numbers of a tensor `[rows, columns]`. Norms, which are single rows, are not altered.
	fn fill(&self, tensor: &mut Tensor, format: Format, bytes: &[u8], is_matrix: bool) -> Result<(), EngineError> {
		let (rows, columns) = tensor.size2().map_err(compute)?;
		// The weights are converted a part at a time, so that they are never in memory twice.
		let part_rows = (CHUNK / columns).clamp(1, rows);
		let (mut weights, mut first) = (Vec::new(), 0);
		for part in bytes.chunks(bytes.len() / rows as usize * part_rows as usize) {
			weights.clear();
			dequantize(format, part, &mut weights)?;
			if let Some(alteration) = self.alteration.filter(|_| is_matrix) {
				alteration.weights(&mut weights, columns as usize);
			}
			let rows = weights.len() as i64 / columns;
			Tensor::f_from_slice(&weights)
				.and_then(|part| tensor.f_narrow(0, first, rows)?.f_copy_(&part.f_view([rows, columns])?))
				.map_err(compute)?;
			first += rows;
		}
		Ok(())
	}
}

/// Reorders the rows of queries or keys, `[heads * head, d]`: the numbers of a rotated pair become neighbours, which were half a
/// head apart.
fn pair_up(rows: &mut Tensor, head: i64) -> Result<(), TchError> {
	let (count, columns) = rows.size2()?;
	let halves = rows.f_reshape([count / head, 2, head / 2, columns])?;
	let pairs = halves.f_transpose(1, 2)?.f_contiguous()?.f_view([count, columns])?;
	rows.f_copy_(&pairs)
}

/// Returns `x` times the transpose of `weight`.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
	x.f_linear(weight, None::<&Tensor>)
}

/// Returns the keys or values `[.., head]` as the alteration changes them.
fn altered(alteration: &dyn Alteration, vectors: &Tensor, head: i64) -> Result<Tensor, TchError> {
	let mut numbers = floats(vectors)?;
	alteration.cached(&mut numbers, head as usize);
	Tensor::f_from_slice(&numbers)?.f_view_as(vectors)?.f_to(vectors.device())?.f_to_kind(vectors.f_kind()?)
}

/// Returns the numbers of a tensor, row by row.
fn floats(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
	let mut numbers = vec![0.0; tensor.numel()];
	let length = numbers.len();
	tensor.f_to_kind(Kind::Float)?.f_to(Device::Cpu)?.f_contiguous()?.f_copy_data(&mut numbers, length)?;
	Ok(numbers)
}

/// Rotates each pair of neighbours in `x`, `[n, .. e]`, by its position's angles; the result has `shape`.
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
fn mask(span: &Span, kind: Kind, device: Device) -> Result<Option<Tensor>, TchError> {
	if span.length == 1 {
		return Ok(None);
	}
	let size = [span.length as i64, (span.start + span.length) as i64];
	Tensor::f_full(size, f64::NEG_INFINITY, (kind, device))?.f_triu(span.start as i64 + 1).map(Some)
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
