//! The results of the runtime API.

use crate::{types::Assignment, *};
use alloc::vec::Vec;
use gonka_primitives::views::{
	ArbiterView, AssignedAuditsView, AuditView, CaseView, JudgementView, ReputationView, ReviewedView,
};

impl<T: Config> Pallet<T> {
	/// A model's profile.
	pub fn profile(model: ModelId) -> Option<CalibrationProfile> {
		Profiles::<T>::get(model)
	}

	/// The audits that a checker can still report on, by the window in which they were drawn, ascending.
	pub fn audits_view(checker: &T::AccountId) -> Vec<AssignedAuditsView> {
		let running = Self::running();
		let oldest = running.saturating_sub(T::AuditRules::get().report_windows);
		let lists = (oldest..=running).map(|window| (window, Assigned::<T>::get(window, checker)));
		let view = |(window, list): (u32, BoundedVec<_, _>)| AssignedAuditsView {
			window,
			deadline: Self::last_window(window)
				.saturating_add(1)
				.saturating_mul(T::WindowLength::get())
				.saturating_sub(1),
			audits: (0u16..).zip(list).filter_map(|(index, audit)| Self::audit_view(index, audit)).collect(),
		};
		lists.filter(|(_, list)| !list.is_empty()).map(view).collect()
	}

	fn audit_view(index: u16, audit: Assignment<T::AccountId>) -> Option<AuditView> {
		Some(AuditView {
			index,
			url: Self::url(&audit.host),
			root: Batches::<T>::get(&audit.host, audit.window)?.root,
			host: audit.host.into(),
			window: audit.window,
			model: audit.model,
			pick: audit.pick,
			done: audit.done,
		})
	}

	/// The URL of a host's worker; empty if its registration expired meanwhile.
	fn url(host: &T::AccountId) -> Vec<u8> {
		pallet_poc::Hosts::<T>::get(host).map_or_else(Vec::new, |host| host.url.into_inner())
	}

	/// All cases and appeals that are heard, ascending by number: at most `MaxCases`.
	pub fn case_views() -> Vec<CaseView> {
		let open = OpenCases::<T>::get().into_iter();
		let mut cases: Vec<_> = open.filter_map(|hearing| Self::case_view(&hearing.host)).collect();
		cases.sort_by_key(|case| case.id);
		cases
	}

	fn case_view(host: &T::AccountId) -> Option<CaseView> {
		let case = Cases::<T>::get(host)?;
		Some(CaseView {
			id: case.id,
			appeal: case.appeal().is_some(),
			url: Self::url(host),
			host: host.clone().into(),
			model: case.model,
			profile: case.profile,
			opened: case.opened,
			deadline: case.deadline,
			seed: case.seed,
			reviewed: case
				.reviewed
				.into_iter()
				.map(|reviewed| ReviewedView {
					checker: reviewed.finding.checker.into(),
					window: reviewed.finding.window,
					root: reviewed.root,
					pick: reviewed.finding.pick,
				})
				.collect(),
			scope: case.scope.into_inner(),
			arbiters: case
				.arbiters
				.into_iter()
				.map(|arbiter| ArbiterView {
					who: arbiter.who.into(),
					seats: arbiter.seats,
					ruled: arbiter.ruled.map(|(outcome, _)| outcome),
				})
				.collect(),
		})
	}

	/// A host's reputation and the suspicions against it.
	pub fn reputation_view(host: &T::AccountId) -> ReputationView {
		let record = Self::record(host);
		// At most one for each model that the host ever served. It may declare 16 at a time.
		let suspicions =
			Suspicions::<T>::iter_prefix(host).filter(|(_, suspicion)| suspicion.after == record.condemned);
		let mut suspicions: Vec<_> = suspicions.map(|(model, suspicion)| (model, suspicion.sum)).collect();
		suspicions.sort_unstable();
		let (heard, judged): (Vec<_>, Vec<_>) = Cases::<T>::get(host).into_iter().partition(Case::is_heard);
		let judgement = judged.into_iter().find_map(|case| {
			let (id, judgement, deposit) = (case.id, case.judgement?, T::AppealDeposit::get());
			Some(JudgementView { case: id, outcome: judgement.outcome, until: judgement.until, deposit })
		});
		ReputationView {
			reputation: record.reputation,
			receipts: record.receipts,
			muted: record.muted.filter(|last| *last >= Self::epoch()),
			suspicions,
			case: heard.first().map(|case| case.id),
			judgement,
		}
	}

	/// Whether a host was found guilty and is still muted, or is found guilty unless its appeal succeeds.
	pub fn is_condemned(host: &T::AccountId) -> bool {
		let is_guilty = |case: CaseOf<T>| case.judgement.is_some_and(|judgement| judgement.outcome == Outcome::Guilty);
		Records::<T>::get(host).is_some_and(|record| record.condemned.is_some() && record.is_muted(Self::epoch()))
			|| Cases::<T>::get(host).is_some_and(is_guilty)
	}

	/// The parameters of audits and cases.
	pub fn rules() -> AuditRules {
		T::AuditRules::get()
	}
}
