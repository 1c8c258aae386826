//! The pure functions of sampled validation.

#![allow(clippy::unwrap_used)]

use codec::{Decode, Encode};
use gonka_primitives::{
	audit::*,
	hashing::blake2_256,
	market::Totals,
	merkle_sum::{self, SumNode},
};
use proptest::prelude::*;

const NAT_I32: i32 = NAT as i32;

fn profile() -> CalibrationProfile {
	CalibrationProfile {
		margins: [10, 20, 30, 40, 50, 60],
		tape: [-1, 2, 4, 8, 16, 32, 64, 128],
		distances: [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
		fingerprint: [-2, 0, 1, 2, 3, 4, 5, 6],
		alarm: 20 * NAT as u32,
		clamp: 8 * NAT as u32,
		min_worker_version: 1_000,
	}
}

fn leaves(work: &[u64]) -> Vec<SumNode<Totals>> {
	let leaf = |(index, work): (usize, &u64)| {
		merkle_sum::leaf(&index.to_le_bytes(), Totals { fee: 1, work: *work, receipts: 1 })
	};
	work.iter().enumerate().map(leaf).collect()
}

fn frozen<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T, hex: &str) {
	assert_eq!(hex::encode(value.encode()), hex);
	assert_eq!(&T::decode(&mut value.encode().as_slice()).unwrap(), value);
}

#[test]
fn encodings() {
	let (one, two) = ("01".repeat(32), "02".repeat(32));
	let counts = Counts::new([100, 1, 0, 0, 0, 0, 0, 64], [1, 0, 0, 0, 0, 0, 0, 0]);
	let checked = Finding::Checked(counts);
	let checked_hex = "009101040000000000010104".to_owned() + &"00".repeat(7);
	frozen(&checked, &checked_hex);
	frozen(&Finding::Broken(Breach::Finish), "0106");
	frozen(&Finding::Unavailable, "02");
	frozen(&Finding::Inconclusive, "03");
	frozen(
		&AuditReport { checker: [1; 32], window: 2, findings: vec![(3, checked), (4, Finding::Unavailable)] },
		&format!("{one}0200000008 0300{checked_hex}0400 02").replace(' ', ""),
	);
	frozen(
		&Ruling {
			arbiter: [1; 32],
			host: [2; 32],
			case: 3,
			reviewed: vec![Finding::Inconclusive],
			fresh: vec![checked, Finding::Unavailable],
		},
		&format!("{one}{two}03000000040308{checked_hex}02"),
	);
	frozen(
		&AuditQuery { checker: [1; 32], host: [2; 32], window: 3, pick: Pick::Work(4) },
		&format!("{one}{two}03000000000400000000000000"),
	);
	frozen(&Pick::Receipt(5), "010500000000000000");
	assert_eq!(profile().encode().len(), 6 * 4 + 8 * 4 + 7 * 4 + 8 * 4 + 3 * 4);
}

/// Compares the draws with the text of `docs/protocol.md`.
#[test]
fn draws_are_those_of_the_protocol() {
	let seed = blake2_256(&[b"gonka/audit/batch", &[7; 32], &[1; 32], &5u32.to_le_bytes()]);
	assert_eq!(batch_seed(&[7; 32], &[1; 32], 5), seed);
	let number = |domain: &[u8], seed: &[u8], a: u32, b: u32, bound: u128| {
		let hash = blake2_256(&[domain, seed, &a.to_le_bytes(), &b.to_le_bytes()]);
		(u128::from_le_bytes(hash[..16].try_into().unwrap()) % bound) as u64
	};
	assert_eq!(position(&seed, 3, 1_000), number(b"gonka/audit/position", &seed, 3, 0, 1_000));
	assert_eq!(checker_ticket(&seed, 3, 2, 999), number(b"gonka/audit/checker", &seed, 3, 2, 999));
	let case = case_seed(&[8; 32], 4);
	assert_eq!(case, blake2_256(&[b"gonka/audit/case", &[8; 32], &4u32.to_le_bytes()]));
	assert_eq!(arbiter_ticket(&case, 6, 77), number(b"gonka/audit/arbiter", &case, 6, 0, 77));
	let root = SumNode::default();
	let scope = [Scope { window: 1, root, first: 100, work: 30 }, Scope { window: 4, root, first: 0, work: 70 }];
	let at = number(b"gonka/audit/fresh", &case, 2, 9, 100);
	let expected = if at < 30 { (0, Pick::Work(100 + at)) } else { (1, Pick::Work(at - 30)) };
	assert_eq!(fresh_draw(&case, 2, 9, &scope), Some(expected));
	assert_eq!(fresh_draw(&case, 2, 9, &[]), None);
}

