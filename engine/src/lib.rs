#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod stop;

#[cfg(feature = "local")]
mod grammar;
#[cfg(feature = "llama")]
mod llama;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "mock")]
mod mock;
#[cfg(feature = "local")]
mod sampler;
#[cfg(feature = "torch")]
mod torch;
#[cfg(feature = "upstream")]
mod upstream;

pub use api::{
	CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, FinishReason, GenerateRequest, Health, MAX_BIAS,
	MAX_BIASES, MAX_LOGPROBS, ModelInfo, TokenCheck, TokenEvent, TokenLogprobs, Usage,
};
pub use gonka_tokenizer::{ChatMessage, ChatOptions, CompletionText, Grammar};
#[cfg(feature = "llama")]
pub use llama::{CachePrecision, LlamaOptions, WeightFormat, convert, round_alike, try_model};
#[cfg(feature = "local")]
pub use local::{Backend, LocalConfig, LocalEngine, free_memory};
#[cfg(feature = "mock")]
pub use mock::{MOCK_WORDS, MockConfig, MockEngine};
#[cfg(feature = "local")]
pub use sampler::Sampler;
#[cfg(feature = "torch")]
pub use torch::{Alteration, DeviceError, Precision, torch_device};
#[cfg(feature = "upstream")]
pub use upstream::{ApiKey, UpstreamConfig, UpstreamEngine};
