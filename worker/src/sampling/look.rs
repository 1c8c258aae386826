//! One sample: what its host shows, whether that is what it settled, and how the model would have answered.

use super::{Context, Places};
use crate::{question::question, version};
use gonka_client::{evidence::Evidence, keys, wire::InferenceRequest};
use gonka_engine::{CheckRequest, CheckResult, EngineError, FinishReason as Ended};
use gonka_primitives::{
	AccountId, Hash, ModelId, fingerprint,
	market::{FinishReason, Totals, body_hash, output_hash},
	merkle_sum::{Sibling, SumNode},
	sampling::{Breach, Counts, Finding, Pick, Profile, SampleQuery},
	tape::tape_key,
	views::ChannelView,
};
use std::time::Duration;
use tokio::time::timeout;

/// For the engine to replay an answer, once it is its turn.
const REPLAY: Duration = Duration::from_secs(120);

/// Steps from a leaf to its root, at most: more than there can be receipts.
const MAX_PATH: usize = 64;

/// A receipt that is to be looked at.
#[derive(Clone, Debug)]
pub struct Sample {
	/// Who answered.
	pub host: AccountId,
	/// The model.
	pub model: ModelId,
	/// The settled window.
	pub window: u32,
	/// The root over its receipts.
	pub root: SumNode<Totals>,
	/// The receipt.
	pub pick: Pick,
}

/// Why there is no finding yet.
#[derive(Clone, Debug)]
pub enum Trouble {
	/// The host does not show it.
	Hidden(String),
	/// This worker, its node or its engine is at fault.
	Own(String),
}

/// Looks at a sample; with the receipt's number in its settlement, if the host showed that. `profile`: the model's.
pub async fn look(
	context: &Context,
	places: &Places,
	sample: &Sample,
	profile: Option<&Profile>,
) -> Result<(Finding, Option<u64>), Trouble> {
	let own = |error: &dyn std::fmt::Display| Trouble::Own(error.to_string());
	let Some(profile) = profile.filter(|profile| profile.min_worker_version <= version::own()) else {
		return Ok((Finding::Inconclusive, None));
	};
	let snapshot = context.follower.first().await.map_err(|error| own(&error))?;
	if context.served(&snapshot) != Some(sample.model) {
		return Ok((Finding::Inconclusive, None));
	}
	#[cfg(feature = "hostile")]
	if let Some(finding) = crate::hostile::finding() {
		return Ok((finding, None));
	}
	let chain = context.follower.chain();
	let host = chain.host(&sample.host).await.map_err(|error| own(&error))?;
	let host = host.ok_or_else(|| Trouble::Hidden("it is not registered any more".into()))?;
	let query =
		SampleQuery { checker: *context.follower.host(), host: sample.host, window: sample.window, pick: sample.pick };
	let _place = places.looks.acquire().await.map_err(|error| own(&error))?;
	let shown = context.fetcher.evidence(query, &host.url, &host.worker).await.map_err(Trouble::Hidden)?;
	let channel = chain.channel(shown.envelope.envelope.channel).await.map_err(|error| own(&error))?;
	let genesis = chain.genesis();
	if let Err(breach) = verify(&genesis, sample, channel.as_ref(), &shown) {
		return Ok((Finding::Broken(breach), None));
	}
	let receipt = Some(number(&shown.path));
	let finding = replay(context, places, &genesis, sample, shown, profile).await?;
	Ok((finding, receipt))
}

/// How many receipts are left of a path's leaf.
fn number(path: &[Sibling<Totals>]) -> u64 {
	path.iter().fold(0, |sum, sibling| match sibling {
		Sibling::Left(left) => sum.saturating_add(left.sum.receipts),
		Sibling::Right(_) => sum,
	})
}

/// Everything that can be said without the model. `channel`: the envelope's, if it is still on chain; of one that was
/// emptied meanwhile nobody knows the gateway's key.
pub fn verify(genesis: &Hash, sample: &Sample, channel: Option<&ChannelView>, shown: &Evidence) -> Result<(), Breach> {
	let Evidence { envelope: signed, receipt, path, body, output, fingerprints } = shown;
	let holds = |is_so: bool, breach: Breach| if is_so { Ok(()) } else { Err(breach) };
	holds(path.len() <= MAX_PATH && sample.pick.is_shown(&sample.root, &receipt.leaf(), path), Breach::Proof)?;
	let envelope = &signed.envelope;
	let hash = envelope.hash(genesis);
	holds(hash == receipt.envelope && body_hash(body) == envelope.body, Breach::Envelope)?;
	if let Some(channel) = channel {
		let is_signed = keys::verify(&signed.signature, &hash, &channel.gateway);
		holds(channel.host == sample.host && is_signed, Breach::Envelope)?;
	}
	holds(envelope.model == sample.model, Breach::Model)?;
	holds(output_hash(output) == receipt.output, Breach::Output)?;
	let made = receipt.completion_tokens;
	holds(made > 0 && made <= envelope.max_tokens && made as usize == output.len(), Breach::Counts)?;
	let fee = envelope.price.fee(receipt.prompt_tokens, made);
	holds(fee == Some(receipt.fee) && receipt.fee <= envelope.max_fee, Breach::Counts)?;
	let is_whole = fingerprints.len() == output.len() && fingerprint::root(fingerprints) == receipt.fingerprint;
	holds(is_whole, Breach::Fingerprint)
}

