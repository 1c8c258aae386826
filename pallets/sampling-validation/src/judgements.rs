//! The decisions of cases: judgements that wait for an appeal, appeals, and the consequences.

use crate::{
	types::{Appeal, Arbiter, Arbiters, ClearFinding, Hearing, Judgement},
	*,
};
use alloc::vec::Vec;
use polkadot_sdk::{
	frame_support::traits::{
		fungible::hold::Mutate,
		tokens::{Fortitude, Precision},
	},
	sp_runtime::DispatchResult,
};

/// The currency of deposits.
pub(crate) type Money<T> = <T as pallet_inference_market::Config>::Currency;

impl<T: Config> Pallet<T> {
	/// Decides a case or an appeal whose arbiters have ruled, or whose deadline has passed.
	pub(crate) fn decide(host: &T::AccountId, mut case: CaseOf<T>) {
		for arbiter in &case.arbiters {
			let met = arbiter.ruled.is_some();
			Poc::<T>::note_audits(&arbiter.who, 1, met.into());
			Self::update_record(&arbiter.who, |record| record.missed |= !met);
		}
		let (outcome, window) = (case.outcome(), Self::running());
		if let Some(judgement) = &case.judgement {
			// Only an acquittal reverses a judgement, so nobody gains by withholding evidence in the appeal.
			let last = if outcome == Outcome::Innocent { outcome } else { outcome.max(judgement.outcome) };
			if let Some(appeal) = &judgement.appeal {
				Self::settle_deposit(host, appeal.deposit, outcome == Outcome::Innocent);
			}
			Self::close_case(host, &case, last, judgement.window);
		} else if outcome != Outcome::Innocent && Self::has_larger_draw(case.model, &case.arbiters) {
			let until = Self::now().saturating_add(T::AuditRules::get().appeal_blocks);
			case.judgement = Some(Judgement { outcome, window, until, appeal: None });
			Terms::<T>::insert(until, host, ());
			Self::deposit_event(Event::Judged { case: case.id, host: host.clone(), outcome, until });
			Cases::<T>::insert(host, case);
		} else {
			Self::close_case(host, &case, outcome, window);
		}
	}

	/// Whether a host that serves the model, besides the accused one, was no arbiter.
	fn has_larger_draw(model: ModelId, arbiters: &Arbiters<T::AccountId>) -> bool {
		let rows = TableEpoch::<T>::get().map_or(0, |epoch| Tables::<T>::get(epoch, model).0);
		rows.saturating_sub(1) > arbiters.len() as u32
	}

	/// Lets judgements take effect whose terms have passed, at most `limit`. Returns their number.
	pub(crate) fn end_terms(limit: u32) -> u32 {
		let (now, first) = (Self::now(), OldestTerm::<T>::get());
		let (mut last, mut used, mut ended) = (first, 0u32, 0u32);
		while last < now && used < limit {
			let left = limit.saturating_sub(used);
			let hosts: Vec<_> = Terms::<T>::iter_key_prefix(last).take(left as usize).collect();
			let count = hosts.len() as u32;
			for host in hosts {
				Terms::<T>::remove(last, &host);
				let Some(case) = Cases::<T>::take(&host) else { continue };
				if let Some(Judgement { outcome, window, .. }) = case.judgement {
					Self::close_case(&host, &case, outcome, window);
				}
			}
			ended = ended.saturating_add(count);
			// Finding that no term ends in a block costs less than a judgement, and each block brings one such block.
			used = used.saturating_add(count.max(1));
			if count < left {
				last = last.saturating_add(1);
			}
		}
		if last != first {
			OldestTerm::<T>::put(last);
		}
		ended
	}

