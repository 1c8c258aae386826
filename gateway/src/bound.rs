//! Completions that are bound to a grammar: the gateway takes no token that the grammar forbids.

use crate::openai::errors::ApiError;
use gonka_client::worker_api;
use gonka_tokenizer::{
	Grammar, GrammarCompiler, GrammarError,
	grammar::{CANNOT_BE_USED, GRAMMAR_STACK, describe},
};
use llguidance::Matcher;
use std::{fmt, sync::Arc, thread};

/// The state of a completion in its grammar. A clone goes on by itself.
#[derive(Clone)]
pub struct Bound(Matcher);

impl fmt::Debug for Bound {
	fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
		out.write_str("Bound")
	}
}

impl Bound {
	/// Compiles a grammar, at the beginning of a completion. This blocks for some tens of milliseconds at most.
	///
	/// # Errors
	/// 400 when the grammar is malformed or too complex, no text follows it, or the model cannot be bound to one.
	pub fn new(compiler: Arc<GrammarCompiler>, grammar: &worker_api::Grammar) -> Result<Self, ApiError> {
		let grammar = match grammar.clone() {
			worker_api::Grammar::JsonSchema(schema) => Grammar::JsonSchema(schema),
			worker_api::Grammar::Regex(regex) => Grammar::Regex(regex),
			worker_api::Grammar::Lark(lark) => Grammar::Lark(lark),
		};
		let compile = move || {
			let mut matcher = compiler.compile(&grammar, &[])?;
			let first = matcher.compute_mask_or_eos();
			first.map_err(|error| GrammarError::Invalid(describe(&format!("it permits no first token: {error}"))))?;
			Ok(matcher)
		};
		let thread = thread::Builder::new().name("grammar".into()).stack_size(GRAMMAR_STACK).spawn(compile);
		let thread = thread.map_err(|error| ApiError::internal(format!("No thread for the grammar: {error}.")))?;
		match thread.join() {
			Ok(Ok(matcher)) => Ok(Self(matcher)),
			Ok(Err(error @ GrammarError::Invalid(_))) => {
				let error = error.to_string();
				let reason = error.strip_prefix(CANNOT_BE_USED).unwrap_or(&error);
				Err(ApiError::invalid_value("response_format", format!("The demanded form cannot be used: {reason}.")))
			},
			Ok(Err(error @ GrammarError::Unsupported(_))) => Err(ApiError::invalid_value(
				"response_format",
				format!("The model cannot be bound to a form: {error}."),
			)),
			Err(_) => Err(ApiError::invalid_value("response_format", "The demanded form is too complex: simplify it.")),
		}
	}

	/// Goes on with a token, unless the grammar forbids it: then it returns false. `ends` says whether the token ends the completion; it may
	/// always do so where nothing else is permitted. These are the steps of an engine: both must agree on every grammar, however
	/// odd.
	pub fn accepts(&mut self, id: u32, ends: bool) -> bool {
		let permits = self.0.compute_mask_or_eos().map_or(ends, |mask| mask.is_allowed(id));
		if permits {
			// After an error every mask is one, too.
			let _ = self.0.consume_token(id);
		}
		permits
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
		let bound = Bound::new(compiler.clone(), &worker_api::Grammar::Regex("a+b".into())).unwrap();
		let (word, end) = (256, 257);
		let follow = |ids: &[u32]| {
			let mut bound = bound.clone();
			ids.iter().all(|id| bound.accepts(*id, *id == end))
		};
		assert!(follow(&[97, 97, 98, end]) && follow(&[word, end]) && follow(&[97, word]));
		assert!(
			!follow(&[98]) && !follow(&[end]) && !follow(&[97, end]) && !follow(&[word, 97]) && !follow(&[97, 98, 98])
		);
		// An end of a completion in its middle: engines end there.
		let odd = worker_api::Grammar::Lark("start: <|im_end|> \"a\"".into());
		let mut odd = Bound::new(compiler.clone(), &odd).unwrap();
		assert!(!odd.clone().accepts(97, false) && odd.accepts(end, true));
		let endless = serde_json::json!({"$ref": "#"});
		for wrong in [
			worker_api::Grammar::Regex("(".into()),
			worker_api::Grammar::Lark("start: missing".into()),
			worker_api::Grammar::JsonSchema(endless),
		] {
			let error = Bound::new(compiler.clone(), &wrong).unwrap_err().body().error;
			assert_eq!(error.param.as_deref(), Some("response_format"));
		}
	}
}
