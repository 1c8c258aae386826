//! Measures load time, memory and speed of an engine on this machine.
//!
//! `cargo run --release -p gonka-engine --example measure -- MODEL.gguf [threads] [f32|bf16|llama]`

use std::{io::Write, time::Instant};

use gonka_engine::{Backend, Engine, GenerateRequest, LlamaOptions, LocalConfig, LocalEngine, Precision, TokenEvent};

const TOKENS: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
	let mut args = std::env::args().skip(1);
	let mut config = LocalConfig::torch(args.next().ok_or("no model: give the path of a GGUF file")?);
	config.threads = args.next().map_or(Ok(1), |n| n.parse())?;
	config.slots = 8;
	match args.next().as_deref() {
		Some("bf16") => config.backend = Backend::Torch(Precision::Bf16),
		Some("llama") => config.backend = Backend::Llama(LlamaOptions::default()),
		_ => {},
	}

	let start = Instant::now();
	let engine = LocalEngine::load(&config)?;
	println!("loaded in {:.2} s, {}", start.elapsed().as_secs_f64(), memory()?);

	let prompt = engine.tokenizer().encode("Once upon a time there was");
	print!("greedy: ");
	run(&engine, std::slice::from_ref(&prompt), true)?;
	for batch in [1, 2, 4, 8] {
		let start = Instant::now();
		let tokens = run(&engine, &vec![prompt.clone(); batch], false)?;
		let seconds = start.elapsed().as_secs_f64();
		println!("{batch} at a time: {:.1} tokens/s together", tokens as f64 / seconds);
	}
	let long = vec![prompt.iter().copied().cycle().take(1024).collect()];
	let start = Instant::now();
	run(&engine, &long, false)?;
	println!("1024 prompt and {TOKENS} completion tokens: {:.2} s", start.elapsed().as_secs_f64());
	println!("{}", memory()?);
	Ok(())
}

/// Completes all prompts at the same time, and returns the number of tokens.
fn run(engine: &LocalEngine, prompts: &[Vec<u32>], print: bool) -> Result<usize, Box<dyn std::error::Error>> {
	let completions = prompts
		.iter()
		.map(|prompt| {
			engine.generate(GenerateRequest {
				prompt: prompt.clone(),
				max_tokens: TOKENS,
				temperature: 0.0,
				ignore_eos: true,
				..Default::default()
			})
		})
		.collect::<Result<Vec<_>, _>>()?;
	let mut tokens = 0;
	for mut completion in completions {
		while let Some(event) = completion.blocking_recv() {
			if let TokenEvent::Token { text, .. } = event {
				tokens += 1;
				if print {
					print!("{text}");
					std::io::stdout().flush()?;
				}
			}
		}
	}
	if print {
		println!();
	}
	Ok(tokens)
}

/// Returns this process's memory as Linux reports it.
fn memory() -> std::io::Result<String> {
	let status = std::fs::read_to_string("/proc/self/status")?;
	let wanted = ["VmHWM", "VmRSS", "RssAnon", "RssFile"];
	let lines = status.lines().filter(|line| wanted.iter().any(|key| line.starts_with(key)));
	Ok(lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", "))
}
