//! The HTTP server: routes, keys, headers, limits.

use crate::{
	config::format_gnk,
	gateway::Gateway,
	openai::{
		convert,
		errors::{ApiError, ErrorBody},
		params,
		respond::{self, Head, Shape},
		types::{ChatCompletion, ChatRequest, Common, Completion, CompletionRequest, Model, ModelList, Pricing},
	},
	relay::{self, Job},
};
use axum::{
	Json, Router,
	body::Bytes,
	extract::{DefaultBodyLimit, MatchedPath, Path, Request, State, rejection::BytesRejection},
	http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
	middleware::{self, Next},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use gonka_client::wire::Input;
use gonka_primitives::views::ModelView;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
	sync::{Arc, OnceLock},
	time::{SystemTime, UNIX_EPOCH},
};
use tower::ServiceExt;
use tower_http::cors::{Any, CorsLayer};
use utoipa::OpenApi;

/// Largest body, in bytes.
const BODY_LIMIT: usize = 16 << 20;
/// Fewest completion tokens that a request without a limit is given.
const FEWEST_TOKENS: u32 = 16;
/// Completion tokens of a request to `/v1/completions` that names no limit; OpenAI's default.
const TEXT_TOKENS: u32 = 16;

type Shared = State<Arc<Gateway>>;

#[derive(OpenApi)]
#[openapi(
	info(title = "Gonka gateway", description = "OpenAI-style API in front of the Gonka network"),
	paths(chat_completions, completions, list_models, get_model, health, ready, metrics)
)]
struct Api;

/// All routes.
pub fn routes(gateway: Arc<Gateway>) -> Router {
	let api = Router::new()
		.route("/v1/chat/completions", post(chat_completions))
		.route("/v1/completions", post(completions))
		.route("/v1/models", get(list_models))
		.route("/v1/models/{*id}", get(get_model))
		.layer(middleware::from_fn_with_state(gateway.clone(), authorise));
	let cors = CorsLayer::new()
		.allow_origin(Any)
		.allow_methods([Method::GET, Method::POST])
		.allow_headers(Any)
		.expose_headers(["x-request-id", "x-gnk-worker", "x-gnk-cost"].map(HeaderName::from_static));
	Router::new()
		.merge(api)
		.route("/health", get(health))
		.route("/ready", get(ready))
		.route("/metrics", get(metrics))
		.route("/openapi.json", get(openapi))
		.fallback(no_route)
		.method_not_allowed_fallback(wrong_method)
		.layer(DefaultBodyLimit::max(BODY_LIMIT))
		.layer(cors)
		.layer(middleware::from_fn_with_state(gateway.clone(), observe))
		.with_state(gateway)
}

/// Serves `routes` once they are set, and says until then that the gateway is starting.
pub fn starting(routes: Arc<OnceLock<Router>>) -> Router {
	Router::new().fallback(move |request: Request| {
		let routes = routes.clone();
		async move {
			match routes.get() {
				Some(routes) => routes.clone().oneshot(request).await.into_response(),
				None if request.uri().path() == "/health" => health().await.into_response(),
				None => ApiError::unavailable("The gateway has not reached its node yet.").into_response(),
			}
		}
	})
}

async fn authorise(State(gateway): Shared, request: Request, next: Next) -> Response {
	let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
	match gateway.options.api_keys.name(header) {
		Some(name) => {
			tracing::debug!(key = name, path = request.uri().path(), "request");
			next.run(request).await
		},
		None => ApiError::invalid_key().into_response(),
	}
}

