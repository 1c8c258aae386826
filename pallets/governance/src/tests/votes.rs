//! The weight of votes, and the outcome of referenda.

use super::mock::*;
use crate::{Barred, Error, Event, Stances, Tally};
use gonka_primitives::{check::Offence, traits::OnOffence};
use polkadot_sdk::{
	frame_support::{assert_noop, assert_ok, traits::VoteTally},
	pallet_conviction_voting::{AccountVote, Conviction},
	pallet_referenda::ReferendumInfo,
	sp_runtime::Perbill,
	*,
};

#[test]
fn a_vote_has_the_effective_weight_of_the_opening_of_its_poll() {
	run(|| {
		weigh(7, &[(1, 40), (2, 60)]);
		let poll = submit(root());
		weigh(8, &[(1, 1_000), (3, 1_000)]);
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		assert_ok!(ConvictionVoting::vote(by(2), poll, nay()));
		assert_eq!(tally(poll), (40, 60, 40));
		assert_noop!(ConvictionVoting::vote(by(3), poll, aye()), Error::<Test>::NoPower);
		let status = Referenda::ensure_ongoing(poll).unwrap();
		assert_eq!((status.tally.epoch, status.tally.electorate), (7, 100));
		assert_eq!(status.tally.approval(0), Perbill::from_percent(40));
		assert_eq!(status.tally.support(0), Perbill::from_percent(40));
	});
}

#[test]
fn balance_and_conviction_do_not_change_a_vote() {
	run(|| {
		weigh(0, &[(1, 40), (2, 60)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), poll, standard(true, Conviction::Locked6x, u128::MAX)));
		assert_eq!(tally(poll), (40, 0, 40));
		assert_ok!(ConvictionVoting::vote(by(1), poll, standard(true, Conviction::None, 0)));
		assert_eq!(tally(poll), (40, 0, 40));
	});
}

#[test]
fn a_vote_can_be_changed_and_removed() {
	run(|| {
		weigh(0, &[(1, 40), (2, 60)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		assert_ok!(ConvictionVoting::vote(by(1), poll, nay()));
		assert_eq!(tally(poll), (0, 40, 0));
		assert_ok!(ConvictionVoting::remove_vote(by(1), None, poll));
		assert_eq!(tally(poll), (0, 0, 0));
		assert_noop!(ConvictionVoting::remove_vote(by(1), Some(0), poll), Error::<Test>::NotVoter);
		assert_eq!(Stances::<Test>::iter().count(), 0, "no stance is stored");
	});
}

#[test]
fn a_vote_can_be_split_and_be_an_abstention() {
	run(|| {
		weigh(0, &[(1, 101), (2, 60)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), poll, AccountVote::Split { aye: 1, nay: 3 }));
		assert_eq!(tally(poll), (25, 75, 25));
		let abstention = AccountVote::SplitAbstain { aye: 0, nay: 0, abstain: u128::MAX };
		assert_ok!(ConvictionVoting::vote(by(2), poll, abstention));
		assert_eq!(tally(poll), (25, 75, 85), "an abstention is support, and neither for nor against");
		for nothing in [
			AccountVote::Split { aye: 0, nay: 0 },
			AccountVote::SplitAbstain { aye: 0, nay: 0, abstain: 0 },
			AccountVote::Split { aye: u128::MAX, nay: 1 },
		] {
			assert_noop!(ConvictionVoting::vote(by(1), poll, nothing), Error::<Test>::Malformed);
		}
	});
}

#[test]
fn a_convicted_host_has_no_votes_in_open_polls() {
	run(|| {
		weigh(3, &[(1, 40), (2, 60), (3, 5)]);
		let (first, second) = (submit(root()), submit(emergency()));
		for poll in [first, second] {
			assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
			assert_ok!(ConvictionVoting::vote(by(2), poll, aye()));
		}
		assert_ok!(delegate(3, 0, 1));
		assert_eq!(tally(first), (105, 0, 105));
		ConvictionVoting::on_offence(&1, 4, Offence::Fabrication);
		assert_eq!(tally(first), (60, 0, 60), "nor do its delegators count");
		assert_eq!(tally(second), (60, 0, 60));
		assert_noop!(ConvictionVoting::vote(by(1), first, aye()), Error::<Test>::NoPower);
		assert_noop!(delegate(1, 0, 2), Error::<Test>::NoPower);
		assert_ok!(ConvictionVoting::vote(by(3), first, nay()));
		assert_eq!(tally(first), (60, 5, 60), "its delegators vote themselves");

		weigh(4, &[(1, 40), (2, 60)]);
		let barred = submit(root());
		assert_noop!(ConvictionVoting::vote(by(1), barred, aye()), Error::<Test>::NoPower);
		weigh(5, &[(1, 40), (2, 60)]);
		let later = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), later, aye()));
		assert_eq!(tally(later), (40, 0, 40), "it votes again with the weight of a later epoch");
	});
}

