//! The HTTP API, over real connections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{
	keys,
	worker_api::{ErrorCode, Event, MAX_STOP_BYTES, MAX_STOP_TOKEN_IDS, MAX_STOPS, Scale, TokenizerQuery},
};
use gonka_engine::{GenerateRequest, MockConfig, TokenEvent};
use gonka_primitives::{
	Hash, fingerprint,
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, Price, Receipt, SignedReceipt, Totals, output_hash},
	tape::tape_key,
	views::{ChannelView, ModelView},
};
use gonka_worker::{
	models::{Audits, ServedModel},
	server::Limits,
};
use serde_json::{Value, json};
use std::time::Duration;

fn sums(receipts: &[&SignedReceipt]) -> Totals {
	receipts.iter().fold(Totals::default(), |sum, signed| sum.checked_add(&signed.receipt.leaf().sum).unwrap())
}

/// Generates the completion on the tape of an envelope and this host. Returns its ids, and the root over its fingerprints.
fn completion(prompt: &str, delivered: &[u32], envelope: &Hash) -> (Vec<u32>, Hash) {
	let engine = engine();
	let prompt = prompt.bytes().map(u32::from).chain(delivered.iter().copied()).collect();
	let key = tape_key(envelope, &host());
	let request = GenerateRequest { prompt, delivered: delivered.len(), max_tokens: 100, key, ..Default::default() };
	let (mut events, mut ids, mut fingerprints) = (engine.generate(request).unwrap(), Vec::new(), Vec::new());
	while let Ok(TokenEvent::Token { id, fingerprint, .. }) = events.try_recv() {
		ids.push(id);
		fingerprints.push(fingerprint);
	}
	(ids, fingerprint::root(&fingerprints))
}

#[tokio::test]
async fn a_worker_without_space_for_evidence_is_busy() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let limits = Limits { evidence: 1, ..Options::default().limits };
	let rig = Rig::start(&chain, directory.path(), Options { limits, ..Default::default() }).await;
	let gateway = Gateway::new(&rig.url, 1);
	gateway.request(1, BODY).await.unwrap().finish().await;
	let rejected = gateway.request(2, BODY).await.err().unwrap();
	assert_eq!((rejected.0, rejected.1), (429, ErrorCode::Busy));
	rig.stop().await;
}

#[tokio::test]
async fn a_body_that_is_much_longer_than_its_request_is_rejected() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let body = |size: usize| format!(r#"{{"prompt":[97],"x":"{}"}}"#, "x".repeat(size));
	let (_, code, message) = gateway.request(1, &body(1 << 20)).await.err().unwrap();
	assert!(code == ErrorCode::BadRequest && message.contains("leave out spaces"), "{message}");
	gateway.request(1, &body(1_000)).await.unwrap().finish().await;
	rig.stop().await;
}

#[tokio::test]
async fn a_query_that_is_too_long_is_rejected_in_the_form_of_all_errors() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::over(&rig.url, 1, true);
	for path in ["/v1/vouchers", "/v1/channel", "/v1/tokenizer", "/v1/openings", "/v1/evidence"] {
		let (_, code, message) = gateway.post_raw(path, &"x".repeat(1 << 20)).await.unwrap_err();
		assert!(code == ErrorCode::BadRequest && message.contains("length limit"), "{path}: {message}");
	}
	rig.stop().await;
}

#[tokio::test]
async fn a_request_is_served_and_paid_over_both_protocols() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	for (channel, http2) in [(1, false), (2, true)] {
		let gateway = Gateway::over(&rig.url, channel, http2);
		let signed = gateway.sign(gateway.envelope(1, BODY));
		let (ids, receipt) = gateway.request_signed(&signed, BODY).await.unwrap().finish().await;
		let expected = Receipt {
			envelope: signed.envelope.hash(&GENESIS),
			output: output_hash(&ids),
			fingerprint: completion("Once upon a time", &[], &signed.envelope.hash(&GENESIS)).1,
			prompt_tokens: "Once upon a time".len() as u32,
			completion_tokens: ids.len() as u32,
			finish: FinishReason::Stop,
			fee: 16 * 2 + ids.len() as u128 * 3,
		};
		assert_eq!(receipt.receipt, expected);
		assert_eq!(ids.len(), 21);
		let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt.receipt);
		assert!(keys::verify(&receipt.signature, &payload, &keys::public(&key("//Worker"))));

		let state = gateway.state().await.unwrap();
		assert_eq!((state.sequence, state.voucher), (1, None));
		assert_eq!(state.unacknowledged[0].envelope.0, signed);
		assert_eq!(state.unacknowledged[0].receipt.0, receipt);

		let acknowledgement = gateway.voucher(sums(&[&receipt]), &[expected.envelope]);
		// Again changes nothing.
		for _ in 0..2 {
			assert_eq!(gateway.post("/v1/vouchers", &acknowledgement).await.unwrap(), json!({}));
			let state = gateway.state().await.unwrap();
			assert_eq!(state.voucher, Some(acknowledgement.voucher.clone()));
			assert_eq!(state.unacknowledged, []);
		}
	}
	let (status, health) = Gateway::new(&rig.url, 0).get("/health").await;
	assert_eq!(
		(status, &health["models"], &health["load"]),
		(200, &json!([{"name": MODEL, "context_length": 400}]), &0.into())
	);
	rig.stop().await;
}

