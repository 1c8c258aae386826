//! A whole epoch of a large network: what its hooks and its hosts' settlements take of each block.
//!
//! Everything that the chain does itself runs: seeds, the draw, the weigh phase, pay, vesting, the release of held
//! fees, prices, sessions, pruning of old epochs. The only transactions are the hosts' settlements. Commitments and
//! digests enter the state between blocks, because they are traffic of another kind.

use crate::{
	audit::{self, AuditPlan},
	chain::{Block, Chain, Gonka, assert_invariants, max_block},
	network::{self, Developer, Host, MODELS},
};
use gonka_plot::{Plot, Series};
use gonka_primitives::{
	BlockNumber, EpochIndex, GNK, Hash,
	audit::MAX_FINDINGS,
	epoch::Phase,
	market::{Totals, settling_offset},
	merkle_sum,
};
use gonka_runtime::{AccountId, Balances, Collateral, InferenceMarket, Poc, Runtime, RuntimeOrigin, System};
use gonka_runtime_common::Time;
use pallet_emission::Vesting;
use pallet_inference_market::HeldFees;
use pallet_poc::{EpochWeights, Standing};
use polkadot_sdk::{
	frame_support::{
		BoundedVec,
		traits::{Get, fungible::Mutate},
	},
	sp_core::Pair,
	*,
};
use std::{collections::BTreeMap, fmt::Write};

/// Epoch with which the network's history begins here: collateral is required, and rewards have been vesting for long.
const FIRST: EpochIndex = 200;
/// Number of epochs before the measured one, so that the measured epoch pays, releases and prunes as any other does.
const WARM_UP: EpochIndex = 3;
/// Maximum number of blocks of a warm-up epoch: what follows its weigh phase is left out. Three such epochs make two
/// settlement windows.
const WARM_UP_BLOCKS: BlockNumber = 400;
/// Maximum number of windows after the epoch until held fees are released.
const HELD: u32 = 4;
/// Number of epochs over which rewards vest.
const VESTING: u32 = 180;
/// Amount that each channel owes for each window.
const GROWTH: Totals = Totals { fee: GNK / 1_000, work: 150 * 1_000, receipts: 150 };

/// Maximum proof size of a block of the parachain, in bytes: 85 % of what the relay chain accepts.
pub const MAX_PROOF: u64 = 10 * 1_024 * 1_024 / 100 * 85;

/// Size of the network.
#[derive(Clone, Debug)]
pub struct Size {
	/// Number of registered hosts. All take part in the sprint.
	pub hosts: usize,
	/// Number of hosts with session keys.
	pub validators: usize,
	/// Number of open channels of each host.
	pub channels: usize,
	/// Number of developers, who share the channels.
	pub developers: usize,
	/// Number of windows of the measured epoch in which all hosts settle the window before.
	pub windows: u32,
	/// Whether the blocks' proofs are measured, for which the run takes longer.
	pub proofs: bool,
}

/// A block of the epoch.
#[derive(Clone, Debug)]
pub struct Measured {
	/// Number of blocks since the epoch's first.
	pub offset: BlockNumber,
	/// Phase of the epoch.
	pub phase: Phase,
	/// Costs of the block.
	pub block: Block,
	/// Number of settlements in it.
	pub settlements: u32,
}

struct World {
	chain: Chain<Gonka>,
	genesis: Hash,
	hosts: Vec<Host>,
	/// Channel and gateway, for each channel of each host.
	channels: Vec<Vec<(u64, usize)>>,
	developers: Vec<Developer>,
	/// Number of settlements that each host has sent.
	settled: Vec<u64>,
	/// Number of confirmation segments that were committed to.
	confirmed: usize,
}

/// Runs the epoch. `say` receives messages about the progress.
pub fn run(size: &Size, mut say: impl FnMut(String)) -> Vec<Measured> {
	say(format!("making {} hosts and {} channels", size.hosts, size.hosts * size.channels));
	let mut world = World::new(size);
	let window = Time::THIS.window;
	let warm_up = WARM_UP_BLOCKS.min(Time::THIS.schedule.length);
	let start = FIRST * Time::THIS.schedule.length + WARM_UP * warm_up + 1;
	// Fees settled two windows earlier are due when the measured epoch begins.
	let settled = start / window - 2..start / window + size.windows;
	for epoch in 0..WARM_UP {
		say(format!("epoch {epoch} of {WARM_UP} before the one that is measured"));
		for offset in 0..warm_up {
			world.block(&settled);
			if offset == 0 {
				world.chain.with(|| shorten(warm_up));
			}
		}
	}
	if size.proofs {
		world.chain.record_proofs();
	}
	let mut blocks = Vec::new();
	for offset in 0..Time::THIS.schedule.length {
		let (block, settlements) = world.block(&settled);
		blocks.push(Measured { offset, phase: Time::THIS.schedule.phase(offset), block, settlements });
		if offset % 1_000 == 999 {
			say(format!("{} of {} blocks", offset + 1, Time::THIS.schedule.length));
		}
	}
	// Nobody reports on audits here, so fees are held until the deadline for audits has passed.
	for _ in 0..HELD * window {
		if world.chain.with(|| HeldFees::<Runtime>::iter().next().is_none()) {
			break;
		}
		world.block(&settled);
	}
	world.check();
	blocks
}