#[test]
fn rates_and_reputation_follow_their_formulas() {
	let rules = AuditRules::new(600, 7_200);
	assert_eq!([MILLION, MILLION / 2, 0].map(|reputation| rules.rate(reputation)), [10_000, 32_500, 100_000]);
	assert_eq!(rules.next_reputation(0, false), 33_333);
	assert_eq!(rules.next_reputation(400_000, true), 200_000);
	assert_eq!(rules.next_reputation(MILLION, false), MILLION);
	// ln 10⁹ = 20.7233 nats.
	assert_eq!(AuditRules::LN_BILLION, (1e9f64.ln() * NAT as f64).ceil() as u32);
	assert!(rules.case_blocks < 600 && AuditRules::new(20, 20).case_blocks == 16);
}

#[test]
fn more_arbiters_decide_about_heavier_hosts() {
	let rules = AuditRules::new(600, 7_200);
	let seats = |weight| rules.seats_for(weight, 100_000);
	assert_eq!([0, 1, 99, 100, 999, 1_000, 30_000].map(seats), [5, 5, 5, 9, 9, 15, 15]);
	assert_eq!((rules.seats_for(0, 0), rules.seats_for(u64::MAX, u64::MAX)), (5, 15));
	assert_eq!((rules.draw_blocks, AuditRules::new(20, 20).draw_blocks), (10, 2));
	assert!(rules.appeal_seats == MAX_SEATS && rules.seats.iter().all(|seats| *seats < MAX_SEATS && seats % 2 == 1));
	// Posted in window p, drawn in p + 1, reported in p + 2, decided in p + 3. The term, the appeal; one for the queue.
	assert_eq!((rules.windows_held(600), AuditRules::new(20, 20).windows_held(20)), (18, 7));
}

#[test]
fn tickets_skip_excluded_hosts() {
	// Rows of 10, 20, 30 and 40 units; the second and the last are excluded.
	let excluded = [(10, 20), (60, 40)];
	assert_eq!([0, 9, 10, 39].map(|ticket| skip_excluded(ticket, &excluded)), [0, 9, 30, 59]);
	assert_eq!(skip_excluded(7, &[]), 7);
}

#[test]
fn bins_begin_and_end_at_their_edges() {
	let profile = profile();
	assert!(profile.is_well_formed());
	let margins = [i32::MIN, -1, 0, 1, 9, 10, 19, 20, 59, 60, i32::MAX];
	assert_eq!(margins.map(|margin| profile.tape_bin(margin)), [0, 0, 0, 1, 1, 2, 2, 3, 6, 7, 7]);
	assert_eq!([59, 60, i32::MAX].map(|margin| profile.is_false_end(margin)), [false, true, true]);
	let distances = [0, 1, 9, 10, 999_999, 1_000_000, u32::MAX];
	assert_eq!(distances.map(|distance| profile.fingerprint_bin(distance)), [0, 1, 1, 2, 6, 7, 7]);
}

