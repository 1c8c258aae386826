//! The report on audited validation: measurements and what they must agree with.

use super::{
	Bins, CLAMP, HONEST, INT4, INT8, LENGTHS,
	arbiter::{Tests, tests},
	calibrate,
	cusum::{Intervals, intervals},
	mean_length, nats,
	network::{Outcomes, Setting, WINDOWS, rules, simulate},
	published,
	theory::{self, Lattice, alarm_for, appeal_lies, excess, most_lie, run_length, weight},
	units,
};
use crate::report::Check;
use gonka_plot::{Plot, Series};
use gonka_primitives::audit::{AuditRules, CalibrationProfile, FRESH, NAT};
use std::fmt::{self, Write};

/// Alarm of the published profile, in 2⁻¹⁶ nats: an honest host raises it at most once in [`RARE`] checked tokens.
pub const ALARM: u32 = 21 << 15;
/// Minimum mean number of tokens between two false alarms of a host and model.
pub const RARE: f64 = 1e8;
/// Thresholds that are tried, in nats.
const TRIED: [f64; 11] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.5, 12.0];
/// Shares of completions from 8-bit weights that are tried; 0 gives false alarms.
const SHARES: [f64; 4] = [0.0, 0.25, 0.5, 1.0];
/// Values of α and β at which errors can be counted.
const NOMINAL: [f64; 3] = [0.1, 0.01, 0.001];
/// Maximum relative difference of a mean time from theory.
const TOLERANCE: f64 = 0.2;
/// Minimum number of alarms for a mean: its σ is then about 7 %.
const ENOUGH: u64 = 200;

/// Amount of simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
	/// Number of receipts checked for each share of wrong completions.
	pub receipts: u64,
	/// Number of tests of each kind.
	pub tests: u64,
	/// Number of epochs of each network.
	pub epochs: u32,
	/// Number of hosts of each network.
	pub hosts: usize,
	/// Seed of everything random.
	pub seed: u64,
}

impl Default for Effort {
	fn default() -> Self {
		Self { receipts: 30_000_000, tests: 100_000, epochs: 5, hosts: 300, seed: 1 }
	}
}

/// Tests with the chain's parameters.
struct Power {
	name: &'static str,
	share: f64,
	tests: Tests,
	/// By theory: the probability of guilt, and the mean number of receipts.
	theory: (f64, f64),
}

/// A network and what happened in it.
struct Network {
	name: &'static str,
	out: Outcomes,
}

/// Results of the simulation.
pub struct Results {
	effort: Effort,
	profile: CalibrationProfile,
	/// For each of [`SHARES`]: a receipt's evidence by theory, and the measurements at each threshold.
	times: Vec<(f64, Lattice, Vec<Intervals>)>,
	/// Tests of an honest host, with their α and β.
	errors: Vec<(f64, Tests)>,
	/// Tests with the chain's α and β.
	power: Vec<Power>,
	networks: Vec<Network>,
}

