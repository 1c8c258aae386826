//! The interface of sampled validation and of block production: audits and blocks as duties, and convictions for wrong
//! inference.

use crate::*;
use gonka_primitives::check::Offence;

impl<T: Config> Pallet<T> {
	/// The epoch in which a finding of now counts for `host`: the last one in which it took part; `None` if it took part in
	/// none that is kept.
	pub fn epoch_at_stake(host: &T::AccountId) -> Option<EpochIndex> {
		Self::took_part_last(Self::running_epoch()?.index, host)
	}

	/// Adds `total` audits to the duties of `checker`, of which it met `met`.
	pub fn note_audits(checker: &T::AccountId, total: u32, met: u32) {
		let Some(epoch) = Self::epoch_at_stake(checker) else { return };
		Standings::<T>::mutate(epoch, checker, |standing| {
			if let Some(standing) = standing {
				let (due, done) = standing.audits;
				standing.audits = (due.saturating_add(total), done.saturating_add(met.min(total)));
			}
		});
	}

	/// Adds blocks to the duties of a validator: `due`, in thousandths, were expected of it, of which it wrote `written`.
	pub fn note_blocks(validator: &T::AccountId, due: u32, written: u32) {
		let Some(epoch) = Self::epoch_at_stake(validator).filter(|_| due > 0 || written > 0) else { return };
		Standings::<T>::mutate(epoch, validator, |standing| {
			if let Some(Standing { blocks: (all, met), .. }) = standing {
				(*all, *met) = (all.saturating_add(due), met.saturating_add(written));
			}
		});
	}

	/// Convicts `host` of wrong inference, unless it is already convicted in that epoch.
	pub fn convict_of_inference(host: &T::AccountId) {
		let Some(epoch) = Self::epoch_at_stake(host) else {
			// The host has no weight to lose.
			let running = Self::running_epoch().map_or(0, |epoch| epoch.index);
			return T::OnOffence::on_offence(host, running, Offence::WrongInference);
		};
		if !Self::is_convicted(epoch, host) {
			Self::convict(epoch, host, Offence::WrongInference);
			T::OnOffence::on_offence(host, epoch, Offence::WrongInference);
		}
	}
}
