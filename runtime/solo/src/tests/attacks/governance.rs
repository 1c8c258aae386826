//! Attacks on referenda.

use super::{super::chain::*, *};
use crate::tests::governance::{AYE, by, conclude, propose, take_part};
use codec::Encode;
use frame_support::{
	assert_noop, assert_ok,
	traits::{Contains, GetCallMetadata},
};
use gonka_runtime_common::tracks;
use pallet_governance::Origin;
use pallet_referenda::ReferendumInfo;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Eve};
use sp_runtime::{DispatchError, transaction_validity::InvalidTransaction};

type PausedName = pallet_tx_pause::RuntimeCallNameOf<Runtime>;

fn name(pallet: &str, call: &str) -> PausedName {
	(pallet.as_bytes().to_vec().try_into().unwrap(), call.as_bytes().to_vec().try_into().unwrap())
}

/// Calls that only root may make.
fn of_root() -> Vec<RuntimeCall> {
	let items = vec![(b"law".to_vec(), b"yes".to_vec())];
	let set: RuntimeCall = frame_system::Call::set_storage { items }.into();
	let boxed = || Box::new(set.clone());
	let root = Box::new(OriginCaller::system(frame_system::RawOrigin::Root));
	vec![
		set.clone(),
		frame_system::Call::set_code { code: vec![] }.into(),
		frame_system::Call::authorize_upgrade { code_hash: [1; 32].into() }.into(),
		pallet_utility::Call::dispatch_as { as_origin: root, call: boxed() }.into(),
		pallet_utility::Call::batch_all { calls: vec![set.clone()] }.into(),
		pallet_scheduler::Call::schedule { when: 9_999, maybe_periodic: None, priority: 0, call: boxed() }.into(),
		pallet_utility::Call::if_else { main: boxed(), fallback: boxed() }.into(),
		pallet_grandpa::Call::note_stalled { delay: 1, best_finalized_block_number: 1 }.into(),
		pallet_treasury::Call::spend {
			asset_kind: Box::new(()),
			amount: GNK,
			beneficiary: Box::new(account(Eve)),
			valid_from: None,
		}
		.into(),
		pallet_balances::Call::force_set_balance { who: account(Eve).into(), new_free: GNK }.into(),
	]
}

#[test]
fn one_epochs_weight_does_not_become_root_in_an_hour() {
	run(|| {
		blocks(1);
		for call in of_root() {
			assert!(crate::views::dry_run(tracks::EMERGENCY, &call.encode()).is_err(), "{call:?}");
			// The former call 16 of the pallet, which dispatched any call as root.
			let former = [vec![42, 16], call.encode()].concat();
			assert_eq!(crate::views::dry_run(tracks::EMERGENCY, &former), Err(DispatchError::Corruption), "{call:?}");
		}
		for track in &tracks::TRACKS {
			let is_root = crate::configs::governance::Tracks::origin_of(track.id)
				== Some(OriginCaller::system(frame_system::RawOrigin::Root));
			assert_eq!(is_root, track.id == tracks::UPGRADE);
			// With mainnet's times.
			let blocks = track.info.prepare_period + track.info.confirm_period + track.info.min_enactment_period;
			assert!(!is_root || cfg!(feature = "fast-runtime") || blocks >= 4 * 14_400, "{blocks} blocks");
		}
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn all_of_one_epochs_votes_do_not_enact_a_root_call_in_an_emergency() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 50)]);
		let items = vec![(b"law".to_vec(), b"yes".to_vec())];
		let index = propose(Origin::Emergency, frame_system::Call::set_storage { items });
		for host in [Alice, Bob] {
			assert_ok!(ConvictionVoting::vote(by(host), index, AYE));
		}
		assert!(matches!(conclude(index), ReferendumInfo::Approved(..)));
		assert_eq!(frame_support::storage::unhashed::get_raw(b"law"), None);
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn an_emergency_pauses_what_moves_money_and_resumes_it() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 50)]);
		let decide = |call: RuntimeCall| {
			let index = propose(Origin::Emergency, call);
			for host in [Alice, Bob] {
				assert_ok!(ConvictionVoting::vote(by(host), index, AYE));
			}
			assert!(matches!(conclude(index), ReferendumInfo::Approved(..)));
		};
		let transfer: RuntimeCall =
			pallet_balances::Call::transfer_keep_alive { dest: account(Eve).into(), value: GNK }.into();
		let claim: RuntimeCall = pallet_emission::Call::claim { host: account(Alice) }.into();
		let is_rejected = |call: &RuntimeCall| {
			use sp_transaction_pool::runtime_api::runtime_decl_for_tagged_transaction_queue::TaggedTransactionQueueV3;
			let transaction = UncheckedExtrinsic::new_bare(call.clone());
			let (source, hash) = (TransactionSource::External, Default::default());
			sp_io::storage::start_transaction();
			let validity =
				<Runtime as TaggedTransactionQueueV3<Block>>::validate_transaction(source, transaction, hash);
			sp_io::storage::rollback_transaction();
			validity == Err(InvalidTransaction::Call.into())
		};
		decide(pallet_tx_pause::Call::pause { full_name: name("Balances", "transfer_keep_alive") }.into());
		decide(pallet_tx_pause::Call::pause { full_name: name("Emission", "claim") }.into());
		let filtered = frame_system::Error::<Runtime>::CallFiltered;
		assert_noop!(transfer.clone().dispatch(by(Charlie)), filtered);
		let batch: RuntimeCall = pallet_utility::Call::batch_all { calls: vec![transfer.clone()] }.into();
		assert!(batch.dispatch(by(Charlie)).is_err(), "nor in a batch");
		assert!(is_rejected(&claim), "a free call that fails would come back for ever");
		decide(pallet_tx_pause::Call::unpause { ident: name("Balances", "transfer_keep_alive") }.into());
		assert_ok!(transfer.dispatch(by(Charlie)));
	});
}

