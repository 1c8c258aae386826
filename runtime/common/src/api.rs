//! The runtime API that workers, gateways and the command line read the chain through.

use alloc::vec::Vec;
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, ModelId,
	audit::{AuditRules, CalibrationProfile},
	host::Commitment,
	views::{
		AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, CollateralView, EpochView, HostView,
		MarketView, ModelView, ParameterView, ReferendumView, RegistrationTerms, ReputationView, RequestView,
		StandingView, SupplyView, TrackView, VestingView, VoterView,
	},
};
use polkadot_sdk::*;

/// Maximum number of items in a page.
pub const MAX_PAGE: u32 = 256;

sp_api::decl_runtime_apis! {
	/// Queries of workers, gateways and the command line. Lists come in pages of at most [`MAX_PAGE`] items that follow the
	/// last item of the page before.
	pub trait GonkaApi {
		/// The running epoch; `None` before the first block.
		fn epoch() -> Option<EpochView>;
		/// Registered hosts, in storage order.
		fn hosts(after: Option<AccountId>, limit: u32) -> Vec<HostView>;
		/// One host.
		fn host(host: AccountId) -> Option<HostView>;
		/// What the next registration of a host needs, registered or not; `None` if the epoch takes no more of it.
		fn registration_terms(host: AccountId) -> Option<RegistrationTerms>;
		/// A host's commitments, ascending by segment.
		fn commitments(epoch: EpochIndex, host: AccountId) -> Vec<(u8, Commitment)>;
		/// The weights of a host in an epoch with their components; `None` if it was no participant.
		fn standing(epoch: EpochIndex, host: AccountId) -> Option<StandingView>;
		/// A checker's duties in the running epoch; `None` before the draw, and if it has none.
		fn check(checker: AccountId) -> Option<CheckView>;
		/// Requests for openings of a host's leaves in the running epoch, answered or not.
		fn opening_requests(host: AccountId) -> Vec<RequestView>;
		/// The amounts that a host earned by emission and was not paid yet.
		fn earnings(host: AccountId) -> VestingView;
		/// A host's collateral.
		fn collateral(host: AccountId) -> CollateralView;
		/// All open claims of disputes.
		fn claims() -> Vec<ClaimView>;
		/// The validators of the running session with their power.
		fn validators() -> Vec<(AccountId, u64)>;
		/// All models.
		fn models() -> Vec<ModelView>;
		/// One channel.
		fn channel(channel: ChannelId) -> Option<ChannelView>;
		/// A developer's channels.
		fn channels(developer: AccountId, after: Option<ChannelId>, limit: u32) -> Vec<ChannelView>;
		/// The channels that pay a host.
		fn host_channels(host: AccountId, after: Option<ChannelId>, limit: u32) -> Vec<ChannelView>;
		/// The rules of the market.
		fn market() -> MarketView;
		/// The audits that a checker can still report on, by the window in which they were drawn.
		fn audits(checker: AccountId) -> Vec<AssignedAuditsView>;
		/// All open cases.
		fn cases() -> Vec<CaseView>;
		/// A host's reputation, and the findings and cases against it.
		fn reputation(host: AccountId) -> ReputationView;
		/// A model's calibration profile; `None` if its completions are not audited.
		fn calibration_profile(model: ModelId) -> Option<CalibrationProfile>;
		/// Rates, thresholds and deadlines of audits.
		fn audit_rules() -> AuditRules;
		/// The supply of GNK by place.
		fn supply() -> SupplyView;
		/// The votes of an account in an open referendum, without those of its delegators; `None` if it is not open.
		fn votes(referendum: u32, account: AccountId) -> Option<u128>;
		/// The tracks of referenda, ascending.
		fn tracks() -> Vec<TrackView>;
		/// Referenda before an index, or all, the newest first. Long calls are left out.
		fn referenda(before: Option<u32>, limit: u32) -> Vec<ReferendumView>;
		/// One referendum.
		fn referendum(index: u32) -> Option<ReferendumView>;
		/// An account's votes and delegations.
		fn voter(account: AccountId) -> VoterView;
		/// The parameters that governance can change.
		fn parameters() -> Vec<ParameterView>;
		/// Dispatches a call with the origin of a track and reverts it. The error is a SCALE-encoded `DispatchError`.
		fn dry_run(track: u16, call: Vec<u8>) -> Result<(), Vec<u8>>;
		/// Minimum version of workers (major · 10⁶ + minor · 10³ + patch), and the block from which on it holds.
		fn min_worker_version() -> (u32, BlockNumber);
	}
}
