//! The whole pipeline on a real S3 server: SeaweedFS, started by these tests where `weed` is installed.
//!
//! A test keeps two projects that differ only in where things are: one in local folders, one in a bucket. What is
//! published must be equal to the byte.

mod outages;
pub mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use bazgasht::error::Error;
use bazgasht::interrupt::Interrupt;
use bazgasht::lake::Digest;
use bazgasht::project::Project;
use bazgasht::publish::{CURRENT, Current};
use bazgasht::report::Progress;
use bazgasht::run::{self, Outcome, Request, Surroundings};
use chrono::{DateTime, Utc};

use self::server::{BUCKET, KEY_ID, SECRET, Server, closed_port, shared};
use crate::made_up::{FIRST_DAY, PROJECT, SOURCES, write_logs};
use crate::support::{Shop, block_on, day, now, tree};

type Files = BTreeMap<String, Vec<u8>>;

/// The small models that most of these tests run, and where they are: few and quick, with a month's fold among them.
pub const MODELS: [(&str, &str); 6] = [
    ("staging/stg_identities.sql", "sql"),
    ("staging/stg_orders.sql", "sql"),
    ("intermediate/ledger.sql", "tests/laws/sql"),
    ("intermediate/state.sql", "tests/laws/sql"),
    ("marts/customers.sql", "tests/laws/sql"),
    ("marts/monthly_sales.sql", "tests/laws/sql"),
];

/// One project twice: in local folders, and in the bucket under a prefix that no other test has.
struct Twins {
    local: Shop,
    cloud: Shop,
    prefix: String,
    server: Arc<Server>,
}

impl Twins {
    /// `None` where there is no server to be had.
    fn new(prefix: &str, project: &str, sources: &str) -> Option<Self> {
        let server = shared()?;
        let local = Shop::new(project, sources);
        let mut cloud = Shop::new(project, sources);
        cloud.toml = server.moved(&cloud.toml, prefix);
        Some(Self { local, cloud, prefix: prefix.to_owned(), server })
    }

    /// Orders in NDJSON under the small models of the laws' tests.
    fn of_orders(prefix: &str) -> Option<Self> {
        let sources = "[models]\npath = \"./sql\"\n\
                       [sources.orders]\nlocation = \"./raw\"\nformat = \"ndjson\"\non_removed = \"forget\"\n";
        let twins = Self::new(prefix, "timezone = \"Europe/London\"\ncurrency = \"GBP\"", sources)?;
        write_models(&twins.local, &MODELS);
        write_models(&twins.cloud, &MODELS);
        Some(twins)
    }

    fn of_three_months(prefix: &str) -> Option<Self> {
        let twins = Self::of_orders(prefix)?;
        twins.write("raw/2024-01.ndjson", &(order("a", "c1", "2024-01-10", 10) + &order("b", "c2", "2024-01-31", 20)));
        twins.write("raw/2024-02.ndjson", &order("c", "c1", "2024-02-10", 30));
        twins.write("raw/2024-03.ndjson", &order("d", "c3", "2024-03-10", 40));
        Some(twins)
    }

    /// Writes to both.
    fn write(&self, path: &str, content: &str) {
        self.local.write(path, content);
        self.put(path, content);
    }

    /// Removes from both.
    fn remove(&self, path: &str) {
        self.local.remove(path);
        self.delete(path);
    }

