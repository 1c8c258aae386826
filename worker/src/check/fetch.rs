//! Openings and evidence over HTTP/2, from the workers of hosts that are checked.

use bytes::Bytes;
use codec::Decode;
use gonka_client::{
	evidence::{self, Evidence, SealedEvidence},
	keys::{self, Keypair},
	wire::{Account, EVIDENCE_PATH, ErrorBody, MAX_POSITIONS, OPENINGS_PATH, OpeningQuery, Openings, Scale},
};
use gonka_primitives::{AccountId, EpochIndex, Hash, PublicKey, sampling::SampleQuery};
use gonka_sprint::LeafOpening;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_rustls::HttpsConnector;
use hyper_util::{
	client::legacy::{Client, connect::HttpConnector},
	rt::{TokioExecutor, TokioTimer},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// For a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// For an answer, connection included.
const PATIENCE: Duration = Duration::from_secs(3);
/// Tries of each query.
const TRIES: u32 = 2;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;
/// For evidence, which is larger.
const EVIDENCE_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of evidence: a body of 4 MiB, 20 bytes a token.
const MAX_EVIDENCE: usize = 32 << 20;

/// Asks workers for openings.
pub struct Fetcher {
	client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
	genesis: Hash,
	host: AccountId,
	key: Keypair,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
	/// The host.
	pub host: &'a AccountId,
	/// Where its worker is reached.
	pub url: &'a [u8],
	/// The epoch.
	pub epoch: EpochIndex,
}

impl Fetcher {
	/// For `host`, whose worker key is `key`.
	pub fn new(genesis: Hash, host: AccountId, key: Keypair) -> Result<Self, String> {
		let mut tcp = HttpConnector::new();
		tcp.enforce_http(false);
		tcp.set_nodelay(true);
		tcp.set_connect_timeout(Some(CONNECT));
		let tls = hyper_rustls::HttpsConnectorBuilder::new()
			.with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
			.map_err(|error| error.to_string())?
			.https_or_http()
			.enable_http2()
			.wrap_connector(tcp);
		let client = Client::builder(TokioExecutor::new()).http2_only(true).timer(TokioTimer::new()).build(tls);
		Ok(Self { client, genesis, host, key })
	}

	/// The openings of `positions`, at most [`MAX_POSITIONS`], ascending. They are not verified.
	pub async fn openings(
		&self,
		target: Target<'_>,
		segment: u8,
		positions: &[u64],
	) -> Result<Vec<LeafOpening>, String> {
		let mut query = OpeningQuery {
			checker: Account(self.host),
			epoch: target.epoch,
			segment,
			positions: positions.iter().copied().take(MAX_POSITIONS).collect(),
			signature: Scale([0; 64]),
		};
		query.signature = Scale(keys::sign(&self.key, &query.payload(&self.genesis, target.host)));
		let body = Bytes::from(serde_json::to_vec(&query).map_err(|error| error.to_string())?);
		let url = String::from_utf8_lossy(target.url);
		let url = format!("{}{OPENINGS_PATH}", url.trim_end_matches('/'));
		let mut tries = 1u32;
		loop {
			let asked = timeout(PATIENCE, self.ask(&url, body.clone())).await;
			match asked.unwrap_or_else(|_| Err(format!("silent for {} s", PATIENCE.as_secs()))) {
				Err(error) if tries >= TRIES => return Err(error),
				Err(_) => tokio::time::sleep(PAUSE).await,
				Ok(found) if found.len() == query.positions.len() => return Ok(found),
				Ok(found) => return Err(format!("{} openings for {} positions", found.len(), query.positions.len())),
			}
			tries = tries.saturating_add(1);
		}
	}

	/// What a host shows of a sample, in answer to a question of this host. `worker`: its worker's key. Only who gave the
	/// answer is verified.
	pub async fn evidence(&self, query: SampleQuery, url: &[u8], worker: &PublicKey) -> Result<Evidence, String> {
		let (question, opener) = evidence::ask(query, &self.key, &self.genesis);
		let body = Bytes::from(serde_json::to_vec(&question).map_err(|error| error.to_string())?);
		let url = String::from_utf8_lossy(url);
		let url = format!("{}{EVIDENCE_PATH}", url.trim_end_matches('/'));
		let asked = timeout(EVIDENCE_PATIENCE, self.post(&url, body, MAX_EVIDENCE)).await;
		let answer = asked.map_err(|_| format!("silent for {} s", EVIDENCE_PATIENCE.as_secs()))??;
		let mut rest = &answer[..];
		let sealed = SealedEvidence::decode(&mut rest).map_err(|error| error.to_string())?;
		opener.open(&sealed, worker, &self.genesis)
	}

	async fn ask(&self, url: &str, body: Bytes) -> Result<Vec<LeafOpening>, String> {
		let answer = self.post(url, body, MAX_ANSWER).await?;
		let Openings { openings } = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
		Ok(openings.into_iter().map(|opening| opening.0).collect())
	}

	async fn post(&self, url: &str, body: Bytes, most: usize) -> Result<Bytes, String> {
		let request = Request::builder()
			.method(Method::POST)
			.uri(url)
			.header("content-type", "application/json")
			.body(Full::new(body))
			.map_err(|error| error.to_string())?;
		let response = self.client.request(request).await.map_err(|error| error.to_string())?;
		let status = response.status();
		let answer = Limited::new(response.into_body(), most).collect().await;
		let answer = answer.map_err(|error| error.to_string())?.to_bytes();
		if status.is_success() {
			return Ok(answer);
		}
		Err(match serde_json::from_slice::<ErrorBody>(&answer) {
			Ok(ErrorBody { error }) => format!("{:?}: {}", error.code, error.message),
			Err(_) => format!("HTTP status {status}"),
		})
	}
}
