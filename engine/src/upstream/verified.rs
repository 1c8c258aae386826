//! Protocol of vLLM with this project's plug-in (`engine/vllm`): its routes `/gonka/v1/…` choose tokens on the tape, return a
//! fingerprint with each, and check a completion by one reading. The server returns ids only; text and the end of a completion
//! follow from the bytes of tokens here, as in the engines of this process.

use gonka_primitives::{fingerprint::Fingerprint, sampler::SamplingParams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{TokenSink, Upstream, UpstreamConfig, http::Http, http::broken};
use crate::{
	CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, ModelInfo, TokenCheck, stop::StopChecker,
};

const INFO: &str = "/gonka/v1/info";
const VOCABULARY: &str = "/gonka/v1/vocabulary";
const GENERATE: &str = "/gonka/v1/generate";
const CHECK: &str = "/gonka/v1/check";
/// Version of the routes that this engine speaks.
const VERSION: u32 = 1;

/// Description of a server: response of [`INFO`].
#[derive(Debug, Deserialize)]
pub struct ServerInfo {
	plugin: String,
	vllm: String,
	vocab_size: usize,
	context_length: usize,
	end_ids: Vec<u32>,
	max_requests: usize,
}

impl ServerInfo {
	/// Fills in what the server reports. What the configuration says goes first, or bounds it.
	pub fn apply(&self, info: &mut ModelInfo) {
		tracing::info!(
			vllm = self.vllm,
			plugin = self.plugin,
			"the upstream samples on the tape and returns fingerprints"
		);
		info.vocab_size = self.vocab_size;
		info.context_length = info.context_length.min(self.context_length);
		info.max_running = info.max_running.min(self.max_requests.max(1));
		if info.eos.is_empty() {
			info.eos.clone_from(&self.end_ids);
		}
	}
}

/// The bytes that tokens stand for.
#[derive(Debug, Default)]
pub struct Vocabulary {
	bytes: Vec<Vec<u8>>,
}

impl Vocabulary {
	/// Returns the bytes of a token: none for special ones, and for ids outside the vocabulary.
	pub fn bytes(&self, id: u32) -> &[u8] {
		self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
	}
}

/// Response of [`VOCABULARY`].
#[derive(Debug, Deserialize)]
struct VocabularyResponse {
	bytes: Vec<String>,
}

/// One event of a streamed completion.
#[derive(Debug, Deserialize)]
struct Event {
	#[serde(default)]
	ids: Vec<u32>,
	#[serde(default)]
	fingerprints: Vec<String>,
	finish: Option<String>,
	error: Option<Value>,
}

/// Tokens and end that a line of a stream adds.
#[derive(Debug, Default)]
struct Delta {
	tokens: Vec<(u32, Fingerprint)>,
	/// The server's reason for the end, if the completion is over.
	finish: Option<String>,
}

/// Response of [`CHECK`].
#[derive(Debug, Deserialize)]
struct CheckResponse {
	margins: Vec<u32>,
	fingerprints: Vec<String>,
}

/// Returns the server's description, or `None` if it has no such routes.
///
/// # Errors
/// [`EngineError::Model`] when the plug-in speaks another version; those of a request.
pub async fn probe(http: &Http, config: &UpstreamConfig) -> Result<Option<ServerInfo>, EngineError> {
	let response = match http.request(INFO, None, config.first_token).await {
		Err(EngineError::Model(_)) => return Ok(None),
		other => other?,
	};
	if response["protocol"] != VERSION {
		return Err(EngineError::Model(format!(
			"the upstream's plug-in speaks version {} of its protocol, this worker version {VERSION}: update the older one",
			response["protocol"]
		)));
	}
	let info = serde_json::from_value::<ServerInfo>(response).map_err(|error| broken(&error.to_string()))?;
	Ok(Some(info))
}

/// Fetches the bytes of all tokens.
///
/// # Errors
/// [`EngineError::Compute`] when there are not as many as the vocabulary has; those of a request.
pub async fn vocabulary(http: &Http, config: &UpstreamConfig, size: usize) -> Result<Vocabulary, EngineError> {
	let response = http.request(VOCABULARY, None, config.first_token).await?;
	let response =
		serde_json::from_value::<VocabularyResponse>(response).map_err(|error| broken(&error.to_string()))?;
	let bytes: Option<Vec<_>> = response.bytes.iter().map(|digits| unhex(digits)).collect();
	match bytes {
		Some(bytes) if bytes.len() == size => Ok(Vocabulary { bytes }),
		_ => Err(broken("the vocabulary is incomplete or no hexadecimal digits")),
	}
}

/// Returns the fields that generation and checks share. Parameters are the rule's integers, so nothing rounds them again.
fn body(request: &GenerateRequest) -> Value {
	let SamplingParams { temperature, top_k, top_p, min_p, repetition, presence, frequency } = request.sampling();
	json!({
		"prompt": request.prompt, "delivered": request.delivered, "key": hex(&request.key),
		"sampling": {
			"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
			"repetition": repetition, "presence": presence, "frequency": frequency,
		},
	})
}

/// Streams a completion. It ends where this engine's rules say; then the connection closes, and the server stops.
pub async fn generate(
	upstream: &Upstream,
	request: &GenerateRequest,
	out: &mut TokenSink,
) -> Result<FinishReason, EngineError> {
	let bytes = |id: u32| upstream.vocabulary.bytes(id);
	let mut stop = StopChecker::new(request, &upstream.info.eos, bytes);
	let mut stop_token_ids = request.stop_token_ids.clone();
	if !request.ignore_eos {
		stop_token_ids.extend(&upstream.info.eos);
	}
	let mut body = body(request);
	(body["max_tokens"], body["stop_token_ids"]) = (json!(request.max_tokens), json!(stop_token_ids));
	let mut lines = upstream.http.stream(GENERATE, &body, upstream.config.first_token).await?;
	loop {
		let limit = if out.sent == 0 { upstream.config.first_token } else { upstream.config.between_tokens };
		let line = lines.next(limit).await?.ok_or_else(|| broken("the stream ended before the completion"))?;
		let delta = read(&line)?;
		for (id, fingerprint) in delta.tokens {
			if id as usize >= upstream.info.vocab_size {
				return Err(broken(&format!("token {id} is outside the vocabulary")));
			}
			let (text, reason) = stop.push(id, bytes(id));
			out.token(id, text, fingerprint).await?;
			if let Some(reason) = reason {
				return Ok(reason);
			}
		}
		if let Some(finish) = delta.finish {
			return Err(broken(&format!("it ends the completion ({finish}) where it must go on")));
		}
	}
}

/// Reads a line of a stream.
fn read(line: &[u8]) -> Result<Delta, EngineError> {
	let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(Delta::default()) };
	let event = serde_json::from_slice::<Event>(data).map_err(|error| broken(&error.to_string()))?;
	if let Some(error) = event.error {
		let message = error["message"].as_str().unwrap_or("no reason given");
		return Err(EngineError::Compute(format!("the upstream: {message}")));
	}
	let fingerprints = fingerprints(&event.fingerprints, event.ids.len())?;
	Ok(Delta { tokens: event.ids.into_iter().zip(fingerprints).collect(), finish: event.finish })
}

