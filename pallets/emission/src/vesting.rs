//! Vesting: a grant is paid out in equal parts over the next n epochs.
//!
//! The *rate* of a host is the sum of its grants that are vesting. Each epoch pays `1/n` of it. A grant joins the rate when
//! it is made and leaves it n epochs later, so a step from one epoch to the next costs the same for any number of grants.
//! The remainder of a division is carried into the next step: over its n epochs a grant pays out exactly.
//!
//! The pay that an offence costs is burnt at once and deducted from the parts that vest next. Grants and rate stay as they are, so
//! a penalty takes constant time and leaves no remainder.

use crate::*;
use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::{
	traits::{
		Get,
		fungible::{Inspect, Mutate},
		tokens::{Fortitude, Precision, Preservation, Provenance},
	},
	weights::WeightMeter,
};
use scale_info::TypeInfo;
use sp_runtime::{DispatchError, traits::AccountIdConversion};

/// Vesting state of a host, in base units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Vesting {
	/// The epoch up to which `vested` is counted.
	pub updated: EpochIndex,
	/// Sum of the grants that are vesting. Each epoch pays the rate divided by the number of vesting epochs.
	pub rate: Balance,
	/// Remainder of the last division.
	pub rest: Balance,
	/// Amount that has vested and is not paid out.
	pub vested: Balance,
	/// Amount that the grants still pay, before the deduction of `burnt`.
	pub locked: Balance,
	/// Amount that was burnt for offences and that the parts that vest next do not pay. At most `locked`.
	pub burnt: Balance,
}

impl Vesting {
	/// The amount that has not vested and is the host's.
	pub fn unvested(&self) -> Balance {
		self.locked.saturating_sub(self.burnt)
	}
}

/// Progress of the payouts by idle blocks in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, MaxEncodedLen)]
pub struct Round<AccountId> {
	/// The epoch. It is the next one once all hosts had their turn.
	pub epoch: EpochIndex,
	/// The last host that had its turn.
	pub after: Option<AccountId>,
}

impl<T: Config> Pallet<T> {
	/// The account that holds what is not paid out.
	pub fn pot() -> T::AccountId {
		T::PalletId::get().into_account_truncating()
	}

	/// Grants `amount`, which the pot already holds, to `host`. Returns the number of epochs of vesting that were processed:
	/// at most `VestingEpochs`, after which all earlier grants have ended.
	pub(crate) fn grant(host: &T::AccountId, amount: Balance) -> u32 {
		let now = T::Epoch::get();
		let (mut vesting, steps) = Self::updated(host, now, u32::MAX);
		vesting.updated = now;
		vesting.rate = vesting.rate.saturating_add(amount);
		vesting.locked = vesting.locked.saturating_add(amount);
		Grants::<T>::mutate(host, now, |granted| *granted = granted.saturating_add(amount));
		Vestings::<T>::insert(host, vesting);
		steps
	}

	/// The host's vesting brought up to `epoch`, by at most `limit` steps, with the number of steps. Removes grants that
	/// ended.
	fn updated(host: &T::AccountId, epoch: EpochIndex, limit: u32) -> (Vesting, u32) {
		let parts = T::VestingEpochs::get().max(1);
		let mut vesting = Vestings::<T>::get(host).unwrap_or(Vesting { updated: epoch, ..Default::default() });
		let mut steps = 0u32;
		while vesting.updated < epoch && steps < limit {
			if vesting.rate == 0 {
				vesting.updated = epoch;
				break;
			}
			vesting.updated = vesting.updated.saturating_add(1);
			steps = steps.saturating_add(1);
			let due = vesting.rate.saturating_add(vesting.rest);
			let part = due.checked_div(parts.into()).unwrap_or(0);
			vesting.rest = due.checked_rem(parts.into()).unwrap_or(0);
			let deducted = part.min(vesting.burnt);
			vesting.burnt = vesting.burnt.saturating_sub(deducted);
			vesting.vested = vesting.vested.saturating_add(part.saturating_sub(deducted));
			vesting.locked = vesting.locked.saturating_sub(part);
			if let Some(ended) = vesting.updated.checked_sub(parts) {
				vesting.rate = vesting.rate.saturating_sub(Grants::<T>::take(host, ended));
			}
		}
		(vesting, steps)
	}

	/// Pays out what has vested. Returns the number of steps. The amount waits if the host's account does not exist and it
	/// is below the existential deposit, or if it would leave the pot with less than that.
	pub(crate) fn pay_out(host: &T::AccountId) -> Result<u32, DispatchError> {
		let (mut vesting, steps) = Self::updated(host, T::Epoch::get(), T::MaxVestingSteps::get());
		let amount = vesting.vested;
		// A pot with less than the existential deposit would be burnt: the last payouts wait for each other.
		let left = T::Currency::balance(&Self::pot()).saturating_sub(amount);
		let leaves_no_dust = left == 0 || left >= T::Currency::minimum_balance();
		let can_receive = || T::Currency::can_deposit(host, amount, Provenance::Extant).into_result().is_ok();
		if amount > 0 && leaves_no_dust && can_receive() {
			T::Currency::transfer(&Self::pot(), host, amount, Preservation::Expendable)?;
			vesting.vested = 0;
			Self::deposit_event(Event::Claimed { host: host.clone(), amount });
		}
		if vesting.locked == 0 && vesting.vested == 0 {
			Vestings::<T>::remove(host);
		} else {
			Vestings::<T>::insert(host, vesting);
		}
		Ok(steps)
	}

