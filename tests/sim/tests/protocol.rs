//! A short form of the published simulation: the same checks, with a fixed seed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use gonka_sim::{Config, attacks, games, report::Results, run};

fn results(config: Config) -> Results {
	let tally = run(&config, 2, || ());
	Results { tally, games: games::play(config.seed, 50).unwrap(), attacks: vec![], config }
}

#[test]
fn all_checks_of_the_report_hold() {
	let results = results(Config { epochs: 200, ..Config::default() });
	let failed: Vec<_> = results.checks().into_iter().filter(|check| !check.holds).collect();
	assert!(failed.is_empty(), "{failed:?}\n{}", results.text(""));
	assert!(results.bytes() <= 2_600.0);
	let honest = results.tally.honest;
	assert!(honest.accused > 100_000 && honest.challenged > 100_000 && honest.forfeited > 0);
	for partners in 0..20 {
		assert!(results.lazy(partners).z().abs() <= 3.0, "{partners} partners: {:?}", results.lazy(partners));
	}
}

#[test]
fn results_depend_on_the_seed_alone() {
	let config = Config { epochs: 6, hosts: 60, fabricators: 6, ..Config::default() };
	let tally = run(&config, 1, || ());
	assert_eq!(tally, run(&config, 3, || ()));
	assert_ne!(tally, run(&Config { seed: 2, ..config }, 1, || ()));
}

#[test]
fn a_random_part_of_the_hosts_gets_its_share_of_the_seats() {
	let config = Config { hosts: 60, ..Config::default() };
	let gain = attacks::all(&config)[0].measure(1, 20);
	assert!((0.25..0.55).contains(&gain.seats), "{gain:?}");
	assert!(gain.caught[2].0 > 0.95, "{gain:?}");
}

#[test]
fn plots_are_complete() {
	let results = results(Config { epochs: 4, hosts: 60, fabricators: 6, ..Config::default() });
	for plot in [results.detection_plot(), results.lazy_plot()] {
		let svg = plot.svg();
		assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
	}
	assert_eq!(results.detection_plot().series.len(), 4);
}
