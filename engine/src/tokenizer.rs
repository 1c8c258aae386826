//! Byte-level BPE from the vocabulary and the merges in a GGUF file.

use tokenizers::{
	models::bpe::{BPE, Vocab},
	pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use crate::{
	ChatMessage, ChatOptions, EngineError,
	gguf::{Header, Value},
	stop::END_TOKENS,
	template::{ChatTemplate, Part},
};

/// GGUF's token type of special tokens.
const CONTROL: i128 = 3;

/// A model's tokenizer and chat template.
pub struct Tokenizer {
	bpe: tokenizers::Tokenizer,
	/// Bytes that each id stands for; none for special tokens.
	bytes: Vec<Box<[u8]>>,
	special: Vec<(String, u32)>,
	/// Token before every text, if the model was trained with one.
	leading: Option<u32>,
	eos: Vec<u32>,
	template: Option<ChatTemplate>,
}

impl Tokenizer {
	/// Builds the tokenizer that the file describes.
	///
	/// # Errors
	/// [`EngineError::Model`] when the file lacks something or has another kind of tokenizer; [`EngineError::Template`]
	/// when its chat template is malformed.
	pub fn new(header: &Header) -> Result<Self, EngineError> {
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
		let ids = || (0u32..).zip(tokens.iter().zip(types));
		let special: Vec<(String, u32)> =
			ids().filter(|(_, (_, kind))| **kind == CONTROL).map(|(id, (text, _))| (text.clone(), id)).collect();

		let named = |key: &str| -> Option<u32> {
			let id = header.integer(key).ok().filter(|&id| id < tokens.len())?;
			u32::try_from(id).ok()
		};
		let (bos, eos) = (named("tokenizer.ggml.bos_token_id"), named("tokenizer.ggml.eos_token_id"));
		let leading = match header.metadata.get("tokenizer.ggml.add_bos_token") {
			Some(Value::Bool(true)) => bos,
			_ => None,
		};
		let mut ends: Vec<u32> = eos.into_iter().collect();
		ends.extend(
			special
				.iter()
				.filter(|(text, id)| END_TOKENS.contains(&text.as_str()) && Some(*id) != eos)
				.map(|(_, id)| *id),
		);

		let text = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).cloned().unwrap_or_default();
		let template = match header.text("tokenizer.chat_template") {
			Ok(source) => Some(ChatTemplate::new(source.to_owned(), text(bos), text(eos))?),
			Err(_) => None,
		};
		let bytes_of = bytes_by_char();
		let bytes = ids()
			.map(|(_, (text, kind))| {
				if *kind == CONTROL {
					return Box::default();
				}
				text.chars().filter_map(|char| bytes_of.get(char as usize).copied()?).collect()
			})
			.collect();
		Ok(Self { bpe: bpe(header, tokens)?, bytes, special, leading, eos: ends, template })
	}

	/// Returns the number of ids.
	pub fn vocab_size(&self) -> usize {
		self.bytes.len()
	}

	/// Returns the ids that end a completion.
	pub fn eos(&self) -> &[u32] {
		&self.eos
	}

	/// Returns the bytes that an id stands for: none for special tokens and unknown ids.
	pub fn bytes(&self, id: u32) -> &[u8] {
		self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
	}

	/// Implements [`Engine::tokenize`](crate::Engine::tokenize). Bytes for which the vocabulary has no token are left
	/// out.
	pub fn encode(&self, text: &str) -> Vec<u32> {
		let mut ids: Vec<u32> = self.leading.into_iter().collect();
		self.append(text, &mut ids);
		ids
	}

	/// Implements [`Engine::tokenize_chat`](crate::Engine::tokenize_chat).
	pub fn encode_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, EngineError> {
		let template =
			self.template.as_ref().ok_or_else(|| EngineError::Template("the model has no chat template".into()))?;
		let names: Vec<&str> = self.special.iter().map(|(text, _)| text.as_str()).collect();
		let mut ids = Vec::new();
		for part in template.render(messages, options, &names)? {
			match part {
				Part::Text(text) => self.append(&text, &mut ids),
				Part::Special(index) => ids.extend(self.special.get(index).map(|(_, id)| *id)),
			}
		}
		Ok(ids)
	}

	/// Implements [`Engine::detokenize`](crate::Engine::detokenize).
	pub fn decode(&self, ids: &[u32]) -> String {
		let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
		String::from_utf8_lossy(&bytes).into_owned()
	}

	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		match self.bpe.encode_fast(text, false) {
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
