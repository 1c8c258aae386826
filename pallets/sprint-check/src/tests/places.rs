use super::{accusations::lie, mock::*, players::*, world::*};
use crate::{PlacesOf, ValidityError, Waiting, weights::WeightInfo};
use gonka_primitives::check::{Offence, Turn};
use polkadot_sdk::frame_support::{assert_ok, traits::Hooks};

#[test]
fn a_silent_refuter_frees_its_place_and_has_no_stake_left() {
	run(|| {
		let world = World::new(6, &[]);
		elect(&[6]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, 1, &*lie())));
		for refuter in [3, 4] {
			assert!(step(&world, 0, refuter, &*lie(), &*honest()));
			assert!(step(&world, 0, refuter, &*lie(), &*honest()));
		}
		assert_eq!(PlacesOf::<Test>::get(0).unwrap().open, MAX_GAMES);
		assert_eq!(play(5, 0, 5, 0, Turn::Pick(0)), rejected(ValidityError::TooManyGames));
		pass(SCHEDULE.turn + 1);
		assert_ok!(close(0, Some(3)));
		assert_eq!(PlacesOf::<Test>::get(0).unwrap().open, MAX_GAMES - 1);
		assert_eq!(play(3, 0, 3, 0, Turn::Pick(0)), rejected(ValidityError::NoStake));
		let false_one = world.accusation(3, 1, 0, 1, &*lie());
		assert_eq!(accuse(false_one), rejected(ValidityError::NoStake));
		assert!(step(&world, 0, 5, &*lie(), &*honest()));
		play_out(&world, 0, 5, &*lie(), &*honest());
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
		assert_eq!(PlacesOf::<Test>::iter().count(), 0);
		// It still defends itself.
		let wrong = wrong_at(3, &[output()], 0);
		assert_ok!(accuse_and_draw(world.accusation(4, 3, 0, 1, &*wrong)));
		assert!(step(&world, 1, 3, &*wrong, &*honest()));
	});
}

#[test]
fn parties_are_not_appointed_and_challenges_have_no_refuters_drawn() {
	run(|| {
		let world = super::challenges::world_with_liar(3);
		assert_ok!(challenge(2, 3, 1, super::challenges::shared(2, 3)));
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_eq!(Waiting::<Test>::get().len(), 1);
		pass(2);
		assert!(Waiting::<Test>::get().is_empty());
		assert_eq!((claim(0).appointed, claim(1).appointed), (None, Some(vec![raw(3), raw(4)])));
		assert!(super::mock::events().contains(&crate::Event::RefutersAppointed { claim: 1, refuters: 2 }));
	});
}

#[test]
fn in_a_network_of_two_only_the_accused_refutes() {
	run(|| {
		let world = World::new(2, &[]);
		assert_ok!(accuse_and_draw(world.accusation(2, 1, 0, 1, &*lie())));
		assert_eq!(claim(0).appointed, Some(vec![]));
		play_out(&world, 0, 1, &*lie(), &*honest());
		assert_eq!(offences(), [(account(2), 0, Offence::FalseAccusation)]);
	});
}

#[test]
fn no_host_is_accused_before_committees_are_drawn() {
	run(|| {
		let world = World::new(3, &[]);
		let accusation = world.accusation(2, 1, 0, 1, &*lie());
		let beacon = Poc::running_epoch().unwrap().beacon;
		let draw = |beacon| pallet_poc::CurrentEpoch::<Test>::mutate(|epoch| epoch.as_mut().unwrap().beacon = beacon);
		draw(None);
		assert_eq!(accuse(accusation.clone()), rejected(ValidityError::OutOfPhase));
		draw(beacon);
		assert_ok!(accuse(accusation));
	});
}

#[test]
fn blocks_without_a_draw_cost_one_read() {
	run(|| {
		let world = World::new(3, &[]);
		type W = <Test as crate::Config>::WeightInfo;
		let hook = || Check::on_initialize(System::block_number());
		assert_eq!(hook(), W::draw_refuters(0));
		assert_ok!(accuse(world.accusation(2, 1, 0, 1, &*lie())));
		assert_eq!(hook(), W::draw_refuters(0));
		System::set_block_number(System::block_number() + 2);
		assert_eq!(hook(), W::draw_refuters(1));
	});
}
