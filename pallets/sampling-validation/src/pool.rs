//! What the transaction pool asks before it takes a message. Cheap checks come first, the signature last.

use crate::*;
use alloc::vec::Vec;
use codec::Encode;
use gonka_primitives::{
	PublicKey, Signature,
	hashing::domain,
	sampling::{FRESH, MAX_AUDIT, MAX_FINDINGS},
	traits::HostRegistry,
};
use polkadot_sdk::{
	frame_support::pallet_prelude::{TransactionPriority, TransactionSource, ValidTransaction},
	sp_runtime::transaction_validity::TransactionValidityError,
};

/// Above every transaction that pays: who fills blocks must not make others miss their deadlines. All of them are few: a
/// slot each.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

type Verdict = Result<(ValidTransaction, Weight), TransactionValidityError>;

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_verdicts(_: TransactionSource, new: &Verdicts, signature: &Signature) -> Verdict {
		let findings = &new.findings;
		ensure!((1..=MAX_FINDINGS as usize).contains(&findings.len()), Refusal::Malformed);
		ensure!(findings.is_sorted_by(|a, b| a.0 < b.0), Refusal::Malformed);
		ensure!(new.window <= Self::running() && Self::is_open(new.window), Refusal::OutOfWindow);
		let checker = T::AccountId::from(new.checker);
		let worker = Self::worker(&checker)?;
		let list = Assigned::<T>::get(new.window, &checker);
		for (index, _) in findings {
			let sample = list.get(usize::from(*index)).ok_or(Refusal::NotAssigned)?;
			ensure!(!sample.done, Refusal::SlotUsed);
		}
		ensure!(Poc::<T>::is_signed(&worker, domain::VERDICTS, new, signature), Refusal::BadSignature);
		let slot = |(index, _): &(u16, _)| ("gonka/verdicts", (new.checker, new.window, index)).encode();
		let end = Self::last_window(new.window).saturating_add(1).saturating_mul(T::WindowLength::get());
		Ok(valid(findings.iter().map(slot).collect(), end.saturating_sub(Self::now())))
	}

	pub(crate) fn authorize_rule(_: TransactionSource, new: &Ruling, signature: &Signature) -> Verdict {
		ensure!(new.audit.len() <= MAX_AUDIT as usize && new.fresh.len() <= FRESH as usize, Refusal::Malformed);
		let (host, arbiter) = (T::AccountId::from(new.host), T::AccountId::from(new.arbiter));
		let worker = Self::worker(&arbiter)?;
		let case = Cases::<T>::get(&host).filter(|case| case.id == new.case).ok_or(Refusal::UnknownCase)?;
		let left = case.deadline.checked_sub(Self::now()).ok_or(Refusal::TooLate)?;
		let seat = case.arbiters.iter().find(|other| other.who == arbiter).ok_or(Refusal::NotArbiter)?;
		ensure!(seat.ruled.is_none(), Refusal::SlotUsed);
		ensure!(new.audit.len() == case.audit.len(), Refusal::Malformed);
		ensure!(Self::outcome(&case, new).is_some(), Refusal::Undecided);
		ensure!(Poc::<T>::is_signed(&worker, domain::RULING, new, signature), Refusal::BadSignature);
		Ok(valid(alloc::vec![("gonka/ruling", (new.arbiter, new.case)).encode()], left))
	}

	fn worker(host: &T::AccountId) -> Result<PublicKey, Refusal> {
		<Poc<T> as HostRegistry<T::AccountId>>::worker(host).ok_or(Refusal::UnknownHost)
	}
}

/// `left`: blocks for which it stays valid.
fn valid(provides: Vec<Vec<u8>>, left: BlockNumber) -> (ValidTransaction, Weight) {
	let longevity = left.max(1).into();
	let transaction =
		ValidTransaction { priority: PRIORITY, provides, longevity, propagate: true, ..Default::default() };
	(transaction, Weight::zero())
}
