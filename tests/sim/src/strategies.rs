//! Rational adversaries: what each strategy, and sets of them, bring to hosts with a share of the compute.
//!
//! A [`Network`](network::Network) lives for some epochs with mainnet's times. Weights, caps, power, seats, committees,
//! leaf sets, refuters and pay are the chain's own functions. Every strategy is compared with the same network in which
//! the adversary is honest.

pub mod exceptions;
pub mod network;
pub mod report;
mod sprint;
mod work;

use crate::population::CHECKERS;
use gonka_primitives::{audit::MAX_SEATS, check::requests_per_kind, epoch::Schedule};

/// One thing that an adversary does otherwise than the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
	/// Has all its compute in one host, which the cap then cuts.
	Whole,
	/// Spreads its compute over 240 identities.
	Split,
	/// Computes leaves of every second segment, and of confirmations, as long as a commitment in the grace counts them.
	Late,
	/// Computes a block longer in each segment whose seed follows from a block of its own.
	Lead,
	/// Rents as much compute as the whole network has, for the sprint alone.
	Rent,
	/// Leaves what others have to send by a deadline out of the blocks that it writes.
	Censor,
	/// Withholds blocks: the last ones before seats and slots are drawn, before a draw of committees that suits it less,
	/// and before a call of a confirmation that does not suit it.
	Bias,
	/// Makes up a hundredth of its leaves; its checkers report nothing.
	Fabricate,
	/// Makes up a thousandth of its leaves and refuses the openings of these; its checkers ask for none.
	Withhold,
	/// Doubles its counts in four segments, commits to junk of 2⁴⁰ leaves in the fifth, and shows no openings.
	Sacrifice,
	/// Lets its checkers request openings from as many hosts as they may, at the last moment, so that blocks have no room
	/// for all answers. The room is that of a network of 10,000 hosts; in a small one all answers fit.
	Jam,
	/// Reveals made-up tags and challenges its partners' tags; accuses the hosts that are offline during disputes.
	Accuse,
	/// Reports right completions of honest hosts as wrong, and rules so as an arbiter.
	Judge,
	/// Pays itself for ten times the work that others do, all of it real, so that these seem to serve little.
	Serve,
	/// Registers a thousand newcomers that commit to junk of 2⁴⁰ leaves in each sprint and confirmation, and show nothing.
	Swarm,
}

impl Strategy {
	/// All strategies.
	pub const ALL: [Self; 15] = [
		Self::Whole,
		Self::Split,
		Self::Late,
		Self::Lead,
		Self::Rent,
		Self::Censor,
		Self::Bias,
		Self::Fabricate,
		Self::Withhold,
		Self::Sacrifice,
		Self::Jam,
		Self::Accuse,
		Self::Judge,
		Self::Serve,
		Self::Swarm,
	];

	/// Returns the name in tables.
	pub fn name(self) -> &'static str {
		match self {
			Self::Whole => "whole",
			Self::Split => "split",
			Self::Late => "late",
			Self::Lead => "lead",
			Self::Rent => "rent",
			Self::Censor => "censor",
			Self::Bias => "bias",
			Self::Fabricate => "fabricate",
			Self::Withhold => "withhold",
			Self::Sacrifice => "sacrifice",
			Self::Jam => "jam",
			Self::Accuse => "accuse",
			Self::Judge => "judge",
			Self::Serve => "serve",
			Self::Swarm => "swarm",
		}
	}

	/// Returns what the adversary does, in one sentence.
	pub fn sentence(self) -> &'static str {
		match self {
			Self::Whole => "all compute is in one host, which the cap of 30 % cuts",
			Self::Split => {
				"the compute is spread over 240 identities; with others they exceed the places of validators"
			},
			Self::Late => "in every second segment and in confirmations it computes in the grace, while that counts",
			Self::Lead => "it computes a block longer in each segment whose seed follows from a block of its own",
			Self::Rent => {
				"it rents as much compute as the whole network has for the sprint, and has its own in confirmations"
			},
			Self::Censor => "its blocks leave out commitments, reveals and openings of all others",
			Self::Bias => {
				"it withholds its last blocks before seats, slots and committees are drawn, and calls of confirmations"
			},
			Self::Fabricate => "it makes up 1 % of its leaves; its own checkers say nothing",
			Self::Withhold => {
				"it makes up 0.1 % of its leaves and refuses their openings; its own checkers ask for none"
			},
			Self::Sacrifice => "counts doubled in four segments, junk of 2^40 leaves in the fifth, no openings",
			Self::Jam => {
				"its checkers request all openings they may, so that answers do not fit (room of 10,000 hosts)"
			},
			Self::Accuse => {
				"it reveals made-up tags, challenges its partners, and accuses hosts that are offline in disputes"
			},
			Self::Judge => {
				"it reports right completions of honest hosts as wrong, and rules so in the cases and appeals"
			},
			Self::Serve => "it pays itself for ten times the work of others, all of it real",
			Self::Swarm => "1,000 newcomers commit to 2^40 leaves in each segment and show nothing, day after day",
		}
	}
}

