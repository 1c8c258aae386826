//! Protocol of servers like vLLM and SGLang, which sample themselves: `/v1/completions` with `return_token_ids` streams
//! a completion, and `prompt_logprobs` (vLLM) checks one.

use std::collections::HashMap;

use gonka_primitives::{
	sampler::MAX_MARGIN,
	tape::{NAT, REACH},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FINGERPRINT, TokenSink, Upstream, http::broken};
use crate::{CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, TokenCheck};

const PATH: &str = "/v1/completions";
/// Number of likeliest tokens requested for each position of a completion: the maximum of vLLM's default configuration.
const LISTED: usize = 20;

/// Response of `/v1/completions`, or one event of a streamed response.
#[derive(Debug, Deserialize)]
struct CompletionsResponse {
	#[serde(default)]
	choices: Vec<Choice>,
	error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
	#[serde(default)]
	text: String,
	token_ids: Option<Vec<u32>>,
	finish_reason: Option<String>,
	prompt_logprobs: Option<Vec<Option<HashMap<String, Listed>>>>,
}

#[derive(Debug, Deserialize)]
struct Listed {
	logprob: f64,
}

/// Returns `None` if the server returns no token ids, otherwise whether it returns `prompt_logprobs`.
pub async fn probe(upstream: &Upstream) -> Result<Option<bool>, EngineError> {
	let mut body = json!({
		"model": upstream.model, "prompt": [1, 2], "max_tokens": 1, "temperature": 0, "return_token_ids": true,
		"prompt_logprobs": 1,
	});
	let response = match upstream.post(PATH, &body).await {
		// A server may be configured to return no `prompt_logprobs`.
		Err(EngineError::InvalidRequest(_)) => {
			body["prompt_logprobs"] = Value::Null;
			upstream.post(PATH, &body).await?
		},
		Err(EngineError::Model(_)) => return Ok(None),
		other => other?,
	};
	let choice = first_choice(response)?;
	Ok(choice.token_ids.is_some_and(|ids| !ids.is_empty()).then_some(choice.prompt_logprobs.is_some()))
}

/// Streams a completion.
pub async fn generate(
	upstream: &Upstream,
	request: &GenerateRequest,
	out: &mut TokenSink,
) -> Result<FinishReason, EngineError> {
	let mut stop_token_ids = request.stop_token_ids.clone();
	if !request.ignore_eos {
		stop_token_ids.extend(&upstream.info.eos);
	}
	let [a, b, c, d, ..] = request.key;
	// Every parameter is sent: for those left out, a server takes the values of the model's own configuration.
	// `ignore_eos` and the stop ids replace the server's end ids by the ones that checkers use.
	let body = json!({
		"model": upstream.model, "prompt": request.prompt, "stream": true, "return_token_ids": true,
		"max_tokens": request.max_tokens, "temperature": request.temperature, "top_p": request.top_p,
		"top_k": if request.top_k == 0 { -1 } else { i64::try_from(request.top_k).unwrap_or(i64::MAX) },
		"min_p": request.min_p, "repetition_penalty": request.repetition_penalty,
		"presence_penalty": request.presence_penalty, "frequency_penalty": request.frequency_penalty,
		"seed": u32::from_le_bytes([a, b, c, d]), "stop": request.stop, "stop_token_ids": stop_token_ids,
		"ignore_eos": true,
	});
	let mut lines = upstream.http.stream(PATH, &body, upstream.config.first_token).await?;
	let mut reader =
		StreamReader { ends: stop_token_ids, has_stop_texts: !request.stop.is_empty(), ..Default::default() };
	loop {
		let limit = if out.sent == 0 { upstream.config.first_token } else { upstream.config.between_tokens };
		let line = lines.next(limit).await?.ok_or_else(|| broken("the stream ended before the completion"))?;
		let delta = reader.line(&line)?;
		for (id, text) in delta.tokens {
			out.token(id, text, FINGERPRINT).await?;
		}
		if let Some(reason) = delta.end {
			return Ok(reason);
		}
	}
}

