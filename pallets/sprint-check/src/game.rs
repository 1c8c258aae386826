//! Turns of a dispute: the player whose turn it is, and the legality of a turn.
//!
//! The frontier that a claimant shows needs no root. Every turn proves its data against nodes over real blocks, so
//! wrong padding has no effect.

use crate::*;
use gonka_primitives::check::{MAX_BLOCK, Play, Stage, Turn};
use gonka_sprint::{
	DisputeVerdict, LeafId, ModelSeed, SegmentSeed,
	committee::{middle_layer, tag},
	dispute::{is_child, judge},
	trace::{Layout, Place, bind_digest},
};
use types::Subject;

/// The claim's epoch, the claim, and the game before a turn.
pub(crate) type Found<T> = (Epoch, ClaimOf<T>, Game);

impl<T: Config> Pallet<T> {
	/// The game of a turn, or a new one. Checks that it is the player's turn and that its deadline has not passed.
	/// Cheap.
	pub(crate) fn find_game(play: &Play) -> Result<Found<T>, ValidityError> {
		let (player, refuter) = (T::AccountId::from(play.player), T::AccountId::from(play.refuter));
		let claim = Claims::<T>::get(play.claim).ok_or(ValidityError::UnknownClaim)?;
		let epoch = Self::playable(claim.epoch)?;
		let game = match Games::<T>::get(play.claim, &refuter) {
			Some(game) => game,
			None => Self::new_game(play, &claim, &refuter)?,
		};
		let next = if game.stage.is_claimants() { &claim.claimant } else { &refuter };
		ensure!(player == *next && play.number == game.number, ValidityError::WrongTurn);
		ensure!(Self::now() <= game.deadline, ValidityError::TooLate);
		Ok((epoch, claim, game))
	}

	/// A new game, which a refuter's first pick begins.
	fn new_game(play: &Play, claim: &ClaimOf<T>, refuter: &T::AccountId) -> Result<Game, ValidityError> {
		ensure!(claim.is_accusation(), ValidityError::UnknownClaim);
		ensure!(matches!(play.turn, Turn::Pick(_)), ValidityError::UnknownClaim);
		ensure!(Self::now() <= claim.until, ValidityError::TooLate);
		ensure!(*refuter != claim.claimant, ValidityError::NothingToDispute);
		ensure!(Self::took_part(claim.epoch, refuter), ValidityError::NotAParticipant);
		ensure!(!Poc::<T>::is_convicted(claim.epoch, refuter), ValidityError::Convicted);
		Self::check_place(play.claim, claim, refuter)?;
		Ok(Game::new(Stage::Node, claim.until))
	}

	/// Takes a turn and updates `claim` and `game`. The last turn returns a verdict instead.
	pub(crate) fn take_turn(
		epoch: &Epoch,
		claim: &mut ClaimOf<T>,
		game: &mut Game,
		turn: &Turn,
	) -> Result<Option<DisputeVerdict>, ValidityError> {
		let layout = Layout::new(epoch.format);
		game.stage = match (game.stage, turn) {
			(Stage::Digests, Turn::Digests(shown)) => {
				Self::show_digests(epoch, claim, shown)?;
				Stage::Leaf
			},
			(Stage::Leaf, Turn::Leaf { number, lane }) => {
				claim.leaf = Some(Self::name_leaf(epoch, claim, *number, lane)?);
				if let Subject::Challenge { number: named, .. } = &mut claim.subject {
					*named = Some(*number);
				}
				Stage::Trace
			},
			(Stage::Trace, Turn::Trace { frontier, path }) => {
				Self::show_trace(epoch, claim, frontier, path)?;
				Stage::Node
			},
			(Stage::Node, Turn::Pick(child)) => {
				layout.child_index(0, 0, (*child).into()).ok_or(ValidityError::Malformed)?;
				game.picked = Some(*child);
				Stage::Children
			},
			(Stage::Children, Turn::Children(children)) => {
				let picked = game.picked.ok_or(ValidityError::WrongTurn)?;
				let node = claim.frontier.get(usize::from(picked)).ok_or(ValidityError::WrongTurn)?;
				ensure!(layout.verify_children(1, picked.into(), node, children), ValidityError::BadProof);
				game.children = children.clone().try_into().map_err(|_| ValidityError::Malformed)?;
				Stage::Block
			},
			(Stage::Block, Turn::Pick(child)) => {
				game.block = Some(*child);
				block_index(&layout, game).ok_or(ValidityError::Malformed)?;
				Stage::Bytes
			},
			(Stage::Bytes, Turn::Block(bytes)) => {
				let index = block_index(&layout, game).ok_or(ValidityError::WrongTurn)?;
				let len = layout.place(index).map(|place| layout.block_len(place));
				ensure!(bytes.len() <= MAX_BLOCK as usize && Some(bytes.len()) == len, ValidityError::Malformed);
				ensure!(is_child(&layout, &game.children, index, bytes), ValidityError::BadProof);
				game.bytes = bytes.clone().try_into().map_err(|_| ValidityError::Malformed)?;
				Stage::Value
			},
			(Stage::Value, Turn::Value { coordinate, inputs }) => {
				let picked = game.picked.ok_or(ValidityError::WrongTurn)?;
				let index = block_index(&layout, game).ok_or(ValidityError::WrongTurn)?;
				let tokens = match (layout.place(index), &claim.leaf) {
					(Some(Place::Embedded { .. }), Some(leaf)) => {
						leaf.tokens(&Self::seed_of(epoch, leaf)?, epoch.format)
					},
					_ => Default::default(),
				};
				let verdict = judge(
					&ModelSeed(epoch.model_seed),
					epoch.format,
					&tokens,
					&claim.frontier,
					picked.into(),
					&game.children,
					index,
					&game.bytes,
					*coordinate,
					inputs,
				);
				return verdict.map(Some).ok_or(ValidityError::BadProof);
			},
			_ => return Err(ValidityError::WrongTurn),
		};
		game.number = game.number.saturating_add(1);
		game.deadline = Self::now().saturating_add(epoch.schedule.turn);
		Ok(None)
	}

