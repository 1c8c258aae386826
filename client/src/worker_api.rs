//! The worker's HTTP API: paths, headers and bodies. Reference: `docs/worker-api.md`.
//!
//! Signed values travel as the hex of their SCALE encoding; everything else is JSON. A completion is a stream of
//! server-sent events, each one [`Event`].

mod checks;
mod encoding;
mod error;
mod inference;
mod payment;

pub use checks::{EvidenceQuery, MAX_POSITIONS, OpeningQuery, Openings};
pub use encoding::{Account, HexError, Scale, Vector, from_hex, to_hex};
pub use error::{Error, ErrorBody, ErrorCode};
pub use inference::{
	Event, Grammar, InferenceRequest, MAX_GRAMMAR_BYTES, MAX_STOP_BYTES, MAX_STOP_TOKEN_IDS, MAX_STOPS,
};
pub use payment::{Acknowledgement, ChannelQuery, ChannelState, TokenizerQuery, UnacknowledgedReceipt};

use serde::{Deserialize, Serialize};

/// Request header: hex of a `SignedEnvelope`.
pub const ENVELOPE_HEADER: &str = "x-gonka-envelope";
/// `POST`: body [`InferenceRequest`], response a stream of [`Event`]s.
pub const INFERENCE_PATH: &str = "/v1/inference";
/// `POST`: body [`Acknowledgement`], response `{}` once the voucher is on disk.
pub const VOUCHERS_PATH: &str = "/v1/vouchers";
/// `POST`: body [`ChannelQuery`], response [`ChannelState`].
pub const CHANNEL_PATH: &str = "/v1/channel";
/// `POST`: body [`TokenizerQuery`], response the file's bytes.
pub const TOKENIZER_PATH: &str = "/v1/tokenizer";
/// `POST`: body [`OpeningQuery`], response [`Openings`].
pub const OPENINGS_PATH: &str = "/v1/openings";
/// `POST`: body [`EvidenceQuery`], response a SCALE-encoded [`SealedEvidence`](crate::evidence::SealedEvidence).
pub const EVIDENCE_PATH: &str = "/v1/evidence";
/// `GET`: response [`Health`].
pub const HEALTH_PATH: &str = "/health";

/// A model that a worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthModel {
	/// Its name in the registry.
	pub name: String,
	/// Maximum number of tokens of prompt and completion together, here: the registry may allow more.
	pub context_length: u32,
}

/// Whether a worker can serve requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
	/// The worker's version.
	pub version: String,
	/// The host's account, SS58.
	pub host: String,
	/// The models that the worker serves.
	pub models: Vec<HealthModel>,
	/// The best block that the worker has seen.
	pub block: u32,
	/// Number of requests that run or wait in the queue.
	pub load: u32,
	/// Maximum number of requests that run or wait; further ones get `busy`.
	pub capacity: u32,
	/// Why the worker takes no requests, if governance demands a newer version.
	#[serde(default, skip_serializing_if = "Option::is_none")]
	pub outdated: Option<String>,
}
