//! A file as llama.cpp opens it: a model with its weights, or a tokenizer alone.

use std::{
	collections::HashSet,
	ffi::{CStr, CString, c_char, c_void},
	path::Path,
	ptr::{self, NonNull},
	sync::{Arc, LazyLock, Mutex, Once, PoisonError},
};

use llama_cpp_sys_2 as sys;

use crate::{
	TokenizerError,
	gguf::{Gguf, Header},
	memory::Remembering,
	pieces::{Cutter, Words},
	tokenizer::{Embedding, Encoder, Tokenizer, Vocabulary},
};

/// An open model.
pub struct File {
	model: NonNull<sys::llama_model>,
	vocabulary: NonNull<sys::llama_vocab>,
}

// SAFETY: llama.cpp does not change a model after loading; contexts and tokenization only read it.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

impl Drop for File {
	fn drop(&mut self) {
		// SAFETY: the model was loaded, and its contexts hold an `Arc` of this file.
		unsafe { sys::llama_model_free(self.model.as_ptr()) }
	}
}

/// The last error that llama.cpp logged: its functions return none.
static LAST_ERROR: Mutex<String> = Mutex::new(String::new());

/// The build of llama.cpp, in its own words.
pub static SYSTEM_INFO: LazyLock<String> = LazyLock::new(|| {
	// SAFETY: the function returns a text that stays until it is called again, which nothing does.
	let text = unsafe { CStr::from_ptr(sys::llama_print_system_info()) };
	text.to_string_lossy().into_owned()
});

impl File {
	/// Opens a file, with what `set` changes of llama.cpp's default parameters.
	///
	/// # Errors
	/// [`TokenizerError::Model`] with the reason that llama.cpp gives.
	pub fn open(path: &Path, set: impl FnOnce(&mut sys::llama_model_params)) -> Result<Self, TokenizerError> {
		start();
		let failed = || {
			let reason = std::mem::take(&mut *last_error());
			TokenizerError::Model(format!("{}: llama.cpp: {}", path.display(), reason.trim()))
		};
		last_error().clear();
		let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| failed())?;
		// SAFETY: the parameters are the library's own, and the name ends with a zero byte.
		let model = unsafe {
			let mut params = sys::llama_model_default_params();
			set(&mut params);
			sys::llama_model_load_from_file(name.as_ptr(), params)
		};
		let model = NonNull::new(model).ok_or_else(failed)?;
		// SAFETY: the model is loaded; its vocabulary lives as long as the model.
		let vocabulary = unsafe { sys::llama_model_get_vocab(model.as_ptr()) };
		match NonNull::new(vocabulary.cast_mut()) {
			Some(vocabulary) => Ok(Self { model, vocabulary }),
			None => Err(failed()),
		}
	}

	/// Returns the model for llama.cpp's functions.
	pub fn model(&self) -> *mut sys::llama_model {
		self.model.as_ptr()
	}

	/// Returns the vocabulary for llama.cpp's functions.
	pub fn vocabulary(&self) -> *const sys::llama_vocab {
		self.vocabulary.as_ptr()
	}

	/// Returns the number of token ids.
	pub fn vocab_size(&self) -> usize {
		// SAFETY: the vocabulary is valid.
		unsafe { sys::llama_vocab_n_tokens(self.vocabulary()) }.max(0) as usize
	}

	/// Returns the names and ids of the tokens whose attributes are `wanted`.
	fn named(&self, wanted: impl Fn(sys::llama_token_attr) -> bool) -> Vec<(String, u32)> {
		let ids = 0..self.vocab_size() as i32;
		// SAFETY: the vocabulary and the id are valid.
		let is_wanted = |id: &i32| wanted(unsafe { sys::llama_vocab_get_attr(self.vocabulary(), *id) });
		// SAFETY: as above. The text lives as long as the model, and is copied.
		let name = |id: i32| unsafe { text(sys::llama_vocab_get_text(self.vocabulary(), id)) }.unwrap_or_default();
		ids.filter(is_wanted).map(|id| (name(id), id.cast_unsigned())).collect()
	}

	/// Returns the tokens of a text, with those that the model was trained with before and after every text if `special`. The text is
	/// one of a [`Cutter`]'s pieces, or short.
	fn tokens(&self, text: &str, special: bool) -> Vec<u32> {
		// Three more than a token for each byte: some tokenizers put a space before the text.
		let mut tokens = vec![0i32; text.len() + 3];
		let sizes = (i32::try_from(text.len()), i32::try_from(tokens.len()));
		let (Ok(length), Ok(room)) = sizes else {
			tracing::error!("a text of over 2 GiB is left out of the prompt");
			return Vec::new();
		};
		// SAFETY: text and buffer have the lengths that are given.
		let count = unsafe {
			let text = text.as_ptr().cast::<c_char>();
			sys::llama_tokenize(self.vocabulary(), text, length, tokens.as_mut_ptr(), room, special, false)
		};
		if count < 0 {
			tracing::error!(count, "the tokenizer failed; a text is left out of the prompt");
		}
		tokens.truncate(usize::try_from(count).unwrap_or(0));
		tokens.into_iter().map(i32::cast_unsigned).collect()
	}

	/// Returns the tokens that the model was trained with after every text.
	fn trailing(&self) -> Vec<u32> {
		let (plain, framed) = (self.tokens("a", false), self.tokens("a", true));
		let at = framed.windows(plain.len().max(1)).position(|part| part == plain);
		at.and_then(|at| framed.get(at + plain.len()..)).unwrap_or_default().to_vec()
	}

	/// Returns the bytes that a token stands for: none for special tokens.
	fn bytes(&self, id: i32) -> Box<[u8]> {
		let mut bytes = vec![0u8; 64];
		loop {
			let room = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
			// SAFETY: the buffer has `room` bytes; the id is one of the vocabulary's.
			let length =
				unsafe { sys::llama_token_to_piece(self.vocabulary(), id, bytes.as_mut_ptr().cast(), room, 0, false) };
			match usize::try_from(length) {
				Ok(length) => {
					bytes.truncate(length);
					return bytes.into();
				},
				// The negative of the length that it needs.
				Err(_) => bytes.resize(length.unsigned_abs() as usize, 0),
			}
		}
	}
}

