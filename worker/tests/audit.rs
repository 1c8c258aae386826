//! Sampled validation from the workers' side: who gets evidence, and what audits find.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{
	evidence,
	keys::{self, Keypair},
	worker_api::ErrorCode,
};
use gonka_engine::{
	CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, GenerateRequest, Health, ModelInfo, TokenEvent,
};
use gonka_primitives::{
	AccountId,
	audit::{AuditQuery, Breach, Counts, Finding, MAX_FINDINGS, Outcome, Pick},
	fingerprint,
	market::{FinishReason, output_hash},
	views::{AuditView, HostView},
};
use gonka_worker::store::evidence::StoredEvidence;
use std::{
	ops::Range,
	sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, mpsc::Receiver, oneshot};

/// A change that a dishonest host makes to a stored completion.
type Change = Box<dyn Fn(&mut StoredEvidence)>;

/// The finding about 21 right tokens.
fn clean() -> Finding {
	let all = [21, 0, 0, 0, 0, 0, 0, 0];
	Finding::Checked(Counts::new(all, all))
}

async fn setup() -> (tempfile::TempDir, Arc<FakeChain>, AuditedHost) {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let audited = AuditedHost::start(&chain, directory.path()).await;
	(directory, chain, audited)
}

#[tokio::test]
async fn honest_completions_are_clean_and_each_breach_is_named() {
	let (directory, chain, audited) = setup().await;
	let changed = |sequence: u64, change: &dyn Fn(&mut StoredEvidence)| {
		let mut stored = audited.completion(sequence);
		change(&mut stored);
		stored
	};
	let broken = Finding::Broken;
	let wrong = |token: usize| {
		move |stored: &mut StoredEvidence| {
			let word = &mut stored.output[token];
			*word = 256 + (*word - 255) % 16;
			stored.receipt.receipt.output = output_hash(&stored.output);
		}
	};
	let bent = Finding::Checked(Counts::new([20, 0, 0, 1, 0, 0, 0, 0], [21, 0, 0, 0, 0, 0, 0, 0]));
	let forged = Finding::Checked(Counts::new([21, 0, 0, 0, 0, 0, 0, 0], [20, 0, 0, 0, 0, 0, 0, 1]));
	let cases: Vec<(Change, Finding)> = vec![
		(Box::new(|_| ()), clean()),
		(Box::new(|a| a.body.push(b' ')), broken(Breach::Envelope)),
		(Box::new(|a| a.envelope.signature[5] ^= 1), broken(Breach::Envelope)),
		(
			Box::new(|a| {
				a.envelope.envelope.model = 4;
				resign(a);
			}),
			broken(Breach::Model),
		),
		(Box::new(|a| a.output[3] += 1), broken(Breach::Output)),
		(
			Box::new(|a| {
				a.receipt.receipt.prompt_tokens += 1;
				a.receipt.receipt.fee += PRICE.input;
			}),
			broken(Breach::Counts),
		),
		(Box::new(|a| a.receipt.receipt.fee += 1), broken(Breach::Counts)),
		(Box::new(|a| a.fingerprints[0][0] ^= 1), broken(Breach::Fingerprint)),
		(Box::new(|a| a.fingerprints.truncate(20)), broken(Breach::Fingerprint)),
		(Box::new(|a| a.receipt.receipt.finish = FinishReason::Length), broken(Breach::Finish)),
		// A gateway may cancel anywhere.
		(Box::new(|a| a.receipt.receipt.finish = FinishReason::Cancelled), clean()),
		(Box::new(wrong(4)), bent),
		(
			Box::new(|a| {
				a.fingerprints[20] = a.fingerprints[20].map(|byte| byte.wrapping_add(64));
				a.receipt.receipt.fingerprint = fingerprint::root(&a.fingerprints);
			}),
			forged,
		),
	];
	let completions: Vec<_> = (1..).zip(&cases).map(|(sequence, (change, _))| changed(sequence, change)).collect();
	let mut root = audited.settle(completions).await;
	let mut audits: Vec<_> = (0..cases.len() as u16).map(|k| audited.audit(k, root, Pick::Receipt(k.into()))).collect();
	let mut expected: Vec<Finding> = cases.iter().map(|(_, finding)| *finding).collect();
	// A pick by work: the first receipt has 37 units. And a receipt that is not under the root.
	audits.push(audited.audit(audits.len() as u16, root, Pick::Work(36)));
	expected.push(clean());
	root.hash[0] ^= 1;
	audits.push(audited.audit(audits.len() as u16, root, Pick::Receipt(0)));
	expected.push(broken(Breach::Proof));
	assign(&chain, audits);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	assert_eq!(findings(&chain, expected.len()).await, expected);
	assert!(chain.with(|state| state.reports.iter().all(|(report, _)| report.findings.len() <= MAX_FINDINGS as usize)));
	rig.stop().await;
}

