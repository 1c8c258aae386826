//! The measurement: all programs run at once, and get load in turns, so that what else happens on the machine hits all alike.

use crate::{
	client::{self, Sample, Server},
	front::API_KEY,
	program::{self, Program, Usage},
	report,
	upstream::{PACE, Pace, RECEIPTS, Receipts, TIMINGS, Timing, Urls},
};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
	collections::HashMap,
	net::SocketAddr,
	path::PathBuf,
	time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::sleep};

/// Name of the gateway in tables.
pub const GATEWAY: &str = "gateway";
/// Number of streams that show how many requests a program serves at most.
const SATURATION: usize = 64;
/// Maximum time until all receipts are acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
	/// GGUF file whose tokenizer the model has. Default: one with a token for each byte.
	#[arg(long)]
	model: Option<PathBuf>,
	/// LiteLLM's program `litellm`.
	#[arg(long)]
	litellm: Option<PathBuf>,
	/// The Shepherd Model Gateway's program `smg`.
	#[arg(long)]
	smg: Option<PathBuf>,
	/// Directory of the ledger and of logs, on the disk that is to be measured.
	#[arg(long)]
	work: PathBuf,
	/// Numbers of streams.
	#[arg(long, value_delimiter = ',', default_value = "1,16,64")]
	streams: Vec<usize>,
	/// Number of tokens of each completion.
	#[arg(long, default_value_t = 10)]
	tokens: u32,
	/// The upstream's time to the first token, in milliseconds.
	#[arg(long, default_value_t = 20)]
	first: u64,
	/// The upstream's time between two tokens, in milliseconds.
	#[arg(long, default_value_t = 5)]
	gap: u64,
	/// Number of turns.
	#[arg(long, default_value_t = 5)]
	rounds: u32,
	/// Length of a turn, in milliseconds.
	#[arg(long, default_value_t = 4000)]
	turn: u64,
	/// Number of open streams with which memory is measured.
	#[arg(long, default_value_t = 1000)]
	crowd: usize,
}

/// A server with the processes that it consists of; the upstream itself has none that count.
struct Target {
	name: &'static str,
	server: Server,
	program: Option<Program>,
}

/// The measurements of a target at one number of streams. Times are nanoseconds above the upstream's own.
#[derive(Clone, Debug, Default)]
pub struct Measured {
	/// From a request to its first token.
	pub first: Vec<u64>,
	/// From a token's leaving the upstream to its arrival, of all tokens but the first.
	pub token: Vec<u64>,
	/// From a request to its end.
	pub whole: Vec<u64>,
	/// Number of requests, warm-up included.
	pub requests: usize,
	/// Seconds that they took.
	pub seconds: f64,
	/// Processor time that they took.
	pub cpu: Duration,
	/// The parts of the time to the first token before and after the upstream's own.
	pub parts: (Vec<u64>, Vec<u64>),
}

/// All measurements of a target.
#[derive(Debug)]
pub struct Row {
	/// The target.
	pub name: &'static str,
	/// At each number of streams.
	pub paced: Vec<Measured>,
	/// With an upstream that takes no time.
	pub saturated: Measured,
	/// Bytes of memory before all requests, and with open streams.
	pub memory: Option<(u64, u64)>,
}

impl Row {
	/// Number of requests in all turns.
	fn requests(&self) -> usize {
		self.paced.iter().chain([&self.saturated]).map(|measured| measured.requests).sum()
	}
}

impl Target {
	fn usage(&self) -> anyhow::Result<Usage> {
		self.program.as_ref().map_or(Ok(Usage::default()), Program::usage)
	}

	/// Puts load on the target for a turn, and adds what it shows.
	async fn turn(
		&self,
		control: SocketAddr,
		streams: usize,
		length: Duration,
		to: &mut Measured,
	) -> anyhow::Result<()> {
		let (before, began) = (self.usage()?, Instant::now());
		let loaded = client::load(&self.server, streams, length).await;
		let samples = loaded.with_context(|| format!("{}, with {streams} streams", self.name))?;
		let (seconds, after) = (began.elapsed().as_secs_f64(), self.usage()?);
		let timings: HashMap<u64, Timing> = post(control, TIMINGS, &()).await?;
		for sample in &samples {
			to.add(sample, timings.get(&sample.seed).context("the upstream did not see a request")?)?;
		}
		to.requests += timings.len();
		to.seconds += seconds;
		to.cpu += after.cpu.saturating_sub(before.cpu);
		Ok(())
	}
}

impl Measured {
	/// Number of requests a second.
	pub fn rate(&self) -> f64 {
		self.requests as f64 / self.seconds
	}

	/// Milliseconds of processor time a request.
	pub fn cpu(&self) -> f64 {
		self.cpu.as_secs_f64() * 1e3 / self.requests as f64
	}

	fn add(&mut self, sample: &Sample, timing: &Timing) -> anyhow::Result<()> {
		ensure!(sample.tokens.len() == timing.tokens.len(), "tokens are missing");
		let there = timing.arrived.saturating_sub(sample.sent);
		let mut tokens = sample.tokens.iter().zip(&timing.tokens).map(|(got, sent)| got.saturating_sub(*sent));
		let back = tokens.next().context("a completion without tokens")?;
		self.first.push(there + back);
		self.parts.0.push(there);
		self.parts.1.push(back);
		self.token.extend(tokens);
		self.whole.push(there + sample.ended.saturating_sub(timing.ended));
		Ok(())
	}
}

