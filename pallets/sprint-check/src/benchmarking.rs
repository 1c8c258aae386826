//! Benchmarks of the calls and their authorisation, with the sizes of the large format. No leaf is computed: openings
//! and traces are fabricated so that they match.

use super::*;
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_support::traits::Hooks;
use frame_system::{Pallet as System, RawOrigin, pallet_prelude::BlockNumberFor};
use gonka_pallet_support::benchmarking;
use gonka_primitives::{
	Signature,
	check::{MAX_REQUESTED, Turn, digest_hash},
	hashing::domain,
};
use gonka_sprint::{
	InputBlock, LaneCommitment, Lanes, LeafId, LeafOpening, MerkleTree, Place, SprintFormat, Tensor,
	committee::{PARTICIPANTS_PER_CHECKER, SMALL, Tag},
	dispute,
	trace::{Layout, block_hash, fold, verify_path},
};
use pallet_poc::{Checkers, CurrentEpoch, Hosts, KnownCount, Participants, Standing, Standings, Workers};
use polkadot_sdk::{frame_benchmarking::v2::*, sp_core::sr25519};
use types::{MAX_ACCUSATIONS, MAX_CHALLENGES, MAX_OWN, Places, Request, Subject};

/// The number of the leaf set in all benchmarks.
const SET: u8 = 0;

fn sign<T: Config>(key: &sr25519::Public, domain: &[u8], body: &impl Encode) -> Result<Signature, BenchmarkError> {
	benchmarking::sign(key, &Poc::<T>::genesis_hash(), domain, body)
}

fn host<T: Config>(index: u32) -> T::AccountId {
	account("host", index, 0)
}

/// A registered participant with its worker key.
fn worker<T: Config>(index: u32) -> sr25519::Public {
	let (key, account) = (benchmarking::new_key(), host::<T>(index));
	let new =
		pallet_poc::Host { worker: key.0, url: Default::default(), models: Default::default(), ..Default::default() };
	Workers::<T>::insert(key.0, &account);
	Hosts::<T>::insert(account, new);
	key
}

/// The first epoch after its draw, at `offset`: `participants` hosts, of which 0 and 1 have all the checkers' weight.
fn go_to<T: Config>(offset: BlockNumber, participants: u32) -> Result<Epoch, BenchmarkError> {
	System::<T>::set_block_number(1u32.into());
	Poc::<T>::on_initialize(1u32.into());
	System::<T>::set_block_number(BlockNumberFor::<T>::from(offset.saturating_add(1)));
	let mut epoch = CurrentEpoch::<T>::get().ok_or("no epoch is running")?;
	epoch.format = SprintFormat::P400;
	epoch.beacon = Some([7; 32]);
	let seeds = (0..epoch.schedule.segments).map(|segment| [segment; 32]).collect();
	epoch.segment_seeds = BoundedVec::truncate_from(seeds);
	CurrentEpoch::<T>::put(&epoch);
	let commitment = Commitment { count: 1 << 20, root: [1; 32] };
	let commitments: Vec<_> = (0..epoch.schedule.segments).map(|segment| (segment, commitment)).collect();
	for participant in 0..participants {
		let account = host::<T>(participant);
		Standings::<T>::insert(0, &account, Standing { participant, ..Default::default() });
		Participants::<T>::insert(0, participant, &account);
		pallet_poc::Commitments::<T>::insert(0, &account, BoundedVec::truncate_from(commitments.clone()));
	}
	KnownCount::<T>::insert(0, participants);
	let weight = |index| if index < 2 { 1_000 } else { 0 };
	let checkers =
		(0..participants.min(T::MaxCheckers::get())).map(|index| (host::<T>(index), weight(index))).collect();
	Checkers::<T>::insert(0, BoundedVec::<_, T::MaxCheckers>::truncate_from(checkers));
	Ok(epoch)
}

fn draw<T: Config>() -> BlockNumber {
	T::Schedule::get().draw()
}

/// Number of tags of a checker that checks as many hosts as it can: [`SMALL`] checkers make all participants checkable, and all
/// check all.
const TAGS: u32 = 2 * (SMALL as u32 * PARTICIPANTS_PER_CHECKER - 1);

