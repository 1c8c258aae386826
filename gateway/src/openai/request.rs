//! A client's request, validated once. The relay dispatches it without looking at its parameters again.

use super::{
	errors::ApiError,
	prompt::Reader,
	types::{ChatRequest, Common, CompletionRequest},
	unsupported,
};
use crate::{gateway::Gateway, snapshot::Model};
use gonka_client::worker_api::{InferenceRequest, MAX_STOPS};
use gonka_tokenizer::Tokenizer;
use serde_json::Value;
use std::{ops::RangeInclusive, sync::Arc};

/// Maximum length of a request's body, in bytes.
pub const MAX_BODY: usize = 16 << 20;
/// Minimum number of completion tokens that the gateway chooses for a request without a maximum.
pub const MIN_COMPLETION: u32 = 16;
/// Maximum number of completion tokens of a request to `/v1/completions` that names none. OpenAI's default.
const DEFAULT_TEXT_COMPLETION: u32 = 16;
const TEMPERATURES: RangeInclusive<f32> = 0.0..=2.0;
const TOP_PS: RangeInclusive<f32> = 0.0..=1.0;

/// The endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
	/// `/v1/chat/completions`.
	Chat,
	/// `/v1/completions`.
	Text,
}

/// A validated request.
#[derive(Clone, Debug)]
pub struct ValidRequest {
	/// The endpoint.
	pub endpoint: Endpoint,
	/// The model's name as the client wrote it.
	pub model: String,
	/// Whether the response is a stream.
	pub stream: bool,
	/// Whether the stream ends with the usage.
	pub include_usage: bool,
	/// The prompts: one for a chat, up to [`MAX_PROMPTS`](super::prompt::MAX_PROMPTS) for texts.
	pub prompts: Vec<Prompt>,
}

/// A prompt with everything that its dispatch needs.
#[derive(Clone, Debug)]
pub struct Prompt {
	/// The model on chain.
	pub model: Arc<Model>,
	/// The model's tokenizer.
	pub tokenizer: Arc<Tokenizer>,
	/// The body that a worker gets.
	pub body: InferenceRequest,
	/// The seed of the envelope.
	pub seed: u64,
	/// Maximum number of completion tokens.
	pub max_tokens: u32,
	/// Whether the gateway chose `max_tokens`, so that it may lower it.
	pub is_adjustable: bool,
}

impl Prompt {
	/// Number of its tokens.
	pub fn tokens(&self) -> u32 {
		u32::try_from(self.body.prompt.len()).unwrap_or(u32::MAX)
	}

	/// Whether a token ends the completion, whatever its text.
	pub fn ends(&self, id: u32) -> bool {
		!self.body.ignore_eos && self.tokenizer.eos().contains(&id)
	}
}

impl ValidRequest {
	/// Validates a request to `/v1/chat/completions`.
	pub fn chat(gateway: &Gateway, request: ChatRequest) -> Result<Self, ApiError> {
		if !gateway.options.ignore_unsupported {
			unsupported::check_chat(&request)?;
		}
		let max_tokens = match max_tokens(request.max_completion_tokens, "max_completion_tokens")? {
			Some(tokens) => Some(tokens),
			None => max_tokens(request.common.max_tokens, "max_tokens")?,
		};
		let limits = (max_tokens, gateway.options.default_max_tokens);
		let read = |reader: &Reader| Ok(vec![reader.chat(request.messages)?]);
		Self::new(gateway, Endpoint::Chat, request.model, request.common, read, limits)
	}

	/// Validates a request to `/v1/completions`.
	pub fn text(gateway: &Gateway, request: CompletionRequest) -> Result<Self, ApiError> {
		if !gateway.options.ignore_unsupported {
			unsupported::check_completion(&request)?;
		}
		let max_tokens = max_tokens(request.common.max_tokens, "max_tokens")?;
		let limits = (max_tokens, DEFAULT_TEXT_COMPLETION);
		let read = |reader: &Reader| reader.texts(request.prompt);
		Self::new(gateway, Endpoint::Text, request.model, request.common, read, limits)
	}

	fn new(
		gateway: &Gateway,
		endpoint: Endpoint,
		name: String,
		common: Common,
		read: impl FnOnce(&Reader) -> Result<Vec<Vec<u32>>, ApiError>,
		(given, default): (Option<u32>, u32),
	) -> Result<Self, ApiError> {
		if common.n.is_some_and(|n| n != 1) {
			let message = "Only 'n' = 1 is supported: for several completions, send the request several times.";
			return Err(ApiError::invalid_value("n", message));
		}
		// Every 64-bit seed is valid, also a negative one.
		let seed = common.seed.map_or_else(|| fastrand::u64(..), |seed| seed as u64);
		let sampling = body(&common)?;
		let model = gateway.model(&name)?;
		let tokenizer = gateway.tokenizer(&model)?;
		let prompts =
			read(&Reader { tokenizer: &tokenizer, context: model.context_length() })?.into_iter().map(|prompt| {
				let (max_tokens, is_adjustable) =
					completion_limit(model.context_length(), prompt.len(), given, default)?;
				let (model, tokenizer) = (model.clone(), tokenizer.clone());
				let body = InferenceRequest { prompt, ..sampling.clone() };
				Ok(Prompt { model, tokenizer, body, seed, max_tokens, is_adjustable })
			});
		Ok(Self {
			endpoint,
			prompts: prompts.collect::<Result<_, _>>()?,
			model: name,
			stream: common.stream.unwrap_or(false),
			include_usage: common.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
		})
	}
}

