//! The integration tests: one executable, since each one that links DataFusion costs a minute.

mod account;
mod awkward;
mod cli;
mod examples;
mod faults;
mod killed;
mod laws;
mod made_up;
mod marts;
mod outside;
mod readers;
mod reconcile;
mod s3;
mod schema;
mod stores;
mod support;
