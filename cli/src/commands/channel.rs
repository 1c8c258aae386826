//! `gonka channel`.

use super::{NodeArgument, can_spend, checked, emit, emit_json, gov::view::duration, short, table, with_fees};
use crate::amount::{Amount, gnk, parse_gnk};
use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use futures::{StreamExt, TryStreamExt, stream};
use gonka_client::{
	chain::Chain,
	keys::{self, Address, Keypair},
};
use gonka_primitives::{
	Balance, ChannelId,
	views::{ChannelView, HostView},
};
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
	/// List the channels of a developer or of a host, or those to all registered hosts.
	#[command(after_help = "\
Examples:
  gonka channel list
  gonka channel list --key developer.key
  gonka channel list --host 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --json")]
	List {
		/// Address of the developer who pays.
		#[arg(long, value_name = "ADDRESS")]
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
	/// Start to close channels. After the challenge period the developer can withdraw.
	#[command(after_help = "\
Examples:
  gonka channel close 0 3 --key developer.key
  gonka channel close --all --key developer.key")]
	Close(Several),
	/// Withdraw what closed channels have left.
	#[command(after_help = "\
Examples:
  gonka channel withdraw 0 3 --key developer.key
  gonka channel withdraw --all --key developer.key")]
	Withdraw(Several),
}

/// Channels of a developer.
#[derive(Debug, clap::Args)]
struct Several {
	/// Numbers of the channels.
	#[arg(required_unless_present = "all", conflicts_with = "all")]
	channels: Vec<ChannelId>,
	/// All of the developer's channels that are in the right state.
	#[arg(long)]
	all: bool,
	/// File with the developer's secret.
	#[arg(long, value_name = "FILE")]
	key: PathBuf,
}

/// Maximum number of channels in one transaction.
const MAX_CALLS: usize = 50;
/// Maximum number of queries at the same time.
const MAX_QUERIES: usize = 16;

/// Runs `gonka channel`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, command(&chain, arguments.command)).await
}

