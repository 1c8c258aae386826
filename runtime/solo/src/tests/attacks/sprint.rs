//! Attacks on the sprint, its checks and its confirmation segments.

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
fn a_lazy_checker_asks_at_most_24_hosts_in_a_round() {
	run(|| {
		register(1..=3);
		blocks(1);
		sprint(0, 1..=3, honest);
		pallet_poc::Standings::<Runtime>::mutate(0, host(2), |standing| standing.as_mut().unwrap().asked = (0, 24));
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

/// Gives hosts session keys, so that they can have power.
fn set_keys(names: std::ops::RangeInclusive<u8>) {
	for name in names {
		let sr25519 = key(name).public();
		let grandpa = sp_core::ed25519::Pair::from_seed(&[name; 32]).public().into();
		let keys = SessionKeys { babe: sr25519.into(), grandpa, authority_discovery: sr25519.into() };
		pallet_session::NextKeys::<Runtime>::insert(host(name), keys);
	}
}

/// Goes on through the work phase of `epoch` to the draw of the next confirmation. `claims` says what each host commits to.
/// Returns false at the end of the epoch, if no other confirmation is called.
fn confirm(epoch: EpochIndex, claims: &[(u8, gonka_sprint::Commitment)]) -> bool {
	let drawn = Poc::running_epoch().unwrap().rounds();
	let from = System::block_number() - epoch * SCHEDULE.length;
	for offset in from.max(SCHEDULE.work_start())..SCHEDULE.length {
		go_to(epoch, offset);
		let now = Poc::running_epoch().unwrap();
		let ended = |start: &BlockNumber| start + SCHEDULE.segment == offset;
		if let Some(number) = now.confirmations.iter().position(ended) {
			let segment = SCHEDULE.segments + number as u8;
			claims.iter().for_each(|(name, claim)| commit(*name, segment, *claim));
		}
		if now.rounds() > drawn {
			return true;
		}
	}
	false
}

/// Runs epochs from `first` on until a confirmation is called, up to its draw. Returns that epoch.
fn run_to_confirmation(
	first: EpochIndex,
	names: std::ops::RangeInclusive<u8>,
	claim: impl Fn(u8, u8) -> gonka_sprint::Commitment,
) -> EpochIndex {
	let claims: Vec<_> = names.clone().map(|name| (name, claim(name, SCHEDULE.segments))).collect();
	(first..)
		.find(|epoch| {
			sprint(*epoch, names.clone(), &claim);
			confirm(*epoch, &claims)
		})
		.unwrap()
}

fn end_of_round() {
	let now = Poc::running_epoch().unwrap();
	go_to(now.index, now.draw_of(now.rounds()).unwrap() + SCHEDULE.checking());
}

fn power_of(name: u8) -> Option<u64> {
	let power = pallet_poc::Power::<Runtime>::get();
	power.iter().find(|(who, _)| *who == host(name)).map(|(_, power)| *power)
}

fn votes_of(name: u8) -> u64 {
	use gonka_primitives::traits::EffectiveWeights;
	let (epoch, _) = <Poc as EffectiveWeights<AccountId>>::last_weighed().unwrap();
	<Poc as EffectiveWeights<AccountId>>::weight(epoch, &host(name))
}

fn paid(epoch: EpochIndex, name: u8) -> u64 {
	let all = <Poc as PaidWeights<AccountId>>::page(epoch, None, 100);
	all.into_iter().find(|(who, _)| *who == host(name)).map_or(0, |(_, paid)| paid)
}

/// Strategy "swarm": of many newcomers with made-up counts, one has no checkers but the adversary's own.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_newcomer_whose_checkers_are_all_its_own_is_not_paid_for_its_claim() {
	run(|| {
		register(1..=4);
		blocks(1);
		let claim = |name, _| made_up(if name == 4 { 1 << 40 } else { LEAVES });
		let first = run_to_confirmation(0, 1..=3, claim);
		sprint(first + 1, 1..=4, claim);
		check(1..=3, &[]);
		go_to(first + 1, SCHEDULE.work_start());
		assert!(weight(4) > weight(1), "its checkers found nothing");
		let total = pallet_poc::WeighedEpochs::<Runtime>::get(first + 1).unwrap().proven.total;
		assert_eq!((paid(first + 1, 4), total), (0, 15 * LEAVES));
		assert!(paid(first + 1, 1) > 0);
	});
}

/// Strategy "swarm": many newcomers commit to junk and serve nothing. There were more of them than checkers could request openings
/// of, and those that nobody asked had all weight, pay and power on the second day.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn more_silent_newcomers_than_checkers_can_ask_have_no_weight() {
	run(|| {
		register(1..=3);
		blocks(1);
		let claim = |name, _| made_up(if name > 3 { 1 << 40 } else { LEAVES });
		let first = run_to_confirmation(0, 1..=3, claim);
		go_to(first + 1, 0);
		register(4..=90);
		sprint(first + 1, 1..=90, claim);
		let mut asked = std::collections::BTreeSet::new();
		for checker in 1..=3 {
			for newcomer in 4..=90 {
				let leaves = assigned(checker, newcomer);
				if let Some(leaf) = leaves.first() {
					request(checker, newcomer, vec![*leaf]).unwrap().unwrap();
					asked.insert(newcomer);
				}
			}
		}
		assert!((10..=22).contains(&asked.len()), "{} have a committee", asked.len());
		check(1..=3, &(4..=90).collect::<Vec<_>>());
		go_to(first + 1, SCHEDULE.work_start());
		assert!((4..=90).all(|name| weight(name) == Some(0)));
		assert_eq!([1, 2, 3].map(weight), [Some(5 * LEAVES); 3]);
	});
}

/// Strategy "censor": an adversary writes all but the last block that can carry the others' commitments to a segment. There are
/// 19 of them with mainnet's times; there were two.
#[test]
fn commitments_that_are_kept_out_of_many_blocks_cost_in_proportion() {
	run(|| {
		register(1..=3);
		blocks(1);
		pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.prompt = 1);
		for number in 0..SCHEDULE.segments {
			go_to(0, SCHEDULE.segment_end(number));
			commit(1, number, honest(1, number));
			commit(2, number, honest(2, number));
			go_to(0, SCHEDULE.segment_end(number) + SCHEDULE.grace - 2);
			commit(3, number, honest(3, number));
		}
		go_to(0, SCHEDULE.work_start());
		let kept = LEAVES * u64::from(SCHEDULE.segment) / u64::from(SCHEDULE.segment + SCHEDULE.grace - 2);
		assert_eq!([1, 2, 3].map(weight), [5 * LEAVES, 5 * LEAVES, 5 * kept].map(Some));
	});
}

