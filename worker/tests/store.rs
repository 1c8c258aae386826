//! Crashes of the store: after every step the file is copied as a crash would leave it, and the copy is opened.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::{
	Hash,
	host::{Commitment, SegmentCommitment},
	market::{Envelope, FinishReason, Receipt, SignedEnvelope, SignedReceipt, SignedVoucher, Totals, Voucher},
	merkle_sum,
};
use gonka_sprint::SprintFormat;
use gonka_worker::chain::CheckMessage;
use gonka_worker::store::{
	Durability, Store, StoreError,
	check::{self, StoredMessage, StoredTags, Suspect},
	evidence::{self, StoredEvidence, StoredTree},
	market::{self, Sequences, StoredReceipt, Terms},
	seen, settlements,
	sprint::{self, SegmentRecord, StoredCommitment},
};
use tempfile::TempDir;

/// Opens the store as a crash would leave it now.
fn after_crash(directory: &TempDir) -> (TempDir, Store) {
	let copy = tempfile::tempdir().unwrap();
	std::fs::copy(directory.path().join("worker.redb"), copy.path().join("worker.redb")).unwrap();
	let store = store(copy.path());
	(copy, store)
}

fn stored(sequence: u64, fee: u128) -> (Hash, StoredReceipt) {
	let envelope = Envelope {
		channel: 1,
		model: 3,
		sequence,
		body: [0; 32],
		seed: 0,
		price: PRICE,
		max_tokens: 10,
		max_fee: 100,
		expires: 0,
	};
	let hash = envelope.hash(&GENESIS);
	let receipt = Receipt {
		envelope: hash,
		output: [1; 32],
		fingerprint: [0; 32],
		prompt_tokens: 4,
		completion_tokens: 5,
		finish: FinishReason::Stop,
		fee,
	};
	let envelope = SignedEnvelope { envelope, signature: [2; 64] };
	(hash, StoredReceipt { envelope, receipt: SignedReceipt { receipt, signature: [3; 64] } })
}

fn terms(sequence: u64) -> Terms {
	Terms { channel: channel(1), running_fees: 0, running: 0, credit: 8, sequence, max_fee: 100 }
}

fn voucher(totals: Totals) -> SignedVoucher {
	SignedVoucher { voucher: Voucher { channel: 1, totals }, signature: [4; 64] }
}

fn record(store: &Store) -> market::ChannelRecord {
	store.read(|tx| market::channel(tx, 1)).unwrap().unwrap_or_default()
}

#[tokio::test]
async fn credit_grows_with_what_a_channel_has_paid() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let mut totals = Totals::default();
	for (paid, credit) in [(0, 2), (8, 3), (40, 7), (400, 16)] {
		while totals.receipts < paid {
			let (hash, receipt) = stored(totals.receipts + 1, 1);
			let sum = receipt.receipt.receipt.leaf().sum;
			store.write(Durability::Later, move |tx| market::finish(tx, &channel(1), &hash, &receipt)).await.unwrap();
			totals = totals.checked_add(&sum).unwrap();
			let signed = voucher(totals);
			let acknowledge = move |tx: &redb::WriteTransaction| market::acknowledge(tx, &channel(1), &signed, &[hash]);
			assert_eq!(store.write(Durability::Later, acknowledge).await.unwrap(), Ok(1));
		}
		let admit = async |running| {
			let terms = Terms { running, credit: 2, max_fee: 0, ..terms(1_000 * (paid + 1) + running) };
			store.write(Durability::Later, move |tx| market::admit(tx, &terms)).await.unwrap()
		};
		assert_eq!(admit(credit).await.unwrap_err().code, ErrorCode::Unacknowledged, "after {paid}");
		assert_eq!(admit(credit - 1).await, Ok(()), "after {paid}");
	}
}

