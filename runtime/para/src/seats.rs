//! The collators' seats: Aura's list holds the key of each collator once for each of its seats.
//!
//! Aura gives slot `s` to entry `s mod length` of its list, on chain and in nodes, and neither of them asks whether a key stands
//! there twice. `pallet-liveness` deals the seats in proportion to power, as on the solo chain. In the list they are spread
//! evenly, so that nobody has a longer run of slots than its share makes necessary.

use crate::{AccountId, Aura, Liveness, RelayBeacon, Runtime};
use alloc::vec::Vec;
use gonka_primitives::{Hash, traits::Beacon};
use gonka_runtime_common::power::{accounts, now, weigh};
use polkadot_sdk::{
	frame_support::{
		BoundedVec, ConsensusEngineId,
		traits::{FindAuthor, OneSessionHandler},
	},
	pallet_aura,
	sp_consensus_aura::sr25519::AuthorityId as AuraId,
	sp_runtime::BoundToRuntimeAppPublic,
};

/// The order of the seats of collators in Aura's list: the position of each seat's collator. Seat `k` of `n` is due after
/// `(2 · k + 1) / (2 · n)` of the list.
pub fn order(seats: &[u16]) -> Vec<usize> {
	// In units of 2⁻³². The numbers have 16 bits, so nothing overflows.
	let due = |seat: u16, all: u16| ((2 * u64::from(seat) + 1) << 32).checked_div(2 * u64::from(all));
	let mut all: Vec<_> = seats
		.iter()
		.enumerate()
		.flat_map(|(position, own)| (0..*own).map(move |seat| (due(seat, *own), position)))
		.collect();
	all.sort_unstable();
	all.into_iter().map(|(_, position)| position).collect()
}

/// The seats of the running session's collators, in the order of `pallet-session`.
fn seats() -> Vec<u16> {
	pallet_liveness::Validators::<Runtime>::get().iter().map(|validator| validator.seats).collect()
}

/// Finds the first seat of a block's author, by which `pallet-liveness` knows it.
pub struct FirstSeat;

impl FindAuthor<u32> for FirstSeat {
	fn find_author<'a, I>(digests: I) -> Option<u32>
	where
		I: 'a + IntoIterator<Item = (ConsensusEngineId, &'a [u8])>,
	{
		let place = Aura::find_author(digests)?;
		let position = order(&seats()).get(place as usize).copied()?;
		Liveness::first_seat(position)
	}
}

/// pallet-aura's session handler, with a list of seats.
pub struct WeightedAura;

impl BoundToRuntimeAppPublic for WeightedAura {
	type Public = AuraId;
}

impl OneSessionHandler<AccountId> for WeightedAura {
	type Key = AuraId;

	fn on_genesis_session<'a, I: 'a + Iterator<Item = (&'a AccountId, AuraId)>>(validators: I) {
		let validators: Vec<_> = validators.collect();
		let power = weigh::<Runtime, _>(&pallet_poc::SessionPower::<Runtime>::get(), &validators);
		let seats = Liveness::deal(power, &Hash::default());
		Liveness::start_session(accounts(&validators), 1);
		Aura::initialize_authorities(&list(&validators, &seats));
	}

	/// The running session has the seats that were dealt when it was queued. Those of the next are dealt now.
	fn on_new_session<'a, I: 'a + Iterator<Item = (&'a AccountId, AuraId)>>(_: bool, validators: I, queued: I) {
		let validators: Vec<_> = validators.collect();
		Liveness::start_session(accounts(&validators), now::<Runtime>());
		let list = BoundedVec::truncate_from(list(&validators, &seats()));
		// An empty list would stop block production for ever.
		if !list.is_empty() && list != pallet_aura::Authorities::<Runtime>::get() {
			Aura::change_authorities(list);
		}
		let queued: Vec<_> = queued.collect();
		let power = weigh::<Runtime, _>(&pallet_poc::QueuedPower::<Runtime>::get(), &queued);
		Liveness::deal(power, &RelayBeacon::randomness());
	}

	fn on_disabled(_: u32) {}
}

/// Aura's list of collators with these seats.
fn list(validators: &[(&AccountId, AuraId)], seats: &[u16]) -> Vec<AuraId> {
	order(seats).into_iter().filter_map(|position| validators.get(position)).map(|(_, key)| key.clone()).collect()
}
