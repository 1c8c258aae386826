//! The messages of a host and its worker to the chain. They travel as extrinsics without a fee and without an
//! account nonce: the signature inside authorises them and the slot they stand for makes them unique (PROTOCOL §9).

use crate::{
	AccountId, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	hashing::{blake2_256, domain, leading_zero_bits},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What a host computed in one segment of the sprint: 40 bytes and no more, however many GPUs it has.
pub use gonka_sprint::Commitment;

/// What a host says of itself, signed by the host key. It registers the host or replaces what was registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Registration {
	/// The host's account.
	pub host: AccountId,
	/// The key its worker signs with. No other host may use it.
	pub worker: PublicKey,
	/// Where gateways reach the worker: `http://` or `https://`, at most [`MAX_URL`] bytes.
	pub url: Vec<u8>,
	/// The models it serves, ascending, at most [`MAX_MODELS_PER_HOST`].
	pub models: Vec<ModelId>,
	/// The epoch in which this is sent: it is good for that epoch only, once.
	pub epoch: EpochIndex,
	/// The nonce whose hash has enough leading zero bits: see [`Registration::work_bits`].
	pub work: u64,
}

impl Registration {
	/// Whether lengths are within bounds, models ascend and the URL is HTTP.
	pub fn is_well_formed(&self) -> bool {
		self.url.len() <= MAX_URL as usize
			&& (self.url.starts_with(b"http://") || self.url.starts_with(b"https://"))
			&& self.url.iter().all(|byte| byte.is_ascii_graphic())
			&& self.models.len() <= MAX_MODELS_PER_HOST as usize
			&& self.models.is_sorted_by(|a, b| a < b)
	}

	/// Leading zero bits of this registration's work hash. It is bound to the chain, host, worker and epoch.
	pub fn work_bits(&self, genesis: &Hash) -> u32 {
		(self.host, self.worker, self.epoch, self.work)
			.using_encoded(|bytes| leading_zero_bits(&blake2_256(&[domain::REGISTRATION_WORK, genesis, bytes])))
	}

	/// Finds the least `work` with at least `bits` leading zero bits: about 2^`bits` hashes.
	pub fn solve(mut self, genesis: &Hash, bits: u32) -> Self {
		self.work = 0;
		while self.work_bits(genesis) < bits {
			self.work = self.work.wrapping_add(1);
		}
		self
	}
}

/// A commitment with the slot it stands for, signed by the worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SegmentCommitment {
	/// The host that computed.
	pub host: AccountId,
	/// The epoch of the sprint.
	pub epoch: EpochIndex,
	/// The segment, from 0.
	pub segment: u8,
	/// What was computed.
	pub commitment: Commitment,
}

/// A worker's version as one number, major · 10⁶ + minor · 10³ + patch; `None` if it is no such version.
pub fn worker_version(text: &str) -> Option<u32> {
	let mut parts = text.split('.').map(|part| part.parse::<u32>().ok().filter(|part| *part < 1_000));
	let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
	if parts.next().is_some() { None } else { Some(major * 1_000_000 + minor * 1_000 + patch) }
}