/// Reads the events of a stream.
#[derive(Default)]
struct StreamReader {
	/// Ids that end the completion.
	ends: Vec<u32>,
	has_stop_texts: bool,
	last: Option<u32>,
	/// Text that came without a token.
	text: String,
}

/// Tokens and end that a line of the stream adds.
#[derive(Debug, Default)]
struct Delta {
	/// Tokens, each with the text that became certain with it.
	tokens: Vec<(u32, String)>,
	/// The finish reason, if the completion is over.
	end: Option<FinishReason>,
}

impl StreamReader {
	fn line(&mut self, line: &[u8]) -> Result<Delta, EngineError> {
		let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(Delta::default()) };
		if data == b"[DONE]" {
			return Err(broken("the stream ended without a reason"));
		}
		let choice = match serde_json::from_slice::<CompletionsResponse>(data) {
			Ok(CompletionsResponse { error: Some(error), .. }) => {
				let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
				return Err(EngineError::Compute(format!("the upstream: {message}")));
			},
			Ok(mut delta) => delta.choices.pop(),
			Err(error) => return Err(broken(&error.to_string())),
		};
		let Some(Choice { text, token_ids, finish_reason, .. }) = choice else { return Ok(Delta::default()) };
		self.text.push_str(&text);
		let mut tokens: Vec<_> = token_ids.unwrap_or_default().into_iter().map(|id| (id, String::new())).collect();
		if let Some((id, text)) = tokens.last_mut() {
			self.last = Some(*id);
			*text = std::mem::take(&mut self.text);
		}
		let ended = self.last.is_some_and(|last| self.ends.contains(&last));
		let end = match finish_reason.as_deref() {
			None => return Ok(Delta { tokens, end: None }),
			Some(_) if self.last.is_none() || !self.text.is_empty() => {
				return Err(broken("it returned text without token ids"));
			},
			// A last token may be an end id and reach the maximum length at once. Servers differ in the reason they
			// give then; engines do not.
			Some("stop" | "length") if ended => FinishReason::Stop,
			Some("length") => FinishReason::Length,
			Some("stop") if self.has_stop_texts => FinishReason::Stop,
			Some("stop") => {
				let last = self.last.unwrap_or_default();
				return Err(broken(&format!("it ends with token {last}, which is not among this engine's end ids")));
			},
			Some(other) => return Err(EngineError::Compute(format!("the upstream ended the completion: {other}"))),
		};
		Ok(Delta { tokens, end: Some(end) })
	}
}

/// Checks a completion: the server reads prompt and completion once.
pub async fn check(upstream: &Upstream, check: &CheckRequest) -> Result<CheckResult, EngineError> {
	let CheckRequest { request, output, finish_reason } = check;
	let prompt = [request.prompt.as_slice(), output].concat();
	// The server counts the token that it must add, so the last token of a full context cannot be checked.
	let context = upstream.info.context_length;
	let (read, left) = prompt.split_at(prompt.len().min(context.saturating_sub(1)));
	let body = json!({
		"model": upstream.model, "prompt": read, "max_tokens": 1, "temperature": 0, "prompt_logprobs": LISTED,
	});
	let choice = first_choice(upstream.post(PATH, &body).await?)?;
	let rows = choice.prompt_logprobs.ok_or_else(|| broken("it returned no prompt_logprobs"))?;
	if rows.len() != read.len() {
		return Err(broken(&format!("it returned {} prompt_logprobs for {} tokens", rows.len(), read.len())));
	}
	let rows = rows.into_iter().zip(read).skip(request.prompt.len());
	let margins = rows.map(|(row, id)| margin(request, row.unwrap_or_default(), *id, upstream.info.vocab_size));
	let margins = margins.collect::<Result<Vec<_>, _>>()?;
	let margins = margins.into_iter().chain(left.iter().map(|_| 0));
	let tokens = margins.map(|margin| TokenCheck { margin, fingerprint: FINGERPRINT }).collect();
	let ends_rightly = ends_rightly(upstream, request, output, *finish_reason).await?;
	Ok(CheckResult { tokens, ends_rightly, is_permitted: true })
}

