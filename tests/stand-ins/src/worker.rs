//! A worker that serves the real API over HTTP/2 and keeps its own ledger. Its tokens need no model: the i-th token of
//! every completion has the id 256 + i and the text `"w{i} "`, on every host.

use axum::{
	Json, Router,
	body::{Body, Bytes},
	extract::State,
	http::{HeaderMap, StatusCode},
	response::{IntoResponse, Response},
	routing::{get, post},
};
use futures::stream;
use gonka_client::{request_id::REQUEST_ID_HEADER, worker_api::*};
use gonka_primitives::{
	ChannelId, Hash, ModelId, PublicKey,
	hashing::{domain, signing_payload},
	market::*,
	views::HostView,
};
use sha2::{Digest, Sha256};
use std::{
	collections::{BTreeMap, HashMap, HashSet},
	io,
	sync::{Arc, LazyLock, Mutex, MutexGuard},
	time::Duration,
};
use subxt_signer::sr25519::{self, Keypair};
use tokio::sync::{Notify, mpsc};

pub const GENESIS: Hash = [77; 32];
pub const PRICE: Price = Price { input: 2, output: 5 };
/// Number of tokens of the tests' usual chat: the bytes of its text.
pub const PROMPT_TOKENS: u32 = "user: Tell me the answer to everything.\nassistant:".len() as u32;
/// Number of different words.
const WORDS: u32 = 100;
const FIRST_WORD: u32 = 256;
/// The token that ends a completion.
const END: u32 = FIRST_WORD + WORDS;

/// The tokenizer file of the model, and its hash.
pub static TOKENIZER: LazyLock<(Hash, Vec<u8>)> = LazyLock::new(|| {
	let words: Vec<_> = (0..WORDS).map(|index| format!("w{index} ")).collect();
	let file = gonka_tokenizer::mock_tokenizer(&words.iter().map(String::as_str).collect::<Vec<_>>());
	(Sha256::digest(&file).into(), file)
});

/// The tokenizer file of the model `test/embed`, and its hash.
pub static EMBEDDING_TOKENIZER: LazyLock<(Hash, Vec<u8>)> = LazyLock::new(|| {
	let mut file = TOKENIZER.1.clone();
	// Two more keys, of 32-bit integers: the kind of pooling, and the width.
	for (key, value) in [("llama.pooling_type", 1u32), ("llama.embedding_length", 2)] {
		file[16] += 1;
		for part in [&(key.len() as u64).to_le_bytes()[..], key.as_bytes(), &4u32.to_le_bytes(), &value.to_le_bytes()] {
			file.extend(part);
		}
	}
	(Sha256::digest(&file).into(), file)
});

/// The embedding of a prompt, by every worker.
pub fn embedding(prompt: &[u32]) -> Vec<f32> {
	let angle = prompt.iter().sum::<u32>() as f32;
	vec![angle.cos(), angle.sin()]
}

/// A fault of a worker's receipts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
	Output,
	Fee,
	Count,
	Signature,
	Finish,
}

/// How a worker fails in the middle of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
	/// It ends the stream without a receipt.
	Ends,
	/// It does, after it has signed a receipt for one more token than it sent.
	Charges,
	/// It signs a receipt for one more token than it sent, and sends nothing more.
	Withholds,
	/// It resets the stream when [`Worker::reset`] is notified, or at once if it has sent no token. A reset overtakes
	/// tokens that are still in a buffer, so the test has to see them first.
	Resets,
	/// It sends nothing more.
	Silent,
	/// It sends tokens without end.
	Endless,
}

