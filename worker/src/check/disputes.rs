//! Turns in the games about claims: a claimant's from its trace, a refuter's against the claimant's trace.
//!
//! With every block, all open claims are read. A turn follows from the claim as it is on chain and from the store, so
//! that a restart loses nothing.

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

/// Takes this host's turns in all disputes.
pub struct Disputes {
	context: Arc<CheckContext>,
	tasks: Tasks,
	/// Refutations where this host has no place of its own.
	others: Tasks,
	judged: Judged,
	/// Open claims that this host opened, with the epochs and slots of their messages.
	opened: HashMap<u32, (EpochIndex, Hash)>,
}

/// Accusations that were judged, by their [`identity`], and whether they are true.
type Judged = Arc<Mutex<HashMap<Hash, bool>>>;

impl Disputes {
	/// Makes the part.
	pub fn new(context: Arc<CheckContext>) -> Self {
		let others = Tasks::with_max(MAX_OTHERS);
		Self { context, tasks: Tasks::default(), others, judged: Judged::default(), opened: HashMap::new() }
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
		let (own, others): (Vec<_>, Vec<_>) =
			claims.iter().filter(|claim| is_accusation(claim)).partition(|claim| has_place(claim, &me));
		// Where this host is accused or appointed, nobody else may be there to refute.
		let mut is_free = true;
		for claim in own {
			is_free &= self.follow_accusation(snapshot.block, claim, true).await?;
		}
		for claim in others {
			self.follow_accusation(snapshot.block, claim, is_free).await?;
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

	/// Refutes an accusation once its refuters are drawn, if it is false, and closes it when its term is over. Judges it
	/// only if `may_judge`. Returns whether it is judged, or needs no judgement.
	async fn follow_accusation(&mut self, block: BlockNumber, claim: &Arc<ClaimView>, may_judge: bool) -> Result<bool> {
		let me = *self.context.follower.host();
		let is_true = self.judged.lock().await.get(&identity(claim)).copied();
		let is_refuting = claim.games.iter().any(|game| game.refuter == me);
		let may_refute = claim.appointed.is_some() && claim.claimant != me && !is_refuting && block < claim.until;
		// A blind refuter defends itself against what is true.
		let is_moot = is_true == Some(true) && !self.context.conduct.refutes_blindly(claim.epoch);
		let is_done = self.context.outbox.is_done(claim.epoch, &turn_slot(claim, &me, None))?;
		if may_refute && may_judge && !is_moot && !is_done {
			self.play(claim, None);
		}
		if claim.games.is_empty() && is_overdue(block, claim.until, claim.claimant == me) && is_true != Some(false) {
			self.close(claim.id, None);
		}
		Ok(!may_refute || is_true.is_some() || is_done)
	}

	/// Takes a turn in a game. Without a game, begins one if the accusation is false.
	fn play(&mut self, claim: &Arc<ClaimView>, game: Option<GameView>) {
		let (context, claim, judged) = (self.context.clone(), claim.clone(), self.judged.clone());
		let me = *context.follower.host();
		let (refuter, number) = game.as_ref().map_or((me, 0), |game| (game.refuter, game.number));
		let slot = turn_slot(&claim, &refuter, game.as_ref());
		let is_own = game.is_some() || has_place(&claim, &me);
		let tasks = if is_own { &mut self.tasks } else { &mut self.others };
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
		self.tasks.start(slot("close", &(claim, refuter)), span(claim), "closing a claim", async move {
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

/// Returns whether a host has a place of its own among the refuters of a claim.
fn has_place(claim: &ClaimView, host: &AccountId) -> bool {
	claim.host == *host || claim.appointed.as_ref().is_some_and(|appointed| appointed.contains(host))
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
	let is_true = match known {
		Some(known) => known,
		None => {
			let is_true = is_right(context, claim, output).await?;
			let mut judged = judged.lock().await;
			if judged.len() >= MAX_JUDGED {
				judged.clear();
			}
			judged.insert(key, is_true);
			tracing::info!(host = keys::ss58(&claim.host), is_true, "judged an accusation");
			is_true
		},
	};
	if is_true {
		let is_blind = claim.host == *context.follower.host() && context.conduct.refutes_blindly(claim.epoch);
		return Ok(is_blind.then_some(Turn::Pick(0)));
	}
	if !took_part(context, claim).await? {
		return Ok(None);
	}
	let trace = trace(context, claim).await?;
	let pick = first_difference(&trace, &claim.frontier, 0, 0).and_then(|pick| u8::try_from(pick).ok());
	Ok(pick.map(Turn::Pick))
}

/// Returns whether an output is the right one of the disputed leaf. The sprint's thread recomputes the leaf if it has the
/// epoch's model; otherwise the whole trace is computed.
async fn is_right(context: &CheckContext, claim: &ClaimView, output: &[u8]) -> Result<bool> {
	let (id, seed) = claim.leaf.ok_or(CheckError::Missing("disputed leaf"))?;
	if let Ok(checked) = context.oracle.check((claim.model_seed, claim.format), seed, vec![id], 0).await
		&& let [checked] = checked.as_slice()
	{
		let claimed: Vec<i8> = output.iter().map(|value| *value as i8).collect();
		return Ok(id.hash(&claimed) == checked.leaf);
	}
	let trace = trace(context, claim).await?;
	Ok(trace.output().iter().map(|value| *value as u8).eq(output.iter().copied()))
}

/// Returns whether this host took part in the claim's epoch.
async fn took_part(context: &CheckContext, claim: &ClaimView) -> Result<bool> {
	let commitments = context.follower.chain().commitments(claim.epoch, context.follower.host()).await?;
	Ok(!commitments.is_empty())
}
