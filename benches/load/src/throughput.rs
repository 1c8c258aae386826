//! Costs of requests on chain: envelopes, receipts, vouchers and settlements of real traffic, with or without audits;
//! and for comparison the same traffic with two extrinsics for each request and one for each validation.

use crate::{
	audit::{self, AuditCosts, AuditPlan, CheckerPool, SettledReceipts},
	chain::{Block, Chain, Gonka, assert_invariants, signed},
	network::{self, Developer, Host, MODELS, sign},
	per_request::{self, PerRequest},
};
use codec::Encode;
use cpu_time::ThreadTime;
use gonka_primitives::{
	ChannelId, GNK, Hash,
	hashing::domain,
	market::{Envelope, FinishReason, Price, Receipt, Totals, body_hash, output_hash},
	merkle_sum::{self, SumNode},
};
use gonka_runtime::Runtime;
use gonka_runtime_common::Time;
use polkadot_sdk::{frame_support::dispatch::DispatchClass, sp_core::Pair as _, *};
use std::{collections::BTreeMap, time::Duration};

/// Price of a token.
const PRICE: Price = Price { input: 1_000, output: 4_000 };
/// Maximum number of tokens that a gateway pays for.
const MAX_TOKENS: u32 = 256;
/// Number of requests whose extrinsics are signed ahead on the comparison chain.
const CHUNK: u64 = 4_000;

/// Requests of all developers to all hosts.
#[derive(Clone, Debug)]
pub struct Traffic {
	/// Number of developers.
	pub developers: usize,
	/// Number of hosts.
	pub hosts: usize,
	/// Number of hosts to which each developer sends requests in a window.
	pub contacted: usize,
	/// Number of requests of a developer to each of these hosts.
	pub batch: u64,
	/// Total number of requests.
	pub requests: u64,
}

impl Traffic {
	/// Returns developer, host and window of a batch. All pairs have one batch before any has a second.
	fn batch(&self, number: usize) -> (usize, usize, u32) {
		let (round, turn) = (number / self.developers, number % self.developers);
		(turn, (round + turn) % self.hosts, (round / self.contacted) as u32)
	}

	fn batches(&self) -> usize {
		self.requests.div_ceil(self.batch) as usize
	}

	fn windows(&self) -> u32 {
		self.batch(self.batches() - 1).2 + 1
	}

	/// Returns the number of channels that are used.
	pub fn channels(&self) -> usize {
		self.batches().min(self.developers * self.hosts)
	}

	/// Returns the number of requests in a batch: the last one may have fewer.
	fn size(&self, number: usize) -> u64 {
		self.batch.min(self.requests - self.batch * number as u64)
	}
}

/// Costs of some extrinsics on chain.
#[derive(Clone, Debug, Default)]
pub struct Cost {
	/// Number of extrinsics.
	pub extrinsics: u64,
	/// Their bytes.
	pub bytes: u64,
	/// Their dispatch weight, in picoseconds.
	pub weight: u64,
	/// Processor time of the blocks that contain them.
	pub time: Duration,
	/// Number of these blocks.
	pub blocks: u64,
}

impl Cost {
	pub(crate) fn add(&mut self, extrinsics: usize, blocks: &[Block]) {
		self.extrinsics += extrinsics as u64;
		self.blocks += blocks.len() as u64;
		for block in blocks {
			self.bytes += block.bytes;
			self.weight += block.transactions;
			self.time += block.time;
		}
	}

	/// Returns by how much the blocks of a run, hooks included, cost more than the same blocks of a run in which less
	/// was done. Blocks of the same dispatch weight did the same and are left out: their times differ by chance.
	pub fn more(blocks: &[Block], than: &[Block], extrinsics: u64) -> Self {
		assert_eq!(blocks.len(), than.len(), "the runs have the same length");
		let differing: Vec<_> = blocks.iter().zip(than).filter(|(one, other)| one.total != other.total).collect();
		let more = |of: &dyn Fn(&Block) -> u64| {
			let (one, other) = differing.iter().fold((0, 0), |sum, pair| (sum.0 + of(pair.0), sum.1 + of(pair.1)));
			one.saturating_sub(other)
		};
		Self {
			extrinsics,
			bytes: more(&|block| block.bytes),
			weight: more(&|block| block.total),
			time: Duration::from_nanos(more(&|block| block.time.as_nanos() as u64)),
			blocks: differing.len() as u64,
		}
	}

	/// Returns the bytes for each request.
	pub fn bytes_each(&self, requests: u64) -> f64 {
		self.bytes as f64 / requests as f64
	}

