use super::{mock::*, world::*};
use crate::{Claims, Event, OpenAccusations, OpenChallenges, Queue, ValidityError};
use pallet_poc::{EpochWeights, LastWeighed, Standings, WeighedEpochs};
use polkadot_sdk::frame_support::assert_ok;

/// Gives hosts weights in the epoch weighed last.
fn weigh(weights: &[(u8, u64)]) {
	LastWeighed::<Test>::put(0);
	WeighedEpochs::<Test>::insert(0, EpochWeights::of_total(100, 8));
	for (name, weight) in weights {
		Standings::<Test>::mutate(0, account(*name), |standing| standing.as_mut().unwrap().backed = *weight);
	}
}

/// A false accusation.
fn slander(world: &World, accuser: u8, host: u8) -> Sent {
	accuse(world.accusation(accuser, host, 0, 1, &*wrong_at(host, &[output()], 0)))
}

/// Eight hosts; 2 and 3 revealed tags that all differ.
fn world() -> World {
	let world = World::new(8, &[]);
	world.check(0, &[(2, vec![[2; 4]; 14]), (3, vec![[3; 4]; 14])]);
	world
}

/// The leaf set of a host that 2 and 3 check.
fn shared(host: u8) -> u8 {
	let view = Check::check_view(&account(2)).unwrap();
	let duty = view.duties.iter().find(|duty| duty.host == raw(host)).unwrap();
	duty.sets.iter().find(|set| set.partner.is_some_and(|(who, _)| who == raw(3))).unwrap().number
}

/// Host 2 challenges host 3 about these hosts.
fn challenges(hosts: &[u8]) -> Vec<Sent> {
	hosts.iter().map(|host| challenge(2, 3, *host, shared(*host))).collect()
}

#[test]
fn a_challenger_has_at_most_four_open_challenges() {
	run(|| {
		world();
		let sent = challenges(&[1, 4, 5, 6, 7]);
		assert_eq!(sent[..4], [Ok(()), Ok(()), Ok(()), Ok(())]);
		assert_eq!(sent[4], rejected(ValidityError::TooManyClaims));
		assert_eq!(OpenChallenges::<Test>::get(account(2)), 4);
		pass(SCHEDULE.turn + 1);
		assert_ok!(close(0, Some(2)));
		assert_eq!(OpenChallenges::<Test>::get(account(2)), 3);
		assert_ok!(challenge(2, 3, 7, shared(7)));
	});
}

#[test]
fn the_lightest_openers_newest_claim_gives_way() {
	run(|| {
		let world = world();
		weigh(&[(1, 9), (2, 5), (3, 9), (4, 7), (6, 6)]);
		assert!(challenges(&[1, 4, 5, 6]).into_iter().all(|sent| sent.is_ok()));
		for host in [1, 3, 5] {
			assert_ok!(slander(&world, 4, host));
		}
		assert_eq!(Claims::<Test>::count(), MAX_CLAIMS);
		let lightest: Vec<_> = Queue::<Test>::get().into_inner();
		assert_eq!(lightest, [(5, 3), (5, 2), (5, 1), (5, 0), (7, 6), (7, 5), (7, 4)]);
		assert_eq!(slander(&world, 8, 1), rejected(ValidityError::TooManyClaims), "it has no weight");
		events();
		// Heavier than the challenger, and lighter than the accuser.
		for (host, dropped) in [(1, 3), (2, 2), (3, 1), (5, 0)] {
			assert_ok!(slander(&world, 6, host));
			assert!(events().contains(&Event::ClaimDropped { claim: dropped }));
			assert_eq!(Claims::<Test>::count(), MAX_CLAIMS);
		}
		assert_eq!(OpenChallenges::<Test>::iter().count(), 0);
		assert_eq!(OpenAccusations::<Test>::get(account(6)), 4);
		assert_eq!(challenge(2, 3, 1, shared(1)), rejected(ValidityError::TooManyClaims), "lighter than all");
		// The heaviest displaces the newest of the lightest; its challenge can be opened again when there is room.
		weigh(&[(2, 10)]);
		assert_ok!(challenge(2, 3, 1, shared(1)));
		assert!(events().contains(&Event::ClaimDropped { claim: 10 }));
		assert!(offences().is_empty());
	});
}