#[tokio::test]
async fn a_worker_serves_several_models_each_with_its_engine() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let engine = mock(MockConfig { completion_words: 4, ..Default::default() });
	let second = ServedModel::new("second".into(), [7; 32], engine, Audits::ByNone)
		.with_tokenizer(Some(([5; 32], "its tokenizer".into())));
	let rig = Rig::start(&chain, directory.path(), Options { second: Some(second), ..Default::default() }).await;
	let gateway = Gateway::new(&rig.url, 1);
	let models = async || {
		let health = gateway.get("/health").await.1;
		health["models"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect::<Value>()
	};
	assert_eq!(models().await, json!([MODEL]), "the other one is not registered yet");
	chain.with(|state| {
		let second = ModelView { id: 7, name: b"second".into(), ..state.models[0].clone() };
		state.models.push(ModelView { id: 8, weights_hash: [7; 32], ..second.clone() });
		state.models.push(second);
	});
	rig.block(chain.with(|state| state.epoch.block) + 1).await;
	assert_eq!(models().await, json!([MODEL, "second"]));
	for (sequence, model, length) in [(1, 3, 21), (2, 8, 5), (3, 3, 21)] {
		let signed = gateway.sign(Envelope { model, ..gateway.envelope(sequence, BODY) });
		let (ids, ..) = gateway.request_signed(&signed, BODY).await.unwrap().finish().await;
		assert_eq!(ids.len(), length, "model {model}");
	}
	let tokenizer = async |gateway: &Gateway, hash| {
		let query = TokenizerQuery { channel: gateway.query(), tokenizer: Scale(hash) };
		gateway.post_raw("/v1/tokenizer", &query).await.map_err(|(_, code, _)| code)
	};
	assert_eq!(tokenizer(&gateway, [5; 32]).await.unwrap(), "its tokenizer");
	assert_eq!(tokenizer(&gateway, [6; 32]).await, Err(ErrorCode::UnknownTokenizer));
	let mut keyless = Gateway::new(&rig.url, 1);
	keyless.key = key("//Unregistered");
	assert_eq!(tokenizer(&keyless, [5; 32]).await, Err(ErrorCode::BadSignature));

	let of = |model, sequence| gateway.sign(Envelope { model, ..gateway.envelope(sequence, BODY) });
	let rejected =
		async |model, sequence| gateway.request_signed(&of(model, sequence), BODY).await.err().map(|(_, code, _)| code);
	assert_eq!(rejected(7, 4).await, Some(ErrorCode::UnknownModel), "it has the name, but other files");

	// A profile is set that was made with other engines.
	chain.with(|state| state.calibration = Some(calibration()));
	rig.block(chain.with(|state| state.epoch.block) + 1).await;
	eventually(async || models().await == json!([MODEL])).await;
	assert_eq!(rejected(8, 5).await, Some(ErrorCode::UnknownModel));
	rig.stop().await;
}

