//! Fees between settlement and payment. They stay on hold in the developers' accounts, so that they can be refunded.

use crate::*;
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
	BoundedVec, CloneNoBound, DebugNoBound, EqNoBound, PartialEqNoBound,
	pallet_prelude::DispatchResult,
	storage::with_storage_layer,
	traits::{
		Get,
		fungible::{
			Inspect, Mutate, Unbalanced,
			hold::{Mutate as _, Unbalanced as _},
		},
		tokens::{DepositConsequence, Fortitude, Precision, Preservation, Provenance},
	},
	weights::Weight,
};
use gonka_primitives::traits::{FeeDecision, FeeDecisions};
use scale_info::TypeInfo;
use sp_runtime::DispatchError;

/// The fee that one channel owes for a window.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct HeldFee<AccountId> {
	/// The channel, which may have been withdrawn since.
	pub channel: ChannelId,
	/// The account that holds the fee.
	pub developer: AccountId,
	/// Base units. Not 0.
	pub amount: Balance,
}

/// The held fees of a host's window.
#[derive(
	CloneNoBound,
	DebugNoBound,
	PartialEqNoBound,
	EqNoBound,
	Encode,
	Decode,
	DecodeWithMemTracking,
	TypeInfo,
	MaxEncodedLen,
)]
#[codec(mel_bound(AccountId: MaxEncodedLen))]
#[scale_info(skip_type_params(MaxFees))]
pub struct Held<AccountId: Clone + core::fmt::Debug + Eq, MaxFees: Get<u32>> {
	/// The window that was running at the settlement.
	pub since: u32,
	/// The window in whose first block the pallet asks for a decision.
	pub due: u32,
	/// Base units that are burnt out of the fees when the host gets them: the price of the settlement's block space, if the
	/// host's account could not pay it. Not above the sum of the fees.
	pub charge: Balance,
	/// Ascending by channel. Not empty.
	pub fees: BoundedVec<HeldFee<AccountId>, MaxFees>,
}

impl<AccountId: Clone + core::fmt::Debug + Eq, MaxFees: Get<u32>> Held<AccountId, MaxFees> {
	/// Sum in base units; `None` if it overflows.
	pub fn sum(&self) -> Option<Balance> {
		self.fees.iter().try_fold(Balance::default(), |sum, fee| sum.checked_add(fee.amount))
	}
}

/// The fee that a signed transaction pays for block space.
pub trait TransactionFee {
	/// Base units for a transaction of this length in bytes and this dispatch weight, without a tip, while blocks have
	/// room.
	fn fee(length: u32, weight: Weight) -> Balance;
}

/// Block space is free of charge.
impl TransactionFee for () {
	fn fee(_: u32, _: Weight) -> Balance {
		0
	}
}

/// The payer of a settlement's block space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
	/// The host's account pays at once.
	Account(Balance),
	/// The amount is withheld from the settled fees.
	Fees(Balance),
}

/// Bytes of a settlement without models and vouchers, with its signature.
const SETTLEMENT_BYTES: u32 = 180;
/// Bytes of a model with its work.
const MODEL_BYTES: u32 = 12;
/// Bytes of a voucher with its signature.
const VOUCHER_BYTES: u32 = 104;

impl<T: Config> Pallet<T> {
	/// Panics if fees could not be held and released as promised, or if a settlement or the hooks do not fit into a quarter
	/// of a block.
	pub(crate) fn assert_limits() {
		assert!(T::MaxReleases::get() >= T::MaxVouchers::get(), "`MaxReleases` is below `MaxVouchers`");
		assert!(T::MinHold::get() >= 2, "`MinHold` is below 2: fees would not be held for a whole window");
		assert!(T::MaxHold::get() >= T::MinHold::get(), "`MaxHold` is below `MinHold`");
		let quarter = T::BlockWeights::get().max_block / 4;
		let (vouchers, models) = (T::MaxVouchers::get(), MAX_MODELS_PER_HOST);
		let authorize = T::WeightInfo::authorize_settle(vouchers, models);
		let weight = authorize.saturating_add(T::WeightInfo::settle(vouchers, models));
		assert!(weight.all_lte(quarter), "a settlement needs more than a quarter of a block");
		let weight = T::WeightInfo::release_fees(T::MaxReleases::get());
		let weight = weight.saturating_add(T::WeightInfo::move_prices(T::MaxModels::get()));
		assert!(weight.all_lte(quarter), "the hooks need more than a quarter of a block");
	}

