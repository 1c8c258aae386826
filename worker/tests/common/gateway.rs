//! A gateway, as far as the worker's API needs it.

use super::*;
use bytes::Bytes;
use gonka_client::worker_api::{
	Acknowledgement, ChannelQuery, ChannelState, ENVELOPE_HEADER, ErrorBody, ErrorCode, Event, Scale, to_hex,
};
use gonka_primitives::{
	ChannelId, Hash,
	hashing::{domain, signing_payload},
	market::{Envelope, SignedEnvelope, SignedReceipt, SignedVoucher, Totals, Voucher, body_hash},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming};
use hyper_util::{
	client::legacy::{Client, connect::HttpConnector},
	rt::TokioExecutor,
};

type Http = Client<HttpConnector, Full<Bytes>>;

/// A gateway with one channel.
pub struct Gateway {
	client: Http,
	url: String,
	pub key: Keypair,
	pub channel: ChannelId,
}

/// A completion that has begun.
pub struct Completion {
	body: Incoming,
	buffer: Vec<u8>,
}

impl Completion {
	pub async fn next(&mut self) -> Option<Event> {
		loop {
			if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
				let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
				let text = String::from_utf8(event).unwrap();
				if let Some(data) = text.trim_end().strip_prefix("data: ") {
					return Some(serde_json::from_str(data).unwrap());
				}
				continue;
			}
			let frame = self.body.frame().await?.unwrap();
			self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
		}
	}

	/// Reads to the end. Returns the token ids and the receipt.
	pub async fn finish(mut self) -> (Vec<u32>, SignedReceipt) {
		let mut ids = Vec::new();
		loop {
			match self.next().await.expect("a receipt before the end") {
				Event::Token { id, .. } => ids.push(id),
				Event::Receipt { receipt } => {
					assert_eq!(self.next().await, None);
					return (ids, receipt.0);
				},
				other => panic!("{other:?}"),
			}
		}
	}
}

pub type Rejected = (u16, ErrorCode, String);

impl Gateway {
	pub fn new(url: &str, channel: ChannelId) -> Self {
		Self::over(url, channel, false)
	}

	pub fn over(url: &str, channel: ChannelId, http2: bool) -> Self {
		let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
		Self { client, url: url.into(), key: key("//Gateway"), channel }
	}

	/// Makes a gateway to which a few events are sent, and no more before it reads them.
	pub fn slow(url: &str, channel: ChannelId) -> Self {
		let mut client = Client::builder(TokioExecutor::new());
		let client = client.http2_only(true).http2_initial_stream_window_size(64u32).build_http();
		Self { client, ..Self::new(url, channel) }
	}

	pub fn envelope(&self, sequence: u64, body: &str) -> Envelope {
		Envelope {
			channel: self.channel,
			model: 3,
			sequence,
			body: body_hash(body.as_bytes()),
			seed: 42,
			price: PRICE,
			max_tokens: 100,
			max_fee: 10_000,
			expires: 150,
		}
	}

	pub fn sign(&self, envelope: Envelope) -> SignedEnvelope {
		let signature = keys::sign(&self.key, &envelope.hash(&GENESIS));
		SignedEnvelope { envelope, signature }
	}

	pub fn voucher(&self, totals: Totals, receipts: &[Hash]) -> Acknowledgement {
		let voucher = Voucher { channel: self.channel, totals };
		let signature = keys::sign(&self.key, &signing_payload(domain::VOUCHER, &GENESIS, &voucher));
		let receipts = receipts.iter().map(|hash| Scale(*hash)).collect();
		Acknowledgement { voucher: Scale(SignedVoucher { voucher, signature }), receipts }
	}

	async fn send(&self, method: &str, path: &str, header: Option<String>, body: Vec<u8>) -> hyper::Response<Incoming> {
		let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
		if let Some(header) = header {
			request = request.header(ENVELOPE_HEADER, header);
		}
		self.client.request(request.body(Full::from(body)).unwrap()).await.unwrap()
	}

