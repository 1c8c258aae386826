//! What strangers and liars can send is refused, and changes nothing.

use super::{mock::*, world::*};
use crate::{Error, Refusal};
use gonka_primitives::{
	ModelId,
	hashing::domain,
	sampling::{FRESH, Finding, Profile, Verdicts},
};
use polkadot_sdk::{
	frame_support::{assert_noop, assert_ok},
	sp_core::storage::Storage,
	sp_runtime::BuildStorage,
};

#[test]
fn samples_are_answered_for_once_by_their_checker_in_their_time() {
	run(|| {
		start(&[10, 10, 10]);
		settle(1, &[(0, 30)]);
		next_window(2);
		let drawn = window();
		let (mine, others) = (open_samples(2).len() as u16, open_samples(3).len() as u16);
		assert!(mine > 2 && others > 2);
		// A host that does not exist.
		assert_eq!(send_verdicts(9, drawn, vec![(0, right())]), refused(Refusal::UnknownHost));
		// One that rules for others.
		let verdicts = Verdicts { checker: raw(2), window: drawn, findings: vec![(0, wrong())] };
		let signature = sign(3, domain::VERDICTS, &verdicts);
		let call = crate::Call::<Test>::submit_verdicts { verdicts: verdicts.clone(), signature };
		assert_eq!(submit(call), refused(Refusal::BadSignature));
		let signature = sign(2, domain::RULING, &verdicts);
		let call = crate::Call::<Test>::submit_verdicts { verdicts, signature };
		assert_eq!(submit(call), refused(Refusal::BadSignature), "for another purpose");
		// One that invents samples.
		assert_eq!(send_verdicts(2, drawn, vec![(mine, wrong())]), refused(Refusal::NotAssigned));
		assert_eq!(send_verdicts(1, drawn, vec![(0, right())]), refused(Refusal::NotAssigned), "of itself");
		assert_eq!(send_verdicts(2, drawn - 1, vec![(0, right())]), refused(Refusal::NotAssigned));
		assert_eq!(send_verdicts(2, drawn + 1, vec![(0, right())]), refused(Refusal::OutOfWindow));
		assert_eq!(send_verdicts(2, drawn - 2, vec![(0, right())]), refused(Refusal::OutOfWindow));
		assert_eq!(send_verdicts(2, u32::MAX, vec![(0, right())]), refused(Refusal::OutOfWindow));
		// Lists that are none.
		assert_eq!(send_verdicts(2, drawn, vec![]), refused(Refusal::Malformed));
		assert_eq!(send_verdicts(2, drawn, vec![(1, right()), (0, right())]), refused(Refusal::Malformed));
		assert_eq!(send_verdicts(2, drawn, vec![(1, right()), (1, right())]), refused(Refusal::Malformed));
		let long = (0..65).map(|index| (index, right())).collect();
		assert_eq!(send_verdicts(2, drawn, long), refused(Refusal::Malformed));
		// Replays.
		assert_ok!(send_verdicts(2, drawn, vec![(0, right()), (2, right())]));
		assert_eq!(send_verdicts(2, drawn, vec![(0, right()), (2, right())]), refused(Refusal::SlotUsed));
		assert_eq!(send_verdicts(2, drawn, vec![(1, right()), (2, right())]), refused(Refusal::SlotUsed));
		assert_ok!(send_verdicts(2, drawn, vec![(1, right())]));
		// Out of its window.
		next_window(WINDOW - 1);
		assert_ok!(send_verdicts(3, drawn, vec![(0, Finding::Inconclusive)]));
		pass(1);
		assert_eq!(send_verdicts(3, drawn, vec![(1, right())]), refused(Refusal::OutOfWindow));
	});
}

