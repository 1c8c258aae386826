//! Servers like llama.cpp's, which show the likeliest tokens after a prompt: `/completion` with `n_probs`, one token at a
//! time on a slot that keeps what it has read. Tokens are chosen here, on the tape, from those shown.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{FINGERPRINT, Out, Upstream, http::broken};
use crate::{
	ChatMessage, ChatOptions, CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, TokenCheck,
	ending::Ending, sampler::Sampler,
};

/// Tokens that are shown after a prompt, and so may be chosen.
const SHOWN: usize = 64;
/// Tokens of an answer's delivered part that are read again, for what they stand for.
const LOOK_BACK: usize = 16;

#[derive(Debug, Deserialize)]
struct Completion {
	#[serde(default)]
	completion_probabilities: Vec<Place>,
}

#[derive(Debug, Deserialize)]
struct Place {
	top_logprobs: Vec<Shown>,
}

#[derive(Debug, Deserialize)]
struct Shown {
	id: u32,
	logprob: f32,
	bytes: Vec<u8>,
}

/// Whether the server can do it.
pub async fn probe(upstream: &Upstream) -> Result<bool, EngineError> {
	Ok(row(upstream, &[1, 2], 0).await.is_ok_and(|row| row.len() == SHOWN))
}

/// The tokens after `prompt` that the server shows.
async fn row(upstream: &Upstream, prompt: &[u32], slot: usize) -> Result<Vec<Shown>, EngineError> {
	let body = json!({
		"prompt": prompt, "n_predict": 1, "n_probs": SHOWN, "temperature": 0, "cache_prompt": true, "id_slot": slot,
	});
	let answer = upstream.ask("/completion", &body).await?;
	let answer = serde_json::from_value::<Completion>(answer).map_err(|error| broken(&error.to_string()))?;
	let place = answer.completion_probabilities.into_iter().next();
	Ok(place.ok_or_else(|| broken("it has no completion_probabilities"))?.top_logprobs)
}

/// What a sampler reads: nothing but the tokens shown can be chosen.
fn logits(row: &[Shown], vocabulary: usize) -> Vec<f32> {
	let mut logits = vec![f32::NEG_INFINITY; vocabulary];
	for shown in row {
		if let Some(logit) = logits.get_mut(shown.id as usize) {
			*logit = shown.logprob;
		}
	}
	logits
}

/// What tokens stand for, as far as it was needed: end ids for nothing.
#[derive(Default)]
struct Bytes(HashMap<u32, Vec<u8>>);

impl Bytes {
	fn learn(&mut self, row: Vec<Shown>) {
		self.0.extend(row.into_iter().map(|shown| (shown.id, shown.bytes)));
	}

	fn of(&self, id: u32) -> &[u8] {
		self.0.get(&id).map_or(&[], Vec::as_slice)
	}
}

/// What the last tokens stand for that others delivered of this answer: a stop text or a character may begin there.
async fn delivered(upstream: &Upstream, request: &GenerateRequest, slot: usize) -> Result<Bytes, EngineError> {
	let mut bytes = Bytes::default();
	let end = request.prompt.len();
	for at in end.saturating_sub(request.delivered.min(LOOK_BACK)).max(1)..end {
		bytes.learn(row(upstream, &request.prompt[..at], slot).await?);
	}
	Ok(bytes)
}

/// Makes an answer, token by token.
pub async fn generate(
	upstream: &Upstream,
	request: &GenerateRequest,
	slot: usize,
	out: &mut Out,
) -> Result<FinishReason, EngineError> {
	let mut bytes = delivered(upstream, request, slot).await?;
	let mut ending = Ending::new(request, &upstream.info.eos, |id| bytes.of(id));
	let mut sampler = Sampler::new(request, 0);
	let mut tokens = request.prompt.clone();
	loop {
		let row = row(upstream, &tokens, slot).await?;
		let id = sampler.choose(tokens.len(), &logits(&row, upstream.info.vocab_size));
		bytes.learn(row);
		let (text, reason) = ending.push(id, bytes.of(id));
		sampler.append(id);
		tokens.push(id);
		out.token(id, text).await?;
		if let Some(reason) = reason {
			return Ok(reason);
		}
	}
}

/// Reads an answer, token by token: as slow as making it.
pub async fn check(upstream: &Upstream, check: &CheckRequest, slot: usize) -> Result<CheckResult, EngineError> {
	let CheckRequest { request, output, finish_reason } = check;
	let mut bytes = delivered(upstream, request, slot).await?;
	let mut sampler = Sampler::new(request, 0);
	let (mut tokens, mut checks) = (request.prompt.clone(), Vec::new());
	for &id in output {
		let row = row(upstream, &tokens, slot).await?;
		let margin = sampler.margin(tokens.len(), &logits(&row, upstream.info.vocab_size), id);
		bytes.learn(row);
		checks.push(TokenCheck { margin, fingerprint: FINGERPRINT });
		sampler.append(id);
		tokens.push(id);
	}
	let ending = Ending::new(request, &upstream.info.eos, |id| bytes.of(id));
	Ok(CheckResult { tokens: checks, ends_rightly: ending.holds(output, *finish_reason, |id| bytes.of(id)) })
}

/// The ids of a conversation, of whose messages none has a special token's name: the server would take it for the token.
pub async fn tokenize_chat(
	upstream: &Upstream,
	messages: &[ChatMessage],
	options: &ChatOptions,
) -> Result<Vec<u32>, EngineError> {
	let texts = serde_json::to_value(messages).map_err(|error| EngineError::Template(error.to_string()))?;
	let texts = strings(&texts).join("\n");
	let (plain, special) =
		(tokenize(upstream, &texts, false, false).await?, tokenize(upstream, &texts, false, true).await?);
	if plain != special {
		let message = "a message has the name of one of the model's special tokens";
		return Err(EngineError::Unsupported(message.into()));
	}
	let ask = json!({
		"messages": messages, "add_generation_prompt": options.add_generation_prompt,
		"chat_template_kwargs": options.variables,
	});
	let rendered = upstream.ask("/apply-template", &ask).await.map_err(|error| match error {
		EngineError::InvalidRequest(why) => EngineError::Template(why),
		other => other,
	})?;
	let text = rendered["prompt"].as_str().ok_or_else(|| broken("it has no prompt"))?;
	tokenize(upstream, text, false, true).await
}

/// The ids of a text. `leading`: whether to put before it what the model wants before every text; `special`: whether
/// names of special tokens are these tokens.
pub async fn tokenize(upstream: &Upstream, text: &str, leading: bool, special: bool) -> Result<Vec<u32>, EngineError> {
	let ask = json!({ "content": text, "add_special": leading, "parse_special": special });
	super::ids(&upstream.ask("/tokenize", &ask).await?)
}

/// All texts in a JSON value.
fn strings(value: &Value) -> Vec<&str> {
	match value {
		Value::String(text) => vec![text],
		Value::Array(values) => values.iter().flat_map(strings).collect(),
		Value::Object(map) => map.values().flat_map(strings).collect(),
		Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
	}
}
