//! Grammars that a completion has to follow.
//!
//! Which tokens a grammar permits is part of the protocol: hosts choose among these alone, checkers find others, and gateways
//! refuse them. So the version of `llguidance` is pinned, and everything on which it depends stands here: the bytes of tokens,
//! the limits, and that a matcher reads the completion from its first token on.

use std::sync::{Arc, OnceLock};

use llguidance::{
	Matcher, ParserFactory,
	api::{ParserLimits, TopLevelGrammar},
	earley::SlicedBiasComputer,
};
use serde_json::Value;
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

use crate::Tokenizer;

/// Maximum number of bytes of a grammar, as JSON.
pub const MAX_GRAMMAR: usize = 64 << 10;
/// Bytes of the stack of a thread that compiles grammars: `llguidance` recurses into what it reads.
pub const GRAMMAR_STACK: usize = 16 << 20;
/// Maximum number of bytes of a token that a grammar can permit.
const MAX_TOKEN: usize = 1000;
/// Maximum number of bytes of all tokens together: the trie numbers its nodes with 22 bits.
const MAX_VOCABULARY: usize = (1 << 22) - 1;
/// Maximum length of what an error says about a grammar.
const MAX_MESSAGE: usize = 300;

/// A grammar that a completion has to follow, as the crate `llguidance` reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
	/// A JSON schema. Properties come in the order in which the schema has them.
	JsonSchema(Value),
	/// A regular expression for the whole completion.
	Regex(String),
	/// A context-free grammar in llguidance's variant of Lark.
	Lark(String),
}

/// Why a completion cannot be bound to a grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
	/// The grammar is malformed or too complex, or the delivered tokens do not fit it.
	#[error("{0}")]
	Invalid(String),
	/// The model's vocabulary does not allow grammars.
	#[error("grammars with this model: {0}")]
	Unsupported(String),
}

/// Bounds of a grammar's cost. With them a grammar compiles within tens of milliseconds, and its slowest mask takes about ten.
fn limits() -> ParserLimits {
	ParserLimits {
		max_items_in_row: 2_000,
		initial_lexer_fuel: 1_000_000,
		step_lexer_fuel: 100_000,
		step_max_items: 50_000,
		max_lexer_states: 20_000,
		max_grammar_size: 100_000,
		precompute_large_lexemes: false,
		verbose_errors: false,
	}
}

/// Compiles grammars for one model.
pub struct GrammarCompiler {
	tokenizer: Arc<Tokenizer>,
	/// Made with the first grammar; an error if the vocabulary does not allow any.
	factory: OnceLock<Result<ParserFactory, GrammarError>>,
}

impl GrammarCompiler {
	/// Makes a compiler for the model with this tokenizer. The cost comes with the first grammar.
	pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
		Self { tokenizer, factory: OnceLock::new() }
	}

	/// Returns a matcher that has read the tokens `delivered`. Call it in a thread with a stack of [`GRAMMAR_STACK`] bytes.
	///
	/// # Errors
	/// [`GrammarError`].
	pub fn compile(&self, grammar: &Grammar, delivered: &[u32]) -> Result<Matcher, GrammarError> {
		let invalid = |error: &str| GrammarError::Invalid(describe(error));
		let (grammar, size) = match grammar {
			Grammar::JsonSchema(schema) => (
				TopLevelGrammar::from_json_schema(schema.clone()),
				serde_json::to_vec(schema).map_or(0, |json| json.len()),
			),
			Grammar::Regex(regex) => (TopLevelGrammar::from_regex(regex), regex.len()),
			Grammar::Lark(lark) => (TopLevelGrammar::from_lark(lark.clone()), lark.len()),
		};
		if size > MAX_GRAMMAR {
			let message = format!("the grammar has {size} bytes: at most {MAX_GRAMMAR} are allowed");
			return Err(GrammarError::Invalid(message));
		}
		let factory = self.factory.get_or_init(|| factory(&self.tokenizer)).as_ref().map_err(Clone::clone)?;
		let mut matcher = Matcher::new(factory.create_parser(grammar));
		if let Some(error) = matcher.get_error() {
			return Err(invalid(&error));
		}
		let fitting = matcher.try_consume_tokens(delivered).map_err(|error| invalid(&error.to_string()))?;
		if fitting < delivered.len() {
			let message = format!(
				"token {} of the delivered ones does not fit the grammar: begin the completion anew",
				fitting + 1
			);
			return Err(GrammarError::Invalid(message));
		}
		Ok(matcher)
	}
}

/// Makes the trie of a model's tokens.
fn factory(tokenizer: &Tokenizer) -> Result<ParserFactory, GrammarError> {
	let unsupported = |why: &str| GrammarError::Unsupported(why.to_owned());
	let mut words: Vec<Vec<u8>> =
		(0u32..).take(tokenizer.vocab_size()).map(|id| tokenizer.bytes(id).to_vec()).collect();
	for word in &mut words {
		// Nothing but special tokens begins with the marker: no text has this byte.
		if word.len() > MAX_TOKEN || word.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) {
			word.clear();
		}
	}
	for (name, id) in tokenizer.specials() {
		if let Some(word) = words.get_mut(*id as usize)
			&& (1..MAX_TOKEN).contains(&name.len())
		{
			*word = [&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat();
		}
	}
	let eos: Vec<u32> = tokenizer.eos().iter().copied().filter(|&id| (id as usize) < words.len()).collect();
	let Some(first) = eos.first() else { return Err(unsupported("it has no end-of-text token")) };
	let bytes: usize = words.iter().map(Vec::len).sum();
	if bytes > MAX_VOCABULARY {
		return Err(unsupported("its vocabulary is too large"));
	}
	let info = TokRxInfo::new(u32::try_from(words.len()).unwrap_or(u32::MAX), *first);
	let trie = TokTrie::from(&info, &words).with_eos_tokens(&eos);
	// Not canonical: a text may come in whichever tokens the model chooses.
	let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
	let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &SlicedBiasComputer::general_slices())
		.map_err(|error| unsupported(&error.to_string()))?;
	*factory.limits_mut() = limits();
	factory.quiet();
	Ok(factory)
}

/// How every reason of [`describe`] begins.
pub const CANNOT_BE_USED: &str = "the grammar cannot be used: ";

/// Says what is wrong with a grammar, in words for its author.
pub fn describe(error: &str) -> String {
	// The crate catches its own panics: overflows of numbers that are out of all bounds.
	if error.contains("panic") {
		return format!("{CANNOT_BE_USED}it has a number or a size that is out of bounds: correct or simplify it");
	}
	// Marks begin what is of use to the crate's authors only.
	let error: Vec<&str> = error.lines().take_while(|line| !line.starts_with('<')).map(str::trim).collect();
	let error: String = error.join(" ").chars().take(MAX_MESSAGE).collect();
	format!("{CANNOT_BE_USED}{error}: correct or simplify it")
}
