//! Errors of queries and transactions.

use gonka_primitives::validity::describe;
use subxt::rpcs;

/// Why a query or a transaction failed. The texts say what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
	/// The node cannot be reached.
	#[error("no connection to the node at {url} ({cause}): check that it runs and that this is its RPC address")]
	Connection {
		/// The node's RPC address.
		url: String,
		/// The cause.
		cause: String,
	},
	/// The node rejected the query.
	#[error("the node rejected {method} ({cause}): it may be of another version, or have pruned that block's state")]
	Rpc {
		/// The RPC method.
		method: String,
		/// The node's message.
		cause: String,
	},
	/// The node serves the method to programs on its own machine only.
	#[error(
		"the node at {url} does not serve {method} to this program, because the method is unsafe: run the command on the \
		 node's own machine, with the address of its RPC port as --node; a node that was started with \
		 `--rpc-methods safe` serves it nowhere"
	)]
	Unsafe {
		/// The node's RPC address.
		url: String,
		/// The RPC method.
		method: String,
	},
	/// The response cannot be decoded.
	#[error(
		"the node's response to {what} cannot be decoded ({cause}): this program and the chain have different versions"
	)]
	Decode {
		/// The query.
		what: String,
		/// The cause.
		cause: String,
	},
	/// The transaction cannot be encoded for this chain.
	#[error("cannot encode {what} for this chain ({cause}): this program and the chain have different versions")]
	Encode {
		/// The call.
		what: String,
		/// The cause.
		cause: String,
	},
	/// The transaction pool rejected the transaction. It is in no block and cost nothing.
	#[error("the transaction pool rejected {what}: {explanation}")]
	Refused {
		/// The call.
		what: String,
		/// The pallet's validity error, if a pallet rejected it.
		code: Option<u8>,
		/// The reason, and what to do.
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
		/// The cause.
		cause: String,
	},
	/// The transaction was sent, but no block included it in time. One may still include it.
	#[error(
		"no block included {what} within {seconds} s: check that the chain makes blocks, and whether it took effect \
		 before you send it again"
	)]
	Timeout {
		/// The call.
		what: String,
		/// The time waited, in seconds.
		seconds: u64,
	},
}

/// JSON-RPC error codes of the transaction pool (`sc-rpc-api`, `author/error.rs`).
pub(super) mod code {
	/// The runtime rejects the transaction as invalid.
	pub const INVALID: i32 = 1010;
	/// The runtime cannot tell yet whether the transaction is valid.
	pub const UNKNOWN_VALIDITY: i32 = 1011;
	/// The transaction was in a block, or was rejected, within the last half hour.
	pub const BANNED: i32 = 1012;
	/// The transaction is in the pool already.
	pub const ALREADY_IMPORTED: i32 = 1013;
	/// The pool holds another transaction with the same tags and no lower priority.
	pub const TOO_LOW_PRIORITY: i32 = 1014;
	/// The pool is full.
	pub const IMMEDIATELY_DROPPED: i32 = 1016;
}

/// Whether the node rejected a method because it is unsafe (`sc-rpc-api`, `policy.rs`).
pub(super) fn is_unsafe(error: &rpcs::Error) -> bool {
	matches!(error, rpcs::Error::User(error) if error.message.contains("unsafe to be called externally"))
}

/// Turns the pool's response to a transaction into an error.
pub(super) fn refused(what: &str, error: &rpcs::UserError) -> Error {
	let data = error.data.as_ref().map(|data| data.get().trim_matches('"').to_owned()).unwrap_or_default();
	let custom = data.strip_prefix("Custom error: ").and_then(|number| number.trim().parse().ok());
	let explanation = match (error.code, custom) {
		(_, Some(number)) => explain(number),
		(code::BANNED, _) => "the same transaction was in a block, or was rejected, within the last half hour; \
			check whether it took effect"
			.into(),
		(code::TOO_LOW_PRIORITY, _) => {
			"another transaction that stands for the same is waiting or was just included; wait for its block".into()
		},
		(code::IMMEDIATELY_DROPPED, _) => "the pool is full; try again in a few blocks".into(),
		(code::UNKNOWN_VALIDITY, _) => {
			format!("the runtime cannot validate it yet ({data}); try again in a few blocks")
		},
		(code::INVALID, _) if data.contains("pay some fees") => {
			"the account cannot pay the fee: give it some GNK".into()
		},
		(code::INVALID, _) if data.contains("bad signature") => {
			"the signature does not match: the key is wrong, or this program and the chain have different versions"
				.into()
		},
		_ if data.is_empty() => format!("{} ({})", error.message, error.code),
		_ => format!("{}: {data} ({})", error.message, error.code),
	};
	Error::Refused { what: what.into(), code: custom, explanation }
}

/// The meaning of a pallet's validity error, and what to do about it.
fn explain(code: u8) -> String {
	match describe(code) {
		Some(entry) => format!("{}: {} (code {code})", entry.meaning, entry.advice),
		None => format!("this program does not know the validity error {code}: update it"),
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
	fn a_rejection_by_a_pallet_has_its_code() {
		match refused("Poc.commit", &user_error(code::INVALID, "Custom error: 6")) {
			Error::Refused { what, code, explanation } => {
				assert_eq!((what.as_str(), code), ("Poc.commit", Some(6)));
				assert!(explanation.contains("code 6"));
			},
			other => panic!("{other}"),
		}
	}

	#[test]
	fn any_other_rejection_has_the_nodes_message() {
		let text = refused("Poc.commit", &user_error(code::INVALID, "Transaction is outdated")).to_string();
		assert!(text.contains("Transaction is outdated") && text.contains("Poc.commit"), "{text}");
		assert!(refused("x", &user_error(code::BANNED, "")).to_string().contains("half hour"));
	}
}
