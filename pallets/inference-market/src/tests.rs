#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod mock;

mod channels;
mod conservation;
mod fees;
mod hostile;
mod models;
mod prices;
mod settle;
mod validity;
mod views;
