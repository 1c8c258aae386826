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

/// Maximum number of registrations of a host in an epoch.
pub const MAX_REVISIONS: u8 = 8;
/// Number of bits that each revision adds to the proof of work of a registration.
pub const BITS_PER_REVISION: u32 = 2;
/// Number of times that the work of a new host's registration doubles until all places are taken.
pub const DOUBLINGS: u32 = 8;

/// A host's registration, signed by the host key. A later one replaces an earlier one.
///
/// The worker key signs the host's account with the domain [`WORKER`](domain::WORKER), once and for all registrations of
/// that host. So nobody can register a key that is somebody else's, and the worker needs no access to the host key.
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
	/// Its number within the epoch, below [`MAX_REVISIONS`]: above that of the host's registration before it.
	pub revision: u8,
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
			&& self.revision < MAX_REVISIONS
	}

	/// Number of leading zero bits of the hash of the proof of work, over chain, host, worker, epoch, revision and
	/// `work`.
	pub fn work_bits(&self, genesis: &Hash) -> u32 {
		(self.host, self.worker, self.epoch, self.revision, self.work)
			.using_encoded(|bytes| leading_zero_bits(&blake2_256(&[domain::REGISTRATION_WORK, genesis, bytes])))
	}

	/// Finds the first `work`, from the present one on, whose hash has at least `bits` leading zero bits. Takes about
	/// 2^`bits` hashes.
	pub fn solve(mut self, genesis: &Hash, bits: u32) -> Self {
		while !self.search(genesis, bits, u32::MAX) {}
		self
	}

	/// Goes through up to `attempts` values of `work`, from the present one on, until one suffices. Returns whether one
	/// did; a further call continues.
	pub fn search(&mut self, genesis: &Hash, bits: u32, attempts: u32) -> bool {
		for _ in 0..attempts {
			if self.work_bits(genesis) >= bits {
				return true;
			}
			self.work = self.work.wrapping_add(1);
		}
		false
	}
}

/// Number of leading zero bits that a registration's proof of work needs.
///
/// `base` is the chain's parameter. A host that is new gives the number of hosts and their maximum as `taken`: its work
/// doubles with each eighth of the places that is taken, so that taking all of them costs much more than taking one.
pub fn required_bits(base: u32, revision: u8, taken: Option<(u32, u32)>) -> u32 {
	let rise = taken.map_or(0, |(hosts, max)| DOUBLINGS.saturating_mul(hosts).checked_div(max).unwrap_or(DOUBLINGS));
	base.saturating_add(rise).saturating_add(BITS_PER_REVISION.saturating_mul(revision.into()))
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