fn shorten(length: BlockNumber) {
	pallet_poc::CurrentEpoch::<Runtime>::mutate(|epoch| epoch.as_mut().unwrap().schedule.length = length);
}

impl World {
	fn new(size: &Size) -> Self {
		let (hosts, developers) = (network::hosts(size.hosts), network::developers(size.developers));
		let rich = hosts.iter().map(|host| (host.account.clone(), 6_000 * GNK));
		let richer = developers.iter().map(|developer| (developer.account.clone(), 50_000 * GNK));
		let genesis = network::genesis(&hosts[..size.validators], rich.chain(richer).collect());
		let length = Time::THIS.schedule.length;
		let mut chain = Chain::<Gonka>::new(genesis, FIRST * length);
		let head = chain.head();
		let channels = chain.with(|| {
			System::set_block_number(FIRST * length);
			frame_system::BlockHash::<Runtime>::insert(0, head);
			pallet_poc::Genesis::<Runtime>::put(head.0);
			past(FIRST, length);
			network::register(&hosts, FIRST - 1);
			took_part(&hosts, FIRST - 1);
			audit::prepare(&hosts, &AuditPlan::new(MAX_FINDINGS as usize));
			for (index, host) in hosts.iter().enumerate() {
				Collateral::deposit(RuntimeOrigin::signed(host.account.clone()), 1_000 * GNK).unwrap();
				vest(&host.account, index);
			}
			let channels = open(&hosts, &developers, size.channels);
			System::reset_events();
			channels
		});
		chain.commit();
		let settled = vec![0; hosts.len()];
		Self { chain, genesis: head.0, hosts, channels, developers, settled, confirmed: 0 }
	}

	/// Makes a block with the settlements that belong into it, if hosts settle in its window.
	fn block(&mut self, settled: &std::ops::Range<u32>) -> (Block, u32) {
		self.chain.begin();
		let number = self.chain.with(System::block_number);
		let (window, offset) = (number / Time::THIS.window, number % Time::THIS.window);
		let mut settlements = 0;
		if settled.contains(&window) {
			for index in 0..self.hosts.len() {
				let account: &[u8; 32] = self.hosts[index].account.as_ref();
				if settling_offset(account, Time::THIS.window) == offset {
					let bytes = self.settle(index, window - 1);
					self.chain.apply(&bytes).unwrap().unwrap();
					settlements += 1;
				}
			}
		}
		let block = self.chain.end();
		self.act(number);
		(block, settlements)
	}

	fn settle(&mut self, index: usize, window: u32) -> Vec<u8> {
		self.settled[index] += 1;
		let times = self.settled[index];
		let totals = Totals {
			fee: GROWTH.fee * u128::from(times),
			work: GROWTH.work * times,
			receipts: GROWTH.receipts * times,
		};
		let voucher = |(channel, by): &(u64, usize)| {
			network::voucher(&self.developers[*by].gateway, &self.genesis, *channel, totals)
		};
		let vouchers: Vec<_> = self.channels[index].iter().map(voucher).collect();
		let leaves: Vec<_> = vouchers.iter().map(|_| merkle_sum::leaf(b"receipts", GROWTH)).collect();
		let root = merkle_sum::root(&leaves).unwrap();
		network::settlement(&self.hosts[index], &self.genesis, window, index as u32 % MODELS, root, vouchers)
	}

	/// Does what hosts do between blocks: they commit, and reveal digests.
	fn act(&mut self, number: BlockNumber) {
		let epoch = self.chain.with(|| Poc::running_epoch().unwrap());
		let (schedule, offset) = (epoch.schedule, epoch.offset(number));
		let ended = |start: &BlockNumber| start + schedule.segment == offset;
		if offset == 0 {
			self.confirmed = 0;
		}
		if offset == schedule.check_start() {
			self.commit(epoch.index, 0..schedule.segments);
		} else if epoch.confirmations.get(self.confirmed).is_some_and(ended) {
			let segment = schedule.segments + self.confirmed as u8;
			self.confirmed += 1;
			self.commit(epoch.index, segment..segment + 1);
		} else if offset == schedule.reveal_start() {
			self.chain.with(|| reveal(&epoch));
			self.chain.commit();
		}
	}

