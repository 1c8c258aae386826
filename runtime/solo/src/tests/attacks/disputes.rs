//! Attacks on disputes: on their places, their terms and their queue.

use super::*;
use crate::tests::chain::{blocks, run};
use gonka_primitives::{
	check::{Accusation, Offence, Play, Stage, Turn},
	epoch::{REFUTER_DRAW, Schedule},
	hashing::{blake2_256, domain, signing_payload},
	traits::Beacon,
	validity::SprintCheck as ValidityError,
	views::{ClaimView, GameView},
};
use gonka_sprint::{
	LaneCommitment, Lanes, Layout, LeafId, MerkleTree, Model, ModelSeed, SegmentSeed, SprintFormat, Trace,
	committee::{APPOINTED, appoint},
	dispute::{evidence, find_coordinate, first_difference},
};
use pallet_poc::{Candidates, CurrentEpoch, EpochWeights, LastWeighed, Standing, Standings, WeighedEpochs};
use sp_core::{Pair, sr25519};
use sp_runtime::transaction_validity::InvalidTransaction;

/// The epoch of all disputes.
const EPOCH: u32 = 1;
const SCHEDULE: Schedule = Schedule::FAST;
const NANO: SprintFormat = SprintFormat::Nano;
/// Honest hosts of equal weight: more than are appointed if all are.
const HONEST: core::ops::Range<u32> = 0..40;
/// The victim of false accusations, one of the honest hosts.
const VICTIM: u32 = 0;
/// The attacker's identities. They take part with next to no weight.
const SYBILS: core::ops::Range<u32> = 100..190;
/// The accuser in most tests.
const ACCUSER: u32 = 100;
/// Open places of an accusation.
const OPEN: u32 = 16;

fn key(host: u32) -> sr25519::Pair {
	sr25519::Pair::from_seed(&blake2_256(&[b"host", &host.to_le_bytes()]))
}

fn account(host: u32) -> AccountId {
	key(host).public().into()
}

fn raw(host: u32) -> [u8; 32] {
	account(host).into()
}

/// Runs `test` in epoch 1 after its draw. The last epoch gave 1,000 leaves to each honest host and `sybil` to each of the
/// attacker's identities.
fn court(sybil: u64, test: impl FnOnce()) {
	run(|| {
		blocks(1);
		start_epoch();
		blocks(SCHEDULE.length);
		start_epoch();
		let weights: Vec<_> = HONEST.map(|host| (host, 1_000)).chain(SYBILS.map(|host| (host, sybil))).collect();
		for (participant, (host, weight)) in (0..).zip(&weights) {
			let account = account(*host);
			let registered = pallet_poc::Host {
				worker: key(*host).public().0,
				url: Default::default(),
				models: Default::default(),
				registered: EPOCH,
				..Default::default()
			};
			pallet_poc::Workers::<Runtime>::insert(registered.worker, &account);
			pallet_poc::Hosts::<Runtime>::insert(&account, registered);
			let standing = Standing { participant, ..Default::default() };
			Standings::<Runtime>::insert(EPOCH, &account, standing);
			Standings::<Runtime>::insert(0, &account, Standing::of_weight(participant, *weight));
			pallet_poc::Participants::<Runtime>::insert(EPOCH, participant, &account);
			commit(*host, [7; 32]);
		}
		let total = weights.iter().map(|(_, weight)| weight).sum();
		let hosts = weights.len() as u32;
		pallet_poc::KnownCount::<Runtime>::insert(EPOCH, hosts);
		WeighedEpochs::<Runtime>::insert(0, EpochWeights::of_total(total, hosts));
		LastWeighed::<Runtime>::put(0);
		let candidates: Vec<_> = HONEST.map(|host| (account(host), 1_000)).collect();
		Candidates::<Runtime>::put(frame_support::BoundedVec::truncate_from(candidates));
		go_to(SCHEDULE.draw());
		test();
	});
}

/// Gives the running epoch the times and the format of these tests, with any runtime.
fn start_epoch() {
	CurrentEpoch::<Runtime>::mutate(|epoch| {
		let epoch = epoch.as_mut().unwrap();
		(epoch.schedule, epoch.format) = (SCHEDULE, NANO);
	});
}

