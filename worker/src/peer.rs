//! The HTTP/2 client of other hosts' workers: fetches openings and evidence from hosts that are checked.

use bytes::Bytes;
use codec::Decode;
use gonka_client::{
	evidence::{self, Evidence, SealedEvidence},
	json,
	keys::{self, Keypair},
	peer_http::{self, Addresses, PeerHttp, ReadError, TlsError, describe, endpoint},
	worker_api::{
		Account, EVIDENCE_PATH, Error, ErrorBody, MAX_POSITIONS, OPENINGS_PATH, OpeningQuery, Openings, Scale,
	},
};
use gonka_primitives::{AccountId, EpochIndex, Hash, PublicKey, audit::AuditQuery};
use gonka_sprint::LeafOpening;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use std::time::Duration;
use tokio::time::timeout;

/// Number of attempts to fetch openings.
const ATTEMPTS: u32 = 2;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(300);
/// Maximum size of openings, in bytes.
const MAX_OPENINGS: usize = 1 << 20;
/// Maximum size of evidence, in bytes: a body of 4 MiB, and 20 bytes for each token.
const MAX_EVIDENCE: usize = 32 << 20;

/// Why another host's worker did not give what was requested. Every variant speaks against that host.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
	/// The host's registered URL is not valid.
	#[error("its URL is not valid: {0}")]
	Url(#[from] hyper::http::Error),
	/// The worker cannot be reached.
	#[error("it cannot be reached: {}", describe(.0))]
	Unreachable(#[from] hyper_util::client::legacy::Error),
	/// The response broke off, or is larger than allowed.
	#[error(transparent)]
	Read(#[from] ReadError),
	/// The worker did not respond in time.
	#[error("it did not respond within {} s", .0.as_secs())]
	Timeout(Duration),
	/// The worker rejected the query.
	#[error("it rejected the query with {:?}: {}", .0.code, .0.message)]
	Rejected(Error),
	/// The worker responded with an HTTP error of another program.
	#[error("it responded with HTTP status {0}")]
	Status(StatusCode),
	/// The response cannot be decoded.
	#[error("its response cannot be decoded: {0}")]
	Json(#[from] serde_json::Error),
	/// The response cannot be decoded.
	#[error("its response cannot be decoded: {0}")]
	Scale(#[from] codec::Error),
	/// The evidence is not sealed or signed as required.
	#[error(transparent)]
	Seal(#[from] evidence::OpenError),
	/// The number of openings is wrong.
	#[error("it responded with {openings} openings for {positions} positions")]
	WrongCount {
		/// Number of openings.
		openings: usize,
		/// Number of positions.
		positions: usize,
	},
}

/// Bounds on the time that another host's worker has.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
	/// Maximum time to connect.
	pub connect: Duration,
	/// Maximum time for openings, connecting included.
	pub openings: Duration,
	/// Maximum time for evidence, which is larger, connecting included.
	pub evidence: Duration,
}

impl Default for Timeouts {
	fn default() -> Self {
		let [connect, openings, evidence] = [2, 3, 20].map(Duration::from_secs);
		Self { connect, openings, evidence }
	}
}

/// Client of other hosts' workers, in the name of this host.
pub struct PeerClient {
	client: PeerHttp,
	genesis: Hash,
	host: AccountId,
	key: Keypair,
	timeouts: Timeouts,
}

/// A host whose openings are fetched.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
	/// Account of the host.
	pub host: &'a AccountId,
	/// Registered URL of its worker.
	pub url: &'a [u8],
	/// Epoch of the leaves.
	pub epoch: EpochIndex,
}

impl PeerClient {
	/// Makes a client for `host`, whose worker key is `key`. It connects to `addresses` alone.
	///
	/// # Errors
	/// If TLS cannot be set up.
	pub fn new(
		genesis: Hash,
		host: AccountId,
		key: Keypair,
		timeouts: Timeouts,
		addresses: Addresses,
	) -> Result<Self, TlsError> {
		let client = peer_http::client(addresses, timeouts.connect, |_| ())?;
		Ok(Self { client, genesis, host, key, timeouts })
	}

	/// Fetches the openings of `positions`, ascending and at most [`MAX_POSITIONS`]. They are not verified.
	pub async fn openings(
		&self,
		target: Target<'_>,
		segment: u8,
		positions: &[u64],
	) -> Result<Vec<LeafOpening>, PeerError> {
		let mut query = OpeningQuery {
			checker: Account(self.host),
			epoch: target.epoch,
			segment,
			positions: positions.iter().copied().take(MAX_POSITIONS).collect(),
			signature: Scale([0; 64]),
		};
		query.signature = Scale(keys::sign(&self.key, &query.payload(&self.genesis, target.host)));
		let body = Bytes::from(serde_json::to_vec(&query)?);
		let url = endpoint(&String::from_utf8_lossy(target.url), OPENINGS_PATH);
		let mut attempt = 1u32;
		let openings = loop {
			match self.post(&url, body.clone(), MAX_OPENINGS, self.timeouts.openings).await {
				Ok(response) => break json::from_slice::<Openings>(&response)?.openings,
				// One that keeps others waiting is not asked again.
				Err(error) if attempt >= ATTEMPTS || matches!(error, PeerError::Timeout(_)) => return Err(error),
				Err(_) => tokio::time::sleep(PAUSE).await,
			}
			attempt = attempt.saturating_add(1);
		};
		if openings.len() != query.positions.len() {
			return Err(PeerError::WrongCount { openings: openings.len(), positions: query.positions.len() });
		}
		Ok(openings.into_iter().map(|opening| opening.0).collect())
	}

	/// Fetches the evidence of a receipt. `worker` is the worker key of the host. The seal and the host's signature are
	/// verified; the evidence itself is not.
	pub async fn evidence(&self, query: AuditQuery, url: &[u8], worker: &PublicKey) -> Result<Evidence, PeerError> {
		let (query, opener) = evidence::query(query, &self.key, &self.genesis);
		let body = Bytes::from(serde_json::to_vec(&query)?);
		let url = endpoint(&String::from_utf8_lossy(url), EVIDENCE_PATH);
		let response = self.post(&url, body, MAX_EVIDENCE, self.timeouts.evidence).await?;
		let sealed = SealedEvidence::decode(&mut &response[..])?;
		Ok(opener.open(&sealed, worker, &self.genesis)?)
	}

	async fn post(&self, url: &str, body: Bytes, max_bytes: usize, limit: Duration) -> Result<Bytes, PeerError> {
		timeout(limit, self.post_unlimited(url, body, max_bytes)).await.unwrap_or(Err(PeerError::Timeout(limit)))
	}

	async fn post_unlimited(&self, url: &str, body: Bytes, max_bytes: usize) -> Result<Bytes, PeerError> {
		let request = Request::builder()
			.method(Method::POST)
			.uri(url)
			.header("content-type", "application/json")
			.body(Full::new(body))?;
		let response = self.client.request(request).await?;
		let status = response.status();
		let body = peer_http::read(response.into_body(), max_bytes).await?;
		if status.is_success() {
			return Ok(body);
		}
		Err(match json::from_slice::<ErrorBody>(&body) {
			Ok(ErrorBody { error }) => PeerError::Rejected(error),
			Err(_) => PeerError::Status(status),
		})
	}
}
