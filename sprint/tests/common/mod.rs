//! Seeds, inputs, and statistics of outputs and activations, for tests and the report.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::expect_used, reason = "the inputs are made for the format")]

use gonka_sprint::{Activations, LeafId, Model, ModelSeed, Output, SegmentSeed, SprintFormat};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The seeds of the tests: seed1 and seed2 from constant bytes.
pub fn seeds(format: SprintFormat) -> (ModelSeed, SegmentSeed) {
	let seed = ModelSeed::derive(&[1; 32], 7, format, &[2; 32]);
	(seed, seed.segment(3, &[3; 32]))
}

/// Leaf `index` of lane 5 of the tests' host.
pub fn leaf_id(index: u64) -> LeafId {
	LeafId { host: [4; 32], epoch: 7, segment: 3, lane: 5, index }
}

/// The inputs of leaves `from..from + count`.
pub fn inputs(format: SprintFormat, from: u64, count: u64) -> Vec<Vec<u16>> {
	let (_, segment) = seeds(format);
	(from..from + count).map(|index| leaf_id(index).tokens(&segment, format)).collect()
}

/// Statistics that show whether outputs collapse. Outputs are added one at a time.
#[derive(Default)]
pub struct Collapse {
	pub leaves: u64,
	pub equal: u64,
	pub saturated: u64,
	pub coordinates: u64,
	seen: HashSet<u64>,
	pairs: Vec<HashMap<(i8, i8), u32>>,
	unit_sum: Vec<f64>,
	previous: Vec<Vec<f64>>,
	cosines: (f64, f64, f64, u64),
	by_last_token: BTreeMap<u16, (Vec<f64>, u64)>,
}

impl Collapse {
	pub fn add(&mut self, tokens: &[u16], output: &Output) {
		use std::hash::{DefaultHasher, Hash, Hasher};
		// A 64-bit hash: among 10⁶ different outputs two collide once in 3·10⁷ runs.
		let mut hasher = DefaultHasher::new();
		output.hash(&mut hasher);
		self.leaves += 1;
		self.equal += u64::from(!self.seen.insert(hasher.finish()));
		self.saturated += output.iter().filter(|x| x.abs() == 31).count() as u64;
		self.coordinates += output.len() as u64;

		self.pairs.resize(output.len() / 2, HashMap::new());
		for (pair, cells) in output.chunks_exact(2).zip(&mut self.pairs) {
			*cells.entry((pair[0], pair[1])).or_default() += 1;
		}

		let norm = output.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
		let unit: Vec<f64> = output.iter().map(|x| f64::from(*x) / norm).collect();
		self.unit_sum.resize(unit.len(), 0.0);
		add(&mut self.unit_sum, &unit);
		for other in &self.previous {
			let cosine = dot(&unit, other);
			let (sum, absolute, largest, count) = &mut self.cosines;
			*sum += cosine;
			*absolute += cosine.abs();
			*largest = largest.max(cosine);
			*count += 1;
		}
		let last = tokens.last().copied().unwrap_or(0);
		let (sum, count) = self.by_last_token.entry(last).or_insert_with(|| (vec![0.0; unit.len()], 0));
		add(sum, &unit);
		*count += 1;
		if self.previous.len() == 8 {
			self.previous.remove(0);
		}
		self.previous.push(unit);
	}

	/// Mean cosine over all pairs of leaves.
	pub fn mean_cosine(&self) -> f64 {
		pairwise(&self.unit_sum, self.leaves)
	}

	/// Mean absolute and largest cosine, over each leaf and the 8 before it.
	pub fn absolute_and_largest_cosine(&self) -> (f64, f64) {
		(self.cosines.1 / self.cosines.3 as f64, self.cosines.2)
	}

	/// Mean cosine over all pairs of leaves with one last token, where there are at least 2.
	pub fn mean_cosine_of_one_last_token(&self) -> f64 {
		let groups = self.by_last_token.values().filter(|(_, count)| *count > 1);
		let (weighted, pairs) = groups.fold((0.0, 0.0), |(sum, pairs), (unit_sum, count)| {
			let n = (count * (count - 1)) as f64;
			(sum + n * pairwise(unit_sum, *count), pairs + n)
		});
		weighted / pairs
	}

