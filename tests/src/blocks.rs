//! What is in blocks: the settlements and their bytes.

use crate::node::Node;
use anyhow::{Context, Result};
use codec::{Compact, Decode};
use gonka_primitives::market::Settlement;

/// `InferenceMarket.settle` as a general transaction: version byte, extension version, era, nonce, tip, indices.
const SETTLE: [u8; 7] = [0b0100_0101, 0, 0, 0, 0, 61, 7];

/// The settlements in blocks `from..=to`, each with the bytes it takes on chain.
pub async fn settlements(node: &Node, from: u32, to: u32) -> Result<Vec<(Settlement, usize)>> {
	let mut all = Vec::new();
	for number in from..=to {
		let hash: serde_json::Value = node.ask("chain_getBlockHash", serde_json::json!([number])).await?;
		let block: serde_json::Value = node.ask("chain_getBlock", serde_json::json!([hash])).await?;
		for extrinsic in block["block"]["extrinsics"].as_array().context("no extrinsics")? {
			let bytes = hex::decode(extrinsic.as_str().unwrap_or_default().trim_start_matches("0x"))?;
			let mut rest = bytes.as_slice();
			Compact::<u32>::decode(&mut rest)?;
			if let Some(mut call) = rest.strip_prefix(&SETTLE) {
				all.push((Settlement::decode(&mut call)?, bytes.len()));
			}
		}
	}
	Ok(all)
}
