//! What the guards before publishing find out, as the account has it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source whose newest row was older, at the end of the as-of day, than its `max_age`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LateSource {
    pub source: String,
    /// The latest moment among all of its rows; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_at: Option<DateTime<Utc>>,
    /// From there to the end of the as-of day; absent when it has no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    pub max_age_seconds: u64,
    /// Whether that keeps a run from publishing: `on_late = "block"`.
    pub blocks: bool,
}

/// A source's rows of the as-of day, beside those of the same weekday in the weeks before. Told of sources with `volume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceVolume {
    pub source: String,
    /// Those of the as-of day: each key once, however often it was delivered.
    pub rows: u64,
    /// The days that it is compared with: those with rows, without an occasion.
    pub days: u64,
    /// The median of their rows; absent where they are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<f64>,
    /// The as-of day's occasion, for which it isn't judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occasion: Option<String>,
    /// What is odd; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breach: Option<VolumeBreach>,
    /// Whether that keeps a run from publishing: `on_breach = "block"`.
    pub blocks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeBreach {
    TooFew,
    TooMany,
}

/// What became of a mart since the newest snapshot before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MartChange {
    pub mart: String,
    /// Whether any row of it differs, its as-of date apart.
    pub changed: bool,
    pub rows: u64,
    /// Absent when it wasn't published before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_before: Option<u64>,
    /// If it changed, its columns of money, counts and points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<SumChange>,
    /// If it changed, the columns that it says are to be compared row by row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Moves>,
    /// In which ways it went beyond `[publish.limits]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<String>,
}

/// The sum of a column, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SumChange {
    pub column: String,
    pub sum: String,
    /// Absent when it wasn't published before, or by a version that kept no sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// How many rows have another value in a column than before, of those that were there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moves {
    pub column: String,
    /// Rows that are in both.
    pub compared: u64,
    pub moved: u64,
    /// The most frequent moves, the first most so.
    pub largest: Vec<Move>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move {
    /// Absent for NULL, as the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub rows: u64,
}

/// A guard that may be told to let a run pass once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// A source that is older than its `max_age`.
    Late,
    /// A day with unusually few or many rows.
    Volume,
    /// A mart that moved beyond `[publish.limits]`.
    Marts,
}
