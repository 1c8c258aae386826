//! The sprint's forward pass on libtorch, on a CPU or a CUDA device, bit-identical to `gonka_sprint::Model`.
//!
//! Activations are float32 tensors whose values are integers. All of them, and all partial sums, stay below 2²⁴
//! (docs/protocol.md#3-sprint), where float32 adds and multiplies integers exactly and in any order. Scaling by a power
//! of two and `floor` are exact, too. Before a division, half a unit is added to the dividend. This leaves the floor of
//! the quotient as it is, and keeps it by a wide margin from depending on how a device rounds. Only the mean of squares
//! is larger; it goes through 64-bit integers.
//!
//! Matrix products take nearly all of the time. They are int8 × int8 → int32 (`_int_mm`) where that is faster, and
//! float32 otherwise; the faster way is found by a trial when the model is expanded.

use super::{Checked, Expand, Prover, ProverError};
use gonka_primitives::Hash;
use gonka_sprint::{
	LeafId, Matrix, ModelSeed, Params, SegmentSeed, SprintFormat, expand_matrix, layer_digest,
	lut::{EXP_LUT, SILU_LUT},
};
use std::time::Instant;
use tch::{Device, IndexOp, Kind, Tensor};

type Result<T> = std::result::Result<T, tch::TchError>;

/// Number of tokens computed at once on a CPU: they fit its caches.
const CPU_TOKENS: usize = 2048;
/// Number of tokens computed at once on a CUDA device: they keep it busy.
const CUDA_TOKENS: usize = 8192;

/// CUDA's `_int_mm` needs more rows than this.
const INT8_ROWS: usize = 16;

/// Expands models onto a device.
#[derive(Clone, Copy, Debug)]
pub struct Torch {
	/// The device.
	pub device: Device,
	/// Number of computing threads on a CPU.
	pub threads: u16,
}

impl Expand for Torch {
	fn expand(&mut self, seed: &ModelSeed, format: SprintFormat) -> super::Result<Box<dyn Prover>> {
		let threads = if self.device.is_cuda() { 1 } else { self.threads.max(1) };
		one_thread();
		let model = TorchModel::new(seed, format, self.device)?;
		let models = std::iter::repeat_with(|| model.share()).take(threads.into()).collect();
		Ok(Box::new(Team { models }))
	}
}

/// Threads that compute different leaves with the same weights. libtorch's own threads would compute each leaf together
/// and wait for each other after every operation, which is slow where other programs use the cores, too.
struct Team {
	models: Vec<TorchModel>,
}

