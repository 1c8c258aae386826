//! The choice and order of what goes into a settlement.

use crate::store::{
	Result, StoreError,
	market::{Due, DueReceipt},
};
use gonka_primitives::{
	BlockNumber, Hash, MAX_MODELS_PER_HOST, ModelId,
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
	/// for the next settlement, which is included up to block `next`.
	pub fn new(mut due: Vec<(ChannelView, Due)>, max_vouchers: u32, next: BlockNumber) -> Result<Option<Self>> {
		if due.is_empty() {
			return Ok(None);
		}
		// Channels that may be withdrawn by then come first. The rest of the order is by worth alone: nothing that a
		// developer chooses freely must keep a large voucher out of settlement after settlement.
		due.sort_by_key(|(channel, due)| {
			let can_wait = channel.closes.is_none_or(|closes| closes > next);
			(can_wait, Reverse(due.growth.fee), Reverse(due.growth.work), channel.id)
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
	use gonka_primitives::{ChannelId, market::Voucher};

	fn due((id, closes, fee): (ChannelId, Option<BlockNumber>, u128)) -> (ChannelView, Due) {
		let growth = Totals { fee, work: 1, receipts: 1 };
		let (developer, host, gateway, settled) = ([1; 32], [2; 32], [3; 32], Totals::default());
		let channel = ChannelView { id, developer, host, gateway, deposit: 1_000_000, settled, closes };
		let voucher = SignedVoucher { voucher: Voucher { channel: id, totals: growth }, signature: [4; 64] };
		let receipt = DueReceipt { model: 3, envelope: [5; 32], leaf: SumNode { hash: [6; 32], sum: growth } };
		(channel, Due { voucher, growth, receipts: vec![receipt], work: BTreeMap::from([(3, 1)]) })
	}

	#[test]
	fn small_channels_that_close_do_not_displace_a_large_one() {
		let all = [(1, None, 900), (2, Some(101), 800), (3, Some(200), 1), (4, Some(90), 5), (5, Some(100), 7)];
		// Two are withdrawn before the next settlement; among the others only the fee counts.
		for (max, chosen) in [(1, vec![5]), (2, vec![4, 5]), (3, vec![1, 4, 5]), (4, vec![1, 2, 4, 5])] {
			let batch = Batch::new(all.map(due).into(), max, 100).unwrap().unwrap();
			let channels: Vec<_> = batch.vouchers.iter().map(|signed| signed.voucher.channel).collect();
			assert_eq!(channels, chosen, "of {max}");
		}
		// In its own last chance a large channel comes before small ones that close earlier.
		let all = [(1, Some(99), 900), (2, Some(80), 1), (3, Some(90), 1)];
		let batch = Batch::new(all.map(due).into(), 1, 100).unwrap().unwrap();
		assert_eq!(batch.vouchers[0].voucher.channel, 1);
	}

	#[test]
	fn leaves_ascend_by_model_and_keep_their_order_within_a_model() {
		let leaf = |work| SumNode { hash: [0; 32], sum: Totals { fee: 0, work, receipts: 1 } };
		let due = |(model, work)| DueReceipt { model, envelope: [work as u8; 32], leaf: leaf(work) };
		let given = [(2, 1), (0, 2), (2, 3), (1, 4), (0, 5)].map(due);
		assert_eq!(by_model(given.into_iter()), [2, 5, 4, 1, 3].map(|work| ([work as u8; 32], leaf(work))));
	}
}