/// The model has a context of 500 tokens, the checker one of 400, and the prompt has 16.
#[tokio::test]
async fn a_completion_beyond_the_models_context_breaks_the_rules_whatever_the_checkers_is() {
	let (directory, chain, audited) = setup().await;
	let invented = |sequence: u64, tokens: u32| {
		let mut stored = audited.completion_of_up_to(sequence, u32::MAX);
		stored.output = vec![256; tokens as usize];
		stored.fingerprints = vec![Default::default(); tokens as usize];
		let receipt = &mut stored.receipt.receipt;
		receipt.output = output_hash(&stored.output);
		receipt.fingerprint = fingerprint::root(&stored.fingerprints);
		receipt.completion_tokens = tokens;
		receipt.fee = PRICE.fee(receipt.prompt_tokens, tokens).unwrap();
		receipt.finish = FinishReason::Cancelled;
		stored
	};
	let mut endless = audited.completion_of_up_to(4, u32::MAX);
	endless.receipt.receipt.finish = FinishReason::Length;
	let completions =
		vec![invented(1, 485), invented(2, 484), audited.completion_of_up_to(3, u32::MAX), endless, invented(5, 384)];
	let root = audited.settle(completions).await;
	assign(&chain, (0..5).map(|k| audited.audit(k, root, Pick::Receipt(k.into()))).collect());
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	let found = findings(&chain, 5).await;
	let [beyond, long, right] = [Finding::Broken(Breach::Envelope), Finding::Inconclusive, clean()];
	assert_eq!(found[..4], [beyond, long, right, Finding::Broken(Breach::Finish)]);
	assert!(matches!(found[4], Finding::Checked(counts) if calibration().ratio(&counts) > 0), "{:?}", found[4]);
	rig.stop().await;
}

#[tokio::test]
async fn evidence_that_is_not_shown_is_unavailable_only_when_the_time_is_up() {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle(vec![audited.completion(1)]).await;
	let elsewhere = AuditView { window: SETTLED - 1, ..audited.audit(1, root, Pick::Receipt(0)) };
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(0)), elsewhere]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	for block in 121..135 {
		rig.block(block).await;
	}
	rig.block(135).await;
	assert_eq!(findings(&chain, 2).await, [clean(), Finding::Unavailable]);
	assert!(chain.with(|state| state.reports.iter().all(|(_, block)| *block == 135)), "nothing is reported before");
	rig.stop().await;
}

#[tokio::test]
async fn an_audit_that_this_worker_cannot_do_is_inconclusive() {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle(vec![audited.completion(1)]).await;
	let foreign = AuditView { model: 4, ..audited.audit(0, root, Pick::Receipt(0)) };
	assign(&chain, vec![foreign]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	assert_eq!(findings(&chain, 1).await, [Finding::Inconclusive]);
	chain.with(|state| {
		state.reports.clear();
		state.calibration.as_mut().unwrap().min_worker_version = u32::MAX;
	});
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(0))]);
	rig.block(132).await;
	assert_eq!(findings(&chain, 1).await, [Finding::Inconclusive]);
	rig.stop().await;
}

/// The mock engine with a method that fails, and one with another result.
struct FailingEngine {
	inner: Arc<dyn Engine>,
	check: Result<CheckResult, EngineError>,
}

