//! Accounts: balances, transfers and session keys.

use super::{Chain, Error, Result, types::DecodeError};
use gonka_primitives::{AccountId, Balance};
use serde::Deserialize;
use subxt::{
	error::StorageValueError,
	ext::{
		scale_decode::DecodeAsType,
		scale_value::{Composite, Value, ValueDef},
	},
	rpcs::client::RpcParams,
	storage::StorageValue,
	utils::{AccountId32, MultiAddress},
};
use subxt_signer::sr25519::Keypair;

/// The pallet of balances.
const BALANCES: &str = "Balances";
/// The pallet of session keys.
const SESSION: &str = "Session";

/// An account's balances, in base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub struct AccountBalance {
	/// Funds that are neither reserved nor held.
	pub free: Balance,
	/// Funds that are reserved or held: deposits of channels, collateral, deposits of referenda.
	pub reserved: Balance,
	/// Funds that have not vested. They overlap with the other two.
	pub frozen: Balance,
}

impl AccountBalance {
	/// Base units that the account can spend, reserve or hold: those that are free and not frozen.
	pub fn spendable(&self) -> Balance {
		self.free.saturating_sub(self.frozen)
	}

	/// Base units that the account can send or pay as fees if it is to keep `minimum`. Reserved funds count as frozen first.
	pub fn transferable(&self, minimum: Balance) -> Balance {
		self.free.saturating_sub(self.frozen.saturating_sub(self.reserved).max(minimum))
	}

	/// Whether the account exists.
	pub fn exists(&self) -> bool {
		self.free > 0 || self.reserved > 0
	}
}

/// New session keys of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedKeys {
	/// The public keys, SCALE-encoded.
	pub keys: Vec<u8>,
	/// The proof that the node holds them, for one owner.
	pub proof: Vec<u8>,
}

impl Chain {
	/// The balances of `who`: zero if there is no such account.
	pub async fn balance(&self, who: &AccountId) -> Result<AccountBalance> {
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Account {
			data: AccountBalance,
		}
		let account = self.stored::<Account, _>("System", "Account", who, |value| value.decode()).await?;
		Ok(account.map(|account| account.data).unwrap_or_default())
	}

	/// Base units that `who` holds and has not reserved.
	pub async fn free_balance(&self, who: &AccountId) -> Result<Balance> {
		Ok(self.balance(who).await?.free)
	}

	/// Base units that `who` can spend, reserve or hold: those that are neither reserved nor frozen.
	pub async fn spendable(&self, who: &AccountId) -> Result<Balance> {
		Ok(self.balance(who).await?.spendable())
	}

	/// The amounts that `who` has on hold, in base units, each with its reason, such as `Collateral.Collateral`.
	pub async fn holds(&self, who: &AccountId) -> Result<Vec<(String, Balance)>> {
		#[derive(DecodeAsType)]
		#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
		struct Hold {
			id: Value,
			amount: Balance,
		}
		let holds = self.stored::<Vec<Hold>, _>(BALANCES, "Holds", who, |value| value.decode()).await?;
		Ok(holds.unwrap_or_default().iter().map(|hold| (reason(&hold.id), hold.amount)).collect())
	}

	/// Sends base units to another account. The sender keeps the minimum balance.
	pub async fn transfer(&self, from: &Keypair, to: &AccountId, amount: Balance) -> Result<()> {
		self.in_turn(from, BALANCES, "transfer_keep_alive", &(address(to), amount)).await
	}

	/// Sends all that the account can send. It ceases to exist if nothing is left.
	pub async fn transfer_all(&self, from: &Keypair, to: &AccountId) -> Result<()> {
		self.in_turn(from, BALANCES, "transfer_all", &(address(to), false)).await
	}

	/// The fee of [`Self::transfer`], or without an amount of [`Self::transfer_all`], in base units, at present.
	pub async fn transfer_fee(&self, from: &Keypair, to: &AccountId, amount: Option<Balance>) -> Result<Balance> {
		match amount {
			Some(amount) => self.fee(from, BALANCES, "transfer_keep_alive", &(address(to), amount)).await,
			None => self.fee(from, BALANCES, "transfer_all", &(address(to), false)).await,
		}
	}

