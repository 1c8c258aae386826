//! The wire format is frozen: these bytes must not change while a network runs.

#![allow(clippy::unwrap_used)]

use codec::{Decode, Encode};
use gonka_primitives::{
	hashing::{blake2_256, domain, leading_zero_bits, signing_payload},
	host::{Commitment, Registration, SegmentCommitment, required_bits},
	market::{
		Envelope, FinishReason, Price, Receipt, Settlement, SignedVoucher, Totals, Voucher, body_hash, output_hash,
	},
	merkle_sum::SumNode,
};

const GENESIS: [u8; 32] = [9; 32];

fn envelope() -> Envelope {
	Envelope {
		channel: 1,
		model: 2,
		sequence: 3,
		body: [4; 32],
		seed: 5,
		price: Price { input: 6, output: 7 },
		max_tokens: 8,
		max_fee: 9,
		expires: 10,
	}
}

fn receipt() -> Receipt {
	Receipt {
		envelope: [1; 32],
		output: [2; 32],
		fingerprint: [0; 32],
		prompt_tokens: 3,
		completion_tokens: 4,
		finish: FinishReason::Length,
		fee: 5,
	}
}

fn frozen<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T, hex: &str) {
	assert_eq!(hex::encode(value.encode()), hex);
	assert_eq!(&T::decode(&mut value.encode().as_slice()).unwrap(), value);
}

#[test]
fn encodings() {
	let four = "04".repeat(32);
	frozen(
		&envelope(),
		&format!(
			"0100000000000000020000000300000000000000{four}0500000000000000\
			 0600000000000000000000000000000007000000000000000000000000000000\
			 08000000090000000000000000000000000000000a000000"
		),
	);
	let (one, two, zero) = ("01".repeat(32), "02".repeat(32), "00".repeat(32));
	frozen(&receipt(), &format!("{one}{two}{zero}03000000040000000105000000000000000000000000000000"));
	let voucher = Voucher { channel: 1, totals: Totals { fee: 2, work: 3, receipts: 4 } };
	let voucher_hex = "01000000000000000200000000000000000000000000000003000000000000000400000000000000";
	frozen(&voucher, voucher_hex);
	let settlement = Settlement {
		host: [1; 32],
		window: 2,
		root: SumNode { hash: [2; 32], sum: voucher.totals },
		work: vec![(5, 3)],
		vouchers: vec![SignedVoucher { voucher, signature: [1; 64] }],
	};
	frozen(
		&settlement,
		&format!(
			"{one}02000000{two}{}04050000000300000000000000\
			 04{voucher_hex}{one}{one}",
			&voucher_hex[16..]
		),
	);
	let commitment = Commitment { count: 5, root: [2; 32] };
	assert_eq!(commitment.encode().len(), 40, "40 bytes per host and segment");
	frozen(
		&SegmentCommitment { host: [1; 32], epoch: 2, segment: 3, commitment },
		&format!("{one}02000000030500000000000000{two}"),
	);
	frozen(
		&Registration {
			host: [1; 32],
			worker: [2; 32],
			url: b"http://a".to_vec(),
			models: vec![7],
			epoch: 3,
			revision: 5,
			work: 4,
		},
		&format!("{one}{two}20687474703a2f2f61040700000003000000050400000000000000"),
	);
}

#[test]
fn signing_payloads_depend_on_domain_chain_and_body() {
	let payload = signing_payload(domain::RECEIPT, &GENESIS, &receipt());
	assert_eq!(payload, blake2_256(&[b"gonka/receipt", &GENESIS, &receipt().encode()]));
	assert_ne!(payload, signing_payload(domain::VOUCHER, &GENESIS, &receipt()));
	assert_ne!(payload, signing_payload(domain::RECEIPT, &[8; 32], &receipt()));
	let mut other_fee = receipt();
	other_fee.fee += 1;
	assert_ne!(payload, signing_payload(domain::RECEIPT, &GENESIS, &other_fee));
	assert_ne!(body_hash(b"x"), output_hash(&[]));
	assert_eq!(envelope().hash(&GENESIS), signing_payload(domain::ENVELOPE, &GENESIS, &envelope()));
}

#[test]
fn hashes_are_blake2b_256() {
	assert_eq!(
		hex::encode(blake2_256(&[b"ab", b"c"])),
		"bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
	);
	assert_eq!(leading_zero_bits(&[0; 32]), 256);
	let mut hash = [0xff; 32];
	hash[0] = 0;
	hash[1] = 0b0001_0000;
	assert_eq!(leading_zero_bits(&hash), 11);
}

#[test]
fn malformed_registrations_are_recognised() {
	let good = Registration {
		host: [1; 32],
		worker: [2; 32],
		url: b"https://h.example:1".to_vec(),
		models: vec![1, 2],
		epoch: 0,
		revision: 7,
		work: 0,
	};
	assert!(good.is_well_formed());
	let solved = good.clone().solve(&GENESIS, 8);
	assert!(solved.work_bits(&GENESIS) >= 8);
	assert!(Registration { worker: [3; 32], ..solved.clone() }.work_bits(&GENESIS) != solved.work_bits(&GENESIS));
	for bad in [
		Registration { url: b"h".to_vec(), ..good.clone() },
		Registration { url: [b"http://".to_vec(), vec![b'a'; 122]].concat(), ..good.clone() },
		Registration { url: b"http://\n".to_vec(), ..good.clone() },
		Registration { models: vec![2, 1], ..good.clone() },
		Registration { models: (0..17).collect(), ..good.clone() },
		Registration { revision: 8, ..good },
	] {
		assert!(!bad.is_well_formed(), "{bad:?}");
	}
}

#[test]
fn the_work_of_a_registration_rises_with_the_places_taken_and_with_its_revision() {
	let new = |hosts| required_bits(22, 0, Some((hosts, 10_000)));
	assert_eq!([0, 1_249, 1_250, 5_000, 8_749, 8_750, 9_999].map(new), [22, 22, 23, 26, 28, 29, 29]);
	assert_eq!((required_bits(22, 0, None), required_bits(22, 3, None)), (22, 28));
	let first =
		Registration { host: [1; 32], worker: [2; 32], url: vec![], models: vec![], epoch: 0, revision: 0, work: 0 };
	let solved = first.solve(&GENESIS, 8);
	let next = Registration { revision: 1, ..solved.clone() };
	assert_ne!(next.work_bits(&GENESIS), solved.work_bits(&GENESIS), "each revision needs work of its own");
	assert!(solved.clone().solve(&GENESIS, 10).work >= solved.work, "a higher requirement continues the search");
}

#[test]
fn fees_do_not_overflow() {
	let price = Price { input: 10, output: 20 };
	assert_eq!(price.fee(3, 4), Some(110));
	assert_eq!(Price { input: u128::MAX, output: 0 }.fee(2, 0), None);
	assert_eq!(Price { input: u128::MAX, output: 1 }.fee(1, 1), None);
}
