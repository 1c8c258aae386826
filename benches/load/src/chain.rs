//! A runtime on a state in memory, run block by block as a node runs it: it initialises a block, applies encoded
//! extrinsics, finalises the block, and writes the changes to the trie.

use codec::{Decode, Encode};
use cpu_time::ThreadTime;
use gonka_primitives::{BlockNumber, Hash};
use gonka_runtime::{Executive, Runtime, RuntimeCall, UncheckedExtrinsic};
use gonka_runtime_common::Time;
use polkadot_sdk::{
	frame_support::{dispatch::PerDispatchClass, weights::Weight},
	sp_consensus_babe::{
		BABE_ENGINE_ID,
		digests::{PreDigest, SecondaryPlainPreDigest},
	},
	sp_core::{H256, storage::Storage},
	sp_io::TestExternalities,
	sp_runtime::{
		ApplyExtrinsicResult, Digest, DigestItem,
		traits::Header as _,
		transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidity},
	},
	*,
};
use std::{collections::BTreeSet, marker::PhantomData, time::Duration};

/// Header of a block, the same in both runtimes.
pub type Header = gonka_runtime::Header;

/// Asserts the invariants of all pallets, within the state of [`Chain::with`], in builds with the feature `try-runtime`.
pub fn assert_invariants() {
	#[cfg(feature = "try-runtime")]
	<gonka_runtime::AllPalletsWithSystem as frame_support::traits::TryState<BlockNumber>>::try_state(
		gonka_runtime::System::block_number(),
		frame_support::traits::TryStateSelect::All,
	)
	.unwrap();
}

/// The calls that a node makes to a runtime, within its state.
pub trait Rules {
	/// Runs the hooks of a block's start and its inherents. `slot` is the block's time, in slots.
	fn start(header: &Header, slot: u64);
	/// Decodes and applies an extrinsic.
	fn apply(bytes: &[u8]) -> ApplyExtrinsicResult;
	/// Runs the hooks of a block's end.
	fn end() -> Header;
	/// Returns the dispatch weight that the present block has used.
	fn used() -> PerDispatchClass<Weight>;
	/// Returns the digest that states the block's slot.
	fn digest(slot: u64) -> Digest;
}

/// Gonka's runtime.
pub struct Gonka;

impl Rules for Gonka {
	fn start(header: &Header, slot: u64) {
		Executive::initialize_block(header);
		let now = slot.saturating_mul(Time::THIS.slot_ms);
		let inherent = UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(pallet_timestamp::Call::set { now }));
		Executive::apply_extrinsic(inherent).unwrap().unwrap();
	}

	fn apply(bytes: &[u8]) -> ApplyExtrinsicResult {
		Executive::apply_extrinsic(UncheckedExtrinsic::decode(&mut &bytes[..]).unwrap())
	}

	fn end() -> Header {
		Executive::finalize_block()
	}

	fn used() -> PerDispatchClass<Weight> {
		frame_system::Pallet::<Runtime>::block_weight()
	}

	fn digest(slot: u64) -> Digest {
		let claim = SecondaryPlainPreDigest { authority_index: 0, slot: slot.into() };
		let claim = PreDigest::SecondaryPlain(claim).encode();
		Digest { logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, claim)] }
	}
}

/// Returns the maximum dispatch weight of a block with mainnet's times, in picoseconds. With other times, slots and
/// blocks shrink in proportion.
pub fn max_block() -> u64 {
	<Runtime as frame_system::Config>::BlockWeights::get().max_block.ref_time() / Time::THIS.slot_ms
		* Time::MAINNET.slot_ms
}

/// Costs of a block. Dispatch weights are in picoseconds of reference time.
#[derive(Clone, Debug, Default)]
pub struct Block {
	/// Number of the block.
	pub number: BlockNumber,
	/// Dispatch weight of the hooks of its start, including what every block costs.
	pub start: u64,
	/// Dispatch weight of its transactions.
	pub transactions: u64,
	/// Total dispatch weight, including idle hooks.
	pub total: u64,
	/// Bytes of the applied extrinsics.
	pub bytes: u64,
	/// Declared proof size, in bytes.
	pub declared_proof: u64,
	/// Bytes of all trie nodes that the block read or changed, by which others execute it without the state. 0 unless
	/// [`Chain::record_proofs`] was called.
	pub proof: u64,
	/// Processor time of running it here.
	pub time: Duration,
}

