//! Referenda: queries, votes, proposals.

use super::{
	Chain, Error, PAGE, Result,
	types::{DecodeError, Types},
};
use crate::keys::{self, Keypair};
use gonka_primitives::{
	AccountId, Balance, BlockNumber, Hash, ModelId,
	audit::CalibrationProfile,
	hashing::blake2_256,
	market::Price,
	storage_deposit,
	views::{EnactmentView, ParameterView, ReferendumView, TrackView, VoterView},
};
use subxt::{
	ext::{
		scale_decode::DecodeAsType,
		scale_value::{Composite, Value, ValueDef},
	},
	rpcs::methods::legacy::NumberOrHex,
	utils::{AccountId32, H256},
};

/// Maximum length of a call that a referendum carries itself, in bytes. A longer one needs a preimage.
pub const MAX_INLINE: usize = 128;
/// The pallet of referenda.
const REFERENDA: &str = "Referenda";
/// The call that places a decision deposit.
const DECIDE: &str = "place_decision_deposit";
/// The pallet of votes.
const VOTING: &str = "ConvictionVoting";

/// The costs of a proposal for its proposer, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalCost {
	/// The deposit for the submission.
	pub submission: Balance,
	/// The deposit for the decision; 0 if it is placed later.
	pub decision: Balance,
	/// The deposit for the preimage; 0 if there need not be one.
	pub preimage: Balance,
	/// The fees of the transactions at present.
	pub fees: Balance,
	/// The minimum that stays in the account.
	pub minimum: Balance,
}

impl ProposalCost {
	/// The sum, which the account must be able to spend.
	pub fn total(&self) -> Balance {
		let parts = [self.submission, self.decision, self.preimage, self.fees, self.minimum];
		parts.into_iter().fold(0, Balance::saturating_add)
	}
}

/// A call to sign.
pub(super) struct Prepared {
	pub(super) pallet: &'static str,
	pub(super) call: &'static str,
	pub(super) arguments: Composite<()>,
}

impl Prepared {
	pub(super) fn new(pallet: &'static str, call: &'static str, arguments: impl IntoIterator<Item = Value>) -> Self {
		Self { pallet, call, arguments: Composite::unnamed(arguments) }
	}
}

/// One call that makes all of these or, if one of them fails, none.
pub(super) fn batch(calls: impl IntoIterator<Item = Prepared>) -> Prepared {
	let one = |made: Prepared| Value::unnamed_variant(made.pallet, [Value::variant(made.call, made.arguments)]);
	let calls = Value::unnamed_composite(calls.into_iter().map(one));
	Prepared::new("Utility", "batch_all", [calls])
}

/// A spend of the community fund that was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
	/// Its index.
	pub index: u32,
	/// The amount, in base units.
	pub amount: Balance,
	/// The account that receives it.
	pub beneficiary: AccountId,
	/// First block that may carry the payout.
	pub from: BlockNumber,
	/// Block from which on it can no longer be paid out.
	pub until: BlockNumber,
	/// Whether it was paid out.
	pub is_paid: bool,
}

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
	/// In favour.
	Aye,
	/// Against.
	Nay,
	/// Neither; it counts for support only.
	Abstain,
}

/// A model to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewModel {
	/// The name, printable.
	pub name: String,
	/// SHA-256 of the weights' file.
	pub weights_hash: Hash,
	/// SHA-256 of the tokenizer's file.
	pub tokenizer_hash: Hash,
	/// The format of the weights, such as `Q4_K_M`.
	pub quantisation: String,
	/// Maximum number of tokens of prompt and completion together.
	pub context_length: u32,
	/// The price, in base units per token.
	pub price: Price,
	/// The bounds of the price.
	pub bounds: (Price, Price),
	/// Number of work units that the network can do in a window.
	pub capacity: u64,
	/// Memory needed to serve the model, in MB (10⁶ bytes).
	pub memory_mb: u32,
	/// Minimum version of a worker that serves the model: major · 10⁶ + minor · 10³ + patch.
	pub min_worker_version: u32,
}

impl Chain {
	/// The tracks of referenda, ascending.
	pub async fn tracks(&self) -> Result<Vec<TrackView>> {
		self.view("tracks", &(), None).await
	}

