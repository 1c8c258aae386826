//! When an answer is over: the same for who gives it and for who checks it.

use crate::{AnswerText, FinishReason, GenerateRequest};

/// Special tokens that end an answer wherever they exist, besides those that the model's file names.
#[cfg(any(feature = "torch", feature = "upstream"))]
pub const END_TOKENS: [&str; 4] = ["<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end|>"];

/// Follows an answer token by token.
#[derive(Debug)]
pub struct Ending {
	text: AnswerText,
	/// Ids that end the answer.
	ids: Vec<u32>,
	/// How many more tokens it may have.
	left: usize,
}

impl Ending {
	/// Before the first token. `eos` are the model's own end ids, `bytes` what a token stands for.
	pub fn new<'a>(request: &GenerateRequest, eos: &[u32], bytes: impl Fn(u32) -> &'a [u8]) -> Self {
		let mut text = AnswerText::new(request.stop.clone());
		let delivered = request.prompt.len().saturating_sub(request.delivered);
		for id in request.prompt.iter().skip(delivered) {
			// Whoever delivered it sent the text that was certain.
			text.push(bytes(*id));
		}
		let mut ids = request.stop_token_ids.clone();
		if !request.ignore_eos {
			ids.extend(eos);
		}
		Self { text, ids, left: request.max_tokens }
	}

	/// Adds a token. Returns the text that is now certain, and why the answer is over if it is.
	pub fn push(&mut self, id: u32, bytes: &[u8]) -> (String, Option<FinishReason>) {
		self.left = self.left.saturating_sub(1);
		let (mut text, stopped) = self.text.push(bytes);
		let reason = if stopped || self.ids.contains(&id) {
			Some(FinishReason::Stop)
		} else if self.left == 0 {
			Some(FinishReason::Length)
		} else {
			None
		};
		if reason.is_some() && !stopped {
			text.push_str(&self.text.finish());
		}
		(text, reason)
	}

	/// Whether the answer `output` is over with its last token, no earlier, and for `claimed`. Who cancelled may have
	/// done so anywhere.
	pub fn holds<'a>(mut self, output: &[u32], claimed: FinishReason, bytes: impl Fn(u32) -> &'a [u8]) -> bool {
		let Some((last, before)) = output.split_last() else { return claimed == FinishReason::Cancelled };
		let goes_on = before.iter().all(|&id| self.push(id, bytes(id)).1.is_none());
		let (_, reason) = self.push(*last, bytes(*last));
		goes_on && (claimed == FinishReason::Cancelled || reason == Some(claimed))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const BYTES: [&[u8]; 4] = [b"a", b"b", b"c", b""];

	fn is_right(output: &[u32], claimed: FinishReason) -> bool {
		let request = GenerateRequest { max_tokens: 4, stop: vec!["bc".into()], ..Default::default() };
		let bytes = |id: u32| BYTES[id as usize];
		Ending::new(&request, &[3], bytes).holds(output, claimed, bytes)
	}

	#[test]
	fn an_answer_ends_where_it_must_and_nowhere_else() {
		use FinishReason::{Cancelled, Length, Stop};
		for (output, right) in [
			([0, 1, 2].as_slice(), Some(Stop)),
			(&[0, 3], Some(Stop)),
			(&[0, 0, 0, 1], Some(Length)),
			(&[0, 0, 1, 2], Some(Stop)),
			// Too early, past its end, past its length.
			(&[0, 1], None),
			(&[3, 0], None),
			(&[1, 2, 0, 0], None),
			(&[0, 0, 0, 0, 0], None),
		] {
			for claimed in [Stop, Length] {
				assert_eq!(is_right(output, claimed), right == Some(claimed), "{output:?}, {claimed:?}");
			}
		}
		assert!(is_right(&[0, 1], Cancelled) && is_right(&[3], Cancelled) && !is_right(&[3, 0], Cancelled));
	}
}