	fn commit(&mut self, epoch: EpochIndex, segments: std::ops::Range<u8>) {
		let hosts = &self.hosts;
		self.chain.with(|| network::commit(hosts, epoch, segments, leaves));
		self.chain.commit();
	}

	/// Asserts that the epoch ran as planned and that no money is lost.
	fn check(&mut self) {
		let hosts = self.hosts.len();
		self.chain.with(|| {
			let settled = pallet_poc::WeighedEpochs::<Runtime>::get(FIRST + WARM_UP).expect("the epoch was weighed");
			assert_eq!(settled.hosts as usize, hosts, "all hosts took part");
			assert!(pallet_emission::Pending::<Runtime>::get().is_empty(), "all are paid");
			assert_eq!(pallet_poc::Standings::<Runtime>::iter_prefix(FIRST).count(), 0, "old epochs are forgotten");
			assert_eq!(HeldFees::<Runtime>::iter().count(), 0, "all fees are released");
			let behind = |vesting: Vesting| vesting.updated < FIRST + WARM_UP;
			assert!(!pallet_emission::Vestings::<Runtime>::iter_values().any(behind), "all rewards have vested so far");
			let accounts = frame_system::Account::<Runtime>::iter_values();
			let sum: u128 = accounts.map(|account| account.data.free + account.data.reserved).sum();
			assert_eq!(sum, Balances::total_issuance());
			assert_invariants();
		});
	}
}

/// Sets the clocks to the last block before epoch `first`.
fn past(first: EpochIndex, length: BlockNumber) {
	let epoch = pallet_poc::Epoch {
		index: first - 1,
		start: (first - 1) * length + 1,
		schedule: Time::THIS.schedule,
		format: <Runtime as pallet_poc::Config>::SprintFormat::get(),
		model_seed: [0; 32],
		segment_seeds: Default::default(),
		confirmations: Default::default(),
		beacon: None,
		round_beacons: Default::default(),
	};
	pallet_poc::CurrentEpoch::<Runtime>::put(epoch);
	pallet_poc::PrunedTo::<Runtime>::put(first - 1);
	pallet_sprint_check::PrunedTo::<Runtime>::put(first - 1);
	pallet_inference_market::OldestDue::<Runtime>::put(first * length / Time::THIS.window);
}

/// All hosts had weight in an epoch: a draw limits the number of hosts that are new.
fn took_part(hosts: &[Host], epoch: EpochIndex) {
	let mut candidates = Vec::new();
	for (index, host) in hosts.iter().enumerate() {
		let weight = leaves(index);
		pallet_poc::Standings::<Runtime>::insert(epoch, &host.account, Standing::of_weight(index as u32, weight));
		candidates.push((host.account.clone(), weight));
	}
	let total = candidates.iter().map(|(_, weight)| weight).sum();
	candidates.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
	pallet_poc::Candidates::<Runtime>::put(BoundedVec::truncate_from(candidates));
	pallet_poc::WeighedEpochs::<Runtime>::insert(epoch, EpochWeights::of_total(total, hosts.len() as u32));
	pallet_poc::LastWeighed::<Runtime>::put(epoch);
}

/// The number of leaves of the host with an index in a segment. None is below a sixteenth of the mean: all places are taken,
/// so lighter hosts would lose theirs.
fn leaves(index: usize) -> u64 {
	20_000 * (10 + index as u64 % 88)
}

/// Adds grants of earlier epochs. One of them ends in each of the epochs that run here.
fn vest(host: &AccountId, index: usize) {
	let updated = FIRST - 1;
	let mut vesting = Vesting { updated, ..Default::default() };
	let ending = FIRST - VESTING..=FIRST - VESTING + WARM_UP;
	for epoch in ending.chain([FIRST - 90, FIRST - 1]) {
		let amount = u128::from(VESTING) * (1_000_000 + index as u128);
		pallet_emission::Grants::<Runtime>::insert(host, epoch, amount);
		vesting.rate += amount;
		vesting.locked += amount / u128::from(VESTING) * u128::from(epoch + VESTING - updated);
	}
	let pot = pallet_emission::Pallet::<Runtime>::pot();
	Balances::mint_into(&pot, vesting.locked).unwrap();
	pallet_emission::Unmined::<Runtime>::mutate(|unmined| *unmined -= vesting.locked);
	pallet_emission::Vestings::<Runtime>::insert(host, vesting);
}

