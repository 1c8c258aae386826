//! The rest of an epoch: sessions with their seats and blocks, confirmations, and power that follows them.

use super::{Strategy, network::Network};
use crate::population::normal;
use pallet_liveness::math::dealt;
use pallet_poc::math;
use rand_chacha::rand_core::RngCore;

/// Blocks of a session: mainnet's.
pub(super) const SESSION: u32 = 600;
/// Maximum number of its last blocks in a row that the adversary may withhold.
const WITHHELD: u32 = 3;

impl Network {
	/// Begins a session: power takes effect, and seats and slots are drawn.
	pub(super) fn begin_session(&mut self) {
		self.power.in_force = std::mem::replace(&mut self.power.queued, self.power.computed.clone());
		if self.power.in_force.is_empty() {
			return;
		}
		let tail = self.tail();
		let seats = (0..1u32 << tail).map(|withheld| (self.deal(), withheld.count_ones())).collect();
		let (share, lost) = best(seats);
		self.seats = share;
		let tail = self.tail();
		let slots = (0..1u32 << tail).map(|withheld| (self.slots(), withheld.count_ones())).collect();
		let (blocks, more) = best(slots);
		self.sessions.0 += self.share_of(&self.power.in_force);
		self.sessions.1 += blocks - f64::from(lost + more) / f64::from(SESSION);
	}

	/// Returns the number of blocks in a row before a draw that the adversary may withhold.
	fn tail(&mut self) -> u32 {
		let mut blocks = 0;
		while blocks < WITHHELD && self.does(Strategy::Bias) && self.happens(self.seats) {
			blocks += 1;
		}
		blocks
	}

	/// Deals the seats. Returns the adversary's share.
	fn deal(&mut self) -> f64 {
		let mut power = self.power.in_force.clone();
		if self.rules().seats_by_heads {
			power.iter_mut().for_each(|(_, power)| *power = 1);
		}
		let seats = dealt(&power, &self.beacon());
		let theirs = power.iter().zip(&seats).filter(|((who, _), _)| self.is_bad(*who)).map(|(_, seats)| seats);
		f64::from(theirs.sum::<u16>()) / f64::from(seats.iter().sum::<u16>().max(1))
	}

	/// Draws the slots of a session. Returns the adversary's share.
	fn slots(&mut self) -> f64 {
		let sigma = (self.seats * (1.0 - self.seats) / f64::from(SESSION)).sqrt();
		self.seats + sigma * normal(&mut self.rng)
	}

	/// Returns whether the beacon calls a confirmation now, and nobody withholds the block that would call it.
	pub(super) fn calls(&mut self) -> bool {
		let schedule = self.rules().schedule;
		let draw = self.counts.next_u64() % u64::from(schedule.confirmation_blocks());
		if draw >= u64::from(schedule.confirmations) {
			return false;
		}
		self.grace = self.draw_grace();
		let is_harmless = self.delay(&self.grace) == Some(0);
		let unwanted = self.does(Strategy::Rent) || (self.does(Strategy::Censor) && is_harmless);
		let withheld = self.does(Strategy::Bias) && unwanted && self.happens(self.seats);
		if withheld {
			self.sessions.1 -= 1.0 / f64::from(SESSION);
		}
		!withheld
	}

	/// Lets all hosts compute a confirmation segment.
	pub(super) fn confirm(&mut self) {
		self.rounds += 1;
		let segment = self.rules().schedule.segment;
		let (delay, blocks) = (self.delay(&self.grace), f64::from(segment));
		let mut theirs = self.prolonged(&self.grace).0 + self.lead();
		if self.rules().samples_over_sum {
			theirs /= 1.0 - self.made_up();
		}
		for index in 0..self.hosts.len() {
			let (bad, speed) = (self.hosts[index].bad, self.hosts[index].speed);
			let count = self.leaves(speed, if bad { theirs } else { blocks });
			let in_time = if bad { Some(count) } else { delay.map(|delay| math::in_time(count, segment, delay)) };
			self.hosts[index].confirmations.extend(in_time);
		}
		self.hidden += u32::from(self.censors(self.rules().reveal_blocks()));
	}

	/// Lets power follow the confirmations of the day.
	pub(super) fn follow(&mut self) {
		let shown = |(who, power): &(u32, u64)| match self.hosts.get(*who as usize) {
			Some(host) => (*who, math::scale(self.weights.proven(&host.standing), self.confirmed(host))),
			// A newcomer shows all that it claims.
			None => {
				let number = *who as usize - self.hosts.len();
				let proven = self.newcomers.get(number).map_or(*power, |(_, proven)| *proven);
				(*who, proven.min(self.weights.proven.cap))
			},
		};
		let mut all: Vec<_> = self.power.computed.iter().map(shown).collect();
		all.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
		if all.first().is_none_or(|(_, weight)| *weight == 0) {
			return;
		}
		let new = math::guard(all, &[], 0);
		if math::has_moved(&self.power.computed, &new) {
			self.power.computed = new;
		}
	}
}

/// Returns the best of draws by the adversary's share, less what the blocks cost that it withholds for them.
fn best(draws: Vec<(f64, u32)>) -> (f64, u32) {
	let worth = |draw: &(f64, u32)| draw.0 - f64::from(draw.1) / f64::from(SESSION);
	draws.into_iter().max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap_or((0.0, 0))
}
