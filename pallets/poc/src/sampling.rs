//! What sampled validation reads of an epoch, and what it notes.

use crate::*;
use gonka_primitives::check::Offence;

impl<T: Config> Pallet<T> {
	/// The epoch in which something that is found now counts for `host`: the running one, or, before it raced there,
	/// the one before. It may be that it raced in neither.
	pub fn epoch_at_stake(host: &T::AccountId) -> Option<EpochIndex> {
		let running = Self::running_epoch()?.index;
		let raced = |epoch: &EpochIndex| Standings::<T>::contains_key(epoch, host);
		Some(running).filter(raced).or_else(|| running.checked_sub(1).filter(raced))
	}

	/// Notes that `checker` answered for `met` of `total` samples of inference more.
	pub fn note_samples(checker: &T::AccountId, total: u32, met: u32) {
		let Some(epoch) = Self::epoch_at_stake(checker) else { return };
		Standings::<T>::mutate(epoch, checker, |standing| {
			if let Some(standing) = standing {
				let (due, done) = standing.samples;
				standing.samples = (due.saturating_add(total), done.saturating_add(met.min(total)));
			}
		});
	}

	/// Convicts `host` of answers that are not its model's, unless it has been convicted in that epoch before.
	pub fn convict_of_inference(host: &T::AccountId) {
		let Some(epoch) = Self::epoch_at_stake(host) else {
			// There is no weight to lose.
			let running = Self::running_epoch().map_or(0, |epoch| epoch.index);
			return T::OnOffence::on_offence(host, running, Offence::WrongInference);
		};
		if !Self::is_convicted(epoch, host) {
			Self::convict(epoch, host, Offence::WrongInference);
			T::OnOffence::on_offence(host, epoch, Offence::WrongInference);
		}
	}
}