	/// Pays out to hosts in turn where a block has room: to each host once an epoch, to at most `MaxPayoutsPerBlock` a block.
	pub(crate) fn pay_out_idle(meter: &mut WeightMeter) {
		let now = T::Epoch::get();
		if meter.try_consume(T::DbWeight::get().reads(2)).is_err() {
			return;
		}
		let mut round = match IdleRound::<T>::get() {
			Some(round) if round.epoch > now => return,
			Some(round) if round.epoch == now => round,
			_ => Round { epoch: now, after: None },
		};
		let turn = T::DbWeight::get().reads_writes(2, 1);
		let max = T::WeightInfo::claim(T::MaxVestingSteps::get()).saturating_add(turn);
		for _ in 0..T::MaxPayoutsPerBlock::get() {
			if !meter.can_consume(max) {
				break;
			}
			let next = match &round.after {
				Some(after) => Vestings::<T>::iter_from(Vestings::<T>::hashed_key_for(after)).next(),
				None => Vestings::<T>::iter().next(),
			};
			let Some((host, vesting)) = next else {
				round = Round { epoch: now.saturating_add(1), after: None };
				break;
			};
			meter.consume(turn);
			if vesting.updated < now {
				// It fails only if the pot holds too little, which `try_state` excludes. The record then stays as it is.
				let steps = Self::pay_out(&host).unwrap_or(T::MaxVestingSteps::get());
				meter.consume(T::WeightInfo::claim(steps));
			}
			round.after = Some(host);
		}
		IdleRound::<T>::put(round);
	}

	/// Burns at most `amount` of what has not vested. The parts that vest next pay it off. Returns the amount burnt: less
	/// than `amount` if the pot would be left with less than the existential deposit.
	pub(crate) fn burn_unvested(host: &T::AccountId, amount: Balance) -> Balance {
		let Some(mut vesting) = Vestings::<T>::get(host) else { return 0 };
		let amount = amount.min(vesting.unvested());
		let pot = T::Currency::balance(&Self::pot());
		let spare = pot.saturating_sub(T::Currency::minimum_balance());
		let amount = if amount == pot { amount } else { amount.min(spare) };
		if amount == 0 {
			return 0;
		}
		let (expendable, exact, force) = (Preservation::Expendable, Precision::Exact, Fortitude::Force);
		if T::Currency::burn_from(&Self::pot(), amount, expendable, exact, force).is_err() {
			return 0;
		}
		vesting.burnt = vesting.burnt.saturating_add(amount);
		Vestings::<T>::insert(host, vesting);
		Self::deposit_event(Event::Burnt { host: host.clone(), amount });
		amount
	}

	/// What a host has earned and has not been paid, for clients.
	pub fn vesting_view(host: &T::AccountId) -> VestingView {
		let Some(vesting) = Vestings::<T>::get(host) else { return VestingView::default() };
		let parts = Balance::from(T::VestingEpochs::get().max(1));
		let mut grants: alloc::vec::Vec<_> = Grants::<T>::iter_prefix(host).collect();
		grants.sort_unstable();
		VestingView {
			locked: vesting.unvested(),
			vested: vesting.vested,
			per_epoch: vesting.rate.checked_div(parts).unwrap_or(0),
			burnt: vesting.burnt,
			updated: vesting.updated,
			grants,
		}
	}

	/// # Invariants
	/// 1. The pot holds exactly what is granted and not paid out.
	/// 2. A host's rate is the sum of its grants that have not ended, and its locked amount is what they still pay.
	/// 3. No more was burnt than is locked.
	#[cfg(any(feature = "try-runtime", test))]
	pub(crate) fn try_state_vesting() -> Result<(), sp_runtime::TryRuntimeError> {
		let parts = T::VestingEpochs::get().max(1);
		let mut owed: Balance = 0;
		for (host, vesting) in Vestings::<T>::iter() {
			frame_support::ensure!(vesting.burnt <= vesting.locked, "3: more was burnt than is locked");
			owed = owed.saturating_add(vesting.unvested()).saturating_add(vesting.vested);
			let (mut rate, mut left) = (0u128, 0u128);
			for (epoch, granted) in Grants::<T>::iter_prefix(&host) {
				let remaining = epoch.saturating_add(parts).saturating_sub(vesting.updated);
				frame_support::ensure!(remaining > 0 && remaining <= parts, "2: a grant that has ended");
				rate = rate.saturating_add(granted);
				left = left.saturating_add(granted.saturating_mul(remaining.into()));
			}
			frame_support::ensure!(rate == vesting.rate, "2: the rate is not the sum of the grants");
			let locked = vesting.locked.saturating_mul(parts.into());
			frame_support::ensure!(
				locked == left.saturating_add(vesting.rest),
				"2: locked is not what the grants still pay"
			);
		}
		frame_support::ensure!(T::Currency::balance(&Self::pot()) == owed, "1: the pot and what is owed differ");
		Ok(())
	}
}
