//! The HTTP server: routes, API keys, request ids, limits.

mod bodies;

use crate::{
	anthropic::{self, MessagesRequest},
	api_keys::{report, ring::Spender},
	arrival,
	chat::format::ReasoningTags,
	config::format_gnk,
	gateway::Gateway,
	guard, metering,
	openai::{
		embeddings::{self, EmbeddingList, EmbeddingRequest},
		errors::{ApiError, ErrorBody},
		request::{MAX_BODY, ValidRequest},
		respond::{self, Head},
		responses::{self, Page, ResponseRequest},
		tokenize::{self, DetokenizeRequest, TokenizeRequest},
		types::{ChatCompletion, ChatRequest, Completion, CompletionRequest, Model, ModelList, Pricing},
	},
	snapshot,
};
use axum::{
	Extension, Json, Router,
	extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Path, Query, Request, State},
	http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
	middleware::{self, Next},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use bodies::{Asked, Validate, blocking};
use gonka_client::request_id::{REQUEST_ID_HEADER, RequestId};
use serde_json::{Value, json};
use std::{
	fmt::Display,
	sync::{Arc, LazyLock, OnceLock},
	time::Instant,
};
use tower::ServiceExt;
use tracing::{Instrument, info_span};
use utoipa::OpenApi;

/// The parameters that choose tokens, as `/v1/models` names them.
const SAMPLING_PARAMETERS: &[&str] = &[
	"temperature",
	"top_p",
	"top_k",
	"min_p",
	"frequency_penalty",
	"presence_penalty",
	"repetition_penalty",
	"logit_bias",
	"stop",
	"seed",
	"max_tokens",
];

type Shared = State<Arc<Gateway>>;

#[derive(OpenApi)]
#[openapi(
	info(title = "Gonka gateway", description = "OpenAI-style API in front of the Gonka network"),
	paths(
		chat_completions,
		completions,
		create_embeddings,
		create_message,
		count_tokens,
		create_response,
		count_input_tokens,
		get_response,
		delete_response,
		list_input_items,
		tokenize,
		detokenize,
		list_models,
		get_model,
		report::usage,
		health,
		ready,
		metrics
	),
	components(schemas(ErrorBody))
)]
struct Api;

/// Builds all routes.
pub fn routes(gateway: Arc<Gateway>) -> Router {
	let counted = Router::new()
		.route("/v1/chat/completions", post(chat_completions))
		.route("/v1/completions", post(completions))
		.route("/v1/embeddings", post(create_embeddings))
		.route("/v1/responses", post(create_response))
		.route("/v1/responses/input_tokens", post(count_input_tokens))
		.route("/v1/responses/{id}", get(get_response).delete(delete_response))
		.route("/v1/responses/{id}/input_items", get(list_input_items))
		.route("/v1/messages", post(create_message))
		.route("/v1/messages/count_tokens", post(count_tokens))
		.route("/tokenize", post(tokenize))
		.route("/detokenize", post(detokenize))
		.layer(middleware::from_fn(count));
	let all = counted
		.route("/v1/models", get(list_models))
		.route("/v1/models/{*id}", get(get_model))
		.route("/v1/usage", get(report::usage))
		.layer(middleware::from_fn(arrival::in_time))
		.layer(middleware::from_fn_with_state(gateway.clone(), authorise))
		.route("/health", get(health))
		.route("/ready", get(ready))
		.route("/metrics", get(metrics))
		.route("/openapi.json", get(openapi))
		.fallback(no_route)
		.method_not_allowed_fallback(wrong_method)
		.layer(DefaultBodyLimit::max(MAX_BODY))
		.layer(middleware::from_fn_with_state(gateway.clone(), guard::guard));
	let all = match guard::cors(&gateway.options.cors_origins) {
		Some(cors) => all.layer(cors),
		None => all,
	};
	all.layer(middleware::from_fn(anthropic::with_its_form))
		.layer(middleware::from_fn_with_state(gateway.clone(), observe))
		.layer(middleware::from_fn(identify))
		.with_state(gateway)
}

