//! Hosts, and the state that they carry from one epoch to the next.

use super::{Ends, Rules, Setting, Strategy};
use crate::population::{CHECKERS, exp, normal, rng};
use gonka_primitives::{Hash, check::Offence};
use pallet_poc::{Capped, EpochWeights, Standing, math, types::Weighing};
use polkadot_sdk::frame_support::traits::ConstU32;
use rand_chacha::{ChaCha8Rng, rand_core::RngCore};

/// Number of hosts while everybody is honest.
const HOSTS: f64 = 100.0;
/// Number of the adversary's identities with [`Strategy::Split`]. With the others they exceed the places of validators.
const IDENTITIES: usize = 240;
/// Leaves that all hosts together compute in a segment.
const LEAVES: f64 = 20_000_000.0;
/// Standard deviation of the logarithm of an honest host's compute, and of a count around its mean.
const SPREAD: (f64, f64) = (1.0, 0.03);
/// Epochs before the first that counts, in which everybody is honest.
const WARM_UP: u32 = 3;
/// Maximum share of a host's weight, in millionths: mainnet's.
const MAX_SHARE: u64 = 300_000;
/// Epochs over which pay vests: mainnet's.
const VESTING: f64 = 180.0;
/// Collateral that backs a leaf: 80 % of 0.001 GNK.
const GNK_PER_LEAF: f64 = 0.0008;
/// Share of its duties that a host must do something for, in millionths: mainnet's.
const MIN_PERFORMANCE: u64 = 950_000;
/// Share of honest hosts that are offline while disputes run.
pub(super) const OFFLINE: f64 = 0.05;
/// Epochs for which a checker that found otherwise than the arbiters is muted.
pub(super) const MUTED: u32 = 3;

pub(super) type Weights = Weighing<u32, ConstU32<300>, ConstU32<CHECKERS>>;

/// A host.
#[derive(Clone, Debug)]
pub(super) struct Host {
	/// Whether it is the adversary's.
	pub bad: bool,
	/// Leaves that it computes in a block.
	pub speed: f64,
	/// The weight that it showed in the epoch before, and the part that was proven there.
	pub shown: (u64, u64),
	/// Pay that has not vested, in emissions of an epoch.
	pub unvested: f64,
	/// The epoch until which its findings are ignored.
	pub muted: u32,
	/// Its standing in the running epoch.
	pub standing: Standing,
	/// Leaves of each confirmation of the running epoch that it committed to.
	pub confirmations: Vec<u64>,
	/// Work units that it settles for each leaf of its weight.
	pub demand: f64,
	/// Whether it is offline while disputes run, in this epoch.
	pub offline: bool,
	/// Leaf sets that it has to check in a round.
	pub sets: u32,
	/// Sets that it did not defend.
	pub undefended: u32,
	/// Whether it lost its pay of the epoch.
	pub unpaid: bool,
}

/// Power by host, and the sessions in which it takes effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Power {
	/// The power that was computed last.
	pub computed: Vec<(u32, u64)>,
	/// That of the next session.
	pub queued: Vec<(u32, u64)>,
	/// That of the running session.
	pub in_force: Vec<(u32, u64)>,
}

/// A network that lives.
pub struct Network {
	pub(super) setting: Setting,
	pub(super) rng: ChaCha8Rng,
	pub(super) counts: ChaCha8Rng,
	pub(super) hosts: Vec<Host>,
	pub(super) power: Power,
	/// The hosts of the largest proven weight of the epoch before, descending, with it.
	pub(super) candidates: Vec<(u32, u64)>,
	pub(super) weights: EpochWeights,
	/// Weights of newcomers that escaped their checkers, each with the part that is proven.
	pub(super) newcomers: Vec<(u64, u64)>,
	/// Number of those that showed their claim throughout the epoch before.
	pub(super) survivors: usize,
	pub(super) epoch: u32,
	/// The adversary's shares of the seats and of the votes.
	pub(super) seats: f64,
	pub(super) votes: f64,
	/// Sums of the sessions' shares of power and blocks.
	pub(super) sessions: (f64, f64),
	/// Rounds of confirmations, and rounds (with the sprint's) in which no honest host could reveal.
	pub(super) rounds: u8,
	pub(super) hidden: u32,
	/// Which blocks of the grace of the confirmation that is called the adversary writes.
	pub(super) grace: Vec<bool>,
	ends: Ends,
	honest: bool,
}

