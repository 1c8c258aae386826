//! Measures what tape, fingerprints and checks cost on this machine, and what checks find in honest and in dishonest
//! completions.
//!
//! `cargo run --release -p gonka-engine --example checks -- MODEL.gguf [threads]`

use std::{hint::black_box, sync::Arc};

use gonka_calibration::attack::Attack;
use gonka_engine::{
	Backend, CheckRequest, CheckResult, Engine, FinishReason, GenerateRequest, LocalConfig, LocalEngine, Precision,
	Sampler, TokenEvent,
};
use gonka_primitives::{
	fingerprint::{Fingerprint, distance},
	tape::{NAT, seed_key, tape_key},
};

/// Number of tokens of the completion whose check is timed.
const TIMED: usize = 256;
/// Number of tokens of the other completions.
const TOKENS: usize = 32;
/// Width of the demo model's hidden states.
const WIDTH: usize = 576;
const PROMPTS: [&str; 8] = [
	"Once upon a time there was",
	"The capital of France is",
	"def fibonacci(n):\n",
	"Water boils at a temperature of",
	"Dear Sir or Madam,",
	"The three laws of robotics are",
	"1 2 3 4 5",
	"To make a good soup, first",
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
	let mut args = std::env::args().skip(1);
	let mut config = LocalConfig::torch(args.next().ok_or("no model: give the path of a GGUF file")?);
	config.threads = args.next().map_or(Ok(1), |n| n.parse())?;
	config.slots = 8;
	let honest = LocalEngine::load(&config)?;
	println!(
		"{}, f32, {} thread(s), {TIMED} tokens in a timed completion, times are processor time",
		honest.info().name,
		config.threads
	);

	let (alone, shared) = time_completions(&honest)?;
	time_sampling(honest.info().vocab_size, alone, shared)?;
	time_checks(&honest, alone, shared)?;

	println!("\nCompletions of {TOKENS} tokens to {} prompts, checked by the honest engine", PROMPTS.len());
	println!("margins in nats; squared distances of fingerprints");
	report("honest, one at a time", &honest, &honest, 1, |_| ())?;
	report("honest, 8 at a time", &honest, &honest, 8, |_| ())?;
	report("honest, another tape claimed", &honest, &honest, 8, |request| request.key = tape_key(&[1; 32], &[1; 32]))?;
	report("honest, temperature 1 claimed", &honest, &honest, 8, |request| request.temperature = 1.0)?;
	let bf16 = LocalEngine::load(&LocalConfig { backend: Backend::Torch(Precision::Bf16), ..config.clone() })?;
	report("bfloat16", &bf16, &honest, 8, |_| ())?;
	drop(bf16);
	for attack in [Attack::Int8Weights, Attack::Int4Weights, Attack::Int4Cache] {
		let cheap = LocalEngine::load_altered(&config, Arc::new(attack))?;
		report(&format!("{attack:?}"), &cheap, &honest, 8, |_| ())?;
	}
	Ok(())
}

/// A completion as its host reports it.
struct Completion {
	request: GenerateRequest,
	output: Vec<u32>,
	fingerprints: Vec<Fingerprint>,
	finish_reason: FinishReason,
}

/// Generates completions for all requests, `batch` at a time.
fn completions(engine: &LocalEngine, requests: &[GenerateRequest], batch: usize) -> Result<Vec<Completion>> {
	let mut completions = Vec::new();
	for requests in requests.chunks(batch) {
		let running = requests.iter().map(|request| engine.generate(request.clone()));
		let running = running.collect::<std::result::Result<Vec<_>, _>>()?;
		for (request, mut events) in requests.iter().zip(running) {
			let (mut output, mut fingerprints) = (Vec::new(), Vec::new());
			let finish_reason = loop {
				match events.blocking_recv().ok_or("the engine has stopped")? {
					TokenEvent::Token { id, fingerprint, .. } => {
						output.push(id);
						fingerprints.push(fingerprint);
					},
					TokenEvent::Embedding { .. } => return Err("the model makes embeddings".into()),
					TokenEvent::Done { finish_reason, .. } => break finish_reason,
					TokenEvent::Error { message } => return Err(message.into()),
				}
			};
			completions.push(Completion { request: request.clone(), output, fingerprints, finish_reason });
		}
	}
	Ok(completions)
}

