//! `gonka-gateway`: see [`gonka_gateway`].

use anyhow::Context;
use clap::Parser;
use gonka_gateway::{
	chain_view::NodeChain,
	config::Args,
	gateway::{Gateway, Keys},
	server,
};
use std::{
	future::IntoFuture,
	io::Write,
	process::ExitCode,
	sync::{Arc, OnceLock},
	time::Duration,
};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tracing_subscriber::EnvFilter;

/// For the last vouchers after the last answer.
const FLUSH: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
	let args = Args::parse();
	let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
	tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
	match run(args).await {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("error: {error:#}");
			ExitCode::FAILURE
		},
	}
}

async fn run(args: Args) -> anyhow::Result<()> {
	let options = args.options()?;
	let load = |path: &std::path::Path| {
		gonka_client::keys::load(path).with_context(|| format!("cannot use the key file {}", path.display()))
	};
	let developer = load(&args.key)?;
	let gateway = args.gateway_key.as_deref().map(load).transpose()?.unwrap_or_else(|| developer.clone());
	let listener = TcpListener::bind(args.listen).await.with_context(|| {
		format!("cannot listen on {} (is another program using it? choose one with --listen)", args.listen)
	})?;
	let address = listener.local_addr()?;
	let mut stop = on_signal()?;

	let routes = Arc::new(OnceLock::new());
	let (mut draining, drain) = (stop.clone(), Duration::from_secs(args.drain_timeout));
	let serve = axum::serve(listener, server::starting(routes.clone())).with_graceful_shutdown(async move {
		let _ = draining.changed().await;
		tracing::info!("stopping: no new requests; running answers get {} s", drain.as_secs());
	});
	let mut serve = tokio::spawn(serve.into_future());
	println!("listening on http://{address}");
	std::io::stdout().flush()?;

	let chain = tokio::select! {
		chain = connect(&args.node) => chain,
		_ = stop.changed() => return Ok(()),
	};
	let running = Gateway::start(chain, Keys { developer, gateway }, &args.base_path, options)?;
	let _ = routes.set(server::routes(running.gateway.clone()));
	tokio::select! {
		served = &mut serve => served??,
		() = async { let _ = stop.changed().await; sleep(drain).await } => {
			tracing::warn!("stopping although answers are still running");
		},
	}
	running.stop(FLUSH).await;
	Ok(())
}

async fn connect(url: &str) -> NodeChain {
	tracing::info!(url, "connecting to the node; it is tried until it answers");
	loop {
		match NodeChain::connect(url).await {
			Ok(chain) => return chain,
			Err(error) => tracing::warn!(%error, url, "cannot reach the node; trying again"),
		}
		sleep(Duration::from_secs(2)).await;
	}
}

/// Changes once, when the process is told to stop.
fn on_signal() -> anyhow::Result<watch::Receiver<bool>> {
	use tokio::signal::unix::{SignalKind, signal};
	let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
	let (sender, receiver) = watch::channel(false);
	tokio::spawn(async move {
		tokio::select! {
			_ = terminate.recv() => {},
			_ = interrupt.recv() => {},
		}
		let _ = sender.send(true);
		// The receivers must find the change, not a closed channel.
		sender.closed().await;
	});
	Ok(receiver)
}
