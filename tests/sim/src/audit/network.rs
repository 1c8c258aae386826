//! Whole epochs of a network in which some hosts cheat and some lie about others.
//!
//! In each window every host settles a batch. In the next window audits of it are drawn and made, and cases are opened;
//! in the one after that their arbiters rule. An honest
//! host that is judged guilty appeals, and the appeal is decided at once. The pallet's rules of reputation and audits are repeated here in short,
//! because the pallet needs the SDK.

use super::{HONEST, INT8, happens, length};
use crate::{
	Config,
	epoch::beacon,
	population::{Population, account, rng, shuffled},
};
use gonka_primitives::{
	Hash,
	audit::{
		AuditRules, Breach, CalibrationProfile, Counts, FRESH, Finding, MAX_REVIEWED, MAX_TICKETS, Outcome, Pick,
		Scope, arbiter_ticket, audit_count, batch_seed, case_seed, checker_ticket, decides, fresh_draw, judge,
		position, skip_excluded,
	},
	market::Totals,
	merkle_sum::SumNode,
};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};

/// Number of windows in an epoch: mainnet's.
pub const WINDOWS: u32 = 24;
/// Number of windows whose settlements a case draws from.
const KEPT: usize = 8;
/// Number of tickets for a checker, and maximum number of hosts tried in all.
const CHECKER: (u32, u32) = (3, 6);
/// Number by which the cases of appeals differ from others.
const APPEAL: u32 = 1 << 31;

/// Behaviour of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
	/// Does everything right.
	Honest,
	/// Takes a share of its completions from 8-bit weights, and checks others honestly.
	Cheat,
	/// Finds every completion right.
	Lenient,
	/// Finds every completion wrong.
	Hostile,
	/// Cheats, and finds completions of colluders right and all others wrong.
	Colluder,
}

/// Hosts of a network, and how long it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
	/// Number of hosts.
	pub hosts: usize,
	/// Number of epochs.
	pub epochs: u32,
	/// Receipts that a host settles in a window, on average; by its weight.
	pub receipts: u64,
	/// Share of wrong completions of the hosts that cheat.
	pub share: f64,
	/// Number of cheats, lenient, hostile and colluding hosts in a thousand.
	pub roles: [usize; 4],
	/// Seed of everything random.
	pub seed: u64,
}

/// Outcomes of a simulation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
	/// Number of audits.
	pub audits: u64,
	/// Number of settled receipts.
	pub receipts: u64,
	/// Number of cases about honest hosts, and about cheats.
	pub cases: [u64; 2],
	/// Number of judgements against honest hosts, all of which appeal.
	pub appeals: u64,
	/// Number of honest hosts, and of cheats, convicted.
	pub convicted: [u64; 2],
	/// Number of judgements against honest hosts although most seats told the truth.
	pub wrong: u64,
	/// Number of cases and appeals in which seats that lied about the host decided.
	pub packed: u64,
	/// Number of hosts that cheat.
	pub cheats: u64,
	/// Windows from a cheat's first settlement to its conviction, ascending.
	pub found: Vec<u32>,
	/// Number of honest checkers and arbiters discredited although most arbiters told the truth.
	pub discredited_wrongly: u64,
	/// Number of lenient, hostile and colluding hosts that were discredited at least once.
	pub discredited: [u64; 3],
	/// Number of lenient, hostile and colluding hosts.
	pub liars: [u64; 3],
}

/// A finding that clearly says whether a completion is right.
#[derive(Clone, Copy)]
struct Clear {
	checker: usize,
	window: u32,
	receipt: usize,
	opinion: Option<bool>,
}

struct Host {
	role: Role,
	reputation: u32,
	missed: bool,
	muted: Option<u32>,
	first: u32,
	sum: u64,
	clear: VecDeque<Clear>,
	posted: VecDeque<u32>,
	convicted: bool,
	discredited: bool,
}

struct Batch {
	tokens: Vec<u16>,
	wrong: Vec<bool>,
	leaves: Vec<SumNode<Totals>>,
}

struct Case {
	host: usize,
	seed: Hash,
	/// Hosts, each with a number of seats.
	arbiters: Vec<(usize, u32)>,
	reviewed: Vec<Clear>,
	scope: Vec<Scope>,
}

/// The outcome of a case or appeal.
struct Decision {
	guilty: bool,
	/// Whether most seats lied.
	packed: bool,
	/// The arbiters' opinions about the reviewed audits.
	rulings: Vec<(usize, u32, Vec<Option<bool>>)>,
}

