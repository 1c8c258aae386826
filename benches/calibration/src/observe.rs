//! Runs hosts and checkers, and stores what the checkers observe.
//!
//! Each chunk is a file of its own, written in one go, so that an interrupted run continues where it stopped.

use crate::plan::{CHUNK, Cheat, HOSTS, Host, Machine, request};
use anyhow::{Context, Result, ensure};
use codec::{Decode, Encode};
use gonka_engine::{
	CheckRequest, CheckResult, Engine, FinishReason, GenerateRequest, LocalConfig, LocalEngine, TokenEvent, convert,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	hashing::blake2_256,
};
use std::{
	collections::BTreeMap,
	fs,
	path::{Path, PathBuf},
	sync::{
		Arc, Mutex,
		atomic::{AtomicUsize, Ordering::Relaxed},
	},
	thread,
};

/// Version of the measurements. Increase it when margins or distances change their meaning: older measurements are then
/// of no use.
const VERSION: u32 = 2;
/// Maximum number of tokens of a text that a completion begins with.
const MAX_PROMPT: usize = 300;
/// Maximum number of tokens of a text that is repeated; it is cut there.
const MAX_LONG_PROMPT: usize = 1_200;

/// A checker's observation at one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Observation {
	/// The tape's margin: see `TokenCheck::margin`.
	pub margin: u32,
	/// Distance between the host's fingerprint and the checker's.
	pub distance: u32,
	/// Distance between the true model's fingerprint, as the first checker's prefill has it, and the checker's.
	pub prefilled: u32,
}

/// One checker's audit of a completion.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Audit {
	/// Whether the completion ends where it must.
	pub ends_rightly: bool,
	/// Observations, one for each token.
	pub tokens: Vec<Observation>,
}

/// Audits of a completion by all checkers of its host, in their order.
pub type Audits = Vec<Audit>;

/// Chunks by host.
pub type Measurements = BTreeMap<&'static str, Vec<Vec<Audits>>>;

/// Texts and lengths of the completions.
#[derive(Clone, Debug, Encode)]
pub struct Workload {
	/// Texts that completions begin with.
	pub prompts: Vec<String>,
	/// Number of tokens of a completion.
	pub length: u32,
}

/// Folder with the measurements.
pub struct Store(PathBuf);

impl Store {
	/// Opens the folder of a model's measurements, or makes it. `class` is that of the engine, if it has one.
	///
	/// # Errors
	/// An error if it holds measurements of another model, workload or class, or cannot be read or written.
	pub fn open(path: PathBuf, model: &Path, workload: &Workload, class: Option<&str>) -> Result<Self> {
		fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
		let bytes = fs::read(model).with_context(|| format!("cannot read the model {}", model.display()))?;
		let class = class.unwrap_or_default().as_bytes();
		let (wanted, mark) =
			(blake2_256(&[&VERSION.to_le_bytes(), &bytes, &workload.encode(), class]), path.join("of"));
		match fs::read(&mark) {
			Ok(other) => ensure!(
				other == wanted,
				"{} holds measurements of another model or engine, with other texts or by another version: choose another folder, \
				 or remove it",
				path.display()
			),
			Err(_) => write(&mark, &wanted)?,
		}
		Ok(Self(path))
	}

	fn file(&self, (host, chunk): (usize, usize)) -> PathBuf {
		self.0.join(format!("{}-{chunk}", HOSTS[host].name))
	}

	/// Loads the measurements of these chunks.
	pub fn load(&self, chunks: &[(usize, usize)]) -> Result<Measurements> {
		let mut all = Measurements::new();
		for chunk in chunks {
			let path = self.file(*chunk);
			let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
			let completions =
				Decode::decode(&mut &bytes[..]).with_context(|| format!("{} is damaged", path.display()))?;
			all.entry(HOSTS[chunk.0].name).or_default().push(completions);
		}
		Ok(all)
	}

