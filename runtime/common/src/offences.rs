//! Equivocation: what a validator loses that signs two blocks of a slot, or two votes of a round.
//!
//! `pallet-babe` and `pallet-grandpa` take the reports, `pallet_session::historical` proves whose key it was, and
//! `pallet-offences` knows what was reported before and how many did it together.

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

/// Picoseconds for the signatures of an equivocation.
const TWO_SIGNATURES: u64 = 110_000_000;

/// Nothing about a validator but its account is on record.
pub struct NoIdentification;

impl<A> Convert<A, Option<()>> for NoIdentification {
	fn convert(_: A) -> Option<()> {
		Some(())
	}
}

/// Takes collateral and power. `pallet-offences` tells of an offence and of all that were in it so far, the new one last:
/// the others lose collateral as far as the share has grown.
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
		// The report's own weight knows neither how many did it nor that `Checked` looks at the signatures, too.
		let slashes = <T as pallet_collateral::Config>::WeightInfo::slash().saturating_mul(offenders.len() as u64);
		let weight = <T as pallet_poc::Config>::WeightInfo::note_equivocation()
			.saturating_add(slashes)
			.saturating_add(Weight::from_parts(TWO_SIGNATURES, 0));
		let epoch = session.checked_div(Time::THIS.sessions()).unwrap_or(0);
		if let Some(OffenceDetails { offender: (host, ()), .. }) = offenders.last() {
			pallet_poc::Pallet::<T>::note_equivocation(host);
			// For its votes. What it costs is not a fixed share, and follows.
			T::OnOffence::on_offence(host, epoch, Offence::Equivocation);
		}
		for (OffenceDetails { offender: (host, ()), .. }, share) in offenders.iter().zip(shares) {
			pallet_collateral::Pallet::<T>::slash_equivocation(host, epoch, *share);
		}
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Normal);
		weight
	}
}

/// What was signed twice.
pub trait Evidence {
	/// Whether it was, by the key that it names.
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

/// A report system that looks at the signatures before a report gets into the pool or a block, and not only when it is
/// carried out: reports carry no fee.
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
