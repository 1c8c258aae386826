//! The HTTP server of worker and gateway: HTTP/1.1 and HTTP/2 without TLS on one port, connections and their bounds.

mod places;

use crate::process;
use axum::{
	Router,
	body::{Body, Bytes},
	response::IntoResponse,
};
use hyper::{
	Request, StatusCode,
	body::{Body as HttpBody, Frame, Incoming, SizeHint},
	service::service_fn,
};
use hyper_util::{
	rt::{TokioExecutor, TokioIo, TokioTimer},
	server::conn::auto,
};
use places::{Place, Places, Running};
use std::{
	convert::Infallible,
	io,
	net::SocketAddr,
	pin::{Pin, pin},
	sync::Arc,
	task::{Context, Poll},
	time::Duration,
};
use tokio::{
	net::{TcpListener, TcpStream},
	sync::{Semaphore, watch},
};
use tower_service::Service;

/// Maximum size of a request's headers, in bytes.
const MAX_HEADERS: u32 = 32 << 10;
/// Maximum number of connections, where the process may have enough files open.
const MAX_CONNECTIONS: usize = 4096;
/// Number of open files that connections leave to the rest of the program.
const OTHER_FILES: u64 = 256;
/// Maximum number of connections from this machine that wait for a place.
const MAX_WAITING: usize = 256;
/// Maximum length of a frame of a response's body, in bytes.
const MAX_FRAME: usize = 16 << 10;
/// Maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// Bounds on connections.
#[derive(Clone, Copy)]
struct Bounds {
	/// Maximum number of them.
	connections: usize,
	/// Maximum time from the beginning of a connection to the last header of its first request.
	first: Duration,
	/// Maximum time from the end of all responses to the last header of the next request.
	next: Duration,
}

/// Binds an address. The error says what to do.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
	TcpListener::bind(address).await.map_err(|error| {
		let hint = match error.kind() {
			io::ErrorKind::AddrInUse => "another program listens on it: stop that one, or give another --listen",
			io::ErrorKind::AddrNotAvailable => "this machine has no such address: give another --listen",
			io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: give another --listen",
			_ => "give another --listen",
		};
		io::Error::new(error.kind(), format!("cannot listen on {address} ({error}): {hint}"))
	})
}

/// Serves until `stop` resolves. Then running requests have at most `grace` to end.
///
/// Raises the number of files that the process may have open to its hard limit. There are at most 4,096 connections, fewer if
/// that number is small. Beyond them, connections from the addresses that have the most are closed, first those without a
/// request; a new one from such an address is closed itself, or waits if it comes from this machine.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, grace: Duration) {
	let connections = connections(process::raise_open_files());
	if connections < MAX_CONNECTIONS {
		tracing::warn!(connections, "this process may have few files open, so it takes few connections: see ulimit -n");
	}
	let bounds = Bounds { connections, first: Duration::from_secs(10), next: Duration::from_secs(300) };
	serve_within(bounds, listener, router, stop, grace).await;
}

/// Returns the maximum number of connections of a process that may have so many files open.
fn connections(files: Option<u64>) -> usize {
	let spare = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES));
	usize::try_from(spare).unwrap_or(usize::MAX).clamp(1, MAX_CONNECTIONS)
}

async fn serve_within(
	bounds: Bounds,
	listener: TcpListener,
	router: Router,
	stop: impl Future<Output = ()>,
	grace: Duration,
) {
	let builder = builder(bounds);
	let places = Places::new(bounds.connections);
	let waiting = Arc::new(Semaphore::new(MAX_WAITING));
	let (stopping, stopped) = watch::channel(());
	let mut stop = pin!(stop);
	loop {
		let accepted = tokio::select! {
			accepted = listener.accept() => accepted,
			() = &mut stop => break,
		};
		let (socket, address) = match accepted {
			Ok(accepted) => accepted,
			Err(error) => {
				tracing::warn!(%error, "cannot accept a connection");
				tokio::time::sleep(Duration::from_millis(50)).await;
				continue;
			},
		};
		let serve = {
			let (builder, router, stopped) = (builder.clone(), router.clone(), stopped.clone());
			move |place| connection(builder, bounds, router, socket, place, stopped)
		};
		let is_local = address.ip().to_canonical().is_loopback();
		if let Some(place) = places.take(address.ip()) {
			tokio::spawn(serve(place));
		} else if is_local && let Ok(permit) = waiting.clone().try_acquire_owned() {
			let places = places.clone();
			tokio::spawn(async move {
				let place = loop {
					places.freed().await;
					if let Some(place) = places.take(address.ip()) {
						break place;
					}
				};
				drop(permit);
				serve(place).await;
			});
		} else {
			tracing::debug!(%address, "closed a connection: too many are open from there");
		}
	}
	drop((listener, stopped));
	let _ = stopping.send(());
	if tokio::time::timeout(grace, stopping.closed()).await.is_err() {
		tracing::warn!("some connections did not end in time and are cut off");
	}
}

