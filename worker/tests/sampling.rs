//! Sampled validation from the workers' side: what is shown to whom, and what is found of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::*;
use gonka_client::{evidence, wire::ErrorCode};
use gonka_engine::{
	ChatMessage, ChatOptions, CheckReceiver, CheckRequest, CheckResult, Engine, EngineError, GenerateRequest, Health,
	ModelInfo, TokenEvent,
};
use gonka_primitives::{
	market::{FinishReason, output_hash},
	sampling::{Breach, Counts, Finding, MAX_FINDINGS, Outcome, Pick, SampleQuery},
	views::SampleView,
};
use gonka_worker::store::evidence::StoredEvidence;
use std::{
	ops::Range,
	sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, mpsc::Receiver, oneshot};

/// What a host makes of an answer.
type Spoil = Box<dyn Fn(&mut StoredEvidence)>;

/// 21 tokens, all as they should be.
fn clean() -> Finding {
	let all = [21, 0, 0, 0, 0, 0, 0, 0];
	Finding::Checked(Counts::new(all, all))
}

async fn rigs() -> (tempfile::TempDir, Arc<FakeChain>, Shower) {
	let (chain, directory) = (FakeChain::new(), tempfile::tempdir().unwrap());
	let shower = Shower::start(&chain, directory.path()).await;
	(directory, chain, shower)
}

/// What was found about all samples, once it is on chain.
async fn findings(chain: &FakeChain, count: usize) -> Vec<Finding> {
	let all = || chain.with(|state| state.verdicts.iter().flat_map(|verdicts| verdicts.findings.clone()).collect());
	eventually(async || {
		chain.again();
		let all: Vec<(u16, Finding)> = all();
		all.len() == count
	})
	.await;
	let mut all: Vec<(u16, Finding)> = all();
	all.sort_by_key(|(index, _)| *index);
	all.into_iter().map(|(_, finding)| finding).collect()
}

#[tokio::test]
async fn honest_answers_are_clean_and_each_lie_is_named() {
	let (directory, chain, shower) = rigs().await;
	let spoilt = |sequence: u64, spoil: &dyn Fn(&mut StoredEvidence)| {
		let mut answer = shower.answer(sequence);
		spoil(&mut answer);
		answer
	};
	let broken = Finding::Broken;
	let wrong = |token: usize| {
		move |answer: &mut StoredEvidence| {
			let word = &mut answer.output[token];
			*word = 256 + (*word - 255) % 16;
			answer.receipt.receipt.output = output_hash(&answer.output);
		}
	};
	let bent = Finding::Checked(Counts::new([20, 0, 0, 1, 0, 0, 0, 0], [21, 0, 0, 0, 0, 0, 0, 0]));
	let forged = Finding::Checked(Counts::new([21, 0, 0, 0, 0, 0, 0, 0], [20, 0, 0, 0, 0, 0, 0, 1]));
	let cases: Vec<(Spoil, Finding)> = vec![
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
		// Who cancelled may have done so anywhere.
		(Box::new(|a| a.receipt.receipt.finish = FinishReason::Cancelled), clean()),
		(Box::new(wrong(4)), bent),
		(
			Box::new(|a| {
				a.fingerprints[20] = a.fingerprints[20].map(|byte| byte.wrapping_add(64));
				a.receipt.receipt.fingerprint = gonka_primitives::fingerprint::root(&a.fingerprints);
			}),
			forged,
		),
	];
	let answers: Vec<_> = (1..).zip(&cases).map(|(sequence, (spoil, _))| spoilt(sequence, spoil)).collect();
	let mut root = shower.settle(answers).await;
	let mut samples: Vec<_> =
		(0..cases.len() as u16).map(|k| shower.sample(k, root, Pick::Receipt(k.into()))).collect();
	let mut expected: Vec<Finding> = cases.iter().map(|(_, finding)| *finding).collect();
	// By work: the first answer has 37 units. And a receipt that is not under the root.
	samples.push(shower.sample(samples.len() as u16, root, Pick::Work(36)));
	expected.push(clean());
	root.hash[0] ^= 1;
	samples.push(shower.sample(samples.len() as u16, root, Pick::Receipt(0)));
	expected.push(broken(Breach::Proof));
	give(&chain, samples);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	assert_eq!(findings(&chain, expected.len()).await, expected);
	assert!(chain.with(|state| state.verdicts.iter().all(|sent| sent.findings.len() <= MAX_FINDINGS as usize)));
	rig.stop().await;
}

