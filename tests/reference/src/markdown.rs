//! A clap command as Markdown.

use clap::{Arg, Command, builder::StyledStr};
use std::fmt::Write;

/// Writes a line of links to a program's section and to those of its first level of commands.
pub fn contents(out: &mut String, program: &Command) {
	let link = |command| format!("[`{0}`](#{1})", name(command), name(command).replace(' ', "-"));
	let links: Vec<String> = std::iter::once(program).chain(subcommands(program)).map(link).collect();
	let _ = writeln!(out, "- {}", links.join(" · "));
}

/// Writes a command's section and those of its sub-commands. `listed` holds the options that a section above describes.
pub fn command(out: &mut String, command: &Command, listed: &[&str]) {
	let level = if command.get_name() == name(command) { "##" } else { "###" };
	let _ = writeln!(out, "\n{level} {}", name(command));
	if let Some(about) = command.get_long_about().or(command.get_about()) {
		prose(out, about);
	}
	let usage = command.clone().render_usage().to_string();
	let usage: Vec<&str> = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect();
	let _ = writeln!(out, "\n```text\n{}\n```", usage.join("\n"));

	let shown = command.get_arguments().filter(|argument| !argument.is_hide_set() && !is_builtin(argument));
	let new: Vec<&Arg> = shown.filter(|argument| !listed.contains(&argument.get_id().as_str())).collect();
	if !new.is_empty() {
		out.push('\n');
	}
	new.iter().for_each(|option| argument(out, option, command.has_subcommands()));
	if let Some(help) = command.get_after_long_help().or(command.get_after_help()) {
		prose(out, help);
	}
	let global = new.iter().filter(|option| option.is_global_set()).map(|option| option.get_id().as_str());
	let listed: Vec<&str> = listed.iter().copied().chain(global).collect();
	subcommands(command).for_each(|command| self::command(out, command, &listed));
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
	command.get_subcommands().filter(|command| !command.is_hide_set())
}

/// The words that run a command, such as `gonka host show`.
fn name(command: &Command) -> String {
	command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}

fn is_builtin(argument: &Arg) -> bool {
	matches!(argument.get_id().as_str(), "help" | "version")
}

/// Writes the entry of an argument. `is_group` says that it belongs to a command with sub-commands.
fn argument(out: &mut String, argument: &Arg, is_group: bool) {
	let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
	let mut text = sentence(&help.split_whitespace().collect::<Vec<_>>().join(" "));
	if argument.get_action().takes_values() && !argument.is_hide_default_value_set() {
		let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
		if !values.is_empty() {
			let _ = write!(text, " Default: `{}`.", values.join(","));
		}
	}
	if let Some(variable) = argument.get_env() {
		let _ = write!(text, " Environment: `{}`.", variable.to_string_lossy());
	}
	if is_group && argument.is_global_set() {
		text.push_str(" Also accepted after each command below.");
	}
	let _ = writeln!(out, "- `{argument}`: {text}");
	if !argument.get_action().takes_values() {
		return;
	}
	for value in argument.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
		let help = value.get_help().map(ToString::to_string).unwrap_or_default();
		let _ = writeln!(out, "  - `{}`: {}", value.get_name(), sentence(&help));
	}
}

/// Help text with the full stop that clap takes from its end, safe to stand in Markdown.
fn sentence(text: &str) -> String {
	let end = if text.is_empty() || text.ends_with(['.', '…', '?', ':']) { "" } else { "." };
	format!("{}{end}", text.replace('<', "\\<"))
}

/// Writes paragraphs. Indented lines become blocks of code.
fn prose(out: &mut String, text: &StyledStr) {
	let text = text.to_string();
	for block in text.split("\n\n").flat_map(blocks) {
		let indent = block.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
		let block: Vec<&str> = block.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
		let block = block.join("\n");
		let _ = match indent {
			0 => writeln!(out, "\n{}", sentence(&block)),
			_ => writeln!(out, "\n```text\n{block}\n```"),
		};
	}
}

/// Splits a paragraph where its lines begin or cease to be indented.
fn blocks(paragraph: &str) -> Vec<Vec<&str>> {
	let is_code = |line: &str| line.starts_with(' ');
	let lines: Vec<&str> = paragraph.lines().filter(|line| !line.is_empty()).collect();
	lines.chunk_by(|line, next| is_code(line) == is_code(next)).map(<[&str]>::to_vec).collect()
}
