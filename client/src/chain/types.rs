//! The runtime's types: calls and parameters, from bytes to text and back.

use super::{Chain, Error, Result, submit::in_words};
use codec::Decode;
use gonka_primitives::{AccountId, Balance};
use scale_info::{PortableRegistry, TypeDef, TypeDefPrimitive, form::PortableForm};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::fmt::Write;
use subxt::{
	ArcMetadata,
	error::DispatchError,
	ext::{
		frame_decode::extrinsics::encode_call_data,
		scale_value::{Composite, Primitive, Value, ValueDef, scale},
	},
};

/// Largest whole number that all readers of JSON read exactly. Larger ones are text.
const MAX_EXACT: u64 = 1 << 53;

/// A decoded value of a call: [`Shown::text`] for people, JSON for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
	/// A name, an address, bytes in hex.
	Text(String),
	/// Text from a transaction.
	Quoted(String),
	/// A number of at most 64 bits.
	Number(u128),
	/// A share, in parts per billion.
	Share(u32),
	/// A 128-bit number, most likely base units.
	Amount(Balance),
	/// A list of values.
	List(Vec<Shown>),
	/// Fields, named or in order, of a variant if the name is not empty.
	Fields(String, Vec<(String, Shown)>),
	/// A call, `Pallet.call`, with its arguments.
	Call(String, Vec<(String, Shown)>),
}

impl Shown {
	/// Writes lines of text; calls within calls are indented.
	pub fn text(&self) -> String {
		let mut out = String::new();
		self.write(&mut out, 0);
		out
	}

	fn write(&self, out: &mut String, depth: usize) {
		let line = |out: &mut String, depth| {
			out.push('\n');
			out.push_str(&"  ".repeat(depth));
		};
		match self {
			Self::Text(text) => out.push_str(text),
			Self::Quoted(text) => out.push_str(&format!("{text:?}")),
			Self::Number(number) => out.push_str(&number.to_string()),
			Self::Share(parts) => out.push_str(&percent(*parts)),
			Self::Amount(units) => out.push_str(&units.to_string()),
			Self::List(values) if values.iter().any(|value| matches!(value, Self::Call(..))) => {
				for value in values {
					line(out, depth.saturating_add(1));
					value.write(out, depth.saturating_add(1));
				}
			},
			Self::List(values) => {
				out.push('[');
				for (number, value) in values.iter().enumerate() {
					out.push_str(if number == 0 { "" } else { ", " });
					value.write(out, depth);
				}
				out.push(']');
			},
			Self::Fields(name, fields) if fields.is_empty() && !name.is_empty() => out.push_str(name),
			Self::Fields(name, fields) | Self::Call(name, fields) => {
				let _ = write!(out, "{name}(");
				for (number, (name, value)) in fields.iter().enumerate() {
					out.push_str(if number == 0 { "" } else { ", " });
					if !name.is_empty() {
						let _ = write!(out, "{name}: ");
					}
					if matches!(value, Self::Call(..)) {
						line(out, depth.saturating_add(1));
					}
					value.write(out, depth.saturating_add(1));
				}
				out.push(')');
			},
		}
	}
}

impl Serialize for Shown {
	fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
		struct Map<'a>(&'a [(String, Shown)]);
		impl Serialize for Map<'_> {
			fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
				if self.0.iter().all(|(name, _)| name.is_empty()) {
					return serializer.collect_seq(self.0.iter().map(|(_, value)| value));
				}
				serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
			}
		}
		match self {
			Self::Text(text) | Self::Quoted(text) => serializer.serialize_str(text),
			Self::Share(parts) => serializer.serialize_str(&percent(*parts)),
			Self::Number(number) => match u64::try_from(*number) {
				Ok(number) if number <= MAX_EXACT => serializer.serialize_u64(number),
				_ => serializer.collect_str(number),
			},
			Self::Amount(units) => serializer.collect_str(units),
			Self::List(values) => serializer.collect_seq(values),
			Self::Fields(name, fields) if name.is_empty() => Map(fields).serialize(serializer),
			Self::Fields(name, fields) if fields.is_empty() => serializer.serialize_str(name),
			Self::Fields(name, fields) => {
				let mut map = serializer.serialize_map(Some(1))?;
				map.serialize_entry(name, &Map(fields))?;
				map.end()
			},
			Self::Call(name, arguments) => {
				let mut map = serializer.serialize_map(Some(2))?;
				map.serialize_entry("call", name)?;
				map.serialize_entry("arguments", &Map(arguments))?;
				map.end()
			},
		}
	}
}

