//! Queries of the runtime API about referenda, votes and parameters.

use crate::{
	configs::{governance::Tracks, parameters},
	*,
};
use codec::{DecodeLimit, Encode};
use frame_support::{
	dispatch::GetDispatchInfo,
	storage::{TransactionOutcome, with_transaction},
	traits::{Bounded, QueryPreimage, VoteTally, schedule::DispatchTime},
};
use gonka_primitives::views::{
	BallotView, DepositView, EnactmentView, OngoingView, ParameterView, ProposalView, ReferendumState, ReferendumView,
	StanceView, TrackView, VoterView,
};
use gonka_runtime_common::tracks;
use pallet_conviction_voting::AccountVote;
use pallet_governance::Stance;
use pallet_referenda::{Curve, Deposit, ReferendumCount, ReferendumInfo, ReferendumInfoFor, TrackInfo, TracksInfo};
use sp_runtime::{DispatchError, Perbill, traits::Dispatchable};

type Info = pallet_referenda::ReferendumInfoOf<Runtime, ()>;
type Status = pallet_referenda::ReferendumStatusOf<Runtime, ()>;
type Proposal = Bounded<RuntimeCall, BlakeTwo256>;

/// Maximum length, in bytes, of a call that a list shows: a page of long calls would be too large.
const LISTED_CALL: u32 = 1_024;

/// All tracks, ascending.
pub fn tracks() -> Vec<TrackView> {
	let one = |track: &pallet_referenda::Track<u16, Balance, BlockNumber>| {
		let info = &track.info;
		let ends = |curve: &Curve| {
			let at = |share| curve.threshold(share).deconstruct();
			(at(Perbill::zero()), at(Perbill::one()))
		};
		TrackView {
			id: track.id,
			name: info.name.iter().copied().take_while(|byte| *byte != 0).collect(),
			origin: Tracks::origin_of(track.id).map(|origin| origin.encode()).unwrap_or_default(),
			max_deciding: info.max_deciding,
			submission_deposit: tracks::SUBMISSION_DEPOSIT,
			decision_deposit: info.decision_deposit,
			prepare: info.prepare_period,
			decision: info.decision_period,
			confirm: info.confirm_period,
			enactment: info.min_enactment_period,
			timeout: tracks::UNDECIDING_TIMEOUT,
			approval: ends(&info.min_approval),
			support: ends(&info.min_support),
		}
	};
	Tracks::tracks().map(|track| one(&track)).collect()
}

/// Referenda before an index, or all, the newest first. Long calls are left out.
pub fn referenda(before: Option<u32>, limit: u32) -> Vec<ReferendumView> {
	let count = ReferendumCount::<Runtime>::get();
	let end = before.unwrap_or(count).min(count);
	let known = (0..end).rev().filter_map(|index| view(index, LISTED_CALL));
	known.take(limit as usize).collect()
}

/// One referendum.
pub fn referendum(index: u32) -> Option<ReferendumView> {
	view(index, u32::MAX)
}

fn view(index: u32, max_length: u32) -> Option<ReferendumView> {
	let info = ReferendumInfoFor::<Runtime>::get(index)?;
	let (submission, decision) = match &info {
		Info::Ongoing(status) => (Some(&status.submission_deposit), status.decision_deposit.as_ref()),
		Info::Approved(_, submission, decision)
		| Info::Rejected(_, submission, decision)
		| Info::Cancelled(_, submission, decision)
		| Info::TimedOut(_, submission, decision) => (submission.as_ref(), decision.as_ref()),
		Info::Killed(_) => (None, None),
	};
	let back = matches!(info, ReferendumInfo::Approved(..) | ReferendumInfo::Cancelled(..));
	let ended = !matches!(info, ReferendumInfo::Ongoing(_));
	let submission_deposit = submission.map(|made| deposit(made, back));
	let decision_deposit = decision.map(|made| deposit(made, ended));
	let scheduled = enactment(index);
	let (state, open, proposal) = match info {
		Info::Ongoing(status) => {
			let (state, open) = ongoing(&status)?;
			(state, Some(open), Some(status.proposal))
		},
		Info::Approved(at, ..) => {
			let (enactment, proposal) = scheduled.unzip();
			(ReferendumState::Approved { at, enactment }, None, proposal)
		},
		Info::Rejected(at, ..) => (ReferendumState::Rejected { at }, None, None),
		Info::Cancelled(at, ..) => (ReferendumState::Cancelled { at }, None, None),
		Info::TimedOut(at, ..) => (ReferendumState::TimedOut { at }, None, None),
		Info::Killed(at) => (ReferendumState::Killed { at }, None, None),
	};
	let proposal = proposal.map(|proposal| shown(&proposal, max_length));
	Some(ReferendumView { index, state, submission_deposit, decision_deposit, ongoing: open, proposal })
}

