//! Measures the engines beside llama.cpp's own server, in turns, on the same file and with as many threads: tokens a
//! second with 1 to 64 streams, and the time to the first token after a prompt of 2,000 tokens.
//!
//! `cargo run --release -p gonka-engine --example speed -- MODEL.gguf [threads] [rounds]`
//!
//! Our engines sample on the tape, at temperature 1, and give fingerprints. The server samples as it does by default at
//! temperature 1, from all tokens. Ratios above 1 are in our favour.

mod common;

use std::{path::PathBuf, thread, time::Instant};

use common::{Result, Server, post};
use gonka_engine::{Engine, GenerateRequest, LocalConfig, LocalEngine, TokenEvent};

const STREAMS: [usize; 4] = [1, 8, 16, 64];
const TOKENS: usize = 64;
const CONTEXT: usize = 2_304;
const LONG: usize = 2_000;

fn main() -> Result<()> {
	let mut args = std::env::args().skip(1);
	let model = PathBuf::from(args.next().ok_or("no model: give the path of a GGUF file")?);
	let threads: usize = args.next().map_or(Ok(1), |n| n.parse())?;
	let rounds: usize = args.next().map_or(Ok(3), |n| n.parse())?;
	println!("{}, {threads} thread(s), {rounds} rounds, the best of each", model.display());
	println!(
		"{:>7} {:>12} {:>12} {:>12} {:>14} {:>14}",
		"streams", "llama-server", "llama", "torch", "llama ratio", "torch ratio"
	);
	for streams in STREAMS {
		// With 64 slots the long contexts would take several gigabytes.
		let context = if streams > 16 { 256 } else { CONTEXT };
		let server = Server::start(&model, threads, streams, context)?;
		let config = |config: LocalConfig| LocalConfig { threads, slots: streams, context_length: context, ..config };
		let llama = LocalEngine::load(&config(LocalConfig::llama(&model)))?;
		let torch = LocalEngine::load(&config(LocalConfig::torch(&model)))?;
		let mut best = [0f64; 3];
		for round in 0..=rounds {
			let speeds = [generate_there(&server, streams)?, generate(&llama, streams)?, generate(&torch, streams)?];
			// The first round warms up.
			if round > 0 {
				best.iter_mut().zip(speeds).for_each(|(best, speed)| *best = best.max(speed));
			}
		}
		let [theirs, llama_speed, torch_speed] = best;
		println!(
			"{streams:>7} {theirs:>8.1} t/s {llama_speed:>8.1} t/s {torch_speed:>8.1} t/s {:>14.2} {:>14.2}",
			llama_speed / theirs,
			torch_speed / theirs
		);
		if streams == 1 {
			let mut best = [f64::INFINITY; 3];
			for round in 0..rounds {
				let seconds = [first_there(&server, round)?, first(&llama, round)?, first(&torch, round)?];
				best.iter_mut().zip(seconds).for_each(|(best, time)| *best = best.min(time));
			}
			let [theirs, llama, torch] = best;
			println!(
				"first token after {LONG}: {theirs:.2} s, {llama:.2} s, {torch:.2} s; ratios {:.2}, {:.2}",
				theirs / llama,
				theirs / torch
			);
		}
	}
	Ok(())
}

/// Returns the tokens a second of as many completions at a time.
fn generate(engine: &LocalEngine, streams: usize) -> Result<f64> {
	let start = Instant::now();
	let running = (0..streams)
		.map(|stream| {
			let prompt = engine.tokenizer().encode(&format!("Story {stream}: once upon a time"));
			engine.generate(GenerateRequest { prompt, max_tokens: TOKENS, ignore_eos: true, ..Default::default() })
		})
		.collect::<Result<Vec<_>, _>>()?;
	let mut tokens = 0;
	for mut events in running {
		while let Some(event) = events.blocking_recv() {
			tokens += usize::from(matches!(event, TokenEvent::Token { .. }));
		}
	}
	Ok(tokens as f64 / start.elapsed().as_secs_f64())
}

/// Returns a prompt of [`LONG`] tokens that no cache has: it begins with another token in each round.
fn long(round: usize) -> Vec<u32> {
	(0..LONG as u32).map(|at| 1_000 + (at * 7 + round as u32 * 13) % 20_000).collect()
}

/// Returns the time to the first token after a long prompt.
fn first(engine: &LocalEngine, round: usize) -> Result<f64> {
	let request = GenerateRequest { prompt: long(round), max_tokens: 1, ignore_eos: true, ..Default::default() };
	let start = Instant::now();
	let mut events = engine.generate(request)?;
	while let Some(event) = events.blocking_recv() {
		if let TokenEvent::Error { message } = event {
			return Err(message.into());
		}
	}
	Ok(start.elapsed().as_secs_f64())
}

/// Returns the tokens a second of as many completions of llama.cpp's server at a time.
fn generate_there(server: &Server, streams: usize) -> Result<f64> {
	let start = Instant::now();
	let bodies = (0..streams).map(|stream| {
		format!(
			r#"{{"prompt":"Story {stream}: once upon a time","n_predict":{TOKENS},"ignore_eos":true,"temperature":1.0,
			"top_k":0,"top_p":1.0,"min_p":0.0,"samplers":["temperature"],"cache_prompt":false}}"#
		)
	});
	let running: Vec<_> = bodies
		.map(|body| {
			let address = server.address.clone();
			thread::spawn(move || post(&address, "/completion", &body))
		})
		.collect();
	for response in running {
		response.join().map_err(|_| "a request failed")??;
	}
	Ok((streams * TOKENS) as f64 / start.elapsed().as_secs_f64())
}

/// Returns the time to the first token of llama.cpp's server after a long prompt.
fn first_there(server: &Server, round: usize) -> Result<f64> {
	let prompt = long(round);
	let body = format!(r#"{{"prompt":{prompt:?},"n_predict":1,"temperature":1.0,"cache_prompt":false}}"#);
	let start = Instant::now();
	post(&server.address, "/completion", &body)?;
	Ok(start.elapsed().as_secs_f64())
}
