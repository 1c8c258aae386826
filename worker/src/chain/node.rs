//! [`ChainApi`] over a connection to a node.

use super::{ChainApi, ChainError, CheckMessage, Result};
use crate::version::RequiredVersion;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use gonka_client::chain::{self, Chain};
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	audit::{AuditReport, AuditRules, CalibrationProfile, Ruling},
	host::{Commitment, Registration, SegmentCommitment},
	market::Settlement,
	views::{
		AssignedAuditsView, CaseView, ChannelView, CheckView, ClaimView, EpochView, HostView, MarketView, ModelView,
		RegistrationTerms, ReputationView, RequestView, StandingView,
	},
};

/// A connection to a node.
pub struct NodeChain(pub Chain);

/// Boxes a future, and converts its error.
fn boxed<'a, T: Send + 'a>(response: impl Future<Output = chain::Result<T>> + Send + 'a) -> BoxFuture<'a, Result<T>> {
	response.map(|response| response.map_err(ChainError::from)).boxed()
}

impl ChainApi for NodeChain {
	fn genesis(&self) -> Hash {
		self.0.genesis()
	}

	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>> {
		async { self.0.best_blocks().await.map(|block| block.number).boxed() }.boxed()
	}

	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>> {
		boxed(self.0.epoch())
	}

	fn required(&self) -> BoxFuture<'_, Result<RequiredVersion>> {
		boxed(async {
			let (version, from) = self.0.min_worker_version().await?;
			Ok(RequiredVersion { version, from })
		})
	}

	fn market(&self) -> BoxFuture<'_, Result<MarketView>> {
		boxed(self.0.market())
	}

	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>> {
		boxed(self.0.models())
	}

	fn hosts(&self) -> BoxFuture<'_, Result<Vec<HostView>>> {
		boxed(self.0.hosts())
	}

	fn host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Option<HostView>>> {
		boxed(self.0.host(host))
	}

	fn commitments<'a>(
		&'a self,
		epoch: EpochIndex,
		host: &'a AccountId,
	) -> BoxFuture<'a, Result<Vec<(u8, Commitment)>>> {
		boxed(self.0.commitments(epoch, host))
	}

	fn check<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Option<CheckView>>> {
		boxed(self.0.check(checker))
	}

	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>> {
		boxed(self.0.claims())
	}

	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>> {
		boxed(self.0.opening_requests(host))
	}

	fn standing<'a>(&'a self, epoch: EpochIndex, host: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>> {
		boxed(self.0.standing(epoch, host))
	}

	fn audits<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<AssignedAuditsView>>> {
		boxed(self.0.audits(checker))
	}

	fn cases(&self) -> BoxFuture<'_, Result<Vec<CaseView>>> {
		boxed(self.0.cases())
	}

	fn reputation<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<ReputationView>> {
		boxed(self.0.reputation(host))
	}

	fn calibration_profile(&self, model: ModelId) -> BoxFuture<'_, Result<Option<CalibrationProfile>>> {
		boxed(self.0.calibration_profile(model))
	}

	fn audit_rules(&self) -> BoxFuture<'_, Result<AuditRules>> {
		boxed(self.0.audit_rules())
	}

	fn channel(&self, channel: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>> {
		boxed(self.0.channel(channel))
	}

	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>> {
		boxed(self.0.channels_of_host(host))
	}

	fn registration_terms<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Option<RegistrationTerms>>> {
		boxed(self.0.registration_terms(host))
	}

	fn submit_registration(
		&self,
		registration: Registration,
		signature: Signature,
		worker_signature: Signature,
	) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_registration(registration, signature, worker_signature))
	}

	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_commitment(commitment, signature))
	}

	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_settlement(settlement, signature))
	}

	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(async move {
			let chain = &self.0;
			match message {
				CheckMessage::Commit(message) => chain.submit_digest(message, signature).await,
				CheckMessage::Reveal(message) => chain.submit_reveal(message, signature).await,
				CheckMessage::Request(message) => chain.submit_request(message, signature).await,
				CheckMessage::Answer(message) => chain.submit_answer(message, signature).await,
				CheckMessage::Accuse(message) => chain.submit_accusation(message, signature).await,
				CheckMessage::Challenge(message) => chain.submit_challenge(message, signature).await,
				CheckMessage::Play(message) => chain.submit_play(message, signature).await,
			}
		})
	}

	fn submit_report(&self, report: AuditReport, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_report(report, signature))
	}

	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_ruling(ruling, signature))
	}

	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_close(claim, refuter))
	}
}