	/// Measures the chunks that are missing, `jobs` at a time. `progress` is called once for each chunk.
	pub fn measure(
		&self,
		model: &Path,
		workload: &Workload,
		chunks: &[(usize, usize)],
		jobs: usize,
		progress: impl Fn() + Sync,
	) -> Result<()> {
		let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
		let work = || -> Result<()> {
			let mut engines = Engines { model, formats: &self.0.join("formats"), loaded: BTreeMap::new() };
			while let Some(chunk) = chunks.get(next.fetch_add(1, Relaxed)) {
				let path = self.file(*chunk);
				if !path.exists() {
					write(&path, &engines.chunk(workload, *chunk)?.encode())?;
				}
				progress();
			}
			Ok(())
		};
		thread::scope(|scope| {
			for _ in 0..jobs.max(1) {
				scope.spawn(|| {
					if let Err(error) = work() {
						// The other threads end after their present chunk.
						next.store(usize::MAX / 2, Relaxed);
						*failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
					}
				});
			}
		});
		failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
	}
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
	let new = path.with_extension("new");
	fs::write(&new, bytes)
		.and_then(|()| fs::rename(&new, path))
		.with_context(|| format!("cannot write {}", path.display()))
}

/// Engines, loaded when they are first needed. Of those that few chunks need, only the last one is kept.
struct Engines<'a> {
	model: &'a Path,
	/// Folder for files of the model in other formats.
	formats: &'a Path,
	loaded: BTreeMap<Key, LocalEngine>,
}

