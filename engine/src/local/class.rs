//! The class of an engine: machines that compute a model alike, bit by bit.

use gonka_primitives::hashing::blake2_256;

use super::model::{Model, Span};
use crate::EngineError;

/// Number of tokens that are computed to find a class.
const TOKENS: usize = 16;

/// Computes a few tokens of a model together, and the last one by itself after the others. Returns eight hexadecimal digits of a
/// hash of all logits and hidden states, if the last ones are equal: otherwise what a token gives depends on what is computed
/// with it, and no two machines are alike for certain.
///
/// # Errors
/// [`EngineError::Compute`] from the model.
pub fn class(model: &mut dyn Model, vocab_size: usize) -> Result<Option<String>, EngineError> {
	let length = TOKENS.min(model.context_length());
	let tokens: Vec<u32> = (1..=length).map(|place| (place * 7_919 % vocab_size.max(1)) as u32).collect();
	let Some((alone, before)) = tokens.split_last().filter(|(_, before)| !before.is_empty()) else { return Ok(None) };

	let together = rows(model, &tokens, Span { slot: 0, start: 0, length, wanted: length })?;
	let read = before.len();
	rows(model, before, Span { slot: 0, start: 0, length: read, wanted: 0 })?;
	let last = rows(model, &[*alone], Span { slot: 0, start: read, length: 1, wanted: 1 })?;
	let [first, second, third, fourth, ..] = blake2_256(&[&together]);
	let name = format!("{:08x}", u32::from_be_bytes([first, second, third, fourth]));
	Ok((!last.is_empty() && together.ends_with(&last)).then_some(name))
}

/// Returns the bytes of the hidden states and logits of the wanted tokens.
fn rows(model: &mut dyn Model, tokens: &[u32], span: Span) -> Result<Vec<u8>, EngineError> {
	let mut bytes = Vec::new();
	model.step(tokens, &[span], &mut |_, _, hidden, logits| {
		bytes.extend(hidden.iter().chain(logits).flat_map(|number| number.to_le_bytes()));
	})?;
	Ok(bytes)
}
