//! The report on a million requests.

use crate::{
	audit::AuditPlan,
	throughput::{Cost, Others, Settled, Traffic},
};
use std::fmt::Write;

/// Reports the figures of a run without audits and one with, and of the comparison.
pub fn report(traffic: &Traffic, plan: &AuditPlan, (without, with): (&Settled, &Settled), others: &Others) -> String {
	let mut out = String::new();
	let (requests, audited) = (traffic.requests, &with.audited);
	let _ = writeln!(
		out,
		"{requests} requests of {} developers to {} hosts, {} a batch (developer, host, window): {} vouchers in {} settlements.\n\
		 {} audits of them, {:.3} %, all reported in {} messages, in which checkers send {} findings or what a window leaves.\n",
		traffic.developers,
		traffic.hosts,
		traffic.batch,
		without.vouchers,
		without.settling.extrinsics,
		audited.audits,
		100.0 * audited.audits as f64 / requests as f64,
		audited.report.extrinsics,
		plan.batch,
	);
	let audited_all = Cost::more(&with.blocks, &without.blocks, audited.report.extrinsics);
	table(
		&mut out,
		&[
			("settlements", &without.settling, requests),
			("audits: messages about them", &audited.report, requests),
			("audits: with draws and other hooks", &audited_all, requests),
			("opening the channels, once", &without.opening, requests),
			("two extrinsics a request", &others.serving, others.requests),
			("an extrinsic a validation (1 %)", &others.validating, others.requests),
		],
	);
	let _ = writeln!(
		out,
		"\n\"weight\": dispatch weight. \"fit\": requests a second that fit into the part of blocks that transactions may fill.\n\
		 {}\n{}",
		ratios(
			"Two extrinsics a request, to settlements",
			(&others.serving, others.requests),
			(&without.settling, requests)
		),
		ratios(
			"An extrinsic a validation, to messages about audits",
			(&others.validating, others.requests),
			(&audited.report, requests)
		),
	);
	let each = |batches: u64| {
		let channels = traffic.channels() as f64;
		without.settling.bytes_each(requests)
			+ without.opening.bytes as f64 / channels / (batches * traffic.batch) as f64
	};
	let _ = writeln!(
		out,
		"A channel is opened once and used for as many windows as its deposit lasts. With its opening a request would cost\n\
		 {:.3} bytes if it were for one batch; at two batches {:.3}, at ten {:.3}.",
		each(1),
		each(2),
		each(10),
	);
	about_messages(&mut out, with);
	let _ = writeln!(
		out,
		"Off chain, one core: {:.1} s of signing and {:.2} s of trees per million; {:.0} bytes a request in signed\n\
		 envelopes and receipts, which never reach the chain.",
		million(without.signing.as_secs_f64(), requests),
		million(without.trees.as_secs_f64(), requests),
		without.off_chain as f64 / requests as f64,
	);
	if others.requests != requests {
		let _ = writeln!(out, "One extrinsic for each step was measured with {} requests and scaled.", others.requests);
	}
	out
}

fn million(value: f64, of: u64) -> f64 {
	value * 1e6 / of as f64
}

fn table(out: &mut String, lines: &[(&str, &Cost, u64)]) {
	let _ = writeln!(
		out,
		"{:<36} {:>9} {:>11} {:>11} {:>11} {:>13} {:>13}",
		"on chain, per million requests", "B/request", "MB", "weight, s", "native, s", "fit by weight", "fit by length"
	);
	for (name, cost, of) in lines {
		let (by_weight, by_length) = cost.fit(*of);
		let _ = writeln!(
			out,
			"{name:<36} {:>9.3} {:>11.3} {:>11.2} {:>11.2} {:>13.0} {:>13.0}",
			cost.bytes_each(*of),
			million(cost.bytes as f64 / 1e6, *of),
			million(cost.weight as f64 / 1e12, *of),
			million(cost.time.as_secs_f64(), *of),
			by_weight,
			by_length,
		);
	}
}

fn ratios(what: &str, (others, theirs): (&Cost, u64), (ours, requests): (&Cost, u64)) -> String {
	let ratio = |others: f64, ours: f64| (others / theirs as f64) / (ours / requests as f64);
	format!(
		"{what}: {:.3$} times the bytes, {:.3$} times the weight, {:.3$} times the native time.",
		ratio(others.bytes as f64, ours.bytes as f64),
		ratio(others.weight as f64, ours.weight as f64),
		ratio(others.time.as_secs_f64(), ours.time.as_secs_f64()),
		usize::from(ratio(others.bytes as f64, ours.bytes as f64) < 100.0),
	)
}

/// Reports the cost of an audit by the number of audits in a message.
fn about_messages(out: &mut String, Settled { audited, .. }: &Settled) {
	let messages = audited.report.extrinsics.max(1) as f64;
	let finding = audited.findings as f64 / audited.audits.max(1) as f64;
	let head = (audited.report.bytes - audited.findings) as f64 / messages;
	let _ = write!(
		out,
		"A message about audits is {head:.0} bytes and {finding:.1} for each finding, {:.1} of which a message has here. By this\n\
		 number an audit is ",
		audited.audits as f64 / messages,
	);
	let by_number =
		[1, 2, 4, 8, 16, 32, 64].map(|number| format!("{number}: {:.0}", finding + head / f64::from(number)));
	let _ = writeln!(
		out,
		"{} bytes. The pool's validation of a message took {:.2} ms.",
		by_number.join(", "),
		audited.pool.as_secs_f64() * 1e3 / messages,
	);
}
