//! Referenda and tracks as text and as JSON.

use crate::amount::{count, gnk, units};
use gonka_client::{
	chain::{Shown, Types, percent},
	keys,
};
use gonka_primitives::{
	Balance,
	views::{EnactmentView, ModelView, ParameterView, ReferendumState, ReferendumView, TrackView},
};
use serde::Serialize;
use std::fmt::Write;

/// A referendum as of the best block. Shares are in parts per billion, amounts in base units, 10⁻⁹ GNK.
#[derive(Clone, Debug, Serialize)]
pub struct Referendum {
	/// Index of the referendum.
	pub index: u32,
	/// Name of the track; none once it has ended, if the node has not kept the state before.
	pub track: Option<String>,
	/// State: `preparing`, `queued`, `deciding`, `confirming`, `approved`, `enacted`, `rejected`, `cancelled`, `timed out` or
	/// `killed`.
	pub state: &'static str,
	/// Block in which this state ends, or in which the final state began.
	pub until: Option<u32>,
	/// Number of blocks until this state ends; none in a final state.
	pub left: Option<u32>,
	/// Block in which it was submitted.
	pub submitted: Option<u32>,
	/// Deposits that have not been refunded.
	pub deposits: Vec<Deposit>,
	/// Tally of the votes, or the last one before the end; none if the node has not kept that state.
	pub tally: Option<Tally>,
	/// Time of the enactment, as text.
	pub enactment: Option<String>,
	/// BLAKE2b-256 hash of the proposed call.
	pub hash: Option<String>,
	/// Length of the proposed call in bytes.
	pub length: Option<u32>,
	/// Proposed call.
	pub call: Option<Shown>,
	/// Effect of the call, if it is of a known kind.
	pub meaning: Option<String>,
	/// Error with which it would fail if it were enacted now.
	pub fails: Option<String>,
	/// Block in which it ended, if the node has not kept the state before, which has tally and proposal.
	pub lost: Option<u32>,
}

/// Deposit of a referendum.
#[derive(Clone, Debug, Serialize)]
pub struct Deposit {
	/// Kind: `submission` or `decision`.
	pub of: &'static str,
	/// Address of the account that placed it.
	pub who: String,
	/// Amount in base units.
	#[serde(serialize_with = "units")]
	pub amount: Balance,
	/// Whether it can be refunded now.
	pub refundable: bool,
}

/// Tally of a referendum.
#[derive(Clone, Debug, Serialize)]
pub struct Tally {
	/// Votes in favour.
	#[serde(serialize_with = "count")]
	pub ayes: u128,
	/// Votes against.
	#[serde(serialize_with = "count")]
	pub nays: u128,
	/// Votes in favour and abstentions.
	#[serde(serialize_with = "count")]
	pub support: u128,
	/// All votes that could be cast.
	#[serde(serialize_with = "count")]
	pub electorate: u128,
	/// Epoch whose effective weights are the votes.
	pub epoch: u32,
	/// Share of ayes among ayes and nays.
	pub approval: u32,
	/// Approval that is needed now.
	pub approval_needed: u32,
	/// Share of support among all votes.
	pub turnout: u32,
	/// Turnout that is needed now.
	pub turnout_needed: u32,
}

