//! One epoch: commitments, the draw, fabricators, lazy checkers, false accusations, disputes.

use crate::{
	Config, SHARES,
	bytes::Bytes,
	population::{Population, SEGMENTS, account, checkers, rng, shuffled},
	stats::{MAX_PARTNERS, Tally, class},
};
use gonka_primitives::hashing::blake2_256;
use gonka_sprint::{
	Draw, Hash, Tag,
	committee::{LEAVES_PER_SET, appoint, leaf_set, partner, sets_of, tag},
};
use rand_chacha::{ChaCha8Rng, rand_core::RngCore};

/// Simulates epoch `number`.
pub fn simulate(config: &Config, population: &Population, number: u64) -> Tally {
	let mut tally = Tally { epochs: 1, ..Tally::new(config) };
	let mut rng = rng(config.seed, b"epoch", number);
	// The weights of the epoch before decide which hosts check the commitments of this one.
	let weights = population.weights(number);
	let counts = population.counts(number + 1);
	let (order, qualified) = checkers(&weights);
	let beacon = beacon(&mut rng);
	let draw = Draw::new(beacon, &qualified, (order.len() + config.hosts) as u32);
	let mut positions = vec![None; config.hosts];
	for (position, host) in order.iter().enumerate() {
		positions[*host] = Some(position as u32);
	}
	// Hosts commit in any order. The draw lists the checkers first, then all participants in that order.
	let participants = shuffled(&mut rng, config.hosts);
	let mut committees = vec![Vec::new(); config.hosts];
	for (participant, host) in participants.iter().enumerate() {
		let position = positions[*host].unwrap_or((order.len() + participant) as u32);
		let members = draw.committee(position, positions[*host]);
		committees[*host] = members.into_iter().map(|position| order[position as usize]).collect::<Vec<_>>();
		tally.sizes[committees[*host].len()] += 1;
	}
	// The hosts of low rank are dishonest, and the honest ones next to them offline: as many as the configuration says.
	let mut ranks = vec![0; config.hosts];
	for (rank, host) in shuffled(&mut rng, config.hosts).into_iter().enumerate() {
		ranks[host] = rank;
	}
	let fabricators = shuffled(&mut rng, config.hosts);
	fabricate(config, &mut tally, &fabricators, &beacon, &counts, &committees, &ranks);
	let roles = Roles {
		ranks: &ranks,
		dishonest: config.dishonest_hosts(config.dishonest),
		blind: config.blind_hosts(config.dishonest, true),
		offline: config.blind_hosts(0.0, true),
	};
	check(&mut tally, number, &committees, &weights, &roles);
	accuse(&mut tally, &mut rng, &committees, (order.as_slice(), qualified.as_slice()), &positions, &roles);
	tally
}

/// Draws a random beacon.
pub fn beacon(rng: &mut ChaCha8Rng) -> Hash {
	let mut beacon = Hash::default();
	rng.fill_bytes(&mut beacon);
	beacon
}

/// Returns, for each leaf set of a host with these counts, the lowest of its leaves' draws: the set has a fabricated leaf
/// if the fabricated share is above it.
pub fn minima(beacon: &Hash, host: &[u8; 32], counts: &[u64], sets: usize) -> Vec<u64> {
	let counts: Vec<(u8, u64)> = (0..).zip(counts.iter().copied()).collect();
	let of = |set| leaf_set(beacon, host, set, &counts, LEAVES_PER_SET);
	let lowest = |set| of(set).into_iter().map(|leaf| fabricated(beacon, host, leaf)).min();
	(0..sets as u32).map(|set| lowest(set).unwrap_or(u64::MAX)).collect()
}

/// Returns a leaf's draw: the leaf is fabricated if it is below the share's [`threshold`].
fn fabricated(beacon: &Hash, host: &[u8; 32], (segment, position): (u8, u64)) -> u64 {
	let hash = blake2_256(&[b"gonka/sim/fabricated", beacon, host, &[segment], &position.to_le_bytes()]);
	u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
}

/// Returns a share of all 64-bit numbers.
pub fn threshold(share: f64) -> u64 {
	(share * 18_446_744_073_709_551_616.0) as u64
}

/// Returns the lowest of the [`minima`] that a member of the committee sees and reports.
pub fn visible(minima: &[u64], is_blind: impl Fn(usize) -> bool) -> u64 {
	let seen = |set: &usize| !(is_blind(*set) && is_blind((*set + 1) % minima.len()));
	(0..minima.len()).filter(seen).map(|set| minima[set]).min().unwrap_or(u64::MAX)
}

