//! Protection from web pages.
//!
//! A page that a user visits can have the browser send requests to programs on the user's machine. A gateway there spends
//! GNK, so it takes no request that a page can make without the operator's consent: none with a body that is not declared as
//! JSON, which a browser sends to other origins without asking first, and none to another host name than its own, under which
//! a page can make itself the same origin as the gateway. API keys and `--cors-origin` do the rest.

use crate::{gateway::Gateway, openai::errors::ApiError};
use axum::{
	extract::{Request, State},
	http::{HeaderMap, HeaderValue, Method, Uri, header},
	middleware::Next,
	response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The host names under which clients may address a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostNames {
	/// Any, where other machines reach the gateway: it does not know its names.
	#[default]
	Any,
	/// Those of this machine, and these.
	Local(Vec<String>),
}

impl HostNames {
	/// Whether they are those of this machine alone: no proxy passes requests of other machines on.
	pub fn are_local(&self) -> bool {
		matches!(self, Self::Local(others) if others.is_empty())
	}

	/// Whether clients may use this name, which may have a port.
	fn accept(&self, name: &str) -> bool {
		let Self::Local(others) = self else { return true };
		let host = without_port(name);
		let is_local = host.eq_ignore_ascii_case("localhost")
			|| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
		is_local || others.iter().any(|other| other.eq_ignore_ascii_case(host))
	}
}

fn without_port(name: &str) -> &str {
	match name.rsplit_once(':') {
		// An IPv6 address has colons, and brackets around it if a port follows.
		Some((host, port))
			if port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
		{
			host
		},
		_ => name,
	}
}

/// Rejects requests that a web page can make without the operator's consent.
pub async fn guard(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
	match check(&gateway.options.host_names, request.method(), request.uri(), request.headers()) {
		Ok(()) => next.run(request).await,
		Err(error) => error.into_response(),
	}
}

fn check(names: &HostNames, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
	let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
	// HTTP/2 has the name in the URI, and may have it in the header, too.
	let (authority, host) = (uri.authority().map(|authority| authority.as_str()), text(header::HOST));
	let given = if authority.is_none() && host.is_none() { Some("") } else { authority };
	if let Some(name) = given.into_iter().chain(host).find(|name| !names.accept(name)) {
		return Err(ApiError::wrong_host(name));
	}
	let encoding = text(header::CONTENT_ENCODING).unwrap_or("identity");
	if !encoding.eq_ignore_ascii_case("identity") {
		return Err(ApiError::wrong_encoding(encoding));
	}
	let kind = text(header::CONTENT_TYPE).unwrap_or_default();
	let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
	if *method == Method::POST && kind != "application/json" && !kind.ends_with("+json") {
		return Err(ApiError::wrong_content_type(&kind));
	}
	Ok(())
}

/// Returns what lets web apps of these origins use the gateway; `None` if there are none. `*` stands for all.
pub fn cors(origins: &[String]) -> Option<CorsLayer> {
	let allowed = match origins {
		[] => return None,
		all if all.iter().any(|origin| origin == "*") => AllowOrigin::any(),
		some => AllowOrigin::list(some.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
	};
	let shown = ["x-request-id", "x-gnk-worker", "x-gnk-cost"].map(header::HeaderName::from_static);
	let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST, Method::DELETE]);
	Some(layer.allow_headers(AllowHeaders::mirror_request()).expose_headers(shown))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_gateway_on_this_machine_answers_to_its_own_names() {
		let names = HostNames::Local(vec!["ai.example.org".into()]);
		for own in
			["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "[::1]", "ai.example.org:443"]
		{
			assert!(names.accept(own), "{own}");
		}
		for other in [
			"",
			"evil.example.org",
			"localhost.evil.example.org:8080",
			"127.0.0.1.evil.org",
			"10.0.0.1",
			"[::2]:8080",
			":8080",
		] {
			assert!(!names.accept(other), "{other}");
			assert!(HostNames::Any.accept(other));
		}
	}

	#[test]
	fn a_body_must_be_declared_as_json() {
		let of = |kind: Option<&'static str>, method: Method| {
			let mut headers = HeaderMap::new();
			if let Some(kind) = kind {
				headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
			}
			check(&HostNames::Any, &method, &Uri::from_static("/v1/completions"), &headers).is_ok()
		};
		for json in
			["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"]
		{
			assert!(of(Some(json), Method::POST), "{json}");
		}
		for other in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")]
		{
			assert!(!of(other, Method::POST), "{other:?}");
			assert!(of(other, Method::GET));
		}
	}
}