/// A checker with `n` sets, one less if it is odd, after it has committed to its tags.
fn tags<T: Config>(n: u32) -> Result<(sr25519::Public, DigestReveal), BenchmarkError> {
	let epoch = go_to::<T>(T::Schedule::get().reveal_start(), (n / 2).saturating_add(1))?;
	let (key, checker) = (worker::<T>(0), host::<T>(0));
	Checkers::<T>::mutate(0, |checkers| checkers.iter_mut().take(SMALL).for_each(|(_, weight)| *weight = 1_000));
	let duties = Poc::<T>::duties(&epoch, &checker);
	let sets = duties.iter().map(|duty| duty.sets.len()).sum::<usize>();
	frame_support::ensure!(sets as u32 == n / 2 * 2, "the checker has another number of sets");
	let reveal = DigestReveal { checker: checker.clone().into(), epoch: 0, round: 0, tags: vec![[1; 4]; sets] };
	DigestCommitments::<T>::insert(0, (&checker, 0), digest_hash(&reveal.checker, 0, 0, &reveal.tags));
	Ok((key, reveal))
}

/// A request of a checker to host 0, with as many checkers as there can be.
fn request<T: Config>() -> Result<(sr25519::Public, OpeningRequest), BenchmarkError> {
	let epoch = go_to::<T>(draw::<T>(), T::MaxCheckers::get())?;
	Checkers::<T>::mutate(0, |checkers| checkers.iter_mut().for_each(|(_, weight)| *weight = 1_000));
	let other = host::<T>(0);
	let committee = Poc::<T>::committee(&epoch, &other);
	let number = (0..T::MaxCheckers::get()).find(|index| committee.contains(&host::<T>(*index)));
	let number = number.ok_or("host 0 has no committee")?;
	let (key, checker) = (worker::<T>(number), host::<T>(number));
	let set = *Pallet::<T>::sets(&epoch, &checker, &other).first().ok_or("the checker has no set of that host")?;
	let mut positions = Pallet::<T>::leaves_of(&epoch, 0, &other, set);
	positions.truncate(MAX_REQUESTED as usize);
	Ok((key, OpeningRequest { checker: checker.into(), epoch: 0, round: 0, host: other.into(), positions }))
}

/// A commitment of the last of 2^16 lanes, with 2^12 leaves, and the openings of the first ones.
fn openings(count: u64) -> Result<(Commitment, Vec<LeafOpening>), BenchmarkError> {
	let leaves: Vec<Hash> = (0..4_096u32).map(|index| block_hash(index, &[])).collect();
	let tree = MerkleTree::new(leaves.clone());
	let lane = LaneCommitment { lane: u16::MAX, count: tree.count(), root: tree.root() };
	let lanes = Lanes::new(&[lane]).map_err(|_| "the lane is not legal")?;
	let proof = lanes.proof(u16::MAX).ok_or("the lane is missing")?;
	let open = |index: u64| {
		Some(LeafOpening { lane: proof.clone(), leaf: *leaves.get(index as usize)?, path: tree.proof(index)? })
	};
	let all: Option<Vec<_>> = (0..count).map(open).collect();
	Ok((lanes.commitment(), all.ok_or("a leaf is missing")?))
}

/// Host 0's answer to host 1.
fn answer<T: Config>() -> Result<(sr25519::Public, OpeningAnswer), BenchmarkError> {
	go_to::<T>(draw::<T>(), 3)?;
	let (key, checker, own) = (worker::<T>(0), host::<T>(1), host::<T>(0));
	let (commitment, openings) = openings(MAX_REQUESTED.into())?;
	pallet_poc::Commitments::<T>::insert(0, &own, BoundedVec::truncate_from(vec![(0, commitment)]));
	let positions = BoundedVec::truncate_from((0..u64::from(MAX_REQUESTED)).map(|position| (0, position)).collect());
	// The last block for an answer: it is late, which is noted.
	let deadline = Pallet::<T>::now();
	Requests::<T>::insert((0, &own, (&checker, 0)), Request { positions, deadline, openings: None });
	Poc::<T>::note_request(0, 0, &own, &checker);
	Ok((key, OpeningAnswer { host: own.into(), epoch: 0, round: 0, checker: checker.into(), openings }))
}

