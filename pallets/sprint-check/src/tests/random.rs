//! Random players with random turns, legal and illegal, against honest ones. Nothing panics, the invariants hold after
//! every transaction, and no honest player loses anything.

use super::{
	mock::*,
	players::{claimant, refuter},
	world::*,
};
use crate::{Claims, Event, NextClaim, ValidityError};
use gonka_primitives::{
	check::{Stage, Turn},
	views::{ClaimView, GameView},
};
use gonka_sprint::{InputBlock, Tensor};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts 1 to 3 are honest, 4 and 5 are not.
const HONEST: std::ops::RangeInclusive<u8> = 1..=3;
const HOSTS: u8 = 5;
/// Leaves that 4 and 5 fabricated: segment, and position in its commitment.
const FABRICATED: [(Fabricated, u64); 2] = [((4, 0, 0, 1), 1), ((5, 2, 1, 0), 4)];

#[derive(Clone, Debug)]
enum Step {
	Pass(u32),
	/// A liar accuses any host of any leaf.
	Accuse {
		liar: u8,
		host: u8,
		segment: u8,
		position: u64,
		mind: u8,
	},
	/// An honest host accuses a fabricator.
	AccuseRightly {
		honest: u8,
		which: usize,
	},
	Challenge {
		liar: u8,
		checker: u8,
		host: u8,
		set: u8,
	},
	/// A liar takes a plausible turn.
	Play {
		liar: u8,
		claim: usize,
		mind: u8,
	},
	/// A liar sends an arbitrary message.
	Junk {
		liar: u8,
		claim: u32,
		refuter: u8,
		number: u8,
		turn: u8,
		value: u8,
	},
	Close {
		claim: u32,
		refuter: Option<u8>,
	},
}

fn step() -> impl Strategy<Value = Step> {
	let (liar, host, mind) = (4..=HOSTS, 1..=HOSTS, 0..6u8);
	prop_oneof![
		3 => (1..3u32).prop_map(Step::Pass),
		4 => (liar.clone(), host.clone(), 0..5u8, 0..7u64, mind.clone())
			.prop_map(|(liar, host, segment, position, mind)| Step::Accuse { liar, host, segment, position, mind }),
		1 => (HONEST, 0..2usize).prop_map(|(honest, which)| Step::AccuseRightly { honest, which }),
		2 => (liar.clone(), host.clone(), host.clone(), 0..4u8)
			.prop_map(|(liar, checker, host, set)| Step::Challenge { liar, checker, host, set }),
		8 => (liar.clone(), 0..8usize, mind).prop_map(|(liar, claim, mind)| Step::Play { liar, claim, mind }),
		4 => (liar, 0..8u32, host.clone(), 0..9u8, 0..9u8, any::<u8>()).prop_map(
			|(liar, claim, refuter, number, turn, value)| Step::Junk { liar, claim, refuter, number, turn, value }
		),
		2 => (0..8u32, prop::option::of(host)).prop_map(|(claim, refuter)| Step::Close { claim, refuter }),
	]
}

/// A liar's computation of the leaves of `host`.
fn mind(number: u8, host: u8) -> Box<Mind> {
	match number {
		0 => honest(),
		1 => wrong_at(host, &[output()], 3),
		2 => wrong_at(host, &[row(Tensor::Scores, 4), output()], 0),
		3 => wrong_at(host, &[row(Tensor::V, 4), row(Tensor::Output, 1), output()], 7),
		4 => wrong_at(host, &[row(Tensor::Output, 15)], 2),
		_ => wrong_at(host, &[0, row(Tensor::Q, 1), row(Tensor::Output, 2), output()], 9),
	}
}

fn junk(turn: u8, value: u8, world: &World) -> Turn {
	let hash = [value; 32];
	match turn {
		0 => Turn::Digests(vec![hash; usize::from(value)]),
		1 => Turn::Leaf { number: value, lane: world.segment(0, 1 + value % HOSTS, value % 5).opening(0).lane },
		2 => Turn::Trace { frontier: vec![hash; 256], path: vec![] },
		3 => Turn::Children(vec![hash; 2]),
		4 => Turn::Block(vec![value; 64]),
		5 => Turn::Value { coordinate: value.into(), inputs: vec![] },
		6 => {
			let input = InputBlock { bytes: vec![value; 64], path: vec![hash] };
			Turn::Value { coordinate: value.into(), inputs: vec![input.clone(), input] }
		},
		_ => Turn::Pick(value),
	}
}

