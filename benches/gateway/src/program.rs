//! The programs under measurement, each in a process group of its own.

use crate::{client::Server, front::API_KEY, upstream::Urls};
use anyhow::{Context, bail};
use gonka_stand_ins::market::MODEL;
use serde_json::json;
use std::{
	fs::{self, File},
	net::{SocketAddr, TcpListener},
	path::Path,
	process::Stdio,
	time::{Duration, Instant},
};
use tokio::{
	io::{AsyncBufReadExt, BufReader},
	net::TcpStream,
	process::{Child, Command},
	time::{sleep, timeout},
};

/// Maximum time for a program to start or to stop.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);
/// Unit of processor times in `/proc`.
const TICK: Duration = Duration::from_millis(10);

/// A running program. Dropping it kills its whole group.
pub struct Program {
	child: Child,
	group: u32,
}

/// The resources that the processes of a program use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
	/// Bytes of memory, resident.
	pub memory: u64,
	/// Processor time since the start, of processes that run.
	pub cpu: Duration,
}

impl Program {
	fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
		let log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
		let child = command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stderr(log).spawn();
		let child = child.with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
		let group = child.id().context("the program has ended")?;
		Ok(Self { child, group })
	}

	/// Starts a subcommand of this program. Returns the line that it prints when it is ready.
	pub async fn own(arguments: &[&str], model: Option<&Path>, log: &Path) -> anyhow::Result<(Self, String)> {
		let mut command = Command::new(std::env::current_exe()?);
		command.args(arguments).stdout(Stdio::piped());
		if let Some(model) = model {
			command.arg("--model").arg(model);
		}
		let mut program = Self::start(command, log)?;
		let output = program.child.stdout.take().context("no standard output")?;
		let line =
			timeout(PATIENCE, BufReader::new(output).lines().next_line()).await.ok().and_then(Result::ok).flatten();
		let line = line.with_context(|| format!("{arguments:?} did not start: see {}", log.display()))?;
		Ok((program, line))
	}

	/// Ends a subcommand of this program by the end of its standard input.
	pub async fn end(mut self) -> anyhow::Result<()> {
		drop(self.child.stdin.take());
		let status = timeout(PATIENCE, self.child.wait()).await.context("a program does not end")??;
		if !status.success() {
			bail!("a program ended with {status}");
		}
		Ok(())
	}

	/// The sum over all its processes.
	pub fn usage(&self) -> anyhow::Result<Usage> {
		let mut sum = Usage::default();
		for entry in fs::read_dir("/proc")? {
			let folder = entry?.path();
			// Processes may end meanwhile.
			let (Ok(stat), Ok(status)) =
				(fs::read_to_string(folder.join("stat")), fs::read_to_string(folder.join("status")))
			else {
				continue;
			};
			// The name, in parentheses, may have spaces. The fields after it begin with number 3: see proc(5).
			let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
			let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
			if field(5) == self.group {
				sum.cpu += TICK * (field(14) + field(15));
				let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
				let kibibytes = resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
				sum.memory += kibibytes.unwrap_or(0) << 10;
			}
		}
		Ok(sum)
	}
}

impl Drop for Program {
	fn drop(&mut self) {
		let group = format!("-{}", self.group);
		let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
	}
}

/// A port that is free now.
fn free_port() -> anyhow::Result<u16> {
	Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts LiteLLM's proxy from a program `litellm`, with a process for each core as its documentation advises.
pub async fn litellm(path: &Path, urls: &Urls, tokens: u32, work: &Path) -> anyhow::Result<(Program, Server)> {
	let (port, config) = (free_port()?, work.join("litellm.yaml"));
	// JSON is YAML.
	let parameters =
		json!({"model": format!("openai/{MODEL}"), "api_base": format!("{}/v1", urls.openai), "api_key": "none"});
	let text = json!({
		"model_list": [{"model_name": MODEL, "litellm_params": parameters}],
		"general_settings": {"master_key": API_KEY},
		"litellm_settings": {"telemetry": false},
	});
	fs::write(&config, text.to_string())?;
	let workers = std::thread::available_parallelism()?.to_string();
	let mut command = Command::new(path);
	command.arg("--config").arg(&config).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
	command.args(["--num_workers", &workers]);
	// Otherwise it has at most 500 streams to one upstream, and fetches a list of prices.
	command.env("AIOHTTP_CONNECTOR_LIMIT_PER_HOST", "0").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
	command.env("LITELLM_LOG", "ERROR");
	peer(command, port, urls, tokens, &work.join("litellm.log")).await
}

/// Starts the router of LightSeek's Shepherd Model Gateway from a program `smg`.
pub async fn smg(path: &Path, urls: &Urls, tokens: u32, work: &Path) -> anyhow::Result<(Program, Server)> {
	let (port, metrics) = (free_port()?.to_string(), free_port()?.to_string());
	let mut command = Command::new(path);
	command.args(["launch", "--host", "127.0.0.1", "--port", &port, "--worker-urls", &urls.openai]);
	command.args(["--policy", "round_robin", "--backend", "openai", "--prometheus-port", &metrics]);
	command.args(["--max-concurrent-requests", "4096", "--log-level", "warn", "--api-key", API_KEY]);
	peer(command, port.parse()?, urls, tokens, &work.join("smg.log")).await
}

/// Starts another proxy, and waits until it serves.
async fn peer(
	mut command: Command,
	port: u16,
	urls: &Urls,
	tokens: u32,
	log: &Path,
) -> anyhow::Result<(Program, Server)> {
	command.stdout(File::create(log.with_extension("out"))?);
	let mut program = Program::start(command, log)?;
	let address = SocketAddr::from(([127, 0, 0, 1], port));
	let server = Server { address, key: API_KEY.into(), word: urls.word.clone(), tokens };
	let started = Instant::now();
	loop {
		let last = match TcpStream::connect(address).await {
			Ok(_) => match crate::client::load(&server, 1, Duration::ZERO).await {
				Ok(_) => return Ok((program, server)),
				Err(error) => error,
			},
			Err(error) => error.into(),
		};
		if started.elapsed() > PATIENCE || program.child.try_wait()?.is_some() {
			return Err(last.context(format!("a proxy does not serve: see {}", log.display())));
		}
		sleep(POLL).await;
	}
}
