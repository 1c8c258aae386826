//! Benchmarks of the calls and hooks.

use super::*;
use alloc::vec::Vec;
use frame_support::{pallet_prelude::DispatchError, weights::WeightMeter};
use polkadot_sdk::{
	frame_benchmarking::v2::*,
	frame_support::traits::{EnsureOrigin, Get},
	frame_system::RawOrigin,
	pallet_conviction_voting::{AccountVote, Conviction, Vote},
	sp_runtime::traits::StaticLookup,
};

/// Sets up state of other pallets for the benchmarks.
pub trait BenchmarkHelper<AccountId> {
	/// Weighs `epoch` with these weights, which polls opened afterwards use.
	fn weigh(epoch: EpochIndex, hosts: &[(AccountId, u64)]);
}

const AYE: Ballot = AccountVote::Standard { vote: Vote { aye: true, conviction: Conviction::None }, balance: 0 };

#[benchmarks]
mod benchmarks {
	use super::*;

	/// Hosts with weight, the first of which is the heaviest.
	fn hosts<T: Config>(count: u32) -> Vec<T::AccountId> {
		let hosts: Vec<_> = (0..count).map(|index| account("host", index, 0)).collect();
		let weights: Vec<_> = hosts.iter().cloned().zip((1..=u64::from(count)).rev()).collect();
		T::BenchmarkHelper::weigh(1, &weights);
		hosts
	}

	fn open<T: Config>() -> Result<PollIndex, BenchmarkError> {
		let class = T::Polls::classes().into_iter().next().ok_or("no class")?;
		T::Polls::create_ongoing(class).map_err(|()| BenchmarkError::Stop("no poll"))
	}

	fn class<T: Config>() -> Class {
		T::Polls::classes().into_iter().next().unwrap_or_default()
	}

	/// A voter with `d` delegators, and a poll.
	fn with_delegators<T: Config>(d: u32) -> Result<(T::AccountId, PollIndex), BenchmarkError> {
		let hosts = hosts::<T>(d.saturating_add(1));
		let (voter, others) = hosts.split_first().ok_or("no host")?;
		for delegator in others {
			Pallet::<T>::try_delegate(delegator, class::<T>(), voter.clone())?;
		}
		Ok((voter.clone(), open::<T>()?))
	}

	/// A host that voted in `v` polls, with a full list of delegators, and a heavier host.
	fn with_votes<T: Config>(v: u32) -> Result<(T::AccountId, T::AccountId), BenchmarkError> {
		let hosts = hosts::<T>(T::MaxDelegators::get().saturating_add(2));
		let (heaviest, others) = hosts.split_first().ok_or("no host")?;
		let (voter, delegators) = others.split_first().ok_or("no host")?;
		for delegator in delegators {
			Pallet::<T>::try_delegate(delegator, class::<T>(), voter.clone())?;
		}
		for _ in 0..v {
			Pallet::<T>::try_vote(voter, open::<T>()?, AYE)?;
		}
		Ok((heaviest.clone(), voter.clone()))
	}