/// Returns a builder of connections that speak both versions of HTTP.
fn builder(bounds: Bounds) -> auto::Builder<TokioExecutor> {
	let mut builder = auto::Builder::new(TokioExecutor::new());
	builder
		.http1()
		.timer(TokioTimer::new())
		.header_read_timeout(bounds.first.max(bounds.next))
		.max_buf_size(MAX_HEADERS as usize * 2);
	builder
		.http2()
		.timer(TokioTimer::new())
		.max_header_list_size(MAX_HEADERS)
		.max_concurrent_streams(MAX_STREAMS)
		.keep_alive_interval(Duration::from_secs(20))
		.keep_alive_timeout(Duration::from_secs(20));
	builder
}

/// Serves a connection until it ends, is idle for too long or loses its place.
async fn connection(
	builder: auto::Builder<TokioExecutor>,
	bounds: Bounds,
	router: Router,
	socket: TcpStream,
	place: Place,
	mut stopped: watch::Receiver<()>,
) {
	// With Nagle's algorithm a token would wait for the acknowledgement of the one before.
	let _ = socket.set_nodelay(true);
	let place = Arc::new(place);
	let requested = place.clone();
	let service = service_fn(move |request: Request<Incoming>| {
		let running = requested.request();
		let response = running.is_some().then(|| router.clone().call(request));
		async move {
			let response = match response {
				Some(response) => response.await?,
				None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
			};
			Ok::<_, Infallible>(response.map(|body| Tracked { body, rest: Bytes::new(), _running: running }))
		}
	});
	let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
	let mut is_stopping = false;
	loop {
		tokio::select! {
			_ = &mut connection => return,
			() = place.lost() => return,
			() = place.idle(bounds.first, if is_stopping { bounds.first } else { bounds.next }) => return,
			_ = stopped.changed(), if !is_stopping => {
				is_stopping = true;
				connection.as_mut().graceful_shutdown();
			},
		}
	}
}

/// The body of a response, whose request runs until it is dropped. hyper drops it with the last frame, so frames are short: a
/// connection that still sends a long one is not idle.
struct Tracked {
	body: Body,
	/// The part of a frame that is left.
	rest: Bytes,
	_running: Option<Running>,
}

impl HttpBody for Tracked {
	type Data = <Body as HttpBody>::Data;
	type Error = axum::Error;

