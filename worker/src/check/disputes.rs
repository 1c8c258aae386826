//! Turns in the games about claims: a claimant's from its trace, a refuter's against the claimant's trace.
//!
//! With every block, all open claims are read. A turn follows from the claim as it is on chain and from the store, so
//! that a restart loses nothing.
//!
//! Accusations may come in floods. Turns of games that have begun come first, then accusations of this host, then those
//! for which it is appointed, then all others. Each worker has an order of its own, so that they divide the work.

use super::{
	CheckContext, CheckError, Result,
	checker::{accusation_slot, challenge_slot},
	outbox::Delivery,
};
use crate::{
	chain::{CheckMessage, Snapshot},
	store::check,
	tasks::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_client::keys;
use gonka_primitives::{
	AccountId, BlockNumber, EpochIndex, Hash,
	check::{Challenge, Play, Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{
	Trace,
	dispute::{evidence, find_coordinate, first_difference},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// Blocks after a deadline before a party closes: pools ban for a while what comes too early, and the best block can step
/// back.
const PARTY_DELAY: BlockNumber = 1;
/// Blocks after a deadline before any other host closes, to leave it to the parties.
const OTHERS_DELAY: BlockNumber = 4;
/// Maximum number of remembered accusations.
const MAX_JUDGED: usize = 1024;
/// Maximum number of accusations that are judged at the same time where this host has no place of its own.
const MAX_OTHERS: usize = 8;
/// Maximum number of tasks of a kind where this host is a party: more than claims can be open.
const MAX_OWN: usize = 512;
/// Number of games that a host begins, unless it is accused, for each trace that it computes at the same time. A trace of
/// P400 takes about a second, and a turn of mainnet a minute.
const MAX_GAMES: usize = 16;

/// Takes this host's turns in all disputes.
pub struct Disputes {
	context: Arc<CheckContext>,
	/// Turns of games that have begun.
	turns: Tasks,
	closings: Tasks,
	/// First turns against accusations of this host.
	defences: Tasks,
	/// First turns where this host is appointed.
	appointed: Tasks,
	/// First turns where this host has no place of its own.
	others: Tasks,
	/// Maximum number of games in which this host may be a refuter before it begins another one.
	max_games: usize,
	judged: Judged,
	/// Open claims that this host opened, with the epochs and slots of their messages.
	opened: HashMap<u32, (EpochIndex, Hash)>,
}

/// A host's place among the refuters of an accusation, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
	Accused,
	Appointed,
	Other,
}

/// Accusations that were judged, by their [`identity`], and whether they are true.
type Judged = Arc<Mutex<HashMap<Hash, bool>>>;

impl Disputes {
	/// Makes the part.
	pub fn new(context: Arc<CheckContext>) -> Self {
		let max_games = context.oracle.parallel().saturating_mul(MAX_GAMES);
		Self {
			context,
			turns: Tasks::with_max(MAX_OWN),
			closings: Tasks::default(),
			defences: Tasks::with_max(MAX_OWN),
			appointed: Tasks::with_max(max_games),
			others: Tasks::with_max(MAX_OTHERS),
			max_games,
			judged: Judged::default(),
			opened: HashMap::new(),
		}
	}

	async fn follow_claims(&mut self, snapshot: &Snapshot) -> Result<()> {
		let claims = self.context.follower.chain().claims().await?;
		if claims.is_empty() {
			self.judged.lock().await.clear();
			self.context.oracle.forget().await;
		}
		self.reopen(&claims).await?;
		let claims: Vec<_> = claims.into_iter().map(Arc::new).collect();
		for claim in &claims {
			self.follow_games(snapshot.block, claim);
		}
		let me = *self.context.follower.host();
		let mut games = claims.iter().flat_map(|claim| &claim.games).filter(|game| game.refuter == me).count();
		// Where this host is accused or appointed, nobody else may be there to refute.
		let mut is_free = true;
		for (role, claim) in ordered(&claims, &me) {
			let is_true = self.judged.lock().await.get(&identity(claim)).copied();
			let is_over = is_overdue(snapshot.block, claim.until, claim.claimant == me);
			if claim.games.is_empty() && is_over && is_true != Some(false) {
				self.close(claim.id, None);
			}
			if !self.may_refute(snapshot.block, claim, is_true)? {
				continue;
			}
			let may_begin = match role {
				Role::Accused => true,
				Role::Appointed => games < self.max_games,
				Role::Other => is_free && games < self.max_games,
			};
			if may_begin {
				self.play(claim, None);
				games = games.saturating_add(1);
			}
			is_free &= role == Role::Other || is_true.is_some();
		}
		Ok(())
	}

	/// Opens claims again that are no longer there: they may have given way to a heavier host's.
	async fn reopen(&mut self, claims: &[ClaimView]) -> Result<()> {
		let me = *self.context.follower.host();
		let opened = claims.iter().filter_map(|claim| Some((claim.id, (claim.epoch, opening_slot(claim, &me)?))));
		let before = std::mem::replace(&mut self.opened, opened.collect());
		for (_, (epoch, slot)) in before.into_iter().filter(|(id, _)| !self.opened.contains_key(id)) {
			self.context.outbox.reopen(epoch, slot).await?;
		}
		Ok(())
	}

	/// Plays and closes in the games of one claim.
	fn follow_games(&mut self, block: BlockNumber, claim: &Arc<ClaimView>) {
		let me = *self.context.follower.host();
		for game in &claim.games {
			let is_mine = if game.stage.is_claimants() { claim.claimant == me } else { game.refuter == me };
			if is_mine && block < game.deadline {
				self.play(claim, Some(game.clone()));
			}
			let is_party = claim.claimant == me || game.refuter == me;
			if !is_mine && is_overdue(block, game.deadline, is_party) {
				self.close(claim.id, Some(game.refuter));
			}
		}
	}

	/// Returns whether this host may still refute an accusation: its refuters are drawn, and it is not judged to be true.
	fn may_refute(&self, block: BlockNumber, claim: &ClaimView, is_true: Option<bool>) -> Result<bool> {
		let me = *self.context.follower.host();
		let is_refuting = claim.games.iter().any(|game| game.refuter == me);
		let is_open = claim.appointed.is_some() && claim.claimant != me && !is_refuting && block < claim.until;
		// A blind refuter defends itself against what is true.
		let is_moot = is_true == Some(true) && !self.context.conduct.refutes_blindly(claim.epoch);
		Ok(is_open && !is_moot && !self.context.outbox.is_done(claim.epoch, &turn_slot(claim, &me, None))?)
	}

	/// Takes a turn in a game. Without a game, begins one if the accusation is false.
	fn play(&mut self, claim: &Arc<ClaimView>, game: Option<GameView>) {
		let (context, claim, judged) = (self.context.clone(), claim.clone(), self.judged.clone());
		let me = *context.follower.host();
		let (refuter, number) = game.as_ref().map_or((me, 0), |game| (game.refuter, game.number));
		let slot = turn_slot(&claim, &refuter, game.as_ref());
		let tasks = match (&game, Role::of(&claim, &me)) {
			(Some(_), _) => &mut self.turns,
			(None, Role::Accused) => &mut self.defences,
			(None, Role::Appointed) => &mut self.appointed,
			(None, Role::Other) => &mut self.others,
		};
		tasks.start(slot, span(claim.id), "a turn in a dispute", async move {
			let (turn, delivery) = match &game {
				Some(game) if game.stage.is_claimants() => {
					(claimants(&context, &claim, game).await?, Delivery::Repeated)
				},
				Some(game) => (refuters(&context, &claim, game).await?, Delivery::Repeated),
				None => (refutation(&context, &claim, &judged).await?, Delivery::Once),
			};
			let Some(turn) = turn else { return Ok(()) };
			let play = Play { player: me, claim: claim.id, refuter, number, turn };
			context.outbox.send(claim.epoch, slot, delivery, CheckMessage::Play(play)).await
		});
	}

	/// Closes a claim, or a game. It does not matter which host closes first.
	fn close(&mut self, claim: u32, refuter: Option<AccountId>) {
		let context = self.context.clone();
		self.closings.start(slot("close", &(claim, refuter)), span(claim), "closing a claim", async move {
			let closed = context.follower.chain().submit_close(claim, refuter).await;
			closed.map_err(|source| CheckError::NotIncluded { message: "the closing of a claim", source })
		});
	}
}

/// The span of a claim.
fn span(claim: u32) -> tracing::Span {
	tracing::info_span!("dispute", claim)
}

impl Step for Disputes {
	const NAME: &'static str = "following disputes";
	type Error = CheckError;

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.follow_claims(snapshot).boxed()
	}
}

/// Returns whether this host should close what has passed its deadline.
fn is_overdue(best: BlockNumber, deadline: BlockNumber, is_party: bool) -> bool {
	best >= deadline.saturating_add(if is_party { PARTY_DELAY } else { OTHERS_DELAY })
}

/// Returns whether a claim is an accusation.
fn is_accusation(claim: &ClaimView) -> bool {
	matches!(claim.subject, SubjectView::Accusation { .. })
}

impl Role {
	/// Returns a host's place among the refuters of a claim.
	fn of(claim: &ClaimView, host: &AccountId) -> Self {
		if claim.host == *host {
			Self::Accused
		} else if claim.appointed.as_ref().is_some_and(|appointed| appointed.contains(host)) {
			Self::Appointed
		} else {
			Self::Other
		}
	}
}

/// Returns the accusations in the order in which a host refutes them.
fn ordered<'a>(claims: &'a [Arc<ClaimView>], host: &AccountId) -> Vec<(Role, &'a Arc<ClaimView>)> {
	let accusations = claims.iter().filter(|claim| is_accusation(claim));
	let mut ordered: Vec<_> = accusations.map(|claim| (Role::of(claim, host), claim)).collect();
	ordered.sort_by_cached_key(|(role, claim)| (*role, slot("refutation order", &(host, claim.id))));
	ordered
}

/// Returns the slot of the message by which `host` opened a claim; `None` if another host did.
fn opening_slot(claim: &ClaimView, host: &AccountId) -> Option<Hash> {
	match claim.subject {
		SubjectView::Accusation { .. } => (claim.claimant == *host).then(|| accusation_slot(claim.epoch, &claim.host)),
		SubjectView::Challenge { round, set, .. } => {
			let (epoch, checker) = (claim.epoch, claim.claimant);
			let challenge = Challenge { challenger: *host, epoch, round, checker, host: claim.host, set };
			claim.games.iter().any(|game| game.refuter == *host).then(|| challenge_slot(&challenge))
		},
	}
}

/// Returns the slot of a turn.
fn turn_slot(claim: &ClaimView, refuter: &AccountId, game: Option<&GameView>) -> Hash {
	slot("play", &(claim.id, identity(claim), &claim.frontier, refuter, &game))
}

/// Returns the hash of the parts of a claim that never change.
fn identity(claim: &ClaimView) -> Hash {
	slot("claim", &(claim.id, claim.epoch, claim.claimant, claim.host, claim.model_seed, claim.leaf))
}

/// Computes the right trace of the disputed leaf.
async fn trace(context: &CheckContext, claim: &ClaimView) -> Result<Arc<Trace>> {
	let (id, seed) = claim.leaf.ok_or(CheckError::Missing("disputed leaf"))?;
	Ok(context.oracle.trace((claim.model_seed, claim.format), seed, id).await?)
}

/// Returns the claimant's turn; `None` if this host has nothing to show.
async fn claimants(context: &CheckContext, claim: &ClaimView, game: &GameView) -> Result<Option<Turn>> {
	if let (Stage::Digests, SubjectView::Challenge { round, set, .. }) = (game.stage, &claim.subject) {
		let stored = context.store.read(|tx| check::set(tx, (claim.epoch, *round), &claim.host, *set))?;
		return Ok(stored.map(|stored| Turn::Digests(stored.digests())));
	}
	let trace = context.conduct.claimed_trace(trace(context, claim).await?);
	Ok(claimants_turn(&trace, claim, game))
}

/// Returns the claimant's turn from its trace.
pub fn claimants_turn(trace: &Trace, claim: &ClaimView, game: &GameView) -> Option<Turn> {
	match (game.stage, &claim.subject) {
		(Stage::Trace, SubjectView::Challenge { layer, .. }) => {
			Some(Turn::Trace { frontier: trace.frontier().to_vec(), path: trace.digest_path(*layer)? })
		},
		(Stage::Children, _) => Some(Turn::Children(trace.children(1, game.picked?.into())?.to_vec())),
		(Stage::Bytes, _) => Some(Turn::Block(trace.block(disputed(trace, game)?)?.to_vec())),
		_ => None,
	}
}

/// Returns the refuter's turn; `None` if there is nothing to refute.
async fn refuters(context: &CheckContext, claim: &ClaimView, game: &GameView) -> Result<Option<Turn>> {
	if let (Stage::Leaf, SubjectView::Challenge { round, set, digests, .. }) = (game.stage, &claim.subject) {
		let stored = context.store.read(|tx| check::set(tx, (claim.epoch, *round), &claim.host, *set))?;
		let leaves = stored.map(|stored| stored.leaves).unwrap_or_default();
		let wrong = (0u8..).zip(&leaves).zip(digests).find(|((_, mine), theirs)| mine.digest != **theirs);
		return Ok(wrong.map(|((number, leaf), _)| Turn::Leaf { number, lane: leaf.lane.clone() }));
	}
	let is_blind = context.conduct.refutes_blindly(claim.epoch);
	Ok(refuters_turn(&*trace(context, claim).await?, claim, game, is_blind))
}

/// Returns the refuter's turn against the claimant's trace. `trace` is the right one. A blind refuter picks the first
/// child or value where it finds no difference.
pub fn refuters_turn(trace: &Trace, claim: &ClaimView, game: &GameView, is_blind: bool) -> Option<Turn> {
	let fallback = is_blind.then_some(0);
	let pick = |theirs: &[Hash], step, node| {
		let pick = first_difference(trace, theirs, step, node).or(fallback);
		pick.and_then(|pick| u8::try_from(pick).ok()).map(Turn::Pick)
	};
	match game.stage {
		Stage::Node => pick(&claim.frontier, 0, 0),
		Stage::Block => pick(&game.children, 1, game.picked?.into()),
		Stage::Value => {
			let index = disputed(trace, game)?;
			let coordinate = find_coordinate(trace, index, &game.bytes).or(fallback)?;
			Some(Turn::Value { coordinate, inputs: evidence(trace, index, coordinate)? })
		},
		_ => None,
	}
}

/// Returns the index of the block that a game is about.
fn disputed(trace: &Trace, game: &GameView) -> Option<u32> {
	trace.layout().child_index(1, game.picked?.into(), game.block?.into())
}

/// Returns the first turn against an accusation; `None` if the accusation is true, or this host did not take part in the
/// sprint.
async fn refutation(context: &CheckContext, claim: &ClaimView, judged: &Judged) -> Result<Option<Turn>> {
	let (key, SubjectView::Accusation { output }) = (identity(claim), &claim.subject) else { return Ok(None) };
	let known = judged.lock().await.get(&key).copied();
	let (is_true, computed) = match known {
		Some(known) => (known, None),
		None => {
			let (is_true, computed) = is_right(context, claim, output).await?;
			let mut judged = judged.lock().await;
			if judged.len() >= MAX_JUDGED {
				judged.clear();
			}
			judged.insert(key, is_true);
			tracing::info!(host = keys::ss58(&claim.host), is_true, "judged an accusation");
			(is_true, computed)
		},
	};
	if is_true {
		let is_blind = claim.host == *context.follower.host() && context.conduct.refutes_blindly(claim.epoch);
		return Ok(is_blind.then_some(Turn::Pick(0)));
	}
	if !took_part(context, claim).await? {
		return Ok(None);
	}
	let trace = match computed {
		Some(trace) => trace,
		None => first_trace(context, claim).await?,
	};
	let pick = first_difference(&trace, &claim.frontier, 0, 0).and_then(|pick| u8::try_from(pick).ok());
	Ok(pick.map(Turn::Pick))
}

/// Returns whether an output is the right one of the disputed leaf. The sprint's thread recomputes the leaf if it has the
/// epoch's model and is free; otherwise the whole trace is computed, and returned, too.
async fn is_right(context: &CheckContext, claim: &ClaimView, output: &[u8]) -> Result<(bool, Option<Arc<Trace>>)> {
	let (id, seed) = claim.leaf.ok_or(CheckError::Missing("disputed leaf"))?;
	if let Some(leaf) = context.oracle.leaf_soon((claim.model_seed, claim.format), seed, id).await {
		let claimed: Vec<i8> = output.iter().map(|value| *value as i8).collect();
		return Ok((id.hash(&claimed) == leaf, None));
	}
	let trace = first_trace(context, claim).await?;
	Ok((trace.output().iter().map(|value| *value as u8).eq(output.iter().copied()), Some(trace)))
}

/// Computes the trace for a new refutation, after turns of games that have begun.
async fn first_trace(context: &CheckContext, claim: &ClaimView) -> Result<Arc<Trace>> {
	// Nobody closes the semaphore.
	let _permit = context.refutations.acquire().await.ok();
	trace(context, claim).await
}

/// Returns whether this host took part in the claim's epoch.
async fn took_part(context: &CheckContext, claim: &ClaimView) -> Result<bool> {
	let commitments = context.follower.chain().commitments(claim.epoch, context.follower.host()).await?;
	Ok(!commitments.is_empty())
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_sprint::SprintFormat;

	#[test]
	fn accusations_of_the_host_come_first_and_workers_divide_the_others() {
		let claim = |id: u32, host: u8, appointed: &[u8]| {
			Arc::new(ClaimView {
				id,
				epoch: 5,
				format: SprintFormat::Nano,
				model_seed: [1; 32],
				claimant: [66; 32],
				host: [host; 32],
				subject: SubjectView::Accusation { output: Vec::new() },
				leaf: None,
				frontier: Vec::new(),
				until: 130,
				appointed: Some(appointed.iter().map(|host| [*host; 32]).collect()),
				games: Vec::new(),
			})
		};
		let mut claims: Vec<_> = (0..20).map(|id| claim(id, 9, &[])).collect();
		claims.extend((20..40).map(|id| claim(id, 9, &[1, 2])));
		claims.extend([claim(40, 1, &[2]), claim(41, 2, &[1])]);
		let order = |host| ordered(&claims, &[host; 32]).iter().map(|(_, claim)| claim.id).collect::<Vec<u32>>();
		let (first, second) = (order(1), order(2));
		assert_eq!((first[0], second[0]), (40, 41));
		assert!(first[1..22].iter().all(|id| (20..42).contains(id)) && first[22..].iter().all(|id| *id < 20));
		let place = |order: &[u32], id| order.iter().position(|other| *other == id);
		assert!((20..40).any(|id| place(&first, id) != place(&second, id)), "each worker has an order of its own");
	}
}
