//! The plan of the measurements: honest and dishonest hosts, checkers, and the settings of requests.

use crate::attack::Attack;
use clap::ValueEnum;
use gonka_engine::{Backend, CachePrecision, GenerateRequest, LlamaOptions, Precision, WeightFormat};
use gonka_primitives::tape::seed_key;

/// Number of completions in a chunk: one of each setting.
pub const CHUNK: usize = SETTINGS.len();

/// The engine of the hosts to which a profile applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
	/// llama.cpp: its hosts agree in every bit.
	Llama,
	/// libtorch: its hosts differ in the last bits, and by the precision of the weights.
	Torch,
}

impl EngineKind {
	/// Returns the share of a cheat's tokens that count as wrong. A cheat that is wrong less often gathers evidence for itself.
	/// Where honest hosts differ, a smaller share would leave little evidence.
	pub fn dilution(self) -> f64 {
		match self {
			Self::Llama => 1.0 / 256.0,
			Self::Torch => 1.0 / 16.0,
		}
	}
}

/// Arithmetic of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arithmetic {
	/// libtorch with weights in 32 bits.
	F32,
	/// libtorch with weights in bfloat16.
	Bf16,
	/// llama.cpp, by the formats of the file.
	Llama,
	/// llama.cpp, with keys and values in 8 bits.
	LlamaCache8,
}

/// Configuration in which an engine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
	/// The arithmetic.
	pub arithmetic: Arithmetic,
	/// Number of threads.
	pub threads: u8,
}

impl Machine {
	/// Returns the engine's backend.
	pub fn backend(self) -> Backend {
		match self.arithmetic {
			Arithmetic::F32 => Backend::Torch(Precision::F32),
			Arithmetic::Bf16 => Backend::Torch(Precision::Bf16),
			Arithmetic::Llama => Backend::Llama(LlamaOptions::default()),
			Arithmetic::LlamaCache8 => {
				Backend::Llama(LlamaOptions { cache: CachePrecision::Q8_0, ..LlamaOptions::default() })
			},
		}
	}

	/// Returns a name such as `f32, 1 thread`.
	pub fn name(self) -> String {
		let arithmetic = match self.arithmetic {
			Arithmetic::F32 => "f32",
			Arithmetic::Bf16 => "bf16",
			Arithmetic::Llama => "llama.cpp",
			Arithmetic::LlamaCache8 => "llama.cpp, cache in 8 bits",
		};
		format!("{arithmetic}, {} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
	}
}

const fn machine(arithmetic: Arithmetic, threads: u8) -> Machine {
	Machine { arithmetic, threads }
}

const F32: Machine = machine(Arithmetic::F32, 1);
const BF16: Machine = machine(Arithmetic::Bf16, 1);
const F32_TWO: Machine = machine(Arithmetic::F32, 2);
const BF16_TWO: Machine = machine(Arithmetic::Bf16, 2);
const LLAMA: Machine = machine(Arithmetic::Llama, 1);
const LLAMA_TWO: Machine = machine(Arithmetic::Llama, 2);

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
	/// Computes something cheaper than the model.
	Weights(Attack),
	/// Computes a file with weights in another format.
	Format(WeightFormat),
	/// Computes the file with another arithmetic than hosts of the class have.
	Arithmetic,
	/// Samples with a tape of its own.
	Tape,
	/// Samples at 0.7 times the requested temperature.
	Temperature,
	/// Stops early, and claims that the model ended the completion.
	End,
}

/// A host whose completions are measured.
#[derive(Clone, Copy, Debug)]
pub struct Host {
	/// Name, used for its files.
	pub name: &'static str,
	/// Machine on which it computes.
	pub machine: Machine,
	/// Number of completions that it generates at a time.
	pub batch: usize,
	/// Number of times that its prompts repeat a text.
	pub repeats: usize,
	/// How it cheats; `None` if it is honest.
	pub cheat: Option<Cheat>,
	/// Relative number of its chunks among those of honest, or of dishonest, hosts.
	pub share: usize,
	/// Checkers that audit its completions. The first one supplies the true model's fingerprints, for hosts that generate
	/// with a cheap model and read with the true one.
	pub checkers: &'static [Machine],
}

