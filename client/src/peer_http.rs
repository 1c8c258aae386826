//! The HTTP/2 client for URLs that hosts registered.
//!
//! Anybody can register a URL, and workers and gateways send requests to it. So that nobody has them knock on doors of the
//! operator's own network, the client connects to public addresses alone, follows no redirect and no proxy of the
//! environment, and reads no more than a limit. A name is resolved once: the addresses that are checked are those that are
//! connected to.

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Uri, body::Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::{
	client::legacy::{
		Client,
		connect::{
			HttpConnector,
			dns::{GaiResolver, Name},
		},
	},
	rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
	error::Error,
	fmt::Write,
	future::ready,
	net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
	sync::Arc,
	task::{Context, Poll},
	time::Duration,
};
use tokio::net::TcpStream;
use tower_service::Service;

/// Maximum length of a response's headers, in bytes.
const MAX_HEADERS: u32 = 16 << 10;

pub use rustls::Error as TlsError;

type BoxError = Box<dyn Error + Send + Sync>;
type Tcp = HttpConnector<Resolver>;

/// A client for registered URLs.
pub type PeerHttp = Client<HttpsConnector<Guard>, Full<Bytes>>;
/// The settings of a [`PeerHttp`].
pub type Builder = hyper_util::client::legacy::Builder;

/// The addresses to which a client connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
	/// Addresses that everybody can reach: see [`is_public`].
	#[default]
	Public,
	/// All addresses, for networks on one machine or in a private network.
	Any,
}

impl Addresses {
	/// Returns [`Addresses::Any`] if an option allows private addresses.
	pub fn allowing_private(allowed: bool) -> Self {
		if allowed { Self::Any } else { Self::Public }
	}

	fn allows(self, address: IpAddr) -> bool {
		self == Self::Any || is_public(address)
	}
}

/// The option for which addresses workers and gateways connect to.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct AddressArgs {
	/// Connect to hosts at private and local addresses, too: for networks on one machine or in a private network. Without
	/// it, hosts with such a URL count as unreachable, so that nobody can have this program probe your network.
	#[arg(long, env = "GONKA_ALLOW_PRIVATE_ADDRESSES")]
	pub allow_private_addresses: bool,
}

impl AddressArgs {
	/// Returns the addresses that the option allows.
	pub fn addresses(&self) -> Addresses {
		Addresses::allowing_private(self.allow_private_addresses)
	}
}

/// An address, or all addresses of a name, are not public.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no public address; --allow-private-addresses allows others")]
pub struct NotPublic(String);

/// Makes a client. `connect` is the maximum time to connect to one address; `tune` changes settings of HTTP/2.
///
/// # Errors
/// If TLS cannot be set up.
pub fn client(addresses: Addresses, connect: Duration, tune: impl FnOnce(&mut Builder)) -> Result<PeerHttp, TlsError> {
	let mut tcp = HttpConnector::new_with_resolver(Resolver { system: GaiResolver::new(), addresses });
	tcp.enforce_http(false);
	tcp.set_nodelay(true);
	tcp.set_connect_timeout(Some(connect));
	let tls = hyper_rustls::HttpsConnectorBuilder::new()
		.with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))?
		.https_or_http()
		.enable_http2()
		.wrap_connector(Guard { tcp, addresses });
	let mut builder = Client::builder(TokioExecutor::new());
	builder.http2_only(true).http2_max_header_list_size(MAX_HEADERS).timer(TokioTimer::new());
	tune(&mut builder);
	Ok(builder.build(tls))
}

/// Why a response's body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
	/// The body is longer than the limit, in bytes.
	#[error("its response has more than {0} bytes")]
	TooLarge(usize),
	/// The connection broke.
	#[error("its response broke off: {0}")]
	BrokenOff(BoxError),
}

/// Reads a body of at most `limit` bytes. Stops reading where it exceeds them.
pub async fn read(body: Incoming, limit: usize) -> Result<Bytes, ReadError> {
	match Limited::new(body, limit).collect().await {
		Ok(body) => Ok(body.to_bytes()),
		Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge(limit)),
		Err(error) => Err(ReadError::BrokenOff(error)),
	}
}

/// Joins a registered URL and a path.
pub fn endpoint(url: &str, path: &str) -> String {
	format!("{}{path}", url.trim_end_matches('/'))
}

