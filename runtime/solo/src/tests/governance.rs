//! Referenda on the whole runtime, from effective weights to the effects of proposals.

use super::chain::*;
use crate::*;
use frame_support::{
	assert_noop, assert_ok,
	traits::{Bounded, StorePreimage, VoteTally, fungible::Inspect, schedule::DispatchTime},
};
use gonka_primitives::{EpochIndex, host::Commitment};
use gonka_runtime_common::tracks;
use pallet_conviction_voting::{AccountVote, Conviction, Vote};
use pallet_governance::{Ballot, Origin};
use pallet_referenda::{ReferendumInfo, ReferendumInfoFor};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve};
use sp_runtime::Perbill;

pub const AYE: Ballot =
	AccountVote::Standard { vote: Vote { aye: true, conviction: Conviction::Locked1x }, balance: GNK };
pub const NAY: Ballot =
	AccountVote::Standard { vote: Vote { aye: false, conviction: Conviction::Locked1x }, balance: GNK };

pub fn by(key: Sr25519Keyring) -> RuntimeOrigin {
	RuntimeOrigin::signed(account(key))
}

/// Has these hosts commit to so many leaves in each segment of the running epoch, and runs blocks until it is weighed.
pub fn take_part(counts: &[(Sr25519Keyring, u64)]) -> EpochIndex {
	pallet_poc::AllowUnchecked::<Runtime>::put(true);
	// Without confirmations, the weight that was proven once stays so.
	pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.confirmations = 0);
	let epoch = Poc::running_epoch().unwrap();
	assert!(epoch.offset(System::block_number()) < epoch.schedule.weigh_start(), "too late to take part");
	for (participant, (key, count)) in (0..).zip(counts) {
		let commitment = Commitment { count: *count, root: [1; 32] };
		let all: Vec<_> = (0..epoch.schedule.segments).map(|segment| (segment, commitment)).collect();
		pallet_poc::Commitments::<Runtime>::insert(
			epoch.index,
			account(*key),
			frame_support::BoundedVec::truncate_from(all),
		);
		let standing = pallet_poc::Standing { participant, ..Default::default() };
		pallet_poc::Standings::<Runtime>::insert(epoch.index, account(*key), standing);
		pallet_poc::Participants::<Runtime>::insert(epoch.index, participant, account(*key));
		pallet_poc::KnownCount::<Runtime>::insert(epoch.index, participant + 1);
	}
	while pallet_poc::LastWeighed::<Runtime>::get() != Some(epoch.index) {
		blocks(1);
	}
	epoch.index
}

/// Runs blocks up to the first of the next epoch.
pub fn next_epoch() {
	let running = Poc::running_epoch().unwrap().index;
	while Poc::running_epoch().unwrap().index == running {
		blocks(1);
	}
}

/// Submits a referendum on `call` by its preimage and places the decision deposit. Dave pays.
pub fn propose(origin: impl Into<OriginCaller>, call: impl Into<RuntimeCall>) -> u32 {
	let index = pallet_referenda::ReferendumCount::<Runtime>::get();
	let call: Bounded<RuntimeCall, _> = Preimage::bound(call.into()).unwrap();
	assert_ok!(Referenda::submit(by(Dave), Box::new(origin.into()), call, DispatchTime::After(0)));
	assert_ok!(Referenda::place_decision_deposit(by(Dave), index));
	index
}

/// Runs blocks until a referendum has ended and, if it was approved, is enacted.
pub fn conclude(index: u32) -> pallet_referenda::ReferendumInfoOf<Runtime, ()> {
	let mut enactment = 0;
	while let Ok(status) = Referenda::ensure_ongoing(index) {
		enactment = tracks::TRACKS[usize::from(status.track)].info.min_enactment_period;
		blocks(1);
	}
	blocks(enactment + 7);
	ReferendumInfoFor::<Runtime>::get(index).unwrap()
}

/// Reads the version of code that consists of an encoded version.
pub struct PlainVersion;
impl sp_core::traits::ReadRuntimeVersion for PlainVersion {
	fn read_runtime_version(&self, code: &[u8], _: &mut dyn sp_core::traits::Externalities) -> Result<Vec<u8>, String> {
		Ok(code.to_vec())
	}
}