/// A chain of blocks with its state.
pub struct Chain<R> {
	state: TestExternalities,
	parent: Header,
	/// The present block.
	block: Block,
	/// Finished blocks.
	made: Vec<Block>,
	/// Trie nodes that the present block has read or changed, if proofs are recorded.
	nodes: Option<BTreeSet<Vec<u8>>>,
	_rules: PhantomData<R>,
}

impl<R: Rules> Chain<R> {
	/// Starts a chain whose first block follows block `number`.
	pub fn new(genesis: Storage, number: BlockNumber) -> Self {
		let mut state = TestExternalities::new(genesis);
		state.commit_all().unwrap();
		let parent =
			Header::new(number, Default::default(), *state.backend.root(), Default::default(), Default::default());
		Self { state, parent, block: Block::default(), made: Vec::new(), nodes: None, _rules: PhantomData }
	}

	/// Records the proofs of the blocks that follow, for which they take longer.
	pub fn record_proofs(&mut self) {
		self.nodes = Some(BTreeSet::new());
	}

	/// Runs a part of the present block.
	fn execute<T>(&mut self, part: impl FnOnce() -> T) -> T {
		let Some(nodes) = &mut self.nodes else { return self.state.execute_with(part) };
		let (result, proof) = self.state.execute_and_prove(part);
		nodes.extend(proof.into_iter_nodes());
		result
	}

	/// Returns the hash of the last finished block.
	pub fn head(&self) -> H256 {
		self.parent.hash()
	}

	/// Returns all finished blocks.
	pub fn made(&self) -> &[Block] {
		&self.made
	}

	/// Reads the state, or changes it outside of any block.
	pub fn with<T>(&mut self, access: impl FnOnce() -> T) -> T {
		self.state.execute_with(access)
	}

	/// Writes the changes that [`Chain::with`] made between blocks, so that the next block is not charged for them.
	pub fn commit(&mut self) {
		self.state.commit_all().unwrap();
	}

	/// Returns the whole storage.
	pub fn storage(&mut self) -> Storage {
		let top = self.state.execute_with(|| {
			let next = |key: &Vec<u8>| sp_io::storage::next_key(key);
			let keys = std::iter::successors(next(&Vec::new()), next);
			keys.map(|key| (key.clone(), sp_io::storage::get(&key).unwrap().to_vec())).collect()
		});
		Storage { top, ..Default::default() }
	}

	/// Begins a block.
	pub fn begin(&mut self) {
		let number = self.parent.number.checked_add(1).unwrap();
		let slot = u64::from(number).saturating_add(1_000);
		let header = Header::new(number, Default::default(), Default::default(), self.parent.hash(), R::digest(slot));
		let started = ThreadTime::now();
		self.block = Block { number, ..Default::default() };
		self.block.start = self.execute(|| {
			R::start(&header, slot);
			R::used().total().ref_time()
		});
		self.block.time = started.elapsed();
	}

	/// Applies an extrinsic as it comes over the wire. An invalid one leaves no trace.
	pub fn apply(&mut self, bytes: &[u8]) -> ApplyExtrinsicResult {
		let started = ThreadTime::now();
		let result = self.execute(|| {
			sp_io::storage::start_transaction();
			let result = R::apply(bytes);
			if result.is_ok() {
				sp_io::storage::commit_transaction();
			} else {
				// As a node does: the extrinsic has already incremented the nonce.
				sp_io::storage::rollback_transaction();
			}
			result
		});
		if result.is_ok() {
			self.block.bytes = self.block.bytes.saturating_add(bytes.len() as u64);
		}
		self.block.time = self.block.time.saturating_add(started.elapsed());
		result
	}