fn check(engine: &LocalEngine, completion: &Completion) -> Result<CheckResult> {
	let Completion { request, output, finish_reason, .. } = completion;
	let (request, output) = (request.clone(), output.clone());
	let check = CheckRequest { request, output, finish_reason: *finish_reason };
	Ok(engine.check(check)?.blocking_recv()??)
}

/// Returns the seconds of processor time that `work` takes in all threads, which does not depend on other programs on
/// the machine.
fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
	let used = || -> Result<f64> {
		let mut sum = 0.0;
		for task in std::fs::read_dir("/proc/self/task")? {
			let times = std::fs::read_to_string(task?.path().join("schedstat"))?;
			sum += times.split(' ').next().ok_or("no times")?.parse::<f64>()? / 1e9;
		}
		Ok(sum)
	};
	let before = used()?;
	work()?;
	Ok(used()? - before)
}

/// Returns the seconds that a token takes in a single completion, and its share in a batch of eight.
fn time_completions(engine: &LocalEngine) -> Result<(f64, f64)> {
	let prompt = engine.tokenizer().encode(PROMPTS[0]);
	let request = GenerateRequest { prompt, max_tokens: TIMED, ignore_eos: true, ..Default::default() };
	let time = |batch| -> Result<f64> {
		let seconds = seconds(|| completions(engine, &vec![request.clone(); batch], batch).map(drop))?;
		Ok(seconds / (batch * TIMED) as f64)
	};
	let (alone, shared) = (time(1)?, time(8)?);
	println!("a token: {:.2} ms alone, {:.2} ms as one of 8", alone * 1e3, shared * 1e3);
	Ok((alone, shared))
}

/// Times sampling on rows like those of a language model, and fingerprints.
fn time_sampling(vocabulary: usize, alone: f64, shared: f64) -> Result<()> {
	// Sums of a generator's bytes are nearly normal, with a deviation of three nats.
	let mut state = 1u64;
	let mut logit = || {
		state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
		let sum: f32 = state.to_le_bytes()[2..].iter().map(|&byte| f32::from(byte)).sum();
		(sum - 765.0) / 181.0 * 3.0
	};
	let row: Vec<f32> = (0..vocabulary).map(|_| logit()).collect();
	let hidden: Vec<f32> = (0..WIDTH).map(|_| logit()).collect();
	let print = |name: &str, seconds: f64| {
		let (alone, shared) = (100.0 * seconds / alone, 100.0 * seconds / shared);
		println!("  {name:<27} {:>6.1} µs, {alone:.3} % of a token alone, {shared:.3} % of one of 8", seconds * 1e6);
	};
	let time = |request: GenerateRequest, work: &dyn Fn(&mut Sampler, usize)| -> Result<f64> {
		const ROUNDS: usize = 5000;
		let mut sampler = Sampler::new(&request, WIDTH);
		work(&mut sampler, 0);
		Ok(seconds(|| {
			(0..ROUNDS).for_each(|position| work(&mut sampler, position));
			Ok(())
		})? / ROUNDS as f64)
	};
	let choose = |sampler: &mut Sampler, position| _ = black_box(sampler.choose(position, &row));

	println!("\nOne row of {vocabulary} logits");
	let greedy = time(GenerateRequest { temperature: 0.0, ..Default::default() }, &choose)?;
	let tape = time(GenerateRequest::default(), &choose)?;
	print("greedy", greedy);
	print("temperature 1", tape);
	print("of which the tape's noise", tape - greedy);
	let top_p = GenerateRequest { temperature: 0.7, top_p: 0.9, ..Default::default() };
	print("temperature 0.7, top-p 0.9", time(top_p, &choose)?);
	print("top-k 40, min-p 0.05", time(GenerateRequest { top_k: 40, min_p: 0.05, ..Default::default() }, &choose)?);
	let fingerprint = |sampler: &mut Sampler, _| _ = black_box(sampler.fingerprint(&hidden));
	print("a fingerprint", time(GenerateRequest::default(), &fingerprint)?);
	Ok(())
}