fn root() -> frame_system::RawOrigin<AccountId> {
	frame_system::RawOrigin::Root
}

fn remark() -> frame_system::Call<Runtime> {
	frame_system::Call::remark_with_event { remark: b"decided".to_vec() }
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn a_referendum_from_preimage_to_enactment() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30), (Charlie, 20)]);
		let call =
			RuntimeCall::System(frame_system::Call::set_storage { items: vec![(b"law".to_vec(), b"yes".to_vec())] });
		let encoded = codec::Encode::encode(&call);
		let before = Balances::balance(&account(Dave));
		assert_ok!(Preimage::note_preimage(by(Dave), encoded.clone()));
		let noted = Balances::balance(&account(Dave));
		assert!(noted < before, "a preimage costs a deposit");
		let proposal = Bounded::Lookup { hash: sp_io::hashing::blake2_256(&encoded).into(), len: encoded.len() as u32 };
		assert_ok!(Referenda::submit(by(Dave), Box::new(root().into()), proposal, DispatchTime::After(7)));
		assert_ok!(Referenda::place_decision_deposit(by(Dave), 0));
		let deposits = tracks::SUBMISSION_DEPOSIT + 5_000 * GNK;
		assert_eq!(Balances::balance(&account(Dave)), noted - deposits);

		assert_ok!(ConvictionVoting::vote(by(Alice), 0, AYE));
		assert_ok!(ConvictionVoting::vote(by(Bob), 0, AYE));
		assert_ok!(ConvictionVoting::vote(by(Charlie), 0, NAY));
		let tally = Referenda::ensure_ongoing(0).unwrap().tally;
		assert_eq!((tally.ayes, tally.nays, tally.support, tally.electorate), (400, 100, 400, 500));
		assert_eq!(tally.approval(0), Perbill::from_percent(80));
		// A changed vote.
		assert_ok!(ConvictionVoting::vote(by(Charlie), 0, AYE));

		let info = conclude(0);
		let ReferendumInfo::Approved(at, ..) = info else { panic!("{info:?}") };
		let law = || frame_support::storage::unhashed::get_raw(b"law");
		assert_eq!(law(), Some(b"yes".to_vec()));
		assert!(at + 7 <= System::block_number());
		assert_ok!(Referenda::refund_decision_deposit(by(Eve), 0));
		assert_ok!(Referenda::refund_submission_deposit(by(Eve), 0));
		assert_ok!(Preimage::unnote_preimage(by(Dave), sp_io::hashing::blake2_256(&encoded).into()));
		assert_eq!(Balances::balance(&account(Dave)), before, "deposits come back");
	});
}

#[test]
fn a_host_that_joined_after_the_opening_has_no_vote() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		// Late in the epoch, so that the referendum lasts beyond the next weighing.
		let epoch = Poc::running_epoch().unwrap();
		blocks(epoch.start + epoch.schedule.length - 6 - System::block_number());
		let index = propose(root(), remark());
		next_epoch();
		let later = take_part(&[(Alice, 50), (Bob, 30), (Charlie, 900)]);
		assert!(Poc::weight(later, &account(Charlie)) > 0);
		// As if its weight had been proven.
		pallet_poc::Standings::<Runtime>::mutate(later, account(Charlie), |standing| {
			let standing = standing.as_mut().unwrap();
			(standing.proven, standing.votes) = (standing.backed, standing.backed);
		});
		let error = pallet_governance::Error::<Runtime>::NoPower;
		if Referenda::ensure_ongoing(index).is_ok() {
			assert_noop!(ConvictionVoting::vote(by(Charlie), index, AYE), error);
		} else {
			panic!("the referendum ended too soon to show anything");
		}
		let next = propose(root(), remark());
		assert_ok!(ConvictionVoting::vote(by(Charlie), next, AYE));
	});
}