#[test]
fn findings_have_the_ratios_of_the_profile() {
	let profile = profile();
	let counts = Counts::new([100, 0, 0, 0, 0, 0, 0, 2], [10, 0, 0, 0, 0, 0, 0, 1]);
	assert_eq!(profile.ratio(&counts), -100 + 256 - 20 + 6);
	let most = Counts::new([u16::MAX; 8], [u16::MAX; 8]);
	assert_eq!(profile.ratio(&most), 8 * NAT);
	let strict = CalibrationProfile { tape: [i32::MIN; 8], ..profile };
	assert_eq!(strict.ratio(&most), -8 * NAT);
	assert_eq!(profile.weigh(&Finding::Broken(Breach::Proof), 1), Some(8 * NAT));
	assert_eq!(profile.weigh(&Finding::Unavailable, 3), Some(3));
	assert_eq!(profile.weigh(&Finding::Unavailable, u32::MAX), Some(8 * NAT));
	assert_eq!(profile.weigh(&Finding::Inconclusive, 3), None);
}

#[test]
fn the_test_is_walds_and_unavailable_evidence_never_proves_guilt() {
	let profile = CalibrationProfile { tape: [-NAT_I32, 0, 0, 0, 0, 0, 0, NAT_I32], fingerprint: [0; 8], ..profile() };
	let nats = |nats: i16| {
		let (right, wrong) = if nats < 0 { (nats.unsigned_abs(), 0) } else { (0, nats as u16) };
		Finding::Checked(Counts::new([right, 0, 0, 0, 0, 0, 0, wrong], [0; 8]))
	};
	let judge = |fresh: &[Finding]| judge(&profile, fresh, 2 << 16, (20 << 16, 20 << 16));
	assert_eq!(judge(&[]), None);
	assert_eq!(judge(&[nats(8), nats(8)]), None, "16 of 20");
	assert_eq!(judge(&[nats(8), nats(8), nats(4)]), Some(Outcome::Guilty));
	assert_eq!(judge(&[nats(-8), nats(-8), nats(-4)]), Some(Outcome::Innocent));
	assert_eq!(judge(&[nats(8), nats(8), nats(4), nats(-8)]), Some(Outcome::Guilty), "the first crossing decides");
	assert_eq!(judge(&[Finding::Inconclusive; 31]), None);
	assert_eq!(judge(&[Finding::Inconclusive; 32]), Some(Outcome::Innocent), "undecided at the end");
	assert_eq!(judge(&[Finding::Unavailable; 31]), None, "unavailable evidence never proves guilt");
	assert_eq!(judge(&[Finding::Unavailable; 32]), Some(Outcome::Withheld));
	let mut mixed = vec![Finding::Unavailable; 30];
	mixed.extend([nats(8), nats(8)]);
	assert_eq!(judge(&mixed), Some(Outcome::Withheld));
	let mut shown = vec![Finding::Unavailable; 10];
	shown.extend([nats(8), nats(8), nats(8)]);
	assert_eq!(judge(&shown), Some(Outcome::Guilty));
}

#[test]
fn the_mean_number_of_audits_is_the_expected_one() {
	// 250 receipts at 1 %, three quarters of the work audited: 1.875.
	let counts: Vec<u64> =
		(0..4_000u32).map(|number| audit_count(&blake2_256(&[&number.to_le_bytes()]), 250, 10_000, 300, 400)).collect();
	assert!(counts.iter().all(|count| [1, 2].contains(count)));
	let mean = counts.iter().sum::<u64>() as f64 / 4_000.0;
	assert!((mean - 1.875).abs() < 0.02, "{mean}");
	assert_eq!(audit_count(&[0; 32], 7, MILLION, 5, 5), 7);
	assert_eq!(audit_count(&[0; 32], 7, MILLION, 0, 5), 0);
	assert_eq!(audit_count(&[0; 32], 7, MILLION, 0, 0), 0);
	assert_eq!(audit_count(&[0; 32], u64::MAX, MILLION, u64::MAX, 1), u64::MAX);
}

