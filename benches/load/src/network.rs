//! Parties of the network: keys, accounts, a genesis with balances, and the messages that they sign.

use codec::Encode;
use gonka_primitives::{
	AccountId as Raw, Balance, ChannelId, EpochIndex, GNK, Hash, ModelId, Signature,
	hashing::{blake2_256, domain, signing_payload},
	host::{Commitment, SegmentCommitment},
	market::{Settlement, SignedVoucher, Totals, Voucher},
	merkle_sum::SumNode,
};
use gonka_runtime::{AccountId, Poc, Runtime, RuntimeGenesisConfig, SessionKeys, System, configs, genesis::Treasury};
use pallet_inference_market::GenesisModel;
use polkadot_sdk::{
	frame_support::traits::Get,
	frame_system::RawOrigin,
	sp_core::{Pair as _, ed25519, sr25519, storage::Storage},
	sp_runtime::BuildStorage,
	*,
};
use std::{ops::Range, thread};

pub use sr25519::Pair;

/// Everything that is not mined: the issuance in every network's genesis.
pub const ISSUED: Balance = 320_000_000 * GNK;
/// Number of models in the genesis.
pub const MODELS: ModelId = 4;

/// Derives a key pair from a role and an index.
pub fn pair(role: &str, index: usize) -> Pair {
	Pair::from_seed(&blake2_256(&[role.as_bytes(), &index.to_le_bytes()]))
}

/// A host with its worker's key.
#[derive(Clone)]
pub struct Host {
	/// Account of the host.
	pub account: AccountId,
	/// Key of the account.
	pub pair: Pair,
	/// The worker's key.
	pub worker: Pair,
}

/// A developer with its gateway's key.
#[derive(Clone)]
pub struct Developer {
	/// Account of the developer.
	pub account: AccountId,
	/// Key of the account.
	pub pair: Pair,
	/// The gateway's key.
	pub gateway: Pair,
}

/// Makes `count` hosts.
pub fn hosts(count: usize) -> Vec<Host> {
	let host = |index| {
		let pair = pair("host", index);
		Host { account: pair.public().into(), pair, worker: self::pair("worker", index) }
	};
	(0..count).map(host).collect()
}

/// Makes `count` developers.
pub fn developers(count: usize) -> Vec<Developer> {
	let developer = |index| {
		let pair = pair("developer", index);
		Developer { account: pair.public().into(), pair, gateway: self::pair("gateway", index) }
	};
	(0..count).map(developer).collect()
}

/// Builds a genesis in which `validators` have session keys and equal power, accounts have `balances`, and the
/// community fund has the rest.
pub fn genesis(validators: &[Host], mut balances: Vec<(AccountId, Balance)>) -> Storage {
	let spent = balances.iter().map(|(_, balance)| balance).sum::<Balance>();
	balances.push((Treasury::get(), ISSUED.checked_sub(spent).unwrap()));
	let keys = validators.iter().map(|host| (host.account.clone(), host.account.clone(), session_keys(host)));
	let power = validators.iter().map(|host| (host.account.clone(), 1));
	let babe =
		pallet_babe::GenesisConfig { epoch_config: configs::consensus::BABE_CONFIGURATION, ..Default::default() };
	RuntimeGenesisConfig {
		babe,
		balances: pallet_balances::GenesisConfig { balances, ..Default::default() },
		inference_market: pallet_inference_market::GenesisConfig {
			models: (0..MODELS).map(model).collect(),
			..Default::default()
		},
		poc: pallet_poc::GenesisConfig { power: power.collect(), ..Default::default() },
		session: pallet_session::GenesisConfig { keys: keys.collect(), ..Default::default() },
		..Default::default()
	}
	.build_storage()
	.unwrap()
}

fn session_keys(host: &Host) -> SessionKeys {
	let grandpa = ed25519::Pair::from_seed(&blake2_256(&[b"grandpa", host.account.as_ref()])).public();
	SessionKeys {
		babe: host.pair.public().into(),
		grandpa: grandpa.into(),
		authority_discovery: host.pair.public().into(),
	}
}

/// Describes a model whose price can change.
fn model(index: ModelId) -> GenesisModel {
	GenesisModel {
		name: format!("model-{index}"),
		weights_hash: [1; 32].into(),
		tokenizer_hash: [2; 32].into(),
		quantisation: "BF16".into(),
		context_length: 8_192,
		input_price: 1_000,
		output_price: 4_000,
		memory_mb: 1_024,
		min_worker_version: 1_000,
		capacity: 1_000_000_000,
		min_input_price: 1,
		min_output_price: 1,
		max_input_price: GNK,
		max_output_price: GNK,
	}
}

/// Adds hosts to the registry as if they had registered in `epoch`.
pub fn register(hosts: &[Host], epoch: u32) {
	for host in hosts {
		let worker = host.worker.public().0;
		let url = b"https://host.example:8443".to_vec().try_into().unwrap();
		let models = (0..MODELS).collect::<Vec<_>>().try_into().unwrap();
		let registered =
			pallet_poc::Host { worker, url, models, registered: epoch, joined: epoch, ..Default::default() };
		pallet_poc::Workers::<Runtime>::insert(worker, &host.account);
		pallet_poc::Hosts::<Runtime>::insert(&host.account, registered);
	}
}

/// Commits all hosts to these segments of an epoch. `count` returns the number of leaves of the host with an index.
pub fn commit(hosts: &[Host], epoch: EpochIndex, segments: Range<u8>, count: impl Fn(usize) -> u64) {
	for (index, host) in hosts.iter().enumerate() {
		for segment in segments.clone() {
			let commitment = Commitment { count: count(index), root: [segment; 32] };
			let commitment = SegmentCommitment { host: host.account.clone().into(), epoch, segment, commitment };
			Poc::commit(RawOrigin::Authorized.into(), commitment, [0; 64]).unwrap();
		}
	}
	System::reset_events();
}

/// Applies `work` to all items, on all cores.
pub fn in_parallel<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
	let cores = thread::available_parallelism().map_or(1, usize::from);
	let work = &work;
	thread::scope(|scope| {
		let parts = all.chunks(all.len().div_ceil(cores).max(1));
		let threads: Vec<_> =
			parts.map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())).collect();
		threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
	})
}

/// Signs a message for one chain and one purpose.
pub fn sign(pair: &Pair, domain: &[u8], genesis: &Hash, body: &impl Encode) -> Signature {
	pair.sign(&signing_payload(domain, genesis, body)).0
}

/// Makes a gateway's voucher.
pub fn voucher(gateway: &Pair, genesis: &Hash, channel: ChannelId, totals: Totals) -> SignedVoucher {
	let voucher = Voucher { channel, totals };
	SignedVoucher { voucher, signature: sign(gateway, domain::VOUCHER, genesis, &voucher) }
}

/// Encodes the settlement of a host's window as its worker sends it. All work is that of one model.
pub fn settlement(
	host: &Host,
	genesis: &Hash,
	window: u32,
	model: ModelId,
	root: SumNode<Totals>,
	mut vouchers: Vec<SignedVoucher>,
) -> Vec<u8> {
	vouchers.sort_by_key(|signed| signed.voucher.channel);
	let work = if root.sum.work > 0 { vec![(model, root.sum.work)] } else { vec![] };
	let settlement = Settlement { host: Raw::from(host.account.clone()), window, root, work, vouchers };
	let signature = sign(&host.worker, domain::SETTLEMENT, genesis, &settlement);
	crate::chain::general(pallet_inference_market::Call::settle { settlement, signature })
}
