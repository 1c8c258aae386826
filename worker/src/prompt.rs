//! The engine's request for an envelope and its body. It is the same for the host that generates the completion and for
//! the hosts that audit it.

use gonka_client::worker_api::{
	self, InferenceRequest, MAX_GRAMMAR_BYTES, MAX_STOP_BYTES, MAX_STOP_TOKEN_IDS, MAX_STOPS,
};
use gonka_engine::{EngineError, GenerateRequest, Grammar};
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
	check_bounds(&request)?;
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
		min_p: request.min_p,
		repetition_penalty: request.repetition_penalty,
		presence_penalty: request.presence_penalty,
		frequency_penalty: request.frequency_penalty,
		logit_bias: request.logit_bias,
		min_tokens: request.min_tokens as usize,
		grammar: request.grammar.map(grammar),
		logprobs: request.logprobs,
		key,
		stop: request.stop,
		stop_token_ids: request.stop_token_ids,
		ignore_eos: request.ignore_eos,
		..Default::default()
	})
}

/// Checks that lists, texts and the grammar are as short as the interface says. The engine checks numbers.
fn check_bounds(request: &InferenceRequest) -> Result<(), EngineError> {
	let within = |number: usize, limit: usize, what: &str| match number > limit {
		true => Err(EngineError::InvalidRequest(format!("{number} {what}; {limit} are allowed"))),
		false => Ok(()),
	};
	within(request.stop.len(), MAX_STOPS, "stop strings")?;
	let longest = request.stop.iter().map(String::len).max().unwrap_or_default();
	within(longest, MAX_STOP_BYTES, "bytes in a stop string")?;
	within(request.stop_token_ids.len(), MAX_STOP_TOKEN_IDS, "token ids in stop_token_ids")?;
	let grammar = request.grammar.as_ref().map(serde_json::to_vec).transpose();
	let grammar = grammar.map_err(|error| EngineError::InvalidRequest(format!("grammar: {error}")))?;
	within(grammar.map_or(0, |json| json.len()), MAX_GRAMMAR_BYTES, "bytes of the grammar")
}

/// Converts a grammar to the engine's type.
fn grammar(grammar: worker_api::Grammar) -> Grammar {
	match grammar {
		worker_api::Grammar::JsonSchema(schema) => Grammar::JsonSchema(schema),
		worker_api::Grammar::Regex(regex) => Grammar::Regex(regex),
		worker_api::Grammar::Lark(lark) => Grammar::Lark(lark),
	}
}
