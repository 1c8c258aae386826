#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod mock;

mod channels;
mod conservation;
mod models;
mod refusals;
mod settle;
mod views;
