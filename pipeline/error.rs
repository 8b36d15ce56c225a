//! Errors, divided by who must act; the exit code follows from the division.

mod stores;

use std::fmt::Display;

use datafusion::error::DataFusionError;

pub use stores::in_words;

/// The one error type of the pipeline. Each variant names who must act.
#[derive(Debug, thiserror::Error)]
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
            Error::World { .. } => 3,
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

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::bug(error)
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ObjectStore(cause) => Error::world("reading or writing tables", in_words(cause)),
            DataFusionError::IoError(_) | DataFusionError::ParquetError(_) => {
                Error::world("reading or writing tables", error.strip_backtrace())
            }
            DataFusionError::ResourcesExhausted(_) => {
                Error::world("out of memory: raise [engine] memory_limit, or lower threads", error.strip_backtrace())
            }
            _ => Error::Config(error.strip_backtrace()),
        }
    }
}
