//! The part of the crate `wasm-opt` that `substrate-wasm-builder` uses, on top of the system's `wasm-opt` program.
//!
//! The crate of this name compiles Binaryen from C++, a quarter of an hour on two cores. Debian's package `binaryen`
//! holds the same program. The workspace's `[patch.crates-io]` puts this crate in the other's place.

use std::{io, path::Path, process::Command};

/// A run of `wasm-opt` that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum OptimizationError {
	/// The program could not be started.
	#[error("cannot start `wasm-opt`: {0}; install Binaryen (Debian: `apt-get install binaryen`)")]
	Start(#[from] io::Error),
	/// The program refused the module.
	#[error("`wasm-opt` failed: {0}")]
	Failed(String),
}

/// A transformation of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
	/// Replace sign-extension instructions by instructions of the first WebAssembly version.
	///
	/// The target `wasm32v1-none` has no such instructions, so this is a check: `wasm-opt` refuses a module that holds
	/// one. Older versions of the program do not have the pass itself.
	SignextLowering,
	/// Remove debug information.
	StripDwarf,
}

/// The options of one run: a builder like the original's, reduced to what the wasm builder calls.
#[derive(Clone, Debug, Default)]
pub struct OptimizationOptions {
	debug_info: bool,
	passes: Vec<Pass>,
}

impl OptimizationOptions {
	/// Options that optimise nothing.
	pub fn new_opt_level_0() -> Self {
		Self::default()
	}

	/// Allow features of the first WebAssembly version only. This is always so here.
	pub fn mvp_features_only(&mut self) -> &mut Self {
		self
	}

	/// Keep the names of functions.
	pub fn debug_info(&mut self, keep: bool) -> &mut Self {
		self.debug_info = keep;
		self
	}

	/// Add a pass. Passes run in the order in which they were added.
	pub fn add_pass(&mut self, pass: Pass) -> &mut Self {
		self.passes.push(pass);
		self
	}

	/// Read the module at `input`, apply the passes and write the result to `output`, which may be the same file.
	///
	/// # Errors
	///
	/// Fails if the program is missing, or if the module is not valid for the first WebAssembly version (with mutable
	/// globals, which `wasm32v1-none` has).
	pub fn run(&self, input: impl AsRef<Path>, output: impl AsRef<Path>) -> Result<(), OptimizationError> {
		let mut command = Command::new("wasm-opt");
		command.args(["--mvp-features", "--enable-mutable-globals"]);
		if self.debug_info {
			command.arg("-g");
		}
		if self.passes.contains(&Pass::StripDwarf) {
			command.arg("--strip-dwarf");
		}
		let out = command.arg(input.as_ref()).arg("-o").arg(output.as_ref()).output()?;
		if out.status.success() {
			Ok(())
		} else {
			Err(OptimizationError::Failed(String::from_utf8_lossy(&out.stderr).into_owned()))
		}
	}
}
