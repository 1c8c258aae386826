//! Vectors of the rule from logits to a token, by which implementations in other languages are tested: noise, weights, penalties,
//! chosen tokens, margins, fingerprints.
//!
//! The test compares `vllm/tests/vectors.json` with this crate. `UPDATE_VECTORS=1` writes the file.

use std::{fs, path::PathBuf};

use gonka_engine::{GenerateRequest, Sampler};
use gonka_primitives::{
	Hash,
	fingerprint::projection,
	sampler::{MAX_LOGIT, SamplingParams},
	tape::{REACH, TapeRow, gumbel, seed_key, weight},
};
use serde_json::{Value, json};

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
		self.0 >> 33
	}

	/// A number from `0` to below `end`.
	fn below(&mut self, end: u64) -> u64 {
		self.next() % end
	}

	fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
		all[self.below(all.len() as u64) as usize]
	}
}

fn hex(key: &Hash) -> String {
	key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(sampling: &SamplingParams) -> Value {
	let SamplingParams { temperature, top_k, top_p, min_p, repetition, presence, frequency } = *sampling;
	json!([temperature, top_k, top_p, min_p, repetition, presence, frequency])
}

fn gumbels(numbers: &mut Numbers) -> Value {
	let mut uniforms: Vec<u32> = (0..=512).map(|i: u64| (i << 23).min(u32::MAX.into()) as u32).collect();
	uniforms.extend((0..32).flat_map(|bit| [(1u32 << bit) - 1, 1 << bit, (1 << bit) + 1]));
	uniforms.extend((0..400).map(|_| (numbers.next() << 1 | numbers.below(2)) as u32));
	uniforms.iter().map(|&uniform| json!([uniform, gumbel(uniform)])).collect()
}

fn weights(numbers: &mut Numbers) -> Value {
	let mut deficits = vec![0, 1, REACH - 1, REACH, REACH + 1, u32::MAX];
	deficits.extend((0..400).map(|_| numbers.below((REACH + 1_000).into()) as u32));
	deficits.iter().map(|&deficit| json!([deficit, weight(deficit)])).collect()
}

fn noises() -> Value {
	let row = |(seed, position)| {
		let (key, tokens) = (seed_key(seed), 0..77u32);
		let row = TapeRow::new(&key, position);
		let noise: Vec<i32> = tokens.map(|token| row.noise(token)).collect();
		json!({ "key": hex(&key), "position": position, "noise": noise })
	};
	[(0, 0), (1, 7), (2, 70_000), (3, u32::MAX)].into_iter().map(row).collect()
}

fn penalties(numbers: &mut Numbers) -> Value {
	let row = |_| {
		let sampling = SamplingParams {
			repetition: numbers.one_of(&[0, 1, 800, 1000, 1100, 3000, u32::MAX]),
			presence: numbers.one_of(&[0, 500, -500, 2000, i32::MIN]),
			frequency: numbers.one_of(&[0, 1, 300, -1500, i32::MAX]),
			..Default::default()
		};
		let logits: Vec<i32> = (0..12).map(|_| numbers.below(4000) as i32 - 2000).collect();
		// Each token at most once, and one outside the vocabulary.
		let seen: Vec<(u32, u32)> =
			[0, 3, 4, 11, 40].into_iter().map(|id| (id, numbers.one_of(&[0, 1, 2, 9]))).collect();
		let mut penalised = logits.clone();
		sampling.penalise(&mut penalised, seen.clone());
		json!({ "sampling": list(&sampling), "logits": logits, "seen": seen, "penalised": penalised })
	};
	(0..40).map(row).collect()
}

fn any_sampling(numbers: &mut Numbers) -> SamplingParams {
	SamplingParams {
		temperature: numbers.one_of(&[0, 1, 200, 700, 1000, 1000, 1500, 100_000, 4_000_000_000]),
		top_k: numbers.one_of(&[0, 0, 0, 1, 2, 5, 20, 1000]),
		top_p: numbers.one_of(&[1_000_000, 1_000_000, 950_000, 500_000, 1, 0, 2_000_000]),
		min_p: numbers.one_of(&[0, 0, 0, 20_000, 500_000, 1_000_000]),
		..Default::default()
	}
}

/// Short rows, with the margins of all tokens.
fn choices(numbers: &mut Numbers) -> Value {
	let row = |index| {
		let (sampling, key) = (any_sampling(numbers), seed_key(index));
		let spread = numbers.one_of(&[3, 60, 300, 3000, 2_000_000]);
		let length = numbers.one_of(&[1, 2, 3, 30, 31]);
		let limit = i64::from(MAX_LOGIT);
		let logit = |numbers: &mut Numbers| (numbers.below(2 * spread) as i64 - spread as i64).clamp(-limit, limit);
		let logits: Vec<i32> = (0..length).map(|_| logit(numbers) as i32).collect();
		let position = numbers.below(1 << 20) as u32;
		let margins: Vec<u32> =
			(0..=length).map(|token| sampling.margin(&key, position, &logits, token as u32)).collect();
		json!({
			"sampling": list(&sampling), "key": hex(&key), "position": position, "logits": logits,
			"token": sampling.choose(&key, position, &logits), "margins": margins,
		})
	};
	(0..300).map(row).collect()
}

/// Rows as long as a real vocabulary. Their logits are the noise of another tape, shifted right.
fn long_choices(numbers: &mut Numbers) -> Value {
	let row = |index| {
		let (sampling, key, source) = (any_sampling(numbers), seed_key(index), seed_key(1000 + index));
		let (vocabulary, shift) = (numbers.one_of(&[5_000, 49_152, 50_257]), numbers.one_of(&[6, 8, 10, 12, 20]));
		let row = TapeRow::new(&source, 0);
		let logits: Vec<i32> = (0..vocabulary).map(|token| row.noise(token) >> shift).collect();
		let tokens: Vec<u32> = (0..4).map(|_| numbers.below(vocabulary.into()) as u32).collect();
		let margins: Vec<u32> =
			tokens.iter().map(|token| sampling.margin(&key, index as u32, &logits, *token)).collect();
		json!({
			"sampling": list(&sampling), "key": hex(&key), "position": index, "logits_key": hex(&source),
			"vocabulary": vocabulary, "shift": shift, "token": sampling.choose(&key, index as u32, &logits),
			"tokens": tokens, "margins": margins,
		})
	};
	(0..24).map(row).collect()
}

/// Hidden states are whole numbers, so that the order of sums makes no difference.
fn fingerprints(numbers: &mut Numbers) -> Value {
	let row = |index| {
		let key = seed_key(index);
		let hidden: Vec<i32> = (0..67).map(|_| if index == 0 { 0 } else { numbers.below(400) as i32 - 200 }).collect();
		let state: Vec<f32> = hidden.iter().map(|&number| number as f32).collect();
		let sampler = Sampler::new(&GenerateRequest { key, ..Default::default() }, state.len());
		json!({
			"key": hex(&key), "signs": projection(&key, state.len()), "hidden": hidden,
			"fingerprint": sampler.fingerprint(&state),
		})
	};
	(0..20).map(row).collect()
}

#[test]
fn the_vectors_for_other_languages_follow_from_the_rule() {
	let numbers = &mut Numbers(1);
	let parts = [
		("gumbel", gumbels(numbers)),
		("weight", weights(numbers)),
		("noise", noises()),
		("penalties", penalties(numbers)),
		("choices", choices(numbers)),
		("long_choices", long_choices(numbers)),
		("fingerprints", fingerprints(numbers)),
	];
	// One line a part.
	let lines: Vec<String> = parts.iter().map(|(name, part)| format!("\"{name}\": {part}")).collect();
	let text = format!("{{\n{}\n}}\n", lines.join(",\n"));
	let path = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("vllm/tests/vectors.json");
	if std::env::var_os("UPDATE_VECTORS").is_some() {
		fs::write(&path, &text).unwrap();
	}
	let written = fs::read_to_string(&path).unwrap_or_default();
	assert!(written == text, "{} differs: write it with UPDATE_VECTORS=1", path.display());
}
