//! Builds the runtime's wasm when it is built natively. For test networks also the one after it: the same with the next
//! spec version, to rehearse upgrades.

fn main() {
	#[cfg(feature = "std")]
	{
		use substrate_wasm_builder::WasmBuilder;
		// In the genesis; the builder itself looks at code only.
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
}
