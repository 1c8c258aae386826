//! `gonka-worker`: the program that a host runs beside its node.

use gonka_worker::{conduct::Honest, program};
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
	program::run(std::env::args_os(), Arc::new(Honest))
}
