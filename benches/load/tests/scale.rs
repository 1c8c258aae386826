//! Short forms of the long measurements.
#![cfg(feature = "fast-runtime")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_load::{
	audit::AuditPlan,
	epoch::{self, Size},
	report::report,
	throughput::{self, Cost, Traffic},
};

/// Hooks do as much in a block with either clock; shares are of a block with mainnet's times.
#[test]
fn an_epoch_of_three_hundred_hosts_takes_a_quarter_of_a_block_and_fits_the_proof() {
	let size = Size { hosts: 300, validators: 30, channels: 2, developers: 20, windows: 1, proofs: true };
	let blocks = epoch::run(&size, drop);
	let settlements: u32 = blocks.iter().map(|measured| measured.settlements).sum();
	assert!(settlements >= 200, "hosts settled: {settlements}");
	let greatest = epoch::greatest(&blocks);
	assert!(greatest <= 25.0, "{}", epoch::report(&size, &blocks));
	let proof = epoch::share_of_proof(&blocks, |block| block.proof);
	assert!(proof > 0.0 && proof <= 1.0, "{}", epoch::proofs(&size, &blocks));
}

#[test]
fn a_request_costs_the_chain_less_than_a_byte() {
	let traffic = Traffic { developers: 30, hosts: 4, contacted: 4, batch: 150, requests: 30 * 4 * 150 * 3 };
	let settled = throughput::settle(&traffic, None);
	assert_eq!((settled.vouchers, settled.settling.extrinsics), (360, 12), "three windows of four hosts");
	// Three batches a channel pay for its opening, too.
	let all = settled.settling.bytes_each(traffic.requests) + settled.opening.bytes_each(traffic.requests);
	assert!(all <= 1.0, "{all} bytes a request");
}

/// `settle` itself asserts that each audit was reported, that nobody was suspected and that no money is lost.
#[test]
fn a_hundredth_of_requests_is_audited_for_less_than_half_a_byte_a_request() {
	let traffic = Traffic { developers: 20, hosts: 5, contacted: 5, batch: 57, requests: 20 * 5 * 57 * 2 };
	let without = throughput::settle(&traffic, None);
	assert_eq!((without.audited.audits, without.audited.report.extrinsics), (0, 0));
	let plan = AuditPlan::new(8);
	let with = throughput::settle(&traffic, Some(&plan));
	let (audited, settlements) = (&with.audited, with.settling.extrinsics);
	assert_eq!(settlements, 10, "two windows of five hosts");
	// Of each settlement, 11.4 receipts are audited on average, rounded at random: the standard deviation is at most
	// half an audit.
	let (expected, sigma) = (traffic.requests as f64 / 100.0, (settlements as f64).sqrt() / 2.0);
	assert!((audited.audits as f64 - expected).abs() <= 5.0 * sigma, "{} audits, not {expected}", audited.audits);
	// A checker sends one message that is not full for each of the two windows of a draw.
	let messages = audited.report.extrinsics;
	assert!((audited.audits.div_ceil(8)..=audited.audits / 8 + 10).contains(&messages), "{messages} messages");
	assert!(audited.report.bytes_each(traffic.requests) <= 0.5, "{:?}", audited.report);
	let all = Cost::more(&with.blocks, &without.blocks, messages);
	assert_eq!(all.bytes, audited.report.bytes, "audits put nothing else into blocks");
	assert!(all.weight > audited.report.weight, "tables, draws and lists have costs, too");
	let others = throughput::per_request(&Traffic { requests: 500, ..traffic.clone() }, drop);
	let report = report(&traffic, &plan, (&without, &with), &others);
	println!("{report}");
	assert!(report.contains(&format!("{} audits of them", audited.audits)));
}

#[test]
fn a_request_with_extrinsics_of_its_own_costs_hundreds_of_bytes() {
	let traffic = Traffic { developers: 4, hosts: 3, contacted: 3, batch: 10, requests: 120 };
	let others = throughput::per_request(&traffic, drop);
	assert_eq!((others.serving.extrinsics, others.validating.extrinsics), (240, 2));
	assert!(others.serving.bytes_each(traffic.requests) > 200.0);
}
