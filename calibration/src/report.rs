//! What a profile does with everything that was measured: tables and a plot.

use crate::{
	fit::{DILUTION, Scale, TOKENS_A_FALSE_ALARM, is_broken, receipt, weight},
	observe::{Answer, Found, Look, Observations},
	plan::{CHUNK, Cheat, HOSTS, Host, Machine, setting_name},
};
use gonka_plot::{Plot, Series};
use gonka_primitives::sampling::{NAT, Profile};
use std::fmt::Write;

/// A short receipt is such a part of an answer.
const SHORT: usize = 5;

/// Which of a token's two distances a checker sees.
type Distance = fn(&Found) -> u32;

/// Answers of one kind, as one checker finds them.
pub struct Kind<'a> {
	/// What it is.
	pub name: String,
	/// How its host computes.
	pub host: Machine,
	/// Who looks.
	pub checker: Machine,
	/// What is shown as fingerprints.
	pub distance: Distance,
	/// Whether answers are said to have ended by themselves.
	pub stops: bool,
	/// Looks with the setting of the request.
	pub looks: Vec<(usize, &'a Look)>,
}

impl Kind<'_> {
	/// All tokens.
	pub fn tokens(&self) -> impl Iterator<Item = &Found> {
		self.looks.iter().flat_map(|(_, look)| &look.tokens)
	}

	/// What whole answers weigh, without the clamp.
	fn weights(&self, profile: &Profile) -> Vec<f64> {
		self.looks.iter().map(|(_, look)| self.whole(profile, look)).collect()
	}

	fn whole(&self, profile: &Profile, look: &Look) -> f64 {
		// No receipt weighs more than one that contradicts itself.
		if is_broken(profile, look, self.stops) { f64::INFINITY } else { weight(profile, &look.tokens, self.distance) }
	}

	/// What receipts of so many tokens weigh on chain.
	pub fn receipts(&self, profile: &Profile, length: usize) -> Vec<f64> {
		let parts = self.looks.iter().flat_map(|(_, look)| look.tokens.chunks(length));
		parts.map(|part| receipt(profile, part, self.distance)).collect()
	}
}

fn own(token: &Found) -> u32 {
	token.distance
}

fn prefilled(token: &Found) -> u32 {
	token.prefilled
}

/// Pairs of honest hosts and checkers.
pub fn honest(observations: &Observations) -> Vec<Kind<'_>> {
	kinds(observations, |host| host.cheat.is_none(), own, Host::title, |_, _| true)
}

/// Cheats that show what their own weights give.
pub fn other_weights(observations: &Observations) -> Vec<Kind<'_>> {
	kinds(observations, |host| matches!(host.cheat, Some(Cheat::Weights(_))), own, |host| host.name.into(), |_, _| true)
}

/// Cheats that read with the true model what something else wrote, and so show its fingerprints.
pub fn true_prefill(observations: &Observations) -> Vec<Kind<'_>> {
	let weights = kinds(
		observations,
		|host| matches!(host.cheat, Some(Cheat::Weights(_))),
		prefilled,
		|host| format!("{}, then a true prefill", host.name),
		|_, _| true,
	);
	// Without a temperature there is neither a tape nor a temperature to change.
	let sampling = kinds(
		observations,
		|host| matches!(host.cheat, Some(Cheat::Tape | Cheat::Temperature)),
		prefilled,
		|host| host.name.into(),
		|_, place| place % CHUNK != 0,
	);
	weights.into_iter().chain(sampling).collect()
}

/// Answers that end too early.
pub fn early_ends(observations: &Observations) -> Vec<Kind<'_>> {
	let of = |name: &str, which: usize| {
		let name = name.to_owned();
		let is_end = |host: &Host| host.cheat == Some(Cheat::End);
		let mut kinds = kinds(observations, is_end, prefilled, move |_| name.clone(), |_, place| place % 2 == which);
		for kind in &mut kinds {
			kind.stops = which == 1;
			// Two for each answer.
			kind.looks.iter_mut().for_each(|(setting, _)| *setting /= 2);
		}
		kinds
	};
	of("cut off", 0).into_iter().chain(of("a false end", 1)).collect()
}

fn kinds<'a>(
	observations: &'a Observations,
	chosen: impl Fn(&Host) -> bool,
	distance: Distance,
	name: impl Fn(&Host) -> String,
	which: impl Fn(&Host, usize) -> bool,
) -> Vec<Kind<'a>> {
	let mut kinds = Vec::new();
	for host in HOSTS.iter().filter(|host| chosen(host)) {
		let chunks: &[Vec<Answer>] = observations.get(host.name).map_or(&[], Vec::as_slice);
		for (index, checker) in host.checkers.iter().enumerate() {
			let answers = chunks.iter().flat_map(|chunk| chunk.iter().enumerate());
			let looks = answers.filter(|(place, _)| which(host, *place));
			let looks: Vec<(usize, &Look)> =
				looks.filter_map(|(place, answer)| Some((place, answer.get(index)?))).collect();
			kinds.push(Kind { name: name(host), host: host.machine, checker: *checker, distance, stops: false, looks });
		}
	}
	kinds
}

