//! What is measured: hosts that answer, honestly or not, and checkers that look.

use gonka_engine::{Attack, GenerateRequest, Precision};
use gonka_primitives::tape::seed_key;

/// Answers of a chunk: one of each setting.
pub const CHUNK: usize = SETTINGS.len();

/// How an engine computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
	/// Whether weights are held in bfloat16, and not in 32 bits.
	pub is_bf16: bool,
	/// Threads.
	pub threads: u8,
}

impl Machine {
	/// How weights are held.
	pub fn precision(self) -> Precision {
		if self.is_bf16 { Precision::Bf16 } else { Precision::F32 }
	}

	/// `f32, 1 thread`
	pub fn name(self) -> String {
		let precision = if self.is_bf16 { "bf16" } else { "f32" };
		format!("{precision}, {} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })
	}
}

/// The checker whose fingerprints a host shows that lets a cheap model write, and reads with the true one.
pub const F32: Machine = Machine { is_bf16: false, threads: 1 };
const BF16: Machine = Machine { is_bf16: true, threads: 1 };
const F32_TWO: Machine = Machine { is_bf16: false, threads: 2 };
const BF16_TWO: Machine = Machine { is_bf16: true, threads: 2 };

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
	/// It computes something cheaper.
	Weights(Attack),
	/// It samples with a tape of its own.
	Tape,
	/// It samples at 0.7 times the temperature.
	Temperature,
	/// It stops early, and says that the model ended there.
	End,
}

/// A host.
#[derive(Clone, Copy, Debug)]
pub struct Host {
	/// Names its files, and its tapes.
	pub name: &'static str,
	/// How it computes.
	pub machine: Machine,
	/// Answers that it generates at a time.
	pub batch: usize,
	/// What is wrong with it.
	pub cheat: Option<Cheat>,
	/// Of the chunks of its kind, honest or not, it has so many parts.
	pub share: usize,
	/// Who looks at its answers. [`F32`] is first.
	pub checkers: &'static [Machine],
}

impl Host {
	/// Its honest name in a report.
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

/// All hosts. Those with two threads or a batch of one take much longer: they have smaller parts.
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

/// A setting of a request: temperature, top-p, top-k.
type Setting = (f32, f32, usize);

/// What developers ask for.
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

/// A setting in words.
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

/// The request of a setting, for an answer of so many tokens.
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

/// So many chunks of hosts, honest ones or all others, in an order that has every host early: pairs of a host's index
/// and its chunk's number.
pub fn chunks(honest: bool, count: usize) -> Vec<(usize, usize)> {
	let chosen: Vec<(usize, &Host)> =
		HOSTS.iter().enumerate().filter(|(_, host)| host.cheat.is_none() == honest).collect();
	let mut done = [0usize; HOSTS.len()];
	let mut order = Vec::new();
	while order.len() < count {
		// Who has the least of its part is next.
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
	fn every_host_has_its_part_from_early_on() {
		let order = chunks(true, 88);
		for (index, host) in HOSTS.iter().enumerate() {
			let of = order.iter().filter(|(other, _)| *other == index).count();
			assert_eq!(of, if host.cheat.is_none() { 2 * host.share } else { 0 }, "{}", host.name);
		}
		assert!(order[..6].iter().all(|(_, chunk)| *chunk == 0), "{order:?}");
		assert_eq!(chunks(false, 14).iter().filter(|(_, chunk)| *chunk == 1).count(), 7);
	}

	#[test]
	fn a_checker_in_32_bits_is_first_everywhere() {
		assert!(HOSTS.iter().all(|host| host.checkers.first() == Some(&F32)));
	}
}
