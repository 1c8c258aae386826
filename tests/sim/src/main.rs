//! `gonka-sim`: runs the simulation, writes the report and the plots, and fails if a check does not hold.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use gonka_sim::{
	Config, attacks,
	audit::report::{self as audit, Effort},
	games,
	report::{Check, Results},
	run,
	strategies::report as strategies,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
	fs,
	path::{Path, PathBuf},
	thread,
	time::Instant,
};

/// Simulates how the network checks its sprint and its completions.
///
/// In every epoch, hosts commit to leaves, the beacon draws committees and leaf sets, and checkers compare tags and
/// accuse. Draws, leaf sets, weights and messages are the runtime's own code. Dishonest hosts collude: they report no
/// wrong leaf of anyone, reveal the same made-up tags, and accuse and challenge all honest hosts.
///
/// The report states how many honest hosts were convicted (there must be none), how many fabricators were caught
/// compared with exact theory, how many lazy checkers were caught, sizes of committees, bytes on chain, and what
/// adversaries gain whose hosts are not a random part. The exit status is 1 if a check does not hold; the report says
/// which.
#[derive(Parser)]
#[command(
	version,
	args_conflicts_with_subcommands = true,
	after_help = "Examples:
  gonka-sim                                           the published report, from the top of a checkout
  gonka-sim --epochs 500 --out /tmp/sim               a short run
  gonka-sim --dishonest 0.5 --seed 7 --out /tmp/sim   a stronger adversary (checks may fail)
  gonka-sim audit                                     the published report on sampled validation
  gonka-sim strategies --series 2 --out /tmp/sim      a short report on rational adversaries"
)]
struct Args {
	#[command(subcommand)]
	command: Option<Command>,
	/// Number of epochs to simulate.
	#[arg(long, default_value_t = 10_000)]
	epochs: u64,
	/// Number of hosts; all take part in the sprint and check.
	#[arg(long, default_value_t = 300)]
	hosts: usize,
	/// Share of hosts that are dishonest, drawn anew in each epoch: 0 to 0.95.
	#[arg(long, default_value_t = 0.4)]
	dishonest: f64,
	/// Share of honest hosts that are offline while disputes run.
	#[arg(long, default_value_t = 0.05)]
	offline: f64,
	/// Seed of everything random: the same seed gives the same report on every machine.
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// Top of a checkout, where benches/results/simulation.txt and docs/img/*.svg are written.
	#[arg(long, value_name = "DIR", default_value = ".")]
	out: PathBuf,
}

#[derive(Subcommand)]
enum Command {
	/// Simulate sampled validation: times until false and right alarms, arbiters' tests, and whole epochs in which
	/// hosts cheat and lie. Writes benches/results/audit.txt and docs/img/audit-alarm.svg.
	Audit {
		/// Number of receipts checked to count false alarms.
		#[arg(long, default_value_t = Effort::default().receipts)]
		receipts: u64,
		/// Number of arbiters' tests of an honest host, at each α.
		#[arg(long, default_value_t = Effort::default().tests)]
		tests: u64,
		/// Number of epochs of each network.
		#[arg(long, default_value_t = Effort::default().epochs)]
		epochs: u32,
		/// Number of hosts of each network.
		#[arg(long, default_value_t = Effort::default().hosts)]
		hosts: usize,
		/// Seed of everything random.
		#[arg(long, default_value_t = Effort::default().seed)]
		seed: u64,
		/// Top of a checkout.
		#[arg(long, value_name = "DIR", default_value = ".")]
		out: PathBuf,
	},
	/// Simulate rational adversaries with 1 to 40 % of the compute: what each strategy, and sets of them, bring in power,
	/// blocks, votes and pay over honesty, and whether an honest host is slashed. Writes benches/results/strategies.txt
	/// and docs/img/strategies-*.svg.
	///
	/// Each set of strategies is simulated with five shares of the compute, with the rules as built and the former ones. The
	/// report says what each strategy does, which gain more than one point, by which rule, and at what price.
	Strategies {
		/// Number of networks of each kind.
		#[arg(long, default_value_t = strategies::Effort::default().series)]
		series: u32,
		/// Number of epochs (days) of each network.
		#[arg(long, default_value_t = strategies::Effort::default().epochs)]
		epochs: u32,
		/// Seed of everything random: the same seed gives the same report on every machine.
		#[arg(long, default_value_t = strategies::Effort::default().seed)]
		seed: u64,
		/// Top of a checkout.
		#[arg(long, value_name = "DIR", default_value = ".")]
		out: PathBuf,
	},
}

