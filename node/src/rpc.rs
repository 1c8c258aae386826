//! RPC methods beside those of `sc-service` (`system_`, `chain_`, `state_`, `author_`, `chainHead_v1_`,
//! `chainSpec_v1_`, `transaction_v1_`).

use crate::service::{FullBackend, FullClient, SelectChain, TransactionPool};
use gonka_runtime::{AccountId, BlockNumber, Hash, Nonce, opaque::Block};
use jsonrpsee::{RpcModule, types::ErrorObjectOwned};
use polkadot_sdk::*;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use std::{error::Error, sync::Arc};

/// Parts of the node that the methods read.
pub struct Deps {
	pub client: Arc<FullClient>,
	pub pool: Arc<TransactionPool>,
	pub select_chain: SelectChain,
	pub chain_spec: Box<dyn sc_chain_spec::ChainSpec>,
	pub keystore: KeystorePtr,
	pub babe_worker: BabeWorkerHandle<Block>,
	pub grandpa: GrandpaDeps,
}

#[derive(Clone)]
pub struct GrandpaDeps {
	pub voter_state: SharedVoterState,
	pub authority_set: SharedAuthoritySet<Hash, BlockNumber>,
	pub justifications: GrandpaJustificationStream<Block>,
	pub proofs: Arc<FinalityProofProvider<FullBackend, Block>>,
}

impl Deps {
	/// All methods. `executor` runs their subscriptions.
	pub fn module(&self, executor: SubscriptionTaskExecutor) -> Result<RpcModule<()>, Box<dyn Error + Send + Sync>> {
		use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
		use sc_consensus_babe_rpc::{Babe, BabeApiServer};
		use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
		use sc_sync_state_rpc::{SyncState, SyncStateApiServer};
		use substrate_frame_rpc_system::{System, SystemApiServer};

		let client = || Arc::clone(&self.client);
		let grandpa = self.grandpa.clone();
		let mut module = RpcModule::new(());

		// `system_accountNextIndex`, `system_dryRun`
		let system = System::new(client(), Arc::clone(&self.pool));
		module.merge(SystemApiServer::<Hash, AccountId, Nonce>::into_rpc(system))?;

		// `payment_queryInfo`, `payment_queryFeeDetails`
		let payment = TransactionPayment::new(client());
		module.merge(TransactionPaymentApiServer::<Hash, _>::into_rpc(payment))?;

		// `babe_epochAuthorship`
		module.merge(
			Babe::new(client(), self.babe_worker.clone(), Arc::clone(&self.keystore), self.select_chain.clone())
				.into_rpc(),
		)?;

		// `grandpa_roundState`, `grandpa_proveFinality`, `grandpa_subscribeJustifications`
		module.merge(
			Grandpa::new(
				executor,
				grandpa.authority_set.clone(),
				grandpa.voter_state,
				grandpa.justifications,
				grandpa.proofs,
			)
			.into_rpc(),
		)?;

		// `sync_state_genSyncSpec`. A response is a whole specification, 10 MB and more, so that it is unsafe here.
		let mut sync_state = RpcModule::new(SyncState::new(
			self.chain_spec.cloned_box(),
			client(),
			grandpa.authority_set,
			self.babe_worker.clone(),
		)?);
		sync_state.register_async_method("sync_state_genSyncSpec", |params, state, extensions| async move {
			sc_rpc_api::check_if_safe(&extensions)?;
			Ok::<_, ErrorObjectOwned>(state.system_gen_sync_spec(params.one()?).await?)
		})?;
		module.merge(sync_state)?;

		Ok(module)
	}
}
