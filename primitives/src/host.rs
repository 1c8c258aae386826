//! The messages that a host and its worker send to the chain. They are free transactions
//! (`docs/protocol.md#7-free-transactions`): a signature authorises each, and its slot makes it unique.

use crate::{
	AccountId, EpochIndex, Hash, MAX_MODELS_PER_HOST, MAX_URL, ModelId, PublicKey,
	hashing::{blake2_256, domain, leading_zero_bits},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// A host's commitment to its leaves of one segment: 40 bytes, whatever its number of GPUs.
pub use gonka_sprint::Commitment;

/// A host's registration, signed by the host key. A later one replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Registration {
	/// The host's account.
	pub host: AccountId,
	/// The worker key. No other host may use it.
	pub worker: PublicKey,
	/// The worker's URL for gateways and checkers: `http://` or `https://`, at most [`MAX_URL`] bytes.
	pub url: Vec<u8>,
	/// The models that the host serves, ascending, at most [`MAX_MODELS_PER_HOST`].
	pub models: Vec<ModelId>,
	/// The epoch in which the registration is sent. It is valid once, in that epoch.
	pub epoch: EpochIndex,
	/// The nonce of the proof of work: see [`Registration::work_bits`].
	pub work: u64,
}

impl Registration {
	/// Whether lengths are within their bounds, models ascend and the URL is HTTP or HTTPS.
	pub fn is_well_formed(&self) -> bool {
		self.url.len() <= MAX_URL as usize
			&& (self.url.starts_with(b"http://") || self.url.starts_with(b"https://"))
			&& self.url.iter().all(|byte| byte.is_ascii_graphic())
			&& self.models.len() <= MAX_MODELS_PER_HOST as usize
			&& self.models.is_sorted_by(|a, b| a < b)
	}

	/// Number of leading zero bits of the hash of the proof of work, over chain, host, worker, epoch and `work`.
	pub fn work_bits(&self, genesis: &Hash) -> u32 {
		(self.host, self.worker, self.epoch, self.work)
			.using_encoded(|bytes| leading_zero_bits(&blake2_256(&[domain::REGISTRATION_WORK, genesis, bytes])))
	}

	/// Finds the smallest `work` whose hash has at least `bits` leading zero bits. Takes about 2^`bits` hashes.
	pub fn solve(mut self, genesis: &Hash, bits: u32) -> Self {
		self.work = 0;
		while self.work_bits(genesis) < bits {
			self.work = self.work.wrapping_add(1);
		}
		self
	}
}

/// A commitment with its host, epoch and segment, signed by the worker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo, MaxEncodedLen)]
pub struct SegmentCommitment {
	/// The host that computed the leaves.
	pub host: AccountId,
	/// The epoch of the sprint.
	pub epoch: EpochIndex,
	/// The segment, from 0.
	pub segment: u8,
	/// The commitment to the leaves.
	pub commitment: Commitment,
}

/// A worker's version as one number, major · 10⁶ + minor · 10³ + patch; `None` if `text` is not `major.minor.patch`.
pub fn worker_version(text: &str) -> Option<u32> {
	let mut parts = text.split('.').map(|part| part.parse::<u32>().ok().filter(|part| *part < 1_000));
	let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
	if parts.next().is_some() { None } else { Some(major * 1_000_000 + minor * 1_000 + patch) }
}
