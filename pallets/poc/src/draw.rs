//! The draw of committees.
//!
//! The checkers of an epoch are the candidates that the epoch weighed last left and that take part in this one. On a chain's
//! first sprint, or if fewer than two of them take part, known hosts check, too, or new ones if there are no others: a checker
//! alone would have nobody to check it.
//!
//! The draw numbers places: [`new_places`] for new hosts, then those of the checkers and of the other candidates, which are
//! listed by descending weight, then those of other known hosts. So known hosts are checked however many new ones take
//! part, and new hosts however many are known. The order of new hosts and that of known ones are drawn, too: it makes no
//! difference which of them committed first. Where checkers are too few, the lightest hosts have no committee.

use crate::{types::Duty, *};
use alloc::collections::BTreeMap;
use gonka_sprint::committee::{Draw, Order, new_places, partner, qualify, sets_of};

/// Number of a checker's seats in which a duty is looked for. At least half of the places are used: all of them but on the
/// first sprint. Nine of a host's twelve seats are on its committee, so a seat is a duty with a probability of 3/8 or more:
/// a checker with so many seats has no duty among them with a probability of 10⁻¹³.
const MAX_SEATS: usize = 64;

/// The checkers of an epoch, and the draw over them.
pub(crate) struct Committees<T: Config> {
	epoch: EpochIndex,
	/// The checkers, then the other candidates.
	listed: Vec<T::AccountId>,
	positions: BTreeMap<T::AccountId, u32>,
	/// Number of participants.
	participants: u32,
	/// Number of places of new hosts.
	new_places: u32,
	draw: Draw,
	/// The orders of known hosts that are no candidates, and of new hosts.
	orders: (Order, Order),
}

impl<T: Config> Pallet<T> {
	/// Fixes the beacon and the checkers, after the last commitments. Returns the number of hosts visited.
	pub(crate) fn draw(epoch: &mut Epoch) -> u32 {
		let took_part = |(who, _): &(T::AccountId, u64)| Standings::<T>::contains_key(epoch.index, who);
		let candidates = Candidates::<T>::get();
		let mut visited = candidates.len() as u32;
		let mut checkers: Vec<_> = candidates.into_iter().filter(took_part).collect();
		if checkers.len() < 2 {
			// All have the same weight. New hosts check if there are no others.
			let (known, new) = (KnownCount::<T>::get(epoch.index), NewCount::<T>::get(epoch.index));
			let has_known = known > 0 || !checkers.is_empty();
			let numbers = if has_known { 0..known } else { FIRST_NEW..FIRST_NEW.saturating_add(new) };
			let others = numbers.filter_map(|participant| Participants::<T>::get(epoch.index, participant));
			let all = checkers.into_iter().map(|(who, _)| who).chain(others);
			checkers = all.take(T::MaxCheckers::get() as usize).map(|who| (who, 1)).collect();
			visited = visited.saturating_add(checkers.len() as u32);
		}
		let mut weights: Vec<u64> = checkers.iter().map(|(_, weight)| *weight).collect();
		qualify(&mut weights);
		let number = weights.len() as u32;
		// The others get places, but no seats.
		weights.resize(checkers.len(), 0);
		let checkers: Vec<_> = checkers.into_iter().zip(weights).map(|((who, _), weight)| (who, weight)).collect();
		let beacon = Self::beacon();
		epoch.beacon = Some(beacon);
		Checkers::<T>::insert(epoch.index, BoundedVec::<_, T::MaxCheckers>::truncate_from(checkers));
		Self::deposit_event(Event::CommitteesDrawn { epoch: epoch.index, beacon, checkers: number });
		visited
	}

	/// The committees of an epoch; `None` before they are drawn.
	pub(crate) fn committees(epoch: &Epoch) -> Option<Committees<T>> {
		let beacon = epoch.beacon?;
		let (listed, mut weights): (Vec<_>, Vec<_>) = Checkers::<T>::get(epoch.index).into_iter().unzip();
		weights.retain(|weight| *weight > 0);
		let [candidates, known, new] =
			[CandidateCount::<T>::get(epoch.index), KnownCount::<T>::get(epoch.index), NewCount::<T>::get(epoch.index)];
		let number = listed.len() as u32;
		let new_places = new_places(&weights, candidates.saturating_add(known), new);
		let draw = Draw::new(beacon, &weights, new_places.saturating_add(number).saturating_add(known));
		let positions = listed.iter().cloned().zip(0..).collect();
		Some(Committees {
			epoch: epoch.index,
			listed,
			positions,
			participants: candidates.saturating_add(known).saturating_add(new),
			new_places,
			draw,
			orders: (Order::new(&beacon, known), Order::new(&beacon, new)),
		})
	}

	/// The committee of `host`; empty before the draw, and if the host is no participant or has no committee.
	pub fn committee(epoch: &Epoch, host: &T::AccountId) -> Vec<T::AccountId> {
		let Some(committees) = Self::committees(epoch) else { return Vec::new() };
		Standings::<T>::get(epoch.index, host)
			.map_or_else(Vec::new, |standing| committees.of(host, standing.participant).into_iter().cloned().collect())
	}

