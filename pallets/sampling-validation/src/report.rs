//! The effects of findings: met duties, suspicion, and the decisions about held fees.

use crate::{
	types::{ClearFinding, RecentFinding, Suspicion},
	*,
};
use gonka_primitives::{
	audit::Finding,
	traits::{FeeDecision, FeeDecisions},
};
use polkadot_sdk::sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
	/// Applies a report that the pool validated. Returns the number of cases that it opened.
	pub(crate) fn apply_report(report: AuditReport) -> Result<u32, DispatchError> {
		let AuditReport { checker, window, findings } = report;
		let checker = T::AccountId::from(checker);
		let counts = Self::can_check(&checker);
		let (audits, first) = (findings.len() as u32, NextCase::<T>::get());
		Assigned::<T>::try_mutate(window, &checker, |list| {
			for (index, finding) in findings {
				let audit = list.get_mut(usize::from(index)).ok_or(Error::<T>::NotFound)?;
				ensure!(!audit.done, Error::<T>::NotFound);
				audit.done = true;
				Batches::<T>::mutate(&audit.host, audit.window, |batch| {
					if let Some(batch) = batch {
						batch.pending = batch.pending.saturating_sub(1);
					}
				});
				if counts && !Cases::<T>::contains_key(&audit.host) {
					let source = (checker.clone(), audit.window, audit.pick);
					Self::suspect(&audit.host, audit.model, source, &finding);
				}
			}
			Ok::<_, Error<T>>(())
		})?;
		Self::update_record(&checker, |_| ());
		Self::deposit_event(Event::FindingsSubmitted { checker, window, audits });
		Ok(NextCase::<T>::get().saturating_sub(first))
	}

	/// Adds a finding to the suspicion against a host, unless a judgement against it covers the window. Opens a case if the
	/// sum reaches the profile's alarm.
	fn suspect(
		host: &T::AccountId,
		model: ModelId,
		(checker, window, pick): (T::AccountId, u32, gonka_primitives::audit::Pick),
		finding: &Finding,
	) {
		let (rules, profile, record) = (T::AuditRules::get(), Profiles::<T>::get(model), Self::record(host));
		if !record.is_open(window) {
			return;
		}
		let weighed = profile.and_then(|profile| Some((profile, profile.weigh(finding, rules.unavailable)?)));
		let Some((profile, weight)) = weighed else { return };
		let after = record.condemned;
		let known = Suspicions::<T>::get(host, model).filter(|suspicion| suspicion.after == after);
		let Suspicion { sum, mut recent, .. } = known.unwrap_or_else(|| Suspicion::new(after));
		let sum = sum.saturating_add_signed(weight);
		if let Some(clear) = Self::clear_finding(&profile, finding) {
			if recent.is_full() {
				recent.remove(0);
			}
			// There is room.
			let _ = recent.try_push(RecentFinding { checker, window, pick, clear });
		}
		let suspicion = Suspicion { sum, recent, after };
		// If no case can be opened now, the next finding opens it.
		if sum >= profile.alarm.into() && Self::open_case(host, model, profile, &suspicion) {
			Suspicions::<T>::remove(host, model);
		} else {
			Suspicions::<T>::insert(host, model, suspicion);
		}
	}

	/// A finding as a clear one; `None` if it is not clear.
	pub(crate) fn clear_finding(profile: &CalibrationProfile, finding: &Finding) -> Option<ClearFinding> {
		let rules = T::AuditRules::get();
		let weight = profile.weigh(finding, rules.unavailable)?;
		match finding {
			Finding::Unavailable => Some(ClearFinding::Absent),
			_ if weight.unsigned_abs() < u64::from(rules.clear.min(profile.clamp)) => None,
			_ if weight > 0 => Some(ClearFinding::Wrong),
			_ => Some(ClearFinding::Right),
		}
	}
}

impl<T: Config> FeeDecisions<T::AccountId> for Pallet<T> {
	fn decision(host: &T::AccountId, window: u32) -> Option<FeeDecision> {
		if Records::<T>::get(host).is_some_and(|record| !record.is_open(window)) {
			return Some(FeeDecision::Refund);
		}
		if Cases::<T>::contains_key(host) {
			return None;
		}
		let Some(batch) = Batches::<T>::get(host, window) else { return Some(FeeDecision::Release) };
		let drawing = batch.posted.saturating_add(1);
		let is_waiting = match batch.drawn {
			// A settlement that is not drawn from in this window never is.
			false => Self::running() <= drawing,
			true => batch.pending > 0 && Self::is_open(drawing),
		};
		(!is_waiting).then_some(FeeDecision::Release)
	}
}
