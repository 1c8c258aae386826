//! Failures of hosts, of clients and of the gateway itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Front, Net, Reply, chat_body, eventually};
use gonka_client::worker_api::ErrorCode;
use gonka_gateway::{
	auth::ApiKeys,
	config::{Options, Timeouts, format_gnk},
	room::{ROOM_OF_KEY, Room},
	store::PowerCut,
};
use gonka_stand_ins::worker::{Failure, Lie, PRICE, PROMPT_TOKENS};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::time::Duration;

const FULL: &str = "w0 w1 w2 w3 w4 ";

/// Reads a stream until its text contains `end`; the text so far.
async fn read_until(body: &mut Incoming, end: &str) -> String {
	let mut text = String::new();
	while !text.contains(end) {
		let frame = body.frame().await.expect("the stream goes on").unwrap();
		text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
	}
	text
}

/// Sends two requests, or fewer if the power cut comes first. Until the channel is in step, the gateway responds 503;
/// if the cut comes before that, for ever.
async fn use_until_cut(front: &Front) {
	let (mut served, mut unavailable) = (0, 0);
	while served < 2 && unavailable < 100 {
		match front.chat(json!({})).await.status {
			200 => served += 1,
			503 => unavailable += 1,
			_ => return,
		}
		tokio::time::sleep(Duration::from_millis(10)).await;
	}
}

