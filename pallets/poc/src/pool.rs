//! The checks by which the transaction pool validates registrations and commitments.
//!
//! Cheap checks come first and the signature last, so that an invalid transaction costs a node little.

use crate::{Commitments, Config, CurrentEpoch, Hosts, Pallet, Standings, ValidityError, Workers, math::MAX_LEAVES};
use codec::Encode;
use gonka_pallet_support::pool::{is_signed, valid};
use gonka_primitives::{
	PublicKey, Signature,
	hashing::domain,
	host::{Registration, SegmentCommitment},
	traits::ModelRegistry,
};
use polkadot_sdk::{
	frame_support::{ensure, pallet_prelude::ValidTransaction, traits::Get},
	frame_system,
	sp_runtime::traits::UniqueSaturatedInto,
};

/// Blocks for which the pool keeps a registration that is in no block.
const REGISTRATION_LONGEVITY: u32 = 32;

impl<T: Config> Pallet<T> {
	pub(crate) fn validate_register(
		new: &Registration,
		signature: &Signature,
	) -> Result<ValidTransaction, ValidityError> {
		let epoch = CurrentEpoch::<T>::get().ok_or(ValidityError::OutOfPhase)?;
		ensure!(new.is_well_formed(), ValidityError::Malformed);
		ensure!(new.epoch == epoch.index, ValidityError::OutOfPhase);
		let genesis = Self::genesis_hash();
		ensure!(new.work_bits(&genesis) >= T::RegistrationBits::get(), ValidityError::TooLittleWork);
		let account = T::AccountId::from(new.host);
		match Hosts::<T>::get(&account) {
			Some(old) => ensure!(old.registered != new.epoch, ValidityError::SlotUsed),
			None => ensure!(Hosts::<T>::count() < T::MaxHosts::get(), ValidityError::TooManyHosts),
		}
		ensure!(Workers::<T>::get(new.worker).is_none_or(|owner| owner == account), ValidityError::WorkerTaken);
		ensure!(new.models.iter().all(|model| T::Models::is_registered(*model)), ValidityError::UnknownModel);
		ensure!(Self::is_signed(&new.host, domain::REGISTRATION, new, signature), ValidityError::BadSignature);
		Ok(valid("gonka/register", [(new.host, new.epoch)], REGISTRATION_LONGEVITY))
	}

	pub(crate) fn validate_commit(
		new: &SegmentCommitment,
		signature: &Signature,
	) -> Result<ValidTransaction, ValidityError> {
		let epoch = CurrentEpoch::<T>::get().ok_or(ValidityError::OutOfPhase)?;
		let now = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		let offset = epoch.offset(now);
		ensure!((1..=MAX_LEAVES).contains(&new.commitment.count), ValidityError::Malformed);
		let is_due = epoch.schedule.takes_commitment(new.segment, &epoch.confirmations, offset);
		ensure!(new.epoch == epoch.index && is_due, ValidityError::OutOfPhase);
		let account = T::AccountId::from(new.host);
		let host = Hosts::<T>::get(&account).ok_or(ValidityError::UnknownHost)?;
		let is_sprint = new.segment < epoch.schedule.segments;
		ensure!(is_sprint || Standings::<T>::contains_key(new.epoch, &account), ValidityError::NotAParticipant);
		let earlier = Commitments::<T>::get(new.epoch, &account);
		ensure!(earlier.iter().all(|(segment, _)| *segment != new.segment), ValidityError::SlotUsed);
		ensure!(Self::is_signed(&host.worker, domain::COMMITMENT, new, signature), ValidityError::BadSignature);
		Ok(valid("gonka/commit", [(new.host, new.epoch, new.segment)], epoch.schedule.grace))
	}

	/// Whether `signature` is that of `key` over `body`, on this chain and for the purpose that `domain` names.
	pub fn is_signed(key: &PublicKey, domain: &[u8], body: &impl Encode, signature: &Signature) -> bool {
		is_signed(&Self::genesis_hash(), key, domain, body, signature)
	}
}
