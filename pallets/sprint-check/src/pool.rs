//! The checks by which the transaction pool validates messages of checkers and players.
//!
//! Cheap checks come first, then the signature, then draws and proofs of hundreds of hashes, which cost more than a
//! signature. So an invalid transaction costs a node little.

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
		let (draw, offset) = Self::drawn(&epoch, new.round)?;
		ensure!(epoch.schedule.takes_digest(draw, offset), ValidityError::OutOfPhase);
		let worker = Self::worker(&checker)?;
		let is_known = DigestCommitments::<T>::contains_key(new.epoch, (&checker, new.round));
		ensure!(!is_known, ValidityError::SlotUsed);
		ensure!(Poc::<T>::is_signed(&worker, domain::DIGEST, new, signature), ValidityError::BadSignature);
		ensure!(Poc::<T>::has_duty(&epoch, &checker), ValidityError::NotAssigned);
		let left = draw.saturating_add(epoch.schedule.digest).saturating_sub(offset);
		Ok(urgent("gonka/digest", [(new.checker, new.epoch, new.round)], left, Poc::<T>::rank(&checker)))
	}

	pub(crate) fn validate_reveal(new: &DigestReveal, signature: &Signature) -> Validity {
		let (epoch, checker) = (Self::running(new.epoch)?, T::AccountId::from(new.checker));
		let (draw, offset) = Self::drawn(&epoch, new.round)?;
		ensure!(epoch.schedule.takes_reveal(draw, offset), ValidityError::OutOfPhase);
		ensure!(new.tags.len() <= T::MaxTags::get() as usize, ValidityError::Malformed);
		let worker = Self::worker(&checker)?;
		let key = (&checker, new.round);
		let hash = DigestCommitments::<T>::get(new.epoch, key).ok_or(ValidityError::NotCommitted)?;
		ensure!(!Reveals::<T>::contains_key(new.epoch, key), ValidityError::SlotUsed);
		ensure!(digest_hash(&new.checker, new.epoch, new.round, &new.tags) == hash, ValidityError::BadProof);
		ensure!(Poc::<T>::is_signed(&worker, domain::REVEAL, new, signature), ValidityError::BadSignature);
		let duties = Poc::<T>::duties(&epoch, &checker);
		let sets = duties.iter().fold(0usize, |sum, duty| sum.saturating_add(duty.sets.len()));
		ensure!(new.tags.len() == sets, ValidityError::Malformed);
		let left = draw.saturating_add(epoch.schedule.checking()).saturating_sub(offset);
		Ok(urgent("gonka/reveal", [(new.checker, new.epoch, new.round)], left, Poc::<T>::rank(&checker)))
	}

	pub(crate) fn validate_request(new: &OpeningRequest, signature: &Signature) -> Validity {
		let epoch = Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let (draw, offset) = Self::drawn(&epoch, new.round)?;
		ensure!(epoch.schedule.takes_request(draw, offset), ValidityError::OutOfPhase);
		ensure!((1..=MAX_REQUESTED as usize).contains(&new.positions.len()), ValidityError::Malformed);
		ensure!(new.positions.is_sorted_by(|a, b| a < b), ValidityError::Malformed);
		let worker = Self::worker(&checker)?;
		let is_known = Requests::<T>::contains_key((new.epoch, &host, (&checker, new.round)));
		ensure!(!is_known, ValidityError::SlotUsed);
		ensure!(Self::took_part(new.epoch, &host), ValidityError::NotCommitted);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_REQUEST, new, signature), ValidityError::BadSignature);
		ensure!(Poc::<T>::may_request(new.epoch, new.round, &host, &checker), ValidityError::TooManyRequests);
		let sets = Self::sets(&epoch, &checker, &host);
		let mine: Vec<_> = sets.into_iter().flat_map(|set| Self::leaves_of(&epoch, new.round, &host, set)).collect();
		ensure!(new.positions.iter().all(|leaf| mine.contains(leaf)), ValidityError::NotAssigned);
		let left = draw.saturating_add(epoch.schedule.request).saturating_sub(offset);
		Ok(urgent("gonka/request", [(new.host, new.checker, new.epoch, new.round)], left, Poc::<T>::rank(&checker)))
	}

	pub(crate) fn validate_answer(new: &OpeningAnswer, signature: &Signature) -> Validity {
		Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let worker = Self::worker(&host)?;
		let request = Requests::<T>::get((new.epoch, &host, (&checker, new.round)));
		let request = request.ok_or(ValidityError::NotCommitted)?;
		ensure!(request.openings.is_none(), ValidityError::SlotUsed);
		let left = Self::left(request.deadline)?;
		ensure!(new.openings.len() == request.positions.len(), ValidityError::Malformed);
		ensure!(new.openings.encoded_size() <= types::MAX_ANSWER as usize, ValidityError::Malformed);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_ANSWER, new, signature), ValidityError::BadSignature);
		let commitments = pallet_poc::Commitments::<T>::get(new.epoch, &host);
		let commitment = |segment| commitments.iter().find(|(of, _)| *of == segment).map(|(_, commitment)| commitment);
		let all = request.positions.iter().zip(&new.openings).all(|((segment, position), opening)| {
			commitment(*segment).is_some_and(|commitment| commitment.verify(*position, opening).is_some())
		});
		ensure!(all, ValidityError::BadProof);
		Ok(urgent("gonka/answer", [(new.host, new.checker, new.epoch, new.round)], left, Poc::<T>::rank(&host)))
	}

	pub(crate) fn validate_accuse(new: &Accusation, signature: &Signature) -> Validity {
		let epoch = Self::running(new.epoch)?;
		let (accuser, host) = (T::AccountId::from(new.accuser), T::AccountId::from(new.host));
		ensure!(accuser != host, ValidityError::NothingToDispute);
		let worker = Self::worker(&accuser)?;
		ensure!(Self::took_part(new.epoch, &accuser), ValidityError::NotAParticipant);
		// Refuters are drawn among the checkers, and those are known from the draw of committees on.
		ensure!(epoch.beacon.is_some(), ValidityError::OutOfPhase);
		let convicted = [&accuser, &host].into_iter().any(|who| Poc::<T>::is_convicted(new.epoch, who));
		ensure!(!convicted, ValidityError::Convicted);
		ensure!(Self::has_stake(new.epoch, &accuser), ValidityError::NoStake);
		ensure!(!Accused::<T>::contains_key((new.epoch, &accuser, &host)), ValidityError::SlotUsed);
		let open = OpenAccusations::<T>::get(&accuser);
		ensure!(open < types::MAX_ACCUSATIONS && Self::has_room(&accuser), ValidityError::TooManyClaims);
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
		Ok(urgent("gonka/accuse", [(new.accuser, new.host, new.epoch)], left, Poc::<T>::rank(&accuser)))
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
		ensure!(Self::has_stake(new.epoch, &challenger), ValidityError::NoStake);
		let key = (new.epoch, &checker, (&host, new.round, new.set));
		ensure!(!Challenged::<T>::contains_key(key), ValidityError::SlotUsed);
		let open = OpenChallenges::<T>::get(&challenger);
		ensure!(open < types::MAX_CHALLENGES && Self::has_room(&challenger), ValidityError::TooManyClaims);
		let tag = |who| Self::tag_of(new.epoch, new.round, who, &host, new.set).ok_or(ValidityError::NotCommitted);
		let (mine, theirs) = (tag(&challenger)?, tag(&checker)?);
		ensure!(mine != theirs && mine != NO_TAG && theirs != NO_TAG, ValidityError::NothingToDispute);
		ensure!(Poc::<T>::is_signed(&worker, domain::CHALLENGE, new, signature), ValidityError::BadSignature);
		// A host that did not commit to a confirmation segment has no leaves there, whatever tags say.
		ensure!(!Self::counts(&epoch, new.round, &host).is_empty(), ValidityError::NothingToDispute);
		let partners = Self::are_partners(&epoch, &host, new.set, &challenger, &checker);
		ensure!(partners, ValidityError::NotAssigned);
		let left = epoch.schedule.length.saturating_sub(epoch.offset(Self::now()));
		let slot = (new.checker, new.host, new.round, new.set, new.epoch);
		Ok(urgent("gonka/challenge", [slot], left, Poc::<T>::rank(&challenger)))
	}

	pub(crate) fn validate_play(new: &Play, signature: &Signature) -> Validity {
		let (epoch, mut claim, mut game) = Self::find_game(new)?;
		let left = Self::left(game.deadline)?;
		let player = T::AccountId::from(new.player);
		let worker = Self::worker(&player)?;
		ensure!(Poc::<T>::is_signed(&worker, domain::PLAY, new, signature), ValidityError::BadSignature);
		Self::take_turn(&epoch, &mut claim, &mut game, &new.turn)?;
		Ok(urgent("gonka/play", [(new.claim, new.refuter, new.number)], left, Poc::<T>::rank(&player)))
	}

	pub(crate) fn validate_close(claim: u32, refuter: &Option<T::AccountId>) -> Validity {
		Self::check_close(claim, refuter.as_ref())?;
		Ok(urgent("gonka/close", [(claim, refuter)], CLOSE_LONGEVITY, 0))
	}

	/// The offset at which a round was drawn, and the offset of this block.
	fn drawn(epoch: &Epoch, round: u8) -> Result<(BlockNumber, BlockNumber), ValidityError> {
		let draw = epoch.draw_of(round).ok_or(ValidityError::OutOfPhase)?;
		Ok((draw, epoch.offset(Self::now())))
	}

	fn worker(host: &T::AccountId) -> Result<PublicKey, ValidityError> {
		<Poc<T> as HostRegistry<T::AccountId>>::worker(host).ok_or(ValidityError::UnknownHost)
	}

	/// Blocks until `deadline`.
	fn left(deadline: BlockNumber) -> Result<BlockNumber, ValidityError> {
		deadline.checked_sub(Self::now()).ok_or(ValidityError::TooLate)
	}
}
