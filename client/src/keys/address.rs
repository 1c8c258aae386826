//! SS58 addresses: an account with the prefix of its network.

use super::Error;
use gonka_primitives::{AccountId, NETWORKS};
use std::{str::FromStr, sync::OnceLock};

/// The prefix that all networks read. Local networks have no other.
const GENERAL: u16 = 42;
/// Prefixes are below this number.
const PREFIXES: u16 = 1 << 14;
/// Maximum length of an address, in characters.
const MAX_LENGTH: usize = 50;

/// The prefix of the network that this process serves: that of its first connection.
static PREFIX: OnceLock<u16> = OnceLock::new();

/// Makes a network's prefix that of this process, unless it has one.
pub(crate) fn serve(prefix: u16) {
	if prefix < PREFIXES {
		let _ = PREFIX.set(prefix);
	}
}

/// The prefix of this process: the general one before the first connection.
fn prefix() -> u16 {
	PREFIX.get().copied().unwrap_or(GENERAL)
}

/// The address of an account on the network that this process is connected to; with the general prefix, 42, before the first
/// connection.
pub fn ss58(account: &AccountId) -> String {
	encode(prefix(), account)
}

/// The address of an account with the general prefix, 42, which is the same on all networks.
pub fn general_ss58(account: &AccountId) -> String {
	encode(GENERAL, account)
}

/// An account as people name it: by an address, or by `0x` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
	prefix: u16,
	account: AccountId,
}

impl Address {
	/// The account, or [`Error::OtherNetwork`] if the prefix is neither that of the network that this process is connected to nor
	/// the general one.
	pub fn account(&self) -> Result<AccountId, Error> {
		self.on(prefix())
	}

	fn on(&self, prefix: u16) -> Result<AccountId, Error> {
		if [prefix, GENERAL].contains(&self.prefix) {
			return Ok(self.account);
		}
		let address = encode(self.prefix, &self.account);
		Err(Error::OtherNetwork { address, network: name(self.prefix), connected: name(prefix) })
	}
}

impl FromStr for Address {
	type Err = Error;

	fn from_str(text: &str) -> Result<Self, Error> {
		let bad = |cause: String| Error::BadAddress { text: text.into(), cause };
		let Some(digits) = text.strip_prefix("0x") else {
			let (prefix, account) = decode(text).map_err(|cause| bad(cause.into()))?;
			return Ok(Self { prefix, account });
		};
		let mut account = [0; 32];
		hex::decode_to_slice(digits, &mut account).map_err(|error| bad(error.to_string()))?;
		Ok(Self { prefix: GENERAL, account })
	}
}

/// Names the network of a prefix.
fn name(prefix: u16) -> String {
	match NETWORKS.iter().find(|(_, known)| *known == prefix) {
		_ if prefix == GENERAL => format!("a local network (prefix {prefix})"),
		Some((name, _)) => format!("{name} (prefix {prefix})"),
		None => format!("another blockchain (prefix {prefix})"),
	}
}

fn encode(prefix: u16, account: &AccountId) -> String {
	let [low, high] = prefix.to_le_bytes();
	let mut bytes = if prefix < 64 { vec![low] } else { vec![0x40 | (low >> 2), (low << 6) | high] };
	bytes.extend(account);
	let checksum = blake2b_simd::blake2b(&[b"SS58PRE", bytes.as_slice()].concat());
	bytes.extend(checksum.as_bytes().iter().take(2));
	bs58::encode(bytes).into_string()
}

fn decode(text: &str) -> Result<(u16, AccountId), &'static str> {
	if text.len() > MAX_LENGTH {
		return Err("it is too long");
	}
	let bytes = bs58::decode(text).into_vec().map_err(|_| "it has characters that addresses do not have")?;
	let (prefix, rest) = match bytes.as_slice() {
		[first @ 0..64, rest @ ..] => (u16::from(*first), rest),
		[first @ 64..128, second, rest @ ..] => {
			(u16::from_le_bytes([(first << 2) | (second >> 6), second & 0x3f]), rest)
		},
		_ => return Err("it does not begin with a prefix"),
	};
	let account = *rest.first_chunk().ok_or("it is too short")?;
	// An address has one form: a text in another one, or with another checksum, differs from it.
	if encode(prefix, &account) == text { Ok((prefix, account)) } else { Err("its checksum is wrong") }
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::keys::{from_uri, public};

	/// Alice, on each network.
	const ALICE: [(u16, &str); 4] = [
		(42, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
		(0, "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"),
		(4_457, "gn6TXV6zBxdS7bos9XKfaaZJXxbXFu7JHnSBj9wE9ofMu6dtG"),
		(4_458, "gtUqk2bdzZFQdbZkqVPy6kEKjKeg5Qqbbrde8XgPRSPR77TG6"),
	];

	fn alice() -> AccountId {
		public(&from_uri("//Alice").unwrap())
	}

	#[test]
	fn addresses_are_those_of_other_programs() {
		for (prefix, text) in ALICE {
			assert_eq!(encode(prefix, &alice()), text);
			assert_eq!(text.parse::<Address>().unwrap(), Address { prefix, account: alice() });
		}
		for prefix in 0..PREFIXES {
			let text = encode(prefix, &[0xff; 32]);
			assert!(text.len() <= MAX_LENGTH);
			assert_eq!(decode(&text), Ok((prefix, [0xff; 32])));
		}
	}

	#[test]
	fn a_text_with_a_fault_is_no_address() {
		let (_, general) = ALICE[0];
		// 42 in the form of the prefixes from 64 on.
		let mut long = [vec![0x40 | (42 >> 2), 42 << 6], alice().to_vec()].concat();
		let checksum = blake2b_simd::blake2b(&[b"SS58PRE", long.as_slice()].concat());
		long.extend(&checksum.as_bytes()[..2]);
		let long = bs58::encode(long).into_string();
		let made = [long, general.replace("QY", "QZ"), "1".repeat(50), "5".repeat(10_000)];
		let written = ["", "0x12", "//Alice", "5Grwva…GKutQY", &general[..47]];
		for text in made.iter().map(String::as_str).chain(written) {
			assert!(matches!(text.parse::<Address>(), Err(Error::BadAddress { .. })), "{text}");
		}
	}

	#[test]
	fn an_address_of_another_network_is_rejected_by_name() {
		let [general, polkadot, main, test] = ALICE.map(|(_, text)| text.parse::<Address>().unwrap());
		for prefix in [42, 4_457, 4_458] {
			assert_eq!(general.on(prefix).unwrap(), alice());
		}
		assert_eq!(main.on(4_457).unwrap(), alice());
		assert_eq!(format!("0x{}", hex::encode(alice())).parse::<Address>().unwrap(), general);
		let error = |address: Address, prefix| address.on(prefix).unwrap_err().to_string();
		let text = error(test, 4_457);
		assert!(text.contains("testnet (prefix 4458)") && text.contains("mainnet (prefix 4457)"), "{text}");
		assert!(error(main, 42).contains("a local network (prefix 42)"));
		assert!(error(polkadot, 4_458).contains("another blockchain (prefix 0)"));
	}

	#[test]
	fn a_process_that_is_connected_to_no_network_has_the_general_prefix() {
		assert_eq!(ss58(&alice()), general_ss58(&alice()));
		assert_eq!(general_ss58(&alice()), ALICE[0].1);
	}
}
