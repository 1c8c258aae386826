//! A runtime with two parameters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::{self as pallet_amendments, Error, Pending};
use frame_support::{
	assert_noop, assert_ok, derive_impl,
	dynamic_params::{dynamic_pallet_params, dynamic_params},
	traits::{ConstU32, Contains, EnsureOriginWithArg, Get},
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
		let other = RuntimeParameters::Market(market::Parameters::Step(Step, Some(1)));
		assert_noop!(amend(other), Error::<Test>::LimitExceeded);
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
