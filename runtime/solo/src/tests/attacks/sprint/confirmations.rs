//! Attacks on confirmation segments, and on power, votes and pay that follow from them.

use super::*;

/// Gives hosts session keys, so that they can have power.
fn set_keys(names: std::ops::RangeInclusive<u8>) {
	for name in names {
		let sr25519 = key(name).public();
		let grandpa = sp_core::ed25519::Pair::from_seed(&[name; 32]).public().into();
		let keys = SessionKeys { babe: sr25519.into(), grandpa, authority_discovery: sr25519.into() };
		pallet_session::NextKeys::<Runtime>::insert(host(name), keys);
	}
}

/// Goes on through the work phase of `epoch` to the draw of the next confirmation. `claims` says what each host commits to.
/// Returns false at the end of the epoch, if no other confirmation is called.
fn confirm(epoch: EpochIndex, claims: &[(u8, gonka_sprint::Commitment)]) -> bool {
	let drawn = Poc::running_epoch().unwrap().rounds();
	let from = System::block_number() - epoch * SCHEDULE.length;
	for offset in from.max(SCHEDULE.work_start())..SCHEDULE.length {
		go_to(epoch, offset);
		let now = Poc::running_epoch().unwrap();
		let ended = |start: &BlockNumber| start + SCHEDULE.segment == offset;
		if let Some(number) = now.confirmations.iter().position(ended) {
			let segment = SCHEDULE.segments + number as u8;
			claims.iter().for_each(|(name, claim)| commit(*name, segment, *claim));
		}
		if now.rounds() > drawn {
			return true;
		}
	}
	false
}

/// Runs epochs from `first` on until a confirmation is called, up to its draw. Returns that epoch.
fn run_to_confirmation(
	first: EpochIndex,
	names: std::ops::RangeInclusive<u8>,
	claim: impl Fn(u8, u8) -> gonka_sprint::Commitment,
) -> EpochIndex {
	let claims: Vec<_> = names.clone().map(|name| (name, claim(name, SCHEDULE.segments))).collect();
	(first..)
		.find(|epoch| {
			sprint(*epoch, names.clone(), &claim);
			confirm(*epoch, &claims)
		})
		.unwrap()
}

fn end_of_round() {
	let now = Poc::running_epoch().unwrap();
	go_to(now.index, now.draw_of(now.rounds()).unwrap() + SCHEDULE.checking());
}

fn power_of(name: u8) -> Option<u64> {
	let power = pallet_poc::Power::<Runtime>::get();
	power.iter().find(|(who, _)| *who == host(name)).map(|(_, power)| *power)
}

fn votes_of(name: u8) -> u64 {
	use gonka_primitives::traits::EffectiveWeights;
	let (epoch, _) = <Poc as EffectiveWeights<AccountId>>::last_weighed().unwrap();
	<Poc as EffectiveWeights<AccountId>>::weight(epoch, &host(name))
}

fn paid(epoch: EpochIndex, name: u8) -> u64 {
	let all = <Poc as PaidWeights<AccountId>>::page(epoch, None, 100);
	all.into_iter().find(|(who, _)| *who == host(name)).map_or(0, |(_, paid)| paid)
}

/// Strategy "swarm": of many newcomers with made-up counts, one has no checkers but the adversary's own.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn a_newcomer_whose_checkers_are_all_its_own_is_not_paid_for_its_claim() {
	run(|| {
		register(1..=4);
		blocks(1);
		let claim = |name, _| made_up(if name == 4 { 1 << 40 } else { LEAVES });
		let first = run_to_confirmation(0, 1..=3, claim);
		sprint(first + 1, 1..=4, claim);
		check(1..=3, &[]);
		go_to(first + 1, SCHEDULE.work_start());
		assert!(weight(4) > weight(1), "its checkers found nothing");
		let total = pallet_poc::WeighedEpochs::<Runtime>::get(first + 1).unwrap().proven.total;
		assert_eq!((paid(first + 1, 4), total), (0, 15 * LEAVES));
		assert!(paid(first + 1, 1) > 0);
	});
}

/// Strategy "swarm": many newcomers commit to junk and serve nothing. There were more of them than checkers could request openings
/// of, and those that nobody asked had all weight, pay and power on the second day.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn more_silent_newcomers_than_checkers_can_ask_have_no_weight() {
	run(|| {
		register(1..=3);
		blocks(1);
		let claim = |name, _| made_up(if name > 3 { 1 << 40 } else { LEAVES });
		let first = run_to_confirmation(0, 1..=3, claim);
		go_to(first + 1, 0);
		register(4..=90);
		sprint(first + 1, 1..=90, claim);
		let mut asked = std::collections::BTreeSet::new();
		for checker in 1..=3 {
			for newcomer in 4..=90 {
				let leaves = assigned(checker, newcomer);
				if let Some(leaf) = leaves.first() {
					request(checker, newcomer, vec![*leaf]).unwrap().unwrap();
					asked.insert(newcomer);
				}
			}
		}
		assert!((10..=22).contains(&asked.len()), "{} have a committee", asked.len());
		check(1..=3, &(4..=90).collect::<Vec<_>>());
		go_to(first + 1, SCHEDULE.work_start());
		assert!((4..=90).all(|name| weight(name) == Some(0)));
		assert_eq!([1, 2, 3].map(weight), [Some(5 * LEAVES); 3]);
	});
}

