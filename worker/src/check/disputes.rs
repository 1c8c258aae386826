//! Turns in games about claims: a claimant's out of its trace, a refuter's against it.
//!
//! With every block all open claims are looked at. What a turn is follows from the claim as the chain shows it and
//! from what is on disk, so that nothing is lost by a restart.

use super::{Context, Step, Tasks, outbox::Times, slot};
use crate::{
	chain::{CheckMessage, Snapshot},
	store::{StoreError, check},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::{
	AccountId, BlockNumber, Hash,
	check::{Play, Stage, Turn},
	views::{ClaimView, GameView, SubjectView},
};
use gonka_sprint::{
	Trace,
	dispute::{evidence, find_coordinate, first_difference},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// Blocks after a deadline in which nothing is closed: pools ban for a while what comes too early, and the best block
/// can step back.
const CAUTION: BlockNumber = 1;
/// Blocks after a deadline in which those who take no part leave it to those who do.
const COURTESY: BlockNumber = 4;

/// Accusations whose truth is remembered.
const JUDGED: usize = 1024;

/// Plays in all disputes that are this host's.
pub struct Disputes {
	context: Arc<Context>,
	tasks: Tasks,
	/// Whether accusations are true, as far as that was found out.
	judged: Judged,
}

/// By the accusation's identity.
type Judged = Arc<Mutex<HashMap<Hash, bool>>>;

impl Disputes {
	/// With nothing under way.
	pub fn new(context: Arc<Context>) -> Self {
		Self { context, tasks: Tasks::default(), judged: Judged::default() }
	}

	async fn look(&mut self, snapshot: &Snapshot) -> Result<(), String> {
		let claims = self.context.follower.chain().claims().await.map_err(|error| error.to_string())?;
		if claims.is_empty() {
			self.judged.lock().await.clear();
			self.context.oracle.forget().await;
		}
		let me = *self.context.follower.host();
		for claim in claims {
			let claim = Arc::new(claim);
			for game in &claim.games {
				let mine = if game.stage.is_claimants() { claim.claimant == me } else { game.refuter == me };
				if mine && snapshot.block < game.deadline {
					self.play(&claim, Some(game.clone()));
				}
				let player = claim.claimant == me || game.refuter == me;
				if !mine && is_overdue(snapshot.block, game.deadline, player) {
					self.close(claim.id, Some(game.refuter));
				}
			}
			if let SubjectView::Accusation { .. } = claim.subject {
				let refuting = claim.games.iter().any(|game| game.refuter == me);
				if claim.claimant != me && !refuting && snapshot.block < claim.until {
					self.play(&claim, None);
				}
				let is_false = self.judged.lock().await.get(&identity(&claim)) == Some(&false);
				let overdue = is_overdue(snapshot.block, claim.until, claim.claimant == me);
				if claim.games.is_empty() && overdue && !is_false {
					self.close(claim.id, None);
				}
			}
		}
		Ok(())
	}

	/// Takes a turn in a game, or, without one, begins one if the accusation is false.
	fn play(&mut self, claim: &Arc<ClaimView>, game: Option<GameView>) {
		let (context, claim, judged) = (self.context.clone(), claim.clone(), self.judged.clone());
		let me = *context.follower.host();
		let (refuter, number) = game.as_ref().map_or((me, 0), |game| (game.refuter, game.number));
		let slot = slot("play", &(claim.id, identity(&claim), &claim.frontier, refuter, &game));
		self.tasks.start(slot, async move {
			let (turn, times) = match &game {
				Some(game) if game.stage.is_claimants() => (claimants(&context, &claim, game).await?, Times::Asked),
				Some(game) => (refuters(&context, &claim, game).await?, Times::Asked),
				None if context.outbox.is_settled(claim.epoch, &slot)? => return Ok(()),
				None => (refutation(&context, &claim, &judged).await?, Times::Once),
			};
			let Some(turn) = turn else { return Ok(()) };
			let play = Play { player: me, claim: claim.id, refuter, number, turn };
			context.outbox.send(claim.epoch, slot, times, CheckMessage::Play(play)).await
		});
	}

	/// Closes a claim, or a game. Whoever does it first wins nothing more than the others.
	fn close(&mut self, claim: u32, refuter: Option<AccountId>) {
		let context = self.context.clone();
		self.tasks.start(slot("close", &(claim, refuter)), async move {
			let closed = context.follower.chain().submit_close(claim, refuter).await;
			closed.map_err(|error| format!("claim {claim} was not closed: {error}"))
		});
	}
}

impl Step for Disputes {
	const NAME: &'static str = "looking at disputes";

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
		self.look(snapshot).boxed()
	}
}

/// Whether it is time to close what has this deadline.
fn is_overdue(best: BlockNumber, deadline: BlockNumber, takes_part: bool) -> bool {
	best >= deadline.saturating_add(if takes_part { CAUTION } else { COURTESY })
}

/// What does not change about a claim.
fn identity(claim: &ClaimView) -> Hash {
	slot("claim", &(claim.id, claim.epoch, claim.claimant, claim.host, claim.model_seed, claim.leaf))
}

/// The right computation of the leaf in question.
async fn trace(context: &Context, claim: &ClaimView) -> Result<Arc<Trace>, String> {
	let (id, seed) = claim.leaf.ok_or("the leaf is not named yet")?;
	context.oracle.trace((claim.model_seed, claim.profile), seed, id).await
}

/// The claimant's turn; `None` if this host has nothing to show.
async fn claimants(context: &Context, claim: &ClaimView, game: &GameView) -> Result<Option<Turn>, String> {
	if let (Stage::Digests, SubjectView::Challenge { set, .. }) = (game.stage, &claim.subject) {
		let stored = context.store.read(|tx| check::set(tx, claim.epoch, &claim.host, *set)).map_err(text)?;
		return Ok(stored.map(|stored| Turn::Digests(stored.digests())));
	}
	let trace = trace(context, claim).await?;
	#[cfg(feature = "hostile")]
	let trace = crate::hostile::bent(trace);
	Ok(claimants_turn(&trace, claim, game))
}

/// The claimant's turn out of its trace.
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

/// The refuter's turn; `None` if there is nothing to refute.
async fn refuters(context: &Context, claim: &ClaimView, game: &GameView) -> Result<Option<Turn>, String> {
	if let (Stage::Leaf, SubjectView::Challenge { set, digests, .. }) = (game.stage, &claim.subject) {
		let stored = context.store.read(|tx| check::set(tx, claim.epoch, &claim.host, *set)).map_err(text)?;
		let leaves = stored.map(|stored| stored.leaves).unwrap_or_default();
		let wrong = (0u8..).zip(&leaves).zip(digests).find(|((_, mine), theirs)| mine.digest != **theirs);
		return Ok(wrong.map(|((number, leaf), _)| Turn::Leaf { number, lane: leaf.lane.clone() }));
	}
	Ok(refuters_turn(&*trace(context, claim).await?, claim, game))
}

/// The refuter's turn against the claimant's trace, of which `trace` is the right one.
pub fn refuters_turn(trace: &Trace, claim: &ClaimView, game: &GameView) -> Option<Turn> {
	let pick = |theirs: &[Hash], step, node| {
		let pick = first_difference(trace, theirs, step, node);
		#[cfg(feature = "hostile")]
		let pick = pick.or_else(|| crate::hostile::bluff(claim.epoch));
		pick.and_then(|pick| u8::try_from(pick).ok()).map(Turn::Pick)
	};
	match game.stage {
		Stage::Node => pick(&claim.frontier, 0, 0),
		Stage::Block => pick(&game.children, 1, game.picked?.into()),
		Stage::Value => {
			let index = disputed(trace, game)?;
			let coordinate = find_coordinate(trace, index, &game.bytes);
			#[cfg(feature = "hostile")]
			let coordinate = coordinate.or_else(|| crate::hostile::bluff(claim.epoch));
			Some(Turn::Value { coordinate: coordinate?, inputs: evidence(trace, index, coordinate?)? })
		},
		_ => None,
	}
}

/// The block that a game is about.
fn disputed(trace: &Trace, game: &GameView) -> Option<u32> {
	trace.layout().child_index(1, game.picked?.into(), game.block?.into())
}

/// The first turn against an accusation: `None` if it is true, or this host did not race.
async fn refutation(context: &Context, claim: &ClaimView, judged: &Judged) -> Result<Option<Turn>, String> {
	let (key, SubjectView::Accusation { output }) = (identity(claim), &claim.subject) else { return Ok(None) };
	let known = judged.lock().await.get(&key).copied();
	let is_true = match known {
		Some(known) => known,
		None => {
			let is_true = is_right(context, claim, output).await?;
			let mut judged = judged.lock().await;
			if judged.len() >= JUDGED {
				judged.clear();
			}
			judged.insert(key, is_true);
			tracing::info!(claim = claim.id, host = hex::encode(claim.host), is_true, "looked into an accusation");
			is_true
		},
	};
	#[cfg(feature = "hostile")]
	if is_true && claim.host == *context.follower.host() {
		return Ok(crate::hostile::bluff(claim.epoch).map(|_| Turn::Pick(0)));
	}
	if is_true || !raced(context, claim).await? {
		return Ok(None);
	}
	let trace = trace(context, claim).await?;
	let pick = first_difference(&trace, &claim.frontier, 0, 0).and_then(|pick| u8::try_from(pick).ok());
	Ok(pick.map(Turn::Pick))
}

/// Whether an output is the leaf's right one. One leaf of the sprint's thread tells, unless the epoch is another.
async fn is_right(context: &Context, claim: &ClaimView, output: &[u8]) -> Result<bool, String> {
	let (id, seed) = claim.leaf.ok_or("an accusation without a leaf")?;
	let basis = (claim.model_seed, claim.profile);
	if let Ok(checked) = context.oracle.check(basis, seed, vec![id], 0).await
		&& let [checked] = checked.as_slice()
	{
		let claimed: Vec<i8> = output.iter().map(|value| *value as i8).collect();
		return Ok(id.hash(&claimed) == checked.leaf);
	}
	let trace = trace(context, claim).await?;
	Ok(trace.output().iter().map(|value| *value as u8).eq(output.iter().copied()))
}

async fn raced(context: &Context, claim: &ClaimView) -> Result<bool, String> {
	let made = context.follower.chain().commitments(claim.epoch, context.follower.host()).await;
	made.map(|made| !made.is_empty()).map_err(|error| error.to_string())
}

fn text(error: StoreError) -> String {
	error.to_string()
}