	/// The price in base units of a settlement with so many vouchers and models: what a signed transaction of its size
	/// and dispatch weight costs while blocks have room. It does not rise with the fees of transactions, since otherwise
	/// one who fills blocks could keep hosts from settling until channels are withdrawn.
	pub fn settlement_fee(vouchers: u32, models: u32) -> Balance {
		let length = SETTLEMENT_BYTES
			.saturating_add(vouchers.saturating_mul(VOUCHER_BYTES))
			.saturating_add(models.saturating_mul(MODEL_BYTES));
		let weight = T::WeightInfo::authorize_settle(vouchers, models);
		T::TransactionFee::fee(length, weight.saturating_add(T::WeightInfo::settle(vouchers, models)))
	}

	/// The payer of `amount` for a settlement of `fees`: the host's account, or the fees if it has too little; `None` if
	/// both are too little.
	pub(crate) fn payer(host: &T::AccountId, amount: Balance, fees: Balance) -> Option<Charge> {
		if T::Currency::reducible_balance(host, Preservation::Preserve, Fortitude::Polite) >= amount {
			Some(Charge::Account(amount))
		} else {
			(fees >= amount).then_some(Charge::Fees(amount))
		}
	}

	/// Burns what the host's account pays for the settlement of a window. Returns what is withheld from the fees.
	pub(crate) fn take_charge(host: &T::AccountId, window: u32, charge: Charge) -> Result<Balance, DispatchError> {
		let amount = match charge {
			Charge::Account(amount) if amount > 0 => amount,
			Charge::Account(_) => return Ok(0),
			Charge::Fees(amount) => return Ok(amount),
		};
		let (preservation, force) = (Preservation::Preserve, Fortitude::Polite);
		T::Currency::burn_from(host, amount, preservation, Precision::Exact, force)?;
		Self::deposit_event(Event::Charged { host: host.clone(), window, amount });
		Ok(0)
	}

	/// The running window.
	pub(crate) fn running() -> u32 {
		Self::now().checked_div(T::WindowLength::get()).unwrap_or_default()
	}

	/// Stores the fees of a settlement, out of which `charge` will be burnt. The money stays on hold where it is.
	pub(crate) fn hold_fees(
		host: &T::AccountId,
		window: u32,
		charge: Balance,
		fees: Vec<HeldFee<T::AccountId>>,
	) -> DispatchResult {
		if fees.is_empty() {
			return Ok(());
		}
		let since = Self::running();
		let due = since.checked_add(T::MinHold::get()).ok_or(Error::<T>::Overflow)?;
		let fees = BoundedVec::try_from(fees).map_err(|_| Error::<T>::LimitExceeded)?;
		HeldFees::<T>::insert(host, window, Held { since, due, charge, fees });
		DueFees::<T>::insert(due, (host, window), ());
		Ok(())
	}

