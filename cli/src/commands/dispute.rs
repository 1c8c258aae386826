//! Open disputes: claims and the games in which refuters attack them.

use super::short;
use gonka_client::keys;
use gonka_primitives::{
	AccountId,
	check::{Offence, Stage},
	views::{ClaimView, GameView, SubjectView},
};
use serde::Serialize;
use std::iter;

/// An open claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dispute {
	/// Number of the claim.
	pub id: u32,
	/// Epoch of the leaf or digest that it is about.
	pub epoch: u32,
	/// `accusation`: a host committed to a wrong leaf; `challenge`: a checker's digest is wrong.
	pub kind: &'static str,
	/// Address of the claimant.
	pub claimant: String,
	/// Address of the host whose leaf, or leaf set, it is about.
	pub host: String,
	/// Last block in which a refuter may open a game; none for a challenge.
	pub open_until: Option<u32>,
	/// Addresses of the appointed refuters; none before their draw, and for a challenge.
	pub appointed: Option<Vec<String>>,
	/// Games that are being played.
	pub games: Vec<Game>,
}

/// A game in which a refuter attacks a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Game {
	/// Address of the refuter.
	pub refuter: String,
	/// Player whose turn it is: `claimant` or `refuter`.
	pub turn: &'static str,
	/// Move that is due: `digests`, `leaf`, `trace`, `node`, `children`, `block`, `bytes` or `value`.
	pub stage: &'static str,
	/// Last block that may carry the move. A player that misses it loses.
	pub deadline: u32,
}

impl Dispute {
	/// Reads the chain's view.
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
			appointed: claim.appointed.as_ref().map(|all| all.iter().map(keys::ss58).collect()),
			games: claim.games.iter().map(Game::of).collect(),
		}
	}

	/// Whether `host` can win or lose by it, or is appointed to refute it.
	pub fn concerns(claim: &ClaimView, host: &AccountId) -> bool {
		let accused = matches!(claim.subject, SubjectView::Accusation { .. }) && claim.host == *host;
		let appointed = claim.appointed.as_ref().is_some_and(|appointed| appointed.contains(host));
		accused || appointed || claim.claimant == *host || claim.games.iter().any(|game| game.refuter == *host)
	}

	/// Moves that are due, each with its last block: one for each game.
	fn awaited(&self) -> Vec<(String, String)> {
		let game = |game: &Game| (game.awaited(), game.deadline.to_string());
		let mut all: Vec<_> = self.games.iter().map(game).collect();
		if let Some(until) = self.open_until.filter(|_| all.is_empty()) {
			let awaited = if self.appointed.is_some() { "a refuter" } else { "its refuters' draw" };
			all.push((awaited.into(), until.to_string()));
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

/// Formats claims as lines of at most 80 columns: one for each claim, and one for each move that is due.
pub fn disputes(all: &[Dispute]) -> String {
	let lines = all.iter().flat_map(|dispute| {
		let Dispute { id, kind, epoch, claimant, host, .. } = dispute;
		let claim = format!("claim {id}: {kind} of {} by {}, epoch {epoch}", short(host), short(claimant));
		let waits = |(awaited, deadline)| format!("  waits for {awaited} until block {deadline}");
		iter::once(claim).chain(dispute.awaited().into_iter().map(waits))
	});
	lines.collect::<Vec<_>>().join("\n")
}

/// Name of an offence.
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

/// Meaning of an offence for the host, by the offence's name.
pub fn offence_text(name: &str) -> &'static str {
	match name {
		"fabrication" => {
			"convicted of fabrication: committed to a leaf that it did not compute; weight and pay of this epoch are lost"
		},
		"false accusation" => {
			"convicted of false accusation: lost a dispute that it opened or joined; weight and pay of this epoch are lost"
		},
		"equivocation" => {
			"convicted of equivocation: signed two blocks of a slot or two votes of a round as a validator; weight and \
			 pay of this epoch are lost"
		},
		"wrong inference" => {
			"convicted of wrong inference: settled completions that are not its model's; weight and pay of this epoch are lost"
		},
		_ => {
			"convicted of a false digest: revealed one that it did not compute; the pay of this epoch is lost, not the weight"
		},
	}
}

#[cfg(test)]
pub(super) mod tests {
	use super::*;
	use gonka_sprint::SprintFormat;

	/// An accusation of host 2 by host 1, with the games given.
	pub fn claim(games: Vec<GameView>) -> ClaimView {
		ClaimView {
			id: 7,
			epoch: 4,
			format: SprintFormat::Nano,
			model_seed: [0; 32],
			claimant: [1; 32],
			host: [2; 32],
			subject: SubjectView::Accusation { output: Vec::new() },
			leaf: None,
			frontier: Vec::new(),
			until: 90,
			appointed: Some(vec![[4; 32]]),
			games,
		}
	}

	/// A game of refuter 3.
	pub fn game(stage: Stage) -> GameView {
		let (picked, children, block, bytes) = (None, Vec::new(), None, Vec::new());
		GameView { refuter: [3; 32], stage, number: 0, deadline: 94, picked, children, block, bytes }
	}

	#[test]
	fn a_claim_waits_for_its_games_or_else_for_a_refuter() {
		let waits = |games| Dispute::of(&claim(games)).awaited();
		assert_eq!(waits(Vec::new()), [("a refuter".to_owned(), "90".to_owned())]);
		let undrawn = Dispute::of(&ClaimView { appointed: None, ..claim(Vec::new()) }).awaited();
		assert_eq!(undrawn, [("its refuters' draw".to_owned(), "90".to_owned())]);
		let [(children, block)] = &waits(vec![game(Stage::Children)])[..] else { panic!("one game") };
		assert!(children.starts_with("the claimant's children"), "{children}");
		assert_eq!(block, "94");
		assert!(waits(vec![game(Stage::Value)])[0].0.starts_with("the value that"));
	}

	#[test]
	fn a_claim_concerns_claimant_accused_and_refuters_appointed_ones_included() {
		let claim = claim(vec![game(Stage::Value)]);
		for (host, concerned) in [(1, true), (2, true), (3, true), (4, true), (5, false)] {
			assert_eq!(Dispute::concerns(&claim, &[host; 32]), concerned, "{host}");
		}
	}

	#[test]
	fn the_lines_of_claims_fit_into_80_columns() {
		let games = vec![game(Stage::Children), game(Stage::Digests)];
		let text = disputes(&[Dispute::of(&claim(Vec::new())), Dispute::of(&claim(games))]);
		assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
		assert_eq!(text.lines().filter(|line| line.starts_with("claim 7: accusation of ")).count(), 2, "{text}");
		assert_eq!(text.lines().filter(|line| line.starts_with("  waits for ")).count(), 3, "{text}");
	}
}
