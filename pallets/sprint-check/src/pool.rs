//! The checks by which the transaction pool validates messages of checkers and players.
//!
//! Cheap checks come first, then the signature, then proofs of hundreds of hashes, which cost more than a signature. So
//! an invalid transaction costs a node little.

use crate::*;
use alloc::vec::Vec;
use codec::Encode;
use gonka_pallet_support::pool::urgent;
use gonka_primitives::{
	PublicKey, Signature,
	check::{
		Accusation, Challenge, DigestCommitment, DigestReveal, MAX_REQUESTED, OpeningAnswer, OpeningRequest, Play,
		digest_hash,
	},
	hashing::domain,
	traits::HostRegistry,
};
use gonka_sprint::{
	LeafId,
	committee::Tag,
	trace::{Layout, bind_output},
};
use polkadot_sdk::frame_support::pallet_prelude::ValidTransaction;

/// Blocks for which the pool keeps a `close` that is in no block.
const CLOSE_LONGEVITY: BlockNumber = 64;
/// The tag of a leaf set that the checker could not compute.
pub(crate) const NO_TAG: Tag = [0; 4];
/// Maximum magnitude of a value of an output.
const MAX_VALUE: u8 = 31;

type Validity = Result<ValidTransaction, ValidityError>;

impl<T: Config> Pallet<T> {
	pub(crate) fn validate_commit_digest(new: &DigestCommitment, signature: &Signature) -> Validity {
		let (epoch, checker) = (Self::running(new.epoch)?, T::AccountId::from(new.checker));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_digest(offset), ValidityError::OutOfPhase);
		let worker = Self::worker(&checker)?;
		ensure!(!DigestCommitments::<T>::contains_key(new.epoch, &checker), ValidityError::SlotUsed);
		ensure!(Poc::<T>::has_duty(&epoch, &checker), ValidityError::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::DIGEST, new, signature), ValidityError::BadSignature);
		let left = epoch.schedule.reveal_start().saturating_sub(offset);
		Ok(urgent("gonka/digest", [(new.checker, new.epoch)], left))
	}

	pub(crate) fn validate_reveal(new: &DigestReveal, signature: &Signature) -> Validity {
		let (epoch, checker) = (Self::running(new.epoch)?, T::AccountId::from(new.checker));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_reveal(offset), ValidityError::OutOfPhase);
		ensure!(new.tags.len() <= T::MaxTags::get() as usize, ValidityError::Malformed);
		let worker = Self::worker(&checker)?;
		let hash = DigestCommitments::<T>::get(new.epoch, &checker).ok_or(ValidityError::NotCommitted)?;
		ensure!(!Reveals::<T>::contains_key(new.epoch, &checker), ValidityError::SlotUsed);
		ensure!(digest_hash(&new.checker, new.epoch, &new.tags) == hash, ValidityError::BadProof);
		ensure!(Poc::<T>::is_signed(&worker, domain::REVEAL, new, signature), ValidityError::BadSignature);
		let duties = Poc::<T>::duties(&epoch, &checker);
		let sets = duties.iter().fold(0usize, |sum, duty| sum.saturating_add(duty.sets.len()));
		ensure!(new.tags.len() == sets, ValidityError::Malformed);
		let left = epoch.schedule.weigh_start().saturating_sub(offset);
		Ok(urgent("gonka/reveal", [(new.checker, new.epoch)], left))
	}

	pub(crate) fn validate_request(new: &OpeningRequest, signature: &Signature) -> Validity {
		let epoch = Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_request(offset), ValidityError::OutOfPhase);
		ensure!((1..=MAX_REQUESTED as usize).contains(&new.positions.len()), ValidityError::Malformed);
		ensure!(new.positions.is_sorted_by(|a, b| a < b), ValidityError::Malformed);
		let worker = Self::worker(&checker)?;
		ensure!(!Requests::<T>::contains_key((new.epoch, &host, &checker)), ValidityError::SlotUsed);
		let is_sprint = new.segment < epoch.schedule.segments;
		let commitment = Self::commitment(new.epoch, &host, new.segment).filter(|_| is_sprint);
		ensure!(commitment.is_some(), ValidityError::NotCommitted);
		let sets = Self::sets(&epoch, &checker, &host);
		let mine: Vec<_> = sets.into_iter().flat_map(|set| Self::leaves_of(&epoch, &host, set)).collect();
		let is_mine = |position: &u64| mine.contains(&(new.segment, *position));
		ensure!(new.positions.iter().all(is_mine), ValidityError::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_REQUEST, new, signature), ValidityError::BadSignature);
		let left = epoch.schedule.draw().saturating_add(epoch.schedule.request).saturating_sub(offset);
		Ok(urgent("gonka/request", [(new.host, new.checker, new.epoch)], left))
	}

	pub(crate) fn validate_answer(new: &OpeningAnswer, signature: &Signature) -> Validity {
		Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let worker = Self::worker(&host)?;
		let request = Requests::<T>::get((new.epoch, &host, &checker)).ok_or(ValidityError::NotCommitted)?;
		ensure!(request.openings.is_none(), ValidityError::SlotUsed);
		let left = Self::left(request.deadline)?;
		ensure!(new.openings.len() == request.positions.len(), ValidityError::Malformed);
		ensure!(new.openings.encoded_size() <= types::MAX_ANSWER as usize, ValidityError::Malformed);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_ANSWER, new, signature), ValidityError::BadSignature);
		let commitment = Self::commitment(new.epoch, &host, request.segment).ok_or(ValidityError::NotCommitted)?;
		let mut opened = request.positions.iter().zip(&new.openings);
		let all = opened.all(|(position, opening)| commitment.verify(*position, opening).is_some());
		ensure!(all, ValidityError::BadProof);
		Ok(urgent("gonka/answer", [(new.host, new.checker, new.epoch)], left))
	}

	pub(crate) fn validate_accuse(new: &Accusation, signature: &Signature) -> Validity {
		let epoch = Self::running(new.epoch)?;
		let (accuser, host) = (T::AccountId::from(new.accuser), T::AccountId::from(new.host));
		ensure!(accuser != host, ValidityError::NothingToDispute);
		let worker = Self::worker(&accuser)?;
		ensure!(Self::took_part(new.epoch, &accuser), ValidityError::NotAParticipant);
		let convicted = [&accuser, &host].into_iter().any(|who| Poc::<T>::is_convicted(new.epoch, who));
		ensure!(!convicted, ValidityError::Convicted);
		ensure!(!Accused::<T>::contains_key((new.epoch, &accuser, &host)), ValidityError::SlotUsed);
		let open = OpenAccusations::<T>::get(&accuser);
		ensure!(Self::has_room() && open < types::MAX_ACCUSATIONS, ValidityError::TooManyClaims);
		let layout = Layout::new(epoch.format);
		let in_range = new.output.iter().all(|value| (*value as i8).unsigned_abs() <= MAX_VALUE);
		let width = epoch.format.params().width;
		ensure!(new.output.len() == width && in_range, ValidityError::Malformed);
		ensure!(new.frontier.len() == layout.children_len(0), ValidityError::Malformed);
		ensure!(Poc::<T>::is_signed(&worker, domain::ACCUSATION, new, signature), ValidityError::BadSignature);
		let leaf = Self::accused_leaf(new)?;
		let output: Vec<i8> = new.output.iter().map(|value| *value as i8).collect();
		ensure!(leaf.hash(&output) != new.opening.leaf, ValidityError::NothingToDispute);
		ensure!(bind_output(&layout, &new.frontier, &new.output, &new.path), ValidityError::BadProof);
		let left = epoch.schedule.length.saturating_sub(epoch.offset(Self::now()));
		Ok(urgent("gonka/accuse", [(new.accuser, new.host, new.epoch)], left))
	}

	/// The leaf that an accusation opens.
	pub(crate) fn accused_leaf(new: &Accusation) -> Result<LeafId, ValidityError> {
		let host = T::AccountId::from(new.host);
		let commitment = Self::commitment(new.epoch, &host, new.segment).ok_or(ValidityError::NotCommitted)?;
		let (lane, index) = commitment.verify(new.position, &new.opening).ok_or(ValidityError::BadProof)?;
		Ok(LeafId { host: new.host, epoch: new.epoch, segment: new.segment, lane, index })
	}

	pub(crate) fn validate_challenge(new: &Challenge, signature: &Signature) -> Validity {
		let epoch = Self::running(new.epoch)?;
		let Challenge { challenger, checker, host, .. } = *new;
		let [challenger, checker, host] = [challenger, checker, host].map(T::AccountId::from);
		let worker = Self::worker(&challenger)?;
		let convicted = [&challenger, &checker].into_iter().any(|who| Poc::<T>::offence(new.epoch, who).is_some());
		ensure!(!convicted, ValidityError::Convicted);
		ensure!(!Challenged::<T>::contains_key((new.epoch, &checker, (&host, new.set))), ValidityError::SlotUsed);
		ensure!(Self::has_room(), ValidityError::TooManyClaims);
		let tag = |who| Self::tag_of(new.epoch, who, &host, new.set).ok_or(ValidityError::NotCommitted);
		let (mine, theirs) = (tag(&challenger)?, tag(&checker)?);
		ensure!(mine != theirs && mine != NO_TAG && theirs != NO_TAG, ValidityError::NothingToDispute);
		let partners = Self::are_partners(&epoch, &host, new.set, &challenger, &checker);
		ensure!(partners, ValidityError::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::CHALLENGE, new, signature), ValidityError::BadSignature);
		let left = epoch.schedule.length.saturating_sub(epoch.offset(Self::now()));
		Ok(urgent("gonka/challenge", [(new.checker, new.host, new.set, new.epoch)], left))
	}

	pub(crate) fn validate_play(new: &Play, signature: &Signature) -> Validity {
		let (epoch, mut claim, mut game) = Self::find_game(new)?;
		let left = Self::left(game.deadline)?;
		let worker = Self::worker(&T::AccountId::from(new.player))?;
		ensure!(Poc::<T>::is_signed(&worker, domain::PLAY, new, signature), ValidityError::BadSignature);
		Self::take_turn(&epoch, &mut claim, &mut game, &new.turn)?;
		Ok(urgent("gonka/play", [(new.claim, new.refuter, new.number)], left))
	}

	pub(crate) fn validate_close(claim: u32, refuter: &Option<T::AccountId>) -> Validity {
		Self::check_close(claim, refuter.as_ref())?;
		Ok(urgent("gonka/close", [(claim, refuter)], CLOSE_LONGEVITY))
	}

	fn worker(host: &T::AccountId) -> Result<PublicKey, ValidityError> {
		<Poc<T> as HostRegistry<T::AccountId>>::worker(host).ok_or(ValidityError::UnknownHost)
	}

	/// Blocks until `deadline`.
	fn left(deadline: BlockNumber) -> Result<BlockNumber, ValidityError> {
		deadline.checked_sub(Self::now()).ok_or(ValidityError::TooLate)
	}

	fn has_room() -> bool {
		Claims::<T>::count() < T::MaxClaims::get()
	}
}
