//! Command line and environment.

use crate::{
	api_keys::{calendar::Clock, command::Command},
	auth::ApiKeys,
	guard::HostNames,
};
use anyhow::{Context, bail};
use clap::Parser;
use gonka_client::{
	keys,
	peer_http::{AddressArgs, Addresses},
	telemetry::TelemetryArgs,
};
use gonka_primitives::{Balance, GNK};
use std::{
	collections::HashMap,
	net::SocketAddr,
	path::{Path, PathBuf},
	time::Duration,
};

const LONG_ABOUT: &str = "\
An OpenAI-style API in front of the Gonka network. Point any OpenAI client at it:

  gonka-gateway --key ~/.gonka/developer.key
  curl http://127.0.0.1:8080/v1/models -H \"Authorization: Bearer $(cat gonka-gateway-data/api-key)\"
  OPENAI_BASE_URL=http://127.0.0.1:8080/v1 \\
    OPENAI_API_KEY=$(cat gonka-gateway-data/api-key) python app.py

At its first start it makes an API key and shows it, unless you give keys of your own. That key has no limits; \
`gonka-gateway key create` makes keys with budgets, for a running gateway, too.

The key file holds the secret of a developer account: a seed phrase, 0x and 64 hex digits, or //Alice on a \
development chain. Put only as much GNK on that account as the gateway may spend. The gateway opens payment channels \
to the heaviest hosts that serve a model, tops a channel up when half of it is used, and pays for each completion with \
a signed voucher. Its ledger lies under --base-path and survives a crash. Run one gateway per key.";

/// The command line's arguments.
#[derive(Clone, Debug, Parser)]
#[command(
	name = "gonka-gateway",
	version,
	about = "OpenAI-style API in front of the Gonka network",
	long_about = LONG_ABOUT,
	max_term_width = 100,
	subcommand_negates_reqs = true
)]
pub struct Args {
	/// Does this instead of running the gateway.
	#[command(subcommand)]
	pub command: Option<Command>,
	/// WebSocket endpoint of a node of the network.
	#[arg(long, env = "GONKA_NODE", default_value = "ws://127.0.0.1:9944", value_name = "URL")]
	pub node: String,
	/// Address for clients. Port 0 takes a free port and prints it.
	#[arg(long, env = "GONKA_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
	pub listen: SocketAddr,
	/// File with the secret of the developer's account.
	#[arg(long, env = "GONKA_KEY", value_name = "FILE", required = true)]
	pub key: Option<PathBuf>,
	/// File with a separate secret that signs requests and vouchers. Default: the developer's own.
	#[arg(long, env = "GONKA_GATEWAY_KEY", value_name = "FILE")]
	pub gateway_key: Option<PathBuf>,
	/// Directory of the gateway's ledger, API keys and usage.
	#[arg(long, env = "GONKA_BASE_PATH", default_value = "gonka-gateway-data", value_name = "DIR", global = true)]
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
	/// Require no API key. Every client that reaches the gateway then spends your GNK. Without it and without keys, the
	/// gateway makes a key at its first start.
	#[arg(long, env = "GONKA_ALLOW_ANONYMOUS")]
	pub allow_anonymous: bool,
	/// Origin of a web app that may use the gateway: scheme, name and port, or * for all. Can be given more than once. By default
	/// web pages cannot use it.
	#[arg(long = "cors-origin", env = "GONKA_CORS_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
	pub cors_origin: Vec<String>,
	/// Name besides localhost under which clients address the gateway, for a proxy in front of it. Can be given more than once. A
	/// gateway that listens beyond this machine answers to any name if none is given.
	#[arg(long = "host-name", env = "GONKA_HOST_NAME", value_delimiter = ',', value_name = "NAME")]
	pub host_name: Vec<String>,
	/// Alias of a model. Can be given more than once.
	#[arg(long, env = "GONKA_ALIAS", value_delimiter = ',', value_name = "NAME=MODEL")]
	pub alias: Vec<String>,
	/// Deposit of a new channel, in GNK. The chain's minimum if that is more.
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
	/// Never dispatch a request to a second host when the first token is late. Otherwise up to one of ten is: the host that is
	/// slower is cancelled, and paid for the prompt and the tokens that it made until it noticed, if it made any.
	#[arg(long, env = "GONKA_NO_HEDGING")]
	pub no_hedging: bool,
	/// Number of days for which responses of `/v1/responses` are kept for later requests, on this machine.
	#[arg(long, env = "GONKA_RESPONSE_DAYS", default_value_t = 30, value_name = "DAYS")]
	pub response_days: u32,
	/// Ignore parameters that the network cannot honour (audio, suffix …) instead of rejecting the request.
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
	/// Origins of web apps that may use the gateway.
	pub cors_origins: Vec<String>,
	/// Host names under which clients may address it.
	pub host_names: HostNames,
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
	/// Whether a request is dispatched to a second host when the first token is late.
	pub hedge: bool,
	/// Maximum age of responses that are kept.
	pub response_age: Duration,
	/// Whether to ignore parameters that the network cannot honour.
	pub ignore_unsupported: bool,
	/// The addresses of hosts to which the gateway connects.
	pub addresses: Addresses,
	/// The time limits.
	pub timeouts: Timeouts,
	/// The clock by which API keys expire and budgets reset.
	pub clock: Clock,
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
			cors_origins: Vec::new(),
			host_names: HostNames::Any,
			aliases: HashMap::new(),
			deposit: 10 * GNK,
			max_channels: 8,
			spending_limit: None,
			default_max_tokens: 1024,
			hedge: true,
			response_age: Duration::from_secs(30 * 24 * 3600),
			ignore_unsupported: false,
			addresses: Addresses::Public,
			timeouts: Timeouts::default(),
			clock: Clock::default(),
		}
	}
}

