//! The report: measurements and what they must agree with.

use crate::{
	Config, SHARES,
	attacks::{Gain, TRIED},
	bytes::Bytes,
	games::Games,
	population::SEGMENTS,
	stats::{Tally, binomial, class_name},
	theory::{self, average, clean},
};
use gonka_plot::{Plot, Series};
use gonka_primitives::epoch::Schedule;
use gonka_sprint::committee::{COMMITTEE, LEAVES_PER_SET};
use std::fmt::{self, Write};

/// Maximum mean number of bytes of a host on chain in an epoch.
const BYTES: f64 = 2_600.0;
/// Fabricated shares with a required minimum detection.
const DEMANDED: [(f64, f64); 3] = [(0.01, 0.82), (0.02, 0.97), (0.05, 0.999)];

/// Results of the simulation.
pub struct Results {
	/// Parameters of the simulation.
	pub config: Config,
	/// Counts.
	pub tally: Tally,
	/// Results of the games.
	pub games: Games,
	/// What adversaries of other kinds gain.
	pub attacks: Vec<(String, Gain)>,
}

/// A statement that must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
	/// The statement.
	pub name: String,
	/// Whether it holds.
	pub holds: bool,
}

/// A measured share, its value by theory, and its standard deviation.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
	/// Measured share.
	pub share: f64,
	/// Share by theory.
	pub theory: f64,
	/// Standard deviation: the larger of that between epochs and that of independent trials of `theory`.
	pub sigma: f64,
}

impl Measured {
	/// Returns the difference in standard deviations.
	pub fn z(&self) -> f64 {
		if self.sigma == 0.0 { 0.0 } else { (self.share - self.theory) / self.sigma }
	}
}

impl Results {
	/// Returns the fabricators of a share that were caught, at one of the [`Config::levels`].
	pub fn caught(&self, level: usize, offline: bool, share: usize) -> Measured {
		let (tally, trials) = (&self.tally, self.config.fabricators as u64);
		let theory = self.theory(self.config.levels()[level], offline, SHARES[share]);
		let counter = &tally.caught[level][usize::from(offline)][share];
		let independent = (theory * (1.0 - theory) / (tally.epochs * trials).max(1) as f64).max(0.0).sqrt();
		Measured {
			share: counter.mean(tally.epochs, trials),
			theory,
			sigma: counter.sigma(tally.epochs, trials).max(independent),
		}
	}

	/// Returns the probability that a fabricator is caught, for the committee sizes that occurred.
	pub fn theory(&self, level: f64, offline: bool, share: f64) -> f64 {
		let blind = self.config.blind_hosts(level, offline);
		1.0 - average(&self.tally.tried, |k| theory::escape(k, self.config.hosts, blind, clean(share)))
	}

	/// Returns the lazy checkers with this number of different partners that were caught.
	pub fn lazy(&self, partners: usize) -> Measured {
		let (hosts, caught) = self.tally.partners[partners];
		let theory = 1.0 - self.all_blind(partners);
		let sigma = (theory * (1.0 - theory) / hosts.max(1) as f64).sqrt();
		Measured { share: binomial(caught, hosts).0, theory, sigma: sigma.max(binomial(caught, hosts).1) }
	}

	/// Returns the probability that all of a dishonest host's partners are dishonest or offline.
	fn all_blind(&self, partners: usize) -> f64 {
		let (hosts, blind) = (self.config.hosts, self.config.blind_hosts(self.config.dishonest, true));
		(1..=partners).fold(1.0, |all, i| all * blind.saturating_sub(i) as f64 / hosts.saturating_sub(i).max(1) as f64)
	}

	fn main(&self) -> usize {
		self.config.levels().len() - 1
	}

	/// Returns the mean number of bytes of a host on chain in an epoch.
	pub fn bytes(&self) -> f64 {
		self.tally.bytes as f64 / self.hosts() as f64
	}

	fn hosts(&self) -> u64 {
		(self.tally.epochs * self.config.hosts as u64).max(1)
	}

	/// Returns the largest difference of a point of the plot from theory, in standard deviations, and the number of
	/// points. It uses only points with enough caught and enough escaped fabricators for a normal distribution.
	pub fn worst(&self) -> (f64, usize) {
		let trials = (self.tally.epochs * self.config.fabricators as u64) as f64;
		let mut worst = (0.0f64, 0);
		for level in 0..self.config.levels().len() {
			for (offline, share) in (0..SHARES.len()).flat_map(|share| [(false, share), (true, share)]) {
				let point = self.caught(level, offline, share);
				if point.theory.min(1.0 - point.theory) * trials >= 10.0 {
					worst = (worst.0.max(point.z().abs()), worst.1 + 1);
				}
			}
		}
		worst
	}