/// The body for a worker without its prompt: the parameters that choose tokens.
fn body(common: &Common) -> Result<InferenceRequest, ApiError> {
	let temperature = common.temperature.unwrap_or(1.0);
	if !TEMPERATURES.contains(&temperature) {
		return Err(ApiError::invalid_value("temperature", "'temperature' must be between 0 and 2."));
	}
	let top_p = common.top_p.unwrap_or(1.0);
	if !TOP_PS.contains(&top_p) {
		return Err(ApiError::invalid_value("top_p", "'top_p' must be between 0 and 1."));
	}
	let top_k = match common.top_k.unwrap_or(0) {
		-1 => 0,
		top_k => u32::try_from(top_k)
			.map_err(|_| ApiError::invalid_value("top_k", "'top_k' must be a positive number, or -1 for all."))?,
	};
	Ok(InferenceRequest {
		prompt: Vec::new(),
		delivered: Vec::new(),
		temperature,
		// A `top_p` of 0 keeps the likeliest token only, as the smallest positive one does.
		top_p: if top_p == 0.0 { f32::MIN_POSITIVE } else { top_p },
		top_k,
		stop: stops(common.stop.as_ref())?,
		ignore_eos: common.ignore_eos.unwrap_or(false),
	})
}

/// The maximum number of completion tokens in a request; `None` if it names none.
fn max_tokens(given: Option<i64>, param: &str) -> Result<Option<u32>, ApiError> {
	match given {
		None | Some(0) => Ok(None),
		Some(tokens) => u32::try_from(tokens)
			.map(Some)
			.map_err(|_| ApiError::invalid_value(param, format!("'{param}' must be a positive number."))),
	}
}

fn stops(stop: Option<&Value>) -> Result<Vec<String>, ApiError> {
	let wrong = || {
		let message = format!("'stop' must be a string or a list of up to {MAX_STOPS} strings.");
		ApiError::invalid_value("stop", message)
	};
	let stops = match stop {
		None | Some(Value::Null) => Vec::new(),
		Some(Value::String(text)) => vec![text.clone()],
		Some(Value::Array(list)) if list.len() <= MAX_STOPS => {
			list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>()?
		},
		Some(_) => return Err(wrong()),
	};
	Ok(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
}

/// The maximum number of completion tokens for a prompt, and whether the gateway chose it.
fn completion_limit(context: u32, prompt: usize, given: Option<u32>, default: u32) -> Result<(u32, bool), ApiError> {
	let prompt = u32::try_from(prompt).unwrap_or(u32::MAX);
	let completion = given.unwrap_or(1);
	if prompt.saturating_add(completion) > context {
		return Err(ApiError::context_length(format!(
			"The model has a context of {context} tokens, but the request needs {prompt} for the prompt and {completion} for the \
			 completion: shorten the prompt, or ask for fewer tokens."
		)));
	}
	Ok(match given {
		Some(tokens) => (tokens, false),
		None => (default.min(context.saturating_sub(prompt)), true),
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn chat(more: Value) -> Result<InferenceRequest, ApiError> {
		let mut request = json!({"model": "m", "messages": []});
		request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		let request: ChatRequest = serde_json::from_value(request).unwrap();
		body(&request.common)
	}

	#[test]
	fn parameters_reach_the_workers_body() {
		let body = chat(json!({"stop": ["a", ""], "temperature": 0, "top_k": -1, "top_p": 0})).unwrap();
		assert_eq!((body.stop, body.temperature, body.top_k), (vec!["a".to_owned()], 0.0, 0));
		assert_eq!(body.top_p, f32::MIN_POSITIVE);
	}

	#[test]
	fn a_value_out_of_range_is_rejected_by_name() {
		for (more, param) in [
			(json!({"temperature": 2.5}), "temperature"),
			(json!({"top_p": -0.1}), "top_p"),
			(json!({"top_k": -2}), "top_k"),
			(json!({"stop": ["1", "2", "3", "4", "5"]}), "stop"),
		] {
			assert_eq!(chat(more).unwrap_err().body().error.param.as_deref(), Some(param));
		}
		assert_eq!(max_tokens(Some(0), "max_tokens").unwrap(), None);
		assert!(max_tokens(Some(-3), "max_tokens").is_err());
	}

	#[test]
	fn decimals_are_read_as_clients_write_them() {
		for (text, expected) in [("0.7", 0.7), ("0.70", 0.7), ("7e-1", 0.7), ("1", 1.0), ("null", 1.0)] {
			let json = format!(r#"{{"model":"m","prompt":"p","messages":[],"temperature":{text},"top_p":{text}}}"#);
			let chat: ChatRequest = serde_json::from_str(&json).unwrap();
			let completion: CompletionRequest = serde_json::from_str(&json).unwrap();
			for common in [chat.common, completion.common] {
				let read = body(&common).unwrap();
				assert_eq!((read.temperature, read.top_p), (expected, expected), "{text}");
			}
		}
		assert!(serde_json::from_str::<CompletionRequest>(r#"{"model":"m","temperature":"warm"}"#).is_err());
	}

	#[test]
	fn a_request_without_a_maximum_gets_what_the_context_has_room_for() {
		assert_eq!(completion_limit(1000, 100, None, 500).unwrap(), (500, true));
		assert_eq!(completion_limit(1000, 700, None, 500).unwrap(), (300, true));
		assert_eq!(completion_limit(1000, 999, None, 500).unwrap(), (1, true));
		assert_eq!(completion_limit(1000, 100, Some(900), 500).unwrap(), (900, false));
		let error = completion_limit(1000, 100, Some(901), 500).unwrap_err();
		assert!(error.message().contains("1000") && error.message().contains("100") && error.message().contains("901"));
		assert!(completion_limit(1000, 1000, None, 500).is_err());
	}
}
