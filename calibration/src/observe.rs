//! Runs hosts and checkers, and keeps what they find.
//!
//! A chunk is a file of its own, written in one go: a run that was ended goes on where it was.

use crate::plan::{CHUNK, Cheat, F32, HOSTS, Host, Machine, request};
use anyhow::{Context, Result, ensure};
use codec::{Decode, Encode};
use gonka_engine::{
	Attack, CheckRequest, CheckResult, Engine, FinishReason, GenerateRequest, TokenEvent, TorchConfig, TorchEngine,
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
		Mutex,
		atomic::{AtomicUsize, Ordering::Relaxed},
	},
	thread,
};

/// Grows when margins or distances come to mean something else: measurements of before are of no use then.
const VERSION: u32 = 2;
/// Tokens of a text that an answer begins with, at most.
const MAX_PROMPT: usize = 300;

/// What one checker finds at a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Found {
	/// Of the tape: see `TokenCheck::margin`.
	pub margin: u32,
	/// Between the host's fingerprint and the checker's.
	pub distance: u32,
	/// Between the true model's fingerprint, as a prefill in 32 bits finds it, and the checker's.
	pub prefilled: u32,
}

/// What one checker finds in an answer.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Look {
	/// Whether the answer ends rightly.
	pub ends_rightly: bool,
	/// At each token.
	pub tokens: Vec<Found>,
}

/// An answer, as its host's checkers find it, in their order.
pub type Answer = Vec<Look>;

/// Chunks by host.
pub type Observations = BTreeMap<&'static str, Vec<Vec<Answer>>>;

/// What answers are about.
#[derive(Clone, Debug, Encode)]
pub struct Questions {
	/// Texts that they begin with.
	pub prompts: Vec<String>,
	/// Tokens of an answer.
	pub length: u32,
}

/// Where measurements are kept.
pub struct Folder(PathBuf);

impl Folder {
	/// Makes it, for a model and what it is asked.
	///
	/// # Errors
	/// If it holds measurements of others.
	pub fn open(path: PathBuf, model: &Path, questions: &Questions) -> Result<Self> {
		fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
		let bytes = fs::read(model).with_context(|| format!("cannot read the model {}", model.display()))?;
		let (wanted, mark) = (blake2_256(&[&VERSION.to_le_bytes(), &bytes, &questions.encode()]), path.join("of"));
		match fs::read(&mark) {
			Ok(other) => ensure!(
				other == wanted,
				"{} holds measurements of another model, with other texts or by another version: give another folder, or remove \
				 it",
				path.display()
			),
			Err(_) => write(&mark, &wanted)?,
		}
		Ok(Self(path))
	}

	fn file(&self, (host, chunk): (usize, usize)) -> PathBuf {
		self.0.join(format!("{}-{chunk}", HOSTS[host].name))
	}

	/// What was measured of these chunks.
	pub fn load(&self, chunks: &[(usize, usize)]) -> Result<Observations> {
		let mut all = Observations::new();
		for chunk in chunks {
			let path = self.file(*chunk);
			let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
			let answers = Decode::decode(&mut &bytes[..]).with_context(|| format!("{} is damaged", path.display()))?;
			all.entry(HOSTS[chunk.0].name).or_default().push(answers);
		}
		Ok(all)
	}

