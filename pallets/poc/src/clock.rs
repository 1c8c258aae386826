//! The clock and what it drives: epochs, seeds, weighing, pruning.

use crate::{types::Weighing, *};
use frame_support::weights::WeightMeter;
use gonka_primitives::hashing::blake2_256;

/// Number of epochs before the running one whose state is kept.
const KEPT_EPOCHS: EpochIndex = 2;
/// Hosts that the sweep visits in a block.
const SWEEP_BATCH: usize = 4;

type WeighingOf<T> =
	Weighing<<T as frame_system::Config>::AccountId, <T as Config>::MaxValidators, <T as Config>::MaxCheckers>;

impl<T: Config> Pallet<T> {
	/// Advances the epoch to block `now`: starts the next epoch when it is due, or draws a segment's seed or the
	/// committees.
	pub(crate) fn tick(now: BlockNumber) -> (Epoch, Weight) {
		let mut epoch = match CurrentEpoch::<T>::get() {
			Some(epoch) if epoch.offset(now) < epoch.schedule.length => epoch,
			previous => Self::start_epoch(previous.map_or(0, |epoch| epoch.index.saturating_add(1)), now),
		};
		let mut weight = T::WeightInfo::tick();
		let offset = epoch.offset(now);
		if let Some(segment) = epoch.schedule.segment_starting_at(offset) {
			Self::start_segment(&mut epoch, segment);
		} else if offset == epoch.schedule.draw() {
			weight = weight.saturating_add(T::WeightInfo::draw(Self::draw(&mut epoch)));
			CurrentEpoch::<T>::put(&epoch);
		} else if epoch.schedule.may_confirm(&epoch.confirmations, offset) && Self::calls_confirmation(&epoch) {
			let number = epoch.schedule.segments.saturating_add(epoch.confirmations.len() as u8);
			if epoch.confirmations.try_push(offset).is_ok() {
				Self::start_segment(&mut epoch, number);
			}
		}
		(epoch, weight)
	}

	fn start_segment(epoch: &mut Epoch, segment: u8) {
		let seed = ModelSeed(epoch.model_seed).segment(segment, &T::Beacon::randomness()).0;
		if epoch.segment_seeds.try_push(seed).is_ok() {
			Self::deposit_event(Event::SegmentStarted { epoch: epoch.index, segment, seed });
		}
		CurrentEpoch::<T>::put(epoch);
	}

	/// Whether the beacon calls a confirmation segment now. Each block has the same probability, so the segments that
	/// were called say nothing about those to come.
	fn calls_confirmation(epoch: &Epoch) -> bool {
		let hash = blake2_256(&[b"gonka/confirmation", &T::Beacon::randomness()]);
		let draw = u64::from_le_bytes(hash.first_chunk().copied().unwrap_or_default());
		let blocks = u64::from(epoch.schedule.confirmation_blocks());
		draw.checked_rem(blocks).is_some_and(|draw| draw < epoch.schedule.confirmations.into())
	}

	fn start_epoch(index: EpochIndex, now: BlockNumber) -> Epoch {
		if let Some(previous) = CurrentEpoch::<T>::get() {
			PastEpochs::<T>::insert(previous.index, previous);
		}
		T::OnEpochStart::on_epoch_start(index);
		let format = T::SprintFormat::get();
		let model_seed = ModelSeed::derive(&Self::genesis_hash(), index, format, &T::Beacon::randomness()).0;
		let epoch = Epoch {
			index,
			start: now,
			schedule: T::Schedule::get(),
			format,
			model_seed,
			segment_seeds: Default::default(),
			confirmations: Default::default(),
			beacon: None,
		};
		CurrentEpoch::<T>::put(&epoch);
		Self::deposit_event(Event::EpochStarted { epoch: index, model_seed });
		epoch
	}

	/// Weighs the next batch of participants. Finishes the epoch after the last.
	pub(crate) fn weigh(epoch: &Epoch, mut progress: WeighingOf<T>) -> Weight {
		let batch = T::WeighBatch::get() as usize;
		let rest = match &progress.after {
			Some(after) => {
				Standings::<T>::iter_prefix_from(epoch.index, Standings::<T>::hashed_key_for(epoch.index, after))
			},
			None => Standings::<T>::iter_prefix(epoch.index),
		};
		let page: Vec<_> = rest.take(batch).collect();
		let visited = page.len() as u32;
		let committees = Self::committees(epoch);
		for (host, mut standing) in page {
			let checked = committees.as_ref().is_some_and(|all| !all.of(&host, standing.participant).is_empty());
			if checked || AllowUnchecked::<T>::get() {
				let counts = Self::counts(epoch, &host, &standing.requests);
				standing.compute = math::compute_weight(&counts, epoch.schedule.segments);
				standing.backed = T::Backing::backed(&host, epoch.index, standing.compute).min(standing.compute);
			}
			if standing.duties == (0, 0) {
				// The host revealed no tags. Count the sets that it had to check, if any.
				let sets = |duty: Duty<T::AccountId>| duty.sets.len() as u32;
				let duties = committees.iter().flat_map(|all| all.duties(&host).map(sets));
				standing.duties.0 = duties.fold(0, u32::saturating_add);
			}
			if standing.backed > 0 && !standing.is_weightless() {
				progress.add(host.clone(), standing.backed, T::HasSessionKeys::contains(&host));
			}
			Standings::<T>::insert(epoch.index, &host, standing);
			progress.after = Some(host);
		}
		if (visited as usize) < batch {
			Self::finish(epoch.index, progress);
		} else {
			WeighProgress::<T>::put(progress);
		}
		T::WeightInfo::weigh(visited)
	}

