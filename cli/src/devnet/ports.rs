//! Chooses ports on 127.0.0.1.

use super::config::Ports;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
	fs,
	net::{Ipv4Addr, SocketAddr, TcpListener},
	path::{Path, PathBuf},
	sync::{Mutex, PoisonError},
};
use tokio::net::TcpSocket;

/// Sockets bound to the ports that this process has chosen. They do not listen: see [`reserve`].
static RESERVED: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// Ports of a network. A file in its folder keeps them for the next run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
	/// RPC ports of the nodes.
	pub rpc: Vec<u16>,
	/// Peer-to-peer ports of the nodes.
	pub peer: Vec<u16>,
	/// Ports of the workers.
	pub worker: Vec<u16>,
	/// Port of the gateway.
	pub gateway: u16,
}

impl Chosen {
	fn path(base: &Path) -> PathBuf {
		base.join("ports.json")
	}

	/// The ports of the last run in `base`; none if they are not known.
	pub fn read(base: &Path) -> Self {
		let known = fs::read(Self::path(base)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
		known.unwrap_or_default()
	}

	/// Keeps the ports for the next run.
	pub fn write(&self, base: &Path) -> Result<()> {
		let path = Self::path(base);
		fs::write(&path, serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", path.display()))
	}
}

/// Chooses ports for a network of `nodes` nodes and `hosts` workers: each that is wanted, or else that of the `last` run, the usual one, or any, the first
/// of them that is free.
pub(super) fn choose(wanted: &Ports, nodes: u16, hosts: u16, last: &Chosen) -> Result<Chosen> {
	let mut picker = Picker { any: wanted.any, taken: Vec::new() };
	Ok(Chosen {
		rpc: picker.row("--node-port", wanted.node, &last.rpc, 9944, nodes)?,
		peer: picker.row("", None, &last.peer, 30333, nodes)?,
		worker: picker.row("--worker-port", wanted.worker, &last.worker, 9000, hosts)?,
		gateway: picker.one("--gateway-port", wanted.gateway, Some(last.gateway), 8080)?,
	})
}

/// Finds `count` different ports on which no program listens, and reserves them until this process ends.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
	(0..count).map(|_| reserve(0)).collect()
}

/// Reserves a port, or any free one for 0, and returns it.
///
/// On Linux, a bound socket keeps the system from giving the port to another program, for its connections or for port 0,
/// while a program that names the port can listen there, since the socket itself does not listen. So the port stays ours
/// also while its program is started again. Other networks, which may want the same port, are told by [`is_reserved`].
fn reserve(port: u16) -> Result<u16> {
	let socket = TcpSocket::new_v4()?;
	socket.set_reuseaddr(true)?;
	socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).context("no port of this machine can be reserved")?;
	let port = socket.local_addr()?.port();
	if cfg!(target_os = "linux") {
		RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
	}
	Ok(port)
}

/// Whether a network that is starting has reserved this port, and listens there soon.
#[cfg(target_os = "linux")]
fn is_reserved(port: u16) -> bool {
	// Without the option to share an address, which a program that listened there a moment ago calls for, it cannot be bound.
	let is_bound = TcpSocket::new_v4().is_ok_and(|socket| socket.bind((Ipv4Addr::LOCALHOST, port).into()).is_err());
	let port = format!(":{port:04X}");
	let is_of = |line: &str| line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&port));
	// A connection that ended a moment ago is listed, and a socket that is only bound is not.
	is_bound && !std::fs::read_to_string("/proc/net/tcp").unwrap_or_default().lines().any(is_of)
}

/// Whether a network that is starting has reserved this port: never known here.
#[cfg(not(target_os = "linux"))]
fn is_reserved(_: u16) -> bool {
	false
}

struct Picker {
	any: bool,
	taken: Vec<u16>,
}

impl Picker {
	fn row(&mut self, option: &str, wanted: Option<u16>, last: &[u16], usual: u16, count: u16) -> Result<Vec<u16>> {
		(0..count)
			.map(|index| {
				let wanted = wanted
					.map(|port| port.checked_add(index).context("a port exceeds 65535: choose a lower first port"))
					.transpose()?;
				self.one(option, wanted, last.get(usize::from(index)).copied(), usual.saturating_add(index))
			})
			.collect()
	}

	fn one(&mut self, option: &str, wanted: Option<u16>, last: Option<u16>, usual: u16) -> Result<u16> {
		let port = match wanted {
			Some(port) if self.is_free(port) => reserve(port)?,
			Some(port) => bail!(
				"port {port} is in use ({option}): stop the program that listens there (`ss -ltnp` shows it), or omit the \
				 option to use a free port"
			),
			None => {
				let usual = (!self.any).then_some(usual);
				let mut known = last.filter(|port| *port > 0).into_iter().chain(usual);
				reserve(known.find(|port| self.is_free(*port)).unwrap_or(0))?
			},
		};
		self.taken.push(port);
		Ok(port)
	}

	fn is_free(&self, port: u16) -> bool {
		!self.taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() && !is_reserved(port)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_error_about_a_port_in_use_names_port_and_option() {
		let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
		let port = occupied.local_addr().unwrap().port();
		let wanted = Ports { any: true, gateway: Some(port), ..Ports::default() };
		let error = choose(&wanted, 3, 3, &Chosen::default()).unwrap_err().to_string();
		assert!(error.contains("--gateway-port") && error.contains(&port.to_string()), "{error}");
	}

	#[test]
	fn all_chosen_ports_differ() {
		let chosen = choose(&Ports { any: true, ..Ports::default() }, 3, 3, &Chosen::default()).unwrap();
		let mut all: Vec<u16> = [chosen.rpc, chosen.peer, chosen.worker, vec![chosen.gateway]].concat();
		assert_eq!(all.len(), 10);
		all.sort_unstable();
		all.dedup();
		assert_eq!(all.len(), 10);
	}

	#[test]
	fn a_network_keeps_its_ports_but_for_those_that_were_taken_meanwhile() {
		// Below those that the system gives to programs that name none.
		let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
		let free: Vec<u16> = (20_000..30_000).filter(is_free).take(10).collect();
		let last =
			Chosen { rpc: free[..3].into(), peer: free[3..6].into(), worker: free[6..9].into(), gateway: free[9] };
		let directory = tempfile::tempdir().unwrap();
		assert_eq!(Chosen::read(directory.path()), Chosen::default());
		last.write(directory.path()).unwrap();
		let _other = TcpListener::bind(("127.0.0.1", last.gateway)).unwrap();
		let wanted = Ports { any: true, ..Ports::default() };
		let chosen = choose(&wanted, 3, 3, &Chosen::read(directory.path())).unwrap();
		assert_ne!(chosen.gateway, last.gateway);
		assert_eq!(Chosen { gateway: last.gateway, ..chosen }, last);
	}

	#[test]
	fn a_chosen_port_is_only_for_the_program_that_names_it() {
		let [port] = free_ports(1).unwrap()[..] else { panic!("one port") };
		for _ in 0..2 {
			let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
			assert!(TcpListener::bind(("127.0.0.1", port)).is_err());
			drop(listener);
		}
		assert_eq!(is_reserved(port), cfg!(target_os = "linux"));
		let wanted = Ports { any: true, gateway: Some(port), ..Ports::default() };
		assert_eq!(
			choose(&wanted, 1, 1, &Chosen::default()).is_err(),
			cfg!(target_os = "linux"),
			"another network has it"
		);
		let taken = TcpSocket::new_v4().unwrap().bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
		assert_eq!(taken.is_err(), cfg!(target_os = "linux"));
	}
}
