//! The report: tables of what was measured, the ratios, and whether the aim is met.

use crate::{
	measure::{GATEWAY, Measured, Row},
	upstream::Pace,
};
use std::fmt::Write;

/// Number of streams at which the gateway has an aim.
const AIM_STREAMS: usize = 16;
/// The aim for the time to the first token above the worker's own, in milliseconds: median and 99th percentile.
const AIM: (f64, f64) = (0.25, 1.0);

/// The value below which a share of the samples lies, in milliseconds.
fn quantile(samples: &[u64], share: f64) -> f64 {
	let mut sorted = samples.to_vec();
	sorted.sort_unstable();
	let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
	sorted.get(index).map_or(f64::NAN, |nanoseconds| *nanoseconds as f64 / 1e6)
}

/// Median and 99th percentile.
fn pair(samples: &[u64]) -> (f64, f64) {
	(quantile(samples, 0.5), quantile(samples, 0.99))
}

/// Writes the report.
pub fn text(streams: &[usize], crowd: usize, tokens: u32, pace: Pace, rows: &[Row]) -> String {
	let mut out = String::new();
	let _ = write!(
		out,
		"Each completion has {tokens} tokens, which leave the upstream {} ms after the request and then every {} ms.\n\
		 Times are milliseconds above the upstream's own, median / 99th percentile: until the first token, of each further\n\
		 token, and until the end. The row `upstream` is the client's own connection to it, without a proxy.\n",
		pace.first.as_millis(),
		pace.gap.as_millis()
	);
	for (level, streams) in streams.iter().enumerate() {
		let title = format!("{streams} streams");
		table(&mut out, &title, rows.iter().filter_map(|row| Some((row.name, row.paced.get(level)?))));
	}
	table(&mut out, "no pauses", rows.iter().map(|row| (row.name, &row.saturated)));
	let _ = writeln!(out, "\n{:<12} {:>12} {:>18}", "memory, MiB", "at first", format!("{crowd} open streams"));
	for (name, (idle, full)) in rows.iter().filter_map(|row| Some((row.name, row.memory?))) {
		let _ = writeln!(out, "{name:<12} {:>12} {:>18}", idle >> 20, full >> 20);
	}
	if let Some(gateway) = rows.iter().find(|row| row.name == GATEWAY) {
		for row in rows.iter().filter(|row| row.memory.is_some() && row.name != GATEWAY) {
			ratios(&mut out, streams, gateway, row);
		}
		aim(&mut out, streams, gateway);
	}
	out
}

fn table<'a>(out: &mut String, title: &str, rows: impl Iterator<Item = (&'a str, &'a Measured)>) {
	let _ = writeln!(
		out,
		"\n{title:<12} {:>17} {:>17} {:>17} {:>17} {:>17} {:>8} {:>9} {:>7}",
		"first token", "… request", "… response", "token", "end", "req/s", "requests", "CPU ms"
	);
	for (name, measured) in rows {
		let _ = write!(out, "{name:<12}");
		for samples in [&measured.first, &measured.parts.0, &measured.parts.1, &measured.token, &measured.whole] {
			let (median, tail) = pair(samples);
			let _ = write!(out, " {:>17}", format!("{median:.2} / {tail:.2}"));
		}
		let _ = writeln!(out, " {:>8.0} {:>9} {:>7.2}", measured.rate(), measured.first.len(), measured.cpu());
	}
}

/// How many times as much another proxy needs, or serves.
fn ratios(out: &mut String, streams: &[usize], gateway: &Row, other: &Row) {
	let _ = writeln!(out, "\n{} ÷ gateway", other.name);
	for (level, streams) in streams.iter().enumerate() {
		let (Some(ours), Some(theirs)) = (gateway.paced.get(level), other.paced.get(level)) else { continue };
		let (a, b) = (pair(&ours.first), pair(&theirs.first));
		let (c, d) = (pair(&ours.token), pair(&theirs.token));
		let _ = writeln!(
			out,
			"  {streams:>4} streams: first token {:.2} / {:.2}, token {:.2} / {:.2}, CPU {:.2}",
			b.0 / a.0,
			b.1 / a.1,
			d.0 / c.0,
			d.1 / c.1,
			theirs.cpu() / ours.cpu()
		);
	}
	let full = |row: &Row| row.memory.map_or(f64::NAN, |(_, full)| full as f64);
	let rate = other.saturated.rate() / gateway.saturated.rate();
	let _ = writeln!(out, "  requests a second {rate:.2}, memory {:.2}", full(other) / full(gateway));
}

fn aim(out: &mut String, streams: &[usize], gateway: &Row) {
	let level = streams.iter().position(|streams| *streams == AIM_STREAMS);
	if let Some(measured) = level.and_then(|level| gateway.paced.get(level)) {
		let (median, tail) = pair(&measured.first);
		let verdict = if median <= AIM.0 && tail <= AIM.1 { "met" } else { "missed" };
		let _ = writeln!(
			out,
			"\naim at {AIM_STREAMS} streams, first token at most {:.2} / {:.2} ms above the worker's own time: {median:.2} / {tail:.2}, {verdict}",
			AIM.0, AIM.1
		);
	}
}
