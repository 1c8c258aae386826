//! Values in JSON: SCALE as hex, accounts as SS58, vectors as Base64.

use crate::keys;
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use codec::{Decode, Encode};
use gonka_primitives::AccountId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A SCALE-encoded value as a hex string in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale<T>(pub T);

impl<T: Encode> Serialize for Scale<T> {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&to_hex(&self.0))
	}
}

impl<'de, T: Decode> Deserialize<'de> for Scale<T> {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		let text = String::deserialize(deserializer)?;
		from_hex(&text).map(Self).map_err(de::Error::custom)
	}
}

/// A vector in JSON: its 32-bit floats, little-endian, as Base64.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl Vector {
	/// Returns its Base64.
	pub fn to_base64(&self) -> String {
		BASE64.encode(self.0.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
	}
}

impl Serialize for Vector {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&self.to_base64())
	}
}

impl<'de> Deserialize<'de> for Vector {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		let bytes = BASE64.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
		match bytes.as_chunks() {
			(numbers, []) => Ok(Self(numbers.iter().copied().map(f32::from_le_bytes).collect())),
			_ => Err(de::Error::custom("the bytes are no 32-bit floats")),
		}
	}
}

/// An account: written as SS58 with the general prefix, 42, in JSON; read as SS58 with this or the network's prefix, or as the
/// hex of its 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub AccountId);

impl Serialize for Account {
	fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
		serializer.serialize_str(&keys::general_ss58(&self.0))
	}
}

impl<'de> Deserialize<'de> for Account {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		let text = String::deserialize(deserializer)?;
		if let Ok(account) = from_hex(&text) {
			return Ok(Self(account));
		}
		let account = text.parse().and_then(|address: keys::Address| address.account());
		account.map(Self).map_err(de::Error::custom)
	}
}

/// Why a text is not the hex of a SCALE-encoded value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HexError {
	/// The text is not hex.
	#[error("not hex: {0}")]
	Hex(#[from] hex::FromHexError),
	/// The bytes are no encoding of the expected type.
	#[error("not SCALE: {0}")]
	Scale(#[from] codec::Error),
	/// That many bytes follow the value.
	#[error("{0} bytes too many")]
	Trailing(usize),
}

/// Returns the hex of the SCALE encoding of `value`.
pub fn to_hex(value: &impl Encode) -> String {
	hex::encode(value.encode())
}

/// Decodes a value from the hex of its SCALE encoding, with or without `0x`. No bytes may be left over.
pub fn from_hex<T: Decode>(text: &str) -> Result<T, HexError> {
	let bytes = hex::decode(text.trim_start_matches("0x"))?;
	let mut rest = bytes.as_slice();
	let value = T::decode(&mut rest)?;
	if rest.is_empty() { Ok(value) } else { Err(HexError::Trailing(rest.len())) }
}
