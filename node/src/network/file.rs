//! The network file: its format and its checks.

use super::{CollatorKeys, NetworkError, Relay};
use codec::{Decode, DecodeAll, Encode};
use gonka_runtime::{
	AccountId, Balance, GNK, Multisig, SessionKeys, Signature,
	genesis::{COMMUNITY, FOUNDERS, NETWORKS, Treasury},
};
use gonka_runtime_common::version::{PARA_SPEC_NAME, SPEC_NAME};
use polkadot_sdk::*;
use sc_network::{config::MultiaddrWithPeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sp_core::{
	Pair as _,
	bytes::from_hex,
	crypto::{DEV_PHRASE, Ss58Codec},
	ed25519, sr25519,
};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::traits::{Get, OpaqueKeys, Verify};
use sp_state_machine::BasicExternalities;
use std::{
	collections::{BTreeMap, BTreeSet},
	fmt::Display,
	fs,
	path::Path,
};

/// Minimum number of first validators: of four, one may fail.
const MIN_VALIDATORS: usize = 4;
/// Minimum number of boot nodes.
const MIN_BOOT_NODES: usize = 2;
/// Relay chains that `polkadot-omni-node` has the specifications of.
const RELAY_CHAINS: [&str; 4] = ["polkadot", "kusama", "paseo", "westend"];
/// The smallest number that a relay chain gives to a parachain of the public.
const MIN_PARA_ID: u32 = 2_000;

/// A network file as it is written. Lists that it lacks are empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
	/// Name for people.
	pub name: String,
	/// Name of the database's folder and, with `-` for `_`, of the network's protocols.
	pub id: String,
	/// The parachain's place on its relay chain. A network without one is a solo chain.
	pub parachain: Option<Parachain>,
	/// Preset of the runtime: one of [`NETWORKS`].
	pub preset: String,
	/// Prefix of addresses.
	pub ss58_prefix: u16,
	/// Symbol of the token.
	pub token_symbol: String,
	/// Decimals of the token.
	pub token_decimals: u8,
	/// The community fund.
	pub community_fund: Fund,
	/// Accounts of the founders.
	#[serde(default)]
	pub founders: Vec<Founder>,
	/// Number of days over which the founders' GNK vest.
	pub vesting_days: u32,
	/// The first validators, or collators on the parachain.
	#[serde(default)]
	pub validators: Vec<Validator>,
	/// Addresses of the guardians, which are first validators.
	#[serde(default)]
	pub guardians: Vec<String>,
	/// The total proven weight, in leaves, from which on the network is mature.
	pub maturity: Option<u64>,
	/// The first models, as the runtime's genesis has them, with `profile`: the path of a calibration profile.
	#[serde(default)]
	pub models: Vec<Value>,
	/// Addresses of boot nodes.
	#[serde(default)]
	pub boot_nodes: Vec<String>,
	/// Folder of the file, from which `profile` is read.
	#[serde(skip)]
	folder: std::path::PathBuf,
}

/// A place on a relay chain.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parachain {
	/// Name of the relay chain, or with the preset `custom` the path of its specification, for `polkadot-omni-node`.
	pub relay_chain: String,
	/// Number of the parachain, once it is reserved.
	pub para_id: Option<u32>,
}

/// The community fund.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fund {
	/// Its address.
	pub address: String,
	/// Whole GNK.
	pub gnk: u64,
}

/// An account with a share of the founders' GNK.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Founder {
	/// The account.
	pub owner: Owner,
	/// Whole GNK.
	pub gnk: u64,
}

/// A first validator.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validator {
	/// The account.
	pub owner: Owner,
	/// Power until an epoch is weighed. Only the share of the sum counts.
	pub power: u64,
	/// Session keys in hex, as `session.setKeys` takes them: 96 bytes, or 32 of a collator.
	pub keys: String,
	/// Signatures of the account by these keys, as `session.setKeys` takes them.
	pub proof: String,
}

/// An account, with the proof that somebody can use it: a signature, or the signatories of a multisig account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
	/// The address.
	pub address: String,
	/// The account's signature of [`Network::statement`], in hex.
	#[serde(default)]
	pub signature: String,
	/// The signatories, if the account is a multisig account.
	#[serde(default)]
	pub signatories: Vec<Signatory>,
	/// Number of signatories that must agree.
	#[serde(default)]
	pub threshold: u16,
}

