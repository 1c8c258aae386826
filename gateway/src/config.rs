//! Command line and environment.

use crate::auth::ApiKeys;
use anyhow::{Context, bail};
use clap::Parser;
use gonka_client::{
	peer_http::{AddressArgs, Addresses},
	telemetry::TelemetryArgs,
};
use gonka_primitives::{Balance, GNK};
use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

const LONG_ABOUT: &str = "\
An OpenAI-style API in front of the Gonka network. Point any OpenAI client at it:

  gonka-gateway --key ~/.gonka/developer.key
  curl http://127.0.0.1:8080/v1/models
  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=any python app.py

The key file holds the secret of a developer account: a seed phrase, 0x and 64 hex digits, or //Alice on a
development chain. Put only as much GNK on that account as the gateway may spend. The gateway opens payment channels
to the heaviest hosts that serve a model, tops a channel up when half of it is used, and pays for each completion with
a signed voucher. Its ledger lies under --base-path and survives a crash. Run one gateway per key.";

/// The command line's arguments.
#[derive(Clone, Debug, Parser)]
#[command(name = "gonka-gateway", version, about = "OpenAI-style API in front of the Gonka network", long_about = LONG_ABOUT)]
pub struct Args {
	/// WebSocket endpoint of a node of the network.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	pub node: String,
	/// Address for clients. Port 0 takes a free port and prints it.
	#[arg(long, env = "GONKA_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
	pub listen: SocketAddr,
	/// File with the secret of the developer's account.
	#[arg(long, env = "GONKA_KEY", value_name = "FILE")]
	pub key: PathBuf,
	/// File with a separate secret that signs requests and vouchers. Default: the developer's own.
	#[arg(long, env = "GONKA_GATEWAY_KEY", value_name = "FILE")]
	pub gateway_key: Option<PathBuf>,
	/// Directory of the gateway's ledger.
	#[arg(long, env = "GONKA_BASE_PATH", default_value = "gonka-gateway-data", value_name = "DIR")]
	pub base_path: PathBuf,
	/// File with the API keys of clients, one `name:key` a line.
	#[arg(long, env = "GONKA_API_KEYS", value_name = "FILE")]
	pub api_keys: Option<PathBuf>,
	/// API key of a client. Can be given more than once.
	#[arg(
		long = "api-key",
		env = "GONKA_API_KEY",
		hide_env_values = true,
		value_delimiter = ',',
		value_name = "NAME:KEY"
	)]
	pub api_key: Vec<String>,
	/// Listen beyond this machine without API keys. Every client that reaches the gateway then spends your GNK.
	#[arg(long, env = "GONKA_ALLOW_ANONYMOUS")]
	pub allow_anonymous: bool,
	/// Alias of a model. Can be given more than once.
	#[arg(long, env = "GONKA_ALIAS", value_delimiter = ',', value_name = "NAME=MODEL")]
	pub alias: Vec<String>,
	/// Deposit of a new channel, in GNK.
	#[arg(long, env = "GONKA_DEPOSIT", default_value = "10", value_parser = parse_gnk, value_name = "GNK")]
	pub deposit: Balance,
	/// Maximum number of channels.
	#[arg(long, env = "GONKA_MAX_CHANNELS", default_value_t = 8, value_name = "N")]
	pub max_channels: usize,
	/// Maximum sum of the deposits of all channels, in GNK. Default: the account's balance.
	#[arg(long, env = "GONKA_SPENDING_LIMIT", value_parser = parse_gnk, value_name = "GNK")]
	pub spending_limit: Option<Balance>,
	/// Maximum number of completion tokens of a chat request that names none, if the context window has room.
	#[arg(long, env = "GONKA_DEFAULT_MAX_TOKENS", default_value_t = 1024, value_name = "TOKENS")]
	pub default_max_tokens: u32,
	/// Ignore parameters that the network cannot honour (tools, logprobs, penalties …) instead of rejecting the request.
	#[arg(long, env = "GONKA_IGNORE_UNSUPPORTED")]
	pub ignore_unsupported: bool,
	/// Hosts.
	#[command(flatten)]
	pub hosts: AddressArgs,
	/// Maximum time until the first token of a host, in seconds.
	#[arg(long, env = "GONKA_FIRST_TOKEN_TIMEOUT", default_value_t = 120, value_name = "SECONDS")]
	pub first_token_timeout: u64,
	/// Maximum time between two tokens of a host, in seconds.
	#[arg(long, env = "GONKA_TOKEN_TIMEOUT", default_value_t = 30, value_name = "SECONDS")]
	pub token_timeout: u64,
	/// Maximum time of a request, over all hosts, in seconds.
	#[arg(long, env = "GONKA_REQUEST_TIMEOUT", default_value_t = 600, value_name = "SECONDS")]
	pub request_timeout: u64,
	/// Maximum time for running requests when the gateway stops, in seconds.
	#[arg(long, env = "GONKA_DRAIN_TIMEOUT", default_value_t = 30, value_name = "SECONDS")]
	pub drain_timeout: u64,
	/// Logs and traces.
	#[command(flatten)]
	pub telemetry: TelemetryArgs,
}

/// The settings of a running gateway.
#[derive(Clone, Debug)]
pub struct Options {
	/// API keys of clients.
	pub api_keys: ApiKeys,
	/// Models by alias.
	pub aliases: HashMap<String, String>,
	/// Deposit of a new channel, in base units.
	pub deposit: Balance,
	/// Maximum number of channels.
	pub max_channels: usize,
	/// Maximum sum of the deposits of all channels, in base units.
	pub spending_limit: Option<Balance>,
	/// Maximum number of completion tokens of a chat request that names none.
	pub default_max_tokens: u32,
	/// Whether to ignore parameters that the network cannot honour.
	pub ignore_unsupported: bool,
	/// The addresses of hosts to which the gateway connects.
	pub addresses: Addresses,
	/// The time limits.
	pub timeouts: Timeouts,
}

