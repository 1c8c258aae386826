//! Seats, blocks and absence.

use crate::*;
use alloc::collections::BTreeMap;
use gonka_primitives::Hash;

impl<T: Config> Pallet<T> {
	/// Counts a block for the validator that `seat` belongs to. Panics, which makes the block invalid, if the seat is not
	/// the validator's first: reports of equivocations demand that both blocks name the same seat.
	pub(crate) fn note_block(seat: u32, now: BlockNumber) {
		Validators::<T>::mutate(|all| {
			let Some((first, validator)) = Self::holder(all.iter_mut(), seat) else { return };
			assert!(seat == first, "a block names the first seat of its author, {first}, and not {seat}");
			validator.blocks = validator.blocks.saturating_add(1);
			validator.last = now;
			validator.missed = 0;
			if validator.absent.is_some_and(|weighings| T::Weighings::get() >= weighings) {
				validator.absent = None;
				Self::deposit_event(Event::Returned { validator: validator.account.clone() });
			}
		});
	}

	/// The validator that `seat` belongs to, with its first seat.
	fn holder<V>(validators: impl Iterator<Item = V>, seat: u32) -> Option<(u32, V)>
	where
		V: core::ops::Deref<Target = Validator<T::AccountId>>,
	{
		let mut first = 0u32;
		for validator in validators {
			let end = first.saturating_add(validator.seats.into());
			if seat < end {
				return Some((first, validator));
			}
			first = end;
		}
		None
	}

	/// The first seat of the validator with this position in the session, if it has any.
	pub fn first_seat(position: usize) -> Option<u32> {
		let validators = Validators::<T>::get();
		let seats = validators.get(position).map_or(0, |validator| validator.seats);
		let before = validators.iter().take(position).map(|validator| u32::from(validator.seats));
		(seats > 0).then(|| before.fold(0, u32::saturating_add))
	}

	/// Records a statement of the present block's author.
	pub(crate) fn state(number: BlockNumber, now: BlockNumber) {
		Validators::<T>::mutate(|all| {
			// The author wrote this block, and nobody else did.
			if let Some(author) = all.iter_mut().find(|validator| validator.last == now) {
				author.finalized = author.finalized.max(number);
				author.stated = now;
			}
		});
	}

	/// Ends a session: returns the number of blocks that each validator wrote, and finds the absent ones and what is known
	/// about finality.
	pub fn end_session() -> Vec<(T::AccountId, u32)> {
		let mut validators = Validators::<T>::get();
		let blocks = validators.iter().fold(0u32, |sum, validator| sum.saturating_add(validator.blocks));
		let seats = validators.iter().fold(0u64, |sum, validator| sum.saturating_add(validator.seats.into()));
		let written = validators
			.iter_mut()
			.map(|validator| {
				if validator.blocks == 0 {
					let expected = math::expected(validator.seats.into(), seats, blocks);
					validator.missed = validator.missed.saturating_add(expected);
				}
				if validator.missed >= math::ABSENT_AFTER {
					Self::mark(validator, 0);
				}
				(validator.account.clone(), validator.blocks)
			})
			.collect();
		Finality::<T>::set(Self::outlook(&validators));
		Validators::<T>::put(validators);
		written
	}

	/// Makes a validator absent until this number of epochs has been weighed, and then until its next block.
	pub(crate) fn mark(validator: &mut Validator<T::AccountId>, weighings: u32) {
		if validator.absent.is_none() {
			Self::deposit_event(Event::Absent { validator: validator.account.clone() });
		}
		validator.absent = validator.absent.max(Some(weighings));
	}

	/// Begins a session with these validators, for whom seats were dealt at the beginning of the session before. Without
	/// validators, those of the session before go on.
	pub fn start_session(accounts: Vec<T::AccountId>, now: BlockNumber) {
		let known = Validators::<T>::get();
		let mut next = if accounts.is_empty() {
			known
		} else {
			let mut known: BTreeMap<_, _> =
				known.into_iter().map(|validator| (validator.account.clone(), validator)).collect();
			let seats = NextSeats::<T>::get().into_iter().chain(core::iter::repeat(0));
			let carry = |(account, seats): (T::AccountId, u16)| match known.remove(&account) {
				Some(validator) => Validator { seats, ..validator },
				None => Validator::new(account, seats),
			};
			BoundedVec::truncate_from(accounts.into_iter().zip(seats).map(carry).collect())
		};
		next.iter_mut().for_each(|validator| validator.blocks = 0);
		Validators::<T>::put(next);
		Starts::<T>::mutate(|starts| {
			let kept = T::LongStallSessions::get() as usize;
			let over = starts.len().saturating_sub(kept);
			starts.drain(..over);
			let _ = starts.try_push(now);
		});
	}

	/// Deals the seats of the next session to its validators, of whom absent ones count less. Returns the number of seats
	/// of each; keeps the seats as they are if there are no validators.
	pub fn deal(mut power: Vec<(T::AccountId, u64)>, randomness: &Hash) -> Vec<u16> {
		if power.is_empty() {
			let kept: Vec<_> = Validators::<T>::get().into_iter().map(|validator| validator.seats).collect();
			NextSeats::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(kept.clone()));
			return kept;
		}
		Self::reduce(&mut power);
		let seats = math::dealt(&power, randomness);
		NextSeats::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(seats.clone()));
		seats
	}

	/// Reduces the power of absent validators.
	pub fn reduce(power: &mut [(T::AccountId, u64)]) {
		let validators = Validators::<T>::get();
		let mut absent: Vec<_> = validators
			.iter()
			.filter(|validator| validator.absent.is_some())
			.map(|validator| &validator.account)
			.collect();
		absent.sort_unstable();
		for (who, power) in power {
			if absent.binary_search(&&*who).is_ok() {
				*power = math::reduced(*power);
			}
		}
	}
}

impl<T: Config> FindAuthor<T::AccountId> for Pallet<T> {
	fn find_author<'a, I>(digests: I) -> Option<T::AccountId>
	where
		I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
	{
		let seat = T::FindSeat::find_author(digests)?;
		Self::holder(Validators::<T>::get().iter(), seat).map(|(_, validator)| validator.account.clone())
	}
}