#[test]
fn an_emergency_cannot_pause_votes_duties_or_blocks() {
	run(|| {
		blocks(1);
		let pause = |pallet, call| TxPause::pause(Origin::Emergency.into(), name(pallet, call));
		let unpausable = DispatchError::from(pallet_tx_pause::Error::<Runtime>::Unpausable);
		let money = ["Balances", "Vesting", "Treasury", "Emission", "InferenceMarket", "Collateral"];
		for pallet in RuntimeCall::get_module_names() {
			for call in RuntimeCall::get_call_names(pallet) {
				let expected = if money.contains(pallet) { Ok(()) } else { Err(unpausable) };
				assert_eq!(pause(pallet, call), expected, "{pallet}.{call}");
			}
		}
		assert_noop!(pause("Balances", "no_such_call"), unpausable);
		assert_noop!(pause("NoSuchPallet", "vote"), unpausable);
		// Nothing that a referendum needs is held up by all these pauses.
		for call in [
			pallet_referenda::Call::place_decision_deposit { index: 0 }.into(),
			pallet_governance::Call::vote { poll_index: 0, vote: AYE }.into(),
			pallet_tx_pause::Call::unpause { ident: name("Balances", "burn") }.into(),
			RuntimeCall::from(frame_system::Call::remark { remark: vec![] }),
		] {
			assert!(<Runtime as frame_system::Config>::BaseCallFilter::contains(&call));
		}
		for origin in [by(Alice), Origin::Parameters.into(), Origin::Treasury.into()] {
			assert_noop!(TxPause::unpause(origin, name("Balances", "burn")), DispatchError::BadOrigin);
		}
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn a_stall_of_finality_ends_without_root() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 25), (Charlie, 25)]);
		let set = pallet_grandpa::CurrentSetId::<Runtime>::get();
		let stall = pallet_governance::Call::end_stall { delay: 4, finalized: 3 };
		let index = propose(Origin::Emergency, stall);
		for host in [Alice, Bob, Charlie] {
			assert_ok!(ConvictionVoting::vote(by(host), index, AYE));
		}
		assert!(matches!(conclude(index), ReferendumInfo::Approved(..)));
		two_sessions();
		assert!(pallet_grandpa::CurrentSetId::<Runtime>::get() > set, "a forced change of the set was announced");
		let power: Vec<_> = Grandpa::grandpa_authorities().into_iter().map(|(_, power)| power).collect();
		assert_eq!(power.iter().max(), Some(&500_000), "the new set has its power");
	});
}