	/// Up to `limit` referenda, the newest first: those before an index, or all. Long calls are left out.
	pub async fn referenda(&self, before: Option<u32>, limit: usize) -> Result<Vec<ReferendumView>> {
		let at = Some(H256(self.best().await?.hash));
		let mut all: Vec<ReferendumView> = Vec::new();
		loop {
			let before = all.last().map_or(before, |last| Some(last.index));
			let wanted = u32::try_from(limit.saturating_sub(all.len())).unwrap_or(PAGE).min(PAGE);
			let page: Vec<ReferendumView> = self.view("referenda", &(before, wanted), at).await?;
			let full = page.len() >= wanted as usize;
			all.extend(page);
			if !full || all.len() >= limit {
				return Ok(all);
			}
		}
	}

	/// A referendum, with its call if the preimage is noted.
	pub async fn referendum(&self, index: u32) -> Result<Option<ReferendumView>> {
		self.view("referendum", &index, None).await
	}

	/// A referendum as of the state after an earlier block; `None` if the node has not kept that state.
	pub async fn referendum_at(&self, index: u32, block: BlockNumber) -> Result<Option<ReferendumView>> {
		let number = Some(NumberOrHex::Number(block.into()));
		let hash = self.rpc("chain_getBlockHash", || self.inner.methods.chain_get_block_hash(number)).await?;
		let Some(hash) = hash else { return Ok(None) };
		match self.view("referendum", &index, Some(hash)).await {
			Err(Error::Rpc { .. }) => Ok(None),
			view => view,
		}
	}

	/// An account's power, votes and delegations.
	pub async fn voter(&self, account: &AccountId) -> Result<VoterView> {
		self.view("voter", account, None).await
	}

	/// The votes of an account in an open referendum, without those of its delegators; `None` if it is not open.
	pub async fn votes(&self, referendum: u32, account: &AccountId) -> Result<Option<u128>> {
		self.view("votes", &(referendum, account), None).await
	}

	/// The parameters that governance can change: [`Types::parameter`] reads them.
	pub async fn parameters(&self) -> Result<Vec<ParameterView>> {
		self.view("parameters", &(), None).await
	}

	/// The minimum worker version (major · 10⁶ + minor · 10³ + patch), and the block from which it applies.
	pub async fn min_worker_version(&self) -> Result<(u32, BlockNumber)> {
		self.view("min_worker_version", &(), None).await
	}

	/// What a call would do now if a track had decided it: nothing, or an error that [`Types::error`] reads.
	pub async fn dry_run(&self, track: u16, call: &[u8]) -> Result<Result<(), Vec<u8>>> {
		self.view("dry_run", &(track, call), None).await
	}

	/// Submits a referendum on a call, and notes the preimage of a long one: both or neither. Returns the referendum's
	/// index, which is that of a best block: a reorganisation can still change it.
	pub async fn propose(
		&self,
		from: &Keypair,
		track: &TrackView,
		call: &[u8],
		enactment: EnactmentView,
	) -> Result<u32> {
		let hash = blake2_256(&[call]);
		let needs_preimage = self.needs_preimage(call).await?;
		let prepared = self.submission(track, call, enactment, needs_preimage).await?;
		let block = self.in_turn_at(from, prepared.pallet, prepared.call, &prepared.arguments).await?;
		let newest: Vec<ReferendumView> = self.view("referenda", &(None::<u32>, PAGE), Some(H256(block.hash))).await?;
		let account = keys::public(from);
		let submitted = newest.iter().find(|one| {
			let by = one.submission_deposit.as_ref().is_some_and(|deposit| deposit.who == account);
			by && one.proposal.as_ref().is_some_and(|proposal| proposal.hash == hash)
		});
		submitted.map(|one| one.index).ok_or_else(|| Error::Decode {
			what: format!("{REFERENDA}.submit"),
			cause: "the referendum is missing after it was submitted".into(),
		})
	}

