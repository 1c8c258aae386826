//! Parameters, from a referendum to the next epoch, and their bounds.

use super::{chain::*, governance::*};
use crate::{
	configs::parameters::{
		Bounds, RuntimeParameters, WorkerVersion,
		dynamic::{collateral, emission, market, poc, worker},
	},
	*,
};
use frame_support::{
	assert_noop, assert_ok,
	traits::{Contains, Get},
};
use gonka_primitives::epoch::Schedule;
use gonka_runtime_common::Time;
use pallet_governance::Origin;
use pallet_referenda::ReferendumInfo;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie};
use sp_runtime::{Perbill, traits::BadOrigin};

fn amend(parameter: RuntimeParameters) -> pallet_amendments::Call<Runtime> {
	pallet_amendments::Call::amend { parameter }
}

fn grace(epochs: Option<u32>) -> RuntimeParameters {
	RuntimeParameters::Collateral(collateral::Parameters::GracePeriod(collateral::GracePeriod, epochs))
}

fn phases(schedule: Schedule) -> RuntimeParameters {
	RuntimeParameters::Poc(poc::Parameters::Phases(poc::Phases, Some(schedule)))
}

/// Amends a parameter by root.
fn amend_by_root(parameter: RuntimeParameters) {
	assert_ok!(Amendments::amend(RuntimeOrigin::root(), parameter));
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn a_referendum_changes_a_parameter_from_the_next_epoch_on() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30), (Charlie, 20)]);
		let longer = Schedule { length: Time::THIS.schedule.length + 10, ..Time::THIS.schedule };
		let index = propose(
			Origin::Parameters,
			pallet_utility::Call::batch_all { calls: vec![amend(grace(Some(0))).into(), amend(phases(longer)).into()] },
		);
		for host in [Alice, Bob] {
			assert_ok!(ConvictionVoting::vote(by(host), index, AYE));
		}
		assert!(matches!(conclude(index), ReferendumInfo::Approved(..)));
		assert_eq!(pallet_amendments::Pending::<Runtime>::get().len(), 2, "both amendments wait");
		assert_eq!(<collateral::GracePeriod as Get<u32>>::get(), 180, "not in force yet");
		assert_eq!(Poc::running_epoch().unwrap().schedule.length, Time::THIS.schedule.length);
		next_epoch();
		assert_eq!(<collateral::GracePeriod as Get<u32>>::get(), 0);
		assert_eq!(Poc::running_epoch().unwrap().schedule, longer, "the new epoch has the new schedule");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn a_value_out_of_bounds_is_rejected_at_its_enactment() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		let index = propose(Origin::Parameters, amend(grace(Some(u32::MAX))));
		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		conclude(index);
		assert!(pallet_amendments::Pending::<Runtime>::get().is_empty());
		next_epoch();
		assert_eq!(<collateral::GracePeriod as Get<u32>>::get(), 180);
		let refused = pallet_amendments::Error::<Runtime>::OutOfBounds;
		assert_noop!(Amendments::amend(Origin::Parameters.into(), grace(Some(u32::MAX))), refused);
	});
}