/// The rules of the chain that are tried in several forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
	/// Lengths of the phases. A worker signs when it has seen the first block after a segment, so all blocks of the grace
	/// but the first can carry a commitment.
	pub schedule: Schedule,
	/// Whether only proven weight is paid.
	pub proven_is_paid: bool,
	/// Number of hosts of which a checker may request openings for a sprint, in a network of 10,000 hosts.
	pub requests: u32,
	/// Whether new hosts have as many places in a draw as there are known ones, and not as many as checkers can check.
	pub places_are_few: bool,
	/// Whether a single unanswered request leaves a new host nothing.
	pub one_request_ends_newcomers: bool,
	/// Whether a tag that its checker does not defend counts as missed, which can cost collateral.
	pub undefended_is_missed: bool,
	/// Seats of an appeal, and whether more than two thirds of them must confirm a judgement, and not only half.
	pub appeal: (u32, bool),
	/// Whether each validator has the same number of seats, whatever its power: a former rule.
	pub seats_by_heads: bool,
	/// Whether a leaf set is a sample over the sum of a host's segments, a leaf that it does not show costs the segment, and
	/// a confirmation's sample is known when it is committed to: former rules.
	pub samples_over_sum: bool,
}

impl Rules {
	/// The rules of the chain.
	pub const BUILT: Self = Self {
		schedule: Schedule::MAINNET,
		proven_is_paid: true,
		requests: requests_per_kind(CHECKERS) as u32,
		places_are_few: true,
		one_request_ends_newcomers: true,
		undefended_is_missed: false,
		appeal: (MAX_SEATS, true),
		seats_by_heads: false,
		samples_over_sum: false,
	};
	/// The rules before this simulation: segments of ten blocks, a grace of three in which all commitments count in full, five
	/// blocks for reveals, new hosts that are paid at once, and more requests.
	pub const FORMER: Self = Self {
		schedule: Schedule { segment: 10, grace: 3, prompt: 3, check: 40, ..Schedule::MAINNET },
		proven_is_paid: false,
		requests: 64,
		places_are_few: false,
		one_request_ends_newcomers: false,
		undefended_is_missed: true,
		appeal: (31, false),
		..Self::BUILT
	};

	/// Returns the number of blocks that can carry the digests of a round.
	pub fn reveal_blocks(&self) -> u32 {
		self.schedule.checking().saturating_sub(self.schedule.digest)
	}
}

/// A network and its adversary.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
	/// The chain's rules.
	pub rules: Rules,
	/// The adversary's share of the compute.
	pub share: f64,
	/// The adversary's strategies; none if it is honest.
	pub strategies: Vec<Strategy>,
	/// Number of epochs.
	pub epochs: u32,
	/// Seed of everything random.
	pub seed: u64,
}

impl Setting {
	/// Returns whether the adversary has this strategy.
	pub fn has(&self, strategy: Strategy) -> bool {
		self.strategies.contains(&strategy)
	}
}

/// Number of the [`Ends::shares`].
pub const KINDS: usize = 5;
/// Names of the [`Ends::shares`].
pub const KIND_NAMES: [&str; KINDS] = ["power", "blocks", "votes", "pay", "emission"];

/// An adversary's shares and losses, as sums over epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ends {
	/// Number of epochs.
	pub epochs: u32,
	/// Sums over epochs of the adversary's shares of: GRANDPA's votes, blocks, governance's votes, the pay of all hosts, and
	/// the emission. Pay is net of unvested pay that was burnt.
	pub shares: [f64; KINDS],
	/// GNK of the adversary's collateral that were burnt.
	pub burnt: f64,
	/// Convictions of the adversary's hosts.
	pub convicted: u32,
	/// Honest hosts slashed.
	pub slashed: Slashed,
	/// Epochs at the end of which the adversary had two thirds of the power.
	pub captured: u32,
}

/// Number of slashings of honest hosts by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slashed {
	/// For missed duties: all blocks that could carry its digests were the adversary's.
	pub censored: u64,
	/// For wrong completions: most seats of a case and of its appeal were the adversary's.
	pub judged: u64,
	/// For missed duties: it was offline while its partners challenged its tags.
	pub challenged: u64,
	/// By a false accusation that nobody refuted.
	pub accused: u64,
	/// For any other reason.
	pub other: u64,
}

impl Slashed {
	/// Adds other counts.
	pub fn add(&mut self, other: &Self) {
		self.censored += other.censored;
		self.judged += other.judged;
		self.challenged += other.challenged;
		self.accused += other.accused;
		self.other += other.other;
	}
}

impl Ends {
	/// Returns the mean shares.
	pub fn means(&self) -> [f64; KINDS] {
		self.shares.map(|sum| sum / f64::from(self.epochs.max(1)))
	}
}

/// Lets a network live.
pub fn simulate(setting: &Setting) -> Ends {
	let mut network = network::Network::new(setting);
	for _ in 0..setting.epochs {
		network.epoch();
	}
	network.ends()
}
