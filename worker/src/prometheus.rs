//! Metrics in Prometheus' text format.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Upper bounds of the buckets of duration histograms, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

static PROMETHEUS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts to record metrics, once per process. Metrics recorded before are lost.
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
				tracing::warn!(%error, "cannot record metrics; /metrics will be empty");
				None
			},
		}
	});
}

/// Returns all metrics; an empty text before [`start`].
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
	gauge!("gonka_worker_best_block", "Number of the best block that the worker has seen");
	gauge!("gonka_worker_load", "Running and waiting requests");
	gauge!("gonka_worker_appeal_until", "Last block in which the host may appeal against a judgement; 0 without one");
	gauge!("gonka_worker_outdated", "1 if governance requires a newer worker, otherwise 0");
	gauge!("gonka_worker_sprint_leaves_per_second", "Speed of the segment that was computed last");
	counter!("gonka_worker_sprint_leaves_total", "Computed leaves");
	counter!("gonka_worker_commitments_total", "Included commitments");
	counter!("gonka_worker_check_messages_total", "Included messages of checks and disputes");
	counter!("gonka_worker_audits_total", "Audits of other hosts' receipts");
	counter!("gonka_worker_findings_total", "Findings in included audit reports");
	counter!("gonka_worker_rulings_total", "Included rulings in cases");
	counter!("gonka_worker_evidence_served_total", "Served queries for evidence");
	counter!("gonka_worker_receipts_total", "Signed receipts");
	counter!("gonka_worker_receipts_acknowledged_total", "Receipts acknowledged by vouchers");
	counter!("gonka_worker_receipts_settled_total", "Receipts seen settled on chain");
	counter!("gonka_worker_settlements_total", "Included settlements");
	counter!("gonka_worker_prompt_tokens_total", "Prompt tokens of signed receipts");
	counter!("gonka_worker_completion_tokens_total", "Completion tokens of signed receipts");
	counter!("gonka_worker_completions_cancelled_total", "Completions whose gateway hung up");
	counter!("gonka_worker_rejections_total", "Responses other than 200, by error code");
	gauge!("gonka_worker_engine_running", "Completions and checks that the engine computes now");
	gauge!("gonka_worker_engine_waiting", "Requests that wait for a slot");
	gauge!("gonka_worker_engine_cached_tokens", "Tokens whose keys and values the slots hold");
	counter!("gonka_worker_engine_steps_total", "Computed batches");
	counter!("gonka_worker_engine_rows_total", "Completions in all computed batches together");
	counter!("gonka_worker_engine_prompt_tokens_total", "Tokens of prompts and checks that the engine read");
	counter!("gonka_worker_engine_reused_tokens_total", "Tokens of prompts that a slot held already");
	histogram!("gonka_worker_first_token_seconds", "Time from an admitted request to its first token");
	histogram!("gonka_worker_token_seconds", "Mean time of a completion's tokens after the first");
	histogram!("gonka_worker_completion_seconds", "Time from an admitted request to its last event");
}