#[test]
fn parameters_are_accepted_within_their_bounds_only() {
	run(|| {
		let percent = Perbill::from_percent;
		let p = |parameter| RuntimeParameters::Poc(parameter);
		let c = |parameter| RuntimeParameters::Collateral(parameter);
		let m = |parameter| RuntimeParameters::Market(parameter);
		let rate = |rate| RuntimeParameters::Emission(emission::Parameters::Rate(emission::Rate, Some(rate)));
		let factor = pallet_emission::math::FACTOR;
		let share = |share| p(poc::Parameters::MaxShare(poc::MaxShare, Some(share)));
		let bits = |bits| p(poc::Parameters::RegistrationBits(poc::RegistrationBits, Some(bits)));
		let base = |share| c(collateral::Parameters::BaseShare(collateral::BaseShare, Some(share)));
		let per_weight = |amount| c(collateral::Parameters::PerWeight(collateral::PerWeight, Some(amount)));
		let challenge = |blocks| m(market::Parameters::ChallengePeriod(market::ChallengePeriod, Some(blocks)));
		let hold = |windows| m(market::Parameters::MaxHold(market::MaxHold, Some(windows)));
		let step = |share| m(market::Parameters::MaxPriceStep(market::MaxPriceStep, Some(share)));
		let window = Time::THIS.window;
		let allowed = [
			grace(Some(0)),
			grace(Some(3_650)),
			grace(None),
			rate(factor / 16),
			rate(factor * 4),
			share(percent(10)),
			share(percent(33)),
			bits(8),
			bits(40),
			base(percent(5)),
			base(percent(100)),
			per_weight(1),
			per_weight(1_000 * GNK),
			challenge(2 * window),
			challenge(240 * window),
			hold(18),
			hold(64),
			step(Perbill::from_parts(1)),
			step(percent(10)),
			phases(Schedule { confirmations: 0, ..Time::THIS.schedule }),
		];
		let out_of_bounds = [
			grace(Some(3_651)),
			rate(factor / 16 - 1),
			rate(factor * 4 + 1),
			rate(0),
			share(percent(9)),
			share(percent(34)),
			bits(7),
			bits(41),
			base(percent(4)),
			per_weight(0),
			per_weight(1_000 * GNK + 1),
			challenge(2 * window - 1),
			challenge(240 * window + 1),
			hold(17),
			hold(65),
			step(Perbill::zero()),
			step(percent(11)),
			phases(Schedule { weigh: Time::THIS.schedule.weigh - 1, ..Time::THIS.schedule }),
			phases(Schedule { segments: 9, ..Time::THIS.schedule }),
			phases(Schedule { length: 100_801, ..Time::THIS.schedule }),
			phases(Schedule { length: 4 * Time::THIS.session as u32 - 1, ..Time::THIS.schedule }),
			phases(Schedule { turn: Time::THIS.schedule.length, ..Time::THIS.schedule }),
			phases(Schedule { check: 0, ..Time::THIS.schedule }),
		];
		for parameter in allowed {
			assert!(Bounds::contains(&parameter), "{parameter:?}");
		}
		for parameter in out_of_bounds {
			assert!(!Bounds::contains(&parameter), "{parameter:?}");
		}
	});
}

#[test]
fn no_origin_changes_parameters_past_the_bounds() {
	run(|| {
		for origin in [RuntimeOrigin::root(), Origin::Parameters.into(), by(Alice)] {
			assert_noop!(Parameters::set_parameter(origin, grace(Some(0))), BadOrigin);
		}
		for origin in [Origin::Models.into(), Origin::Treasury.into(), Origin::Emergency.into(), by(Alice)] {
			assert_noop!(Amendments::amend(origin, grace(Some(0))), BadOrigin);
		}
	});
}