/// Numbers the request and counts it.
async fn observe(State(gateway): Shared, request: Request, next: Next) -> Response {
	let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
	let path = path.unwrap_or_else(|| "other".to_owned());
	gateway.metrics.in_flight.inc();
	let running = InFlight(gateway.clone());
	let mut response = next.run(request).await;
	drop(running);
	gateway.metrics.requests.with_label_values(&[path.as_str(), response.status().as_str()]).inc();
	let id = format!("req_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
	if let Ok(id) = HeaderValue::from_str(&id) {
		response.headers_mut().insert("x-request-id", id);
	}
	response
}

/// Counts a request until it has its headers, or its client is gone.
struct InFlight(Arc<Gateway>);

impl Drop for InFlight {
	fn drop(&mut self) {
		self.0.metrics.in_flight.dec();
	}
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
	ApiError::no_route(StatusCode::NOT_FOUND, method.as_str(), uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
	ApiError::no_route(StatusCode::METHOD_NOT_ALLOWED, method.as_str(), uri.path())
}

fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, ApiError> {
	let body = body.map_err(|rejection| match rejection.status() {
		StatusCode::PAYLOAD_TOO_LARGE => {
			ApiError::too_large(format!("The body is larger than {} MiB.", BODY_LIMIT >> 20))
		},
		_ => ApiError::invalid("The body could not be read."),
	})?;
	serde_json::from_slice(&body)
		.map_err(|error| ApiError::invalid(format!("We could not parse the JSON body of your request: {error}")))
}

/// An answer to a conversation.
#[utoipa::path(post, path = "/v1/chat/completions", request_body = ChatRequest, responses(
	(status = 200, description = "The answer, or a stream of its chunks", body = ChatCompletion),
	(status = "4XX", description = "The request is at fault", body = ErrorBody),
	(status = "5XX", description = "The network or the gateway is at fault", body = ErrorBody),
))]
async fn chat_completions(State(gateway): Shared, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
	let request: ChatRequest = parse(body)?;
	if !gateway.options.ignore_unsupported {
		params::check_chat(&request)?;
	}
	let max_tokens = match params::max_tokens(request.max_completion_tokens, "max_completion_tokens")? {
		Some(tokens) => Some(tokens),
		None => params::max_tokens(request.common.max_tokens, "max_tokens")?,
	};
	let input = convert::chat(request.messages)?;
	let default = gateway.options.default_max_tokens;
	answer(gateway, Shape::Chat, request.model, request.common, vec![input], max_tokens, default).await
}

/// Completions of texts.
#[utoipa::path(post, path = "/v1/completions", request_body = CompletionRequest, responses(
	(status = 200, description = "The completions, or a stream of their chunks", body = Completion),
	(status = "4XX", description = "The request is at fault", body = ErrorBody),
	(status = "5XX", description = "The network or the gateway is at fault", body = ErrorBody),
))]
async fn completions(State(gateway): Shared, body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
	let request: CompletionRequest = parse(body)?;
	if !gateway.options.ignore_unsupported {
		params::check_completion(&request)?;
	}
	let max_tokens = params::max_tokens(request.common.max_tokens, "max_tokens")?;
	let inputs = convert::prompts(request.prompt)?;
	answer(gateway, Shape::Text, request.model, request.common, inputs, max_tokens, TEXT_TOKENS).await
}

async fn answer(
	gateway: Arc<Gateway>,
	shape: Shape,
	name: String,
	common: Common,
	inputs: Vec<Input>,
	max_tokens: Option<u32>,
	default: u32,
) -> Result<Response, ApiError> {
	params::check_choices(&common)?;
	let sampling = params::sampling(&common)?;
	let model = gateway.model(&name)?;
	let prefix = if shape == Shape::Chat { "chatcmpl" } else { "cmpl" };
	let head = Head {
		shape,
		id: format!("{prefix}-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
		created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()),
		model: name,
		include_usage: common.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
	};
	let mut answers = Vec::new();
	for input in inputs {
		let prompt_bound = convert::prompt_bound(&input);
		let max_tokens = limit(&model, &input, prompt_bound, max_tokens, default)?;
		let (limit, flexible) = max_tokens;
		let (model, sampling) = (model.clone(), sampling.clone());
		let job = Job { model, input, prompt_bound, sampling, max_tokens: limit, flexible };
		answers.push(job);
	}
	// Nothing is asked before everything is known to be askable.
	let answers = answers.into_iter().map(|job| relay::start(gateway.clone(), job)).collect();
	if common.stream.unwrap_or(false) {
		respond::streamed(gateway, head, answers).await
	} else {
		respond::whole(&gateway, head, answers).await
	}
}

