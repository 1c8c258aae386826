//! Completions that are bound to a grammar: the gateway takes no token that the grammar forbids.

use crate::openai::errors::ApiError;
use gonka_client::worker_api;
use gonka_tokenizer::{
	Grammar, GrammarCompiler, GrammarError,
	grammar::{CANNOT_BE_USED, GRAMMAR_STACK, describe},
};
use llguidance::Matcher;
use std::{
	fmt,
	sync::{Arc, Mutex, PoisonError},
	thread,
};

/// The form that a request demands of its completions: a compiled grammar. Clones share it.
#[derive(Clone)]
pub struct Form {
	compiler: Arc<GrammarCompiler>,
	grammar: worker_api::Grammar,
	/// The state in front of the first token.
	start: Arc<Mutex<Matcher>>,
}

/// The state of one completion in its grammar.
pub struct Bound {
	matcher: Matcher,
	has_given_up: bool,
}

impl From<Matcher> for Bound {
	fn from(matcher: Matcher) -> Self {
		Self { matcher, has_given_up: false }
	}
}

impl fmt::Debug for Form {
	fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.write_str("Form")
	}
}

impl Form {
	/// Compiles a grammar, which the field `param` of a request demands. This blocks for some tens of milliseconds at most.
	///
	/// # Errors
	/// 400 when the grammar is malformed or too complex, no text follows it, or the model cannot be bound to one.
	pub fn new(compiler: Arc<GrammarCompiler>, grammar: &worker_api::Grammar, param: &str) -> Result<Self, ApiError> {
		let invalid = |message| ApiError::invalid_value(param, message);
		let compiled = compile(&compiler, grammar, &[]).and_then(|mut matcher| {
			let first = matcher.compute_mask_or_eos();
			first.map_err(|error| GrammarError::Invalid(describe(&format!("it permits no first token: {error}"))))?;
			Ok(matcher)
		});
		match compiled {
			Ok(matcher) => Ok(Self { compiler, grammar: grammar.clone(), start: Arc::new(Mutex::new(matcher)) }),
			Err(error @ GrammarError::Invalid(_)) => {
				let error = error.to_string();
				let reason = error.strip_prefix(CANNOT_BE_USED).unwrap_or(&error);
				Err(invalid(format!("The form that '{param}' demands cannot be used: {reason}.")))
			},
			Err(error @ GrammarError::Unsupported(_)) => {
				Err(invalid(format!("The model cannot be bound to a form: {error}.")))
			},
		}
	}

	/// The state of a completion that begins. Nothing of it is shared with others: they would use up its limits.
	pub fn begin(&self) -> Bound {
		self.start.lock().unwrap_or_else(PoisonError::into_inner).deep_clone().into()
	}

	/// The state of a completion that another host continues after these tokens, as that host has it. `None` if it cannot
	/// continue. This blocks.
	pub fn resume(&self, delivered: &[u32]) -> Option<Bound> {
		compile(&self.compiler, &self.grammar, delivered).ok().map(Bound::from)
	}
}

/// Compiles a grammar, and reads tokens in it. A thread with a large stack does it.
fn compile(
	compiler: &GrammarCompiler,
	grammar: &worker_api::Grammar,
	delivered: &[u32],
) -> Result<Matcher, GrammarError> {
	let grammar = match grammar.clone() {
		worker_api::Grammar::JsonSchema(schema) => Grammar::JsonSchema(schema),
		worker_api::Grammar::Regex(regex) => Grammar::Regex(regex),
		worker_api::Grammar::Lark(lark) => Grammar::Lark(lark),
	};
	thread::scope(|scope| {
		let thread = thread::Builder::new().name("grammar".into()).stack_size(GRAMMAR_STACK);
		let thread = thread.spawn_scoped(scope, || compiler.compile(&grammar, delivered));
		let compiled =
			thread.map_err(|error| GrammarError::Unsupported(format!("there is no thread for it: {error}")))?;
		compiled.join().unwrap_or_else(|_| Err(GrammarError::Invalid(describe("it is too complex"))))
	})
}

impl Bound {
	/// Goes on with a token, unless the grammar forbids it: then it returns false. `ends` says whether the token ends the completion; it may
	/// always do so where nothing else is permitted. These are the steps of an engine: both must agree on every grammar, however
	/// odd.
	pub fn accepts(&mut self, id: u32, ends: bool) -> bool {
		let mask = self.matcher.compute_mask_or_eos();
		self.has_given_up |= mask.is_err();
		let permits = mask.map_or(ends, |mask| mask.is_allowed(id));
		if permits {
			// After an error every mask is one, too.
			let _ = self.matcher.consume_token(id);
		}
		permits
	}

	/// Whether nothing but the end was permitted, though the form is incomplete: no token can follow, or to follow the grammar would
	/// take too long.
	pub fn has_given_up(&self) -> bool {
		self.has_given_up
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use gonka_tokenizer::{mock_tokenizer, open_tokenizer};

	#[test]
	fn only_what_the_grammar_permits_is_accepted() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer(&["aab"])).unwrap();
		let compiler = Arc::new(GrammarCompiler::new(Arc::new(open_tokenizer(&path).unwrap())));
		let form = Form::new(compiler.clone(), &worker_api::Grammar::Regex("a+b".into()), "guided_regex").unwrap();
		let (word, end) = (256, 257);
		let follow = |ids: &[u32]| {
			let mut bound = form.begin();
			ids.iter().all(|id| bound.accepts(*id, *id == end))
		};
		assert!(follow(&[97, 97, 98, end]) && follow(&[word, end]) && follow(&[97, word]));
		assert!(
			!follow(&[98]) && !follow(&[end]) && !follow(&[97, end]) && !follow(&[word, 97]) && !follow(&[97, 98, 98])
		);
		// An end of a completion in its middle: engines end there.
		let odd = worker_api::Grammar::Lark("start: <|im_end|> \"a\"".into());
		let odd = Form::new(compiler.clone(), &odd, "guided_grammar").unwrap();
		assert!(!odd.begin().accepts(97, false) && odd.begin().accepts(end, true));
		// Another host goes on.
		assert!(form.resume(&[97, 97]).unwrap().accepts(98, false) && form.resume(&[98]).is_none());
		let endless = serde_json::json!({"$ref": "#"});
		for wrong in [
			worker_api::Grammar::Regex("(".into()),
			worker_api::Grammar::Lark("start: missing".into()),
			worker_api::Grammar::JsonSchema(endless),
		] {
			let error = Form::new(compiler.clone(), &wrong, "guided_regex").unwrap_err().body().error;
			assert_eq!(error.param.as_deref(), Some("guided_regex"));
		}
	}

	/// A grammar whose automaton has more states than a completion may use: those of one text are few.
	#[test]
	fn completions_do_not_use_up_the_limits_of_each_other() {
		let folder = tempfile::tempdir().unwrap();
		let path = folder.path().join("tokenizer.gguf");
		std::fs::write(&path, mock_tokenizer(&[])).unwrap();
		let compiler = Arc::new(GrammarCompiler::new(Arc::new(open_tokenizer(&path).unwrap())));
		let regex = worker_api::Grammar::Regex("[a-z]*[aeiou][a-z]{14}".into());
		let form = Form::new(compiler, &regex, "guided_regex").unwrap();
		for seed in 0..8 {
			let mut random = fastrand::Rng::with_seed(seed);
			let mut bound = form.begin();
			for at in 0..300 {
				let letter = u32::from(b'a') + random.u32(0..26);
				assert!(bound.accepts(letter, false), "letter {at} of text {seed}");
			}
		}
	}
}
