//! Seats of an adversary whose hosts are not a random part of all hosts, and what it can then fabricate.

use crate::{
	Config,
	epoch::{beacon, minima, threshold, visible},
	population::{CHECKERS, Population, SEGMENTS, account, checkers, min_weight, rng, shuffled},
	stats::Counter,
};
use gonka_primitives::Hash;
use gonka_sprint::Draw;
use pallet_poc::{Standing, types::Weighing};
use polkadot_sdk::frame_support::{BoundedVec, traits::ConstU32};

/// Fabricated shares that are tried.
pub const TRIED: [f64; 3] = [0.01, 0.02, 0.05];
/// Number of leaves of a fabricator in each segment.
const LEAVES: [u64; SEGMENTS as usize] = [200_000; SEGMENTS as usize];
/// Number of fabricators in each draw.
const FABRICATORS: u64 = 30;

/// An adversary.
#[derive(Clone, Debug)]
pub struct Attack {
	/// Description of the hosts that it has.
	pub name: String,
	/// Weight of each host, and whether it is the adversary's.
	hosts: Vec<(u64, bool)>,
}

/// Gain of an adversary.
#[derive(Clone, Debug)]
pub struct Gain {
	/// Its share of the weight of all hosts.
	pub weight: f64,
	/// Its share of the members of the fabricators' committees.
	pub seats: f64,
	/// Probability that a fabricator is caught, with its standard deviation, for each share of [`TRIED`].
	pub caught: [(f64, f64); TRIED.len()],
	/// Number of fabricators tried.
	pub fabricators: u64,
}

/// Returns all attacks on a population.
pub fn all(config: &Config) -> Vec<Attack> {
	let weights = Population::new(config).weights(0);
	let hosts = weights.len();
	let many = config.dishonest_hosts(config.dishonest);
	let percent = |share: f64| format!("{:.0} %", 100.0 * share);
	let order = shuffled(&mut rng(config.seed, b"attacks", 0), hosts);
	let attack = |name: String, hosts| Attack { name, hosts };

	let mut random: Vec<_> = weights.iter().map(|weight| (*weight, false)).collect();
	order.iter().take(many).for_each(|host| random[*host].1 = true);

	let mut descending = weights.clone();
	descending.sort_unstable_by(|a, b| b.cmp(a));
	let heaviest = descending.iter().enumerate().map(|(rank, weight)| (*weight, rank < many)).collect();

	let mut split: Vec<_> = order.iter().skip(many).map(|host| (weights[*host], false)).collect();
	let honest: u64 = split.iter().map(|(weight, _)| weight).sum();
	let wanted = honest as f64 * config.dishonest / (1.0 - config.dishonest).max(0.01);
	let each = descending[hosts / 2].max(1);
	split.resize(split.len() + (wanted / each as f64).round() as usize, (each, true));

	let sybils = |honest: usize, number: usize| {
		let mut all: Vec<_> = order.iter().take(honest).map(|host| (weights[*host], false)).collect();
		all.resize(honest + number, (min_weight(), true));
		attack(format!("{number} hosts with 1 leaf a segment, beside {honest} honest ones"), all)
	};
	let mut attacks = vec![
		attack(format!("{} of the hosts, any of them", percent(config.dishonest)), random),
		attack(format!("{} of the hosts, the heaviest", percent(config.dishonest)), heaviest),
		attack(format!("{} of the weight, in hosts of the median weight", percent(config.dishonest)), split),
	];
	attacks.extend([hosts / 2, hosts, 2 * hosts, 10 * hosts].map(|number| sybils(hosts, number)));
	attacks.push(sybils(hosts / 3, 10 * hosts));
	attacks
}

impl Attack {
	/// Returns the candidates that the chain draws, as indices of hosts with the weights by which they check.
	fn candidates(&self, beacon: Hash) -> BoundedVec<(u32, u64), ConstU32<{ CHECKERS }>> {
		let mut weighing = Weighing::<u32, ConstU32<1>, ConstU32<{ CHECKERS }>>::new(beacon);
		for (host, (weight, _)) in (0..).zip(&self.hosts) {
			weighing.add(host, &Standing::of_weight(host, *weight), false);
		}
		weighing.into_candidates(u64::MAX)
	}

	/// Draws `draws` times.
	pub fn measure(&self, seed: u64, draws: u64) -> Gain {
		let weights: Vec<u64> = self.hosts.iter().map(|(weight, _)| *weight).collect();
		let total: u64 = weights.iter().sum();
		let of_adversary: u64 = self.hosts.iter().filter(|host| host.1).map(|host| host.0).sum();
		let (mut rng, mut caught) = (rng(seed, self.name.as_bytes(), 1), [Counter::default(); TRIED.len()]);
		let participants = (self.hosts.len() as u32).max(FABRICATORS as u32);
		let (mut seats, mut theirs) = (0, 0);
		for _ in 0..draws {
			let (listed, candidates): (Vec<u32>, Vec<u64>) = self.candidates(beacon(&mut rng)).into_iter().unzip();
			let (order, qualified) = checkers(&candidates);
			let adversary: Vec<bool> = order.iter().map(|position| self.hosts[listed[*position] as usize].1).collect();
			let beacon = beacon(&mut rng);
			let draw = Draw::new(beacon, &qualified, order.len() as u32 + participants);
			let mut counts = [0; TRIED.len()];
			for participant in 0..FABRICATORS {
				let committee = draw.committee((order.len() + participant as usize) as u32, None);
				seats += committee.len();
				theirs += committee.iter().filter(|member| adversary[**member as usize]).count();
				let minima = minima(&beacon, &account(participant as usize), &LEAVES, committee.len());
				let lowest = visible(&minima, |member| adversary[committee[member] as usize]);
				for (count, share) in counts.iter_mut().zip(TRIED) {
					*count += u64::from(lowest < threshold(share));
				}
			}
			caught.iter_mut().zip(counts).for_each(|(caught, count)| caught.epoch(count));
		}
		Gain {
			weight: of_adversary as f64 / total.max(1) as f64,
			seats: theirs as f64 / seats.max(1) as f64,
			caught: caught.map(|caught| (caught.mean(draws, FABRICATORS), caught.sigma(draws, FABRICATORS))),
			fabricators: draws * FABRICATORS,
		}
	}
}
