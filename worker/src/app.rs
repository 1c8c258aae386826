//! The program: makes a worker of the command line's options, and runs it until a signal.

use crate::{
	chain::{ChainApi, NodeChain},
	cli::{Cli, Sprint},
	conduct::Conduct,
	engines,
	peer::Timeouts,
	server::Limits,
	sprint::{Expand, Reference, pace::Pace, torch},
	store::Store,
	worker::{Parts, Worker},
};
use anyhow::{Context, bail, ensure};
use gonka_client::{
	chain::Chain,
	keys::{self, Address, Keypair},
	listen,
};
use std::{io, sync::Arc, time::Duration};

/// Pause between two attempts to reach the node.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs the program until a signal.
pub async fn run(cli: Cli, conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
	std::fs::create_dir_all(&cli.base_path)
		.with_context(|| format!("cannot create the base path {}", cli.base_path.display()))?;
	let host_key = cli.host.host_key.as_ref().map(keys::load).transpose()?;
	let named = cli.host.host.as_deref().map(str::parse::<Address>).transpose()?;
	let key = worker_key(&cli)?;
	let listener = listen::bind(cli.listen).await?;
	let address = listener.local_addr()?;
	let url = cli.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
	let sprint = sprint(&cli.sprint, &*conduct)?;

	let stop = stop_signal()?;
	tokio::pin!(stop);
	let starting = async {
		let chain: Arc<dyn ChainApi> = Arc::new(NodeChain(connect(&cli.node).await));
		// The network decides which addresses are valid.
		let host = match (&host_key, named) {
			(Some(key), _) => keys::public(key),
			(None, Some(address)) => address.account()?,
			(None, None) => bail!("give --host or --host-key"),
		};
		tracing::info!(host = keys::ss58(&host), worker = keys::ss58(&keys::public(&key)), url, "gonka-worker starts");
		let store = Store::open(&cli.base_path.join("worker.redb"), &chain.genesis(), &host)?;
		let models = engines::load(&cli.serving, &*chain, &conduct).await?;
		anyhow::Ok((chain, host, store, models))
	};
	let (chain, host, store, models) = tokio::select! {
		started = starting => started?,
		() = &mut stop => return Ok(()),
	};
	let limits = Limits {
		credit: cli.serving.credit_requests,
		capacity: cli.serving.capacity(),
		evidence: u64::from(cli.serving.evidence_gib) << 30,
		..Limits::default()
	};
	let timeouts = Timeouts::default();
	let worker = Worker::start(Parts {
		chain,
		host,
		key,
		host_key,
		store: store.clone(),
		models,
		url,
		limits,
		timeouts,
		addresses: cli.peers.addresses(),
		sprint,
		conduct,
	})?;
	println!("listening on http://{address}");
	let stop = async {
		tokio::select! {
			() = stop => {},
			() = store.closed() => {},
		}
	};
	worker.serve(listener, stop, cli.grace()).await;
	// A supervisor starts the process again, which opens the store anew.
	ensure!(
		!store.is_closed(),
		"the store cannot be written: see the log, check the disk of --base-path, and start again"
	);
	tracing::info!("stopped");
	Ok(())
}

/// Returns implementation and pace of the sprint, unless the worker takes no part in it.
fn sprint(options: &Sprint, conduct: &dyn Conduct) -> anyhow::Result<Option<(Box<dyn Expand>, Pace)>> {
	if options.no_sprint {
		return Ok(None);
	}
	let expand: Box<dyn Expand> = if options.device == "reference" {
		Box::new(Reference { threads: options.sprint_threads.into() })
	} else {
		Box::new(torch::Torch {
			device: gonka_engine::torch_device(&options.device).context("--device takes reference, too")?,
			threads: options.sprint_threads,
		})
	};
	Ok(Some((conduct.prover(expand), Pace::new(options.sprint_rate))))
}

/// Loads the worker key, or makes one at the first start.
fn worker_key(cli: &Cli) -> anyhow::Result<Keypair> {
	let path = cli.key.clone().unwrap_or_else(|| cli.base_path.join("worker.key"));
	if path.exists() || cli.key.is_some() {
		return Ok(keys::load(&path)?);
	}
	let key = keys::generate_to(&path)?;
	tracing::info!(path = %path.display(), "made a worker key");
	Ok(key)
}

/// Connects to the node. Waits for it to start.
async fn connect(node: &str) -> Chain {
	loop {
		match Chain::connect(node).await {
			Ok(chain) => return chain,
			Err(error) => tracing::warn!(%error, "waiting for the node"),
		}
		tokio::time::sleep(PAUSE).await;
	}
}

/// Returns a future that resolves at the first SIGTERM or SIGINT. The second one ends the process.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
	use tokio::signal::unix::{SignalKind, signal};
	let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
	let (stop, stopped) = tokio::sync::oneshot::channel();
	tokio::spawn(async move {
		let mut stop = Some(stop);
		loop {
			tokio::select! {
				_ = terminate.recv() => {},
				_ = interrupt.recv() => {},
			}
			match stop.take() {
				Some(stop) => {
					tracing::info!("stopping after the running completions; a second signal stops at once");
					let _ = stop.send(());
				},
				None => std::process::exit(1),
			}
		}
	});
	Ok(async {
		let _ = stopped.await;
	})
}