/// Opens a tokenizer file: see [`tokenizer_file`](crate::gguf::tokenizer_file). llama.cpp ends the process at some files that
/// make no sense: open those only whose hash somebody vouches for.
///
/// # Errors
/// [`TokenizerError`] when the file is malformed or has a tokenizer that llama.cpp does not know.
pub fn open_tokenizer(path: &Path) -> Result<Tokenizer, TokenizerError> {
	let file = Gguf::open(path)?;
	let tokens = file.header().texts("tokenizer.ggml.tokens")?;
	let mut seen = HashSet::with_capacity(tokens.len());
	if let Some(twice) = tokens.iter().find(|token| !seen.insert(*token)) {
		let message = format!("{}: token {twice:?} stands twice in tokenizer.ggml.tokens", path.display());
		return Err(TokenizerError::Model(message));
	}
	tokenizer(&Arc::new(File::open(path, |params| params.vocab_only = true)?), file.header())
}

/// Reads the tokenizer and the chat template. `header` is the file's.
///
/// # Errors
/// [`TokenizerError::Template`] when the chat template is malformed, and [`TokenizerError::Model`] when the header has no valid
/// [kind of pooling](Header::pooling) or width, or the tokens' names are too many.
pub fn tokenizer(file: &Arc<File>, header: &Header) -> Result<Tokenizer, TokenizerError> {
	let embedding = match header.pooling()? {
		Some(pooling) => Some(Embedding { pooling, width: header.width()?, trailing: file.trailing() }),
		None => None,
	};
	let vocabulary = file.vocabulary();
	let known = |id: i32| u32::try_from(id).ok().filter(|&id| (id as usize) < file.vocab_size());
	// SAFETY: the model and its vocabulary are valid. The template lives as long as the model, and is copied.
	let (bos, adds_bos, eos, template) = unsafe {
		(
			known(sys::llama_vocab_bos(vocabulary)),
			sys::llama_vocab_get_add_bos(vocabulary),
			known(sys::llama_vocab_eos(vocabulary)),
			text(sys::llama_model_chat_template(file.model(), ptr::null())),
		)
	};
	Tokenizer::new(
		Vocabulary {
			bytes: (0..file.vocab_size() as i32).map(|id| file.bytes(id)).collect(),
			special: file.named(|attributes| attributes & sys::LLAMA_TOKEN_ATTR_CONTROL != 0),
			bos,
			adds_bos,
			eos: eos.into_iter().collect(),
			template,
			embedding,
		},
		Box::new(PieceEncoder::new(file.clone(), header)?),
	)
}