/// A signatory of a multisig account.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signatory {
	/// The address.
	pub address: String,
	/// Its signature of the multisig account's statement, in hex.
	pub signature: String,
}

/// The contents of a network file without faults.
#[derive(Clone, Debug)]
pub struct Genesis {
	/// The founders' accounts, each with base units.
	pub founders: Vec<(AccountId, Balance)>,
	/// Number of days over which they vest.
	pub vesting_days: u32,
	/// The relay chain, if the network is a parachain.
	pub relay: Option<Relay>,
	/// The first validators, each with power, and with session keys as the runtime's genesis has them.
	pub validators: Vec<(AccountId, u64, Value)>,
	/// The guardians.
	pub guardians: Vec<AccountId>,
	/// Leaves of proven weight from which on the network is mature.
	pub maturity: u64,
	/// The models, as the runtime's genesis has them.
	pub models: Vec<Value>,
	/// Calibration profiles, each with its model's number.
	pub profiles: Vec<(usize, Value)>,
	/// The boot nodes.
	pub boot_nodes: Vec<MultiaddrWithPeerId>,
}

impl Network {
	/// Reads a network file.
	pub fn read(path: &Path) -> Result<Self, NetworkError> {
		let text = fs::read_to_string(path).map_err(|cause| NetworkError::Read { path: path.to_owned(), cause })?;
		let malformed = |cause| NetworkError::Malformed { path: path.to_owned(), cause };
		let network: Self = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
		// Part of paths.
		let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
		if network.id.is_empty() || !network.id.bytes().all(is_plain) {
			return Err(malformed("id is not made of the characters a-z, 0-9 and _".to_owned()));
		}
		Ok(Self { folder: path.parent().unwrap_or(Path::new("")).to_owned(), ..network })
	}

	/// The name of the rules that the network's runtime has.
	pub fn spec_name(&self) -> &'static str {
		if self.parachain.is_some() { PARA_SPEC_NAME } else { SPEC_NAME }
	}

	/// The address of an account on this network.
	pub fn address(&self, account: &AccountId) -> String {
		account.to_ss58check_with_version(self.ss58_prefix.into())
	}

	/// The text that an account signs to be in the file. A validator's names its session keys, too.
	pub fn statement(&self, address: &str, keys: Option<&str>) -> String {
		let keys = keys.map(|keys| format!(" with session keys {keys}")).unwrap_or_default();
		format!("Genesis of {}: {address}{keys}", self.id)
	}

	/// The file's contents.
	///
	/// # Errors
	/// [`NetworkError::Incomplete`] with all faults.
	pub fn check(&self) -> Result<Genesis, NetworkError> {
		let mut check = Check { network: self, faults: Vec::new(), seen: well_known() };
		// Signatures of some kinds are verified by host functions.
		let genesis = BasicExternalities::new_empty().execute_with(|| check.all());
		if check.faults.is_empty() {
			Ok(genesis)
		} else {
			Err(NetworkError::Incomplete { name: self.name.clone(), faults: check.faults })
		}
	}
}

/// Keys that anybody has, or nobody, by which name they are known.
fn well_known() -> BTreeMap<[u8; 32], String> {
	let sr25519 = Sr25519Keyring::iter().map(|key| (key.public().0, format!("the development key {key}")));
	let ed25519 = Ed25519Keyring::iter().map(|key| (key.public().0, format!("the development key {key} (ed25519)")));
	let root = [
		sr25519::Pair::from_string(DEV_PHRASE, None).map(|pair| pair.public().0),
		ed25519::Pair::from_string(DEV_PHRASE, None).map(|pair| pair.public().0),
	];
	let root = root.into_iter().flatten().map(|key| (key, "the key of the development phrase".to_owned()));
	sr25519.chain(ed25519).chain(root).chain([([0; 32], "the account of zeros".to_owned())]).collect()
}