impl Network {
	/// Makes a network in which everybody was honest so far.
	pub fn new(setting: &Setting) -> Self {
		let mut random = rng(setting.seed, b"strategies/hosts", 0);
		let bad = (HOSTS * setting.share).round().max(1.0);
		let identities = match () {
			() if setting.has(Strategy::Split) => IDENTITIES,
			() if setting.has(Strategy::Whole) => 1,
			() => bad as usize,
		};
		let sizes: Vec<f64> = (0..(HOSTS - bad) as usize).map(|_| exp(SPREAD.0 * normal(&mut random))).collect();
		let sum: f64 = sizes.iter().sum();
		let honest = sizes.into_iter().map(|size| (false, size / sum * (1.0 - setting.share)));
		let theirs = (0..identities).map(|_| (true, setting.share / identities as f64));
		let leaves = LEAVES / f64::from(setting.rules.schedule.segment);
		let host = |(bad, part): (bool, f64)| Host::new(bad, part * leaves);
		let mut network = Self {
			setting: setting.clone(),
			rng: rng(setting.seed, b"strategies", 0),
			counts: rng(setting.seed, b"strategies/counts", 0),
			hosts: honest.chain(theirs).map(host).collect(),
			power: Power::default(),
			candidates: Vec::new(),
			weights: EpochWeights::default(),
			newcomers: Vec::new(),
			survivors: 0,
			epoch: 0,
			seats: setting.share,
			votes: setting.share,
			sessions: (0.0, 0.0),
			rounds: 0,
			hidden: 0,
			grace: Vec::new(),
			ends: Ends::default(),
			honest: true,
		};
		for host in &mut network.hosts {
			host.demand = exp(0.5 * normal(&mut random));
		}
		(0..WARM_UP).for_each(|_| network.epoch());
		// A host earned as much before as it does now: half of its grants of 180 epochs have not vested.
		for host in &mut network.hosts {
			host.unvested *= VESTING / 2.0 / f64::from(WARM_UP);
		}
		(network.ends, network.honest) = (Ends::default(), false);
		network
	}

	/// Returns what the adversary has had so far.
	pub fn ends(&self) -> Ends {
		self.ends
	}

	pub(super) fn rules(&self) -> &Rules {
		&self.setting.rules
	}

	/// Returns whether the adversary does this now.
	pub(super) fn does(&self, strategy: Strategy) -> bool {
		!self.honest && self.setting.has(strategy)
	}

	/// Draws whether something of this probability happens.
	pub(super) fn happens(&mut self, probability: f64) -> bool {
		f64::from(self.rng.next_u32()) < probability * 4_294_967_296.0
	}

	pub(super) fn beacon(&mut self) -> Hash {
		crate::epoch::beacon(&mut self.rng)
	}

	/// Returns whether the adversary writes this number of blocks in a row, and keeps something out of them.
	pub(super) fn censors(&mut self, blocks: u32) -> bool {
		let all = (0..blocks).fold(1.0, |product, _| product * self.seats);
		self.does(Strategy::Censor) && self.happens(all)
	}

	/// Draws which blocks of a grace the adversary writes.
	pub(super) fn draw_grace(&mut self) -> Vec<bool> {
		(0..self.rules().schedule.grace).map(|_| self.happens(self.seats)).collect()
	}

	/// Returns by how many blocks the honest commitments to a segment are late; `None` if no block takes them. `grace` is that
	/// of [`Self::draw_grace`].
	pub(super) fn delay(&self, grace: &[bool]) -> Option<u32> {
		let keeps_out = self.does(Strategy::Censor);
		let taken = (1..).zip(grace.iter().skip(1)).find(|(_, own)| !(keeps_out && **own));
		taken.map(|(waited, _)| self.late(waited))
	}

	/// Returns by how many blocks a commitment is late that waited for so many.
	pub(super) fn late(&self, waited: u32) -> u32 {
		let schedule = self.rules().schedule;
		schedule.delay(0, &[], schedule.segment_end(0) + waited)
	}

	/// Returns a number of leaves: `blocks` at the host's speed.
	pub(super) fn leaves(&mut self, speed: f64, blocks: f64) -> u64 {
		(speed * blocks * exp(SPREAD.1 * normal(&mut self.counts))).max(1.0) as u64
	}

	/// Lives for an epoch.
	pub fn epoch(&mut self) {
		self.begin();
		let schedule = self.setting.rules.schedule;
		let mut confirmations = Vec::new();
		for offset in 0..schedule.length {
			if offset % super::work::SESSION == 0 {
				self.begin_session();
			}
			if offset == schedule.weigh_start() {
				self.sprint();
				self.weigh();
			} else if confirmations.last().is_some_and(|start| *start + schedule.round() == offset) {
				self.follow();
			} else if schedule.may_confirm(&confirmations, offset) && self.calls() {
				confirmations.push(offset);
				self.confirm();
			}
		}
		self.judge();
		self.pay();
		self.end();
	}

