//! A trace: a tree whose blocks are the rows that the computation of one leaf writes.
//!
//! Blocks are in the order of computation, so a block depends on blocks before it only. For T tokens and width d:
//!
//! ```text
//! T rows of the residual before layer 0
//! each layer: AttentionInput (T rows), Q (T), K (T), V (d columns), Scores (T), Attended (T), Middle (T),
//!             FfnInput (T), Gate (T), Up (T), Hidden (T), Output (T)
//! the leaf's output
//!
//! block = H("gonka/sprint/block" ‖ index:u32 ‖ bytes)
//! node  = H(0x01 ‖ left ‖ right), over 2^depth leaves; the leaves after the last block are all-zero
//! ```
//!
//! T and d/T are powers of two, so the rows of each layer's Output are a whole subtree; its node is the
//! [layer's digest](layer_digest), which needs no trace.
//!
//! A descent from the root goes in steps of [`STEP`] levels. Step 0 shows the *frontier*, the nodes 8 levels below the root.
//! Step 1 shows the children of one of them, which are blocks in all formats ([`Layout::steps`] is 2).
#![allow(
	clippy::arithmetic_side_effects,
	reason = "sizes of a format, and numbers checked against them on entry: all below 2^depth"
)]

use crate::{
	Model, Params, SprintFormat,
	hash::{Hash, blake2_256},
	merkle::node,
	model,
};
use alloc::{vec, vec::Vec};

/// Number of levels in one step of a descent.
pub const STEP: u32 = 8;
/// Maximum length of a block, in bytes.
pub const MAX_BLOCK: usize = 4096;

/// A tensor that a layer computes, in the order of the blocks. Shapes are `[rows × values]`; numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tensor {
	/// Normalised input of attention, i8 `[tokens × width]`.
	AttentionInput = 0,
	/// Queries with their positions, i8 `[tokens × width]`.
	Q = 1,
	/// Keys with their positions, i8 `[tokens × width]`.
	K = 2,
	/// Values, i8 `[width × tokens]`: by column, because attention sums over tokens.
	V = 3,
	/// `(q·k) >> 7`, i16 `[tokens × (heads × tokens)]`: 0 for the tokens after the row's.
	Scores = 4,
	/// Attention's result before its output projection, i8 `[tokens × width]`.
	Attended = 5,
	/// Residual between attention and the feed-forward part, i32 `[tokens × width]`.
	Middle = 6,
	/// Normalised input of the feed-forward part, i8 `[tokens × width]`.
	FfnInput = 7,
	/// Gate, i8 `[tokens × ffn]`.
	Gate = 8,
	/// Up, i8 `[tokens × ffn]`.
	Up = 9,
	/// SiLU of the gate times up, i8 `[tokens × ffn]`.
	Hidden = 10,
	/// Residual after the layer, i32 `[tokens × width]`.
	Output = 11,
}

impl Tensor {
	/// Every tensor, in order.
	pub const ALL: [Self; 12] = [
		Self::AttentionInput,
		Self::Q,
		Self::K,
		Self::V,
		Self::Scores,
		Self::Attended,
		Self::Middle,
		Self::FfnInput,
		Self::Gate,
		Self::Up,
		Self::Hidden,
		Self::Output,
	];
}

/// Place of a block in the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
	/// A row of the residual before layer 0, i32 `[width]`.
	Embedded {
		/// The token's position.
		token: u32,
	},
	/// A row of a layer's tensor.
	Row {
		/// The layer.
		layer: u16,
		/// The tensor.
		tensor: Tensor,
		/// Its row: a token's position, for [`Tensor::V`] a column of the width.
		row: u32,
	},
	/// The leaf's output, i8 `[width]`.
	Output,
}

/// The order and sizes of the blocks of a format's traces.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
	format: SprintFormat,
	params: Params,
}

impl Layout {
	/// The layout of a format.
	pub const fn new(format: SprintFormat) -> Self {
		Self { format, params: format.params() }
	}

