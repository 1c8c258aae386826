//! `gonka-gateway`: see [`gonka_gateway`].

use anyhow::{Context, bail};
use clap::Parser;
use gonka_client::{listen, process, telemetry};
use gonka_gateway::{
	api_keys::command::{self, Command},
	app::{self, Keys},
	chain_view::{ChainView, NodeChain},
	config::{Args, NewKey},
	server,
};
use std::{
	io::Write,
	path::Path,
	process::ExitCode,
	sync::{Arc, OnceLock},
	time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Maximum time for the last vouchers after the last response.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// Time after which an attempt to reach the node that has not ended is told of.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between attempts to reach the node.
const CONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Requests allocate many small texts, on all cores.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
	process::hide_files();
	match run(Args::parse()).await {
		Ok(()) => ExitCode::SUCCESS,
		Err(error) => {
			eprintln!("error: {error:#}");
			ExitCode::FAILURE
		},
	}
}

async fn run(args: Args) -> anyhow::Result<()> {
	if let Some(Command::Key { command }) = &args.command {
		return command::run(command.clone(), &args.base_path, || args.settings_keys());
	}
	let _telemetry = telemetry::init("gonka-gateway", "info", &args.telemetry)?;
	let (options, new_key) = args.options()?;
	let load = |path: &Path| {
		gonka_client::keys::load(path).with_context(|| format!("cannot use the key file {}", path.display()))
	};
	let developer = load(args.key.as_deref().context("name the developer's key file with --key")?)?;
	let gateway = args.gateway_key.as_deref().map(load).transpose()?.unwrap_or_else(|| developer.clone());
	let listener = listen::bind(args.listen).await?;
	let address = listener.local_addr()?;
	if let Some(warning) = options.exposure(address) {
		tracing::warn!("{warning}");
	}
	let mut stop = on_signal()?;

	let routes = Arc::new(OnceLock::new());
	let (mut draining, drain) = (stop.clone(), Duration::from_secs(args.drain_timeout));
	let stopping = async move {
		let _ = draining.changed().await;
		tracing::info!("stopping: new requests are rejected, running ones have {} s to end", drain.as_secs());
	};
	let serve = tokio::spawn(listen::serve(listener, server::starting(routes.clone()), stopping, drain));
	println!("listening on http://{address}");
	if let Some(NewKey { key, file }) = new_key {
		println!("API key {key}, shown now and kept in {}", file.display());
	}
	std::io::stdout().flush()?;

	let chain = tokio::select! {
		chain = connect(&args.node) => chain,
		_ = stop.changed() => return Ok(()),
	};
	// The task that follows the chain reports a failure of this query, too.
	let minimum = chain.market().await.map_or(0, |market| market.min_deposit);
	if let Some(warning) = options.deposit_warning(minimum) {
		tracing::warn!("{warning}");
	}
	let running = app::start(chain, Keys { developer, gateway }, &args.base_path, options)?;
	let _ = routes.set(server::routes(running.gateway.clone()));
	let closed = running.gateway.ledger.store().closed();
	tokio::select! {
		served = serve => served?,
		// Requests fail without it: a supervisor starts the process again, which reads the ledger and compares it with the workers'.
		() = closed => bail!("the ledger cannot be written: see the log, make room on the disk, and start again"),
	}
	running.stop(FLUSH_LIMIT).await;
	Ok(())
}

async fn connect(url: &str) -> NodeChain {
	tracing::info!(url, "connecting to the node");
	loop {
		let attempt = NodeChain::connect(url);
		tokio::pin!(attempt);
		let ended = loop {
			tokio::select! {
				ended = &mut attempt => break ended,
				() = sleep(CONNECT_PATIENCE) => tracing::warn!(url, "still connecting: is the node running, and is --node right?"),
			}
		};
		match ended {
			Ok(chain) => return chain,
			Err(error) => tracing::warn!(%error, url, "cannot reach the node; trying again"),
		}
		sleep(CONNECT_PAUSE).await;
	}
}

/// Returns a receiver that changes once, when the process gets SIGTERM or SIGINT.
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
		// A receiver must see the change, not a closed channel.
		sender.closed().await;
	});
	Ok(receiver)
}
