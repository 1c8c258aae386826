//! Attacks that count on small penalties.

use super::{super::chain::*, super::offences::*, *};
use crate::tests::governance::{by, next_epoch, take_part};
use frame_support::{
	BoundedVec, assert_noop, assert_ok,
	traits::{
		fungible::{Inspect, Mutate},
		tokens::Preservation,
	},
};
use gonka_primitives::{
	EpochIndex, TOTAL_SUPPLY,
	check::Offence,
	traits::{OnEpochClosed, OnOffence, UnvestedPay},
};
use gonka_runtime_common::Time;
use sp_core::{ed25519, sr25519};
use sp_keyring::{
	Ed25519Keyring,
	Sr25519Keyring::{self, Alice, Bob, Charlie, Dave},
};

/// Convicts a host as `pallet-sprint-check` does.
fn convict(epoch: EpochIndex, key: Sr25519Keyring, offence: Offence) {
	Poc::convict(epoch, &account(key), offence);
	<Runtime as pallet_poc::Config>::OnOffence::on_offence(&account(key), epoch, offence);
}

/// Validators with such shares of the power, in per cent, beside 96 small ones that share the rest.
fn validators(heads: &[(Sr25519Keyring, u64)]) {
	let rest = 100 - heads.iter().map(|(_, share)| share).sum::<u64>();
	let mut power: Vec<_> = heads.iter().map(|(key, share)| (account(*key), share * 96)).collect();
	for index in 1..=96 {
		let (babe, grandpa) = (sr25519::Public::from_raw([index; 32]), ed25519::Public::from_raw([index; 32]));
		let keys = SessionKeys { babe: babe.into(), grandpa: grandpa.into(), authority_discovery: babe.into() };
		let host = AccountId::from([index; 32]);
		pallet_session::NextKeys::<Runtime>::insert(&host, keys);
		power.push((host, rest));
	}
	let dave = pallet_session::NextKeys::<Runtime>::contains_key(account(Dave));
	assert!(!dave && heads.iter().all(|(key, _)| [Alice, Bob, Charlie].contains(key)), "only these have keys");
	pallet_poc::Power::<Runtime>::put(BoundedVec::truncate_from(pallet_poc::math::normalise(power)));
	pallet_poc::PowerChanged::<Runtime>::put(true);
	two_sessions();
	assert_eq!(Session::validators().len(), heads.len() + 96);
}

/// Gives a host 100 GNK of collateral and 100 GNK of pay that has not vested.
fn endow(key: Sr25519Keyring) {
	let (host, amount) = (account(key), 100 * GNK);
	Collateral::deposit(by(key), amount).unwrap();
	<Balances as Mutate<_>>::transfer(&host, &Emission::pot(), amount, Preservation::Expendable).unwrap();
	let epoch = Poc::running_epoch().unwrap().index;
	pallet_emission::Grants::<Runtime>::insert(&host, epoch, amount);
	let vesting = pallet_emission::Vesting { updated: epoch, rate: amount, locked: amount, ..Default::default() };
	pallet_emission::Vestings::<Runtime>::insert(&host, vesting);
}

/// The rest of these 200 GNK.
fn left(key: Sr25519Keyring) -> Balance {
	Collateral::view(&account(key)).active + Emission::unvested(&account(key))
}

