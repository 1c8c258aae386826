//! For comparison: a chain that records every request, with one signed extrinsic when it starts, one when it finishes,
//! and one for each validation of a completion. It does the minimum that such a design needs: hold money, record the
//! request, pay, and remove the record; a validation leaves a score. Block limits, database costs, signatures and fees
//! are those of Gonka's runtime.

use crate::{chain::Rules, network::in_parallel};
use codec::{Decode, Encode};
use gonka_primitives::{AccountId as Raw, Balance, Hash, ModelId, market::Envelope};
use gonka_runtime::{AccountId, Nonce, Signature};
use gonka_runtime_common::{EXISTENTIAL_DEPOSIT, WeightToFee};
use polkadot_sdk::{
	frame_support::{
		derive_impl,
		dispatch::PerDispatchClass,
		parameter_types,
		traits::{ConstU8, ConstU32, ConstU128, VariantCountOf},
		weights::{ConstantMultiplier, Weight, constants::ParityDbWeight},
	},
	pallet_transaction_payment::{ConstFeeMultiplier, FungibleAdapter, Multiplier},
	sp_core::{H256, Pair as _, sr25519::Pair, storage::Storage},
	sp_runtime::{
		ApplyExtrinsicResult, BuildStorage, Digest, MultiAddress, generic,
		traits::{AccountIdLookup, One},
	},
	*,
};

/// Pallet that records requests.
#[frame_support::pallet]
pub mod requests {
	use super::*;
	use frame_support::{
		pallet_prelude::*,
		traits::{
			fungible::{Inspect, hold::Mutate},
			tokens::{Fortitude, Precision, Restriction},
		},
	};
	use frame_system::pallet_prelude::*;

	#[pallet::pallet]
	pub struct Pallet<T>(_);

	/// Configuration of the pallet.
	#[pallet::config]
	pub trait Config: polkadot_sdk::frame_system::Config {
		/// Currency in which fees are held and paid.
		type Currency: Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>
			+ Inspect<Self::AccountId, Balance = Balance>;
		/// The runtime's hold reasons.
		type RuntimeHoldReason: From<HoldReason>;
	}

	/// Reasons for which money is held.
	#[pallet::composite_enum]
	pub enum HoldReason {
		/// A request is running.
		Request,
	}

	/// A running request.
	#[derive(Clone, Encode, Decode, TypeInfo, MaxEncodedLen)]
	pub struct Request<AccountId> {
		developer: AccountId,
		host: AccountId,
		model: ModelId,
		body: Hash,
		max_tokens: u32,
		max_fee: Balance,
	}

	/// Number of the next request.
	#[pallet::storage]
	pub type Next<T> = StorageValue<_, u64, ValueQuery>;

	/// Running requests.
	#[pallet::storage]
	pub type Requests<T: Config> = StorageMap<_, Twox64Concat, u64, Request<T::AccountId>>;

	/// Validator and score of each validated completion, by request.
	#[pallet::storage]
	pub type Validations<T: Config> = StorageMap<_, Twox64Concat, u64, (T::AccountId, u64)>;

	#[pallet::event]
	#[pallet::generate_deposit(fn deposit_event)]
	pub enum Event<T: Config> {
		/// A request started.
		Started {
			/// Number of the request.
			id: u64,
			/// Host that serves it.
			host: T::AccountId,
		},
		/// A request was completed and paid.
		Finished {
			/// Number of the request.
			id: u64,
			/// Fee that was paid.
			fee: Balance,
		},
		/// A completion was validated.
		Validated {
			/// Number of the request.
			id: u64,
			/// Similarity of the completion to the validator's own, in millionths.
			score: u64,
		},
	}

