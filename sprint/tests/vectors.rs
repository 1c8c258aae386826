//! Known answers. They are frozen: a change here is another sprint and splits the network.
//! They come from `reference.py`, a second implementation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{leaf_id, seeds};
use gonka_sprint::{
	Commitment, Draw, LaneCommitment, Lanes, Matrix, Model, SprintFormat, Trace,
	committee::{appoint, middle_layer, tag},
	expand_row, merkle, sample,
};

fn bytes(values: &[i8]) -> Vec<u8> {
	values.iter().map(|value| *value as u8).collect()
}

#[test]
fn a_nano_leaf_has_the_known_answers() {
	let (seed, segment) = seeds(SprintFormat::Nano);
	assert_eq!(hex::encode(seed.0), "504fd5efea8d3caae5d791e69f346e68b0ce85eff89199305563488d70b3978b");
	assert_eq!(hex::encode(segment.0), "14023a4832ef5fb2272809fabefdbc731ea73084514f9c7bb414f07dc5f514f5");
	let row = expand_row(&seed, SprintFormat::Nano, 1, Matrix::Down, 5).unwrap();
	assert_eq!(
		hex::encode(bytes(&row)),
		"f812eb0517e7fc10f1e81e00f4041714140615ee18ee0e04e1f7f2f30bf80915e7f2f6e5ede6edf3e1f604fce6eb1df51001eee5f8ed10e91709ebf000e707eee1f2fe0fe1ffee0615ef00fe1117f71719f9f60d1b070feee51d10e100e91de6fb081febeeeb1119f502fee6e71cfcf504e6f5eafbff1d0ff9e9e6fa160efd13"
	);

	let tokens = leaf_id(0).tokens(&segment, SprintFormat::Nano);
	let tokens: Vec<u8> = tokens.iter().map(|token| *token as u8).collect();
	assert_eq!(hex::encode(tokens), "ee773d8ca80247cccf597a78579997dc");

	let model = Model::new(&seed, SprintFormat::Nano);
	let (output, leaf) = model.leaf(&segment, &leaf_id(0));
	assert_eq!(
		hex::encode(bytes(&output)),
		"02fb070911ed1ded1ffb021016040c1002f20ce2e3e8faf7e1e4f90f070ce4feebf0ed1205ff00f7fd1ff7fd07020800f71df30619ffedf002ee00f5fb09fee3"
	);
	assert_eq!(hex::encode(leaf), "37ed1b2206e92aac65411eeb470d135a2b4efb6db5999c06702aed260f287669");

	let trace = Trace::new(&model, &leaf_id(0).tokens(&segment, SprintFormat::Nano)).unwrap();
	assert_eq!(hex::encode(trace.root()), "8cfa845129319a6cfed45ce5792b98f852b9b0d39f60120779a73fa2dca6ad87");
	let digest = model.digest_at(&leaf_id(0).tokens(&segment, SprintFormat::Nano), 0).unwrap();
	assert_eq!(hex::encode(digest), "9f9827eefa3ae8a104962dadee35bbf71d9b8d868b21a07ecbb9eb44bc9bf770");
}

#[test]
fn commitments_and_samples_have_the_known_answers() {
	assert_eq!(hex::encode(merkle::empty_root()), "59fc2356d633597e02d2356c6c49792354a9932e453439029aa63839e441d28b");
	let lane = |lane, count| LaneCommitment { lane, count, root: [lane as u8; 32] };
	let Commitment { count, root } = Lanes::new(&[lane(0, 100), lane(1, 20), lane(2, 3)]).unwrap().commitment();
	assert_eq!(
		(count, hex::encode(root).as_str()),
		(123, "f45d7d3b2da8d77737ece7dc75c5fa007ac78483e63c6b80210752fd2ea91c8b")
	);
	assert_eq!(sample(&[1; 32], &[2; 32], 3, 4, 1_000_000, 4), [145223, 455800, 561393, 729150]);
}

#[test]
fn committees_have_the_known_answers() {
	let weights: Vec<u64> = (0..20).map(|checker| checker % 5).collect();
	let draw = Draw::new([6; 32], &weights, 400);
	assert_eq!(draw.committee(0, None), [4, 2, 14, 3, 16, 11, 13, 8, 9]);
	assert_eq!(draw.committee(399, None), [3, 9, 7, 19, 14, 12, 13, 17]);
	assert_eq!(middle_layer(&[6; 32], SprintFormat::P400), 17);
	assert_eq!(hex::encode(tag(&[[1; 32], [2; 32]])), "20b0d28e");
	let weights: Vec<u64> = (0..60).map(|checker| checker % 5).collect();
	let appointed = appoint(&[6; 32], &weights, &[14, 19]);
	assert_eq!(appointed, [1, 3, 4, 13, 18, 24, 26, 32, 34, 39, 44, 49, 51, 53, 54, 56, 57]);
}
