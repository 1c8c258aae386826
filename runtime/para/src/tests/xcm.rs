//! Attacks with messages, by name, and the way of GNK to the asset hub and back.

use super::chain::*;
use crate::{
	configs::xcm::{
		ASSET_HUB, Accounts, AssetHub, Barrier, Config, DeliveryFee, GnkLocation, InstructionWeight, Subscribers,
	},
	*,
};
use codec::Encode;
use frame_support::{
	assert_noop, assert_ok,
	traits::{Contains, ProcessMessageError},
	weights::Weight,
};
use sp_keyring::Sr25519Keyring::{Alice, Bob};
use staging_xcm::{VersionedAssets, VersionedLocation, VersionedXcm, latest::prelude::*};
use staging_xcm_executor::{
	XcmExecutor,
	traits::{ConvertLocation, Properties, ShouldExecute},
};

const RELAY: Location = Location::parent();

fn asset_hub() -> Location {
	Location::new(1, [Parachain(ASSET_HUB)])
}

fn another() -> Location {
	Location::new(1, [Parachain(2_345)])
}

fn gnk(amount: Balance) -> Asset {
	(GnkLocation::get(), amount).into()
}

fn beneficiary(key: sp_keyring::Sr25519Keyring) -> Location {
	AccountId32 { network: None, id: key.to_account_id().into() }.into()
}

/// Asks the barrier whether a message is executed.
fn barrier(origin: &Location, mut message: Xcm<RuntimeCall>) -> Result<(), ProcessMessageError> {
	let mut properties = Properties { weight_credit: Weight::zero(), message_id: None };
	Barrier::should_execute(origin, message.inner_mut(), Weight::from_parts(1_000, 1_000), &mut properties)
}

/// Withdraws GNK, pays for execution, and ends with `then`.
fn paid(amount: Balance, then: Vec<Instruction<RuntimeCall>>) -> Xcm<RuntimeCall> {
	let mut all =
		vec![WithdrawAsset(gnk(amount).into()), BuyExecution { fees: gnk(amount / 2), weight_limit: Unlimited }];
	all.extend(then);
	Xcm(all)
}

/// Executes a message from another chain.
fn receive(origin: Location, message: Xcm<RuntimeCall>) -> Outcome {
	let mut hash = message.using_encoded(sp_io::hashing::blake2_256);
	XcmExecutor::<Config>::prepare_and_execute(origin, message, &mut hash, Weight::MAX, Weight::zero())
}

fn to(key: sp_keyring::Sr25519Keyring) -> Vec<Instruction<RuntimeCall>> {
	vec![DepositAsset { assets: AllCounted(1).into(), beneficiary: beneficiary(key) }]
}

#[test]
fn unpaid_messages_are_rejected() {
	run(|| {
		blocks(1);
		let unpaid = Xcm(vec![
			UnpaidExecution { weight_limit: Unlimited, check_origin: None },
			Transact {
				origin_kind: OriginKind::Superuser,
				fallback_max_weight: None,
				call: RuntimeCall::from(frame_system::Call::remark { remark: vec![] }).encode().into(),
			},
		]);
		for origin in [RELAY, asset_hub(), another()] {
			assert!(barrier(&origin, unpaid.clone()).is_err(), "{origin:?}");
		}
	});
}

#[test]
fn only_the_asset_hub_may_pay() {
	run(|| {
		blocks(1);
		assert_ok!(barrier(&asset_hub(), paid(GNK, to(Bob))));
		for origin in [RELAY, another()] {
			assert!(barrier(&origin, paid(GNK, to(Bob))).is_err(), "{origin:?}");
		}
		let account = AccountId32 { network: None, id: [1; 32] };
		assert!(AssetHub::contains(&Location::new(1, [Parachain(ASSET_HUB), account])));
		let plurality = Plurality { id: BodyId::Executive, part: BodyPart::Voice };
		let others = [
			RELAY,
			Location::new(1, [account]),
			Location::new(1, [plurality]),
			Location::new(1, [Parachain(2_345), account]),
			Location::here(),
			Location::new(2, Here),
		];
		for other in others {
			assert!(!AssetHub::contains(&other), "{other:?}");
		}
	});
}

#[test]
fn only_two_chains_subscribe_to_versions() {
	run(|| {
		blocks(1);
		let subscribe =
			|| Xcm(vec![SubscribeVersion { query_id: 0, max_response_weight: Weight::from_parts(1_000_000, 1_000) }]);
		for origin in [RELAY, asset_hub()] {
			assert_ok!(barrier(&origin, subscribe()));
			assert!(Subscribers::contains(&origin));
		}
		assert!(barrier(&another(), subscribe()).is_err());
	});
}

#[test]
fn an_answer_that_nobody_asked_for_is_rejected() {
	run(|| {
		blocks(1);
		let answer = Xcm(vec![QueryResponse {
			query_id: 7,
			response: Response::Null,
			max_weight: Weight::zero(),
			querier: Some(Location::here()),
		}]);
		for origin in [RELAY, asset_hub(), another()] {
			assert!(barrier(&origin, answer.clone()).is_err(), "{origin:?}");
		}
	});
}