	/// The format.
	pub const fn format(&self) -> SprintFormat {
		self.format
	}

	/// Number of blocks.
	pub fn blocks(&self) -> u32 {
		self.tokens() + u32::from(self.params.layers) * self.layer_blocks() + 1
	}

	/// Number of levels below the root.
	pub fn depth(&self) -> u32 {
		self.blocks().next_power_of_two().ilog2()
	}

	/// Place of block `index`; `None` from [`Layout::blocks`] on.
	pub fn place(&self, index: u32) -> Option<Place> {
		let (tokens, width) = (self.tokens(), self.width());
		let last = self.blocks() - 1;
		if index >= last {
			return (index == last).then_some(Place::Output);
		}
		let Some(index) = index.checked_sub(tokens) else { return Some(Place::Embedded { token: index }) };
		let (layer, within) = ((index / self.layer_blocks()) as u16, index % self.layer_blocks());
		let (before, v) = (Tensor::V as u32, Tensor::V as u32 * tokens);
		let (number, row) = if within < v {
			(within / tokens, within % tokens)
		} else if within < v + width {
			(before, within - v)
		} else {
			((within - width) / tokens + 1, within % tokens)
		};
		Some(Place::Row { layer, tensor: *Tensor::ALL.get(number as usize)?, row })
	}

	/// Index of the block at `place`; `None` if the format has no such layer or row.
	pub fn index(&self, place: Place) -> Option<u32> {
		let (tokens, width) = (self.tokens(), self.width());
		match place {
			Place::Embedded { token } => (token < tokens).then_some(token),
			Place::Row { layer, tensor, row } => {
				let number = tensor as u32;
				let (rows, start) = match tensor {
					Tensor::V => (width, number * tokens),
					_ if number < Tensor::V as u32 => (tokens, number * tokens),
					_ => (tokens, (number - 1) * tokens + width),
				};
				let fits = layer < self.params.layers && row < rows;
				fits.then(|| tokens + u32::from(layer) * self.layer_blocks() + start + row)
			},
			Place::Output => Some(self.blocks() - 1),
		}
	}

	/// Length of a block in bytes: at most [`MAX_BLOCK`].
	pub fn block_len(&self, place: Place) -> usize {
		self.values(place) as usize * self.value_len(place)
	}

	/// Number of values in a block.
	pub fn values(&self, place: Place) -> u32 {
		match place {
			Place::Embedded { .. } | Place::Output => self.width(),
			Place::Row { tensor, .. } => match tensor {
				Tensor::V => self.tokens(),
				Tensor::Scores => self.params.heads as u32 * self.tokens(),
				Tensor::Gate | Tensor::Up | Tensor::Hidden => self.params.ffn as u32,
				_ => self.width(),
			},
		}
	}

	/// Length of one value in bytes: 1, 2 or 4.
	pub fn value_len(&self, place: Place) -> usize {
		match place {
			Place::Embedded { .. } => 4,
			Place::Row { tensor: Tensor::Middle | Tensor::Output, .. } => 4,
			Place::Row { tensor: Tensor::Scores, .. } => 2,
			_ => 1,
		}
	}

	/// Number of steps of a descent from the root to a block.
	pub fn steps(&self) -> u32 {
		self.depth().div_ceil(STEP)
	}

	/// Number of children that each node shows in `step`; 0 if there is no such step.
	pub fn children_len(&self, step: u32) -> usize {
		if step < self.steps() { 1 << (self.height(step) - self.height(step + 1)) } else { 0 }
	}

	/// The number of `child` of `parent` among the nodes to which `step` leads; after the last step a block's index. `parent`
	/// is 0 in step 0, then the number of the node picked before. `None` if there is no such node, or only padding below it:
	/// the chain must reject such a pick.
	pub fn child_index(&self, step: u32, parent: u32, child: u32) -> Option<u32> {
		let len = self.children_len(step) as u32;
		if child >= len || parent >= self.nodes(step) {
			return None;
		}
		let index = parent * len + child;
		(index << self.height(step + 1) < self.blocks()).then_some(index)
	}