    /// Writes to the bucket alone.
    fn put(&self, path: &str, content: &str) {
        let storage = self.server.storage(&self.prefix);
        block_on(storage.put(path, content.to_owned())).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Removes from the bucket alone.
    fn delete(&self, path: &str) {
        let storage = self.server.storage(&self.prefix);
        block_on(storage.delete(path)).unwrap_or_else(|e| panic!("{e}"));
    }

    /// The bucket's objects under a folder, by relative path.
    fn objects(&self, folder: &str) -> Files {
        let storage = self.server.storage(&format!("{}/{folder}", self.prefix));
        let read = async {
            let mut found = Files::new();
            for meta in storage.list("").await? {
                let path = meta.location.to_string();
                let bytes = storage.require(&path).await?;
                found.insert(path, bytes.to_vec());
            }
            Ok::<_, Error>(found)
        };
        block_on(read).unwrap_or_else(|e| panic!("{e}"))
    }

    /// ETag and time of the bucket's objects under a folder, by relative path.
    fn versions(&self, folder: &str) -> BTreeMap<String, (Option<String>, DateTime<Utc>)> {
        let storage = self.server.storage(&format!("{}/{folder}", self.prefix));
        let listed = block_on(storage.list("")).unwrap_or_else(|e| panic!("{e}"));
        listed.into_iter().map(|meta| (meta.location.to_string(), (meta.e_tag, meta.last_modified))).collect()
    }

    /// Publishes both, which must be the same work with the same result; returns what was built, as
    /// `model partition`.
    fn publish(&self, as_of: &str) -> BTreeSet<String> {
        let [local, cloud] = [&self.local, &self.cloud].map(|shop| built(shop, as_of));
        assert_eq!(local, cloud);
        self.assert_same();
        cloud
    }

    /// The published bytes are equal, but for the run log, which tells of the runs themselves; and so is
    /// everything that they were built from.
    fn assert_same(&self) {
        let cloud = but_the_run_log(self.objects("marts/current"));
        let local = but_the_run_log(tree(&self.local.path("marts/current")));
        assert!(!cloud.is_empty());
        assert_eq!(cloud.keys().collect::<Vec<_>>(), local.keys().collect::<Vec<_>>());
        assert_eq!(differing(&cloud, &local), Vec::<&String>::new());
        let built: Files = tree(&self.local.path("lake/models"));
        assert_eq!(differing(&self.objects("lake/models"), &built), Vec::<&String>::new());
    }

    /// What the bucket's `current.json` names is there, in the version and with the bytes that it says.
    fn assert_current(&self) {
        let (objects, versions) = (self.objects("marts"), self.versions("marts"));
        let current: Current = serde_json::from_slice(&objects[CURRENT]).expect("current.json is JSON");
        for file in current.marts.values().flat_map(|mart| &mart.files) {
            for (path, etag) in [(&file.path, &file.etag), (&file.current, &file.current_etag)] {
                let bytes = objects.get(path).unwrap_or_else(|| panic!("{path} is not there"));
                assert_eq!((bytes.len() as u64, Digest::of(bytes)), (file.size_bytes, file.digest.clone()), "{path}");
                assert_eq!(&versions[path].0, etag, "{path}");
                assert!(etag.is_some(), "{path}");
            }
        }
    }
}

/// Copies models, by file and folder, into the shop's `sql`.
pub fn write_models(shop: &Shop, models: &[(&str, &str)]) {
    for (model, folder) in models {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(model);
        shop.write(&format!("sql/{model}"), fs::read_to_string(file).expect("a model"));
    }
}

pub fn order(id: &str, customer: &str, day: &str, amount: u32) -> String {
    format!(r#"{{"order_id":"{id}","customer_id":"{customer}","ordered_at":"{day}T12:00:00Z","amount":{amount}}}"#)
        + "\n"
}

fn built(shop: &Shop, as_of: &str) -> BTreeSet<String> {
    match shop.run(as_of) {
        Ok(Outcome::Published(_, summary)) => summary.built.iter().map(|(m, p)| format!("{m} {p}")).collect(),
        Ok(_) => panic!("there was something to publish"),
        Err(e) => panic!("{e}"),
    }
}

fn but_the_run_log(mut files: Files) -> Files {
    files.remove("run_log.parquet");
    files
}

/// Names of those among `expected` that aren't the same in `found`. The text of a difference would be no help.
fn differing<'a>(found: &Files, expected: &'a Files) -> Vec<&'a String> {
    expected.iter().filter(|(path, bytes)| found.get(*path) != Some(*bytes)).map(|(path, _)| path).collect()
}

fn program(dir: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(dir).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1");
    command
}

