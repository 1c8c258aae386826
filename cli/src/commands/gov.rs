//! `gonka gov`.

pub mod funds;
pub mod parameters;
pub mod propose;
pub mod value;
pub mod view;

use super::{NodeArgument, checked, emit, emit_json, table, with_fees};
use crate::amount::{Amount, Count, gnk};
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use gonka_client::{
	chain::{Chain, Types, Vote},
	keys::{self, Address},
};
use gonka_primitives::{
	AccountId,
	views::{BallotView, ReferendumState, StanceView, TrackView, VoterView},
};
use serde_json::json;
use std::path::{Path, PathBuf};
use view::{Referendum, duration, tenths, track_name};

/// Arguments of `gonka gov`.
#[derive(Debug, clap::Args)]
#[command(
	after_help = "One unit of compute is one vote: an account votes with its vote weight in the epoch that was weighed last \
	before the referendum was opened. A vote costs a fee and locks no funds. docs/governance.md explains the tracks."
)]
pub struct Arguments {
	#[command(flatten)]
	node: NodeArgument,
	/// Print JSON, with shares in parts per billion. Amounts are decimal strings: `deposit` in base units, `deposit_gnk` in GNK.
	#[arg(long, global = true)]
	json: bool,
	#[command(subcommand)]
	command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
	/// List referenda, the newest first.
	#[command(after_help = "\
Examples:
  gonka gov list
  gonka gov list --all --limit 50")]
	List {
		/// Maximum number of referenda.
		#[arg(long, default_value_t = 20, value_name = "COUNT")]
		limit: usize,
		/// List only referenda with a lower index.
		#[arg(long, value_name = "INDEX")]
		before: Option<u32>,
		/// Include referenda that have ended.
		#[arg(long)]
		all: bool,
	},
	/// Show a referendum: its votes, thresholds, deposits, and what it would do.
	#[command(after_help = "\
Example:
  gonka gov show 3")]
	Show {
		/// Index of the referendum.
		index: u32,
	},
	/// List the tracks with their thresholds, times and deposits.
	#[command(after_help = "\
Example:
  gonka gov tracks")]
	Tracks,
	/// List the parameters with their meaning, values, bounds, and the changes that wait for the next epoch.
	#[command(after_help = "\
Examples:
  gonka gov parameters
  gonka gov parameters --json")]
	Parameters,
	/// Show an account's votes and delegations.
	#[command(after_help = "\
Example:
  gonka gov voter 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")]
	Voter {
		/// Address of the account.
		account: Address,
	},
	/// Submit a referendum, after a preview and a question.
	Propose(propose::Propose),
	/// Place the decision deposit of a referendum. Any account may; it is refunded at the end.
	#[command(after_help = "\
Example:
  gonka gov deposit 3 --key alice.key")]
	Deposit(Signed),
	/// Vote, or change a vote.
	#[command(after_help = "\
Example:
  gonka gov vote 3 aye --key alice.key")]
	Vote {
		/// Index of the referendum.
		index: u32,
		/// Vote.
		#[arg(value_enum)]
		vote: Choice,
		/// File with the voter's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
	},
	/// Remove a vote.
	#[command(after_help = "\
Example:
  gonka gov unvote 3 --key alice.key")]
	Unvote(Signed),
	/// Delegate an account's votes in a track to another account, open referenda included.
	#[command(after_help = "\
Example:
  gonka gov delegate models 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --key bob.key")]
	Delegate {
		/// Name or number of the track.
		track: String,
		/// Address of the account that votes.
		to: Address,
		/// File with the delegator's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
	},
	/// End a delegation.
	#[command(after_help = "\
Example:
  gonka gov undelegate models --key bob.key")]
	Undelegate {
		/// Name or number of the track.
		track: String,
		/// File with the delegator's secret.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
	},
	/// Refund the deposits of a referendum that has ended to the accounts that placed them.
	#[command(after_help = "\
Example:
  gonka gov refund 3 --key alice.key")]
	Refund(Signed),
	/// List the spends of the community fund that were approved.
	#[command(after_help = "\
Example:
  gonka gov spends")]
	Spends,
	/// Pay out approved spends of the community fund to their beneficiaries. Any account may.
	#[command(after_help = "\
Examples:
  gonka gov payout 0 --key alice.key
  gonka gov payout --all --key alice.key")]
	Payout(funds::Payout),
	/// Apply runtime code that a referendum has authorised. Any account may.
	#[command(after_help = "\
Example:
  gonka gov apply gonka_runtime.compact.compressed.wasm --key alice.key")]
	Apply {
		/// Runtime code: the file that the referendum was proposed with.
		wasm: PathBuf,
		/// File with the secret of the account that pays the fee.
		#[arg(long, value_name = "FILE")]
		key: PathBuf,
	},
}

