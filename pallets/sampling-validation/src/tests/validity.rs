//! The pool rejects invalid reports and rulings, without an effect.

use super::{mock::*, world::*};
use crate::{Error, ValidityError};
use gonka_primitives::{
	ModelId,
	audit::{AuditReport, CalibrationProfile, FRESH, Finding},
	hashing::domain,
};
use polkadot_sdk::{
	frame_support::{assert_noop, assert_ok},
	sp_core::storage::Storage,
	sp_runtime::BuildStorage,
};

#[test]
fn audits_are_reported_on_once_by_their_checker_in_their_window() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let drawn = window();
		let (mine, others) = (open_audits(2).len() as u16, open_audits(3).len() as u16);
		assert!(mine > 2 && others > 2);
		// A host that does not exist.
		assert_eq!(send_report(9, drawn, vec![(0, right())]), rejected(ValidityError::UnknownHost));
		// A key of another host.
		let report = AuditReport { checker: raw(2), window: drawn, findings: vec![(0, wrong())] };
		let signature = sign(3, domain::AUDIT_REPORT, &report);
		let call = crate::Call::<Test>::submit_report { report: report.clone(), signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		let signature = sign(2, domain::RULING, &report);
		let call = crate::Call::<Test>::submit_report { report, signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature), "the domain is another one");
		// Audits that are not assigned.
		assert_eq!(send_report(2, drawn, vec![(mine, wrong())]), rejected(ValidityError::NotAssigned));
		assert_eq!(
			send_report(1, drawn, vec![(0, right())]),
			rejected(ValidityError::NotAssigned),
			"a host has no audit of its own receipts"
		);
		assert_eq!(send_report(2, drawn - 1, vec![(0, right())]), rejected(ValidityError::NotAssigned));
		assert_eq!(send_report(2, drawn + 1, vec![(0, right())]), rejected(ValidityError::OutOfWindow));
		assert_eq!(send_report(2, drawn - 2, vec![(0, right())]), rejected(ValidityError::OutOfWindow));
		assert_eq!(send_report(2, u32::MAX, vec![(0, right())]), rejected(ValidityError::OutOfWindow));
		// Empty and unordered lists.
		assert_eq!(send_report(2, drawn, vec![]), rejected(ValidityError::Malformed));
		assert_eq!(send_report(2, drawn, vec![(1, right()), (0, right())]), rejected(ValidityError::Malformed));
		assert_eq!(send_report(2, drawn, vec![(1, right()), (1, right())]), rejected(ValidityError::Malformed));
		let long = (0..65).map(|index| (index, right())).collect();
		assert_eq!(send_report(2, drawn, long), rejected(ValidityError::Malformed));
		// Replays.
		assert_ok!(send_report(2, drawn, vec![(0, right()), (2, right())]));
		assert_eq!(send_report(2, drawn, vec![(0, right()), (2, right())]), rejected(ValidityError::SlotUsed));
		assert_eq!(send_report(2, drawn, vec![(1, right()), (2, right())]), rejected(ValidityError::SlotUsed));
		assert_ok!(send_report(2, drawn, vec![(1, right())]));
		// Out of its window.
		next_window(WINDOW - 1);
		assert_ok!(send_report(3, drawn, vec![(0, Finding::Inconclusive)]));
		pass(1);
		assert_eq!(send_report(3, drawn, vec![(1, right())]), rejected(ValidityError::OutOfWindow));
	});
}

#[test]
fn only_arbiters_rule_once_in_time_with_a_decided_test() {
	run(|| {
		start(&[10; 24]);
		raise_alarm(1, &(2..=24).collect::<Vec<_>>(), |_| wrong());
		let case = case_of(1).unwrap();
		assert_eq!(
			send_ruling(ruling(5, &case, right(), right())),
			rejected(ValidityError::NotArbiter),
			"the arbiters are not drawn yet"
		);
		pass(2);
		let case = case_of(1).unwrap();
		let arbiter = name_of(&case.arbiters[0].who);
		let good = ruling(arbiter, &case, right(), right());
		let outsider = (2..=24).find(|name| case.arbiters.iter().all(|arbiter| arbiter.who != raw(*name))).unwrap();
		assert_eq!(send_ruling(ruling(outsider, &case, wrong(), wrong())), rejected(ValidityError::NotArbiter));
		assert_eq!(
			send_ruling(ruling(1, &case, right(), right())),
			rejected(ValidityError::NotArbiter),
			"the host of the case is no arbiter"
		);
		assert_eq!(send_ruling(ruling(50, &case, right(), right())), rejected(ValidityError::UnknownHost));
		let with = |change: fn(&mut gonka_primitives::audit::Ruling)| {
			let mut ruling = good.clone();
			change(&mut ruling);
			send_ruling(ruling)
		};
		assert_eq!(with(|r| r.case += 1), rejected(ValidityError::UnknownCase));
		assert_eq!(with(|r| r.host = raw(2)), rejected(ValidityError::UnknownCase));
		assert_eq!(with(|r| r.reviewed.clear()), rejected(ValidityError::Malformed));
		assert_eq!(with(|r| r.reviewed = vec![right(); 17]), rejected(ValidityError::Malformed));
		assert_eq!(with(|r| r.fresh.clear()), rejected(ValidityError::Undecided));
		assert_eq!(with(|r| r.fresh.truncate(r.fresh.len() - 1)), rejected(ValidityError::Undecided));
		assert_eq!(with(|r| r.fresh = vec![right(); FRESH as usize + 1]), rejected(ValidityError::Malformed));
		let signature = sign(outsider, domain::RULING, &good);
		let call = crate::Call::<Test>::rule { ruling: good.clone(), signature };
		assert_eq!(submit(call), rejected(ValidityError::BadSignature));
		assert_ok!(send_ruling(good.clone()));
		assert_eq!(send_ruling(good), rejected(ValidityError::SlotUsed));
		let other = name_of(&case.arbiters[1].who);
		System::set_block_number(case.deadline + 1);
		assert_eq!(send_ruling(ruling(other, &case, right(), right())), rejected(ValidityError::TooLate));
	});
}

