//! Errors in OpenAI's form, with all four keys always present.

use axum::{
	Json,
	http::{HeaderValue, StatusCode, header},
	response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{
	IntoResponses, ToSchema,
	openapi::{self, Content, Ref, RefOr, ResponseBuilder},
};

/// Code of the error for threads.
pub const NO_THREADS: &str = "thread_unsupported_request";

/// The body of an error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
	/// The error.
	pub error: ErrorDetail,
}

/// An error in OpenAI's form.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
	/// A sentence for people.
	pub message: String,
	/// The kind: `invalid_request_error`, `rate_limit_error`, `insufficient_quota`, `server_error`.
	pub r#type: String,
	/// The parameter that is wrong, if the error is about one.
	pub param: Option<String>,
	/// A code for programs.
	pub code: Option<String>,
}

/// An error response.
#[derive(Clone, Debug)]
pub struct ApiError {
	/// The HTTP status.
	pub status: StatusCode,
	kind: &'static str,
	code: Option<&'static str>,
	param: Option<String>,
	message: String,
	should_retry: Option<bool>,
	retry_after: Option<u32>,
}

impl ApiError {
	fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
		let message = message.into();
		Self { status, kind, code: Some(code), param: None, message, should_retry: None, retry_after: None }
	}

	/// 400: the request is invalid.
	pub fn invalid(message: impl Into<String>) -> Self {
		let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_request", message);
		Self { code: None, ..error }
	}

	/// 400: the value of a parameter is invalid.
	pub fn invalid_value(param: &str, message: impl Into<String>) -> Self {
		let code = "invalid_value";
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).about(param)
	}

	/// 400: the network cannot honour the parameter, and ignoring it would change the completion.
	pub fn unsupported(param: &str) -> Self {
		Self::not_supported(param, format!("This value of '{param}' is not supported: leave it out."))
	}

	/// 400: the model cannot honour the parameter, and others may.
	pub fn unsupported_by_model(param: &str) -> Self {
		let message = format!("The model cannot honour '{param}': leave it out, or choose another model.");
		Self::not_supported(param, message)
	}

	fn not_supported(param: &str, message: String) -> Self {
		let code = "unsupported_parameter";
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).about(param)
	}

	/// 400: prompt and completion exceed the model's context window.
	pub fn context_length(message: impl Into<String>) -> Self {
		let code = "context_length_exceeded";
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).about("messages")
	}

	/// 401: the API key is missing.
	pub fn missing_key() -> Self {
		let message =
			"No API key provided. Send one of this gateway's keys as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.";
		Self::lapsed_key(message)
	}

	/// 401: the API key is wrong.
	pub fn invalid_key() -> Self {
		let message = "Incorrect API key provided. Send one of this gateway's keys as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.";
		Self::lapsed_key(message)
	}

	/// 401: the API key is known but not valid any more.
	pub fn lapsed_key(message: impl Into<String>) -> Self {
		Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key", message)
	}

	/// 403: the API key may not do this.
	pub fn forbidden(message: impl Into<String>) -> Self {
		Self::new(StatusCode::FORBIDDEN, "invalid_request_error", "permission_denied", message)
	}

	/// 403: the API key is limited to other models.
	pub fn model_not_allowed(message: impl Into<String>) -> Self {
		Self::forbidden(message).about("model")
	}

	/// 403: a request to another name than those of this machine.
	pub fn wrong_host(name: &str) -> Self {
		let name: String = name.chars().take(100).collect();
		let message = format!(
			"This gateway is not called '{name}'. Send requests to localhost, or start it with --host-name {name} if a proxy of \
			 yours passes them on."
		);
		Self::new(StatusCode::FORBIDDEN, "invalid_request_error", "wrong_host", message)
	}

	/// 415: a body that is not declared as JSON.
	pub fn wrong_content_type(kind: &str) -> Self {
		let kind: String = kind.chars().take(100).collect();
		let found =
			if kind.is_empty() { "has no content type".to_owned() } else { format!("has the content type {kind}") };
		let message = format!("The request {found}: send JSON with the header 'Content-Type: application/json'.");
		Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", "unsupported_media_type", message)
	}

	/// 415: a body that is compressed.
	pub fn wrong_encoding(encoding: &str) -> Self {
		let encoding: String = encoding.chars().take(100).collect();
		let message = format!("The content encoding is {encoding}: send the body without compression.");
		Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", "unsupported_media_type", message)
	}

	/// 404: the model does not exist. `name` is its name in the request: an alias if it differs from `model`.
	pub fn model_not_found(name: &str, model: &str) -> Self {
		let [name, model] = [name, model].map(|text| text.chars().take(100).collect::<String>());
		let alias = if name == model { String::new() } else { format!(", for which the alias '{name}' stands,") };
		let message =
			format!("The model '{model}'{alias} does not exist on this network. GET /v1/models lists those that do.");
		Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found", message).about("model")
	}

	/// 404: the route does not exist.
	pub fn no_route(method: &str, path: &str) -> Self {
		let path: String = path.chars().take(100).collect();
		let message = format!(
			"Invalid URL ({method} {path}): /openapi.json has all routes with their methods. Base URLs of OpenAI's clients end in /v1."
		);
		Self { code: None, ..Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "unknown_url", message) }
	}

	/// 405: the route does not have the method. `allowed` names those that it has.
	pub fn wrong_method(method: &str, path: &str, allowed: &str) -> Self {
		let path: String = path.chars().take(100).collect();
		let message = format!("{path} does not take {method}: use {allowed}.");
		let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "unknown_url", message);
		Self { code: None, ..error }
	}

	/// 413: the body is too large.
	pub fn too_large(message: impl Into<String>) -> Self {
		Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "request_too_large", message)
	}

	/// 429: the channels or the developer's account hold too little. A retry does not help.
	pub fn no_funds(message: impl Into<String>) -> Self {
		let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", message);
		Self { should_retry: Some(false), ..error }
	}

	/// 429: all hosts are busy.
	pub fn busy() -> Self {
		let message = "All hosts that serve this model are busy.";
		let code = "rate_limit_exceeded";
		let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message);
		Self { retry_after: Some(1), ..error }
	}

	/// 429: a budget of the API key does not cover the request. A retry helps only if running requests use less than they
	/// may.
	pub fn over_budget(message: impl Into<String>, is_passing: bool) -> Self {
		let error = Self::no_funds(message);
		Self { should_retry: Some(is_passing), retry_after: is_passing.then_some(1), ..error }
	}

	/// 429: the API key has sent too many requests. One is allowed after `seconds`.
	pub fn too_many_requests(message: impl Into<String>, seconds: u32) -> Self {
		let code = "rate_limit_exceeded";
		let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", code, message);
		Self { retry_after: Some(seconds), ..error }
	}

	/// 429: too much of what an API key gets waits to be read.
	pub fn unread() -> Self {
		let message =
			"Too much of the completions for this API key waits to be read: read faster, or ask for fewer at a time.";
		Self::too_many_requests(message, 1)
	}

	/// 502: every host that got the request failed.
	pub fn bad_worker(message: impl Into<String>) -> Self {
		Self::new(StatusCode::BAD_GATEWAY, "server_error", "bad_worker", message)
	}

	/// 503: no host is available.
	pub fn no_worker(message: impl Into<String>) -> Self {
		let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "no_worker_available", message);
		Self { retry_after: Some(2), ..error }
	}

	/// 503: the gateway is still starting.
	pub fn unavailable(message: impl Into<String>) -> Self {
		let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "unavailable", message);
		Self { retry_after: Some(2), ..error }
	}

	/// 504: the response took too long.
	pub fn timeout(message: impl Into<String>) -> Self {
		let error = Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", "timeout", message);
		Self { should_retry: Some(false), ..error }
	}

	/// 500: the gateway failed.
	pub fn internal(message: impl Into<String>) -> Self {
		Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", message)
	}

	/// 404: the response does not exist, or it is too old.
	pub fn response_not_found(id: &str) -> Self {
		let id: String = id.chars().take(100).collect();
		let message = format!("There is no response '{id}': it was not stored, was deleted or is too old.");
		Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "response_not_found", message)
	}

	/// 400: the response that a new one should follow does not exist, or it is too old.
	pub fn previous_response_not_found(id: &str) -> Self {
		let id: String = id.chars().take(100).collect();
		let message =
			format!("Previous response with id '{id}' not found: it was not stored, was deleted or is too old.");
		let code = "previous_response_not_found";
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).about("previous_response_id")
	}

	/// 404: the item that a reference names is not stored.
	pub fn item_not_found(id: &str) -> Self {
		let id: String = id.chars().take(100).collect();
		let message = format!(
			"Item with id '{id}' not found: its response was not stored, was deleted or is too old. Send the item itself."
		);
		Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "item_not_found", message).about("input")
	}

	/// 400: the client wants the server to keep the conversation, in the form of Anthropic's API. Its libraries send all of
	/// it then.
	pub fn no_threads() -> Self {
		let message = "This gateway keeps no threads: send all messages, without 'thread'.";
		let code = NO_THREADS;
		Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).about("thread")
	}

	/// Writes `to` in place of `from`, a part of the parameter's path, if the path has it.
	pub fn renamed(mut self, from: &str, to: &str) -> Self {
		if let Some(param) = self.param.take_if(|param| param.contains(from)) {
			self.param = Some(param.replacen(from, to, 1));
			self.message = self.message.replace(from, to);
		}
		self
	}

	/// Adds the parameter that is wrong.
	pub fn about(mut self, param: &str) -> Self {
		self.param = Some(param.to_owned());
		self
	}

	/// The sentence for people.
	pub fn message(&self) -> &str {
		&self.message
	}

	/// The body.
	pub fn body(&self) -> ErrorBody {
		ErrorBody {
			error: ErrorDetail {
				message: self.message.clone(),
				r#type: self.kind.to_owned(),
				param: self.param.clone(),
				code: self.code.map(str::to_owned),
			},
		}
	}
}

impl IntoResponse for ApiError {
	fn into_response(self) -> Response {
		let body = self.body();
		let mut response = (self.status, Json(body.clone())).into_response();
		// For routes that write errors in another form.
		response.extensions_mut().insert(body);
		let headers = response.headers_mut();
		if let Some(retry) = self.should_retry {
			headers.insert("x-should-retry", HeaderValue::from_static(if retry { "true" } else { "false" }));
		}
		if let Some(seconds) = self.retry_after {
			headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
		}
		if self.status == StatusCode::UNAUTHORIZED {
			headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
		}
		response
	}
}

impl IntoResponses for ApiError {
	fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
		let body = Content::new(Some(Ref::from_schema_name(ErrorBody::name())));
		let response = |text: &str| -> RefOr<openapi::Response> {
			ResponseBuilder::new().description(text).content("application/json", body.clone()).into()
		};
		let kinds = [("4XX", "The request is at fault"), ("5XX", "The network or the gateway is at fault")];
		BTreeMap::from(kinds.map(|(status, text)| (status.to_owned(), response(text))))
	}
}