async fn command(chain: &Chain, command: Command) -> Result<()> {
	match command {
		Command::List { developer, host, key, json } => {
			let channels = find(chain, developer, host, key.as_deref()).await?;
			let (best, types) = tokio::try_join!(chain.best(), chain.types())?;
			let best = best.number;
			if json { emit_json(&as_json(&channels, best)) } else { emit(&text(&channels, best, types.block_time())) }
		},
		Command::Open { key, gateway, deposit, hosts } => {
			let pair = keys::load(&key)?;
			let gateway = gateway.map_or_else(|| Ok(keys::public(&pair)), |gateway| gateway.account())?;
			let hosts = hosts.iter().map(Address::account).collect::<Result<Vec<_>, _>>()?;
			let minimum = chain.market().await?.min_deposit;
			ensure!(
				deposit >= minimum,
				"nothing was sent: a channel's deposit is at least {} GNK; give --deposit {} or more",
				gnk(minimum),
				gnk(minimum)
			);
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
		Command::Close(several) => close(chain, several).await,
		Command::Withdraw(several) => withdraw(chain, several).await,
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

/// State of a channel as of block `best`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
	Open,
	/// It can be withdrawn in so many blocks, from this one on.
	Closing {
		left: u32,
		block: u32,
	},
	/// It can be withdrawn.
	Closed,
}

impl State {
	fn of(channel: &ChannelView, best: u32) -> Self {
		match channel.closes {
			None => Self::Open,
			Some(block) if block > best => Self::Closing { left: block.saturating_sub(best), block },
			Some(_) => Self::Closed,
		}
	}

	/// Checks that a channel in this state can be closed.
	fn closable(self, id: ChannelId) -> Result<()> {
		match self {
			Self::Open => Ok(()),
			Self::Closing { block, .. } => {
				bail!(
					"nothing was sent: channel {id} is closing already. `gonka channel withdraw {id}` works from block {block} on"
				)
			},
			Self::Closed => {
				bail!("nothing was sent: channel {id} is closed already. Run `gonka channel withdraw {id}`")
			},
		}
	}

	/// Checks that a channel in this state can be withdrawn.
	fn withdrawable(self, id: ChannelId) -> Result<()> {
		match self {
			Self::Closed => Ok(()),
			Self::Open => bail!("nothing was sent: channel {id} is open. Run `gonka channel close {id}` first"),
			Self::Closing { left, block } => {
				bail!("nothing was sent: channel {id} can be withdrawn from block {block} on. Wait for {left} blocks")
			},
		}
	}
}

/// The channels that were named and are all in the right state, or those of the developer that are.
async fn chosen(
	chain: &Chain,
	several: &Several,
	key: &Keypair,
	check: impl Fn(State, ChannelId) -> Result<()>,
) -> Result<Vec<ChannelView>> {
	let query = async || {
		let best = chain.best().await?.number;
		let is_right = |channel: &ChannelView| check(State::of(channel, best), channel.id);
		if several.all {
			let mut channels = chain.channels(&keys::public(key)).await?;
			channels.retain(|channel| is_right(channel).is_ok());
			ensure!(
				!channels.is_empty(),
				"nothing was sent: {} has no channel in the right state. `gonka channel list` shows its channels",
				keys::ss58(&keys::public(key))
			);
			return Ok(channels);
		}
		let mut channels: Vec<ChannelView> = Vec::new();
		for id in &several.channels {
			let channel = view(chain, *id).await?;
			is_right(&channel)?;
			if channels.iter().all(|other| other.id != *id) {
				channels.push(channel);
			}
		}
		Ok(channels)
	};
	checked(chain, query).await
}

fn ids(channels: &[ChannelView]) -> Vec<ChannelId> {
	channels.iter().map(|channel| channel.id).collect()
}

async fn close(chain: &Chain, several: Several) -> Result<()> {
	let key = keys::load(&several.key)?;
	let channels = chosen(chain, &several, &key, State::closable).await?;
	for some in channels.chunks(MAX_CALLS) {
		chain.close_channels(&key, &ids(some)).await?;
		for channel in some {
			let id = channel.id;
			match chain.channel(id).await?.and_then(|view| view.closes) {
				Some(block) => {
					println!("channel {id} is closing: `gonka channel withdraw {id}` works from block {block} on")
				},
				None => println!("channel {id} is closing"),
			}
		}
	}
	Ok(())
}

async fn withdraw(chain: &Chain, several: Several) -> Result<()> {
	let key = keys::load(&several.key)?;
	let channels = chosen(chain, &several, &key, State::withdrawable).await?;
	for some in channels.chunks(MAX_CALLS) {
		chain.withdraw_channels(&key, &ids(some)).await?;
		for channel in some {
			println!("withdrew {} GNK from channel {}", gnk(remaining(channel)), channel.id);
		}
	}
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
		_ => {
			let hosts = chain.hosts().await?;
			let query = |host: HostView| async move { chain.channels_of_host(&host.account).await };
			let channels = stream::iter(hosts.into_iter().map(query)).buffer_unordered(MAX_QUERIES);
			channels.try_collect::<Vec<_>>().await?.into_iter().flatten().collect()
		},
	};
	channels.sort_by_key(|channel| channel.id);
	Ok(channels)
}

fn as_json(channels: &[ChannelView], best: u32) -> serde_json::Value {
	let channel = |channel: &ChannelView| {
		serde_json::json!({
			"channel": channel.id, "developer": keys::ss58(&channel.developer), "host": keys::ss58(&channel.host),
			"gateway": keys::ss58(&channel.gateway), "deposit": Amount(channel.deposit),
			"settled": Amount(channel.settled.fee), "remaining": Amount(remaining(channel)),
			"work": channel.settled.work, "requests": channel.settled.receipts,
			"withdrawable_from_block": channel.closes, "withdrawable": State::of(channel, best) == State::Closed,
		})
	};
	channels.iter().map(channel).collect()
}

fn text(channels: &[ChannelView], best: u32, block_time: u64) -> String {
	let mut table = table(&["channel", "developer", "host", "deposit", "settled", "remaining", "requests", "state"]);
	for channel in channels {
		table.add_row([
			channel.id.to_string(),
			short(&keys::ss58(&channel.developer)),
			short(&keys::ss58(&channel.host)),
			gnk(channel.deposit),
			gnk(channel.settled.fee),
			gnk(remaining(channel)),
			channel.settled.receipts.to_string(),
			match State::of(channel, best) {
				State::Open => "open".into(),
				State::Closing { left, block } => {
					format!("closing until block {block}, {}", duration(left, block_time))
				},
				State::Closed => format!("closed: `gonka channel withdraw {}`", channel.id),
			},
		]);
	}
	let none = if channels.is_empty() { "No channels.\n" } else { "" };
	format!("{table}\n{none}")
}

/// Deposited base units that are not settled.
fn remaining(channel: &ChannelView) -> Balance {
	channel.deposit.saturating_sub(channel.settled.fee)
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{GNK, market::Totals};

	fn channel(id: ChannelId, closes: Option<u32>) -> ChannelView {
		let settled = Totals { fee: GNK, work: 9, receipts: 2 };
		ChannelView { id, developer: [1; 32], host: [2; 32], gateway: [1; 32], deposit: 10 * GNK, settled, closes }
	}

	#[test]
	fn a_channel_says_what_can_be_done_with_it() {
		let all = [channel(0, None), channel(1, Some(640)), channel(2, Some(600))];
		let text = text(&all, 600, 6_000);
		for part in ["open", "closing until block 640, about 4 min", "closed: `gonka channel withdraw 2`"] {
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		let states = all.each_ref().map(|channel| State::of(channel, 600));
		assert_eq!(states.map(|state| state.closable(7).is_ok()), [true, false, false]);
		assert_eq!(states.map(|state| state.withdrawable(7).is_ok()), [false, false, true]);
		let error = |result: Result<()>| result.unwrap_err().to_string();
		assert!(error(states[2].closable(7)).contains("Run `gonka channel withdraw 7`"));
		assert!(error(states[0].withdrawable(7)).contains("Run `gonka channel close 7` first"));
		assert!(error(states[1].withdrawable(7)).contains("from block 640 on. Wait for 40 blocks"));
		let json = as_json(&all, 600);
		assert_eq!((&json[1]["withdrawable"], &json[2]["withdrawable"]), (&false.into(), &true.into()));
	}
}
