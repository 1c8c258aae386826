//! Standings: the results of checks and disputes, and the weights that follow from them.

use crate::{math, types::Standing, *};
use gonka_primitives::{check::Offence, traits::OnServed};

impl<T: Config> Pallet<T> {
	/// The running epoch or a kept one.
	pub fn epoch_of(index: EpochIndex) -> Option<Epoch> {
		Self::running_epoch().filter(|epoch| epoch.index == index).or_else(|| PastEpochs::<T>::get(index))
	}

	/// The running epoch.
	pub fn running_epoch() -> Option<Epoch> {
		CurrentEpoch::<T>::get()
	}

	/// A host's commitments of the sprint, ascending by segment.
	pub fn sprint_commitments(epoch: &Epoch, host: &T::AccountId) -> Vec<(u8, Commitment)> {
		let all = Commitments::<T>::get(epoch.index, host).into_iter();
		all.filter(|(segment, _)| *segment < epoch.schedule.segments).collect()
	}

	/// The counts of a host's sprint, without `lost` segments.
	pub(crate) fn counts(epoch: &Epoch, host: &T::AccountId, lost: &[u8]) -> Vec<u64> {
		let all = Self::sprint_commitments(epoch, host).into_iter();
		all.filter(|(segment, _)| !lost.contains(segment)).map(|(_, commitment)| commitment.count).collect()
	}

	/// Notes that `checker` revealed its tags and met `met` of `total` leaf sets.
	pub fn note_digests(epoch: EpochIndex, checker: &T::AccountId, total: u32, met: u32) {
		Self::mutate(epoch, checker, |standing| standing.duties = (total, met.min(total)));
	}

	/// Notes that `checker` did not defend one of its tags.
	pub fn miss_digest(epoch: EpochIndex, checker: &T::AccountId) {
		Self::mutate(epoch, checker, |standing| standing.duties.1 = standing.duties.1.saturating_sub(1));
	}

	/// Notes a request to `host` for openings of `segment`; false if the host has its maximum number of open requests.
	pub fn note_request(epoch: EpochIndex, host: &T::AccountId, segment: u8) -> bool {
		Self::mutate(epoch, host, |standing| standing.requests.try_push(segment).is_ok()).unwrap_or(false)
	}

	/// Notes that `host` posted requested openings of `segment`.
	pub fn note_answer(epoch: EpochIndex, host: &T::AccountId, segment: u8) {
		Self::mutate(epoch, host, |standing| {
			if let Some(position) = standing.requests.iter().position(|other| *other == segment) {
				standing.requests.swap_remove(position);
			}
		});
	}

