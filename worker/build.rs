//! Lets binaries and tests find libtorch where it was when they were built.

fn main() {
	// The end-to-end tests have the feature switched on in debug builds of the workspace; no program but theirs uses it.
	let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
	if is_release && std::env::var_os("CARGO_FEATURE_HOSTILE").is_some() {
		println!("cargo:warning=gonka-worker is built with the feature `hostile`: for tests of networks only");
	}
	println!("cargo:rerun-if-env-changed=LIBTORCH");
	println!("cargo:rerun-if-env-changed=DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let found = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let named = || std::env::var("LIBTORCH").map(|libtorch| format!("{libtorch}/lib"));
	if let Ok(lib) = found.or_else(|_| named()) {
		println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
	}
}