impl Args {
	/// Reads the API keys of the settings.
	///
	/// # Errors
	/// The file of keys cannot be read, or a key is malformed.
	pub fn settings_keys(&self) -> anyhow::Result<ApiKeys> {
		let mut keys = match &self.api_keys {
			Some(path) => {
				let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
				ApiKeys::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
			},
			None => ApiKeys::default(),
		};
		for entry in &self.api_key {
			keys.add(entry).map_err(|error| anyhow::anyhow!("--api-key: {error}"))?;
		}
		Ok(keys)
	}

	/// Validates the arguments and reads the files of API keys. Without keys it makes one, unless all clients are welcome.
	/// Returns the new key, too, to be shown once.
	///
	/// # Errors
	/// An argument is malformed, or a file cannot be read or written.
	pub fn options(&self) -> anyhow::Result<(Options, Option<NewKey>)> {
		if !self.node.starts_with("ws://") && !self.node.starts_with("wss://") {
			bail!("--node {}: write an address that begins with ws:// or wss://", self.node);
		}
		let mut api_keys = self.settings_keys()?;
		let mut new = None;
		if api_keys.is_empty() && !self.allow_anonymous {
			let (key, is_new) = own_key(&self.base_path)?;
			api_keys.add(&format!("own:{}", key.key)).context("the gateway's API key is empty")?;
			new = Some(key).filter(|_| is_new);
		}
		for origin in &self.cors_origin {
			let is_origin = origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
			if origin != "*" && !is_origin {
				bail!("--cors-origin {origin}: write an origin such as https://app.example.org, without a path");
			}
		}
		let is_bound = self.listen.ip().is_loopback() || !self.host_name.is_empty();
		let host_names = if is_bound { HostNames::Local(self.host_name.clone()) } else { HostNames::Any };
		let mut aliases = HashMap::new();
		for entry in &self.alias {
			match entry.split_once('=') {
				Some((name, model)) if !name.is_empty() && !model.is_empty() => {
					aliases.insert(name.to_owned(), model.to_owned());
				},
				_ => bail!("--alias {entry}: write NAME=MODEL"),
			}
		}
		let options = Options {
			api_keys,
			cors_origins: self.cors_origin.clone(),
			host_names,
			aliases,
			deposit: self.deposit,
			max_channels: self.max_channels,
			spending_limit: self.spending_limit,
			default_max_tokens: self.default_max_tokens.max(1),
			hedge: !self.no_hedging,
			response_age: Duration::from_secs(24 * 3600).saturating_mul(self.response_days),
			ignore_unsupported: self.ignore_unsupported,
			addresses: self.hosts.addresses(),
			timeouts: Timeouts {
				first_token: Duration::from_secs(self.first_token_timeout),
				token: Duration::from_secs(self.token_timeout),
				request: Duration::from_secs(self.request_timeout),
				..Timeouts::default()
			},
			clock: Clock::default(),
		};
		Ok((options, new))
	}
}

impl Options {
	/// A warning if other machines reach the gateway at `address`, and it requires no API key.
	pub fn exposure(&self, address: SocketAddr) -> Option<String> {
		let is_open = self.api_keys.is_empty() && !address.ip().is_loopback();
		is_open.then(|| {
			format!(
				"every program that reaches {address} can spend the account's GNK without an API key: leave out --allow-anonymous, \
				 or listen on 127.0.0.1"
			)
		})
	}

	/// A warning if the deposit of a new channel is below the chain's minimum, in base units.
	pub fn deposit_warning(&self, minimum: Balance) -> Option<String> {
		(self.deposit < minimum).then(|| {
			format!(
				"--deposit {} is below the chain's minimum: a new channel takes {} GNK",
				format_gnk(self.deposit),
				format_gnk(minimum)
			)
		})
	}
}

