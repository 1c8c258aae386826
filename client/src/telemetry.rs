//! Logs and traces of the programs, set up the same way in gateway, worker and command line.
//!
//! Log lines go to standard error as text, each with the spans around it. `RUST_LOG` sets the filter. With the feature
//! `otel` and `--otlp-endpoint`, the spans also go to an OpenTelemetry collector.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

/// Command line options for logs and traces. `#[command(flatten)]` adds them to a program's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TelemetryArgs {
	/// Send traces to the OpenTelemetry collector at this URL, by OTLP over HTTP (example: http://127.0.0.1:4318).
	#[cfg(feature = "otel")]
	#[arg(long, env = "GONKA_OTLP_ENDPOINT", value_name = "URL")]
	pub otlp_endpoint: Option<String>,
}

/// Why logs and traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
	/// The process has a log subscriber already.
	#[error("logging is already set up in this process: {0}")]
	Subscriber(#[from] tracing_subscriber::util::TryInitError),
	/// The OTLP exporter rejects its configuration.
	#[cfg(feature = "otel")]
	#[error("cannot send traces to {endpoint}: {cause}; correct --otlp-endpoint")]
	Exporter {
		/// The collector's URL.
		endpoint: String,
		/// The exporter's error.
		cause: opentelemetry_otlp::ExporterBuildError,
	},
}

/// Running telemetry. Dropping it sends the spans that are still buffered.
#[must_use = "dropping it ends the export of traces"]
pub struct Telemetry {
	#[cfg(feature = "otel")]
	provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Sets up logs, and traces if `args` name a collector. Call it once per process.
///
/// `service` is the program's name in traces. `default_filter` applies when `RUST_LOG` is absent or invalid.
#[cfg_attr(not(feature = "otel"), allow(unused_variables))]
pub fn init(service: &'static str, default_filter: &str, args: &TelemetryArgs) -> Result<Telemetry, TelemetryError> {
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
	let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
	#[cfg(feature = "otel")]
	let (provider, traces) = otel::layer(service, args)?;
	#[cfg(not(feature = "otel"))]
	let traces: Option<Box<dyn Layer<Registry> + Send + Sync>> = None;
	tracing_subscriber::registry().with(traces).with(filter).with(log).try_init()?;
	Ok(Telemetry {
		#[cfg(feature = "otel")]
		provider,
	})
}

#[cfg(feature = "otel")]
impl Drop for Telemetry {
	fn drop(&mut self) {
		if let Some(Err(error)) = self.provider.as_ref().map(|provider| provider.shutdown()) {
			eprintln!("warning: the last traces may be lost: {error}");
		}
	}
}

#[cfg(feature = "otel")]
mod otel {
	use super::{Layer, Registry, TelemetryArgs, TelemetryError};
	use opentelemetry::trace::TracerProvider;
	use opentelemetry_otlp::{SpanExporter, WithExportConfig};
	use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

	type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

	/// The layer that exports spans in batches, with the provider that has to be shut down; `None` without a collector.
	pub fn layer(
		service: &'static str,
		args: &TelemetryArgs,
	) -> Result<(Option<SdkTracerProvider>, Option<TraceLayer>), TelemetryError> {
		let Some(endpoint) = &args.otlp_endpoint else { return Ok((None, None)) };
		let exporter = SpanExporter::builder()
			.with_http()
			.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
			.build()
			.map_err(|cause| TelemetryError::Exporter { endpoint: endpoint.clone(), cause })?;
		let provider = SdkTracerProvider::builder()
			.with_resource(Resource::builder().with_service_name(service).build())
			.with_batch_exporter(exporter)
			.build();
		let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
		Ok((Some(provider), Some(layer.boxed())))
	}
}
