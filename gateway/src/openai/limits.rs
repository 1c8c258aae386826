//! The number of completion tokens that a request may have.

use super::errors::ApiError;

/// The numbers of completion tokens that a request allows.
#[derive(Clone, Copy)]
pub struct Limits {
	/// Maximum number that the client named.
	pub given: Option<u32>,
	/// Name of the field with this number.
	pub field: &'static str,
	/// Maximum number if the client named none.
	pub default: u32,
	/// Minimum number, `min_tokens`.
	pub least: u32,
	/// Name of the field with the prompt.
	pub prompt_field: &'static str,
}

impl Limits {
	/// The maximum number of completion tokens for a prompt of so many tokens, and whether the gateway may lower it.
	///
	/// # Errors
	/// 400 with the field of the number that is too high, or of the prompt if it is too long by itself.
	pub fn completion(self, context: u32, prompt: usize) -> Result<(u32, bool), ApiError> {
		let Self { given, field, default, least, prompt_field } = self;
		if let Some(given) = given.filter(|given| least > *given) {
			let message = format!("'min_tokens' is {least}, more than '{field}', which is {given}.");
			return Err(ApiError::invalid_value("min_tokens", message));
		}
		let prompt = u32::try_from(prompt).unwrap_or(u32::MAX);
		let completion = given.unwrap_or(least.max(1));
		if prompt.saturating_add(completion) > context {
			let (param, advice) = match given {
				_ if prompt >= context => (prompt_field, "shorten the prompt".to_owned()),
				Some(_) => (field, format!("shorten the prompt, or lower '{field}'")),
				None => ("min_tokens", "shorten the prompt, or lower 'min_tokens'".to_owned()),
			};
			let error = ApiError::context_length(format!(
				"This model's maximum context length is {context} tokens. However, the request needs {prompt} for the prompt \
				 and {completion} for the completion: {advice}."
			));
			return Err(error.about(param));
		}
		Ok(match given {
			Some(tokens) => (tokens, false),
			// Hosts reject a maximum below `min_tokens`.
			None => (default.max(least).min(context.saturating_sub(prompt)), least == 0),
		})
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const LIMITS: Limits =
		Limits { given: None, field: "max_tokens", default: 500, least: 0, prompt_field: "messages" };

	#[test]
	fn a_request_without_a_maximum_gets_what_the_context_has_room_for() {
		assert_eq!(LIMITS.completion(1000, 100).unwrap(), (500, true));
		assert_eq!(LIMITS.completion(1000, 700).unwrap(), (300, true));
		assert_eq!(LIMITS.completion(1000, 999).unwrap(), (1, true));
		let given = |tokens| Limits { given: Some(tokens), ..LIMITS };
		assert_eq!(given(900).completion(1000, 100).unwrap(), (900, false));
		let error = given(901).completion(1000, 100).unwrap_err();
		assert!(error.message().contains("1000") && error.message().contains("100") && error.message().contains("901"));
		assert_eq!(error.body().error.param.as_deref(), Some("max_tokens"), "the prompt fits");
		for limits in [LIMITS, given(901)] {
			let error = limits.completion(1000, 1000).unwrap_err();
			assert_eq!(error.body().error.param.as_deref(), Some("messages"), "{}", error.message());
		}
	}

	#[test]
	fn a_completion_has_room_for_its_minimum() {
		let limits = |given, least| Limits { given, least, ..LIMITS };
		let error = limits(Some(5), 10).completion(1000, 100).unwrap_err();
		assert_eq!(error.body().error.param.as_deref(), Some("min_tokens"));
		assert!(error.message().contains("'min_tokens' is 10") && error.message().contains("which is 5"));
		assert_eq!(limits(Some(10), 10).completion(1000, 100).unwrap(), (10, false));
		assert_eq!(limits(None, 600).completion(1000, 100).unwrap(), (600, false), "more than the default");
		let error = limits(None, 600).completion(1000, 500).unwrap_err();
		assert_eq!(error.body().error.param.as_deref(), Some("min_tokens"), "{}", error.message());
	}
}