/// A row of the table of networks: its name, hosts in a thousand by role, the share of wrong completions, and whether
/// the profile is that of undiluted cheats.
type Row = (&'static str, [usize; 4], f64, bool);

const NETWORKS: [Row; 9] = [
	("nobody cheats", [0, 0, 0, 0], 0.0, false),
	("5 % cheat", [50, 0, 0, 0], 0.5, false),
	("5 % cheat, with 1/4 of completions", [50, 0, 0, 0], 0.25, false),
	("5 % cheat, with 1/10 of completions", [50, 0, 0, 0], 0.1, false),
	("5 % cheat, undiluted profile", [50, 0, 0, 0], 0.5, true),
	("5 % cheat, 10 % lenient, 3 % hostile", [50, 100, 30, 0], 0.5, false),
	("5 % collude", [0, 0, 0, 50], 0.5, false),
	("10 % collude", [0, 0, 0, 100], 0.5, false),
	("20 % collude", [0, 0, 0, 200], 0.5, false),
];

/// Returns a profile for cheats whose every token is wrong.
fn undiluted() -> CalibrationProfile {
	calibrate(&HONEST, &[&INT8, &INT4], 1.0, CLAMP, ALARM)
}

/// Simulates everything.
pub fn run(effort: Effort) -> Results {
	let profile = published(ALARM);
	let alarms = TRIED.map(units);
	let time = |share: f64| {
		// Alarms about cheats come so much sooner that fewer receipts give more of them.
		let receipts = if share == 0.0 { effort.receipts } else { effort.receipts / 30 };
		let measured = intervals(&profile, (&INT8, share), &alarms, receipts, effort.seed);
		(share, weight(&profile, (&INT8, share), 1), measured)
	};
	let test = |bins: &Bins, share, bound| tests(&profile, (bins, share), bound, effort.tests, effort.seed);
	let power = |(name, bins, share): (&'static str, &Bins, f64)| {
		let runs = (effort.tests / 10).max(1);
		let tests = tests(&profile, (bins, share), AuditRules::LN_BILLION, runs, effort.seed);
		Power {
			name,
			share,
			tests,
			theory: theory::test(&weight(&profile, (bins, share), 1), nats(AuditRules::LN_BILLION)),
		}
	};
	let kinds = [
		("honest", &HONEST, 0.0),
		("8-bit", &INT8, 0.1),
		("8-bit", &INT8, 0.25),
		("8-bit", &INT8, 0.5),
		("8-bit", &INT8, 1.0),
		("4-bit", &INT4, 0.1),
		("4-bit", &INT4, 0.25),
		("4-bit", &INT4, 0.5),
		("4-bit", &INT4, 1.0),
	];
	let network = |(name, roles, share, is_undiluted): Row| {
		let setting =
			Setting { hosts: effort.hosts, epochs: effort.epochs, receipts: 100, share, roles, seed: effort.seed };
		Network { name, out: simulate(&setting, if is_undiluted { undiluted() } else { profile }) }
	};
	Results {
		effort,
		profile,
		times: SHARES.map(time).into(),
		errors: NOMINAL.map(|error| (error, test(&HONEST, 0.0, units(-error.ln())))).into(),
		power: kinds.map(power).into(),
		networks: NETWORKS.map(network).into(),
	}
}

impl Results {
	/// Returns the measurements at one of [`SHARES`] with enough alarms, each with its value by theory.
	fn compared(times: &(f64, Lattice, Vec<Intervals>)) -> impl Iterator<Item = (&Intervals, f64)> {
		let enough = times.2.iter().filter(|intervals| intervals.number >= ENOUGH);
		enough.map(|intervals| (intervals, run_length(&times.1, nats(intervals.alarm))))
	}

	/// Returns the mean number of checked tokens of an honest host between two false alarms at the published threshold,
	/// by theory.
	pub fn false_alarm(&self) -> f64 {
		self.times.first().map_or(0.0, |(_, weight, _)| run_length(weight, nats(self.profile.alarm)) * mean_length())
	}

	/// Returns what must hold.
	pub fn checks(&self) -> Vec<Check> {
		let check = |name: String, holds| Check { name, holds };
		let mut checks = Vec::new();
		for times in &self.times {
			let compared: Vec<_> = Self::compared(times).collect();
			let holds = compared.iter().all(|(measured, theory)| (measured.mean() / theory - 1.0).abs() <= TOLERANCE);
			let what = match times.0 {
				0.0 => "time between false alarms".to_owned(),
				share => format!("time until {} % of wrong completions raise the alarm", 100.0 * share),
			};
			let name = format!("{what}: within 20 % of theory at {} thresholds", compared.len());
			checks.push(check(name, holds && compared.len() >= 3));
		}
		checks
			.push(check("at most one false alarm in 10⁸ checked tokens, by theory".into(), self.false_alarm() >= RARE));
		for (error, tests) in &self.errors {
			let name = format!("an arbiter's test at α = {error}: no more honest hosts guilty in {} runs", tests.runs);
			checks.push(check(name, tests.share() <= *error));
		}
		let guilty = self.power.first().map_or(1.0, |honest| honest.theory.0);
		checks.push(check(
			"an arbiter's test with the chain's parameters: α at most 10⁻⁹, by theory".into(),
			guilty <= 1e-9,
		));
		let is_near = |it: &Power| (it.tests.mean() / it.theory.1 - 1.0).abs() <= TOLERANCE;
		checks
			.push(check("receipts of an arbiter's test: within 20 % of theory".into(), self.power.iter().all(is_near)));
		let is_near = |it: &Power| {
			let (share, runs) = (it.theory.0, it.tests.runs as f64);
			(it.tests.share() - share).abs() <= 4.0 * (share * (1.0 - share).max(0.0) / runs).sqrt() + 0.01
		};
		checks.push(check(
			"share of guilty by an arbiter's test: as theory predicts".into(),
			self.power.iter().all(is_near),
		));
		let bound = excess(&self.profile);
		checks.push(check("clamped evidence raises the bound on α by at most 10 %".into(), bound <= 1.1));
		let all = |of: &dyn Fn(&Outcomes) -> bool| self.networks.iter().all(|network| of(&network.out));
		checks.push(check(
			"no judgement against an honest host by arbiters of whom most are honest".into(),
			all(&|out| out.wrong == 0),
		));
		let found = |name: &str| self.networks.iter().any(|n| n.name == name && n.out.convicted[1] == n.out.cheats);
		checks.push(check(
			"all hosts that cheat in half of their completions convicted, with honest checkers".into(),
			found("5 % cheat"),
		));
		let name = "5 % cheat, 10 % lenient, 3 % hostile";
		checks.push(check("the same with 10 % lenient and 3 % hostile checkers".into(), found(name)));
		checks
	}

	/// Returns the report, after `header`.
	pub fn text(&self, header: &str) -> String {
		let mut text = header.to_owned();
		// Writing to a string cannot fail.
		let _ = self.write(&mut text);
		text
	}

	fn write(&self, out: &mut String) -> fmt::Result {
		for Check { name, holds } in self.checks() {
			writeln!(out, "{}  {name}", if holds { "ok    " } else { "FAILED" })?;
		}
		let profile = &self.profile;
		let table = |ratios: [i32; 8]| ratios.map(|ratio| format!("{:>7.3}", f64::from(ratio) / NAT as f64)).concat();
		writeln!(out, "\n== The profile")?;
		writeln!(out, "completions of {LENGTHS:?} tokens, all equally frequent: {} on average", mean_length())?;
		writeln!(out, "calibrated against 8-bit or 4-bit weights in 1/16 of the tokens; nats by bin")?;
		writeln!(out, "tape         {}", table(profile.tape))?;
		writeln!(out, "fingerprint  {}", table(profile.fingerprint))?;
		writeln!(out, "clamp {:.3}, alarm {:.3} nats", nats(profile.clamp), nats(profile.alarm))?;
		self.write_times(out)?;
		self.write_tests(out)?;
		self.write_others(out)?;
		self.write_networks(out)
	}

	fn write_times(&self, out: &mut String) -> fmt::Result {
		writeln!(out, "\n== Receipts until the alarm")?;
		writeln!(out, "theory: mean hitting time of the Markov chain of sums, by linear equations (Brook and Evans)")?;
		for times in &self.times {
			match times.0 {
				0.0 => writeln!(out, "\nhonest: between false alarms")?,
				share => writeln!(out, "\n{} % of completions from 8-bit weights", 100.0 * share)?,
			}
			writeln!(out, "alarm, nats     alarms      theory    measured       σ   difference %   tokens measured")?;
			for (measured, theory) in Self::compared(times) {
				write!(out, "{:>11.3} {:>10} {theory:>11.3}", nats(measured.alarm), measured.number)?;
				write!(out, " {:>11.3} {:>7.3}", measured.mean(), measured.sigma())?;
				let difference = 100.0 * (measured.mean() / theory - 1.0);
				writeln!(out, "   {difference:>12.2}   {:>15.0}", measured.mean_tokens())?;
			}
			if times.0 == 0.0 {
				let (alarm, tokens) = (nats(self.profile.alarm), self.false_alarm());
				let theory = tokens / mean_length();
				writeln!(out, "{alarm:>11.3}          - {theory:>11.3}   by theory: {tokens:.3e} tokens")?;
			}
		}
		let Some((_, honest, _)) = self.times.first() else { return Ok(()) };
		let lowest = alarm_for(honest, RARE / mean_length());
		writeln!(out, "\nlowest alarm with one false alarm in 10⁸ tokens: {lowest:.3} nats")?;
		let clear = nats(rules().clear);
		let share = |of: &dyn Fn(f64) -> bool| 100.0 * honest.mean(|weight| f64::from(u8::from(of(weight))));
		let (right, wrong) = (share(&|weight| weight <= -clear), share(&|weight| weight >= clear));
		writeln!(
			out,
			"an honest completion is clearly right for {right:.1} % of honest checkers and clearly wrong for {wrong:.2} %"
		)
	}

	fn write_tests(&self, out: &mut String) -> fmt::Result {
		writeln!(out, "\n== An arbiter's test: at most {FRESH} fresh receipts")?;
		writeln!(out, "α = β         runs   guilty     share   receipts")?;
		for (error, tests) in &self.errors {
			write!(out, "{error:<8} {:>9} {:>8}", tests.runs, tests.guilty)?;
			writeln!(out, "  {:>8.6}   {:>8.2}", tests.share(), tests.mean())?;
		}
		let bound = excess(&self.profile);
		writeln!(out, "at the chain's α = 10⁻⁹ by theory, with clamped evidence: at most {:.4} · 10⁻⁹", bound)?;
		let guilty = self.power.first().map_or(1.0, |honest| honest.theory.0);
		writeln!(out, "itself, by the distribution of sums: {guilty:.2e}")?;
		let [.., seats] = rules().seats;
		writeln!(out, "\nwith the chain's parameters; a case: most of {seats} seats")?;
		writeln!(out, "completions wrong %      runs   guilty %   theory %   receipts    theory   a case: guilty %")?;
		for Power { name, share, tests, theory } in &self.power {
			let (runs, one) = (tests.runs, tests.share());
			write!(out, "{name:<8} {:>10} {runs:>9}  {:>9.2}  {:>9.2}", 100.0 * share, 100.0 * one, 100.0 * theory.0)?;
			writeln!(out, "   {:>8.2}  {:>8.2}  {:>17.2}", tests.mean(), theory.1, 100.0 * most_lie(theory.0, seats))?;
		}
		Ok(())
	}

	/// Writes what theory says about other profiles, and about tokens that are not independent.
	fn write_others(&self, out: &mut String) -> fmt::Result {
		let (bound, [.., seats]) = (nats(AuditRules::LN_BILLION), rules().seats);
		writeln!(
			out,
			"\n== Other profiles, by theory: calibrated against 8-bit or 4-bit weights in a share of the tokens"
		)?;
		writeln!(
			out,
			"alarm: the lowest with one false alarm in 10⁸ tokens; 8-bit weights in a share of the completions\n"
		)?;
		write!(out, "share of tokens   alarm, nats   receipts until it: 25 %      50 %     100 %")?;
		writeln!(out, "   a case: guilty % of 25 %      50 %     100 %")?;
		for dilution in [1.0, 1.0 / 4.0, 1.0 / 16.0, 1.0 / 64.0] {
			let profile = calibrate(&HONEST, &[&INT8, &INT4], dilution, CLAMP, ALARM);
			let honest = weight(&profile, (&INT8, 0.0), 1);
			let alarm = alarm_for(&honest, RARE / mean_length()).max(nats(CLAMP));
			let cheats = [0.25, 0.5, 1.0].map(|share| weight(&profile, (&INT8, share), 1));
			let delays = cheats.each_ref().map(|cheat| format!("{:>10.2}", run_length(cheat, alarm)));
			let cases = cheats
				.each_ref()
				.map(|cheat| format!("{:>10.2}", 100.0 * most_lie(theory::test(cheat, bound).0, seats)));
			writeln!(out, "{dilution:>15.4} {alarm:>13.3} {:>34} {:>46}", delays.concat(), cases.concat())?;
		}
		writeln!(out, "\n== Tokens that are not independent, by theory: runs of tokens in the same bin")?;
		writeln!(out, "run   honest tokens between false alarms   alarm for 10⁸   an arbiter's α")?;
		for run in [1, 2, 4] {
			let honest = weight(&self.profile, (&INT8, 0.0), run);
			let tokens = run_length(&honest, nats(self.profile.alarm)) * mean_length();
			let alarm = alarm_for(&honest, RARE / mean_length());
			writeln!(out, "{run:>3} {tokens:>36.3e} {alarm:>15.3} {:>16.2e}", theory::test(&honest, bound).0)?;
		}
		Ok(())
	}

	fn write_networks(&self, out: &mut String) -> fmt::Result {
		let Effort { hosts, epochs, .. } = self.effort;
		writeln!(
			out,
			"\n== {epochs} epochs of {WINDOWS} windows, {hosts} hosts, 100 receipts a host and window by weight"
		)?;
		writeln!(out, "all hosts are new; 8-bit weights in half of a cheat's completions unless stated otherwise")?;
		writeln!(
			out,
			"lenient: finds all right; hostile: finds all wrong; collude: cheat, and find each other right and all others wrong"
		)?;
		writeln!(out, "found: windows from a cheat's first settlement to its conviction, median and last")?;
		writeln!(
			out,
			"honest judged: found guilty, and appealed; honest convicted: the appeal failed; packed: cases and appeals in which liars decide"
		)?;
		writeln!(out, "discredited, honest: by arbiters of whom most tell the truth")?;
		writeln!(
			out,
			"each auditor draws noise of its own: on the same chip findings would agree, and no honest host would be discredited\n"
		)?;
		write!(out, "{:<38} audited %  cases: honest  cheats", "network")?;
		write!(out, "   convicted    found  last   honest judged  convicted  packed   discredited: lenient")?;
		writeln!(out, "   hostile  colluding  honest")?;
		for Network { name, out: it } in &self.networks {
			let of = |a: u64, b: u64| format!("{a}/{b}");
			let audited = 100.0 * it.audits as f64 / it.receipts.max(1) as f64;
			write!(out, "{name:<38} {audited:>9.2} {:>14} {:>7}", it.cases[0], it.cases[1])?;
			let shown = |window: Option<&u32>| window.map_or("-".to_owned(), u32::to_string);
			let (median, last) = (shown(it.found.get(it.found.len() / 2)), shown(it.found.last()));
			write!(out, " {:>11} {median:>8} {last:>5}", of(it.convicted[1], it.cheats))?;
			write!(
				out,
				" {:>15} {:>10} {:>7} {:>17}",
				it.appeals,
				it.convicted[0],
				it.packed,
				of(it.discredited[0], it.liars[0])
			)?;
			write!(out, " {:>9} {:>10}", of(it.discredited[1], it.liars[1]), of(it.discredited[2], it.liars[2]))?;
			writeln!(out, " {:>7}", it.discredited_wrongly)?;
		}
		self.write_lies(out)
	}

	/// Writes how often liars with a share of the weight carry a case.
	fn write_lies(&self, out: &mut String) -> fmt::Result {
		let ([few, some, many], appeal) = (rules().seats, rules().appeal_seats);
		writeln!(out, "\n== Probability in % that liars with a share of the weight have the seats that decide")?;
		writeln!(
			out,
			"a case: more than half. the appeal, {appeal} seats: more than two thirds. both: the case and the appeal\n"
		)?;
		write!(out, "liars %   3 seats {few:>9} {some:>10} {many:>10} {appeal:>10}")?;
		writeln!(out, "   both, of {few:<2}  of {some:<2}      of {many:<2}")?;
		for share in [0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.33, 0.4] {
			write!(out, "{:>7}", format!("{:.0}", 100.0 * share))?;
			for seats in [3, few, some, many] {
				write!(out, " {:>10.3e}", 100.0 * most_lie(share, seats))?;
			}
			let lost = appeal_lies(share, appeal);
			write!(out, " {:>10.3e}", 100.0 * lost)?;
			for seats in [few, some, many] {
				write!(out, " {:>11.3e}", 100.0 * most_lie(share, seats) * lost)?;
			}
			writeln!(out)?;
		}
		Ok(())
	}

	/// Plots the times to false and to right alarms against the threshold.
	pub fn plot(&self) -> Plot {
		let series = self.times.iter().map(|times| Series {
			name: match times.0 {
				0.0 => "honest: between false alarms".to_owned(),
				share => format!("{} % of completions wrong", 100.0 * share),
			},
			line: (4..=48)
				.map(|quarter| f64::from(quarter) / 4.0)
				.map(|alarm| (alarm, run_length(&times.1, alarm).log10()))
				.collect(),
			points: Self::compared(times)
				.map(|(it, _)| {
					(nats(it.alarm), it.mean().log10(), 3.0 * it.sigma() / it.mean() / std::f64::consts::LN_10)
				})
				.collect(),
		});
		let powers = ["1", "10", "10²", "10³", "10⁴", "10⁵", "10⁶", "10⁷", "10⁸"];
		Plot {
			title: "Audited completions until a host's findings open a case".into(),
			x_label: "threshold, nats".into(),
			y_label: "audited completions, on average".into(),
			x_ticks: [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0].map(|x| (x, x.to_string())).into(),
			y_ticks: powers.iter().enumerate().map(|(power, label)| (power as f64, (*label).to_owned())).collect(),
			series: series.collect(),
			note: format!(
				"lines: theory; points: simulated, bars of 3 σ; the alarm is at {} nats",
				nats(self.profile.alarm)
			),
			names_on_top: true,
		}
	}
}
