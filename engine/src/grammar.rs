//! Grammars: which tokens a completion may go on with.
//!
//! A checker computes the masks of a completion again, and a token that they forbid is a breach.
//!
//! Each grammar has a thread: it compiles the grammar while the caller waits, and computes masks while the model computes.
//! So an expensive mask delays its own completion first. Its stack is large, as `llguidance` recurses into what it reads.

use std::{
	sync::{
		Arc,
		mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
	},
	thread,
};

use gonka_tokenizer::{
	Tokenizer,
	grammar::{GRAMMAR_STACK, Grammar, GrammarCompiler, GrammarError, describe},
};
use llguidance::Matcher;
use toktrie::SimpleVob;

use crate::EngineError;

/// Number of masks of a check that are computed ahead.
const AHEAD: usize = 16;

/// Compiles grammars for one model.
pub struct Grammars(GrammarCompiler);

/// The masks of one completion, in the order of its tokens.
#[derive(Debug)]
pub struct Masks {
	/// Takes the tokens that are chosen; `None` if they are known from the beginning.
	tokens: Option<Sender<u32>>,
	masks: Receiver<Option<SimpleVob>>,
}

impl Masks {
	/// Returns the mask for the next token, a bit for each id in words of 32; `None` if the grammar permits nothing.
	pub fn next(&self) -> Option<SimpleVob> {
		self.masks.recv().ok().flatten()
	}

	/// Goes on after `token`, whose mask was taken.
	pub fn append(&self, token: u32) {
		if let Some(tokens) = &self.tokens {
			// Without the thread, no token is permitted any more.
			let _ = tokens.send(token);
		}
	}
}

impl Grammars {
	/// Makes a compiler for the model with this tokenizer. The cost comes with the first grammar.
	pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
		Self(GrammarCompiler::new(tokenizer))
	}

	/// Compiles a grammar, and goes on after the tokens `delivered`. `known` are the tokens that follow, if this is a check.
	/// Blocks until the grammar is compiled.
	///
	/// # Errors
	/// [`EngineError::InvalidRequest`] when the grammar is malformed or too complex, or the delivered tokens do not fit it;
	/// [`EngineError::Unsupported`] when the model's vocabulary does not allow grammars; [`EngineError::Compute`] when there
	/// is no thread for it.
	pub fn start(
		self: &Arc<Self>,
		grammar: &Grammar,
		delivered: &[u32],
		known: Option<&[u32]>,
	) -> Result<Masks, EngineError> {
		let (tokens, chosen) = channel();
		let (masks, computed) = sync_channel(if known.is_some() { AHEAD } else { 1 });
		let (result, compiled) = sync_channel(1);
		let (grammars, grammar, delivered) = (self.clone(), grammar.clone(), delivered.to_vec());
		let mut following = known.map(<[u32]>::to_vec).unwrap_or_default().into_iter();
		let is_known = known.is_some();
		let work = move || match grammars.compile(&grammar, &delivered) {
			Ok((matcher, first)) => {
				// The caller waits for it.
				let _ = result.send(Ok(()));
				let next = || if is_known { following.next() } else { chosen.recv().ok() };
				run(matcher, first, next, &masks);
			},
			Err(error) => drop(result.send(Err(error))),
		};
		thread::Builder::new()
			.name("grammar".into())
			.stack_size(GRAMMAR_STACK)
			.spawn(work)
			.map_err(|error| EngineError::Compute(format!("no thread for the grammar: {error}")))?;
		compiled.recv().map_err(|_| EngineError::InvalidRequest(describe("it broke the compiler")))??;
		Ok(Masks { tokens: (!is_known).then_some(tokens), masks: computed })
	}

	/// Returns the matcher after the delivered tokens, and its first mask.
	fn compile(&self, grammar: &Grammar, delivered: &[u32]) -> Result<(Matcher, Option<SimpleVob>), EngineError> {
		let mut matcher = self.0.compile(grammar, delivered)?;
		match matcher.compute_mask_or_eos() {
			Ok(mask) => Ok((matcher, Some(mask))),
			// Which tokens were delivered is not the request's fault.
			Err(_) if !delivered.is_empty() => Ok((matcher, None)),
			Err(error) => {
				let error = describe(&format!("it permits no first token: {error}"));
				Err(EngineError::InvalidRequest(error))
			},
		}
	}
}

impl From<GrammarError> for EngineError {
	fn from(error: GrammarError) -> Self {
		match error {
			GrammarError::Invalid(message) => Self::InvalidRequest(message),
			GrammarError::Unsupported(_) => Self::Unsupported(error.to_string()),
		}
	}
}

/// Hands out masks, one after each token, until nobody takes them or no token follows.
fn run(
	mut matcher: Matcher,
	first: Option<SimpleVob>,
	mut next: impl FnMut() -> Option<u32>,
	masks: &SyncSender<Option<SimpleVob>>,
) {
	let mut mask = first;
	while masks.send(mask).is_ok()
		&& let Some(token) = next()
	{
		// After an error every mask is one, too.
		let _ = matcher.consume_token(token);
		mask = matcher
			.compute_mask_or_eos()
			.inspect_err(|error| tracing::debug!(%error, "a grammar permits no token, so its completion ends"))
			.ok();
	}
}

#[cfg(all(test, feature = "torch"))]
mod tests {
	use super::*;
	use gonka_tokenizer::tokenizer::{Encoder, Vocabulary};
	use serde_json::json;
	use std::time::{Duration, Instant};

	/// Tokens of one byte each.
	struct Bytes;