	/// Finishes the block.
	pub fn end(&mut self) -> Block {
		let started = ThreadTime::now();
		let (before, header, used) = self.execute(|| (R::used().total(), R::end(), R::used().total()));
		self.parent = header;
		self.block.transactions = before.ref_time().saturating_sub(self.block.start);
		(self.block.total, self.block.declared_proof) = (used.ref_time(), used.proof_size());
		if let Some(nodes) = &mut self.nodes {
			self.block.proof = nodes.iter().map(|node| node.len() as u64).sum();
			nodes.clear();
		}
		self.state.commit_all().unwrap();
		self.block.time = self.block.time.saturating_add(started.elapsed());
		self.made.push(self.block.clone());
		self.block.clone()
	}

	/// Makes a block of these extrinsics, all of which must be valid and succeed.
	pub fn block<'a>(&mut self, extrinsics: impl IntoIterator<Item = &'a [u8]>) -> Block {
		self.begin();
		for bytes in extrinsics {
			self.apply(bytes).unwrap().unwrap();
		}
		self.end()
	}

	/// Makes as many blocks as these extrinsics fill, in their order. All must be valid and succeed.
	pub fn fill<'a>(&mut self, extrinsics: impl IntoIterator<Item = &'a [u8]>) -> Vec<Block> {
		let mut blocks = Vec::new();
		self.begin();
		for bytes in extrinsics {
			let mut result = self.apply(bytes);
			if result == Err(InvalidTransaction::ExhaustsResources.into()) {
				blocks.push(self.end());
				self.begin();
				result = self.apply(bytes);
			}
			result.unwrap().unwrap();
		}
		blocks.push(self.end());
		blocks
	}

	/// Makes `count` empty blocks.
	pub fn blocks(&mut self, count: BlockNumber) {
		for _ in 0..count {
			self.block([]);
		}
	}

	/// Makes empty blocks up to this number.
	pub fn until(&mut self, number: BlockNumber) {
		self.blocks(number.saturating_sub(self.parent.number));
	}
}

impl Chain<Gonka> {
	/// Validates an extrinsic after the last block, as the transaction pool does. Returns the result, and the processor
	/// time that it took.
	pub fn offer(&mut self, bytes: &[u8]) -> (TransactionValidity, Duration) {
		let (parent, source) = (self.head(), TransactionSource::External);
		let started = ThreadTime::now();
		let result = self.state.execute_with(|| {
			sp_io::storage::start_transaction();
			let extrinsic = UncheckedExtrinsic::decode(&mut &bytes[..]).unwrap();
			let result = Executive::validate_transaction(source, extrinsic, parent);
			sp_io::storage::rollback_transaction();
			result
		});
		(result, started.elapsed())
	}
}

/// Encodes a free transaction, whose authorisation is part of the call.
pub fn general(call: impl Into<RuntimeCall>) -> Vec<u8> {
	UncheckedExtrinsic::new_transaction(call.into(), extension(0)).encode()
}

/// Returns the transaction extension: immortal and without a tip.
pub fn extension(nonce: u32) -> gonka_runtime::TxExtension {
	(
		frame_system::AuthorizeCall::new(),
		frame_system::CheckNonZeroSender::new(),
		frame_system::CheckSpecVersion::new(),
		frame_system::CheckTxVersion::new(),
		frame_system::CheckGenesis::new(),
		frame_system::CheckMortality::from(sp_runtime::generic::Era::Immortal),
		frame_system::CheckNonce::from(nonce),
		frame_system::CheckWeight::new(),
		pallet_transaction_payment::ChargeTransactionPayment::from(0),
		frame_metadata_hash_extension::CheckMetadataHash::new(false),
		frame_system::WeightReclaim::new(),
	)
}

/// Encodes a transaction that an account signs and pays for.
pub fn signed(pair: &sp_core::sr25519::Pair, nonce: u32, genesis: Hash, call: impl Into<RuntimeCall>) -> Vec<u8> {
	use sp_core::Pair;
	let (call, genesis) = (call.into(), H256(genesis));
	let version = gonka_runtime::VERSION;
	let implicit = ((), (), version.spec_version, version.transaction_version, genesis, genesis, (), (), (), None, ());
	let payload = sp_runtime::generic::SignedPayload::from_raw(call.clone(), extension(nonce), implicit);
	let signature = payload.using_encoded(|bytes| pair.sign(bytes));
	let account = gonka_runtime::AccountId::from(pair.public());
	UncheckedExtrinsic::new_signed(call, account.into(), signature.into(), extension(nonce)).encode()
}
