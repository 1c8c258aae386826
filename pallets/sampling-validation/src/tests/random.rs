//! Random hosts with random findings. Nothing panics, the invariants hold after every transaction and block, and honest
//! hosts lose nothing while most hosts are honest.

use super::{mock::*, world::*};
use gonka_primitives::audit::Finding;
use proptest::prelude::*;

/// Hosts 1 to 5 are honest in all they do, 6 and 7 are not.
const HONEST: std::ops::RangeInclusive<u8> = 1..=5;
const HOSTS: u8 = 7;

#[derive(Clone, Debug)]
enum Step {
	Settle { host: u8, receipts: u32, other: u32 },
	Check { checker: u8, mood: u8 },
	Rule { mood: u8 },
	Appeal { host: u8 },
	Junk { sender: u8, window: u32, index: u16, mood: u8 },
	Pass(u32),
}

fn step() -> impl Strategy<Value = Step> {
	let host = 1..=HOSTS;
	prop_oneof![
		4 => (host.clone(), 1..40u32, 0..10u32)
			.prop_map(|(host, receipts, other)| Step::Settle { host, receipts, other }),
		6 => (host.clone(), any::<u8>()).prop_map(|(checker, mood)| Step::Check { checker, mood }),
		3 => any::<u8>().prop_map(|mood| Step::Rule { mood }),
		2 => host.clone().prop_map(|host| Step::Appeal { host }),
		1 => (host, 0..12u32, 0..40u16, any::<u8>())
			.prop_map(|(sender, window, index, mood)| Step::Junk { sender, window, index, mood }),
		5 => (1..25u32).prop_map(Step::Pass),
	]
}

fn anything(mood: u8) -> Finding {
	match mood % 5 {
		0 => right(),
		1 => wrong(),
		2 => broken(),
		3 => Finding::Unavailable,
		_ => Finding::Inconclusive,
	}
}

/// The finding of `speaker` about `host`: the truth, which is that 7 cheats, or an arbitrary one.
fn word(speaker: u8, host: u8, mood: u8) -> Finding {
	match (HONEST.contains(&speaker), host == 7) {
		(true, true) => wrong(),
		(true, false) => right(),
		(false, _) => anything(mood),
	}
}

/// Honest hosts report on all their audits and rule in all their cases.
fn duties(mood: u8, liars: bool) {
	for checker in (1..=HOSTS).filter(|name| liars || HONEST.contains(name)) {
		check(checker, |host| word(checker, host, mood));
	}
	for case in Audits::case_views() {
		for arbiter in &case.arbiters {
			let name = name_of(&arbiter.who);
			if arbiter.ruled.is_none() && (liars || HONEST.contains(&name)) {
				let finding = word(name, name_of(&case.host), mood);
				let _ = send_ruling(ruling(name, &case, finding, finding));
			}
		}
	}
}

fn take(step: Step) {
	match step {
		Step::Settle { host, receipts, other } => {
			let last = pallet_inference_market::SettledWindows::<Test>::get(account(host)).last().copied();
			if last.is_none_or(|last| last + 1 < window()) {
				let both = [(0, receipts), (1, other)];
				settle(host, if other > 0 { &both } else { &both[..1] });
			}
		},
		Step::Check { checker, mood } => {
			check(checker, |host| word(checker, host, mood));
		},
		Step::Rule { mood } => duties(mood, true),
		Step::Appeal { host } => {
			if let Some(judgement) = judgement_of(host) {
				fund(host);
				let _ = Audits::appeal(RuntimeOrigin::signed(account(host)), judgement.case);
			}
		},
		Step::Junk { sender, window, index, mood } => {
			let _ = send_report(sender, window, vec![(index, anything(mood)), (index + 1, anything(mood))]);
		},
		Step::Pass(blocks) => (0..blocks).for_each(|_| {
			duties(0, false);
			pass(1);
		}),
	}
}

proptest! {
	#![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(24) })]

	#[test]
	fn invariants_hold_and_the_honest_lose_nothing(steps in prop::collection::vec(step(), 10..60), salt: u64) {
		Salt::set(salt);
		run(|| {
			// Liars have a quarter of the weight: they can raise an alarm, but have a majority of seats only by luck.
			start(&[10, 10, 10, 10, 10, 8, 8]);
			steps.into_iter().for_each(take);
			// At the end, every fee is decided on.
			for _ in 0..9 {
				duties(1, true);
				next_window(0);
				pass(2);
			}
			assert_eq!(pallet_inference_market::HeldFees::<Test>::iter().count(), 0);
			let epoch = Poc::running_epoch().unwrap().index;
			for name in HONEST {
				let record = Audits::record(&account(name));
				let was_convicted = (0..=epoch).any(|epoch| Poc::offence(epoch, &account(name)).is_some());
				if !liars_had_a_majority() {
					assert!(!was_convicted && record.condemned.is_none() && record.muted.is_none(), "{name}: {record:?}");
				}
			}
		});
		Salt::set(0);
	}
}

/// Whether liars ever had half of the seats of a case.
fn liars_had_a_majority() -> bool {
	System::events().iter().any(|record| match &record.event {
		RuntimeEvent::Audits(crate::Event::ArbitersDrawn { arbiters, .. }) => {
			let is_liar = |who: &polkadot_sdk::sp_runtime::AccountId32| (6..=HOSTS).any(|liar| *who == account(liar));
			let seats =
				|all: bool| arbiters.iter().filter(|(who, _)| all || is_liar(who)).map(|(_, seats)| seats).sum::<u32>();
			seats(false) * 2 >= seats(true)
		},
		_ => false,
	})
}
