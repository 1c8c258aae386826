//! The long measurements in a short form.
#![cfg(feature = "fast-runtime")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_benches::{
	epoch::{self, Size},
	throughput::{self, Traffic},
};

/// Hooks do as much in a block of either clock; shares are of a block of mainnet's.
#[test]
fn an_epoch_of_three_hundred_hosts_takes_a_quarter_of_a_block_at_most() {
	let size = Size { hosts: 300, validators: 30, channels: 2, developers: 20, windows: 1 };
	let blocks = epoch::run(&size, drop);
	let settlements: u32 = blocks.iter().map(|measured| measured.settlements).sum();
	assert!(settlements >= 200, "hosts settled: {settlements}");
	let greatest = epoch::greatest(&blocks);
	assert!(greatest <= 25.0, "{}", epoch::report(&size, &blocks));
}

#[test]
fn a_request_costs_the_chain_less_than_a_byte() {
	let traffic = Traffic { developers: 30, hosts: 4, batch: 150, requests: 30 * 4 * 150 * 3 };
	let settled = throughput::settle(&traffic);
	assert_eq!((settled.vouchers, settled.settling.extrinsics), (360, 12), "three windows of four hosts");
	// Three batches a channel make up for opening it, too.
	let all = settled.settling.bytes_each(traffic.requests) + settled.opening.bytes_each(traffic.requests);
	assert!(all <= 1.0, "{all} bytes a request");
}

#[test]
fn a_request_with_extrinsics_of_its_own_costs_hundreds_of_bytes() {
	let traffic = Traffic { developers: 4, hosts: 3, batch: 10, requests: 120 };
	let cost = throughput::per_request(&traffic, drop);
	assert_eq!(cost.extrinsics, 240);
	assert!(cost.bytes_each(traffic.requests) > 200.0);
}
