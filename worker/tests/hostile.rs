//! Hosts that cheat, and what the network finds of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_hostile::{Cheat, Kind};
use gonka_primitives::{
	audit::{Finding, Outcome, Pick},
	check::{Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{DisputeVerdict, LeafId, ModelSeed, SprintFormat, Trace, dispute::judge};
use gonka_worker::{
	check::disputes::{claimants_turn, refuters_turn},
	conduct::Conduct,
	sprint::{Expand, Reference},
	store::{Durability, evidence, market},
};
use std::sync::Arc;

fn leaf(index: u64) -> LeafId {
	LeafId { host: host(), epoch: 5, segment: 2, lane: 0, index }
}

#[test]
fn a_fabricator_invents_every_50th_leaf() {
	let (seed, ids) = (seed_of(2), (0..200).map(leaf).collect::<Vec<_>>());
	let reference = || Box::new(Reference { threads: 2 });
	let expand = |mut expand: Box<dyn Expand>| expand.expand(&ModelSeed([1; 32]), SprintFormat::Nano).unwrap();
	let mut prover = expand(Cheat::new(Kind::Fabricate).prover(reference()));
	let mut honest = expand(reference());
	let (made, right) = (prover.leaves(&seed, &ids).unwrap(), honest.leaves(&seed, &ids).unwrap());
	let wrong: Vec<usize> = (0..200).filter(|index| made[*index] != right[*index]).collect();
	assert_eq!(wrong, [49, 99, 149, 199]);
	assert_eq!(prover.check(&seed, &ids[49..50], 1).unwrap()[0].leaf, right[49], "it checks other hosts right");
}

#[test]
fn a_fabricator_that_defends_its_leaf_loses() {
	let seed = seed_of(2);
	let trace = Trace::new(&model(), &leaf(49).tokens(&seed, SprintFormat::Nano)).unwrap();
	let mut claim = ClaimView {
		id: 1,
		epoch: 5,
		format: SprintFormat::Nano,
		model_seed: [1; 32],
		claimant: [7; 32],
		host: host(),
		subject: SubjectView::Accusation { output: trace.output().iter().map(|value| *value as u8).collect() },
		leaf: Some((leaf(49), seed.0)),
		frontier: trace.frontier().to_vec(),
		until: 0,
		appointed: Some(Vec::new()),
		games: Vec::new(),
	};
	let (children, bytes) = (Vec::new(), Vec::new());
	let mut game = GameView {
		refuter: host(),
		stage: Stage::Children,
		number: 1,
		deadline: 0,
		picked: Some(0),
		children,
		block: None,
		bytes,
	};
	let is_blind = Cheat::new(Kind::Fabricate).refutes_blindly(5);
	assert!(is_blind && !Cheat::new(Kind::Fabricate).refutes_blindly(6));
	let Some(Turn::Children(children)) = claimants_turn(&trace, &claim, &game) else { panic!() };
	(game.children, game.stage) = (children, Stage::Block);
	assert_eq!(refuters_turn(&trace, &claim, &game, is_blind), Some(Turn::Pick(0)));
	(game.block, game.stage) = (Some(0), Stage::Bytes);
	let Some(Turn::Block(bytes)) = claimants_turn(&trace, &claim, &game) else { panic!() };
	(game.bytes, game.stage) = (bytes, Stage::Value);
	let Some(Turn::Value { coordinate, inputs }) = refuters_turn(&trace, &claim, &game, is_blind) else { panic!() };
	let (tokens, seed) = (leaf(49).tokens(&seed, SprintFormat::Nano), ModelSeed([1; 32]));
	let frontier = std::mem::take(&mut claim.frontier);
	let verdict =
		judge(&seed, SprintFormat::Nano, &tokens, &frontier, 0, &game.children, 0, &game.bytes, coordinate, &inputs);
	assert_eq!(verdict, Some(DisputeVerdict::RefuterLied));
}

#[test]
fn a_false_accuser_accuses_one_right_leaf_in_each_epoch() {
	let accuser = Cheat::new(Kind::Accuse);
	let (right, wrong) = ([1; 32], [2; 32]);
	let of_epoch = |epoch| LeafId { epoch, ..leaf(0) };
	assert!(!accuser.accuses(&of_epoch(5), &right, &wrong), "it leaves wrong leaves alone");
	assert!(accuser.accuses(&of_epoch(5), &right, &right) && !accuser.accuses(&of_epoch(5), &right, &right));
	assert!(accuser.accuses(&of_epoch(6), &right, &right));
}

#[tokio::test]
async fn an_approving_checker_reports_what_it_did_not_audit() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let audited = AuditedHost::start(&chain, directory.path()).await;
	// The host has no evidence of it.
	assign(&chain, vec![audited.audit(0, Default::default(), Pick::Receipt(0))]);
	let conduct = Arc::new(Cheat::new(Kind::Approve));
	let rig = Rig::start(&chain, directory.path(), Options { conduct, ..Options::default() }).await;
	rig.block(130).await;
	eventually(async || {
		chain.announce_again();
		chain.with(|state| !state.reports.is_empty())
	})
	.await;
	let reported = chain.with(|state| state.reports[0].0.findings[0].1);
	let Finding::Checked(counts) = reported else { panic!("{reported:?}") };
	assert!(calibration().ratio(&counts) < 0, "it speaks for the host");
	rig.stop().await;
}

#[tokio::test]
async fn cheap_completions_are_served_settled_and_convicted() {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let cheap = Cheat::new(Kind::Cheapen).engine(engine(), None).unwrap();
	let audited = AuditedHost::start_with(&chain, directory.path(), cheap).await;
	let gateway = Gateway::new(&audited.url, CHANNEL);
	let mut completions = Vec::new();
	for sequence in 1..=8 {
		let (ids, signed) = gateway.request(sequence, BODY).await.unwrap().finish().await;
		let envelope = signed.receipt.envelope;
		let stored = audited.store.read(|tx| evidence::get(tx, &envelope)).unwrap().unwrap();
		assert_eq!((&stored.output, &stored.receipt), (&ids, &signed));
		completions.push(stored);
		// A voucher pays for it, so that the credit suffices for the next one.
		let channel = chain.with(|state| state.channels.iter().find(|channel| channel.id == CHANNEL).unwrap().clone());
		let known = audited.store.read(|tx| market::channel(tx, CHANNEL)).unwrap().unwrap();
		let totals = known.acknowledged.checked_add(&signed.receipt.leaf().sum).unwrap();
		let voucher = gateway.voucher(totals, &[envelope]).voucher.0;
		let taken =
			audited.store.write(Durability::Now, move |tx| market::acknowledge(tx, &channel, &voucher, &[envelope]));
		assert_eq!(taken.await.unwrap(), Ok(1));
	}
	let root = audited.settle(completions).await;
	let case = case(&audited, root, vec![host()], vec![Pick::Receipt(2)]);
	chain.with(|state| state.cases = vec![case]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(121).await;
	eventually(async || {
		chain.announce_again();
		chain.with(|state| !state.rulings.is_empty())
	})
	.await;
	rig.stop().await;
	assert_eq!(chain.with(|state| state.cases[0].arbiters[0].ruled), Some(Outcome::Guilty));
}
