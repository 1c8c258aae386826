//! Raw questions to a node, for what the chain client does not ask.

use anyhow::{Context, Result};
use codec::Decode;
use serde_json::value::to_raw_value;
use subxt::rpcs::client::{RpcClient, RpcParams};

/// A node's RPC.
pub struct Node(RpcClient);

impl Node {
	/// Connects to `ws://…`.
	pub async fn connect(url: &str) -> Result<Self> {
		Ok(Self(RpcClient::from_insecure_url(url).await?))
	}

	/// The connection, for clients of other kinds.
	pub fn rpc(&self) -> &RpcClient {
		&self.0
	}

	/// Calls an RPC method with JSON parameters.
	pub async fn ask<T: serde::de::DeserializeOwned>(&self, method: &str, parameters: serde_json::Value) -> Result<T> {
		let mut params = RpcParams::new();
		for parameter in parameters.as_array().context("parameters are a list")? {
			params.push(to_raw_value(parameter)?)?;
		}
		self.0.request(method, params).await.with_context(|| format!("{method} failed"))
	}

	/// Calls a runtime API method without arguments.
	pub async fn call<T: Decode>(&self, method: &str) -> Result<T> {
		let answer: String = self.ask("state_call", serde_json::json!([method, "0x"])).await?;
		Ok(T::decode(&mut hex::decode(answer.trim_start_matches("0x"))?.as_slice())?)
	}

	/// The number of the best (`finalized: false`) or finalized block.
	pub async fn height(&self, finalized: bool) -> Result<u32> {
		let hash: serde_json::Value = if finalized {
			self.ask("chain_getFinalizedHead", serde_json::json!([])).await?
		} else {
			self.ask("chain_getBlockHash", serde_json::json!([])).await?
		};
		let header: serde_json::Value = self.ask("chain_getHeader", serde_json::json!([hash])).await?;
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
		let state: serde_json::Value = self.ask("grandpa_roundState", serde_json::json!([])).await?;
		state["setId"].as_u64().context("no set id")
	}
}
