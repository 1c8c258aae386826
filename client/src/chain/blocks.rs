//! The stream of best blocks.

use super::{BlockRef, Chain};
use codec::Encode;
use futures::Stream;
use gonka_primitives::hashing::blake2_256;
use std::{
	pin::Pin,
	task::{Context, Poll},
	time::Duration,
};
use subxt::{config::substrate::SubstrateHeader, utils::H256};
use tokio::sync::mpsc;

/// Time without a block after which the subscription is made anew: it may have died silently.
const SILENCE: Duration = Duration::from_secs(20);
/// Pause before the next attempt to subscribe.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of blocks that wait for a slow reader. Beyond it, the stream waits for the reader.
const WAITING: usize = 64;

/// The stream of [`Chain::best_blocks`].
#[derive(Debug)]
pub struct BestBlocks {
	receiver: mpsc::Receiver<BlockRef>,
}

impl BestBlocks {
	pub(super) fn spawn(chain: Chain) -> Self {
		let (sender, receiver) = mpsc::channel(WAITING);
		tokio::spawn(async move {
			let mut last = None;
			while !sender.is_closed() {
				follow(&chain, &sender, &mut last).await;
				tokio::select! {
					_ = sender.closed() => return,
					_ = tokio::time::sleep(PAUSE) => {}
				}
			}
		});
		Self { receiver }
	}
}

impl Stream for BestBlocks {
	type Item = BlockRef;

	fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<BlockRef>> {
		self.receiver.poll_recv(context)
	}
}

/// Runs one subscription until it breaks, falls silent or loses its reader. A node sends its present best block first.
async fn follow(chain: &Chain, sender: &mpsc::Sender<BlockRef>, last: &mut Option<BlockRef>) {
	let subscribing = tokio::time::timeout(SILENCE, chain.inner.methods.chain_subscribe_new_heads());
	let subscribed = tokio::select! {
		_ = sender.closed() => return,
		result = subscribing => result,
	};
	let mut heads = match subscribed {
		Ok(Ok(heads)) => heads,
		Ok(Err(error)) => return tracing::debug!(%error, "cannot subscribe to blocks yet"),
		Err(_) => return tracing::debug!("the node is silent; subscribing to blocks again"),
	};
	loop {
		let head = tokio::select! {
			_ = sender.closed() => return,
			head = tokio::time::timeout(SILENCE, heads.next()) => head,
		};
		match head {
			Ok(Some(Ok(header))) => {
				let block = reference(&header);
				if last.replace(block) != Some(block) && sender.send(block).await.is_err() {
					return;
				}
			},
			Ok(Some(Err(error))) => return tracing::debug!(%error, "the block subscription broke"),
			Ok(None) => return tracing::debug!("the block subscription ended"),
			Err(_) => return tracing::debug!("no block for a while; subscribing again"),
		}
	}
}

/// A header's number and hash.
pub(super) fn reference(header: &SubstrateHeader<H256>) -> BlockRef {
	BlockRef { number: u32::try_from(header.number).unwrap_or(u32::MAX), hash: blake2_256(&[&header.encode()]) }
}