/// A profile's sum over receipts: how often it raises the alarm, and its greatest value.
fn alarms(profile: &Profile, receipts: impl Iterator<Item = f64>) -> (usize, f64) {
	let alarm = f64::from(profile.alarm) / NAT as f64;
	let (mut sum, mut count, mut most) = (0.0f64, 0, 0.0f64);
	for receipt in receipts {
		sum = (sum + receipt).max(0.0);
		most = most.max(sum);
		if sum >= alarm {
			(sum, count) = (0.0, count + 1);
		}
	}
	(count, most)
}

/// The probability that a cheat's answer weighs more than an honest one; half of it for equal ones.
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

fn share_above(weights: &[f64], limit: f64) -> f64 {
	weights.iter().filter(|weight| **weight > limit).count() as f64 / weights.len().max(1) as f64
}

/// What was found.
pub struct Report {
	/// Tables, in Markdown.
	pub text: String,
	/// Receiver operating characteristics.
	pub plot: String,
	/// False alarms of honest pairs.
	pub false_alarms: usize,
	/// Tokens of honest hosts that checkers looked at.
	pub honest_tokens: usize,
	/// Kinds of cheats that fewer than 99 % of answers show.
	pub missed: Vec<String>,
}

/// Everything about a profile, measured with answers of `length` tokens. `scale`: what its ratios were multiplied with, if
/// it was made of these measurements.
pub fn report(
	model: &str,
	length: usize,
	profile: &Profile,
	scale: Option<Scale>,
	observations: &Observations,
) -> Report {
	let mut text = String::new();
	// Writing to a string cannot fail.
	let (plot, false_alarms, honest_tokens, missed) =
		write(&mut text, (model, length), profile, scale, observations).unwrap_or_default();
	Report { text, plot, false_alarms, honest_tokens, missed }
}

type Written = (String, usize, usize, Vec<String>);

