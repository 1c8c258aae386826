//! An engine whose completions go on only as far as a test allows.

use super::*;
use gonka_engine::{CheckReceiver, CheckRequest, EngineError, GenerateRequest, Health, ModelInfo, TokenEvent};
use tokio::sync::{Semaphore, mpsc};

/// Generates like the mock engine, but each token needs a permit.
pub struct GatedEngine {
	inner: Arc<dyn Engine>,
	permits: Arc<Semaphore>,
}

impl GatedEngine {
	/// Makes an engine whose completions have `tokens` tokens, and stop after as many as there are permits.
	pub fn new(tokens: usize, permits: usize) -> Arc<Self> {
		let inner = mock(MockConfig { completion_words: tokens - 1, ..Default::default() });
		Arc::new(Self { inner, permits: Arc::new(Semaphore::new(permits)) })
	}

	/// Allows further tokens.
	pub fn allow(&self, tokens: usize) {
		self.permits.add_permits(tokens);
	}
}

impl Engine for GatedEngine {
	fn info(&self) -> ModelInfo {
		self.inner.info()
	}

	fn generate(&self, request: GenerateRequest) -> Result<mpsc::Receiver<TokenEvent>, EngineError> {
		let mut tokens = self.inner.generate(request)?;
		let (sender, receiver) = mpsc::channel(1);
		let permits = self.permits.clone();
		tokio::spawn(async move {
			while let Some(event) = tokens.recv().await {
				if matches!(event, TokenEvent::Token { .. }) {
					tokio::select! {
						permit = permits.acquire() => permit.unwrap().forget(),
						() = sender.closed() => return,
					}
				}
				if sender.send(event).await.is_err() {
					return;
				}
			}
		});
		Ok(receiver)
	}

	fn check(&self, request: CheckRequest) -> Result<CheckReceiver, EngineError> {
		self.inner.check(request)
	}

	fn health(&self) -> Health {
		self.inner.health()
	}
}