#[derive(Debug, clap::Args)]
struct Signed {
	/// Index of the referendum.
	index: u32,
	/// File with the account's secret.
	#[arg(long, value_name = "FILE")]
	key: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Choice {
	/// In favour.
	Aye,
	/// Against.
	Nay,
	/// Neither. It counts towards support, not approval.
	Abstain,
}

/// Reads a runtime's code and compresses it as needed: uncompressed code is too large for the transactions of a block.
fn runtime_code(wasm: &Path) -> Result<Vec<u8>> {
	use sp_maybe_compressed_blob::{CODE_BLOB_BOMB_LIMIT as LIMIT, compress_weakly, decompress};
	let code = std::fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
	let plain = decompress(&code, LIMIT).with_context(|| format!("{} is not a runtime", wasm.display()))?;
	if !plain.starts_with(b"\0asm") {
		bail!(
			"{} is not a runtime: it is no WebAssembly; give a file such as gonka_runtime.compact.compressed.wasm",
			wasm.display()
		);
	}
	if plain.len() != code.len() {
		return Ok(code);
	}
	compress_weakly(&code, LIMIT).with_context(|| format!("{} is too large for a runtime", wasm.display()))
}

/// Runs `gonka gov`.
pub async fn run(arguments: Arguments) -> Result<()> {
	let chain = arguments.node.connect().await?;
	with_fees(&chain, command(&chain, arguments.command, arguments.json)).await
}

async fn command(chain: &Chain, command: Command, json: bool) -> Result<()> {
	match command {
		Command::List { limit, before, all } => list(chain, limit, before, all, json).await,
		Command::Show { index } => {
			let (shown, block_time) = show(chain, index).await?;
			if json { emit_json(&shown) } else { emit(&shown.text(block_time)) }
		},
		Command::Tracks => tracks(chain, json).await,
		Command::Parameters => parameters::run(chain, json).await,
		Command::Voter { account } => voter(chain, &account.account()?, json).await,
		Command::Propose(proposal) => propose::run(chain, proposal, json).await,
		Command::Deposit(Signed { index, key }) => {
			chain.place_decision_deposit(&keys::load(&key)?, index).await?;
			done(json, json!({ "referendum": index }), format!("placed the decision deposit of referendum {index}"))
		},
		Command::Vote { index, vote, key } => self::vote(chain, index, vote, &keys::load(&key)?, json).await,
		Command::Unvote(Signed { index, key }) => unvote(chain, index, &keys::load(&key)?, json).await,
		Command::Delegate { track, to, key } => {
			let (to, key) = (to.account()?, keys::load(&key)?);
			let tracks = chain.tracks().await?;
			let track = find(&tracks, &track)?;
			let from = keys::public(&key);
			let has_power = async || {
				let power = chain.voter(&from).await?.power;
				ensure!(power > 0, "nothing was sent: {} has no vote weight to delegate", keys::ss58(&from));
				Ok(())
			};
			checked(chain, has_power).await?;
			chain.delegate(&key, track.id, &to).await?;
			let (to, track) = (keys::ss58(&to), track_name(&tracks, track.id));
			done(json, json!({ "track": track, "to": to }), format!("delegated to {to} in the track {track}"))
		},
		Command::Undelegate { track, key } => {
			let tracks = chain.tracks().await?;
			let track = find(&tracks, &track)?.id;
			chain.undelegate(&keys::load(&key)?, track).await?;
			let track = track_name(&tracks, track);
			done(json, json!({ "track": track }), format!("ended the delegation in the track {track}"))
		},
		Command::Refund(Signed { index, key }) => refund(chain, index, &keys::load(&key)?, json).await,
		Command::Spends => funds::list(chain, json).await,
		Command::Payout(payout) => funds::pay_out(chain, payout, json).await,
		Command::Apply { wasm, key } => {
			let code = runtime_code(&wasm)?;
			chain.apply_upgrade(&keys::load(&key)?, &code).await?;
			done(json, json!({ "applied": true }), "the runtime is upgraded from the next block on".into())
		},
	}
}

async fn list(chain: &Chain, limit: usize, before: Option<u32>, all: bool, json: bool) -> Result<()> {
	// Referenda that have ended are filtered here, so their number is unknown to the query.
	let (views, tracks, best) =
		tokio::try_join!(chain.referenda(before, if all { limit } else { usize::MAX }), chain.tracks(), chain.best())?;
	let read = |view| Referendum::new(view, &tracks, best.number);
	let is_shown = |one: &Referendum| all || one.tally.is_some() || one.left.is_some();
	let shown: Vec<_> = views.iter().map(read).filter(is_shown).take(limit).collect();
	if json {
		return emit_json(&shown);
	}
	let block_time = chain.types().await?.block_time();
	let mut table = table(&["", "track", "state", "approval", "support", "time left"]);
	for one in &shown {
		table.add_row(one.row(block_time));
	}
	let none = if shown.is_empty() { "No referendum is open. --all lists those that have ended.\n" } else { "" };
	emit(&format!("{table}\n{none}"))
}

/// Queries a referendum with its call, and the time between blocks in milliseconds.
async fn show(chain: &Chain, index: u32) -> Result<(Referendum, u64)> {
	let (view, tracks, best, types) =
		tokio::try_join!(chain.referendum(index), chain.tracks(), chain.best(), chain.types())?;
	let view = view.with_context(|| format!("there is no referendum {index}: `gonka gov list --all` lists them"))?;
	let mut shown = Referendum::new(&view, &tracks, best.number);
	// The chain keeps no more than the outcome of a referendum that has ended. The state before its end has all of it.
	let mut proposal = view.proposal;
	if let Some(at) = ended(view.state) {
		match chain.referendum_at(index, at.saturating_sub(1)).await? {
			Some(before) => {
				shown.complete(Referendum::new(&before, &tracks, best.number));
				proposal = proposal.or(before.proposal);
			},
			None => shown.lost = Some(at),
		}
	}
	if let Some(call) = proposal.as_ref().and_then(|proposal| proposal.call.as_deref()) {
		let track = view.ongoing.as_ref().map(|open| open.track);
		match describe(chain, &types, track, call).await {
			Ok(Described { call, meaning, fails }) => {
				(shown.call, shown.meaning, shown.fails) = (Some(call), meaning, fails);
			},
			// Another runtime may have decided it.
			Err(_) if view.ongoing.is_none() => {},
			Err(error) => return Err(error),
		}
	}
	Ok((shown, types.block_time()))
}

/// The block in which a referendum ended.
fn ended(state: ReferendumState) -> Option<u32> {
	match state {
		ReferendumState::Approved { at, .. }
		| ReferendumState::Rejected { at }
		| ReferendumState::Cancelled { at }
		| ReferendumState::TimedOut { at }
		| ReferendumState::Killed { at } => Some(at),
		_ => None,
	}
}

/// A call: decoded, explained, and rehearsed.
pub(super) struct Described {
	call: gonka_client::chain::Shown,
	meaning: Option<String>,
	fails: Option<String>,
}

async fn describe(chain: &Chain, types: &Types, track: Option<u16>, bytes: &[u8]) -> Result<Described> {
	let call = types.call(bytes).map_err(|why| anyhow!("these bytes are not a call of this runtime: {why}"))?;
	let (parameters, models) = tokio::try_join!(chain.parameters(), chain.models())?;
	let meaning = view::meaning(&call, bytes, types, &parameters, &models);
	let rehearsed = match track {
		Some(track) => chain.dry_run(track, bytes).await?,
		None => Ok(()),
	};
	Ok(Described { call, meaning, fails: rehearsed.err().map(|error| types.error(&error)) })
}

async fn tracks(chain: &Chain, json: bool) -> Result<()> {
	let tracks = chain.tracks().await?;
	if json {
		let one = |track: &TrackView| {
			json!({
				"id": track.id, "name": String::from_utf8_lossy(&track.name), "max_deciding": track.max_deciding,
				"submission_deposit": Amount(track.submission_deposit),
				"decision_deposit": Amount(track.decision_deposit),
				"prepare": track.prepare, "decision": track.decision, "confirm": track.confirm,
				"enactment": track.enactment, "timeout": track.timeout, "approval": [track.approval.0, track.approval.1],
				"support": [track.support.0, track.support.1],
			})
		};
		return emit_json(&tracks.iter().map(one).collect::<Vec<_>>());
	}
	emit(&tracks_text(&tracks, chain.types().await?.block_time()))
}

fn tracks_text(tracks: &[TrackView], block_time: u64) -> String {
	let mut table = table(&["", "track", "approval", "support", "deposit", "prepare", "decide", "confirm", "enact"]);
	for track in tracks {
		let falling = |(first, last)| format!("{}–{}", tenths(first), tenths(last));
		let time = |blocks| duration(blocks, block_time).replace("about ", "");
		table.add_row([
			track.id.to_string(),
			track_name(tracks, track.id),
			falling(track.approval),
			falling(track.support),
			format!("{} GNK", gnk(track.decision_deposit)),
			time(track.prepare),
			time(track.decision),
			time(track.confirm),
			time(track.enactment),
		]);
	}
	format!("{table}\n")
}

async fn voter(chain: &Chain, account: &AccountId, json: bool) -> Result<()> {
	let (voter, tracks) = tokio::try_join!(chain.voter(account), chain.tracks())?;
	let ballot = |ballot: &BallotView| match ballot {
		BallotView::Aye => "aye".to_owned(),
		BallotView::Nay => "nay".to_owned(),
		BallotView::Split { aye: 0, nay: 0, .. } => "abstain".to_owned(),
		BallotView::Split { aye, nay, abstain } => format!("aye : nay : abstain = {aye} : {nay} : {abstain}"),
	};
	if json {
		let stances = voter.tracks.iter().map(|stance| {
			let ballots = stance.ballots.iter().map(|(poll, vote)| json!({ "referendum": poll, "vote": ballot(vote) }));
			json!({
				"track": track_name(&tracks, stance.track),
				"delegate": stance.delegate.as_ref().map(keys::ss58),
				"delegators": stance.delegators.iter().map(keys::ss58).collect::<Vec<_>>(),
				"votes": ballots.collect::<Vec<_>>(),
			})
		});
		return emit_json(
			&json!({ "account": keys::ss58(account), "power": Count(voter.power), "tracks": stances.collect::<Vec<_>>() }),
		);
	}
	let mut out = format!("{} votes in a referendum opened now\n", voter.power);
	for stance in &voter.tracks {
		out.push_str(&format!("track {}\n", track_name(&tracks, stance.track)));
		if let Some(to) = &stance.delegate {
			out.push_str(&format!("  delegates to {}\n", keys::ss58(to)));
		}
		for (poll, vote) in &stance.ballots {
			out.push_str(&format!("  referendum {poll}: {}\n", ballot(vote)));
		}
		for from in &stance.delegators {
			out.push_str(&format!("  also casts the votes of {}\n", keys::ss58(from)));
		}
	}
	emit(&out)
}

async fn vote(chain: &Chain, index: u32, choice: Choice, key: &keys::Keypair, json: bool) -> Result<()> {
	let account = keys::public(key);
	let may_vote = async || {
		let (votes, view, voter) =
			tokio::try_join!(chain.votes(index, &account), chain.referendum(index), chain.voter(&account))?;
		let open = votes.zip(view.and_then(|view| view.ongoing));
		let (votes, ongoing) = open.with_context(|| {
			format!("nothing was sent: referendum {index} is not open. `gonka gov list` lists those that are")
		})?;
		can_vote(&keys::ss58(&account), index, ongoing.track, votes, &voter)
	};
	checked(chain, may_vote).await?;
	let vote = match choice {
		Choice::Aye => Vote::Aye,
		Choice::Nay => Vote::Nay,
		Choice::Abstain => Vote::Abstain,
	};
	chain.vote(key, index, vote).await?;
	let votes = chain.votes(index, &account).await?.unwrap_or_default();
	let choice = format!("{choice:?}").to_lowercase();
	done(
		json,
		json!({ "referendum": index, "vote": choice, "votes": Count(votes) }),
		format!("voted {choice} in referendum {index} with {votes} votes, and with those of delegators"),
	)
}

/// Checks that a vote of the account `address` in a referendum counts: it has votes itself, or those of delegators in the track.
fn can_vote(address: &str, referendum: u32, track: u16, votes: u128, voter: &VoterView) -> Result<()> {
	let stance = voter.tracks.iter().find(|stance| stance.track == track);
	if let Some(to) = stance.and_then(|stance| stance.delegate.as_ref()) {
		bail!(
			"nothing was sent: {address} delegates its votes in this track to {}. `gonka gov undelegate {track}` ends that",
			keys::ss58(to)
		);
	}
	ensure!(
		votes > 0 || stance.is_some_and(|stance| !stance.delegators.is_empty()),
		"nothing was sent: {address} has no votes in referendum {referendum}. Votes are the vote weights of hosts in the epoch that \
		 had been weighed last when the referendum was opened"
	);
	Ok(())
}

async fn unvote(chain: &Chain, index: u32, key: &keys::Keypair, json: bool) -> Result<()> {
	let voter = chain.voter(&keys::public(key)).await?;
	let voted = |stance: &&StanceView| stance.ballots.iter().any(|(poll, _)| *poll == index);
	let track = voter.tracks.iter().find(voted).map(|stance| stance.track);
	chain.remove_vote(key, track, index).await?;
	done(json, json!({ "referendum": index }), format!("removed the vote in referendum {index}"))
}

async fn refund(chain: &Chain, index: u32, key: &keys::Keypair, json: bool) -> Result<()> {
	let view = chain
		.referendum(index)
		.await?
		.with_context(|| format!("there is no referendum {index}: `gonka gov list --all` lists them"))?;
	let decision = view.decision_deposit.filter(|deposit| deposit.refundable);
	let submission = view.submission_deposit.filter(|deposit| deposit.refundable);
	let (of_decision, of_submission) = (decision.is_some(), submission.is_some());
	let paid: Vec<_> = decision.into_iter().chain(submission).collect();
	if paid.is_empty() {
		bail!(
			"referendum {index} has no deposit to refund: it is still open, its deposits were refunded, or it was killed. \
			 The submission deposit of a referendum that is rejected or times out is lost"
		);
	}
	chain.refund_deposits(key, index, of_decision, of_submission).await?;
	let one = |deposit: &gonka_primitives::views::DepositView| json!({ "to": keys::ss58(&deposit.who), "amount": Amount(deposit.amount) });
	let lines =
		paid.iter().map(|deposit| format!("refunded {} GNK to {}", gnk(deposit.amount), keys::ss58(&deposit.who)));
	let lines = lines.collect::<Vec<_>>().join("\n");
	done(json, json!({ "referendum": index, "paid": paid.iter().map(one).collect::<Vec<_>>() }), lines)
}

/// Finds a track by its name or number.
fn find<'a>(tracks: &'a [TrackView], text: &str) -> Result<&'a TrackView> {
	let found = tracks.iter().find(|track| track.name == text.as_bytes() || track.id.to_string() == text);
	let names = || tracks.iter().map(|track| track_name(tracks, track.id)).collect::<Vec<_>>().join(", ");
	found.with_context(|| format!("there is no track `{text}`. Tracks: {}", names()))
}