/// Maximum number of bytes of a word that is remembered.
const LONGEST_WORD: usize = 64;

/// llama.cpp's tokenizer for one of a [`Cutter`]'s pieces.
struct FileEncoder(Arc<File>);

impl Encoder for FileEncoder {
	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		ids.extend(self.0.tokens(text, false));
	}
}

/// llama.cpp's tokenizer.
struct PieceEncoder {
	cutter: Cutter,
	/// llama.cpp takes some 5 µs for a word.
	words: Remembering,
}

impl PieceEncoder {
	/// Makes the encoder of a file.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when the file has too many user-defined tokens.
	fn new(file: Arc<File>, header: &Header) -> Result<Self, TokenizerError> {
		const DEFINED: sys::llama_token_attr = sys::LLAMA_TOKEN_ATTR_USER_DEFINED;
		// Their names are plain text.
		const PLAIN: sys::llama_token_attr = sys::LLAMA_TOKEN_ATTR_CONTROL | sys::LLAMA_TOKEN_ATTR_UNKNOWN;
		let defined = file.named(|attributes| attributes & (DEFINED | PLAIN) == DEFINED);
		// SAFETY: the vocabulary is valid.
		let has_words = unsafe { sys::llama_vocab_type(file.vocabulary()) } == sys::LLAMA_VOCAB_TYPE_BPE;
		let words = match header.text("tokenizer.ggml.pre") {
			_ if !has_words => Words::None,
			Ok(kind) => Words::of_kind(kind),
			Err(_) => Words::Some,
		};
		let cutter = Cutter::new(&defined, words)?;
		Ok(Self { cutter, words: Remembering::new(Box::new(FileEncoder(file)), LONGEST_WORD) })
	}
}

impl Encoder for PieceEncoder {
	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		for piece in self.cutter.pieces(text) {
			self.words.append(piece, ids);
		}
	}
}

/// Copies a text of llama.cpp's.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn text(text: *const c_char) -> Option<String> {
	// SAFETY: the caller's promise.
	(!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Starts the library, once in a process.
pub fn start() {
	static STARTED: Once = Once::new();
	// SAFETY: the function `log` may be called from any thread.
	STARTED.call_once(|| unsafe {
		sys::llama_log_set(Some(log), ptr::null_mut());
		sys::llama_backend_init();
	});
}

/// Passes llama.cpp's log lines on.
unsafe extern "C" fn log(level: sys::ggml_log_level, line: *const c_char, _: *mut c_void) {
	// SAFETY: llama.cpp passes a text that ends with a zero byte.
	let line = unsafe { text(line) }.unwrap_or_default();
	let line = line.trim_end();
	match level {
		sys::GGML_LOG_LEVEL_ERROR => {
			tracing::debug!(target: "llama.cpp", "{line}");
			line.clone_into(&mut last_error());
		},
		sys::GGML_LOG_LEVEL_WARN => tracing::debug!(target: "llama.cpp", "{line}"),
		_ => tracing::trace!(target: "llama.cpp", "{line}"),
	}
}

/// Returns the last error that llama.cpp logged.
pub fn last_error() -> std::sync::MutexGuard<'static, String> {
	LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, feature = "mock"))]
mod tests {
	use super::*;
	use crate::mock;
	use proptest::prelude::*;
	use std::thread;

