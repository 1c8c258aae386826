//! The report: what a profile does with all measurements, as tables and a plot.

use crate::{
	fit::{Scale, TOKENS_A_FALSE_ALARM, evidence, is_broken, receipt_evidence},
	observe::{Audit, Measurements, Observation},
	plan::{Arithmetic, CHUNK, Cheat, EngineKind, HOSTS, Host, Machine, setting_name},
};
use gonka_plot::{Plot, Series};
use gonka_primitives::audit::{CalibrationProfile, NAT};
use std::fmt::{self, Write};

/// Number of short receipts into which a completion is divided.
const SHORT: usize = 5;

/// Selects which of a token's two distances a checker sees.
type Distance = fn(&Observation) -> u32;

/// Audits of one kind of host by one checker.
pub struct Group<'a> {
	/// Name of the kind of host.
	pub name: String,
	/// Machine of the host.
	pub host: Machine,
	/// Machine of the checker.
	pub checker: Machine,
	/// Distance that follows from the fingerprints that the host reports.
	pub distance: Distance,
	/// Whether the host claims that its completions ended by themselves.
	pub stops: bool,
	/// Audits, each with the setting of its request.
	pub audits: Vec<(usize, &'a Audit)>,
}

impl Group<'_> {
	/// Returns the observations of all tokens.
	pub fn tokens(&self) -> impl Iterator<Item = &Observation> {
		self.audits.iter().flat_map(|(_, audit)| &audit.tokens)
	}

	/// Returns the evidence of whole completions, in nats, without the clamp.
	fn evidence(&self, profile: &CalibrationProfile) -> Vec<f64> {
		self.audits.iter().map(|(_, audit)| self.completion_evidence(profile, audit)).collect()
	}

	/// Evidence of one whole completion.
	fn completion_evidence(&self, profile: &CalibrationProfile, audit: &Audit) -> f64 {
		// A receipt that contradicts itself counts as the strongest evidence.
		if is_broken(profile, audit, self.stops) {
			f64::INFINITY
		} else {
			evidence(profile, &audit.tokens, self.distance)
		}
	}

	/// Share of the completions of a setting with evidence above `limit`, in per cent.
	fn flagged_of(&self, setting: usize, profile: &CalibrationProfile, limit: f64) -> String {
		let chosen = self.audits.iter().filter(|(other, _)| *other == setting);
		let evidence: Vec<f64> = chosen.map(|(_, audit)| self.completion_evidence(profile, audit)).collect();
		if evidence.is_empty() { "–".into() } else { format!("{:.0}", 100.0 * share_above(&evidence, limit)) }
	}

	/// Evidence of receipts of `length` tokens, as the chain counts it.
	pub fn receipts(&self, profile: &CalibrationProfile, length: usize) -> Vec<f64> {
		let parts = self.audits.iter().flat_map(|(_, audit)| audit.tokens.chunks(length));
		parts.map(|part| receipt_evidence(profile, part, self.distance)).collect()
	}
}

fn own(token: &Observation) -> u32 {
	token.distance
}

fn prefilled(token: &Observation) -> u32 {
	token.prefilled
}

/// Returns whether a host computes something else than the model, as its class does.
fn computes_otherwise(host: &Host) -> bool {
	matches!(host.cheat, Some(Cheat::Weights(_) | Cheat::Format(_) | Cheat::Arithmetic))
}

/// Returns the pairs of honest hosts and checkers.
pub fn honest(measurements: &Measurements) -> Vec<Group<'_>> {
	groups(measurements, |host| host.cheat.is_none(), own, Host::title, |_, _| true)
}

/// Returns the cheats that report the fingerprints of their own computation.
pub fn other_weights(measurements: &Measurements) -> Vec<Group<'_>> {
	groups(measurements, computes_otherwise, own, |host| host.name.into(), |_, _| true)
}

