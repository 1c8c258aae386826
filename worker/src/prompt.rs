//! The engine's request for an envelope and its body. It is the same for the host that generates the completion and for
//! the hosts that audit it.

use gonka_client::worker_api::{InferenceRequest, MAX_STOPS};
use gonka_engine::{EngineError, GenerateRequest};
use gonka_primitives::{Hash, market::Envelope};

/// Builds the engine's request. `key` is the key of the completion's tape.
///
/// Tokens that another host delivered become the end of the prompt: this host is responsible only for what follows.
///
/// # Errors
/// [`EngineError::InvalidRequest`] when the request is invalid.
pub fn generate_request(
	request: InferenceRequest,
	envelope: &Envelope,
	key: Hash,
) -> Result<GenerateRequest, EngineError> {
	if request.stop.len() > MAX_STOPS {
		let message = format!("{} stop strings; {MAX_STOPS} are allowed", request.stop.len());
		return Err(EngineError::InvalidRequest(message));
	}
	let mut prompt = request.prompt;
	let delivered = request.delivered.len();
	prompt.extend(request.delivered);
	Ok(GenerateRequest {
		prompt,
		delivered,
		max_tokens: envelope.max_tokens as usize,
		temperature: request.temperature,
		top_p: request.top_p,
		top_k: request.top_k as usize,
		key,
		stop: request.stop,
		stop_token_ids: Vec::new(),
		ignore_eos: request.ignore_eos,
		..Default::default()
	})
}
