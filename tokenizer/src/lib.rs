//! Tokenizers and chat templates of models: token ids of texts and conversations, and texts of token ids.
//!
//! A [`Tokenizer`] comes from a model's GGUF file, or from a [tokenizer file](gguf::tokenizer_file), which has the same without the
//! weights. Its hash is registered on chain, so that gateways make prompts and texts by themselves. llama.cpp splits texts
//! ([`llama`]); templates are rendered as Hugging Face's `transformers` renders them.

#![warn(missing_docs)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used))]

mod chat;
pub mod embedding;
pub mod gguf;
pub mod grammar;
#[cfg(feature = "llama")]
pub mod llama;
mod memory;
#[cfg(feature = "mock")]
mod mock;
mod names;
#[cfg(feature = "llama")]
mod pieces;
mod template;
mod text;
pub mod tokenizer;

pub use chat::{ChatMessage, ChatOptions};
pub use grammar::{Grammar, GrammarCompiler, GrammarError};
#[cfg(feature = "llama")]
pub use llama::open_tokenizer;
#[cfg(feature = "mock")]
pub use mock::{mock_tokenizer, mock_tokenizer_with};
pub use text::CompletionText;
pub use tokenizer::{Pooling, Tokenizer};

/// Special tokens that end a completion in every model that has them, besides those that the model's file names.
pub const END_TOKENS: [&str; 4] = ["<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end|>"];
/// The same for models whose completions are messages in channels: `<|end|>` ends a message there, and another may follow.
pub const CHANNEL_END_TOKENS: [&str; 3] = ["<|return|>", "<|call|>", "<|endoftext|>"];

/// Why a file or a conversation cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
	/// The chat template is missing or broken, or it rejected the messages.
	#[error("chat template: {0}")]
	Template(String),
	/// The file cannot be read, is malformed, or needs what this build lacks.
	#[error("model: {0}")]
	Model(String),
}
