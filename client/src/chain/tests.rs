//! Tests against a node that knows only what a test tells it.

use super::*;
use crate::keys;
use futures::StreamExt;
use jsonrpsee::{
	RpcModule, SubscriptionMessage,
	server::{Server, ServerHandle},
	types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};
use std::{
	net::SocketAddr,
	sync::atomic::{AtomicU32, Ordering},
};
use tokio::{net::TcpSocket, time::timeout};

/// How long a condition may take. Only a failed test waits that long.
const LONG: Duration = Duration::from_secs(180);

/// The node's state.
#[derive(Default)]
struct Knowledge {
	best: AtomicU32,
	hosts: Vec<HostView>,
	/// Whether unsafe methods are served.
	serves_unsafe: bool,
}

struct Node {
	address: SocketAddr,
	handle: ServerHandle,
}

impl Node {
	async fn start(address: &str, knowledge: Arc<Knowledge>) -> Self {
		let server = Server::builder().build(address).await.unwrap();
		let address = server.local_addr().unwrap();
		Self { address, handle: server.start(module(knowledge)) }
	}

	fn url(&self) -> String {
		format!("ws://{}", self.address)
	}

	async fn stop(self) {
		self.handle.stop().unwrap();
		self.handle.stopped().await;
	}
}

fn module(knowledge: Arc<Knowledge>) -> RpcModule<Arc<Knowledge>> {
	let mut module = RpcModule::new(knowledge);
	module.register_method("chain_getBlockHash", |_, _, _| hex_of(&[7; 32])).unwrap();
	module.register_method("chain_getHeader", |_, knowledge, _| header(knowledge.best.load(Ordering::SeqCst))).unwrap();
	module.register_method("system_properties", |_, _, _| json!({ "ss58Format": 42 })).unwrap();
	module.register_method("author_rotateKeysWithOwner", |params, knowledge, _| rotate(&params, knowledge)).unwrap();
	module.register_method("state_call", |params, knowledge, _| state_call(&params, knowledge)).unwrap();
	module
		.register_subscription(
			"chain_subscribeNewHeads",
			"chain_newHead",
			"chain_unsubscribeNewHeads",
			|_, pending, knowledge, _| async move {
				let sink = pending.accept().await?;
				let best = header(knowledge.best.load(Ordering::SeqCst));
				sink.send(SubscriptionMessage::from_json(&best)?).await?;
				sink.closed().await;
				Ok(())
			},
		)
		.unwrap();
	module
}

/// Session keys that stand for their owner.
fn rotate(params: &Params, knowledge: &Knowledge) -> Result<Value, ErrorObjectOwned> {
	let (owner,): (String,) = params.parse()?;
	if knowledge.serves_unsafe {
		return Ok(json!({ "keys": owner, "proof": "0x0102" }));
	}
	Err(ErrorObjectOwned::owned(-32601, "RPC call is unsafe to be called externally", None::<()>))
}

fn state_call(params: &Params, knowledge: &Knowledge) -> Result<String, ErrorObjectOwned> {
	let (method, arguments, _): (String, String, Option<String>) = params.parse()?;
	let arguments = hex::decode(arguments.trim_start_matches("0x")).unwrap();
	match method.as_str() {
		"GonkaApi_hosts" => {
			let (after, limit): (Option<AccountId>, u32) = Decode::decode(&mut arguments.as_slice()).unwrap();
			let start =
				after.map_or(0, |after| 1 + knowledge.hosts.iter().position(|one| one.account == after).unwrap());
			let page: Vec<_> = knowledge.hosts.iter().skip(start).take(limit as usize).cloned().collect();
			Ok(hex_of(&page.encode()))
		},
		"GonkaApi_epoch" => Ok(hex_of(&None::<EpochView>.encode())),
		"GonkaApi_supply" => Ok(hex_of(&[1, 2, 3])),
		_ => Err(ErrorObjectOwned::owned(4003, "Client error", Some("exported method is not found"))),
	}
}

fn header(number: u32) -> Value {
	let zero = hex_of(&[0; 32]);
	json!({
		"parentHash": zero, "number": format!("{number:#x}"), "stateRoot": zero, "extrinsicsRoot": zero,
		"digest": { "logs": [] },
	})
}

fn hex_of(bytes: &[u8]) -> String {
	format!("0x{}", hex::encode(bytes))
}

fn host(index: u32) -> HostView {
	let mut account = [0; 32];
	account[..4].copy_from_slice(&index.to_le_bytes());
	HostView {
		account,
		worker: account,
		url: b"http://h".to_vec(),
		models: vec![1],
		registered: 0,
		effective_weight: index.into(),
		condemned: false,
	}
}