	/// Opens a vocabulary of all bytes, with more tokens.
	fn open(pre: &str, words: &[&str], defined: &[&str]) -> (Arc<File>, PieceEncoder) {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		let defined: Vec<_> = defined.iter().map(|name| (*name, mock::USER_DEFINED)).collect();
		std::fs::write(&path, mock::file(pre, words, &defined)).unwrap();
		let file = Arc::new(File::open(&path, |params| params.vocab_only = true).unwrap());
		let encoder = PieceEncoder::new(file.clone(), Gguf::open(&path).unwrap().header()).unwrap();
		(file, encoder)
	}

	fn encode(encoder: &PieceEncoder, text: &str) -> Vec<u32> {
		let mut ids = Vec::new();
		encoder.append(text, &mut ids);
		ids
	}

	/// llama.cpp finds the words of all these vocabularies by `std::regex`, by other expressions each.
	#[test]
	fn a_long_word_does_not_overflow_the_stack() {
		let kinds = [
			"bloom",
			"deepseek-llm",
			"deepseek-v3",
			"default",
			"exaone-moe",
			"falcon",
			"gpt-4o",
			"jais-2",
			"seed-coder",
			"superbpe",
			"tekken",
			"youtu",
		];
		let words = ["a", "A", "1", " ", "\n", "!", "é", "語", "語」", "a-", "/\n", "a ", "e\u{301} "];
		let mut texts = Vec::from(words.map(|word| word.repeat(20_000)));
		texts.push("a".repeat(300_000));
		let work = move || {
			for kind in kinds {
				let (_, encoder) = open(kind, &[], &[]);
				for text in &texts {
					let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
					assert!(encode(&encoder, text) == bytes, "{kind}: {text:.20}");
				}
			}
		};
		thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
	}

	#[test]
	fn user_defined_tokens_are_found_however_many_there_are() {
		let (_, encoder) = open("gpt-2", &[], &["<b>", "<b>!"]);
		assert_eq!(encode(&encoder, &"<b>a<b>!".repeat(1_000)), [257, 97, 258].repeat(1_000));
	}

	/// Vocabularies in which a word that has a token gets it: a cut inside it shows.
	static WORDS: LazyLock<Vec<(&str, Arc<File>, PieceEncoder)>> = LazyLock::new(|| {
		let letters = ["a", "b", "A", "漢", "1", "2"];
		let pairs = letters.iter().flat_map(|first| letters.iter().map(move |second| format!("{first}{second}")));
		let mut words: Vec<String> = pairs.collect();
		for before in [" ", ",", "-", "，"] {
			let longer: Vec<String> = words.iter().take(36).map(|word| format!("{before}{word}")).collect();
			words.extend(letters.map(|letter| format!("{before}{letter}")));
			words.extend(longer);
		}
		let words: Vec<&str> = words.iter().map(String::as_str).collect();
		let kinds = Words::SPACED.into_iter().chain(["youtu", "superbpe", "exaone-moe"]);
		let opened = kinds.map(|kind| (kind, open(kind, &words, &[])));
		opened.map(|(kind, (file, encoder))| (kind, file, encoder)).collect()
	});

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(48))]
		#[test]
		fn pieces_have_the_tokens_of_the_whole(
			text in prop_oneof!["[abA漢 ]{0,4000}", "[abAé1' .,\n]{0,400}", "[abA漢12,.，-]{0,4000}", "[aA1 ,.\n/漢，-]{0,4000}"]
		) {
			for (_, file, encoder) in &*WORDS {
				prop_assert!(encode(encoder, &text) == file.tokens(&text, false));
			}
		}
	}

	#[test]
	fn long_texts_without_blanks_or_signs_have_the_tokens_of_the_whole() {
		for text in ["a A ab bA ", "ab1Ab22", "漢a漢，漢漢，", "{\"a\":\"ab\",\"A\":12},", "a\nA\n"] {
			let text = text.repeat(1_000);
			// llama.cpp finds the words of these without recursion, so that it can read the whole, too.
			for (_, file, encoder) in WORDS.iter().filter(|(kind, ..)| ["llama-bpe", "tekken", "youtu"].contains(kind))
			{
				assert!(encode(encoder, &text) == file.tokens(&text, false), "{text:.20}");
			}
		}
	}
}
