//! Dispatch weights of the calls and hooks, estimated by hand.
//!
//! Adding an account to a tally or removing it reads whether it is barred, the list of snapshots and its weight, and writes
//! the counted votes. A poll that changes is stored and gets an alarm: the scheduler's agendas are read and written twice.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// Dispatch weights of `pallet_governance`.
pub trait WeightInfo {
	/// Voting, with `d` delegators.
	fn vote(d: u32) -> Weight;
	/// Removing a vote, with `d` delegators.
	fn remove_vote(d: u32) -> Weight;
	/// Delegating to a host with `v` votes, whose lightest delegator is replaced.
	fn delegate(v: u32) -> Weight;
	/// Ending a delegation to a host with `v` votes.
	fn undelegate(v: u32) -> Weight;
	/// Ending a stall of finality.
	fn end_stall() -> Weight;
	/// Looking for new polls and for weights to copy.
	fn idle() -> Weight;
	/// Recording `n` new polls.
	fn note(n: u32) -> Weight;
	/// Copying `n` weights.
	fn copy(n: u32) -> Weight;
	/// Removing `n` accounts of an ended poll, or `n` weights.
	fn close(n: u32) -> Weight;
	/// Checking a few barred hosts.
	fn sweep() -> Weight;
	/// Removing a convicted host and its `d` delegators from `p` polls.
	fn withdraw_from_class(p: u32, d: u32) -> Weight;
}

/// Dispatch weights with the database costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> SubstrateWeight<T> {
	/// Adding `n` accounts to a tally or removing them.
	fn count(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads_writes(4, 1))
			.saturating_mul(n.into())
	}

	/// Changing `n` polls.
	fn poll(n: u32) -> Weight {
		Weight::from_parts(30_000_000, 20_000)
			.saturating_add(T::DbWeight::get().reads_writes(5, 5))
			.saturating_mul(n.into())
	}
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	fn vote(d: u32) -> Weight {
		Self::poll(1)
			.saturating_add(Self::count(d.saturating_add(1)))
			.saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn remove_vote(d: u32) -> Weight {
		Self::vote(d)
	}
	fn delegate(v: u32) -> Weight {
		// The lightest delegator is found and removed from the tallies, `who` is added.
		let polls = Self::poll(v).saturating_add(Self::count(v)).saturating_mul(2);
		let search = Weight::from_parts(150_000_000, 100_000).saturating_add(T::DbWeight::get().reads(100));
		// The delegations to `who` end.
		let followers = T::DbWeight::get().writes(32);
		let own = T::DbWeight::get().reads_writes(6, 4);
		polls.saturating_add(search).saturating_add(followers).saturating_add(own)
	}
	fn undelegate(v: u32) -> Weight {
		Self::poll(v).saturating_add(Self::count(v)).saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn end_stall() -> Weight {
		Weight::from_parts(15_000_000, 2_000).saturating_add(T::DbWeight::get().reads_writes(1, 1))
	}
	fn idle() -> Weight {
		Weight::from_parts(5_000_000, 8_000).saturating_add(T::DbWeight::get().reads(3))
	}
	fn note(n: u32) -> Weight {
		Weight::from_parts(8_000_000, 6_000)
			.saturating_add(T::DbWeight::get().reads_writes(1, 1))
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(1, 2))
	}
	fn copy(n: u32) -> Weight {
		Weight::from_parts(6_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads_writes(1, 1))
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(2, 1))
	}
	fn close(n: u32) -> Weight {
		Weight::from_parts(8_000_000, 6_000)
			.saturating_add(T::DbWeight::get().reads_writes(2, 2))
			.saturating_mul(n.into())
			.saturating_add(T::DbWeight::get().reads_writes(16, 4))
	}
	fn sweep() -> Weight {
		Weight::from_parts(20_000_000, 8_000).saturating_add(T::DbWeight::get().reads_writes(8, 5))
	}
	fn withdraw_from_class(p: u32, d: u32) -> Weight {
		Self::poll(p)
			.saturating_add(Self::count(p.saturating_mul(d.saturating_add(1))))
			.saturating_add(T::DbWeight::get().reads_writes(8, 4))
			.saturating_add(T::DbWeight::get().writes(d.into()))
	}
}