	/// `seed2` of a leaf's segment.
	pub(crate) fn seed_of(epoch: &Epoch, leaf: &LeafId) -> Result<SegmentSeed, ValidityError> {
		let seed = epoch.segment_seeds.get(usize::from(leaf.segment));
		seed.copied().map(SegmentSeed).ok_or(ValidityError::NotCommitted)
	}

	fn show_digests(epoch: &Epoch, claim: &mut ClaimOf<T>, shown: &[Hash]) -> Result<(), ValidityError> {
		let host = claim.host.clone();
		let Subject::Challenge { round, set, tag: claimed, digests, .. } = &mut claim.subject else {
			return Err(ValidityError::WrongTurn);
		};
		let leaves = Self::leaves_of(epoch, *round, &host, (*set).into()).len();
		ensure!(shown.len() == leaves, ValidityError::Malformed);
		ensure!(tag(shown) == *claimed, ValidityError::BadProof);
		*digests = shown.to_vec().try_into().map_err(|_| ValidityError::Malformed)?;
		Ok(())
	}

	fn name_leaf(epoch: &Epoch, claim: &ClaimOf<T>, number: u8, lane: &LaneProof) -> Result<LeafId, ValidityError> {
		let Subject::Challenge { round, set, .. } = claim.subject else { return Err(ValidityError::WrongTurn) };
		let leaves = Self::leaves_of(epoch, round, &claim.host, set.into());
		let (segment, position) = *leaves.get(usize::from(number)).ok_or(ValidityError::Malformed)?;
		let commitment = Self::commitment(epoch.index, &claim.host, segment).ok_or(ValidityError::NotCommitted)?;
		let (lane, index) = commitment.locate(position, lane).ok_or(ValidityError::BadProof)?;
		Ok(LeafId { host: claim.host.clone().into(), epoch: epoch.index, segment, lane, index })
	}

	fn show_trace(epoch: &Epoch, claim: &mut ClaimOf<T>, shown: &[Hash], path: &[Hash]) -> Result<(), ValidityError> {
		let Subject::Challenge { round, digests, number: Some(number), .. } = &claim.subject else {
			return Err(ValidityError::WrongTurn);
		};
		let digest = digests.get(usize::from(*number)).ok_or(ValidityError::WrongTurn)?;
		let layer = middle_layer(&epoch.beacon_of(*round).ok_or(ValidityError::OutOfPhase)?, epoch.format);
		let layout = Layout::new(epoch.format);
		ensure!(bind_digest(&layout, shown, layer, digest, path), ValidityError::BadProof);
		claim.frontier = shown.to_vec().try_into().map_err(|_| ValidityError::Malformed)?;
		Ok(())
	}
}

/// The block that a game is about; `None` if the format has no such block.
fn block_index(layout: &Layout, game: &Game) -> Option<u32> {
	layout.child_index(1, game.picked?.into(), game.block?.into())
}