	fn begin(&mut self) {
		(self.rounds, self.hidden, self.sessions) = (0, 0, (0.0, 0.0));
		self.newcomers.clear();
		for index in 0..self.hosts.len() {
			let offline = !self.hosts[index].bad && self.happens(OFFLINE);
			let host = &mut self.hosts[index];
			host.standing = Standing::default();
			host.confirmations.clear();
			(host.offline, host.sets, host.undefended, host.unpaid) = (offline, 0, 0, false);
		}
	}

	/// Fixes caps, the next checkers and the power.
	fn weigh(&mut self) {
		let mut weighing = Weights::new([self.epoch as u8; 32]);
		for (index, host) in self.hosts.iter().enumerate() {
			if host.standing.backed > 0 && !host.standing.is_weightless() {
				weighing.add(index as u32, &host.standing, true);
			}
		}
		for ((weight, proven), who) in self.newcomers.iter().zip(self.hosts.len() as u32..) {
			let standing = Standing { backed: *weight, proven: *proven, ..Standing::default() };
			weighing.add(who, &standing, true);
		}
		let Capped { total, cap } = weighing.backed.capped(MAX_SHARE);
		let (proven, votes) = (weighing.proven.capped(MAX_SHARE), weighing.votes.capped(MAX_SHARE));
		self.weights = EpochWeights { total, cap, hosts: weighing.backed.hosts, proven, votes };
		let capped = |(who, weight): (u32, u64)| (who, weight.min(proven.cap));
		// Without any proven weight, checkers and power stay as they are.
		if !weighing.validators.is_empty() {
			let is_host = |(who, _): &(u32, u64)| (*who as usize) < self.hosts.len();
			self.power.computed = math::guard(weighing.validators.iter().copied().map(capped).collect(), &[], 0);
			self.candidates = weighing.into_candidates(proven.cap).into_iter().filter(is_host).collect();
		}
		let of_adversary = self.hosts.iter().filter(|host| host.bad).map(|host| self.weights.votes(&host.standing));
		self.votes = of_adversary.sum::<u64>() as f64 / votes.total.max(1) as f64;
	}

	pub(super) fn convict(&mut self, index: usize, offence: Offence) {
		let host = &mut self.hosts[index];
		if host.standing.is_convicted() {
			return;
		}
		host.standing.offence = Some(offence);
		let wrong_completions = offence == Offence::WrongInference;
		let burnt = if wrong_completions { host.unvested / 5.0 } else { host.unvested };
		host.unvested -= burnt;
		let collateral = GNK_PER_LEAF * host.standing.backed as f64 / 5.0;
		if host.bad {
			self.ends.convicted += 1;
			self.ends.burnt += collateral;
			self.ends.shares[4] -= burnt;
			self.ends.shares[3] -= burnt;
		} else {
			let slashed = &mut self.ends.slashed;
			let counter = if wrong_completions { &mut slashed.judged } else { &mut slashed.accused };
			*counter += 1;
		}
	}

	/// Pays all hosts, and slashes those that missed duties.
	fn pay(&mut self) {
		let by_proven = self.rules().proven_is_paid;
		let total = if by_proven { self.weights.proven.total } else { self.weights.total }.max(1) as f64;
		let median = self.median_served();
		let (mut theirs, mut all) = (0.0, 0.0);
		for index in 0..self.hosts.len() {
			let duties = self.duties(&self.hosts[index]);
			let paid = self.paid(&self.hosts[index], duties, median) as f64 / total;
			self.note_missed(index, duties);
			let host = &mut self.hosts[index];
			host.unvested += paid - host.unvested / VESTING;
			theirs += if host.bad { paid } else { 0.0 };
			all += paid;
		}
		let pay_of = |(weight, proven): &(u64, u64)| {
			let paid = if by_proven { (*proven).min(self.weights.proven.cap) } else { (*weight).min(self.weights.cap) };
			paid as f64
		};
		let escaped = self.newcomers.iter().map(pay_of).sum::<f64>() / total;
		self.survivors = self.newcomers.len();
		self.ends.shares[3] += (theirs + escaped) / (all + escaped).max(1e-9);
		self.ends.shares[4] += theirs + escaped;
		self.show();
	}

