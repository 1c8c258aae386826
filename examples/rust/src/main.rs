//! Prints the epoch, the hosts and the supply of a Gonka network. Uses `subxt` alone: types come from the chain's
//! metadata, so that the program needs no code of the project.
//!
//! Start a network with `make devnet`. In another terminal:
//!
//! ```sh
//! ~/.cache/gonka/target/debug/gonka-example-status    # or, in a project of your own: cargo run
//! ```
//!
//! `GONKA_NODE` chooses another node. `docs/calls.md` and `runtime/common/src/api.rs` list what the runtime API answers.

use std::{env, error::Error};
use subxt::{
	OnlineClient, SubstrateConfig,
	dynamic::runtime_api_call,
	ext::scale_decode::{self, DecodeAsType},
	utils::AccountId32,
};

/// Base units in one GNK.
const GNK: u128 = 1_000_000_000;
/// Maximum number of hosts that one call returns.
const PAGE: u32 = 100;

// Fields are found by name: a struct declares only those that it needs.

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Epoch {
	index: u32,
	start: u32,
	block: u32,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Host {
	account: [u8; 32],
	url: Vec<u8>,
	effective_weight: u64,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "scale_decode")]
struct Supply {
	issued: u128,
	unmined: u128,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
	let url = env::var("GONKA_NODE").unwrap_or_else(|_| "ws://127.0.0.1:9944".into());
	let client = OnlineClient::<SubstrateConfig>::from_insecure_url(&url).await?;
	// The newest finalised block. All calls below read its state.
	let block = client.at_current_block().await?;
	let runtime = block.runtime_apis();

	let epoch = runtime_api_call::<_, Option<Epoch>>("GonkaApi", "epoch", ());
	match runtime.call(epoch).await? {
		Some(Epoch { index, start, block }) => println!("epoch {index}, block {} of it", block - start),
		None => println!("no epoch has begun yet"),
	}

	// A list comes in pages, each after the last account of the page before.
	let mut after: Option<[u8; 32]> = None;
	loop {
		let page = runtime_api_call::<_, Vec<Host>>("GonkaApi", "hosts", (after, PAGE));
		let page = runtime.call(page).await?;
		for Host { account, url, effective_weight } in &page {
			let (account, url) = (AccountId32(*account), String::from_utf8_lossy(url));
			println!("host {account} at {url}: effective weight {effective_weight}");
		}
		match page.last() {
			Some(last) => after = Some(last.account),
			None => break,
		}
	}

	let Supply { issued, unmined } = runtime.call(runtime_api_call("GonkaApi", "supply", ())).await?;
	println!("supply: {} GNK issued, {} GNK unmined", issued / GNK, unmined / GNK);
	Ok(())
}