/// Prints the outcome of a command, as JSON or as text.
fn done(json: bool, value: serde_json::Value, text: String) -> Result<()> {
	if json { emit_json(&value) } else { emit(&format!("{text}\n")) }
}

#[cfg(test)]
mod tests {
	use super::*;
	use clap::{CommandFactory, Parser};

	#[derive(Debug, Parser)]
	struct Program {
		#[command(flatten)]
		arguments: Arguments,
	}

	#[test]
	fn command_lines_are_parsed() {
		Program::command().debug_assert();
		let to = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
		for line in [
			"gov list --all --json".to_owned(),
			"gov vote 3 abstain --key file".into(),
			format!("gov delegate models {to} --key file"),
			"gov propose parameter Collateral.BaseShare 25% --key file --deposit --yes".into(),
			format!("gov propose --key file spend 100 {to}"),
			"gov propose call 0x0000 --track emergency --key file --after 20".into(),
			"gov propose pause InferenceMarket.settle --key file".into(),
			"gov propose resume InferenceMarket.settle --key file".into(),
			"gov propose cancel 3 --key file".into(),
			"gov propose kill 3 --key file --deposit".into(),
			"gov propose end-stall --delay 100 --key file".into(),
			"gov propose retire-model M --key file".into(),
			"gov propose calibration-profile M profile.json --key file".into(),
			format!(
				"gov propose model M --weights-hash {hash} --tokenizer-hash {hash} --quantisation F16 --context 8192 --price 10,20 \
				 --memory 300",
				hash = "00".repeat(32)
			),
			"gov apply code.wasm --key file".into(),
			"gov payout 3 4 --key file".into(),
			"gov payout --all --key file --json".into(),
			"gov propose retire-model M".into(),
		] {
			Program::try_parse_from(line.split(' ')).unwrap();
		}
		for line in ["gov vote 3 yes --key file", "gov vote 3 aye", "gov propose spend ten x", "gov show"] {
			assert!(Program::try_parse_from(line.split(' ')).is_err(), "{line}");
		}
	}