impl Referendum {
	/// Reads the chain's view, as of block `best`.
	pub fn new(view: &ReferendumView, tracks: &[TrackView], best: u32) -> Self {
		let (state, until) = match view.state {
			ReferendumState::Preparing { from, .. } if view.decision_deposit.is_some() => ("preparing", Some(from)),
			ReferendumState::Preparing { timeout, .. } => ("preparing", Some(timeout)),
			ReferendumState::Queued => ("queued", None),
			ReferendumState::Deciding { until, .. } => ("deciding", Some(until)),
			ReferendumState::Confirming { until, .. } => ("confirming", Some(until)),
			ReferendumState::Approved { enactment: Some(block), .. } => ("approved", Some(block)),
			ReferendumState::Approved { at, .. } => ("enacted", Some(at)),
			ReferendumState::Rejected { at } => ("rejected", Some(at)),
			ReferendumState::Cancelled { at } => ("cancelled", Some(at)),
			ReferendumState::TimedOut { at } => ("timed out", Some(at)),
			ReferendumState::Killed { at } => ("killed", Some(at)),
		};
		let has_deadline = view.ongoing.is_some() || state == "approved";
		let deposit = |of, made: &gonka_primitives::views::DepositView| Deposit {
			of,
			who: keys::ss58(&made.who),
			amount: made.amount,
			refundable: made.refundable,
		};
		let submission = view.submission_deposit.as_ref().map(|made| deposit("submission", made));
		let decision = view.decision_deposit.as_ref().map(|made| deposit("decision", made));
		let open = view.ongoing.as_ref();
		Self {
			index: view.index,
			track: open.map(|open| track_name(tracks, open.track)),
			state,
			until,
			left: until.filter(|_| has_deadline).map(|until| until.saturating_sub(best)),
			submitted: open.map(|open| open.submitted),
			deposits: submission.into_iter().chain(decision).collect(),
			tally: open.map(|open| Tally {
				ayes: open.ayes,
				nays: open.nays,
				support: open.support_votes,
				electorate: open.electorate,
				epoch: open.epoch,
				approval: open.approval,
				approval_needed: open.approval_needed,
				turnout: open.support,
				turnout_needed: open.support_needed,
			}),
			enactment: open.map(|open| match open.enactment {
				EnactmentView::At(block) => format!("in block {block}"),
				EnactmentView::After(blocks) => {
					let track = tracks.iter().find(|track| track.id == open.track);
					let minimum = track.map_or(0, |track| track.enactment);
					format!("{} blocks after the approval", blocks.max(minimum))
				},
			}),
			hash: view.proposal.as_ref().map(|proposal| format!("0x{}", hex::encode(proposal.hash))),
			length: view.proposal.as_ref().and_then(|proposal| proposal.length),
			call: None,
			meaning: None,
			fails: None,
			lost: None,
		}
	}

	/// Adds what the chain no longer tells about a referendum that has ended, from the state before the end.
	pub fn complete(&mut self, before: Self) {
		let Self { track, submitted, tally, enactment, hash, length, .. } = before;
		(self.track, self.submitted, self.tally) = (track, submitted, tally);
		if self.hash.is_none() {
			(self.enactment, self.hash, self.length) = (enactment, hash, length);
		}
	}

	/// Row of a table: index, track, state, approval and support with their thresholds, time left.
	pub fn row(&self, block_time: u64) -> [String; 6] {
		let share = |share, needed| format!("{} of {}", tenths(share), tenths(needed));
		let (approval, support) = match &self.tally {
			Some(tally) => (share(tally.approval, tally.approval_needed), share(tally.turnout, tally.turnout_needed)),
			None => Default::default(),
		};
		let track = self.track.clone().unwrap_or_default();
		[self.index.to_string(), track, self.state.into(), approval, support, self.time(block_time)]
	}

	fn time(&self, block_time: u64) -> String {
		match (self.left, self.until) {
			(Some(left), _) => format!("{left} blocks, {}", duration(left, block_time)),
			(None, Some(until)) => format!("since block {until}"),
			(None, None) => String::new(),
		}
	}

