//! Cases: opening, their places, arbiters and rulings.

use crate::{
	types::{Arbiter, Hearing, Reviewed, Suspicion},
	*,
};
use alloc::vec::Vec;
use gonka_primitives::audit::{MAX_SCOPE, MAX_SEATS, Scope, arbiter_ticket, case_seed, judge};
use polkadot_sdk::sp_runtime::DispatchResult;

/// Maximum number of cases that a block advances, and of judgements that it lets take effect, together.
pub(crate) const PER_BLOCK: u32 = 1;
/// The queue of cases that are heard.
type Queue<T> = BoundedVec<Hearing<<T as frame_system::Config>::AccountId>, <T as Config>::MaxCases>;

impl<T: Config> Pallet<T> {
	/// Opens a case against a host that has none. Returns false if there is no room.
	pub(crate) fn open_case(
		host: &T::AccountId,
		model: ModelId,
		profile: CalibrationProfile,
		suspicion: &Suspicion<T::AccountId>,
	) -> bool {
		let (mut open, (weight, _)) = (OpenCases::<T>::get(), Self::weight_of(host));
		if open.is_full() && Self::lightest(&open, Some(weight)).is_none() {
			return false;
		}
		let record = Self::record(host);
		// Of windows that a judgement is about, about as many are kept as later ones.
		let batches = Batches::<T>::iter_prefix(host).take(MAX_SCOPE.saturating_mul(2) as usize);
		let parts = batches.filter(|(window, _)| record.is_open(*window)).take(MAX_SCOPE as usize);
		let mut scope: Vec<Scope> = parts.filter_map(|(window, batch)| Self::scope_of(window, &batch, model)).collect();
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
			sum: suspicion.sum,
			opened,
			deadline: opened.saturating_add(T::AuditRules::get().case_blocks),
			seed: None,
			reviewed: BoundedVec::truncate_from(reviewed.collect()),
			scope: BoundedVec::truncate_from(scope),
			arbiters: BoundedVec::new(),
			judgement: None,
		};
		Self::make_room(&mut open, Some(weight));
		let next = opened.saturating_add(T::AuditRules::get().draw_blocks);
		if open.try_push(Hearing { host: host.clone(), next, weight, appeal: false }).is_err() {
			return false;
		}
		OpenCases::<T>::put(open);
		NextCase::<T>::put(id.saturating_add(1));
		Cases::<T>::insert(host, case);
		Self::deposit_event(Event::CaseOpened { case: id, host: host.clone(), model });
		true
	}

	/// A host's proven weight in the epoch weighed last, and the sum of all. New hosts that prove nothing thus leave the shares
	/// of others as they are.
	pub(crate) fn weight_of(host: &T::AccountId) -> (u64, u64) {
		let weights = pallet_poc::LastWeighed::<T>::get().and_then(pallet_poc::WeighedEpochs::<T>::get);
		(Poc::<T>::rank(host), weights.map_or(0, |weights| weights.proven.total))
	}

	/// The place of the lightest host's case that is not an appeal, if the host is lighter than `below`.
	fn lightest(open: &Queue<T>, below: Option<u64>) -> Option<usize> {
		let cases = open.iter().enumerate().filter(|(_, hearing)| !hearing.appeal);
		let (place, lightest) = cases.min_by_key(|(_, hearing)| hearing.weight)?;
		below.is_none_or(|weight| lightest.weight < weight).then_some(place)
	}

	/// Closes the case of the lightest host, lighter than `below`, if the queue is full. Its suspicion stays as it was, so
	/// that another finding opens the case again once there is room.
	pub(crate) fn make_room(open: &mut Queue<T>, below: Option<u64>) {
		let Some(place) = open.is_full().then(|| Self::lightest(open, below)).flatten() else { return };
		let host = open.remove(place).host;
		let Some(case) = Cases::<T>::take(&host) else { return };
		let recent = case.reviewed.into_iter().map(|reviewed| reviewed.finding).collect();
		let (recent, after) = (BoundedVec::truncate_from(recent), Self::record(&host).condemned);
		Suspicions::<T>::insert(&host, case.model, Suspicion { sum: case.sum, recent, after });
		Self::deposit_event(Event::CaseDisplaced { case: case.id, host });
	}

	/// The part of a settlement that a model did.
	fn scope_of(window: u32, batch: &Batch, model: ModelId) -> Option<Scope> {
		let before = batch.work.iter().take_while(|(other, _)| *other < model);
		let first = before.fold(0u64, |sum, (_, work)| sum.saturating_add(*work));
		let (_, work) = batch.work.iter().find(|(other, _)| *other == model)?;
		Some(Scope { window, root: batch.root, first, work: *work })
	}

	/// Lets judgements take effect, draws arbiters of new cases and decides cases that are over.
	pub(crate) fn advance_cases() -> Weight {
		let (now, ended) = (Self::now(), Self::end_terms(PER_BLOCK));
		let mut open = OpenCases::<T>::get();
		let due = open.iter().filter(|hearing| hearing.next <= now).map(|hearing| hearing.host.clone());
		let due: Vec<_> = due.take(PER_BLOCK.saturating_sub(ended) as usize).collect();
		let (mut drawn, mut closed) = (0u32, ended);
		for host in &due {
			let case = Cases::<T>::get(host);
			let count = if case.as_ref().is_some_and(|case| case.seed.is_none()) { &mut drawn } else { &mut closed };
			*count = count.saturating_add(1);
			let next = case.and_then(|case| Self::advance(host, case));
			match (next, open.iter_mut().find(|hearing| hearing.host == *host)) {
				(Some(next), Some(hearing)) => hearing.next = next,
				_ => open.retain(|hearing| hearing.host != *host),
			}
		}
		if !due.is_empty() {
			OpenCases::<T>::put(open);
		}
		// The queue and the oldest term are read in every block.
		let reading = T::DbWeight::get().reads_writes(3, 1);
		let drawing = <T as Config>::WeightInfo::draw_arbiters().saturating_mul(drawn.into());
		let closing = <T as Config>::WeightInfo::close_case().saturating_mul(closed.into());
		reading.saturating_add(drawing).saturating_add(closing)
	}

	/// Advances a case. Returns the block in which it advances next; `None` once it is decided.
	fn advance(host: &T::AccountId, mut case: CaseOf<T>) -> Option<BlockNumber> {
		if case.seed.is_none() {
			Self::draw_arbiters(host, &mut case);
			if !case.arbiters.is_empty() {
				Cases::<T>::insert(host, &case);
				return Some(case.deadline.saturating_add(1));
			}
		}
		Self::decide(host, case);
		None
	}

	/// Draws the seats of arbiters, each by weight and by itself, so that many light hosts get no more of them than one
	/// of the same weight. Findings about the host exclude nobody: they would exclude the heavy hosts that check most.
	fn draw_arbiters(host: &T::AccountId, case: &mut CaseOf<T>) {
		let (rules, (weight, total)) = (T::AuditRules::get(), Self::weight_of(host));
		let seats = if case.appeal().is_some() { rules.appeal_seats } else { rules.seats_for(weight, total) };
		let seed = case_seed(&Poc::<T>::beacon(), case.id);
		let drawn = TableEpoch::<T>::get().map_or_else(Vec::new, |epoch| {
			let ticket = |attempt, left| arbiter_ticket(&seed, attempt, left);
			Self::draw_seats((epoch, case.model), seats.min(MAX_SEATS), ticket, |who| {
				who != host && Self::can_check(who)
			})
		});
		case.seed = Some(seed);
		// The draw may have waited until other cases were done.
		case.deadline = Self::now().saturating_add(rules.case_blocks.saturating_sub(rules.draw_blocks));
		let arbiters = drawn.iter().map(|(who, seats)| Arbiter { who: who.clone(), seats: *seats, ruled: None });
		case.arbiters = BoundedVec::truncate_from(arbiters.collect());
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
				open.iter_mut().filter(|hearing| hearing.host == host).for_each(|hearing| hearing.next = Self::now());
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
}
