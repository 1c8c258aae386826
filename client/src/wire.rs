//! The worker's HTTP/2 interface, as gateways use it. `docs/worker-api.md` tells it in prose.
//!
//! Signed things travel as hex of their SCALE encoding; everything else is JSON. An answer is a stream of
//! server-sent events, each one [`Event`].

use codec::{Decode, Encode};
use gonka_primitives::hashing::{domain, signing_payload};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Request header: hex of a `SignedEnvelope`.
pub const ENVELOPE_HEADER: &str = "x-gonka-envelope";
/// `POST`: body [`InferenceRequest`], answer a stream of [`Event`]s.
pub const INFERENCE_PATH: &str = "/v1/inference";
/// `POST`: body [`Acknowledgement`], answer `{}` once it is on disk.
pub const VOUCHERS_PATH: &str = "/v1/vouchers";
/// `POST`: body [`ChannelQuery`], answer [`ChannelState`].
pub const CHANNEL_PATH: &str = "/v1/channel";
/// `POST`: body [`OpeningQuery`], answer [`Openings`].
pub const OPENINGS_PATH: &str = "/v1/openings";
/// Most positions in one [`OpeningQuery`].
pub const MAX_POSITIONS: usize = 64;
/// `POST`: body [`EvidenceQuery`], answer a SCALE-encoded [`SealedEvidence`](crate::evidence::SealedEvidence).
pub const EVIDENCE_PATH: &str = "/v1/evidence";
/// `GET`: answer [`Health`].
pub const HEALTH_PATH: &str = "/health";

/// A SCALE-encoded value as a hex string in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale<T>(pub T);

impl<T: Encode> Serialize for Scale<T> {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&to_hex(&self.0))
	}
}

impl<'de, T: Decode> Deserialize<'de> for Scale<T> {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		let text = String::deserialize(deserializer)?;
		from_hex(&text).map(Self).map_err(serde::de::Error::custom)
	}
}

/// Hex of the SCALE encoding of `value`.
pub fn to_hex(value: &impl Encode) -> String {
	hex::encode(value.encode())
}

/// The value whose SCALE encoding `text` is the hex of; nothing may be left over.
pub fn from_hex<T: Decode>(text: &str) -> Result<T, String> {
	let bytes = hex::decode(text.trim_start_matches("0x")).map_err(|error| format!("not hex: {error}"))?;
	let mut rest = bytes.as_slice();
	let value = T::decode(&mut rest).map_err(|error| format!("not SCALE: {error}"))?;
	if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes too many", rest.len())) }
}

/// What the model is asked. The envelope carries the hash of exactly these bytes as sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceRequest {
	/// What the model reads.
	pub input: Input,
	/// Token ids of the answer that another host already delivered: this host goes on after them and signs only for
	/// what it adds; they count as prompt tokens. Their text was delivered as far as an undisturbed host would have
	/// sent it by then: text held back at their end (half a character, a possible stop string) comes with the tokens
	/// that follow.
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub delivered: Vec<u32>,
	/// 0 is greedy.
	#[serde(default = "one")]
	pub temperature: f32,
	/// Nucleus; 1 keeps everything.
	#[serde(default = "one")]
	pub top_p: f32,
	/// Most likely tokens kept; 0 keeps everything.
	#[serde(default)]
	pub top_k: u32,
	/// Strings that end the answer and are not part of it; at most 4.
	#[serde(default, skip_serializing_if = "Vec::is_empty")]
	pub stop: Vec<String>,
	/// Go on past the model's end-of-text token.
	#[serde(default)]
	pub ignore_eos: bool,
}

fn one() -> f32 {
	1.0
}

/// What the model reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
	/// Messages, put through the model's chat template.
	Chat(Vec<Message>),
	/// Text, as it is.
	Text(String),
	/// Token ids, as they are.
	Tokens(Vec<u32>),
}

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
	/// `system`, `user`, `assistant` or `tool`.
	pub role: String,
	/// Its text.
	pub content: String,
}

/// One event of an answer. Zero or more `Token`s, then one `Receipt` or one `Error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
	/// A token was made. `text` may be empty while a character or a possible stop string is incomplete.
	Token {
		/// The token's id.
		id: u32,
		/// Text that became certain with it.
		text: String,
	},
	/// The answer is complete and written to the worker's disk.
	Receipt {
		/// The signed receipt.
		receipt: Scale<gonka_primitives::market::SignedReceipt>,
	},
	/// The answer broke off; nothing is due.
	Error(Error),
}

/// Why a worker refused, in the body of every answer that is not 200 (`{"error": …}`) and in [`Event::Error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
	/// For programs.
	pub code: ErrorCode,
	/// For people: what is wrong and what to do.
	pub message: String,
}

/// The body of an answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
	/// Why.
	pub error: Error,
}

/// For programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
	/// 400: header or body cannot be read.
	BadRequest,
	/// 401: a signature does not match the channel's gateway key, or the checker's worker key.
	BadSignature,
	/// 402: the channel's deposit does not cover what is owed plus this request.
	InsufficientFunds,
	/// 402: too much is unacknowledged; send a voucher first.
	Unacknowledged,
	/// 403: who asks for openings or evidence is no registered host.
	NotAHost,
	/// 403: the chain does not name who asks for that sample, or it is answered for.
	NotAssigned,
	/// 404: the host settled no such receipt, or so long ago that its evidence is gone.
	NoSuchReceipt,
	/// 404: the host committed to no such leaf, or so long ago that its openings are gone.
	NoSuchLeaf,
	/// 404: this worker does not serve that model.
	UnknownModel,
	/// 404: no open channel of that id to this host.
	UnknownChannel,
	/// 409: that sequence number was used.
	Replayed,
	/// 409: a voucher's totals do not equal the last ones plus what it acknowledges.
	WrongTotals,
	/// 410: the envelope's expiry block has passed, or lies too far ahead.
	Expired,
	/// 409: the price is not the one on chain.
	WrongPrice,
	/// 413: prompt and `max_tokens` exceed the model's context window.
	ContextTooLong,
	/// 429: the queue is full; try later or elsewhere. Openings and evidence: this checker has asked for too many.
	Busy,
	/// 500: a fault of the worker.
	Internal,
	/// 503: governance asks for a newer worker; go elsewhere.
	Outdated,
}

