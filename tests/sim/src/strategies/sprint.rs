//! The sprint: counts, checks of made-up leaves, false accusations.

use super::{
	Strategy,
	network::{MUTED, Network},
};
use crate::{
	audit::happens,
	epoch::{minima, threshold, visible},
	population::{account, below},
};
use gonka_primitives::{
	Hash,
	audit::{AuditRules, decides},
	check::Offence,
};
use gonka_sprint::{
	Draw,
	committee::{Order, appoint, new_places, qualify},
};
use pallet_poc::{
	FIRST_NEW,
	math::{self, MAX_LEAVES},
};

/// Number of newcomers of [`Strategy::Swarm`] in an epoch.
const NEWCOMERS: usize = 1_000;
/// Answers to requests that fit in all blocks from the first request to the last answer, for each of 10,000 hosts: 20
/// blocks with 3.93 MB for transactions, of 5 kB each.
const ROOM: f64 = 1.57;
/// Size of a request as a part of an answer's.
const REQUEST: f64 = 0.05;
/// Hosts that each of 1,024 checkers checks in a network of 10,000.
const CHECKED: f64 = 88.0;
/// Blocks of a window and of the term of an appeal: mainnet's.
const WINDOW: (u32, u32) = (600, 7_200);

/// Blocks' time that a commitment takes to reach the author of the next block.
const SENDING: f64 = 1.0 / 6.0;

/// The committees of an epoch.
pub(super) struct Committees {
	beacon: Hash,
	/// The weights by which checkers have seats; the first of the listed hosts are checkers.
	qualified: Vec<u64>,
	/// The listed hosts, by descending weight.
	listed: Vec<u32>,
	draw: Draw,
	/// Number of places of newcomers.
	new_places: u32,
	/// The orders of hosts that are not listed, and of newcomers.
	orders: (Order, Order),
	positions: Vec<Option<u32>>,
}

impl Committees {
	fn new(network: &Network, beacon: Hash) -> Self {
		let hosts = network.hosts.len();
		let (listed, mut qualified): (Vec<u32>, Vec<u64>) = if network.candidates.is_empty() {
			(0..hosts as u32).map(|host| (host, 1)).unzip()
		} else {
			network.candidates.iter().copied().unzip()
		};
		qualify(&mut qualified);
		let newcomers = if network.does(Strategy::Swarm) { NEWCOMERS } else { 0 };
		let (hosts, newcomers) = (hosts as u32, newcomers as u32);
		let few = new_places(&qualified, hosts, newcomers);
		let new = if network.rules().places_are_few { few } else { newcomers };
		let draw = Draw::new(beacon, &qualified, new + listed.len() as u32 + hosts);
		let mut positions = vec![None; network.hosts.len()];
		for (position, host) in (0..).zip(&listed) {
			positions[*host as usize] = Some(position);
		}
		let orders = (Order::new(&beacon, hosts), Order::new(&beacon, newcomers));
		Self { beacon, qualified, listed, draw, new_places: new, orders, positions }
	}

	/// The committee of a participant: the numbers of hosts, and then of newcomers.
	fn of(&self, participant: usize) -> Vec<usize> {
		let own = self.positions.get(participant).copied().flatten();
		let (known, new) = &self.orders;
		let place = match (own, participant.checked_sub(self.positions.len())) {
			(Some(position), _) => self.new_places + position,
			(None, None) => self.new_places + self.listed.len() as u32 + known.place(participant as u32),
			(None, Some(newcomer)) => match new.place(newcomer as u32) {
				place if place < self.new_places => place,
				_ => return Vec::new(),
			},
		};
		self.draw.committee(place, own).into_iter().map(|position| self.listed[position as usize] as usize).collect()
	}

	/// The number of leaf sets of a checker: two for each of nine in twelve seats.
	fn sets(&self, host: usize) -> u32 {
		let seats = self.positions[host].and_then(|position| self.draw.seat_count(position));
		seats.unwrap_or(0) * 3 / 2
	}
}

/// The fate of a host's claim: the weight that it brings, and whether a made-up leaf was found.
#[derive(Clone, Copy)]
struct Fate {
	weight: u64,
	caught: bool,
}