#[test]
fn missed_duties_take_no_votes() {
	run(|| {
		weigh(3, &[(1, 40), (2, 60)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		ConvictionVoting::on_offence(&1, 3, Offence::MissedDuties);
		ConvictionVoting::on_offence(&1, 3, Offence::FalseDigest);
		assert_eq!(tally(poll), (40, 0, 40));
		assert_eq!(Barred::<Test>::iter().count(), 0);
	});
}

#[test]
fn an_approved_proposal_is_enacted() {
	run(|| {
		weigh(0, &[(1, 40), (2, 60)]);
		let poll = submit(root());
		assert_ok!(Referenda::place_decision_deposit(by(PROPOSER), poll));
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		blocks(10);
		let info = pallet_referenda::ReferendumInfoFor::<Test>::get(poll).unwrap();
		assert!(matches!(info, ReferendumInfo::Approved(..)), "{info:?}");
		assert_noop!(ConvictionVoting::vote(by(2), poll, nay()), Error::<Test>::NotOngoing);
		let dispatched = |record: &frame_system::EventRecord<RuntimeEvent, _>| {
			matches!(record.event, RuntimeEvent::Scheduler(pallet_scheduler::Event::Dispatched { result: Ok(()), .. }))
		};
		blocks(3);
		assert!(System::events().iter().any(dispatched));
	});
}

#[test]
fn a_rejected_or_unsupported_proposal_is_not_enacted() {
	run(|| {
		weigh(0, &[(1, 40), (2, 60)]);
		let (refused, unsupported) = (submit(root()), submit(root()));
		for poll in [refused, unsupported] {
			assert_ok!(Referenda::place_decision_deposit(by(PROPOSER), poll));
		}
		assert_ok!(ConvictionVoting::vote(by(1), refused, aye()));
		assert_ok!(ConvictionVoting::vote(by(2), refused, nay()));
		blocks(30);
		for poll in [refused, unsupported] {
			let info = pallet_referenda::ReferendumInfoFor::<Test>::get(poll).unwrap();
			assert!(matches!(info, ReferendumInfo::Rejected(..)), "{info:?}");
		}
	});
}

#[test]
fn nothing_can_be_decided_before_an_epoch_is_weighed() {
	run(|| {
		let poll = submit(root());
		assert_noop!(ConvictionVoting::vote(by(1), poll, aye()), Error::<Test>::NoPower);
		let empty = Tally::<Test>::new(0);
		assert_eq!((empty.support(0), empty.approval(0)), (Perbill::zero(), Perbill::zero()));
		assert_ok!(Referenda::place_decision_deposit(by(PROPOSER), poll));
		// It stays undecidable when its epoch is weighed. A poll that is opened then can be decided.
		weigh(0, &[(1, 10)]);
		blocks(2);
		assert_noop!(ConvictionVoting::vote(by(1), poll, aye()), Error::<Test>::NoPower);
		let later = submit(root());
		blocks(2);
		assert_ok!(ConvictionVoting::vote(by(1), later, aye()));
		assert_eq!(tally(later), (10, 0, 10));
		blocks(30);
		let info = pallet_referenda::ReferendumInfoFor::<Test>::get(poll).unwrap();
		assert!(matches!(info, ReferendumInfo::Rejected(..)), "{info:?}");
	});
}

#[test]
fn the_emergency_track_ends_a_stall_of_finality() {
	run(|| {
		weigh(0, &[(1, 100)]);
		blocks(2);
		let call = |delay, finalized| crate::Call::end_stall { delay, finalized };
		let origins = [by(1), frame_system::RawOrigin::Root.into(), crate::Origin::Parameters.into()];
		for origin in origins {
			assert_noop!(ConvictionVoting::end_stall(origin, 50, 1), sp_runtime::DispatchError::BadOrigin);
		}
		for (delay, finalized) in [(50, System::block_number()), (101, 1)] {
			let early = ConvictionVoting::end_stall(crate::Origin::Emergency.into(), delay, finalized);
			assert_eq!(early, Err(Error::<Test>::NoStall.into()));
		}
		let poll = propose(emergency(), call(50, 1).into());
		assert_ok!(Referenda::place_decision_deposit(by(PROPOSER), poll));
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		blocks(12);
		assert_eq!(Ended::get(), Some((50, 1)));
		System::assert_has_event(Event::StallEnded { delay: 50, finalized: 1 }.into());
	});
}

#[test]
fn the_number_of_votes_in_a_class_is_bounded() {
	run(|| {
		weigh(0, &[(1, 100)]);
		for _ in 0..MAX_VOTES {
			assert_ok!(ConvictionVoting::vote(by(1), submit(root()), aye()));
		}
		let poll = submit(root());
		assert_noop!(ConvictionVoting::vote(by(1), poll, aye()), Error::<Test>::MaxVotesReached);
		assert_ok!(ConvictionVoting::vote(by(1), submit(emergency()), aye()));
		assert_ok!(ConvictionVoting::remove_vote(by(1), None, 0));
		assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
	});
}
