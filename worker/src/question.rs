//! What the engine is asked: the same for who answers and for who checks an answer.

use gonka_client::wire::{InferenceRequest, Input};
use gonka_engine::{ChatMessage, ChatOptions, Engine, EngineError, GenerateRequest};
use gonka_primitives::{Hash, market::Envelope};

/// Stop strings of a request, at most.
const MAX_STOPS: usize = 4;

/// The engine's request of an envelope and its body; `key` is that of the answer's tape. Call it where blocking is
/// allowed: an engine may have to ask another machine for the prompt's tokens.
///
/// What another host delivered is the end of the prompt: whoever goes on reads it and answers for what follows.
///
/// # Errors
/// [`EngineError::InvalidRequest`] and [`EngineError::Template`] speak against the request, others do not.
pub fn question(
	engine: &dyn Engine,
	request: InferenceRequest,
	envelope: &Envelope,
	key: Hash,
) -> Result<GenerateRequest, EngineError> {
	if request.stop.len() > MAX_STOPS {
		let message = format!("{} stop strings, {MAX_STOPS} are allowed", request.stop.len());
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
