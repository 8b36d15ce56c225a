//! Where things are: a local folder or a bucket's prefix, and which objects under it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use url::Url;

use super::file::Format;

/// The root of a store: every path past it is relative to it.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreRoot {
    /// An absolute local folder; it need not exist.
    Local(PathBuf),
    /// A bucket and a prefix without slashes at its ends, perhaps empty.
    S3 { bucket: String, prefix: String },
}

impl StoreRoot {
    /// Reads a local path (relative to `base`), `file://…` or `s3://…`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead; neither quotes the text.
    pub fn parse(text: &str, base: &Path) -> Result<Self, LocationFault> {
        match text.split_once("://") {
            None => local_root(text, base),
            Some(("file", _)) => file_url_root(text),
            Some(("s3" | "s3a", rest)) => s3_root(rest),
            Some(_) => Err(LocationFault::new(
                "is in a kind of store that isn't supported",
                "write a local path, `file:///…` or `s3://bucket/prefix`",
            )),
        }
    }

    /// The local folder, if it is one.
    pub fn local_dir(&self) -> Option<&Path> {
        match self {
            StoreRoot::Local(dir) => Some(dir),
            StoreRoot::S3 { .. } => None,
        }
    }

    /// The root as `object_store` takes it; `None` for a path that no URL can express.
    pub fn url(&self) -> Option<Url> {
        match self {
            StoreRoot::Local(dir) => Url::from_directory_path(dir).ok(),
            StoreRoot::S3 { bucket, prefix } => {
                let mut url = Url::parse(&format!("s3://{bucket}")).ok()?;
                url.set_path(prefix);
                Some(url)
            }
        }
    }

    /// Whether `other` is this root or lies under it.
    pub fn contains(&self, other: &StoreRoot) -> bool {
        match (self, other) {
            (StoreRoot::Local(outer), StoreRoot::Local(inner)) => inner.starts_with(outer),
            (StoreRoot::S3 { bucket, prefix }, StoreRoot::S3 { bucket: other_bucket, prefix: other_prefix }) => {
                bucket == other_bucket && Path::new(other_prefix).starts_with(prefix)
            }
            _ => false,
        }
    }
}

impl fmt::Display for StoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreRoot::Local(dir) => write!(f, "{}", dir.display()),
            StoreRoot::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl fmt::Debug for StoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreRoot({self})")
    }
}

/// What is wrong with a location ("`lake` …") and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationFault {
    pub what: &'static str,
    pub hint: &'static str,
}

impl LocationFault {
    const fn new(what: &'static str, hint: &'static str) -> Self {
        LocationFault { what, hint }
    }
}

fn local_root(text: &str, base: &Path) -> Result<StoreRoot, LocationFault> {
    if text.trim().is_empty() {
        return Err(LocationFault::new("is empty", "write a path, `.` for this file's own folder"));
    }
    if text.starts_with('~') {
        return Err(LocationFault::new("starts with `~`, which isn't expanded", "write `${HOME}` instead"));
    }
    Ok(StoreRoot::Local(normalized(&base.join(text))))
}

fn file_url_root(text: &str) -> Result<StoreRoot, LocationFault> {
    let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    let fault = LocationFault::new("is not a local file URL", "write it with three slashes: `file:///path`");
    path.map(|path| StoreRoot::Local(normalized(&path))).ok_or(fault)
}

fn s3_root(rest: &str) -> Result<StoreRoot, LocationFault> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        return Err(LocationFault::new(
            "has credentials in it",
            "put them into an `options` table, where they are never shown",
        ));
    }
    let is_bucket_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bucket.is_empty() || !bucket.chars().all(is_bucket_char) {
        return Err(LocationFault::new("has no proper bucket name", "write `s3://bucket/prefix`"));
    }
    let prefix = prefix.trim_matches('/').to_owned();
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
        return Err(LocationFault::new("has an empty, `.` or `..` part", "write the prefix plainly"));
    }
    Ok(StoreRoot::S3 { bucket: bucket.to_owned(), prefix })
}

/// The path without `.` and `..`, by its text alone: the folder need not exist yet.
fn normalized(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}

/// Objects of a source: all under a root, or those whose path under it matches a pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    /// The deepest folder that holds everything selected.
    pub root: StoreRoot,
    selection: Selection,
}

/// Which paths, relative to the root.
#[derive(Clone, PartialEq, Eq)]
enum Selection {
    Everything,
    /// The object of that name, or everything in the folder of that name: `orders.parquet` may be either.
    Named(String),
    Glob(Pattern),
}

/// `*` stays within one folder; `**` goes through any number of them.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl Location {
    /// Reads a folder, a file or a glob in any kind of store. What has a glob character (`*`, `?`, `[`) is a glob;
    /// what is a file on disk, or ends like a data file, is named.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead; neither quotes the text.
    pub fn parse(text: &str, base: &Path) -> Result<Self, LocationFault> {
        let (folder, selection) = match text.find(['*', '?', '[']) {
            Some(glob_at) => {
                let (folder, glob) = split_folder(text, glob_at);
                (folder, Selection::Glob(parse_glob(glob)?))
            }
            None if is_named(text, base) => {
                let (folder, name) = split_folder(text, text.len());
                (folder, Selection::Named(name.to_owned()))
            }
            None => (text, Selection::Everything),
        };
        let folder = if selection != Selection::Everything && folder.is_empty() { "." } else { folder };
        Ok(Location { root: StoreRoot::parse(folder, base)?, selection })
    }

    /// Whether the object at `path` (relative to the root) belongs to the source. In a plain folder, hidden files
    /// and marker files (`.crc`, `_SUCCESS`, `_delta_log/…`) do not.
    pub fn selects(&self, path: &str) -> bool {
        match &self.selection {
            Selection::Everything => !is_hidden(path),
            Selection::Named(name) => path
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('/').is_some_and(|below| !is_hidden(below))),
            Selection::Glob(pattern) => pattern.matches_with(path, MATCHING),
        }
    }

    /// Whether it selects everything under its root.
    pub fn is_folder(&self) -> bool {
        self.selection == Selection::Everything
    }

    /// The glob or name under the root, if it is not the whole folder.
    pub fn pattern(&self) -> Option<&str> {
        match &self.selection {
            Selection::Everything => None,
            Selection::Named(name) => Some(name),
            Selection::Glob(pattern) => Some(pattern.as_str()),
        }
    }
}

