//! A chain in memory.

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

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T>> {
	async { Ok(value) }.boxed()
}

impl ChainApi for FakeChain {
	fn genesis(&self) -> Hash {
		GENESIS
	}
	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>> {
		let mut blocks = self.blocks.subscribe();
		blocks.mark_changed();
		let next = |mut blocks: watch::Receiver<BlockNumber>| async {
			blocks.changed().await.ok()?;
			let block = *blocks.borrow_and_update();
			Some((block, blocks))
		};
		async move { stream::unfold(blocks, next).boxed() }.boxed()
	}
	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>> {
		ready(self.with(|state| state.epoch.clone()))
	}
	fn required(&self) -> BoxFuture<'_, Result<RequiredVersion>> {
		ready(self.with(|state| state.required))
	}
	fn market(&self) -> BoxFuture<'_, Result<MarketView>> {
		ready(self.with(|state| state.market.clone()))
	}
	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>> {
		ready(self.with(|state| state.models.clone()))
	}
	fn host<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Option<HostView>>> {
		ready(self.with(|state| {
			if *account == host() {
				return state.host.clone();
			}
			state.look_ups += 1;
			state.others.iter().find(|other| other.account == *account).cloned()
		}))
	}
	fn commitments<'a>(
		&'a self,
		epoch: EpochIndex,
		host: &'a AccountId,
	) -> BoxFuture<'a, Result<Vec<(u8, Commitment)>>> {
		ready(self.with(|state| {
			let all = state.commitments.iter().chain(&state.others_commitments);
			let made = all.filter(|made| made.host == *host && made.epoch == epoch);
			made.map(|made| (made.segment, made.commitment)).collect()
		}))
	}
	fn check<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Option<CheckView>>> {
		ready(self.with(|state| {
			state.reads.duties += 1;
			state.check.clone()
		}))
	}
	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>> {
		ready(self.with(|state| {
			state.reads.claims += 1;
			state.claims.clone()
		}))
	}
	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>> {
		ready(self.with(|state| {
			state.reads.opening_requests += 1;
			state.requests.iter().filter(|request| request.host == *host).cloned().collect()
		}))
	}
	fn standing<'a>(&'a self, epoch: EpochIndex, _: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>> {
		ready(self.with(|state| {
			state.reads.standings += 1;
			state.offence.map(|offence| StandingView {
				epoch,
				commitments: Vec::new(),
				delays: Vec::new(),
				unanswered: 0,
				checked: None,
				compute_weight: None,
				backed_weight: None,
				effective_weight: None,
				proven_weight: None,
				vote_weight: None,
				duties: (0, 0),
				audits: (0, 0),
				blocks: (0, 0),
				confirmations: 0,
				confirmed: 0,
				performance: 0,
				work: 0,
				served: 0,
				paid_weight: None,
				offence: Some(offence),
			})
		}))
	}
	fn audits<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<AssignedAuditsView>>> {
		ready(self.with(|state| {
			let lists = state.audits.iter().filter(|(of, _)| of == checker);
			lists.map(|(_, list)| list.clone()).collect()
		}))
	}
	fn cases(&self) -> BoxFuture<'_, Result<Vec<CaseView>>> {
		ready(self.with(|state| state.cases.clone()))
	}
	fn reputation<'a>(&'a self, of: &'a AccountId) -> BoxFuture<'a, Result<ReputationView>> {
		ready(self.with(|state| ReputationView {
			reputation: 0,
			receipts: 0,
			muted: None,
			suspicions: Vec::new(),
			case: state.cases.iter().find(|case| case.host == *of).map(|case| case.id),
			judgement: state.judgement.filter(|_| *of == host()),
		}))
	}
	fn calibration_profile(&self, _: ModelId) -> BoxFuture<'_, Result<Option<CalibrationProfile>>> {
		ready(self.with(|state| state.calibration))
	}
	fn audit_rules(&self) -> BoxFuture<'_, Result<AuditRules>> {
		ready(AuditRules::new(self.with(|state| state.market.window), 20))
	}
	fn channel(&self, id: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>> {
		ready(self.with(|state| {
			state.look_ups += 1;
			state.channels.iter().find(|channel| channel.id == id).cloned()
		}))
	}
	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>> {
		ready(self.with(|state| state.channels.iter().filter(|channel| channel.host == *host).cloned().collect()))
	}
	fn registration_terms<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Option<RegistrationTerms>>> {
		ready(self.with(|state| Some(state.terms())))
	}
	fn submit_registration(
		&self,
		registration: Registration,
		signature: Signature,
		worker_signature: Signature,
	) -> BoxFuture<'_, Result<()>> {
		let accepted = self.with(|state| {
			state.registration_bits = state.rises.take().unwrap_or(state.registration_bits);
			if registration.work_bits(&GENESIS) < state.terms().bits {
				return false;
			}
			let payload = signing_payload(domain::REGISTRATION, &GENESIS, &registration);
			assert!(keys::verify(&signature, &payload, &registration.host));
			let consent = signing_payload(domain::WORKER, &GENESIS, &registration.host);
			assert!(keys::verify(&worker_signature, &consent, &registration.worker));
			assert!(registration.is_well_formed() && registration.revision == state.terms().revision);
			state.host = Some(HostView {
				account: registration.host,
				worker: registration.worker,
				url: registration.url.clone(),
				models: registration.models.clone(),
				registered: registration.epoch,
				effective_weight: 0,
				condemned: false,
			});
			state.registrations.push(registration);
			true
		});
		async move { if accepted { Ok(()) } else { Err(rejected("too little work")) } }.boxed()
	}
	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::COMMITMENT, &GENESIS, &commitment);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.reject {
				return Err(rejected("rejected"));
			}
			if let Some(known) = state.commitments.iter().find(|made| made.segment == commitment.segment) {
				assert_eq!(*known, commitment, "there is never a second commitment");
				return Err(rejected("committed"));
			}
			state.commitments.push(commitment);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			state.sent.push((settlement.clone(), signature, state.epoch.block));
			if state.reject {
				return Err(rejected("rejected"));
			}
			let outcome = Self::settle(state, &settlement, &signature);
			if state.lose_responses { Err(rejected("the connection was lost")) } else { outcome }
		});
		async { outcome }.boxed()
	}
	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = message.payload(&GENESIS);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.reject {
				state.rejected += 1;
				return Err(rejected("rejected"));
			}
			let schedule = state.epoch.schedule;
			let offset = state.epoch.block - state.epoch.start + 1;
			let draw = state.epoch.round().map_or(0, |(_, _, draw)| draw);
			match &message {
				CheckMessage::Commit(commitment) => {
					assert!(schedule.takes_digest(draw, offset));
					let check = state.check.as_mut().unwrap();
					if let Some(known) = check.committed.replace(commitment.hash) {
						assert_eq!(known, commitment.hash, "there is never a second commitment");
						return Err(rejected("committed"));
					}
				},
				CheckMessage::Reveal(reveal) => {
					assert!(schedule.takes_reveal(draw, offset));
					let check = state.check.as_mut().unwrap();
					assert_eq!(
						check.committed,
						Some(digest_hash(&reveal.checker, reveal.epoch, reveal.round, &reveal.tags))
					);
					if std::mem::replace(&mut check.revealed, true) {
						return Err(rejected("revealed"));
					}
					let sets = check.duties.iter_mut().flat_map(|duty| &mut duty.sets);
					sets.zip(&reveal.tags).for_each(|(set, tag)| set.tag = Some(*tag));
				},
				CheckMessage::Request(asked) => {
					assert!(schedule.takes_request(draw, offset));
					assert!(!asked.positions.is_empty() && asked.positions.len() <= 8);
					state.requests.push(RequestView {
						checker: asked.checker,
						epoch: asked.epoch,
						round: asked.round,
						host: asked.host,
						positions: asked.positions.clone(),
						deadline: state.epoch.block + 1 + schedule.answer,
						openings: None,
					});
				},
				CheckMessage::Answer(answer) => {
					let mut requests = state.requests.iter_mut();
					let request = requests.find(|made| made.host == answer.host && made.checker == answer.checker);
					if request.unwrap().openings.replace(answer.openings.clone()).is_some() {
						return Err(rejected("posted"));
					}
				},
				_ => {},
			}
			state.messages.push(message);
			state.message_blocks.push(state.epoch.block);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_report(&self, report: AuditReport, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::AUDIT_REPORT, &GENESIS, &report);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			assert!((1..=64).contains(&report.findings.len()) && report.findings.is_sorted_by(|a, b| a.0 < b.0));
			if state.reject {
				state.rejected += 1;
				return Err(rejected("rejected"));
			}
			let lists = state.audits.iter_mut();
			let list = lists.map(|(_, list)| list).find(|list| list.window == report.window).unwrap();
			assert!(state.epoch.block < list.deadline, "in time");
			if report.findings.iter().any(|(index, _)| list.audits[usize::from(*index)].done) {
				return Err(rejected("reported"));
			}
			for (index, _) in &report.findings {
				list.audits[usize::from(*index)].done = true;
			}
			state.reports.push((report, state.epoch.block));
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::RULING, &GENESIS, &ruling);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			let case = state.cases.iter_mut().find(|case| case.id == ruling.case).unwrap();
			let rules = AuditRules::new(state.market.window, 20);
			let bounds = (rules.guilty, rules.innocent);
			assert_eq!(ruling.reviewed.len(), case.reviewed.len());
			let outcome = judge(&case.profile, &ruling.fresh, rules.unavailable, bounds).expect("decided");
			let seat = case.arbiters.iter_mut().find(|seat| seat.who == ruling.arbiter).unwrap();
			if seat.ruled.replace(outcome).is_some() {
				return Err(rejected("ruled"));
			}
			state.rulings.push(ruling);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>> {
		self.with(|state| {
			state.closed.push((claim, refuter, state.epoch.block));
			state.claims.retain(|open| open.id != claim);
		});
		ready(())
	}
}