	fn poll_frame(
		mut self: Pin<&mut Self>,
		context: &mut Context<'_>,
	) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
		if self.rest.is_empty() {
			let frame = match Pin::new(&mut self.body).poll_frame(context) {
				Poll::Ready(Some(Ok(frame))) => frame,
				other => return other,
			};
			match frame.into_data() {
				Ok(data) => self.rest = data,
				Err(frame) => return Poll::Ready(Some(Ok(frame))),
			}
		}
		let length = self.rest.len().min(MAX_FRAME);
		Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
	}

	fn is_end_stream(&self) -> bool {
		self.rest.is_empty() && self.body.is_end_stream()
	}

	fn size_hint(&self) -> SizeHint {
		let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
		if let Some(upper) = hint.upper() {
			hint.set_upper(upper.saturating_add(rest));
		}
		hint.set_lower(hint.lower().saturating_add(rest));
		hint
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use axum::{
		body::{Body, Bytes},
		routing::get,
	};
	use futures::{StreamExt, future::join_all, stream};
	use http_body_util::{BodyExt, Empty};
	use hyper_util::client::legacy::Client;
	use std::sync::atomic::{AtomicUsize, Ordering};
	use tokio::{
		io::{AsyncReadExt, AsyncWriteExt},
		sync::{oneshot, watch},
		task::JoinHandle,
		time::{sleep, timeout},
	};

	/// The end of waits that only a failed test reaches.
	const PATIENCE: Duration = Duration::from_secs(120);
	const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

	/// A running server.
	struct Served {
		address: SocketAddr,
		stop: oneshot::Sender<()>,
		ended: JoinHandle<()>,
	}

	async fn start(bounds: Bounds, router: Router) -> Served {
		let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let address = listener.local_addr().unwrap();
		let (stop, stopped) = oneshot::channel();
		let stopped = async move { stopped.await.unwrap_or_default() };
		let ended = tokio::spawn(serve_within(bounds, listener, router, stopped, PATIENCE));
		Served { address, stop, ended }
	}

	/// Routes whose response begins at once and ends when `end` is true.
	fn streaming(end: &watch::Sender<bool>) -> Router {
		let end = end.subscribe();
		let handler = move || {
			let mut end = end.clone();
			let last = async move {
				let _ = end.wait_for(|end| *end).await;
				Ok(Bytes::from("end"))
			};
			let body = stream::iter([Ok::<_, Infallible>(Bytes::from("begin"))]).chain(stream::once(last));
			async move { Body::from_stream(body) }
		};
		Router::new().route("/", get(handler))
	}

	/// Sends bytes on a connection of their own. Returns what comes until the server closes it.
	async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
		let mut socket = TcpStream::connect(address).await.unwrap();
		socket.write_all(bytes).await.unwrap();
		let mut answer = Vec::new();
		// A server that has not read everything resets the connection.
		let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
		String::from_utf8_lossy(&answer).into_owned()
	}

	/// Requests over HTTP/2. Returns the body after its first piece.
	async fn begin(address: SocketAddr) -> Incoming {
		let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
		let mut body = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap().into_body();
		assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "begin");
		body
	}

	#[tokio::test]
	async fn the_error_of_a_taken_port_says_what_to_do() {
		let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let address = taken.local_addr().unwrap();
		let error = bind(address).await.unwrap_err().to_string();
		assert!(error.contains(&address.to_string()) && error.contains("another program"), "{error}");
	}

	#[test]
	fn connections_leave_files_to_the_program() {
		let files = [None, Some(1 << 20), Some(1024), Some(257), Some(0)];
		assert_eq!(files.map(connections), [4096, 4096, 768, 1, 1]);
	}

	#[tokio::test]
	async fn connections_without_a_request_are_closed_and_streams_go_on_longer() {
		let end = watch::Sender::new(false);
		let bounds = Bounds { connections: 100, first: Duration::from_secs(3), next: Duration::from_secs(3) };
		let Served { address, stop: _stop, .. } = start(bounds, streaming(&end)).await;
		let first = tokio::spawn(exchange(address, REQUEST));
		let second = begin(address).await;
		let silent: [&[u8]; 5] = [
			b"",
			b"G",
			b"GET / HTTP/1.1\r\nhost: here\r\n",
			b"PRI * HTTP/2.0\r\n",
			b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
		];
		for answer in join_all(silent.map(|bytes| exchange(address, bytes))).await {
			assert!(!answer.contains("begin"), "{answer}");
		}
		end.send_replace(true);
		let answer = first.await.unwrap();
		assert!(answer.contains("begin") && answer.contains("end"), "{answer}");
		assert_eq!(second.collect().await.unwrap().to_bytes(), "end");
	}

	#[tokio::test]
	async fn connections_beyond_the_bound_wait_for_their_turn() {
		let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
		let seen = most.clone();
		let handler = move || {
			let (running, most) = (running.clone(), seen.clone());
			async move {
				most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
				sleep(Duration::from_millis(20)).await;
				running.fetch_sub(1, Ordering::SeqCst);
				"done"
			}
		};
		let bounds = Bounds { connections: 2, first: PATIENCE, next: PATIENCE };
		let Served { address, stop: _stop, .. } = start(bounds, Router::new().route("/", get(handler))).await;
		for answer in join_all((0..8).map(|_| exchange(address, REQUEST))).await {
			assert!(answer.ends_with("done"), "{answer}");
		}
		assert!(most.load(Ordering::SeqCst) <= 2);
	}

	#[tokio::test]
	async fn running_requests_end_after_the_server_takes_no_more() {
		let end = watch::Sender::new(false);
		let bounds = Bounds { connections: 100, first: PATIENCE, next: PATIENCE };
		let Served { address, stop, ended } = start(bounds, streaming(&end)).await;
		let body = begin(address).await;
		stop.send(()).unwrap();
		while TcpStream::connect(address).await.is_ok() {
			sleep(Duration::from_millis(10)).await;
		}
		assert!(!ended.is_finished());
		end.send_replace(true);
		assert_eq!(body.collect().await.unwrap().to_bytes(), "end");
		timeout(PATIENCE, ended).await.unwrap().unwrap();
	}
}
