//! Protocol of servers like llama.cpp's, which return the likeliest tokens after a prompt: `/completion` with
//! `n_probs`, one token at a time, on a slot that keeps what it has read. This engine samples from the returned
//! candidates, on the tape.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::{FINGERPRINT, TokenSink, Upstream, http::broken};
use crate::{
	ChatMessage, ChatOptions, CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, TokenCheck,
	sampler::Sampler, stop::StopChecker,
};

/// Number of likeliest tokens that the server returns after a prompt; only these can be chosen.
const CANDIDATES: usize = 64;
/// Maximum number of delivered tokens whose bytes are looked up again, because a stop text or a character may begin
/// there.
const LOOKBACK: usize = 16;

/// Response of `/completion`.
#[derive(Debug, Deserialize)]
struct NextTokenResponse {
	#[serde(default)]
	completion_probabilities: Vec<Position>,
}

/// Tokens that may come at one position.
#[derive(Debug, Deserialize)]
struct Position {
	top_logprobs: Vec<Candidate>,
}

/// A token with its log probability and the bytes that it stands for.
#[derive(Debug, Deserialize)]
struct Candidate {
	id: u32,
	logprob: f32,
	bytes: Vec<u8>,
}

/// Returns whether the server speaks this protocol.
pub async fn probe(upstream: &Upstream) -> Result<bool, EngineError> {
	Ok(row(upstream, &[1, 2], 0).await.is_ok_and(|row| row.len() == CANDIDATES))
}

/// Returns the candidates for the token after `prompt`.
async fn row(upstream: &Upstream, prompt: &[u32], slot: usize) -> Result<Vec<Candidate>, EngineError> {
	let body = json!({
		"prompt": prompt, "n_predict": 1, "n_probs": CANDIDATES, "temperature": 0, "cache_prompt": true, "id_slot": slot,
	});
	let response = upstream.post("/completion", &body).await?;
	let response = serde_json::from_value::<NextTokenResponse>(response).map_err(|error| broken(&error.to_string()))?;
	let position = response.completion_probabilities.into_iter().next();
	Ok(position.ok_or_else(|| broken("it has no completion_probabilities"))?.top_logprobs)
}

/// Returns logits for a sampler: those of all tokens but the candidates are minus infinity.
fn logits(row: &[Candidate], vocabulary: usize) -> Vec<f32> {
	let mut logits = vec![f32::NEG_INFINITY; vocabulary];
	for candidate in row {
		if let Some(logit) = logits.get_mut(candidate.id as usize) {
			*logit = candidate.logprob;
		}
	}
	logits
}

/// Bytes that tokens stand for, as far as they were needed: none for end ids.
#[derive(Default)]
struct Bytes(HashMap<u32, Vec<u8>>);

impl Bytes {
	fn learn(&mut self, row: Vec<Candidate>) {
		self.0.extend(row.into_iter().map(|candidate| (candidate.id, candidate.bytes)));
	}

	fn of(&self, id: u32) -> &[u8] {
		self.0.get(&id).map_or(&[], Vec::as_slice)
	}
}

/// Looks up the bytes of the last tokens that another host delivered of this completion.
async fn delivered(upstream: &Upstream, request: &GenerateRequest, slot: usize) -> Result<Bytes, EngineError> {
	let mut bytes = Bytes::default();
	let end = request.prompt.len();
	for at in end.saturating_sub(request.delivered.min(LOOKBACK)).max(1)..end {
		bytes.learn(row(upstream, &request.prompt[..at], slot).await?);
	}
	Ok(bytes)
}

/// Generates a completion, token by token.
pub async fn generate(
	upstream: &Upstream,
	request: &GenerateRequest,
	slot: usize,
	out: &mut TokenSink,
) -> Result<FinishReason, EngineError> {
	let mut bytes = delivered(upstream, request, slot).await?;
	let mut stop = StopChecker::new(request, &upstream.info.eos, |id| bytes.of(id));
	let mut sampler = Sampler::new(request, 0);
	let mut tokens = request.prompt.clone();
	loop {
		let row = row(upstream, &tokens, slot).await?;
		let id = sampler.choose(tokens.len(), &logits(&row, upstream.info.vocab_size));
		bytes.learn(row);
		let (text, reason) = stop.push(id, bytes.of(id));
		sampler.append(id);
		tokens.push(id);
		out.token(id, text, FINGERPRINT).await?;
		if let Some(reason) = reason {
			return Ok(reason);
		}
	}
}

/// Checks a completion, token by token. This is as slow as generating it.
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
	let stop = StopChecker::new(request, &upstream.info.eos, |id| bytes.of(id));
	Ok(CheckResult { tokens: checks, ends_rightly: stop.confirms(output, *finish_reason, |id| bytes.of(id)) })
}

/// Returns the token ids of a conversation. It rejects messages that contain a special token's name, because the server
/// would take the name for the token.
pub async fn tokenize_chat(
	upstream: &Upstream,
	messages: &[ChatMessage],
	options: &ChatOptions,
) -> Result<Vec<u32>, EngineError> {
	let texts = serde_json::to_value(messages).map_err(|error| EngineError::Template(error.to_string()))?;
	let texts = super::strings(&texts).join("\n");
	let (plain, special) =
		(tokenize(upstream, &texts, false, false).await?, tokenize(upstream, &texts, false, true).await?);
	if plain != special {
		let message = "a message contains the name of one of the model's special tokens";
		return Err(EngineError::Unsupported(message.into()));
	}
	let body = json!({
		"messages": messages, "add_generation_prompt": options.add_generation_prompt,
		"chat_template_kwargs": options.variables,
	});
	let rendered = upstream.post("/apply-template", &body).await.map_err(|error| match error {
		EngineError::InvalidRequest(why) => EngineError::Template(why),
		other => other,
	})?;
	let text = rendered["prompt"].as_str().ok_or_else(|| broken("/apply-template returned no prompt"))?;
	tokenize(upstream, text, false, true).await
}

/// Returns the token ids of a text. `leading`: whether to add the token that the model wants before every text;
/// `special`: whether names of special tokens become these tokens.
pub async fn tokenize(upstream: &Upstream, text: &str, leading: bool, special: bool) -> Result<Vec<u32>, EngineError> {
	let body = json!({ "content": text, "add_special": leading, "parse_special": special });
	super::ids(&upstream.post("/tokenize", &body).await?)
}
