//! Identifiers of requests, which tie the log lines of client, gateway and worker together.

use std::fmt;

/// HTTP header that carries a request id, in requests and in responses.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Maximum length of a request id that is taken from a header, in bytes.
const MAX_LENGTH: usize = 128;

/// The id of a request: the caller's own, or 128 random bits in hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
	/// Takes the id from a header's value, or makes one if the value is absent, empty, longer than 128 bytes, or has
	/// anything but visible ASCII.
	pub fn from_header(value: Option<&[u8]>) -> Self {
		let is_sane = |value: &&[u8]| (1..=MAX_LENGTH).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
		let text = value.filter(is_sane).and_then(|value| std::str::from_utf8(value).ok());
		text.map_or_else(Self::random, |text| Self(text.to_owned()))
	}

	/// Makes a new id. It is unique but not secret.
	pub fn random() -> Self {
		Self(format!("{:032x}", fastrand::u128(..)))
	}

	/// The id as text: visible ASCII, hence a valid header value.
	pub fn as_str(&self) -> &str {
		&self.0
	}
}

impl fmt::Display for RequestId {
	fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
		formatter.write_str(&self.0)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_sane_id_is_taken_over() {
		assert_eq!(RequestId::from_header(Some(b"trace-7/a")).as_str(), "trace-7/a");
		assert_eq!(RequestId::from_header(Some(&[b'x'; 128])).as_str().len(), 128);
	}

	#[test]
	fn an_absent_or_unusable_id_is_replaced_by_128_random_bits() {
		let unusable: [Option<&[u8]>; 6] =
			[None, Some(b""), Some(&[b'x'; 129]), Some(b"a b"), Some(b"a\nb"), Some("é".as_bytes())];
		for value in unusable {
			let id = RequestId::from_header(value);
			assert_eq!(id.as_str().len(), 32);
			assert!(id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
		}
		assert_ne!(RequestId::random(), RequestId::random());
	}
}