/// Host 0 accuses host 1.
fn accusation<T: Config>() -> Result<(sr25519::Public, Accusation), BenchmarkError> {
	go_to::<T>(draw::<T>(), 3)?;
	let (key, other) = (worker::<T>(0), host::<T>(1));
	let (commitment, mut openings) = openings(1)?;
	pallet_poc::Commitments::<T>::insert(0, &other, BoundedVec::truncate_from(vec![(0, commitment)]));
	let layout = Layout::new(SprintFormat::P400);
	let (index, output) = (layout.blocks().saturating_sub(1), vec![0; SprintFormat::P400.params().width]);
	let (mut frontier, path) = (vec![[0; 32]; layout.children_len(0)], vec![[2; 32]; 8]);
	let (node, _) = layout.picks(index).ok_or("the last block is missing")?;
	if let Some(node) = frontier.get_mut(node as usize) {
		*node = verify_path(&block_hash(index, &output), index, &path);
	}
	let opening = openings.pop().ok_or("the opening is missing")?;
	let (accuser, host) = (host::<T>(0).into(), other.into());
	Ok((key, Accusation { accuser, epoch: 0, host, segment: 0, position: 0, opening, output, frontier, path }))
}

/// Host 0 challenges host 1's tag of a set of host 2, the last ones of full reveals of `n` tags.
fn tags_that_differ<T: Config>(n: u32) -> Result<(sr25519::Public, Challenge), BenchmarkError> {
	go_to::<T>(T::Schedule::get().weigh_start(), 3)?;
	let (key, tags): (_, [Tag; 2]) = (worker::<T>(0), [[1; 4], [2; 4]]);
	for (checker, tag) in (0..).zip(tags) {
		let mut revealed = vec![Revealed { participant: u32::MAX, set: SET, tag }; n.saturating_sub(1) as usize];
		revealed.push(Revealed { participant: 2, set: SET, tag });
		DigestCommitments::<T>::insert(0, (host::<T>(checker), 0), [0; 32]);
		Reveals::<T>::insert(0, (host::<T>(checker), 0), BoundedVec::<_, T::MaxTags>::truncate_from(revealed));
	}
	let [challenger, checker, host] = [0, 1, 2].map(|index| host::<T>(index).into());
	Ok((key, Challenge { challenger, epoch: 0, round: 0, checker, host, set: SET }))
}

/// Host 0 has accused host 1, which refutes it, and so do hosts from 2 on: `g` games. All wait for the same turn.
fn games<T: Config>(g: u32, game: Game, frontier: Vec<Hash>) -> Result<u32, BenchmarkError> {
	let (accuser, other) = (host::<T>(0), host::<T>(1));
	let id = Pallet::<T>::add_claim(Claim {
		epoch: 0,
		claimant: accuser.clone(),
		opener: accuser.clone(),
		host: other.clone(),
		subject: Subject::Accusation { output: BoundedVec::truncate_from(vec![0; types::MAX_OUTPUT as usize]) },
		leaf: Some(LeafId { host: other.clone().into(), epoch: 0, segment: 0, lane: 0, index: 0 }),
		frontier: BoundedVec::truncate_from(frontier),
		until: game.deadline,
	})
	.map_err(|_| "there is no room for a claim")?;
	Accused::<T>::insert((0, &accuser, &other), ());
	Waiting::<T>::kill();
	let own = (1..types::MAX_OWN.saturating_add(1)).map(|index| (host::<T>(index), true)).collect();
	PlacesOf::<T>::insert(id, Places { own: BoundedVec::truncate_from(own), open: g.saturating_sub(MAX_OWN) });
	for index in 1..g.saturating_add(1) {
		Games::<T>::insert(id, host::<T>(index), game.clone());
	}
	Ok(id)
}

