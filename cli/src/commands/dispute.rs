//! Open claims and their games in words.

use super::{short, table};
use gonka_client::keys;
use gonka_primitives::{
	AccountId,
	check::{Offence, Stage},
	views::{ClaimView, GameView, SubjectView},
};
use serde::Serialize;

/// An open claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dispute {
	/// The claim's id.
	pub id: u32,
	/// The epoch it is about.
	pub epoch: u32,
	/// `accusation`: a host committed to a wrong leaf; `challenge`: a checker's digest is wrong.
	pub kind: &'static str,
	/// Who makes the claim.
	pub claimant: String,
	/// The host whose leaf, or leaf set, it is about.
	pub host: String,
	/// The last block in which somebody may begin to refute it; none for a challenge.
	pub open_until: Option<u32>,
	/// Refutations under way.
	pub games: Vec<Game>,
}

/// A refutation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Game {
	/// Who refutes.
	pub refuter: String,
	/// `claimant` or `refuter`: whose turn it is.
	pub turn: &'static str,
	/// What is awaited: `digests`, `leaf`, `trace`, `node`, `children`, `block`, `bytes` or `value`.
	pub stage: &'static str,
	/// The last block that may carry the turn; who misses it has lost.
	pub deadline: u32,
}

impl Dispute {
	/// A claim as of now.
	pub fn of(claim: &ClaimView) -> Self {
		let (kind, open_until) = match claim.subject {
			SubjectView::Accusation { .. } => ("accusation", Some(claim.until)),
			SubjectView::Challenge { .. } => ("challenge", None),
		};
		Self {
			id: claim.id,
			epoch: claim.epoch,
			kind,
			claimant: keys::ss58(&claim.claimant),
			host: keys::ss58(&claim.host),
			open_until,
			games: claim.games.iter().map(Game::of).collect(),
		}
	}

	/// Whether it is for `host` to win or lose: it claims, is accused or refutes.
	pub fn concerns(claim: &ClaimView, host: &AccountId) -> bool {
		let accused = matches!(claim.subject, SubjectView::Accusation { .. }) && claim.host == *host;
		accused || claim.claimant == *host || claim.games.iter().any(|game| game.refuter == *host)
	}

	/// What is awaited, and the last block for it: a line for each game.
	fn awaited(&self) -> Vec<(String, String)> {
		let game = |game: &Game| (game.awaited(), game.deadline.to_string());
		let mut all: Vec<_> = self.games.iter().map(game).collect();
		if let Some(until) = self.open_until.filter(|_| all.is_empty()) {
			all.push(("somebody to refute it".into(), until.to_string()));
		}
		all
	}
}

impl Game {
	fn of(game: &GameView) -> Self {
		let stage = match game.stage {
			Stage::Digests => "digests",
			Stage::Leaf => "leaf",
			Stage::Trace => "trace",
			Stage::Node => "node",
			Stage::Children => "children",
			Stage::Block => "block",
			Stage::Bytes => "bytes",
			Stage::Value => "value",
		};
		Self {
			refuter: keys::ss58(&game.refuter),
			turn: if game.stage.is_claimants() { "claimant" } else { "refuter" },
			stage,
			deadline: game.deadline,
		}
	}

	fn awaited(&self) -> String {
		match self.turn {
			"claimant" => format!("the claimant's {} for {}", self.stage, short(&self.refuter)),
			_ => format!("the {} that {} picks", self.stage, short(&self.refuter)),
		}
	}
}

/// A table of claims, within 120 columns.
pub fn disputes(all: &[Dispute]) -> String {
	let mut table = table(&["claim", "kind", "epoch", "by", "about", "waits for", "until block"]);
	for dispute in all {
		for (awaited, deadline) in dispute.awaited() {
			let (id, epoch) = (dispute.id.to_string(), dispute.epoch.to_string());
			let (by, about) = (short(&dispute.claimant), short(&dispute.host));
			table.add_row([id, dispute.kind.to_owned(), epoch, by, about, awaited, deadline]);
		}
	}
	table.to_string()
}

/// An offence by name.
pub fn offence(offence: Offence) -> &'static str {
	match offence {
		Offence::Fabrication => "fabrication",
		Offence::FalseAccusation => "false accusation",
		Offence::FalseDigest => "false digest",
		Offence::MissedDuties => "missed duties",
		Offence::Equivocation => "equivocation",
		Offence::WrongInference => "wrong inference",
	}
}

/// An offence with what it means for the host.
pub fn verdict(name: &str) -> &'static str {
	match name {
		"fabrication" => {
			"convicted of fabrication: it committed to a leaf it did not compute; weight and pay of this epoch are lost"
		},
		"false accusation" => {
			"convicted of false accusation: it accused, challenged or refuted against the truth; weight and pay of this \
			 epoch are lost"
		},
		"equivocation" => {
			"convicted of equivocation: as a validator it signed two blocks of a slot or two votes of a round; weight and \
			 pay of this epoch are lost"
		},
		_ => {
			"convicted of a false digest: it revealed one it did not compute; the pay of this epoch is lost, not the weight"
		},
	}
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use gonka_sprint::Profile;

	/// An accusation by 1 of 2, with or without a game by 3.
	pub fn claim(games: Vec<GameView>) -> ClaimView {
		ClaimView {
			id: 7,
			epoch: 4,
			profile: Profile::Nano,
			model_seed: [0; 32],
			claimant: [1; 32],
			host: [2; 32],
			subject: SubjectView::Accusation { output: Vec::new() },
			leaf: None,
			frontier: Vec::new(),
			until: 90,
			games,
		}
	}

	/// A game that 3 plays.
	pub fn game(stage: Stage) -> GameView {
		let (picked, children, block, bytes) = (None, Vec::new(), None, Vec::new());
		GameView { refuter: [3; 32], stage, number: 0, deadline: 94, picked, children, block, bytes }
	}

	#[test]
	fn a_claim_waits_for_its_games_or_for_somebody() {
		let waits = |games| Dispute::of(&claim(games)).awaited();
		assert_eq!(waits(Vec::new()), [("somebody to refute it".to_owned(), "90".to_owned())]);
		let [(children, block)] = &waits(vec![game(Stage::Children)])[..] else { panic!("one game") };
		assert!(children.starts_with("the claimant's children"), "{children}");
		assert_eq!(block, "94");
		assert!(waits(vec![game(Stage::Value)])[0].0.starts_with("the value that"));
	}

	#[test]
	fn a_claim_concerns_its_players() {
		let claim = claim(vec![game(Stage::Value)]);
		for (host, concerned) in [(1, true), (2, true), (3, true), (4, false)] {
			assert_eq!(Dispute::concerns(&claim, &[host; 32]), concerned, "{host}");
		}
	}

	#[test]
	fn a_table_of_claims_fits_a_screen() {
		let games = vec![game(Stage::Children), game(Stage::Digests)];
		let table = disputes(&[Dispute::of(&claim(Vec::new())), Dispute::of(&claim(games))]);
		assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
		assert_eq!(table.lines().count(), 3 + 1 + 3, "{table}");
	}
}
