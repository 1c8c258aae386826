//! Lets `hostile-worker` find libtorch where it was when it was built, as `gonka-worker` does.

fn main() {
	println!("cargo::rerun-if-changed=build.rs");
	if let Ok(lib) = std::env::var("DEP_GONKA_ENGINE_LIBTORCH_LIB") {
		println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{lib}");
	}
}
