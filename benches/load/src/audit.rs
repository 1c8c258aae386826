//! Audits of the traffic. Tables, draws and lists come from the chain's own hooks; this module plays the checkers,
//! which report on every audit with signed messages as their workers would send them.

use crate::{
	chain::{Chain, Gonka, general},
	network::{self, Host, MODELS, sign},
	throughput::Cost,
};
use codec::Encode;
use gonka_primitives::{
	Hash,
	audit::{AuditReport, CalibrationProfile, Finding, MILLION},
	hashing::domain,
	market::Totals,
	merkle_sum::SumNode,
	views::AuditView,
};
use gonka_runtime::{Poc, Runtime, RuntimeOrigin, SamplingValidation, System};
use gonka_runtime_common::Time;
use gonka_sim::{
	audit::{HONEST, published, report::ALARM},
	population::rng,
};
use pallet_sampling_validation::{Assigned, Batches, Cases, Drawing, Record, Records, TableEpoch};
use polkadot_sdk::frame_support::traits::Get;
use std::{collections::BTreeMap, time::Duration};

/// Seed of the honest findings.
const SEED: u64 = 1;

/// Profile of the models, and size of the messages about audits.
#[derive(Clone, Copy, Debug)]
pub struct AuditPlan {
	/// Calibration profile of all models.
	pub profile: CalibrationProfile,
	/// Number of findings with which a checker sends a message before the window is over: 1 to `MAX_FINDINGS`. Workers
	/// use 8.
	pub batch: usize,
}

impl AuditPlan {
	/// Plans audits with the profile of the published figures, but twice its alarm: a false alarm would be a matter of
	/// chance in a million requests, and costs do not depend on it.
	pub fn new(batch: usize) -> Self {
		Self { profile: published(2 * ALARM), batch }
	}
}

/// Costs of audits on chain.
#[derive(Clone, Debug, Default)]
pub struct AuditCosts {
	/// Number of audits, all of which were reported.
	pub audits: u64,
	/// Messages about them.
	pub report: Cost,
	/// Bytes of the findings in these messages.
	pub findings: u64,
	/// Processor time of the transaction pool's validation of the messages.
	pub pool: Duration,
}

/// Receipts of a settlement, in the order of its leaves.
#[derive(Clone, Debug, Default)]
pub struct SettledReceipts {
	/// Leaves of the tree.
	pub leaves: Vec<SumNode<Totals>>,
	/// Number of completion tokens of each receipt.
	pub tokens: Vec<u16>,
}

/// Registers the profile for all models. Gives all hosts full reputation, and marks their first receipts, each of which
/// would be audited, as settled.
pub fn prepare(hosts: &[Host], plan: &AuditPlan) {
	for model in 0..MODELS {
		SamplingValidation::set_profile(RuntimeOrigin::root(), model, Some(plan.profile)).unwrap();
	}
	for host in hosts {
		let record = Record { reputation: MILLION, receipts: SamplingValidation::rules().first, ..Default::default() };
		Records::<Runtime>::insert(&host.account, record);
	}
}

/// Lets all hosts take part in the sprint with equal counts, so that the epoch's table contains them all.
pub fn commit(chain: &mut Chain<Gonka>, hosts: &[Host]) {
	let epoch = chain.with(|| Poc::running_epoch().unwrap());
	chain.until(epoch.start + epoch.schedule.check_start());
	chain.with(|| network::commit(hosts, epoch.index, 0..epoch.schedule.segments, |_| 20_000));
	chain.commit();
}

/// All hosts in their role as checkers.
pub struct CheckerPool<'a> {
	/// Genesis hash of the chain.
	pub genesis: Hash,
	/// All hosts.
	pub hosts: &'a [Host],
	/// How they audit.
	pub plan: AuditPlan,
	/// Settled receipts, by host and window.
	pub settled: BTreeMap<([u8; 32], u32), SettledReceipts>,
}

impl CheckerPool<'_> {
	/// Waits until the window's draw is over, and sends the messages of all checkers: full ones, and the rest of the
	/// lists of the window before.
	pub fn report(&self, chain: &mut Chain<Gonka>, done: &mut AuditCosts) {
		while chain.with(Drawing::<Runtime>::exists) {
			chain.blocks(1);
		}
		let running = chain.with(System::block_number) / Time::THIS.window;
		let mut messages = Vec::new();
		for host in self.hosts {
			for list in chain.with(|| SamplingValidation::audits_view(&host.account)) {
				let open: Vec<_> = list.audits.iter().filter(|audit| !audit.done).collect();
				let parts = open.chunks(self.plan.batch);
				for part in parts.filter(|part| part.len() == self.plan.batch || list.window < running) {
					let findings: Vec<_> = part.iter().map(|audit| (audit.index, self.find(audit))).collect();
					done.audits += findings.len() as u64;
					done.findings += findings.iter().map(|finding| finding.encoded_size() as u64).sum::<u64>();
					let report = AuditReport { checker: host.account.clone().into(), window: list.window, findings };
					let signature = sign(&host.worker, domain::AUDIT_REPORT, &self.genesis, &report);
					messages.push(general(pallet_sampling_validation::Call::submit_report { report, signature }));
				}
			}
		}
		for message in &messages {
			let (checked, time) = chain.offer(message);
			checked.unwrap();
			done.pool += time;
		}
		if !messages.is_empty() {
			let blocks = chain.fill(messages.iter().map(Vec::as_slice));
			done.report.add(messages.len(), &blocks);
		}
		// These were posted in the window before the last, and drawn in the last.
		chain.with(|| {
			let old = Batches::<Runtime>::iter_values().filter(|batch| batch.posted + 2 <= running);
			old.for_each(|batch| assert!(batch.drawn && batch.pending == 0, "audits are missing: {batch:?}"));
		});
	}

	/// Draws an honest checker's finding about an honest host's completion with as many tokens as the audited one.
	fn find(&self, audit: &AuditView) -> Finding {
		let receipts = &self.settled[&(audit.host, audit.window)];
		let leaf = audit.pick.find(&receipts.leaves).expect("each audit is about a receipt");
		let mut rng = rng(SEED, &audit.host, u64::from(audit.window) << 32 | leaf as u64);
		Finding::Checked(HONEST.draw(&mut rng, receipts.tokens[leaf]))
	}
}

/// Returns the number of windows after the last settlement until the chain has forgotten it.
pub fn windows_until_forgotten() -> u32 {
	let kept: u32 = <Runtime as pallet_sampling_validation::Config>::KeptWindows::get();
	kept + 2
}

/// Asserts that nobody missed an audit or was suspected, and that all lists and settlements are forgotten.
pub fn check(hosts: &[Host]) {
	assert!(TableEpoch::<Runtime>::exists(), "the table has checkers");
	for host in hosts {
		let view = SamplingValidation::reputation_view(&host.account);
		assert_eq!(view.reputation, MILLION, "no duty was missed");
	}
	assert_eq!(Cases::<Runtime>::iter().count(), 0, "honest hosts have no case");
	assert_eq!(Assigned::<Runtime>::iter().count(), 0, "all lists are closed");
	assert_eq!(Batches::<Runtime>::iter().count(), 0, "settlements are forgotten");
}
