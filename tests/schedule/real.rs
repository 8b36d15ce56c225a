//! Real processes: on a real S3 server, with signals, sockets and HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bazgasht::snapshot::numbers;

use crate::s3::server::{closed_port, shared};
use crate::s3::{MODELS, write_models};
use crate::support::{Shop, block_on, published, tree};

const PATIENCE: Duration = Duration::from_secs(90);

/// A process that keeps a shop's schedule. It is killed when it is dropped.
struct Keeper {
    child: Child,
    talk: PathBuf,
}

impl Keeper {
    fn start(shop: &Shop, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let talk = shop.path(&format!("{name}.log"));
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
        command.current_dir(shop.dir.path()).arg("schedule").args(arguments);
        command.env_remove("BAZGASHT_CONFIG").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command.env("BAZGASHT_LOG", "bazgasht=info").env("NO_COLOR", "1").envs(environment.iter().copied());
        command.stdout(Stdio::null()).stderr(fs::File::create(&talk).expect("created"));
        Self { child: command.spawn().expect("it starts"), talk }
    }

    fn talk(&self) -> String {
        fs::read_to_string(&self.talk).expect("readable")
    }

    fn has_begun(&self) -> bool {
        self.talk().contains(", as of ")
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop; its exit code.
    fn stop(&mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "`kill` can be run");
        self.ends()
    }

    fn ends(&mut self) -> Option<i32> {
        wait_for("it ends", || self.child.try_wait().expect("asked").is_some());
        self.child.wait().expect("it ended").code()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.talk.display(), self.talk());
        }
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A shop with few models and a schedule.
fn shop(schedule: &str) -> Shop {
    let sources = format!(
        "[models]\npath = \"./sql\"\n[schedule]\n{schedule}\n[sources.orders]\nlocation = \"./raw\"\nformat = \"ndjson\"\n"
    );
    let shop = Shop::new("timezone = \"Europe/London\"\ncurrency = \"GBP\"", &sources);
    write_models(&shop, &MODELS);
    shop.write("raw/1.ndjson", order(1));
    shop.write("bazgasht.toml", &shop.toml);
    shop
}

fn order(number: u32) -> String {
    crate::s3::order(&format!("o{number}"), "c", "2024-01-10", 10)
}

fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

/// Two processes race for each tick; the one that has it is killed in the middle; the other takes over.
#[test]
fn two_hosts_share_a_bucket_and_one_of_them_dies() {
    let Some(server) = shared() else { return };
    let mut shop = shop("publish = \"*/2 * * * * *\"\nlease = \"3s\"");
    shop.toml = server.moved(&shop.toml, "schedule");
    shop.write("bazgasht.toml", &shop.toml);
    let storage = server.storage("schedule");
    let deliver = |number| block_on(storage.put(&format!("raw/{number}.ndjson"), order(number))).expect("put");
    let snapshots = || block_on(numbers(&server.storage("schedule/lake"))).expect("listed").len();
    deliver(1);

    let mut hosts = [Keeper::start(&shop, "a", &[], &[]), Keeper::start(&shop, "b", &[], &[])];
    wait_for("one begins", || hosts.iter().any(Keeper::has_begun));
    let dead = usize::from(!hosts[0].has_begun());
    hosts[dead].kill();
    let at_death = snapshots();
    wait_for("the other publishes", || hosts[1 - dead].talk().contains("snapshot 1"));
    assert!(at_death <= 1);

    hosts[dead] = Keeper::start(&shop, "c", &[], &[]);
    deliver(2);
    wait_for("the next is published", || snapshots() == 2);
    wait_for("both have a turn", || hosts.iter().all(|host| host.talk().contains("nothing to do")));
    // The same night for everybody: nobody publishes it a second time.
    assert_eq!(snapshots(), 2);
    let talk = hosts.iter().map(Keeper::talk).collect::<String>();
    assert!(!talk.contains("exit code 4") && !talk.contains("another run published"), "{talk}");
    for host in &mut hosts {
        assert_eq!(host.stop(), Some(143));
    }
}