/// Whether a host lost so many ten-thousandths of its 200 GNK. Powers are rounded.
#[track_caller]
fn assert_lost(key: Sr25519Keyring, share: u128) {
	let expected = 200 * GNK * (10_000 - share) / 10_000;
	assert!(left(key).abs_diff(expected) <= GNK / 20, "{} base units are left, not {expected}", left(key));
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_convicted_newcomer_keeps_no_unvested_pay() {
	run(|| {
		blocks(1);
		// Alice has earned 100 GNK and deposited 100 GNK. The pay of epoch 0 is not granted yet when she is convicted of
		// fabrication in epoch 1.
		weigh(&[(Alice, 50), (Bob, 50)]);
		endow(Alice);
		let before = Emission::supply();
		convict(1, Alice, Offence::Fabrication);
		assert_eq!(Emission::unvested(&account(Alice)), 0);
		let burnt = 120 * GNK;
		assert_eq!(before.issued - Emission::supply().issued, burnt, "a fifth of the collateral and all unvested pay");
		Emission::on_epoch_closed(0, 100);
		blocks(1);
		assert!(pallet_emission::Pending::<Runtime>::get().is_empty(), "epoch 0 is paid");
		assert_eq!(Emission::unvested(&account(Alice)), 0);
		let supply = Emission::supply();
		assert!(supply.vesting > 0 && supply.vesting == Emission::unvested(&account(Bob)), "Bob loses nothing");
		assert_eq!(supply.issued + supply.unmined + burnt, TOTAL_SUPPLY, "issued, unmined and burnt");
		// Nothing vests, whoever claims it.
		let free = Balances::balance(&account(Alice));
		for _ in 0..2 {
			next_epoch();
			let _ = send(pallet_emission::Call::claim { host: account(Alice) });
			blocks(1);
		}
		assert_eq!(Balances::balance(&account(Alice)), free);
	});
}

#[test]
fn a_host_that_was_offline_loses_no_unvested_pay() {
	run(|| {
		blocks(1);
		endow(Bob);
		convict(0, Bob, Offence::MissedDuties);
		assert_eq!((Collateral::view(&account(Bob)).active, Emission::unvested(&account(Bob))), (90 * GNK, 100 * GNK));
	});
}

#[test]
fn a_third_of_the_power_in_one_head_equivocates() {
	run(|| {
		blocks(1);
		validators(&[(Alice, 50), (Bob, 34)]);
		endow(Bob);
		// One of 98 heads: by heads it would lose a thousandth.
		submit(babe_report(two_blocks(Bob), babe_owner(Bob)));
		assert_eq!(left(Bob), 0);
	});
}

#[test]
fn a_small_validator_does_not_equivocate_for_free() {
	run(|| {
		blocks(1);
		validators(&[(Alice, 50), (Bob, 1)]);
		endow(Bob);
		submit(grandpa_report(in_set(two_votes(Ed25519Keyring::Bob, 7)), Ed25519Keyring::Bob));
		assert_lost(Bob, 500);
	});
}

#[test]
fn a_third_of_the_power_in_several_heads_equivocates_in_different_slots_rounds_and_sessions() {
	run(|| {
		blocks(1);
		validators(&[(Alice, 10), (Bob, 15), (Charlie, 10)]);
		[Alice, Bob, Charlie].into_iter().for_each(endow);
		submit(babe_report(two_blocks(Alice), babe_owner(Alice)));
		assert_lost(Alice, 900);
		// A friendly author names another session of the set, in which the votes could have been cast as well.
		blocks(Time::THIS.session as u32);
		submit(grandpa_report(in_set(two_votes(Ed25519Keyring::Bob, 3)), Ed25519Keyring::Bob));
		[Alice, Bob].into_iter().for_each(|key| assert_lost(key, 5_625));
		submit(grandpa_report(in_set(two_votes(Ed25519Keyring::Charlie, 4)), Ed25519Keyring::Charlie));
		assert_eq!([Alice, Bob, Charlie].map(left), [0; 3]);
	});
}

#[test]
fn an_equivocator_does_not_fill_the_chain_with_reports() {
	use sp_runtime::transaction_validity::InvalidTransaction;
	run(|| {
		blocks(1);
		validators(&[(Alice, 50), (Bob, 10)]);
		endow(Bob);
		submit(babe_report(two_blocks(Bob), babe_owner(Bob)));
		let power = pallet_collateral::Sessions::<Runtime>::get(Session::current_index()).unwrap();
		for round in 0..3 {
			blocks(1);
			assert_rejected(babe_report(two_blocks(Bob), babe_owner(Bob)), InvalidTransaction::Stale);
			let votes = in_set(two_votes(Ed25519Keyring::Bob, round));
			assert_rejected(grandpa_report(votes, Ed25519Keyring::Bob), InvalidTransaction::Stale);
		}
		assert_lost(Bob, 900);
		assert_eq!(pallet_collateral::Equivocators::<Runtime>::get(power).len(), 1, "one record for an epoch's power");
	});
}

/// Runs epochs in which three validators take part, and checks in each block that Bob's collateral is not free while an
/// equivocation with the power that it backed can still be reported.
fn withdraw_and_equivocate(change: impl FnOnce()) {
	let weights = [(Alice, 40), (Bob, 30), (Charlie, 30)];
	take_part(&weights);
	Collateral::deposit(by(Bob), 100 * GNK).unwrap();
	change();
	// The deposit backs the power of epoch 1.
	next_epoch();
	take_part(&weights);
	// Nobody reveals digests here, so missed duties may have cost a part.
	let active = Collateral::view(&account(Bob)).active;
	Collateral::withdraw(by(Bob), active).unwrap();
	next_epoch();
	let mut last = None;
	loop {
		let epoch = Poc::running_epoch().unwrap();
		if epoch.offset(System::block_number()) == 0 {
			take_part(&weights);
		}
		if pallet_collateral::Sessions::<Runtime>::get(Session::current_index()) == Some(1) {
			last = Some(babe_report(two_blocks(Bob), babe_owner(Bob)));
		}
		let reportable = last.as_ref().is_some_and(|report| pool(TransactionSource::Local, report).is_ok());
		let released = Collateral::release(by(Bob)).is_ok();
		assert!(!(released && reportable), "released in block {}", System::block_number());
		if released {
			break;
		}
		blocks(1);
		assert!(System::block_number() < 20 * Time::THIS.schedule.length, "it is never released");
	}
	assert!(last.is_some(), "Bob had power that his collateral backed");
	assert_eq!(Collateral::view(&account(Bob)).unbonding, []);
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_validator_withdraws_and_then_equivocates_with_the_power_that_was_backed() {
	run(|| {
		blocks(1);
		withdraw_and_equivocate(|| ());
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_validator_withdraws_before_governance_makes_epochs_shorter() {
	use crate::configs::parameters::{
		RuntimeParameters,
		dynamic::poc::{Parameters, Phases},
	};
	run(|| {
		blocks(1);
		withdraw_and_equivocate(|| {
			// Seven sessions and a part of one.
			let schedule = gonka_primitives::epoch::Schedule { length: 72, ..Time::THIS.schedule };
			let parameter = RuntimeParameters::Poc(Parameters::Phases(Phases, Some(schedule)));
			assert_ok!(Amendments::amend(RuntimeOrigin::root(), parameter));
		});
		assert_eq!(Poc::running_epoch().unwrap().schedule.length, 72);
	});
}

#[test]
fn withdrawn_collateral_is_slashed_for_a_late_report() {
	run(|| {
		blocks(1);
		validators(&[(Alice, 50), (Bob, 34)]);
		endow(Bob);
		let report = babe_report(two_blocks(Bob), babe_owner(Bob));
		Collateral::withdraw(by(Bob), 100 * GNK).unwrap();
		for _ in 0..3 {
			two_sessions();
		}
		assert_noop!(Collateral::release(by(Bob)), pallet_collateral::Error::<Runtime>::NothingToRelease);
		submit(report);
		assert_eq!(Collateral::view(&account(Bob)).unbonding, []);
		assert_eq!(left(Bob), 0);
	});
}