#[derive(Clone, Debug)]
pub struct Behaviour {
	/// Number of tokens of a complete completion, the end included.
	pub length: u32,
	/// Fails after that many tokens of its own.
	pub fails_after: Option<(u32, Failure)>,
	/// Number of requests to reject as busy.
	pub busy: u32,
	pub refuses: Option<ErrorCode>,
	pub lie: Option<Lie>,
	/// Takes vouchers but breaks off instead of responding.
	pub mute_vouchers: bool,
	/// Signs the receipt and ends the stream instead of sending it.
	pub keeps_receipts: bool,
	/// Pause before each token.
	pub pause: Duration,
	/// Maximum number of tokens of prompt and completion together.
	pub context: u32,
	/// Generates this text, a byte a token, instead of words.
	pub says: Option<String>,
	/// Sends so many likeliest tokens with each, whatever a request asks for.
	pub logprobs: Option<u8>,
	/// Sends this instead of the tokenizer file.
	pub tokenizer: Option<Vec<u8>>,
	/// Begins to send the tokenizer file, and never goes on.
	pub holds_tokenizer: bool,
	/// Sends this embedding instead of the right one.
	pub embedding: Option<Vec<f32>>,
}

impl Default for Behaviour {
	fn default() -> Self {
		Self {
			length: 6,
			fails_after: None,
			busy: 0,
			refuses: None,
			lie: None,
			mute_vouchers: false,
			keeps_receipts: false,
			pause: Duration::ZERO,
			context: 2048,
			says: None,
			logprobs: None,
			tokenizer: None,
			holds_tokenizer: false,
			embedding: None,
		}
	}
}

#[derive(Default)]
pub struct Account {
	pub sequence: u64,
	used: HashSet<u64>,
	pub voucher: Option<SignedVoucher>,
	pub totals: Totals,
	pub receipts: BTreeMap<Hash, (SignedEnvelope, SignedReceipt)>,
	pub acknowledged: HashSet<Hash>,
	/// Number of vouchers taken.
	pub vouchers: u64,
}

impl Account {
	/// Sums over every receipt that was ever signed.
	pub fn due(&self) -> Totals {
		self.receipts.values().fold(Totals::default(), |sum, (_, signed)| sum.checked_add(&one(signed)).unwrap())
	}
}

fn one(signed: &SignedReceipt) -> Totals {
	Totals { fee: signed.receipt.fee, work: signed.receipt.work(), receipts: 1 }
}

#[derive(Default)]
pub struct WorkerState {
	pub behaviour: Behaviour,
	pub accounts: HashMap<ChannelId, Account>,
	pub requests: Vec<InferenceRequest>,
	/// The models of the envelopes.
	pub models: Vec<ModelId>,
	pub request_ids: Vec<String>,
	/// Number of queries for tokenizer files.
	pub tokenizers: u32,
	pub cancelled: u32,
}

/// The worker of one host. Clones share its state.
#[derive(Clone)]
pub struct Worker {
	pub key: Keypair,
	pub url: String,
	pub reset: Arc<Notify>,
	index: u8,
	gateway: PublicKey,
	state: Arc<Mutex<WorkerState>>,
}

/// A request with its envelope, whose signature is right.
pub struct Asked {
	pub signed: SignedEnvelope,
	pub hash: Hash,
	pub request: InferenceRequest,
}

impl Worker {
	/// The worker of host number `index` at `url`, which takes envelopes of one gateway.
	pub fn new(index: u8, url: String, gateway: PublicKey) -> Self {
		let key = Keypair::from_secret_key([index + 1; 32]).unwrap();
		Self { key, url, reset: Arc::default(), index, gateway, state: Arc::default() }
	}

	/// Starts a worker that [behaves](Behaviour) as a test demands.
	pub async fn start(index: u8, gateway: PublicKey) -> Self {
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let worker = Self::new(index, format!("http://{}", listener.local_addr().unwrap()), gateway);
		let routes = Router::new()
			.route(INFERENCE_PATH, post(inference))
			.route(TOKENIZER_PATH, post(tokenizer))
			.route(HEALTH_PATH, get(health))
			.with_state(worker.clone())
			.merge(worker.payment_routes());
		tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
		worker
	}

	/// The routes on which a gateway pays.
	pub fn payment_routes(&self) -> Router {
		Router::new().route(VOUCHERS_PATH, post(vouchers)).route(CHANNEL_PATH, post(channel)).with_state(self.clone())
	}

