//! The last turn of a dispute, which decides who lied about one value of a [trace](crate::trace), and what its players
//! need.
//!
//! # The turns
//!
//! 1. The claimant's root is on chain. The claimant shows the *frontier*; the refuter picks the first node that differs from
//!    its own. The claimant shows that node's *children*, which are block hashes; the refuter picks the first that differs,
//!    which is the block `index`. What the claimant shows must pass [`Layout::verify_children`], each pick
//!    [`Layout::child_index`].
//! 2. The claimant shows the block's bytes, which must hash to the child picked.
//! 3. The refuter names a coordinate and gives the [`inputs`] of that value with proofs: [`judge`] computes it.
//!
//! # Proofs of the inputs
//!
//! The refuter does not have the claimant's tree. But all inputs come before `index`, and if the refuter picked the first
//! node that differs, all shown nodes before `index` are equal in both trees. So an input is proven
//!
//! * under another frontier node than `index`: against that frontier node, by the path from the block up to it (8
//!   hashes for P400, 1 for Nano), which lies within a subtree that is equal in both trees;
//! * under the same frontier node: against the child list that the claimant showed, with an empty path, because the
//!   children are block hashes.
//!
//! An honest refuter takes both from its own trace ([`evidence`]). A lying one cannot win: the proofs bind it to the
//! claimant's own blocks, and each block of an honest claimant follows from the blocks before it.
//!
//! Inputs out of their type's range are rejected. Only a liar's trace has such values, and they come after the first
//! difference, where an honest refuter has no turn. A *shown* value out of range is wrong.

use crate::{
	Matrix, ModelSeed, Params, SprintFormat,
	arith::{MAX, RESIDUAL_MAX, clamp, div_floor, dot, requant, root_mean_square, update},
	hash::Hash,
	lut::{EXP_LUT, SILU_LUT},
	trace::{Layout, MAX_BLOCK, Place, Tensor, Trace, block_hash, verify_path},
	weights::expand_row,
};
use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

/// A block that the disputed value depends on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct InputBlock {
	/// The bytes of the block, at most 4096.
	pub bytes: Vec<u8>,
	/// Siblings from the block up to the frontier, at most 8, or none.
	pub path: Vec<Hash>,
}

/// The outcome of a dispute: the player that lied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum DisputeVerdict {
	/// The block shown is wrong at the coordinate named.
	ClaimantLied,
	/// It is right there.
	RefuterLied,
}

/// The blocks that one value depends on, in the order in which [`value`] takes them: at most 2, all before `index`. `None`
/// if there is no such block or coordinate.
pub fn inputs(format: SprintFormat, index: u32, coordinate: u32) -> Option<Vec<u32>> {
	let layout = Layout::new(format);
	let Params { tokens, layers, .. } = format.params();
	let tokens = tokens as u32;
	let (layer, tensor, row) = match layout.place(index).filter(|place| coordinate < layout.values(*place))? {
		Place::Embedded { .. } => return Some(Vec::new()),
		Place::Output => {
			let (layer, row) = (layers.checked_sub(1)?, tokens.checked_sub(1)?);
			return Some(vec![layout.index(Place::Row { layer, tensor: Tensor::Output, row })?]);
		},
		Place::Row { layer, tensor, row } => (layer, tensor, row),
	};
	let of = |tensor, row| Place::Row { layer, tensor, row };
	let before = || match layer.checked_sub(1) {
		Some(layer) => Place::Row { layer, tensor: Tensor::Output, row },
		None => Place::Embedded { token: row },
	};
	let places = match tensor {
		Tensor::AttentionInput => vec![before()],
		Tensor::Q | Tensor::K => vec![of(Tensor::AttentionInput, row)],
		Tensor::V => vec![of(Tensor::AttentionInput, coordinate)],
		Tensor::Scores => match coordinate.checked_rem(tokens)? {
			other if other > row => vec![],
			other => vec![of(Tensor::Q, row), of(Tensor::K, other)],
		},
		Tensor::Attended => vec![of(Tensor::Scores, row), of(Tensor::V, coordinate)],
		Tensor::Middle => vec![before(), of(Tensor::Attended, row)],
		Tensor::FfnInput => vec![of(Tensor::Middle, row)],
		Tensor::Gate | Tensor::Up => vec![of(Tensor::FfnInput, row)],
		Tensor::Hidden => vec![of(Tensor::Gate, row), of(Tensor::Up, row)],
		Tensor::Output => vec![of(Tensor::Middle, row), of(Tensor::Hidden, row)],
	};
	places.into_iter().map(|place| layout.index(place)).collect()
}

