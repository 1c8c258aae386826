//! A chain from the `local_testnet` preset that runs block by block, without transactions.

use crate::*;
use codec::Encode;
use frame_support::traits::{Get, OnFinalize, OnIdle, OnInitialize, dynamic_params::AggregatedKeyValue};
use sp_consensus_babe::{
	AuthorityId, BABE_ENGINE_ID, Slot,
	digests::{PreDigest, SecondaryPlainPreDigest},
};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{Digest, DigestItem, traits::Header as _};

/// Runs `test` after genesis and checks the invariants of all pallets at its end.
pub fn run(test: impl FnOnce()) {
	run_in(sp_io::TestExternalities::new_empty(), test);
}

/// Runs `test` as [`run`] does, in externalities with extensions.
pub fn run_in(mut node: sp_io::TestExternalities, test: impl FnOnce()) {
	let patch = genesis::preset(&sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET.into()).unwrap();
	let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
	merge(&mut config, serde_json::from_slice(&patch).unwrap());
	node.register_extension(sp_core::traits::ReadRuntimeVersionExt::new(super::governance::PlainVersion));
	node.execute_with(|| {
		frame_support::genesis_builder_helper::build_state::<RuntimeGenesisConfig>(
			serde_json::to_vec(&config).unwrap(),
		)
		.unwrap();
		test();
		#[cfg(feature = "try-runtime")]
		<AllPalletsWithSystem as frame_support::traits::TryState<BlockNumber>>::try_state(
			System::block_number(),
			frame_support::traits::TryStateSelect::All,
		)
		.unwrap();
	});
}

/// The account of a well-known key.
pub fn account(key: Sr25519Keyring) -> AccountId {
	key.to_account_id()
}

/// Runs the hooks of `count` blocks, which the validators write in turn.
pub fn blocks(count: BlockNumber) {
	for _ in 0..count {
		let writers = writers();
		let turn = System::block_number() as usize % writers.len();
		block(plain(writers[turn].1), || ());
	}
}

/// The next block's slot.
pub fn next_slot() -> Slot {
	u64::from(System::block_number() + 1_001).into()
}

/// Whether the next block begins a session.
pub fn begins_session() -> bool {
	let since = next_slot().saturating_sub(Babe::current_epoch_start());
	System::block_number() > 0 && *since >= <Runtime as pallet_babe::Config>::EpochDuration::get()
}

/// The validators that may write the next block: their keys, each with its first seat.
pub fn writers() -> Vec<(AuthorityId, u32)> {
	let seats = if begins_session() { pallet_babe::NextAuthorities::<Runtime>::get() } else { Babe::authorities() };
	let mut writers: Vec<(AuthorityId, u32)> = Vec::new();
	for ((key, _), seat) in seats.iter().zip(0..) {
		if writers.iter().all(|(other, _)| other != key) {
			writers.push((key.clone(), seat));
		}
	}
	writers
}

/// A claim of the next slot by the right of a seat.
pub fn plain(authority_index: u32) -> PreDigest {
	PreDigest::SecondaryPlain(SecondaryPlainPreDigest { authority_index, slot: next_slot() })
}

/// Runs the hooks of a block with this claim. `inside` is dispatched after the hooks of its start.
pub fn block(claim: PreDigest, inside: impl FnOnce()) {
	let number = System::block_number() + 1;
	let digest = Digest { logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, claim.encode())] };
	let parent = Header::new(number, Default::default(), Default::default(), Default::default(), Default::default());
	// Closes the block before, whose transactions tests dispatch after `blocks`.
	Authorship::on_finalize(number - 1);
	System::initialize(&number, &parent.hash(), &digest);
	AllPalletsWithSystem::on_initialize(number);
	inside();
	AllPalletsWithSystem::on_idle(number, frame_support::weights::Weight::MAX);
	// Without the timestamp pallet, which needs its inherent.
	Babe::on_finalize(number);
	Grandpa::on_finalize(number);
	Authorship::on_finalize(number);
}

