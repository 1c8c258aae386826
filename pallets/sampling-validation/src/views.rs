//! What the runtime API answers.

use crate::{types::Assignment, *};
use alloc::vec::Vec;
use gonka_primitives::views::{AuditView, SampleView, SamplesView, SamplingCaseView, SamplingView};

impl<T: Config> Pallet<T> {
	/// A model's profile.
	pub fn profile(model: ModelId) -> Option<Profile> {
		Profiles::<T>::get(model)
	}

	/// The samples that a checker can still answer for, by the window in which they were drawn, ascending.
	pub fn samples_view(checker: &T::AccountId) -> Vec<SamplesView> {
		let running = Self::running();
		let oldest = running.saturating_sub(T::Rules::get().verdict_windows);
		let lists = (oldest..=running).map(|window| (window, Assigned::<T>::get(window, checker)));
		let view = |(window, list): (u32, BoundedVec<_, _>)| SamplesView {
			window,
			deadline: Self::last_window(window)
				.saturating_add(1)
				.saturating_mul(T::WindowLength::get())
				.saturating_sub(1),
			samples: (0u16..).zip(list).filter_map(|(index, sample)| Self::sample_view(index, sample)).collect(),
		};
		lists.filter(|(_, list)| !list.is_empty()).map(view).collect()
	}

	fn sample_view(index: u16, sample: Assignment<T::AccountId>) -> Option<SampleView> {
		Some(SampleView {
			index,
			url: Self::url(&sample.host),
			root: Batches::<T>::get(&sample.host, sample.window)?.root,
			host: sample.host.into(),
			window: sample.window,
			model: sample.model,
			pick: sample.pick,
			done: sample.done,
		})
	}

	/// Where a host's worker is reached; empty if its registration expired meanwhile.
	fn url(host: &T::AccountId) -> Vec<u8> {
		pallet_poc::Hosts::<T>::get(host).map_or_else(Vec::new, |host| host.url.into_inner())
	}

	/// All open cases, ascending by number: at most `MaxCases`.
	pub fn case_views() -> Vec<SamplingCaseView> {
		let hosts = OpenCases::<T>::get().into_iter();
		let mut cases: Vec<_> = hosts.filter_map(|(host, _)| Self::case_view(&host)).collect();
		cases.sort_by_key(|case| case.id);
		cases
	}

	fn case_view(host: &T::AccountId) -> Option<SamplingCaseView> {
		let case = Cases::<T>::get(host)?;
		Some(SamplingCaseView {
			id: case.id,
			url: Self::url(host),
			host: host.clone().into(),
			model: case.model,
			profile: case.profile,
			opened: case.opened,
			deadline: case.deadline,
			seed: case.seed,
			audit: case
				.audit
				.into_iter()
				.map(|audit| AuditView {
					checker: audit.heard.checker.into(),
					window: audit.heard.window,
					root: audit.root,
					pick: audit.heard.pick,
				})
				.collect(),
			scope: case.scope.into_inner(),
			arbiters: case
				.arbiters
				.into_iter()
				.map(|arbiter| (arbiter.who.into(), arbiter.ruled.map(|(outcome, _)| outcome)))
				.collect(),
		})
	}

	/// How far a host is trusted, and what speaks against it.
	pub fn sampling_view(host: &T::AccountId) -> SamplingView {
		let record = Self::record(host);
		// At most one for each model that it ever served; it may declare 16 at a time.
		let suspicions = Suspicions::<T>::iter_prefix(host).map(|(model, suspicion)| (model, suspicion.sum));
		let mut suspicions: Vec<_> = suspicions.collect();
		suspicions.sort_unstable();
		SamplingView {
			reputation: record.reputation,
			receipts: record.receipts,
			muted: record.muted.filter(|last| *last >= Self::epoch()),
			suspicions,
			case: Cases::<T>::get(host).map(|case| case.id),
		}
	}

	/// Whether a host was found guilty and nobody listens to it yet.
	pub fn is_condemned(host: &T::AccountId) -> bool {
		Records::<T>::get(host).is_some_and(|record| record.condemned.is_some() && record.is_muted(Self::epoch()))
	}

	/// Rates, thresholds and deadlines.
	pub fn rules() -> Rules {
		T::Rules::get()
	}
}
