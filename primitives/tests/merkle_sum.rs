//! The Merkle-sum tree.

use gonka_primitives::{
	market::Totals,
	merkle_sum::{Sibling, SumNode, leaf, prove, root, verify},
};
use proptest::prelude::*;

fn leaves(sums: &[u64]) -> Vec<SumNode<u64>> {
	sums.iter().enumerate().map(|(index, sum)| leaf(&index.to_le_bytes(), *sum)).collect()
}

proptest! {
	#[test]
	fn every_leaf_is_proven_and_no_other_value(
		sums in prop::collection::vec(0u64..1 << 40, 1..70),
		pick: prop::sample::Index,
		other: prop::sample::Index,
	) {
		let leaves = leaves(&sums);
		let root = root(&leaves).unwrap();
		prop_assert_eq!(root.sum, sums.iter().sum::<u64>());
		let (pick, other) = (pick.index(sums.len()), other.index(sums.len()));
		let path = prove(&leaves, pick).unwrap();
		prop_assert!(verify(&root, leaves[pick], &path));
		if pick != other {
			prop_assert!(!verify(&root, leaves[other], &path));
		}
		let mut richer = leaves[pick];
		richer.sum += 1;
		prop_assert!(!verify(&root, richer, &path));
		let mut claimed = root;
		claimed.sum += 1;
		prop_assert!(!verify(&claimed, leaves[pick], &path));
	}

	#[test]
	fn sums_moved_between_siblings_change_the_root(a in 1u64..1 << 40, b in 0u64..1 << 40) {
		let honest = leaves(&[a, b]);
		let mut moved = honest.clone();
		moved[0].sum -= 1;
		moved[1].sum += 1;
		prop_assert_ne!(root(&honest).unwrap(), root(&moved).unwrap());
	}
}

#[test]
fn an_empty_tree_has_a_zero_root_and_overflow_has_none() {
	assert_eq!(root::<u64>(&[]), Some(SumNode::default()));
	assert_eq!(prove::<u64>(&[], 0), None);
	assert_eq!(root(&leaves(&[u64::MAX, 1])), None);
	let overflow = [Sibling::Right(SumNode { hash: [0; 32], sum: u64::MAX })];
	assert!(!verify(&SumNode::default(), leaf(b"", 1u64), &overflow));
	let totals = Totals { fee: 1, work: 2, receipts: 1 };
	assert_eq!(root(&[leaf(b"a", totals); 3]).unwrap().sum, Totals { fee: 3, work: 6, receipts: 3 });
}