/// The right value at `coordinate` of block `index`, computed from the bytes of its [`inputs`] as the model computes it.
/// `None` if there is no such value, or the inputs have a wrong number, length or range.
///
/// Costs at most two weight rows and one dot product over 4096 weights.
pub fn value(
	seed: &ModelSeed,
	format: SprintFormat,
	tokens: &[u16],
	index: u32,
	coordinate: u32,
	inputs: &[&[u8]],
) -> Option<i32> {
	let (params, layout) = (format.params(), Layout::new(format));
	let place = layout.place(index).filter(|place| coordinate < layout.values(*place))?;
	let at = coordinate as usize;
	let (layer, tensor, row) = match place {
		Place::Embedded { token } => {
			let [] = inputs else { return None };
			let token = tokens.get(token as usize).filter(|_| tokens.len() == params.tokens)?;
			let weights = expand_row(seed, format, 0, Matrix::Embed, u32::from(*token))?;
			return i32::from(*weights.get(at)?).checked_mul(16);
		},
		Place::Output => return normalised(&residuals(one(inputs)?, params.width)?, at),
		Place::Row { layer, tensor, row } => (layer, tensor, row),
	};
	let weights = |matrix, row| expand_row(seed, format, layer, matrix, row);
	let product = |matrix, x: &[i8]| Some(dot(&weights(matrix, coordinate)?, x));
	let Params { width, ffn, shifts, .. } = params;
	let value = match tensor {
		Tensor::AttentionInput | Tensor::FfnInput => return normalised(&residuals(one(inputs)?, width)?, at),
		Tensor::Q | Tensor::K => {
			let (matrix, positions, shift) = match tensor {
				Tensor::Q => (Matrix::Q, Matrix::PosQ, shifts.q),
				_ => (Matrix::K, Matrix::PosK, shifts.k),
			};
			let x = requant(product(matrix, &activations(one(inputs)?, width)?)?, shift);
			requant(i32::from(x).checked_add(i32::from(*weights(positions, row)?.get(at)?))?, 1)
		},
		Tensor::V => requant(dot(&weights(Matrix::V, row)?, &activations(one(inputs)?, width)?), shifts.v),
		Tensor::Scores => return score(&params, row as usize, at, inputs),
		Tensor::Attended => {
			let [scores, v] = two(inputs)?;
			return attended(&params, row as usize, at, scores, v);
		},
		Tensor::Middle => {
			let [x, attended] = two(inputs)?;
			let x = *residuals(x, width)?.get(at)?;
			return Some(update(x, product(Matrix::O, &activations(attended, width)?)?, shifts.o));
		},
		Tensor::Gate => requant(product(Matrix::Gate, &activations(one(inputs)?, width)?)?, shifts.gate),
		Tensor::Up => requant(product(Matrix::Up, &activations(one(inputs)?, width)?)?, shifts.up),
		Tensor::Hidden => {
			let [gate, up] = two(inputs)?;
			let (gate, up) = (*activations(gate, ffn)?.get(at)?, *activations(up, ffn)?.get(at)?);
			let silu = *SILU_LUT.get(usize::try_from(i32::from(gate).checked_add(MAX)?).ok()?)?;
			requant(i32::from(silu).checked_mul(i32::from(up))?, shifts.hidden)
		},
		Tensor::Output => {
			let [x, hidden] = two(inputs)?;
			let x = *residuals(x, width)?.get(at)?;
			return Some(update(x, product(Matrix::Down, &activations(hidden, ffn)?)?, shifts.down));
		},
	};
	Some(i32::from(value))
}

/// The value that `bytes`, shown as block `index`, have at `coordinate`; `None` if there is no such value, or `bytes` does
/// not have the block's length.
pub fn shown(format: SprintFormat, index: u32, bytes: &[u8], coordinate: u32) -> Option<i32> {
	let layout = Layout::new(format);
	let place = layout.place(index)?;
	let len = layout.value_len(place);
	if bytes.len() != layout.block_len(place) {
		return None;
	}
	match *bytes.chunks_exact(len).nth(coordinate as usize)? {
		[a] => Some(i32::from(a as i8)),
		[a, b] => Some(i32::from(i16::from_le_bytes([a, b]))),
		[a, b, c, d] => Some(i32::from_le_bytes([a, b, c, d])),
		_ => None,
	}
}

