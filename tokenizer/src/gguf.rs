//! A reader for GGUF files, versions 2 and 3, little-endian.
//!
//! The file is mapped, not read: the operating system loads a tensor's bytes when they are used. Every length and
//! offset in the file is checked against the file's size before it is used. Format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>

mod format;
mod tokenizer_file;
mod values;

use std::{collections::HashMap, fmt, fs::File, path::Path};

use memmap2::Mmap;

use crate::{TokenizerError, tokenizer::Pooling};
pub use format::{Format, FormatError};
pub use tokenizer_file::{tokenizer_file, vocabulary};
pub use values::ValueError;

/// Maximum number of dimensions of a tensor, set by the format.
const MAX_DIMENSIONS: u32 = 4;

/// End of the key with the kind of pooling of a model that makes embeddings; the beginning is the architecture's name.
const POOLING: &str = ".pooling_type";
/// End of the key with the number of numbers of a hidden state, and so of an embedding.
const WIDTH: &str = ".embedding_length";

/// Why a header cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
	/// A value of the metadata makes no sense.
	#[error(transparent)]
	Value(#[from] ValueError),
	/// A tensor's rows make no sense.
	#[error(transparent)]
	Format(#[from] FormatError),
	/// The file ends too early.
	#[error("the file has {length} bytes, but {what} ends at {end}: it is cut, fetch it again")]
	Cut {
		/// Number of bytes of the file.
		length: usize,
		/// The item that it does not hold.
		what: String,
		/// The offset of that item's end.
		end: usize,
	},
	/// A metadata value or a tensor's description is at fault.
	#[error("{item}: {error}")]
	In {
		/// The key, or the tensor.
		item: String,
		/// Its fault.
		error: Box<HeaderError>,
	},
	/// The file is no GGUF file, or breaks its rules.
	#[error("{0}")]
	Malformed(String),
}

impl HeaderError {
	fn within(self, item: String) -> Self {
		Self::In { item, error: Box::new(self) }
	}
}

impl From<String> for HeaderError {
	fn from(message: String) -> Self {
		Self::Malformed(message)
	}
}

impl From<&str> for HeaderError {
	fn from(message: &str) -> Self {
		Self::Malformed(message.to_owned())
	}
}

/// An open GGUF file.
pub struct Gguf {
	map: Mmap,
	header: Header,
}

impl Gguf {
	/// Opens a file and checks its header.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when the file cannot be read or is malformed.
	pub fn open(path: &Path) -> Result<Self, TokenizerError> {
		let named = |error: &dyn std::fmt::Display| TokenizerError::Model(format!("{}: {error}", path.display()));
		let file = File::open(path).map_err(|error| named(&error))?;
		// SAFETY: the map is read-only, and bytes are copied out of it before they are interpreted. Truncating the file
		// meanwhile kills the process by SIGBUS, as with any mapped file; model files are replaced by renaming.
		let map = unsafe { Mmap::map(&file) }.map_err(|error| named(&error))?;
		let header = Header::parse(&map).map_err(|error| named(&error))?;
		Ok(Self { map, header })
	}

	/// Returns the file's metadata and list of tensors.
	pub fn header(&self) -> &Header {
		&self.header
	}

	/// Returns a tensor's description and its bytes.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when the file has no such tensor.
	pub fn tensor(&self, name: &str) -> Result<(&TensorInfo, &[u8]), TokenizerError> {
		self.header
			.tensors
			.get(name)
			.and_then(|info| Some((info, self.map.get(info.start..info.start + info.size)?)))
			.ok_or_else(|| TokenizerError::Model(format!("no tensor {name}")))
	}
}

/// Metadata and list of tensors.
#[derive(Debug, Default)]
pub struct Header {
	/// Metadata by key.
	pub metadata: HashMap<String, Value>,
	/// Tensors by name.
	pub tensors: HashMap<String, TensorInfo>,
}

/// Position and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
	/// Rows and columns: the outermost dimension first, `[1, n]` for a vector.
	pub shape: [usize; 2],
	/// Storage format of its weights.
	pub format: Format,
	/// Offset of its first byte in the file.
	start: usize,
	/// Number of bytes; the file has all of them.
	pub size: usize,
}

