//! The command line.

use clap::{Args, CommandFactory, Parser, ValueEnum, error::ErrorKind};
use gonka_client::{peer_http::AddressArgs, telemetry::TelemetryArgs};
use gonka_primitives::MAX_MODELS_PER_HOST;
use std::{collections::HashSet, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

/// Runs beside the node of a Gonka host: computes the sprint, serves inference to gateways, checks other hosts, and
/// settles what gateways owe.
#[derive(Clone, Debug, Parser)]
#[command(
	name = "gonka-worker",
	version,
	max_term_width = 100,
	after_help = "\
Examples:
  The host key is on another machine; the worker logs the command that registers it:
    gonka-worker --host 5Grw… --model SmolLM2-135M-Instruct.Q4_1.gguf \\
      --model-name SmolLM2-135M-Instruct \\
      --listen 0.0.0.0:9000 --public-url http://203.0.113.7:9000
  On a test network, the worker registers its host itself:
    gonka-worker --host-key alice.key --model SmolLM2-135M-Instruct.Q4_1.gguf \\
      --model-name SmolLM2-135M-Instruct --listen 127.0.0.1:0 --allow-private-addresses \\
      --sprint-rate 40
  A large model, served by vLLM on this machine (docs/worker.md tells how to start it):
    gonka-worker --host 5Grw… --engine upstream --upstream-url http://127.0.0.1:8000 \\
      --upstream-vocab 151936 --model-name Qwen3-32B \\
      --listen 0.0.0.0:9000 --public-url http://203.0.113.7:9000

Every option can also be an environment variable; an option on the command line wins.
Logs go to standard error (set RUST_LOG to info, gonka_worker=debug …). Standard output gets one line, `listening on \
http://…`, when the worker serves. SIGTERM and Ctrl-C stop the worker after its running completions; a second signal \
stops it at once. It may be killed at any moment: what it signs is stored before it is sent, and the sprint continues \
where it was.
Exit codes: 0 stopped by a signal, 1 could not start or failed (the last line tells why), 2 wrong options."
)]
pub struct Cli {
	/// The node's RPC address. The worker waits for the node, and reconnects whenever the connection is lost.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	pub node: String,
	/// Folder of the worker's key and store. Only one worker at a time can use it. Put it on a disk that survives.
	#[arg(long, env = "GONKA_BASE_PATH", default_value = "gonka-worker", value_name = "DIR")]
	pub base_path: PathBuf,
	/// The worker's host.
	#[command(flatten)]
	pub host: Host,
	/// File with the worker key (a phrase, 0x and a seed in hex, or //Name). The key holds no funds. By default
	/// `worker.key` in the base path, which the worker makes at its first start.
	#[arg(long, env = "GONKA_KEY", value_name = "FILE")]
	pub key: Option<PathBuf>,
	/// Address on which to listen for gateways: HTTP/1.1 and HTTP/2 without TLS. Port 0 takes a free port.
	#[arg(long, env = "GONKA_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
	pub listen: SocketAddr,
	/// URL at which gateways reach this worker, as it is registered on chain; https://… if a TLS proxy is in front. By
	/// default http:// and the listening address, which only works on a single machine.
	#[arg(long, env = "GONKA_PUBLIC_URL", value_name = "URL")]
	pub public_url: Option<String>,
	/// Inference.
	#[command(flatten)]
	pub serving: Serving,
	/// The sprint.
	#[command(flatten)]
	pub sprint: Sprint,
	/// Other hosts.
	#[command(flatten)]
	pub peers: AddressArgs,
	/// Maximum time for running completions after SIGTERM, in seconds.
	#[arg(long, env = "GONKA_GRACE", default_value_t = 20, value_name = "SECONDS")]
	pub grace: u64,
	/// Logs and traces.
	#[command(flatten)]
	pub telemetry: TelemetryArgs,
}

/// The worker's host.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Host {
	/// Account of the host (SS58). The worker does not need the host's key: register the worker with `gonka host
	/// register`.
	#[arg(long, env = "GONKA_HOST", value_name = "ACCOUNT")]
	pub host: Option<String>,
	/// File with the host's key, for test networks: the worker registers itself. This key controls the host and its
	/// funds.
	#[arg(long, env = "GONKA_HOST_KEY", value_name = "FILE")]
	pub host_key: Option<PathBuf>,
}