#[tokio::test]
async fn what_is_not_shown_is_unavailable_only_when_time_is_up() {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle(vec![shower.answer(1)]).await;
	let elsewhere = SampleView { window: SETTLED - 1, ..shower.sample(1, root, Pick::Receipt(0)) };
	give(&chain, vec![shower.sample(0, root, Pick::Receipt(0)), elsewhere]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	for block in 121..135 {
		rig.block(block).await;
	}
	assert_eq!(chain.with(|state| state.verdicts.len()), 0);
	rig.block(135).await;
	assert_eq!(findings(&chain, 2).await, [clean(), Finding::Unavailable]);
	rig.stop().await;
}

#[tokio::test]
async fn a_checker_that_cannot_say_says_so() {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle(vec![shower.answer(1)]).await;
	let foreign = SampleView { model: 4, ..shower.sample(0, root, Pick::Receipt(0)) };
	give(&chain, vec![foreign]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	assert_eq!(findings(&chain, 1).await, [Finding::Inconclusive]);
	chain.with(|state| {
		state.verdicts.clear();
		state.calibration.as_mut().unwrap().min_worker_version = u32::MAX;
	});
	give(&chain, vec![shower.sample(0, root, Pick::Receipt(0))]);
	rig.block(132).await;
	assert_eq!(findings(&chain, 1).await, [Finding::Inconclusive]);
	rig.stop().await;
}

/// The mock, of which two methods fail.
struct Unable {
	inner: Arc<dyn Engine>,
	tokenize: Option<EngineError>,
	check: Option<EngineError>,
}

impl Engine for Unable {
	fn info(&self) -> ModelInfo {
		self.inner.info()
	}

	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		self.tokenize.clone().map_or_else(|| self.inner.tokenize(text), Err)
	}

	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		self.inner.tokenize_chat(messages, options)
	}

	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError> {
		self.inner.detokenize(ids)
	}

	fn generate(&self, request: GenerateRequest) -> Result<Receiver<TokenEvent>, EngineError> {
		self.inner.generate(request)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		self.check.clone().map_or_else(|| self.inner.check(request), Err)
	}

	fn health(&self) -> Health {
		self.inner.health()
	}
}

/// What a checker with this engine finds of an honest answer by `block`, and nothing in the `quiet` ones before.
async fn found_by(tokenize: Option<EngineError>, check: Option<EngineError>, quiet: Range<u32>, block: u32) -> Finding {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle(vec![shower.answer(1)]).await;
	give(&chain, vec![shower.sample(0, root, Pick::Receipt(0))]);
	let engine = Arc::new(Unable { inner: Options::default().engine, tokenize, check });
	let rig = Rig::start(&chain, directory.path(), Options { engine, ..Options::default() }).await;
	for earlier in quiet {
		rig.block(earlier).await;
		assert!(chain.with(|state| state.verdicts.is_empty()), "it is too early to give up");
	}
	rig.block(block).await;
	let finding = findings(&chain, 1).await.remove(0);
	rig.stop().await;
	finding
}

#[tokio::test]
async fn what_an_engine_does_not_support_says_nothing_of_a_host() {
	let unsupported = || Some(EngineError::Unsupported("no log probabilities".into()));
	assert_eq!(found_by(unsupported(), None, 121..121, 130).await, Finding::Inconclusive);
	assert_eq!(found_by(None, unsupported(), 121..121, 130).await, Finding::Inconclusive);
}

