//! Tokenizer files, for gateways with a channel.

use super::{Rejection, Service, vouchers::Parsed};
use axum::{
	extract::State,
	http::header,
	response::{IntoResponse, Response},
};
use gonka_client::worker_api::{ErrorCode, TokenizerQuery};
use std::{sync::Arc, time::Duration};

/// Maximum number of files that are sent at the same time.
pub const MAX_QUERIES: usize = 8;
/// Maximum time for which a query waits for its turn.
pub const MAX_WAIT: Duration = Duration::from_secs(10);

/// `POST /v1/tokenizer`.
pub async fn tokenizer(
	State(service): State<Arc<Service>>,
	Parsed(TokenizerQuery { channel, tokenizer }): Parsed<TokenizerQuery>,
) -> Result<Response, Rejection> {
	let channel = service.authenticate_gateway(&channel).await?;
	let _turn = service.tokenizers.wait(channel.developer).await?;
	let models = &service.parts.models;
	let file = models.iter().filter_map(|model| model.tokenizer.as_ref()).find(|(hash, _)| *hash == tokenizer.0);
	let (_, file) = file.ok_or_else(|| {
		let message = format!("this worker has no tokenizer 0x{}", hex::encode(tokenizer.0));
		Rejection::new(ErrorCode::UnknownTokenizer, message)
	})?;
	Ok(([(header::CONTENT_TYPE, "application/octet-stream")], file.clone()).into_response())
}
