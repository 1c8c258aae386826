//! Tokenizer files: gateways fetch them from hosts by the hash that is registered with a model.

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use gonka_primitives::Hash;
use gonka_tokenizer::gguf::tokenizer_file;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The subcommand that makes a tokenizer file.
pub const TOKENIZER: &str = "tokenizer";
/// Name of the tokenizer file in a folder with safetensors.
const IN_FOLDER: &str = "tokenizer.gguf";

/// Print the hash of a model's tokenizer file, which a proposal of the model needs (docs/governance.md).
#[derive(Debug, Parser)]
#[command(
	name = "gonka-worker tokenizer",
	after_help = "\
Example:
  gonka-worker tokenizer SmolLM2-135M-Instruct.Q4_1.gguf --output tokenizer.gguf"
)]
pub struct MakeTokenizer {
	/// A GGUF file of the model, in any format of weights.
	model: PathBuf,
	/// Where to write the file.
	#[arg(long, value_name = "FILE")]
	output: Option<PathBuf>,
}

impl MakeTokenizer {
	/// Makes the file. Prints its hash.
	pub fn run(&self) -> anyhow::Result<()> {
		let file = tokenizer_file(&self.model)?;
		if let Some(path) = &self.output {
			std::fs::write(path, &file).with_context(|| format!("cannot write {}", path.display()))?;
		}
		println!("{}", hex::encode(hash(&file)));
		Ok(())
	}
}

/// The hash by which a tokenizer file is registered.
pub fn hash(file: &[u8]) -> Hash {
	Sha256::digest(file).into()
}

/// Returns the tokenizer file with this hash, of the files that were `given` or of the model's own. `None` if none has it.
///
/// # Errors
/// A file that was given cannot be read.
pub fn find(given: &[PathBuf], model: Option<&Path>, wanted: &Hash) -> anyhow::Result<Option<Bytes>> {
	let mut files = given.iter().map(|path| Ok(tokenizer_file(path)?)).collect::<anyhow::Result<Vec<_>>>()?;
	let in_folder = model.map(|path| path.join(IN_FOLDER)).filter(|path| path.is_file());
	// A model in another form has none, or has it elsewhere.
	files.extend(in_folder.as_deref().or(model).and_then(|path| tokenizer_file(path).ok()));
	Ok(files.into_iter().find(|file| hash(file) == *wanted).map(Bytes::from))
}

/// Returns the number of token ids and the id of the end that a tokenizer file names.
///
/// # Errors
/// The file is malformed or lacks them.
#[cfg(feature = "mock")]
pub fn vocabulary(path: &Path) -> anyhow::Result<(usize, u32)> {
	match gonka_tokenizer::gguf::vocabulary(path)? {
		(size, Some(end)) => Ok((size, end)),
		_ => anyhow::bail!("{} names no token that ends a completion", path.display()),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_tokenizer_is_found_by_its_hash() {
		let folder = tempfile::tempdir().unwrap();
		let (given, other) = (folder.path().join("given.gguf"), folder.path().join("other.gguf"));
		let file = gonka_tokenizer::mock_tokenizer(&["one"]);
		std::fs::write(&given, &file).unwrap();
		std::fs::write(&other, gonka_tokenizer::mock_tokenizer(&["two"])).unwrap();
		let wanted = hash(&file);
		let paths = [other.clone(), given.clone()];
		assert_eq!(find(&paths, None, &wanted).unwrap().unwrap(), file);
		assert_eq!(
			find(&[], Some(&given), &wanted).unwrap().unwrap(),
			file,
			"cut out of a file without weights, it is the same"
		);
		assert_eq!(find(&[], Some(&other), &wanted).unwrap(), None);
		std::fs::write(folder.path().join(IN_FOLDER), &file).unwrap();
		assert_eq!(find(&[], Some(folder.path()), &wanted).unwrap().unwrap(), file);
		assert!(find(&[folder.path().join("missing")], None, &wanted).is_err());
	}
}
