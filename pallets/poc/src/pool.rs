//! The checks by which the transaction pool validates registrations and commitments.
//!
//! Cheap checks come first and the signature last, so that an invalid transaction costs a node little.

use crate::{
	Commitments, Config, CurrentEpoch, Host, Hosts, Pallet, Standings, ValidityError, Workers, math::MAX_LEAVES,
};
use codec::Encode;
use gonka_pallet_support::pool::{is_signed, registration, urgent};
use gonka_primitives::{
	PublicKey, Signature,
	hashing::domain,
	host::{MAX_REVISIONS, Registration, SegmentCommitment, required_bits},
	traits::ModelRegistry,
	views::RegistrationTerms,
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
		worker_signature: &Signature,
	) -> Result<ValidTransaction, ValidityError> {
		let epoch = CurrentEpoch::<T>::get().ok_or(ValidityError::OutOfPhase)?;
		ensure!(new.is_well_formed(), ValidityError::Malformed);
		ensure!(new.epoch == epoch.index, ValidityError::OutOfPhase);
		let account = T::AccountId::from(new.host);
		let old = Hosts::<T>::get(&account);
		let bits = new.work_bits(&Self::genesis_hash());
		ensure!(bits >= Self::required_bits(old.as_ref(), new.revision), ValidityError::TooLittleWork);
		match &old {
			Some(old) => ensure!(old.next_revision(new.epoch) <= new.revision, ValidityError::SlotUsed),
			None => ensure!(Hosts::<T>::count() < T::MaxHosts::get(), ValidityError::TooManyHosts),
		}
		ensure!(Workers::<T>::get(new.worker).is_none_or(|owner| owner == account), ValidityError::WorkerTaken);
		ensure!(new.models.iter().all(|model| T::Models::is_registered(*model)), ValidityError::UnknownModel);
		ensure!(Self::is_signed(&new.host, domain::REGISTRATION, new, signature), ValidityError::BadSignature);
		let consents = Self::is_signed(&new.worker, domain::WORKER, &new.host, worker_signature);
		ensure!(consents, ValidityError::NoConsent);
		let slot = [(new.host, new.epoch, new.revision)];
		Ok(registration("gonka/register", slot, REGISTRATION_LONGEVITY, Self::rank(&account), bits))
	}

	/// Number of leading zero bits that a registration needs. `old` is the host's registration before it.
	fn required_bits(old: Option<&Host>, revision: u8) -> u32 {
		let taken = old.is_none().then(|| (Hosts::<T>::count(), T::MaxHosts::get()));
		required_bits(T::RegistrationBits::get(), revision, taken)
	}

	/// What the next registration of `account` needs, for clients; `None` if the epoch takes no more of it.
	pub fn registration_terms(account: &T::AccountId) -> Option<RegistrationTerms> {
		let epoch = CurrentEpoch::<T>::get()?.index;
		let old = Hosts::<T>::get(account);
		let revision = old.as_ref().map_or(0, |old| old.next_revision(epoch));
		let bits = Self::required_bits(old.as_ref(), revision);
		(revision < MAX_REVISIONS).then_some(RegistrationTerms { epoch, revision, bits })
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
		let slot = [(new.host, new.epoch, new.segment)];
		Ok(urgent("gonka/commit", slot, epoch.schedule.grace, Self::rank(&account)))
	}

	/// Whether `signature` is that of `key` over `body`, on this chain and for the purpose that `domain` names.
	pub fn is_signed(key: &PublicKey, domain: &[u8], body: &impl Encode, signature: &Signature) -> bool {
		is_signed(&Self::genesis_hash(), key, domain, body, signature)
	}
}
