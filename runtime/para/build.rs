//! Writes the runtime's version and builds its wasm.

#[path = "../common/shared/build.rs"]
mod shared;
#[allow(dead_code, reason = "the other runtime's name")]
#[path = "../common/src/version.rs"]
mod version;

fn main() -> std::io::Result<()> {
	shared::write_version(version::PARA_SPEC_NAME)?;
	#[cfg(feature = "std")]
	shared::build_wasm(include_str!("metadata-hashes"), None)?;
	Ok(())
}