#[test]
fn positions_are_uniform() {
	let mut bins = [0u32; 10];
	for k in 0..10_000 {
		bins[(position(&[3; 32], k, 1_000) / 100) as usize] += 1;
	}
	// Chi-squared with nine degrees of freedom: 27.9 is passed once in a thousand times.
	let chi: f64 = bins.iter().map(|count| (f64::from(*count) - 1_000.0).powi(2) / 1_000.0).sum();
	assert!(chi < 27.9, "{bins:?}");
}

proptest! {
	#[test]
	fn a_position_identifies_the_leaf_that_contains_it(work in prop::collection::vec(0u64..50, 1..40), at: u64) {
		let leaves = leaves(&work);
		let root = merkle_sum::root(&leaves).unwrap();
		prop_assume!(root.sum.work > 0);
		let pick = Pick::Work(at % root.sum.work);
		let index = pick.find(&leaves).unwrap();
		let before: u64 = work[..index].iter().sum();
		prop_assert!((before..before + work[index]).contains(&(at % root.sum.work)));
		for (other, leaf) in leaves.iter().enumerate() {
			let path = merkle_sum::prove(&leaves, other).unwrap();
			prop_assert_eq!(pick.is_shown(&root, leaf, &path), other == index);
			prop_assert_eq!(Pick::Receipt(index as u64).is_shown(&root, leaf, &path), other == index);
		}
		prop_assert_eq!(Pick::Receipt(index as u64).find(&leaves), Some(index));
		prop_assert_eq!(Pick::Work(root.sum.work).find(&leaves), None);
		prop_assert_eq!(Pick::Receipt(leaves.len() as u64).find(&leaves), None);
	}

	#[test]
	fn a_unit_that_can_be_audited_belongs_to_its_model(
		parts in prop::collection::vec((1u64..100, any::<bool>()), 1..8), at: u64,
	) {
		let work: Vec<_> = (0..).zip(&parts).map(|(model, (work, audited))| (model, *work, *audited)).collect();
		let sum: u64 = parts.iter().filter(|part| part.1).map(|part| part.0).sum();
		prop_assert_eq!(locate(&work, sum), None);
		if sum > 0 {
			let (model, unit) = locate(&work, at % sum).unwrap();
			let before: u64 = parts[..model as usize].iter().map(|part| part.0).sum();
			prop_assert!(parts[model as usize].1);
			prop_assert!((before..before + parts[model as usize].0).contains(&unit));
		}
	}

	#[test]
	fn no_input_overflows(
		tape: [i32; 8], fingerprint: [i32; 8], a: [u16; 8], b: [u16; 8], clamp in 1u32.., margin: i32, far: u32, rep: u32,
	) {
		let profile = CalibrationProfile { tape, fingerprint, clamp, alarm: u32::MAX, ..profile() };
		let ratio = profile.ratio(&Counts::new(a, b));
		prop_assert!(ratio.unsigned_abs() <= u64::from(clamp));
		prop_assert!(profile.tape_bin(margin) < TAPE_BINS && profile.fingerprint_bin(far) < FINGERPRINT_BINS);
		let rules = AuditRules::new(20, 20);
		prop_assert!((10_000..=MILLION).contains(&rules.rate(rep)));
		prop_assert!(rules.next_reputation(rep.min(MILLION), false) <= MILLION);
		prop_assert!(judge(&profile, &[Finding::Checked(Counts::new(a, b)); 32], u32::MAX, (u32::MAX, u32::MAX)).is_some());
	}

	#[test]
	fn drawn_numbers_are_in_range(seed: [u8; 32], k: u32, attempt: u32, bound in 1u64..) {
		prop_assert!(position(&seed, k, bound) < bound);
		prop_assert!(checker_ticket(&seed, k, attempt, bound) < bound);
		prop_assert!(arbiter_ticket(&seed, attempt, bound) < bound);
	}
}
