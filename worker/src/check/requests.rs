//! Requests for openings on chain: checkers make them when this worker did not serve the openings.

use super::{CheckContext, CheckError, Result, outbox::Delivery};
use crate::{
	chain::{CheckMessage, Snapshot},
	tasks::{Step, Tasks, slot},
};
use futures::{FutureExt, future::BoxFuture};
use gonka_client::keys;
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
		let Some((_, _, draw)) = snapshot.epoch.round() else { return Ok(()) };
		let next = snapshot.next_offset();
		// The block of the draw may already hold a request.
		let end = draw.saturating_add(schedule.request).saturating_add(schedule.answer);
		let is_time = next > draw && next <= end.saturating_add(1);
		if !is_time || !self.context.conduct.serves_checkers() {
			return Ok(());
		}
		let host = *self.context.follower.host();
		for request in self.context.follower.chain().opening_requests(&host).await? {
			if request.openings.is_some() || request.deadline <= snapshot.block || request.host != host {
				continue;
			}
			let (context, epoch, round) = (self.context.clone(), request.epoch, request.round);
			let slot = slot("answer", &(request.checker, epoch, round, &request.positions));
			let span = tracing::info_span!("opening_request", epoch, round, checker = keys::ss58(&request.checker));
			self.tasks.start(slot, span, "responding to a request for openings", async move {
				let mut openings = Vec::new();
				// Positions ascend by segment, so that of each segment only one tree is built.
				for part in request.positions.chunk_by(|(a, _), (b, _)| a == b) {
					let positions: Vec<u64> = part.iter().map(|(_, position)| *position).collect();
					let segment = part.first().map_or(0, |(segment, _)| *segment);
					let opened = context.openings.open(epoch, segment, &positions).await?;
					openings.extend(opened.ok_or(CheckError::NotCommitted)?);
				}
				let message = OpeningAnswer { host, epoch, round, checker: request.checker, openings };
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
