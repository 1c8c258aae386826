#![doc = include_str!("../README.md")]
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(missing_docs, unsafe_code)]
#![cfg_attr(
	not(test),
	deny(
		clippy::arithmetic_side_effects,
		clippy::float_arithmetic,
		clippy::indexing_slicing,
		clippy::expect_used,
		clippy::panic,
		clippy::unwrap_used
	)
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

extern crate alloc;

pub mod arith;
pub mod committee;
pub mod dispute;
pub mod format;
mod hash;
pub mod lane;
pub mod leaf;
pub mod lut;
mod matmul;
pub mod merkle;
pub mod model;
pub mod sample;
pub mod seed;
pub mod trace;
pub mod weights;

pub use committee::{Draw, Tag};
pub use dispute::{DisputeVerdict, InputBlock};
pub use format::{Params, Shifts, SprintFormat};
pub use hash::Hash;
pub use lane::{Commitment, LaneCommitment, LaneProof, Lanes, LeafOpening};
pub use leaf::{LeafId, Output};
pub use merkle::MerkleTree;
pub use model::{Activations, Error, Model};
pub use sample::{priority, sample};
pub use seed::{ModelSeed, SegmentSeed};
pub use trace::{Layout, Place, Tensor, Trace, layer_digest};
pub use weights::{Matrix, expand_matrix, expand_row};