	/// Its host, as the chain knows it.
	pub fn host(&self) -> HostView {
		HostView {
			account: [self.index; 32],
			worker: self.key.public_key().0,
			url: self.url.clone().into_bytes(),
			models: vec![4],
			registered: 0,
			effective_weight: 0,
			condemned: false,
		}
	}

	/// Reads and checks a request.
	pub fn read(&self, headers: &HeaderMap, body: &[u8]) -> Asked {
		let signed: SignedEnvelope = from_hex(headers[ENVELOPE_HEADER].to_str().unwrap()).unwrap();
		let hash = signed.envelope.hash(&GENESIS);
		assert!(self.verify(signed.signature, hash), "the gateway signs its envelopes");
		assert_eq!(signed.envelope.body, body_hash(body));
		assert_eq!(signed.envelope.price, PRICE);
		Asked { signed, hash, request: serde_json::from_slice(body).unwrap() }
	}

	/// Uses an envelope's sequence number. Returns false if it was used before.
	pub fn admit(&self, envelope: &Envelope) -> bool {
		let mut state = self.state();
		let account = state.accounts.entry(envelope.channel).or_default();
		account.sequence = account.sequence.max(envelope.sequence);
		account.used.insert(envelope.sequence)
	}

	/// Signs and keeps the receipt for `tokens`, with a fault if there is to be one.
	pub fn conclude(&self, asked: &Asked, tokens: &[u32], finish: FinishReason, lie: Option<Lie>) -> SignedReceipt {
		let prompt_tokens = (asked.request.prompt.len() + asked.request.delivered.len()) as u32;
		let embeds = asked.signed.envelope.max_tokens == 0;
		let completion_tokens = if embeds { 0 } else { tokens.len() as u32 };
		let receipt = Receipt {
			envelope: asked.hash,
			output: output_hash(tokens),
			fingerprint: [0; 32],
			prompt_tokens,
			completion_tokens,
			finish,
			fee: PRICE.fee(prompt_tokens, completion_tokens).unwrap(),
		};
		assert!(receipt.fee <= asked.signed.envelope.max_fee);
		let receipt = self.sign(receipt, lie);
		let (channel, entry) = (asked.signed.envelope.channel, (asked.signed.clone(), receipt.clone()));
		self.state().accounts.entry(channel).or_default().receipts.insert(asked.hash, entry);
		receipt
	}

	/// Whether every receipt is acknowledged, once.
	pub fn is_square(&self) -> bool {
		let is_square =
			|account: &Account| account.totals == account.due() && account.acknowledged.len() == account.receipts.len();
		self.state().accounts.values().all(is_square)
	}

	/// Number of receipts that it signed.
	pub fn receipts(&self) -> usize {
		self.state().accounts.values().map(|account| account.receipts.len()).sum()
	}

	pub fn state(&self) -> MutexGuard<'_, WorkerState> {
		self.state.lock().unwrap()
	}

	pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
		change(&mut self.state().behaviour);
	}

	fn verify(&self, signature: [u8; 64], payload: Hash) -> bool {
		sr25519::verify(&sr25519::Signature(signature), payload, &sr25519::PublicKey(self.gateway))
	}

	fn sign(&self, mut receipt: Receipt, lie: Option<Lie>) -> SignedReceipt {
		match lie {
			Some(Lie::Output) => receipt.output[0] ^= 1,
			Some(Lie::Fee) => receipt.fee += 1,
			Some(Lie::Count) => {
				receipt.completion_tokens += 1;
				receipt.fee += PRICE.output;
			},
			Some(Lie::Finish) => receipt.finish = FinishReason::Cancelled,
			Some(Lie::Signature) | None => {},
		}
		let signature = self.key.sign(&signing_payload(domain::RECEIPT, &GENESIS, &receipt)).0;
		if lie == Some(Lie::Signature) {
			return SignedReceipt { receipt, signature: [1; 64] };
		}
		SignedReceipt { receipt, signature }
	}
}

