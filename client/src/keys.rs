//! Key files, signatures and addresses.
//!
//! A key file holds one line, a secret URI: a phrase of 12 to 24 words, `0x` and the hex of a 32-byte seed, or a
//! development key such as `//Alice`. A reader of the file can sign with it, so only its owner may have access.

mod address;

pub(crate) use address::serve;
pub use address::{Address, general_ss58, ss58};

use gonka_primitives::{Hash, PublicKey, Signature};
use std::{
	fs,
	io::{self, Write},
	os::unix::fs::{OpenOptionsExt, PermissionsExt},
	path::{Path, PathBuf},
	str::FromStr,
};
use subxt_signer::{SecretUri, bip39::Mnemonic, sr25519};

/// An sr25519 key pair.
pub use subxt_signer::sr25519::Keypair;

/// Why a key file or an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
	/// The key file cannot be read.
	#[error("cannot read the key file {}: {cause}; make one with `gonka account create`", path.display())]
	Read {
		/// The file.
		path: PathBuf,
		/// The cause.
		cause: io::Error,
	},
	/// The key file cannot be written.
	#[error("cannot write the key file {}: {cause}", path.display())]
	Write {
		/// The file.
		path: PathBuf,
		/// The cause.
		cause: io::Error,
	},
	/// The key file exists already. It is never overwritten.
	#[error("{} exists already and is not overwritten: name another file, or move it away first", path.display())]
	Exists {
		/// The file.
		path: PathBuf,
	},
	/// The text is not a secret URI.
	#[error(
		"{origin} holds no secret URI ({cause}): write one line with a phrase, 0x and a 32-byte seed in hex, or //Name"
	)]
	BadSecret {
		/// Where the text comes from.
		origin: String,
		/// The fault; never the secret itself.
		cause: String,
	},
	/// The system has no randomness.
	#[error("the system has no randomness for a key: {0}")]
	Randomness(String),
	/// The text is not an address.
	#[error("`{text}` is neither an SS58 address nor 0x and 64 hex digits: {cause}")]
	BadAddress {
		/// The text.
		text: String,
		/// The fault.
		cause: String,
	},
	/// The address is for another network than the node's.
	#[error("{address} is an address of {network}, but the node belongs to {connected}")]
	OtherNetwork {
		/// The address.
		address: String,
		/// Its network.
		network: String,
		/// The node's network.
		connected: String,
	},
}

/// Reads a key file. A file that other users may read is accepted with a warning in the log.
pub fn load(path: impl AsRef<Path>) -> Result<Keypair, Error> {
	let path = path.as_ref();
	let text = fs::read_to_string(path).map_err(|cause| Error::Read { path: path.into(), cause })?;
	let mode = fs::metadata(path).map(|data| data.permissions().mode()).unwrap_or(0);
	if mode & 0o077 != 0 {
		tracing::warn!(path = %path.display(), "other users may read this key file: run `chmod 600` on it");
	}
	parse(&text).map_err(|cause| Error::BadSecret { origin: path.display().to_string(), cause })
}

/// Derives the key pair of a secret URI such as `//Alice`.
pub fn from_uri(text: &str) -> Result<Keypair, Error> {
	parse(text).map_err(|cause| Error::BadSecret { origin: "the text".into(), cause })
}

fn parse(text: &str) -> Result<Keypair, String> {
	let text = text.trim();
	if text.is_empty() {
		return Err("it is empty".into());
	}
	if text.lines().count() > 1 {
		return Err("it has more than one line".into());
	}
	let uri = SecretUri::from_str(text).map_err(|error| error.to_string())?;
	Keypair::from_uri(&uri).map_err(|error| error.to_string())
}

/// Makes a random key and writes it to a new file that only its owner may read. An existing file is never touched. A
/// crash leaves a whole file or none.
pub fn generate_to(path: impl AsRef<Path>) -> Result<Keypair, Error> {
	let mut seed = [0; 32];
	getrandom::getrandom(&mut seed).map_err(|error| Error::Randomness(error.to_string()))?;
	let pair = Keypair::from_secret_key(seed).map_err(|error| Error::Randomness(error.to_string()))?;
	write_secret(path.as_ref(), &format!("0x{}", hex::encode(seed)))?;
	Ok(pair)
}

/// Makes a random mnemonic of 24 words and writes it to a new file, as [`generate_to`] does. Returns the pair and the words.
pub fn create(path: impl AsRef<Path>) -> Result<(Keypair, String), Error> {
	let mut entropy = [0; 32];
	getrandom::getrandom(&mut entropy).map_err(|error| Error::Randomness(error.to_string()))?;
	let words = Mnemonic::from_entropy(&entropy).map_err(|error| Error::Randomness(error.to_string()))?.to_string();
	Ok((import(path, &words)?, words))
}

