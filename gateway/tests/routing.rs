//! Which hosts get requests, and which get channels.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Front, Net, Reply, chat_body, eventually};
use gonka_client::worker_api::{Acknowledgement, ErrorCode, Scale};
use gonka_gateway::config::{Options, Timeouts};
use gonka_primitives::{
	Hash,
	hashing::{domain, signing_payload},
	market::{Envelope, FinishReason, SignedEnvelope, SignedVoucher, Voucher},
};
use gonka_stand_ins::worker::{Asked, Failure, GENESIS, PRICE, Worker};
use http_body_util::BodyExt;
use serde_json::json;
use std::time::Duration;
use subxt_signer::sr25519::dev;

const FULL: &str = "w0 w1 w2 w3 w4 ";

/// Gives the hosts of a network these weights, and waits until the gateway knows them.
async fn weigh(net: &Net, front: &Front, weights: &[u64]) {
	for (host, weight) in net.market.state.lock().unwrap().hosts.iter_mut().zip(weights) {
		host.effective_weight = *weight;
	}
	let snapshots = &front.running.gateway.snapshots;
	snapshots.refresh.notify_one();
	eventually("the weights are known", || {
		let snapshot = snapshots.load();
		weights.iter().enumerate().all(|(index, weight)| snapshot.hosts[&[index as u8; 32]].weight == *weight)
	})
	.await;
}

/// Number of hosts that were replaced before their first token.
fn failovers(front: &Front) -> u64 {
	front.running.gateway.metrics.failovers.with_label_values(&["before"]).get()
}

/// Sends requests until the time of a usual first token is known, and a hedge may be sent.
async fn warm_up(front: &Front) {
	let (mut sent, mut quiet) = (0, 0);
	while sent < 40 || quiet < 20 {
		let before = front.running.gateway.metrics.hedges.get();
		assert_eq!(front.chat(json!({})).await.status, 200);
		// Each request that is not hedged brings a tenth of a hedge.
		quiet = if front.running.gateway.metrics.hedges.get() == before { quiet + 1 } else { 0 };
		sent += 1;
	}
}

/// Sends requests until one is served.
async fn until_served(front: &Front) {
	for _ in 0..1000 {
		if front.chat(json!({})).await.status == 200 {
			return;
		}
	}
	panic!("no request was served");
}

