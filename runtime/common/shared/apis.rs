//! The runtime APIs that all runtimes have.

/// Implements them for `Runtime`, together with the APIs among its arguments. The module has to import `crate::*`.
macro_rules! implement_apis {
	($($own:tt)*) => {
		use alloc::vec::Vec;
		use codec::Encode;
		use frame_support::{
			genesis_builder_helper::{build_state, get_preset},
			traits::{Contains, Get},
			weights::Weight,
		};
		use gonka_primitives::{
			ChannelId, EpochIndex, ModelId,
			audit::{AuditRules, CalibrationProfile},
			host::Commitment,
			views::{
				AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, CollateralView, EpochView, HostView,
				MarketView, ModelView, ParameterView, ReferendumView, RegistrationTerms, ReputationView, RequestView,
				StandingView, SupplyView, TrackView, VestingView, VoterView,
			},
		};
		use gonka_runtime_common::api::MAX_PAGE;
		use sp_core::OpaqueMetadata;
		use sp_runtime::{
			ApplyExtrinsicResult,
			traits::Block as BlockT,
			transaction_validity::{TransactionSource, TransactionValidity},
		};

		sp_api::impl_runtime_apis! {
			impl sp_api::Core<Block> for Runtime {
				fn version() -> RuntimeVersion {
					VERSION
				}
				fn execute_block(block: <Block as BlockT>::LazyBlock) {
					Executive::execute_block(block)
				}
				fn initialize_block(header: &Header) -> sp_runtime::ExtrinsicInclusionMode {
					Executive::initialize_block(header)
				}
			}

			impl sp_api::Metadata<Block> for Runtime {
				fn metadata() -> OpaqueMetadata {
					OpaqueMetadata::new(Runtime::metadata().into())
				}
				fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
					Runtime::metadata_at_version(version)
				}
				fn metadata_versions() -> Vec<u32> {
					Runtime::metadata_versions()
				}
			}

			impl sp_block_builder::BlockBuilder<Block> for Runtime {
				fn apply_extrinsic(extrinsic: UncheckedExtrinsic) -> ApplyExtrinsicResult {
					Executive::apply_extrinsic(extrinsic)
				}
				fn finalize_block() -> Header {
					Executive::finalize_block()
				}
				fn inherent_extrinsics(data: sp_inherents::InherentData) -> Vec<UncheckedExtrinsic> {
					data.create_extrinsics()
				}
				fn check_inherents(
					block: <Block as BlockT>::LazyBlock,
					data: sp_inherents::InherentData,
				) -> sp_inherents::CheckInherentsResult {
					data.check_extrinsics(&block)
				}
			}

			impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
				fn validate_transaction(
					source: TransactionSource,
					tx: UncheckedExtrinsic,
					block_hash: Hash,
				) -> TransactionValidity {
					// A paused call would fail in its block. A free one would come back for ever, and pay nothing.
					if !<Runtime as frame_system::Config>::BaseCallFilter::contains(&tx.function) {
						return sp_runtime::transaction_validity::InvalidTransaction::Call.into();
					}
					Executive::validate_transaction(source, tx, block_hash)
				}
			}

			impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
				fn offchain_worker(header: &Header) {
					Executive::offchain_worker(header)
				}
			}

			impl sp_session::SessionKeys<Block> for Runtime {
				fn generate_session_keys(owner: Vec<u8>, seed: Option<Vec<u8>>) -> sp_session::OpaqueGeneratedSessionKeys {
					SessionKeys::generate(&owner, seed).into()
				}
				fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, sp_core::crypto::KeyTypeId)>> {
					SessionKeys::decode_into_raw_public_keys(&encoded)
				}
			}

			impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
				fn account_nonce(account: AccountId) -> Nonce {
					System::account_nonce(account)
				}
			}

			impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance> for Runtime {
				fn query_info(
					extrinsic: UncheckedExtrinsic,
					len: u32,
				) -> pallet_transaction_payment_rpc_runtime_api::RuntimeDispatchInfo<Balance> {
					TransactionPayment::query_info(extrinsic, len)
				}
				fn query_fee_details(
					extrinsic: UncheckedExtrinsic,
					len: u32,
				) -> pallet_transaction_payment::FeeDetails<Balance> {
					TransactionPayment::query_fee_details(extrinsic, len)
				}
				fn query_weight_to_fee(weight: Weight) -> Balance {
					TransactionPayment::weight_to_fee(weight)
				}
				fn query_length_to_fee(length: u32) -> Balance {
					TransactionPayment::length_to_fee(length)
				}
			}

			impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
				fn build_state(config: Vec<u8>) -> sp_genesis_builder::Result {
					build_state::<RuntimeGenesisConfig>(config)
				}
				fn get_preset(id: &Option<sp_genesis_builder::PresetId>) -> Option<Vec<u8>> {
					get_preset::<RuntimeGenesisConfig>(id, genesis::preset)
				}
				fn preset_names() -> Vec<sp_genesis_builder::PresetId> {
					genesis::preset_names()
				}
			}

			#[cfg(feature = "runtime-benchmarks")]
			impl frame_benchmarking::Benchmark<Block> for Runtime {
				fn benchmark_metadata(
					extra: bool,
				) -> (Vec<frame_benchmarking::BenchmarkList>, Vec<frame_support::traits::StorageInfo>) {
					use frame_benchmarking::BenchmarkList;
					use frame_support::traits::StorageInfoTrait;
					use frame_system_benchmarking::{Pallet as SystemBench, extensions::Pallet as SystemExtensionsBench};
					let mut list = Vec::<BenchmarkList>::new();
					list_benchmarks!(list, extra);
					(list, AllPalletsWithSystem::storage_info())
				}
				fn dispatch_benchmark(
					config: frame_benchmarking::BenchmarkConfig,
				) -> Result<Vec<frame_benchmarking::BenchmarkBatch>, alloc::string::String> {
					use frame_benchmarking::BenchmarkBatch;
					use frame_support::traits::{TrackedStorageKey, WhitelistedStorageKeys};
					use frame_system_benchmarking::{Pallet as SystemBench, extensions::Pallet as SystemExtensionsBench};
					let whitelist: Vec<TrackedStorageKey> = AllPalletsWithSystem::whitelisted_storage_keys();
					let mut batches = Vec::<BenchmarkBatch>::new();
					let params = (&config, &whitelist);
					add_benchmarks!(params, batches);
					Ok(batches)
				}
			}

			#[cfg(feature = "try-runtime")]
			impl frame_try_runtime::TryRuntime<Block> for Runtime {
				fn on_runtime_upgrade(checks: frame_try_runtime::UpgradeCheckSelect) -> (Weight, Weight) {
					// The tool that calls this expects a panic on failure.
					#[allow(clippy::unwrap_used)]
					let weight = Executive::try_runtime_upgrade(checks).unwrap();
					(weight, configs::system::RuntimeBlockWeights::get().max_block)
				}
				fn execute_block(
					block: <Block as BlockT>::LazyBlock,
					state_root_check: bool,
					signature_check: bool,
					select: frame_try_runtime::TryStateSelect,
				) -> Weight {
					#[allow(clippy::unwrap_used)]
					Executive::try_execute_block(block, state_root_check, signature_check, select).unwrap()
				}
			}

			impl gonka_runtime_common::api::GonkaApi<Block> for Runtime {
				fn epoch() -> Option<EpochView> {
					Poc::epoch_view()
				}
				fn hosts(after: Option<gonka_primitives::AccountId>, limit: u32) -> Vec<HostView> {
					Poc::host_views(after.map(Into::into), limit.min(MAX_PAGE), SamplingValidation::is_condemned)
				}
				fn host(host: gonka_primitives::AccountId) -> Option<HostView> {
					Poc::host_view(&host.into(), SamplingValidation::is_condemned)
				}
				fn registration_terms(host: gonka_primitives::AccountId) -> Option<RegistrationTerms> {
					Poc::registration_terms(&host.into())
				}
				fn commitments(epoch: EpochIndex, host: gonka_primitives::AccountId) -> Vec<(u8, Commitment)> {
					pallet_poc::Commitments::<Runtime>::get(epoch, AccountId::from(host)).into_inner()
				}
				fn standing(epoch: EpochIndex, host: gonka_primitives::AccountId) -> Option<StandingView> {
					Poc::standing_view(epoch, &host.into())
				}
				fn check(checker: gonka_primitives::AccountId) -> Option<CheckView> {
					SprintCheck::check_view(&checker.into())
				}
				fn opening_requests(host: gonka_primitives::AccountId) -> Vec<RequestView> {
					SprintCheck::request_views(&host.into())
				}
				fn earnings(host: gonka_primitives::AccountId) -> VestingView {
					Emission::vesting_view(&host.into())
				}
				fn collateral(host: gonka_primitives::AccountId) -> CollateralView {
					Collateral::view(&host.into())
				}
				fn claims() -> Vec<ClaimView> {
					SprintCheck::claim_views()
				}
				fn validators() -> Vec<(gonka_primitives::AccountId, u64)> {
					let power = pallet_poc::SessionPower::<Runtime>::get();
					Session::validators().into_iter().map(|who| {
						let power = Poc::power_of(&power, &who);
						(who.into(), power)
					}).collect()
				}
				fn models() -> Vec<ModelView> {
					InferenceMarket::models()
				}
				fn channel(channel: ChannelId) -> Option<ChannelView> {
					InferenceMarket::channel(channel)
				}
				fn channels(
					developer: gonka_primitives::AccountId,
					after: Option<ChannelId>,
					limit: u32,
				) -> Vec<ChannelView> {
					InferenceMarket::channels(&developer.into(), after, limit.min(MAX_PAGE))
				}
				fn host_channels(
					host: gonka_primitives::AccountId,
					after: Option<ChannelId>,
					limit: u32,
				) -> Vec<ChannelView> {
					InferenceMarket::host_channels(&host.into(), after, limit.min(MAX_PAGE))
				}
				fn market() -> MarketView {
					InferenceMarket::market()
				}
				fn audits(checker: gonka_primitives::AccountId) -> Vec<AssignedAuditsView> {
					SamplingValidation::audits_view(&checker.into())
				}
				fn cases() -> Vec<CaseView> {
					SamplingValidation::case_views()
				}
				fn reputation(host: gonka_primitives::AccountId) -> ReputationView {
					SamplingValidation::reputation_view(&host.into())
				}
				fn calibration_profile(model: ModelId) -> Option<CalibrationProfile> {
					SamplingValidation::profile(model)
				}
				fn audit_rules() -> AuditRules {
					SamplingValidation::rules()
				}
				fn supply() -> SupplyView {
					Emission::supply()
				}
				fn votes(referendum: u32, account: gonka_primitives::AccountId) -> Option<u128> {
					let status = Referenda::ensure_ongoing(referendum).ok()?;
					Some(ConvictionVoting::power_in(&status.tally, &account.into()))
				}
				fn tracks() -> Vec<TrackView> {
					views::tracks()
				}
				fn referenda(before: Option<u32>, limit: u32) -> Vec<ReferendumView> {
					views::referenda(before, limit.min(MAX_PAGE))
				}
				fn referendum(index: u32) -> Option<ReferendumView> {
					views::referendum(index)
				}
				fn voter(account: gonka_primitives::AccountId) -> VoterView {
					views::voter(&account.into())
				}
				fn parameters() -> Vec<ParameterView> {
					views::parameters()
				}
				fn dry_run(track: u16, call: Vec<u8>) -> Result<(), Vec<u8>> {
					views::dry_run(track, &call).map_err(|error| error.encode())
				}
				fn min_worker_version() -> (u32, BlockNumber) {
					let required = <crate::configs::parameters::dynamic::worker::MinVersion as Get<_>>::get();
					let crate::configs::parameters::WorkerVersion { version, from } = required;
					(version, from)
				}
			}

			$($own)*
		}
	};
}
