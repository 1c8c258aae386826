//! `gonka channel`.

use super::{NodeArgument, can_spend, checked, emit, emit_json, table, with_fees};
use crate::amount::{Amount, gnk, parse_gnk};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use gonka_client::{
	chain::Chain,
	keys::{self, Address},
};
use gonka_primitives::{Balance, ChannelId, views::ChannelView};
use std::path::{Path, PathBuf};

/// Arguments of `gonka channel`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// List the channels of a developer or of a host.
	#[command(after_help = "\
Examples:
  gonka channel list --key developer.key
  gonka channel list --host 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json")]
	List {
		/// Address of the developer who pays.
		#[arg(long, value_name = "ADDRESS", required_unless_present_any = ["host", "key"])]
		developer: Option<Address>,
		/// Address of the host that is paid.
		#[arg(long, value_name = "ADDRESS", conflicts_with_all = ["developer", "key"])]
		host: Option<Address>,
		/// File with the developer's secret, instead of the address.
		#[arg(long, value_name = "FILE", conflicts_with = "developer")]
		key: Option<PathBuf>,
		/// Print JSON. Amounts are decimal strings: `deposit` in base units, `deposit_gnk` in GNK.
		#[arg(long)]
		json: bool,
	},
	/// Open channels to hosts. A gateway does this by itself.
	#[command(after_help = "\
Example:
  gonka channel open --key developer.key --deposit 10 \\
    5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
	Open {
		/// File with the developer's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
		/// Address of the gateway's key. Default: the developer's own.
		#[arg(long, value_name = "ADDRESS")]
		gateway: Option<Address>,
		/// Deposit of each channel, in GNK.
		#[arg(long, value_parser = parse_gnk, value_name = "GNK")]
		deposit: Balance,
		/// Addresses of the hosts.
		#[arg(required = true)]
		hosts: Vec<Address>,
	},
	/// Add to a channel's deposit.
	#[command(after_help = "\
Example:
  gonka channel top-up --key developer.key 0 5")]
	TopUp {
		/// File with the developer's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
		/// Number of the channel.
		channel: ChannelId,
		/// Amount to add, in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
	},
	/// Start to close a channel. After the challenge period the developer can withdraw.
	#[command(after_help = "\
Example:
  gonka channel close --key developer.key 0")]
	Close {
		/// File with the developer's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
		/// Number of the channel.
		channel: ChannelId,
	},
	/// Withdraw what a closed channel has left.
	#[command(after_help = "\
Example:
  gonka channel withdraw --key developer.key 0")]
	Withdraw {
		/// File with the developer's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
		/// Number of the channel.
		channel: ChannelId,
	},
}

/// Runs `gonka channel`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, command(&chain, arguments.command)).await
}

async fn command(chain: &Chain, command: Command) -> Result<()> {
	match command {
		Command::List { developer, host, key, json } => {
			let channels = find(chain, developer, host, key.as_deref()).await?;
			if json { emit_json(&as_json(&channels)) } else { list(&channels) }
		},
		Command::Open { key, gateway, deposit, hosts } => {
			let pair = keys::load(&key)?;
			let gateway = gateway.map_or_else(|| Ok(keys::public(&pair)), |gateway| gateway.account())?;
			let hosts = hosts.iter().map(Address::account).collect::<Result<Vec<_>, _>>()?;
			can_spend(chain, &pair, deposit.saturating_mul(hosts.len() as Balance)).await?;
			let deposits = hosts.iter().map(|host| (*host, deposit)).collect();
			let channels = chain.open_channels(&pair, gateway, deposits).await?;
			for (channel, host) in channels.iter().zip(&hosts) {
				println!("opened channel {channel} to {} with {} GNK", keys::ss58(host), gnk(deposit));
			}
			Ok(())
		},
		Command::TopUp { key, channel, amount } => {
			let pair = keys::load(&key)?;
			can_spend(chain, &pair, amount).await?;
			existing(chain, channel).await?;
			chain.top_up(&pair, vec![(channel, amount)]).await?;
			println!("added {} GNK to channel {channel}", gnk(amount));
			Ok(())
		},
		Command::Close { key, channel } => {
			let pair = keys::load(&key)?;
			existing(chain, channel).await?;
			chain.close_channel(&pair, channel).await?;
			match chain.channel(channel).await?.and_then(|view| view.closes) {
				Some(block) => {
					println!("channel {channel} is closing: `gonka channel withdraw` works from block {block} on")
				},
				None => println!("channel {channel} is closing"),
			}
			Ok(())
		},
		Command::Withdraw { key, channel } => withdraw(chain, &key, channel).await,
	}
}