/// Serves `routes` once they are set. Until then, every route but `/health` responds that the gateway is starting.
pub fn starting(routes: Arc<OnceLock<Router>>) -> Router {
	let waiting = Router::new()
		.route("/health", get(health))
		.fallback(async || ApiError::unavailable("The gateway has not reached its node yet."))
		.layer(middleware::from_fn(anthropic::with_its_form))
		.layer(middleware::from_fn(identify));
	Router::new().fallback(move |request: Request| {
		let router = routes.get().unwrap_or(&waiting).clone();
		async move { router.oneshot(request).await.into_response() }
	})
}

/// Finds the API key that pays for the request, a [`Spender`] for its handler.
async fn authorise(State(gateway): Shared, mut request: Request, next: Next) -> Result<Response, ApiError> {
	let spender = spender(&gateway, request.headers())?;
	tracing::debug!(key = spender.name(), "authorised");
	request.extensions_mut().insert(spender);
	Ok(next.run(request).await)
}

/// The API key in the headers of a request. Anthropic's clients have a header of their own, with the key alone.
fn spender(gateway: &Gateway, headers: &HeaderMap) -> Result<Spender, ApiError> {
	let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
	let authorization = text("authorization").or_else(|| Some(format!("Bearer {}", text("x-api-key")?)));
	gateway.keys.authorise(authorization.as_deref())
}

/// Counts a request that takes work, or reads from the disk, against the key's rate. A rejection may take as much as a completion.
async fn count(Extension(spender): Extension<Spender>, request: Request, next: Next) -> Result<Response, ApiError> {
	spender.admit()?;
	Ok(next.run(request).await)
}

/// A part of a request. A rejection of it has the form of all errors.
struct Found<E>(E);

impl<S: Send + Sync, E: FromRequestParts<S, Rejection: Display>> FromRequestParts<S> for Found<E> {
	type Rejection = ApiError;

	async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
		E::from_request_parts(parts, state).await.map(Self).map_err(|error| ApiError::invalid(error.to_string()))
	}
}

/// Gives the request its id and a span with it, and the response the same id.
async fn identify(mut request: Request, next: Next) -> Response {
	let header = request.headers().get(REQUEST_ID_HEADER).map(HeaderValue::as_bytes);
	let id = RequestId::from_header(header);
	let span = info_span!("request", %id, method = %request.method(), route = route(&request));
	request.extensions_mut().insert(id.clone());
	let mut response = next.run(request).instrument(span).await;
	if let Ok(id) = HeaderValue::from_str(id.as_str()) {
		response.headers_mut().insert(REQUEST_ID_HEADER, id);
	}
	response
}

/// Counts the request and logs its outcome.
async fn observe(State(gateway): Shared, request: Request, next: Next) -> Response {
	let (route, started) = (route(&request).to_owned(), Instant::now());
	gateway.metrics.in_flight.inc();
	let in_flight = InFlight(gateway.clone());
	let response = next.run(request).await;
	drop(in_flight);
	let status = response.status();
	gateway.metrics.requests.with_label_values(&[route.as_str(), status.as_str()]).inc();
	tracing::debug!(status = status.as_u16(), milliseconds = started.elapsed().as_millis(), "responded");
	response
}

/// The matched route: bounded in number, unlike paths.
fn route(request: &Request) -> &str {
	request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str)
}

/// Counts a request as in flight until its headers are sent, or its client is gone.
struct InFlight(Arc<Gateway>);

impl Drop for InFlight {
	fn drop(&mut self) {
		self.0.metrics.in_flight.dec();
	}
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
	ApiError::no_route(method.as_str(), uri.path())
}

async fn wrong_method(request: Request) -> ApiError {
	static API: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Api::openapi);
	let item = API.paths.paths.get(&route(&request).replace("{*", "{"));
	let methods = item.map(|item| [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)]);
	let allowed = methods.into_iter().flatten().filter(|(_, operation)| operation.is_some());
	let allowed: Vec<&str> = allowed.map(|(method, _)| method).collect();
	// `/openapi.json` does not describe itself.
	let allowed = if allowed.is_empty() { "GET".to_owned() } else { allowed.join(" or ") };
	ApiError::wrong_method(request.method().as_str(), request.uri().path(), &allowed)
}

