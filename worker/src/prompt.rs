//! The engine's request for an envelope and its body. It is the same for the host that generates the completion and for
//! the hosts that audit it.

use gonka_client::worker_api::{InferenceRequest, Input, MAX_STOPS};
use gonka_engine::{ChatMessage, ChatOptions, Engine, EngineError, GenerateRequest};
use gonka_primitives::{Hash, market::Envelope};

/// Builds the engine's request. `key` is the key of the completion's tape. This blocks: an engine may have to query
/// another machine for the prompt's tokens.
///
/// Tokens that another host delivered become the end of the prompt: this host is responsible only for what follows.
///
/// # Errors
/// [`EngineError::InvalidRequest`] and [`EngineError::Template`] mean that the request is invalid. Other errors do not.
pub fn generate_request(
	engine: &dyn Engine,
	request: InferenceRequest,
	envelope: &Envelope,
	key: Hash,
) -> Result<GenerateRequest, EngineError> {
	if request.stop.len() > MAX_STOPS {
		let message = format!("{} stop strings; {MAX_STOPS} are allowed", request.stop.len());
		return Err(EngineError::InvalidRequest(message));
	}
	let mut prompt = match request.input {
		Input::Chat(messages) => {
			let messages: Vec<_> = messages.into_iter().map(|m| ChatMessage::new(m.role, m.content)).collect();
			engine.tokenize_chat(&messages, &ChatOptions::default())?
		},
		Input::Text(text) => engine.tokenize(&text)?,
		Input::Tokens(tokens) => tokens,
	};
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
