//! The queue of payouts: the order in which hosts are paid, and what stays unmined.

use super::mock::*;
use crate::{Event, LastClosed, Pending, Unmined, WeightInfo, math, weights::SubstrateWeight};
use gonka_primitives::traits::OnEpochClosed;
use polkadot_sdk::frame_support::traits::Hooks;

#[test]
fn the_default_genesis_has_the_whole_cap_unmined() {
	build_and_execute(|| {
		assert_eq!(Unmined::<Test>::get(), CAP);
		assert_eq!(<Emission as gonka_primitives::traits::Unmined>::unmined(), CAP);
		assert_eq!(Emission::last_emission(), 0);
		Emission::integrity_test();
	});
}

#[test]
#[should_panic(expected = "unmined supply above the cap")]
fn a_genesis_above_the_cap_is_rejected() {
	use polkadot_sdk::sp_runtime::BuildStorage;
	let genesis = RuntimeGenesisConfig {
		emission: crate::GenesisConfig { unmined: CAP + 1, ..Default::default() },
		..Default::default()
	};
	let _ = genesis.build_storage();
}

#[test]
#[should_panic(expected = "more than a quarter of a block")]
fn payouts_above_a_quarter_of_a_block_fail_the_integrity_test() {
	build_and_execute(|| {
		MaxPayoutsPerBlock::set(1_000_000);
		Emission::integrity_test();
	});
}

#[test]
fn hosts_are_paid_by_weight_over_several_blocks() {
	build_and_execute(|| {
		close(7, &[(1, 10), (2, 20), (3, 30), (4, 40)]);
		let emission = math::emission(CAP, crate::math::FACTOR);
		assert_eq!(Emission::last_emission(), emission);
		assert_eq!(events(), [Event::Queued { epoch: 7, emission }]);

		let weight = next_block();
		assert_eq!(weight, SubstrateWeight::<Test>::pay(3));
		for (host, part) in [(1, 1), (2, 2), (3, 3)] {
			assert_eq!(earned(host), emission * part / 10);
		}
		assert_eq!(earned(4), 0);
		assert_eq!(events().len(), 3);

		assert_eq!(next_block(), SubstrateWeight::<Test>::pay(1));
		assert_eq!(earned(4), emission * 4 / 10);
		let minted = Balances::total_issuance();
		assert_eq!(
			events(),
			[
				Event::Paid { epoch: 7, host: 4, amount: emission * 4 / 10 },
				Event::Minted { epoch: 7, minted, forfeited: emission - minted, hosts: 4 },
			]
		);
		assert_eq!(Unmined::<Test>::get() + minted, CAP);
		assert!(emission - minted < 4);

		assert_eq!(next_block(), SubstrateWeight::<Test>::idle());
		assert!(events().is_empty());
		let supply = Emission::supply();
		assert_eq!((supply.issued, supply.unmined, supply.last_emission), (minted, CAP - minted, emission));
	});
}

#[test]
fn a_full_last_page_ends_one_block_later() {
	build_and_execute(|| {
		close(1, &[(1, 1), (2, 1), (3, 1)]);
		next_block();
		assert_eq!(Pending::<Test>::decode_len(), Some(1));
		events();
		next_block();
		assert!(matches!(events()[..], [Event::Minted { epoch: 1, hosts: 3, .. }]));
		assert_eq!(Pending::<Test>::decode_len(), Some(0));
	});
}

#[test]
fn an_epoch_that_closes_during_a_payout_waits() {
	build_and_execute(|| {
		let hosts: Vec<_> = (1..=7).map(|host| (host, 1)).collect();
		close(1, &hosts);
		let first = Emission::last_emission();
		next_block();
		close(2, &hosts);
		let second = Emission::last_emission();
		// The curve is the same although four hosts are still to be paid.
		assert_eq!(second, math::emission(CAP - first, crate::math::FACTOR));
		pay_all();
		for host in 1..=7 {
			assert_eq!(earned(host), first / 7 + second / 7);
		}
		assert_eq!(Unmined::<Test>::get() + Balances::total_issuance(), CAP);
	});
}

#[test]
fn the_emission_of_an_epoch_stays_unmined_when_the_queue_is_full() {
	build_and_execute(|| {
		for epoch in 1..=4 {
			close(epoch, &[(1, 1)]);
		}
		events();
		close(5, &[(2, 1)]);
		assert!(matches!(events()[..], [Event::Skipped { epoch: 5, .. }]));
		assert_eq!(Emission::last_emission(), 0);
		pay_all();
		assert_eq!(earned(2), 0);
		assert_eq!(Unmined::<Test>::get() + earned(1), CAP);
		close(6, &[(2, 1)]);
		pay_all();
		assert_eq!(earned(2), math::emission(CAP - earned(1), crate::math::FACTOR));
	});
}

#[test]
fn an_epoch_is_paid_once() {
	build_and_execute(|| {
		close(3, &[(1, 1)]);
		close(3, &[(1, 1)]);
		close(2, &[(1, 1)]);
		assert_eq!(Pending::<Test>::decode_len(), Some(1));
		pay_all();
		assert_eq!(earned(1), math::emission(CAP, crate::math::FACTOR));
	});
}

#[test]
fn an_epoch_without_weight_mints_nothing() {
	build_and_execute(|| {
		Emission::on_epoch_closed(1, 0);
		assert_eq!(LastClosed::<Test>::get().unwrap().epoch, 1);
		assert_eq!(Emission::last_emission(), 0);
		assert_eq!(next_block(), SubstrateWeight::<Test>::idle());
		assert_eq!(Unmined::<Test>::get(), CAP);
	});
}

#[test]
fn weights_that_exceed_the_total_cannot_mint_more_than_the_emission() {
	build_and_execute(|| {
		close(1, &[(1, 60), (2, 60)]);
		Weights::mutate(|weights| weights.insert(1, [(1, 90), (2, 90)].into()));
		let emission = Emission::last_emission();
		pay_all();
		assert_eq!(Balances::total_issuance(), emission);
	});
}

#[test]
fn the_share_of_a_forgotten_host_stays_unmined() {
	build_and_execute(|| {
		close(1, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
		next_block();
		Weights::set(Default::default());
		next_block();
		assert_eq!(Pending::<Test>::decode_len(), Some(0));
		assert_eq!(Unmined::<Test>::get() + Balances::total_issuance(), CAP);
		assert_eq!(earned(4), 0);
	});
}
