//! Checkpoints: a final block that a specification names, so that new nodes need not trust the first validators for ever.
//!
//! Former validators have nothing to lose, and the keys that they no longer guard can sign another history (a long-range
//! attack). Genesis alone does not tell it from the true one, neither in warp sync nor in full sync. The field `lightSyncState`
//! of a specification, which the RPC method `sync_state_genSyncSpec` writes, has the header of a final block and the voters
//! of GRANDPA after it. The block has to be on the chain, and warp sync begins with its voters.

use crate::{chain_spec, service::FullBackend};
use codec::DecodeAll;
use gonka_runtime::{BlockNumber, Hash, Header, opaque::Block};
use polkadot_sdk::*;
use sc_chain_spec::{ChainSpec, get_extension};
use sc_consensus_grandpa::{AuthoritySet, SharedAuthoritySet, warp_proof::NetworkProvider};
use sc_network_sync::strategy::warp::{EncodedProof, VerificationResult, Verifier, WarpSyncProvider};
use sc_sync_state_rpc::LightSyncStateExtension;
use serde::Deserialize;
use sp_core::Bytes;
use sp_runtime::traits::Header as _;
use std::{error::Error, sync::Arc};

/// GRANDPA's voters, as nodes share them between their tasks.
type Voters = SharedAuthoritySet<Hash, BlockNumber>;

/// A final block and the voters after it.
struct Checkpoint {
	number: BlockNumber,
	hash: Hash,
	voters: AuthoritySet<Hash, BlockNumber>,
}

/// The checkpoint of a specification, its `lightSyncState`, is malformed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
	/// A field is missing, or is not bytes in hex.
	#[error(
		"the specification's `lightSyncState` is malformed: {0}; take it from a trusted node again (docs/operators.md)"
	)]
	Fields(#[from] serde_json::Error),
	/// The header or the voters are not encoded as this chain's are.
	#[error(
		"the specification's `lightSyncState` is not of this chain: {0}; take it from a trusted node again (docs/operators.md)"
	)]
	Encoding(#[from] codec::Error),
}

/// The fields of `lightSyncState` that nodes need.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
	finalized_block_header: Bytes,
	grandpa_authority_set: Bytes,
}

impl Checkpoint {
	/// The checkpoint of a specification, if it has one. Fails if it is malformed.
	fn of(spec: &dyn ChainSpec) -> Result<Option<Self>, CheckpointError> {
		let state = get_extension::<LightSyncStateExtension>(spec.extensions()).and_then(Option::as_ref);
		state.map(Self::read).transpose()
	}

	fn read(state: &serde_json::Value) -> Result<Self, CheckpointError> {
		let State { finalized_block_header, grandpa_authority_set } = State::deserialize(state)?;
		let header = Header::decode_all(&mut &finalized_block_header[..])?;
		let voters = DecodeAll::decode_all(&mut &grandpa_authority_set[..])?;
		Ok(Self { number: *header.number(), hash: header.hash(), voters })
	}
}

/// Rejects all blocks with the number of the specification's checkpoint but the checkpoint itself. Fails if it is malformed.
pub fn require(spec: &mut chain_spec::ChainSpec) -> Result<(), CheckpointError> {
	if let Some(Checkpoint { number, hash, .. }) = Checkpoint::of(&*spec)? {
		let required = spec.extensions_mut().fork_blocks.get_or_insert_default();
		if !required.contains(&(number, hash)) {
			required.push((number, hash));
		}
	}
	Ok(())
}

/// Makes the proofs of warp sync for other nodes, and verifies theirs: from the specification's checkpoint on, or from genesis if
/// it has none. `voters` are those that this node knows. Fails if the checkpoint is malformed.
pub fn warp_sync(
	spec: &dyn ChainSpec,
	backend: &Arc<FullBackend>,
	voters: Voters,
) -> Result<Arc<dyn WarpSyncProvider<Block>>, CheckpointError> {
	let provider = |voters: Voters| NetworkProvider::<Block, FullBackend>::new(Arc::clone(backend), voters, Vec::new());
	let own = provider(voters);
	let Some(Checkpoint { number, hash, voters }) = Checkpoint::of(spec)? else { return Ok(Arc::new(own)) };
	tracing::info!(target: "sync", "The specification has a checkpoint: block {number}, {hash:?}");
	Ok(Arc::new(FromCheckpoint { own, published: provider(voters.into()), hash }))
}

/// Warp sync from a checkpoint on.
struct FromCheckpoint {
	/// Makes proofs with the voters that this node knows.
	own: NetworkProvider<Block, FullBackend>,
	/// Verifies proofs with the checkpoint's voters.
	published: NetworkProvider<Block, FullBackend>,
	hash: Hash,
}

impl WarpSyncProvider<Block> for FromCheckpoint {
	fn generate(&self, start: Hash) -> Result<EncodedProof, Box<dyn Error + Send + Sync>> {
		self.own.generate(start)
	}

	fn create_verifier(&self) -> Box<dyn Verifier<Block>> {
		Box::new(Later { verifier: self.published.create_verifier(), checkpoint: Some(self.hash) })
	}
}

/// Verifies what came after a checkpoint. `verifier` knows its voters, and takes genesis for its block.
struct Later {
	verifier: Box<dyn Verifier<Block>>,
	/// The checkpoint, until a proof leads further.
	checkpoint: Option<Hash>,
}

impl Verifier<Block> for Later {
	fn verify(&mut self, proof: &EncodedProof) -> Result<VerificationResult<Block>, Box<dyn Error + Send + Sync>> {
		let verified = self.verifier.verify(proof)?;
		self.checkpoint = None;
		Ok(verified)
	}

	fn next_proof_context(&self) -> Hash {
		self.checkpoint.unwrap_or_else(|| self.verifier.next_proof_context())
	}

	fn status(&self) -> Option<String> {
		self.verifier.status()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use codec::Encode;
	use serde_json::json;
	use sp_keyring::Ed25519Keyring;

	#[test]
	fn the_checkpoint_has_to_be_on_the_chain() {
		let header =
			Header::new(7, Hash::repeat_byte(1), Hash::repeat_byte(2), Hash::repeat_byte(3), Default::default());
		// Voters, set id, changes that wait (a tree and its last final block, forced ones), past changes.
		let none = Vec::<u8>::new();
		let voters = (
			(vec![(Ed25519Keyring::Alice.public(), 1u64)], 5u64),
			(none.clone(), None::<BlockNumber>),
			(none.clone(), none),
		);
		let state = json!({
			"finalizedBlockHeader": Bytes(header.encode()),
			"grandpaAuthoritySet": Bytes(voters.encode()),
			"babeEpochChanges": "0x00",
			"babeFinalizedBlockWeight": 3,
		});
		let mut spec = chain_spec::load("local").unwrap();
		require(&mut spec).unwrap();
		assert_eq!(spec.extensions().fork_blocks, None);

		spec.extensions_mut().light_sync_state = Some(state.clone());
		// A specification that was read and written has it already.
		for _ in 0..2 {
			require(&mut spec).unwrap();
			assert_eq!(spec.extensions().fork_blocks, Some(vec![(7, header.hash())]));
		}

		for (field, wrong) in [("finalizedBlockHeader", json!("0x00")), ("grandpaAuthoritySet", json!(null))] {
			let mut state = state.clone();
			state[field] = wrong;
			spec.extensions_mut().light_sync_state = Some(state);
			assert!(require(&mut spec).unwrap_err().to_string().contains("lightSyncState"), "{field}");
		}
	}
}