fn refuse(code: ErrorCode) -> Response {
	let error = Error { code, message: format!("{code:?}") };
	(StatusCode::from_u16(code.status()).unwrap(), Json(ErrorBody { error })).into_response()
}

async fn inference(State(worker): State<Worker>, headers: HeaderMap, body: Bytes) -> Response {
	let asked = worker.read(&headers, &body);
	let behaviour = {
		let mut state = worker.state();
		state.requests.push(asked.request.clone());
		state.models.push(asked.signed.envelope.model);
		state.request_ids.push(headers[REQUEST_ID_HEADER].to_str().unwrap().to_owned());
		if state.behaviour.busy > 0 {
			state.behaviour.busy -= 1;
			return refuse(ErrorCode::Busy);
		}
		if let Some(code) = state.behaviour.refuses {
			return refuse(code);
		}
		state.behaviour.clone()
	};
	if !worker.admit(&asked.signed.envelope) {
		return refuse(ErrorCode::Replayed);
	}
	let (events, mut receiver) = mpsc::channel::<Result<Event, io::Error>>(8);
	tokio::spawn(complete(worker, asked, behaviour, events));
	let stream = stream::poll_fn(move |context| receiver.poll_recv(context));
	let frames = futures::StreamExt::map(stream, |event| {
		event.map(|event| format!("data: {}\n\n", serde_json::to_string(&event).unwrap()))
	});
	Body::from_stream(frames).into_response()
}

/// A token with as many likeliest ones as a request asks for.
fn token(id: u32, logprobs: Option<u8>) -> Event {
	let top_logprobs = (0..logprobs.unwrap_or(0).into()).map(|other| (id - other, -0.5 - other as f32)).collect();
	Event::Token { id, logprob: logprobs.map(|_| -0.5), top_logprobs }
}

async fn complete(worker: Worker, asked: Asked, behaviour: Behaviour, events: mpsc::Sender<Result<Event, io::Error>>) {
	let before = asked.request.delivered.len() as u32;
	let (mut tokens, mut finish) = (Vec::new(), FinishReason::Stop);
	let embeds = asked.signed.envelope.max_tokens == 0;
	if embeds {
		tokio::time::sleep(behaviour.pause).await;
		let vector = behaviour.embedding.clone().unwrap_or_else(|| embedding(&asked.request.prompt));
		tokens = gonka_tokenizer::embedding::bits(&vector);
		if events.send(Ok(Event::Embedding { vector: Vector(vector) })).await.is_err() {
			return;
		}
	}
	let says = behaviour.says.clone().unwrap_or_default().into_bytes();
	let length = if says.is_empty() { behaviour.length } else { says.len() as u32 + 1 };
	for index in before..if embeds { before } else { length } {
		let made = tokens.len() as u32;
		if made == asked.signed.envelope.max_tokens {
			finish = FinishReason::Length;
			break;
		}
		match behaviour.fails_after {
			Some((after, Failure::Ends)) if after == made => return,
			Some((after, Failure::Charges)) if after == made => {
				tokens.push(FIRST_WORD);
				worker.conclude(&asked, &tokens, FinishReason::Cancelled, None);
				return;
			},
			Some((after, Failure::Withholds)) if after == made => {
				tokens.push(FIRST_WORD);
				worker.conclude(&asked, &tokens, FinishReason::Cancelled, None);
				return events.closed().await;
			},
			Some((after, Failure::Resets)) if after == made => {
				if made > 0 {
					worker.reset.notified().await;
				}
				let _ = events.send(Err(io::Error::other("power cut"))).await;
				return;
			},
			Some((after, Failure::Silent)) if after == made => events.closed().await,
			Some((after, Failure::Endless)) if after == made => {
				while events.send(Ok(token(FIRST_WORD, None))).await.is_ok() {}
				worker.state().cancelled += 1;
				return;
			},
			_ => {},
		}
		tokio::time::sleep(behaviour.pause).await;
		// The last token ends the completion.
		let id = match says.get(index as usize) {
			Some(byte) => u32::from(*byte),
			None if index + 1 == length => END,
			None => FIRST_WORD + index % WORDS,
		};
		if events.send(Ok(token(id, behaviour.logprobs.or(asked.request.logprobs)))).await.is_err() {
			finish = FinishReason::Cancelled;
			break;
		}
		tokens.push(id);
	}
	if finish == FinishReason::Cancelled {
		worker.state().cancelled += 1;
		if tokens.is_empty() {
			return;
		}
	}
	let receipt = worker.conclude(&asked, &tokens, finish, behaviour.lie);
	if !behaviour.keeps_receipts {
		let _ = events.send(Ok(Event::Receipt { receipt: Scale(receipt) })).await;
	}
}

