//! A hundred clients with prompts of 1 to 8,000 tokens: what each waits for its next token, the memory, and what is left of
//! cancelled work.
//!
//! `cargo run --release -p gonka-engine --example load -- MODEL.gguf [seconds] [threads] [slots]`
//!
//! Ends with an error if one token in a thousand took longer than three steps do, if memory grew by more than a twentieth after
//! the first minute, or if cancelled work was still there after a step.

use std::{
	error::Error,
	path::PathBuf,
	sync::{
		Mutex,
		atomic::{AtomicBool, AtomicU64, Ordering},
	},
	thread,
	time::{Duration, Instant},
};

use gonka_engine::{Engine, EngineError, GenerateRequest, LocalConfig, LocalEngine, TokenEvent};
use gonka_primitives::tape::seed_key;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: u64 = 100;
/// Maximum numbers of tokens of a prompt and of a completion.
const LONGEST: (u64, u64) = (8_000, 96);
const CONTEXT: usize = 8_192;
/// One in so many clients hangs up before its completion ends.
const CANCELS: u64 = 8;

/// The observations of all clients.
#[derive(Default)]
struct Seen {
	/// Times between two tokens of a completion.
	gaps: Mutex<Vec<Duration>>,
	/// Times to a first token, by the number of tokens of the prompt.
	first: Mutex<Vec<(usize, Duration)>>,
	cancelled: AtomicU64,
	busy: AtomicU64,
	over: AtomicBool,
}

fn main() -> Result<()> {
	let mut args = std::env::args().skip(1);
	let model = PathBuf::from(args.next().ok_or("no model: give the path of a GGUF file")?);
	let mut number = |default: usize| args.next().map_or(Ok(default), |n| n.parse());
	let (seconds, threads, slots) = (number(600)?, number(2)?, number(8)?);
	let config = LocalConfig { threads, slots, context_length: CONTEXT, ..LocalConfig::llama(&model) };
	let engine = LocalEngine::load(&LocalConfig { waiting_limit: slots + 2, ..config })?;
	let vocabulary = engine.info().vocab_size as u64;
	let seen = Seen::default();
	println!("{CLIENTS} clients, {slots} slots of {CONTEXT} tokens, {threads} threads, {seconds} seconds");

	let (early, late, steps, left) = thread::scope(|scope| {
		for client in 0..CLIENTS {
			let (engine, seen) = (&engine, &seen);
			scope.spawn(move || run(engine, seen, client, vocabulary));
		}
		let start = Instant::now();
		let mut early = 0;
		while start.elapsed() < Duration::from_secs(seconds as u64) {
			thread::sleep(Duration::from_secs(1));
			if start.elapsed() < Duration::from_secs(seconds as u64 / 10) {
				early = memory();
			}
		}
		let late = memory();
		let before = engine.usage().steps;
		// All clients hang up.
		seen.over.store(true, Ordering::Relaxed);
		while engine.health().running > 0 {
			thread::sleep(Duration::from_millis(1));
		}
		(early, late, before, engine.usage().steps - before)
	});

	let mut gaps = std::mem::take(&mut *seen.gaps.lock().map_err(|_| "a client failed")?);
	gaps.sort_unstable();
	let at = |share: f64| gaps.get(((gaps.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
	let (median, rare, longest) = (at(0.5), at(0.999), at(1.0));
	let mut first = std::mem::take(&mut *seen.first.lock().map_err(|_| "a client failed")?);
	first.sort_unstable_by_key(|(tokens, _)| *tokens);
	let of = |part: &[(usize, Duration)]| {
		let mut times: Vec<_> = part.iter().map(|(_, time)| *time).collect();
		times.sort_unstable();
		times.get(times.len() / 2).copied().unwrap_or_default()
	};
	let (short, long) = first.split_at(first.len() / 2);
	let usage = engine.usage();
	println!("{} completions, {} cancelled, {} times busy", first.len(), value(&seen.cancelled), value(&seen.busy));
	println!(
		"{} tokens generated, {} of prompts read, {} not read again, {:.1} sequences a step of {steps}",
		gaps.len() + first.len(),
		usage.prompt_tokens,
		usage.reused_tokens,
		usage.rows as f64 / usage.steps as f64
	);
	println!("from a token to the next: median {median:.0?}, one in 1,000 above {rare:.0?}, longest {longest:.0?}");
	println!(
		"to the first token: median {:.1?} for the shorter half of prompts, {:.1?} for the longer",
		of(short),
		of(long)
	);
	println!("memory: {early} MB after a tenth of the time, {late} MB at the end");
	println!("steps after all clients hung up: {left}");
	let stalls = rare > 3 * median;
	let grows = late > early + early / 20;
	if stalls || grows || left > 2 {
		return Err("a promise is broken".into());
	}
	Ok(())
}

/// Requests completions until the test is over.
fn run(engine: &LocalEngine, seen: &Seen, client: u64, vocabulary: u64) {
	// Numbers that look random: the state of a linear generator.
	let mut state = client.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
	let mut draw = |below: u64| {
		state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
		(state >> 33) % below
	};
	while !seen.over.load(Ordering::Relaxed) {
		// Uniform in the logarithm: short prompts are as frequent as long ones.
		let length = (LONGEST.0 as f64).powf(draw(1_001) as f64 / 1_000.0) as u64;
		let prompt = (0..length.max(1)).map(|_| draw(vocabulary) as u32).collect();
		let request = GenerateRequest {
			prompt,
			max_tokens: 1 + draw(LONGEST.1) as usize,
			key: seed_key(client),
			ignore_eos: true,
			owner: [client as u8; 32],
			..Default::default()
		};
		let hangs_up = (draw(CANCELS) == 0).then(|| draw(LONGEST.1) as usize);
		let start = Instant::now();
		match engine.generate(request) {
			Ok(events) => receive(seen, events, length as usize, start, hangs_up),
			Err(EngineError::Busy { .. }) => {
				seen.busy.fetch_add(1, Ordering::Relaxed);
				thread::sleep(Duration::from_millis(200));
			},
			Err(error) => {
				eprintln!("{error}");
				return;
			},
		}
	}
}

/// Takes the tokens of a completion, and hangs up after some, or when the test is over.
fn receive(
	seen: &Seen,
	mut events: tokio::sync::mpsc::Receiver<TokenEvent>,
	prompt: usize,
	start: Instant,
	hangs_up: Option<usize>,
) {
	let (mut last, mut gaps) = (start, Vec::new());
	let mut tokens = 0;
	loop {
		if seen.over.load(Ordering::Relaxed) || hangs_up == Some(tokens) {
			seen.cancelled.fetch_add(1, Ordering::Relaxed);
			break;
		}
		match events.try_recv() {
			Ok(TokenEvent::Token { .. }) => {
				let now = Instant::now();
				if tokens == 0 {
					seen.first.lock().map(|mut first| first.push((prompt, now - start))).unwrap_or_default();
				} else {
					gaps.push(now - last);
				}
				(last, tokens) = (now, tokens + 1);
			},
			Ok(_) => break,
			Err(tokio::sync::mpsc::error::TryRecvError::Empty) => thread::sleep(Duration::from_millis(1)),
			Err(_) => break,
		}
	}
	seen.gaps.lock().map(|mut all| all.append(&mut gaps)).unwrap_or_default();
}

fn value(counter: &AtomicU64) -> u64 {
	counter.load(Ordering::Relaxed)
}

/// Returns the resident memory of this process, in megabytes.
fn memory() -> u64 {
	let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
	let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
	line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1_024
}