fn failovers(front: &Front, when: &str) -> u64 {
	front.running.gateway.metrics.failovers.with_label_values(&[when]).get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_before_the_first_token_is_replaced() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Resets)));
	net.workers[1].behave(|behaviour| behaviour.refuses = Some(ErrorCode::UnknownModel));
	let mut requests = 0;
	// The gateway draws the host that it tries first.
	while requests < 6 || failovers(&front, "before") == 0 {
		let reply = front.chat(json!({})).await;
		assert_eq!(reply.status, 200, "{}", reply.text);
		assert_eq!(reply.json()["choices"][0]["message"]["content"], FULL);
		assert_eq!(reply.headers["x-gnk-worker"], gonka_client::keys::ss58(&[2; 32]).as_str());
		requests += 1;
		assert!(requests < 100, "neither of two hosts that fail was tried first");
	}
	eventually("only the host that responded is paid", || net.receipts() == requests && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_breaks_off_continues_on_another_host_without_a_seam() {
	for failure in [Failure::Ends, Failure::Resets, Failure::Silent] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		// A silent host is given up after this time; a healthy one on a busy machine must not be.
		let timeouts = Timeouts { token: Duration::from_secs(5), ..Timeouts::default() };
		let front = net.gateway(dir.path(), Options { timeouts, ..Options::default() }).await;
		// The second host is tried first and fails. The first host is healthy.
		net.market.state.lock().unwrap().hosts[1].effective_weight = u64::MAX / 4;
		front.running.gateway.snapshots.refresh.notify_one();
		eventually("the weight is known", || {
			front.running.gateway.snapshots.load().hosts.values().any(|host| host.weight > 1)
		})
		.await;
		net.workers[1].behave(|behaviour| behaviour.fails_after = Some((2, failure)));
		let body = chat_body(json!({"stream": true, "stream_options": {"include_usage": true}})).to_string();
		let mut response = front.open("POST", "/v1/chat/completions", &[], body).await.into_body();
		let mut text = read_until(&mut response, "w1").await;
		net.workers[1].reset.notify_one();
		text.push_str(std::str::from_utf8(&response.collect().await.unwrap().to_bytes()).unwrap());
		let reply = Reply { status: 200, headers: Default::default(), text };
		assert_eq!(reply.streamed_text(), FULL);
		assert!(!reply.text.contains("error") && reply.text.ends_with("data: [DONE]\n\n"), "{}", reply.text);
		let events = reply.events();
		let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
		let usage = &last["usage"];
		assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(PROMPT_TOKENS), &json!(6)));
		assert_eq!(failovers(&front, "during"), 1);
		let continued = net.workers[0].state().requests[0].clone();
		assert_eq!(continued.delivered, [256, 257]);
		eventually("the second host is paid for the tokens that it added", || {
			let fee = PRICE.fee(PROMPT_TOKENS + 2, 4).unwrap();
			net.workers[0].state().accounts.values().any(|account| account.totals.fee == fee)
		})
		.await;
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_no_host_can_continue_ends_with_an_error() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Resets)));
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("bad_worker")));
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((1, Failure::Resets)));
	let body = chat_body(json!({"stream": true})).to_string();
	let response = front.open("POST", "/v1/chat/completions", &[], body).await;
	assert_eq!(response.status(), 200);
	let mut body = response.into_body();
	let mut text = read_until(&mut body, "w0").await;
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::Internal));
	net.workers[0].reset.notify_one();
	text.push_str(std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap());
	let reply = Reply { status: 200, headers: Default::default(), text };
	let last: Value = serde_json::from_str(reply.events().last().unwrap()).unwrap();
	assert_eq!(last["error"]["code"], "bad_worker");
	assert!(!reply.text.contains("[DONE]"));
	assert_eq!(net.receipts(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condemned_host_gets_no_more_requests_and_is_paid_what_it_is_owed() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let guilty = &net.workers[1];
	let mut requests = 0;
	// The gateway draws the host of each request.
	while guilty.state().requests.is_empty() {
		assert_eq!(front.chat(json!({})).await.status, 200);
		requests += 1;
		assert!(requests < 100, "one of two hosts never got a request");
	}
	net.market.state.lock().unwrap().hosts[1].condemned = true;
	let snapshots = &front.running.gateway.snapshots;
	snapshots.refresh.notify_one();
	eventually("the verdict is known", || {
		let snapshot = snapshots.load();
		snapshot.models.get("test/tiny").is_some_and(|model| snapshot.serving(model).count() == 1)
	})
	.await;
	for _ in 0..20 {
		let reply = front.chat(json!({})).await;
		assert_eq!(reply.headers["x-gnk-worker"], gonka_client::keys::ss58(&[0; 32]).as_str());
	}
	assert_eq!(guilty.state().requests.len(), 1);
	eventually("its earlier requests are paid", || net.receipts() == requests + 20 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_stop_is_cut_off() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Endless)));
	let reply = front.chat(json!({"max_tokens": 9})).await;
	assert_eq!((reply.status, &reply.json()["usage"]["completion_tokens"]), (200, &json!(9)));
	eventually("the host is told to stop", || net.workers[0].state().cancelled == 1).await;
	let host = net.market.state.lock().unwrap().hosts[0].account;
	assert!(!front.running.gateway.router.is_healthy(&host), "and paused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_for_a_busy_host() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.busy = 3);
	assert_eq!(front.chat(json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_fails_when_all_hosts_stay_busy() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	// A request waits as long for a busy host as for a first token.
	let timeouts = Timeouts { first_token: Duration::from_secs(5), ..Timeouts::default() };
	let front = net.gateway(dir.path(), Options { timeouts, ..Options::default() }).await;
	net.workers[0].behave(|behaviour| behaviour.busy = u32::MAX);
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
	assert!(reply.headers.contains_key("retry-after"));
	// The pauses grow to a second at least, so the ninth time is after 5 s.
	let times = net.workers[0].state().requests.len();
	assert!((2..=9).contains(&times), "{times}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_receipt_is_never_acknowledged() {
	for lie in [Lie::Output, Lie::Fee, Lie::Count, Lie::Signature, Lie::Finish] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = net.gateway(dir.path(), Options::default()).await;
		net.workers[0].behave(|behaviour| behaviour.lie = Some(lie));
		let mut requests = 0;
		// The gateway draws the host of each request.
		while net.workers[0].state().requests.is_empty() {
			assert_eq!(front.chat(json!({"max_tokens": 9})).await.status, 200);
			requests += 1;
			assert!(requests < 100, "one of two hosts never got a request");
		}
		assert_eq!(front.running.gateway.metrics.rejected.get(), 1);
		for _ in 0..8 {
			assert_eq!(front.chat(json!({"max_tokens": 9})).await.status, 200);
		}
		assert_eq!(
			net.workers[0].state().requests.len(),
			1,
			"a host that signed a wrong receipt gets no more requests"
		);
		eventually("the honest host is paid", || {
			net.workers[1].state().accounts.values().all(|account| account.totals == account.due())
		})
		.await;
		drop(front);
		// Nor after a restart, when the worker lists it again.
		let front = net.gateway(dir.path(), Options::default()).await;
		assert_eq!(front.chat(json!({})).await.status, 200);
		let channels = net.market.state.lock().unwrap().channels.clone();
		let channel = channels.iter().find(|channel| channel.host == [0; 32]).unwrap().id;
		eventually("nothing is due to it", || front.running.gateway.ledger.open_items(channel) == (0, 0)).await;
		let state = net.workers[0].state();
		let account = &state.accounts[&channel];
		assert!(account.vouchers == 0 && account.acknowledged.is_empty(), "{lie:?}");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_stops_the_worker_and_pays_for_the_tokens_until_then() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| {
		behaviour.length = 1000;
		// The gateway pays for up to 128 tokens that the worker generates before it notices.
		behaviour.pause = Duration::from_millis(200);
	});
	let body = chat_body(json!({"stream": true, "max_tokens": 1000})).to_string();
	let mut response = front.open("POST", "/v1/chat/completions", &[], body).await.into_body();
	read_until(&mut response, "w2").await;
	drop(response);
	eventually("the worker stopped", || net.workers[0].state().cancelled == 1).await;
	eventually("its tokens are paid", || net.receipts() == 1 && net.is_square()).await;
	assert_eq!(front.running.gateway.metrics.rejected.get(), 0);
	eventually("nothing is left open", || front.running.gateway.ledger.open_items(0) == (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_gets_no_more_than_has_room() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	net.market.state.lock().unwrap().context_length = 1 << 20;
	net.workers[0].behave(|behaviour| (behaviour.length, behaviour.context) = (1 << 17, 1 << 20));
	let options = Options { api_keys: ApiKeys::parse("slow:sk-slow").unwrap(), ..Options::default() };
	let front = net.gateway(dir.path(), options).await;
	// All but a mebibyte is taken by others.
	let mut others = Room::of("settings:slow");
	assert!(others.grow_to(ROOM_OF_KEY - (1 << 20)));
	let body = chat_body(json!({"stream": true, "max_tokens": 1 << 17})).to_string();
	let headers = [("authorization", "Bearer sk-slow")];
	let response = front.open("POST", "/v1/chat/completions", &headers, body).await;
	eventually("the host is told to stop", || net.workers[0].state().cancelled == 1).await;
	let text = response.into_body().collect().await.unwrap().to_bytes();
	let text = std::str::from_utf8(&text).unwrap();
	let last = text.split("\n\n").filter(|event| !event.is_empty()).last().unwrap();
	assert!(last.contains("rate_limit_exceeded"), "{last}");
	assert!(text.contains("w99 ") && !text.contains("[DONE]"), "what came before is there");
	let host = net.market.state.lock().unwrap().hosts[0].account;
	assert!(front.running.gateway.router.is_healthy(&host), "it is not the host's fault");
	eventually("nothing is reserved any more", || front.running.gateway.keys.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_without_a_response_is_sent_again_and_counted_once() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.mute_vouchers = true);
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("the voucher arrived", || net.is_square()).await;
	assert_eq!(front.running.gateway.ledger.confirmed(0).receipts, 0);
	net.workers[0].behave(|behaviour| behaviour.mute_vouchers = false);
	eventually("it is confirmed", || front.running.gateway.ledger.confirmed(0).receipts == 1).await;
	assert_eq!(net.workers[0].state().accounts[&0].vouchers, 1);
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("and the next one adds to it", || {
		net.is_square() && front.running.gateway.ledger.confirmed(0).receipts == 2
	})
	.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_never_arrived_is_fetched_and_paid_once() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.keeps_receipts = true);
	let reply = front.chat(json!({"max_tokens": 5})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	assert_eq!(reply.json()["choices"][0]["finish_reason"], "length");
	assert_eq!(reply.json()["usage"]["prompt_tokens"], PROMPT_TOKENS);
	assert_eq!(reply.headers["x-gnk-cost"], format_gnk(PRICE.fee(PROMPT_TOKENS, 5).unwrap()).as_str());
	eventually("the delivered tokens are paid", || net.receipts() == 1 && net.is_square()).await;
}

/// Has the gateway compare its records with the first worker's.
async fn reconcile(net: &Net, front: &Front) {
	let (gateway, channel) = (&front.running.gateway, net.market.state.lock().unwrap().channels[0].clone());
	gateway.ledger.unsync(channel.id);
	eventually("the records are compared", || gateway.ledger.available(&channel).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_ends_before_the_first_token_is_owed_nothing() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Charges)));
	assert_eq!(front.chat(json!({})).await.status, 502);
	assert!(net.receipts() > 0);
	reconcile(&net, &front).await;
	assert_eq!(front.running.gateway.ledger.open_items(0), (0, 0));
	assert_eq!(net.workers[0].state().accounts[&0].vouchers, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_breaks_off_again_and_again_is_paid_for_few_prompts() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| {
		behaviour.length = 1_000;
		behaviour.fails_after = Some((1, Failure::Charges));
	});
	let reply = front.chat(json!({"max_tokens": 1_000})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("bad_worker")));
	assert_eq!(net.workers[0].state().requests.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_costs_what_all_its_hosts_are_due() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((2, Failure::Ends)));
	let mut replies = Vec::new();
	while net.workers[0].state().requests.is_empty() {
		assert!(replies.len() < 100, "one of two hosts never got a request");
		replies.push(front.chat(json!({"temperature": 0})).await);
	}
	let (last, cost) = (replies.pop().unwrap(), |prompt, made| PRICE.fee(prompt, made).unwrap());
	assert_eq!(last.json()["choices"][0]["message"]["content"], FULL);
	assert_eq!(last.json()["usage"]["prompt_tokens"], PROMPT_TOKENS);
	let both = format_gnk(cost(PROMPT_TOKENS, 2) + cost(PROMPT_TOKENS + 2, 4));
	assert_eq!(last.headers["x-gnk-cost"], both.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_cannot_be_reached_gets_no_channel_and_the_gateway_says_why() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
	net.market.state.lock().unwrap().hosts[0].url = format!("http://{gone}").into_bytes();
	let front = net.gateway_until(dir.path(), Options::default(), None).await;
	let host = net.market.state.lock().unwrap().hosts[0].account;
	let hosts = || front.running.gateway.snapshots.load().hosts.get(&host).cloned();
	eventually("it was tried", || front.running.gateway.router.trouble(hosts().iter()).is_some()).await;
	let ready = front.get("/ready").await;
	let reason = ready.json()["reason"].as_str().unwrap().to_owned();
	assert!(
		ready.status == 503 && reason.contains("cannot be reached") && reason.contains(&gone.to_string()),
		"{reason}"
	);
	let reply = front.chat(json!({})).await;
	assert!(reply.status == 503 && reply.text.contains(&reason), "{}", reply.text);
	assert!(net.market.state.lock().unwrap().channels.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_slow_to_send_a_tokenizer_holds_up_no_other_model() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	net.workers[0].behave(|behaviour| behaviour.holds_tokenizer = true);
	net.market.state.lock().unwrap().hosts[1].models.clear();
	let front = net.gateway_until(dir.path(), Options::default(), None).await;
	eventually("the first host is at it", || net.workers[0].state().tokenizers == 1).await;
	net.market.state.lock().unwrap().hosts[1].models = vec![7];
	let gateway = &front.running.gateway;
	gateway.snapshots.refresh.notify_one();
	let is_open = |name| gateway.model(name).is_ok_and(|model| gateway.tokenizers.of(&model).is_some());
	eventually("the other model's tokenizer is open", || is_open("test/embed")).await;
	assert!(!is_open("test/tiny"));
	assert_eq!(net.workers[0].state().tokenizers, 1, "one task fetches it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_ledger_fails_is_not_ready() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let cut = Some(PowerCut { commit: 1, durable: false });
	let front = net.gateway_until(dir.path(), Options::default(), cut).await;
	use_until_cut(&front).await;
	// The program ends then.
	front.running.gateway.ledger.store().closed().await;
	let ready = front.get("/ready").await;
	assert_eq!((ready.status, &ready.json()["reason"]), (503, &json!("the ledger cannot be written")));
}

/// Kills the gateway at every write, before and after it is durable, and starts a new one with its ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_at_any_step_loses_nothing_and_pays_nothing_twice() {
	for commit in 0..9 {
		for durable in [false, true] {
			let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
			let front = net.gateway_until(dir.path(), Options::default(), Some(PowerCut { commit, durable })).await;
			use_until_cut(&front).await;
			drop(front);
			let front = net.gateway(dir.path(), Options::default()).await;
			let reply = front.chat(json!({})).await;
			assert_eq!(reply.status, 200, "{}", reply.text);
			eventually("all is paid", || net.is_square()).await;
			let (due, receipts) = {
				let state = net.workers[0].state();
				(state.accounts[&0].due(), state.accounts[&0].receipts.len() as u64)
			};
			eventually("the ledgers agree", || front.running.gateway.ledger.confirmed(0) == due).await;
			assert_eq!(due.receipts, receipts);
			assert_eq!(front.running.gateway.ledger.open_items(0).0, 0);
			let numbers: Vec<u64> = {
				let state = net.workers[0].state();
				state.accounts[&0].receipts.values().map(|(signed, _)| signed.envelope.sequence).collect()
			};
			let unique: std::collections::BTreeSet<_> = numbers.iter().collect();
			assert_eq!(unique.len(), numbers.len());
		}
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_its_ledger_accepts_what_the_worker_proves() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("paid", || net.is_square()).await;
	let cut = Some(PowerCut { commit: 2, durable: false });
	drop(front);
	let lost = tempfile::tempdir().unwrap();
	let front = net.gateway_until(lost.path(), Options::default(), cut).await;
	use_until_cut(&front).await;
	drop(front);
	let fresh = tempfile::tempdir().unwrap();
	let front = net.gateway(fresh.path(), Options::default()).await;
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("the requests of all three gateways are paid", || {
		net.is_square() && front.running.gateway.ledger.confirmed(0).receipts as usize == net.receipts()
	})
	.await;
	assert!(net.receipts() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_of_concurrent_requests_share_vouchers_and_all_are_paid() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	// A hedge would be a receipt more.
	let front = net.gateway(dir.path(), Options { hedge: false, ..Options::default() }).await;
	let replies = futures::future::join_all((0..200).map(|_| front.chat(json!({})))).await;
	assert!(replies.iter().all(|reply| reply.status == 200));
	eventually("all are paid", || net.receipts() == 200 && net.is_square()).await;
	for worker in &net.workers {
		let state = worker.state();
		let account = state.accounts.values().next().unwrap();
		assert!(account.receipts.len() > 20, "equal weights share the load");
		assert!(account.vouchers < account.receipts.len() as u64);
	}
}