fn write(
	out: &mut String,
	(model, length): (&str, usize),
	profile: &Profile,
	scale: Option<Scale>,
	observations: &Observations,
) -> Result<Written, std::fmt::Error> {
	let (pairs, short) = (honest(observations), (length / SHORT).max(1));
	let honest_tokens = pairs.iter().map(|pair| pair.tokens().count()).sum();
	let made: usize =
		HOSTS.iter().filter(|host| host.cheat.is_none()).map(|host| answers(observations, host) * length).sum();
	writeln!(out, "# Calibration of {model}\n")?;
	writeln!(
		out,
		"{made} tokens of honest hosts in answers of {length}, {honest_tokens} looks at them; each cheat with \
		 {} answers or more. Answers begin with 64 texts, each with a number before it, and have these settings in \
		 turn: {}.\n",
		HOSTS.iter().filter(|host| host.cheat.is_some()).map(|host| answers(observations, host)).min().unwrap_or(0),
		(0..CHUNK).map(setting_name).collect::<Vec<_>>().join("; "),
	)?;

	writeln!(out, "## Profile\n")?;
	writeln!(
		out,
		"{} Alarm {:.2} nats, clamp {:.2} nats.\n",
		match scale {
			Some(scale) => format!(
				"Made of these measurements: a cheat counts as wrong in {DILUTION} of its tokens; ratios were multiplied with \
				 {:.3} (margins) and {:.3} (distances), since tokens of an answer are not independent; one false alarm in \
				 {TOKENS_A_FALSE_ALARM:.0e} tokens at most.",
				scale.tape, scale.fingerprint
			),
			None => "It was made of others than these measurements, or of a part of them.".into(),
		},
		nats(profile.alarm.into()),
		nats(profile.clamp.into()),
	)?;
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

	writeln!(out, "\n## Honest hosts\n")?;
	writeln!(
		out,
		"Greatest sum: of the chain's sums over receipts of {short} and of {length} tokens, which raise an alarm at \
		 {:.2}.\n",
		nats(profile.alarm.into())
	)?;
	writeln!(
		out,
		"| host | checker | tokens | margin above 0, % | above 1 nat, % | mean distance | 99 % | answer's weight, mean | most | greatest sum | alarms |"
	)?;
	writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
	let mut false_alarms = 0;
	for pair in &pairs {
		let tokens: Vec<&Found> = pair.tokens().collect();
		if tokens.is_empty() {
			continue;
		}
		let weights = pair.weights(profile);
		let share = |limit: u32| {
			100.0 * tokens.iter().filter(|token| token.margin > limit).count() as f64 / tokens.len() as f64
		};
		let mut distances: Vec<u32> = tokens.iter().map(|token| token.distance).collect();
		distances.sort_unstable();
		let sums = [short, length].map(|part| alarms(profile, pair.receipts(profile, part).into_iter()));
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
			weights.iter().sum::<f64>() / weights.len() as f64,
			weights.iter().fold(f64::NEG_INFINITY, |most, weight| most.max(*weight)),
			sums.iter().fold(0.0, |most: f64, (_, sum)| most.max(*sum)),
		)?;
	}
	for part in [short, length] {
		let all = pairs.iter().flat_map(|pair| pair.receipts(profile, part));
		let (count, most) = alarms(profile, all);
		writeln!(out, "\nAll of them in a row, receipts of {part}: greatest sum {most:.2}, {count} alarms.")?;
	}

	let mut normal: Vec<f64> = pairs.iter().flat_map(|pair| pair.weights(profile)).collect();
	normal.sort_by(f64::total_cmp);
	let limit = normal.get(normal.len().saturating_sub(1 + normal.len() / 1000)).copied().unwrap_or_default();
	let most = normal.last().copied().unwrap_or_default();
	writeln!(out, "\n## Cheats, by answers of {length} tokens\n")?;
	writeln!(
		out,
		"Flagged: answers that weigh more than {limit:.2} nats, as one honest answer in a thousand does; the heaviest \
		 honest one weighs {most:.2}. Until the alarm: tokens, if all that is checked is such, in receipts of {short}.\n",
	)?;
	writeln!(out, "| cheat | checker | answers | AUC | flagged, % | above all honest, % | until the alarm |")?;
	writeln!(out, "|---|---|---|---|---|---|---|")?;
	let (mut missed, mut by_setting, mut curves) = (Vec::new(), Vec::new(), Vec::new());
	let cheats =
		[other_weights(observations), true_prefill(observations), early_ends(observations)].into_iter().flatten();
	for kind in cheats.filter(|kind| !kind.looks.is_empty()) {
		let weights = kind.weights(profile);
		let flagged = share_above(&weights, limit);
		let is_whole = kind.looks.iter().all(|(_, look)| look.tokens.len() == length);
		let until = if is_whole { until_alarm(profile, &kind, short) } else { None };
		writeln!(
			out,
			"| {} | {} | {} | {:.4} | {:.1} | {:.1} | {} |",
			kind.name,
			kind.checker.name(),
			weights.len(),
			area(&normal, &weights),
			100.0 * flagged,
			100.0 * share_above(&weights, most),
			until.map_or("–".into(), |tokens| format!("{tokens:.0}")),
		)?;
		if flagged < 0.99 && !missed.contains(&kind.name) {
			missed.push(kind.name.clone());
		}
		let settings = |setting| {
			let chosen = kind.looks.iter().filter(|(other, _)| *other == setting);
			let weights: Vec<f64> = chosen.map(|(_, look)| kind.whole(profile, look)).collect();
			if weights.is_empty() { "–".into() } else { format!("{:.0}", 100.0 * share_above(&weights, limit)) }
		};
		let shares: Vec<String> = (0..CHUNK).map(settings).collect();
		by_setting.push(format!("| {} | {} | {} |", kind.name, kind.checker.name(), shares.join(" | ")));
		if kind.checker.is_bf16 {
			curves.push((area(&normal, &weights), kind.name.clone(), curve(&normal, &weights)));
		}
	}
	let missing = if missed.is_empty() { "none".into() } else { missed.join("; ") };
	writeln!(out, "\nFlagged in less than 99 %: {missing}.")?;
	writeln!(out, "\n### Flagged by setting, %\n")?;
	let settings: Vec<String> = (0..CHUNK).map(setting_name).collect();
	writeln!(out, "| cheat | checker | {} |", settings.join(" | "))?;
	writeln!(out, "|---|---|{}", "---|".repeat(CHUNK))?;
	by_setting.iter().try_for_each(|line| writeln!(out, "{line}"))?;
	writeln!(out, "\n![Receiver operating characteristics](roc.svg)")?;

	// The hardest ones.
	curves.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
	let series = curves.into_iter().take(6).map(|(_, name, line)| Series { name, line, points: Vec::new() }).collect();
	let plot = Plot {
		title: format!("{model}: cheats by one answer of {length} tokens"),
		x_label: "honest answers that weigh more".into(),
		y_label: "cheats' answers that weigh more".into(),
		x_ticks: [(1e-4, "10⁻⁴"), (1e-3, "10⁻³"), (1e-2, "1 %"), (0.1, "10 %"), (1.0, "100 %")]
			.map(|(x, label)| (x, label.to_owned()))
			.into(),
		y_ticks: [(0.0, "0"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %")]
			.map(|(y, label)| (y, label.to_owned()))
			.into(),
		series,
		note: "the six that are hardest to tell, found by a checker in bfloat16".into(),
		names_on_top: false,
	};
	Ok((plot.svg(), false_alarms, honest_tokens, missed))
}

fn answers(observations: &Observations, host: &Host) -> usize {
	observations.get(host.name).map_or(0, |chunks| chunks.iter().map(Vec::len).sum())
}

fn nats(ratio: i64) -> f64 {
	ratio as f64 / NAT as f64
}

/// The mean number of tokens until the alarm; `None` if what there is does not raise it.
fn until_alarm(profile: &Profile, kind: &Kind<'_>, length: usize) -> Option<f64> {
	let receipts = kind.receipts(profile, length);
	let count = alarms(profile, receipts.iter().copied()).0;
	(count > 0).then(|| (receipts.len() * length) as f64 / count as f64)
}

/// Shares of honest and of cheats' answers above each weight of either.
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
