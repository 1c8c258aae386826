//! The files of the checkout.

use anyhow::{Context, Result, ensure};
use std::{
	collections::BTreeSet,
	path::{Path, PathBuf},
	process::Command,
};

/// A text file.
pub struct File {
	/// Path relative to the root, with `/`.
	pub path: String,
	/// Contents.
	pub text: String,
}

/// All files that git knows, and new ones that it does not ignore.
pub struct Tree {
	root: PathBuf,
	/// The text files.
	pub files: Vec<File>,
	/// Files and folders, relative to the root.
	entries: BTreeSet<String>,
}

impl Tree {
	/// Reads the checkout that the test runs in.
	pub fn read() -> Result<Self> {
		// Read at run time: one compiled test may serve several checkouts.
		let here =
			std::env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set: run through cargo")?;
		let root = Path::new(&here).ancestors().nth(2).context("the crate is two folders below the root")?.to_owned();
		let output = Command::new("git")
			.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
			.current_dir(&root)
			.output()
			.context("git does not start")?;
		ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
		let mut tree = Self { root, files: Vec::new(), entries: BTreeSet::new() };
		for path in String::from_utf8(output.stdout)?.split_terminator('\0') {
			// A file that was deleted but is still in git's index has no bytes.
			let Ok(bytes) = std::fs::read(tree.root.join(path)) else { continue };
			tree.entries.extend(Path::new(path).ancestors().map(|entry| entry.display().to_string()));
			if let Ok(text) = String::from_utf8(bytes) {
				tree.files.push(File { path: path.to_owned(), text });
			}
		}
		Ok(tree)
	}

	/// The text files with one of these extensions.
	pub fn with_extension(&self, extensions: &[&str]) -> impl Iterator<Item = &File> {
		self.files.iter().filter(move |file| {
			let extension = Path::new(&file.path).extension().and_then(|extension| extension.to_str());
			extension.is_some_and(|extension| extensions.contains(&extension))
		})
	}

	/// The text file at `path`.
	pub fn file(&self, path: &str) -> Option<&File> {
		self.files.iter().find(|file| file.path == path)
	}

	/// Whether git knows a file or folder at `path`.
	pub fn exists(&self, path: &str) -> bool {
		self.entries.contains(path.trim_end_matches('/'))
	}

	/// Resolves `target` from the folder of the file `from`. `None` if it leaves the tree.
	pub fn resolve(from: &str, target: &str) -> Option<String> {
		let mut parts: Vec<&str> = from.split('/').collect();
		parts.pop();
		for part in target.split('/') {
			match part {
				"" | "." => {},
				".." => drop(parts.pop()?),
				part => parts.push(part),
			}
		}
		Some(parts.join("/"))
	}
}