/// Lets some hosts fabricate leaves, each by itself: with every share, and with every level of dishonest checkers.
fn fabricate(
	config: &Config,
	tally: &mut Tally,
	order: &[usize],
	beacon: &Hash,
	counts: &[[u64; SEGMENTS as usize]],
	committees: &[Vec<usize>],
	ranks: &[usize],
) {
	let levels = config.levels();
	let mut caught = vec![[[0u64; SHARES.len()]; 2]; levels.len()];
	for host in order.iter().take(config.fabricators) {
		let committee = &committees[*host];
		let minima = minima(beacon, &account(*host), &counts[*host], committee.len());
		tally.tried[committee.len()] += 1;
		for (caught, level) in caught.iter_mut().zip(&levels) {
			for (caught, offline) in caught.iter_mut().zip([false, true]) {
				let blind = config.blind_hosts(*level, offline);
				let lowest = visible(&minima, |member| ranks[committee[member]] < blind);
				for (caught, share) in caught.iter_mut().zip(SHARES) {
					*caught += u64::from(lowest < threshold(share));
				}
			}
		}
	}
	for (counter, caught) in tally.caught.iter_mut().flatten().flatten().zip(caught.iter().flatten().flatten()) {
		counter.epoch(*caught);
	}
}

/// Roles of all hosts in an epoch.
struct Roles<'a> {
	ranks: &'a [usize],
	dishonest: usize,
	blind: usize,
	/// Number of offline hosts if all were honest.
	offline: usize,
}

impl Roles<'_> {
	fn is_honest(&self, host: usize) -> bool {
		self.ranks[host] >= self.dishonest
	}

	fn is_online(&self, host: usize) -> bool {
		self.is_honest(host) && self.ranks[host] >= self.blind
	}
}

/// Results of a checker in its committees.
#[derive(Clone, Default)]
struct Checker {
	sets: u64,
	/// Partners in all sets.
	partners: Vec<usize>,
	/// Whether an honest partner that is online revealed a different tag.
	caught: bool,
	/// Whether it lost a challenge although its tag was right.
	lost: bool,
}

/// Lets all checkers reveal their tags: honest ones the right ones, dishonest ones a common made-up tag for each set. A
/// checker that sees another tag than its own challenges its partner if it is online; so do dishonest ones.
fn check(tally: &mut Tally, number: u64, committees: &[Vec<usize>], weights: &[u64], roles: &Roles) {
	let mut checkers = vec![Checker::default(); committees.len()];
	for (host, committee) in committees.iter().enumerate() {
		let size = committee.len() as u32;
		for (member, checker) in (0..).zip(committee) {
			let mine = roles.is_honest(*checker);
			for set in sets_of(member, size) {
				checkers[*checker].sets += 1;
				let Some(other) = partner(member, set, size).map(|other| committee[other as usize]) else { continue };
				checkers[*checker].partners.push(other);
				let theirs = roles.is_honest(other);
				if reveal(number, host, set, mine) == reveal(number, host, set, theirs) {
					continue;
				}
				// The tags differ: the partner challenges, and each defends what it revealed.
				if mine {
					tally.honest.challenged += 1;
					tally.honest.lost += u64::from(!holds(mine, true));
					checkers[*checker].lost |= !holds(mine, roles.is_online(*checker));
				} else if roles.is_online(other) {
					checkers[*checker].caught |= !holds(mine, true);
				}
			}
		}
	}
	let median = crate::population::median(weights);
	for (host, checker) in checkers.iter_mut().enumerate() {
		tally.sets += checker.sets;
		if checker.sets > 0 {
			tally.lone.0 += 1;
			tally.lone.1 += u64::from(checker.partners.iter().any(|other| roles.ranks[*other] >= roles.offline));
		}
		tally.bytes += Bytes::new(checker.sets as usize).epoch() as u64;
		if roles.is_honest(host) {
			tally.honest.hosts += 1;
			tally.honest.offline += u64::from(!roles.is_online(host));
			tally.honest.forfeited += u64::from(checker.lost && !roles.is_online(host));
			continue;
		}
		let lazy = &mut tally.lazy[class(weights[host], median)];
		if checker.sets == 0 {
			lazy.idle += 1;
			continue;
		}
		lazy.hosts += 1;
		lazy.sets += checker.sets;
		lazy.weight += weights[host];
		lazy.caught += u64::from(checker.caught);
		lazy.weight_caught += if checker.caught { weights[host] } else { 0 };
		checker.partners.sort_unstable();
		checker.partners.dedup();
		let partners = &mut tally.partners[checker.partners.len().min(MAX_PARTNERS - 1)];
		partners.0 += 1;
		partners.1 += u64::from(checker.caught);
	}
}

