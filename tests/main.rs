//! The integration tests: one executable, since each one that links DataFusion costs a minute.

mod account;
mod again;
mod arbitrary;
mod awkward;
mod cli;
mod examples;
mod explain;
mod faults;
mod guards;
mod history;
mod hostile;
mod killed;
mod laws;
mod made_up;
mod marts;
mod outside;
mod personal;
mod readers;
mod reconcile;
mod rejects;
mod s3;
mod schema;
mod secrets;
mod selections;
mod stores;
mod support;
