//! Parameters that the network cannot honour. A request is rejected if ignoring one would change its completion.

use super::{
	errors::ApiError,
	types::{ChatRequest, Common, CompletionRequest},
};
use serde_json::Value;

/// Rejects a chat request with a parameter that cannot be honoured.
pub fn check_chat(request: &ChatRequest) -> Result<(), ApiError> {
	check_common(&request.common)?;
	let no_tools = request.tool_choice.as_ref().is_some_and(|choice| choice == "none");
	reject_if(!is_empty(request.tools.as_ref()) && !no_tools, "tools")?;
	reject_if(!is_empty(request.functions.as_ref()), "functions")?;
	let is_free = |choice: &Value| choice.is_null() || choice == "none" || choice == "auto";
	reject_if(request.tool_choice.as_ref().is_some_and(|choice| !is_free(choice)), "tool_choice")?;
	let is_text = |format: &Value| format.is_null() || format.get("type").is_some_and(|kind| kind == "text");
	reject_if(request.response_format.as_ref().is_some_and(|format| !is_text(format)), "response_format")?;
	let only_text = |list: &Value| list.as_array().is_none_or(|list| list.iter().all(|item| item == "text"));
	reject_if(request.modalities.as_ref().is_some_and(|list| !only_text(list)), "modalities")?;
	reject_if(!is_empty(request.top_logprobs.as_ref()), "top_logprobs")?;
	reject_if(request.messages.iter().any(|message| !is_empty(message.tool_calls.as_ref())), "messages.tool_calls")
}

/// Rejects a text request with a parameter that cannot be honoured.
pub fn check_completion(request: &CompletionRequest) -> Result<(), ApiError> {
	check_common(&request.common)?;
	reject_if(request.echo == Some(true), "echo")?;
	reject_if(request.best_of.is_some_and(|best| best != 1), "best_of")?;
	reject_if(request.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()), "suffix")?;
	// `logprobs` is a number here, and 0 stands for the chosen token's.
	reject_if(request.common.logprobs.as_ref().is_some_and(Value::is_number), "logprobs")
}

fn check_common(common: &Common) -> Result<(), ApiError> {
	reject_if(common.presence_penalty.is_some_and(|penalty| penalty != 0.0), "presence_penalty")?;
	reject_if(common.frequency_penalty.is_some_and(|penalty| penalty != 0.0), "frequency_penalty")?;
	reject_if(common.repetition_penalty.is_some_and(|penalty| penalty != 1.0), "repetition_penalty")?;
	reject_if(common.min_p.is_some_and(|min| min != 0.0), "min_p")?;
	reject_if(common.min_tokens.is_some_and(|min| min > 0), "min_tokens")?;
	let bias = common.logit_bias.as_ref().and_then(Value::as_object);
	let has_bias = bias.is_some_and(|bias| bias.values().any(|value| value.as_f64() != Some(0.0)));
	reject_if(has_bias, "logit_bias")?;
	reject_if(!is_empty(common.logprobs.as_ref()), "logprobs")?;
	reject_if(!is_empty(common.stop_token_ids.as_ref()), "stop_token_ids")
}

fn reject_if(condition: bool, param: &str) -> Result<(), ApiError> {
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

	fn check(more: Value) -> Result<(), ApiError> {
		let mut body = json!({"model": "m", "messages": []});
		body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
		check_chat(&serde_json::from_value(body).unwrap())
	}

	#[test]
	fn parameters_that_change_nothing_pass() {
		for more in [
			json!({"tools": [], "logprobs": false, "top_logprobs": 0, "n": 1, "presence_penalty": 0.0}),
			json!({"tools": [{"type": "function"}], "tool_choice": "none"}),
			json!({"response_format": {"type": "text"}, "logit_bias": {"50256": 0}, "user": "u", "store": true}),
			json!({"seed": -1, "stop": null, "stream_options": {"include_usage": true}, "metadata": {"a": "b"}}),
		] {
			check(more).unwrap();
		}
	}

	#[test]
	fn a_parameter_that_would_change_the_completion_is_rejected_by_name() {
		for (more, param) in [
			(json!({"tools": [{"type": "function"}]}), "tools"),
			(json!({"logprobs": true}), "logprobs"),
			(json!({"response_format": {"type": "json_object"}}), "response_format"),
			(json!({"frequency_penalty": 0.5}), "frequency_penalty"),
			(json!({"logit_bias": {"1": 5}}), "logit_bias"),
		] {
			let error = check(more).unwrap_err();
			assert_eq!(error.body().error.param.as_deref(), Some(param));
		}
	}
}
