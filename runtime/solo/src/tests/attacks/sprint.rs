//! Attacks on the sprint and its checks; those on confirmation segments and pay are in `confirmations`.

mod confirmations;

use super::{super::chain::*, *};
use codec::Encode;
use gonka_primitives::{
	EpochIndex, Hash,
	check::{DigestCommitment, DigestReveal, Offence, OpeningAnswer, OpeningRequest, digest_hash},
	hashing::{domain, signing_payload},
	host::SegmentCommitment,
	traits::PaidWeights,
	validity::SprintCheck as Code,
	views::CheckView,
};
use gonka_runtime_common::Time;
use gonka_sprint::{
	LaneCommitment, Lanes, LeafOpening, MerkleTree, Tag,
	committee::{leaf_set, set_size},
};
use sp_core::{Pair, sr25519};
use sp_runtime::transaction_validity::InvalidTransaction;
use std::collections::BTreeMap;

const SCHEDULE: gonka_primitives::epoch::Schedule = Time::THIS.schedule;
/// The number of leaves that a host computes in a segment.
const LEAVES: u64 = 40;

/// A host, which is its own worker.
fn key(name: u8) -> sr25519::Pair {
	sr25519::Pair::from_seed(&[name; 32])
}

fn raw(name: u8) -> [u8; 32] {
	key(name).public().0
}

fn host(name: u8) -> AccountId {
	raw(name).into()
}

fn sign(name: u8, domain: &[u8], body: &impl Encode) -> [u8; 64] {
	key(name).sign(&signing_payload(domain, &Poc::genesis_hash(), body)).0
}

fn register(names: std::ops::RangeInclusive<u8>) {
	for name in names {
		let new = pallet_poc::Host {
			worker: raw(name),
			url: b"http://host:1".to_vec().try_into().unwrap(),
			models: Default::default(),
			..Default::default()
		};
		pallet_poc::Workers::<Runtime>::insert(raw(name), host(name));
		pallet_poc::Hosts::<Runtime>::insert(host(name), new);
	}
}

/// Goes to the block at `offset` of `epoch`. The pool validates for the block after it.
fn go_to(epoch: EpochIndex, offset: BlockNumber) {
	let block = 1 + epoch * SCHEDULE.length + offset;
	blocks(block - System::block_number());
}

fn rejected(code: Code) -> Result<DispatchResultWithPostInfo, TransactionValidityError> {
	Err(InvalidTransaction::Custom(code.into()).into())
}

/// The leaves of a segment that a host really has: `count` of them, all in one lane.
struct Segment {
	tree: MerkleTree,
	lanes: Lanes,
	leaves: Vec<Hash>,
}

impl Segment {
	fn new(name: u8, segment: u8, count: u64) -> Self {
		let leaves: Vec<Hash> = (0..count)
			.map(|index| gonka_primitives::hashing::blake2_256(&[&[name, segment], &index.to_le_bytes()]))
			.collect();
		let tree = MerkleTree::new(leaves.clone());
		let lanes = Lanes::new(&[LaneCommitment { lane: 0, count, root: tree.root() }]).unwrap();
		Self { tree, lanes, leaves }
	}

	fn open(&self, position: u64) -> LeafOpening {
		LeafOpening {
			lane: self.lanes.proof(0).unwrap(),
			leaf: self.leaves[position as usize],
			path: self.tree.proof(position).unwrap(),
		}
	}
}

/// A commitment to leaves that nobody computed.
fn made_up(count: u64) -> gonka_sprint::Commitment {
	gonka_sprint::Commitment { count, root: [9; 32] }
}

fn commit(name: u8, segment: u8, commitment: gonka_sprint::Commitment) {
	let epoch = Poc::running_epoch().unwrap().index;
	let commitment = SegmentCommitment { host: raw(name), epoch, segment, commitment };
	let signature = sign(name, domain::COMMITMENT, &commitment);
	send(pallet_poc::Call::commit { commitment, signature }).unwrap().unwrap();
}

/// Runs the sprint of `epoch` up to the draw. `claims` says what each host commits to in a segment.
fn sprint(epoch: EpochIndex, names: std::ops::RangeInclusive<u8>, claim: impl Fn(u8, u8) -> gonka_sprint::Commitment) {
	for segment in 0..SCHEDULE.segments {
		go_to(epoch, SCHEDULE.segment_end(segment));
		for name in names.clone() {
			commit(name, segment, claim(name, segment));
		}
	}
	go_to(epoch, SCHEDULE.draw());
}

fn honest(name: u8, segment: u8) -> gonka_sprint::Commitment {
	Segment::new(name, segment, LEAVES).lanes.commitment()
}