	/// Has the node make new session keys, which stay in its keystore, with a proof for `owner`. Nodes do so only for programs
	/// on their own machine: [`Error::Unsafe`].
	pub async fn rotate_session_keys(&self, owner: &AccountId) -> Result<RotatedKeys> {
		#[derive(Deserialize)]
		struct Response {
			keys: String,
			proof: Option<String>,
		}
		let method = "author_rotateKeysWithOwner";
		let owner = format!("0x{}", hex::encode(owner));
		let send = || async {
			let mut parameters = RpcParams::new();
			parameters.push(&owner)?;
			self.inner.rpc.request::<Response>(method, parameters).await
		};
		let response = self.rpc(method, send).await?;
		let unreadable = |cause: String| Error::Decode { what: method.into(), cause };
		let bytes =
			|text: &str| hex::decode(text.trim_start_matches("0x")).map_err(|error| unreadable(error.to_string()));
		let proof = response.proof.ok_or_else(|| unreadable("there is no proof".into()))?;
		Ok(RotatedKeys { keys: bytes(&response.keys)?, proof: bytes(&proof)? })
	}

	/// The session keys of `who`, SCALE-encoded, if it has set some. They come into use with the validators' next change.
	pub async fn session_keys(&self, who: &AccountId) -> Result<Option<Vec<u8>>> {
		self.stored::<Value, _>(SESSION, "NextKeys", who, |value| Ok(value.bytes().to_vec())).await
	}

	/// Whether the node holds the secrets of session keys. Nodes tell it only to programs on their own machine:
	/// [`Error::Unsafe`].
	pub async fn holds_session_keys(&self, keys: &[u8]) -> Result<bool> {
		let send = || self.inner.methods.author_has_session_keys(keys.to_vec());
		self.rpc("author_hasSessionKeys", send).await
	}

	/// Sets the session keys of an account. `proof` shows that a node holds their secrets for this account.
	pub async fn set_session_keys(&self, host: &Keypair, keys: &[u8], proof: &[u8]) -> Result<()> {
		let call = "set_keys";
		let unknown =
			|error: DecodeError| Error::Encode { what: format!("{SESSION}.{call}"), cause: error.to_string() };
		let keys = self.types().await?.session_keys(keys).map_err(unknown)?;
		self.in_turn(host, SESSION, call, &Composite::unnamed([keys, Value::from_bytes(proof)])).await
	}

	/// Removes the session keys of an account.
	pub async fn purge_session_keys(&self, host: &Keypair) -> Result<()> {
		self.in_turn(host, SESSION, "purge_keys", &()).await
	}

	/// Whether the chain is for development or local tests, so that well-known accounts hold its funds.
	pub async fn is_local(&self) -> Result<bool> {
		let kind = self.rpc("system_chainType", || self.inner.methods.system_chain_type()).await?;
		Ok(["Development", "Local"].contains(&kind.as_str()))
	}

	/// Reads an account's entry in a map of the storage, as of the best block.
	async fn stored<V: DecodeAsType, T>(
		&self,
		pallet: &str,
		entry: &str,
		who: &AccountId,
		read: impl FnOnce(&StorageValue<'_, V>) -> Result<T, StorageValueError>,
	) -> Result<Option<T>> {
		let best = self.best().await?;
		let address = subxt::dynamic::storage::<(AccountId,), V>(pallet, entry);
		let fetched = self.patient(async {
			let at = self.at(&best).await?;
			let value = at
				.storage()
				.try_fetch(address, (*who,))
				.await
				.map_err(|error| Error::Rpc { method: "state_getStorage".into(), cause: error.to_string() })?;
			let value = value.map(|value| read(&value)).transpose();
			value.map_err(|error| Error::Decode { what: format!("{pallet}.{entry}"), cause: error.to_string() })
		});
		fetched.await
	}
}

fn address(account: &AccountId) -> MultiAddress<AccountId32, ()> {
	MultiAddress::Id(AccountId32(*account))
}

/// Names the reason for a hold: `Pallet.Reason`.
fn reason(id: &Value) -> String {
	let ValueDef::Variant(pallet) = &id.value else { return id.to_string() };
	match pallet.values.values().next().map(|reason| &reason.value) {
		Some(ValueDef::Variant(reason)) => format!("{}.{}", pallet.name, reason.name),
		_ => pallet.name.clone(),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn frozen_and_reserved_funds_overlap() {
		let balance = AccountBalance { free: 100, reserved: 30, frozen: 50 };
		assert_eq!((balance.spendable(), balance.transferable(1), balance.transferable(25)), (50, 80, 75));
		assert_eq!(AccountBalance::default().transferable(1), 0);
		assert!(!AccountBalance::default().exists() && balance.exists());
	}

	#[test]
	fn a_hold_is_named_by_its_pallet_and_reason() {
		let inner = Value::unnamed_variant("ChannelDeposit", []);
		assert_eq!(reason(&Value::unnamed_variant("InferenceMarket", [inner])), "InferenceMarket.ChannelDeposit");
	}
}