	#[benchmark]
	fn vote(d: Linear<0, { T::MaxDelegators::get() }>) -> Result<(), BenchmarkError> {
		let (voter, poll) = with_delegators::<T>(d)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(voter.clone()), poll, AYE);
		assert_eq!(CountedVotes::<T>::iter_prefix(poll).count() as u32, d + 1);
		Ok(())
	}

	#[benchmark]
	fn remove_vote(d: Linear<0, { T::MaxDelegators::get() }>) -> Result<(), BenchmarkError> {
		let (voter, poll) = with_delegators::<T>(d)?;
		Pallet::<T>::try_vote(&voter, poll, AYE)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(voter.clone()), Some(class::<T>()), poll);
		assert_eq!(CountedVotes::<T>::iter_prefix(poll).count(), 0);
		Ok(())
	}

	#[benchmark]
	fn delegate(v: Linear<0, { T::MaxVotes::get() }>) -> Result<(), BenchmarkError> {
		let (who, voter) = with_votes::<T>(v)?;
		let to = T::Lookup::unlookup(voter.clone());
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), class::<T>(), to, Conviction::None, 0);
		assert_eq!(Stances::<T>::get(who, class::<T>()), Stance::Delegating(voter));
		Ok(())
	}

	#[benchmark]
	fn undelegate(v: Linear<0, { T::MaxVotes::get() }>) -> Result<(), BenchmarkError> {
		let (who, voter) = with_votes::<T>(v)?;
		Pallet::<T>::try_delegate(&who, class::<T>(), voter)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), class::<T>());
		assert_eq!(Stances::<T>::get(who, class::<T>()), Stance::default());
		Ok(())
	}

	#[benchmark]
	fn end_stall() -> Result<(), BenchmarkError> {
		let origin = T::EmergencyOrigin::try_successful_origin().map_err(|()| BenchmarkError::Weightless)?;
		let (delay, finalized) = (T::MaxStallDelay::get(), 0u32.into());
		frame_system::Pallet::<T>::set_block_number(1u32.into());
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, delay, finalized);
		frame_system::Pallet::<T>::assert_last_event(<T as polkadot_sdk::frame_system::Config>::RuntimeEvent::from(
			Event::<T>::StallEnded { delay, finalized },
		));
		Ok(())
	}

	#[benchmark]
	fn idle() {
		#[block]
		{
			Pallet::<T>::note_polls();
			Pallet::<T>::copy_weights();
		}
		assert_eq!(OpenPolls::<T>::iter().count(), 0);
	}

	#[benchmark]
	fn note(n: Linear<1, { snapshots::NOTED }>) -> Result<(), BenchmarkError> {
		hosts::<T>(1);
		for _ in 0..n {
			open::<T>()?;
		}
		#[block]
		{
			Pallet::<T>::note_polls();
		}
		assert_eq!(OpenPolls::<T>::iter().count() as u32, n);
		Ok(())
	}

	#[benchmark]
	fn copy(n: Linear<1, { T::CopyBatch::get() }>) -> Result<(), BenchmarkError> {
		hosts::<T>(n);
		open::<T>()?;
		Pallet::<T>::note_polls();
		#[block]
		{
			Pallet::<T>::copy_weights();
		}
		assert_eq!(SnapshotWeights::<T>::iter().count() as u32, n);
		Ok(())
	}

	#[benchmark]
	fn close(n: Linear<1, { T::CopyBatch::get() }>) -> Result<(), BenchmarkError> {
		let hosts = hosts::<T>(n);
		let poll = open::<T>()?;
		Pallet::<T>::note_polls();
		for host in &hosts {
			Pallet::<T>::try_vote(host, poll, AYE)?;
		}
		T::Polls::end_ongoing(poll, true).map_err(|()| DispatchError::Other("the poll goes on"))?;
		#[block]
		{
			Pallet::<T>::close_polls(&mut WeightMeter::new());
		}
		assert_eq!(CountedVotes::<T>::iter_prefix(poll).count(), 0);
		Ok(())
	}

	#[benchmark]
	fn sweep() {
		T::BenchmarkHelper::weigh(1, &[]);
		for index in 0..8 {
			Barred::<T>::insert(account::<T::AccountId>("host", index, 0), 0);
		}
		#[block]
		{
			Pallet::<T>::sweep_barred(&mut WeightMeter::new());
		}
		assert!(Barred::<T>::iter().count() < 8);
	}

	#[benchmark]
	fn withdraw_from_class(
		p: Linear<0, { T::MaxVotes::get() }>,
		d: Linear<0, { T::MaxDelegators::get() }>,
	) -> Result<(), BenchmarkError> {
		let (voter, _) = with_delegators::<T>(d)?;
		for _ in 0..p {
			Pallet::<T>::try_vote(&voter, open::<T>()?, AYE)?;
		}
		#[block]
		{
			Pallet::<T>::on_offence(&voter, 1, Offence::Fabrication);
		}
		assert_eq!(CountedVotes::<T>::iter().count(), 0);
		Ok(())
	}
}
