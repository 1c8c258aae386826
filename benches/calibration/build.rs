//! Lets the binary and the tests find libtorch where it was when they were built.

fn main() {
	if let Ok(lib) = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB") {
		println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
	}
	println!("cargo:rerun-if-changed=build.rs");
}
