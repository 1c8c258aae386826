//! One host's leaves: fetched, if need be asked for on chain, recomputed and compared.

use super::{Context, fetch::Target, next_offset, outbox::Times, slot};
use crate::{
	chain::CheckMessage,
	store::{
		Durability,
		check::{self, StoredLeaf, StoredSet, Suspect},
	},
};
use futures::{StreamExt, stream};
use gonka_client::wire::MAX_POSITIONS;
use gonka_primitives::{
	AccountId, BlockNumber, Hash,
	check::{MAX_REQUESTED, OpeningRequest},
	views::{CheckView, DutyView, EpochView},
};
use gonka_sprint::{
	Commitment, LaneProof, LeafId, LeafOpening,
	committee::{LEAVES_PER_SET, locate_segment},
	sample,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Queries at the same time, to one host.
const QUERIES: usize = 8;
/// Leaves that are recomputed in one job.
const JOB: usize = 32;

/// A leaf's place: segment, and position in its commitment.
type Place = (u8, u64);

/// What is known of a host's commitments.
#[derive(Default)]
struct Known {
	openings: HashMap<Place, LeafOpening>,
	/// Proofs of lanes, by segment: different lanes only.
	lanes: HashMap<u8, Vec<LaneProof>>,
}

impl Known {
	/// Adds what a host showed, if it is what the host committed to.
	fn add(&mut self, commitment: &Commitment, (segment, position): Place, opening: LeafOpening) {
		if commitment.verify(position, &opening).is_none() {
			return;
		}
		let lanes = self.lanes.entry(segment).or_default();
		if !lanes.contains(&opening.lane) {
			lanes.push(opening.lane.clone());
		}
		self.openings.insert((segment, position), opening);
	}

	/// Which leaf a place is, with the proof of its lane: from any leaf of the lane.
	fn locate(&self, commitment: &Commitment, (segment, position): Place) -> Option<(u16, u64, &LaneProof)> {
		let lanes = self.lanes.get(&segment)?;
		lanes.iter().find_map(|proof| commitment.locate(position, proof).map(|(lane, index)| (lane, index, proof)))
	}
}

/// What is checked of a host.
struct Subject<'a> {
	context: &'a Context,
	epoch: &'a EpochView,
	layer: u16,
	host: AccountId,
	url: &'a [u8],
	commitments: BTreeMap<u8, Commitment>,
}

/// Checks the sets of a duty that are not on disk yet, and puts them there with what was wrong.
pub async fn check(context: &Context, epoch: &EpochView, view: &CheckView, duty: &DutyView) -> Result<(), String> {
	let counts: Vec<(u8, u64)> = duty.commitments.iter().map(|(segment, made)| (*segment, made.count)).collect();
	let total = counts.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
	let mut sets: Vec<(u8, Vec<Place>)> = Vec::new();
	for set in &duty.sets {
		let stored = context.store.read(|tx| check::set(tx, epoch.index, &duty.host, set.number)).map_err(text)?;
		if stored.is_none_or(|stored| stored.beacon != view.beacon) {
			let positions = sample(&view.beacon, &duty.host, set.number.into(), total, LEAVES_PER_SET);
			sets.push((set.number, positions.iter().filter_map(|at| locate_segment(&counts, *at)).collect()));
		}
	}
	let subject = Subject {
		context,
		epoch,
		layer: view.layer,
		host: duty.host,
		url: &duty.url,
		commitments: duty.commitments.iter().copied().collect(),
	};
	let places: BTreeSet<Place> = sets.iter().flat_map(|(_, places)| places).copied().collect();
	let mut known = Known::default();
	subject.fetch(&mut known, &places).await;
	if places.iter().any(|place| !known.openings.contains_key(place)) {
		let turn = duty.sets.first().map_or(0, |set| set.number);
		subject.request(&mut known, &places, turn).await?;
	}
	let digests = subject.recompute(&known, &places).await?;
	for (number, places) in sets {
		let leaf = |place: &Place| {
			let (_, lane) = subject.locate(&known, *place)?;
			Some(StoredLeaf { lane: lane.clone(), digest: *digests.get(place)? })
		};
		let Some(leaves) = places.iter().map(leaf).collect() else { continue };
		let (set, index, host) = (StoredSet { beacon: view.beacon, leaves }, epoch.index, duty.host);
		let put = context.store.write(Durability::Now, move |tx| check::put_set(tx, index, &host, number, &set));
		put.await.map_err(text)?;
	}
	Ok(())
}

