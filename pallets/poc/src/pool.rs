//! What the transaction pool asks before it takes a registration or a commitment.
//!
//! Cheap checks come first, the signature last: a stranger's junk costs a node a few storage reads at most.

use crate::{Commitments, Config, CurrentEpoch, Hosts, Pallet, Refusal, Workers, math::MAX_LEAVES};
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
		let payload = signing_payload(domain::REGISTRATION, &genesis, new);
		ensure!(is_signed(signature, &payload, &new.host), Refusal::BadSignature);
		Ok((valid("gonka/register", (new.host, new.epoch), REGISTRATION_LONGEVITY), Weight::zero()))
	}

	pub(crate) fn authorize_commit(_: TransactionSource, new: &SegmentCommitment, signature: &Signature) -> Verdict {
		let epoch = CurrentEpoch::<T>::get().ok_or(Refusal::OutOfPhase)?;
		let now = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		let offset = epoch.offset(now);
		ensure!((1..=MAX_LEAVES).contains(&new.commitment.count), Refusal::Malformed);
		ensure!(new.epoch == epoch.index && epoch.schedule.takes_commitment(new.segment, offset), Refusal::OutOfPhase);
		let account = T::AccountId::from(new.host);
		let host = Hosts::<T>::get(&account).ok_or(Refusal::UnknownHost)?;
		let earlier = Commitments::<T>::get(new.epoch, &account);
		ensure!(earlier.iter().all(|(segment, _)| *segment != new.segment), Refusal::SlotUsed);
		let payload = signing_payload(domain::COMMITMENT, &Self::genesis_hash(), new);
		ensure!(is_signed(signature, &payload, &host.worker), Refusal::BadSignature);
		let window = epoch.schedule.segment_end(new.segment).saturating_add(epoch.schedule.grace);
		let longevity = window.saturating_sub(offset).max(1);
		Ok((valid("gonka/commit", (new.host, new.epoch, new.segment), longevity.into()), Weight::zero()))
	}
}

fn valid(kind: &'static str, slot: impl Encode, longevity: u64) -> ValidTransaction {
	ValidTransaction { provides: alloc::vec![(kind, slot).encode()], longevity, propagate: true, ..Default::default() }
}

fn is_signed(signature: &Signature, payload: &[u8], key: &PublicKey) -> bool {
	sr25519_verify(&sr25519::Signature::from_raw(*signature), payload, &sr25519::Public::from_raw(*key))
}