impl Engine for FailingEngine {
	fn info(&self) -> ModelInfo {
		self.inner.info()
	}

	fn generate(&self, request: GenerateRequest) -> Result<Receiver<TokenEvent>, EngineError> {
		self.inner.generate(request)
	}

	fn check(&self, _: CheckRequest) -> Result<CheckReceiver, EngineError> {
		let (sender, receiver) = oneshot::channel();
		sender.send(Ok(self.check.clone()?)).expect("the receiver is here");
		Ok(receiver)
	}

	fn health(&self) -> Health {
		self.inner.health()
	}
}

/// Returns the finding of a checker whose engine has this result, about an honest completion. It is reported at `block`, and
/// not in the `earlier` ones.
async fn found_by(check: Result<CheckResult, EngineError>, earlier: Range<u32>, block: u32) -> Finding {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle(vec![audited.completion(1)]).await;
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(0))]);
	let engine = Arc::new(FailingEngine { inner: Options::default().engine, check });
	let rig = Rig::start(&chain, directory.path(), Options { engine, ..Options::default() }).await;
	for block in earlier {
		rig.block(block).await;
	}
	rig.block(block).await;
	let finding = findings(&chain, 1).await.remove(0);
	assert_eq!(chain.with(|state| state.reports[0].1), block, "it is not given up before");
	rig.stop().await;
	finding
}

#[tokio::test]
async fn an_audit_that_the_engine_does_not_support_is_inconclusive() {
	let unsupported = Err(EngineError::Unsupported("no log probabilities".into()));
	assert_eq!(found_by(unsupported, 121..121, 130).await, Finding::Inconclusive);
}

#[tokio::test]
async fn a_completion_of_a_malformed_grammar_or_with_a_forbidden_token_breaks_the_rules() {
	let malformed = Err(EngineError::InvalidRequest("the grammar cannot be used".into()));
	assert_eq!(found_by(malformed, 121..121, 130).await, Finding::Broken(Breach::Envelope));
	let forbidden = CheckResult { tokens: Vec::new(), ends_rightly: true, is_permitted: false };
	assert_eq!(found_by(Ok(forbidden), 121..121, 130).await, Finding::Broken(Breach::Output));
}

#[tokio::test]
async fn an_audit_whose_engine_fails_is_tried_until_the_time_is_up_and_is_inconclusive() {
	let gone = Err(EngineError::Compute("the server is gone".into()));
	assert_eq!(found_by(gone, 121..135, 135).await, Finding::Inconclusive);
}

#[tokio::test]
async fn a_restart_continues_with_the_stored_findings() {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle(vec![audited.completion(1)]).await;
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(0))]);
	chain.with(|state| state.reject = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	eventually(async || {
		chain.announce_again();
		chain.with(|state| state.rejected > 0)
	})
	.await;
	rig.stop().await;
	// Meanwhile the host goes.
	drop(audited);
	chain.with(|state| (state.reject, state.others) = (false, Vec::new()));
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(132).await;
	assert_eq!(findings(&chain, 1).await, [clean()]);
	rig.stop().await;
}

/// Queries the other host. Returns the code of a rejection.
async fn query_evidence(audited: &AuditedHost, worker: &str, query: AuditQuery) -> Result<(), ErrorCode> {
	let (query, _) = evidence::query(query, &key(worker), &GENESIS);
	let gateway = Gateway::new(&audited.url, 0);
	gateway.post_raw("/v1/evidence", &query).await.map(|_| ()).map_err(|(_, code, _)| code)
}