	/// Returns the leaf sets that a host had to check in the epoch, those that count for its collateral, and those that
	/// count for its pay.
	fn duties(&self, host: &Host) -> (u32, u32, u32) {
		let due = host.sets * (u32::from(self.rounds) + 1);
		let revealed = due - if host.bad { 0 } else { host.sets * self.hidden };
		let met = revealed.saturating_sub(host.undefended);
		(due, if self.rules().undefended_is_missed { met } else { revealed }, met)
	}

	/// Returns the confirmed factor of a host, in millionths.
	pub(super) fn confirmed(&self, host: &Host) -> u64 {
		let median = host.standing.compute / u64::from(self.rules().schedule.segments);
		math::confirmed(median, &host.confirmations, self.rounds.into())
	}

	/// Returns a host's paid weight.
	fn paid(&self, host: &Host, (due, _, met): (u32, u32, u32), median: u64) -> u64 {
		let standing = &host.standing;
		if host.unpaid || standing.offence.is_some() {
			return 0;
		}
		let performance = math::performance(&[(due, met)], self.rounds.into(), host.confirmations.len() as u32);
		let served = math::served(math::ratio(standing.work, self.weights.counted(standing)), median);
		let by_proven = self.rules().proven_is_paid;
		let (weight, proven) = match by_proven {
			true => (standing.backed, self.weights.proven(standing)),
			false => (self.weights.effective(standing), u64::MAX),
		};
		math::paid(weight, proven, self.confirmed(host), [performance, served])
	}

	/// Counts an honest host that missed so many duties that it is slashed.
	fn note_missed(&mut self, index: usize, (due, revealed, _): (u32, u32, u32)) {
		let host = &self.hosts[index];
		if host.bad || host.standing.compute == 0 || !math::is_idle(&[(due, revealed)], MIN_PERFORMANCE) {
			return;
		}
		let counter = match (self.hidden > 0, host.undefended > 0) {
			(true, _) => &mut self.ends.slashed.censored,
			(false, true) => &mut self.ends.slashed.challenged,
			(false, false) => &mut self.ends.slashed.other,
		};
		*counter += 1;
	}

	/// Keeps what all hosts showed for the next weighing.
	fn show(&mut self) {
		for index in 0..self.hosts.len() {
			let confirmed = self.confirmed(&self.hosts[index]);
			let host = &mut self.hosts[index];
			let earlier = host.shown.1;
			host.shown = host.standing.shown(self.rounds, || earlier, || confirmed);
		}
	}

	fn median_served(&mut self) -> u64 {
		let mut traffic = pallet_poc::Traffic::default();
		let mine = if self.does(Strategy::Serve) { 10.0 } else { 1.0 };
		for host in &mut self.hosts {
			let weight = self.weights.proven(&host.standing);
			let demand = host.demand * if host.bad { mine } else { 1.0 };
			let work = (weight as f64 * demand) as u64;
			if weight > 0 {
				traffic.add(weight, 0, work);
				host.standing.work = work;
			}
		}
		math::median_ratio(&traffic.weights, self.weights.proven.total)
	}

	fn end(&mut self) {
		let sessions = f64::from(self.rules().schedule.length / super::work::SESSION);
		self.ends.shares[0] += self.sessions.0 / sessions;
		self.ends.shares[1] += self.sessions.1 / sessions;
		self.ends.shares[2] += self.votes;
		self.ends.epochs += 1;
		self.ends.captured += u32::from(self.share_of(&self.power.computed) >= 2.0 / 3.0);
		self.epoch += 1;
		// A convicted identity is given up for a new one.
		for host in self.hosts.iter_mut().filter(|host| host.bad && host.standing.is_convicted()) {
			(host.shown, host.muted) = ((0, 0), 0);
		}
	}

	/// Returns whether a validator is the adversary's: one of its hosts, or a newcomer, which come after all hosts.
	pub(super) fn is_bad(&self, who: u32) -> bool {
		self.hosts.get(who as usize).is_none_or(|host| host.bad)
	}

	/// Returns the adversary's share of power.
	pub(super) fn share_of(&self, power: &[(u32, u64)]) -> f64 {
		let sum = |bad_only: bool| {
			let counted = power.iter().filter(|(who, _)| !bad_only || self.is_bad(*who));
			counted.map(|(_, power)| power).sum::<u64>() as f64
		};
		sum(true) / sum(false).max(1.0)
	}
}

impl Host {
	fn new(bad: bool, speed: f64) -> Self {
		Self {
			bad,
			speed,
			shown: (u64::MAX, u64::MAX),
			unvested: 0.0,
			muted: 0,
			standing: Standing::default(),
			confirmations: Vec::new(),
			demand: 1.0,
			offline: false,
			sets: 0,
			undefended: 0,
			unpaid: false,
		}
	}
}
