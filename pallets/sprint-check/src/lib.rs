#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod game;
mod lookup;
mod outcome;
mod places;
mod pool;
mod prune;
mod queue;
pub mod types;
mod views;
pub mod weights;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "try-runtime", test))]
mod try_state;

pub use gonka_primitives::validity::SprintCheck as ValidityError;
pub use pallet::*;
pub use types::{Claim, Game, Revealed};
pub use weights::WeightInfo;

use gonka_primitives::{
	BlockNumber, EpochIndex, Hash,
	check::{
		Accusation, Challenge, DigestCommitment, DigestReveal, Offence, OpeningAnswer, OpeningRequest, Play, Stage,
	},
	epoch::{REFUTATION_TURNS, REFUTER_DRAW},
	traits::OnOffence,
};
use gonka_sprint::{Commitment, DisputeVerdict, LaneProof};
use pallet_poc::{Duty, Epoch, Pallet as Poc};
use polkadot_sdk::{
	frame_support::{
		self, BoundedVec, ensure,
		traits::Get,
		weights::{Weight, WeightMeter},
	},
	frame_system,
};

/// An open claim.
pub type ClaimOf<T> = Claim<<T as frame_system::Config>::AccountId>;

#[frame_support::pallet]
#[allow(clippy::expect_used, reason = "the macro's own code")]
pub mod pallet {
	use super::*;
	use crate::{
		outcome::Loss,
		types::{Places, Request, Subject},
	};
	use codec::Encode;
	use frame_support::{pallet_prelude::*, traits::StorageVersion};
	use frame_system::{ensure_authorized, pallet_prelude::*};
	use gonka_pallet_support::pool::authorize;
	use gonka_primitives::Signature;

	const STORAGE_VERSION: StorageVersion = StorageVersion::new(0);

	#[pallet::pallet]
	#[pallet::storage_version(STORAGE_VERSION)]
	pub struct Pallet<T>(_);

	#[pallet::config]
	#[pallet::disable_frame_system_supertrait_check]
	pub trait Config: pallet_poc::Config {
		/// Maximum number of leaf sets of a checker.
		#[pallet::constant]
		type MaxTags: Get<u32>;
		/// Maximum number of open claims.
		#[pallet::constant]
		type MaxClaims: Get<u32>;
		/// Maximum number of refutations of an accusation at the same time, without those of the accused host and of
		/// appointed refuters.
		#[pallet::constant]
		type MaxGames: Get<u32>;
		/// Dispatch weights of calls and hooks.
		type WeightInfo: WeightInfo;
	}

	/// Commitments to tags, by epoch, and by checker and round. Written by `commit_digest`, at most one by each checker
	/// in a round; kept for one more epoch.
	#[pallet::storage]
	pub type DigestCommitments<T: Config> =
		StorageDoubleMap<_, Twox64Concat, EpochIndex, Blake2_128Concat, (T::AccountId, u8), Hash, OptionQuery>;

	/// Revealed tags, by epoch, and by checker and round, in the order of duties. Written by `reveal`; kept for one more
	/// epoch.
	#[pallet::storage]
	pub type Reveals<T: Config> = StorageDoubleMap<
		_,
		Twox64Concat,
		EpochIndex,
		Blake2_128Concat,
		(T::AccountId, u8),
		BoundedVec<Revealed, T::MaxTags>,
		OptionQuery,
	>;

	/// Requests for openings, by epoch, host, and checker and round. Written by `request_openings` and
	/// `answer_openings`, at most one for each duty of a round; kept for one more epoch.
	#[pallet::storage]
	pub type Requests<T: Config> = StorageNMap<
		_,
		(
			NMapKey<Twox64Concat, EpochIndex>,
			NMapKey<Blake2_128Concat, T::AccountId>,
			NMapKey<Blake2_128Concat, (T::AccountId, u8)>,
		),
		Request,
		OptionQuery,
	>;