#[test]
fn a_convicted_host_has_no_votes() {
	use gonka_primitives::{check::Offence, traits::OnOffence};
	run(|| {
		blocks(1);
		let epoch = take_part(&[(Alice, 50), (Bob, 30)]);
		let index = propose(root(), remark());
		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		Poc::convict(epoch, &account(Alice), Offence::Fabrication);
		<Runtime as pallet_poc::Config>::OnOffence::on_offence(&account(Alice), epoch, Offence::Fabrication);
		assert_eq!(Referenda::ensure_ongoing(index).unwrap().tally.ayes, 0);
	});
}

#[test]
fn a_killed_referendum_pays_the_community_fund() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		let issued = Balances::total_issuance();
		let fund = Balances::balance(&Treasury::account_id());
		let bad = propose(root(), remark());
		let kill = propose(Origin::Emergency, pallet_referenda::Call::kill { index: bad });
		for host in [Alice, Bob] {
			assert_ok!(ConvictionVoting::vote(by(host), kill, AYE));
		}
		assert!(matches!(conclude(kill), ReferendumInfo::Approved(..)));
		assert!(matches!(ReferendumInfoFor::<Runtime>::get(bad).unwrap(), ReferendumInfo::Killed(_)));
		let slashed = tracks::SUBMISSION_DEPOSIT + 5_000 * GNK;
		assert_eq!(Balances::balance(&Treasury::account_id()), fund + slashed);
		assert_eq!(Balances::total_issuance(), issued, "the issuance does not change");
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn the_community_fund_is_spent_by_referendum_only() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		assert_eq!(Treasury::account_id(), <genesis::Treasury as frame_support::traits::Get<_>>::get());
		let spend = |amount| pallet_treasury::Call::spend {
			asset_kind: Box::new(()),
			amount,
			beneficiary: Box::new(account(Eve)),
			valid_from: None,
		};
		let approved = propose(Origin::Treasury, spend(1_000 * GNK));
		let too_much = propose(Origin::Treasury, spend(tracks::MAX_SPEND + 1));
		for index in [approved, too_much] {
			assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		}
		conclude(approved);
		conclude(too_much);
		let before = Balances::balance(&account(Eve));
		assert_ok!(Treasury::payout(by(Charlie), 0));
		assert_eq!(Balances::balance(&account(Eve)), before + 1_000 * GNK);
		assert!(Treasury::payout(by(Charlie), 1).is_err(), "the other spend was not approved");
		let direct = Treasury::spend(Origin::Models.into(), Box::new(()), GNK, Box::new(account(Eve)), None);
		assert!(direct.is_err());
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn models_are_registered_and_retired_by_their_track() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		let index = propose(Origin::Models, pallet_inference_market::Call::retire_model { model: 0 });
		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		let has_model = || InferenceMarket::models().iter().any(|model| model.id == 0);
		assert!(has_model());
		conclude(index);
		assert!(!has_model());
		// No other track may do this, and the track may do nothing else.
		assert!(InferenceMarket::retire_model(Origin::Treasury.into(), 0).is_err());
		assert!(System::set_code(Origin::Models.into(), vec![]).is_err());
	});
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn an_upgrade_is_authorised_by_referendum_and_checked_when_it_is_applied() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30)]);
		let code = |spec_version| codec::Encode::encode(&sp_version::RuntimeVersion { spec_version, ..VERSION });
		let authorise = |code: &[u8]| {
			let code_hash = sp_io::hashing::blake2_256(code).into();
			let index = propose(root(), frame_system::Call::authorize_upgrade { code_hash });
			for host in [Alice, Bob] {
				assert_ok!(ConvictionVoting::vote(by(host), index, AYE));
			}
			conclude(index);
			assert!(System::authorized_upgrade().is_some());
		};
		let current = || frame_support::storage::unhashed::get_raw(sp_storage::well_known_keys::CODE);
		let (same, newer) = (code(VERSION.spec_version), code(VERSION.spec_version + 1));
		authorise(&same);
		assert!(System::apply_authorized_upgrade(by(Eve), newer.clone()).is_err(), "it is not the authorised code");
		let _ = System::apply_authorized_upgrade(by(Eve), same.clone());
		// Benchmarks upgrade to any version, so with their feature only the wasm can show this: `tests/e2e` does.
		if cfg!(not(feature = "runtime-benchmarks")) {
			assert_ne!(current(), Some(same), "it is not newer");
		}
		authorise(&newer);
		assert_ok!(System::apply_authorized_upgrade(by(Eve), newer.clone()));
		assert_eq!(current(), Some(newer));
	});
}

