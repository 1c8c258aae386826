//! Compares real models with llama.cpp's own server and with the torch engine: tokens of texts and of conversations, greedy
//! text, and completions on the tape that other engines check.
//!
//! `cargo run --release -p gonka-engine --example matrix -- MODEL.gguf … [--formats MODEL.gguf]`
//!
//! The model after `--formats` is written in other formats first. Nothing is compared with a time.

mod common;
#[path = "common/completions.rs"]
mod completions;

use std::path::{Path, PathBuf};

use common::{Result, Server, post};
use completions::{Generated, collect};
use gonka_engine::{
	ChatMessage, ChatOptions, CheckRequest, Engine, FinishReason, GenerateRequest, LocalConfig, LocalEngine,
	WeightFormat, convert,
};
use gonka_primitives::{
	fingerprint::distance,
	tape::{NAT, seed_key},
};
use serde_json::{Value, json};

/// Maximum number of tokens of a prompt and its completion.
const CONTEXT: usize = 1_024;
/// Number of tokens of a completion.
const TOKENS: usize = 96;
const TEXTS: [&str; 9] = [
	"Once upon a time there was",
	"naïve café, Zürich, 漢字, кириллица, עברית, 🦀🏳️‍🌈",
	"  two spaces,\ttab,\r\nnew line\n\n\nthree",
	"1234567890 3.14159 0x7fff 1e-9",
	"don't I'll we've they'd HE'S",
	"fn main() { println!(\"{:?}\", vec![1, 2, 3]); }",
	"<|im_end|> <end_of_turn> <s> [INST] are plain text",
	"supercalifragilisticexpialidocious aaaaaaaaaaaaaaaaaaaaaaaa",
	"",
];
const PROMPTS: [&str; 4] = [
	"Once upon a time there was",
	"The capital of France is",
	"def fibonacci(n):\n",
	"Water boils at a temperature of",
];

fn main() -> Result<()> {
	// SAFETY: the process has just begun and has one thread.
	unsafe { gonka_engine::round_alike() };
	let mut models = Vec::new();
	let mut args = std::env::args_os().skip(1);
	while let Some(arg) = args.next() {
		if arg == "--formats" {
			let original = PathBuf::from(args.next().ok_or("--formats needs a file")?);
			models.push(original.clone());
			let folder = original.with_file_name("matrix");
			for format in [WeightFormat::F16, WeightFormat::Q8_0, WeightFormat::Q4_0] {
				models.push(convert(&original, format, &folder)?);
			}
		} else {
			models.push(arg.into());
		}
	}
	println!("each model on one thread beside llama.cpp's own server; completions of {TOKENS} tokens to 4 prompts");
	println!(
		"\ntexts: equal tokens; chat: equal tokens of conversations, none without a template; greedy: tokens of the server's that are due"
	);
	println!("checks: tokens that are due, of all, and mean squared distance of fingerprints\n");
	println!(
		"{:<36} {:>5} {:>5} {:>9} {:>14} {:>14} {:>14} {:>14}",
		"model", "texts", "chat", "greedy", "own check", "other batch", "long context", "torch's check"
	);
	for model in models {
		compare(&model)?;
	}
	Ok(())
}

fn compare(model: &Path) -> Result<()> {
	let load = |slots, threads| {
		LocalEngine::load(&LocalConfig { context_length: CONTEXT, slots, threads, ..LocalConfig::llama(model) })
	};
	let (engine, single) = (load(4, 1)?, load(1, 2)?);
	let torch = LocalEngine::load(&LocalConfig { context_length: CONTEXT, slots: 4, ..LocalConfig::torch(model) });
	let server = Server::start(model, 1, 1, CONTEXT)?;
	let (completions, long) = (generate(&engine, &PROMPTS)?, generate(&engine, &[&PROMPTS.join(" ").repeat(36)])?);
	let name = model.file_stem().unwrap_or_default().to_string_lossy();
	println!(
		"{name:<36} {:>5} {:>5} {:>9} {:>14} {:>14} {:>14} {:>14}",
		texts(&engine, &server)?,
		conversations(&engine, &server)?,
		greedy(&engine, &server)?,
		check(&engine, &completions)?,
		check(&single, &completions)?,
		check(&single, &long)?,
		torch.map_or_else(|_| Ok("not read".into()), |torch| check(&torch, &completions))?,
	);
	Ok(())
}