	/// Returns what must hold.
	pub fn checks(&self) -> Vec<Check> {
		let (tally, main) = (&self.tally, self.main());
		let check = |name: String, holds| Check { name, holds };
		let mut checks = vec![
			check("no honest host convicted, online or offline".into(), tally.honest.convicted == 0),
			check("no honest checker, online, lost a challenge".into(), tally.honest.lost == 0),
			check("no honest player lost a real game".into(), self.games.lost == 0 && self.games.played > 0),
		];
		for (share, min) in DEMANDED {
			let Some(index) = SHARES.iter().position(|other| *other == share) else { continue };
			let point = self.caught(main, false, index);
			let percent = 100.0 * share;
			checks.push(check(format!("{percent} % fabricated: within 3 σ of theory"), point.z().abs() <= 3.0));
			let offline = self.caught(main, true, index);
			checks.push(check(
				format!("{percent} % fabricated, some offline: within 3 σ of theory"),
				offline.z().abs() <= 3.0,
			));
			checks.push(check(
				format!("{percent} % fabricated: caught with at least {} %", (1000.0 * min).round() / 10.0),
				point.share >= min,
			));
		}
		checks.push(check("all points of the plot within 4 σ of theory".into(), self.worst().0 <= 4.0));
		let (all, (lone, _)) = (tally.all_lazy(), binomial(tally.lone.1, tally.lone.0));
		checks.push(check("a lazy checker alone: caught in at least 99 % of epochs".into(), lone >= 0.99));
		let caught = all.hosts == 0 || all.share().0 >= 0.99;
		checks.push(check("colluding lazy checkers: caught in at least 99 % of epochs".into(), caught));
		checks.push(check(format!("at most {BYTES} bytes on chain a host and epoch"), self.bytes() <= BYTES));
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
		let (config, tally) = (&self.config, &self.tally);
		writeln!(
			out,
			"{} epochs, {} hosts, {} dishonest and {} of the honest offline in each, drawn anew; seed {}\n",
			tally.epochs,
			config.hosts,
			config.dishonest_hosts(config.dishonest),
			config.blind_hosts(config.dishonest, true) - config.dishonest_hosts(config.dishonest),
			config.seed
		)?;
		for Check { name, holds } in self.checks() {
			writeln!(out, "{}  {name}", if holds { "ok    " } else { "FAILED" })?;
		}
		self.write_honest(out)?;
		self.write_fabricators(out)?;
		self.write_lazy(out)?;
		self.write_load(out)?;
		self.write_attacks(out)
	}

	fn write_honest(&self, out: &mut String) -> fmt::Result {
		let (honest, games) = (&self.tally.honest, &self.games);
		writeln!(out, "\n== Honest hosts")?;
		writeln!(out, "honest hosts, epoch by epoch               {:>12}", honest.hosts)?;
		writeln!(out, "falsely accused of a wrong leaf            {:>12} times", honest.accused)?;
		writeln!(out, "convicted                                  {:>12}", honest.convicted)?;
		writeln!(out, "challenged for a right tag                 {:>12} times", honest.challenged)?;
		writeln!(out, "online and lost a challenge                {:>12}", honest.lost)?;
		writeln!(out, "offline during disputes                    {:>12}", honest.offline)?;
		writeln!(out, "  of these not paid: missed their turn     {:>12}", honest.forfeited)?;
		writeln!(out, "real games on Nano traces, one player lies {:>12}", games.played)?;
		writeln!(out, "  judged against the liar                  {:>12}", games.judged)?;
		writeln!(out, "  the liar had no legal move               {:>12}", games.no_move)?;
		writeln!(out, "  lost by the honest player                {:>12}", games.lost)
	}

