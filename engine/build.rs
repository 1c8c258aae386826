//! Passes on where libtorch is: to this package's own tests, as the folder to load it from, and to dependents, whose
//! build scripts see it as `DEP_GONKA_ENGINE_LIBTORCH_LIB`.

fn main() {
	// torch-sys sets it, and only when the feature `torch` is on.
	if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
		let lib = lib.to_string_lossy();
		println!("cargo::metadata=libtorch_lib={lib}");
		println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
	}
	println!("cargo::rerun-if-changed=build.rs");
}
