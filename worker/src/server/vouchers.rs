//! Vouchers, and what is known of a channel.

use super::{Refusal, Service};
use crate::store::{Durability, market};
use axum::{Json, body::Bytes, extract::State};
use gonka_client::{
	keys,
	wire::{Acknowledgement, ChannelQuery, ChannelState, ErrorCode, Scale, UnacknowledgedReceipt},
};
use gonka_primitives::{
	ChannelId, Signature,
	hashing::{domain, signing_payload},
	views::ChannelView,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// `POST /v1/vouchers`: the answer says that the voucher is on disk.
pub async fn acknowledge(
	State(service): State<Arc<Service>>,
	body: Bytes,
) -> Result<Json<serde_json::Map<String, serde_json::Value>>, Refusal> {
	let acknowledgement: Acknowledgement = parse(&body)?;
	let signed = acknowledgement.voucher.0;
	let mut channel = known_channel(&service, signed.voucher.channel).await?;
	let payload = signing_payload(domain::VOUCHER, &service.genesis, &signed.voucher);
	check_signature(&signed.signature, &payload, &channel)?;
	if signed.voucher.totals.fee > channel.deposit {
		// It may have been topped up in this very block.
		channel = fresh(&service, channel).await?;
	}
	let receipts: Vec<_> = acknowledgement.receipts.into_iter().map(|hash| hash.0).collect();
	let taken = service
		.store
		.write(Durability::Now, move |tx| market::acknowledge(tx, &channel, &signed, &receipts))
		.await
		.map_err(Refusal::internal)??;
	metrics::counter!("gonka_worker_receipts_acknowledged_total").increment(taken);
	tracing::debug!(channel = signed.voucher.channel, receipts = taken, fee = signed.voucher.totals.fee, "voucher");
	Ok(Json(serde_json::Map::new()))
}

/// `POST /v1/channel`.
pub async fn channel(State(service): State<Arc<Service>>, body: Bytes) -> Result<Json<ChannelState>, Refusal> {
	let query: ChannelQuery = parse(&body)?;
	let channel = known_channel(&service, query.channel).await?;
	let payload = signing_payload(domain::CHANNEL_QUERY, &service.genesis, &query.channel);
	check_signature(&query.signature.0, &payload, &channel)?;
	let read = service.store.read(|tx| Ok((market::channel(tx, channel.id)?, market::unacknowledged(tx, channel.id)?)));
	let (record, open) = read.map_err(Refusal::internal)?;
	let record = record.unwrap_or_default();
	let open = open
		.into_iter()
		.map(|stored| UnacknowledgedReceipt { envelope: Scale(stored.envelope), receipt: Scale(stored.receipt) });
	Ok(Json(ChannelState {
		sequence: record.sequences.highest,
		voucher: record.voucher.map(Scale),
		unacknowledged: open.collect(),
	}))
}

/// A channel to this host, open or closing.
pub(super) async fn known_channel(service: &Service, id: ChannelId) -> Result<ChannelView, Refusal> {
	if service.follower.snapshot().is_none() {
		return Err(Refusal::new(ErrorCode::Busy, "the worker has not seen the chain yet: try again in a moment"));
	}
	let channel = service.follower.channel(id).await.map_err(Refusal::internal)?;
	channel.ok_or_else(|| {
		let message = format!("there is no channel {id} to this host; a new one is known within a block");
		Refusal::new(ErrorCode::UnknownChannel, message)
	})
}

/// The channel as the chain has it now; as it was known, if the chain does not answer.
pub(super) async fn fresh(service: &Service, channel: ChannelView) -> Result<ChannelView, Refusal> {
	Ok(service.follower.fresh_channel(channel.id).await.ok().flatten().unwrap_or(channel))
}

pub(super) fn check_signature(
	signature: &Signature,
	payload: &gonka_primitives::Hash,
	channel: &ChannelView,
) -> Result<(), Refusal> {
	if keys::verify(signature, payload, &channel.gateway) {
		return Ok(());
	}
	let gateway = hex::encode(channel.gateway);
	let message = format!("not signed by the gateway key 0x{gateway} of channel {} for this chain", channel.id);
	Err(Refusal::new(ErrorCode::BadSignature, message))
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
	serde_json::from_slice(body).map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("body: {error}")))
}
