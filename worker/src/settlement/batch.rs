//! The choice and order of what goes into a settlement.

use crate::store::{
	Result, StoreError,
	market::{Due, DueReceipt},
};
use gonka_primitives::{
	Hash, MAX_MODELS_PER_HOST, ModelId,
	market::{SignedVoucher, Totals},
	merkle_sum::{self, SumNode},
	views::ChannelView,
};
use std::{cmp::Reverse, collections::BTreeMap};

/// The contents of a settlement.
pub struct Batch {
	/// Leaves of the tree in their order, with the envelope hashes of their receipts.
	pub leaves: Vec<(Hash, SumNode<Totals>)>,
	/// Root of the tree.
	pub root: SumNode<Totals>,
	/// Work of the receipts by model, ascending.
	pub work: Vec<(ModelId, u64)>,
	/// Last voucher of each channel, ascending by channel.
	pub vouchers: Vec<SignedVoucher>,
}

impl Batch {
	/// Chooses at most `max_vouchers` channels of those with something due; `None` if there is nothing. The rest waits
	/// for the next window.
	pub fn new(mut due: Vec<(ChannelView, Due)>, max_vouchers: u32) -> Result<Option<Self>> {
		if due.is_empty() {
			return Ok(None);
		}
		// Closing channels come first, since their receipts could be lost. Then come those that are worth most.
		due.sort_by_key(|(channel, due)| {
			(channel.closes.unwrap_or(u32::MAX), Reverse(due.growth.fee), Reverse(due.growth.work), channel.id)
		});
		due.truncate(max_vouchers as usize);
		let work = limit_models(&mut due);
		due.sort_by_key(|(channel, _)| channel.id);
		let leaves = by_model(due.iter().flat_map(|(_, due)| due.receipts.iter().copied()));
		let nodes: Vec<_> = leaves.iter().map(|(_, leaf)| *leaf).collect();
		let growth = due.iter().try_fold(Totals::default(), |sum, (_, due)| sum.checked_add(&due.growth));
		let (Some(root), Some(growth)) = (merkle_sum::root(&nodes), growth) else {
			return Err(StoreError::Inconsistent("the sums of a settlement overflow"));
		};
		if root.sum != growth {
			return Err(StoreError::Inconsistent("the receipts of a settlement do not sum to its vouchers"));
		}
		let vouchers = due.into_iter().map(|(_, due)| due.voucher).collect();
		Ok(Some(Self { leaves, root, work: work.into_iter().collect(), vouchers }))
	}
}

/// Drops channels beyond the maximum number of models. Returns the work of the others by model.
fn limit_models(due: &mut Vec<(ChannelView, Due)>) -> BTreeMap<ModelId, u64> {
	let mut work = BTreeMap::<ModelId, u64>::new();
	due.retain(|(_, due)| {
		let mut with = work.clone();
		for (model, more) in &due.work {
			let sum = with.entry(*model).or_default();
			*sum = sum.saturating_add(*more);
		}
		let fits = with.len() <= MAX_MODELS_PER_HOST as usize;
		if fits {
			work = with;
		}
		fits
	});
	work
}

/// Orders leaves by model, so that a position in the tree tells the model. Those of one model stay by channel, and then
/// in the order of acknowledgement.
fn by_model(receipts: impl Iterator<Item = DueReceipt>) -> Vec<(Hash, SumNode<Totals>)> {
	let mut receipts: Vec<_> = receipts.collect();
	receipts.sort_by_key(|due| due.model);
	receipts.into_iter().map(|due| (due.envelope, due.leaf)).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn leaves_ascend_by_model_and_keep_their_order_within_a_model() {
		let leaf = |work| SumNode { hash: [0; 32], sum: Totals { fee: 0, work, receipts: 1 } };
		let due = |(model, work)| DueReceipt { model, envelope: [work as u8; 32], leaf: leaf(work) };
		let given = [(2, 1), (0, 2), (2, 3), (1, 4), (0, 5)].map(due);
		assert_eq!(by_model(given.into_iter()), [2, 5, 4, 1, 3].map(|work| ([work as u8; 32], leaf(work))));
	}
}
