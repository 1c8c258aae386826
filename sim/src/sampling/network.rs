//! Whole epochs of a network in which some hosts cheat and some lie about others.
//!
//! Each window every host settles a batch. In the next one samples are drawn of it and checked, cases are opened and
//! arbiters drawn; in the one after these have ruled. What the pallet keeps of reputation and audits is done here again,
//! in short: the pallet needs the SDK.

use super::{HONEST, INT8, happens, length};
use crate::{
	Config,
	epoch::beacon,
	population::{Population, account, rng, shuffled},
};
use gonka_primitives::{
	Hash,
	market::Totals,
	merkle_sum::SumNode,
	sampling::{
		ARBITERS, Breach, Counts, FRESH, Finding, MAX_AUDIT, Outcome, Pick, Profile, Rules, Scope, arbiter_ticket,
		batch_seed, case_seed, checker_ticket, fresh_draw, judge, position, sample_count,
	},
};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};

/// Windows of an epoch: mainnet's.
pub const WINDOWS: u32 = 24;
/// Windows whose settlements a case draws from.
const KEPT: usize = 8;
/// Tickets for a checker, and hosts asked in all.
const CHECKER: (u32, u32) = (3, 6);
/// The same for an arbiter.
const ARBITER: (u32, u32) = (24, 32);

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
	/// Nothing wrong.
	Honest,
	/// Takes a share of its answers from 8-bit weights, and checks others honestly.
	Cheat,
	/// Finds everything right.
	Lenient,
	/// Finds everything wrong.
	Hostile,
	/// Cheats, finds its own kind right and all others wrong.
	Colluder,
}

/// Who there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
	/// Hosts.
	pub hosts: usize,
	/// Epochs.
	pub epochs: u32,
	/// Receipts that a host settles in a window, on average; by its weight.
	pub receipts: u64,
	/// The share of wrong answers of those that cheat.
	pub share: f64,
	/// Of a thousand hosts: cheats, lenient, hostile and colluding ones.
	pub roles: [usize; 4],
	/// Everything follows from it.
	pub seed: u64,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
	/// Samples checked.
	pub samples: u64,
	/// Receipts settled.
	pub receipts: u64,
	/// Cases, by what the host does: honest, or it cheats.
	pub cases: [u64; 2],
	/// Hosts found guilty, of the same two kinds.
	pub convicted: [u64; 2],
	/// Honest hosts found guilty although most arbiters told the truth.
	pub wrong: u64,
	/// Cases in which most arbiters lied about the host.
	pub packed: u64,
	/// Hosts that cheat.
	pub cheats: u64,
	/// Windows from a cheat's first settlement to its conviction, ascending.
	pub found: Vec<u32>,
	/// Honest checkers and arbiters struck although most arbiters told the truth.
	pub struck_wrongly: u64,
	/// Hosts that were struck at least once: lenient, hostile, colluding.
	pub struck: [u64; 3],
	/// Hosts there are: lenient, hostile, colluding.
	pub liars: [u64; 3],
}

struct Host {
	role: Role,
	reputation: u32,
	missed: bool,
	muted: Option<u32>,
	first: u32,
	sum: u64,
	heard: VecDeque<(usize, u32, usize, Option<bool>)>,
	posted: VecDeque<u32>,
	convicted: bool,
	struck: bool,
}

struct Batch {
	tokens: Vec<u16>,
	wrong: Vec<bool>,
	leaves: Vec<SumNode<Totals>>,
}

struct Case {
	host: usize,
	seed: Hash,
	arbiters: Vec<usize>,
	audit: Vec<(usize, u32, usize, Option<bool>)>,
	scope: Vec<Scope>,
}

struct Network<'a> {
	setting: &'a Setting,
	rules: Rules,
	profile: Profile,
	hosts: Vec<Host>,
	receipts: Vec<u64>,
	table: Vec<u64>,
	rng: ChaCha8Rng,
	batches: BTreeMap<(usize, u32), Batch>,
	out: Outcomes,
}

