//! Checks of the origins with which referenda dispatch proposals.

use crate::Origin;
use core::marker::PhantomData;
use polkadot_sdk::frame_support::traits::{EnsureOrigin, Get, OriginTrait};

/// Accepts the one origin that `G` names.
pub struct EnsureTrack<G>(PhantomData<G>);

impl<O, G> EnsureOrigin<O> for EnsureTrack<G>
where
	O: OriginTrait + From<Origin>,
	for<'a> &'a O::PalletsOrigin: TryInto<&'a Origin>,
	G: Get<Origin>,
{
	type Success = ();

	fn try_origin(origin: O) -> Result<(), O> {
		let named = matches!(origin.caller().try_into(), Ok(track) if *track == G::get());
		if named { Ok(()) } else { Err(origin) }
	}

	#[cfg(feature = "runtime-benchmarks")]
	fn try_successful_origin() -> Result<O, ()> {
		Ok(G::get().into())
	}
}
