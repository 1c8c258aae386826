//! The outcomes of disputes.

use crate::*;
use gonka_primitives::check::Offence;
use types::Subject;

/// The way in which a claim or a refutation was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
	/// The last turn proved a wrong value.
	Proof,
	/// A turn was not taken in time.
	Silence,
}

/// The effect of `close`.
pub(crate) enum Closing<T: Config> {
	/// The claimant missed its turn.
	Claimant(ClaimOf<T>),
	/// The refuter missed its turn.
	Refuter(ClaimOf<T>, T::AccountId),
	/// Nobody refuted an accusation.
	Accusation(ClaimOf<T>),
}

impl<T: Config> Pallet<T> {
	/// Checks that a claim, or one refutation of it, can be closed now, and returns the effect.
	pub(crate) fn check_close(id: u32, refuter: Option<&T::AccountId>) -> Result<Closing<T>, ValidityError> {
		let claim = Claims::<T>::get(id).ok_or(ValidityError::UnknownClaim)?;
		Self::playable(claim.epoch)?;
		let Some(refuter) = refuter else {
			ensure!(claim.is_accusation(), ValidityError::UnknownClaim);
			let refuted = Games::<T>::iter_key_prefix(id).next().is_some();
			ensure!(Self::now() > claim.until && !refuted, ValidityError::TooEarly);
			return Ok(Closing::Accusation(claim));
		};
		let game = Games::<T>::get(id, refuter).ok_or(ValidityError::UnknownClaim)?;
		ensure!(Self::now() > game.deadline, ValidityError::TooEarly);
		Ok(if game.stage.is_claimants() { Closing::Claimant(claim) } else { Closing::Refuter(claim, refuter.clone()) })
	}

	/// Applies the effect of `close`.
	pub(crate) fn conclude(id: u32, closing: Closing<T>) {
		match closing {
			Closing::Claimant(claim) => Self::lose_claim(id, &claim, Loss::Silence),
			Closing::Refuter(claim, refuter) => Self::lose_refutation(id, &claim, &refuter, Loss::Silence),
			Closing::Accusation(claim) => {
				Self::remove_claim(id, &claim);
				let moot =
					[&claim.claimant, &claim.host].into_iter().any(|who| Poc::<T>::is_convicted(claim.epoch, who));
				if moot {
					Self::deposit_event(Event::ClaimDropped { claim: id });
				} else {
					Self::deposit_event(Event::ClaimWon { claim: id });
					Self::convict(claim.epoch, claim.host, Offence::Fabrication);
				}
			},
		}
	}

	/// Removes a claim whose claimant was wrong or missed a turn, and punishes the claimant.
	pub(crate) fn lose_claim(id: u32, claim: &ClaimOf<T>, loss: Loss) {
		Self::remove_claim(id, claim);
		Self::deposit_event(Event::ClaimLost { claim: id });
		match (&claim.subject, loss) {
			(Subject::Accusation { .. }, _) => {
				Self::punish(claim.epoch, &claim.claimant, Offence::FalseAccusation, loss);
			},
			(Subject::Challenge { .. }, Loss::Proof) => {
				Self::punish(claim.epoch, &claim.claimant, Offence::FalseDigest, loss);
			},
			// The checker did not begin this dispute and may be honest but offline. It only misses this one duty.
			(Subject::Challenge { .. }, Loss::Silence) => {
				Poc::<T>::miss_digest(claim.epoch, &claim.claimant);
				Self::deposit_event(Event::DigestMissed { checker: claim.claimant.clone(), epoch: claim.epoch });
			},
		}
	}

	/// Removes a game whose refuter was wrong or missed a turn, and punishes the refuter. A challenge is over; an
	/// accusation remains open for others, unless it was the accused that lied.
	pub(crate) fn lose_refutation(id: u32, claim: &ClaimOf<T>, refuter: &T::AccountId, loss: Loss) {
		Games::<T>::remove(id, refuter);
		Self::free_place(id, refuter);
		Self::deposit_event(Event::RefutationLost { claim: id, refuter: refuter.clone() });
		let is_decided = claim.is_accusation() && *refuter == claim.host && loss == Loss::Proof;
		if is_decided || !claim.is_accusation() {
			Self::remove_claim(id, claim);
			Self::deposit_event(Event::ClaimWon { claim: id });
		}
		let offence = if is_decided { Offence::Fabrication } else { Offence::FalseAccusation };
		Self::punish(claim.epoch, refuter, offence, loss);
	}

	fn punish(epoch: EpochIndex, host: &T::AccountId, offence: Offence, loss: Loss) {
		match loss {
			Loss::Proof => Self::convict(epoch, host.clone(), offence),
			Loss::Silence => {
				Poc::<T>::forfeit(epoch, host);
				Self::deposit_event(Event::Forfeited { host: host.clone(), epoch });
			},
		}
	}

	/// Convicts a host, unless it was already convicted of an offence at least as grave.
	fn convict(epoch: EpochIndex, host: T::AccountId, offence: Offence) {
		let known = match Poc::<T>::offence(epoch, &host) {
			None => false,
			Some(Offence::FalseDigest) => offence == Offence::FalseDigest,
			Some(_) => true,
		};
		if !known {
			Poc::<T>::convict(epoch, &host, offence);
			T::OnOffence::on_offence(&host, epoch, offence);
			Self::deposit_event(Event::Convicted { host, epoch, offence });
		}
	}
}
