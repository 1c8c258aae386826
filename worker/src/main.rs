//! `gonka-worker`: hosts run it beside their node.

fn main() -> std::process::ExitCode {
	gonka_worker::program::run(std::env::args_os())
}
