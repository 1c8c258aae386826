//! A model's tokenizer and chat template, whichever backend splits the text.

use std::fmt;

use serde_json::Value;

use crate::{
	CHANNEL_END_TOKENS, ChatMessage, ChatOptions, END_TOKENS, TokenizerError,
	memory::{LONGEST, Remembering},
	names::Names,
	template::{ChatTemplate, Part},
};

/// Splits plain text into tokens.
pub trait Encoder: Send + Sync {
	/// Appends the ids of `text`. Names of special tokens in it are plain text. Bytes for which the vocabulary has no
	/// token are left out.
	fn append(&self, text: &str, ids: &mut Vec<u32>);
}

/// The tokens of a model, as its file describes them.
pub struct Vocabulary {
	/// Bytes that each id stands for; none for special tokens.
	pub bytes: Vec<Box<[u8]>>,
	/// Texts and ids of special tokens.
	pub special: Vec<(String, u32)>,
	/// Token of a text's beginning.
	pub bos: Option<u32>,
	/// Whether the model was trained with `bos` before every text.
	pub adds_bos: bool,
	/// Ids that end a completion, the model's own end token first. [`Tokenizer::new`] adds those of the usual names.
	pub eos: Vec<u32>,
	/// Source of the chat template.
	pub template: Option<String>,
	/// How the model makes an embedding of a text, if it is made for that.
	pub embedding: Option<Embedding>,
}

/// How a model makes an embedding: a vector that stands for a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
	/// How one vector is made of the tokens' hidden states.
	pub pooling: Pooling,
	/// Number of the vector's numbers.
	pub width: usize,
	/// Tokens after every text.
	pub trailing: Vec<u32>,
}

/// How one vector is made of the hidden states of a text's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
	/// Their mean.
	Mean,
	/// That of the first token.
	First,
	/// That of the last token.
	Last,
}

/// A model's tokenizer and chat template.
pub struct Tokenizer {
	encoder: Remembering,
	bytes: Vec<Box<[u8]>>,
	/// Number of bytes of the longest one.
	longest: usize,
	/// By id, ascending.
	special: Vec<(String, u32)>,
	/// Finds the names of special tokens.
	names: Names,
	/// Token before every text, if the model was trained with one.
	leading: Option<u32>,
	eos: Vec<u32>,
	template: Option<ChatTemplate>,
	embedding: Option<Embedding>,
}

impl Tokenizer {
	/// Makes a tokenizer of a vocabulary and an encoder for it.
	///
	/// # Errors
	/// [`TokenizerError::Template`] when the chat template is malformed, and [`TokenizerError::Model`] when there are too many special
	/// tokens.
	pub fn new(vocabulary: Vocabulary, encoder: Box<dyn Encoder>) -> Result<Self, TokenizerError> {
		let Vocabulary { bytes, mut special, bos, adds_bos, mut eos, template, embedding } = vocabulary;
		special.sort_by_key(|(_, id)| *id);
		let text = |id: Option<u32>| {
			special.iter().find(|(_, special)| Some(*special) == id).map(|(text, _)| text.clone()).unwrap_or_default()
		};
		let template =
			template.map(|source| ChatTemplate::new(source, text(bos), text(eos.first().copied()))).transpose()?;
		// Models with channels end their messages alike, and completions otherwise.
		let has = |name: &str| special.iter().any(|(text, _)| text == name);
		let names = if has(CHANNEL_END_TOKENS[0]) { &CHANNEL_END_TOKENS[..] } else { &END_TOKENS[..] };
		for (text, id) in &special {
			if names.contains(&text.as_str()) && !eos.contains(id) {
				eos.push(*id);
			}
		}
		let longest = bytes.iter().map(|bytes| bytes.len()).max().unwrap_or(0);
		let (encoder, names, leading) =
			(Remembering::new(encoder, LONGEST), Names::new(&special)?, bos.filter(|_| adds_bos));
		Ok(Self { encoder, bytes, longest, special, names, leading, eos, template, embedding })
	}

	/// Returns the name of a special token.
	pub fn special(&self, id: u32) -> Option<&str> {
		let at = self.special.partition_point(|(_, special)| *special < id);
		self.special.get(at).filter(|(_, special)| *special == id).map(|(name, _)| name.as_str())
	}

	/// Returns the id of the special token with this name.
	pub fn special_id(&self, name: &str) -> Option<u32> {
		self.special.iter().find(|(special, _)| special == name).map(|(_, id)| *id)
	}

