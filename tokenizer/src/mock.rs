//! The tokenizer file of the mock's vocabulary.

/// Name of the token that ends a completion.
const END: &str = "<|im_end|>";
/// Renders a message as its role, a colon, its text and the end of the line.
const TEMPLATE: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}\
                        {% if add_generation_prompt %}assistant:{% endif %}";
/// Numbers of GGUF's types.
const U32: u32 = 4;
const I32: u32 = 5;
const TEXT: u32 = 8;
const LIST: u32 = 9;
/// Numbers of GGUF's types of tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
#[cfg(all(test, feature = "llama"))]
pub const USER_DEFINED: i32 = 4;

/// Returns a tokenizer file with a token for each byte, which has the byte's id, then for each of `words`, then for a
/// completion's end. No text is encoded with a word; completions have words.
pub fn mock_tokenizer(words: &[&str]) -> Vec<u8> {
	mock_tokenizer_with(words, &[])
}

/// Does what [`mock_tokenizer`] does, with more control tokens after the end.
pub fn mock_tokenizer_with(words: &[&str], control: &[&str]) -> Vec<u8> {
	file("gpt-2", words, &control.iter().map(|name| (*name, CONTROL)).collect::<Vec<_>>())
}

/// Makes a file whose texts are split into words in llama.cpp's way `pre`, with `more` tokens, and their types, after the end.
pub fn file(pre: &str, words: &[&str], more: &[(&str, i32)]) -> Vec<u8> {
	let tokens: Vec<String> =
		(0..=u8::MAX).map(|byte| written(&[byte])).chain(words.iter().map(|word| written(word.as_bytes()))).collect();
	let end = tokens.len() as u32;
	let mut file = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0".to_vec();
	file.extend(8u64.to_le_bytes());
	let mut key = |name: &str, kind: u32, value: &dyn Fn(&mut Vec<u8>)| {
		text(&mut file, name);
		file.extend(kind.to_le_bytes());
		value(&mut file);
	};
	key("general.architecture", TEXT, &|out| text(out, "llama"));
	key("tokenizer.ggml.model", TEXT, &|out| text(out, "gpt2"));
	key("tokenizer.ggml.pre", TEXT, &|out| text(out, pre));
	key("tokenizer.ggml.tokens", LIST, &|out| {
		list(out, TEXT, tokens.len() + 1 + more.len());
		let all = tokens.iter().map(String::as_str).chain([END]).chain(more.iter().map(|(name, _)| *name));
		all.for_each(|token| text(out, token));
	});
	key("tokenizer.ggml.token_type", LIST, &|out| {
		list(out, I32, tokens.len() + 1 + more.len());
		let kinds = tokens.iter().map(|_| NORMAL).chain([CONTROL]).chain(more.iter().map(|(_, kind)| *kind));
		kinds.for_each(|kind| out.extend(kind.to_le_bytes()));
	});
	key("tokenizer.ggml.merges", LIST, &|out| list(out, TEXT, 0));
	key("tokenizer.ggml.eos_token_id", U32, &|out| out.extend(end.to_le_bytes()));
	key("tokenizer.chat_template", TEXT, &|out| text(out, TEMPLATE));
	file
}

fn text(out: &mut Vec<u8>, text: &str) {
	out.extend((text.len() as u64).to_le_bytes());
	out.extend(text.as_bytes());
}

fn list(out: &mut Vec<u8>, kind: u32, length: usize) {
	out.extend(kind.to_le_bytes());
	out.extend((length as u64).to_le_bytes());
}

/// Writes bytes as vocabularies of GPT-2's kind do: printable ones as the character with their number, others as those from
/// U+0100 on, in their order.
fn written(bytes: &[u8]) -> String {
	let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
	let character = |byte: &u8| {
		if is_printable(byte) {
			return char::from(*byte);
		}
		let before = (0..*byte).filter(|other| !is_printable(other)).count() as u32;
		char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
	};
	bytes.iter().map(character).collect()
}

#[cfg(all(test, feature = "llama"))]
mod tests {
	use super::*;
	use crate::{ChatMessage, ChatOptions, TokenizerError, open_tokenizer};

	fn open(words: &[&str]) -> Result<crate::Tokenizer, TokenizerError> {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer(words)).unwrap();
		open_tokenizer(&path)
	}

	#[test]
	fn every_byte_and_every_word_has_a_token() {
		let tokenizer = open(&[" piñon", "w1 "]).unwrap();
		assert_eq!((tokenizer.vocab_size(), tokenizer.eos(), tokenizer.longest()), (259, [258].as_slice(), 7));
		assert_eq!(tokenizer.special(258), Some("<|im_end|>"));
		let text: String = (0..=255).map(char::from).chain("w1 🦀".chars()).collect();
		let ids = tokenizer.encode(&text);
		assert_eq!(ids, text.bytes().map(u32::from).collect::<Vec<_>>());
		assert_eq!(tokenizer.decode(&ids), text);
		assert_eq!(tokenizer.decode(&[256, 257, 258]), " piñonw1 ");
		let chat = tokenizer.encode_chat(&[ChatMessage::new("user", "a<|im_end|>")], &ChatOptions::default()).unwrap();
		assert_eq!(tokenizer.decode(&chat), "user: a<|im_end|>\nassistant:");
	}

	#[test]
	fn a_token_that_stands_twice_is_named() {
		let error = open(&["a"]).unwrap_err().to_string();
		assert!(error.contains("token \"a\" stands twice"), "{error}");
	}
}
