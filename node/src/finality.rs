//! The node's statements to the chain about finality.

use gonka_runtime::{BlockNumber, FINALITY_INHERENT};
use polkadot_sdk::sp_inherents::{Error, InherentData, InherentDataProvider, InherentIdentifier};

/// The number of the last final block that the node knows. An author states it in its block, because votes of GRANDPA are
/// not on chain: the chain notices by these statements that finality stalls.
pub struct KnownFinality(pub BlockNumber);

#[async_trait::async_trait]
impl InherentDataProvider for KnownFinality {
	async fn provide_inherent_data(&self, data: &mut InherentData) -> Result<(), Error> {
		data.put_data(FINALITY_INHERENT, &self.0)
	}

	async fn try_handle_error(&self, _: &InherentIdentifier, _: &[u8]) -> Option<Result<(), Error>> {
		None
	}
}