impl Prover for Team {
	fn batch(&self) -> usize {
		self.models.iter().map(Prover::batch).sum()
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> super::Result<Vec<Hash>> {
		self.share(ids, |model, ids| model.leaves(seed, ids))
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> super::Result<Vec<Checked>> {
		self.share(ids, |model, ids| model.check(seed, ids, layer))
	}
}

impl Team {
	/// Shares `ids` out among the threads.
	fn share<T: Send>(
		&mut self,
		ids: &[LeafId],
		work: impl Fn(&mut TorchModel, &[LeafId]) -> super::Result<Vec<T>> + Sync,
	) -> super::Result<Vec<T>> {
		if let [model] = self.models.as_mut_slice() {
			return work(model, ids);
		}
		let part = ids.len().div_ceil(self.models.len().max(1)).max(1);
		let work = &work;
		std::thread::scope(|scope| {
			let parts = self.models.iter_mut().zip(ids.chunks(part)).map(|(model, ids)| {
				scope.spawn(move || {
					one_thread();
					work(model, ids)
				})
			});
			let parts: Vec<_> = parts.collect();
			let mut all = Vec::with_capacity(ids.len());
			for part in parts {
				all.extend(part.join().map_err(|_| ProverError::Panicked)??);
			}
			Ok(all)
		})
	}
}

/// Makes libtorch compute on the calling thread alone.
fn one_thread() {
	tch::set_num_threads(1);
}

/// Way of computing matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
	/// int8 × int8 → int32.
	Int8,
	/// float32, exact because of the values' bounds.
	Float32,
}

/// An epoch's weights on a device.
pub struct TorchModel {
	format: SprintFormat,
	params: Params,
	device: Device,
	products: Products,
	/// float32 `[vocab × width]`, times 16.
	embed: Tensor,
	layers: Vec<Layer>,
	/// float32 `[256]`.
	exp: Tensor,
	/// float32 `[63]`.
	silu: Tensor,
	/// bool `[tokens × tokens]`: true where a token must not attend to another.
	hidden: Tensor,
}

/// The weights of one block: matrices transposed, `[columns × rows]`, positions `[tokens × width]`.
struct Layer {
	pos_q: Tensor,
	pos_k: Tensor,
	q: Tensor,
	k: Tensor,
	v: Tensor,
	o: Tensor,
	gate: Tensor,
	up: Tensor,
	down: Tensor,
}

impl Layer {
	fn share(&self) -> Self {
		Self {
			pos_q: self.pos_q.shallow_clone(),
			pos_k: self.pos_k.shallow_clone(),
			q: self.q.shallow_clone(),
			k: self.k.shallow_clone(),
			v: self.v.shallow_clone(),
			o: self.o.shallow_clone(),
			gate: self.gate.shallow_clone(),
			up: self.up.shallow_clone(),
			down: self.down.shallow_clone(),
		}
	}
}

impl Prover for TorchModel {
	fn batch(&self) -> usize {
		let tokens = if self.device.is_cuda() { CUDA_TOKENS } else { CPU_TOKENS };
		let leaves = tokens / self.params.tokens;
		match (self.device.is_cuda(), self.format) {
			// A CPU takes a good part of a second for a leaf.
			(false, SprintFormat::P400) => 2,
			_ => leaves.max(1),
		}
	}

	fn leaves(&mut self, seed: &SegmentSeed, ids: &[LeafId]) -> super::Result<Vec<Hash>> {
		let inputs: Vec<u16> = ids.iter().flat_map(|id| id.tokens(seed, self.format)).collect();
		let outputs = self.forward(&inputs)?;
		if outputs.len() != ids.len() {
			return Err(ProverError::WrongCount { results: outputs.len(), inputs: ids.len() });
		}
		Ok(ids.iter().zip(&outputs).map(|(id, output)| id.hash(output)).collect())
	}

	fn check(&mut self, seed: &SegmentSeed, ids: &[LeafId], layer: u16) -> super::Result<Vec<Checked>> {
		let inputs: Vec<u16> = ids.iter().flat_map(|id| id.tokens(seed, self.format)).collect();
		let (outputs, residual) = self.run(&inputs, Some(layer))?;
		let residuals = residual.chunks_exact(self.params.tokens.saturating_mul(self.params.width));
		if outputs.len() != ids.len() || residuals.len() < ids.len() {
			return Err(ProverError::WrongCount { results: outputs.len().min(residuals.len()), inputs: ids.len() });
		}
		let all = ids.iter().zip(&outputs).zip(residuals).map(|((id, output), residual)| {
			let digest = layer_digest(self.format, layer, residual).ok_or(ProverError::NoSuchLayer(layer))?;
			Ok(Checked { leaf: id.hash(output), digest })
		});
		all.collect()
	}
}

impl TorchModel {
	/// Expands the weights, and chooses the faster way of computing products.
	pub fn new(seed: &ModelSeed, format: SprintFormat, device: Device) -> Result<Self> {
		let products = tch::no_grad(|| faster(&format.params(), device));
		Self::with_products(seed, format, device, products)
	}