fn first_choice(response: Value) -> Result<Choice, EngineError> {
	let completion =
		serde_json::from_value::<CompletionsResponse>(response).map_err(|error| broken(&error.to_string()))?;
	completion.choices.into_iter().next().ok_or_else(|| broken("it returned no choices"))
}

/// Returns the margin of token `id`, given the tokens that the server lists for its position: see [`shortfall`].
fn margin(
	request: &GenerateRequest,
	row: HashMap<String, Listed>,
	id: u32,
	vocabulary: usize,
) -> Result<u32, EngineError> {
	let chosen = row.get(&id.to_string()).map(|token| token.logprob);
	let chosen = chosen.ok_or_else(|| broken(&format!("it does not list token {id} of the completion")))?;
	let mut listed: Vec<f64> = row.values().map(|token| token.logprob).collect();
	listed.sort_by(|a, b| b.total_cmp(a));
	// The list has the completion's own token even if it is not one of the likeliest.
	listed.truncate(LISTED);
	Ok(shortfall(request, &listed, chosen, vocabulary))
}

/// Returns how far a token with the log probability `chosen` is, for certain, below the least likely token that may be
/// sampled, in 2⁻¹⁶ nats. `listed` are the highest log probabilities, descending.
///
/// At temperature 0, only the likeliest token may be sampled. Above it, the tokens that pass temperature, min-p, top-k
/// and top-p, as far as the listed tokens tell: which of these had to be sampled, only the server's own sampler knows.
fn shortfall(request: &GenerateRequest, listed: &[f64], chosen: f64, vocabulary: usize) -> u32 {
	let Some((&best, &least)) = listed.first().zip(listed.last()) else { return 0 };
	let (temperature, top_p) = (f64::from(request.temperature), f64::from(request.top_p));
	let edge = if temperature == 0.0 || request.top_k == 1 {
		best
	} else {
		// vLLM's lowest temperature above 0.
		let temperature = temperature.max(0.01);
		let weight = |logprob: f64| ((logprob - best) / temperature).exp();
		let reach = f64::from(REACH) / f64::from(NAT);
		let by_min_p = best + temperature * f64::from(request.min_p).ln().max(-reach);
		let by_top_k = request.top_k.checked_sub(1).and_then(|last| listed.get(last).copied());
		let kept = if by_top_k.is_some() { listed.get(..request.top_k).unwrap_or(listed) } else { listed };
		// Upper bound for the weight of the tokens that are not listed: they share this probability, and each has at
		// most the last listed one's.
		let unlisted = (1.0 - listed.iter().map(|logprob| logprob.exp()).sum::<f64>()).max(0.0);
		let power = 1.0 / temperature;
		let rest = if by_top_k.is_some() {
			0.0
		} else if temperature <= 1.0 {
			unlisted * (least * (power - 1.0) - best * power).exp()
		} else {
			unlisted.powf(power) * (vocabulary as f64).powf(1.0 - power) * (-best * power).exp()
		};
		let needed = top_p * (kept.iter().copied().map(weight).sum::<f64>() + rest);
		let mut sum = 0.0;
		let by_top_p = kept.iter().copied().find(|&logprob| {
			sum += weight(logprob);
			top_p < 1.0 && sum >= needed
		});
		by_min_p.max(by_top_k.unwrap_or(f64::MIN)).max(by_top_p.unwrap_or(f64::MIN))
	};
	// The cast saturates, and turns NaN into 0.
	((edge - chosen) * f64::from(NAT)).round().clamp(0.0, f64::from(MAX_MARGIN)) as u32
}

