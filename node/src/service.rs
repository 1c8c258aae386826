//! Builds a node: the parts that commands about the chain need ([`parts`]), and the running node ([`start`]).

use crate::{checkpoint, finality::KnownFinality, rpc};
use futures::StreamExt;
use gonka_runtime::{BlockNumber, Hash, apis::RuntimeApi, opaque::Block};
use polkadot_sdk::*;
use sc_client_api::BlockBackend;
use sc_consensus_babe::{BabeLink, BabeWorkerHandle, SlotProportion};
use sc_consensus_grandpa as grandpa;
use sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging;
use sc_executor::{DEFAULT_HEAP_ALLOC_STRATEGY, HeapAllocStrategy};
use sc_network::{NetworkBackend, NetworkEventStream, config::NetworkBackendType};
use sc_service::{Configuration, KeystoreContainer, TaskManager, error::Error};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_blockchain::HeaderBackend;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// GRANDPA stores a proof of finality at least once in this number of blocks, for bridges and light clients.
const JUSTIFICATION_PERIOD: u32 = 512;

/// Share of a slot in which its author may fill the block. In the rest the other nodes receive and verify it.
const PROPOSING: f32 = 0.5;

/// Duration for which GRANDPA gossips messages in a round: about a network round trip.
const GOSSIP: Duration = Duration::from_millis(333);

/// The node authors fewer blocks while finality lags far behind, since states that are not final stay in memory. The way
/// out of a stall takes sessions with enough blocks, about 1,500 of them with mainnet's times, so these are not slowed.
const BACKOFF: BackoffAuthoringOnFinalizedHeadLagging<BlockNumber> =
	BackoffAuthoringOnFinalizedHeadLagging { max_interval: 10, unfinalized_slack: 2_000, authoring_bias: 20 };

/// Functions of the node that the runtime may call.
type HostFunctions = sp_io::SubstrateHostFunctions;

pub type FullBackend = sc_service::TFullBackend<Block>;
type WasmExecutor = sc_executor::WasmExecutor<HostFunctions>;
pub type FullClient = sc_service::TFullClient<Block, RuntimeApi, WasmExecutor>;
pub type SelectChain = sc_consensus::LongestChain<FullBackend, Block>;
pub type TransactionPool = sc_transaction_pool::TransactionPoolHandle<Block, FullClient>;

type GrandpaImport = grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, SelectChain>;
type Inherents = Arc<
	dyn sp_inherents::CreateInherentDataProviders<
			Block,
			(),
			InherentDataProviders = (
				sp_consensus_babe::inherents::InherentDataProvider,
				sp_timestamp::InherentDataProvider,
				KnownFinality,
			),
		>,
>;
type BabeImport = sc_consensus_babe::BabeBlockImport<Block, FullClient, GrandpaImport, Inherents, SelectChain>;

/// The chain on this machine, without a network.
pub struct Parts {
	pub client: Arc<FullClient>,
	pub backend: Arc<FullBackend>,
	pub task_manager: TaskManager,
	pub keystore: KeystoreContainer,
	pub select_chain: SelectChain,
	pub pool: Arc<TransactionPool>,
	/// Verifies blocks from other nodes and passes them to `block_import`.
	pub import_queue: sc_consensus::DefaultImportQueue<Block>,
	/// Imports every block, own ones included: through BABE, GRANDPA and the client.
	pub block_import: BabeImport,
	pub inherents: Inherents,
	pub babe_link: BabeLink<Block>,
	pub babe_worker: BabeWorkerHandle<Block>,
	pub grandpa_link: grandpa::LinkHalf<Block, FullClient, SelectChain>,
	pub telemetry: Option<Telemetry>,
}

/// What `sc_service::new_wasm_executor` makes, with a folder for compiled runtimes: so that a node starts again at once.
fn executor(config: &Configuration, wasm_cache: Option<PathBuf>) -> WasmExecutor {
	let settings = &config.executor;
	let heap = settings.default_heap_pages.map_or(DEFAULT_HEAP_ALLOC_STRATEGY, |pages| HeapAllocStrategy::Static {
		extra_pages: u32::try_from(pages).unwrap_or(u32::MAX),
	});
	WasmExecutor::builder()
		.with_execution_method(settings.wasm_method)
		.with_onchain_heap_alloc_strategy(heap)
		.with_offchain_heap_alloc_strategy(heap)
		.with_max_runtime_instances(settings.max_runtime_instances)
		.with_runtime_cache_size(settings.runtime_cache_size)
		.with_cache_path(wasm_cache.unwrap_or_else(|| config.base_path.path().join("wasm-cache")))
		.build()
}

