//! Work that a block does without declaring it.

use crate::{
	tests::benchmarks::{Tracked, on_state},
	*,
};
use frame_benchmarking::benchmarking::{commit_db, read_write_count, reset_read_write_count};
use frame_support::{
	BoundedVec,
	traits::{Get, OnInitialize},
};
use gonka_primitives::host::Commitment;
use gonka_runtime_common::{MAX_CHECKERS, WEIGH_BATCH};
use pallet_poc::{Checkers, Commitments, CurrentEpoch, KnownCount, Participants, Standing, Standings, WeighProgress};

fn account(index: u32) -> AccountId {
	AccountId::from(sp_io::hashing::blake2_256(&index.to_le_bytes()))
}

/// A batch of checkers that committed and then revealed nothing, in an epoch of ten thousand hosts. Each has a hundred seats,
/// which the chain once walked through to count what it missed: 100 such hosts took two seconds.
#[test]
fn a_batch_of_absent_checkers_costs_a_block_what_it_declares() {
	on_state(Tracked(true), || {
		let hosts = 10_000;
		let checkers: Vec<_> = (0..MAX_CHECKERS).map(|index| (account(index), 1_000)).collect();
		let mut epoch = pallet_poc::Epoch {
			index: 1,
			start: 1,
			schedule: <Runtime as pallet_poc::Config>::Schedule::get(),
			format: <Runtime as pallet_poc::Config>::SprintFormat::get(),
			model_seed: [1; 32],
			segment_seeds: Default::default(),
			confirmations: Default::default(),
			beacon: Some([7; 32]),
			round_beacons: Default::default(),
		};
		for segment in 0..epoch.schedule.segments {
			epoch.segment_seeds.try_push([segment; 32]).unwrap();
		}
		Checkers::<Runtime>::insert(1, BoundedVec::truncate_from(checkers));
		KnownCount::<Runtime>::insert(1, hosts);
		(0..hosts).for_each(|index| Participants::<Runtime>::insert(1, index, account(index)));
		for participant in 0..WEIGH_BATCH {
			let commitment = Commitment { count: 1_000, root: [1; 32] };
			let all = (0..epoch.schedule.segments).map(|segment| (segment, commitment)).collect();
			Commitments::<Runtime>::insert(1, account(participant), BoundedVec::truncate_from(all));
			Standings::<Runtime>::insert(1, account(participant), Standing { participant, ..Default::default() });
		}
		WeighProgress::<Runtime>::put(pallet_poc::types::Weighing::new([0; 32]));
		let block = epoch.start + epoch.schedule.weigh_start() + 1;
		CurrentEpoch::<Runtime>::put(epoch);
		System::set_block_number(block);
		commit_db();
		reset_read_write_count();
		let declared = Poc::on_initialize(block);
		let (reads, _, writes, _) = read_write_count();
		let absent = |standing: Standing| standing.compute > 0 && standing.duties.due > 100 && standing.duties.met == 0;
		assert!(Standings::<Runtime>::iter_prefix_values(1).all(absent), "all were weighed, and missed their duties");
		assert!(reads >= 3 * WEIGH_BATCH, "the accesses are counted: {reads}");
		let database = <Runtime as frame_system::Config>::DbWeight::get().reads_writes(reads.into(), writes.into());
		assert!(database.ref_time() <= declared.ref_time(), "{reads} reads and {writes} writes, declared {declared:?}");
	});
}
