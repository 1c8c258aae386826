//! The command line.

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

/// Runs beside a Gonka node for a host: computes sprints, serves inference to gateways and settles what they owe.
#[derive(Clone, Debug, Parser)]
#[command(
	name = "gonka-worker",
	version,
	args_conflicts_with_subcommands = true,
	subcommand_negates_reqs = true,
	after_help = "\
Examples:
  A host that keeps its host key elsewhere (the worker says what to register):
    gonka-worker --host 5Grw… --model SmolLM2-135M-Instruct.Q4_1.gguf --model-name SmolLM2-135M-Instruct \\
      --listen 0.0.0.0:9000 --public-url http://203.0.113.7:9000
  A test network, where the worker may register its host by itself:
    gonka-worker --host-key alice.key --model SmolLM2-135M-Instruct.Q4_1.gguf \\
      --model-name SmolLM2-135M-Instruct --listen 127.0.0.1:0 --sprint-rate 40
  A large model, served by vLLM on this machine (docs/worker.md says how to start it, and what is checked of it):
    gonka-worker --host 5Grw… --engine upstream --upstream-url http://127.0.0.1:8000 --upstream-vocab 151936 \\
      --model-name Qwen3-32B --listen 0.0.0.0:9000 --public-url http://203.0.113.7:9000

Every option can be given as an environment variable; a flag wins over it.
Logs go to standard error (RUST_LOG chooses: info, gonka_worker=debug …); one line `listening on http://…` goes to
standard output. SIGTERM or Ctrl-C ends it gracefully, a second one at once. It can be killed at any moment: what it
signed is on disk before anybody sees it, and a sprint goes on where it was.
Exit codes: 0 ended by a signal, 1 could not start or failed (the last line says why), 2 wrong options."
)]
pub struct Cli {
	/// Something else than working.
	#[command(subcommand)]
	pub command: Option<Command>,
	/// The node's RPC address; the worker waits for it and reconnects for ever.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	pub node: String,
	/// Where the worker keeps its key and what it signed. One worker at a time may use it; keep it on a disk that
	/// survives.
	#[arg(long, env = "GONKA_BASE_PATH", default_value = "gonka-worker", value_name = "DIR")]
	pub base_path: PathBuf,
	/// Who this worker works for.
	#[command(flatten)]
	pub host: Host,
	/// File with the worker's own key (a phrase, 0x and a seed in hex, or //Name). It holds no funds. By default
	/// `worker.key` in the base path, made at the first start.
	#[arg(long, env = "GONKA_KEY", value_name = "FILE")]
	pub key: Option<PathBuf>,
	/// Where to listen for gateways: HTTP/1.1 and HTTP/2 without TLS. Port 0 takes a free one.
	#[arg(long, env = "GONKA_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
	pub listen: SocketAddr,
	/// Where gateways reach this worker, as registered on chain. By default http:// and the listening address, which
	/// suits a single machine only. With a TLS proxy in front: https://…
	#[arg(long, env = "GONKA_PUBLIC_URL", value_name = "URL")]
	pub public_url: Option<String>,
	/// What serves inference.
	#[command(flatten)]
	pub serving: Serving,
	/// What computes sprints.
	#[command(flatten)]
	pub sprint: Sprint,
	/// How long running answers may go on after SIGTERM, in seconds.
	#[arg(long, env = "GONKA_GRACE", default_value_t = 20, value_name = "SECONDS")]
	pub grace: u64,
}

/// What the program does beside working.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
	/// Measures how a model's honest and dishonest answers differ, and makes the calibration profile that governance
	/// registers. Needs no chain. What was measured is kept: a run that was ended goes on where it was.
	Calibrate(Calibrate),
}

/// What is calibrated, and how thoroughly.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  gonka-worker calibrate --model SmolLM2-135M-Instruct.Q4_1.gguf --name SmolLM2-135M-Instruct --out smollm2
writes smollm2/profile.json, report.md and roc.svg. Then somebody proposes the profile:
  gonka gov propose profile SmolLM2-135M-Instruct smollm2/profile.json --key …
