//! Openings over HTTP: who gets them, of which leaves, and how many.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{
	keys::{self, Keypair},
	peer_http::Addresses,
	worker_api::{Account, ErrorCode, OpeningQuery, Openings, Scale},
};
use gonka_primitives::AccountId;
use gonka_worker::{
	peer::{PeerClient, Target},
	sprint::runner::commitment,
	store::{
		Durability,
		sprint::{self, StoredCommitment},
	},
};
use std::sync::Arc;

/// A checker.
struct Checker {
	key: Keypair,
	checker: AccountId,
	host: AccountId,
	http: Gateway,
}

impl Checker {
	fn query(&self, epoch: u32, segment: u8, positions: impl Into<Vec<u64>>) -> OpeningQuery {
		let (checker, positions) = (Account(self.checker), positions.into());
		let mut query = OpeningQuery { checker, epoch, segment, positions, signature: Scale([0; 64]) };
		query.signature = Scale(keys::sign(&self.key, &query.payload(&GENESIS, &self.host)));
		query
	}

	async fn send(&self, query: &OpeningQuery) -> Result<Openings, (u16, ErrorCode)> {
		let response = self.http.post("/v1/openings", query).await.map_err(|(status, code, _)| (status, code))?;
		Ok(serde_json::from_value(response).unwrap())
	}
}

async fn setup(chain: &Arc<FakeChain>) -> (tempfile::TempDir, CheckedHost, Checker) {
	let directory = tempfile::tempdir().unwrap();
	let worker = keys::public(&key("//Worker"));
	chain.with(|state| state.host = Some(registered(host(), worker, "")));
	let peer = CheckedHost::start(chain, directory.path(), |_, _, leaf| leaf).await;
	let http = Gateway::over(&peer.url, 0, true);
	let checker = Checker { key: key("//Worker"), checker: host(), host: peer.account, http };
	(directory, peer, checker)
}

