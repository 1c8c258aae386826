//! Balances and fees.

use super::{
	consensus::WeightToFee,
	system::{RuntimeBlockLength, RuntimeBlockWeights},
};
use crate::*;
use frame_support::{
	dispatch::DispatchClass,
	parameter_types,
	traits::{ConstU8, ConstU32, ConstU128, VariantCountOf, WithdrawReasons},
	weights::{Weight, WeightToFee as Fee},
};
use gonka_runtime_common::EXISTENTIAL_DEPOSIT;
use pallet_transaction_payment::{FungibleAdapter, Multiplier, MultiplierUpdate};
use sp_runtime::{
	FixedPointNumber, Perquintill, Saturating,
	traits::{Convert, ConvertInto, One},
};

parameter_types! {
	/// Unvested funds cannot be withdrawn for transfers, reserves or fees.
	pub NothingUnvested: WithdrawReasons =
		WithdrawReasons::except(WithdrawReasons::TRANSFER | WithdrawReasons::RESERVE | WithdrawReasons::FEE);
}

/// Base units per byte of a transaction while blocks have room.
const BYTE_FEE: Balance = 100;
/// Share of the room of ordinary transactions that is in use when fees rest. The free transactions of 10,000 hosts stay
/// below it.
const TARGET_FULLNESS: Perquintill = Perquintill::from_percent(25);
/// Change of the multiplier in a block, for each unit of distance from the target: a full block raises fees by 1.5 %, an
/// empty one lowers them by 0.5 %.
const VARIABILITY: Multiplier = Multiplier::from_inner(Multiplier::DIV / 50);
/// Maximum multiplier of fees. It is low enough to be back at 1 after three hours of empty blocks.
const MAX_MULTIPLIER: u32 = 10_000;

/// Fees that rise while blocks are fuller than the target, and fall again to the lowest while they are not.
///
/// Unlike `TargetedFeeAdjustment`, it sees the length of transactions, too, and those of the operational class, which
/// anybody may send. It also sees free transactions: what others may pay for is the room that these leave.
pub struct AdaptiveFees;

impl AdaptiveFees {
	/// The part of the room of ordinary transactions that the block has used: by computation, by proof size or by length,
	/// whichever is the most.
	fn fullness() -> Perquintill {
		let (weights, used) = (RuntimeBlockWeights::get(), System::block_weight());
		let room = weights.get(DispatchClass::Normal).max_total.unwrap_or(weights.max_block);
		let used = used.get(DispatchClass::Normal).saturating_add(*used.get(DispatchClass::Operational));
		let length = *RuntimeBlockLength::get().max.get(DispatchClass::Normal);
		let share = |used: u64, room: u64| Perquintill::from_rational(used.min(room), room);
		share(used.ref_time(), room.ref_time())
			.max(share(used.proof_size(), room.proof_size()))
			.max(share(System::block_size().into(), length.into()))
	}
}

impl Convert<Multiplier, Multiplier> for AdaptiveFees {
	fn convert(previous: Multiplier) -> Multiplier {
		let (full, target) = (Multiplier::from(Self::fullness()), Multiplier::from(Self::target()));
		let change = |distance: Multiplier| previous.saturating_mul(VARIABILITY).saturating_mul(distance);
		let next = if full >= target {
			previous.saturating_add(change(full.saturating_sub(target)))
		} else {
			previous.saturating_sub(change(target.saturating_sub(full)))
		};
		next.clamp(Self::min(), Self::max())
	}
}

impl MultiplierUpdate for AdaptiveFees {
	fn min() -> Multiplier {
		Multiplier::one()
	}

	fn max() -> Multiplier {
		Multiplier::from_u32(MAX_MULTIPLIER)
	}

	fn target() -> Perquintill {
		TARGET_FULLNESS
	}

	fn variability() -> Multiplier {
		VARIABILITY
	}
}

/// The fee of a transaction's bytes. It rises with that of its computation: otherwise long transactions could fill
/// blocks at a constant price.
pub struct LengthToFee;

impl Fee for LengthToFee {
	type Balance = Balance;

	fn weight_to_fee(length: &Weight) -> Balance {
		let fee = BYTE_FEE.saturating_mul(length.ref_time().into());
		TransactionPayment::next_fee_multiplier().saturating_mul_int(fee)
	}
}

/// The fee of a signed transaction at the lowest multiplier.
pub struct LowestFee;

impl pallet_inference_market::TransactionFee for LowestFee {
	fn fee(length: u32, weight: Weight) -> Balance {
		let base = RuntimeBlockWeights::get().get(DispatchClass::Normal).base_extrinsic;
		let fee = WeightToFee::weight_to_fee(&weight.saturating_add(base));
		fee.saturating_add(BYTE_FEE.saturating_mul(length.into()))
	}
}

impl pallet_balances::Config for Runtime {
	type AccountStore = System;
	type Balance = Balance;
	type DoneSlashHandler = ();
	type DustRemoval = ();
	type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
	type FreezeIdentifier = RuntimeFreezeReason;
	type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
	type MaxLocks = ConstU32<50>;
	type MaxReserves = ();
	type ReserveIdentifier = ();
	type RuntimeEvent = RuntimeEvent;
	type RuntimeFreezeReason = RuntimeFreezeReason;
	type RuntimeHoldReason = RuntimeHoldReason;
	type WeightInfo = gonka_runtime_common::weights::pallet_balances::WeightInfo<Runtime>;
}

impl pallet_transaction_payment::Config for Runtime {
	type FeeMultiplierUpdate = AdaptiveFees;
	type LengthToFee = LengthToFee;
	type OnChargeTransaction = FungibleAdapter<Balances, ()>;
	// Operational calls have no priority over others: anybody may send one that fails.
	type OperationalFeeMultiplier = ConstU8<0>;
	type RuntimeEvent = RuntimeEvent;
	type WeightInfo = gonka_runtime_common::weights::pallet_transaction_payment::WeightInfo<Runtime>;
	type WeightToFee = WeightToFee;
}

impl pallet_vesting::Config for Runtime {
	type BlockNumberProvider = System;
	type BlockNumberToBalance = ConvertInto;
	type Currency = Balances;
	type MinVestedTransfer = ConstU128<EXISTENTIAL_DEPOSIT>;
	type RuntimeEvent = RuntimeEvent;
	type UnvestedFundsAllowedWithdrawReasons = NothingUnvested;
	type WeightInfo = gonka_runtime_common::weights::pallet_vesting::WeightInfo<Runtime>;
	const MAX_VESTING_SCHEDULES: u32 = 28;
}