#[test]
fn collateral_backs_four_fifths_of_the_votes_of_a_host() {
	run(|| {
		blocks(1);
		amend_by_root(grace(Some(0)));
		amend_by_root(RuntimeParameters::Collateral(collateral::Parameters::PerWeight(
			collateral::PerWeight,
			Some(GNK),
		)));
		next_epoch();
		for (host, leaves) in [(Alice, 200), (Bob, 200), (Charlie, 100)] {
			assert_ok!(Collateral::deposit(by(host), leaves * GNK));
		}
		// Alice has 40 % of the compute weight and withdraws all collateral.
		assert_ok!(Collateral::withdraw(by(Alice), 200 * GNK));
		take_part(&[(Alice, 40), (Bob, 40), (Charlie, 20)]);
		let index = propose(Origin::Models, frame_system::Call::remark { remark: vec![] });
		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		assert_ok!(ConvictionVoting::vote(by(Bob), index, NAY));
		let tally = Referenda::ensure_ongoing(index).unwrap().tally;
		let power = 5 * (40 + 40 + 20);
		assert_eq!((tally.ayes, tally.nays), (power * 8 / 100, power * 40 / 100));
		assert_eq!(tally.electorate, power * (8 + 40 + 20) / 100);
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn changed_parameters_reach_the_pallets() {
	run(|| {
		blocks(1);
		amend_by_root(RuntimeParameters::Emission(emission::Parameters::Rate(
			emission::Rate,
			Some(pallet_emission::math::FACTOR * 2),
		)));
		amend_by_root(RuntimeParameters::Collateral(collateral::Parameters::FraudSlash(
			collateral::FraudSlash,
			Some(Perbill::from_percent(50)),
		)));
		amend_by_root(RuntimeParameters::Market(market::Parameters::MinDeposit(market::MinDeposit, Some(7 * GNK))));
		amend_by_root(RuntimeParameters::Poc(poc::Parameters::RegistrationBits(poc::RegistrationBits, Some(9))));
		let required = WorkerVersion { version: 1_002_003, from: 77 };
		amend_by_root(RuntimeParameters::Worker(worker::Parameters::MinVersion(worker::MinVersion, Some(required))));
		next_epoch();
		take_part(&[(Alice, 50), (Bob, 30)]);
		let normal = pallet_emission::math::emission(Emission::supply().unmined, pallet_emission::math::FACTOR);
		next_epoch();
		take_part(&[(Alice, 50), (Bob, 30)]);
		assert!(Emission::last_emission().abs_diff(2 * normal) <= 1, "{} {normal}", Emission::last_emission());
		assert_ok!(Collateral::deposit(by(Alice), 100 * GNK));
		use gonka_primitives::{check::Offence, traits::OnOffence};
		<Runtime as pallet_poc::Config>::OnOffence::on_offence(&account(Alice), 0, Offence::Fabrication);
		assert_eq!(Collateral::view(&account(Alice)).active, 50 * GNK);
		assert_eq!(InferenceMarket::market().min_deposit, 7 * GNK);
		assert_eq!(Poc::registration_terms(&account(Alice)).unwrap().bits, 9);
		use gonka_runtime_common::api::runtime_decl_for_gonka_api::GonkaApiV1;
		assert_eq!(<Runtime as GonkaApiV1<Block>>::min_worker_version(), (1_002_003, 77));
	});
}

#[test]
fn the_genesis_names_the_maturity_until_governance_changes_it() {
	run(|| {
		blocks(1);
		pallet_poc::Maturity::<Runtime>::put(123);
		assert_eq!(<poc::MaturityThreshold as Get<u64>>::get(), 123);
		amend_by_root(RuntimeParameters::Poc(poc::Parameters::MaturityThreshold(poc::MaturityThreshold, Some(5))));
		next_epoch();
		assert_eq!(<poc::MaturityThreshold as Get<u64>>::get(), 5);
	});
}

#[test]
fn clients_see_every_parameter_with_its_default_and_pending_value() {
	use codec::{Decode, Encode};
	use scale_info::TypeInfo;
	run(|| {
		blocks(1);
		let read = |bytes: &[u8]| RuntimeParameters::decode(&mut &bytes[..]).unwrap();
		let half = RuntimeParameters::Collateral(collateral::Parameters::BaseShare(
			collateral::BaseShare,
			Some(Perbill::from_percent(50)),
		));
		let usual = RuntimeParameters::Poc(poc::Parameters::HostExpiry(poc::HostExpiry, None));
		let before = views::parameters();
		assert!(before.iter().all(|one| one.present == one.default && one.pending.is_none()));
		let root = || RuntimeOrigin::from(frame_system::RawOrigin::Root);
		assert_ok!(Amendments::amend(root(), half.clone()));
		assert_ok!(Amendments::amend(root(), usual.clone()));
		let waiting = views::parameters();
		let pending: Vec<_> = waiting.iter().filter_map(|one| one.pending.as_deref()).map(read).collect();
		assert_eq!(pending, [half.clone(), usual]);
		<Amendments as gonka_primitives::traits::OnEpochStart>::on_epoch_start(1);
		let after = views::parameters();
		let changed: Vec<_> = after.iter().filter(|one| one.present != one.default).collect();
		assert_eq!(changed.len(), 1);
		assert_eq!(changed[0].present, half.encode());
		let share = collateral::BaseShare::get();
		assert_eq!(share, Perbill::from_percent(50), "a query of the defaults changes nothing");
		assert_eq!(
			after.iter().map(|one| &one.default).collect::<Vec<_>>(),
			before.iter().map(|one| &one.default).collect::<Vec<_>>()
		);

		// No parameter is missing, and none is listed twice.
		let groups = [
			collateral::Parameters::type_info(),
			emission::Parameters::type_info(),
			poc::Parameters::type_info(),
			market::Parameters::type_info(),
			worker::Parameters::type_info(),
		];
		let count = |ty: scale_info::Type| match ty.type_def {
			scale_info::TypeDef::Variant(variants) => variants.variants.len(),
			_ => 0,
		};
		assert_eq!(count(RuntimeParameters::type_info()), groups.len());
		assert_eq!(before.len(), groups.into_iter().map(count).sum::<usize>());
		let keys: std::collections::BTreeSet<_> = before.iter().map(|one| one.present[..2].to_vec()).collect();
		assert_eq!(keys.len(), before.len());
	});
}