/// Returns the cheats that read their completions with the true model, and report its fingerprints.
pub fn true_prefill(measurements: &Measurements) -> Vec<Group<'_>> {
	let weights = groups(
		measurements,
		computes_otherwise,
		prefilled,
		|host| format!("{}, then a true prefill", host.name),
		|_, _| true,
	);
	// At temperature 0 there is neither a tape nor a temperature to change.
	let sampling = groups(
		measurements,
		|host| matches!(host.cheat, Some(Cheat::Tape | Cheat::Temperature)),
		prefilled,
		|host| host.name.into(),
		|_, position| position % CHUNK != 0,
	);
	weights.into_iter().chain(sampling).collect()
}

/// Returns the completions that end too early.
pub fn early_ends(measurements: &Measurements) -> Vec<Group<'_>> {
	let of = |name: &str, which: usize| {
		let name = name.to_owned();
		let is_end = |host: &Host| host.cheat == Some(Cheat::End);
		let mut groups =
			groups(measurements, is_end, prefilled, move |_| name.clone(), |_, position| position % 2 == which);
		for group in &mut groups {
			group.stops = which == 1;
			// Each generated completion is measured with two ends.
			group.audits.iter_mut().for_each(|(setting, _)| *setting /= 2);
		}
		groups
	};
	of("cut off", 0).into_iter().chain(of("a false end", 1)).collect()
}

fn groups<'a>(
	measurements: &'a Measurements,
	chosen: impl Fn(&Host) -> bool,
	distance: Distance,
	name: impl Fn(&Host) -> String,
	which: impl Fn(&Host, usize) -> bool,
) -> Vec<Group<'a>> {
	let mut groups = Vec::new();
	for host in HOSTS.iter().filter(|host| chosen(host)) {
		// Hosts with another engine are not measured.
		let Some(chunks) = measurements.get(host.name) else { continue };
		for (index, checker) in host.checkers.iter().enumerate() {
			let completions = chunks.iter().flat_map(|chunk| chunk.iter().enumerate());
			let audits = completions.filter(|(position, _)| which(host, *position));
			let audits: Vec<(usize, &Audit)> =
				audits.filter_map(|(position, completion)| Some((position, completion.get(index)?))).collect();
			groups.push(Group {
				name: name(host),
				host: host.machine,
				checker: *checker,
				distance,
				stops: false,
				audits,
			});
		}
	}
	groups
}

/// Sums a profile's evidence over receipts as the chain does. Returns the number of alarms, and the greatest sum.
fn alarms(profile: &CalibrationProfile, receipts: impl Iterator<Item = f64>) -> (usize, f64) {
	let alarm = f64::from(profile.alarm) / NAT as f64;
	let (mut sum, mut count, mut max) = (0.0f64, 0, 0.0f64);
	for receipt in receipts {
		sum = (sum + receipt).max(0.0);
		max = max.max(sum);
		if sum >= alarm {
			(sum, count) = (0.0, count + 1);
		}
	}
	(count, max)
}

/// Returns the probability that a cheat's completion has more evidence than an honest one; equal ones count half.
fn area(honest: &[f64], cheats: &[f64]) -> f64 {
	let sum: f64 = cheats
		.iter()
		.map(|cheat| {
			let below = honest.partition_point(|other| other < cheat);
			let not_above = honest.partition_point(|other| other <= cheat);
			(below + not_above) as f64 / 2.0
		})
		.sum();
	sum / (honest.len().max(1) * cheats.len().max(1)) as f64
}

fn share_above(evidence: &[f64], limit: f64) -> f64 {
	evidence.iter().filter(|evidence| **evidence > limit).count() as f64 / evidence.len().max(1) as f64
}

/// Result of a calibration.
pub struct Report {
	/// Name under which the model is registered for this profile, with the class if there is one.
	pub model: String,
	/// Tables, in Markdown.
	pub text: String,
	/// Plot of the receiver operating characteristics, as SVG.
	pub plot: String,
	/// Number of false alarms that honest pairs raised.
	pub false_alarms: usize,
	/// Number of tokens of honest hosts that checkers audited.
	pub honest_tokens: usize,
	/// Cheats of which fewer than 99 % of completions are flagged.
	pub missed: Vec<String>,
}

