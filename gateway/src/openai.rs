//! OpenAI's HTTP API: requests, responses, streams, errors.

pub mod embeddings;
pub mod errors;
pub mod fields;
pub mod infill;
pub mod limits;
pub mod prompt;
pub mod reading;
pub mod request;
pub mod respond;
pub mod responses;
pub mod sampling;
pub mod tokenize;
pub mod types;
pub mod unsupported;
