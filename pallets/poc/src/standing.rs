//! Standings: the results of checks and disputes, and the weights that follow from them.

use crate::{
	clock::KEPT_EPOCHS,
	math,
	types::{GROWTH, SetDuties, Standing},
	*,
};
use gonka_primitives::{
	check::{Offence, requests_per_kind},
	traits::OnServed,
};

impl<T: Config> Pallet<T> {
	/// The running epoch or a kept one.
	pub fn epoch_of(index: EpochIndex) -> Option<Epoch> {
		Self::running_epoch().filter(|epoch| epoch.index == index).or_else(|| PastEpochs::<T>::get(index))
	}

	/// The running epoch.
	pub fn running_epoch() -> Option<Epoch> {
		CurrentEpoch::<T>::get()
	}

	/// A host's commitments to the segments of a round, ascending by segment.
	pub fn commitments_of(epoch: &Epoch, round: u8, host: &T::AccountId) -> Vec<(u8, Commitment)> {
		let (all, segments) = (Commitments::<T>::get(epoch.index, host), epoch.schedule.segments_of(round));
		all.into_iter().filter(|(segment, _)| segments.contains(segment)).collect()
	}

	/// The worth of the counts of a host's sprint.
	pub(crate) fn counts(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> Vec<u64> {
		let commitments = Self::commitments_of(epoch, 0, host).into_iter();
		let worth = |segment, count| standing.in_time(segment, count, epoch.schedule.segment);
		commitments.map(|(segment, commitment)| worth(segment, commitment.count)).collect()
	}

	/// Notes that `checker` revealed its tags of the `total` leaf sets of a round and met `met` of them.
	pub fn note_digests(epoch: EpochIndex, checker: &T::AccountId, total: u32, met: u32) {
		Self::mutate(epoch, checker, |standing| {
			let SetDuties { revealed, met: before, .. } = standing.duties;
			let (revealed, met) = (revealed.saturating_add(total), before.saturating_add(met.min(total)));
			standing.duties = SetDuties { due: total, revealed, met };
		});
	}

	/// Notes that `checker` did not defend one of its tags: the set is not met. It costs no collateral, since a checker that is
	/// away for the minutes of a dispute is no idle one.
	pub fn miss_digest(epoch: EpochIndex, checker: &T::AccountId) {
		Self::mutate(epoch, checker, |standing| {
			standing.duties.met = standing.duties.met.saturating_sub(1);
		});
	}

	/// Number of new hosts of which a checker may request openings in a round of `epoch`, and that of other hosts.
	pub fn request_limit(epoch: EpochIndex) -> u8 {
		requests_per_kind(Checkers::<T>::get(epoch).iter().filter(|(_, weight)| *weight > 0).count() as u32)
	}

	/// Whether `checker` may request openings of another host, `host`, in a round. New hosts have a number of requests of their
	/// own, and so have the others, so that silent hosts of one kind do not protect those of the other.
	pub fn may_request(epoch: EpochIndex, round: u8, host: &T::AccountId, checker: &T::AccountId) -> bool {
		let standing = |who| Standings::<T>::get(epoch, who);
		let (Some(checker), Some(host)) = (standing(checker), standing(host)) else { return false };
		let (new, others) = checker.asked_in(round);
		(if host.is_new() { new } else { others }) < Self::request_limit(epoch)
	}

	/// Notes a request of `checker` to `host` for openings in a round.
	pub fn note_request(epoch: EpochIndex, round: u8, host: &T::AccountId, checker: &T::AccountId) {
		let is_new = Self::mutate(epoch, host, |standing| {
			let len = standing.unanswered.len().max(usize::from(round).saturating_add(1));
			standing.unanswered.bounded_resize(len, 0);
			if let Some(count) = standing.unanswered.get_mut(usize::from(round)) {
				*count = count.saturating_add(1);
			}
			standing.is_new()
		});
		Self::mutate(epoch, checker, |standing| {
			let (mut new, mut others) = standing.asked_in(round);
			let count = if is_new == Some(true) { &mut new } else { &mut others };
			*count = count.saturating_add(1);
			standing.asked = (round, new, others);
		});
	}

	/// Notes that `host` posted the openings of a request.
	pub fn note_answer(epoch: EpochIndex, round: u8, host: &T::AccountId) {
		Self::mutate(epoch, host, |standing| {
			if let Some(count) = standing.unanswered.get_mut(usize::from(round)) {
				*count = count.saturating_sub(1);
			}
		});
	}

	/// Number of requests for openings that `host` has not answered in a round.
	pub fn unanswered(epoch: EpochIndex, round: u8, host: &T::AccountId) -> u32 {
		Standings::<T>::get(epoch, host).map_or(0, |standing| standing.unanswered_in(round))
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

	/// Notes that `host` equivocated as a validator. It loses its power, and the weight and pay of the last weighed epoch in
	/// which it took part. A validator without weight, such as a guardian, only loses its power.
	pub fn note_equivocation(host: &T::AccountId) {
		let epoch = Self::weighing().or_else(|| Self::running_epoch().map(|epoch| epoch.index));
		if let Some(epoch) = epoch.and_then(|epoch| Self::took_part_last(epoch, host)) {
			Self::mutate(epoch, host, |standing| standing.equivocated = true);
		}
		Self::remove_power(host);
	}

	/// The last epoch up to `epoch` in which `host` took part, as far as epochs are kept.
	pub(crate) fn took_part_last(epoch: EpochIndex, host: &T::AccountId) -> Option<EpochIndex> {
		(epoch.saturating_sub(KEPT_EPOCHS)..=epoch).rev().find(|epoch| Standings::<T>::contains_key(epoch, host))
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
			progress.candidates.retain(|(who, _)| who != host);
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

	/// Number of leaf sets that a host had to check in all rounds.
	pub(crate) fn sets_due(epoch: &Epoch, standing: &Standing) -> u32 {
		standing.duties.due.saturating_mul(u32::from(epoch.rounds()).saturating_add(1))
	}

	/// Number of leaf sets that a host had to check in all rounds that are over or for which it revealed its tags.
	pub(crate) fn sets_due_by_now(epoch: &Epoch, standing: &Standing) -> u32 {
		let now = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		standing.duties.due.saturating_mul(epoch.rounds_over(now).into()).max(standing.duties.revealed)
	}

	/// Whether a host missed so many of its duties that it loses collateral: leaf sets for which it revealed no tag at
	/// all, and audits on which it did not report. A tag of zeros only costs pay, because a host that answers late could
	/// force it on honest checkers.
	pub(crate) fn is_idle(epoch: &Epoch, standing: &Standing) -> bool {
		let sets = (Self::sets_due(epoch, standing), standing.duties.revealed);
		math::is_idle(&[sets, standing.audits], T::MinPerformance::get().mul_floor(math::MILLION))
	}

	/// The proven weight of `host` in the epoch weighed last, in leaves; 0 if it has none.
	pub fn rank(host: &T::AccountId) -> u64 {
		let last = LastWeighed::<T>::get()
			.and_then(|epoch| WeighedEpochs::<T>::get(epoch).zip(Standings::<T>::get(epoch, host)));
		last.map_or(0, |(weights, standing)| weights.proven(&standing))
	}

	/// The worth of the counts of a host's confirmations, less what unanswered requests cost.
	fn confirmations(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> Vec<u64> {
		let round = |segment: u8| segment.checked_sub(epoch.schedule.segments)?.checked_add(1);
		let all = Commitments::<T>::get(epoch.index, host).into_iter();
		all.filter_map(|(segment, commitment)| {
			let round = round(segment).filter(|round| *round <= epoch.rounds())?;
			let count = standing.in_time(segment, commitment.count, epoch.schedule.segment);
			Some(standing.answered(round, count))
		})
		.collect()
	}

	/// The confirmed factor of a host in millionths: the share of its sprint that its confirmations showed.
	pub(crate) fn confirmed(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> u64 {
		let median = standing.compute.checked_div(epoch.schedule.segments.into()).unwrap_or(0);
		math::confirmed(median, &Self::confirmations(epoch, host, standing), epoch.rounds().into())
	}

	/// The confirmed and the performance factor of a host, in millionths: the share of its sprint that its
	/// confirmations showed, and the share of its duties that it met.
	pub(crate) fn ratios(epoch: &Epoch, host: &T::AccountId, standing: &Standing) -> (u64, u64) {
		let performance = if standing.forfeited || standing.offence.is_some() {
			0
		} else {
			let sets = (Self::sets_due_by_now(epoch, standing), standing.duties.met);
			let blocks = math::blocks_duty(standing.blocks);
			let committed = Self::confirmations(epoch, host, standing).len() as u32;
			math::performance(&[sets, standing.audits, blocks], epoch.rounds().into(), committed)
		};
		(Self::confirmed(epoch, host, standing), performance)
	}

	/// The epoch weighed last and the one before, as far as they are kept; `None` if none is weighed.
	pub(crate) fn weighed_before() -> Option<Vec<Epoch>> {
		let last = LastWeighed::<T>::get()?;
		Some([Some(last), last.checked_sub(1)].into_iter().flatten().filter_map(Self::epoch_of).collect())
	}

	/// The weight that depends on the check of a participant: what it claims, and of a host that is not new no more than it can
	/// show.
	pub fn stake(epoch: &Epoch, host: &T::AccountId) -> u64 {
		let Some(standing) = Standings::<T>::get(epoch.index, host) else { return 0 };
		let claimed = math::compute_weight(&Self::counts(epoch, host, &standing), epoch.schedule.segments);
		let (shown, proven) = Self::weighed_before().map_or((0, 0), |before| Self::shown(&before, host));
		match shown.max(proven) {
			known if known > 0 && !standing.is_new() => known.saturating_mul(GROWTH).min(claimed),
			_ => claimed,
		}
	}

	/// Whether `host` has proven weight, and showed some, in the last of the two epochs weighed last in which it took part. All
	/// other hosts are new.
	pub fn is_known(host: &T::AccountId) -> bool {
		let (shown, proven) = Self::weighed_before().map_or((0, 0), |before| Self::shown(&before, host));
		shown > 0 && proven > 0
	}

	/// The weight that a host showed throughout the last of the epochs `before` in which it had any or lost it by an offence, and
	/// the part that was proven there. So a host that misses one sprint is paid again for the next.
	pub(crate) fn shown(before: &[Epoch], host: &T::AccountId) -> (u64, u64) {
		let standing = |epoch: &Epoch| Standings::<T>::get(epoch.index, host).filter(Standing::has_outcome);
		let mut took_part = before.iter().filter_map(|epoch| Some((epoch, standing(epoch)?)));
		let Some((epoch, last)) = took_part.next() else { return (0, 0) };
		let earlier = || took_part.next().map_or(0, |(_, standing)| standing.proven);
		last.shown(epoch.rounds(), earlier, || Self::confirmed(epoch, host, &last))
	}

	/// The median by proven weight of the hosts' [`math::ratio`]s of work to weight; 0 if too little work was settled for a
	/// comparison.
	pub(crate) fn median_served(epoch: EpochIndex, weights: &EpochWeights) -> u64 {
		let traffic = Served::<T>::get(epoch);
		let enough = T::MinWork::get().saturating_mul(weights.hosts.into());
		if traffic.work < enough { 0 } else { math::median_ratio(&traffic.weights, weights.proven.total) }
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
		math::paid(standing.backed, weights.proven(standing), confirmed, [performance, served])
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
			let weight = weights.proven(standing);
			if weight > 0 {
				Served::<T>::mutate(epoch, |traffic| traffic.add(weight, standing.work, work));
				standing.work = standing.work.saturating_add(work);
			}
		});
	}
}