	/// Smallest and mean entropy, in bits, of the coordinate pairs (2i, 2i+1).
	pub fn pair_entropy(&self) -> (f64, f64) {
		let entropies = self.pairs.iter().map(|cells| {
			let shares = cells.values().map(|count| f64::from(*count) / self.leaves as f64);
			-shares.map(|share| share * share.log2()).sum::<f64>()
		});
		let (min, sum) = entropies.fold((f64::MAX, 0.0), |(min, sum), e| (min.min(e), sum + e));
		(min, sum / self.pairs.len() as f64)
	}

	pub fn saturation(&self) -> f64 {
		self.saturated as f64 / self.coordinates as f64
	}

	pub fn print(&self) {
		let (absolute, largest) = self.absolute_and_largest_cosine();
		let (min, mean) = self.pair_entropy();
		println!("leaves                         {}", self.leaves);
		println!("equal to an earlier one        {}", self.equal);
		println!("mean cosine, all pairs         {:.4}", self.mean_cosine());
		println!("mean |cosine|, neighbours      {absolute:.4}");
		println!("largest cosine, neighbours     {largest:.4}");
		if (self.by_last_token.len() as u64) < self.leaves {
			println!("mean cosine, same last token   {:.4}", self.mean_cosine_of_one_last_token());
		}
		println!("entropy of a coordinate pair   minimum {min:.2}, mean {mean:.2} bits");
		println!("output coordinates at ±31      {:.2} %", 100.0 * self.saturation());
	}
}

/// Deviation and saturation of each activation, over layers and inputs.
#[derive(Default)]
pub struct Spread(BTreeMap<&'static str, (f64, u64, u64)>);

impl Spread {
	pub fn add(&mut self, a: &Activations) {
		for (name, values) in [
			("attention_input", &a.attention_input),
			("q", &a.q),
			("k", &a.k),
			("v", &a.v),
			("attended", &a.attended),
			("ffn_input", &a.ffn_input),
			("gate", &a.gate),
			("up", &a.up),
			("hidden", &a.hidden),
		] {
			let (squares, saturated, count) = self.0.entry(name).or_default();
			*squares += values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
			*saturated += values.iter().filter(|x| x.abs() == 31).count() as u64;
			*count += values.len() as u64;
		}
	}

	/// `(name, deviation, share at ±31)`.
	pub fn rows(&self) -> impl Iterator<Item = (&'static str, f64, f64)> {
		self.0.iter().map(|(name, (squares, saturated, count))| {
			let count = *count as f64;
			(*name, (squares / count).sqrt(), *saturated as f64 / count)
		})
	}

	/// Share at ±31 over all requantised activations.
	pub fn saturation(&self) -> f64 {
		let requantised = self.0.iter().filter(|(name, _)| !name.ends_with("input"));
		let (saturated, count) =
			requantised.fold((0, 0), |(s, n), (_, (_, saturated, count))| (s + saturated, n + count));
		saturated as f64 / count as f64
	}

	pub fn print(&self) {
		for (name, deviation, saturated) in self.rows() {
			println!("{name:16} deviation {deviation:5.2}   at ±31 {:5.2} %", 100.0 * saturated);
		}
		println!("requantised activations at ±31 {:.2} %", 100.0 * self.saturation());
	}
}

/// Runs `inputs` on two threads and adds the outputs to the statistics.
pub fn measure(collapse: &mut Collapse, model: &Model, inputs: &[Vec<u16>]) {
	for batch in inputs.chunks(4096) {
		let outputs = model.forward_batch(batch, 2).expect("inputs fit the format");
		for (tokens, output) in batch.iter().zip(&outputs) {
			collapse.add(tokens, output);
		}
	}
}

fn add(sum: &mut [f64], x: &[f64]) {
	for (sum, x) in sum.iter_mut().zip(x) {
		*sum += x;
	}
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
	a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Mean cosine over the pairs of `count` unit vectors with this sum.
fn pairwise(unit_sum: &[f64], count: u64) -> f64 {
	(dot(unit_sum, unit_sum) - count as f64) / (count * (count - 1)) as f64
}
