//! [`ChainApi`] over a node.

use super::{ChainApi, ChainError, CheckMessage, Result};
use crate::version::Required;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use gonka_client::chain::{self, Chain};
use gonka_primitives::{
	AccountId, BlockNumber, ChannelId, EpochIndex, Hash, ModelId, Signature,
	host::{Commitment, Registration, SegmentCommitment},
	market::Settlement,
	sampling::{Profile, Rules, Ruling, Verdicts},
	views::{
		ChannelView, CheckView, ClaimView, EpochView, HostView, MarketView, ModelView, RequestView, SamplesView,
		SamplingCaseView, StandingView,
	},
};

/// A connection to a node.
pub struct Live(pub Chain);

impl From<chain::Error> for ChainError {
	fn from(error: chain::Error) -> Self {
		let code = match &error {
			chain::Error::Refused { code, .. } => *code,
			_ => None,
		};
		Self(error.to_string(), code)
	}
}

/// Boxes an answer and its error.
fn boxed<'a, T: Send + 'a>(answer: impl Future<Output = chain::Result<T>> + Send + 'a) -> BoxFuture<'a, Result<T>> {
	answer.map(|answer| answer.map_err(ChainError::from)).boxed()
}

impl ChainApi for Live {
	fn genesis(&self) -> Hash {
		self.0.genesis()
	}

	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>> {
		async { self.0.best_blocks().await.map(|block| block.number).boxed() }.boxed()
	}

	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>> {
		boxed(self.0.epoch())
	}

	fn required(&self) -> BoxFuture<'_, Result<Required>> {
		boxed(async {
			let (version, from) = self.0.min_worker_version().await?;
			Ok(Required { version, from })
		})
	}

	fn market(&self) -> BoxFuture<'_, Result<MarketView>> {
		boxed(self.0.market())
	}

	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>> {
		boxed(self.0.models())
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

	fn samples<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<SamplesView>>> {
		boxed(self.0.samples(checker))
	}

	fn sampling_cases(&self) -> BoxFuture<'_, Result<Vec<SamplingCaseView>>> {
		boxed(self.0.sampling_cases())
	}

	fn sampling_profile(&self, model: ModelId) -> BoxFuture<'_, Result<Option<Profile>>> {
		boxed(self.0.sampling_profile(model))
	}

	fn sampling_rules(&self) -> BoxFuture<'_, Result<Rules>> {
		boxed(self.0.sampling_rules())
	}

	fn channel(&self, channel: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>> {
		boxed(self.0.channel(channel))
	}

	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>> {
		boxed(self.0.channels_of_host(host))
	}

	fn submit_registration(&self, registration: Registration, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_registration(registration, signature))
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

	fn submit_verdicts(&self, verdicts: Verdicts, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_verdicts(verdicts, signature))
	}

	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_ruling(ruling, signature))
	}

	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>> {
		boxed(self.0.submit_close(claim, refuter))
	}
}
