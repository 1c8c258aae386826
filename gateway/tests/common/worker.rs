//! A worker that speaks the real interface over HTTP/2 and keeps its own books, with tokens that need no model:
//! the i-th token of every answer has the id 100 + i and the text `"w{i} "`, on every host.

use axum::{
	Json, Router,
	body::{Body, Bytes},
	extract::State,
	http::{HeaderMap, StatusCode},
	response::{IntoResponse, Response},
	routing::post,
};
use futures::stream;
use gonka_client::wire::*;
use gonka_primitives::{
	ChannelId, Hash,
	hashing::{domain, signing_payload},
	market::*,
};
use std::{
	collections::{BTreeMap, HashMap, HashSet},
	io,
	sync::{Arc, Mutex, MutexGuard},
	time::Duration,
};
use subxt_signer::sr25519::{self, Keypair};
use tokio::sync::mpsc;

pub const GENESIS: Hash = [77; 32];
pub const PRICE: Price = Price { input: 2, output: 5 };
pub const PROMPT_TOKENS: u32 = 9;

/// What a worker does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
	Output,
	Fee,
	Count,
	Signature,
	Finish,
}

#[derive(Clone, Debug)]
pub struct Behaviour {
	/// Tokens of a complete answer.
	pub length: u32,
	/// Breaks the connection after that many tokens of its own.
	pub breaks_after: Option<u32>,
	/// Goes silent after that many tokens of its own.
	pub silent_after: Option<u32>,
	/// Refuses that many requests.
	pub busy: u32,
	pub refuses: Option<ErrorCode>,
	pub lie: Option<Lie>,
	/// Takes vouchers but breaks off instead of answering.
	pub mute_vouchers: bool,
	/// Signs the receipt and breaks off instead of sending it.
	pub keeps_receipts: bool,
	pub pause: Duration,
}

impl Default for Behaviour {
	fn default() -> Self {
		Self {
			length: 5,
			breaks_after: None,
			silent_after: None,
			busy: 0,
			refuses: None,
			lie: None,
			mute_vouchers: false,
			keeps_receipts: false,
			pause: Duration::ZERO,
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
	/// Vouchers that were taken.
	pub vouchers: u64,
}

impl Account {
	/// Sums over every receipt ever signed.
	pub fn due(&self) -> Totals {
		self.receipts.values().fold(Totals::default(), |sum, (_, signed)| sum.checked_add(&one(signed)).unwrap())
	}
}

fn one(signed: &SignedReceipt) -> Totals {
	Totals { fee: signed.receipt.fee, work: signed.receipt.work(), receipts: 1 }
}

pub struct State_ {
	pub behaviour: Behaviour,
	pub accounts: HashMap<ChannelId, Account>,
	pub requests: Vec<InferenceRequest>,
	pub cancelled: u32,
}

#[derive(Clone)]
pub struct Worker {
	pub key: Keypair,
	pub url: String,
	gateway: [u8; 32],
	state: Arc<Mutex<State_>>,
}

impl Worker {
	pub async fn start(key: Keypair, gateway: [u8; 32]) -> Self {
		let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		let state =
			State_ { behaviour: Behaviour::default(), accounts: HashMap::new(), requests: Vec::new(), cancelled: 0 };
		let worker = Self { key, url, gateway, state: Arc::new(Mutex::new(state)) };
		let routes = Router::new()
			.route(INFERENCE_PATH, post(inference))
			.route(VOUCHERS_PATH, post(vouchers))
			.route(CHANNEL_PATH, post(channel))
			.with_state(worker.clone());
		tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
		worker
	}

	pub fn state(&self) -> MutexGuard<'_, State_> {
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
	let signed: SignedEnvelope = from_hex(headers[ENVELOPE_HEADER].to_str().unwrap()).unwrap();
	let envelope = signed.envelope.clone();
	let hash = envelope.hash(&GENESIS);
	assert!(worker.verify(signed.signature, hash), "the gateway signs its envelopes");
	assert_eq!(envelope.body, body_hash(&body));
	assert_eq!(envelope.price, PRICE);
	let request: InferenceRequest = serde_json::from_slice(&body).unwrap();
	let behaviour = {
		let mut state = worker.state();
		state.requests.push(request.clone());
		if state.behaviour.busy > 0 {
			state.behaviour.busy -= 1;
			return refuse(ErrorCode::Busy);
		}
		if let Some(code) = state.behaviour.refuses {
			return refuse(code);
		}
		let account = state.accounts.entry(envelope.channel).or_default();
		if !account.used.insert(envelope.sequence) {
			return refuse(ErrorCode::Replayed);
		}
		account.sequence = account.sequence.max(envelope.sequence);
		state.behaviour.clone()
	};
	let (events, mut receiver) = mpsc::channel::<Result<Event, io::Error>>(8);
	tokio::spawn(answer(worker, signed, hash, request, behaviour, events));
	let stream = stream::poll_fn(move |context| receiver.poll_recv(context));
	let frames = futures::StreamExt::map(stream, |event| {
		event.map(|event| format!("data: {}\n\n", serde_json::to_string(&event).unwrap()))
	});
	Body::from_stream(frames).into_response()
}

async fn answer(
	worker: Worker,
	signed: SignedEnvelope,
	hash: Hash,
	request: InferenceRequest,
	behaviour: Behaviour,
	events: mpsc::Sender<Result<Event, io::Error>>,
) {
	let broken = || Err(io::Error::other("power cut"));
	let before = request.delivered.len() as u32;
	let (mut tokens, mut finish) = (Vec::new(), FinishReason::Stop);
	for index in before..behaviour.length {
		let made = tokens.len() as u32;
		if made == signed.envelope.max_tokens {
			finish = FinishReason::Length;
			break;
		}
		if behaviour.breaks_after == Some(made) {
			// A reset overtakes what is still in the buffers.
			tokio::time::sleep(Duration::from_millis(50)).await;
			let _ = events.send(broken()).await;
			return;
		}
		if behaviour.silent_after == Some(made) {
			events.closed().await;
		}
		tokio::time::sleep(behaviour.pause).await;
		let event = Event::Token { id: 100 + index, text: format!("w{index} ") };
		if events.send(Ok(event)).await.is_err() {
			finish = FinishReason::Cancelled;
			break;
		}
		tokens.push(100 + index);
	}
	if finish == FinishReason::Cancelled {
		worker.state().cancelled += 1;
		if tokens.is_empty() {
			return;
		}
	}
	let prompt_tokens = PROMPT_TOKENS + before;
	let completion_tokens = tokens.len() as u32;
	let receipt = Receipt {
		envelope: hash,
		output: output_hash(&tokens),
		fingerprint: [0; 32],
		prompt_tokens,
		completion_tokens,
		finish,
		fee: PRICE.fee(prompt_tokens, completion_tokens).unwrap(),
	};
	assert!(receipt.fee <= signed.envelope.max_fee);
	let receipt = worker.sign(receipt, behaviour.lie);
	let entry = (signed.clone(), receipt.clone());
	worker.state().accounts.entry(signed.envelope.channel).or_default().receipts.insert(hash, entry);
	if behaviour.keeps_receipts {
		tokio::time::sleep(Duration::from_millis(50)).await;
	}
	let last = if behaviour.keeps_receipts { broken() } else { Ok(Event::Receipt { receipt: Scale(receipt) }) };
	let _ = events.send(last).await;
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
