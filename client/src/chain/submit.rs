//! The inclusion of transactions in blocks, and the transactions that need no account.

use super::{
	BlockRef, Chain, Error, Result,
	error::{code, refused},
	general,
};
use codec::Encode;
use gonka_primitives::{
	AccountId, Hash, Signature,
	audit::{AuditReport, Ruling},
	check::{Accusation, Challenge, DigestCommitment, DigestReveal, OpeningAnswer, OpeningRequest, Play},
	hashing::blake2_256,
	host::{Registration, SegmentCommitment},
	market::Settlement,
};
use std::time::Duration;
use subxt::{
	error::DispatchError,
	events::Phase,
	ext::scale_decode::DecodeAsType,
	rpcs::{
		self,
		methods::legacy::{NumberOrHex, TransactionStatus},
	},
	utils::H256,
};
use tokio::time::Instant;

/// The pallet of checkers and disputes.
const CHECK: &str = "SprintCheck";
/// The pallet of sampled validation.
const VALIDATION: &str = "SamplingValidation";
/// Maximum time until a block includes a transaction.
const INCLUSION_LIMIT: Duration = Duration::from_secs(120);
/// Number of recent blocks that are searched for a transaction that the pool already knows.
const LOOK_BACK: u32 = 16;
/// Pause before the next search or attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// The event about a transaction's fee.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct FeePaid {
	actual_fee: u128,
}

impl Chain {
	/// Registers a host, or replaces its registration. `worker_signature` is that of the worker key over the host's
	/// account. Returns when a best block includes it.
	pub async fn submit_registration(
		&self,
		registration: Registration,
		signature: Signature,
		worker_signature: Signature,
	) -> Result<()> {
		self.submit_general("Poc", "register", &(registration, signature, worker_signature)).await
	}

	/// Commits a segment's leaves. Returns when a best block includes it.
	pub async fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> Result<()> {
		self.submit_general("Poc", "commit", &(commitment, signature)).await
	}

	/// Pays out the vested emission of a host. Anyone may submit it. Returns when a best block includes it.
	pub async fn submit_claim(&self, host: &AccountId) -> Result<()> {
		self.submit_general("Emission", "claim", host).await
	}

	/// Settles a window. Returns when a best block includes it.
	pub async fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> Result<()> {
		self.submit_general("InferenceMarket", "settle", &(settlement, signature)).await
	}