/// A metadata value. Numbers are widened to the largest type of their kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
	/// An integer of any width.
	Integer(i128),
	/// A floating-point number of any width.
	Float(f64),
	/// A Boolean.
	Bool(bool),
	/// A text.
	Text(String),
	/// A list of texts.
	Texts(Vec<String>),
	/// A list of integers.
	Integers(Vec<i128>),
	/// A list of floating-point numbers of any width.
	Floats(Vec<f64>),
	/// The length of a list of Booleans.
	Bools(usize),
}

impl fmt::Display for Value {
	/// Writes a scalar as it is, and of a list its kind and length.
	fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Integer(n) => n.fmt(out),
			Self::Float(n) => n.fmt(out),
			Self::Bool(flag) => flag.fmt(out),
			Self::Text(text) => write!(out, "{:?}", text.chars().take(40).collect::<String>()),
			Self::Texts(list) => write!(out, "a list of {} texts", list.len()),
			Self::Integers(list) => write!(out, "a list of {} integers", list.len()),
			Self::Floats(list) => write!(out, "a list of {} numbers", list.len()),
			Self::Bools(length) => write!(out, "a list of {length} Booleans"),
		}
	}
}

impl Header {
	/// Parses the header of a GGUF file.
	///
	/// # Errors
	/// [`HeaderError`]. It never panics, whatever the input.
	pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
		let mut cursor = Cursor { bytes, at: 0 };
		if cursor.take(4).ok() != Some(b"GGUF") {
			return Err(not_gguf(bytes).into());
		}
		let version = cursor.u32()?;
		if !(2..=3).contains(&version) {
			return Err(format!("GGUF version {version} is not supported").into());
		}
		let tensor_count = cursor.count(24)?;
		let metadata_count = cursor.count(13)?;

