//! A market in memory, instead of a chain. Its transactions take effect at once.

use crate::worker::{EMBEDDING_TOKENIZER, GENESIS, PRICE};
use gonka_client::chain;
use gonka_gateway::chain_view::ChainView;
use gonka_primitives::{
	AccountId, Balance, BlockNumber, ChannelId, GNK, Hash, PublicKey,
	market::Totals,
	views::{ChannelView, HostView, MarketView, ModelView},
};
use std::sync::{Arc, Mutex};
use subxt_signer::sr25519::Keypair;
use tokio::sync::watch;

/// The model that hosts serve.
pub const MODEL: &str = "test/tiny";

/// A market in memory.
#[derive(Clone)]
pub struct Market {
	pub state: Arc<Mutex<MarketState>>,
	block: Arc<watch::Sender<BlockNumber>>,
}

/// The state of the market.
pub struct MarketState {
	pub hosts: Vec<HostView>,
	pub channels: Vec<ChannelView>,
	/// Base units that every developer can spend.
	pub balance: Balance,
	/// Maximum number of tokens of prompt and completion together, of all models.
	pub context_length: u32,
	/// The hash of the tokenizer file of all models.
	pub tokenizer: Hash,
}

impl Market {
	/// A market with these hosts and without channels. Developers have 1000 GNK.
	pub fn new(hosts: Vec<HostView>, tokenizer: Hash) -> Self {
		let state = MarketState { hosts, channels: Vec::new(), balance: 1_000 * GNK, context_length: 2048, tokenizer };
		Self { state: Arc::new(Mutex::new(state)), block: Arc::new(watch::Sender::new(1)) }
	}

	/// Makes a block.
	pub fn next_block(&self) {
		self.block.send_modify(|block| *block += 1);
	}
}

impl ChainView for Market {
	fn genesis(&self) -> Hash {
		GENESIS
	}

	fn blocks(&self) -> watch::Receiver<BlockNumber> {
		self.block.subscribe()
	}

	async fn market(&self) -> chain::Result<MarketView> {
		Ok(MarketView { window: 10, max_vouchers: 64, max_channels_per_call: 16, min_deposit: 1, challenge_period: 10 })
	}

	async fn models(&self) -> chain::Result<Vec<ModelView>> {
		let state = self.state.lock().unwrap();
		let (context_length, tokenizer_hash) = (state.context_length, state.tokenizer);
		let model = |id, name: &[u8]| ModelView {
			id,
			name: name.to_vec(),
			weights_hash: [0; 32],
			tokenizer_hash,
			context_length,
			price: PRICE,
		};
		let embedding = ModelView { tokenizer_hash: EMBEDDING_TOKENIZER.0, ..model(7, b"test/embed") };
		Ok(vec![model(4, MODEL.as_bytes()), model(5, b"nobody-serves-it"), model(6, b"test/tiny@llama.cpp"), embedding])
	}

	async fn hosts(&self) -> chain::Result<Vec<HostView>> {
		Ok(self.state.lock().unwrap().hosts.clone())
	}

	async fn channels(&self, developer: AccountId) -> chain::Result<Vec<ChannelView>> {
		let state = self.state.lock().unwrap();
		Ok(state.channels.iter().filter(|channel| channel.developer == developer).cloned().collect())
	}

	async fn free_balance(&self, _: AccountId) -> chain::Result<Balance> {
		Ok(self.state.lock().unwrap().balance)
	}

	async fn open_channels(
		&self,
		developer: &Keypair,
		gateway: PublicKey,
		deposits: Vec<(AccountId, Balance)>,
	) -> chain::Result<Vec<ChannelId>> {
		let mut state = self.state.lock().unwrap();
		let mut ids = Vec::new();
		for (host, deposit) in deposits {
			let id = state.channels.iter().map(|channel| channel.id + 1).max().unwrap_or(0);
			let rest = state.balance.checked_sub(deposit);
			state.balance = rest.ok_or_else(|| chain::Error::Dispatch("the balance is too low".into()))?;
			state.channels.push(ChannelView {
				id,
				developer: developer.public_key().0,
				host,
				gateway,
				deposit,
				settled: Totals::default(),
				closes: None,
			});
			ids.push(id);
		}
		drop(state);
		self.next_block();
		Ok(ids)
	}

	async fn top_up(&self, _: &Keypair, amounts: Vec<(ChannelId, Balance)>) -> chain::Result<()> {
		let mut state = self.state.lock().unwrap();
		for (id, amount) in amounts {
			state.balance -= amount;
			state.channels.iter_mut().find(|channel| channel.id == id).unwrap().deposit += amount;
		}
		drop(state);
		self.next_block();
		Ok(())
	}

	async fn close_channel(&self, _: &Keypair, channel: ChannelId) -> chain::Result<()> {
		let closes = self.block.borrow().saturating_add(10);
		let mut state = self.state.lock().unwrap();
		state.channels.iter_mut().find(|known| known.id == channel).unwrap().closes = Some(closes);
		drop(state);
		self.next_block();
		Ok(())
	}

	async fn withdraw(&self, _: &Keypair, channel: ChannelId) -> chain::Result<()> {
		let mut state = self.state.lock().unwrap();
		let at = state.channels.iter().position(|known| known.id == channel).unwrap();
		let rest = state.channels.remove(at);
		state.balance += rest.deposit - rest.settled.fee;
		drop(state);
		self.next_block();
		Ok(())
	}
}
