//! The interface of other pallets and of the runtime API.

use crate::*;
use gonka_primitives::{
	check::Offence,
	traits::{EffectiveWeights, HostRegistry, OnOffence, PaidWeights},
	views::{EpochView, HostView, StandingView},
};

impl<T: Config> Pallet<T> {
	/// The hash of the genesis block, which every signature covers.
	pub fn genesis_hash() -> Hash {
		Genesis::<T>::get().unwrap_or_else(|| {
			Self::hash_bytes(frame_system::Pallet::<T>::block_hash(
				frame_system::pallet_prelude::BlockNumberFor::<T>::zero(),
			))
		})
	}

	/// The running epoch, for clients; `None` before block 1.
	pub fn epoch_view() -> Option<EpochView> {
		let epoch = CurrentEpoch::<T>::get()?;
		let block = frame_system::Pallet::<T>::block_number().unique_saturated_into();
		Some(EpochView {
			index: epoch.index,
			start: epoch.start,
			block,
			phase: epoch.phase(block),
			schedule: epoch.schedule,
			format: epoch.format,
			model_seed: epoch.model_seed,
			segment_seeds: epoch.segment_seeds.into_inner(),
			confirmations: epoch.confirmations.into_inner(),
			beacon: epoch.beacon,
			round_beacons: epoch.round_beacons.into_inner(),
		})
	}

	/// A host, for clients. `condemned` tells whether a host was found guilty lately.
	pub fn host_view(account: &T::AccountId, condemned: impl Fn(&T::AccountId) -> bool) -> Option<HostView> {
		Hosts::<T>::get(account).map(|host| Self::view(account.clone(), host, &condemned))
	}

	/// Up to `limit` hosts after `after` in storage order, for clients.
	pub fn host_views(
		after: Option<T::AccountId>,
		limit: u32,
		condemned: impl Fn(&T::AccountId) -> bool,
	) -> Vec<HostView> {
		let hosts = match after {
			Some(after) => Hosts::<T>::iter_from(Hosts::<T>::hashed_key_for(&after)),
			None => Hosts::<T>::iter(),
		};
		hosts.take(limit as usize).map(|(account, host)| Self::view(account, host, &condemned)).collect()
	}

	fn view(account: T::AccountId, host: Host, condemned: impl Fn(&T::AccountId) -> bool) -> HostView {
		HostView {
			effective_weight: LastWeighed::<T>::get().map_or(0, |epoch| Self::weight(epoch, &account)),
			condemned: condemned(&account),
			account: account.into(),
			worker: host.worker,
			url: host.url.into_inner(),
			models: host.models.into_inner(),
			registered: host.registered,
		}
	}

	/// A host's standing, for clients; `None` if it is no participant.
	pub fn standing_view(index: EpochIndex, host: &T::AccountId) -> Option<StandingView> {
		let (epoch, standing) = Self::epoch_of(index).zip(Standings::<T>::get(index, host))?;
		let weights = WeighedEpochs::<T>::get(index);
		let (confirmed, performance) = Self::ratios(&epoch, host, &standing);
		let median = weights.map_or(0, |weights| Self::median_served(index, &weights));
		let served = weights.map_or(math::MILLION, |weights| Self::served(&weights, &standing, median));
		Some(StandingView {
			epoch: index,
			commitments: Commitments::<T>::get(index, host).into_inner(),
			delays: standing.delays.to_vec(),
			checked: epoch.beacon.map(|_| !Self::committee(&epoch, host).is_empty()),
			compute_weight: weights.map(|_| standing.compute),
			backed_weight: weights.map(|_| standing.backed),
			effective_weight: weights.map(|weights| weights.effective(&standing)),
			proven_weight: weights.map(|weights| weights.proven(&standing)),
			vote_weight: weights.map(|weights| weights.votes(&standing)),
			duties: (Self::sets_due_by_now(&epoch, &standing), standing.duties.met),
			audits: standing.audits,
			blocks: standing.blocks,
			confirmations: epoch.rounds().into(),
			confirmed: u32::try_from(confirmed).unwrap_or(u32::MAX),
			performance: u32::try_from(performance).unwrap_or(u32::MAX),
			work: standing.work,
			served: u32::try_from(served).unwrap_or(u32::MAX),
			paid_weight: weights.map(|weights| Self::paid(&epoch, &weights, median, host, &standing)),
			offence: standing.gravest(),
			unanswered: standing.unanswered.iter().map(|count| u32::from(*count)).sum(),
		})
	}

