//! `/v1/embeddings`: vectors that stand for texts.

use super::{
	errors::ApiError,
	fields::Fields,
	prompt::Reader,
	reading::Reading,
	request::{Prompt, Target},
	respond::Sums,
	unsupported,
};
use crate::{
	gateway::Gateway,
	metering::Admitted,
	relay::{Piece, Summary},
};
use axum::{
	Json,
	response::{IntoResponse, Response},
};
use futures::{StreamExt, TryStreamExt, stream};
use gonka_client::worker_api::{InferenceRequest, Vector};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Maximum number of texts in a request.
pub const MAX_INPUTS: usize = 2048;
/// Number of texts that are at hosts at the same time: as many as a host serves on credit, by default.
const AT_A_TIME: usize = 8;

/// Body of `POST /v1/embeddings`. Unknown fields are ignored, because clients send many.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EmbeddingRequest {
	/// Name of a model that makes embeddings, or an alias.
	pub model: String,
	/// A text, up to 2,048 texts, token ids, or up to 2,048 lists of token ids.
	#[schema(value_type = String)]
	pub input: Value,
	/// `float` or `base64`: the 32-bit floats, little-endian, as Base64. `float` by default.
	pub encoding_format: Option<String>,
}

/// The response.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmbeddingList {
	/// `list`.
	object: &'static str,
	/// An embedding for each text, in the order of the request.
	data: Vec<Embedding>,
	/// The model's name as the client wrote it.
	model: String,
	/// Numbers of tokens.
	usage: EmbeddingUsage,
}

/// The embedding of a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Embedding {
	/// `embedding`.
	object: &'static str,
	/// Its position.
	index: usize,
	/// Numbers, or Base64. The vector's length is 1.
	#[schema(value_type = Vec<f32>)]
	embedding: Shown,
}

/// A vector in the form that was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown {
	Floats(Vec<f32>),
	Base64(String),
}

/// Numbers of tokens of a response.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmbeddingUsage {
	/// Tokens of all texts.
	prompt_tokens: u32,
	/// The same.
	total_tokens: u32,
}

/// A validated request.
pub struct Asked {
	/// The model's name as the client wrote it.
	pub model: String,
	/// A prompt for each text.
	pub prompts: Vec<Prompt>,
	/// How the relay reads what hosts send.
	pub reading: Arc<Reading>,
	is_base64: bool,
}

/// Validates a request. This blocks.
///
/// # Errors
/// 400 with the name of the field that is wrong, 404 or 503 when the model is unknown or not served.
pub fn read(gateway: &Gateway, fields: &Fields) -> Result<Asked, ApiError> {
	if !gateway.options.ignore_unsupported {
		unsupported::check_embeddings(fields)?;
	}
	let model = fields.required_text("model")?;
	let is_base64 = match fields.text("encoding_format")?.as_deref() {
		None | Some("float") => false,
		Some("base64") => true,
		Some(_) => return Err(fields.wrong("encoding_format", "'float' or 'base64'")),
	};
	let input = fields.required("input")?;
	let target = Target::new(gateway, &model)?.that_embeds(true)?;
	let reader = Reader { field: "input", most: MAX_INPUTS, ..target.reader() };
	let texts = reader.texts(Some(input))?;
	let context = target.context;
	if let Some(long) = texts.iter().find(|text| text.len() > context as usize) {
		let message =
			format!("This model's maximum context length is {context} tokens, but a text has {}.", long.len());
		return Err(ApiError::context_length(message).about("input"));
	}
	let prompts = texts.into_iter().map(|text| Prompt {
		model: target.model.clone(),
		tokenizer: target.tokenizer.clone(),
		body: InferenceRequest::new(text),
		form: None,
		seed: 0,
		max_tokens: 0,
		is_adjustable: false,
	});
	let reading = Arc::new(Reading::plain(target.tokenizer.clone()));
	Ok(Asked { model, prompts: prompts.collect(), reading, is_base64 })
}

/// Waits for all embeddings.
///
/// # Errors
/// That of the first text without one: the others are cancelled.
pub async fn respond(gateway: &Gateway, asked: Asked, admitted: Vec<Admitted>) -> Result<Response, ApiError> {
	let all: Vec<(Vec<f32>, Summary)> = stream::iter(admitted).map(embed).buffered(AT_A_TIME).try_collect().await?;
	let width = all.first().map_or(0, |(vector, _)| vector.len());
	if let Some((other, _)) = all.iter().find(|(vector, _)| vector.len() != width) {
		let message = format!("Hosts sent vectors of {width} and of {} numbers.", other.len());
		return Err(ApiError::bad_worker(message));
	}
	let (mut sums, mut data) = (Sums::default(), Vec::with_capacity(all.len()));
	for (index, (vector, summary)) in all.into_iter().enumerate() {
		sums.add(gateway, &summary, 0);
		let embedding = if asked.is_base64 { Shown::Base64(Vector(vector).to_base64()) } else { Shown::Floats(vector) };
		data.push(Embedding { object: "embedding", index, embedding });
	}
	let prompt_tokens = sums.usage.prompt_tokens;
	let usage = EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens };
	let mut response = Json(EmbeddingList { object: "list", data, model: asked.model, usage }).into_response();
	sums.add_headers(&mut response);
	Ok(response)
}

/// Waits for one embedding.
async fn embed(admitted: Admitted) -> Result<(Vec<f32>, Summary), ApiError> {
	let mut pieces = admitted.start();
	match pieces.recv().await {
		Some(Piece::Done(mut summary)) => {
			let missing = || ApiError::internal("The host sent no embedding.");
			Ok((summary.embedding.take().ok_or_else(missing)?, summary))
		},
		Some(Piece::Failed(error)) => Err(error),
		Some(Piece::Token(_)) | None => Err(ApiError::internal("The embedding broke off.")),
	}
}
