//! The pruning of epochs older than the previous one.

use crate::*;
use polkadot_sdk::frame_support::weights::WeightMeter;

/// Maximum number of items of one kind that a block removes.
const BATCH: u32 = 32;
/// Number of kinds of items of an epoch.
const KINDS: u64 = 6;
/// Maximum number of claims that a block visits.
const CLAIMS: u32 = 4;

impl<T: Config> Pallet<T> {
	/// Removes items of the oldest epoch, a few in each block.
	pub(crate) fn prune(meter: &mut WeightMeter) {
		let Some(epoch) = Poc::<T>::running_epoch() else { return };
		Self::prune_claims(epoch.index, meter);
		let oldest = PrunedTo::<T>::get();
		if !Self::is_over(oldest, epoch.index) {
			return;
		}
		let cost = <T as Config>::WeightInfo::prune();
		let room = meter.remaining().checked_div_per_component(&cost.saturating_mul(KINDS)).unwrap_or(0);
		let limit = u32::try_from(room).unwrap_or(u32::MAX).min(BATCH);
		if limit == 0 {
			return;
		}
		let removed = [
			DigestCommitments::<T>::clear_prefix(oldest, limit, None),
			Reveals::<T>::clear_prefix(oldest, limit, None),
			Requests::<T>::clear_prefix((oldest,), limit, None),
			LateAnswers::<T>::clear_prefix((oldest,), limit, None),
			Accused::<T>::clear_prefix((oldest,), limit, None),
			Challenged::<T>::clear_prefix((oldest,), limit, None),
		];
		let loops = removed.iter().fold(1u32, |sum, removed| sum.saturating_add(removed.loops));
		meter.consume(cost.saturating_mul(loops.into()));
		if removed.iter().all(|removed| removed.maybe_cursor.is_none()) {
			PrunedTo::<T>::put(oldest.saturating_add(1));
		}
	}

	/// Removes claims that nobody closed and that can no longer be played. Ids ascend with the epochs.
	fn prune_claims(running: EpochIndex, meter: &mut WeightMeter) {
		let cost = <T as Config>::WeightInfo::prune();
		let (mut id, next) = (OldestClaim::<T>::get(), NextClaim::<T>::get());
		let first = id;
		for _ in 0..CLAIMS {
			if id >= next || meter.try_consume(cost).is_err() {
				break;
			}
			if let Some(claim) = Claims::<T>::get(id) {
				let games = u64::from(Self::max_games()).saturating_add(4);
				if !Self::is_over(claim.epoch, running) || meter.try_consume(cost.saturating_mul(games)).is_err() {
					break;
				}
				Self::remove_claim(id, &claim);
				Self::deposit_event(Event::ClaimDropped { claim: id });
			}
			id = id.saturating_add(1);
		}
		if id > first {
			OldestClaim::<T>::put(id);
		}
	}
}
