//! SeaweedFS (the program `weed`), started for the tests and gone with the last of them.

use std::array;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bazgasht::config::StoreRoot;
use bazgasht::storage::Storage;
use tempfile::TempDir;

use crate::outside::absent;
use crate::support::block_on;

/// The one bucket; each test has a prefix of its own in it.
pub const BUCKET: &str = "shops";
pub const KEY_ID: &str = "test-key-id";
pub const SECRET: &str = "test-secret-key";
/// What [`Server::rotate_key`] puts in its place.
pub const NEXT_SECRET: &str = "another-secret-key";

const HOST: &str = "127.0.0.1";
const START_TIMEOUT: Duration = Duration::from_secs(60);
const START_ATTEMPTS: usize = 3;
/// Of the tests' own calls.
const RETRY_FOR: Duration = Duration::from_secs(5);

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    ports: Ports,
    dir: TempDir,
    secret: &'static str,
}

/// All that `weed server` listens on, each with its gRPC port.
#[derive(Clone, Copy)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// The server that the tests running now share, started if there is none. `None`, after a word about it, where
/// `weed` is not installed.
///
/// # Panics
/// When it is missing in CI, and when it doesn't start.
pub fn shared() -> Option<Arc<Server>> {
    if !is_installed() {
        absent("weed (SeaweedFS)", "install what .ci/requirements.txt names and put its bin folder on PATH");
        return None;
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let running = shared.upgrade();
    let server = running.unwrap_or_else(|| Arc::new(Server::start()));
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// A port on which nothing listens.
pub fn closed_port() -> u16 {
    let [port] = free_ports();
    port
}

fn is_installed() -> bool {
    Command::new("weed").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Free when asked for; somebody else may take one before the server does.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = array::from_fn(|_| TcpListener::bind((HOST, 0)).expect("a free port"));
    array::from_fn(|i| listeners[i].local_addr().expect("an address").port())
}

impl Ports {
    fn free() -> Self {
        let [a, b, c, d, e, f, g, h] = free_ports();
        Self { master: [a, b], volume: [c, d], filer: [e, f], s3: [g, h] }
    }
}

impl Server {
    fn start() -> Self {
        let mut log = String::new();
        for _ in 0..START_ATTEMPTS {
            let mut server = Self::launch();
            if server.becomes_ready() {
                return server;
            }
            log = fs::read_to_string(server.dir.path().join("weed.log")).unwrap_or_default();
        }
        panic!("the S3 server does not start; its log:\n{log}");
    }

    fn launch() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let ports = Ports::free();
        fs::create_dir(dir.path().join("data")).expect("created");
        fs::write(dir.path().join("s3.json"), identities(SECRET)).expect("written");
        Self { child: spawn(dir.path(), &ports), ports, dir, secret: SECRET }
    }

    /// A server of a test's own, to be stopped.
    ///
    /// # Panics
    /// As [`shared`].
    pub fn own() -> Option<Self> {
        shared().map(|_| Self::start())
    }

    /// Kills it: whoever speaks with it now is cut off.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it where it was, with what it had.
    pub fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.dir.path(), &self.ports);
    }

    /// From now on the key that it is reached by has another secret, as when somebody rotates it.
    pub fn rotate_key(&mut self) {
        self.take_secret(NEXT_SECRET);
    }

    /// As before [`Self::rotate_key`].
    pub fn give_key_back(&mut self) {
        self.take_secret(SECRET);
    }

    fn take_secret(&mut self, secret: &'static str) {
        fs::write(self.dir.path().join("s3.json"), identities(secret)).expect("written");
        self.secret = secret;
        self.restart();
        // In a thread of its own: this may be called in the middle of what a runtime does.
        let ready = std::thread::scope(|scope| scope.spawn(|| self.becomes_ready()).join());
        assert!(matches!(ready, Ok(true)));
    }

    /// Waits until an object can be written, which the server's port allows only some time after it answers.
    /// That first object makes the bucket too.
    pub fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            let answers = TcpStream::connect((HOST, self.ports.s3[0])).is_ok();
            if answers && block_on(self.storage("ready").put("probe", "ready")).is_ok() {
                return true;
            }
            sleep(Duration::from_millis(100));
        }
        false
    }

    /// object_store's options for this server, as the config writes them.
    pub fn options(&self) -> BTreeMap<String, String> {
        let endpoint = format!("http://{HOST}:{}", self.ports.s3[0]);
        let options = [
            ("aws_endpoint", endpoint.as_str()),
            ("aws_allow_http", "true"),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", KEY_ID),
            ("aws_secret_access_key", self.secret),
        ];
        options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// A prefix of the bucket.
    pub fn storage(&self, prefix: &str) -> Storage {
        let root = StoreRoot::parse(&format!("s3://{BUCKET}/{prefix}"), Path::new("/")).expect("a bucket");
        let StoreRoot::Remote(root) = root else { panic!("{root} is a bucket") };
        Storage::open_remote(&root, &self.options(), RETRY_FOR).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The config of a project in local folders, with logs, lake and marts under a prefix of the bucket.
    pub fn moved(&self, toml: &str, prefix: &str) -> String {
        let mut moved = toml.to_owned();
        for folder in ["raw", "lake", "marts"] {
            moved = moved.replace(&format!("\"./{folder}"), &format!("\"s3://{BUCKET}/{prefix}/{folder}"));
        }
        moved.push_str("\n[storage.options]\n");
        for (key, value) in self.options() {
            writeln!(moved, "{key} = \"{value}\"").expect("a text grows");
        }
        moved
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked politely, it takes half a minute to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (name, port) in [
            ("master", self.ports.master[1]),
            ("volume", self.ports.volume[1]),
            ("filer", self.ports.filer[1]),
            ("s3", self.ports.s3[1]),
        ] {
            // Its own choice of place, which no option changes.
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{name}-grpc-{port}.sock"));
        }
    }
}

fn spawn(dir: &Path, ports: &Ports) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("weed.log")).expect("opened");
    Command::new("weed")
        .args(arguments(dir, ports))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("weed starts")
}

fn identities(secret: &str) -> String {
    let identity = serde_json::json!({
        "name": "tests",
        "credentials": [{ "accessKey": KEY_ID, "secretKey": secret }],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    });
    serde_json::json!({ "identities": [identity] }).to_string()
}

fn arguments(dir: &Path, ports: &Ports) -> Vec<String> {
    let dir = dir.display();
    let mut arguments = vec![
        "-logtostderr=true".to_owned(),
        "server".to_owned(),
        format!("-dir={dir}/data"),
        format!("-ip={HOST}"),
        format!("-ip.bind={HOST}"),
        "-master.telemetry=false".to_owned(),
        "-master.volumeSizeLimitMB=64".to_owned(),
        "-volume.max=50".to_owned(),
        "-filer".to_owned(),
        format!("-filer.localSocket={dir}/filer.sock"),
        "-s3".to_owned(),
        format!("-s3.config={dir}/s3.json"),
        format!("-s3.localSocket={dir}/s3.sock"),
        "-s3.port.iceberg=0".to_owned(),
        "-s3.port.lance=0".to_owned(),
    ];
    for (name, [http, grpc]) in
        [("master", ports.master), ("volume", ports.volume), ("filer", ports.filer), ("s3", ports.s3)]
    {
        arguments.extend([format!("-{name}.port={http}"), format!("-{name}.port.grpc={grpc}")]);
    }
    arguments
}
