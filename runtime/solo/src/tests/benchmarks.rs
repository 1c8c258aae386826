//! Every benchmark runs once with its smallest and once with its largest components, on the native runtime, with its own
//! assertions. `scripts/weights` measures the same benchmarks on the wasm.

use crate::*;
use frame_benchmarking::{
	BenchmarkConfig, BenchmarkList, BenchmarkMetadata, runtime_decl_for_benchmark::BenchmarkV2 as _,
};
use sc_client_db::BenchmarkingState;
use sp_core::traits::ReadRuntimeVersionExt;
use sp_keystore::{KeystoreExt, testing::MemoryKeystore};
use std::{
	collections::BTreeSet,
	panic::{AssertUnwindSafe, catch_unwind},
};

/// Benchmarks that need wasm: they set the runtime's code.
const WASM_ONLY: [&str; 2] = ["set_code", "apply_authorized_upgrade"];

/// Whether a state counts reads and writes.
pub struct Tracked(pub bool);

/// Runs `test` on an empty state that benchmarks may commit and wipe, as the benchmark command does.
pub fn on_state<R>(Tracked(tracked): Tracked, test: impl FnOnce() -> R) -> R {
	let state = BenchmarkingState::<BlakeTwo256>::new(Default::default(), None, false, tracked).unwrap();
	let mut extensions = sp_externalities::Extensions::new();
	extensions.register(KeystoreExt::new(MemoryKeystore::new()));
	extensions.register(ReadRuntimeVersionExt::new(super::governance::PlainVersion));
	let mut overlay = Default::default();
	let mut node = sp_state_machine::Ext::new(&mut overlay, &state, Some(&mut extensions));
	sp_externalities::set_and_run_with_externalities(&mut node, test)
}

fn list() -> Vec<BenchmarkList> {
	on_state(Tracked(false), || Runtime::benchmark_metadata(false).0)
}

/// Runs one benchmark; returns why it failed.
fn failure(list: &BenchmarkList, benchmark: &BenchmarkMetadata, largest: bool) -> Option<String> {
	let components = benchmark.components.iter();
	let config = BenchmarkConfig {
		pallet: list.pallet.clone(),
		instance: list.instance.clone(),
		benchmark: benchmark.name.clone(),
		selected_components: components.map(|(name, low, high)| (*name, if largest { *high } else { *low })).collect(),
		verify: true,
		internal_repeats: 1,
	};
	let run = || on_state(Tracked(false), || Runtime::dispatch_benchmark(config));
	match catch_unwind(AssertUnwindSafe(run)) {
		Ok(Ok(_)) => None,
		Ok(Err(why)) => Some(why),
		Err(panic) => {
			let text = panic.downcast_ref::<String>().map(String::as_str);
			Some(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned())
		},
	}
}

fn every_benchmark_runs(pallet: &str) {
	let lists = list();
	let list = lists.iter().find(|list| list.pallet == pallet.as_bytes()).expect("the runtime lists the pallet");
	let mut failures = Vec::new();
	for benchmark in &list.benchmarks {
		let name = String::from_utf8_lossy(&benchmark.name);
		if WASM_ONLY.contains(&&*name) {
			continue;
		}
		let sizes = if benchmark.components.is_empty() { &[false][..] } else { &[false, true] };
		for largest in sizes {
			if let Some(why) = failure(list, benchmark, *largest) {
				failures.push(format!("{name} (largest components: {largest}): {why}"));
			}
		}
	}
	assert!(failures.is_empty(), "{pallet}:\n{}", failures.join("\n"));
}

/// A test for each pallet, so that they run side by side.
macro_rules! pallets {
	($($pallet:ident)+) => {
		$(
			#[test]
			fn $pallet() {
				every_benchmark_runs(stringify!($pallet));
			}
		)+

		#[test]
		fn every_pallet_with_benchmarks_is_tested() {
			let tested = BTreeSet::from([$(stringify!($pallet).to_owned()),+]);
			let listed: BTreeSet<_> =
				list().into_iter().map(|list| String::from_utf8(list.pallet).unwrap()).collect();
			assert_eq!(tested, listed);
		}
	};
}

pallets! {
	frame_system
	frame_system_extensions
	pallet_amendments
	pallet_balances
	pallet_collateral
	pallet_emission
	pallet_governance
	pallet_inference_market
	pallet_liveness
	pallet_multisig
	pallet_poc
	pallet_preimage
	pallet_proxy
	pallet_referenda
	pallet_sampling_validation
	pallet_scheduler
	pallet_sprint_check
	pallet_timestamp
	pallet_transaction_payment
	pallet_treasury
	pallet_tx_pause
	pallet_utility
	pallet_vesting
}
