//! The parts of a chat that need no host: tools, structured output and reasoning, as text and grammars.
//!
//! A request's tools become a [`tools::ToolSet`], its messages the objects that a chat template reads ([`messages`]), and
//! the form that it demands of the content an [`output::Output`]. The template's source says in which
//! [`format::ToolFormat`] the model writes a call, and by which [`format::ReasoningTags`] it sets its reasoning apart.
//! [`grammar`] makes the grammar that a completion has to follow, if it has to follow one, with JSON schemas as [`schema`] writes
//! them. [`split::Splitter`] takes the completion apart while it arrives: reasoning, content and calls; where these are in
//! [`channels`], they are told apart there.
//!
//! Nothing in here does I/O.

pub mod channels;
pub mod format;
pub mod grammar;
pub mod messages;
pub mod output;
pub mod schema;
pub mod split;
pub mod tools;

mod scan;