/// Exit code, and everything that was said.
pub fn outcome(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it ran");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_bucket_gives_the_bytes_of_a_folder() {
    let Some(twins) = Twins::of_three_months("bytes") else { return };
    let built = twins.publish("2024-03-15");
    assert!(built.contains("monthly_sales 2024-02"), "{built:?}");
    twins.assert_current();
    // The next day: only the open month and what stands on all of it.
    let built = twins.publish("2024-03-16");
    assert!(!built.iter().any(|step| step.ends_with("2024-02")), "{built:?}");
    twins.assert_current();
}

#[test]
fn the_same_night_again_touches_nothing() {
    let Some(twins) = Twins::of_three_months("again") else { return };
    twins.publish("2024-03-15");
    let before = twins.versions("");
    assert!(matches!(twins.cloud.run("2024-03-15"), Ok(Outcome::NothingToDo(_))));
    assert_eq!(twins.cloud.plan("2024-03-15").open().count(), 0);
    assert_eq!(before, twins.versions(""));
}

#[test]
fn late_replaced_and_removed_files_are_what_they_are_in_a_folder() {
    let Some(twins) = Twins::of_three_months("late") else { return };
    twins.publish("2024-03-15");
    twins.write("raw/late.ndjson", &order("e", "c2", "2024-01-20", 5));
    let built = twins.publish("2024-03-15");
    assert!(built.contains("monthly_sales 2024-01") && !built.contains("monthly_sales 2024-02"), "{built:?}");
    twins.write("raw/2024-02.ndjson", &order("c", "c1", "2024-02-10", 33));
    twins.publish("2024-03-15");
    twins.remove("raw/2024-03.ndjson");
    twins.publish("2024-03-15");
    twins.assert_current();
}

#[test]
fn what_befell_the_stable_paths_is_healed() {
    let Some(twins) = Twins::of_three_months("healed") else { return };
    twins.publish("2024-03-15");
    twins.put("marts/current/customers.parquet", "no Parquet at all");
    twins.delete("marts/current/monthly_sales/2024-02.parquet");
    twins.put("marts/current/stray.parquet", "left behind");
    assert!(matches!(twins.cloud.run("2024-03-15"), Ok(Outcome::NothingToDo(_))));
    twins.assert_same();
    twins.assert_current();
}

#[test]
fn names_may_be_persian() {
    let Some(twins) = Twins::of_orders("فروشگاه/شعبهٔ ۱") else { return };
    // With a zero-width non-joiner and blanks, as people write.
    let name = "سفارش\u{200c}های دی/۱ بهمن.ndjson";
    twins.write(&format!("raw/{name}"), &order("a", "مریم", "2024-01-10", 10));
    let snapshots = [&twins.local, &twins.cloud].map(|shop| shop.publish("2024-01-15"));
    for snapshot in &snapshots {
        let objects: Vec<&String> = snapshot.sources["orders"].objects.keys().collect();
        assert!(objects.len() == 1 && objects[0].ends_with(name), "{objects:?}");
    }
    twins.assert_same();
    twins.assert_current();
    assert!(matches!(twins.cloud.run("2024-01-15"), Ok(Outcome::NothingToDo(_))));
}

/// Holds each of two runs before its commit until the other is there too.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Progress for Meeting {
    fn begin(&self, stage: &str, _: u64) {
        if stage != "publish" {
            return;
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        // A run that never comes must fail the test, not hang it.
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.0.load(Ordering::SeqCst) < 2 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn step(&self, _: &str) {}

    fn end(&self) {}
}

fn run_meeting(project: &Project, as_of: &str, meeting: &Meeting) -> Result<Outcome, Error> {
    let request = Request { as_of: Some(day(as_of)), ..Request::default() };
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: meeting };
    block_on(run::run(project, &request, &around))
}