/// An API key that a gateway made for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
	/// The key.
	pub key: String,
	/// The file that keeps it, which only its owner may read.
	pub file: PathBuf,
}

/// Reads the gateway's own API key, or makes it. Returns whether it is new.
fn own_key(base_path: &Path) -> anyhow::Result<(NewKey, bool)> {
	let file = base_path.join("api-key");
	if !file.exists() {
		let mut random = [0; 24];
		getrandom::getrandom(&mut random).map_err(|error| anyhow::anyhow!("no randomness for an API key: {error}"))?;
		let key = format!("sk-gonka-{}", hex::encode(random));
		match keys::write_secret(&file, &key) {
			Ok(()) => return Ok((NewKey { key, file }, true)),
			// Another gateway was faster.
			Err(keys::Error::Exists { .. }) => {},
			Err(error) => return Err(error.into()),
		}
	}
	let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
	Ok((NewKey { key: text.trim().to_owned(), file }, false))
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
	use std::os::unix::fs::PermissionsExt;

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
	fn a_gateway_without_keys_makes_one_and_keeps_it() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().to_str().unwrap();
		let (options, new) = args(&["--base-path", path]).options().unwrap();
		let new = new.expect("it is new");
		assert!(new.key.starts_with("sk-gonka-") && new.key.len() > 40, "{}", new.key);
		assert_eq!(options.api_keys.name(Some(&format!("Bearer {}", new.key))), Some("own"));
		assert_eq!(options.api_keys.name(None), None);
		assert_eq!(std::fs::metadata(&new.file).unwrap().permissions().mode() & 0o777, 0o600);
		let (again, shown) = args(&["--base-path", path]).options().unwrap();
		assert!(shown.is_none() && again.api_keys.name(Some(&format!("Bearer {}", new.key))).is_some());
		for others in [["--api-key", "a:b"], ["--allow-anonymous", "--ignore-unsupported"]] {
			let folder = tempfile::tempdir().unwrap();
			let line = [&["--base-path", folder.path().to_str().unwrap()][..], &others].concat();
			assert!(args(&line).options().unwrap().1.is_none());
			assert!(!folder.path().join("api-key").exists());
		}
	}

	#[test]
	fn names_are_checked_where_only_this_machine_reaches_the_gateway() {
		let names = |line: &[&str]| args(&[&["--allow-anonymous"], line].concat()).options().unwrap().0.host_names;
		assert_eq!(names(&[]), HostNames::Local(Vec::new()));
		assert_eq!(
			names(&["--listen", "[::1]:1", "--host-name", "a,b"]),
			HostNames::Local(vec!["a".into(), "b".into()])
		);
		assert_eq!(names(&["--listen", "0.0.0.0:8080"]), HostNames::Any);
		assert_eq!(names(&["--listen", "0.0.0.0:8080", "--host-name", "a"]), HostNames::Local(vec!["a".into()]));
	}

	#[test]
	fn a_gateway_that_everyone_may_use_is_warned_of() {
		let exposure =
			|line: &[&str], address: &str| args(line).options().unwrap().0.exposure(address.parse().unwrap()).is_some();
		assert!(exposure(&["--allow-anonymous"], "0.0.0.0:8080"));
		assert!(!exposure(&["--allow-anonymous"], "[::1]:8080"));
		assert!(!exposure(&["--api-key", "a:b"], "0.0.0.0:8080"));
	}

	#[test]
	fn a_deposit_below_the_minimum_and_another_scheme_than_that_of_nodes_are_told_of() {
		let (options, _) = args(&["--allow-anonymous", "--deposit", "0.05"]).options().unwrap();
		let warning = options.deposit_warning(GNK / 10).unwrap();
		assert!(warning.contains("0.05") && warning.contains("0.1 GNK"), "{warning}");
		assert_eq!(options.deposit_warning(GNK / 20), None);
		let error = args(&["--allow-anonymous", "--node", "http://127.0.0.1:9944"]).options().unwrap_err();
		assert!(error.to_string().contains("ws://"), "{error}");
	}

	#[test]
	fn aliases_and_origins_are_read() {
		let of = |line: &[&str]| args(&[&["--allow-anonymous"], line].concat()).options();
		let (options, _) = of(&["--alias", "gpt-4o-mini=SmolLM2-135M-Instruct"]).unwrap();
		assert_eq!(options.aliases["gpt-4o-mini"], "SmolLM2-135M-Instruct");
		assert!(of(&["--alias", "x"]).is_err());
		assert_eq!(of(&["--cors-origin", "https://a.org,http://localhost:3000"]).unwrap().0.cors_origins.len(), 2);
		for bad in ["a.org", "https://a.org/", "https://"] {
			assert!(of(&["--cors-origin", bad]).is_err(), "{bad}");
		}
	}
}