#[test]
fn delegates_vote_for_others_in_one_track() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30), (Charlie, 20)]);
		let to = sp_runtime::MultiAddress::Id(account(Alice));
		assert_ok!(ConvictionVoting::delegate(by(Charlie), tracks::UPGRADE, to, Conviction::Locked6x, GNK));
		let index = propose(root(), remark());
		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		assert_eq!(Referenda::ensure_ongoing(index).unwrap().tally.ayes, 350);
		let other = propose(Origin::Models, remark());
		assert_ok!(ConvictionVoting::vote(by(Alice), other, AYE));
		assert_eq!(Referenda::ensure_ongoing(other).unwrap().tally.ayes, 250);
	});
}

#[test]
fn each_track_has_its_origin_and_sound_curves() {
	use pallet_referenda::TracksInfo;
	type Tracks = configs::governance::Tracks;
	assert!(<Tracks as TracksInfo<Balance, BlockNumber>>::check_integrity().is_ok());
	let origins: [OriginCaller; 5] = [
		root().into(),
		Origin::Parameters.into(),
		Origin::Models.into(),
		Origin::Treasury.into(),
		Origin::Emergency.into(),
	];
	for (track, origin) in tracks::TRACKS.iter().zip(&origins) {
		assert_eq!(Tracks::track_for(origin), Ok(track.id));
		assert_eq!(Tracks::origin_of(track.id).as_ref(), Some(origin));
		let (zero, one) = (Perbill::zero(), Perbill::one());
		for curve in [&track.info.min_approval, &track.info.min_support] {
			assert!(curve.threshold(zero) >= curve.threshold(one) && curve.threshold(one) > zero);
		}
		assert!(track.info.min_approval.threshold(one) > Perbill::from_percent(50));
	}
	assert_eq!(Tracks::track_for(&RuntimeOrigin::signed(account(Alice)).caller), Err(()));
	let emergency = &tracks::TRACKS[tracks::EMERGENCY as usize].info;
	assert!(emergency.min_support.threshold(Perbill::one()) > Perbill::from_rational(66u32, 100));
	assert!(tracks::TRACKS.iter().all(|track| track.info.decision_period >= emergency.decision_period));
}

#[test]
fn the_metadata_has_what_polkadot_js_reads() {
	use scale_info::TypeInfo;
	// Some constants are parameters, which the metadata reads from storage.
	let metadata = sp_io::TestExternalities::default().execute_with(Runtime::metadata_ir);
	let pallet = |name: &str| metadata.pallets.iter().find(|pallet| pallet.name == name).unwrap();
	let voting = pallet("ConvictionVoting");
	for constant in ["VoteLockingPeriod", "MaxVotes"] {
		assert!(voting.constants.iter().any(|other| other.name == constant), "{constant}");
	}
	assert!(pallet("Referenda").constants.iter().any(|constant| constant.name == "Tracks"));
	// polkadot.js would decode storage of these names as the SDK's pallet does.
	let entries: Vec<_> = voting.storage.iter().flat_map(|storage| &storage.entries).map(|entry| entry.name).collect();
	assert!(!entries.contains(&"VotingFor") && !entries.contains(&"ClassLocksFor"), "{entries:?}");

	let scale_info::TypeDef::Variant(calls) = pallet_governance::Call::<Runtime>::type_info().type_def else {
		panic!("calls are an enum")
	};
	let call = |name: &str| calls.variants.iter().find(|call| call.name == name).unwrap();
	assert_eq!(
		[call("vote").index, call("delegate").index, call("undelegate").index, call("remove_vote").index],
		[0, 1, 2, 4]
	);
	let names = |name: &str| call(name).fields.iter().map(|field| field.name.unwrap()).collect::<Vec<_>>();
	assert_eq!(names("vote"), ["poll_index", "vote"]);
	assert_eq!(names("delegate"), ["class", "to", "conviction", "balance"]);
	assert_eq!(names("remove_vote"), ["class", "index"]);
	assert_eq!(Ballot::type_info().path.segments, ["pallet_conviction_voting", "vote", "AccountVote"]);
	assert_eq!(Vote::type_info().path.segments, ["pallet_conviction_voting", "vote", "Vote"]);

	let scale_info::TypeDef::Composite(tally) = pallet_governance::Tally::<Runtime>::type_info().type_def else {
		panic!("a tally is a struct")
	};
	let fields: Vec<_> = tally.fields.iter().map(|field| field.name.unwrap()).collect();
	assert_eq!(fields, ["ayes", "nays", "support", "electorate", "epoch"]);
}

