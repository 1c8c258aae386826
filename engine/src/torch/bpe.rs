//! Byte-level BPE from the vocabulary and the merges in a GGUF file.

use tokenizers::{
	models::bpe::{BPE, Vocab},
	pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use crate::EngineError;
use gonka_tokenizer::{
	gguf::{Header, Value},
	tokenizer::{Embedding, Encoder, Tokenizer, Vocabulary},
};

/// GGUF's token type of special tokens.
const CONTROL: i128 = 3;

/// Builds the tokenizer that the file describes.
///
/// # Errors
/// [`EngineError::Model`] when the file lacks something or has another kind of tokenizer; [`EngineError::Template`]
/// when its chat template is malformed.
pub fn tokenizer(header: &Header) -> Result<Tokenizer, EngineError> {
	let kind = header.text("tokenizer.ggml.model")?;
	if kind != "gpt2" {
		return Err(EngineError::Model(format!("tokenizer {kind} is not supported")));
	}
	let tokens = header.texts("tokenizer.ggml.tokens")?;
	let Some(Value::Integers(types)) = header.metadata.get("tokenizer.ggml.token_type") else {
		return Err(EngineError::Model("tokenizer.ggml.token_type is missing or not a list of integers".into()));
	};
	if types.len() != tokens.len() || u32::try_from(tokens.len()).is_err() {
		return Err(EngineError::Model(
			"the numbers of tokens and of token types differ, or there are too many".into(),
		));
	}
	let named = |key: &str| -> Option<u32> {
		let id = header.integer(key).ok().filter(|&id| id < tokens.len())?;
		u32::try_from(id).ok()
	};
	let (bos, eos) = (named("tokenizer.ggml.bos_token_id"), named("tokenizer.ggml.eos_token_id"));
	let adds = |key: &str| header.metadata.get(key) == Some(&Value::Bool(true));
	let trailing = eos.filter(|_| adds("tokenizer.ggml.add_eos_token")).into_iter().collect();
	let bytes_of = byte_decoder();
	let ids = || (0u32..).zip(tokens.iter().zip(types));
	let embedding = match header.pooling()? {
		Some(pooling) => Some(Embedding { pooling, width: header.width()?, trailing }),
		None => None,
	};
	Ok(Tokenizer::new(
		Vocabulary {
			bytes: ids()
				.map(|(_, (text, kind))| if *kind == CONTROL { Box::default() } else { bytes_of(text) })
				.collect(),
			special: ids()
				.filter(|(_, (_, kind))| **kind == CONTROL)
				.map(|(id, (text, _))| (text.clone(), id))
				.collect(),
			bos,
			adds_bos: adds("tokenizer.ggml.add_bos_token"),
			eos: eos.into_iter().collect(),
			template: header.text("tokenizer.chat_template").ok().map(str::to_owned),
			embedding,
		},
		Box::new(Bpe(bpe(header, tokens)?)),
	)?)
}

/// A byte-level BPE.
pub struct Bpe(pub tokenizers::Tokenizer);

impl Encoder for Bpe {
	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		match self.0.encode_fast(text, false) {
			Ok(encoding) => ids.extend(encoding.get_ids()),
			// BPE without a token for unknown bytes cannot fail.
			Err(error) => tracing::error!(%error, "the tokenizer failed; a text is left out of the prompt"),
		}
	}
}

/// Builds a tokenizer that splits texts as the model's training did, then merges bytes to tokens.
fn bpe(header: &Header, tokens: &[String]) -> Result<tokenizers::Tokenizer, EngineError> {
	let malformed = |error: &dyn std::fmt::Display| EngineError::Model(format!("tokenizer: {error}"));
	let merges = header
		.texts("tokenizer.ggml.merges")?
		.iter()
		.map(|merge| {
			let (left, right) = merge.split_once(' ').ok_or_else(|| malformed(&"a merge has no space"))?;
			Ok((left.to_owned(), right.to_owned()))
		})
		.collect::<Result<Vec<_>, EngineError>>()?;
	let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
	let model = BPE::builder().vocab_and_merges(vocabulary, merges).build().map_err(|error| malformed(&error))?;

	let byte_level = ByteLevel::new(false, true, true);
	let mut tokenizer = tokenizers::Tokenizer::new(model);
	match header.text("tokenizer.ggml.pre")? {
		"smollm" => {
			tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![Digits::new(true).into(), byte_level.into()])))
		},
		"default" | "gpt-2" => tokenizer.with_pre_tokenizer(Some(byte_level)),
		other => {
			return Err(EngineError::Model(format!("pre-tokenizer {other} is not supported")));
		},
	};
	Ok(tokenizer)
}

/// Returns a function that gives the bytes for which a token's text stands in GPT-2's alphabet.
pub fn byte_decoder() -> impl Fn(&str) -> Box<[u8]> {
	let table = bytes_by_char();
	move |text| text.chars().filter_map(|char| table.get(char as usize).copied()?).collect()
}

/// Returns GPT-2's byte alphabet by code point: printable bytes stand for themselves, the others for the code points
/// from 256 on, in order.
fn bytes_by_char() -> Vec<Option<u8>> {
	let mut table = vec![None; 512];
	let mut next = 256;
	for byte in 0..=u8::MAX {
		let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
		let at = if printable { usize::from(byte) } else { next };
		if !printable {
			next += 1;
		}
		table[at] = Some(byte);
	}
	table
}
