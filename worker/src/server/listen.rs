//! Connections and their bounds.

use axum::{Router, body::Body, extract::Request};
use hyper_util::{
	rt::{TokioExecutor, TokioIo, TokioTimer},
	server::{conn::auto, graceful::GracefulShutdown},
	service::TowerToHyperService,
};
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt;

/// Bytes of a request's headers, at most.
const HEADERS: u32 = 32 << 10;
/// Connections at a time.
const CONNECTIONS: usize = 4096;
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 1024;
/// From a connection to its request's last header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds `address`; the error says what to do.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
	TcpListener::bind(address).await.map_err(|error| {
		let hint = match error.kind() {
			io::ErrorKind::AddrInUse => "another program listens there: stop it, or give another --listen",
			io::ErrorKind::AddrNotAvailable => "this machine has no such address: give another --listen",
			io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: give another --listen",
			_ => "give another --listen",
		};
		io::Error::new(error.kind(), format!("cannot listen on {address} ({error}): {hint}"))
	})
}

/// Serves until `stop` resolves, then lets what runs end for at most `bound`.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, bound: Duration) {
	let mut builder = auto::Builder::new(TokioExecutor::new());
	builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADERS as usize * 2);
	builder
		.http2()
		.timer(TokioTimer::new())
		.max_header_list_size(HEADERS)
		.max_concurrent_streams(STREAMS)
		.keep_alive_interval(Duration::from_secs(20))
		.keep_alive_timeout(Duration::from_secs(20));
	let graceful = GracefulShutdown::new();
	let places = Arc::new(Semaphore::new(CONNECTIONS));
	tokio::pin!(stop);
	loop {
		let accepted = tokio::select! {
			accepted = accept(&listener, &places) => accepted,
			() = &mut stop => break,
		};
		let (socket, place) = match accepted {
			Ok(accepted) => accepted,
			Err(error) => {
				tracing::warn!(%error, "a connection could not be accepted");
				tokio::time::sleep(Duration::from_millis(50)).await;
				continue;
			},
		};
		let _ = socket.set_nodelay(true);
		let service = TowerToHyperService::new(
			router.clone().map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new)),
		);
		let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
		let watched = graceful.watch(connection);
		tokio::spawn(async move {
			if let Err(error) = watched.await {
				tracing::trace!(error, "a connection ended");
			}
			drop(place);
		});
	}
	drop(listener);
	if tokio::time::timeout(bound, graceful.shutdown()).await.is_err() {
		tracing::warn!("some connections are cut off: they did not end in time");
	}
}

async fn accept(
	listener: &TcpListener,
	places: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
	let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
	let (socket, _) = listener.accept().await?;
	Ok((socket, place))
}
