//! Names of accounts.

use super::short;
use anyhow::Result;
use gonka_client::{chain::Chain, keys};
use gonka_primitives::AccountId;
use std::collections::HashMap;

/// People whose keys everybody knows: they hold the funds of networks for development.
const PEOPLE: [&str; 6] = ["Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie"];

/// Names of accounts on a network: those of well-known accounts on local networks, and none elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<AccountId, String>);

impl Names {
	/// The names on a chain.
	pub async fn of(chain: &Chain) -> Result<Self> {
		if chain.is_local().await? { Self::well_known() } else { Ok(Self::default()) }
	}

	fn well_known() -> Result<Self> {
		let uris = PEOPLE.iter().map(|name| format!("//{name}"));
		let named = uris.map(|uri| Ok((keys::public(&keys::from_uri(&uri)?), uri)));
		Ok(Self(named.collect::<Result<_>>()?))
	}

	/// The name of an account, if it has one.
	pub fn get(&self, account: &AccountId) -> Option<String> {
		self.0.get(account).cloned()
	}
}

/// The name of an account, or else its address, shortened.
pub fn shown(name: Option<&String>, address: &str) -> String {
	name.cloned().unwrap_or_else(|| short(address))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn well_known_accounts_have_the_names_of_their_keys() {
		let names = Names::well_known().unwrap();
		assert_eq!(names.0.len(), PEOPLE.len());
		for uri in ["//Alice", "//Ferdie"] {
			let account = keys::public(&keys::from_uri(uri).unwrap());
			assert_eq!(names.get(&account).as_deref(), Some(uri));
			assert_eq!(shown(names.get(&account).as_ref(), &keys::ss58(&account)), uri);
		}
		assert_eq!(names.get(&[1; 32]), None);
		assert_eq!(shown(None, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"), "5Grwva…GKutQY");
	}
}