#[test]
#[cfg_attr(not(feature = "fast-runtime"), ignore = "a referendum takes days of blocks with mainnet's times")]
fn clients_see_a_referendum_from_submission_to_enactment() {
	use gonka_primitives::views::{EnactmentView, ReferendumState as State};
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30), (Charlie, 20)]);
		let call: RuntimeCall = remark().into();
		let (encoded, submitted) = (codec::Encode::encode(&call), System::block_number());
		let index = propose(root(), call);
		let info = &tracks::TRACKS[usize::from(tracks::UPGRADE)].info;
		let seen = views::referendum(index).unwrap();
		let from = submitted + info.prepare_period;
		assert_eq!(seen.state, State::Preparing { from, timeout: submitted + tracks::UNDECIDING_TIMEOUT });
		let proposal = seen.proposal.unwrap();
		assert_eq!(proposal.call.as_deref(), Some(&encoded[..]));
		assert_eq!(proposal.length, Some(encoded.len() as u32));
		assert_eq!(proposal.hash, sp_io::hashing::blake2_256(&encoded));
		let deposit = seen.decision_deposit.unwrap();
		assert_eq!((deposit.who, deposit.amount), (account(Dave).into(), 5_000 * GNK));
		assert!(!deposit.refundable);

		assert_ok!(ConvictionVoting::vote(by(Alice), index, AYE));
		assert_ok!(ConvictionVoting::vote(by(Charlie), index, NAY));
		blocks(info.prepare_period + info.decision_period / 2);
		let seen = views::referendum(index).unwrap();
		let State::Deciding { since, until } = seen.state else { panic!("{:?}", seen.state) };
		assert_eq!(until, since + info.decision_period);
		let open = seen.ongoing.unwrap();
		assert_eq!((open.ayes, open.nays, open.support_votes, open.electorate), (250, 100, 250, 500));
		assert_eq!((open.approval, open.support), (714_285_714, 500_000_000));
		assert_eq!(open.enactment, EnactmentView::After(0));
		// The thresholds lie between those of begin and end; approval is still below its threshold, support above.
		let track = &views::tracks()[0];
		assert_eq!((track.approval, track.support), ((900_000_000, 670_000_000), (500_000_000, 250_000_000)));
		assert!((670_000_000..900_000_000).contains(&open.approval_needed) && open.approval < open.approval_needed);
		assert!((250_000_000..500_000_000).contains(&open.support_needed) && open.support > open.support_needed);

		assert_ok!(ConvictionVoting::vote(by(Charlie), index, AYE));
		blocks(2);
		let State::Confirming { until, .. } = views::referendum(index).unwrap().state else { panic!() };
		blocks(until + 1 - System::block_number());
		let seen = views::referendum(index).unwrap();
		let State::Approved { at, enactment: Some(enacted) } = seen.state else { panic!("{:?}", seen.state) };
		assert_eq!(enacted, at + info.min_enactment_period);
		assert_eq!(seen.proposal.unwrap().call, Some(encoded));
		assert!(seen.ongoing.is_none());
		assert!(seen.submission_deposit.unwrap().refundable && seen.decision_deposit.unwrap().refundable);
		blocks(info.min_enactment_period + 1);
		assert_eq!(views::referendum(index).unwrap().state, State::Approved { at, enactment: None });
	});
}

