//! Reads the bodies of requests: long ones, and those with grammars, on threads that may be blocked.

use crate::{
	api_keys::ring::Spender,
	gateway::Gateway,
	openai::{
		errors::ApiError,
		fields::Fields,
		request::{MAX_BODY, ValidRequest},
	},
};
use axum::{body::Bytes, extract::rejection::BytesRejection, http::StatusCode};
use std::{
	num::NonZeroUsize,
	sync::{Arc, LazyLock},
	thread,
	time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// Maximum length of a body that is validated at once, in bytes: another thread would take longer to begin.
const SHORT: usize = 8 << 10;
/// Maximum time for which a request waits until it is validated.
const PATIENCE: Duration = Duration::from_secs(30);
/// Fields that become a grammar, which takes time to compile.
const FORMS: [&str; 10] = [
	"tools",
	"functions",
	"response_format",
	"structured_outputs",
	"guided_json",
	"guided_regex",
	"guided_choice",
	"guided_grammar",
	"output_config",
	"output_format",
];

fn parse(body: Result<Bytes, BytesRejection>) -> Result<Fields, ApiError> {
	let body = body.map_err(|rejection| match rejection.status() {
		StatusCode::PAYLOAD_TOO_LARGE => {
			ApiError::too_large(format!("The body is larger than {} MiB.", MAX_BODY >> 20))
		},
		_ => ApiError::invalid("The body could not be read."),
	})?;
	Fields::parse(&body)
}

/// Checks that the API key may use the model of a request: before anything is done for it.
fn permit(gateway: &Gateway, spender: &Spender, fields: &Fields) -> Result<(), ApiError> {
	let Some(name) = fields.text("model")? else { return Ok(()) };
	let target = gateway.options.aliases.get(&name).unwrap_or(&name);
	spender.check_model(&[&name, target])
}

/// Parses and validates a request. Long prompts and grammars take time: other requests go on meanwhile.
pub(super) async fn read(
	gateway: &Arc<Gateway>,
	spender: &Spender,
	body: Result<Bytes, BytesRejection>,
	validate: fn(&Gateway, &Fields) -> Result<ValidRequest, ApiError>,
) -> Result<ValidRequest, ApiError> {
	if body.as_ref().is_ok_and(|body| body.len() <= SHORT) {
		let fields = parse(body)?;
		permit(gateway, spender, &fields)?;
		if !FORMS.iter().any(|form| fields.has(form)) {
			return validate(gateway, &fields);
		}
		let gateway = gateway.clone();
		return blocking(move || validate(&gateway, &fields)).await;
	}
	read_with(gateway, spender, body, validate).await
}

/// Parses a body and does something with it that may take time.
pub(super) async fn read_with<T: Send + 'static>(
	gateway: &Arc<Gateway>,
	spender: &Spender,
	body: Result<Bytes, BytesRejection>,
	work: impl FnOnce(&Gateway, &Fields) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
	let (gateway, spender) = (gateway.clone(), spender.clone());
	blocking(move || {
		let fields = parse(body)?;
		permit(&gateway, &spender, &fields)?;
		work(&gateway, &fields)
	})
	.await
}

/// Does work that would hold other requests up. There is as much of it at a time as there are cores, also of clients that are gone.
pub(super) async fn blocking<T: Send + 'static>(
	work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
	static TURNS: LazyLock<Semaphore> =
		LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, NonZeroUsize::get)));
	let turn = timeout(PATIENCE, TURNS.acquire()).await.map_err(|_| ApiError::busy())?;
	let work = move || {
		let _turn = turn;
		work()
	};
	tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error.to_string()))?
}
