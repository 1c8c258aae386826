//! The report on strategies: what each brings, what it costs, and what must hold.

use super::{
	Ends, KIND_NAMES, KINDS, Rules, Setting, Slashed,
	Strategy::{self, *},
	exceptions::{COMBINATIONS, EXCEPTIONS, Exception, LOSSES, REMAINING, Remaining},
	simulate,
};
use crate::report::Check;
use gonka_plot::{Plot, Series};
use std::{
	fmt::{self, Write},
	sync::atomic::{AtomicUsize, Ordering::Relaxed},
	thread,
};

/// Shares of the compute that are tried.
pub const SHARES: [f64; 5] = [0.01, 0.1, 0.25, 0.33, 0.4];
/// Maximum gain over honesty, in points.
pub const LIMIT: f64 = 1.0;

/// Amount of simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
	/// Networks of each kind.
	pub series: u32,
	/// Epochs in each network.
	pub epochs: u32,
	/// Seed of everything random.
	pub seed: u64,
}

impl Default for Effort {
	fn default() -> Self {
		Self { series: 5, epochs: 100, seed: 1 }
	}
}

impl Effort {
	/// Returns the number of epochs in all networks with these shares.
	pub fn total(&self, shares: &[f64]) -> u64 {
		u64::from(self.series) * u64::from(self.epochs) * (rows().len() * shares.len() * FORMS.len()) as u64
	}
}

/// Share of the compute from which on [`REMAINING`] sets of strategies may gain more than [`LIMIT`].
const A_THIRD: f64 = 0.33;
/// The forms of the rules that are tried, with their names: the former ones, then those as built.
pub const FORMS: [(&str, Rules); 2] = [("former rules", Rules::FORMER), ("rules as built", Rules::BUILT)];

/// Networks of one kind.
#[derive(Clone, Debug)]
pub struct Cell {
	/// The form of the rules: an index of [`FORMS`].
	pub form: usize,
	/// The adversary's share of the compute.
	pub share: f64,
	/// The adversary's strategies.
	pub strategies: Vec<Strategy>,
	/// The adversary's shares and losses in each network.
	pub ends: Vec<Ends>,
}

/// All networks.
pub struct Results {
	/// Shares of the compute.
	pub shares: Vec<f64>,
	/// The networks: by form, then by share, then by strategies, of which the first are none.
	pub cells: Vec<Cell>,
}

/// Returns all sets of strategies: none, each by itself, then [`COMBINATIONS`].
pub fn rows() -> Vec<Vec<Strategy>> {
	let single = Strategy::ALL.map(|strategy| vec![strategy]);
	[vec![]].into_iter().chain(single).chain(COMBINATIONS.map(<[Strategy]>::to_vec)).collect()
}

/// Simulates networks with all `shares` on `threads` threads, and calls `done` with the number of epochs after each
/// network. The result does not depend on the threads.
pub fn run(effort: Effort, shares: &[f64], threads: usize, done: impl Fn(u64) + Sync) -> Results {
	let mut cells = Vec::new();
	for form in 0..FORMS.len() {
		for share in shares.iter().copied() {
			cells.extend(rows().into_iter().map(|strategies| Cell { form, share, strategies, ends: vec![] }));
		}
	}
	let next = AtomicUsize::new(0);
	let work = || {
		let mut ready = Vec::new();
		while let Some((number, cell)) = Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, cells.get(at)?))) {
			ready.push((number, networks(effort, cell, &done)));
		}
		ready
	};
	let mut all: Vec<(usize, Vec<Ends>)> = thread::scope(|scope| {
		let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
		let joined =
			workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
		let own = work();
		own.into_iter().chain(joined.flatten()).collect()
	});
	all.sort_by_key(|(number, _)| *number);
	for (cell, (_, ends)) in cells.iter_mut().zip(all) {
		cell.ends = ends;
	}
	Results { shares: shares.to_vec(), cells }
}