	/// Decides on due fees, oldest windows first, until `budget` is used. Each fee costs one unit, and so does each window in
	/// which no fee is due any more. Returns the units used.
	pub(crate) fn release_due(budget: u32) -> u32 {
		let (running, oldest) = (Self::running(), OldestDue::<T>::get());
		let (mut due, mut used) = (oldest, 0u32);
		'windows: while due <= running && used < budget {
			// All keys at once: each search for the first key would step over all keys that this block has removed.
			let left = budget.saturating_sub(used) as usize;
			let keys: Vec<_> = DueFees::<T>::iter_key_prefix(due).take(left).collect();
			let all = keys.len() < left;
			for (host, window) in keys {
				let held = HeldFees::<T>::get(&host, window);
				let after = used.saturating_add(held.as_ref().map_or(1, |held| held.fees.len() as u32));
				if after > budget {
					break 'windows;
				}
				used = after;
				match held {
					Some(held) => Self::decide(&host, window, held, running),
					None => DueFees::<T>::remove(due, (host, window)),
				}
			}
			if all && used < budget {
				due = due.saturating_add(1);
				used = used.saturating_add(1);
			}
		}
		if due != oldest {
			OldestDue::<T>::put(due);
		}
		used
	}

	/// Releases or refunds a window's fees by the decision. Without a decision it asks again when the next window begins,
	/// and releases after `MaxHold` windows.
	fn decide(host: &T::AccountId, window: u32, mut held: Held<T::AccountId, T::MaxVouchers>, running: u32) {
		let late = running.saturating_sub(held.since) >= T::MaxHold::get();
		let decision = T::FeeDecisions::decision(host, window).or(late.then_some(FeeDecision::Release));
		let done = match decision {
			Some(FeeDecision::Release) => Self::release(host, window).is_ok(),
			Some(FeeDecision::Refund) => Self::refund(host, window).is_ok(),
			None => false,
		};
		if !done {
			DueFees::<T>::remove(held.due, (host, window));
			held.due = running.saturating_add(1);
			DueFees::<T>::insert(held.due, (host, window), ());
			HeldFees::<T>::insert(host, window, held);
		}
	}

	/// Pays a host the held fees of a window, less what is burnt. Refunds them if the host's account is gone and the sum is
	/// too small for a new one.
	fn release(host: &T::AccountId, window: u32) -> DispatchResult {
		with_storage_layer(|| {
			let held = HeldFees::<T>::get(host, window).ok_or(Error::<T>::NotFound)?;
			let amount = held.sum().and_then(|sum| sum.checked_sub(held.charge)).ok_or(Error::<T>::Overflow)?;
			if !Self::can_receive(host, amount) {
				return Self::refund(host, window);
			}
			let reason = HoldReason::ChannelDeposit.into();
			for fee in &held.fees {
				T::Currency::decrease_balance_on_hold(&reason, &fee.developer, fee.amount, Precision::Exact)?;
				T::Currency::done_transfer_on_hold(&reason, &fee.developer, host, fee.amount);
			}
			// One deposit for all channels: a new account can receive the sum, but not always each part.
			T::Currency::increase_balance(host, amount, Precision::Exact)?;
			if held.charge > 0 {
				T::Currency::set_total_issuance(T::Currency::total_issuance().saturating_sub(held.charge));
				Self::deposit_event(Event::Charged { host: host.clone(), window, amount: held.charge });
			}
			Self::forget(host, window, held.due);
			Self::deposit_event(Event::FeesReleased { host: host.clone(), window, amount });
			Ok(())
		})
	}

	/// Refunds the held fees of a host's window to the developers, all or nothing, for the pallet that rules on audits.
	/// Costs at most `WeightInfo::release_fees(MaxVouchers)`. Error: `NotFound` if none are held.
	pub fn refund(host: &T::AccountId, window: u32) -> DispatchResult {
		with_storage_layer(|| {
			let held = HeldFees::<T>::get(host, window).ok_or(Error::<T>::NotFound)?;
			let amount = held.sum().ok_or(Error::<T>::Overflow)?;
			let reason = HoldReason::ChannelDeposit.into();
			for fee in &held.fees {
				T::Currency::release(&reason, &fee.developer, fee.amount, Precision::Exact)?;
			}
			Self::forget(host, window, held.due);
			Self::deposit_event(Event::FeesRefunded { host: host.clone(), window, amount });
			Ok::<_, DispatchError>(())
		})
	}

	fn forget(host: &T::AccountId, window: u32, due: u32) {
		HeldFees::<T>::remove(host, window);
		DueFees::<T>::remove(due, (host, window));
	}

	/// Whether `increase_balance` will succeed.
	pub(crate) fn can_receive(host: &T::AccountId, amount: Balance) -> bool {
		let free = T::Currency::balance(host);
		amount == 0
			|| (free.saturating_add(amount) >= T::Currency::minimum_balance()
				&& T::Currency::can_deposit(host, amount, Provenance::Extant) == DepositConsequence::Success)
	}
}