Exit codes: 0 done, 1 failed or an honest host raised an alarm, 2 wrong options.")]
pub struct Calibrate {
	/// The model's GGUF file.
	#[arg(long, value_name = "FILE")]
	pub model: PathBuf,
	/// The model's name in the report.
	#[arg(long, default_value = "SmolLM2-135M-Instruct", value_name = "NAME")]
	pub name: String,
	/// Where measurements, profile and report are written.
	#[arg(long, default_value = "calibration", value_name = "DIR")]
	pub out: PathBuf,
	/// Tokens of honest hosts that checkers look at. A million take some four hours of a core.
	#[arg(long, default_value_t = 1_000_000, value_name = "N")]
	pub tokens: u64,
	/// Tokens of an answer.
	#[arg(long, default_value_t = 300, value_name = "N")]
	pub length: u32,
	/// Answers of each kind of cheat.
	#[arg(long, default_value_t = 64, value_name = "N")]
	pub answers: usize,
	/// Texts that answers begin with, one a line. By default 64 of all kinds.
	#[arg(long, value_name = "FILE")]
	pub prompts: Option<PathBuf>,
	/// A profile to try on this machine, where none is to be made: would its honest hosts raise an alarm?
	#[arg(long, value_name = "FILE")]
	pub profile: Option<PathBuf>,
	/// Measurements at the same time, each on a core with the model in memory twice. By default one a core.
	#[arg(long, value_name = "N")]
	pub jobs: Option<usize>,
}

/// Who the worker works for.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Host {
	/// The host's account (SS58). Its key is not needed here: register the worker with `gonka host register`.
	#[arg(long, env = "GONKA_HOST", value_name = "ACCOUNT")]
	pub host: Option<String>,
	/// File with the host's key, for test networks: the worker registers itself. Whoever reads it owns the host.
	#[arg(long, env = "GONKA_HOST_KEY", value_name = "FILE")]
	pub host_key: Option<PathBuf>,
}

/// What serves inference.
#[derive(Clone, Debug, Args)]
pub struct Serving {
	/// The engine.
	#[arg(long, env = "GONKA_ENGINE", value_enum, default_value_t = EngineKind::Torch)]
	pub engine: EngineKind,
	/// The model's GGUF file, for --engine torch. Its SHA-256 must be the one registered on chain.
	#[arg(long, env = "GONKA_MODEL", value_name = "FILE")]
	pub model: Option<PathBuf>,
	/// The model's name in the registry on chain.
	#[arg(long, env = "GONKA_MODEL_NAME", default_value = "SmolLM2-135M-Instruct", value_name = "NAME")]
	pub model_name: String,
	/// Threads of the torch engine. By default all cores but one, which is left to the node.
	#[arg(long, env = "GONKA_THREADS", value_name = "N")]
	pub threads: Option<usize>,
	/// Answers that the torch engine generates at a time, in one batch.
	#[arg(long, env = "GONKA_SLOTS", default_value_t = 4, value_name = "N")]
	pub slots: usize,
	/// Tokens of prompt and answer together; memory grows with it. The model's own limit and the registry's cap it. By
	/// default 2048, or with an upstream what that says.
	#[arg(long, env = "GONKA_CONTEXT", value_name = "TOKENS")]
	pub context: Option<usize>,
	/// The server behind the upstream engine.
	#[command(flatten)]
	pub upstream: Upstream,
	/// Requests running and waiting, over all gateways, before others are told to go elsewhere. An upstream gets so many at
	/// a time.
	#[arg(long, env = "GONKA_CAPACITY", default_value_t = 64, value_name = "N")]
	pub capacity: u32,
	/// Requests that one channel may have running or without a voucher: what a gateway that never pays can cost.
	#[arg(long, env = "GONKA_CREDIT_REQUESTS", default_value_t = 8, value_name = "N")]
	pub credit_requests: u64,
	/// GiB on disk for answers that others may still sample; beyond it requests are refused.
	#[arg(long, env = "GONKA_EVIDENCE_GIB", default_value_t = 64, value_name = "GIB")]
	pub evidence_gib: u32,
	/// Tokens a second of the mock engine's answers; unlimited by default.
	#[cfg(feature = "mock")]
	#[arg(long, env = "GONKA_MOCK_SPEED", value_name = "TOKENS/S")]
	pub mock_speed: Option<f64>,
}

