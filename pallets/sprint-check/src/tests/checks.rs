use super::{mock::*, world::*};
use crate::{DigestCommitments, Event, LateAnswers, PrunedTo, Requests, Reveals, ValidityError};
use gonka_primitives::check::{OpeningAnswer, OpeningRequest};
use gonka_sprint::Tag;
use polkadot_sdk::frame_support::assert_ok;

fn duties(name: u8) -> (u32, u32) {
	Poc::standing_view(0, &account(name)).unwrap().duties
}

/// A request of `checker` for a leaf of `host` in each segment that it has to check.
pub fn honest_request(world: &World, checker: u8, host: u8) -> OpeningRequest {
	let view = Check::check_view(&account(checker)).unwrap();
	let duty = view.duties.iter().find(|duty| duty.host == raw(host)).unwrap();
	let leaves = world.leaves(view.epoch, host, duty.sets[0].number);
	let mut positions: Vec<_> = leaves.iter().map(|(leaf, at)| (leaf.segment, *at)).collect();
	positions.dedup_by_key(|(segment, _)| *segment);
	OpeningRequest { checker: raw(checker), epoch: view.epoch, round: view.round, host: raw(host), positions }
}

pub fn honest_answer(world: &World, request: &OpeningRequest) -> OpeningAnswer {
	let host = name_of(&request.host);
	let open = |(segment, position): &(u8, u64)| world.segment(request.epoch, host, *segment).opening(*position);
	let openings = request.positions.iter().map(open).collect();
	OpeningAnswer { host: request.host, epoch: request.epoch, round: request.round, checker: request.checker, openings }
}

#[test]
fn honest_partners_have_equal_tags() {
	run(|| {
		let world = World::new(4, &[]);
		assert_eq!(Check::check_view(&account(5)), None);
		let before = Check::check_view(&account(1)).unwrap();
		assert_eq!((before.committed, before.revealed, before.duties.len()), (None, false, 3));
		assert_eq!(before.duties[0].url, b"http://host:1");
		assert_eq!(before.duties[0].commitments.len(), 5);
		events();
		world.check_all(0, 4, |_| honest());
		for name in 1..=4 {
			let view = Check::check_view(&account(name)).unwrap();
			assert!(view.revealed && view.committed.is_some());
			for set in view.duties.iter().flat_map(|duty| &duty.sets) {
				let (partner, tag) = set.partner.unwrap();
				assert!(partner != raw(name) && set.tag.is_some());
				assert_eq!(tag, set.tag);
			}
			assert_eq!(duties(name), (6, 6));
		}
		let committed = |event: &Event<Test>| matches!(event, Event::DigestsCommitted { epoch: 0, round: 0, .. });
		let revealed = |event: &Event<Test>| matches!(event, Event::DigestsRevealed { total: 6, met: 6, .. });
		let events = events();
		assert_eq!(events.iter().filter(|event| committed(event)).count(), 4);
		assert_eq!(events.iter().filter(|event| revealed(event)).count(), 4);
	});
}

#[test]
fn there_are_no_duties_before_the_draw() {
	run(|| {
		let _ = World::new(3, &[]);
		assert!(Check::check_view(&account(1)).is_some());
		go_to_offset(1, 0);
		assert_eq!(Check::check_view(&account(1)), None);
		assert!(Check::request_views(&account(1)).is_empty());
	});
}

/// The tags of `checker`, with zeros for its sets of `host`.
fn without(world: &World, checker: u8, host: u8) -> Vec<Tag> {
	let mut tags = world.tags(checker, &*honest());
	let duties = Check::check_view(&account(checker)).unwrap().duties;
	let sets = duties.iter().flat_map(|duty| duty.sets.iter().map(|_| duty.host));
	sets.zip(&mut tags).filter(|(of, _)| *of == raw(host)).for_each(|(_, tag)| *tag = [0; 4]);
	tags
}

#[test]
fn a_set_without_a_tag_is_met_if_the_host_answered_late_or_was_silent() {
	run(|| {
		let world = World::new(4, &[]);
		// Checkers 2 and 3 request openings of host 4, which posts them at once for one and late for the other. Host 1 posts
		// none.
		assert_ok!(request(honest_request(&world, 3, 1)));
		let asked = [2, 3].map(|checker| honest_request(&world, checker, 4));
		asked.iter().for_each(|asked| request(asked.clone()).unwrap());
		assert_ok!(answer(honest_answer(&world, &asked[0])));
		pass(SCHEDULE.answer / 2 + 1);
		assert_ok!(answer(honest_answer(&world, &asked[1])));
		assert_eq!(LateAnswers::<Test>::iter_keys().collect::<Vec<_>>(), [(0, account(3), (account(4), 0))]);
		let tags = [(1, 4), (2, 4), (3, 4), (4, 1)].map(|(checker, host)| (checker, without(&world, checker, host)));
		world.check(0, &tags);
		assert_eq!(duties(1), (6, 4), "it did not ask");
		assert_eq!(duties(2), (6, 4), "it asked, and had the answer in time");
		assert_eq!(duties(3), (6, 6), "it asked, and the answer was late");
		assert_eq!(duties(4), (6, 6), "host 1 left a request unanswered");
	});
}

