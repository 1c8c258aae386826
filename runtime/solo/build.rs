//! Builds the runtime's wasm when it is built natively.

fn main() {
	#[cfg(feature = "std")]
	{
		let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
		let builder = if cfg!(feature = "fast-runtime") { builder.enable_feature("fast-runtime") } else { builder };
		builder.build();
	}
}
