//! Equivocations: the sessions in which they can be reported, and what they cost.
//!
//! Validators have the power of one epoch's weights for several sessions. All that equivocate with it count together, in
//! blocks and in votes: what they could break depends on their common power, not on the slot or round that betrayed them.

use crate::{types::*, *};
use alloc::vec::Vec;
use sp_runtime::Saturating;

/// The reason for which an equivocation is not punished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError {
	/// The session is not on record: the report is too late.
	UnknownSession,
	/// The validator was reported for the power of the same epoch before.
	Known,
	/// The maximum number of validators were reported for the power of the same epoch.
	Full,
}

impl<T: Config> Pallet<T> {
	/// Records that the validators of the planned `session` have the power of `epoch`, or as before if it is `None`.
	pub fn plan_session(session: SessionIndex, epoch: Option<EpochIndex>) {
		let before = || session.checked_sub(1).and_then(Sessions::<T>::get).unwrap_or(0);
		Sessions::<T>::insert(session, epoch.unwrap_or_else(before));
		if !OldestSession::<T>::exists() {
			OldestSession::<T>::put(session);
		}
	}

	/// Forgets the sessions before `first`, whose equivocations can no longer be reported. Returns how many they were.
	pub fn forget_sessions(first: SessionIndex) -> u32 {
		let Some(oldest) = OldestSession::<T>::get().filter(|oldest| *oldest < first) else { return 0 };
		for session in oldest..first {
			let Some(epoch) = Sessions::<T>::take(session) else { continue };
			if Sessions::<T>::get(session.saturating_add(1)) != Some(epoch) {
				Equivocators::<T>::remove(epoch);
			}
		}
		OldestSession::<T>::put(first);
		first.saturating_sub(oldest)
	}

	/// The oldest epoch with whose power an equivocation can still be reported.
	pub fn reported_from() -> EpochIndex {
		OldestSession::<T>::get().and_then(Sessions::<T>::get).unwrap_or(0)
	}

	/// Whether `validator` was reported for an equivocation with the power that it had in `session`.
	pub fn is_reported(session: SessionIndex, validator: &T::AccountId) -> bool {
		let reported = Sessions::<T>::get(session).map(Equivocators::<T>::get).unwrap_or_default();
		reported.iter().any(|(who, _)| who == validator)
	}

	/// Punishes `validator`, which equivocated in `session` with the share `power` of all power. Those that equivocated with
	/// the power of the same epoch before lose as much more as their common share has grown. Returns the epoch, and the
	/// number of slashes.
	pub fn punish(
		session: SessionIndex,
		validator: &T::AccountId,
		power: Perbill,
	) -> Result<(EpochIndex, u32), ReportError> {
		let epoch = Sessions::<T>::get(session).ok_or(ReportError::UnknownSession)?;
		let mut all = Equivocators::<T>::get(epoch);
		if all.iter().any(|(who, _)| who == validator) {
			return Err(ReportError::Known);
		}
		let earlier: Vec<_> = all.iter().map(|(who, _)| who.clone()).collect();
		let share = |all: &[(T::AccountId, Perbill)]| {
			let power = all.iter().fold(Perbill::zero(), |sum, (_, power)| sum.saturating_add(*power));
			equivocation_share(power, T::MinEquivocationSlash::get())
		};
		let before = share(&all);
		all.try_push((validator.clone(), power)).map_err(|_| ReportError::Full)?;
		let after = share(&all);
		Equivocators::<T>::insert(epoch, all);

		let slash = |who: &T::AccountId, share| Self::slash(who, share, share, Offence::Equivocation);
		let mut slashes = 1u32;
		if after > before {
			let more = further_share(before, after);
			earlier.iter().for_each(|who| slash(who, more));
			slashes = slashes.saturating_add(earlier.len() as u32);
		}
		slash(validator, after);
		Ok((epoch, slashes))
	}

	#[cfg(any(feature = "try-runtime", test))]
	pub(crate) fn try_state_sessions() -> Result<(), sp_runtime::TryRuntimeError> {
		use frame_support::ensure;
		let mut sessions: Vec<_> = Sessions::<T>::iter().collect();
		sessions.sort_unstable();
		ensure!(OldestSession::<T>::get() == sessions.first().map(|(session, _)| *session), "3: the oldest session");
		let follow =
			|(a, _): &(SessionIndex, EpochIndex), (b, _): &(SessionIndex, EpochIndex)| a.saturating_add(1) == *b;
		ensure!(sessions.is_sorted_by(follow), "3: a session is missing");
		ensure!(sessions.is_sorted_by_key(|(_, epoch)| *epoch), "3: the epochs of power do not ascend");
		let is_kept = |epoch| sessions.iter().any(|(_, other)| *other == epoch);
		ensure!(Equivocators::<T>::iter_keys().all(is_kept), "3: an equivocation is kept too long");
		Ok(())
	}
}