	/// Returns how many requests a second fit into the part of blocks that transactions may fill, by dispatch weight
	/// and by length.
	pub fn fit(&self, requests: u64) -> (f64, f64) {
		let weights = <Runtime as frame_system::Config>::BlockWeights::get();
		let length = <Runtime as frame_system::Config>::BlockLength::get();
		let weight = weights.get(DispatchClass::Normal).max_total.unwrap().ref_time();
		let seconds = Time::THIS.slot_ms as f64 / 1e3;
		let fit = |limit: f64, used: u64| limit * requests as f64 / used as f64 / seconds;
		(fit(weight as f64, self.weight), fit(f64::from(*length.max.get(DispatchClass::Normal)), self.bytes))
	}
}

/// Costs of the traffic, on chain and on the parties' machines.
#[derive(Clone, Debug, Default)]
pub struct Settled {
	/// Opening the channels, once for all windows.
	pub opening: Cost,
	/// Settlements.
	pub settling: Cost,
	/// Number of vouchers in the settlements.
	pub vouchers: u64,
	/// Base units that the block space of the settlements costs. In the free period audited work is settled for nothing.
	pub charged: u128,
	/// Processor time of signing envelopes, receipts, vouchers and settlements.
	pub signing: Duration,
	/// Processor time of the trees over receipts.
	pub trees: Duration,
	/// Bytes of signed envelopes and receipts, which go over HTTP.
	pub off_chain: u64,
	/// Audits, if there were any.
	pub audited: AuditCosts,
	/// All blocks; as many with audits as without.
	pub blocks: Vec<Block>,
}

/// Serves and settles the traffic on the real runtime, and lets checkers audit it if there is a plan. Runs until all
/// fees are released and everything is forgotten.
pub fn settle(traffic: &Traffic, plan: Option<&AuditPlan>) -> Settled {
	let (hosts, developers) = (network::hosts(traffic.hosts), network::developers(traffic.developers));
	let mut chain = Chain::<Gonka>::new(network::genesis(&hosts[..1], balances(&hosts, &developers)), 0);
	let genesis = chain.head().0;
	chain.with(|| {
		network::register(&hosts, 0);
		plan.inspect(|plan| audit::prepare(&hosts, plan));
	});
	chain.commit();
	chain.blocks(1);
	let mut done = Settled::default();
	let channels = open(traffic, &mut chain, &hosts, &developers, &mut done.opening);
	audit::commit(&mut chain, &hosts);
	let before = chain.with(issued);
	let mut totals = BTreeMap::new();
	let settled = BTreeMap::new();
	let mut checkers = plan.map(|plan| CheckerPool { genesis, hosts: &hosts, plan: *plan, settled });
	for window in 1..=traffic.windows() + audit::windows_until_forgotten() {
		// The draw begins in the window's second block.
		chain.until(window * Time::THIS.window + 1);
		if let Some(checkers) = &checkers {
			checkers.report(&mut chain, &mut done.audited);
		}
		if window > traffic.windows() {
			continue;
		}
		let parties = Parties { traffic, genesis, hosts: &hosts, developers: &developers, channels: &channels };
		let parts = parties.window(window - 1, &mut totals, &mut done);
		let blocks = chain.fill(parts.iter().map(|part| part.settlement.as_slice()));
		done.settling.add(parts.len(), &blocks);
		if let Some(checkers) = &mut checkers {
			let receipts = parts.into_iter().map(|part| ((part.host, window - 1), part.receipts));
			checkers.settled.extend(receipts);
		}
	}
	let settled = chain.with(|| {
		let burnt = before.checked_sub(issued()).expect("neither settlements nor audits create money");
		assert!(
			burnt == done.charged || Time::THIS.free_epochs != 0 && burnt < done.charged,
			"{burnt} base units burnt"
		);
		let held = pallet_inference_market::HeldFees::<Runtime>::iter().count();
		assert_eq!(held, 0, "all fees are released");
		let accounts = frame_system::Account::<Runtime>::iter_values();
		let reserved: u128 = accounts.map(|account| account.data.reserved).sum();
		let channels = || pallet_inference_market::Channels::<Runtime>::iter_values();
		assert_eq!(reserved, channels().map(|channel| channel.rest()).sum::<u128>(), "channels hold the rest");
		if plan.is_some() {
			audit::check(&hosts);
		}
		assert_invariants();
		channels().map(|channel| channel.settled.receipts).sum::<u64>()
	});
	assert_eq!(settled, traffic.requests, "every request is settled once");
	done.blocks = chain.made().to_vec();
	done
}

/// Returns everything that was ever issued or can be: what is mined meanwhile was unmined before.
fn issued() -> u128 {
	gonka_runtime::Balances::total_issuance() + pallet_emission::Unmined::<Runtime>::get()
}

fn balances(hosts: &[Host], developers: &[Developer]) -> Vec<(gonka_runtime::AccountId, u128)> {
	let hosts = hosts.iter().map(|host| (host.account.clone(), 1_000 * GNK));
	let developers = developers.iter().map(|developer| (developer.account.clone(), 100_000 * GNK));
	hosts.chain(developers).collect()
}