/// Simulates a setting with a profile.
pub fn simulate(setting: &Setting, profile: Profile) -> Outcomes {
	let config = Config { hosts: setting.hosts, seed: setting.seed, ..Config::default() };
	let weights = Population::new(&config).weights(0);
	let total: u64 = weights.iter().sum();
	let mut roles: Vec<Role> = Vec::new();
	for (role, number) in [Role::Cheat, Role::Lenient, Role::Hostile, Role::Colluder].into_iter().zip(setting.roles) {
		roles.extend(vec![role; number * setting.hosts / 1_000]);
	}
	roles.resize(setting.hosts, Role::Honest);
	let mut rng = rng(setting.seed, b"network", setting.roles.iter().fold(0, |sum, role| sum * 1_000 + *role as u64));
	let order = shuffled(&mut rng, setting.hosts);
	let host = |index: &usize| Host {
		role: roles[*index],
		reputation: 0,
		missed: false,
		muted: None,
		first: 0,
		sum: 0,
		heard: VecDeque::new(),
		posted: VecDeque::new(),
		convicted: false,
		struck: false,
	};
	let count = |role| roles.iter().filter(|other| **other == role).count() as u64;
	let mut network = Network {
		setting,
		rules: Rules::new(600),
		profile,
		hosts: order.iter().map(host).collect(),
		receipts: weights.iter().map(|w| (w * setting.receipts * weights.len() as u64 / total).max(1)).collect(),
		table: weights
			.iter()
			.scan(0, |sum, weight| {
				*sum += weight;
				Some(*sum)
			})
			.collect(),
		rng,
		batches: BTreeMap::new(),
		out: Outcomes {
			cheats: count(Role::Cheat) + count(Role::Colluder),
			liars: [Role::Lenient, Role::Hostile, Role::Colluder].map(count),
			..Outcomes::default()
		},
	};
	network.run();
	let struck = |role| network.hosts.iter().filter(|host| host.role == role && host.struck).count() as u64;
	let mut out = network.out.clone();
	out.struck = [Role::Lenient, Role::Hostile, Role::Colluder].map(struck);
	out.found.sort_unstable();
	out
}

