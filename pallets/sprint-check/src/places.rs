//! The places of an accusation's refuters, and the draw of those that are appointed.
//!
//! An accuser could fill all places with hosts of its own that then stay silent. So the beacon of a later block appoints
//! refuters by weight, and each has a place that nobody else can take.

use crate::{types::Places, *};
use alloc::vec::Vec;
use gonka_primitives::traits::Beacon;
use gonka_sprint::committee::appoint;

/// The checkers of an epoch, and the weights by which they are drawn.
type Electorate<T> = (EpochIndex, Vec<<T as frame_system::Config>::AccountId>, Vec<u64>);

impl<T: Config> Pallet<T> {
	/// Draws the refuters of all accusations that are due: of the block before the last. Returns their number.
	pub(crate) fn draw_refuters() -> u32 {
		let waiting = Waiting::<T>::get();
		let due = waiting.partition_point(|(block, _)| *block <= Self::now());
		if due == 0 {
			return 0;
		}
		let mut waiting = waiting.into_inner();
		let rest = waiting.split_off(due);
		Waiting::<T>::put(BoundedVec::<_, T::MaxClaims>::truncate_from(rest));
		let beacon = <T as pallet_poc::Config>::Beacon::randomness();
		let mut electorate: Option<Electorate<T>> = None;
		for (_, id) in waiting {
			let Some(claim) = Claims::<T>::get(id) else { continue };
			let (epoch, checkers, weights) = match electorate.take() {
				Some(known) if known.0 == claim.epoch => known,
				_ => {
					let (checkers, weights) = pallet_poc::Checkers::<T>::get(claim.epoch).into_iter().unzip();
					(claim.epoch, checkers, weights)
				},
			};
			let is_party = |who: &T::AccountId| *who == claim.claimant || *who == claim.host;
			let parties = (0..).zip(&checkers).filter(|(_, who)| is_party(who)).map(|(position, _)| position);
			let appointed = appoint(&beacon, &weights, &parties.collect::<Vec<u32>>());
			let appointed = appointed.into_iter().filter_map(|position| checkers.get(position as usize).cloned());
			let own: Vec<_> = core::iter::once(claim.host).chain(appointed).map(|who| (who, false)).collect();
			let refuters = (own.len() as u32).saturating_sub(1);
			PlacesOf::<T>::insert(id, Places { own: BoundedVec::truncate_from(own), open: 0 });
			Self::deposit_event(Event::RefutersAppointed { claim: id, refuters });
			electorate = Some((epoch, checkers, weights));
		}
		due as u32
	}

	/// Whether `refuter` may begin a refutation: once in a place of its own, or in an open one if it has something at
	/// stake. In an open one it cannot begin twice: a refutation that was lost took the stake.
	pub(crate) fn check_place(id: u32, claim: &ClaimOf<T>, refuter: &T::AccountId) -> Result<(), ValidityError> {
		let places = PlacesOf::<T>::get(id).ok_or(ValidityError::TooEarly)?;
		match places.has_begun(refuter) {
			Some(begun) => ensure!(!begun, ValidityError::SlotUsed),
			None => {
				ensure!(Self::has_stake(claim.epoch, refuter), ValidityError::NoStake);
				ensure!(places.open < T::MaxGames::get(), ValidityError::TooManyGames);
			},
		}
		Ok(())
	}

	/// Notes that `refuter` begins its refutation.
	pub(crate) fn take_place(id: u32, refuter: &T::AccountId) {
		Self::change_place(id, refuter, |own| *own = true, |open| open.saturating_add(1));
	}

	/// Notes that the refutation of `refuter` is over. An open place is free again.
	pub(crate) fn free_place(id: u32, refuter: &T::AccountId) {
		Self::change_place(id, refuter, |_| (), |open| open.saturating_sub(1));
	}

	fn change_place(id: u32, refuter: &T::AccountId, own: impl FnOnce(&mut bool), open: impl FnOnce(u32) -> u32) {
		PlacesOf::<T>::mutate_extant(id, |places| match places.own.iter_mut().find(|(who, _)| who == refuter) {
			Some((_, begun)) => own(begun),
			None => places.open = open(places.open),
		});
	}

	/// The refuters that were appointed to an accusation; `None` before the draw.
	pub(crate) fn appointed(id: u32, claim: &ClaimOf<T>) -> Option<Vec<T::AccountId>> {
		let own = PlacesOf::<T>::get(id)?.own.into_iter().map(|(who, _)| who);
		Some(own.filter(|who| *who != claim.host).collect())
	}

	/// Maximum number of refutations of an accusation at the same time.
	pub(crate) fn max_games() -> u32 {
		T::MaxGames::get().saturating_add(types::MAX_OWN)
	}
}
