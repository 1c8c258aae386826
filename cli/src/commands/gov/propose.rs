//! `gonka gov propose`.

use super::{Described, describe, done, find, value, view::duration};
use crate::{
	amount::{gnk, parse_gnk},
	commands::confirmed,
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use gonka_client::{
	chain::{Chain, MAX_INLINE, NewModel, ProposalCost, Types},
	keys::{self, Address},
};
use gonka_primitives::{
	Balance, Hash, ModelId,
	audit::CalibrationProfile,
	market::Price,
	views::{EnactmentView, TrackView},
};
use serde_json::json;
use std::{fmt::Write, fs, path::PathBuf};

/// Arguments of `gonka gov propose`.
#[derive(Debug, clap::Args)]
pub struct Propose {
	#[command(subcommand)]
	what: What,
	/// File with the secret of the account that submits the referendum and pays the deposits. Without it, there is a preview
	/// only.
	#[arg(long, value_name = "FILE", global = true, required = false)]
	key: Option<PathBuf>,
	/// Place the decision deposit too. A referendum without one is never decided.
	#[arg(long, global = true)]
	deposit: bool,
	/// Number of blocks from the approval to the enactment, if it exceeds the track's minimum.
	#[arg(long, value_name = "BLOCKS", default_value_t = 0, global = true)]
	after: u32,
	/// Submit without asking.
	#[arg(long, global = true)]
	yes: bool,
	/// Submit even if the proposal would fail if it were enacted now.
	#[arg(long, global = true)]
	anyway: bool,
}

#[derive(Debug, Subcommand)]
enum What {
	/// Change a parameter. `gonka gov parameters` lists them.
	#[command(after_help = "\
Examples:
  gonka gov propose parameter Collateral.BaseShare 25% --key alice.key --deposit
  gonka gov propose parameter Worker.MinVersion '{\"version\":2000,\"from\":90000}' --key alice.key")]
	Parameter {
		/// Name of the parameter, such as `Collateral.BaseShare`.
		name: String,
		/// New value: 12.5% for a share, 0.1GNK for an amount, a number, JSON for a structure, or `default`.
		value: String,
	},
	/// Authorise runtime code by its hash. After the enactment `gonka gov apply` submits the code.
	#[command(after_help = "\
Example:
  gonka gov propose upgrade gonka_runtime.compact.compressed.wasm --key alice.key --deposit")]
	Upgrade {
		/// Runtime code, such as `gonka_runtime.compact.compressed.wasm`. It is compressed if it is not yet.
		wasm: PathBuf,
	},
	/// Spend from the community fund. After the enactment `gonka gov payout` pays the amount.
	#[command(after_help = "\
Example:
  gonka gov propose spend 5000 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY --key alice.key")]
	Spend {
		/// Amount in GNK.
		#[arg(value_parser = parse_gnk)]
		amount: Balance,
		/// Address of the account that receives it.
		beneficiary: Address,
	},
	/// Register a model.
	#[command(after_help = "\
Example:
  gonka gov propose model Qwen3-8B --quantisation Q4_K_M --context 8192 --price 10,20 \\
    --weights-hash 0x0000000000000000000000000000000000000000000000000000000000000000 \\
    --tokenizer-hash 0x0000000000000000000000000000000000000000000000000000000000000000 \\
    --memory 6000 --key alice.key")]
	Model(Box<Model>),
	/// Register a model's calibration profile. From then on its completions are audited.
	#[command(after_help = "\
Example:
  gonka gov propose calibration-profile SmolLM2-135M-Instruct profile.json --key alice.key")]
	CalibrationProfile {
		/// Name of the model.
		name: String,
		/// JSON file with the profile.
		file: PathBuf,
	},
	/// Retire a model: hosts can no longer declare it.
	#[command(after_help = "\
Example:
  gonka gov propose retire-model SmolLM2-135M-Instruct --key alice.key")]
	RetireModel {
		/// Name of the model.
		name: String,
	},
	/// Pause a call that moves money, as `Pallet.call`, for everybody (emergency track).
	#[command(after_help = "\
Example:
  gonka gov propose pause InferenceMarket.settle --key alice.key --deposit")]
	Pause {
		/// Name of the call, such as `InferenceMarket.settle`.
		call: String,
	},
	/// Resume a paused call (emergency track).
	#[command(after_help = "\
Example:
  gonka gov propose resume InferenceMarket.settle --key alice.key --deposit")]
	Resume {
		/// Name of the call, such as `InferenceMarket.settle`.
		call: String,
	},
	/// Cancel a referendum and refund its deposits (emergency track).
	#[command(after_help = "\
Example:
  gonka gov propose cancel 3 --key alice.key --deposit")]
	Cancel {
		/// Index of the referendum.
		index: u32,
	},
	/// Kill a referendum: its deposits go to the community fund (emergency track).
	#[command(after_help = "\
Example:
  gonka gov propose kill 3 --key alice.key --deposit")]
	Kill {
		/// Index of the referendum.
		index: u32,
	},
	/// End a stall of finality: the validators of the next session take over (emergency track).
	#[command(after_help = "\
Example:
  gonka gov propose end-stall --delay 100 --key alice.key --deposit")]
	EndStall {
		/// Number of blocks until they take over, more than the chain can be expected to fork.
		#[arg(long, value_name = "BLOCKS")]
		delay: u32,
		/// The last finalised block. Default: that of the node.
		#[arg(long, value_name = "BLOCK")]
		finalized: Option<u32>,
	},
	/// Propose any call, in a track that may make it.
	#[command(after_help = "\
Example:
  gonka gov propose call 0x00000c68656c6c6f --track emergency --key alice.key")]
	Call {
		/// SCALE bytes of the call in hex, as polkadot.js Apps shows them.
		call: String,
		/// Name or number of the track.
		#[arg(long)]
		track: String,
	},
}

#[derive(Debug, clap::Args)]
struct Model {
	/// Name that developers request the model by.
	name: String,
	/// SHA-256 of the weights file.
	#[arg(long, value_parser = hash, value_name = "HEX")]
	weights_hash: Hash,
	/// SHA-256 of the tokenizer file, as `gonka-worker tokenizer` prints it.
	#[arg(long, value_parser = hash, value_name = "HEX")]
	tokenizer_hash: Hash,
	/// Quantisation of the weights, such as Q4_K_M.
	#[arg(long)]
	quantisation: String,
	/// Maximum number of prompt and completion tokens together.
	#[arg(long, value_name = "TOKENS")]
	context: u32,
	/// Initial price in base units (10⁻⁹ GNK) per prompt token and per completion token.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT")]
	price: Price,
	/// Minimum price.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT", default_value = "1,1")]
	min_price: Price,
	/// Maximum price.
	#[arg(long, value_parser = price, value_name = "INPUT,OUTPUT", default_value = "18446744073709551615,18446744073709551615")]
	max_price: Price,
	/// Work units of a window at full use, by which the price moves. 0 keeps the price.
	#[arg(long, default_value_t = 0, value_name = "UNITS")]
	capacity: u64,
	/// Memory that a host needs to serve it, in MB (10⁶ bytes).
	#[arg(long, value_name = "MB")]
	memory: u32,
	/// Oldest worker version that serves it correctly.
	#[arg(long, value_parser = value::version, value_name = "VERSION", default_value = "0.0.0")]
	min_worker_version: u32,
}

/// Runs `gonka gov propose`.
pub async fn run(chain: &Chain, arguments: Propose, json: bool) -> Result<()> {
	let (tracks, types) = tokio::try_join!(chain.tracks(), chain.types())?;
	let (track, call) = proposal(chain, &types, arguments.what).await?;
	let track = find(&tracks, &track)?;
	let described = describe(chain, &types, Some(track.id), &call).await?;
	let text = preview(track, &call, &described, arguments.deposit, types.block_time());
	// With --json, standard output carries nothing but the JSON.
	if json {
		eprint!("{text}")
	} else {
		print!("{text}")
	}
	if let (Some(why), false) = (&described.fails, arguments.anyway) {
		bail!("the proposal would fail if it were enacted now: {why}. --anyway submits it nevertheless");
	}
	let Some(key) = arguments.key else {
		bail!("nothing was sent: --key <FILE>, the secret of the account that submits the referendum, is missing");
	};
	let key = keys::load(key)?;
	let enactment = EnactmentView::After(arguments.after);
	let cost = chain.proposal_cost(&key, track, &call, enactment, arguments.deposit).await?;
	let spendable = chain.spendable(&keys::public(&key)).await?;
	if let Some(missing) = shortage(&cost, spendable) {
		bail!("nothing was sent: {missing}");
	}
	if !arguments.yes && !confirmed("Submit this referendum?")? {
		bail!("nothing was sent");
	}
	let index = chain.propose(&key, track, &call, enactment).await?;
	if arguments.deposit {
		chain.place_decision_deposit(&key, index).await.with_context(|| unplaced(index, track.timeout))?;
	}
	let deposit = if arguments.deposit { "" } else { "; place the decision deposit with `gonka gov deposit`" };
	done(
		json,
		json!({ "referendum": index, "deposit": arguments.deposit }),
		format!("submitted referendum {index}{deposit}"),
	)
}

/// Builds the call of a proposal; returns it with the name of its track.
async fn proposal(chain: &Chain, types: &Types, what: What) -> Result<(String, Vec<u8>)> {
	Ok(match what {
		What::Parameter { name, value } => {
			let kind = types.kind(&name).with_context(|| {
				format!(
					"there is no parameter `{name}`: `gonka gov parameters` lists them, such as Collateral.BaseShare"
				)
			})?;
			("parameters".into(), types.amend(&name, value::parse(kind, &value)?)?)
		},
		What::Upgrade { wasm } => {
			let code = super::runtime_code(&wasm)?;
			("upgrade".into(), types.authorize_upgrade(&code)?)
		},
		What::Spend { amount, beneficiary } => ("treasury".into(), types.spend(amount, &beneficiary.account()?)?),
		What::Model(model) => {
			let Model {
				name,
				weights_hash,
				tokenizer_hash,
				quantisation,
				context,
				price,
				capacity,
				memory,
				min_worker_version,
				..
			} = *model;
			let model = NewModel {
				name,
				weights_hash,
				tokenizer_hash,
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
		What::CalibrationProfile { name, file } => {
			let json = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
			let profile: CalibrationProfile = serde_json::from_slice(&json)
				.with_context(|| format!("{} is not a calibration profile", file.display()))?;
			("models".into(), types.set_profile(registered(chain, &name).await?, &profile)?)
		},
		What::Pause { call } => ("emergency".into(), types.pause(&call, true)?),
		What::Resume { call } => ("emergency".into(), types.pause(&call, false)?),
		What::Cancel { index } => ("emergency".into(), types.stop(index, false)?),
		What::Kill { index } => ("emergency".into(), types.stop(index, true)?),
		What::EndStall { delay, finalized } => {
			let finalized = match finalized {
				Some(block) => block,
				None => chain.finalized().await?.number,
			};
			("emergency".into(), types.end_stall(delay, finalized)?)
		},
		What::Call { call, track } => {
			let bytes = hex::decode(call.strip_prefix("0x").unwrap_or(&call));
			(track, bytes.map_err(|error| anyhow!("the call is not hexadecimal: {error}"))?)
		},
	})
}

/// Finds a registered model by its name.
async fn registered(chain: &Chain, name: &str) -> Result<ModelId> {
	let models = chain.models().await?;
	let model = models.iter().find(|model| model.name == name.as_bytes());
	Ok(model.with_context(|| format!("the model `{name}` is not registered: `gonka status` lists the models"))?.id)
}

/// Describes what is going to be submitted.
fn preview(track: &TrackView, call: &[u8], described: &Described, deposit: bool, block_time: u64) -> String {
	let mut out = String::new();
	let mut line = |name: &str, text: String| {
		let _ = writeln!(out, "{name:<12} {text}");
	};
	let time = |blocks| format!("{blocks} blocks, {}", duration(blocks, block_time));
	line("track", String::from_utf8_lossy(&track.name).into_owned());
	line("call", described.call.text());
	if let Some(meaning) = &described.meaning {
		line("effect", meaning.clone());
	}
	if let Some(fails) = &described.fails {
		line("enacted now", format!("would fail: {fails}"));
	}
	let refund = "refunded if it is approved or cancelled";
	line("deposit", format!("{} GNK for the submission, {refund}", gnk(track.submission_deposit)));
	let later = if deposit { "" } else { ", not placed now" };
	line("deposit", format!("{} GNK for the decision, refunded at the end{later}", gnk(track.decision_deposit)));
	if call.len() > MAX_INLINE {
		line("deposit", format!("for the preimage of {} bytes, refunded by `preimage.unnotePreimage`", call.len()));
	}
	line("preparation", time(track.prepare));
	line("decision", format!("at most {}", time(track.decision)));
	line("confirmation", time(track.confirm));
	line("enactment", format!("{} after the approval", time(track.enactment)));
	out
}

/// The amounts that an account lacks for a proposal if it can spend `spendable`; `None` if it can pay.
fn shortage(cost: &ProposalCost, spendable: Balance) -> Option<String> {
	let missing = cost.total().checked_sub(spendable).filter(|missing| *missing > 0)?;
	let parts = [
		(cost.submission, "for the submission"),
		(cost.decision, "for the decision"),
		(cost.preimage, "for the preimage"),
		(cost.fees, "for fees"),
		(cost.minimum, "that stay in the account"),
	];
	let parts = parts.iter().filter(|(amount, _)| *amount > 0);
	let parts: Vec<_> = parts.map(|(amount, what)| format!("{} GNK {what}", gnk(*amount))).collect();
	let later = if cost.decision > 0 && missing <= cost.decision {
		". Without --deposit the rest suffices; `gonka gov deposit` places the decision deposit later, from any account"
	} else {
		""
	};
	Some(format!(
		"the account can spend {} GNK, and {} GNK are missing. It needs {}{later}",
		gnk(spendable),
		gnk(missing),
		parts.join(", ")
	))
}

/// The advice after a referendum was submitted and its decision deposit was not placed.
fn unplaced(index: u32, timeout: u32) -> String {
	format!(
		"referendum {index} is submitted, but not its decision deposit. Run `gonka gov deposit {index} --key <FILE>` within \
		 {timeout} blocks, with any account: otherwise the referendum times out, and the deposit of the submission is lost"
	)
}

/// Parses 64 hex digits.
fn hash(text: &str) -> Result<Hash, String> {
	let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|error| error.to_string())?;
	bytes.try_into().map_err(|_| "a hash has 64 hex digits".into())
}

/// Parses the prices of a prompt token and of a completion token, in base units.
fn price(text: &str) -> Result<Price, String> {
	let bad = || format!("`{text}` is not a price: write two numbers such as 10,20");
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
	fn a_preview_shows_effect_deposits_and_times() {
		let described = Described {
			call: Shown::Call("System.remark".into(), vec![("remark".into(), Shown::Text("\"hi\"".into()))]),
			meaning: Some("says hi".into()),
			fails: Some("BadOrigin".into()),
		};
		let expected = "\
track        parameters
call         System.remark(remark: \"hi\")
effect       says hi
enacted now  would fail: BadOrigin
deposit      10 GNK for the submission, refunded if it is approved or cancelled
deposit      1,000 GNK for the decision, refunded at the end, not placed now
deposit      for the preimage of 129 bytes, refunded by `preimage.unnotePreimage`
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
	fn a_proposer_who_cannot_pay_all_deposits_learns_it_before_anything_is_sent() {
		let cost = ProposalCost {
			submission: 10 * GNK,
			decision: 1_000 * GNK,
			preimage: GNK / 50,
			fees: GNK / 2_000,
			minimum: GNK / 1_000,
		};
		assert_eq!(shortage(&cost, cost.total()), None);
		let short = shortage(&cost, 12 * GNK).unwrap();
		for part in [
			"can spend 12 GNK, and 998.0215 GNK are missing",
			"10 GNK for the submission, 1,000 GNK for the decision, 0.02 GNK for the preimage, 0.0005 GNK for fees",
			"0.001 GNK that stay in the account",
			"Without --deposit the rest suffices",
		] {
			assert!(short.contains(part), "{part} in {short}");
		}
		assert!(shortage(&cost, cost.total() - 1).is_some_and(|short| short.contains("0.000000001 GNK are missing")));
		let without = ProposalCost { decision: 0, preimage: 0, ..cost };
		let short = shortage(&without, 9 * GNK).unwrap();
		assert!(!short.contains("decision") && !short.contains("preimage") && !short.contains("--deposit"), "{short}");
		assert_eq!(shortage(&without, 12 * GNK), None);
	}

	#[test]
	fn a_deposit_that_failed_can_be_placed_later() {
		let advice = unplaced(7, 300);
		assert!(advice.contains("`gonka gov deposit 7 --key <FILE>` within 300 blocks"), "{advice}");
	}

	#[test]
	fn prices_and_hashes_are_parsed() {
		assert_eq!(price("10,20"), Ok(Price { input: 10, output: 20 }));
		assert!(price("10").is_err() && price("a,b").is_err() && price("1,-2").is_err());
		assert_eq!(hash(&"0a".repeat(32)), Ok([10; 32]));
		assert!(hash("0x00").is_err());
	}
}
