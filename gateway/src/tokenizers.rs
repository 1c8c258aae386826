//! The models' tokenizers: fetched from hosts by the hash that is registered, kept on disk, and opened once.
//!
//! With them the gateway makes prompts of token ids and texts of the ids that hosts send, so it takes no host's word for
//! either.

use crate::{
	gateway::Gateway,
	snapshot::{Host, Model, Snapshot},
};
use anyhow::{Context, ensure};
use gonka_client::{
	keys,
	worker_api::{Scale, TokenizerQuery},
};
use gonka_primitives::{AccountId, Hash, views::ChannelView};
use gonka_tokenizer::{GrammarCompiler, Tokenizer, open_tokenizer};
use sha2::{Digest, Sha256};
use std::{
	collections::{HashMap, HashSet},
	fs,
	path::PathBuf,
	sync::{Arc, PoisonError, RwLock},
	time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Pause before a host that sent no or a wrong file is asked for it again.
const PAUSE: Duration = Duration::from_secs(60);

/// A tokenizer that is open.
#[derive(Clone)]
pub struct Opened {
	/// The tokenizer.
	pub tokenizer: Arc<Tokenizer>,
	/// Compiles grammars for its tokens.
	pub grammars: Arc<GrammarCompiler>,
}

/// The tokenizers that are open.
pub struct Tokenizers {
	folder: PathBuf,
	open: RwLock<HashMap<Hash, Opened>>,
}

impl Tokenizers {
	/// Keeps files in a folder.
	///
	/// # Errors
	/// The folder cannot be made.
	pub fn new(folder: PathBuf) -> anyhow::Result<Self> {
		fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
		Ok(Self { folder, open: RwLock::default() })
	}

	/// The tokenizer of a model, if it is open.
	pub fn of(&self, model: &Model) -> Option<Opened> {
		self.open.read().unwrap_or_else(PoisonError::into_inner).get(&model.tokenizer_hash()?).cloned()
	}

	fn path(&self, hash: &Hash) -> PathBuf {
		self.folder.join(format!("{}.gguf", hex::encode(hash)))
	}

	/// Opens a file of the folder. Returns false if it is not there, or is not the one with this hash.
	fn open(&self, hash: &Hash) -> anyhow::Result<bool> {
		let path = self.path(hash);
		match fs::read(&path) {
			Ok(file) if is(&file, hash) => {},
			_ => return Ok(false),
		}
		let tokenizer = Arc::new(open_tokenizer(&path)?);
		let opened = Opened { grammars: Arc::new(GrammarCompiler::new(tokenizer.clone())), tokenizer };
		self.open.write().unwrap_or_else(PoisonError::into_inner).insert(*hash, opened);
		Ok(true)
	}

	/// Stores a file that a host sent, and opens it.
	fn take(&self, hash: &Hash, file: &[u8]) -> anyhow::Result<()> {
		ensure!(is(file, hash), "it sent another file of {} bytes", file.len());
		let (path, part) = (self.path(hash), self.path(hash).with_extension("part"));
		let stored = fs::write(&part, file).and_then(|()| fs::rename(&part, &path));
		stored.with_context(|| format!("cannot write {}", path.display()))?;
		ensure!(self.open(hash)?, "{} changed while it was read", path.display());
		Ok(())
	}
}

fn is(file: &[u8], hash: &Hash) -> bool {
	Sha256::digest(file).as_slice() == hash
}

/// Opens the tokenizers of all models that hosts with a channel serve. Never returns.
pub async fn supervise(gateway: Arc<Gateway>) {
	let mut snapshots = gateway.snapshots.subscribe();
	// One task for each, so that a slow host holds up no other model.
	let mut tasks = JoinSet::new();
	let mut started = HashSet::new();
	while snapshots.changed().await.is_ok() {
		while tasks.try_join_next().is_some() {}
		for hash in wanted(&gateway, &gateway.snapshots.load()).into_keys() {
			if started.insert(hash) {
				tasks.spawn(obtain(gateway.clone(), hash));
			}
		}
	}
}

/// Opens a tokenizer, or fetches it as soon as a host has it. Gives up on a file that no host can repair: the registration is wrong,
/// or this build is too old.
async fn obtain(gateway: Arc<Gateway>, hash: Hash) {
	let mut snapshots = gateway.snapshots.subscribe();
	let mut failed: HashMap<AccountId, Instant> = HashMap::new();
	loop {
		match in_background(&gateway, move |tokenizers| tokenizers.open(&hash)).await {
			Ok(true) => return tracing::info!(hash = hex::encode(hash), "opened a tokenizer"),
			Ok(false) => {},
			Err(error) => {
				let hash = hex::encode(hash);
				return tracing::error!(
					hash,
					"the registered tokenizer cannot be used; is this gateway up to date? {error:#}"
				);
			},
		}
		failed.retain(|_, at| at.elapsed() < PAUSE);
		let sources = wanted(&gateway, &gateway.snapshots.load()).remove(&hash).unwrap_or_default();
		if fetch(&gateway, hash, &sources, &mut failed).await || snapshots.changed().await.is_err() {
			return;
		}
	}
}

type Source = (Arc<ChannelView>, Arc<Host>);

/// The tokenizers that are not open, with the hosts that may have them.
fn wanted(gateway: &Gateway, snapshot: &Snapshot) -> HashMap<Hash, Vec<Source>> {
	let mut wanted: HashMap<Hash, Vec<Source>> = HashMap::new();
	for model in snapshot.models.values().filter(|model| model.is_listed() && gateway.tokenizers.of(model).is_none()) {
		let Some(hash) = model.tokenizer_hash() else { continue };
		let serving = snapshot.open_channels().filter(|(_, host)| model.variant(host).is_some());
		let serving = serving.map(|(channel, host)| (channel.clone(), host.clone())).collect::<Vec<_>>();
		if !serving.is_empty() {
			wanted.entry(hash).or_default().extend(serving);
		}
	}
	wanted
}

/// Fetches a file from the first host that has it. Returns whether it is open.
async fn fetch(
	gateway: &Arc<Gateway>,
	hash: Hash,
	sources: &[Source],
	failed: &mut HashMap<AccountId, Instant>,
) -> bool {
	for (channel, host) in sources {
		if failed.contains_key(&host.account) {
			continue;
		}
		let query = TokenizerQuery { channel: gateway.ledger.query(channel.id), tokenizer: Scale(hash) };
		let outcome = match gateway.workers.tokenizer(&host.url, &query).await {
			Ok(file) => in_background(gateway, move |tokenizers| tokenizers.take(&hash, &file)).await,
			Err(error) => Err(anyhow::Error::from(error)),
		};
		let (host_text, hash_text) = (keys::ss58(&host.account), hex::encode(hash));
		match outcome {
			Ok(()) => {
				tracing::info!(host = host_text, hash = hash_text, "fetched a tokenizer");
				return true;
			},
			Err(error) => {
				tracing::info!(host = host_text, hash = hash_text, "cannot get a tokenizer from this host: {error:#}");
				failed.insert(host.account, Instant::now());
			},
		}
	}
	false
}

async fn in_background<T: Send + 'static>(
	gateway: &Arc<Gateway>,
	work: impl FnOnce(&Tokenizers) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
	let gateway = gateway.clone();
	tokio::task::spawn_blocking(move || work(&gateway.tokenizers)).await?
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_file_is_opened_only_by_its_hash() {
		let folder = tempfile::tempdir().unwrap();
		let tokenizers = Tokenizers::new(folder.path().join("tokenizers")).unwrap();
		let file = gonka_tokenizer::mock_tokenizer(&["one"]);
		let hash: Hash = Sha256::digest(&file).into();
		assert!(!tokenizers.open(&hash).unwrap());
		assert!(tokenizers.take(&hash, b"other").is_err());
		tokenizers.take(&hash, &file).unwrap();
		assert!(tokenizers.open(&hash).unwrap());
		// A file that was cut on disk is fetched again.
		fs::write(tokenizers.path(&hash), &file[..9]).unwrap();
		assert!(!tokenizers.open(&hash).unwrap());
		let page = b"GGUF of another kind";
		let hash: Hash = Sha256::digest(page).into();
		assert!(tokenizers.take(&hash, page).is_err(), "it is no tokenizer");
	}
}