	/// Requests that were answered in the second half of the time for it, by epoch, checker, and host and round: they excuse
	/// a tag of zeros. Kept for one more epoch.
	#[pallet::storage]
	pub type LateAnswers<T: Config> = StorageNMap<
		_,
		(
			NMapKey<Twox64Concat, EpochIndex>,
			NMapKey<Blake2_128Concat, T::AccountId>,
			NMapKey<Blake2_128Concat, (T::AccountId, u8)>,
		),
		(),
		OptionQuery,
	>;

	/// Open claims, at most `MaxClaims`. Written by `accuse`, `challenge` and `play`, removed when they end.
	#[pallet::storage]
	pub type Claims<T: Config> = CountedStorageMap<_, Twox64Concat, u32, ClaimOf<T>, OptionQuery>;

	/// Refutations in progress, by claim and refuter: one of a challenge; of an accusation at most `MaxGames`, and
	/// those of the accused host and of appointed refuters. Written by `challenge` and `play`, removed when they end.
	#[pallet::storage]
	pub type Games<T: Config> =
		StorageDoubleMap<_, Twox64Concat, u32, Blake2_128Concat, T::AccountId, Game, OptionQuery>;

	/// Open claims by the weights of their openers, ascending, with their ids. Written with `Claims`.
	#[pallet::storage]
	pub type Queue<T: Config> = StorageValue<_, BoundedVec<(u64, u32), T::MaxClaims>, ValueQuery>;

	/// Accusations whose refuters are not drawn yet, with the block of the draw, ascending. Written by `accuse` and
	/// emptied by the draw.
	#[pallet::storage]
	pub type Waiting<T: Config> = StorageValue<_, BoundedVec<(BlockNumber, u32), T::MaxClaims>, ValueQuery>;

	/// The places of refuters, by accusation. Written by the draw and by `play` and `close`, removed with the claim.
	#[pallet::storage]
	pub type PlacesOf<T: Config> = StorageMap<_, Twox64Concat, u32, Places<T::AccountId>, OptionQuery>;

	/// The next claim's id. It never decreases.
	#[pallet::storage]
	pub type NextClaim<T> = StorageValue<_, u32, ValueQuery>;

	/// The oldest claim that may be open.
	#[pallet::storage]
	pub type OldestClaim<T> = StorageValue<_, u32, ValueQuery>;

	/// Number of open accusations of each accuser, at most `MAX_ACCUSATIONS`. Accusers without one have no entry.
	#[pallet::storage]
	pub type OpenAccusations<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	/// Number of open challenges of each challenger, at most `MAX_CHALLENGES`. Challengers without one have no entry.
	#[pallet::storage]
	pub type OpenChallenges<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, u32, ValueQuery>;

	/// Accusations that were made, by epoch, accuser and host. Written by `accuse`; removed if the claim gives way, else
	/// kept for one more epoch.
	#[pallet::storage]
	pub type Accused<T: Config> = StorageNMap<
		_,
		(
			NMapKey<Twox64Concat, EpochIndex>,
			NMapKey<Blake2_128Concat, T::AccountId>,
			NMapKey<Blake2_128Concat, T::AccountId>,
		),
		(),
		OptionQuery,
	>;

	/// Challenges that were made, by epoch, checker, and host, round and set. Written by `challenge`; removed if the claim
	/// gives way, else kept for one more epoch.
	#[pallet::storage]
	pub type Challenged<T: Config> = StorageNMap<
		_,
		(
			NMapKey<Twox64Concat, EpochIndex>,
			NMapKey<Blake2_128Concat, T::AccountId>,
			NMapKey<Blake2_128Concat, (T::AccountId, u8, u8)>,
		),
		(),
		OptionQuery,
	>;

	/// The oldest epoch that may have items left to prune.
	#[pallet::storage]
	pub type PrunedTo<T> = StorageValue<_, EpochIndex, ValueQuery>;

