//! The transactions of an account: signed, with a fee, in the order of its nonces.

use super::{
	BlockRef, Chain, Error, Result,
	governance::{Prepared, batch},
};
use crate::keys;
use codec::{Compact, Decode, Encode};
use gonka_primitives::{AccountId, Balance, ChannelId, PublicKey};
use std::{
	collections::{BTreeSet, HashMap},
	sync::{Arc, Mutex, PoisonError},
	time::Duration,
};
use subxt::{
	SubstrateConfig,
	config::DefaultExtrinsicParamsBuilder,
	ext::{scale_encode::EncodeAsFields, scale_value::Value},
	tx::Signer,
	utils::{AccountId32, H256, MultiSignature},
};
use subxt_signer::sr25519::Keypair;

/// Number of blocks after the last finalised one in which a signed transaction may be included.
const MORTALITY: u64 = 128;
/// Maximum number of attempts when other programs use the same nonce.
const ATTEMPTS: usize = 4;
/// Pause between them.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of queries for a nonce above the last one.
const NONCE_ATTEMPTS: usize = 20;
/// Pause between them.
const NONCE_PAUSE: Duration = Duration::from_millis(250);

/// The answer of the runtime API about a transaction: dispatch weight, class, fee.
type DispatchInfo = ((Compact<u64>, Compact<u64>), u8, Balance);

/// The last nonce of an account that a block included. Holding the lock is the right to use the next one.
type Turn = Arc<tokio::sync::Mutex<Option<u64>>>;

/// One lock per account: two concurrent transactions would take the same nonce.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<AccountId, Turn>>);

impl Locks {
	async fn lock(&self, account: AccountId) -> tokio::sync::OwnedMutexGuard<Option<u64>> {
		let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(account).or_default().clone();
		lock.lock_owned().await
	}
}

struct KeySigner<'a>(&'a Keypair);

impl Signer<SubstrateConfig> for KeySigner<'_> {
	fn account_id(&self) -> AccountId32 {
		AccountId32(keys::public(self.0))
	}

	fn sign(&self, payload: &[u8]) -> MultiSignature {
		MultiSignature::Sr25519(self.0.sign(payload).0)
	}
}

impl Chain {
	/// Opens one channel per `(host, deposit in base units)`, for which `gateway` signs. Returns the ids in the order
	/// of `deposits`. They are those of a best block; a reorganisation can still change them.
	pub async fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> Result<Vec<ChannelId>> {
		let account = keys::public(developer);
		let mut turn = self.inner.locks.lock(account).await;
		let arguments = (gateway, deposits.clone());
		let block = self.signed(developer, &mut turn, "InferenceMarket", "open_channels", &arguments).await?;
		let header = self
			.rpc("chain_getHeader", || self.inner.methods.chain_get_header(Some(H256(block.hash))))
			.await?
			.ok_or_else(|| Error::Rpc {
				method: "chain_getHeader".into(),
				cause: "it no longer knows the block".into(),
			})?;
		let before = self.channels_at(&account, Some(header.parent_hash)).await?;
		let before: BTreeSet<ChannelId> = before.iter().map(|channel| channel.id).collect();
		let mut new = self.channels_at(&account, Some(H256(block.hash))).await?;
		new.retain(|channel| channel.gateway == gateway && !before.contains(&channel.id));
		new.sort_by_key(|channel| channel.id);
		let mut ids = Vec::with_capacity(deposits.len());
		for (host, _) in &deposits {
			let position = new.iter().position(|channel| channel.host == *host).ok_or_else(|| Error::Decode {
				what: "InferenceMarket.open_channels".into(),
				cause: "a channel is missing after it was opened".into(),
			})?;
			ids.push(new.remove(position).id);
		}
		Ok(ids)
	}

	/// Adds base units to the deposits of channels.
	pub async fn top_up(&self, developer: &Keypair, amounts: Vec<(ChannelId, Balance)>) -> Result<()> {
		self.in_turn(developer, "InferenceMarket", "top_up", &(amounts,)).await
	}

	/// Begins to close a channel. After the challenge period, its remainder can be withdrawn.
	pub async fn close_channel(&self, developer: &Keypair, channel: ChannelId) -> Result<()> {
		self.in_turn(developer, "InferenceMarket", "close_channel", &(channel,)).await
	}

	/// Withdraws the remainder of a closed channel.
	pub async fn withdraw(&self, developer: &Keypair, channel: ChannelId) -> Result<()> {
		self.in_turn(developer, "InferenceMarket", "withdraw", &(channel,)).await
	}

	/// Begins to close channels: all of them, or none.
	pub async fn close_channels(&self, developer: &Keypair, channels: &[ChannelId]) -> Result<()> {
		self.of_channels(developer, "close_channel", channels).await
	}

	/// Withdraws the remainders of closed channels: all of them, or none.
	pub async fn withdraw_channels(&self, developer: &Keypair, channels: &[ChannelId]) -> Result<()> {
		self.of_channels(developer, "withdraw", channels).await
	}

	async fn of_channels(&self, developer: &Keypair, call: &'static str, channels: &[ChannelId]) -> Result<()> {
		let one = |id: &ChannelId| Prepared::new("InferenceMarket", call, [Value::u128((*id).into())]);
		let Prepared { pallet, call, arguments } = batch(channels.iter().map(one));
		self.in_turn(developer, pallet, call, &arguments).await
	}

	/// Deposits base units as collateral.
	pub async fn deposit_collateral(&self, host: &Keypair, amount: Balance) -> Result<()> {
		self.in_turn(host, "Collateral", "deposit", &(amount,)).await
	}