/// Most completion tokens, and whether that is the gateway's choice.
fn limit(
	model: &ModelView,
	input: &Input,
	prompt_bound: u32,
	given: Option<u32>,
	default: u32,
) -> Result<(u32, bool), ApiError> {
	let context = model.context_length;
	let least = match input {
		Input::Tokens(tokens) => u32::try_from(tokens.len()).unwrap_or(u32::MAX),
		Input::Chat(_) | Input::Text(_) => 0,
	};
	if least.saturating_add(given.unwrap_or(1)) > context {
		return Err(ApiError::context_length(format!(
			"This model's maximum context length is {context} tokens. However, your request needs at least {least} for \
			 the prompt and {} for the answer.",
			given.unwrap_or(1)
		)));
	}
	Ok(match given {
		Some(tokens) => (tokens, false),
		// The bound counts bytes and a token has several, so a long prompt still leaves something to try with.
		None => {
			let room = context.saturating_sub(prompt_bound).max(context / 8).max(FEWEST_TOKENS);
			(default.min(room).min(context.saturating_sub(least)), true)
		},
	})
}

fn describe(gateway: &Gateway, name: &str, model: &ModelView) -> Model {
	let snapshot = gateway.snapshots.load();
	Model {
		id: name.to_owned(),
		object: "model",
		created: 0,
		owned_by: "gonka",
		context_length: model.context_length,
		pricing: Pricing { prompt: format_gnk(model.price.input), completion: format_gnk(model.price.output) },
		hosts: snapshot.serving(model.id).count(),
		is_ready: gateway.is_served(&snapshot, model),
	}
}

/// The models that hosts of the network serve, and their aliases here.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
async fn list_models(State(gateway): Shared) -> Json<ModelList> {
	let snapshot = gateway.snapshots.load();
	let served = snapshot.models.iter().filter(|(_, model)| snapshot.serving(model.id).next().is_some());
	let mut data: Vec<_> = served.map(|(name, model)| describe(&gateway, name, model)).collect();
	let aliases = gateway.options.aliases.iter().filter_map(|(alias, target)| {
		let model = snapshot.models.get(target)?;
		snapshot.serving(model.id).next().map(|_| describe(&gateway, alias, model))
	});
	data.extend(aliases);
	data.sort_by(|left, right| left.id.cmp(&right.id));
	Json(ModelList { object: "list", data })
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = String, Path, description = "Name or alias")), responses(
	(status = 200, body = Model),
	(status = 404, body = ErrorBody),
))]
async fn get_model(State(gateway): Shared, Path(id): Path<String>) -> Result<Json<Model>, ApiError> {
	let model = gateway.model(&id)?;
	Ok(Json(describe(&gateway, &id, &model)))
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health", responses((status = 200, description = "It does")))]
async fn health() -> Json<serde_json::Value> {
	Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// Whether a request can be answered.
#[utoipa::path(get, path = "/ready", responses(
	(status = 200, description = "A host can be asked"),
	(status = 503, description = "None can; the body says why"),
))]
async fn ready(State(gateway): Shared) -> Response {
	let snapshot = gateway.snapshots.load();
	let mut models: Vec<_> = snapshot.models.iter().collect();
	models.retain(|(_, model)| gateway.is_served(&snapshot, model));
	let mut models: Vec<_> = models.into_iter().map(|(name, _)| name.clone()).collect();
	models.sort();
	let channels = snapshot.open_channels().count();
	let in_step = snapshot.open_channels().filter(|(channel, _)| gateway.ledger.available(channel).is_some()).count();
	let status = if models.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
	let reason = match (gateway.snapshots.is_ready(), models.is_empty(), gateway.shortage()) {
		(false, ..) => Some("the chain has not been read yet".to_owned()),
		(true, true, Some(shortage)) => Some(shortage),
		(true, true, None) => Some("no channel to a worker that answers".to_owned()),
		(true, false, _) => None,
	};
	let body = json!({
		"ready": !models.is_empty(),
		"reason": reason,
		"block": snapshot.block,
		"models": models,
		"channels": channels,
		"channels_in_step": in_step,
	});
	(status, Json(body)).into_response()
}

/// What Prometheus reads.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Prometheus' text format")))]
async fn metrics(State(gateway): Shared) -> Result<Response, ApiError> {
	gateway.observe_channels(&gateway.snapshots.load());
	let text = gateway.metrics.render().map_err(|error| ApiError::internal(error.to_string()))?;
	Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
	Json(Api::openapi())
}
