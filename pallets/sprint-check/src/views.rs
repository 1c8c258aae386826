//! The results of the runtime API.

use crate::*;
use alloc::vec::Vec;
use codec::Decode;
use gonka_primitives::views::{CheckView, ClaimView, DutyView, GameView, RequestView, SetView, SubjectView};
use gonka_sprint::committee::middle_layer;
use types::Subject;

impl<T: Config> Pallet<T> {
	/// A checker's duties in the round of the running epoch that was drawn last; `None` before the draw, and for a host
	/// without duties.
	pub fn check_view(checker: &T::AccountId) -> Option<CheckView> {
		let epoch = Poc::<T>::running_epoch()?;
		let round = epoch.rounds();
		let beacon = epoch.beacon_of(round)?;
		let duties = Poc::<T>::duties(&epoch, checker);
		if duties.is_empty() {
			return None;
		}
		let revealed = Reveals::<T>::get(epoch.index, (checker, round));
		let tags = revealed.as_ref().map(|revealed| revealed.as_slice());
		let duties = duties.into_iter().map(|duty| Self::duty_view(&epoch, round, duty, tags)).collect();
		Some(CheckView {
			epoch: epoch.index,
			round,
			beacon,
			layer: middle_layer(&beacon, epoch.format),
			request_limit: Poc::<T>::request_limit(epoch.index),
			duties,
			committed: DigestCommitments::<T>::get(epoch.index, (checker, round)),
			revealed: revealed.is_some(),
		})
	}

	fn duty_view(epoch: &Epoch, round: u8, duty: Duty<T::AccountId>, revealed: Option<&[Revealed]>) -> DutyView {
		let standing = pallet_poc::Standings::<T>::get(epoch.index, &duty.host);
		let participant = standing.as_ref().map(|standing| standing.participant);
		// A host whose registration expired meanwhile has no URL.
		let url = pallet_poc::Hosts::<T>::get(&duty.host).map_or_else(Default::default, |host| host.url.into_inner());
		let sets = duty.sets.into_iter().map(|(number, partner)| SetView {
			number,
			tag: revealed
				.zip(participant)
				.and_then(|(revealed, participant)| Self::find_tag(revealed, participant, number)),
			partner: partner.map(|partner| {
				let tag = Self::tag_of(epoch.index, round, &partner, &duty.host, number);
				(partner.into(), tag)
			}),
		});
		DutyView {
			sets: sets.collect(),
			url,
			is_new: standing.is_some_and(|standing| standing.is_new()),
			stake: Poc::<T>::stake(epoch, &duty.host),
			commitments: Poc::<T>::commitments_of(epoch, round, &duty.host),
			host: duty.host.clone().into(),
		}
	}

	/// The running epoch's requests for openings of `host`, open or answered.
	pub fn request_views(host: &T::AccountId) -> Vec<RequestView> {
		let Some(epoch) = Poc::<T>::running_epoch() else { return Vec::new() };
		let all = Requests::<T>::iter_prefix((epoch.index, host.clone()));
		all.map(|((checker, round), request)| Self::request_view((epoch.index, round), host, &checker, request))
			.collect()
	}

	fn request_view(
		(epoch, round): (EpochIndex, u8),
		host: &T::AccountId,
		checker: &T::AccountId,
		request: types::Request,
	) -> RequestView {
		RequestView {
			checker: checker.clone().into(),
			epoch,
			round,
			host: host.clone().into(),
			positions: request.positions.into_inner(),
			deadline: request.deadline,
			openings: request.openings.and_then(|bytes| Decode::decode(&mut bytes.as_slice()).ok()),
		}
	}

	/// All open claims, ascending by id: at most `MaxClaims`.
	pub fn claim_views() -> Vec<ClaimView> {
		let mut claims: Vec<_> = Claims::<T>::iter().filter_map(|(id, claim)| Self::claim_view(id, claim)).collect();
		claims.sort_by_key(|claim| claim.id);
		claims
	}

	fn claim_view(id: u32, claim: ClaimOf<T>) -> Option<ClaimView> {
		let epoch = Self::playable(claim.epoch).ok()?;
		let appointed = Self::appointed(id, &claim);
		let subject = match claim.subject {
			Subject::Accusation { output } => SubjectView::Accusation { output: output.into_inner() },
			Subject::Challenge { round, set, digests, number, .. } => SubjectView::Challenge {
				round,
				set,
				layer: middle_layer(&epoch.beacon_of(round)?, epoch.format),
				leaves: Self::leaves_of(&epoch, round, &claim.host, set.into()),
				commitments: Poc::<T>::commitments_of(&epoch, round, &claim.host),
				digests: digests.into_inner(),
				number,
			},
		};
		let with_seed = |leaf| Some((leaf, Self::seed_of(&epoch, &leaf).ok()?.0));
		Some(ClaimView {
			id,
			epoch: claim.epoch,
			format: epoch.format,
			model_seed: epoch.model_seed,
			claimant: claim.claimant.into(),
			host: claim.host.into(),
			subject,
			leaf: claim.leaf.and_then(with_seed),
			frontier: claim.frontier.into_inner(),
			until: claim.until,
			appointed: appointed.map(|appointed| appointed.into_iter().map(Into::into).collect()),
			games: Games::<T>::iter_prefix(id).map(|(refuter, game)| Self::game_view(refuter, game)).collect(),
		})
	}

	fn game_view(refuter: T::AccountId, game: Game) -> GameView {
		GameView {
			refuter: refuter.into(),
			stage: game.stage,
			number: game.number,
			deadline: game.deadline,
			picked: game.picked,
			children: game.children.into_inner(),
			block: game.block,
			bytes: game.bytes.into_inner(),
		}
	}
}
