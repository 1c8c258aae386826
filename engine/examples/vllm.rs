//! Compares vLLM with this project's plug-in with the torch engine, on the same weights in 32 bits.
//!
//! `cargo run -p gonka-engine --example vllm -- checks MODEL.gguf URL` generates completions with one engine and checks
//! them with both. `… -- speed NAME URL` measures a server with or without the plug-in. `scripts/vllm` starts the servers.

#[path = "common/completions.rs"]
mod completions;

use std::time::{Duration, Instant};

use completions::{Generated, collect};
use gonka_engine::{CheckRequest, Engine, GenerateRequest, LocalConfig, LocalEngine, UpstreamConfig, UpstreamEngine};
use gonka_primitives::{
	fingerprint::distance,
	tape::{NAT, seed_key},
};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Number of tokens of a completion.
const TOKENS: usize = 48;
const PROMPTS: [&str; 8] = [
	"Once upon a time there was",
	"The capital of France is",
	"def fibonacci(n):\n",
	"Water boils at a temperature of",
	"Hello neighbour, thank you for",
	"1, 1, 2, 3, 5, 8,",
	"Three things to see in Zürich:",
	"The fox and the hen agreed that",
];

fn main() -> Result<()> {
	let args: Vec<String> = std::env::args().skip(1).collect();
	match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
		["checks", model, url] => checks(model, url),
		["speed", name, url] => speed(name, url),
		_ => Err("vllm checks MODEL.gguf URL, or vllm speed NAME URL".into()),
	}
}

fn connect(url: &str) -> Result<UpstreamEngine> {
	// A slow, busy machine.
	let patient = Duration::from_secs(600);
	let config = UpstreamConfig {
		first_token: patient,
		between_tokens: patient,
		vocab_size: Some(49_152),
		..UpstreamConfig::new(url)
	};
	Ok(UpstreamEngine::connect(config)?)
}

/// Returns the sampling parameters to try, with names.
fn settings() -> [(&'static str, GenerateRequest); 8] {
	let plain = GenerateRequest { max_tokens: TOKENS, ignore_eos: true, ..Default::default() };
	[
		("temperature 1", plain.clone()),
		("greedy", GenerateRequest { temperature: 0.0, ..plain.clone() }),
		("temperature 1.5", GenerateRequest { temperature: 1.5, ..plain.clone() }),
		("0.7, top-p 0.95", GenerateRequest { temperature: 0.7, top_p: 0.95, ..plain.clone() }),
		("top-k 20", GenerateRequest { top_k: 20, ..plain.clone() }),
		("1.2, min-p 0.05", GenerateRequest { temperature: 1.2, min_p: 0.05, ..plain.clone() }),
		("0.8, top-k 40, top-p 0.9", GenerateRequest { temperature: 0.8, top_k: 40, top_p: 0.9, ..plain.clone() }),
		(
			"all penalties",
			GenerateRequest {
				temperature: 0.9,
				repetition_penalty: 1.1,
				presence_penalty: 0.5,
				frequency_penalty: 0.3,
				..plain
			},
		),
	]
}

fn checks(model: &str, url: &str) -> Result<()> {
	let vllm = connect(url)?;
	let torch = LocalEngine::load(&LocalConfig { context_length: 1_024, slots: 4, ..LocalConfig::torch(model) })?;
	println!(
		"8 prompts, {TOKENS} tokens each: tokens that are due, of all, largest margin in nats, mean and largest squared distance of \
		 fingerprints\n"
	);
	println!(
		"{:<26} {:>26} {:>26} {:>26} {:>26}",
		"",
		"vLLM's, checked by torch",
		"vLLM's, checked by vLLM",
		"torch's, checked by vLLM",
		"vLLM's, on another tape"
	);
	for (seed, (name, setting)) in (0..).zip(settings()) {
		let requests: Vec<GenerateRequest> = (8 * seed..)
			.zip(PROMPTS)
			.map(|(seed, text)| {
				Ok(GenerateRequest { prompt: torch.tokenizer().encode(text), key: seed_key(seed), ..setting.clone() })
			})
			.collect::<Result<_>>()?;
		let (by_vllm, by_torch) = (generate(&vllm, &requests)?, generate(&torch, &requests)?);
		println!(
			"{name:<26} {:>26} {:>26} {:>26} {:>26}",
			check(&torch, &by_vllm, 0)?,
			check(&vllm, &by_vllm, 0)?,
			check(&vllm, &by_torch, 0)?,
			check(&torch, &by_vllm, 1_000)?,
		);
	}
	Ok(())
}

/// Generates completions of all requests at the same time.
fn generate(engine: &dyn Engine, requests: &[GenerateRequest]) -> Result<Vec<Generated>> {
	let running =
		requests.iter().map(|request| Ok((engine.generate(request.clone())?, request))).collect::<Result<Vec<_>>>()?;
	running.into_iter().map(|(events, request)| collect(events, request.clone())).collect()
}

/// Checks completions, on another tape if `other` is not 0.
fn check(engine: &dyn Engine, completions: &[Generated], other: u64) -> Result<String> {
	let (mut due, mut all, mut margin, mut far, mut farthest) = (0, 0, 0, 0u64, 0);
	for (index, Generated { request, output, fingerprints, reason }) in (other..).zip(completions) {
		let mut request = request.clone();
		if other > 0 {
			request.key = seed_key(index);
		}
		let request = CheckRequest { request, output: output.clone(), finish_reason: *reason };
		let found = engine.check(request)?.blocking_recv()??;
		if !found.ends_rightly {
			return Err("a completion does not end rightly".into());
		}
		for (token, own) in found.tokens.iter().zip(fingerprints) {
			let distance = distance(&token.fingerprint, own);
			due += usize::from(token.margin == 0);
			margin = margin.max(token.margin);
			far += u64::from(distance);
			farthest = farthest.max(distance);
		}
		all += output.len();
	}
	let margin = f64::from(margin) / f64::from(NAT);
	Ok(format!("{due}/{all} {margin:.3} {:.1} {farthest}", far as f64 / all as f64))
}

/// Measures tokens a second with 1 and 8 completions, and prints the best of three rounds.
fn speed(name: &str, url: &str) -> Result<()> {
	let engine = connect(url)?;
	// The tokens make no difference.
	let prompt: Vec<u32> = (1..8).collect();
	println!("\n{name}: tokens a second, best of 3 rounds");
	for (setting, request) in
		settings().into_iter().filter(|(name, _)| name.starts_with("temperature 1") || name.starts_with("0.8"))
	{
		let mut line = format!("{setting:<26}");
		for streams in [1, 8] {
			let requests: Vec<_> = (0..streams)
				.map(|seed| GenerateRequest { prompt: prompt.clone(), key: seed_key(seed), ..request.clone() })
				.collect();
			let mut best = f64::MAX;
			for _ in 0..3 {
				let begun = Instant::now();
				generate(&engine, &requests)?;
				best = best.min(begun.elapsed().as_secs_f64());
			}
			line += &format!("{:>10.1} with {streams}", (streams as usize * TOKENS) as f64 / best);
		}
		println!("{line}");
	}
	Ok(())
}
