//! Errors, divided by who must act; the exit code follows from the division.

mod stores;

use std::fmt::Display;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::lake::Damage;
pub use stores::in_words;

/// The one error type of the pipeline. Each variant names who must act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The data broke a check: nothing was published, last night's marts stay. Exit code 1.
    #[error("{0}")]
    Check(String),
    /// The user's configuration, SQL or command line. Exit code 2.
    #[error("{0}")]
    Config(String),
    /// A source or a store that could not be reached or read. Exit code 3.
    #[error("{what}: {cause}")]
    World { what: String, cause: String },
    /// An object of the lake that isn't what was written: a run makes it again, whatever else reads it stops.
    /// Exit code 3.
    #[error("{0}\n  hint: all that models read is made again, and verified, by `bazgasht run --rebuild`")]
    Damaged(Damage),
    /// Another run committed first; its result stands. Exit code 4.
    #[error("another run published snapshot {0} first; nothing was lost, its marts stand")]
    Lost(u64),
    /// A signal stopped the run between two steps. Exit code 128 + signal.
    #[error("interrupted; nothing is half-published, and the next run continues from the work so far")]
    Interrupted(i32),
    /// A bug of ours.
    #[error("internal error (please report it): {0}")]
    Bug(String),
}

/// What every fallible function of the pipeline returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The process's exit code, as documented in the README.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Check(_) => 1,
            Error::Config(_) => 2,
            Error::World { .. } | Error::Damaged(_) => 3,
            Error::Lost(_) => 4,
            Error::Interrupted(signal) => 128 + signal,
            Error::Bug(_) => 70,
        }
    }

    /// An error of the user's: what is wrong, where, and what to do.
    pub fn config(message: impl Display) -> Self {
        Error::Config(message.to_string())
    }

    /// An error of the world outside: `what` was being done, and the cause.
    pub fn world(what: impl Display, cause: impl Display) -> Self {
        Error::World { what: what.to_string(), cause: cause.to_string() }
    }

    /// A state that our own code should have made impossible.
    pub fn bug(message: impl Display) -> Self {
        Error::Bug(message.to_string())
    }

    /// Says where the error arose, in front of what it says.
    pub fn at(self, place: impl Display) -> Self {
        match self {
            Error::Check(message) => Error::Check(format!("{place}: {message}")),
            Error::Config(message) => Error::Config(format!("{place}: {message}")),
            Error::World { what, cause } => Error::World { what: format!("{place}: {what}"), cause },
            Error::Bug(message) => Error::Bug(format!("{place}: {message}")),
            other => other,
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Error::world("object storage", in_words(&error))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::world("local disk", error)
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Error::world("Parquet", error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, cause) => cause.into(),
            other => Error::bug(other),
        }
    }
}

/// Our own error, where it came through the engine: readers of the lake fail inside it.
fn own(error: &DataFusionError) -> Option<&Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own);
        }
        next = error.source();
    }
    None
}

/// What the disk, a store or a file did wrong, not the query.
fn is_of_the_world(root: &DataFusionError) -> bool {
    match root {
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ParquetError(_) => true,
        DataFusionError::ArrowError(e, _) => {
            matches!(**e, ArrowError::IoError(..) | ArrowError::IpcError(_) | ArrowError::ParquetError(_))
        }
        _ => false,
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        if let Some(own) = own(&error) {
            return own.clone();
        }
        match error.find_root() {
            DataFusionError::ObjectStore(cause) => Error::world("reading or writing tables", in_words(cause)),
            root if is_of_the_world(root) => Error::world("reading or writing tables", error.strip_backtrace()),
            DataFusionError::ResourcesExhausted(_) => {
                Error::world("out of memory: raise [engine] memory_limit, or lower threads", error.strip_backtrace())
            }
            _ => Error::Config(error.strip_backtrace()),
        }
    }
}