	pub(crate) fn hash_bytes(hash: T::Hash) -> Hash {
		let mut bytes = Hash::default();
		bytes.iter_mut().zip(hash.as_ref()).for_each(|(byte, from)| *byte = *from);
		bytes
	}
}

/// The genesis hash as a configuration value of other pallets.
pub struct GenesisHash<T>(core::marker::PhantomData<T>);

impl<T: Config> Get<Hash> for GenesisHash<T> {
	fn get() -> Hash {
		Pallet::<T>::genesis_hash()
	}
}

impl<T: Config> HostRegistry<T::AccountId> for Pallet<T> {
	fn worker(host: &T::AccountId) -> Option<gonka_primitives::PublicKey> {
		Hosts::<T>::get(host).map(|host| host.worker)
	}

	fn models(host: &T::AccountId) -> Vec<gonka_primitives::ModelId> {
		Hosts::<T>::get(host).map_or_else(Vec::new, |host| host.models.into_inner())
	}

	fn rank(host: &T::AccountId) -> u64 {
		Self::rank(host)
	}
}

impl<T: Config> Pallet<T> {
	/// Up to `limit` participants with their standings, in storage order, after `after`.
	fn standings(epoch: EpochIndex, after: Option<&T::AccountId>, limit: u32) -> Vec<(T::AccountId, Standing)> {
		let hosts = match after {
			Some(after) => Standings::<T>::iter_prefix_from(epoch, Standings::<T>::hashed_key_for(epoch, after)),
			None => Standings::<T>::iter_prefix(epoch),
		};
		hosts.take(limit as usize).collect()
	}
}

impl<T: Config> EffectiveWeights<T::AccountId> for Pallet<T> {
	fn last_weighed() -> Option<(EpochIndex, u64)> {
		let epoch = LastWeighed::<T>::get()?;
		Some((epoch, WeighedEpochs::<T>::get(epoch)?.votes.total))
	}

	fn weight(epoch: EpochIndex, host: &T::AccountId) -> u64 {
		let weights = WeighedEpochs::<T>::get(epoch);
		weights.zip(Standings::<T>::get(epoch, host)).map_or(0, |(weights, standing)| weights.votes(&standing))
	}

	fn page(epoch: EpochIndex, after: Option<&T::AccountId>, limit: u32) -> Vec<(T::AccountId, u64)> {
		let Some(weights) = WeighedEpochs::<T>::get(epoch) else { return Vec::new() };
		let standings = Self::standings(epoch, after, limit).into_iter();
		standings.map(|(host, standing)| (host, weights.votes(&standing))).collect()
	}
}

impl<T: Config> PaidWeights<T::AccountId> for Pallet<T> {
	fn page(epoch: EpochIndex, after: Option<&T::AccountId>, limit: u32) -> Vec<(T::AccountId, u64)> {
		let Some((weights, epoch)) = WeighedEpochs::<T>::get(epoch).zip(Self::epoch_of(epoch)) else {
			return Vec::new();
		};
		let median = Self::median_served(epoch.index, &weights);
		let paid = |(host, standing): (T::AccountId, Standing)| {
			let weight = Self::paid(&epoch, &weights, median, &host, &standing);
			(host, weight)
		};
		Self::standings(epoch.index, after, limit).into_iter().map(paid).collect()
	}

	/// Slashes the collateral of a host that missed duties. No duty can be met any more at this point.
	fn on_turn(epoch: EpochIndex, host: &T::AccountId) {
		let found = Self::epoch_of(epoch).zip(Standings::<T>::get(epoch, host));
		let found = found.filter(|(_, standing)| standing.offence.is_none());
		if found.is_some_and(|(epoch, standing)| Self::is_idle(&epoch, &standing)) {
			Self::deposit_event(Event::DutiesMissed { host: host.clone(), epoch });
			T::OnOffence::on_offence(host, epoch, Offence::MissedDuties);
		}
	}
}
