//! Benchmarks of the calls, of the authorisation and of the hooks' work.

use super::*;
use alloc::vec::Vec;
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
	BoundedVec,
	traits::{
		EnsureOrigin, Get,
		fungible::{Inspect, Mutate, hold::Mutate as _},
	},
};
use frame_system::{Pallet as System, RawOrigin, pallet_prelude::BlockNumberFor};
use gonka_pallet_support::benchmarking;
use gonka_primitives::{
	PublicKey, Signature,
	hashing::domain,
	market::{Price, Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::SumNode,
};
use sp_core::sr25519;

/// Sets up state of other pallets for the benchmarks.
pub trait BenchmarkHelper<AccountId> {
	/// Makes `HostRegistry::worker` of `host` return `worker`.
	fn register_host(host: &AccountId, worker: PublicKey);
}

fn sign<T: Config>(key: &sr25519::Public, domain: &[u8], body: &impl Encode) -> Result<Signature, BenchmarkError> {
	benchmarking::sign(key, &T::Genesis::get(), domain, body)
}

fn host<T: Config>(index: u32, worker: PublicKey) -> T::AccountId {
	let host = account("host", index, 0);
	T::BenchmarkHelper::register_host(&host, worker);
	host
}

/// An account with money for `channels` deposits.
fn developer<T: Config>(index: u32, channels: u32) -> Result<T::AccountId, BenchmarkError>
where
	T::Currency: Mutate<T::AccountId>,
{
	let developer = account("developer", index, 0);
	let each = T::MinDeposit::get().saturating_mul(4).max(T::Currency::minimum_balance());
	T::Currency::mint_into(&developer, each.saturating_mul(channels.saturating_add(2).into()))?;
	Ok(developer)
}

fn open<T: Config>(developer: &T::AccountId, gateway: PublicKey, hosts: u32) -> Result<(), BenchmarkError> {
	let channels: Vec<_> =
		(0..hosts).map(|index| (host::<T>(index, [index as u8; 32]), T::MinDeposit::get())).collect();
	let channels = BoundedVec::truncate_from(channels);
	Ok(Pallet::<T>::open_channels(RawOrigin::Signed(developer.clone()).into(), gateway, channels)?)
}

fn model(index: u32) -> Model {
	let mut name = [b'm'; types::MAX_NAME as usize].to_vec();
	name.iter_mut().zip(index.to_le_bytes()).for_each(|(byte, digit)| *byte = b'a'.wrapping_add(digit % 26));
	Model {
		name: BoundedVec::truncate_from(name),
		weights_hash: [1; 32],
		tokenizer_hash: [2; 32],
		quantisation: BoundedVec::truncate_from([b'q'; types::MAX_QUANTISATION as usize].to_vec()),
		context_length: 4_096,
		price: Price { input: 1, output: 2 },
		memory_mb: 8_000,
		min_worker_version: 1,
		rule: PriceRule { capacity: 1_000, ..Default::default() },
	}
}

fn register<T: Config>() -> Result<(), BenchmarkError> {
	Ok(Pallet::<T>::add_model(model(0))?)
}

/// Models 0 to `count`, whatever `MaxModels` is.
fn models<T: Config>(count: u32) {
	for id in 0..count {
		Models::<T>::insert(id, model(id));
	}
	NextModelId::<T>::put(count);
}

/// A fee that any account can take.
fn fee<T: Config>() -> Balance
where
	T::Currency: Mutate<T::AccountId>,
{
	T::MinDeposit::get().max(T::Currency::minimum_balance())
}

/// A host's settlement with vouchers of `v` developers for the work of `m` models, and as many earlier settlements as
/// are kept.
fn settlement<T: Config>(v: u32, m: u32) -> Result<(Settlement, Signature), BenchmarkError>
where
	T::Currency: Mutate<T::AccountId>,
{
	let (worker, gateway) = (benchmarking::new_key(), benchmarking::new_key());
	let host = host::<T>(0, worker.0);
	// The account pays for the block space.
	T::Currency::mint_into(&host, fee::<T>().saturating_mul(1_000))?;
	let window = T::KeptSettlements::get().saturating_add(1);
	let block = T::WindowLength::get().saturating_mul(window.saturating_add(1));
	System::<T>::set_block_number(BlockNumberFor::<T>::from(block));
	for old in 0..T::KeptSettlements::get() {
		Settlements::<T>::insert(old, &host, SumNode::default());
		let _ = SettledWindows::<T>::try_append(&host, old);
	}
	let (mut vouchers, mut sum) = (Vec::new(), Totals::default());
	for index in 0..v {
		let developer = developer::<T>(index, 1)?;
		let id = NextChannelId::<T>::get();
		let channels = BoundedVec::truncate_from([(host.clone(), T::MinDeposit::get())].to_vec());
		Pallet::<T>::open_channels(RawOrigin::Signed(developer).into(), gateway.0, channels)?;
		let totals = Totals { fee: T::MinDeposit::get(), work: 1_000, receipts: 10 };
		sum = sum.checked_add(&totals).ok_or(BenchmarkError::Stop("sum overflows"))?;
		let voucher = Voucher { channel: id, totals };
		vouchers.push(SignedVoucher { voucher, signature: sign::<T>(&gateway, domain::VOUCHER, &voucher)? });
	}
	let root = SumNode { hash: [7; 32], sum };
	models::<T>(m);
	let mut work: Vec<_> = (0..m).map(|model| (model, 1)).collect();
	if let Some((_, last)) = work.last_mut() {
		*last = sum.work.saturating_sub(m.saturating_sub(1).into());
	}
	let settlement = Settlement { host: host.into(), window, root, work, vouchers };
	let signature = sign::<T>(&worker, domain::SETTLEMENT, &settlement)?;
	Ok((settlement, signature))
}

#[benchmarks(where T::Currency: Mutate<T::AccountId>)]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn register_model() -> Result<(), BenchmarkError> {
		let origin = T::RegisterOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let name = BoundedVec::truncate_from([b'm'; types::MAX_NAME as usize].to_vec());
		let quantisation = BoundedVec::truncate_from([b'q'; types::MAX_QUANTISATION as usize].to_vec());
		let id = NextModelId::<T>::get();

		#[extrinsic_call]
		_(
			origin as T::RuntimeOrigin,
			name,
			[1; 32],
			[2; 32],
			quantisation,
			4_096,
			Price { input: 1, output: 2 },
			8_000,
			1,
			PriceRule::default(),
		);

		assert!(Models::<T>::contains_key(id));
		Ok(())
	}

	#[benchmark]
	fn retire_model() -> Result<(), BenchmarkError> {
		let origin = T::RegisterOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let id = NextModelId::<T>::get();
		register::<T>()?;
		WindowWork::<T>::insert(id, 1);

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, id);

		assert!(!Models::<T>::contains_key(id));
		Ok(())
	}

	#[benchmark]
	fn set_price() -> Result<(), BenchmarkError> {
		let origin = T::RegisterOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let id = NextModelId::<T>::get();
		register::<T>()?;

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, id, Price { input: 3, output: 4 });

		assert_eq!(Models::<T>::get(id).map(|model| model.price.input), Some(3));
		Ok(())
	}

	#[benchmark]
	fn open_channels(n: Linear<1, { T::MaxChannelsPerCall::get() }>) -> Result<(), BenchmarkError> {
		let developer = developer::<T>(0, n)?;
		let channels: Vec<_> =
			(0..n).map(|index| (host::<T>(index, [index as u8; 32]), T::MinDeposit::get())).collect();
		let channels = BoundedVec::truncate_from(channels);

		#[extrinsic_call]
		_(RawOrigin::Signed(developer), [9; 32], channels);

		assert_eq!(NextChannelId::<T>::get(), u64::from(n));
		Ok(())
	}

	#[benchmark]
	fn top_up(n: Linear<1, { T::MaxChannelsPerCall::get() }>) -> Result<(), BenchmarkError> {
		let developer = developer::<T>(0, n.saturating_mul(2))?;
		open::<T>(&developer, [9; 32], n)?;
		let amounts = (0..u64::from(n)).map(|id| (id, T::MinDeposit::get())).collect::<Vec<_>>();
		let amounts = BoundedVec::truncate_from(amounts);

		#[extrinsic_call]
		_(RawOrigin::Signed(developer), amounts);

		let deposit = Channels::<T>::get(0).map(|channel| channel.deposit);
		assert_eq!(deposit, Some(T::MinDeposit::get().saturating_mul(2)));
		Ok(())
	}

	#[benchmark]
	fn close_channel() -> Result<(), BenchmarkError> {
		let developer = developer::<T>(0, 1)?;
		open::<T>(&developer, [9; 32], 1)?;

		#[extrinsic_call]
		_(RawOrigin::Signed(developer), 0);

		assert!(Channels::<T>::get(0).is_some_and(|channel| channel.closes.is_some()));
		Ok(())
	}

	#[benchmark]
	fn withdraw() -> Result<(), BenchmarkError> {
		let developer = developer::<T>(0, 1)?;
		open::<T>(&developer, [9; 32], 1)?;
		Pallet::<T>::close_channel(RawOrigin::Signed(developer.clone()).into(), 0)?;
		let end = Pallet::<T>::now().saturating_add(T::ChallengePeriod::get());
		System::<T>::set_block_number(BlockNumberFor::<T>::from(end));

		#[extrinsic_call]
		_(RawOrigin::Signed(developer), 0);

		assert!(!Channels::<T>::contains_key(0));
		Ok(())
	}

	#[benchmark]
	fn settle(
		v: Linear<1, { T::MaxVouchers::get() }>,
		m: Linear<1, MAX_MODELS_PER_HOST>,
	) -> Result<(), BenchmarkError> {
		let (settlement, signature) = settlement::<T>(v, m)?;
		let (window, host) = (settlement.window, T::AccountId::from(settlement.host));

		#[extrinsic_call]
		_(RawOrigin::Authorized, settlement, signature);

		assert!(Settlements::<T>::contains_key(window, host));
		Ok(())
	}

	#[benchmark]
	fn authorize_settle(
		v: Linear<1, { T::MaxVouchers::get() }>,
		m: Linear<1, MAX_MODELS_PER_HOST>,
	) -> Result<(), BenchmarkError> {
		let (settlement, signature) = settlement::<T>(v, m)?;
		let call = Call::<T>::settle { settlement, signature };

		#[block]
		{
			benchmarking::authorize(&call)?;
		}

		Ok(())
	}

	#[benchmark]
	fn set_price_rule() -> Result<(), BenchmarkError> {
		let origin = T::RegisterOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		let id = NextModelId::<T>::get();
		register::<T>()?;
		let min = Price { input: 5, output: 5 };

		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, id, PriceRule { min, ..Default::default() });

		assert_eq!(Models::<T>::get(id).map(|model| model.price), Some(min));
		Ok(())
	}

	#[benchmark]
	fn move_prices(n: Linear<1, { T::MaxModels::get() }>) -> Result<(), BenchmarkError> {
		models::<T>(n);
		(0..n).for_each(|id| WindowWork::<T>::insert(id, 1_000));

		#[block]
		{
			Pallet::<T>::move_prices(false);
		}

		assert_eq!(WindowWork::<T>::iter().count(), 0);
		Ok(())
	}

	#[benchmark]
	fn release_fees(n: Linear<1, { T::MaxReleases::get() }>) -> Result<(), BenchmarkError> {
		let due = 3;
		OldestDue::<T>::put(due);
		System::<T>::set_block_number(BlockNumberFor::<T>::from(T::WindowLength::get().saturating_mul(due)));
		for index in 0..n {
			let (host, developer) = (host::<T>(index, [index as u8; 32]), developer::<T>(index, 1)?);
			T::Currency::hold(&HoldReason::ChannelDeposit.into(), &developer, fee::<T>())?;
			let fees = [HeldFee { channel: 0, developer, amount: fee::<T>() }].to_vec();
			HeldFees::<T>::insert(&host, 0, Held { since: 1, due, charge: 1, fees: BoundedVec::truncate_from(fees) });
			DueFees::<T>::insert(due, (host, 0), ());
		}

		#[block]
		{
			Pallet::<T>::release_due(n);
		}

		assert_eq!(HeldFees::<T>::iter().count(), 0);
		Ok(())
	}
}
