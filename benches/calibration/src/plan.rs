//! The plan of the measurements: honest and dishonest hosts, checkers, and the settings of requests.

use crate::attack::Attack;
use gonka_engine::{GenerateRequest, Precision};
use gonka_primitives::tape::seed_key;

/// Number of completions in a chunk: one of each setting.
pub const CHUNK: usize = SETTINGS.len();

/// Configuration in which an engine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
	/// Whether weights are held in bfloat16 instead of 32 bits.
	pub is_bf16: bool,
	/// Number of threads.
	pub threads: u8,
}

impl Machine {
	/// Returns the precision of the weights.
	pub fn precision(self) -> Precision {
		if self.is_bf16 { Precision::Bf16 } else { Precision::F32 }
	}

	/// Returns a name such as `f32, 1 thread`.
	pub fn name(self) -> String {
		let precision = if self.is_bf16 { "bf16" } else { "f32" };
		format!("{precision}, {} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
	}
}

/// The checker that also supplies the true model's fingerprints, for hosts that generate with a cheap model and read
/// with the true one.
pub const F32: Machine = Machine { is_bf16: false, threads: 1 };
const BF16: Machine = Machine { is_bf16: true, threads: 1 };
const F32_TWO: Machine = Machine { is_bf16: false, threads: 2 };
const BF16_TWO: Machine = Machine { is_bf16: true, threads: 2 };

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
	/// Computes something cheaper than the model.
	Weights(Attack),
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
	/// How it cheats; `None` if it is honest.
	pub cheat: Option<Cheat>,
	/// Relative number of its chunks among those of honest, or of dishonest, hosts.
	pub share: usize,
	/// Checkers that audit its completions. [`F32`] is first.
	pub checkers: &'static [Machine],
}

impl Host {
	/// Returns the name of an honest host in a report.
	pub fn title(&self) -> String {
		format!("{}, batch {}", self.machine.name(), self.batch)
	}
}

const BOTH: &[Machine] = &[F32, BF16];

const fn honest(name: &'static str, machine: Machine, batch: usize, share: usize) -> Host {
	let checkers = match (machine.is_bf16, machine.threads) {
		(_, 1) => BOTH,
		(false, _) => &[F32, BF16, F32_TWO],
		(true, _) => &[F32, BF16, BF16_TWO],
	};
	Host { name, machine, batch, cheat: None, share, checkers }
}

const fn cheat(name: &'static str, cheat: Cheat) -> Host {
	Host { name, machine: F32, batch: 8, cheat: Some(cheat), share: 1, checkers: BOTH }
}

/// All hosts. Those with two threads or a batch of one take much longer, so they have smaller shares.
pub const HOSTS: [Host; 13] = [
	honest("f32-batch8", F32, 8, 20),
	honest("bf16-batch8", BF16, 8, 20),
	honest("f32-batch1", F32, 1, 1),
	honest("bf16-batch1", BF16, 1, 1),
	honest("f32-batch8-threads2", F32_TWO, 8, 1),
	honest("bf16-batch8-threads2", BF16_TWO, 8, 1),
	cheat("int8", Cheat::Weights(Attack::Int8Weights)),
	cheat("int4", Cheat::Weights(Attack::Int4Weights)),
	cheat("int4-cache", Cheat::Weights(Attack::Int4Cache)),
	cheat("half-the-layers", Cheat::Weights(Attack::HalfTheLayers)),
	cheat("own-tape", Cheat::Tape),
	cheat("own-temperature", Cheat::Temperature),
	cheat("early-end", Cheat::End),
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

/// Returns the first `count` chunks of the honest, or of all dishonest, hosts, as pairs of a host's index and its
/// chunk's number. Every host has a chunk early in the order.
pub fn chunks(honest: bool, count: usize) -> Vec<(usize, usize)> {
	let chosen: Vec<(usize, &Host)> =
		HOSTS.iter().enumerate().filter(|(_, host)| host.cheat.is_none() == honest).collect();
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

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_host_has_its_share_from_early_on() {
		let order = chunks(true, 88);
		for (index, host) in HOSTS.iter().enumerate() {
			let of = order.iter().filter(|(other, _)| *other == index).count();
			assert_eq!(of, if host.cheat.is_none() { 2 * host.share } else { 0 }, "{}", host.name);
		}
		assert!(order[..6].iter().all(|(_, chunk)| *chunk == 0), "{order:?}");
		assert_eq!(chunks(false, 14).iter().filter(|(_, chunk)| *chunk == 1).count(), 7);
	}

	#[test]
	fn the_first_checker_of_every_host_computes_in_32_bits() {
		assert!(HOSTS.iter().all(|host| host.checkers.first() == Some(&F32)));
	}
}