#[tokio::test]
async fn receipts_and_vouchers_survive_every_crash() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let mut totals = Totals::default();
	for sequence in 1..=4u64 {
		let admitted = store.write(Durability::Later, move |tx| market::admit(tx, &terms(sequence))).await.unwrap();
		assert_eq!(admitted, Ok(()));
		let (hash, receipt) = stored(sequence, u128::from(sequence));
		let kept = receipt.clone();
		store.write(Durability::Now, move |tx| market::finish(tx, &channel(1), &hash, &kept)).await.unwrap();
		{
			let (_copy, store) = after_crash(&directory);
			assert_eq!(store.read(|tx| market::unacknowledged(tx, 1)).unwrap(), std::slice::from_ref(&receipt));
			assert_eq!(record(&store).sequences.highest, sequence);
			let again = store.write(Durability::Now, move |tx| market::admit(tx, &terms(sequence))).await.unwrap();
			assert_eq!(again.unwrap_err().code, ErrorCode::Replayed);
		}
		totals = totals.checked_add(&receipt.receipt.receipt.leaf().sum).unwrap();
		let signed = voucher(totals);
		let acknowledge = move |tx: &redb::WriteTransaction| market::acknowledge(tx, &channel(1), &signed, &[hash]);
		assert_eq!(store.write(Durability::Now, acknowledge).await.unwrap(), Ok(1));
		let (_copy, store) = after_crash(&directory);
		assert_eq!(store.read(|tx| market::unacknowledged(tx, 1)).unwrap(), []);
		assert_eq!(record(&store).voucher, Some(signed));
		assert_eq!(
			store.write(Durability::Now, acknowledge).await.unwrap(),
			Ok(0),
			"the gateway got no response and sends it again"
		);
		let due = store.read(|tx| market::due(tx, &channel(1))).unwrap().unwrap().unwrap();
		assert_eq!((due.receipts.len() as u64, due.growth, due.voucher), (sequence, totals, signed));
		let leaves: Vec<_> = due.receipts.iter().map(|due| due.leaf).collect();
		assert_eq!(merkle_sum::root(&leaves).unwrap().sum, totals);
	}
	// Two of four are settled: the other two are due, and the settled ones are deleted later.
	let two = [1u64, 2].map(|sequence| stored(sequence, u128::from(sequence)).1.receipt.receipt.leaf().sum);
	let mut view = channel(1);
	view.settled = two[0].checked_add(&two[1]).unwrap();
	let settled = view.clone();
	let noted = store.write(Durability::Now, move |tx| market::note_settled(tx, &settled, 7)).await.unwrap();
	assert_eq!(noted, 2);
	for (epoch, forgotten) in [(7, 0), (8, 1), (9, 0)] {
		let pruned = store.write(Durability::Now, move |tx| market::prune_settled(tx, epoch)).await.unwrap();
		assert_eq!(pruned, forgotten);
		let (_copy, store) = after_crash(&directory);
		let due = store.read(|tx| market::due(tx, &view)).unwrap().unwrap().unwrap();
		assert_eq!(due.receipts.len(), 2);
	}
	// This host never signed these totals.
	view.settled.fee += 1;
	let error = store.read(|tx| market::due(tx, &view)).unwrap().unwrap_err();
	assert_eq!(error, market::UnknownTotals { channel: 1, settled: view.settled });
	let forgotten = store.write(Durability::Now, |tx| market::forget(tx, 1)).await.unwrap();
	assert!(!forgotten.is_empty());
	assert!(store.read(market::channels).unwrap().is_empty());
	assert_eq!(store.read(settlements::latest).unwrap(), None);
}