fn parse_glob(text: &str) -> Result<Pattern, LocationFault> {
    let hint = "`*` matches within a folder, `**/` through folders, `[*]` a star itself";
    Pattern::new(text).map_err(|_| LocationFault::new("is not a proper glob", hint))
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with(['.', '_']))
}

/// Cuts at the last slash before `at`.
fn split_folder(text: &str, at: usize) -> (&str, &str) {
    match text[..at].rfind('/') {
        Some(0) => ("/", &text[1..]),
        Some(slash) if text[..slash].ends_with('/') => (&text[..=slash], &text[slash + 1..]),
        Some(slash) => (&text[..slash], &text[slash + 1..]),
        None => ("", text),
    }
}

fn is_named(text: &str, base: &Path) -> bool {
    Format::of_path(text).is_some() || (!text.contains("://") && base.join(text).is_file())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern() {
            Some(pattern) => write!(f, "{}/{pattern}", self.root.to_string().trim_end_matches('/')),
            None => write!(f, "{}", self.root),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Location {
        Location::parse(text, Path::new("/shop")).unwrap()
    }

    fn fault(text: &str) -> &'static str {
        Location::parse(text, Path::new("/shop")).unwrap_err().what
    }

    #[test]
    fn a_glob_is_split_at_its_last_plain_folder() {
        let daily = location("./raw/../raw/by-day/dt=*/*.csv");
        assert_eq!(daily.root, StoreRoot::Local("/shop/raw/by-day".into()));
        assert_eq!(daily.pattern(), Some("dt=*/*.csv"));
        assert!(daily.selects("dt=2024-01-01/a.csv"));
        assert!(!daily.selects("dt=2024-01-01/deeper/a.csv"));
        assert!(!daily.selects("dt=2024-01-01/a.csv.gz"));
    }

    #[test]
    fn two_stars_go_through_folders() {
        let all = location("s3://shop/raw/**/*.parquet");
        assert_eq!(all.root, StoreRoot::S3 { bucket: "shop".into(), prefix: "raw".into() });
        assert!(all.selects("a.parquet") && all.selects("2024/01/a.parquet"));
        assert_eq!(location("s3://shop/*.csv").root, StoreRoot::S3 { bucket: "shop".into(), prefix: String::new() });
        assert_eq!(location("*.csv").root, StoreRoot::Local("/shop".into()));
        assert_eq!(location("/*.csv").root, StoreRoot::Local("/".into()));
        assert_eq!(location("file:///data/*.csv").root, StoreRoot::Local("/data".into()));
    }

    #[test]
    fn a_folder_takes_everything_but_markers() {
        let folder = location("s3://shop/raw/orders/");
        assert_eq!(folder.pattern(), None);
        assert!(folder.selects("dt=2024/part-0.csv"));
        assert!(!folder.selects("_SUCCESS") && !folder.selects(".hidden/a.csv"));
    }

    #[test]
    fn a_data_file_is_taken_by_its_name() {
        let file = location("raw/orders.csv.gz");
        assert_eq!((file.root.to_string().as_str(), file.pattern()), ("/shop/raw", Some("orders.csv.gz")));
        assert!(file.selects("orders.csv.gz") && !file.selects("deeper/orders.csv.gz"));
        let folder = location("s3://shop/orders.parquet");
        assert!(folder.selects("orders.parquet/part-0.parquet") && !folder.selects("orders.parquet/_SUCCESS"));
        assert!(!folder.selects("orders.parquet.bak"));
    }

    #[test]
    fn faults() {
        assert_eq!(fault(""), "is empty");
        assert_eq!(fault("~/lake"), "starts with `~`, which isn't expanded");
        assert_eq!(fault("s3://key:secret@bucket/raw"), "has credentials in it");
        assert_eq!(fault("s3:///raw"), "has no proper bucket name");
        assert_eq!(fault("s3://bucket/a/../b"), "has an empty, `.` or `..` part");
        assert_eq!(fault("gs://bucket/raw"), "is in a kind of store that isn't supported");
        assert_eq!(fault("raw/[a.csv"), "is not a proper glob");
    }

    #[test]
    fn urls_keep_persian_prefixes_readable() {
        let root = StoreRoot::parse("s3://shop/خام", Path::new("/")).unwrap();
        assert_eq!(root.to_string(), "s3://shop/خام");
        assert!(root.url().is_some_and(|url| url.as_str().starts_with("s3://shop/%D8")));
    }

    #[test]
    fn roots_contain_what_lies_under_them() {
        let root = |text: &str| StoreRoot::parse(text, Path::new("/shop")).unwrap();
        assert!(root("s3://b/a").contains(&root("s3://b/a/lake")));
        assert!(!root("s3://b/a").contains(&root("s3://b/ab")));
        assert!(root(".").contains(&root("./lake")) && !root("./lake").contains(&root(".")));
    }
}
