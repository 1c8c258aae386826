//! Delegation: per class, one step only, and never more votes than there are.

use super::mock::*;
use crate::{Error, Stance, Stances};
use polkadot_sdk::frame_support::{assert_noop, assert_ok};

#[test]
fn votes_of_a_delegator_follow_the_delegate_in_one_class() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30)]);
		let (before, other) = (submit(root()), submit(emergency()));
		assert_ok!(ConvictionVoting::vote(by(1), before, aye()));
		assert_ok!(ConvictionVoting::vote(by(1), other, aye()));
		assert_ok!(delegate(2, 0, 1));
		assert_eq!(tally(before), (30, 0, 30), "in polls that the delegate voted in before");
		assert_eq!(tally(other), (10, 0, 10), "not in another class");
		let after = submit(root());
		assert_ok!(ConvictionVoting::vote(by(1), after, nay()));
		assert_eq!(tally(after), (0, 30, 0), "and after");
		assert_ok!(ConvictionVoting::vote(by(1), before, nay()));
		assert_eq!(tally(before), (0, 30, 0));
		assert_ok!(ConvictionVoting::remove_vote(by(1), None, before));
		assert_eq!(tally(before), (0, 0, 0));
		assert_ok!(ConvictionVoting::undelegate(by(2), 0));
		assert_eq!(tally(after), (0, 10, 0));
		assert_ok!(ConvictionVoting::vote(by(2), after, aye()));
		assert_eq!(tally(after), (20, 10, 20));
	});
}

#[test]
fn a_delegator_has_the_weight_of_the_opening_in_each_poll() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20)]);
		let first = submit(root());
		weigh(1, &[(1, 11), (2, 2), (3, 3)]);
		let second = submit(root());
		for poll in [first, second] {
			assert_ok!(ConvictionVoting::vote(by(1), poll, aye()));
		}
		assert_ok!(delegate(2, 0, 1));
		assert_ok!(delegate(3, 0, 1));
		assert_eq!(tally(first), (30, 0, 30));
		assert_eq!(tally(second), (16, 0, 16));
	});
}

#[test]
fn delegations_form_no_loops_and_no_chains() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30)]);
		assert_noop!(delegate(1, 0, 1), Error::<Test>::Nonsense);
		assert_ok!(delegate(2, 0, 1));
		assert_noop!(delegate(2, 0, 3), Error::<Test>::AlreadyDelegating);
		assert_noop!(delegate(3, 0, 2), Error::<Test>::TargetDelegates);
		// A delegate may delegate. Delegations to it end.
		assert_ok!(delegate(1, 0, 3));
		assert_eq!(Stances::<Test>::get(2, 0), Stance::default());
		assert_noop!(ConvictionVoting::undelegate(by(2), 0), Error::<Test>::NotDelegating);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(3), poll, aye()));
		assert_eq!(tally(poll), (40, 0, 40));
		assert_noop!(delegate(3, 0, 1), Error::<Test>::AlreadyVoting);
		assert_noop!(delegate(2, 9, 3), Error::<Test>::BadClass);
	});
}

#[test]
fn a_delegator_does_not_vote() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(2), poll, aye()));
		assert_noop!(delegate(2, 0, 1), Error::<Test>::AlreadyVoting);
		assert_ok!(ConvictionVoting::remove_vote(by(2), None, poll));
		assert_ok!(delegate(2, 0, 1));
		assert_noop!(ConvictionVoting::vote(by(2), poll, aye()), Error::<Test>::AlreadyDelegating);
		assert_noop!(ConvictionVoting::remove_vote(by(2), None, poll), Error::<Test>::NotVoter);
		assert_ok!(ConvictionVoting::vote(by(2), submit(emergency()), aye()));
	});
}

#[test]
fn an_account_without_weight_can_be_a_delegate() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20)]);
		let poll = submit(root());
		assert_noop!(ConvictionVoting::vote(by(9), poll, aye()), Error::<Test>::NoPower);
		assert_ok!(delegate(1, 0, 9));
		assert_ok!(ConvictionVoting::vote(by(9), poll, aye()));
		assert_ok!(delegate(2, 0, 9));
		assert_eq!(tally(poll), (30, 0, 30));
	});
}

#[test]
fn a_full_list_of_delegators_keeps_the_heaviest() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 1), (9, 5)]);
		let poll = submit(root());
		assert_ok!(ConvictionVoting::vote(by(9), poll, aye()));
		assert_noop!(delegate(8, 0, 9), Error::<Test>::NoPower);
		for host in [1, 2, 3] {
			assert_ok!(delegate(host, 0, 9));
		}
		assert_noop!(delegate(5, 0, 9), Error::<Test>::TooManyDelegators);
		assert_ok!(delegate(4, 0, 9));
		assert_eq!(tally(poll), (95, 0, 95));
		assert_eq!(Stances::<Test>::get(1, 0), Stance::default());
	});
}
