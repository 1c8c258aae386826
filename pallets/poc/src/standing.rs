//! How hosts stand in an epoch: what checkers and disputes found, and what they are paid for.

use crate::{math, types::Standing, *};
use gonka_primitives::check::Offence;

impl<T: Config> Pallet<T> {
	/// The running epoch, or one of the kept ones.
	pub fn epoch_of(index: EpochIndex) -> Option<Epoch> {
		Self::running_epoch().filter(|epoch| epoch.index == index).or_else(|| PastEpochs::<T>::get(index))
	}

	/// The running epoch.
	pub fn running_epoch() -> Option<Epoch> {
		CurrentEpoch::<T>::get()
	}

	/// What a host committed to in the sprint, ascending by segment.
	pub fn sprint_commitments(epoch: &Epoch, host: &T::AccountId) -> Vec<(u8, Commitment)> {
		let all = Commitments::<T>::get(epoch.index, host).into_iter();
		all.filter(|(segment, _)| *segment < epoch.schedule.segments).collect()
	}

	/// The counts of a host's sprint without `lost` segments.
	pub(crate) fn counts(epoch: &Epoch, host: &T::AccountId, lost: &[u8]) -> Vec<u64> {
		let all = Self::sprint_commitments(epoch, host).into_iter();
		all.filter(|(segment, _)| !lost.contains(segment)).map(|(_, commitment)| commitment.count).collect()
	}

	/// Notes that `checker` revealed its digests, `met` of `total` that it had to compute.
	pub fn note_digests(epoch: EpochIndex, checker: &T::AccountId, total: u32, met: u32) {
		Self::mutate(epoch, checker, |standing| standing.duties = (total, met.min(total)));
	}

	/// Notes that `checker` could not stand by one of the digests that it revealed.
	pub fn miss_digest(epoch: EpochIndex, checker: &T::AccountId) {
		Self::mutate(epoch, checker, |standing| standing.duties.1 = standing.duties.1.saturating_sub(1));
	}

	/// Notes that `host` was asked for openings of `segment`; false if it can have no more requests open.
	pub fn note_request(epoch: EpochIndex, host: &T::AccountId, segment: u8) -> bool {
		Self::mutate(epoch, host, |standing| standing.requests.try_push(segment).is_ok()).unwrap_or(false)
	}

	/// Notes that `host` answered a request for openings of `segment`.
	pub fn note_answer(epoch: EpochIndex, host: &T::AccountId, segment: u8) {
		Self::mutate(epoch, host, |standing| {
			if let Some(position) = standing.requests.iter().position(|other| *other == segment) {
				standing.requests.swap_remove(position);
			}
		});
	}

	/// Whether `host` has been asked for openings and has not answered.
	pub fn has_open_request(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| !standing.requests.is_empty())
	}

	/// `host` is not paid for `epoch`: it missed a turn of a dispute.
	pub fn forfeit(epoch: EpochIndex, host: &T::AccountId) {
		Self::mutate(epoch, host, |standing| standing.forfeited = true);
	}

	/// Convicts `host`: it is not paid for `epoch`, and unless it was only a false digest, its weight becomes 0.
	pub fn convict(epoch: EpochIndex, host: &T::AccountId, offence: Offence) {
		let convicted = Self::mutate(epoch, host, |standing| {
			if !standing.is_convicted() {
				standing.offence = Some(offence);
			}
			standing.is_convicted()
		});
		if convicted == Some(true) && LastSettled::<T>::get() == Some(epoch) {
			Candidates::<T>::mutate(|candidates| candidates.retain(|(who, _)| who != host));
			Power::<T>::mutate(|power| {
				// Somebody must go on with the chain.
				if power.len() > 1 && power.iter().any(|(who, _)| who == host) {
					power.retain(|(who, _)| who != host);
					PowerChanged::<T>::put(true);
				}
			});
		}
	}

	/// What `host` was convicted of.
	pub fn offence(epoch: EpochIndex, host: &T::AccountId) -> Option<Offence> {
		Standings::<T>::get(epoch, host)?.offence
	}

	/// Whether the weight of `host` is 0 for what it was convicted of.
	pub fn is_convicted(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| standing.is_convicted())
	}

	fn mutate<R>(epoch: EpochIndex, host: &T::AccountId, change: impl FnOnce(&mut Standing) -> R) -> Option<R> {
		Standings::<T>::mutate(epoch, host, |standing| standing.as_mut().map(change))
	}

	/// The effective weight of `host` in a settled epoch, in leaves; 0 if it has none.
	pub fn weight(epoch: EpochIndex, host: &T::AccountId) -> u64 {
		let settled = Outcomes::<T>::get(epoch);
		settled.zip(Standings::<T>::get(epoch, host)).map_or(0, |(settled, standing)| settled.effective(&standing))
	}

	/// The share of its sprint that the host's confirmations showed, and the share of its duties that it met; in
	/// millionths.
	pub(crate) fn ratios(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> (u64, u64) {
		let called = epoch.confirmations.len() as u32;
		let shown: Vec<u64> = Commitments::<T>::get(epoch.index, host)
			.into_iter()
			.filter(|(segment, _)| *segment >= epoch.schedule.segments)
			.map(|(_, commitment)| commitment.count)
			.collect();
		let median = standing.raw.checked_div(epoch.schedule.segments.into()).unwrap_or(0);
		let performance = if standing.forfeited || standing.offence.is_some() {
			0
		} else {
			let unanswered = standing.requests.len() as u32;
			math::performance(&[standing.duties, standing.samples], called, shown.len() as u32, unanswered)
		};
		(math::confirmed(median, &shown, called), performance)
	}

	/// The weight that `host` is paid for.
	pub(crate) fn paid(epoch: &Epoch, settled: &Settled, host: &T::AccountId, standing: &Standing) -> u64 {
		let (confirmed, performance) = Self::ratios(epoch, host, standing);
		math::paid(settled.effective(standing), confirmed, performance)
	}
}