	/// Formats everything about the referendum.
	pub fn text(&self, block_time: u64) -> String {
		let mut out = String::new();
		let mut line = |name: &str, text: String| {
			let _ = writeln!(out, "{name:<12} {text}");
		};
		line("referendum", self.index.to_string());
		if let Some(track) = &self.track {
			line("track", track.clone());
		}
		line("state", format!("{}; {}", self.state, self.time(block_time)).trim_end_matches("; ").into());
		if let Some(block) = self.submitted {
			line("submitted", format!("in block {block}"));
		}
		if let Some(block) = self.lost {
			line(
				"tally",
				format!("unknown: this node has not kept the state before block {block}; ask one with an archive"),
			);
		}
		if let Some(tally) = &self.tally {
			line("ayes", tally.ayes.to_string());
			line("nays", tally.nays.to_string());
			line("approval", format!("{}, needs {}", tenths(tally.approval), tenths(tally.approval_needed)));
			line(
				"support",
				format!(
					"{} of {} votes of epoch {}: {}, needs {}",
					tally.support,
					tally.electorate,
					tally.epoch,
					tenths(tally.turnout),
					tenths(tally.turnout_needed)
				),
			);
		}
		for deposit in &self.deposits {
			let back = if deposit.refundable { "; `gonka gov refund` refunds it" } else { "" };
			line("deposit", format!("{} GNK of {} for the {}{back}", gnk(deposit.amount), deposit.who, deposit.of));
		}
		if self.state == "preparing" && !self.deposits.iter().any(|deposit| deposit.of == "decision") {
			line(
				"deposit",
				"none for the decision: place one with `gonka gov deposit`, else the referendum times out".into(),
			);
		}
		if let Some(enactment) = &self.enactment {
			line("enactment", enactment.clone());
		}
		if let Some(hash) = &self.hash {
			let length = self.length.map(|length| format!(", {length} bytes")).unwrap_or_default();
			line("proposal", format!("{hash}{length}"));
			let unknown = || "unknown: the preimage is not on chain, or is not a call of this runtime".into();
			line("call", self.call.as_ref().map_or_else(unknown, Shown::text));
		}
		if let Some(meaning) = &self.meaning {
			line("effect", meaning.clone());
		}
		if let Some(fails) = &self.fails {
			line("enacted now", format!("would fail: {fails}"));
		}
		out
	}
}

/// Name of a track, or its number if it is unknown.
pub fn track_name(tracks: &[TrackView], id: u16) -> String {
	let track = tracks.iter().find(|track| track.id == id);
	track.map_or_else(|| id.to_string(), |track| String::from_utf8_lossy(&track.name).into_owned())
}

/// Describes the effect of a call, if it is of a known kind.
pub fn meaning(
	call: &Shown,
	bytes: &[u8],
	types: &Types,
	parameters: &[ParameterView],
	models: &[ModelView],
) -> Option<String> {
	let Shown::Call(name, arguments) = call else { return None };
	let argument = |name: &str| arguments.iter().find(|(other, _)| other == name).map(|(_, value)| value);
	match name.as_str() {
		"Amendments.amend" => {
			let (parameter, to) = types.parameter(bytes.get(2..)?).ok()?;
			let found = parameters.iter().find_map(|one| {
				let (name, present) = types.parameter(&one.present).ok()?;
				let (_, default) = types.parameter(&one.default).ok()?;
				(name == parameter).then_some((present?, default?))
			});
			Some(change(&parameter, found, to))
		},
		_ => known_call(name, &argument, models),
	}
}

/// Describes a parameter's change. `found` holds its present value and its default.
fn change(parameter: &str, found: Option<(Shown, Shown)>, to: Option<Shown>) -> String {
	let Some((present, default)) = found else { return format!("sets {parameter}") };
	let new = match to {
		Some(value) => self::value(&value),
		None => format!("the default, {}", value(&default)),
	};
	format!("sets {parameter} from {} to {new} at the epoch after the enactment", value(&present))
}

fn known_call<'a>(name: &str, argument: &impl Fn(&str) -> Option<&'a Shown>, models: &[ModelView]) -> Option<String> {
	let text = |name: &str| argument(name).map(Shown::text);
	let model = || {
		let id = text("model")?;
		let model = models.iter().find(|model| model.id.to_string() == id)?;
		Some(String::from_utf8_lossy(&model.name))
	};
	Some(match name {
		"System.authorize_upgrade" => {
			let hash = text("code_hash")?;
			format!("authorises the runtime code with the hash {hash}, which `gonka gov apply` then applies")
		},
		"Treasury.spend" => {
			let Some(Shown::Amount(amount)) = argument("amount") else { return None };
			format!("pays {} GNK from the community fund to {}", gnk(*amount), text("beneficiary")?)
		},
		"InferenceMarket.register_model" => {
			format!("registers the model {} at the price {}", text("name")?, text("price")?)
		},
		"InferenceMarket.retire_model" => format!("retires the model {}", model()?),
		"Referenda.cancel" => format!("cancels referendum {} and refunds its deposits", text("index")?),
		"Referenda.kill" => format!("kills referendum {}: its deposits go to the community fund", text("index")?),
		"ConvictionVoting.end_stall" => format!(
			"lets the validators of the next session finalise the blocks after {}, {} blocks after its start",
			text("finalized")?,
			text("delay")?
		),
		"SamplingValidation.set_profile" => match text("profile")?.as_str() {
			"none" => format!("ends the audits of the model {}", model()?),
			_ => format!("audits the model {} by this calibration profile", model()?),
		},
		_ => return None,
	})
}

