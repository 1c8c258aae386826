//! Hosts that take part in sprints, with real leaves and commitments and some fabricated ones.

use super::mock::*;
use gonka_primitives::{
	EpochIndex, Hash,
	check::{
		Accusation, Challenge, DigestCommitment, DigestReveal, OpeningAnswer, OpeningRequest, Play, Turn, digest_hash,
	},
	epoch::REFUTER_DRAW,
	hashing::{domain, signing_payload},
	host::{Registration, SegmentCommitment},
	views::{ClaimView, SubjectView},
};
use gonka_sprint::{
	LaneCommitment, Lanes, Layout, LeafId, LeafOpening, MerkleTree, Model, ModelSeed, Place, SegmentSeed, SprintFormat,
	Tensor, Trace,
	committee::{Tag, leaf_set, middle_layer, set_size, tag},
};
use polkadot_sdk::{frame_support::BoundedVec, sp_core::Pair};
use std::{
	collections::{BTreeMap, HashMap},
	sync::{Arc, LazyLock, Mutex},
};

/// Number of leaves by lane: in five segments, more than a leaf set has.
const LANES: [u64; 2] = [4, 3];

/// A host's leaves of a segment.
pub struct Segment {
	lanes: Lanes,
	leaves: Vec<Vec<Hash>>,
	trees: Vec<MerkleTree>,
}

impl Segment {
	pub fn opening(&self, position: u64) -> LeafOpening {
		let (lane, index) = self.lanes.locate(position).unwrap();
		let (number, at) = (usize::from(lane), index as usize);
		LeafOpening {
			lane: self.lanes.proof(lane).unwrap(),
			leaf: self.leaves[number][at],
			path: self.trees[number].proof(index).unwrap(),
		}
	}

	pub fn leaf(&self, position: u64) -> (u16, u64) {
		self.lanes.locate(position).unwrap()
	}
}

/// The leaves of all hosts.
#[derive(Default)]
pub struct World(BTreeMap<(EpochIndex, u8, u8), Segment>);

/// A fabricated leaf: name, segment, lane, index.
pub type Fabricated = (u8, u8, u16, u64);

impl World {
	/// Hosts 1 to `last` register and take part in epoch 0, up to its draw.
	pub fn new(last: u8, fabricated: &[Fabricated]) -> Self {
		let mut world = Self::default();
		world.run_sprint(0, last, fabricated);
		world
	}

	pub fn run_sprint(&mut self, epoch: EpochIndex, last: u8, fabricated: &[Fabricated]) {
		go_to_offset(epoch, 0);
		(1..=last).for_each(|name| register(name, epoch));
		for segment in 0..SCHEDULE.segments {
			go_to_offset(epoch, SCHEDULE.segment_end(segment));
			(1..=last).for_each(|name| self.commit(epoch, name, segment, fabricated));
		}
		go_to_offset(epoch, SCHEDULE.draw());
	}

	/// A host computes a segment and commits to it.
	pub fn commit(&mut self, epoch: EpochIndex, name: u8, segment: u8, fabricated: &[Fabricated]) {
		let leaf = |lane: u16, index: u64| {
			let id = LeafId { host: raw(name), epoch, segment, lane, index };
			let fake = fabricated.contains(&(name, segment, lane, index));
			if fake { id.hash(&[7; 64]) } else { id.hash(trace(id).output()) }
		};
		let leaves: Vec<Vec<Hash>> =
			(0..).zip(LANES).map(|(lane, count)| (0..count).map(|index| leaf(lane, index)).collect()).collect();
		let trees: Vec<_> = leaves.iter().cloned().map(MerkleTree::new).collect();
		let lanes: Vec<_> = (0..)
			.zip(&trees)
			.map(|(lane, tree)| LaneCommitment { lane, count: tree.count(), root: tree.root() })
			.collect();
		let lanes = Lanes::new(&lanes).unwrap();
		let commitment = SegmentCommitment { host: raw(name), epoch, segment, commitment: lanes.commitment() };
		let signature = sign(name, domain::COMMITMENT, &commitment);
		submit(pallet_poc::Call::<Test>::commit { commitment, signature }).unwrap();
		self.0.insert((epoch, name, segment), Segment { lanes, leaves, trees });
	}

	pub fn segment(&self, epoch: EpochIndex, name: u8, segment: u8) -> &Segment {
		&self.0[&(epoch, name, segment)]
	}

	/// The leaves of a set of the host `name` in the order of their positions, with the positions.
	pub fn leaves(&self, epoch: EpochIndex, name: u8, set: u8) -> Vec<(LeafId, u64)> {
		let count = LANES.iter().sum::<u64>();
		let counts: Vec<(u8, u64)> = SCHEDULE.segments_of(round()).map(|segment| (segment, count)).collect();
		let beacon = Poc::epoch_of(epoch).unwrap().beacon_of(round()).unwrap();
		let leaf = |(segment, position)| {
			let (lane, index) = self.segment(epoch, name, segment).leaf(position);
			(LeafId { host: raw(name), epoch, segment, lane, index }, position)
		};
		leaf_set(&beacon, &raw(name), set.into(), &counts, set_size(round())).into_iter().map(leaf).collect()
	}

