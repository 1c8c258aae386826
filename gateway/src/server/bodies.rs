//! Reads the bodies of requests: long ones, and those with grammars, on threads that may be blocked.

use crate::{
	api_keys::ring::Spender,
	gateway::Gateway,
	metering::{self, Pieces},
	openai::{
		errors::ApiError,
		fields::Fields,
		request::{MAX_BODY, ValidRequest},
	},
	room::{Room, SHORT},
};
use axum::{
	body::Body,
	extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use gonka_client::request_id::RequestId;
use http_body_util::BodyExt;
use std::{
	collections::HashMap,
	mem::take,
	num::NonZeroUsize,
	sync::{Arc, LazyLock, Mutex, PoisonError},
	thread,
	time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

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

/// Validates a request for completions.
pub(super) type Validate = fn(&Gateway, &Fields) -> Result<ValidRequest, ApiError>;

/// A request with a body to a route that needs an API key.
pub(super) struct Asked {
	/// The shared state.
	pub gateway: Arc<Gateway>,
	/// The request's id.
	pub id: RequestId,
	/// The API key that pays for it.
	pub spender: Spender,
	/// Empty once it was read, as its room.
	body: (Bytes, Room),
}

impl FromRequest<Arc<Gateway>> for Asked {
	type Rejection = ApiError;

	async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, ApiError> {
		let extensions = request.extensions();
		let known = extensions.get::<RequestId>().cloned().zip(extensions.get::<Spender>().cloned());
		let (id, spender) = known.ok_or_else(|| ApiError::internal("The request has no id or no API key."))?;
		let body = collect(request.into_body(), Room::of(spender.id())).await?;
		Ok(Self { gateway: gateway.clone(), id, spender, body })
	}
}

impl Asked {
	/// Parses and validates it. Long prompts and grammars take time: other requests go on meanwhile.
	pub async fn validate(&mut self, validate: Validate) -> Result<ValidRequest, ApiError> {
		// Another thread would take longer to begin.
		if self.body.0.len() > SHORT {
			return self.read(validate).await;
		}
		let fields = parse(&self.gateway, &self.spender, &take(&mut self.body).0)?;
		if !FORMS.iter().any(|form| fields.has(form)) {
			return validate(&self.gateway, &fields);
		}
		let gateway = self.gateway.clone();
		blocking(self.spender.id(), move || validate(&gateway, &fields)).await
	}

	/// Parses the body and does something with it that may take time.
	pub async fn read<T: Send + 'static>(
		&mut self,
		work: impl FnOnce(&Gateway, &Fields) -> Result<T, ApiError> + Send + 'static,
	) -> Result<T, ApiError> {
		let (gateway, spender, body) = (self.gateway.clone(), self.spender.clone(), take(&mut self.body));
		blocking(self.spender.id(), move || {
			// Until the work is done: what was parsed takes memory, too.
			let (body, _room) = body;
			work(&gateway, &parse(&gateway, &spender, &body)?)
		})
		.await
	}

	/// Starts its completions: see [`metering::start`].
	pub fn start(&self, request: &ValidRequest) -> Result<Vec<Pieces>, ApiError> {
		metering::start(&self.gateway, &self.id, &self.spender, request)
	}
}

/// Reads a body into a room that grows with it.
async fn collect(mut body: Body, mut room: Room) -> Result<(Bytes, Room), ApiError> {
	let mut bytes = BytesMut::new();
	while let Some(frame) = body.frame().await {
		let frame = frame.map_err(|_| ApiError::invalid("The body could not be read."))?;
		let Ok(data) = frame.into_data() else { continue };
		let length = bytes.len().saturating_add(data.len());
		if length > MAX_BODY {
			return Err(ApiError::too_large(format!("The body is larger than {} MiB.", MAX_BODY >> 20)));
		}
		if !room.grow_to(length) {
			let message = "Too many long requests are being read. Send this one again when others have ended.";
			return Err(ApiError::too_many_requests(message, 1));
		}
		bytes.extend_from_slice(&data);
	}
	Ok((bytes.freeze(), room))
}

/// Parses a body, and checks that the API key may use the model that it names: before anything is done for it.
fn parse(gateway: &Gateway, spender: &Spender, body: &[u8]) -> Result<Fields, ApiError> {
	let fields = Fields::parse(body)?;
	if let Some(name) = fields.text("model")? {
		let target = gateway.options.aliases.get(&name).unwrap_or(&name);
		spender.check_model(&[&name, target])?;
	}
	Ok(fields)
}

/// Does work of an API key that would hold other requests up. There is as much of it at a time as there are cores, also of clients that
/// are gone, and no more of one key waits for a turn before that of another.
pub(super) async fn blocking<T: Send + 'static>(
	key: &str,
	work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
	static TURNS: LazyLock<Semaphore> = LazyLock::new(turns);
	static OF_KEYS: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);
	let own = {
		let mut keys = OF_KEYS.lock().unwrap_or_else(PoisonError::into_inner);
		keys.entry(key.to_owned()).or_insert_with(|| Arc::new(turns())).clone()
	};
	let both = async { (own.acquire_owned().await, TURNS.acquire().await) };
	let turn = timeout(PATIENCE, both).await.map_err(|_| ApiError::busy())?;
	let work = move || {
		let _turn = turn;
		work()
	};
	tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error.to_string()))?
}

/// As many turns as there are cores.
fn turns() -> Semaphore {
	Semaphore::new(thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::sync::mpsc;
	use tokio::{
		sync::mpsc::unbounded_channel,
		task::{JoinSet, yield_now},
	};

	#[tokio::test]
	async fn a_body_has_its_room_until_it_is_dropped_and_no_more_than_a_body_may_have() {
		let read = |length: usize| collect(Body::from(vec![b' '; length]), Room::of("key"));
		let taken = || Room::taken("key");
		let (body, room) = read(SHORT).await.unwrap();
		assert_eq!((body.len(), taken()), (SHORT, 0));
		drop((body, room));
		let (body, room) = read(MAX_BODY).await.unwrap();
		assert_eq!((body.len(), taken()), (MAX_BODY, MAX_BODY));
		drop((body, room));
		assert_eq!(taken(), 0);
		assert_eq!(read(MAX_BODY + 1).await.err().map(|error| error.status.as_u16()), Some(413));
		assert_eq!(taken(), 0);
	}

	#[tokio::test]
	async fn the_work_of_a_key_does_not_wait_behind_all_of_another() {
		let cores = turns().available_permits();
		let ((began, mut begins), mut tasks) = (unbounded_channel(), JoinSet::new());
		// Begins work that ends when what it returns is dropped.
		let mut begin = |key: &'static str, number: usize| {
			let ((end, ends), began) = (mpsc::channel::<()>(), began.clone());
			tasks.spawn(blocking(key, move || {
				began.send((key, number)).unwrap();
				let _ = ends.recv();
				Ok(())
			}));
			end
		};
		let mut running: Vec<_> = (0..cores).map(|number| begin("many", number)).collect();
		for _ in 0..cores {
			assert_eq!(begins.recv().await.unwrap().0, "many");
		}
		let waiting: Vec<_> = (cores..3 * cores).map(|number| begin("many", number)).collect();
		for _ in 0..1_000 {
			yield_now().await;
		}
		let one = begin("one", 0);
		for _ in 0..1_000 {
			yield_now().await;
		}
		drop(running.pop());
		assert_eq!(begins.recv().await, Some(("one", 0)));
		drop((running, waiting, one));
		while let Some(ended) = tasks.join_next().await {
			ended.unwrap().unwrap();
		}
	}
}