	/// Measures what is missing, several chunks at a time. `progress` is called for each chunk that is there.
	pub fn measure(
		&self,
		model: &Path,
		questions: &Questions,
		chunks: &[(usize, usize)],
		jobs: usize,
		progress: impl Fn() + Sync,
	) -> Result<()> {
		let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
		let work = || -> Result<()> {
			let mut engines = Engines { model, loaded: BTreeMap::new() };
			while let Some(chunk) = chunks.get(next.fetch_add(1, Relaxed)) {
				let path = self.file(*chunk);
				if !path.exists() {
					write(&path, &engines.chunk(questions, *chunk)?.encode())?;
				}
				progress();
			}
			Ok(())
		};
		thread::scope(|scope| {
			for _ in 0..jobs.max(1) {
				scope.spawn(|| {
					if let Err(error) = work() {
						// The others end after what they have begun.
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

/// Engines, each loaded when it is first needed; of those that few chunks need, the last one.
struct Engines<'a> {
	model: &'a Path,
	loaded: BTreeMap<(Machine, Option<&'static str>), TorchEngine>,
}

impl Engines<'_> {
	fn get(&mut self, machine: Machine, attack: Option<(&'static str, Attack)>, length: usize) -> Result<&TorchEngine> {
		let key = (machine, attack.map(|(name, _)| name));
		if !self.loaded.contains_key(&key) {
			self.loaded.retain(|(machine, attack), _| machine.threads == 1 && attack.is_none());
			let config = TorchConfig {
				context_length: length + MAX_PROMPT,
				slots: CHUNK,
				threads: machine.threads.into(),
				precision: machine.precision(),
				attack: attack.map(|(_, attack)| attack),
				..TorchConfig::new(self.model)
			};
			self.loaded.insert(key, TorchEngine::load(&config)?);
		}
		self.loaded.get(&key).context("the engine was just loaded")
	}

	/// Answers and their checks.
	fn chunk(&mut self, questions: &Questions, (index, number): (usize, usize)) -> Result<Vec<Answer>> {
		let (host, prompts, length) = (&HOSTS[index], &questions.prompts, questions.length as usize);
		let attack = match host.cheat {
			Some(Cheat::Weights(attack)) => Some((host.name, attack)),
			_ => None,
		};
		let engine = self.get(host.machine, attack, length)?;
		let requests: Vec<GenerateRequest> = (0..CHUNK)
			.map(|setting| {
				let place = number * CHUNK + setting;
				// The number makes another text of a prompt that comes again.
				let text = &prompts[(number + 7 * setting) % prompts.len()];
				let prompt = engine.tokenize(&format!("{}. {text}", place + 1))?;
				Ok(request(setting, prompt, length, (index as u64) << 32 | place as u64))
			})
			.collect::<Result<_>>()?;
		ensure!(
			requests.iter().all(|request| request.prompt.len() <= MAX_PROMPT),
			"a text has more than {MAX_PROMPT} tokens"
		);
		let asked: Vec<GenerateRequest> = requests.iter().map(|request| does(host, request)).collect();
		let mut shown = Vec::new();
		for batch in asked.chunks(host.batch) {
			shown.extend(generate(engine, batch)?);
		}
		let mut claims: Vec<Claim> = requests
			.into_iter()
			.zip(shown)
			.map(|(request, (output, fingerprints))| Claim { request, output, fingerprints, end: FinishReason::Length })
			.collect();
		if host.cheat == Some(Cheat::End) {
			let eos = *engine.info().eos.first().context("the model has no token that ends an answer")?;
			claims = claims.into_iter().enumerate().flat_map(|(place, claim)| claim.cut(place + number, eos)).collect();
		}
		let mut answers: Vec<Answer> = claims.iter().map(|_| Vec::new()).collect();
		let mut truth: Vec<Vec<Fingerprint>> = Vec::new();
		for checker in host.checkers {
			let engine = self.get(*checker, None, length)?;
			for (at, claim) in claims.iter().enumerate() {
				let result = claim.check(engine)?;
				if *checker == F32 {
					truth.push(result.tokens.iter().map(|token| token.fingerprint).collect());
				}
				answers[at].push(claim.look(&result, &truth[at]));
			}
		}
		Ok(answers)
	}
}

/// What the host does, asked this.
fn does(host: &Host, request: &GenerateRequest) -> GenerateRequest {
	let mut request = request.clone();
	match host.cheat {
		Some(Cheat::Tape) => request.key.reverse(),
		Some(Cheat::Temperature) => request.temperature *= 0.7,
		_ => {},
	}
	request
}

/// An answer as its host shows it.
struct Claim {
	request: GenerateRequest,
	output: Vec<u32>,
	fingerprints: Vec<Fingerprint>,
	end: FinishReason,
}

impl Claim {
	/// The same, ended early in two ways: it just stops there, and the model is said to have ended it.
	fn cut(mut self, place: usize, eos: u32) -> [Self; 2] {
		// Somewhere, before the model ended it itself.
		let own = self.output.iter().position(|id| *id == eos).unwrap_or(self.output.len());
		let length = 1 + place * 37 % own.saturating_sub(1).max(1);
		self.output.truncate(length);
		self.fingerprints.truncate(length);
		self.request.ignore_eos = false;
		let request = self.request.clone();
		let (mut output, mut fingerprints) = (self.output.clone(), self.fingerprints.clone());
		output.push(eos);
		// It has read its own answer, so it has that one, too.
		fingerprints.push([0; 16]);
		[self, Self { request, output, fingerprints, end: FinishReason::Stop }]
	}

	fn check(&self, engine: &TorchEngine) -> Result<CheckResult> {
		let (request, output) = (self.request.clone(), self.output.clone());
		Ok(engine.check(CheckRequest { request, output, finish_reason: self.end })?.blocking_recv()??)
	}

	fn look(&self, result: &CheckResult, truth: &[Fingerprint]) -> Look {
		let shown = self.fingerprints.iter().zip(truth);
		let found = result.tokens.iter().zip(shown).map(|(token, (shown, truth))| Found {
			margin: token.margin,
			distance: distance(&token.fingerprint, shown),
			prefilled: distance(&token.fingerprint, truth),
		});
		Look { ends_rightly: result.ends_rightly, tokens: found.collect() }
	}
}

/// Answers all requests at the same time: tokens and their fingerprints.
fn generate(engine: &TorchEngine, requests: &[GenerateRequest]) -> Result<Vec<(Vec<u32>, Vec<Fingerprint>)>> {
	let running = requests.iter().map(|request| engine.generate(request.clone()));
	let mut answers = Vec::new();
	for mut events in running.collect::<Result<Vec<_>, _>>()? {
		let (mut output, mut fingerprints) = (Vec::new(), Vec::new());
		loop {
			match events.blocking_recv().context("the engine has stopped")? {
				TokenEvent::Token { id, fingerprint, .. } => {
					output.push(id);
					fingerprints.push(fingerprint);
				},
				TokenEvent::Done { .. } => break,
				TokenEvent::Error { message } => anyhow::bail!("the engine: {message}"),
			}
		}
		answers.push((output, fingerprints));
	}
	Ok(answers)
}
