//! `gonka-reference <FOLDER>`: writes the man pages. `make man` calls it.

use anyhow::{Context, Result};
use std::path::PathBuf;

fn main() -> Result<()> {
	let folder: PathBuf = std::env::args_os().nth(1).context("usage: gonka-reference <FOLDER>")?.into();
	gonka_reference::write_man_pages(&folder).with_context(|| format!("cannot write to {}", folder.display()))?;
	println!("the man pages are in {0}: man -l {0}/gonka.1", folder.display());
	Ok(())
}
