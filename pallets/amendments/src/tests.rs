//! A runtime with two parameters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::{self as pallet_amendments, Error, Event, Pending, migrations::ToV1};
use frame_support::{
	assert_noop, assert_ok, derive_impl,
	dynamic_params::{dynamic_pallet_params, dynamic_params},
	storage::StoragePrefixedMap,
	traits::{
		ConstU32, Contains, EnsureOriginWithArg, Get, OnRuntimeUpgrade, StorageVersion,
		dynamic_params::AggregatedKeyValue,
	},
};
use frame_system::EnsureRoot;
use gonka_primitives::traits::OnEpochStart;
use polkadot_sdk::*;
use sp_runtime::{BuildStorage, traits::BadOrigin};

frame_support::construct_runtime!(
	pub enum Test {
		System: frame_system = 0,
		Parameters: pallet_parameters = 1,
		Amendments: pallet_amendments = 2,
	}
);

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
	type Block = frame_system::mocking::MockBlock<Test>;
}

#[dynamic_params(RuntimeParameters, pallet_parameters::Parameters::<Test>)]
pub mod parameters {
	use super::*;

	#[dynamic_pallet_params]
	#[codec(index = 0)]
	pub mod market {
		#[codec(index = 0)]
		pub static Price: u32 = 5;
		#[codec(index = 1)]
		pub static Step: u64 = 7;
	}
}
use parameters::market::{self, Price, Step};

#[cfg(feature = "runtime-benchmarks")]
impl Default for RuntimeParameters {
	fn default() -> Self {
		price(Some(6))
	}
}

/// Rejects every origin: only this pallet writes to the store.
pub struct Nobody;
impl<Key> EnsureOriginWithArg<RuntimeOrigin, Key> for Nobody {
	type Success = ();
	fn try_origin(origin: RuntimeOrigin, _: &Key) -> Result<(), RuntimeOrigin> {
		Err(origin)
	}
	#[cfg(feature = "runtime-benchmarks")]
	fn try_successful_origin(_: &Key) -> Result<RuntimeOrigin, ()> {
		Err(())
	}
}

#[derive_impl(pallet_parameters::config_preludes::TestDefaultConfig)]
impl pallet_parameters::Config for Test {
	type AdminOrigin = Nobody;
	type RuntimeParameters = RuntimeParameters;
}

/// Prices from 1 to 10.
pub struct Bounds;
impl Contains<RuntimeParameters> for Bounds {
	fn contains(parameter: &RuntimeParameters) -> bool {
		match parameter {
			RuntimeParameters::Market(market::Parameters::Price(_, Some(price))) => (1..=10).contains(price),
			_ => true,
		}
	}
}

impl pallet_amendments::Config for Test {
	type AmendOrigin = EnsureRoot<u64>;
	type Bounds = Bounds;
	type MaxPending = ConstU32<1>;
	type WeightInfo = pallet_amendments::weights::SubstrateWeight<Test>;
}

pub fn new_test_ext() -> sp_io::TestExternalities {
	let mut chain: sp_io::TestExternalities = RuntimeGenesisConfig::default().build_storage().unwrap().into();
	chain.execute_with(|| System::set_block_number(1));
	chain
}

fn price(value: Option<u32>) -> RuntimeParameters {
	RuntimeParameters::Market(market::Parameters::Price(Price, value))
}

fn amend(parameter: RuntimeParameters) -> sp_runtime::DispatchResult {
	Amendments::amend(RuntimeOrigin::root(), parameter)
}

fn run(test: impl FnOnce()) {
	new_test_ext().execute_with(|| {
		test();
		Amendments::do_try_state().unwrap();
	});
}

#[test]
fn an_amendment_is_in_force_from_the_next_epoch_on() {
	run(|| {
		assert_ok!(amend(price(Some(9))));
		assert_eq!(<Price as Get<u32>>::get(), 5);
		Amendments::on_epoch_start(3);
		assert_eq!(<Price as Get<u32>>::get(), 9);
		assert!(Pending::<Test>::get().is_empty());
		assert_ok!(amend(price(None)));
		Amendments::on_epoch_start(4);
		assert_eq!(<Price as Get<u32>>::get(), 5, "the default is back");
	});
}

