#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod ending;
mod text;

#[cfg(feature = "torch")]
mod dequant;
#[cfg(feature = "torch")]
mod gguf;
#[cfg(feature = "mock")]
mod mock;
#[cfg(feature = "torch")]
mod sampler;
#[cfg(feature = "torch")]
mod template;
#[cfg(feature = "torch")]
mod tokenizer;
#[cfg(feature = "torch")]
mod torch;

pub use api::{
	ChatMessage, ChatOptions, CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, FinishReason,
	GenerateRequest, Health, ModelInfo, TokenCheck, TokenEvent,
};
#[cfg(feature = "mock")]
pub use mock::{MockConfig, MockEngine};
#[cfg(feature = "torch")]
pub use sampler::Sampler;
pub use text::AnswerText;
#[cfg(feature = "torch")]
pub use torch::{Attack, Precision, TorchConfig, TorchEngine};
