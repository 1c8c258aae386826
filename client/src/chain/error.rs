//! What can go wrong between a program and the chain.

use subxt::rpcs;

/// Why the chain did not answer, or did not take what it was sent. The texts say what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
	/// The node is not reached.
	#[error("no connection to the node at {url} ({cause}): see that it runs and that this is its RPC address")]
	Connection {
		/// The node's RPC address.
		url: String,
		/// What was seen.
		cause: String,
	},
	/// The node refused the question.
	#[error("the node refused {method} ({cause}): it may be of another version, or have pruned that block's state")]
	Rpc {
		/// The RPC method.
		method: String,
		/// The node's words.
		cause: String,
	},
	/// The answer cannot be read.
	#[error(
		"the node's answer to {what} cannot be read ({cause}): this program and the chain are of different versions"
	)]
	Decode {
		/// What was asked.
		what: String,
		/// What is wrong with the answer.
		cause: String,
	},
	/// The transaction cannot be made for this chain.
	#[error("cannot make {what} for this chain ({cause}): this program and the chain are of different versions")]
	Encode {
		/// The call.
		what: String,
		/// Why not.
		cause: String,
	},
	/// The transaction pool refused the transaction. It is in no block and cost nothing.
	#[error("the transaction pool refused {what}: {explanation}")]
	Refused {
		/// The call.
		what: String,
		/// The pallet's own code, where the pallet refused it: its `Refusal`.
		code: Option<u8>,
		/// Why, and what to do.
		explanation: String,
	},
	/// The chain is at its genesis.
	#[error("the chain has no epoch before its first block: wait for one")]
	NoEpoch,
	/// The transaction is in a block and failed there; a signed one paid its fee. The text names call and error.
	#[error("failed in its block: {0}")]
	Dispatch(String),
	/// The pool dropped the transaction; it is in no block.
	#[error("the node dropped {what} ({cause}): send it again")]
	Dropped {
		/// The call.
		what: String,
		/// Why.
		cause: String,
	},
	/// The transaction was sent and no block took it in time. It may still be included.
	#[error(
		"no block took {what} within {seconds} s: see that the chain makes blocks, then look whether it took effect before sending again"
	)]
	Timeout {
		/// The call.
		what: String,
		/// How long was waited.
		seconds: u64,
	},
}

/// JSON-RPC error codes of the transaction pool (`sc-rpc-api`, `author/error.rs`).
pub(super) mod code {
	/// The runtime says the transaction is invalid.
	pub const INVALID: i32 = 1010;
	/// The runtime cannot say yet whether it is valid.
	pub const UNKNOWN_VALIDITY: i32 = 1011;
	/// It was in a block, or was refused, not long ago.
	pub const BANNED: i32 = 1012;
	/// It is in the pool.
	pub const ALREADY_IMPORTED: i32 = 1013;
	/// Another one that stands for the same is in the pool with at least this priority.
	pub const TOO_LOW_PRIORITY: i32 = 1014;
	/// The pool is full.
	pub const IMMEDIATELY_DROPPED: i32 = 1016;
}

/// The pool's refusal in words.
pub(super) fn refused(what: &str, error: &rpcs::UserError) -> Error {
	let data = error.data.as_ref().map(|data| data.get().trim_matches('"').to_owned()).unwrap_or_default();
	let custom = data.strip_prefix("Custom error: ").and_then(|number| number.trim().parse().ok());
	let explanation = match (error.code, custom) {
		(_, Some(number)) => format!("{} (code {number})", reason(number)),
		(code::BANNED, _) => "the same transaction was in a block, or was refused, within the last half hour; \
			look whether it took effect"
			.into(),
		(code::TOO_LOW_PRIORITY, _) => {
			"another transaction that stands for the same is waiting or was just taken; wait for its block".into()
		},
		(code::IMMEDIATELY_DROPPED, _) => "the pool is full; try again in a few blocks".into(),
		(code::UNKNOWN_VALIDITY, _) => format!("the runtime cannot judge it yet ({data}); try again in a few blocks"),
		(code::INVALID, _) if data.contains("pay some fees") => {
			"the account cannot pay the fee: give it some GNK".into()
		},
		(code::INVALID, _) if data.contains("bad signature") => {
			"the signature does not fit: wrong key, or this program and the chain are of different versions".into()
		},
		_ if data.is_empty() => format!("{} ({})", error.message, error.code),
		_ => format!("{}: {data} ({})", error.message, error.code),
	};
	Error::Refused { what: what.into(), code: custom, explanation }
}

