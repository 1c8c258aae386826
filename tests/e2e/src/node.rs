//! RPC calls to a node that the chain client has no method for.

use anyhow::{Context, Result};
use codec::Decode;
use serde_json::value::to_raw_value;
use subxt::rpcs::client::{RpcClient, RpcParams};

/// A node's RPC.
pub struct Node(RpcClient);

impl Node {
	/// Connects to a node's `ws://` address.
	pub async fn connect(url: &str) -> Result<Self> {
		Ok(Self(RpcClient::from_insecure_url(url).await?))
	}

	/// The connection, for another client on top of it.
	pub fn rpc(&self) -> &RpcClient {
		&self.0
	}

	/// Calls an RPC method with JSON parameters.
	pub async fn request<T: serde::de::DeserializeOwned>(
		&self,
		method: &str,
		parameters: serde_json::Value,
	) -> Result<T> {
		let mut params = RpcParams::new();
		for parameter in parameters.as_array().context("parameters are a list")? {
			params.push(to_raw_value(parameter)?)?;
		}
		self.0.request(method, params).await.with_context(|| format!("{method} failed"))
	}

	/// The node's first TCP address with its peer id, for `--bootnodes`.
	pub async fn bootnode(&self) -> Result<String> {
		let peer: String = self.request("system_localPeerId", serde_json::json!([])).await?;
		let addresses: Vec<String> = self.request("system_localListenAddresses", serde_json::json!([])).await?;
		let address =
			addresses.iter().find(|address| address.contains("/tcp/")).context("the node has no TCP address")?;
		let address = address.split("/p2p/").next().unwrap_or(address);
		Ok(format!("{address}/p2p/{peer}"))
	}

	/// Calls a runtime API method without arguments.
	pub async fn call<T: Decode>(&self, method: &str) -> Result<T> {
		let bytes: String = self.request("state_call", serde_json::json!([method, "0x"])).await?;
		Ok(T::decode(&mut hex::decode(bytes.trim_start_matches("0x"))?.as_slice())?)
	}

	/// The number of the best (`finalized: false`) or finalized block.
	pub async fn height(&self, finalized: bool) -> Result<u32> {
		let hash: serde_json::Value = if finalized {
			self.request("chain_getFinalizedHead", serde_json::json!([])).await?
		} else {
			self.request("chain_getBlockHash", serde_json::json!([])).await?
		};
		let header: serde_json::Value = self.request("chain_getHeader", serde_json::json!([hash])).await?;
		let number = header["number"].as_str().context("no such block")?;
		Ok(u32::from_str_radix(number.trim_start_matches("0x"), 16)?)
	}

	/// GRANDPA's voters with their weights, in the runtime's order.
	pub async fn grandpa(&self) -> Result<Vec<([u8; 32], u64)>> {
		self.call("GrandpaApi_grandpa_authorities").await
	}

	/// GRANDPA's set id as the runtime counts it.
	pub async fn runtime_set_id(&self) -> Result<u64> {
		self.call("GrandpaApi_current_set_id").await
	}

	/// GRANDPA's set id as the client counts it.
	pub async fn client_set_id(&self) -> Result<u64> {
		let state: serde_json::Value = self.request("grandpa_roundState", serde_json::json!([])).await?;
		state["setId"].as_u64().context("no set id")
	}
}