fn networks(effort: Effort, cell: &Cell, done: &impl Fn(u64)) -> Vec<Ends> {
	let network = |series: u32| {
		let (rules, strategies) = (FORMS[cell.form].1, cell.strategies.clone());
		let seed = effort.seed.wrapping_mul(1_000).wrapping_add(series.into());
		let ends = simulate(&Setting { rules, share: cell.share, strategies, epochs: effort.epochs, seed });
		done(effort.epochs.into());
		ends
	};
	(0..effort.series).map(network).collect()
}

/// Returns the name of a set of strategies.
fn name(strategies: &[Strategy]) -> String {
	let names: Vec<_> = strategies.iter().map(|strategy| strategy.name()).collect();
	if names.is_empty() { "honest".into() } else { names.join(" + ") }
}

/// A gain over honesty in points, and its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gain {
	/// The mean over networks.
	pub mean: f64,
	/// Its standard error.
	pub error: f64,
}

impl Cell {
	/// Returns the gains over the same networks with an honest adversary, by kind of share.
	pub fn gains(&self, honest: &Self) -> [Gain; KINDS] {
		std::array::from_fn(|kind| {
			let gain = |(mine, other): (&Ends, &Ends)| 100.0 * (mine.means()[kind] - other.means()[kind]);
			let gains: Vec<f64> = self.ends.iter().zip(&honest.ends).map(gain).collect();
			let n = gains.len().max(1) as f64;
			let mean = gains.iter().sum::<f64>() / n;
			let variance = gains.iter().map(|gain| (gain - mean) * (gain - mean)).sum::<f64>() / (n - 1.0).max(1.0);
			Gain { mean, error: (variance / n).sqrt() }
		})
	}

	/// Returns the honest hosts slashed.
	pub fn slashed(&self) -> Slashed {
		let mut slashed = Slashed::default();
		self.ends.iter().for_each(|ends| slashed.add(&ends.slashed));
		slashed
	}

	fn sum(&self, of: impl Fn(&Ends) -> f64) -> f64 {
		self.ends.iter().map(of).sum()
	}
}

impl Results {
	/// Returns the cell with the same rules and share and no strategy.
	pub fn honest<'a>(&'a self, cell: &'a Cell) -> &'a Cell {
		let same = |other: &&Cell| other.form == cell.form && other.share == cell.share && other.strategies.is_empty();
		self.cells.iter().find(same).unwrap_or(cell)
	}

	/// Returns a cell's greatest gain, with the name of its kind.
	pub fn worst(&self, cell: &Cell) -> (Gain, &'static str) {
		let gains = cell.gains(self.honest(cell)).into_iter().zip(KIND_NAMES);
		gains.max_by(|(a, _), (b, _)| a.mean.total_cmp(&b.mean)).unwrap_or_default()
	}

	/// Returns whether a cell's strategies include an [`Exception`] with the former rules, or with those as built a
	/// [`Remaining`] set.
	fn is_excepted(cell: &Cell) -> bool {
		let has = |strategy: &Strategy| cell.strategies.contains(strategy);
		if cell.form == 0 {
			return EXCEPTIONS.iter().any(|exception| has(&exception.strategy));
		}
		cell.share >= A_THIRD && REMAINING.iter().any(|remaining| remaining.set.iter().all(has))
	}

	/// Returns what must hold.
	pub fn checks(&self) -> Vec<Check> {
		let check = |name: String, holds| Check { name, holds };
		let mut checks = Vec::new();
		for (form, (name, _)) in FORMS.iter().enumerate() {
			let cells = || self.cells.iter().filter(move |cell| cell.form == form);
			let gains = cells().filter(|cell| !Self::is_excepted(cell)).map(|cell| self.worst(cell).0.mean);
			let most = gains.fold(f64::NEG_INFINITY, f64::max);
			let which = if form == 0 {
				"set of strategies without an exception"
			} else {
				"strategy, and below a third of the compute no set of them,"
			};
			checks.push(check(
				format!("{name}: no {which} gains more than {LIMIT} point over honesty ({most:.2} points)"),
				most <= LIMIT,
			));
		}
		let sum = |cells: &mut dyn Iterator<Item = &Cell>| {
			let mut slashed = Slashed::default();
			cells.for_each(|cell| slashed.add(&cell.slashed()));
			slashed
		};
		let Slashed { accused, other, .. } = sum(&mut self.cells.iter());
		checks.push(check(
			"no honest host is convicted by an accusation, or slashed for no reason".into(),
			accused + other == 0,
		));
		let named = |cell: &&Cell| {
			cell.form == 1 || ![Censor, Judge, Accuse].iter().any(|named| cell.strategies.contains(named))
		};
		let all = sum(&mut self.cells.iter().filter(|cell| cell.share <= 0.34).filter(named));
		checks.push(check(
			"up to 33 % of the compute, no honest host is slashed at all: as built; former rules without censor, judge, accuse".into(),
			all == Slashed::default(),
		));
		checks
	}

