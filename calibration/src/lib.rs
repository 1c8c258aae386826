#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

pub mod fit;
pub mod observe;
pub mod plan;
pub mod report;

use anyhow::{Context, Result, ensure};
use fit::{Histogram, Scale};
use gonka_primitives::sampling::Profile;
use indicatif::{ProgressBar, ProgressStyle};
use observe::{Folder, Observations, Questions};
use plan::{CHUNK, HOSTS, chunks};
use report::{Kind, Report, honest, other_weights, report, true_prefill};
use std::{
	collections::BTreeMap,
	fs,
	path::{Path, PathBuf},
};

/// What is calibrated, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Options {
	/// The GGUF file.
	pub model: PathBuf,
	/// The model's name, for the report.
	pub name: String,
	/// Where measurements, profile and report are written.
	pub out: PathBuf,
	/// Looks at tokens of honest hosts.
	pub tokens: u64,
	/// Answers of each cheat.
	pub answers: usize,
	/// Tokens of an answer.
	pub length: u32,
	/// A file of texts that answers begin with, one a line; without it, 64 of all kinds.
	pub prompts: Option<PathBuf>,
	/// Chunks that are measured at the same time: each takes a core, and memory for two models.
	pub jobs: usize,
	/// The oldest worker that the profile is for.
	pub min_worker_version: u32,
	/// A profile that is tried on what is measured, where none is to be made.
	pub profile: Option<PathBuf>,
}

/// Measures what is missing, and writes `report.md`, `roc.svg` and, unless one is given, `profile.json`.
///
/// # Errors
/// If the model cannot be run, or files cannot be read or written.
pub fn calibrate(options: &Options) -> Result<Report> {
	let given = options.profile.as_deref().map(read).transpose()?;
	ensure!(options.length > 0, "answers must have tokens");
	let questions = Questions { prompts: prompts(options.prompts.as_deref())?, length: options.length };
	let folder = Folder::open(options.out.join("measurements"), &options.model, &questions)?;
	let length = options.length as usize;
	let cheats = HOSTS.iter().filter(|host| host.cheat.is_some()).count();
	let mut wanted = chunks(false, cheats * options.answers.div_ceil(CHUNK));
	wanted.extend(chunks(true, honest_chunks(options.tokens, length)));
	let bar = ProgressBar::new(wanted.len() as u64).with_style(
		ProgressStyle::with_template("{bar:40} {pos}/{len} chunks, {elapsed} gone, {eta} to go")
			.unwrap_or_else(|_| ProgressStyle::default_bar()),
	);
	bar.enable_steady_tick(std::time::Duration::from_millis(500));
	folder.measure(&options.model, &questions, &wanted, options.jobs, || bar.inc(1))?;
	bar.finish();
	let observations = folder.load(&wanted)?;
	let (profile, scale) = match given {
		Some(profile) => (profile, None),
		None => {
			let (profile, scale) = profile(&observations, length, options.min_worker_version);
			(profile, Some(scale))
		},
	};
	let found = report(&options.name, length, &profile, scale, &observations);
	let write = |name: &str, text: &str| {
		let path = options.out.join(name);
		fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
	};
	if scale.is_some() {
		write("profile.json", &format!("{}\n", serde_json::to_string_pretty(&profile)?))?;
	}
	write("report.md", &found.text)?;
	write("roc.svg", &found.plot)?;
	Ok(found)
}

/// The profile of what was observed in answers of `length` tokens, and what its ratios were multiplied with.
pub fn profile(observations: &Observations, length: usize, min_worker_version: u32) -> (Profile, Scale) {
	let pairs = honest(observations);
	let mean = |pair: &Kind<'_>| {
		let sum: u64 = pair.tokens().map(|token| u64::from(token.distance)).sum();
		sum / pair.tokens().count().max(1) as u64
	};
	let farthest = pairs.iter().max_by_key(|pair| mean(pair));
	let distances = farthest.map(|pair| pair.tokens().map(|token| token.distance).collect()).unwrap_or_default();
	let edges = fit::edges(distances, min_worker_version);
	let count = |kind: &Kind<'_>| Histogram::count(&edges, kind.tokens(), kind.distance);
	// Batches and threads change the last bits only: what differs is how weights are held, and what is asked for.
	let mut normal = BTreeMap::<_, Histogram>::new();
	for pair in &pairs {
		for (setting, look) in &pair.looks {
			let key = (pair.host.is_bf16, pair.checker.is_bf16, *setting);
			normal.entry(key).or_default().add(&Histogram::count(&edges, look.tokens.iter(), pair.distance));
		}
	}
	let normal: Vec<Histogram> = normal.into_values().collect();
	let cheats = other_weights(observations).into_iter().chain(true_prefill(observations));
	let cheats: Vec<Histogram> = cheats.map(|kind| count(&kind)).collect();
	let seen = |profile: &Profile| {
		let lengths = [length.div_ceil(10), length.div_ceil(5), length];
		pairs.iter().flat_map(|pair| lengths.map(|length| pair.receipts(profile, length))).collect()
	};
	fit::ratios(edges, &normal, &cheats, seen)
}

fn read(path: &Path) -> Result<Profile> {
	let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
	let profile: Profile = serde_json::from_str(&text).with_context(|| format!("{} is no profile", path.display()))?;
	ensure!(profile.is_well_formed(), "the profile in {} has edges or thresholds out of order", path.display());
	Ok(profile)
}

/// Chunks that have so many looks at tokens.
fn honest_chunks(tokens: u64, length: usize) -> usize {
	let looks = |chunks: &[(usize, usize)]| {
		chunks.iter().map(|(host, _)| HOSTS[*host].checkers.len() * CHUNK * length).sum::<usize>()
	};
	// All pairs have two checkers or more.
	let most = (tokens as usize).div_ceil(2 * CHUNK * length);
	let order = chunks(true, most);
	(1..=most).find(|count| looks(&order[..*count]) as u64 >= tokens).unwrap_or(most)
}

fn prompts(file: Option<&Path>) -> Result<Vec<String>> {
	let text = match file {
		Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
		None => include_str!("prompts.txt").to_owned(),
	};
	let prompts: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
	ensure!(!prompts.is_empty(), "no texts to begin answers with");
	Ok(prompts)
}
