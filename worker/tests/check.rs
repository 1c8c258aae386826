//! A checker's epoch, with a chain in memory and the real server of another host.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::{
	Hash,
	check::{DigestReveal, Offence, digest_hash},
	views::{ClaimView, RequestView, SubjectView},
};
use gonka_sprint::{
	LeafId, LeafOpening, SprintFormat, Tag,
	committee::{leaf_set, tag},
	trace::{Layout, bind_output},
};
use gonka_worker::{
	chain::CheckMessage,
	sprint::{Reference, pace::Pace},
	store::{Durability, check},
};
use std::{path::Path, sync::Arc};

/// Starts a checker with a sprint's thread.
async fn checker(chain: &Arc<FakeChain>, path: &Path) -> Rig {
	let expand = Box::new(Reference { threads: 1 }) as Box<_>;
	let sprint = Some((expand, Pace::new(Some(1.0))));
	Rig::start(chain, path, Options { sprint, ..Default::default() }).await
}

/// Returns the right tags of the host's leaf sets, from the reference.
fn tags(peer: &CheckedHost) -> Vec<Tag> {
	let model = model();
	let digest = |(segment, index)| {
		let id = LeafId { host: peer.account, epoch: 5, segment, lane: 0, index };
		model.digest_at(&id.tokens(&seed_of(segment), SprintFormat::Nano), 1).unwrap()
	};
	[3, 4].map(|set| tag(&peer.leaves(set).into_iter().map(digest).collect::<Vec<_>>())).to_vec()
}

/// Waits for a message, and returns it.
async fn included(chain: &FakeChain, wanted: impl Fn(&CheckMessage) -> bool) -> CheckMessage {
	let find = || chain.with(|state| state.messages.iter().find(|message| wanted(message)).cloned());
	eventually(async || {
		chain.announce_again();
		find().is_some()
	})
	.await;
	find().unwrap()
}

fn count(chain: &FakeChain, wanted: impl Fn(&CheckMessage) -> bool) -> usize {
	chain.with(|state| state.messages.iter().filter(|message| wanted(message)).count())
}

fn committed(chain: &FakeChain) -> Option<Hash> {
	chain.with(|state| state.check.as_ref().unwrap().committed)
}

