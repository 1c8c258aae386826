//! What happens when hosts, clients or the gateway itself fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{
	Front, Net, chat_body, eventually, options,
	worker::{Lie, PRICE, PROMPT_TOKENS},
};
use gonka_client::wire::ErrorCode;
use gonka_gateway::store::PowerCut;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;

const FULL: &str = "w0 w1 w2 w3 w4 ";

fn failovers(front: &Front, when: &str) -> u64 {
	front.running.gateway.metrics.failovers.with_label_values(&[when]).get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_before_the_first_token_is_replaced() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	net.workers[0].behave(|behaviour| behaviour.breaks_after = Some(0));
	net.workers[1].behave(|behaviour| behaviour.refuses = Some(ErrorCode::UnknownModel));
	let mut asked = 0;
	// Whom the gateway asks first is drawn.
	while asked < 6 || failovers(&front, "before") == 0 {
		let reply = front.chat(json!({})).await;
		assert_eq!(reply.status, 200, "{}", reply.text);
		assert_eq!(reply.json()["choices"][0]["message"]["content"], FULL);
		assert_eq!(reply.headers["x-gnk-worker"], gonka_client::keys::ss58(&[2; 32]).as_str());
		asked += 1;
		assert!(asked < 100, "neither of two hosts that fail was asked first");
	}
	eventually("only the host that answered is paid", || net.receipts() == asked && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_goes_on_elsewhere_without_a_seam() {
	for silent in [false, true] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = net.gateway(dir.path(), options()).await;
		// Whoever is asked first fails: only one of them, so that the other one is there.
		net.market.state.lock().unwrap().hosts[1].weight = u64::MAX / 4;
		front.running.gateway.snapshots.refresh.notify_one();
		eventually("the weight is known", || {
			front.running.gateway.snapshots.load().hosts.values().any(|host| host.weight > 1)
		})
		.await;
		net.workers[1].behave(|behaviour| {
			if silent {
				behaviour.silent_after = Some(2);
			} else {
				behaviour.breaks_after = Some(2);
			}
		});
		let reply = front.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
		assert_eq!(reply.streamed_text(), FULL);
		assert!(!reply.text.contains("error") && reply.text.ends_with("data: [DONE]\n\n"), "{}", reply.text);
		let events = reply.events();
		let last: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
		let usage = json!({"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 5, "total_tokens": PROMPT_TOKENS + 5});
		assert_eq!(last["usage"], usage);
		assert_eq!(failovers(&front, "during"), 1);
		let continued = net.workers[0].state().requests[0].clone();
		assert_eq!(continued.delivered, [100, 101]);
		eventually("who went on is paid for what it added", || {
			net.workers[0]
				.state()
				.accounts
				.values()
				.any(|account| account.totals.fee == PRICE.fee(PROMPT_TOKENS + 2, 3).unwrap())
		})
		.await;
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_can_go_on_the_stream_ends_with_an_error() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	net.workers[0].behave(|behaviour| behaviour.breaks_after = Some(0));
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("bad_worker")));
	net.workers[0].behave(|behaviour| {
		behaviour.breaks_after = Some(1);
		behaviour.refuses = None;
	});
	let streaming = front.chat(json!({"stream": true}));
	let breaking = async {
		eventually("the first token was made", || {
			net.workers[0].state().requests.last().is_some_and(|r| !r.delivered.is_empty())
		})
		.await;
		net.workers[0].behave(|behaviour| behaviour.refuses = Some(ErrorCode::Internal));
	};
	let (reply, ()) = tokio::join!(streaming, breaking);
	assert_eq!(reply.status, 200);
	let last: Value = serde_json::from_str(reply.events().last().unwrap()).unwrap();
	assert_eq!(last["error"]["code"], "bad_worker");
	assert!(!reply.text.contains("[DONE]"));
	assert_eq!(net.receipts(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_found_guilty_is_asked_no_more_and_paid_what_it_is_owed() {
	let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	let guilty = &net.workers[1];
	let mut asked = 0;
	// Whom the gateway asks is drawn.
	while guilty.state().requests.is_empty() {
		assert_eq!(front.chat(json!({})).await.status, 200);
		asked += 1;
		assert!(asked < 100, "one of two hosts was never asked");
	}
	net.market.state.lock().unwrap().hosts[1].condemned = true;
	let snapshots = &front.running.gateway.snapshots;
	snapshots.refresh.notify_one();
	eventually("the verdict is known", || snapshots.load().serving(4).count() == 1).await;
	for _ in 0..20 {
		let reply = front.chat(json!({})).await;
		assert_eq!(reply.headers["x-gnk-worker"], gonka_client::keys::ss58(&[0; 32]).as_str());
	}
	assert_eq!(guilty.state().requests.len(), 1);
	eventually("what it did before is paid", || net.receipts() == asked + 20 && net.is_square()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_hosts_are_waited_for() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	net.workers[0].behave(|behaviour| behaviour.busy = 5);
	assert_eq!(front.chat(json!({})).await.status, 200);
	net.workers[0].behave(|behaviour| behaviour.busy = u32::MAX);
	let reply = front.chat(json!({})).await;
	assert_eq!((reply.status, &reply.json()["error"]["code"]), (429, &json!("rate_limit_exceeded")));
	assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_receipt_is_never_acknowledged() {
	for lie in [Lie::Output, Lie::Fee, Lie::Count, Lie::Signature, Lie::Finish] {
		let (net, dir) = (Net::of(2).await, tempfile::tempdir().unwrap());
		let front = net.gateway(dir.path(), options()).await;
		net.workers[0].behave(|behaviour| behaviour.lie = Some(lie));
		for _ in 0..8 {
			assert_eq!(front.chat(json!({"max_tokens": 9})).await.status, 200);
		}
		let lied = front.running.gateway.metrics.refused.get();
		assert!(lied <= 1, "a liar is asked once");
		eventually("the honest host is paid", || {
			net.workers[1].state().accounts.values().all(|account| account.totals == account.due())
		})
		.await;
		let asked = net.workers[0].state().requests.len() as u64;
		assert_eq!(asked, lied);
		if lied == 0 {
			continue;
		}
		drop(front);
		// Nor after a restart, when the worker shows it again.
		let front = net.gateway(dir.path(), options()).await;
		assert_eq!(front.chat(json!({})).await.status, 200);
		tokio::time::sleep(Duration::from_millis(300)).await;
		let state = net.workers[0].state();
		assert!(state.accounts.values().all(|account| account.vouchers == 0 || !account.acknowledged.is_empty()));
		let first_receipt_unpaid = state.accounts.values().all(|account| account.acknowledged.is_empty());
		assert!(first_receipt_unpaid, "{lie:?}");
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_stops_the_worker_and_pays_what_was_made() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	net.workers[0].behave(|behaviour| {
		behaviour.length = 1000;
		behaviour.pause = Duration::from_millis(20);
	});
	let body = chat_body(json!({"stream": true, "max_tokens": 1000})).to_string();
	let mut response = front.open("POST", "/v1/chat/completions", None, body).await.into_body();
	let mut text = String::new();
	while !text.contains("w2") {
		text.push_str(std::str::from_utf8(response.frame().await.unwrap().unwrap().data_ref().unwrap()).unwrap());
	}
	drop(response);
	eventually("the worker stopped", || net.workers[0].state().cancelled == 1).await;
	eventually("what it made is paid", || net.receipts() == 1 && net.is_square()).await;
	assert_eq!(front.running.gateway.metrics.refused.get(), 0);
	eventually("nothing is left open", || front.running.gateway.ledger.open_items(0) == (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voucher_whose_answer_is_lost_is_sent_again_and_counted_once() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
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
	let front = net.gateway(dir.path(), options()).await;
	net.workers[0].behave(|behaviour| behaviour.keeps_receipts = true);
	let reply = front.chat(json!({"max_tokens": 5})).await;
	assert_eq!(reply.status, 200, "{}", reply.text);
	assert_eq!(reply.json()["choices"][0]["finish_reason"], "length");
	eventually("what was delivered is paid", || net.receipts() == 1 && net.is_square()).await;
}

/// Kills the gateway at every write, before and after it is durable, and lets a new one go on with its books.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_nothing_is_lost_and_nothing_is_paid_twice() {
	for commit in 0..9 {
		for durable in [false, true] {
			let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
			let front = net.gateway_until(dir.path(), options(), Some(PowerCut { commit, durable })).await;
			for _ in 0..2 {
				let _ = tokio::time::timeout(Duration::from_secs(3), front.chat(json!({}))).await;
			}
			drop(front);
			let front = net.gateway(dir.path(), options()).await;
			let reply = front.chat(json!({})).await;
			assert_eq!(reply.status, 200, "{}", reply.text);
			eventually("all is paid", || net.is_square()).await;
			let (due, receipts) = {
				let state = net.workers[0].state();
				(state.accounts[&0].due(), state.accounts[&0].receipts.len() as u64)
			};
			eventually("the books agree", || front.running.gateway.ledger.confirmed(0) == due).await;
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
async fn with_its_books_lost_the_gateway_takes_over_what_the_worker_proves() {
	let (net, dir) = (Net::of(1).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("paid", || net.is_square()).await;
	let cut = Some(PowerCut { commit: 2, durable: false });
	drop(front);
	let lost = tempfile::tempdir().unwrap();
	let front = net.gateway_until(lost.path(), options(), cut).await;
	let _ = tokio::time::timeout(Duration::from_secs(3), front.chat(json!({}))).await;
	drop(front);
	let fresh = tempfile::tempdir().unwrap();
	let front = net.gateway(fresh.path(), options()).await;
	assert_eq!(front.chat(json!({})).await.status, 200);
	eventually("all is paid, whoever asked", || {
		net.is_square() && front.running.gateway.ledger.confirmed(0).receipts as usize == net.receipts()
	})
	.await;
	assert!(net.receipts() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_vouchers_and_all_are_paid() {
	let (net, dir) = (Net::of(3).await, tempfile::tempdir().unwrap());
	let front = net.gateway(dir.path(), options()).await;
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
