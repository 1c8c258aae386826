//! Configuration of a local network.

use super::parachain::Parachain;
use std::{
	env,
	path::{Path, PathBuf},
	time::Duration,
};

/// Sprint leaves a second of the slowest host, by default: few, so that a busy machine reaches all rates.
pub const SPRINT_RATE: u32 = 10;

/// Inference engine of the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
	/// llama.cpp with a real model.
	Llama,
	/// libtorch with a real model.
	Torch,
	/// Made-up tokens, without a model.
	Mock,
}

impl Engine {
	pub(super) fn name(self) -> &'static str {
		match self {
			Self::Llama => "llama",
			Self::Torch => "torch",
			Self::Mock => "mock",
		}
	}
}

/// Paths of the three programs.
#[derive(Clone, Debug)]
pub struct Binaries {
	/// `gonka-node`, built with the feature `fast-runtime`.
	pub node: PathBuf,
	/// `gonka-worker`.
	pub worker: PathBuf,
	/// `gonka-gateway`.
	pub gateway: PathBuf,
}

/// Ports of the programs, all on 127.0.0.1. A port that is given has to be free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
	/// Use any free ports instead of the default ones, so that several networks can run beside each other.
	pub any: bool,
	/// RPC port of the first node; the others get the next ports. Default: that of the last run, 9944, or a free port.
	pub node: Option<u16>,
	/// Port of the first worker; the others get the next ports. Default: that of the last run, 9000, or a free port.
	pub worker: Option<u16>,
	/// Port of the gateway. Default: that of the last run, 8080, or a free port.
	pub gateway: Option<u16>,
}

/// Configuration of a local network.
#[derive(Clone, Debug)]
pub struct Config {
	/// Folder of the network's data.
	pub base_path: PathBuf,
	/// Delete the data of the earlier run.
	pub fresh: bool,
	/// Inference engine of the workers.
	pub engine: Engine,
	/// GGUF file of a real model. Default: the demo model.
	pub model: Option<PathBuf>,
	/// Maximum number of sprint leaves a second of the slowest host. The others get 2 and 4 times as many.
	pub sprint_rate: u32,
	/// Paths of the programs.
	pub binaries: Binaries,
	/// Raw specification of the nodes' chain. Default: the chain `local` of the nodes' own runtime.
	pub chain: Option<PathBuf>,
	/// Runs this parachain with one node, instead of the solo chain with a node for each host.
	pub parachain: Option<Parachain>,
	/// Ports of the programs.
	pub ports: Ports,
	/// Maximum time for each step of the start. The default is meant for users: tests set a much longer one.
	pub patience: Duration,
}

impl Config {
	/// The default configuration, in `base_path`.
	pub fn new(base_path: impl Into<PathBuf>, binaries: Binaries) -> Self {
		Self {
			base_path: base_path.into(),
			fresh: false,
			engine: Engine::Llama,
			model: None,
			sprint_rate: SPRINT_RATE,
			binaries,
			chain: None,
			parachain: None,
			ports: Ports::default(),
			patience: Duration::from_secs(240),
		}
	}
}

/// Default folder of a network: `$GONKA_HOME/devnet`, or `~/.gonka/devnet`; with a parachain `devnet-para` beside it.
pub fn default_base_path(parachain: bool) -> PathBuf {
	let home = env::var_os("GONKA_HOME").map(PathBuf::from);
	home.unwrap_or_else(|| home_directory().join(".gonka")).join(if parachain { "devnet-para" } else { "devnet" })
}

/// The command that stops the network in the folder `base`.
pub fn stop_command(base: &Path) -> String {
	let is = |default: PathBuf| {
		// A running network's folder has a path without links.
		base == default || default.canonicalize().is_ok_and(|default| base == default)
	};
	if is(default_base_path(false)) {
		"gonka devnet stop".into()
	} else if is(default_base_path(true)) {
		"gonka devnet stop --para".into()
	} else {
		format!("gonka devnet stop --base-path {}", base.display())
	}
}

/// File name of the demo model.
pub(super) const DEMO_MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Path of the demo model, if `scripts/get-model` has fetched it.
pub fn demo_model() -> Option<PathBuf> {
	let given = env::var_os("GONKA_HOME").map(PathBuf::from);
	let home = home_directory();
	let mut homes = given.into_iter().chain([home.join(".cache/gonka"), home.join(".gonka")]);
	homes.find_map(|folder| Some(folder.join("models").join(DEMO_MODEL)).filter(|path| path.is_file()))
}

fn home_directory() -> PathBuf {
	env::var_os("HOME").map_or_else(|| Path::new(".").into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_command_that_stops_a_network_names_a_folder_that_is_not_the_default() {
		assert_eq!(stop_command(&default_base_path(false)), "gonka devnet stop");
		assert_eq!(stop_command(&default_base_path(true)), "gonka devnet stop --para");
		assert_eq!(stop_command(Path::new("/tmp/mine")), "gonka devnet stop --base-path /tmp/mine");
	}
}
