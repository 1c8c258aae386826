//! Weights of the calls and hooks, in the shape that the benchmark command writes.
//!
//! Counting an account in or out of a poll reads whether it is barred, the list of snapshots and its weight, and writes
//! what is counted. A poll that is touched is stored again and given an alarm: the scheduler's agendas are read and
//! written twice.

use core::marker::PhantomData;
use polkadot_sdk::{
	frame_support::{traits::Get, weights::Weight},
	frame_system,
};

/// What calls and hooks cost.
pub trait WeightInfo {
	/// Voting, with `d` delegators.
	fn vote(d: u32) -> Weight;
	/// Taking a vote back, with `d` delegators.
	fn remove_vote(d: u32) -> Weight;
	/// Delegating to a host with `v` votes, whose lightest delegator gives way.
	fn delegate(v: u32) -> Weight;
	/// Ending a delegation to a host with `v` votes.
	fn undelegate(v: u32) -> Weight;
	/// Dispatching a call as root, without the call.
	fn dispatch_as_root() -> Weight;
	/// Looking for new polls and for weights to copy.
	fn idle() -> Weight;
	/// Noting `n` new polls.
	fn note(n: u32) -> Weight;
	/// Copying `n` weights.
	fn copy(n: u32) -> Weight;
	/// Forgetting `n` accounts of an ended poll, or `n` weights.
	fn close(n: u32) -> Weight;
	/// Looking at a few barred hosts.
	fn sweep() -> Weight;
	/// Counting a convicted host, and the `d` that followed it, out of `p` polls.
	fn silence(p: u32, d: u32) -> Weight;
}

/// Weights with the database's costs of `T`.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> SubstrateWeight<T> {
	/// An account in a poll.
	fn count(n: u32) -> Weight {
		Weight::from_parts(5_000_000, 4_000)
			.saturating_add(T::DbWeight::get().reads_writes(4, 1))
			.saturating_mul(n.into())
	}

	/// A poll that is touched.
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
		// The lightest of the delegators is found and counted out, `who` is counted in.
		let polls = Self::poll(v).saturating_add(Self::count(v)).saturating_mul(2);
		let search = Weight::from_parts(150_000_000, 100_000).saturating_add(T::DbWeight::get().reads(100));
		// Those that followed `who` follow nobody.
		let followers = T::DbWeight::get().writes(32);
		let own = T::DbWeight::get().reads_writes(6, 4);
		polls.saturating_add(search).saturating_add(followers).saturating_add(own)
	}
	fn undelegate(v: u32) -> Weight {
		Self::poll(v).saturating_add(Self::count(v)).saturating_add(T::DbWeight::get().reads_writes(3, 2))
	}
	fn dispatch_as_root() -> Weight {
		Weight::from_parts(10_000_000, 0)
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
	fn silence(p: u32, d: u32) -> Weight {
		Self::poll(p)
			.saturating_add(Self::count(p.saturating_mul(d.saturating_add(1))))
			.saturating_add(T::DbWeight::get().reads_writes(8, 4))
			.saturating_add(T::DbWeight::get().writes(d.into()))
	}
}