/// Opens the channels of all hosts, with developers in turn. Returns their ids and developers by host.
fn open(hosts: &[Host], developers: &[Developer], each: usize) -> Vec<Vec<(u64, usize)>> {
	let mut lists = vec![Vec::new(); developers.len()];
	for host in 0..hosts.len() {
		(0..each).for_each(|number| lists[(host * each + number) % developers.len()].push(host));
	}
	let mut channels = vec![Vec::new(); hosts.len()];
	let mut id = 0;
	for (by, list) in lists.iter().enumerate() {
		for part in list.chunks(64) {
			let list = part.iter().map(|host| (hosts[*host].account.clone(), GNK)).collect::<Vec<_>>();
			let origin = RuntimeOrigin::signed(developers[by].account.clone());
			let gateway = developers[by].gateway.public().0;
			InferenceMarket::open_channels(origin, gateway, list.try_into().unwrap()).unwrap();
			for host in part {
				channels[*host].push((id, by));
				id += 1;
			}
		}
	}
	channels
}

/// Records that nine of ten checkers have revealed all their digests, and one in ten has not.
fn reveal(epoch: &pallet_poc::Epoch) {
	let checkers = pallet_poc::Checkers::<Runtime>::get(epoch.index);
	for (checker, _) in checkers.iter().enumerate().filter(|(number, _)| number % 10 != 0).map(|(_, entry)| entry) {
		let sets = Poc::duties(epoch, checker).iter().map(|duty| duty.sets.len() as u32).sum();
		Poc::note_digests(epoch.index, checker, sets, sets);
	}
}

fn share(weight: u64) -> f64 {
	100.0 * weight as f64 / max_block() as f64
}

fn idle(block: &Block) -> u64 {
	block.total - block.start - block.transactions
}

/// Returns the greatest share of a block that any block took, in per cent.
pub fn greatest(blocks: &[Measured]) -> f64 {
	blocks.iter().map(|measured| share(measured.block.total)).fold(0.0, f64::max)
}

/// Describes the epoch in a line.
fn what_ran(size: &Size, blocks: &[Measured]) -> String {
	let settlements: u32 = blocks.iter().map(|measured| measured.settlements).sum();
	format!(
		"One epoch, {} blocks: {} hosts, {} validators, {} open channels; {settlements} settlements of {} vouchers each.\n",
		blocks.len(),
		size.hosts,
		size.validators,
		size.hosts * size.channels,
		size.channels,
	)
}

/// Returns a table with the maximum of each phase.
pub fn report(size: &Size, blocks: &[Measured]) -> String {
	let mut out = what_ran(size, blocks);
	let _ = writeln!(
		out,
		"Dispatch weight as a share of a block's {} ms of computation; native time of one core of this machine, state in memory.\n",
		Time::MAINNET.slot_ms / 3,
	);
	let _ = writeln!(
		out,
		"{:<8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
		"phase", "blocks", "greatest", "at", "hooks", "settle", "idle", "max ms", "mean ms"
	);
	for (name, all) in by_phase(blocks) {
		let top = all.iter().max_by_key(|measured| measured.block.total).unwrap();
		let times = || all.iter().map(|measured| measured.block.time.as_secs_f64() * 1e3);
		let _ = writeln!(
			out,
			"{name:<8} {:>7} {:>7.2} % {:>8} {:>6.2} % {:>6.2} % {:>6.2} % {:>9.2} {:>9.2}",
			all.len(),
			share(top.block.total),
			top.offset,
			share(top.block.start),
			share(top.block.transactions),
			share(idle(&top.block)),
			times().fold(0.0, f64::max),
			times().sum::<f64>() / all.len() as f64,
		);
	}
	let mut slowest: Vec<_> = blocks.iter().collect();
	slowest.sort_by_key(|measured| std::cmp::Reverse(measured.block.time));
	let _ = writeln!(out, "\nThe slowest blocks, native and declared:");
	for Measured { offset, block, settlements, .. } in slowest.into_iter().take(5) {
		let (native, declared) = (block.time.as_secs_f64() * 1e3, block.total as f64 / 1e9);
		let _ = writeln!(out, "  block {offset}: {native:.0} ms, declared {declared:.0} ms, {settlements} settlements");
	}
	let _ = writeln!(out, "\nGreatest share of any block: {:.2} %. The limit is 25 %.", greatest(blocks));
	out
}