	/// What [`Self::propose`] costs, and the decision deposit if it is to be placed, too.
	pub async fn proposal_cost(
		&self,
		from: &Keypair,
		track: &TrackView,
		call: &[u8],
		enactment: EnactmentView,
		with_decision: bool,
	) -> Result<ProposalCost> {
		let needs_preimage = self.needs_preimage(call).await?;
		let prepared = self.submission(track, call, enactment, needs_preimage).await?;
		let mut fees = self.fee(from, prepared.pallet, prepared.call, &prepared.arguments).await?;
		if with_decision {
			fees = fees.saturating_add(self.fee(from, REFERENDA, DECIDE, &(0u32,)).await?);
		}
		let length = u32::try_from(call.len()).unwrap_or(u32::MAX);
		Ok(ProposalCost {
			submission: track.submission_deposit,
			decision: if with_decision { track.decision_deposit } else { 0 },
			preimage: if needs_preimage { storage_deposit(1, length) } else { 0 },
			fees,
			minimum: self.types().await?.existential_deposit(),
		})
	}

	/// The transaction that submits a referendum.
	async fn submission(
		&self,
		track: &TrackView,
		call: &[u8],
		enactment: EnactmentView,
		with_preimage: bool,
	) -> Result<Prepared> {
		let unknown =
			|error: DecodeError| Error::Encode { what: format!("{REFERENDA}.submit"), cause: error.to_string() };
		let origin = self.types().await?.origin(&track.origin).map_err(unknown)?;
		let submit = Prepared::new(REFERENDA, "submit", [origin, bounded(call), moment(enactment)]);
		Ok(match with_preimage {
			true => batch([Prepared::new("Preimage", "note_preimage", [Value::from_bytes(call)]), submit]),
			false => submit,
		})
	}

	/// Whether a call is too long for a referendum and its preimage is not noted yet.
	async fn needs_preimage(&self, call: &[u8]) -> Result<bool> {
		if call.len() <= MAX_INLINE {
			return Ok(false);
		}
		let key = (blake2_256(&[call]), u32::try_from(call.len()).unwrap_or(u32::MAX));
		let address = subxt::dynamic::storage::<((Hash, u32),), Vec<u8>>("Preimage", "PreimageFor");
		let best = self.best().await?;
		let failed = |cause: String| Error::Rpc { method: "state_getStorage".into(), cause };
		self.patient(async {
			let at = self.at(&best).await?;
			let noted = at.storage().try_fetch(address, (key,)).await.map_err(|error| failed(error.to_string()))?;
			Ok(noted.is_none())
		})
		.await
	}

	/// Places the decision deposit of a referendum.
	pub async fn place_decision_deposit(&self, from: &Keypair, referendum: u32) -> Result<()> {
		self.in_turn(from, REFERENDA, DECIDE, &(referendum,)).await
	}

	/// Refunds deposits of a referendum to the accounts that placed them: all of those that are named, or none.
	pub async fn refund_deposits(
		&self,
		from: &Keypair,
		referendum: u32,
		decision: bool,
		submission: bool,
	) -> Result<()> {
		let calls = [(decision, "refund_decision_deposit"), (submission, "refund_submission_deposit")];
		let refund = |call| Prepared::new(REFERENDA, call, [Value::u128(referendum.into())]);
		let Prepared { pallet, call, arguments } =
			batch(calls.into_iter().filter(|(wanted, _)| *wanted).map(|(_, call)| refund(call)));
		self.in_turn(from, pallet, call, &arguments).await
	}

	/// Votes in a referendum, or changes a vote.
	pub async fn vote(&self, from: &Keypair, referendum: u32, vote: Vote) -> Result<()> {
		let arguments = Composite::unnamed([Value::u128(referendum.into()), ballot(vote)]);
		self.in_turn(from, VOTING, "vote", &arguments).await
	}

	/// Removes a vote. Once the referendum has ended, `track` must be given.
	pub async fn remove_vote(&self, from: &Keypair, track: Option<u16>, referendum: u32) -> Result<()> {
		self.in_turn(from, VOTING, "remove_vote", &(track, referendum)).await
	}

	/// Delegates the account's power in a track to another account.
	pub async fn delegate(&self, from: &Keypair, track: u16, to: &AccountId) -> Result<()> {
		self.in_turn(from, VOTING, "delegate", &delegation(track, to)).await
	}

	/// Ends a delegation.
	pub async fn undelegate(&self, from: &Keypair, track: u16) -> Result<()> {
		self.in_turn(from, VOTING, "undelegate", &(track,)).await
	}