	#[pallet::error]
	pub enum Error<T> {
		/// The host has no such request.
		NotFound,
		/// More tokens or money than agreed.
		TooMuch,
		/// The completion was validated before.
		Validated,
	}

	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Holds the maximum fee of a request and records it.
		#[pallet::call_index(0)]
		#[pallet::weight(Weight::from_parts(30_000_000, 0) + ParityDbWeight::get().reads_writes(3, 4))]
		pub fn start(
			origin: OriginFor<T>,
			host: T::AccountId,
			model: ModelId,
			body: Hash,
			max_tokens: u32,
			max_fee: Balance,
		) -> DispatchResult {
			let developer = ensure_signed(origin)?;
			T::Currency::hold(&HoldReason::Request.into(), &developer, max_fee)?;
			let id = Next::<T>::mutate(|next| {
				*next += 1;
				*next - 1
			});
			Self::deposit_event(Event::Started { id, host: host.clone() });
			Requests::<T>::insert(id, Request { developer, host, model, body, max_tokens, max_fee });
			Ok(())
		}

		/// Pays for a completion and releases the rest.
		#[pallet::call_index(1)]
		#[pallet::weight(Weight::from_parts(45_000_000, 0) + ParityDbWeight::get().reads_writes(4, 4))]
		pub fn finish(
			origin: OriginFor<T>,
			id: u64,
			output: Hash,
			prompt_tokens: u32,
			completion_tokens: u32,
			fee: Balance,
		) -> DispatchResult {
			let host = ensure_signed(origin)?;
			// Part of the block, for anybody who wants to verify.
			let _ = (output, prompt_tokens);
			let request = Requests::<T>::take(id).filter(|request| request.host == host).ok_or(Error::<T>::NotFound)?;
			ensure!(completion_tokens <= request.max_tokens && fee <= request.max_fee, Error::<T>::TooMuch);
			let (reason, developer) = (HoldReason::Request.into(), &request.developer);
			let (exact, polite) = (Precision::Exact, Fortitude::Polite);
			T::Currency::transfer_on_hold(&reason, developer, &host, fee, exact, Restriction::Free, polite)?;
			T::Currency::release(&reason, developer, request.max_fee - fee, exact)?;
			Self::deposit_event(Event::Finished { id, fee });
			Ok(())
		}

		/// Records the validation of a completion. It does not check whose turn it is.
		#[pallet::call_index(2)]
		#[pallet::weight(Weight::from_parts(20_000_000, 0) + ParityDbWeight::get().reads_writes(2, 1))]
		pub fn validate(origin: OriginFor<T>, id: u64, output: Hash, score: u64) -> DispatchResult {
			let validator = ensure_signed(origin)?;
			// Part of the block, for anybody who wants to compare.
			let _ = output;
			ensure!(id < Next::<T>::get(), Error::<T>::NotFound);
			ensure!(!Validations::<T>::contains_key(id), Error::<T>::Validated);
			Validations::<T>::insert(id, (validator, score));
			Self::deposit_event(Event::Validated { id, score });
			Ok(())
		}
	}
}

/// Transaction extension.
pub type TxExtension = (
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckMortality<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);
/// Encoded form of a transaction.
pub type UncheckedExtrinsic =
	generic::UncheckedExtrinsic<MultiAddress<AccountId, ()>, RuntimeCall, Signature, TxExtension>;
/// A block.
pub type Block = generic::Block<crate::chain::Header, UncheckedExtrinsic>;
type Executive =
	frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

/// The runtime.
#[frame_support::runtime]
mod runtime {
	use super::*;

	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system::Pallet<Runtime>;
	#[runtime::pallet_index(10)]
	pub type Balances = pallet_balances::Pallet<Runtime>;
	#[runtime::pallet_index(11)]
	pub type TransactionPayment = pallet_transaction_payment::Pallet<Runtime>;
	#[runtime::pallet_index(60)]
	pub type Requests = requests::Pallet<Runtime>;
}

