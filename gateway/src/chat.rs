//! The parts of a chat that need no host.
//!
//! A request's tools become a [`tools::ToolSet`], and its messages the objects that a chat template reads ([`messages`]).
//! The template's source says in which [`format::ToolFormat`] the model writes a call, and by which
//! [`format::ReasoningTags`] it sets its reasoning apart. [`split::Splitter`] takes the completion
//! apart while it arrives: reasoning, content and calls.
//!
//! Nothing in here does I/O.

pub mod format;
pub mod messages;
pub mod split;
pub mod tools;

mod scan;
