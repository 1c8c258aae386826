//! The check of one host's leaves: fetched from its worker or requested on chain, recomputed, and compared.

use super::{
	CheckContext, CheckError, Result,
	outbox::Delivery,
	silent::{Rank, Silent},
};
use crate::{
	chain::CheckMessage,
	peer::Target,
	store::{
		Durability,
		check::{self, StoredLeaf, StoredSet, Suspect},
	},
	tasks::slot,
};
use futures::{StreamExt, stream};
use gonka_client::{keys, worker_api::MAX_POSITIONS};
use gonka_primitives::{
	AccountId, BlockNumber, Hash,
	check::{MAX_REQUESTED, OpeningRequest},
	validity::SprintCheck,
	views::{CheckView, DutyView, EpochView},
};
use gonka_sprint::{
	Commitment, LaneProof, LeafId, LeafOpening,
	committee::{leaf_set, set_size},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Maximum number of queries to one host at the same time.
const MAX_QUERIES: usize = 8;
/// Number of leaves that are recomputed in one job.
const JOB: usize = 32;

/// Position of a leaf: the segment, and the position in its commitment.
type Position = (u8, u64);

/// Verified openings of a host's commitments.
#[derive(Default)]
struct Shown {
	openings: HashMap<Position, LeafOpening>,
	/// Proofs of different lanes, by segment.
	lanes: HashMap<u8, Vec<LaneProof>>,
}

impl Shown {
	/// Adds an opening, if it is one of the commitment.
	fn add(&mut self, commitment: &Commitment, (segment, position): Position, opening: LeafOpening) {
		if commitment.verify(position, &opening).is_none() {
			return;
		}
		let lanes = self.lanes.entry(segment).or_default();
		if !lanes.contains(&opening.lane) {
			lanes.push(opening.lane.clone());
		}
		self.openings.insert((segment, position), opening);
	}

	/// Returns lane and index of the leaf at a position, with the proof of the lane, which comes from any opening of the
	/// lane.
	fn locate(&self, commitment: &Commitment, (segment, position): Position) -> Option<(u16, u64, &LaneProof)> {
		let lanes = self.lanes.get(&segment)?;
		lanes.iter().find_map(|proof| commitment.locate(position, proof).map(|(lane, index)| (lane, index, proof)))
	}
}

/// A host that is checked.
struct Subject<'a> {
	context: &'a CheckContext,
	epoch: &'a EpochView,
	view: &'a CheckView,
	silent: &'a Silent,
	/// Its rank among the silent hosts, should it be one.
	rank: Rank,
	host: AccountId,
	url: &'a [u8],
	commitments: BTreeMap<u8, Commitment>,
}

/// Checks the leaf sets of a duty that are not stored yet. Stores them, and the wrong leaves.
/// `silent` has the hosts of the round that served no openings so far.
pub async fn check(
	context: &CheckContext,
	epoch: &EpochView,
	view: &CheckView,
	silent: &Silent,
	duty: &DutyView,
) -> Result<()> {
	let counts: Vec<(u8, u64)> = duty.commitments.iter().map(|(segment, made)| (*segment, made.count)).collect();
	let mut sets: Vec<(u8, Vec<Position>)> = Vec::new();
	for set in &duty.sets {
		let stored = context.store.read(|tx| check::set(tx, (epoch.index, view.round), &duty.host, set.number))?;
		if stored.is_none_or(|stored| stored.beacon != view.beacon) {
			let leaves = leaf_set(&view.beacon, &duty.host, set.number.into(), &counts, set_size(view.round));
			sets.push((set.number, leaves));
		}
	}
	let subject = Subject {
		context,
		epoch,
		view,
		silent,
		rank: Rank::of(view, duty, context.follower.host()),
		host: duty.host,
		url: &duty.url,
		commitments: duty.commitments.iter().copied().collect(),
	};
	let positions: BTreeSet<Position> = sets.iter().flat_map(|(_, positions)| positions).copied().collect();
	let mut shown = Shown::default();
	// Nobody closes the semaphore.
	let permit = context.fetches.acquire().await.ok();
	subject.fetch(&mut shown, &positions).await;
	// Silent hosts must not keep others waiting.
	drop(permit);
	if positions.iter().any(|position| !shown.openings.contains_key(position)) {
		let turn = duty.sets.first().map_or(0, |set| set.number);
		subject.request(&mut shown, &positions, turn).await?;
	}
	let _permit = context.checks.acquire().await.ok();
	let digests = subject.recompute(&shown, &positions).await?;
	for (number, positions) in sets {
		let leaf = |position: &Position| {
			let (_, lane) = subject.locate(&shown, *position)?;
			Some(StoredLeaf { lane: lane.clone(), digest: *digests.get(position)? })
		};
		let Some(leaves) = positions.iter().map(leaf).collect() else { continue };
		let (set, round, host) = (StoredSet { beacon: view.beacon, leaves }, (epoch.index, view.round), duty.host);
		context.store.write(Durability::Now, move |tx| check::put_set(tx, round, &host, number, &set)).await?;
	}
	Ok(())
}

