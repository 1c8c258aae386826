//! Ids of responses and of their items. An item's id holds its response's, so that a reference to an item finds the file.

use std::fmt;

/// Prefix of responses' ids.
const PREFIX: &str = "resp_";
/// Number of hexadecimal digits of a response's id.
const DIGITS: usize = 32;
/// The number of the first item of an output. Those of inputs are less.
const FIRST_OUTPUT: usize = 0x8000;

/// The id of a response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
	/// A new id.
	pub fn random() -> Self {
		Self(format!("{:032x}", fastrand::u128(..)))
	}

	/// Reads an id of this gateway; `None` if it is none.
	pub fn parse(id: &str) -> Option<Self> {
		let digits = id.strip_prefix(PREFIX)?;
		let is_id = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
		is_id.then(|| Self(digits.to_owned()))
	}

	/// The response that an item belongs to, by the item's id; `None` if it is not one of this gateway's.
	pub fn of_item(id: &str) -> Option<Self> {
		let (_, digits) = id.split_once('_')?;
		Self::parse(&format!("{PREFIX}{}", digits.get(..DIGITS)?))
	}

	/// The id of an item of the input.
	pub fn input_item(&self, kind: &str, index: usize) -> String {
		let prefix = match kind {
			"function_call" => "fc",
			"function_call_output" => "fco",
			"reasoning" => "rs",
			_ => "msg",
		};
		self.item(prefix, index)
	}

	/// The id of an item of the output.
	pub fn output_item(&self, prefix: &str, index: usize) -> String {
		self.item(prefix, FIRST_OUTPUT.saturating_add(index))
	}

	fn item(&self, prefix: &str, number: usize) -> String {
		format!("{prefix}_{}{number:04x}", self.0)
	}
}

impl fmt::Display for Id {
	fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
		write!(formatter, "{PREFIX}{}", self.0)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_id_of_an_item_leads_to_its_response() {
		let id = Id::random();
		assert_eq!(Id::parse(&id.to_string()), Some(id.clone()));
		let items = [id.input_item("message", 0), id.input_item("function_call", 4095), id.output_item("msg", 0)];
		assert!(items.iter().all(|item| Id::of_item(item) == Some(id.clone())), "{items:?}");
		assert!(items[0] != items[2]);
		for other in ["", "msg_", "msg_12", "resp_../../secret", "msg_ééééééééééééééééé", "x"] {
			assert_eq!((Id::parse(other), Id::of_item(other)), (None, None), "{other}");
		}
	}
}
