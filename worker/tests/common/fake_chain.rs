//! A chain in memory.

mod api;

use super::*;
use futures::{
	FutureExt, StreamExt,
	future::BoxFuture,
	stream::{self, BoxStream},
};
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	audit::{AuditReport, AuditRules, CalibrationProfile, Ruling, judge},
	check::{Offence, digest_hash},
	epoch::Schedule,
	hashing::{domain, signing_payload},
	host::{Commitment, Registration, SegmentCommitment, required_bits},
	market::{SETTLEABLE_WINDOWS, Settlement, Totals},
	validity::InferenceMarket as ValidityError,
	views::{
		AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, EpochView, HostView, JudgementView,
		MarketView, ModelView, RegistrationTerms, ReputationView, RequestView, StandingView,
	},
};
use gonka_sprint::SprintFormat;
use gonka_worker::{
	chain::{ChainApi, ChainError, CheckMessage, Result},
	version::RequiredVersion,
};
use tokio::sync::watch;

/// State of the chain. Tests change it as they like.
pub struct State {
	pub epoch: EpochView,
	pub required: RequiredVersion,
	pub market: MarketView,
	pub models: Vec<ModelView>,
	pub host: Option<HostView>,
	pub channels: Vec<ChannelView>,
	pub registrations: Vec<Registration>,
	/// Bits that a host's first registration in an epoch needs.
	pub registration_bits: u32,
	/// The bits that it needs from the next attempt on.
	pub rises: Option<u32>,
	pub commitments: Vec<SegmentCommitment>,
	pub settlements: Vec<Settlement>,
	/// Settlements that were sent, included or not, with the best block.
	pub sent: Vec<(Settlement, Signature, BlockNumber)>,
	/// Reject all messages.
	pub reject: bool,
	/// The fees that a settlement must have.
	pub least_fee: Balance,
	/// Include settlements, but respond with an error.
	pub lose_responses: bool,
	/// Number of look-ups of single channels and of other hosts.
	pub look_ups: u32,
	/// Number of reads by the parts that act with each block.
	pub reads: Reads,
	/// Other hosts, and their commitments.
	pub others: Vec<HostView>,
	pub others_commitments: Vec<SegmentCommitment>,
	pub check: Option<CheckView>,
	pub claims: Vec<ClaimView>,
	pub requests: Vec<RequestView>,
	/// Included messages of checks and disputes.
	pub messages: Vec<CheckMessage>,
	/// The best block at the time of each of them.
	pub message_blocks: Vec<BlockNumber>,
	/// Number of rejected messages and reports.
	pub rejected: usize,
	/// Claims and games that were closed, with the best block.
	pub closed: Vec<(u32, Option<AccountId>, BlockNumber)>,
	/// Offsets of the confirmation segments.
	pub calls: Vec<BlockNumber>,
	/// Assigned audits by checker.
	pub audits: Vec<(AccountId, AssignedAuditsView)>,
	pub cases: Vec<CaseView>,
	/// The judgement against [`host`].
	pub judgement: Option<JudgementView>,
	pub calibration: Option<CalibrationProfile>,
	/// Included reports, with the best block.
	pub reports: Vec<(AuditReport, BlockNumber)>,
	pub rulings: Vec<Ruling>,
	/// Offence of which other hosts are convicted.
	pub offence: Option<Offence>,
}

impl State {
	/// What the host's next registration needs.
	pub fn terms(&self) -> RegistrationTerms {
		let epoch = self.epoch.index;
		let revision = self.registrations.iter().filter(|made| made.epoch == epoch).count() as u8;
		RegistrationTerms { epoch, revision, bits: required_bits(self.registration_bits, revision, None) }
	}
}

/// Number of reads of the chain, by what was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
	pub duties: u32,
	pub claims: u32,
	pub opening_requests: u32,
	pub standings: u32,
	pub hosts: u32,
}

pub struct FakeChain {
	pub state: Mutex<State>,
	blocks: watch::Sender<BlockNumber>,
}

pub fn host() -> AccountId {
	keys::public(&key("//Host"))
}

pub fn channel(id: ChannelId) -> ChannelView {
	ChannelView {
		id,
		developer: [7; 32],
		host: host(),
		gateway: keys::public(&key("//Gateway")),
		deposit: DEPOSIT,
		settled: Totals::default(),
		closes: None,
	}
}

impl FakeChain {
	pub fn new() -> Arc<Self> {
		let schedule = Schedule::FAST;
		let epoch = EpochView {
			index: 5,
			start: 100,
			block: 100,
			phase: schedule.phase(0),
			schedule,
			format: SprintFormat::Nano,
			model_seed: [1; 32],
			segment_seeds: Vec::new(),
			confirmations: Vec::new(),
			beacon: None,
			round_beacons: Vec::new(),
		};
		let market = MarketView {
			window: 10,
			max_vouchers: 100,
			max_channels_per_call: 10,
			min_deposit: 1,
			challenge_period: 100,
		};
		let model = ModelView {
			id: 3,
			name: MODEL.into(),
			weights_hash: [0; 32],
			tokenizer_hash: [0; 32],
			context_length: 500,
			price: PRICE,
		};
		let state = State {
			epoch,
			required: RequiredVersion::default(),
			market,
			models: vec![model],
			host: None,
			channels: vec![channel(1), channel(2)],
			registrations: Vec::new(),
			registration_bits: 4,
			rises: None,
			commitments: Vec::new(),
			settlements: Vec::new(),
			sent: Vec::new(),
			reject: false,
			lose_responses: false,
			least_fee: 0,
			look_ups: 0,
			reads: Reads::default(),
			others: Vec::new(),
			others_commitments: Vec::new(),
			check: None,
			claims: Vec::new(),
			requests: Vec::new(),
			messages: Vec::new(),
			message_blocks: Vec::new(),
			rejected: 0,
			closed: Vec::new(),
			calls: Vec::new(),
			audits: Vec::new(),
			cases: Vec::new(),
			judgement: None,
			calibration: None,
			reports: Vec::new(),
			rulings: Vec::new(),
			offence: None,
		};
		Arc::new(Self { state: Mutex::new(state), blocks: watch::channel(100).0 })
	}

	pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
		change(&mut self.state.lock().unwrap())
	}

	/// Makes `block` the best block, and publishes the seeds of the segments that have begun.
	pub fn block(&self, block: BlockNumber) {
		self.with(|state| {
			let epoch = &mut state.epoch;
			epoch.block = block;
			let offset = block - epoch.start;
			epoch.phase = epoch.schedule.phase(offset);
			for segment in epoch.segment_seeds.len() as u8..epoch.schedule.segments {
				if epoch.schedule.segment_start(segment) <= offset {
					epoch.segment_seeds.push([10 + segment; 32]);
				}
			}
			if offset >= epoch.schedule.draw() && epoch.beacon.is_none() {
				epoch.beacon = Some([5; 32]);
			}
			while let Some(start) = state.calls.get(epoch.confirmations.len()).filter(|start| **start <= offset) {
				epoch.confirmations.push(*start);
				epoch.segment_seeds.push([20 + epoch.confirmations.len() as u8; 32]);
			}
			let round = epoch.round_beacons.len() as u8 + 1;
			if epoch.schedule.draw_of(round, &epoch.confirmations).is_some_and(|draw| draw <= offset) {
				epoch.round_beacons.push([5 + round; 32]);
			}
		});
		self.blocks.send_replace(block);
	}

	/// Announces the best block once more, so that workers act again.
	pub fn announce_again(&self) {
		self.blocks.send_replace(self.with(|state| state.epoch.block));
	}

	/// Announces the best block again and again until a part of the worker has finished a step for it. `reads` selects a
	/// number of reads that grows with each step of the part.
	pub async fn step_finished(&self, reads: impl Fn(&Reads) -> u32) {
		let count = || self.with(|state| reads(&state.reads));
		// A step may be under way with an older snapshot. After that one comes a step with the current snapshot, and the
		// one after it begins when that step is finished.
		let before = count();
		eventually(async || {
			self.announce_again();
			count() >= before + 3
		})
		.await;
	}

	pub fn settled(&self, id: ChannelId) -> Totals {
		self.with(|state| state.channels.iter().find(|channel| channel.id == id).unwrap().settled)
	}

	fn settle(state: &mut State, settlement: &Settlement, signature: &Signature) -> Result<()> {
		let reject = |why: &str| Err(rejected(why));
		let payload = signing_payload(domain::SETTLEMENT, &GENESIS, settlement);
		if !keys::verify(signature, &payload, &keys::public(&key("//Worker"))) {
			return reject("bad signature");
		}
		let last = state.settlements.last();
		if last.is_some_and(|last| last.window >= settlement.window) {
			return reject("the window is settled");
		}
		if settlement.window >= state.epoch.block / state.market.window {
			return reject("the window has not ended");
		}
		if settlement.window + SETTLEABLE_WINDOWS < state.epoch.block / state.market.window {
			return Err(refused(ValidityError::WindowTooOld));
		}
		if settlement.root.sum.fee < state.least_fee {
			return Err(refused(ValidityError::FeeNotCovered));
		}
		if settlement.vouchers.len() > state.market.max_vouchers as usize {
			return reject("too many vouchers");
		}
		if !settlement.vouchers.is_sorted_by(|a, b| a.voucher.channel < b.voucher.channel) {
			return reject("not ascending");
		}
		let mut growth = Totals::default();
		for signed in &settlement.vouchers {
			let payload = signing_payload(domain::VOUCHER, &GENESIS, &signed.voucher);
			let Some(channel) = state.channels.iter().find(|channel| channel.id == signed.voucher.channel) else {
				return reject("no such channel");
			};
			if !keys::verify(&signed.signature, &payload, &channel.gateway) {
				return reject("bad voucher");
			}
			let Some(grown) = signed.voucher.totals.checked_sub(&channel.settled) else { return reject("shrinks") };
			growth = growth.checked_add(&grown).unwrap();
		}
		if growth != settlement.root.sum {
			return reject("sums differ");
		}
		// There is one model.
		let of_model = |(model, work): &(ModelId, u64)| *model == 3 && *work == growth.work;
		if settlement.work.len() > 1 || !settlement.work.iter().all(of_model) {
			return reject("not the work by model");
		}
		for signed in &settlement.vouchers {
			let channel = state.channels.iter_mut().find(|channel| channel.id == signed.voucher.channel).unwrap();
			channel.settled = signed.voucher.totals;
		}
		state.settlements.push(settlement.clone());
		Ok(())
	}
}

fn rejected(why: &str) -> ChainError {
	gonka_client::chain::Error::Dropped { what: "the message".into(), cause: why.into() }.into()
}

fn refused(error: ValidityError) -> ChainError {
	let (what, explanation) = ("InferenceMarket.settle".into(), format!("{error:?}"));
	gonka_client::chain::Error::Refused { what, code: Some(error.into()), explanation }.into()
}
