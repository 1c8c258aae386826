//! Bodies of requests for completions: read, compared with their envelopes, parsed.

use super::{Rejection, turns::Shares, vouchers::parse};
use axum::body::{Body, Bytes, to_bytes};
use gonka_client::worker_api::{ErrorCode, InferenceRequest};
use gonka_primitives::{AccountId, Hash, market::body_hash};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Maximum number of bytes by which a body may be longer than the shortest JSON of its request. Evidence keeps the whole body, but
/// the fee is for the request's tokens alone.
const MAX_EXCESS: usize = 1 << 10;
/// Maximum number of bodies of a developer that are read at the same time. They cost it nothing until one is admitted.
const MAX_OF_DEVELOPER: usize = 64;
/// Maximum number of bodies of all developers that are read at the same time.
const MAX_BODIES: usize = 1_024;

/// Reads bodies. As many are parsed at the same time as there are cores: a body of some megabytes takes a while.
pub struct Bodies {
	/// Maximum size of a body, in bytes.
	limit: usize,
	turns: Arc<Semaphore>,
	read: Shares,
}

impl Bodies {
	/// Takes bodies of up to `limit` bytes.
	pub fn new(limit: usize) -> Self {
		let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
		Self { limit, turns: Arc::new(Semaphore::new(cores)), read: Shares::default() }
	}

	/// Reads a body of `developer` and the request in it. `hash` is that of the envelope.
	///
	/// # Errors
	/// A rejection if the body is another one, too long, or no request, or if too many are being read.
	pub async fn read(
		&self,
		body: Body,
		hash: Hash,
		developer: AccountId,
	) -> Result<(Bytes, InferenceRequest), Rejection> {
		let share = self.read.take(developer, MAX_OF_DEVELOPER, MAX_BODIES);
		let share = share.ok_or_else(|| Rejection::new(ErrorCode::Busy, "too many bodies at once: try again"))?;
		let limit = self.limit;
		let body = to_bytes(body, limit).await;
		let body =
			body.map_err(|error| bad(format!("the body cannot be read, or has more than {limit} bytes: {error}")))?;
		let turn = self.turns.clone().acquire_owned().await.map_err(Rejection::internal)?;
		let read = move || {
			// It lasts until the work is done, also if the client hangs up.
			let _held = (turn, share);
			parse_request(&body, &hash).map(|request| (body, request))
		};
		tokio::task::spawn_blocking(read).await.map_err(Rejection::internal)?
	}
}

/// Parses the body with this hash. Rejects one with much that is not its request, such as spaces and unknown fields.
fn parse_request(body: &[u8], hash: &Hash) -> Result<InferenceRequest, Rejection> {
	if body_hash(body) != *hash {
		return Err(bad("the body's hash is not the envelope's"));
	}
	let request: InferenceRequest = parse(body)?;
	let needed = serde_json::to_vec(&request).map_err(Rejection::internal)?.len();
	if body.len() <= needed.saturating_add(MAX_EXCESS) {
		return Ok(request);
	}
	let message = format!(
		"the body has {} bytes, but its request needs {needed}, and {MAX_EXCESS} more are allowed: leave out spaces and \
		 fields that this interface does not have",
		body.len()
	);
	Err(bad(message))
}

fn bad(message: impl Into<String>) -> Rejection {
	Rejection::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
	use super::*;
	use futures::{FutureExt, stream};
	use gonka_client::worker_api::Grammar;
	use serde_json::json;
	use std::convert::Infallible;

	/// A request with all fields.
	fn request() -> InferenceRequest {
		InferenceRequest {
			delivered: vec![1, 22],
			temperature: 0.1,
			top_p: 0.7,
			top_k: 3,
			min_p: 0.05,
			repetition_penalty: 1.1,
			presence_penalty: -0.3,
			frequency_penalty: 0.2,
			logit_bias: [(1, -1.6), (u32::MAX, 99.5)].into(),
			stop_token_ids: vec![5],
			min_tokens: 2,
			grammar: Some(Grammar::JsonSchema(json!({"b": [1, -0.5, null, true], "a": "\u{1}é\""}))),
			logprobs: Some(3),
			stop: vec!["\n\u{1f600}".into()],
			ignore_eos: true,
			..InferenceRequest::new(vec![97; 100])
		}
	}

	/// Returns the request in a body, or why there is none.
	fn read(body: &str) -> Result<InferenceRequest, String> {
		parse_request(body.as_bytes(), &body_hash(body.as_bytes())).map_err(|rejection| rejection.0.message)
	}

	#[test]
	fn a_body_has_little_that_is_not_its_request() {
		let shortest = serde_json::to_string(&request()).unwrap();
		assert_eq!(read(&shortest), Ok(request()));
		let with = |more: &str| shortest.replacen('{', &format!("{{{more}"), 1);
		let field = format!(r#""x":"{}","#, "y".repeat(MAX_EXCESS - r#""x":"","#.len()));
		for most in [" ".repeat(MAX_EXCESS), field] {
			assert_eq!(read(&with(&most)), Ok(request()));
			let message = read(&with(&format!(" {most}"))).unwrap_err();
			assert!(message.contains(&format!("its request needs {}", shortest.len())), "{message}");
		}
	}

	#[tokio::test]
	async fn a_body_waits_for_its_turn_to_be_parsed() {
		let bodies = Bodies { limit: 1_000, turns: Arc::new(Semaphore::new(1)), read: Shares::default() };
		let turn = bodies.turns.clone().try_acquire_owned().unwrap();
		let body = r#"{"prompt":[97]}"#;
		let mut reading = Box::pin(bodies.read(body.into(), body_hash(body.as_bytes()), [1; 32]));
		for _ in 0..100 {
			assert!(reading.as_mut().now_or_never().is_none());
			// Other work of its kind is done meanwhile.
			tokio::task::spawn_blocking(|| ()).await.unwrap();
		}
		drop(turn);
		assert!(reading.await.is_ok());
	}

	#[tokio::test]
	async fn one_developer_has_a_bounded_number_of_bodies_read() {
		let bodies = Bodies::new(1_000);
		let unfinished = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
		let read = |developer| Box::pin(bodies.read(unfinished(), [0; 32], [developer; 32]));
		let mut reading: Vec<_> = (0..MAX_OF_DEVELOPER).map(|_| read(1)).collect();
		assert!(reading.iter_mut().all(|body| body.now_or_never().is_none()));
		let code = read(1).await.map_err(|rejection| rejection.0.code);
		assert_eq!(code.err(), Some(ErrorCode::Busy), "one more than a developer may have");
		assert!(read(2).now_or_never().is_none(), "another one's is read");
		// The clients hang up.
		drop(reading);
		assert!(read(1).now_or_never().is_none());
	}
}
