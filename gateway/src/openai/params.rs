//! Parameters: what is passed on, what is ignored, what must be refused because ignoring it would change the answer.

use super::{
	errors::ApiError,
	types::{ChatRequest, Common, CompletionRequest},
};
use serde_json::Value;

/// Stop strings at most.
const MAX_STOPS: usize = 4;

/// What of the parameters concerns the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
	/// 0 is greedy.
	pub temperature: f32,
	/// 1 keeps everything.
	pub top_p: f32,
	/// 0 keeps everything.
	pub top_k: u32,
	/// Strings that end the answer.
	pub stop: Vec<String>,
	/// Go on past the end-of-text token.
	pub ignore_eos: bool,
	/// The seed; drawn if the client gave none.
	pub seed: u64,
}

/// Reads the parameters that both endpoints share.
pub fn sampling(common: &Common) -> Result<Sampling, ApiError> {
	let temperature = common.temperature.unwrap_or(1.0);
	if !(0.0..=2.0).contains(&temperature) {
		return Err(ApiError::invalid_value("temperature", "'temperature' must be between 0 and 2."));
	}
	let top_p = common.top_p.unwrap_or(1.0);
	if !(0.0..=1.0).contains(&top_p) {
		return Err(ApiError::invalid_value("top_p", "'top_p' must be between 0 and 1."));
	}
	let top_k = match common.top_k.unwrap_or(0) {
		-1 => 0,
		top_k => u32::try_from(top_k)
			.map_err(|_| ApiError::invalid_value("top_k", "'top_k' must be a positive number, or -1 for all."))?,
	};
	Ok(Sampling {
		temperature,
		// Keeping nothing means keeping the likeliest token.
		top_p: if top_p == 0.0 { f32::MIN_POSITIVE } else { top_p },
		top_k,
		stop: stops(common.stop.as_ref())?,
		ignore_eos: common.ignore_eos.unwrap_or(false),
		// Any seed of 64 bits is taken, negative ones as well.
		seed: common.seed.map_or_else(|| fastrand::u64(..), |seed| seed as u64),
	})
}

/// Most completion tokens that the client wants; `None` if it does not say.
pub fn max_tokens(given: Option<i64>, name: &str) -> Result<Option<u32>, ApiError> {
	match given {
		None | Some(0) => Ok(None),
		Some(tokens) => u32::try_from(tokens)
			.map(Some)
			.map_err(|_| ApiError::invalid_value(name, format!("'{name}' must be a positive number."))),
	}
}

fn stops(stop: Option<&Value>) -> Result<Vec<String>, ApiError> {
	let wrong = || ApiError::invalid_value("stop", "'stop' must be a string or a list of up to 4 strings.");
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

/// Refuses what would change a chat answer.
pub fn check_chat(request: &ChatRequest) -> Result<(), ApiError> {
	check_common(&request.common)?;
	let no_tools = request.tool_choice.as_ref().is_some_and(|choice| choice == "none");
	refuse_if(!is_empty(request.tools.as_ref()) && !no_tools, "tools")?;
	refuse_if(!is_empty(request.functions.as_ref()), "functions")?;
	let free = |choice: &Value| choice.is_null() || choice == "none" || choice == "auto";
	refuse_if(request.tool_choice.as_ref().is_some_and(|choice| !free(choice)), "tool_choice")?;
	let text = |format: &Value| format.is_null() || format.get("type").is_some_and(|kind| kind == "text");
	refuse_if(request.response_format.as_ref().is_some_and(|format| !text(format)), "response_format")?;
	let only_text = |list: &Value| list.as_array().is_none_or(|list| list.iter().all(|item| item == "text"));
	refuse_if(request.modalities.as_ref().is_some_and(|list| !only_text(list)), "modalities")?;
	refuse_if(!is_empty(request.top_logprobs.as_ref()), "top_logprobs")?;
	refuse_if(request.messages.iter().any(|message| !is_empty(message.tool_calls.as_ref())), "messages.tool_calls")
}

/// Refuses what would change a text answer.
pub fn check_completion(request: &CompletionRequest) -> Result<(), ApiError> {
	check_common(&request.common)?;
	refuse_if(request.echo == Some(true), "echo")?;
	refuse_if(request.best_of.is_some_and(|best| best != 1), "best_of")?;
	refuse_if(request.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()), "suffix")?;
	// Here `logprobs` is a number, and 0 asks for the chosen token's.
	refuse_if(request.common.logprobs.as_ref().is_some_and(Value::is_number), "logprobs")
}

