//! What requests cost the chain: envelopes, receipts, vouchers and settlements of real traffic, and beside it the same
//! traffic with two extrinsics a request.

use crate::{
	chain::{Block, Chain, Gonka, signed},
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
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// What a token costs.
const PRICE: Price = Price { input: 1_000, output: 4_000 };
/// Tokens that a gateway pays for at most.
const MAX_TOKENS: u32 = 256;
/// Requests whose extrinsics are signed ahead when each has its own.
const CHUNK: u64 = 4_000;

/// Who asks whom, and how often.
#[derive(Clone, Debug)]
pub struct Traffic {
	/// Developers.
	pub developers: usize,
	/// Hosts.
	pub hosts: usize,
	/// Requests of a developer to a host in a window.
	pub batch: u64,
	/// Requests in all.
	pub requests: u64,
}

impl Traffic {
	/// Developer, host and window of a batch. All pairs have one before any has a second.
	fn batch(&self, number: usize) -> (usize, usize, u32) {
		let (round, turn) = (number / self.developers, number % self.developers);
		(turn, (round + turn) % self.hosts, (round / self.hosts) as u32)
	}

	fn batches(&self) -> usize {
		self.requests.div_ceil(self.batch) as usize
	}

	fn windows(&self) -> u32 {
		self.batch(self.batches() - 1).2 + 1
	}

	/// Requests of a batch: the last one may have fewer.
	fn size(&self, number: usize) -> u64 {
		self.batch.min(self.requests - self.batch * number as u64)
	}
}

/// What some extrinsics took of the chain.
#[derive(Clone, Debug, Default)]
pub struct Cost {
	/// Extrinsics.
	pub extrinsics: u64,
	/// Their bytes.
	pub bytes: u64,
	/// Their declared weight, in picoseconds.
	pub weight: u64,
	/// Native time of the blocks that had them.
	pub time: Duration,
	/// These blocks.
	pub blocks: u64,
}

impl Cost {
	fn add(&mut self, extrinsics: usize, blocks: &[Block]) {
		self.extrinsics += extrinsics as u64;
		self.blocks += blocks.len() as u64;
		for block in blocks {
			self.bytes += block.bytes;
			self.weight += block.transactions;
			self.time += block.time;
		}
	}

	/// Bytes a request.
	pub fn bytes_each(&self, requests: u64) -> f64 {
		self.bytes as f64 / requests as f64
	}

	/// Requests a second that fit into the part of blocks that transactions may fill, by weight and by length.
	pub fn fit(&self, requests: u64) -> (f64, f64) {
		let weights = <Runtime as frame_system::Config>::BlockWeights::get();
		let length = <Runtime as frame_system::Config>::BlockLength::get();
		let weight = weights.get(DispatchClass::Normal).max_total.unwrap().ref_time();
		let seconds = Time::THIS.slot_ms as f64 / 1e3;
		let fit = |limit: f64, used: u64| limit * requests as f64 / used as f64 / seconds;
		(fit(weight as f64, self.weight), fit(f64::from(*length.max.get(DispatchClass::Normal)), self.bytes))
	}
}

/// What traffic took of the chain and of the parties' machines.
#[derive(Clone, Debug, Default)]
pub struct Settled {
	/// Opening channels, once for all windows.
	pub opening: Cost,
	/// Settling.
	pub settling: Cost,
	/// Vouchers in the settlements.
	pub vouchers: u64,
	/// Time of one core that signing envelopes, receipts, vouchers and settlements took.
	pub signing: Duration,
	/// Time of one core that the trees over receipts took.
	pub trees: Duration,
	/// Bytes that went over HTTP in signed envelopes and receipts.
	pub off_chain: u64,
}

/// Serves and settles the traffic on the real runtime.
pub fn settle(traffic: &Traffic) -> Settled {
	let (hosts, developers) = (network::hosts(traffic.hosts), network::developers(traffic.developers));
	let mut chain = Chain::<Gonka>::new(network::genesis(&hosts[..1], balances(&hosts, &developers)), 0);
	let genesis = chain.head().0;
	chain.with(|| network::register(&hosts, 0));
	chain.commit();
	chain.blocks(1);
	let mut done = Settled::default();
	let channels = open(traffic, &mut chain, &hosts, &developers, &mut done.opening);
	let before = chain.with(issued);
	let mut totals = BTreeMap::new();
	for window in 0..traffic.windows() {
		while chain.with(gonka_runtime::System::block_number) < (window + 1) * Time::THIS.window {
			chain.blocks(1);
		}
		let parties = Parties { traffic, genesis, hosts: &hosts, developers: &developers, channels: &channels };
		let extrinsics = parties.window(window, &mut totals, &mut done);
		let blocks = chain.fill(extrinsics.iter().map(Vec::as_slice));
		done.settling.add(extrinsics.len(), &blocks);
	}
	let settled = chain.with(|| {
		assert_eq!(issued(), before, "settling neither makes nor burns money");
		let channels = pallet_inference_market::Channels::<Runtime>::iter_values();
		channels.map(|channel| channel.settled.receipts).sum::<u64>()
	});
	assert_eq!(settled, traffic.requests, "every request is settled once");
	done
}

fn issued() -> u128 {
	gonka_runtime::Balances::total_issuance()
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
	for number in 0..traffic.batches().min(traffic.developers * traffic.hosts) {
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
	settlement: Option<Vec<u8>>,
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
	/// Serves a window's requests, on all cores; the hosts' settlements.
	fn window(&self, window: u32, totals: &mut BTreeMap<ChannelId, Totals>, done: &mut Settled) -> Vec<Vec<u8>> {
		let mut batches = vec![Vec::new(); self.hosts.len()];
		for number in 0..self.traffic.batches() {
			let (_, host, of) = self.traffic.batch(number);
			if of == window {
				batches[host].push(number);
			}
		}
		let earlier = &*totals;
		let all: Vec<usize> = (0..self.hosts.len()).collect();
		let parts = network::in_parallel(&all, |host| self.serve(*host, window, &batches[*host], earlier));
		let mut settlements = Vec::new();
		for part in parts {
			done.signing += part.signing;
			done.trees += part.trees;
			done.off_chain += part.off_chain;
			done.vouchers += part.totals.len() as u64;
			totals.extend(part.totals);
			settlements.extend(part.settlement);
		}
		settlements
	}

	/// Envelopes, receipts, vouchers and the settlement of one host.
	fn serve(&self, host: usize, window: u32, batches: &[usize], earlier: &BTreeMap<ChannelId, Totals>) -> Part {
		let mut part = Part::default();
		if batches.is_empty() {
			return part;
		}
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
				let answer = sign(&self.hosts[host].worker, domain::RECEIPT, &self.genesis, &receipt);
				part.off_chain += ((&envelope, signature).encoded_size() + (&receipt, answer).encoded_size()) as u64;
				receipts.push(receipt);
			}
			part.signing += started.elapsed();
			let started = ThreadTime::now();
			leaves.extend(receipts.iter().map(Receipt::leaf));
			part.trees += started.elapsed();
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
		part.settlement = Some(network::settlement(&self.hosts[host], &self.genesis, window, model, root, vouchers));
		part.signing += started.elapsed();
		part
	}
}

/// A request; tokens and body differ from request to request.
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

/// The same traffic with a start and a finish on chain for every request.
pub fn per_request(traffic: &Traffic, mut say: impl FnMut(u64)) -> Cost {
	let (hosts, developers) = (network::hosts(traffic.hosts), network::developers(traffic.developers));
	let mut chain = Chain::<PerRequest>::new(per_request::genesis(balances(&hosts, &developers)), 0);
	let genesis = chain.head().0;
	chain.blocks(1);
	let mut cost = Cost::default();
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
		let next = |all: &mut Vec<u32>, who: usize| {
			all[who] += 1;
			all[who] - 1
		};
		let starts: Vec<_> =
			calls.iter().map(|(by, _, start, _)| (*by, next(&mut nonces.0, *by), start.clone())).collect();
		let ends: Vec<_> =
			calls.iter().map(|(_, host, _, end)| (*host, next(&mut nonces.1, *host), end.clone())).collect();
		let starts = per_request::sign_all(starts, genesis, |by| &developers[by].pair);
		let ends = per_request::sign_all(ends, genesis, |host| &hosts[host].pair);
		let blocks = chain.fill(starts.iter().chain(&ends).map(Vec::as_slice));
		cost.add(starts.len() + ends.len(), &blocks);
		first += count;
		say(first);
	}
	chain.with(|| assert_eq!(per_request::open_requests(), 0, "every request is finished"));
	cost
}

