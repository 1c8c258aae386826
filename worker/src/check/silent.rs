//! The hosts of a round that serve no openings, where they may be more than a checker can request openings of.

use crate::tasks::slot;
use gonka_primitives::{
	AccountId, BlockNumber,
	epoch::Schedule,
	views::{CheckView, DutyView},
};
use gonka_sprint::priority;
use std::{
	collections::BTreeSet,
	ops::Bound,
	sync::{Mutex, PoisonError},
};

/// A host's place among those that a checker has to check.
#[derive(Clone, Copy, Debug)]
pub struct Rank {
	/// Whether it takes part as a new host. New hosts and others have requests of their own.
	pub is_new: bool,
	/// Its priority in a sample by the weight that depends on the check. Each checker has an order of its own, and light hosts,
	/// however much they claim and however many they are, use up few of the requests.
	pub priority: u128,
}

impl Rank {
	/// Returns the rank of a host among those that `checker` checks.
	pub fn of(view: &CheckView, duty: &DutyView, checker: &AccountId) -> Self {
		let hash = slot("order", &(checker, duty.host, view.beacon));
		Self { is_new: duty.is_new, priority: priority(duty.stake, &hash) }
	}
}

/// The silent hosts that were found so far: those that are new, and the others.
#[derive(Default)]
pub struct Silent {
	limit: usize,
	/// Whether the checker has more hosts of a kind to check than requests.
	scarce: [bool; 2],
	found: Mutex<[BTreeSet<u128>; 2]>,
}

impl Silent {
	/// Makes it for the duties of a round.
	pub fn new(view: &CheckView) -> Self {
		let limit = usize::from(view.request_limit);
		let count = |is_new| view.duties.iter().filter(|duty| duty.is_new == is_new).count();
		Self { limit, scarce: [false, true].map(|is_new| count(is_new) > limit), found: Mutex::default() }
	}

	/// Adds a silent host.
	pub fn add(&self, Rank { is_new, priority }: Rank) {
		let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
		found[usize::from(is_new)].insert(priority);
	}

	/// Returns whether the openings of a silent host may be requested in the block at `offset`, in the round of this `draw`.
	/// Where requests are scarce, this waits for a half of the time for them, until most silent hosts are found: hosts that
	/// refuse at once must not come before heavy ones that keep the checker waiting.
	pub fn may_request(
		&self,
		Rank { is_new, priority }: Rank,
		schedule: &Schedule,
		(draw, offset): (BlockNumber, BlockNumber),
	) -> bool {
		let kind = usize::from(is_new);
		if !self.scarce[kind] {
			return true;
		}
		let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
		let before = found[kind].range((Bound::Excluded(priority), Bound::Unbounded)).count();
		before < self.limit && offset >= draw.saturating_add(schedule.request / 2)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn duty(host: u8, stake: u64, is_new: bool) -> DutyView {
		DutyView { host: [host; 32], url: Vec::new(), is_new, stake, commitments: Vec::new(), sets: Vec::new() }
	}

	fn view(request_limit: u8, duties: Vec<DutyView>) -> CheckView {
		let (beacon, committed) = ([3; 32], None);
		CheckView { epoch: 1, round: 0, beacon, layer: 1, request_limit, duties, committed, revealed: false }
	}

	#[test]
	fn heavy_hosts_come_first_and_equal_ones_in_an_order_of_each_checker() {
		let view = view(12, Vec::new());
		let of = |checker: u8, host, stake| Rank::of(&view, &duty(host, stake, false), &[checker; 32]).priority;
		let decoys = (0..200).filter(|host| of(1, *host, 2) > of(1, 201, 2_000_000)).count();
		assert_eq!(decoys, 0, "two leaves are a millionth of the weight");
		let order = |checker| {
			let mut hosts: Vec<u8> = (0..50).collect();
			hosts.sort_by_key(|host| of(checker, *host, 7));
			hosts
		};
		assert_ne!(order(1), order(2));
	}

	#[test]
	fn scarce_requests_wait_for_the_heaviest_silent_hosts() {
		let schedule = Schedule::MAINNET;
		let duties = (0..4).map(|host| duty(host, 1, host == 3)).collect();
		let silent = Silent::new(&view(2, duties));
		let half = 100 + schedule.request / 2;
		let rank = |priority| Rank { is_new: false, priority };
		silent.add(rank(10));
		assert!(!silent.may_request(rank(10), &schedule, (100, half - 1)), "others may still be found");
		assert!(silent.may_request(rank(10), &schedule, (100, half)));
		[30, 20].into_iter().for_each(|priority| silent.add(rank(priority)));
		let allowed = [10, 20, 30].map(|priority| silent.may_request(rank(priority), &schedule, (100, half)));
		assert_eq!(allowed, [false, true, true], "two requests, for three hosts that are not new");
		let new = Rank { is_new: true, priority: 1 };
		silent.add(new);
		assert!(silent.may_request(new, &schedule, (100, 100)), "one new host: there is no need to wait");
	}
}