	/// Returns the request id of the response to a request with or without one.
	pub async fn response_id(&self, id: Option<&str>) -> String {
		let mut request = Request::get(format!("{}/health", self.url));
		if let Some(id) = id {
			request = request.header("x-request-id", id);
		}
		let response = self.client.request(request.body(Full::default()).unwrap()).await.unwrap();
		response.headers()["x-request-id"].to_str().unwrap().to_owned()
	}

	pub async fn get(&self, path: &str) -> (u16, serde_json::Value) {
		let response = self.send("GET", path, None, Vec::new()).await;
		let (status, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
		(status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
	}

	pub async fn post(
		&self,
		path: &str,
		body: &impl serde::Serialize,
	) -> std::result::Result<serde_json::Value, Rejected> {
		let response = self.send("POST", path, None, serde_json::to_vec(body).unwrap()).await;
		let response = check(response).await?;
		Ok(serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
	}

	pub async fn post_raw(&self, path: &str, body: &impl serde::Serialize) -> std::result::Result<Bytes, Rejected> {
		let response = self.send("POST", path, None, serde_json::to_vec(body).unwrap()).await;
		Ok(check(response).await?.into_body().collect().await.unwrap().to_bytes())
	}

	/// Sends a request with an envelope that a test may have changed.
	pub async fn request_signed(
		&self,
		signed: &SignedEnvelope,
		body: &str,
	) -> std::result::Result<Completion, Rejected> {
		let response = self.send("POST", "/v1/inference", Some(to_hex(signed)), body.into()).await;
		Ok(Completion { body: check(response).await?.into_body(), buffer: Vec::new() })
	}

	pub async fn request(&self, sequence: u64, body: &str) -> std::result::Result<Completion, Rejected> {
		self.request_signed(&self.sign(self.envelope(sequence, body)), body).await
	}

	pub async fn raw(&self, header: Option<String>, body: &str) -> Rejected {
		let response = self.send("POST", "/v1/inference", header, body.into()).await;
		check(response).await.expect_err("the request is rejected")
	}

	pub fn query(&self) -> ChannelQuery {
		let payload = signing_payload(domain::CHANNEL_QUERY, &GENESIS, &self.channel);
		ChannelQuery { channel: self.channel, signature: Scale(keys::sign(&self.key, &payload)) }
	}

	pub async fn state(&self) -> std::result::Result<ChannelState, Rejected> {
		let state = self.post("/v1/channel", &self.query()).await?;
		Ok(serde_json::from_value(state).unwrap())
	}

	/// Sends `count` requests from sequence number `first` on, and pays all of them with one voucher on top of `totals`.
	pub async fn serve_and_pay(&self, first: u64, count: u64, totals: &mut Totals) -> Vec<SignedReceipt> {
		let mut receipts = Vec::new();
		for sequence in first..first + count {
			receipts.push(self.request(sequence, BODY).await.unwrap().finish().await.1);
		}
		for receipt in &receipts {
			*totals = totals.checked_add(&receipt.receipt.leaf().sum).unwrap();
		}
		let hashes: Vec<_> = receipts.iter().map(|receipt| receipt.receipt.envelope).collect();
		self.post("/v1/vouchers", &self.voucher(*totals, &hashes)).await.unwrap();
		receipts
	}
}

/// Its prompt is "Once upon a time" to the mock engine.
pub const BODY: &str = r#"{"prompt":[79,110,99,101,32,117,112,111,110,32,97,32,116,105,109,101],"temperature":0}"#;

async fn check(response: hyper::Response<Incoming>) -> std::result::Result<hyper::Response<Incoming>, Rejected> {
	if response.status() == 200 {
		return Ok(response);
	}
	let status = response.status().as_u16();
	let body = response.into_body().collect().await.unwrap().to_bytes();
	let ErrorBody { error } = serde_json::from_slice(&body).unwrap();
	assert_eq!(error.code.status(), status);
	Err((status, error.code, error.message))
}
