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

/// Maximum size of a request's headers, in bytes.
const MAX_HEADERS: u32 = 32 << 10;
/// Maximum number of connections.
const MAX_CONNECTIONS: usize = 4096;
/// Maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;
/// Maximum time from the beginning of a connection to the last header of its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

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
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, grace: Duration) {
	let mut builder = auto::Builder::new(TokioExecutor::new());
	builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS as usize * 2);
	builder
		.http2()
		.timer(TokioTimer::new())
		.max_header_list_size(MAX_HEADERS)
		.max_concurrent_streams(MAX_STREAMS)
		.keep_alive_interval(Duration::from_secs(20))
		.keep_alive_timeout(Duration::from_secs(20));
	let graceful = GracefulShutdown::new();
	let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
	tokio::pin!(stop);
	loop {
		let accepted = tokio::select! {
			accepted = accept(&listener, &permits) => accepted,
			() = &mut stop => break,
		};
		let (socket, permit) = match accepted {
			Ok(accepted) => accepted,
			Err(error) => {
				tracing::warn!(%error, "cannot accept a connection");
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
			drop(permit);
		});
	}
	drop(listener);
	if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
		tracing::warn!("some connections did not end in time and are cut off");
	}
}

async fn accept(
	listener: &TcpListener,
	permits: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
	let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
	let (socket, _) = listener.accept().await?;
	Ok((socket, permit))
}