/// The chain has its maximum number of claims by hosts without weight. The newest has `g` games.
fn fill_queue<T: Config>(g: u32) -> Result<(), BenchmarkError> {
	for _ in 0..T::MaxClaims::get() {
		let game = Game::new(Stage::Node, Pallet::<T>::now().saturating_add(1));
		let last = Claims::<T>::count().saturating_add(1) == T::MaxClaims::get();
		games::<T>(if last { g } else { 0 }, game, vec![[0; 32]; types::MAX_CHILDREN as usize])?;
	}
	// They count as those of other accusers.
	let opener = host::<T>(0);
	OpenAccusations::<T>::remove(&opener);
	Accused::<T>::remove((0, &opener, host::<T>(1)));
	weigh::<T>(&opener);
	Ok(())
}

/// Gives a host a weight in the last weighed epoch.
fn weigh<T: Config>(host: &T::AccountId) {
	pallet_poc::LastWeighed::<T>::put(0);
	pallet_poc::WeighedEpochs::<T>::insert(0, pallet_poc::EpochWeights::of_total(1, 1));
	Standings::<T>::mutate(0, host, |standing| {
		if let Some(standing) = standing {
			standing.backed = 1;
		}
	});
}

/// A turn of host 0: the children of a node.
fn children<T: Config>(g: u32) -> Result<(sr25519::Public, Play), BenchmarkError> {
	go_to::<T>(draw::<T>(), 3)?;
	let (key, layout) = (worker::<T>(0), Layout::new(SprintFormat::P400));
	let children = vec![[3; 32]; layout.children_len(1)];
	let mut frontier = vec![[0; 32]; layout.children_len(0)];
	if let Some(node) = frontier.first_mut() {
		*node = fold(&children).ok_or("the number of children is no power of two")?;
	}
	let mut game = Game::new(Stage::Children, Pallet::<T>::now().saturating_add(1));
	(game.number, game.picked) = (1, Some(0));
	let claim = games::<T>(g, game, frontier)?;
	let [player, refuter] = [0, 1].map(|index| host::<T>(index).into());
	Ok((key, Play { player, claim, refuter, number: 1, turn: Turn::Children(children) }))
}

/// The last turn of host 1: a value of a layer's output, from two rows of 4 kB. Host 0 lied.
fn value<T: Config>(g: u32) -> Result<(sr25519::Public, Play), BenchmarkError> {
	go_to::<T>(draw::<T>(), 3)?;
	let (key, layout) = (worker::<T>(1), Layout::new(SprintFormat::P400));
	let mut frontier = vec![[0; 32]; layout.children_len(0)];
	let mut children = vec![[3; 32]; layout.children_len(1)];
	let index = layout.index(Place::Row { layer: 0, tensor: Tensor::Output, row: 0 }).ok_or("the row is missing")?;
	let (picked, child) = layout.picks(index).ok_or("the block is missing")?;
	let zeros = |index| layout.place(index).map(|place| vec![0u8; layout.block_len(place)]);
	// Of zeros, the right value is 0.
	let mut bytes = zeros(index).ok_or("the block is missing")?;
	bytes.iter_mut().take(1).for_each(|byte| *byte = 1);
	let mut show = |at: u32, hash| children.iter_mut().skip(at as usize).take(1).for_each(|node| *node = hash);
	show(child, block_hash(index, &bytes));
	let mut inputs = Vec::new();
	for input in dispute::inputs(SprintFormat::P400, index, 0).ok_or("the value is missing")? {
		let (node, child) = layout.picks(input).ok_or("the block is missing")?;
		let bytes = zeros(input).ok_or("the block is missing")?;
		let hash = block_hash(input, &bytes);
		let path = if node == picked { Vec::new() } else { vec![[2; 32]; 8] };
		if node == picked {
			show(child, hash);
		} else if let Some(node) = frontier.get_mut(node as usize) {
			*node = verify_path(&hash, input, &path);
		}
		inputs.push(InputBlock { bytes, path });
	}
	let mut game = Game::new(Stage::Value, Pallet::<T>::now().saturating_add(1));
	(game.number, game.picked, game.block) = (4, Some(picked as u8), Some(child as u8));
	(game.children, game.bytes) = (BoundedVec::truncate_from(children), BoundedVec::truncate_from(bytes));
	let claim = games::<T>(g, game, frontier)?;
	let refuter = host::<T>(1).into();
	Ok((key, Play { player: refuter, claim, refuter, number: 4, turn: Turn::Value { coordinate: 0, inputs } }))
}

