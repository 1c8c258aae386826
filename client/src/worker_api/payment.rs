//! `/v1/vouchers` and `/v1/channel`: payment for receipts and the state of a channel.

use super::Scale;
use gonka_primitives::{
	ChannelId, Hash, Signature,
	market::{SignedEnvelope, SignedReceipt, SignedVoucher},
};
use serde::{Deserialize, Serialize};

/// A voucher with the receipts that it newly acknowledges. Acknowledging a receipt twice changes nothing, so a gateway
/// that got no response sends the same acknowledgement again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
	/// The voucher: its totals are the last voucher's plus those of `receipts`.
	pub voucher: Scale<SignedVoucher>,
	/// Envelope hashes of the acknowledged receipts.
	pub receipts: Vec<Scale<Hash>>,
}

/// A gateway's query for the worker's record of a channel, sent before the first request and after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelQuery {
	/// The channel.
	pub channel: ChannelId,
	/// The gateway key's signature over `signing_payload(CHANNEL_QUERY, genesis, channel)`.
	pub signature: Scale<Signature>,
}

/// A gateway's query for a tokenizer file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerQuery {
	/// A channel of the gateway, signed as for [`ChannelState`].
	pub channel: ChannelQuery,
	/// The file's SHA-256, as it is registered with the model.
	pub tokenizer: Scale<Hash>,
}

/// A worker's record of a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelState {
	/// The highest sequence number seen.
	pub sequence: u64,
	/// The last voucher, if there is one.
	pub voucher: Option<Scale<SignedVoucher>>,
	/// Receipts that no voucher acknowledges yet, with their envelopes.
	pub unacknowledged: Vec<UnacknowledgedReceipt>,
}

/// A receipt that no voucher acknowledges yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnacknowledgedReceipt {
	/// The gateway's envelope.
	pub envelope: Scale<SignedEnvelope>,
	/// The worker's receipt for it.
	pub receipt: Scale<SignedReceipt>,
}