	/// The picks that lead to block `index`: `(number of the frontier node, child of it)`; `None` if there is no such
	/// block.
	pub fn picks(&self, index: u32) -> Option<(u32, u32)> {
		let height = self.height(1);
		(index < self.blocks()).then(|| (index >> height, index & ((1 << height) - 1)))
	}

	/// Whether `children` are the children of node `parent` of `step`, whose hash is `hash` (the root in step 0): they have
	/// the right number, fold to `hash`, and are padding after the last block. The chain accepts only such children from a
	/// claimant. Costs at most 256 hashes.
	pub fn verify_children(&self, step: u32, parent: u32, hash: &Hash, children: &[Hash]) -> bool {
		let len = self.children_len(step);
		if len == 0 || children.len() != len || parent >= self.nodes(step) {
			return false;
		}
		let height = self.height(step + 1);
		let padding = padding(height);
		let first = parent * len as u32;
		let padded = |(index, child): (u32, &Hash)| index << height < self.blocks() || *child == padding;
		(first..).zip(children).all(padded) && fold(children).as_ref() == Some(hash)
	}

	/// Number of levels from the blocks up to the nodes where `step` starts.
	pub(crate) fn height(&self, step: u32) -> u32 {
		self.depth().saturating_sub(STEP.saturating_mul(step))
	}

	/// The block where `layer`'s output begins, and the height of the node over its rows.
	pub(crate) fn digest_node(&self, layer: u16) -> Option<(u32, u32)> {
		let first = self.index(Place::Row { layer, tensor: Tensor::Output, row: 0 })?;
		Some((first, self.tokens().ilog2()))
	}

	/// Number of nodes where `step` starts, padding included.
	fn nodes(&self, step: u32) -> u32 {
		1 << (self.depth() - self.height(step))
	}

	fn layer_blocks(&self) -> u32 {
		(Tensor::ALL.len() as u32 - 1) * self.tokens() + self.width()
	}

	fn tokens(&self) -> u32 {
		self.params.tokens as u32
	}

	fn width(&self) -> u32 {
		self.params.width as u32
	}
}

/// The leaf of the tree for one block.
pub fn block_hash(index: u32, bytes: &[u8]) -> Hash {
	blake2_256(&[b"gonka/sprint/block", &index.to_le_bytes(), bytes])
}

/// The node over `nodes`; `None` if their number is not a power of two.
pub fn fold(nodes: &[Hash]) -> Option<Hash> {
	if !nodes.len().is_power_of_two() {
		return None;
	}
	let mut level = nodes.to_vec();
	while level.len() > 1 {
		level = level.as_chunks().0.iter().map(|[left, right]| node(left, right)).collect();
	}
	level.first().copied()
}

/// The ancestor of `hash`, which is node `index` of its level, by the siblings in `path`.
pub fn verify_path(hash: &Hash, index: u32, path: &[Hash]) -> Hash {
	let mut index = index;
	path.iter().fold(*hash, |hash, sibling| {
		let right = index & 1 == 1;
		index >>= 1;
		if right { node(sibling, &hash) } else { node(&hash, sibling) }
	})
}

/// Whether `bytes` are block `index` of the tree with this root. The cost is bounded by the tree's depth.
pub fn verify_block(layout: &Layout, root: &Hash, index: u32, bytes: &[u8], path: &[Hash]) -> bool {
	index < layout.blocks()
		&& path.len() == layout.depth() as usize
		&& verify_path(&block_hash(index, bytes), index, path) == *root
}

