//! OpenAI's HTTP API: requests, responses, streams, errors.

pub mod errors;
pub mod prompt;
pub mod request;
pub mod respond;
pub mod types;
pub mod unsupported;