/// Writes parts per billion in per cent, without trailing zeros.
pub fn percent(parts: u32) -> String {
	let decimals = format!("{:07}", parts % 10_000_000);
	let decimals = decimals.trim_end_matches('0');
	let point = if decimals.is_empty() { "" } else { "." };
	format!("{}{point}{decimals} %", parts / 10_000_000)
}

/// Why bytes cannot be decoded with the runtime's types.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
	/// The bytes do not fit the type.
	#[error(transparent)]
	Scale(#[from] scale::DecodeError),
	/// Bytes follow the value.
	#[error("there are bytes after its end")]
	TrailingBytes,
	/// The runtime lacks the call whose argument gives the type.
	#[error("the runtime has no `{0}`")]
	NoSuchCall(&'static str),
	/// The value is not a parameter.
	#[error("it is not a parameter")]
	NotAParameter,
}

/// The kind of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
	/// A share, in parts per billion.
	Share,
	/// An amount, in base units.
	Amount,
	/// Anything else.
	Other,
}

/// The runtime's types as of a block.
#[derive(Clone)]
pub struct Types(ArcMetadata);

impl Chain {
	/// The runtime's types.
	pub async fn types(&self) -> Result<Types> {
		let best = self.best().await?;
		Ok(Types(self.patient(self.at(&best)).await?.metadata()))
	}
}

impl Types {
	/// Decodes a call.
	pub fn call(&self, bytes: &[u8]) -> Result<Shown, DecodeError> {
		decode(bytes, self.call_type(), self.call_type(), self.0.types())
	}

	/// Encodes a call.
	pub fn encode(&self, pallet: &str, call: &str, arguments: Composite<()>) -> Result<Vec<u8>> {
		encode_call_data(pallet, call, &arguments, &*self.0, self.0.types())
			.map_err(|error| Error::Encode { what: format!("{pallet}.{call}"), cause: error.to_string() })
	}

	/// Decodes the argument of `amendments.amend`: a parameter's name, and its value unless that is the default.
	pub fn parameter(&self, bytes: &[u8]) -> Result<(String, Option<Shown>), DecodeError> {
		let ty = self.amended().ok_or(DecodeError::NoSuchCall("Amendments.amend"))?;
		parameter(&decode(bytes, ty, self.call_type(), self.0.types())?).ok_or(DecodeError::NotAParameter)
	}

	/// The kind of value of `Group.Name`; `None` if there is no such parameter.
	pub fn kind(&self, name: &str) -> Option<Kind> {
		let (group, name) = name.split_once('.')?;
		kind(self.amended()?, group, name, self.0.types())
	}

	/// Encodes the call that sets the parameter `Group.Name`, or resets it to the default.
	pub fn amend(&self, name: &str, value: Option<Value>) -> Result<Vec<u8>> {
		let (group, name) = name.split_once('.').unwrap_or((name, ""));
		let value = match value {
			Some(value) => Value::unnamed_variant("Some", [value]),
			None => Value::unnamed_variant("None", []),
		};
		let one = Value::unnamed_variant(name, [Value::unnamed_composite([]), value]);
		self.encode("Amendments", "amend", Composite::unnamed([Value::unnamed_variant(group, [one])]))
	}

	/// Decodes a `DispatchError` to text.
	pub fn error(&self, bytes: &[u8]) -> String {
		DispatchError::decode_from(bytes, self.0.clone())
			.map_or_else(|error| error.to_string(), |error| in_words(&error))
	}

	/// The expected block time, in milliseconds.
	pub fn block_time(&self) -> u64 {
		// The parachain has a block in each of Aura's slots.
		let names = [("Babe", "ExpectedBlockTime"), ("Aura", "SlotDuration")];
		let time = names.into_iter().find_map(|(pallet, name)| self.0.pallet_by_name(pallet)?.constant_by_name(name));
		time.and_then(|time| u64::decode(&mut time.value()).ok()).unwrap_or_default()
	}