/// Time limits.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
	/// Maximum time to connect to a worker.
	pub connect: Duration,
	/// Maximum time until the first token of a host.
	pub first_token: Duration,
	/// Maximum time between two tokens of a host.
	pub token: Duration,
	/// Maximum time of a request, over all hosts.
	pub request: Duration,
	/// Time after which a streaming client gets its headers without a token.
	pub hold_headers: Duration,
	/// Interval of keep-alive comments on a stream without tokens.
	pub keep_alive: Duration,
	/// Maximum time to send a voucher or to query a channel.
	pub control: Duration,
}

impl Default for Timeouts {
	fn default() -> Self {
		Self {
			connect: Duration::from_secs(2),
			first_token: Duration::from_secs(120),
			token: Duration::from_secs(30),
			request: Duration::from_secs(600),
			hold_headers: Duration::from_secs(5),
			keep_alive: Duration::from_secs(10),
			control: Duration::from_secs(10),
		}
	}
}

impl Default for Options {
	fn default() -> Self {
		Self {
			api_keys: ApiKeys::default(),
			aliases: HashMap::new(),
			deposit: 10 * GNK,
			max_channels: 8,
			spending_limit: None,
			default_max_tokens: 1024,
			ignore_unsupported: false,
			addresses: Addresses::Public,
			timeouts: Timeouts::default(),
		}
	}
}

impl Args {
	/// Validates the arguments and reads the file of API keys.
	pub fn options(&self) -> anyhow::Result<Options> {
		let mut api_keys = match &self.api_keys {
			Some(path) => {
				let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
				ApiKeys::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
			},
			None => ApiKeys::default(),
		};
		for entry in &self.api_key {
			api_keys.add(entry).map_err(|error| anyhow::anyhow!("--api-key: {error}"))?;
		}
		if api_keys.is_empty() && !self.listen.ip().is_loopback() && !self.allow_anonymous {
			bail!(
				"{} can be reached from other machines, but there are no API keys: give --api-keys FILE or --api-key \
				 NAME:KEY, or --allow-anonymous if every client may spend your GNK",
				self.listen
			);
		}
		let mut aliases = HashMap::new();
		for entry in &self.alias {
			match entry.split_once('=') {
				Some((name, model)) if !name.is_empty() && !model.is_empty() => {
					aliases.insert(name.to_owned(), model.to_owned());
				},
				_ => bail!("--alias {entry}: write NAME=MODEL"),
			}
		}
		Ok(Options {
			api_keys,
			aliases,
			deposit: self.deposit,
			max_channels: self.max_channels,
			spending_limit: self.spending_limit,
			default_max_tokens: self.default_max_tokens.max(1),
			ignore_unsupported: self.ignore_unsupported,
			addresses: self.hosts.addresses(),
			timeouts: Timeouts {
				first_token: Duration::from_secs(self.first_token_timeout),
				token: Duration::from_secs(self.token_timeout),
				request: Duration::from_secs(self.request_timeout),
				..Timeouts::default()
			},
		})
	}
}

/// Why an amount cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
	/// The text is not a decimal number.
	#[error("an amount in GNK is a number with up to 9 decimals")]
	Malformed,
	/// The amount exceeds 128 bits.
	#[error("the amount is too large")]
	TooLarge,
}

/// Reads an amount in GNK with up to 9 decimals into base units.
pub fn parse_gnk(text: &str) -> Result<Balance, AmountError> {
	let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
	let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
	if whole.is_empty() || decimals.len() > 9 || !digits(whole) || !digits(decimals) {
		return Err(AmountError::Malformed);
	}
	let whole: Balance = whole.parse().map_err(|_| AmountError::TooLarge)?;
	let decimals: Balance = format!("{decimals:0<9}").parse().map_err(|_| AmountError::TooLarge)?;
	whole.checked_mul(GNK).and_then(|units| units.checked_add(decimals)).ok_or(AmountError::TooLarge)
}

/// Writes base units as GNK, without trailing zeros.
pub fn format_gnk(units: Balance) -> String {
	let text = format!("{}.{:09}", units / GNK, units % GNK);
	text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn amounts_are_read_and_written_in_gnk_with_up_to_nine_decimals() {
		assert_eq!(parse_gnk("10"), Ok(10 * GNK));
		assert_eq!(parse_gnk("0.000000001"), Ok(1));
		assert_eq!(format_gnk(1), "0.000000001");
		assert_eq!(format_gnk(12_500_000_000), "12.5");
		for bad in ["", "-1", "1e3", ".5", "0.0000000001", "99999999999999999999999999999999999999999"] {
			assert!(parse_gnk(bad).is_err(), "{bad}");
		}
	}

	fn args(more: &[&str]) -> Args {
		Args::parse_from(["gonka-gateway", "--key", "k"].iter().chain(more))
	}

	#[test]
	fn a_gateway_open_to_other_machines_needs_keys_or_consent() {
		assert!(args(&[]).options().is_ok());
		assert!(args(&["--listen", "0.0.0.0:8080"]).options().is_err());
		assert!(args(&["--listen", "0.0.0.0:8080", "--allow-anonymous"]).options().is_ok());
		assert!(args(&["--listen", "0.0.0.0:8080", "--api-key", "a:b"]).options().is_ok());
	}

	#[test]
	fn aliases_are_read() {
		let options = args(&["--alias", "gpt-4o-mini=SmolLM2-135M-Instruct"]).options().unwrap();
		assert_eq!(options.aliases["gpt-4o-mini"], "SmolLM2-135M-Instruct");
		assert!(args(&["--alias", "x"]).options().is_err());
	}
}