/// Times checks, with a short prompt and with a long one.
fn time_checks(engine: &LocalEngine, alone: f64, shared: f64) -> Result<()> {
	println!();
	let short = engine.tokenizer().encode(PROMPTS[0]);
	let long: Vec<u32> = short.iter().copied().cycle().take(TIMED).collect();
	for prompt in [short, long] {
		let length = prompt.len();
		let request = GenerateRequest { prompt, max_tokens: TIMED, ignore_eos: true, ..Default::default() };
		let mut completion = None;
		let generated = seconds(|| {
			completion = completions(engine, std::slice::from_ref(&request), 1)?.pop();
			Ok(())
		})?;
		let completion = completion.ok_or("no completion")?;
		let seconds = seconds(|| check(engine, &completion).map(drop))?;
		println!(
			"checking {TIMED} tokens after {length}: {:.0} ms = 1/{:.1} of generating them alone, 1/{:.1} of 8 at a time",
			seconds * 1e3,
			generated / seconds,
			generated / seconds * shared / alone,
		);
	}
	Ok(())
}

/// Prints what `checker` finds in completions of `host` when `change` alters the requests that the host claims.
fn report(
	name: &str,
	host: &LocalEngine,
	checker: &LocalEngine,
	batch: usize,
	change: impl Fn(&mut GenerateRequest),
) -> Result<()> {
	println!("\n{name}");
	for (sampling, request) in [
		("greedy", GenerateRequest { temperature: 0.0, ..Default::default() }),
		("temperature 1", GenerateRequest::default()),
		("temperature 0.7, top-p 0.9", GenerateRequest { temperature: 0.7, top_p: 0.9, ..Default::default() }),
	] {
		let requests: Vec<_> = PROMPTS
			.iter()
			.zip(0..)
			.map(|(prompt, seed)| {
				let (prompt, key) = (host.tokenizer().encode(prompt), seed_key(seed));
				Ok(GenerateRequest { prompt, max_tokens: TOKENS, key, ignore_eos: true, ..request.clone() })
			})
			.collect::<Result<_>>()?;
		let (mut margins, mut distances) = (Vec::new(), Vec::new());
		for mut completion in completions(host, &requests, batch)? {
			change(&mut completion.request);
			let check = check(checker, &completion)?;
			margins.extend(check.tokens.iter().map(|token| token.margin));
			let pairs = check.tokens.iter().zip(&completion.fingerprints);
			distances.extend(pairs.map(|(token, fingerprint)| distance(&token.fingerprint, fingerprint)));
		}
		distances.sort_unstable();
		let count = |from: f64, to: f64| {
			let units = |nats: f64| (nats * f64::from(NAT)) as u32;
			margins.iter().filter(|&&margin| margin > units(from) && margin <= units(to)).count()
		};
		let at = |share: f64| distances[((distances.len() - 1) as f64 * share) as usize];
		let mean = distances.iter().map(|&distance| f64::from(distance)).sum::<f64>() / distances.len() as f64;
		println!(
			"  {sampling:<27} 0: {:>3}  ..1/32: {:>2}  ..1/4: {:>3}  ..1: {:>3}  above: {:>3} | mean {mean:.1}, 1 %: {}, median {}, 99 %: {}, most {}",
			margins.iter().filter(|&&margin| margin == 0).count(),
			count(0.0, 1.0 / 32.0),
			count(1.0 / 32.0, 0.25),
			count(0.25, 1.0),
			count(1.0, 60_000.0),
			at(0.01),
			at(0.5),
			at(0.99),
			at(1.0),
		);
	}
	Ok(())
}
