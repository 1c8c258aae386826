//! The effect of served work on the pay of hosts.

use super::chain::*;
use crate::*;
use frame_support::{
	BoundedVec, assert_ok,
	traits::{Authorize, UnfilteredDispatchable},
};
use gonka_primitives::{
	hashing::{domain, signing_payload},
	market::{Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::SumNode,
};
use gonka_runtime_common::{MIN_WORK, Time};
use sp_core::Pair;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave};
use sp_runtime::transaction_validity::TransactionSource;

/// Registers a host, which is its own worker, with a channel from Dave.
fn serving(host: Sr25519Keyring) {
	let worker = host.public().0;
	let url = BoundedVec::default();
	let models = BoundedVec::truncate_from(vec![0]);
	let registered = pallet_poc::Host { worker, url, models, ..Default::default() };
	pallet_poc::Workers::<Runtime>::insert(worker, account(host));
	pallet_poc::Hosts::<Runtime>::insert(account(host), registered);
	let channels = BoundedVec::truncate_from(vec![(account(host), 100 * GNK)]);
	assert_ok!(InferenceMarket::open_channels(RuntimeOrigin::signed(account(Dave)), Dave.public().0, channels));
}

/// The host settles `work` units of the first window, paid for at the model's price per prompt token.
fn settle(host: Sr25519Keyring, channel: u64, work: u64) {
	let genesis = Poc::genesis_hash();
	let totals = Totals { fee: Balance::from(work) * 1_000, work, receipts: 1 };
	let voucher = Voucher { channel, totals };
	let signature = Dave.pair().sign(&signing_payload(domain::VOUCHER, &genesis, &voucher)).0;
	let settlement = Settlement {
		host: account(host).into(),
		window: 0,
		root: SumNode { hash: [7; 32], sum: totals },
		work: vec![(0, work)],
		vouchers: vec![SignedVoucher { voucher, signature }],
	};
	let signature = host.pair().sign(&signing_payload(domain::SETTLEMENT, &genesis, &settlement)).0;
	let call = RuntimeCall::from(pallet_inference_market::Call::settle { settlement, signature });
	assert_ok!(call.authorize(TransactionSource::External).unwrap());
	assert_ok!(call.dispatch_bypass_filter(frame_system::RawOrigin::Authorized.into()));
}

#[test]
fn a_host_that_serves_too_little_is_paid_less() {
	run(|| {
		end_free_period();
		blocks(Time::THIS.window);
		weigh(&[(Alice, 400), (Bob, 300), (Charlie, 300)]);
		[Alice, Bob, Charlie].into_iter().for_each(serving);
		let pay = || [Alice, Bob, Charlie].map(|key| paid()[&account(key)]);
		// Ten thousand tokens for each leaf: above the minimum work, on average.
		settle(Alice, 0, 4 * MIN_WORK);
		assert_eq!(pay(), [400, 300, 300], "the median host has served nothing yet");
		settle(Bob, 1, 3 * MIN_WORK);
		assert_eq!(pay(), [400, 300, 0]);
		let view = Poc::standing_view(0, &account(Charlie)).unwrap();
		assert_eq!((view.work, view.served, view.effective_weight), (0, 0, Some(300)));
		// A tenth of what the others served for their weight: about half of the fifth that suffices.
		settle(Charlie, 2, 3 * MIN_WORK / 10);
		let [alice, bob, charlie] = pay();
		assert_eq!((alice, bob), (400, 300));
		assert!((150..190).contains(&charlie), "{charlie}: the median is rounded down to its bucket");
	});
}