struct Match {
	world: World,
	/// Fabricators that honest hosts accused, each with the claim.
	accused: Vec<(u8, u32)>,
	/// Whether liars take all their turns and stick to their computations.
	diligent: bool,
	/// The computations behind accusations.
	stories: BTreeMap<u32, u8>,
}

/// The computation behind a liar's tags.
fn checked(liar: u8) -> Box<Mind> {
	if liar == 4 { mind(4, 1) } else { mind(3, 2) }
}

impl Match {
	fn new(diligent: bool) -> Self {
		let fabricated: Vec<_> = FABRICATED.into_iter().map(|(leaf, _)| leaf).collect();
		let world = World::new(HOSTS, &fabricated);
		world.check_all(0, HOSTS, |name| if HONEST.contains(&name) { honest() } else { checked(name) });
		Self { world, accused: Vec::new(), diligent, stories: BTreeMap::new() }
	}

	fn take(&mut self, step: Step) {
		let running = Poc::running_epoch().unwrap().index;
		match step {
			Step::Pass(blocks) => (0..blocks).for_each(|_| {
				pass(1);
				self.answer();
			}),
			Step::Accuse { liar, host, segment, position, mind: number } if running == 0 => {
				let id = NextClaim::<Test>::get();
				if accuse(self.world.accusation(liar, host, segment, position, &*mind(number, host))).is_ok() {
					self.stories.insert(id, number);
				}
			},
			Step::AccuseRightly { honest: accuser, which } if running == 0 => {
				let ((host, segment, _, _), position) = FABRICATED[which];
				let id = NextClaim::<Test>::get();
				let sent = accuse(self.world.accusation(accuser, host, segment, position, &*honest()));
				if sent.is_ok() {
					self.accused.push((host, id));
				} else {
					let excuses = [ValidityError::TooManyClaims, ValidityError::SlotUsed, ValidityError::Convicted];
					assert!(excuses.map(rejected).contains(&sent), "{sent:?}");
				}
			},
			Step::Challenge { liar, checker, host, set } => {
				let _ = challenge(liar, checker, host, set);
			},
			Step::Play { liar, claim, mind: number } => {
				let claims = Check::claim_views();
				if let Some(claim) = claims.get(claim % claims.len().max(1)) {
					self.play_as(liar, claim, &*mind(number, name_of(&claim.host)));
				}
			},
			Step::Junk { liar, claim, refuter, number, turn, value } => {
				let _ = play(liar, claim, refuter, number, junk(turn, value, &self.world));
			},
			Step::Close { claim, refuter } => {
				let _ = close(claim, refuter);
			},
			Step::Accuse { .. } | Step::AccuseRightly { .. } => {},
		}
		self.answer();
		for _ in 0..if self.diligent { 8 } else { 0 } {
			for claim in Check::claim_views() {
				for liar in 4..=HOSTS {
					let host = name_of(&claim.host);
					let story = match self.stories.get(&claim.id) {
						Some(number) if claim.claimant == raw(liar) => mind(*number, host),
						_ if is_challenge(&claim) => checked(liar),
						_ => mind((claim.id % 6) as u8, host),
					};
					self.play_as(liar, &claim, &*story);
				}
			}
			self.answer();
		}
	}

	/// A liar's turn in a claim, if it has one.
	fn play_as(&self, liar: u8, claim: &ClaimView, mind: &Mind) {
		let mine = claim.games.iter().find(|game| game.refuter == raw(liar));
		if claim.claimant == raw(liar) {
			for game in claim.games.iter().filter(|game| game.stage.is_claimants()) {
				let turn = claimant(&self.world, claim, game, mind);
				let _ = play(liar, claim.id, name_of(&game.refuter), game.number, turn);
			}
		} else if mine.is_some() || !is_challenge(claim) {
			let (stage, number) = mine.map_or((Stage::Node, 0), |game| (game.stage, game.number));
			let turn = if stage.is_claimants() { None } else { refuter(&self.world, claim, mine, mind) };
			if let Some(turn) = turn {
				let _ = play(liar, claim.id, liar, number, turn);
			}
		}
	}

