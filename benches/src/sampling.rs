//! Sampled validation of the traffic: tables, draws and lists come from the chain's own hooks; here are the checkers, who
//! answer for every sample with signed messages as their workers would send them.

use crate::{
	chain::{Chain, Gonka, general},
	network::{self, Host, MODELS, sign},
	throughput::Cost,
};
use codec::Encode;
use gonka_primitives::{
	Hash,
	hashing::domain,
	market::Totals,
	merkle_sum::SumNode,
	sampling::{Finding, MILLION, Profile, Verdicts},
	views::SampleView,
};
use gonka_runtime::{Poc, Runtime, RuntimeOrigin, SamplingValidation, System};
use gonka_runtime_common::Time;
use gonka_sim::{
	population::rng,
	sampling::{HONEST, published, report::ALARM},
};
use pallet_sampling_validation::{Assigned, Batches, Cases, Drawing, Record, Records, TableEpoch};
use polkadot_sdk::frame_support::traits::Get;
use std::{collections::BTreeMap, time::Duration};

/// From it follow the honest findings.
const SEED: u64 = 1;

/// How answers are sampled.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
	/// The profile of all models.
	pub profile: Profile,
	/// Findings with which a checker does not wait until the window is over: 1 to `MAX_FINDINGS`. Workers have 8.
	pub batch: usize,
}

impl Sampling {
	/// With the profile of the published figures, but twice its alarm: a false one would be a matter of luck in a million
	/// requests, and costs are the same.
	pub fn new(batch: usize) -> Self {
		Self { profile: published(2 * ALARM), batch }
	}
}

/// What samples took of the chain.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
	/// Samples, all of which were answered for.
	pub samples: u64,
	/// The messages about them.
	pub verdicts: Cost,
	/// Bytes of the findings in these.
	pub findings: u64,
	/// Time of a core that the pool's check of the messages took.
	pub pool: Duration,
}

/// Receipts of a settlement, in the order of its leaves.
#[derive(Clone, Debug, Default)]
pub struct Answers {
	/// The tree's leaves.
	pub leaves: Vec<SumNode<Totals>>,
	/// Completion tokens.
	pub tokens: Vec<u16>,
}

/// Gives all models the profile, and all hosts full reputation and their first receipts, each of which would be checked.
pub fn prepare(hosts: &[Host], sampling: &Sampling) {
	for model in 0..MODELS {
		SamplingValidation::set_profile(RuntimeOrigin::root(), model, Some(sampling.profile)).unwrap();
	}
	for host in hosts {
		let record = Record { reputation: MILLION, receipts: SamplingValidation::rules().first, ..Default::default() };
		Records::<Runtime>::insert(&host.account, record);
	}
}

/// Lets hosts race: all are equally fast, so that the epoch's table has all of them.
pub fn race(chain: &mut Chain<Gonka>, hosts: &[Host]) {
	let epoch = chain.with(|| Poc::running_epoch().unwrap());
	chain.until(epoch.start + epoch.schedule.check_start());
	chain.with(|| network::commit(hosts, epoch.index, 0..epoch.schedule.segments, |_| 20_000));
	chain.commit();
}

/// Those that check.
pub struct Checkers<'a> {
	/// The chain.
	pub genesis: Hash,
	/// All hosts.
	pub hosts: &'a [Host],
	/// How they check.
	pub sampling: Sampling,
	/// What was settled, by host and window.
	pub settled: BTreeMap<([u8; 32], u32), Answers>,
}

impl Checkers<'_> {
	/// Waits until the window's draw is over, and sends the messages of all checkers: full ones, and what is left of the
	/// lists of the window before.
	pub fn answer(&self, chain: &mut Chain<Gonka>, done: &mut Sampled) {
		while chain.with(Drawing::<Runtime>::exists) {
			chain.blocks(1);
		}
		let running = chain.with(System::block_number) / Time::THIS.window;
		let mut messages = Vec::new();
		for host in self.hosts {
			for list in chain.with(|| SamplingValidation::samples_view(&host.account)) {
				let open: Vec<_> = list.samples.iter().filter(|sample| !sample.done).collect();
				let parts = open.chunks(self.sampling.batch);
				for part in parts.filter(|part| part.len() == self.sampling.batch || list.window < running) {
					let findings: Vec<_> = part.iter().map(|sample| (sample.index, self.find(sample))).collect();
					done.samples += findings.len() as u64;
					done.findings += findings.iter().map(|finding| finding.encoded_size() as u64).sum::<u64>();
					let verdicts = Verdicts { checker: host.account.clone().into(), window: list.window, findings };
					let signature = sign(&host.worker, domain::VERDICTS, &self.genesis, &verdicts);
					messages.push(general(pallet_sampling_validation::Call::submit_verdicts { verdicts, signature }));
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
			done.verdicts.add(messages.len(), &blocks);
		}
		// Posted in the window before the last one, drawn in the last.
		chain.with(|| {
			let old = Batches::<Runtime>::iter_values().filter(|batch| batch.posted + 2 <= running);
			old.for_each(|batch| assert!(batch.drawn && batch.pending == 0, "not answered for: {batch:?}"));
		});
	}

	/// What an honest checker finds in an honest host's answer: of the length that this one has.
	fn find(&self, sample: &SampleView) -> Finding {
		let answers = &self.settled[&(sample.host, sample.window)];
		let leaf = sample.pick.find(&answers.leaves).expect("each sample is a receipt");
		let mut rng = rng(SEED, &sample.host, u64::from(sample.window) << 32 | leaf as u64);
		Finding::Checked(HONEST.draw(&mut rng, answers.tokens[leaf]))
	}
}

/// Windows after the last settlement until nothing is left of it.
pub fn windows_until_forgotten() -> u32 {
	let kept: u32 = <Runtime as pallet_sampling_validation::Config>::KeptWindows::get();
	kept + 2
}

/// That nobody missed a sample or was suspected, and that all lists and settlements are forgotten.
pub fn check(hosts: &[Host]) {
	assert!(TableEpoch::<Runtime>::exists(), "somebody could check");
	for host in hosts {
		let view = SamplingValidation::sampling_view(&host.account);
		assert_eq!(view.reputation, MILLION, "no duty was missed");
	}
	assert_eq!(Cases::<Runtime>::iter().count(), 0, "honest hosts have no case");
	assert_eq!(Assigned::<Runtime>::iter().count(), 0, "all lists are closed");
	assert_eq!(Batches::<Runtime>::iter().count(), 0, "settlements are forgotten");
}