fn main() -> Result<()> {
	let args = Args::parse();
	match args.command {
		Some(Command::Audit { receipts, tests, epochs, hosts, seed, out }) => {
			ensure!((20..=100_000).contains(&hosts), "from 20 to 100000 hosts can be simulated");
			ensure!(epochs > 0 && tests > 0, "at least one epoch and one test are needed");
			return run_audit(Effort { receipts, tests, epochs, hosts, seed }, &out);
		},
		Some(Command::Strategies { series, epochs, seed, out }) => {
			ensure!(epochs > 0 && series > 1, "at least one epoch and two networks are needed");
			return run_strategies(strategies::Effort { series, epochs, seed }, &out);
		},
		None => {},
	}
	let (epochs, hosts, seed) = (args.epochs, args.hosts, args.seed);
	let config = Config {
		epochs,
		hosts,
		dishonest: args.dishonest,
		offline: args.offline,
		fabricators: (hosts / 10).max(1),
		seed,
	};
	ensure!(epochs >= 2, "at least 2 epochs are needed to tell how certain a result is");
	ensure!((12..=100_000).contains(&hosts), "from 12 to 100000 hosts can be simulated");
	ensure!((0.0..=0.95).contains(&args.dishonest), "the dishonest share must lie between 0 and 0.95");
	ensure!((0.0..=1.0).contains(&args.offline), "the offline share must lie between 0 and 1");

	let start = Instant::now();
	let threads = thread::available_parallelism().map_or(1, usize::from);
	let bar = ProgressBar::new(epochs)
		.with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} epochs, {per_sec}, {eta} left")?);
	let tally = run(&config, threads, || bar.inc(1));
	bar.finish_and_clear();
	let games = games::play(seed, epochs.min(10_000)).context("the model rejected its own input")?;
	let draws = (epochs / 10).max(2);
	let attacks = attacks::all(&config).into_iter().map(|attack| (attack.name.clone(), attack.measure(seed, draws)));
	let results = Results { attacks: attacks.collect(), tally, games, config };

	let command = format!(
		"cargo run --release -p gonka-sim -- --epochs {epochs} --hosts {hosts} --dishonest {} --offline {} --seed {seed}",
		args.dishonest, args.offline
	);
	let took = start.elapsed().as_secs_f64();
	let header =
		format!("# {command}\n# {took:.0} s on {threads} threads; everything else is the same on every machine\n\n");
	let text = results.text(&header);
	write(&args.out.join("benches/results/simulation.txt"), &text)?;
	write(&args.out.join("docs/img/sprint-detection.svg"), &results.detection_plot().svg())?;
	write(&args.out.join("docs/img/sprint-lazy.svg"), &results.lazy_plot().svg())?;
	print!("{text}");
	require(&results.checks())
}

fn run_audit(effort: Effort, out: &Path) -> Result<()> {
	let start = Instant::now();
	let results = audit::run(effort);
	let plot = results.plot().svg();
	let Effort { receipts, tests, epochs, hosts, seed } = effort;
	let took = start.elapsed().as_secs_f64();
	let header = format!(
		"# cargo run --release -p gonka-sim -- audit --receipts {receipts} --tests {tests} --epochs {epochs} --hosts {hosts} --seed {seed}\n# {took:.0} s; everything else is the same on every machine\n\n"
	);
	let text = results.text(&header);
	write(&out.join("benches/results/audit.txt"), &text)?;
	write(&out.join("docs/img/audit-alarm.svg"), &plot)?;
	print!("{text}");
	require(&results.checks())
}

fn run_strategies(effort: strategies::Effort, out: &Path) -> Result<()> {
	let start = Instant::now();
	let threads = thread::available_parallelism().map_or(1, usize::from);
	let bar = ProgressBar::new(effort.total(&strategies::SHARES))
		.with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} epochs, {per_sec}, {eta} left")?);
	let results = strategies::run(effort, &strategies::SHARES, threads, |epochs| bar.inc(epochs));
	bar.finish_and_clear();
	let strategies::Effort { series, epochs, seed } = effort;
	let took = start.elapsed().as_secs_f64();
	let header = format!(
		"# cargo run --release -p gonka-sim -- strategies --series {series} --epochs {epochs} --seed {seed}\n# {took:.0} s on {threads} threads; everything else is the same on every machine\n\n"
	);
	let text = results.text(&header);
	write(&out.join("benches/results/strategies.txt"), &text)?;
	write(&out.join("docs/img/strategies-former.svg"), &results.plot(0).svg())?;
	write(&out.join("docs/img/strategies-built.svg"), &results.plot(1).svg())?;
	print!("{text}");
	require(&results.checks())
}

fn require(checks: &[Check]) -> Result<()> {
	let failed = checks.iter().filter(|check| !check.holds).count();
	ensure!(failed == 0, "{failed} checks do not hold: see FAILED above");
	Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
	if let Some(folder) = path.parent() {
		fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
	}
	fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