parameter_types! {
	/// Constant fee multiplier.
	pub FeeMultiplier: Multiplier = Multiplier::one();
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
	type AccountData = pallet_balances::AccountData<Balance>;
	type AccountId = AccountId;
	type Block = Block;
	type BlockLength = gonka_runtime::configs::system::RuntimeBlockLength;
	type BlockWeights = gonka_runtime::configs::system::RuntimeBlockWeights;
	type DbWeight = ParityDbWeight;
	type Hash = H256;
	type Lookup = AccountIdLookup<AccountId, ()>;
	type MaxConsumers = ConstU32<16>;
	type Nonce = Nonce;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Runtime {
	type AccountStore = System;
	type Balance = Balance;
	type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
	type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
	type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
}

impl pallet_transaction_payment::Config for Runtime {
	type FeeMultiplierUpdate = ConstFeeMultiplier<FeeMultiplier>;
	type LengthToFee = ConstantMultiplier<Balance, ConstU128<100>>;
	type OnChargeTransaction = FungibleAdapter<Balances, ()>;
	type OperationalFeeMultiplier = ConstU8<5>;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
	type WeightToFee = WeightToFee;
}

impl requests::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
}

/// The calls to this runtime.
pub struct PerRequest;

impl Rules for PerRequest {
	fn start(header: &crate::chain::Header, _: u64) {
		Executive::initialize_block(header);
	}

	fn apply(bytes: &[u8]) -> ApplyExtrinsicResult {
		Executive::apply_extrinsic(UncheckedExtrinsic::decode(&mut &bytes[..]).unwrap())
	}

	fn end() -> crate::chain::Header {
		Executive::finalize_block()
	}

	fn used() -> PerDispatchClass<Weight> {
		System::block_weight()
	}

	fn digest(_: u64) -> Digest {
		Digest::default()
	}
}

/// Builds a genesis with these balances.
pub fn genesis(balances: Vec<(AccountId, Balance)>) -> Storage {
	let balances = pallet_balances::GenesisConfig { balances, ..Default::default() };
	RuntimeGenesisConfig { balances, ..Default::default() }.build_storage().unwrap()
}

/// Makes the call that starts a request.
pub fn start(host: &AccountId, envelope: &Envelope) -> RuntimeCall {
	let Envelope { model, body, max_tokens, max_fee, .. } = envelope.clone();
	requests::Call::start { host: Raw::from(host.clone()).into(), model, body, max_tokens, max_fee }.into()
}

/// Makes the call that finishes a request.
pub fn finish(id: u64, output: Hash, prompt_tokens: u32, completion_tokens: u32, fee: Balance) -> RuntimeCall {
	requests::Call::finish { id, output, prompt_tokens, completion_tokens, fee }.into()
}

/// Makes the call that records the validation of its completion.
pub fn validate(id: u64, output: Hash, score: u64) -> RuntimeCall {
	requests::Call::validate { id, output, score }.into()
}

/// Returns the number of running requests.
pub fn open_requests() -> usize {
	requests::Requests::<Runtime>::iter().count()
}

/// Signs calls on all cores. Each has the index of its signer, the nonce, and the call.
pub fn sign_all<'a>(
	calls: Vec<(usize, Nonce, RuntimeCall)>,
	genesis: Hash,
	pair: impl Fn(usize) -> &'a Pair + Sync,
) -> Vec<Vec<u8>> {
	in_parallel(&calls, |(who, nonce, call)| signed(pair(*who), *nonce, genesis, call.clone()))
}

fn signed(pair: &Pair, nonce: Nonce, genesis: Hash, call: RuntimeCall) -> Vec<u8> {
	let extension = || -> TxExtension {
		(
			frame_system::CheckNonZeroSender::new(),
			frame_system::CheckSpecVersion::new(),
			frame_system::CheckTxVersion::new(),
			frame_system::CheckGenesis::new(),
			frame_system::CheckMortality::from(generic::Era::Immortal),
			frame_system::CheckNonce::from(nonce),
			frame_system::CheckWeight::new(),
			pallet_transaction_payment::ChargeTransactionPayment::from(0),
			frame_system::WeightReclaim::new(),
		)
	};
	// A runtime's default version is 0.
	let implicit = ((), 0, 0, H256(genesis), H256(genesis), (), (), (), ());
	let payload = generic::SignedPayload::from_raw(call.clone(), extension(), implicit);
	let signature = payload.using_encoded(|bytes| pair.sign(bytes));
	UncheckedExtrinsic::new_signed(call, AccountId::from(pair.public()).into(), signature.into(), extension()).encode()
}