/// Strategy "censor": an adversary writes all but the last block that can carry the others' commitments to a segment. There are
/// 19 of them with mainnet's times; there were two.
#[test]
fn commitments_that_are_kept_out_of_many_blocks_cost_in_proportion() {
	run(|| {
		register(1..=3);
		blocks(1);
		pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.prompt = 1);
		for number in 0..SCHEDULE.segments {
			go_to(0, SCHEDULE.segment_end(number));
			commit(1, number, honest(1, number));
			commit(2, number, honest(2, number));
			go_to(0, SCHEDULE.segment_end(number) + SCHEDULE.grace - 2);
			commit(3, number, honest(3, number));
		}
		go_to(0, SCHEDULE.work_start());
		let kept = LEAVES * u64::from(SCHEDULE.segment) / u64::from(SCHEDULE.segment + SCHEDULE.grace - 2);
		assert_eq!([1, 2, 3].map(weight), [5 * LEAVES, 5 * LEAVES, 5 * kept].map(Some));
	});
}

/// Finding 5: a host rents compute for the five minutes of the sprint, a hundred times what the others have. It commits to
/// real counts there, and to eight leaves at confirmations.
#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "epochs take thousands of blocks with mainnet's times")]
fn five_rented_minutes_buy_neither_power_nor_votes() {
	run(|| {
		register(1..=6);
		set_keys(1..=6);
		blocks(1);
		let count = 4_000;
		let first = run_to_confirmation(0, 1..=5, |_, _| made_up(count));
		let of_five: Vec<_> = (1..=5).map(|name| (name, made_up(count))).collect();
		while confirm(first, &of_five) {}
		// The renter joins five others: of four hosts, the cap gives the lightest a tenth whatever it shows.
		let rented = |name, segment| match (name, segment) {
			(6, segment) if segment < SCHEDULE.segments => made_up(100 * count),
			(6, _) => made_up(8),
			_ => made_up(count),
		};
		for epoch in first + 1..first + 4 {
			sprint(epoch, 1..=6, rented);
			let claims: Vec<_> = (1..=6).map(|name| (name, rented(name, SCHEDULE.segments))).collect();
			confirm(epoch, &claims);
			assert_eq!(weight(6), Some(500 * count));
			// Eight leaves a segment are all that it ever showed.
			assert!(power_of(6).unwrap_or(0) <= 1_000, "{epoch}: {:?} millionths", power_of(6));
			assert!(power_of(1) >= Some(190_000));
			assert!(votes_of(6) <= 5 * 8, "{epoch}: {}", votes_of(6));
			assert_eq!(votes_of(1), 5 * count);
			while confirm(epoch, &claims) {}
			assert!(paid(epoch, 6) <= 5 * 8, "{epoch}: {}", paid(epoch, 6));
		}
	});
}

/// Finding 5: the sample of a confirmation followed from the segment's seed, which is known while leaves are computed.
#[test]
fn a_confirmations_sample_cannot_be_known_when_it_is_committed_to() {
	run(|| {
		register(1..=4);
		blocks(1);
		let epoch = run_to_confirmation(0, 1..=4, |name, segment| match (name, segment) {
			(1, segment) if segment >= SCHEDULE.segments => made_up(LEAVES),
			_ => honest(name, segment),
		});
		let now = Poc::running_epoch().unwrap();
		let beacon = now.beacon_of(1).unwrap();
		let (segment, draw) = (SCHEDULE.segments, now.draw_of(1).unwrap());
		let last = (0..SCHEDULE.length).rfind(|offset| SCHEDULE.takes_commitment(segment, &now.confirmations, *offset));
		assert_eq!(draw, last.unwrap() + 2, "a block without commitments fixes the beacon");
		assert!(!now.segment_seeds.contains(&beacon) && now.beacon != Some(beacon));
		// A host that has not all leaves is asked for leaves that it does not have, and cannot answer.
		let leaves = assigned(2, 1);
		assert!((8..=16).contains(&leaves.len()) && leaves.iter().all(|(of, at)| *of == segment && *at < LEAVES));
		request(2, 1, leaves).unwrap().unwrap();
		request(1, 2, assigned(1, 2)).unwrap().unwrap();
		assert!(answer(2).into_iter().all(|sent| sent.is_ok()), "an honest host answers");
		assert_eq!(answer(1), [rejected(Code::BadProof)]);
		check(2..=4, &[1]);
		end_of_round();
		let view = |name| Poc::standing_view(epoch, &host(name)).unwrap();
		assert_eq!((view(1).confirmed, view(2).confirmed), (0, 1_000_000));
		assert_eq!(view(3).duties.1, 6, "the duties of the round count, zeros of a silent host included");
	});
}

/// Finding 5: a host that leaves after the sprint keeps no power until the next day.
#[test]
fn who_leaves_after_the_sprint_loses_its_power_within_the_day() {
	run(|| {
		register(1..=3);
		set_keys(1..=3);
		blocks(1);
		for epoch in 0.. {
			sprint(epoch, 1..=3, honest);
			go_to(epoch, SCHEDULE.work_start());
			assert_eq!([1, 2, 3].map(power_of), [Some(333_333); 3]);
			if confirm(epoch, &[(1, honest(1, SCHEDULE.segments)), (2, honest(2, SCHEDULE.segments))]) {
				break;
			}
		}
		end_of_round();
		assert_eq!([1, 2, 3].map(power_of), [Some(500_000), Some(500_000), Some(1)]);
		two_sessions();
		let grandpa = Grandpa::grandpa_authorities();
		let total: u64 = grandpa.iter().map(|(_, weight)| weight).sum();
		let mut weights: Vec<_> = grandpa.into_iter().map(|(_, weight)| weight).collect();
		weights.sort_unstable();
		assert!(weights[0] * 1_000 < total, "{weights:?}: finality does not wait for it");
	});
}
