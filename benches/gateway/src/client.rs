//! The client: streams in a closed loop, one connection each, and the times at which their tokens arrive.

use crate::now;
use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use gonka_stand_ins::market::MODEL;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use std::{
	net::SocketAddr,
	sync::{
		Arc,
		atomic::{AtomicU64, Ordering},
	},
	time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet, time::timeout};

/// Maximum time to wait for the next bytes of a response.
const PATIENCE: Duration = Duration::from_secs(120);
/// The beginning of each conversation.
const SYSTEM: &str =
	"You are a careful assistant. Answer in plain English, in whole sentences, and say so when you do not know.";
/// The rest of each, some 100 tokens, after a number of its own.
const QUESTION: &str = "A train leaves at noon and runs at eighty kilometres an hour. Another one leaves half an hour later from \
	the same station, on the same line, and runs at a hundred and twenty. When and where does the second train catch up with the \
	first one, and how far apart are they ten minutes after that? Show each step, and check the result at the end.";
/// Number of the next request.
static SEED: AtomicU64 = AtomicU64::new(1);

/// A server of chat completions.
#[derive(Clone, Debug)]
pub struct Server {
	pub address: SocketAddr,
	/// The API key, if it needs one.
	pub key: String,
	/// The text of each token.
	pub word: String,
	/// Number of tokens of each completion.
	pub tokens: u32,
}

/// A request as the client saw it, in nanoseconds by [`now`].
#[derive(Clone, Debug)]
pub struct Sample {
	pub seed: u64,
	/// The request went out.
	pub sent: u64,
	/// Each token arrived.
	pub tokens: Vec<u64>,
	/// The end of the response arrived.
	pub ended: u64,
}

#[derive(Deserialize)]
struct Chunk {
	choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
	delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
	content: Option<String>,
}

/// Keeps so many streams busy for a while. Returns their requests, all but the first of each connection.
///
/// # Errors
/// A request failed, or did not get exactly its tokens.
pub async fn load(server: &Server, streams: usize, length: Duration) -> anyhow::Result<Vec<Sample>> {
	let end = Instant::now() + length;
	let mut tasks = JoinSet::new();
	for _ in 0..streams {
		let server = server.clone();
		tasks.spawn(async move {
			let mut connection = Connection::open(server).await?;
			connection.complete(None).await?;
			let mut samples = Vec::new();
			while Instant::now() < end {
				samples.push(connection.complete(None).await?);
			}
			anyhow::Ok(samples)
		});
	}
	let mut all = Vec::new();
	while let Some(samples) = tasks.join_next().await {
		all.extend(samples??);
	}
	Ok(all)
}

/// Opens so many streams, and calls `inspect` once all of them have a token. It must see to it that they end.
///
/// # Errors
/// As [`load`].
pub async fn crowd<T>(
	server: &Server,
	streams: usize,
	inspect: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
	let (begun, mut beginnings) = mpsc::channel(streams);
	let mut tasks = JoinSet::new();
	for _ in 0..streams {
		let (server, begun) = (server.clone(), begun.clone());
		tasks.spawn(async move { Connection::open(server).await?.complete(Some(begun)).await });
	}
	for _ in 0..streams {
		tokio::select! {
			_ = beginnings.recv() => {},
			Some(ended) = tasks.join_next() => {
				ended??;
				bail!("a stream ended before all had begun");
			},
		}
	}
	let seen = inspect().await?;
	while let Some(ended) = tasks.join_next().await {
		ended??;
	}
	Ok(seen)
}

struct Connection {
	server: Arc<Server>,
	sender: SendRequest<Full<Bytes>>,
}

impl Connection {
	async fn open(server: Server) -> anyhow::Result<Self> {
		let socket = TcpStream::connect(server.address).await.context("cannot connect")?;
		socket.set_nodelay(true)?;
		let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
		tokio::spawn(connection);
		Ok(Self { server: Arc::new(server), sender })
	}

	/// Sends a request and reads its response. `begun` learns of the first token.
	async fn complete(&mut self, begun: Option<mpsc::Sender<()>>) -> anyhow::Result<Sample> {
		let server = self.server.clone();
		let seed = SEED.fetch_add(1, Ordering::Relaxed);
		let body = json!({
			"model": MODEL,
			"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": format!("{seed}. {QUESTION}")}],
			"stream": true,
			"max_tokens": server.tokens,
			"temperature": 0,
			"seed": seed,
		});
		let request = Request::post("/v1/chat/completions")
			.header("host", server.address.to_string())
			.header("content-type", "application/json")
			.header("authorization", format!("Bearer {}", server.key))
			.body(Full::new(Bytes::from(body.to_string())))?;
		self.sender.ready().await?;
		let sent = now();
		let response = timeout(PATIENCE, self.sender.send_request(request)).await.context("no response")??;
		let mut sample = Sample { seed, sent, tokens: Vec::new(), ended: 0 };
		read(&server, response, &mut sample, begun).await?;
		Ok(sample)
	}
}

async fn read(
	server: &Server,
	mut response: Response<Incoming>,
	sample: &mut Sample,
	mut begun: Option<mpsc::Sender<()>>,
) -> anyhow::Result<()> {
	if response.status() != 200 {
		let status = response.status();
		let body = response.into_body().collect().await?.to_bytes();
		bail!("status {status}: {}", String::from_utf8_lossy(&body));
	}
	let (mut buffer, mut text) = (BytesMut::new(), String::new());
	while let Some(frame) = timeout(PATIENCE, response.body_mut().frame()).await.context("the stream stopped")? {
		let arrived = now();
		buffer.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new()));
		while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
			let event = buffer.split_to(end);
			buffer.advance(2);
			let Some(data) = event.strip_prefix(b"data: ") else { continue };
			if data == b"[DONE]" {
				sample.ended = arrived;
				continue;
			}
			let chunk: Chunk =
				serde_json::from_slice(data).with_context(|| String::from_utf8_lossy(data).into_owned())?;
			let content = chunk.choices.into_iter().find_map(|choice| choice.delta.content).unwrap_or_default();
			// A proxy may join the texts of tokens.
			let tokens = content.len().checked_div(server.word.len()).unwrap_or(0);
			sample.tokens.extend(std::iter::repeat_n(arrived, tokens));
			text.push_str(&content);
			if !sample.tokens.is_empty()
				&& let Some(begun) = begun.take()
			{
				begun.send(()).await?;
			}
		}
	}
	ensure!(sample.ended > 0, "the stream broke off");
	ensure!(text == server.word.repeat(server.tokens as usize), "the stream has another text: {text:?}");
	Ok(())
}
