//! The hash by which governance registers a model's files.

use sha2::{Digest, Sha256};
use std::{
	fs::{self, File},
	io,
	path::Path,
};

/// Endings of the files in a folder that an engine may read.
const READ: [&str; 3] = ["json", "jinja", "safetensors"];

/// Returns the SHA-256 of a file. Of a folder it is that of the lines that `sha256sum` prints for its files `*.json`, `*.jinja` and
/// `*.safetensors`, in the order of their names' bytes.
///
/// # Errors
/// Those of the file system.
pub fn model_hash(path: &Path) -> io::Result<[u8; 32]> {
	if !path.is_dir() {
		return of_file(path);
	}
	let mut names = Vec::new();
	for entry in fs::read_dir(path)? {
		let entry = entry?;
		let name = entry.file_name();
		let has_ending = Path::new(&name).extension().is_some_and(|ending| READ.iter().any(|known| ending == *known));
		// Links to files are followed, as downloads in caches have them.
		if has_ending && entry.path().is_file() && !name.as_encoded_bytes().starts_with(b".") {
			names.push(name);
		}
	}
	names.sort_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
	let mut hasher = Sha256::new();
	for name in names {
		let hash = of_file(&path.join(&name))?;
		hasher.update(format!("{}  {}\n", hex::encode(hash), name.to_string_lossy()));
	}
	Ok(hasher.finalize().into())
}

fn of_file(path: &Path) -> io::Result<[u8; 32]> {
	let mut hasher = Sha256::new();
	io::copy(&mut File::open(path)?, &mut hasher)?;
	Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::process::Command;

	#[test]
	fn a_folders_hash_is_that_of_what_sha256sum_prints() {
		let folder = tempfile::tempdir().unwrap();
		for name in ["tokenizer.json", "config.json", "model.safetensors", "README.md", ".cache.json"] {
			fs::write(folder.path().join(name), name).unwrap();
		}
		fs::create_dir(folder.path().join("folder.json")).unwrap();
		let line = "sha256sum config.json model.safetensors tokenizer.json | sha256sum";
		let output = Command::new("sh").args(["-c", line]).current_dir(&folder).output().unwrap();
		let expected = String::from_utf8(output.stdout).unwrap();
		assert!(expected.starts_with(&hex::encode(model_hash(folder.path()).unwrap())), "{expected}");
		let other = model_hash(&folder.path().join("config.json")).unwrap();
		assert_ne!(other, model_hash(folder.path()).unwrap());
		assert!(model_hash(&folder.path().join("missing")).is_err());
	}
}
