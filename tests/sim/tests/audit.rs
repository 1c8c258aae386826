//! A short form of the published simulation of sampled validation: the same checks, with a fixed seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_primitives::audit::{AuditRules, NAT};
use gonka_sim::audit::{
	CLAMP, HONEST, INT4, INT8,
	arbiter::tests,
	calibrate,
	cusum::intervals,
	network::{Setting, simulate},
	published,
	report::{ALARM, Effort, run},
	theory,
};

#[test]
fn all_checks_of_the_report_hold() {
	let effort = Effort { receipts: 300_000, tests: 3_000, epochs: 3, hosts: 100, seed: 1 };
	let failed: Vec<_> = run(effort).checks().into_iter().filter(|check| !check.holds).collect();
	assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_time_to_an_alarm_agrees_with_theory_for_another_profile_too() {
	// A profile for half of the tokens from 4-bit weights alone, with a clamp and an alarm that are no multiples of
	// theory's lattice.
	let profile = calibrate(&HONEST, &[&INT4], 0.5, 5 << 16, 6 << 16);
	let alarm = 4 * NAT as u32 + 1_000;
	for (share, receipts) in [(0.4, 20_000), (1.0, 10_000)] {
		let measured = intervals(&profile, (&INT4, share), &[alarm], receipts, 3)[0];
		let weight = theory::weight(&profile, (&INT4, share), 1);
		let expected = theory::run_length(&weight, f64::from(alarm) / NAT as f64);
		assert!(measured.number > 1_000);
		assert!(
			(measured.mean() - expected).abs() <= 4.0 * measured.sigma() + 0.02 * expected,
			"{measured:?} {expected}"
		);
	}
}

#[test]
fn a_profile_with_too_large_ratios_convicts_honest_hosts_as_often_as_theory_says() {
	// Four times the true ratios: the evidence of tokens that come in runs of four but are counted as independent.
	let mut profile = published(ALARM);
	let harsh = |ratios: &mut [i32; 8]| ratios.iter_mut().for_each(|ratio| *ratio *= 4);
	harsh(&mut profile.tape);
	harsh(&mut profile.fingerprint);
	let errors = tests(&profile, (&HONEST, 0.0), (10f64.ln() * NAT as f64) as u32, 3_000, 1);
	let (theory, _) = theory::test(&theory::weight(&profile, (&INT8, 0.0), 1), 10f64.ln());
	assert!((errors.share() / theory - 1.0).abs() < 0.2 && theory > 1e-2, "{errors:?} {theory}");
	assert!(theory::excess(&profile) > 1.1);
}

#[test]
fn no_host_is_convicted_where_none_cheats_but_liars_are_discredited() {
	let setting = Setting { hosts: 100, epochs: 4, receipts: 60, share: 0.0, roles: [0, 0, 40, 0], seed: 5 };
	let out = simulate(&setting, published(ALARM));
	assert!(out.cases[0] > 0 && out.audits > 1_000, "{out:?}");
	assert_eq!((out.wrong, out.liars[1], out.cheats), (0, 4, 0), "{out:?}");
	assert!(out.discredited[1] >= 3, "{out:?}");
	assert_eq!(out, simulate(&setting, published(ALARM)));
}

#[test]
fn the_published_alarm_is_rare_enough_and_within_the_rules() {
	let profile = published(ALARM);
	assert!(profile.is_well_formed() && profile.clamp == CLAMP);
	let honest = theory::weight(&profile, (&INT8, 0.0), 1);
	let bound = f64::from(AuditRules::LN_BILLION) / NAT as f64;
	assert!(theory::test(&honest, bound).0 <= 1e-9);
	assert!(theory::run_length(&honest, f64::from(ALARM) / NAT as f64) * gonka_sim::audit::mean_length() >= 1e8);
}
