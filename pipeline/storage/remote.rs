//! Opening a remote store: its builder, the options that are its own, and how long it is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, Result, RetryConfig};

use crate::config::{Remote, StoreKind};

/// Where no credentials are configured, stores look for a machine's own, and mostly nobody is there to answer. That
/// must not use up the budget for a store that is down.
const CREDENTIALS_RETRY_FOR: Duration = Duration::from_secs(20);
/// Of one request to a web server, which sends a whole object: not every one resumes a transfer that was cut off.
const WEB_TIMEOUT: &str = "10m";

/// Waits grow from a fifth of a second to a quarter of a minute, by half each on the average.
fn retry(retry_for: Duration) -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(15), base: 3.0 };
    // The time is the budget, not the number.
    RetryConfig { backoff, max_retries: 10_000, retry_timeout: retry_for }
}

/// Builds a store that gets its credentials within one budget and does its work within another.
macro_rules! build {
    ($builder:expr, $options:expr, $retry_for:expr) => {{
        let configured = $options.iter().fold($builder, |builder, (name, value)| match name.parse() {
            Ok(option) => builder.with_config(option, value),
            Err(_) => builder,
        });
        let credentials_within = retry($retry_for.min(CREDENTIALS_RETRY_FOR));
        let first = configured.clone().with_retry(credentials_within).build()?;
        let credentials = Arc::clone(first.credentials());
        Arc::new(configured.with_credentials(credentials).with_retry(retry($retry_for)).build()?)
    }};
}

/// Opens the store that a prefix is in. The environment's variables stand behind the options.
pub fn open(remote: &Remote, options: &BTreeMap<String, String>, retry_for: Duration) -> Result<Arc<dyn ObjectStore>> {
    let base = remote.base.as_str();
    Ok(match remote.kind {
        StoreKind::S3 => build!(AmazonS3Builder::from_env().with_url(base), options, retry_for),
        StoreKind::Azure => build!(MicrosoftAzureBuilder::from_env().with_url(base), options, retry_for),
        StoreKind::Gcs => build!(GoogleCloudStorageBuilder::from_env().with_url(base), options, retry_for),
        StoreKind::Web => {
            let plain = base.starts_with("http://").to_string();
            let defaults = HttpBuilder::new()
                .with_url(base)
                .with_config(ClientConfigKey::AllowHttp, plain)
                .with_config(ClientConfigKey::Timeout, WEB_TIMEOUT);
            let configured = options.iter().fold(defaults, |builder, (name, value)| match name.parse() {
                Ok(option) => builder.with_config(option, value),
                Err(_) => builder,
            });
            Arc::new(configured.with_retry(retry(retry_for)).build()?)
        }
    })
}
