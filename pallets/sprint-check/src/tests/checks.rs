use super::{mock::*, world::*};
use crate::{DigestCommitments, Event, PrunedTo, Requests, Reveals};
use gonka_primitives::check::{OpeningAnswer, OpeningRequest};
use polkadot_sdk::frame_support::assert_ok;

fn duties(name: u8) -> (u32, u32) {
	Poc::standing_view(0, &account(name)).unwrap().duties
}

/// A request of `checker` for two leaves of `host` that it has to check.
pub fn honest_request(world: &World, checker: u8, host: u8) -> OpeningRequest {
	let view = Check::check_view(&account(checker)).unwrap();
	let duty = view.duties.iter().find(|duty| duty.host == raw(host)).unwrap();
	let leaves = world.leaves(view.epoch, host, duty.sets[0].number);
	let segment = leaves[0].0.segment;
	let mut positions: Vec<_> = leaves.iter().filter(|(leaf, _)| leaf.segment == segment).map(|(_, at)| *at).collect();
	positions.truncate(2);
	OpeningRequest { checker: raw(checker), epoch: view.epoch, host: raw(host), segment, positions }
}

pub fn honest_answer(world: &World, request: &OpeningRequest) -> OpeningAnswer {
	let segment = world.segment(request.epoch, name_of(&request.host), request.segment);
	let openings = request.positions.iter().map(|position| segment.opening(*position)).collect();
	OpeningAnswer { host: request.host, epoch: request.epoch, checker: request.checker, openings }
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
		let committed = |event: &Event<Test>| matches!(event, Event::DigestsCommitted { epoch: 0, .. });
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

#[test]
fn a_set_without_a_tag_is_met_only_if_its_host_has_an_open_request() {
	run(|| {
		let world = World::new(4, &[]);
		let mut tags = world.tags(2, &*honest());
		let view = Check::check_view(&account(2)).unwrap();
		let index = view.duties.iter().position(|duty| duty.host == raw(1)).unwrap();
		tags[2 * index] = [0; 4];
		tags[2 * index + 1] = [0; 4];
		// Checker 3 requests openings of host 4, which posts them, and of host 1, which does not.
		assert_ok!(request(honest_request(&world, 3, 1)));
		let asked = honest_request(&world, 3, 4);
		assert_ok!(request(asked.clone()));
		assert_ok!(answer(honest_answer(&world, &asked)));
		let mut others = world.tags(3, &*honest());
		let view = Check::check_view(&account(3)).unwrap();
		let index = view.duties.iter().position(|duty| duty.host == raw(4)).unwrap();
		others[2 * index] = [0; 4];
		world.check(0, &[(2, tags), (3, others)]);
		assert_eq!(duties(2), (6, 6));
		assert_eq!(duties(3), (6, 5));
	});
}

#[test]
fn a_request_without_an_answer_costs_the_segment() {
	run(|| {
		let world = World::new(4, &[]);
		let (first, second) = (honest_request(&world, 2, 1), honest_request(&world, 2, 3));
		assert_ok!(request(first.clone()));
		assert_ok!(request(second.clone()));
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
		assert!(Poc::standing_view(0, &account(1)).unwrap().lost.is_empty());
		assert_eq!(Poc::standing_view(0, &account(3)).unwrap().lost, [second.segment]);
	});
}

#[test]
fn old_epochs_are_pruned() {
	run(|| {
		let mut world = World::new(4, &[]);
		assert_ok!(request(honest_request(&world, 2, 1)));
		world.check_all(0, 4, |_| honest());
		world.run_sprint(1, 4, &[]);
		world.check_all(1, 4, |_| honest());
		assert_eq!(Reveals::<Test>::iter().count(), 8, "the previous epoch is kept");
		go_to_offset(2, 2);
		assert_eq!(PrunedTo::<Test>::get(), 1);
		assert_eq!(DigestCommitments::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(Requests::<Test>::iter().count(), 0);
		assert_eq!(Reveals::<Test>::iter().count(), 4);
		go_to_offset(3, 2);
		assert_eq!(Reveals::<Test>::iter().count() + DigestCommitments::<Test>::iter().count(), 0);
	});
}