/// The digest of block `number`: the first authority claims its slot.
pub fn claim(number: BlockNumber) -> Digest {
	let slot = u64::from(number + 1_000).into();
	let claim = PreDigest::SecondaryPlain(SecondaryPlainPreDigest { authority_index: 0, slot });
	Digest { logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, claim.encode())] }
}

/// Makes epoch 0 weighed with these effective weights of participants.
pub fn weigh(weights: &[(Sr25519Keyring, u64)]) {
	use pallet_poc::{Commitments, KnownCount, LastWeighed, Participants, Power, Standings, WeighedEpochs};
	let (mut total, mut power) = (0, Vec::new());
	for (participant, (key, weight)) in (0..).zip(weights) {
		let host = account(*key);
		let standing = pallet_poc::Standing::of_weight(participant, *weight);
		Standings::<Runtime>::insert(0, &host, standing);
		Participants::<Runtime>::insert(0, participant, &host);
		Commitments::<Runtime>::insert(0, &host, frame_support::BoundedVec::default());
		power.push((host, *weight));
		total += weight;
	}
	let hosts = weights.len() as u32;
	KnownCount::<Runtime>::insert(0, hosts);
	WeighedEpochs::<Runtime>::insert(0, pallet_poc::EpochWeights::of_total(total, hosts));
	LastWeighed::<Runtime>::put(0);
	Power::<Runtime>::put(frame_support::BoundedVec::truncate_from(pallet_poc::math::normalise(power)));
}

/// Runs the first block and makes inference cost from then on, as it does after mainnet's first months.
pub fn end_free_period() {
	use crate::configs::parameters::{RuntimeParameters, dynamic::market};
	let paid = RuntimeParameters::Market(market::Parameters::FreeEpochs(market::FreeEpochs, Some(0)));
	blocks(1);
	let (key, value) = paid.into_parts();
	pallet_parameters::Parameters::<Runtime>::set(key, value);
}

/// The weights that epoch 0 pays.
pub fn paid() -> std::collections::BTreeMap<AccountId, u64> {
	use gonka_primitives::traits::PaidWeights;
	Poc::page(0, None, 100).into_iter().collect()
}

/// Runs blocks until two more sessions have begun, so that queued validators are active.
pub fn two_sessions() {
	let target = Session::current_index() + 2;
	while Session::current_index() < target {
		blocks(1);
	}
}

fn merge(into: &mut serde_json::Value, patch: serde_json::Value) {
	match (into, patch) {
		(serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
			for (key, value) in patch {
				merge(into.entry(key).or_insert(serde_json::Value::Null), value);
			}
		},
		(into, patch) => *into = patch,
	}
}

#[test]
fn a_billion_is_issued_or_unmined() {
	use frame_support::traits::fungible::Inspect;
	run(|| {
		blocks(1);
		let supply = Emission::supply();
		assert_eq!(supply.issued, 320_000_000 * GNK, "the community fund and the founders, nothing else");
		assert_eq!(supply.issued + supply.unmined, gonka_primitives::TOTAL_SUPPLY);
		assert!(supply.treasury > 100_000_000 * GNK && supply.vesting == 0);
		let founders = Sr25519Keyring::FerdieStash.to_account_id();
		assert_eq!(Balances::balance(&founders), 200_000_000 * GNK);
		let transferable = Balances::usable_balance(&founders);
		assert!(transferable < 200 * GNK, "the part of a block at most: {transferable}");
	});
}

#[test]
fn an_offence_takes_collateral_and_burns_it() {
	use gonka_primitives::{check::Offence, traits::OnOffence};
	run(|| {
		blocks(1);
		let alice = account(Sr25519Keyring::Alice);
		Collateral::deposit(RuntimeOrigin::signed(alice.clone()), 1_000 * GNK).unwrap();
		let issued = Balances::total_issuance();
		<Runtime as pallet_poc::Config>::OnOffence::on_offence(&alice, 0, Offence::Fabrication);
		assert_eq!(Collateral::view(&alice).active, 800 * GNK);
		assert_eq!(Balances::total_issuance(), issued - 200 * GNK);
	});
}
