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

	/// Returns the tokens of a text, with those that the model was trained with before and after every text if `special`.
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
/// [kind of pooling](Header::pooling) or width.
pub fn tokenizer(file: &Arc<File>, header: &Header) -> Result<Tokenizer, TokenizerError> {
	let embedding = match header.pooling()? {
		Some(pooling) => Some(Embedding { pooling, width: header.width()?, trailing: file.trailing() }),
		None => None,
	};
	let vocabulary = file.vocabulary();
	let ids = || 0..file.vocab_size() as i32;
	let known = |id: i32| u32::try_from(id).ok().filter(|&id| (id as usize) < file.vocab_size());
	// SAFETY: the vocabulary and the ids are valid. Texts live as long as the model, and are copied.
	let (special, bos, adds_bos, eos, template) = unsafe {
		let is_special = |id: &i32| sys::llama_vocab_get_attr(vocabulary, *id) & sys::LLAMA_TOKEN_ATTR_CONTROL != 0;
		let special = ids()
			.filter(is_special)
			.map(|id| (text(sys::llama_vocab_get_text(vocabulary, id)).unwrap_or_default(), id.cast_unsigned()))
			.collect();
		(
			special,
			known(sys::llama_vocab_bos(vocabulary)),
			sys::llama_vocab_get_add_bos(vocabulary),
			known(sys::llama_vocab_eos(vocabulary)),
			text(sys::llama_model_chat_template(file.model(), ptr::null())),
		)
	};
	Tokenizer::new(
		Vocabulary {
			bytes: ids().map(|id| file.bytes(id)).collect(),
			special,
			bos,
			adds_bos,
			eos: eos.into_iter().collect(),
			template,
			embedding,
		},
		Box::new(FileEncoder(file.clone())),
	)
}

/// llama.cpp's tokenizer.
struct FileEncoder(Arc<File>);

impl Encoder for FileEncoder {
	fn append(&self, text: &str, ids: &mut Vec<u32>) {
		ids.extend(self.0.tokens(text, false));
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
