//! Benchmarks of the calls, their authorisation and the hooks.

use super::*;
use crate::types::{MAX_CONFIRMATIONS, MAX_SEGMENTS, Weighing};
use codec::Encode;
use frame_support::traits::{ConstU32, Hooks};
use frame_system::{Pallet as System, RawOrigin, pallet_prelude::BlockNumberFor};
use gonka_pallet_support::benchmarking;
use gonka_primitives::{MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey, Signature, hashing::domain};
use polkadot_sdk::{frame_benchmarking::v2::*, sp_core::sr25519};

/// Prepares state that belongs to other pallets.
pub trait BenchmarkHelper {
	/// Registers `count` models, so that `ModelRegistry::is_registered` is true for them. Returns their ids, ascending.
	fn register_models(count: u32) -> Vec<ModelId>;
	/// Stores what other pallets keep of a host that settled for a long time.
	fn leave_records(_host: &Raw) {}
}

fn sign<T: Config>(key: &sr25519::Public, domain: &[u8], body: &impl Encode) -> Result<Signature, BenchmarkError> {
	benchmarking::sign(key, &Pallet::<T>::genesis_hash(), domain, body)
}

/// A host key and its most expensive registration.
fn registration<T: Config>() -> (sr25519::Public, Registration) {
	let host = benchmarking::new_key();
	let mut url = b"http://".to_vec();
	url.resize(MAX_URL as usize, b'a');
	let registration = Registration {
		host: host.0,
		worker: host.0,
		url,
		models: T::BenchmarkHelper::register_models(MAX_MODELS_PER_HOST),
		epoch: CurrentEpoch::<T>::get().map_or(0, |epoch| epoch.index),
		revision: 0,
		work: 0,
	};
	(host, registration.solve(&Pallet::<T>::genesis_hash(), T::RegistrationBits::get()))
}

fn insert_host<T: Config>(account: &T::AccountId, worker: PublicKey) {
	let host = Host { worker, url: Default::default(), models: Default::default(), ..Default::default() };
	Workers::<T>::insert(worker, account);
	Hosts::<T>::insert(account, host);
}

/// Starts the first epoch and goes to `offset` of it.
fn go_to<T: Config>(offset: BlockNumber) {
	System::<T>::set_block_number(1u32.into());
	Pallet::<T>::on_initialize(1u32.into());
	System::<T>::set_block_number(BlockNumberFor::<T>::from(offset.saturating_add(1)));
}

/// The running epoch of benchmarks in which hosts take part: collateral is needed by then.
const EPOCH: EpochIndex = 400;

/// Commitments to all segments, those of confirmations included.
fn all_commitments() -> BoundedVec<(u8, Commitment), ConstU32<MAX_SEGMENTS>> {
	let all = (0..MAX_SEGMENTS as u8).map(|segment| (segment, Commitment { count: 9, root: [1; 32] }));
	BoundedVec::truncate_from(all.collect())
}

/// Makes [`EPOCH`] the running epoch. The two before had all confirmations.
fn run_epoch<T: Config>() -> Result<Epoch, BenchmarkError> {
	let running = CurrentEpoch::<T>::get().ok_or(BenchmarkError::Stop("no epoch is running"))?;
	for index in [EPOCH.saturating_sub(2), EPOCH.saturating_sub(1)] {
		let round_beacons = BoundedVec::truncate_from(alloc::vec![[1; 32]; MAX_CONFIRMATIONS as usize]);
		PastEpochs::<T>::insert(index, Epoch { index, round_beacons, ..running.clone() });
	}
	LastWeighed::<T>::put(EPOCH.saturating_sub(1));
	let epoch = Epoch { index: EPOCH, ..running };
	CurrentEpoch::<T>::put(&epoch);
	Ok(epoch)
}

/// Makes `host` a known one that missed the last epoch, so that two are looked up.
fn make_known<T: Config>(host: &T::AccountId) {
	Commitments::<T>::insert(EPOCH.saturating_sub(2), host, all_commitments());
	Standings::<T>::insert(EPOCH.saturating_sub(2), host, Standing::of_weight(0, 45));
}

/// The worker key of a registered host, and a commitment that is due now. The host is looked for among all candidates.
fn commitment<T: Config>() -> Result<(sr25519::Public, SegmentCommitment), BenchmarkError> {
	go_to::<T>(T::Schedule::get().segment_end(0));
	run_epoch::<T>()?;
	let worker = benchmarking::new_key();
	let host: T::AccountId = account("host", 0, 0);
	insert_host::<T>(&host, worker.0);
	make_known::<T>(&host);
	let candidates = (1..=T::MaxCheckers::get()).map(|index| (account("host", index, 0), 1));
	Candidates::<T>::put(BoundedVec::<_, T::MaxCheckers>::truncate_from(candidates.collect()));
	let commitment = Commitment { count: 1, root: [1; 32] };
	Ok((worker, SegmentCommitment { host: host.into(), epoch: EPOCH, segment: 0, commitment }))
}