/// Returns whether the completion ends for the reason given, and no end id comes before. If stop texts may end it, the
/// text must only contain one of them: which token made it certain depends on the server.
async fn ends_rightly(
	upstream: &Upstream,
	request: &GenerateRequest,
	output: &[u32],
	claimed: FinishReason,
) -> Result<bool, EngineError> {
	let eos = if request.ignore_eos { &[] } else { upstream.info.eos.as_slice() };
	let ends = |id: &u32| request.stop_token_ids.contains(id) || eos.contains(id);
	let Some((last, before)) = output.split_last() else { return Ok(claimed == FinishReason::Cancelled) };
	if before.iter().any(ends) {
		return Ok(false);
	}
	Ok(match claimed {
		FinishReason::Cancelled => true,
		FinishReason::Length => output.len() == request.max_tokens && !ends(last),
		FinishReason::Stop if ends(last) => true,
		FinishReason::Stop if request.stop.is_empty() => false,
		FinishReason::Stop => {
			let delivered = request.prompt.len().saturating_sub(request.delivered);
			let completion: Vec<u32> = request.prompt.iter().skip(delivered).chain(output).copied().collect();
			let text = upstream.detokenize(&completion).await?;
			request.stop.iter().any(|stop| text.contains(stop.as_str()))
		},
	})
}

#[cfg(test)]
mod tests {
	use super::*;

	/// Lines as vLLM's and SGLang's sources define them.
	const STREAM: [&str; 5] = [
		r#"data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":[5,6],"token_ids":[253]}],"usage":null}"#,
		"",
		r#"data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" 🦀","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":[10813,116,218]}]}"#,
		": a comment",
		r#"data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop","stop_reason":2,"token_ids":[2]}]}"#,
	];

	fn read(reader: &mut StreamReader, lines: &[&str]) -> Result<Delta, EngineError> {
		let mut all = Delta::default();
		for line in lines {
			let delta = reader.line(line.as_bytes())?;
			all.tokens.extend(delta.tokens);
			all.end = all.end.or(delta.end);
		}
		Ok(all)
	}

	#[test]
	fn a_stream_is_read_as_tokens_with_their_texts() {
		let Delta { tokens, end } = read(&mut StreamReader { ends: vec![2], ..Default::default() }, &STREAM).unwrap();
		let ids: Vec<_> = tokens.iter().map(|(id, _)| *id).collect();
		let texts: String = tokens.iter().map(|(_, text)| text.as_str()).collect();
		assert_eq!((ids.as_slice(), texts.as_str()), ([253, 10813, 116, 218, 2].as_slice(), " a 🦀"));
		assert_eq!(end, Some(FinishReason::Stop));
	}

