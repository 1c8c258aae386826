//! The invariants between blocks.

use crate::{types::Subject, *};
use gonka_primitives::check::MAX_REQUESTED;
use gonka_sprint::Layout;
use polkadot_sdk::sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks all invariants.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		Self::try_state_claims()?;
		Self::try_state_games()?;
		Self::try_state_checks()
	}

	/// # Invariants of claims
	/// 1. There are at most `MaxClaims` claims, the counter is right, and each id was assigned and is not pruned.
	/// 2. `OpenAccusations` counts the open accusations of each accuser: 1 to `MAX_ACCUSATIONS`.
	/// 3. No claim is about its claimant. Each claim is noted, so that it cannot be made again.
	/// 4. An accusation has a leaf and a frontier; a challenge has exactly one game.
	fn try_state_claims() -> Result<(), TryRuntimeError> {
		let (mut claims, mut accusations) = (0u32, 0u32);
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
				Subject::Challenge { set, .. } => {
					let second = (claim.host.clone(), set);
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
		Ok(())
	}

	/// # Invariants of games
	/// 1. Each game belongs to a claim whose claimant is not the refuter.
	/// 2. A claim has at most `MaxGames` games, and one more of the host.
	/// 3. A game holds exactly the data that its stage implies.
	fn try_state_games() -> Result<(), TryRuntimeError> {
		for (id, refuter, game) in Games::<T>::iter() {
			let claim = Claims::<T>::get(id).ok_or("games 1: no such claim")?;
			ensure!(claim.claimant != refuter, "games 1: the claimant refutes its own claim");
			let others = Games::<T>::iter_key_prefix(id).filter(|other| *other != claim.host).count();
			ensure!(others <= T::MaxGames::get() as usize, "games 2: too many");
			let Some(epoch) = Poc::<T>::epoch_of(claim.epoch) else { continue };
			let layout = Layout::new(epoch.format);
			let reached = |stage: Stage| (game.stage as u8) > (stage as u8);
			let frontier = if reached(Stage::Trace) { layout.children_len(0) } else { 0 };
			ensure!(claim.frontier.len() == frontier, "games 3: frontier");
			ensure!(claim.leaf.is_some() == reached(Stage::Leaf), "games 3: leaf");
			if let Subject::Challenge { digests, number, .. } = &claim.subject {
				ensure!(digests.is_empty() != reached(Stage::Digests), "games 3: digests");
				ensure!(number.is_some() == reached(Stage::Leaf), "games 3: number");
			}
			ensure!(game.picked.is_some() == reached(Stage::Node), "games 3: picked");
			let children = if reached(Stage::Children) { layout.children_len(1) } else { 0 };
			ensure!(game.children.len() == children, "games 3: children");
			ensure!(game.block.is_some() == reached(Stage::Block), "games 3: block");
			ensure!(game.bytes.is_empty() != reached(Stage::Bytes), "games 3: bytes");
			let first = if claim.is_accusation() { Stage::Node } else { Stage::Digests };
			ensure!((first as u8).checked_add(game.number) == Some(game.stage as u8), "games 3: number of turns");
		}
		Ok(())
	}

	/// # Invariants of checks
	/// 1. A checker that revealed had committed.
	/// 2. A request has 1 to `MAX_REQUESTED` positions, ascending. An open one is noted in the host's standing.
	fn try_state_checks() -> Result<(), TryRuntimeError> {
		for (epoch, checker, _) in Reveals::<T>::iter() {
			let committed = DigestCommitments::<T>::contains_key(epoch, &checker);
			ensure!(committed || epoch <= PrunedTo::<T>::get(), "checks 1: revealed before");
		}
		for ((epoch, host, _), request) in Requests::<T>::iter() {
			let len = request.positions.len();
			ensure!((1..=MAX_REQUESTED as usize).contains(&len), "checks 2: number of positions");
			ensure!(request.positions.is_sorted_by(|a, b| a < b), "checks 2: positions out of order");
			let owed = Poc::<T>::has_open_request(epoch, &host) || request.openings.is_some();
			ensure!(owed || epoch < PrunedTo::<T>::get(), "checks 2: not noted");
		}
		Ok(())
	}
}