	impl Encoder for Bytes {
		fn append(&self, text: &str, ids: &mut Vec<u32>) {
			ids.extend(text.bytes().map(u32::from));
		}
	}

	/// A token for each byte, two of several bytes, one that is too long, and the special tokens `<|end|>` and `<|tool|>`.
	fn small(eos: bool) -> Arc<Grammars> {
		let mut bytes: Vec<Box<[u8]>> = (0..=u8::MAX).map(|byte| Box::from([byte])).collect();
		bytes.extend([Box::from(*b"ab"), Box::from(*b"ab"), vec![b'a'; 5_000].into(), Box::default(), Box::default()]);
		let special = vec![(if eos { "<|end|>" } else { "<|last|>" }.to_owned(), 259), ("<|tool|>".to_owned(), 260)];
		let vocabulary =
			Vocabulary { bytes, special, bos: None, adds_bos: false, eos: vec![], template: None, embedding: None };
		Arc::new(Grammars::new(Arc::new(Tokenizer::new(vocabulary, Box::new(Bytes)).unwrap())))
	}

	fn permitted(masks: &Masks) -> Vec<u32> {
		let mask = masks.next().unwrap();
		(0..261).filter(|&id| mask.is_allowed(id)).collect()
	}

	#[test]
	fn masks_have_all_tokens_that_fit_and_no_others() {
		let masks = small(true).start(&Grammar::Regex("a+b?".into()), &[], None).unwrap();
		// Both tokens of the same bytes, and no text token of more than a thousand.
		assert_eq!(permitted(&masks), [97, 256, 257]);
		masks.append(97);
		assert_eq!(permitted(&masks), [97, 98, 256, 257, 259], "the end is permitted, too");
		masks.append(257);
		assert_eq!(permitted(&masks), [259], "nothing else follows");
		let special = Grammar::Lark("start: <|tool|> \"b\"".into());
		assert_eq!(permitted(&small(true).start(&special, &[], None).unwrap()), [260]);
		assert_eq!(permitted(&small(true).start(&special, &[260], None).unwrap()), [98]);
	}

	#[test]
	fn masks_of_known_tokens_are_computed_ahead_and_end_with_a_forbidden_one() {
		let masks = small(true).start(&Grammar::Regex("abc".into()), &[97], Some(&[98, 120, 99])).unwrap();
		assert_eq!([permitted(&masks), permitted(&masks)], [[98], [99]]);
		assert_eq!([masks.next(), masks.next(), masks.next()], [None, None, None]);
		let misfit = small(true).start(&Grammar::Regex("abc".into()), &[97, 99], None).unwrap_err();
		assert!(misfit.to_string().contains("token 2 of the delivered ones"), "{misfit}");
	}

	#[test]
	fn a_model_without_an_end_has_no_grammars() {
		let error = small(false).start(&Grammar::Regex("a".into()), &[], None).unwrap_err();
		assert!(matches!(error, EngineError::Unsupported(_)), "{error}");
	}

	/// Prints how long masks of the demo model take.
	#[test]
	fn the_demo_models_tokens_of_a_text_are_permitted_one_after_the_other() {
		let home = std::env::var_os("GONKA_HOME").map_or_else(
			|| std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/gonka"),
			std::path::PathBuf::from,
		);
		let file = gonka_tokenizer::gguf::Gguf::open(&home.join("models/SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
		let tokenizer = Arc::new(crate::torch::checkpoint::Checkpoint::tokenizer(&file).unwrap());
		let grammars = Arc::new(Grammars::new(tokenizer.clone()));
		let schema = json!({
			"type": "object", "additionalProperties": false, "required": ["name", "place", "parts"],
			"properties": {
				"name": {"type": "string"},
				"place": {"enum": ["Aachen", "Berlin", "Cologne"]},
				"parts": {"type": "array", "items": {"type": "object", "properties": {"count": {"type": "integer"}, "text": {"type": "string", "maxLength": 100}}}},
				"weight": {"type": "number"},
			},
		});
		let text = r#"{"name": "Ada Lovelace, the first programmer", "place": "Cologne", "parts": [{"count": 17, "text": "A piece of \"brass\" 🦀"}, {"count": -3}], "weight": 1.5}"#;
		let start = Instant::now();
		grammars.start(&Grammar::Regex("a".into()), &[], None).unwrap();
		println!("the trie of {} tokens: {:?}", tokenizer.vocab_size(), start.elapsed());
		let start = Instant::now();
		let (mut matcher, first) = grammars.compile(&Grammar::JsonSchema(schema), &[]).unwrap();
		println!("the schema: {:?}", start.elapsed());
		let (mut mask, mut times) = (first.unwrap(), Vec::<Duration>::new());
		for id in tokenizer.encode(text) {
			assert!(mask.is_allowed(id), "{:?}", String::from_utf8_lossy(tokenizer.bytes(id)));
			let start = Instant::now();
			matcher.consume_token(id).unwrap();
			mask = matcher.compute_mask_or_eos().unwrap();
			times.push(start.elapsed());
		}
		let ends: Vec<u32> = (0..tokenizer.vocab_size() as u32).filter(|&id| mask.is_allowed(id)).collect();
		let mut eos = tokenizer.eos().to_vec();
		eos.sort_unstable();
		assert_eq!(ends, eos);
		times.sort_unstable();
		let mean = times.iter().sum::<Duration>() / times.len() as u32;
		println!("{} masks: {mean:?} on average, at most {:?}", times.len(), times.last().unwrap());
	}
}