	/// Opens the appeal of a host against the judgement of its case.
	pub(crate) fn try_appeal(host: T::AccountId, id: u32) -> DispatchResult {
		let mut case = Cases::<T>::get(&host).filter(|case| case.id == id).ok_or(Error::<T>::NoJudgement)?;
		let judgement = case.judgement.as_mut().filter(|judgement| judgement.appeal.is_none());
		let judgement = judgement.ok_or(Error::<T>::NoJudgement)?;
		let (now, deposit) = (Self::now(), T::AppealDeposit::get());
		ensure!(now <= judgement.until, Error::<T>::TermOver);
		ensure!(Self::has_larger_draw(case.model, &case.arbiters), Error::<T>::NoLargerDraw);
		let mut open = OpenCases::<T>::get();
		let appeals = open.iter().filter(|hearing| hearing.appeal).count() as u32;
		ensure!(appeals < T::MaxCases::get().div_ceil(2), Error::<T>::TooManyAppeals);
		Money::<T>::hold(&HoldReason::Appeal.into(), &host, deposit)?;
		Terms::<T>::remove(judgement.until, &host);
		judgement.appeal = Some(Appeal { deposit, before: core::mem::take(&mut case.arbiters) });
		let appeal = NextCase::<T>::get();
		NextCase::<T>::put(appeal.saturating_add(1));
		(case.id, case.opened, case.seed) = (appeal, now, None);
		case.deadline = now.saturating_add(T::AuditRules::get().case_blocks);
		let next = now.saturating_add(T::AuditRules::get().draw_blocks);
		let hearing = Hearing { host: host.clone(), next, weight: Self::weight_of(&host).0, appeal: true };
		// Appeals are paid for. At most half of the places are theirs, so there is a case that gives way.
		Self::make_room(&mut open, None);
		open.try_push(hearing).map_err(|_| Error::<T>::TooManyAppeals)?;
		OpenCases::<T>::put(open);
		Cases::<T>::insert(&host, case);
		Self::deposit_event(Event::Appealed { case: id, host, appeal });
		Ok(())
	}

	/// Returns the deposit of an appeal, or burns it.
	fn settle_deposit(host: &T::AccountId, deposit: Balance, is_reversed: bool) {
		let reason = HoldReason::Appeal.into();
		// The account holds the deposit, so that both succeed.
		let _ = if is_reversed {
			Money::<T>::release(&reason, host, deposit, Precision::BestEffort)
		} else {
			Money::<T>::burn_held(&reason, host, deposit, Precision::BestEffort, Fortitude::Force)
		};
	}

	/// Closes a case: applies the consequences of its outcome, which was decided in `window`.
	fn close_case(host: &T::AccountId, case: &CaseOf<T>, outcome: Outcome, window: u32) {
		Cases::<T>::remove(host);
		if outcome != Outcome::Innocent {
			Self::update_record(host, |record| {
				record.lose_reputation();
				record.condemned = record.condemned.max(Some(window));
			});
		}
		match outcome {
			Outcome::Guilty => {
				Self::mute(host);
				Poc::<T>::convict_of_inference(host);
			},
			Outcome::Withheld => {
				if let Some(epoch) = Poc::<T>::epoch_at_stake(host) {
					Poc::<T>::forfeit(epoch, host);
				}
			},
			Outcome::Innocent => {},
		}
		Self::review(case);
		Self::deposit_event(Event::CaseClosed { case: case.id, host: host.clone(), outcome });
	}

	/// Compares the clear findings of checkers and arbiters with those of most seats, in an appeal of its
	/// seats. A host with the opposite finding is discredited. A host that found evidence absent which they found
	/// right missed a duty.
	fn review(case: &CaseOf<T>) {
		let mut discredited = Vec::new();
		let before = case.appeal().into_iter().flat_map(|appeal| &appeal.before);
		let arbiters: Vec<_> = case.arbiters.iter().chain(before).collect();
		for (index, reviewed) in case.reviewed.iter().enumerate() {
			let Some(truth) = case.truth(index) else { continue };
			let of_arbiter = |arbiter: &&Arbiter<T::AccountId>| Some((arbiter.who.clone(), arbiter.finding(index)?));
			let report = (reviewed.finding.checker.clone(), reviewed.finding.clear);
			for (who, finding) in arbiters.iter().filter_map(of_arbiter).chain([report]) {
				match (finding, truth) {
					(ClearFinding::Absent, ClearFinding::Right) => {
						Self::update_record(&who, |record| record.missed = true)
					},
					(ClearFinding::Absent, _) => {},
					_ if finding != truth && !discredited.contains(&who) => discredited.push(who),
					_ => {},
				}
			}
		}
		for host in discredited {
			Self::update_record(&host, Record::lose_reputation);
			Self::mute(&host);
			Self::deposit_event(Event::Discredited { host, case: case.id });
		}
	}

	/// Mutes a host: for some epochs it is not drawn, and its findings are ignored.
	fn mute(host: &T::AccountId) {
		let last = Self::epoch().saturating_add(T::AuditRules::get().mute_epochs);
		Self::update_record(host, |record| record.muted = Some(last));
	}
}