	/// The honest hosts read all claims and take their turns.
	fn answer(&self) {
		for claim in Check::claim_views() {
			for honest_host in HONEST {
				// An earlier turn may have ended the claim or changed its state.
				let now = Check::claim_views().into_iter().find(|other| other.id == claim.id);
				now.iter().for_each(|claim| self.answer_claim(honest_host, claim));
			}
		}
	}

	fn answer_claim(&self, name: u8, claim: &ClaimView) {
		let now = System::block_number() as u32;
		let in_time = |game: &&GameView| now <= game.deadline;
		if claim.claimant == raw(name) {
			for game in claim.games.iter().filter(|game| game.stage.is_claimants()).filter(in_time) {
				let turn = claimant(&self.world, claim, game, &*honest());
				play(name, claim.id, name_of(&game.refuter), game.number, turn).unwrap();
			}
			return;
		}
		match claim.games.iter().find(|game| game.refuter == raw(name)) {
			Some(game) if !game.stage.is_claimants() => {
				let turn = refuter(&self.world, claim, Some(game), &*honest());
				play(name, claim.id, name, game.number, turn.expect("something differs")).unwrap();
			},
			None if claim.appointed.is_some() && now <= claim.until => {
				if let Some(turn) = refuter(&self.world, claim, None, &*honest()) {
					let sent = play(name, claim.id, name, 0, turn);
					let full = claim.host != raw(name) && sent == rejected(ValidityError::TooManyGames);
					assert!(sent.is_ok() || full, "{sent:?}");
				}
			},
			_ => {},
		}
	}

	/// Plays all disputes to their ends and closes them.
	fn finish(&self) {
		while Claims::<Test>::count() > 0 {
			pass(1);
			self.answer();
			for claim in Check::claim_views() {
				for game in claim.games {
					let _ = close(claim.id, Some(name_of(&game.refuter)));
				}
				let _ = close(claim.id, None);
			}
		}
		for name in HONEST {
			let standing = pallet_poc::Standings::<Test>::get(0, account(name)).unwrap();
			assert_eq!((standing.offence, standing.forfeited), (None, false));
		}
		// An accusation from before the weighing gives way to a later one of a host with weight, and may be opened again.
		let gave_way = |id: u32| {
			System::events()
				.into_iter()
				.any(|record| matches!(record.event, RuntimeEvent::Check(Event::ClaimDropped { claim }) if claim == id))
		};
		assert!(self.accused.iter().all(|(name, id)| Poc::is_convicted(0, &account(*name)) || gave_way(*id)));
		let convicted = offences();
		assert!(convicted.iter().all(|(who, _, _)| (4..=HOSTS).map(account).any(|liar| liar == *who)));
		let distinct: BTreeSet<_> = convicted.iter().map(|(who, _, what)| (who, *what as u8)).collect();
		assert_eq!(distinct.len(), convicted.len(), "no conviction is recorded twice");
	}

	/// Honest checkers challenge their partners' wrong tags.
	fn challenge_rightly(&self) {
		for name in HONEST {
			let view = Check::check_view(&account(name)).unwrap();
			for duty in &view.duties {
				for set in &duty.sets {
					let Some((partner, Some(theirs))) = set.partner else { continue };
					if set.tag != Some(theirs) {
						let sent = challenge(name, name_of(&partner), name_of(&duty.host), set.number);
						let excuses = [ValidityError::TooManyClaims, ValidityError::SlotUsed, ValidityError::Convicted];
						assert!(sent.is_ok() || excuses.map(rejected).contains(&sent), "{sent:?}");
					}
				}
			}
		}
	}
}

proptest! {
	#![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(32) })]

	#[test]
	fn honest_players_lose_nothing(
		steps in prop::collection::vec(step(), 5..50), challenges in any::<bool>(), diligent in any::<bool>(),
	) {
		run(|| {
			let mut game = Match::new(diligent);
			if challenges {
				game.challenge_rightly();
				game.answer();
			}
			for step in steps {
				game.take(step);
			}
			game.finish();
		});
	}
}
