use super::{accusations::lie, checks::honest_request, mock::*, players::*, world::*};
use crate::{Claims, Event, Games, OldestClaim, OpenAccusations, Refusal};
use gonka_primitives::{
	check::{Offence, Turn},
	traits::HostPower,
};
use polkadot_sdk::frame_support::{assert_ok, traits::Hooks};

#[test]
fn disputes_go_on_in_the_next_epoch() {
	run(|| {
		let world = World::new(4, &[(3, 1, 0, 2)]);
		go_to_offset(0, SCHEDULE.length - 1);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_ok!(accuse(world.accusation(2, 3, 1, 2, &*honest())));
		assert_ok!(accuse(world.accusation(4, 3, 1, 2, &*honest())));
		let late = world.accusation(4, 1, 0, 1, &*lie());
		go_to_offset(1, 0);
		assert_eq!(accuse(late), refused(Refusal::OutOfPhase));
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		go_to_offset(1, SCHEDULE.settle_start() - 1);
		assert_ok!(close(1, None));
		assert_eq!(offences().len(), 1, "its accuser is convicted");
		assert_ok!(close(2, None));
		assert_eq!(offences()[1..], [(account(3), 0, Offence::Fabrication)]);
		let paid = Poc::page(0, None, 9);
		let of = |name| paid.iter().find(|(who, _)| *who == account(name)).unwrap().1;
		assert_eq!((of(2), of(3)), (0, 0));
		assert_eq!((Poc::weight(0, &account(1)), Poc::weight(0, &account(3))), (35, 0));
	});
}

#[test]
fn claims_that_nobody_closes_are_forgotten_in_the_end() {
	run(|| {
		let world = World::new(4, &[]);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_ok!(accuse(world.accusation(3, 1, 0, 1, &*lie())));
		assert!(step(&world, 0, 1, &*lie(), &*honest()));
		go_to_offset(1, SCHEDULE.length - 1);
		assert!(is_open(0) && is_open(1));
		go_to_offset(2, 1);
		assert_eq!(Claims::<Test>::count(), 0);
		assert_eq!(Games::<Test>::iter().count() + OpenAccusations::<Test>::iter().count(), 0);
		assert_eq!(OldestClaim::<Test>::get(), 2);
		assert!(events().contains(&Event::ClaimDropped { claim: 1 }));
		assert!(offences().is_empty());
		assert_eq!(play(2, 0, 1, 1, Turn::Children(vec![])), refused(Refusal::UnknownClaim));
	});
}

#[test]
fn an_accuser_has_four_accusations_open() {
	run(|| {
		let world = World::new(7, &[]);
		let wrong = |host| wrong_at(host, &[output()], 0);
		for host in [1, 2, 4, 5] {
			assert_ok!(accuse(world.accusation(3, host, 0, 1, &*wrong(host))));
		}
		let fifth = world.accusation(3, 6, 0, 1, &*wrong(6));
		assert_eq!(accuse(fifth), refused(Refusal::TooManyClaims));
		for host in [1, 2, 4] {
			assert_ok!(accuse(world.accusation(7, host, 0, 1, &*wrong(host))));
		}
		assert_eq!(Claims::<Test>::count(), MAX_CLAIMS);
		let eighth = world.accusation(6, 1, 0, 1, &*wrong(1));
		assert_eq!(accuse(eighth.clone()), refused(Refusal::TooManyClaims));
		play_out(&world, 0, 1, &*wrong(1), &*honest());
		assert_ok!(accuse(eighth));
		assert_eq!(OpenAccusations::<Test>::get(account(3)), 3);
	});
}

#[test]
fn requests_do_not_hinder_disputes() {
	run(|| {
		let world = World::new(4, &[]);
		assert_ok!(request(honest_request(&world, 2, 1)));
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert_eq!(Check::request_views(&account(1)).len(), 1);
		assert!(Poc::has_open_request(0, &account(1)));
	});
}

/// Between its epoch's end and the pruning, there is nothing to be done with a claim.
#[test]
fn what_is_paid_is_not_disputed() {
	run(|| {
		let world = World::new(2, &[(1, 0, 0, 1)]);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*honest())));
		go_to_offset(1, SCHEDULE.length - 1);
		System::set_block_number(System::block_number() + 1);
		Poc::on_initialize(System::block_number());
		assert_eq!(close(0, None), refused(Refusal::OutOfPhase));
		assert!(Check::claim_views().is_empty());
		assert_eq!(play(1, 0, 1, 0, Turn::Pick(0)), refused(Refusal::OutOfPhase));
	});
}
