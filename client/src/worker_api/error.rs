//! Errors of the worker's API.

use serde::{Deserialize, Serialize};

/// Why a worker rejected a request: in the body of every response that is not 200 (`{"error": …}`) and in
/// [`Event::Error`](super::Event::Error).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
	/// The reason, for programs.
	pub code: ErrorCode,
	/// The reason and what to do, for people.
	pub message: String,
}

/// The body of a response that is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
	/// The error.
	pub error: Error,
}

/// The reason for an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
	/// 400: the header or the body cannot be read.
	BadRequest,
	/// 401: the signature is not by the channel's gateway key, or not by the checker's worker key.
	BadSignature,
	/// 402: the channel's deposit does not cover its debt plus this request.
	InsufficientFunds,
	/// 402: too many receipts are unacknowledged; send a voucher first.
	Unacknowledged,
	/// 403: the sender of the query is not a registered host.
	NotAHost,
	/// 403: the sender is not assigned to that audit, or has reported it already.
	NotAssigned,
	/// 404: the host settled no such receipt, or its evidence has expired.
	NoSuchReceipt,
	/// 404: the host committed to no such leaf, or its openings have expired.
	NoSuchLeaf,
	/// 404: this worker does not serve the model.
	UnknownModel,
	/// 404: this worker has no tokenizer file with that hash.
	UnknownTokenizer,
	/// 404: no open channel of that id pays this host.
	UnknownChannel,
	/// 409: the sequence number is used.
	Replayed,
	/// 409: the voucher's totals differ from the last voucher's plus the receipts that it acknowledges.
	WrongTotals,
	/// 410: the envelope's expiry block has passed, or lies too far ahead.
	Expired,
	/// 409: the price is not the one on chain.
	WrongPrice,
	/// 413: the prompt and `max_tokens` exceed the model's context window.
	ContextTooLong,
	/// 422: the worker's engine cannot do what the request needs; another host's may.
	Unsupported,
	/// 429: the queue is full, or this checker has sent too many queries; try later or another host.
	Busy,
	/// 500: the worker failed.
	Internal,
	/// 503: governance demands a newer worker; try another host.
	Outdated,
}

impl ErrorCode {
	/// The HTTP status of a response with this code.
	pub fn status(self) -> u16 {
		match self {
			Self::BadRequest => 400,
			Self::BadSignature => 401,
			Self::InsufficientFunds | Self::Unacknowledged => 402,
			Self::NotAHost | Self::NotAssigned => 403,
			Self::UnknownModel
			| Self::UnknownTokenizer
			| Self::UnknownChannel
			| Self::NoSuchLeaf
			| Self::NoSuchReceipt => 404,
			Self::Replayed | Self::WrongTotals | Self::WrongPrice => 409,
			Self::Expired => 410,
			Self::ContextTooLong => 413,
			Self::Unsupported => 422,
			Self::Busy => 429,
			Self::Internal => 500,
			Self::Outdated => 503,
		}
	}
}
