//! Sets of strategies. Those that gained more than a point with the former rules, and those that do with the rules as built.

use super::Strategy::{self, *};

/// Sets of strategies that are tried besides each by itself.
pub const COMBINATIONS: [&[Strategy]; 13] = [
	&[Split, Bias],
	&[Jam, Censor],
	&[Split, Swarm],
	&[Late, Lead],
	&[Late, Lead, Split, Bias],
	&[Rent, Bias],
	&[Rent, Split, Late, Lead],
	&[Censor, Bias],
	&[Rent, Censor, Bias],
	&[Fabricate, Bias],
	&[Withhold, Bias, Split],
	&[Judge, Accuse],
	&[Split, Late, Lead, Censor, Bias, Judge],
];

/// A strategy that gained more than a point with the former rules. Sets of strategies with it are excepted, too.
pub struct Exception {
	/// The strategy.
	pub strategy: Strategy,
	/// The rule by which it gained.
	pub rule: &'static str,
	/// The price of the strategy.
	pub price: &'static str,
	/// The rule that replaced it.
	pub mend: &'static str,
}

/// The strategies that gained more than a point with the former rules.
pub const EXCEPTIONS: [Exception; 5] = [
	Exception {
		strategy: Late,
		rule: "a commitment could come 3 blocks late; of 12, 8, 12, 8, 12 blocks' leaves the median counted",
		price: "nothing; it computes no more than others",
		mend: "30 blocks in a segment; d blocks late, leaves count 30 / (30 + d)",
	},
	Exception {
		strategy: Rent,
		rule: "one epoch in twenty has no confirmation, and was paid by the sprint alone",
		price: "as much compute as the network has, for six minutes a day; all hosts' pay falls in other epochs",
		mend: "pay is bounded by the proven weight, as power is",
	},
	Exception {
		strategy: Censor,
		rule: "two blocks could carry commitments to a confirmation; a host without one loses its power in the day",
		price: "nothing; with a share q of the blocks all power was taken with q^2 a day",
		mend: "a grace of 20 blocks, with the loss of a late commitment in proportion to its delay",
	},
	Exception {
		strategy: Jam,
		rule: "1,024 checkers could request openings of 64 hosts each; blocks lack room for 10,000 hosts' answers",
		price: "nothing",
		mend: "12,288 requests of a kind for all checkers together",
	},
	Exception {
		strategy: Swarm,
		rule: "a newcomer was paid for its first sprint, up to the cap",
		price: "4 * 10^9 hashes, seconds of a GPU, a week; newcomers that are caught lose nothing",
		mend: "a newcomer is not paid; one unanswered request ends it; as many places as there are known hosts",
	},
];

/// A set of strategies that gains more than a point with the rules as built, with at least a third of the compute. Sets that
/// contain it are excepted, too.
pub struct Remaining {
	/// The set.
	pub set: &'static [Strategy],
	/// How it gains.
	pub rule: &'static str,
	/// What it costs.
	pub price: &'static str,
}

/// The sets of strategies that gain more than a point with the rules as built.
pub const REMAINING: [Remaining; 3] = [
	Remaining {
		set: &[Censor, Bias],
		rule: "a block that would call a confirmation is withheld unless the blocks after the segment are its own, too",
		price: "the blocks that it withholds, which count for its pay",
	},
	Remaining {
		set: &[Late, Lead, Split, Bias],
		rule: "a block more of leaves in some segments, and the best of several draws of seats",
		price: "the blocks that it withholds, which count for its pay",
	},
	Remaining {
		set: &[Rent, Split, Late, Lead],
		rule: "rented leaves count nothing beyond the cap of what was proven, so that late leaves of a sprint are not needed",
		price: "as much compute as the network has, for the sprint of each day",
	},
];

/// The ways in which honest hosts were slashed with the former rules.
pub const LOSSES: [&str; 3] = [
	"censored    five blocks could carry the digests of a round. If all were the adversary's, every honest checker\n            missed its duties, which costs a tenth of its collateral. Now: 20 blocks",
	"judged      most seats of a case, and most of 31 in its appeal, were the adversary's. A lost case costs two reporters\n            their findings for three epochs, and nothing else. Now: 41 of 61",
	"challenged  a checker that was offline for a minute did not defend its tags against partners with made-up ones. A set\n            that it did not defend counted as missed, and 5 % of all cost a tenth. Now: it costs pay alone",
];