#[tokio::test]
async fn an_engine_that_fails_is_tried_until_time_is_up_and_says_nothing_of_a_host() {
	let gone = || Some(EngineError::Compute("the server is gone".into()));
	assert_eq!(found_by(gone(), None, 121..135, 135).await, Finding::Inconclusive);
	assert_eq!(found_by(None, gone(), 121..135, 135).await, Finding::Inconclusive);
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_found() {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle(vec![shower.answer(1)]).await;
	give(&chain, vec![shower.sample(0, root, Pick::Receipt(0))]);
	chain.with(|state| state.refuse = true);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(130).await;
	eventually(async || {
		chain.again();
		chain.with(|state| state.refused > 0)
	})
	.await;
	rig.stop().await;
	// The host is gone meanwhile.
	drop(shower);
	chain.with(|state| (state.refuse, state.others) = (false, Vec::new()));
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	rig.block(132).await;
	assert_eq!(findings(&chain, 1).await, [clean()]);
	rig.stop().await;
}

/// Asks the other host; the code of a refusal.
async fn ask(shower: &Shower, worker: &str, query: SampleQuery) -> Result<(), ErrorCode> {
	let (question, _) = evidence::ask(query, &key(worker), &GENESIS);
	let gateway = Gateway::new(&shower.url, 0);
	gateway.post_raw("/v1/evidence", &question).await.map(|_| ()).map_err(|(_, code, _)| code)
}

#[tokio::test]
async fn evidence_is_shown_to_whom_the_chain_names() {
	let (_directory, chain, shower) = rigs().await;
	let root = shower.settle((1..4).map(|sequence| shower.answer(sequence)).collect()).await;
	give(&chain, vec![shower.sample(0, root, Pick::Receipt(1))]);
	let query = |checker, pick| SampleQuery { checker, host: shower.account, window: SETTLED, pick };
	let mine = query(host(), Pick::Receipt(1));
	assert_eq!(ask(&shower, "//Worker", mine).await, Ok(()));
	assert_eq!(ask(&shower, "//Worker", query(host(), Pick::Receipt(0))).await, Err(ErrorCode::NotAssigned));
	assert_eq!(ask(&shower, "//Worker", SampleQuery { window: 7, ..mine }).await, Err(ErrorCode::NotAssigned));
	assert_eq!(ask(&shower, "//Worker", SampleQuery { host: [1; 32], ..mine }).await, Err(ErrorCode::NotAssigned));
	assert_eq!(ask(&shower, "//Other", mine).await, Err(ErrorCode::BadSignature));
	assert_eq!(ask(&shower, "//Other", query([3; 32], Pick::Receipt(1))).await, Err(ErrorCode::NotAHost));
	// A host that has no sample there.
	assert_eq!(ask(&shower, "//Peer", query(shower.account, Pick::Receipt(1))).await, Err(ErrorCode::NotAssigned));
	// An answer was given; but there is a case now.
	chain.with(|state| {
		state.samples[0].1.samples[0].done = true;
		state.cases = vec![case(&shower, root, vec![host()], vec![Pick::Receipt(2)])];
	});
	chain.block(121);
	eventually(async || ask(&shower, "//Worker", mine).await == Err(ErrorCode::NotAssigned)).await;
	assert_eq!(ask(&shower, "//Worker", query(host(), Pick::Receipt(2))).await, Ok(()), "the audit list");
	let drawn = gonka_primitives::sampling::fresh_draw(&SEED, 0, 5, &case(&shower, root, Vec::new(), Vec::new()).scope)
		.unwrap()
		.1;
	assert_eq!(ask(&shower, "//Worker", query(host(), drawn)).await, Ok(()), "an arbiter's own draw");
	chain.with(|state| state.cases[0].arbiters[0].1 = Some(Outcome::Innocent));
	chain.block(122);
	eventually(async || ask(&shower, "//Worker", query(host(), drawn)).await == Err(ErrorCode::NotAssigned)).await;
}

/// What an arbiter makes of the host's answers.
async fn ruled(answers: impl Fn(&Shower) -> Vec<StoredEvidence>) -> (Outcome, gonka_primitives::sampling::Ruling) {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle(answers(&shower)).await;
	chain.with(|state| state.cases = vec![case(&shower, root, vec![[1; 32], host()], vec![Pick::Receipt(2)])]);
	let rig = Rig::start(&chain, directory.path(), Options::default()).await;
	let mut block = 121;
	while chain.with(|state| state.rulings.is_empty()) {
		assert!(block < 160, "before the deadline");
		rig.block(block).await;
		block += 1;
		tokio::task::yield_now().await;
	}
	rig.stop().await;
	chain.with(|state| (state.cases[0].arbiters[1].1.unwrap(), state.rulings[0].clone()))
}

#[tokio::test]
async fn an_arbiter_frees_the_innocent_and_counts_no_receipt_twice() {
	let (outcome, ruling) = ruled(|shower| (1..4).map(|sequence| shower.answer(sequence)).collect()).await;
	assert_eq!((outcome, &ruling.audit), (Outcome::Innocent, &vec![clean()]));
	// Three receipts, one of which is on the audit list: two say something.
	assert_eq!(ruling.fresh.iter().filter(|finding| **finding == clean()).count(), 2);
	assert!(ruling.fresh.iter().all(|finding| [clean(), Finding::Inconclusive].contains(finding)));
}

/// An engine that never comes to the end of its first checks.
struct Stuck {
	inner: Arc<dyn Engine>,
	begun: Mutex<Vec<oneshot::Sender<Result<CheckResult, EngineError>>>>,
}

impl Engine for Stuck {
	fn info(&self) -> ModelInfo {
		self.inner.info()
	}

	fn tokenize(&self, text: &str) -> Result<Vec<u32>, EngineError> {
		self.inner.tokenize(text)
	}

	fn tokenize_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		self.inner.tokenize_chat(messages, options)
	}

	fn detokenize(&self, ids: &[u32]) -> Result<String, EngineError> {
		self.inner.detokenize(ids)
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
async fn a_case_does_not_wait_behind_a_list_of_samples() {
	let (directory, chain, shower) = rigs().await;
	let root = shower.settle((1..21).map(|sequence| shower.answer(sequence)).collect()).await;
	give(&chain, (0..20).map(|k| shower.sample(k, root, Pick::Receipt(k.into()))).collect());
	let stuck = Arc::new(Stuck { inner: engine(), begun: Mutex::default() });
	let options = Options { engine: stuck.clone(), ..Default::default() };
	let rig = Rig::start(&chain, directory.path(), options).await;
	eventually(async || stuck.begun.lock().unwrap().len() == 2).await;
	chain.with(|state| state.cases = vec![case(&shower, root, vec![host()], vec![Pick::Receipt(2)])]);
	let mut block = 121;
	while chain.with(|state| state.rulings.is_empty()) {
		assert!(block < 160, "before the deadline");
		rig.block(block).await;
		block += 1;
	}
	assert_eq!(chain.with(|state| state.cases[0].arbiters[0].1), Some(Outcome::Innocent));
	rig.stop().await;
}

#[tokio::test]
async fn an_arbiter_convicts_who_answers_otherwise() {
	let (outcome, ruling) = ruled(|shower| {
		let bend = |sequence| {
			let mut answer = shower.answer(sequence);
			answer.output[..20].iter_mut().for_each(|word| *word = 256 + (*word - 255) % 16);
			answer.receipt.receipt.output = output_hash(&answer.output);
			answer
		};
		(1..40).map(bend).collect()
	})
	.await;
	assert_eq!(outcome, Outcome::Guilty);
	let bad = Finding::Checked(Counts::new([1, 0, 0, 20, 0, 0, 0, 0], [21, 0, 0, 0, 0, 0, 0, 0]));
	let said: Vec<_> = ruling.fresh.iter().filter(|finding| **finding != Finding::Inconclusive).collect();
	assert_eq!(said, [&bad; 5], "five times the clamp is beyond the bound");
}