/// Opens a channel for each developer and host that have something to settle.
fn open(
	traffic: &Traffic,
	chain: &mut Chain<Gonka>,
	hosts: &[Host],
	developers: &[Developer],
	cost: &mut Cost,
) -> BTreeMap<(usize, usize), ChannelId> {
	let mut lists = vec![Vec::new(); developers.len()];
	for number in 0..traffic.channels() {
		let (developer, host, _) = traffic.batch(number);
		lists[developer].push(host);
	}
	let (mut channels, mut extrinsics) = (BTreeMap::new(), Vec::new());
	let (genesis, deposit) = (chain.with(|| pallet_poc::Genesis::<Runtime>::get().unwrap()), GNK);
	for (by, list) in lists.iter().enumerate() {
		for (nonce, part) in list.chunks(64).enumerate() {
			for host in part {
				channels.insert((by, *host), channels.len() as ChannelId);
			}
			let list: Vec<_> = part.iter().map(|host| (hosts[*host].account.clone(), deposit)).collect();
			let gateway = developers[by].gateway.public().0;
			let call = pallet_inference_market::Call::open_channels { gateway, channels: list.try_into().unwrap() };
			extrinsics.push(signed(&developers[by].pair, nonce as u32, genesis, call));
		}
	}
	let blocks = chain.fill(extrinsics.iter().map(Vec::as_slice));
	cost.add(extrinsics.len(), &blocks);
	channels
}

/// A host's part of a window.
#[derive(Default)]
struct Part {
	host: [u8; 32],
	settlement: Vec<u8>,
	receipts: SettledReceipts,
	totals: Vec<(ChannelId, Totals)>,
	signing: Duration,
	trees: Duration,
	off_chain: u64,
}

struct Parties<'a> {
	traffic: &'a Traffic,
	genesis: Hash,
	hosts: &'a [Host],
	developers: &'a [Developer],
	channels: &'a BTreeMap<(usize, usize), ChannelId>,
}

impl Parties<'_> {
	/// Serves a window's requests on all cores. Returns the parts of the hosts that have something to settle.
	fn window(&self, window: u32, totals: &mut BTreeMap<ChannelId, Totals>, done: &mut Settled) -> Vec<Part> {
		let mut batches = vec![Vec::new(); self.hosts.len()];
		for number in 0..self.traffic.batches() {
			let (_, host, of) = self.traffic.batch(number);
			if of == window {
				batches[host].push(number);
			}
		}
		let earlier = &*totals;
		let busy: Vec<_> = (0..self.hosts.len()).filter(|host| !batches[*host].is_empty()).collect();
		let parts = network::in_parallel(&busy, |host| self.serve(*host, window, &batches[*host], earlier));
		for part in &parts {
			done.signing += part.signing;
			done.trees += part.trees;
			done.off_chain += part.off_chain;
			done.vouchers += part.totals.len() as u64;
			done.charged += gonka_runtime::InferenceMarket::settlement_fee(part.totals.len() as u32, 1);
			totals.extend(part.totals.iter().copied());
		}
		parts
	}

	/// Makes the envelopes, receipts, vouchers and the settlement of one host.
	fn serve(&self, host: usize, window: u32, batches: &[usize], earlier: &BTreeMap<ChannelId, Totals>) -> Part {
		let mut part = Part { host: self.hosts[host].account.clone().into(), ..Default::default() };
		let (mut leaves, mut vouchers) = (Vec::<SumNode<Totals>>::new(), Vec::new());
		for number in batches {
			let (by, ..) = self.traffic.batch(*number);
			let channel = self.channels[&(by, host)];
			let mut sum = earlier.get(&channel).copied().unwrap_or_default();
			let started = ThreadTime::now();
			let first = leaves.len();
			let mut receipts = Vec::new();
			for request in 0..self.traffic.size(*number) {
				let sequence = sum.receipts + request;
				let envelope = envelope(channel, sequence);
				let signature = sign(&self.developers[by].gateway, domain::ENVELOPE, &self.genesis, &envelope);
				let receipt = receipt(&envelope, &self.genesis);
				let reply = sign(&self.hosts[host].worker, domain::RECEIPT, &self.genesis, &receipt);
				part.off_chain += ((&envelope, signature).encoded_size() + (&receipt, reply).encoded_size()) as u64;
				receipts.push(receipt);
			}
			part.signing += started.elapsed();
			let started = ThreadTime::now();
			leaves.extend(receipts.iter().map(Receipt::leaf));
			part.trees += started.elapsed();
			part.receipts.tokens.extend(receipts.iter().map(|receipt| receipt.completion_tokens as u16));
			sum = leaves[first..].iter().try_fold(sum, |sum, leaf| sum.checked_add(&leaf.sum)).unwrap();
			let started = ThreadTime::now();
			vouchers.push(network::voucher(&self.developers[by].gateway, &self.genesis, channel, sum));
			part.signing += started.elapsed();
			part.totals.push((channel, sum));
		}
		let started = ThreadTime::now();
		let root = merkle_sum::root(&leaves).unwrap();
		part.trees += started.elapsed();
		let started = ThreadTime::now();
		let model = host as u32 % MODELS;
		part.settlement = network::settlement(&self.hosts[host], &self.genesis, window, model, root, vouchers);
		part.signing += started.elapsed();
		part.receipts.leaves = leaves;
		part
	}
}

