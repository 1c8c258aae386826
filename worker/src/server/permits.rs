//! Permits for requests for completions: one for each that may run or wait.

use super::{
	Rejection,
	turns::{Share, Shares},
};
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::AccountId;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits that are free, and those that developers hold.
pub struct Permits {
	/// The free ones. None is given when it is closed.
	pub(super) free: Arc<Semaphore>,
	capacity: u32,
	held: Shares,
}

/// A permit. Dropping it frees it.
pub struct Permit {
	_permit: OwnedSemaphorePermit,
	_share: Share,
}

impl Permits {
	/// Makes so many permits.
	pub fn new(capacity: u32) -> Self {
		Self { free: Arc::new(Semaphore::new(capacity as usize)), capacity, held: Shares::default() }
	}

	/// Takes a permit for a request of `developer`. A developer holds three quarters of them at most, so that others get some.
	///
	/// # Errors
	/// A rejection if all are taken, or too many by this developer.
	pub fn take(&self, developer: AccountId) -> Result<Permit, Rejection> {
		let busy = |why: &str| Rejection::new(ErrorCode::Busy, why);
		let most = (self.capacity.saturating_mul(3) / 4).max(1) as usize;
		let share = self.held.take(developer, most, usize::MAX);
		let share = share
			.ok_or_else(|| busy("this developer's requests fill three quarters of the queue: try another host"))?;
		let permit = self.free.clone().try_acquire_owned();
		let permit = permit.map_err(|_| busy("the queue is full: try later, or another host"))?;
		Ok(Permit { _permit: permit, _share: share })
	}

	/// Returns the number of permits that are taken.
	pub fn taken(&self) -> u32 {
		self.capacity.saturating_sub(self.free.available_permits() as u32)
	}
}
