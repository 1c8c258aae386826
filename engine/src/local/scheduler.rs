//! Scheduling of requests: they join and leave the batch at every step.

use std::{
	cmp::Reverse,
	collections::{HashMap, VecDeque},
	sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
	time::{Duration, Instant},
};

use gonka_primitives::Hash;
use tokio::sync::{mpsc, oneshot};

use super::{Model, Span, logprobs::logprobs, pool::Pool};
use crate::{
	CheckReceiver, CheckRequest, CheckResult, EngineError, FinishReason, GenerateRequest, Health, TokenCheck,
	TokenEvent, Usage,
	grammar::Masks,
	sampler::{Bounds, Sampler},
	stop::StopChecker,
};
use gonka_tokenizer::Tokenizer;

/// Minimum number of prompt tokens computed in a step: with fewer, reading a prompt costs more than it delays others.
const MIN_CHUNK: usize = 16;

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
	usage: Usage,
}

/// A request and the task to be done for it.
struct Job {
	request: GenerateRequest,
	/// Those of the request's grammar.
	masks: Option<Masks>,
	task: Task,
}

/// Purpose of a request, with the channel to its caller.
pub enum Task {
	Generate(mpsc::Sender<TokenEvent>),
	Check(Check),
}

/// A check of a completion.
pub struct Check {
	pub output: Vec<u32>,
	pub claimed: FinishReason,
	/// Results for its tokens so far.
	pub found: Vec<TokenCheck>,
	/// Whether these were all permitted.
	pub is_permitted: bool,
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
		let state =
			State { waiting: VecDeque::new(), running: 0, healthy: true, stopped: false, usage: Usage::default() };
		Self { state: Mutex::new(state), changed: Condvar::new(), waiting_limit }
	}

	/// Queues a request that was validated, with the masks of its grammar.
	pub fn submit(
		&self,
		request: GenerateRequest,
		masks: Option<Masks>,
	) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		// The channel has room for all tokens and the end, so the engine's thread never waits for a reader.
		let (events, receiver) = mpsc::channel(request.max_tokens.max(1) + 1);
		self.queue(Job { request, masks, task: Task::Generate(events) })?;
		Ok(receiver)
	}

	/// Queues a check that was validated, with the masks of its grammar.
	pub fn submit_check(&self, request: CheckRequest, masks: Option<Masks>) -> Result<CheckReceiver, EngineError> {
		let CheckRequest { request, output, finish_reason: claimed } = request;
		let (result, receiver) = oneshot::channel();
		let check = Check { output, claimed, found: Vec::new(), is_permitted: true, result };
		self.queue(Job { request, masks, task: Task::Check(check) })?;
		Ok(receiver)
	}

	/// Checks that a request would be queued now.
	///
	/// # Errors
	/// [`EngineError::Stopped`] or [`EngineError::Busy`].
	pub fn has_room(&self) -> Result<(), EngineError> {
		self.room().map(drop)
	}

	fn room(&self) -> Result<MutexGuard<'_, State>, EngineError> {
		let mut state = self.lock();
		if state.stopped {
			return Err(EngineError::Stopped);
		}
		state.waiting.retain(|job| !job.task.is_cancelled());
		let waiting = state.waiting.len();
		if waiting >= self.waiting_limit { Err(EngineError::Busy { waiting }) } else { Ok(state) }
	}

	fn queue(&self, job: Job) -> Result<(), EngineError> {
		let mut state = self.room()?;
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

	pub fn usage(&self) -> Usage {
		self.lock().usage
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
	slots: Vec<Slot>,
	/// The turn of the last request of each owner that has some running or waiting.
	served: HashMap<Hash, u64>,
	turn: u64,
	prefill_chunk: usize,
	pace: Pace,
}

/// The state of one sequence in the model.
#[derive(Default)]
struct Slot {
	sequence: Option<Sequence>,
	/// The tokens of the last sequence that the model has read. A prompt that begins with the same ones need not read them
	/// again.
	kept: Vec<u32>,
	/// The turn of the last sequence.
	used: u64,
}

/// The time that steps took, from which follows how many tokens of prompts the next one reads.
struct Pace {
	/// Maximum time for prompts in a step while completions wait for their next token.
	limit: Duration,
	/// Time of the last step without prompts.
	plain: Duration,
	/// Mean time for a token of a prompt, in seconds. 0 before the first.
	token: f64,
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
	/// The owner of its request.
	owner: Hash,
	/// Number of likeliest tokens to report, if log probabilities are.
	logprobs: Option<u8>,
	sampler: Sampler,
	stop: StopChecker,
	/// The hidden states of an embedding's tokens.
	pool: Option<Pool>,
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
		prefill_time: Duration,
	) -> Self {
		let slots = (0..slots).map(|_| Slot::default()).collect();
		let pace = Pace { limit: prefill_time, plain: Duration::ZERO, token: 0.0 };
		Self { model, tokenizer, shared, slots, served: HashMap::new(), turn: 0, prefill_chunk, pace }
	}

	/// Computes steps until the engine is stopped.
	pub fn run(mut self) {
		let _stop_on_exit = StopOnExit(self.shared.clone());
		while self.admit() {
			let (tokens, spans) = self.plan();
			let start = Instant::now();
			let result = self.step(&tokens, &spans);
			let read = spans.iter().filter(|span| span.length > 1).map(|span| span.length).sum();
			self.pace.note(start.elapsed(), read);
			if let Err(error) = &result {
				self.fail(&spans, error);
			}
			let mut state = self.shared.lock();
			state.healthy = result.is_ok();
			state.running = self.running().count();
			state.usage.steps += 1;
			state.usage.rows += spans.len() as u64;
			state.usage.prompt_tokens += read as u64;
			state.usage.cached_tokens = self.slots.iter().map(|slot| slot.cached() as u64).sum();
		}
		for slot in &mut self.slots {
			slot.end(FinishReason::Cancelled, &self.tokenizer);
		}
	}

	/// Returns the sequences in the slots.
	fn running(&self) -> impl Iterator<Item = &Sequence> {
		self.slots.iter().filter_map(|slot| slot.sequence.as_ref())
	}

	/// Frees the slots of cancelled requests, and fills free slots from the queue with at most one check. Waits while
	/// there is nothing to do. Returns false when the engine is stopped.
	fn admit(&mut self) -> bool {
		for slot in &mut self.slots {
			if slot.sequence.as_ref().is_some_and(|sequence| sequence.task.is_cancelled()) {
				slot.release();
			}
		}
		let Some(jobs) = self.next_jobs() else { return false };
		for (job, turn) in jobs {
			self.place(Sequence::new(job, turn, &self.tokenizer, self.model.width()));
		}
		true
	}

	/// Takes jobs from the queue with their turns, as many as there are free slots. Waits while there is nothing to do. Returns
	/// `None` when the engine is stopped.
	fn next_jobs(&mut self) -> Option<Vec<(Job, u64)>> {
		let mut owners: Vec<Hash> = self.running().map(|sequence| sequence.owner).collect();
		let mut checking = self.running().any(|sequence| sequence.task.is_check());
		let mut jobs = Vec::new();
		let mut state = self.shared.lock();
		while !state.stopped {
			while owners.len() < self.slots.len()
				&& let Some(job) = next_job(&mut state.waiting, checking, &owners, &self.served)
			{
				self.turn += 1;
				self.served.insert(job.request.owner, self.turn);
				checking |= job.task.is_check();
				owners.push(job.request.owner);
				jobs.push((job, self.turn));
			}
			let waits = |owner| state.waiting.iter().any(|job| job.request.owner == owner);
			self.served.retain(|owner, _| owners.contains(owner) || waits(*owner));
			state.running = owners.len();
			if state.running > 0 {
				return Some(jobs);
			}
			state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
		}
		None
	}

	/// Puts a sequence into the free slot that has read most of its prompt, or else was used least recently. Of many slots
	/// only the first are used, twice as many as there are sequences: those near each other are computed together. A check
	/// reads everything anew: what it compares must not depend on what the engine generated before.
	fn place(&mut self, mut sequence: Sequence) {
		let reuses = !sequence.task.is_check() && sequence.pool.is_none() && self.model.can_rewind();
		let last = sequence.prompt.saturating_sub(1);
		let known = |slot: &Slot| {
			let same = slot.kept.iter().zip(&sequence.ids).take(last).take_while(|(a, b)| a == b).count();
			if reuses { same } else { 0 }
		};
		let reach = (2 * (self.running().count() + 1)).max(8);
		let free = self.slots.iter_mut().take(reach).filter(|slot| slot.sequence.is_none());
		let Some(slot) = free.rev().max_by_key(|slot| (known(slot), Reverse(slot.used))) else { return };
		sequence.read = known(slot);
		self.shared.lock().usage.reused_tokens += sequence.read as u64;
		slot.used = sequence.turn;
		slot.kept.clear();
		slot.sequence = Some(sequence);
	}

	/// Plans the next step: one token for every completion, and a part of the tokens that are still to be read. The
	/// oldest prompt comes first, a check last.
	fn plan(&self) -> (Vec<u32>, Vec<Span>) {
		let numbered = self.slots.iter().enumerate();
		let mut order: Vec<(usize, &Sequence)> =
			numbered.filter_map(|(number, slot)| Some((number, slot.sequence.as_ref()?))).collect();
		order.sort_by_key(|(_, sequence)| (sequence.task.is_check(), sequence.turn));
		let delays = order.iter().any(|(_, sequence)| sequence.ids.len() == sequence.read + 1);
		let mut budget = if delays { self.pace.chunk(self.prefill_chunk) } else { self.prefill_chunk };
		let (mut tokens, mut spans) = (Vec::new(), Vec::new());
		for (slot, sequence) in order {
			let unread = &sequence.ids[sequence.read..];
			let length = match unread.len() {
				1 => 1,
				all if budget > 0 && self.model.reads_whole() => all,
				all => all.min(budget),
			};
			if length == 0 {
				continue;
			}
			if unread.len() > 1 {
				budget = budget.saturating_sub(length);
			}
			tokens.extend(&unread[..length]);
			spans.push(Span { slot, start: sequence.read, length, wanted: sequence.wanted(length) });
		}
		(tokens, spans)
	}

	/// Computes a step and hands its results to their sequences.
	fn step(&mut self, tokens: &[u32], spans: &[Span]) -> Result<(), EngineError> {
		for span in spans {
			if let Some(sequence) = &mut self.slots[span.slot].sequence {
				sequence.read += span.length;
			}
		}
		let (slots, tokenizer) = (&mut self.slots, &self.tokenizer);
		self.model.step(tokens, spans, &mut |slot, position, hidden, logits| {
			let Some(sequence) = &mut slots[slot].sequence else { return };
			if let Some(reason) = sequence.advance(position + 1, hidden, logits, tokenizer) {
				slots[slot].end(reason, tokenizer);
			}
		})
	}

	/// Ends the requests of a failed step with an error.
	fn fail(&mut self, spans: &[Span], error: &EngineError) {
		tracing::error!(%error, "the model failed to compute; its requests end with an error");
		for span in spans {
			let slot = &mut self.slots[span.slot];
			// Nobody knows what the model has read of it.
			slot.kept.clear();
			if let Some(sequence) = slot.sequence.take() {
				sequence.task.fail(error.clone());
			}
		}
	}
}

