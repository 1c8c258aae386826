//! Clients that send all kinds of requests at random, each with `curl`, as developers' programs would.

use crate::PATIENCE;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use std::{
	collections::BTreeMap,
	process::Stdio,
	sync::{
		Arc, Mutex, MutexGuard,
		atomic::{AtomicBool, AtomicU64, Ordering},
	},
	time::Duration,
};
use tokio::{process::Command, task::JoinSet};

/// Exit status of `curl` when the time given by `--max-time` is over.
const TIMED_OUT: i32 = 28;
/// How often clients look whether an outage is over.
const POLL: Duration = Duration::from_millis(50);
/// Largest number of turns of a conversation by `previous_response_id`.
const TURNS: u32 = 3;

/// A client's conduct with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
	/// Reads a whole answer.
	Whole,
	/// Reads a stream.
	Stream,
	/// Reads a long stream, at two kilobytes a second.
	Slow,
	/// Hangs up in the middle of a stream.
	HangUp,
	/// Sends a request that is wrong.
	Bad,
	/// Sends a prompt that fills most of the context.
	Long,
	/// Asks for several answers.
	Several,
	/// Asks for an answer that follows a schema.
	Bound,
	/// Demands a call.
	Tools,
	/// Continues a stored response.
	Response,
	/// Sends a message in Anthropic's form.
	Message,
}

const KINDS: [Kind; 11] = [
	Kind::Whole,
	Kind::Stream,
	Kind::Slow,
	Kind::HangUp,
	Kind::Bad,
	Kind::Long,
	Kind::Several,
	Kind::Bound,
	Kind::Tools,
	Kind::Response,
	Kind::Message,
];

/// The outcomes of requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
	/// Number of requests by kind, each of which got what it should.
	pub served: BTreeMap<Kind, u64>,
	/// Number of answers that ended, of which each has a receipt or more.
	pub complete: u64,
	/// Fees of the answers that came as a whole, as the gateway's header says, in GNK.
	pub costs: Vec<String>,
	/// Number of answers that were asked for, the incomplete ones included.
	pub asked: u64,
	/// Number of requests that failed while something was down that they needed.
	pub disturbed: u64,
	/// Number of requests for which all hosts stayed busy.
	pub busy: u64,
	/// Responses that no client should get.
	pub faults: Vec<String>,
}

/// Clients that send requests until they are stopped.
pub struct Clients {
	shared: Arc<Shared>,
	tasks: JoinSet<()>,
}

struct Shared {
	url: String,
	key: String,
	model: String,
	tally: Mutex<Tally>,
	count: AtomicU64,
	/// How often something that a request needs went down or came back.
	changes: AtomicU64,
	stopped: AtomicBool,
}

/// A response, as far as it came.
struct Reply {
	status: u16,
	headers: String,
	body: String,
	is_whole: bool,
}

impl Clients {
	/// Starts `count` clients of the gateway at `url`. The same seed makes the same requests.
	pub fn start(url: &str, key: &str, model: &str, count: u64, seed: u64) -> Self {
		let shared = Arc::new(Shared {
			url: url.into(),
			key: key.into(),
			model: model.into(),
			tally: Mutex::default(),
			count: AtomicU64::new(0),
			changes: AtomicU64::new(0),
			stopped: AtomicBool::new(false),
		});
		let mut tasks = JoinSet::new();
		for index in 0..count {
			let client = Client { shared: shared.clone(), rng: Rng::with_seed(seed + index), last: None };
			tasks.spawn(client.run());
		}
		Self { shared, tasks }
	}

	/// Number of requests so far.
	pub fn count(&self) -> u64 {
		self.shared.count.load(Ordering::SeqCst)
	}

	/// Notes that something without which no request can be served goes down, or is back.
	pub fn disturb(&self) {
		self.shared.changes.fetch_add(1, Ordering::SeqCst);
	}

	/// Lets all clients end the request that they are at, and returns what became of all requests.
	pub async fn stop(mut self) -> Tally {
		self.shared.stopped.store(true, Ordering::SeqCst);
		while self.tasks.join_next().await.is_some() {}
		self.shared.tally().clone()
	}
}

impl Shared {
	/// Whether something is down without which no request can be served: after odd numbers of changes.
	fn is_down(&self) -> bool {
		self.changes.load(Ordering::SeqCst) % 2 == 1
	}

	fn tally(&self) -> MutexGuard<'_, Tally> {
		self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
	}
}

struct Client {
	shared: Arc<Shared>,
	rng: Rng,
	/// The last stored response, and the number of its turn.
	last: Option<(String, u32)>,
}