	/// Returns how one vector is made of a text, if the model makes embeddings. Such a model makes no completions.
	pub fn pooling(&self) -> Option<Pooling> {
		self.embedding.as_ref().map(|embedding| embedding.pooling)
	}

	/// Returns the number of numbers of the model's embeddings; `None` if it makes completions.
	pub fn width(&self) -> Option<usize> {
		self.embedding.as_ref().map(|embedding| embedding.width)
	}

	/// Returns the source of the chat template, if the model has one.
	pub fn template(&self) -> Option<&str> {
		self.template.as_ref().map(ChatTemplate::source)
	}

	/// Returns the number of bytes of the longest token.
	pub fn longest(&self) -> usize {
		self.longest
	}

	/// Returns the number of ids.
	pub fn vocab_size(&self) -> usize {
		self.bytes.len()
	}

	/// Returns the ids that end a completion.
	pub fn eos(&self) -> &[u32] {
		&self.eos
	}

	/// Returns the texts and ids of special tokens.
	pub fn specials(&self) -> &[(String, u32)] {
		&self.special
	}

	/// Returns the bytes that an id stands for: none for special tokens and unknown ids.
	pub fn bytes(&self, id: u32) -> &[u8] {
		self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
	}

	/// Returns the token ids of a text, after the token that the model was trained with before every text, and for embeddings before
	/// those after every text. Names of special tokens in it are plain text.
	pub fn encode(&self, text: &str) -> Vec<u32> {
		let mut ids: Vec<u32> = self.leading.into_iter().collect();
		self.encoder.append(text, &mut ids);
		ids.extend(self.embedding.iter().flat_map(|embedding| &embedding.trailing));
		ids
	}

	/// Does what [`encode_conversation`](Self::encode_conversation) does, with typed messages.
	///
	/// # Errors
	/// As there.
	pub fn encode_chat(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<Vec<u32>, TokenizerError> {
		let messages = serde_json::to_value(messages).map_err(|error| TokenizerError::Template(error.to_string()))?;
		self.encode_conversation(messages, options)
	}

	/// Returns the token ids of a conversation, a list of objects with all that the model's template reads. Special tokens come
	/// from the template only.
	///
	/// # Errors
	/// [`TokenizerError::Template`] when the model has no template or its template rejects the messages.
	pub fn encode_conversation(&self, messages: Value, options: &ChatOptions) -> Result<Vec<u32>, TokenizerError> {
		let template =
			self.template.as_ref().ok_or_else(|| TokenizerError::Template("the model has no chat template".into()))?;
		let mut ids = Vec::new();
		for part in template.render(messages, options, &self.names)? {
			match part {
				Part::Text(text) => self.encoder.append(&text, &mut ids),
				Part::Special(id) => ids.push(id),
			}
		}
		Ok(ids)
	}

	/// Returns the text of `ids` with the names of special tokens; malformed UTF-8 becomes U+FFFD.
	pub fn decode_with_special(&self, ids: &[u32]) -> String {
		let bytes = |id: &u32| self.special(*id).map_or(self.bytes(*id), str::as_bytes);
		String::from_utf8_lossy(&ids.iter().flat_map(bytes).copied().collect::<Vec<_>>()).into_owned()
	}

	/// Returns the text of `ids`. Special tokens have none; malformed UTF-8 becomes U+FFFD.
	pub fn decode(&self, ids: &[u32]) -> String {
		let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
		String::from_utf8_lossy(&bytes).into_owned()
	}
}

impl fmt::Debug for Tokenizer {
	fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	struct Nothing;

	impl Encoder for Nothing {
		fn append(&self, _: &str, _: &mut Vec<u32>) {}
	}

	#[test]
	fn special_tokens_are_found_by_id_in_whichever_order_they_come() {
		let named = |name: &str, id| (name.to_owned(), id);
		let vocabulary = Vocabulary {
			bytes: vec![Box::from(*b"a"); 9],
			special: vec![named("<7>", 7), named("<2>", 2), named("<8>", 8)],
			bos: None,
			adds_bos: false,
			eos: Vec::new(),
			template: None,
			embedding: None,
		};
		let tokenizer = Tokenizer::new(vocabulary, Box::new(Nothing)).unwrap();
		let found: Vec<_> = (0..9).filter_map(|id| tokenizer.special(id)).collect();
		assert_eq!(found, ["<2>", "<7>", "<8>"]);
		assert_eq!((tokenizer.special_id("<7>"), tokenizer.special(u32::MAX)), (Some(7), None));
		assert_eq!(tokenizer.decode_with_special(&[1, 2, 8]), "a<2><8>");
	}
}