	/// The minimum balance of an account, in base units.
	pub fn existential_deposit(&self) -> Balance {
		let pallet = self.0.pallet_by_name("Balances");
		let minimum = pallet.and_then(|balances| balances.constant_by_name("ExistentialDeposit"));
		minimum.and_then(|minimum| Balance::decode(&mut minimum.value()).ok()).unwrap_or_default()
	}

	/// Decodes a track's origin for use as an argument.
	pub(super) fn origin(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
		let ty = self.argument("Referenda", "submit", 0).ok_or(DecodeError::NoSuchCall("Referenda.submit"))?;
		decode_value(bytes, ty, self.0.types())
	}

	/// Decodes session keys for use as an argument.
	pub(super) fn session_keys(&self, bytes: &[u8]) -> Result<Value, DecodeError> {
		decode_value(bytes, self.session_keys_type()?, self.0.types())
	}

	/// Decodes session keys: the name of each, such as `babe`, and the public key in hex.
	pub fn named_session_keys(&self, bytes: &[u8]) -> Result<Vec<(String, String)>, DecodeError> {
		match decode(bytes, self.session_keys_type()?, self.call_type(), self.0.types())? {
			Shown::Fields(_, keys) => Ok(keys.into_iter().map(|(name, key)| (name, key.text())).collect()),
			other => Ok(vec![(String::new(), other.text())]),
		}
	}

	fn session_keys_type(&self) -> Result<u32, DecodeError> {
		self.argument("Session", "set_keys", 0).ok_or(DecodeError::NoSuchCall("Session.set_keys"))
	}

	fn call_type(&self) -> u32 {
		self.0.outer_enums().call_enum_ty()
	}

	fn amended(&self) -> Option<u32> {
		self.argument("Amendments", "amend", 0)
	}

	fn argument(&self, pallet: &str, call: &str, position: usize) -> Option<u32> {
		let call = self.0.pallet_by_name(pallet)?.call_variant_by_name(call)?;
		call.fields.get(position).map(|field| field.ty.id)
	}
}

/// Decodes a value; `calls` is the type of calls.
fn decode(bytes: &[u8], ty: u32, calls: u32, types: &PortableRegistry) -> Result<Shown, DecodeError> {
	let mut rest = bytes;
	let value = scale::decode_as_type(&mut rest, ty, types)?;
	if rest.is_empty() { Ok(show(value, calls, types)) } else { Err(DecodeError::TrailingBytes) }
}

/// Decodes a value for use as an argument.
fn decode_value(bytes: &[u8], ty: u32, types: &PortableRegistry) -> Result<Value, DecodeError> {
	let mut rest = bytes;
	let value = scale::decode_as_type(&mut rest, ty, types)?;
	if rest.is_empty() { Ok(value.remove_context()) } else { Err(DecodeError::TrailingBytes) }
}

fn show(value: Value<u32>, calls: u32, types: &PortableRegistry) -> Shown {
	let ty = value.context;
	match value.value {
		ValueDef::Variant(variant) if ty == calls => {
			let pallet = variant.name;
			match variant.values.into_values().next().map(|call| call.value) {
				Some(ValueDef::Variant(call)) => {
					Shown::Call(format!("{pallet}.{}", call.name), fields(call.values, calls, types))
				},
				_ => Shown::Text(pallet),
			}
		},
		ValueDef::Variant(variant) => {
			let mut inner = fields(variant.values, calls, types);
			// Unnamed units say no more than their type does.
			inner.retain(|(name, value)| !(name.is_empty() && is_unit(value)));
			match (variant.name.as_str(), inner.len()) {
				("Some" | "Id" | "Inline", 1) => inner.remove(0).1,
				("None", 0) => Shown::Text("none".into()),
				_ => Shown::Fields(variant.name, inner),
			}
		},
		ValueDef::Composite(composite) => self::composite(composite, ty, calls, types),
		ValueDef::BitSequence(bits) => Shown::Text(bits.iter().map(|bit| if bit { '1' } else { '0' }).collect()),
		ValueDef::Primitive(primitive) => match primitive {
			Primitive::U128(number) if is_wide(ty, types) => Shown::Amount(number),
			Primitive::U128(number) => Shown::Number(number),
			Primitive::I128(number) => Shown::Text(number.to_string()),
			Primitive::Bool(value) => Shown::Text(value.to_string()),
			Primitive::Char(value) => Shown::Quoted(value.into()),
			Primitive::String(text) => Shown::Quoted(text),
			Primitive::U256(bytes) | Primitive::I256(bytes) => Shown::Text(hex_of(&bytes)),
		},
	}
}