fn view(checker: u8) -> CheckView {
	SprintCheck::check_view(&host(checker)).unwrap()
}

/// The leaves of `of` that `checker` has to check.
fn assigned(checker: u8, of: u8) -> Vec<(u8, u64)> {
	let view = view(checker);
	let Some(duty) = view.duties.iter().find(|duty| duty.host == raw(of)) else { return Vec::new() };
	let counts: Vec<_> = duty.commitments.iter().map(|(segment, made)| (*segment, made.count)).collect();
	let leaves = |number: u8| leaf_set(&view.beacon, &raw(of), number.into(), &counts, set_size(view.round));
	duty.sets.iter().flat_map(|set| leaves(set.number)).collect()
}

/// A checker requests these openings, the first that a request has room for.
fn request(
	checker: u8,
	of: u8,
	mut positions: Vec<(u8, u64)>,
) -> Result<DispatchResultWithPostInfo, TransactionValidityError> {
	positions.sort_unstable();
	positions.dedup();
	positions.truncate(8);
	let now = Poc::running_epoch().unwrap();
	let (epoch, round) = (now.index, now.rounds());
	let request = OpeningRequest { checker: raw(checker), epoch, round, host: raw(of), positions };
	let signature = sign(checker, domain::OPENING_REQUEST, &request);
	send(pallet_sprint_check::Call::request_openings { request, signature })
}

/// A host that has its leaves answers all requests that it has not answered.
fn answer(name: u8) -> Vec<Result<DispatchResultWithPostInfo, TransactionValidityError>> {
	let open = SprintCheck::request_views(&host(name)).into_iter().filter(|request| request.openings.is_none());
	let send_answer = |request: gonka_primitives::views::RequestView| {
		let open = |(segment, position): &(u8, u64)| Segment::new(name, *segment, LEAVES).open(*position);
		let openings = request.positions.iter().map(open).collect();
		let (epoch, round) = (request.epoch, request.round);
		let answer = OpeningAnswer { host: raw(name), epoch, round, checker: request.checker, openings };
		let signature = sign(name, domain::OPENING_ANSWER, &answer);
		send(pallet_sprint_check::Call::answer_openings { answer, signature })
	};
	open.map(send_answer).collect()
}

/// Checkers commit to tags and reveal them: zeros for the sets of `unchecked`, right ones for all others.
fn check(checkers: std::ops::RangeInclusive<u8>, unchecked: &[u8]) {
	let now = Poc::running_epoch().unwrap();
	let (epoch, round) = (now.index, now.rounds());
	let tags: BTreeMap<u8, Vec<Tag>> = checkers
		.map(|checker| {
			let duties = view(checker).duties;
			let sets = duties.iter().flat_map(|duty| duty.sets.iter().map(|_| duty.host));
			let tag = |of| if unchecked.iter().any(|name| raw(*name) == of) { [0; 4] } else { [1; 4] };
			(checker, sets.map(tag).collect())
		})
		.collect();
	for (checker, tags) in &tags {
		let hash = digest_hash(&raw(*checker), epoch, round, tags);
		let commitment = DigestCommitment { checker: raw(*checker), epoch, round, hash };
		let signature = sign(*checker, domain::DIGEST, &commitment);
		send(pallet_sprint_check::Call::commit_digest { commitment, signature }).unwrap().unwrap();
	}
	go_to(epoch, now.draw_of(round).unwrap() + SCHEDULE.digest);
	for (checker, tags) in tags {
		let reveal = DigestReveal { checker: raw(checker), epoch, round, tags };
		let signature = sign(checker, domain::REVEAL, &reveal);
		send(pallet_sprint_check::Call::reveal { reveal, signature }).unwrap().unwrap();
	}
}

fn weight(name: u8) -> Option<u64> {
	let epoch = Poc::running_epoch().unwrap().index;
	Poc::standing_view(epoch, &host(name)).unwrap().compute_weight
}