/// Checks some leaves of a segment that is not the sprint's, as far as the host serves them.
pub async fn check_segment(
	context: &Context,
	epoch: &EpochView,
	view: &CheckView,
	duty: &DutyView,
	(segment, commitment): (u8, Commitment),
	positions: &[u64],
) -> Result<(), String> {
	let commitments = BTreeMap::from([(segment, commitment)]);
	let subject = Subject { context, epoch, layer: view.layer, host: duty.host, url: &duty.url, commitments };
	let places = positions.iter().map(|position| (segment, *position)).collect();
	let mut known = Known::default();
	subject.fetch(&mut known, &places).await;
	subject.recompute(&known, &places).await?;
	Ok(())
}

impl Subject<'_> {
	/// Asks the host's worker.
	async fn fetch(&self, known: &mut Known, places: &BTreeSet<Place>) {
		let mut by_segment: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
		for (segment, position) in places {
			by_segment.entry(*segment).or_default().push(*position);
		}
		let queries: Vec<(u8, Vec<u64>)> = by_segment
			.iter()
			.flat_map(|(segment, all)| all.chunks(MAX_POSITIONS).map(|part| (*segment, part.to_vec())))
			.collect();
		let target = Target { host: &self.host, url: self.url, epoch: self.epoch.index };
		let ask = |(segment, positions): (u8, Vec<u64>)| async move {
			let answer = self.context.fetcher.openings(target, segment, &positions).await;
			(segment, positions, answer)
		};
		let mut answers = stream::iter(queries.into_iter().map(ask)).buffer_unordered(QUERIES);
		while let Some((segment, positions, answer)) = answers.next().await {
			match answer {
				Ok(openings) => self.add(known, segment, &positions, openings),
				Err(error) => {
					let host = hex::encode(self.host);
					tracing::warn!(host, segment, error, "a host serves no openings");
				},
			}
		}
	}

	fn add(&self, known: &mut Known, segment: u8, positions: &[u64], openings: Vec<LeafOpening>) {
		let Some(commitment) = self.commitments.get(&segment) else { return };
		for (position, opening) in positions.iter().zip(openings) {
			known.add(commitment, (segment, *position), opening);
		}
	}

	/// Asks on chain for some of what is missing, once, and waits for the answer: also for those to others, as one
	/// opening tells where all leaves of a lane stand. `turn` is another number for each checker of the host, so that
	/// they ask for different segments.
	async fn request(&self, known: &mut Known, places: &BTreeSet<Place>, turn: u8) -> Result<(), String> {
		let (epoch, checker) = (self.epoch.index, *self.context.follower.host());
		let Some((segment, positions)) = self.wanted(known, places, turn) else { return Ok(()) };
		let request = OpeningRequest { checker, epoch, host: self.host, segment, positions };
		let slot = slot("request", &(self.host, self.epoch.beacon));
		let mut snapshots = self.context.follower.subscribe();
		loop {
			let Some(snapshot) = snapshots.borrow_and_update().clone() else { return Ok(()) };
			let may_ask = self.epoch.schedule.takes_request(next_offset(&snapshot));
			let asked = self.context.follower.chain().opening_requests(&self.host).await;
			let asked = asked.map_err(|error| error.to_string())?;
			let (mut mine, mut mine_open, mut open) = (false, false, false);
			for asked in asked.into_iter().filter(|asked| asked.epoch == epoch) {
				let is_mine = asked.checker == checker;
				let is_open = asked.openings.is_none() && snapshot.block < asked.deadline;
				(mine, mine_open, open) = (mine || is_mine, mine_open || is_mine && is_open, open || is_open);
				self.add(known, asked.segment, &asked.positions, asked.openings.unwrap_or_default());
			}
			if !mine && may_ask {
				let message = CheckMessage::Request(request.clone());
				if let Err(error) = self.context.outbox.send(epoch, slot, Times::Asked, message).await {
					tracing::warn!(error, "openings could not be requested; trying while there is time");
				}
			}
			let located = places.iter().all(|place| self.locate(known, *place).is_some());
			let waits = if located { mine_open || !mine && may_ask } else { open || may_ask };
			if !waits || snapshots.changed().await.is_err() {
				return Ok(());
			}
		}
	}

	/// What to ask for: of a segment of which nothing is known, if there is one; else of one of which something is
	/// missing.
	fn wanted(&self, known: &Known, places: &BTreeSet<Place>, turn: u8) -> Option<(u8, Vec<u64>)> {
		let mut missing: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
		for (segment, position) in places.iter().filter(|place| !known.openings.contains_key(*place)) {
			missing.entry(*segment).or_default().push(*position);
		}
		let mut wanted: Vec<u8> = missing.keys().copied().filter(|of| !known.lanes.contains_key(of)).collect();
		if wanted.is_empty() {
			wanted = missing.keys().copied().collect();
		}
		let segment = *wanted.get(usize::from(turn).checked_rem(wanted.len())?)?;
		let mut positions = missing.remove(&segment)?;
		positions.truncate(MAX_REQUESTED as usize);
		Some((segment, positions))
	}

	fn locate<'a>(&self, known: &'a Known, place: Place) -> Option<(LeafId, &'a LaneProof)> {
		let (lane, index, proof) = known.locate(self.commitments.get(&place.0)?, place)?;
		Some((LeafId { host: self.host, epoch: self.epoch.index, segment: place.0, lane, index }, proof))
	}

	/// The digests of all leaves whose place is known. A leaf that is not what the host committed to goes to disk.
	async fn recompute(&self, known: &Known, places: &BTreeSet<Place>) -> Result<HashMap<Place, Hash>, String> {
		let mut ids: BTreeMap<u8, Vec<(Place, LeafId)>> = BTreeMap::new();
		for place in places {
			if let Some((id, _)) = self.locate(known, *place) {
				ids.entry(place.0).or_default().push((*place, id));
			}
		}
		let (basis, mut digests) = ((self.epoch.model_seed, self.epoch.profile), HashMap::new());
		for (segment, all) in ids {
			let Some(seed) = self.epoch.segment_seeds.get(usize::from(segment)) else { continue };
			for part in all.chunks(JOB) {
				let leaves = part.iter().map(|(_, id)| *id).collect();
				let checked = self.context.oracle.check(basis, *seed, leaves, self.layer).await?;
				for ((place, _), checked) in part.iter().zip(checked) {
					digests.insert(*place, checked.digest);
					if let Some(opening) = known.openings.get(place).filter(|opening| opening.leaf != checked.leaf) {
						self.suspect(*place, opening).await?;
					}
				}
			}
		}
		Ok(digests)
	}

	async fn suspect(&self, (segment, position): Place, opening: &LeafOpening) -> Result<(), String> {
		let (index, host) = (self.epoch.index, self.host);
		tracing::warn!(host = hex::encode(host), epoch = index, segment, position, "a host committed to a wrong leaf");
		let suspect = Suspect { segment, position, opening: opening.clone() };
		let put = self.context.store.write(Durability::Now, move |tx| check::put_suspect(tx, index, &host, &suspect));
		put.await.map_err(text)
	}
}

/// Offset from which on no more time is left before the tags must be committed to.
pub fn closing(epoch: &EpochView) -> BlockNumber {
	epoch.schedule.reveal_start().saturating_sub(2)
}

fn text(error: crate::store::StoreError) -> String {
	error.to_string()
}
