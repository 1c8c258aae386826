//! A trial of a model in a process of its own: llama.cpp ends the process at some files that make no sense.

use std::{
	io::{self, Read},
	path::Path,
	process::{Child, Command, Stdio},
	thread::JoinHandle,
	time::{Duration, Instant},
};

use crate::{
	Engine, EngineError, GenerateRequest, TokenEvent,
	local::{LocalConfig, LocalEngine},
};

/// Maximum time of a trial: reading a large model from a slow disk takes minutes.
const MAX_TIME: Duration = Duration::from_secs(30 * 60);
/// Pause between two looks at the process.
const PAUSE: Duration = Duration::from_millis(2);
/// Maximum number of bytes that are kept of what the process writes.
const MAX_OUTPUT: u64 = 16 << 10;
/// Maximum number of bytes of its last words that an error shows.
const MAX_SHOWN: usize = 300;

/// Loads a model in this process, and computes a token with it. For programs that [`LocalConfig::trial`] starts: they write
/// an error to standard output and end with another code than 0.
///
/// # Errors
/// As [`LocalEngine::load`].
pub fn try_model(config: &LocalConfig) -> Result<(), EngineError> {
	let engine = LocalEngine::load(&LocalConfig { trial: None, ..config.clone() })?;
	let mut prompt = engine.tokenizer().encode("a");
	if prompt.is_empty() {
		prompt.push(0);
	}
	let max_tokens = usize::from(!engine.info().embeds);
	let request = GenerateRequest { prompt, max_tokens, ignore_eos: true, ..Default::default() };
	let mut events = engine.generate(request)?;
	while let Some(event) = events.blocking_recv() {
		if let TokenEvent::Error { message } = event {
			return Err(EngineError::Compute(message));
		}
	}
	Ok(())
}

/// Runs the program that tries the model at `path`.
///
/// # Errors
/// [`EngineError::Model`] with what the program wrote, if it failed; [`EngineError::Compute`] if it could not run.
pub(super) fn run(mut command: Command, path: &Path) -> Result<(), EngineError> {
	let failed = |error: io::Error| EngineError::Compute(format!("a trial of {}: {error}", path.display()));
	// Without it, llama.cpp starts a debugger when it ends the process.
	command.env("GGML_NO_BACKTRACE", "1");
	let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
	let mut child = command.spawn().map_err(failed)?;
	let written = [read(child.stdout.take()), read(child.stderr.take())];
	let ended = wait(&mut child).map_err(failed)?;
	let [out, err] = written.map(|thread| thread.join().unwrap_or_default());
	match ended {
		Some(status) if status.success() => Ok(()),
		Some(status) if status.code().is_some() && !out.trim().is_empty() => {
			Err(EngineError::Model(out.trim().to_owned()))
		},
		Some(status) => {
			let words = err.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
			let words: String = words.chars().take(MAX_SHOWN).collect();
			let path = path.display();
			Err(EngineError::Model(format!(
				"{path}: llama.cpp ended the process that tried the file ({status}): {words}"
			)))
		},
		None => {
			let seconds = MAX_TIME.as_secs();
			Err(EngineError::Model(format!("{}: it did not load within {seconds} s", path.display())))
		},
	}
}

/// Waits until the process ends. Kills it, and returns `None`, if it takes too long.
fn wait(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
	let begun = Instant::now();
	loop {
		if let Some(status) = child.try_wait()? {
			return Ok(Some(status));
		}
		if begun.elapsed() > MAX_TIME {
			child.kill()?;
			child.wait()?;
			return Ok(None);
		}
		std::thread::sleep(PAUSE);
	}
}

/// Reads what a process writes, and keeps the beginning.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
	std::thread::spawn(move || {
		let mut kept = Vec::new();
		if let Some(mut pipe) = pipe {
			// A pipe that breaks has no more to say.
			let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
			let _ = io::copy(&mut pipe, &mut io::sink());
		}
		String::from_utf8_lossy(&kept).into_owned()
	})
}
