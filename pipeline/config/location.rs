//! Where things are: a local folder or a prefix in some store, and which objects under it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use url::Url;

use super::file::Format;

/// The root of a store: every path past it is relative to it.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreRoot {
    /// An absolute local folder; it need not exist.
    Local(PathBuf),
    Remote(Remote),
}

/// A place in a store that is reached by URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    pub kind: StoreKind,
    /// The bucket, container or web server, in the form that every spelling of it is brought to: `s3://bucket`,
    /// `gs://bucket`, `az://container`, `abfss://container@account.dfs.core.windows.net`, `https://host`.
    pub base: String,
    /// Plain text, without slashes at its ends; perhaps empty.
    pub prefix: String,
}

/// What a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKind {
    /// Amazon S3 and what is compatible.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
    /// A web server: named objects to read, nothing to list, nothing to write.
    Web,
}

impl StoreKind {
    pub const ALL: [StoreKind; 4] = [StoreKind::S3, StoreKind::Azure, StoreKind::Gcs, StoreKind::Web];

    /// Whether `object_store` has an option of that name (in lower case) for this kind of store.
    pub fn knows(self, option: &str) -> bool {
        match self {
            StoreKind::S3 => option.parse::<AmazonS3ConfigKey>().is_ok(),
            StoreKind::Azure => option.parse::<AzureConfigKey>().is_ok(),
            StoreKind::Gcs => option.parse::<GoogleConfigKey>().is_ok(),
            StoreKind::Web => option.parse::<ClientConfigKey>().is_ok(),
        }
    }

    /// How the names of its environment variables begin.
    pub const fn environment_prefix(self) -> Option<&'static str> {
        match self {
            StoreKind::S3 => Some("AWS_"),
            StoreKind::Azure => Some("AZURE_"),
            StoreKind::Gcs => Some("GOOGLE_"),
            StoreKind::Web => None,
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::S3 => "S3",
            StoreKind::Azure => "Azure",
            StoreKind::Gcs => "Google Cloud Storage",
            StoreKind::Web => "a web server",
        })
    }
}

impl StoreRoot {
    /// Reads a local path (relative to `base`), `file://…`, or a URL of one of the stores.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead; neither quotes the text.
    pub fn parse(text: &str, base: &Path) -> Result<Self, LocationFault> {
        let Some((scheme, rest)) = text.split_once("://") else { return local_root(text, base) };
        let remote = match scheme {
            "file" => return file_url_root(text),
            "s3" | "s3a" => bucket_root(StoreKind::S3, "s3", rest),
            "gs" => bucket_root(StoreKind::Gcs, "gs", rest),
            "az" | "azure" | "adl" | "abfs" | "abfss" => azure_root(rest),
            "https" if is_azure_host(rest) => azure_web_root(rest),
            "http" | "https" => web_root(scheme, rest),
            _ => Err(LocationFault::new(
                "is in a kind of store that isn't supported",
                "write a local path, `file:///…`, `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`",
            )),
        };
        remote.map(StoreRoot::Remote)
    }

    /// The local folder, if it is one.
    pub fn local_dir(&self) -> Option<&Path> {
        match self {
            StoreRoot::Local(dir) => Some(dir),
            StoreRoot::Remote(_) => None,
        }
    }

    /// What the store speaks, unless it is a local folder.
    pub fn kind(&self) -> Option<StoreKind> {
        match self {
            StoreRoot::Local(_) => None,
            StoreRoot::Remote(remote) => Some(remote.kind),
        }
    }

    /// Whether `other` is this root or lies under it.
    pub fn contains(&self, other: &StoreRoot) -> bool {
        match (self, other) {
            (StoreRoot::Local(outer), StoreRoot::Local(inner)) => inner.starts_with(outer),
            (StoreRoot::Remote(outer), StoreRoot::Remote(inner)) => {
                outer.base == inner.base && Path::new(&inner.prefix).starts_with(&outer.prefix)
            }
            _ => false,
        }
    }
}

impl fmt::Display for StoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreRoot::Local(dir) => write!(f, "{}", dir.display()),
            StoreRoot::Remote(remote) => write!(f, "{remote}"),
        }
    }
}

impl fmt::Debug for StoreRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreRoot({self})")
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
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

const CREDENTIALS_IN_URL: LocationFault = LocationFault::new(
    "has credentials in it",
    "put them into an `options` table or into the environment, where they are never shown",
);