#[tokio::test]
async fn evidence_is_served_to_the_checkers_and_arbiters_that_the_chain_names() {
	let (_directory, chain, audited) = setup().await;
	let root = audited.settle((1..4).map(|sequence| audited.completion(sequence)).collect()).await;
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(1))]);
	let query = |checker, pick| AuditQuery { checker, host: audited.account, window: SETTLED, pick };
	let mine = query(host(), Pick::Receipt(1));
	assert_eq!(query_evidence(&audited, "//Worker", mine).await, Ok(()));
	assert_eq!(
		query_evidence(&audited, "//Worker", query(host(), Pick::Receipt(0))).await,
		Err(ErrorCode::NotAssigned)
	);
	assert_eq!(
		query_evidence(&audited, "//Worker", AuditQuery { window: 7, ..mine }).await,
		Err(ErrorCode::NotAssigned)
	);
	assert_eq!(
		query_evidence(&audited, "//Worker", AuditQuery { host: [1; 32], ..mine }).await,
		Err(ErrorCode::NotAssigned)
	);
	assert_eq!(query_evidence(&audited, "//Other", mine).await, Err(ErrorCode::BadSignature));
	assert_eq!(query_evidence(&audited, "//Other", query([3; 32], Pick::Receipt(1))).await, Err(ErrorCode::NotAHost));
	// A host that has no audit there.
	assert_eq!(
		query_evidence(&audited, "//Peer", query(audited.account, Pick::Receipt(1))).await,
		Err(ErrorCode::NotAssigned)
	);
	// The finding is reported; but now there is a case.
	chain.with(|state| {
		state.audits[0].1.audits[0].done = true;
		state.cases = vec![case(&audited, root, vec![host()], vec![Pick::Receipt(2)])];
	});
	chain.block(121);
	eventually(async || query_evidence(&audited, "//Worker", mine).await == Err(ErrorCode::NotAssigned)).await;
	assert_eq!(query_evidence(&audited, "//Worker", query(host(), Pick::Receipt(2))).await, Ok(()), "the review list");
	let drawn = gonka_primitives::audit::fresh_draw(&SEED, 0, 5, &case(&audited, root, Vec::new(), Vec::new()).scope)
		.unwrap()
		.1;
	assert_eq!(query_evidence(&audited, "//Worker", query(host(), drawn)).await, Ok(()), "an arbiter's own draw");
	chain.with(|state| state.cases[0].arbiters[0].ruled = Some(Outcome::Innocent));
	chain.block(122);
	eventually(async || {
		query_evidence(&audited, "//Worker", query(host(), drawn)).await == Err(ErrorCode::NotAssigned)
	})
	.await;
}

/// Checkers query as soon as their audits are drawn, all of them in the same block.
#[tokio::test]
async fn a_burst_of_queries_waits_its_turn() {
	let (_directory, chain, audited) = setup().await;
	let root = audited.settle((1..4).map(|sequence| audited.completion(sequence)).collect()).await;
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(1))]);
	let mine = AuditQuery { checker: host(), host: audited.account, window: SETTLED, pick: Pick::Receipt(1) };
	let burst = (0..20).map(|_| query_evidence(&audited, "//Worker", mine));
	assert_eq!(futures::future::join_all(burst).await, [Ok(()); 20]);
}

#[tokio::test]
async fn hosts_without_weight_do_not_keep_a_checker_out() {
	let (_directory, chain, audited) = setup().await;
	let root = audited.settle(vec![audited.completion(1)]).await;
	assign(&chain, vec![audited.audit(0, root, Pick::Receipt(0))]);
	let idle = (0..257).map(|number| key(&format!("//Idle//{number}"))).collect::<Vec<_>>();
	chain.with(|state| {
		let registered = idle.iter().map(keys::public).map(|key| registered(key, key, ""));
		state.others.extend(registered.map(|host| HostView { effective_weight: 0, ..host }));
	});
	let gateway = Gateway::over(&audited.url, 0, true);
	let send = async |key: &Keypair, checker: AccountId| {
		let query = AuditQuery { checker, host: audited.account, window: SETTLED, pick: Pick::Receipt(0) };
		let query = evidence::query(query, key, &GENESIS).0;
		gateway.post_raw("/v1/evidence", &query).await.map(|_| ()).map_err(|(_, code, _)| code)
	};
	for key in &idle[..256] {
		assert_eq!(send(key, keys::public(key)).await, Err(ErrorCode::NotAssigned));
	}
	assert_eq!(send(&idle[256], keys::public(&idle[256])).await, Err(ErrorCode::Busy));
	assert_eq!(send(&key("//Worker"), host()).await, Ok(()));
}

