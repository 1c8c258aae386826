//! `gonka gov propose`.

use super::{Described, describe, done, find, value, view::duration};
use crate::{
	amount::{gnk, parse_gnk},
	commands::account,
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use gonka_client::{
	chain::{Chain, LONGEST_INLINE, NewModel, Types},
	keys,
};
use gonka_primitives::{
	AccountId, Balance, Hash, ModelId,
	market::Price,
	sampling::Profile,
	views::{EnactmentView, TrackView},
};
use serde_json::json;
use std::{
	fmt::Write as _,
	fs,
	io::{self, BufRead, IsTerminal, Write},
	path::PathBuf,
};

/// Arguments of `gonka gov propose`.
#[derive(Debug, clap::Args)]
pub struct Propose {
	#[command(subcommand)]
	what: What,
	/// File with the secret of who submits, and pays the deposits.
	#[arg(long, value_name = "FILE", global = true, required = false)]
	key: Option<PathBuf>,
	/// Place the decision's deposit, too: without one nothing is decided.
	#[arg(long, global = true)]
	deposit: bool,
	/// Blocks from the approval to the enactment, if that is more than the track asks for.
	#[arg(long, value_name = "BLOCKS", default_value_t = 0, global = true)]
	after: u32,
	/// Do not ask.
	#[arg(long, global = true)]
	yes: bool,
	/// Propose also what would fail if it was enacted now.
	#[arg(long, global = true)]
	anyway: bool,
}

#[derive(Debug, Subcommand)]
enum What {
	/// Change a parameter: `gonka gov parameters` lists them, docs/governance.md has their bounds.
	Parameter {
		/// Its name, such as `Collateral.BaseShare`.
		name: String,
		/// 12.5% for a share, 0.1GNK for an amount, a number, JSON for what has parts, or `default`.
		value: String,
	},
	/// Authorise runtime code by its hash. When that is enacted, `gonka gov apply` sends the code itself.
	Upgrade {
		/// The code, as it was built: `gonka_runtime.compact.compressed.wasm`. It is compressed if it is not yet.
		wasm: PathBuf,
	},
	/// Spend of the community fund. `treasury.payout` then pays it out.
	Spend {
		/// How much, in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// Who gets it.
		#[arg(value_parser = account)]
		beneficiary: AccountId,
	},
	/// Register a model.
	Model(Box<Model>),
	/// Register the calibration profile of a model: its answers are sampled from then on.
	Profile {
		/// The model's name.
		name: String,
		/// The profile in JSON.
		file: PathBuf,
	},
	/// Retire a model: hosts can declare it no more.
	RetireModel {
		/// Its name.
		name: String,
	},
	/// Propose any call, in the track that may make it.
	Call {
		/// The call's SCALE bytes in hex, as polkadot.js Apps shows them.
		call: String,
		/// The track, by name or number.
		#[arg(long)]
		track: String,
	},
}

#[derive(Debug, clap::Args)]
struct Model {
	/// Its name, as developers ask for it.
	name: String,
	/// SHA-256 of the weights' file.
	#[arg(long, value_parser = hash, value_name = "HEX")]
	weights_hash: Hash,
	/// How the weights are stored, such as Q4_K_M.
	#[arg(long)]
	quantisation: String,
	/// Tokens of prompt and answer together.
	#[arg(long, value_name = "TOKENS")]
	context: u32,
	/// Base units (10⁻⁹ GNK) per prompt token and per completion token.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT")]
	price: Price,
	/// The least price.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT", default_value = "1,1")]
	min_price: Price,
	/// The greatest price.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT", default_value = "18446744073709551615,18446744073709551615")]
	max_price: Price,
	/// Work units of a window at full use, by which the price moves; with 0 it does not.
	#[arg(long, default_value_t = 0, value_name = "UNITS")]
	capacity: u64,
	/// Memory that serving it needs, in MB (10⁶ bytes).
	#[arg(long, value_name = "MB")]
	memory: u32,
	/// The oldest worker that serves it right.
	#[arg(long, value_parser = value::version, value_name = "VERSION", default_value = "0.0.0")]
	min_worker_version: u32,
}

/// Runs `gonka gov propose`.
pub async fn run(chain: &Chain, arguments: Propose, json: bool) -> Result<()> {
	let key = keys::load(arguments.key.context("--key is needed: the file with the secret of who submits")?)?;
	let (tracks, types) = tokio::try_join!(chain.tracks(), chain.types())?;
	let (track, call) = proposal(chain, &types, arguments.what).await?;
	let track = find(&tracks, &track)?;
	let described = describe(chain, &types, Some(track.id), &call).await?;
	let text = preview(track, &call, &described, arguments.deposit, types.block_time());
	// With JSON, what is read by a program stays alone.
	if json {
		eprint!("{text}")
	} else {
		print!("{text}")
	}
	if let (Some(why), false) = (&described.fails, arguments.anyway) {
		bail!("enacted now it would fail: {why}; --anyway proposes it all the same");
	}
	if !arguments.yes && !confirmed()? {
		bail!("nothing was submitted");
	}
	let index = chain.propose(&key, track, &call, EnactmentView::After(arguments.after)).await?;
	if arguments.deposit {
		chain
			.place_decision_deposit(&key, index)
			.await
			.with_context(|| format!("referendum {index} is submitted, but its decision's deposit was not placed"))?;
	}
	let deposit = if arguments.deposit { "" } else { "; `gonka gov deposit` starts its decision" };
	done(
		json,
		json!({ "referendum": index, "deposit": arguments.deposit }),
		format!("submitted referendum {index}{deposit}"),
	)
}

/// The track and the call.
async fn proposal(chain: &Chain, types: &Types, what: What) -> Result<(String, Vec<u8>)> {
	Ok(match what {
		What::Parameter { name, value } => {
			let kind = types.kind(&name).with_context(|| {
				format!(
					"there is no parameter `{name}`; `gonka gov parameters` lists them, such as Collateral.BaseShare"
				)
			})?;
			("parameters".into(), types.amend(&name, value::parse(kind, &value)?)?)
		},
		What::Upgrade { wasm } => {
			let code = super::runtime_code(&wasm)?;
			("upgrade".into(), types.authorize_upgrade(&code)?)
		},
		What::Spend { amount, beneficiary } => ("treasury".into(), types.spend(amount, &beneficiary)?),
		What::Model(model) => {
			let Model {
				name, weights_hash, quantisation, context, price, capacity, memory, min_worker_version, ..
			} = *model;
			let model = NewModel {
				name,
				weights_hash,
				quantisation,
				context_length: context,
				price,
				bounds: (model.min_price, model.max_price),
				capacity,
				memory_mb: memory,
				min_worker_version,
			};
			("models".into(), types.register_model(&model)?)
		},
		What::RetireModel { name } => ("models".into(), types.retire_model(registered(chain, &name).await?)?),
		What::Profile { name, file } => {
			let json = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
			let profile: Profile =
				serde_json::from_slice(&json).with_context(|| format!("{} is no profile", file.display()))?;
			("models".into(), types.set_profile(registered(chain, &name).await?, &profile)?)
		},
		What::Call { call, track } => {
			let bytes = hex::decode(call.strip_prefix("0x").unwrap_or(&call));
			(track, bytes.map_err(|error| anyhow!("the call is not hex: {error}"))?)
		},
	})
}

/// The id of a registered model.
async fn registered(chain: &Chain, name: &str) -> Result<ModelId> {
	let models = chain.models().await?;
	let model = models.iter().find(|model| model.name == name.as_bytes());
	Ok(model.with_context(|| format!("no model `{name}` is registered; `gonka status` shows those that are"))?.id)
}

/// What is going to be submitted, in words.
fn preview(track: &TrackView, call: &[u8], described: &Described, deposit: bool, block_time: u64) -> String {
	let mut out = String::new();
	let mut line = |name: &str, text: String| {
		let _ = writeln!(out, "{name:<12} {text}");
	};
	let time = |blocks| format!("{blocks} blocks, {}", duration(blocks, block_time));
	line("track", String::from_utf8_lossy(&track.name).into_owned());
	line("call", described.call.text());
	if let Some(meaning) = &described.meaning {
		line("it", meaning.clone());
	}
	if let Some(fails) = &described.fails {
		line("enacted now", format!("it would fail: {fails}"));
	}
	let back = "back if it is approved or cancelled";
	line("deposit", format!("{} GNK for the submission, {back}", gnk(track.submission_deposit)));
	let later = if deposit { "" } else { ", not placed now" };
	line("deposit", format!("{} GNK for the decision, back at the end{later}", gnk(track.decision_deposit)));
	if call.len() > LONGEST_INLINE {
		line("deposit", format!("for the preimage of {} bytes, back by `preimage.unnotePreimage`", call.len()));
	}
	line("preparation", time(track.prepare));
	line("decision", format!("at most {}", time(track.decision)));
	line("confirmation", time(track.confirm));
	line("enactment", format!("{} after the approval", time(track.enactment)));
	out
}

/// Asks at the terminal.
fn confirmed() -> Result<bool> {
	if !io::stdin().is_terminal() {
		bail!("nothing was submitted: there is no terminal to ask at; --yes submits without asking");
	}
	eprint!("submit this? [y/N] ");
	io::stderr().flush()?;
	let mut answer = String::new();
	io::stdin().lock().read_line(&mut answer)?;
	Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// 64 hex digits.
fn hash(text: &str) -> Result<Hash, String> {
	let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|error| error.to_string())?;
	bytes.try_into().map_err(|_| "it is not 32 bytes long".into())
}

/// Two prices, in base units per token.
fn price(text: &str) -> Result<Price, String> {
	let bad = || format!("`{text}` is no price: write for example 10,20");
	let (input, output) = text.split_once(',').ok_or_else(bad)?;
	let number = |text: &str| text.trim().parse().map_err(|_| bad());
	Ok(Price { input: number(input)?, output: number(output)? })
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use gonka_client::chain::Shown;
	use gonka_primitives::GNK;

	pub fn track() -> TrackView {
		TrackView {
			id: 1,
			name: b"parameters".to_vec(),
			origin: Vec::new(),
			max_deciding: 5,
			submission_deposit: 10 * GNK,
			decision_deposit: 1_000 * GNK,
			prepare: 14_400,
			decision: 100_800,
			confirm: 7_200,
			enactment: 600,
			timeout: 201_600,
			approval: (800_000_000, 600_000_000),
			support: (400_000_000, 150_000_000),
		}
	}

	#[test]
	fn a_preview_says_what_it_does_and_costs() {
		let described = Described {
			call: Shown::Call("System.remark".into(), vec![("remark".into(), Shown::Text("\"hi\"".into()))]),
			meaning: Some("says hi".into()),
			fails: Some("BadOrigin".into()),
		};
		let expected = "\
track        parameters
call         System.remark(remark: \"hi\")
it           says hi
enacted now  it would fail: BadOrigin
deposit      10 GNK for the submission, back if it is approved or cancelled
deposit      1,000 GNK for the decision, back at the end, not placed now
deposit      for the preimage of 129 bytes, back by `preimage.unnotePreimage`
preparation  14400 blocks, about 24 h
decision     at most 100800 blocks, about 7 days
confirmation 7200 blocks, about 12 h
enactment    600 blocks, about 60 min after the approval
";
		assert_eq!(preview(&track(), &[0; 129], &described, false, 6_000), expected);
		let short = preview(&track(), &[0; 128], &described, true, 6_000);
		assert!(!short.contains("preimage") && !short.contains("not placed now"), "{short}");
	}

	#[test]
	fn prices_and_hashes_are_read() {
		assert_eq!(price("10,20"), Ok(Price { input: 10, output: 20 }));
		assert!(price("10").is_err() && price("a,b").is_err() && price("1,-2").is_err());
		assert_eq!(hash(&"0a".repeat(32)), Ok([10; 32]));
		assert!(hash("0x00").is_err());
	}
}