/// Completes a chat.
#[utoipa::path(post, path = "/v1/chat/completions", request_body = ChatRequest, responses(
	(status = 200, description = "The completion, or a stream of its chunks", body = ChatCompletion),
	ApiError
))]
async fn chat_completions(asked: Asked) -> Result<Response, ApiError> {
	complete(asked, ValidRequest::chat).await
}

/// Completes texts.
#[utoipa::path(post, path = "/v1/completions", request_body = CompletionRequest, responses(
	(status = 200, description = "The completions, or a stream of their chunks", body = Completion),
	ApiError
))]
async fn completions(asked: Asked) -> Result<Response, ApiError> {
	complete(asked, ValidRequest::text).await
}

/// Makes embeddings of texts.
#[utoipa::path(post, path = "/v1/embeddings", request_body = EmbeddingRequest, responses(
	(status = 200, description = "An embedding for each text", body = EmbeddingList),
	ApiError
))]
async fn create_embeddings(mut asked: Asked) -> Result<Response, ApiError> {
	let texts = asked.read(embeddings::read).await?;
	let admitted = metering::admit(&asked.gateway, &asked.id, &asked.spender, &texts.prompts, &texts.reading)?;
	embeddings::respond(&asked.gateway, texts, admitted).await
}

/// Makes a response: a turn of a chat that the gateway remembers.
#[utoipa::path(post, path = "/v1/responses", request_body = ResponseRequest, responses(
	(status = 200, description = "The response, or a stream of its events", body = Object),
	ApiError
))]
async fn create_response(mut asked: Asked) -> Result<Response, ApiError> {
	let owner = asked.spender.id().to_owned();
	let turn = asked.read(move |gateway, fields| responses::read(gateway, fields, &owner)).await?;
	let pieces = asked.start(&turn.request)?;
	responses::respond(asked.gateway, turn, pieces).await
}

/// Returns a response that is kept.
#[utoipa::path(get, path = "/v1/responses/{id}", params(("id" = String, Path, description = "The response's id")), responses(
	(status = 200, body = Object),
	(status = 404, description = "There is none", body = ErrorBody),
	ApiError
))]
async fn get_response(
	State(gateway): Shared,
	Extension(spender): Extension<Spender>,
	Found(Path(id)): Found<Path<String>>,
) -> Result<Json<Value>, ApiError> {
	let owner = spender.clone();
	let stored = blocking(spender.id(), move || gateway.responses.get(&id, owner.id())).await?;
	Ok(Json(stored.response))
}

/// Deletes a response that is kept.
#[utoipa::path(delete, path = "/v1/responses/{id}", params(("id" = String, Path, description = "The response's id")), responses(
	(status = 200, body = Object),
	(status = 404, description = "There is none", body = ErrorBody),
	ApiError
))]
async fn delete_response(
	State(gateway): Shared,
	Extension(spender): Extension<Spender>,
	Found(Path(id)): Found<Path<String>>,
) -> Result<Json<Value>, ApiError> {
	let deleted = json!({"id": id, "object": "response", "deleted": true});
	let owner = spender.clone();
	blocking(spender.id(), move || gateway.responses.delete(&id, owner.id())).await?;
	Ok(Json(deleted))
}

/// Lists the items of a response's input.
#[utoipa::path(get, path = "/v1/responses/{id}/input_items", params(
	("id" = String, Path, description = "The response's id"), Page,
), responses(
	(status = 200, body = Object),
	(status = 404, description = "There is none", body = ErrorBody),
	ApiError
))]
async fn list_input_items(
	State(gateway): Shared,
	Extension(spender): Extension<Spender>,
	Found(Path(id)): Found<Path<String>>,
	Found(Query(page)): Found<Query<Page>>,
) -> Result<Json<Value>, ApiError> {
	let owner = spender.clone();
	let stored = blocking(spender.id(), move || gateway.responses.get(&id, owner.id())).await?;
	responses::input_items(stored, &page).map(Json)
}

