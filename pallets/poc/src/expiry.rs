//! The expiry of hosts without weight, so that places are free for those that have some.
//!
//! A host shows itself by weight alone: registrations and commitments cost next to nothing. The more places are taken, the
//! sooner a host without weight goes.

use crate::{
	types::{EpochWeights, Host},
	*,
};

/// Number of times that the sweep passes all hosts in an epoch, where blocks have room.
const PASSES: u32 = 4;
/// Minimum number of hosts that the sweep visits in a block.
const MIN_BATCH: u32 = 4;

/// The rule by which hosts expire, as of a block.
struct Expiry {
	/// The epoch weighed last.
	epoch: EpochIndex,
	weights: EpochWeights,
	/// Weighed epochs without weight after which a host expires that never had any.
	patience: EpochIndex,
	/// The effective weight above which a host counts as one with weight.
	least: u64,
}

impl Expiry {
	/// Whether a host expires that has no weight in the epoch weighed last. A host that had weight once has one epoch
	/// more, so that it can be offline for a sprint however many places are taken.
	fn is_due(&self, host: &Host) -> bool {
		let (since, more) = host.weighed.map_or((host.joined, 0), |weighed| (weighed, 1));
		self.epoch.saturating_sub(since) >= self.patience.saturating_add(more)
	}
}

impl<T: Config> Pallet<T> {
	fn expiry(hosts: u32) -> Option<Expiry> {
		let epoch = LastWeighed::<T>::get()?;
		let (weights, max) = (WeighedEpochs::<T>::get(epoch)?, T::MaxHosts::get());
		let patience = math::patience(hosts, max, T::HostExpiry::get());
		let least = math::least_weight(hosts, max, weights.proven.total);
		Some(Expiry { epoch, weights, patience, least })
	}

	/// Notes which hosts have weight, and removes those that had none for too long. Visits a few hosts in each block.
	pub(crate) fn sweep(meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::sweep(0)).is_err() {
			return;
		}
		let (hosts, length) = (Hosts::<T>::count(), CurrentEpoch::<T>::get().map_or(1, |epoch| epoch.schedule.length));
		let Some(expiry) = Self::expiry(hosts) else { return };
		let cost = T::WeightInfo::sweep(1).saturating_sub(T::WeightInfo::sweep(0));
		let room = meter.remaining().checked_div_per_component(&cost).unwrap_or(u64::MAX);
		let batch = hosts.saturating_mul(PASSES).div_ceil(length.max(1)).max(MIN_BATCH);
		let batch = u64::from(batch).min(room) as usize;
		if batch == 0 {
			return;
		}
		let rest = match SweptTo::<T>::take() {
			Some(after) => Hosts::<T>::iter_from(Hosts::<T>::hashed_key_for(&after)),
			None => Hosts::<T>::iter(),
		};
		let page: Vec<_> = rest.take(batch).collect();
		if page.len() == batch {
			SweptTo::<T>::set(page.last().map(|(account, _)| account.clone()));
		}
		meter.consume(cost.saturating_mul(page.len() as u64));
		for (account, host) in page {
			Self::visit(&expiry, account, host, meter);
		}
	}

	fn visit(expiry: &Expiry, account: T::AccountId, mut host: Host, meter: &mut WeightMeter) {
		let standing = Standings::<T>::get(expiry.epoch, &account);
		let weight = standing.map_or(0, |standing| expiry.weights.effective(&standing));
		if weight > expiry.least {
			if host.weighed != Some(expiry.epoch) {
				host.weighed = Some(expiry.epoch);
				Hosts::<T>::insert(account, host);
			}
		} else if expiry.is_due(&host) && meter.try_consume(T::WeightInfo::expire()).is_ok() {
			Workers::<T>::remove(host.worker);
			Hosts::<T>::remove(&account);
			if !Self::try_clean(&account) {
				Expired::<T>::insert(&account, ());
			}
			Self::deposit_event(Event::HostExpired { host: account });
		}
	}

	/// Has other pallets remove what they keep of a host, once nothing open needs it. Returns whether nothing is left.
	fn try_clean(host: &T::AccountId) -> bool {
		T::OnHostRemoved::is_done(host) && T::OnHostRemoved::on_host_removed(host)
	}

	/// Asks again about one host that expired. A host that registered again keeps what there is of it.
	pub(crate) fn clean(meter: &mut WeightMeter) {
		if meter.try_consume(T::WeightInfo::prune()).is_err() {
			return;
		}
		let after = AskedTo::<T>::get();
		let host = match &after {
			Some(after) => Expired::<T>::iter_keys_from(Expired::<T>::hashed_key_for(after)).next(),
			None => Expired::<T>::iter_keys().next(),
		};
		if host.is_some() && meter.try_consume(T::WeightInfo::expire()).is_err() {
			return;
		}
		if let Some(host) = host.as_ref().filter(|host| Hosts::<T>::contains_key(host) || Self::try_clean(host)) {
			Expired::<T>::remove(host);
		}
		if host != after {
			AskedTo::<T>::set(host);
		}
	}
}