		let mut header = Self::default();
		for _ in 0..metadata_count {
			let key = cursor.text()?;
			let kind = cursor.u32()?;
			let value = cursor.value(kind).map_err(|error| error.within(key.clone()))?;
			if header.metadata.insert(key.clone(), value).is_some() {
				return Err(format!("{key} stands twice in the header").into());
			}
		}
		let mut offsets = Vec::new();
		for _ in 0..tensor_count {
			let name = cursor.text()?;
			let info = cursor.tensor().map_err(|error| error.within(format!("tensor {name}")))?;
			offsets.push((name, info));
		}
		let alignment = match header.metadata.get("general.alignment") {
			None => 32,
			Some(Value::Integer(n)) => usize::try_from(*n)
				.ok()
				.filter(|n| n.is_power_of_two())
				.ok_or("general.alignment is not a power of two")?,
			Some(_) => return Err("general.alignment is not a number".into()),
		};
		let data = cursor.at.checked_next_multiple_of(alignment).ok_or("the offset of the tensors' data overflows")?;
		for (name, mut info) in offsets {
			info.start = info.start.checked_add(data).ok_or("a tensor's offset is too large")?;
			match info.start.checked_add(info.size) {
				Some(end) if end <= bytes.len() => (),
				Some(end) => {
					return Err(HeaderError::Cut { length: bytes.len(), what: format!("tensor {name}"), end });
				},
				None => return Err(format!("tensor {name} has an offset that is too large").into()),
			}
			if header.tensors.insert(name.clone(), info).is_some() {
				return Err(format!("tensor {name} stands twice in the header").into());
			}
		}
		header.check_values()?;
		Ok(header)
	}

	/// Returns a metadata integer.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when it is missing, negative, or not an integer.
	pub fn integer(&self, key: &str) -> Result<usize, TokenizerError> {
		match self.metadata.get(key) {
			Some(Value::Integer(n)) => usize::try_from(*n).map_err(|_| bad(key)),
			_ => Err(bad(key)),
		}
	}

	/// Returns a metadata number.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when it is missing or not a floating-point number.
	pub fn float(&self, key: &str) -> Result<f64, TokenizerError> {
		match self.metadata.get(key) {
			Some(Value::Float(n)) => Ok(*n),
			_ => Err(bad(key)),
		}
	}

	/// Returns a metadata text.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when it is missing or not a text.
	pub fn text(&self, key: &str) -> Result<&str, TokenizerError> {
		match self.metadata.get(key) {
			Some(Value::Text(text)) => Ok(text),
			_ => Err(bad(key)),
		}
	}

	/// Returns how the model makes embeddings; `None` for a model that makes completions.
	///
	/// # Errors
	/// [`TokenizerError::Model`] for a model that ranks texts, or has an unknown kind of pooling.
	pub fn pooling(&self) -> Result<Option<Pooling>, TokenizerError> {
		let key = format!("{}{POOLING}", self.text("general.architecture")?);
		match self.metadata.get(&key) {
			// llama.cpp's numbers.
			None | Some(Value::Integer(0)) => Ok(None),
			Some(Value::Integer(1)) => Ok(Some(Pooling::Mean)),
			Some(Value::Integer(2)) => Ok(Some(Pooling::First)),
			Some(Value::Integer(3)) => Ok(Some(Pooling::Last)),
			Some(other) => {
				let what = format!("{key} is {other}: it makes neither completions nor embeddings of one vector each");
				Err(TokenizerError::Model(what))
			},
		}
	}

	/// Returns the number of numbers of a hidden state.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when it is missing or no number of that kind.
	pub fn width(&self) -> Result<usize, TokenizerError> {
		self.integer(&format!("{}{WIDTH}", self.text("general.architecture")?))
	}

	/// Returns a metadata list of texts.
	///
	/// # Errors
	/// [`TokenizerError::Model`] when it is missing or not a list of texts.
	pub fn texts(&self, key: &str) -> Result<&[String], TokenizerError> {
		match self.metadata.get(key) {
			Some(Value::Texts(texts)) => Ok(texts),
			_ => Err(bad(key)),
		}
	}
}

/// Says what a file is that is no GGUF file, if it is one of those that are often fetched instead.
fn not_gguf(bytes: &[u8]) -> String {
	let length = bytes.len();
	let beginning = String::from_utf8_lossy(&bytes[..length.min(512)]).trim_start().to_lowercase();
	if length == 0 {
		"the file is empty".into()
	} else if beginning.starts_with("version https://git-lfs") {
		format!(
			"this is a Git LFS pointer of {length} bytes, not the model: fetch the file itself, with `git lfs pull`"
		)
	} else if beginning.starts_with("<!doctype") || beginning.starts_with("<html") {
		format!("this is a web page of {length} bytes, not the model: fetch the file by its download link")
	} else {
		format!("not a GGUF file: its {length} bytes do not begin with \"GGUF\"")
	}
}

fn bad(key: &str) -> TokenizerError {
	TokenizerError::Model(format!("metadata {key} is missing or of the wrong type"))
}

/// A position in the file. Every read advances it, and fails at the file's end.
struct Cursor<'a> {
	bytes: &'a [u8],
	at: usize,
}

