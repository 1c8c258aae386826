//! The cost of sampled validation for the chain.

use super::{mock::*, world::*};
use crate::weights::{SubstrateWeight, WeightInfo};
use codec::Encode;
use gonka_primitives::audit::{AuditReport, Counts, FRESH, Finding, MAX_FINDINGS, MAX_REVIEWED, Ruling};
use polkadot_sdk::{
	frame_support::{
		traits::Get,
		weights::{RuntimeDbWeight, constants::ParityDbWeight},
	},
	frame_system,
};

/// Dispatch weights without the cost of the database.
type W = SubstrateWeight<Test>;

const MILLISECOND: u64 = 1_000_000_000;
/// The size that a transaction adds to its message: length, extensions, call, signature.
const ENVELOPE: usize = 80;

/// The finding about a completion of 500 tokens, nearly all of which fit.
fn typical() -> Finding {
	Finding::Checked(Counts::new([480, 12, 5, 2, 1, 0, 0, 0], [420, 60, 15, 5, 0, 0, 0, 0]))
}

fn message(findings: usize) -> usize {
	let findings = (0..).take(findings).map(|index| (index, typical())).collect();
	ENVELOPE + AuditReport { checker: [1; 32], window: 1, findings }.encoded_size()
}

#[test]
fn without_the_database_no_message_costs_more_than_a_millisecond_and_a_half() {
	let db: RuntimeDbWeight = <Test as frame_system::Config>::DbWeight::get();
	assert_eq!(db, RuntimeDbWeight { read: 0, write: 0 });
	let report = W::authorize_submit_report(MAX_FINDINGS) + W::submit_report(MAX_FINDINGS, 1);
	let ruling = W::authorize_rule() + W::rule();
	assert!(report.ref_time() <= MILLISECOND * 3 / 2, "{report:?}");
	assert!(ruling.ref_time() <= MILLISECOND, "{ruling:?}");
}

#[test]
fn messages_are_small() {
	assert!(typical().encoded_size() <= 24, "{}", typical().encoded_size());
	let worst = Finding::Checked(Counts::new([u16::MAX; 8], [u16::MAX; 8]));
	assert!(worst.encoded_size() <= 65);
	assert!(message(MAX_FINDINGS as usize) <= 2_000);
	let ruling = Ruling {
		arbiter: [1; 32],
		host: [2; 32],
		case: 1,
		reviewed: vec![worst; MAX_REVIEWED as usize],
		fresh: vec![worst; FRESH as usize],
	};
	assert!(ruling.encoded_size() + ENVELOPE <= 4_000);
}

/// A million requests at 1 %: 10,000 audits, in messages of 8 findings, as checkers on a busy network have in a window.
#[test]
fn a_million_requests_cost_the_chain_a_few_blocks() {
	let (audits, batch) = (10_000u64, 8u32);
	let messages = audits / u64::from(batch);
	let db: RuntimeDbWeight = ParityDbWeight::get();
	let per_message = W::authorize_submit_report(batch) + W::submit_report(batch, 0);
	// The other storage accesses of an audit: its draw, and its part of a list that is closed.
	let computing = per_message.ref_time() * messages + (W::draw(1, 1) + W::close(1)).ref_time() * audits;
	let database = messages * (db.reads(4 + 6) + db.writes(2)).ref_time()
		+ audits * (db.reads(4 + 17 + 6) + db.writes(2 + 1 + 1)).ref_time();
	let (bytes, time) = (messages * message(batch as usize) as u64, computing + database);
	println!(
		"a million requests at 1 %: {bytes} bytes, {} ms of computation, {} ms of database",
		computing / MILLISECOND,
		database / MILLISECOND
	);
	assert!(bytes <= 500_000, "half a byte a request: {bytes}");
	assert!(time <= 8_000 * MILLISECOND, "{} ms: four blocks of two seconds", time / MILLISECOND);
}

#[test]
fn the_cost_of_an_audit_does_not_depend_on_the_number_of_requests() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 2_000)]);
		next_window(2);
		let audits: usize = [2, 3].into_iter().map(|name| open_audits(name).len()).sum();
		assert_eq!(audits, RULES.max_audits as usize, "of a settlement with 2,000 receipts of a new host");
	});
}
