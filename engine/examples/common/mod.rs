//! llama.cpp's own server, as a peer to compare with.

use std::{
	error::Error,
	io::{BufRead, BufReader, Read, Write},
	net::TcpStream,
	path::{Path, PathBuf},
	process::{Child, Command, Stdio},
};

pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Returns the folder of what `scripts/setup` installs.
pub fn home() -> Result<PathBuf> {
	let home = std::env::var_os("GONKA_HOME").map(PathBuf::from);
	Ok(home.or_else(|| Some(std::env::home_dir()?.join(".cache/gonka"))).ok_or("no home folder")?)
}

/// A server with one model. It ends with its standard input.
pub struct Server {
	process: Child,
	pub address: String,
}

impl Server {
	/// Starts a server, and waits until it has loaded the model.
	pub fn start(model: &Path, threads: usize, slots: usize, context: usize) -> Result<Self> {
		let mut process = Command::new(home()?.join("python/bin/python"))
			.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/common/server.py"))
			.arg(model)
			.args([threads, slots, context].map(|n| n.to_string()))
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.stderr(Stdio::null())
			.spawn()?;
		let mut url = String::new();
		BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut url)?;
		let address = url.trim().strip_prefix("http://").ok_or("no server: run scripts/setup")?.to_owned();
		Ok(Self { process, address })
	}
}

impl Drop for Server {
	fn drop(&mut self) {
		let _ = self.process.kill();
		let _ = self.process.wait();
	}
}

/// Posts a JSON text and returns the whole response's.
pub fn post(address: &str, path: &str, body: &str) -> Result<String> {
	let mut stream = TcpStream::connect(address)?;
	write!(
		stream,
		"POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
		body.len()
	)?;
	let mut response = String::new();
	stream.read_to_string(&mut response)?;
	let (head, body) = response.split_once("\r\n\r\n").ok_or("no response")?;
	if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(response.into()) }
}