/// Reads prompt and answer as the host must have.
async fn replay(
	context: &Context,
	places: &Places,
	genesis: &Hash,
	sample: &Sample,
	shown: Evidence,
	profile: &Profile,
) -> Result<Finding, Trouble> {
	let Evidence { envelope, receipt, body, output, fingerprints, .. } = shown;
	let envelope = envelope.envelope;
	let Ok(request) = serde_json::from_slice::<InferenceRequest>(&body) else {
		return Ok(Finding::Broken(Breach::Envelope));
	};
	let key = tape_key(&envelope.hash(genesis), &sample.host);
	let engine = context.engine.clone();
	let asked = tokio::task::spawn_blocking(move || question(&*engine, request, &envelope, key)).await;
	let own = |error: EngineError| Trouble::Own(error.to_string());
	let request = match asked.map_err(|error| Trouble::Own(error.to_string()))? {
		Ok(request) => request,
		Err(EngineError::InvalidRequest(_) | EngineError::Template(_)) => return Ok(Finding::Broken(Breach::Envelope)),
		// This engine cannot read it: that says nothing about the answer.
		Err(EngineError::Unsupported(_)) => return Ok(Finding::Inconclusive),
		Err(error) => return Err(own(error)),
	};
	if request.prompt.len() as u64 != u64::from(receipt.prompt_tokens) {
		return Ok(Finding::Broken(Breach::Counts));
	}
	let model = context.engine.info();
	match request.check(&model) {
		Ok(()) => {},
		// This engine's context is smaller than the host's.
		Err(EngineError::ContextTooLong { .. }) => return Ok(Finding::Inconclusive),
		Err(_) => return Ok(Finding::Broken(Breach::Envelope)),
	}
	let finish_reason = match receipt.finish {
		FinishReason::Stop => Ended::Stop,
		FinishReason::Length => Ended::Length,
		FinishReason::Cancelled => Ended::Cancelled,
	};
	let check = CheckRequest { request, output, finish_reason };
	if check.check(&model).is_err() {
		return Ok(Finding::Broken(Breach::Output));
	}
	let _place = places.replays.acquire().await.map_err(|error| Trouble::Own(error.to_string()))?;
	let replaying = match context.engine.check(check) {
		Err(EngineError::Unsupported(_)) => return Ok(Finding::Inconclusive),
		replaying => replaying.map_err(own)?,
	};
	let result = timeout(REPLAY, replaying).await;
	let result = result.map_err(|_| Trouble::Own("the engine took too long".into()))?;
	let result = result.map_err(|_| own(EngineError::Stopped))?.map_err(own)?;
	let last = result.tokens.last().map_or(0, |token| margin(token.margin));
	let is_false_end = finish_reason == Ended::Stop && profile.is_false_end(last);
	if !result.ends_rightly || is_false_end {
		return Ok(Finding::Broken(Breach::Finish));
	}
	Ok(Finding::Checked(count(profile, &result, &fingerprints)))
}

/// An engine's margin as a profile has it.
fn margin(units: u32) -> i32 {
	i32::try_from(units).unwrap_or(i32::MAX)
}

/// The answer's tokens by bin.
fn count(profile: &Profile, result: &CheckResult, fingerprints: &[fingerprint::Fingerprint]) -> Counts {
	let (mut tape, mut distances) = ([0u16; 8], [0u16; 8]);
	let add = |bins: &mut [u16; 8], bin: usize| {
		if let Some(count) = bins.get_mut(bin) {
			*count = count.saturating_add(1);
		}
	};
	for (token, shown) in result.tokens.iter().zip(fingerprints) {
		add(&mut tape, profile.tape_bin(margin(token.margin)));
		add(&mut distances, profile.fingerprint_bin(fingerprint::distance(&token.fingerprint, shown)));
	}
	Counts::new(tape, distances)
}
