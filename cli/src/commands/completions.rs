//! `gonka completions`.

use super::{Cli, emit};
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::aot::{Shell, generate};

/// Arguments of `gonka completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gonka completions bash > ~/.local/share/bash-completion/completions/gonka
  gonka completions zsh > ~/.zfunc/_gonka # in a folder of fpath
  gonka completions fish > ~/.config/fish/completions/gonka.fish")]
pub struct Arguments {
	/// Shell.
	#[arg(value_enum)]
	shell: Shell,
}

/// Runs `gonka completions`.
pub fn run(arguments: &Arguments) -> Result<()> {
	emit(&script(arguments.shell))
}

fn script(shell: Shell) -> String {
	let mut out = Vec::new();
	generate(shell, &mut Cli::command(), "gonka", &mut out);
	String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn completions_know_commands_and_options() {
		for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
			let script = script(shell);
			for word in ["session-keys", "top-up", "host-key"] {
				assert!(script.contains(word), "no {word} for {shell}");
			}
		}
	}
}