/// Finding 1: made-up counts in four segments, a junk root of 2⁴⁰ leaves in the fifth, and no openings at all.
#[test]
fn a_sacrificed_segment_draws_no_samples_away_from_the_others() {
	for hosts in [2, 3, 12] {
		run(|| {
			register(1..=hosts);
			blocks(1);
			let cheat = |name, segment| match (name, segment) {
				(1, 4) => made_up(1 << 40),
				(1, _) => made_up(1_000_000),
				_ => honest(name, segment),
			};
			sprint(0, 1..=hosts, cheat);
			let mut checkers = 0;
			for checker in 2..=hosts {
				let leaves = assigned(checker, 1);
				let in_junk = leaves.iter().filter(|(segment, _)| *segment == 4).count();
				assert!(in_junk * 4 <= leaves.len(), "{in_junk} of {} samples are in the junk", leaves.len());
				// Nobody can show a made-up leaf, so each checker asks for the openings on chain.
				if !leaves.is_empty() {
					request(checker, 1, leaves).unwrap().unwrap();
					checkers += 1;
				}
			}
			assert!(checkers >= 1);
			go_to(0, SCHEDULE.work_start());
			assert_eq!(weight(1), Some(0), "of {hosts} hosts");
			assert_eq!(weight(2), Some(5 * LEAVES));
		});
	}
}

/// Finding 1: a host answers all checkers but the few that drew a fabricated leaf.
#[test]
fn withholding_openings_from_some_checkers_costs_more_than_it_hides() {
	run(|| {
		register(1..=12);
		blocks(1);
		sprint(0, 1..=12, honest);
		let asking: Vec<u8> = (3..=12).filter(|checker| !assigned(*checker, 1).is_empty()).collect();
		let size = asking.len() as u64;
		assert!(size >= 6, "{size}");
		for checker in &asking {
			request(*checker, 1, assigned(*checker, 1)).unwrap().unwrap();
		}
		let answered = answer(1);
		assert!(answered.iter().all(|sent| sent.is_ok()));
		assert_eq!(Poc::unanswered(0, 0, &host(1)), 0);
		// It does not answer the last checker.
		let other = (3..=12).find(|checker| !assigned(*checker, 2).is_empty()).unwrap();
		request(other, 2, assigned(other, 2)).unwrap().unwrap();
		go_to(0, SCHEDULE.work_start());
		assert_eq!(weight(1), Some(5 * LEAVES), "answered requests cost nothing");
		let left = weight(2).unwrap();
		assert!(left * 3 <= 5 * LEAVES * 2, "one checker without an answer costs a third: {left}");
	});
}

/// Finding 10: the author of the last block with commitments knows its own VRF output, and so the next block's beacon.
#[test]
fn the_last_committing_author_does_not_know_the_draw() {
	run(|| {
		register(1..=3);
		blocks(1);
		for segment in 0..SCHEDULE.segments {
			go_to(0, SCHEDULE.segment_end(segment));
			(1..=2).for_each(|name| commit(name, segment, honest(name, segment)));
		}
		let takes = |offset| SCHEDULE.takes_commitment(SCHEDULE.segments - 1, &[], offset);
		let last = (0..SCHEDULE.length).rfind(|offset| takes(*offset)).unwrap();
		go_to(0, last - 1);
		commit(3, SCHEDULE.segments - 1, honest(3, SCHEDULE.segments - 1));
		// The block after the last commitments takes none, and its author's output decides.
		go_to(0, last);
		let commitment = SegmentCommitment {
			host: raw(1),
			epoch: 0,
			segment: SCHEDULE.segments - 1,
			commitment: honest(1, SCHEDULE.segments - 1),
		};
		let signature = sign(1, domain::COMMITMENT, &commitment);
		let late = send(pallet_poc::Call::commit { commitment, signature });
		assert_eq!(late, Err(InvalidTransaction::Custom(pallet_poc::ValidityError::OutOfPhase.into()).into()));
		blocks(1);
		assert_eq!(Poc::running_epoch().unwrap().beacon, None);
		blocks(1);
		assert!(Poc::running_epoch().unwrap().beacon.is_some());
	});
}

/// Finding 10: an author's outputs are fixed long before its slots, so a seed must not follow from one of them alone.
#[test]
fn a_seed_does_not_follow_from_the_output_of_one_block() {
	let seed_after = |earlier: u64| {
		let mut seed = Hash::default();
		run(|| {
			pallet_poc::Mix::<Runtime>::put([earlier as u8; 32]);
			go_to(0, SCHEDULE.segment_start(0));
			seed = Poc::running_epoch().unwrap().segment_seeds[0];
		});
		seed
	};
	// The same blocks bring the same outputs.
	assert_eq!(seed_after(1), seed_after(1));
	assert_ne!(seed_after(1), seed_after(2), "what came before matters, too");
}

