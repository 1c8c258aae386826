//! Disputes, turn by turn: a worker against a dishonest party, with a referee that judges as the chain does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_primitives::{
	AccountId,
	check::{Play, Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{
	DisputeVerdict, LeafId, ModelSeed, Place, SprintFormat, Tensor, Trace,
	dispute::{evidence, is_child, judge},
	trace::{Layout, bind_digest, bind_output},
};
use gonka_worker::{
	chain::CheckMessage,
	check::disputes::{claimants_turn, refuters_turn},
	sprint::{Reference, pace::Pace},
	store::{
		Durability,
		check::{self, StoredLeaf, StoredSet},
		sprint,
	},
};
use std::{sync::Arc, time::Duration};

const LIAR: AccountId = [66; 32];
const LAYER: u16 = 1;

fn id() -> LeafId {
	LeafId { host: [77; 32], epoch: 5, segment: 2, lane: 0, index: 7 }
}

fn right() -> Trace {
	Trace::new(&model(), &id().tokens(&seed_of(2), SprintFormat::Nano)).unwrap()
}

/// Returns a trace with other bytes in some places, and nothing that would follow from them.
fn lie(places: &[Place]) -> Trace {
	let right = right();
	let mut blocks = right.blocks().to_vec();
	for place in places {
		let block = &mut blocks[right.layout().index(*place).unwrap() as usize];
		let last = block.len() - right.layout().value_len(*place);
		block[last] ^= 1;
	}
	Trace::from_blocks(SprintFormat::Nano, blocks).unwrap()
}

fn accusation(claimant: AccountId, trace: &Trace) -> ClaimView {
	ClaimView {
		id: 9,
		epoch: 5,
		format: SprintFormat::Nano,
		model_seed: [1; 32],
		claimant,
		host: id().host,
		subject: SubjectView::Accusation { output: trace.output().iter().map(|value| *value as u8).collect() },
		leaf: Some((id(), seed_of(2).0)),
		frontier: trace.frontier().to_vec(),
		until: 130,
		appointed: Some(Vec::new()),
		games: Vec::new(),
	}
}

fn new_game(refuter: AccountId, stage: Stage) -> GameView {
	let (children, bytes) = (Vec::new(), Vec::new());
	GameView { refuter, stage, number: 0, deadline: 140, picked: None, children, block: None, bytes }
}

/// Takes a turn as the chain would. Returns the verdict at the end.
fn referee(claim: &mut ClaimView, play: &Play) -> Option<DisputeVerdict> {
	let layout = Layout::new(claim.format);
	let game = match claim.games.iter_mut().find(|game| game.refuter == play.refuter) {
		Some(game) => game,
		None => {
			assert_eq!(play.number, 0);
			claim.games.push(new_game(play.refuter, Stage::Node));
			claim.games.last_mut().unwrap()
		},
	};
	let next = if game.stage.is_claimants() { claim.claimant } else { game.refuter };
	assert_eq!((play.player, play.number, play.claim), (next, game.number, claim.id));
	game.stage = match (game.stage, &play.turn, &mut claim.subject) {
		(Stage::Digests, Turn::Digests(shown), SubjectView::Challenge { digests, .. }) => {
			*digests = shown.clone();
			Stage::Leaf
		},
		(
			Stage::Leaf,
			Turn::Leaf { number, lane },
			SubjectView::Challenge { number: named, leaves, commitments, .. },
		) => {
			*named = Some(*number);
			let (_, position) = leaves[usize::from(*number)];
			let (lane, index) = commitments[0].1.locate(position, lane).unwrap();
			claim.leaf = Some((LeafId { host: claim.host, epoch: 5, segment: 2, lane, index }, seed_of(2).0));
			Stage::Trace
		},
		(Stage::Trace, Turn::Trace { frontier, path }, SubjectView::Challenge { digests, number, layer, .. }) => {
			let digest = &digests[usize::from(number.unwrap())];
			assert!(bind_digest(&layout, frontier, *layer, digest, path));
			claim.frontier = frontier.clone();
			Stage::Node
		},
		(Stage::Node, Turn::Pick(pick), _) => {
			layout.child_index(0, 0, u32::from(*pick)).unwrap();
			game.picked = Some(*pick);
			Stage::Children
		},
		(Stage::Children, Turn::Children(children), _) => {
			let picked = game.picked.unwrap();
			let node = &claim.frontier[usize::from(picked)];
			assert!(layout.verify_children(1, picked.into(), node, children));
			game.children = children.clone();
			Stage::Block
		},
		(Stage::Block, Turn::Pick(pick), _) => {
			game.block = Some(*pick);
			Stage::Bytes
		},
		(Stage::Bytes, Turn::Block(bytes), _) => {
			assert!(is_child(&layout, &game.children, index(&layout, game), bytes));
			game.bytes = bytes.clone();
			Stage::Value
		},
		(Stage::Value, Turn::Value { coordinate, inputs }, _) => {
			let (picked, tokens) = (game.picked.unwrap().into(), id().tokens(&seed_of(2), claim.format));
			let (seed, index) = (ModelSeed(claim.model_seed), index(&layout, game));
			let verdict = judge(
				&seed,
				claim.format,
				&tokens,
				&claim.frontier,
				picked,
				&game.children,
				index,
				&game.bytes,
				*coordinate,
				inputs,
			);
			return Some(verdict.expect("a proven move"));
		},
		(stage, turn, _) => panic!("{turn:?} in {stage:?}"),
	};
	game.number += 1;
	None
}

fn index(layout: &Layout, game: &GameView) -> u32 {
	layout.child_index(1, game.picked.unwrap().into(), game.block.unwrap().into()).unwrap()
}

/// A worker that took part in the sprint, and a chain with a claim.
struct Court {
	chain: Arc<FakeChain>,
	rig: Rig,
	claim: ClaimView,
	block: u32,
	seen: usize,
	_directory: tempfile::TempDir,
}

impl Court {
	async fn open(claim: ClaimView, prepare: impl AsyncFnOnce(&gonka_worker::store::Store)) -> Self {
		Self::open_among(&[], claim, prepare).await
	}

	/// Opens a claim after others.
	async fn open_among(
		others: &[ClaimView],
		claim: ClaimView,
		prepare: impl AsyncFnOnce(&gonka_worker::store::Store),
	) -> Self {
		let (chain, _directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
		let own = store(_directory.path());
		let made = compute_segments(&own, host(), 2..3, |_, _, leaf| leaf).await;
		prepare(&own).await;
		drop(own);
		chain.with(|state| (state.commitments, state.claims) = (made, [others, std::slice::from_ref(&claim)].concat()));
		chain.block(121);
		let rig = Rig::start(&chain, _directory.path(), Options::default()).await;
		Self { chain, rig, claim, block: 121, seen: 0, _directory }
	}

	/// Waits for the worker's next turn, and gives it to the referee.
	async fn workers(&mut self) -> (Turn, Option<DisputeVerdict>) {
		let all = || self.chain.with(|state| state.messages.clone());
		eventually(async || all().len() > self.seen).await;
		let CheckMessage::Play(play) = all()[self.seen].clone() else { panic!("a turn is wanted") };
		self.seen += 1;
		let verdict = referee(&mut self.claim, &play);
		(play.turn, verdict)
	}

	/// Gives the dishonest party's next turn to the referee.
	fn liars(&mut self, turn: Option<Turn>) -> Option<DisputeVerdict> {
		let (game, turn) = (self.claim.games[0].clone(), turn.unwrap());
		let (number, refuter) = (game.number, game.refuter);
		let play = Play { player: LIAR, claim: self.claim.id, refuter, number, turn };
		referee(&mut self.claim, &play)
	}

	/// Waits until the worker closed a claim or a game. Returns which one, and at which block.
	async fn closed(&self) -> (u32, Option<AccountId>, u32) {
		eventually(async || self.chain.with(|state| !state.closed.is_empty())).await;
		self.chain.with(|state| state.closed[0])
	}

	/// Makes a block with the present state of the claim.
	async fn next(&mut self) {
		self.block += 1;
		self.chain.with(|state| state.claims = vec![self.claim.clone()]);
		self.rig.block(self.block).await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_accusation_is_refuted_wherever_its_trace_is_false() {
	let row = |tensor, row| Place::Row { layer: 1, tensor, row };
	for places in [
		vec![Place::Output],
		vec![Place::Embedded { token: 3 }, Place::Output],
		vec![row(Tensor::Scores, 9), Place::Output],
		vec![row(Tensor::V, 40), row(Tensor::Hidden, 2), Place::Output],
		vec![row(Tensor::Output, 15), Place::Output],
	] {
		let liar = lie(&places);
		let mut court = Court::open(accusation(LIAR, &liar), async |_| {}).await;
		assert!(matches!(court.workers().await, (Turn::Pick(_), None)));
		let turn = claimants_turn(&liar, &court.claim, &court.claim.games[0]);
		assert!(court.liars(turn).is_none());
		court.next().await;
		assert!(matches!(court.workers().await, (Turn::Pick(_), None)));
		let turn = claimants_turn(&liar, &court.claim, &court.claim.games[0]);
		assert!(court.liars(turn).is_none());
		court.next().await;
		let (turn, verdict) = court.workers().await;
		assert_eq!(verdict, Some(DisputeVerdict::ClaimantLied), "{places:?}: {turn:?}");
		assert!(court.chain.with(|state| state.closed.is_empty()));
		court.rig.stop().await;
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_true_accusation_is_not_refuted_and_any_host_closes_it() {
	let claim = accusation([5; 32], &right());
	let output: Vec<u8> = right().output().iter().map(|value| *value as u8).collect();
	assert!(bind_output(&Layout::new(SprintFormat::Nano), &claim.frontier, &output, &right().output_path()));
	let mut court = Court::open(claim, async |_| {}).await;
	while court.block < 133 {
		court.next().await;
	}
	court.chain.step_finished(|reads| reads.claims).await;
	court.next().await;
	assert_eq!(court.closed().await, (9, None, 134));
	assert_eq!(court.chain.with(|state| state.messages.len()), 0);
	court.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_turns_end_games_and_claims() {
	// The worker refutes, and the accuser misses its turn.
	let mut court = Court::open(accusation(LIAR, &lie(&[Place::Output])), async |_| {}).await;
	court.workers().await;
	while court.block < 140 {
		court.next().await;
	}
	court.chain.step_finished(|reads| reads.claims).await;
	court.next().await;
	assert_eq!(court.closed().await, (9, Some(host()), 141));
	court.rig.stop().await;

	// The worker accuses, and no host refutes.
	let mut court = Court::open(accusation(host(), &right()), async |_| {}).await;
	while court.block < 131 {
		court.next().await;
	}
	assert_eq!(court.closed().await, (9, None, 131));
	assert_eq!(court.chain.with(|state| state.messages.len()), 0);
	court.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refutation_waits_for_the_draw_of_refuters() {
	let claim = ClaimView { appointed: None, ..accusation(LIAR, &lie(&[Place::Output])) };
	let mut court = Court::open(claim, async |_| {}).await;
	court.next().await;
	court.chain.step_finished(|reads| reads.claims).await;
	assert_eq!(court.chain.with(|state| state.messages.len()), 0);
	court.claim.appointed = Some(vec![[3; 32]]);
	court.next().await;
	assert!(matches!(court.workers().await, (Turn::Pick(_), None)));
	court.rig.stop().await;
}

/// An accuser that floods workers with accusations does not keep an appointed refuter from the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn accusations_that_the_worker_is_appointed_for_come_first() {
	let liar = lie(&[Place::Output]);
	let other = |id| ClaimView { id, ..accusation([id as u8; 32], &liar) };
	let others: Vec<_> = (100..140).map(other).collect();
	let claim = ClaimView { appointed: Some(vec![[3; 32], host()]), ..accusation(LIAR, &liar) };
	let mut court = Court::open_among(&others, claim, async |_| {}).await;
	// The referee checks that this is a turn in the claim after all others.
	assert!(matches!(court.workers().await, (Turn::Pick(_), None)));
	let all: Vec<_> = others.iter().chain([&court.claim]).cloned().collect();
	court.chain.with(|state| state.claims = all);
	eventually(async || {
		court.chain.announce_again();
		court.chain.with(|state| state.messages.len()) > others.len()
	})
	.await;
	court.rig.stop().await;
}

/// The sprint's thread takes no jobs while it computes a confirmation segment, which may last longer than the term. Here it
/// lasts until the test ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_does_not_hold_a_refutation_up() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let own = store(directory.path());
	let made = compute_segments(&own, host(), 2..3, |_, _, leaf| leaf).await;
	drop(own);
	chain.with(|state| (state.commitments, state.calls) = (made, vec![45]));
	chain.block(145);
	let expand = Box::new(Reference { threads: 1 }) as Box<_>;
	let options = Options { sprint: Some((expand, Pace::new(Some(1.0)))), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	eventually(async || rig.store.read(|tx| sprint::segment(tx, 5, 5)).unwrap().is_some()).await;
	let claim = ClaimView { until: 160, ..accusation(LIAR, &lie(&[Place::Output])) };
	chain.with(|state| state.claims = vec![claim]);
	let refuted = eventually(async || {
		chain.announce_again();
		chain.with(|state| !state.messages.is_empty())
	});
	// The thread's queue would keep the refutation waiting for 600 s.
	tokio::time::timeout(Duration::from_secs(300), refuted).await.expect("no wait for the sprint's thread");
	let first = chain.with(|state| state.messages[0].clone());
	assert!(matches!(first, CheckMessage::Play(Play { claim: 9, number: 0, turn: Turn::Pick(_), .. })));
	rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_plays_many_games_begins_no_other_unless_it_is_accused() {
	let liar = lie(&[Place::Output]);
	let appointed = |id| ClaimView { id, appointed: Some(vec![host()]), ..accusation(LIAR, &liar) };
	let played = |id| ClaimView { games: vec![new_game(host(), Stage::Children)], ..appointed(id) };
	let waiting: Vec<_> = (200..240).map(appointed).collect();
	let others: Vec<_> = (100..164).map(played).chain(waiting.clone()).collect();
	let claim = ClaimView { host: host(), ..accusation(LIAR, &liar) };
	let mut court = Court::open_among(&others, claim, async |_| {}).await;
	// The referee checks that this is a turn in the claim against the worker's host.
	assert!(matches!(court.workers().await, (Turn::Pick(_), None)));
	court.chain.step_finished(|reads| reads.claims).await;
	assert_eq!(court.chain.with(|state| state.messages.len()), 1);
	// The games are over.
	court.chain.with(|state| state.claims = waiting);
	eventually(async || {
		court.chain.announce_again();
		court.chain.with(|state| state.messages.len()) == 41
	})
	.await;
	court.rig.stop().await;
}

/// Returns the worker's set 3: four leaves of segment 2 with their positions. The disputed leaf is the third one.
fn set() -> (Vec<u64>, StoredSet) {
	let (model, positions) = (model(), vec![1, 3, 7, 30]);
	let leaves = positions.iter().map(|index| {
		let id = LeafId { index: *index, ..id() };
		let digest = model.digest_at(&id.tokens(&seed_of(2), SprintFormat::Nano), LAYER).unwrap();
		StoredLeaf { lane: lane().1, digest }
	});
	(positions.clone(), StoredSet { beacon: BEACON, leaves: leaves.collect() })
}

/// Returns the one lane of the checked host.
fn lane() -> (gonka_sprint::Commitment, gonka_sprint::LaneProof) {
	let lane = gonka_sprint::LaneCommitment { lane: 0, count: 40, root: [8; 32] };
	let lanes = gonka_sprint::Lanes::new(&[lane]).unwrap();
	(lanes.commitment(), lanes.proof(0).unwrap())
}

fn challenge(claimant: AccountId, refuter: AccountId) -> ClaimView {
	let subject = SubjectView::Challenge {
		round: 0,
		set: 3,
		layer: LAYER,
		leaves: set().0.into_iter().map(|position| (2, position)).collect(),
		commitments: vec![(2, lane().0)],
		digests: Vec::new(),
		number: None,
	};
	let games = vec![new_game(refuter, Stage::Digests)];
	ClaimView { subject, leaf: None, frontier: Vec::new(), games, ..accusation(claimant, &right()) }
}

async fn put_set(own: &gonka_worker::store::Store) {
	let put = own.write(Durability::Now, |tx| check::put_set(tx, (5, 0), &id().host, 3, &set().1));
	put.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_tag_is_refuted() {
	let liar = lie(&[Place::Row { layer: LAYER, tensor: Tensor::Output, row: 4 }]);
	let mut court = Court::open(challenge(LIAR, host()), put_set).await;
	let mut digests = set().1.digests();
	digests[2] = liar.digest(LAYER).unwrap();
	assert!(court.liars(Some(Turn::Digests(digests))).is_none());
	let mut verdict = None;
	while verdict.is_none() {
		court.next().await;
		let (turn, outcome) = court.workers().await;
		verdict = outcome;
		if let Turn::Leaf { number, .. } = turn {
			assert_eq!(number, 2);
		}
		if verdict.is_none() {
			let turn = claimants_turn(&liar, &court.claim, &court.claim.games[0]);
			assert!(court.liars(turn).is_none());
		}
	}
	assert_eq!((verdict, court.seen), (Some(DisputeVerdict::ClaimantLied), 4));
	court.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_tag_is_defended_against_any_refuter() {
	let mut court = Court::open(challenge(host(), LIAR), put_set).await;
	let (turn, _) = court.workers().await;
	assert_eq!(turn, Turn::Digests(set().1.digests()));
	assert!(court.liars(Some(Turn::Leaf { number: 2, lane: lane().1 })).is_none());
	court.next().await;
	assert!(matches!(court.workers().await, (Turn::Trace { .. }, None)));
	// An honest refuter has no difference to pick.
	assert_eq!(refuters_turn(&right(), &court.claim, &court.claim.games[0], false), None);
	assert!(court.liars(Some(Turn::Pick(1))).is_none());
	court.next().await;
	assert!(matches!(court.workers().await, (Turn::Children(_), None)));
	assert!(court.liars(Some(Turn::Pick(0))).is_none());
	court.next().await;
	assert!(matches!(court.workers().await, (Turn::Block(_), None)));
	let index = index(&Layout::new(SprintFormat::Nano), &court.claim.games[0]);
	let inputs = evidence(&right(), index, 0).unwrap();
	let verdict = court.liars(Some(Turn::Value { coordinate: 0, inputs }));
	assert_eq!(verdict, Some(DisputeVerdict::RefuterLied));
	court.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_accuser_loses() {
	let liar = gonka_hostile::bend(&right()).unwrap();
	let mut court = Court::open(accusation(LIAR, &liar), async |_| {}).await;
	let mut verdict = None;
	while verdict.is_none() {
		verdict = court.workers().await.1;
		if verdict.is_none() {
			let turn = claimants_turn(&liar, &court.claim, &court.claim.games[0]);
			assert!(court.liars(turn).is_none());
			court.next().await;
		}
	}
	assert_eq!(verdict, Some(DisputeVerdict::ClaimantLied));
	court.rig.stop().await;
}
