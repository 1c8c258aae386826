//! The parachain on one machine: `polkadot-omni-node` makes its blocks, without a relay chain.

use super::binaries;
use anyhow::{Context, Result, ensure};
use std::{
	env,
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	process::{Command, Stdio},
};

const NODE: &str = "polkadot-omni-node";
const RUNTIME: &str = "gonka-para-runtime";
/// Number of the parachain, as in its genesis.
const PARA_ID: &str = "2000";
/// Time between two blocks, in milliseconds: the solo chain's block time on a local network.
const BLOCK_TIME: &str = "2000";

/// A node for parachains and the runtime that it runs.
#[derive(Clone, Debug)]
pub struct Parachain {
	/// `polkadot-omni-node`.
	pub node: PathBuf,
	/// The wasm of `gonka-para-runtime`, built with the feature `fast-runtime`.
	pub runtime: PathBuf,
}

impl Parachain {
	/// Finds the node as other programs are found or where `scripts/omni-node` puts it, and unless a `runtime` is given the one
	/// that cargo puts beside this program. Builds a missing runtime in a checkout of the source.
	pub fn find_or_build(runtime: Option<PathBuf>) -> Result<Self> {
		let homes = env::var_os("GONKA_HOME").map(PathBuf::from).into_iter();
		let homes = homes.chain(env::var_os("HOME").map(|home| Path::new(&home).join(".cache/gonka")));
		let node = binaries::find(NODE)
			.or_else(|| homes.map(|home| home.join("bin").join(NODE)).find(|path| path.is_file()))
			.with_context(|| {
				format!(
					"{NODE} is neither beside this program nor on PATH: install it with `scripts/omni-node` of a checkout, or \
					 with cargo"
				)
			})?;
		if let Some(runtime) = runtime {
			ensure!(runtime.is_file(), "the runtime {} does not exist: check --runtime", runtime.display());
			return Ok(Self { node, runtime });
		}
		let own = binaries::own_folder().context("cannot find the folder of this program")?;
		let runtime = own.join("wbuild").join(RUNTIME).join("gonka_para_runtime.wasm");
		if !runtime.is_file() {
			let workspace = binaries::workspace().with_context(|| {
				format!(
					"the runtime {} is missing: pass --runtime <WASM>, or run this in a checkout",
					runtime.display()
				)
			})?;
			binaries::build(&workspace, &["--package", RUNTIME, "--features", "fast-runtime"])?;
		}
		ensure!(runtime.is_file(), "cargo built {RUNTIME}, but not {}", runtime.display());
		Ok(Self { node, runtime })
	}

	/// Writes the chain's specification by a `preset` of the runtime to `path`, unless a network has been started with it.
	pub fn specify(&self, preset: &str, path: &Path) -> Result<()> {
		if path.exists() {
			return Ok(());
		}
		let new = path.with_extension("new");
		let output = Command::new(&self.node)
			.args(["chain-spec-builder", "--chain-spec-path"])
			.arg(&new)
			.args(["create", "--chain-name", "Gonka parachain", "--chain-id", "gonka-para-local", "-t", "local"])
			.args(["--relay-chain", "rococo-local", "--para-id", PARA_ID])
			.args(["--properties", "tokenSymbol=GNK,tokenDecimals=9,ss58Format=42", "--runtime"])
			.arg(&self.runtime)
			.args(["named-preset", preset])
			.stdin(Stdio::null())
			.output()
			.with_context(|| format!("cannot run {}", self.node.display()))?;
		let said = String::from_utf8_lossy(&output.stderr);
		ensure!(
			output.status.success(),
			"{NODE} cannot make a specification of {}: {}",
			self.runtime.display(),
			said.trim()
		);
		fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
	}

	/// Arguments of the node for the chain of a specification, with its data in `base`.
	pub fn arguments(specification: &Path, base: &Path, rpc: u16, peer: u16) -> Vec<OsString> {
		let mut arguments: Vec<OsString> = Vec::new();
		for (option, value) in [
			("--chain", specification.into()),
			("--base-path", base.into()),
			("--dev-block-time", BLOCK_TIME.into()),
			("--rpc-port", rpc.to_string().into()),
			("--rpc-cors", "all".into()),
			("--listen-addr", format!("/ip4/127.0.0.1/tcp/{peer}").into()),
			// MB. A runtime of a development build has 9 MB, twice as many as text.
			("--rpc-max-response-size", "32".into()),
		] {
			arguments.extend([option.into(), value]);
		}
		// Peers could only be programs that do not belong to this network.
		arguments.extend(["--no-telemetry", "--no-prometheus", "--no-mdns", "--reserved-only"].map(OsString::from));
		arguments
	}
}