/// Opens the database and builds the parts of a node. Compiled runtimes are kept in the folder `wasm_cache`, or in one beside the
/// database.
pub fn parts(config: &Configuration, wasm_cache: Option<PathBuf>) -> Result<Parts, Error> {
	let telemetry = config
		.telemetry_endpoints
		.clone()
		.filter(|endpoints| !endpoints.is_empty())
		.map(|endpoints| -> Result<_, sc_telemetry::Error> {
			let worker = TelemetryWorker::new(16)?;
			let telemetry = worker.handle().new_telemetry(endpoints);
			Ok((worker, telemetry))
		})
		.transpose()?;

	let executor = executor(config, wasm_cache);
	let (client, backend, keystore, task_manager) = sc_service::new_full_parts::<Block, RuntimeApi, _>(
		config,
		telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
		executor,
		Vec::new(),
	)?;
	let client = Arc::new(client);

	let telemetry = telemetry.map(|(worker, telemetry)| {
		task_manager.spawn_handle().spawn("telemetry", None, worker.run());
		telemetry
	});
	let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

	let select_chain = sc_consensus::LongestChain::new(Arc::clone(&backend));
	let pool = Arc::new(
		sc_transaction_pool::Builder::new(
			task_manager.spawn_essential_handle(),
			Arc::clone(&client),
			config.role.is_authority().into(),
		)
		.with_options(config.transaction_pool.clone())
		.with_prometheus(config.prometheus_registry())
		.build(),
	);

	let (grandpa_import, grandpa_link) = grandpa::block_import(
		Arc::clone(&client),
		JUSTIFICATION_PERIOD,
		&client,
		select_chain.clone(),
		telemetry_handle(),
	)?;

	let babe_config = sc_consensus_babe::configuration(&*client)?;
	let slot_duration = babe_config.slot_duration();
	let chain = Arc::clone(&client);
	let inherents: Inherents = Arc::new(move |_, ()| {
		let finality = KnownFinality(chain.info().finalized_number);
		async move {
			let now = sp_timestamp::InherentDataProvider::from_system_time();
			let slot = sp_consensus_babe::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
				*now,
				slot_duration,
			);
			Ok((slot, now, finality))
		}
	});
	let (block_import, babe_link) = sc_consensus_babe::block_import(
		babe_config,
		grandpa_import.clone(),
		Arc::clone(&client),
		Arc::clone(&inherents),
		select_chain.clone(),
		OffchainTransactionPoolFactory::new(Arc::clone(&pool)),
	)?;
	let (import_queue, babe_worker) = sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
		link: babe_link.clone(),
		block_import: block_import.clone(),
		justification_import: Some(Box::new(grandpa_import)),
		client: Arc::clone(&client),
		slot_duration,
		spawner: &task_manager.spawn_essential_handle(),
		registry: config.prometheus_registry(),
		telemetry: telemetry_handle(),
	})?;

	Ok(Parts {
		client,
		backend,
		task_manager,
		keystore,
		select_chain,
		pool,
		import_queue,
		block_import,
		inherents,
		babe_link,
		babe_worker,
		grandpa_link,
		telemetry,
	})
}

/// Starts a node, which runs until the task manager is dropped. `wasm_cache` is as for [`parts`].
pub fn start(config: Configuration, wasm_cache: Option<PathBuf>) -> Result<TaskManager, Error> {
	match config.network.network_backend {
		NetworkBackendType::Litep2p => start_on::<sc_network::Litep2pNetworkBackend>(config, wasm_cache),
		NetworkBackendType::Libp2p => start_on::<sc_network::NetworkWorker<Block, Hash>>(config, wasm_cache),
	}
}