fn deposit(made: &Deposit<AccountId, Balance>, refundable: bool) -> DepositView {
	DepositView { who: made.who.clone().into(), amount: made.amount, refundable }
}

/// The block in which an approved referendum is enacted, and its proposal. `pallet_referenda` schedules it under this name.
fn enactment(index: u32) -> Option<(BlockNumber, Proposal)> {
	let name = (*b"assembly", "enactment", index).using_encoded(sp_io::hashing::blake2_256);
	let (block, place) = pallet_scheduler::Lookup::<Runtime>::get(name)?;
	let task = pallet_scheduler::Agenda::<Runtime>::get(block).into_iter().nth(place as usize)??;
	Some((block, task.call))
}

fn ongoing(status: &Status) -> Option<(ReferendumState, OngoingView)> {
	let now = System::block_number();
	let track = Tracks::info(status.track)?;
	let since = status.deciding.as_ref().map(|deciding| deciding.since);
	let (approval_needed, support_needed) = needed(&track, since.map_or(0, |since| now.saturating_sub(since)));
	let state = match &status.deciding {
		Some(deciding) => match deciding.confirming {
			Some(until) => ReferendumState::Confirming { since: deciding.since, until },
			None => {
				let until = deciding.since.saturating_add(track.decision_period);
				ReferendumState::Deciding { since: deciding.since, until }
			},
		},
		None if status.in_queue => ReferendumState::Queued,
		None => ReferendumState::Preparing {
			from: status.submitted.saturating_add(track.prepare_period),
			timeout: status.submitted.saturating_add(tracks::UNDECIDING_TIMEOUT),
		},
	};
	let tally = &status.tally;
	let view = OngoingView {
		track: status.track,
		submitted: status.submitted,
		enactment: match status.enactment {
			DispatchTime::At(block) => EnactmentView::At(block),
			DispatchTime::After(blocks) => EnactmentView::After(blocks),
		},
		ayes: tally.ayes,
		nays: tally.nays,
		support_votes: tally.support,
		electorate: tally.electorate,
		epoch: tally.epoch,
		approval: tally.approval(status.track).deconstruct(),
		support: VoteTally::support(tally, status.track).deconstruct(),
		approval_needed: approval_needed.deconstruct(),
		support_needed: support_needed.deconstruct(),
	};
	Some((state, view))
}

/// The approval and the support that are needed `elapsed` blocks after the begin of a decision.
fn needed(track: &TrackInfo<Balance, BlockNumber>, elapsed: BlockNumber) -> (Perbill, Perbill) {
	let through = Perbill::from_rational(elapsed.min(track.decision_period), track.decision_period.max(1));
	(track.min_approval.threshold(through), track.min_support.threshold(through))
}