	/// Expands the weights, with a given way of computing products.
	pub fn with_products(seed: &ModelSeed, format: SprintFormat, device: Device, products: Products) -> Result<Self> {
		let _guard = tch::no_grad_guard();
		let params = format.params();
		let kind = if products == Products::Int8 { Kind::Int8 } else { Kind::Float };
		let int8 = |layer: u16, matrix: Matrix| {
			let (rows, columns) = matrix.shape(&params);
			let weights = Tensor::f_from_slice(&expand_matrix(seed, format, layer, matrix))?;
			weights.f_view([rows as i64, columns as i64])?.f_to(device)
		};
		let matrix = |layer, matrix| int8(layer, matrix)?.f_to_kind(kind)?.f_t_();
		let table = |layer, matrix| int8(layer, matrix)?.f_to_kind(Kind::Float);
		let layers = (0..params.layers).map(|layer| {
			Ok(Layer {
				pos_q: table(layer, Matrix::PosQ)?,
				pos_k: table(layer, Matrix::PosK)?,
				q: matrix(layer, Matrix::Q)?,
				k: matrix(layer, Matrix::K)?,
				v: matrix(layer, Matrix::V)?,
				o: matrix(layer, Matrix::O)?,
				gate: matrix(layer, Matrix::Gate)?,
				up: matrix(layer, Matrix::Up)?,
				down: matrix(layer, Matrix::Down)?,
			})
		});
		let tokens = params.tokens as i64;
		Ok(Self {
			format,
			params,
			device,
			products,
			embed: table(0, Matrix::Embed)?.f_mul_scalar_(16)?,
			layers: layers.collect::<Result<_>>()?,
			exp: Tensor::f_from_slice(&EXP_LUT)?.f_to_kind(Kind::Float)?.f_to(device)?,
			silu: Tensor::f_from_slice(&SILU_LUT)?.f_to_kind(Kind::Float)?.f_to(device)?,
			hidden: Tensor::f_ones([tokens, tokens], (Kind::Bool, device))?.f_triu(1)?,
		})
	}

	/// The same weights, for another thread.
	fn share(&self) -> Self {
		Self {
			format: self.format,
			params: self.params,
			device: self.device,
			products: self.products,
			embed: self.embed.shallow_clone(),
			layers: self.layers.iter().map(Layer::share).collect(),
			exp: self.exp.shallow_clone(),
			silu: self.silu.shallow_clone(),
			hidden: self.hidden.shallow_clone(),
		}
	}

	/// Returns the way of computing products.
	pub fn products(&self) -> Products {
		self.products
	}

	/// Computes the outputs of a batch. `inputs` holds the format's number of tokens for each leaf, one leaf after the other.
	pub fn forward(&self, inputs: &[u16]) -> Result<Vec<Vec<i8>>> {
		Ok(self.run(inputs, None)?.0)
	}

	/// Like [`Self::forward`]; also returns all values of the residual after the layer `keep`, if it is given.
	fn run(&self, inputs: &[u16], keep: Option<u16>) -> Result<(Vec<Vec<i8>>, Vec<i32>)> {
		let _guard = tch::no_grad_guard();
		let (tokens, width) = (self.params.tokens as i64, self.params.width as i64);
		let mut ids: Vec<i32> = inputs.iter().map(|token| i32::from(*token)).collect();
		if self.products == Products::Int8 && ids.len() <= INT8_ROWS {
			// The copy only fills the rows; its results are dropped.
			ids.extend_from_within(..);
		}
		let ids = Tensor::f_from_slice(&ids)?.f_to(self.device)?;
		// [batch·tokens × width]
		let mut residual = self.embed.f_index_select(0, &ids)?;
		let mut kept = Vec::new();
		for (number, layer) in (0u16..).zip(&self.layers) {
			residual = self.attention(layer, residual)?;
			residual = self.feed_forward(layer, residual)?;
			if keep == Some(number) {
				// Whole numbers of at most 2¹⁵.
				let values = residual.f_to_kind(Kind::Int)?.f_to(Device::Cpu)?.f_contiguous()?;
				kept = vec![0i32; values.numel()];
				values.f_copy_data(&mut kept, values.numel())?;
			}
		}
		let last = residual.f_view([-1, tokens, width])?.f_i((.., tokens - 1, ..))?;
		let output = normalise(&last)?.f_to_kind(Kind::Int8)?.f_to(Device::Cpu)?.f_contiguous()?;
		let mut values = vec![0i8; output.numel()];
		output.f_copy_data(&mut values, output.numel())?;
		let wanted = inputs.len() / self.params.tokens;
		Ok((values.chunks_exact(self.params.width).take(wanted).map(<[i8]>::to_vec).collect(), kept))
	}