/// Runs the subcommand. Prints the report.
pub async fn run(args: Args) -> anyhow::Result<()> {
	std::fs::create_dir_all(&args.work)?;
	let model = args.model.as_deref();
	let (upstream, line) = Program::own(&["upstream"], model, &args.work.join("upstream.log")).await?;
	let urls: Urls = serde_json::from_str(&line)?;
	let control = address(&urls.openai)?;
	let base = args.work.join("gateway");
	let mut arguments = vec!["gateway", "--base-path", base.to_str().context("the path is no text")?];
	arguments.extend(urls.workers.iter().map(String::as_str));
	let (gateway, url) = Program::own(&arguments, model, &args.work.join("gateway.log")).await?;
	let server = |address| Server { address, key: API_KEY.into(), word: urls.word.clone(), tokens: args.tokens };
	let mut targets = vec![
		Target { name: "upstream", server: server(control), program: None },
		Target { name: GATEWAY, server: server(address(&url)?), program: Some(gateway) },
	];
	if let Some(path) = &args.smg {
		let (program, server) = program::smg(path, &urls, args.tokens, &args.work).await?;
		targets.push(Target { name: "smg", server, program: Some(program) });
	}
	if let Some(path) = &args.litellm {
		let (program, server) = program::litellm(path, &urls, args.tokens, &args.work).await?;
		targets.push(Target { name: "litellm", server, program: Some(program) });
	}
	let pace = Pace { first: Duration::from_millis(args.first), gap: Duration::from_millis(args.gap), held: false };
	let rows = measure(&args, control, &targets, pace).await?;
	let through = rows.iter().find(|row| row.name == GATEWAY).map_or(0, Row::requests) + args.crowd;
	let receipts = settled(control).await?;
	ensure!(receipts.signed == through, "{through} requests went through the gateway, but {receipts:?}");
	print!("{}", report::text(&args.streams, args.crowd, args.tokens, pace, &rows));
	println!("\n{through} requests through the gateway, as many receipts, all of them acknowledged once");
	for target in targets.into_iter().filter(|target| target.name == GATEWAY) {
		if let Some(program) = target.program {
			program.end().await?;
		}
	}
	upstream.end().await
}

async fn measure(args: &Args, control: SocketAddr, targets: &[Target], pace: Pace) -> anyhow::Result<Vec<Row>> {
	let turn = Duration::from_millis(args.turn);
	let new = |target: &Target| {
		let paced = vec![Measured::default(); args.streams.len()];
		anyhow::Ok(Row { name: target.name, paced, saturated: Measured::default(), memory: None })
	};
	let mut rows = targets.iter().map(new).collect::<anyhow::Result<Vec<_>>>()?;
	let idle = targets.iter().map(Target::usage).collect::<anyhow::Result<Vec<_>>>()?;
	// Requests that proxies sent while they started.
	let _: HashMap<u64, Timing> = post(control, TIMINGS, &()).await?;
	for round in 0..args.rounds {
		set_pace(control, pace).await?;
		for (level, streams) in args.streams.iter().enumerate() {
			for (target, row) in targets.iter().zip(&mut rows) {
				let Some(measured) = row.paced.get_mut(level) else { continue };
				target.turn(control, *streams, turn, measured).await?;
			}
		}
		set_pace(control, Pace::default()).await?;
		for (target, row) in targets.iter().zip(&mut rows) {
			target.turn(control, SATURATION, turn, &mut row.saturated).await?;
		}
		eprintln!("round {} of {} is over", round + 1, args.rounds);
	}
	for ((target, row), idle) in targets.iter().zip(&mut rows).zip(idle) {
		if target.program.is_some() {
			set_pace(control, Pace { held: true, ..pace }).await?;
			let crowd = client::crowd(&target.server, args.crowd, async || {
				let usage = target.usage();
				set_pace(control, pace).await?;
				usage
			});
			let usage = crowd.await.with_context(|| format!("{}, with {} streams", target.name, args.crowd))?;
			row.memory = Some((idle.memory, usage.memory));
		}
	}
	Ok(rows)
}

/// Waits until every receipt is acknowledged.
async fn settled(control: SocketAddr) -> anyhow::Result<Receipts> {
	let started = Instant::now();
	loop {
		let receipts: Receipts = call(control, Request::get(RECEIPTS), Bytes::new()).await?;
		if receipts.acknowledged {
			return Ok(receipts);
		}
		ensure!(started.elapsed() < PATIENCE, "they are not acknowledged: {receipts:?}");
		sleep(Duration::from_millis(50)).await;
	}
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
	url.strip_prefix("http://").and_then(|rest| rest.parse().ok()).with_context(|| format!("{url:?} is no address"))
}

async fn set_pace(control: SocketAddr, pace: Pace) -> anyhow::Result<()> {
	let body = serde_json::to_vec(&pace)?;
	exchange(control, Request::post(PACE), body.into()).await.map(drop)
}

async fn post<R: DeserializeOwned>(control: SocketAddr, path: &str, body: &impl Serialize) -> anyhow::Result<R> {
	call(control, Request::post(path), serde_json::to_vec(body)?.into()).await
}

async fn call<R: DeserializeOwned>(
	control: SocketAddr,
	request: hyper::http::request::Builder,
	body: Bytes,
) -> anyhow::Result<R> {
	Ok(serde_json::from_slice(&exchange(control, request, body).await?)?)
}

async fn exchange(control: SocketAddr, request: hyper::http::request::Builder, body: Bytes) -> anyhow::Result<Bytes> {
	let socket = TokioIo::new(TcpStream::connect(control).await?);
	let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
	tokio::spawn(connection);
	let request = request.header("host", control.to_string()).header("content-type", "application/json");
	let response = sender.send_request(request.body(Full::new(body))?).await?;
	ensure!(response.status() == 200, "the upstream responds with {}", response.status());
	Ok(response.into_body().collect().await?.to_bytes())
}