/// Makes a chain at the draw, and a host to check whose leaves `change` may replace.
async fn drawn(change: impl Fn(u8, u64, Hash) -> Hash) -> (Arc<FakeChain>, tempfile::TempDir, CheckedHost) {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let peer = CheckedHost::start(&chain, directory.path(), change).await;
	// The host serves registered checkers.
	let worker = gonka_client::keys::public(&key("//Worker"));
	let view = registered(host(), worker, "");
	chain.with(|state| (state.host, state.check) = (Some(view), Some(peer.check_view())));
	chain.block(122);
	(chain, directory, peer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_host_is_checked_and_a_partner_with_another_tag_is_challenged() {
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	let rig = checker(&chain, directory.path()).await;
	let tags = tags(&peer);
	let hash = digest_hash(&host(), 5, 0, &tags);
	eventually(async || committed(&chain) == Some(hash)).await;
	// One partner has the same tag, the other one has another tag.
	chain.with(|state| {
		let sets = &mut state.check.as_mut().unwrap().duties[0].sets;
		sets[0].partner = Some(([71; 32], Some(tags[0])));
		sets[1].partner = Some(([72; 32], Some([1; 4])));
	});
	rig.block(125).await;
	chain.step_finished(|reads| reads.duties).await;
	rig.block(134).await;
	let revealed = included(&chain, |message| matches!(message, CheckMessage::Reveal(_))).await;
	assert_eq!(revealed, CheckMessage::Reveal(DigestReveal { checker: host(), epoch: 5, round: 0, tags }));
	let challenge = included(&chain, |message| matches!(message, CheckMessage::Challenge(_))).await;
	let CheckMessage::Challenge(challenge) = challenge else { unreachable!() };
	assert_eq!((challenge.checker, challenge.host, challenge.set), ([72; 32], peer.account, 4));
	rig.block(137).await;
	chain.step_finished(|reads| reads.duties).await;
	let names = chain.with(|state| state.messages.iter().map(CheckMessage::name).collect::<Vec<_>>());
	assert_eq!(names, ["the commitment to the tags", "the reveal of the tags", "a challenge"], "each one once");
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_wrong_leaves_is_accused_once() {
	let wrong = |segment: u8, index: u64, leaf: Hash| if segment == 2 && index % 4 == 1 { [66; 32] } else { leaf };
	let (chain, directory, peer) = drawn(wrong).await;
	let rig = checker(&chain, directory.path()).await;
	eventually(async || committed(&chain).is_some()).await;
	rig.block(123).await;
	let accusation = included(&chain, |message| matches!(message, CheckMessage::Accuse(_))).await;
	let CheckMessage::Accuse(made) = accusation else { unreachable!() };
	assert_eq!((made.accuser, made.host, made.epoch, made.segment), (host(), peer.account, 5, 2));
	let (lane, index) = peer.commitments[2].commitment.verify(made.position, &made.opening).unwrap();
	assert_eq!((lane, index % 4, made.opening.leaf), (0, 1, [66; 32]));
	let id = LeafId { host: peer.account, epoch: 5, segment: 2, lane, index };
	let right: Vec<u8> = model().leaf(&seed_of(2), &id).0.iter().map(|value| *value as u8).collect();
	assert_eq!(made.output, right);
	assert!(bind_output(&Layout::new(SprintFormat::Nano), &made.frontier, &made.output, &made.path));
	// The tags are those of the right leaves, like the partner's.
	assert_eq!(committed(&chain), Some(digest_hash(&host(), 5, 0, &tags(&peer))));
	rig.block(125).await;
	chain.step_finished(|reads| reads.duties).await;
	rig.stop().await;
	let rig = checker(&chain, directory.path()).await;
	rig.block(126).await;
	chain.step_finished(|reads| reads.duties).await;
	assert_eq!(count(&chain, |message| matches!(message, CheckMessage::Accuse(_))), 1);
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accusation_that_gave_way_is_made_again() {
	let (chain, directory, peer) = drawn(|_, _, _| [66; 32]).await;
	let rig = checker(&chain, directory.path()).await;
	let is_accusation = |message: &CheckMessage| matches!(message, CheckMessage::Accuse(_));
	eventually(async || {
		chain.announce_again();
		count(&chain, is_accusation) == 1
	})
	.await;
	let CheckMessage::Accuse(made) = included(&chain, is_accusation).await else { unreachable!() };
	let claim = ClaimView {
		id: 3,
		epoch: 5,
		format: SprintFormat::Nano,
		model_seed: [1; 32],
		claimant: host(),
		host: peer.account,
		subject: SubjectView::Accusation { output: made.output.clone() },
		leaf: None,
		frontier: made.frontier.clone(),
		until: 200,
		appointed: None,
		games: Vec::new(),
	};
	chain.with(|state| state.claims = vec![claim]);
	chain.step_finished(|reads| reads.claims).await;
	assert_eq!(count(&chain, is_accusation), 1);
	chain.with(|state| state.claims.clear());
	eventually(async || {
		chain.announce_again();
		count(&chain, is_accusation) == 2
	})
	.await;
	let all = chain.with(|state| state.messages.clone());
	let last = all.into_iter().rfind(is_accusation);
	assert!(last == Some(CheckMessage::Accuse(made)), "word for word");
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_that_a_host_does_not_serve_are_requested_on_chain() {
	for answers in [false, true] {
		let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
		// There is one segment, so one opening locates all leaves.
		chain.with(|state| {
			let duty = &mut state.check.as_mut().unwrap().duties[0];
			duty.url = b"http://127.0.0.1:9".to_vec();
			duty.commitments.truncate(1);
		});
		let rig = checker(&chain, directory.path()).await;
		let request = included(&chain, |message| matches!(message, CheckMessage::Request(_))).await;
		let CheckMessage::Request(request) = request else { unreachable!() };
		assert_eq!((request.host, request.positions.len()), (peer.account, 8));
		assert!(request.positions.iter().all(|(segment, _)| *segment == 0));
		if answers {
			let openings = gonka_worker::openings::Openings::new(peer.store.clone());
			let positions: Vec<u64> = request.positions.iter().map(|(_, position)| *position).collect();
			let shown = openings.open(5, 0, &positions).await.unwrap();
			chain.with(|state| state.requests[0].openings = shown);
		}
		// With the openings, the next block suffices. Without them, the checker commits shortly before the reveals.
		for block in if answers { 123..=123 } else { 123..=131 } {
			rig.block(block).await;
		}
		eventually(async || committed(&chain).is_some()).await;
		let none = digest_hash(&host(), 5, 0, &[[0; 4]; 2]);
		assert_eq!(committed(&chain) == Some(none), !answers);
		assert_eq!(count(&chain, |message| matches!(message, CheckMessage::Request(_))), 1);
		rig.stop().await;
	}
}

/// Openings of another host, of any segments.
async fn open(peer: &CheckedHost, positions: &[(u8, u64)]) -> Vec<LeafOpening> {
	let (openings, mut all) = (gonka_worker::openings::Openings::new(peer.store.clone()), Vec::new());
	for (segment, position) in positions {
		all.extend(openings.open(5, *segment, &[*position]).await.unwrap().unwrap());
	}
	all
}

/// A host stays silent until just before the term and answers then. The checker still recomputes all leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_answers_at_the_last_moment_is_checked_in_time() {
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	chain.with(|state| state.check.as_mut().unwrap().duties[0].url = b"http://127.0.0.1:9".to_vec());
	let rig = checker(&chain, directory.path()).await;
	let request = included(&chain, |message| matches!(message, CheckMessage::Request(_))).await;
	let CheckMessage::Request(request) = request else { unreachable!() };
	let mut segments: Vec<u8> = request.positions.iter().map(|(segment, _)| *segment).collect();
	assert!(segments.is_sorted() && segments.len() == 8);
	segments.dedup();
	assert_eq!(segments, [0, 1, 2, 3, 4], "one request opens every segment");
	let term = chain.with(|state| state.requests[0].deadline);
	for block in 123..term {
		rig.block(block).await;
	}
	assert_eq!(committed(&chain), None);
	let answer = open(&peer, &request.positions).await;
	chain.with(|state| state.requests[0].openings = Some(answer));
	rig.block(term).await;
	eventually(async || committed(&chain).is_some()).await;
	assert_eq!(committed(&chain), Some(digest_hash(&host(), 5, 0, &tags(&peer))));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_for_other_checkers_locate_the_leaves() {
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	chain.with(|state| state.check.as_mut().unwrap().duties[0].url = b"http://127.0.0.1:9".to_vec());
	let rig = checker(&chain, directory.path()).await;
	included(&chain, |message| matches!(message, CheckMessage::Request(_))).await;
	let view = |checker, positions: Vec<(u8, u64)>, openings| RequestView {
		checker: [checker; 32],
		epoch: 5,
		round: 0,
		host: peer.account,
		positions,
		deadline: 129,
		openings,
	};
	let some = [(0, 1), (1, 1), (2, 1)];
	let first = view(1, some.to_vec(), Some(open(&peer, &some).await));
	chain.with(|state| state.requests.push(first));
	rig.block(123).await;
	// The leaves of two segments cannot be located yet, so it must not commit.
	chain.step_finished(|reads| reads.opening_requests).await;
	assert_eq!(committed(&chain), None);
	let others = [(3, 1), (4, 1)];
	let second = view(2, others.to_vec(), Some(open(&peer, &others).await));
	// Its own request is no longer open, as after the term.
	chain.with(|state| {
		state.requests.push(second);
		state.requests[0].deadline = 0;
	});
	rig.block(124).await;
	eventually(async || committed(&chain).is_some()).await;
	assert_eq!(committed(&chain), Some(digest_hash(&host(), 5, 0, &tags(&peer))));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_convicted_host_is_not_accused_again() {
	let (chain, directory, _peer) = drawn(|_, _, _| [66; 32]).await;
	chain.with(|state| state.offence = Some(Offence::Fabrication));
	let rig = checker(&chain, directory.path()).await;
	eventually(async || committed(&chain).is_some()).await;
	rig.block(123).await;
	// The checker reads the standing before it accuses, and drops the wrong leaf then.
	eventually(async || {
		chain.announce_again();
		rig.store.read(|tx| check::suspects(tx, 5)).unwrap().is_empty()
	})
	.await;
	assert!(chain.with(|state| state.reads.standings) > 0);
	assert_eq!(count(&chain, |_| true), 1, "only the commitment");
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_commitment() {
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	chain.with(|state| state.reject = true);
	let rig = checker(&chain, directory.path()).await;
	// The chain rejects the commitment. The tags are stored when the worker stops.
	eventually(async || chain.with(|state| state.rejected) > 0).await;
	rig.stop().await;
	let stored = store(directory.path());
	let tags_before = stored.read(|tx| check::tags(tx, (5, 0), &BEACON)).unwrap().unwrap();
	assert_eq!(tags_before, tags(&peer));
	// Other tags for the same beacon are not stored.
	let other = check::StoredTags { beacon: BEACON, tags: vec![[9; 4]] };
	let standing = stored.write(Durability::Now, move |tx| check::put_tags(tx, (5, 0), &other)).await.unwrap();
	assert_eq!(standing, tags_before);
	drop(stored);
	chain.with(|state| state.reject = false);
	let rig = checker(&chain, directory.path()).await;
	rig.block(125).await;
	eventually(async || committed(&chain) == Some(digest_hash(&host(), 5, 0, &tags_before))).await;
	rig.stop().await;
	let rig = checker(&chain, directory.path()).await;
	rig.block(134).await;
	included(&chain, |message| matches!(message, CheckMessage::Reveal(_))).await;
	assert_eq!(count(&chain, |_| true), 2);
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_openings_are_posted_once() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let own = store(directory.path());
	let commitments = compute_segments(&own, host(), 0..5, |_, _, leaf| leaf).await;
	drop(own);
	let positions = vec![(1, 7), (3, 2), (3, 39)];
	let request = RequestView {
		checker: [4; 32],
		epoch: 5,
		round: 0,
		host: host(),
		positions: positions.clone(),
		deadline: 127,
		openings: None,
	};
	chain.with(|state| state.requests.push(request));
	chain.block(123);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let answer = included(&chain, |message| matches!(message, CheckMessage::Answer(_))).await;
	let CheckMessage::Answer(answer) = answer else { unreachable!() };
	assert_eq!((answer.host, answer.checker, answer.epoch), (host(), [4; 32], 5));
	assert_eq!(answer.openings.len(), positions.len());
	for ((segment, position), opening) in positions.into_iter().zip(&answer.openings) {
		assert_eq!(commitments[usize::from(segment)].commitment.verify(position, opening), Some((0, position)));
	}
	rig.block(125).await;
	chain.step_finished(|reads| reads.opening_requests).await;
	assert_eq!(count(&chain, |_| true), 1);
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_segments_are_checked() {
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	let wrong = |_, index, leaf| if index % 2 == 0 { [66; 32] } else { leaf };
	let made = compute_segments(&peer.store, peer.account, 5..6, wrong).await;
	chain.with(|state| {
		state.others_commitments.extend(made.clone());
		state.calls = vec![45];
	});
	let rig = checker(&chain, directory.path()).await;
	eventually(async || committed(&chain).is_some()).await;
	rig.block(145).await;
	rig.block(151).await;
	// The round is drawn at offset 45 + 3 + 3 + 1, and the duties are those of the confirmation segment.
	chain.with(|state| {
		let view = state.check.as_mut().unwrap();
		(view.round, view.beacon, view.committed) = (1, [6; 32], None);
		view.duties[0].commitments = vec![(5, made[0].commitment)];
	});
	rig.block(152).await;
	let is_commitment = |message: &CheckMessage| matches!(message, CheckMessage::Commit(made) if made.round == 1);
	included(&chain, is_commitment).await;
	let blocks = chain.with(|state| state.message_blocks.clone());
	assert!(blocks[1..].iter().all(|block| *block >= 152), "nothing is known of the round before its draw: {blocks:?}");
	let model = model();
	let digest = |(segment, index)| {
		let id = LeafId { host: peer.account, epoch: 5, segment, lane: 0, index };
		model.digest_at(&id.tokens(&seed_of(segment), SprintFormat::Nano), 1).unwrap()
	};
	let leaves = |set| leaf_set(&[6; 32], &peer.account, set, &[(5, LEAVES)], 8);
	let tags = [3, 4].map(|set| tag(&leaves(set).into_iter().map(digest).collect::<Vec<_>>())).to_vec();
	assert_eq!(committed(&chain), Some(digest_hash(&host(), 5, 1, &tags)));
	// The wrong leaf is found in one step, and accused in a later one.
	let accusation = included(&chain, |message| matches!(message, CheckMessage::Accuse(_))).await;
	let CheckMessage::Accuse(made) = accusation else { unreachable!() };
	assert_eq!((made.host, made.segment, made.opening.leaf), (peer.account, 5, [66; 32]));
	rig.block(164).await;
	let reveal = included(&chain, |message| matches!(message, CheckMessage::Reveal(made) if made.round == 1)).await;
	assert_eq!(reveal, CheckMessage::Reveal(DigestReveal { checker: host(), epoch: 5, round: 1, tags }));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_worker_checks_nothing_until_the_requirement_is_lowered() {
	use gonka_worker::version::RequiredVersion;
	let (chain, directory, peer) = drawn(|_, _, leaf| leaf).await;
	chain.with(|state| state.required = RequiredVersion { version: 999_999_999, from: 100 });
	let rig = checker(&chain, directory.path()).await;
	rig.block(123).await;
	chain.step_finished(|reads| reads.duties).await;
	chain.with(|state| state.required = RequiredVersion::default());
	rig.block(124).await;
	let hash = digest_hash(&host(), 5, 0, &tags(&peer));
	eventually(async || committed(&chain) == Some(hash)).await;
	assert_eq!(chain.with(|state| state.message_blocks.clone()), [124], "not while it was outdated");
	rig.stop().await;
}