/// The codes of `pallet_poc::Refusal` (from 1), `pallet_sprint_check::Refusal` (from 50),
/// `pallet_inference_market::Refusal` (from 100) and `pallet_sampling_validation::Refusal` (from 120).
fn reason(code: u8) -> &'static str {
	match code {
		1 => "a length, the URL, the order of the models or a count is not allowed; put it right and sign again",
		2 => "it is not for this epoch, or not within its segment's commitment window; wait for the next one",
		3 => "its slot is used: registered in this epoch already, or committed for this segment",
		4 => "its proof of work has too few leading zero bits; solve it again with the present registration_bits",
		5 => "its signature does not match; sign it with the right key for this chain",
		6 => "the host is not registered; register it first",
		7 => "the worker key belongs to another host; use a key of its own",
		8 => "a model is not registered; see `gonka status` for those that are",
		9 => "there is no room for another host; try again in the next epoch",
		50 => "a length, an order or a number is not allowed; put it right and sign again",
		51 => "it is not for this epoch, or not for this part of it; wait for the next one",
		52 => "its slot is used: the tags, the request, its answer or the claim are there already",
		53 => "it is not signed by the sender's worker key for this chain",
		54 => "the sender is not registered; register it first",
		55 => "the sender has no such duty, or the two are not partners; see the committees of this epoch",
		56 => "there is no such commitment, digest or request",
		57 => "tags, digests, openings, nodes or bytes are not those that were committed to",
		58 => "its deadline has passed",
		59 => "the deadline has not passed yet, or the claim is still being refuted; wait for that",
		60 => "there is no such claim or game; it may be over",
		61 => "it is somebody else's turn or another turn, or this one was taken before",
		62 => "the sender did not race in that epoch: only hosts that did take part in disputes",
		63 => "one of the two is convicted already in that epoch",
		64 => "there is nothing to dispute: the leaf is right, the tags are the same, or both sides are one host",
		65 => "there is no room for another claim, or this accuser has too many open; try again when one is over",
		70 => "nothing has vested since the last payout; wait for the next epoch",
		66 => "the claim is refuted by as many hosts as can be; try again when one is done",
		100 => "it has no vouchers; settle when there are some",
		101 => "it has too many vouchers; settle some of them in the next window",
		102 => "the window has not ended; wait for its end",
		103 => "the host has settled this window or a newer one",
		104 => "its vouchers do not ascend by channel",
		105 => "the host is not registered; register it first",
		106 => "it is not signed by the host's worker key",
		107 => "a channel does not exist; leave its voucher out",
		108 => "a channel pays another host; leave its voucher out",
		109 => "a voucher is below what its channel has settled",
		110 => "a voucher says only what its channel has settled already; leave it out",
		111 => "a voucher promises more than its channel's deposit",
		112 => "the vouchers' growth is not the root's sum",
		113 => "the host's account does not exist and the fees would not create it; give it some GNK",
		114 => "a voucher is not signed by its channel's gateway key",
		115 => "it names the work of more than 16 models; leave some channels for the next window",
		116 => "its work is not ascending by model, or names a model without work",
		117 => "the work by model does not add up to that of its root",
		118 => "it names a model that is not registered",
		120 => "a length or an order of its findings is not allowed; put it right and sign again",
		121 => "the sender is not registered; register it first",
		122 => "it is not signed by the sender's worker key for this chain",
		123 => "no samples were drawn in that window, or the time to answer for them is over",
		124 => "the sender has no such sample; ask the chain for its samples again",
		125 => "the sender answered for it, or ruled, before",
		126 => "there is no such case; it may be closed",
		127 => "the sender is no arbiter of the case, or these are not drawn yet",
		128 => "the time to rule is over",
		129 => "the test is not decided: check more of the fresh receipts",
		_ => "the pallet's rules do not allow it now; this program does not know the reason: update it",
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn user_error(code: i32, data: &str) -> rpcs::UserError {
		let text = format!(r#"{{"code":{code},"message":"Invalid Transaction","data":"{data}"}}"#);
		serde_json::from_str(&text).unwrap()
	}

	#[test]
	fn custom_codes_are_found() {
		match refused("Poc.commit", &user_error(code::INVALID, "Custom error: 6")) {
			Error::Refused { what, code, explanation } => {
				assert_eq!((what.as_str(), code), ("Poc.commit", Some(6)));
				assert!(explanation.contains("code 6"));
			},
			other => panic!("{other}"),
		}
	}

	#[test]
	fn other_refusals_keep_the_nodes_words() {
		let text = refused("Poc.commit", &user_error(code::INVALID, "Transaction is outdated")).to_string();
		assert!(text.contains("Transaction is outdated") && text.contains("Poc.commit"), "{text}");
		assert!(refused("x", &user_error(code::BANNED, "")).to_string().contains("half hour"));
	}
}