/// The index of the host that responded.
fn host(reply: &Reply) -> usize {
	assert_eq!(reply.status, 200, "{}", reply.text);
	let name = reply.headers["x-gnk-worker"].to_str().unwrap();
	(0..9).find(|index| gonka_client::keys::ss58(&[*index; 32]) == name).unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_first_token_comes_from_a_second_host_and_the_first_is_cancelled() {
	for hedge in [true, false] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = net.gateway(dir.path(), Options { hedge, ..Options::default() }).await;
		warm_up(&front).await;
		eventually("all are paid", || net.is_square()).await;
		weigh(&net, &front, &[u64::MAX / 4, 1]).await;
		net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Silent)));
		let (before, hedges) = (net.receipts(), &front.running.gateway.metrics.hedges);
		// On a busy machine some were late before.
		let (hedged, cancelled) = (hedges.get(), net.workers[0].state().cancelled);
		if !hedge {
			let waiting = tokio::time::timeout(Duration::from_secs(2), front.chat(json!({}))).await;
			assert!(waiting.is_err() && hedges.get() == 0, "it waits for the first host");
			continue;
		}
		let reply = front.chat(json!({})).await;
		assert_eq!((host(&reply), &reply.json()["choices"][0]["message"]["content"]), (1, &json!(FULL)));
		assert_eq!(hedges.get(), hedged + 1);
		eventually("the first host notices", || net.workers[0].state().cancelled == cancelled + 1).await;
		eventually("the second one alone is paid", || net.receipts() == before + 1 && net.is_square()).await;
		let account = net.market.state.lock().unwrap().hosts[0].account;
		assert!(front.running.gateway.router.is_healthy(&account), "slow is not broken");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_after_the_hedge_leaves_the_request_to_the_other() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	warm_up(&front).await;
	weigh(&net, &front, &[u64::MAX / 4, 1]).await;
	let (hedged, failed) = (front.running.gateway.metrics.hedges.get(), failovers(&front));
	net.workers[0].behave(|behaviour| behaviour.pause = Duration::from_secs(3));
	net.workers[1].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Resets)));
	let reply = front.chat(json!({"max_tokens": 2})).await;
	assert_eq!((host(&reply), &reply.json()["choices"][0]["message"]["content"]), (0, &json!("w0 w1 ")));
	assert_eq!(front.running.gateway.metrics.hedges.get(), hedged + 1);
	assert_eq!(failovers(&front), failed + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_charged_what_the_host_is_paid_whose_token_came_second() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	warm_up(&front).await;
	weigh(&net, &front, &[u64::MAX / 4, 1]).await;
	let gateway = &front.running.gateway;
	let hedged = gateway.metrics.hedges.get();
	net.workers[0].behave(|behaviour| behaviour.fails_after = Some((0, Failure::Withholds)));
	assert_eq!(host(&front.chat(json!({})).await), 1);
	assert_eq!(gateway.metrics.hedges.get(), hedged + 1);
	let due = || -> u128 {
		let of_worker =
			|worker: &Worker| worker.state().accounts.values().map(|account| account.due().fee).sum::<u128>();
		net.workers.iter().map(of_worker).sum()
	};
	let charged = || -> u128 {
		let (usage, ..) = gateway.keys.authorise(None).unwrap().standings();
		usage.months.values().map(|counts| counts.cost).sum()
	};
	eventually("both are paid", || net.is_square()).await;
	eventually("and charged", || charged() == due()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_with_a_common_beginning_go_to_one_host() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let ask = async |system: &str, index: usize| {
		let question = format!("Question {index}");
		let messages = json!([{"role": "system", "content": system.repeat(20)}, {"role": "user", "content": question}]);
		host(&front.post("/v1/chat/completions", chat_body(json!({"messages": messages}))).await)
	};
	for system in ["You are kind. ", "You are brief. ", "Speak French. "] {
		let first = ask(system, 0).await;
		for index in 1..8 {
			assert_eq!(ask(system, index).await, first);
		}
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_clients_leave_or_time_limits_end_since_it_is_slow_gets_no_more_requests() {
	for leaves in [true, false] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let timeouts = Timeouts { request: Duration::from_secs(5), ..Timeouts::default() };
		let front = net.gateway(dir.path(), Options { hedge: false, timeouts, ..Options::default() }).await;
		let slow = &net.workers[0];
		slow.behave(|behaviour| behaviour.fails_after = Some((1, Failure::Silent)));
		let (mut requests, mut served) = (0, false);
		// The gateway draws the host of each request.
		while slow.state().requests.is_empty() || !served {
			let (body, before) = (chat_body(json!({"stream": true})).to_string(), slow.state().requests.len());
			let mut response = front.open("POST", "/v1/chat/completions", &[], body).await.into_body();
			let mut text = String::new();
			while !text.contains("w0") {
				let frame = response.frame().await.expect("the stream goes on").unwrap();
				text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
			}
			let got = slow.state().requests.len();
			served |= got == before;
			if got == before || !leaves {
				response.collect().await.unwrap();
			} else {
				// The second token would come at once from another host.
				tokio::time::sleep(Duration::from_millis(300)).await;
				drop(response);
			}
			eventually("the slow host notices", || slow.state().cancelled as usize == got).await;
			requests += 1;
			assert!(requests < 100, "one of two hosts never got a request");
		}
		let before = slow.state().requests.len();
		for _ in 0..20 {
			assert_eq!(front.chat(json!({})).await.status, 200);
		}
		assert_eq!(slow.state().requests.len(), before);
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_that_find_a_request_wrong_suffice() {
	let (net, dir) = (Net::of(4).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	for worker in &net.workers {
		worker.behave(|behaviour| behaviour.refuses = Some(ErrorCode::BadRequest));
	}
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["type"]), (400, &json!("invalid_request_error")));
	assert_eq!(reply.json()["error"]["message"], "A host says: BadRequest", "it may say anything");
	assert_eq!(net.workers.iter().map(|worker| worker.state().requests.len()).sum::<usize>(), 2);
	let hosts = net.market.state.lock().unwrap().hosts.clone();
	assert!(hosts.iter().all(|host| front.running.gateway.router.is_healthy(&host.account)), "and none is blamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_rejects_what_another_one_serves_gets_fewer_requests() {
	for code in [ErrorCode::BadRequest, ErrorCode::ContextTooLong] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = net.gateway(dir.path(), Options { hedge: false, ..Options::default() }).await;
		net.workers[0].behave(|behaviour| behaviour.refuses = Some(code));
		for _ in 0..300 {
			assert_eq!(host(&front.chat(json!({"max_tokens": 6})).await), 1);
		}
		let got = net.workers[0].state().requests.len();
		assert!((1..100).contains(&got), "{got} of 300 went to it first, and half of them would if it lost nothing");
		let account = net.market.state.lock().unwrap().hosts[0].account;
		assert!(front.running.gateway.router.is_healthy(&account), "it may respond to others");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_rejected_a_request_does_not_get_it_again_while_another_one_is_busy() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::BadRequest));
	for _ in 0..100 {
		let before = net.workers[0].state().requests.len();
		net.workers[1].behave(|behaviour| behaviour.busy = 2);
		assert_eq!(host(&front.chat(json!({})).await), 1);
		let got = net.workers[0].state().requests.len() - before;
		assert!(got <= 1, "{got}");
		if got == 1 {
			return;
		}
	}
	panic!("one of two hosts never got a request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_calls_its_context_too_short_does_not_shorten_the_completions_of_others() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options { default_max_tokens: 64, ..Options::default() }).await;
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::ContextTooLong));
	net.workers[1].behave(|behaviour| behaviour.length = 40);
	let mut requests = 0;
	while net.workers[0].state().requests.is_empty() {
		let reply = front.chat(json!({})).await;
		assert_eq!(reply.json()["usage"]["completion_tokens"], 40, "{}", reply.text);
		requests += 1;
		assert!(requests < 100, "one of two hosts never got a request");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_some_engines_cannot_serve_goes_to_one_that_can() {
	let (net, dir) = (Net::of(4).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let cannot = |workers: &[Worker]| {
		workers.iter().for_each(|worker| worker.behave(|behaviour| behaviour.refuses = Some(ErrorCode::Unsupported)));
	};
	cannot(&net.workers[..3]);
	for _ in 0..4 {
		assert_eq!(host(&front.chat(json!({})).await), 3);
	}
	cannot(&net.workers);
	assert_eq!(front.chat(json!({})).await.status, 400);
	let hosts = net.market.state.lock().unwrap().hosts.clone();
	assert!(hosts.iter().all(|host| front.running.gateway.router.is_healthy(&host.account)), "and none is blamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_comes_into_use_gets_the_channel_that_is_needed_least() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	net.market.state.lock().unwrap().hosts[2].models.clear();
	let options = Options { max_channels: 2, ..Options::default() };
	let front = net.gateway(dir.path(), options).await;
	let balance = net.market.state.lock().unwrap().balance;
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("it is paid", || net.is_square()).await;
	// The third host serves another model from now on.
	net.market.state.lock().unwrap().hosts[2].models = vec![5];
	front.running.gateway.snapshots.refresh.notify_one();
	eventually("a channel is closed, withdrawn, and one to the third host opened", || {
		net.market.next_block();
		let state = net.market.state.lock().unwrap();
		state.channels.len() == 2 && state.channels.iter().any(|channel| channel.host == [2; 32])
	})
	.await;
	let returned = net.market.state.lock().unwrap().balance;
	assert_eq!(returned, balance, "the rest came back, and paid the new deposit");
	eventually("the other model is served", || {
		let gateway = &front.running.gateway;
		gateway.model("nobody-serves-it").is_ok_and(|model| gateway.is_served(&gateway.snapshots.load(), &model))
	})
	.await;
	let reply = front.chat(json!({"model": "nobody-serves-it"})).await;
	assert_eq!(host(&reply), 2);
	assert!(host(&front.chat(json!({})).await) < 2, "the first model keeps a channel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_with_one_key_pay_all_their_hosts_and_say_so() {
	let (net, dirs) = (Net::of(2).await, [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
	let fronts =
		[net.gateway(dirs[0].path(), Options::default()).await, net.gateway(dirs[1].path(), Options::default()).await];
	let told = || fronts.iter().map(|front| front.running.gateway.metrics.shared_key.get()).sum::<u64>();
	for round in 0.. {
		if round >= 10 && told() > 0 {
			break;
		}
		assert!(round < 1000, "nothing is said");
		let replies = fronts.iter().flat_map(|front| (0..2).map(|_| front.chat(json!({}))));
		for reply in futures::future::join_all(replies).await {
			// While both channels are compared with their hosts, a request may fail.
			assert!([200, 503].contains(&reply.status), "{}", reply.text);
		}
	}
	eventually("all are paid", || net.is_square()).await;
	// One is killed with a request that it has not paid, and the other pays.
	for worker in &net.workers {
		worker.behave(|behaviour| behaviour.mute_vouchers = true);
	}
	let [killed, other] = fronts;
	until_served(&killed).await;
	drop(killed);
	for worker in &net.workers {
		worker.behave(|behaviour| behaviour.mute_vouchers = false);
	}
	let served = futures::future::join_all((0..20).map(|_| other.chat(json!({})))).await;
	assert!(served.iter().all(|reply| [200, 503].contains(&reply.status)));
	until_served(&other).await;
	eventually("all are paid", || net.is_square()).await;
	let due: u64 = net
		.workers
		.iter()
		.flat_map(|w| w.state().accounts.values().map(|a| a.due().receipts).collect::<Vec<_>>())
		.sum();
	assert_eq!(due as usize, net.receipts());
}

/// Lets a worker sign a receipt for another gateway with the same key, which uses this sequence number. Returns its hash.
fn serve_another(net: &Net, sequence: u64, tokens: &[u32]) -> Hash {
	let channel = net.market.state.lock().unwrap().channels[0].id;
	let worker = &net.workers[0];
	let request = worker.state().requests[0].clone();
	let max_fee = PRICE.fee(2048, 6).unwrap();
	let envelope = Envelope {
		channel,
		model: 4,
		sequence,
		body: [0; 32],
		seed: 0,
		price: PRICE,
		max_tokens: 6,
		max_fee,
		expires: 100,
	};
	assert!(worker.admit(&envelope), "the number was used");
	let hash = envelope.hash(&GENESIS);
	let signed = SignedEnvelope { signature: dev::alice().sign(&hash).0, envelope };
	worker.conclude(&Asked { signed, hash, request }, tokens, FinishReason::Stop, None);
	hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_a_host_refused_is_paid_when_another_gateway_used_it() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::Unsupported));
	assert_eq!(front.chat(json!({})).await.status, 400);
	// The other one uses the first number, and is never seen again.
	serve_another(&net, 1, &[256]);
	assert!(!net.is_square());
	front.running.gateway.ledger.unsync(0);
	eventually("it is paid", || net.is_square()).await;
	assert_eq!(net.receipts(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_of_another_gateway_with_the_same_totals_pays_for_none_of_these_receipts() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), Options::default()).await;
	let (gateway, worker) = (&front.running.gateway, &net.workers[0]);
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("it is paid", || net.is_square()).await;
	// The other one gets the same, and pays for it.
	let hash = serve_another(&net, 100, &[256, 257, 258, 259, 260, 356]);
	let voucher = Voucher { channel: 0, totals: worker.state().accounts[&0].due() };
	let signature = dev::alice().sign(&signing_payload(domain::VOUCHER, &GENESIS, &voucher)).0;
	let paid = Acknowledgement { voucher: Scale(SignedVoucher { voucher, signature }), receipts: vec![Scale(hash)] };
	gateway.workers.acknowledge(&worker.url, &paid).await.unwrap();
	assert!(net.is_square());
	// So this one's next voucher has the totals that the worker has already.
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("all are paid", || net.is_square() && net.receipts() == 3).await;
	eventually("both know it", || worker.state().accounts[&0].totals == gateway.ledger.confirmed(0)).await;
}