	/// Returns the number of epochs simulated.
	pub fn epochs(&self) -> u64 {
		self.cells.iter().flat_map(|cell| &cell.ends).map(|ends| u64::from(ends.epochs)).sum()
	}

	/// Returns the report.
	pub fn text(&self, header: &str) -> String {
		let mut text = header.to_owned();
		// Writing to a string cannot fail.
		let _ = self.write(&mut text);
		text
	}

	fn write(&self, out: &mut String) -> fmt::Result {
		let networks: usize = self.cells.iter().map(|cell| cell.ends.len()).sum();
		writeln!(
			out,
			"{} epochs of {networks} networks, 100 hosts each before splits, mainnet's times\n",
			self.epochs()
		)?;
		for Check { name, holds } in self.checks() {
			writeln!(out, "{}  {name}", if holds { "ok    " } else { "FAILED" })?;
		}
		self.write_strategies(out)?;
		for form in 0..FORMS.len() {
			self.write_gains(out, form)?;
		}
		for (form, (name, _)) in FORMS.iter().enumerate() {
			for share in &self.shares {
				writeln!(
					out,
					"\n== {:.0} % of the compute, {name}: shares in %; the rest for each epoch",
					100.0 * share
				)?;
				write!(out, "{:<44}", "")?;
				KIND_NAMES.iter().try_for_each(|kind| write!(out, " {kind:>9}"))?;
				writeln!(out, " convicted GNK burnt  captured  slashed: censored judged challenged")?;
				let cells = self.cells.iter().filter(|cell| cell.form == form && cell.share == *share);
				cells.into_iter().try_for_each(|cell| write_cell(out, cell))?;
			}
		}
		Ok(())
	}

	fn write_strategies(&self, out: &mut String) -> fmt::Result {
		writeln!(out, "\n== Strategies")?;
		for strategy in Strategy::ALL {
			writeln!(out, "{:<10}  {}", strategy.name(), strategy.sentence())?;
		}
		writeln!(
			out,
			"\nhonest: hosts of 1 % of the compute each. power: votes of GRANDPA. votes: weight in governance."
		)?;
		writeln!(out, "pay: share of what all hosts are paid. emission: share of what could be paid. Both are net of")?;
		writeln!(
			out,
			"unvested pay that was burnt. captured: share of the epochs that end with two thirds of the power."
		)?;
		writeln!(out, "\n== Exceptions: they gained more than {LIMIT} point with the former rules")?;
		for Exception { strategy, rule, price, mend } in EXCEPTIONS {
			let cells = self.cells.iter().filter(|cell| cell.form == 0 && cell.strategies == [strategy]);
			let most = cells.map(|cell| self.worst(cell).0.mean).fold(f64::NEG_INFINITY, f64::max);
			writeln!(out, "{:<10}  up to {most:.1} points", strategy.name())?;
			for (name, text) in [("rule", rule), ("price", price), ("mend", mend)] {
				writeln!(out, "  {name:<8}  {text}")?;
			}
		}
		writeln!(
			out,
			"\n== Sets of strategies that gain more with the rules as built, from a third of the compute on"
		)?;
		for Remaining { set, rule, price } in REMAINING {
			let cells = self.cells.iter().filter(|cell| cell.form == 1 && cell.strategies == set);
			let most = cells.map(|cell| self.worst(cell).0.mean).fold(f64::NEG_INFINITY, f64::max);
			writeln!(out, "{}: up to {most:.1} points", name(set))?;
			for (name, text) in [("how", rule), ("price", price)] {
				writeln!(out, "  {name:<8}  {text}")?;
			}
		}
		writeln!(out, "\n== Honest hosts slashed with the former rules: a column for each way")?;
		LOSSES.iter().try_for_each(|loss| writeln!(out, "{loss}"))
	}