	/// The spends of the community fund that were approved and are not settled, ascending by index.
	pub async fn spends(&self) -> Result<Vec<Spend>> {
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Stored {
			amount: Balance,
			beneficiary: AccountId32,
			valid_from: BlockNumber,
			expire_at: BlockNumber,
			status: Value,
		}
		let best = self.best().await?;
		let failed = |cause: String| Error::Rpc { method: "state_getKeysPaged".into(), cause };
		let unreadable = |cause: String| Error::Decode { what: "Treasury.Spends".into(), cause };
		let address = subxt::dynamic::storage::<(u32,), Stored>("Treasury", "Spends");
		self.patient(async {
			let at = self.at(&best).await?;
			let mut entries = at.storage().iter(address, ()).await.map_err(|error| failed(error.to_string()))?;
			let mut spends = Vec::new();
			while let Some(entry) = entries.next().await {
				let entry = entry.map_err(|error| failed(error.to_string()))?;
				let key = entry.key().map_err(|error| unreadable(error.to_string()))?;
				let index = key.part(0).and_then(|part| part.decode_as::<u32>().ok().flatten());
				let index = index.ok_or_else(|| unreadable("a key has no index".into()))?;
				let stored = entry.value().decode().map_err(|error| unreadable(error.to_string()))?;
				spends.push(Spend {
					index,
					amount: stored.amount,
					beneficiary: stored.beneficiary.0,
					from: stored.valid_from,
					until: stored.expire_at,
					is_paid: matches!(&stored.status.value, ValueDef::Variant(status) if status.name == "Attempted"),
				});
			}
			spends.sort_by_key(|spend| spend.index);
			Ok(spends)
		})
		.await
	}

	/// Pays out approved spends of the community fund to their beneficiaries: all of them, or none. Anybody may.
	pub async fn pay_out(&self, from: &Keypair, spends: &[u32]) -> Result<()> {
		let calls = spends.iter().map(|index| Prepared::new("Treasury", "payout", [Value::u128((*index).into())]));
		let Prepared { pallet, call, arguments } = batch(calls);
		self.in_turn(from, pallet, call, &arguments).await
	}

	/// Applies runtime code that a referendum has authorised.
	pub async fn apply_upgrade(&self, from: &Keypair, code: &[u8]) -> Result<()> {
		self.in_turn(from, "System", "apply_authorized_upgrade", &(code.to_vec(),)).await
	}
}

/// A proposal as an argument of `submit`.
fn bounded(call: &[u8]) -> Value {
	if call.len() <= MAX_INLINE {
		return Value::unnamed_variant("Inline", [Value::from_bytes(call)]);
	}
	let (hash, length) = (Value::from_bytes(blake2_256(&[call])), Value::u128(call.len() as u128));
	Value::named_variant("Lookup", [("hash", hash), ("len", length)])
}

fn moment(enactment: EnactmentView) -> Value {
	match enactment {
		EnactmentView::At(block) => Value::unnamed_variant("At", [Value::u128(block.into())]),
		EnactmentView::After(blocks) => Value::unnamed_variant("After", [Value::u128(blocks.into())]),
	}
}

fn ballot(vote: Vote) -> Value {
	let standard = |byte: u8| {
		let vote = Value::unnamed_composite([Value::u128(byte.into())]);
		Value::named_variant("Standard", [("vote", vote), ("balance", Value::u128(0))])
	};
	// The highest bit means aye. The others are a conviction, which has no effect on this chain.
	match vote {
		Vote::Aye => standard(0x80),
		Vote::Nay => standard(0),
		Vote::Abstain => {
			let parts = [("aye", 0), ("nay", 0), ("abstain", 1)].map(|(name, part)| (name, Value::u128(part)));
			Value::named_variant("SplitAbstain", parts)
		},
	}
}

/// The arguments of `delegate`. Conviction and balance are zero, because they have no effect on this chain.
fn delegation(track: u16, to: &AccountId) -> Composite<()> {
	let to = Value::unnamed_variant("Id", [Value::from_bytes(to)]);
	Composite::unnamed([Value::u128(track.into()), to, Value::unnamed_variant("None", []), Value::u128(0)])
}

