//! The tracks of referenda: their periods, and the approval and support that they need.
//!
//! Approval is the share of ayes among ayes and nays. Support is the share of ayes and abstentions in the total effective
//! weight. Both thresholds fall during the decision period.

use crate::{Balance, GNK};
use alloc::borrow::Cow;
use gonka_primitives::BlockNumber;
use polkadot_sdk::{
	pallet_referenda::{Curve, Track, TrackInfo},
	sp_runtime::{FixedI64, str_array},
};

/// Track of runtime upgrades and of everything else that only root may do.
pub const UPGRADE: u16 = 0;
/// Track of changes of parameters within their bounds.
pub const PARAMETERS: u16 = 1;
/// Track of registration, prices and retirement of models.
pub const MODELS: u16 = 2;
/// Track of spends from the community fund.
pub const TREASURY: u16 = 3;
/// Track of emergencies: it cancels and kills referenda, pauses and resumes calls that move money, and ends a stall of
/// finality.
pub const EMERGENCY: u16 = 4;

/// Deposit for the submission of a referendum, in base units.
pub const SUBMISSION_DEPOSIT: Balance = 10 * GNK;
/// Maximum amount that one referendum may spend from the community fund, in base units.
pub const MAX_SPEND: Balance = 10_000_000 * GNK;
/// Number of blocks after which a referendum without a decision deposit times out.
pub const UNDECIDING_TIMEOUT: BlockNumber = if cfg!(feature = "fast-runtime") { 300 } else { 14 * DAY };

/// Number of mainnet's blocks in an hour.
const HOUR: BlockNumber = 600;
/// Number of mainnet's blocks in a day.
const DAY: BlockNumber = 24 * HOUR;

/// Periods of a referendum, in blocks.
struct Periods {
	prepare: BlockNumber,
	decision: BlockNumber,
	confirm: BlockNumber,
	enactment: BlockNumber,
}

/// With `fast-runtime` a whole referendum takes less than two epochs.
const FAST: Periods = Periods { prepare: 3, decision: 60, confirm: 5, enactment: 3 };

const fn periods(mainnet: Periods) -> Periods {
	if cfg!(feature = "fast-runtime") { FAST } else { mainnet }
}

/// A straight line from `start` per cent at the begin of the decision period to `end` per cent at its end.
const fn falling(start: u128, end: u128) -> Curve {
	Curve::make_linear(1, 1, FixedI64::from_rational(end, 100), FixedI64::from_rational(start, 100))
}

const fn track(
	id: u16,
	name: &str,
	(max_deciding, decision_deposit): (u32, Balance),
	periods: Periods,
	(min_approval, min_support): (Curve, Curve),
) -> Track<u16, Balance, BlockNumber> {
	let info = TrackInfo {
		name: str_array(name),
		max_deciding,
		decision_deposit,
		prepare_period: periods.prepare,
		decision_period: periods.decision,
		confirm_period: periods.confirm,
		min_enactment_period: periods.enactment,
		min_approval,
		min_support,
	};
	Track { id, info }
}

/// All tracks, ascending.
pub const TRACKS: [Track<u16, Balance, BlockNumber>; 5] = [
	track(
		UPGRADE,
		"upgrade",
		(1, 5_000 * GNK),
		periods(Periods { prepare: 2 * DAY, decision: 14 * DAY, confirm: DAY, enactment: DAY }),
		(falling(90, 67), falling(50, 25)),
	),
	track(
		PARAMETERS,
		"parameters",
		(5, 1_000 * GNK),
		periods(Periods { prepare: DAY, decision: 7 * DAY, confirm: DAY / 2, enactment: HOUR }),
		(falling(80, 60), falling(40, 15)),
	),
	track(
		MODELS,
		"models",
		(10, 200 * GNK),
		periods(Periods { prepare: DAY / 2, decision: 7 * DAY, confirm: DAY / 4, enactment: HOUR }),
		(falling(70, 55), falling(30, 5)),
	),
	track(
		TREASURY,
		"treasury",
		(5, 1_000 * GNK),
		periods(Periods { prepare: DAY, decision: 14 * DAY, confirm: DAY, enactment: DAY }),
		(falling(80, 60), falling(40, 10)),
	),
	track(
		EMERGENCY,
		"emergency",
		(2, 10_000 * GNK),
		periods(Periods { prepare: 20, decision: DAY, confirm: HOUR / 2, enactment: 10 }),
		(falling(90, 90), falling(67, 67)),
	),
];

/// [`TRACKS`] in the form that `TracksInfo` needs.
pub fn tracks() -> impl Iterator<Item = Cow<'static, Track<u16, Balance, BlockNumber>>> {
	TRACKS.into_iter().map(Cow::Owned)
}