impl Slot {
	/// Returns the number of tokens that the model has read for it.
	fn cached(&self) -> usize {
		self.sequence.as_ref().map_or(self.kept.len(), |sequence| sequence.read)
	}

	/// Takes its sequence, and keeps what the model has read of it.
	fn release(&mut self) -> Option<Sequence> {
		let mut sequence = self.sequence.take()?;
		self.kept = std::mem::take(&mut sequence.ids);
		self.kept.truncate(sequence.read);
		Some(sequence)
	}

	/// Ends its sequence.
	fn end(&mut self, reason: FinishReason, tokenizer: &Tokenizer) {
		if let Some(sequence) = self.sequence.as_ref() {
			let completion_tokens = sequence.ids.len() - sequence.prompt;
			if let Some(sequence) = self.release() {
				sequence.end(reason, completion_tokens, tokenizer);
			}
		}
	}
}

impl Pace {
	/// Notes a step that read so many tokens of prompts.
	fn note(&mut self, elapsed: Duration, read: usize) {
		if read == 0 {
			self.plain = elapsed;
			return;
		}
		let token = elapsed.saturating_sub(self.plain).as_secs_f64() / read as f64;
		self.token = if self.token > 0.0 { (3.0 * self.token + token) / 4.0 } else { token };
	}