/// Runs blocks up to `offset` of the epoch.
fn go_to(offset: BlockNumber) {
	let epoch = Poc::epoch_of(EPOCH).unwrap();
	blocks(epoch.start + offset - System::block_number());
}

fn leaf_id(host: u32) -> LeafId {
	LeafId { host: raw(host), epoch: EPOCH, segment: 0, lane: 0, index: 0 }
}

/// The lane of a host's only leaf.
fn lanes(leaf: [u8; 32]) -> (Lanes, MerkleTree) {
	let tree = MerkleTree::new(vec![leaf]);
	(Lanes::new(&[LaneCommitment { lane: 0, count: 1, root: tree.root() }]).unwrap(), tree)
}

/// A host commits to one leaf in its first segment.
fn commit(host: u32, leaf: [u8; 32]) {
	let all = vec![(0, lanes(leaf).0.commitment())];
	pallet_poc::Commitments::<Runtime>::insert(EPOCH, account(host), frame_support::BoundedVec::truncate_from(all));
}

/// The right computation of a host's leaf.
fn right(host: u32) -> Trace {
	let epoch = Poc::epoch_of(EPOCH).unwrap();
	let model = Model::new(&ModelSeed(epoch.model_seed), NANO);
	Trace::new(&model, &leaf_id(host).tokens(&SegmentSeed(epoch.segment_seeds[0]), NANO)).unwrap()
}

/// A computation with a wrong output.
fn lie(right: &Trace) -> Trace {
	let mut blocks = right.blocks().to_vec();
	let output = blocks.last_mut().unwrap();
	output[0] = if output[0] == 3 { 4 } else { 3 };
	Trace::from_blocks(NANO, blocks).unwrap()
}

