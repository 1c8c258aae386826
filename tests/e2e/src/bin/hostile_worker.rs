//! `hostile-worker KIND …`: a `gonka-worker` that cheats, for test networks.

use clap::ValueEnum;
use gonka_hostile::{Cheat, Kind};
use gonka_worker::{conduct::Honest, engines::TRY_MODEL, program};
use std::{ffi::OsString, process::ExitCode, sync::Arc};

fn main() -> ExitCode {
	let mut arguments: Vec<OsString> = std::env::args_os().collect();
	// The program runs itself in this way to try a model.
	if arguments.get(1).is_some_and(|first| first == TRY_MODEL) {
		return program::run(arguments, Arc::new(Honest));
	}
	let kind = (arguments.len() > 1).then(|| arguments.remove(1));
	let Some(kind) = kind.as_ref().and_then(|kind| Kind::from_str(kind.to_str()?, true).ok()) else {
		eprintln!("hostile-worker: the first argument is the way to cheat; the options of gonka-worker follow it");
		return ExitCode::from(2);
	};
	program::run(arguments, Arc::new(Cheat::new(kind)))
}
