//! The interface between the scheduler and a backend's model.

use crate::EngineError;

/// Number of rows of logits that a backend computes at a time: more would not be faster, and would take more memory.
pub const LOGIT_ROWS: usize = 64;

/// The part of one sequence in a step.
#[derive(Clone, Copy, Debug)]
pub struct Span {
	/// Slot that keeps the sequence's state.
	pub slot: usize,
	/// Number of its tokens that the slot has read already. Whatever the slot read beyond them is forgotten.
	pub start: usize,
	/// Number of tokens that this step adds.
	pub length: usize,
	/// Number of these tokens, the last ones, whose logits are wanted.
	pub wanted: usize,
}

/// Takes a token's slot and position in its sequence, its hidden state after the last norm, and its logits, one for each id of the
/// vocabulary, or none if the model makes embeddings.
pub type EachRow<'a> = dyn FnMut(usize, usize, &[f32], &[f32]) + 'a;

/// A model with the state of its sequences, one in each slot.
pub trait Model {
	/// Returns the maximum number of tokens of a sequence.
	fn context_length(&self) -> usize;

	/// Returns the width of a hidden state.
	fn width(&self) -> usize;

	/// Returns whether a slot can forget a part of what it read. Otherwise it forgets all or nothing.
	fn can_rewind(&self) -> bool;

	/// Returns whether a text's tokens look at later ones, so that one step has to read all of them.
	fn reads_whole(&self) -> bool {
		false
	}

	/// Reads `tokens`, the tokens of all `spans` one after the other. Calls `each` for every token whose logits are wanted.
	/// Those of a slot come in order.
	///
	/// Spans must have different slots, fit the context, and have at least one token.
	///
	/// # Errors
	/// [`EngineError::Compute`]; the states of the spans' slots are then undefined.
	fn step(&mut self, tokens: &[u32], spans: &[Span], each: &mut EachRow<'_>) -> Result<(), EngineError>;
}