#[test]
fn of_several_amendments_in_an_epoch_the_last_one_counts() {
	run(|| {
		assert_ok!(amend(price(Some(9))));
		assert_ok!(amend(price(Some(8))));
		assert_eq!(Pending::<Test>::get().len(), 1);
		assert_noop!(amend(step(Some(1))), Error::<Test>::LimitExceeded);
		Amendments::on_epoch_start(3);
		assert_eq!(<Price as Get<u32>>::get(), 8);
	});
}

#[test]
fn a_value_out_of_bounds_is_rejected() {
	run(|| {
		for out_of_bounds in [0, 11, u32::MAX] {
			assert_noop!(amend(price(Some(out_of_bounds))), Error::<Test>::OutOfBounds);
		}
	});
}

#[test]
fn only_amend_changes_parameters() {
	run(|| {
		assert_noop!(Amendments::amend(RuntimeOrigin::signed(1), price(Some(9))), BadOrigin);
		for origin in [RuntimeOrigin::root(), RuntimeOrigin::signed(1), RuntimeOrigin::none()] {
			assert_noop!(Parameters::set_parameter(origin, price(Some(9))), BadOrigin);
		}
	});
}

/// The state of release 0.1.0: a value out of bounds, one that is allowed, one of a form that is no more, one of a parameter
/// that is no more, and an amendment out of bounds that waits.
fn version_0() {
	let map = |key: &[u8], value: &[u8]| {
		let hashed = [sp_io::hashing::blake2_128(key).as_slice(), key].concat();
		let raw = [pallet_parameters::Parameters::<Test>::final_prefix().as_slice(), &hashed].concat();
		frame_support::storage::unhashed::put_raw(&raw, value);
	};
	StorageVersion::new(0).put::<Amendments>();
	for parameter in [price(Some(11)), step(Some(3))] {
		let (key, value) = parameter.into_parts();
		pallet_parameters::Parameters::<Test>::set(&key, value);
	}
	map(&[9, 9], &[9, 9, 9]);
	Pending::<Test>::mutate(|pending| pending.try_push(price(Some(12)).into_parts())).unwrap();
}

fn step(value: Option<u64>) -> RuntimeParameters {
	RuntimeParameters::Market(market::Parameters::Step(Step, value))
}

#[test]
fn a_release_with_narrower_bounds_resets_what_is_out_of_them() {
	run(|| {
		version_0();
		assert_eq!(<Price as Get<u32>>::get(), 11, "out of bounds and in force");
		ToV1::<Test>::on_runtime_upgrade();
		assert_eq!((<Price as Get<u32>>::get(), <Step as Get<u64>>::get()), (5, 3));
		assert_eq!(
			pallet_parameters::Parameters::<Test>::iter_keys().count(),
			1,
			"a parameter that exists no more is removed"
		);
		assert!(Pending::<Test>::get().is_empty());
		assert_eq!(StorageVersion::get::<Amendments>(), 1);
		let (key, _) = price(None).into_parts();
		System::assert_has_event(Event::Reset { key }.into());
	});
}

#[test]
fn a_value_of_an_older_form_is_removed() {
	run(|| {
		version_0();
		let (key, _) = step(None).into_parts();
		let raw = pallet_parameters::Parameters::<Test>::hashed_key_for(&key);
		// A `Step` of four bytes.
		frame_support::storage::unhashed::put_raw(&raw, &[0, 1, 3, 0, 0, 0]);
		ToV1::<Test>::on_runtime_upgrade();
		assert!(frame_support::storage::unhashed::get_raw(&raw).is_none());
		assert_eq!(<Step as Get<u64>>::get(), 7);
	});
}

#[test]
fn a_state_of_this_version_is_left_alone() {
	run(|| {
		assert_eq!(StorageVersion::get::<Amendments>(), 1, "a new chain has it from genesis on");
		assert_ok!(amend(price(Some(9))));
		ToV1::<Test>::on_runtime_upgrade();
		assert_eq!(Pending::<Test>::get().len(), 1);
	});
}