	fn write_fabricators(&self, out: &mut String) -> fmt::Result {
		let (config, main) = (&self.config, self.main());
		let level = config.dishonest;
		writeln!(out, "\n== Fabricators caught, {} % of hosts dishonest", percent(level, 0))?;
		let trials = self.tally.epochs * config.fabricators as u64;
		writeln!(out, "n = {trials} fabricators of each share; σ from the differences between epochs")?;
		writeln!(out, "design:   288 leaves, each checked by one checker of its own")?;
		writeln!(out, "endless:  the ring with members dishonest independently of each other")?;
		writeln!(out, "offline:  {} % of the honest hosts are, while disputes run\n", percent(config.offline, 0))?;
		writeln!(
			out,
			"share %   design %  endless %   theory %  measured %     σ      z    offline: theory %  measured %     σ      z"
		)?;
		for (index, share) in SHARES.iter().enumerate() {
			let (all, some) = (self.caught(main, false, index), self.caught(main, true, index));
			let endless =
				1.0 - average(&self.tally.tried, |k| theory::escape_independent(k.max(1), level, clean(*share)));
			write!(out, "{:>7}  {:>9}", percent(*share, 2), percent(theory::independent_leaves(*share, level), 3))?;
			write!(out, "  {:>9}  {:>9}  {:>10}", percent(endless, 3), percent(all.theory, 3), percent(all.share, 3))?;
			write!(out, "  {:>5}  {:>5.2}", percent(all.sigma, 3), all.z())?;
			write!(out, "             {:>9}  {:>10}", percent(some.theory, 3), percent(some.share, 3))?;
			writeln!(out, "  {:>5}  {:>5.2}", percent(some.sigma, 3), some.z())?;
		}
		let (worst, points) = self.worst();
		writeln!(out, "\nlargest |z| of all {points} points, at all shares of dishonest hosts: {worst:.2}")?;
		let blind = config.blind_hosts(level, false);
		let floor = average(&self.tally.tried, |k| theory::escape(k, config.hosts, blind, 0.0));
		writeln!(out, "escapes with any share, since no set has an honest checker: {} %", percent(floor, 4))
	}

	fn write_lazy(&self, out: &mut String) -> fmt::Result {
		let (tally, all) = (&self.tally, self.tally.all_lazy());
		let (lone, lone_sigma) = binomial(tally.lone.1, tally.lone.0);
		let (share, sigma) = all.share();
		let at_stake = all.weight_caught as f64 / all.weight.max(1) as f64;
		let row = |name: &str, share, sigma, epochs| {
			format!("{name:<38}{:>10}  {:>5}  {epochs:>19}", percent(share, 3), percent(sigma, 3))
		};
		writeln!(out, "\n== Lazy checkers: they reveal made-up tags")?;
		writeln!(out, "caught: an honest partner that is online has another tag in one of the sets\n")?;
		writeln!(out, "                                        caught %      σ   epochs with duties")?;
		writeln!(out, "{}", row("one alone, all others honest", lone, lone_sigma, tally.lone.0))?;
		writeln!(out, "{}", row("all dishonest, with the same tags", share, sigma, all.hosts))?;
		writeln!(out, "  of their weight                     {:>10}\n", percent(at_stake, 3))?;
		writeln!(out, "all dishonest, by weight; the light have one seat or two, so few partners:")?;
		writeln!(out, "weight / median     epochs  without duties %  sets each   caught %      σ")?;
		for (class, lazy) in tally.lazy.iter().enumerate().filter(|(_, lazy)| lazy.hosts + lazy.idle > 0) {
			let (share, sigma) = lazy.share();
			let total = lazy.hosts + lazy.idle;
			let idle = percent(lazy.idle as f64 / total as f64, 2);
			let sets = lazy.sets as f64 / lazy.hosts.max(1) as f64;
			write!(out, "{:<15} {total:>10}  {idle:>16}  {sets:>9.2}", class_name(class))?;
			writeln!(out, "  {:>9}  {:>5}", percent(share, 3), percent(sigma, 3))?;
		}
		writeln!(out, "\ndifferent partners     epochs   theory %   caught %      z")?;
		for partners in (0..10).filter(|partners| tally.partners[*partners].0 > 0) {
			let point = self.lazy(partners);
			write!(out, "{partners:>18} {:>10}", tally.partners[partners].0)?;
			writeln!(out, "  {:>9}  {:>9}  {:>5.2}", percent(point.theory, 3), percent(point.share, 3), point.z())?;
		}
		Ok(())
	}

	fn write_load(&self, out: &mut String) -> fmt::Result {
		let tally = &self.tally;
		writeln!(out, "\n== Load")?;
		let committees = tally.sizes.iter().sum::<u64>().max(1);
		writeln!(out, "different checkers of a committee   {:.3} of {COMMITTEE} on average", tally.mean_size())?;
		for (size, count) in tally.sizes.iter().enumerate().filter(|(_, count)| **count > 0) {
			writeln!(out, "  {size:>2}                      {:>9} %", percent(*count as f64 / committees as f64, 4))?;
		}
		let sets = tally.sets as f64 / self.hosts() as f64;
		let bytes = Bytes::new(0);
		writeln!(
			out,
			"leaf sets to check                  {sets:.2} of {LEAVES_PER_SET} leaves a host and epoch, on average"
		)?;
		writeln!(out, "bytes on chain                      {:.1} a host and epoch, on average", self.bytes())?;
		writeln!(out, "  {SEGMENTS} segments' commitments            {} each", bytes.commitment)?;
		writeln!(out, "  commitment to the tags            {}", bytes.digests)?;
		let rounds = f64::from(Schedule::MAINNET.confirmations) + 1.0;
		let reveal = (self.bytes() - bytes.epoch() as f64) / rounds + bytes.reveal as f64;
		writeln!(out, "  reveal of the tags                {reveal:.1}")?;
		writeln!(
			out,
			"  a confirmation has one commitment, and tags like the sprint; {} of them are called on average",
			Schedule::MAINNET.confirmations
		)
	}