#[test]
fn other_chains_dispatch_nothing_here() {
	run(|| {
		blocks(1);
		let hub = Accounts::convert_location(&asset_hub()).unwrap();
		assert_ok!(Balances::force_set_balance(RuntimeOrigin::root(), hub.into(), 100 * GNK));
		for origin_kind in [OriginKind::Superuser, OriginKind::Native, OriginKind::SovereignAccount, OriginKind::Xcm] {
			let call = RuntimeCall::from(frame_system::Call::remark { remark: vec![] });
			let message =
				paid(10 * GNK, vec![Transact { origin_kind, fallback_max_weight: None, call: call.encode().into() }]);
			assert!(barrier(&RELAY, message.clone()).is_err(), "the relay chain is not even heard");
			let outcome = receive(asset_hub(), message);
			assert!(
				matches!(&outcome, Outcome::Incomplete { error, .. } if error.error == XcmError::NoPermission),
				"{origin_kind:?}: {outcome:?}"
			);
		}
	});
}

#[test]
fn assets_of_others_are_not_accepted() {
	run(|| {
		blocks(1);
		let dot: Asset = (Location::parent(), 10 * GNK).into();
		for assets in [dot, gnk(10 * GNK)] {
			for first in [ReserveAssetDeposited(assets.clone().into()), ReceiveTeleportedAsset(assets.clone().into())] {
				let mut message = vec![first, BuyExecution { fees: assets.clone(), weight_limit: Unlimited }];
				message.extend(to(Bob));
				let issued = Balances::total_issuance();
				let outcome = receive(asset_hub(), Xcm(message));
				assert!(!matches!(outcome, Outcome::Complete { .. }), "{outcome:?}");
				assert_eq!(Balances::total_issuance(), issued);
			}
		}
	});
}

#[test]
fn another_chain_cannot_withdraw_more_than_it_holds() {
	run(|| {
		blocks(1);
		let issued = Balances::total_issuance();
		let outcome = receive(asset_hub(), paid(10 * GNK, to(Bob)));
		assert!(!matches!(outcome, Outcome::Complete { .. }), "{outcome:?}");
		assert_eq!(Balances::total_issuance(), issued);
	});
}

#[test]
fn accounts_send_no_messages_of_their_own() {
	run(|| {
		blocks(1);
		let message = || Box::new(VersionedXcm::from(Xcm::<()>(vec![ClearOrigin])));
		let relay = || Box::new(VersionedLocation::from(RELAY));
		assert_noop!(
			PolkadotXcm::send(RuntimeOrigin::signed(account(Alice)), relay(), message()),
			sp_runtime::DispatchError::BadOrigin
		);
		block(|| {
			assert_ok!(PolkadotXcm::send(RuntimeOrigin::root(), relay(), message()));
		});
		let local = Box::new(VersionedXcm::from(paid(GNK, to(Bob))));
		let executed = PolkadotXcm::execute(RuntimeOrigin::signed(account(Alice)), local, Weight::MAX);
		assert!(executed.is_err(), "transfers have calls of their own");
	});
}

#[test]
fn gnk_goes_to_the_asset_hub_and_comes_back() {
	run(|| {
		blocks(1);
		let hub = Accounts::convert_location(&asset_hub()).unwrap();
		let alice = || Balances::free_balance(account(Alice));
		let (before, issued) = (alice(), Balances::total_issuance());
		let mut relay = relay();
		let channel = relay.upsert_outbound_channel(ASSET_HUB.into());
		(channel.max_capacity, channel.max_total_size, channel.max_message_size) = (8, 1 << 16, 1 << 14);
		block_on(relay, || {
			assert_ok!(PolkadotXcm::limited_reserve_transfer_assets(
				RuntimeOrigin::signed(account(Alice)),
				Box::new(VersionedLocation::from(asset_hub())),
				Box::new(VersionedLocation::from(beneficiary(Alice))),
				Box::new(VersionedAssets::from(Assets::from(gnk(100 * GNK)))),
				0,
				Unlimited,
			));
		});
		assert_eq!(Balances::free_balance(&hub), 100 * GNK, "GNK stays here as the asset hub's reserve");
		let fee = before - 100 * GNK - alice();
		assert!(fee >= DeliveryFee::get(), "the message's delivery costs {fee}");
		assert_eq!(Balances::total_issuance(), issued - fee, "which is burnt");

		let bob = Balances::free_balance(account(Bob));
		let outcome = receive(asset_hub(), paid(100 * GNK, to(Bob)));
		assert!(matches!(outcome, Outcome::Complete { .. }), "{outcome:?}");
		let gained = Balances::free_balance(account(Bob)) - bob;
		assert!(gained > 99 * GNK && gained < 100 * GNK, "{gained}");
		assert_eq!(Balances::free_balance(&hub), 0);
	});
}

#[test]
fn gnk_cannot_go_to_the_relay_chain() {
	run(|| {
		blocks(1);
		let before = Balances::free_balance(account(Alice));
		block(|| {
			let sent = PolkadotXcm::limited_reserve_transfer_assets(
				RuntimeOrigin::signed(account(Alice)),
				Box::new(VersionedLocation::from(RELAY)),
				Box::new(VersionedLocation::from(beneficiary(Alice))),
				Box::new(VersionedAssets::from(Assets::from(gnk(100 * GNK)))),
				0,
				Unlimited,
			);
			assert!(sent.is_err(), "nobody there could use it");
		});
		assert_eq!(Balances::free_balance(account(Alice)), before);
	});
}

#[test]
fn the_longest_message_fits_its_share_of_a_block() {
	let share = configs::xcm::MessageWeight::get().unwrap();
	let longest = InstructionWeight::get().saturating_mul(100);
	assert!(longest.all_lte(share), "{longest} {share}");
}
