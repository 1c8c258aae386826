//! Metrics for Prometheus, served at `/metrics`.

use crate::api_keys::usage::Counts;
use gonka_primitives::GNK;
use prometheus::{
	CounterVec, Encoder, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
	Registry, TextEncoder,
};

const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// The gateway's metrics.
pub struct Metrics {
	registry: Registry,
	/// Requests by route and status.
	pub requests: IntCounterVec,
	/// Requests in flight.
	pub in_flight: IntGauge,
	/// Seconds from request to first token.
	pub first_token: Histogram,
	/// Seconds from request to the end of the response.
	pub duration: Histogram,
	/// Tokens by kind: `prompt`, `completion`.
	pub tokens: IntCounterVec,
	/// Hosts that were replaced: `before` the first token, or `during` the completion.
	pub failovers: IntCounterVec,
	/// Requests that were dispatched to a second host because the first token was late.
	pub hedges: IntCounter,
	/// Receipts that were wrong.
	pub rejected: IntCounter,
	/// How often a worker had seen requests that are not in this gateway's ledger.
	pub shared_key: IntCounter,
	/// Vouchers that workers confirmed.
	pub vouchers: IntCounter,
	/// GNK that remain in a channel when everything owed is settled.
	pub remaining: GaugeVec,
	/// GNK promised on a channel since it was opened.
	pub promised: GaugeVec,
	/// Whether a channel is reconciled with its worker.
	pub in_step: IntGaugeVec,
	/// The block of the snapshot.
	pub block: IntGauge,
	/// The usage of API keys.
	pub keys: KeyMetrics,
}

/// Metrics by the name of an API key.
#[derive(Clone)]
pub struct KeyMetrics {
	requests: IntCounterVec,
	tokens: IntCounterVec,
	cost: CounterVec,
}

impl KeyMetrics {
	/// Counts what a key used.
	pub fn add(&self, key: &str, counts: &Counts) {
		self.requests.with_label_values(&[key]).inc_by(counts.requests);
		self.tokens.with_label_values(&[key, "prompt"]).inc_by(counts.prompt_tokens);
		self.tokens.with_label_values(&[key, "completion"]).inc_by(counts.completion_tokens);
		self.cost.with_label_values(&[key]).inc_by(counts.cost as f64 / GNK as f64);
	}

	/// Forgets a key that is gone.
	pub fn forget(&self, key: &str) {
		// A key that was never used has no metrics.
		let _ = self.requests.remove_label_values(&[key]);
		let _ = self.tokens.remove_label_values(&[key, "prompt"]);
		let _ = self.tokens.remove_label_values(&[key, "completion"]);
		let _ = self.cost.remove_label_values(&[key]);
	}
}

impl Metrics {
	/// All metrics at zero.
	pub fn new() -> Result<Self, prometheus::Error> {
		let registry = Registry::new_custom(Some("gonka_gateway".to_owned()), None)?;
		let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
			let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
			registry.register(Box::new(counter.clone()))?;
			Ok(counter)
		};
		let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
			let counter = IntCounter::new(name, help)?;
			registry.register(Box::new(counter.clone()))?;
			Ok(counter)
		};
		let histogram = |name: &str, help: &str| -> Result<Histogram, prometheus::Error> {
			let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?;
			registry.register(Box::new(histogram.clone()))?;
			Ok(histogram)
		};
		let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
			let gauge = IntGauge::new(name, help)?;
			registry.register(Box::new(gauge.clone()))?;
			Ok(gauge)
		};
		let by_channel = |name: &str, help: &str| -> Result<GaugeVec, prometheus::Error> {
			let gauge = GaugeVec::new(Opts::new(name, help), &["channel", "host"])?;
			registry.register(Box::new(gauge.clone()))?;
			Ok(gauge)
		};
		let in_step = IntGaugeVec::new(
			Opts::new("channel_in_step", "1 if the channel is reconciled with its worker"),
			&["channel", "host"],
		)?;
		registry.register(Box::new(in_step.clone()))?;
		let cost = CounterVec::new(Opts::new("key_cost_gnk_total", "Fees by API key, in GNK"), &["key"])?;
		registry.register(Box::new(cost.clone()))?;
		let keys = KeyMetrics {
			requests: counters("key_requests_total", "Requests by API key, but for those beyond its rate", &["key"])?,
			tokens: counters("key_tokens_total", "Tokens by API key and kind", &["key", "kind"])?,
			cost,
		};
		Ok(Self {
			requests: counters("requests_total", "Requests by route and HTTP status", &["route", "status"])?,
			in_flight: gauge("requests_in_flight", "Requests in flight")?,
			first_token: histogram("first_token_seconds", "Seconds from request to first token")?,
			duration: histogram("response_seconds", "Seconds from request to the end of the response")?,
			tokens: counters("tokens_total", "Tokens by kind", &["kind"])?,
			failovers: counters(
				"failovers_total",
				"Hosts that were replaced, before the first token or during the completion",
				&["when"],
			)?,
			hedges: counter("hedges_total", "Requests dispatched to a second host because the first token was late")?,
			rejected: counter("rejected_receipts_total", "Receipts that were wrong and were not acknowledged")?,
			shared_key: counter(
				"shared_key_total",
				"Times that a worker had seen requests of this gateway's key that are not in its ledger",
			)?,
			vouchers: counter("vouchers_total", "Vouchers that workers confirmed")?,
			remaining: by_channel(
				"channel_remaining_gnk",
				"GNK that remain in the channel when everything owed is settled",
			)?,
			promised: by_channel("channel_promised_gnk", "GNK promised on the channel since it was opened")?,
			in_step,
			block: gauge("block", "The best block the gateway has seen")?,
			keys,
			registry,
		})
	}

	/// Renders all metrics in Prometheus' text format.
	pub fn render(&self) -> Result<String, prometheus::Error> {
		let mut text = Vec::new();
		TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
		String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
	}
}