#[tokio::test]
async fn every_rejection_has_its_code() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| {
		state.channels.push(ChannelView { closes: Some(500), ..channel(3) });
		state.channels.push(ChannelView { host: [1; 32], ..channel(4) });
	});
	let limits = Limits { body: 10_000, ..Options::default().limits };
	let rig = Rig::start(&chain, directory.path(), Options { limits, ..Default::default() }).await;
	let gateway = Gateway::new(&rig.url, 1);
	let code = |response: Result<Completion, Rejected>| response.err().map(|(_, code, _)| code);

	assert_eq!(gateway.raw(None, BODY).await.1, ErrorCode::BadRequest);
	assert_eq!(gateway.raw(Some("zz".into()), BODY).await.1, ErrorCode::BadRequest);
	let mut sequence = 0;
	let with = |field: &str| format!(r#"{{"prompt":[97],{field}}}"#);
	let stops = with(&format!(r#""stop":{:?}"#, ["1"; MAX_STOPS + 1]));
	let long = with(&format!(r#""stop":["{}"]"#, "a".repeat(MAX_STOP_BYTES + 1)));
	let ids = with(&format!(r#""stop_token_ids":{:?}"#, [1; MAX_STOP_TOKEN_IDS + 1]));
	for (what, expected, body, change) in [
		("other body", ErrorCode::BadRequest, BODY, (|envelope| envelope.body = [0; 32]) as fn(&mut Envelope)),
		("no json", ErrorCode::BadRequest, "{", |_| ()),
		("stops", ErrorCode::BadRequest, &stops, |_| ()),
		("long stop", ErrorCode::BadRequest, &long, |_| ()),
		("stop ids", ErrorCode::BadRequest, &ids, |_| ()),
		("logprobs", ErrorCode::BadRequest, &with(r#""logprobs":21"#), |_| ()),
		("bias", ErrorCode::BadRequest, &with(r#""logit_bias":{"1":101}"#), |_| ()),
		("minimum", ErrorCode::BadRequest, &with(r#""min_tokens":1000000"#), |_| ()),
		("grammar without end", ErrorCode::BadRequest, &with(r#""grammar":{"regex":"a"},"ignore_eos":true"#), |_| ()),
		("temperature", ErrorCode::BadRequest, r#"{"prompt":[97],"temperature":-1}"#, |_| ()),
		("empty", ErrorCode::BadRequest, r#"{"prompt":[]}"#, |_| ()),
		("token", ErrorCode::BadRequest, r#"{"prompt":[99999]}"#, |_| ()),
		("no tokens asked", ErrorCode::BadRequest, BODY, |envelope| envelope.max_tokens = 0),
		("fee", ErrorCode::BadRequest, BODY, |envelope| envelope.max_fee = 16 * 2 + 100 * 3 - 1),
		("closing", ErrorCode::UnknownChannel, BODY, |envelope| envelope.channel = 3),
		("of another host", ErrorCode::UnknownChannel, BODY, |envelope| envelope.channel = 4),
		("none", ErrorCode::UnknownChannel, BODY, |envelope| envelope.channel = 77),
		("model", ErrorCode::UnknownModel, BODY, |envelope| envelope.model = 4),
		("past", ErrorCode::Expired, BODY, |envelope| envelope.expires = 99),
		("far", ErrorCode::Expired, BODY, |envelope| envelope.expires = 201),
		("price", ErrorCode::WrongPrice, BODY, |envelope| envelope.price = Price { input: 1, output: 3 }),
		("context", ErrorCode::ContextTooLong, BODY, |envelope| envelope.max_tokens = 385),
		("funds", ErrorCode::InsufficientFunds, BODY, |envelope| envelope.max_fee = DEPOSIT + 1),
	] {
		sequence += 1;
		let mut envelope = gateway.envelope(sequence, body);
		change(&mut envelope);
		assert_eq!(code(gateway.request_signed(&gateway.sign(envelope), body).await), Some(expected), "{what}");
	}
	let long = format!(r#"{{"prompt":[{}97]}}"#, "97,".repeat(4_000));
	assert_eq!(code(gateway.request(50, &long).await), Some(ErrorCode::BadRequest));
	let mut signed = gateway.sign(gateway.envelope(51, BODY));
	signed.envelope.max_fee += 1;
	assert_eq!(code(gateway.request_signed(&signed, BODY).await), Some(ErrorCode::BadSignature));
	assert_eq!(gateway.state().await.unwrap().sequence, 0, "rejections use no sequence numbers");
	let mut keyless = Gateway::new(&rig.url, 1);
	keyless.key = key("//Unregistered");
	assert_eq!(keyless.state().await.unwrap_err().1, ErrorCode::BadSignature);
	assert_eq!(
		keyless.post("/v1/vouchers", &keyless.voucher(Totals::default(), &[])).await.unwrap_err().1,
		ErrorCode::BadSignature
	);
	assert_eq!(gateway.post("/v1/vouchers", &"?").await.unwrap_err().1, ErrorCode::BadRequest);
	rig.stop().await;
}

#[tokio::test]
async fn a_sequence_number_is_served_once_in_any_order() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	for sequence in [1, 5, 3] {
		gateway.request(sequence, BODY).await.unwrap().finish().await;
	}
	for sequence in [1, 3, 5] {
		assert_eq!(gateway.request(sequence, BODY).await.err().unwrap().1, ErrorCode::Replayed);
	}
	gateway.request(400, BODY).await.unwrap().finish().await;
	assert_eq!(gateway.request(4, BODY).await.err().unwrap().1, ErrorCode::Replayed, "too far below the highest");
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	assert_eq!(gateway.request(400, BODY).await.err().unwrap().1, ErrorCode::Replayed);
	assert_eq!(gateway.state().await.unwrap().sequence, 400);
	rig.stop().await;
}

#[tokio::test]
async fn wrong_totals_change_nothing() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let (gateway, other) = (Gateway::new(&rig.url, 1), Gateway::new(&rig.url, 2));
	let a = gateway.request(1, BODY).await.unwrap().finish().await.1;
	let b = gateway.request(2, BODY).await.unwrap().finish().await.1;
	let foreign = other.request(1, BODY).await.unwrap().finish().await.1;
	let (hash_a, hash_b) = (a.receipt.envelope, b.receipt.envelope);
	let more = Totals { fee: 1, ..Default::default() };
	for (totals, hashes) in [
		(sums(&[&a]).checked_add(&more).unwrap(), vec![hash_a]),
		(sums(&[&a]).checked_sub(&more).unwrap(), vec![hash_a]),
		(sums(&[&a, &b]), vec![hash_a]),
		(sums(&[&a]), vec![hash_a, hash_b]),
		(sums(&[&a, &a]), vec![hash_a, hash_a]),
		(sums(&[&a]), vec![]),
		(sums(&[&a, &foreign]), vec![hash_a, foreign.receipt.envelope]),
		(sums(&[&a]), vec![hash_a, [0; 32]]),
	] {
		let rejected = gateway.post("/v1/vouchers", &gateway.voucher(totals, &hashes)).await.unwrap_err();
		assert_eq!((rejected.0, rejected.1), (409, ErrorCode::WrongTotals), "{}", rejected.2);
		assert_eq!(gateway.state().await.unwrap().unacknowledged.len(), 2);
	}
	let first = gateway.voucher(sums(&[&a]), &[hash_a]);
	gateway.post("/v1/vouchers", &first).await.unwrap();
	// One that overlaps with the last, and the last once more.
	gateway.post("/v1/vouchers", &gateway.voucher(sums(&[&a, &b]), &[hash_a, hash_b])).await.unwrap();
	gateway.post("/v1/vouchers", &first).await.unwrap();
	let state = gateway.state().await.unwrap();
	assert_eq!(state.voucher.unwrap().0.voucher.totals, sums(&[&a, &b]));
	rig.stop().await;
}

#[tokio::test]
async fn credit_and_deposit_bound_the_unpaid_requests() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let limits = Limits { credit: 2, ..Options::default().limits };
	let rig = Rig::start(&chain, directory.path(), Options { limits, ..Default::default() }).await;
	let gateway = Gateway::new(&rig.url, 1);
	let a = gateway.request(1, BODY).await.unwrap().finish().await.1;
	let b = gateway.request(2, BODY).await.unwrap().finish().await.1;
	let rejected = gateway.request(3, BODY).await.err().unwrap();
	assert_eq!((rejected.0, rejected.1), (402, ErrorCode::Unacknowledged));
	let hashes = [a.receipt.envelope, b.receipt.envelope];
	gateway.post("/v1/vouchers", &gateway.voucher(sums(&[&a, &b]), &hashes)).await.unwrap();
	// All that is left, and one unit more.
	let left = DEPOSIT - sums(&[&a, &b]).fee;
	let mut envelope = gateway.envelope(3, BODY);
	envelope.max_fee = left + 1;
	let greedy = gateway.sign(envelope);
	assert_eq!(gateway.request_signed(&greedy, BODY).await.err().unwrap().1, ErrorCode::InsufficientFunds);
	// The channel is topped up in the block that the worker has already seen.
	chain.with(|state| state.channels[0].deposit += 1);
	gateway.request_signed(&greedy, BODY).await.unwrap().finish().await;
	rig.stop().await;
}

#[tokio::test]
async fn a_channel_of_the_latest_block_is_looked_up_once() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	chain.with(|state| state.channels.push(channel(8)));
	let gateway = Gateway::new(&rig.url, 8);
	gateway.request(1, BODY).await.unwrap().finish().await;
	gateway.request(2, BODY).await.unwrap().finish().await;
	let unknown = Gateway::new(&rig.url, 9);
	for _ in 0..3 {
		assert_eq!(unknown.request(1, BODY).await.err().unwrap().1, ErrorCode::UnknownChannel);
	}
	assert_eq!(chain.with(|state| state.look_ups), 2);
	rig.stop().await;
}

#[tokio::test]
async fn prices_of_the_last_two_blocks_are_still_accepted() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let mut accepted = Vec::new();
	for block in 1..=3 {
		chain.with(|state| state.models[0].price.input += 1);
		rig.block(100 + block).await;
		accepted.push(gateway.request(u64::from(block), BODY).await.is_ok());
	}
	assert_eq!(accepted, [true, true, false]);
	rig.stop().await;
}

#[tokio::test]
async fn hanging_up_leaves_a_receipt_for_the_tokens_so_far() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let engine = GatedEngine::new(91, 0);
	let rig = Rig::start(&chain, directory.path(), Options { engine: engine.clone(), ..Default::default() }).await;
	for http2 in [false, true] {
		let gateway = Gateway::over(&rig.url, if http2 { 2 } else { 1 }, http2);
		let mut completion = gateway.request(1, BODY).await.unwrap();
		engine.allow(3);
		for _ in 0..3 {
			assert!(matches!(completion.next().await, Some(Event::Token { .. })));
		}
		drop(completion);
		eventually(async || !gateway.state().await.unwrap().unacknowledged.is_empty()).await;
		let receipt = gateway.state().await.unwrap().unacknowledged.remove(0).receipt.0.receipt;
		assert_eq!((receipt.finish, receipt.completion_tokens), (FinishReason::Cancelled, 3));
		assert_eq!(receipt.fee, 32 + 3 * 3);
	}
	let gateway = Gateway::new(&rig.url, 0);
	eventually(async || gateway.get("/health").await.1["load"] == 0).await;
	rig.stop().await;
}

/// Requests 300 tokens: more than wait for a connection.
async fn request_many(gateway: &Gateway) -> Completion {
	let signed = gateway.sign(Envelope { max_tokens: 300, ..gateway.envelope(1, BODY) });
	gateway.request_signed(&signed, BODY).await.unwrap()
}

#[tokio::test]
async fn a_client_that_reads_slowly_takes_no_slot_when_the_engine_is_done() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let engine = mock(MockConfig { completion_words: 299, ..Default::default() });
	let rig = Rig::start(&chain, directory.path(), Options { engine, ..Default::default() }).await;
	let (slow, gateway) = (Gateway::slow(&rig.url, 1), Gateway::new(&rig.url, 1));
	let completion = request_many(&slow).await;
	eventually(async || gateway.get("/health").await.1["load"] == 0).await;
	assert_eq!(gateway.state().await.unwrap().unacknowledged, [], "most tokens still wait for the client");
	assert_eq!(completion.finish().await.0.len(), 300);
	rig.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_the_rest_in_time_counts_as_gone() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let limits = Limits { rest: Duration::ZERO, ..Options::default().limits };
	let engine = GatedEngine::new(300, 150);
	let options = Options { limits, engine: engine.clone(), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	let (slow, gateway) = (Gateway::slow(&rig.url, 1), Gateway::new(&rig.url, 1));
	let mut completion = request_many(&slow).await;
	assert!(matches!(completion.next().await, Some(Event::Token { .. })));
	// The engine ends.
	engine.allow(150);
	eventually(async || !gateway.state().await.unwrap().unacknowledged.is_empty()).await;
	let state = gateway.state().await.unwrap();
	let receipt = &state.unacknowledged[0].receipt.0.receipt;
	let mut tokens = 1;
	while let Some(event) = completion.next().await {
		assert!(matches!(event, Event::Token { .. }), "the receipt is for those who ask");
		tokens += 1;
	}
	assert_eq!((receipt.finish, receipt.completion_tokens), (FinishReason::Cancelled, tokens));
	assert!(receipt.completion_tokens < 300, "only what was handed to the connection");
	rig.stop().await;
}

#[tokio::test]
async fn a_full_worker_is_busy_and_stops_after_its_completions() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let limits = Limits { capacity: 1, ..Options::default().limits };
	let engine = GatedEngine::new(91, 0);
	let options = Options { limits, engine: engine.clone(), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	let gateway = Gateway::new(&rig.url, 1);
	let completion = gateway.request(1, BODY).await.unwrap();
	let rejected = gateway.request(2, BODY).await.err().unwrap();
	assert_eq!((rejected.0, rejected.1), (429, ErrorCode::Busy));
	let finish = async {
		engine.allow(91);
		completion.finish().await
	};
	let ((), (ids, ..)) = tokio::join!(rig.stop(), finish);
	assert_eq!(ids.len(), 91);
}

#[tokio::test]
async fn a_response_has_the_id_of_its_request() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	assert_eq!(gateway.response_id(Some("trace-7")).await, "trace-7");
	assert_eq!(gateway.response_id(None).await.len(), 32, "the worker makes one");
	rig.stop().await;
}

#[tokio::test]
async fn a_continued_completion_has_a_tape_of_its_own() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let (whole, ..) = gateway.request(1, BODY).await.unwrap().finish().await;
	let body = format!(r#"{},"delivered":{:?}}}"#, BODY.trim_end_matches('}'), &whole[..7]);
	let signed = gateway.sign(gateway.envelope(2, &body));
	let (rest, receipt) = gateway.request_signed(&signed, &body).await.unwrap().finish().await;
	let (expected, root) = completion("Once upon a time", &whole[..7], &signed.envelope.hash(&GENESIS));
	assert_eq!((&rest, receipt.receipt.fingerprint), (&expected, root));
	assert_ne!(rest, whole[7..], "another envelope has another tape");
	assert_eq!(receipt.receipt.output, output_hash(&rest));
	assert_eq!((receipt.receipt.prompt_tokens, receipt.receipt.completion_tokens), (16 + 7, 14));
	let stops = r#"{"prompt":[97],"stop":["no such text"]}"#;
	gateway.request(3, stops).await.unwrap().finish().await;
	rig.stop().await;
}

#[tokio::test]
async fn a_restart_between_receipt_and_voucher_loses_nothing() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let receipt = Gateway::new(&rig.url, 1).request(1, BODY).await.unwrap().finish().await.1;
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let gateway = Gateway::new(&rig.url, 1);
	let state = gateway.state().await.unwrap();
	assert_eq!(state.unacknowledged[0].receipt, Scale(receipt.clone()));
	gateway.post("/v1/vouchers", &gateway.voucher(sums(&[&receipt]), &[receipt.receipt.envelope])).await.unwrap();
	rig.stop().await;
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	assert!(Gateway::new(&rig.url, 1).state().await.unwrap().voucher.is_some());
	rig.stop().await;
}

#[tokio::test]
async fn the_worker_registers_its_host_and_changes_the_registration_at_once() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let options = || Options { host_key: Some(key("//Host")), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options()).await;
	eventually(async || chain.with(|state| state.registrations.len()) == 1).await;
	chain.with(|state| {
		let made = &state.registrations[0];
		assert_eq!((made.url.as_slice(), &made.models, made.epoch), (rig.url.as_bytes(), &vec![3], 5));
	});
	rig.block(101).await;
	rig.stop().await;
	// The port is another one now.
	let rig = Rig::start(&chain, directory.path(), options()).await;
	eventually(async || chain.with(|state| state.registrations.len()) == 2).await;
	rig.block(102).await;
	rig.block(103).await;
	let made: Vec<_> = chain.with(|state| state.registrations.iter().map(|made| (made.epoch, made.revision)).collect());
	assert_eq!(made, [(5, 0), (5, 1)], "and not again while nothing changes");
	rig.stop().await;
}

/// The chain demands more work than it said: other hosts registered meanwhile.
#[tokio::test]
async fn the_worker_works_more_if_the_work_of_a_registration_rose_meanwhile() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	chain.with(|state| state.rises = Some(9));
	let options = Options { host_key: Some(key("//Host")), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	for block in 101.. {
		rig.block(block).await;
		if chain.with(|state| !state.registrations.is_empty()) {
			break;
		}
	}
	assert!(chain.with(|state| state.registrations[0].work_bits(&GENESIS)) >= 9);
	rig.stop().await;
}
