//! Stand-ins for what a gateway talks to: a [`market`] in memory instead of a chain, and [`worker`]s without a model. The
//! gateway's tests and `benches/gateway` run against them. They panic where a gateway breaks the protocol.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod market;
pub mod worker;

use gonka_gateway::gateway::Gateway;
use market::MODEL;

/// Whether so many channels of a gateway are in step with their workers, whose contexts are known, and the tokenizer is open.
pub fn is_ready(gateway: &Gateway, channels: usize) -> bool {
	let snapshot = gateway.snapshots.load();
	let in_step = snapshot.open_channels().filter(|(channel, _)| gateway.ledger.available(channel).is_some()).count();
	let Ok(model) = gateway.model(MODEL) else { return channels == 0 };
	in_step == channels
		&& gateway.tokenizers.of(&model).is_some()
		&& snapshot.open_channels().all(|(_, host)| gateway.router.context(&model, host).is_some())
}