	/// Commits a checker to its tags. Returns when a best block includes it.
	pub async fn submit_digest(&self, commitment: DigestCommitment, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "commit_digest", &(commitment, signature)).await
	}

	/// Reveals a checker's tags. Returns when a best block includes it.
	pub async fn submit_reveal(&self, reveal: DigestReveal, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "reveal", &(reveal, signature)).await
	}

	/// Requests openings of a host on chain. Returns when a best block includes it.
	pub async fn submit_request(&self, request: OpeningRequest, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "request_openings", &(request, signature)).await
	}

	/// Responds to a request for openings. Returns when a best block includes it.
	pub async fn submit_answer(&self, answer: OpeningAnswer, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "answer_openings", &(answer, signature)).await
	}

	/// Accuses a host of a wrong leaf. Returns when a best block includes it.
	pub async fn submit_accusation(&self, accusation: Accusation, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "accuse", &(accusation, signature)).await
	}

	/// Challenges a checker's tag. Returns when a best block includes it.
	pub async fn submit_challenge(&self, challenge: Challenge, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "challenge", &(challenge, signature)).await
	}

	/// Takes a turn in a dispute. Returns when a best block includes it.
	pub async fn submit_play(&self, play: Play, signature: Signature) -> Result<()> {
		self.submit_general(CHECK, "play", &(play, signature)).await
	}

	/// Closes a claim that nobody refuted in time, or the game of a `refuter` in which a turn was missed. Anyone may
	/// submit it. Returns when a best block includes it.
	pub async fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> Result<()> {
		self.submit_general(CHECK, "close", &(claim, refuter)).await
	}

	/// Reports the findings of audits. Returns when a best block includes it.
	pub async fn submit_report(&self, report: AuditReport, signature: Signature) -> Result<()> {
		self.submit_general(VALIDATION, "submit_report", &(report, signature)).await
	}

	/// Submits an arbiter's ruling in a case. Returns when a best block includes it.
	pub async fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> Result<()> {
		self.submit_general(VALIDATION, "rule", &(ruling, signature)).await
	}

	/// Equal arguments make equal transactions, so a second submission does no harm: it returns when the first is in a
	/// block.
	async fn submit_general(&self, pallet: &str, call: &str, arguments: &impl Encode) -> Result<()> {
		let what = format!("{pallet}.{call}");
		let best = self.best().await?;
		let at = self.patient(self.at(&best)).await?;
		let bytes = general::encode(at.metadata_ref(), pallet, call, &arguments.encode())
			.map_err(|error| Error::Encode { what: what.clone(), cause: error.to_string() })?;
		self.include(&what, &bytes).await?;
		Ok(())
	}

	/// Sends a transaction until a best block includes it. Returns that block if the transaction succeeded there.
	pub(super) async fn include(&self, what: &str, extrinsic: &[u8]) -> Result<BlockRef> {
		let hash = blake2_256(&[extrinsic]);
		let mut searched = self.best().await?.number.saturating_sub(LOOK_BACK);
		let deadline = Instant::now() + INCLUSION_LIMIT;
		let late = || Error::Timeout { what: what.into(), seconds: INCLUSION_LIMIT.as_secs() };
		loop {
			let outcome = tokio::time::timeout_at(deadline, self.send_and_watch(what, extrinsic)).await;
			if let Ok(Ok(Some(block))) = outcome {
				return self.succeeded(what, &block, &hash).await;
			}
			// It was rejected, dropped or lost sight of. A block may include it nevertheless.
			if let Some(block) = self.find(&hash, &mut searched).await? {
				return self.succeeded(what, &block, &hash).await;
			}
			match outcome {
				Ok(Err(error)) => return Err(error),
				Ok(Ok(_)) => {},
				Err(_) => return Err(late()),
			}
			if Instant::now() >= deadline {
				return Err(late());
			}
			tokio::time::sleep(PAUSE).await;
		}
	}

	/// Sends once and watches. Returns `None` if sight of it was lost, or if it is in the pool already.
	async fn send_and_watch(&self, what: &str, extrinsic: &[u8]) -> Result<Option<BlockRef>> {
		let mut statuses = match self.inner.methods.author_submit_and_watch_extrinsic(extrinsic).await {
			Ok(statuses) => statuses,
			Err(rpcs::Error::User(error)) if error.code == code::ALREADY_IMPORTED => return Ok(None),
			Err(rpcs::Error::User(error)) => return Err(refused(what, &error)),
			Err(error) => {
				tracing::debug!(%error, what, "lost the connection while sending");
				return Ok(None);
			},
		};
		let dropped = |cause: &str| Err(Error::Dropped { what: what.into(), cause: cause.into() });
		while let Some(status) = statuses.next().await {
			match status {
				Ok(TransactionStatus::InBlock(hash) | TransactionStatus::Finalized(hash)) => {
					return self.block(Some(hash)).await.map(Some);
				},
				Ok(TransactionStatus::Usurped(_)) => {
					return dropped("another transaction replaced it");
				},
				Ok(TransactionStatus::Dropped) => return dropped("the pool is full"),
				Ok(TransactionStatus::Invalid) => return dropped("it is no longer valid"),
				Ok(_) => {},
				Err(error) => {
					tracing::debug!(%error, what, "lost sight of a transaction");
					return Ok(None);
				},
			}
		}
		Ok(None)
	}

	/// Searches the best chain's blocks from `from` on for a transaction, and moves `from` to the start of the next
	/// search.
	async fn find(&self, extrinsic: &Hash, from: &mut u32) -> Result<Option<BlockRef>> {
		let best = self.best().await?.number;
		for number in *from..=best {
			let of_number = Some(NumberOrHex::Number(number.into()));
			let hash = self.rpc("chain_getBlockHash", || self.inner.methods.chain_get_block_hash(of_number)).await?;
			let Some(hash) = hash else { continue };
			if self.position(hash, extrinsic).await?.is_some() {
				return Ok(Some(BlockRef { number, hash: hash.0 }));
			}
		}
		// A reorganisation may still replace the newest blocks.
		*from = (*from).max(best.saturating_sub(LOOK_BACK));
		Ok(None)
	}

	/// The index of a transaction in a block.
	async fn position(&self, block: H256, extrinsic: &Hash) -> Result<Option<u32>> {
		let body = self.rpc("chain_getBlock", || self.inner.methods.chain_get_block(Some(block))).await?;
		let position = body.and_then(|details| {
			details.block.extrinsics.iter().position(|bytes| blake2_256(&[&bytes.0]) == *extrinsic)
		});
		Ok(position.and_then(|position| u32::try_from(position).ok()))
	}

	/// Checks that a transaction succeeded in the block that includes it.
	async fn succeeded(&self, what: &str, block: &BlockRef, extrinsic: &Hash) -> Result<BlockRef> {
		let unreadable = |cause: String| Error::Decode { what: format!("the events of {what}"), cause };
		let Some(position) = self.position(H256(block.hash), extrinsic).await? else {
			return Err(unreadable("the transaction is missing from its block".into()));
		};
		self.patient(async {
			let at = self.at(block).await?;
			let events = at.events().fetch().await.map_err(|error| unreadable(error.to_string()))?;
			let ours = Phase::ApplyExtrinsic(position);
			for event in events.iter() {
				let event = event.map_err(|error| unreadable(error.to_string()))?;
				if event.phase() != ours {
					continue;
				}
				match (event.pallet_name(), event.event_name()) {
					// A failed transaction pays, too: this event comes first.
					("TransactionPayment", "TransactionFeePaid") => {
						// A transaction did what it did, also if its fee cannot be told.
						if let Ok(paid) = event.decode_fields_unchecked_as::<FeePaid>() {
							self.count_fee(paid.actual_fee);
						}
					},
					("System", "ExtrinsicFailed") => {
						let cause = DispatchError::decode_from(event.field_bytes(), at.metadata())
							.map_or_else(|error| error.to_string(), |error| in_words(&error));
						return Err(Error::Dispatch(format!("{what}: {cause}")));
					},
					_ => {},
				}
			}
			Ok(*block)
		})
		.await
	}
}

/// A failed call's error, with the pallet's sentence about it.
pub(super) fn in_words(error: &DispatchError) -> String {
	let DispatchError::Module(module) = error else { return error.to_string() };
	let docs = module.details().map(|details| details.variant.docs.join(" ")).unwrap_or_default();
	let name = module.details_string();
	if docs.is_empty() { name } else { format!("{name}: {}", docs.trim()) }
}