/// Counts the tokens of a response's prompt.
#[utoipa::path(post, path = "/v1/responses/input_tokens", request_body = ResponseRequest, responses(
	(status = 200, description = "Their number", body = Object),
	ApiError
))]
async fn count_input_tokens(mut asked: Asked) -> Result<Json<Value>, ApiError> {
	let owner = asked.spender.id().to_owned();
	asked.read(move |gateway, fields| responses::count(gateway, fields, &owner)).await.map(Json)
}

/// Returns the token ids of a prompt.
#[utoipa::path(post, path = "/tokenize", request_body = TokenizeRequest, responses(
	(status = 200, description = "The token ids, their number, and their texts if the request wants them", body = Object),
	ApiError
))]
async fn tokenize(mut asked: Asked) -> Result<Json<Value>, ApiError> {
	asked.read(tokenize::tokenize).await.map(Json)
}

/// Returns the text of token ids.
#[utoipa::path(post, path = "/detokenize", request_body = DetokenizeRequest, responses(
	(status = 200, description = "The text", body = Object),
	ApiError
))]
async fn detokenize(mut asked: Asked) -> Result<Json<Value>, ApiError> {
	asked.read(tokenize::detokenize).await.map(Json)
}

/// Makes a message, in the form of Anthropic's API.
#[utoipa::path(post, path = "/v1/messages", request_body = MessagesRequest, responses(
	(status = 200, description = "The message, or a stream of its events", body = Object),
	(status = "4XX", description = "The request is at fault", body = Object),
	(status = "5XX", description = "The network or the gateway is at fault", body = Object),
))]
async fn create_message(mut asked: Asked) -> Result<Response, ApiError> {
	let request = asked.validate(anthropic::read).await?;
	let pieces = asked.start(&request)?;
	anthropic::respond(asked.gateway, request, pieces).await
}

/// Counts the tokens of a message's prompt, in the form of Anthropic's API.
#[utoipa::path(post, path = "/v1/messages/count_tokens", request_body = MessagesRequest, responses(
	(status = 200, description = "Their number", body = Object),
	(status = "4XX", description = "The request is at fault", body = Object),
	(status = "5XX", description = "The network or the gateway is at fault", body = Object),
))]
async fn count_tokens(mut asked: Asked) -> Result<Json<Value>, ApiError> {
	asked.read(anthropic::count).await.map(Json)
}

/// Responds with the completions of a request.
async fn complete(mut asked: Asked, validate: Validate) -> Result<Response, ApiError> {
	let request = asked.validate(validate).await?;
	let (head, stream) = (Head::new(&request), request.stream);
	let completions = asked.start(&request)?;
	if stream {
		respond::streamed(asked.gateway, head, completions).await
	} else {
		respond::whole(&asked.gateway, head, completions).await
	}
}

fn describe(gateway: &Gateway, name: &str, model: &snapshot::Model) -> Model {
	let (snapshot, price) = (gateway.snapshots.load(), model.price());
	let context_length = gateway.context_length(&snapshot, model);
	let tokenizer = gateway.tokenizers.of(model).map(|opened| opened.tokenizer);
	let embeds = tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.pooling().is_some());
	let template = tokenizer.as_ref().and_then(|tokenizer| tokenizer.template()).unwrap_or_default();
	let mut features = vec!["tools", "json_mode", "structured_outputs", "logprobs"];
	features.extend(ReasoningTags::of_template(template).map(|_| "reasoning"));
	if embeds {
		features = vec!["embeddings"];
	}
	Model {
		id: name.to_owned(),
		name: model.name.clone(),
		object: "model",
		created: 0,
		owned_by: "gonka",
		context_length,
		max_output_length: if embeds { 0 } else { context_length },
		input_modalities: ["text"],
		output_modalities: [if embeds { "embeddings" } else { "text" }],
		supported_sampling_parameters: if embeds { &[] } else { SAMPLING_PARAMETERS },
		supported_features: features,
		pricing: Pricing { prompt: format_gnk(price.input), completion: format_gnk(price.output) },
		hosts: snapshot.serving(model).count(),
		is_ready: gateway.is_served(&snapshot, model),
	}
}