fn start_on<Net: NetworkBackend<Block, Hash>>(
	config: Configuration,
	wasm_cache: Option<PathBuf>,
) -> Result<TaskManager, Error> {
	let Parts {
		client,
		backend,
		mut task_manager,
		keystore,
		select_chain,
		pool,
		import_queue,
		block_import,
		inherents,
		babe_link,
		babe_worker,
		grandpa_link,
		mut telemetry,
	} = parts(&config, wasm_cache)?;
	let keystore = keystore.keystore();
	let role = config.role;
	let name = config.network.node_name.clone();
	let registry = config.prometheus_registry().cloned();
	let force_authoring = config.force_authoring;
	let runs_grandpa = !config.disable_grandpa;
	let discovery = sc_authority_discovery::WorkerConfig {
		publish_non_global_ips: config.network.allow_non_globals_in_dht,
		public_addresses: config.network.public_addresses.clone(),
		persisted_cache_directory: config.network.net_config_path.clone(),
		strict_record_validation: true,
		..Default::default()
	};

	// The network: the usual protocols, GRANDPA's votes, and proofs of finality for warp sync.
	let mut net_config =
		sc_network::config::FullNetworkConfiguration::<Block, Hash, Net>::new(&config.network, registry.clone());
	let metrics = Net::register_notification_metrics(registry.as_ref());
	let genesis = client
		.block_hash(0)?
		.ok_or_else(|| Error::Other("The database has no genesis block: purge it and start again".into()))?;
	let grandpa_protocol = grandpa::protocol_standard_name(&genesis, &config.chain_spec);
	let (protocol_config, grandpa_notifications) = grandpa::grandpa_peers_set_config::<Block, Net>(
		grandpa_protocol.clone(),
		metrics.clone(),
		net_config.peer_store_handle(),
	);
	net_config.add_notification_protocol(protocol_config);
	let finality_proofs =
		checkpoint::warp_sync(&*config.chain_spec, &backend, grandpa_link.shared_authority_set().clone())
			.map_err(|error| Error::Application(error.into()))?;
	let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
		sc_service::build_network(sc_service::BuildNetworkParams {
			config: &config,
			net_config,
			client: Arc::clone(&client),
			transaction_pool: Arc::clone(&pool),
			spawn_handle: task_manager.spawn_handle(),
			spawn_essential_handle: task_manager.spawn_essential_handle(),
			import_queue,
			block_announce_validator_builder: None,
			warp_sync_config: Some(sc_service::WarpSyncConfig::WithProvider(finality_proofs)),
			block_relay: None,
			metrics,
			gap_sync_body_policy: None,
		})?;

	// RPC, informant, metrics, and maintenance of the pool.
	let voter_state = grandpa::SharedVoterState::empty();
	let rpc = rpc::Deps {
		client: Arc::clone(&client),
		pool: Arc::clone(&pool),
		select_chain: select_chain.clone(),
		chain_spec: config.chain_spec.cloned_box(),
		keystore: Arc::clone(&keystore),
		babe_worker,
		grandpa: rpc::GrandpaDeps {
			voter_state: voter_state.clone(),
			authority_set: grandpa_link.shared_authority_set().clone(),
			justifications: grandpa_link.justification_stream(),
			proofs: grandpa::FinalityProofProvider::new_for_service(
				Arc::clone(&backend),
				Some(grandpa_link.shared_authority_set().clone()),
			),
		},
	};
	sc_service::spawn_tasks(sc_service::SpawnTasksParams {
		config,
		client: Arc::clone(&client),
		backend,
		task_manager: &mut task_manager,
		keystore: Arc::clone(&keystore),
		transaction_pool: Arc::clone(&pool),
		rpc_builder: Box::new(move |executor| rpc.module(executor).map_err(Error::Application)),
		network: Arc::clone(&network),
		system_rpc_tx,
		tx_handler_controller,
		sync_service: Arc::clone(&sync_service),
		telemetry: telemetry.as_mut(),
		tracing_execute_block: None,
	})?;
	let telemetry = telemetry.as_ref().map(Telemetry::handle);

	if role.is_authority() {
		// Author blocks.
		let proposer = sc_basic_authorship::ProposerFactory::new(
			task_manager.spawn_handle(),
			Arc::clone(&client),
			Arc::clone(&pool),
			registry.as_ref(),
			telemetry.clone(),
		);
		let babe = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
			keystore: Arc::clone(&keystore),
			client: Arc::clone(&client),
			select_chain,
			env: proposer,
			block_import,
			sync_oracle: Arc::clone(&sync_service),
			justification_sync_link: Arc::clone(&sync_service),
			create_inherent_data_providers: inherents,
			force_authoring,
			backoff_authoring_blocks: Some(BACKOFF),
			babe_link,
			block_proposal_slot_portion: SlotProportion::new(PROPOSING),
			max_block_proposal_slot_portion: None,
			telemetry: telemetry.clone(),
		})?;
		task_manager.spawn_essential_handle().spawn_blocking("babe-proposer", Some("block-authoring"), babe);

		// Publish this validator's addresses and discover those of the others.
		let events = network.event_stream("authority-discovery").filter_map(|event| async move {
			match event {
				sc_network::Event::Dht(event) => Some(event),
				_ => None,
			}
		});
		let (worker, _) = sc_authority_discovery::new_worker_and_service_with_config(
			discovery,
			Arc::clone(&client),
			Arc::new(Arc::clone(&network)),
			Box::pin(events),
			sc_authority_discovery::Role::PublishAndDiscover(Arc::clone(&keystore)),
			registry.clone(),
			task_manager.spawn_handle(),
		);
		task_manager.spawn_handle().spawn("authority-discovery-worker", Some("networking"), worker.run());
	}

	if runs_grandpa {
		// Validators vote. Other nodes follow the votes, for which they need no keys.
		let voter = grandpa::run_grandpa_voter(grandpa::GrandpaParams {
			config: grandpa::Config {
				gossip_duration: GOSSIP,
				justification_generation_period: JUSTIFICATION_PERIOD,
				observer_enabled: false,
				local_role: role,
				name: Some(name),
				keystore: role.is_authority().then_some(keystore),
				telemetry: telemetry.clone(),
				protocol_name: grandpa_protocol,
			},
			link: grandpa_link,
			network,
			sync: sync_service,
			notification_service: grandpa_notifications,
			voting_rule: grandpa::VotingRulesBuilder::default().build(),
			prometheus_registry: registry,
			shared_voter_state: voter_state,
			telemetry,
			offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool),
		})?;
		task_manager.spawn_essential_handle().spawn_blocking("grandpa-voter", None, voter);
	}

	Ok(task_manager)
}
