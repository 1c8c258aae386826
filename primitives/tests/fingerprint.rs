//! Fingerprints: projection, distance, root.

use gonka_primitives::fingerprint::{Fingerprint, distance, projection, prove, root, verify};
use proptest::prelude::*;

fn any_fingerprints() -> impl Strategy<Value = Vec<Fingerprint>> {
	prop::collection::vec(prop::array::uniform16(any::<i8>()), 1..70)
}

/// Frozen values: a host with another projection or hash disagrees with all others.
#[test]
fn fingerprints_have_the_specified_values() {
	assert_eq!(projection(&[1; 32], 5), [55526, 37638, 39633, 61206, 48592]);
	assert_eq!(hex::encode(root(&[])), "35565c104cb2398e43d4929bccfec3feaf5aef7e3deb81c3c64c0a8f04bde25b");
	assert_eq!(
		hex::encode(root(&[[1; 16], [-2; 16], [127; 16]])),
		"a6a9f78d92ff38f38995d133fa0c0682caa5c311c400058a1b80b86e2edb29f3"
	);
}

#[test]
fn signs_are_balanced_and_independent() {
	let signs = projection(&[9; 32], 40_000);
	for row in 0..16 {
		let set = signs.iter().filter(|word| *word >> row & 1 == 1).count();
		assert!((19_000..21_000).contains(&set), "row {row}: {set}");
		for other in 0..row {
			let equal = signs.iter().filter(|word| (*word >> row ^ *word >> other) & 1 == 0).count();
			assert!((19_000..21_000).contains(&equal), "rows {row} and {other}: {equal}");
		}
	}
	assert_eq!(projection(&[9; 32], 6), signs[..6]);
	assert_ne!(projection(&[8; 32], 6), signs[..6]);
}

#[test]
fn the_largest_distance_does_not_overflow() {
	assert_eq!(distance(&[i8::MIN; 16], &[i8::MAX; 16]), 1_040_400);
	assert_eq!(distance(&[3; 16], &[3; 16]), 0);
}

proptest! {
	#[test]
	fn every_fingerprint_is_proven_at_its_own_index_only(
		fingerprints in any_fingerprints(),
		pick: prop::sample::Index,
		other: prop::sample::Index,
	) {
		let count = fingerprints.len();
		let (pick, other) = (pick.index(count), other.index(count));
		let root = root(&fingerprints);
		let path = prove(&fingerprints, pick).unwrap();
		let mine = fingerprints[pick];
		prop_assert!(verify(&root, count, pick, &mine, &path));
		if other != pick {
			prop_assert!(!verify(&root, count, other, &mine, &path));
		}
		prop_assert!(!verify(&root, count + 1, pick, &mine, &path));
		prop_assert!(!verify(&root, count - 1, pick, &mine, &path));
		let mut changed = mine;
		changed[0] = changed[0].wrapping_add(1);
		prop_assert!(!verify(&root, count, pick, &changed, &path));
		let longer = [path.as_slice(), &[[0; 32]]].concat();
		prop_assert!(!verify(&root, count, pick, &mine, &longer));
		if let Some((_, shorter)) = path.split_last() {
			prop_assert!(!verify(&root, count, pick, &mine, shorter));
		}
		prop_assert_eq!(prove(&fingerprints, count), None);
	}

	#[test]
	fn distances_are_symmetric(a in prop::array::uniform16(any::<i8>()), b in prop::array::uniform16(any::<i8>())) {
		prop_assert_eq!(distance(&a, &b), distance(&b, &a));
		let exact: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
		prop_assert_eq!(f64::from(distance(&a, &b)), exact);
	}
}