impl Network {
	/// Computes and checks the sprint, and sets the weights of all hosts.
	pub(super) fn sprint(&mut self) {
		let counts = self.sprint_counts();
		let beacon = self.beacon();
		let mut committees = Committees::new(self, beacon);
		let mut fates = self.fates(&committees, &counts);
		if self.does(Strategy::Jam) {
			self.jam(&committees, &mut fates);
		}
		if self.made_up() > 0.0 && self.does(Strategy::Bias) && self.happens(self.seats) {
			let beacon = self.beacon();
			let other = Committees::new(self, beacon);
			let others = self.fates(&other, &counts);
			if self.worth(&others) > self.worth(&fates) {
				(committees, fates) = (other, others);
			}
		}
		for (index, Fate { weight, caught }) in fates.into_iter().enumerate() {
			let host = &mut self.hosts[index];
			host.sets = committees.sets(index);
			let is_known = host.shown.0 > 0 && host.shown.1 > 0;
			host.standing.participant = if is_known { 0 } else { FIRST_NEW };
			host.standing.weigh(weight, weight, Some(host.shown));
			if caught {
				self.convict(index, Offence::Fabrication);
			}
		}
		if self.does(Strategy::Swarm) {
			self.newcomers = self.escaped(&committees);
		}
		if self.does(Strategy::Accuse) {
			self.accuse(&committees);
		}
		self.hidden += u32::from(self.censors(self.rules().reveal_blocks()));
	}

	fn sprint_counts(&mut self) -> Vec<Vec<u64>> {
		let schedule = self.rules().schedule;
		let segments = usize::from(schedule.segments);
		let graces: Vec<Vec<bool>> = (0..segments).map(|_| self.draw_grace()).collect();
		let delays: Vec<Option<u32>> = graces.iter().map(|grace| self.delay(grace)).collect();
		let theirs = self.late_blocks(&graces);
		let lead: Vec<f64> = (0..segments).map(|_| self.lead()).collect();
		let mut all = Vec::new();
		for index in 0..self.hosts.len() {
			let (bad, speed) = (self.hosts[index].bad, self.hosts[index].speed);
			let rented = if self.does(Strategy::Rent) { 1.0 + 1.0 / self.setting.share } else { 1.0 };
			let mut counts = Vec::new();
			for segment in 0..segments {
				let mut blocks = f64::from(schedule.segment);
				if bad {
					blocks = rented * (theirs[segment] + lead[segment]);
				}
				// The numbers of all hosts are drawn in any case, so that they do not depend on strategies.
				let count = self.leaves(speed, blocks);
				let in_time =
					|delay: Option<u32>| delay.map_or(0, |delay| math::in_time(count, schedule.segment, delay));
				counts.push(if bad { count } else { in_time(delays[segment]) });
			}
			if bad {
				self.inflate(&mut counts);
			}
			all.push(counts);
		}
		all
	}

	/// Returns the blocks more in which the adversary computes a segment whose seed it knew a block before.
	pub(super) fn lead(&mut self) -> f64 {
		let leads = self.does(Strategy::Lead) && self.happens(self.seats);
		f64::from(u8::from(leads))
	}

	/// Returns the blocks' worth of leaves that the adversary's commitments to the sprint count: it prolongs every second
	/// segment, and begins the others later for it.
	fn late_blocks(&self, graces: &[Vec<bool>]) -> Vec<f64> {
		let (mut all, mut waited) = (Vec::new(), 0.0);
		for (number, grace) in graces.iter().enumerate() {
			let (worth, more) = if number % 2 == 0 { self.prolonged(grace) } else { (0.0, 0.0) };
			let short = f64::from(self.rules().schedule.segment) - waited;
			all.push(if number % 2 == 0 { worth } else { short });
			waited = more;
		}
		all
	}

	/// Returns the greatest blocks' worth of leaves of the adversary's that a commitment to a segment can count, and the blocks
	/// of the grace in which it goes on computing for that. The commitment is as of the beginning of a block of its own, or
	/// [`SENDING`] before an honest author's.
	pub(super) fn prolonged(&self, grace: &[bool]) -> (f64, f64) {
		let segment = self.rules().schedule.segment;
		let worth = |(waited, own): (u32, &bool)| {
			let more = (f64::from(waited) - if *own { 0.0 } else { SENDING }).max(0.0);
			let share = f64::from(segment) / f64::from(segment + self.late(waited));
			((f64::from(segment) + more) * share, more)
		};
		let on_time = (f64::from(segment), 0.0);
		if !self.does(Strategy::Late) {
			return on_time;
		}
		(0..).zip(grace).map(worth).fold(on_time, |best, other| if other.0 > best.0 { other } else { best })
	}

