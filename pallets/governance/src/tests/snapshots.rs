//! Copied weights outlast the epochs that their source keeps, and are dropped when no poll needs them.

use super::mock::*;
use crate::{Barred, CountedVotes, OpenPolls, SnapshotWeights, Snapshots, Stances};
use gonka_primitives::{check::Offence, traits::OnOffence};
use polkadot_sdk::frame_support::assert_ok;

#[test]
fn weights_outlast_the_epochs_that_their_source_keeps() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let poll = submit(root());
		// Two weights a block are copied.
		blocks(4);
		assert_eq!(SnapshotWeights::<Test>::iter().count(), 5);
		for epoch in 1..=6 {
			weigh(epoch, &[(1, 1_000)]);
		}
		for host in 1..=5 {
			assert_ok!(ConvictionVoting::vote(by(host), poll, aye()));
		}
		assert_eq!(tally(poll), (150, 0, 150));
	});
}

#[test]
fn votes_count_before_and_after_weights_are_copied() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
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
fn copying_weights_does_not_undo_a_conviction() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
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
fn ended_polls_leave_nothing_in_storage() {
	run(|| {
		weigh(0, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
		let polls: Vec<_> = (0..3).map(|_| submit(root())).collect();
		for host in 1..=4 {
			assert_ok!(ConvictionVoting::vote(by(host), polls[0], aye()));
		}
		assert_ok!(delegate(5, 0, 1));
		ConvictionVoting::on_offence(&2, 0, Offence::Fabrication);
		blocks(10);
		weigh(1, &[(1, 10)]);
		let later = submit(root());
		assert_eq!(OpenPolls::<Test>::iter().count(), 3);
		// The first three have timed out without decision deposits, the later one has not.
		blocks(58);
		assert_eq!(OpenPolls::<Test>::iter_keys().collect::<Vec<_>>(), [later]);
		assert_eq!(CountedVotes::<Test>::iter().count(), 0);
		assert_eq!(Snapshots::<Test>::get().len(), 1);
		assert_eq!(SnapshotWeights::<Test>::iter_prefix(0).count(), 0);
		assert_eq!(Barred::<Test>::iter().count(), 0, "host 2 may vote in new polls");
		// Only the delegation is left.
		assert_eq!(Stances::<Test>::iter_keys().collect::<std::collections::BTreeSet<_>>(), [(1, 0), (5, 0)].into());
		weigh(2, &[(1, 10)]);
		blocks(20);
		assert!(Snapshots::<Test>::get().is_empty());
		assert_eq!(SnapshotWeights::<Test>::iter().count(), 0);
	});
}

#[test]
fn many_polls_are_recorded_over_several_blocks() {
	run(|| {
		weigh(0, &[(1, 10)]);
		let polls: Vec<_> = (0..20).map(|_| submit(root())).collect();
		blocks(1);
		assert_eq!(OpenPolls::<Test>::iter().count(), 8);
		blocks(2);
		assert_eq!(OpenPolls::<Test>::iter().count(), polls.len());
		assert_eq!(Snapshots::<Test>::get()[0].polls, 20);
	});
}
