//! The thread that commits: everything that waits goes into one transaction.

use super::{Durability, Result, StoreError};
use redb::{Database, WriteTransaction};
use std::{
	sync::{Arc, Mutex, PoisonError, mpsc},
	thread::JoinHandle,
};
use tokio::sync::oneshot;

/// Most writes in one transaction.
const BATCH: usize = 256;

/// A write whose result's type is forgotten.
pub(super) trait Job: Send {
	/// Does the write; the result is kept until the commit.
	fn run(&mut self, tx: &WriteTransaction) -> Result<()>;
	/// Answers the caller.
	fn done(self: Box<Self>, commit: Result<()>);
}

pub(super) struct Typed<F, T> {
	pub(super) job: Option<F>,
	pub(super) result: Option<T>,
	pub(super) answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&WriteTransaction) -> Result<T> + Send> Job for Typed<F, T> {
	fn run(&mut self, tx: &WriteTransaction) -> Result<()> {
		if let Some(job) = self.job.take() {
			self.result = Some(job(tx)?);
		}
		Ok(())
	}

	fn done(self: Box<Self>, commit: Result<()>) {
		let lost = || StoreError::Failed("the write was not run".into());
		// The caller may have gone; then nobody wants the answer.
		let Self { result, answer, .. } = *self;
		let _ = answer.send(commit.and_then(|()| result.ok_or_else(lost)));
	}
}

type Sender = mpsc::Sender<(Durability, Box<dyn Job>)>;

/// The thread; it ends when this is dropped and everything that waits is written.
pub(super) struct Writer {
	jobs: Mutex<Option<Sender>>,
	thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
	pub(super) fn start(db: Arc<Database>) -> Self {
		let (jobs, waiting) = mpsc::channel::<(Durability, Box<dyn Job>)>();
		let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
			while let Ok(first) = waiting.recv() {
				let batch = std::iter::once(first).chain(waiting.try_iter()).take(BATCH).collect::<Vec<_>>();
				run(&db, batch);
			}
		});
		if let Err(error) = &thread {
			tracing::error!(%error, "the store's thread does not start");
		}
		Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(thread.ok()) }
	}

	/// A job that cannot be handed over is dropped, which its caller sees.
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

fn run(db: &Database, batch: Vec<(Durability, Box<dyn Job>)>) {
	let durable = batch.iter().any(|(durability, _)| *durability == Durability::Now);
	let mut jobs: Vec<_> = batch.into_iter().map(|(_, job)| job).collect();
	let outcome = commit(db, durable, &mut jobs);
	if let Err(error) = &outcome {
		tracing::error!(%error, "a transaction was lost");
	}
	for job in jobs {
		job.done(outcome.clone());
	}
}

fn commit(db: &Database, durable: bool, jobs: &mut [Box<dyn Job>]) -> Result<()> {
	let mut tx = db.begin_write()?;
	tx.set_durability(if durable { redb::Durability::Immediate } else { redb::Durability::None })?;
	for job in jobs {
		job.run(&tx)?;
	}
	Ok(tx.commit()?)
}