	/// Whether `checker` has duties.
	pub fn has_duty(epoch: &Epoch, checker: &T::AccountId) -> bool {
		Self::committees(epoch).is_some_and(|committees| committees.has_duty(checker))
	}

	/// The duties of `checker`. Tags are in the order of duties, then of sets.
	pub fn duties(epoch: &Epoch, checker: &T::AccountId) -> Vec<Duty<T::AccountId>> {
		Self::committees(epoch).map_or_else(Vec::new, |committees| committees.duties(checker).collect())
	}
}

impl<T: Config> Committees<T> {
	fn position(&self, who: &T::AccountId) -> Option<u32> {
		self.positions.get(who).copied()
	}

	/// The committee of `host`, the participant with number `participant`.
	pub(crate) fn of(&self, host: &T::AccountId, participant: u32) -> Vec<&T::AccountId> {
		let own = self.position(host);
		let committee = self.place(own, participant).map_or_else(Vec::new, |place| self.draw.committee(place, own));
		committee.into_iter().filter_map(|position| self.listed.get(position as usize)).collect()
	}

	/// The place of a host, by its position among the listed or by its number; `None` if it has none.
	fn place(&self, position: Option<u32>, participant: u32) -> Option<u32> {
		let (known, new) = &self.orders;
		match (position, participant) {
			(Some(position), _) => Some(self.new_places.saturating_add(position)),
			(None, FIRST_NEW..) => {
				Some(new.place(participant.saturating_sub(FIRST_NEW))).filter(|at| *at < self.new_places)
			},
			(None, FIRST_CANDIDATE..) => None,
			(None, _) => Some(self.first_known().saturating_add(known.place(participant))),
		}
	}

	/// The first place of known hosts that are not listed.
	fn first_known(&self) -> u32 {
		self.new_places.saturating_add(self.listed.len() as u32)
	}

	/// The host at a place of the draw, with its number if it is not listed; `None` if the place is unused.
	fn host_at(&self, place: u32) -> Option<(T::AccountId, u32)> {
		let (known, new) = &self.orders;
		let participant = match (place.checked_sub(self.new_places), place.checked_sub(self.first_known())) {
			(None, _) => new.number(place).saturating_add(FIRST_NEW),
			(Some(position), None) => return Some((self.listed.get(position as usize)?.clone(), 0)),
			(_, Some(place)) => known.number(place),
		};
		let host = Participants::<T>::get(self.epoch, participant)?;
		self.position(&host).is_none().then_some((host, participant))
	}

	/// The hosts in whose committees `checker` has a seat, with the numbers of those that are not listed.
	fn assigned_hosts<'a>(&'a self, checker: &'a T::AccountId) -> impl Iterator<Item = (T::AccountId, u32)> + 'a {
		let places = self.position(checker).map_or_else(Vec::new, |position| self.draw.duties(position));
		places.into_iter().filter_map(|place| self.host_at(place)).filter(move |(host, _)| host != checker)
	}

	/// Whether `checker` has a duty. Looks at seats until one is a duty, which takes three on average and never more than
	/// [`MAX_SEATS`].
	pub(crate) fn has_duty(&self, checker: &T::AccountId) -> bool {
		let seats = self.position(checker).into_iter().flat_map(|position| self.draw.places(position));
		seats.take(MAX_SEATS).filter_map(|place| self.host_at(place)).any(|(host, participant)| {
			host != *checker && self.of(&host, participant).into_iter().any(|member| member == checker)
		})
	}

	/// The number of leaf sets of `checker`, two for each of its seats, without looking the hosts up: a few seats may belong
	/// to one host, or to none. Exact where all check all. 0 if it has no duty.
	pub(crate) fn sets_at_most(&self, checker: &T::AccountId) -> u32 {
		if !self.has_duty(checker) {
			return 0;
		}
		let seats = self.position(checker).and_then(|position| self.draw.seat_count(position));
		let hosts = self.participants.min(self.draw.checkable()).saturating_sub(1);
		seats.unwrap_or(hosts).saturating_mul(2)
	}

	/// The duties of `checker`, in the order of the hosts' positions.
	pub(crate) fn duties<'a>(&'a self, checker: &'a T::AccountId) -> impl Iterator<Item = Duty<T::AccountId>> + 'a {
		let duty = move |(host, participant): (T::AccountId, u32)| {
			let committee = self.of(&host, participant);
			let member = committee.iter().position(|other| *other == checker)? as u32;
			let size = committee.len() as u32;
			let with_partner = |set: u32| {
				let other = partner(member, set, size).and_then(|other| committee.get(other as usize));
				(set as u8, other.map(|other| (*other).clone()))
			};
			let sets = sets_of(member, size).into_iter().map(with_partner).collect();
			Some(Duty { host, sets })
		};
		self.assigned_hosts(checker).filter_map(duty)
	}
}