impl ErrorCode {
	/// The HTTP status it travels with.
	pub fn status(self) -> u16 {
		match self {
			Self::BadRequest => 400,
			Self::BadSignature => 401,
			Self::InsufficientFunds | Self::Unacknowledged => 402,
			Self::NotAHost | Self::NotAssigned => 403,
			Self::UnknownModel | Self::UnknownChannel | Self::NoSuchLeaf | Self::NoSuchReceipt => 404,
			Self::Replayed | Self::WrongTotals | Self::WrongPrice => 409,
			Self::Expired => 410,
			Self::ContextTooLong => 413,
			Self::Busy => 429,
			Self::Internal => 500,
			Self::Outdated => 503,
		}
	}
}

/// A voucher with the receipts it newly acknowledges. Acknowledging a receipt again changes nothing, so a gateway
/// that heard no answer sends the same again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
	/// Totals = the last voucher's plus those of `receipts`.
	pub voucher: Scale<gonka_primitives::market::SignedVoucher>,
	/// Envelope hashes of the receipts it adds.
	pub receipts: Vec<Scale<gonka_primitives::Hash>>,
}

/// A gateway asks what the worker knows of its channel: after a crash, and before its first request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelQuery {
	/// The channel.
	pub channel: gonka_primitives::ChannelId,
	/// The gateway key's signature over `signing_payload(CHANNEL_QUERY, genesis, channel)`.
	pub signature: Scale<gonka_primitives::Signature>,
}

/// What a worker knows of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelState {
	/// The highest sequence number seen.
	pub sequence: u64,
	/// The last voucher, if there is one.
	pub voucher: Option<Scale<gonka_primitives::market::SignedVoucher>>,
	/// Receipts no voucher acknowledges yet, with the envelopes they answer.
	pub unacknowledged: Vec<UnacknowledgedReceipt>,
}

/// A receipt no voucher acknowledges yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnacknowledgedReceipt {
	/// What the gateway asked.
	pub envelope: Scale<gonka_primitives::market::SignedEnvelope>,
	/// What the worker answered.
	pub receipt: Scale<gonka_primitives::market::SignedReceipt>,
}

/// An account: SS58 in JSON; hex of its 32 bytes is read, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub gonka_primitives::AccountId);

impl Serialize for Account {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&crate::keys::ss58(&self.0))
	}
}

impl<'de> Deserialize<'de> for Account {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		let text = String::deserialize(deserializer)?;
		if let Ok(account) = from_hex(&text) {
			return Ok(Self(account));
		}
		crate::keys::from_ss58(&text).map(Self).map_err(serde::de::Error::custom)
	}
}

/// A checker asks a host's worker what the host committed to. Workers answer registered hosts for the running epoch
/// and the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningQuery {
	/// The host that asks.
	pub checker: Account,
	/// The epoch.
	pub epoch: gonka_primitives::EpochIndex,
	/// The segment, confirmation segments included.
	pub segment: u8,
	/// Positions in the segment's commitment, ascending, 1 to [`MAX_POSITIONS`].
	pub positions: Vec<u64>,
	/// The checker's worker key's signature over [`OpeningQuery::payload`].
	pub signature: Scale<gonka_primitives::Signature>,
}

impl OpeningQuery {
	/// What is signed: `signing_payload(OPENING_QUERY, genesis, (checker, host, epoch, segment, positions))`, where
	/// `host` is the one that is asked.
	pub fn payload(
		&self,
		genesis: &gonka_primitives::Hash,
		host: &gonka_primitives::AccountId,
	) -> gonka_primitives::Hash {
		let asked = (&self.checker.0, host, self.epoch, self.segment, &self.positions);
		signing_payload(domain::OPENING_QUERY, genesis, &asked)
	}
}

/// What a host committed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Openings {
	/// In the order of the positions.
	pub openings: Vec<Scale<gonka_sprint::LeafOpening>>,
}

/// A checker or an arbiter asks a host's worker for what it needs to check a sample. It is answered to whom the chain
/// names for it, as long as it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceQuery {
	/// The question.
	pub query: Scale<gonka_primitives::sampling::SampleQuery>,
	/// The X25519 key that the answer is sealed for, made for this question.
	pub key: Scale<[u8; 32]>,
	/// The checker's worker key's signature over [`query_payload`](crate::evidence::query_payload).
	pub signature: Scale<gonka_primitives::Signature>,
}

/// Whether a worker can serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
	/// The worker's version.
	pub version: String,
	/// The host's account, SS58.
	pub host: String,
	/// Names of the models it serves.
	pub models: Vec<String>,
	/// The best block it has seen.
	pub block: u32,
	/// Requests running and queued.
	pub load: u32,
	/// Requests it takes before it answers `busy`.
	pub capacity: u32,
	/// Why it takes no requests, if governance asks for a newer worker.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub outdated: Option<String>,
}
