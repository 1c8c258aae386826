//! Equivocation: the loss of a validator that signs two blocks in a slot or two votes in a round.
//!
//! `pallet-babe` and `pallet-grandpa` accept the reports, and `pallet_session::historical` proves the owner of the key with
//! its share of the session's power. `pallet-collateral` records what was reported and which sessions can be reported.

use alloc::vec::Vec;
use core::marker::PhantomData;
use gonka_primitives::{check::Offence as Kind, traits::OnOffence};
use pallet_collateral::{ReportError, WeightInfo as _};
use pallet_poc::WeightInfo as _;
use polkadot_sdk::{
	frame_support::{dispatch::DispatchClass, traits::Get, weights::Weight},
	frame_system, pallet_babe, pallet_grandpa, pallet_session, sp_consensus_babe, sp_consensus_grandpa,
	sp_runtime::{
		DispatchError, PerThing, Perbill, Rounding, SaturatedConversion,
		traits::{Convert, Header},
		transaction_validity::{InvalidTransaction, TransactionValidityError},
	},
	sp_staking::{
		SessionIndex,
		offence::{Offence, OffenceError, OffenceReportSystem, ReportOffence},
	},
};

/// Time to verify the two signatures of an equivocation, in picoseconds.
const TWO_SIGNATURES: u64 = 110_000_000;

/// A validator in a session: its account, and its share of the power.
pub type Validator<A> = (A, Perbill);

/// The share that a validator of the running session has of its power. The proof of a key's owner carries it.
pub struct PowerShare<T>(PhantomData<T>);

impl<T> Convert<T::AccountId, Option<Perbill>> for PowerShare<T>
where
	T: pallet_poc::Config + pallet_session::Config<ValidatorId = <T as frame_system::Config>::AccountId>,
{
	fn convert(who: T::AccountId) -> Option<Perbill> {
		let validators = pallet_session::Validators::<T>::decode_len().unwrap_or_default();
		Some(share::<T>(&pallet_poc::SessionPower::<T>::get(), validators, &who))
	}
}

/// The share that one of so many `validators` has of all `power`; an equal share if no power is listed.
pub(crate) fn share<T: pallet_poc::Config>(
	power: &[(T::AccountId, u64)],
	validators: usize,
	who: &T::AccountId,
) -> Perbill {
	let listed = power.iter().fold(0u64, |sum, (_, power)| sum.saturating_add(*power));
	let all = if listed == 0 { validators as u64 } else { listed };
	let own = pallet_poc::Pallet::<T>::power_of(power, who);
	// Rounded up: an exact third has to count as one.
	Perbill::from_rational_with_rounding(own, all.max(1), Rounding::Up).unwrap_or(Perbill::one())
}

/// The slot or round of an equivocation.
pub trait Moment<T> {
	/// A session whose validators had the power with which it was committed.
	fn session(&self) -> Option<SessionIndex>;
}

impl<T: pallet_babe::Config> Moment<T> for sp_consensus_babe::Slot {
	/// As `pallet-babe` counts its epochs: their numbers grow by more than one where blocks were missing for a whole one.
	fn session(&self) -> Option<SessionIndex> {
		let since = u64::from(*self).saturating_sub(pallet_babe::GenesisSlot::<T>::get().into());
		let epoch = since.checked_div(T::EpochDuration::get())?;
		let skipped = pallet_babe::SkippedEpochs::<T>::get();
		let last = skipped.iter().rev().find(|(first, _)| *first <= epoch);
		let ahead = last.map_or(0, |(first, session)| first.saturating_sub(u64::from(*session)));
		Some(epoch.saturating_sub(ahead).saturated_into())
	}
}

impl<T: pallet_grandpa::Config> Moment<T> for pallet_grandpa::TimeSlot {
	/// The last session of the set. All sessions of a set have the same power.
	fn session(&self) -> Option<SessionIndex> {
		pallet_grandpa::SetIdSession::<T>::get(self.set_id)
	}
}

/// Takes and punishes reports: the equivocator loses its power, its votes, the weight and pay of an epoch, and a share of
/// its collateral and unvested pay.
pub struct Reports<T>(PhantomData<T>);

impl<T, O> ReportOffence<T::AccountId, Validator<T::AccountId>, O> for Reports<T>
where
	T: pallet_poc::Config + pallet_collateral::Config,
	O: Offence<Validator<T::AccountId>, Slot: Moment<T>>,
{
	fn report_offence(_: Vec<T::AccountId>, offence: O) -> Result<(), OffenceError> {
		for (validator, power) in offence.offenders() {
			// The reporter names the session of a vote among those of its set, which have the same power.
			let session = Moment::<T>::session(&offence.slot()).ok_or(OffenceError::Other(0))?;
			let punished = pallet_collateral::Pallet::<T>::punish(session, &validator, power);
			let (epoch, slashes) = punished.map_err(|error| match error {
				ReportError::Known => OffenceError::DuplicateReport,
				ReportError::UnknownSession => OffenceError::Other(1),
				ReportError::Full => OffenceError::Other(2),
			})?;
			pallet_poc::Pallet::<T>::note_equivocation(&validator);
			// Removes its votes. Collateral and pay are taken above.
			T::OnOffence::on_offence(&validator, epoch, Kind::Equivocation);
			// The dispatch weight of the report includes neither the slashes nor the signature checks of `Checked`.
			let weight = <T as pallet_poc::Config>::WeightInfo::note_equivocation()
				.saturating_add(<T as pallet_collateral::Config>::WeightInfo::punish(slashes))
				.saturating_add(Weight::from_parts(TWO_SIGNATURES, 0));
			frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Normal);
		}
		Ok(())
	}

	fn is_known_offence(offenders: &[Validator<T::AccountId>], slot: &O::Slot) -> bool {
		let Some(session) = Moment::<T>::session(slot) else { return false };
		offenders.iter().all(|(validator, _)| pallet_collateral::Pallet::<T>::is_reported(session, validator))
	}
}

/// Evidence of an equivocation.
pub trait Evidence {
	/// Whether the key that it names signed both messages.
	fn holds(self) -> bool;
}

impl<H: Header> Evidence for sp_consensus_babe::EquivocationProof<H> {
	fn holds(self) -> bool {
		sp_consensus_babe::check_equivocation_proof(self)
	}
}

impl<H, N> Evidence for sp_consensus_grandpa::EquivocationProof<H, N>
where
	H: Clone + codec::Encode + PartialEq,
	N: Clone + codec::Encode + PartialEq,
{
	fn holds(self) -> bool {
		sp_consensus_grandpa::check_equivocation_proof(self)
	}
}

/// A report system that checks the signatures before a report enters the pool or a block, and not only at its dispatch,
/// because reports carry no fee.
pub struct Checked<S>(PhantomData<S>);

impl<R, E, K, S> OffenceReportSystem<R, (E, K)> for Checked<S>
where
	E: Evidence + Clone,
	S: OffenceReportSystem<R, (E, K)>,
{
	type Longevity = S::Longevity;

	fn publish_evidence(evidence: (E, K)) -> Result<(), ()> {
		S::publish_evidence(evidence)
	}

	fn check_evidence((proof, owner): (E, K)) -> Result<(), TransactionValidityError> {
		if !proof.clone().holds() {
			return Err(InvalidTransaction::BadProof.into());
		}
		S::check_evidence((proof, owner))
	}

	fn process_evidence(reporter: R, evidence: (E, K)) -> Result<(), DispatchError> {
		S::process_evidence(reporter, evidence)
	}
}
