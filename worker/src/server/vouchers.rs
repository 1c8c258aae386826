//! Vouchers, and the state of a channel.

use super::{Rejection, Service};
use crate::store::{Durability, market};
use axum::{
	Json,
	body::Bytes,
	extract::{FromRequest, Request, State},
};
use gonka_client::{
	keys,
	worker_api::{Acknowledgement, ChannelQuery, ChannelState, ErrorCode, Scale, UnacknowledgedReceipt},
};
use gonka_primitives::{
	ChannelId, Hash, Signature,
	hashing::{domain, signing_payload},
	market::Totals,
	views::ChannelView,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// `POST /v1/vouchers`. The response means that the voucher is stored.
pub async fn acknowledge(
	State(service): State<Arc<Service>>,
	Parsed(acknowledgement): Parsed<Acknowledgement>,
) -> Result<Json<serde_json::Map<String, serde_json::Value>>, Rejection> {
	let signed = acknowledgement.voucher.0;
	let mut channel = service.channel(signed.voucher.channel).await?;
	let payload = signing_payload(domain::VOUCHER, &service.genesis, &signed.voucher);
	check_signature(&signed.signature, &payload, &channel)?;
	let receipts: Vec<_> = acknowledgement.receipts.into_iter().map(|hash| hash.0).collect();
	if service.adds_nothing(&channel, &signed.voucher.totals, &receipts)? {
		return Ok(Json(serde_json::Map::new()));
	}
	if signed.voucher.totals.fee > channel.deposit {
		// The channel may have been topped up in the latest block.
		channel = service.current_channel(channel).await;
	}
	let taken = service
		.parts
		.store
		.write(Durability::Now, move |tx| market::acknowledge(tx, &channel, &signed, &receipts))
		.await
		.map_err(Rejection::internal)??;
	metrics::counter!("gonka_worker_receipts_acknowledged_total").increment(taken);
	tracing::debug!(
		channel = signed.voucher.channel,
		receipts = taken,
		fee = signed.voucher.totals.fee,
		"voucher stored"
	);
	Ok(Json(serde_json::Map::new()))
}

/// `POST /v1/channel`.
pub async fn channel(
	State(service): State<Arc<Service>>,
	Parsed(query): Parsed<ChannelQuery>,
) -> Result<Json<ChannelState>, Rejection> {
	let channel = service.authenticate_gateway(&query).await?;
	let read =
		service.parts.store.read(|tx| Ok((market::channel(tx, channel.id)?, market::unacknowledged(tx, channel.id)?)));
	let (record, open) = read.map_err(Rejection::internal)?;
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

impl Service {
	/// Returns the channel of a query that its gateway signed.
	pub(super) async fn authenticate_gateway(&self, query: &ChannelQuery) -> Result<ChannelView, Rejection> {
		let channel = self.channel(query.channel).await?;
		let payload = signing_payload(domain::CHANNEL_QUERY, &self.genesis, &query.channel);
		check_signature(&query.signature.0, &payload, &channel)?;
		Ok(channel)
	}

	/// Returns whether a voucher's totals are not above the last ones, and all of `receipts` are acknowledged. A read shows it: a
	/// gateway may send such vouchers without end.
	fn adds_nothing(&self, channel: &ChannelView, totals: &Totals, receipts: &[Hash]) -> Result<bool, Rejection> {
		let read = self.parts.store.read(|tx| {
			let record = market::channel(tx, channel.id)?;
			let acknowledged = record.map_or(channel.settled, |record| record.acknowledged);
			if acknowledged.checked_sub(totals).is_none() {
				return Ok(false);
			}
			market::are_acknowledged(tx, channel.id, receipts)
		});
		read.map_err(Rejection::internal)
	}

	/// Returns a channel that pays this host, open or closing.
	pub(super) async fn channel(&self, id: ChannelId) -> Result<ChannelView, Rejection> {
		if self.parts.follower.snapshot().is_none() {
			return Err(Rejection::no_snapshot());
		}
		let channel = self.parts.follower.channel(id).await.map_err(Rejection::internal)?;
		channel.ok_or_else(|| {
			let message = format!("no channel {id} pays this host; a new channel is known within a block");
			Rejection::new(ErrorCode::UnknownChannel, message)
		})
	}

	/// Returns the channel as it is on chain now, or as it was known if the chain does not respond.
	pub(super) async fn current_channel(&self, channel: ChannelView) -> ChannelView {
		self.parts.follower.current_channel(channel.id).await.ok().flatten().unwrap_or(channel)
	}
}

/// Rejects unless the channel's gateway key signed `payload`.
pub(super) fn check_signature(signature: &Signature, payload: &Hash, channel: &ChannelView) -> Result<(), Rejection> {
	if keys::verify(signature, payload, &channel.gateway) {
		return Ok(());
	}
	let gateway = hex::encode(channel.gateway);
	let message = format!("not signed by the gateway key 0x{gateway} of channel {} for this chain", channel.id);
	Err(Rejection::new(ErrorCode::BadSignature, message))
}

/// A JSON body. One that is too long is rejected in the form of all errors.
pub struct Parsed<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Parsed<T> {
	type Rejection = Rejection;

	async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
		let body = Bytes::from_request(request, state).await;
		let body = body.map_err(|error| Rejection::new(ErrorCode::BadRequest, error.to_string()))?;
		parse(&body).map(Self)
	}
}

/// Decodes a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
	gonka_client::json::from_slice(body)
		.map_err(|error| Rejection::new(ErrorCode::BadRequest, format!("body: {error}")))
}