	fn write_gains(&self, out: &mut String, form: usize) -> fmt::Result {
		writeln!(out, "\n== Greatest gain over honesty, in points, {}: mean and standard error", FORMS[form].0)?;
		write!(out, "{:<44}", "share of the compute")?;
		self.shares.iter().try_for_each(|share| write!(out, " {:>22}", format!("{:.0} %        ", 100.0 * share)))?;
		writeln!(out)?;
		for row in rows().into_iter().filter(|row| !row.is_empty()) {
			let cells = self.cells.iter().filter(|cell| cell.form == form && cell.strategies == row);
			for (index, cell) in cells.enumerate() {
				if index == 0 {
					write!(out, "{:<44}", name(&cell.strategies))?;
				}
				let (Gain { mean, error }, kind) = self.worst(cell);
				write!(out, " {:>22}", format!("{mean:.2} ± {error:.2} {kind:<8}"))?;
			}
			writeln!(out)?;
		}
		Ok(())
	}

	/// Plots the gains of some strategies with one form of the rules.
	pub fn plot(&self, form: usize) -> Plot {
		let (shown, y_ticks): (&[&[Strategy]], &[f64]) = if form == 0 {
			(
				&[&[Censor], &[Swarm], &[Late], &[Rent], &[Jam], &[Bias]],
				&[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0],
			)
		} else {
			(&[&[Censor], &[Swarm], &[Late], &[Rent], &[Jam], &[Bias]], &[-1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
		};
		let series = shown.iter().map(|strategies| {
			let cells = self.cells.iter().filter(|cell| cell.form == form && cell.strategies == *strategies);
			let points: Vec<_> = cells
				.map(|cell| (cell, self.worst(cell).0))
				.map(|(cell, gain)| (100.0 * cell.share, gain.mean, 2.0 * gain.error))
				.collect();
			Series { name: name(strategies), line: points.iter().map(|(x, y, _)| (*x, *y)).collect(), points }
		});
		Plot {
			title: format!("Gain of an adversary over honesty, {}", FORMS[form].0),
			x_label: "share of the compute, %".into(),
			y_label: "greatest gain, points".into(),
			x_ticks: [1.0, 2.0, 5.0, 10.0, 20.0, 40.0].map(|x| (x, x.to_string())).into(),
			y_ticks: y_ticks.iter().map(|y| (*y, y.to_string())).collect(),
			series: series.collect(),
			note: "the greatest of power, blocks, votes, pay and emission; bars of 2 standard errors".into(),
			names_on_top: true,
		}
	}
}

fn write_cell(out: &mut String, cell: &Cell) -> fmt::Result {
	write!(out, "{:<44}", name(&cell.strategies))?;
	for kind in 0..KINDS {
		let share = 100.0 * cell.sum(|ends| ends.means()[kind]) / cell.ends.len().max(1) as f64;
		write!(out, " {share:>9.2}")?;
	}
	let epochs = cell.sum(|ends| f64::from(ends.epochs)).max(1.0);
	let each = |of: fn(&Ends) -> f64| cell.sum(of) / epochs;
	write!(out, " {:>9.2} {:>9.0}", each(|ends| ends.convicted.into()), each(|ends| ends.burnt))?;
	let slashed = |of: fn(&Slashed) -> u64| of(&cell.slashed()) as f64 / epochs;
	write!(out, " {:>9.3}  {:>17.3}", each(|ends| ends.captured.into()), slashed(|all| all.censored))?;
	writeln!(out, " {:>6.3} {:>10.3}", slashed(|all| all.judged), slashed(|all| all.challenged))
}
