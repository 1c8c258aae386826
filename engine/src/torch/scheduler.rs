//! Who is computed when: requests join and leave the batch at every step.

use std::{
	collections::VecDeque,
	sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::model::{Model, Span};
use crate::{
	AnswerText, EngineError, FinishReason, GenerateRequest, Health, TokenEvent, sampler::Sampler, tokenizer::Tokenizer,
};

/// What the engine's callers and its thread both see.
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

/// A request and the way back to its caller.
struct Job {
	request: GenerateRequest,
	events: mpsc::Sender<TokenEvent>,
}

impl Shared {
	pub fn new(waiting_limit: usize) -> Self {
		let state = State { waiting: VecDeque::new(), running: 0, healthy: true, stopped: false };
		Self { state: Mutex::new(state), changed: Condvar::new(), waiting_limit }
	}

	/// Queues a request that was checked.
	pub fn submit(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		// Room for all tokens and the end: the engine's thread never waits for a reader.
		let (events, receiver) = mpsc::channel(request.max_tokens + 1);
		let mut state = self.lock();
		if state.stopped {
			return Err(EngineError::Stopped);
		}
		state.waiting.retain(|job| !job.events.is_closed());
		let waiting = state.waiting.len();
		if waiting >= self.waiting_limit {
			return Err(EngineError::Busy { waiting });
		}
		state.waiting.push_back(Job { request, events });
		drop(state);
		self.changed.notify_one();
		Ok(receiver)
	}

	pub fn health(&self) -> Health {
		let state = self.lock();
		Health {
			healthy: state.healthy && !state.stopped,
			running: state.running,
			waiting: state.waiting.iter().filter(|job| !job.events.is_closed()).count(),
			waiting_limit: self.waiting_limit,
		}
	}

	/// Lets the thread end after the present step.
	pub fn stop(&self) {
		self.lock().stopped = true;
		self.changed.notify_one();
	}

	fn lock(&self) -> MutexGuard<'_, State> {
		// No code panics while it holds the lock halfway through a change.
		self.state.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// The engine's thread. It owns the model.
pub struct Scheduler {
	model: Model,
	tokenizer: Arc<Tokenizer>,
	shared: Arc<Shared>,
	slots: Vec<Option<Sequence>>,
	prefill_chunk: usize,
}

/// A sequence in a slot.
struct Sequence {
	/// Prompt and answer so far.
	ids: Vec<u32>,
	/// How many of them the model has read.
	read: usize,
	/// Its turn among those whose prompts are being read: the lowest is first.
	turn: u64,
	request: GenerateRequest,
	sampler: Sampler,
	text: AnswerText,
	events: mpsc::Sender<TokenEvent>,
}

/// Marks the engine as stopped however its thread ends.
struct StopOnExit(Arc<Shared>);

impl Drop for StopOnExit {
	fn drop(&mut self) {
		let mut state = self.0.lock();
		state.stopped = true;
		state.running = 0;
		for job in state.waiting.drain(..) {
			let end = done(FinishReason::Cancelled, job.request.prompt.len(), 0);
			// Who dropped the receiver does not want to know.
			let _ = job.events.try_send(end);
		}
	}
}

impl Scheduler {
	pub fn new(
		model: Model,
		tokenizer: Arc<Tokenizer>,
		shared: Arc<Shared>,
		slots: usize,
		prefill_chunk: usize,
	) -> Self {
		let slots = (0..slots).map(|_| None).collect();
		Self { model, tokenizer, shared, slots, prefill_chunk }
	}

	/// Works until the engine is stopped.
	pub fn run(mut self) {
		let _stop_on_exit = StopOnExit(self.shared.clone());
		let mut turn = 0;
		while self.admit(&mut turn) {
			let (tokens, spans) = self.plan();
			let result = self.model.step(&tokens, &spans);
			self.shared.lock().healthy = result.is_ok();
			match result {
				Ok(logits) => self.advance(&spans, &logits),
				Err(error) => self.fail(&spans, &error),
			}
		}
		for sequence in self.slots.iter_mut().filter_map(Option::take) {
			sequence.end(FinishReason::Cancelled);
		}
	}

	/// Frees the slots of cancelled requests and fills free slots from the queue; waits while
	/// there is nothing to do. Returns false when the engine is stopped.
	fn admit(&mut self, turn: &mut u64) -> bool {
		for slot in &mut self.slots {
			slot.take_if(|sequence| sequence.events.is_closed());
		}
		let mut state = self.shared.lock();
		loop {
			if state.stopped {
				return false;
			}
			for slot in self.slots.iter_mut().filter(|slot| slot.is_none()) {
				let Some(job) = next_wanted(&mut state.waiting) else { break };
				*turn += 1;
				*slot = Some(Sequence::new(job, *turn, &self.tokenizer));
			}
			state.running = self.slots.iter().flatten().count();
			if state.running > 0 {
				return true;
			}
			state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
		}
	}

	/// The next step: one token for every answer, and a part of the prompts that are still to
	/// be read, the oldest first.
	fn plan(&self) -> (Vec<u32>, Vec<Span>) {
		let mut order: Vec<(usize, &Sequence)> =
			self.slots.iter().enumerate().filter_map(|(slot, sequence)| Some((slot, sequence.as_ref()?))).collect();
		order.sort_by_key(|(_, sequence)| sequence.turn);
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
			let logits = length == unread.len();
			spans.push(Span { slot, start: sequence.read, length, logits });
		}
		(tokens, spans)
	}

	/// Takes a step's result: a further token for each sequence that has been read to its end.
	fn advance(&mut self, spans: &[Span], logits: &[f32]) {
		let mut rows = logits.chunks_exact(self.model.vocab_size());
		for span in spans {
			let Some(sequence) = &mut self.slots[span.slot] else { continue };
			sequence.read += span.length;
			let Some(row) = span.logits.then(|| rows.next()).flatten() else { continue };
			if let Some(reason) = sequence.append(row, &self.tokenizer)
				&& let Some(sequence) = self.slots[span.slot].take()
			{
				sequence.end(reason);
			}
		}
		self.shared.lock().running = self.slots.iter().flatten().count();
	}

	/// Ends the answers that a failed step was for.
	fn fail(&mut self, spans: &[Span], error: &EngineError) {
		tracing::error!(%error, "a step failed");
		for span in spans {
			if let Some(sequence) = self.slots[span.slot].take() {
				// Who dropped the receiver does not want to know.
				let _ = sequence.events.try_send(TokenEvent::Error { message: error.to_string() });
			}
		}
		self.shared.lock().running = self.slots.iter().flatten().count();
	}
}

impl Sequence {
	fn new(job: Job, turn: u64, tokenizer: &Tokenizer) -> Self {
		let Job { mut request, events } = job;
		let mut text = AnswerText::new(std::mem::take(&mut request.stop));
		let delivered = request.prompt.len().saturating_sub(request.delivered);
		for id in request.prompt.iter().skip(delivered) {
			// Whoever delivered it sent the text that was certain.
			text.push(tokenizer.bytes(*id));
		}
		Self { ids: request.prompt.clone(), read: 0, turn, sampler: Sampler::new(&request), text, request, events }
	}

	/// The number of tokens in the answer.
	fn answered(&self) -> usize {
		self.ids.len() - self.request.prompt.len()
	}

	/// Chooses the next token and sends it. Returns why the answer is over, if it is.
	fn append(&mut self, logits: &[f32], tokenizer: &Tokenizer) -> Option<FinishReason> {
		let id = self.sampler.sample(logits, self.ids.len());
		self.ids.push(id);
		let (mut text, stopped) = self.text.push(tokenizer.bytes(id));
		let ended =
			self.request.stop_token_ids.contains(&id) || (!self.request.ignore_eos && tokenizer.eos().contains(&id));
		let reason = if stopped || ended {
			Some(FinishReason::Stop)
		} else if self.answered() == self.request.max_tokens {
			Some(FinishReason::Length)
		} else {
			None
		};
		if reason.is_some() && !stopped {
			text.push_str(&self.text.finish());
		}
		// Fails only when the receiver was dropped; the next step will notice.
		let _ = self.events.try_send(TokenEvent::Token { id, text });
		reason
	}

	/// Sends the end.
	fn end(self, reason: FinishReason) {
		let end = done(reason, self.request.prompt.len(), self.answered());
		// Who dropped the receiver does not want to know.
		let _ = self.events.try_send(end);
	}
}

/// The first job that was not cancelled; those before it are dropped.
fn next_wanted(waiting: &mut VecDeque<Job>) -> Option<Job> {
	while let Some(job) = waiting.pop_front() {
		if !job.events.is_closed() {
			return Some(job);
		}
	}
	None
}

fn done(finish_reason: FinishReason, prompt_tokens: usize, completion_tokens: usize) -> TokenEvent {
	TokenEvent::Done { finish_reason, prompt_tokens, completion_tokens }
}