	/// `residual`: `[batch·tokens × width]`.
	fn attention(&self, layer: &Layer, residual: Tensor) -> Result<Tensor> {
		let shifts = self.params.shifts;
		let (tokens, width) = (self.params.tokens as i64, self.params.width as i64);
		let (heads, head_width) = (self.params.heads as i64, self.params.head_width() as i64);
		let x = self.operand(normalise(&residual)?)?;
		// [batch × heads × tokens × head width]
		let by_head = |x: Tensor| x.f_view([-1, tokens, heads, head_width])?.f_transpose(1, 2);
		let positioned = |weights: &Tensor, shift, positions: &Tensor| {
			let x = requant(self.product(&x, weights)?, shift)?;
			let x = x.f_view([-1, tokens, width])?.f_add(positions)?;
			by_head(requant(x, 1)?)
		};
		let q = positioned(&layer.q, shifts.q, &layer.pos_q)?;
		let k = positioned(&layer.k, shifts.k, &layer.pos_k)?;
		let v = by_head(requant(self.product(&x, &layer.v)?, shifts.v)?)?;
		let attended = self.attend(&q, &k, &v)?.f_transpose(1, 2)?.f_reshape([-1, width])?;
		update(residual, self.product(&self.operand(attended)?, &layer.o)?, shifts.o)
	}

	/// `q`, `k`, `v`: `[batch × heads × tokens × head width]`; the result, too.
	fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
		// u = (q·k) >> 7, [batch × heads × tokens × tokens]
		let mut u = q.f_matmul(&k.f_transpose(-2, -1)?)?.f_mul_scalar_(2f64.powi(-7))?.f_floor_()?;
		let u = u.f_masked_fill_(&self.hidden, -1e6)?;
		let best = u.f_amax([-1i64].as_slice(), true)?;
		// Hidden tokens are more than 255 below the best, where the table is 0.
		let below = best.f_sub(&u)?.f_clamp_max_(255)?.f_to_kind(Kind::Int)?;
		let e = self.exp.f_index_select(0, &below.f_view([-1])?)?.f_view_as(&below)?;
		let total = e.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?;
		quotient(e.f_matmul(v)?.f_mul_scalar_(2)?, &total)
	}

	/// `residual`: `[batch·tokens × width]`.
	fn feed_forward(&self, layer: &Layer, residual: Tensor) -> Result<Tensor> {
		let shifts = self.params.shifts;
		let x = self.operand(normalise(&residual)?)?;
		let mut gate = requant(self.product(&x, &layer.gate)?, shifts.gate)?;
		let up = requant(self.product(&x, &layer.up)?, shifts.up)?;
		let index = gate.f_add_scalar_(31)?.f_to_kind(Kind::Int)?.f_view([-1])?;
		let mut silu = self.silu.f_index_select(0, &index)?.f_view_as(&up)?;
		let hidden = requant(silu.f_mul_(&up)?, shifts.hidden)?;
		update(residual, self.product(&self.operand(hidden)?, &layer.down)?, shifts.down)
	}

	/// Converts activations to the form that [`Self::product`] takes.
	fn operand(&self, x: Tensor) -> Result<Tensor> {
		match self.products {
			Products::Int8 => x.f_to_kind(Kind::Int8),
			Products::Float32 => Ok(x),
		}
	}

	/// `x·weights`, float32: `[n × columns]` times `[columns × rows]`.
	fn product(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
		product(self.products, x, weights)
	}
}