/// Applies a profile to all measurements, made with completions of `length` tokens. `scale` is the factor of the profile's
/// ratios, if the profile was made of these measurements.
pub fn report(
	(model, engine): (&str, EngineKind),
	length: usize,
	profile: &CalibrationProfile,
	scale: Option<Scale>,
	measurements: &Measurements,
) -> Report {
	let pairs = honest(measurements);
	let honest_tokens = pairs.iter().map(|pair| pair.tokens().count()).sum();
	let mut writer = Writer { text: String::new(), length, short: (length / SHORT).max(1), profile };
	// Writing to a string cannot fail.
	let _ = writer.header(model, measurements, honest_tokens);
	let _ = writer.profile(scale, engine.dilution());
	let false_alarms = writer.honest(&pairs).unwrap_or_default();
	let (missed, curves) = writer.cheats(&pairs, measurements).unwrap_or_default();
	let plot = plot(model, length, curves).svg();
	Report { model: model.into(), text: writer.text, plot, false_alarms, honest_tokens, missed }
}

/// A cheat's area under the curve, its name, and its curve.
type Curve = (f64, String, Vec<(f64, f64)>);

/// Writes the report, section by section.
struct Writer<'a> {
	text: String,
	/// Number of tokens of a completion.
	length: usize,
	/// Number of tokens of a short receipt.
	short: usize,
	profile: &'a CalibrationProfile,
}