impl Subject<'_> {
	/// Fetches openings from the host's worker.
	async fn fetch(&self, shown: &mut Shown, positions: &BTreeSet<Position>) {
		let mut by_segment: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
		for (segment, position) in positions {
			by_segment.entry(*segment).or_default().push(*position);
		}
		let queries: Vec<(u8, Vec<u64>)> = by_segment
			.iter()
			.flat_map(|(segment, all)| all.chunks(MAX_POSITIONS).map(|part| (*segment, part.to_vec())))
			.collect();
		let target = Target { host: &self.host, url: self.url, epoch: self.epoch.index };
		let query = |(segment, positions): (u8, Vec<u64>)| async move {
			let response = self.context.peers.openings(target, segment, &positions).await;
			(segment, positions, response)
		};
		let mut responses = stream::iter(queries.into_iter().map(query)).buffer_unordered(MAX_QUERIES);
		while let Some((segment, positions, response)) = responses.next().await {
			match response {
				Ok(openings) => self.add(shown, segment, &positions, openings),
				Err(error) => {
					let host = keys::ss58(&self.host);
					tracing::warn!(host, segment, %error, "a host does not serve openings");
				},
			}
		}
	}

	fn add(&self, shown: &mut Shown, segment: u8, positions: &[u64], openings: Vec<LeafOpening>) {
		let Some(commitment) = self.commitments.get(&segment) else { return };
		for (position, opening) in positions.iter().zip(openings) {
			shown.add(commitment, (segment, *position), opening);
		}
	}

	/// Requests some of the missing openings on chain, once, and waits until requests to the host are settled: those of
	/// other checkers help, too, since one opening locates all leaves of its lane. `turn` differs between the checkers
	/// of the host, so that they request different leaves.
	async fn request(&self, shown: &mut Shown, positions: &BTreeSet<Position>, turn: u8) -> Result<()> {
		let (epoch, checker) = (self.epoch.index, *self.context.follower.host());
		let wanted = self.choose_request(shown, positions, turn);
		if wanted.is_empty() {
			return Ok(());
		}
		let round = self.view.round;
		let Some(draw) = self.epoch.schedule.draw_of(round, &self.epoch.confirmations) else { return Ok(()) };
		let request = OpeningRequest { checker, epoch, round, host: self.host, positions: wanted };
		let slot = slot("request", &(self.host, self.view.beacon));
		self.silent.add(self.rank);
		let mut is_refused = false;
		let mut snapshots = self.context.follower.subscribe();
		loop {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { return Ok(()) };
			let next = snapshot.next_offset();
			let may_request = self.epoch.schedule.takes_request(draw, next) && !is_refused;
			let (mut mine, mut mine_open, mut open) = (false, false, false);
			let requests = self.context.follower.chain().opening_requests(&self.host).await?;
			for request in requests.into_iter().filter(|request| (request.epoch, request.round) == (epoch, round)) {
				let is_mine = request.checker == checker;
				let is_open = request.openings.is_none() && snapshot.block < request.deadline;
				(mine, mine_open, open) = (mine || is_mine, mine_open || is_mine && is_open, open || is_open);
				for ((segment, position), opening) in
					request.positions.into_iter().zip(request.openings.into_iter().flatten())
				{
					self.add(shown, segment, &[position], vec![opening]);
				}
			}
			if !mine && may_request && self.silent.may_request(self.rank, &self.epoch.schedule, (draw, next)) {
				let message = CheckMessage::Request(request.clone());
				if let Err(error) = self.context.outbox.send(epoch, slot, Delivery::Repeated, message).await {
					is_refused = is_too_many(&error);
					let next = if is_refused {
						"no request is left in this round"
					} else {
						"trying again while there is time"
					};
					tracing::warn!(%error, "cannot request openings; {next}");
				}
			}
			let all_located = positions.iter().all(|position| self.locate(shown, *position).is_some());
			let waits = if all_located { mine_open || !mine && may_request } else { open || may_request };
			if !waits || snapshots.changed().await.is_err() {
				return Ok(());
			}
		}
	}

	/// Chooses the positions to request: one of each segment with a missing opening, then another one of each, as many as
	/// a request may name. Segments without any opening come first.
	fn choose_request(&self, shown: &Shown, positions: &BTreeSet<Position>, turn: u8) -> Vec<Position> {
		let mut missing: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
		for (segment, position) in positions.iter().filter(|position| !shown.openings.contains_key(*position)) {
			missing.entry(*segment).or_default().push(*position);
		}
		let mut wanted = Vec::new();
		for (segment, mut positions) in missing {
			let turn = usize::from(turn).checked_rem(positions.len()).unwrap_or(0);
			positions.rotate_left(turn);
			let is_known = shown.lanes.contains_key(&segment);
			wanted
				.extend((0..).zip(positions).map(|(round, position): (usize, _)| (round, is_known, segment, position)));
		}
		wanted.sort_unstable_by_key(|(round, is_known, ..)| (*round, *is_known));
		wanted.truncate(MAX_REQUESTED as usize);
		let mut wanted: Vec<Position> =
			wanted.into_iter().map(|(_, _, segment, position)| (segment, position)).collect();
		wanted.sort_unstable();
		wanted
	}

	fn locate<'a>(&self, shown: &'a Shown, position: Position) -> Option<(LeafId, &'a LaneProof)> {
		let (lane, index, proof) = shown.locate(self.commitments.get(&position.0)?, position)?;
		Some((LeafId { host: self.host, epoch: self.epoch.index, segment: position.0, lane, index }, proof))
	}

	/// Returns the digests of all leaves that can be located. Stores a leaf that the host did not compute right.
	async fn recompute(&self, shown: &Shown, positions: &BTreeSet<Position>) -> Result<HashMap<Position, Hash>> {
		let mut ids: BTreeMap<u8, Vec<(Position, LeafId)>> = BTreeMap::new();
		for position in positions {
			if let Some((id, _)) = self.locate(shown, *position) {
				ids.entry(position.0).or_default().push((*position, id));
			}
		}
		let (source, mut digests) = ((self.epoch.model_seed, self.epoch.format), HashMap::new());
		for (segment, all) in ids {
			let Some(seed) = self.epoch.segment_seeds.get(usize::from(segment)) else { continue };
			for part in all.chunks(JOB) {
				let leaves = part.iter().map(|(_, id)| *id).collect();
				let checked = self.context.oracle.check(source, *seed, leaves, self.view.layer).await?;
				for ((position, id), checked) in part.iter().zip(checked) {
					digests.insert(*position, checked.digest);
					if let Some(opening) = shown.openings.get(position)
						&& self.context.conduct.accuses(id, &checked.leaf, &opening.leaf)
					{
						self.suspect(*position, opening).await?;
					}
				}
			}
		}
		Ok(digests)
	}

	async fn suspect(&self, (segment, position): Position, opening: &LeafOpening) -> Result<()> {
		let (index, host) = (self.epoch.index, self.host);
		tracing::warn!(host = keys::ss58(&host), epoch = index, segment, position, "a host committed to a wrong leaf");
		let suspect = Suspect { segment, position, opening: opening.clone() };
		let put = self.context.store.write(Durability::Now, move |tx| check::put_suspect(tx, index, &host, &suspect));
		Ok(put.await?)
	}
}

/// Returns whether the chain takes no further request of this checker in the round.
fn is_too_many(error: &CheckError) -> bool {
	matches!(error, CheckError::NotIncluded { source, .. } if source.validity_code() == Some(SprintCheck::TooManyRequests.into()))
}

/// Returns the offset from which on no time is left before the worker must commit to its tags of the round of this `draw`.
pub fn closing(epoch: &EpochView, draw: BlockNumber) -> BlockNumber {
	draw.saturating_add(epoch.schedule.digest).saturating_sub(2)
}