#[tokio::test]
async fn evidence_is_counted_and_stays_until_its_settlement_is_old() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let (mut hashes, developer) = (Vec::new(), channel(1).developer);
	for sequence in 1..=3 {
		let (hash, StoredReceipt { envelope, receipt }) = stored(sequence, 20);
		let (body, output) = (vec![b'x'; 1000], vec![7; 5]);
		let evidence = StoredEvidence { envelope, receipt, body, output, fingerprints: vec![[1; 16]; 5] };
		store
			.write(Durability::Now, move |tx| {
				let stored = StoredReceipt { envelope: evidence.envelope.clone(), receipt: evidence.receipt.clone() };
				market::finish(tx, &channel(1), &hash, &stored)?;
				evidence::put(tx, &hash, &developer, &evidence)?;
				evidence::put(tx, &hash, &developer, &evidence)
			})
			.await
			.unwrap();
		hashes.push(hash);
	}
	let (_copy, crashed) = after_crash(&directory);
	let bytes = |store: &Store| {
		let bytes = store.read(evidence::bytes).unwrap();
		assert_eq!(store.read(|tx| evidence::share(tx, &developer)).unwrap(), bytes, "all of it is one developer's");
		bytes
	};
	let kept = |store: &Store| -> Vec<bool> {
		hashes.iter().map(|hash| store.read(|tx| evidence::get(tx, hash)).unwrap().is_some()).collect()
	};
	assert_eq!(kept(&crashed), [true; 3]);
	let one = bytes(&crashed) / 3;
	assert!(bytes(&crashed) == 3 * one && one > 1000 + 5 * 20);
	// The first and the second are settled in two windows; then the channel is closed.
	let trees = [(10, 5, hashes[0]), (11, 6, hashes[1])];
	let put = store.write(Durability::Now, move |tx| {
		for (window, epoch, envelope) in trees {
			evidence::put_tree(tx, window, &StoredTree { epoch, leaves: vec![(envelope, Default::default())] })?;
		}
		let receipts = market::forget(tx, 1)?;
		evidence::forget(tx, &receipts)
	});
	put.await.unwrap();
	assert_eq!(kept(&store), [true, true, false]);
	assert_eq!(store.read(|tx| evidence::share(tx, &[0; 32])).unwrap(), 0);
	for (epoch, left, trees) in [(5, 2, 2), (6, 1, 1), (7, 0, 0)] {
		store.write(Durability::Now, move |tx| evidence::prune(tx, epoch)).await.unwrap();
		let left_over = kept(&store).into_iter().filter(|kept| *kept).count();
		assert_eq!((left_over, bytes(&store)), (left, left as u64 * one));
		let there = [10, 11].map(|window| store.read(|tx| evidence::tree(tx, window)).unwrap().is_some());
		assert_eq!(there.into_iter().filter(|there| *there).count(), trees);
	}
}

#[tokio::test]
async fn evidence_in_the_tree_of_an_abandoned_settlement_stays_until_it_is_settled() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let (mut hashes, mut totals) = (Vec::new(), Totals::default());
	for sequence in 1..=3 {
		let (hash, kept) = stored(sequence, 20);
		totals = totals.checked_add(&kept.receipt.receipt.leaf().sum).unwrap();
		let (envelope, receipt) = (kept.envelope.clone(), kept.receipt.clone());
		let (body, output, fingerprints) = (Vec::new(), vec![7], vec![[1; 16]]);
		let evidence = StoredEvidence { envelope, receipt, body, output, fingerprints };
		let put = store.write(Durability::Now, move |tx| {
			market::finish(tx, &channel(1), &hash, &kept)?;
			evidence::put(tx, &hash, &channel(1).developer, &evidence)
		});
		put.await.unwrap();
		hashes.push(hash);
	}
	let (signed, all) = (voucher(totals), hashes.clone());
	let taken = store.write(Durability::Now, move |tx| market::acknowledge(tx, &channel(1), &signed, &all)).await;
	assert_eq!(taken.unwrap(), Ok(3));
	// The settlement of window 10 is given up. That of window 12 has the first receipt; the last one is not settled.
	let one = stored(1, 20).1.receipt.receipt.leaf().sum;
	let settled = gonka_primitives::views::ChannelView { settled: one.checked_add(&one).unwrap(), ..channel(1) };
	let tree = |epoch, hashes: &[Hash]| {
		let leaves = hashes.iter().map(|hash| (*hash, Default::default())).collect();
		StoredTree { epoch, leaves }
	};
	let (abandoned, included) = (tree(5, &hashes), tree(6, &hashes[..1]));
	let put = store.write(Durability::Now, move |tx| {
		evidence::put_tree(tx, 10, &abandoned)?;
		evidence::put_tree(tx, 12, &included)?;
		market::note_settled(tx, &settled, 6)?;
		evidence::prune(tx, 6)
	});
	put.await.unwrap();
	let kept = || -> Vec<bool> {
		hashes.iter().map(|hash| store.read(|tx| evidence::get(tx, hash)).unwrap().is_some()).collect()
	};
	assert_eq!(kept(), [true, false, true], "the second is settled, and no tree has it any more");
	store.write(Durability::Now, |tx| evidence::prune(tx, 7)).await.unwrap();
	assert_eq!(kept(), [false, false, true]);
}

#[tokio::test]
async fn the_highest_block_survives_a_crash() {
	let directory = tempfile::tempdir().unwrap();
	let first = store(directory.path());
	for (block, behind) in [(7, false), (7, false), (9, false), (8, true)] {
		assert_eq!(first.write(Durability::Now, move |tx| seen::note(tx, block)).await.unwrap(), behind);
	}
	let (_copy, crashed) = after_crash(&directory);
	let behind = [8, 9, 10].map(|block| crashed.read(|tx| seen::is_behind(tx, block)).unwrap());
	assert_eq!(behind, [true, false, false]);
}

