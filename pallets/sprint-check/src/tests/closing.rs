use super::{accusations::lie, checks::honest_request, mock::*, players::*, world::*};
use crate::{Claims, Event, Games, OldestClaim, OpenAccusations, ValidityError};
use gonka_primitives::{
	check::{Offence, Turn},
	traits::PaidWeights,
};
use polkadot_sdk::frame_support::{assert_ok, traits::Hooks};

#[test]
fn disputes_continue_in_the_next_epoch() {
	run(|| {
		let world = World::new(4, &[(3, 1, 0, 2)]);
		go_to_offset(0, SCHEDULE.length - 1);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_ok!(accuse(world.accusation(2, 3, 1, 2, &*honest())));
		assert_ok!(accuse(world.accusation(4, 3, 1, 2, &*honest())));
		let late = world.accusation(4, 1, 0, 1, &*lie());
		go_to_offset(1, 0);
		assert_eq!(claim(0).appointed, None);
		pass(1);
		assert_eq!(claim(0).appointed, Some(vec![raw(3), raw(4)]));
		assert_eq!(accuse(late), rejected(ValidityError::OutOfPhase));
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		go_to_offset(1, SCHEDULE.weigh_start() - 1);
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
fn claims_that_nobody_closes_are_pruned() {
	run(|| {
		let world = World::new(4, &[]);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_ok!(accuse_and_draw(world.accusation(3, 1, 0, 1, &*lie())));
		assert!(step(&world, 0, 1, &*lie(), &*honest()));
		go_to_offset(1, SCHEDULE.length - 1);
		assert!(is_open(0) && is_open(1));
		go_to_offset(2, 1);
		assert_eq!(Claims::<Test>::count(), 0);
		assert_eq!(Games::<Test>::iter().count() + OpenAccusations::<Test>::iter().count(), 0);
		assert_eq!(OldestClaim::<Test>::get(), 2);
		assert!(events().contains(&Event::ClaimDropped { claim: 1 }));
		assert!(offences().is_empty());
		assert_eq!(play(2, 0, 1, 1, Turn::Children(vec![])), rejected(ValidityError::UnknownClaim));
	});
}

#[test]
fn an_accuser_has_at_most_four_open_accusations() {
	run(|| {
		let world = World::new(7, &[]);
		let wrong = |host| wrong_at(host, &[output()], 0);
		for host in [1, 2, 4, 5] {
			assert_ok!(accuse(world.accusation(3, host, 0, 1, &*wrong(host))));
		}
		let fifth = world.accusation(3, 6, 0, 1, &*wrong(6));
		assert_eq!(accuse(fifth), rejected(ValidityError::TooManyClaims));
		for host in [1, 2, 4] {
			assert_ok!(accuse(world.accusation(7, host, 0, 1, &*wrong(host))));
		}
		assert_eq!(Claims::<Test>::count(), MAX_CLAIMS);
		let eighth = world.accusation(6, 1, 0, 1, &*wrong(1));
		assert_eq!(accuse(eighth.clone()), rejected(ValidityError::TooManyClaims));
		pass(2);
		play_out(&world, 0, 1, &*wrong(1), &*honest());
		assert_ok!(accuse(eighth));
		assert_eq!(OpenAccusations::<Test>::get(account(3)), 3);
	});
}

#[test]
fn open_requests_do_not_prevent_disputes() {
	run(|| {
		let world = World::new(4, &[]);
		assert_ok!(request(honest_request(&world, 2, 1)));
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, 1, &*lie())));
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert_eq!(Check::request_views(&account(1)).len(), 1);
		assert_eq!(Poc::unanswered(0, 0, &account(1)), 1);
	});
}

/// After its epoch is paid and before it is pruned, a claim has no effect.
#[test]
fn claims_of_a_paid_epoch_cannot_be_played_or_closed() {
	run(|| {
		let world = World::new(2, &[(1, 0, 0, 1)]);
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*honest())));
		go_to_offset(1, SCHEDULE.length - 1);
		System::set_block_number(System::block_number() + 1);
		Poc::on_initialize(System::block_number());
		assert_eq!(close(0, None), rejected(ValidityError::OutOfPhase));
		assert!(Check::claim_views().is_empty());
		assert_eq!(play(1, 0, 1, 0, Turn::Pick(0)), rejected(ValidityError::OutOfPhase));
	});
}
