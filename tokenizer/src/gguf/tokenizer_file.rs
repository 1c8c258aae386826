//! The part of a model's file from which prompts and texts follow: a GGUF file of its own, without weights.

use std::path::Path;

use super::{Cursor, Gguf, HeaderError, POOLING, WIDTH};
use crate::TokenizerError;

/// Keys whose names begin with one of these are kept, and of a model that makes embeddings those that end with [`POOLING`] or
/// [`WIDTH`].
const KEPT: [&str; 2] = ["general.architecture", "tokenizer."];

/// Returns the tokenizer file of a model: the file's vocabulary, its rules, its chat templates, and its kind of pooling and its
/// width if it makes embeddings, byte by byte and in the file's order. All GGUF files with the same tokenizer give the same bytes, whatever the format of their weights. Their
/// SHA-256 is registered on chain as the model's `tokenizer_hash`.
///
/// # Errors
/// [`TokenizerError::Model`] when the file cannot be read, is malformed, or has no vocabulary.
pub fn tokenizer_file(model: &Path) -> Result<Vec<u8>, TokenizerError> {
	let file = Gguf::open(model)?;
	cut(&file.map).map_err(|error| TokenizerError::Model(format!("{}: {error}", model.display())))
}

/// Returns the number of token ids of a GGUF file, and the id that ends a completion, if it names one.
///
/// # Errors
/// [`TokenizerError::Model`] when the file cannot be read, is malformed, or has no vocabulary.
pub fn vocabulary(path: &Path) -> Result<(usize, Option<u32>), TokenizerError> {
	let file = Gguf::open(path)?;
	let size = file.header().texts("tokenizer.ggml.tokens")?.len();
	let end = file.header().integer("tokenizer.ggml.eos_token_id").ok();
	Ok((size, end.and_then(|id| u32::try_from(id).ok())))
}

/// Cuts it out of a file whose header was checked.
fn cut(bytes: &[u8]) -> Result<Vec<u8>, HeaderError> {
	let mut cursor = Cursor { bytes, at: 4 };
	let version = cursor.u32()?;
	let _tensors = cursor.u64()?;
	let (mut kept, mut widths, mut has_pooling) = (Vec::new(), Vec::new(), false);
	for _ in 0..cursor.u64()? {
		let start = cursor.at;
		let key = cursor.text()?;
		let kind = cursor.u32()?;
		cursor.value(kind)?;
		let is_pooling = key.ends_with(POOLING);
		has_pooling |= is_pooling;
		if KEPT.iter().any(|name| key.starts_with(name)) || is_pooling {
			kept.push(start..cursor.at);
		} else if key.ends_with(WIDTH) {
			widths.push((kept.len(), start..cursor.at));
		}
	}
	if has_pooling {
		widths.into_iter().rev().for_each(|(at, range)| kept.insert(at, range));
	}
	if kept.len() < 2 {
		return Err("it has no vocabulary: metadata tokenizer.… is missing".into());
	}
	let mut file = b"GGUF".to_vec();
	file.extend(version.to_le_bytes());
	file.extend(0u64.to_le_bytes());
	file.extend((kept.len() as u64).to_le_bytes());
	for range in kept {
		file.extend(bytes.get(range).unwrap_or_default());
	}
	Ok(file)
}