fn product(products: Products, x: &Tensor, weights: &Tensor) -> Result<Tensor> {
	match products {
		Products::Int8 => x.f_internal_int_mm(weights)?.f_to_kind(Kind::Float),
		Products::Float32 => x.f_matmul(weights),
	}
}

/// Tries both ways on a product of the format's largest shape, and returns the faster one.
fn faster(params: &Params, device: Device) -> Products {
	let (rows, columns, n) = (params.ffn as i64, params.width as i64, params.tokens.max(64) as i64);
	let time = |products: Products| -> Result<(f64, Tensor)> {
		let kind = if products == Products::Int8 { Kind::Int8 } else { Kind::Float };
		let ramp = |a: i64, b: i64, step: i64| {
			let values = Tensor::f_arange(a * b, (Kind::Int64, device))?.f_mul_scalar(step)?.f_remainder(63)?;
			values.f_sub_scalar(31)?.f_view([a, b])?.f_to_kind(kind)
		};
		let (x, weights) = (ramp(n, columns, 37)?, ramp(rows, columns, 29)?.f_t_()?);
		let mut result = product(products, &x, &weights)?;
		let mut best = f64::INFINITY;
		for _ in 0..3 {
			let start = Instant::now();
			result = product(products, &x, &weights)?;
			// Reading a value waits for the device.
			let _ = result.f_double_value(&[0, 0])?;
			best = best.min(start.elapsed().as_secs_f64());
		}
		Ok((best, result))
	};
	match (time(Products::Int8), time(Products::Float32)) {
		(Ok((int8, a)), Ok((float32, b))) if int8 < float32 && a == b => Products::Int8,
		_ => Products::Float32,
	}
}

/// `clamp(⌊(z + 2^(s−1)) / 2^s⌋, −31, 31)`.
fn requant(z: Tensor, shift: u32) -> Result<Tensor> {
	let mut z = z;
	let half = if shift == 0 { 0.0 } else { 2f64.powi(shift as i32 - 1) };
	z.f_add_scalar_(half)?.f_mul_scalar_(2f64.powi(-(shift as i32)))?.f_floor_()?.f_clamp_(-31, 31)
}

/// `clamp(x + ⌊z / 2^s⌋, −2¹⁵, 2¹⁵)`.
fn update(x: Tensor, z: Tensor, shift: u32) -> Result<Tensor> {
	let mut z = z;
	let bound = i64::from(gonka_sprint::arith::RESIDUAL_MAX);
	z.f_mul_scalar_(2f64.powi(-(shift as i32)))?.f_floor_()?.f_add_(&x)?.f_clamp_(-bound, bound)
}

/// `clamp(⌊a / b⌋, −31, 31)` for whole `a` and whole `b` from 1 to 2¹⁵.
fn quotient(a: Tensor, b: &Tensor) -> Result<Tensor> {
	let mut a = a;
	a.f_add_scalar_(0.5)?.f_div_(b)?.f_floor_()?.f_clamp_(-31, 31)
}

/// Divides the rows of `x` (`[… × width]`) by their root mean square: `clamp(⌊16·x / max(1, isqrt(⌊mean(x²)⌋))⌋, −31, 31)`.
fn normalise(x: &Tensor) -> Result<Tensor> {
	let width = x.size().last().copied().unwrap_or(1);
	let wide = x.f_to_kind(Kind::Double)?;
	// Squares sum to at most 2⁴⁰, which is exact. The root of a number below 2³¹ is never so close below an integer that
	// it would be rounded up to it.
	let sum = wide.f_square()?.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Double)?;
	let mean = sum.f_to_kind(Kind::Int64)?.f_floor_divide_scalar(width)?;
	let root = mean.f_to_kind(Kind::Double)?.f_sqrt()?.f_floor()?.f_clamp_min(1)?.f_to_kind(Kind::Float)?;
	quotient(x.f_mul_scalar(16)?, &root)
}
