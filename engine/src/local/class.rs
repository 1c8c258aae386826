//! The class of an engine: machines that compute a model alike, bit by bit.

use gonka_primitives::hashing::blake2_256;

use super::model::{Model, Span};
use crate::EngineError;

/// Number of tokens that are computed to find a class: enough that attention goes through several of its parts.
const TOKENS: usize = 256;
/// Number of tokens, the last ones, of which logits and hidden states count.
const COUNTED: usize = 16;
/// Number of tokens in the steps that compute the counted ones again.
const STEPS: [usize; 4] = [8, 4, 3, 1];

/// Computes tokens of a model together, and the last ones again in smaller steps. Returns eight hexadecimal digits of a hash of
/// the last ones' logits and hidden states, if both are equal: otherwise what a token gives depends on what is computed with
/// it, and no two machines are alike for certain.
///
/// # Errors
/// [`EngineError::Compute`] from the model.
pub fn class(model: &mut dyn Model, vocab_size: usize) -> Result<Option<String>, EngineError> {
	let length = TOKENS.min(model.context_length());
	let Some(begin) = length.checked_sub(COUNTED).filter(|begin| *begin > 0) else { return Ok(None) };
	let tokens: Vec<u32> = (1..=length).map(|place| (place * 7_919 % vocab_size.max(1)) as u32).collect();

	if model.reads_whole() {
		// It reads each text by itself.
		let whole = rows(model, &tokens, Span { slot: 0, start: 0, length, wanted: length })?;
		return Ok(Some(name(&whole)));
	}
	let together = rows(model, &tokens, Span { slot: 0, start: 0, length, wanted: COUNTED })?;
	if !model.can_rewind() {
		rows(model, &tokens[..begin], Span { slot: 0, start: 0, length: begin, wanted: 0 })?;
	}
	let (mut again, mut start) = (Vec::new(), begin);
	for length in STEPS {
		let step = &tokens[start..start + length];
		again.extend(rows(model, step, Span { slot: 0, start, length, wanted: length })?);
		start += length;
	}
	Ok((together == again).then(|| name(&together)))
}

/// Returns eight hexadecimal digits of a hash.
fn name(bytes: &[u8]) -> String {
	let [first, second, third, fourth, ..] = blake2_256(&[bytes]);
	format!("{:08x}", u32::from_be_bytes([first, second, third, fourth]))
}

/// Returns the bytes of the hidden states and logits of the wanted tokens.
fn rows(model: &mut dyn Model, tokens: &[u32], span: Span) -> Result<Vec<u8>, EngineError> {
	let mut bytes = Vec::new();
	model.step(tokens, &[span], &mut |_, _, hidden, logits| {
		bytes.extend(hidden.iter().chain(logits).flat_map(|number| number.to_le_bytes()));
	})?;
	Ok(bytes)
}