	/// Whether `host` has an open request for openings.
	pub fn has_open_request(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| !standing.requests.is_empty())
	}

	/// Takes the pay of `host` for `epoch`: it missed a turn of a dispute.
	pub fn forfeit(epoch: EpochIndex, host: &T::AccountId) {
		Self::mutate(epoch, host, |standing| standing.forfeited = true);
	}

	/// Convicts `host`: it is not paid for `epoch`, and its weight becomes 0 unless the offence is a false digest.
	pub fn convict(epoch: EpochIndex, host: &T::AccountId, offence: Offence) {
		let convicted = Self::mutate(epoch, host, |standing| {
			if !standing.is_convicted() {
				standing.offence = Some(offence);
			}
			standing.is_convicted()
		});
		if convicted == Some(true) && Self::weighing() == Some(epoch) {
			Self::remove_power(host);
		}
	}

	/// Notes that `host` equivocated as a validator. It loses its power, and the weight and pay of the epoch that
	/// gave it. A validator without weight, such as a guardian, only loses its power.
	pub fn note_equivocation(host: &T::AccountId) {
		let epoch = Self::weighing().or_else(|| Self::running_epoch().map(|epoch| epoch.index));
		if let Some(epoch) = epoch {
			Self::mutate(epoch, host, |standing| standing.equivocated = true);
		}
		Self::remove_power(host);
	}

	/// The epoch whose weights are being counted, or else in force.
	fn weighing() -> Option<EpochIndex> {
		let counting = WeighProgress::<T>::exists().then(Self::running_epoch).flatten();
		counting.map(|epoch| epoch.index).or_else(LastWeighed::<T>::get)
	}

	/// Removes a host's power, and the host from the weighing in progress.
	fn remove_power(host: &T::AccountId) {
		Candidates::<T>::mutate(|candidates| candidates.retain(|(who, _)| who != host));
		Power::<T>::mutate(|power| {
			// The chain needs a validator.
			if power.len() > 1 && power.iter().any(|(who, _)| who == host) {
				power.retain(|(who, _)| who != host);
				PowerChanged::<T>::put(true);
			}
		});
		if let Some(mut progress) = WeighProgress::<T>::get() {
			progress.validators.retain(|(who, _)| who != host);
			progress.checkers.retain(|(who, _)| who != host);
			WeighProgress::<T>::put(progress);
		}
	}

	/// The offence that `host` was convicted of.
	pub fn offence(epoch: EpochIndex, host: &T::AccountId) -> Option<Offence> {
		Standings::<T>::get(epoch, host)?.offence
	}

	/// Whether the weight of `host` is 0 because of a conviction.
	pub fn is_convicted(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| standing.is_convicted())
	}

	/// Whether the weight of `host` is 0 because of an offence or an equivocation.
	pub(crate) fn is_weightless(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| standing.is_weightless())
	}

	fn mutate<R>(epoch: EpochIndex, host: &T::AccountId, change: impl FnOnce(&mut Standing) -> R) -> Option<R> {
		Standings::<T>::mutate(epoch, host, |standing| standing.as_mut().map(change))
	}

	/// The effective weight of `host` in a weighed epoch, in leaves; 0 if it has none.
	pub fn weight(epoch: EpochIndex, host: &T::AccountId) -> u64 {
		let weights = WeighedEpochs::<T>::get(epoch);
		weights.zip(Standings::<T>::get(epoch, host)).map_or(0, |(weights, standing)| weights.effective(&standing))
	}

	/// The confirmed and the performance factor of a host, in millionths: the share of its sprint that its
	/// confirmations showed, and the share of its duties that it met.
	pub(crate) fn ratios(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> (u64, u64) {
		let called = epoch.confirmations.len() as u32;
		let shown: Vec<u64> = Commitments::<T>::get(epoch.index, host)
			.into_iter()
			.filter(|(segment, _)| *segment >= epoch.schedule.segments)
			.map(|(_, commitment)| commitment.count)
			.collect();
		let median = standing.compute.checked_div(epoch.schedule.segments.into()).unwrap_or(0);
		let performance = if standing.forfeited || standing.offence.is_some() {
			0
		} else {
			let unanswered = standing.requests.len() as u32;
			math::performance(&[standing.duties, standing.audits], called, shown.len() as u32, unanswered)
		};
		(math::confirmed(median, &shown, called), performance)
	}

	/// The median by weight of the hosts' [`math::ratio`]s of work to weight; 0 if too little work was settled for a
	/// comparison.
	pub(crate) fn median_served(epoch: EpochIndex, weights: &EpochWeights) -> u64 {
		let traffic = Served::<T>::get(epoch);
		let enough = T::MinWork::get().saturating_mul(weights.hosts.into());
		if traffic.work < enough { 0 } else { math::median_ratio(&traffic.weights, weights.total) }
	}

	/// The served factor of a host, in millionths.
	pub(crate) fn served(weights: &EpochWeights, standing: &Standing, median: u64) -> u64 {
		math::served(math::ratio(standing.work, weights.counted(standing)), median)
	}

	/// The paid weight of `host`. `median` is that of [`Self::median_served`].
	pub(crate) fn paid(
		epoch: &Epoch,
		weights: &EpochWeights,
		median: u64,
		host: &T::AccountId,
		standing: &Standing,
	) -> u64 {
		let (confirmed, performance) = Self::ratios(epoch, host, standing);
		let served = Self::served(weights, standing, median);
		math::paid(weights.effective(standing), [confirmed, performance, served])
	}
}

impl<T: Config> OnServed<T::AccountId> for Pallet<T> {
	/// Takes constant time: the host's weight moves from one bucket to another.
	fn on_served(host: &T::AccountId, work: u64) {
		// During the weigh phase, the last weights are already being paid and the next are not known yet.
		let epoch = LastWeighed::<T>::get().filter(|_| !WeighProgress::<T>::exists());
		let Some((epoch, weights)) = epoch.and_then(|epoch| Some((epoch, WeighedEpochs::<T>::get(epoch)?))) else {
			return;
		};
		Self::mutate(epoch, host, |standing| {
			let weight = weights.effective(standing);
			if weight > 0 {
				Served::<T>::mutate(epoch, |traffic| traffic.add(weight, standing.work, work));
				standing.work = standing.work.saturating_add(work);
			}
		});
	}
}
