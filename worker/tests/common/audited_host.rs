//! Another host: it settled completions, right ones and wrong ones, and serves their evidence.

use super::*;
use gonka_engine::{FinishReason as EngineFinish, GenerateRequest, TokenEvent};
use gonka_primitives::{
	audit::{CalibrationProfile, Finding, Pick, Scope},
	fingerprint,
	market::{Envelope, FinishReason, Receipt, SignedReceipt, Totals, output_hash},
	merkle_sum::{self, SumNode},
	tape::tape_key,
	views::{ArbiterView, AssignedAuditsView, AuditView, CaseView, ChannelView, ReviewedView},
};
use gonka_worker::store::{
	Durability,
	evidence::{self, StoredEvidence, StoredTree},
};

/// The channel to the other host.
pub const CHANNEL: u64 = 9;
/// The window that it settled, and the one in which its audits are drawn.
pub const SETTLED: u32 = 11;
pub const DRAWN: u32 = 12;

/// A profile in which the mock engine's margin at a wrong token, one nat, is in bin 3, and any distance is in bin 7.
pub fn calibration() -> CalibrationProfile {
	CalibrationProfile {
		margins: [1 << 14, 1 << 15, 1 << 17, 1 << 18, 1 << 19, 1 << 20],
		tape: [-(1 << 12), 0, 0, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20],
		distances: [1, 2, 3, 4, 5, 6, 7],
		fingerprint: [-(1 << 12), 0, 0, 0, 0, 0, 0, 1 << 16],
		alarm: 10 << 16,
		clamp: 5 << 16,
		min_worker_version: 0,
	}
}

/// The other host.
pub struct AuditedHost {
	pub account: AccountId,
	pub url: String,
	pub store: Store,
	_stop: oneshot::Sender<()>,
}

impl AuditedHost {
	pub async fn start(chain: &Arc<FakeChain>, path: &Path) -> Self {
		Self::start_with(chain, path, engine()).await
	}

	pub async fn start_with(chain: &Arc<FakeChain>, path: &Path, engine: Arc<dyn Engine>) -> Self {
		let key = key("//Peer");
		let account = keys::public(&key);
		let store = Store::open(&path.join("audited.redb"), &GENESIS, &account).unwrap();
		// The channel must be in the first snapshot.
		chain.with(|state| {
			state.channels.push(ChannelView { id: CHANNEL, host: account, ..channel(CHANNEL) });
			state.calibration = Some(calibration());
		});
		let (url, _stop) = serve_other_host(chain, key, store.clone(), engine).await;
		chain.with(|state| {
			state.others.push(registered(account, account, &url));
			state.host = Some(registered(host(), keys::public(&super::key("//Worker")), &url));
		});
		Self { account, url, store, _stop }
	}

	/// Returns what an honest host stores of a request.
	pub fn completion(&self, sequence: u64) -> StoredEvidence {
		self.completion_of_up_to(sequence, 100)
	}

	/// Returns what it stores of a request for up to `max_tokens` tokens, which may be more than an honest host takes.
	pub fn completion_of_up_to(&self, sequence: u64, max_tokens: u32) -> StoredEvidence {
		let gateway = Gateway::new(&self.url, CHANNEL);
		let envelope = gateway.sign(Envelope { max_tokens, ..gateway.envelope(sequence, BODY) });
		let hash = envelope.envelope.hash(&GENESIS);
		let engine = engine();
		let request = GenerateRequest {
			prompt: "Once upon a time".bytes().map(u32::from).collect(),
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
					assert_eq!(finish_reason, EngineFinish::Stop);
					break;
				},
				other => panic!("{other:?}"),
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

	/// Stores completions as the settlement of [`SETTLED`]. Returns the root.
	pub async fn settle(&self, completions: Vec<StoredEvidence>) -> SumNode<Totals> {
		let leaves: Vec<_> =
			completions.iter().map(|stored| (stored.receipt.receipt.envelope, stored.receipt.receipt.leaf())).collect();
		let nodes: Vec<_> = leaves.iter().map(|(_, leaf)| *leaf).collect();
		let put = self.store.write(Durability::Now, move |tx| {
			for stored in &completions {
				evidence::put(tx, &stored.receipt.receipt.envelope, &channel(CHANNEL).developer, stored)?;
			}
			evidence::put_tree(tx, SETTLED, &StoredTree { epoch: 5, leaves })
		});
		put.await.unwrap();
		merkle_sum::root(&nodes).unwrap()
	}

	/// Returns an audit of it.
	pub fn audit(&self, index: u16, root: SumNode<Totals>, pick: Pick) -> AuditView {
		let url = self.url.clone().into_bytes();
		AuditView { index, host: self.account, url, window: SETTLED, root, model: 3, pick, done: false }
	}
}

/// The seed of [`case`].
pub const SEED: Hash = [8; 32];

/// A case about the other host's settlement.
pub fn case(audited: &AuditedHost, root: SumNode<Totals>, arbiters: Vec<AccountId>, reviewed: Vec<Pick>) -> CaseView {
	let reviewed = reviewed.into_iter().map(|pick| ReviewedView { checker: [1; 32], window: SETTLED, root, pick });
	CaseView {
		id: 4,
		appeal: false,
		host: audited.account,
		url: audited.url.clone().into_bytes(),
		model: 3,
		profile: calibration(),
		opened: 120,
		deadline: 160,
		seed: Some(SEED),
		reviewed: reviewed.collect(),
		scope: vec![Scope { window: SETTLED, root, first: 0, work: root.sum.work }],
		arbiters: arbiters.into_iter().map(|who| ArbiterView { who, seats: 1, ruled: None }).collect(),
	}
}

/// Assigns audits to [`host`].
pub fn assign(chain: &FakeChain, audits: Vec<AuditView>) {
	let list = AssignedAuditsView { window: DRAWN, deadline: (DRAWN + 2) * 10 - 1, audits };
	chain.with(|state| state.audits = vec![(host(), list)]);
}

/// Signs an envelope that a test changed, and puts its hash into the receipt.
pub fn resign(stored: &mut StoredEvidence) {
	stored.envelope = Gateway::new("", CHANNEL).sign(stored.envelope.envelope.clone());
	stored.receipt.receipt.envelope = stored.envelope.envelope.hash(&GENESIS);
}

/// Waits until so many findings are reported, and returns them in the order of their audits.
pub async fn findings(chain: &FakeChain, count: usize) -> Vec<Finding> {
	let all = || chain.with(|state| state.reports.iter().flat_map(|(report, _)| report.findings.clone()).collect());
	eventually(async || {
		chain.announce_again();
		let all: Vec<(u16, Finding)> = all();
		all.len() == count
	})
	.await;
	let mut all: Vec<(u16, Finding)> = all();
	all.sort_by_key(|(index, _)| *index);
	all.into_iter().map(|(_, finding)| finding).collect()
}