#[test]
fn it_is_a_good_service() {
    let port = closed_port();
    let address = format!("127.0.0.1:{port}");
    let shop =
        shop(&format!("publish = \"*/2 * * * * *\"\ngc = \"0 5 1 1 *\"\nlease = \"3s\"\nlisten = \"{address}\""));
    let socket = shop.path("notify");
    let systemd = UnixDatagram::bind(&socket).expect("bound");
    let told = Arc::new(Mutex::new(String::new()));
    let ear = Arc::clone(&told);
    // As systemd does: whoever speaks to a full socket waits.
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(size) = systemd.recv(&mut buffer) {
            ear.lock().expect("no panic").push_str(&String::from_utf8_lossy(&buffer[..size]));
        }
    });
    let hear = |what: &str| wait_for(what, || told.lock().expect("no panic").contains(what));
    let environment = [("NOTIFY_SOCKET", socket.to_str().expect("text")), ("WATCHDOG_USEC", "400000")];
    let mut keeper = Keeper::start(&shop, "a", &[], &environment);
    hear("READY=1");
    hear("STATUS=publish of ");
    hear("WATCHDOG=1");
    wait_for("it publishes", || keeper.talk().contains("published snapshot 1; next "));

    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&address, "/").0, 404);
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200);
    for expected in [
        "bazgasht_schedule_next_timestamp_seconds{stage=\"gc\"} ",
        "bazgasht_schedule_handled_timestamp_seconds{stage=\"publish\"} ",
        "bazgasht_schedule_jobs_total{stage=\"publish\",status=\"done\"} ",
        "bazgasht_schedule_holds_lease{stage=\"extract\"} 0",
    ] {
        assert!(metrics.contains(expected), "{expected} in {metrics}");
    }

    // The port is taken.
    let mut second = Keeper::start(&shop, "b", &[], &[]);
    assert_eq!(second.ends(), Some(2));
    assert!(second.talk().contains("hint: take another address or port"), "{}", second.talk());

    // It isn't needed for what is due now.
    let mut once = Keeper::start(&shop, "c", &["--once"], &[]);
    assert_eq!(once.ends(), Some(0), "{}", once.talk());

    // A lake that can't be read: alive, and not ready.
    fs::rename(shop.path("lake"), shop.path("away")).expect("moved");
    assert_eq!((get(&address, "/healthz").0, get(&address, "/readyz").0), (200, 503));

    assert_eq!(keeper.stop(), Some(143));
    hear("STOPPING=1");
}

/// SIGTERM in the middle of a run: it ends at the next step, the lease is given back, and the next one does the night.
#[test]
fn asked_to_stop_in_a_run_it_gives_the_night_to_the_next() {
    let shop = shop("publish = \"* * * * * *\"\nlease = \"10m\"");
    let mut first = Keeper::start(&shop, "a", &[], &[]);
    wait_for("it begins", || first.has_begun());
    assert_eq!(first.stop(), Some(143));
    let newest = tree(&shop.path("lake/schedule")).into_values().next_back().expect("a record");
    let newest: serde_json::Value = serde_json::from_slice(&newest).expect("JSON");
    assert_eq!(newest["held"], serde_json::Value::Null, "{newest}");
    let mut second = Keeper::start(&shop, "b", &["--once"], &[]);
    assert_eq!(second.ends(), Some(0), "{}", second.talk());
    assert!(!published(&shop).is_empty());
}

#[test]
fn once_exits_as_the_run_did() {
    let shop = shop("publish = \"30 2 * * *\"\nextract = \"0 * * * *\"");
    let once = || {
        let mut keeper = Keeper::start(&shop, "a", &["--once"], &[]);
        (keeper.ends(), keeper.talk())
    };
    shop.remove("raw/1.ndjson");
    shop.write("raw/1.ndjson", "no JSON\n".repeat(3));
    let (code, talk) = once();
    assert_eq!(code, Some(1), "{talk}");
    // The night has failed for good; nobody tries it again without a word from a person.
    let (code, talk) = once();
    assert_eq!((code, talk.contains("publish")), (Some(0), false), "{talk}");
}

#[test]
fn without_a_schedule_it_says_what_to_write() {
    let shop = shop("publish = \"30 2 * * *\"");
    shop.write("bazgasht.toml", shop.toml.replace("[schedule]\npublish = \"30 2 * * *\"\n", ""));
    let mut keeper = Keeper::start(&shop, "a", &[], &[]);
    assert_eq!(keeper.ends(), Some(2));
    assert!(keeper.talk().contains("hint: add [schedule] with publish"), "{}", keeper.talk());
}
