#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod stop;
mod text;

#[cfg(feature = "torch")]
mod dequant;
#[cfg(feature = "torch")]
mod gguf;
#[cfg(feature = "mock")]
mod mock;
#[cfg(any(feature = "torch", feature = "upstream"))]
mod sampler;
#[cfg(feature = "torch")]
mod template;
#[cfg(feature = "torch")]
mod tokenizer;
#[cfg(feature = "torch")]
mod torch;
#[cfg(feature = "upstream")]
mod upstream;

pub use api::{
	ChatMessage, ChatOptions, CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, FinishReason,
	GenerateRequest, Health, ModelInfo, TokenCheck, TokenEvent,
};
#[cfg(feature = "mock")]
pub use mock::{MockConfig, MockEngine};
#[cfg(any(feature = "torch", feature = "upstream"))]
pub use sampler::Sampler;
pub use text::CompletionText;
#[cfg(feature = "torch")]
pub use torch::{Alteration, Precision, TorchConfig, TorchEngine};
#[cfg(feature = "upstream")]
pub use upstream::{ApiKey, UpstreamConfig, UpstreamEngine};