#[tokio::test]
async fn the_block_stream_and_queries_continue_after_a_restart_of_the_node() {
	let knowledge = Arc::new(Knowledge { best: AtomicU32::new(1), ..Knowledge::default() });
	// It keeps the port from other programs' connections while the node is down.
	let reserved = TcpSocket::new_v4().unwrap();
	reserved.set_reuseaddr(true).unwrap();
	reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
	let node = Node::start(&reserved.local_addr().unwrap().to_string(), knowledge.clone()).await;
	let chain = Chain::connect(&node.url()).await.unwrap();
	assert_eq!(chain.genesis(), [7; 32]);
	let mut blocks = chain.best_blocks().await;
	let first = timeout(LONG, blocks.next()).await.unwrap().unwrap();
	assert_eq!(first, chain.best().await.unwrap());
	assert_eq!(first.number, 1);

	let address = node.address.to_string();
	node.stop().await;
	knowledge.best.store(5, Ordering::SeqCst);
	// A query that begins while the node is down waits for it.
	let mut query = Box::pin(chain.best());
	assert!(futures::poll!(query.as_mut()).is_pending());
	let _node = Node::start(&address, knowledge).await;
	assert_eq!(timeout(LONG, blocks.next()).await.unwrap().unwrap().number, 5);
	assert_eq!(timeout(LONG, query).await.unwrap().unwrap().number, 5);
}

#[tokio::test]
async fn a_query_for_hosts_returns_all_pages() {
	for count in [0, 1, 255, 256, 257, 600] {
		let hosts: Vec<_> = (0..count).map(host).collect();
		let node =
			Node::start("127.0.0.1:0", Arc::new(Knowledge { hosts: hosts.clone(), ..Knowledge::default() })).await;
		let chain = Chain::connect(&node.url()).await.unwrap();
		assert_eq!(chain.hosts().await.unwrap(), hosts);
	}
}

#[tokio::test]
async fn an_error_names_the_query_and_its_cause() {
	let node = Node::start("127.0.0.1:0", Arc::default()).await;
	let chain = Chain::connect(&node.url()).await.unwrap();
	assert!(matches!(chain.epoch().await, Err(Error::NoEpoch)));
	assert!(matches!(chain.supply().await, Err(Error::Decode { what, .. }) if what == "GonkaApi_supply"));
	let error = chain.market().await.unwrap_err();
	assert!(
		matches!(&error, Error::Rpc { method, cause } if method == "GonkaApi_market" && cause.contains("not found"))
	);
}

#[tokio::test]
async fn session_keys_are_rotated_by_a_node_that_serves_unsafe_methods() {
	let knowledge = Arc::new(Knowledge { serves_unsafe: true, ..Knowledge::default() });
	let node = Node::start("127.0.0.1:0", knowledge).await;
	let rotated = Chain::connect(&node.url()).await.unwrap().rotate_session_keys(&[9; 32]).await.unwrap();
	assert_eq!(rotated, RotatedKeys { keys: vec![9; 32], proof: vec![1, 2] });

	let node = Node::start("127.0.0.1:0", Arc::default()).await;
	let error = Chain::connect(&node.url()).await.unwrap().rotate_session_keys(&[9; 32]).await.unwrap_err();
	assert!(matches!(&error, Error::Unsafe { method, .. } if method == "author_rotateKeysWithOwner"), "{error}");
	assert!(error.to_string().contains("own machine"), "{error}");
}

#[tokio::test]
async fn a_url_without_a_websocket_scheme_is_rejected_at_once() {
	for url in ["http://127.0.0.1:1", "127.0.0.1:9944", ""] {
		assert!(matches!(timeout(LONG, Chain::connect(url)).await.unwrap(), Err(Error::Connection { .. })));
	}
}

#[test]
fn a_chain_is_shared_between_tasks() {
	fn is_shared<T: Clone + Send + Sync + 'static>() {}
	is_shared::<Chain>();
	fn is_stream<T: futures::Stream<Item = BlockRef> + Unpin + Send + 'static>() {}
	is_stream::<BestBlocks>();
	// Futures move between tasks, too.
	fn is_send<T: Send>(_: &T) {}
	let check = |chain: &'static Chain, pair: &'static keys::Keypair| {
		is_send(&chain.open_channels(pair, [0; 32], Vec::new()));
		is_send(&chain.hosts());
		is_send(&chain.free_balance(&[0; 32]));
	};
	let _ = check;
}