impl Writer<'_> {
	fn header(&mut self, model: &str, measurements: &Measurements, honest_tokens: usize) -> fmt::Result {
		let (out, length) = (&mut self.text, self.length);
		let count = |host: &Host| measurements.get(host.name).map_or(0, |chunks| chunks.iter().map(Vec::len).sum());
		let measured = HOSTS.iter().filter(|host| measurements.contains_key(host.name));
		let (honest, cheats): (Vec<&Host>, Vec<&Host>) = measured.partition(|host| host.cheat.is_none());
		let generated = honest.into_iter().map(|host| count(host) * length).sum::<usize>();
		writeln!(out, "# Calibration of {model}\n")?;
		writeln!(
			out,
			"Honest hosts generated {generated} tokens in completions of {length}, and checkers audited {honest_tokens}; \
			 each cheat has {} completions or more. Completions begin with 64 texts, each with a number before it, and have \
			 these settings in turn: {}.\n",
			cheats.into_iter().map(count).min().unwrap_or(0),
			(0..CHUNK).map(setting_name).collect::<Vec<_>>().join("; "),
		)
	}

	fn profile(&mut self, scale: Option<Scale>, dilution: f64) -> fmt::Result {
		let (out, profile) = (&mut self.text, self.profile);
		writeln!(out, "## Calibration profile\n")?;
		let origin = match scale {
			Some(scale) => format!(
				"Made of these measurements: a cheat counts as wrong in {dilution} of its tokens; ratios were multiplied by \
				 {:.3} (margins) and {:.3} (distances), because tokens of a completion are not independent; at most one \
				 false alarm in {TOKENS_A_FALSE_ALARM:.0e} tokens.",
				scale.tape, scale.fingerprint
			),
			None => "Made of other measurements, or of a part of these.".into(),
		};
		let (alarm, clamp) = (nats(profile.alarm.into()), nats(profile.clamp.into()));
		writeln!(out, "{origin} Alarm {alarm:.2} nats, clamp {clamp:.2} nats.\n")?;
		writeln!(out, "| bin | margins from, nats | ratio, nats | squared distances from | ratio, nats |")?;
		writeln!(out, "|---|---|---|---|---|")?;
		for bin in 0..8 {
			let margin = match bin {
				0 => "0 exactly".into(),
				1 => "above 0".into(),
				_ => nats(profile.margins[bin - 2].into()).to_string(),
			};
			let distance = if bin == 0 { 0 } else { profile.distances[bin - 1] };
			let (tape, fingerprint) = (nats(profile.tape[bin].into()), nats(profile.fingerprint[bin].into()));
			writeln!(out, "| {bin} | {margin} | {tape:.4} | {distance} | {fingerprint:.4} |")?;
		}
		Ok(())
	}

	/// Writes the section on honest hosts, and returns the number of false alarms.
	fn honest(&mut self, pairs: &[Group<'_>]) -> Result<usize, fmt::Error> {
		let (out, profile, lengths) = (&mut self.text, self.profile, [self.short, self.length]);
		let [short, length] = lengths;
		writeln!(out, "\n## Honest hosts\n")?;
		writeln!(
			out,
			"Greatest sum: of the chain's sums over receipts of {short} and of {length} tokens, which raise an alarm at \
			 {:.2}.\n",
			nats(profile.alarm.into())
		)?;
		writeln!(
			out,
			"| host | checker | tokens | margin above 0, % | above 1 nat, % | mean distance | 99 % | mean evidence of a \
			 completion | maximum | greatest sum | alarms |"
		)?;
		writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
		let mut false_alarms = 0;
		for pair in pairs {
			let tokens: Vec<&Observation> = pair.tokens().collect();
			if tokens.is_empty() {
				continue;
			}
			let evidence = pair.evidence(profile);
			let share = |limit: u32| {
				100.0 * tokens.iter().filter(|token| token.margin > limit).count() as f64 / tokens.len() as f64
			};
			let mut distances: Vec<u32> = tokens.iter().map(|token| token.distance).collect();
			distances.sort_unstable();
			let sums = lengths.map(|part| alarms(profile, pair.receipts(profile, part).into_iter()));
			let count: usize = sums.iter().map(|(count, _)| count).sum();
			false_alarms += count;
			writeln!(
				out,
				"| {} | {} | {} | {:.3} | {:.3} | {:.2} | {} | {:.2} | {:.2} | {:.2} | {count} |",
				pair.name,
				pair.checker.name(),
				tokens.len(),
				share(0),
				share(NAT as u32),
				distances.iter().map(|distance| f64::from(*distance)).sum::<f64>() / distances.len() as f64,
				distances[distances.len() * 99 / 100],
				evidence.iter().sum::<f64>() / evidence.len() as f64,
				evidence.iter().fold(f64::NEG_INFINITY, |max, evidence| max.max(*evidence)),
				sums.iter().fold(0.0, |max: f64, (_, sum)| max.max(*sum)),
			)?;
		}
		for part in lengths {
			let all = pairs.iter().flat_map(|pair| pair.receipts(profile, part));
			let (count, max) = alarms(profile, all);
			writeln!(out, "\nAll of them in a row, receipts of {part}: greatest sum {max:.2}, {count} alarms.")?;
		}
		Ok(false_alarms)
	}

	/// Writes the section on cheats. Returns the cheats that are often missed, and the curves for checkers with llama.cpp or in bfloat16.
	fn cheats(
		&mut self,
		pairs: &[Group<'_>],
		measurements: &Measurements,
	) -> Result<(Vec<String>, Vec<Curve>), fmt::Error> {
		let (out, profile, short, length) = (&mut self.text, self.profile, self.short, self.length);
		let mut normal: Vec<f64> = pairs.iter().flat_map(|pair| pair.evidence(profile)).collect();
		normal.sort_by(f64::total_cmp);
		let limit = normal.get(normal.len().saturating_sub(1 + normal.len() / 1000)).copied().unwrap_or_default();
		let max = normal.last().copied().unwrap_or_default();
		writeln!(out, "\n## Cheats, by completions of {length} tokens\n")?;
		writeln!(
			out,
			"Flagged: completions with evidence of more than {limit:.2} nats, which one honest completion in a thousand has; \
			 the maximum of an honest one is {max:.2}. Until the alarm: tokens, if all that is checked is such, in receipts \
			 of {short}.\n",
		)?;
		writeln!(out, "| cheat | checker | completions | AUC | flagged, % | above all honest, % | until the alarm |")?;
		writeln!(out, "|---|---|---|---|---|---|---|")?;
		let (mut missed, mut by_setting, mut curves) = (Vec::new(), Vec::new(), Vec::new());
		let cheats =
			[other_weights(measurements), true_prefill(measurements), early_ends(measurements)].into_iter().flatten();
		for group in cheats.filter(|group| !group.audits.is_empty()) {
			let (name, checker) = (&group.name, group.checker.name());
			let evidence = group.evidence(profile);
			let (auc, flagged) = (area(&normal, &evidence), share_above(&evidence, limit));
			let is_whole = group.audits.iter().all(|(_, audit)| audit.tokens.len() == length);
			let until = if is_whole { until_alarm(profile, &group, short) } else { None };
			writeln!(
				out,
				"| {name} | {checker} | {} | {auc:.4} | {:.1} | {:.1} | {} |",
				evidence.len(),
				100.0 * flagged,
				100.0 * share_above(&evidence, max),
				until.map_or("–".into(), |tokens| format!("{tokens:.0}")),
			)?;
			if flagged < 0.99 && !missed.contains(name) {
				missed.push(name.clone());
			}
			let shares: Vec<String> = (0..CHUNK).map(|setting| group.flagged_of(setting, profile, limit)).collect();
			by_setting.push(format!("| {name} | {checker} | {} |", shares.join(" | ")));
			if group.checker.arithmetic != Arithmetic::F32 {
				curves.push((auc, name.clone(), curve(&normal, &evidence)));
			}
		}
		let names = if missed.is_empty() { "none".into() } else { missed.join("; ") };
		writeln!(out, "\nFlagged in less than 99 %: {names}.")?;
		writeln!(out, "\n### Flagged by setting, %\n")?;
		let settings: Vec<String> = (0..CHUNK).map(setting_name).collect();
		writeln!(out, "| cheat | checker | {} |", settings.join(" | "))?;
		writeln!(out, "|---|---|{}", "---|".repeat(CHUNK))?;
		by_setting.iter().try_for_each(|line| writeln!(out, "{line}"))?;
		writeln!(out, "\n![Receiver operating characteristics](roc.svg)")?;
		Ok((missed, curves))
	}
}

/// Plots the six cheats that are hardest to find.
fn plot(model: &str, length: usize, mut curves: Vec<Curve>) -> Plot {
	curves.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
	let series = curves.into_iter().take(6).map(|(_, name, line)| Series { name, line, points: Vec::new() }).collect();
	Plot {
		title: format!("{model}: cheats by one completion of {length} tokens"),
		x_label: "honest completions with more evidence".into(),
		y_label: "cheats' completions with more evidence".into(),
		x_ticks: [(1e-4, "10⁻⁴"), (1e-3, "10⁻³"), (1e-2, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
			.map(|(x, label)| (x, label.to_owned()))
			.into(),
		y_ticks: [(0.0, "0"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %")]
			.map(|(y, label)| (y, label.to_owned()))
			.into(),
		series,
		note: "the six that are hardest to find, by a checker with llama.cpp or in bfloat16".into(),
		names_on_top: false,
	}
}

fn nats(ratio: i64) -> f64 {
	ratio as f64 / NAT as f64
}

/// Returns the mean number of tokens until the alarm; `None` if the measurements do not raise it.
fn until_alarm(profile: &CalibrationProfile, group: &Group<'_>, length: usize) -> Option<f64> {
	let receipts = group.receipts(profile, length);
	let count = alarms(profile, receipts.iter().copied()).0;
	(count > 0).then(|| (receipts.len() * length) as f64 / count as f64)
}

/// Returns the shares of honest and of cheats' completions above each limit that separates them.
fn curve(honest: &[f64], cheats: &[f64]) -> Vec<(f64, f64)> {
	let mut limits: Vec<f64> = cheats.to_vec();
	limits.extend((0..=200).map(|step| honest[(honest.len() - 1) * step / 200]));
	limits.extend(honest.iter().rev().take(50));
	limits.sort_by(f64::total_cmp);
	limits.dedup();
	let at = |limit: &f64| (share_above(honest, *limit).max(1e-4), share_above(cheats, *limit));
	let mut line: Vec<(f64, f64)> = limits.iter().rev().map(at).collect();
	line.push((1.0, 1.0));
	line.dedup();
	line
}
