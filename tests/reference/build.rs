//! Lets the program and its test find libtorch where it was when they were built: the worker's library links it.

fn main() {
	println!("cargo::rerun-if-changed=build.rs");
	if let Ok(lib) = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB") {
		println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
	}
}
