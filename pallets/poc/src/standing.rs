//! How hosts stand in an epoch: what checkers and disputes found, and what they are paid for.

use crate::{math, types::Standing, *};
use gonka_primitives::{check::Offence, traits::OnServed};

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
		if convicted == Some(true) && Self::weighing() == Some(epoch) {
			Self::remove_power(host);
		}
	}

	/// Notes that `host` equivocated as a validator: its power goes, and its weight and pay of the epoch that gave it.
	/// A validator without weight, as a guardian may be, loses its power alone.
	pub fn note_equivocation(host: &T::AccountId) {
		let epoch = Self::weighing().or_else(|| Self::running_epoch().map(|epoch| epoch.index));
		if let Some(epoch) = epoch {
			Self::mutate(epoch, host, |standing| standing.equivocated = true);
		}
		Self::remove_power(host);
	}

	/// The epoch whose weights are in force, or being counted.
	fn weighing() -> Option<EpochIndex> {
		let counting = Progress::<T>::exists().then(Self::running_epoch).flatten();
		counting.map(|epoch| epoch.index).or_else(LastSettled::<T>::get)
	}

	/// Takes a host's power, and its part in the settlement that is under way.
	fn remove_power(host: &T::AccountId) {
		Candidates::<T>::mutate(|candidates| candidates.retain(|(who, _)| who != host));
		Power::<T>::mutate(|power| {
			// Somebody must go on with the chain.
			if power.len() > 1 && power.iter().any(|(who, _)| who == host) {
				power.retain(|(who, _)| who != host);
				PowerChanged::<T>::put(true);
			}
		});
		if let Some(mut progress) = Progress::<T>::get() {
			progress.validators.retain(|(who, _)| who != host);
			progress.checkers.retain(|(who, _)| who != host);
			Progress::<T>::put(progress);
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

	/// Whether the weight of `host` is 0 for what it did.
	pub(crate) fn is_weightless(epoch: EpochIndex, host: &T::AccountId) -> bool {
		Standings::<T>::get(epoch, host).is_some_and(|standing| standing.is_weightless())
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

	/// The median by weight of what hosts served for their weight, as a [`math::ratio`]; 0 if too little was served in
	/// all to compare anybody with.
	pub(crate) fn median_served(epoch: EpochIndex, settled: &Settled) -> u64 {
		let traffic = Served::<T>::get(epoch);
		let enough = T::LeastWork::get().saturating_mul(settled.hosts.into());
		if traffic.work < enough { 0 } else { math::median_ratio(&traffic.weights, settled.total) }
	}

	/// The served factor of a host, in millionths.
	pub(crate) fn served(settled: &Settled, standing: &Standing, median: u64) -> u64 {
		math::served(math::ratio(standing.work, settled.counted(standing)), median)
	}

	/// The weight that `host` is paid for. `median`: of what was served.
	pub(crate) fn paid(epoch: &Epoch, settled: &Settled, median: u64, host: &T::AccountId, standing: &Standing) -> u64 {
		let (confirmed, performance) = Self::ratios(epoch, host, standing);
		let served = Self::served(settled, standing, median);
		math::paid(settled.effective(standing), [confirmed, performance, served])
	}
}

impl<T: Config> OnServed<T::AccountId> for Pallet<T> {
	/// Constant: the host's weight moves from one bucket to another.
	fn on_served(host: &T::AccountId, work: u64) {
		// While weights are counted, the last ones are being paid and the next are not known yet.
		let epoch = LastSettled::<T>::get().filter(|_| !Progress::<T>::exists());
		let Some((epoch, settled)) = epoch.and_then(|epoch| Some((epoch, Outcomes::<T>::get(epoch)?))) else { return };
		Self::mutate(epoch, host, |standing| {
			let weight = settled.effective(standing);
			if weight > 0 {
				Served::<T>::mutate(epoch, |traffic| traffic.add(weight, standing.work, work));
				standing.work = standing.work.saturating_add(work);
			}
		});
	}
}
