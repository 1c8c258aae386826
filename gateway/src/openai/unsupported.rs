//! Parameters that the network cannot honour. A request is rejected if ignoring one would change its completion.

use super::{errors::ApiError, fields::Fields};
use serde_json::Value;

/// Rejects a chat request with a parameter that cannot be honoured.
///
/// # Errors
/// 400 `unsupported_parameter`.
pub fn check_chat(fields: &Fields) -> Result<(), ApiError> {
	let only_text = |list: Value| list.as_array().is_none_or(|list| list.iter().all(|item| item == "text"));
	reject_if(fields.value("modalities")?.is_some_and(|list| !only_text(list)), "modalities")?;
	["audio", "web_search_options"].into_iter().try_for_each(|name| reject_if(fields.has(name), name))
}

/// Rejects a request for embeddings with a parameter that cannot be honoured.
///
/// # Errors
/// 400 `unsupported_parameter`.
pub fn check_embeddings(fields: &Fields) -> Result<(), ApiError> {
	reject_if(fields.has("dimensions"), "dimensions")
}

fn reject_if(condition: bool, param: &str) -> Result<(), ApiError> {
	if condition { Err(ApiError::unsupported(param)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	#[test]
	fn a_parameter_that_would_change_the_completion_is_rejected_by_name() {
		let check = |body: Value| {
			let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
			check_chat(&fields).and_then(|()| check_embeddings(&fields))
		};
		for body in [
			json!({"modalities": ["text"], "audio": null, "user": "u", "store": true}),
			json!({"metadata": {"a": "b"}, "prediction": {"type": "content"}, "service_tier": "auto"}),
		] {
			check(body).unwrap();
		}
		for (body, param) in [
			(json!({"modalities": ["text", "audio"]}), "modalities"),
			(json!({"audio": {"voice": "alloy"}}), "audio"),
			(json!({"web_search_options": {}}), "web_search_options"),
			(json!({"dimensions": 256}), "dimensions"),
		] {
			assert_eq!(check(body).unwrap_err().body().error.param.as_deref(), Some(param));
		}
	}
}
