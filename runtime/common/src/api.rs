//! The runtime API that workers, gateways and the command line read the chain through.

use alloc::vec::Vec;
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, ModelId,
	host::Commitment,
	sampling::{Profile, Rules},
	views::{
		ChannelView, CheckView, ClaimView, CollateralView, EpochView, HostView, MarketView, ModelView, ParameterView,
		ReferendumView, RequestView, SamplesView, SamplingCaseView, SamplingView, StandingView, SupplyView, TrackView,
		VestingView, VoterView,
	},
};
use polkadot_sdk::*;

/// Most items a page may hold.
pub const MAX_PAGE: u32 = 256;

sp_api::decl_runtime_apis! {
	/// What clients need to know. Lists come in pages of at most [`MAX_PAGE`], after the last item of the page before.
	pub trait GonkaApi {
		/// The running epoch; `None` before the first block.
		fn epoch() -> Option<EpochView>;
		/// Registered hosts, in storage order.
		fn hosts(after: Option<AccountId>, limit: u32) -> Vec<HostView>;
		/// One host.
		fn host(host: AccountId) -> Option<HostView>;
		/// A host's commitments, ascending by segment.
		fn commitments(epoch: EpochIndex, host: AccountId) -> Vec<(u8, Commitment)>;
		/// Why a host has the weight it has in an epoch; `None` if it did not race.
		fn standing(epoch: EpochIndex, host: AccountId) -> Option<StandingView>;
		/// A checker's duties in the running epoch; `None` before the draw, and if it has none.
		fn check(checker: AccountId) -> Option<CheckView>;
		/// Requests for openings of the running epoch that a host has to answer, or has answered.
		fn opening_requests(host: AccountId) -> Vec<RequestView>;
		/// What a host earned by emission and was not paid yet.
		fn earnings(host: AccountId) -> VestingView;
		/// A host's collateral.
		fn collateral(host: AccountId) -> CollateralView;
		/// All open claims.
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
		/// The market's rules.
		fn market() -> MarketView;
		/// The samples that a checker can still answer for, by the window in which they were drawn.
		fn samples(checker: AccountId) -> Vec<SamplesView>;
		/// All open cases of sampled validation.
		fn sampling_cases() -> Vec<SamplingCaseView>;
		/// How far a host is trusted, and what speaks against it.
		fn sampling(host: AccountId) -> SamplingView;
		/// A model's calibration profile; `None` if it is not sampled.
		fn sampling_profile(model: ModelId) -> Option<Profile>;
		/// Rates, thresholds and deadlines of sampled validation.
		fn sampling_rules() -> Rules;
		/// Where all GNK are.
		fn supply() -> SupplyView;
		/// The votes of an account in an open referendum, without those of its delegators; `None` if it is not open.
		fn votes(referendum: u32, account: AccountId) -> Option<u128>;
		/// The tracks of referenda, ascending.
		fn tracks() -> Vec<TrackView>;
		/// Referenda, the newest first: those before an index, or all.
		fn referenda(before: Option<u32>, limit: u32) -> Vec<ReferendumView>;
		/// One referendum.
		fn referendum(index: u32) -> Option<ReferendumView>;
		/// An account's power, votes and delegations.
		fn voter(account: AccountId) -> VoterView;
		/// The parameters that governance can change.
		fn parameters() -> Vec<ParameterView>;
		/// What a proposal would do now, if the track had decided it: nothing is changed. The error is a SCALE-encoded
		/// `DispatchError`.
		fn rehearse(track: u16, call: Vec<u8>) -> Result<(), Vec<u8>>;
		/// The oldest worker version that is new enough (major · 10⁶ + minor · 10³ + patch), and the block from which on.
		fn min_worker_version() -> (u32, BlockNumber);
	}
}