#[test]
fn only_governance_sets_profiles_and_they_are_well_formed() {
	run(|| {
		let good = profile();
		let origin = RuntimeOrigin::signed(account(1));
		assert!(Audits::set_profile(origin, 0, Some(good)).is_err());
		assert_noop!(Audits::set_profile(RuntimeOrigin::root(), 9, Some(good)), Error::<Test>::UnknownModel);
		for bad in [
			CalibrationProfile { margins: [0, 1, 2, 3, 4, 5], ..good },
			CalibrationProfile { margins: [1, 2, 3, 3, 4, 5], ..good },
			CalibrationProfile { distances: [7, 6, 5, 4, 3, 2, 1], ..good },
			CalibrationProfile { clamp: 0, ..good },
			CalibrationProfile { alarm: 1, clamp: 2, ..good },
		] {
			assert_noop!(Audits::set_profile(RuntimeOrigin::root(), 0, Some(bad)), Error::<Test>::Malformed);
		}
		assert_ok!(Audits::set_profile(RuntimeOrigin::root(), 0, Some(good)));
		assert_eq!(Audits::profile(0), Some(good));
		assert_ok!(Audits::set_profile(RuntimeOrigin::root(), 0, None));
		assert_eq!(Audits::profile(0), None);
	});
}

/// A genesis with the models of the mock.
fn genesis(profiles: Vec<(ModelId, CalibrationProfile)>) -> Storage {
	let audits = crate::GenesisConfig { profiles, ..Default::default() };
	RuntimeGenesisConfig { audits, market: genesis_market(), ..Default::default() }.build_storage().unwrap()
}

#[test]
fn genesis_profiles_are_in_force_from_the_start() {
	let other = CalibrationProfile { alarm: 99 << 16, ..profile() };
	polkadot_sdk::sp_io::TestExternalities::new(genesis(vec![(0, profile()), (2, other)])).execute_with(|| {
		assert_eq!([0, 1, 2].map(Audits::profile), [Some(profile()), None, Some(other)]);
		Audits::do_try_state().unwrap();
	});
}

#[test]
#[should_panic(expected = "bad profile of model 3 in the genesis configuration")]
fn a_genesis_with_a_profile_of_an_unknown_model_is_rejected() {
	genesis(vec![(0, profile()), (MODELS, profile())]);
}

#[test]
#[should_panic(expected = "bad profile of model 0 in the genesis configuration")]
fn a_genesis_with_a_malformed_profile_is_rejected() {
	genesis(vec![(0, CalibrationProfile { clamp: 0, ..profile() })]);
}

#[test]
fn genesis_profiles_are_written_as_json() {
	let json = r#"{"profiles":[[1,{"margins":[1,2,3,4,5,6],"tape":[-1,0,0,0,0,0,0,9],"distances":[1,2,3,4,5,6,7],
		"fingerprint":[-2,0,0,0,0,0,0,8],"alarm":20,"clamp":10,"min_worker_version":1000}]]}"#;
	let config: crate::GenesisConfig<Test> = serde_json::from_str(json).unwrap();
	let [(1, profile)] = config.profiles[..] else { panic!("{:?}", config.profiles) };
	assert_eq!((profile.tape[0], profile.fingerprint[7], profile.min_worker_version), (-1, 8, 1_000));
	assert_eq!(serde_json::from_str::<CalibrationProfile>(&serde_json::to_string(&profile).unwrap()).unwrap(), profile);
	let misspelt = json.replace("clamp", "clam");
	assert!(serde_json::from_str::<crate::GenesisConfig<Test>>(&misspelt).is_err());
}