fn shown(proposal: &Proposal, max_length: u32) -> ProposalView {
	let length = proposal.len();
	let call = match proposal {
		_ if length.is_some_and(|length| length > max_length) => None,
		Proposal::Inline(bytes) => Some(bytes.to_vec()),
		Proposal::Lookup { hash, len } => Preimage::fetch(hash, Some(*len)).ok().map(|bytes| bytes.into_owned()),
		Proposal::Legacy { .. } => None,
	};
	// Bytes that are no call, or nest too deeply, are left out, so that clients need not decode them.
	let call = call.filter(|bytes| decoded(bytes).is_some());
	ProposalView { hash: proposal.hash().0, length, call }
}

fn decoded(call: &[u8]) -> Option<RuntimeCall> {
	RuntimeCall::decode_all_with_depth_limit(frame_support::MAX_EXTRINSIC_DEPTH, &mut &*call).ok()
}

/// An account's votes and delegations.
pub fn voter(account: &AccountId) -> VoterView {
	let one = |track: u16| {
		let (delegate, delegators, ballots) = match pallet_governance::Stances::<Runtime>::get(account, track) {
			Stance::Delegating(delegate) => (Some(delegate.into()), Vec::new(), Vec::new()),
			Stance::Voting { ballots, delegators } => {
				let ballots = ballots.iter().map(|(poll, ballot)| (*poll, self::ballot(ballot))).collect();
				(None, delegators.into_iter().map(Into::into).collect(), ballots)
			},
		};
		StanceView { track, delegate, delegators, ballots }
	};
	let idle =
		|stance: &StanceView| stance.delegate.is_none() && stance.delegators.is_empty() && stance.ballots.is_empty();
	let tracks = Tracks::track_ids().map(one).filter(|stance| !idle(stance)).collect();
	VoterView { power: ConvictionVoting::current_power(account), tracks }
}

fn ballot(ballot: &pallet_governance::Ballot) -> BallotView {
	match *ballot {
		AccountVote::Standard { vote, .. } if vote.aye => BallotView::Aye,
		AccountVote::Standard { .. } => BallotView::Nay,
		AccountVote::Split { aye, nay } => BallotView::Split { aye, nay, abstain: 0 },
		AccountVote::SplitAbstain { aye, nay, abstain } => BallotView::Split { aye, nay, abstain },
	}
}

/// The parameters that governance can change. The default is the value without any amendment.
pub fn parameters() -> Vec<ParameterView> {
	let pending = pallet_amendments::Pending::<Runtime>::get();
	let defaults = with_transaction(|| {
		let _ = pallet_parameters::Parameters::<Runtime>::clear(u32::MAX, None);
		TransactionOutcome::Rollback(Ok::<_, DispatchError>(parameters::present()))
	});
	let pairs = parameters::present().into_iter().zip(defaults.unwrap_or_default());
	pairs
		.map(|(present, default)| {
			let (key, _) = frame_support::traits::dynamic_params::AggregatedKeyValue::into_parts(present.clone());
			let pending = pending.iter().find(|(waiting, _)| *waiting == key).map(|(key, value)| {
				// A parameter is encoded as its key and an optional value. The encoding of a value begins with its key.
				let mut bytes = key.encode();
				let value: Option<Vec<u8>> = value.as_ref().map(|value| value.encode().split_off(bytes.len()));
				bytes.push(u8::from(value.is_some()));
				bytes.extend(value.unwrap_or_default());
				bytes
			});
			ParameterView { present: present.encode(), default: default.encode(), pending }
		})
		.collect()
}

/// Dispatches a call with a track's origin and reverts it.
pub fn dry_run(track: u16, call: &[u8]) -> Result<(), DispatchError> {
	let origin = Tracks::origin_of(track).ok_or(DispatchError::BadOrigin)?;
	let call = decoded(call).ok_or(DispatchError::Corruption)?;
	// The scheduler could never dispatch a heavier call.
	if call.get_dispatch_info().call_weight.any_gt(configs::governance::SchedulerWeight::get()) {
		return Err(DispatchError::Exhausted);
	}
	with_transaction(|| {
		let done = call.dispatch(RuntimeOrigin::from(origin));
		TransactionOutcome::Rollback(done.map(drop).map_err(|failed| failed.error))
	})
}
