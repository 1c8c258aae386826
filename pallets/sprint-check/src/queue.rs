//! The open claims. When there are `MaxClaims`, the claim of the lightest host gives way to one of a heavier host.

use crate::{types::Subject, *};

impl<T: Config> Pallet<T> {
	/// The effective weight of `opener` in the epoch weighed last. 0 before the first weighing, when nothing gives way.
	pub(crate) fn weight_of(opener: &T::AccountId) -> u64 {
		pallet_poc::LastWeighed::<T>::get().map_or(0, |epoch| Poc::<T>::weight(epoch, opener))
	}

	/// Whether there is room for a claim of `opener`, or the claim of a lighter host gives way.
	pub(crate) fn has_room(opener: &T::AccountId) -> bool {
		let lightest = || Queue::<T>::get().first().map(|(weight, _)| *weight);
		Claims::<T>::count() < T::MaxClaims::get()
			|| lightest().is_some_and(|lightest| lightest < Self::weight_of(opener))
	}

	/// Adds a claim. Returns its id.
	pub(crate) fn add_claim(claim: ClaimOf<T>) -> Result<u32, Error<T>> {
		let weight = Self::weight_of(&claim.opener);
		if Claims::<T>::count() >= T::MaxClaims::get() {
			Self::give_way(weight)?;
		}
		let id = NextClaim::<T>::get();
		NextClaim::<T>::put(id.checked_add(1).ok_or(Error::<T>::LimitExceeded)?);
		// Of equal weights, the newest is first: the others have waited longer.
		Queue::<T>::try_mutate(|queue| {
			let rank = queue.partition_point(|(other, _)| *other < weight);
			queue.try_insert(rank, (weight, id)).map_err(|_| Error::<T>::LimitExceeded)
		})?;
		if claim.is_accusation() {
			let draw = Self::now().saturating_add(REFUTER_DRAW);
			Waiting::<T>::try_append((draw, id)).map_err(|_| Error::<T>::LimitExceeded)?;
			OpenAccusations::<T>::mutate(&claim.opener, |open| *open = open.saturating_add(1));
		} else {
			OpenChallenges::<T>::mutate(&claim.opener, |open| *open = open.saturating_add(1));
		}
		Claims::<T>::insert(id, claim);
		Ok(id)
	}

	/// Drops the claim of the lightest host, if that has less than `weight`. Its opener may open it again. Refutations do
	/// not protect it: one host could begin one of each claim of its own.
	fn give_way(weight: u64) -> Result<(), Error<T>> {
		let lightest = Queue::<T>::get().first().copied().filter(|(lightest, _)| *lightest < weight);
		let (_, id) = lightest.ok_or(Error::<T>::LimitExceeded)?;
		let claim = Claims::<T>::get(id).ok_or(Error::<T>::NotFound)?;
		Self::remove_claim(id, &claim);
		match claim.subject {
			Subject::Accusation { .. } => Accused::<T>::remove((claim.epoch, &claim.claimant, &claim.host)),
			Subject::Challenge { round, set, .. } => {
				Challenged::<T>::remove((claim.epoch, &claim.claimant, (&claim.host, round, set)));
			},
		}
		Self::deposit_event(Event::ClaimDropped { claim: id });
		Ok(())
	}

	/// Removes a claim and all its games.
	pub(crate) fn remove_claim(id: u32, claim: &ClaimOf<T>) {
		Claims::<T>::remove(id);
		// The limit covers all games of a claim.
		let _ = Games::<T>::clear_prefix(id, Self::max_games(), None);
		Queue::<T>::mutate(|queue| queue.retain(|(_, other)| *other != id));
		let less = |open: &mut Option<u32>| {
			*open = open.and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
		};
		if claim.is_accusation() {
			if PlacesOf::<T>::take(id).is_none() {
				Waiting::<T>::mutate(|waiting| waiting.retain(|(_, other)| *other != id));
			}
			OpenAccusations::<T>::mutate_exists(&claim.opener, less);
		} else {
			OpenChallenges::<T>::mutate_exists(&claim.opener, less);
		}
	}
}
