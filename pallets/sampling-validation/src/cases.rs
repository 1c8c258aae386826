//! Cases: who arbitrates, what they find, and what follows.

use crate::{
	types::{Arbiter, Audit, Said, Suspicion},
	*,
};
use alloc::vec::Vec;
use gonka_primitives::{
	sampling::{ARBITERS, FRESH, MAX_SCOPE, Scope, arbiter_ticket, case_seed, judge},
	traits::Beacon,
};
use polkadot_sdk::sp_runtime::DispatchResult;

/// Cases that a block draws arbiters for, or closes.
pub(crate) const PER_BLOCK: u32 = 4;
/// Blocks from a case's opening to its draw. The author of the block that opens it knows what the next one would give.
const DRAW_AFTER: BlockNumber = 2;
/// Tickets that are drawn for arbiters, and hosts that are asked in all.
pub(crate) const ASKED: (u32, u32) = (24, 32);

impl<T: Config> Pallet<T> {
	/// Opens a case against a host that has none. False if there is no room.
	pub(crate) fn open_case(
		host: &T::AccountId,
		model: ModelId,
		profile: Profile,
		suspicion: &Suspicion<T::AccountId>,
	) -> bool {
		let batches = Batches::<T>::iter_prefix(host).take(MAX_SCOPE as usize);
		let mut scope: Vec<Scope> = batches.filter_map(|(window, batch)| Self::part(window, &batch, model)).collect();
		scope.sort_by_key(|part| part.window);
		if scope.is_empty() {
			// Nothing is left that arbiters could look at.
			return true;
		}
		let (opened, id) = (Self::now(), NextCase::<T>::get());
		let audit = suspicion.heard.iter().filter_map(|heard| {
			let root = Batches::<T>::get(host, heard.window)?.root;
			Some(Audit { heard: heard.clone(), root })
		});
		let case = Case {
			id,
			model,
			profile,
			opened,
			deadline: opened.saturating_add(T::Rules::get().case_blocks),
			seed: None,
			audit: BoundedVec::truncate_from(audit.collect()),
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

	/// What a model did of a settlement.
	fn part(window: u32, batch: &Batch, model: ModelId) -> Option<Scope> {
		let before = batch.work.iter().take_while(|(other, _)| *other < model);
		let first = before.fold(0u64, |sum, (_, work)| sum.saturating_add(*work));
		let (_, work) = batch.work.iter().find(|(other, _)| *other == model)?;
		Some(Scope { window, root: batch.root, first, work: *work })
	}

	/// Draws arbiters and closes what is over.
	pub(crate) fn go_on_with_cases() -> Weight {
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

	/// The block from which on there is more to do; `None` once the case is closed.
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

	/// By weight: hosts that have not found anything of what raised the alarm; where these are too few, others, too.
	fn draw_arbiters(host: &T::AccountId, case: &mut CaseOf<T>) {
		let seed = case_seed(&T::Beacon::randomness(), case.id);
		let most = ARBITERS as usize;
		let (mut outside, mut inside) = (Vec::new(), Vec::new());
		if let Some(epoch) = TableEpoch::<T>::get() {
			let ticket = |attempt, total| arbiter_ticket(&seed, attempt, total);
			Self::ask((epoch, case.model), ASKED, ticket, |who| {
				let is_known = outside.contains(who) || inside.contains(who);
				if who != host && !is_known && Self::is_heard(who) {
					let is_party = case.audit.iter().any(|audit| audit.heard.checker == *who);
					if is_party { inside.push(who.clone()) } else { outside.push(who.clone()) }
				}
				outside.len() >= most
			});
		}
		let drawn: Vec<_> = outside.into_iter().chain(inside).take(most).collect();
		case.seed = Some(seed);
		let arbiters = drawn.iter().map(|who| Arbiter { who: who.clone(), ruled: None }).collect();
		case.arbiters = BoundedVec::truncate_from(arbiters);
		Self::deposit_event(Event::ArbitersDrawn { case: case.id, arbiters: BoundedVec::truncate_from(drawn) });
	}

	/// Notes a ruling. Only what the pool let through gets here.
	pub(crate) fn note_ruling(ruling: Ruling) -> DispatchResult {
		let (host, arbiter) = (T::AccountId::from(ruling.host), T::AccountId::from(ruling.arbiter));
		let mut case = Cases::<T>::get(&host).ok_or(Error::<T>::NotFound)?;
		let (outcome, id) = (Self::outcome(&case, &ruling).ok_or(Error::<T>::NotFound)?, case.id);
		let said = ruling.audit.iter().map(|finding| Self::said(&case.profile, finding)).collect();
		let seat = case.arbiters.iter_mut().find(|other| other.who == arbiter).ok_or(Error::<T>::NotFound)?;
		seat.ruled = Some((outcome, BoundedVec::truncate_from(said)));
		if case.arbiters.iter().all(|arbiter| arbiter.ruled.is_some()) {
			OpenCases::<T>::mutate(|open| {
				open.iter_mut().filter(|(other, _)| *other == host).for_each(|entry| entry.1 = Self::now());
			});
		}
		Cases::<T>::insert(&host, case);
		Self::deposit_event(Event::Ruled { case: id, arbiter, outcome });
		Ok(())
	}

	/// What a ruling's fresh findings come to; `None` if more are wanted.
	pub(crate) fn outcome(case: &CaseOf<T>, ruling: &Ruling) -> Option<Outcome> {
		let rules = T::Rules::get();
		judge(&case.profile, &ruling.fresh, rules.unavailable, (rules.guilty, rules.innocent))
	}

	fn close_case(host: &T::AccountId, case: &CaseOf<T>) {
		let outcome = case.outcome();
		if outcome != Outcome::Innocent {
			let last = pallet_inference_market::SettledWindows::<T>::get(host).last().copied();
			Self::touch(host, |record| {
				record.disgrace();
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
			Poc::<T>::note_samples(&arbiter.who, FRESH, met);
			Self::touch(&arbiter.who, |record| record.missed |= met == 0);
		}
		Self::audit(case);
		Self::deposit_event(Event::CaseClosed { case: case.id, host: host.clone(), outcome });
	}

	/// Compares what checkers and arbiters said with what most arbiters clearly found. Whoever said the clear opposite is
	/// struck; who did not get a right answer missed a duty.
	fn audit(case: &CaseOf<T>) {
		let mut struck = Vec::new();
		for (index, audit) in case.audit.iter().enumerate() {
			let Some(truth) = case.truth(index) else { continue };
			let of_arbiter = |arbiter: &Arbiter<T::AccountId>| {
				let said = arbiter.ruled.as_ref()?.1.get(index).copied().flatten()?;
				Some((arbiter.who.clone(), said))
			};
			let said = case.arbiters.iter().filter_map(of_arbiter);
			for (who, said) in said.chain([(audit.heard.checker.clone(), audit.heard.said)]) {
				match (said, truth) {
					(Said::Absent, Said::Right) => Self::touch(&who, |record| record.missed = true),
					(Said::Absent, _) => {},
					_ if said != truth && !struck.contains(&who) => struck.push(who),
					_ => {},
				}
			}
		}
		for host in struck {
			Self::touch(&host, Record::disgrace);
			Self::mute(&host);
			Self::deposit_event(Event::Struck { host, case: case.id });
		}
	}

	/// Nobody listens to a host for a while.
	fn mute(host: &T::AccountId) {
		let last = Self::epoch().saturating_add(T::Rules::get().mute);
		Self::touch(host, |record| record.muted = Some(last));
	}
}