/// Returns the tag of a set: the right one, or the one that the dishonest checkers agreed on.
fn reveal(epoch: u64, host: usize, set: u32, right: bool) -> Tag {
	let mut digest = Hash::default();
	digest[..8].copy_from_slice(&epoch.to_le_bytes());
	digest[8..16].copy_from_slice(&(host as u64).to_le_bytes());
	digest[16..20].copy_from_slice(&set.to_le_bytes());
	digest[20] = u8::from(right);
	tag(&[digest])
}

/// Returns whether a claim survives an honest opponent. The game is exact ([`crate::games`]): a true claim survives if
/// its claimant takes its turns, and a false one does not.
fn holds(is_true: bool, claimant_plays: bool) -> bool {
	is_true && claimant_plays
}

/// Lets dishonest checkers accuse all honest hosts that they check of a wrong leaf in each set. Their own refuters take
/// all open places and stay silent, so the accused host has to refute, or an appointed refuter. All accusations are of
/// one block.
fn accuse(
	tally: &mut Tally,
	rng: &mut ChaCha8Rng,
	committees: &[Vec<usize>],
	(order, qualified): (&[usize], &[u64]),
	positions: &[Option<u32>],
	roles: &Roles,
) {
	let beacon = beacon(rng);
	let appoints_honest = |accuser: usize, host: usize| {
		let parties: Vec<u32> = [accuser, host].into_iter().filter_map(|party| positions[party]).collect();
		let mut appointed = appoint(&beacon, qualified, &parties).into_iter();
		appointed.any(|position| roles.is_online(order[position as usize]))
	};
	let is_refuted = |accuser: usize, host: usize| roles.is_online(host) || appoints_honest(accuser, host);
	for (host, committee) in committees.iter().enumerate().filter(|(host, _)| roles.is_honest(*host)) {
		debug_assert!(!committee.contains(&host));
		let accusers = (0..).zip(committee).filter(|(_, checker)| !roles.is_honest(**checker));
		for (member, accuser) in accusers {
			let accusations = sets_of(member, committee.len() as u32).len() as u64;
			tally.honest.accused += accusations;
			let stands = holds(false, true) || !is_refuted(*accuser, host);
			tally.honest.convicted += if stands { accusations } else { 0 };
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_set_is_seen_unless_both_its_checkers_are_blind() {
		let minima = [10, 20, 30, 40];
		assert_eq!(visible(&minima, |_| false), 10);
		assert_eq!(visible(&minima, |member| member < 2), 20);
		assert_eq!(visible(&minima, |member| member != 3), 30);
		assert_eq!(visible(&minima, |_| true), u64::MAX);
		assert_eq!(visible(&[5], |_| false), 5);
		assert_eq!(visible(&[5], |_| true), u64::MAX);
		assert_eq!(visible(&[], |_| false), u64::MAX);
	}

	#[test]
	fn the_share_of_fabricated_leaves_is_the_requested_one() {
		let below =
			|share| (0..20_000).filter(|at| fabricated(&[1; 32], &[2; 32], (0, *at)) < threshold(share)).count();
		assert!(below(0.02).abs_diff(400) < 80 && below(0.5).abs_diff(10_000) < 300);
	}

	/// The participants' committees and the checkers' duties are the same draw.
	#[test]
	fn duties_are_the_committees() {
		let config = Config { hosts: 80, ..Config::default() };
		let weights = Population::new(&config).weights(0);
		let (order, qualified) = checkers(&weights);
		let draw = Draw::new([3; 32], &qualified, 80);
		for checker in 0..order.len() as u32 {
			let participants: Vec<u32> =
				(0..80).filter(|participant| draw.committee(*participant, None).contains(&checker)).collect();
			let seated = draw.duties(checker);
			assert!(participants.iter().all(|participant| seated.contains(participant)));
		}
	}
}
