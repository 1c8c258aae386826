//! A chain in memory.

use super::*;
use futures::{
	FutureExt, StreamExt,
	future::BoxFuture,
	stream::{self, BoxStream},
};
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	check::{Offence, digest_hash},
	epoch::Schedule,
	hashing::{domain, signing_payload},
	host::{Commitment, Registration, SegmentCommitment},
	market::{Settlement, Totals},
	sampling::{Profile as Calibration, Rules, Ruling, Verdicts, judge},
	views::{
		ChannelView, CheckView, ClaimView, EpochView, HostView, MarketView, ModelView, RequestView, SamplesView,
		SamplingCaseView, StandingView,
	},
};
use gonka_sprint::Profile;
use gonka_worker::{
	chain::{ChainApi, ChainError, CheckMessage, Result},
	version::Required,
};
use tokio::sync::watch;

/// What the chain holds. Tests change it as they like.
pub struct State {
	pub epoch: EpochView,
	pub required: Required,
	pub market: MarketView,
	pub models: Vec<ModelView>,
	pub host: Option<HostView>,
	pub channels: Vec<ChannelView>,
	pub registrations: Vec<Registration>,
	pub commitments: Vec<SegmentCommitment>,
	pub settlements: Vec<Settlement>,
	/// Settlements that were sent, taken or not.
	pub sent: Vec<(Settlement, Signature)>,
	/// Refuse what is sent.
	pub refuse: bool,
	/// Take settlements, but say that they were refused.
	pub lie: bool,
	/// How often single channels were asked for.
	pub look_ups: u32,
	/// Other hosts, and what they committed to.
	pub others: Vec<HostView>,
	pub others_commitments: Vec<SegmentCommitment>,
	pub check: Option<CheckView>,
	pub claims: Vec<ClaimView>,
	pub requests: Vec<RequestView>,
	/// Messages of checks and disputes that were taken.
	pub messages: Vec<CheckMessage>,
	/// How many were not.
	pub refused: usize,
	/// Claims and games that were closed.
	pub closed: Vec<(u32, Option<AccountId>)>,
	/// Confirmation segments, by offset.
	pub calls: Vec<BlockNumber>,
	/// Samples and cases, and what was said of them.
	pub samples: Vec<(AccountId, SamplesView)>,
	pub cases: Vec<SamplingCaseView>,
	pub calibration: Option<Calibration>,
	pub verdicts: Vec<Verdicts>,
	pub rulings: Vec<Ruling>,
	/// What others are convicted of.
	pub offence: Option<Offence>,
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
			profile: Profile::Nano,
			model_seed: [1; 32],
			segment_seeds: Vec::new(),
			confirmations: Vec::new(),
			beacon: None,
			registration_bits: 4,
		};
		let market = MarketView {
			window: 10,
			max_vouchers: 100,
			max_channels_per_call: 10,
			min_deposit: 1,
			challenge_period: 100,
		};
		let model = ModelView { id: 3, name: MODEL.into(), weights_hash: [0; 32], context_length: 500, price: PRICE };
		let state = State {
			epoch,
			required: Required::default(),
			market,
			models: vec![model],
			host: None,
			channels: vec![channel(1), channel(2)],
			registrations: Vec::new(),
			commitments: Vec::new(),
			settlements: Vec::new(),
			sent: Vec::new(),
			refuse: false,
			lie: false,
			look_ups: 0,
			others: Vec::new(),
			others_commitments: Vec::new(),
			check: None,
			claims: Vec::new(),
			requests: Vec::new(),
			messages: Vec::new(),
			refused: 0,
			closed: Vec::new(),
			calls: Vec::new(),
			samples: Vec::new(),
			cases: Vec::new(),
			calibration: None,
			verdicts: Vec::new(),
			rulings: Vec::new(),
			offence: None,
		};
		Arc::new(Self { state: Mutex::new(state), blocks: watch::channel(100).0 })
	}

	pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
		change(&mut self.state.lock().unwrap())
	}

	/// Makes `block` the best; seeds of the segments that began appear.
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
		});
		self.blocks.send_replace(block);
	}

	/// Announces the best block once more: workers look again.
	pub fn again(&self) {
		self.blocks.send_replace(self.with(|state| state.epoch.block));
	}

	pub fn settled(&self, id: ChannelId) -> Totals {
		self.with(|state| state.channels.iter().find(|channel| channel.id == id).unwrap().settled)
	}

	fn settle(state: &mut State, settlement: &Settlement, signature: &Signature) -> Result<()> {
		let refuse = |why: &str| Err(ChainError::other(why));
		let payload = signing_payload(domain::SETTLEMENT, &GENESIS, settlement);
		if !keys::verify(signature, &payload, &keys::public(&key("//Worker"))) {
			return refuse("bad signature");
		}
		let last = state.settlements.last();
		if last.is_some_and(|last| last.window >= settlement.window) {
			return refuse("the window is settled");
		}
		if settlement.window >= state.epoch.block / state.market.window {
			return refuse("the window has not ended");
		}
		if settlement.vouchers.len() > state.market.max_vouchers as usize {
			return refuse("too many vouchers");
		}
		if !settlement.vouchers.is_sorted_by(|a, b| a.voucher.channel < b.voucher.channel) {
			return refuse("not ascending");
		}
		let mut growth = Totals::default();
		for signed in &settlement.vouchers {
			let payload = signing_payload(domain::VOUCHER, &GENESIS, &signed.voucher);
			let Some(channel) = state.channels.iter().find(|channel| channel.id == signed.voucher.channel) else {
				return refuse("no such channel");
			};
			if !keys::verify(&signed.signature, &payload, &channel.gateway) {
				return refuse("bad voucher");
			}
			let Some(grown) = signed.voucher.totals.checked_sub(&channel.settled) else { return refuse("shrinks") };
			growth = growth.checked_add(&grown).unwrap();
		}
		if growth != settlement.root.sum {
			return refuse("sums differ");
		}
		// There is one model.
		let of_model = |(model, work): &(ModelId, u64)| *model == 3 && *work == growth.work;
		if settlement.work.len() > 1 || !settlement.work.iter().all(of_model) {
			return refuse("not the work by model");
		}
		for signed in &settlement.vouchers {
			let channel = state.channels.iter_mut().find(|channel| channel.id == signed.voucher.channel).unwrap();
			channel.settled = signed.voucher.totals;
		}
		state.settlements.push(settlement.clone());
		Ok(())
	}
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
	fn required(&self) -> BoxFuture<'_, Result<Required>> {
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
		ready(self.with(|state| state.check.clone()))
	}
	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>> {
		ready(self.with(|state| state.claims.clone()))
	}
	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>> {
		ready(self.with(|state| state.requests.iter().filter(|request| request.host == *host).cloned().collect()))
	}
	fn standing<'a>(&'a self, epoch: EpochIndex, _: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>> {
		ready(self.with(|state| {
			state.offence.map(|offence| StandingView {
				epoch,
				commitments: Vec::new(),
				lost: Vec::new(),
				checked: None,
				raw: None,
				backed: None,
				effective: None,
				duties: (0, 0),
				confirmations: 0,
				confirmed: 0,
				performance: 0,
				work: 0,
				served: 0,
				paid: None,
				offence: Some(offence),
			})
		}))
	}
	fn samples<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<SamplesView>>> {
		ready(self.with(|state| {
			let lists = state.samples.iter().filter(|(of, _)| of == checker);
			lists.map(|(_, list)| list.clone()).collect()
		}))
	}
	fn sampling_cases(&self) -> BoxFuture<'_, Result<Vec<SamplingCaseView>>> {
		ready(self.with(|state| state.cases.clone()))
	}
	fn sampling_profile(&self, _: ModelId) -> BoxFuture<'_, Result<Option<Calibration>>> {
		ready(self.with(|state| state.calibration))
	}
	fn sampling_rules(&self) -> BoxFuture<'_, Result<Rules>> {
		ready(Rules::new(self.with(|state| state.market.window)))
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
	fn submit_registration(&self, registration: Registration, signature: Signature) -> BoxFuture<'_, Result<()>> {
		self.with(|state| {
			let payload = signing_payload(domain::REGISTRATION, &GENESIS, &registration);
			assert!(keys::verify(&signature, &payload, &registration.host));
			assert!(registration.is_well_formed());
			assert!(registration.work_bits(&GENESIS) >= state.epoch.registration_bits);
			state.host = Some(HostView {
				account: registration.host,
				worker: registration.worker,
				url: registration.url.clone(),
				models: registration.models.clone(),
				registered: registration.epoch,
				weight: 0,
				condemned: false,
			});
			state.registrations.push(registration);
		});
		ready(())
	}
	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::COMMITMENT, &GENESIS, &commitment);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.refuse {
				return Err(ChainError::other("refused"));
			}
			assert!(state.commitments.iter().all(|made| made.segment != commitment.segment));
			state.commitments.push(commitment);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			state.sent.push((settlement.clone(), signature));
			if state.refuse {
				return Err(ChainError::other("refused"));
			}
			let outcome = Self::settle(state, &settlement, &signature);
			if state.lie { Err(ChainError::other("the connection was lost")) } else { outcome }
		});
		async { outcome }.boxed()
	}
	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = message.payload(&GENESIS);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.refuse {
				state.refused += 1;
				return Err(ChainError::other("refused"));
			}
			let schedule = state.epoch.schedule;
			let offset = state.epoch.block - state.epoch.start + 1;
			match &message {
				CheckMessage::Commit(commitment) => {
					assert!(schedule.takes_digest(offset));
					let check = state.check.as_mut().unwrap();
					assert!(check.committed.replace(commitment.hash).is_none(), "one commitment");
				},
				CheckMessage::Reveal(reveal) => {
					assert!(schedule.takes_reveal(offset));
					let check = state.check.as_mut().unwrap();
					assert_eq!(check.committed, Some(digest_hash(&reveal.checker, reveal.epoch, &reveal.tags)));
					assert!(!std::mem::replace(&mut check.revealed, true));
					let sets = check.duties.iter_mut().flat_map(|duty| &mut duty.sets);
					sets.zip(&reveal.tags).for_each(|(set, tag)| set.tag = Some(*tag));
				},
				CheckMessage::Request(asked) => {
					assert!(schedule.takes_request(offset));
					assert!(!asked.positions.is_empty() && asked.positions.len() <= 4);
					state.requests.push(RequestView {
						checker: asked.checker,
						epoch: asked.epoch,
						host: asked.host,
						segment: asked.segment,
						positions: asked.positions.clone(),
						deadline: state.epoch.block + 1 + schedule.answer,
						openings: None,
					});
				},
				CheckMessage::Answer(answer) => {
					let mut requests = state.requests.iter_mut();
					let request = requests.find(|made| made.host == answer.host && made.checker == answer.checker);
					assert!(request.unwrap().openings.replace(answer.openings.clone()).is_none());
				},
				_ => {},
			}
			state.messages.push(message);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_verdicts(&self, verdicts: Verdicts, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::VERDICTS, &GENESIS, &verdicts);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			assert!((1..=64).contains(&verdicts.findings.len()) && verdicts.findings.is_sorted_by(|a, b| a.0 < b.0));
			if state.refuse {
				state.refused += 1;
				return Err(ChainError::other("refused"));
			}
			let lists = state.samples.iter_mut();
			let list = lists.map(|(_, list)| list).find(|list| list.window == verdicts.window).unwrap();
			assert!(state.epoch.block < list.deadline, "in time");
			for (index, _) in &verdicts.findings {
				assert!(!std::mem::replace(&mut list.samples[usize::from(*index)].done, true), "once");
			}
			state.verdicts.push(verdicts);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>> {
		self.with(|state| {
			let payload = signing_payload(domain::RULING, &GENESIS, &ruling);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			let case = state.cases.iter_mut().find(|case| case.id == ruling.case).unwrap();
			let rules = Rules::new(state.market.window);
			let bounds = (rules.guilty, rules.innocent);
			assert_eq!(ruling.audit.len(), case.audit.len());
			let outcome = judge(&case.profile, &ruling.fresh, rules.unavailable, bounds).expect("decided");
			let seat = case.arbiters.iter_mut().find(|(who, _)| *who == ruling.arbiter).unwrap();
			assert!(seat.1.replace(outcome).is_none(), "once");
			state.rulings.push(ruling);
		});
		ready(())
	}
	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>> {
		self.with(|state| {
			state.closed.push((claim, refuter));
			state.claims.retain(|open| open.id != claim);
		});
		ready(())
	}
}
