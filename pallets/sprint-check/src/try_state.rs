//! The invariants between blocks.

use crate::{types::Subject, *};
use alloc::collections::BTreeMap;
use gonka_primitives::check::MAX_REQUESTED;
use gonka_sprint::Layout;
use polkadot_sdk::sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks all invariants.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::try_state_claims()?;
		Self::try_state_queue()?;
		Self::try_state_places()?;
		Self::try_state_games()?;
		Self::try_state_checks()
	}

	/// # Invariants of claims
	/// 1. There are at most `MaxClaims` claims, the counter is right, and each id was assigned and is not pruned.
	/// 2. `OpenAccusations` and `OpenChallenges` count the open claims of each opener, from 1 to their maximum.
	/// 3. No claim is about its claimant. Each claim is noted, so that it cannot be made again.
	/// 4. An accusation has a leaf and a frontier; a challenge has exactly one game.
	fn try_state_claims() -> Result<(), TryRuntimeError> {
		let (mut claims, mut accusations, mut challenges) = (0u32, 0u32, 0u32);
		for (id, claim) in Claims::<T>::iter() {
			claims = claims.saturating_add(1);
			let given_out = (OldestClaim::<T>::get()..NextClaim::<T>::get()).contains(&id);
			ensure!(given_out, "claims 1: id out of range");
			ensure!(claim.claimant != claim.host, "claims 3: against itself");
			let games = Games::<T>::iter_key_prefix(id).count();
			let key = |second| (claim.epoch, claim.claimant.clone(), second);
			match claim.subject {
				Subject::Accusation { .. } => {
					accusations = accusations.saturating_add(1);
					let noted = Accused::<T>::contains_key(key(claim.host.clone()));
					ensure!(noted || claim.epoch < PrunedTo::<T>::get(), "claims 3: not noted");
					ensure!(claim.leaf.is_some() && !claim.frontier.is_empty(), "claims 4: accusation");
				},
				Subject::Challenge { round, set, .. } => {
					challenges = challenges.saturating_add(1);
					let second = (claim.host.clone(), round, set);
					let noted = Challenged::<T>::contains_key((claim.epoch, claim.claimant.clone(), second));
					ensure!(noted || claim.epoch < PrunedTo::<T>::get(), "claims 3: not noted");
					ensure!(games == 1, "claims 4: challenge");
				},
			}
		}
		ensure!(claims == Claims::<T>::count() && claims <= T::MaxClaims::get(), "claims 1: count");
		let mut counted = 0u32;
		for open in OpenAccusations::<T>::iter_values() {
			ensure!((1..=types::MAX_ACCUSATIONS).contains(&open), "claims 2: accuser's count");
			counted = counted.saturating_add(open);
		}
		ensure!(counted == accusations, "claims 2: count");
		let mut counted = 0u32;
		for open in OpenChallenges::<T>::iter_values() {
			ensure!((1..=types::MAX_CHALLENGES).contains(&open), "claims 2: challenger's count");
			counted = counted.saturating_add(open);
		}
		ensure!(counted == challenges, "claims 2: count");
		Ok(())
	}

	/// # Invariants of the queue
	/// 1. It lists each open claim once, ascending by weight.
	fn try_state_queue() -> Result<(), TryRuntimeError> {
		let queue = Queue::<T>::get();
		ensure!(queue.is_sorted_by_key(|(weight, _)| *weight), "queue 1: not ascending");
		let mut ids: alloc::vec::Vec<u32> = queue.iter().map(|(_, id)| *id).collect();
		ids.sort_unstable();
		ids.dedup();
		ensure!(ids.len() as u32 == Claims::<T>::count(), "queue 1: number of claims");
		ensure!(ids.len() == queue.len() && ids.iter().all(Claims::<T>::contains_key), "queue 1: no such claim");
		Ok(())
	}

	/// # Invariants of places
	/// 1. An accusation waits for its draw, or has places; a challenge has none. Draws are ascending by block.
	/// 2. The accused host has the first place of its own, and the claimant has none.
	/// 3. Open places are those of the games of hosts without a place of their own, at most `MaxGames`. A host with a
	///    place of its own and a game has begun.
	fn try_state_places() -> Result<(), TryRuntimeError> {
		let waiting = Waiting::<T>::get();
		ensure!(waiting.is_sorted_by_key(|(block, _)| *block), "places 1: not ascending");
		for (id, claim) in Claims::<T>::iter() {
			let waits = waiting.iter().filter(|(_, other)| *other == id).count();
			let drawn = usize::from(PlacesOf::<T>::contains_key(id));
			ensure!(waits.checked_add(drawn) == Some(claim.is_accusation().into()), "places 1: neither or both");
		}
		for (id, places) in PlacesOf::<T>::iter() {
			let claim = Claims::<T>::get(id).ok_or("places 1: no such claim")?;
			let is_first = places.own.first().is_some_and(|(who, _)| *who == claim.host);
			ensure!(is_first && places.has_begun(&claim.claimant).is_none(), "places 2: parties");
			let mut open = 0u32;
			for refuter in Games::<T>::iter_key_prefix(id) {
				match places.has_begun(&refuter) {
					None => open = open.saturating_add(1),
					Some(begun) => ensure!(begun, "places 3: a game that was not begun"),
				}
			}
			ensure!(open == places.open && open <= T::MaxGames::get(), "places 3: open places");
		}
		Ok(())
	}

	/// # Invariants of games
	/// 1. Each game belongs to a claim whose claimant is not the refuter.
	/// 2. A game holds exactly the data that its stage implies.
	fn try_state_games() -> Result<(), TryRuntimeError> {
		for (id, refuter, game) in Games::<T>::iter() {
			let claim = Claims::<T>::get(id).ok_or("games 1: no such claim")?;
			ensure!(claim.claimant != refuter, "games 1: the claimant refutes its own claim");
			let Some(epoch) = Poc::<T>::epoch_of(claim.epoch) else { continue };
			let layout = Layout::new(epoch.format);
			let reached = |stage: Stage| (game.stage as u8) > (stage as u8);
			let frontier = if reached(Stage::Trace) { layout.children_len(0) } else { 0 };
			ensure!(claim.frontier.len() == frontier, "games 2: frontier");
			ensure!(claim.leaf.is_some() == reached(Stage::Leaf), "games 2: leaf");
			if let Subject::Challenge { digests, number, .. } = &claim.subject {
				ensure!(digests.is_empty() != reached(Stage::Digests), "games 2: digests");
				ensure!(number.is_some() == reached(Stage::Leaf), "games 2: number");
			}
			ensure!(game.picked.is_some() == reached(Stage::Node), "games 2: picked");
			let children = if reached(Stage::Children) { layout.children_len(1) } else { 0 };
			ensure!(game.children.len() == children, "games 2: children");
			ensure!(game.block.is_some() == reached(Stage::Block), "games 2: block");
			ensure!(game.bytes.is_empty() != reached(Stage::Bytes), "games 2: bytes");
			let first = if claim.is_accusation() { Stage::Node } else { Stage::Digests };
			ensure!((first as u8).checked_add(game.number) == Some(game.stage as u8), "games 2: number of turns");
		}
		Ok(())
	}

	/// # Invariants of checks
	/// 1. A checker that revealed had committed.
	/// 2. A request has 1 to `MAX_REQUESTED` positions, ascending.
	/// 3. The host's standing counts its open requests, and the checker's all that it made in its last round, at most
	///    `request_limit` of new hosts and of others.
	fn try_state_checks() -> Result<(), TryRuntimeError> {
		for (epoch, checker, _) in Reveals::<T>::iter() {
			let committed = DigestCommitments::<T>::contains_key(epoch, &checker);
			ensure!(committed || epoch <= PrunedTo::<T>::get(), "checks 1: revealed before");
		}
		let (mut open, mut asked) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
		for ((epoch, host, (checker, round)), request) in Requests::<T>::iter() {
			let len = request.positions.len();
			ensure!((1..=MAX_REQUESTED as usize).contains(&len), "checks 2: number of positions");
			ensure!(request.positions.is_sorted_by(|a, b| a < b), "checks 2: positions out of order");
			if Poc::<T>::running_epoch().is_some_and(|running| !Self::is_over(epoch, running.index)) {
				let add = |count: &mut u32, more| *count = count.saturating_add(more);
				add(open.entry((epoch, round, host)).or_default(), u32::from(request.openings.is_none()));
				add(asked.entry((epoch, checker, round)).or_default(), 1);
			}
		}
		for ((epoch, round, host), open) in open {
			ensure!(Poc::<T>::unanswered(epoch, round, &host) == open, "checks 3: a host's open requests");
		}
		for ((epoch, checker, round), asked) in asked {
			let (last, new, others) = pallet_poc::Standings::<T>::get(epoch, &checker).unwrap_or_default().asked;
			let noted = u32::from(new).saturating_add(others.into());
			let is_few = new.max(others) <= Poc::<T>::request_limit(epoch);
			ensure!(is_few, "checks 3: too many requests of a checker");
			ensure!(round < last || (round, asked) == (last, noted), "checks 3: a checker's requests");
		}
		Ok(())
	}
}
