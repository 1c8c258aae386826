//! The interface of a runtime as a sorted list, so that `diff` compares those of two runtimes.

use super::{NetworkError, malformed};
use codec::Decode;
use frame_metadata::{
	RuntimeMetadata, RuntimeMetadataPrefixed,
	v15::{RuntimeMetadataV15, StorageEntryType},
};
use polkadot_sdk::sp_core::bytes::to_hex;
use scale_info::{Field, PortableRegistry, TypeDef, form::PortableForm};
use std::collections::BTreeSet;

/// Pallets, storage, constants, runtime APIs, extensions, and types, of which calls, events and errors are variants. A type has
/// lines of its own, and is named elsewhere, so that a change of it is one difference.
///
/// # Errors
/// If this is not metadata of version 15.
pub fn interface(metadata: &[u8]) -> Result<BTreeSet<String>, NetworkError> {
	let metadata = RuntimeMetadataPrefixed::decode(&mut &metadata[..]).map_err(malformed)?.1;
	let RuntimeMetadata::V15(RuntimeMetadataV15 { types, pallets, extrinsic, apis, .. }) = metadata else {
		return Err(NetworkError::Runtime("its metadata has another version".to_owned()));
	};
	let mut items = BTreeSet::new();
	for pallet in &pallets {
		let own = &pallet.name;
		items.insert(format!("pallet {own} = {}", pallet.index));
		for constant in &pallet.constants {
			let value = to_hex(&constant.value, false);
			items.insert(format!("constant {own}.{}: {} = {value}", constant.name, name(&types, constant.ty.id)));
		}
		for entry in pallet.storage.iter().flat_map(|storage| &storage.entries) {
			let value = match &entry.ty {
				StorageEntryType::Plain(value) => name(&types, value.id),
				StorageEntryType::Map { hashers, key, value } => {
					format!("{hashers:?} {} => {}", name(&types, key.id), name(&types, value.id))
				},
			};
			items.insert(format!("storage {own}.{}: {:?} {value}", entry.name, entry.modifier));
		}
	}
	for api in &apis {
		for method in &api.methods {
			let inputs = method.inputs.iter().map(|input| format!("{}: {}", input.name, name(&types, input.ty.id)));
			let inputs = inputs.collect::<Vec<_>>().join(", ");
			let output = name(&types, method.output.id);
			items.insert(format!("api {}.{}({inputs}) -> {output}", api.name, method.name));
		}
	}
	for (place, extension) in extrinsic.signed_extensions.iter().enumerate() {
		let (sent, signed) = (name(&types, extension.ty.id), name(&types, extension.additional_signed.id));
		items.insert(format!("extension {place} {}: {sent}, and {signed} to sign", extension.identifier));
	}
	for known in types.types.iter().filter(|known| !known.ty.path.segments.is_empty()) {
		let own = name(&types, known.id);
		match &known.ty.type_def {
			TypeDef::Composite(composite) => {
				items.insert(format!("type {own} {{ {} }}", fields(&types, &composite.fields)));
			},
			TypeDef::Variant(all) => items.extend(all.variants.iter().map(|variant| {
				format!("type {own}::{} = {} {{ {} }}", variant.name, variant.index, fields(&types, &variant.fields))
			})),
			// Types of the language, which have no paths.
			_ => {},
		}
	}
	Ok(items)
}

/// A type: its path with parameters, or what it is made of.
fn name(types: &PortableRegistry, id: u32) -> String {
	let Some(known) = types.resolve(id) else { return format!("unknown type {id}") };
	let name = |id: u32| name(types, id);
	if !known.path.segments.is_empty() {
		let path = known.path.segments.join("::");
		let parameters: Vec<_> =
			known.type_params.iter().filter_map(|parameter| Some(name(parameter.ty.as_ref()?.id))).collect();
		return if parameters.is_empty() { path } else { format!("{path}<{}>", parameters.join(", ")) };
	}
	match &known.type_def {
		TypeDef::Sequence(list) => format!("[{}]", name(list.type_param.id)),
		TypeDef::Array(list) => format!("[{}; {}]", name(list.type_param.id), list.len),
		TypeDef::Tuple(tuple) => {
			format!("({})", tuple.fields.iter().map(|part| name(part.id)).collect::<Vec<_>>().join(", "))
		},
		TypeDef::Primitive(primitive) => format!("{primitive:?}").to_lowercase(),
		TypeDef::Compact(compact) => format!("Compact<{}>", name(compact.type_param.id)),
		TypeDef::BitSequence(_) => "BitSequence".to_owned(),
		TypeDef::Composite(_) | TypeDef::Variant(_) => "a type without a path".to_owned(),
	}
}

fn fields(types: &PortableRegistry, fields: &[Field<PortableForm>]) -> String {
	let field = |field: &Field<PortableForm>| {
		let own = field.name.as_ref().map(|own| format!("{own}: ")).unwrap_or_default();
		format!("{own}{}", name(types, field.ty.id))
	};
	fields.iter().map(field).collect::<Vec<_>>().join(", ")
}
