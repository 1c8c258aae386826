//! The build scripts of the runtimes: each writes its runtime's version and, in a native build, builds the runtime's wasm.
//!
//! The features `runtime-benchmarks` and `try-runtime` are for native code, which tests run. No wasm has them unless
//! `GONKA_WASM_FEATURES` names them, as `scripts/weights` does.

use super::version::*;
use std::{env, fs, io, path::Path};

/// Writes `VERSION` with literals: `sp_version::runtime_version` embeds it into the wasm and cannot read constants.
pub fn write_version(name: &str) -> io::Result<()> {
	println!("cargo:rerun-if-changed=../common/src/version.rs");
	let spec_version = SPEC_VERSION + u32::from(cfg!(feature = "next-spec-version"));
	let code = format!(
		r#"/// The version of this runtime, made of `gonka_runtime_common::version`.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {{
	spec_name: Cow::Borrowed("{name}"),
	impl_name: Cow::Borrowed("{name}"),
	authoring_version: {AUTHORING_VERSION},
	spec_version: {spec_version},
	impl_version: {IMPL_VERSION},
	apis: apis::RUNTIME_API_VERSIONS,
	transaction_version: {TRANSACTION_VERSION},
	system_version: {SYSTEM_VERSION},
}};
"#
	);
	let folder = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
	fs::write(Path::new(&folder).join("version.rs"), code)
}

/// The variables by which cargo names features of native code.
#[cfg(feature = "std")]
const NATIVE: [&str; 2] = ["CARGO_FEATURE_RUNTIME_BENCHMARKS", "CARGO_FEATURE_TRY_RUNTIME"];
/// Features that only the wasm gets, separated by commas.
#[cfg(feature = "std")]
const WASM: &str = "GONKA_WASM_FEATURES";

/// The variable by which the SDK's `CheckMetadataHash` learns the hash of the metadata when it is compiled.
#[cfg(feature = "std")]
const METADATA_HASH: &str = "RUNTIME_METADATA_HASH";

/// Builds the wasm, which knows the hash of its metadata: that of its network in `hashes`, which has a name and a hash on each
/// line. The test in `metadata_hash.rs` keeps them right. The wasm builder could find the hash by itself, but it compiles an
/// executor for that, and the wasm twice.
///
/// With `fast-runtime` it also builds the runtime after this one under the name `next`, if there is one, which differs by its
/// spec version only: tests of upgrades need it. The hash is not that of `next`, where transactions with a hash are thus rejected.
#[cfg(feature = "std")]
pub fn build_wasm(hashes: &str, next: Option<&str>) -> io::Result<()> {
	use substrate_wasm_builder::WasmBuilder;
	// Part of the genesis presets. The builder itself watches the code of this package and of those that it depends on,
	// `../common/shared` included.
	println!("cargo:rerun-if-changed=../../chain-spec/profiles");
	println!("cargo:rerun-if-env-changed={WASM}");
	for feature in NATIVE {
		// The builder takes the wasm's features from these variables.
		// SAFETY: a build script has one thread.
		unsafe { env::remove_var(feature) };
	}
	let more = env::var(WASM).unwrap_or_default();
	let fast = cfg!(feature = "fast-runtime").then_some("fast-runtime");
	let features: Vec<&str> = more.split(',').filter(|feature| !feature.is_empty()).chain(fast).collect();
	let network = if features.contains(&"fast-runtime") {
		"custom "
	} else if cfg!(feature = "testnet") || features.contains(&"testnet") {
		"testnet "
	} else {
		"mainnet "
	};
	let hash = hashes.lines().find_map(|line| line.strip_prefix(network));
	let hash = hash.ok_or_else(|| io::Error::other(format!("metadata-hashes has no {network}")))?;
	// SAFETY: as above.
	unsafe { env::set_var(METADATA_HASH, hash) };
	let builder = || {
		let builder = WasmBuilder::init_with_defaults();
		features.iter().fold(builder, |builder, feature| builder.enable_feature(*feature))
	};
	builder().build();
	if let (Some(next), Some(_), true) = (next, fast, more.is_empty()) {
		builder().enable_feature("next-spec-version").set_file_name(next).build();
	}
	Ok(())
}