	/// Returns the share of the leaves of each segment that the adversary makes up.
	pub(super) fn made_up(&self) -> f64 {
		match () {
			() if self.does(Strategy::Sacrifice) => 0.5,
			() if self.does(Strategy::Fabricate) => 0.01,
			() if self.does(Strategy::Withhold) => 0.001,
			() => 0.0,
		}
	}

	fn inflate(&self, counts: &mut [u64]) {
		for count in counts.iter_mut() {
			*count = (*count as f64 / (1.0 - self.made_up())) as u64;
		}
		if let (true, Some(last)) = (self.does(Strategy::Sacrifice), counts.last_mut()) {
			*last = MAX_LEAVES;
		}
	}

	/// Returns the fates of all hosts' claims.
	fn fates(&self, committees: &Committees, counts: &[Vec<u64>]) -> Vec<Fate> {
		let segments = self.rules().schedule.segments;
		let fate = |index: usize| {
			let weight = math::compute_weight(&counts[index], segments);
			if !self.hosts[index].bad || self.made_up() == 0.0 {
				return Fate { weight, caught: false };
			}
			self.fate(committees, index, &counts[index])
		};
		(0..self.hosts.len()).map(fate).collect()
	}

	/// Returns the fate of the claim of a host that makes leaves up.
	fn fate(&self, committees: &Committees, index: usize, counts: &[u64]) -> Fate {
		let segments = self.rules().schedule.segments;
		let weight = math::compute_weight(counts, segments);
		let committee = committees.of(index);
		let is_blind = |member: usize| self.hosts[committee[member]].bad;
		let honest: Vec<usize> = (0..committee.len()).filter(|member| !is_blind(*member)).collect();
		if self.does(Strategy::Sacrifice) {
			if self.rules().samples_over_sum {
				// Of 2⁴⁰ leaves nearly all are in the last segment, so all samples are, and it is lost.
				let kept = counts.split_last().map_or(&[][..], |(_, kept)| kept);
				return Fate { weight: math::compute_weight(kept, segments), caught: false };
			}
			// A sixth of each checker's samples is in the segment of junk, for which there is nothing to show.
			let weight = math::answered(weight, honest.len() as u32, committee.len() as u32);
			return Fate { weight, caught: false };
		}
		let minima = minima(&committees.beacon, &account(index), counts, committee.len());
		let limit = threshold(self.made_up());
		if !self.does(Strategy::Withhold) {
			return Fate { weight, caught: visible(&minima, is_blind) < limit };
		}
		let sees = |member: &&usize| {
			let before = (**member + minima.len() - 1) % minima.len();
			minima[**member].min(minima[before]) < limit
		};
		let unanswered = honest.iter().filter(sees).count() as u32;
		Fate { weight: math::answered(weight, unanswered, committee.len() as u32), caught: false }
	}

	fn worth(&self, fates: &[Fate]) -> u64 {
		let theirs = self.hosts.iter().zip(fates).filter(|(host, fate)| host.bad && !fate.caught);
		theirs.map(|(_, fate)| fate.weight).sum()
	}

	/// Returns the weights of newcomers that keep some of their claim, each with the part that is proven: with the rules as built
	/// all of their checkers are the adversary's. The first ones escaped in the epoch before, too.
	fn escaped(&self, committees: &Committees) -> Vec<(u64, u64)> {
		let segments = self.rules().schedule.segments;
		let claim = math::compute_weight(&vec![MAX_LEAVES; segments.into()], segments);
		let mut escaped = Vec::new();
		for newcomer in 0..NEWCOMERS {
			let committee = committees.of(self.hosts.len() + newcomer);
			let honest = committee.iter().filter(|member| !self.hosts[**member].bad).count() as u32;
			let size = if self.rules().one_request_ends_newcomers { 1 } else { committee.len() as u32 };
			let left = if committee.is_empty() { 0 } else { math::answered(claim, honest, size) };
			if left > 0 {
				escaped.push((left, if newcomer < self.survivors { left } else { 0 }));
			}
		}
		escaped
	}

