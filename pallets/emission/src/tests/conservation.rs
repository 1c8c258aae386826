//! Random epochs, blocks and weights: no base unit appears or vanishes.

use super::mock::*;
use crate::{Event, Unmined};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
	Close(Vec<u64>),
	CloseOld,
	Block,
	Forget,
}

fn step() -> impl Strategy<Value = Step> {
	let weight = prop_oneof![Just(0u64), 1..1_000u64, (1u64 << 50)..(1 << 58)];
	prop_oneof![
		3 => prop::collection::vec(weight, 0..12).prop_map(Step::Close),
		1 => Just(Step::CloseOld),
		6 => Just(Step::Block),
		1 => Just(Step::Forget),
	]
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(96))]

	#[test]
	fn the_sum_of_minted_and_unmined_is_constant(steps in prop::collection::vec(step(), 1..60), limit in 1..6u32) {
		build_and_execute(|| {
			MaxPayoutsPerBlock::set(limit);
			let (mut epoch, mut paid) = (0, 0);
			for step in steps {
				match step {
					Step::Close(weights) => {
						epoch += 1;
						let hosts: Vec<_> = (1..).zip(weights).collect();
						close(epoch, &hosts);
					},
					Step::CloseOld => close(epoch / 2, &[(99, 1)]),
					Step::Block => { next_block(); },
					Step::Forget => Weights::mutate(|weights| { weights.pop_first(); }),
				}
				for event in events() {
					match event {
						Event::Paid { amount, .. } => paid += amount,
						Event::Minted { minted, forfeited, .. } => assert!(minted + forfeited <= CAP),
						_ => {},
					}
				}
				assert_eq!(paid, Balances::total_issuance());
				assert_eq!(paid + Unmined::<Test>::get(), CAP);
			}
			pay_all();
			assert_eq!(Balances::total_issuance() + Unmined::<Test>::get(), CAP);
		});
	}
}