#[tokio::test]
async fn hosts_get_the_leaves_of_the_commitment() {
	let chain = FakeChain::new();
	let (_directory, peer, checker) = setup(&chain).await;
	let Openings { openings } = checker.send(&checker.query(5, 2, [0, 7, 39])).await.unwrap();
	for (position, opening) in [0, 7, 39].into_iter().zip(&openings) {
		assert_eq!(peer.commitments[2].commitment.verify(position, &opening.0), Some((0, position)));
	}
	// The worker's own client gets the same, over HTTP/2.
	let client = PeerClient::new(GENESIS, host(), key("//Worker"), TIMEOUTS, Addresses::Any).unwrap();
	let target = Target { host: &peer.account, url: peer.url.as_bytes(), epoch: 5 };
	let fetched = client.openings(target, 2, &[0, 7, 39]).await.unwrap();
	assert_eq!(fetched, openings.into_iter().map(|opening| opening.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn queries_of_unknown_hosts_and_invalid_queries_are_rejected() {
	let chain = FakeChain::new();
	let (_directory, peer, checker) = setup(&chain).await;
	let not_a_host = Checker { checker: [3; 32], http: Gateway::new(&peer.url, 0), key: key("//X"), ..checker };
	assert_eq!(not_a_host.send(&not_a_host.query(5, 0, [1])).await.unwrap_err(), (403, ErrorCode::NotAHost));
	let forger = Checker { checker: host(), ..not_a_host };
	assert_eq!(forger.send(&forger.query(5, 0, [1])).await.unwrap_err(), (401, ErrorCode::BadSignature));
	let checker = Checker { key: key("//Worker"), ..forger };
	let other_host = Checker { host: [8; 32], http: Gateway::new(&peer.url, 0), key: key("//Worker"), checker: host() };
	assert_eq!(checker.send(&other_host.query(5, 0, [1])).await.unwrap_err(), (401, ErrorCode::BadSignature));
	chain.block(101);
	for positions in [vec![], vec![3, 3], vec![4, 3], (0..65).collect()] {
		assert_eq!(checker.send(&checker.query(5, 0, positions)).await.unwrap_err(), (400, ErrorCode::BadRequest));
	}
	for (epoch, segment, position) in [(5, 0, LEAVES), (5, 5, 0), (4, 0, 0), (6, 0, 0), (0, 0, 0)] {
		let rejected = checker.send(&checker.query(epoch, segment, [position])).await.unwrap_err();
		assert_eq!(rejected, (404, ErrorCode::NoSuchLeaf), "{epoch} {segment} {position}");
	}
	assert!(checker.send(&checker.query(5, 0, [1])).await.is_ok());
}

#[tokio::test]
async fn leaves_of_the_last_two_epochs_are_served() {
	let chain = FakeChain::new();
	let (_directory, _peer, checker) = setup(&chain).await;
	for (index, served) in [(5, true), (6, true), (7, false)] {
		chain.with(|state| state.epoch.index = index);
		chain.block(100 + index);
		eventually(async || checker.send(&checker.query(5, 0, [1])).await.is_ok() == served).await;
	}
}

#[tokio::test]
async fn queries_of_unknown_hosts_cause_one_read_of_the_hosts_a_block() {
	let chain = FakeChain::new();
	let (_directory, _peer, checker) = setup(&chain).await;
	let before = chain.with(|state| state.look_ups);
	let query = checker.query(5, 0, [1]);
	let send = async |number: u16| {
		let mut unknown = [3; 32];
		unknown[..2].copy_from_slice(&number.to_le_bytes());
		checker.send(&OpeningQuery { checker: Account(unknown), ..query.clone() }).await.unwrap_err()
	};
	for first in (0..300).step_by(10) {
		for response in futures::future::join_all((first..first + 10).map(&send)).await {
			assert_eq!(response, (403, ErrorCode::NotAHost));
		}
	}
	assert!(checker.send(&query).await.is_ok(), "the worker has not met this one before");
	let forged = OpeningQuery { signature: Scale([1; 64]), ..query };
	for _ in 0..3 {
		assert_eq!(checker.send(&forged).await.unwrap_err(), (401, ErrorCode::BadSignature));
	}
	assert_eq!(chain.with(|state| (state.reads.hosts, state.look_ups)), (1, before));
}

#[tokio::test]
async fn a_new_key_counts_from_the_next_block_on() {
	let chain = FakeChain::new();
	let (_directory, _peer, checker) = setup(&chain).await;
	assert!(checker.send(&checker.query(5, 0, [1])).await.is_ok());
	let renewed = Checker { key: key("//New"), ..checker };
	chain.with(|state| state.host = Some(registered(host(), keys::public(&renewed.key), "")));
	let query = renewed.query(5, 0, [1]);
	assert_eq!(renewed.send(&query).await.unwrap_err(), (401, ErrorCode::BadSignature));
	chain.block(101);
	eventually(async || renewed.send(&query).await.is_ok()).await;
	let old = Checker { key: key("//Worker"), ..renewed };
	assert_eq!(old.send(&old.query(5, 0, [1])).await.unwrap_err(), (401, ErrorCode::BadSignature));
}

#[tokio::test]
async fn a_checker_gets_a_bounded_number_of_leaves() {
	let chain = FakeChain::new();
	let (_directory, peer, checker) = setup(&chain).await;
	let leaves: Vec<_> = (0..300u16).map(|number| [number as u8; 32]).collect();
	let made = commitment(peer.account, 5, 7, leaves.clone()).unwrap();
	let put = peer.store.write(Durability::Now, move |tx| {
		sprint::add_leaves(tx, (5, 7, 0), 0, &leaves)?;
		sprint::commit(tx, &StoredCommitment { commitment: made, signature: [0; 64], included: true })
	});
	put.await.unwrap();
	for first in [0, 64, 128, 192, 0] {
		let positions: Vec<u64> = (first..first + 64).collect();
		let Openings { openings } = checker.send(&checker.query(5, 7, positions.clone())).await.unwrap();
		let shown = |(position, opening): (_, &Scale<_>)| made.commitment.verify(position, &opening.0).is_some();
		assert!(positions.into_iter().zip(&openings).all(shown));
	}
	assert_eq!(checker.send(&checker.query(5, 7, [256])).await.unwrap_err(), (429, ErrorCode::Busy));
	assert!(
		checker.send(&checker.query(5, 7, [255])).await.is_ok()
			&& checker.send(&checker.query(5, 1, [39])).await.is_ok()
	);
}

#[test]
fn accounts_are_read_as_addresses_and_as_hex() {
	let account = Account(host());
	let text = serde_json::to_string(&account).unwrap();
	assert!(text.starts_with("\"5"));
	assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account);
	let text = format!("\"0x{}\"", "0a".repeat(32));
	assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), Account([10; 32]));
	assert!(serde_json::from_str::<Account>("\"5x\"").is_err());
}
