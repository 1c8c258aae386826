//! What findings do: duties met, suspicion, and the fees of a window.

use crate::{
	types::{Heard, Said, Suspicion},
	*,
};
use gonka_primitives::{
	sampling::Finding,
	traits::{SampleVerdicts, Verdict},
};
use polkadot_sdk::sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
	/// Takes a checker's findings. Only what the pool let through gets here. Returns how many cases they opened.
	pub(crate) fn hear(verdicts: Verdicts) -> Result<u32, DispatchError> {
		let Verdicts { checker, window, findings } = verdicts;
		let checker = T::AccountId::from(checker);
		let listen = Self::is_heard(&checker);
		let (samples, first) = (findings.len() as u32, NextCase::<T>::get());
		Assigned::<T>::try_mutate(window, &checker, |list| {
			for (index, finding) in findings {
				let sample = list.get_mut(usize::from(index)).ok_or(Error::<T>::NotFound)?;
				ensure!(!sample.done, Error::<T>::NotFound);
				sample.done = true;
				Batches::<T>::mutate(&sample.host, sample.window, |batch| {
					if let Some(batch) = batch {
						batch.pending = batch.pending.saturating_sub(1);
					}
				});
				if listen && !Cases::<T>::contains_key(&sample.host) {
					let heard = (checker.clone(), sample.window, sample.pick);
					Self::suspect(&sample.host, sample.model, heard, &finding);
				}
			}
			Ok::<_, Error<T>>(())
		})?;
		Self::touch(&checker, |_| ());
		Self::deposit_event(Event::Answered { checker, window, samples });
		Ok(NextCase::<T>::get().saturating_sub(first))
	}

	/// Adds a finding to what speaks against a host. At the profile's threshold a case is opened.
	fn suspect(
		host: &T::AccountId,
		model: ModelId,
		(checker, window, pick): (T::AccountId, u32, gonka_primitives::sampling::Pick),
		finding: &Finding,
	) {
		let (rules, profile) = (T::Rules::get(), Profiles::<T>::get(model));
		let weighed = profile.and_then(|profile| Some((profile, profile.weigh(finding, rules.unavailable)?)));
		let Some((profile, weight)) = weighed else { return };
		let Suspicion { sum, mut heard } = Suspicions::<T>::get(host, model);
		let sum = sum.saturating_add_signed(weight);
		if let Some(said) = Self::said(&profile, finding) {
			if heard.is_full() {
				heard.remove(0);
			}
			// There is room.
			let _ = heard.try_push(Heard { checker, window, pick, said });
		}
		let suspicion = Suspicion { sum, heard };
		// A case that cannot be opened now is opened by the next finding.
		if sum >= profile.alarm.into() && Self::open_case(host, model, profile, &suspicion) {
			Suspicions::<T>::remove(host, model);
		} else {
			Suspicions::<T>::insert(host, model, suspicion);
		}
	}

	/// Which way a finding clearly points.
	pub(crate) fn said(profile: &Profile, finding: &Finding) -> Option<Said> {
		let rules = T::Rules::get();
		let weight = profile.weigh(finding, rules.unavailable)?;
		match finding {
			Finding::Unavailable => Some(Said::Absent),
			_ if weight.unsigned_abs() < u64::from(rules.clear.min(profile.clamp)) => None,
			_ if weight > 0 => Some(Said::Wrong),
			_ => Some(Said::Right),
		}
	}
}

impl<T: Config> SampleVerdicts<T::AccountId> for Pallet<T> {
	fn verdict(host: &T::AccountId, window: u32) -> Option<Verdict> {
		let condemned = Records::<T>::get(host).and_then(|record| record.condemned);
		if condemned.is_some_and(|last| window <= last) {
			return Some(Verdict::Refund);
		}
		if Cases::<T>::contains_key(host) {
			return None;
		}
		let Some(batch) = Batches::<T>::get(host, window) else { return Some(Verdict::Release) };
		let drawing = batch.posted.saturating_add(1);
		let is_waiting = match batch.drawn {
			// A draw that did not get to it in its window never will.
			false => Self::running() <= drawing,
			true => batch.pending > 0 && Self::is_open(drawing),
		};
		(!is_waiting).then_some(Verdict::Release)
	}
}