/// Decides who lied about `coordinate` of block `index`. `None` if the refuter's turn is malformed and must be rejected: there
/// is no such coordinate, or an input is not proven or out of range. A `block` of a wrong length is a lie at any coordinate.
///
/// * `tokens`: the leaf's input. Only the embedded rows need it; for other blocks it may be empty.
/// * `frontier` and `children`: the nodes that the claimant showed in steps 0 and 1; `picked` is the frontier node between
///   them.
/// * `block`: the bytes that the claimant showed as block `index`. They must hash to its child, otherwise the result is
///   `None`. Check this when the claimant shows them ([`is_child`]): the refuter could not reply later.
///
/// All arguments may be hostile. Costs at most 3 hashes of a block, 16 of nodes, and one [`value`].
#[allow(clippy::too_many_arguments, reason = "what the chain holds, and then what the move brings")]
pub fn judge(
	seed: &ModelSeed,
	format: SprintFormat,
	tokens: &[u16],
	frontier: &[Hash],
	picked: u32,
	children: &[Hash],
	index: u32,
	block: &[u8],
	coordinate: u32,
	given: &[InputBlock],
) -> Option<DisputeVerdict> {
	let layout = Layout::new(format);
	let wanted = inputs(format, index, coordinate)?;
	let is_here = layout.picks(index)?.0 == picked && frontier.len() == layout.children_len(0);
	if !is_here || !is_child(&layout, children, index, block) {
		return None;
	}
	let Some(shown) = shown(format, index, block, coordinate) else { return Some(DisputeVerdict::ClaimantLied) };
	let proven = |(input, given): (&u32, &InputBlock)| is_proven(&layout, frontier, picked, children, *input, given);
	if wanted.len() != given.len() || !wanted.iter().zip(given).all(proven) {
		return None;
	}
	let given: Vec<&[u8]> = given.iter().map(|input| input.bytes.as_slice()).collect();
	let right = value(seed, format, tokens, index, coordinate, &given)?;
	Some(if shown == right { DisputeVerdict::RefuterLied } else { DisputeVerdict::ClaimantLied })
}

/// Whether `bytes` are block `index`, by the children shown in step 1.
pub fn is_child(layout: &Layout, children: &[Hash], index: u32, bytes: &[u8]) -> bool {
	let child = layout.picks(index).and_then(|(_, child)| children.get(child as usize));
	bytes.len() <= MAX_BLOCK && children.len() == layout.children_len(1) && child == Some(&block_hash(index, bytes))
}

fn is_proven(
	layout: &Layout,
	frontier: &[Hash],
	picked: u32,
	children: &[Hash],
	index: u32,
	given: &InputBlock,
) -> bool {
	let Some((node, _)) = layout.picks(index) else { return false };
	if node == picked {
		return given.path.is_empty() && is_child(layout, children, index, &given.bytes);
	}
	given.path.len() == layout.height(1) as usize
		&& given.bytes.len() <= MAX_BLOCK
		&& frontier.get(node as usize) == Some(&verify_path(&block_hash(index, &given.bytes), index, &given.path))
}

/// The first of the children that the claimant showed for `node` in `step` that differs from `mine`: the refuter's pick, an
/// argument of [`Layout::child_index`]. `None` if all are equal.
pub fn first_difference(mine: &Trace, theirs: &[Hash], step: u32, node: u32) -> Option<u32> {
	let mine = mine.children(step, node)?;
	(0..).zip(mine).zip(theirs).find(|((_, mine), theirs)| mine != theirs).map(|((child, _), _)| child)
}

/// The first coordinate at which the shown block differs from that of `mine`; 0 if its length is wrong; `None` if they are
/// equal.
pub fn find_coordinate(mine: &Trace, index: u32, theirs: &[u8]) -> Option<u32> {
	let (layout, mine) = (mine.layout(), mine.block(index)?);
	let len = layout.value_len(layout.place(index)?);
	if mine.len() != theirs.len() {
		return Some(0);
	}
	let pairs = (0..).zip(mine.chunks(len).zip(theirs.chunks(len)));
	pairs.into_iter().find(|(_, (mine, theirs))| mine != theirs).map(|(coordinate, _)| coordinate)
}