#[test]
fn of_two_runs_that_commit_at_once_one_wins_and_nothing_is_lost() {
    let Some(twins) = Twins::of_three_months("race") else { return };
    let projects = [twins.cloud.open(), twins.cloud.open()];
    let days = ["2024-03-15", "2024-03-16"];
    let meeting = &Meeting::default();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let start = |i: usize| {
            let project = &projects[i];
            scope.spawn(move || run_meeting(project, days[i], meeting))
        };
        [start(0), start(1)].map(|run| run.join().expect("no panic")).into_iter().collect()
    });
    let codes: Vec<i32> = outcomes.iter().map(|outcome| outcome.as_ref().err().map_or(0, Error::exit_code)).collect();
    assert!(codes == [0, 4] || codes == [4, 0], "{codes:?}");
    let (winner, loser) = if codes[0] == 0 { (days[0], days[1]) } else { (days[1], days[0]) };
    assert_eq!(twins.local.publish(winner).number, 1);
    twins.assert_same();
    twins.assert_current();
    // The loser comes again and finds its work: the result is as if they had run one after the other.
    let again = [&twins.local, &twins.cloud].map(|shop| shop.publish(loser).number);
    assert_eq!(again, [2, 2]);
    twins.assert_same();
    twins.assert_current();
}

#[test]
fn keys_come_from_the_environment_and_an_unusable_store_is_exit_code_3() {
    let Some(twins) = Twins::of_three_months("keys") else { return };
    let toml = twins.cloud.toml.replace(SECRET, "${SHOP_SECRET}");
    let toml = toml.replace("[storage]\n", "[storage]\nretry_for = \"2s\"\n");
    let run = |toml: &str, secret: &str| {
        twins.cloud.write("bazgasht.toml", toml);
        outcome(program(twins.cloud.dir.path()).args(["run", "--as-of", "2024-03-15"]).env("SHOP_SECRET", secret))
    };
    let endpoint = &twins.server.options()["aws_endpoint"];
    let nowhere = format!("http://127.0.0.1:{}", closed_port());
    let cases = [
        (toml.clone(), "not-the-secret", "SignatureDoesNotMatch"),
        (toml.replace(KEY_ID, "nobody"), SECRET, "InvalidAccessKeyId"),
        (toml.replace(&format!("s3://{BUCKET}/"), "s3://no-such-bucket/"), SECRET, "NoSuchBucket"),
        (toml.replace(endpoint, &nowhere), SECRET, nowhere.as_str()),
    ];
    for (toml, secret, cause) in &cases {
        let (code, said) = run(toml, secret);
        assert_eq!(code, 3, "{cause}: {said}");
        assert!(said.contains(cause) && said.contains("s3://"), "{cause}: {said}");
        assert!(!said.contains(secret), "{cause}: the secret is shown");
    }
    assert!(twins.objects("marts").is_empty());
    let (code, said) = run(&toml, SECRET);
    assert_eq!(code, 0, "{said}");
    twins.local.publish("2024-03-15");
    twins.assert_same();
}

/// Writes the same logs into the bucket as [`write_logs`] does into a folder, with the program.
fn generate_into_bucket(twins: &Twins, customers: u64, days: u32) {
    let out = format!("s3://{BUCKET}/{}/raw", twins.prefix);
    let environment = twins.server.options().into_iter().map(|(key, value)| (key.to_ascii_uppercase(), value));
    let (code, said) = outcome(
        program(twins.cloud.dir.path())
            .envs(environment)
            .args(["generate", "--first-day", FIRST_DAY, "--out", &out])
            .args(["--customers", &customers.to_string(), "--days", &days.to_string()]),
    );
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_program_publishes_the_shipped_models_from_bucket_to_bucket() {
    let Some(twins) = Twins::new("shipped", PROJECT, SOURCES) else { return };
    let as_of = write_logs(&twins.local, 25, 40);
    generate_into_bucket(&twins, 25, 40);
    twins.cloud.write("bazgasht.toml", &twins.cloud.toml);
    let run = || outcome(program(twins.cloud.dir.path()).args(["run", "--as-of", &as_of]));
    let (code, said) = run();
    assert!(code == 0 && said.contains("published snapshot 1"), "{code}: {said}");
    twins.local.publish(&as_of);
    twins.assert_same();
    twins.assert_current();
    let (code, said) = run();
    assert!(code == 0 && said.contains("nothing to do"), "{code}: {said}");
}