async fn health(State(worker): State<Worker>) -> Json<Health> {
	let context_length = worker.state().behaviour.context;
	let model = |name: &str| HealthModel { name: name.into(), context_length };
	Json(Health {
		version: String::new(),
		host: String::new(),
		models: vec![model("test/tiny"), model("test/tiny@llama.cpp"), model("test/embed")],
		block: 1,
		load: 0,
		capacity: 1,
		outdated: None,
	})
}

async fn tokenizer(State(worker): State<Worker>, Json(query): Json<TokenizerQuery>) -> Response {
	let payload = signing_payload(domain::CHANNEL_QUERY, &GENESIS, &query.channel.channel);
	assert!(worker.verify(query.channel.signature.0, payload));
	let known = [&*TOKENIZER, &*EMBEDDING_TOKENIZER].into_iter().find(|(hash, _)| query.tokenizer.0 == *hash);
	let Some((_, file)) = known else { return refuse(ErrorCode::UnknownTokenizer) };
	let behaviour = {
		let mut state = worker.state();
		state.tokenizers += 1;
		state.behaviour.clone()
	};
	if behaviour.holds_tokenizer {
		return Body::from_stream(stream::pending::<Result<Bytes, io::Error>>()).into_response();
	}
	behaviour.tokenizer.unwrap_or_else(|| file.clone()).into_response()
}

async fn vouchers(State(worker): State<Worker>, Json(body): Json<Acknowledgement>) -> Response {
	let signed = body.voucher.0;
	assert!(worker.verify(signed.signature, signing_payload(domain::VOUCHER, &GENESIS, &signed.voucher)));
	let mut state = worker.state();
	let mute = state.behaviour.mute_vouchers;
	let account = state.accounts.entry(signed.voucher.channel).or_default();
	let mut totals = account.totals;
	let new: HashSet<Hash> =
		body.receipts.iter().map(|hash| hash.0).filter(|hash| !account.acknowledged.contains(hash)).collect();
	for hash in &new {
		let Some((_, receipt)) = account.receipts.get(hash) else { return refuse(ErrorCode::WrongTotals) };
		totals = totals.checked_add(&one(receipt)).unwrap();
	}
	if totals != signed.voucher.totals {
		return refuse(ErrorCode::WrongTotals);
	}
	if !new.is_empty() {
		account.vouchers += 1;
	}
	account.acknowledged.extend(new);
	account.totals = totals;
	account.voucher = Some(signed);
	if mute {
		let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("power cut")) });
		return Body::from_stream(broken).into_response();
	}
	Json(serde_json::json!({})).into_response()
}

async fn channel(State(worker): State<Worker>, Json(query): Json<ChannelQuery>) -> Response {
	assert!(worker.verify(query.signature.0, signing_payload(domain::CHANNEL_QUERY, &GENESIS, &query.channel)));
	let mut state = worker.state();
	let account = state.accounts.entry(query.channel).or_default();
	let open = account.receipts.iter().filter(|(hash, _)| !account.acknowledged.contains(*hash));
	let unacknowledged = open.map(|(_, (envelope, receipt))| UnacknowledgedReceipt {
		envelope: Scale(envelope.clone()),
		receipt: Scale(receipt.clone()),
	});
	Json(ChannelState {
		sequence: account.sequence,
		voucher: account.voucher.map(Scale),
		unacknowledged: unacknowledged.collect(),
	})
	.into_response()
}