impl Host {
	/// Returns the name of an honest host in a report.
	pub fn title(&self) -> String {
		let prompts = if self.repeats > 1 { ", long prompts" } else { "" };
		format!("{}, batch {}{prompts}", self.machine.name(), self.batch)
	}

	/// Returns whether its completions make a profile for this engine.
	fn is_of(&self, engine: EngineKind) -> bool {
		let class = match self.checkers[0].arithmetic {
			Arithmetic::F32 | Arithmetic::Bf16 => EngineKind::Torch,
			Arithmetic::Llama | Arithmetic::LlamaCache8 => EngineKind::Llama,
		};
		class == engine
	}
}

const fn honest(
	name: &'static str,
	machine: Machine,
	batch: usize,
	share: usize,
	checkers: &'static [Machine],
) -> Host {
	Host { name, machine, batch, repeats: 1, cheat: None, share, checkers }
}

const fn cheat(name: &'static str, machine: Machine, cheat: Cheat) -> Host {
	let checkers: &[Machine] = match machine.arithmetic {
		Arithmetic::F32 | Arithmetic::Bf16 => &[F32, BF16],
		Arithmetic::Llama | Arithmetic::LlamaCache8 => &[LLAMA],
	};
	Host { name, machine, batch: 8, repeats: 1, cheat: Some(cheat), share: 1, checkers }
}

/// A host whose completions llama.cpp's hosts audit, although it computes with libtorch.
const fn strange(name: &'static str, how: Cheat) -> Host {
	Host { checkers: &[LLAMA], ..cheat(name, F32, how) }
}

/// All hosts. Those with two threads or a batch of one take much longer, so they have smaller shares.
pub const HOSTS: [Host; 27] = [
	honest("f32-batch8", F32, 8, 20, &[F32, BF16]),
	honest("bf16-batch8", BF16, 8, 20, &[F32, BF16]),
	honest("f32-batch1", F32, 1, 1, &[F32, BF16]),
	honest("bf16-batch1", BF16, 1, 1, &[F32, BF16]),
	honest("f32-batch8-threads2", F32_TWO, 8, 1, &[F32, BF16, F32_TWO]),
	honest("bf16-batch8-threads2", BF16_TWO, 8, 1, &[F32, BF16, BF16_TWO]),
	cheat("int8", F32, Cheat::Weights(Attack::Int8Weights)),
	cheat("int4", F32, Cheat::Weights(Attack::Int4Weights)),
	cheat("int4-cache", F32, Cheat::Weights(Attack::Int4Cache)),
	cheat("half-the-layers", F32, Cheat::Weights(Attack::HalfTheLayers)),
	cheat("own-tape", F32, Cheat::Tape),
	cheat("own-temperature", F32, Cheat::Temperature),
	cheat("early-end", F32, Cheat::End),
	honest("llama-batch8", LLAMA, 8, 20, &[LLAMA]),
	honest("llama-batch1", LLAMA, 1, 1, &[LLAMA]),
	honest("llama-batch8-threads2", LLAMA_TWO, 8, 1, &[LLAMA, LLAMA_TWO]),
	Host { repeats: 20, ..honest("llama-long", LLAMA, 8, 2, &[LLAMA]) },
	cheat("llama-q8_0", LLAMA, Cheat::Format(WeightFormat::Q8_0)),
	cheat("llama-q4_0", LLAMA, Cheat::Format(WeightFormat::Q4_0)),
	cheat("llama-cache8", machine(Arithmetic::LlamaCache8, 1), Cheat::Arithmetic),
	strange("llama-by-torch", Cheat::Arithmetic),
	strange("llama-int8", Cheat::Weights(Attack::Int8Weights)),
	strange("llama-int4-cache", Cheat::Weights(Attack::Int4Cache)),
	strange("llama-half-the-layers", Cheat::Weights(Attack::HalfTheLayers)),
	cheat("llama-own-tape", LLAMA, Cheat::Tape),
	cheat("llama-own-temperature", LLAMA, Cheat::Temperature),
	cheat("llama-early-end", LLAMA, Cheat::End),
];