/// Returns the text of an error with all its causes.
pub fn describe(error: &(dyn Error + 'static)) -> String {
	let mut text = error.to_string();
	let mut source = error.source();
	while let Some(cause) = source {
		let _ = write!(text, ": {cause}");
		source = cause.source();
	}
	text
}

/// Returns whether an address is one of the public internet: unicast, and in none of the special blocks of IANA's
/// registries. An IPv6 address that stands for an IPv4 address (RFC 6052) is public if that is.
pub fn is_public(address: IpAddr) -> bool {
	match address {
		IpAddr::V4(address) => is_public_v4(address),
		IpAddr::V6(address) => is_public_v6(address),
	}
}

fn is_public_v4(address: Ipv4Addr) -> bool {
	let special = match address.octets() {
		// This network, private, loopback, multicast, reserved and broadcast.
		[0 | 10 | 127 | 224.., ..] => true,
		// Shared by providers' NAT, and benchmarks.
		[100, second, ..] => second & 0xc0 == 64,
		[198, 18 | 19, ..] => true,
		// Link-local and private.
		[169, 254, ..] | [192, 168, ..] => true,
		[172, second, ..] => second & 0xf0 == 16,
		// Protocol assignments, documentation, 6to4 relays.
		[192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => true,
		_ => false,
	};
	!special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
	match address.segments() {
		// The prefix by which networks without IPv4 reach it.
		[0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
			let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
			is_public_v4(Ipv4Addr::new(a, b, c, d))
		},
		// Protocol assignments such as Teredo, documentation, 6to4.
		[0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
		[0x2002, ..] => false,
		[0x3fff, second, ..] => second >= 0x1000,
		// No other block has global unicast addresses.
		[first, ..] => first & 0xe000 == 0x2000,
	}
}

/// Resolves names to addresses that are allowed.
#[derive(Clone, Debug)]
struct Resolver {
	system: GaiResolver,
	addresses: Addresses,
}

impl Service<Name> for Resolver {
	type Response = std::vec::IntoIter<SocketAddr>;
	type Error = BoxError;
	type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

	fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
		self.system.poll_ready(context).map_err(Into::into)
	}

	fn call(&mut self, name: Name) -> Self::Future {
		let (text, allowed, found) = (name.to_string(), self.addresses, self.system.call(name));
		async move { Ok(keep_allowed(&text, found.await?, allowed)?.into_iter()) }.boxed()
	}
}

/// Keeps the addresses of a name that are allowed. An error if none of them is.
fn keep_allowed(
	name: &str,
	found: impl Iterator<Item = SocketAddr>,
	allowed: Addresses,
) -> Result<Vec<SocketAddr>, NotPublic> {
	let mut found: Vec<_> = found.collect();
	let known = found.len();
	found.retain(|address| allowed.allows(address.ip()));
	if found.is_empty() && known > 0 { Err(NotPublic(name.into())) } else { Ok(found) }
}

/// Connects to allowed addresses. Addresses in a URL do not go through the resolver.
#[derive(Clone, Debug)]
pub struct Guard {
	tcp: Tcp,
	addresses: Addresses,
}

impl Service<Uri> for Guard {
	type Response = TokioIo<TcpStream>;
	type Error = BoxError;
	type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

	fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
		self.tcp.poll_ready(context).map_err(Into::into)
	}

	fn call(&mut self, uri: Uri) -> Self::Future {
		match literal(&uri) {
			Some(address) if !self.addresses.allows(address) => {
				ready(Err(NotPublic(address.to_string()).into())).boxed()
			},
			_ => self.tcp.call(uri).map(|connected| connected.map_err(Into::into)).boxed(),
		}
	}
}

/// The address in a URL, if it has one instead of a name.
fn literal(uri: &Uri) -> Option<IpAddr> {
	uri.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
	use super::*;
	use hyper::{Method, Request, Response, StatusCode, header::LOCATION, service::service_fn};
	use std::sync::atomic::{AtomicUsize, Ordering};
	use tokio::net::TcpListener;

	/// The end of waits that only a failed test reaches.
	const PATIENCE: Duration = Duration::from_secs(120);

	/// A server on this machine that responds to everything in the same way, with the number of its connections.
	async fn server(respond: fn() -> Response<Full<Bytes>>) -> (SocketAddr, Arc<AtomicUsize>) {
		let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
		let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
		let count = connections.clone();
		tokio::spawn(async move {
			while let Ok((stream, _)) = listener.accept().await {
				count.fetch_add(1, Ordering::SeqCst);
				let service = service_fn(move |_| async move { Ok::<_, std::convert::Infallible>(respond()) });
				let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
				tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
			}
		});
		(address, connections)
	}

	async fn post(addresses: Addresses, url: &str) -> Result<Response<Incoming>, String> {
		let client = client(addresses, PATIENCE, |_| ()).unwrap();
		let request = Request::builder().method(Method::POST).uri(url).body(Full::default()).unwrap();
		client.request(request).await.map_err(|error| describe(&error))
	}

	#[tokio::test]
	async fn nothing_is_sent_to_a_private_address_unless_the_operator_allows_it() {
		let (address, connections) = server(|| Response::new(Full::default())).await;
		let port = address.port();
		for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
			let error = post(Addresses::Public, &format!("http://{host}:{port}/v1/openings")).await.unwrap_err();
			assert!(error.contains("no public address"), "{host}: {error}");
		}
		// Spellings that the system's resolver may know.
		for host in ["127.1", "0x7f000001", "2130706433"] {
			assert!(post(Addresses::Public, &format!("http://{host}:{port}/v1/openings")).await.is_err(), "{host}");
		}
		assert_eq!(connections.load(Ordering::SeqCst), 0, "no connection was made");
		let response = post(Addresses::Any, &format!("http://127.0.0.1:{port}/v1/openings")).await.unwrap();
		assert_eq!((response.status(), connections.load(Ordering::SeqCst)), (StatusCode::OK, 1));
	}

	#[tokio::test]
	async fn redirects_are_not_followed() {
		static TARGET: std::sync::OnceLock<String> = std::sync::OnceLock::new();
		let (inside, connections) = server(|| Response::new(Full::default())).await;
		TARGET.set(format!("http://{inside}/secret")).unwrap();
		let (outside, _) = server(|| {
			let redirect = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
			redirect.header(LOCATION, TARGET.get().unwrap()).body(Full::default()).unwrap()
		})
		.await;
		let response = post(Addresses::Any, &format!("http://{outside}/")).await.unwrap();
		assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
		assert_eq!(connections.load(Ordering::SeqCst), 0);
	}

	#[tokio::test]
	async fn a_body_is_read_up_to_its_limit() {
		let (address, _) = server(|| Response::new(Full::from(vec![7; 10_000]))).await;
		let url = format!("http://{address}/");
		let body = post(Addresses::Any, &url).await.unwrap().into_body();
		assert_eq!(read(body, 10_000).await.unwrap().len(), 10_000);
		let body = post(Addresses::Any, &url).await.unwrap().into_body();
		assert!(matches!(read(body, 9_999).await, Err(ReadError::TooLarge(9_999))));
	}

	#[test]
	fn public_addresses_are_told_from_special_ones() {
		let public =
			["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1"];
		let more = ["223.255.255.255", "2606:4700::1111", "2a00::1", "2001:200::1", "64:ff9b::1.1.1.1", "3fff:1000::1"];
		for address in public.iter().chain(&more) {
			assert!(is_public(address.parse().unwrap()), "{address}");
		}
		let v4 = [
			"0.0.0.0",
			"0.1.2.3",
			"10.0.0.1",
			"100.64.0.0",
			"100.127.255.255",
			"127.0.0.1",
			"169.254.169.254",
			"172.16.0.1",
			"172.31.255.255",
			"192.0.0.1",
			"192.0.2.1",
			"192.88.99.1",
			"192.168.1.1",
			"198.18.0.1",
			"198.19.255.255",
			"198.51.100.1",
			"203.0.113.7",
			"224.0.0.1",
			"239.255.255.255",
			"240.0.0.1",
			"255.255.255.255",
		];
		let v6 = [
			"::",
			"::1",
			"::127.0.0.1",
			"::ffff:1.1.1.1",
			"::ffff:10.0.0.1",
			"64:ff9b::10.0.0.1",
			"64:ff9b:1::1",
			"100::1",
			"2001::1",
			"2001:db8::1",
			"2002:a00:1::1",
			"3fff::1",
			"fc00::1",
			"fd00::1",
			"fe80::1",
			"fec0::1",
			"ff02::1",
			"4000::1",
		];
		for address in v4.iter().chain(&v6) {
			assert!(!is_public(address.parse().unwrap()), "{address}");
		}
	}

	#[test]
	fn of_a_name_only_public_addresses_are_connected_to() {
		let public: SocketAddr = "1.1.1.1:80".parse().unwrap();
		let private: SocketAddr = "10.0.0.1:80".parse().unwrap();
		let keep = |found: &[SocketAddr], allowed| keep_allowed("name", found.iter().copied(), allowed);
		assert_eq!(keep(&[private, public], Addresses::Public), Ok(vec![public]));
		assert_eq!(keep(&[private], Addresses::Public), Err(NotPublic("name".into())));
		assert_eq!(keep(&[private, public], Addresses::Any), Ok(vec![private, public]));
		assert_eq!(keep(&[], Addresses::Public), Ok(vec![]));
	}
}