fn composite(composite: Composite<u32>, ty: u32, calls: u32, types: &PortableRegistry) -> Shown {
	let named = types.resolve(ty).and_then(|ty| ty.path.segments.last().cloned()).unwrap_or_default();
	if let Some(bytes) = bytes_of(&composite, types) {
		return match <AccountId>::try_from(bytes.as_slice()) {
			Ok(account) if named == "AccountId32" => Shown::Text(crate::keys::ss58(&account)),
			_ if is_text(&bytes) && !is_array(ty, types) => Shown::Quoted(String::from_utf8_lossy(&bytes).into_owned()),
			_ => Shown::Text(hex_of(&bytes)),
		};
	}
	let listed = types.resolve(ty).is_some_and(|ty| matches!(ty.type_def, TypeDef::Sequence(_) | TypeDef::Array(_)));
	let mut fields = fields(composite, calls, types);
	match fields.as_mut_slice() {
		_ if listed => Shown::List(fields.into_iter().map(|(_, value)| value).collect()),
		[(_, Shown::Number(parts))] if named == "Perbill" => {
			u32::try_from(*parts).map_or(Shown::Number(*parts), Shown::Share)
		},
		[(name, _)] if name.is_empty() => fields.remove(0).1,
		_ => Shown::Fields(String::new(), fields),
	}
}

fn fields(composite: Composite<u32>, calls: u32, types: &PortableRegistry) -> Vec<(String, Shown)> {
	let show = |value| show(value, calls, types);
	match composite {
		Composite::Named(fields) => fields.into_iter().map(|(name, value)| (name, show(value))).collect(),
		Composite::Unnamed(values) => values.into_iter().map(|value| (String::new(), show(value))).collect(),
	}
}

/// The bytes of a list of bytes, also through composites with one field.
fn bytes_of(composite: &Composite<u32>, types: &PortableRegistry) -> Option<Vec<u8>> {
	let Composite::Unnamed(values) = composite else { return None };
	if let [one] = values.as_slice()
		&& let ValueDef::Composite(inner) = &one.value
	{
		return bytes_of(inner, types);
	}
	let byte = |value: &Value<u32>| match value.value {
		ValueDef::Primitive(Primitive::U128(number)) if is_byte(value.context, types) => u8::try_from(number).ok(),
		_ => None,
	};
	// The element type of an empty list is unknown.
	if values.is_empty() { None } else { values.iter().map(byte).collect() }
}

fn is_byte(ty: u32, types: &PortableRegistry) -> bool {
	types.resolve(ty).is_some_and(|ty| ty.type_def == TypeDef::Primitive(TypeDefPrimitive::U8))
}

/// Whether a type, compact or not, is a 128-bit number.
fn is_wide(ty: u32, types: &PortableRegistry) -> bool {
	match types.resolve(ty).map(|ty| &ty.type_def) {
		Some(TypeDef::Primitive(primitive)) => *primitive == TypeDefPrimitive::U128,
		Some(TypeDef::Compact(inner)) => is_wide(inner.type_param.id, types),
		_ => false,
	}
}

fn is_array(ty: u32, types: &PortableRegistry) -> bool {
	match types.resolve(ty).map(|ty| &ty.type_def) {
		Some(TypeDef::Array(_)) => true,
		Some(TypeDef::Composite(composite)) => match composite.fields.as_slice() {
			[field] => is_array(field.ty.id, types),
			_ => false,
		},
		_ => false,
	}
}

