//! Attacks on block production, finality and liveness.

use crate::{
	tests::chain::{self, account, begins_session, block, blocks, next_slot, paid, plain, run, writers},
	*,
};
use codec::{Decode, Encode};
use frame_support::BoundedVec;
use gonka_runtime_common::Time;
use pallet_poc::math::{POWER_BUDGET, normalise};
use sc_consensus_babe::authorship::{claim_slot, claim_slot_using_keys};
use sp_consensus_babe::{AuthorityId, digests::PreDigest};
use sp_consensus_grandpa::{ConsensusLog, GRANDPA_ENGINE_ID, ScheduledChange};
use sp_core::{Pair, crypto::ByteArray, ed25519, sr25519};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie};
use sp_keystore::{Keystore, KeystorePtr, testing::MemoryKeystore};
use sp_runtime::DigestItem;
use std::{collections::BTreeMap, panic::catch_unwind, sync::Arc};

/// Makes this the power from the session after the next on.
fn empower(power: Vec<(AccountId, u64)>) {
	pallet_poc::Power::<Runtime>::put(BoundedVec::truncate_from(normalise(power)));
	pallet_poc::PowerChanged::<Runtime>::put(true);
}

/// Gives a validator session keys, whose secrets go into `keystore`.
fn with_keys(keystore: &MemoryKeystore, number: u16) -> AccountId {
	let mut seed = [7; 32];
	seed[..2].copy_from_slice(&number.to_le_bytes());
	let (babe, grandpa) = (sr25519::Pair::from_seed(&seed).public(), ed25519::Pair::from_seed(&seed).public());
	let suri = seed.iter().fold("0x".to_string(), |suri, byte| suri + &format!("{byte:02x}"));
	keystore.insert(sp_consensus_babe::KEY_TYPE, &suri, &babe.0).unwrap();
	let keys = SessionKeys { babe: babe.into(), grandpa: grandpa.into(), authority_discovery: babe.into() };
	let who = AccountId::from(babe);
	pallet_session::NextKeys::<Runtime>::insert(&who, keys);
	who
}