#[benchmarks]
mod benchmarks {
	use super::*;

	#[benchmark]
	fn authorize_commit_digest() -> Result<(), BenchmarkError> {
		go_to::<T>(draw::<T>(), T::MaxTags::get() / 2)?;
		let key = worker::<T>(0);
		let commitment = DigestCommitment { checker: host::<T>(0).into(), epoch: 0, round: 0, hash: [1; 32] };
		let signature = sign::<T>(&key, domain::DIGEST, &commitment)?;
		let call = Call::<T>::commit_digest { commitment, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn commit_digest() {
		let commitment = DigestCommitment { checker: host::<T>(0).into(), epoch: 0, round: 0, hash: [1; 32] };
		#[extrinsic_call]
		_(RawOrigin::Authorized, commitment, [0; 64]);
		assert!(DigestCommitments::<T>::contains_key(0, (host::<T>(0), 0)));
	}

	#[benchmark]
	fn authorize_reveal(n: Linear<4, TAGS>) -> Result<(), BenchmarkError> {
		let (key, new) = tags::<T>(n)?;
		let signature = sign::<T>(&key, domain::REVEAL, &new)?;
		let call = Call::<T>::reveal { reveal: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn reveal(n: Linear<4, TAGS>) -> Result<(), BenchmarkError> {
		let (_, new) = tags::<T>(n)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, new, [0; 64]);
		assert!(Reveals::<T>::contains_key(0, (host::<T>(0), 0)));
		Ok(())
	}

	#[benchmark]
	fn authorize_request_openings() -> Result<(), BenchmarkError> {
		let (key, request) = request::<T>()?;
		let signature = sign::<T>(&key, domain::OPENING_REQUEST, &request)?;
		let call = Call::<T>::request_openings { request, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn request_openings() -> Result<(), BenchmarkError> {
		let (_, request) = request::<T>()?;
		let checker = T::AccountId::from(request.checker);
		#[extrinsic_call]
		_(RawOrigin::Authorized, request, [0; 64]);
		assert!(Requests::<T>::contains_key((0, host::<T>(0), (checker, 0))));
		Ok(())
	}

	#[benchmark]
	fn authorize_answer_openings() -> Result<(), BenchmarkError> {
		let (key, answer) = answer::<T>()?;
		let signature = sign::<T>(&key, domain::OPENING_ANSWER, &answer)?;
		let call = Call::<T>::answer_openings { answer, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn answer_openings() -> Result<(), BenchmarkError> {
		let (_, answer) = answer::<T>()?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, answer, [0; 64]);
		assert_eq!(Poc::<T>::unanswered(0, 0, &host::<T>(0)), 0);
		Ok(())
	}

	#[benchmark]
	fn authorize_accuse() -> Result<(), BenchmarkError> {
		let (key, accusation) = accusation::<T>()?;
		fill_queue::<T>(1)?;
		OpenAccusations::<T>::insert(host::<T>(0), MAX_ACCUSATIONS.saturating_sub(1));
		let signature = sign::<T>(&key, domain::ACCUSATION, &accusation)?;
		let call = Call::<T>::accuse { accusation, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn accuse(g: Linear<1, { T::MaxGames::get() + MAX_OWN }>) -> Result<(), BenchmarkError> {
		let (_, accusation) = accusation::<T>()?;
		fill_queue::<T>(g)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, accusation, [0; 64]);
		assert_eq!(Claims::<T>::count(), T::MaxClaims::get());
		assert_eq!(OpenAccusations::<T>::get(host::<T>(0)), 1);
		Ok(())
	}

	#[benchmark]
	fn authorize_challenge(n: Linear<1, { T::MaxTags::get() }>) -> Result<(), BenchmarkError> {
		let (key, new) = tags_that_differ::<T>(n)?;
		fill_queue::<T>(1)?;
		OpenChallenges::<T>::insert(host::<T>(0), MAX_CHALLENGES.saturating_sub(1));
		let signature = sign::<T>(&key, domain::CHALLENGE, &new)?;
		let call = Call::<T>::challenge { challenge: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn challenge(g: Linear<1, { T::MaxGames::get() + MAX_OWN }>) -> Result<(), BenchmarkError> {
		let (_, new) = tags_that_differ::<T>(T::MaxTags::get())?;
		fill_queue::<T>(g)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, new, [0; 64]);
		assert_eq!(Claims::<T>::count(), T::MaxClaims::get());
		assert_eq!(OpenChallenges::<T>::get(host::<T>(0)), 1);
		Ok(())
	}

	#[benchmark]
	fn authorize_play() -> Result<(), BenchmarkError> {
		let (key, new) = children::<T>(1)?;
		let signature = sign::<T>(&key, domain::PLAY, &new)?;
		let call = Call::<T>::play { play: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	/// Like `authorize_play`, for the last turn.
	#[benchmark]
	fn authorize_last_play() -> Result<(), BenchmarkError> {
		let (key, new) = value::<T>(1)?;
		let signature = sign::<T>(&key, domain::PLAY, &new)?;
		let call = Call::<T>::play { play: new, signature };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn play(g: Linear<1, { T::MaxGames::get() + MAX_OWN }>) -> Result<(), BenchmarkError> {
		let (_, new) = value::<T>(g)?;
		#[extrinsic_call]
		_(RawOrigin::Authorized, new, [0; 64]);
		assert_eq!(Claims::<T>::count(), 0);
		Ok(())
	}

	#[benchmark]
	fn authorize_close() -> Result<(), BenchmarkError> {
		let (_, new) = value::<T>(1)?;
		let end = BlockNumberFor::<T>::from(Pallet::<T>::now().saturating_add(2));
		System::<T>::set_block_number(end);
		let call = Call::<T>::close { claim: new.claim, refuter: Some(host::<T>(1)) };
		#[block]
		{
			benchmarking::authorize(&call)?;
		}
		Ok(())
	}

	#[benchmark]
	fn close(g: Linear<1, { T::MaxGames::get() + MAX_OWN }>) -> Result<(), BenchmarkError> {
		let (_, new) = children::<T>(g)?;
		let end = BlockNumberFor::<T>::from(Pallet::<T>::now().saturating_add(2));
		System::<T>::set_block_number(end);
		#[extrinsic_call]
		_(RawOrigin::Authorized, new.claim, Some(host::<T>(1)));
		assert_eq!(Claims::<T>::count(), 0);
		Ok(())
	}

	#[benchmark]
	fn prune() {
		let openings = Some(BoundedVec::truncate_from(vec![1; types::MAX_ANSWER as usize]));
		let request = Request { positions: Default::default(), deadline: 0, openings };
		Requests::<T>::insert((0, host::<T>(0), (host::<T>(1), 0)), request);
		#[block]
		{
			let _ = Requests::<T>::clear_prefix((0,), 1, None);
		}
	}

	#[benchmark]
	fn draw_refuters(n: Linear<0, { T::MaxClaims::get() }>) -> Result<(), BenchmarkError> {
		let epoch = go_to::<T>(draw::<T>(), T::MaxCheckers::get())?;
		let checkers = (0..T::MaxCheckers::get()).map(|index| (host::<T>(index), 1_000)).collect();
		Checkers::<T>::insert(epoch.index, BoundedVec::<_, T::MaxCheckers>::truncate_from(checkers));
		let draw = Pallet::<T>::now();
		let mut waiting = BoundedVec::<_, T::MaxClaims>::default();
		for _ in 0..n {
			let game = Game::new(Stage::Node, draw);
			let id = games::<T>(0, game, vec![[0; 32]; types::MAX_CHILDREN as usize])?;
			PlacesOf::<T>::remove(id);
			waiting.try_push((draw, id)).map_err(|_| "too many claims wait")?;
		}
		Waiting::<T>::put(waiting);
		#[block]
		{
			Pallet::<T>::draw_refuters();
		}
		assert_eq!(PlacesOf::<T>::iter().count() as u32, n);
		Ok(())
	}
}