/// A bucket by its name, and a prefix.
fn bucket_root(kind: StoreKind, scheme: &str, rest: &str) -> Result<Remote, LocationFault> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        return Err(CREDENTIALS_IN_URL);
    }
    if !is_bucket_name(bucket) {
        let hint = match kind {
            StoreKind::Gcs => "write `gs://bucket/prefix`",
            StoreKind::Azure => "write `az://container/prefix`",
            _ => "write `s3://bucket/prefix`",
        };
        return Err(LocationFault::new("has no proper bucket name", hint));
    }
    Ok(Remote { kind, base: format!("{scheme}://{bucket}"), prefix: plain_prefix(prefix)? })
}

fn is_bucket_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn plain_prefix(prefix: &str) -> Result<String, LocationFault> {
    let prefix = prefix.trim_matches('/');
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
        return Err(LocationFault::new("has an empty, `.` or `..` part", "write the prefix plainly"));
    }
    Ok(prefix.to_owned())
}

/// `container/prefix`, whose account the options name, or `container@account.dfs.core.windows.net/prefix`.
fn azure_root(rest: &str) -> Result<Remote, LocationFault> {
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.split_once('@') {
        Some((container, host)) if is_azure_host(host) => azure_account_root(container, host, prefix),
        Some(_) => Err(CREDENTIALS_IN_URL),
        None => bucket_root(StoreKind::Azure, "az", rest),
    }
}

/// `account.blob.core.windows.net/container/prefix`.
fn azure_web_root(rest: &str) -> Result<Remote, LocationFault> {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (container, prefix) = path.split_once('/').unwrap_or((path, ""));
    azure_account_root(container, host, prefix)
}

fn azure_account_root(container: &str, host: &str, prefix: &str) -> Result<Remote, LocationFault> {
    let is_proper = is_bucket_name(container) && !container.contains('.') && is_bucket_name(host);
    if !is_proper {
        let hint = "write `az://container/prefix` or `https://account.blob.core.windows.net/container/prefix`";
        return Err(LocationFault::new("has no proper container and account", hint));
    }
    // One account answers under both names; with one spelling, overlaps are found.
    let host = host.replace(".blob.", ".dfs.");
    let base = format!("abfss://{container}@{host}");
    Ok(Remote { kind: StoreKind::Azure, base, prefix: plain_prefix(prefix)? })
}

fn is_azure_host(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    let suffixes =
        [".blob.core.windows.net", ".dfs.core.windows.net", ".blob.fabric.microsoft.com", ".dfs.fabric.microsoft.com"];
    suffixes.iter().any(|suffix| host.ends_with(suffix))
}

/// The folder of a web server's named objects; `%20` and the like are read.
fn web_root(scheme: &str, rest: &str) -> Result<Remote, LocationFault> {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        return Err(CREDENTIALS_IN_URL);
    }
    let base = format!("{scheme}://{host}");
    let proper = Url::parse(&base).is_ok_and(|url| url.host_str().is_some_and(|found| !found.is_empty()));
    let decoded = object_store::path::Path::from_url_path(path);
    match decoded {
        Ok(prefix) if proper => Ok(Remote { kind: StoreKind::Web, base, prefix: plain_prefix(prefix.as_ref())? }),
        _ => Err(LocationFault::new("is no proper web address", "write `https://host/folder/file.csv`")),
    }
}