	#[pallet::event]
	#[pallet::generate_deposit(pub(super) fn deposit_event)]
	pub enum Event<T: Config> {
		/// A checker committed to its tags.
		DigestsCommitted { checker: T::AccountId, epoch: EpochIndex, round: u8 },
		/// A checker revealed its tags. `met` of `total` leaf sets count as met.
		DigestsRevealed { checker: T::AccountId, epoch: EpochIndex, round: u8, total: u32, met: u32 },
		/// A host must post openings by block `deadline`.
		OpeningsRequested {
			checker: T::AccountId,
			epoch: EpochIndex,
			round: u8,
			host: T::AccountId,
			deadline: BlockNumber,
		},
		/// A host posted the requested openings.
		OpeningsPosted { host: T::AccountId, epoch: EpochIndex, round: u8, checker: T::AccountId },
		/// A host was accused of committing to a wrong leaf.
		Accused { claim: u32, epoch: EpochIndex, accuser: T::AccountId, host: T::AccountId },
		/// A checker's tag was challenged by its partner.
		Challenged {
			claim: u32,
			epoch: EpochIndex,
			challenger: T::AccountId,
			checker: T::AccountId,
			host: T::AccountId,
			round: u8,
			set: u8,
		},
		/// The turn of this stage was taken in a dispute.
		Played { claim: u32, refuter: T::AccountId, stage: Stage },
		/// A refutation failed.
		RefutationLost { claim: u32, refuter: T::AccountId },
		/// A claim was won: nobody refuted it.
		ClaimWon { claim: u32 },
		/// A claim was lost.
		ClaimLost { claim: u32 },
		/// A claim was removed without a consequence: nobody closed it, a party was convicted meanwhile, or it gave way
		/// to a heavier host's.
		ClaimDropped { claim: u32 },
		/// A host was convicted.
		Convicted { host: T::AccountId, epoch: EpochIndex, offence: Offence },
		/// A checker did not defend a tag that it revealed. This duty is not met.
		DigestMissed { checker: T::AccountId, epoch: EpochIndex },
		/// A host lost its pay of an epoch because it missed a turn.
		Forfeited { host: T::AccountId, epoch: EpochIndex },
		/// Refuters were drawn for an accusation: this many have places of their own, besides the accused host.
		RefutersAppointed { claim: u32, refuters: u32 },
	}

	#[pallet::error]
	pub enum Error<T> {
		/// A list is longer than its bound, or no id is left.
		LimitExceeded,
		/// An authorised call's subject does not exist. Cannot happen.
		NotFound,
		/// A call differs from what was authorised. Cannot happen.
		Mismatch,
	}

	#[pallet::hooks]
	impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
		fn on_initialize(_: BlockNumberFor<T>) -> Weight {
			<T as Config>::WeightInfo::draw_refuters(Self::draw_refuters())
		}

		fn on_idle(_: BlockNumberFor<T>, limit: Weight) -> Weight {
			let mut meter = WeightMeter::with_limit(limit);
			Self::prune(&mut meter);
			meter.consumed()
		}

		fn integrity_test() {
			assert!(T::MaxTags::get() > 0 && T::MaxClaims::get() > 0 && T::MaxGames::get() > 0);
			for format in gonka_sprint::SprintFormat::ALL {
				let layout = gonka_sprint::Layout::new(format);
				assert!(layout.steps() == 2, "a dispute has two picks");
				assert!(layout.children_len(0) <= types::MAX_CHILDREN as usize);
				assert!(layout.children_len(1) <= types::MAX_CHILDREN as usize);
				assert!(format.params().width <= types::MAX_OUTPUT as usize);
			}
		}

