#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

pub mod attack;
pub mod fit;
pub mod observe;
pub mod plan;
pub mod report;

use anyhow::{Context, Result, ensure};
use fit::{Histogram, Scale};
use gonka_engine::{LocalConfig, LocalEngine};
use gonka_primitives::audit::CalibrationProfile;
use indicatif::{ProgressBar, ProgressStyle};
use observe::{Measurements, Store, Workload};
use plan::{CHUNK, EngineKind, HOSTS, cheats, chunks};
use report::{Group, Report, honest, other_weights, report, true_prefill};
use std::{
	collections::BTreeMap,
	fs,
	path::{Path, PathBuf},
};

/// Options of a calibration.
#[derive(Clone, Debug)]
pub struct Options {
	/// The GGUF file.
	pub model: PathBuf,
	/// The model's name, without a class.
	pub name: String,
	/// The engine of the hosts to which the profile applies.
	pub engine: EngineKind,
	/// Folder for measurements, profile and report.
	pub out: PathBuf,
	/// Number of tokens of honest hosts that checkers audit.
	pub tokens: u64,
	/// Number of completions of each cheat.
	pub completions: usize,
	/// Number of tokens of a completion.
	pub length: u32,
	/// File with texts that completions begin with, one a line; by default 64 texts of all kinds.
	pub prompts: Option<PathBuf>,
	/// Number of chunks that are measured at the same time: each takes a core, and memory for two models.
	pub jobs: usize,
	/// The oldest worker to which the profile applies.
	pub min_worker_version: u32,
	/// A profile to try on the measurements, instead of making one.
	pub profile: Option<PathBuf>,
}

/// Measures what is missing, and writes `report.md`, `roc.svg` and, unless a profile is given, `profile.json`.
///
/// # Errors
/// An error if the model cannot be run, or files cannot be read or written.
pub fn calibrate(options: &Options) -> Result<Report> {
	let given = options.profile.as_deref().map(read).transpose()?;
	ensure!(options.length > 0, "the length of completions must be at least 1");
	let workload = Workload { prompts: prompts(options.prompts.as_deref())?, length: options.length };
	let engine = options.engine;
	let class = class(engine, &options.model)?;
	let store = Store::open(options.out.join("measurements"), &options.model, &workload, class.as_deref())?;
	let length = options.length as usize;
	let mut wanted = chunks(engine, false, cheats(engine) * options.completions.div_ceil(CHUNK));
	wanted.extend(chunks(engine, true, honest_chunks(engine, options.tokens, length)));
	let bar = ProgressBar::new(wanted.len() as u64).with_style(
		ProgressStyle::with_template("{bar:40} {pos}/{len} chunks, {elapsed} elapsed, {eta} left")
			.unwrap_or_else(|_| ProgressStyle::default_bar()),
	);
	bar.enable_steady_tick(std::time::Duration::from_millis(500));
	store.measure(&options.model, &workload, &wanted, options.jobs, || bar.inc(1))?;
	bar.finish();
	let measurements = store.load(&wanted)?;
	let (profile, scale) = match given {
		Some(profile) => (profile, None),
		None => {
			let (profile, scale) = profile(&measurements, length, engine, options.min_worker_version);
			(profile, Some(scale))
		},
	};
	let name = class.map_or_else(|| options.name.clone(), |class| format!("{}@{class}", options.name));
	let found = report((&name, engine), length, &profile, scale, &measurements);
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

/// Returns the class of this machine's llama.cpp for the model; `None` for libtorch, whose hosts have one profile for all.
fn class(engine: EngineKind, model: &Path) -> Result<Option<String>> {
	if engine == EngineKind::Torch {
		return Ok(None);
	}
	let loaded = LocalEngine::load(&LocalConfig { finds_class: true, ..LocalConfig::llama(model) })?;
	let class = loaded
		.class()
		.context("llama.cpp computes a token of this model otherwise when it is alone, so it has no class")?;
	Ok(Some(class.to_owned()))
}

/// Makes a profile of measurements with completions of `length` tokens. Returns it with the factor of its ratios.
pub fn profile(
	measurements: &Measurements,
	length: usize,
	engine: EngineKind,
	min_worker_version: u32,
) -> (CalibrationProfile, Scale) {
	let pairs = honest(measurements);
	let mean = |pair: &Group<'_>| {
		let sum: u64 = pair.tokens().map(|token| u64::from(token.distance)).sum();
		sum / pair.tokens().count().max(1) as u64
	};
	let farthest = pairs.iter().max_by_key(|pair| mean(pair));
	let distances = farthest.map(|pair| pair.tokens().map(|token| token.distance).collect()).unwrap_or_default();
	let edges = fit::edges(distances, min_worker_version);
	let count = |group: &Group<'_>| Histogram::count(&edges, group.tokens(), group.distance);
	// Batches and threads change the last bits only; precision and settings matter.
	let mut normal = BTreeMap::<_, Histogram>::new();
	for pair in &pairs {
		for (setting, audit) in &pair.audits {
			let key = (pair.host.arithmetic, pair.checker.arithmetic, *setting);
			normal.entry(key).or_default().add(&Histogram::count(&edges, audit.tokens.iter(), pair.distance));
		}
	}
	let normal: Vec<Histogram> = normal.into_values().collect();
	let cheats = other_weights(measurements).into_iter().chain(true_prefill(measurements));
	let cheats: Vec<Histogram> = cheats.map(|group| count(&group)).collect();
	let seen = |profile: &CalibrationProfile| {
		let lengths = [length.div_ceil(10), length.div_ceil(5), length];
		pairs.iter().flat_map(|pair| lengths.map(|length| pair.receipts(profile, length))).collect()
	};
	fit::ratios(edges, &normal, &cheats, seen, engine.dilution())
}

fn read(path: &Path) -> Result<CalibrationProfile> {
	let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
	let profile: CalibrationProfile =
		serde_json::from_str(&text).with_context(|| format!("{} is not a calibration profile", path.display()))?;
	ensure!(profile.is_well_formed(), "the profile in {} has edges or thresholds in the wrong order", path.display());
	Ok(profile)
}

/// Returns the number of honest chunks in which checkers audit at least `tokens` tokens.
fn honest_chunks(engine: EngineKind, tokens: u64, length: usize) -> usize {
	let audits = |chunks: &[(usize, usize)]| {
		chunks.iter().map(|(host, _)| HOSTS[*host].checkers.len() * CHUNK * length).sum::<usize>()
	};
	// Every host has a checker.
	let max = (tokens as usize).div_ceil(CHUNK * length);
	let order = chunks(engine, true, max);
	(1..=max).find(|count| audits(&order[..*count]) as u64 >= tokens).unwrap_or(max)
}

fn prompts(file: Option<&Path>) -> Result<Vec<String>> {
	let text = match file {
		Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
		None => include_str!("prompts.txt").to_owned(),
	};
	let prompts: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
	ensure!(!prompts.is_empty(), "there are no texts to begin completions with");
	Ok(prompts)
}