impl<'a> Cursor<'a> {
	fn take(&mut self, length: usize) -> Result<&'a [u8], HeaderError> {
		let end = self.at.checked_add(length).ok_or("a length is too large")?;
		let taken = self.bytes.get(self.at..end).ok_or_else(|| HeaderError::Cut {
			length: self.bytes.len(),
			what: "an item of the header".into(),
			end,
		})?;
		self.at = end;
		Ok(taken)
	}

	fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
		self.take(N)?.try_into().map_err(|_| "unreachable length".into())
	}

	fn u32(&mut self) -> Result<u32, HeaderError> {
		Ok(u32::from_le_bytes(self.array()?))
	}

	fn u64(&mut self) -> Result<u64, HeaderError> {
		Ok(u64::from_le_bytes(self.array()?))
	}

	/// Reads a number of items of at least `size` bytes each, and rejects more than the rest of the file can hold.
	fn count(&mut self, size: usize) -> Result<usize, HeaderError> {
		let count = self.u64()?;
		usize::try_from(count)
			.ok()
			.filter(|&count| count <= (self.bytes.len() - self.at) / size)
			.ok_or_else(|| format!("{count} items do not fit the file").into())
	}

	fn text(&mut self) -> Result<String, HeaderError> {
		let length = self.count(1)?;
		String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "a text is not valid UTF-8".into())
	}

	fn value(&mut self, kind: u32) -> Result<Value, HeaderError> {
		Ok(match kind {
			0..=5 | 10 | 11 => Value::Integer(self.integer(kind)?),
			6 | 12 => Value::Float(self.float(kind)?),
			7 => Value::Bool(self.array::<1>()? != [0]),
			8 => Value::Text(self.text()?),
			9 => self.list()?,
			_ => return Err(format!("unknown type {kind}").into()),
		})
	}

	fn integer(&mut self, kind: u32) -> Result<i128, HeaderError> {
		Ok(match kind {
			0 => u8::from_le_bytes(self.array()?).into(),
			1 => i8::from_le_bytes(self.array()?).into(),
			2 => u16::from_le_bytes(self.array()?).into(),
			3 => i16::from_le_bytes(self.array()?).into(),
			4 => u32::from_le_bytes(self.array()?).into(),
			5 => i32::from_le_bytes(self.array()?).into(),
			10 => u64::from_le_bytes(self.array()?).into(),
			11 => i64::from_le_bytes(self.array()?).into(),
			_ => return Err(format!("unknown integer type {kind}").into()),
		})
	}

	fn float(&mut self, kind: u32) -> Result<f64, HeaderError> {
		Ok(match kind {
			6 => f32::from_le_bytes(self.array()?).into(),
			_ => f64::from_le_bytes(self.array()?),
		})
	}

	fn list(&mut self) -> Result<Value, HeaderError> {
		let kind = self.u32()?;
		let size = match kind {
			0 | 1 | 7 => 1,
			2 | 3 => 2,
			4..=6 => 4,
			8 | 10..=12 => 8,
			9 => return Err("lists of lists are not supported".into()),
			_ => return Err(format!("list of unknown type {kind}").into()),
		};
		let count = self.count(size)?;
		match kind {
			8 => (0..count).map(|_| self.text()).collect::<Result<_, _>>().map(Value::Texts),
			6 | 12 => (0..count).map(|_| self.float(kind)).collect::<Result<_, _>>().map(Value::Floats),
			7 => self.take(count).map(|_| Value::Bools(count)),
			_ => (0..count).map(|_| self.integer(kind)).collect::<Result<_, _>>().map(Value::Integers),
		}
	}

	/// Reads a tensor's description; its start is still relative to the beginning of the data.
	fn tensor(&mut self) -> Result<TensorInfo, HeaderError> {
		let dimensions = self.u32()?;
		if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
			return Err(format!("it has {dimensions} dimensions, not 1 to {MAX_DIMENSIONS}").into());
		}
		// The file has the innermost dimension first.
		let columns = self.dimension()?;
		let mut rows = 1usize;
		for _ in 1..dimensions {
			rows = rows.checked_mul(self.dimension()?).ok_or("the tensor is too large")?;
		}
		if columns == 0 || rows == 0 {
			return Err("it is empty".into());
		}
		let format = Format::from_ggml(self.u32()?)?;
		let start = usize::try_from(self.u64()?).map_err(|_| "the offset is too large")?;
		let size = format.row_bytes(columns)?.checked_mul(rows).ok_or("the tensor is too large")?;
		Ok(TensorInfo { shape: [rows, columns], format, start, size })
	}

	fn dimension(&mut self) -> Result<usize, HeaderError> {
		usize::try_from(self.u64()?).map_err(|_| "a dimension is too large".into())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	/// A file with a text, a list of texts, a list of integers, and two tensors.
	fn small_file() -> Vec<u8> {
		fn text(out: &mut Vec<u8>, text: &str) {
			out.extend((text.len() as u64).to_le_bytes());
			out.extend(text.as_bytes());
		}
		let mut out = b"GGUF".to_vec();
		out.extend(3u32.to_le_bytes());
		out.extend(2u64.to_le_bytes());
		out.extend(6u64.to_le_bytes());
		for (key, value) in [("llama.block_count", 1u32), ("llama.context_length", 8), ("llama.embedding_length", 32)] {
			text(&mut out, key);
			out.extend(4u32.to_le_bytes());
			out.extend(value.to_le_bytes());
		}
		text(&mut out, "general.architecture");
		out.extend(8u32.to_le_bytes());
		text(&mut out, "llama");
		text(&mut out, "tokens");
		out.extend(9u32.to_le_bytes());
		out.extend(8u32.to_le_bytes());
		out.extend(2u64.to_le_bytes());
		text(&mut out, "a");
		text(&mut out, "b");
		text(&mut out, "types");
		out.extend(9u32.to_le_bytes());
		out.extend(5u32.to_le_bytes());
		out.extend(1u64.to_le_bytes());
		out.extend((-3i32).to_le_bytes());
		for (name, shape, kind, offset) in [("norm", vec![4u64], 0u32, 0u64), ("matrix", vec![32, 2], 8, 32)] {
			text(&mut out, name);
			out.extend((shape.len() as u32).to_le_bytes());
			shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
			out.extend(kind.to_le_bytes());
			out.extend(offset.to_le_bytes());
		}
		out.resize(out.len().next_multiple_of(32) + 32 + 2 * 34, 7);
		out
	}

	#[test]
	fn a_header_is_read_back_as_it_was_written() {
		let header = Header::parse(&small_file()).unwrap();
		assert_eq!(header.text("general.architecture").unwrap(), "llama");
		assert_eq!(header.texts("tokens").unwrap(), ["a", "b"]);
		assert_eq!(header.metadata["types"], Value::Integers(vec![-3]));
		assert_eq!(header.tensors["norm"].shape, [1, 4]);
		assert_eq!(header.tensors["matrix"].shape, [2, 32]);
		assert_eq!(header.tensors["matrix"].format, Format::Q8_0);
		assert!(header.integer("general.architecture").is_err());
	}

	#[test]
	fn every_truncated_file_is_rejected() {
		let file = small_file();
		for length in 0..file.len() {
			assert!(Header::parse(&file[..length]).is_err(), "cut to {length}");
		}
	}

	#[test]
	fn a_count_that_the_file_cannot_hold_is_rejected() {
		let mut file = small_file();
		file[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
		assert!(Header::parse(&file).unwrap_err().to_string().contains("do not fit"));
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(2000))]

		#[test]
		fn parsing_never_panics_and_stays_in_the_file_after_any_change(
			changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
		) {
			let mut bytes = small_file();
			for (at, value) in changes {
				let at = at.index(bytes.len());
				bytes[at] = value;
			}
			if let Ok(header) = Header::parse(&bytes) {
				for info in header.tensors.values() {
					prop_assert!(info.start + info.size <= bytes.len());
				}
			}
		}

		#[test]
		fn parsing_never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
			let _ = Header::parse(&[b"GGUF\x03\0\0\0".as_slice(), &bytes].concat());
		}
	}
}