/// The digest of the residual (`[tokens × width]`) after `layer`: the node over that layer's Output rows in the trace.
/// `None` if the format has no such layer or the residual another shape.
pub fn layer_digest(format: SprintFormat, layer: u16, residual: &[i32]) -> Option<Hash> {
	let (params, layout) = (format.params(), Layout::new(format));
	let (first, _) = layout.digest_node(layer)?;
	if residual.len() != params.tokens * params.width {
		return None;
	}
	let rows = (first..).zip(residual.chunks_exact(params.width));
	let hashes: Vec<Hash> = rows.map(|(index, row)| block_hash(index, &wide(row))).collect();
	fold(&hashes)
}

/// Whether `digest` is that of `layer` in the trace with this frontier (as [accepted](Layout::verify_children)).
/// `path`: [`Trace::digest_path`], empty unless the digest's node lies below the frontier.
pub fn bind_digest(layout: &Layout, frontier: &[Hash], layer: u16, digest: &Hash, path: &[Hash]) -> bool {
	let Some((first, height)) = layout.digest_node(layer) else { return false };
	let edge = layout.height(1);
	if frontier.len() != layout.children_len(0) || path.len() != edge.saturating_sub(height) as usize {
		return false;
	}
	let at = (first >> edge) as usize;
	let nodes = frontier.get(at..at + (1 << height.saturating_sub(edge)));
	// If the digest lies at the frontier or below, there is one node, and its fold is the node itself.
	nodes.and_then(fold) == Some(verify_path(digest, first >> height, path))
}

/// Whether `output` (a byte per coordinate) is the leaf's output in the trace with this frontier. `path`:
/// [`Trace::output_path`].
pub fn bind_output(layout: &Layout, frontier: &[Hash], output: &[u8], path: &[Hash]) -> bool {
	let (index, edge) = (layout.blocks() - 1, layout.height(1));
	frontier.len() == layout.children_len(0)
		&& output.len() == layout.block_len(Place::Output)
		&& path.len() == edge as usize
		&& frontier.get((index >> edge) as usize) == Some(&verify_path(&block_hash(index, output), index, path))
}

/// A trace in memory, with its tree: 100 MB for [`SprintFormat::P400`], 200 kB for [`SprintFormat::Nano`].
pub struct Trace {
	layout: Layout,
	blocks: Vec<Vec<u8>>,
	output: Vec<i8>,
	/// From the 2^depth leaves up to the root.
	levels: Vec<Vec<Hash>>,
}

impl Trace {
	/// Runs the model on `tokens` and keeps everything.
	pub fn new(model: &Model, tokens: &[u16]) -> Result<Self, model::Error> {
		let layout = Layout::new(model.format());
		let Params { width, ffn, heads, tokens: count, .. } = layout.params;
		let embedded = model.embed(tokens)?;
		let mut blocks: Vec<Vec<u8>> = embedded.chunks_exact(width).map(wide).collect();
		let output = model.forward_with(tokens, |_, residual, a| {
			let rows = |x: &[i8], width: usize| x.chunks_exact(width).map(narrow).collect::<Vec<_>>();
			let columns = (0..width).map(|c| a.v.iter().skip(c).step_by(width).map(|x| *x as u8).collect());
			blocks.extend([&a.attention_input, &a.q, &a.k].into_iter().flat_map(|x| rows(x, width)));
			blocks.extend(columns);
			blocks.extend(
				a.scores.chunks_exact(heads * count).map(|row| row.iter().flat_map(|x| x.to_le_bytes()).collect()),
			);
			blocks.extend(rows(&a.attended, width));
			blocks.extend(a.middle.chunks_exact(width).map(wide));
			blocks.extend(rows(&a.ffn_input, width));
			blocks.extend([&a.gate, &a.up, &a.hidden].into_iter().flat_map(|x| rows(x, ffn)));
			blocks.extend(residual.chunks_exact(width).map(wide));
		})?;
		blocks.push(narrow(&output));
		Ok(Self::build(layout, blocks))
	}

	/// A trace of any blocks, right or wrong and of any length; `None` if their number is not the format's.
	pub fn from_blocks(format: SprintFormat, blocks: Vec<Vec<u8>>) -> Option<Self> {
		let layout = Layout::new(format);
		(blocks.len() == layout.blocks() as usize).then(|| Self::build(layout, blocks))
	}