/// Lists the models that hosts of the network serve, and their aliases at this gateway.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList), ApiError))]
async fn list_models(State(gateway): Shared) -> Json<ModelList> {
	let snapshot = gateway.snapshots.load();
	let is_served = |model: &snapshot::Model| snapshot.serving(model).next().is_some();
	let served = snapshot.models.iter().filter(|(_, model)| model.is_listed() && is_served(model));
	let mut data: Vec<_> = served.map(|(name, model)| describe(&gateway, name, model)).collect();
	let aliases = gateway.options.aliases.iter().filter_map(|(alias, target)| {
		let model = snapshot.models.get(target).filter(|model| is_served(model))?;
		Some(describe(&gateway, alias, model))
	});
	data.extend(aliases);
	data.sort_by(|left, right| left.id.cmp(&right.id));
	Json(ModelList { object: "list", data })
}

/// Describes a model.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = String, Path, description = "Name or alias")), responses(
	(status = 200, body = Model),
	(status = 404, body = ErrorBody),
	ApiError
))]
async fn get_model(State(gateway): Shared, Found(Path(id)): Found<Path<String>>) -> Result<Json<Model>, ApiError> {
	let model = gateway.model(&id)?;
	Ok(Json(describe(&gateway, &id, &model)))
}

/// Responds while the process runs.
#[utoipa::path(get, path = "/health", responses((status = 200, description = "The process runs")))]
async fn health() -> Json<serde_json::Value> {
	Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// Tells whether a request can be dispatched.
#[utoipa::path(get, path = "/ready", responses(
	(status = 200, description = "A host is available"),
	(status = 503, description = "No host is available; the body says why"),
))]
async fn ready(State(gateway): Shared) -> Response {
	let snapshot = gateway.snapshots.load();
	let mut models: Vec<_> = snapshot.models.iter().collect();
	models.retain(|(_, model)| model.is_listed() && gateway.is_served(&snapshot, model));
	let mut models: Vec<_> = models.into_iter().map(|(name, _)| name.clone()).collect();
	models.sort();
	let channels = snapshot.open_channels().count();
	let in_step = snapshot.open_channels().filter(|(channel, _)| gateway.ledger.available(channel).is_some()).count();
	let is_closed = gateway.ledger.store().is_closed();
	if is_closed {
		models.clear();
	}
	let status = if models.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
	let reason = match (gateway.snapshots.is_ready(), models.is_empty(), gateway.shortage()) {
		_ if is_closed => Some("the ledger cannot be written".to_owned()),
		(false, ..) => Some("the chain has not been read yet".to_owned()),
		(true, true, Some(shortage)) => Some(shortage),
		(true, true, None) => {
			let trouble = snapshot.models.values().find_map(|model| gateway.trouble(&snapshot, model));
			Some(trouble.unwrap_or_else(|| "no channel to a host whose worker responds".to_owned()))
		},
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

/// Returns the metrics for Prometheus. They have the usage of all API keys, so other machines need a key of the settings for them.
#[utoipa::path(get, path = "/metrics", responses(
	(status = 200, description = "Prometheus' text format"), ApiError
))]
async fn metrics(State(gateway): Shared, headers: HeaderMap) -> Result<Response, ApiError> {
	if !gateway.options.host_names.are_local() && spender(&gateway, &headers)?.is_of_file() {
		let message = "The metrics have the usage of all API keys: send a key of the gateway's settings.";
		return Err(ApiError::forbidden(message));
	}
	gateway.observe_channels(&gateway.snapshots.load());
	let text = gateway.metrics.render().map_err(|error| ApiError::internal(error.to_string()))?;
	Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
	Json(Api::openapi())
}