/// Writes a secret URI, such as a mnemonic, to a new file that only its owner may read, if it is one. The error about one that is
/// none does not reveal it.
pub fn import(path: impl AsRef<Path>, uri: &str) -> Result<Keypair, Error> {
	let pair = from_uri(uri)?;
	write_secret(path, uri.trim())?;
	Ok(pair)
}

/// Writes a secret URI to a new file that only its owner may read, as [`generate_to`] does.
pub fn write_secret(path: impl AsRef<Path>, uri: &str) -> Result<(), Error> {
	let path = path.as_ref();
	let failed = |cause: io::Error| Error::Write { path: path.into(), cause };
	let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
	fs::create_dir_all(directory).map_err(failed)?;
	let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
	let temporary = directory.join(format!(".{name}.{}", std::process::id()));
	let written = (|| {
		let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
		file.write_all(format!("{uri}\n").as_bytes())?;
		file.sync_all()?;
		// Unlike a rename, a link never replaces an existing file.
		fs::hard_link(&temporary, path)?;
		fs::File::open(directory)?.sync_all()
	})();
	// The key is safe whether or not this succeeds.
	let _ = fs::remove_file(&temporary);
	written.map_err(|cause| match cause.kind() {
		io::ErrorKind::AlreadyExists => Error::Exists { path: path.into() },
		_ => failed(cause),
	})
}

/// The public key of a pair. It is also the account.
pub fn public(pair: &Keypair) -> PublicKey {
	pair.public_key().0
}

/// Signs a payload made by `gonka_primitives::hashing::signing_payload`.
pub fn sign(pair: &Keypair, payload: &Hash) -> Signature {
	pair.sign(payload).0
}

/// Whether `signature` is by `key` over `payload`.
pub fn verify(signature: &Signature, payload: &Hash, key: &PublicKey) -> bool {
	sr25519::verify(&sr25519::Signature(*signature), payload, &sr25519::PublicKey(*key))
}

/// `signature` if it is by the key of `pair` over `payload`; otherwise a new one, as after a change of keys.
pub fn renew(pair: &Keypair, payload: &Hash, signature: Signature) -> Signature {
	if verify(&signature, payload, &public(pair)) { signature } else { sign(pair, payload) }
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_signature_is_valid_only_for_its_payload_and_key() {
		let (alice, bob) = (from_uri("//Alice").unwrap(), from_uri("//Bob").unwrap());
		let signature = sign(&alice, &[7; 32]);
		assert!(verify(&signature, &[7; 32], &public(&alice)));
		assert!(!verify(&signature, &[8; 32], &public(&alice)));
		assert!(!verify(&signature, &[7; 32], &public(&bob)));
		assert!(!verify(&[0xff; 64], &[7; 32], &public(&alice)));
	}

	#[test]
	fn a_generated_key_is_private_and_never_overwritten() {
		let directory = tempfile::tempdir().unwrap();
		let path = directory.path().join("sub/key");
		let pair = generate_to(&path).unwrap();
		assert_eq!(public(&load(&path).unwrap()), public(&pair));
		assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
		assert!(matches!(generate_to(&path), Err(Error::Exists { .. })));
		assert_eq!(public(&load(&path).unwrap()), public(&pair));
		assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
	}

	#[test]
	fn a_created_account_is_restored_from_its_words() {
		let directory = tempfile::tempdir().unwrap();
		let path = directory.path().join("key");
		let (pair, words) = create(&path).unwrap();
		assert_eq!(words.split(' ').count(), 24);
		assert_eq!(public(&from_uri(&words).unwrap()), public(&pair));
		assert_eq!(public(&load(&path).unwrap()), public(&pair));
		assert!(matches!(create(&path), Err(Error::Exists { .. })));
		let (other, _) = create(directory.path().join("other")).unwrap();
		assert_ne!(public(&other), public(&pair));
		let wrong = words.replacen(' ', " zebra ", 1);
		let error = import(directory.path().join("wrong"), &wrong).unwrap_err();
		assert!(matches!(error, Error::BadSecret { .. }) && !error.to_string().contains(&words[..8]), "{error}");
		assert!(!directory.path().join("wrong").exists());
	}

	#[test]
	fn the_error_about_a_bad_key_file_does_not_reveal_the_secret() {
		let directory = tempfile::tempdir().unwrap();
		let path = directory.path().join("key");
		for text in ["", "\n", "//Alice\n//Bob", "0x1234", "abandon abandon"] {
			fs::write(&path, text).unwrap();
			let error = load(&path).unwrap_err();
			assert!(matches!(error, Error::BadSecret { .. }), "{text}: {error}");
			assert!(text.trim().is_empty() || !error.to_string().contains(text), "{error}");
		}
		assert!(matches!(load(directory.path().join("none")), Err(Error::Read { .. })));
	}
}