fn is_web(text: &str) -> bool {
    let rest = text.strip_prefix("https://").filter(|rest| !is_azure_host(rest));
    rest.or_else(|| text.strip_prefix("http://")).is_some()
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
        if is_web(text) {
            return web_object(text, base);
        }
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

    /// Whether everything that it selects lies directly in its root.
    pub fn is_level(&self) -> bool {
        matches!(&self.selection, Selection::Glob(pattern) if !pattern.as_str().contains('/') && !pattern.as_str().contains("**"))
    }

    /// The one name that it selects, if that is what it is: an object, or else a folder.
    pub fn name(&self) -> Option<&str> {
        match &self.selection {
            Selection::Named(name) => Some(name),
            _ => None,
        }
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

/// A web server lists nothing: every object is named in full.
fn web_object(text: &str, base: &Path) -> Result<Location, LocationFault> {
    let hint = "name each file: location = [\"https://host/a.csv\", \"https://host/b.csv\"]";
    if text.contains(['?', '#']) {
        return Err(LocationFault::new("has a query (`?…`) or a fragment (`#…`)", "name a file that needs neither"));
    }
    let (folder, name) = split_folder(text, text.len());
    if name.is_empty() || folder.ends_with("//") || text.contains('*') {
        return Err(LocationFault::new("names no file, and a web server can't be listed", hint));
    }
    let StoreRoot::Remote(mut root) = StoreRoot::parse(text, base)? else {
        return Err(LocationFault::new("is no proper web address", hint));
    };
    let (prefix, name) = root.prefix.rsplit_once('/').unwrap_or(("", &root.prefix));
    let name = name.to_owned();
    root.prefix = prefix.to_owned();
    Ok(Location { root: StoreRoot::Remote(root), selection: Selection::Named(name) })
}

fn parse_glob(text: &str) -> Result<Pattern, LocationFault> {
    let hint = "`*` matches within a folder, `**/` through folders, `[*]` a star itself";
    if text.split('/').any(|part| part == "..") {
        return Err(LocationFault::new("has `..` in its glob", "write `..` before the first `*`, `?` or `[` alone"));
    }
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

    fn remote(kind: StoreKind, base: &str, prefix: &str) -> StoreRoot {
        StoreRoot::Remote(Remote { kind, base: base.to_owned(), prefix: prefix.to_owned() })
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
        assert!(!daily.is_level() && location("./raw/*.csv").is_level() && !location("./raw/**/*.csv").is_level());
    }

    #[test]
    fn two_stars_go_through_folders() {
        let all = location("s3://shop/raw/**/*.parquet");
        assert_eq!(all.root, remote(StoreKind::S3, "s3://shop", "raw"));
        assert!(all.selects("a.parquet") && all.selects("2024/01/a.parquet"));
        assert_eq!(location("s3://shop/*.csv").root, remote(StoreKind::S3, "s3://shop", ""));
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
        assert_eq!(fault("ftp://host/raw"), "is in a kind of store that isn't supported");
        assert_eq!(fault("gs://key@bucket/raw"), "has credentials in it");
        assert_eq!(fault("az://who@example.com/raw"), "has credentials in it");
        assert_eq!(fault("https://me:secret@host/a.csv"), "has credentials in it");
        assert_eq!(fault("https://account.blob.core.windows.net/"), "has no proper container and account");
        assert_eq!(fault("https://host/folder/"), "names no file, and a web server can't be listed");
        assert_eq!(fault("https://host"), "names no file, and a web server can't be listed");
        assert_eq!(fault("https://host/*.csv"), "names no file, and a web server can't be listed");
        assert_eq!(fault("https://host/a.csv?key=1"), "has a query (`?…`) or a fragment (`#…`)");
        assert_eq!(fault("raw/[a.csv"), "is not a proper glob");
        assert_eq!(fault("raw/*/../../../etc/passwd"), "has `..` in its glob");
    }

    #[test]
    fn persian_prefixes_stay_readable() {
        let root = StoreRoot::parse("s3://shop/خام", Path::new("/")).unwrap();
        assert_eq!(root.to_string(), "s3://shop/خام");
    }

    #[test]
    fn every_store_has_its_scheme() {
        let root = |text: &str| StoreRoot::parse(text, Path::new("/")).unwrap();
        assert_eq!(root("gs://shop/raw/"), remote(StoreKind::Gcs, "gs://shop", "raw"));
        assert_eq!(root("s3a://shop"), remote(StoreKind::S3, "s3://shop", ""));
        assert_eq!(root("abfs://logs/raw"), remote(StoreKind::Azure, "az://logs", "raw"));
        let account = remote(StoreKind::Azure, "abfss://logs@shop.dfs.core.windows.net", "raw/orders");
        assert_eq!(root("abfss://logs@shop.dfs.core.windows.net/raw/orders"), account);
        assert_eq!(root("https://shop.blob.core.windows.net/logs/raw/orders"), account);
    }

    #[test]
    fn a_web_address_names_one_file() {
        let file = location("https://example.com:8443/exports/may%20%DB%B1.csv.gz");
        assert_eq!(file.root, remote(StoreKind::Web, "https://example.com:8443", "exports"));
        assert_eq!(file.name(), Some("may ۱.csv.gz"));
        assert_eq!(location("http://example.com/a.csv").root, remote(StoreKind::Web, "http://example.com", ""));
        let azure = location("https://shop.blob.core.windows.net/logs/*.csv");
        assert_eq!((azure.root.kind(), azure.pattern()), (Some(StoreKind::Azure), Some("*.csv")));
    }

    #[test]
    fn roots_contain_what_lies_under_them() {
        let root = |text: &str| StoreRoot::parse(text, Path::new("/shop")).unwrap();
        assert!(root("s3://b/a").contains(&root("s3://b/a/lake")));
        assert!(!root("s3://b/a").contains(&root("s3://b/ab")));
        assert!(root(".").contains(&root("./lake")) && !root("./lake").contains(&root(".")));
        assert!(!root("s3://b/a").contains(&root("gs://b/a/lake")));
        assert!(root("https://a.blob.core.windows.net/c").contains(&root("abfss://c@a.dfs.core.windows.net/lake")));
    }
}