struct Network<'a> {
	setting: &'a Setting,
	rules: AuditRules,
	profile: CalibrationProfile,
	hosts: Vec<Host>,
	receipts: Vec<u64>,
	table: Vec<u64>,
	rng: ChaCha8Rng,
	batches: BTreeMap<(usize, u32), Batch>,
	out: Outcomes,
}

/// Returns mainnet's rules.
pub fn rules() -> AuditRules {
	AuditRules::new(600, 7_200)
}

/// Simulates a setting with a profile.
pub fn simulate(setting: &Setting, profile: CalibrationProfile) -> Outcomes {
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
		clear: VecDeque::new(),
		posted: VecDeque::new(),
		convicted: false,
		discredited: false,
	};
	let count = |role| roles.iter().filter(|other| **other == role).count() as u64;
	let mut network = Network {
		setting,
		rules: rules(),
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
	let discredited = |role| network.hosts.iter().filter(|host| host.role == role && host.discredited).count() as u64;
	let mut out = network.out.clone();
	out.discredited = [Role::Lenient, Role::Hostile, Role::Colluder].map(discredited);
	out.found.sort_unstable();
	out
}

impl Network<'_> {
	fn run(&mut self) {
		let mut open: Vec<Case> = Vec::new();
		for window in 0..self.setting.epochs * WINDOWS {
			let epoch = window / WINDOWS;
			for case in std::mem::take(&mut open) {
				self.close(case, window, epoch);
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

	/// Lets a host serve and settle. A convicted host serves no more.
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

	/// Draws the audits of a host's settlement, and makes them.
	fn check(&mut self, beacon: &Hash, index: usize, window: u32, epoch: u32, open: &mut Vec<Case>) {
		let Some(batch) = self.batches.get(&(index, window)) else { return };
		let (receipts, work) = (batch.leaves.len() as u64, batch.tokens.iter().map(|tokens| u64::from(*tokens)).sum());
		let host = &mut self.hosts[index];
		let first = u64::from(self.rules.first - host.first).min(receipts);
		host.first += first as u32;
		let seed = batch_seed(beacon, &account(index), window);
		let rest = audit_count(&seed, receipts - first, self.rules.rate(host.reputation), work, work);
		for k in 0..(first + rest).min(self.rules.max_audits.into()) as u32 {
			let pick =
				if u64::from(k) < first { Pick::Receipt(k.into()) } else { Pick::Work(position(&seed, k, work)) };
			let Some(receipt) = self.batches.get(&(index, window)).and_then(|batch| pick.find(&batch.leaves)) else {
				continue;
			};
			let ticket = |attempt, total| checker_ticket(&seed, k, attempt, total);
			let mut checker = None;
			self.draw_hosts(CHECKER, ticket, |who| {
				checker = Some(who).filter(|who| *who != index && !self.is_muted(*who, epoch));
				checker.is_some()
			});
			let Some(checker) = checker else { continue };
			self.out.audits += 1;
			let finding = self.audit(checker, index, window, receipt);
			// While a case is open, findings about its host have no effect.
			if !open.iter().any(|case| case.host == index)
				&& self.add_finding(index, (checker, window, receipt), &finding)
			{
				let case = self.open(index, epoch, open.len() as u32);
				open.push(case);
			}
		}
	}

	/// Returns one host's finding about another's receipt.
	fn audit(&mut self, auditor: usize, host: usize, window: u32, receipt: usize) -> Finding {
		let Some(batch) = self.batches.get(&(host, window)) else { return Finding::Inconclusive };
		let (tokens, is_wrong) = (batch.tokens[receipt], batch.wrong[receipt]);
		let right = Finding::Checked(Counts::new([tokens, 0, 0, 0, 0, 0, 0, 0], [tokens, 0, 0, 0, 0, 0, 0, 0]));
		let wrong = Finding::Broken(Breach::Output);
		match self.hosts[auditor].role {
			Role::Lenient => right,
			Role::Hostile => wrong,
			Role::Colluder if self.hosts[host].role == Role::Colluder => right,
			Role::Colluder => wrong,
			// Every auditor computes on a chip of its own.
			_ => Finding::Checked(if is_wrong { &INT8 } else { &HONEST }.draw(&mut self.rng, tokens)),
		}
	}

	/// Adds a finding to a host's sum, and returns whether it raises the alarm.
	fn add_finding(
		&mut self,
		index: usize,
		(checker, window, receipt): (usize, u32, usize),
		finding: &Finding,
	) -> bool {
		let Some(weight) = self.profile.weigh(finding, self.rules.unavailable) else { return false };
		let opinion = self.opinion(finding);
		let host = &mut self.hosts[index];
		host.sum = host.sum.saturating_add_signed(weight);
		if opinion.is_some() {
			host.clear.push_back(Clear { checker, window, receipt, opinion });
			if host.clear.len() > MAX_REVIEWED as usize {
				host.clear.pop_front();
			}
		}
		host.sum >= self.profile.alarm.into()
	}

	/// Returns `Some(true)` for a finding that clearly says that the completion is wrong, `Some(false)` for one that
	/// clearly says that it is right, and `None` for others.
	fn opinion(&self, finding: &Finding) -> Option<bool> {
		let weight = self.profile.weigh(finding, self.rules.unavailable)?;
		(weight.unsigned_abs() >= u64::from(self.rules.clear.min(self.profile.clamp))).then_some(weight > 0)
	}

	fn is_muted(&self, host: usize, epoch: u32) -> bool {
		self.hosts[host].muted.is_some_and(|last| epoch <= last)
	}

	/// Draws hosts by weight, then tries their neighbours, until `take` returns true.
	fn draw_hosts(
		&self,
		(tickets, max): (u32, u32),
		ticket: impl Fn(u32, u64) -> u64,
		mut take: impl FnMut(usize) -> bool,
	) {
		let total = self.table.last().copied().unwrap_or(0);
		let mut index = 0;
		for attempt in 0..max {
			index = if attempt < tickets { self.row(ticket(attempt, total)) } else { (index + 1) % self.table.len() };
			if take(index) {
				return;
			}
		}
	}

	/// Returns the row of a ticket.
	fn row(&self, ticket: u64) -> usize {
		self.table.partition_point(|cumulative| *cumulative <= ticket)
	}

	/// Draws the seats of a case by weight, each by itself.
	fn draw_seats(&self, seed: &Hash, host: usize, seats: u32, epoch: u32) -> Vec<(usize, u32)> {
		let (mut drawn, mut excluded) = (Vec::<(usize, u32)>::new(), Vec::new());
		let (mut left, mut taken) = (self.table.last().copied().unwrap_or(0), 0);
		for attempt in 0..MAX_TICKETS {
			if taken == seats {
				break;
			}
			let who = self.row(skip_excluded(arbiter_ticket(seed, attempt, left), &excluded));
			if let Some((_, own)) = drawn.iter_mut().find(|(other, _)| *other == who) {
				(*own, taken) = (*own + 1, taken + 1);
			} else if who != host && !self.is_muted(who, epoch) {
				drawn.push((who, 1));
				taken += 1;
			} else {
				let weight = self.weight(who);
				left -= weight;
				excluded.push((self.table[who] - weight, weight));
				excluded.sort_unstable();
			}
		}
		drawn
	}

	fn weight(&self, host: usize) -> u64 {
		self.table[host] - host.checked_sub(1).map_or(0, |before| self.table[before])
	}

	fn open(&mut self, index: usize, epoch: u32, number: u32) -> Case {
		let seed = case_seed(&beacon(&mut self.rng), number);
		let host = &mut self.hosts[index];
		host.sum = 0;
		let reviewed: Vec<_> = host.clear.drain(..).filter(|finding| host.posted.contains(&finding.window)).collect();
		let scope = host.posted.iter().skip(host.posted.len().saturating_sub(KEPT)).map(|window| {
			let work =
				self.batches.get(&(index, *window)).map_or(0, |batch| batch.tokens.iter().map(|t| u64::from(*t)).sum());
			let root = SumNode { hash: Hash::default(), sum: Totals::default() };
			Scope { window: *window, root, first: 0, work }
		});
		let scope = scope.collect();
		let seats = self.rules.seats_for(self.weight(index), self.table.last().copied().unwrap_or(0));
		let arbiters = self.draw_seats(&seed, index, seats, epoch);
		self.out.cases[usize::from(self.cheats(index))] += 1;
		Case { host: index, seed, arbiters, reviewed, scope }
	}

	fn cheats(&self, host: usize) -> bool {
		matches!(self.hosts[host].role, Role::Cheat | Role::Colluder)
	}

	/// Returns whether a host tells the truth about another.
	fn is_true(&self, who: usize, host: usize) -> bool {
		match self.hosts[who].role {
			Role::Honest | Role::Cheat => true,
			Role::Lenient => !self.cheats(host),
			Role::Hostile | Role::Colluder => false,
		}
	}

	/// Lets the arbiters of a case or appeal rule.
	fn hear(&mut self, case: &Case, is_appeal: bool) -> Decision {
		let (mut guilty, mut lies, mut all, mut rulings) = (0, 0, 0, Vec::new());
		for (number, (arbiter, seats)) in case.arbiters.iter().enumerate() {
			let reviewed: Vec<_> = case
				.reviewed
				.iter()
				.map(|clear| {
					let finding = self.audit(*arbiter, case.host, clear.window, clear.receipt);
					self.opinion(&finding)
				})
				.collect();
			rulings.push((*arbiter, *seats, reviewed));
			all += seats;
			guilty += if self.rule(case, number as u32, *arbiter) == Outcome::Guilty { *seats } else { 0 };
			lies += if self.is_true(*arbiter, case.host) { 0 } else { *seats };
		}
		let packed = decides(lies, all, is_appeal);
		self.out.packed += u64::from(packed);
		Decision { guilty: decides(guilty, all, is_appeal), packed, rulings }
	}

	fn close(&mut self, case: Case, window: u32, epoch: u32) {
		let mut decision = self.hear(&case, false);
		let cheats = self.cheats(case.host);
		let is_new = !self.hosts[case.host].convicted;
		if decision.guilty && is_new && !cheats {
			self.out.appeals += 1;
			self.out.wrong += u64::from(!decision.packed);
			let seed = case_seed(&beacon(&mut self.rng), APPEAL | window);
			let arbiters = self.draw_seats(&seed, case.host, self.rules.appeal_seats, epoch);
			let appeal = Case { seed, arbiters, ..case };
			let Decision { guilty, packed, rulings } = self.hear(&appeal, true);
			// The opinions of the arbiters before are compared with those in the appeal, which have no seats there.
			let before = decision.rulings.into_iter().map(|(who, _, all)| (who, 0, all));
			decision = Decision { guilty, packed, rulings: rulings.into_iter().chain(before).collect() };
			self.conclude(&appeal, &decision, is_new, window, epoch);
		} else {
			self.conclude(&case, &decision, is_new, window, epoch);
		}
	}

	fn conclude(&mut self, case: &Case, decision: &Decision, is_new: bool, window: u32, epoch: u32) {
		let cheats = self.cheats(case.host);
		if decision.guilty && is_new {
			self.out.convicted[usize::from(cheats)] += 1;
			if cheats {
				self.out.found.push(window);
			}
			self.mute(case.host, epoch);
			self.hosts[case.host].convicted = true;
		}
		let all: u32 = decision.rulings.iter().map(|(_, seats, _)| seats).sum();
		let mut discredited = Vec::new();
		for (index, finding) in case.reviewed.iter().enumerate() {
			let votes = |opinion| {
				let them = decision.rulings.iter().filter(|(_, _, all)| all[index] == Some(opinion));
				them.map(|(_, seats, _)| seats).sum::<u32>()
			};
			let Some(truth) = [false, true].into_iter().find(|opinion| votes(*opinion) * 2 > all) else { continue };
			let rulings = decision.rulings.iter().map(|(who, _, all)| (*who, all[index]));
			let opinions = rulings.chain([(finding.checker, finding.opinion)]);
			discredited.extend(opinions.filter(|(_, opinion)| *opinion == Some(!truth)).map(|(who, _)| who));
		}
		discredited.sort_unstable();
		discredited.dedup();
		for who in discredited {
			self.out.discredited_wrongly += u64::from(!decision.packed && self.is_true(who, case.host));
			self.hosts[who].discredited = true;
			self.mute(who, epoch);
		}
	}

	/// Takes a host's reputation away, and ignores its findings for a while.
	fn mute(&mut self, who: usize, epoch: u32) {
		let host = &mut self.hosts[who];
		(host.reputation, host.missed, host.muted) = (0, true, Some(epoch + self.rules.mute_epochs));
	}

	fn rule(&mut self, case: &Case, number: u32, arbiter: usize) -> Outcome {
		let bounds = (self.rules.guilty, self.rules.innocent);
		let (mut seen, mut fresh) = (Vec::new(), Vec::new());
		for k in 0..FRESH {
			let drawn = fresh_draw(&case.seed, number, k, &case.scope).and_then(|(part, pick)| {
				let window = case.scope.get(part)?.window;
				Some((window, pick.find(&self.batches.get(&(case.host, window))?.leaves)?))
			});
			let is_new = |receipt: &(u32, usize)| {
				!seen.contains(receipt)
					&& !case.reviewed.iter().any(|finding| (finding.window, finding.receipt) == *receipt)
			};
			let finding = match drawn.filter(is_new) {
				Some((window, receipt)) => {
					seen.push((window, receipt));
					self.audit(arbiter, case.host, window, receipt)
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
