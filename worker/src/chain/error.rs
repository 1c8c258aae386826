//! Errors of the chain.

use gonka_client::chain::Error as NodeError;

/// Why the chain gave no usable response, or did not take a message.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChainError {
	/// The node failed, or its transaction pool rejected the message.
	#[error(transparent)]
	Node(#[from] NodeError),
	/// The worker is stopping.
	#[error("the worker no longer follows the chain")]
	Stopped,
}

impl ChainError {
	/// Returns whether the same request may succeed with a later block.
	pub fn is_temporary(&self) -> bool {
		!matches!(self, Self::Stopped | Self::Node(NodeError::Decode { .. } | NodeError::Encode { .. }))
	}

	/// Returns the code of the validity error with which a pallet rejected a message.
	pub fn validity_code(&self) -> Option<u8> {
		match self {
			Self::Node(NodeError::Refused { code, .. }) => *code,
			_ => None,
		}
	}
}
