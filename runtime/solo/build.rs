//! Writes the runtime's version and, in a native build, builds the runtime's wasm. With `fast-runtime` it also builds the
//! runtime after this one, which differs by its spec version only: tests of upgrades need it.

#[path = "../common/src/version.rs"]
mod version;

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
	write_version()?;
	#[cfg(feature = "std")]
	build_wasm();
	Ok(())
}

/// Writes `VERSION` with literals: `sp_version::runtime_version` embeds it into the wasm and cannot read constants.
fn write_version() -> io::Result<()> {
	use version::*;
	println!("cargo:rerun-if-changed=../common/src/version.rs");
	let spec_version = SPEC_VERSION + u32::from(cfg!(feature = "next-spec-version"));
	let code = format!(
		r#"/// The version of this runtime, made of `gonka_runtime_common::version`.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {{
	spec_name: Cow::Borrowed("{SPEC_NAME}"),
	impl_name: Cow::Borrowed("{SPEC_NAME}"),
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

#[cfg(feature = "std")]
fn build_wasm() {
	use substrate_wasm_builder::WasmBuilder;
	// Part of the genesis presets. The builder itself watches code only.
	println!("cargo:rerun-if-changed=../../chain-spec/profiles");
	if cfg!(feature = "fast-runtime") {
		WasmBuilder::init_with_defaults().enable_feature("fast-runtime").build();
		WasmBuilder::init_with_defaults()
			.enable_feature("fast-runtime")
			.enable_feature("next-spec-version")
			.set_file_name("gonka_runtime_next")
			.build();
	} else {
		WasmBuilder::build_using_defaults();
	}
}
