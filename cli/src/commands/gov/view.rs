//! Referenda and tracks in words and as JSON.

use crate::amount::gnk;
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
	/// Its index.
	pub index: u32,
	/// Its track; none once it has ended.
	pub track: Option<String>,
	/// `preparing`, `queued`, `deciding`, `confirming`, `approved`, `enacted`, `rejected`, `cancelled`, `timed out` or
	/// `killed`.
	pub state: &'static str,
	/// The block in which this state ends, or began if it is the last.
	pub until: Option<u32>,
	/// Blocks until then; none if it is the last.
	pub left: Option<u32>,
	/// When it was submitted.
	pub submitted: Option<u32>,
	/// Deposits that are not paid back.
	pub deposits: Vec<Deposit>,
	/// The votes; none once it has ended.
	pub tally: Option<Tally>,
	/// When it is enacted, in words.
	pub enactment: Option<String>,
	/// BLAKE2b-256 of what it proposes.
	pub hash: Option<String>,
	/// Its length in bytes.
	pub length: Option<u32>,
	/// What it proposes.
	pub call: Option<Shown>,
	/// What that means, where it is of a usual kind.
	pub meaning: Option<String>,
	/// Why it would fail if it was enacted now.
	pub fails: Option<String>,
}

/// A deposit.
#[derive(Clone, Debug, Serialize)]
pub struct Deposit {
	/// `submission` or `decision`.
	pub of: &'static str,
	/// Who paid it.
	pub who: String,
	/// Base units.
	pub amount: Balance,
	/// Whether it can be paid back now.
	pub refundable: bool,
}

/// The votes on a referendum.
#[derive(Clone, Debug, Serialize)]
pub struct Tally {
	/// In favour.
	pub ayes: u128,
	/// Against.
	pub nays: u128,
	/// In favour, or abstaining.
	pub support: u128,
	/// All that there are.
	pub electorate: u128,
	/// The epoch whose weights they are.
	pub epoch: u32,
	/// Ayes among ayes and nays.
	pub approval: u32,
	/// What is needed of that now.
	pub approval_needed: u32,
	/// Support among all.
	pub turnout: u32,
	/// What is needed of that now.
	pub turnout_needed: u32,
}

impl Referendum {
	/// Of the runtime's answer, as of block `best`.
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
		let moves = view.ongoing.is_some() || state == "approved";
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
			left: until.filter(|_| moves).map(|until| until.saturating_sub(best)),
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
					let least = track.map_or(0, |track| track.enactment);
					format!("{} blocks after the approval", blocks.max(least))
				},
			}),
			hash: view.proposal.as_ref().map(|proposal| format!("0x{}", hex::encode(proposal.hash))),
			length: view.proposal.as_ref().and_then(|proposal| proposal.length),
			call: None,
			meaning: None,
			fails: None,
		}
	}

	/// Approval and what is needed of it, support and what is needed of it, and what time is left: for a row of a table.
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

	/// All of it.
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
			let back = if deposit.refundable { "; `gonka gov refund` pays it back" } else { "" };
			line("deposit", format!("{} GNK of {} for the {}{back}", gnk(deposit.amount), deposit.who, deposit.of));
		}
		if self.state == "preparing" && !self.deposits.iter().any(|deposit| deposit.of == "decision") {
			line("deposit", "none for the decision: without one it times out; `gonka gov deposit` places it".into());
		}
		if let Some(enactment) = &self.enactment {
			line("enactment", enactment.clone());
		}
		if let Some(hash) = &self.hash {
			let length = self.length.map(|length| format!(", {length} bytes")).unwrap_or_default();
			line("proposal", format!("{hash}{length}"));
			let unknown = || "unknown: nobody has noted the preimage, or it is no call of this runtime".into();
			line("call", self.call.as_ref().map_or_else(unknown, Shown::text));
		}
		if let Some(meaning) = &self.meaning {
			line("it", meaning.clone());
		}
		if let Some(fails) = &self.fails {
			line("enacted now", format!("it would fail: {fails}"));
		}
		out
	}
}

/// A track's name, or its number.
pub fn track_name(tracks: &[TrackView], id: u16) -> String {
	let track = tracks.iter().find(|track| track.id == id);
	track.map_or_else(|| id.to_string(), |track| String::from_utf8_lossy(&track.name).into_owned())
}

/// What a call means, if it is of a usual kind.
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
		_ => usual(name, &argument, models),
	}
}

/// A parameter's change: what it is now, what it is by default, and what it is to be.
fn change(parameter: &str, found: Option<(Shown, Shown)>, to: Option<Shown>) -> String {
	let Some((present, default)) = found else { return format!("sets {parameter}") };
	let new = match to {
		Some(value) => self::value(&value),
		None => format!("the default, {}", value(&default)),
	};
	format!("sets {parameter} from {} to {new}, from the epoch after the enactment on", value(&present))
}