/// The author of the next slot by the nodes' own rules: one of those with a primary claim, else the secondary one.
fn claim(keystore: &KeystorePtr) -> Option<(PreDigest, AuthorityId)> {
	let epoch = if begins_session() { Babe::next_epoch() } else { Babe::current_epoch() }.into();
	let claim =
		|(key, seat): (AuthorityId, u32)| claim_slot_using_keys(next_slot(), &epoch, keystore, &[(key, seat as usize)]);
	let (mut primary, secondary): (Vec<_>, Vec<_>) =
		writers().into_iter().filter_map(claim).partition(|(claim, _)| claim.is_primary());
	assert!(secondary.len() <= 1, "a slot has one secondary author at most");
	if primary.is_empty() {
		return secondary.into_iter().next();
	}
	// Nodes take the block that they see first.
	Some(primary.swap_remove(*next_slot() as usize % primary.len()))
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn hundreds_of_light_hosts_write_blocks_by_their_power_and_not_by_heads() {
	const SLOTS: u32 = 2_000;
	const LIGHT: usize = 270;
	run(|| {
		blocks(1);
		let store = MemoryKeystore::new();
		// One host with 30 % of the power, ten with 5 %, and 270 with a fifth in all.
		let weights = [300_000u64].into_iter().chain([50_000; 10]).chain([200_000 / LIGHT as u64; LIGHT]);
		let power: Vec<_> = (0..).zip(weights).map(|(number, weight)| (with_keys(&store, number), weight)).collect();
		let keystore: KeystorePtr = Arc::new(store);
		empower(power.clone());
		chain::two_sessions();
		assert_eq!(Session::validators().len(), 281);
		// All light hosts are one group.
		let group: BTreeMap<_, _> =
			power.iter().enumerate().map(|(number, (who, _))| (who.clone(), number.min(11))).collect();
		let (mut written, mut digest) = ([0u32; 12], 0);
		for slot in 0..SLOTS {
			let (claimed, key) = claim(&keystore).expect("no slot is without a block");
			if slot < 10 {
				let epoch = if begins_session() { Babe::next_epoch() } else { Babe::current_epoch() }.into();
				let (whole, _) = claim_slot(next_slot(), &epoch, &keystore).unwrap();
				let first = writers().into_iter().any(|(_, seat)| seat == whole.authority_index());
				assert!(first, "a node with many seats names the first");
			}
			block(claimed, || ());
			let author = Authorship::author().unwrap();
			assert_eq!(author, AccountId::try_from(key.as_slice()).unwrap(), "the chain finds the author");
			written[group[&author]] += 1;
			digest = digest.max(System::digest().encoded_size());
		}
		let shares = [0.3].into_iter().chain([0.05; 10]).chain([0.2]);
		let chi_square: f64 = shares
			.zip(written)
			.map(|(share, written)| {
				let expected = share * f64::from(SLOTS);
				(f64::from(written) - expected).powi(2) / expected
			})
			.sum();
		println!("blocks {written:?}, chi-square {chi_square:.1}, digests of at most {digest} bytes");
		assert!(digest < 12_500, "300 seats of 40 bytes, announced once a session");
		// Eleven degrees of freedom: 31.3 is passed with a probability of 0.1 %.
		assert!(chi_square < 31.3, "blocks do not follow power: {written:?}, chi-square {chi_square:.1}");
		assert!(written[11] < SLOTS / 4, "270 light hosts wrote {} blocks", written[11]);
	});
}

#[test]
fn an_equivocator_cannot_hide_behind_two_of_its_seats() {
	let second = catch_unwind(|| {
		run(|| {
			blocks(1);
			let seat = writers()[1].1;
			block(plain(seat + 1), || ());
		});
	});
	let reason = second.unwrap_err();
	let reason = reason.downcast_ref::<String>().unwrap();
	assert!(reason.contains("names the first seat"), "{reason}");
}

/// Lets `present` write blocks in turn, each stating what is final, until `done`. Returns GRANDPA's digests with their
/// blocks.
fn write(
	present: &[Sr25519Keyring],
	finalized: impl Fn(BlockNumber) -> BlockNumber,
	done: impl Fn() -> bool,
) -> Vec<(BlockNumber, ConsensusLog<BlockNumber>)> {
	let mut changes = Vec::new();
	while !done() {
		let mut able = writers();
		able.retain(|(key, _)| present.iter().any(|other| other.public().0 == key.as_slice()));
		let turn = System::block_number() as usize % able.len();
		block(plain(able[turn].1), || {
			let known = finalized(System::block_number());
			Liveness::note_finalized(RuntimeOrigin::none(), known).unwrap();
		});
		for log in System::digest().logs {
			if let DigestItem::Consensus(GRANDPA_ENGINE_ID, log) = log {
				changes.push((System::block_number(), Decode::decode(&mut &log[..]).unwrap()));
			}
		}
	}
	changes
}

fn working(now: BlockNumber) -> BlockNumber {
	now.saturating_sub(3)
}

fn after(sessions: u32) -> impl Fn() -> bool {
	let end = Session::current_index() + sessions;
	move || Session::current_index() >= end
}

fn set_id() -> u64 {
	pallet_grandpa::CurrentSetId::<Runtime>::get()
}

/// Three validators with this power, which is in force, while finality works.
fn three(power: [u64; 3]) {
	blocks(1);
	empower([Alice, Bob, Charlie].into_iter().map(account).zip(power).collect());
	let changes = write(&[Alice, Bob, Charlie], working, after(4));
	assert_eq!(changes.len(), 1, "the change to this power: {changes:?}");
	assert_eq!(votes(), power.map(|power| power * POWER_BUDGET / 100));
}

fn votes() -> Vec<u64> {
	Grandpa::grandpa_authorities().into_iter().map(|(_, weight)| weight).collect()
}

fn weights(change: &ScheduledChange<BlockNumber>) -> Vec<u64> {
	change.next_authorities.iter().map(|(_, weight)| *weight).collect()
}

#[test]
fn a_third_of_the_power_that_unplugs_does_not_stop_finality_for_good() {
	run(|| {
		three([34, 33, 33]);
		let (set, still) = (set_id(), System::block_number());
		let changes = write(&[Bob, Charlie], |_| still, || set_id() > set);
		let passed = System::block_number() - still;
		assert!(passed >= Time::THIS.stall_sessions * Time::THIS.session as u32, "after {passed} blocks");
		let [(at, ConsensusLog::ForcedChange(median, change))] = &changes[..] else { panic!("{changes:?}") };
		assert_eq!((*median, change.delay), (still, Time::THIS.force_delay));
		let forced = weights(change);
		assert_eq!(forced, [34_000, 330_000, 330_000]);
		assert!((forced[1] + forced[2]) * 3 > forced.iter().sum::<u64>() * 2, "the others can finalise");
		assert_eq!(set_id(), set + 1, "as nodes count it");
		// Nothing else is announced before it is in force and has finalised blocks.
		let enacted = at + change.delay;
		let changes = write(&[Bob, Charlie], |_| still, || System::block_number() >= enacted);
		assert!(changes.is_empty(), "{changes:?}");
		assert_eq!(votes(), forced);
		let changes = write(&[Bob, Charlie], working, after(1));
		assert!(changes.is_empty(), "{changes:?}");
		// Alice comes back. She could stall finality again, so she has to wait for the next weighing.
		let (all, weighed) = ([Alice, Bob, Charlie], pallet_poc::LastWeighed::<Runtime>::get());
		let changes = write(&all, working, || pallet_poc::LastWeighed::<Runtime>::get() > weighed);
		assert!(changes.is_empty(), "{changes:?}");
		let changes = write(&all, working, || votes() != forced);
		let [(_, ConsensusLog::ScheduledChange(change))] = &changes[..] else { panic!("{changes:?}") };
		assert_eq!(weights(change), [340_000, 330_000, 330_000]);
		assert_eq!((set_id(), votes()), (set + 2, weights(change)));
	});
}

#[test]
fn a_third_that_feigns_a_stall_forces_nothing() {
	run(|| {
		three([34, 33, 33]);
		let still = System::block_number();
		let before = (set_id(), votes());
		// Alice states that nothing is final any more.
		let liar = |now: BlockNumber| {
			let alice = Authorship::author() == Some(account(Alice));
			if alice { still } else { working(now) }
		};
		let changes = write(&[Alice, Bob, Charlie], liar, after(3 * Time::THIS.stall_sessions));
		assert!(changes.is_empty(), "{changes:?}");
		assert_eq!((set_id(), votes()), before);
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn the_smaller_part_of_a_divided_network_finalises_nothing() {
	run(|| {
		three([34, 33, 33]);
		let (set, still) = (set_id(), System::block_number());
		// Less than a third never forces a change.
		let changes = write(&[Bob], |_| still, after(2 * Time::THIS.long_stall_sessions));
		assert!(changes.is_empty(), "{changes:?}");
		assert_eq!(set_id(), set);
	});
	run(|| {
		three([34, 33, 33]);
		let (set, still) = (set_id(), System::block_number());
		// A third waits for so long that people have looked.
		let changes = write(&[Alice], |_| still, || set_id() > set);
		let passed = System::block_number() - still;
		assert!(passed >= Time::THIS.long_stall_sessions * Time::THIS.session as u32, "after {passed} blocks");
		assert!(matches!(changes[..], [(_, ConsensusLog::ForcedChange(..))]), "{changes:?}");
	});
}

#[test]
fn a_change_that_the_stall_cut_off_does_not_confuse_the_count_of_sets() {
	run(|| {
		three([34, 33, 33]);
		let (set, still) = (set_id(), System::block_number());
		empower([(Alice, 20), (Bob, 40), (Charlie, 40)].map(|(key, power)| (account(key), power)).to_vec());
		// The change is announced while finality works, and never becomes final.
		let stop = still + Time::THIS.session as u32 * 8 / 5;
		let frozen = |now: BlockNumber| working(now).min(stop);
		let mut changes = write(&[Alice, Bob, Charlie], frozen, || set_id() > set);
		changes.extend(write(&[Bob, Charlie], frozen, || pallet_liveness::LastChange::<Runtime>::get().forced));
		let [(at, ConsensusLog::ScheduledChange(_)), (_, ConsensusLog::ForcedChange(median, _))] = &changes[..] else {
			panic!("{changes:?}")
		};
		assert!(median < at, "nodes drop the first change");
		assert_eq!(set_id(), set + 1, "nodes count one change, not two");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_host_that_writes_no_blocks_is_paid_less_and_keeps_its_collateral() {
	use gonka_primitives::traits::PaidWeights;
	run(|| {
		blocks(1);
		// Bob's node is off. The epoch has its weights after its weigh phase.
		write(&[Alice, Charlie], working, || System::block_number() > Time::THIS.schedule.work_start());
		chain::weigh(&[(Alice, 400), (Bob, 300), (Charlie, 300)]);
		Collateral::deposit(RuntimeOrigin::signed(account(Bob)), 1_000 * GNK).unwrap();
		write(&[Alice, Charlie], working, || System::block_number() >= 2 * Time::THIS.schedule.length - 1);
		let standing = |key| pallet_poc::Standings::<Runtime>::get(0, account(key)).unwrap();
		let (due, written) = standing(Bob).blocks;
		assert!(due >= 20_000 && written == 0, "{due}");
		// Nobody committed to confirmation segments: let none have been called.
		pallet_poc::PastEpochs::<Runtime>::mutate(0, |epoch| {
			let epoch = epoch.as_mut().unwrap();
			(epoch.confirmations, epoch.round_beacons) = Default::default();
		});
		let paid = paid();
		assert_eq!([Alice, Bob, Charlie].map(|key| paid[&account(key)]), [400, 0, 300]);
		<Poc as PaidWeights<AccountId>>::on_turn(0, &account(Bob));
		assert_eq!(Collateral::view(&account(Bob)).active, 1_000 * GNK, "absence is no offence");
	});
}

#[test]
fn an_absent_validator_loses_power_within_the_epoch_and_returns_with_a_block() {
	run(|| {
		three([30, 35, 35]);
		let seats = |key: Sr25519Keyring| {
			let list = pallet_babe::NextAuthorities::<Runtime>::get();
			list.iter().filter(|(other, _)| other.as_slice() == key.public().0).count()
		};
		assert!(seats(Alice) >= 3, "of twelve");
		let from = System::block_number();
		// Finality works with 70 % of the power, and the change of votes becomes final.
		let changes = write(&[Bob, Charlie], working, || seats(Alice) <= 1);
		assert!(System::block_number() - from < Time::THIS.schedule.length, "it took an epoch");
		assert!(changes.iter().all(|(_, change)| matches!(change, ConsensusLog::ScheduledChange(_))));
		write(&[Bob, Charlie], working, || votes() == [30_000, 350_000, 350_000]);
		write(&[Alice, Bob, Charlie], working, || votes() == [300_000, 350_000, 350_000]);
	});
}