async fn existing(chain: &Chain, channel: ChannelId) -> Result<ChannelView> {
	checked(chain, async || view(chain, channel).await).await
}

async fn view(chain: &Chain, channel: ChannelId) -> Result<ChannelView> {
	chain.channel(channel).await?.with_context(|| {
		format!("there is no channel {channel}; it may have been withdrawn. `gonka channel list` shows the others")
	})
}

/// A channel whose challenge period is over.
async fn closed(chain: &Chain, channel: ChannelId) -> Result<ChannelView> {
	let view = view(chain, channel).await?;
	let best = chain.best().await?.number;
	match view.closes {
		None => bail!("channel {channel} is open: run `gonka channel close` first"),
		Some(block) if block > best => {
			bail!("channel {channel} can be withdrawn from block {block} on: wait, the best block is {best}")
		},
		Some(_) => Ok(view),
	}
}

async fn withdraw(chain: &Chain, key: &Path, channel: ChannelId) -> Result<()> {
	let pair = keys::load(key)?;
	let view = checked(chain, async || closed(chain, channel).await).await?;
	chain.withdraw(&pair, channel).await?;
	println!("withdrew {} GNK from channel {channel}", gnk(remaining(&view)));
	Ok(())
}

async fn find(
	chain: &Chain,
	developer: Option<Address>,
	host: Option<Address>,
	key: Option<&Path>,
) -> Result<Vec<ChannelView>> {
	let mut channels = match (developer, host, key) {
		(_, Some(host), _) => chain.channels_of_host(&host.account()?).await?,
		(Some(developer), ..) => chain.channels(&developer.account()?).await?,
		(_, _, Some(key)) => chain.channels(&keys::public(&keys::load(key)?)).await?,
		_ => bail!("pass --developer, --host or --key"),
	};
	channels.sort_by_key(|channel| channel.id);
	Ok(channels)
}

fn as_json(channels: &[ChannelView]) -> serde_json::Value {
	let channel = |channel: &ChannelView| {
		serde_json::json!({
			"channel": channel.id, "developer": keys::ss58(&channel.developer), "host": keys::ss58(&channel.host),
			"gateway": keys::ss58(&channel.gateway), "deposit": Amount(channel.deposit),
			"settled": Amount(channel.settled.fee), "remaining": Amount(remaining(channel)),
			"work": channel.settled.work, "requests": channel.settled.receipts,
			"withdrawable_from_block": channel.closes,
		})
	};
	channels.iter().map(channel).collect()
}

fn list(channels: &[ChannelView]) -> Result<()> {
	let mut table = table(&["channel", "developer", "host", "deposit", "settled", "remaining", "requests", "state"]);
	for channel in channels {
		table.add_row([
			channel.id.to_string(),
			keys::ss58(&channel.developer),
			keys::ss58(&channel.host),
			gnk(channel.deposit),
			gnk(channel.settled.fee),
			gnk(remaining(channel)),
			channel.settled.receipts.to_string(),
			channel.closes.map_or_else(|| "open".into(), |block| format!("closes at block {block}")),
		]);
	}
	emit(&format!("{table}\n"))
}

/// Deposited base units that are not settled.
fn remaining(channel: &ChannelView) -> Balance {
	channel.deposit.saturating_sub(channel.settled.fee)
}