/// An epoch with `n` participants, all of them known and candidates.
fn participants<T: Config>(n: u32) -> Result<Epoch, BenchmarkError> {
	go_to::<T>(0);
	let epoch = run_epoch::<T>()?;
	let before = [EPOCH.saturating_sub(1), EPOCH.saturating_sub(2)];
	before.iter().for_each(|epoch| WeighedEpochs::<T>::insert(epoch, EpochWeights::of_total(u64::from(n), n)));
	let mut candidates = Vec::new();
	for index in 0..n {
		let host: T::AccountId = account("host", index, 0);
		make_known::<T>(&host);
		Commitments::<T>::insert(EPOCH, &host, all_commitments());
		let standing = Pallet::<T>::enter(EPOCH, &host);
		Standings::<T>::insert(EPOCH, &host, standing);
		// Descending, and so near each other that all qualify as checkers.
		candidates.push((host, u64::from(n.saturating_mul(2).saturating_sub(index))));
	}
	Candidates::<T>::put(BoundedVec::<_, T::MaxCheckers>::truncate_from(candidates));
	Ok(epoch)
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn authorize_register() -> Result<(), BenchmarkError> {
		go_to::<T>(0);
		let (key, registration) = registration::<T>();
		let signature = sign::<T>(&key, domain::REGISTRATION, &registration)?;
		let worker_signature = sign::<T>(&key, domain::WORKER, &registration.host)?;
		let call = Call::<T>::register { registration, signature, worker_signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn register() -> Result<(), BenchmarkError> {
		go_to::<T>(0);
		let (key, registration) = registration::<T>();
		let host = T::AccountId::from(registration.host);
		insert_host::<T>(&host, [9; 32]);
		let signature = sign::<T>(&key, domain::REGISTRATION, &registration)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, registration, signature, signature);
		assert!(Hosts::<T>::get(host).is_some_and(|host| host.worker == key.0));
		Ok(())
	}

	#[benchmark]
	fn authorize_commit() -> Result<(), BenchmarkError> {
		let (key, commitment) = commitment::<T>()?;
		let signature = sign::<T>(&key, domain::COMMITMENT, &commitment)?;
		let call = Call::<T>::commit { commitment, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn commit() -> Result<(), BenchmarkError> {
		let (key, commitment) = commitment::<T>()?;
		let host = T::AccountId::from(commitment.host);
		let signature = sign::<T>(&key, domain::COMMITMENT, &commitment)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, commitment, signature);
		assert_eq!((Commitments::<T>::get(EPOCH, host).len(), KnownCount::<T>::get(EPOCH)), (1, 1));
		Ok(())
	}

	#[benchmark]
	fn tick() {
		go_to::<T>(0);
		#[block]
		{
			// The next epoch's first block.
			Pallet::<T>::mix_beacon();
			Pallet::<T>::tick(T::Schedule::get().length.saturating_add(1));
		}
		assert_eq!(CurrentEpoch::<T>::get().map(|epoch| epoch.index), Some(1));
	}

	/// Two candidates or more: with fewer, known hosts check, too.
	#[benchmark]
	fn draw(n: Linear<2, { T::MaxCheckers::get() }>) -> Result<(), BenchmarkError> {
		let mut epoch = participants::<T>(n)?;
		#[block]
		{
			Pallet::<T>::draw(&mut epoch);
		}
		assert_eq!(Checkers::<T>::get(EPOCH).len(), n as usize);
		Ok(())
	}

	/// The last batch of an epoch, which costs more than a full one: that only writes how far it came. The command finds no
	/// slope for an item that nothing but the largest component writes.
	#[benchmark]
	fn weigh(n: Linear<1, { T::WeighBatch::get() - 1 }>) -> Result<(), BenchmarkError> {
		let mut epoch = participants::<T>(T::MaxCheckers::get().max(n))?;
		Pallet::<T>::draw(&mut epoch);
		for participant in n..KnownCount::<T>::get(EPOCH) {
			let host = Participants::<T>::get(EPOCH, participant).ok_or("a participant is missing")?;
			Standings::<T>::remove(EPOCH, host);
		}
		// The list of candidates is full, so that each host is compared with others and pushes one out.
		let mut progress = Weighing::new([1; 32]);
		for index in 0..T::MaxCheckers::get() {
			progress.add(account("candidate", index, 0), &Standing::of_weight(0, 1), false);
		}
		#[block]
		{
			Pallet::<T>::weigh(&epoch, progress);
		}
		assert!(Standings::<T>::iter_prefix_values(EPOCH).all(|standing| standing.compute > 0));
		Ok(())
	}

	#[benchmark]
	fn follow_confirmations(n: Linear<1, { T::MaxValidators::get() }>) -> Result<(), BenchmarkError> {
		let mut epoch = participants::<T>(n)?;
		epoch.beacon = Some([1; 32]);
		epoch.round_beacons = BoundedVec::truncate_from(alloc::vec![[1; 32]]);
		let mut power = Vec::new();
		for participant in 0..n {
			let host = Participants::<T>::get(EPOCH, participant).ok_or("a participant is missing")?;
			// Their shares are far from the equal ones that they have.
			let weight = if participant == 0 { 1_000_000 } else { 1 };
			Standings::<T>::insert(EPOCH, &host, Standing::of_weight(participant, weight));
			power.push((host, 1_000));
		}
		Power::<T>::put(BoundedVec::<_, T::MaxValidators>::truncate_from(power));
		WeighedEpochs::<T>::insert(EPOCH, EpochWeights::of_total(2_000_000, n));
		LastWeighed::<T>::put(EPOCH);
		#[block]
		{
			Pallet::<T>::follow_confirmations(&epoch);
		}
		assert!(PowerChanged::<T>::get());
		Ok(())
	}

	#[benchmark]
	fn note_equivocation() -> Result<(), BenchmarkError> {
		// While weights are counted, with all lists full.
		participants::<T>(T::MaxCheckers::get())?;
		let candidates = Candidates::<T>::get();
		let validators = BoundedVec::<_, T::MaxValidators>::truncate_from(candidates.to_vec());
		let (host, _) = candidates.first().ok_or("there are candidates")?;
		Power::<T>::put(&validators);
		WeighProgress::<T>::put(Weighing { validators, candidates: candidates.clone(), ..Weighing::new([1; 32]) });
		#[block]
		{
			Pallet::<T>::note_equivocation(host);
		}
		assert!(Power::<T>::get().iter().all(|(who, _)| who != host));
		assert!(Standings::<T>::get(EPOCH, host).is_some_and(|standing| standing.equivocated));
		Ok(())
	}

	#[benchmark]
	fn sweep(n: Linear<0, 64>) -> Result<(), BenchmarkError> {
		let mut epoch = participants::<T>(n)?;
		let total = u64::from(n).saturating_mul(10);
		WeighedEpochs::<T>::insert(EPOCH, EpochWeights::of_total(total, n));
		LastWeighed::<T>::put(EPOCH);
		epoch.schedule.length = 1;
		CurrentEpoch::<T>::put(epoch);
		for index in 0..n {
			let host: T::AccountId = account("host", index, 0);
			insert_host::<T>(&host, host.clone().into());
			Standings::<T>::mutate(EPOCH, &host, |standing| {
				standing.iter_mut().for_each(|standing| standing.backed = 10)
			});
		}
		let mut meter = WeightMeter::new();
		#[block]
		{
			Pallet::<T>::sweep(&mut meter);
		}
		assert!(Hosts::<T>::iter_values().all(|host| host.weighed == Some(EPOCH)));
		Ok(())
	}

	#[benchmark]
	fn expire() -> Result<(), BenchmarkError> {
		go_to::<T>(0);
		WeighedEpochs::<T>::insert(T::HostExpiry::get(), EpochWeights::default());
		LastWeighed::<T>::put(T::HostExpiry::get());
		let host: T::AccountId = account("host", 0, 0);
		insert_host::<T>(&host, [1; 32]);
		T::BenchmarkHelper::leave_records(&host.clone().into());
		let mut meter = WeightMeter::new();
		#[block]
		{
			Pallet::<T>::sweep(&mut meter);
		}
		assert!(!Hosts::<T>::contains_key(&host) && !Expired::<T>::contains_key(host));
		Ok(())
	}

	#[benchmark]
	fn prune() {
		go_to::<T>(0);
		let host: T::AccountId = account("host", 0, 0);
		insert_host::<T>(&host, [1; 32]);
		#[block]
		{
			Workers::<T>::remove([1; 32]);
			Hosts::<T>::remove(&host);
		}
	}
}