/// What to read.
pub fn report(traffic: &Traffic, ours: &Settled, others: &Cost, theirs: u64) -> String {
	let mut out = String::new();
	let requests = traffic.requests;
	let million = |value: f64, of: u64| value * 1e6 / of as f64;
	let line = |out: &mut String, name: &str, cost: &Cost, of: u64| {
		let (by_weight, by_length) = cost.fit(of);
		let _ = writeln!(
			out,
			"{name:<34} {:>9.3} {:>11.3} {:>11.2} {:>11.2} {:>13.0} {:>13.0}",
			cost.bytes_each(of),
			million(cost.bytes as f64 / 1e6, of),
			million(cost.weight as f64 / 1e12, of),
			million(cost.time.as_secs_f64(), of),
			by_weight,
			by_length,
		);
	};
	let _ = writeln!(
		out,
		"{requests} requests of {} developers to {} hosts, {} a batch (developer, host, window): {} vouchers in {} settlements.\n",
		traffic.developers, traffic.hosts, traffic.batch, ours.vouchers, ours.settling.extrinsics,
	);
	let _ = writeln!(
		out,
		"{:<34} {:>9} {:>11} {:>11} {:>11} {:>13} {:>13}",
		"on chain, per million requests", "B/request", "MB", "weight, s", "native, s", "fit by weight", "fit by length"
	);
	line(&mut out, "settlements", &ours.settling, requests);
	line(&mut out, "opening the channels, once", &ours.opening, requests);
	line(&mut out, "two extrinsics a request", others, theirs);
	let ratio = |ours: f64, others: f64| (others / theirs as f64) / (ours / requests as f64);
	let _ = writeln!(
		out,
		"\n\"fit\": requests a second that the part of blocks that transactions may fill has room for, if all pay in this way.\n\
		 Two extrinsics a request, to settlements: {:.0} times the bytes, {:.0} times the weight, {:.0} times the native time.",
		ratio(ours.settling.bytes as f64, others.bytes as f64),
		ratio(ours.settling.weight as f64, others.weight as f64),
		ratio(ours.settling.time.as_secs_f64(), others.time.as_secs_f64()),
	);
	let _ = writeln!(
		out,
		"A channel is opened once and used for as many windows as its deposit lasts. If it were for this traffic only,\n\
		 with its opening a request would cost {:.3} bytes; at two batches a channel {:.3}, at ten {:.3}.",
		ours.settling.bytes_each(requests) + ours.opening.bytes_each(requests),
		ours.settling.bytes_each(requests) + each_opening(ours, traffic) / (2 * traffic.batch) as f64,
		ours.settling.bytes_each(requests) + each_opening(ours, traffic) / (10 * traffic.batch) as f64,
	);
	let _ = writeln!(
		out,
		"Off chain, one core: {:.1} s of signing and {:.2} s of trees per million; {:.0} bytes a request in signed\n\
		 envelopes and receipts, which never reach the chain.",
		million(ours.signing.as_secs_f64(), requests),
		million(ours.trees.as_secs_f64(), requests),
		ours.off_chain as f64 / requests as f64,
	);
	if theirs != requests {
		let _ = writeln!(out, "Two extrinsics a request were measured with {theirs} requests and scaled.");
	}
	out
}

/// Bytes of opening one channel.
fn each_opening(ours: &Settled, traffic: &Traffic) -> f64 {
	ours.opening.bytes as f64 / traffic.batches().min(traffic.developers * traffic.hosts) as f64
}