#[test]
fn a_checker_requests_openings_of_a_limited_number_of_hosts_of_a_kind_in_a_round() {
	run(|| {
		let world = World::new(4, &[]);
		let own = account(2);
		let asked = |asked| pallet_poc::Standings::<Test>::mutate(0, &own, |one| one.as_mut().unwrap().asked = asked);
		assert_eq!(Poc::request_limit(0), 255, "of four checkers");
		asked((0, 0, 255));
		assert_eq!(Check::do_try_state(), Ok(()), "without a request on chain");
		assert_eq!(request(honest_request(&world, 2, 1)), rejected(ValidityError::TooManyRequests));
		asked((0, 255, 254));
		assert!(Poc::may_request(0, 0, &account(1), &own), "the others are not new");
		asked((1, 0, 255));
		assert_ok!(request(honest_request(&world, 2, 1)));
		assert_eq!(pallet_poc::Standings::<Test>::get(0, &own).unwrap().asked, (0, 0, 1), "another round");
	});
}

/// A checker cannot have all hosts answer late instead of computing.
#[test]
fn a_checker_is_excused_for_24_hosts_that_answered_late() {
	run(|| {
		let world = World::new(29, &[]);
		elect(&[2, 3]);
		let asked: Vec<_> = (1..=29).filter(|host| *host != 2).map(|host| honest_request(&world, 2, host)).collect();
		asked.iter().for_each(|asked| request(asked.clone()).unwrap());
		pass(SCHEDULE.answer / 2 + 1);
		asked
			.iter()
			.filter(|asked| asked.host != raw(29))
			.for_each(|asked| answer(honest_answer(&world, asked)).unwrap());
		let zeros = vec![[0; 4]; world.tags(2, &*honest()).len()];
		let honest_tags = world.tags(3, &*honest());
		let sets = zeros.len() as u32;
		world.check(0, &[(2, zeros), (3, honest_tags)]);
		// All but host 3 have two checkers and two sets. 27 hosts answered late.
		assert_eq!(duties(2), (sets, sets - 2 * 3));
		assert_eq!(duties(3).0, duties(3).1);
	});
}

#[test]
fn a_request_without_an_answer_costs_the_weight_in_a_small_committee() {
	run(|| {
		let world = World::new(4, &[]);
		let (first, second) = (honest_request(&world, 2, 1), honest_request(&world, 2, 3));
		assert!(first.positions.len() == 5, "a position in each segment");
		assert_ok!(request(first.clone()));
		assert_ok!(request(second));
		let views = Check::request_views(&account(1));
		assert_eq!(views.len(), 1);
		let deadline = 1 + SCHEDULE.draw() + SCHEDULE.answer;
		assert_eq!((views[0].deadline, &views[0].positions), (deadline, &first.positions));
		assert_eq!(views[0].openings, None);
		let asked_by = |checker| {
			let all = (1..=4).flat_map(|host| Check::request_views(&account(host)));
			all.filter(|view| view.checker == <[u8; 32]>::from(account(checker))).count()
		};
		assert_eq!([2, 3].map(asked_by), [2, 0]);

		go_to(deadline.into());
		let posted = honest_answer(&world, &first);
		assert_ok!(answer(posted.clone()));
		assert_eq!(Check::request_views(&account(1))[0].openings, Some(posted.openings));
		go_to_offset(0, SCHEDULE.work_start());
		let weight = |name| Poc::standing_view(0, &account(name)).unwrap();
		assert_eq!((weight(1).unanswered, weight(1).compute_weight), (0, Some(35)));
		assert_eq!((weight(3).unanswered, weight(3).compute_weight), (1, Some(0)), "one of three checkers");
	});
}