/// The server behind the upstream engine.
#[derive(Clone, Debug, Args)]
pub struct Upstream {
	/// Where the server is, like http://127.0.0.1:8000, for --engine upstream. The worker waits
	/// for it, and goes on when it comes back. Whoever reaches it computes for free: keep it off the internet.
	#[arg(long, env = "GONKA_UPSTREAM_URL", value_name = "URL")]
	pub upstream_url: Option<String>,
	/// The model's name at that server, if it serves several.
	#[arg(long, env = "GONKA_UPSTREAM_MODEL", value_name = "NAME")]
	pub upstream_model: Option<String>,
	/// File with the key that the server wants (--api-key of vLLM and others). It never shows in logs.
	#[arg(long, env = "GONKA_UPSTREAM_KEY_FILE", value_name = "FILE")]
	pub upstream_key_file: Option<PathBuf>,
	/// The number of the model's token ids: vocab_size in its config.json. llama.cpp says it; vLLM and SGLang do not.
	#[arg(long, env = "GONKA_UPSTREAM_VOCAB", value_name = "N")]
	pub upstream_vocab: Option<usize>,
	/// The ids that end an answer: eos_token_id in the model's generation_config.json. By default those of the usual names.
	/// All hosts of a model must give the same.
	#[arg(long, env = "GONKA_UPSTREAM_EOS", value_name = "ID,ID…", value_delimiter = ',')]
	pub upstream_eos: Vec<u32>,
}

/// What computes sprints.
#[derive(Clone, Debug, Args)]
pub struct Sprint {
	/// Compute no sprints: the host then has no weight, but can serve.
	#[arg(long, env = "GONKA_NO_SPRINT")]
	pub no_sprint: bool,
	/// Where sprints are computed: cpu or cuda:0, cuda:1 … by libtorch (which then needs CUDA), or reference: also the
	/// CPU, but without libtorch. All give the same leaves.
	#[arg(long, env = "GONKA_DEVICE", default_value = "cpu", value_name = "DEVICE")]
	pub device: String,
	/// Compute at most so many leaves a second, exactly. Without it, as many as the machine can.
	#[arg(long, env = "GONKA_SPRINT_RATE", value_name = "LEAVES/S", value_parser = rate)]
	pub sprint_rate: Option<f64>,
	/// Threads of the sprint, on a CPU. They have a low priority.
	#[arg(long, env = "GONKA_SPRINT_THREADS", default_value_t = 1, value_name = "N")]
	pub sprint_threads: u16,
}

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
	/// libtorch: GGUF models of the llama family.
	Torch,
	/// A server of its own: vLLM, SGLang or llama.cpp, at --upstream-url.
	Upstream,
	/// Made-up answers without a model, for tests of networks.
	#[cfg(feature = "mock")]
	Mock,
}

impl Cli {
	/// Reads a command line, and checks what depends on more than one option.
	pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
		let cli = Self::try_parse_from(arguments)?;
		if cli.command.is_some() {
			return Ok(cli);
		}
		if cli.serving.engine == EngineKind::Torch && cli.serving.model.is_none() {
			let message = "the torch engine needs a model: give --model <FILE>";
			return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
		}
		if cli.serving.engine == EngineKind::Upstream && cli.serving.upstream.upstream_url.is_none() {
			let message = "the upstream engine needs a server: give --upstream-url <URL>, like http://127.0.0.1:8000";
			return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
		}
		Ok(cli)
	}

	/// How long running answers may go on after a signal.
	pub fn grace(&self) -> Duration {
		Duration::from_secs(self.grace)
	}
}

fn rate(text: &str) -> Result<f64, String> {
	match text.parse::<f64>() {
		Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
		_ => Err("it must be a number above 0".into()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_options_are_consistent() {
		Cli::command().debug_assert();
		let parse = |line: &str| Cli::read(line.split_whitespace());
		assert!(parse("w --host 5x --model m").is_ok());
		assert!(parse("w --model m").is_err(), "a host is needed");
		assert!(parse("w --host 5x --host-key f --model m").is_err(), "one of the two");
		assert!(parse("w --host 5x").is_err(), "torch needs a model");
		assert!(parse("w --host 5x --model m --sprint-rate 0").is_err());
		assert!(parse("w calibrate --model m").is_ok(), "that needs no host");
		assert!(parse("w calibrate").is_err() && parse("w --host 5x calibrate --model m").is_err());
		assert!(parse("w --host 5x --engine upstream").is_err(), "upstream needs a server");
		let cli = parse("w --host 5x --engine upstream --upstream-url http://h:1 --upstream-eos 2,0").unwrap();
		assert_eq!(cli.serving.upstream.upstream_eos, [2, 0]);
	}
}