	/// Lets the adversary's checkers request openings of honest hosts. Blocks take the answers of the heaviest hosts first.
	fn jam(&mut self, committees: &Committees, fates: &mut [Fate]) {
		let asks = (f64::from(self.rules().requests) / CHECKED).min(1.0);
		let mut asked = Vec::new();
		for (index, fate) in fates.iter().enumerate().filter(|(index, _)| !self.hosts[*index].bad) {
			let committee = committees.of(index);
			let theirs = committee.iter().filter(|member| self.hosts[**member].bad).count();
			let requests = (0..theirs).filter(|_| happens(&mut self.rng, asks)).count() as u32;
			asked.push((fate.weight, index, requests, committee.len() as u32));
		}
		asked.sort_unstable_by(|a, b| b.cmp(a));
		let requests: u32 = asked.iter().map(|(_, _, requests, _)| requests).sum();
		let own = if self.does(Strategy::Censor) { self.seats } else { 0.0 };
		let mut room = (ROOM * self.hosts.len() as f64 - REQUEST * f64::from(requests)) * (1.0 - own);
		for (weight, index, requests, committee) in asked {
			let answered = requests.min(room.max(0.0) as u32);
			room -= f64::from(answered);
			fates[index].weight = math::answered(weight, requests - answered, committee);
		}
	}

	/// Lets the adversary's checkers accuse the honest hosts that are offline, and challenge their tags. A checker that
	/// revealed a made-up tag has honest partners, too, which challenge it.
	fn accuse(&mut self, committees: &Committees) {
		let of_adversary = |position: u32| self.hosts[committees.listed[position as usize] as usize].bad;
		let theirs: u64 =
			(0..).zip(&committees.qualified).filter(|(at, _)| of_adversary(*at)).map(|(_, all)| all).sum();
		let share = theirs as f64 / committees.qualified.iter().sum::<u64>().max(1) as f64;
		let beacon = self.beacon();
		for index in 0..self.hosts.len() {
			if self.hosts[index].bad || !self.hosts[index].offline {
				continue;
			}
			for accuser in committees.of(index).into_iter().filter(|member| self.hosts[*member].bad).collect::<Vec<_>>()
			{
				let parties: Vec<u32> =
					[accuser, index].iter().filter_map(|host| committees.positions[*host]).collect();
				let appointed = appoint(&beacon, &committees.qualified, &parties);
				let refutes = |position: &u32| {
					let host = &self.hosts[committees.listed[*position as usize] as usize];
					!host.bad && !host.offline
				};
				if appointed.iter().any(refutes) {
					self.convict(accuser, Offence::FalseAccusation);
				} else {
					self.convict(index, Offence::Fabrication);
				}
			}
			let sets = self.hosts[index].sets;
			self.hosts[index].undefended = (0..sets).filter(|_| happens(&mut self.rng, share)).count() as u32;
		}
		self.hosts.iter_mut().filter(|host| host.bad && host.sets > 0).for_each(|host| host.unpaid = true);
	}

	/// Lets the adversary raise cases against honest hosts, two reporters each, and rule in them.
	pub(super) fn judge(&mut self) {
		if !self.does(Strategy::Judge) {
			return;
		}
		let rules = AuditRules::new(WINDOW.0, WINDOW.1);
		let epoch = self.epoch;
		let ready: Vec<usize> =
			(0..self.hosts.len()).filter(|index| self.hosts[*index].bad && self.hosts[*index].muted <= epoch).collect();
		let honest: Vec<usize> = (0..self.hosts.len()).filter(|index| !self.hosts[*index].bad).collect();
		for reporters in ready.chunks_exact(2) {
			let accused = honest[below(&mut self.rng, honest.len())];
			let weight = self.weights.proven(&self.hosts[accused].standing);
			if weight == 0 {
				continue;
			}
			let seats = rules.seats_for(weight, self.weights.proven.total);
			let (appeal, two_thirds) = self.rules().appeal;
			if self.carries(seats, false) && self.carries(appeal, two_thirds) {
				self.convict(accused, Offence::WrongInference);
			} else {
				reporters.iter().for_each(|reporter| self.hosts[*reporter].muted = epoch + 1 + MUTED);
			}
		}
	}

	/// Returns whether the adversary draws so many of these seats that they decide.
	fn carries(&mut self, seats: u32, two_thirds: bool) -> bool {
		let share = self.votes;
		let drawn = (0..seats).filter(|_| happens(&mut self.rng, share)).count() as u32;
		decides(drawn, seats, two_thirds)
	}
}
