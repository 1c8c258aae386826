//! Sets of strategies, and rule, price and mend of those that gain more than a point.

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

/// A strategy that gains more than a point with the rules as built. Sets of strategies with it are excepted, too.
pub struct Exception {
	/// The strategy.
	pub strategy: Strategy,
	/// The rule by which it gains.
	pub rule: &'static str,
	/// The price of the strategy.
	pub price: &'static str,
	/// The rule of [`Rules::MENDED`](super::Rules::MENDED) with which it gains no more.
	pub mend: &'static str,
}

/// The strategies that gain more than a point with the rules as built.
pub const EXCEPTIONS: [Exception; 5] = [
	Exception {
		strategy: Late,
		rule: "a commitment may come 3 blocks late; of 12, 8, 12, 8, 12 blocks' leaves the median counts",
		price: "nothing; it computes no more than others",
		mend: "leaves of a commitment in block j of the grace count segment / (segment + j)",
	},
	Exception {
		strategy: Rent,
		rule: "one epoch in twenty has no confirmation, and is paid by the sprint alone",
		price: "as much compute as the network has, for six minutes a day; all hosts' pay falls in other epochs",
		mend: "pay goes by the proven weight, as power does",
	},
	Exception {
		strategy: Censor,
		rule: "two blocks can carry commitments to a confirmation; a host without one loses its power in the day",
		price: "nothing; with a share q of the blocks all power is taken with q^2 a day",
		mend: "a grace of 20 blocks with late leaves counting less; workers compute until they are included",
	},
	Exception {
		strategy: Jam,
		rule: "1,024 checkers may request openings of 64 hosts each; blocks lack room for 10,000 hosts' answers",
		price: "nothing",
		mend: "16 hosts for each checker",
	},
	Exception {
		strategy: Swarm,
		rule: "a newcomer is paid for its first sprint, up to the cap; all rounds have the same committee",
		price: "4 * 10^9 hashes, seconds of a GPU, a week; newcomers that are caught lose nothing",
		mend: "pay goes by the proven weight, and each round has committees of its own",
	},
];

/// The ways in which honest hosts are slashed with the rules as built.
pub const LOSSES: [&str; 3] = [
	"censored    five blocks can carry the digests of a round. If all are the adversary's, every honest checker\n            missed its duties, which costs a tenth of its collateral. Mended: 20 blocks",
	"judged      most seats of a case, and most of 31 in its appeal, are the adversary's. A lost case costs two reporters\n            their findings for three epochs, and nothing else. Mended: 41 of 61",
	"challenged  a checker that is offline for a minute does not defend its tags against partners with made-up ones. A set\n            that it did not defend counts as missed, and 5 % of all cost a tenth. Mended: it costs pay alone",
];