	#[test]
	fn a_stream_that_cannot_be_checked_is_an_error() {
		let line = |rest: &str| format!(r#"data: {{"choices":[{{"index":0,{rest}}}]}}"#);
		for (lines, what) in [
			(vec![line(r#""text":" a","finish_reason":"length""#)], "without token ids"),
			(vec![line(r#""text":" a","token_ids":[7],"finish_reason":"stop""#)], "token 7"),
			(vec![line(r#""text":" a","token_ids":[7],"finish_reason":"abort""#)], "abort"),
			(
				vec![line(r#""text":" a","token_ids":[7],"finish_reason":null"#), "data: [DONE]".into()],
				"without a reason",
			),
			(vec![r#"data: {"error":{"message":"out of memory","code":500}}"#.into()], "out of memory"),
			(vec!["data: {".into()], "cannot be read"),
		] {
			let lines: Vec<_> = lines.iter().map(String::as_str).collect();
			let error =
				read(&mut StreamReader { ends: vec![2], ..Default::default() }, &lines).unwrap_err().to_string();
			assert!(error.contains(what), "{error}");
		}
	}

	#[test]
	fn the_end_id_wins_over_the_length_as_in_every_engine() {
		let last = r#"data: {"choices":[{"index":0,"text":"","token_ids":[2],"finish_reason":"length"}]}"#;
		let end = read(&mut StreamReader { ends: vec![2], ..Default::default() }, &[last]).unwrap().end;
		assert_eq!(end, Some(FinishReason::Stop));
		let end = read(&mut StreamReader::default(), &[last]).unwrap().end;
		assert_eq!(end, Some(FinishReason::Length));
	}

	#[test]
	fn margins_follow_from_prompt_logprobs() {
		let response = json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [{
			"index": 0, "text": " x", "logprobs": null, "finish_reason": "length", "stop_reason": null,
			"prompt_logprobs": [
				null,
				{"253": {"logprob": -0.25, "rank": 1, "decoded_token": " a"}, "787": {"logprob": -2.0, "rank": 2, "decoded_token": " no"}},
				{"9": {"logprob": -0.5, "rank": 1, "decoded_token": " b"}, "715": {"logprob": -3.5, "rank": 84, "decoded_token": " such"}},
			],
		}], "usage": {"prompt_tokens": 3, "total_tokens": 4, "completion_tokens": 1}});
		let rows = first_choice(response).unwrap().prompt_logprobs.unwrap();
		assert!(rows[0].is_none());
		let greedy = GenerateRequest { temperature: 0.0, ..Default::default() };
		let nat = NAT.unsigned_abs();
		let margins: Vec<_> = rows
			.into_iter()
			.flatten()
			.zip([253, 715])
			.map(|(row, id)| margin(&greedy, row, id, 49_152).unwrap())
			.collect();
		assert_eq!(margins, [0, 3 * nat]);
		assert!(margin(&greedy, HashMap::new(), 1, 49_152).is_err());
	}

	#[test]
	fn a_margin_is_positive_only_for_tokens_that_the_filters_certainly_exclude() {
		// The likeliest tokens have probabilities of a half, a quarter, and so on.
		let listed: Vec<f64> = (1..=LISTED as i32).map(|i| 0.5f64.powi(i).ln()).collect();
		let sampled = GenerateRequest { temperature: 0.7, ..Default::default() };
		let at = |request: &GenerateRequest, chosen: f64| shortfall(request, &listed, chosen, 49_152);
		assert_eq!(at(&sampled, listed[19]), 0);
		assert_eq!(at(&GenerateRequest { temperature: 1e-4, ..sampled.clone() }, listed[0] - 0.2), 0);
		assert!(at(&sampled, -40.0) > 0, "too unlikely to be sampled at all");

		let top_k = GenerateRequest { top_k: 3, ..sampled.clone() };
		assert_eq!([at(&top_k, listed[0]), at(&top_k, listed[2])], [0, 0]);
		let nats = f64::from(at(&top_k, listed[4])) / f64::from(NAT);
		assert!((nats - 4f64.ln()).abs() < 1e-3, "{nats}");
		assert_eq!(
			at(&GenerateRequest { top_k: 40, ..sampled.clone() }, listed[19] - 1.0),
			0,
			"the 40th token is not listed"
		);

		let min_p = GenerateRequest { min_p: 0.2, temperature: 1.0, ..Default::default() };
		assert_eq!(at(&min_p, listed[2]), 0);
		assert!(at(&min_p, listed[3]) > 0);

		// At temperature 1 the first three tokens have 7/8 together.
		let top_p = |top_p: f32, temperature: f32| GenerateRequest { top_p, temperature, ..Default::default() };
		assert_eq!([at(&top_p(0.85, 1.0), listed[2]), at(&top_p(0.9, 1.0), listed[3])], [0, 0]);
		assert!(at(&top_p(0.85, 1.0), listed[3]) > 0);
		// A lower temperature leaves fewer tokens, a higher one more.
		assert!(at(&top_p(0.85, 0.5), listed[2]) > 0);
		assert_eq!(at(&top_p(0.85, 2.0), listed[3]), 0);

		let both = GenerateRequest { top_k: 2, top_p: 0.6, temperature: 1.0, ..Default::default() };
		assert!(at(&both, listed[1]) > 0, "the first token has two thirds of what top-k leaves");
	}
}