fn check_common(common: &Common) -> Result<(), ApiError> {
	refuse_if(common.presence_penalty.is_some_and(|penalty| penalty != 0.0), "presence_penalty")?;
	refuse_if(common.frequency_penalty.is_some_and(|penalty| penalty != 0.0), "frequency_penalty")?;
	refuse_if(common.repetition_penalty.is_some_and(|penalty| penalty != 1.0), "repetition_penalty")?;
	refuse_if(common.min_p.is_some_and(|min| min != 0.0), "min_p")?;
	refuse_if(common.min_tokens.is_some_and(|min| min > 0), "min_tokens")?;
	let bias = common.logit_bias.as_ref().and_then(Value::as_object);
	let bent = bias.is_some_and(|bias| bias.values().any(|value| value.as_f64() != Some(0.0)));
	refuse_if(bent, "logit_bias")?;
	refuse_if(!is_empty(common.logprobs.as_ref()), "logprobs")?;
	refuse_if(!is_empty(common.stop_token_ids.as_ref()), "stop_token_ids")
}

/// Refuses more answers than one per prompt.
pub fn check_choices(common: &Common) -> Result<(), ApiError> {
	if common.n.is_none_or(|n| n == 1) {
		return Ok(());
	}
	let message = "Only 'n' = 1 is supported: send the request several times for several answers.";
	Err(ApiError::invalid_value("n", message))
}

fn refuse_if(condition: bool, param: &str) -> Result<(), ApiError> {
	if condition { Err(ApiError::unsupported(param)) } else { Ok(()) }
}

fn is_empty(value: Option<&Value>) -> bool {
	match value {
		None | Some(Value::Null | Value::Bool(false)) => true,
		Some(Value::Number(number)) => number.as_f64() == Some(0.0),
		Some(Value::Array(list)) => list.is_empty(),
		Some(Value::Object(map)) => map.is_empty(),
		Some(Value::String(text)) => text.is_empty(),
		Some(Value::Bool(true)) => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	fn chat(more: Value) -> Result<Sampling, ApiError> {
		let mut body = json!({"model": "m", "messages": []});
		body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		let request: ChatRequest = serde_json::from_value(body).unwrap();
		check_chat(&request)?;
		check_choices(&request.common)?;
		sampling(&request.common)
	}

	#[test]
	fn what_changes_nothing_passes() {
		for more in [
			json!({"tools": [], "logprobs": false, "top_logprobs": 0, "n": 1, "presence_penalty": 0.0}),
			json!({"tools": [{"type": "function"}], "tool_choice": "none"}),
			json!({"response_format": {"type": "text"}, "logit_bias": {"50256": 0}, "user": "u", "store": true}),
			json!({"seed": -1, "stop": null, "stream_options": {"include_usage": true}, "metadata": {"a": "b"}}),
		] {
			chat(more).unwrap();
		}
	}

	#[test]
	fn what_changes_the_answer_is_refused_by_name() {
		for (more, param) in [
			(json!({"tools": [{"type": "function"}]}), "tools"),
			(json!({"logprobs": true}), "logprobs"),
			(json!({"response_format": {"type": "json_object"}}), "response_format"),
			(json!({"frequency_penalty": 0.5}), "frequency_penalty"),
			(json!({"logit_bias": {"1": 5}}), "logit_bias"),
			(json!({"n": 2}), "n"),
			(json!({"temperature": 2.5}), "temperature"),
			(json!({"stop": ["1", "2", "3", "4", "5"]}), "stop"),
		] {
			let error = chat(more).unwrap_err();
			assert_eq!(error.body().error.param.as_deref(), Some(param));
		}
	}

	#[test]
	fn decimals_are_read_as_clients_write_them() {
		for (text, expected) in [("0.7", 0.7), ("0.70", 0.7), ("7e-1", 0.7), ("1", 1.0), ("null", 1.0)] {
			let body = format!(r#"{{"model":"m","prompt":"p","messages":[],"temperature":{text},"top_p":{text}}}"#);
			let chat: ChatRequest = serde_json::from_str(&body).unwrap();
			let completion: CompletionRequest = serde_json::from_str(&body).unwrap();
			for common in [chat.common, completion.common] {
				let read = sampling(&common).unwrap();
				assert_eq!((read.temperature, read.top_p), (expected, expected), "{text}");
			}
		}
		assert!(serde_json::from_str::<CompletionRequest>(r#"{"model":"m","temperature":"warm"}"#).is_err());
	}

	#[test]
	fn values_are_read() {
		let read = chat(json!({"seed": -1, "stop": ["a", ""], "temperature": 0, "top_k": -1})).unwrap();
		assert_eq!((read.seed, read.stop, read.temperature, read.top_k), (u64::MAX, vec!["a".to_owned()], 0.0, 0));
		assert_eq!(max_tokens(Some(0), "max_tokens").unwrap(), None);
		assert!(max_tokens(Some(-3), "max_tokens").is_err());
	}
}