/// Options for inference.
#[derive(Clone, Debug, Args)]
pub struct Serving {
	/// The engine.
	#[arg(long, env = "GONKA_ENGINE", value_enum, default_value_t = EngineKind::Llama)]
	pub engine: EngineKind,
	/// The model's GGUF file, for --engine llama and --engine torch, or for torch a folder with config.json, tokenizer.json and
	/// *.safetensors. Its SHA-256 must be the one registered on chain (docs/governance.md).
	/// Give it several times, each with its --model-name, to serve several models with --slots each.
	#[arg(long, env = "GONKA_MODEL", value_name = "FILE")]
	pub model: Vec<PathBuf>,
	/// Device of --engine torch: cpu, cuda:0, cuda:1 … (cuda needs a libtorch with CUDA). By default the CPU.
	#[arg(long, env = "GONKA_ENGINE_DEVICE", value_name = "DEVICE")]
	pub engine_device: Option<String>,
	/// Name of the model in the registry on chain: one for each --model, in the same order.
	#[arg(long, env = "GONKA_MODEL_NAME", default_value = "SmolLM2-135M-Instruct", value_name = "NAME")]
	pub model_name: Vec<String>,
	/// GGUF file with the tokenizer of a model that is itself no GGUF file: one with the same model, or a tokenizer file (of
	/// `gonka-worker tokenizer`). Gateways fetch it from hosts. It may be given several times.
	#[arg(long, env = "GONKA_TOKENIZER", value_name = "FILE")]
	pub tokenizer: Vec<PathBuf>,
	/// Number of threads of the engine. By default all cores but one, which is left to the node.
	#[arg(long, env = "GONKA_THREADS", value_name = "N")]
	pub threads: Option<usize>,
	/// Number of completions that --engine llama or --engine torch generates at the same time, in one batch.
	#[arg(long, env = "GONKA_SLOTS", default_value_t = 4, value_name = "N")]
	pub slots: usize,
	/// Maximum number of tokens of prompt and completion together; memory grows with it. The limits of the model and of
	/// its registration apply, too. By default 2048, or the limit of the upstream server.
	#[arg(long, env = "GONKA_CONTEXT", value_name = "TOKENS")]
	pub context: Option<usize>,
	/// The server of the upstream engine.
	#[command(flatten)]
	pub upstream: Upstream,
	/// Maximum number of running and waiting requests over all gateways; further ones are rejected as busy, so that gateways
	/// try another host. An upstream server gets at most this many at the same time. By default 64 with a server of your
	/// own, otherwise two for each slot and two more.
	#[arg(long, env = "GONKA_CAPACITY", value_name = "N")]
	pub capacity: Option<u32>,
	/// Maximum number of requests of a new channel that run or have no voucher yet: what a gateway that never pays can cost. It
	/// grows by one for every eight requests that the channel has paid for, up to eight times.
	#[arg(long, env = "GONKA_CREDIT_REQUESTS", default_value_t = 8, value_name = "N")]
	pub credit_requests: u64,
	/// Maximum size of the stored evidence for audits, in GiB. Beyond it, requests are rejected as busy.
	#[arg(long, env = "GONKA_EVIDENCE_GIB", default_value_t = 64, value_name = "GIB")]
	pub evidence_gib: u32,
	/// Speed of the mock engine, in tokens per second for each completion; unlimited by default.
	#[cfg(feature = "mock")]
	#[arg(long, env = "GONKA_MOCK_SPEED", value_name = "TOKENS/S")]
	pub mock_speed: Option<f64>,
}

/// Options for the server of the upstream engine.
#[derive(Clone, Debug, Args)]
pub struct Upstream {
	/// URL of the server, such as http://127.0.0.1:8000, for --engine upstream. The worker waits for the server, also when
	/// it restarts. Keep the server off the internet: it computes for every client.
	#[arg(long, env = "GONKA_UPSTREAM_URL", value_name = "URL")]
	pub upstream_url: Option<String>,
	/// Name of the model at the server, if the server has several.
	#[arg(long, env = "GONKA_UPSTREAM_MODEL", value_name = "NAME")]
	pub upstream_model: Option<String>,
	/// File with the server's API key (--api-key of vLLM and others). The key is never logged.
	#[arg(long, env = "GONKA_UPSTREAM_KEY_FILE", value_name = "FILE")]
	pub upstream_key_file: Option<PathBuf>,
	/// Number of the model's token ids: vocab_size in its config.json. vLLM with the plug-in reports it.
	#[arg(long, env = "GONKA_UPSTREAM_VOCAB", value_name = "N")]
	pub upstream_vocab: Option<usize>,
	/// Ids that end a completion: eos_token_id in the model's generation_config.json. By default the ids of the usual
	/// names. All hosts of a model must give the same ids.
	#[arg(long, env = "GONKA_UPSTREAM_EOS", value_name = "ID,ID…", value_delimiter = ',')]
	pub upstream_eos: Vec<u32>,
}

/// Options for the sprint.
#[derive(Clone, Debug, Args)]
pub struct Sprint {
	/// Take no part in sprints. The host then has no weight, but can serve.
	#[arg(long, env = "GONKA_NO_SPRINT")]
	pub no_sprint: bool,
	/// Device that computes sprints: cpu, cuda:0, cuda:1 … use libtorch (cuda needs one with CUDA); reference uses the
	/// CPU without libtorch. All of them compute the same leaves.
	#[arg(long, env = "GONKA_DEVICE", default_value = "cpu", value_name = "DEVICE")]
	pub device: String,
	/// Compute at most this many leaves per second. Without it, as many as the machine can.
	#[arg(long, env = "GONKA_SPRINT_RATE", value_name = "LEAVES/S", value_parser = rate)]
	pub sprint_rate: Option<f64>,
	/// Number of threads for the sprint on a CPU. They have a low priority.
	#[arg(long, env = "GONKA_SPRINT_THREADS", default_value_t = 1, value_name = "N")]
	pub sprint_threads: u16,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
	/// llama.cpp: GGUF models of all families, in all formats.
	Llama,
	/// libtorch: models of the llama family, as GGUF in F32, F16, BF16, Q4_1 and Q8_0, or as a folder with safetensors.
	Torch,
	/// A separate server at --upstream-url: vLLM or SGLang.
	Upstream,
	/// Invented completions without a model, for test networks.
	#[cfg(feature = "mock")]
	Mock,
}

