//! The forward pass: an integer decoder over a format's weights.
#![allow(
	clippy::arithmetic_side_effects,
	clippy::indexing_slicing,
	reason = "numeric kernel: shapes come from one format or are checked on entry, ranges are tested in format.rs"
)]

use crate::{
	LeafId, Output, Params, SprintFormat,
	arith::{clamp, div_floor, dot, normalise, requant, update},
	hash::Hash,
	lut::{EXP_LUT, SILU_LUT},
	matmul::matmul,
	seed::{ModelSeed, SegmentSeed},
	trace::layer_digest,
	weights::{Matrix, expand_matrix},
};
use alloc::{vec, vec::Vec};

/// An epoch's weights, one byte each: 440 MB for [`SprintFormat::P400`].
pub struct Model {
	format: SprintFormat,
	/// `[vocab × width]`.
	embed: Vec<i8>,
	layers: Vec<Layer>,
}

/// Error of an invalid input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
	/// The input does not have the format's number of tokens.
	TokenCount,
	/// A token is not in the vocabulary.
	TokenRange,
	/// The format has no such layer.
	NoSuchLayer,
	/// The residual is not `[tokens × width]`, or a value is beyond ±2¹⁵.
	Residual,
}

/// Intermediate values of one decoder block, row-major by token. The buffers are reused from block to block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activations {
	/// Normalised input of attention, `[tokens × width]`.
	pub attention_input: Vec<i8>,
	/// Queries with their positions, `[tokens × width]`.
	pub q: Vec<i8>,
	/// Keys with their positions, `[tokens × width]`.
	pub k: Vec<i8>,
	/// Values, `[tokens × width]`.
	pub v: Vec<i8>,
	/// `u = (q·k) >> 7` of each head, `[tokens × heads × tokens]`: token t, then head, then the token attended to; 0 for the
	/// tokens after t.
	pub scores: Vec<i16>,
	/// Attention's result before its output projection, `[tokens × width]`.
	pub attended: Vec<i8>,
	/// The residual between attention and the feed-forward part, `[tokens × width]`.
	pub middle: Vec<i32>,
	/// Normalised input of the feed-forward part, `[tokens × width]`.
	pub ffn_input: Vec<i8>,
	/// Gate, `[tokens × ffn]`.
	pub gate: Vec<i8>,
	/// Up, `[tokens × ffn]`.
	pub up: Vec<i8>,
	/// SiLU of the gate times up, `[tokens × ffn]`.
	pub hidden: Vec<i8>,
	/// Products before they are shifted.
	products: Vec<i32>,
}

impl Model {
	/// Expands all weights of an epoch.
	pub fn new(seed: &ModelSeed, format: SprintFormat) -> Self {
		let layers = (0..format.params().layers).map(|layer| Layer::new(seed, format, layer)).collect();
		Self { format, embed: expand_matrix(seed, format, 0, Matrix::Embed), layers }
	}

	/// Expands the weights as [`Model::new`] does, on several threads.
	#[cfg(feature = "std")]
	pub fn new_parallel(seed: &ModelSeed, format: SprintFormat, threads: usize) -> Self {
		let layers: Vec<u16> = (0..format.params().layers).collect();
		let layers = in_parallel(&layers, threads, |layer| Layer::new(seed, format, *layer));
		Self { format, embed: expand_matrix(seed, format, 0, Matrix::Embed), layers }
	}

	/// The format of the weights.
	pub fn format(&self) -> SprintFormat {
		self.format
	}

	/// A leaf's output and hash. `seed` must be the seed of the leaf's epoch and segment.
	pub fn leaf(&self, seed: &SegmentSeed, id: &LeafId) -> (Output, Hash) {
		let output = self.forward(&id.tokens(seed, self.format)).unwrap_or_default();
		let hash = id.hash(&output);
		(output, hash)
	}

	/// The output for `tokens`: the format's number of tokens, each below its vocabulary.
	pub fn forward(&self, tokens: &[u16]) -> Result<Output, Error> {
		self.forward_with(tokens, |_, _, _| ())
	}

	/// Computes [`Model::forward`] and calls `after(layer, residual, activations)` after each layer.
	pub fn forward_with(
		&self,
		tokens: &[u16],
		mut after: impl FnMut(u16, &[i32], &Activations),
	) -> Result<Output, Error> {
		let mut residual = self.embed(tokens)?;
		let mut activations = Activations::new(&self.format.params());
		for layer in 0..self.format.params().layers {
			self.run_layer(layer, &mut residual, &mut activations)?;
			after(layer, &residual, &activations);
		}
		self.output(&residual)
	}

	/// The digest of the residual after `layer` ([`crate::layer_digest`]). Runs no layer beyond it.
	pub fn digest_at(&self, tokens: &[u16], layer: u16) -> Result<Hash, Error> {
		let params = self.format.params();
		if layer >= params.layers {
			return Err(Error::NoSuchLayer);
		}
		let (mut residual, mut activations) = (self.embed(tokens)?, Activations::new(&params));
		for layer in 0..=layer {
			self.run_layer(layer, &mut residual, &mut activations)?;
		}
		layer_digest(self.format, layer, &residual).ok_or(Error::Residual)
	}

