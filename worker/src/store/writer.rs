//! The thread that commits: all waiting writes go into one transaction.

use super::{Durability, Result, StoreError};
use redb::{Database, WriteTransaction};
use std::{
	sync::{Arc, Mutex, PoisonError, mpsc},
	thread::JoinHandle,
};
use tokio::sync::{oneshot, watch};

/// Maximum number of writes in one transaction.
const MAX_BATCH: usize = 256;

/// A write of any result type.
pub(super) trait Job: Send {
	/// Runs the write and keeps its result until the commit.
	fn run(&mut self, tx: &WriteTransaction) -> Result<()>;
	/// Sends the result to the caller.
	fn done(self: Box<Self>, commit: Result<()>);
}

pub(super) struct Typed<F, T> {
	pub(super) job: Option<F>,
	pub(super) result: Option<T>,
	pub(super) reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&WriteTransaction) -> Result<T> + Send> Job for Typed<F, T> {
	fn run(&mut self, tx: &WriteTransaction) -> Result<()> {
		if let Some(job) = self.job.take() {
			self.result = Some(job(tx)?);
		}
		Ok(())
	}

	fn done(self: Box<Self>, commit: Result<()>) {
		let Self { result, reply, .. } = *self;
		// The send fails if the caller no longer waits.
		let _ = reply.send(commit.and_then(|()| result.ok_or(StoreError::Stopped)));
	}
}

type Sender = mpsc::Sender<(Durability, Box<dyn Job>)>;

/// The thread. Dropping this ends it, after all waiting writes. A fault of the disk ends it, too.
pub(super) struct Writer {
	jobs: Mutex<Option<Sender>>,
	thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
	/// Starts the thread. The receiver is closed when it has ended.
	pub(super) fn start(db: Arc<Database>) -> (Self, watch::Receiver<()>) {
		let (jobs, waiting) = mpsc::channel::<(Durability, Box<dyn Job>)>();
		let (open, is_open) = watch::channel(());
		let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
			let _open = open;
			while let Ok(first) = waiting.recv() {
				let batch = std::iter::once(first).chain(waiting.try_iter()).take(MAX_BATCH).collect::<Vec<_>>();
				if run(&db, batch).is_err_and(|error| error.is_fatal()) {
					return;
				}
			}
		});
		if let Err(error) = &thread {
			tracing::error!(%error, "cannot start the store's thread; nothing can be stored");
		}
		(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(thread.ok()) }, is_open)
	}

	/// Queues a job. If the thread has stopped, the job is dropped, and its caller gets [`StoreError::Stopped`].
	pub(super) fn enqueue(&self, durability: Durability, job: Box<dyn Job>) {
		if let Some(jobs) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
			let _ = jobs.send((durability, job));
		}
	}
}

impl Drop for Writer {
	fn drop(&mut self) {
		drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
		let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
		if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
			let _ = thread.join();
		}
	}
}

fn run(db: &Database, batch: Vec<(Durability, Box<dyn Job>)>) -> Result<()> {
	let durable = batch.iter().any(|(durability, _)| *durability == Durability::Now);
	let mut jobs: Vec<_> = batch.into_iter().map(|(_, job)| job).collect();
	let outcome = commit(db, durable, &mut jobs);
	if let Err(error) = &outcome {
		tracing::error!(%error, "cannot commit a transaction; its writes are lost");
	}
	for job in jobs {
		job.done(outcome.clone());
	}
	outcome
}

fn commit(db: &Database, durable: bool, jobs: &mut [Box<dyn Job>]) -> Result<()> {
	let mut tx = db.begin_write()?;
	tx.set_durability(if durable { redb::Durability::Immediate } else { redb::Durability::None })?;
	for job in jobs {
		job.run(&tx)?;
	}
	Ok(tx.commit()?)
}