	#[test]
	fn a_track_is_found_by_name_and_by_number() {
		let track = propose::tests::track();
		let tracks = [track.clone()];
		assert_eq!(find(&tracks, "parameters").unwrap(), &track);
		assert_eq!(find(&tracks, "1").unwrap(), &track);
		let error = find(&tracks, "root").unwrap_err().to_string();
		assert_eq!(error, "there is no track `root`. Tracks: parameters");
	}

	#[test]
	fn the_table_of_tracks_shows_thresholds_and_times() {
		let text = tracks_text(&[propose::tests::track()], 6_000);
		for part in ["parameters", "80 %–60 %", "40 %–15 %", "1,000 GNK", "24 h", "7 days"] {
			assert!(text.contains(part), "{part} in {text}");
		}
	}

	#[test]
	fn a_vote_without_power_is_rejected_before_it_costs_a_fee() {
		let stance = |track, delegators| StanceView { track, delegate: None, delegators, ballots: Vec::new() };
		let voter = |power, tracks| VoterView { power, tracks };
		assert!(can_vote("5G", 3, 1, 5, &voter(0, Vec::new())).is_ok());
		// A delegate casts the votes of others.
		assert!(can_vote("5G", 3, 1, 0, &voter(0, vec![stance(1, vec![[7; 32]])])).is_ok());
		for tracks in [Vec::new(), vec![stance(1, Vec::new())], vec![stance(2, vec![[7; 32]])]] {
			let error = can_vote("5G", 3, 1, 0, &voter(9, tracks)).unwrap_err().to_string();
			assert!(error.starts_with("nothing was sent: 5G has no votes in referendum 3"), "{error}");
		}
		let delegating = StanceView { delegate: Some([7; 32]), ..stance(1, Vec::new()) };
		let error = can_vote("5G", 3, 1, 5, &voter(9, vec![delegating])).unwrap_err().to_string();
		assert!(error.contains("delegates") && error.contains("gonka gov undelegate"), "{error}");
	}
}
