//! What a local network is made of.

use std::{
	env,
	path::{Path, PathBuf},
	time::Duration,
};

/// How the workers infer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
	/// A real model, by libtorch.
	Torch,
	/// Made-up tokens: no model, no libtorch.
	Mock,
}

impl Engine {
	pub(super) fn name(self) -> &'static str {
		match self {
			Self::Torch => "torch",
			Self::Mock => "mock",
		}
	}
}

/// The three programs.
#[derive(Clone, Debug)]
pub struct Binaries {
	/// `gonka-node`, built with the feature `fast-runtime`.
	pub node: PathBuf,
	/// `gonka-worker`.
	pub worker: PathBuf,
	/// `gonka-gateway`.
	pub gateway: PathBuf,
}

/// Where the programs listen, all on 127.0.0.1. Given ports must be free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
	/// Take any free ports instead of the well-known ones, so that several networks can run beside each other.
	pub any: bool,
	/// The first node's RPC port; the others follow. 9944 or, if that is taken, a free one.
	pub node: Option<u16>,
	/// The first worker's port; the others follow. 9000 or, if that is taken, a free one.
	pub worker: Option<u16>,
	/// The gateway's port. 8080 or, if that is taken, a free one.
	pub gateway: Option<u16>,
}

/// A local network.
#[derive(Clone, Debug)]
pub struct Config {
	/// The folder of everything it writes.
	pub base_path: PathBuf,
	/// Remove what an earlier run left there.
	pub fresh: bool,
	/// How the workers infer.
	pub engine: Engine,
	/// The model file for [`Engine::Torch`]; where `scripts/get-model` puts it if absent.
	pub model: Option<PathBuf>,
	/// Leaves a second of the slowest host's sprint; the other two make 2 and 4 times as many.
	pub sprint_rate: u32,
	/// The programs.
	pub binaries: Binaries,
	/// Where they listen.
	pub ports: Ports,
	/// How long each step of coming up may take.
	pub patience: Duration,
}

impl Config {
	/// A network in `base_path` with the usual settings.
	pub fn new(base_path: impl Into<PathBuf>, binaries: Binaries) -> Self {
		Self {
			base_path: base_path.into(),
			fresh: false,
			engine: Engine::Torch,
			model: None,
			sprint_rate: 40,
			binaries,
			ports: Ports::default(),
			patience: Duration::from_secs(240),
		}
	}
}

/// `$GONKA_HOME/devnet`, or `~/.gonka/devnet`.
pub fn default_base_path() -> PathBuf {
	let home = env::var_os("GONKA_HOME").map(PathBuf::from);
	home.unwrap_or_else(|| home_directory().join(".gonka")).join("devnet")
}

/// Name of the demo model's file, which `scripts/get-model` fetches.
pub(super) const DEMO_MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The demo model's file, if `scripts/get-model` has fetched it.
pub fn demo_model() -> Option<PathBuf> {
	let given = env::var_os("GONKA_HOME").map(PathBuf::from);
	let home = home_directory();
	let mut homes = given.into_iter().chain([home.join(".cache/gonka"), home.join(".gonka")]);
	homes.find_map(|folder| Some(folder.join("models").join(DEMO_MODEL)).filter(|path| path.is_file()))
}

fn home_directory() -> PathBuf {
	env::var_os("HOME").map_or_else(|| Path::new(".").into(), PathBuf::from)
}