/// Finding 5: a host rents compute for the five minutes of the sprint, a hundred times what the others have. It commits to
/// real counts there, and to eight leaves at confirmations.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn five_rented_minutes_buy_neither_power_nor_votes() {
	run(|| {
		register(1..=6);
		set_keys(1..=6);
		blocks(1);
		let count = 4_000;
		let first = run_to_confirmation(0, 1..=5, |_, _| made_up(count));
		let of_five: Vec<_> = (1..=5).map(|name| (name, made_up(count))).collect();
		while confirm(first, &of_five) {}
		// The renter joins five others: of four hosts, the cap gives the lightest a tenth whatever it shows.
		let rented = |name, segment| match (name, segment) {
			(6, segment) if segment < SCHEDULE.segments => made_up(100 * count),
			(6, _) => made_up(8),
			_ => made_up(count),
		};
		for epoch in first + 1..first + 4 {
			sprint(epoch, 1..=6, rented);
			let claims: Vec<_> = (1..=6).map(|name| (name, rented(name, SCHEDULE.segments))).collect();
			confirm(epoch, &claims);
			assert_eq!(weight(6), Some(500 * count));
			// Eight leaves a segment are all that it ever showed.
			assert!(power_of(6).unwrap_or(0) <= 1_000, "{epoch}: {:?} millionths", power_of(6));
			assert!(power_of(1) >= Some(190_000));
			assert!(votes_of(6) <= 5 * 8, "{epoch}: {}", votes_of(6));
			assert_eq!(votes_of(1), 5 * count);
			while confirm(epoch, &claims) {}
			assert!(paid(epoch, 6) <= 5 * 8, "{epoch}: {}", paid(epoch, 6));
		}
	});
}

/// Finding 5: the sample of a confirmation followed from the segment's seed, which is known while leaves are computed.
#[test]
fn a_confirmations_sample_cannot_be_known_when_it_is_committed_to() {
	run(|| {
		register(1..=4);
		blocks(1);
		let epoch = run_to_confirmation(0, 1..=4, |name, segment| match (name, segment) {
			(1, segment) if segment >= SCHEDULE.segments => made_up(LEAVES),
			_ => honest(name, segment),
		});
		let now = Poc::running_epoch().unwrap();
		let beacon = now.beacon_of(1).unwrap();
		let (segment, draw) = (SCHEDULE.segments, now.draw_of(1).unwrap());
		let last = (0..SCHEDULE.length).rfind(|offset| SCHEDULE.takes_commitment(segment, &now.confirmations, *offset));
		assert_eq!(draw, last.unwrap() + 2, "a block without commitments fixes the beacon");
		assert!(!now.segment_seeds.contains(&beacon) && now.beacon != Some(beacon));
		// A host that has not all leaves is asked for leaves that it does not have, and cannot answer.
		let leaves = assigned(2, 1);
		assert!((8..=16).contains(&leaves.len()) && leaves.iter().all(|(of, at)| *of == segment && *at < LEAVES));
		request(2, 1, leaves).unwrap().unwrap();
		request(1, 2, assigned(1, 2)).unwrap().unwrap();
		assert!(answer(2).into_iter().all(|sent| sent.is_ok()), "an honest host answers");
		assert_eq!(answer(1), [rejected(Code::BadProof)]);
		check(2..=4, &[1]);
		end_of_round();
		let view = |name| Poc::standing_view(epoch, &host(name)).unwrap();
		assert_eq!((view(1).confirmed, view(2).confirmed), (0, 1_000_000));
		assert_eq!(view(3).duties.1, 6, "the duties of the round count, zeros of a silent host included");
	});
}

/// Finding 5: a host that leaves after the sprint keeps no power until the next day.
#[test]
fn who_leaves_after_the_sprint_loses_its_power_within_the_day() {
	run(|| {
		register(1..=3);
		set_keys(1..=3);
		blocks(1);
		for epoch in 0.. {
			sprint(epoch, 1..=3, honest);
			go_to(epoch, SCHEDULE.work_start());
			assert_eq!([1, 2, 3].map(power_of), [Some(333_333); 3]);
			if confirm(epoch, &[(1, honest(1, SCHEDULE.segments)), (2, honest(2, SCHEDULE.segments))]) {
				break;
			}
		}
		end_of_round();
		assert_eq!([1, 2, 3].map(power_of), [Some(500_000), Some(500_000), Some(1)]);
		two_sessions();
		let grandpa = Grandpa::grandpa_authorities();
		let total: u64 = grandpa.iter().map(|(_, weight)| weight).sum();
		let mut weights: Vec<_> = grandpa.into_iter().map(|(_, weight)| weight).collect();
		weights.sort_unstable();
		assert!(weights[0] * 1_000 < total, "{weights:?}: finality does not wait for it");
	});
}
