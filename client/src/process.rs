//! The process of a program: permissions of its files, and their number.

use rustix::{
	fs::Mode,
	process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

/// Keeps files and folders that this process makes from now on from the machine's other users.
pub fn hide_files() {
	umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the maximum number of files that this process may have open, with sockets, to its hard limit. Returns the maximum, or
/// `None` if there is none.
pub fn raise_open_files() -> Option<u64> {
	let limit = getrlimit(Resource::Nofile);
	match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
		Ok(()) => limit.maximum,
		Err(_) => limit.current,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_process_may_open_as_many_files_as_it_is_told() {
		let most = raise_open_files();
		assert_eq!(getrlimit(Resource::Nofile).current, most);
		assert_eq!(raise_open_files(), most);
	}
}