	/// The outputs of a batch, on several threads. They equal those of [`Model::forward`].
	#[cfg(feature = "std")]
	pub fn forward_batch(&self, batch: &[Vec<u16>], threads: usize) -> Result<Vec<Output>, Error> {
		in_parallel(batch, threads, |tokens| self.forward(tokens)).into_iter().collect()
	}

	/// The residual before layer 0, `[tokens × width]`: 16 times the tokens' embeddings.
	pub fn embed(&self, tokens: &[u16]) -> Result<Vec<i32>, Error> {
		let params = self.format.params();
		if tokens.len() != params.tokens {
			return Err(Error::TokenCount);
		}
		let mut residual = Vec::with_capacity(params.tokens * params.width);
		for token in tokens {
			let start = usize::from(*token) * params.width;
			let row = self.embed.get(start..start + params.width).ok_or(Error::TokenRange)?;
			residual.extend(row.iter().map(|x| 16 * i32::from(*x)));
		}
		Ok(residual)
	}

	/// Runs one layer alone: `residual` (`[tokens × width]`, values within ±2¹⁵) becomes the residual after `layer`.
	pub fn run_layer(&self, layer: u16, residual: &mut [i32], activations: &mut Activations) -> Result<(), Error> {
		let params = self.format.params();
		let weights = self.layers.get(usize::from(layer)).ok_or(Error::NoSuchLayer)?;
		self.check(residual)?;
		activations.resize(&params);
		weights.attention(&params, residual, activations);
		weights.feed_forward(&params, residual, activations);
		Ok(())
	}

	/// The output for the residual after the last layer: its last token's row, normalised.
	pub fn output(&self, residual: &[i32]) -> Result<Output, Error> {
		self.check(residual)?;
		let width = self.format.params().width;
		let mut output = vec![0; width];
		normalise(&residual[residual.len() - width..], &mut output);
		Ok(output)
	}

	fn check(&self, residual: &[i32]) -> Result<(), Error> {
		let params = self.format.params();
		let bound = crate::arith::RESIDUAL_MAX as u32;
		let valid =
			residual.len() == params.tokens * params.width && residual.iter().all(|x| x.unsigned_abs() <= bound);
		if valid { Ok(()) } else { Err(Error::Residual) }
	}
}

impl Activations {
	/// Empty buffers for a format.
	pub fn new(params: &Params) -> Self {
		let empty = Vec::new;
		let mut new = Self {
			attention_input: empty(),
			q: empty(),
			k: empty(),
			v: empty(),
			scores: Vec::new(),
			attended: empty(),
			middle: Vec::new(),
			ffn_input: empty(),
			gate: empty(),
			up: empty(),
			hidden: empty(),
			products: Vec::new(),
		};
		new.resize(params);
		new
	}

	fn resize(&mut self, params: &Params) {
		let (narrow, wide) = (params.tokens * params.width, params.tokens * params.ffn);
		let Self { attention_input, q, k, v, scores, attended, middle, ffn_input, gate, up, hidden, products } = self;
		for buffer in [attention_input, q, k, v, attended, ffn_input] {
			buffer.resize(narrow, 0);
		}
		for buffer in [gate, up, hidden] {
			buffer.resize(wide, 0);
		}
		scores.resize(params.tokens * params.heads * params.tokens, 0);
		middle.resize(narrow, 0);
		products.resize(narrow.max(wide), 0);
	}
}

impl core::fmt::Display for Error {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		f.write_str(match self {
			Self::TokenCount => "the input does not have the format's number of tokens",
			Self::TokenRange => "a token is not in the vocabulary",
			Self::NoSuchLayer => "the format has no such layer",
			Self::Residual => "the residual has a wrong shape or a value beyond ±2¹⁵",
		})
	}
}

impl core::error::Error for Error {}

/// The weights of one block; shapes are those of [`Matrix`].
struct Layer {
	pos_q: Vec<i8>,
	pos_k: Vec<i8>,
	q: Vec<i8>,
	k: Vec<i8>,
	v: Vec<i8>,
	o: Vec<i8>,
	gate: Vec<i8>,
	up: Vec<i8>,
	down: Vec<i8>,
}

impl Layer {
	fn new(seed: &ModelSeed, format: SprintFormat, layer: u16) -> Self {
		let expand = |matrix| expand_matrix(seed, format, layer, matrix);
		Self {
			pos_q: expand(Matrix::PosQ),
			pos_k: expand(Matrix::PosK),
			q: expand(Matrix::Q),
			k: expand(Matrix::K),
			v: expand(Matrix::V),
			o: expand(Matrix::O),
			gate: expand(Matrix::Gate),
			up: expand(Matrix::Up),
			down: expand(Matrix::Down),
		}
	}