#[tokio::test]
async fn a_new_store_continues_from_the_settled_totals() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let settled = Totals { fee: 50, work: 90, receipts: 3 };
	let view = gonka_primitives::views::ChannelView { settled, ..channel(1) };
	let (hash, receipt) = stored(9, 5);
	let (kept, seen) = (receipt.clone(), view.clone());
	store.write(Durability::Now, move |tx| market::finish(tx, &seen, &hash, &kept)).await.unwrap();
	let totals = settled.checked_add(&receipt.receipt.receipt.leaf().sum).unwrap();
	let seen = view.clone();
	let taken = store.write(Durability::Now, move |tx| market::acknowledge(tx, &seen, &voucher(totals), &[hash])).await;
	assert_eq!(taken.unwrap(), Ok(1));
	let due = store.read(|tx| market::due(tx, &view)).unwrap().unwrap().unwrap();
	assert_eq!((due.receipts.len(), due.growth), (1, receipt.receipt.receipt.leaf().sum));
}

#[test]
fn leaves_and_commitments_survive_every_crash() {
	let directory = tempfile::tempdir().unwrap();
	let store = store(directory.path());
	let begun = SegmentRecord { format: SprintFormat::Nano, model_seed: [1; 32], segment_seed: [2; 32], started: 1000 };
	let begin = |store: &Store, record: SegmentRecord| {
		store.write_blocking(Durability::Now, move |tx| sprint::begin_segment(tx, 5, 0, &record)).unwrap()
	};
	assert_eq!(begin(&store, begun), begun);
	let mut expected: Vec<Hash> = Vec::new();
	for batch in 1..=5u8 {
		let (first, new) = (expected.len() as u64, vec![[batch; 32]; batch.into()]);
		expected.extend(&new);
		store.write_blocking(Durability::Now, move |tx| sprint::add_leaves(tx, (5, 0, 0), first, &new)).unwrap();
		let (_copy, store) = after_crash(&directory);
		assert_eq!(begin(&store, SegmentRecord { started: 9999, ..begun }), begun, "resumed with its first start");
		assert_eq!(store.read(|tx| sprint::leaves(tx, 5, 0, 0)).unwrap(), expected);
	}
	let commitment = |count| SegmentCommitment {
		host: host(),
		epoch: 5,
		segment: 0,
		commitment: Commitment { count, root: [6; 32] },
	};
	let stored = |count| StoredCommitment { commitment: commitment(count), signature: [7; 64], included: false };
	let commit = |store: &Store, count| {
		let signed = stored(count);
		store.write_blocking(Durability::Now, move |tx| sprint::commit(tx, &signed)).unwrap()
	};
	assert_eq!(commit(&store, 15), stored(15));
	let (_copy, crashed) = after_crash(&directory);
	assert_eq!(commit(&crashed, 16), stored(15), "the first one stays");
	// With another seed, the leaves belong to an abandoned fork.
	begin(&crashed, SegmentRecord { segment_seed: [3; 32], ..begun });
	assert_eq!(crashed.read(|tx| sprint::leaves(tx, 5, 0, 0)).unwrap(), Vec::<Hash>::new());
	for (epoch, kept) in [(5, true), (6, false)] {
		store.write_blocking(Durability::Now, move |tx| sprint::prune(tx, epoch)).unwrap();
		assert_eq!(store.read(|tx| sprint::commitment(tx, 5, 0)).unwrap().is_some(), kept);
		assert_eq!(store.read(|tx| sprint::leaves(tx, 5, 0, 0)).unwrap().len(), if kept { 15 } else { 0 });
	}
}

#[test]
fn a_store_belongs_to_one_process_one_chain_and_one_host() {
	let directory = tempfile::tempdir().unwrap();
	let path = directory.path().join("worker.redb");
	let first = store(directory.path());
	let error = Store::open(&path, &GENESIS, &host()).err().unwrap();
	assert!(matches!(&error, StoreError::InUse(_)), "{error}");
	assert!(error.to_string().contains("another worker"), "{error}");
	drop(first);
	for (genesis, host) in [([8; 32], host()), (GENESIS, [8; 32])] {
		assert!(matches!(Store::open(&path, &genesis, &host), Err(StoreError::Foreign { .. })));
	}
	assert!(Store::open(&path, &GENESIS, &host()).is_ok());
}

