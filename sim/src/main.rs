//! `gonka-sim`: runs the simulation, writes the report and the plots, and fails if something does not hold.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use gonka_sim::{
	Config, attacks, games,
	report::{Check, Results},
	run,
	sampling::report::{self as sampling, Effort},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
	fs,
	path::{Path, PathBuf},
	thread,
	time::Instant,
};

/// Simulates how the network checks its sprint and its answers.
///
/// Every epoch, hosts commit to leaves, the beacon draws committees and leaf sets, checkers compare tags and accuse.
/// Draw, samples, weights and messages are the runtime's own code. Dishonest hosts collude: they report no wrong leaf
/// of anyone, reveal the same made-up tags, and accuse and challenge all honest hosts.
///
/// Measured: honest hosts convicted (must be none), fabricators caught against the exact theory, lazy checkers caught,
/// committee sizes, bytes on chain, and what adversaries get who are not a random part of the hosts. The exit status
/// is 1 if a demand does not hold; the report says which.
#[derive(Parser)]
#[command(
	version,
	args_conflicts_with_subcommands = true,
	after_help = "Examples:
  gonka-sim                                        the published report, from the top of a checkout
  gonka-sim --epochs 500 --out /tmp/sim            a quick look
  gonka-sim --dishonest 0.5 --seed 7 --out /tmp/sim   a stronger adversary (demands may fail)
  gonka-sim sampling                               the published report on sampled validation"
)]
struct Args {
	#[command(subcommand)]
	command: Option<Command>,
	/// Epochs to simulate.
	#[arg(long, default_value_t = 10_000)]
	epochs: u64,
	/// Hosts; all of them race and check.
	#[arg(long, default_value_t = 300)]
	hosts: usize,
	/// Share of hosts that are dishonest, drawn anew in each epoch: 0 to 0.95.
	#[arg(long, default_value_t = 0.4)]
	dishonest: f64,
	/// Share of honest hosts that are offline while disputes run.
	#[arg(long, default_value_t = 0.05)]
	offline: f64,
	/// Everything random follows from it: the same seed gives the same report on every machine.
	#[arg(long, default_value_t = 1)]
	seed: u64,
	/// Where benches/results/simulation.txt and docs/img/*.svg go: the top of a checkout.
	#[arg(long, value_name = "DIR", default_value = ".")]
	out: PathBuf,
}

#[derive(Subcommand)]
enum Command {
	/// Simulates sampled validation: how often checked answers raise a false alarm and how soon a right one, arbiters'
	/// tests, and whole epochs in which hosts cheat and lie. Writes benches/results/sampling.txt and
	/// docs/img/sampling-alarm.svg.
	Sampling {
		/// Receipts checked to count false alarms.
		#[arg(long, default_value_t = Effort::default().receipts)]
		receipts: u64,
		/// Arbiters' tests of an honest host, at each α.
		#[arg(long, default_value_t = Effort::default().tests)]
		tests: u64,
		/// Epochs of each network.
		#[arg(long, default_value_t = Effort::default().epochs)]
		epochs: u32,
		/// Hosts of each network.
		#[arg(long, default_value_t = Effort::default().hosts)]
		hosts: usize,
		/// Everything random follows from it.
		#[arg(long, default_value_t = Effort::default().seed)]
		seed: u64,
		/// The top of a checkout.
		#[arg(long, value_name = "DIR", default_value = ".")]
		out: PathBuf,
	},
}

fn main() -> Result<()> {
	let args = Args::parse();
	if let Some(Command::Sampling { receipts, tests, epochs, hosts, seed, out }) = args.command {
		ensure!((20..=100_000).contains(&hosts), "from 20 to 100000 hosts can be simulated");
		ensure!(epochs > 0 && tests > 0, "at least one epoch and one test are needed");
		return sample(Effort { receipts, tests, epochs, hosts, seed }, &out);
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
	let games = games::play(seed, epochs.min(10_000)).context("the model refused its own input")?;
	let draws = (epochs / 10).max(2);
	let attacks = attacks::all(&config).into_iter().map(|attack| (attack.name.clone(), attack.measure(seed, draws)));
	let results = Results { attacks: attacks.collect(), tally, games, config };

	let command = format!(
		"cargo run --release -p gonka-sim -- --epochs {epochs} --hosts {hosts} --dishonest {} --offline {} --seed {seed}",
		args.dishonest, args.offline
	);
	let took = start.elapsed().as_secs_f64();
	let header = format!("# {command}\n# {took:.0} s on {threads} threads; all else is the same on every machine\n\n");
	let text = results.text(&header);
	write(&args.out.join("benches/results/simulation.txt"), &text)?;
	write(&args.out.join("docs/img/sprint-detection.svg"), &results.detection_plot().svg())?;
	write(&args.out.join("docs/img/sprint-lazy.svg"), &results.lazy_plot().svg())?;
	print!("{text}");
	demand(&results.checks())
}

fn sample(effort: Effort, out: &Path) -> Result<()> {
	let start = Instant::now();
	let results = sampling::run(effort);
	let plot = results.plot().svg();
	let Effort { receipts, tests, epochs, hosts, seed } = effort;
	let took = start.elapsed().as_secs_f64();
	let header = format!(
		"# cargo run --release -p gonka-sim -- sampling --receipts {receipts} --tests {tests} --epochs {epochs} --hosts {hosts} --seed {seed}\n# {took:.0} s; all else is the same on every machine\n\n"
	);
	let text = results.text(&header);
	write(&out.join("benches/results/sampling.txt"), &text)?;
	write(&out.join("docs/img/sampling-alarm.svg"), &plot)?;
	print!("{text}");
	demand(&results.checks())
}

fn demand(checks: &[Check]) -> Result<()> {
	let failed = checks.iter().filter(|check| !check.holds).count();
	ensure!(failed == 0, "{failed} demands do not hold: see FAILED above");
	Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
	if let Some(folder) = path.parent() {
		fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
	}
	fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