/// A check in progress.
struct Check<'a> {
	network: &'a Network,
	faults: Vec<String>,
	/// Keys that may not be used (again), by their use.
	seen: BTreeMap<[u8; 32], String>,
}

impl Check<'_> {
	fn fault(&mut self, fault: impl Display) {
		self.faults.push(fault.to_string());
	}

	fn require(&mut self, holds: bool, fault: impl Display) {
		if !holds {
			self.fault(fault);
		}
	}

	fn all(&mut self) -> Genesis {
		let network = self.network;
		self.identity();
		let relay = self.relay();
		let founders = self.founders();
		let validators = self.validators();
		let guardians = self.guardians(&validators);
		let maturity = network.maturity.unwrap_or(0);
		self.require(maturity > 0, "maturity is missing: the proven weight from which on the guardians have no share");
		let (models, profiles) = self.models();
		let boot_nodes = self.boot_nodes();
		let vesting_days = network.vesting_days;
		Genesis { founders, vesting_days, relay, validators, guardians, maturity, models, profiles, boot_nodes }
	}

	fn identity(&mut self) {
		let Network { name, preset, ss58_prefix, token_symbol, token_decimals, vesting_days, .. } = self.network;
		self.require(!name.is_empty(), "name is missing");
		match NETWORKS.iter().find(|(name, _)| name == preset) {
			None => self.fault(format!("preset {preset} is none of {NETWORKS:?}")),
			Some((_, prefix)) => self.require(
				prefix == ss58_prefix,
				format!("ss58Prefix is {ss58_prefix}, but {prefix} in the runtime of {preset}"),
			),
		}
		self.require(!token_symbol.is_empty(), "tokenSymbol is missing");
		self.require(*token_decimals == 9, "tokenDecimals is not 9");
		self.require(*vesting_days > 0, "vestingDays is 0");
		let fund = &self.network.community_fund;
		let address = self.network.address(&Treasury::get());
		self.require(fund.address == address, format!("communityFund.address is not the fund's, which is {address}"));
		self.sum("communityFund", &[Balance::from(fund.gnk).saturating_mul(GNK)], COMMUNITY);
		self.seen.insert(Treasury::get().into(), "the community fund".to_owned());
	}

	fn relay(&mut self) -> Option<Relay> {
		let network = self.network;
		let Parachain { relay_chain, para_id } = network.parachain.as_ref()?;
		let known = network.preset == "custom" || RELAY_CHAINS.contains(&relay_chain.as_str());
		self.require(known, format!("parachain.relayChain {relay_chain} is none of {RELAY_CHAINS:?}"));
		let Some(para_id) = *para_id else {
			self.fault("parachain.paraId is missing: the number that was reserved on the relay chain");
			return None;
		};
		self.require(para_id >= MIN_PARA_ID, format!("parachain.paraId {para_id} is below {MIN_PARA_ID}"));
		Some(Relay { relay_chain: relay_chain.clone(), para_id })
	}

	fn sum(&mut self, what: &str, parts: &[Balance], expected: Balance) {
		let sum = parts.iter().fold(0, |sum: Balance, part| sum.saturating_add(*part));
		let fault = format!("{what}: {} GNK instead of {}", sum.saturating_div(GNK), expected.saturating_div(GNK));
		self.require(sum == expected, fault);
	}

	fn founders(&mut self) -> Vec<(AccountId, Balance)> {
		let network = self.network;
		if network.founders.is_empty() {
			self.fault("founders are missing: accounts that share the founders' GNK, each with `owner` and `gnk`");
			return Vec::new();
		}
		let mut shares = Vec::new();
		for Founder { owner, gnk } in &network.founders {
			self.require(*gnk > 0, format!("founder {}: gnk is 0", owner.address));
			if let Some(account) = self.owner("founder", owner, None) {
				shares.push((account, Balance::from(*gnk).saturating_mul(GNK)));
			}
		}
		let parts: Vec<_> = network.founders.iter().map(|part| Balance::from(part.gnk).saturating_mul(GNK)).collect();
		self.sum("founders", &parts, FOUNDERS);
		shares
	}

	fn validators(&mut self) -> Vec<(AccountId, u64, Value)> {
		let network = self.network;
		let count = network.validators.len();
		let fault =
			format!("validators are missing: {count} of at least {MIN_VALIDATORS}, each made by `network keys`");
		self.require(count >= MIN_VALIDATORS, fault);
		let total = network.validators.iter().fold(0, |sum: u128, entry| sum.saturating_add(entry.power.into()));
		let mut validators = Vec::new();
		for entry in &network.validators {
			let Validator { owner, power, keys, .. } = entry;
			let name = format!("validator {}", owner.address);
			self.require(*power > 0, format!("{name}: power is 0"));
			let third = count >= MIN_VALIDATORS && u128::from(*power).saturating_mul(3) >= total;
			self.require(
				!third,
				format!("{name}: a third of the power, with which it stops a solo chain's finality alone"),
			);
			let account = self.owner("validator", owner, Some(keys));
			let session_keys = match network.parachain {
				None => self.session_keys::<SessionKeys>(&name, entry, account.as_ref()),
				Some(_) => self.session_keys::<CollatorKeys>(&name, entry, account.as_ref()),
			};
			validators.extend(account.zip(session_keys).map(|(account, keys)| (account, *power, keys)));
		}
		validators
	}

	/// An entry's session keys, as the runtime's genesis has them.
	fn session_keys<Keys: OpaqueKeys + DecodeAll + Serialize>(
		&mut self,
		name: &str,
		entry: &Validator,
		account: Option<&AccountId>,
	) -> Option<Value> {
		let bytes = from_hex(&entry.keys).unwrap_or_default();
		let Ok(keys) = Keys::decode_all(&mut &bytes[..]) else {
			self.fault(format!("{name}: keys are not {} bytes in hex", Keys::key_ids().len().saturating_mul(32)));
			return None;
		};
		for key in bytes.chunks_exact(32) {
			if let Ok(key) = key.try_into() {
				self.unused(format!("a session key of {name}"), key);
			}
		}
		let proof = from_hex(&entry.proof).unwrap_or_default();
		let proven = account.is_none_or(|account| keys.ownership_proof_is_valid(&account.encode(), &proof));
		self.require(proven, format!("{name}: the proof is not made by the session keys for this account"));
		serde_json::to_value(&keys).map_err(|error| self.fault(error)).ok()
	}

	fn guardians(&mut self, validators: &[(AccountId, u64, Value)]) -> Vec<AccountId> {
		let network = self.network;
		self.require(!network.guardians.is_empty(), "guardians are missing: addresses of first validators");
		let distinct: BTreeSet<_> = network.guardians.iter().collect();
		self.require(distinct.len() == network.guardians.len(), "guardians: an address is there twice");
		let mut guardians = Vec::new();
		for address in &network.guardians {
			if let Some(account) = self.account("guardian", address) {
				let known = network.validators.iter().any(|validator| validator.owner.address == *address);
				self.require(known, format!("guardian {address} is no first validator"));
				if validators.iter().any(|(who, ..)| *who == account) {
					guardians.push(account);
				}
			}
		}
		guardians
	}

	/// The models without, and their profiles.
	fn models(&mut self) -> (Vec<Value>, Vec<(usize, Value)>) {
		let (mut models, mut profiles, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
		for (number, model) in self.network.models.iter().enumerate() {
			let mut model = model.clone();
			let name = model.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
			self.require(!name.is_empty(), format!("model {number}: name is missing"));
			self.require(names.insert(name.clone()), format!("model {name} is there twice"));
			let profile = model.as_object_mut().and_then(|fields| fields.remove("profile"));
			match profile.as_ref().and_then(Value::as_str).map(|path| self.network.folder.join(path)) {
				None => self.fault(format!("model {name}: profile is missing, without which nothing is audited")),
				Some(path) => match fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
					Some(profile) => profiles.push((number, profile)),
					None => self.fault(format!("model {name}: {} is no readable profile", path.display())),
				},
			}
			models.push(model);
		}
		(models, profiles)
	}

	fn boot_nodes(&mut self) -> Vec<MultiaddrWithPeerId> {
		let network = self.network;
		let count = network.boot_nodes.len();
		self.require(count >= MIN_BOOT_NODES, format!("bootNodes are missing: {count} of at least {MIN_BOOT_NODES}"));
		let (mut nodes, mut peers) = (Vec::new(), BTreeSet::new());
		for text in &network.boot_nodes {
			let Ok(node) = text.parse::<MultiaddrWithPeerId>() else {
				self.fault(format!("boot node {text} is not an address that ends with /p2p/PEER"));
				continue;
			};
			self.require(peers.insert(node.peer_id.to_string()), format!("boot node {text}: the peer is there twice"));
			let reachable = node.multiaddr.iter().all(|part| match part {
				Protocol::Ip4(ip) => {
					let local = ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified();
					!local && !ip.is_documentation()
				},
				Protocol::Ip6(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local()),
				Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.contains('.'),
				Protocol::Memory(_) | Protocol::Unix(_) => false,
				_ => true,
			});
			self.require(reachable, format!("boot node {text} cannot be reached from other networks"));
			nodes.push(node);
		}
		nodes
	}

	/// The account of an address of this network.
	fn account(&mut self, role: &str, address: &str) -> Option<AccountId> {
		match AccountId::from_ss58check_with_version(address) {
			Ok((account, prefix)) if u16::from(prefix) == self.network.ss58_prefix => return Some(account),
			Ok((account, _)) => {
				let own = self.network.address(&account);
				self.fault(format!("{role} {address}: another network's address; here it is {own}"));
			},
			Err(error) => self.fault(format!("{role} `{address}` is not an address: {error}")),
		}
		None
	}

	fn unused(&mut self, what: String, key: [u8; 32]) {
		if let Some(known) = self.seen.get(&key) {
			self.faults.push(format!("{what} is {known}, too"));
		} else {
			self.seen.insert(key, what);
		}
	}

	/// The account of an entry: a key that signed its statement, or a multisig account whose signatories all did.
	fn owner(&mut self, role: &str, owner: &Owner, keys: Option<&str>) -> Option<AccountId> {
		let name = format!("{role} {}", owner.address);
		let account = self.account(role, &owner.address)?;
		self.unused(name.clone(), account.clone().into());
		let statement = self.network.statement(&owner.address, keys);
		let fault = |who: &str| format!("{who}: no signature by its key of the text `{statement}`");
		if owner.signatories.is_empty() {
			self.require(is_signed(&statement, &account, &owner.signature), fault(&name));
			return Some(account);
		}
		let mut accounts = BTreeSet::new();
		for Signatory { address, signature } in &owner.signatories {
			let role = format!("{name}, signatory");
			let Some(signatory) = self.account(&role, address) else { continue };
			self.require(is_signed(&statement, &signatory, signature), fault(&format!("{role} {address}")));
			if let Some(known) = well_known().get(&<[u8; 32]>::from(signatory.clone())) {
				self.fault(format!("{role} {address} is {known}"));
			}
			self.require(accounts.insert(signatory), format!("{role} {address} is there twice"));
		}
		// In the order in which the chain wants them.
		let accounts: Vec<_> = accounts.into_iter().collect();
		let sound = owner.threshold > 1 && usize::from(owner.threshold) <= accounts.len();
		self.require(sound, format!("{name}: threshold is not between 2 and the number of signatories"));
		let derived = Multisig::multi_account_id(&accounts, owner.threshold) == account;
		self.require(derived, format!("{name} is not the multisig account of its signatories and threshold"));
		Some(account)
	}
}

/// Whether a signature is by an account over a text, as it is or as browser extensions wrap it.
fn is_signed(text: &str, account: &AccountId, signature: &str) -> bool {
	let bytes = from_hex(signature).unwrap_or_default();
	let signatures = match <[u8; 64]>::try_from(&bytes[..]) {
		Ok(raw) => vec![
			Signature::Sr25519(sr25519::Signature::from_raw(raw)),
			Signature::Ed25519(ed25519::Signature::from_raw(raw)),
		],
		Err(_) => Signature::decode(&mut &bytes[..]).into_iter().collect(),
	};
	let wrapped = format!("<Bytes>{text}</Bytes>");
	signatures
		.iter()
		.any(|signature| signature.verify(text.as_bytes(), account) || signature.verify(wrapped.as_bytes(), account))
}
