//! Finds the programs of a network, or builds them.

use super::config::{Binaries, Engine};
use anyhow::{Context, Result, bail};
use std::{
	env,
	path::{Path, PathBuf},
	process::Command,
};

const NODE: &str = "gonka-node";
const WORKER: &str = "gonka-worker";
const GATEWAY: &str = "gonka-gateway";

/// Finds the programs beside this one or on `PATH`, and builds the missing ones with cargo, which shows its progress on
/// the terminal. A worker that is found has to be built for the engine.
pub fn find_or_build(engine: Engine) -> Result<Binaries> {
	let missing: Vec<&str> = [NODE, WORKER, GATEWAY].into_iter().filter(|name| find(name).is_none()).collect();
	if !missing.is_empty() {
		let Some(workspace) = workspace() else {
			bail!(
				"{} neither beside this program nor on PATH: install what is missing, or run this in a checkout of the \
				 source to build it",
				match missing.as_slice() {
					[one] => format!("{one} is"),
					many => format!("{} are", many.join(", ")),
				}
			);
		};
		if missing.contains(&NODE) {
			build(&workspace, &["--package", NODE, "--features", "fast-runtime"])?;
		}
		if missing.contains(&WORKER) {
			let features = if engine == Engine::Mock { "mock" } else { "" };
			build(&workspace, &["--package", WORKER, "--features", features])?;
		}
		if missing.contains(&GATEWAY) {
			build(&workspace, &["--package", GATEWAY])?;
		}
	}
	let found = |name: &str| {
		find(name).with_context(|| {
			format!("cargo built {name}, but not into the folder of this program: add that folder to PATH")
		})
	};
	Ok(Binaries { node: found(NODE)?, worker: found(WORKER)?, gateway: found(GATEWAY)? })
}

/// Finds the checkout of the source that contains the current directory.
pub fn workspace() -> Option<PathBuf> {
	let here = env::current_dir().ok()?;
	let is_root = |folder: &&Path| {
		["node", "worker", "gateway"].iter().all(|name| folder.join(name).join("Cargo.toml").is_file())
	};
	here.ancestors().find(is_root).map(Path::to_owned)
}

/// Finds the folder of this program and of those that cargo builds with it.
pub(super) fn own_folder() -> Option<PathBuf> {
	let own = env::current_exe().ok()?;
	let folder = own.parent()?;
	// Tests run in `deps`, one level below the programs.
	Some(folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder).to_owned())
}

/// Finds a program: first in the folder of this one, then on `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
	let path = env::var_os("PATH").unwrap_or_default();
	let folders = own_folder().into_iter().chain(env::split_paths(&path));
	folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// Runs `cargo build` with the arguments that choose a package, into the folder of this program.
pub(super) fn build(workspace: &Path, package: &[&str]) -> Result<()> {
	let own = own_folder().context("cannot find the folder of this program")?;
	let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
	cargo.current_dir(workspace).args(["build", "--locked"]).args(package);
	cargo.env("WASM_BUILD_WORKSPACE_HINT", workspace);
	if own.ends_with("release") || own.ends_with("debug") {
		if own.ends_with("release") {
			cargo.arg("--release");
		}
		if let Some(target) = own.parent() {
			cargo.arg("--target-dir").arg(target);
		}
	}
	eprintln!("building: cargo build {} (the first time takes a while)", package.join(" "));
	let status = cargo.status().context("cannot run cargo: install Rust, or the missing programs")?;
	if !status.success() {
		bail!("`cargo build {}` failed: see its errors above", package.join(" "));
	}
	Ok(())
}