/// Makes a request's envelope; tokens and body differ from request to request.
fn envelope(channel: ChannelId, sequence: u64) -> Envelope {
	Envelope {
		channel,
		model: 0,
		sequence,
		body: body_hash(&(channel, sequence).encode()),
		seed: sequence,
		price: PRICE,
		max_tokens: MAX_TOKENS,
		max_fee: PRICE.fee(2_048, MAX_TOKENS).unwrap(),
		expires: u32::MAX,
	}
}

fn receipt(envelope: &Envelope, genesis: &Hash) -> Receipt {
	let (prompt_tokens, completion_tokens) = tokens(envelope.sequence);
	Receipt {
		envelope: envelope.hash(genesis),
		output: output_hash(&[completion_tokens]),
		fingerprint: [0; 32],
		prompt_tokens,
		completion_tokens,
		finish: FinishReason::Stop,
		fee: PRICE.fee(prompt_tokens, completion_tokens).unwrap(),
	}
}

fn tokens(sequence: u64) -> (u32, u32) {
	(100 + (sequence * 37 % 900) as u32, 1 + (sequence * 101 % u64::from(MAX_TOKENS)) as u32)
}

/// Costs of the same traffic on a chain on which each request has extrinsics of its own.
#[derive(Clone, Debug, Default)]
pub struct Others {
	/// Number of requests.
	pub requests: u64,
	/// Two extrinsics for each.
	pub serving: Cost,
	/// One extrinsic for each hundredth request, in which another host validates it.
	pub validating: Cost,
}

/// Runs the traffic with a start and a finish on chain for every request, and a validation of one in a hundred.
pub fn per_request(traffic: &Traffic, mut say: impl FnMut(u64)) -> Others {
	let (hosts, developers) = (network::hosts(traffic.hosts), network::developers(traffic.developers));
	let mut chain = Chain::<PerRequest>::new(per_request::genesis(balances(&hosts, &developers)), 0);
	let genesis = chain.head().0;
	chain.blocks(1);
	let mut others = Others { requests: traffic.requests, ..Default::default() };
	let next = |all: &mut Vec<u32>, who: usize| {
		all[who] += 1;
		all[who] - 1
	};
	let mut nonces = (vec![0u32; developers.len()], vec![0u32; hosts.len()]);
	let mut first = 0;
	while first < traffic.requests {
		let count = CHUNK.min(traffic.requests - first);
		let calls: Vec<_> = (first..first + count)
			.map(|id| {
				let (by, host, _) = traffic.batch((id / traffic.batch) as usize);
				let envelope = envelope(0, id);
				let (prompt, completion) = tokens(id);
				let start = per_request::start(&hosts[host].account, &envelope);
				let finish =
					per_request::finish(id, [7; 32], prompt, completion, PRICE.fee(prompt, completion).unwrap());
				(by, host, start, finish)
			})
			.collect();
		let starts: Vec<_> =
			calls.iter().map(|(by, _, start, _)| (*by, next(&mut nonces.0, *by), start.clone())).collect();
		let ends: Vec<_> =
			calls.iter().map(|(_, host, _, end)| (*host, next(&mut nonces.1, *host), end.clone())).collect();
		let starts = per_request::sign_all(starts, genesis, |by| &developers[by].pair);
		let ends = per_request::sign_all(ends, genesis, |host| &hosts[host].pair);
		let blocks = chain.fill(starts.iter().chain(&ends).map(Vec::as_slice));
		others.serving.add(starts.len() + ends.len(), &blocks);
		first += count;
		say(first);
	}
	let validations = (0..traffic.requests).step_by(100).map(|id| {
		let (_, host, _) = traffic.batch((id / traffic.batch) as usize);
		let validator = (host + 1) % hosts.len();
		(validator, next(&mut nonces.1, validator), per_request::validate(id, [7; 32], 1_000_000))
	});
	let validations = per_request::sign_all(validations.collect(), genesis, |host| &hosts[host].pair);
	let blocks = chain.fill(validations.iter().map(Vec::as_slice));
	others.validating.add(validations.len(), &blocks);
	chain.with(|| assert_eq!(per_request::open_requests(), 0, "every request is finished"));
	others
}
