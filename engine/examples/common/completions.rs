//! Completions with what a check needs of them.

use gonka_engine::{FinishReason, GenerateRequest, TokenEvent};
use gonka_primitives::fingerprint::Fingerprint;
use tokio::sync::mpsc::Receiver;

/// A completion with its request and its fingerprints.
pub struct Generated {
	pub request: GenerateRequest,
	pub output: Vec<u32>,
	pub fingerprints: Vec<Fingerprint>,
	pub reason: FinishReason,
}

/// Reads a completion to its end.
pub fn collect(
	mut events: Receiver<TokenEvent>,
	request: GenerateRequest,
) -> Result<Generated, Box<dyn std::error::Error + Send + Sync>> {
	let mut generated =
		Generated { request, output: Vec::new(), fingerprints: Vec::new(), reason: FinishReason::Cancelled };
	while let Some(event) = events.blocking_recv() {
		match event {
			TokenEvent::Token { id, fingerprint, .. } => {
				generated.output.push(id);
				generated.fingerprints.push(fingerprint);
			},
			TokenEvent::Embedding { .. } => return Err("the model makes embeddings".into()),
			TokenEvent::Done { finish_reason, .. } => generated.reason = finish_reason,
			TokenEvent::Error { message } => return Err(message.into()),
		}
	}
	Ok(generated)
}
