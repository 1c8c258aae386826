//! The end of a completion: the host that generates it and the checker apply the same rules.

use crate::{CompletionText, FinishReason, GenerateRequest};

/// Decides after each token whether the completion ends.
#[derive(Debug)]
pub struct StopChecker {
	text: CompletionText,
	/// Ids that end the completion.
	ids: Vec<u32>,
	/// Number of tokens that may still come.
	left: usize,
}

impl StopChecker {
	/// Makes a checker for the first token. `eos` are the model's own end ids; `bytes` returns the bytes that a token
	/// stands for.
	pub fn new<'a>(request: &GenerateRequest, eos: &[u32], bytes: impl Fn(u32) -> &'a [u8]) -> Self {
		let mut text = CompletionText::new(request.stop.clone());
		let delivered = request.prompt.len().saturating_sub(request.delivered);
		for id in request.prompt.iter().skip(delivered) {
			// The host that delivered this token sent the text that was certain then.
			text.push(bytes(*id));
		}
		let mut ids = request.stop_token_ids.clone();
		if !request.ignore_eos {
			ids.extend(eos);
		}
		Self { text, ids, left: request.max_tokens }
	}

	/// Adds a token. Returns the text that is now certain, and the finish reason if the completion is over.
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

	/// Returns whether `output` ends with its last token, no earlier, and for the reason `claimed`. A cancelled
	/// completion may end anywhere.
	pub fn confirms<'a>(mut self, output: &[u32], claimed: FinishReason, bytes: impl Fn(u32) -> &'a [u8]) -> bool {
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

	fn is_confirmed(output: &[u32], claimed: FinishReason) -> bool {
		let request = GenerateRequest { max_tokens: 4, stop: vec!["bc".into()], ..Default::default() };
		let bytes = |id: u32| BYTES[id as usize];
		StopChecker::new(&request, &[3], bytes).confirms(output, claimed, bytes)
	}

	#[test]
	fn a_completion_ends_where_it_must_and_nowhere_else() {
		use FinishReason::{Cancelled, Length, Stop};
		for (output, right) in [
			([0, 1, 2].as_slice(), Some(Stop)),
			(&[0, 3], Some(Stop)),
			(&[0, 0, 0, 1], Some(Length)),
			(&[0, 0, 1, 2], Some(Stop)),
			// Ends too early, continues after its end, or exceeds its length.
			(&[0, 1], None),
			(&[3, 0], None),
			(&[1, 2, 0, 0], None),
			(&[0, 0, 0, 0, 0], None),
		] {
			for claimed in [Stop, Length] {
				assert_eq!(is_confirmed(output, claimed), right == Some(claimed), "{output:?}, {claimed:?}");
			}
		}
		assert!(is_confirmed(&[0, 1], Cancelled) && is_confirmed(&[3], Cancelled) && !is_confirmed(&[3, 0], Cancelled));
	}
}
