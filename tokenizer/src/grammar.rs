//! Grammars that a completion has to follow.
//!
//! Which tokens a grammar permits is part of the protocol: hosts choose among these alone, checkers find others, and gateways
//! refuse them. So the version of `llguidance` is pinned, and everything on which it depends stands here: the bytes of tokens,
//! the limits, and that a matcher reads the completion from its first token on.

use std::{
	fmt::Display,
	panic::AssertUnwindSafe,
	sync::{Arc, OnceLock},
};

use llguidance::{
	Matcher, ParserFactory, TokenParser,
	api::{ParserLimits, TopLevelGrammar},
	earley::SlicedBiasComputer,
	panic_utils,
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
/// Fuel of the lexer for a mask and the tokens after it: about 10 ms.
const STEP_FUEL: usize = 100_000;
/// Maximum number of items that are made when delivered tokens are read: so many, and so many more for each token. About half of
/// them are kept.
const DELIVERED_ITEMS: (usize, usize) = (200_000, 200);
/// Maximum of the lexer's fuel for delivered tokens, in the same form.
const DELIVERED_FUEL: (usize, usize) = (10 * STEP_FUEL, STEP_FUEL / 100);

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
		step_lexer_fuel: STEP_FUEL as u64,
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
		let mut parser = factory.create_parser(grammar).map_err(invalid)?;
		parser.start_without_prompt();
		panic_utils::catch_unwind(AssertUnwindSafe(|| Ok(read(&mut parser, delivered)))).map_err(invalid)??;
		Ok(Matcher::new(Ok(parser)))
	}
}

/// Reads delivered tokens. llguidance bounds what a mask costs, and not what tokens cost between masks: a bound on all of them
/// together is set here.
fn read(parser: &mut TokenParser, delivered: &[u32]) -> Result<(), GrammarError> {
	let spent = |parser: &TokenParser| (parser.parser_stats().all_items, parser.parser.lexer_stats().total_fuel_spent);
	let (items, fuel) = spent(parser);
	// The fuel that was spent before the last mask: a mask fills it up, and sets the maximum number of the lexer's states.
	let mut filled: Option<usize> = None;
	for (index, token) in delivered.iter().copied().enumerate() {
		let (items_now, fuel_now) = spent(parser);
		let exceeds = |cost: usize, (base, each): (usize, usize)| cost > base + index * each;
		if exceeds(items_now - items, DELIVERED_ITEMS) || exceeds(fuel_now - fuel, DELIVERED_FUEL) {
			return Err(invalid(format!("it is too complex to go on after {index} delivered tokens")));
		}
		if !parser.stopped() && filled.is_none_or(|filled| fuel_now - filled > STEP_FUEL / 2) {
			parser.compute_mask().map_err(invalid)?;
			filled = Some(fuel_now);
		}
		if !parser.validate_token(token).map_err(invalid)? {
			if let Some(error) = parser.parser.get_error() {
				return Err(invalid(error.message()));
			}
			let number = index + 1;
			let message =
				format!("token {number} of the delivered ones does not fit the grammar: begin the completion anew");
			return Err(GrammarError::Invalid(message));
		}
		parser.consume_token(token).map_err(invalid)?;
		parser.check_stop().map_err(invalid)?;
	}
	Ok(())
}

