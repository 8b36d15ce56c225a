//! The integration tests: one executable, since each one that links DataFusion costs a minute.

mod cli;
mod laws;
mod marts;
mod schema;
mod support;