/// Finding 19: a host is silent until just before the term, and answers then. On the old times one block was left to
/// recompute, and the checker's tags of zeros counted as missed because the host had answered.
#[test]
fn a_host_that_answers_at_the_term_harms_no_honest_checker() {
	run(|| {
		register(1..=3);
		blocks(1);
		// The duties of a confirmation's round are not the matter here.
		pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.confirmations = 0);
		sprint(0, 1..=3, honest);
		let last_request = SCHEDULE.draw() + SCHEDULE.request - 1;
		go_to(0, last_request - 1);
		for checker in [2, 3] {
			request(checker, 1, assigned(checker, 1)).unwrap().unwrap();
		}
		assert_eq!(request(2, 1, assigned(2, 1)), rejected(Code::SlotUsed));
		let term = SprintCheck::request_views(&host(1))[0].deadline;
		blocks(term - 1 - System::block_number());
		let answers = answer(1);
		assert!(answers.len() == 2 && answers.iter().all(|sent| sent.is_ok()));
		let left = Poc::running_epoch().unwrap().start + SCHEDULE.reveal_start() - term;
		assert!(left > SCHEDULE.answer, "{left} blocks are left to recompute and to commit");
		// Checkers that were too slow all the same reveal zeros.
		check(1..=3, &[1]);
		for epoch in [0, 1] {
			go_to(epoch, SCHEDULE.weigh_start() + SCHEDULE.weigh);
			if epoch == 0 {
				assert!([2, 3].iter().all(|name| weight(*name) == Some(5 * LEAVES)));
			}
		}
		for checker in [2, 3] {
			let view = Poc::standing_view(0, &host(checker)).unwrap();
			assert_eq!((view.duties, view.unanswered), ((4, 4), 0), "its duties count as met");
			<Poc as PaidWeights<AccountId>>::on_turn(0, &host(checker));
		}
		let slashed = System::events()
			.into_iter()
			.any(|record| matches!(record.event, RuntimeEvent::Poc(pallet_poc::Event::DutiesMissed { .. })));
		assert!(!slashed);
	});
}

/// Finding 19: an answer after the term counts as none, and the host pays for it.
#[test]
fn an_answer_after_the_term_comes_too_late() {
	run(|| {
		register(1..=3);
		blocks(1);
		sprint(0, 1..=3, honest);
		request(2, 1, assigned(2, 1)).unwrap().unwrap();
		go_to(0, SCHEDULE.draw() + SCHEDULE.answer + 1);
		assert_eq!(answer(1), [rejected(Code::TooLate)]);
		check(1..=3, &[1]);
		go_to(0, SCHEDULE.work_start());
		assert_eq!(weight(1), Some(0));
		let met = |name| Poc::standing_view(0, &host(name)).unwrap().duties;
		assert_eq!((met(2), met(3)), ((4, 4), (4, 4)), "the one that asked and the one that did not");
	});
}

/// Finding 19, the other side: a lazy checker may not ask everybody instead of checking.
#[test]
fn a_lazy_checker_asks_a_limited_number_of_hosts_in_a_round() {
	run(|| {
		register(1..=3);
		blocks(1);
		sprint(0, 1..=3, honest);
		pallet_poc::Standings::<Runtime>::mutate(0, host(2), |standing| standing.as_mut().unwrap().asked = (0, 0, 255));
		assert_eq!(request(2, 1, assigned(2, 1)), rejected(Code::TooManyRequests));
	});
}

/// Finding 19: only duties for which a host revealed nothing at all cost collateral, and only from twenty on.
#[test]
fn tags_of_zeros_and_few_duties_cost_no_collateral() {
	run(|| {
		blocks(1);
		weigh(&[(sp_keyring::Sr25519Keyring::Alice, 100), (sp_keyring::Sr25519Keyring::Bob, 100)]);
		let alice = account(sp_keyring::Sr25519Keyring::Alice);
		Collateral::deposit(RuntimeOrigin::signed(alice.clone()), 1_000 * GNK).unwrap();
		let turn = |duties, audits| {
			pallet_poc::Standings::<Runtime>::mutate(0, &alice, |standing| {
				let standing = standing.as_mut().unwrap();
				(standing.duties, standing.audits) = (duties, audits);
			});
			<Poc as PaidWeights<AccountId>>::on_turn(0, &alice);
			Collateral::view(&alice).active
		};
		let sets = |due, revealed, met| pallet_poc::SetDuties { due, revealed, met };
		assert_eq!(turn(sets(1_000, 1_000, 0), (0, 0)), 1_000 * GNK, "zeros only");
		assert_eq!(turn(sets(18, 18, 18), (1, 0)), 1_000 * GNK, "one audit missed, of nineteen duties");
		assert_eq!(turn(sets(0, 0, 0), (2, 1)), 1_000 * GNK, "one ruling missed by a host of little traffic");
		assert_eq!(turn(sets(100, 90, 90), (0, 0)), 900 * GNK, "{:?}", Offence::MissedDuties);
	});
}
