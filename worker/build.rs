//! Lets binaries and tests find libtorch where it was when they were built.

fn main() {
	println!("cargo:rerun-if-env-changed=LIBTORCH");
	println!("cargo:rerun-if-env-changed=DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let found = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let named = || std::env::var("LIBTORCH").map(|libtorch| format!("{libtorch}/lib"));
	if let Ok(lib) = found.or_else(|_| named()) {
		println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
	}
}
