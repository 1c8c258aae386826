//! Weights outlast the epochs that their source keeps, and are dropped when they are not needed.

use super::mock::*;
use crate::{Barred, Counted, OpenPolls, Snapshots, Stances, Weights};
use gonka_primitives::{check::Offence, traits::OnOffence};
use polkadot_sdk::frame_support::assert_ok;

#[test]
fn a_poll_may_last_longer_than_its_source_keeps_weights() {
	run(|| {
		settle(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let poll = submit(root());
		// Two weights a block are copied.
		blocks(4);
		assert_eq!(Weights::<Test>::iter().count(), 5);
		for epoch in 1..=6 {
			settle(epoch, &[(1, 1_000)]);
		}
		for host in 1..=5 {
			assert_ok!(ConvictionVoting::vote(by(host), poll, aye()));
		}
		assert_eq!(tally(poll), (150, 0, 150));
	});
}

#[test]
fn a_vote_does_not_wait_for_the_copy() {
	run(|| {
		settle(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let poll = submit(root());
		for host in 1..=5 {
			assert_ok!(ConvictionVoting::vote(by(host), poll, aye()));
			blocks(1);
			assert_ok!(ConvictionVoting::vote(by(host), poll, aye()));
		}
		assert_eq!(tally(poll), (150, 0, 150));
	});
}

#[test]
fn a_conviction_is_not_undone_by_the_copy() {
	run(|| {
		settle(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let poll = submit(root());
		blocks(2);
		ConvictionVoting::on_offence(&1, 0, Offence::Fabrication);
		ConvictionVoting::on_offence(&5, 0, Offence::FalseAccusation);
		blocks(4);
		assert!(ConvictionVoting::vote(by(1), poll, aye()).is_err());
		assert!(ConvictionVoting::vote(by(5), poll, aye()).is_err());
	});
}

#[test]
fn nothing_is_left_of_polls_that_have_ended() {
	run(|| {
		settle(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let polls: Vec<_> = (0..3).map(|_| submit(root())).collect();
		for host in 1..=4 {
			assert_ok!(ConvictionVoting::vote(by(host), polls[0], aye()));
		}
		assert_ok!(delegate(5, 0, 1));
		ConvictionVoting::on_offence(&2, 0, Offence::Fabrication);
		blocks(10);
		settle(1, &[(1, 10)]);
		let later = submit(root());
		assert_eq!(OpenPolls::<Test>::iter().count(), 3);
		// Their time is over without decision deposits, the later one's not yet.
		blocks(58);
		assert_eq!(OpenPolls::<Test>::iter_keys().collect::<Vec<_>>(), [later]);
		assert_eq!(Counted::<Test>::iter().count(), 0);
		assert_eq!(Snapshots::<Test>::get().len(), 1);
		assert_eq!(Weights::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(Barred::<Test>::iter().count(), 0, "and 2 may vote in what comes");
		// What is left is the delegation.
		assert_eq!(Stances::<Test>::iter_keys().collect::<std::collections::BTreeSet<_>>(), [(1, 0), (5, 0)].into());
		settle(2, &[(1, 10)]);
		blocks(20);
		assert!(Snapshots::<Test>::get().is_empty());
		assert_eq!(Weights::<Test>::iter().count(), 0);
	});
}

#[test]
fn many_polls_are_noted_over_several_blocks() {
	run(|| {
		settle(0, &[(1, 10)]);
		let polls: Vec<_> = (0..20).map(|_| submit(root())).collect();
		blocks(1);
		assert_eq!(OpenPolls::<Test>::iter().count(), 8);
		blocks(2);
		assert_eq!(OpenPolls::<Test>::iter().count(), polls.len());
		assert_eq!(Snapshots::<Test>::get()[0].polls, 20);
	});
}
