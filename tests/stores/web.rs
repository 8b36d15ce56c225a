//! Web servers as sources, and what any store's bad moments look like: such servers are easily told to have them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use bazgasht::run::Outcome;

use super::http::{Response, serve};
use crate::s3::{MODELS, order, outcome, write_models};
use crate::support::Shop;

/// A web server with some files.
#[derive(Default)]
struct Site {
    files: Mutex<BTreeMap<String, String>>,
    reads: AtomicUsize,
    /// Answers of 503 before the next proper one.
    busy: AtomicUsize,
    /// Neither ETag nor Last-Modified.
    forgetful: bool,
    /// No Content-Length.
    vague: bool,
}

impl Site {
    fn start(self) -> (Arc<Self>, String) {
        let site = Arc::new(self);
        let served = Arc::clone(&site);
        let address = serve(move |request| {
            if served.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Response::new(503, "<Error><Code>SlowDown</Code><Message>Please wait.</Message></Error>");
            }
            let files = served.files.lock().expect("no panic");
            let Some(content) = files.get(&request.path[1..]) else { return Response::new(404, "<html>no</html>") };
            served.reads.fetch_add(usize::from(request.method == "GET"), Ordering::SeqCst);
            let mut response = Response::new(200, content.as_bytes());
            response.sized = !served.vague;
            if served.forgetful {
                return response;
            }
            let tag = format!("W/\"{}-{:x}\"", content.len(), content.bytes().map(u64::from).sum::<u64>());
            response.with("ETag", tag).with("Last-Modified", "Fri, 01 Mar 2024 00:00:00 GMT")
        });
        (site, address)
    }

    fn write(&self, path: &str, content: &str) {
        self.files.lock().expect("no panic").insert(path.to_owned(), content.to_owned());
    }

    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

fn shop(locations: &[String], more: &str) -> Shop {
    let sources =
        format!("[models]\npath = \"./sql\"\n[sources.orders]\nlocation = {locations:?}\nformat = \"ndjson\"\n");
    let shop = Shop::new("timezone = \"Europe/London\"\ncurrency = \"GBP\"", &format!("{more}\n{sources}"));
    write_models(&shop, &MODELS);
    shop
}

fn two_files(site: &Site, address: &str) -> [String; 2] {
    site.write("may/a b.ndjson", &order("a", "c1", "2024-01-10", 10));
    site.write("b.ndjson", &order("b", "c2", "2024-02-10", 20));
    [format!("{address}/may/a%20b.ndjson"), format!("{address}/b.ndjson")]
}

#[test]
fn named_files_of_a_web_server_are_a_source() {
    let (site, address) = Site::default().start();
    let shop = shop(&two_files(&site, &address), "");
    let snapshot = shop.publish("2024-02-15");
    let paths: Vec<&String> = snapshot.sources["orders"].objects.keys().collect();
    assert_eq!(paths, ["0/a b.ndjson", "1/b.ndjson"]);
    assert_eq!(site.reads(), 2);
    assert!(matches!(shop.run("2024-02-15"), Ok(Outcome::NothingToDo(_))));
    assert_eq!(site.reads(), 0, "the ETag tells");
    site.write("b.ndjson", &order("b", "c2", "2024-02-10", 21));
    shop.publish("2024-02-15");
    assert_eq!((site.reads(), shop.mart("customers").len()), (1, 2));
}

#[test]
fn a_web_server_that_tells_no_version_is_read_every_night() {
    let (site, address) = Site { forgetful: true, ..Site::default() }.start();
    let shop = shop(&two_files(&site, &address), "");
    shop.publish("2024-02-15");
    assert_eq!(site.reads(), 2);
    assert!(matches!(shop.run("2024-02-15"), Ok(Outcome::NothingToDo(_))), "the content is the same");
    assert_eq!(site.reads(), 2);
    site.write("b.ndjson", &order("b", "c2", "2024-02-10", 21));
    assert!(matches!(shop.run("2024-02-15"), Ok(Outcome::Published(..))));
}

#[test]
fn what_a_web_server_lacks_is_told() {
    let (site, address) = Site::default().start();
    let [a, _] = two_files(&site, &address);
    let error = shop(&[a, format!("{address}/c.ndjson")], "").run("2024-02-15").err().expect("one is missing");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains(&format!("{address}/c.ndjson isn't there")), "{error}");
    let (site, address) = Site { vague: true, ..Site::default() }.start();
    let error = shop(&two_files(&site, &address), "").run("2024-02-15").err().expect("no size");
    assert!(error.exit_code() == 3 && error.to_string().contains("Content-Length"), "{error}");
}

fn run(shop: &Shop) -> (i32, String) {
    shop.write("bazgasht.toml", &shop.toml);
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(shop.dir.path()).env_remove("BAZGASHT_CONFIG").env("NO_COLOR", "1").env("BAZGASHT_LOG", "warn");
    outcome(command.args(["run", "--as-of", "2024-02-15"]))
}

#[test]
fn a_throttled_call_is_tried_again_and_told() {
    let (site, address) = Site::default().start();
    let shop = shop(&two_files(&site, &address), "");
    site.busy.store(3, Ordering::SeqCst);
    let (code, said) = run(&shop);
    assert_eq!(code, 0, "{said}");
    let warnings = said.matches("a call to a store failed: server error with status 503").count();
    assert!(warnings == 3 && said.contains("WARN") && said.contains("before try 2"), "{said}");
    assert!(!said.contains("Encountered"), "{said}");
}

#[test]
fn a_store_that_stays_busy_is_exit_code_3_with_the_tries() {
    let (site, address) = Site::default().start();
    let shop = shop(&two_files(&site, &address), "retry_for = \"2s\"");
    site.busy.store(usize::MAX, Ordering::SeqCst);
    let (code, said) = run(&shop);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("503") && said.contains(" times in ") && said.contains("raise [storage] retry_for"),
        "{said}"
    );
}