fn sign(host: u32, domain: &[u8], body: &impl codec::Encode) -> gonka_primitives::Signature {
	key(host).sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

type Sent = Result<(), TransactionValidityError>;

fn sent(call: impl Into<RuntimeCall>) -> Sent {
	send(call).map(|result| result.map(drop).unwrap())
}

fn rejected(error: ValidityError) -> Sent {
	Err(InvalidTransaction::Custom(error.into()).into())
}

/// `accuser` accuses `host`, which committed to `leaf`.
fn accuse(accuser: u32, host: u32, leaf: [u8; 32], trace: &Trace) -> Sent {
	let (lanes, tree) = lanes(leaf);
	let opening = gonka_sprint::LeafOpening { lane: lanes.proof(0).unwrap(), leaf, path: tree.proof(0).unwrap() };
	let accusation = Accusation {
		accuser: raw(accuser),
		epoch: EPOCH,
		host: raw(host),
		segment: 0,
		position: 0,
		opening,
		output: trace.output().iter().map(|value| *value as u8).collect(),
		frontier: trace.frontier().to_vec(),
		path: trace.output_path(),
	};
	let signature = sign(accuser, domain::ACCUSATION, &accusation);
	sent(pallet_sprint_check::Call::accuse { accusation, signature })
}

/// The accuser accuses the victim of a leaf that is right. Returns the right trace and the accuser's.
fn accuse_falsely() -> (Trace, Trace) {
	let right = right(VICTIM);
	let lie = lie(&right);
	let leaf = leaf_id(VICTIM).hash(right.output());
	commit(VICTIM, leaf);
	accuse(ACCUSER, VICTIM, leaf, &lie).unwrap();
	(right, lie)
}

fn play_in(claim: u32, player: u32, refuter: u32, number: u8, turn: Turn) -> Sent {
	let play = Play { player: raw(player), claim, refuter: raw(refuter), number, turn };
	let signature = sign(player, domain::PLAY, &play);
	sent(pallet_sprint_check::Call::play { play, signature })
}

fn play(player: u32, refuter: u32, number: u8, turn: Turn) -> Sent {
	play_in(0, player, refuter, number, turn)
}

fn begin(claim: u32, refuter: u32) -> Sent {
	play_in(claim, refuter, refuter, 0, Turn::Pick(0))
}

fn close(refuter: Option<u32>) -> Sent {
	sent(pallet_sprint_check::Call::close { claim: 0, refuter: refuter.map(account) })
}

fn claim(id: u32) -> Option<ClaimView> {
	SprintCheck::claim_views().into_iter().find(|claim| claim.id == id)
}

fn game_of(refuter: u32) -> Option<GameView> {
	claim(0)?.games.into_iter().find(|game| game.refuter == raw(refuter))
}

/// The honest hosts, or others among `of`, that are appointed to the claim.
fn appointed(of: core::ops::Range<u32>) -> Vec<u32> {
	let appointed = claim(0).unwrap().appointed.unwrap();
	of.filter(|host| appointed.contains(&raw(*host))).collect()
}

/// The turn that the game of `refuter` waits for, from the player's trace; an arbitrary one where it has none.
fn next_turn(refuter: u32, trace: &Trace) -> Turn {
	let (claim, game, layout) = (claim(0).unwrap(), game_of(refuter), Layout::new(NANO));
	let Some(game) = game else {
		return Turn::Pick(first_difference(trace, &claim.frontier, 0, 0).unwrap_or(0) as u8);
	};
	let picked = game.picked.map_or(0, u32::from);
	let block = || layout.child_index(1, picked, game.block.unwrap().into()).unwrap();
	match game.stage {
		Stage::Children => Turn::Children(trace.children(1, picked).unwrap().to_vec()),
		Stage::Block => Turn::Pick(first_difference(trace, &game.children, 1, picked).unwrap_or(0) as u8),
		Stage::Bytes => Turn::Block(trace.block(block()).unwrap().to_vec()),
		Stage::Value => {
			let coordinate = find_coordinate(trace, block(), &game.bytes).unwrap_or(0);
			Turn::Value { coordinate, inputs: evidence(trace, block(), coordinate).unwrap() }
		},
		stage => panic!("{stage:?}"),
	}
}

/// Takes the next turn in the game of `refuter`.
fn step(refuter: u32, claimants: &Trace, refuters: &Trace) {
	let game = game_of(refuter);
	let number = game.as_ref().map_or(0, |game| game.number);
	match game {
		Some(game) if game.stage.is_claimants() => {
			play(ACCUSER, refuter, number, next_turn(refuter, claimants)).unwrap();
		},
		_ => play(refuter, refuter, number, next_turn(refuter, refuters)).unwrap(),
	}
}

fn offence(host: u32) -> Option<Offence> {
	Poc::offence(EPOCH, &account(host))
}

/// The accuser's own identities take all open places in the first block and let their turns pass. Before, nobody could
/// refute then, and the honest host was convicted.
#[test]
fn a_false_accusers_silent_refuters_do_not_keep_out_an_appointed_one() {
	court(1, || {
		let (right, lie) = accuse_falsely();
		blocks(REFUTER_DRAW);
		let own: Vec<u32> = SYBILS.skip(1).take(OPEN as usize).collect();
		for refuter in &own {
			step(*refuter, &lie, &right);
			step(*refuter, &lie, &right);
		}
		let refuters = appointed(HONEST);
		let outsider = HONEST.skip(1).find(|host| !refuters.contains(host)).unwrap();
		assert_eq!(begin(0, outsider), rejected(ValidityError::TooManyGames));
		// All but one appointed refuter are offline, and it comes as late as it can.
		let last = *refuters.last().unwrap();
		blocks(claim(0).unwrap().until - 1 - System::block_number());
		for _ in 0..5 {
			assert!(claim(0).is_some());
			step(last, &lie, &right);
		}
		assert!(claim(0).is_none());
		assert_eq!((offence(ACCUSER), offence(VICTIM)), (Some(Offence::FalseAccusation), None));
		assert!(own.iter().all(|refuter| offence(*refuter).is_none()));
	});
}

/// A refuter that misses its turn frees its place for another host, and comes back neither to this dispute nor to an
/// open place of another one.
#[test]
fn a_silent_refuter_keeps_no_place() {
	court(1, || {
		let (right, lie) = accuse_falsely();
		// A second accusation, of a fabricator.
		let fabricator = 1;
		accuse(ACCUSER + 80, fabricator, [7; 32], &self::right(fabricator)).unwrap();
		blocks(REFUTER_DRAW);
		let own: Vec<u32> = SYBILS.skip(1).take(OPEN as usize).collect();
		for refuter in &own {
			step(*refuter, &lie, &right);
			step(*refuter, &lie, &right);
		}
		blocks(SCHEDULE.turn + 1);
		for refuter in &own {
			close(Some(*refuter)).unwrap();
			assert_eq!(begin(0, *refuter), rejected(ValidityError::NoStake));
			assert_eq!(begin(1, *refuter), rejected(ValidityError::NoStake));
			let trace = self::right(2);
			assert_eq!(accuse(*refuter, 2, [7; 32], &trace), rejected(ValidityError::NoStake));
		}
		let outsider = HONEST.skip(1).find(|host| !appointed(HONEST).contains(host)).unwrap();
		for _ in 0..5 {
			step(outsider, &lie, &right);
		}
		assert_eq!((offence(ACCUSER), offence(VICTIM)), (Some(Offence::FalseAccusation), None));
	});
}

/// The draw comes two blocks after the accusation, from the beacon there, and no earlier turn counts. Nothing of the
/// accusation enters the draw.
#[test]
fn an_accuser_does_not_know_its_refuters() {
	court(1, || {
		let (right, _) = accuse_falsely();
		for _ in 0..REFUTER_DRAW {
			assert_eq!(claim(0).unwrap().appointed, None);
			let first = next_turn(VICTIM, &right);
			for refuter in [VICTIM, 1, ACCUSER + 1] {
				assert_eq!(play(refuter, refuter, 0, first.clone()), rejected(ValidityError::TooEarly));
			}
			assert_eq!(close(None), rejected(ValidityError::TooEarly));
			blocks(1);
		}
		let (checkers, weights): (Vec<_>, Vec<_>) = pallet_poc::Checkers::<Runtime>::get(EPOCH).into_iter().unzip();
		assert_eq!(checkers.len(), HONEST.len());
		let beacon = <Runtime as pallet_poc::Config>::Beacon::randomness();
		let victim = checkers.iter().position(|checker| *checker == account(VICTIM)).unwrap() as u32;
		let drawn = appoint(&beacon, &weights, &[victim]);
		let drawn: Vec<[u8; 32]> = drawn.into_iter().map(|at| checkers[at as usize].clone().into()).collect();
		assert!(drawn.len() > 12 && drawn.len() <= APPOINTED as usize);
		assert_eq!(claim(0).unwrap().appointed, Some(drawn));
		assert_eq!(claim(0).unwrap().until, System::block_number() + 2 * SCHEDULE.turn);
	});
}

/// All identities of a fabricator, and an appointed refuter that it owns, begin in the last block of the term, take each
/// turn in the last block that may carry it, and stop before they would be convicted.
#[test]
fn a_guilty_hosts_own_refuters_do_not_drag_an_accusation_on() {
	court(1, || {
		let (fabricator, accuser) = (1, ACCUSER);
		let right = right(fabricator);
		let story = lie(&right);
		go_to(SCHEDULE.length - 1);
		accuse(accuser, fabricator, [7; 32], &right).unwrap();
		blocks(REFUTER_DRAW);
		let until = claim(0).unwrap().until;
		let mut own: Vec<u32> = SYBILS.skip(1).take(OPEN as usize).collect();
		own.extend(appointed(HONEST).last());
		own.push(fabricator);
		blocks(until - 1 - System::block_number());
		for refuter in &own {
			step(*refuter, &right, &story);
			step(*refuter, &right, &story);
		}
		blocks(1);
		assert_eq!(begin(0, 2), rejected(ValidityError::TooLate));
		assert_eq!(close(None), rejected(ValidityError::TooEarly), "games are going on");
		blocks(game_of(own[0]).unwrap().deadline - 1 - System::block_number());
		for refuter in &own {
			step(*refuter, &right, &story);
			step(*refuter, &right, &story);
		}
		blocks(game_of(own[0]).unwrap().deadline + 1 - System::block_number());
		for refuter in &own {
			assert_eq!(play(*refuter, *refuter, 4, next_turn(*refuter, &story)), rejected(ValidityError::TooLate));
			close(Some(*refuter)).unwrap();
		}
		close(None).unwrap();
		assert_eq!(offence(fabricator), Some(Offence::Fabrication));
		let next = Poc::running_epoch().unwrap();
		assert_eq!(next.index, EPOCH + 1);
		assert!(next.offset(System::block_number()) < SCHEDULE.weigh_start(), "before the epoch is paid");
	});
}

/// The attacker's identities fill the queue with true accusations of one another, and begin a refutation of each, so
/// that none can be closed.
fn jam() -> Vec<(u32, u32)> {
	let accused: Vec<u32> = SYBILS.skip(70).take(4).collect();
	let traces: Vec<Trace> = accused.iter().map(|host| right(*host)).collect();
	let (fifth, mut claims) = (right(2), Vec::new());
	for accuser in SYBILS.take(64) {
		for (host, trace) in accused.iter().zip(&traces) {
			accuse(accuser, *host, [7; 32], trace).unwrap();
			claims.push((accuser, *host));
		}
		assert_eq!(accuse(accuser, 2, [7; 32], &fifth), rejected(ValidityError::TooManyClaims), "its quota");
	}
	claims
}

/// Before, nobody could accuse while the attacker's claims were open.
#[test]
fn true_accusations_of_ones_own_identities_do_not_jam_the_queue() {
	court(1, || {
		let (fabricator, honest, newcomer) = (1, 2, SYBILS.end - 1);
		let claims = jam();
		let open = SprintCheck::claim_views();
		assert_eq!(open.len(), claims.len());
		let trace = right(fabricator);
		assert_eq!(accuse(newcomer, fabricator, [7; 32], &trace), rejected(ValidityError::TooManyClaims), "as light");
		// A refuter of their own does not save them.
		blocks(REFUTER_DRAW);
		let newest = *claims.last().unwrap();
		begin(open.last().unwrap().id, newcomer).unwrap();
		accuse(honest, fabricator, [7; 32], &trace).unwrap();
		let now = SprintCheck::claim_views();
		assert_eq!(now.len(), claims.len());
		assert!(now.iter().any(|claim| claim.claimant == raw(honest)));
		let is_newest = |claim: &ClaimView| claim.claimant == raw(newest.0) && claim.host == raw(newest.1);
		assert!(!now.iter().any(is_newest), "the lightest gave way");
		let dropped = pallet_sprint_check::Event::<Runtime>::ClaimDropped { claim: open.last().unwrap().id };
		assert!(System::read_events_no_consensus().any(|record| record.event == dropped.clone().into()));
		// Its opener lost nothing but the place, and may try again.
		assert_eq!(
			accuse(newest.0, newest.1, [7; 32], &right(newest.1)),
			rejected(ValidityError::TooManyClaims),
			"not used, but as light as the others"
		);
		blocks(2 * SCHEDULE.turn + 2 + REFUTER_DRAW);
		assert_eq!(offence(fabricator), None);
		let id = now.iter().find(|claim| claim.claimant == raw(honest)).unwrap().id;
		sent(pallet_sprint_check::Call::close { claim: id, refuter: None }).unwrap();
		assert_eq!(offence(fabricator), Some(Offence::Fabrication));
		accuse(newest.0, newest.1, [7; 32], &right(newest.1)).unwrap();
	});
}

/// In the first epoch all weigh nothing, so nobody's claim gives way.
#[test]
fn equal_weights_give_no_way() {
	court(1_000, || {
		jam();
		let trace = right(1);
		assert_eq!(accuse(2, 1, [7; 32], &trace), rejected(ValidityError::TooManyClaims));
		LastWeighed::<Runtime>::kill();
		assert_eq!(accuse(2, 1, [7; 32], &trace), rejected(ValidityError::TooManyClaims));
	});
}