#[test]
fn lists_of_referenda_come_in_pages_without_long_calls() {
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50)]);
		let long = frame_system::Call::<Runtime>::remark { remark: vec![0; 2_000] };
		propose(root(), remark());
		propose(root(), long);
		propose(root(), remark());
		let indices =
			|page: Vec<gonka_primitives::views::ReferendumView>| page.iter().map(|one| one.index).collect::<Vec<_>>();
		assert_eq!(indices(views::referenda(None, 2)), [2, 1]);
		assert_eq!(indices(views::referenda(Some(1), 2)), [0]);
		assert_eq!(indices(views::referenda(Some(9), 9)), [2, 1, 0]);
		let call = |one: gonka_primitives::views::ReferendumView| one.proposal.unwrap().call;
		assert_eq!(call(views::referenda(Some(2), 1).remove(0)), None);
		assert!(call(views::referendum(1).unwrap()).is_some_and(|call| call.len() > 2_000));
		assert_eq!(views::referendum(3), None);
	});
}

#[test]
fn clients_see_votes_and_delegations() {
	use gonka_primitives::views::{BallotView, StanceView};
	run(|| {
		blocks(1);
		take_part(&[(Alice, 50), (Bob, 30), (Charlie, 20)]);
		let to = sp_runtime::MultiAddress::Id(account(Alice));
		assert_ok!(ConvictionVoting::delegate(by(Charlie), tracks::UPGRADE, to, Conviction::None, 0));
		let index = propose(root(), remark());
		let split = AccountVote::SplitAbstain { aye: 1, nay: 2, abstain: 3 };
		assert_ok!(ConvictionVoting::vote(by(Alice), index, split));
		let alice = views::voter(&account(Alice));
		assert_eq!(alice.power, 250);
		let ballots = vec![(index, BallotView::Split { aye: 1, nay: 2, abstain: 3 })];
		let delegators = vec![account(Charlie).into()];
		assert_eq!(alice.tracks, [StanceView { track: tracks::UPGRADE, delegate: None, delegators, ballots }]);
		let charlie = views::voter(&account(Charlie));
		assert_eq!(charlie.tracks[0].delegate, Some(account(Alice).into()));
		assert_eq!(views::voter(&account(Eve)).tracks, []);
		assert_ok!(ConvictionVoting::vote(by(Alice), index, NAY));
		assert_eq!(views::voter(&account(Alice)).tracks[0].ballots, [(index, BallotView::Nay)]);
	});
}

#[test]
fn a_dry_run_of_a_proposal_has_no_effect() {
	use configs::parameters::{
		RuntimeParameters,
		dynamic::collateral::{BaseShare, Parameters},
	};
	run(|| {
		blocks(1);
		let amend = |share| {
			let parameter = RuntimeParameters::Collateral(Parameters::BaseShare(BaseShare, Some(share)));
			codec::Encode::encode(&RuntimeCall::Amendments(pallet_amendments::Call::amend { parameter }))
		};
		let good = amend(Perbill::from_percent(50));
		assert_eq!(views::dry_run(tracks::PARAMETERS, &good), Ok(()));
		assert!(pallet_amendments::Pending::<Runtime>::get().is_empty());
		let out_of_bounds = pallet_amendments::Error::<Runtime>::OutOfBounds.into();
		assert_eq!(views::dry_run(tracks::PARAMETERS, &amend(Perbill::from_percent(1))), Err(out_of_bounds));
		assert_eq!(views::dry_run(tracks::MODELS, &good), Err(sp_runtime::DispatchError::BadOrigin));
		assert_eq!(views::dry_run(9, &good), Err(sp_runtime::DispatchError::BadOrigin));
		assert_eq!(views::dry_run(tracks::UPGRADE, &good[1..]), Err(sp_runtime::DispatchError::Corruption));
	});
}