		#[cfg(feature = "try-runtime")]
		fn try_state(_: BlockNumberFor<T>) -> Result<(), polkadot_sdk::sp_runtime::TryRuntimeError> {
			Self::do_try_state()
		}
	}

	#[pallet::call(weight = <T as Config>::WeightInfo)]
	impl<T: Config> Pallet<T> {
		/// Commits to a checker's tags.
		///
		/// Origin: a free transaction; `signature` is that of the checker's worker key. Once per checker and round,
		/// in the round's digest window. Cost: constant; the pool reads the list of checkers.
		#[pallet::call_index(0)]
		#[pallet::weight(<T as Config>::WeightInfo::commit_digest())]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_commit_digest(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_commit_digest())]
		pub fn commit_digest(
			origin: OriginFor<T>,
			commitment: DigestCommitment,
			_signature: Signature,
		) -> DispatchResult {
			ensure_authorized(origin)?;
			let DigestCommitment { checker, epoch, round, hash } = commitment;
			let checker = T::AccountId::from(checker);
			DigestCommitments::<T>::insert(epoch, (&checker, round), hash);
			Self::deposit_event(Event::DigestsCommitted { checker, epoch, round });
			Ok(())
		}

		/// Reveals a checker's tags. A set with a tag of zeros counts as met if the host left a request unanswered. If it
		/// answered all, it counts if it did so late on a request of the checker, for the first
		/// [`types::MAX_EXCUSED`] such hosts.
		///
		/// Origin: a free transaction; `signature` is that of the checker's worker key. Once per checker and round,
		/// after the digest window. Cost: linear in the tags.
		#[pallet::call_index(1)]
		#[pallet::weight(<T as Config>::WeightInfo::reveal(reveal.tags.len() as u32))]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_reveal(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_reveal(reveal.tags.len() as u32))]
		pub fn reveal(origin: OriginFor<T>, reveal: DigestReveal, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let DigestReveal { checker, epoch, round, tags } = reveal;
			let checker = T::AccountId::from(checker);
			let running = Self::running(epoch).map_err(|_| Error::<T>::NotFound)?;
			let (mut tags, mut met, mut revealed) = (tags.into_iter(), 0u32, BoundedVec::new());
			let mut excuses = types::MAX_EXCUSED;
			for duty in Poc::<T>::duties(&running, &checker) {
				let standing = pallet_poc::Standings::<T>::get(epoch, &duty.host).ok_or(Error::<T>::NotFound)?;
				let waited = LateAnswers::<T>::contains_key((epoch, &checker, (&duty.host, round)));
				let is_silent = standing.unanswered_in(round) > 0;
				let is_excused = is_silent || waited && excuses > 0;
				let mut needs_excuse = false;
				for (set, _) in duty.sets {
					let tag = tags.next().ok_or(Error::<T>::Mismatch)?;
					if tag != pool::NO_TAG || is_excused {
						met = met.saturating_add(1);
					}
					needs_excuse |= tag == pool::NO_TAG && !is_silent;
					let one = Revealed { participant: standing.participant, set, tag };
					revealed.try_push(one).map_err(|_| Error::<T>::LimitExceeded)?;
				}
				excuses = excuses.saturating_sub(u32::from(waited && needs_excuse));
			}
			let total = revealed.len() as u32;
			Reveals::<T>::insert(epoch, (&checker, round), revealed);
			Poc::<T>::note_digests(epoch, &checker, total, met);
			Self::deposit_event(Event::DigestsRevealed { checker, epoch, round, total, met });
			Ok(())
		}

		/// Requests a host's openings of leaves that the checker has to check. The host loses weight unless it posts
		/// them within `answer` blocks.
		///
		/// Origin: a free transaction; `signature` is that of the checker's worker key. Once per checker, host and
		/// round, in the request window, and for `request_limit` new hosts and as many others in a round. Cost: two leaf
		/// sets in the pool.
		#[pallet::call_index(2)]
		#[pallet::weight(<T as Config>::WeightInfo::request_openings())]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_request(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_request_openings())]
		pub fn request_openings(
			origin: OriginFor<T>,
			request: OpeningRequest,
			_signature: Signature,
		) -> DispatchResult {
			ensure_authorized(origin)?;
			let OpeningRequest { checker, epoch, round, host, positions } = request;
			let (checker, host) = (T::AccountId::from(checker), T::AccountId::from(host));
			let running = Self::running(epoch).map_err(|_| Error::<T>::NotFound)?;
			let deadline = Self::now().saturating_add(running.schedule.answer);
			let positions = positions.try_into().map_err(|_| Error::<T>::LimitExceeded)?;
			Poc::<T>::note_request(epoch, round, &host, &checker);
			let request = Request { positions, deadline, openings: None };
			Requests::<T>::insert((epoch, &host, (&checker, round)), request);
			Self::deposit_event(Event::OpeningsRequested { checker, epoch, round, host, deadline });
			Ok(())
		}

		/// Posts requested openings.
		///
		/// Origin: a free transaction; `signature` is that of the host's worker key. Once per request, until its
		/// deadline. Cost: eight openings in the pool, up to 16 kB.
		#[pallet::call_index(3)]
		#[pallet::weight(<T as Config>::WeightInfo::answer_openings())]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_answer(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_answer_openings())]
		pub fn answer_openings(origin: OriginFor<T>, answer: OpeningAnswer, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let OpeningAnswer { host, epoch, round, checker, openings } = answer;
			let (checker, host) = (T::AccountId::from(checker), T::AccountId::from(host));
			let key = (epoch, &host, (&checker, round));
			let mut request = Requests::<T>::get(key).ok_or(Error::<T>::NotFound)?;
			request.openings = Some(openings.encode().try_into().map_err(|_| Error::<T>::LimitExceeded)?);
			let half = Self::running(epoch).map_or(0, |epoch| epoch.schedule.answer / 2);
			if Self::now().saturating_add(half) > request.deadline {
				LateAnswers::<T>::insert((epoch, &checker, (&host, round)), ());
			}
			Poc::<T>::note_answer(epoch, round, &host);
			Requests::<T>::insert(key, request);
			Self::deposit_event(Event::OpeningsPosted { host, epoch, round, checker });
			Ok(())
		}

		/// Accuses a host of committing to a wrong leaf. Two blocks later refuters are drawn. If nobody refutes the
		/// accusation within the time of two turns from then, the host can be convicted by `close`.
		///
		/// Origin: a free transaction; `signature` is that of the accuser's worker key. Once per accuser, host and
		/// epoch, from the draw of committees to the epoch's end; at most four are open per accuser. If the chain has
		/// `MaxClaims`, the lightest opener's gives way to a heavier one's. Cost: an opening and an output's path in the
		/// pool, and removing a claim with all its games.
		#[pallet::call_index(4)]
		#[pallet::weight(<T as Config>::WeightInfo::accuse(Pallet::<T>::max_games()))]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_accuse(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_accuse())]
		pub fn accuse(origin: OriginFor<T>, accusation: Accusation, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let leaf = Self::accused_leaf(&accusation).map_err(|_| Error::<T>::Mismatch)?;
			let Accusation { accuser, epoch, host, output, frontier, .. } = accusation;
			let (accuser, host) = (T::AccountId::from(accuser), T::AccountId::from(host));
			let turn = Self::running(epoch).map_err(|_| Error::<T>::NotFound)?.schedule.turn;
			let output = output.try_into().map_err(|_| Error::<T>::LimitExceeded)?;
			let claim = Self::add_claim(Claim {
				epoch,
				claimant: accuser.clone(),
				opener: accuser.clone(),
				host: host.clone(),
				subject: Subject::Accusation { output },
				leaf: Some(leaf),
				frontier: frontier.try_into().map_err(|_| Error::<T>::LimitExceeded)?,
				until: Self::now().saturating_add(REFUTER_DRAW).saturating_add(turn.saturating_mul(REFUTATION_TURNS)),
			})?;
			Accused::<T>::insert((epoch, &accuser, &host), ());
			Self::deposit_event(Event::Accused { claim, epoch, accuser, host });
			Ok(())
		}

		/// Challenges a partner's tag. The partner must show its computation.
		///
		/// Origin: a free transaction; `signature` is that of the challenger's worker key. Once per checker, host,
		/// round and set, after both revealed; at most four are open per challenger. If the chain has `MaxClaims`, the
		/// lightest opener's gives way to a heavier one's. Cost: the pool reads both reveals, up to `MaxTags` each;
		/// removing a claim with all its games.
		#[pallet::call_index(5)]
		#[pallet::weight(<T as Config>::WeightInfo::challenge(Pallet::<T>::max_games()))]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_challenge(new, signature)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_challenge(T::MaxTags::get()))]
		pub fn challenge(origin: OriginFor<T>, challenge: Challenge, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let Challenge { challenger, epoch, round, checker, host, set } = challenge;
			let [challenger, checker, host] = [challenger, checker, host].map(T::AccountId::from);
			let turn = Self::running(epoch).map_err(|_| Error::<T>::NotFound)?.schedule.turn;
			let tag = Self::tag_of(epoch, round, &checker, &host, set).ok_or(Error::<T>::NotFound)?;
			let claim = Self::add_claim(Claim {
				epoch,
				claimant: checker.clone(),
				opener: challenger.clone(),
				host: host.clone(),
				subject: Subject::Challenge { round, set, tag, digests: Default::default(), number: None },
				leaf: None,
				frontier: Default::default(),
				until: Self::now(),
			})?;
			let deadline = Self::now().saturating_add(turn);
			Games::<T>::insert(claim, &challenger, Game::new(Stage::Digests, deadline));
			Challenged::<T>::insert((epoch, &checker, (&host, round, set)), ());
			Self::deposit_event(Event::Challenged { claim, epoch, challenger, checker, host, round, set });
			Ok(())
		}

		/// Takes a turn of a dispute. The first pick of a refuter of an accusation begins its game, once. The last turn
		/// decides the dispute: the player that lied is convicted.
		///
		/// Origin: a free transaction; `signature` is that of the player's worker key. The pool lets only legal turns
		/// through, each once. Cost: up to 256 hashes, or three blocks of 4 kB and two rows of weights; up to 16 kB.
		#[pallet::call_index(6)]
		#[pallet::weight(<T as Config>::WeightInfo::play(Pallet::<T>::max_games()))]
		#[pallet::authorize(|_, new, signature| authorize(Self::validate_play(new, signature)))]
		#[pallet::weight_of_authorize(
			<T as Config>::WeightInfo::authorize_play().max(<T as Config>::WeightInfo::authorize_last_play())
		)]
		pub fn play(origin: OriginFor<T>, play: Play, _signature: Signature) -> DispatchResult {
			ensure_authorized(origin)?;
			let refuter = T::AccountId::from(play.refuter);
			let (epoch, mut claim, mut game) = Self::find_game(&play).map_err(|_| Error::<T>::Mismatch)?;
			let stage = game.stage;
			let verdict = Self::take_turn(&epoch, &mut claim, &mut game, &play.turn);
			let verdict = verdict.map_err(|_| Error::<T>::Mismatch)?;
			Self::deposit_event(Event::Played { claim: play.claim, refuter: refuter.clone(), stage });
			match verdict {
				Some(DisputeVerdict::ClaimantLied) => Self::lose_claim(play.claim, &claim, Loss::Proof),
				Some(DisputeVerdict::RefuterLied) => Self::lose_refutation(play.claim, &claim, &refuter, Loss::Proof),
				None => {
					if stage == Stage::Node && claim.is_accusation() {
						Self::take_place(play.claim, &refuter);
					}
					if matches!(stage, Stage::Digests | Stage::Leaf | Stage::Trace) {
						Claims::<T>::insert(play.claim, claim);
					}
					Games::<T>::insert(play.claim, refuter, game);
				},
			}
			Ok(())
		}

		/// Closes the game of `refuter` whose next turn was missed, or, without a refuter, an accusation that nobody
		/// refuted in time.
		///
		/// Origin: a free transaction by anybody, without a signature. The pool lets through only what can be closed.
		/// Cost: linear in the number of games.
		#[pallet::call_index(7)]
		#[pallet::weight(<T as Config>::WeightInfo::close(Pallet::<T>::max_games()))]
		#[pallet::authorize(|_, claim, refuter| authorize(Self::validate_close(*claim, refuter)))]
		#[pallet::weight_of_authorize(<T as Config>::WeightInfo::authorize_close())]
		pub fn close(origin: OriginFor<T>, claim: u32, refuter: Option<T::AccountId>) -> DispatchResult {
			ensure_authorized(origin)?;
			let closing = Self::check_close(claim, refuter.as_ref()).map_err(|_| Error::<T>::Mismatch)?;
			Self::conclude(claim, closing);
			Ok(())
		}
	}
}
