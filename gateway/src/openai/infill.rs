//! Text between a prompt and a suffix, from models that were trained for it: they have tokens for it, known by name.

use super::errors::ApiError;
use gonka_tokenizer::Tokenizer;

/// The names of the tokens before the beginning, before the suffix, and before the middle, as families of models have them.
const NAMES: [[&str; 3]; 4] = [
	["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
	["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
	["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"],
	["▁<PRE>", "▁<SUF>", "▁<MID>"],
];

/// Returns the prompts with which a model writes what comes between each of `prompts`, token ids, and `suffix`.
///
/// # Errors
/// 400 `unsupported_parameter` when the model has no tokens for it.
pub fn infill(tokenizer: &Tokenizer, prompts: &[Vec<u32>], suffix: &str) -> Result<Vec<Vec<u32>>, ApiError> {
	let ids = |names: [&str; 3]| {
		let [prefix, suffix, middle] = names.map(|name| tokenizer.special_id(name));
		Some([prefix?, suffix?, middle?])
	};
	let Some([prefix_id, suffix_id, middle_id]) = NAMES.into_iter().find_map(ids) else {
		return Err(ApiError::unsupported_by_model("suffix"));
	};
	let (leading, after) = (tokenizer.encode(""), tokenizer.encode(suffix));
	let after = after.strip_prefix(&leading[..]).unwrap_or(&after);
	let filled = prompts.iter().map(|prompt| {
		let (start, prompt) = match prompt.strip_prefix(&leading[..]) {
			Some(rest) => (&leading[..], rest),
			None => (&[][..], &prompt[..]),
		};
		[start, &[prefix_id], prompt, &[suffix_id], after, &[middle_id]].concat()
	});
	Ok(filled.collect())
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_tokenizer::{mock_tokenizer_with, open_tokenizer};

	fn open(names: &[&str]) -> Tokenizer {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer_with(&[], names)).unwrap();
		open_tokenizer(&path).unwrap()
	}

	#[test]
	fn the_middle_is_asked_for_with_the_models_own_tokens() {
		for names in NAMES {
			let tokenizer = open(&names);
			let [prefix, suffix, middle] = names.map(|name| tokenizer.special_id(name).unwrap());
			let prompt = tokenizer.encode("a(");
			let expected = [&[prefix], &prompt[..], &[suffix, u32::from(b')'), middle]].concat();
			assert_eq!(infill(&tokenizer, &[prompt], ")").unwrap(), [expected]);
		}
		let error = infill(&open(&["<fim_prefix>", "<fim_middle>"]), &[vec![1]], ")").unwrap_err();
		assert_eq!(error.body().error.param.as_deref(), Some("suffix"));
	}
}
