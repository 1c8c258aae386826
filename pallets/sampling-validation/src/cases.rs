//! Cases: opening, arbiters, rulings and outcomes.

use crate::{
	types::{Arbiter, ClearFinding, Reviewed, Suspicion},
	*,
};
use alloc::vec::Vec;
use gonka_primitives::{
	audit::{ARBITERS, FRESH, MAX_SCOPE, Scope, arbiter_ticket, case_seed, judge},
	traits::Beacon,
};
use polkadot_sdk::sp_runtime::DispatchResult;

/// Maximum number of cases that a block advances.
pub(crate) const PER_BLOCK: u32 = 4;
/// Blocks from a case's opening to the draw of its arbiters. The author of the opening block knows the next beacon.
const DRAW_AFTER: BlockNumber = 2;
/// Number of tickets drawn for arbiters, and of hosts tried in all.
pub(crate) const ARBITER_TRIES: (u32, u32) = (24, 32);

impl<T: Config> Pallet<T> {
	/// Opens a case against a host that has none. Returns false if there is no room.
	pub(crate) fn open_case(
		host: &T::AccountId,
		model: ModelId,
		profile: CalibrationProfile,
		suspicion: &Suspicion<T::AccountId>,
	) -> bool {
		let batches = Batches::<T>::iter_prefix(host).take(MAX_SCOPE as usize);
		let mut scope: Vec<Scope> =
			batches.filter_map(|(window, batch)| Self::scope_of(window, &batch, model)).collect();
		scope.sort_by_key(|part| part.window);
		if scope.is_empty() {
			// No settlement is left that arbiters could draw from.
			return true;
		}
		let (opened, id) = (Self::now(), NextCase::<T>::get());
		let reviewed = suspicion.recent.iter().filter_map(|finding| {
			let root = Batches::<T>::get(host, finding.window)?.root;
			Some(Reviewed { finding: finding.clone(), root })
		});
		let case = Case {
			id,
			model,
			profile,
			opened,
			deadline: opened.saturating_add(T::AuditRules::get().case_blocks),
			seed: None,
			reviewed: BoundedVec::truncate_from(reviewed.collect()),
			scope: BoundedVec::truncate_from(scope),
			arbiters: BoundedVec::new(),
		};
		let draw = opened.saturating_add(DRAW_AFTER);
		if OpenCases::<T>::try_mutate(|open| open.try_push((host.clone(), draw))).is_err() {
			return false;
		}
		NextCase::<T>::put(id.saturating_add(1));
		Cases::<T>::insert(host, case);
		Self::deposit_event(Event::CaseOpened { case: id, host: host.clone(), model });
		true
	}

	/// The part of a settlement that a model did.
	fn scope_of(window: u32, batch: &Batch, model: ModelId) -> Option<Scope> {
		let before = batch.work.iter().take_while(|(other, _)| *other < model);
		let first = before.fold(0u64, |sum, (_, work)| sum.saturating_add(*work));
		let (_, work) = batch.work.iter().find(|(other, _)| *other == model)?;
		Some(Scope { window, root: batch.root, first, work: *work })
	}

	/// Draws arbiters of new cases and closes cases that are over.
	pub(crate) fn advance_cases() -> Weight {
		let (now, mut open) = (Self::now(), OpenCases::<T>::get());
		let is_due = |(_, block): &(T::AccountId, BlockNumber)| *block <= now;
		let due: Vec<_> = open.iter().filter(|entry| is_due(entry)).take(PER_BLOCK as usize).cloned().collect();
		let (mut drawn, mut closed) = (0u32, 0u32);
		for (host, _) in &due {
			let case = Cases::<T>::get(host);
			let count = if case.as_ref().is_some_and(|case| case.seed.is_none()) { &mut drawn } else { &mut closed };
			*count = count.saturating_add(1);
			let next = case.and_then(|case| Self::advance(host, case));
			match (next, open.iter_mut().find(|(other, _)| other == host)) {
				(Some(next), Some(entry)) => entry.1 = next,
				_ => open.retain(|(other, _)| other != host),
			}
		}
		if !due.is_empty() {
			OpenCases::<T>::put(open);
		}
		let drawing = <T as Config>::WeightInfo::draw_arbiters(drawn);
		drawing.saturating_add(<T as Config>::WeightInfo::close_cases(closed))
	}

	/// Advances a case. Returns the block in which it advances next; `None` once it is closed.
	fn advance(host: &T::AccountId, mut case: CaseOf<T>) -> Option<BlockNumber> {
		if case.seed.is_none() {
			Self::draw_arbiters(host, &mut case);
			if !case.arbiters.is_empty() {
				Cases::<T>::insert(host, &case);
				return Some(case.deadline.saturating_add(1));
			}
		}
		Cases::<T>::remove(host);
		Self::close_case(host, &case);
		None
	}