	/// Returns the number of tokens of prompts to read in a step that completions wait for, at most `limit`.
	fn chunk(&self, limit: usize) -> usize {
		// The cast saturates. Nothing is known before the first prompt: a quotient by 0 gives the limit.
		let tokens = (self.limit.as_secs_f64() / self.token) as usize;
		tokens.max(MIN_CHUNK).min(limit)
	}
}

impl Sequence {
	fn new(job: Job, turn: u64, tokenizer: &Tokenizer, width: usize) -> Self {
		let Job { request, masks, task } = job;
		let sampler = Sampler::bounded(&request, width, Bounds::new(&request, tokenizer.eos(), masks));
		let stop = StopChecker::new(&request, tokenizer.eos(), |id| tokenizer.bytes(id));
		let (prompt, owner, logprobs) = (request.prompt.len(), request.owner, request.logprobs);
		let mut ids = request.prompt;
		let pool = tokenizer.pooling().map(Pool::new);
		if let (Task::Check(check), None) = (&task, &pool) {
			// The last token is not read: nothing comes after it.
			ids.extend(&check.output[..check.output.len().saturating_sub(1)]);
		}
		Self { ids, read: 0, turn, prompt, owner, logprobs, sampler, stop, pool, task }
	}

	/// Returns how many of the next `length` tokens need logits: those before a token of the completion, or all of an embedding.
	fn wanted(&self, length: usize) -> usize {
		if self.pool.as_ref().is_some_and(Pool::wants_all) {
			return length;
		}
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
		if let Some(pool) = &mut self.pool {
			pool.add(hidden);
			return (position == self.prompt).then(|| pool.finish(&self.sampler, &mut self.task));
		}
		let fingerprint = self.sampler.fingerprint(hidden);
		match &mut self.task {
			Task::Generate(events) => {
				let id = self.sampler.choose(position, logits);
				self.sampler.append(id);
				self.ids.push(id);
				let (text, reason) = self.stop.push(id, tokenizer.bytes(id));
				let logprobs = self.logprobs.map(|top| logprobs(logits, id, top.into()));
				// This fails only when the receiver was dropped; the next step notices that.
				let _ = events.try_send(TokenEvent::Token { id, text, fingerprint, logprobs });
				reason
			},
			Task::Check(check) => {
				let id = *check.output.get(check.found.len())?;
				check.found.push(TokenCheck { margin: self.sampler.margin(position, logits, id), fingerprint });
				check.is_permitted &= self.sampler.is_permitted(id);
				self.sampler.append(id);
				(check.found.len() == check.output.len()).then_some(check.claimed)
			},
		}
	}

