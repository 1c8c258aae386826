//! The time that a request's body may take. The headers have a limit of their own, in [`gonka_client::listen`].

use crate::openai::errors::ApiError;
use axum::{
	BoxError,
	body::{Body, Bytes, HttpBody},
	extract::Request,
	http::StatusCode,
	middleware::Next,
	response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use std::{
	pin::Pin,
	sync::{
		Arc,
		atomic::{AtomicBool, Ordering},
	},
	task::{Context, Poll, ready},
	time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Time that a body of any size may take: the maximum for one of which nothing comes.
const MIN_TIME: Duration = Duration::from_secs(30);
/// Number of bytes for which a body may take a second more.
const RATE: u64 = 16 << 10;

/// Rejects a request whose body comes too slowly: nothing may hold a connection for long without sending.
pub async fn in_time(request: Request, next: Next) -> Response {
	within(MIN_TIME, request, next).await
}

async fn within(time: Duration, request: Request, next: Next) -> Response {
	let late = Arc::new(AtomicBool::new(false));
	let flag = late.clone();
	let request = request.map(|body| Body::new(Timed { body, deadline: Box::pin(sleep(time)), late: flag }));
	let response = next.run(request).await;
	if !late.load(Ordering::Relaxed) {
		return response;
	}
	let (seconds, rate) = (time.as_secs(), RATE >> 10);
	let message =
		format!("The body came too slowly: it may take {seconds} s, and a second more for each {rate} KiB of it.");
	let mut error = ApiError::invalid(message);
	error.status = StatusCode::REQUEST_TIMEOUT;
	error.into_response()
}

/// A body with a deadline, which each piece of it moves.
struct Timed {
	body: Body,
	deadline: Pin<Box<Sleep>>,
	/// Whether the time is over.
	late: Arc<AtomicBool>,
}

/// The error of a body that comes too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct TooSlow;

impl HttpBody for Timed {
	type Data = Bytes;
	type Error = BoxError;

	fn poll_frame(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
	) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
		match Pin::new(&mut self.body).poll_frame(context) {
			Poll::Ready(Some(Ok(frame))) => {
				let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
				let deadline = self.deadline.deadline() + Duration::from_micros(bytes * 1_000_000 / RATE);
				self.deadline.as_mut().reset(deadline);
				Poll::Ready(Some(Ok(frame)))
			},
			Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(Into::into))),
			Poll::Pending => {
				ready!(self.deadline.as_mut().poll(context));
				self.late.store(true, Ordering::Relaxed);
				Poll::Ready(Some(Err(TooSlow.into())))
			},
		}
	}

	fn is_end_stream(&self) -> bool {
		self.body.is_end_stream()
	}

	fn size_hint(&self) -> SizeHint {
		self.body.size_hint()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::{Router, http, middleware, routing::post};
	use futures::{Stream, StreamExt, stream};
	use serde_json::Value;
	use std::convert::Infallible;
	use tower::ServiceExt;

	/// Sends a body that may take no time. Returns the status and the text of the response.
	async fn send(pieces: impl Stream<Item = Vec<u8>> + Send + 'static) -> (StatusCode, String) {
		async fn at_once(request: Request, next: Next) -> Response {
			within(Duration::ZERO, request, next).await
		}
		let handler = post(|body: Bytes| async move { body.len().to_string() });
		let routes: Router = Router::new().route("/", handler).layer(middleware::from_fn(at_once));
		let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
		let response = routes.oneshot(http::Request::post("/").body(body).unwrap()).await.unwrap();
		let status = response.status();
		let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
		(status, String::from_utf8(text.to_vec()).unwrap())
	}

	#[tokio::test]
	async fn a_body_that_comes_too_slowly_is_rejected() {
		let (status, text) = send(stream::iter([vec![7; 100]]).chain(stream::pending())).await;
		assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
		let error: Value = serde_json::from_str(&text).unwrap();
		assert_eq!(error["error"]["type"], "invalid_request_error");
		assert!(error["error"]["message"].as_str().unwrap().contains("too slowly"), "{text}");
	}

	#[tokio::test]
	async fn each_piece_of_a_body_gives_the_rest_more_time() {
		let rest = stream::once(async {
			sleep(Duration::from_millis(10)).await;
			vec![7]
		});
		let answer = send(stream::iter([vec![7; 1 << 20]]).chain(rest)).await;
		assert_eq!(answer, (StatusCode::OK, "1048577".to_owned()));
	}
}