/// The blocks of each phase, in their order.
fn by_phase(blocks: &[Measured]) -> impl Iterator<Item = (&'static str, Vec<&Measured>)> {
	let mut phases = BTreeMap::<u8, (&str, Vec<&Measured>)>::new();
	for measured in blocks {
		let (order, name) = match measured.phase {
			Phase::Init => (0, "init"),
			Phase::Sprint(_) => (1, "sprint"),
			Phase::Check => (2, "check"),
			Phase::Weigh => (3, "weigh"),
			Phase::Work => (4, "work"),
		};
		phases.entry(order).or_insert((name, Vec::new())).1.push(measured);
	}
	phases.into_values()
}

/// Returns a table with the greatest proofs of each phase.
pub fn proofs(size: &Size, blocks: &[Measured]) -> String {
	let mut out = what_ran(size, blocks);
	let _ = writeln!(
		out,
		"Proof of a block, in kB: the trie nodes by which the relay chain's validators execute it. A block of the parachain may \
		 declare {:.0} kB.\n\n\
		 {:<8} {:>7} {:>9} {:>8} {:>9} {:>9} {:>8} {:>9} {:>8}",
		MAX_PROOF as f64 / 1e3,
		"phase",
		"blocks",
		"declared",
		"at",
		"measured",
		"greatest",
		"at",
		"declared",
		"mean",
	);
	let kilobytes = |bytes: u64| bytes as f64 / 1e3;
	for (name, all) in by_phase(blocks) {
		let declared = all.iter().max_by_key(|measured| measured.block.declared_proof).unwrap();
		let greatest = all.iter().max_by_key(|measured| measured.block.proof).unwrap();
		let mean = all.iter().map(|measured| kilobytes(measured.block.proof)).sum::<f64>() / all.len() as f64;
		let _ = writeln!(
			out,
			"{name:<8} {:>7} {:>9.0} {:>8} {:>9.0} {:>9.0} {:>8} {:>9.0} {mean:>8.1}",
			all.len(),
			kilobytes(declared.block.declared_proof),
			declared.offset,
			kilobytes(declared.block.proof),
			kilobytes(greatest.block.proof),
			greatest.offset,
			kilobytes(greatest.block.declared_proof),
		);
	}
	let above = blocks.iter().filter(|measured| measured.block.proof > measured.block.declared_proof).count();
	let _ = writeln!(
		out,
		"\nGreatest share of a block's proof: {:.1} % declared, {:.1} % measured. {above} blocks took more than they declared.",
		100.0 * share_of_proof(blocks, |block| block.declared_proof),
		100.0 * share_of_proof(blocks, |block| block.proof),
	);
	out
}

/// The greatest share of [`MAX_PROOF`] of any block.
pub fn share_of_proof(blocks: &[Measured], what: impl Fn(&Block) -> u64) -> f64 {
	blocks.iter().map(|measured| what(&measured.block)).max().unwrap_or_default() as f64 / MAX_PROOF as f64
}

/// Plots the shares of a block over the epoch; of each stretch, the greatest.
pub fn plot(size: &Size, blocks: &[Measured]) -> Plot {
	let line = |what: &dyn Fn(&Block) -> u64| {
		let mut points = BTreeMap::<u64, f64>::new();
		for measured in blocks {
			// 40 stretches for each factor of ten.
			let stretch = (f64::from(measured.offset + 1).log10() * 40.0) as u64;
			let point = points.entry(stretch).or_default();
			*point = point.max(share(what(&measured.block)));
		}
		points.into_iter().map(|(stretch, share)| (10f64.powf(stretch as f64 / 40.0), share)).collect()
	};
	let series =
		|name: &str, what: &dyn Fn(&Block) -> u64| Series { name: name.into(), line: line(what), points: vec![] };
	Plot {
		names_on_top: true,
		title: format!("An epoch of {} hosts and {} channels", size.hosts, size.hosts * size.channels),
		x_label: "block of the epoch".into(),
		y_label: "dispatch weight, % of a block".into(),
		x_ticks: [1, 10, 60, 100, 200, 600, 1_200, 3_000, 14_400].map(|x| (f64::from(x), x.to_string())).into(),
		y_ticks: [0.0, 5.0, 10.0, 15.0, 20.0, 25.0].map(|y| (y, y.to_string())).into(),
		series: vec![
			series("all", &|block| block.total),
			series("hooks", &|block| block.start),
			series("settlements", &|block| block.transactions),
			series("idle work", &idle),
		],
		note: "each point: the greatest of its stretch; the limit is 25 %".into(),
	}
}