	/// Sends the end of a completion, or the result of a check.
	fn end(self, reason: FinishReason, completion_tokens: usize, tokenizer: &Tokenizer) {
		// The send fails if the caller dropped the receiver: then nobody needs the result.
		match self.task {
			Task::Generate(events) => drop(events.try_send(done(reason, self.prompt, completion_tokens))),
			Task::Check(Check { output, claimed, found, is_permitted, result })
				if found.len() == self.pool.as_ref().map_or(output.len(), |_| 1) =>
			{
				let ends_rightly = match self.pool {
					Some(_) => claimed == FinishReason::Stop,
					None => self.stop.confirms(&output, claimed, |id| tokenizer.bytes(id)),
				};
				drop(result.send(Ok(CheckResult { tokens: found, ends_rightly, is_permitted })));
			},
			check => check.fail(EngineError::Stopped),
		}
	}
}

/// Takes the first job of the owner with the fewest of the running ones, whose `owners` are given; of several, the one that
/// was `served` least recently. Takes no check while one is computed. Cancelled jobs are dropped.
fn next_job(waiting: &mut VecDeque<Job>, checking: bool, owners: &[Hash], served: &HashMap<Hash, u64>) -> Option<Job> {
	waiting.retain(|job| !job.task.is_cancelled());
	let may_start = waiting.iter().enumerate().filter(|(_, job)| !(checking && job.task.is_check()));
	let running = |job: &Job| owners.iter().filter(|owner| **owner == job.request.owner).count();
	let last = |job: &Job| served.get(&job.request.owner).copied();
	let (next, _) = may_start.min_by_key(|(_, job)| (running(job), last(job)))?;
	waiting.remove(next)
}

