//! Bazgasht: a nightly batch pipeline that turns order and interaction logs into retention marts in Parquet.
//!
//! `run` is the whole program in one function; ARCHITECTURE.md tells the rest.

pub mod account;
pub mod archive;
pub mod backfill;
pub mod build;
pub mod calendar;
pub mod check;
pub mod cli;
pub mod compact;
pub mod config;
pub mod confine;
pub mod contract;
pub mod decode;
pub mod docs;
pub mod engine;
pub mod error;
pub mod explain;
pub mod extract;
pub mod gather;
pub mod gc;
pub mod generate;
pub mod guards;
pub mod homes;
pub mod interrupt;
pub mod lake;
pub mod listing;
pub mod manifest;
pub mod model;
pub mod observe;
pub mod plan;
pub mod project;
pub mod publish;
pub mod redact;
pub mod rejects;
pub mod report;
pub mod retry;
pub mod rollback;
pub mod run;
pub mod schedule;
pub mod select;
pub mod snapshot;
pub mod sources;
pub mod storage;
pub mod validate;
