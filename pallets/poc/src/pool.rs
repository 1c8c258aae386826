//! What the transaction pool asks before it takes a registration or a commitment.
//!
//! Cheap checks come first, the signature last: a stranger's junk costs a node a few storage reads at most.

use crate::{Commitments, Config, CurrentEpoch, Hosts, Pallet, Refusal, Standings, Workers, math::MAX_LEAVES};
use codec::Encode;
use gonka_primitives::{
	PublicKey, Signature,
	hashing::{domain, signing_payload},
	host::{Registration, SegmentCommitment},
	traits::ModelRegistry,
};
use polkadot_sdk::{
	frame_support::{
		ensure,
		pallet_prelude::{TransactionSource, ValidTransaction},
		traits::Get,
		weights::Weight,
	},
	frame_system,
	sp_core::sr25519,
	sp_io::crypto::sr25519_verify,
	sp_runtime::{traits::UniqueSaturatedInto, transaction_validity::TransactionValidityError},
};

/// Blocks for which the pool keeps a registration that was not included.
const REGISTRATION_LONGEVITY: u64 = 32;

type Verdict = Result<(ValidTransaction, Weight), TransactionValidityError>;

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_register(_: TransactionSource, new: &Registration, signature: &Signature) -> Verdict {
		let epoch = CurrentEpoch::<T>::get().ok_or(Refusal::OutOfPhase)?;
		ensure!(new.is_well_formed(), Refusal::Malformed);
		ensure!(new.epoch == epoch.index, Refusal::OutOfPhase);
		let genesis = Self::genesis_hash();
		ensure!(new.work_bits(&genesis) >= T::RegistrationBits::get(), Refusal::TooLittleWork);
		let account = T::AccountId::from(new.host);
		match Hosts::<T>::get(&account) {
			Some(old) => ensure!(old.registered != new.epoch, Refusal::SlotUsed),
			None => ensure!(Hosts::<T>::count() < T::MaxHosts::get(), Refusal::TooManyHosts),
		}
		ensure!(Workers::<T>::get(new.worker).is_none_or(|owner| owner == account), Refusal::WorkerTaken);
		ensure!(new.models.iter().all(|model| T::Models::is_registered(*model)), Refusal::UnknownModel);
		ensure!(Self::is_signed(&new.host, domain::REGISTRATION, new, signature), Refusal::BadSignature);
		Ok((valid("gonka/register", (new.host, new.epoch), REGISTRATION_LONGEVITY), Weight::zero()))
	}

	pub(crate) fn authorize_commit(_: TransactionSource, new: &SegmentCommitment, signature: &Signature) -> Verdict {
		let epoch = CurrentEpoch::<T>::get().ok_or(Refusal::OutOfPhase)?;
		let now = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		let offset = epoch.offset(now);
		ensure!((1..=MAX_LEAVES).contains(&new.commitment.count), Refusal::Malformed);
		let taken = epoch.schedule.takes_commitment(new.segment, &epoch.confirmations, offset);
		ensure!(new.epoch == epoch.index && taken, Refusal::OutOfPhase);
		let account = T::AccountId::from(new.host);
		let host = Hosts::<T>::get(&account).ok_or(Refusal::UnknownHost)?;
		let is_sprint = new.segment < epoch.schedule.segments;
		ensure!(is_sprint || Standings::<T>::contains_key(new.epoch, &account), Refusal::DidNotRace);
		let earlier = Commitments::<T>::get(new.epoch, &account);
		ensure!(earlier.iter().all(|(segment, _)| *segment != new.segment), Refusal::SlotUsed);
		ensure!(Self::is_signed(&host.worker, domain::COMMITMENT, new, signature), Refusal::BadSignature);
		let longevity = epoch.schedule.grace.into();
		Ok((valid("gonka/commit", (new.host, new.epoch, new.segment), longevity), Weight::zero()))
	}

	/// Whether `signature` is `key`'s over `body` on this chain, for the purpose that `domain` names.
	pub fn is_signed(key: &PublicKey, domain: &[u8], body: &impl Encode, signature: &Signature) -> bool {
		let payload = signing_payload(domain, &Self::genesis_hash(), body);
		sr25519_verify(&sr25519::Signature::from_raw(*signature), &payload, &sr25519::Public::from_raw(*key))
	}
}

fn valid(kind: &'static str, slot: impl Encode, longevity: u64) -> ValidTransaction {
	ValidTransaction { provides: alloc::vec![(kind, slot).encode()], longevity, propagate: true, ..Default::default() }
}
