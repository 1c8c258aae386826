//! Turns of the queries that other hosts send.

use super::Rejection;
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::AccountId;
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use tokio::{
	sync::{Semaphore, SemaphorePermit},
	time::timeout,
};

/// Maximum number of queries of a host that run or wait. Its checks, its audits and its rulings have 8 each at a time.
const MAX_OF_HOST: usize = 24;
/// Maximum number of queries of all hosts that run or wait.
const MAX_QUERIES: usize = 1_024;

/// Queries that run, and those that wait for their turn: many checkers query at the same time.
pub struct Turns {
	permits: Semaphore,
	queries: Arc<Mutex<HashMap<AccountId, usize>>>,
	max_wait: Duration,
}

/// A query's turn. Dropping it ends the query.
pub struct Turn<'a> {
	_permit: SemaphorePermit<'a>,
	_queued: Queued,
}

struct Queued {
	host: AccountId,
	queries: Arc<Mutex<HashMap<AccountId, usize>>>,
}

impl Turns {
	/// Lets `running` queries run at the same time. Others wait for at most `max_wait`.
	pub fn new(running: usize, max_wait: Duration) -> Self {
		Self { permits: Semaphore::new(running), queries: Arc::default(), max_wait }
	}

	/// Waits for the turn of an authenticated query of `host`.
	///
	/// # Errors
	/// A rejection if the host, or all hosts together, have too many queries, or if the wait is too long.
	pub async fn wait(&self, host: AccountId) -> Result<Turn<'_>, Rejection> {
		let queued = self.queue(host)?;
		let permit = timeout(self.max_wait, self.permits.acquire()).await.map_err(|_| busy())?;
		Ok(Turn { _permit: permit.map_err(Rejection::internal)?, _queued: queued })
	}

	fn queue(&self, host: AccountId) -> Result<Queued, Rejection> {
		let mut queries = lock(&self.queries);
		let all = queries.values().fold(0usize, |sum, of_host| sum.saturating_add(*of_host));
		let of_host = queries.entry(host).or_default();
		if *of_host >= MAX_OF_HOST || all >= MAX_QUERIES {
			return Err(busy());
		}
		*of_host = of_host.saturating_add(1);
		Ok(Queued { host, queries: self.queries.clone() })
	}
}

impl Drop for Queued {
	fn drop(&mut self) {
		let mut queries = lock(&self.queries);
		if let Some(of_host) = queries.get_mut(&self.host) {
			*of_host = of_host.saturating_sub(1);
		}
		queries.retain(|_, of_host| *of_host > 0);
	}
}

fn busy() -> Rejection {
	Rejection::new(ErrorCode::Busy, "too many queries at once: try again")
}

fn lock(queries: &Mutex<HashMap<AccountId, usize>>) -> MutexGuard<'_, HashMap<AccountId, usize>> {
	// A poisoned lock is safe to use: no code panics halfway through a change.
	queries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may panic")]
mod tests {
	use super::*;
	use futures::{FutureExt, future::join_all};

	#[tokio::test]
	async fn one_host_takes_a_bounded_number_of_turns() {
		let turns = Turns::new(1, Duration::from_secs(600));
		let (greedy, other) = ([1; 32], [2; 32]);
		let Ok(running) = turns.wait(greedy).await else { panic!("no query runs") };
		let mut waiting = Box::pin(join_all((1..MAX_OF_HOST).map(|_| turns.wait(greedy))));
		assert!(waiting.as_mut().now_or_never().is_none());
		assert!(turns.wait(greedy).await.is_err(), "one more than a host may have");
		let mut others = Box::pin(turns.wait(other));
		assert!(others.as_mut().now_or_never().is_none(), "it waits");
		// The waiting queries end early, as their connections do.
		drop((running, waiting));
		assert!(others.await.is_ok() && lock(&turns.queries).is_empty());
	}
}
