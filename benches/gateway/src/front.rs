//! The gateway under measurement: the library's own, with its HTTP server, ledger and tokenizer; only the chain is a market
//! in memory.

use crate::{
	input_ends,
	upstream::{listen, tokenizer},
};
use gonka_client::{
	peer_http::Addresses,
	telemetry::{self, TelemetryArgs},
};
use gonka_gateway::{
	app::{self, Keys},
	auth::ApiKeys,
	config::Options,
	server,
};
use gonka_stand_ins::{is_ready, market::Market, worker::Worker};
use std::{io::Write, path::PathBuf, time::Duration};
use subxt_signer::sr25519::dev;
use tokio::time::{interval, sleep};

/// The API key of clients.
pub const API_KEY: &str = "sk-gonka-bench";
/// Time between blocks.
const BLOCK: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(10);
/// Maximum time for the last vouchers.
const FLUSH_LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
	/// Directory of the ledger.
	#[arg(long)]
	base_path: PathBuf,
	/// GGUF file whose tokenizer the model has.
	#[arg(long)]
	model: Option<PathBuf>,
	/// URLs of the workers.
	#[arg(required = true)]
	workers: Vec<String>,
	#[command(flatten)]
	telemetry: TelemetryArgs,
}

/// Runs the subcommand. Prints the gateway's URL.
pub async fn run(args: Args) -> anyhow::Result<()> {
	let _telemetry = telemetry::init("gonka-gateway", "info", &args.telemetry)?;
	let (hash, _) = tokenizer(args.model.as_deref())?;
	let gateway = dev::alice();
	let hosts = (0..).zip(&args.workers);
	let hosts = hosts.map(|(index, url)| Worker::new(index, url.clone(), gateway.public_key().0).host());
	let market = Market::new(hosts.collect(), hash);
	let mut api_keys = ApiKeys::default();
	api_keys.add(&format!("bench:{API_KEY}"))?;
	let options = Options {
		api_keys,
		addresses: Addresses::Any,
		max_channels: args.workers.len(),
		hedge: false,
		..Options::default()
	};
	let keys = Keys { developer: dev::alice(), gateway };
	let running = app::start(market.clone(), keys, &args.base_path, options)?;
	while !is_ready(&running.gateway, args.workers.len()) {
		sleep(POLL).await;
	}
	let blocks = tokio::spawn(async move {
		let mut blocks = interval(BLOCK);
		loop {
			blocks.tick().await;
			market.next_block();
		}
	});
	let (listener, url) = listen().await?;
	println!("{url}");
	std::io::stdout().flush()?;
	gonka_client::listen::serve(listener, server::routes(running.gateway.clone()), input_ends(), Duration::MAX).await;
	running.stop(FLUSH_LIMIT).await;
	blocks.abort();
	Ok(())
}