/// The inputs of one value with the proofs that [`judge`] needs, from a trace that is equal to the claimant's before `index`.
/// `None` if there is no such value.
pub fn evidence(mine: &Trace, index: u32, coordinate: u32) -> Option<Vec<InputBlock>> {
	let layout = mine.layout();
	let (picked, _) = layout.picks(index)?;
	let proven = |input: u32| {
		let same = layout.picks(input)?.0 == picked;
		let path = if same { Vec::new() } else { mine.path(input, 0, layout.height(1))? };
		Some(InputBlock { bytes: mine.block(input)?.to_vec(), path })
	};
	inputs(layout.format(), index, coordinate)?.into_iter().map(proven).collect()
}

/// `norm` of one coordinate of a residual row.
fn normalised(x: &[i32], at: usize) -> Option<i32> {
	let value = x.get(at)?.checked_mul(16)?;
	Some(i32::from(clamp(div_floor(value, root_mean_square(x)))))
}

/// `(q·k) >> 7` of one head of tokens t and j, `at` being `head · tokens + j`; 0 for j after t.
fn score(params: &Params, t: usize, at: usize, inputs: &[&[u8]]) -> Option<i32> {
	let (head, j) = (at.checked_div(params.tokens)?, at.checked_rem(params.tokens)?);
	if j > t {
		return inputs.is_empty().then_some(0);
	}
	let [q, k] = two(inputs)?;
	let (q, k) = (activations(q, params.width)?, activations(k, params.width)?);
	let mut heads = q.chunks_exact(params.head_width()).zip(k.chunks_exact(params.head_width()));
	let (q, k) = heads.nth(head)?;
	Some(dot(q, k) >> 7)
}

/// Attention's result at column `at` of token t: the weighted sum over tokens 0 to t.
fn attended(params: &Params, t: usize, at: usize, scores: &[u8], v: &[u8]) -> Option<i32> {
	let head = at.checked_div(params.head_width())?;
	let scores = shorts(scores, params)?;
	let seen = scores.chunks_exact(params.tokens).nth(head)?.get(..=t)?;
	let best = i32::from(*seen.iter().max()?);
	let (mut sum, mut total) = (0i32, 0i32);
	for (score, v) in seen.iter().zip(activations(v, params.tokens)?) {
		let distance = best.checked_sub(i32::from(*score))?.min(255);
		let e = i32::from(*EXP_LUT.get(usize::try_from(distance).ok()?)?);
		total = total.checked_add(e)?;
		sum = sum.checked_add(e.checked_mul(i32::from(v))?)?;
	}
	Some(i32::from(clamp(div_floor(sum.checked_mul(2)?, total))))
}

fn one<'a>(inputs: &[&'a [u8]]) -> Option<&'a [u8]> {
	let [input] = inputs else { return None };
	Some(input)
}

fn two<'a>(inputs: &[&'a [u8]]) -> Option<[&'a [u8]; 2]> {
	inputs.try_into().ok()
}

/// `len` numbers in [-31, 31].
fn activations(bytes: &[u8], len: usize) -> Option<Vec<i8>> {
	let values: Vec<i8> = bytes.iter().map(|x| *x as i8).collect();
	let legal = bytes.len() == len && values.iter().all(|x| i32::from(x.unsigned_abs()) <= MAX);
	legal.then_some(values)
}

/// `len` numbers within ±2¹⁵.
fn residuals(bytes: &[u8], len: usize) -> Option<Vec<i32>> {
	let (words, []) = bytes.as_chunks() else { return None };
	let values: Vec<i32> = words.iter().map(|word| i32::from_le_bytes(*word)).collect();
	let legal = values.len() == len && values.iter().all(|x| x.unsigned_abs() <= RESIDUAL_MAX.unsigned_abs());
	legal.then_some(values)
}

/// A row of scores, each in the range of a head's product of numbers in [-31, 31].
fn shorts(bytes: &[u8], params: &Params) -> Option<Vec<i16>> {
	let (words, []) = bytes.as_chunks() else { return None };
	let values: Vec<i16> = words.iter().map(|word| i16::from_le_bytes(*word)).collect();
	let max = MAX.checked_mul(MAX)?.checked_mul(params.head_width() as i32)?;
	let range = max.checked_neg()? >> 7..=max >> 7;
	let legal = values.len() == params.heads.checked_mul(params.tokens)?
		&& values.iter().all(|x| range.contains(&i32::from(*x)));
	legal.then_some(values)
}