/// Waits until a ruling is on chain.
async fn ruling(chain: &FakeChain) {
	eventually(async || {
		chain.announce_again();
		chain.with(|state| !state.rulings.is_empty())
	})
	.await;
}

/// Returns the ruling of an arbiter about the host's completions, and its outcome.
async fn ruled(
	completions: impl Fn(&AuditedHost) -> Vec<StoredEvidence>,
) -> (Outcome, gonka_primitives::audit::Ruling) {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle(completions(&audited)).await;
	chain.with(|state| state.cases = vec![case(&audited, root, vec![[1; 32], host()], vec![Pick::Receipt(2)])]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(121).await;
	ruling(&chain).await;
	rig.stop().await;
	chain.with(|state| (state.cases[0].arbiters[1].ruled.unwrap(), state.rulings[0].clone()))
}

#[tokio::test]
async fn an_arbiter_acquits_an_honest_host_and_counts_no_receipt_twice() {
	let (outcome, ruling) = ruled(|audited| (1..4).map(|sequence| audited.completion(sequence)).collect()).await;
	assert_eq!((outcome, &ruling.reviewed), (Outcome::Innocent, &vec![clean()]));
	// One of the three receipts is reviewed, so the fresh draws find two.
	assert_eq!(ruling.fresh.iter().filter(|finding| **finding == clean()).count(), 2);
	assert!(ruling.fresh.iter().all(|finding| [clean(), Finding::Inconclusive].contains(finding)));
}

/// An engine that never finishes its first two checks.
struct StuckEngine {
	inner: Arc<dyn Engine>,
	begun: Mutex<Vec<oneshot::Sender<Result<CheckResult, EngineError>>>>,
}

impl Engine for StuckEngine {
	fn info(&self) -> ModelInfo {
		self.inner.info()
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		self.inner.generate(request)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		let mut begun = self.begun.lock().unwrap();
		if begun.len() == 2 {
			return self.inner.check(request);
		}
		let (result, receiver) = oneshot::channel();
		begun.push(result);
		Ok(receiver)
	}

	fn health(&self) -> Health {
		self.inner.health()
	}
}

#[tokio::test]
async fn a_case_does_not_wait_behind_a_list_of_audits() {
	let (directory, chain, audited) = setup().await;
	let root = audited.settle((1..21).map(|sequence| audited.completion(sequence)).collect()).await;
	assign(&chain, (0..20).map(|k| audited.audit(k, root, Pick::Receipt(k.into()))).collect());
	let stuck = Arc::new(StuckEngine { inner: engine(), begun: Mutex::default() });
	let options = Options { engine: stuck.clone(), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	eventually(async || stuck.begun.lock().unwrap().len() == 2).await;
	chain.with(|state| state.cases = vec![case(&audited, root, vec![host()], vec![Pick::Receipt(2)])]);
	rig.block(121).await;
	ruling(&chain).await;
	assert_eq!(chain.with(|state| state.cases[0].arbiters[0].ruled), Some(Outcome::Innocent));
	rig.stop().await;
}

#[tokio::test]
async fn an_arbiter_convicts_a_host_whose_completions_are_not_the_models() {
	let (outcome, ruling) = ruled(|audited| {
		let bend = |sequence| {
			let mut stored = audited.completion(sequence);
			stored.output[..20].iter_mut().for_each(|word| *word = 256 + (*word - 255) % 16);
			stored.receipt.receipt.output = output_hash(&stored.output);
			stored
		};
		(1..40).map(bend).collect()
	})
	.await;
	assert_eq!(outcome, Outcome::Guilty);
	let bad = Finding::Checked(Counts::new([1, 0, 0, 20, 0, 0, 0, 0], [21, 0, 0, 0, 0, 0, 0, 0]));
	let conclusive: Vec<_> = ruling.fresh.iter().filter(|finding| **finding != Finding::Inconclusive).collect();
	assert_eq!(conclusive, [&bad; 5], "five times the clamp is beyond the bound");
}