	/// The digests of a set, with the checker's computation `mind`.
	pub fn digests(&self, epoch: EpochIndex, name: u8, set: u8, mind: &Mind) -> Vec<Hash> {
		let beacon = Poc::epoch_of(epoch).unwrap().beacon_of(round()).unwrap();
		let layer = middle_layer(&beacon, SprintFormat::Nano);
		self.leaves(epoch, name, set).into_iter().map(|(leaf, _)| mind(leaf).digest(layer).unwrap()).collect()
	}

	/// The tags of all duties of `checker`, in order.
	pub fn tags(&self, checker: u8, mind: &Mind) -> Vec<Tag> {
		let view = Check::check_view(&account(checker)).unwrap();
		let sets = view.duties.iter().flat_map(|duty| duty.sets.iter().map(|set| (name_of(&duty.host), set.number)));
		sets.map(|(host, set)| tag(&self.digests(view.epoch, host, set, mind))).collect()
	}

	/// Checkers commit to these tags and reveal them.
	pub fn check(&self, epoch: EpochIndex, tags: &[(u8, Vec<Tag>)]) {
		for (checker, tags) in tags {
			commit_digest(*checker, epoch, tags).unwrap();
		}
		go_to_offset(epoch, Poc::running_epoch().unwrap().draw_of(round()).unwrap() + SCHEDULE.digest);
		for (checker, tags) in tags {
			reveal(*checker, epoch, tags).unwrap();
		}
	}

	/// Hosts 1 to `last` all check, each with its own computation.
	pub fn check_all(&self, epoch: EpochIndex, last: u8, mind: impl Fn(u8) -> Box<Mind>) {
		let tags: Vec<_> = (1..=last).map(|name| (name, self.tags(name, &*mind(name)))).collect();
		self.check(epoch, &tags);
	}

	/// An accusation of the leaf at `position`, with the computation `mind`.
	pub fn accusation(&self, accuser: u8, host: u8, segment: u8, position: u64, mind: &Mind) -> Accusation {
		let epoch = Poc::running_epoch().unwrap().index;
		let work = self.segment(epoch, host, segment);
		let (lane, index) = work.leaf(position);
		let trace = mind(LeafId { host: raw(host), epoch, segment, lane, index });
		Accusation {
			accuser: raw(accuser),
			epoch,
			host: raw(host),
			segment,
			position,
			opening: work.opening(position),
			output: trace.output().iter().map(|value| *value as u8).collect(),
			frontier: trace.frontier().to_vec(),
			path: trace.output_path(),
		}
	}
}

/// A way to compute leaves.
pub type Mind = dyn Fn(LeafId) -> Arc<Trace>;

/// The right computation of a leaf. Each is done once for all tests.
pub fn trace(leaf: LeafId) -> Arc<Trace> {
	type Cache<K, V> = LazyLock<Mutex<HashMap<K, Arc<V>>>>;
	static MODELS: Cache<Hash, Model> = LazyLock::new(Default::default);
	static TRACES: Cache<(Hash, LeafId), Trace> = LazyLock::new(Default::default);
	let epoch = Poc::epoch_of(leaf.epoch).unwrap();
	let seed = epoch.segment_seeds[usize::from(leaf.segment)];
	if let Some(trace) = TRACES.lock().unwrap().get(&(seed, leaf)) {
		return trace.clone();
	}
	let new_model = || Arc::new(Model::new(&ModelSeed(epoch.model_seed), SprintFormat::Nano));
	let model = MODELS.lock().unwrap().entry(epoch.model_seed).or_insert_with(new_model).clone();
	let trace = Arc::new(Trace::new(&model, &leaf.tokens(&SegmentSeed(seed), SprintFormat::Nano)).unwrap());
	TRACES.lock().unwrap().insert((seed, leaf), trace.clone());
	trace
}

/// Computes all leaves right.
pub fn honest() -> Box<Mind> {
	Box::new(trace)
}

/// Has one wrong byte in these blocks of every leaf of `host`.
pub fn wrong_at(host: u8, indices: &[u32], byte: usize) -> Box<Mind> {
	let indices = indices.to_vec();
	Box::new(move |leaf| {
		let right = trace(leaf);
		if leaf.host != raw(host) {
			return right;
		}
		let mut blocks = right.blocks().to_vec();
		for index in &indices {
			let block = &mut blocks[*index as usize];
			let at = byte % block.len();
			block[at] = if block[at] == 3 { 4 } else { 3 };
		}
		Arc::new(Trace::from_blocks(SprintFormat::Nano, blocks).unwrap())
	})
}

