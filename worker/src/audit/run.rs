//! One audit: the host's evidence is fetched, compared with what the host settled, and replayed by the engine.

use super::{AuditContext, AuditError, Result, running::Permits};
use crate::{prompt::generate_request, version};
use gonka_client::{evidence::Evidence, keys, worker_api::InferenceRequest};
use gonka_engine::{
	CheckRequest, CheckResult, Engine, EngineError, FinishReason as EngineFinish, GenerateRequest, Sampler,
};
use gonka_primitives::{
	AccountId, Hash, ModelId,
	audit::{AuditQuery, Breach, CalibrationProfile, Counts, Finding, Pick},
	fingerprint,
	market::{FinishReason, Totals, body_hash, output_hash},
	merkle_sum::{Sibling, SumNode},
	tape::tape_key,
	views::ChannelView,
};
use gonka_tokenizer::embedding;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Maximum time for the engine to replay a completion, once it is its turn.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(120);
/// Maximum number of steps from a leaf to its root: more than receipts can need.
const MAX_PATH: usize = 64;

/// A receipt to audit.
#[derive(Clone, Debug)]
pub struct Audit {
	/// The host that generated the completion.
	pub host: AccountId,
	/// The model.
	pub model: ModelId,
	/// The settled window.
	pub window: u32,
	/// Root over the receipts of the settlement.
	pub root: SumNode<Totals>,
	/// The receipt, as it was drawn.
	pub pick: Pick,
}

/// Runs an audit. Returns the finding, with the receipt's number in its settlement if the host showed it. `profile` is
/// the model's calibration profile.
pub async fn run(
	context: &AuditContext,
	permits: &Permits,
	audit: &Audit,
	profile: Option<&CalibrationProfile>,
) -> Result<(Finding, Option<u64>)> {
	let Some(profile) = profile.filter(|profile| profile.min_worker_version <= version::own()) else {
		return Ok((Finding::Inconclusive, None));
	};
	let snapshot = context.follower.first().await?;
	let found = context.models.find(&snapshot, audit.model).filter(|(model, _)| model.audits.allow(profile));
	let Some((model, registered)) = found else { return Ok((Finding::Inconclusive, None)) };
	if let Some(finding) = context.conduct.invented_finding() {
		return Ok((finding, None));
	}
	let chain = context.follower.chain();
	let host = chain.host(&audit.host).await?.ok_or(AuditError::NotRegistered)?;
	let query =
		AuditQuery { checker: *context.follower.host(), host: audit.host, window: audit.window, pick: audit.pick };
	let _permit = permits.held.acquire().await.map_err(|_| AuditError::Stopped)?;
	let shown = context.peers.evidence(query, &host.url, &host.worker).await?;
	let channel = chain.channel(shown.envelope.envelope.channel).await?;
	let genesis = chain.genesis();
	if let Err(breach) = verify(&genesis, audit, channel.as_ref(), &shown) {
		return Ok((Finding::Broken(breach), None));
	}
	let receipt = Some(number(&shown.path));
	let context_length = registered.context_length as usize;
	let finding = replay(&model.engine, context_length, permits, &genesis, audit, shown, profile).await?;
	Ok((finding, receipt))
}

/// Returns the number of receipts to the left of a path's leaf.
fn number(path: &[Sibling<Totals>]) -> u64 {
	path.iter().fold(0, |sum, sibling| match sibling {
		Sibling::Left(left) => sum.saturating_add(left.sum.receipts),
		Sibling::Right(_) => sum,
	})
}

/// Verifies all that does not need the model. `channel` is the envelope's channel. If it is no longer on chain, its
/// gateway key is unknown, and the envelope's signature is not verified.
pub fn verify(
	genesis: &Hash,
	audit: &Audit,
	channel: Option<&ChannelView>,
	shown: &Evidence,
) -> std::result::Result<(), Breach> {
	let Evidence { envelope: signed, receipt, path, body, output, fingerprints } = shown;
	let holds = |is_so: bool, breach: Breach| if is_so { Ok(()) } else { Err(breach) };
	holds(path.len() <= MAX_PATH && audit.pick.is_shown(&audit.root, &receipt.leaf(), path), Breach::Proof)?;
	let envelope = &signed.envelope;
	let hash = envelope.hash(genesis);
	holds(hash == receipt.envelope && body_hash(body) == envelope.body, Breach::Envelope)?;
	if let Some(channel) = channel {
		let is_signed = keys::verify(&signed.signature, &hash, &channel.gateway);
		holds(channel.host == audit.host && is_signed, Breach::Envelope)?;
	}
	holds(envelope.model == audit.model, Breach::Model)?;
	holds(output_hash(output) == receipt.output, Breach::Output)?;
	let made = receipt.completion_tokens;
	let is_right = match envelope.max_tokens {
		// An embedding.
		0 => made == 0,
		max => (1..=max).contains(&made) && made as usize == output.len(),
	};
	holds(is_right, Breach::Counts)?;
	let fee = envelope.price.fee(receipt.prompt_tokens, made);
	holds(fee == Some(receipt.fee) && receipt.fee <= envelope.max_fee, Breach::Counts)?;
	let due = if envelope.max_tokens == 0 { 1 } else { output.len() };
	let is_whole = fingerprints.len() == due && fingerprint::root(fingerprints) == receipt.fingerprint;
	holds(is_whole, Breach::Fingerprint)
}