fn numbers<const N: usize>(list: [impl Into<i128>; N]) -> Value {
	Value::unnamed_composite(list.map(|number| Value::i128(number.into())))
}

impl Types {
	/// Encodes the call that authorises runtime code by its hash.
	pub fn authorize_upgrade(&self, code: &[u8]) -> Result<Vec<u8>> {
		self.encode("System", "authorize_upgrade", Composite::unnamed([Value::from_bytes(blake2_256(&[code]))]))
	}

	/// Encodes the call that spends base units of the community fund.
	pub fn spend(&self, amount: Balance, beneficiary: &AccountId) -> Result<Vec<u8>> {
		let arguments = [
			Value::unnamed_composite([]),
			Value::u128(amount),
			Value::from_bytes(beneficiary),
			Value::unnamed_variant("None", []),
		];
		self.encode("Treasury", "spend", Composite::unnamed(arguments))
	}

	/// Encodes the call that registers a model.
	pub fn register_model(&self, model: &NewModel) -> Result<Vec<u8>> {
		let price = |price: &Price| {
			Value::named_composite([("input", Value::u128(price.input)), ("output", Value::u128(price.output))])
		};
		let rule = Value::named_composite([
			("min", price(&model.bounds.0)),
			("max", price(&model.bounds.1)),
			("capacity", Value::u128(model.capacity.into())),
		]);
		let arguments = [
			("name", Value::from_bytes(&model.name)),
			("weights_hash", Value::from_bytes(model.weights_hash)),
			("tokenizer_hash", Value::from_bytes(model.tokenizer_hash)),
			("quantisation", Value::from_bytes(&model.quantisation)),
			("context_length", Value::u128(model.context_length.into())),
			("price", price(&model.price)),
			("memory_mb", Value::u128(model.memory_mb.into())),
			("min_worker_version", Value::u128(model.min_worker_version.into())),
			("rule", rule),
		];
		self.encode("InferenceMarket", "register_model", Composite::named(arguments))
	}

	/// Encodes the call that registers a model's calibration profile.
	pub fn set_profile(&self, model: ModelId, profile: &CalibrationProfile) -> Result<Vec<u8>> {
		let profile = Value::named_composite([
			("margins", numbers(profile.margins)),
			("tape", numbers(profile.tape)),
			("distances", numbers(profile.distances)),
			("fingerprint", numbers(profile.fingerprint)),
			("alarm", Value::u128(profile.alarm.into())),
			("clamp", Value::u128(profile.clamp.into())),
			("min_worker_version", Value::u128(profile.min_worker_version.into())),
		]);
		let arguments = [Value::u128(model.into()), Value::unnamed_variant("Some", [profile])];
		self.encode("SamplingValidation", "set_profile", Composite::unnamed(arguments))
	}

	/// Encodes the call that pauses `Pallet.call`, or resumes it.
	pub fn pause(&self, name: &str, paused: bool) -> Result<Vec<u8>> {
		let (pallet, call) = name.split_once('.').unwrap_or((name, ""));
		let name = Value::unnamed_composite([Value::from_bytes(pallet), Value::from_bytes(call)]);
		self.encode("TxPause", if paused { "pause" } else { "unpause" }, Composite::unnamed([name]))
	}

	/// Encodes the call that cancels a referendum, or kills it: then its deposits go to the community fund.
	pub fn stop(&self, referendum: u32, kill: bool) -> Result<Vec<u8>> {
		let call = if kill { "kill" } else { "cancel" };
		self.encode(REFERENDA, call, Composite::unnamed([Value::u128(referendum.into())]))
	}

	/// Encodes the call that ends a stall of finality.
	pub fn end_stall(&self, delay: BlockNumber, finalized: BlockNumber) -> Result<Vec<u8>> {
		let arguments = [Value::u128(delay.into()), Value::u128(finalized.into())];
		self.encode(VOTING, "end_stall", Composite::unnamed(arguments))
	}

	/// Encodes the call that retires a model.
	pub fn retire_model(&self, model: ModelId) -> Result<Vec<u8>> {
		self.encode("InferenceMarket", "retire_model", Composite::unnamed([Value::u128(model.into())]))
	}
}