	fn build(layout: Layout, blocks: Vec<Vec<u8>>) -> Self {
		let mut level: Vec<Hash> = (0..).zip(&blocks).map(|(index, bytes)| block_hash(index, bytes)).collect();
		level.resize(1 << layout.depth(), padding(0));
		let mut levels = vec![level];
		while let Some(level) = levels.last().filter(|level| level.len() > 1) {
			levels.push(level.as_chunks().0.iter().map(|[left, right]| node(left, right)).collect());
		}
		let output = blocks.last().into_iter().flatten().map(|x| *x as i8).collect();
		Self { layout, blocks, output, levels }
	}

	/// The layout of the blocks.
	pub fn layout(&self) -> Layout {
		self.layout
	}

	/// The root of the tree.
	pub fn root(&self) -> Hash {
		self.node(self.layout.depth(), 0).unwrap_or_default()
	}

	/// The leaf's output.
	pub fn output(&self) -> &[i8] {
		&self.output
	}

	/// All blocks, in order.
	pub fn blocks(&self) -> &[Vec<u8>] {
		&self.blocks
	}

	/// One block.
	pub fn block(&self, index: u32) -> Option<&[u8]> {
		self.blocks.get(index as usize).map(Vec::as_slice)
	}

	/// The siblings from block `index` up to the root, for [`verify_block`].
	pub fn proof(&self, index: u32) -> Option<Vec<Hash>> {
		self.path(index, 0, self.layout.depth())
	}

	/// The nodes of step 0: [`STEP`] levels below the root.
	pub fn frontier(&self) -> &[Hash] {
		self.children(0, 0).unwrap_or_default()
	}

	/// The children of node `parent` in `step`: [`Layout::children_len`] nodes. `None` if there is no such step or node.
	pub fn children(&self, step: u32, parent: u32) -> Option<&[Hash]> {
		let (len, parent) = (self.layout.children_len(step), parent as usize);
		let level = self.levels.get(self.layout.height(step.checked_add(1)?) as usize)?;
		level.get(len.checked_mul(parent)?..).and_then(|level| level.get(..len)).filter(|nodes| !nodes.is_empty())
	}

	/// The digest of the residual after `layer`, as [`layer_digest`] computes it.
	pub fn digest(&self, layer: u16) -> Option<Hash> {
		let (first, height) = self.layout.digest_node(layer)?;
		self.node(height, first >> height)
	}

	/// The siblings from a layer's digest up to the frontier, for [`bind_digest`].
	pub fn digest_path(&self, layer: u16) -> Option<Vec<Hash>> {
		let (first, height) = self.layout.digest_node(layer)?;
		self.path(first, height, self.layout.height(1))
	}

	/// The siblings from the leaf's output up to the frontier, for [`bind_output`].
	pub fn output_path(&self) -> Vec<Hash> {
		self.path(self.layout.blocks() - 1, 0, self.layout.height(1)).unwrap_or_default()
	}

	/// The siblings of block `index`'s ancestors at the heights `from..to`.
	pub(crate) fn path(&self, index: u32, from: u32, to: u32) -> Option<Vec<Hash>> {
		(from..to).map(|height| self.node(height, (index >> height) ^ 1)).collect()
	}

	fn node(&self, height: u32, index: u32) -> Option<Hash> {
		self.levels.get(height as usize)?.get(index as usize).copied()
	}
}

/// The node of this height over padding only.
fn padding(height: u32) -> Hash {
	(0..height).fold(Hash::default(), |hash, _| node(&hash, &hash))
}

fn narrow(row: &[i8]) -> Vec<u8> {
	row.iter().map(|x| *x as u8).collect()
}

fn wide(row: &[i32]) -> Vec<u8> {
	row.iter().flat_map(|x| x.to_le_bytes()).collect()
}
