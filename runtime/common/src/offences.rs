//! Equivocation: the loss of a validator that signs two blocks in a slot or two votes in a round.
//!
//! `pallet-babe` and `pallet-grandpa` accept the reports, `pallet_session::historical` proves the owner of the key, and
//! `pallet-offences` stores earlier reports and the number of validators that offended together.

use crate::Time;
use core::marker::PhantomData;
use gonka_primitives::{check::Offence, traits::OnOffence as _};
use pallet_collateral::WeightInfo as _;
use pallet_poc::WeightInfo as _;
use polkadot_sdk::{
	frame_support::{dispatch::DispatchClass, weights::Weight},
	frame_system, sp_consensus_babe, sp_consensus_grandpa,
	sp_runtime::{
		DispatchError, Perbill,
		traits::{Convert, Header},
		transaction_validity::{InvalidTransaction, TransactionValidityError},
	},
	sp_staking::{
		SessionIndex,
		offence::{OffenceDetails, OffenceReportSystem, OnOffenceHandler},
	},
};

/// Time to verify the two signatures of an equivocation, in picoseconds.
const TWO_SIGNATURES: u64 = 110_000_000;

/// Identifies a validator by its account alone.
pub struct NoIdentification;

impl<A> Convert<A, Option<()>> for NoIdentification {
	fn convert(_: A) -> Option<()> {
		Some(())
	}
}

/// Takes collateral and power. `pallet-offences` passes all validators that offended together so far, the new one last. The
/// others lose collateral as far as the share has grown.
pub struct Punish<T>(PhantomData<T>);

impl<T> OnOffenceHandler<T::AccountId, (T::AccountId, ()), Weight> for Punish<T>
where
	T: pallet_poc::Config + pallet_collateral::Config,
{
	fn on_offence(
		offenders: &[OffenceDetails<T::AccountId, (T::AccountId, ())>],
		shares: &[Perbill],
		session: SessionIndex,
	) -> Weight {
		// The dispatch weight of the report includes neither the number of offenders nor the signature checks of `Checked`.
		let slashes = <T as pallet_collateral::Config>::WeightInfo::slash().saturating_mul(offenders.len() as u64);
		let weight = <T as pallet_poc::Config>::WeightInfo::note_equivocation()
			.saturating_add(slashes)
			.saturating_add(Weight::from_parts(TWO_SIGNATURES, 0));
		let epoch = session.checked_div(Time::THIS.sessions()).unwrap_or(0);
		if let Some(OffenceDetails { offender: (host, ()), .. }) = offenders.last() {
			pallet_poc::Pallet::<T>::note_equivocation(host);
			// Removes its votes. The collateral that it loses is not a fixed share and is taken below.
			T::OnOffence::on_offence(host, epoch, Offence::Equivocation);
		}
		for (OffenceDetails { offender: (host, ()), .. }, share) in offenders.iter().zip(shares) {
			pallet_collateral::Pallet::<T>::slash_equivocation(host, epoch, *share);
		}
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Normal);
		weight
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
