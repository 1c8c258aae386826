//! The checks by which the transaction pool validates reports and rulings.
//!
//! Cheap checks come first. The signature is verified before a list of audits or a case is read, so that a message that
//! no worker signed costs a node little.

use crate::*;
use gonka_pallet_support::pool::urgent;
use gonka_primitives::{
	PublicKey, Signature,
	audit::{FRESH, MAX_FINDINGS, MAX_REVIEWED},
	hashing::domain,
	traits::HostRegistry,
};
use polkadot_sdk::frame_support::pallet_prelude::ValidTransaction;

type Validity = Result<ValidTransaction, ValidityError>;

impl<T: Config> Pallet<T> {
	pub(crate) fn validate_report(new: &AuditReport, signature: &Signature) -> Validity {
		let findings = &new.findings;
		ensure!((1..=MAX_FINDINGS as usize).contains(&findings.len()), ValidityError::Malformed);
		ensure!(findings.is_sorted_by(|a, b| a.0 < b.0), ValidityError::Malformed);
		ensure!(new.window <= Self::running() && Self::is_open(new.window), ValidityError::OutOfWindow);
		let checker = T::AccountId::from(new.checker);
		let worker = Self::worker(&checker)?;
		ensure!(Poc::<T>::is_signed(&worker, domain::AUDIT_REPORT, new, signature), ValidityError::BadSignature);
		let list = Assigned::<T>::get(new.window, &checker);
		for (index, _) in findings {
			let audit = list.get(usize::from(*index)).ok_or(ValidityError::NotAssigned)?;
			ensure!(!audit.done, ValidityError::SlotUsed);
		}
		let slots = findings.iter().map(|(index, _)| (new.checker, new.window, *index));
		let end = Self::last_window(new.window).saturating_add(1).saturating_mul(T::WindowLength::get());
		Ok(urgent("gonka/audit-report", slots, end.saturating_sub(Self::now()), Poc::<T>::rank(&checker)))
	}

	pub(crate) fn validate_rule(new: &Ruling, signature: &Signature) -> Validity {
		ensure!(
			new.reviewed.len() <= MAX_REVIEWED as usize && new.fresh.len() <= FRESH as usize,
			ValidityError::Malformed
		);
		let (host, arbiter) = (T::AccountId::from(new.host), T::AccountId::from(new.arbiter));
		let worker = Self::worker(&arbiter)?;
		ensure!(Poc::<T>::is_signed(&worker, domain::RULING, new, signature), ValidityError::BadSignature);
		let case = Cases::<T>::get(&host).filter(|case| case.id == new.case && case.is_heard());
		let case = case.ok_or(ValidityError::UnknownCase)?;
		let left = case.deadline.checked_sub(Self::now()).ok_or(ValidityError::TooLate)?;
		let own = case.arbiters.iter().find(|other| other.who == arbiter).ok_or(ValidityError::NotArbiter)?;
		ensure!(own.ruled.is_none(), ValidityError::SlotUsed);
		ensure!(new.reviewed.len() == case.reviewed.len(), ValidityError::Malformed);
		ensure!(Self::outcome(&case, new).is_some(), ValidityError::Undecided);
		Ok(urgent("gonka/ruling", [(new.arbiter, new.case)], left, Poc::<T>::rank(&arbiter)))
	}

	fn worker(host: &T::AccountId) -> Result<PublicKey, ValidityError> {
		<Poc<T> as HostRegistry<T::AccountId>>::worker(host).ok_or(ValidityError::UnknownHost)
	}
}
