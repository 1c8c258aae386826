//! Openings over HTTP: for whom, of what, and how many.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{
	keys::{self, Keypair},
	wire::{Account, ErrorCode, OpeningQuery, Openings, Scale},
};
use gonka_primitives::{AccountId, views::HostView};
use gonka_worker::{
	check::fetch::{Fetcher, Target},
	sprint::runner::commitment,
	store::{
		Durability,
		race::{self, StoredCommitment},
	},
};
use std::sync::Arc;

struct Asker {
	key: Keypair,
	checker: AccountId,
	host: AccountId,
	http: Gateway,
}

impl Asker {
	fn query(&self, epoch: u32, segment: u8, positions: impl Into<Vec<u64>>) -> OpeningQuery {
		let (checker, positions) = (Account(self.checker), positions.into());
		let mut query = OpeningQuery { checker, epoch, segment, positions, signature: Scale([0; 64]) };
		query.signature = Scale(keys::sign(&self.key, &query.payload(&GENESIS, &self.host)));
		query
	}

	async fn ask(&self, query: &OpeningQuery) -> Result<Openings, (u16, ErrorCode)> {
		let answer = self.http.post("/v1/openings", query).await.map_err(|(status, code, _)| (status, code))?;
		Ok(serde_json::from_value(answer).unwrap())
	}
}

fn registered(chain: &FakeChain) {
	let worker = keys::public(&key("//Worker"));
	let (url, models) = (Vec::new(), Vec::new());
	let view = HostView { account: host(), worker, url, models, registered: 0, weight: 1, condemned: false };
	chain.with(|state| state.host = Some(view));
}

async fn rig(chain: &Arc<FakeChain>) -> (tempfile::TempDir, Peer, Asker) {
	let directory = tempfile::tempdir().unwrap();
	registered(chain);
	let peer = Peer::start(chain, directory.path(), |_, _, leaf| leaf).await;
	let http = Gateway::over(&peer.url, 0, true);
	let asker = Asker { key: key("//Worker"), checker: host(), host: peer.account, http };
	(directory, peer, asker)
}

#[tokio::test]
async fn hosts_are_shown_what_was_committed_to() {
	let chain = FakeChain::new();
	let (_directory, peer, asker) = rig(&chain).await;
	let Openings { openings } = asker.ask(&asker.query(5, 2, [0, 7, 39])).await.unwrap();
	for (position, opening) in [0, 7, 39].into_iter().zip(&openings) {
		assert_eq!(peer.commitments[2].commitment.verify(position, &opening.0), Some((0, position)));
	}
	// As the checker asks, over HTTP/2.
	let fetcher = Fetcher::new(GENESIS, host(), key("//Worker")).unwrap();
	let target = Target { host: &peer.account, url: peer.url.as_bytes(), epoch: 5 };
	let fetched = fetcher.openings(target, 2, &[0, 7, 39]).await.unwrap();
	assert_eq!(fetched, openings.into_iter().map(|opening| opening.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn strangers_and_nonsense_are_refused() {
	let chain = FakeChain::new();
	let (_directory, _peer, asker) = rig(&chain).await;
	let stranger = Asker { checker: [3; 32], http: Gateway::new(&_peer.url, 0), key: key("//X"), ..asker };
	assert_eq!(stranger.ask(&stranger.query(5, 0, [1])).await.unwrap_err(), (403, ErrorCode::NotAHost));
	let forger = Asker { checker: host(), ..stranger };
	assert_eq!(forger.ask(&forger.query(5, 0, [1])).await.unwrap_err(), (401, ErrorCode::BadSignature));
	let asker = Asker { key: key("//Worker"), ..forger };
	let other_host = Asker { host: [8; 32], http: Gateway::new(&_peer.url, 0), key: key("//Worker"), checker: host() };
	assert_eq!(asker.ask(&other_host.query(5, 0, [1])).await.unwrap_err(), (401, ErrorCode::BadSignature));
	chain.block(101);
	for positions in [vec![], vec![3, 3], vec![4, 3], (0..65).collect()] {
		assert_eq!(asker.ask(&asker.query(5, 0, positions)).await.unwrap_err(), (400, ErrorCode::BadRequest));
	}
	for (epoch, segment, position) in [(5, 0, LEAVES), (5, 5, 0), (4, 0, 0), (6, 0, 0), (0, 0, 0)] {
		let refused = asker.ask(&asker.query(epoch, segment, [position])).await.unwrap_err();
		assert_eq!(refused, (404, ErrorCode::NoSuchLeaf), "{epoch} {segment} {position}");
	}
	assert!(asker.ask(&asker.query(5, 0, [1])).await.is_ok());
}

#[tokio::test]
async fn leaves_are_shown_for_two_epochs() {
	let chain = FakeChain::new();
	let (_directory, _peer, asker) = rig(&chain).await;
	for (index, shown) in [(5, true), (6, true), (7, false)] {
		chain.with(|state| state.epoch.index = index);
		chain.block(100 + index);
		let asked = async || asker.ask(&asker.query(5, 0, [1])).await.is_ok();
		eventually(async || asked().await == shown).await;
	}
}

#[tokio::test]
async fn strangers_cannot_make_it_expensive() {
	let chain = FakeChain::new();
	let (_directory, _peer, asker) = rig(&chain).await;
	// A host that is known is answered, whatever strangers do.
	assert!(asker.ask(&asker.query(5, 0, [1])).await.is_ok());
	let before = chain.with(|state| state.look_ups);
	let mut refused = [0; 2];
	let query = asker.query(5, 0, [1]);
	let ask = async |number: u16| {
		let mut checker = [3; 32];
		checker[..2].copy_from_slice(&number.to_le_bytes());
		asker.ask(&OpeningQuery { checker: Account(checker), ..query.clone() }).await.unwrap_err()
	};
	for first in (0..300).step_by(10) {
		for answer in futures::future::join_all((first..first + 10).map(&ask)).await {
			match answer {
				(403, ErrorCode::NotAHost) => refused[0] += 1,
				(429, ErrorCode::Busy) => refused[1] += 1,
				other => panic!("{other:?}"),
			}
		}
	}
	assert!(refused[1] > 0 && chain.with(|state| state.look_ups) - before <= 256, "{refused:?}");
	assert!(asker.ask(&asker.query(5, 0, [1])).await.is_ok());
}

#[tokio::test]
async fn a_checker_is_not_shown_everything() {
	let chain = FakeChain::new();
	let (_directory, peer, asker) = rig(&chain).await;
	let leaves: Vec<_> = (0..300u16).map(|number| [number as u8; 32]).collect();
	let made = commitment(peer.account, 5, 7, leaves.clone()).unwrap();
	let put = peer.store.write(Durability::Now, move |tx| {
		race::add_leaves(tx, (5, 7, 0), 0, &leaves)?;
		race::commit(tx, &StoredCommitment { commitment: made, signature: [0; 64], included: true })
	});
	put.await.unwrap();
	for first in [0, 64, 128, 192, 0] {
		let positions: Vec<u64> = (first..first + 64).collect();
		let Openings { openings } = asker.ask(&asker.query(5, 7, positions.clone())).await.unwrap();
		let shown = |(position, opening): (_, &Scale<_>)| made.commitment.verify(position, &opening.0).is_some();
		assert!(positions.into_iter().zip(&openings).all(shown));
	}
	assert_eq!(asker.ask(&asker.query(5, 7, [256])).await.unwrap_err(), (429, ErrorCode::Busy));
	assert!(asker.ask(&asker.query(5, 7, [255])).await.is_ok() && asker.ask(&asker.query(5, 1, [39])).await.is_ok());
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
