//! Where OpenLineage events go, by the config, or by the environment variables that other tools go by.

use std::path::PathBuf;

use url::Url;
use uuid::Uuid;

use super::diagnostics::Complaint;
use super::file::RawObserve;
use super::location::StoreRoot;
use super::read::Reader;
use super::substitute::Environment;
use super::wrappers::{Placed, Secret};
use crate::redact::url_secrets;

/// Where events of a base URL go, by convention.
const ENDPOINT: &str = "api/v1/lineage";
const DEFAULT_NAMESPACE: &str = "default";

/// Who gets OpenLineage events, and as whose.
#[derive(Debug, Clone)]
pub struct OpenLineage {
    pub sink: EventSink,
    /// Of our jobs.
    pub namespace: String,
    pub api_key: Option<Secret>,
    /// The run of another tool that ours are part of, and the outermost one.
    pub parent: Option<JobRun>,
    pub root: Option<JobRun>,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSink {
    /// A line for each is appended.
    File(PathBuf),
    /// A file for each run.
    Folder(PathBuf),
    Url(Url),
}

/// A run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    pub namespace: String,
    pub job: String,
    pub run_id: Uuid,
}

impl JobRun {
    /// Reads `namespace/job/run id`, as `OPENLINEAGE_PARENT_ID` has it; a namespace may have slashes of its own.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '/');
        let run_id = parts.next()?.parse().ok()?;
        let (job, namespace) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        (!job.is_empty() && !namespace.is_empty()).then_some(JobRun { namespace, job, run_id })
    }
}

/// `None` where nobody wants events.
pub(super) fn openlineage(reader: &mut Reader, raw: RawObserve, environment: Environment<'_>) -> Option<OpenLineage> {
    let variable = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    if variable("OPENLINEAGE_DISABLED").is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1"))
    {
        return None;
    }
    let sink = match &raw.openlineage {
        Some(written) => configured(reader, written),
        None => variable("OPENLINEAGE_URL").and_then(|url| {
            let endpoint = variable("OPENLINEAGE_ENDPOINT").unwrap_or(ENDPOINT.to_owned());
            let joined = web_address(&format!("{}/{}", url.trim_end_matches('/'), endpoint.trim_start_matches('/')));
            if joined.is_none() {
                let complaint = Complaint::new("OPENLINEAGE_URL with OPENLINEAGE_ENDPOINT is no web address");
                reader.complaints.push(complaint.hint("write it as `https://host`, without credentials"));
            }
            joined.map(EventSink::Url)
        }),
    }?;
    let run = |name: &str| {
        let run = variable(name).map(|value| JobRun::parse(value.trim()));
        if run == Some(None) {
            tracing::warn!("{name} isn't `namespace/job/run id`, and is passed over");
        }
        run.flatten()
    };
    Some(OpenLineage {
        sink,
        namespace: raw
            .openlineage_namespace
            .or_else(|| variable("OPENLINEAGE_NAMESPACE"))
            .unwrap_or(DEFAULT_NAMESPACE.to_owned()),
        api_key: raw.openlineage_api_key.or_else(|| variable("OPENLINEAGE_API_KEY").map(Secret::new)),
        parent: run("OPENLINEAGE_PARENT_ID"),
        root: run("OPENLINEAGE_ROOT_PARENT_ID"),
    })
}

fn configured(reader: &mut Reader, written: &Placed<String>) -> Option<EventSink> {
    let text = written.value.trim();
    if text.starts_with("http://") || text.starts_with("https://") {
        let Some(mut url) = web_address(text) else {
            let message = "`openlineage` is no proper web address, or has credentials in it";
            let hint = "write `https://host`, and the key as `openlineage_api_key`";
            reader.complain_with_hint(written.span.clone(), message, hint);
            return None;
        };
        if url.path() == "/" {
            url.set_path(ENDPOINT);
        }
        return Some(EventSink::Url(url));
    }
    match StoreRoot::parse(text, &reader.folder) {
        Ok(StoreRoot::Local(path)) if text.ends_with('/') || path.is_dir() => Some(EventSink::Folder(path)),
        Ok(StoreRoot::Local(path)) => Some(EventSink::File(path)),
        Ok(StoreRoot::Remote(_)) => {
            let message = "`openlineage` can't be in an object store: nothing can be appended there";
            let hint = "write a local file, a local folder, or the `https://…` address of a receiver";
            reader.complain_with_hint(written.span.clone(), message, hint);
            None
        }
        Err(fault) => {
            reader.complain_with_hint(written.span.clone(), format!("`openlineage` {}", fault.what), fault.hint);
            None
        }
    }
}

fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| url_secrets(text).is_empty())?;
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some()).then_some(url)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const RUN: &str = "018f3b2a-8a3e-7c11-9d3e-7f3f5a9b0c1d";

    fn parsed(observe: &str, environment: &[(&str, &str)]) -> Result<Option<OpenLineage>, String> {
        let text = format!(
            "[project]\ntimezone = \"UTC\"\ncurrency = \"EUR\"\n[storage]\nlake = \"./lake\"\nmarts = \"./marts\"\n\
             [observe]\n{observe}\n[sources.orders]\nlocation = \"./raw\"\n"
        );
        let find = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let config = Config::parse("bazgasht.toml", Path::new("/shop"), &text, &find);
        config.map(|config| config.observe.openlineage).map_err(|complaints| complaints.render(false))
    }

    fn sink(observe: &str, environment: &[(&str, &str)]) -> Option<EventSink> {
        parsed(observe, environment).expect("fine").map(|openlineage| openlineage.sink)
    }

    #[test]
    fn the_config_comes_before_the_environment_and_off_is_off() {
        let url = |text: &str| Some(EventSink::Url(Url::parse(text).expect("a URL")));
        let environment = [("OPENLINEAGE_URL", "http://lineage:5000/"), ("OPENLINEAGE_NAMESPACE", "shops")];
        assert_eq!(sink("", &[]), None);
        assert_eq!(sink("", &environment), url("http://lineage:5000/api/v1/lineage"));
        assert_eq!(sink("openlineage = \"https://a.example\"", &environment), url("https://a.example/api/v1/lineage"));
        assert_eq!(sink("openlineage = \"https://a.example/in?x=1\"", &[]), url("https://a.example/in?x=1"));
        let file = EventSink::File(PathBuf::from("/shop/lineage.ndjson"));
        assert_eq!(sink("openlineage = \"./lineage.ndjson\"", &environment), Some(file));
        assert_eq!(sink("openlineage = \"./l/\"", &[]), Some(EventSink::Folder(PathBuf::from("/shop/l"))));
        let endpoint = [environment[0], ("OPENLINEAGE_ENDPOINT", "/v2/in")];
        assert_eq!(sink("", &endpoint), url("http://lineage:5000/v2/in"));
        let disabled = [environment[0], ("OPENLINEAGE_DISABLED", "True")];
        assert_eq!(sink("openlineage = \"./lineage.ndjson\"", &disabled), None);
        let named = parsed("", &environment).expect("fine").expect("wanted");
        assert_eq!(named.namespace, "shops");
    }

    #[test]
    fn a_parent_is_read_and_an_odd_one_is_passed_over() {
        let with = |parent: &str| {
            let environment = [("OPENLINEAGE_URL", "http://lineage"), ("OPENLINEAGE_PARENT_ID", parent)];
            parsed("", &environment).expect("fine").expect("wanted").parent
        };
        let parent = with(&format!("airflow://prod/nightly.bazgasht/{RUN}")).expect("a parent");
        assert_eq!((parent.namespace.as_str(), parent.job.as_str()), ("airflow://prod", "nightly.bazgasht"));
        assert_eq!(parent.run_id.to_string(), RUN);
        for odd in ["nightly", "a/b/c", &format!("//{RUN}"), RUN] {
            assert_eq!(with(odd), None, "{odd}");
        }
    }

    #[test]
    fn credentials_in_addresses_and_object_stores_are_refused() {
        for (observe, environment) in [
            ("openlineage = \"https://me:hunter22@a.example\"", &[][..]),
            ("openlineage = \"https://a.example/?token=hunter22\"", &[]),
            ("openlineage = \"s3://bucket/lineage\"", &[]),
            ("", &[("OPENLINEAGE_URL", "ftp://a.example")]),
        ] {
            let said = parsed(observe, environment).expect_err("refused");
            let about_it = said.contains("openlineage") || said.contains("OPENLINEAGE_URL");
            assert!(about_it, "{said}");
        }
    }
}
