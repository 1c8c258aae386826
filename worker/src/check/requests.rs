//! Requests for openings on chain: checkers make them when this worker did not serve the openings.

use super::{CheckContext, CheckError, Result, outbox::Delivery};
use crate::{
	chain::{CheckMessage, Snapshot},
	tasks::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_primitives::check::OpeningAnswer;
use std::sync::Arc;

/// Posts the openings that are requested of this host.
pub struct OpeningRequests {
	context: Arc<CheckContext>,
	tasks: Tasks,
}

impl OpeningRequests {
	/// Makes the part.
	pub fn new(context: Arc<CheckContext>) -> Self {
		Self { context, tasks: Tasks::default() }
	}

	async fn respond(&mut self, snapshot: &Snapshot) -> Result<()> {
		let schedule = &snapshot.epoch.schedule;
		let next = snapshot.next_offset();
		// The block of the draw may already hold a request.
		let end = schedule.draw().saturating_add(schedule.request).saturating_add(schedule.answer);
		let is_time = next > schedule.draw() && next <= end.saturating_add(1);
		if !is_time || !self.context.conduct.serves_checkers() {
			return Ok(());
		}
		let host = *self.context.follower.host();
		for request in self.context.follower.chain().opening_requests(&host).await? {
			if request.openings.is_some() || request.deadline <= snapshot.block || request.host != host {
				continue;
			}
			let (context, epoch) = (self.context.clone(), request.epoch);
			let slot = slot("answer", &(request.checker, epoch, request.segment, &request.positions));
			let span = tracing::info_span!("opening_request", epoch, segment = request.segment);
			self.tasks.start(slot, span, "responding to a request for openings", async move {
				let openings = context.openings.open(epoch, request.segment, &request.positions).await?;
				let openings = openings.ok_or(CheckError::NotCommitted)?;
				let message = OpeningAnswer { host, epoch, checker: request.checker, openings };
				context.outbox.send(epoch, slot, Delivery::Repeated, CheckMessage::Answer(message)).await
			});
		}
		Ok(())
	}
}

impl Step for OpeningRequests {
	const NAME: &'static str = "responding to requests for openings";
	type Error = CheckError;

	fn step<'a>(&'a mut self, snapshot: &'a Snapshot) -> BoxFuture<'a, Result<()>> {
		self.respond(snapshot).boxed()
	}
}