fn is_text(bytes: &[u8]) -> bool {
	bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

fn is_unit(value: &Shown) -> bool {
	matches!(value, Shown::Fields(name, fields) if name.is_empty() && fields.is_empty())
}

fn hex_of(bytes: &[u8]) -> String {
	format!("0x{}", hex::encode(bytes))
}

/// Reads `Group(Name(value))`; the default has no value.
fn parameter(shown: &Shown) -> Option<(String, Option<Shown>)> {
	let Shown::Fields(group, inner) = shown else { return None };
	let [(_, Shown::Fields(name, values))] = inner.as_slice() else { return None };
	let value = values.first().map(|(_, value)| value.clone());
	Some((format!("{group}.{name}"), value.filter(|value| *value != Shown::Text("none".into()))))
}

fn kind(parameters: u32, group: &str, name: &str, types: &PortableRegistry) -> Option<Kind> {
	let variant = |ty: u32, name: &str| match &types.resolve(ty)?.type_def {
		TypeDef::Variant(variants) => variants.variants.iter().find(|variant| variant.name == name),
		_ => None,
	};
	let field =
		|variant: &scale_info::Variant<PortableForm>, at: usize| variant.fields.get(at).map(|field| field.ty.id);
	let group = field(variant(parameters, group)?, 0)?;
	let optional = field(variant(group, name)?, 1)?;
	let value = field(variant(optional, "Some")?, 0)?;
	let ty = types.resolve(value)?;
	Some(match () {
		() if ty.path.segments.last().is_some_and(|last| last == "Perbill") => Kind::Share,
		() if is_wide(value, types) => Kind::Amount,
		() => Kind::Other,
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use codec::Encode;
	use scale_info::{MetaType, Registry, TypeInfo};

	// Types as in a runtime.
	#[derive(Encode, TypeInfo)]
	struct AccountId32([u8; 32]);
	#[derive(Encode, TypeInfo)]
	struct Perbill(u32);
	#[derive(Encode, TypeInfo)]
	enum MultiAddress {
		Id(AccountId32),
	}
	#[derive(Encode, TypeInfo)]
	struct BaseShare;
	#[derive(Encode, TypeInfo)]
	enum Collateral {
		BaseShare(BaseShare, Option<Perbill>),
		PerWeight(BaseShare, Option<u128>),
		#[allow(dead_code)]
		GracePeriod(BaseShare, Option<u32>),
	}
	#[derive(Encode, TypeInfo)]
	enum Parameters {
		Collateral(Collateral),
	}
	#[derive(Encode, TypeInfo)]
	#[allow(non_camel_case_types)]
	enum Utility {
		batch { calls: Vec<Call> },
	}
	#[derive(Encode, TypeInfo)]
	#[allow(non_camel_case_types)]
	enum Balances {
		transfer {
			dest: MultiAddress,
			#[codec(compact)]
			value: u128,
		},
		remark {
			remark: Vec<u8>,
			hash: [u8; 4],
			count: u32,
		},
	}
	#[derive(Encode, TypeInfo)]
	enum Call {
		Utility(Utility),
		Balances(Balances),
	}

	fn read<T: Encode + TypeInfo + 'static>(value: &T) -> Result<Shown, DecodeError> {
		let mut registry = Registry::new();
		let ty = registry.register_type(&MetaType::new::<T>()).id;
		let calls = registry.register_type(&MetaType::new::<Call>()).id;
		decode(&value.encode(), ty, calls, &registry.into())
	}

	fn transfer(value: u128) -> Call {
		Call::Balances(Balances::transfer { dest: MultiAddress::Id(AccountId32([1; 32])), value })
	}

	#[test]
	fn a_call_is_shown_with_addresses_and_amounts() {
		let shown = read(&transfer(5)).unwrap();
		let text = "Balances.transfer(dest: 5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT, value: 5)";
		assert_eq!(shown.text(), text);
		let json = serde_json::to_value(&shown).unwrap();
		assert_eq!(json["call"], "Balances.transfer");
		assert_eq!(json["arguments"]["value"], "5");
		assert_eq!(serde_json::to_value(Shown::Number(1 << 53)).unwrap(), 1_u64 << 53);
		assert_eq!(serde_json::to_value(Shown::Number((1 << 53) + 1)).unwrap(), "9007199254740993");
		let remark = Balances::remark { remark: b"hi there".to_vec(), hash: [1, 2, 3, 4], count: 7 };
		let text = "Balances.remark(remark: \"hi there\", hash: 0x01020304, count: 7)";
		let shown = read(&Call::Balances(remark)).unwrap();
		assert_eq!(shown.text(), text);
		let json = serde_json::to_value(&shown).unwrap();
		assert_eq!((&json["arguments"]["remark"], &json["arguments"]["count"]), (&"hi there".into(), &7.into()));
	}

	#[test]
	fn calls_within_calls_are_indented() {
		let inner = Call::Utility(Utility::batch { calls: vec![transfer(2)] });
		let shown = read(&Call::Utility(Utility::batch { calls: vec![transfer(1), inner] })).unwrap();
		let text = shown.text();
		let lines: Vec<_> = text.lines().map(|line| line.split("dest").next().unwrap()).collect();
		assert_eq!(
			lines,
			[
				"Utility.batch(calls: ",
				"    Balances.transfer(",
				"    Utility.batch(calls: ",
				"        Balances.transfer("
			],
			"{text}"
		);
	}

	#[test]
	fn a_parameter_is_shown_with_its_name_and_value() {
		let share = |share| Parameters::Collateral(Collateral::BaseShare(BaseShare, share));
		let named = |value: &Parameters| parameter(&read(value).unwrap()).unwrap();
		let name = "Collateral.BaseShare".to_owned();
		assert_eq!(named(&share(Some(Perbill(125_000_000)))), (name.clone(), Some(Shown::Share(125_000_000))));
		assert_eq!(named(&share(None)), (name, None));
		let amount = named(&Parameters::Collateral(Collateral::PerWeight(BaseShare, Some(9))));
		assert_eq!(amount, ("Collateral.PerWeight".into(), Some(Shown::Amount(9))));
		let mut registry = Registry::new();
		let ty = registry.register_type(&MetaType::new::<Parameters>()).id;
		let types = registry.into();
		let kind = |name| kind(ty, "Collateral", name, &types);
		assert_eq!(kind("BaseShare"), Some(Kind::Share));
		assert_eq!(kind("PerWeight"), Some(Kind::Amount));
		assert_eq!(kind("GracePeriod"), Some(Kind::Other));
		assert_eq!(kind("Nothing"), None);
	}

	#[test]
	fn bytes_that_are_cut_or_too_long_are_rejected() {
		let mut registry = Registry::new();
		let calls = registry.register_type(&MetaType::new::<Call>()).id;
		let types: PortableRegistry = registry.into();
		let bytes = transfer(5).encode();
		assert!(decode(&bytes, calls, calls, &types).is_ok());
		assert!(decode(&bytes[..bytes.len() - 1], calls, calls, &types).is_err());
		assert!(decode(&[&bytes[..], &[0]].concat(), calls, calls, &types).is_err());
		assert!(decode(&[9, 9], calls, calls, &types).is_err());
	}

	#[test]
	fn session_keys_survive_the_way_from_bytes_to_an_argument() {
		#[derive(Encode, TypeInfo)]
		struct Public([u8; 32]);
		#[derive(Encode, TypeInfo)]
		struct SessionKeys {
			babe: Public,
			grandpa: Public,
		}
		let keys = SessionKeys { babe: Public([0x61; 32]), grandpa: Public([2; 32]) };
		let mut registry = Registry::new();
		let ty = registry.register_type(&MetaType::new::<SessionKeys>()).id;
		let types: PortableRegistry = registry.into();
		let value = decode_value(&keys.encode(), ty, &types).unwrap();
		let mut bytes = Vec::new();
		scale::encode_as_type(&value, ty, &types, &mut bytes).unwrap();
		assert_eq!(bytes, keys.encode());
		// Keys of printable bytes are hex, too.
		let shown = read(&keys).unwrap().text();
		assert_eq!(shown, format!("(babe: 0x{}, grandpa: 0x{})", "61".repeat(32), "02".repeat(32)));
		assert!(decode_value(&keys.encode()[1..], ty, &types).is_err());
		assert!(decode_value(&[&keys.encode()[..], &[0]].concat(), ty, &types).is_err());
	}

	#[test]
	fn a_share_has_no_trailing_zeros() {
		assert_eq!(percent(0), "0 %");
		assert_eq!(percent(125_000_000), "12.5 %");
		assert_eq!(percent(1_000_000_000), "100 %");
		assert_eq!(percent(1), "0.0000001 %");
	}
}