#[test]
fn old_epochs_are_pruned() {
	run(|| {
		let mut world = World::new(4, &[]);
		let asked = honest_request(&world, 2, 1);
		assert_ok!(request(asked.clone()));
		pass(SCHEDULE.answer / 2 + 1);
		assert_ok!(answer(honest_answer(&world, &asked)));
		assert_eq!(LateAnswers::<Test>::iter().count(), 1);
		world.check_all(0, 4, |_| honest());
		world.run_sprint(1, 4, &[]);
		world.check_all(1, 4, |_| honest());
		assert_eq!(Reveals::<Test>::iter().count(), 8, "the previous epoch is kept");
		go_to_offset(2, 2);
		assert_eq!(PrunedTo::<Test>::get(), 1);
		assert_eq!(DigestCommitments::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(Requests::<Test>::iter().count() + LateAnswers::<Test>::iter().count(), 0);
		assert_eq!(Reveals::<Test>::iter().count(), 4);
		go_to_offset(3, 2);
		assert_eq!(Reveals::<Test>::iter().count() + DigestCommitments::<Test>::iter().count(), 0);
	});
}

/// Runs epochs until a confirmation is called in one of them, and goes to the end of its segment. Returns the epoch.
fn to_confirmation(world: &mut World, last: u8, fabricated: &[Fabricated]) -> u32 {
	for epoch in 0..20 {
		if epoch > 0 {
			world.run_sprint(epoch, last, fabricated);
		}
		world.check_all(epoch, last, |_| honest());
		for offset in SCHEDULE.weigh_start()..SCHEDULE.length {
			go_to_offset(epoch, offset);
			if let Some(start) = Poc::running_epoch().unwrap().confirmations.first() {
				go_to_offset(epoch, start + SCHEDULE.segment);
				return epoch;
			}
		}
	}
	unreachable!("no confirmation was called");
}

/// Goes to the draw of the confirmation's round.
fn to_round(epoch: u32) {
	let now = Poc::running_epoch().unwrap();
	go_to_offset(epoch, SCHEDULE.draw_of(1, &now.confirmations).unwrap());
}

#[test]
fn confirmations_are_checked_like_the_sprint() {
	run(|| {
		let mut world = World::new(4, &[]);
		let epoch = to_confirmation(&mut world, 4, &[]);
		(1..=4).for_each(|name| world.commit(epoch, name, SCHEDULE.segments, &[]));
		assert_eq!(commit_digest(2, epoch, &[]), rejected(ValidityError::OutOfPhase), "the sprint's window is over");
		to_round(epoch);
		let view = Check::check_view(&account(1)).unwrap();
		let beacons = Poc::running_epoch().unwrap();
		assert_eq!((view.round, Some(view.beacon)), (1, beacons.beacon_of(1)));
		assert_ne!(beacons.beacon_of(1), beacons.beacon_of(0));
		assert_eq!(view.duties[0].commitments.len(), 1);
		// A request in the round, answered in time.
		let asked = honest_request(&world, 2, 1);
		assert!(asked.positions.iter().all(|(segment, _)| *segment == SCHEDULE.segments));
		assert_ok!(request(asked.clone()));
		assert_ok!(answer(honest_answer(&world, &asked)));
		world.check_all(epoch, 4, |_| honest());
		let view = Poc::standing_view(epoch, &account(1)).unwrap();
		assert_eq!((view.duties, view.confirmations, view.confirmed), ((12, 12), 1, 1_000_000));
		assert_eq!(view.performance, 1_000_000);
	});
}

#[test]
fn unanswered_requests_in_a_round_cost_the_confirmation() {
	run(|| {
		let mut world = World::new(4, &[]);
		let epoch = to_confirmation(&mut world, 4, &[]);
		(1..=4).for_each(|name| world.commit(epoch, name, SCHEDULE.segments, &[]));
		to_round(epoch);
		assert_ok!(request(honest_request(&world, 2, 1)));
		go_to_offset(epoch, SCHEDULE.length - 1);
		let view = |name| Poc::standing_view(epoch, &account(name)).unwrap();
		assert_eq!((view(1).compute_weight, view(1).confirmed, view(1).unanswered), (Some(35), 0, 1));
		assert_eq!((view(3).compute_weight, view(3).confirmed), (Some(35), 1_000_000));
	});
}

#[test]
fn a_tag_of_a_confirmation_can_be_challenged_and_an_empty_set_cannot() {
	run(|| {
		let mut world = World::new(3, &[]);
		let epoch = to_confirmation(&mut world, 3, &[]);
		// Host 2 does not confirm.
		[1, 3].into_iter().for_each(|name| world.commit(epoch, name, SCHEDULE.segments, &[]));
		to_round(epoch);
		let tags = |checker: u8, empty: Tag| -> Vec<Tag> {
			let duties = Check::check_view(&account(checker)).unwrap().duties;
			let sets = duties.iter().flat_map(|duty| duty.sets.iter().map(|set| (name_of(&duty.host), set.number)));
			let digests = |(host, set)| match host {
				2 => empty,
				_ => gonka_sprint::committee::tag(&world.digests(epoch, host, set, &*honest())),
			};
			sets.map(digests).collect()
		};
		let empty = gonka_sprint::committee::tag(&[]);
		let mut wrong = tags(3, [7; 4]);
		let duties = Check::check_view(&account(3)).unwrap().duties;
		let sets = duties.iter().flat_map(|duty| duty.sets.iter().map(|_| duty.host));
		sets.zip(&mut wrong).filter(|(host, _)| *host == raw(1)).for_each(|(_, tag)| *tag = [6; 4]);
		world.check(epoch, &[(1, tags(1, empty)), (2, tags(2, empty)), (3, wrong)]);
		assert_eq!(challenge(1, 3, 2, 0), rejected(ValidityError::NothingToDispute), "host 2 has no leaves");
		assert_ok!(challenge(2, 3, 1, 0));
		let claim = Check::claim_views().remove(0);
		let gonka_primitives::views::SubjectView::Challenge { round, leaves, commitments, .. } = claim.subject else {
			panic!()
		};
		assert_eq!((round, leaves.len(), commitments.len()), (1, 7, 1));
	});
}