fn invalid(error: impl Display) -> GrammarError {
	GrammarError::Invalid(describe(&error.to_string()))
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

/// Says what is wrong with a grammar, in words for its author: one sentence without the grammar's text.
pub fn describe(error: &str) -> String {
	let reason: String = reason(error).chars().take(MAX_MESSAGE).collect();
	format!("{CANNOT_BE_USED}{reason}: correct or simplify it")
}

/// The part of an error of `llguidance` that is of use to a grammar's author.
fn reason(error: &str) -> String {
	// The crate catches its own panics: overflows of numbers that are out of all bounds.
	if error.contains("panic") {
		return "it has a number or a size that is out of bounds".into();
	}
	if let Some((keys, _)) = error.split_once("Unimplemented keys: [").and_then(|(_, rest)| rest.split_once(']')) {
		return format!("no grammar expresses these keywords of the JSON schema, {}", keys.replace('"', "'"));
	}
	if error.contains("oneOf constraints are not supported") {
		return "'oneOf' is supported only where at most one of its forms can match, unlike 'anyOf'".into();
	}
	if error.contains("Only absolute $ref's") {
		return "a '$ref' of the JSON schema does not begin with '#/'".into();
	}
	if error.contains("Reference segment") {
		return "a '$ref' names a part that the JSON schema does not have".into();
	}
	// An error in a pattern comes after the pattern itself.
	if let Some((_, rest)) = error.split_once("regex parse error:").and_then(|(_, rest)| rest.split_once("\nerror: ")) {
		return format!("a regular expression is malformed, {}", rest.lines().next().unwrap_or_default());
	}
	// Lines of the grammar follow. The place in a schema is that in a grammar around it, which its author does not know.
	let line = error.lines().next().unwrap_or_default();
	line.rsplit_once("failed to compile JSON schema: ").map_or(line, |(_, rest)| rest).trim().to_owned()
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::tokenizer::{Encoder, Vocabulary};
	use serde_json::json;

	/// Tokens of one byte each.
	struct Bytes;

	impl Encoder for Bytes {
		fn append(&self, text: &str, ids: &mut Vec<u32>) {
			ids.extend(text.bytes().map(u32::from));
		}
	}

	fn compiler() -> GrammarCompiler {
		let mut bytes: Vec<Box<[u8]>> = (0..=u8::MAX).map(|byte| Box::from([byte])).collect();
		bytes.push(Box::default());
		let vocabulary = Vocabulary {
			bytes,
			special: vec![("<|end|>".to_owned(), 256)],
			bos: None,
			adds_bos: false,
			eos: vec![256],
			template: None,
			embedding: None,
		};
		GrammarCompiler::new(Arc::new(Tokenizer::new(vocabulary, Box::new(Bytes)).unwrap()))
	}

	/// Why a completion cannot go on after a text.
	fn rejection(grammar: &Grammar, delivered: &str) -> Option<String> {
		let delivered: Vec<u32> = delivered.bytes().map(u32::from).collect();
		compiler().compile(grammar, &delivered).err().map(|error| error.to_string())
	}

	#[test]
	fn a_completion_goes_on_after_any_text_of_a_simple_grammar() {
		let list = Grammar::JsonSchema(json!({"type": "array", "items": {"type": "integer"}}));
		assert_eq!(rejection(&list, &format!("[{}", "12,".repeat(4_000))), None);
		let any = Grammar::JsonSchema(json!({"type": "object"}));
		assert_eq!(rejection(&any, &format!("{{\"a\": [{}", "{\"b\": [true, null, 1.5]}, ".repeat(400))), None);
		let text = Grammar::JsonSchema(json!({"type": "string", "maxLength": 3_000}));
		assert_eq!(rejection(&text, &format!("\"{}", "some text ".repeat(250))), None);
		let misfit = rejection(&Grammar::Regex("ab+".into()), "abba").unwrap();
		assert!(misfit.contains("token 4 of the delivered ones"), "{misfit}");
	}

	#[test]
	fn an_error_tells_a_grammars_author_of_its_own_words_alone() {
		let unique = json!({"type": "array", "uniqueItems": true});
		for (grammar, useful) in [
			(Grammar::JsonSchema(unique.clone()), "'uniqueItems'"),
			(Grammar::Lark(format!("start: body\nbody: %json {unique}")), "'uniqueItems'"),
			(Grammar::JsonSchema(json!({"oneOf": [{"type": "integer"}, {"type": "number"}]})), "'oneOf'"),
			(Grammar::JsonSchema(json!({"$ref": "other.json"})), "'#/'"),
			(Grammar::Regex("(".into()), "unclosed group"),
			(Grammar::Lark("start: missing".into()), "missing"),
		] {
			let reason = rejection(&grammar, "").unwrap();
			assert!(reason.starts_with(CANNOT_BE_USED) && reason.contains(useful), "{reason}");
			for inner in ["Unimplemented", "coerce", "referencing", "failed to compile", " | ", "\n"] {
				assert!(!reason.contains(inner), "{inner}: {reason}");
			}
		}
	}

	#[test]
	fn delivered_tokens_of_a_costly_grammar_are_not_read_to_their_end() {
		// In the number of letters, items grow quadratically.
		let ambiguous = Grammar::Lark("start: letters\nletters: letters letters | \"a\"".into());
		assert_eq!(rejection(&ambiguous, &"a".repeat(20)), None);
		let reason = rejection(&ambiguous, &"a".repeat(700)).unwrap();
		assert!(reason.contains("too complex to go on after"), "{reason}");
		// A state of the lexer for each of the last letters' orders.
		let order = Grammar::Regex("[ab]*a[ab]{30}".into());
		let mut state = 1u32;
		let text: String = (0..25_000)
			.map(|_| {
				state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
				if state >> 31 == 0 { 'a' } else { 'b' }
			})
			.collect();
		assert_eq!(rejection(&order, &text[..100]), None);
		assert!(rejection(&order, &text).is_some());
	}
}
