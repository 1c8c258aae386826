//! What only the whole runtime can show: indices, presets, compute power on its way to BABE and GRANDPA, what they lose
//! that abuse it, and what serving is worth.

mod chain;
mod governance;
mod offences;
mod parameters;
mod power;
mod sampling;
mod served;
mod shape;