	fn write_attacks(&self, out: &mut String) -> fmt::Result {
		writeln!(out, "\n== Seats of adversaries of other kinds, and the fabricators caught then")?;
		let shares = TRIED.map(|share| format!("  {:>15}", format!("{} %      σ", percent(share, 0))));
		writeln!(out, "{:<64} weight %  seats %{}", "the adversary has", shares.concat())?;
		for (name, gain) in &self.attacks {
			write!(out, "{name:<64} {:>8}  {:>7}", percent(gain.weight, 2), percent(gain.seats, 2))?;
			for (share, sigma) in gain.caught {
				write!(out, "  {:>8}  {:>5}", percent(share, 2), percent(sigma, 2))?;
			}
			writeln!(out)?;
		}
		let trials = self.attacks.first().map_or(0, |(_, gain)| gain.fabricators);
		writeln!(out, "n = {trials} fabricators each; all honest hosts online")
	}

	/// Plots detection against the fabricated share.
	pub fn detection_plot(&self) -> Plot {
		let levels = self.config.levels();
		let mut shown: Vec<usize> =
			(0..levels.len()).filter(|level| [0.0, 0.2, 0.4, 0.6].contains(&levels[*level])).collect();
		shown.sort_by(|a, b| levels[*a].total_cmp(&levels[*b]));
		let series = shown.into_iter().map(|level| Series {
			name: format!("{} % dishonest checkers", percent(levels[level], 0)),
			line: (0..=120)
				.map(|i| 0.001 * 100f64.powf(f64::from(i) / 120.0))
				.map(|share| (100.0 * share, 100.0 * self.theory(levels[level], false, share)))
				.collect(),
			points: (0..SHARES.len())
				.map(|share| (100.0 * SHARES[share], self.caught(level, false, share)))
				.map(|(share, point)| (share, 100.0 * point.share, 300.0 * point.sigma))
				.collect(),
		});
		Plot {
			title: "A host that fabricates leaves is caught".into(),
			x_label: "fabricated leaves, % of a host's".into(),
			y_label: "caught in an epoch, %".into(),
			x_ticks: [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].map(|x| (x, x.to_string())).into(),
			y_ticks: [0.0, 20.0, 40.0, 60.0, 80.0, 100.0].map(|y| (y, y.to_string())).into(),
			series: series.collect(),
			note: format!(
				"lines: theory; points: {} simulated fabricators each, bars of 3 σ",
				self.tally.epochs * self.config.fabricators as u64
			),
			names_on_top: false,
		}
	}

	/// Plots the share of lazy checkers caught against the number of their partners.
	pub fn lazy_plot(&self) -> Plot {
		let known = (1..=16).filter(|partners| self.tally.partners[*partners].0 > 0);
		let level = percent(self.config.dishonest, 0);
		Plot {
			title: "A checker that makes up its tags is caught".into(),
			x_label: "different partners that the checker has in an epoch".into(),
			y_label: "caught in an epoch, %".into(),
			x_ticks: [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0].map(|x| (x, x.to_string())).into(),
			y_ticks: [50.0, 60.0, 70.0, 80.0, 90.0, 100.0].map(|y| (y, y.to_string())).into(),
			series: vec![Series {
				name: format!("{level} % dishonest, colluding"),
				line: (1..=16).map(|partners| (partners as f64, 100.0 * (1.0 - self.all_blind(partners)))).collect(),
				points: known
					.map(|partners| (partners as f64, self.lazy(partners)))
					.map(|(partners, point)| (partners, 100.0 * point.share, 300.0 * point.sigma))
					.collect(),
			}],
			note: format!(
				"line: theory; points: simulated, bars of 3 σ; {} % of the honest hosts are offline",
				percent(self.config.offline, 0)
			),
			names_on_top: false,
		}
	}
}

fn percent(share: f64, digits: usize) -> String {
	format!("{:.digits$}", 100.0 * share)
}