/// Formats a parameter's value.
pub fn value(value: &Shown) -> String {
	match value {
		Shown::Amount(units) => format!("{} GNK", gnk(*units)),
		other => other.text(),
	}
}

/// Formats parts per billion as a percentage with one decimal, rounded down.
pub fn tenths(parts: u32) -> String {
	percent(parts.saturating_sub(parts % 1_000_000))
}

/// Formats the approximate time that `blocks` take; `block_time` is in milliseconds.
pub fn duration(blocks: u32, block_time: u64) -> String {
	let seconds = u64::from(blocks).saturating_mul(block_time) / 1_000;
	let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
	let about = match () {
		() if days > 2 => format!("{days} days"),
		() if hours > 2 => format!("{hours} h"),
		() if minutes > 2 => format!("{minutes} min"),
		() => format!("{seconds} s"),
	};
	format!("about {about}")
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_primitives::{
		GNK,
		market::Price,
		views::{DepositView, OngoingView, ProposalView},
	};

	fn track() -> TrackView {
		let usual = super::super::propose::tests::track();
		TrackView { prepare: 3, decision: 60, confirm: 5, enactment: 3, timeout: 300, ..usual }
	}

	fn referendum(state: ReferendumState) -> ReferendumView {
		let open = OngoingView {
			track: 1,
			submitted: 100,
			enactment: EnactmentView::After(10),
			ayes: 250,
			nays: 100,
			support_votes: 250,
			electorate: 500,
			epoch: 7,
			approval: 714_285_714,
			support: 500_000_000,
			approval_needed: 700_000_000,
			support_needed: 275_000_000,
		};
		let paid = |amount| Some(DepositView { who: [1; 32], amount, refundable: false });
		ReferendumView {
			index: 3,
			state,
			submission_deposit: paid(10 * GNK),
			decision_deposit: None,
			ongoing: Some(open),
			proposal: Some(ProposalView { hash: [2; 32], length: Some(9), call: None }),
		}
	}

	#[test]
	fn a_row_shows_thresholds_and_the_time_left() {
		let view = referendum(ReferendumState::Deciding { since: 110, until: 170 });
		let row = Referendum::new(&view, &[track()], 127).row(6_000);
		let left = "43 blocks, about 4 min";
		assert_eq!(row, ["3", "parameters", "deciding", "71.4 % of 70 %", "50 % of 27.5 %", left]);
	}

	#[test]
	fn the_text_shows_everything_about_a_referendum() {
		let view = referendum(ReferendumState::Preparing { from: 103, timeout: 400 });
		let mut shown = Referendum::new(&view, &[track()], 100);
		let share = Shown::Fields("BaseShare".into(), vec![(String::new(), Shown::Share(500_000_000))]);
		let value = Shown::Fields("Collateral".into(), vec![(String::new(), share)]);
		shown.call = Some(Shown::Call("Amendments.amend".into(), vec![("parameter".into(), value)]));
		let (present, to) = (Shown::Share(200_000_000), Shown::Share(500_000_000));
		shown.meaning = Some(change("Collateral.BaseShare", Some((present.clone(), present)), Some(to)));
		let text = shown.text(2_000);
		let expected = "\
referendum   3
track        parameters
state        preparing; 300 blocks, about 10 min
submitted    in block 100
ayes         250
nays         100
approval     71.4 %, needs 70 %
support      250 of 500 votes of epoch 7: 50 %, needs 27.5 %
deposit      10 GNK of 5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT for the submission
deposit      none for the decision: place one with `gonka gov deposit`, else the referendum times out
enactment    10 blocks after the approval
proposal     0x0202020202020202020202020202020202020202020202020202020202020202, 9 bytes
call         Amendments.amend(parameter: Collateral(BaseShare(50 %)))
effect       sets Collateral.BaseShare from 20 % to 50 % at the epoch after the enactment
";
		assert_eq!(text, expected);
		let json = serde_json::to_value(&shown).unwrap();
		assert_eq!(json["tally"]["approval"], 714_285_714);
		assert_eq!(json["call"]["arguments"]["parameter"]["Collateral"][0]["BaseShare"][0], "50 %");
	}

	#[test]
	fn a_referendum_that_has_ended_keeps_its_tally_and_its_proposal() {
		let before = referendum(ReferendumState::Deciding { since: 110, until: 170 });
		let after =
			ReferendumView { ongoing: None, proposal: None, ..referendum(ReferendumState::Rejected { at: 170 }) };
		let mut shown = Referendum::new(&after, &[track()], 200);
		assert!(!shown.text(6_000).contains("ayes"));
		shown.complete(Referendum::new(&before, &[track()], 200));
		let text = shown.text(6_000);
		for part in ["track        parameters", "rejected; since block 170", "ayes         250", "proposal     0x0202"]
		{
			assert!(text.contains(part), "no `{part}` in\n{text}");
		}
		assert_eq!((shown.left, shown.until), (None, Some(170)));
		shown.lost = Some(170);
		assert!(shown.text(6_000).contains("has not kept the state before block 170"));
	}

	#[test]
	fn a_referendum_in_a_final_state_has_no_time_left() {
		let mut view = referendum(ReferendumState::Approved { at: 180, enactment: Some(190) });
		view.ongoing = None;
		let shown = Referendum::new(&view, &[track()], 185);
		assert_eq!((shown.state, shown.left), ("approved", Some(5)));
		view.state = ReferendumState::Approved { at: 180, enactment: None };
		let shown = Referendum::new(&view, &[track()], 195);
		assert_eq!((shown.state, shown.until, shown.left), ("enacted", Some(180), None));
	}

	#[test]
	fn the_effect_of_known_calls_is_described() {
		let amount = Shown::Amount(5 * GNK / 2);
		let to = Shown::Text("5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT".into());
		let argument = |name: &str| match name {
			"amount" => Some(&amount),
			"beneficiary" => Some(&to),
			_ => None,
		};
		let text = known_call("Treasury.spend", &argument, &[]).unwrap();
		assert!(text.starts_with("pays 2.5 GNK from the community fund to 5C62"), "{text}");
		assert_eq!(known_call("System.remark", &argument, &[]), None);
		let model = ModelView {
			id: 7,
			name: b"M".to_vec(),
			weights_hash: [0; 32],
			tokenizer_hash: [0; 32],
			context_length: 1,
			price: Price::default(),
		};
		let set = |profile: Shown| {
			let id = Shown::Number(7);
			let argument = |name: &str| Some(if name == "model" { &id } else { &profile });
			known_call("SamplingValidation.set_profile", &argument, std::slice::from_ref(&model))
		};
		let none = set(Shown::Text("none".into()));
		assert_eq!(none.as_deref(), Some("ends the audits of the model M"));
		let profile = set(Shown::Fields(String::new(), vec![("clamp".into(), Shown::Number(1))]));
		assert_eq!(profile.as_deref(), Some("audits the model M by this calibration profile"));
		let back = change("A.B", Some((Shown::Amount(GNK), Shown::Amount(GNK / 10))), None);
		assert_eq!(back, "sets A.B from 1 GNK to the default, 0.1 GNK at the epoch after the enactment");
	}

	#[test]
	fn times_are_rounded() {
		assert_eq!(duration(10, 6_000), "about 60 s");
		assert_eq!(duration(14_400, 6_000), "about 24 h");
		assert_eq!(duration(144_000, 6_000), "about 10 days");
	}
}
