//! A short form of the published simulation of rational adversaries: the same checks, with a fixed seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_sim::strategies::{
	Rules, Setting,
	Strategy::{self, *},
	report::{Effort, LIMIT, run},
	simulate,
};

/// Gains over honesty in points: of power, blocks, votes, pay, emission.
fn gains(rules: Rules, share: f64, strategies: &[Strategy], epochs: u32) -> [f64; 5] {
	let means = |strategies: &[Strategy]| {
		simulate(&Setting { rules, share, strategies: strategies.to_vec(), epochs, seed: 1 }).means()
	};
	let (theirs, honest) = (means(strategies), means(&[]));
	std::array::from_fn(|kind| 100.0 * (theirs[kind] - honest[kind]))
}

#[test]
fn all_checks_of_the_report_hold() {
	let results = run(Effort { series: 2, epochs: 4, seed: 1 }, &[0.1, 0.33], 2, |_| ());
	let failed: Vec<_> = results.checks().into_iter().filter(|check| !check.holds).collect();
	assert!(failed.is_empty(), "{failed:?}\n{}", results.text(""));
	for form in 0..2 {
		let svg = results.plot(form).svg();
		assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
	}
}

#[test]
fn digests_can_be_revealed_in_more_blocks_than_an_adversary_writes_in_a_row() {
	assert_eq!([Rules::FORMER, Rules::BUILT].map(|rules| rules.reveal_blocks()), [5, 20]);
}

#[test]
fn results_depend_on_the_seed_alone() {
	let setting =
		Setting { rules: Rules::BUILT, share: 0.25, strategies: vec![Split, Bias, Judge], epochs: 2, seed: 7 };
	assert_eq!(simulate(&setting), simulate(&setting));
	assert_ne!(simulate(&setting), simulate(&Setting { seed: 8, ..setting.clone() }));
}

/// The simulation finds what former rules allowed: blocks by heads, and samples over the sum of a host's segments.
#[test]
fn former_rules_fail() {
	let by_heads = Rules { seats_by_heads: true, ..Rules::BUILT };
	assert!(gains(by_heads, 0.1, &[Split], 3)[1] > 50.0);
	let over_sum = Rules { samples_over_sum: true, ..Rules::BUILT };
	assert!(gains(over_sum, 0.1, &[Sacrifice], 6)[3] > 5.0);
	assert!(gains(Rules::BUILT, 0.1, &[Sacrifice], 3)[3] < -5.0);
}

/// A commitment that comes late is an exception of the report with the former rules, and none with the rules as built.
#[test]
fn leaves_computed_late_bring_points_unless_they_count_less() {
	assert!(gains(Rules::FORMER, 0.25, &[Late], 4)[3] > 1.5);
	assert!(gains(Rules::BUILT, 0.25, &[Late], 4).into_iter().all(|gain| gain <= LIMIT));
}

#[test]
fn two_blocks_without_the_others_commitments_bring_all_power_unless_there_are_more() {
	let setting = Setting { rules: Rules::FORMER, share: 0.4, strategies: vec![Censor], epochs: 30, seed: 1 };
	let ends = simulate(&setting);
	assert!(ends.captured > 0 && ends.slashed.censored > 0, "{ends:?}");
	let ends = simulate(&Setting { rules: Rules::BUILT, ..setting });
	assert!(ends.captured == 0 && ends.slashed == Default::default(), "{ends:?}");
}
