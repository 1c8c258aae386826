//! Another host that settled answers, right ones and wrong ones, and shows what they say.

use super::*;
use gonka_engine::{FinishReason as Ended, GenerateRequest, TokenEvent};
use gonka_primitives::{
	fingerprint,
	market::{FinishReason, Receipt, SignedReceipt, Totals, output_hash},
	merkle_sum::{self, SumNode},
	sampling::{Pick, Profile as Calibration, Scope},
	tape::tape_key,
	views::{AuditView, ChannelView, HostView, SampleView, SamplesView, SamplingCaseView},
};
use gonka_worker::{
	chain::Follower,
	server::{self, Service},
	store::{
		Durability,
		evidence::{self, StoredEvidence, StoredTree},
	},
};

/// The channel to the other host.
pub const CHANNEL: u64 = 9;
/// The window in which it settled, and that in which its samples are drawn.
pub const SETTLED: u32 = 11;
pub const DRAWN: u32 = 12;

/// A margin of a nat, as the mock finds it at a wrong token, is in bin 3; any distance in bin 7.
pub fn calibration() -> Calibration {
	Calibration {
		margins: [1 << 14, 1 << 15, 1 << 17, 1 << 18, 1 << 19, 1 << 20],
		tape: [-(1 << 12), 0, 0, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20],
		distances: [1, 2, 3, 4, 5, 6, 7],
		fingerprint: [-(1 << 12), 0, 0, 0, 0, 0, 0, 1 << 16],
		alarm: 10 << 16,
		clamp: 5 << 16,
		min_worker_version: 0,
	}
}

pub fn engine() -> Arc<dyn Engine> {
	mock(MockConfig { answer_words: 20, ..Default::default() })
}

/// The other host.
pub struct Shower {
	pub account: AccountId,
	pub url: String,
	pub store: Store,
	_stop: oneshot::Sender<()>,
}

impl Shower {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path) -> Self {
		Self::start_with(chain, path, engine()).await
	}

	pub async fn start_with(chain: &Arc<FakeChain>, path: &Path, engine: Arc<dyn Engine>) -> Self {
		let key = key("//Peer");
		let account = keys::public(&key);
		let store = Store::open(&path.join("shower.redb"), &GENESIS, &account).unwrap();
		let listener = gonka_worker::server::listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
		let url = format!("http://{}", listener.local_addr().unwrap());
		chain.with(|state| {
			let view = |account, worker| HostView {
				account,
				worker,
				url: url.clone().into_bytes(),
				models: Vec::new(),
				registered: 0,
				weight: 1,
				condemned: false,
			};
			state.others.push(view(account, account));
			state.host = Some(view(host(), keys::public(&super::key("//Worker"))));
			state.channels.push(ChannelView { id: CHANNEL, host: account, ..channel(CHANNEL) });
			state.calibration = Some(calibration());
		});
		let follower = Follower::start(chain.clone(), account);
		follower.first().await.unwrap();
		let service = Service::new(follower, store.clone(), engine, MODEL.into(), key, Limits::default());
		let (stop, stopped) = oneshot::channel::<()>();
		let stopped = stopped.map(|_| ());
		tokio::spawn(server::listen::serve(listener, server::router(service), stopped, Duration::from_secs(1)));
		Self { account, url, store, _stop: stop }
	}

	/// What an honest host keeps of a request.
	pub fn answer(&self, sequence: u64) -> StoredEvidence {
		let gateway = Gateway::new(&self.url, CHANNEL);
		let envelope = gateway.sign(gateway.envelope(sequence, BODY));
		let hash = envelope.envelope.hash(&GENESIS);
		let engine = engine();
		let request = GenerateRequest {
			prompt: engine.tokenize("Once upon a time").unwrap(),
			max_tokens: 100,
			temperature: 0.0,
			key: tape_key(&hash, &self.account),
			..Default::default()
		};
		let prompt_tokens = request.prompt.len() as u32;
		let mut events = engine.generate(request).unwrap();
		let (mut output, mut fingerprints) = (Vec::new(), Vec::new());
		loop {
			match events.try_recv().unwrap() {
				TokenEvent::Token { id, fingerprint, .. } => {
					output.push(id);
					fingerprints.push(fingerprint);
				},
				TokenEvent::Done { finish_reason, .. } => {
					assert_eq!(finish_reason, Ended::Stop);
					break;
				},
				TokenEvent::Error { message } => panic!("{message}"),
			}
		}
		let receipt = Receipt {
			envelope: hash,
			output: output_hash(&output),
			fingerprint: fingerprint::root(&fingerprints),
			prompt_tokens,
			completion_tokens: output.len() as u32,
			finish: FinishReason::Stop,
			fee: PRICE.fee(prompt_tokens, output.len() as u32).unwrap(),
		};
		let receipt = SignedReceipt { receipt, signature: [0; 64] };
		StoredEvidence { envelope, receipt, body: BODY.into(), output, fingerprints }
	}

	/// Keeps what it says it answered as the settlement of [`SETTLED`]; returns the root.
	pub async fn settle(&self, answers: Vec<StoredEvidence>) -> SumNode<Totals> {
		let leaves: Vec<_> =
			answers.iter().map(|answer| (answer.receipt.receipt.envelope, answer.receipt.receipt.leaf())).collect();
		let nodes: Vec<_> = leaves.iter().map(|(_, leaf)| *leaf).collect();
		let put = self.store.write(Durability::Now, move |tx| {
			for answer in &answers {
				evidence::put(tx, &answer.receipt.receipt.envelope, answer)?;
			}
			evidence::put_tree(tx, SETTLED, &StoredTree { epoch: 5, leaves })
		});
		put.await.unwrap();
		merkle_sum::root(&nodes).unwrap()
	}

	/// A sample of it.
	pub fn sample(&self, index: u16, root: SumNode<Totals>, pick: Pick) -> SampleView {
		let url = self.url.clone().into_bytes();
		SampleView { index, host: self.account, url, window: SETTLED, root, model: 3, pick, done: false }
	}
}

/// The seed of [`case`].
pub const SEED: Hash = [8; 32];

/// A case about the other host's settlement.
pub fn case(shower: &Shower, root: SumNode<Totals>, arbiters: Vec<AccountId>, audit: Vec<Pick>) -> SamplingCaseView {
	let audit = audit.into_iter().map(|pick| AuditView { checker: [1; 32], window: SETTLED, root, pick });
	SamplingCaseView {
		id: 4,
		host: shower.account,
		url: shower.url.clone().into_bytes(),
		model: 3,
		profile: calibration(),
		opened: 120,
		deadline: 160,
		seed: Some(SEED),
		audit: audit.collect(),
		scope: vec![Scope { window: SETTLED, root, first: 0, work: root.sum.work }],
		arbiters: arbiters.into_iter().map(|arbiter| (arbiter, None)).collect(),
	}
}

/// Gives samples to the checker, which is [`host`].
pub fn give(chain: &FakeChain, samples: Vec<SampleView>) {
	let list = SamplesView { window: DRAWN, deadline: (DRAWN + 2) * 10 - 1, samples };
	chain.with(|state| state.samples = vec![(host(), list)]);
}

/// Signs what its gateway asked, after a test changed it, and says so in the receipt.
pub fn resign(answer: &mut StoredEvidence) {
	answer.envelope = Gateway::new("", CHANNEL).sign(answer.envelope.envelope.clone());
	answer.receipt.receipt.envelope = answer.envelope.envelope.hash(&GENESIS);
}
