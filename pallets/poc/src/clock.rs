//! The clock and what it drives: epochs, seeds, weighing, pruning.

use crate::{types::Weighing, *};
use frame_support::weights::WeightMeter;
use gonka_primitives::hashing::{blake2_256, domain};

/// Number of epochs before the running one whose state is kept.
pub(crate) const KEPT_EPOCHS: EpochIndex = 2;

type WeighingOf<T> =
	Weighing<<T as frame_system::Config>::AccountId, <T as Config>::MaxValidators, <T as Config>::MaxCheckers>;

impl<T: Config> Pallet<T> {
	/// Adds the block's beacon to the running hash of all beacons.
	///
	/// A block's author knows the VRF outputs of all slots in which it may author. If a seed followed from one output
	/// alone, the author of the right block could compute leaves long before everybody else. The running hash is known
	/// no earlier than the block before.
	pub(crate) fn mix_beacon() {
		Mix::<T>::mutate(|mix| *mix = blake2_256(&[domain::BEACON_MIX, mix, &T::Beacon::randomness()]));
	}

	/// The random value of this block, for seeds and draws.
	pub fn beacon() -> Hash {
		Mix::<T>::get()
	}

	/// Advances the epoch to block `now`: starts the next epoch when it is due, or draws a segment's seed or the
	/// committees.
	pub(crate) fn tick(now: BlockNumber) -> (Epoch, Weight) {
		let mut epoch = match CurrentEpoch::<T>::get() {
			Some(epoch) if epoch.offset(now) < epoch.schedule.length => epoch,
			previous => Self::start_epoch(previous.map_or(0, |epoch| epoch.index.saturating_add(1)), now),
		};
		let mut weight = T::WeightInfo::tick();
		let offset = epoch.offset(now);
		let round = epoch.rounds();
		if round > 0 && epoch.draw_of(round).map(|draw| draw.saturating_add(epoch.schedule.checking())) == Some(offset)
		{
			weight = weight.saturating_add(T::WeightInfo::follow_confirmations(Self::follow_confirmations(&epoch)));
		}
		let next = round.saturating_add(1);
		if let Some(segment) = epoch.schedule.segment_starting_at(offset) {
			Self::start_segment(&mut epoch, segment);
		} else if epoch.schedule.draw_of(next, &epoch.confirmations) == Some(offset) {
			let beacon = Self::beacon();
			if epoch.round_beacons.try_push(beacon).is_ok() {
				Self::deposit_event(Event::RoundDrawn { epoch: epoch.index, round: next, beacon });
			}
			CurrentEpoch::<T>::put(&epoch);
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
		let seed = ModelSeed(epoch.model_seed).segment(segment, &Self::beacon()).0;
		if epoch.segment_seeds.try_push(seed).is_ok() {
			Self::deposit_event(Event::SegmentStarted { epoch: epoch.index, segment, seed });
		}
		CurrentEpoch::<T>::put(epoch);
	}

	/// Whether the beacon calls a confirmation segment now. Each block has the same probability, so the segments that
	/// were called say nothing about those to come.
	fn calls_confirmation(epoch: &Epoch) -> bool {
		let hash = blake2_256(&[b"gonka/confirmation", &Self::beacon()]);
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
		let model_seed = ModelSeed::derive(&Self::genesis_hash(), index, format, &Self::beacon()).0;
		let epoch = Epoch {
			index,
			start: now,
			schedule: T::Schedule::get(),
			format,
			model_seed,
			segment_seeds: Default::default(),
			confirmations: Default::default(),
			beacon: None,
			round_beacons: Default::default(),
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
		// Until some host has weight, there is nobody whose weight could have been proven.
		let is_first = Candidates::<T>::decode_len().unwrap_or(0) == 0;
		let before = Self::weighed_before().filter(|_| !is_first);
		for (host, mut standing) in page {
			let checkers = committees.as_ref().map_or(0, |all| all.of(&host, standing.participant).len() as u32);
			standing.committee = checkers as u8;
			let shown = before.as_ref().map(|before| Self::shown(before, &host));
			// 0 on a chain; tests make hosts with weight and without a committee.
			let (mut compute, mut backed) = (standing.compute, standing.backed);
			if checkers > 0 || AllowUnchecked::<T>::get() {
				let counts = Self::counts(epoch, &host, &standing);
				let claimed = math::compute_weight(&counts, epoch.schedule.segments);
				compute = standing.answered(0, claimed);
				if let (Some((shown, _)), 1..) = (shown, standing.unanswered_in(0)) {
					// What it claims beyond what it has shown before must not be in doubt.
					compute = compute.min(standing.answered(0, shown));
				}
				backed = T::Backing::backed(&host, epoch.index, compute).min(compute);
			}
			standing.weigh(compute, backed, shown);
			if standing.duties.due == 0 {
				// The host revealed no tags, so it missed all its sets.
				standing.duties.due = committees.as_ref().map_or(0, |all| all.sets_at_most(&host));
			}
			if standing.backed > 0 && !standing.is_weightless() {
				progress.add(host.clone(), &standing, T::HasSessionKeys::contains(&host));
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

	/// Fixes the caps, the next checkers and the power.
	fn finish(epoch: EpochIndex, progress: WeighingOf<T>) {
		let share = T::MaxShare::get().mul_floor(math::MILLION);
		let Capped { total, cap } = progress.backed.capped(share);
		let (proven, votes) = (progress.proven.capped(share), progress.votes.capped(share));
		let weights = EpochWeights { total, cap, hosts: progress.proven.hosts, proven, votes };
		WeighedEpochs::<T>::insert(epoch, weights);
		LastWeighed::<T>::put(epoch);
		if !progress.validators.is_empty() {
			let validators = progress.validators.iter().map(|(who, weight)| (who.clone(), proven.cap.min(*weight)));
			Power::<T>::put(Self::share_power(epoch, proven.total, validators.collect()));
			PowerChanged::<T>::put(true);
		}
		if !progress.candidates.is_empty() {
			Candidates::<T>::put(progress.into_candidates(proven.cap));
		}
		Self::deposit_event(Event::EpochWeighed { epoch, weights });
	}

	/// The power of validators with these weights, descending, and of the guardians while the network is not mature.
	fn share_power(
		epoch: EpochIndex,
		total: u64,
		mut weights: Vec<(T::AccountId, u64)>,
	) -> BoundedVec<(T::AccountId, u64), T::MaxValidators> {
		let mut guardians: Vec<_> = Guardians::<T>::get().into_inner();
		guardians.retain(|guardian| {
			total < T::MaturityThreshold::get()
				&& T::HasSessionKeys::contains(guardian)
				&& !Self::is_weightless(epoch, guardian)
		});
		// Guardians without weight need slots, too.
		weights.truncate((T::MaxValidators::get() as usize).saturating_sub(guardians.len()));
		let power = math::guard(weights, &guardians, T::GuardianShare::get().mul_floor(math::MILLION));
		BoundedVec::truncate_from(power)
	}

	/// Lets the validators' power follow what their confirmations of the day have shown so far. Returns the number of
	/// hosts visited.
	///
	/// Power that nobody showed stays where it was: there is nothing else to go by.
	pub(crate) fn follow_confirmations(epoch: &Epoch) -> u32 {
		let weights = LastWeighed::<T>::get().filter(|last| *last == epoch.index).and_then(WeighedEpochs::<T>::get);
		let (Some(weights), old) = (weights, Power::<T>::get()) else { return 0 };
		let visited = old.len() as u32;
		let shown = |who: &T::AccountId| {
			let standing = Standings::<T>::get(epoch.index, who)?;
			Some(math::scale(weights.proven(&standing), Self::confirmed(epoch, who, &standing)))
		};
		let mut all: Vec<_> = old.iter().map(|(who, _)| (who.clone(), shown(who).unwrap_or(0))).collect();
		all.sort_by_key(|(_, weight)| core::cmp::Reverse(*weight));
		if all.first().is_none_or(|(_, weight)| *weight == 0) {
			return visited;
		}
		let new = Self::share_power(epoch.index, weights.proven.total, all);
		if math::has_moved(&old, &new) {
			Power::<T>::put(new);
			PowerChanged::<T>::put(true);
			Self::deposit_event(Event::PowerFollowed { epoch: epoch.index, round: epoch.rounds() });
		}
		visited
	}

	/// Closes the epoch before `running`: its confirmations and disputes are over, so it can be paid.
	pub(crate) fn close_previous(running: EpochIndex) {
		let Some(previous) = running.checked_sub(1) else { return };
		let total = WeighedEpochs::<T>::get(previous).map_or(0, |weights| weights.proven.total);
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
			CandidateCount::<T>::remove(oldest);
			KnownCount::<T>::remove(oldest);
			NewCount::<T>::remove(oldest);
			PastEpochs::<T>::remove(oldest);
			PrunedTo::<T>::put(oldest.saturating_add(1));
		}
	}
}
