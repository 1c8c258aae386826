//! Openings that checkers ask for on chain, because they did not get them from this worker.

use super::{Context, Step, Tasks, next_offset, outbox::Times, slot};
use crate::chain::{CheckMessage, Snapshot};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::check::OpeningAnswer;
use std::sync::Arc;

/// Answers requests to this host.
pub struct Answers {
	context: Arc<Context>,
	tasks: Tasks,
}

impl Answers {
	/// With nothing under way.
	pub fn new(context: Arc<Context>) -> Self {
		Self { context, tasks: Tasks::default() }
	}

	async fn answer(&mut self, snapshot: &Snapshot) -> Result<(), String> {
		let schedule = &snapshot.epoch.schedule;
		let next = next_offset(snapshot);
		// The best block may already hold a request that came with the draw.
		let end = schedule.draw().saturating_add(schedule.request).saturating_add(schedule.answer);
		if next <= schedule.draw() || next > end.saturating_add(1) {
			return Ok(());
		}
		#[cfg(feature = "hostile")]
		if crate::hostile::is(crate::hostile::Kind::Withhold) {
			return Ok(());
		}
		let host = *self.context.follower.host();
		let requests =
			self.context.follower.chain().opening_requests(&host).await.map_err(|error| error.to_string())?;
		for request in requests {
			if request.openings.is_some() || request.deadline <= snapshot.block || request.host != host {
				continue;
			}
			let (context, epoch) = (self.context.clone(), request.epoch);
			let slot = slot("answer", &(request.checker, epoch, request.segment, &request.positions));
			self.tasks.start(slot, async move {
				let openings = context.openings.open(epoch, request.segment, &request.positions).await;
				let openings = openings.map_err(|error| error.to_string())?;
				let openings = openings.ok_or("a request asks for leaves that this host did not commit to")?;
				let answer = OpeningAnswer { host, epoch, checker: request.checker, openings };
				context.outbox.send(epoch, slot, Times::Asked, CheckMessage::Answer(answer)).await
			});
		}
		Ok(())
	}
}

impl Step for Answers {
	const NAME: &'static str = "answering requests for openings";

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<(), String>> {
		self.answer(snapshot).boxed()
	}
}