impl Network<'_> {
	fn run(&mut self) {
		let mut open: Vec<Case> = Vec::new();
		for window in 0..self.setting.epochs * WINDOWS {
			let epoch = window / WINDOWS;
			for case in std::mem::take(&mut open) {
				self.close(&case, window, epoch);
			}
			let beacon = beacon(&mut self.rng);
			for index in shuffled(&mut self.rng, self.hosts.len()) {
				if let Some(settled) = window.checked_sub(1).filter(|_| !self.hosts[index].posted.is_empty()) {
					self.check(&beacon, index, settled, epoch, &mut open);
				}
			}
			for index in 0..self.hosts.len() {
				self.settle(index, window);
			}
			if window % WINDOWS == WINDOWS - 1 {
				for host in &mut self.hosts {
					host.reputation = self.rules.next_reputation(host.reputation, host.missed);
					host.missed = false;
				}
			}
		}
	}

	/// A host answers and settles. One that was convicted serves no more.
	fn settle(&mut self, index: usize, window: u32) {
		let host = &mut self.hosts[index];
		if let Some(old) = host.posted.len().checked_sub(KEPT + 1).and_then(|_| host.posted.pop_front()) {
			self.batches.remove(&(index, old));
		}
		if host.convicted {
			return;
		}
		host.posted.push_back(window);
		let cheats = matches!(host.role, Role::Cheat | Role::Colluder);
		let share = if cheats { self.setting.share } else { 0.0 };
		let mut batch = Batch { tokens: Vec::new(), wrong: Vec::new(), leaves: Vec::new() };
		for _ in 0..self.receipts[index] {
			let tokens = length(&mut self.rng);
			batch.tokens.push(tokens);
			batch.wrong.push(happens(&mut self.rng, share));
			let sum = Totals { fee: 0, work: tokens.into(), receipts: 1 };
			batch.leaves.push(SumNode { hash: Hash::default(), sum });
		}
		self.out.receipts += self.receipts[index];
		self.batches.insert((index, window), batch);
	}

	/// Samples of a host's settlement are drawn and checked.
	fn check(&mut self, beacon: &Hash, index: usize, window: u32, epoch: u32, open: &mut Vec<Case>) {
		let Some(batch) = self.batches.get(&(index, window)) else { return };
		let (receipts, work) = (batch.leaves.len() as u64, batch.tokens.iter().map(|tokens| u64::from(*tokens)).sum());
		let host = &mut self.hosts[index];
		let first = u64::from(self.rules.first - host.first).min(receipts);
		host.first += first as u32;
		let seed = batch_seed(beacon, &account(index), window);
		let rest = sample_count(&seed, receipts - first, self.rules.rate(host.reputation), work, work);
		for k in 0..(first + rest).min(self.rules.most.into()) as u32 {
			let pick =
				if u64::from(k) < first { Pick::Receipt(k.into()) } else { Pick::Work(position(&seed, k, work)) };
			let Some(receipt) = self.batches.get(&(index, window)).and_then(|batch| pick.find(&batch.leaves)) else {
				continue;
			};
			let ticket = |attempt, total| checker_ticket(&seed, k, attempt, total);
			let mut checker = None;
			self.ask(CHECKER, ticket, |who| {
				checker = Some(who).filter(|who| *who != index && !self.is_muted(*who, epoch));
				checker.is_some()
			});
			let Some(checker) = checker else { continue };
			self.out.samples += 1;
			let finding = self.look(checker, index, window, receipt);
			// While a case is open, findings do nothing.
			if !open.iter().any(|case| case.host == index) && self.suspect(index, (checker, window, receipt), &finding)
			{
				let case = self.open(index, epoch, open.len() as u32);
				open.push(case);
			}
		}
	}

	/// What one host says of another's receipt.
	fn look(&mut self, who: usize, host: usize, window: u32, receipt: usize) -> Finding {
		let Some(batch) = self.batches.get(&(host, window)) else { return Finding::Inconclusive };
		let (tokens, is_wrong) = (batch.tokens[receipt], batch.wrong[receipt]);
		let right = Finding::Checked(Counts::new([tokens, 0, 0, 0, 0, 0, 0, 0], [tokens, 0, 0, 0, 0, 0, 0, 0]));
		let wrong = Finding::Broken(Breach::Output);
		match self.hosts[who].role {
			Role::Lenient => right,
			Role::Hostile => wrong,
			Role::Colluder if self.hosts[host].role == Role::Colluder => right,
			Role::Colluder => wrong,
			// Everyone sees it on a chip of its own.
			_ => Finding::Checked(if is_wrong { &INT8 } else { &HONEST }.draw(&mut self.rng, tokens)),
		}
	}

	/// Whether the alarm is raised.
	fn suspect(&mut self, index: usize, (checker, window, receipt): (usize, u32, usize), finding: &Finding) -> bool {
		let Some(weight) = self.profile.weigh(finding, self.rules.unavailable) else { return false };
		let said = self.said(finding);
		let host = &mut self.hosts[index];
		host.sum = host.sum.saturating_add_signed(weight);
		if said.is_some() {
			host.heard.push_back((checker, window, receipt, said));
			if host.heard.len() > MAX_AUDIT as usize {
				host.heard.pop_front();
			}
		}
		host.sum >= self.profile.alarm.into()
	}

	/// Whether a finding clearly says that the answer is wrong, or clearly that it is right.
	fn said(&self, finding: &Finding) -> Option<bool> {
		let weight = self.profile.weigh(finding, self.rules.unavailable)?;
		(weight.unsigned_abs() >= u64::from(self.rules.clear.min(self.profile.clamp))).then_some(weight > 0)
	}

	fn is_muted(&self, host: usize, epoch: u32) -> bool {
		self.hosts[host].muted.is_some_and(|last| epoch <= last)
	}

	/// Asks hosts by weight, then their neighbours, until `take` is true.
	fn ask(&self, (tickets, most): (u32, u32), ticket: impl Fn(u32, u64) -> u64, mut take: impl FnMut(usize) -> bool) {
		let total = self.table.last().copied().unwrap_or(0);
		let mut index = 0;
		for attempt in 0..most {
			index = if attempt < tickets {
				let drawn = ticket(attempt, total);
				self.table.partition_point(|cumulative| *cumulative <= drawn)
			} else {
				(index + 1) % self.table.len()
			};
			if take(index) {
				return;
			}
		}
	}

	fn open(&mut self, index: usize, epoch: u32, number: u32) -> Case {
		let seed = case_seed(&beacon(&mut self.rng), number);
		let host = &mut self.hosts[index];
		host.sum = 0;
		let audit: Vec<_> = host.heard.drain(..).filter(|heard| host.posted.contains(&heard.1)).collect();
		let scope = host.posted.iter().skip(host.posted.len().saturating_sub(KEPT)).map(|window| {
			let work =
				self.batches.get(&(index, *window)).map_or(0, |batch| batch.tokens.iter().map(|t| u64::from(*t)).sum());
			let root = SumNode { hash: Hash::default(), sum: Totals::default() };
			Scope { window: *window, root, first: 0, work }
		});
		let scope = scope.collect();
		let (mut outside, mut inside) = (Vec::new(), Vec::new());
		self.ask(
			ARBITER,
			|attempt, total| arbiter_ticket(&seed, attempt, total),
			|who| {
				if who != index && !self.is_muted(who, epoch) && !outside.contains(&who) && !inside.contains(&who) {
					let is_party = audit.iter().any(|heard| heard.0 == who);
					if is_party { inside.push(who) } else { outside.push(who) }
				}
				outside.len() >= ARBITERS as usize
			},
		);
		let arbiters = outside.into_iter().chain(inside).take(ARBITERS as usize).collect();
		self.out.cases[usize::from(self.cheats(index))] += 1;
		Case { host: index, seed, arbiters, audit, scope }
	}

	fn cheats(&self, host: usize) -> bool {
		matches!(self.hosts[host].role, Role::Cheat | Role::Colluder)
	}

	/// Whether a host tells the truth about another.
	fn is_true(&self, who: usize, host: usize) -> bool {
		match self.hosts[who].role {
			Role::Honest | Role::Cheat => true,
			Role::Lenient => !self.cheats(host),
			Role::Hostile | Role::Colluder => false,
		}
	}

	fn close(&mut self, case: &Case, window: u32, epoch: u32) {
		let (mut guilty, mut rulings) = (0, Vec::new());
		for (number, arbiter) in case.arbiters.iter().enumerate() {
			let audit: Vec<_> = case
				.audit
				.iter()
				.map(|(_, window, receipt, _)| {
					let finding = self.look(*arbiter, case.host, *window, *receipt);
					self.said(&finding)
				})
				.collect();
			rulings.push((*arbiter, audit));
			guilty += usize::from(self.rule(case, number as u32, *arbiter) == Outcome::Guilty);
		}
		let is_guilty = guilty * 2 > case.arbiters.len();
		let lies = case.arbiters.iter().filter(|arbiter| !self.is_true(**arbiter, case.host)).count();
		let is_packed = lies * 2 > case.arbiters.len();
		let cheats = self.cheats(case.host);
		self.out.packed += u64::from(is_packed);
		if is_guilty && !self.hosts[case.host].convicted {
			self.out.convicted[usize::from(cheats)] += 1;
			self.out.wrong += u64::from(!cheats && !is_packed);
			if cheats {
				self.out.found.push(window);
			}
			self.mute(case.host, epoch);
			self.hosts[case.host].convicted = true;
		}
		let mut struck = Vec::new();
		for (index, heard) in case.audit.iter().enumerate() {
			let votes = |said| rulings.iter().filter(|(_, all)| all[index] == Some(said)).count();
			let Some(truth) = [false, true].into_iter().find(|said| votes(*said) * 2 > case.arbiters.len()) else {
				continue;
			};
			let all = rulings.iter().map(|(who, all)| (*who, all[index])).chain([(heard.0, heard.3)]);
			struck.extend(all.filter(|(_, said)| *said == Some(!truth)).map(|(who, _)| who));
		}
		struck.sort_unstable();
		struck.dedup();
		for who in struck {
			self.out.struck_wrongly += u64::from(!is_packed && self.is_true(who, case.host));
			self.hosts[who].struck = true;
			self.mute(who, epoch);
		}
	}

	/// Reputation is gone, and nobody listens for a while.
	fn mute(&mut self, who: usize, epoch: u32) {
		let host = &mut self.hosts[who];
		(host.reputation, host.missed, host.muted) = (0, true, Some(epoch + self.rules.mute));
	}

	fn rule(&mut self, case: &Case, number: u32, arbiter: usize) -> Outcome {
		let bounds = (self.rules.guilty, self.rules.innocent);
		let (mut seen, mut fresh) = (Vec::new(), Vec::new());
		for k in 0..FRESH {
			let drawn = fresh_draw(&case.seed, number, k, &case.scope).and_then(|(part, pick)| {
				let window = case.scope.get(part)?.window;
				Some((window, pick.find(&self.batches.get(&(case.host, window))?.leaves)?))
			});
			let is_new = |place: &(u32, usize)| {
				!seen.contains(place) && !case.audit.iter().any(|heard| (heard.1, heard.2) == *place)
			};
			let finding = match drawn.filter(is_new) {
				Some((window, receipt)) => {
					seen.push((window, receipt));
					self.look(arbiter, case.host, window, receipt)
				},
				None => Finding::Inconclusive,
			};
			fresh.push(finding);
			if let Some(outcome) = judge(&self.profile, &fresh, self.rules.unavailable, bounds) {
				return outcome;
			}
		}
		Outcome::Innocent
	}
}