impl Client {
	async fn run(mut self) {
		while !self.shared.stopped.load(Ordering::SeqCst) {
			let kind = KINDS[self.rng.usize(..KINDS.len())];
			let before = self.shared.changes.load(Ordering::SeqCst);
			let result = self.request(kind).await;
			let is_disturbed = before % 2 == 1 || before != self.shared.changes.load(Ordering::SeqCst);
			{
				let mut tally = self.shared.tally();
				match result {
					Ok(()) => *tally.served.entry(kind).or_default() += 1,
					Err(_) if is_disturbed => tally.disturbed += 1,
					Err(error) => tally.faults.push(format!("{kind:?}: {error:#}")),
				}
			}
			self.shared.count.fetch_add(1, Ordering::SeqCst);
			while is_disturbed && self.shared.is_down() {
				tokio::time::sleep(POLL).await;
			}
		}
	}

	/// Sends a request, and checks the response.
	async fn request(&mut self, kind: Kind) -> Result<()> {
		let (path, body) = match kind {
			Kind::Bad => return self.bad().await,
			Kind::Response => return self.respond().await,
			Kind::Message => ("/v1/messages", self.body(json!({"max_tokens": 8}))),
			kind => ("/v1/chat/completions", self.chat(kind)),
		};
		let answers = if kind == Kind::Several { 2 } else { 1 };
		self.shared.tally().asked += answers;
		let time = format!("{:.2}", 0.05 + 1.5 * self.rng.f64());
		let options: &[&str] = match kind {
			Kind::HangUp => &["--max-time", &time],
			Kind::Slow => &["--limit-rate", "2k"],
			_ => &[],
		};
		let reply = self.send(path, &body.to_string(), options).await?;
		if kind == Kind::HangUp && !reply.is_whole {
			return Ok(());
		}
		if reply.status == 429 && reply.body.contains("rate_limit_exceeded") {
			self.shared.tally().busy += 1;
			return Ok(());
		}
		ensure!(reply.status == 200, "status {}: {}", reply.status, reply.body);
		if body.get("stream").is_some() {
			ensure!(reply.body.trim_end().ends_with("data: [DONE]"), "the stream broke off: {}", reply.body);
		} else {
			self.check(kind, &serde_json::from_str(&reply.body)?)?;
		}
		self.complete(&reply, answers)
	}

	fn complete(&self, reply: &Reply, answers: u64) -> Result<()> {
		let mut tally = self.shared.tally();
		tally.complete += answers;
		let cost = reply.headers.lines().find_map(|line| line.strip_prefix("x-gnk-cost: "));
		tally.costs.extend(cost.map(str::to_owned));
		Ok(())
	}

