//! What befalls a real store in the middle of a run: it is stopped, it comes back or it doesn't, its key is changed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use bazgasht::error::Error;
use bazgasht::interrupt::Interrupt;
use bazgasht::report::Progress;
use bazgasht::run::{self, Outcome, Request, Surroundings};

use super::server::{BUCKET, KEY_ID, NEXT_SECRET, SECRET, Server};
use super::{MODELS, order, write_models};
use crate::support::receiver::{Answer, Receiver};
use crate::support::{Shop, block_on, day, now, published};

/// A shop on a server of its own, and the same in folders.
struct Stage {
    server: Mutex<Server>,
    cloud: Shop,
    local: Shop,
}

/// Something that befalls the server when a stage of the run begins; once.
struct Mishap<'a> {
    stage: &'static str,
    befalls: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl Progress for Mishap<'_> {
    fn begin(&self, stage: &str, _: u64) {
        if stage.starts_with(self.stage)
            && let Some(befall) = self.befalls.lock().expect("no panic").take()
        {
            befall();
        }
    }

    fn step(&self, _: &str) {}

    fn end(&self) {}
}

impl Stage {
    fn set(retry_for: &str) -> Option<Self> {
        let server = Server::own()?;
        let sources = "[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./raw\"\nformat = \"ndjson\"\n";
        let project = "timezone = \"Europe/London\"\ncurrency = \"GBP\"";
        let (local, mut cloud) = (Shop::new(project, sources), Shop::new(project, sources));
        let toml = cloud.toml.replace("[storage]", &format!("[storage]\nretry_for = \"{retry_for}\""));
        cloud.toml = server.moved(&toml, "outage");
        write_models(&local, &MODELS);
        write_models(&cloud, &MODELS);
        let stage = Self { server: Mutex::new(server), cloud, local };
        stage.write("2024-01.ndjson", &(order("a", "c1", "2024-01-10", 10) + &order("b", "c2", "2024-01-31", 20)));
        Some(stage)
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Server> {
        self.server.lock().expect("no panic")
    }

    fn write(&self, path: &str, content: &str) {
        self.local.write(&format!("raw/{path}"), content);
        let storage = self.server().storage("outage/raw");
        block_on(storage.put(path, content.to_owned())).unwrap_or_else(|e| panic!("{e}"));
    }

    fn run(&self, stage: &'static str, befall: impl FnOnce() + Send) -> Result<Outcome, Error> {
        let mishap = Mishap { stage, befalls: Mutex::new(Some(Box::new(befall))) };
        let request = Request { as_of: Some(day("2024-03-15")), ..Request::default() };
        let interrupt = Interrupt::default();
        let around = Surroundings { now: &now, interrupt: &interrupt, progress: &mishap };
        let outcome = block_on(run::run(&self.cloud.open(), &request, &around));
        assert!(mishap.befalls.lock().expect("no panic").is_none(), "nothing befell the run");
        outcome
    }

    /// The published bytes but for the run log.
    fn marts(&self) -> BTreeMap<String, Vec<u8>> {
        let storage = self.server().storage("outage/marts/current");
        let read = async {
            let mut found = BTreeMap::new();
            for meta in storage.list("").await? {
                let path = meta.location.to_string();
                found.insert(path.clone(), storage.require(&path).await?.to_vec());
            }
            Ok::<_, Error>(found)
        };
        let mut found = block_on(read).unwrap_or_else(|e| panic!("{e}"));
        found.remove("run_log.parquet");
        found
    }

    fn publish(&self) {
        for shop in [&self.cloud, &self.local] {
            shop.publish("2024-03-15");
        }
    }

    fn assert_same(&self) {
        assert!(self.marts() == published(&self.local), "other bytes than in a folder");
    }
}

fn failed(outcome: Result<Outcome, Error>) -> (i32, String) {
    let error = outcome.err().expect("the store was gone");
    (error.exit_code(), error.to_string())
}

#[test]
fn a_store_that_comes_back_in_time_is_waited_for() {
    let Some(stage) = Stage::set("2m") else { return };
    let outcome = thread::scope(|scope| {
        stage.run("build", || {
            stage.server().stop();
            scope.spawn(|| {
                thread::sleep(Duration::from_secs(2));
                stage.server().restart();
            });
        })
    });
    assert!(matches!(outcome, Ok(Outcome::Published(..))), "{:?}", outcome.err());
    stage.local.publish("2024-03-15");
    stage.assert_same();
}

#[test]
fn a_store_that_stays_away_leaves_the_marts_and_the_next_run_finishes() {
    let Some(stage) = Stage::set("3s") else { return };
    stage.publish();
    let before = stage.marts();
    stage.write("2024-02.ndjson", &order("c", "c1", "2024-02-10", 30));
    for during in ["extract", "publish"] {
        let (code, said) = failed(stage.run(during, || stage.server().stop()));
        assert_eq!(code, 3, "{during}: {said}");
        assert!(said.contains(&format!("s3://{BUCKET}/outage")) && said.contains(" times in "), "{during}: {said}");
        let mut server = stage.server();
        server.restart();
        assert!(server.becomes_ready(), "{during}");
        drop(server);
        assert!(stage.marts() == before, "{during}: the marts of the run before don't stand");
    }
    stage.publish();
    stage.assert_same();
}

#[test]
fn a_key_that_stops_working_is_told_and_the_next_run_finishes() {
    let Some(stage) = Stage::set("1m") else { return };
    let (code, said) = failed(stage.run("build", || stage.server().rotate_key()));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("SignatureDoesNotMatch") && said.contains("hint: the secret key"), "{said}");
    stage.server().give_key_back();
    stage.publish();
    stage.assert_same();
}

/// What a machine's role is handed: a key that is good for so many seconds.
fn credentials(secret: &str, valid_s: i64) -> Answer {
    let expires_at = chrono::Utc::now() + chrono::TimeDelta::seconds(valid_s);
    let body = serde_json::json!({
        "AccessKeyId": KEY_ID, "SecretAccessKey": secret, "Token": "", "Expiration": expires_at.to_rfc3339(),
    });
    Answer(200, &[("content-type", "application/json")], body.to_string())
}

#[test]
fn credentials_that_expire_in_the_middle_of_a_run_are_fetched_anew() {
    let Some(mut stage) = Stage::set("1m") else { return };
    let issuer = Receiver::new();
    issuer.answer(credentials(SECRET, 60));
    stage.cloud.write("role.token", "the role's own token");
    let (key, secret) = (format!("aws_access_key_id = \"{KEY_ID}\""), format!("aws_secret_access_key = \"{SECRET}\""));
    assert!(stage.cloud.toml.contains(&key) && stage.cloud.toml.contains(&secret));
    let token = stage.cloud.path("role.token");
    let with_role = stage
        .cloud
        .toml
        .replace(&key, &format!("aws_container_credentials_full_uri = \"{}\"", issuer.url("/role")))
        .replace(&secret, &format!("aws_container_authorization_token_file = \"{}\"", token.display()));
    stage.cloud.toml = with_role;
    let outcome = stage.run("build", || {
        stage.server().rotate_key();
        issuer.answer(credentials(NEXT_SECRET, 3600));
    });
    assert!(matches!(outcome, Ok(Outcome::Published(..))), "{:?}", outcome.err());
    let asked = issuer.received();
    assert!(asked.len() > 1 && asked.iter().all(|request| request.header("authorization") == "the role's own token"));
    stage.server().give_key_back();
    stage.local.publish("2024-03-15");
    stage.assert_same();
}
