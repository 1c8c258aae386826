//! Logs and metrics.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Upper bounds of the duration histograms' buckets, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

static PROMETHEUS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to count; metrics from before are lost. Once a process.
pub fn start() {
	PROMETHEUS.get_or_init(|| {
		let builder = PrometheusBuilder::new();
		let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS);
		match builder.and_then(PrometheusBuilder::install_recorder) {
			Ok(handle) => {
				describe();
				Some(handle)
			},
			Err(error) => {
				tracing::warn!(%error, "there will be no metrics");
				None
			},
		}
	});
}

/// All metrics in Prometheus' text format; empty before [`start`].
pub fn render() -> String {
	let handle = PROMETHEUS.get().and_then(Option::as_ref);
	handle
		.map(|handle| {
			handle.run_upkeep();
			handle.render()
		})
		.unwrap_or_default()
}

fn describe() {
	use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
	gauge!("gonka_worker_best_block", "Number of the best block seen");
	gauge!("gonka_worker_load", "Requests running and queued");
	gauge!("gonka_worker_sprint_leaves_per_second", "Speed of the segment that runs or ran last");
	counter!("gonka_worker_sprint_leaves_total", "Leaves computed since the start");
	counter!("gonka_worker_commitments_total", "Commitments that the chain took");
	counter!("gonka_worker_check_messages_total", "Messages of checks and disputes that the chain took");
	counter!("gonka_worker_receipts_total", "Receipts signed");
	counter!("gonka_worker_receipts_acknowledged_total", "Receipts that vouchers acknowledged");
	counter!("gonka_worker_receipts_settled_total", "Receipts seen settled on chain");
	counter!("gonka_worker_settlements_total", "Settlements that the chain took");
	counter!("gonka_worker_prompt_tokens_total", "Prompt tokens of signed receipts");
	counter!("gonka_worker_completion_tokens_total", "Completion tokens of signed receipts");
	counter!("gonka_worker_cancelled_total", "Answers whose gateway hung up");
	counter!("gonka_worker_refusals_total", "Answers other than 200, by error code");
	histogram!("gonka_worker_first_token_seconds", "From an admitted request to its first token");
	histogram!("gonka_worker_answer_seconds", "From an admitted request to its last event");
}
