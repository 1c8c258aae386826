//! Scheduling of requests: they join and leave the batch at every step.

use std::{
	collections::VecDeque,
	sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::{Model, Span};
use crate::{
	CheckReceiver, CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, Health, TokenCheck,
	TokenEvent, sampler::Sampler, stop::StopChecker, tokenizer::Tokenizer,
};

/// State that the engine's callers and its thread share.
pub struct Shared {
	state: Mutex<State>,
	changed: Condvar,
	waiting_limit: usize,
}

struct State {
	waiting: VecDeque<Job>,
	running: usize,
	healthy: bool,
	stopped: bool,
}

/// A request and the task to be done for it.
struct Job {
	request: GenerateRequest,
	task: Task,
}

/// Purpose of a request, with the channel to its caller.
enum Task {
	Generate(mpsc::Sender<TokenEvent>),
	Check(Check),
}

/// A check of a completion.
struct Check {
	output: Vec<u32>,
	claimed: FinishReason,
	/// Results for its tokens so far.
	found: Vec<TokenCheck>,
	result: oneshot::Sender<Result<CheckResult, EngineError>>,
}

impl Task {
	fn is_check(&self) -> bool {
		matches!(self, Self::Check(_))
	}

	fn is_cancelled(&self) -> bool {
		match self {
			Self::Generate(events) => events.is_closed(),
			Self::Check(check) => check.result.is_closed(),
		}
	}

	/// Sends an error to the caller.
	fn fail(self, error: EngineError) {
		// The send fails if the caller dropped the receiver: then nobody needs the result.
		match self {
			Self::Generate(events) => drop(events.try_send(TokenEvent::Error { message: error.to_string() })),
			Self::Check(check) => drop(check.result.send(Err(error))),
		}
	}
}

impl Shared {
	pub fn new(waiting_limit: usize) -> Self {
		let state = State { waiting: VecDeque::new(), running: 0, healthy: true, stopped: false };
		Self { state: Mutex::new(state), changed: Condvar::new(), waiting_limit }
	}

	/// Queues a request that was validated.
	pub fn submit(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		// The channel has room for all tokens and the end, so the engine's thread never waits for a reader.
		let (events, receiver) = mpsc::channel(request.max_tokens + 1);
		self.queue(Job { request, task: Task::Generate(events) })?;
		Ok(receiver)
	}

	/// Queues a check that was validated.
	pub fn submit_check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		let CheckRequest { request, output, finish_reason: claimed } = request;
		let (result, receiver) = oneshot::channel();
		let check = Check { output, claimed, found: Vec::new(), result };
		self.queue(Job { request, task: Task::Check(check) })?;
		Ok(receiver)
	}

	fn queue(&self, job: Job) -> Result<(), EngineError> {
		let mut state = self.lock();
		if state.stopped {
			return Err(EngineError::Stopped);
		}
		state.waiting.retain(|job| !job.task.is_cancelled());
		let waiting = state.waiting.len();
		if waiting >= self.waiting_limit {
			return Err(EngineError::Busy { waiting });
		}
		state.waiting.push_back(job);
		drop(state);
		self.changed.notify_one();
		Ok(())
	}

	pub fn health(&self) -> Health {
		let state = self.lock();
		Health {
			healthy: state.healthy && !state.stopped,
			running: state.running,
			waiting: state.waiting.iter().filter(|job| !job.task.is_cancelled()).count(),
			waiting_limit: self.waiting_limit,
		}
	}

	/// Tells the thread to end after the present step.
	pub fn stop(&self) {
		self.lock().stopped = true;
		self.changed.notify_one();
	}

	fn lock(&self) -> MutexGuard<'_, State> {
		// A poisoned lock is safe to use: no code panics halfway through a change.
		self.state.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// The engine's thread. It owns the model.
pub struct Scheduler {
	model: Box<dyn Model>,
	tokenizer: Arc<Tokenizer>,
	shared: Arc<Shared>,
	slots: Vec<Option<Sequence>>,
	prefill_chunk: usize,
}

/// A sequence in a slot.
struct Sequence {
	/// Prompt and completion: all tokens so far, or, for a check, all but the last one.
	ids: Vec<u32>,
	/// Number of them that the model has read.
	read: usize,
	/// Order among the sequences whose prompts are being read: the lowest is first.
	turn: u64,
	/// Length of the prompt.
	prompt: usize,
	sampler: Sampler,
	stop: StopChecker,
	task: Task,
}

/// Marks the engine as stopped when its thread ends, also by a panic.
struct StopOnExit(Arc<Shared>);

impl Drop for StopOnExit {
	fn drop(&mut self) {
		let mut state = self.0.lock();
		state.stopped = true;
		state.running = 0;
		for job in state.waiting.drain(..) {
			match job.task {
				Task::Generate(events) => {
					let end = done(FinishReason::Cancelled, job.request.prompt.len(), 0);
					// The send fails if the caller dropped the receiver: then nobody needs the event.
					let _ = events.try_send(end);
				},
				check => check.fail(EngineError::Stopped),
			}
		}
	}
}

impl Scheduler {
	pub fn new(
		model: Box<dyn Model>,
		tokenizer: Arc<Tokenizer>,
		shared: Arc<Shared>,
		slots: usize,
		prefill_chunk: usize,
	) -> Self {
		let slots = (0..slots).map(|_| None).collect();
		Self { model, tokenizer, shared, slots, prefill_chunk }
	}

	/// Computes steps until the engine is stopped.
	pub fn run(mut self) {
		let _stop_on_exit = StopOnExit(self.shared.clone());
		let mut turn = 0;
		while self.admit(&mut turn) {
			let (tokens, spans) = self.plan();
			let result = self.step(&tokens, &spans);
			self.shared.lock().healthy = result.is_ok();
			if let Err(error) = result {
				self.fail(&spans, &error);
			}
			self.shared.lock().running = self.slots.iter().flatten().count();
		}
		for sequence in self.slots.iter_mut().filter_map(Option::take) {
			sequence.end(FinishReason::Cancelled, &self.tokenizer);
		}
	}

	/// Frees the slots of cancelled requests, and fills free slots from the queue with at most one check. Waits while
	/// there is nothing to do. Returns false when the engine is stopped.
	fn admit(&mut self, turn: &mut u64) -> bool {
		for slot in &mut self.slots {
			slot.take_if(|sequence| sequence.task.is_cancelled());
		}
		let mut state = self.shared.lock();
		loop {
			if state.stopped {
				return false;
			}
			let mut checking = self.slots.iter().flatten().any(|sequence| sequence.task.is_check());
			for slot in self.slots.iter_mut().filter(|slot| slot.is_none()) {
				let Some(job) = next_job(&mut state.waiting, checking) else { break };
				checking |= job.task.is_check();
				*turn += 1;
				*slot = Some(Sequence::new(job, *turn, &self.tokenizer, self.model.width()));
			}
			state.running = self.slots.iter().flatten().count();
			if state.running > 0 {
				return true;
			}
			state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
		}
	}

	/// Plans the next step: one token for every completion, and a part of the tokens that are still to be read. The
	/// oldest prompt comes first, a check last.
	fn plan(&self) -> (Vec<u32>, Vec<Span>) {
		let mut order: Vec<(usize, &Sequence)> =
			self.slots.iter().enumerate().filter_map(|(slot, sequence)| Some((slot, sequence.as_ref()?))).collect();
		order.sort_by_key(|(_, sequence)| (sequence.task.is_check(), sequence.turn));
		let mut budget = self.prefill_chunk;
		let (mut tokens, mut spans) = (Vec::new(), Vec::new());
		for (slot, sequence) in order {
			let unread = &sequence.ids[sequence.read..];
			let length = if unread.len() == 1 { 1 } else { unread.len().min(budget) };
			if length == 0 {
				continue;
			}
			if unread.len() > 1 {
				budget -= length;
			}
			tokens.extend(&unread[..length]);
			spans.push(Span { slot, start: sequence.read, length, wanted: sequence.wanted(length) });
		}
		(tokens, spans)
	}

	/// Computes a step and hands its results to their sequences.
	fn step(&mut self, tokens: &[u32], spans: &[Span]) -> Result<(), EngineError> {
		for span in spans {
			if let Some(sequence) = &mut self.slots[span.slot] {
				sequence.read += span.length;
			}
		}
		let mut rows = spans.iter().flat_map(|span| {
			let end = span.start + span.length;
			(end - span.wanted..end).map(|last| (span.slot, last + 1))
		});
		let (slots, tokenizer) = (&mut self.slots, &self.tokenizer);
		self.model.step(tokens, spans, &mut |hidden, logits| {
			let Some((slot, position)) = rows.next() else { return };
			let Some(sequence) = &mut slots[slot] else { return };
			if let Some(reason) = sequence.advance(position, hidden, logits, tokenizer)
				&& let Some(sequence) = slots[slot].take()
			{
				sequence.end(reason, tokenizer);
			}
		})
	}

	/// Ends the requests of a failed step with an error.
	fn fail(&mut self, spans: &[Span], error: &EngineError) {
		tracing::error!(%error, "the model failed to compute; its requests end with an error");
		for span in spans {
			if let Some(sequence) = self.slots[span.slot].take() {
				sequence.task.fail(error.clone());
			}
		}
	}
}

impl Sequence {
	fn new(job: Job, turn: u64, tokenizer: &Tokenizer, width: usize) -> Self {
		let Job { request, task } = job;
		let sampler = Sampler::new(&request, width);
		let stop = StopChecker::new(&request, tokenizer.eos(), |id| tokenizer.bytes(id));
		let prompt = request.prompt.len();
		let mut ids = request.prompt;
		if let Task::Check(check) = &task {
			// The last token is not read: nothing comes after it.
			ids.extend(&check.output[..check.output.len().saturating_sub(1)]);
		}
		Self { ids, read: 0, turn, prompt, sampler, stop, task }
	}

	/// Returns how many of the next `length` tokens need logits: those before a token of the completion.
	fn wanted(&self, length: usize) -> usize {
		let end = self.read + length;
		(end + 1).saturating_sub(self.prompt.max(self.read + 1))
	}

	/// Chooses the token for `position` and sends it, or checks it. Returns the finish reason if the completion is
	/// over.
	fn advance(
		&mut self,
		position: usize,
		hidden: &[f32],
		logits: &[f32],
		tokenizer: &Tokenizer,
	) -> Option<FinishReason> {
		let fingerprint = self.sampler.fingerprint(hidden);
		match &mut self.task {
			Task::Generate(events) => {
				let id = self.sampler.choose(position, logits);
				self.sampler.append(id);
				self.ids.push(id);
				let (text, reason) = self.stop.push(id, tokenizer.bytes(id));
				// This fails only when the receiver was dropped; the next step notices that.
				let _ = events.try_send(TokenEvent::Token { id, text, fingerprint });
				reason
			},
			Task::Check(check) => {
				let id = *check.output.get(check.found.len())?;
				check.found.push(TokenCheck { margin: self.sampler.margin(position, logits, id), fingerprint });
				self.sampler.append(id);
				(check.found.len() == check.output.len()).then_some(check.claimed)
			},
		}
	}

	/// Sends the end of a completion, or the result of a check.
	fn end(self, reason: FinishReason, tokenizer: &Tokenizer) {
		// The send fails if the caller dropped the receiver: then nobody needs the result.
		match self.task {
			Task::Generate(events) => drop(events.try_send(done(reason, self.prompt, self.ids.len() - self.prompt))),
			Task::Check(Check { output, claimed, found, result }) if found.len() == output.len() => {
				let ends_rightly = self.stop.confirms(&output, claimed, |id| tokenizer.bytes(id));
				drop(result.send(Ok(CheckResult { tokens: found, ends_rightly })));
			},
			check => check.fail(EngineError::Stopped),
		}
	}
}

/// Takes the first job that was not cancelled; while a check is computed, the first that is not a check. Cancelled jobs
/// are dropped.
fn next_job(waiting: &mut VecDeque<Job>, checking: bool) -> Option<Job> {
	waiting.retain(|job| !job.task.is_cancelled());
	let next = waiting.iter().position(|job| !(checking && job.task.is_check()))?;
	waiting.remove(next)
}

fn done(finish_reason: FinishReason, prompt_tokens: usize, completion_tokens: usize) -> TokenEvent {
	TokenEvent::Done { finish_reason, prompt_tokens, completion_tokens }
}
