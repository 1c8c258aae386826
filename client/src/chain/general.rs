//! General transactions: extrinsics of version 5 without a signature or an account. The call itself holds what
//! authorises it, and `frame_system::AuthorizeCall` has the pallet check it. Layout:
//!
//! `compact(length) ‖ 0b01_000101 ‖ extension version ‖ extensions ‖ pallet index ‖ call index ‖ arguments`

use codec::{Compact, Encode};
use scale_info::{PortableRegistry, TypeDef};
use subxt::Metadata;

/// Type "general" in the two highest bits, version 5 below.
const GENERAL_V5: u8 = 0b0100_0101;
/// The version of the extension set.
const EXTENSION_VERSION: u8 = 0;

/// Why a call cannot be encoded as a general transaction of this runtime.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
	#[error("the runtime has no transaction extensions of version {EXTENSION_VERSION}")]
	NoExtensions,
	#[error("the runtime has the transaction extension {0}, which this program does not know")]
	UnknownExtension(String),
	#[error("the runtime has no call {0}.{1}")]
	NoSuchCall(String, String),
	#[error("it is longer than 4 GiB")]
	TooLong,
}

/// Encodes the call `pallet.call(arguments)` as a general transaction; `arguments` are SCALE bytes.
pub fn encode(metadata: &Metadata, pallet: &str, call: &str, arguments: &[u8]) -> Result<Vec<u8>, EncodeError> {
	let extensions =
		metadata.extrinsic().transaction_extensions_by_version(EXTENSION_VERSION).ok_or(EncodeError::NoExtensions)?;
	let extensions: Vec<(&str, u32)> = extensions.map(|one| (one.identifier(), one.extra_ty())).collect();
	let indices = call_indices(metadata, pallet, call)?;
	assemble(&extensions, metadata.types(), indices, arguments)
}

/// The two bytes that identify a call.
fn call_indices(metadata: &Metadata, pallet: &str, call: &str) -> Result<[u8; 2], EncodeError> {
	let indices = metadata.pallet_by_name(pallet).and_then(|pallet| {
		let variant = pallet.call_variant_by_name(call)?;
		Some([pallet.call_index(), variant.index])
	});
	indices.ok_or_else(|| EncodeError::NoSuchCall(pallet.into(), call.into()))
}

fn assemble(
	extensions: &[(&str, u32)],
	types: &PortableRegistry,
	indices: [u8; 2],
	arguments: &[u8],
) -> Result<Vec<u8>, EncodeError> {
	let mut body = vec![GENERAL_V5, EXTENSION_VERSION];
	for (name, ty) in extensions {
		if !is_empty(*ty, types) {
			body.extend_from_slice(neutral(name)?);
		}
	}
	body.extend_from_slice(&indices);
	body.extend_from_slice(arguments);
	let length = u32::try_from(body.len()).map_err(|_| EncodeError::TooLong)?;
	let mut out = Compact(length).encode();
	out.append(&mut body);
	Ok(out)
}

/// The bytes of an extension in a transaction without an account: immortal, nonce 0, no tip, no metadata hash.
fn neutral(name: &str) -> Result<&'static [u8], EncodeError> {
	match name {
		"CheckMortality" | "CheckEra" | "CheckNonce" | "ChargeTransactionPayment" | "CheckMetadataHash" => Ok(&[0]),
		"ChargeAssetTxPayment" => Ok(&[0, 0]),
		_ => Err(EncodeError::UnknownExtension(name.into())),
	}
}

/// Whether values of a type take no bytes.
fn is_empty(ty: u32, types: &PortableRegistry) -> bool {
	let Some(ty) = types.resolve(ty) else { return false };
	match &ty.type_def {
		TypeDef::Composite(composite) => composite.fields.iter().all(|field| is_empty(field.ty.id, types)),
		TypeDef::Tuple(tuple) => tuple.fields.iter().all(|field| is_empty(field.id, types)),
		TypeDef::Array(array) => array.len == 0 || is_empty(array.type_param.id, types),
		_ => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use scale_info::{MetaType, Registry, TypeInfo};

	#[derive(TypeInfo)]
	#[allow(dead_code)]
	struct Empty;
	#[derive(TypeInfo)]
	#[allow(dead_code)]
	struct Nested(Empty, ());
	#[derive(TypeInfo)]
	#[allow(dead_code)]
	struct Nonce(#[codec(compact)] u32);
	#[derive(TypeInfo)]
	#[allow(dead_code)]
	enum Era {
		Immortal,
		Mortal(u8),
	}

	#[derive(TypeInfo)]
	#[allow(dead_code)]
	enum Mode {
		Disabled,
		Enabled,
	}

	fn registry() -> (PortableRegistry, [u32; 5]) {
		let mut registry = Registry::new();
		let ids = [
			MetaType::new::<Empty>(),
			MetaType::new::<Nested>(),
			MetaType::new::<Nonce>(),
			MetaType::new::<Era>(),
			MetaType::new::<Mode>(),
		]
		.map(|ty| registry.register_type(&ty).id);
		(registry.into(), ids)
	}

	#[test]
	fn the_runtimes_extension_set_encodes_to_four_zeros() {
		let (types, [empty, nested, nonce, era, mode]) = registry();
		let extensions = [
			("AuthorizeCall", empty),
			("CheckNonZeroSender", empty),
			("CheckSpecVersion", empty),
			("CheckTxVersion", empty),
			("CheckGenesis", nested),
			("CheckMortality", era),
			("CheckNonce", nonce),
			("CheckWeight", empty),
			("ChargeTransactionPayment", nonce),
			("CheckMetadataHash", mode),
			("WeightReclaim", empty),
		];
		let bytes = assemble(&extensions, &types, [9, 1], &[0xaa, 0xbb]).unwrap();
		assert_eq!(bytes, [10 << 2, 0x45, 0, 0, 0, 0, 0, 9, 1, 0xaa, 0xbb]);
	}

	#[test]
	fn a_long_call_has_a_long_length_prefix() {
		let (types, _) = registry();
		let bytes = assemble(&[], &types, [1, 2], &[7; 100]).unwrap();
		assert_eq!(bytes[..6], [0xa1, 0x01, 0x45, 0, 1, 2]);
		assert_eq!(bytes.len(), 2 + 104);
	}

	#[test]
	fn an_unknown_extension_is_an_error_only_if_it_carries_bytes() {
		let (types, [empty, _, nonce, _, _]) = registry();
		assert!(assemble(&[("New", empty)], &types, [0, 0], &[]).is_ok());
		let unknown = assemble(&[("New", nonce)], &types, [0, 0], &[]);
		assert!(matches!(unknown, Err(EncodeError::UnknownExtension(name)) if name == "New"));
	}
}
