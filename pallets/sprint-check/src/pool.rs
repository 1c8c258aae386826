//! What the transaction pool asks before it takes a message.
//!
//! Cheap checks come first, then the signature, then what costs more than a signature: hundreds of hashes. So a
//! stranger's junk costs a node a few storage reads and one verification at most.

use crate::*;
use alloc::vec::Vec;
use codec::Encode;
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
use polkadot_sdk::{
	frame_support::pallet_prelude::{TransactionPriority, TransactionSource, ValidTransaction},
	sp_runtime::transaction_validity::TransactionValidityError,
};

/// Above every transaction that pays: who fills blocks must not make others miss their deadlines. All of them are
/// few: a slot each.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;
/// Blocks for which the pool keeps a `close` that was not included.
const CLOSE_LONGEVITY: BlockNumber = 64;
/// The tag of a set that could not be computed.
pub(crate) const NO_TAG: Tag = [0; 4];
/// Values of an output are within ± this.
const MAX_VALUE: u8 = 31;

type Verdict = Result<(ValidTransaction, Weight), TransactionValidityError>;

impl<T: Config> Pallet<T> {
	pub(crate) fn authorize_commit_digest(
		_: TransactionSource,
		new: &DigestCommitment,
		signature: &Signature,
	) -> Verdict {
		let (epoch, checker) = (Self::running(new.epoch)?, T::AccountId::from(new.checker));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_digest(offset), Refusal::OutOfPhase);
		let worker = Self::worker(&checker)?;
		ensure!(!DigestCommitments::<T>::contains_key(new.epoch, &checker), Refusal::SlotUsed);
		ensure!(Poc::<T>::has_duty(&epoch, &checker), Refusal::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::DIGEST, new, signature), Refusal::BadSignature);
		let left = epoch.schedule.reveal_start().saturating_sub(offset);
		Ok(valid("gonka/digest", (new.checker, new.epoch), left))
	}

	pub(crate) fn authorize_reveal(_: TransactionSource, new: &DigestReveal, signature: &Signature) -> Verdict {
		let (epoch, checker) = (Self::running(new.epoch)?, T::AccountId::from(new.checker));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_reveal(offset), Refusal::OutOfPhase);
		ensure!(new.tags.len() <= T::MaxTags::get() as usize, Refusal::Malformed);
		let worker = Self::worker(&checker)?;
		let hash = DigestCommitments::<T>::get(new.epoch, &checker).ok_or(Refusal::NotCommitted)?;
		ensure!(!Reveals::<T>::contains_key(new.epoch, &checker), Refusal::SlotUsed);
		ensure!(digest_hash(&new.checker, new.epoch, &new.tags) == hash, Refusal::BadProof);
		ensure!(Poc::<T>::is_signed(&worker, domain::REVEAL, new, signature), Refusal::BadSignature);
		let duties = Poc::<T>::duties(&epoch, &checker);
		let sets = duties.iter().fold(0usize, |sum, duty| sum.saturating_add(duty.sets.len()));
		ensure!(new.tags.len() == sets, Refusal::Malformed);
		let left = epoch.schedule.settle_start().saturating_sub(offset);
		Ok(valid("gonka/reveal", (new.checker, new.epoch), left))
	}

	pub(crate) fn authorize_request(_: TransactionSource, new: &OpeningRequest, signature: &Signature) -> Verdict {
		let epoch = Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let offset = epoch.offset(Self::now());
		ensure!(epoch.schedule.takes_request(offset), Refusal::OutOfPhase);
		ensure!((1..=MAX_REQUESTED as usize).contains(&new.positions.len()), Refusal::Malformed);
		ensure!(new.positions.is_sorted_by(|a, b| a < b), Refusal::Malformed);
		let worker = Self::worker(&checker)?;
		ensure!(!Requests::<T>::contains_key((new.epoch, &host, &checker)), Refusal::SlotUsed);
		let is_sprint = new.segment < epoch.schedule.segments;
		let commitment = Self::commitment(new.epoch, &host, new.segment).filter(|_| is_sprint);
		ensure!(commitment.is_some(), Refusal::NotCommitted);
		let sets = Self::sets(&epoch, &checker, &host);
		let mine: Vec<_> = sets.into_iter().flat_map(|set| Self::leaves_of(&epoch, &host, set)).collect();
		let is_mine = |position: &u64| mine.contains(&(new.segment, *position));
		ensure!(new.positions.iter().all(is_mine), Refusal::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_REQUEST, new, signature), Refusal::BadSignature);
		let left = epoch.schedule.draw().saturating_add(epoch.schedule.request).saturating_sub(offset);
		Ok(valid("gonka/request", (new.host, new.checker, new.epoch), left))
	}

	pub(crate) fn authorize_answer(_: TransactionSource, new: &OpeningAnswer, signature: &Signature) -> Verdict {
		Self::running(new.epoch)?;
		let (checker, host) = (T::AccountId::from(new.checker), T::AccountId::from(new.host));
		let worker = Self::worker(&host)?;
		let request = Requests::<T>::get((new.epoch, &host, &checker)).ok_or(Refusal::NotCommitted)?;
		ensure!(request.openings.is_none(), Refusal::SlotUsed);
		let left = Self::left(request.deadline)?;
		ensure!(new.openings.len() == request.positions.len(), Refusal::Malformed);
		ensure!(new.openings.encoded_size() <= types::MAX_ANSWER as usize, Refusal::Malformed);
		ensure!(Poc::<T>::is_signed(&worker, domain::OPENING_ANSWER, new, signature), Refusal::BadSignature);
		let commitment = Self::commitment(new.epoch, &host, request.segment).ok_or(Refusal::NotCommitted)?;
		let mut opened = request.positions.iter().zip(&new.openings);
		let all = opened.all(|(position, opening)| commitment.verify(*position, opening).is_some());
		ensure!(all, Refusal::BadProof);
		Ok(valid("gonka/answer", (new.host, new.checker, new.epoch), left))
	}

	pub(crate) fn authorize_accuse(_: TransactionSource, new: &Accusation, signature: &Signature) -> Verdict {
		let epoch = Self::running(new.epoch)?;
		let (accuser, host) = (T::AccountId::from(new.accuser), T::AccountId::from(new.host));
		ensure!(accuser != host, Refusal::NothingToDispute);
		let worker = Self::worker(&accuser)?;
		ensure!(Self::raced(new.epoch, &accuser), Refusal::DidNotRace);
		let convicted = [&accuser, &host].into_iter().any(|who| Poc::<T>::is_convicted(new.epoch, who));
		ensure!(!convicted, Refusal::Convicted);
		ensure!(!Accused::<T>::contains_key((new.epoch, &accuser, &host)), Refusal::SlotUsed);
		let open = OpenAccusations::<T>::get(&accuser);
		ensure!(Self::has_room() && open < types::MAX_ACCUSATIONS, Refusal::TooManyClaims);
		let layout = Layout::new(epoch.profile);
		let in_range = new.output.iter().all(|value| (*value as i8).unsigned_abs() <= MAX_VALUE);
		let width = epoch.profile.params().width;
		ensure!(new.output.len() == width && in_range, Refusal::Malformed);
		ensure!(new.frontier.len() == layout.children_len(0), Refusal::Malformed);
		ensure!(Poc::<T>::is_signed(&worker, domain::ACCUSATION, new, signature), Refusal::BadSignature);
		let leaf = Self::accused_leaf(new)?;
		let output: Vec<i8> = new.output.iter().map(|value| *value as i8).collect();
		ensure!(leaf.hash(&output) != new.opening.leaf, Refusal::NothingToDispute);
		ensure!(bind_output(&layout, &new.frontier, &new.output, &new.path), Refusal::BadProof);
		let left = epoch.schedule.length.saturating_sub(epoch.offset(Self::now()));
		Ok(valid("gonka/accuse", (new.accuser, new.host, new.epoch), left))
	}

	/// The leaf that is opened.
	pub(crate) fn accused_leaf(new: &Accusation) -> Result<LeafId, Refusal> {
		let host = T::AccountId::from(new.host);
		let commitment = Self::commitment(new.epoch, &host, new.segment).ok_or(Refusal::NotCommitted)?;
		let (lane, index) = commitment.verify(new.position, &new.opening).ok_or(Refusal::BadProof)?;
		Ok(LeafId { host: new.host, epoch: new.epoch, segment: new.segment, lane, index })
	}

	pub(crate) fn authorize_challenge(_: TransactionSource, new: &Challenge, signature: &Signature) -> Verdict {
		let epoch = Self::running(new.epoch)?;
		let Challenge { challenger, checker, host, .. } = *new;
		let [challenger, checker, host] = [challenger, checker, host].map(T::AccountId::from);
		let worker = Self::worker(&challenger)?;
		let convicted = [&challenger, &checker].into_iter().any(|who| Poc::<T>::offence(new.epoch, who).is_some());
		ensure!(!convicted, Refusal::Convicted);
		ensure!(!Challenged::<T>::contains_key((new.epoch, &checker, (&host, new.set))), Refusal::SlotUsed);
		ensure!(Self::has_room(), Refusal::TooManyClaims);
		let tag = |who| Self::tag_of(new.epoch, who, &host, new.set).ok_or(Refusal::NotCommitted);
		let (mine, theirs) = (tag(&challenger)?, tag(&checker)?);
		ensure!(mine != theirs && mine != NO_TAG && theirs != NO_TAG, Refusal::NothingToDispute);
		let partners = Self::are_partners(&epoch, &host, new.set, &challenger, &checker);
		ensure!(partners, Refusal::NotAssigned);
		ensure!(Poc::<T>::is_signed(&worker, domain::CHALLENGE, new, signature), Refusal::BadSignature);
		let left = epoch.schedule.length.saturating_sub(epoch.offset(Self::now()));
		Ok(valid("gonka/challenge", (new.checker, new.host, new.set, new.epoch), left))
	}

	pub(crate) fn authorize_play(_: TransactionSource, new: &Play, signature: &Signature) -> Verdict {
		let (epoch, mut claim, mut game) = Self::find_game(new)?;
		let left = Self::left(game.deadline)?;
		let worker = Self::worker(&T::AccountId::from(new.player))?;
		ensure!(Poc::<T>::is_signed(&worker, domain::PLAY, new, signature), Refusal::BadSignature);
		Self::take_turn(&epoch, &mut claim, &mut game, &new.turn)?;
		Ok(valid("gonka/play", (new.claim, new.refuter, new.number), left))
	}

	pub(crate) fn authorize_close(_: TransactionSource, claim: &u32, refuter: &Option<T::AccountId>) -> Verdict {
		Self::check_close(*claim, refuter.as_ref())?;
		Ok(valid("gonka/close", (claim, refuter), CLOSE_LONGEVITY))
	}

	fn worker(host: &T::AccountId) -> Result<PublicKey, Refusal> {
		<Poc<T> as HostRegistry<T::AccountId>>::worker(host).ok_or(Refusal::UnknownHost)
	}

	/// Blocks until `deadline`.
	fn left(deadline: BlockNumber) -> Result<BlockNumber, Refusal> {
		deadline.checked_sub(Self::now()).ok_or(Refusal::TooLate)
	}

	fn has_room() -> bool {
		Claims::<T>::count() < T::MaxClaims::get()
	}
}

/// `left`: blocks for which it stays valid.
fn valid(kind: &'static str, slot: impl Encode, left: BlockNumber) -> (ValidTransaction, Weight) {
	let transaction = ValidTransaction {
		priority: PRIORITY,
		provides: alloc::vec![(kind, slot).encode()],
		longevity: left.max(1).into(),
		propagate: true,
		..Default::default()
	};
	(transaction, Weight::zero())
}
