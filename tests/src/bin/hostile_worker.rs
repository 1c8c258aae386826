//! `hostile-worker KIND …`: a `gonka-worker` that cheats, for networks that are only for tests.

use clap::ValueEnum;
use gonka_worker::{
	hostile::{self, Kind},
	program,
};
use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
	let mut arguments: Vec<OsString> = std::env::args_os().collect();
	let kind = (arguments.len() > 1).then(|| arguments.remove(1));
	match kind.as_ref().and_then(|kind| Kind::from_str(kind.to_str()?, true).ok()) {
		Some(kind) => hostile::set(kind),
		None => {
			eprintln!("hostile-worker: first says how to cheat, then what gonka-worker is told");
			return ExitCode::from(2);
		},
	}
	program::run(arguments)
}
