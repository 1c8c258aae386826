//! What only the whole runtime can show: indices, presets, and compute power on its way to BABE and GRANDPA.

mod chain;
mod power;
mod sampling;
mod shape;
