//! The clock and what it drives: epochs, seeds, settling, forgetting.

use crate::{types::Settling, *};
use frame_support::weights::WeightMeter;

/// Epochs whose commitments and weights are kept, besides the running one.
const KEPT_EPOCHS: EpochIndex = 2;
/// Hosts looked at per block to find those that expired.
const SWEEP_BATCH: usize = 4;

impl<T: Config> Pallet<T> {
	/// Brings the epoch up to block `now`: starts the next one when it is due, and draws a segment's seed.
	pub(crate) fn tick(now: BlockNumber) -> Epoch {
		let mut epoch = match CurrentEpoch::<T>::get() {
			Some(epoch) if epoch.offset(now) < epoch.schedule.length => epoch,
			previous => Self::start_epoch(previous.map_or(0, |epoch| epoch.index.saturating_add(1)), now),
		};
		if let Some(segment) = epoch.schedule.segment_starting_at(epoch.offset(now)) {
			let seed = ModelSeed(epoch.model_seed).segment(segment, &T::Beacon::randomness()).0;
			if epoch.segment_seeds.try_push(seed).is_ok() {
				Self::deposit_event(Event::SegmentStarted { epoch: epoch.index, segment, seed });
			}
			CurrentEpoch::<T>::put(&epoch);
		}
		epoch
	}

	fn start_epoch(index: EpochIndex, now: BlockNumber) -> Epoch {
		let profile = T::Profile::get();
		let model_seed = ModelSeed::derive(&Self::genesis_hash(), index, profile, &T::Beacon::randomness()).0;
		let epoch = Epoch {
			index,
			start: now,
			schedule: T::Schedule::get(),
			profile,
			model_seed,
			segment_seeds: Default::default(),
		};
		CurrentEpoch::<T>::put(&epoch);
		Self::deposit_event(Event::EpochStarted { epoch: index, model_seed });
		epoch
	}

	/// Counts the next batch of hosts in; finishes when there are no more.
	pub(crate) fn settle(epoch: &Epoch, mut progress: Settling<T::AccountId, T::MaxValidators>) -> Weight {
		let batch = T::SettleBatch::get() as usize;
		let mut rest = match &progress.after {
			Some(after) => {
				Commitments::<T>::iter_prefix_from(epoch.index, Commitments::<T>::hashed_key_for(epoch.index, after))
			},
			None => Commitments::<T>::iter_prefix(epoch.index),
		};
		let mut visited = 0u32;
		for (host, commitments) in rest.by_ref().take(batch) {
			visited = visited.saturating_add(1);
			let counts: Vec<u64> = commitments.iter().map(|(_, commitment)| commitment.count).collect();
			let weight = math::raw_weight(&counts, epoch.schedule.segments);
			if weight > 0 {
				RawWeights::<T>::insert(epoch.index, &host, weight);
				let has_keys = T::HasSessionKeys::contains(&host);
				progress.add(host.clone(), weight, has_keys);
			}
			progress.after = Some(host);
		}
		if (visited as usize) < batch {
			Self::finish(epoch.index, progress);
		} else {
			Progress::<T>::put(progress);
		}
		T::WeightInfo::settle(visited)
	}

	/// Fixes the cap and the power.
	fn finish(epoch: EpochIndex, progress: Settling<T::AccountId, T::MaxValidators>) {
		let cap = math::cap(&progress.heaviest, progress.total, progress.hosts);
		let total = math::capped_total(&progress.heaviest, progress.total, cap);
		let settled = Settled { total, cap, hosts: progress.hosts };
		Outcomes::<T>::insert(epoch, settled);
		LastSettled::<T>::put(epoch);
		if !progress.validators.is_empty() {
			let weights = progress.validators.into_iter().map(|(who, weight)| (who, weight.min(cap))).collect();
			Power::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(math::normalise(weights)));
			PowerChanged::<T>::put(true);
		}
		Self::deposit_event(Event::EpochSettled { epoch, settled });
		T::OnEpochSettled::on_epoch_settled(epoch, total);
	}

	/// Removes what is left of the oldest epoch, a few items a block.
	pub(crate) fn prune(meter: &mut WeightMeter) {
		let Some(epoch) = CurrentEpoch::<T>::get() else { return };
		let oldest = PrunedTo::<T>::get();
		if oldest.saturating_add(KEPT_EPOCHS) >= epoch.index {
			return;
		}
		let cost = T::WeightInfo::prune();
		let room = meter.remaining().checked_div_per_component(&cost.saturating_mul(2)).unwrap_or(0);
		let limit = u32::try_from(room).unwrap_or(u32::MAX).min(T::SettleBatch::get());
		if limit == 0 {
			return;
		}
		let commitments = Commitments::<T>::clear_prefix(oldest, limit, None);
		let weights = RawWeights::<T>::clear_prefix(oldest, limit, None);
		meter.consume(cost.saturating_mul(commitments.loops.saturating_add(weights.loops).saturating_add(1).into()));
		if commitments.maybe_cursor.is_none() && weights.maybe_cursor.is_none() {
			Outcomes::<T>::remove(oldest);
			PrunedTo::<T>::put(oldest.saturating_add(1));
		}
	}

	/// Forgets hosts that did nothing for `HostExpiry` epochs, looking at a few a block.
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
