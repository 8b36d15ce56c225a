//! Azurite (npm), which speaks Azure Blob Storage; started for the tests and gone with the last of them.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use object_store::ClientOptions;
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};

use crate::outside::absent;
use crate::s3::server::closed_port;
use crate::support::block_on;

pub const CONTAINER: &str = "shop-logs";
/// The account that every Azurite has, and its well-known key.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; dropping it kills it.
pub struct Azurite {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

static SHARED: Mutex<Weak<Azurite>> = Mutex::new(Weak::new());

/// The server that the tests running now share. `None`, after a word about it, where `azurite-blob` is not installed.
///
/// # Panics
/// When it is missing in CI, and when it doesn't start.
pub fn shared() -> Option<Arc<Azurite>> {
    let version = Command::new("azurite-blob").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_err() {
        absent(
            "azurite-blob (Azurite)",
            "npm install the version that .ci/run names and put node_modules/.bin on PATH",
        );
        return None;
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let server = shared.upgrade().unwrap_or_else(|| Arc::new(Azurite::start()));
    *shared = Arc::downgrade(&server);
    Some(server)
}

impl Azurite {
    fn start() -> Self {
        let port = closed_port();
        let dir = tempfile::tempdir().expect("a folder");
        let child = Command::new("azurite-blob")
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .current_dir(dir.path())
            .args(["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("azurite starts");
        let mut server = Self { child, port, _dir: dir };
        let deadline = Instant::now() + START_TIMEOUT;
        while !block_on(server.creates_container()) {
            assert!(Instant::now() < deadline, "Azurite does not answer");
            assert!(matches!(server.child.try_wait(), Ok(None)), "Azurite does not stay");
            sleep(Duration::from_millis(200));
        }
        server
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// object_store's options for this server, as the config writes them.
    pub fn options(&self) -> BTreeMap<String, String> {
        let options = [
            ("azure_storage_endpoint", self.endpoint().as_str()),
            ("azure_allow_http", "true"),
            ("azure_storage_account_name", ACCOUNT),
            ("azure_storage_account_key", KEY),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        options.into()
    }

    /// The one call that object_store doesn't make itself.
    async fn creates_container(&self) -> bool {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = "PUT".parse().expect("a method");
        *request.uri_mut() = format!("{}/{CONTAINER}?restype=container", self.endpoint()).parse().expect("a URL");
        let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).expect("a key"));
        AzureAuthorizer::new(&credential, ACCOUNT).authorize(&mut request);
        let client =
            ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).expect("a client");
        client.execute(request).await.is_ok_and(|answer| answer.status().as_u16() == 201)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