impl Serving {
	/// Returns the maximum number of running and waiting requests of all models together.
	pub fn capacity(&self) -> u32 {
		let models = u32::try_from(self.model_name.len()).unwrap_or(u32::MAX);
		self.capacity.unwrap_or_else(|| self.capacity_of_one().saturating_mul(models))
	}

	/// Returns the maximum number of running and waiting requests of a model.
	pub fn capacity_of_one(&self) -> u32 {
		let slots = u32::try_from(self.slots).unwrap_or(u32::MAX);
		let default = match self.engine {
			EngineKind::Llama | EngineKind::Torch => slots.saturating_mul(2).saturating_add(2),
			_ => 64,
		};
		let models = u32::try_from(self.model_name.len()).unwrap_or(u32::MAX).max(1);
		self.capacity.map_or(default, |all| (all / models).max(1))
	}
}

impl Cli {
	/// Reads a command line, and checks what depends on more than one option.
	pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
		let cli = Self::try_parse_from(arguments)?;
		let (engine, files, names) = (cli.serving.engine, cli.serving.model.len(), &cli.serving.model_name);
		let is_local = matches!(engine, EngineKind::Llama | EngineKind::Torch);
		if is_local && files == 0 {
			let message = "the engine needs a model: give --model <FILE>";
			return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
		}
		if names.len() > MAX_MODELS_PER_HOST as usize {
			let message = format!("a host can serve at most {MAX_MODELS_PER_HOST} models");
			return Err(Self::command().error(ErrorKind::WrongNumberOfValues, message));
		}
		if is_local && files != names.len() || engine == EngineKind::Upstream && names.len() > 1 {
			let message = format!(
				"there are {files} --model and {} --model-name: give one name for each file, in the same order; an upstream server \
				 has one model",
				names.len()
			);
			return Err(Self::command().error(ErrorKind::WrongNumberOfValues, message));
		}
		let mut seen = HashSet::new();
		if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
			let message = format!("--model-name {name} stands twice");
			return Err(Self::command().error(ErrorKind::ValueValidation, message));
		}
		if cli.serving.engine != EngineKind::Torch && cli.serving.engine_device.is_some() {
			let message = "--engine-device is for --engine torch";
			return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
		}
		if cli.serving.engine == EngineKind::Upstream && cli.serving.upstream.upstream_url.is_none() {
			let message =
				"the upstream engine needs a server: give --upstream-url <URL>, such as http://127.0.0.1:8000";
			return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
		}
		Ok(cli)
	}

	/// Returns the maximum time for running completions after a signal.
	pub fn grace(&self) -> Duration {
		Duration::from_secs(self.grace)
	}
}

/// The value of `--sprint-rate` is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("it must be a number above 0")]
struct BadRate;

fn rate(text: &str) -> Result<f64, BadRate> {
	text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or(BadRate)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_options_are_consistent() {
		Cli::command().debug_assert();
		let parse = |line: &str| Cli::read(line.split_whitespace());
		assert!(parse("w --host 5x --model m").is_ok());
		assert!(parse("w --model m").is_err(), "a host is required");
		assert!(parse("w --host 5x --host-key f --model m").is_err(), "the two exclude each other");
		assert!(parse("w --host 5x").is_err(), "the engine needs a model");
		assert!(parse("w --host 5x --engine torch").is_err(), "the torch engine needs one, too");
		assert!(parse("w --host 5x --model m --engine-device cpu").is_err(), "llama.cpp has no such option");
		assert!(parse("w --host 5x --engine torch --model m --engine-device cpu").is_ok());
		assert!(parse("w --host 5x --model m --sprint-rate 0").is_err(), "a rate is above 0");
		assert!(parse("w calibrate --model m").is_err(), "calibration is another program");
		assert!(parse("w --host 5x --engine upstream").is_err(), "the upstream engine needs a server");
		assert!(parse("w --host 5x --model a --model b").is_err(), "a name for each file");
		assert!(parse("w --host 5x --model a --model b --model-name x --model-name x").is_err(), "different names");
		let two = parse("w --host 5x --model a --model b --model-name x --model-name y --slots 3").unwrap().serving;
		assert_eq!((two.model_name, two.model.len()), (vec!["x".to_owned(), "y".to_owned()], 2));
		let cli = parse("w --host 5x --engine upstream --upstream-url http://h:1 --upstream-eos 2,0").unwrap();
		assert_eq!(cli.serving.upstream.upstream_eos, [2, 0]);
	}
}