	/// `x += attend(q, k, v)·O` over the normalised residual.
	fn attention(&self, params: &Params, residual: &mut [i32], a: &mut Activations) {
		let (width, shifts) = (params.width, params.shifts);
		let products = &mut a.products[..params.tokens * width];
		normalise_rows(residual, width, &mut a.attention_input);
		for (weights, shift, positions, out) in [
			(&self.q, shifts.q, Some(&self.pos_q), &mut a.q),
			(&self.k, shifts.k, Some(&self.pos_k), &mut a.k),
			(&self.v, shifts.v, None, &mut a.v),
		] {
			matmul(weights, &a.attention_input, width, products);
			requant_all(products, shift, out);
			if let Some(positions) = positions {
				for (x, position) in out.iter_mut().zip(positions) {
					*x = requant(i32::from(*x) + i32::from(*position), 1);
				}
			}
		}
		attend(params, (&a.q, &a.k, &a.v), &mut a.scores, &mut a.attended);
		matmul(&self.o, &a.attended, width, products);
		update_all(residual, products, shifts.o);
		a.middle.copy_from_slice(residual);
	}

	/// `x += requant(SILU_LUT[gate]·up)·down` over the normalised residual.
	fn feed_forward(&self, params: &Params, residual: &mut [i32], a: &mut Activations) {
		let (width, ffn, shifts) = (params.width, params.ffn, params.shifts);
		normalise_rows(residual, width, &mut a.ffn_input);
		let wide = &mut a.products[..params.tokens * ffn];
		for (weights, shift, out) in [(&self.gate, shifts.gate, &mut a.gate), (&self.up, shifts.up, &mut a.up)] {
			matmul(weights, &a.ffn_input, width, wide);
			requant_all(wide, shift, out);
		}
		for ((hidden, gate), up) in a.hidden.iter_mut().zip(&a.gate).zip(&a.up) {
			let silu = SILU_LUT[(i32::from(*gate) + 31) as usize];
			*hidden = requant(i32::from(silu) * i32::from(*up), shifts.hidden);
		}
		let products = &mut a.products[..params.tokens * width];
		matmul(&self.down, &a.hidden, ffn, products);
		update_all(residual, products, shifts.down);
	}
}

/// Causal attention, head by head: `[tokens × width]` each, `scores` `[tokens × heads × tokens]`.
/// Token t attends to tokens 0..=t: `u = (q·k) >> 7`, `e = EXP_LUT[clamp(max(u) − u, 0, 255)]`,
/// `o = clamp((2·Σ e·v) div_floor Σ e)`.
fn attend(params: &Params, (q, k, v): (&[i8], &[i8], &[i8]), scores: &mut [i16], out: &mut [i8]) {
	let (width, head_width) = (params.width, params.head_width());
	let mut sums = vec![0i32; head_width];
	let mut scores = scores.chunks_exact_mut(params.tokens);
	for t in 0..params.tokens {
		for (head, scores) in (0..width).step_by(head_width).zip(&mut scores) {
			// The buffer may hold numbers of another format here.
			scores[t + 1..].fill(0);
			let row = |token: usize| token * width + head..token * width + head + head_width;
			let query = &q[row(t)];
			let mut best = i16::MIN;
			for (j, score) in scores[..=t].iter_mut().enumerate() {
				// Within ±481: heads are 64 wide at most.
				*score = (dot(query, &k[row(j)]) >> 7) as i16;
				best = best.max(*score);
			}
			sums.fill(0);
			let mut total = 0;
			for (j, score) in scores[..=t].iter().enumerate() {
				// Never negative: `best` is the largest.
				let e = i32::from(EXP_LUT[(best - score).min(255) as usize]);
				total += e;
				for (sum, v) in sums.iter_mut().zip(&v[row(j)]) {
					*sum += e * i32::from(*v);
				}
			}
			for (out, sum) in out[row(t)].iter_mut().zip(&sums) {
				*out = clamp(div_floor(2 * sum, total));
			}
		}
	}
}

fn normalise_rows(residual: &[i32], width: usize, out: &mut [i8]) {
	for (x, out) in residual.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
		normalise(x, out);
	}
}

fn requant_all(products: &[i32], shift: u32, out: &mut [i8]) {
	for (out, z) in out.iter_mut().zip(products) {
		*out = requant(*z, shift);
	}
}

fn update_all(residual: &mut [i32], products: &[i32], shift: u32) {
	for (x, z) in residual.iter_mut().zip(products) {
		*x = update(*x, *z, shift);
	}
}

/// Applies `f` to each item on `threads` threads and returns the results in order.
#[cfg(feature = "std")]
fn in_parallel<T: Sync, R: Send>(items: &[T], threads: usize, f: impl Fn(&T) -> R + Sync) -> Vec<R> {
	let run = items.len().div_ceil(threads.max(1)).max(1);
	std::thread::scope(|scope| {
		let runs: Vec<_> =
			items.chunks(run).map(|items| scope.spawn(|| items.iter().map(&f).collect::<Vec<_>>())).collect();
		let joined = runs.into_iter().map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
		joined.flatten().collect()
	})
}