/// Returns how many texts have the server's tokens.
fn texts(engine: &LocalEngine, server: &Server) -> Result<String> {
	let mut equal = 0;
	for text in TEXTS {
		let theirs = tokens(server, json!({ "content": text, "add_special": true, "parse_special": false }))?;
		equal += usize::from(engine.tokenizer().encode(text) == theirs);
	}
	Ok(format!("{equal}/{}", TEXTS.len()))
}

/// Returns how many conversations have the server's tokens.
fn conversations(engine: &LocalEngine, server: &Server) -> Result<String> {
	let long = [("user", "Hello!"), ("assistant", "Hi. What is it?"), ("user", "Tell me a story about a fox.")];
	let all: [&[_]; 3] = [&long[..1], &long, &[("user", "naïve 漢字 🦀\n\n  code:\n\tx = 1")]];
	let mut equal = 0;
	for conversation in all {
		let messages: Vec<_> = conversation.iter().map(|(role, text)| ChatMessage::new(*role, *text)).collect();
		let response = post(&server.address, "/apply-template", &json!({ "messages": messages }).to_string())?;
		let prompt: Value = serde_json::from_str(&response)?;
		let content = prompt.get("prompt").ok_or("no prompt")?;
		// A template that begins with the token for the beginning of a text has it already.
		let of = |special| tokens(server, json!({ "content": content, "add_special": special, "parse_special": true }));
		let Ok(ours) = engine.tokenizer().encode_chat(&messages, &ChatOptions::default()) else {
			return Ok("none".into());
		};
		equal += usize::from(ours == of(false)? || ours == of(true)?);
	}
	Ok(format!("{equal}/{}", all.len()))
}

fn tokens(server: &Server, body: Value) -> Result<Vec<u32>> {
	let response: Value = serde_json::from_str(&post(&server.address, "/tokenize", &body.to_string())?)?;
	Ok(serde_json::from_value(response.get("tokens").ok_or("no tokens")?.clone())?)
}

/// Returns how many of the server's greedy tokens are the likeliest here, too, after the same tokens before.
fn greedy(engine: &LocalEngine, server: &Server) -> Result<String> {
	let (mut equal, mut all) = (0, 0);
	for text in PROMPTS {
		let prompt = engine.tokenizer().encode(text);
		let body = json!({
			"prompt": prompt, "n_predict": TOKENS, "temperature": 0.0, "ignore_eos": true, "return_tokens": true,
			"samplers": ["temperature"],
		});
		let response: Value = serde_json::from_str(&post(&server.address, "/completion", &body.to_string())?)?;
		let output: Vec<u32> = serde_json::from_value(response.get("tokens").ok_or("no tokens")?.clone())?;
		let request =
			GenerateRequest { prompt, max_tokens: TOKENS, temperature: 0.0, ignore_eos: true, ..Default::default() };
		all += output.len();
		let check = CheckRequest { request, output, finish_reason: FinishReason::Length };
		equal += engine.check(check)?.blocking_recv()??.tokens.iter().filter(|token| token.margin == 0).count();
	}
	Ok(format!("{equal}/{all}"))
}

/// Generates completions of all prompts on the tape, at the same time.
fn generate(engine: &LocalEngine, prompts: &[&str]) -> Result<Vec<Generated>> {
	let running = (0..)
		.zip(prompts)
		.map(|(seed, text)| {
			let (prompt, key) = (engine.tokenizer().encode(text), seed_key(seed));
			let request = GenerateRequest { prompt, max_tokens: TOKENS, key, ignore_eos: true, ..Default::default() };
			Ok((engine.generate(request.clone())?, request))
		})
		.collect::<Result<Vec<_>>>()?;
	running.into_iter().map(|(events, request)| collect(events, request)).collect()
}

/// Returns how many tokens are due by this engine's check, and the mean distance of the fingerprints.
fn check(engine: &LocalEngine, completions: &[Generated]) -> Result<String> {
	let (mut due, mut all, mut far) = (0usize, 0usize, 0u64);
	for Generated { request, output, fingerprints, reason } in completions {
		let request = CheckRequest { request: request.clone(), output: output.clone(), finish_reason: *reason };
		let found = engine.check(request)?.blocking_recv()??;
		// A difference of less than a thousandth of a nat is rounding.
		due += found.tokens.iter().filter(|token| token.margin < NAT.unsigned_abs() / 1_000).count();
		all += output.len();
		far += found
			.tokens
			.iter()
			.zip(fingerprints)
			.map(|(token, own)| u64::from(distance(&token.fingerprint, own)))
			.sum::<u64>();
	}
	Ok(format!("{due}/{all} {:.1}", far as f64 / all.max(1) as f64))
}