/// Setting of a request: temperature, top-p, top-k.
type Setting = (f32, f32, usize);

/// Settings that developers use.
pub const SETTINGS: [Setting; 8] = [
	(0.0, 1.0, 0),
	(1.0, 1.0, 0),
	(0.7, 0.9, 0),
	(1.0, 1.0, 40),
	(0.3, 1.0, 0),
	(1.0, 0.95, 0),
	(1.5, 0.9, 40),
	(0.7, 1.0, 0),
];

/// Returns a setting in words.
pub fn setting_name(setting: usize) -> String {
	let (temperature, top_p, top_k) = SETTINGS[setting % CHUNK];
	let mut name = format!("temperature {temperature}");
	if top_p < 1.0 {
		name += &format!(", top-p {top_p}");
	}
	if top_k > 0 {
		name += &format!(", top-k {top_k}");
	}
	name
}

/// Returns the request of a setting, for a completion of `length` tokens.
pub fn request(setting: usize, prompt: Vec<u32>, length: usize, seed: u64) -> GenerateRequest {
	let (temperature, top_p, top_k) = SETTINGS[setting % CHUNK];
	GenerateRequest {
		prompt,
		max_tokens: length,
		temperature,
		top_p,
		top_k,
		key: seed_key(seed),
		ignore_eos: true,
		..Default::default()
	}
}

/// Returns the first `count` chunks of the honest, or of all dishonest, hosts with this engine, as pairs of a host's index and
/// its chunk's number. Every host has a chunk early in the order.
pub fn chunks(engine: EngineKind, honest: bool, count: usize) -> Vec<(usize, usize)> {
	let is_chosen = |host: &Host| host.is_of(engine) && host.cheat.is_none() == honest;
	let chosen: Vec<(usize, &Host)> = HOSTS.iter().enumerate().filter(|(_, host)| is_chosen(host)).collect();
	let mut done = [0usize; HOSTS.len()];
	let mut order = Vec::new();
	while order.len() < count {
		// Next is the host that is farthest behind its share.
		let next = chosen.iter().min_by(|(a, left), (b, right)| {
			let progress = |index: usize, host: &Host| done[index] * 1000 / host.share;
			progress(*a, left).cmp(&progress(*b, right)).then(a.cmp(b))
		});
		let Some((index, _)) = next else { break };
		order.push((*index, done[*index]));
		done[*index] += 1;
	}
	order
}

/// Returns the number of kinds of cheats of this engine's hosts.
pub fn cheats(engine: EngineKind) -> usize {
	HOSTS.iter().filter(|host| host.is_of(engine) && host.cheat.is_some()).count()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_host_has_its_share_from_early_on() {
		for engine in [EngineKind::Llama, EngineKind::Torch] {
			let all =
				|honest: bool| HOSTS.iter().filter(move |host| host.is_of(engine) && host.cheat.is_none() == honest);
			let shares: usize = all(true).map(|host| host.share).sum();
			let order = chunks(engine, true, 2 * shares);
			for (index, host) in HOSTS.iter().enumerate() {
				let of = order.iter().filter(|(other, _)| *other == index).count();
				let is_due = host.cheat.is_none() && host.is_of(engine);
				assert_eq!(of, if is_due { 2 * host.share } else { 0 }, "{}", host.name);
			}
			assert!(order[..all(true).count()].iter().all(|(_, chunk)| *chunk == 0), "{order:?}");
			let twice = chunks(engine, false, 2 * cheats(engine));
			assert_eq!(twice.iter().filter(|(_, chunk)| *chunk == 1).count(), all(false).count());
		}
	}

	#[test]
	fn names_are_unique() {
		let names: std::collections::BTreeSet<&str> = HOSTS.iter().map(|host| host.name).collect();
		assert_eq!(names.len(), HOSTS.len());
	}
}
