//! OpenAI's side: requests, answers, streams, errors.

pub mod convert;
pub mod errors;
pub mod params;
pub mod respond;
pub mod types;