	/// Withdraws collateral. It stops counting at once and can be released after a whole epoch.
	pub async fn withdraw_collateral(&self, host: &Keypair, amount: Balance) -> Result<()> {
		self.in_turn(host, "Collateral", "withdraw", &(amount,)).await
	}

	/// Releases collateral that was withdrawn and has waited long enough.
	pub async fn release_collateral(&self, host: &Keypair) -> Result<()> {
		self.in_turn(host, "Collateral", "release", &()).await
	}

	/// Appeals against the judgement of a case about `host`. The deposit must be there.
	pub async fn appeal(&self, host: &Keypair, case: u32) -> Result<()> {
		self.in_turn(host, "SamplingValidation", "appeal", &(case,)).await
	}

	/// The sum of the fees that the signed transactions of this connection have paid, in base units. Failed ones pay, too.
	pub fn fees_paid(&self) -> Balance {
		*self.inner.fees.lock().unwrap_or_else(PoisonError::into_inner)
	}

	/// Adds a fee, in base units, to the sum.
	pub(super) fn count_fee(&self, fee: Balance) {
		let mut fees = self.inner.fees.lock().unwrap_or_else(PoisonError::into_inner);
		*fees = fees.saturating_add(fee);
	}

	pub(super) async fn in_turn(
		&self,
		from: &Keypair,
		pallet: &str,
		call: &str,
		arguments: &(impl EncodeAsFields + Clone),
	) -> Result<()> {
		self.in_turn_at(from, pallet, call, arguments).await.map(drop)
	}

	/// Does what [`Self::in_turn`] does, and returns the block that includes the transaction.
	pub(super) async fn in_turn_at(
		&self,
		from: &Keypair,
		pallet: &str,
		call: &str,
		arguments: &(impl EncodeAsFields + Clone),
	) -> Result<BlockRef> {
		let mut turn = self.inner.locks.lock(keys::public(from)).await;
		self.signed(from, &mut turn, pallet, call, arguments).await
	}

	/// Signs and sends a call and waits for its block. `last` comes from the account's lock, which the caller holds.
	async fn signed(
		&self,
		from: &Keypair,
		last: &mut Option<u64>,
		pallet: &str,
		call: &str,
		arguments: &(impl EncodeAsFields + Clone),
	) -> Result<BlockRef> {
		let what = format!("{pallet}.{call}");
		let mut attempt = 1;
		loop {
			let nonce = self.next_nonce(from, *last).await?;
			let bytes = self.make_signed(from, nonce, pallet, call, arguments).await?;
			let included = self.include(&what, &bytes).await;
			match included {
				Ok(_) | Err(Error::Dispatch(_)) => *last = Some(nonce),
				Err(Error::Refused { explanation, .. }) if attempt < ATTEMPTS && is_nonce_taken(&explanation) => {
					tracing::debug!(what, explanation, "another program used the nonce; taking the next");
					attempt += 1;
					tokio::time::sleep(PAUSE).await;
					continue;
				},
				Err(_) => {},
			}
			return included;
		}
	}

	/// The fee of a call, in base units, at present.
	pub(super) async fn fee(
		&self,
		from: &Keypair,
		pallet: &str,
		call: &str,
		arguments: &(impl EncodeAsFields + Clone),
	) -> Result<Balance> {
		let method = "TransactionPaymentApi_query_info";
		let nonce = self.next_nonce(from, None).await?;
		let mut bytes = self.make_signed(from, nonce, pallet, call, arguments).await?;
		let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
		length.encode_to(&mut bytes);
		let info = self.rpc(method, || self.inner.methods.state_call(method, Some(&bytes), None)).await?;
		let info: Result<DispatchInfo, _> = Decode::decode(&mut info.as_slice());
		info.map(|(_, _, fee)| fee).map_err(|error| Error::Decode { what: method.into(), cause: error.to_string() })
	}

	/// The account's next nonce, after all transactions in the pool. For a moment after a block, the node may still
	/// return the nonce that the block used. If it keeps returning it, the block is gone and the nonce is free again.
	async fn next_nonce(&self, from: &Keypair, last: Option<u64>) -> Result<u64> {
		let account = AccountId32(keys::public(from));
		let query = || self.inner.methods.system_account_next_index(&account);
		let mut nonce = self.rpc("system_accountNextIndex", query).await?;
		for _ in 0..NONCE_ATTEMPTS {
			if last.is_none_or(|last| nonce > last) {
				break;
			}
			tokio::time::sleep(NONCE_PAUSE).await;
			nonce = self.rpc("system_accountNextIndex", query).await?;
		}
		Ok(nonce)
	}

	async fn make_signed(
		&self,
		from: &Keypair,
		nonce: u64,
		pallet: &str,
		call: &str,
		arguments: &(impl EncodeAsFields + Clone),
	) -> Result<Vec<u8>> {
		let what = format!("{pallet}.{call}");
		let finalized = self.finalized().await?;
		let best = self.best().await?;
		let at = self.patient(self.at(&best)).await?;
		let params = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
			.nonce(nonce)
			.mortal_from_unchecked(MORTALITY, finalized.number.into(), H256(finalized.hash))
			.build();
		let payload = subxt::tx::dynamic(pallet, call, arguments.clone());
		let signed = at
			.tx()
			.create_signable_offline(&payload, params)
			.and_then(|mut signable| signable.sign(&KeySigner(from)))
			.map_err(|error| Error::Encode { what, cause: error.to_string() })?;
		Ok(signed.into_encoded())
	}
}

fn is_nonce_taken(explanation: &str) -> bool {
	explanation.contains("outdated") || explanation.contains("stands for the same")
}