#[test]
fn sequence_numbers_below_the_window_count_as_used() {
	let mut used = Sequences::default();
	let taken: Vec<u64> = [5, 5, 3, 0, 0, 5, 260, 4, 6, 5, 600, 345, 344, 600, u64::MAX, 600]
		.into_iter()
		.filter(|sequence| used.take(*sequence))
		.collect();
	assert_eq!(taken, [5, 3, 0, 260, 6, 600, 345, u64::MAX]);
	assert_eq!(used.highest, u64::MAX);
}

#[tokio::test]
async fn signed_messages_and_results_of_checks_stay_until_they_are_old() {
	let directory = tempfile::tempdir().unwrap();
	let first = store(directory.path());
	let message = |set| {
		let (challenger, checker) = (host(), [2; 32]);
		let challenge =
			gonka_primitives::check::Challenge { challenger, epoch: 5, round: 0, checker, host: [3; 32], set };
		let message = CheckMessage::Challenge(challenge);
		StoredMessage { message, signature: [set; 64], taken: false, failures: 0 }
	};
	let slot = [7; 32];
	for set in [1, 2] {
		let new = message(set);
		let put = move |tx: &_| check::put_message(tx, 5, &slot, new.message, new.signature);
		assert_eq!(first.write(Durability::Now, put).await.unwrap(), message(1), "the first one stays");
	}
	for taken in [false, true, false] {
		first.write(Durability::Now, move |tx| check::note_sent(tx, 5, &slot, taken, 1)).await.unwrap();
	}
	let (_copy, second) = after_crash(&directory);
	let found = second.read(|tx| check::message(tx, 5, &slot)).unwrap();
	let known = StoredMessage { taken: true, failures: 2, ..message(1) };
	assert_eq!(found, Some(known.clone()));
	let again = move |tx: &_| check::put_message(tx, 5, &slot, message(1).message, [9; 64]);
	let put = second.write(Durability::Now, again).await.unwrap();
	assert_eq!(put, StoredMessage { signature: [9; 64], ..known }, "signed again");

	// Tags of another beacon belong to an abandoned fork and are replaced.
	for (beacon, tag, stands) in [([1; 32], 1, 1), ([1; 32], 2, 1), ([2; 32], 3, 3)] {
		let new = StoredTags { beacon, tags: vec![[tag; 4]] };
		let put = second.write(Durability::Now, move |tx| check::put_tags(tx, (5, 0), &new)).await.unwrap();
		assert_eq!(put, [[stands; 4]]);
	}
	assert_eq!(second.read(|tx| check::tags(tx, (5, 0), &[1; 32])).unwrap(), None);
	let lane = gonka_sprint::LaneCommitment { lane: 0, count: 1, root: [1; 32] };
	let lane = gonka_sprint::Lanes::new(&[lane]).unwrap().proof(0).unwrap();
	for (host, position) in [([0; 32], 1), ([255; 32], 2), ([0; 32], 3)] {
		let opening = gonka_sprint::LeafOpening { lane: lane.clone(), leaf: [0; 32], path: Vec::new() };
		let suspect = Suspect { segment: 0, position, opening };
		second.write(Durability::Now, move |tx| check::put_suspect(tx, 5, &host, &suspect)).await.unwrap();
	}
	let suspects = second.read(|tx| check::suspects(tx, 5)).unwrap();
	let suspects: Vec<_> = suspects.into_iter().map(|(host, suspect)| (host, suspect.position)).collect();
	assert_eq!(suspects, [([0; 32], 1), ([255; 32], 2)]);

	for (epoch, left) in [(5, true), (6, false)] {
		second.write(Durability::Now, move |tx| check::prune(tx, epoch)).await.unwrap();
		let message = second.read(|tx| check::message(tx, 5, &slot)).unwrap();
		let tags = second.read(|tx| check::tags(tx, (5, 0), &[2; 32])).unwrap();
		let suspects = second.read(|tx| check::suspects(tx, 5)).unwrap();
		assert_eq!([message.is_some(), tags.is_some(), !suspects.is_empty()], [left; 3]);
	}
}
