//! Engines that a worker does not start, because audits would misjudge it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::views::ModelView;
use gonka_worker::{
	cli::Cli,
	conduct::{Conduct, Honest},
	engines,
};
use std::sync::Arc;

#[tokio::test]
async fn llama_cpp_does_not_serve_a_model_whose_profile_was_made_with_libtorch() {
	let chain = FakeChain::new();
	let name = chain.with(|state| String::from_utf8(state.models[0].name.clone()).unwrap());
	let line = format!("gonka-worker --host 5x --engine llama --model none.gguf --model-name {name}");
	let options = Cli::read(line.split(' ')).unwrap().serving;
	let honest: Arc<dyn Conduct> = Arc::new(Honest);
	let error = async || engines::load(&options, &*chain, &honest).await.err().unwrap().to_string();
	// Without a profile it looks at the file.
	assert!(error().await.contains("none.gguf"), "{}", error().await);
	chain.with(|state| state.calibration = Some(calibration()));
	assert!(error().await.contains("--engine torch"), "{}", error().await);
	// A registration for hosts with llama.cpp has a profile of its own.
	chain.with(|state| {
		let own = ModelView { id: 77, name: format!("{name}@llama.cpp").into_bytes(), ..state.models[0].clone() };
		state.models.push(own);
	});
	assert!(error().await.contains("none.gguf"), "{}", error().await);
}