	/// Draws arbiters by weight from hosts that did not report on the reviewed audits, and from others if these are
	/// too few.
	fn draw_arbiters(host: &T::AccountId, case: &mut CaseOf<T>) {
		let seed = case_seed(&T::Beacon::randomness(), case.id);
		let max = ARBITERS as usize;
		let (mut outside, mut inside) = (Vec::new(), Vec::new());
		if let Some(epoch) = TableEpoch::<T>::get() {
			let ticket = |attempt, total| arbiter_ticket(&seed, attempt, total);
			Self::draw_host((epoch, case.model), ARBITER_TRIES, ticket, |who| {
				let is_known = outside.contains(who) || inside.contains(who);
				if who != host && !is_known && Self::can_check(who) {
					let is_party = case.reviewed.iter().any(|reviewed| reviewed.finding.checker == *who);
					if is_party { inside.push(who.clone()) } else { outside.push(who.clone()) }
				}
				outside.len() >= max
			});
		}
		let drawn: Vec<_> = outside.into_iter().chain(inside).take(max).collect();
		case.seed = Some(seed);
		let arbiters = drawn.iter().map(|who| Arbiter { who: who.clone(), ruled: None }).collect();
		case.arbiters = BoundedVec::truncate_from(arbiters);
		Self::deposit_event(Event::ArbitersDrawn { case: case.id, arbiters: BoundedVec::truncate_from(drawn) });
	}

	/// Applies a ruling that the pool validated.
	pub(crate) fn note_ruling(ruling: Ruling) -> DispatchResult {
		let (host, arbiter) = (T::AccountId::from(ruling.host), T::AccountId::from(ruling.arbiter));
		let mut case = Cases::<T>::get(&host).ok_or(Error::<T>::NotFound)?;
		let (outcome, id) = (Self::outcome(&case, &ruling).ok_or(Error::<T>::NotFound)?, case.id);
		let reviewed = ruling.reviewed.iter().map(|finding| Self::clear_finding(&case.profile, finding)).collect();
		let own = case.arbiters.iter_mut().find(|other| other.who == arbiter).ok_or(Error::<T>::NotFound)?;
		own.ruled = Some((outcome, BoundedVec::truncate_from(reviewed)));
		if case.arbiters.iter().all(|arbiter| arbiter.ruled.is_some()) {
			OpenCases::<T>::mutate(|open| {
				open.iter_mut().filter(|(other, _)| *other == host).for_each(|entry| entry.1 = Self::now());
			});
		}
		Cases::<T>::insert(&host, case);
		Self::deposit_event(Event::Ruled { case: id, arbiter, outcome });
		Ok(())
	}

	/// The outcome of a ruling's fresh findings; `None` if the test needs more of them.
	pub(crate) fn outcome(case: &CaseOf<T>, ruling: &Ruling) -> Option<Outcome> {
		let rules = T::AuditRules::get();
		judge(&case.profile, &ruling.fresh, rules.unavailable, (rules.guilty, rules.innocent))
	}

	fn close_case(host: &T::AccountId, case: &CaseOf<T>) {
		let outcome = case.outcome();
		if outcome != Outcome::Innocent {
			let last = pallet_inference_market::SettledWindows::<T>::get(host).last().copied();
			Self::update_record(host, |record| {
				record.lose_reputation();
				record.condemned = last.or(record.condemned);
			});
		}
		match outcome {
			Outcome::Guilty => {
				Self::mute(host);
				Poc::<T>::convict_of_inference(host);
			},
			Outcome::Withheld => {
				if let Some(epoch) = Poc::<T>::epoch_at_stake(host) {
					Poc::<T>::forfeit(epoch, host);
				}
			},
			Outcome::Innocent => {},
		}
		for arbiter in &case.arbiters {
			let met = if arbiter.ruled.is_some() { FRESH } else { 0 };
			Poc::<T>::note_audits(&arbiter.who, FRESH, met);
			Self::update_record(&arbiter.who, |record| record.missed |= met == 0);
		}
		Self::review(case);
		Self::deposit_event(Event::CaseClosed { case: case.id, host: host.clone(), outcome });
	}

	/// Compares the clear findings of checkers and arbiters with those of most arbiters. A host with the opposite
	/// finding is discredited. A host that found evidence absent which the arbiters found right missed a duty.
	fn review(case: &CaseOf<T>) {
		let mut discredited = Vec::new();
		for (index, reviewed) in case.reviewed.iter().enumerate() {
			let Some(truth) = case.truth(index) else { continue };
			let of_arbiter = |arbiter: &Arbiter<T::AccountId>| {
				let finding = arbiter.ruled.as_ref()?.1.get(index).copied().flatten()?;
				Some((arbiter.who.clone(), finding))
			};
			let rulings = case.arbiters.iter().filter_map(of_arbiter);
			let report = (reviewed.finding.checker.clone(), reviewed.finding.clear);
			for (who, finding) in rulings.chain([report]) {
				match (finding, truth) {
					(ClearFinding::Absent, ClearFinding::Right) => {
						Self::update_record(&who, |record| record.missed = true)
					},
					(ClearFinding::Absent, _) => {},
					_ if finding != truth && !discredited.contains(&who) => discredited.push(who),
					_ => {},
				}
			}
		}
		for host in discredited {
			Self::update_record(&host, Record::lose_reputation);
			Self::mute(&host);
			Self::deposit_event(Event::Discredited { host, case: case.id });
		}
	}

	/// Mutes a host: for some epochs it is not drawn, and its findings are ignored.
	fn mute(host: &T::AccountId) {
		let last = Self::epoch().saturating_add(T::AuditRules::get().mute_epochs);
		Self::update_record(host, |record| record.muted = Some(last));
	}
}
