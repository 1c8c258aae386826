//! Finality: what is known about it, and when a change of GRANDPA's set is announced or forced.

use crate::*;
use alloc::collections::BTreeMap;

impl<T: Config> Pallet<T> {
	/// What the statements of the last `StallSessions` sessions tell, each weighed by its author's seats.
	pub(crate) fn outlook(validators: &[Validator<T::AccountId>]) -> Option<Outlook> {
		let starts = Starts::<T>::get();
		let window = starts.len().saturating_sub(T::StallSessions::get() as usize);
		let since = starts.get(window).copied().unwrap_or(0);
		let recent = validators.iter().filter(|validator| validator.stated > 0 && validator.stated >= since);
		let statements = recent.map(|validator| (validator.finalized, validator.seats.into())).collect();
		let (low, high) = math::reached(statements)?;
		let lag = starts.iter().rev().take_while(|start| **start > high).count() as u32;
		Some(Outlook { low, high, lag })
	}

	/// Decides about GRANDPA's set when a session begins. `changed` tells whether another set is due.
	pub fn plan(changed: bool) -> Plan {
		let Some(outlook) = Finality::<T>::get() else {
			// Nothing is known, as before the first statement.
			return if changed { Plan::Announce } else { Plan::Keep };
		};
		let last = LastChange::<T>::get();
		if Self::may_force(&outlook, &last) {
			Plan::Force(outlook.low)
		} else if changed && outlook.low >= last.at && outlook.lag == 0 {
			Plan::Announce
		} else {
			Plan::Keep
		}
	}

	fn may_force(outlook: &Outlook, last: &Change) -> bool {
		let since = Starts::<T>::get().iter().filter(|start| **start > last.at).count() as u32;
		// Nodes count the sets. They must agree on whether the last change counts, before the next is forced on them.
		let agreed = if last.forced {
			since > T::StallSessions::get()
		} else {
			outlook.low >= last.at || outlook.high < last.at
		};
		outlook.lag >= T::StallSessions::get() && agreed && Self::enough_present(outlook)
	}

	/// Whether enough of the stalled set's power has written blocks since the last final one.
	fn enough_present(outlook: &Outlook) -> bool {
		let stalled = if Self::drops_change() { FormerVoters::<T>::get() } else { Voters::<T>::get() };
		let validators = Validators::<T>::get();
		let last: BTreeMap<_, _> = validators.iter().map(|validator| (&validator.account, validator.last)).collect();
		let (mut total, mut present) = (0u64, 0u64);
		for (who, power) in &stalled {
			total = total.saturating_add(*power);
			if last.get(who).is_some_and(|last| *last > outlook.high) {
				present = present.saturating_add(*power);
			}
		}
		let half = present.saturating_mul(2) > total;
		half || outlook.lag >= T::LongStallSessions::get() && present.saturating_mul(3) >= total
	}

	/// Whether nodes drop the last announced change when one is forced, because it never became final.
	pub fn drops_change() -> bool {
		let last = LastChange::<T>::get();
		!last.forced && Finality::<T>::get().is_some_and(|outlook| outlook.high < last.at)
	}

	/// Makes those absent that have written no block since the last final one, before their votes are weighed for a forced
	/// change. They return after the next weighing, so that nobody can stall finality several times a day.
	pub fn mark_missing() {
		let Some(outlook) = Finality::<T>::get() else { return };
		let weighings = T::Weighings::get().saturating_add(1);
		Validators::<T>::mutate(|all| {
			for validator in all.iter_mut().filter(|validator| validator.last <= outlook.high) {
				Self::mark(validator, weighings);
			}
		});
	}

	/// Notes the set with which GRANDPA starts.
	pub fn note_first_voters(voters: Vec<(T::AccountId, u64)>) {
		Voters::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(voters));
	}

	/// Notes a change that was announced now, with its set. `dropped` is what [`Self::drops_change`] told before.
	pub fn note_change(change: Change, voters: Vec<(T::AccountId, u64)>, dropped: bool) {
		if !dropped {
			FormerVoters::<T>::put(Voters::<T>::get());
		}
		Self::note_first_voters(voters);
		LastChange::<T>::put(change);
		if change.forced {
			let finalized = Finality::<T>::get().map_or(0, |outlook| outlook.low);
			Self::deposit_event(Event::FinalityForced { at: change.at, finalized });
		}
	}
}