/// An engine: its machine, the name of the host whose cheat it computes, and the length of its context.
type Key = (Machine, Option<&'static str>, usize);

impl Engines<'_> {
	fn get(&mut self, machine: Machine, cheat: Option<(&'static str, Cheat)>, context: usize) -> Result<&LocalEngine> {
		let key = (machine, cheat.map(|(name, _)| name), context);
		if !self.loaded.contains_key(&key) {
			self.loaded
				.retain(|(machine, cheat, loaded), _| machine.threads == 1 && cheat.is_none() && *loaded == context);
			let model = match cheat {
				Some((_, Cheat::Format(format))) => convert(self.model, format, self.formats)?,
				_ => self.model.to_owned(),
			};
			let config = LocalConfig {
				context_length: context,
				slots: CHUNK,
				threads: machine.threads.into(),
				..LocalConfig::new(model, machine.backend())
			};
			let engine = match cheat {
				Some((_, Cheat::Weights(attack))) => LocalEngine::load_altered(&config, Arc::new(attack))?,
				_ => LocalEngine::load(&config)?,
			};
			self.loaded.insert(key, engine);
		}
		self.loaded.get(&key).context("the engine was just loaded")
	}

	/// Generates the completions of a chunk, and audits them.
	fn chunk(&mut self, workload: &Workload, (index, number): (usize, usize)) -> Result<Vec<Audits>> {
		let (host, prompts, length) = (&HOSTS[index], &workload.prompts, workload.length as usize);
		let max = if host.repeats > 1 { MAX_LONG_PROMPT } else { MAX_PROMPT };
		let cheat = host.cheat.filter(|cheat| matches!(cheat, Cheat::Weights(_) | Cheat::Format(_)));
		let engine = self.get(host.machine, cheat.map(|cheat| (host.name, cheat)), length + max)?;
		let requests: Vec<GenerateRequest> = (0..CHUNK)
			.map(|setting| {
				let serial = number * CHUNK + setting;
				// The serial number makes a different text of a prompt that is used again.
				let text = &prompts[(number + 7 * setting) % prompts.len()];
				let mut prompt = engine.tokenizer().encode(&format!("{}. {text}", serial + 1).repeat(host.repeats));
				if host.repeats > 1 {
					prompt.truncate(MAX_LONG_PROMPT);
				}
				Ok(request(setting, prompt, length, (index as u64) << 32 | serial as u64))
			})
			.collect::<Result<_>>()?;
		ensure!(requests.iter().all(|request| request.prompt.len() <= max), "a text has more than {max} tokens");
		let changed: Vec<GenerateRequest> = requests.iter().map(|request| apply_cheat(host, request)).collect();
		let mut generated = Vec::new();
		for batch in changed.chunks(host.batch) {
			generated.extend(generate(engine, batch)?);
		}
		let mut claims: Vec<Claimed> = requests
			.into_iter()
			.zip(generated)
			.map(|(request, (output, fingerprints))| Claimed {
				request,
				output,
				fingerprints,
				end: FinishReason::Length,
			})
			.collect();
		if host.cheat == Some(Cheat::End) {
			let eos = *engine.info().eos.first().context("the model has no token that ends a completion")?;
			claims = claims.into_iter().enumerate().flat_map(|(at, claim)| claim.cut(at + number, eos)).collect();
		}
		let mut completions: Vec<Audits> = claims.iter().map(|_| Vec::new()).collect();
		let mut truth: Vec<Vec<Fingerprint>> = Vec::new();
		for checker in host.checkers {
			let engine = self.get(*checker, None, length + max)?;
			for (at, claim) in claims.iter().enumerate() {
				let result = claim.check(engine)?;
				if truth.len() == at {
					truth.push(result.tokens.iter().map(|token| token.fingerprint).collect());
				}
				completions[at].push(claim.audit(&result, &truth[at]));
			}
		}
		Ok(completions)
	}
}

/// Returns the request that the host really computes.
fn apply_cheat(host: &Host, request: &GenerateRequest) -> GenerateRequest {
	let mut request = request.clone();
	match host.cheat {
		Some(Cheat::Tape) => request.key.reverse(),
		Some(Cheat::Temperature) => request.temperature *= 0.7,
		_ => {},
	}
	request
}

/// A completion as its host reports it.
struct Claimed {
	request: GenerateRequest,
	output: Vec<u32>,
	fingerprints: Vec<Fingerprint>,
	end: FinishReason,
}

impl Claimed {
	/// Returns the completion with two early ends: it just stops there, and the host claims that the model ended it
	/// there.
	fn cut(mut self, serial: usize, eos: u32) -> [Self; 2] {
		// The cut is somewhere before the end that the model itself chose.
		let own = self.output.iter().position(|id| *id == eos).unwrap_or(self.output.len());
		let length = 1 + serial * 37 % own.saturating_sub(1).max(1);
		self.output.truncate(length);
		self.fingerprints.truncate(length);
		self.request.ignore_eos = false;
		let request = self.request.clone();
		let (mut output, mut fingerprints) = (self.output.clone(), self.fingerprints.clone());
		output.push(eos);
		// The host has read its own completion, so it could report this fingerprint too.
		fingerprints.push([0; 16]);
		[self, Self { request, output, fingerprints, end: FinishReason::Stop }]
	}

	fn check(&self, engine: &LocalEngine) -> Result<CheckResult> {
		let (request, output) = (self.request.clone(), self.output.clone());
		Ok(engine.check(CheckRequest { request, output, finish_reason: self.end })?.blocking_recv()??)
	}

	fn audit(&self, result: &CheckResult, truth: &[Fingerprint]) -> Audit {
		let reported = self.fingerprints.iter().zip(truth);
		let found = result.tokens.iter().zip(reported).map(|(token, (reported, truth))| Observation {
			margin: token.margin,
			distance: distance(&token.fingerprint, reported),
			prefilled: distance(&token.fingerprint, truth),
		});
		Audit { ends_rightly: result.ends_rightly, tokens: found.collect() }
	}
}

/// Generates the completions of all requests at the same time: their tokens and fingerprints.
fn generate(engine: &LocalEngine, requests: &[GenerateRequest]) -> Result<Vec<(Vec<u32>, Vec<Fingerprint>)>> {
	let running = requests.iter().map(|request| engine.generate(request.clone()));
	let mut completions = Vec::new();
	for mut events in running.collect::<Result<Vec<_>, _>>()? {
		let (mut output, mut fingerprints) = (Vec::new(), Vec::new());
		loop {
			match events.blocking_recv().context("the engine has stopped")? {
				TokenEvent::Token { id, fingerprint, .. } => {
					output.push(id);
					fingerprints.push(fingerprint);
				},
				TokenEvent::Embedding { .. } => {
					anyhow::bail!("the model makes embeddings, which are not calibrated yet")
				},
				TokenEvent::Done { .. } => break,
				TokenEvent::Error { message } => anyhow::bail!("the engine failed: {message}"),
			}
		}
		completions.push((output, fingerprints));
	}
	Ok(completions)
}