	/// Fixes the cap, the next checkers and the power.
	fn finish(epoch: EpochIndex, progress: WeighingOf<T>) {
		let cap =
			math::cap(&progress.heaviest, progress.total, progress.hosts, T::MaxShare::get().mul_floor(math::MILLION));
		let total = math::capped_total(&progress.heaviest, progress.total, cap);
		let weights = EpochWeights { total, cap, hosts: progress.hosts };
		WeighedEpochs::<T>::insert(epoch, weights);
		LastWeighed::<T>::put(epoch);
		let mut checkers = progress.checkers;
		checkers.iter_mut().for_each(|(_, weight)| *weight = cap.min(*weight));
		if !checkers.is_empty() {
			Candidates::<T>::put(checkers);
		}
		if !progress.validators.is_empty() {
			let mut weights: Vec<_> =
				progress.validators.into_iter().map(|(who, weight)| (who, weight.min(cap))).collect();
			let mut guardians: Vec<_> = Guardians::<T>::get().into_inner();
			guardians.retain(|guardian| {
				total < T::MaturityThreshold::get()
					&& T::HasSessionKeys::contains(guardian)
					&& !Self::is_weightless(epoch, guardian)
			});
			// Guardians without weight need slots, too.
			weights.truncate((T::MaxValidators::get() as usize).saturating_sub(guardians.len()));
			let power = math::guard(weights, &guardians, T::GuardianShare::get().mul_floor(math::MILLION));
			Power::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(power));
			PowerChanged::<T>::put(true);
		}
		Self::deposit_event(Event::EpochWeighed { epoch, weights });
	}

	/// Closes the epoch before `running`: its confirmations and disputes are over, so it can be paid.
	pub(crate) fn close_previous(running: EpochIndex) {
		let Some(previous) = running.checked_sub(1) else { return };
		let total = WeighedEpochs::<T>::get(previous).map_or(0, |weights| weights.total);
		T::OnEpochClosed::on_epoch_closed(previous, total);
	}

	/// Removes items of the oldest epoch, a few in each block.
	pub(crate) fn prune(meter: &mut WeightMeter) {
		let Some(epoch) = CurrentEpoch::<T>::get() else { return };
		let oldest = PrunedTo::<T>::get();
		if oldest.saturating_add(KEPT_EPOCHS) >= epoch.index {
			return;
		}
		let cost = T::WeightInfo::prune();
		let room = meter.remaining().checked_div_per_component(&cost.saturating_mul(3)).unwrap_or(0);
		let limit = u32::try_from(room).unwrap_or(u32::MAX).min(T::WeighBatch::get());
		if limit == 0 {
			return;
		}
		let commitments = Commitments::<T>::clear_prefix(oldest, limit, None);
		let standings = Standings::<T>::clear_prefix(oldest, limit, None);
		let participants = Participants::<T>::clear_prefix(oldest, limit, None);
		let all = [commitments, standings, participants];
		let loops = all.iter().fold(1u32, |sum, removed| sum.saturating_add(removed.loops));
		meter.consume(cost.saturating_mul(loops.into()));
		if all.iter().all(|removed| removed.maybe_cursor.is_none()) {
			WeighedEpochs::<T>::remove(oldest);
			Served::<T>::remove(oldest);
			Checkers::<T>::remove(oldest);
			ParticipantCount::<T>::remove(oldest);
			PastEpochs::<T>::remove(oldest);
			PrunedTo::<T>::put(oldest.saturating_add(1));
		}
	}

	/// Removes hosts without a registration or commitment for `HostExpiry` epochs. Visits a few hosts in each block.
	pub(crate) fn sweep(meter: &mut WeightMeter) {
		let cost = T::WeightInfo::prune().saturating_mul(SWEEP_BATCH as u64);
		if meter.try_consume(cost).is_err() {
			return;
		}
		let Some(epoch) = CurrentEpoch::<T>::get() else { return };
		let hosts = match SweptTo::<T>::take() {
			Some(after) => Hosts::<T>::iter_from(Hosts::<T>::hashed_key_for(&after)),
			None => Hosts::<T>::iter(),
		};
		let mut seen: Vec<_> = hosts.take(SWEEP_BATCH).collect();
		if seen.len() == SWEEP_BATCH {
			SweptTo::<T>::set(seen.last().map(|(account, _)| account.clone()));
		}
		seen.retain(|(_, host)| host.active.saturating_add(T::HostExpiry::get()) < epoch.index);
		for (account, host) in seen {
			Workers::<T>::remove(host.worker);
			Hosts::<T>::remove(&account);
			Self::deposit_event(Event::HostExpired { host: account });
		}
	}
}
