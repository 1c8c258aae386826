//! Links binaries and tests so that they find libtorch where it was when they were built.

fn main() {
	println!("cargo:rerun-if-env-changed=LIBTORCH");
	println!("cargo:rerun-if-env-changed=DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let of_engine = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB");
	let of_environment = || std::env::var("LIBTORCH").map(|libtorch| format!("{libtorch}/lib"));
	if let Ok(lib) = of_engine.or_else(|_| of_environment()) {
		println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
	}
}
