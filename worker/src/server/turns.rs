//! Turns of the queries that other hosts send, and bounds on what one account holds.

use super::Rejection;
use axum::body::{Body, Bytes};
use gonka_client::worker_api::ErrorCode;
use gonka_primitives::AccountId;
use http_body_util::{BodyExt, Full};
use std::{
	collections::HashMap,
	sync::{Arc, Mutex, MutexGuard, PoisonError},
	time::Duration,
};
use tokio::{
	sync::{Semaphore, SemaphorePermit},
	time::timeout,
};

/// Maximum number of queries of a host that run, wait or are being sent. Its checks, its audits and its rulings have 8 each at a
/// time.
const MAX_OF_HOST: usize = 24;
/// Maximum number of queries of all hosts that run, wait or are being sent.
const MAX_QUERIES: usize = 1_024;

/// Numbers of what accounts hold.
#[derive(Clone, Default)]
pub struct Shares(Arc<Mutex<HashMap<AccountId, usize>>>);

/// One of the things that an account holds. Dropping it gives it back.
pub struct Share {
	account: AccountId,
	shares: Shares,
}

impl Shares {
	/// Takes one for `account`, unless it holds `most` already, or all accounts together hold `most_of_all`.
	pub fn take(&self, account: AccountId, most: usize, most_of_all: usize) -> Option<Share> {
		let mut held = self.lock();
		let all = held.values().fold(0usize, |sum, of_account| sum.saturating_add(*of_account));
		let of_account = held.get(&account).copied().unwrap_or_default();
		if of_account >= most || all >= most_of_all {
			return None;
		}
		held.insert(account, of_account.saturating_add(1));
		Some(Share { account, shares: self.clone() })
	}

	fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
		// A poisoned lock is safe to use: no code panics halfway through a change.
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

impl Drop for Share {
	fn drop(&mut self) {
		let mut held = self.shares.lock();
		if let Some(of_account) = held.get_mut(&self.account) {
			*of_account = of_account.saturating_sub(1);
		}
		held.retain(|_, of_account| *of_account > 0);
	}
}

/// Queries that run, and those that wait for their turn: many checkers query at the same time.
pub struct Turns {
	permits: Semaphore,
	queries: Shares,
	max_wait: Duration,
}

/// A query's turn. Dropping it ends the query.
pub struct Turn<'a> {
	_permit: SemaphorePermit<'a>,
	query: Share,
}

impl Turns {
	/// Lets `running` queries run at the same time. Others wait for at most `max_wait`.
	pub fn new(running: usize, max_wait: Duration) -> Self {
		Self { permits: Semaphore::new(running), queries: Shares::default(), max_wait }
	}

	/// Waits for the turn of an authenticated query of `host`.
	///
	/// # Errors
	/// A rejection if the host, or all hosts together, have too many queries, or if the wait is too long.
	pub async fn wait(&self, host: AccountId) -> Result<Turn<'_>, Rejection> {
		let query = self.queries.take(host, MAX_OF_HOST, MAX_QUERIES).ok_or_else(busy)?;
		let permit = timeout(self.max_wait, self.permits.acquire()).await.map_err(|_| busy())?;
		Ok(Turn { _permit: permit.map_err(Rejection::internal)?, query })
	}
}

impl Turn<'_> {
	/// Ends the turn with a response. The query counts as one of its host's until the response is sent, so that a host that
	/// reads none cannot fill the memory with them.
	pub fn respond(self, response: impl Into<Bytes>) -> Body {
		let query = self.query;
		Body::new(Full::new(response.into()).map_frame(move |frame| {
			let _ = &query;
			frame
		}))
	}
}

fn busy() -> Rejection {
	Rejection::new(ErrorCode::Busy, "too many queries at once: try again")
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may panic")]
mod tests {
	use super::*;
	use axum::body::to_bytes;
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
		assert!(others.await.is_ok() && turns.queries.lock().is_empty());
	}

	#[tokio::test]
	async fn a_query_counts_until_its_response_is_sent() {
		let turns = Turns::new(1, Duration::from_secs(600));
		let host = [1; 32];
		let mut responses = Vec::new();
		for _ in 0..MAX_OF_HOST {
			let Ok(turn) = turns.wait(host).await else { panic!("the one before is still running") };
			responses.push(turn.respond("openings"));
		}
		assert!(turns.wait(host).await.is_err(), "none of them is sent");
		assert!(turns.wait([2; 32]).await.is_ok());
		for response in responses {
			assert_eq!(to_bytes(response, 100).await.unwrap(), "openings");
		}
		assert!(turns.queries.lock().is_empty());
	}
}
