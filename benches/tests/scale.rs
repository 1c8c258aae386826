//! The long measurements in a short form.
#![cfg(feature = "fast-runtime")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_benches::{
	epoch::{self, Size},
	report::report,
	sampling::Sampling,
	throughput::{self, Cost, Traffic},
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
	let traffic = Traffic { developers: 30, hosts: 4, asked: 4, batch: 150, requests: 30 * 4 * 150 * 3 };
	let settled = throughput::settle(&traffic, None);
	assert_eq!((settled.vouchers, settled.settling.extrinsics), (360, 12), "three windows of four hosts");
	// Three batches a channel make up for opening it, too.
	let all = settled.settling.bytes_each(traffic.requests) + settled.opening.bytes_each(traffic.requests);
	assert!(all <= 1.0, "{all} bytes a request");
}

/// That each sample was answered for, that nobody was suspected and that no money is lost `settle` sees to itself.
#[test]
fn a_hundredth_of_requests_is_sampled_for_less_than_half_a_byte_a_request() {
	let traffic = Traffic { developers: 20, hosts: 5, asked: 5, batch: 57, requests: 20 * 5 * 57 * 2 };
	let without = throughput::settle(&traffic, None);
	assert_eq!((without.sampled.samples, without.sampled.verdicts.extrinsics), (0, 0));
	let sampling = Sampling::new(8);
	let with = throughput::settle(&traffic, Some(&sampling));
	let (sampled, settlements) = (&with.sampled, with.settling.extrinsics);
	assert_eq!(settlements, 10, "two windows of five hosts");
	// Of each settlement there are 11.4 receipts in a hundred, rounded at random: a standard deviation of half a sample
	// at most.
	let (expected, sigma) = (traffic.requests as f64 / 100.0, (settlements as f64).sqrt() / 2.0);
	assert!((sampled.samples as f64 - expected).abs() <= 5.0 * sigma, "{} samples, not {expected}", sampled.samples);
	// A checker has one message that is not full for each of the two windows of a draw.
	let messages = sampled.verdicts.extrinsics;
	assert!((sampled.samples.div_ceil(8)..=sampled.samples / 8 + 10).contains(&messages), "{messages} messages");
	assert!(sampled.verdicts.bytes_each(traffic.requests) <= 0.5, "{:?}", sampled.verdicts);
	let all = Cost::more(&with.blocks, &without.blocks, messages);
	assert_eq!(all.bytes, sampled.verdicts.bytes, "nothing else of it is in blocks");
	assert!(all.weight > sampled.verdicts.weight, "tables, draws and lists cost something, too");
	let others = throughput::per_request(&Traffic { requests: 500, ..traffic.clone() }, drop);
	let report = report(&traffic, &sampling, (&without, &with), &others);
	println!("{report}");
	assert!(report.contains(&format!("{} samples of them", sampled.samples)));
}

#[test]
fn a_request_with_extrinsics_of_its_own_costs_hundreds_of_bytes() {
	let traffic = Traffic { developers: 4, hosts: 3, asked: 3, batch: 10, requests: 120 };
	let others = throughput::per_request(&traffic, drop);
	assert_eq!((others.serving.extrinsics, others.validating.extrinsics), (240, 2));
	assert!(others.serving.bytes_each(traffic.requests) > 200.0);
}