/// The round that was drawn last.
pub fn round() -> u8 {
	Poc::running_epoch().unwrap().rounds()
}

/// The block of a row of layer 0, which is the middle layer.
pub fn row(tensor: Tensor, row: u32) -> u32 {
	Layout::new(SprintFormat::Nano).index(Place::Row { layer: 0, tensor, row }).unwrap()
}

/// The block of the leaf's output.
pub fn output() -> u32 {
	Layout::new(SprintFormat::Nano).blocks() - 1
}

/// The name of a host, of 1 to 32.
pub fn name_of(host: &[u8; 32]) -> u8 {
	(1..=32).find(|name| raw(*name) == *host).unwrap()
}

pub fn register(name: u8, epoch: EpochIndex) {
	let registration = Registration {
		host: raw(name),
		worker: worker_key(name).public().0,
		url: b"http://host:1".to_vec(),
		models: vec![0],
		epoch,
		revision: 0,
		work: 0,
	};
	let registration = registration.solve(&Poc::genesis_hash(), gonka_primitives::host::DOUBLINGS);
	let payload = signing_payload(domain::REGISTRATION, &Poc::genesis_hash(), &registration);
	let signature = host_key(name).sign(&payload).0;
	let payload = signing_payload(domain::WORKER, &Poc::genesis_hash(), &registration.host);
	let worker_signature = worker_key(name).sign(&payload).0;
	submit(pallet_poc::Call::<Test>::register { registration, signature, worker_signature }).unwrap();
}

pub fn commit_digest(checker: u8, epoch: EpochIndex, tags: &[Tag]) -> Sent {
	let round = round();
	let commitment =
		DigestCommitment { checker: raw(checker), epoch, round, hash: digest_hash(&raw(checker), epoch, round, tags) };
	let signature = sign(checker, domain::DIGEST, &commitment);
	submit(crate::Call::<Test>::commit_digest { commitment, signature })
}

pub fn reveal(checker: u8, epoch: EpochIndex, tags: &[Tag]) -> Sent {
	let round = round();
	let reveal = DigestReveal { checker: raw(checker), epoch, round, tags: tags.to_vec() };
	let signature = sign(checker, domain::REVEAL, &reveal);
	submit(crate::Call::<Test>::reveal { reveal, signature })
}

pub fn request(request: OpeningRequest) -> Sent {
	let signature = sign(name_of(&request.checker), domain::OPENING_REQUEST, &request);
	submit(crate::Call::<Test>::request_openings { request, signature })
}

pub fn answer(answer: OpeningAnswer) -> Sent {
	let signature = sign(name_of(&answer.host), domain::OPENING_ANSWER, &answer);
	submit(crate::Call::<Test>::answer_openings { answer, signature })
}

pub fn accuse(accusation: Accusation) -> Sent {
	let signature = sign(name_of(&accusation.accuser), domain::ACCUSATION, &accusation);
	submit(crate::Call::<Test>::accuse { accusation, signature })
}

/// Accuses, and goes to the block in which the refuters are drawn.
pub fn accuse_and_draw(accusation: Accusation) -> Sent {
	accuse(accusation)?;
	pass(REFUTER_DRAW);
	Ok(())
}

/// Makes these the checkers of epoch 0, of equal weight, from which refuters are drawn.
pub fn elect(checkers: &[u8]) {
	let checkers: Vec<_> = checkers.iter().map(|name| (account(*name), 1)).collect();
	pallet_poc::Checkers::<Test>::insert(0, BoundedVec::truncate_from(checkers));
}

pub fn challenge(challenger: u8, checker: u8, host: u8, set: u8) -> Sent {
	let epoch = Poc::running_epoch().unwrap().index;
	let [challenger_id, checker, host] = [challenger, checker, host].map(raw);
	let challenge = Challenge { challenger: challenger_id, epoch, round: round(), checker, host, set };
	let signature = sign(challenger, domain::CHALLENGE, &challenge);
	submit(crate::Call::<Test>::challenge { challenge, signature })
}

pub fn play(player: u8, claim: u32, refuter: u8, number: u8, turn: Turn) -> Sent {
	let play = Play { player: raw(player), claim, refuter: raw(refuter), number, turn };
	let signature = sign(player, domain::PLAY, &play);
	submit(crate::Call::<Test>::play { play, signature })
}

pub fn close(claim: u32, refuter: Option<u8>) -> Sent {
	submit(crate::Call::<Test>::close { claim, refuter: refuter.map(account) })
}

pub fn claim(id: u32) -> ClaimView {
	Check::claim_views().into_iter().find(|claim| claim.id == id).unwrap()
}

pub fn is_open(id: u32) -> bool {
	Check::claim_views().iter().any(|claim| claim.id == id)
}

pub fn is_challenge(claim: &ClaimView) -> bool {
	matches!(claim.subject, SubjectView::Challenge { .. })
}