/// Checks a completion: the server reads prompt and completion once.
pub async fn check(upstream: &Upstream, check: &CheckRequest) -> Result<CheckResult, EngineError> {
	let CheckRequest { request, output, finish_reason } = check;
	let mut body = body(request);
	body["output"] = json!(output);
	let response = upstream.post(CHECK, &body).await?;
	let response = serde_json::from_value::<CheckResponse>(response).map_err(|error| broken(&error.to_string()))?;
	if response.margins.len() != output.len() {
		return Err(broken(&format!("it returned {} margins for {} tokens", response.margins.len(), output.len())));
	}
	let fingerprints = fingerprints(&response.fingerprints, output.len())?;
	let tokens = response.margins.into_iter().zip(fingerprints);
	let tokens = tokens.map(|(margin, fingerprint)| TokenCheck { margin, fingerprint }).collect();
	let bytes = |id: u32| upstream.vocabulary.bytes(id);
	let stop = StopChecker::new(request, &upstream.info.eos, bytes);
	let ends_rightly = stop.confirms(output, *finish_reason, bytes);
	Ok(CheckResult { tokens, ends_rightly, is_permitted: true })
}

fn fingerprints(digits: &[String], count: usize) -> Result<Vec<Fingerprint>, EngineError> {
	let read = |digits: &String| Some(<[u8; 16]>::try_from(unhex(digits)?).ok()?.map(|byte| byte as i8));
	let all: Option<Vec<Fingerprint>> = digits.iter().map(read).collect();
	match all {
		Some(all) if all.len() == count => Ok(all),
		_ => Err(broken("not every token has a fingerprint of 16 bytes")),
	}
}

fn hex(bytes: &[u8]) -> String {
	bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads pairs of hexadecimal digits.
fn unhex(digits: &str) -> Option<Vec<u8>> {
	let digit = |byte: &u8| char::from(*byte).to_digit(16);
	let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
	pairs.iter().map(|[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_event_has_a_fingerprint_for_each_token() {
		let print = "00ff7f80000000000000000000000001";
		let line = |prints: &str| format!(r#"data: {{"ids": [5, 6], "fingerprints": [{prints}], "finish": null}}"#);
		let delta = read(line(&format!(r#""{print}", "{print}""#)).as_bytes()).unwrap();
		let expected = [0, -1, 127, -128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
		assert_eq!((delta.tokens, delta.finish), (vec![(5, expected), (6, expected)], None));
		for prints in [format!(r#""{print}""#), format!(r#""{print}", "00""#), format!(r#""{print}", "{print}ff""#)] {
			assert!(read(line(&prints).as_bytes()).is_err(), "{prints}");
		}
		assert!(read(b": a comment").unwrap().tokens.is_empty());
		let error = read(br#"data: {"error": {"message": "a token has no fingerprint"}}"#).unwrap_err().to_string();
		assert!(error.contains("has no fingerprint"), "{error}");
	}

	#[test]
	fn digits_are_read_as_bytes_or_rejected() {
		assert_eq!(unhex("00fFa1"), Some(vec![0, 255, 161]));
		assert_eq!(unhex(""), Some(vec![]));
		assert_eq!([unhex("0"), unhex("0g"), unhex("é")], [None, None, None]);
		assert_eq!(unhex(&hex(&[1, 2, 0xfe])), Some(vec![1, 2, 0xfe]));
	}
}