/// Replays the completion on the engine, from the prompt that the host must have read. `context_length` is the model's, as it is
/// registered.
async fn replay(
	engine: &Arc<dyn Engine>,
	context_length: usize,
	permits: &Permits,
	genesis: &Hash,
	audit: &Audit,
	shown: Evidence,
	profile: &CalibrationProfile,
) -> Result<Finding> {
	let Evidence { envelope, receipt, body, output, fingerprints, .. } = shown;
	let envelope = envelope.envelope;
	let Ok(request) = gonka_client::json::from_slice::<InferenceRequest>(&body) else {
		return Ok(Finding::Broken(Breach::Envelope));
	};
	let key = tape_key(&envelope.hash(genesis), &audit.host);
	let Ok(mut request) = generate_request(request, &envelope, key) else {
		return Ok(Finding::Broken(Breach::Envelope));
	};
	if request.prompt.len() as u64 != u64::from(receipt.prompt_tokens) {
		return Ok(Finding::Broken(Breach::Counts));
	}
	let model = engine.info();
	let read = request.prompt.len().saturating_add(receipt.completion_tokens as usize);
	if read > context_length {
		return Ok(Finding::Broken(Breach::Envelope));
	}
	match request.check(&model) {
		Ok(()) => {},
		// The context window of this engine is smaller than that of the host.
		Err(EngineError::ContextTooLong { .. }) if read > model.context_length => return Ok(Finding::Inconclusive),
		Err(EngineError::ContextTooLong { .. }) => {
			if receipt.finish == FinishReason::Length && receipt.completion_tokens < envelope.max_tokens {
				return Ok(Finding::Broken(Breach::Finish));
			}
			shorten(&mut request, model.context_length);
		},
		Err(_) => return Ok(Finding::Broken(Breach::Envelope)),
	}
	let finish_reason = match receipt.finish {
		FinishReason::Stop => EngineFinish::Stop,
		FinishReason::Length => EngineFinish::Length,
		FinishReason::Cancelled => EngineFinish::Cancelled,
	};
	if model.embeds {
		let vector = embedding::numbers(&output);
		if !embedding::is_embedding(&vector) {
			return Ok(Finding::Broken(Breach::Output));
		}
		if fingerprints != [Sampler::new(&request, vector.len()).fingerprint(&vector)] {
			return Ok(Finding::Broken(Breach::Fingerprint));
		}
	}
	let check = CheckRequest { request, output, finish_reason };
	if check.check(&model).is_err() {
		return Ok(Finding::Broken(Breach::Output));
	}
	let _permit = permits.replays.acquire().await.map_err(|_| AuditError::Stopped)?;
	let (checker, span) = (engine.clone(), tracing::Span::current());
	let begin = move || span.in_scope(|| checker.check(check));
	let replaying = match tokio::task::spawn_blocking(begin).await.map_err(|_| AuditError::Stopped)? {
		Err(EngineError::Unsupported(_)) => return Ok(Finding::Inconclusive),
		// The rest of the request is right: it is the grammar.
		Err(EngineError::InvalidRequest(_)) => return Ok(Finding::Broken(Breach::Envelope)),
		replaying => replaying?,
	};
	let result = timeout(REPLAY_TIMEOUT, replaying).await.map_err(|_| AuditError::Slow)?;
	let result = result.map_err(|_| EngineError::Stopped)??;
	if !result.is_permitted {
		return Ok(Finding::Broken(Breach::Output));
	}
	let last = result.tokens.last().map_or(0, |token| margin(token.margin));
	let is_false_end = finish_reason == EngineFinish::Stop && profile.is_false_end(last);
	if !result.ends_rightly || is_false_end {
		return Ok(Finding::Broken(Breach::Finish));
	}
	Ok(Finding::Checked(count(profile, &result, &fingerprints)))
}

/// Lowers a request's limit, and its minimum if that is above, to the tokens that fit the context. For a completion that fits
/// and did not reach its own limit, nothing else changes.
fn shorten(request: &mut GenerateRequest, context_length: usize) {
	request.max_tokens = context_length.saturating_sub(request.prompt.len());
	request.min_tokens = request.min_tokens.min(request.max_tokens.saturating_add(request.delivered));
}

/// Converts a margin of the engine to the type that profiles use.
fn margin(units: u32) -> i32 {
	i32::try_from(units).unwrap_or(i32::MAX)
}

/// Counts the completion's tokens by bin of the profile.
fn count(profile: &CalibrationProfile, result: &CheckResult, fingerprints: &[fingerprint::Fingerprint]) -> Counts {
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