	fn body(&mut self, more: Value) -> Value {
		let question = format!("Tell me about the number {}.", self.rng.u32(..1000));
		let mut body = json!({"model": self.shared.model, "messages": [{"role": "user", "content": question}]});
		if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
			body.extend(more);
		}
		body
	}

	fn chat(&mut self, kind: Kind) -> Value {
		let tokens = self.rng.u32(1..16);
		let schema = json!({
			"type": "object", "properties": {"a": {"enum": [1, 2]}, "b": {"type": "boolean"}}, "required": ["a", "b"],
			"additionalProperties": false,
		});
		let function = json!({"type": "function", "function": {"name": "f", "parameters": schema, "strict": true}});
		let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
		let more = match kind {
			Kind::Stream => json!({"max_tokens": tokens, "stream": true}),
			Kind::Slow => {
				json!({"max_tokens": 24, "stream": true, "logprobs": true, "top_logprobs": 20, "ignore_eos": true})
			},
			Kind::HangUp => json!({"max_tokens": 64, "stream": true, "ignore_eos": true}),
			Kind::Long => {
				let words = "word ".repeat(self.rng.usize(200..700));
				json!({"max_tokens": 2, "messages": [{"role": "user", "content": words}]})
			},
			Kind::Several => json!({"max_tokens": tokens, "n": 2}),
			Kind::Bound => json!({"max_tokens": 64, "response_format": format}),
			Kind::Tools => json!({"max_tokens": 64, "tools": [function], "tool_choice": "required"}),
			_ => json!({"max_tokens": tokens}),
		};
		self.body(more)
	}

	/// Checks an answer that came as a whole.
	fn check(&self, kind: Kind, body: &Value) -> Result<()> {
		let follows = |text: Option<&str>| -> Result<()> {
			let value: Value = serde_json::from_str(text.context("no text")?)?;
			let fits = matches!(value["a"].as_u64(), Some(1 | 2)) && value["b"].is_boolean();
			ensure!(fits && value.as_object().is_some_and(|map| map.len() == 2), "{value} does not follow the schema");
			Ok(())
		};
		let choice = &body["choices"][0];
		let ended = choice["finish_reason"] != "length";
		match kind {
			Kind::Message => ensure!(body["stop_reason"].is_string(), "{body}"),
			Kind::Several => ensure!(body["choices"].as_array().is_some_and(|list| list.len() == 2), "{body}"),
			Kind::Bound if ended => follows(choice["message"]["content"].as_str())?,
			Kind::Tools if ended => {
				follows(choice["message"]["tool_calls"][0]["function"]["arguments"].as_str())?;
			},
			_ => ensure!(choice["finish_reason"].is_string(), "{body}"),
		}
		Ok(())
	}

	/// Sends a request that is wrong. It gets a 4xx with an explanation.
	async fn bad(&mut self) -> Result<()> {
		let schema = |schema: Value| json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}});
		let body = match self.rng.u32(..8) {
			0 => "{\"model\": ".into(),
			1 => self.body(json!({"model": "gpt-0"})).to_string(),
			2 => self.body(json!({"max_tokens": -1})).to_string(),
			3 => self.body(json!({"messages": [{"role": "user", "content": "word ".repeat(60_000)}]})).to_string(),
			4 => self.body(json!({"messages": []})).to_string(),
			5 => self.body(json!({"response_format": schema(json!({"not": {}}))})).to_string(),
			6 => self.body(json!({"response_format": schema(json!({"$ref": "#"}))})).to_string(),
			_ => self.body(json!({"tools": [{"type": "browser"}]})).to_string(),
		};
		let reply = self.send("/v1/chat/completions", &body, &[]).await?;
		ensure!((400..500).contains(&reply.status), "status {}: {}", reply.status, reply.body);
		let error: Value = serde_json::from_str(&reply.body)?;
		ensure!(error["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{}", reply.body);
		Ok(())
	}

	/// Asks for a response, which continues the last one. A response that came is stored, whatever happens to the gateway then.
	async fn respond(&mut self) -> Result<()> {
		let mut body = json!({"model": self.shared.model, "input": "Go on.", "max_output_tokens": 6});
		let last = self.last.take();
		if let Some((id, _)) = &last {
			body["previous_response_id"] = id.as_str().into();
		}
		self.shared.tally().asked += 1;
		let reply = self.send("/v1/responses", &body.to_string(), &[]).await?;
		if reply.status == 429 && reply.body.contains("rate_limit_exceeded") {
			self.shared.tally().busy += 1;
			return Ok(());
		}
		ensure!(reply.status == 200, "status {}: {}", reply.status, reply.body);
		let made: Value = serde_json::from_str(&reply.body)?;
		let id = made["id"].as_str().context("no id")?;
		let turn = last.map_or(1, |(_, turn)| turn + 1);
		self.last = (turn < TURNS).then(|| (id.to_owned(), turn));
		self.complete(&reply, 1)
	}

	/// Sends a body. Fails if no response came, or it broke off, unless the time given in `options` was over.
	async fn send(&self, path: &str, body: &str, options: &[&str]) -> Result<Reply> {
		let key = format!("authorization: Bearer {}", self.shared.key);
		let mut child = Command::new("curl")
			.args(["--silent", "--show-error", "--no-buffer", "--dump-header", "/dev/stderr"])
			.args(["--header", "content-type: application/json", "--header", &key])
			.args(["--max-time", &PATIENCE.as_secs().to_string()])
			.args(options)
			.args(["--data-binary", "@-", &format!("{}{path}", self.shared.url)])
			.stdin(Stdio::piped())
			.stdout(Stdio::piped())
			.stderr(Stdio::piped())
			.kill_on_drop(true)
			.spawn()
			.context("curl is missing: run scripts/setup")?;
		let mut stdin = child.stdin.take().context("no standard input")?;
		// An error means that curl ended before it read the body, which its own message explains.
		let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, body.as_bytes()).await;
		drop(stdin);
		let output = child.wait_with_output().await?;
		let headers = String::from_utf8_lossy(&output.stderr).replace('\r', "").to_lowercase();
		let is_whole = output.status.success();
		let was_cut = output.status.code() == Some(TIMED_OUT) && options.contains(&"--max-time");
		ensure!(is_whole || was_cut, "curl: {headers}");
		// The last of the status lines: 100 may come first.
		let status = headers.lines().filter_map(|line| line.strip_prefix("http/1.1 ")).next_back();
		let status = status.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()).unwrap_or(0);
		Ok(Reply { status, headers, body: String::from_utf8_lossy(&output.stdout).into_owned(), is_whole })
	}
}