fn usual<'a>(name: &str, argument: &impl Fn(&str) -> Option<&'a Shown>, models: &[ModelView]) -> Option<String> {
	let text = |name: &str| argument(name).map(Shown::text);
	let model = || {
		let id = text("model")?;
		let model = models.iter().find(|model| model.id.to_string() == id)?;
		Some(String::from_utf8_lossy(&model.name))
	};
	Some(match name {
		"System.authorize_upgrade" => {
			let hash = text("code_hash")?;
			format!("authorises the runtime code with the hash {hash}, which `gonka gov apply` then puts in force")
		},
		"Treasury.spend" => {
			let Some(Shown::Amount(amount)) = argument("amount") else { return None };
			format!("spends {} GNK of the community fund on {}", gnk(*amount), text("beneficiary")?)
		},
		"InferenceMarket.register_model" => {
			format!("registers the model {} at the price {}", text("name")?, text("price")?)
		},
		"InferenceMarket.retire_model" => format!("retires the model {}", model()?),
		"SamplingValidation.set_profile" => match text("profile")?.as_str() {
			"none" => format!("ends the sampling of answers of the model {}", model()?),
			_ => format!("has answers of the model {} sampled by this profile", model()?),
		},
		_ => return None,
	})
}

/// A parameter's value.
pub fn value(value: &Shown) -> String {
	match value {
		Shown::Amount(units) => format!("{} GNK", gnk(*units)),
		other => other.text(),
	}
}

/// A share, with a decimal, rounded down.
pub fn tenths(parts: u32) -> String {
	percent(parts.saturating_sub(parts % 1_000_000))
}

/// About how long so many blocks take.
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
	fn a_row_says_what_is_needed_and_how_long_it_takes() {
		let view = referendum(ReferendumState::Deciding { since: 110, until: 170 });
		let row = Referendum::new(&view, &[track()], 127).row(6_000);
		let left = "43 blocks, about 4 min";
		assert_eq!(row, ["3", "parameters", "deciding", "71.4 % of 70 %", "50 % of 27.5 %", left]);
	}

	#[test]
	fn all_of_a_referendum_is_shown() {
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
deposit      none for the decision: without one it times out; `gonka gov deposit` places it
enactment    10 blocks after the approval
proposal     0x0202020202020202020202020202020202020202020202020202020202020202, 9 bytes
call         Amendments.amend(parameter: Collateral(BaseShare(50 %)))
it           sets Collateral.BaseShare from 20 % to 50 %, from the epoch after the enactment on
";
		assert_eq!(text, expected);
		let json = serde_json::to_value(&shown).unwrap();
		assert_eq!(json["tally"]["approval"], 714_285_714);
		assert_eq!(json["call"]["arguments"]["parameter"]["Collateral"][0]["BaseShare"][0], "50 %");
	}

	#[test]
	fn what_has_ended_has_no_time_left() {
		let mut view = referendum(ReferendumState::Approved { at: 180, enactment: Some(190) });
		view.ongoing = None;
		let shown = Referendum::new(&view, &[track()], 185);
		assert_eq!((shown.state, shown.left), ("approved", Some(5)));
		view.state = ReferendumState::Approved { at: 180, enactment: None };
		let shown = Referendum::new(&view, &[track()], 195);
		assert_eq!((shown.state, shown.until, shown.left), ("enacted", Some(180), None));
	}

	#[test]
	fn usual_proposals_are_explained() {
		let amount = Shown::Amount(5 * GNK / 2);
		let to = Shown::Text("5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT".into());
		let argument = |name: &str| match name {
			"amount" => Some(&amount),
			"beneficiary" => Some(&to),
			_ => None,
		};
		let text = usual("Treasury.spend", &argument, &[]).unwrap();
		assert!(text.starts_with("spends 2.5 GNK of the community fund on 5C62"), "{text}");
		assert_eq!(usual("System.remark", &argument, &[]), None);
		let model =
			ModelView { id: 7, name: b"M".to_vec(), weights_hash: [0; 32], context_length: 1, price: Price::default() };
		let set = |profile: Shown| {
			let id = Shown::Number(7);
			let argument = |name: &str| Some(if name == "model" { &id } else { &profile });
			usual("SamplingValidation.set_profile", &argument, std::slice::from_ref(&model))
		};
		let none = set(Shown::Text("none".into()));
		assert_eq!(none.as_deref(), Some("ends the sampling of answers of the model M"));
		let profile = set(Shown::Fields(String::new(), vec![("clamp".into(), Shown::Number(1))]));
		assert_eq!(profile.as_deref(), Some("has answers of the model M sampled by this profile"));
		let back = change("A.B", Some((Shown::Amount(GNK), Shown::Amount(GNK / 10))), None);
		assert_eq!(back, "sets A.B from 1 GNK to the default, 0.1 GNK, from the epoch after the enactment on");
	}

	#[test]
	fn times_are_rounded() {
		assert_eq!(duration(10, 6_000), "about 60 s");
		assert_eq!(duration(14_400, 6_000), "about 24 h");
		assert_eq!(duration(144_000, 6_000), "about 10 days");
	}
}
