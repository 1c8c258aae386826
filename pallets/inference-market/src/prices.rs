//! Prices follow use: once a window, by the work that was settled in it.

use crate::*;
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{ensure, pallet_prelude::DispatchResult, traits::Get};
use gonka_primitives::market::Price;
use scale_info::TypeInfo;
use sp_runtime::{PerThing, Perbill, Rounding, helpers_128bit::multiply_by_rational_with_rounding};

/// When use moves prices, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
	/// Use below this share of the capacity lowers the price. Not 0.
	pub low: Perbill,
	/// Use above this share of the capacity raises the price. Not below `low`, and not all of it.
	pub high: Perbill,
	/// The most that a price moves in a window: when there is no use, or full use.
	pub most: Perbill,
}

impl Steering {
	/// Whether there is room below, above and between.
	pub fn is_sound(&self) -> bool {
		!self.low.is_zero() && self.low <= self.high && self.high < Perbill::one()
	}
}

/// How a model's price moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct PriceRule {
	/// Work units of a window at full use. 0: the price does not move.
	pub capacity: u64,
	/// The least price. Not 0.
	pub min: Price,
	/// The greatest price.
	pub max: Price,
}

/// It does not move, and may be set to anything above 0: the maximum is more than all GNK.
impl Default for PriceRule {
	fn default() -> Self {
		let max = Balance::from(u64::MAX);
		Self { capacity: 0, min: Price { input: 1, output: 1 }, max: Price { input: max, output: max } }
	}
}

impl PriceRule {
	/// Whether the bounds are not 0 and the right way round.
	pub fn is_well_formed(&self) -> bool {
		self.min.input > 0 && self.min.output > 0 && self.allows(&self.min)
	}

	/// Whether a price is within the bounds.
	pub fn allows(&self, price: &Price) -> bool {
		*price == self.bound(*price)
	}

	/// The price within the bounds that is nearest.
	pub fn bound(&self, price: Price) -> Price {
		Price {
			input: price.input.max(self.min.input).min(self.max.input),
			output: price.output.max(self.min.output).min(self.max.output),
		}
	}

	/// The price after a window in which so much work was settled. The step grows in proportion to how far use is
	/// outside of the zone; it is rounded down, but never to 0.
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
		// More than full use is not known: what was too much was not served.
		let above = full.saturating_sub(high);
		let (outside, most) =
			if work > high { (work.saturating_sub(high).min(above), above) } else { (low.saturating_sub(work), low) };
		let (outside, most) = (outside.saturating_mul(parts(steering.most)), most.saturating_mul(whole));
		let step = |price: Balance| {
			let share = multiply_by_rational_with_rounding(price, outside, most, Rounding::Down);
			let share = share.unwrap_or_default().max(1);
			if work > high { price.saturating_add(share) } else { price.saturating_sub(share) }
		};
		self.bound(Price { input: step(price.input), output: step(price.output) })
	}
}

impl<T: Config> Pallet<T> {
	/// Whether inference costs nothing yet.
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

	/// Adds the work of a settlement. That of retired models moves nothing.
	pub(crate) fn count_work(work: &[(ModelId, u64)]) {
		for (model, work) in work {
			if Models::<T>::contains_key(model) {
				Work::<T>::mutate(model, |sum| *sum = sum.saturating_add(*work));
			}
		}
	}

	/// Moves every price by the work counted since the last time, unless prices `rest`, and counts from 0 again. Returns
	/// the number of models.
	pub(crate) fn move_prices(rest: bool) -> u32 {
		let models: Vec<_> = Models::<T>::iter().collect();
		let count = models.len() as u32;
		let steering = T::Steering::get();
		for (id, mut model) in models {
			let work = Work::<T>::take(id);
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