fn done(finish_reason: FinishReason, prompt_tokens: usize, completion_tokens: usize) -> TokenEvent {
	TokenEvent::Done { finish_reason, prompt_tokens, completion_tokens }
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn prompts_take_as_much_time_of_a_step_as_they_may() {
		let mut pace = Pace { limit: Duration::from_millis(100), plain: Duration::ZERO, token: 0.0 };
		assert_eq!(pace.chunk(256), 256, "nothing is known");
		pace.note(Duration::from_millis(50), 0);
		pace.note(Duration::from_millis(50 + 256), 256);
		assert_eq!(pace.chunk(256), 100, "a millisecond each, without the completions' own time");
		(0..20).for_each(|_| pace.note(Duration::from_millis(50 + 400), 100));
		assert!((25..=26).contains(&pace.chunk(256)), "four milliseconds each, as contexts grow: {}", pace.chunk(256));
		(0..20).for_each(|_| pace.note(Duration::from_secs(5), 16));
		assert_eq!(pace.chunk(256), MIN_CHUNK);
		assert_eq!(pace.chunk(5), 5);
	}

	/// Requests of these owners, in this order.
	fn waiting(owners: &[u8], events: &mpsc::Sender<TokenEvent>) -> VecDeque<Job> {
		let request = |owner: &u8| GenerateRequest { owner: [*owner; 32], ..Default::default() };
		owners
			.iter()
			.map(|owner| Job { request: request(owner), masks: None, task: Task::Generate(events.clone()) })
			.collect()
	}

	/// The owners in the order in which their requests start, one at a time, if they wait in the order given.
	fn started(owners: &[u8]) -> Vec<u8> {
		let (events, _receiver) = mpsc::channel(1);
		let (mut waiting, mut served) = (waiting(owners, &events), HashMap::new());
		(0..)
			.map_while(|turn| {
				let owner = next_job(&mut waiting, false, &[], &served)?.request.owner;
				served.insert(owner, turn);
				Some(owner[0])
			})
			.collect()
	}

	#[test]
	fn waiting_requests_of_different_owners_take_turns() {
		assert_eq!(started(&[1, 1, 1, 2]), [1, 2, 1, 1]);
		assert_eq!(started(&[1, 1, 1, 2, 3, 2]), [1, 2, 3, 1, 2, 1]);
	}

	#[test]
	fn an_owner_with_fewer_running_requests_comes_first() {
		let (events, _receiver) = mpsc::channel(1);
		let served = HashMap::from([([2; 32], 9)]);
		let next = next_job(&mut waiting(&[1, 2], &events), false, &[[1; 32]], &served);
		assert_eq!(next.map(|job| job.request.owner), Some([2; 32]));
	}
}