#[test]
fn only_arbiters_rule_once_in_time_with_a_decided_test() {
	run(|| {
		start(&[10; 7]);
		raise_alarm(1, &[2, 3, 4], |_| wrong());
		let case = case_of(1).unwrap();
		assert_eq!(send_ruling(ruling(5, &case, right(), right())), refused(Refusal::NotArbiter), "not drawn yet");
		pass(2);
		let case = case_of(1).unwrap();
		let arbiter = name_of(&case.arbiters[0].0);
		let good = ruling(arbiter, &case, right(), right());
		let outsider = (2..=7).find(|name| case.arbiters.iter().all(|(who, _)| *who != raw(*name))).unwrap();
		assert_eq!(send_ruling(ruling(outsider, &case, wrong(), wrong())), refused(Refusal::NotArbiter));
		assert_eq!(send_ruling(ruling(1, &case, right(), right())), refused(Refusal::NotArbiter), "about itself");
		assert_eq!(send_ruling(ruling(9, &case, right(), right())), refused(Refusal::UnknownHost));
		let with = |change: fn(&mut gonka_primitives::sampling::Ruling)| {
			let mut ruling = good.clone();
			change(&mut ruling);
			send_ruling(ruling)
		};
		assert_eq!(with(|r| r.case += 1), refused(Refusal::UnknownCase));
		assert_eq!(with(|r| r.host = raw(2)), refused(Refusal::UnknownCase));
		assert_eq!(with(|r| r.audit.clear()), refused(Refusal::Malformed));
		assert_eq!(with(|r| r.audit = vec![right(); 17]), refused(Refusal::Malformed));
		assert_eq!(with(|r| r.fresh.clear()), refused(Refusal::Undecided));
		assert_eq!(with(|r| r.fresh.truncate(r.fresh.len() - 1)), refused(Refusal::Undecided));
		assert_eq!(with(|r| r.fresh = vec![right(); FRESH as usize + 1]), refused(Refusal::Malformed));
		let signature = sign(outsider, domain::RULING, &good);
		let call = crate::Call::<Test>::rule { ruling: good.clone(), signature };
		assert_eq!(submit(call), refused(Refusal::BadSignature));
		assert_ok!(send_ruling(good.clone()));
		assert_eq!(send_ruling(good), refused(Refusal::SlotUsed));
		let other = name_of(&case.arbiters[1].0);
		System::set_block_number(case.deadline + 1);
		assert_eq!(send_ruling(ruling(other, &case, right(), right())), refused(Refusal::TooLate));
	});
}

#[test]
fn profiles_are_governances_and_well_formed() {
	run(|| {
		let good = profile();
		let origin = RuntimeOrigin::signed(account(1));
		assert!(Sampling::set_profile(origin, 0, Some(good)).is_err());
		assert_noop!(Sampling::set_profile(RuntimeOrigin::root(), 9, Some(good)), Error::<Test>::UnknownModel);
		for bad in [
			Profile { margins: [0, 1, 2, 3, 4, 5], ..good },
			Profile { margins: [1, 2, 3, 3, 4, 5], ..good },
			Profile { distances: [7, 6, 5, 4, 3, 2, 1], ..good },
			Profile { clamp: 0, ..good },
			Profile { alarm: 1, clamp: 2, ..good },
		] {
			assert_noop!(Sampling::set_profile(RuntimeOrigin::root(), 0, Some(bad)), Error::<Test>::Malformed);
		}
		assert_ok!(Sampling::set_profile(RuntimeOrigin::root(), 0, Some(good)));
		assert_eq!(Sampling::profile(0), Some(good));
		assert_ok!(Sampling::set_profile(RuntimeOrigin::root(), 0, None));
		assert_eq!(Sampling::profile(0), None);
	});
}

/// A genesis with the models of the mock.
fn genesis(profiles: Vec<(ModelId, Profile)>) -> Storage {
	let sampling = crate::GenesisConfig { profiles, ..Default::default() };
	RuntimeGenesisConfig { sampling, market: genesis_market(), ..Default::default() }.build_storage().unwrap()
}

#[test]
fn genesis_profiles_are_in_force_from_the_start() {
	let other = Profile { alarm: 99 << 16, ..profile() };
	polkadot_sdk::sp_io::TestExternalities::new(genesis(vec![(0, profile()), (2, other)])).execute_with(|| {
		assert_eq!([0, 1, 2].map(Sampling::profile), [Some(profile()), None, Some(other)]);
		Sampling::do_try_state().unwrap();
	});
}

#[test]
#[should_panic(expected = "bad profile of model 3 in the genesis configuration")]
fn a_genesis_with_a_profile_of_no_model_is_refused() {
	genesis(vec![(0, profile()), (MODELS, profile())]);
}

#[test]
#[should_panic(expected = "bad profile of model 0 in the genesis configuration")]
fn a_genesis_with_a_malformed_profile_is_refused() {
	genesis(vec![(0, Profile { clamp: 0, ..profile() })]);
}

#[test]
fn genesis_profiles_are_written_as_json() {
	let json = r#"{"profiles":[[1,{"margins":[1,2,3,4,5,6],"tape":[-1,0,0,0,0,0,0,9],"distances":[1,2,3,4,5,6,7],
		"fingerprint":[-2,0,0,0,0,0,0,8],"alarm":20,"clamp":10,"min_worker_version":1000}]]}"#;
	let config: crate::GenesisConfig<Test> = serde_json::from_str(json).unwrap();
	let [(1, profile)] = config.profiles[..] else { panic!("{:?}", config.profiles) };
	assert_eq!((profile.tape[0], profile.fingerprint[7], profile.min_worker_version), (-1, 8, 1_000));
	assert_eq!(serde_json::from_str::<Profile>(&serde_json::to_string(&profile).unwrap()).unwrap(), profile);
	let misspelt = json.replace("clamp", "clam");
	assert!(serde_json::from_str::<crate::GenesisConfig<Test>>(&misspelt).is_err());
}
