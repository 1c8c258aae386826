//! Prices follow use: they move once a window, by the work that was settled in it.

use crate::*;
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{ensure, pallet_prelude::DispatchResult, traits::Get};
use gonka_primitives::market::Price;
use scale_info::TypeInfo;
use sp_runtime::{PerThing, Perbill, Rounding, helpers_128bit::multiply_by_rational_with_rounding};

/// How far use moves prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
	/// Use below this share of the capacity lowers the price. Not 0.
	pub low: Perbill,
	/// Use above this share of the capacity raises the price. At least `low`, and below 100 %.
	pub high: Perbill,
	/// Maximum change of a price in a window, reached at no use and at full use.
	pub max_step: Perbill,
}

impl Steering {
	/// Whether use can be below `low` and above `high`, and `low` is not above `high`.
	pub fn is_sound(&self) -> bool {
		!self.low.is_zero() && self.low <= self.high && self.high < Perbill::one()
	}
}

/// Capacity of a model, and bounds of its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct PriceRule {
	/// Work units of a window at full use. With 0 the price does not move.
	pub capacity: u64,
	/// Minimum price. Not 0.
	pub min: Price,
	/// Maximum price.
	pub max: Price,
}

/// The price does not move. `set_price` may set it to any value above 0: the maximum is more than all GNK.
impl Default for PriceRule {
	fn default() -> Self {
		let max = Balance::from(u64::MAX);
		Self { capacity: 0, min: Price { input: 1, output: 1 }, max: Price { input: max, output: max } }
	}
}

impl PriceRule {
	/// Whether the minimum is not 0 and not above the maximum.
	pub fn is_well_formed(&self) -> bool {
		self.min.input > 0 && self.min.output > 0 && self.allows(&self.min)
	}

	/// Whether a price is within the bounds.
	pub fn allows(&self, price: &Price) -> bool {
		*price == self.bound(*price)
	}

	/// The price within the bounds that is nearest to `price`.
	pub fn bound(&self, price: Price) -> Price {
		Price {
			input: price.input.max(self.min.input).min(self.max.input),
			output: price.output.max(self.min.output).min(self.max.output),
		}
	}

	/// The price after a window in which `work` units were settled. The step is proportional to the distance of use from
	/// the range in which prices rest. It is rounded down, but to at least 1.
	pub fn step(&self, price: Price, work: u64, steering: Steering) -> Price {
		let parts = |share: Perbill| Balance::from(share.deconstruct());
		let capacity = Balance::from(self.capacity);
		if capacity == 0 {
			return price;
		}
		let whole = Balance::from(Perbill::ACCURACY);
		let of_capacity = |share: Balance| capacity.saturating_mul(share);
		let (work, full) = (Balance::from(work).saturating_mul(whole), of_capacity(whole));
		let (low, high) = (of_capacity(parts(steering.low)), of_capacity(parts(steering.high)));
		if (low..=high).contains(&work) {
			return price;
		}
		// Work above the capacity moves the price as full use does.
		let above = full.saturating_sub(high);
		let (outside, max_outside) =
			if work > high { (work.saturating_sub(high).min(above), above) } else { (low.saturating_sub(work), low) };
		let (outside, max_outside) =
			(outside.saturating_mul(parts(steering.max_step)), max_outside.saturating_mul(whole));
		let step = |price: Balance| {
			let share = multiply_by_rational_with_rounding(price, outside, max_outside, Rounding::Down);
			let share = share.unwrap_or_default().max(1);
			if work > high { price.saturating_add(share) } else { price.saturating_sub(share) }
		};
		self.bound(Price { input: step(price.input), output: step(price.output) })
	}
}

/// The part of `work` that is paid for, rounded down, where `fees` were paid and `due` is the least price of all work.
pub fn paid_work(work: u64, fees: Balance, due: Balance) -> u64 {
	if fees >= due {
		return work;
	}
	let paid = multiply_by_rational_with_rounding(work.into(), fees, due, Rounding::Down);
	paid.and_then(|paid| u64::try_from(paid).ok()).unwrap_or(0)
}

impl<T: Config> Pallet<T> {
	/// Whether inference is free of charge in the running epoch.
	pub(crate) fn is_free() -> bool {
		T::Epoch::get() < T::FreeEpochs::get()
	}

	/// Sets a model's rule and brings its price within the bounds.
	pub(crate) fn change_rule(model: ModelId, rule: PriceRule) -> DispatchResult {
		ensure!(rule.is_well_formed(), Error::<T>::Malformed);
		Models::<T>::try_mutate(model, |entry| {
			let entry = entry.as_mut().ok_or(Error::<T>::NotFound)?;
			let price = rule.bound(entry.price);
			Self::deposit_event(Event::PriceRuleSet { model, rule });
			if price != entry.price {
				Self::deposit_event(Event::PriceSet { model, price });
			}
			(entry.rule, entry.price) = (rule, price);
			Ok(())
		})
	}

	/// Adds the work of a settlement with these `fees` to that of the window, and returns the sum of what counts: work that
	/// is paid for, of models that are registered, audited, and declared by the host. In the free period none counts.
	pub(crate) fn count_work(host: &T::AccountId, work: &[(ModelId, u64)], fees: Balance) -> u64 {
		if Self::is_free() {
			return 0;
		}
		let registered = |(id, work): &(ModelId, u64)| Some((*id, *work, Models::<T>::get(id)?.price));
		let work: Vec<_> = work.iter().filter_map(registered).collect();
		let due = work.iter().fold(0, |due: Balance, (_, work, price)| {
			due.saturating_add(price.input.min(price.output).saturating_mul((*work).into()))
		});
		let (declared, mut counted) = (T::Hosts::models(host), 0u64);
		for (id, work, _) in work {
			if !declared.contains(&id) || !T::OnSettlement::is_audited(id) {
				continue;
			}
			let paid = paid_work(work, fees, due);
			counted = counted.saturating_add(paid);
			if paid > 0 {
				WindowWork::<T>::mutate(id, |sum| *sum = sum.saturating_add(paid));
			}
		}
		counted
	}

	/// Moves every price by the work of the window that ended, unless prices `rest`, and resets the work to 0. Returns the
	/// number of models.
	pub(crate) fn move_prices(rest: bool) -> u32 {
		let models: Vec<_> = Models::<T>::iter().collect();
		let count = models.len() as u32;
		let steering = T::Steering::get();
		for (id, mut model) in models {
			let work = WindowWork::<T>::take(id);
			let price = model.rule.step(model.price, work, steering);
			if rest || price == model.price {
				continue;
			}
			model.price = price;
			Models::<T>::insert(id, model);
			Self::deposit_event(Event::PriceMoved { model: id, price, work });
		}
		count
	}
}
